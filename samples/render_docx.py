"""Lay out a sample text as a Word document, with the habits of real ones.

Enters: a `Source`. Leaves: a .docx file. The front matter decides the habits: `headings: bold` writes headings as bold
paragraphs without a heading style, `tables: plain` leaves the head row looking like any other. Every document has a
running header, a footer with page numbers, and core properties.

python-docx writes neither footnotes nor text boxes, so these two are put together here as Word writes them: the text
box twice, as DrawingML and as its VML fallback.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from xml.sax.saxutils import escape

import docx
from docx.document import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from docx.shared import Mm, Pt
from docx.table import _Cell, _Row
from docx.text.paragraph import Paragraph as DocxParagraph

from samples.source import ABOVE, LEFT, Box, FrontMatter, Heading, Item, Paragraph, Run, Source, Table

WORD = nsdecls("w")
DRAWING = (
    WORD + ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    ' xmlns:v="urn:schemas-microsoft-com:vml"'
)
# Word reserves the first two footnotes for the line that separates notes from text.
FIRST_FOOTNOTE = 2


def render_docx(source: Source, path: Path) -> None:
    """Write `source` to `path`."""
    document = docx.Document()
    document.styles["Normal"].font.size = Pt(10.5)
    _set_properties(document, source.front)
    _set_running_lines(document, source.front)
    notes: list[str] = []
    for block in source.blocks:
        match block:
            case Heading():
                _add_heading(document, block, source.front.headings == "styled")
            case Paragraph():
                _add_runs(document.add_paragraph(), block.runs, notes)
            case Item():
                _add_item(document, block, notes)
            case Table():
                _add_table(document, block, source.front.tables == "headed")
            case Box():
                _add_box(document, block.text)
    if notes:
        _add_footnotes_part(document, notes)
    document.save(str(path))


def _set_properties(document: Document, front: FrontMatter) -> None:
    moment = datetime.combine(front.created, time(9), UTC)
    properties = document.core_properties
    properties.title, properties.author, properties.last_modified_by = front.title, front.author, front.author
    properties.created = properties.modified = moment
    properties.comments = ""
    properties.revision = 1


def _set_running_lines(document: Document, front: FrontMatter) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.header.paragraphs[0].text = front.header
    footer = section.footer.paragraphs[0]
    footer.add_run(f"{front.footer} · Page ")
    _add_field(footer, "PAGE")
    footer.add_run(" of ")
    _add_field(footer, "NUMPAGES")
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _add_field(paragraph: DocxParagraph, code: str) -> None:
    paragraph._p.append(parse_xml(f'<w:fldSimple {WORD} w:instr="{code}"><w:r><w:t>1</w:t></w:r></w:fldSimple>'))


def _add_heading(document: Document, heading: Heading, is_styled: bool) -> None:
    if is_styled:
        document.add_heading(heading.text, 0 if heading.level == 1 else heading.level - 1)
        return
    run = document.add_paragraph().add_run(heading.text)
    run.bold = True
    if heading.level == 1:
        run.font.size = Pt(16)


def _add_runs(paragraph: DocxParagraph, runs: tuple[Run, ...], notes: list[str]) -> None:
    for run in runs:
        if run.footnote:
            reference = f'<w:footnoteReference w:id="{FIRST_FOOTNOTE + len(notes)}"/>'
            style = '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr>'
            paragraph._p.append(parse_xml(f"<w:r {WORD}>{style}{reference}</w:r>"))
            notes.append(run.footnote)
        else:
            written = paragraph.add_run(run.text)
            written.bold, written.italic = run.bold or None, run.italic or None


def _add_item(document: Document, item: Item, notes: list[str]) -> None:
    kind = "List Bullet" if item.number is None else "List Number"
    paragraph = document.add_paragraph(style=kind if item.depth == 0 else f"{kind} {item.depth + 1}")
    if item.number == 1:
        _start_numbering(document, paragraph)
    elif item.number is not None:
        _continue_numbering(document, paragraph)
    _add_runs(paragraph, item.runs, notes)


def _start_numbering(document: Document, paragraph: DocxParagraph) -> None:
    """Begin at 1 again: without a numbering of its own, the list would go on counting from the one before it."""
    style_numbering = document.styles[paragraph.style.name].element.pPr.numPr.numId.val  # type: ignore[union-attr]
    numbering = document.part.numbering_part.element
    abstract = numbering.num_having_numId(style_numbering).abstractNumId.val
    numbering.add_num(abstract).add_lvlOverride(ilvl=0).add_startOverride(1)
    _continue_numbering(document, paragraph)


def _continue_numbering(document: Document, paragraph: DocxParagraph) -> None:
    latest = document.part.numbering_part.element.num_lst[-1].numId
    numbering = f'<w:numPr {WORD}><w:ilvl w:val="0"/><w:numId w:val="{latest}"/></w:numPr>'
    paragraph._p.get_or_add_pPr().append(parse_xml(numbering))


def _add_table(document: Document, table: Table, is_headed: bool) -> None:
    written = document.add_table(len(table.rows), len(table.rows[0]), style="Table Grid")
    rows = list(written.rows)
    head_rows = _count_head_rows(table) if is_headed else 0
    for number, (row, cells) in enumerate(zip(rows, table.rows, strict=True)):
        is_head = number < head_rows
        if is_head:
            _repeat_on_every_page(row)
        for column, text in enumerate(cells):
            cell = row.cells[column]
            if text == ABOVE:
                _merge(written.cell(number - 1, column), cell)
            elif text == LEFT:
                _merge(written.cell(number, column - 1), cell)
            else:
                cell.paragraphs[0].add_run(text).bold = True if is_head else None
    document.add_paragraph()


def _count_head_rows(table: Table) -> int:
    """A head whose first cell is merged downwards has two rows."""
    if not table.has_head:
        return 0
    return 2 if len(table.rows) > 1 and table.rows[1][0] == ABOVE else 1


def _repeat_on_every_page(row: _Row) -> None:
    row._tr.get_or_add_trPr().append(parse_xml(f"<w:tblHeader {WORD}/>"))


def _merge(first: _Cell, second: _Cell) -> None:
    merged = first.merge(second)
    for paragraph in merged.paragraphs[1:]:
        if not paragraph.text:
            paragraph._p.getparent().remove(paragraph._p)


def _add_box(document: Document, text: str) -> None:
    content = f"<w:txbxContent><w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p></w:txbxContent>"
    extent = 'cx="5400000" cy="720000"'
    drawing = f"""<w:drawing><wp:inline><wp:extent {extent}/><wp:docPr id="1" name="Text box 1"/>
      <a:graphic><a:graphicData uri="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"><wps:wsp>
        <wps:cNvSpPr txBox="1"/>
        <wps:spPr><a:xfrm><a:off x="0" y="0"/><a:ext {extent}/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>
          <a:ln w="9525"><a:solidFill><a:srgbClr val="404040"/></a:solidFill></a:ln></wps:spPr>
        <wps:txbx>{content}</wps:txbx><wps:bodyPr/>
      </wps:wsp></a:graphicData></a:graphic></wp:inline></w:drawing>"""
    fallback = f'<w:pict><v:shape style="width:425pt;height:57pt"><v:textbox>{content}</v:textbox></v:shape></w:pict>'
    document.add_paragraph()._p.append(
        parse_xml(
            f'<w:r {DRAWING}><mc:AlternateContent><mc:Choice Requires="wps">{drawing}</mc:Choice>'
            f"<mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent></w:r>"
        )
    )


def _add_footnotes_part(document: Document, notes: list[str]) -> None:
    separators = "".join(
        f'<w:footnote w:type="{kind}" w:id="{number}"><w:p><w:r><w:{kind}/></w:r></w:p></w:footnote>'
        for number, kind in enumerate(("separator", "continuationSeparator"))
    )
    texts = "".join(
        f'<w:footnote w:id="{number}"><w:p><w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteRef/></w:r>'
        f'<w:r><w:t xml:space="preserve"> {escape(note)}</w:t></w:r></w:p></w:footnote>'
        for number, note in enumerate(notes, FIRST_FOOTNOTE)
    )
    xml = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:footnotes {WORD}>{separators}{texts}</w:footnotes>'
    )
    part = Part(PackURI("/word/footnotes.xml"), CONTENT_TYPE.WML_FOOTNOTES, xml.encode(), document.part.package)
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
