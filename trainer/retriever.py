"""Train the embedder's LoRA adapter, so that questions lie near the texts that answer them.

Enters: question rows over folders of policies (`trainer/rows.py`), and matching sets (`trainer/matching.py`), so that
HR's answers are found too. Leaves: a folder with the adapter, as peft saves it, and its manifest: rows, their hash,
seed, settings, and hit rates on employers that it has not seen.
Run: `python -m trainer.retriever --data samples/training --out models/starter/retriever` (half an hour on two cores).
Killed at any point, the same command goes on from the last checkpoint below `--work`.

Passes alternate with mining: the first pass learns from what the untrained embedder puts nearest though it does not
answer, the next, over the other wording of each question, from what the adapter so far does (Xiong et al. 2021, ANCE).
All questions of a batch are about one employer, so the other questions' answers are wrong answers too, and such as a
search meets (Hofstätter et al. 2021, topic-aware sampling): a mixed batch would count another employer's rule on the
same matter as wrong. A text that answers a question is never counted against it, whichever it was drawn for.

After training, the vectors are others: train what builds on them again (`quantahr train --starter`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import JsonValue
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from bot.terminal import OnStep, progress
from exporter.manifest import Recipe, make_manifest, publishing, write_manifest
from knowledge.embed import open_embedder
from trainer.hits import hits
from trainer.matching import MatchingSet, matching_hash, seen_sets, shared_sets
from trainer.pairs import (
    Pair,
    Sampling,
    make_datasets,
    make_pairs,
    pair_up_sets,
    read_pairs,
    right_texts,
    save_pairs,
)
from trainer.ranking import (
    BASE,
    AdapterTrainer,
    EmployerBatches,
    Lora,
    RankingLoss,
    last_checkpoint,
    load_adapter,
    open_model,
    save_adapter,
)
from trainer.records import licences, run
from trainer.rows import OURS, Row, data_hash, employers, held_out, read_rows, require_both, standalone_rows

_TERMS = "trained on policies and questions of our own writing alone; under the terms of this repository"
_LOGGED_EVERY = 5


@dataclass(frozen=True)
class RetrieverSettings:
    """How the adapter is trained: a pass for each learning rate, each over its share of the wordings, mined anew.

    `max_tokens` cuts longer texts (word pieces); `group_size` texts of similar length are encoded at a time.
    """

    seed: int = 0
    learning_rates: tuple[float, ...] = (1e-3, 7e-4)
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    batch_size: int = 48
    is_by_employer: bool = True
    piece_negatives: int = 2
    chunk_negatives: int = 1
    chunk_share: float = 0.4
    temperature: float = 0.05
    lora_r: int = 32
    lora_alpha: int = 64
    lora_dropout: float = 0.05
    max_tokens: int = 160
    group_size: int = 16
    save_steps: int = 20

    @property
    def lora(self) -> Lora:
        """The adapter's size."""
        return Lora(self.lora_r, self.lora_alpha, self.lora_dropout)


def train(
    rows: Sequence[Row], sets: Sequence[MatchingSet], data: Path, settings: RetrieverSettings, work: Path
) -> tuple[Path, list[float]]:
    """All passes; returns the folder of the last one's adapter (32 bit) and the losses on the way.

    What is done already below `work` is not done again.
    """
    adapter: Path | None = None
    losses: list[float] = []
    passes = len(settings.learning_rates)
    for n in range(passes):
        folder = work / f"pass-{n + 1}"
        mined = folder / "pairs.json"
        if not mined.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            embedder = open_embedder(adapter=adapter)
            # Neighbouring rows are two wordings of one question, so with two passes each sees one of them.
            pairs = make_pairs(rows[n::passes], data, embedder) + pair_up_sets(sets, n, embedder)
            save_pairs(pairs, mined)
        with progress(f"Retriever, pass {n + 1} of {passes}") as on_step:
            losses += train_pass(read_pairs(mined), settings, n, folder, start_from=adapter, on_step=on_step)
        adapter = folder / "adapter"
    if adapter is None:
        raise ValueError("learning_rates is empty, so there is no pass")
    return adapter, losses


def train_pass(
    pairs: Sequence[Pair],
    settings: RetrieverSettings,
    n: int,
    folder: Path,
    *,
    start_from: Path | None = None,
    on_step: OnStep | None = None,
) -> list[float]:
    """The n-th pass, from 0, from its last checkpoint in `folder` if there is one; leaves `folder/adapter`.

    Begins with the adapter in `start_from`, or with a fresh one. Returns the mean loss of every five steps.
    """
    done = folder / "adapter" / "losses.json"
    if done.is_file():
        return [float(loss) for loss in json.loads(done.read_text(encoding="utf-8"))]
    set_seed(settings.seed + n)
    model = open_model(settings.lora, settings.max_tokens)
    if start_from:
        load_adapter(model, start_from)
    sampling = Sampling(settings.piece_negatives, settings.chunk_negatives, settings.chunk_share)
    trainer = AdapterTrainer(
        model=model,
        args=_arguments(settings, n, folder),
        train_dataset=make_datasets(pairs, sampling, settings.seed + n),
        loss=RankingLoss(model, right_texts(pairs), settings.temperature, settings.group_size),
        callbacks=[_Shown(on_step)] if on_step else [],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    with publishing(folder / "adapter") as fresh:
        save_adapter(model, fresh)
        (fresh / "losses.json").write_text(json.dumps(losses), encoding="utf-8")
    return losses


def _arguments(settings: RetrieverSettings, n: int, folder: Path) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rates[n],
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        seed=settings.seed + n,
        batch_sampler=EmployerBatches if settings.is_by_employer else "batch_sampler",
        # 32 bit: on CPUs without matrix units for it, bf16 is twenty times slower.
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=_LOGGED_EVERY,
        report_to="none",
        disable_tqdm=True,
    )


class _Shown(TrainerCallback):
    """Moves the progress bar."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        self._on_step(f"loss {losses[-1]:.2f}" if losses else "", state.global_step + 1, state.max_steps)


def training_rows(data: Path) -> list[Row]:
    """The rows over policies of our own that it is trained on.

    Raises:
        ConfigError: There are none, or none to measure on.
    """
    rows = [*read_rows(data), *standalone_rows(data)]
    unseen = held_out(employers(data))
    seen = [row for row in rows if row.employer.startswith(OURS) and row.employer not in unseen]
    require_both(data, seen, [row for row in rows if row.employer in unseen])
    return seen


def recipe(data: Path, settings: RetrieverSettings | None = None) -> Recipe:
    """What decides the weights, known without training."""
    chosen = settings or RetrieverSettings()
    rows, sets = training_rows(data), seen_sets(shared_sets(data))
    hashes = data_hash(rows, data) + matching_hash(sets, ())
    return Recipe(
        part="retriever",
        command="python -m trainer.retriever --data samples/training --out models/starter/retriever",
        base=f"{BASE} {open_embedder().version}",
        rows=len(rows) + len(sets),
        employers=tuple(sorted({row.employer for row in rows})),
        data_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        seed=chosen.seed,
        settings=json.loads(json.dumps(asdict(chosen))),
    )


def measure(data: Path, adapter: Path) -> dict[str, JsonValue]:
    """Hit rates on the employers held out, beside those of the untrained embedder."""
    rows, unseen = read_rows(data), held_out(employers(data))
    rows = [row for row in rows if row.employer in unseen]
    return {
        "questions": sum(bool(row.quotes) for row in rows),
        "untrained": hits(rows, data, open_embedder()),
        "trained": hits(rows, data, open_embedder(adapter=adapter)),
    }


def main() -> None:
    """Train on all employers but those held out, report on these, and save adapter and manifest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("samples/training"), help="rows and the policies they name")
    parser.add_argument("--out", type=Path, default=Path("models/starter/retriever"))
    parser.add_argument("--work", type=Path, default=Path("var/training"), help="where checkpoints lie")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="settings to try, as seed=1")
    arguments = parser.parse_args()
    settings = RetrieverSettings(
        **{name: json.loads(value) for name, _, value in (pair.partition("=") for pair in arguments.set)}
    )
    planned = recipe(arguments.data, settings)
    work = arguments.work / f"retriever-{planned.digest}"  # another recipe does not go on from these checkpoints
    rows, sets = training_rows(arguments.data), seen_sets(shared_sets(arguments.data))
    adapter, losses = train(rows, sets, arguments.data, settings, work)
    with publishing(arguments.out) as folder:
        # Half precision moves no vector by more than 1e-3, and the file is half as large.
        model = open_model(settings.lora, settings.max_tokens)
        load_adapter(model, adapter)
        save_adapter(model, folder, torch.float16)
        metrics: dict[str, JsonValue] = {"held_out": measure(arguments.data, folder), "losses": [*losses]}
        written = write_manifest(folder, make_manifest(planned, metrics, licences(arguments.data, _TERMS)))
    shutil.rmtree(work)
    print(written.model_dump_json(indent=1))


if __name__ == "__main__":
    run(main)
