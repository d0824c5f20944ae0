"""How fast documents are read, cut and embedded, and how much memory that takes.

Run: `python -m bench.ingest [FOLDER]` (else the sample handbook); the index is a temporary one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from config.settings import DocumentSettings, IndexSettings
from knowledge.embed import open_embedder
from knowledge.index import open_index
from knowledge.ingest import ingest


def main() -> None:
    """Ingest twice: everything, then nothing new."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("samples/handbook")
    settings = IndexSettings()
    table = Table(title=f"Ingesting {folder}")
    for name in ("run", "documents", "chunks", "seconds", "chunks/s"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as data:
        index = open_index(settings, Path(data), open_embedder(adapter=settings.adapter))
        for run in ("first", "unchanged"):
            began = time.perf_counter()
            report = ingest(folder, index, DocumentSettings(), settings)
            seconds = time.perf_counter() - began
            count = len(report.added) + len(report.unchanged)
            table.add_row(run, str(count), str(report.chunks), f"{seconds:.1f}", f"{report.chunks / seconds:.1f}")
        index.close()
    Console().print(table)
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    Console().print(f"Peak memory: {own:.0f} MB in the process that holds the index, {workers:.0f} MB in the reader's.")


if __name__ == "__main__":
    main()
