"""Lay out a sample text as a PDF, with a running header and footer on every page.

Enters: a `Source`. Leaves: a .pdf file, the same bytes each time. Only the built-in Helvetica is used, so texts must
stay within the Windows Latin-1 characters. Merged cells, text boxes and footnotes are left to Word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, SimpleDocTemplate, Spacer
from reportlab.platypus import Paragraph as PdfParagraph
from reportlab.platypus import Table as PdfTable

from samples.source import FrontMatter, Heading, Item, Paragraph, Run, Source, Table

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=6)
CELL = ParagraphStyle("cell", parent=BODY, fontSize=9, leading=11.5, spaceAfter=0)
HEADINGS = {
    1: ParagraphStyle("title", parent=BODY, fontName="Helvetica-Bold", fontSize=18, leading=23, spaceAfter=12),
    2: ParagraphStyle("heading", parent=BODY, fontName="Helvetica-Bold", fontSize=12, spaceBefore=8, keepWithNext=1),
}
MARGIN = 22 * mm


def render_pdf(source: Source, path: Path) -> None:
    """Write `source` to `path`."""
    front = source.front
    document = SimpleDocTemplate(
        str(path), pagesize=A4, invariant=1, title=front.title, author=front.author,
        leftMargin=MARGIN, rightMargin=MARGIN, topMargin=28 * mm, bottomMargin=25 * mm,
    )  # fmt: skip

    def running_lines(canvas: Canvas, _: BaseDocTemplate) -> None:
        _draw_running_lines(canvas, front)

    document.build(list(_flowables(source, document.width)), onFirstPage=running_lines, onLaterPages=running_lines)


def _draw_running_lines(canvas: Canvas, front: FrontMatter) -> None:
    width, height = A4
    canvas.saveState()
    canvas.setFont("Helvetica", 8)
    canvas.drawString(MARGIN, height - 15 * mm, front.header)
    canvas.line(MARGIN, height - 17 * mm, width - MARGIN, height - 17 * mm)
    canvas.drawString(MARGIN, 13 * mm, front.footer)
    canvas.drawRightString(width - MARGIN, 13 * mm, f"Page {canvas.getPageNumber()}")
    canvas.restoreState()


def _flowables(source: Source, width: float) -> Iterator[Flowable]:
    for block in source.blocks:
        match block:
            case Heading():
                yield PdfParagraph(escape(block.text), HEADINGS[block.level])
            case Paragraph():
                yield PdfParagraph(_markup(block.runs), BODY)
            case Item():
                yield _item(block)
            case Table():
                yield _table(block, width)
                yield Spacer(0, 8)
            case _:
                raise ValueError(f"A {type(block).__name__} cannot be laid out as PDF; use a docx for it.")


def _markup(runs: tuple[Run, ...]) -> str:
    text = ""
    for run in runs:
        piece = escape(run.text)
        piece = f"<b>{piece}</b>" if run.bold else piece
        text += f"<i>{piece}</i>" if run.italic else piece
    return text


def _item(item: Item) -> PdfParagraph:
    indent = (item.depth + 1) * 14
    style = ParagraphStyle("item", parent=BODY, leftIndent=indent, bulletIndent=indent - 12, spaceAfter=3)
    return PdfParagraph(_markup(item.runs), style, bulletText="•" if item.number is None else f"{item.number}.")


def _table(table: Table, width: float) -> PdfTable:
    head = 1 if table.has_head else 0
    cells = [
        [PdfParagraph(f"<b>{escape(text)}</b>" if number < head else escape(text), CELL) for text in row]
        for number, row in enumerate(table.rows)
    ]
    columns = len(table.rows[0])
    first = width * (0.34 if columns < 4 else 0.3)
    widths = [first] + [(width - first) / (columns - 1)] * (columns - 1)
    written = PdfTable(cells, colWidths=widths, repeatRows=head)
    written.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
            ("BACKGROUND", (0, 0), (-1, head - 1), colors.whitesmoke if head else colors.white),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    return written
