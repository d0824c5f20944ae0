"""Go on training an encoder on what the company's people said, from the one that ships.

Enters: a run's folder with its rows, and the part to begin with (`parent`). Leaves: in the run's folder the part as
serving reads it, and how many held-out rows it judges right, before and after.

Both encoders are shown what ships with QuantaHR as well (replay), so that a few dozen rows do not make them forget the
rest, and learn at a fraction of the rate. What is fitted on top of them (linear models, thresholds) stays as it is: to
fit it takes hundreds of rows.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from config.errors import ConfigError
from exporter.manifest import MANIFEST, Manifest, PartName, Recipe, make_manifest, publishing, read_manifest
from exporter.manifest import write_manifest as write
from trainer.pair_training import Draws, Schedule, Trained, save_adapter, train_pairs
from trainer.records import SHIPPED
from trainer.runs import Run

EPOCHS = 4.0
# Against the rates that the parts were made with: far enough to learn, near enough not to forget.
LEARNING_RATE, HEAD_LEARNING_RATE = 2e-4, 4e-4
# Rows that ship, for each of the company's.
REPLAY = 3
_LICENCE = "adapted on this company's own ledger; for use by this company"


def parent_of(run: Run) -> Path:
    """The part that a run goes on from.

    Raises:
        ConfigError: None is named.
    """
    if run.spec.parent is None or not (run.spec.parent / MANIFEST).is_file():
        raise ConfigError(f"{run.spec.parent} holds no trained part; name one with --parent.")
    return run.spec.parent


def load_head(head: torch.nn.Module, file: Path) -> torch.nn.Module:
    """The head as the parent has it."""
    head.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    return head


def replay_data() -> Path:
    """The rows that ship.

    Raises:
        ConfigError: They were not installed.
    """
    if not SHIPPED.is_dir():
        raise ConfigError(f"{SHIPPED} is not there, and without it an encoder would forget what it knew; restore it.")
    return SHIPPED


def adapt(
    run: Run,
    part: PartName,
    head: torch.nn.Module,
    draws: Draws,
    loss_of: Callable[[Trained], torch.Tensor],
    steps: int,
    save_head: Callable[[torch.nn.Module, Path], None],
    judged: Callable[[Path], dict[str, float]],
    rows: int,
) -> None:
    """Train, from the last checkpoint if there is one, and finish the run with the part."""
    parent, seed = parent_of(run), run.plan.spec.training.seed
    schedule = Schedule(seed, steps, LEARNING_RATE, HEAD_LEARNING_RATE, dropout=0.0, save_every=10)
    began: list[tuple[int, float]] = []

    def told(step: int, loss: float, rate: float) -> None:
        if not began:
            began.append((step, time.monotonic()))
        each = (time.monotonic() - began[0][1]) / max(1, step - began[0][0])
        eta = round(each * (steps - step))
        run.journal.add("step", step=step, steps=steps, loss=round(loss, 5), learning_rate=rate, eta_s=eta)

    checkpoint = run.checkpoints / "checkpoint.pt"
    run.journal.add("begin", step=0, steps=steps)
    trained = train_pairs(part.capitalize(), parent, head, draws, loss_of, schedule, checkpoint, told)

    made = run.folder / f".{part}"
    with publishing(made) as folder:
        shutil.copytree(parent, folder, dirs_exist_ok=True)
        (folder / MANIFEST).unlink()
        save_adapter(trained.model, folder)
        save_head(trained.head, folder)
        write(folder, _manifest(run, part, read_manifest(parent), rows))
    before, after = judged(parent), judged(made)
    metrics = {"train_loss": _last(trained.losses), "steps": float(steps), "rows": float(rows)}
    metrics |= {f"validation_{name}_before": value for name, value in before.items()}
    metrics |= {f"validation_{name}_after": value for name, value in after.items()}
    run.finish(part, lambda folder: shutil.copytree(made, folder, dirs_exist_ok=True), metrics)
    shutil.rmtree(made)


def steps_of(rows: int, batch: int) -> int:
    """So many that every row is seen `EPOCHS` times, replay among them."""
    return max(1, math.ceil(EPOCHS * rows * (1 + REPLAY) / batch))


def _manifest(run: Run, part: PartName, parent: Manifest, rows: int) -> Manifest:
    recipe = Recipe(
        part=part,
        command=f"quantahr train --kind {part}",
        base=f"{parent.base} adapted",
        rows=parent.rows + rows,
        employers=parent.employers,
        data_sha256=hashlib.sha256(run.spec.dataset_sha256.encode()).hexdigest(),
        seed=run.plan.spec.training.seed,
        settings={
            "parent": parent.digest,
            "epochs": EPOCHS,
            "learning_rate": LEARNING_RATE,
            "head_learning_rate": HEAD_LEARNING_RATE,
            "replay": REPLAY,
        },
    )
    return make_manifest(recipe, {}, (*parent.licences, _LICENCE))


def _last(losses: Sequence[float]) -> float:
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)
