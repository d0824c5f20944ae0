"""Teach the matcher which stored answers HR let stand for another question, and which it unlinked.

Enters: a run's folder with matching rows (`question`, `stored`, `answer`, `same`). Leaves: `<run>/matcher`.
Run: `python -m trainer.adapt_matcher --run var/runs/ID`, which `quantahr train --kind matcher` does.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.manifest import retriever_beside
from knowledge.embed import embedded_model, open_embedder
from knowledge.matcher import HEAD_FILE, load_head, match_input
from knowledge.pair import open_pair_encoder, open_tokenizer
from trainer.adapt import REPLAY, adapt, parent_of, replay_data, steps_of
from trainer.adapt import load_head as load_into
from trainer.matcher import Head, loss_of, save_head
from trainer.matching import Draws, DrawState, Group, read_sets, seen_sets
from trainer.pair_training import DIMENSIONS, Trained
from trainer.records import run as run_main
from trainer.runs import Run
from trainer.sft import main_of

# Of the company's groups, and of their questions with those that ship, in one step.
_GROUPS, _QUESTIONS = 2, 8
_FEWEST_SETS = 40
_RANKING_WEIGHT = 1.0


def train(run: Run) -> None:
    """Train a run to its end, from its last checkpoint if there is one.

    Raises:
        ConfigError: There is no row, or no part to begin with is named.
    """
    parent, seed = parent_of(run), run.plan.spec.training.seed
    torch.manual_seed(seed)
    own, held = (groups_of(run.rows(part)) for part in ("train", "validation"))
    rows = sum(len(group.questions) for group in own)
    run.require_rows(rows, 0)
    replay = _replay(parent, max(_FEWEST_SETS, REPLAY * len(own)), seed)
    run.journal.add("rows", kept=rows, pairs=len(own), validation=len(held))
    tokenizer = open_tokenizer(embedded_model())
    draws = _Draws(own, replay, random.Random(seed))

    def loss(trained: Trained) -> torch.Tensor:
        return loss_of(trained, draws.step(), tokenizer, _RANKING_WEIGHT)

    head = load_into(Head(DIMENSIONS), parent / HEAD_FILE)
    adapt(
        run,
        part="matcher",
        head=head,
        draws=draws,
        loss_of=loss,
        steps=steps_of(rows, _QUESTIONS),
        save_head=save_head,
        judged=lambda folder: _judged(held, folder),
        rows=rows,
    )


def groups_of(rows: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Rows about the same stored pair together, so that what it answers can be ranked above what it does not."""
    found: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for row in rows:
        found[row["stored"], row["answer"]].append((row["question"], bool(row["same"])))
    return [
        Group(stored, answer, tuple(question for question, _ in asked), tuple(is_same for _, is_same in asked))
        for (stored, answer), asked in found.items()
    ]


class _Draws:
    """Steps of the company's groups beside sets that ship."""

    def __init__(self, own: Sequence[Group], replay: Draws, rng: random.Random) -> None:
        self._own, self._replay, self._rng = own, replay, rng

    def step(self) -> list[Group]:
        """The groups of one training step; a stored question answers itself, so that there is always one of each."""
        groups = [self._rng.choice(self._own) for _ in range(min(_GROUPS, len(self._own)))]
        with_own = [Group(one.stored, one.answer, (*one.questions, one.stored), (*one.is_same, True)) for one in groups]
        return [*with_own, *self._replay.step(REPLAY, 0)]

    def state(self) -> tuple[Any, DrawState]:
        """All that `resume` needs."""
        return self._rng.getstate(), self._replay.state()

    def resume(self, state: tuple[Any, DrawState]) -> None:
        """Draw on as after `state`."""
        rng, replay = state
        self._rng.setstate(rng)
        self._replay.resume(replay)


def _replay(parent: Path, count: int, seed: int) -> Draws:
    """So many of the sets that ship, of one file: only those of one are told apart from each other."""
    rng = random.Random(seed)
    sets = seen_sets(read_sets(replay_data()))
    source = rng.choice(sorted({one.source for one in sets}))
    of_one = [one for one in sets if one.source == source]
    return Draws(of_one[:count], [], open_embedder(adapter=retriever_beside(parent)), rng)


def _judged(held: Sequence[Group], folder: Path) -> dict[str, float]:
    """Of the pairs held out the share that is told right: what answers scores above 0, what does not below."""
    if not held:
        return {}
    encoder, head = open_pair_encoder(folder), load_head(folder)
    right = []
    for group in held:
        pairs = [match_input(asked, group.stored, group.answer, encoder.tokenizer) for asked in group.questions]
        scores = [head(states, pair) for states, pair in zip(encoder.states(pairs), pairs, strict=True)]
        right += [(score > 0) is is_same for score, is_same in zip(scores, group.is_same, strict=True)]
    return {"right": float(np.mean(right))}


if __name__ == "__main__":
    run_main(lambda: main_of(train, __doc__ or ""))
