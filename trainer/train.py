"""`quantahr train`: make the trained parts anew.

Enters: a folder of training data. Leaves: a folder of weights for each part, in place of those that were there, and
what each was measured to do.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from exporter.manifest import PARTS, PartName
from trainer.starter import Outcome, rebuild


@click.command("train")
@click.option("--starter", is_flag=True, help="Rebuild the parts that ship with QuantaHR.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="This part alone; may be given again.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("samples/training"),
    show_default=True,
    help="Rows, and the policies they are about.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("models/starter"),
    show_default=True,
    help="Folder in which each part has its own.",
)
@click.option("--force", is_flag=True, help="Also rebuild what would come out the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifests as JSON.")
def command(starter: bool, only: tuple[PartName, ...], data: Path, out: Path, force: bool, as_json: bool) -> None:
    """Train the parts that find, choose, route and recognise. Interrupted, the same command goes on."""
    if not starter:
        raise click.UsageError(
            "Learning from your own feedback is not possible yet; 'quantahr train --starter' rebuilds the parts that "
            "ship with QuantaHR."
        )
    chosen = only or PARTS

    def on_part(part: PartName, number: int) -> None:
        click.echo(f"{number}/{len(set(chosen))} {part}", err=True)

    outcomes = rebuild(chosen, data, out, force=force, on_part=on_part)
    if as_json:
        click.echo(json.dumps([_record(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    else:
        Console().print(_table(outcomes))


def _record(outcome: Outcome) -> dict[str, object]:
    manifest = outcome.manifest.model_dump(mode="json")
    return {"part": outcome.manifest.part, "state": outcome.state, "seconds": outcome.seconds, "manifest": manifest}


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="Trained parts")
    for name in ("part", "", "minutes", "rows", "size"):
        table.add_column(name, justify="left" if name in ("part", "") else "right")
    for outcome in outcomes:
        manifest = outcome.manifest
        minutes, size = f"{outcome.seconds / 60:.1f}", f"{outcome.size_bytes / 1e6:.1f} MB"
        table.add_row(manifest.part, outcome.state, minutes, f"{manifest.rows:,}", size)
    return table
