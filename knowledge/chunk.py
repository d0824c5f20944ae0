"""Cut a `Document` into `Chunk`s that the embedder can hold.

Enters: a document's blocks in order. Leaves: chunks that each lie within one section, never split a table row, repeat
what a row or item needs to be understood (the table's head, the list's lead-in), and fit `max_tokens` together with
their heading path. One table row longer than the embedder's limit stays whole: its end is stored and shown, though the
embedder does not see it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from semantic_text_splitter import TextSplitter

from knowledge.load import Block, BlockKind, Document, PolicyMetadata

HEADING_SEPARATOR = " › "
# Room that the heading path may take of a chunk: a longer path loses its outer parts, or no text would fit.
HEADING_SHARE = 0.4
CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Chunk:
    """A stored piece of one section of a document.

    `text` is markdown of the simplest kind, so that a chunk can be read alone: paragraphs; `- item` lines, indented two
    spaces a level, after the sentence that introduces them; tables with their head row. Blocks are separated by
    newlines. `page` is the page on which it begins, from 1.
    """

    id: str
    file: str
    position: int
    heading_path: tuple[str, ...]
    text: str
    page: int | None
    metadata: PolicyMetadata

    @property
    def heading(self) -> str:
        """The heading path as it is shown: "Leave › Annual leave › Carrying over"."""
        return HEADING_SEPARATOR.join(self.heading_path)

    @property
    def embedded_text(self) -> str:
        """What the embedder and the lexical index see: title, heading path and text."""
        return f"{_headline(self.metadata.title, self.heading_path)}\n{self.text}"


@dataclass(frozen=True)
class ChunkSize:
    """How large chunks may be: `max_tokens` word pieces, heading path included; `overlap_tokens` between neighbours."""

    max_tokens: int
    overlap_tokens: int


@dataclass(frozen=True)
class _Line:
    """One rendered block, or a part of a long paragraph, and what must precede it when it begins a chunk."""

    text: str
    tokens: int
    page: int | None
    context: tuple[str, ...] = ()
    may_overlap: bool = True
    must_precede: bool = False


def chunk(document: Document, size: ChunkSize, count_tokens: CountTokens) -> list[Chunk]:
    """Cut a document, in reading order.

    `count_tokens` is the embedder's own tokenizer, so that a chunk that fits by count is embedded whole. Example: a
    section "Leave › Carry over" with one paragraph gives one chunk with heading_path ("Leave", "Carry over").
    """
    chunks: list[Chunk] = []
    for path, blocks in groupby(document.blocks, key=lambda block: block.heading_path):
        headline = _headline(document.metadata.title, path)
        headline_tokens = min(count_tokens(headline), int(size.max_tokens * HEADING_SHARE))
        room = ChunkSize(size.max_tokens - headline_tokens, size.overlap_tokens)
        for text, page in _pack(list(_lines(list(blocks), room.max_tokens, count_tokens)), room, count_tokens):
            position = len(chunks)
            identity = f"{document.file}\0{document.content_hash}\0{position}"
            chunks.append(
                Chunk(
                    id=hashlib.sha256(identity.encode()).hexdigest()[:32],
                    file=document.file,
                    position=position,
                    heading_path=path,
                    text=text,
                    page=page,
                    metadata=document.metadata,
                )
            )
    return chunks


def _headline(title: str, path: Sequence[str]) -> str:
    parts = list(path) if path and path[0] == title else [title, *path]
    return HEADING_SEPARATOR.join(parts)


def _lines(blocks: Sequence[Block], room: int, count_tokens: CountTokens) -> Iterator[_Line]:
    """The blocks as lines of markdown, each with the lines that must come before it in a chunk of its own."""
    introduction: tuple[str, ...] = ()
    parents: list[tuple[int, str]] = []
    head: tuple[str, ...] | None = None
    for block in blocks:
        if block.kind is BlockKind.TABLE_ROW:
            if block.head != head and block.head:
                yield _line(_table_head(block.head), block, count_tokens, opens_table=True)
            head = block.head
            yield _line(_row(block.cells), block, count_tokens, (_table_head(head),) if head else ())
            continue
        head = None
        if block.kind is BlockKind.LIST_ITEM:
            parents = [(depth, text) for depth, text in parents if depth < block.depth]
            context = (*introduction, *(text for _, text in parents))
            if count_tokens("\n".join(context)) > room // 2:
                context = ()
            item = f"{'  ' * block.depth}{block.marker} {block.text}"
            parents.append((block.depth, item))
            for part in _parts(item, room - count_tokens("\n".join(context)), count_tokens):
                yield _line(part, block, count_tokens, context)
            continue
        parents, introduction = [], (block.text,)
        for part in _parts(block.text, room, count_tokens):
            yield _line(part, block, count_tokens)


def _line(
    text: str, block: Block, count_tokens: CountTokens, context: tuple[str, ...] = (), opens_table: bool = False
) -> _Line:
    is_prose = block.kind is not BlockKind.TABLE_ROW
    return _Line(text, count_tokens(text), block.page, context, may_overlap=is_prose, must_precede=opens_table)


def _parts(text: str, room: int, count_tokens: CountTokens) -> list[str]:
    """A paragraph or item whole if it fits, else cut at the largest boundaries that do: sentences, then words."""
    if count_tokens(text) <= room:
        return [text]
    return TextSplitter.from_callback(count_tokens, room).chunks(text)


def _pack(lines: Sequence[_Line], size: ChunkSize, count_tokens: CountTokens) -> Iterator[tuple[str, int | None]]:
    """Fill chunks with lines, in order; yields each chunk's text and the page on which it begins."""
    packed: list[_Line] = []
    used = 0
    for position, line in enumerate(lines):
        following = lines[position + 1].tokens if line.must_precede and position + 1 < len(lines) else 0
        needed = line.tokens + following
        if packed and used + needed > size.max_tokens:
            yield _text(packed)
            packed = _opening(packed, line, min(size.overlap_tokens, size.max_tokens - needed), count_tokens)
            used = sum(kept.tokens for kept in packed)
        packed.append(line)
        used += line.tokens
    if packed:
        yield _text(packed)


def _opening(packed: Sequence[_Line], line: _Line, room: int, count_tokens: CountTokens) -> list[_Line]:
    """What a new chunk begins with before `line`: what the line needs to be understood, else the overlap."""
    if line.context:
        return [_Line(text, count_tokens(text), line.page) for text in line.context]
    kept: list[_Line] = []
    used = 0
    for earlier in reversed(packed):
        used += earlier.tokens
        if not earlier.may_overlap or used > room:
            break
        kept.insert(0, earlier)
    return kept


def _text(lines: Sequence[_Line]) -> tuple[str, int | None]:
    return "\n".join(line.text for line in lines), lines[0].page


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _table_head(head: Sequence[str]) -> str:
    return f"{_row(head)}\n{'| --- ' * len(head)}|"
