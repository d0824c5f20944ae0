"""Fit the reader's linear models: which piece answers, and how likely it is that one does.

Enters: examples of questions with scored pieces, of employers that no encoder was trained on: an encoder has learned
the answers of the others by heart, and the reader would learn to trust it more than it may. Leaves: the models, and
what they do on employers that the fit had not seen either, by leaving out a fifth of them in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from config.settings import ReadingSettings
from knowledge.features import Candidates, question_features
from knowledge.read import Linear
from knowledge.selection import select
from trainer.rows import Row

Matrix = NDArray[np.float32]
_FOLDS = 5
_CHOICE_L2 = 1e-3
_PROBABILITY_C = 0.01


@dataclass(frozen=True)
class Example:
    """A question with its candidates; `is_gold[i]` says whether piece i is part of a quote that answers."""

    row: Row
    candidates: Candidates
    is_gold: NDArray[np.bool_]


def fit_reading(examples: Sequence[Example]) -> tuple[Linear, Linear]:
    """The models of choice and probability, for examples of pieces that were read closer (`PAIR_FEATURES`)."""
    choice = fit_choice(examples)
    return choice, _fit_probability(examples, choice)


def fit_choice(examples: Sequence[Example]) -> Linear:
    """Maximise the probability, by softmax over a question's pieces, that falls on its gold pieces."""
    examples = [example for example in examples if example.is_gold.any()]
    features = np.concatenate([example.candidates.features for example in examples]).astype(np.float64)
    gold = np.concatenate([example.is_gold for example in examples]).astype(np.float64)
    starts = np.cumsum([0, *(len(example.is_gold) for example in examples)])[:-1]
    owner = np.repeat(np.arange(len(examples)), [len(example.is_gold) for example in examples])
    mean, scale = features.mean(0), features.std(0) + 1e-6
    standard = (features - mean) / scale

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = standard @ weights
        scores -= np.maximum.reduceat(scores, starts)[owner]
        odds = np.exp(scores)
        share = odds / np.add.reduceat(odds, starts)[owner]
        on_gold = np.add.reduceat(share * gold, starts)
        target = share * gold / on_gold[owner]
        gradient = standard.T @ (share - target) / len(examples) + 2 * _CHOICE_L2 * weights
        return float(-np.log(on_gold).mean() + _CHOICE_L2 * weights @ weights), gradient

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x
    return Linear((found / scale).astype(np.float32), float(-(mean / scale) @ found))


def _fit_probability(examples: Sequence[Example], choice: Linear) -> Linear:
    """Logistic regression on whether the pieces that would be given hold a gold one."""
    features, answered = _questions(examples, choice)
    mean, scale = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=_PROBABILITY_C, max_iter=5_000).fit((features - mean) / scale, answered)
    weights = model.coef_[0] / scale
    return Linear(weights.astype(np.float32), float(model.intercept_[0] - mean @ weights))


def _questions(examples: Sequence[Example], choice: Linear) -> tuple[Matrix, NDArray[np.bool_]]:
    features, answered = [], []
    for example in examples:
        scores = choice(example.candidates.features)
        chosen = given(example, scores)
        features.append(question_features(example.candidates, scores, chosen))
        answered.append(bool(example.is_gold[chosen].any()))
    return np.stack(features), np.array(answered)


def given(example: Example, scores: Matrix) -> list[int]:
    """The pieces that serving, with the settings as shipped, gives as evidence."""
    return select(example.candidates.pieces, scores, ReadingSettings())


def hit(example: Example, scores: Matrix, k: int) -> bool:
    """Whether a gold piece is among the k that score best."""
    return bool(example.is_gold[np.argsort(-scores, kind="stable")[:k]].any())


def hit_rates(examples: Sequence[Example], choice: Linear) -> dict[str, float]:
    """For what share of the answerable questions a gold piece is the best, among the best two, or there at all."""
    answerable = [(example, choice(example.candidates.features)) for example in examples if example.row.quotes]
    rates = {f"hit@{k}": [hit(example, scores, k) for example, scores in answerable] for k in (1, 2)}
    rates["found"] = [bool(example.is_gold.any()) for example, _ in answerable]
    return {name: round(float(np.mean(found)), 4) for name, found in rates.items()}


@dataclass(frozen=True)
class Judged:
    """What models made of a question: whether it has an answer, whether a gold piece was the best, or one of those
    given, the probability of the latter, and how many words were given."""

    employer: str
    is_answerable: bool
    is_best: bool
    is_answered: bool
    probability: float
    words: int


def judge(examples: Sequence[Example], choice: Linear, probability: Linear) -> list[Judged]:
    """Read every example with the models."""
    judged = []
    for example in examples:
        scores = choice(example.candidates.features)
        chosen = given(example, scores)
        logit = float(probability(question_features(example.candidates, scores, chosen)))
        judged.append(
            Judged(
                employer=example.row.employer,
                is_answerable=bool(example.row.quotes),
                is_best=hit(example, scores, 1),
                is_answered=bool(example.is_gold[chosen].any()),
                probability=1 / (1 + float(np.exp(-logit))),
                words=sum(len(example.candidates.pieces[i].in_context.split()) for i in chosen),
            )
        )
    return judged


def cross_validated(examples: Sequence[Example]) -> list[Judged]:
    """Every example read with models fitted on other employers."""
    return [one for others, own in _folds(examples) for one in judge(own, *fit_reading(others))]


def cross_validated_choice(examples: Sequence[Example]) -> dict[str, JsonValue]:
    """How often a choice fitted on other employers is right: the mean of the folds' rates, weighted by questions."""
    rates = [(hit_rates(own, fit_choice(others)), len(own)) for others, own in _folds(examples)]
    sizes = [size for _, size in rates]
    return {name: round(float(np.average([rate[name] for rate, _ in rates], weights=sizes)), 4) for name in rates[0][0]}


def _folds(examples: Sequence[Example]) -> Iterator[tuple[list[Example], list[Example]]]:
    """The examples of other employers, and those of a fifth of the employers, in turn.

    Where there is one employer only, those that rest on other quotes, and those on a fifth of the quotes.
    """
    groups = [example.row.employer for example in examples]
    if len(set(groups)) == 1:
        groups = ["\n".join(example.row.quotes) or example.row.question for example in examples]
    names = sorted(set(groups))
    for fold in range(_FOLDS):
        own = set(names[fold::_FOLDS])
        if own:
            yield (
                [example for example, group in zip(examples, groups, strict=True) if group not in own],
                [example for example, group in zip(examples, groups, strict=True) if group in own],
            )


def summary(judged: Sequence[Judged]) -> dict[str, JsonValue]:
    """Hit rates of the answerable, how well the probability tells right from wrong, and how true it is.

    "right" is what is given when every answer below the shipped `min_probability` is declined, as shares of the
    answerable (of the unanswerable: "declined").
    """
    least = ReadingSettings().min_probability
    answerable = [one for one in judged if one.is_answerable]
    unanswerable = [one for one in judged if not one.is_answerable]
    chances = np.array([one.probability for one in judged])
    answered = np.array([one.is_answered for one in judged])
    return {
        "questions": len(judged),
        "hit@1": _share(one.is_best for one in answerable),
        "given": _share(one.is_answered for one in answerable),
        "words": round(float(np.mean([one.words for one in judged])), 1),
        "auc": round(float(roc_auc_score(answered, chances)), 4),
        "right": _share(one.is_answered and one.probability >= least for one in answerable),
        "wrong": _share(not one.is_answered and one.probability >= least for one in answerable),
        "declined": _share(one.probability < least for one in unanswerable),
        "calibration_error": _calibration_error(chances, answered),
        "calibration": _calibration(chances, answered),
    }


def _share(found: Iterable[bool]) -> float:
    return round(float(np.mean(list(found))), 4)


def _calibration_error(chances: NDArray[np.float64], answered: NDArray[np.bool_]) -> float:
    """Expected calibration error over tenths (Naeini et al. 2015): the mean gap of what was said and what was true."""
    tenth = np.minimum((chances * 10).astype(int), 9)
    gaps = [abs(float((chances - answered)[tenth == n].sum())) for n in range(10) if (tenth == n).any()]
    return round(sum(gaps) / len(chances), 4)


def _calibration(chances: NDArray[np.float64], answered: NDArray[np.bool_]) -> JsonValue:
    """For each tenth of the scale: what was said on average, how often it was true, and of how many questions."""
    tenth = np.minimum((chances * 10).astype(int), 9)
    return [
        {
            "said": round(float(chances[tenth == n].mean()), 3),
            "true": round(float(answered[tenth == n].mean()), 3),
            "questions": int((tenth == n).sum()),
        }
        for n in range(10)
        if (tenth == n).any()
    ]
