"""Fit the matcher's signals and set its thresholds, on sets that its encoder was not trained on.

Enters: matching sets, and a folder with the trained adapter and head. Leaves: `decision.json` in that folder: a
weight for every signal and the two thresholds; and what was measured.

Every wording of the sets held out is asked against the pairs of its file, found as serving finds them, so that what the
thresholds let through includes what is taken for somebody else's question. Left out are other sets that may answer too,
for another employer: all of other files, and those of its own whose question is nearly the same, which serving reads,
or that were found by hand to answer.
Each fold's figures come from a fit on the other folds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bot.terminal import progress
from knowledge.embed import Embedder
from knowledge.matcher import SIGNALS, Decision, Matcher, Thresholds, load_head, save_decision
from knowledge.pair import open_pair_encoder
from knowledge.verified import VerifiedAnswer, make_verified_index, nearest, stored_pair
from trainer.matching import NEARLY_SAME, AnsweredToo, MatchingSet, lightly_reworded

Matrix = NDArray[np.float32]

# Shares of the near misses that may be taken for the same question, and that may be read as evidence beside policies;
# and of the rewordings that may be given, or shown, another question's answer.
MOST_NEAR_MATCHED, MOST_MISTAKEN = 0.02, 0.02
MOST_NEAR_AS_EVIDENCE, MOST_MISTAKEN_AS_EVIDENCE = 0.05, 0.10
_FOLDS = 5
_C = 0.05
# Pairs about something else are many, and mostly easily told. Counted in full, they make the fit rest on cosines, which
# are highest for near misses: at 2 % of these, 21 % of the rewordings are recognised, and with this weight 25 %.
_WEIGHT_OF_OTHERS = 0.3


class Kind(StrEnum):
    """What a question is to the set that it was written for."""

    SAME = "same"
    LIGHT = "light"
    NEAR = "near"


@dataclass(frozen=True)
class Asked:
    """A question of set `position` with the signals (n, len(SIGNALS)) of the n stored pairs `rows` that lie nearest."""

    position: int
    kind: Kind
    rows: tuple[int, ...]
    signals: Matrix

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Which of the candidates answers it, shape (n,)."""
        return np.array([self.kind is not Kind.NEAR and row == self.position for row in self.rows], dtype=np.bool_)


def fit_decision(
    sets: Sequence[MatchingSet],
    held_out: Sequence[int],
    embedder: Embedder,
    folder: Path,
    too: AnsweredToo = frozenset(),
) -> dict[str, float]:
    """Fit on the sets at the positions `held_out`, write the decision to `folder`, and return what was measured."""
    asked = ask_all(sets, held_out, embedder, folder, too)
    chances = cross_validated(asked)
    thresholds = Thresholds(
        threshold(asked, chances, MOST_NEAR_MATCHED, MOST_MISTAKEN),
        threshold(asked, chances, MOST_NEAR_AS_EVIDENCE, MOST_MISTAKEN_AS_EVIDENCE),
    )
    weights, bias = _fit(asked)
    save_decision(Decision(weights, bias, thresholds), folder)
    return measured(asked, chances, thresholds)


def ask_all(
    sets: Sequence[MatchingSet],
    held_out: Sequence[int],
    embedder: Embedder,
    folder: Path,
    too: AnsweredToo = frozenset(),
) -> list[Asked]:
    """Ask every wording of the sets held out against the pairs of its file, with the encoder and head in `folder`."""
    blind = Decision(np.zeros(len(SIGNALS), dtype=np.float32), 0.0, Thresholds(1.0, 1.0))
    matcher = Matcher(open_pair_encoder(folder), load_head(folder), blind)
    stored = make_verified_index([VerifiedAnswer(s.question, s.answer, date.min) for s in sets], embedder)
    source, questions = np.array([item.source for item in sets]), np.array([item.question for item in sets])
    rng = random.Random(0)
    found = []
    with progress("Asking what was held out") as on_step:
        for number, position in enumerate(held_out, 1):
            on_step("", number, len(held_out))
            item = sets[position]
            asked = [(Kind.SAME, text) for text in item.same] + [(Kind.NEAR, text) for text in item.near]
            asked.append((Kind.LIGHT, lightly_reworded(item.question, rng)))
            for (kind, question), vector in zip(asked, embedder.embed([text for _, text in asked]), strict=True):
                may_be = stored.questions @ vector > NEARLY_SAME
                may_be |= np.isin(questions, [answered for asked_too, answered in too if asked_too == question])
                may_be[position] = False
                if rows := nearest(vector, stored, (source == item.source) & ~may_be):
                    pairs = [stored_pair(vector, stored, row) for row in rows]
                    found.append(Asked(position, kind, tuple(rows), matcher.signals(question, pairs)))
    return found


def cross_validated(asked: Sequence[Asked], columns: Sequence[int] | None = None) -> list[Matrix]:
    """For each question the probabilities of its candidates, from a fit on the other folds' sets.

    `columns` limits the fit to some of the signals.
    """
    positions = sorted({item.position for item in asked})
    fold_of = {position: i % _FOLDS for i, position in enumerate(positions)}
    chances: list[Matrix] = [np.zeros(0, dtype=np.float32)] * len(asked)
    for fold in range(_FOLDS):
        weights, bias = _fit([item for item in asked if fold_of[item.position] != fold], columns)
        for i, item in enumerate(asked):
            if fold_of[item.position] == fold:
                chances[i] = np.asarray(1 / (1 + np.exp(-(item.signals @ weights + bias))), dtype=np.float32)
    return chances


def _fit(asked: Sequence[Asked], columns: Sequence[int] | None = None) -> tuple[Matrix, float]:
    """Logistic regression on whether a candidate answers: weights for `SIGNALS`, and the bias."""
    used = list(range(len(SIGNALS)) if columns is None else columns)
    features = np.concatenate([item.signals for item in asked])[:, used]
    right = np.concatenate([item.is_right for item in asked])
    own = np.concatenate([np.array(item.rows) == item.position for item in asked])
    mean, scale = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=_C, max_iter=5_000)
    model.fit((features - mean) / scale, right, sample_weight=np.where(own, 1.0, _WEIGHT_OF_OTHERS))
    weights = np.zeros(len(SIGNALS), dtype=np.float32)
    weights[used] = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - mean @ weights[used])


def threshold(asked: Sequence[Asked], chances: Sequence[Matrix], most_near: float, most_mistaken: float) -> float:
    """The lowest probability from which at most the share `most_near` of the near misses are given any answer, and at
    most `most_mistaken` of the rewordings another question's."""
    judged = [
        (item, float(c.max()), bool(item.is_right[int(c.argmax())])) for item, c in zip(asked, chances, strict=True)
    ]
    near = [chance for item, chance, _ in judged if item.kind is Kind.NEAR]
    mistaken = [0.0 if is_right else chance for item, chance, is_right in judged if item.kind is Kind.SAME]
    return max(_reached_by(near, most_near), _reached_by(mistaken, most_mistaken))


def _reached_by(chances: Sequence[float], most: float) -> float:
    """The lowest value that at most the share `most` of `chances` reaches; 0 when there are too few to tell."""
    highest = np.sort(np.array(chances, dtype=np.float32))[::-1]
    allowed = int(most * len(highest))
    return float(np.nextafter(highest[allowed], np.float32(2.0))) if allowed < len(highest) else 0.0


def measured(asked: Sequence[Asked], chances: Sequence[Matrix], thresholds: Thresholds) -> dict[str, float]:
    """Shares of the questions held out, each judged by a fit that had not seen its set.

    `recognised`: rewordings given their own answer; `light`: the same for a greeting or a comma; `near`: near misses
    given any; `mistaken`: rewordings given another set's answer; `found`: rewordings whose own pair is among the
    candidates; `as_evidence`: rewordings whose own pair may be read. `recognised_…`: with only those signals, at as
    many near misses.
    """
    near = [item for item in asked if item.kind is Kind.NEAR]
    own = [(item, c) for item, c in zip(asked, chances, strict=True) if item.position in item.rows]
    truth = [item.kind is not Kind.NEAR for item, _ in own if item.kind is not Kind.LIGHT]
    scores = [float(c[item.rows.index(item.position)]) for item, c in own if item.kind is not Kind.LIGHT]
    read_only = cross_validated(asked, [0])
    cosines_only = cross_validated(asked, [1, 2])
    return {
        "near_misses": len(near),
        "rewordings": sum(item.kind is Kind.SAME for item in asked),
        "found": _share([item.position in item.rows for item in asked if item.kind is Kind.SAME]),
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        **_given(asked, chances, thresholds.match),
        "as_evidence": _share(
            [
                bool((c[item.is_right] >= thresholds.evidence).any())
                for item, c in zip(asked, chances, strict=True)
                if item.kind is Kind.SAME
            ]
        ),
        "recognised_by_reading": _given(
            asked, read_only, threshold(asked, read_only, MOST_NEAR_MATCHED, MOST_MISTAKEN)
        )["recognised"],
        "recognised_by_cosines": _given(
            asked, cosines_only, threshold(asked, cosines_only, MOST_NEAR_MATCHED, MOST_MISTAKEN)
        )["recognised"],
    }


def _given(asked: Sequence[Asked], chances: Sequence[Matrix], at: float) -> dict[str, float]:
    """What is given when the likeliest candidate is given from the probability `at` on."""
    right: dict[Kind, list[bool]] = {kind: [] for kind in Kind}
    wrong: dict[Kind, list[bool]] = {kind: [] for kind in Kind}
    for item, chance in zip(asked, chances, strict=True):
        best = int(np.argmax(chance))
        is_given = bool(chance[best] >= at)
        right[item.kind].append(is_given and bool(item.is_right[best]))
        wrong[item.kind].append(is_given and not item.is_right[best])
    return {
        "recognised": _share(right[Kind.SAME]),
        "light": _share(right[Kind.LIGHT]),
        "near": _share(wrong[Kind.NEAR]),
        "mistaken": _share(wrong[Kind.SAME]),
    }


def _share(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0
