"""Train the generator to word answers: supervised, on prompts as serving renders them.

Enters: a run's folder with its plan (`run.json`) and its rows (`{"prompt": [messages], "completion": [message]}`).
Leaves: in the same folder the adapter, a checkpoint every few steps, and a journal with the loss of every step.
Run: `python -m trainer.sft --run var/runs/ID`, which `quantahr train` does; on several GPUs `accelerate launch -m
trainer.sft --run …`. Killed at any point, the same command goes on from the last checkpoint, in full precision to the
very same loss.

The loss is on the completion alone, and the template's end-of-turn is part of it: a model that never saw it never
stops. A row that does not fit is dropped and counted; trl would drop it without a word, or cut off its end.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from torch.utils.data import Sampler
from transformers import PreTrainedTokenizerBase as Tokenizer
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]

from exporter.load import load_base, load_tokenizer
from trainer.adapter import finish, with_adapter
from trainer.journal import Journal
from trainer.plan import Plan
from trainer.records import run as run_main
from trainer.runs import OUT_OF_MEMORY, Run, open_run

ChatRow = dict[str, list[dict[str, str]]]


def token_ids(row: ChatRow, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids of a row's prompt, as serving evaluates it, and of its completion, the end of the turn included."""
    prompt: Any = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
    whole: Any = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], return_dict=False)
    return list(prompt), list(whole[len(prompt) :])


def fitting(rows: Sequence[ChatRow], tokenizer: Tokenizer, longest: int) -> tuple[list[ChatRow], int]:
    """The rows that fit with their whole completion, and how many do not."""
    kept = [row for row in rows if sum(map(len, token_ids(row, tokenizer))) <= longest]
    return kept, len(rows) - len(kept)


def train(run: Run) -> None:
    """Train a run to its end, from its last checkpoint if there is one.

    Raises:
        ModelError: The base cannot be loaded.
        ConfigError: No row fits.
    """
    plan = run.plan
    tokenizer, rows, dropped = prepared(run)
    held, _ = fitting(run.rows("validation"), tokenizer, plan.max_tokens)
    # Before the base is loaded: under accelerate this is what says which device is this process's own.
    settings = SFTConfig(
        **arguments(plan, run.checkpoints),
        max_length=plan.max_tokens,
        completion_only_loss=True,
    )
    with settings.main_process_first(local=False, desc="loading the base"):
        base = load_base(plan.held, run.folder.parent / "bases")
    trainer = _Trainer(
        model=with_adapter(base, plan),
        args=settings,
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held) if held else None,
        processing_class=tokenizer,
        callbacks=[Tell(run.journal)],
    )
    trainer.remove_callback(PrinterCallback)  # the journal tells
    run.journal.add("rows", kept=len(rows), dropped_too_long=dropped, validation=len(held))
    trainer.train(resume_from_checkpoint=last_checkpoint(run))
    metrics = {"train_loss": last_loss(trainer.state), "steps": trainer.state.global_step}
    if held:
        metrics["validation_loss"] = trainer.evaluate()["eval_loss"]
    if trainer.is_world_process_zero():
        finish(run, trainer.model, metrics)


class ByLength(Sampler[int]):
    """Rows in an order in which neighbours are about equally long, another in every epoch.

    In random order a quarter of what is computed would be padding. The order follows from seed and epoch alone, so that
    a run that goes on in the middle of an epoch goes on in the same one.
    """

    _POOL = 32  # batches that are sorted among themselves

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, epoch: Callable[[], int] = lambda: 0) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        drawn = random.Random(f"{self._seed} {self._epoch()}")
        order = drawn.sample(range(len(self._lengths)), len(self._lengths))
        size = self._batch * self._POOL
        pools = [sorted(order[at : at + size], key=self._lengths.__getitem__) for at in range(0, len(order), size)]
        batches = [pool[at : at + self._batch] for pool in pools for at in range(0, len(pool), self._batch)]
        # The one that is not full goes last: batches are counted off this order, not taken from it.
        full = [batch for batch in batches if len(batch) == self._batch]
        drawn.shuffle(full)
        rest = [batch for batch in batches if len(batch) < self._batch]
        return iter([row for batch in [*full, *rest] for row in batch])


class _Trainer(SFTTrainer):
    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> ByLength:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        lengths = list(map(len, rows["input_ids"]))

        # Asked of the state, and not told by accelerate, which does not reach the sampler of several processes.
        def epoch() -> int:
            return int((self.state.epoch or 0.0) + 1e-6)

        return ByLength(lengths, self.args.train_batch_size, self.args.seed, epoch)


def prepared(run: Run) -> tuple[Tokenizer, list[ChatRow], int]:
    """What both ways of training begin with: the tokenizer, the rows that fit, and how many do not.

    Raises:
        ConfigError: No row fits.
    """
    disable_progress_bars()
    set_seed(run.plan.spec.training.seed)
    tokenizer = load_tokenizer(run.plan.held.path)
    rows, dropped = fitting(run.rows("train"), tokenizer, run.plan.max_tokens)
    run.require_rows(len(rows), dropped)
    return tokenizer, rows, dropped


def arguments(plan: Plan, checkpoints: Path) -> dict[str, Any]:
    """What transformers and trl are told, alike for both ways of training."""
    training = plan.spec.training
    return {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": plan.batch,
        "per_device_eval_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulation,
        "warmup_steps": training.warmup_steps if training.warmup_steps < 1 else int(training.warmup_steps),
        "max_steps": training.max_steps,
        "num_train_epochs": training.num_train_epochs,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "activation_checkpointing": plan.use_checkpointing,
        "use_cpu": plan.device == "cpu",
        "bf16": plan.dtype == "bfloat16",
        "fp16": plan.dtype == "float16",
        "logging_steps": training.logging_steps,
        "save_strategy": "steps",
        "save_steps": plan.save_steps,
        "save_total_limit": training.save_total_limit,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": training.seed,
        "data_seed": training.seed,
        "dataloader_pin_memory": plan.device == "cuda",
        "packing": False,
        "shuffle_dataset": True,
    }


def last_checkpoint(run: Run) -> str | None:
    """Where to go on: the checkpoint that is furthest, also among those that came back from another machine."""
    uploads = run.plan.spec.training.resume_from_uploads
    folders = [run.checkpoints]
    if uploads:
        folders.append(Path(uploads) if isinstance(uploads, str) else run.folder / "uploads")
    found = [one for folder in folders for one in folder.glob("checkpoint-*") if _is_whole(one)]
    last = max(found, key=lambda one: int(one.name.rpartition("-")[2]), default=None)
    return str(last) if last else None


def _is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: a kill in the middle leaves one without its last files."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (checkpoint / "optimizer.pt").is_file() and checkpoint.name.rpartition("-")[2].isdecimal()


class Tell(TrainerCallback):
    """Write every step to the journal, with what is left."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._began = (0, 0.0)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = (state.global_step, time.monotonic())
        self._journal.add("begin", step=state.global_step, steps=state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        done, began = self._began
        each = (time.monotonic() - began) / max(1, state.global_step - done)
        self._journal.add(
            "step",
            step=state.global_step,
            steps=state.max_steps,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            eta_s=round(each * (state.max_steps - state.global_step)),
        )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._journal.add("saved", step=state.global_step)


def last_loss(state: TrainerState) -> float:
    """The mean loss of the last tenth of the steps."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last) if last else math.nan


def main_of(train_run: Callable[[Run], None], doc: str) -> None:
    """Train the run in a folder in one of the ways; memory that runs out has an exit status of its own."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    run = open_run(parser.parse_args().run)
    if run.metrics is not None:
        return
    try:
        train_run(run)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        run.journal.add("out_of_memory", message=str(error)[:200])
        sys.exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    run_main(lambda: main_of(train, __doc__ or ""))
