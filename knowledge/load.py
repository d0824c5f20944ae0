"""Read one file into a `Document`.

Enters: a docx, pdf, md, html, txt, csv, xlsx or json file in a folder of policies. Leaves: a `Document`: its blocks
in reading order, each under its headings, and its metadata. Each format is converted to HTML (`convert*.py`), which
one parser (`structure.py`) reads; tables become rows directly (`convert_table.py`). `docs/document-formats.md` says
what is kept of each format.
Run: python -m knowledge.load FILE [FOLDER]

A file that cannot be read safely raises `DocumentError` with one sentence: damaged, encrypted, empty, scanned, too
large, a bomb, a link out of the folder, or with metadata that cannot be understood. Not guaranteed: a PDF's reading
order, and text in pictures.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.errors import DocumentError
from config.settings import Audience, DocumentSettings
from knowledge.convert import convert_html, convert_markdown, convert_text
from knowledge.convert_docx import convert_docx
from knowledge.convert_pdf import convert_pdf
from knowledge.convert_table import STRICTNESS, Table, convert_csv, convert_json, convert_xlsx
from knowledge.metadata import (
    SIDECAR_ENDS,
    PolicyMetadata,
    Properties,
    folder_files,
    is_metadata_file,
    metadata,
    sidecars,
)
from knowledge.outline import Block, BlockKind, Body
from knowledge.structure import structure

__all__ = [
    "LOADER_VERSION",
    "SUPPORTED_SUFFIXES",
    "Audience",
    "Block",
    "BlockKind",
    "Document",
    "PolicyMetadata",
    "content_hash",
    "find_documents",
    "load",
    "orphan_sidecars",
]

log = logging.getLogger(__name__)

# Part of every content hash: raise it when the same file would be read into other blocks, and all are ingested anew.
LOADER_VERSION = 1
SUPPORTED_SUFFIXES = (".docx", ".pdf", ".md", ".markdown", ".html", ".htm", ".txt", ".csv", ".xlsx", ".json")


@dataclass(frozen=True)
class Document:
    """A policy as it was read. `file` is its POSIX path relative to the ingested folder."""

    file: str
    content_hash: str
    metadata: PolicyMetadata
    blocks: tuple[Block, ...] = field(repr=False)


def load(path: Path, folder: Path, settings: DocumentSettings) -> Document:
    """Read the file at `path`, which lies in `folder`.

    Raises:
        DocumentError: It cannot be read, or its metadata cannot be understood; one sentence says why and what to do.
    """
    data = _read(path, folder, settings.max_file_bytes)
    digest = content_hash(path, folder)  # before it is parsed: what changes meanwhile is ingested again next time
    try:
        body, properties, table = _convert(path.suffix.casefold(), data, settings.max_unpacked_bytes)
    except DocumentError:
        raise
    except MemoryError as error:
        raise DocumentError("The file needs more memory than there is; split it.") from error
    except Exception as error:  # the converters' libraries raise whatever they like on damaged files
        log.debug("converter failed", exc_info=True)
        raise DocumentError(
            f"The file is damaged or not what its ending says ({type(error).__name__}); open it, save it again and "
            "replace it."
        ) from error
    if not any(any(c.isalnum() for c in block.text) for block in body.blocks):
        raise DocumentError("The file holds no text that can be read; fill it, or remove it.")
    known = _narrowed(metadata(path, folder, properties, body.first_heading), table)
    return Document(path.relative_to(folder).as_posix(), digest, known, body.blocks)


def content_hash(path: Path, folder: Path) -> str:
    """A hash of everything that decides how a document is read: the file, its metadata files and the loader's version.

    Cheap: nothing is parsed.

    Raises:
        DocumentError: One of the files cannot be read.
    """
    digest = hashlib.sha256(f"loader {LOADER_VERSION}\n".encode())
    for file in (path, *sidecars(path), *folder_files(path, folder)):
        try:
            with file.open("rb") as opened:
                part = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise DocumentError(f"{file.name} cannot be read ({error.strerror}); check its permissions.") from error
        digest.update(f"{Path(os.path.relpath(file, folder)).as_posix()} {part}\n".encode())
    return digest.hexdigest()


def find_documents(folder: Path) -> list[Path]:
    """Every document in a folder and its sub-folders, sorted. Links to folders are not followed.

    Left out: hidden files and folders, metadata files, Office's lock files (`~$…`) and endings that are not supported.
    """
    found = [
        path
        for path in _files(folder)
        if path.suffix.casefold() in SUPPORTED_SUFFIXES and not is_metadata_file(path.name)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def orphan_sidecars(folder: Path) -> list[Path]:
    """Sidecars that belong to no document: a misspelt name would leave its document readable by everybody."""
    used = {sidecar for path in find_documents(folder) for sidecar in sidecars(path)}
    return sorted(path for path in _files(folder) if path.name.endswith(SIDECAR_ENDS) and path not in used)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(Path(parent) / name for name in names if not name.startswith((".", "~$")))
    return found


def _read(path: Path, folder: Path, max_bytes: int) -> bytes:
    """The bytes of a file, if it is one that may be read."""
    if path.suffix.casefold() not in SUPPORTED_SUFFIXES:
        raise DocumentError(f"The ending {path.suffix!r} is not supported; use one of {', '.join(SUPPORTED_SUFFIXES)}.")
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DocumentError("The file is a link that leaves the folder; put the file itself there.")
        if not path.is_file():
            raise DocumentError("The file is not there, or is no ordinary file; put a document in its place.")
        size = path.stat().st_size
        if size > max_bytes:
            raise DocumentError(
                f"The file has {size / 1e6:,.0f} MB, more than {max_bytes / 1e6:,.0f} MB; split it, or raise "
                "documents.max_file_bytes."
            )
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"The file cannot be read ({error.strerror}); check its permissions.") from error
    if not data.strip():
        raise DocumentError("The file is empty; fill it, or remove it.")
    return data


def _convert(suffix: str, data: bytes, max_unpacked_bytes: int) -> tuple[Body, Properties, Table | None]:
    match suffix:
        case ".csv":
            return _table(convert_csv(data))
        case ".xlsx":
            return _table(convert_xlsx(data, max_unpacked_bytes))
        case ".json":
            return _table(convert_json(data))
        case ".docx":
            html, properties = convert_docx(data, max_unpacked_bytes)
        case ".pdf":
            html, properties = convert_pdf(data, max_unpacked_bytes)
        case ".html" | ".htm":
            html, properties = convert_html(data)
        case ".txt":
            html, properties = convert_text(data)
        case _:
            html, properties = convert_markdown(data)
    return structure(html), properties, None


def _table(table: Table) -> tuple[Body, Properties, Table]:
    return Body(table.blocks), Properties(), table


def _narrowed(known: PolicyMetadata, table: Table | None) -> PolicyMetadata:
    """A file has one audience: where its rows name a stricter one than its metadata, that holds for all of it."""
    if table is None:
        return known
    audience = max(known.audience, table.audience or Audience.ALL, key=STRICTNESS.index)
    return replace(known, audience=audience, countries=known.countries or table.countries or ())


def _main(arguments: list[str]) -> None:
    path = Path(arguments[0])
    document = load(path, Path(arguments[1]) if len(arguments) > 1 else path.parent, DocumentSettings())
    print(document.metadata)
    for block in document.blocks:
        place = f"[{block.page}] " if block.page else ""
        print(f"{place}{' › '.join(block.heading_path)} ¦ {block.kind} {'  ' * block.depth}{block.marker} {block.text}")
        if block.head:
            print(f"    head: {' | '.join(block.head)}")


if __name__ == "__main__":
    _main(sys.argv[1:])
