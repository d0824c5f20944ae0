"""Train the reader: which piece of what was retrieved answers the question, and how likely it is that one does.

Enters: question rows over folders of policies (`trainer/rows.py`), matching sets (`trainer/matching.py`), and the
embedder with its adapter. Leaves: a folder with an adapter for the pair encoder, its head, the weights of the linear
models, and the manifest.
Run: `python -m trainer.reader --data samples/training --out models/starter/reader` (40 minutes on two cores). Killed
at any point, the same command goes on from the last checkpoint below `--work`.

The adapter begins as the retriever's. Each question is shown windows of policy as serving cuts and picks them
(`trainer/shown.py`); one softmax runs over all their pieces and the option that nothing here answers, whose score is 0.
The linear models are fitted on employers that the adapter has not seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn.functional import binary_cross_entropy_with_logits

from bot.followup import follow_up, open_judge
from bot.terminal import progress
from config.settings import ReadingSettings, RetrievalSettings, Settings
from exporter.manifest import Recipe, make_manifest, publishing, retriever_beside, write_manifest
from knowledge.embed import Embedder, embedded_model, embedder_version, open_embedder
from knowledge.features import ASKED_AND_GIVEN, PAIR_FEATURES, PIECE_FEATURES, QUESTION_FEATURES
from knowledge.first_look import FirstLook, best_windows
from knowledge.pair import HEAD_FILE, open_pair_encoder, open_piece_head, open_tokenizer
from knowledge.read import WEIGHTS_FILE, WINDOWS, Linear, Reader, Weights
from knowledge.window import MAX_HEADING, MAX_PIECE, MAX_QUESTION, MAX_WINDOW, pair_input
from trainer.choice import (
    Example,
    Judged,
    cross_validated,
    cross_validated_choice,
    fit_choice,
    fit_reading,
    summary,
)
from trainer.look import Looked, look
from trainer.matching import matching_hash, seen_sets, shared_sets
from trainer.pair_training import BASE, DIMENSIONS, Schedule, Trained, mean, save_adapter, states_of, train_pairs
from trainer.records import licences, run
from trainer.rows import OURS, Row, data_hash, follow_up_rows, held_out, read_rows, require_both
from trainer.shown import Shown, ShownDraws, near_of

_TERMS = (
    "adapter and head: trained on policies and questions of our own writing alone, under the terms of this repository",
    "linear models: fitted on questions of ours, also over handbooks under CC0, MIT, CC BY 3.0 and CC BY 4.0 "
    "(samples/training/README.md)",
)


@dataclass(frozen=True)
class ReaderSettings:
    """How the adapter is trained; `nearest_share` of the questions are shown the nearest wrong window."""

    seed: int = 0
    epochs: float = 1.2
    batch_size: int = 10
    learning_rate: float = 5e-4
    head_learning_rate: float = 2e-3
    nearest_share: float = 0.7


class Head(torch.nn.Module):
    """`knowledge.pair.PieceHead` with gradients: it begins as a scaled cosine."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(15.0))
        self.weights = torch.nn.Parameter(torch.zeros(dimensions))
        self.bias = torch.nn.Parameter(torch.tensor(-9.0))

    def forward(self, question: torch.Tensor, piece: torch.Tensor) -> torch.Tensor:
        """Scores (n,) of the mean states (n, d) of questions and pieces."""
        cosines = torch.nn.functional.cosine_similarity(question, piece, dim=-1)
        return self.scale * cosines + piece @ self.weights + self.bias


def train(
    looked: Sequence[Looked], first_look: Linear, data: Path, settings: ReaderSettings, adapter: Path, checkpoint: Path
) -> Trained:
    """Train adapter and head; from the file `checkpoint`, if it is there and of the same settings, it goes on."""
    tokenizer = open_tokenizer(embedded_model())
    sets = seen_sets(shared_sets(data))
    questions = near_of(looked, first_look)
    draws = ShownDraws(questions, sets, tokenizer, settings.nearest_share, random.Random(settings.seed))
    schedule = Schedule(
        seed=settings.seed,
        steps=max(1, int(settings.epochs * len(draws.questions) / settings.batch_size)),
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate,
    )

    def loss_of(trained: Trained) -> torch.Tensor:
        return loss(trained, draws.batch(settings.batch_size), tokenizer)

    return train_pairs("Reader", adapter, Head(DIMENSIONS), draws, loss_of, schedule, checkpoint)


def loss(trained: Trained, batch: Sequence[Shown], tokenizer: Tokenizer) -> torch.Tensor:
    """Minus the logarithm of the share that falls on what answers, or on nothing; and each piece judged alone.

    The first chooses among the pieces of a question, the second makes scores of different questions comparable.
    """
    inputs = [pair_input(one.question, window, tokenizer) for one in batch for window in one.windows]
    gold = torch.tensor([is_gold for one in batch for window in one.is_gold for is_gold in window])
    counts = [sum(map(len, one.is_gold)) for one in batch]
    states = states_of(trained.model, inputs)
    asked = torch.stack(
        [mean(state, pair.question) for state, pair in zip(states, inputs, strict=True) for _ in pair.spans]
    )
    read = torch.stack([mean(state, span) for state, pair in zip(states, inputs, strict=True) for span in pair.spans])
    scores = trained.head(asked, read)
    nothing = torch.zeros(1)
    chosen = [
        torch.logsumexp(torch.cat([own, nothing]), 0)
        - torch.logsumexp(own[is_own_gold] if is_own_gold.any() else nothing, 0)
        for own, is_own_gold in zip(torch.split(scores, counts), torch.split(gold, counts), strict=True)
    ]
    return torch.stack(chosen).mean() + binary_cross_entropy_with_logits(scores, gold.float())


def save_head(head: torch.nn.Module, folder: Path) -> None:
    """Save the head under the names that `knowledge.pair.open_piece_head` reads."""
    save_file({name: value.detach() for name, value in head.named_parameters()}, folder / HEAD_FILE)


def fit(looked: Sequence[Looked], first_look: Linear, folder: Path, embedder: Embedder) -> dict[str, JsonValue]:
    """Fit the linear models with the encoder and head in `folder`, write them there, and report how well they do."""
    encoder = open_pair_encoder(folder)
    blind = Weights(
        first_look, *(Linear(np.zeros(len(names), np.float32), 0.0) for names in (PAIR_FEATURES, QUESTION_FEATURES))
    )
    reader = Reader(FirstLook(embedder, encoder.tokenizer), encoder, open_piece_head(folder), blind)
    closer = read_closer(looked, reader)
    choice, probability = fit_reading(closer)
    stored = {
        "embedder": embedder.version,
        "first_look": _named(first_look, PIECE_FEATURES),
        "choice": _named(choice, PAIR_FEATURES),
        "probability": _named(probability, QUESTION_FEATURES),
    }
    (folder / WEIGHTS_FILE).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    judged = cross_validated(closer)
    return {
        "first_look": {**cross_validated_choice([one.example for one in looked])},
        "cross_validated": summary(judged),
        **{f"cross_validated {kind}": summary(some) for kind, some in _by_kind(judged).items()},
    }


def _by_kind(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Policies of our own writing apart from real handbooks, which are harder."""
    kinds = {
        "policies": [one for one in judged if one.employer.startswith(OURS)],
        "handbooks": [one for one in judged if not one.employer.startswith(OURS)],
    }
    return {kind: some for kind, some in kinds.items() if some}


def read_closer(looked: Sequence[Looked], reader: Reader) -> list[Example]:
    """The examples with only the pieces that the reader reads closer, and their features."""
    found = []
    with progress("Reading") as on_step:
        for n, one in enumerate(looked, start=1):
            on_step(one.example.row.employer, n, len(looked))
            example = one.example
            scores = reader.weights.first_look(example.candidates.features)
            closer = reader.look_closer(example.row.question, example.candidates, one.placed, scores)
            read = np.concatenate([at.pieces for at in best_windows(one.placed, scores)[:WINDOWS]])
            found.append(Example(example.row, closer, example.is_gold[read]))
    return found


def all_rows(data: Path, parts: Path) -> list[Row]:
    """Questions, and follow-ups as serving searches with them: by the judge among `parts`, else by the shipped one."""
    beside = parts / "followup"
    judge = open_judge(beside if beside.is_dir() else Settings().parts_dir / "followup")
    return [*read_rows(data), *follow_up_rows(data, lambda asked, turns: follow_up(asked, turns, judge))]


def divide(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows that the adapter learns from, and those that the linear models are fitted on."""
    left_out = held_out(row.employer for row in rows)
    seen = [row for row in rows if row.employer.startswith(OURS) and row.employer not in left_out]
    return seen, [row for row in rows if not row.employer.startswith(OURS) or row.employer in left_out]


def recipe(data: Path, retriever: Path) -> Recipe:
    """What decides the weights, known without training: `retriever` lies in the folder of the parts it builds on.

    Raises:
        ConfigError: There are no rows, or no matching sets, or a line is neither.
    """
    settings, rows, sets = ReaderSettings(), all_rows(data, retriever.parent), shared_sets(data)
    hashes = data_hash(rows, data) + matching_hash(sets, ()) + "\0".join(row.tempting for row in rows)
    features = f"{PIECE_FEATURES}{PAIR_FEATURES}{QUESTION_FEATURES}{ASKED_AND_GIVEN}"
    return Recipe(
        part="reader",
        command="python -m trainer.reader --data samples/training --out models/starter/reader",
        base=f"{BASE} {embedder_version(embedded_model(), retriever)}",
        rows=len(rows) + len(sets),
        employers=tuple(sorted({row.employer for row in divide(rows)[0]})),
        data_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        seed=settings.seed,
        settings={
            **json.loads(json.dumps(asdict(settings))),
            "features": hashlib.sha256(features.encode()).hexdigest(),
            "windows": [WINDOWS, MAX_QUESTION, MAX_HEADING, MAX_PIECE, MAX_WINDOW],
            "reading": ReadingSettings().model_dump(exclude={"min_probability"}),
            "retrieval": RetrievalSettings().model_dump(),
        },
    )


def main() -> None:
    """Train on all employers but those held out, fit the linear models on these, and save all with the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("samples/training"), help="rows and the policies they name")
    parser.add_argument("--out", type=Path, default=Path("models/starter/reader"))
    parser.add_argument("--retriever", type=Path, help="the adapter to begin with (default: the one beside --out)")
    parser.add_argument("--work", type=Path, default=Path("var/training"), help="where checkpoints lie")
    arguments = parser.parse_args()
    adapter = arguments.retriever or retriever_beside(arguments.out)
    embedder = open_embedder(adapter=adapter)
    planned = recipe(arguments.data, adapter)
    work = arguments.work / f"reader-{planned.digest}"  # another recipe does not go on from these checkpoints
    seen_rows, unseen_rows = divide(all_rows(arguments.data, adapter.parent))
    require_both(arguments.data, seen_rows, unseen_rows)
    unseen = look(unseen_rows, arguments.data, embedder)
    first_look = fit_choice([one.example for one in unseen])
    seen = look(seen_rows, arguments.data, embedder)
    trained = train(seen, first_look, arguments.data, ReaderSettings(), adapter, work / "checkpoint.pt")
    with publishing(arguments.out) as folder:
        save_adapter(trained.model, folder)
        save_head(trained.head, folder)
        metrics = fit(unseen, first_look, folder, embedder)
        written = write_manifest(folder, make_manifest(planned, metrics, licences(arguments.data, *_TERMS)))
    shutil.rmtree(work, ignore_errors=True)
    print(written.model_dump_json(indent=1))


def _named(model: Linear, names: Sequence[str]) -> dict[str, JsonValue]:
    weights = {name: round(float(weight), 5) for name, weight in zip(names, model.weights, strict=True)}
    if not all(math.isfinite(weight) for weight in weights.values()):
        raise ValueError("the fit did not converge")
    return {"bias": round(model.bias, 5), "weights": {**weights}}


if __name__ == "__main__":
    run(main)
