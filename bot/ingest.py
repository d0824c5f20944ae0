"""`quantahr ingest PATH…`: add or refresh documents."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from bot.terminal import progress
from config.settings import Settings, load_settings
from knowledge.embed import MAX_TOKENS, open_embedder
from knowledge.index import Index, open_index
from knowledge.ingest import IngestReport, ingest


@click.command("ingest")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def command(config: Path | None, paths: tuple[Path, ...], as_json: bool) -> None:
    """Add or refresh the documents in PATH… (else the folder in the settings); removed files disappear.

    Without PATH, and whenever quantahr serve starts, the index keeps the documents of that folder alone.

    Exits with 1 when a file had to be skipped; the others are in the index all the same.
    """
    settings = load_settings(config)
    index = open_index(settings.index, settings.data_dir, open_embedder(adapter=settings.index.adapter))
    try:
        if not paths:
            keep_configured(index, settings)
        reports = {str(path): ingest_visibly(path, index, settings) for path in paths or (settings.documents.folder,)}
    finally:
        index.close()
    if as_json:
        click.echo(json.dumps({path: asdict(report) for path, report in reports.items()}, indent=2))
    else:
        for path, report in reports.items():
            click.echo(f"{path}: {summary(report)}")
            for skipped in report.skipped:
                click.echo(f"  skipped {skipped.file}: {skipped.reason}", err=True)
    if any(report.skipped for report in reports.values()):
        raise SystemExit(1)


def ingest_visibly(path: Path, index: Index, settings: Settings) -> IngestReport:
    """Ingest with a progress bar; where chunks had to be smaller than asked for, that is said."""
    with progress("Reading documents") as on_file:
        report = ingest(path, index, settings.documents, settings.index, on_file)
    if report.chunks and settings.index.chunk_size > MAX_TOKENS:
        click.echo(
            f"index.chunk_size is {settings.index.chunk_size}; the embedder reads {MAX_TOKENS} word pieces, so chunks "
            "are cut to that.",
            err=True,
        )
    return report


def keep_configured(index: Index, settings: Settings) -> None:
    """Forget what came from folders that the settings no longer name, and say so."""
    for other in index.keep_only(str(settings.documents.folder.resolve())):
        click.echo(f"{other} is no longer documents.folder, so its documents are out of the index.", err=True)


def summary(report: IngestReport) -> str:
    """One line: "21 documents: 3 added, 18 unchanged; 1 skipped"."""
    taken = len(report.added) + len(report.updated) + len(report.unchanged)
    parts = [
        f"{len(files)} {what}"
        for what, files in (
            ("added", report.added),
            ("updated", report.updated),
            ("unchanged", report.unchanged),
            ("removed", report.removed),
        )
        if files
    ]
    line = f"{taken} documents: {', '.join(parts) or 'nothing to do'}"
    return f"{line}; {len(report.skipped)} skipped" if report.skipped else line
