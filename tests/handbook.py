"""A small handbook for tests, and a way to have it indexed."""

from __future__ import annotations

from pathlib import Path

from config.settings import DocumentSettings, IndexSettings
from knowledge.embed import Embedder
from knowledge.index import Index, open_index
from knowledge.ingest import IngestReport, ingest

FILES = {
    "leave.md": """\
---
title: Annual leave
effective: 2026-01-01
---
# Annual leave

## Carrying over

You can carry over up to five unused days into the next year. They must be used by 31 March.

## Public holidays

The office is closed on these days:

- New Year's Day
- Easter Monday
  - in Scotland 2 January instead
- Christmas Day

## Days by service

| Years of service | Days a year |
| --- | --- |
| 0 to 4 | 25 |
| 5 or more | 28 |
""",
    "gb/sickness.md": """\
---
title: Sickness (UK)
countries: [GB]
---
# Sickness (UK)

Telephone your manager by 9.30 am on the first day. Texts are not accepted.
""",
    "de/sickness.md": """\
---
title: Sickness (Germany)
countries: [DE]
---
# Sickness (Germany)

Telephone your manager by 8 am on the first day and send the doctor's note from day three.
""",
    "managers/redundancy.md": """\
---
title: Handling redundancy
audience: managers
---
# Handling redundancy

Speak to HR before you tell anybody that a role is at risk of redundancy.
""",
}


def write_handbook(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Write files below `folder`; returns it."""
    for name, text in (FILES if files is None else files).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def index_of(data_dir: Path, embedder: Embedder) -> Index:
    """An index of its own in `data_dir`."""
    return open_index(IndexSettings(), data_dir, embedder)


def ingested(folder: Path, index: Index) -> IngestReport:
    """Ingest with the default settings."""
    return ingest(folder, index, DocumentSettings(), IndexSettings())
