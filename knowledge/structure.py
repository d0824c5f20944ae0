"""Turn HTML into blocks: the one parser behind every format that is not a table.

Enters: HTML as the converters write it. Besides ordinary HTML they may use three marks:
  - `data-page="3"` on any element: what follows stands on page 3;
  - `<p class="emphatic-28">`: a paragraph set apart by its type (28 is its size; only the order of sizes counts),
    which is a heading if it reads like one; a paragraph that is bold as a whole is the same with size 0;
  - `<p class="item" data-depth="1" data-marker="(a)">`: a list item, where the format knows no lists. A text that
    begins with MARKER_OPEN … MARKER_CLOSE carries its printed number ("4.2") between them.
Leaves: `Body`: the blocks in reading order, and the first heading.

Text is never re-worded or re-ordered. Left out: scripts, styles, images whose alternative text is no sentence, the
marks of footnotes (the note itself follows the paragraph that cites it, or closes the list item or cell that does).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import html as lxml_html
from lxml.html import HtmlElement

from knowledge.outline import Block, BlockKind, Body, Heading, outline, reads_like_heading
from knowledge.runs import (
    BLOCKS,
    HEADINGS,
    LISTS,
    SKIPPED,
    SPACE,
    Run,
    holds_block,
    in_letters,
    is_all_bold,
    lines_of,
    plain_text,
    runs,
    take_marker,
)
from knowledge.table import Cell, TableRow, table_rows

BULLETED_LINE = re.compile(r"^(?:[•◦▪‣·∙●○■□➢✓＊]|[-–*](?=\s))\s*")
# Numbers and bullets that were typed instead of made with the list button.
TYPED_MARKER = re.compile(r"^(?:([•◦▪‣·∙●○■□➢✓])\s*|(\(?(?:\d{1,2}|[a-z]|[ivx]{1,5})[.)])\s+)(?=\S)")


def structure(html: str) -> Body:
    """The blocks of a document.

    >>> [(b.heading_path, b.text) for b in structure("<h1>Leave</h1><p><b>Sick leave</b></p><p>Call us.</p>").blocks]
    [(('Leave', 'Sick leave'), 'Call us.')]
    """
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = lxml_html.document_fromstring(f"<html><body>{html}</body></html>".encode(), parser=parser)
    reader = _Reader(_take_footnotes(root))
    reader.flow(root)
    return outline(reader.events)


# ------------------------------------------------------------------------------------------------- reading the tree


@dataclass
class _Reader:
    """Walks the tree once and notes headings and blocks, without heading paths yet."""

    notes: dict[str, str]
    events: list[Heading | Block] = field(default_factory=list)
    page: int | None = None
    is_flat: bool = False  # inside a cell: tables in it are read as text

    def flow(self, container: HtmlElement, depth: int = 0) -> None:
        """Read an element that holds blocks, inside `depth` lists; text between blocks is a paragraph."""
        run: list[Run] = [Run(container.text or "", False)]
        cited: list[str] = []
        for child in container:
            tag = child.tag
            if not isinstance(tag, str) or tag in SKIPPED:
                pass
            elif tag in BLOCKS or holds_block(child):
                self._paragraph(run, cited)
                run, cited = [], []
                self._block(child, depth)
            else:
                run.extend(runs(child, self.notes, cited))
            run.append(Run(child.tail or "", False))
        self._paragraph(run, cited)

    def _block(self, element: HtmlElement, depth: int) -> None:
        self._turn_page(element)
        tag, classes = element.tag, element.get("class", "").split()
        if tag in HEADINGS:
            self._heading(element, int(tag[1]), "title" in classes)
        elif tag in LISTS:
            self._list(element, depth)
        elif tag == "table":
            self._table(element)
        elif tag == "dl":
            self._definitions(element)
        elif tag == "details":
            self._details(element, depth)
        elif tag in ("p", "pre", "summary", "dt", "figcaption") and not holds_block(element):
            cited: list[str] = []
            pieces = list(runs(element, self.notes, cited))
            size = next((int(c[9:]) for c in classes if re.fullmatch(r"emphatic-\d+", c)), None)
            if "item" in classes:
                self._item(pieces, cited, int(element.get("data-depth", 0)), element.get("data-marker", "-"))
            else:
                self._paragraph(pieces, cited, size, splits=tag != "pre")
        elif tag != "hr":
            self.flow(element, depth)

    def _turn_page(self, element: HtmlElement) -> None:
        page = element.get("data-page")
        if page is not None and page.isdigit():
            self.page = int(page)

    def _heading(self, element: HtmlElement, level: int, is_title: bool) -> None:
        cited: list[str] = []
        text = plain_text(runs(element, self.notes, cited, is_bold=True))
        marker, text = take_marker(text)
        text = f"{marker} {text}".strip()
        if text:
            self.events.append(Heading(text, level, 0, self.page, is_title))
        self._cite(cited)

    def _details(self, element: HtmlElement, depth: int) -> None:
        """A summary heads what it unfolds; it is bold on most pages, and rarely a real heading."""
        summary = element.find("summary")
        if summary is not None:
            text = plain_text(runs(summary, self.notes, [], is_bold=True))
            self.events.append(Heading(text, None, 0, self.page, otherwise=self._block_of(text)))
            summary.drop_tree()
        self.flow(element, depth)

    def _definitions(self, element: HtmlElement) -> None:
        """Every definition is one paragraph, "Term: what it means"."""
        terms: list[str] = []
        for child in element.iter("dt", "dd"):
            if child.tag == "dt":
                terms.append(self._flat(child))
                continue
            text = self._flat(child)
            term = ", ".join(terms)
            separator = " " if term.endswith((":", "?", "–", "-")) else ": "
            self.events.append(self._block_of(f"{term}{separator}{text}" if term else text))
            terms = []

    def _paragraph(self, run: list[Run], cited: list[str], size: int | None = None, splits: bool = True) -> None:
        """Note a paragraph, or the heading that it looks like; lines that are bulleted become list items."""
        lines = [line for line in lines_of(run) if plain_text(line)]
        if not lines:
            return
        if splits and len(lines) > 1 and self._split(lines, cited, size):
            return
        marker, text = take_marker(plain_text(run))
        block = self._block_of(text, BlockKind.LIST_ITEM, marker=marker) if marker else self._typed(text)
        if (size is not None or is_all_bold(run)) and reads_like_heading(text):
            self.events.append(Heading(f"{marker} {text}".strip(), None, size or 0, self.page, otherwise=block))
        elif text:
            self.events.append(block)
        self._cite(cited)

    def _split(self, lines: list[list[Run]], cited: list[str], size: int | None) -> bool:
        """Read a paragraph with line breaks line by line, if a bold first line heads it or its lines are bulleted."""
        if is_all_bold(lines[0]) and reads_like_heading(plain_text(lines[0])) and not is_all_bold(lines[1]):
            self._paragraph(lines[0], [], size)
            self._paragraph([piece for line in lines[1:] for piece in (*line, Run("\n", False))], cited)
            return True
        if sum(bool(BULLETED_LINE.match(plain_text(line))) for line in lines) < 2:
            return False
        for line in lines:
            text = plain_text(line)
            found = BULLETED_LINE.match(text)
            self.events.append(self._block_of(text[found.end() :], BlockKind.LIST_ITEM) if found else self._typed(text))
        self._cite(cited)
        return True

    def _typed(self, text: str) -> Block:
        """A paragraph, or the list item whose bullet or number was typed."""
        found = TYPED_MARKER.match(text)
        if not found:
            return self._block_of(text)
        return self._block_of(text[found.end() :], BlockKind.LIST_ITEM, marker=found.group(2) or "-")

    def _list(self, element: HtmlElement, depth: int) -> None:
        items = [child for child in element if child.tag == "li"]
        numbers = _numbers(element, items)
        if len(items) == 1 and depth == 0 and self._lone_bold_item(items[0], numbers[0]):
            return
        marker = iter(numbers)
        for child in element:
            if child.tag == "li":
                self._turn_page(child)
                self._list_item(child, depth, next(marker))
            elif child.tag in LISTS:  # a list inside a list without an item of its own: wrong HTML, and common
                self._list(child, depth + 1)

    def _lone_bold_item(self, item: HtmlElement, marker: str) -> bool:
        """A numbered list of one bold item ("1. Purpose") is how many people write a section heading."""
        if holds_block(item) and not (len(item) == 1 and item[0].tag == "p" and not holds_block(item[0])):
            return False
        pieces = list(runs(item, self.notes, []))
        found, text = take_marker(plain_text(pieces))
        if marker == "-" or not is_all_bold(pieces) or not reads_like_heading(text):
            return False
        marker = found or marker
        block = self._block_of(text, BlockKind.LIST_ITEM, marker=marker)
        self.events.append(Heading(f"{marker} {text}", None, 0, self.page, otherwise=block))
        return True

    def _list_item(self, item: HtmlElement, depth: int, marker: str) -> None:
        """The item's own line first; what else it holds (lists, further paragraphs, tables) follows as blocks."""
        cited: list[str] = []
        pieces = [Run(item.text or "", False)]
        rest: list[HtmlElement] = []
        for child in item:
            is_block = isinstance(child.tag, str) and (child.tag in BLOCKS or holds_block(child))
            if rest or (
                is_block and (child.tag not in ("p", "div", "span") or holds_block(child) or plain_text(pieces))
            ):
                rest.append(child)
            elif isinstance(child.tag, str) and child.tag not in SKIPPED:
                pieces.extend(runs(child, self.notes, cited))
                pieces.append(Run(child.tail or "", False))
        self._item(pieces, cited, depth, marker)
        self._rest_of_item(rest, depth)

    def _rest_of_item(self, rest: list[HtmlElement], depth: int) -> None:
        run: list[Run] = []
        cited: list[str] = []
        for child in rest:
            if child.tag in BLOCKS or holds_block(child):
                self._paragraph(run, cited)
                run, cited = [], []
                self._block(child, depth + 1)
            elif isinstance(child.tag, str) and child.tag not in SKIPPED:
                run.extend(runs(child, self.notes, cited))
            run.append(Run(child.tail or "", False))
        self._paragraph(run, cited)

    def _item(self, pieces: list[Run], cited: list[str], depth: int, marker: str) -> None:
        found, text = take_marker(plain_text(pieces))
        text = self._with_notes(text, cited)
        if text:
            self.events.append(self._block_of(text, BlockKind.LIST_ITEM, depth, found or marker))

    def _table(self, element: HtmlElement) -> None:
        rows: list[list[Cell]] = []
        sources: list[list[HtmlElement]] = []
        for row in element.iterchildren("tr", "thead", "tbody", "tfoot", "caption"):
            if row.tag == "caption":
                self.flow(row)
                continue
            for tr in [row] if row.tag == "tr" else row.iterchildren("tr"):
                cells = list(tr.iterchildren("td", "th"))
                sources.append(cells)
                rows.append([self._cell(cell, row.tag == "thead") for cell in cells])
        if self.is_flat or len(sources) <= 1 or max(map(len, sources)) <= 1:  # a box around text, not a table
            for cell in (cell for cells in sources for cell in cells):
                self.flow(cell)
            return
        for found in table_rows(rows):
            self.events.append(self._row(found))

    def _row(self, row: TableRow) -> Block:
        kind = BlockKind.TABLE_ROW if len(row.cells) > 1 else BlockKind.PARAGRAPH
        cells, head = (row.cells, row.head) if kind is BlockKind.TABLE_ROW else ((), ())
        group = (row.group,) if row.group else ()
        return Block(kind, " | ".join(row.cells), group, self.page, cells=cells, head=head)

    def _cell(self, cell: HtmlElement, in_head: bool) -> Cell:
        pieces = list(runs(cell, self.notes, []))
        return Cell(
            text=self._flat(cell),
            is_head=cell.tag == "th" or in_head,
            is_bold=is_all_bold(pieces),
            columns=_span(cell, "colspan"),
            rows=_span(cell, "rowspan"),
        )

    def _flat(self, element: HtmlElement) -> str:
        """The text of a cell or a definition in one line; list items are parted by ";"."""
        inner = _Reader(self.notes, page=self.page, is_flat=True)
        inner.flow(element)
        text = ""
        previous: BlockKind | None = None
        for event in inner.events:
            block = event if isinstance(event, Block) else event.otherwise
            kind = block.kind if block else BlockKind.PARAGRAPH
            both_items = kind is previous is BlockKind.LIST_ITEM
            part = block.text if block else event.text
            number = f"{block.marker} " if block and kind is BlockKind.LIST_ITEM and block.marker != "-" else ""
            text += ("; " if both_items and not text.endswith((".", ";", ",")) else " " if text else "") + number + part
            previous = kind
        return text

    def _cite(self, cited: list[str]) -> None:
        self.events.extend(self._block_of(self.notes[note]) for note in cited)

    def _with_notes(self, text: str, cited: list[str]) -> str:
        return " ".join([text, *(f"({self.notes[note]})" for note in cited)]).strip()

    def _block_of(self, text: str, kind: BlockKind = BlockKind.PARAGRAPH, depth: int = 0, marker: str = "-") -> Block:
        return Block(kind, text, page=self.page, depth=depth, marker=marker)


# ------------------------------------------------------------------------------------------------------ small parts


def _take_footnotes(root: HtmlElement) -> dict[str, str]:
    """Remove the notes from the end of the document and return their text by id."""
    notes: dict[str, str] = {}
    targets = {a.get("href", "")[1:] for a in root.iter("a") if a.get("href", "").startswith("#") and _is_raised(a)}
    for item in [e for e in root.iter("li") if e.get("id") in targets]:
        for link in [a for a in item.iter("a") if a.get("href", "").startswith("#")]:
            link.drop_tree()
        text = SPACE.sub(" ", item.text_content()).strip()
        if text:
            notes[item.get("id", "")] = text
        item.drop_tree()
    return notes


def _is_raised(link: HtmlElement) -> bool:
    parent = link.getparent()
    return (parent is not None and parent.tag == "sup") or link.find("sup") is not None


def _span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name, "1")
    return min(int(value), 200) if value.isdigit() and int(value) else 1


def _numbers(element: HtmlElement, items: list[HtmlElement]) -> list[str]:
    """The marker of every item: "-" or its number as the list prints it."""
    if element.tag != "ol":
        return ["-"] * len(items)
    start = element.get("start", "1")
    number = int(start) if start.lstrip("-").isdigit() else 1
    found = []
    for item in items:
        value = item.get("value", "")
        number = int(value) if value.isdigit() else number
        found.append(f"{in_letters(number, element.get('type', '1'))}.")
        number += 1
    return found
