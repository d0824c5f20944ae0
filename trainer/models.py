"""`quantahr export` and `quantahr models`: carry what was trained towards production, and say which model answers.

Enters: finished runs, or the name of a model. Leaves: a model in the registry, or another one that answers: a server
that runs takes it up within seconds, without a restart.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bot.live import served
from config.errors import ConfigError, ModelError
from config.settings import Settings, load_settings
from exporter.registry import Current, Registry, State
from exporter.standing import listed


@click.command("export")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), required=True)
@click.option("--type", "kind", default="", help="llama.cpp's type, such as Q8_0 or Q4_K_M.  [by size]")
@click.option("--json", "as_json", is_flag=True, help="Print the model's manifest as JSON.")
@click.pass_obj
def export_command(config: Path | None, runs: tuple[Path, ...], kind: str, as_json: bool) -> None:
    """Merge, convert, quantize and verify what RUNS trained; the model then waits in the registry."""
    from exporter.candidate import export

    settings = load_settings(config)
    registry = Registry(settings.data_dir)
    folders = [_folder(run, settings) for run in runs]
    made = export(folders, served(settings), registry, kind, lambda step: click.echo(f"{step} …", err=True))
    standing = registry.current().models[made.id]
    if as_json:
        click.echo(json.dumps(made.model_dump(mode="json") | {"state": standing.state, "why": standing.why}, indent=1))
    else:
        click.echo(f"{made.id}: {standing.state}{f', as {standing.why}' if standing.why else ''}")
        click.echo(f"{registry.path(made.id) / 'report.md'} says what was compared.")
    if standing.state is State.REJECTED:
        raise SystemExit(1)


def _folder(run: Path, settings: Settings) -> Path:
    """A run by its folder, or by its id."""
    for folder in (run, settings.data_dir / "runs" / run):
        if folder.is_dir():
            return folder
    raise ConfigError(f"There is no run {run}; name a folder of {settings.data_dir / 'runs'}.")


@click.group("models")
def command() -> None:
    """Say which models there are, and which one answers."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_obj
def list_command(config: Path | None, as_json: bool) -> None:
    """List the models with their states, what ships first."""
    settings = load_settings(config)
    rows = listed(Registry(settings.data_dir))
    if as_json:
        click.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
        return
    table = Table(title="Models")
    for name in ("model", "state", "since", "generator", "new parts", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        style = {"live": "bold green", "canary": "yellow", "rejected": "red"}.get(row.state, "")
        since = f"{row.since:%Y-%m-%d %H:%M}" if row.since else ""
        table.add_row(row.name, row.state, since, row.generator, ", ".join(row.new_parts), row.why, style=style)
    Console().print(table)


@command.command("show")
@click.argument("model")
@click.pass_obj
def show_command(config: Path | None, model: str) -> None:
    """Show all that is known of MODEL, after proving that its files are unchanged."""
    registry = Registry(load_settings(config).data_dir)
    manifest = registry.check(model)
    standing = registry.current().models.get(model)
    record = manifest.model_dump(mode="json") | {"state": standing.model_dump(mode="json") if standing else None}
    click.echo(json.dumps(record, indent=1))


@command.command("gate")
@click.argument("model")
@click.option("--dataset", type=click.Path(path_type=Path, file_okay=False), help="Whose held-out rows are asked, too.")
@click.option("--promote", is_flag=True, help="Have it answer from now on, if it passes.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.pass_obj
def gate_command(config: Path | None, model: str, dataset: Path | None, promote: bool, as_json: bool) -> None:
    """Ask MODEL and the live one the same questions; one that is worse in anything is rejected."""
    from trainer.evaluate import show_comparison
    from trainer.gate import gate, question_sets, report_of

    settings = load_settings(config)
    registry = Registry(settings.data_dir)
    sets = question_sets(settings, dataset)
    verdict = gate(model, settings, registry, sets, lambda step: click.echo(f"{step} …", err=True))
    if verdict.passed and promote:
        _require_gate(registry, model, ungated=False)
        registry.move(model, State.LIVE, verdict.why)
    if as_json:
        click.echo(json.dumps(asdict(verdict), indent=1, ensure_ascii=False))
    else:
        show_comparison(verdict.compared)
        click.echo(f"{model}: {'passed' if verdict.passed else 'not passed'}, as {verdict.why}")
        click.echo(f"{report_of(registry, model)} says it in words.")
    if not verdict.passed:
        raise SystemExit(1)


@command.command("promote")
@click.argument("model")
@click.option("--why", default="by hand", help="Kept beside the state.")
@click.option("--ungated", is_flag=True, help="Also one that has not passed the gate.")
@click.pass_obj
def promote_command(config: Path | None, model: str, why: str, ungated: bool) -> None:
    """Have MODEL answer from now on."""
    registry = Registry(load_settings(config).data_dir)
    _require_gate(registry, model, ungated=ungated)
    _say(registry.move(model, State.LIVE, why))


def _require_gate(registry: Registry, model: str, *, ungated: bool) -> None:
    """Check that a model's files are unchanged, and that it passed the gate beside what is live now."""
    registry.check(model)
    current = registry.current()
    standing = current.models.get(model)
    is_proved = standing is not None and standing.gate == "passed" and standing.against in (current.live, model)
    was_live = standing is not None and standing.state is State.RETIRED and standing.gate != "failed"
    if not (is_proved or was_live or ungated):
        raise ModelError(
            f"{model} has not passed the gate beside {current.live or 'what ships'}; run 'quantahr models gate "
            f"{model}', or add --ungated."
        )


@command.command("canary")
@click.argument("model")
@click.option("--share", type=click.FloatRange(0.01, 0.9), default=0.1, show_default=True, help="Of the people.")
@click.option("--ungated", is_flag=True, help="Also one that has not passed the gate.")
@click.pass_obj
def canary_command(config: Path | None, model: str, share: float, ungated: bool) -> None:
    """Have MODEL answer a share of the people, always the same ones."""
    registry = Registry(load_settings(config).data_dir)
    _require_gate(registry, model, ungated=ungated)
    registry.move(model, State.CANARY, f"answers {share:.0%} of the people", share)
    click.echo(f"{model} answers {share:.0%} of the people; 'quantahr models promote {model}' gives it the others.")


@command.command("rollback")
@click.option("--why", default="rolled back by hand", help="Kept beside the state.")
@click.pass_obj
def rollback_command(config: Path | None, why: str) -> None:
    """Have the model before answer again."""
    _say(Registry(load_settings(config).data_dir).rollback(why))


def _say(current: Current) -> None:
    before = "" if current.previous is None else f"; before it was {current.previous or 'what ships'}"
    click.echo(f"{current.live or 'What ships'} answers{before}.")
