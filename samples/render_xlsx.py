"""Write a sample FAQ as an Excel sheet.

Enters: a YAML file of `samples/sources` with title, author, date, sheet name and rows of question, answer, category.
Leaves: an .xlsx file with one sheet and a frozen head row.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path

import yaml
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.worksheet.worksheet import Worksheet
from pydantic import BaseModel, ConfigDict

HEAD = ("Question", "Answer", "Category")
WIDTHS = {"A": 42, "B": 90, "C": 18}


class FaqRow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str
    category: str


class Faq(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    author: str
    created: date
    sheet: str
    rows: tuple[FaqRow, ...]


def render_xlsx(source: Path, path: Path) -> None:
    """Write the questions of `source` to `path`."""
    faq = Faq.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    book = Workbook()
    book.properties.title, book.properties.creator = faq.title, faq.author
    book.properties.created = datetime.combine(faq.created, time(9))
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = faq.sheet
    sheet.append(HEAD)
    for row in faq.rows:
        sheet.append((row.question, row.answer, row.category))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for column, width in WIDTHS.items():
        sheet.column_dimensions[column].width = width
        for cell in sheet[column]:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "A2"
    book.save(path)
