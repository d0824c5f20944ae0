"""`quantahr doctor`: check what the assistant needs, and say what to do about what is missing.

Every check is made, also after one that failed. Exits with 1 when one failed; a warning is no failure.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from bot.live import live_settings
from config.errors import IndexInUse, ModelError, QuantaHRError
from config.machine import usable_cores
from config.settings import Settings, load_settings
from exporter.manifest import PARTS, PartName, check_files, rebuilds
from exporter.registry import Registry

_NEEDED_DISK_MB = 500
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Health(StrEnum):
    """How one check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What one check found, in one sentence, and what to do unless it is well."""

    check: str
    health: Health
    says: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def command(config: Path | None, as_json: bool) -> None:
    """Check environment, settings, documents, model, index and disk, and say what to do."""
    findings = examine(config)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        marks = {Health.OK: "[green]✓[/]", Health.WARNING: "[yellow]![/]", Health.FAILED: "[red]✗[/]"}
        console = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            console.print(f"{marks[finding.health]} [bold]{finding.check}[/]  {escape(finding.says)}")
    if any(finding.health is Health.FAILED for finding in findings):
        raise SystemExit(1)


def examine(config: Path | None) -> list[Finding]:
    """Make every check, in the order in which they should be put right."""
    findings = [_python()]
    try:
        settings = load_settings(config)
    except QuantaHRError as error:
        return [*findings, Finding("settings", Health.FAILED, str(error))]
    findings.append(Finding("settings", Health.OK, "every key is known and every value fits."))
    registry = _safely(_registry, settings)
    if registry.health is Health.OK:
        settings = live_settings(settings)
    checks = (_server, _disk, _ledger, _documents, _encoder, _parts, _model, _index, _slack)
    return [*findings, registry, *(_safely(check, settings) for check in checks)]


def _safely(check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    name = check.__name__.strip("_")
    try:
        return check(settings)
    except QuantaHRError as error:
        return Finding(name, Health.FAILED, str(error))
    except Exception as error:  # a doctor that dies helps nobody
        return Finding(name, Health.FAILED, f"the check itself failed ({type(error).__name__}: {error}).")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != (3, 11):
        return Finding("python", Health.FAILED, f"this is Python {version}; install and use 3.11.")
    return Finding("python", Health.OK, f"{version}, {usable_cores()} cores.")


def _registry(settings: Settings) -> Finding:
    registry = Registry(settings.data_dir)
    current = registry.current()
    if not current.live:
        return Finding("registry", Health.OK, "what ships answers.")
    registry.check(current.live)
    return Finding("registry", Health.OK, f"{current.live} answers, and its files are those that were exported.")


def _server(settings: Settings) -> Finding:
    server = settings.server
    if server.host in _LOOPBACK:
        return Finding("server", Health.OK, f"http://{server.host}:{server.port}, reachable from this machine only.")
    if not server.api_token.get_secret_value():
        return Finding(
            "server",
            Health.FAILED,
            f"it would listen on {server.host} without a token; set QUANTAHR_SERVER__API_TOKEN to a long random text.",
        )
    return Finding("server", Health.OK, f"{server.host}:{server.port}, with a token.")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir if settings.data_dir.exists() else Path()
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if not os.access(folder, os.W_OK):
        return Finding("disk", Health.FAILED, f"{folder.resolve()} cannot be written to; change its owner or data_dir.")
    if free_mb < _NEEDED_DISK_MB:
        return Finding("disk", Health.FAILED, f"only {free_mb} MB are free for {settings.data_dir}; make room.")
    return Finding("disk", Health.OK, f"{free_mb:,} MB are free for {settings.data_dir}.")


def _ledger(settings: Settings) -> Finding:
    from bot.store import open_store

    store = open_store(settings.data_dir, settings.ledger)
    where = store.file or "PostgreSQL"
    store.close()
    return Finding("ledger", Health.OK, f"{where} opens and is up to date.")


def _slack(settings: Settings) -> Finding:
    """Tokens, scopes and the HR channel; which events are subscribed to, Slack tells nobody but the app's page."""
    slack = settings.slack
    if not slack.is_on:
        return Finding("slack", Health.OK, "not set up; docs/slack.md says how.")
    from bot.slack.check import missing

    problems = missing(slack)
    if problems:
        return Finding("slack", Health.FAILED, " ".join(problems))
    if not (slack.hr_group or slack.hr_people):
        return Finding("slack", Health.WARNING, "nobody is HR; set slack.hr_group or slack.hr_people.")
    if not slack.hr_channel:
        return Finding("slack", Health.WARNING, "cases and suggestions have nowhere to go; set slack.hr_channel.")
    return Finding("slack", Health.OK, "tokens and scopes are right, and the HR channel can be written to.")


def _documents(settings: Settings) -> Finding:
    from knowledge.load import find_documents

    folder = settings.documents.folder
    if not folder.is_dir():
        return Finding("documents", Health.FAILED, f"there is no folder {folder}; set documents.folder to yours.")
    count = len(find_documents(folder))
    if not count:
        return Finding("documents", Health.WARNING, f"{folder} holds no document that can be read; add some.")
    return Finding("documents", Health.OK, f"{count} in {folder}.")


def _encoder(settings: Settings) -> Finding:
    from knowledge.embed import open_embedder

    embedder = open_embedder(adapter=settings.index.adapter)
    return Finding("encoder", Health.OK, f"all-MiniLM-L6-v2, {embedder.dimensions} dimensions, loads and works.")


def _parts(settings: Settings) -> Finding:
    """Whether the trained parts are as they were made, fit the embedder in use, and load."""
    from bot.followup import open_judge
    from bot.triage.classify import open_classifier
    from knowledge.embed import open_embedder
    from knowledge.matcher import open_matcher
    from knowledge.read import open_reader

    embedder = open_embedder(adapter=settings.index.adapter)
    problems = [problem for part in PARTS if (problem := _problem_with(part, settings, embedder.version))]
    if problems:
        return Finding("parts", Health.FAILED, " ".join(problems))
    open_reader(embedder, settings.parts_dir / "reader")
    open_matcher(settings.parts_dir / "matcher")
    open_classifier(embedder, settings.parts_dir / "triage")
    open_judge(settings.parts_dir / "followup")
    return Finding("parts", Health.OK, f"{', '.join(PARTS)} are as they were made, fit the encoder and load.")


def _problem_with(part: PartName, settings: Settings, embedder_version: str) -> str:
    """What is wrong with a part's files, and the command that mends it; empty when nothing is."""
    folder = settings.parts_dir / part
    try:
        manifest = check_files(folder)
    except ModelError as error:
        return str(error)
    if manifest.part != part:
        return f"{folder} holds the {manifest.part} instead; make the part anew with '{rebuilds(folder)}'."
    if manifest.fits(embedder_version):
        return ""
    usual = settings.parts_dir / "retriever"
    instead = "" if settings.index.adapter == usual else f", or set index.adapter to {usual}"
    return f"The {part} was made over another embedder than this; make it anew with '{rebuilds(folder)}'{instead}."


def _model(settings: Settings) -> Finding:
    from bot.llama import load_model

    model = load_model(settings.model)
    try:
        return Finding("model", Health.OK, f"{model.version}, {model.context_tokens} tokens of context, loads.")
    finally:
        model.close()


def _index(settings: Settings) -> Finding:
    from knowledge.embed import open_embedder
    from knowledge.index import open_index

    try:
        index = open_index(settings.index, settings.data_dir, open_embedder(adapter=settings.index.adapter))
    except IndexInUse as error:
        return Finding("index", Health.WARNING, str(error))
    try:
        documents, chunks = index.snapshot.documents, len(index.snapshot.chunks)
    finally:
        index.close()
    if not chunks:
        return Finding("index", Health.WARNING, "it is empty; run quantahr ingest, or quantahr serve, which fills it.")
    return Finding("index", Health.OK, f"{documents} documents in {chunks} chunks.")
