"""Hold two versions' answers to the same questions side by side.

Enters: question rows and the recorded answers of both. Leaves: of every measure both means, with an interval around
their difference (paired bootstrap over groups of questions that mean the same), and how far the answers drifted.

An interval that holds 0 says that these questions cannot tell the two apart: with 20 questions it is about 17 points
wide to either side, with 200 about 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bot.answer import Citation, Route
from bot.ground.quantities import quantities, states
from bot.record import AnswerRecord
from knowledge.embed import Embedder
from trainer.grade import Graders, Verdict, grade
from trainer.samples import evidence_in, is_supported

_RESAMPLES = 2_000
_SEED = 0
_MOST_EXAMPLES = 10
# A bootstrap of a few changes, all one way, is too sure of itself: six coins fall alike three times in a hundred.
_FEWEST_CHANGED = 6
# What a higher value is: good, bad, or neither.
MEASURES: Mapping[str, Literal[1, -1, 0]] = {
    "right": 1,
    "wrong": -1,
    "declined": -1,
    "rightly declined": 1,
    "right file cited": 1,
    "agrees with HR": 1,
    "HR's figures": 1,
    "grounded": 1,
    "routed right": 1,
    "in own words": 0,
    "words": -1,
    "latency ms": -1,
}
# Shown and not judged by: a longer or slower answer can be the better one.
_NOT_JUDGED = frozenset({"words", "latency ms", "in own words", "declined"})


@dataclass(frozen=True)
class Asked:
    """A question as it is judged: `ideal` is HR's own answer, "" where there is none; paraphrases share a `group`;
    `is_sensitive` says whether it must go to a human, where the row says so."""

    id: str
    question: str
    graders: Graders | None = None
    ideal: str = ""
    group: str = ""
    is_sensitive: bool | None = None


@dataclass(frozen=True)
class Difference:
    """One measure over the `questions` that it applies to: both means, a 95 % interval of after minus before, and in
    how many groups of questions anything `changed`."""

    measure: str
    questions: int
    before: float
    after: float
    low: float
    high: float
    changed: int = _FEWEST_CHANGED

    @property
    def verdict(self) -> Literal["better", "worse", "same"]:
        """What the interval says; "same" where it holds 0, where more is neither good nor bad, or where so few groups
        changed that chance alone does it."""
        sign = 0 if self.measure in _NOT_JUDGED else MEASURES[self.measure]
        if sign == 0 or self.changed < _FEWEST_CHANGED or self.low <= 0 <= self.high:
            return "same"
        return "better" if (self.low > 0) == (sign > 0) else "worse"


@dataclass(frozen=True)
class Changed:
    """A question whose verdict or words changed."""

    question: str
    before: str
    after: str
    was: str = ""
    is_now: str = ""


@dataclass(frozen=True)
class Comparison:
    """`drift` is the share of answers in other words, `similarity` the mean cosine of the two texts where so."""

    differences: tuple[Difference, ...]
    drift: float
    similarity: float
    got_better: tuple[Changed, ...]
    got_worse: tuple[Changed, ...]

    def of(self, measure: str) -> Difference | None:
        """One measure's difference; None where no question has it."""
        return next((one for one in self.differences if one.measure == measure), None)


def measure(asked: Asked, given: AnswerRecord, agreement: float | None = None) -> dict[str, float]:
    """What can be said of one answer; `agreement` is the cosine with HR's ideal answer."""
    values = {"words": float(len(given.answer.split())), "latency ms": given.latency_ms}
    route = Route(given.route)
    if asked.graders:
        verdict = grade(asked.graders, given.answer, abstained=given.abstained)
        if asked.graders.is_answerable:
            for name, wanted in (("right", Verdict.RIGHT), ("wrong", Verdict.WRONG), ("declined", Verdict.DECLINED)):
                values[name] = float(verdict is wanted)
            if asked.graders.files and not given.abstained:
                values["right file cited"] = float(any(one.file in asked.graders.files for one in given.citations))
        else:
            values["rightly declined"] = float(verdict is Verdict.RIGHTLY_DECLINED)
    if asked.is_sensitive is not None:
        values["routed right"] = float((route is Route.SENSITIVE) is asked.is_sensitive)
    if asked.ideal and agreement is not None:
        values["agrees with HR"] = agreement
        if figures := quantities(asked.ideal):
            said = quantities(given.answer)
            values["HR's figures"] = float(all(any(states(one, figure) for one in said) for figure in figures))
    if route in (Route.GENERATED, Route.QUOTED):
        values["in own words"] = float(route is Route.GENERATED)
        values["grounded"] = float(route is Route.QUOTED or _is_grounded(asked.question, given))
    return values


def _is_grounded(question: str, given: AnswerRecord) -> bool:
    citations = [Citation(**one.model_dump()) for one in given.citations]
    return is_supported(given.answer, evidence_in(citations), question)


def compare(
    asked: Sequence[Asked],
    before: Mapping[str, AnswerRecord],
    after: Mapping[str, AnswerRecord],
    embedder: Embedder,
) -> Comparison:
    """Compare the answers, by question id; questions that either did not answer are left out."""
    both = [one for one in asked if one.id in before and one.id in after]
    values = [_measured(both, answers, embedder) for answers in (before, after)]
    differences = [found for name in MEASURES if (found := _difference(name, both, values[0], values[1])) is not None]
    pairs = [(one, before[one.id], after[one.id]) for one in both]
    other = [(old, new) for _, old, new in pairs if old.answer != new.answer]
    similarity = 1.0
    if other:
        olds, news = (embedder.embed([one.answer for one in side]) for side in zip(*other, strict=True))
        similarity = float((olds * news).sum(axis=1).mean())
    return Comparison(
        tuple(differences),
        len(other) / len(both) if both else 0.0,
        similarity,
        tuple(_examples(pairs, values, better=True)),
        tuple(_examples(pairs, values, better=False)),
    )


def _measured(
    asked: Sequence[Asked], answers: Mapping[str, AnswerRecord], embedder: Embedder
) -> list[dict[str, float]]:
    with_ideal = [one for one in asked if one.ideal]
    agreement: dict[str, float] = {}
    if with_ideal:
        ideals = embedder.embed([one.ideal for one in with_ideal])
        said = embedder.embed([answers[one.id].answer for one in with_ideal])
        agreement = dict(zip((one.id for one in with_ideal), map(float, (ideals * said).sum(axis=1)), strict=True))
    return [measure(one, answers[one.id], agreement.get(one.id)) for one in asked]


def _difference(
    name: str, asked: Sequence[Asked], before: Sequence[dict[str, float]], after: Sequence[dict[str, float]]
) -> Difference | None:
    """Of the questions to which the measure applies both times; whole groups are drawn anew."""
    rows = [
        (one.group or one.id, old[name], new[name])
        for one, old, new in zip(asked, before, after, strict=True)
        if name in old and name in new
    ]
    if not rows:
        return None
    groups: dict[str, list[tuple[float, float]]] = {}
    for group, old_value, new_value in rows:
        groups.setdefault(group, []).append((old_value, new_value))
    sums = np.array([[sum(new - old for old, new in own), len(own)] for own in groups.values()], dtype=np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, len(sums), (_RESAMPLES, len(sums)))
    totals = sums[drawn].sum(axis=1)
    low, high = np.percentile(totals[:, 0] / totals[:, 1], [2.5, 97.5])
    means = np.array([[old_value, new_value] for _, old_value, new_value in rows]).mean(axis=0)
    changed = int((np.abs(sums[:, 0]) > 1e-9).sum())
    return Difference(name, len(rows), float(means[0]), float(means[1]), float(low), float(high), changed)


def _examples(
    pairs: Sequence[tuple[Asked, AnswerRecord, AnswerRecord]],
    values: Sequence[Sequence[dict[str, float]]],
    *,
    better: bool,
) -> list[Changed]:
    """Questions whose verdict changed that way; where nothing is graded, whose agreement with HR moved the most."""
    found = []
    for (one, old, new), was, now in zip(pairs, *values, strict=True):
        before, after = _score(was), _score(now)
        if (after > before) if better else (after < before):
            changed = Changed(one.question, old.answer, new.answer, _verdict(one, old), _verdict(one, new))
            found.append((abs(after - before), changed))
    found.sort(key=lambda pair: -pair[0])
    return [changed for _, changed in found[:_MOST_EXAMPLES]]


def _score(values: Mapping[str, float]) -> float:
    """Right above declined above wrong; else how near it comes to HR's words, in steps that can be seen."""
    if "right" in values:
        return values["right"] - values["wrong"]
    if "routed right" in values:
        return values["routed right"]
    return values.get("rightly declined", round(values.get("agrees with HR", 0.0), 1))


def _verdict(asked: Asked, given: AnswerRecord) -> str:
    return grade(asked.graders, given.answer, abstained=given.abstained).value if asked.graders else ""
