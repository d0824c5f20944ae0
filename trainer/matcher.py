"""Train the matcher: does a stored answer also answer this question?

Enters: matching sets, and question rows in two wordings (`trainer/matching.py`). Leaves: a folder with the encoder's
adapter, the head, the weights of the signals with their thresholds, and `manifest.json`.
Run: `python -m trainer.matcher --data DIR --out models/starter/matcher` (an hour on two cores). Killed at
any point, the same command goes on from the last checkpoint below `--work`.

Two fits. The adapter, which begins as the retriever's, and the head learn from four sets in five to score what a stored
answer answers above what it does not. The linear model over `SIGNALS` and the thresholds are fitted on the remaining
fifth, whose scores the encoder could not learn by heart. What is reported was measured on sets that neither had seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, softplus

from config.errors import ConfigError
from config.settings import IndexSettings
from exporter.manifest import Recipe, make_manifest, publishing, retriever_beside, write_manifest
from knowledge.differences import patterns
from knowledge.embed import embedded_model, embedder_version, open_embedder
from knowledge.matcher import HEAD_FILE, SIGNALS, match_input
from knowledge.pair import open_tokenizer
from knowledge.window import PairInput, Span
from trainer.match_fit import fit_decision
from trainer.matching import (
    HELD_OUT_EVERY,
    AnsweredToo,
    Draws,
    Group,
    MatchingSet,
    Wording,
    answered_too,
    held_out_positions,
    matching_hash,
    read_sets,
    read_wordings,
    seen_sets,
)
from trainer.pair_training import DIMENSIONS, Schedule, Trained, mean, save_adapter, states_of, train_pairs
from trainer.records import licences, run

FEWEST_SETS = 2 * HELD_OUT_EVERY
_TERMS = "trained on rows of our own writing alone; under the terms of this repository"


@dataclass(frozen=True)
class MatcherSettings:
    """How the matcher is trained. A step reads `sets` matching sets and `wordings` question rows."""

    seed: int = 0
    steps: int = 1_200
    sets: int = 5
    wordings: int = 2
    learning_rate: float = 1e-3
    head_learning_rate: float = 4e-3
    weight_decay: float = 0.01
    dropout: float = 0.0
    ranking_weight: float = 1.0
    save_every: int = 25
    adapter: Path = field(default_factory=lambda: IndexSettings().adapter or Path("models/starter/retriever"))


@dataclass(frozen=True)
class MatcherReport:
    """What came out: shares on sets that were held out, as `trainer/match_fit.py` names them, and the loss by step."""

    metrics: Mapping[str, float]
    losses: tuple[float, ...]


class Head(torch.nn.Module):
    """`knowledge.matcher.MatchHead` with gradients; parameters have its names and shapes."""

    product: torch.nn.Parameter
    difference: torch.nn.Parameter
    question: torch.nn.Parameter
    stored: torch.nn.Parameter
    answer: torch.nn.Parameter
    question_word: torch.nn.Parameter
    stored_word: torch.nn.Parameter

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.cosines = torch.nn.Parameter(torch.tensor([6.0, 3.0]))
        for name in ("product", "difference", "question", "stored", "answer", "question_word", "stored_word"):
            setattr(self, name, torch.nn.Parameter(torch.zeros(dimensions)))
        self.bias = torch.nn.Parameter(torch.tensor([-3.0, -4.0, -4.0]))

    def forward(self, states: Sequence[torch.Tensor], pairs: Sequence[PairInput]) -> torch.Tensor:
        """Logits (n,) of n pairs, from the states (len(ids), d) of each."""
        return torch.stack([self._logit(own, pair) for own, pair in zip(states, pairs, strict=True)])

    def _logit(self, states: torch.Tensor, pair: PairInput) -> torch.Tensor:
        q, h, a = (mean(states, span) for span in (pair.question, pair.heading, pair.spans[0]))
        total = self.cosines[0] * cosine_similarity(q, h, dim=0) + self.cosines[1] * cosine_similarity(q, a, dim=0)
        total = total + (q * h) @ self.product + (q - h).abs() @ self.difference + self.bias[0]
        total = total + q @ self.question + h @ self.stored + a @ self.answer
        total = total - _differs(states, pair.question, self.question_word, self.bias[1])
        return total - _differs(states, pair.heading, self.stored_word, self.bias[2])


def _differs(states: torch.Tensor, span: Span, weights: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return softplus(states[span.start : span.end] @ weights + bias).sum()


def train_matcher(
    data: Path, out: Path, settings: MatcherSettings = MatcherSettings(), work: Path = Path("var/training")
) -> MatcherReport:
    """Train on the rows in `data`, write everything that serving needs to `out`, and report on the sets held out.

    Checkpoints lie below `work` until it is done.

    Raises:
        ConfigError: `data` holds no matching sets, or too few to hold some out.
    """
    sets, wordings = read_sets(data), read_wordings(data)
    if len(sets) < FEWEST_SETS:
        raise ConfigError(f"{data} holds {len(sets)} matching sets, and training needs {FEWEST_SETS}; add some.")
    too = answered_too(data, sets)
    embedder = open_embedder(adapter=settings.adapter)
    planned = _recipe(sets, wordings, too, embedder.version, settings)
    checkpoints = work / f"matcher-{planned.digest}"  # another recipe does not go on from these
    draws = Draws(seen_sets(sets), wordings, embedder, random.Random(settings.seed))
    trained = train(draws, settings, checkpoints / "checkpoint.pt")
    with publishing(out) as folder:
        save_adapter(trained.model, folder)
        save_head(trained.head, folder)
        metrics = fit_decision(sets, held_out_positions(sets), embedder, folder, too)
        measured: dict[str, JsonValue] = {**metrics, "last_losses": _rounded(trained.losses)}
        write_manifest(folder, make_manifest(planned, measured, licences(data, _TERMS)))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return MatcherReport(metrics, tuple(trained.losses))


def recipe(data: Path, retriever: Path | None = None) -> Recipe:
    """What decides the weights, known without training.

    Raises:
        ConfigError: `data` holds no matching sets.
    """
    settings = MatcherSettings(adapter=retriever) if retriever else MatcherSettings()
    version = embedder_version(embedded_model(), settings.adapter)
    sets = read_sets(data)
    return _recipe(sets, read_wordings(data), answered_too(data, sets), version, settings)


def _recipe(
    sets: Sequence[MatchingSet],
    wordings: Sequence[Wording],
    too: AnsweredToo,
    embedder: str,
    settings: MatcherSettings,
) -> Recipe:
    return Recipe(
        part="matcher",
        command="python -m trainer.matcher --data samples/training --out models/starter/matcher",
        base=embedder,
        rows=len(sets) + len(wordings),
        employers=tuple(sorted({item.employer for item in wordings})),
        data_sha256=matching_hash(sets, wordings, too),
        seed=settings.seed,
        settings={**asdict(settings), "adapter": settings.adapter.name, "signals": _signals_hash()},
    )


def _signals_hash() -> str:
    """Names the signals and what is looked for in texts: weights fitted to others are worth nothing."""
    return hashlib.sha256(json.dumps([SIGNALS, patterns()]).encode()).hexdigest()[:16]


def _rounded(losses: Sequence[float]) -> list[JsonValue]:
    return [round(loss, 4) for loss in losses[-10:]]


def train(draws: Draws, settings: MatcherSettings, checkpoint: Path) -> Trained:
    """Train adapter and head; from the file `checkpoint`, if it is there and of the same settings, it goes on."""
    tokenizer = open_tokenizer(embedded_model())
    schedule = Schedule(
        seed=settings.seed,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate,
        weight_decay=settings.weight_decay,
        dropout=settings.dropout,
        save_every=settings.save_every,
    )

    def loss(trained: Trained) -> torch.Tensor:
        return loss_of(trained, draws.step(settings.sets, settings.wordings), tokenizer, settings.ranking_weight)

    return train_pairs("Matcher", settings.adapter, Head(DIMENSIONS), draws, loss, schedule, checkpoint)


def loss_of(trained: Trained, groups: Sequence[Group], tokenizer: Tokenizer, ranking_weight: float) -> torch.Tensor:
    """Each pair judged alone (cross-entropy), and within a group every same question above every other one."""
    pairs = [match_input(asked, g.stored, g.answer, tokenizer) for g in groups for asked in g.questions]
    scores = trained.head(states_of(trained.model, pairs), pairs)
    same = torch.tensor([is_same for group in groups for is_same in group.is_same])
    group_of = torch.tensor([i for i, group in enumerate(groups) for _ in group.questions])
    ranked = (group_of[:, None] == group_of[None, :]) & same[:, None] & ~same[None, :]
    ranking = softplus(scores[None, :] - scores[:, None])[ranked]
    return binary_cross_entropy_with_logits(scores, same.float()) + ranking_weight * ranking.mean()


def save_head(head: torch.nn.Module, folder: Path) -> None:
    """Save the head's weights under the names that `MatchHead` has for them."""
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in head.named_parameters()}
    save_file(arrays, folder / HEAD_FILE)


def main() -> None:
    """Train, write the folder and print what was measured."""
    defaults = MatcherSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=Path("samples/training"), help="matching*, matcher* and own_*.jsonl"
    )
    parser.add_argument("--out", type=Path, default=Path("models/starter/matcher"))
    parser.add_argument("--retriever", type=Path, help="the adapter to begin with (default: the one beside --out)")
    parser.add_argument("--work", type=Path, default=Path("var/training"), help="where checkpoints lie")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    arguments = parser.parse_args()
    settings = MatcherSettings(
        seed=arguments.seed,
        steps=arguments.steps,
        adapter=arguments.retriever or retriever_beside(arguments.out),
    )
    report = train_matcher(arguments.data, arguments.out, settings, arguments.work)
    print(json.dumps(dict(report.metrics), indent=1))


if __name__ == "__main__":
    run(main)
