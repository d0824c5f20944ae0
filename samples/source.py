"""Read the text of one sample document.

Enters: a markdown file of `samples/sources` with front matter. Leaves: a `Source` of simple blocks, which
`render_docx` and `render_pdf` lay out. Not a general markdown reader: it knows what the sample texts use, and
raises ValueError on anything else, so that no sentence is lost silently.

Beyond ordinary markdown: a table cell `^` is merged with the cell above it and `<` with the cell to its left; a head
row of empty cells means a table without a head; a fenced block named `box` is a text box; `[^1]` is a footnote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from pydantic import BaseModel, ConfigDict

ABOVE = "^"
LEFT = "<"


class FrontMatter(BaseModel):
    """How a document is dressed: properties, running header and footer, and the habits of its writer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    author: str
    header: str
    footer: str
    created: date
    headings: Literal["styled", "bold"] = "styled"
    tables: Literal["headed", "plain"] = "headed"


@dataclass(frozen=True)
class Run:
    """Text in one style; `footnote` is the text of the note that follows it."""

    text: str
    bold: bool = False
    italic: bool = False
    footnote: str = ""


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Item:
    """A list item. `depth` is 0 for the outermost list, `number` None for a bullet; `number` 1 starts a new list."""

    runs: tuple[Run, ...]
    depth: int
    number: int | None


@dataclass(frozen=True)
class Table:
    """Rows of cells, still with the marks for merging; `has_head` says whether the first row names the columns."""

    rows: tuple[tuple[str, ...], ...]
    has_head: bool


@dataclass(frozen=True)
class Box:
    text: str


Block = Heading | Paragraph | Item | Table | Box


@dataclass(frozen=True)
class Source:
    front: FrontMatter
    blocks: tuple[Block, ...]


def read_source(path: Path) -> Source:
    """Parse the file at `path`."""
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    tokens = MarkdownIt("commonmark").enable("table").use(footnote_plugin, inline=False).parse(body)
    return Source(FrontMatter.model_validate(yaml.safe_load(front)), tuple(_blocks(tokens)))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    notes = _footnotes(tokens)
    numbers: list[int | None] = []  # one entry for each open list: the last number given, None in a bulleted one
    starts_item = False
    position = 0
    while position < len(tokens):
        token = tokens[position]
        match token.type:
            case "bullet_list_open":
                numbers.append(None)
            case "ordered_list_open":
                numbers.append(0)
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
            case "list_item_open":
                starts_item = True
                if numbers[-1] is not None:
                    numbers[-1] += 1
            case "heading_open":
                yield Heading(int(token.tag[1:]), tokens[position + 1].content)
            case "paragraph_open" if numbers and starts_item:
                yield Item(tuple(_runs(tokens[position + 1], notes)), len(numbers) - 1, numbers[-1])
                starts_item = False
            case "paragraph_open":
                yield Paragraph(tuple(_runs(tokens[position + 1], notes)))
            case "table_open":
                yield _table(tokens[position : _closing(tokens, position, "table_close")])
                position = _closing(tokens, position, "table_close")
            case "fence" if token.info == "box":
                yield Box(token.content.strip())
            case "footnote_block_open":
                return
            case "inline" | "heading_close" | "paragraph_close" | "list_item_close":
                pass
            case unknown:
                raise ValueError(f"The sample texts have no place for '{unknown}' (line {token.map}).")
        position += 1


def _closing(tokens: Sequence[Token], position: int, kind: str) -> int:
    return next(at for at in range(position, len(tokens)) if tokens[at].type == kind)


def _footnotes(tokens: Sequence[Token]) -> dict[int, str]:
    """The text of each footnote by the number that references carry."""
    notes: dict[int, str] = {}
    open_note: int | None = None
    for token in tokens:
        if token.type == "footnote_open":
            open_note = int(token.meta["id"])
        elif token.type == "inline" and open_note is not None:
            notes[open_note] = token.content
            open_note = None
    return notes


def _runs(inline: Token, notes: dict[int, str]) -> Iterator[Run]:
    bold = italic = False
    for child in inline.children or ():
        match child.type:
            case "text" | "code_inline":
                if child.content:
                    yield Run(child.content, bold, italic)
            case "softbreak":
                yield Run(" ", bold, italic)
            case "strong_open" | "strong_close":
                bold = child.nesting > 0
            case "em_open" | "em_close":
                italic = child.nesting > 0
            case "footnote_ref":
                yield Run("", footnote=notes[int(child.meta["id"])])
            case unknown:
                raise ValueError(f"The sample texts have no place for '{unknown}' in '{inline.content[:60]}'.")


def _table(tokens: Sequence[Token]) -> Table:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token.content)
    has_head = any(rows[0])
    return Table(tuple(tuple(row) for row in (rows if has_head else rows[1:])), has_head)
