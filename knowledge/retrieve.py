"""Find the passages that may answer a question.

Enters: the question's text and vector, and who asks. Leaves: the best passages that this person may read. What may not
be read is left out before anything is ranked, so it can neither be shown nor push out what may.

Dense and lexical scores are added with a weight, not fused by rank: measured over three handbooks, reciprocal-rank
fusion with BM25 lost 15 to 30 points of the questions that dense retrieval alone finds. Which of these passages are
read is decided by a look at their pieces (`FirstLook.nearest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from config.settings import Audience, RetrievalSettings
from knowledge.chunk import Chunk
from knowledge.index import Snapshot, Vectors

# A policy past its review date still counts, but its successor comes first where both speak.
_EXPIRED_PENALTY = 0.1
_FEW = 0.1


@dataclass(frozen=True)
class Asker:
    """Who asks, as far as answering needs to know. `country` is an ISO 3166 code; None means not known."""

    audience: Audience = Audience.ALL
    country: str | None = None


@dataclass(frozen=True)
class Passage:
    """A chunk that was retrieved. `score` is the fused score, `similarity` the cosine of its vector and the question's
    (-1 to 1), `lexical` its BM25 score as a share of the best one's (0 to 1). `trust` is how likely it is that HR wrote
    it for this very question (0 for a policy)."""

    chunk: Chunk
    score: float
    similarity: float = 0.0
    lexical: float = 0.0
    is_expired: bool = False
    trust: float = 0.0


def retrieve(
    snapshot: Snapshot, question: str, vector: Vectors, asker: Asker, settings: RetrievalSettings, today: date
) -> list[Passage]:
    """The `settings.pool` best passages, and at least `settings.top_k`, best first; fewer when less may be read.

    `vector` is the question's, shape (dimensions,), of unit length. `today` decides which policies have expired.
    """
    readable = np.flatnonzero(snapshot.readable(asker.audience, asker.country))
    if not len(readable):
        return []
    similarity = _similarity(snapshot.vectors, readable, vector)
    lexical = snapshot.lexical.scores(question)[readable]
    best = float(lexical.max())
    lexical = lexical / best if best > 0 else lexical
    expired = snapshot.review_by[readable] < today.toordinal()
    fused = similarity + settings.lexical_weight * lexical - _EXPIRED_PENALTY * expired
    count = min(max(settings.pool, settings.top_k), len(readable))
    top = np.argpartition(-fused, count - 1)[:count]
    return [
        Passage(
            chunk=snapshot.chunks[readable[i]],
            score=float(fused[i]),
            similarity=float(similarity[i]),
            lexical=float(lexical[i]),
            is_expired=bool(expired[i]),
        )
        for i in top[np.argsort(-fused[top], kind="stable")]
    ]


def _similarity(vectors: Vectors, readable: NDArray[np.intp], vector: Vectors) -> Vectors:
    """Cosines of the readable chunks, shape (len(readable),).

    Copying rows costs ten times as much as multiplying them, so a few are picked out first and many afterwards.
    """
    if len(readable) < _FEW * len(vectors):
        return np.asarray(vectors[readable] @ vector)
    return np.asarray((vectors @ vector)[readable])
