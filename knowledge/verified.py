"""Give again what HR has already answered.

Enters: a question with its vector, and the answers that HR wrote or approved. Leaves: the one that answers the same
question, if any; and those that may, as passages to read beside the policies, since an answer of HR's is evidence too.

The same words (apart from case, punctuation and spacing) are the same question. Of other wordings the trained matcher
judges: the nearest few are read together with the question (`knowledge/matcher.py`). Whom an answer is not for, it is
hidden from before anything is compared, so it can neither be given nor keep another from being found.

Not guaranteed: that every rewording is recognised. The matcher is set so that of a hundred questions that only sound
alike it takes two for the same, and gives two of a hundred rewordings another question's answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from config.settings import Audience
from knowledge.chunk import Chunk
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.lexical import LexicalIndex, words
from knowledge.matcher import Matcher, StoredPair
from knowledge.metadata import PolicyMetadata
from knowledge.pieces import pieces
from knowledge.retrieve import Asker, Passage

Vectors = NDArray[np.float32]

TITLE = "Verified by HR"
FOLDER = "verified answers"
# How near a stored pair lies: the question's words count more than the answer's (measured on rewordings held out).
QUESTION_SHARE = np.float32(0.6)
# The pairs that are read, 18 ms each: six find nothing more on eval/corrections.jsonl and mistake more. One that is
# further away than the floor is about something else.
_CANDIDATES = 2
_FLOOR = 0.25
# What HR wrote comes before the policy that it corrects where both speak. In units of the fused score.
_BONUS = 0.1
# Of a question that HR unlinked, another wording as near as this is the same one.
_SAME_REFUSED = 0.95
_AUDIENCES = list(Audience)


class Doubt(StrEnum):
    """Why HR should look at a verified answer again."""

    CHANGED = "changed"
    EXPIRED = "expired"
    DUE = "due"


@dataclass(frozen=True)
class Source:
    """A section that an answer rests on. `digest` names what it said then, however it was cut into chunks."""

    file: str
    heading: str
    digest: str


@dataclass(frozen=True)
class VerifiedAnswer:
    """An answer that HR stands behind, and for whom it is. Empty `countries` means every country.

    `correction_id` and `owner` name the ledger's correction and its author, both empty where it is in none. HR looks at
    it again from `review_on` on, or when one of `sources` changes. `not_for` are questions that HR said it does not
    answer.
    """

    question: str
    text: str
    verified_on: date
    audience: Audience = Audience.ALL
    countries: tuple[str, ...] = ()
    correction_id: str = ""
    owner: str = ""
    sources: tuple[Source, ...] = ()
    review_on: date | None = None
    not_for: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """Names question and text: the same wherever and whenever they are stored."""
        return hashlib.sha256(f"{self.question}\0{self.text}".encode()).hexdigest()[:16]

    def is_for(self, asker: Asker) -> bool:
        """Whether this person may be given it; one whose country is not known only gets what holds everywhere."""
        return _AUDIENCES.index(self.audience) <= _AUDIENCES.index(asker.audience) and (
            not self.countries or asker.country in self.countries
        )

    @cached_property
    def chunk(self) -> Chunk:
        """The answer as a stored chunk: its question is the heading, and it says that HR stands behind it."""
        metadata = PolicyMetadata(TITLE, audience=self.audience, countries=self.countries, effective=self.verified_on)
        return Chunk(self.id, f"{FOLDER}/{self.id}", 0, (self.question,), self.text, None, metadata)


@dataclass(frozen=True)
class VerifiedMatch:
    """A stored answer, and the probability (0 to 1) that it answers the question.

    `similarity` is the cosine of the question's vector and the stored question's or answer's, whichever is nearer.
    `is_certain` says that the answer may be given as it is; otherwise it may be read beside the policies.
    """

    answer: VerifiedAnswer
    probability: float
    similarity: float
    is_certain: bool


@dataclass(frozen=True)
class VerifiedIndex:
    """All verified answers at one moment; never changed. Make it with `make_verified_index`.

    `questions` and `texts`, both (n, dimensions) with unit rows, are the vectors of the stored questions and answers;
    `refused` has for each answer those of its `not_for`.
    """

    answers: tuple[VerifiedAnswer, ...]
    questions: Vectors
    texts: Vectors
    refused: tuple[Vectors, ...] = ()

    def is_refused(self, row: int, question: str, vector: Vectors) -> bool:
        """Whether HR said of this question, or of nearly these words, that the answer in `row` does not answer it."""
        said = self.answers[row].not_for
        return bool(said) and (
            _normal(question) in map(_normal, said) or bool((self.refused[row] @ vector).max() >= _SAME_REFUSED)
        )

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of each stored question."""
        return tuple(_normal(answer.question) for answer in self.answers)

    def readable(self, asker: Asker) -> NDArray[np.bool_]:
        """Which answers this person may be given, shape (n,): of those to the same words only one.

        That is one for the asker's country before one for every country, and then the latest.
        """
        if asker not in self._readable:
            chosen: dict[str, int] = {}
            for row, answer in enumerate(self.answers):
                other = chosen.get(self.words[row])
                if answer.is_for(asker) and (other is None or _rank(answer) >= _rank(self.answers[other])):
                    chosen[self.words[row]] = row
            self._readable[asker] = np.isin(np.arange(len(self.answers)), list(chosen.values()))
        return self._readable[asker]

    @cached_property
    def _readable(self) -> dict[Asker, NDArray[np.bool_]]:
        return {}


def _rank(answer: VerifiedAnswer) -> tuple[bool, date]:
    """Of two answers to the same words that a person may be given, the one that ranks higher is given."""
    return bool(answer.countries), answer.verified_on


_NOTHING = np.zeros((0, 0), dtype=np.float32)
NONE_VERIFIED = VerifiedIndex((), np.zeros((0, 0), dtype=np.float32), np.zeros((0, 0), dtype=np.float32))


def make_verified_index(
    answers: Sequence[VerifiedAnswer], embedder: Embedder, before: VerifiedIndex = NONE_VERIFIED
) -> VerifiedIndex:
    """Embed stored answers; what the index `before`, of the same embedder, holds already is not embedded again."""
    if not answers:
        return NONE_VERIFIED
    known = {answer.id for answer in before.answers}
    new = [answer for answer in answers if answer.id not in known]
    questions, texts = (embedder.embed(part) for part in ([a.question for a in new], [a.text for a in new]))
    if known:
        questions, texts = np.concatenate([before.questions, questions]), np.concatenate([before.texts, texts])
    row_of = {answer.id: row for row, answer in enumerate((*before.answers, *new))}
    rows = [row_of[answer.id] for answer in answers]
    refused = tuple(embedder.embed(answer.not_for) if answer.not_for else _NOTHING for answer in answers)
    return VerifiedIndex(tuple(answers), questions[rows], texts[rows], refused)


def source_of(snapshot: Snapshot, file: str, heading: str) -> Source | None:
    """A section as it reads now; None where the index holds no such section."""
    said = {
        piece.text
        for chunk in snapshot.chunks
        if chunk.file == file and chunk.heading == heading
        for piece in pieces(chunk.text)
    }
    return Source(file, heading, hashlib.sha256("\n".join(sorted(said)).encode()).hexdigest()) if said else None


def doubt(answer: VerifiedAnswer, snapshot: Snapshot, today: date) -> Doubt | None:
    """Why the answer should be looked at again; None where it stands."""
    if any(source_of(snapshot, source.file, source.heading) != source for source in answer.sources):
        return Doubt.CHANGED
    files = {source.file for source in answer.sources}
    ends = [chunk.metadata.review_by for chunk in snapshot.chunks if chunk.file in files and chunk.metadata.review_by]
    if any(answer.verified_on <= end < today for end in ends):  # not what HR confirmed after that day
        return Doubt.EXPIRED
    return Doubt.DUE if answer.review_on and answer.review_on <= today else None


def find_verified(
    question: str, vector: Vectors, stored: VerifiedIndex, asker: Asker, matcher: Matcher | None
) -> VerifiedMatch | None:
    """The verified answer to this question that the asker may have; None when there is none.

    `vector` is the question's, shape (dimensions,), of unit length. Without a matcher only the same words match.
    """
    return next((match for match in compare(question, vector, stored, asker, matcher) if match.is_certain), None)


def compare(
    question: str, vector: Vectors, stored: VerifiedIndex, asker: Asker, matcher: Matcher | None
) -> list[VerifiedMatch]:
    """The stored answers that may answer the question, likeliest first; arguments as for `find_verified`.

    One to the same words is the only one, and nothing is read; else there are those likely enough to be evidence.
    """
    readable = stored.readable(asker)
    asked = _normal(question)
    refused = [row for row, answer in enumerate(stored.answers) if answer.not_for]
    readable = readable.copy()
    readable[[row for row in refused if stored.is_refused(row, question, vector)]] = False
    same = next((row for row in np.flatnonzero(readable) if stored.words[row] == asked), None)
    if same is not None:
        return [VerifiedMatch(stored.answers[same], 1.0, 1.0, is_certain=True)]
    if matcher is None:
        return []
    near = nearest(vector, stored, readable)
    pairs = [stored_pair(vector, stored, row) for row in near]
    found = [
        VerifiedMatch(
            stored.answers[row],
            float(chance),
            max(pair.question_similarity, pair.answer_similarity),
            is_certain=bool(chance >= matcher.thresholds.match),
        )
        for row, pair, chance in zip(near, pairs, matcher.probabilities(question, pairs), strict=True)
        if chance >= matcher.thresholds.evidence
    ]
    return sorted(found, key=lambda match: -match.probability)


def nearest(vector: Vectors, stored: VerifiedIndex, readable: NDArray[np.bool_]) -> list[int]:
    """The rows of the few readable pairs that lie nearest to the question's vector, nearest first."""
    if not readable.any():
        return []
    near = QUESTION_SHARE * (stored.questions @ vector) + (1 - QUESTION_SHARE) * (stored.texts @ vector)
    near[~readable] = -np.inf
    count = min(_CANDIDATES, len(near))
    top = np.argpartition(-near, count - 1)[:count]
    return [int(row) for row in top[np.argsort(-near[top], kind="stable")] if near[row] >= _FLOOR]


def stored_pair(vector: Vectors, stored: VerifiedIndex, row: int) -> StoredPair:
    """One stored pair as the matcher reads it."""
    answer = stored.answers[row]
    return StoredPair(
        answer.question, answer.text, float(stored.questions[row] @ vector), float(stored.texts[row] @ vector)
    )


def with_verified(
    passages: Sequence[Passage], matches: Sequence[VerifiedMatch], question: str, lexical: LexicalIndex
) -> list[Passage]:
    """The retrieved passages with the matched answers among them, best first, and no more of them than before.

    An answer is scored as a chunk is, plus a bonus, so that of two that say different things HR's is read first.
    """
    asked = frozenset(words(question))
    added = [_passage(match, asked, lexical) for match in matches]
    merged = sorted([*added, *passages], key=lambda passage: -passage.score)
    return merged[: max(len(passages), len(added))]


def _passage(match: VerifiedMatch, asked: frozenset[str], lexical: LexicalIndex) -> Passage:
    chunk = match.answer.chunk
    shared = lexical.share(asked & frozenset(words(chunk.embedded_text)), asked)
    return Passage(chunk, match.similarity + _BONUS, match.similarity, shared, trust=match.probability)


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
