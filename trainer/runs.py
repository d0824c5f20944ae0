"""Runs: one training from its plan to its adapter, in a folder of its own.

Enters: a `Plan` and the dataset it learns from. Leaves: `<runs>/<id>/` with `run.json` (the settings as they were used,
and the dataset's hash), a journal, checkpoints while it goes on, and in the end the adapter, `metrics.json`,
`environment.json`, `loss.png` and `report.md`.

The id follows from settings, dataset and base alone: the same command finds the same run, and goes on where it stopped.
A run is done when its metrics are there, which are written last.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from config.errors import ConfigError, TrainingError
from exporter.base import base_hash
from exporter.manifest import publishing
from trainer.journal import Journal
from trainer.plan import Decision, Plan
from trainer.records import read_records

OUT_OF_MEMORY = 75
RUN_FILE, METRICS, PLOT, REPORT = "run.json", "metrics.json", "loss.png", "report.md"
# What can be trained: from which rows of a dataset, and what these hold.
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sft": ("sft", ("prompt", "completion")),
    "kto": ("kto", ("prompt", "completion", "label")),
    "reader": ("reading", ("question", "answerable", "positives", "negatives")),
    "matcher": ("matching", ("question", "stored", "answer", "same")),
}
GENERATOR_KINDS = ("sft", "kto")
_PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets", "quantahr")


@dataclass(frozen=True)
class RunSpec:
    """What a run is made of. `kind` says which way it is trained; `parent` is the adapter's folder it begins with."""

    kind: str
    plan: Plan
    dataset: Path
    dataset_sha256: str
    parent: Path | None = None

    @cached_property
    def id(self) -> str:
        """Names the run by what decides its outcome."""
        decides = _SPEC.dump_python(self, mode="json")
        decides["plan"].pop("decisions")
        decides.pop("dataset")
        decides["plan"]["spec"]["training"].pop("resume_from_uploads")
        decides["plan"]["base"] = base_hash(self.plan.base)
        decides["parent"] = folder_hash(self.parent) if self.parent else None
        return f"{self.kind}-{hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:10]}"


_SPEC = TypeAdapter(RunSpec)


@dataclass(frozen=True)
class Run:
    """A run in its folder."""

    folder: Path
    spec: RunSpec

    @property
    def plan(self) -> Plan:
        """How it is done."""
        return self.spec.plan

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def journal(self) -> Journal:
        """What happened."""
        return Journal(self.folder / "journal.jsonl")

    @property
    def metrics(self) -> dict[str, float] | None:
        """What came of it; None while it is not done."""
        file = self.folder / METRICS
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def rows(self, part: str) -> list[dict[str, Any]]:
        """The rows of one part ("train", "validation"); none where there is no such file."""
        name, wanted = KINDS[self.spec.kind]
        file = self.spec.dataset / f"{name}.{part}.jsonl"
        if not file.is_file():
            return []
        return [{name: record[name] for name in wanted} for _, record in read_records(file)]

    def require_rows(self, kept: int, dropped: int) -> None:
        """Check that there is something to learn from.

        Raises:
            ConfigError: There is not.
        """
        if not kept:
            raise ConfigError(
                f"No row of {self.spec.dataset} fits into model.max_sequence_length ({self.plan.max_tokens} tokens; "
                f"{dropped} are longer); raise it, or build another dataset."
            )

    def finish(self, name: str, save: Callable[[Path], object], metrics: dict[str, float]) -> None:
        """Save what was trained as the folder `name`, and all that explains it; the metrics come last: it is done."""
        metrics = {name: round(float(value), 6) for name, value in metrics.items()}
        if not all(math.isfinite(value) for value in metrics.values()):
            raise TrainingError(f"The loss of {self.folder.name} is no number any more; lower the learning rate.")
        with publishing(self.folder / name) as folder:
            save(folder)
        (self.folder / "environment.json").write_text(json.dumps(environment(), indent=1) + "\n", encoding="utf-8")
        self.plot()
        (self.folder / REPORT).write_text(self.report(metrics), encoding="utf-8")
        self.journal.add("done", **metrics)
        part = self.folder / f"{METRICS}.part"
        part.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        part.replace(self.folder / METRICS)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def save(self) -> None:
        """Write down what it is made of."""
        part = self.folder / f"{RUN_FILE}.part"
        part.write_bytes(_SPEC.dump_json(self.spec, indent=1) + b"\n")
        part.replace(self.folder / RUN_FILE)

    def plot(self) -> None:
        """Draw loss and learning rate over the steps."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        steps = self.journal.steps()
        figure, loss = pyplot.subplots(figsize=(8, 4), layout="constrained")
        loss.plot([one["step"] for one in steps], [one["loss"] for one in steps], color="tab:blue", label="loss")
        loss.set_xlabel("step")
        loss.set_ylabel("loss on completions")
        rate = loss.twinx()
        rate.plot([one["step"] for one in steps], [one["learning_rate"] for one in steps], color="tab:gray", lw=0.8)
        rate.set_ylabel("learning rate")
        figure.savefig(self.folder / PLOT, dpi=110, metadata={"Software": None})
        pyplot.close(figure)

    def report(self, metrics: dict[str, float]) -> str:
        """The run in words, as markdown."""
        lines = [f"# Run {self.folder.name}", "", "| | |", "| --- | --- |"]
        lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in metrics.items()]
        lines += [f"| dataset | {self.spec.dataset.name} |", "", f"![Loss and learning rate]({PLOT})", ""]
        if replaced := self.plan.replaced:
            lines += ["## Done otherwise than asked", "", *table(replaced), ""]
        return "\n".join([*lines, "## Settings", "", *table(self.plan.decisions), ""])


def folder_hash(folder: Path) -> str:
    """Names what lies in a folder, which may be gone."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def table(decisions: tuple[Decision, ...]) -> list[str]:
    """Decisions as a markdown table."""
    rows = [f"| {one.setting} | {one.asked} | {one.used} | {one.why} |" for one in decisions]
    return ["| Setting | Asked | Used | Why |", "| --- | --- | --- | --- |", *rows]


def make_run(runs: Path, spec: RunSpec) -> Run:
    """The run of a specification: the one that was begun, as it is done by now, or a new one."""
    folder = runs / spec.id
    if (folder / RUN_FILE).is_file():
        return open_run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, spec)
    run.save()
    return run


def open_run(folder: Path) -> Run:
    """A run that was made.

    Raises:
        TrainingError: There is none in the folder.
    """
    try:
        return Run(folder, _SPEC.validate_json((folder / RUN_FILE).read_bytes()))
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{folder} holds no run ({error}); begin one with 'quantahr train'.") from error


def dataset_hash(folder: Path) -> str:
    """Names a dataset by what its manifest says of its rows.

    Raises:
        TrainingError: There is no dataset in the folder, or its rows are not those that were built.
    """
    try:
        hashes: dict[str, str] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["sha256"]
        present = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.jsonl")}
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder} holds no dataset; build one with 'quantahr dataset build'.") from error
    if present != hashes:
        raise TrainingError(f"The rows in {folder} were changed or erased; build a dataset anew.")
    return " ".join(f"{name}:{digest}" for name, digest in sorted(hashes.items()))


def environment() -> dict[str, str]:
    """What it was trained with."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
