"""Train the generator on thumbs: answers that were good and answers that were not (KTO, arXiv 2402.01306).

Enters: a run's folder with rows `{"prompt", "completion", "label"}`, and the adapter that supervised training made
(`parent`), which it goes on from. Leaves: what `trainer.sft` leaves.
Run: `python -m trainer.preference --run var/runs/ID`, which `quantahr train --kind kto --parent RUN/adapter` does.

Good and bad answers are interleaved, and batches drawn in that order: one of a single kind teaches nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from peft import PeftModel
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback
from trl import KTOConfig, KTOTrainer  # type: ignore[attr-defined]

from config.errors import ConfigError
from exporter.load import load_base
from trainer.adapter import finish, with_adapter
from trainer.records import run as run_main
from trainer.runs import Run
from trainer.sft import Tell, arguments, last_checkpoint, last_loss, main_of, prepared

_LEAST_BATCH = 2


def interleaved(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Good and bad answers mixed as evenly as their numbers allow."""
    rng = random.Random(seed)
    placed: list[tuple[float, int, dict[str, Any]]] = []
    for is_good in (True, False):
        own = [row for row in rows if bool(row["label"]) is is_good]
        rng.shuffle(own)
        placed += [((n + 0.5) / len(own), int(is_good), row) for n, row in enumerate(own)]
    return [row for *_, row in sorted(placed, key=lambda one: one[:2])]


class _Trainer(KTOTrainer):
    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(rows)


def train(run: Run) -> None:
    """Train a run to its end, from its last checkpoint if there is one. Raises what `trainer.sft.train` raises."""
    plan = run.plan
    tokenizer, rows, dropped = prepared(run)
    base = load_base(plan.held, run.folder.parent / "bases")
    parent = run.spec.parent
    good, bad = (sum(bool(row["label"]) is kind for row in rows) for kind in (True, False))
    if parent and not (parent / "adapter_config.json").is_file():
        raise ConfigError(f"{parent} holds no adapter; name the folder 'adapter' of a run with --parent.")
    model = PeftModel.from_pretrained(base, parent, is_trainable=True) if parent else with_adapter(base, plan)
    settings = arguments(plan, run.checkpoints) | {
        "per_device_train_batch_size": max(_LEAST_BATCH, plan.batch),
        "gradient_accumulation_steps": max(1, plan.accumulation // (2 if plan.batch < _LEAST_BATCH else 1)),
        "learning_rate": plan.spec.training.kto_learning_rate,
        "max_length": plan.max_tokens,
        # The rarer kind counts for more, so that both weigh alike.
        "desirable_weight": max(1.0, bad / good) if good and bad else 1.0,
        "undesirable_weight": max(1.0, good / bad) if good and bad else 1.0,
    }
    for of_sft in ("packing", "shuffle_dataset"):
        settings.pop(of_sft)
    trainer = _Trainer(
        model=model,
        args=KTOConfig(**settings),
        train_dataset=Dataset.from_list(interleaved(rows, plan.spec.training.seed)),
        processing_class=tokenizer,
        callbacks=[Tell(run.journal)],
    )
    trainer.remove_callback(PrinterCallback)  # the journal tells
    run.journal.add("rows", kept=len(rows), dropped_too_long=dropped, good=good, bad=bad)
    trainer.train(resume_from_checkpoint=last_checkpoint(run))
    if trainer.is_world_process_zero():
        metrics = {"train_loss": last_loss(trainer.state), "steps": float(trainer.state.global_step)}
        finish(run, trainer.model, metrics)


if __name__ == "__main__":
    run_main(lambda: main_of(train, __doc__ or ""))
