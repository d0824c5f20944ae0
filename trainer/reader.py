"""Fit the reader's two linear models: which piece answers, and how likely it is that it does.

Enters: question rows over folders of policies (`trainer/rows.py`), and the encoder's adapter. Leaves:
`knowledge/reader.json` with the weights and their recipe.
Run: `python -m trainer.reader --data DIR` (five minutes); DIR holds `train/` with the rows, and the policies they name.

Only employers that the encoder was not trained on are used: it has learned the answers of the others, and the reader
would learn to trust it more than it may. Retrieval is the product's own, so the candidates are those that serving sees.
What is reported was measured on employers that the fit had not seen either, by leaving out a fifth of them in turn.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from config.settings import IndexSettings, RetrievalSettings
from knowledge.embed import Embedder, open_embedder
from knowledge.features import PIECE_FEATURES, QUESTION_FEATURES, Candidates, question_features
from knowledge.read import Linear, Reader
from knowledge.retrieve import Asker, retrieve
from trainer.rows import Row, employer_snapshot, is_gold, read_rows, rows_hash

Matrix = NDArray[np.float32]
_FOLDS = 5
_CHOICE_L2 = 1e-3
_PROBABILITY_C = 0.03


@dataclass(frozen=True)
class Example:
    """A question with its candidates; `is_gold[i]` says whether piece i is part of a quote that answers."""

    row: Row
    candidates: Candidates
    is_gold: NDArray[np.bool_]


def fit(examples: Sequence[Example]) -> tuple[Linear, Linear]:
    """The two models, in the order in which reading uses them."""
    choice = _fit_choice([example for example in examples if example.is_gold.any()])
    return choice, _fit_probability(examples, choice)


def _fit_choice(examples: Sequence[Example]) -> Linear:
    """Maximise the probability, by softmax over a question's pieces, that falls on its gold pieces."""
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
    """Logistic regression on whether the two best pieces hold a gold one."""
    features, answered = _questions(examples, choice)
    mean, scale = features.mean(0), features.std(0) + 1e-6
    model = LogisticRegression(C=_PROBABILITY_C, max_iter=5_000).fit((features - mean) / scale, answered)
    weights = model.coef_[0] / scale
    return Linear(weights.astype(np.float32), float(model.intercept_[0] - mean @ weights))


def _questions(examples: Sequence[Example], choice: Linear) -> tuple[Matrix, NDArray[np.bool_]]:
    scores = [choice(example.candidates.features) for example in examples]
    features = [question_features(example.candidates, s) for example, s in zip(examples, scores, strict=True)]
    answered = [_hit(example, s, 2) for example, s in zip(examples, scores, strict=True)]
    return np.stack(features), np.array(answered)


def _hit(example: Example, scores: Matrix, k: int) -> bool:
    return bool(example.is_gold[np.argsort(-scores, kind="stable")[:k]].any())


def cross_validated(examples: Sequence[Example]) -> dict[str, Any]:
    """How well a fit does on employers that it has not seen: hit rates of the answerable, and calibration."""
    employers = sorted({example.row.employer for example in examples})
    hits: dict[int, list[bool]] = {1: [], 2: []}
    chances: list[float] = []
    answered: list[bool] = []
    for fold in range(_FOLDS):
        left_out = set(employers[fold::_FOLDS])
        choice, probability = fit([example for example in examples if example.row.employer not in left_out])
        unseen = [example for example in examples if example.row.employer in left_out]
        features, right = _questions(unseen, choice)
        chances += list(1 / (1 + np.exp(-probability(features))))
        answered += list(right)
        for example in unseen:
            if example.row.quotes:
                scores = choice(example.candidates.features)
                for k, found in hits.items():
                    found.append(_hit(example, scores, k))
    found = [bool(example.is_gold.any()) for example in examples if example.row.quotes]
    return {
        "questions": len(examples),
        "found": round(float(np.mean(found)), 4),
        **{f"hit@{k}": round(float(np.mean(found)), 4) for k, found in hits.items()},
        "auc": round(float(roc_auc_score(answered, chances)), 4),
        "calibration": _calibration(np.array(chances), np.array(answered)),
    }


def _calibration(chances: NDArray[np.float64], answered: NDArray[np.bool_]) -> list[dict[str, float]]:
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


def make_examples(rows: Sequence[Row], data: Path, embedder: Embedder) -> list[Example]:
    """Retrieve and cut for every row, employer by employer."""
    blind = Reader(embedder, *(Linear(np.zeros(len(n), np.float32), 0.0) for n in (PIECE_FEATURES, QUESTION_FEATURES)))
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_employer[row.employer].append(row)
    examples = []
    for employer, asked in sorted(by_employer.items()):
        snapshot = employer_snapshot(data / employer, embedder)
        vectors = embedder.embed([row.question for row in asked])
        for row, vector in zip(asked, vectors, strict=True):
            passages = retrieve(snapshot, row.question, vector, Asker(), RetrievalSettings(), date.min)
            candidates = blind.candidates(row.question, vector, passages, snapshot.lexical)
            gold = np.array([is_gold(piece, row.quotes) for piece in candidates.pieces], dtype=np.bool_)
            examples.append(Example(row, candidates, gold))
        print(f"{employer}: {len(asked)} questions, {len(snapshot.chunks)} chunks", flush=True)
    return examples


def main() -> None:
    """Fit, report on the employers held out, and write the weights fitted on all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the question rows and their policies")
    parser.add_argument("--out", type=Path, default=Path("knowledge/reader.json"))
    arguments = parser.parse_args()
    embedder = open_embedder(adapter=IndexSettings().adapter)
    trained_on = _employers_of(IndexSettings().adapter)
    rows = [row for row in read_rows(arguments.data) if row.employer not in trained_on]
    examples = make_examples(rows, arguments.data, embedder)
    metrics = cross_validated(examples)
    print(json.dumps(metrics, indent=1))
    choice, probability = fit(examples)
    stored = {
        "recipe": {
            "command": "python -m trainer.reader --data DIR",
            "rows": len(rows),
            "data_sha256": rows_hash(rows),
            "embedder": embedder.version,
            "employers": sorted({row.employer for row in rows}),
            "cross_validated": metrics,
        },
        "choice": _named(choice, PIECE_FEATURES),
        "probability": _named(probability, QUESTION_FEATURES),
    }
    arguments.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {arguments.out}")


def _employers_of(adapter: Path | None) -> set[str]:
    """The employers that the encoder's adapter was trained on, as its recipe says."""
    if adapter is None:
        return set()
    return set(json.loads((adapter / "recipe.json").read_text(encoding="utf-8"))["employers"])


def _named(model: Linear, names: Sequence[str]) -> dict[str, Any]:
    weights = {name: round(float(weight), 5) for name, weight in zip(names, model.weights, strict=True)}
    if not all(math.isfinite(weight) for weight in weights.values()):
        raise ValueError("the fit did not converge")
    return {"bias": round(model.bias, 5), "weights": weights}


if __name__ == "__main__":
    main()
