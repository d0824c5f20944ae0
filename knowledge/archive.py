"""Open docx and xlsx files, which are zip archives, without being flooded by them.

Enters: the bytes of a file. Leaves: an open `ZipFile` of which every part may be read. Refuses archives that unpack
to too much, are absurdly dense, are encrypted or damaged, or whose XML declares a document type: Office never writes
one, and it is what entity-expansion bombs need.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from config.errors import DocumentError

MAX_PARTS = 10_000
# Word's XML packs 10 to 60 times, a sheet of equal rows about 150 times; a bomb of zeros 1,000 times.
MAX_RATIO = 250
RATIO_COUNTS_FROM_BYTES = 20_000_000
# Trees of a part take about 60 times its size in memory: 25 MB, some 4,000 pages, is about 1.5 GB.
MAX_XML_BYTES = 25_000_000
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PASSWORD = "The file is password-protected; save a copy without a password."


def open_archive(data: bytes, max_unpacked_bytes: int) -> zipfile.ZipFile:
    """The archive in `data`, checked.

    Raises:
        DocumentError: It is encrypted, damaged, no archive at all, or unpacks to too much.
    """
    if data.startswith(OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise DocumentError(PASSWORD)
        raise DocumentError("The file is in Office's format of before 2007; save it as docx or xlsx.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DocumentError("The file is damaged or not what its ending says; open and save it again.") from error
    parts = archive.infolist()
    if any(part.flag_bits & 0x1 for part in parts):
        raise DocumentError(PASSWORD)
    total = sum(part.file_size for part in parts)
    if total > max_unpacked_bytes or len(parts) > MAX_PARTS:
        raise DocumentError(
            f"The file unpacks to {total / 1e6:,.0f} MB in {len(parts):,} parts, more than "
            f"{max_unpacked_bytes / 1e6:,.0f} MB or {MAX_PARTS:,} parts; split it, or raise "
            "documents.max_unpacked_bytes."
        )
    if total > RATIO_COUNTS_FROM_BYTES and total > MAX_RATIO * len(data):
        raise DocumentError(
            f"The file unpacks to {total / len(data):,.0f} times its size, as a zip bomb does; save it again."
        )
    for part in parts:
        if part.filename.endswith((".xml", ".rels")):
            _check_xml(archive, part)
    return archive


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """One part, or nothing where the archive has none of that name."""
    try:
        return archive.read(name)
    except KeyError:
        return b""
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise DocumentError("The file is damaged; open it, save it again and replace it.") from error


def _check_xml(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    if part.file_size > MAX_XML_BYTES:
        raise DocumentError(
            f"The file holds {part.file_size / 1e6:,.0f} MB of text in one part, more than "
            f"{MAX_XML_BYTES / 1e6:,.0f} MB; split it."
        )
    text = read_part(archive, part.filename).replace(b"\0", b"")  # also finds it in UTF-16
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise DocumentError("The file declares XML entities, which no Office program writes; save it again.")
