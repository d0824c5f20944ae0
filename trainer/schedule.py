"""Train when there is enough to learn from: the whole way from the ledger to an adapter, and what state that is in.

Enters: settings and a specification. Leaves: a dataset and a run, when enough answers have feedback that no run has
learned from; and `<data_dir>/training.json`, which says how far it is: what the API and the console show.
Run: `quantahr train --now`; `quantahr serve` runs the same every night, in a process of its own.

What was trained then goes all the way: exported, verified, asked beside the live model, and put in its place if nothing
got worse and something better. The state says in one sentence where that ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.live import served
from config.errors import QuantaHRError
from config.settings import Settings
from config.training import STATE_FILE, TrainingState
from exporter.base import ADAPTER
from exporter.candidate import export
from exporter.registry import Registry, State
from trainer.alone import alone
from trainer.dataset import build
from trainer.gate import gate, question_sets
from trainer.journal import Event
from trainer.learn import learn
from trainer.plan import make_plan, this_machine
from trainer.runs import GENERATOR_KINDS, KINDS, Run, RunSpec, dataset_hash
from trainer.spec import TrainingSpec

_log = logging.getLogger(__name__)
_LEARNED = "learned.json"


def train_now(
    spec: TrainingSpec, settings: Settings, *, force: bool = False, on_event: Callable[[Event], None] = lambda _: None
) -> TrainingState:
    """Build a dataset and train on it if enough is new, or `force` is given; gives the state that this ended in.

    Raises:
        QuantaHRError: It failed; the state says so, too.
    """
    state = _State(settings.data_dir)
    with alone(settings.data_dir / "datasets"):
        try:
            dataset = build(spec, settings)
            manifest = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))
            known = _learned(settings.data_dir)
            new = len(set(manifest["interactions"]) - known)
            minimum = spec.data.feedback_minimum
            if new < minimum and not force:
                return state.write(state="collecting", collected=new, needed=minimum)
            runs = _train(spec, settings, dataset, manifest["rows"], state, on_event)
            # Before the feedback counts as learned from: what stops on this way is taken up again the next night.
            result = _afterwards(runs, dataset, settings)
            _write(settings.data_dir / "runs" / _LEARNED, sorted(known | set(manifest["interactions"])))
            names = " ".join(run.folder.name for run in runs)
            return state.write(state="idle", result=result, run=names, collected=0, needed=minimum)
        except QuantaHRError as error:
            state.write(state="failed", result=str(error))
            raise
        except BaseException as error:  # interrupted, or a fault of ours: nobody must see it running for ever
            state.write(state="failed", result=f"interrupted ({type(error).__name__}); it goes on at the next start")
            raise


def _train(
    spec: TrainingSpec,
    settings: Settings,
    dataset: Path,
    rows: Mapping[str, int],
    state: _State,
    on_event: Callable[[Event], None],
) -> list[Run]:
    """What to say first, then what was good and what not, on the same adapter; and the encoders that have rows."""
    plan = make_plan(spec, this_machine(settings.data_dir), settings.data_dir / "models")
    minima = {str(kind): least for kind, least in spec.data.class_minima.items()}
    kinds = [kind for kind, (name, _) in KINDS.items() if rows.get(f"{name}.train", 0) >= max(1, minima.get(kind, 1))]
    if not kinds:
        raise QuantaHRError(f"{dataset} has no rows to train on; collect corrections and votes, and build again.")
    runs: list[Run] = []
    for number, kind in enumerate(kinds):

        def heard(event: Event, before: int = number) -> None:
            if event["event"] == "step":
                done = (before + event["step"] / event["steps"]) / len(kinds)
                state.write(state="running", percent=round(100 * done), eta_s=event["eta_s"])
            on_event(event)

        parent: Path | None = settings.parts_dir / kind
        if kind in GENERATOR_KINDS:
            parent = runs[-1].folder / ADAPTER if runs else None
        spec_of_it = RunSpec(kind, plan, dataset, dataset_hash(dataset), parent)
        runs.append(learn(settings.data_dir / "runs", spec_of_it, heard))
    return runs


def _afterwards(runs: Sequence[Run], dataset: Path, settings: Settings) -> str:
    """Carry what was trained to production, or say where and why that ended.

    What is trained for the generator and what for the encoders may be of different worth: if all of it together does
    not pass, the encoders try alone.
    """
    encoders = [run for run in runs if run.spec.kind not in GENERATOR_KINDS]
    attempts = [list(runs), encoders] if encoders and len(encoders) < len(runs) else [list(runs)]
    results = []
    for attempt in attempts:
        is_used, result = _carry(attempt, dataset, settings)
        results.append(result)
        if is_used:
            break
    Registry(settings.data_dir).prune(settings.training.keep_models)
    return " ".join(results)


def _carry(runs: Sequence[Run], dataset: Path, settings: Settings) -> tuple[bool, str]:
    """Export, ask beside what answers, and promote; says whether it is used, and in a sentence what became of it."""
    registry = Registry(settings.data_dir)
    now = served(settings)
    if now.id and set(registry.manifest(now.id).runs) == {run.folder.name for run in runs}:
        return True, f"{now.id} answers already."
    made = export([run.folder for run in runs], now, registry)
    standing = registry.current().models[made.id]
    if standing.state is State.VERIFIED and (not standing.gate or standing.against != now.id):
        gate(made.id, settings, registry, question_sets(settings, dataset))
        standing = registry.current().models[made.id]
    what = " and ".join(sorted({"generator" if run.spec.kind in GENERATOR_KINDS else run.spec.kind for run in runs}))
    if standing.gate != "passed":
        return False, f"{made.id} (new {what}) is not used: {standing.why}."
    promotion = settings.training.promotion
    if standing.state is State.VERIFIED and promotion != "hand":
        if registry.current().live != now.id:
            return False, f"{made.id} passed, but another model was promoted meanwhile; it is asked again tomorrow."
        share = settings.training.canary_share
        registry.move(made.id, State.LIVE if promotion == "live" else State.CANARY, share=share)
    done = {"live": "answers now", "canary": f"answers {settings.training.canary_share:.0%} of the people"}
    used = done.get(promotion, f"waits for 'quantahr models promote {made.id}'")
    return True, f"{made.id} (new {what}) {used}: {standing.why}."


class _State:
    """The state file, replaced at once so that nobody reads half of it."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / STATE_FILE
        self._last = TrainingState.read(data_dir)

    def write(self, **values: Any) -> TrainingState:
        """Change some of it."""
        kept = {"result": self._last.result, "run": self._last.run}
        self._last = TrainingState.model_validate(kept | values | {"at": datetime.now(UTC)})
        _write(self._file, self._last.model_dump(mode="json"))
        return self._last


def _learned(data_dir: Path) -> set[str]:
    """The answers that a run has learned from."""
    file = data_dir / "runs" / _LEARNED
    try:
        return set(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return set()
    except ValueError:
        _log.warning("%s cannot be read; all feedback counts as new", file)
        return set()


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(file)
