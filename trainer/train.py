"""`quantahr train`: learn from a dataset, or make the parts that ship anew.

Enters: a specification (`config/qlora.json`) and a dataset; or, with `--starter`, a folder of training data. Leaves: a
run's folder with its adapter; or a folder of weights for each part, in place of those that were there.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from config.settings import load_settings
from exporter.manifest import PARTS, PartName
from trainer.journal import Event
from trainer.learn import learn
from trainer.plan import Machine, Plan, make_plan, this_machine
from trainer.remote import machine_of, train_there
from trainer.runs import GENERATOR_KINDS, KINDS, Run, RunSpec, dataset_hash
from trainer.schedule import train_now
from trainer.spec import load_spec
from trainer.starter import Outcome, rebuild

OnEvent = Callable[[Event], None]


@click.command("train")
@click.option("--config", "--spec", "spec", type=click.Path(path_type=Path), help="What to train.  [config/qlora.json]")
@click.option("--dataset", type=click.Path(path_type=Path, file_okay=False), help="A dataset; else the newest.")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="sft",
    show_default=True,
    help="What learns: the generator from answers or from votes, the reader, or the matcher.",
)
@click.option(
    "--parent",
    type=click.Path(path_type=Path, file_okay=False),
    help="What it goes on from: for votes an adapter, for reader and matcher a part.  [the part in use]",
)
@click.option(
    "--on", "there", metavar="ssh://HOST/FOLDER", help="Train on another machine, where QuantaHR is installed."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done with each setting here, and do nothing.")
@click.option("--now", is_flag=True, help="Build a dataset and train on it, if there is enough that is new.")
@click.option("--resume", is_flag=True, help="Go on where it stopped, which is what happens without it as well.")
@click.option("--starter", is_flag=True, help="Rebuild the parts that ship with QuantaHR.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="With --starter: this part alone.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("samples/training"),
    show_default=True,
    help="With --starter: rows, and the policies they are about.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("models/starter"),
    show_default=True,
    help="With --starter: folder in which each part has its own.",
)
@click.option("--force", is_flag=True, help="With --starter: also what is unchanged; with --now: also on little.")
@click.option("--json", "as_json", is_flag=True, help="Print events, or manifests, as JSON.")
@click.pass_obj
def command(
    config: Path | None,
    spec: Path | None,
    dataset: Path | None,
    kind: str,
    parent: Path | None,
    there: str | None,
    dry_run: bool,
    now: bool,
    resume: bool,
    starter: bool,
    only: tuple[PartName, ...],
    data: Path,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Train an adapter on a dataset. Interrupted, the same command goes on where it stopped."""
    if dry_run and starter:
        raise click.UsageError("--dry-run says what a specification does; --starter follows none.")
    if now and (dataset or parent or kind != "sft"):
        raise click.UsageError(
            "--now builds its dataset and trains all that it has rows for; leave out --dataset, --parent and --kind."
        )
    if parent and kind == "sft":
        raise click.UsageError("--parent is what others go on from; add --kind kto, reader or matcher.")
    if there and (now or starter or dry_run):
        raise click.UsageError("--on trains one dataset on another machine; leave out --now, --starter and --dry-run.")
    if starter:
        _rebuild(only or PARTS, data, out, force=force, as_json=as_json)
        return
    settings = load_settings(config)
    data_dir, wanted = settings.data_dir, load_spec(spec or settings.training.spec)
    if now and not dry_run:
        signal.signal(signal.SIGTERM, _leave)  # or the state would say for ever that it runs
        reached = train_now(wanted, settings, force=force)
        click.echo(reached.model_dump_json() if as_json else reached.in_words)
        return
    machine = this_machine(data_dir)
    plan = make_plan(wanted, machine, data_dir / "models")
    if dry_run:
        _say(plan, machine, as_json=as_json)
        return
    chosen = dataset or newest_dataset(data_dir / "datasets")
    if kind not in GENERATOR_KINDS:
        parent = parent or settings.parts_dir / kind
    run_spec = RunSpec(kind, plan, chosen, dataset_hash(chosen), parent)
    if there:
        machine_there = machine_of(there)

        def do(on_event: OnEvent) -> Run:
            return train_there(machine_there, wanted, run_spec, data_dir / "runs", on_event)
    else:

        def do(on_event: OnEvent) -> Run:
            return learn(data_dir / "runs", run_spec, on_event)

    run = _shown(do, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"event": "run", "folder": str(run.folder), **(run.metrics or {})}))
    else:
        _say_done(run)


def _leave(*_: object) -> None:
    sys.exit("The training was stopped; it goes on where it stopped.")


def newest_dataset(folder: Path) -> Path:
    """The dataset that was built last."""
    built = [file.parent for file in folder.glob("*/manifest.json")]
    if not built:
        raise click.UsageError(f"There is no dataset in {folder}; build one with 'quantahr dataset build'.")
    return max(built, key=lambda one: (one / "manifest.json").stat().st_mtime)


def _say(plan: Plan, machine: Machine, *, as_json: bool) -> None:
    if as_json:
        record = {"machine": machine.described, "settings": [asdict(decision) for decision in plan.decisions]}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    table = Table(title=f"Training on: {machine.described}", caption_justify="left", show_lines=False)
    for name in ("setting", "asked", "here", "why"):
        table.add_column(name, overflow="fold")
    table.columns[0].no_wrap = True
    for one in plan.decisions:
        style = "yellow" if one.why else None
        table.add_row(one.setting, one.asked, one.used, one.why, style=style)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    click.echo(f"{len(plan.replaced)} of {len(plan.decisions)} settings are done otherwise than asked, as said above.")


def _shown(do: Callable[[OnEvent], Run], *, as_json: bool) -> Run:
    """Do a run and show how far it is."""
    if as_json:
        return do(lambda event: click.echo(json.dumps(event)))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Loading", total=None)

        def on_event(event: Event) -> None:
            match event["event"]:
                case "step":
                    text = f"loss {event['loss']:.3f}"
                    bar.update(task, description=text, completed=event["step"], total=event["steps"])
                case "out_of_memory":
                    console.print("Out of memory.")
                case "less_memory":
                    what = f"{event['batch']} row at once, rank {event['r']}"
                    how = ", with checkpointing" if event["checkpointing"] else ""
                    console.print(f"Begun anew with {what}{how}.")

        return do(on_event)


def _say_done(run: Run) -> None:
    metrics = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in (run.metrics or {}).items())
    click.echo(f"{run.folder}: {metrics}")
    for one in run.plan.replaced:
        click.echo(f"  {one.setting}: {one.used} instead of {one.asked}, as {one.why}", err=True)


def _rebuild(parts: tuple[PartName, ...], data: Path, out: Path, *, force: bool, as_json: bool) -> None:
    def on_part(part: PartName, number: int) -> None:
        click.echo(f"{number}/{len(set(parts))} {part}", err=True)

    outcomes = rebuild(parts, data, out, force=force, on_part=on_part)
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
