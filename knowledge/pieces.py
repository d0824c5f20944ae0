"""Cut a chunk's text into the pieces that evidence is chosen from.

Enters: a chunk's text as `knowledge/chunk.py` writes it. Leaves: sentences, list items with their lead-in and table
rows with their head, in order. Text is never changed, so a piece can be found in its chunk again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sentencex import segment

_ITEM = re.compile(
    r"^(?P<indent> *)(?P<marker>[-*•]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})[.)]) (?P<text>.+)$", re.DOTALL
)
_RULE = re.compile(r"^\|( --- \|)+$")
# A sentence of fewer words than this ("Yes.", "Really?") is no evidence alone: it is read with the next one.
_MIN_WORDS = 4


class PieceKind(StrEnum):
    """What a piece is in its document."""

    SENTENCE = "sentence"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"


@dataclass(frozen=True)
class Piece:
    """The smallest text that can answer.

    `text` is verbatim: a sentence, an item without its marker, or a row's cells joined with " | ". `lead_in` is what
    introduces an item, its parent items included; `head` holds a row's column heads, in the order of its cells.
    """

    kind: PieceKind
    text: str
    lead_in: str = ""
    head: tuple[str, ...] = ()

    @property
    def in_context(self) -> str:
        """The piece with what it needs to be understood: "Hourly staff: 96 hours; Salaried staff: 128 hours"."""
        if self.kind is PieceKind.TABLE_ROW:
            return spoken_row(self.text.split(" | "), self.head)
        return f"{self.lead_in} {self.text}".strip()


def pieces(text: str) -> list[Piece]:
    """Cut a chunk's text. Example: "You can claim:\\n- taxis" gives the sentence and the item with lead_in."""
    return list(_pieces(text.split("\n")))


def spoken_row(cells: list[str], head: tuple[str, ...]) -> str:
    """A table row as it can be read aloud: each cell after its column head; the first one names the row."""
    if len(head) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    named = [f"{name}: {cell}" if name else cell for name, cell in zip(head, cells, strict=True) if cell]
    return "; ".join(named)


def _pieces(lines: list[str]) -> Iterator[Piece]:
    introduction = ""
    parents: list[tuple[int, str]] = []
    head: tuple[str, ...] = ()
    for position, line in enumerate(lines):
        if line.startswith("| "):
            if _RULE.match(line):
                continue
            cells = tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))
            if position + 1 < len(lines) and _RULE.match(lines[position + 1]):
                head = cells
            else:
                yield Piece(PieceKind.TABLE_ROW, " | ".join(cells), head=head)
            continue
        head = ()
        item = _ITEM.match(line)
        if item:
            indent = len(item["indent"])
            parents = [(depth, text) for depth, text in parents if depth < indent]
            lead_in = " ".join(filter(None, (introduction, *(text for _, text in parents))))
            yield Piece(PieceKind.LIST_ITEM, item["text"], lead_in)
            parents.append((indent, item["text"]))
            continue
        parents = []
        sentences = _sentences(line)
        introduction = sentences[-1] if sentences else ""
        yield from (Piece(PieceKind.SENTENCE, sentence) for sentence in sentences)


def _sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; very short ones, and abbreviations cut in the middle, stay with their neighbour."""
    joined: list[str] = []
    for sentence in segment("en", paragraph):
        starts_low = sentence[:1].islower()
        if joined and (starts_low or len(joined[-1].split()) < _MIN_WORDS):
            joined[-1] += sentence
        else:
            joined.append(sentence)
    return [sentence.strip() for sentence in joined if sentence.strip()]
