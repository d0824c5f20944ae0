"""Fit the classifier that triage uses where no rule decides.

Enters: a folder with messages in `triage*.jsonl` (`text`, `category`, `expect`), questions over policies in
`own_*.jsonl`, which are ordinary ones, and the embedder that will serve. Leaves: a folder with the weights
(`bot/triage/classify.py` reads them) and their manifest.
Run: `python -m trainer.triage --data samples/training --out models/starter/triage` (a minute).

What is reported was measured on fifths of the messages, and of the employers, that the fit had not seen. The rules
were written with the rows of `triage.jsonl` in view, so only the classifier's own figures over them are honest.
`triage_blind.jsonl` is never fitted to, but it was written beside the word lists and `triage_more.jsonl`, and settings
were compared on it, so it flatters. Fit again whenever the embedder's adapter changes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue
from sklearn.linear_model import LogisticRegression

from bot.triage import HANDLING_OF, Handling, triage
from bot.triage.classify import (
    FEATURES_VERSION,
    ORDINARY,
    Head,
    Said,
    Verdict,
    judge,
    read_messages,
    save_head,
)
from config.errors import ConfigError
from config.settings import IndexSettings
from exporter.manifest import Recipe, make_manifest, publishing, retriever_beside, write_manifest
from knowledge.embed import Embedder, embedded_model, embedder_version, open_embedder
from trainer.records import Record, licences, read_records, require, run

_TERMS = "rows of our own writing alone; under the terms of this repository"
_MESSAGES, _MORE, _BLIND = "triage.jsonl", "triage_more.jsonl", "triage_blind.jsonl"
_FOLDS = 5
_FEWEST = 2 * _FOLDS
_NO_THRESHOLD = float("-inf")


@dataclass(frozen=True)
class TriageSettings:
    """How the classifier is fitted; `most_flagged_…` are the shares of harmless messages that may go to a human."""

    seed: int = 0
    inverse_penalty: float = 0.3
    iterations: int = 200
    questions: int = 2_400
    question_weight: float = 0.5
    sentence_weight: float = 0.5
    most_questions_flagged: float = 0.01
    most_look_alikes_flagged: float = 0.05


@dataclass(frozen=True)
class Message:
    """A message, what it is ("answer" for an ordinary one), and which fold holds it out (-1: none, it is only seen).

    `kind` names the row's own category, so that look-alikes can be counted apart.
    """

    text: str
    category: str
    kind: str
    fold: int = -1
    weight: float = 1.0


@dataclass(frozen=True)
class Rates:
    """Shares: of the sensitive ones missed and routed right, of look-alikes and of other ordinary ones flagged."""

    sensitive_missed: float
    sensitive_routed_right: float
    look_alikes_flagged: float
    others_flagged: float


@dataclass(frozen=True)
class TriageReport:
    """What a fit came to: its threshold, messages and questions seen, and the rates, by what was measured on what."""

    threshold: float
    messages: int
    questions: int
    rates: dict[str, Rates]


def train_triage(
    data: Path, out: Path, embedder: Embedder, seed: int = 0, settings: TriageSettings | None = None
) -> TriageReport:
    """Fit on the rows in `data`, choose the threshold on what each fold held out, and publish weights and manifest.

    Raises:
        ConfigError: There are too few messages, or none of them is sensitive, or none is ordinary.
    """
    settings = settings or TriageSettings(seed=seed)
    messages, questions = _seen(data, settings)
    everything = [*messages, *questions]
    said = read_messages([message.text for message in everything], embedder)
    verdicts = _held_out_verdicts(everything, said, settings)
    threshold = _threshold(verdicts, settings)
    head = fit(everything, said, settings, threshold)
    blind = read_rows(data, _BLIND)
    rates = {**_held_out_rates(verdicts, threshold), **_blind_rates(blind, head, embedder)}
    with publishing(out) as folder:
        save_head(head, embedder.version, folder)
        made_by = _recipe(everything, embedder.version, settings)
        write_manifest(
            folder, make_manifest(made_by, _metrics(rates, threshold), licences(data, _TERMS, adapts_encoder=False))
        )
    return TriageReport(threshold, len(messages), len(questions), rates)


def recipe(data: Path, retriever: Path | None = None) -> Recipe:
    """What decides the weights, known without fitting them.

    Raises:
        ConfigError: As `train_triage`.
    """
    settings = TriageSettings()
    messages, questions = _seen(data, settings)
    version = embedder_version(embedded_model(), retriever or IndexSettings().adapter)
    return _recipe([*messages, *questions], version, settings)


def _recipe(messages: Sequence[Message], embedder: str, settings: TriageSettings) -> Recipe:
    rows = "\n".join(sorted(repr(message) for message in messages))
    return Recipe(
        part="triage",
        command="python -m trainer.triage --data samples/training --out models/starter/triage",
        base=embedder,
        rows=len(messages),
        data_sha256=hashlib.sha256(rows.encode()).hexdigest(),
        seed=settings.seed,
        settings={**asdict(settings), "features": FEATURES_VERSION},
    )


def _seen(data: Path, settings: TriageSettings) -> tuple[list[Message], list[Message]]:
    """The messages, and the questions over policies, that are fitted to."""
    messages = [*read_rows(data, _MESSAGES, settings.seed), *read_rows(data, _MORE)]
    _check(messages, data)
    return messages, _questions(data, settings)


def read_rows(data: Path, name: str, seed: int | None = None) -> list[Message]:
    """The messages of a file in `data` or `data/train`, none when it is not there; folds are dealt out given a seed."""
    file = next((folder / name for folder in (data, data / "train") if (folder / name).is_file()), None)
    if file is None:
        return []
    rows = [_message(place, record) for place, record in read_records(file)]
    folds = _folds([row["category"] for row in rows], seed) if seed is not None else [-1] * len(rows)
    return [
        Message(row["text"], ORDINARY if row["expect"] == Handling.ANSWER else row["category"], row["category"], fold)
        for row, fold in zip(rows, folds, strict=True)
    ]


def _message(place: str, record: Record) -> Record:
    require(record, {"text": str, "category": str, "expect": str}, place)
    if record["expect"] != Handling.ANSWER and record["category"] not in HANDLING_OF:
        raise ConfigError(
            f"{place} has the unknown category {record['category']!r}; known are {', '.join(HANDLING_OF)}, and others "
            'for look-alikes, with "expect": "answer".'
        )
    return record


def _folds(kinds: Sequence[str], seed: int) -> list[int]:
    """A fold for each row, so that every fold has its share of every kind."""
    folds = [0] * len(kinds)
    dealt: dict[str, int] = defaultdict(int)
    for row in np.random.default_rng(seed).permutation(len(kinds)):
        folds[row] = dealt[kinds[row]] % _FOLDS
        dealt[kinds[row]] += 1
    return folds


def _questions(data: Path, settings: TriageSettings) -> list[Message]:
    """A sample of ordinary questions over policies, an employer's in one fold; those that a rule flags are left out."""
    files = sorted({*data.glob("own_*.jsonl"), *(data / "train").glob("own_*.jsonl")})
    rows = []
    for place, row in (found for file in files for found in read_records(file)):
        require(row, {"file": str, "question": str, "also": str}, place)
        rows.append(row)
    asked = [(Path(row["file"]).parent.name, row[wording]) for row in rows for wording in ("question", "also")]
    employers = sorted({employer for employer, _ in asked})
    chosen = np.random.default_rng(settings.seed).permutation(len(asked))[: settings.questions]
    return [
        Message(text, ORDINARY, "question", employers.index(employer) % _FOLDS, settings.question_weight)
        for employer, text in (asked[row] for row in sorted(chosen))
        if not triage(text).is_sensitive
    ]


def _check(messages: Sequence[Message], data: Path) -> None:
    sensitive = sum(message.category != ORDINARY for message in messages)
    if min(sensitive, len(messages) - sensitive) < _FEWEST:
        raise ConfigError(
            f"{data} holds {sensitive} sensitive and {len(messages) - sensitive} ordinary messages in {_MESSAGES}; "
            f"add some until there are {_FEWEST} of each."
        )


def fit(
    messages: Sequence[Message], said: Sequence[Said], settings: TriageSettings, threshold: float = _NO_THRESHOLD
) -> Head:
    """Fit the weights. The sentences of an ordinary message are ordinary too; which one of a grave message is grave is
    not known, so those are only seen as a whole."""
    features, categories, weights = [], [], []
    for message, read in zip(messages, said, strict=True):
        rows = read.features if message.category == ORDINARY else read.features[:1]
        features.append(rows)
        categories += [message.category] * len(rows)
        weights += [message.weight] + [message.weight * settings.sentence_weight] * (len(rows) - 1)
    model = LogisticRegression(C=settings.inverse_penalty, max_iter=settings.iterations)
    model.fit(np.concatenate(features), categories, sample_weight=weights)
    if len(model.classes_) == 2:  # sklearn then keeps one column: the second class against the first
        weight, bias = np.vstack([-model.coef_, model.coef_]) / 2, np.array([-1, 1]) * model.intercept_ / 2
    else:
        weight, bias = model.coef_, model.intercept_
    names = tuple(str(name) for name in model.classes_)
    return Head(names, np.ascontiguousarray(weight.T, dtype=np.float32), bias.astype(np.float32), threshold)


Judged = tuple[Message, Verdict]


def _held_out_verdicts(messages: Sequence[Message], said: Sequence[Said], settings: TriageSettings) -> list[Judged]:
    """Each message that a fold holds out, judged by a head that has not seen it, whatever its score."""
    found: list[Judged] = []
    for fold in range(_FOLDS):
        seen = [number for number, message in enumerate(messages) if message.fold != fold]
        head = fit([messages[number] for number in seen], [said[number] for number in seen], settings)
        found += [
            (message, judge(head, read)) for message, read in zip(messages, said, strict=True) if message.fold == fold
        ]
    return found


def _threshold(judged: Sequence[Judged], settings: TriageSettings) -> float:
    """The lowest score that flags no more harmless messages than the settings allow."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for message, verdict in judged:
        if message.category == ORDINARY:
            by_kind["look-alike" if _is_look_alike(message) else message.kind].append(verdict.score)
    most = defaultdict(lambda: settings.most_look_alikes_flagged, question=settings.most_questions_flagged)
    bounds = [float(np.quantile(scores, 1 - most[kind])) for kind, scores in by_kind.items()]
    return round(max(bounds) + 1e-3, 3)


def _held_out_rates(judged: Sequence[Judged], threshold: float) -> dict[str, Rates]:
    """Rates over `triage.jsonl`, and of ordinary questions flagged, each judged by a fold that had not seen it."""
    rows = [(message, verdict.category if verdict.score >= threshold else "") for message, verdict in judged]
    messages = [(message, category) for message, category in rows if message.kind != "question"]
    by_rules = [(message, triage(message.text).category) for message, _ in messages]
    both = [(m, ruled or learned) for (m, ruled), (_, learned) in zip(by_rules, messages, strict=True)]
    questions = [(message, category) for message, category in rows if message.kind == "question"]
    return {
        "five-fold, classifier alone": _rates(messages),
        "five-fold, with the rules, which saw these rows": _rates(both),
        "questions of employers held out, classifier alone": _rates(questions),
    }


def _blind_rates(blind: Sequence[Message], head: Head, embedder: Embedder) -> dict[str, Rates]:
    """Rates over messages that nothing was fitted to; nothing when there are none."""
    if not blind:
        return {}
    verdicts = [judge(head, said) for said in read_messages([message.text for message in blind], embedder)]
    learned = [verdict.category for verdict in verdicts]
    ruled = [triage(message.text).category for message in blind]
    both = [rule or verdict for rule, verdict in zip(ruled, learned, strict=True)]
    found = {"classifier alone": learned, "rules alone": ruled, "both": both}
    return {f"blind, {how}": _rates(list(zip(blind, given, strict=True))) for how, given in found.items()}


def _rates(judged: Sequence[tuple[Message, str]]) -> Rates:
    grave = [(message, given) for message, given in judged if message.category != ORDINARY]
    ordinary = [(message, bool(given)) for message, given in judged if message.category == ORDINARY]
    alike = [is_flagged for message, is_flagged in ordinary if _is_look_alike(message)]
    others = [is_flagged for message, is_flagged in ordinary if not _is_look_alike(message)]
    routed = [bool(given) and HANDLING_OF[given] is HANDLING_OF[message.category] for message, given in grave]
    return Rates(_share([not given for _, given in grave]), _share(routed), _share(alike), _share(others))


def _is_look_alike(message: Message) -> bool:
    """Whether it is an ordinary message with grave words, or on a grave topic."""
    return message.kind.startswith("lookalike")


def _share(flags: Sequence[bool]) -> float:
    """The share that is true; 0 of none."""
    return round(float(np.mean(flags)), 4) if len(flags) else 0.0


def _metrics(rates: dict[str, Rates], threshold: float) -> dict[str, JsonValue]:
    return {"threshold": threshold, **{name: asdict(rate) for name, rate in rates.items()}}


def main() -> None:
    """Fit on the embedder that the product uses, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("samples/training"), help="messages and questions")
    parser.add_argument("--out", type=Path, default=Path("models/starter/triage"))
    parser.add_argument("--retriever", type=Path, help="the embedder's adapter (default: the one beside --out)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    embedder = open_embedder(adapter=arguments.retriever or retriever_beside(arguments.out))
    report = train_triage(arguments.data, arguments.out, embedder, arguments.seed)
    print(f"{report.messages} messages, {report.questions} questions, threshold {report.threshold}")
    for name, rates in report.rates.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.1%}" for key, value in asdict(rates).items()))


if __name__ == "__main__":
    run(main)
