"""Turn csv and xlsx files, and JSON question-and-answer files, into blocks.

Enters: the bytes of a file. Leaves: `Table`: its blocks, and what its rows say about who may read it.

A file with a column of questions and one of answers is an FAQ: every pair is a paragraph, the answer, under a
heading, the question (below its category). Any other table becomes rows that carry their column heads. JSON is read
in the Alpaca form, `[{"instruction": …, "input": …, "output": …}]`, or with `question` and `answer`. Hidden sheets,
rows and columns are left out.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice

import openpyxl

from config.errors import DocumentError
from config.settings import Audience
from knowledge.archive import open_archive
from knowledge.convert import decode, markdown_to_html
from knowledge.metadata import check_audience, check_countries
from knowledge.outline import Block, BlockKind
from knowledge.structure import structure
from knowledge.table import Cell, table_rows

MAX_ROWS = 100_000
QUESTION = {"question", "questions", "q", "faq", "employee question", "frage", "pregunta", "vraag"}
ANSWER = {
    "answer",
    "answers",
    "a",
    "response",
    "reply",
    "hr answer",
    "antwort",
    "réponse",
    "reponse",
    "respuesta",
    "antwoord",
}
CATEGORY = {"category", "section", "topic", "subject", "theme", "area", "kategorie", "thema"}
COUNTRY = {"country", "countries", "region", "location"}
AUDIENCE = {"audience"}
STRICTNESS = (Audience.ALL, Audience.MANAGERS, Audience.HR)
LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)


@dataclass(frozen=True)
class Table:
    """Blocks, and the strictest audience and the only countries that the rows name (None: they name none)."""

    blocks: tuple[Block, ...]
    audience: Audience | None = None
    countries: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Pair:
    question: str
    answer: str
    category: str = ""
    audience: Audience | None = None
    countries: tuple[str, ...] = ()


def convert_csv(data: bytes) -> Table:
    """A csv file (comma, semicolon, tab or bar)."""
    text = decode(data)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
        dialect.doublequote = True  # the sniffer's guess, which misreads a first row without quotes
    except csv.Error:
        dialect = csv.excel
    try:
        rows = list(islice(csv.reader(io.StringIO(text, newline=""), dialect, strict=True), MAX_ROWS + 1))
    except csv.Error as error:
        raise DocumentError(f"The table is damaged ({error}); save it again as csv.") from error
    return _together([_sheet(rows, ())])


def convert_xlsx(data: bytes, max_unpacked_bytes: int) -> Table:
    """Every visible sheet of a workbook; more than one sheet: each under its name."""
    open_archive(data, max_unpacked_bytes).close()
    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True, read_only=True)
    try:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        tables = []
        for sheet in sheets:
            rows = [
                [_shown(cell.value, str(cell.number_format)) for cell in row]
                for row in islice(sheet.rows, MAX_ROWS + 1)
            ]
            tables.append(_sheet(rows, (str(sheet.title),) if len(sheets) > 1 else ()))
    finally:
        book.close()
    return _together(tables)


def convert_json(data: bytes) -> Table:
    """Alpaca rows, or objects with question and answer."""
    try:
        rows = json.loads(decode(data))
    except (json.JSONDecodeError, RecursionError) as error:
        line = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DocumentError(f"The file is not valid JSON{line}; mend it.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DocumentError(
            'The JSON is no list of {"instruction": …, "input": …, "output": …}; write it in that form.'
        )
    pairs = []
    for number, row in enumerate(rows, 1):
        texts = {str(key).casefold(): value.strip() for key, value in row.items() if isinstance(value, str)}
        question = " ".join(filter(None, (texts.get("instruction") or texts.get("question"), texts.get("input"))))
        answer = texts.get("output") or texts.get("answer") or ""
        if not question or not answer:
            raise DocumentError(f"Row {number} has no instruction or no output; give it both, or remove it.")
        pairs.append(_pair(question, answer, texts, f"Row {number}"))
    return _together([_faq(pairs, ())])


# ------------------------------------------------------------------------------------------------------ the rows


def _sheet(rows: list[list[str]], path: tuple[str, ...]) -> Table:
    if len(rows) > MAX_ROWS:
        raise DocumentError(
            f"The table has more than {MAX_ROWS:,} rows; split it, or leave data that is no policy out."
        )
    rows = [[re.sub(r"[ \t]+", " ", text).strip() for text in row] for row in rows]
    start = next((n for n, row in enumerate(rows) if sum(map(bool, row)) > 1), len(rows))
    titles = [text for row in rows[:start] for text in row if text]
    rows = [row for row in rows[start:] if any(row)]
    blocks = tuple(Block(BlockKind.PARAGRAPH, _line(text), path) for text in titles)
    names = [text.casefold().rstrip("?:") for text in rows[0]] if rows else []
    question, answer = _column(names, QUESTION), _column(names, ANSWER)
    if question is None or answer is None:
        return Table((*blocks, *_rows(rows, path)))
    pairs = []
    for number, row in enumerate(rows[1:], start + 2):
        row = row + [""] * (len(names) - len(row))
        if row[question] and row[answer]:
            texts = {name: text for name, text in zip(names, row, strict=False) if text}
            pairs.append(_pair(row[question], row[answer], texts, f"Row {number}"))
    faq = _faq(pairs, path)
    return Table((*blocks, *faq.blocks), faq.audience, faq.countries)


def _rows(rows: list[list[str]], path: tuple[str, ...]) -> list[Block]:
    if rows and max(map(len, rows)) < 2:
        return [Block(BlockKind.PARAGRAPH, _line(row[0]), path) for row in rows]
    found = table_rows([[Cell(_line(text), is_head=number == 0) for text in row] for number, row in enumerate(rows)])
    return [Block(BlockKind.TABLE_ROW, " | ".join(row.cells), path, cells=row.cells, head=row.head) for row in found]


def _column(names: list[str], wanted: set[str]) -> int | None:
    return next((n for n, name in enumerate(names) if name in wanted), None)


def _pair(question: str, answer: str, texts: dict[str, str], where: str) -> _Pair:
    def under(wanted: set[str]) -> str:
        return next((text for name, text in texts.items() if name in wanted), "")

    audience, country = under(AUDIENCE), under(COUNTRY)
    everywhere = country.casefold() in ("", "all", "any", "global", "worldwide", "*")
    return _Pair(
        _line(question),
        answer,
        _line(under(CATEGORY)),
        check_audience(audience, where) if audience else None,
        () if everywhere else check_countries(country, where),
    )


def _faq(pairs: list[_Pair], path: tuple[str, ...]) -> Table:
    """Pairs as blocks. Countries that differ between rows stand in the headings: a file has one set of them."""
    countries = {pair.countries for pair in pairs}
    same = len(countries) == 1
    blocks: list[Block] = []
    for pair in pairs:
        place = ", ".join(pair.countries) if not same else ""
        under = (*path, *filter(None, (pair.category, place)), pair.question)
        blocks.extend(_answer(pair.answer, under))
    named = [pair.audience for pair in pairs if pair.audience]
    return Table(
        tuple(blocks),
        max(named, key=STRICTNESS.index) if named else None,
        pairs[0].countries if pairs and same and pairs[0].countries else None,
    )


def _answer(text: str, path: tuple[str, ...]) -> list[Block]:
    """One paragraph; an answer with lists or empty lines is read as the small Markdown document that it is."""
    if not LISTED.search(text) and not re.search(r"\n\s*\n", text):
        return [Block(BlockKind.PARAGRAPH, _line(text), path)]
    return [
        Block(b.kind, b.text, (*path, *b.heading_path), None, b.depth, b.marker, b.cells, b.head)
        for b in structure(markdown_to_html(text)).blocks
    ]


def _together(tables: list[Table]) -> Table:
    audiences = [table.audience for table in tables if table.audience]
    countries = {table.countries for table in tables}
    return Table(
        tuple(block for table in tables for block in table.blocks),
        max(audiences, key=STRICTNESS.index) if audiences else None,
        countries.pop() if len(countries) == 1 else None,
    )


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _shown(value: object, number_format: str) -> str:
    """A cell as the sheet shows it: 0.05 in a percent column is 5%, and 45 in a currency column £45."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    if not isinstance(value, int | float):
        return str(value)
    if "%" in number_format:
        return f"{round(value * 100, 6):g}%"
    digits = f"{value:,.2f}" if ".00" in number_format else f"{value:.12g}"
    digits = f"{value:,.0f}" if re.search(r"#,##0(?!\.)", number_format) and value == int(value) else digits
    sign = re.search(r"[$£€¥₹]", re.sub(r"\[\$([^\]-]*)[^\]]*\]", r"\1", number_format))
    if not sign:
        return digits
    return (
        f"{digits} {sign.group(0)}"
        if number_format.rstrip('"; ').endswith(sign.group(0))
        else f"{sign.group(0)}{digits}"
    )
