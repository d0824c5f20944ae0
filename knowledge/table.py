"""Turn a table of cells, as HTML describes it, into rows that carry their column heads.

Enters: rows of `Cell`, with spans. Leaves: `TableRow`s, all of the same width except full-width text.

A cell that spans rows or columns is said again in each of them, so that a row can be read alone. A short text across
the whole width ("Part-time employees") is the `group` of the rows below it. Where the format marks no head row, the
first row is taken as the head if it looks like one; a table that is headed by its first column (label | value) has no
head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_COLUMNS = 200
MAX_GROUP_WORDS = 12
MAX_HEAD_WORDS = 8
MAX_HEAD_ROWS = 3
# A cell that is an amount, a date, a percentage or a duration is a value, not a column's name.
VALUE = re.compile(r"^[\W_]*(?:[A-Z]{3}\s)?\d[\d.,:/\s-]*(?:%|[a-z]{1,7})?[\W_]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """One cell as it is written; `columns` and `rows` are how many it spans."""

    text: str
    is_head: bool = False
    is_bold: bool = False
    columns: int = 1
    rows: int = 1


EMPTY = Cell("")


@dataclass(frozen=True)
class TableRow:
    """One row. `group` is the full-width label above it, "" when there is none. One cell alone is full-width text."""

    cells: tuple[str, ...]
    head: tuple[str, ...] = ()
    group: str = ""


def table_rows(rows: list[list[Cell]]) -> list[TableRow]:
    """The rows of a table without its head.

    >>> table_rows([[Cell("Grade", True), Cell("Days", True)], [Cell("A"), Cell("25")]])
    [TableRow(cells=('A', '25'), head=('Grade', 'Days'), group='')]
    """
    grid = [row for row in _grid(rows) if any(cell.text for cell in row)]
    title = grid.pop(0)[0].text if len(grid) > 1 and _is_full_width(grid[0]) else ""
    heads = _head_rows(grid)
    body = grid[len(heads) :]
    if not body:  # a head of nothing is itself the content
        heads, body = [], heads
    head = _head(heads)
    found = [TableRow((title,))] if title else []
    group = ""
    for position, row in enumerate(body):
        if not _is_full_width(row):
            found.append(TableRow(tuple(cell.text for cell in row), head, group))
        elif _is_label(row[0].text) and position + 1 < len(body) and not _is_full_width(body[position + 1]):
            group = row[0].text
        else:
            found.append(TableRow((row[0].text,), group=group))
    return found


def looks_like_head(row: list[Cell], rest: list[list[Cell]]) -> bool:
    """Whether the first row names the columns, in a table that does not mark its head."""
    texts = [cell.text for cell in row]
    named = [text for text in texts if text]
    if not rest or len(named) < max(2, len(texts) - 1) or len(set(named)) < len({id(c) for c in row if c.text}):
        return False
    if any(VALUE.match(text) or len(text.split()) > MAX_HEAD_WORDS or text.endswith((".", ";")) for text in named):
        return False
    if all(cell.is_bold for cell in row if cell.text):
        return not all(cell.is_bold for line in rest for cell in line if cell.text)
    labels = [line[0] for line in (row, *rest) if line[0].text]
    if labels and (
        all(cell.is_bold for cell in labels) or sum(c.text.endswith(":") for c in labels) * 2 >= len(labels)
    ):
        return False  # headed by its first column
    if len(row) > 2:
        return True
    # two columns: "Grade | Days" over values, or "Owner | HR team" among its like; only values below tell
    values = [line[1].text for line in rest]
    telling = sum(any(c.isdigit() for c in text) or len(text.split()) > 6 for text in values)
    return telling * 2 >= len(values) and not any(c.isdigit() for c in texts[1])


def _grid(rows: list[list[Cell]]) -> list[list[Cell]]:
    """All rows with the same number of cells: a span is filled with its cell, what is missing with empty cells."""
    grid: list[list[Cell]] = []
    hanging: dict[int, tuple[Cell, int]] = {}  # column: the cell that reaches down, and for how many rows more
    for row in rows:
        line = {column: cell for column, (cell, _) in hanging.items()}
        hanging = {column: (cell, left - 1) for column, (cell, left) in hanging.items() if left > 1}
        column = 0
        for cell in row:
            while column in line:
                column += 1
            for place in range(column, min(column + cell.columns, MAX_COLUMNS)):
                line[place] = cell
                if cell.rows > 1:
                    hanging[place] = (cell, cell.rows - 1)
        grid.append([line.get(place, EMPTY) for place in range(max(line, default=-1) + 1)])
    width = max((len(line) for line in grid), default=0)
    return [line + [EMPTY] * (width - len(line)) for line in grid]


def _head_rows(grid: list[list[Cell]]) -> list[list[Cell]]:
    heads: list[list[Cell]] = []
    for row in grid[:MAX_HEAD_ROWS]:
        if not all(cell.is_head for cell in row if cell.text):
            break
        heads.append(row)
    if not heads and grid and looks_like_head(grid[0], grid[1:]):
        heads.append(grid[0])
    return heads


def _head(rows: list[list[Cell]]) -> tuple[str, ...]:
    """One name per column: "2026" over "Days" is "2026 Days"."""
    return tuple(
        " ".join(dict.fromkeys(cell.text for cell in column if cell.text)) for column in zip(*rows, strict=True)
    )


def _is_full_width(row: list[Cell]) -> bool:
    return len(row) > 1 and bool(row[0].text) and all(cell is row[0] for cell in row)


def _is_label(text: str) -> bool:
    return len(text.split()) <= MAX_GROUP_WORDS and not text.endswith((".", "!", ";"))
