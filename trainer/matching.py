"""Draw pairs of questions that have the same answer, and pairs that only sound as if they had.

Enters: matching sets (`matching*.jsonl`, `matcher*.jsonl`: `question`, `correction`, wordings it answers in `same`,
and `near` ones that it does not), and question rows with two wordings (`own_*.jsonl`). Leaves: `Group`s of labelled
pairs, one stored question and answer each, for `trainer/matcher.py`.

The sets were written by hand and have habits that a model would learn instead of their meaning: what is misspelt is the
same question, what shares many words is another one. So misspellings are added to both kinds, a rewording may itself be
the stored question, and wordings that differ by a greeting or a comma are drawn as the same.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config.errors import ConfigError
from knowledge.embed import Embedder
from knowledge.verified import QUESTION_SHARE
from trainer.records import Record, read_records, require
from trainer.rows import HELD_OUT

# Every fifth set is left out of all training: thresholds are set on these, and reports are about them.
HELD_OUT_EVERY = 5

# Questions that another set's answer answers too, as found by hand among those that a matcher took for the same.
_ANSWERED_TOO = "answered_too.jsonl"
_ANSWERED_TOO_FIELDS = {"question": str, "stored": str}
_SET = {"question": str, "correction": str, "same": list, "near": list}
_WORDING = {"file": str, "question": str, "also": str, "answerable": bool, "quotes": list}
# How many pairs a wording is shown against: more than are compared when serving, so that near ones are learned too.
_NEAREST = 6
# The share of drawn questions that are misspelt; the sets' own rewordings hold a misspelt one in five already.
_MISSPELT_SAME = 0.1
_MISSPELT_OTHER = 0.25
_STORED_AS_WRITTEN = 0.6
# Besides near misses, a pair is shown questions about something else for which serving would compare it: shown one at
# a time, the reader took a third of such pairs for the same question.
_NEARBY_A_GROUP = 3
NEARLY_SAME = 0.75
_GREETINGS = ("hi, ", "hey, ", "hello! ", "quick question: ", "please tell me, ", "i'd like to know: ", "um, ", "so ")
_FAREWELLS = ("?", " please", " thanks", " pls", "??", ", thank you", "!", "")
_REWRITTEN = (
    (r"\bcan i\b", "am i allowed to"),
    (r"\bcan i\b", "may i"),
    (r"\bcan we\b", "may we"),
    (r"\bdo i have to\b", "do i need to"),
    (r"\bdo i need to\b", "must i"),
    (r"\bwhats\b|\bwhat's\b", "what is"),
    (r"\bhow do i\b", "how can i"),
    (r"\bdo i get\b", "am i given"),
    (r"\bvacation\b", "holiday"),
    (r"\byr\b", "year"),
    (r"\bwho do i ask\b", "who should i ask"),
    (r"\bhow much time\b", "how long"),
    (r"\bthe\b ", ""),
)


@dataclass(frozen=True)
class MatchingSet:
    """A stored question and answer, wordings that it answers, and wordings that it does not.

    `source` is the file that it is from. Sets of one file mostly differ; those of another may ask the same.
    """

    question: str
    answer: str
    same: tuple[str, ...]
    near: tuple[str, ...]
    source: str = ""


# Pairs of a question and a stored question.
AnsweredToo = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Wording:
    """A question about a policy in two wordings, its answer, and the quotes that it rests on."""

    employer: str
    question: str
    also: str
    answer: str
    quotes: frozenset[str]


@dataclass(frozen=True)
class Group:
    """Questions beside one stored pair; `is_same[i]` says whether the stored answer answers `questions[i]`."""

    stored: str
    answer: str
    questions: tuple[str, ...]
    is_same: tuple[bool, ...]


def read_sets(data: Path) -> list[MatchingSet]:
    """All matching sets in `data/train`, or in `data` itself: those that other parts learn from too, then the others.

    Raises:
        ConfigError: There is none.
    """
    sets = [*shared_sets(data), *_sets(data, "matcher*.jsonl")]
    if not sets:
        raise ConfigError(
            f"{data} holds no matching*.jsonl or matcher*.jsonl to train the matcher on; name the folder of rows."
        )
    return sets


def shared_sets(data: Path) -> list[MatchingSet]:
    """The sets that retriever and reader learn from too; none is fine.

    The matcher weighs the retriever's cosines, which flatter the sets that the retriever has learned. On
    `matcher*.jsonl` they are as on new questions.
    """
    return _sets(data, "matching*.jsonl")


def _sets(data: Path, pattern: str) -> list[MatchingSet]:
    """The sets of some files, in the order of their names."""
    return [
        MatchingSet(r["question"], r["correction"], tuple(r["same"]), tuple(r["near"]), file)
        for file, r in _records(data, pattern, _SET)
    ]


def answered_too(data: Path, sets: Sequence[MatchingSet]) -> AnsweredToo:
    """The questions in `answered_too.jsonl` with the stored questions of other sets whose answers answer them, at least
    in part: to give these is no plain mistake, so they are not compared. None is fine.

    Raises:
        ConfigError: A line names a stored question that no set has.
    """
    stored = {item.question for item in sets}
    found = set()
    for file, record in _records(data, _ANSWERED_TOO, _ANSWERED_TOO_FIELDS):
        if record["stored"] not in stored:
            raise ConfigError(
                f'{file} names "{record["stored"]}", which no matching set asks; mend or remove the line.'
            )
        found.add((record["question"], record["stored"]))
    return frozenset(found)


def seen_sets(sets: Sequence[MatchingSet]) -> list[MatchingSet]:
    """The sets that encoders may learn from."""
    return [item for position, item in enumerate(sets) if position % HELD_OUT_EVERY]


def held_out_positions(sets: Sequence[MatchingSet]) -> range:
    """Where the other sets are, which no encoder has learned by heart."""
    return range(0, len(sets), HELD_OUT_EVERY)


def read_wordings(data: Path) -> list[Wording]:
    """The answerable rows of our own policies that encoders may learn from, in the same places; none is fine."""
    return [
        Wording(str(Path(r["file"]).parent), r["question"], r["also"], r["answer"], frozenset(r["quotes"]))
        for _, r in _records(data, "own_*.jsonl", _WORDING)
        if r["answerable"] and r["question"] != r["also"] and str(Path(r["file"]).parent) not in HELD_OUT
    ]


def _records(data: Path, pattern: str, fields: Mapping[str, type]) -> Iterator[tuple[str, Record]]:
    """File name and record of every line; the fields are there, and their lists are not empty where texts are drawn."""
    folder = data / "train" if (data / "train").is_dir() else data
    for file in sorted(folder.glob(pattern)):
        for place, record in read_records(file):
            require(record, fields, place)
            require(record, {"answer": str} if record.get("answerable") else {}, place)
            if empty := next((name for name in ("same", "near") if name in fields and not record[name]), None):
                raise ConfigError(f'{place} has no wordings in "{empty}"; add some or remove the line.')
            yield file.name, record


def matching_hash(sets: Sequence[MatchingSet], wordings: Sequence[Wording], too: AnsweredToo = frozenset()) -> str:
    """A hash of all rows, for the manifest."""
    rows = [*map(repr, sets), *(repr((w.employer, w.question, w.also, w.answer, sorted(w.quotes))) for w in wordings)]
    rows += map(repr, sorted(too))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@dataclass(frozen=True)
class DrawState:
    """Where the drawing stands: the random generator, and the sets still to come in this round."""

    rng: tuple[Any, ...]
    order: tuple[int, ...]


class Draws:
    """Draws groups without end, each set as often as any other. The same seed draws the same."""

    def __init__(
        self, sets: Sequence[MatchingSet], wordings: Sequence[Wording], embedder: Embedder, rng: random.Random
    ) -> None:
        self.rng = rng
        self._sets = sets
        self._wordings = wordings
        self._asked_nearby = asked_nearby(sets, embedder)
        self._others = _others(wordings, embedder)
        self._order: list[int] = []

    def step(self, sets: int, wordings: int) -> list[Group]:
        """The groups of one training step."""
        drawn = []
        for _ in range(sets):
            self._order = self._order or self.rng.sample(range(len(self._sets)), len(self._sets))
            drawn.append(self._from_set(self._order.pop()))
        for _ in range(wordings if self._wordings else 0):
            drawn.append(self._from_wording(self.rng.randrange(len(self._wordings))))
        return drawn

    def state(self) -> DrawState:
        """Where the drawing stands, to go on from."""
        return DrawState(self.rng.getstate(), tuple(self._order))

    def resume(self, state: DrawState) -> None:
        """Go on drawing as after `state`."""
        self.rng.setstate(state.rng)
        self._order = list(state.order)

    def _from_set(self, position: int) -> Group:
        rng, item = self.rng, self._sets[position]
        stored = item.question if rng.random() < _STORED_AS_WRITTEN else rng.choice(item.same)
        same = [text for text in (item.question, *item.same) if text != stored]
        same = [_misspelt(text, rng, _MISSPELT_SAME) for text in rng.sample(same, min(3, len(same)))]
        if rng.random() < 0.5:
            same.append(lightly_reworded(stored, rng))
        other = rng.sample(item.near, min(3, len(item.near)))
        nearby = self._asked_nearby[position]
        other += rng.sample(nearby, min(_NEARBY_A_GROUP, len(nearby)))
        other = [_misspelt(text, rng, _MISSPELT_OTHER) for text in other]
        return _group(stored, item.answer, same, other)

    def _from_wording(self, position: int) -> Group:
        rng, item = self.rng, self._wordings[position]
        stored, asked = (item.question, item.also) if rng.random() < 0.5 else (item.also, item.question)
        others = [self._wordings[i] for i in self._others[position]]
        other = [rng.choice((o.question, o.also)) for o in rng.sample(others, min(2, len(others)))]
        return _group(stored, item.answer, [asked], [_misspelt(text, rng, _MISSPELT_OTHER) for text in other])


def _group(stored: str, answer: str, same: Sequence[str], other: Sequence[str]) -> Group:
    return Group(stored, answer, (*same, *other), (True,) * len(same) + (False,) * len(other))


def asked_nearby(sets: Sequence[MatchingSet], embedder: Embedder) -> list[list[str]]:
    """For each set the questions of other sets of its file for which serving would compare its pair.

    A question that may be the same after all (nearly its vector) is left out.
    """
    stored = embedder.embed([item.question for item in sets])
    answers = embedder.embed([item.answer for item in sets])
    found: list[list[str]] = [[] for _ in sets]
    for position, item in enumerate(sets):
        texts = (item.question, *item.same, *item.near)
        asked = embedder.embed(texts)
        similar = asked @ stored.T
        near = QUESTION_SHARE * similar + (1 - QUESTION_SHARE) * (asked @ answers.T)
        is_other = np.array([other.source == item.source for other in sets])
        is_other[position] = False
        near[:, ~is_other] = -1
        near[similar > NEARLY_SAME] = -1
        for text, row in zip(texts, near, strict=True):
            for other in np.argsort(-row)[:_NEAREST]:
                if row[other] > 0:
                    found[other].append(text)
    return found


def _others(wordings: Sequence[Wording], embedder: Embedder) -> list[list[int]]:
    """For each wording the nearest questions of the same employer that rest on other quotes."""
    by_employer: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(wordings):
        by_employer[item.employer].append(i)
    found: list[list[int]] = [[] for _ in wordings]
    for rows in by_employer.values():
        vectors = embedder.embed([wordings[i].question for i in rows])
        for i, row in zip(rows, vectors @ vectors.T, strict=True):
            ranked = [rows[j] for j in np.argsort(-row) if not wordings[rows[j]].quotes & wordings[i].quotes]
            found[i] = ranked[:4]
    return found


def lightly_reworded(text: str, rng: random.Random) -> str:
    """The same question with a greeting, other marks, or one turn of phrase put in another way."""
    changed = text
    for pattern, into in rng.sample(_REWRITTEN, len(_REWRITTEN)):
        if (reworded := re.sub(pattern, into, changed, count=1, flags=re.IGNORECASE)) != changed:
            changed = reworded
            break
    if rng.random() < 0.4:
        changed = rng.choice(_GREETINGS) + changed
    if rng.random() < 0.5:
        changed = changed.rstrip("?!. ") + rng.choice(_FAREWELLS)
    return changed[:1].upper() + changed[1:] if rng.random() < 0.3 else changed


def _misspelt(text: str, rng: random.Random, share: float) -> str:
    """With this chance the text with letters of some of its longer words swapped, dropped or doubled."""
    if rng.random() >= share:
        return text
    return re.sub(r"[A-Za-z]{4,}", lambda word: _slip(word[0], rng) if rng.random() < 0.4 else word[0], text)


def _slip(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
