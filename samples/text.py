"""The plain text of a sample document, by the shortest way there is.

Enters: the path of a file in `samples/handbook`. Leaves: its words in reading order, running lines and marks included.
It shares no code with the product, so that the checks of `samples.check` do not lean on what they are there to test.
"""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import docx
import openpyxl
import pypdf
from docx.oxml.ns import qn


def text_of(path: Path) -> str:
    """Everything that a person can read in the file; table cells follow each other row by row."""
    match path.suffix:
        case ".docx":
            return _docx_text(path)
        case ".pdf":
            return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
        case ".xlsx":
            sheets = openpyxl.load_workbook(path).worksheets
            return "\n".join(str(cell) for sheet in sheets for row in sheet.values for cell in row)
        case ".csv":
            with path.open(encoding="utf-8", newline="") as lines:
                return "\n".join(cell for row in csv.reader(lines) for cell in row)
        case ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
            return "\n".join(value for row in rows for value in row.values())
        case ".html":
            reader = _HtmlText()
            reader.feed(path.read_text(encoding="utf-8"))
            return "\n".join(reader.pieces)
        case ".md":
            return re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        case ".txt":
            return path.read_text(encoding="utf-8")
        case _:
            raise ValueError(f"{path} is of no kind that the sample handbook has.")


def _docx_text(path: Path) -> str:
    """Paragraphs in the order of the file, which is also how the cells of a table and a text box lie in it."""
    document = docx.Document(str(path))
    notes = [
        re.sub(r"<[^>]+>", " ", relation.target_part.blob.decode())
        for relation in document.part.rels.values()
        if relation.reltype.endswith("/footnotes")
    ]
    paragraphs = [
        "".join(node.text or "" for node in paragraph.iter(qn("w:t")))
        for paragraph in document.element.body.iter(qn("w:p"))
    ]
    return "\n".join(paragraphs + notes)


class _HtmlText(HTMLParser):
    """Collects text outside of <style>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._is_hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._is_hidden = False

    def handle_data(self, data: str) -> None:
        if not self._is_hidden and data.strip():
            self.pieces.append(data.strip())
