"""Loading Markdown and HTML: what is kept; which files are found and refused. Every file is made here."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import time
import zipfile
from pathlib import Path

import pytest

from config.errors import DocumentError
from knowledge.load import content_hash, find_documents, load, orphan_sidecars
from tests.loading import SETTINGS, items, read, refusal, rows, shown

EVAL_DATA = os.environ.get("QUANTAHR_EVAL_DATA", "")
needs_eval_data = pytest.mark.skipif(not EVAL_DATA, reason="QUANTAHR_EVAL_DATA is not set")


# --------------------------------------------------------------------------------------------------------- Markdown


def test_markdown_blocks_stand_under_their_headings(tmp_path: Path) -> None:
    document = read(
        tmp_path, "leave.md", "# Leave\nIntro.\n## Annual\nTake *it*.\n### Carry over\nFive days.\n## Sick\nCall."
    )
    assert shown(document) == [
        ("Leave", "Intro."),
        ("Leave › Annual", "Take it."),
        ("Leave › Annual › Carry over", "Five days."),
        ("Leave › Sick", "Call."),
    ]
    assert document.metadata.title == "Leave"
    assert document.file == "leave.md"


def test_markdown_lists_keep_depth_marker_and_numbering(tmp_path: Path) -> None:
    document = read(tmp_path, "a.md", "3. Apply\n   - form A\n     - signed\n4. Wait\n\n- [x] done\n- [ ] open\n")
    assert items(document) == [
        (0, "3.", "Apply"),
        (1, "-", "form A"),
        (2, "-", "signed"),
        (0, "4.", "Wait"),
        (0, "-", "☒ done"),
        (0, "-", "☐ open"),
    ]


def test_further_paragraphs_of_a_list_item_follow_it(tmp_path: Path) -> None:
    document = read(tmp_path, "a.md", "- First line\n\n  More about it.\n- Second\n")
    assert [(b.kind.value, b.text) for b in document.blocks] == [
        ("list_item", "First line"),
        ("paragraph", "More about it."),
        ("list_item", "Second"),
    ]


def test_table_rows_carry_their_column_heads(tmp_path: Path) -> None:
    document = read(tmp_path, "a.md", "| Grade | Days |\n|---|---|\n| **A** | 25 |\n| B | [28](http://x.org) |\n")
    assert [(row.cells, row.head, row.text) for row in rows(document)] == [
        (("A", "25"), ("Grade", "Days"), "A | 25"),
        (("B", "28"), ("Grade", "Days"), "B | 28"),
    ]


def test_bold_paragraph_is_heading_only_if_it_heads_something(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "a.md",
        "# T\n**Sick leave**\n\nCall us.\n\n**You must bring:**\n\n- a note\n\n"
        "**Never lie about it.**\n\nEnd.\n\n**Last words**\n",
    )
    assert shown(document) == [
        ("T › Sick leave", "Call us."),
        ("T › Sick leave", "You must bring:"),
        ("T › Sick leave", "a note"),
        ("T › Sick leave", "Never lie about it."),
        ("T › Sick leave", "End."),
        ("T › Sick leave", "Last words"),
    ]


def test_bold_first_line_heads_the_rest_of_its_paragraph(tmp_path: Path) -> None:
    assert shown(read(tmp_path, "a.html", "<p><b>Pay day</b><br>The 25th.</p>")) == [("Pay day", "The 25th.")]


def test_link_keeps_its_label_and_its_address_if_the_label_says_nothing(tmp_path: Path) -> None:
    document = read(tmp_path, "a.md", "Use the [leave form](https://x.org/f), or click [here](https://x.org/h).")
    assert document.blocks[0].text == "Use the leave form, or click here (https://x.org/h)."


def test_markdown_extras_are_plain_text(tmp_path: Path) -> None:
    text = (
        "---\ntitle: T\n---\n<!-- secret -->\n> Quoted\n\n5 \\* 3 = 15 &amp; more\n\n```\nssh host\n```\n\n"
        "Notice\n: One month.\n\nSee note[^1].\n\n[^1]: Not in May.\n"
    )
    assert [b.text for b in read(tmp_path, "a.md", text).blocks] == [
        "Quoted",
        "5 * 3 = 15 & more",
        "ssh host",
        "Notice: One month.",
        "See note.",
        "Not in May.",
    ]


def test_tags_of_site_generators_leave_only_what_they_print(tmp_path: Path) -> None:
    text = (
        '{% include "x.html" %}\n\nAsk in {% slack_channel "people-ops" %} or [read on]({% page "/leave/" %}).'
        "{% comment %}todo{% endcomment %}\n\n{{< hint info >}}\nMind the date.\n{{< /hint >}}\n"
    )
    assert [b.text for b in read(tmp_path, "a.md", text).blocks] == ["Ask in people-ops or read on.", "Mind the date."]


def test_html_inside_markdown_is_read(tmp_path: Path) -> None:
    text = (
        "<div>\n**Bold** text\n</div>\n\n"
        + "<table><tr><th>City</th><th>Weight</th></tr><tr><td>Oslo</td><td>1</td></tr></table>"
    )
    document = read(tmp_path, "a.md", text)
    assert document.blocks[0].text == "Bold text"
    assert rows(document)[0].head == ("City", "Weight")


def test_text_of_a_block_has_no_line_breaks(tmp_path: Path) -> None:
    assert read(tmp_path, "a.md", "one\ntwo  \nthree\\\nfour").blocks[0].text == "one two three four"


# ------------------------------------------------------------------------------------------------------------- HTML


def test_html_reads_the_main_part_only(tmp_path: Path) -> None:
    page = (
        "<html><head><title>Leave | Intranet</title><script>x()</script></head><body><nav>Home</nav>"
        "<header>Logo</header>"
        "<main><h1>Leave</h1><p>Take <em>25</em> days.</p><details><summary>Part-time staff</summary><p>Pro rata.</p>"
        "</details></main><footer>© 2026</footer></body></html>"
    )
    document = read(tmp_path, "a.html", page)
    assert shown(document) == [("Leave", "Take 25 days."), ("Leave › Part-time staff", "Pro rata.")]
    assert document.metadata.title == "Leave"


def test_merged_cells_are_said_in_every_row_and_column(tmp_path: Path) -> None:
    page = (
        "<table><tr><th rowspan=2>Grade</th><th colspan=2>2026</th></tr><tr><th>Days</th><th>Pay</th></tr>"
        "<tr><td rowspan=2>A</td><td>25</td><td>full</td></tr><tr><td colspan=2>by contract</td></tr></table>"
    )
    found = rows(read(tmp_path, "a.html", page))
    assert found[0].head == ("Grade", "2026 Days", "2026 Pay")
    assert [row.cells for row in found] == [("A", "25", "full"), ("A", "by contract", "by contract")]


def test_full_width_label_in_a_table_heads_the_rows_below_it(tmp_path: Path) -> None:
    page = "<table><tr><th>Role</th><th>Days</th></tr>"
    page += "<tr><td colspan=2>Part-time</td></tr><tr><td>Clerk</td><td>12</td></tr></table>"
    row = rows(read(tmp_path, "a.html", page))[0]
    assert (row.heading_path, row.cells) == (("Part-time",), ("Clerk", "12"))


@pytest.mark.parametrize(
    ("cells", "has_head"),
    [
        ([("Grade", "Days", "Notice"), ("A", "25", "1 month")], True),
        ([("Length of service", "Leave"), ("Under 2 years", "25 days"), ("Over", "28 days")], True),
        ([("Owner", "People team"), ("Status", "Final"), ("Scope", "Everybody")], False),
        ([("Owner:", "People team"), ("Due:", "5 May")], False),
        ([("1 May", "Labour Day"), ("25 December", "Christmas")], False),
    ],
)
def test_first_row_is_the_head_when_it_looks_like_one(
    tmp_path: Path, cells: list[tuple[str, ...]], has_head: bool
) -> None:
    page = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells)
    found = rows(read(tmp_path, "a.html", f"<table>{page}</table>"))
    assert found[0].head == (cells[0] if has_head else ())
    assert found[0].cells == cells[int(has_head)]


# ---------------------------------------------------------------------------------------------------------- refusals


def bomb(size: int, name: str = "word/document.xml") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b" " * size)
    return out.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'


def entity_archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", ENTITIES)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"", "empty"),
        ("a.docx", b" \n", "empty"),
        ("a.md", b"---\nlayout: x\n---\n\n", "no text"),
        ("a.docx", b"not a zip", "damaged"),
        ("a.xlsx", b"PK\x03\x04broken", "damaged"),
        ("a.pdf", b"%PDF-1.7 broken", "damaged"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), "password"),
        ("a.docx", OLE, "before 2007"),
        ("a.docx", bomb(301_000_000), "unpacks to 301 MB"),
        ("a.docx", bomb(24_000_000), "zip bomb"),
        ("a.xlsx", entity_archive(), "entities"),
        ("a.docx", entity_archive(), "entities"),
        ("a.txt", b"GIF89a\0\0\1", "binary"),
        ("a.json", b"[{", "JSON"),
        ("a.exe", b"MZ", "not supported"),
        ("a.md", b"x" * 10_000_001, "10 MB of text"),
    ],
)
def test_unreadable_files_are_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, name, content)


def test_file_over_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.pdf").open("wb") as file:
        file.truncate(200_000_000)  # a hole: it takes no disk
    started = time.perf_counter()
    with pytest.raises(DocumentError, match="200 MB"):
        load(tmp_path / "huge.pdf", tmp_path, SETTINGS)
    assert time.perf_counter() - started < 0.5


def test_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (inside / "a.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(DocumentError, match="leaves the folder"):
        load(inside / "a.md", inside, SETTINGS)


def test_deeply_nested_html_does_not_crash(tmp_path: Path) -> None:
    (tmp_path / "deep.html").write_text("<div>" * 50_000 + "text" + "</div>" * 50_000)
    try:
        document = load(tmp_path / "deep.html", tmp_path, SETTINGS)
    except DocumentError:
        return
    assert document.blocks


# ----------------------------------------------------------------------------------------------- folders and hashes


def test_find_documents_is_sorted_and_leaves_out_what_is_no_document(tmp_path: Path) -> None:
    for name in (
        "b.md",
        "A/c.docx",
        "README.md",
        "_meta.yaml",
        "b.meta.yaml",
        "~$c.docx",
        ".x.md",
        ".git/y.md",
        "n.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [p.relative_to(tmp_path).as_posix() for p in find_documents(tmp_path)] == ["A/c.docx", "README.md", "b.md"]


def test_sidecar_of_no_document_is_found(tmp_path: Path) -> None:
    for name in ("a.md", "a.meta.yaml", "polcy.docx.meta.yaml"):
        (tmp_path / name).write_text("x")
    assert [p.name for p in orphan_sidecars(tmp_path)] == ["polcy.docx.meta.yaml"]


def test_hash_changes_with_the_file_its_sidecar_and_its_folders_metadata(tmp_path: Path) -> None:
    sub = tmp_path / "sub"
    sub.mkdir()
    path = sub / "a.md"
    path.write_text("Text.")
    seen = [content_hash(path, tmp_path)]
    assert content_hash(path, tmp_path) == seen[0] == load(path, tmp_path, SETTINGS).content_hash
    for changed, text in (("sub/a.md", "New."), ("sub/a.meta.yaml", "owner: HR"), ("_meta.yaml", "audience: hr")):
        (tmp_path / changed).write_text(text)
        seen.append(content_hash(path, tmp_path))
    assert len(set(seen)) == 4


# ------------------------------------------------------------------------------------------------- real documents


@needs_eval_data
@pytest.mark.parametrize("name", ["leaf", "civicactions", "18f"])
def test_quotes_survive_loading(name: str) -> None:
    data = Path(EVAL_DATA)
    spec = importlib.util.spec_from_file_location("grade", data / "eval" / "grade.py")
    assert spec and spec.loader
    grade = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(grade)
    questions = [
        json.loads(line) for line in (data / "eval" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answerable = [row for row in questions if row.get("gold_quote")]
    folder = data / "handbooks" / name
    lost = []
    for row in answerable:
        document = load(folder / row["gold_file"], folder, SETTINGS)
        if grade.squash(row["gold_quote"]) not in grade.squash("\n".join(block.text for block in document.blocks)):
            lost.append(row["id"])
    assert answerable and not lost


@needs_eval_data
def test_every_real_document_loads() -> None:
    folder = Path(EVAL_DATA)
    paths = [p for part in ("documents", "handbooks") for p in find_documents(folder / part)]
    assert len(paths) > 400
    for path in paths:
        assert load(path, folder, SETTINGS).blocks
