"""Read a PDF's pages into lines of text and ruled tables.

Enters: a page that pdfium opened. Leaves: its lines in reading order, with their place, size and weight; a table
stands as one line. Pages in two columns are read column by column.

pdfium may not be called from two threads: whoever calls holds a lock.
"""

from __future__ import annotations

import ctypes
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass

import pdfplumber
import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]
from pdfplumber.pdf import PDF

EDGE = 0.12  # running headers and footers stand in the top and bottom eighth of a page
MIN_COLUMN_ROWS = 8

Rows = tuple[tuple[str, ...], ...]
_Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class _Char:
    text: str
    left: float
    right: float
    y: float  # of the baseline, from the top of the page
    size: float
    is_bold: bool
    follows_space: bool


@dataclass(frozen=True)
class Line:
    """One line of text, in points from the top left of the page; or a table in place of text."""

    text: str
    page: int
    left: float
    right: float
    y: float
    size: int  # half points
    is_bold: bool
    is_edge: bool = False
    table: Rows = ()


class RuledTables:
    """Tables drawn with rules, by page. pdfplumber is 50 times slower than pdfium, so only where rules are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pdf: PDF | None = None

    def on_page(self, number: int) -> list[tuple[_Box, Rows]]:
        """The tables of a page (counted from 0) that have at least two rows and two columns."""
        if self._pdf is None:
            self._pdf = pdfplumber.open(io.BytesIO(self._data))
        page = self._pdf.pages[number]
        found = []
        for table in page.find_tables():
            rows = tuple(tuple(re.sub(r"\s+", " ", cell or "").strip() for cell in row) for row in table.extract())
            rows = tuple(row for row in rows if any(row))
            filled = sum(bool(cell) for row in rows for cell in row)
            if len(rows) > 1 and len(rows[0]) > 1 and filled * 2 >= len(rows) * len(rows[0]):
                left, top, right, bottom = table.bbox
                found.append(((float(left), float(top), float(right), float(bottom)), rows))
        page.close()
        return found

    def close(self) -> None:
        """Let go of the document."""
        if self._pdf is not None:
            self._pdf.close()


def page_lines(document: pypdfium2.PdfDocument, number: int, ruled: RuledTables) -> list[Line]:
    page = document[number]
    try:
        width, height = page.get_size()
        chars = _chars(page, height)
        rules = sum(1 for _ in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH], max_depth=2))
    finally:
        page.close()
    tables = ruled.on_page(number) if rules >= 4 and chars else []
    for box, _ in tables:
        chars = [char for char in chars if not _lies_in(char, box)]
    lines = [line for group in _columns(chars, width) for line in _lines(group, number + 1, height)]
    for (left, top, right, _), rows in tables:
        place = next((n for n, line in enumerate(lines) if line.y > top), len(lines))
        lines.insert(place, Line("", number + 1, left, right, top, 0, False, table=rows))
    return lines


def _chars(page: pypdfium2.PdfPage, height: float) -> list[_Char]:
    text_page = page.get_textpage()
    found: list[_Char] = []
    x, y = ctypes.c_double(), ctypes.c_double()
    box = pdfium.FS_RECTF()  # with the letter's own space: between two tight boxes of "11" is a gap like a blank's
    name, flags, matrix = ctypes.create_string_buffer(128), ctypes.c_int(), pdfium.FS_MATRIX()
    follows_space = False
    try:
        for index in range(text_page.count_chars()):
            code = pdfium.FPDFText_GetUnicode(text_page, index)
            text = "-" if code == 2 else chr(code)  # pdfium marks a hyphen at the end of a line so
            if text.isspace() or code in (0, 0xAD, 0xFFFE, 0xFFFF):
                follows_space = follows_space or text.isspace()
                continue
            if not pdfium.FPDFText_GetLooseCharBox(text_page, index, ctypes.byref(box)):
                continue
            pdfium.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
            pdfium.FPDFText_GetMatrix(text_page, index, ctypes.byref(matrix))
            name.value = b""
            pdfium.FPDFText_GetFontInfo(text_page, index, name, 128, ctypes.byref(flags))
            is_bold = bool(re.search(rb"bold|black|heavy|semib", name.value.lower()))
            is_bold = is_bold or pdfium.FPDFText_GetFontWeight(text_page, index) >= 600
            size = pdfium.FPDFText_GetFontSize(text_page, index) * (abs(matrix.d) or 1)
            found.append(_Char(text, box.left, box.right, height - y.value, size, is_bold, follows_space))
            follows_space = False
    finally:
        text_page.close()
    return found


def _lies_in(char: _Char, box: _Box) -> bool:
    left, top, right, bottom = box
    return left - 1 <= (char.left + char.right) / 2 <= right + 1 and top - 1 <= char.y - char.size / 3 <= bottom + 1


def _columns(chars: list[_Char], width: float) -> list[list[_Char]]:
    """The letters in reading order, as groups: one, or where a page is set in two columns, left before right."""
    rows = _rows(chars)
    gutter = _gutter(rows, width)
    if gutter is None:
        return [chars]
    groups: list[list[_Char]] = []
    left: list[_Char] = []
    right: list[_Char] = []
    for row in rows:
        if any(char.left < gutter < char.right or abs(char.left - gutter) < 4 for char in row):
            groups += [left, right, row]
            left, right = [], []
        else:
            left += [char for char in row if char.right <= gutter]
            right += [char for char in row if char.left >= gutter]
    return [group for group in (*groups, left, right) if group]


def _gutter(rows: list[list[_Char]], width: float) -> float | None:
    """The middle of the gap between two columns of running text, None where there is none."""
    gaps = [
        (before.right, after.left)
        for row in rows
        for before, after in itertools.pairwise(row)
        if after.left - before.right > 10 and 0.3 * width < (before.right + after.left) / 2 < 0.7 * width
    ]
    if len(gaps) < MIN_COLUMN_ROWS:
        return None
    for percent in range(35, 66):
        x = width * percent / 100
        if sum(left + 5 <= x <= right - 5 for left, right in gaps) < MIN_COLUMN_ROWS:
            continue
        clear = [row for row in rows if not any(char.left - 5 < x < char.right + 5 for char in row)]
        both = [row for row in clear if row[0].left < x < row[-1].right]
        if len(both) < MIN_COLUMN_ROWS or len(both) * 10 < len(rows) * 6:
            continue
        # columns of text are filled with words; what has few letters on one side is a table
        sides = [
            sum(1 for row in both for char in row if (char.left < x) is is_left) / len(both)
            for is_left in (True, False)
        ]
        if min(sides) >= 22:
            return x
    return None


def _rows(chars: list[_Char]) -> list[list[_Char]]:
    """Letters on one baseline, from left to right; a raised or lowered letter belongs to its line."""
    rows: list[list[_Char]] = []
    for char in sorted(chars, key=lambda c: c.y):
        if rows and char.y - rows[-1][0].y <= 0.45 * max(char.size, rows[-1][0].size):
            rows[-1].append(char)
        else:
            rows.append([char])
    return [sorted(row, key=lambda c: c.left) for row in rows]


def _lines(chars: list[_Char], page: int, height: float) -> list[Line]:
    lines = []
    for row in _rows(chars):
        text = ""
        end = row[0].left
        for char in row:
            gap = char.left - end
            if text and (gap > 0.2 * char.size or (char.follows_space and gap > 0.05 * char.size)):
                text += " "
            text += char.text
            end = max(end, char.right)
        sizes = Counter(round(char.size * 2) for char in row)
        y = max(char.y for char in row)
        edge = not EDGE * height < y < (1 - EDGE) * height
        bold = all(char.is_bold for char in row if char.text.isalnum())
        lines.append(Line(text, page, row[0].left, end, y, sizes.most_common(1)[0][0], bold, edge))
    return lines
