"""Put blocks under their headings, and decide what of all that looks like a heading is one.

Enters: headings, paragraphs that only look like one (short, and bold or in larger type), and blocks, in reading
order. Leaves: `Body`: blocks that carry their heading path, and the first heading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

CALLOUTS = {"note", "important", "warning", "tip", "caution", "attention", "example", "nb"}
MAX_HEADING_WORDS = 10
MAX_HEADING_CHARS = 90
LOOK_ALIKE = 7  # below every real level, 1 to 6


class BlockKind(StrEnum):
    """What a block is in the document."""

    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"


@dataclass(frozen=True)
class Block:
    """A piece of a document that is never understood in part: a paragraph, a list item or a table row.

    `text` is plain text (no markdown marks). A list item has the text of its own line; `depth` is 0 for the outermost
    list. A table row has its `cells` in order, its table's column heads in `head` (empty when it has none), and
    `text` is the cells joined with " | ". `page` counts from 1; None where the format has no pages.
    """

    kind: BlockKind
    text: str
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    depth: int = 0
    marker: str = "-"
    cells: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


@dataclass(frozen=True)
class Body:
    """What a document says: its blocks, and its first heading ("" when it has none)."""

    blocks: tuple[Block, ...]
    first_heading: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading, or what may be one. `level` 1–6 is a real heading's; None means that it only looks like one."""

    text: str
    level: int | None
    size: int
    page: int | None
    is_title: bool = False
    otherwise: Block | None = None  # what it is when it turns out to be no heading


def outline(events: Sequence[Heading | Block]) -> Body:
    """Give every block its heading path, and turn back into blocks what only looked like a heading."""
    settled = _settle(events)
    shift = int(any(isinstance(e, Heading) and e.is_title for e in settled))
    stack: list[tuple[int, int, str]] = []  # (level, size, text)
    blocks: list[Block] = []
    for event in settled:
        if isinstance(event, Block):
            path = (*(text for _, _, text in stack), *event.heading_path)
            blocks.append(replace(event, heading_path=path))
            continue
        level = LOOK_ALIKE if event.level is None else event.level + (0 if event.is_title else shift)
        while stack and (stack[-1][0] > level or (stack[-1][0] == level and stack[-1][1] <= event.size)):
            stack.pop()
        text = event.text.rstrip(":").rstrip()
        if not stack or stack[-1][2].casefold() != text.casefold():  # a cover that says the title again
            stack.append((level, event.size, text))
    headings = [e for e in settled if isinstance(e, Heading)]
    if not blocks:  # nothing but headings: better said than lost
        blocks = [Block(BlockKind.PARAGRAPH, e.text, page=e.page) for e in headings]
    return Body(tuple(blocks), headings[0].text if headings else "")


def _settle(events: Sequence[Heading | Block]) -> list[Heading | Block]:
    """A look-alike is a heading only if it heads something: text, or a look-alike in smaller type."""
    settled: list[Heading | Block] = []
    for position in range(len(events) - 1, -1, -1):
        event = events[position]
        follower = settled[-1] if settled else None
        if isinstance(event, Heading) and event.level is None and event.otherwise and not _heads(event, follower):
            event = event.otherwise
        settled.append(event)
    return settled[::-1]


def _heads(heading: Heading, follower: Heading | Block | None) -> bool:
    if isinstance(follower, Block):
        # "You must bring:" before a list is what introduces the list; readers of single items need it as text
        return not (heading.text.endswith(":") and follower.kind is BlockKind.LIST_ITEM)
    return follower is not None and follower.level is None and follower.size < heading.size


def reads_like_heading(text: str) -> bool:
    """Whether a paragraph that stands out by its type can be a heading: short, no sentence, not "Note:"."""
    words = text.split()
    if not words or len(words) > MAX_HEADING_WORDS or len(text) > MAX_HEADING_CHARS:
        return False
    if text[-1] in ".!;,…" or text[0].islower() or not any(c.isalpha() for c in text):
        return False
    return text.rstrip(":").casefold() not in CALLOUTS
