"""Build the Word, PDF and Excel files of the sample handbook.

Enters: the texts in `samples/sources`; `NAME.docx.md` becomes `samples/handbook/NAME.docx`, and likewise for
`.pdf.md` and `.xlsx.yaml`. Leaves: those files, with fixed time stamps, so that an unchanged text gives the same bytes.
Run: `python -m samples.build` in the root of the repository; needs the development packages.

The markdown, HTML, CSV, JSON and plain-text documents and all metadata files of `samples/handbook` are written by hand
and left alone. Same bytes are promised only for the same versions of the libraries (and of zlib, which packs them).
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

from samples.render_docx import render_docx
from samples.render_pdf import render_pdf
from samples.render_xlsx import render_xlsx
from samples.source import read_source

SAMPLES = Path(__file__).parent
SOURCES = SAMPLES / "sources"
HANDBOOK = SAMPLES / "handbook"

FIXED_TIME = (2026, 1, 1, 9, 0, 0)
FIXED_MODIFIED = b"2026-01-01T09:00:00Z"


def build(sources: Path, handbook: Path) -> list[Path]:
    """Write every document that has a source; the paths written, in order."""
    return [_build_one(source, sources, handbook) for source in sorted(sources.rglob("*.*")) if source.is_file()]


def _build_one(source: Path, sources: Path, handbook: Path) -> Path:
    target = handbook / source.relative_to(sources).with_suffix("")
    target.parent.mkdir(parents=True, exist_ok=True)
    match target.suffix:
        case ".docx":
            render_docx(read_source(source), target)
            _fix_times(target)
        case ".pdf":
            render_pdf(read_source(source), target)
        case ".xlsx":
            render_xlsx(source, target)
            _fix_times(target)
        case _:
            raise ValueError(f"{source} has no known target; name it NAME.docx.md, NAME.pdf.md or NAME.xlsx.yaml.")
    return target


def _fix_times(path: Path) -> None:
    """Repack an Office file without the moment at which it was written."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            if path.suffix == ".xlsx" and name == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + FIXED_MODIFIED, data)
            info = zipfile.ZipInfo(name, FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def main() -> None:
    for path in build(SOURCES, HANDBOOK):
        sys.stdout.write(f"{path.relative_to(SAMPLES)}  {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
