"""Choose the evidence: the sentences, list items or table rows that answer.

Enters: a question, its vector and the passages retrieved for it. Leaves: a `Reading`: one to three pieces of evidence
and the probability that they answer the question. Declining rests on that probability and on nothing else.

Two linear models over `knowledge/features.py` decide: one scores pieces, one turns the scores of a question into a
probability. Their weights are in `reader.json`, fitted by `python -m trainer.reader`, which also prints how well the
probability is calibrated on employers that it has not seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config.errors import ModelError
from config.settings import ReadingSettings
from knowledge.embed import Embedder
from knowledge.features import PIECE_FEATURES, QUESTION_FEATURES, Candidates, piece_features, question_features
from knowledge.lexical import LexicalIndex
from knowledge.pieces import Piece, PieceKind, pieces, spoken_row
from knowledge.retrieve import Passage

__all__ = ["Evidence", "PieceKind", "Reader", "Reading", "open_reader", "read"]

_WEIGHTS = Path(__file__).with_name("reader.json")
# In units of the choice's score: a policy past its review date answers only where its successor has nothing as near.
_EXPIRED_PENALTY = np.float32(2.0)
# Passages whose pieces stay embedded: the same policies are asked about again and again (about 10 KB each).
_REMEMBERED_PASSAGES = 4_096


@dataclass(frozen=True)
class Evidence:
    """The piece of a passage that answers.

    `text` is the piece, verbatim: a sentence, a list item, or a table row as "cell | cell". `lead_in` is what
    introduces a list item ("You can claim for:"), empty otherwise. `head` holds a table row's column heads, in the
    order of its cells. `score` is comparable only within one question.
    """

    passage: Passage
    kind: PieceKind
    text: str
    lead_in: str = ""
    head: tuple[str, ...] = ()
    score: float = 0.0

    @property
    def in_context(self) -> str:
        """The piece with what it needs to be understood: lead-in and item, or each cell after its column head."""
        if self.kind is PieceKind.TABLE_ROW:
            return spoken_row(self.text.split(" | "), self.head)
        return f"{self.lead_in} {self.text}".strip()


@dataclass(frozen=True)
class Reading:
    """What was read: the evidence, best first, and the probability (0 to 1) that it answers."""

    evidence: tuple[Evidence, ...]
    probability: float


@dataclass(frozen=True)
class Linear:
    """A linear model over named features: score = weights · features + bias."""

    weights: NDArray[np.float32]
    bias: float

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of feature rows (n, k) or of one row (k,)."""
        return np.asarray(features @ self.weights + self.bias, dtype=np.float32)


class Reader:
    """The loaded parts that reading needs: the encoder and the weights. Make it with `open_reader`."""

    def __init__(self, embedder: Embedder, choice: Linear, probability: Linear) -> None:
        self._embedder = embedder
        self.choice = choice
        self.probability = probability
        self._cut = lru_cache(_REMEMBERED_PASSAGES)(self._cut_and_embed)

    def candidates(
        self, question: str, vector: NDArray[np.float32], passages: Sequence[Passage], lexical: LexicalIndex
    ) -> Candidates:
        """Every piece of the passages with its features; `vector` is the question's, shape (dimensions,)."""
        cut = [self._cut(passage.chunk.heading, passage.chunk.text) for passage in passages]
        return piece_features(question, vector, passages, [c[0] for c in cut], [c[1] for c in cut], lexical)

    def _cut_and_embed(self, heading: str, text: str) -> tuple[tuple[Piece, ...], NDArray[np.float32]]:
        cut = tuple(pieces(text))
        return cut, self._embedder.embed([f"{heading}: {piece.in_context}" for piece in cut])


def open_reader(embedder: Embedder, weights: Path = _WEIGHTS) -> Reader:
    """Load the weights.

    Raises:
        ModelError: The file is missing, damaged, or was fitted for other features.
    """
    try:
        stored = json.loads(weights.read_text(encoding="utf-8"))
        choice, probability = (
            Linear(np.array([part["weights"][name] for name in names], dtype=np.float32), float(part["bias"]))
            for part, names in ((stored["choice"], PIECE_FEATURES), (stored["probability"], QUESTION_FEATURES))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The reader's weights in {weights} cannot be used ({error}); reinstall QuantaHR or run "
            "'python -m trainer.reader'."
        ) from error
    return Reader(embedder, choice, probability)


def read(
    question: str,
    vector: NDArray[np.float32],
    passages: Sequence[Passage],
    lexical: LexicalIndex,
    reader: Reader,
    settings: ReadingSettings,
) -> Reading:
    """Choose at most `settings.max_evidence` pieces; no passages give no evidence and probability 0.

    The best piece is always taken; a further one only while all together have at most `settings.max_words` words.
    """
    candidates = reader.candidates(question, vector, passages, lexical)
    if not candidates.pieces:
        return Reading((), 0.0)
    is_expired = np.array([passage.is_expired for passage in passages])[candidates.passage_of]
    scores = reader.choice(candidates.features) - _EXPIRED_PENALTY * is_expired.astype(np.float32)
    chosen: list[Evidence] = []
    for i in np.argsort(-scores, kind="stable"):
        piece = candidates.pieces[i]
        evidence = Evidence(
            passages[candidates.passage_of[i]], piece.kind, piece.text, piece.lead_in, piece.head, float(scores[i])
        )
        if any(evidence.in_context == other.in_context for other in chosen):
            continue  # neighbouring chunks overlap
        length = sum(len(part.in_context.split()) for part in (*chosen, evidence))
        if chosen and (len(chosen) == settings.max_evidence or length > settings.max_words):
            break
        chosen.append(evidence)
    logit = float(reader.probability(question_features(candidates, scores)))
    return Reading(tuple(chosen), 1 / (1 + float(np.exp(-logit))))
