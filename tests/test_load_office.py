"""Loading Word, PDF, text and FAQ files: what is kept and what is left out. Every file is made here."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
from docx.document import Document as WordDocument
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt
from fpdf import FPDF

from config.settings import Audience, DocumentSettings
from knowledge.load import Document, load
from tests.loading import SETTINGS, items, read, refusal, rows, shown, word

# ------------------------------------------------------------------------------------------------------------- Word


def bold(document: WordDocument, text: str, size: float | None = None) -> None:
    run = document.add_paragraph().add_run(text)
    run.bold = True
    run.font.size = Pt(size) if size else None


def test_docx_headings_lists_and_tables(tmp_path: Path) -> None:
    def fill(document: WordDocument) -> None:
        document.add_heading("Travel", 0)
        document.add_heading("Expenses", 1)
        document.add_paragraph("You can claim:")
        document.add_paragraph("Train", style="List Bullet")
        document.add_paragraph("First class", style="List Bullet 2")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(
            (c for row in table.rows for c in row.cells), ("City", "Limit", "Bonn", "€90"), strict=True
        ):
            cell.text = text
        document.sections[0].header.paragraphs[0].text = "CONFIDENTIAL HEADER"
        document.sections[0].footer.paragraphs[0].text = "Page 1"

    document = word(tmp_path, fill)
    assert document.metadata.title == "Travel"
    assert {block.heading_path for block in document.blocks} == {("Travel", "Expenses")}
    assert items(document) == [(0, "-", "Train"), (1, "-", "First class")]
    assert (rows(document)[0].head, rows(document)[0].cells) == (("City", "Limit"), ("Bonn", "€90"))
    assert "HEADER" not in str(document.blocks) and "Page 1" not in str(document.blocks)


def test_docx_fake_headings_nest_by_size(tmp_path: Path) -> None:
    def fill(document: WordDocument) -> None:
        bold(document, "Staff handbook", 22)
        bold(document, "Leave", 16)
        bold(document, "Carry over")
        document.add_paragraph("You may carry over five days into the next leave year.")
        bold(document, "Pay", 16)
        document.add_paragraph("Pay day is the 25th of each month.")

    assert shown(word(tmp_path, fill)) == [
        ("Staff handbook › Leave › Carry over", "You may carry over five days into the next leave year."),
        ("Staff handbook › Pay", "Pay day is the 25th of each month."),
    ]


def number(paragraph: object, number_id: int, level: int) -> None:
    properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()  # type: ignore[attr-defined]
    properties.get_or_add_numId().val = number_id
    properties.get_or_add_ilvl().val = level


def clause_numbering(document: WordDocument) -> int:
    """A numbering "1." with "1.1" below it, as legal documents have; returns its id."""
    part = document.part.numbering_part.element
    abstract = OxmlElement("w:abstractNum")
    abstract.set(qn("w:abstractNumId"), "77")
    for place, text in enumerate(("%1.", "%1.%2")):
        level = OxmlElement("w:lvl")
        level.set(qn("w:ilvl"), str(place))
        for name, value in (("start", "1"), ("numFmt", "decimal"), ("lvlText", text)):
            child = OxmlElement(f"w:{name}")
            child.set(qn("w:val"), value)
            level.append(child)
        abstract.append(level)
    part.insert(0, abstract)
    return int(part.add_num(77).numId)


def test_docx_numbering_is_what_word_prints_also_where_a_list_is_taken_up_again(tmp_path: Path) -> None:
    def fill(document: WordDocument) -> None:
        numbering = clause_numbering(document)
        number(document.add_paragraph("Holiday"), numbering, 0)
        number(document.add_paragraph("Carry over ends in March."), numbering, 1)
        document.add_paragraph("A remark in between.")
        number(document.add_paragraph("Pay in lieu is not possible."), numbering, 1)
        number(document.add_paragraph("Sickness"), numbering, 0)

    assert items(word(tmp_path, fill)) == [
        (0, "1.", "Holiday"),
        (1, "1.1", "Carry over ends in March."),
        (1, "1.2", "Pay in lieu is not possible."),
        (0, "2.", "Sickness"),
    ]


def test_docx_hidden_text_and_contents_are_left_out(tmp_path: Path) -> None:
    def fill(document: WordDocument) -> None:
        document.styles.add_style("TOC 1", 1)
        document.add_paragraph("Leave ........ 3", style="TOC 1")
        paragraph = document.add_paragraph("Seen.")
        paragraph.add_run(" Hidden.").font.hidden = True

    assert shown(word(tmp_path, fill)) == [("", "Seen.")]


def rewritten(path: Path, change: dict[str, Callable[[str], str]]) -> bytes:
    """A docx with some of its parts changed, as Word would have written them."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change[name](text.decode()).encode() if name in change else text)
        if "word/footnotes.xml" in change:
            new.writestr("word/footnotes.xml", change["word/footnotes.xml"](""))
    return out.getvalue()


def test_docx_text_boxes_and_footnotes_are_kept(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("BODY")
    document.save(str(tmp_path / "plain.docx"))
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    box = (
        '<w:p><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox><w:txbxContent>'
        "<w:p><w:r><w:t>In the box.</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>"
    )
    cited = '<w:t>Ask early.</w:t></w:r><w:r><w:footnoteReference w:id="2"/>'
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>Ten days before.</w:t></w:r></w:p></w:footnote>'
    notes = f"<w:footnotes {space}>{note}</w:footnotes>"
    relation = (
        '<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes" '
        'Target="footnotes.xml"/></Relationships>'
    )
    data = rewritten(
        tmp_path / "plain.docx",
        {
            "word/document.xml": lambda t: t.replace("<w:t>BODY</w:t>", cited).replace(
                "<w:sectPr", f"{box}<w:sectPr", 1
            ),
            "word/_rels/document.xml.rels": lambda t: t.replace("</Relationships>", relation),
            "word/footnotes.xml": lambda _: notes,
        },
    )
    assert [b.text for b in read(tmp_path, "full.docx", data).blocks] == [
        "Ask early.",
        "Ten days before.",
        "In the box.",
    ]


def test_docx_title_and_owner_come_from_properties_that_say_something(tmp_path: Path) -> None:
    def named(title: str, author: str) -> Callable[[WordDocument], None]:
        def fill(document: WordDocument) -> None:
            document.add_heading("Leave", 1)
            document.add_paragraph("Text.")
            document.core_properties.title = title
            document.core_properties.author = author

        return fill

    sensible = word(tmp_path, named("Leave policy 2026", "People Operations"), "a.docx").metadata
    assert (sensible.title, sensible.owner) == ("Leave policy 2026", "People Operations")
    filler = word(tmp_path, named("Microsoft Word - leave_v3.doc", "Jane Doe"), "b.docx").metadata
    assert (filler.title, filler.owner) == ("Leave", "")


# -------------------------------------------------------------------------------------------------------------- PDF


class Pages(FPDF):
    def header(self) -> None:
        self.set_font("helvetica", size=9)
        self.cell(text="ACME Ltd - Staff handbook", new_x="LMARGIN", new_y="NEXT")
        self.ln(6)

    def footer(self) -> None:
        self.set_y(-15)
        self.cell(text=f"Page {self.page_no()} of 3")


def pdf(folder: Path) -> Document:
    pages = Pages()
    pages.add_page()
    for style, size, text in (
        ("B", 20, "Leave policy"),
        ("B", 14, "Annual leave"),
        (
            "",
            11,
            "Everybody has twenty-five days of paid leave in a calendar year, "
            "and may carry over five of them until March.",
        ),
        ("", 11, "Public holidays come on top."),
    ):
        pages.set_font("helvetica", style, size)
        pages.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
        pages.ln(4)
    for indent, text in (
        (0, "- Apply in the portal"),
        (10, "- at least ten days before"),
        (0, "- Wait for the answer"),
    ):
        pages.set_x(pages.l_margin + indent)
        pages.cell(text=text, new_x="LMARGIN", new_y="NEXT")
    pages.add_page()
    pages.set_font("helvetica", "", 11)
    with pages.table() as table:
        for cells in (("Grade", "Days"), ("A", "25"), ("B", "28")):
            table.row(cells)
    pages.add_page()
    pages.set_font("helvetica", "B", 14)
    pages.cell(text="Sick leave", new_x="LMARGIN", new_y="NEXT")
    pages.ln(4)
    pages.set_font("helvetica", "", 11)
    pages.multi_cell(0, 6, "Call before ten.", new_x="LMARGIN", new_y="NEXT")
    pages.output(str(folder / "leave.pdf"))
    return load(folder / "leave.pdf", folder, SETTINGS)


def test_pdf_keeps_headings_pages_lists_and_ruled_tables(tmp_path: Path) -> None:
    document = pdf(tmp_path)
    annual = ("Leave policy", "Annual leave")
    assert document.blocks[0].text.startswith(
        "Everybody has twenty-five days of paid leave in a calendar year, and may"
    )
    assert (document.blocks[0].heading_path, document.blocks[0].page) == (annual, 1)
    assert items(document) == [
        (0, "-", "Apply in the portal"),
        (1, "-", "at least ten days before"),
        (0, "-", "Wait for the answer"),
    ]
    assert [(r.cells, r.head, r.page) for r in rows(document)] == [
        (("A", "25"), ("Grade", "Days"), 2),
        (("B", "28"), ("Grade", "Days"), 2),
    ]
    last = document.blocks[-1]
    assert (last.heading_path, last.text, last.page) == (("Leave policy", "Sick leave"), "Call before ten.", 3)


def test_pdf_running_headers_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    everything = str(pdf(tmp_path).blocks)
    assert "ACME" not in everything and "of 3" not in everything


def test_pdf_in_two_columns_is_read_column_by_column(tmp_path: Path) -> None:
    pages = FPDF()
    pages.add_page()
    pages.set_font("helvetica", size=10)
    for left, side in ((15, "left"), (110, "right")):
        pages.set_left_margin(left)
        pages.set_xy(left, 20)
        pages.multi_cell(85, 5, " ".join(f"{side}{word} of the policy is written here" for word in range(30)))
    pages.output(str(tmp_path / "two.pdf"))
    text = " ".join(block.text for block in load(tmp_path / "two.pdf", tmp_path, SETTINGS).blocks)
    assert text.index("left29") < text.index("right0 ")


def test_scanned_and_encrypted_pdfs_are_refused_with_what_to_do(tmp_path: Path) -> None:
    scanned = FPDF()
    scanned.add_page()
    scanned.rect(10, 10, 50, 50)
    assert "OCR" in refusal(tmp_path, "scan.pdf", bytes(scanned.output()))
    locked = FPDF()
    locked.set_encryption(owner_password="o", user_password="u")
    locked.add_page()
    locked.set_font("helvetica", size=11)
    locked.cell(text="secret")
    assert "password" in refusal(tmp_path, "locked.pdf", bytes(locked.output()))


def test_pdf_bomb_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(b" " * 5_000_000)
    bomb = b"%%PDF-1.4\n1 0 obj <</Length %d /Filter /FlateDecode>>\nstream\n%b\nendstream endobj" % (
        len(packed),
        packed,
    )
    assert "unpacks" in refusal(tmp_path, "bomb.pdf", bomb, DocumentSettings(max_unpacked_bytes=1_000_000))


# ------------------------------------------------------------------------------------------------ text and tables


def test_plain_text_headings_lists_and_wrapped_paragraphs(tmp_path: Path) -> None:
    text = (
        "Remote work\n===========\n\nYou may work from\nhome.\n\nEQUIPMENT\n\n- a laptop\n  with bag\n- a screen\n\n"
        "1. Scope\n\nThis covers all staff.\n\n2. Costs\n\nWe pay power.\n"
    )
    assert shown(read(tmp_path, "a.txt", text)) == [
        ("Remote work", "You may work from home."),
        ("Remote work › EQUIPMENT", "a laptop with bag"),
        ("Remote work › EQUIPMENT", "a screen"),
        ("Remote work › EQUIPMENT › 1. Scope", "This covers all staff."),
        ("Remote work › EQUIPMENT › 2. Costs", "We pay power."),
    ]


def test_faq_csv_puts_the_question_into_the_heading(tmp_path: Path) -> None:
    text = "\ufeffCategory;Question;Answer\nLeave;How many days?;25, all paid.\n"
    text += 'Pay;When is pay day?;"The 25th.\n\n- or before"\n'
    document = read(tmp_path, "faq.csv", text)
    assert shown(document) == [
        ("Leave › How many days?", "25, all paid."),
        ("Pay › When is pay day?", "The 25th."),
        ("Pay › When is pay day?", "or before"),
    ]


def test_faq_rows_for_hr_make_the_whole_file_for_hr(tmp_path: Path) -> None:
    text = "question,answer,audience,country\nA?,a,all,GB\nB?,b,hr,gb\n"
    known = read(tmp_path, "faq.csv", text).metadata
    assert (known.audience, known.countries) == (Audience.HR, ("GB",))
    assert "audience 'boss'" in refusal(tmp_path, "b.csv", b"question,answer,audience\nA?,a,boss\n")


def test_other_tables_become_rows(tmp_path: Path) -> None:
    document = read(tmp_path, "a.csv", "Grade,Days\nA,25\nB,28\n")
    assert [(r.cells, r.head) for r in rows(document)] == [
        (("A", "25"), ("Grade", "Days")),
        (("B", "28"), ("Grade", "Days")),
    ]


def test_xlsx_cells_read_as_they_are_shown(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Item", "Rate", "Limit"])
    sheet.append(["Hotel", 0.05, 1500])
    sheet["B2"].number_format, sheet["C2"].number_format = "0%", '"£"#,##0'
    book.create_sheet("Drafts").append(["old", "text"])
    book["Drafts"].sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    assert [r.cells for r in rows(load(tmp_path / "a.xlsx", tmp_path, SETTINGS))] == [("Hotel", "5%", "£1,500")]


def test_alpaca_json_reads_instruction_input_and_output(tmp_path: Path) -> None:
    faq = [
        {"instruction": "How do I call in sick?", "input": "", "output": "Phone."},
        {"instruction": "And", "input": "abroad?", "output": "Mail."},
    ]
    assert shown(read(tmp_path, "faq.json", json.dumps(faq))) == [
        ("How do I call in sick?", "Phone."),
        ("And abroad?", "Mail."),
    ]
    assert "Row 1" in refusal(tmp_path, "bad.json", b'[{"instruction": "x"}]')
    assert "list" in refusal(tmp_path, "object.json", b'{"a": 1}')
