"""Ingestion: idempotent, incremental, resumable, and never stopped by one bad file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import DocumentError, KnowledgeIndexError
from config.settings import DocumentSettings, IndexSettings
from knowledge.embed import Embedder
from knowledge.index import Index
from knowledge.ingest import ingest
from tests.handbook import FILES, index_of, ingested, write_handbook


@pytest.fixture
def index(tmp_path: Path, embedder: Embedder) -> Iterator[Index]:
    opened = index_of(tmp_path / "data", embedder)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_handbook(tmp_path / "handbook")


def texts(index: Index) -> list[str]:
    return sorted(chunk.text for chunk in index.snapshot.chunks)


def test_second_ingestion_changes_nothing(index: Index, folder: Path) -> None:
    assert sorted(ingested(folder, index).added) == sorted(FILES)
    before = texts(index)
    report = ingested(folder, index)
    assert (sorted(report.unchanged), report.has_changed, texts(index)) == (sorted(FILES), False, before)


def test_only_the_changed_file_is_read_again_and_its_old_text_is_gone(index: Index, folder: Path) -> None:
    ingested(folder, index)
    (folder / "leave.md").write_text("# Annual leave\n\nYou can carry over ten days.", encoding="utf-8")
    report = ingested(folder, index)
    assert (report.updated, len(report.unchanged)) == (["leave.md"], len(FILES) - 1)
    assert not any("five unused days" in text for text in texts(index))


def test_removed_file_is_forgotten(index: Index, folder: Path) -> None:
    ingested(folder, index)
    (folder / "leave.md").unlink()
    assert ingested(folder, index).removed == ["leave.md"]
    assert all(chunk.file != "leave.md" for chunk in index.snapshot.chunks)


def test_single_file_is_refreshed_without_forgetting_its_neighbours(index: Index, folder: Path) -> None:
    ingested(folder, index)
    (folder / "leave.md").write_text("# Annual leave\n\nAsk Jo.", encoding="utf-8")
    report = ingest(folder / "leave.md", index, DocumentSettings(), IndexSettings())
    assert report.updated == ["leave.md"]
    assert index.snapshot.documents == len(FILES)


def test_bad_files_are_skipped_with_a_reason_and_the_others_go_in(index: Index, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    (folder / "empty.md").write_text("", encoding="utf-8")
    (folder / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with zipfile.ZipFile(folder / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("word/document.xml", bytes(320_000_000))
    with (folder / "huge.docx").open("wb") as huge:
        huge.truncate(200_000_000)
    report = ingested(folder, index)
    assert sorted(report.added) == sorted(FILES)
    reasons = {skipped.file: skipped.reason for skipped in report.skipped}
    assert set(reasons) == {"broken.pdf", "empty.md", "locked.docx", "bomb.docx", "huge.docx"}
    assert all(reason.endswith(".") and "\n" not in reason for reason in reasons.values())


@pytest.mark.parametrize("text", ["", "---\naudience: manager\n---\n# Annual leave\n\nFive days."])
def test_file_that_cannot_be_read_any_more_is_taken_out_at_once(index: Index, folder: Path, text: str) -> None:
    ingested(folder, index)
    (folder / "leave.md").write_text(text, encoding="utf-8")
    report = ingested(folder, index)
    assert "out of the index" in report.skipped[0].reason
    assert all(chunk.file != "leave.md" for chunk in index.snapshot.chunks)


def test_sidecar_that_belongs_to_no_document_is_reported(index: Index, folder: Path) -> None:
    (folder / "leeve.meta.yaml").write_text("audience: hr\n", encoding="utf-8")
    assert [skipped.file for skipped in ingested(folder, index).skipped] == ["leeve.meta.yaml"]


def test_part_of_a_folder_is_ingested_under_the_metadata_above_it(index: Index, folder: Path) -> None:
    (folder / "managers" / "_meta.yaml").write_text("audience: hr\n", encoding="utf-8")
    secret = folder / "managers" / "secret" / "pay.md"
    secret.parent.mkdir()
    secret.write_text("# Pay\n\nThe budget is 44 weeks.", encoding="utf-8")
    settings = DocumentSettings(folder=folder)
    for part in (folder, secret.parent, secret):
        ingest(part, index, settings, IndexSettings())
    stored = [chunk for chunk in index.snapshot.chunks if "44 weeks" in chunk.text]
    assert [(chunk.file, chunk.metadata.audience) for chunk in stored] == [("managers/secret/pay.md", "hr")]
    with pytest.raises(DocumentError, match="ingest that folder as a whole"):
        ingest(secret, index, DocumentSettings(), IndexSettings())


def test_relative_paths_are_ingested_and_links_that_leave_are_refused(
    index: Index, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside.md").write_text("# Outside\n\nNot yours to read.", encoding="utf-8")
    (folder / "gb" / "link.md").symlink_to(tmp_path / "outside.md")
    cutting = IndexSettings(adapter=Path("models/starter/retriever").resolve())
    monkeypatch.chdir(tmp_path)
    settings = DocumentSettings(folder=Path("handbook"))
    assert ingest(Path("handbook/leave.md"), index, settings, cutting).added == ["leave.md"]
    part = ingest(Path("handbook/gb"), index, settings, cutting)
    assert (part.added, part.removed) == (["gb/sickness.md"], [])
    assert [skipped.file for skipped in part.skipped] == ["gb/link.md"]


def test_other_folders_can_be_forgotten(index: Index, folder: Path, tmp_path: Path) -> None:
    ingested(folder, index)
    ingested(write_handbook(tmp_path / "other", {"new.md": "# New\n\nA new rule for all of us."}), index)
    assert index.keep_only(str(tmp_path / "other")) == [str(folder)]
    assert {chunk.file for chunk in index.snapshot.chunks} == {"new.md"}


def test_data_folder_that_cannot_be_written_is_named(tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(KnowledgeIndexError, match="cannot be written to"):
        index_of(tmp_path / "file", embedder)


def test_changed_sidecar_is_taken_up(index: Index, folder: Path) -> None:
    ingested(folder, index)
    (folder / "leave.meta.yaml").write_text("audience: managers\n", encoding="utf-8")
    assert ingested(folder, index).updated == ["leave.md"]
    assert {c.metadata.audience for c in index.snapshot.chunks if c.file == "leave.md"} == {"managers"}


def test_missing_folder_is_named(index: Index, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"There is no .*nowhere"):
        ingested(tmp_path / "nowhere", index)


def test_second_process_is_refused_and_told_who_owns_the_index(index: Index, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from config.settings import IndexSettings;"
        "from knowledge.embed import open_embedder; from knowledge.index import open_index;"
        "open_index(IndexSettings(), Path(sys.argv[1]), open_embedder())"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path / "data")], capture_output=True, text=True)
    assert other.returncode == 1
    assert f"in use by process {os.getpid()}" in other.stderr
    index.close()
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path / "data")], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr


def test_ingestion_that_was_killed_goes_on_where_it_stopped(tmp_path: Path, embedder: Embedder) -> None:
    many = {f"policy-{n}.md": f"# Policy {n}\n\nRule {n} is to wear a hat on day {n}." for n in range(12)}
    folder = write_handbook(tmp_path / "handbook", many)
    code = (
        "import sys; from pathlib import Path; from tests.handbook import *;"
        "from knowledge.embed import open_embedder;"
        "index = index_of(Path(sys.argv[1]), open_embedder(adapter=IndexSettings().adapter));"
        "show = lambda name, number, total: print(number, flush=True);"
        "ingest(Path(sys.argv[2]), index, DocumentSettings(), IndexSettings(), show)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data"), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    while child.stdout.readline().strip() != "6":
        assert child.poll() is None
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    index = _eventually_open(tmp_path / "data", embedder)
    report = ingested(folder, index)
    index.close()
    assert report.unchanged
    assert len(report.added) + len(report.updated) + len(report.unchanged) == len(many)
    assert not report.skipped


def _eventually_open(data_dir: Path, embedder: Embedder) -> Index:
    """The lock goes with its process, which the kernel may need a moment to bury."""
    for _ in range(50):
        try:
            return index_of(data_dir, embedder)
        except KnowledgeIndexError:
            time.sleep(0.1)
    return index_of(data_dir, embedder)
