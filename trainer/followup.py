"""Fit the weights that tell a follow-up from a change of subject.

Enters: a folder of training data with threads (`threads*.jsonl`: `turns`, two wordings of what is asked then, whether
it is a `new_subject`) and first questions (`own_*.jsonl`). Leaves: a folder with the weights, which `bot/followup.py`
reads, and their manifest.
Run: `python -m trainer.followup --data samples/training --out models/starter/followup` (a few seconds).

People seldom announce that they change the subject, while the threads nearly always do so. So first questions about
another policy of the same employer are put behind each thread: the same question is a first one and an unannounced one.
What is reported was measured on employers that the fit had not seen, by leaving out a fifth of them in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bot.followup import SURE, WEIGHTS, WORDING, Judge, wording
from config.errors import ConfigError
from exporter.manifest import Recipe, make_manifest, publishing, write_manifest
from trainer.records import licences, read_records, require, run
from trainer.rows import HELD_OUT, OURS, row_files

_TERMS = "rows of our own writing alone; under the terms of this repository"
_FOLDS = 5


class Kind(StrEnum):
    """How a question relates to the thread before it."""

    REFERS = "refers"
    ANNOUNCED = "announced"
    UNANNOUNCED = "unannounced"


@dataclass(frozen=True)
class FollowUpSettings:
    """How the weights are fitted; `unannounced` first questions are put behind each thread."""

    seed: int = 0
    inverse_penalty: float = 3.0
    unannounced: int = 2
    unannounced_weight: float = 0.5


@dataclass(frozen=True)
class Asked:
    """A question in a thread; `employer` decides which fold holds it out."""

    employer: str
    question: str
    before: tuple[str, ...]
    kind: Kind


def train_followup(data: Path, out: Path, settings: FollowUpSettings | None = None) -> dict[str, JsonValue]:
    """Fit on the threads in `data`, publish weights and manifest in `out`; returns the metrics.

    Raises:
        ConfigError: There are no threads, or none changes the subject.
    """
    settings = settings or FollowUpSettings()
    rows = read_threads(data, settings)
    metrics = cross_validated(rows, settings)
    judge = fit(rows, settings)
    stored = {
        "bias": round(judge.bias, 4),
        "weights": {name: round(float(weight), 4) for name, weight in zip(WORDING, judge.weights, strict=True)},
    }
    with publishing(out) as folder:
        (folder / WEIGHTS).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        write_manifest(
            folder, make_manifest(_recipe(rows, settings), metrics, licences(data, _TERMS, adapts_encoder=False))
        )
    return metrics


def recipe(data: Path) -> Recipe:
    """What decides the weights, known without training."""
    settings = FollowUpSettings()
    return _recipe(read_threads(data, settings), settings)


def _recipe(rows: Sequence[Asked], settings: FollowUpSettings) -> Recipe:
    return Recipe(
        part="followup",
        command="python -m trainer.followup --data samples/training --out models/starter/followup",
        base=f"wording: {', '.join(WORDING)}",
        rows=len(rows),
        employers=tuple(sorted({row.employer for row in rows})),
        data_sha256=hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest(),
        seed=settings.seed,
        settings=asdict(settings),
    )


def read_threads(data: Path, settings: FollowUpSettings) -> list[Asked]:
    """What is asked in the threads of our own employers, the held-out ones left out, and unannounced changes.

    Raises:
        ConfigError: There are no threads, or none changes the subject.
    """
    threads, first_questions = _records(data)
    rng = np.random.default_rng(settings.seed)
    rows: list[Asked] = []
    for record in threads:
        employer = _employer(record.file)
        rows += [Asked(employer, text, record.before, record.kind) for text in record.wordings]
        others = [other for other in first_questions[employer] if other.file != record.file]
        for pick in rng.permutation(len(others))[: settings.unannounced]:
            text = others[pick].wordings[rng.integers(len(others[pick].wordings))]
            rows.append(Asked(employer, text, record.before, Kind.UNANNOUNCED))
    if len({row.kind for row in rows}) < len(Kind):
        raise ConfigError(
            f"{data} has no threads with follow-ups, announced changes of subject and first questions of the same "
            "employers; name a folder such as samples/training."
        )
    return rows


@dataclass(frozen=True)
class _Record:
    file: str
    wordings: tuple[str, str]
    before: tuple[str, ...]
    kind: Kind


def _records(data: Path) -> tuple[list[_Record], dict[str, list[_Record]]]:
    """The threads, and the first questions of each employer."""
    found: list[_Record] = []
    threads: list[_Record] = []
    first_questions: dict[str, list[_Record]] = defaultdict(list)
    for file in row_files(data):
        if not file.name.startswith(("threads", "own_")):
            continue
        for place, row in read_records(file):
            require(row, {"file": str, "question": str, "also": str}, place)
            try:
                before = tuple(turn["text"] for turn in row.get("turns", ()))
            except (LookupError, TypeError) as error:
                raise ConfigError(f'{place} has "turns" without a text; mend or remove it.') from error
            kind = Kind.ANNOUNCED if row.get("new_subject") else Kind.REFERS
            if row["file"].startswith(OURS):
                found.append(_Record(row["file"], (row["question"], row["also"]), before, kind))
    for record in found:
        if _employer(record.file) in HELD_OUT:
            continue
        if record.before:
            threads.append(record)
        else:
            first_questions[_employer(record.file)].append(record)
    return threads, first_questions


def _employer(file: str) -> str:
    """The employer's folder: "train/policies/brandt-de/pay.md" gives "train/policies/brandt-de"."""
    return OURS + file.removeprefix(OURS).split("/")[0]


def fit(rows: Sequence[Asked], settings: FollowUpSettings) -> Judge:
    """Logistic regression on whether a question leaves the subject."""
    weights = [settings.unannounced_weight if row.kind is Kind.UNANNOUNCED else 1.0 for row in rows]
    model = LogisticRegression(C=settings.inverse_penalty, max_iter=1_000)
    model.fit(
        np.stack([_signs(row) for row in rows]),
        [row.kind is not Kind.REFERS for row in rows],
        sample_weight=weights,
    )
    return Judge(model.coef_[0], float(model.intercept_[0]))


@lru_cache(None)  # every fold reads them again
def _signs(row: Asked) -> NDArray[np.float64]:
    return wording(row.question, row.before)


def cross_validated(rows: Sequence[Asked], settings: FollowUpSettings) -> dict[str, JsonValue]:
    """How a fit does on employers that it has not seen: the share of each kind that is searched alone, and the AUC."""
    employers = sorted({row.employer for row in rows})
    chances: dict[Kind, list[float]] = defaultdict(list)
    for fold in range(min(_FOLDS, len(employers))):
        left_out = set(employers[fold::_FOLDS])
        seen = [row for row in rows if row.employer not in left_out]
        if {row.kind for row in seen} <= {Kind.REFERS}:
            continue  # a single employer cannot be held out
        judge = fit(seen, settings)
        for row in rows:
            if row.employer in left_out:
                chances[row.kind].append(judge.chance(_signs(row)))
    return {
        "questions": len(rows),
        "searched_alone": {
            str(kind): round(float(np.mean(np.array(chances[kind]) >= SURE)), 4) for kind in Kind if chances[kind]
        },
        "auc": _auc(chances[Kind.REFERS], [*chances[Kind.ANNOUNCED], *chances[Kind.UNANNOUNCED]]),
    }


def _auc(refers: Sequence[float], changes: Sequence[float]) -> float | None:
    if not refers or not changes:
        return None
    return round(float(roc_auc_score([0] * len(refers) + [1] * len(changes), [*refers, *changes])), 4)


def main() -> None:
    """Fit, write, and print the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("samples/training"), help="threads and first questions")
    parser.add_argument("--out", type=Path, default=Path("models/starter/followup"))
    arguments = parser.parse_args()
    print(json.dumps(train_followup(arguments.data, arguments.out), indent=1))


if __name__ == "__main__":
    run(main)
