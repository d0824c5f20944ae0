"""Turn a PDF into HTML.

Enters: the bytes of a PDF. Leaves: HTML for `structure`, with page numbers, and the PDF's title and author.

A PDF knows letters and places, no paragraphs. pdfium reads the letters with their size and weight; lines are put
together to paragraphs by the space between them, list items are known by their bullet and indent, headings by larger
or bold type. Ruled tables are read by pdfplumber, on the pages that have rules. Lines that return at the top or
bottom of pages, page numbers and tables of contents are left out.

Not guaranteed: the reading order of pages with several columns side by side (two columns are handled), and tables
without rules. Scanned pages have no letters and are refused when the whole file is scanned.
"""

from __future__ import annotations

import contextlib
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from html import escape
from itertools import pairwise

import pypdfium2  # type: ignore[import-untyped]

from config.errors import DocumentError
from knowledge.archive import PASSWORD
from knowledge.metadata import Properties
from knowledge.outline import reads_like_heading
from knowledge.pdf_lines import Line, RuledTables, page_lines

MAX_PAGES = 5_000
PAGE_NUMBER = re.compile(r"^\W*(?:page\s*)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:of|/|\|)\s*\d{1,4})?\W*$", re.IGNORECASE)
CONTENTS_LINE = re.compile(r"(?:\.\s?){4,}\s*\d{1,4}$")
BULLET = re.compile(
    r"^([•◦▪‣·∙●○■□➢✓\uf0b7\uf0a7\uf0d8–-]|o(?= )|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]|\d{1,2}(?:\.\d{1,2}){1,3}\.?)"
    r"\s+(?=\S)"
)
GLYPH_BULLETS = "•◦▪‣·∙●○■□➢✓\uf0b7\uf0a7\uf0d8–-o"
SENTENCE_END = (".", "!", "?", ":", ";")
STREAM = re.compile(rb"stream\r?\n")
# PDFs have no directory of unpacked sizes; pdfium and pdfminer unpack a stream as a whole.
CHUNK_BYTES = 1_000_000

_ONE_AT_A_TIME = threading.Lock()  # pdfium may not be called from two threads


def convert_pdf(data: bytes, max_unpacked_bytes: int) -> tuple[str, Properties]:
    """The document as HTML, and its properties.

    Raises:
        DocumentError: It is encrypted, damaged, scanned, or unpacks to too much.
    """
    _check_streams(data, max_unpacked_bytes)
    with _ONE_AT_A_TIME:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).casefold() or "security" in str(error).casefold():
                raise DocumentError(PASSWORD) from error
            raise DocumentError("The PDF is damaged; open it, save it again and replace it.") from error
        try:
            if len(document) > MAX_PAGES:
                raise DocumentError(f"The PDF has {len(document):,} pages, more than {MAX_PAGES:,}; split it.")
            with contextlib.closing(RuledTables(data)) as ruled:
                pages = [page_lines(document, number, ruled) for number in range(len(document))]
            known = document.get_metadata_dict()
        finally:
            document.close()
    if not any(line.text or line.table for lines in pages for line in lines):
        raise DocumentError("The PDF holds no text, only pictures of pages; run OCR over it and save the result.")
    lines = _without_furniture(pages)
    return "\n".join(_blocks(lines)), Properties(title=known.get("Title", ""), author=known.get("Author", ""))


def _check_streams(data: bytes, max_unpacked_bytes: int) -> None:
    """Refuse a PDF whose streams unpack to too much, without ever holding them. Pictures are never unpacked."""
    total = 0
    for found in STREAM.finditer(data):
        head = data[max(0, found.start() - 400) : found.start()]
        head = head[head.rfind(b" obj") + 1 :]
        if b"/Image" in head or b"FlateDecode" not in head:
            continue
        if head.count(b"FlateDecode") + head.count(b"LZWDecode") > 1:
            raise DocumentError("The PDF packs a stream twice, as a bomb does; save it again.")
        unpack = zlib.decompressobj()
        end = data.find(b"endstream", found.end())
        rest = data[found.end() : end if end > 0 else len(data)]
        try:
            while rest:
                total += len(unpack.decompress(rest, CHUNK_BYTES))
                rest = unpack.unconsumed_tail
                if total > max_unpacked_bytes:
                    raise DocumentError(
                        f"The PDF unpacks to more than {max_unpacked_bytes / 1e6:,.0f} MB; split it, or raise "
                        "documents.max_unpacked_bytes."
                    )
        except zlib.error:
            continue  # damaged or encrypted: pdfium says so


# --------------------------------------------------------------------------------------------- lines to paragraphs


def _without_furniture(pages: list[list[Line]]) -> list[Line]:
    """All lines but running headers and footers, page numbers and tables of contents."""
    seen = Counter(key for lines in pages for key in {_running(line) for line in lines if line.is_edge and line.text})
    often = max(2, round(0.4 * len(pages)))
    kept = []
    for line in (line for lines in pages for line in lines):
        runs = line.is_edge and bool(line.text) and len(pages) > 1 and seen[_running(line)] >= often
        if not runs and not (line.is_edge and PAGE_NUMBER.match(line.text)) and not CONTENTS_LINE.search(line.text):
            kept.append(line)
    return kept


def _running(line: Line) -> str:
    """The line with every number as "#", and its height on the page in steps: it returns a little higher or lower."""
    return f"{re.sub(r'[0-9]+', '#', line.text.casefold())}@{line.y // 12}"


def _blocks(lines: list[Line]) -> Iterator[str]:
    """The lines as HTML: paragraphs, list items, emphatic paragraphs and tables."""
    letters: Counter[int] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    body = letters.most_common(1)[0][0] if letters else 20
    bold_letters = sum(len(line.text) for line in lines if line.is_bold)
    bold_tells = bold_letters * 2 < sum(letters.values())
    words = {word.strip(".,;:()").casefold() for line in lines for word in line.text.split()}
    indents: list[float] = []
    for group in _groups(lines, body):
        first = group[0]
        if first.table:
            yield _table_html(group)
            continue
        text = _joined(group, words)
        stands_out = first.size * 10 >= body * 11 or (bold_tells and all(line.is_bold for line in group))
        bullet = BULLET.match(text)
        if stands_out and reads_like_heading(text) and not (bullet and bullet.group(1) in GLYPH_BULLETS):
            indents = []
            yield f'<p data-page="{first.page}" class="emphatic-{first.size}">{escape(text)}</p>'
        elif bullet:
            while indents and first.left < indents[-1] - 3:
                indents.pop()
            if not indents or first.left > indents[-1] + 3:
                indents.append(first.left)
            marker = "-" if bullet.group(1) in GLYPH_BULLETS else bullet.group(1)
            yield (
                f'<p data-page="{first.page}" class="item" data-depth="{len(indents) - 1}" '
                f'data-marker="{escape(marker)}">{escape(text[bullet.end() :])}</p>'
            )
        else:
            if indents and first.left < indents[0] + 3:
                indents = []
            yield f'<p data-page="{first.page}">{escape(text)}</p>'


def _groups(lines: list[Line], body: int) -> Iterator[list[Line]]:
    """Lines that belong to one paragraph, item, heading or table."""
    pitch = _pitch(lines, body)
    margins: dict[int, float] = {}
    for line in lines:
        margins[line.page] = max(margins.get(line.page, 0), line.right)
    group: list[Line] = []
    for line in lines:
        if group and not _continues(group, line, pitch, margins[group[-1].page]):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _continues(group: list[Line], line: Line, pitch: float, margin: float) -> bool:
    first, before = group[0], group[-1]
    if before.table or line.table:
        widths = {len(rows[0]) for rows in (before.table, line.table) if rows}
        return bool(before.table and line.table) and len(widths) == 1 and line.page == before.page + 1
    if (line.size, line.is_bold) != (before.size, before.is_bold) and not _mixes(before, line):
        return False
    if line.page != before.page:
        return not before.text.endswith(SENTENCE_END) and line.text[:1].islower()
    if BULLET.match(line.text) and not (before.text.endswith("-") or line.text[:2] in ("a ", "i ")):
        return False
    gap = line.y - before.y
    if gap < 0:  # the top of the next column
        return not before.text.endswith(SENTENCE_END) and line.text[:1].islower()
    if gap > 1.3 * max(pitch, before.size / 2 * 1.15):
        return False
    if before.text.endswith(SENTENCE_END) and before.right < margin - 0.15 * (margin - first.left):
        return False
    is_indented = line.left > before.left + 10 and len(group) > 1
    return not (is_indented and before.text.endswith(SENTENCE_END))


def _mixes(before: Line, line: Line) -> bool:
    """Whether two lines of one size may be one paragraph though one is bold: a bold beginning that fills its line."""
    return (
        line.size == before.size and before.is_bold and not reads_like_heading(before.text) and line.text[:1].islower()
    )


def _pitch(lines: list[Line], body: int) -> float:
    """The usual distance between lines of body text."""
    gaps: Counter[float] = Counter()
    for before, line in pairwise(lines):
        gap = line.y - before.y
        if before.page == line.page and before.size == line.size == body and 0 < gap < body * 2:
            gaps[round(gap, 1)] += 1
    return gaps.most_common(1)[0][0] if gaps else body * 0.6


def _joined(group: list[Line], words: set[str]) -> str:
    """The text of the lines. A hyphen that ends a line goes where the document has the word without it."""
    text = group[0].text
    for line in group[1:]:
        if text.endswith("-") and line.text[:1].islower() and len(text) > 1 and text[-2].isalpha():
            left, right = text.rsplit(None, 1)[-1], line.text.split(None, 1)[0].strip(".,;:()")
            whole = (left[:-1] + right).casefold().lstrip("(")
            text = (text[:-1] if whole in words else text) + line.text
        else:
            text = f"{text} {line.text}"
    return text


def _table_html(group: list[Line]) -> str:
    """A table, continued over pages; a head that is said again on a page is said once."""
    rows = [*group[0].table, *(row for part in group[1:] for row in part.table if row != group[0].table[0])]
    cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table data-page="{group[0].page}">{cells}</table>'
