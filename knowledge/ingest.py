"""Bring the index in step with a folder of documents.

Enters: a folder (or one file). Leaves: an index that holds what is in it now, and an `IngestReport`.
Run: `quantahr ingest PATH…`. Documents whose content and metadata are unchanged are not read again; each document is
stored as soon as it is ready, so a run that is killed goes on where it stopped; documents that are gone are forgotten.

A document that could be read before and cannot now is taken out: what made it unreadable may be the very change that
was to restrict who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import DocumentError
from config.settings import DocumentSettings, IndexSettings
from knowledge.index import Index
from knowledge.load import content_hash, find_documents, orphan_sidecars
from knowledge.metadata import FOLDER_NAMES
from knowledge.prepare import Worker

_NO_DOCUMENT = "It belongs to no document; name it after one, or that document is readable by everybody."


@dataclass(frozen=True)
class Skipped:
    """A file that was not taken in, and why, in one sentence."""

    file: str
    reason: str


@dataclass
class IngestReport:
    """What one ingestion did: files by what became of them, and how many chunks were written."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    chunks: int = 0

    @property
    def has_changed(self) -> bool:
        """Whether the index is another than before."""
        return bool(self.added or self.updated or self.removed)


Progress = Callable[[str, int, int], None]
"""Called before each file with its name, its number from 1 and how many there are."""


def ingest(
    path: Path, index: Index, documents: DocumentSettings, cutting: IndexSettings, on_file: Progress | None = None
) -> IngestReport:
    """Ingest a folder, or one file of it.

    Raises:
        DocumentError: There is nothing at `path`.
    """
    if not path.exists():
        raise DocumentError(f"There is no {path}; name an existing folder or file.")
    # A file that is itself a link stays one here: the loader refuses those that leave the folder.
    path = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    folder = _root_of(path, documents.folder.resolve())
    files = find_documents(path) if path.is_dir() else [path]
    root = str(folder)
    below = "" if path == folder else f"{path.relative_to(folder).as_posix()}/"
    stored = {
        document.file: document
        for document in index.stored_documents()
        if document.root == root and (document.file.startswith(below) or not path.is_dir())
    }
    report = IngestReport()
    with Worker(documents, cutting) as worker:
        for number, file in enumerate(files, 1):
            name = file.relative_to(folder).as_posix()
            if on_file:
                on_file(name, number, len(files))
            known = stored.get(name)
            try:
                if known and known.is_complete and known.content_hash == content_hash(file, folder):
                    report.unchanged.append(name)
                    continue
                ready = worker.prepare(file, folder)
            except DocumentError as error:
                report.skipped.append(Skipped(name, _without(name, error, index, root, is_known=known is not None)))
                continue
            index.replace(root, name, ready.content_hash, ready.chunks, ready.vectors)
            (report.updated if known else report.added).append(name)
            report.chunks += len(ready.chunks)
    if path.is_dir():
        report.skipped.extend(Skipped(name, _NO_DOCUMENT) for name in _names(orphan_sidecars(folder), folder))
        present = set(_names(files, folder))
        for name in sorted(stored.keys() - present):
            index.remove(root, name)
            report.removed.append(name)
    return report


def _root_of(path: Path, configured: Path) -> Path:
    """The folder that a path is ingested as a part of: metadata of the folders above it says who may read it.

    Raises:
        DocumentError: A folder above, other than the configured one, holds metadata: it must be ingested as a whole.
    """
    folder = path if path.is_dir() else path.parent
    if folder != configured and folder.is_relative_to(configured):
        return configured
    for above in folder.parents:
        if any((above / name).exists() for name in FOLDER_NAMES):
            raise DocumentError(f"{above} holds metadata for {path}; ingest that folder as a whole.")
    return folder


def _names(files: Sequence[Path], folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


def _without(name: str, error: DocumentError, index: Index, root: str, *, is_known: bool) -> str:
    """Take out what is stored of a document that cannot be read any more; gives the reason to report."""
    if not is_known:
        return str(error)
    index.remove(root, name)
    return f"{error} Until then its former version is out of the index, too."
