"""Choose the evidence: the sentences, list items or table rows that answer.

Enters: a question, its vector and the passages retrieved for it. Leaves: a `Reading`: a few pieces of evidence and
the probability that they answer the question. Declining rests on that probability and on nothing else.

Two looks. The first weighs what is known without reading question and text together (`knowledge/first_look.py`), which
costs next to nothing, and picks the windows of text that are worth more. These are read with the question by the pair
encoder (`knowledge/pair.py`); what it says and the first look, weighed together, choose the pieces, and from their
scores a probability is made. Adapter, head and weights are made by `trainer/reader.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.errors import ModelError
from config.settings import ReadingSettings
from knowledge.embed import Embedder
from knowledge.features import (
    PAIR_FEATURES,
    PIECE_FEATURES,
    QUESTION_FEATURES,
    Candidates,
    pair_features,
    question_features,
)
from knowledge.first_look import FirstLook, PlacedWindow, best_windows
from knowledge.lexical import LexicalIndex
from knowledge.pair import PairEncoder, PieceHead, open_pair_encoder, open_piece_head
from knowledge.pieces import Piece, PieceKind, spoken_row
from knowledge.retrieve import Passage
from knowledge.selection import held_together, introduced, select
from knowledge.window import pair_input

__all__ = ["Evidence", "PieceKind", "Reader", "Reading", "open_reader", "read"]

Matrix = NDArray[np.float32]

# In units of the choice's score: a policy past its review date answers only where its successor has nothing as near.
_EXPIRED_PENALTY = 2.0
# In the same units: what HR wrote for a question like this comes before the policy that it corrects.
_TRUST_BONUS = 2.0
WEIGHTS_FILE = "weights.json"
# Read closer; each costs 20 ms.
WINDOWS = 4


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

    weights: Matrix
    bias: float

    def __call__(self, features: Matrix) -> Matrix:
        """Scores of feature rows (n, k) or of one row (k,)."""
        return np.asarray(features @ self.weights + self.bias, dtype=np.float32)


@dataclass(frozen=True)
class Weights:
    """The linear models of reading: of the first look, of the choice among what was read, of the probability."""

    first_look: Linear
    choice: Linear
    probability: Linear


class Reader:
    """The loaded parts that reading needs. Make it with `open_reader`."""

    def __init__(self, first_look: FirstLook, encoder: PairEncoder, head: PieceHead, weights: Weights) -> None:
        self.first_look = first_look
        self.weights = weights
        self._encoder = encoder
        self._head = head

    def look_closer(
        self,
        question: str,
        seen: Candidates,
        placed: Sequence[PlacedWindow],
        first_look: Matrix,
        standing: Matrix | None = None,
    ) -> Candidates:
        """Read the windows that look best together with the question; their pieces, best window first.

        `first_look` scores all pieces of `seen`, shape (number of pieces,). `standing`, of the same shape, counts for
        what is read, not for what the reading says.
        """
        best = best_windows(placed, first_look if standing is None else first_look + standing)[:WINDOWS]
        means = self._encoder.means([pair_input(question, at.window, self._encoder.tokenizer) for at in best])
        read = np.concatenate([at.pieces for at in best])
        return pair_features(seen, first_look, read, np.concatenate([self._head(mean) for mean in means]))


def open_reader(embedder: Embedder, folder: Path) -> Reader:
    """Load a reader: its adapter, its head and its weights.

    Raises:
        ModelError: A file is missing or damaged, or was fitted for other features. That it was fitted over another
            embedder is not an error: it reads worse then, and `quantahr doctor` says so.
    """
    file = folder / WEIGHTS_FILE
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        weights = Weights(
            _linear(stored["first_look"], PIECE_FEATURES),
            _linear(stored["choice"], PAIR_FEATURES),
            _linear(stored["probability"], QUESTION_FEATURES),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The reader's weights in {file} cannot be used ({error}); reinstall QuantaHR or run "
            "'quantahr train --starter --only reader'."
        ) from error
    encoder = open_pair_encoder(folder)
    return Reader(FirstLook(embedder, encoder.tokenizer), encoder, open_piece_head(folder), weights)


def _linear(stored: Mapping[str, Any], names: Sequence[str]) -> Linear:
    if unknown := set(stored["weights"]) - set(names):
        raise KeyError(f"unknown feature {min(unknown)}")
    return Linear(np.array([stored["weights"][name] for name in names], dtype=np.float32), float(stored["bias"]))


def read(
    question: str,
    vector: Matrix,
    passages: Sequence[Passage],
    lexical: LexicalIndex,
    reader: Reader,
    settings: ReadingSettings,
) -> Reading:
    """Choose the pieces that `select` finds worth their words; no passages give no evidence and probability 0."""
    seen, placed = reader.first_look(question, vector, passages, lexical)
    if not seen.pieces:
        return Reading((), 0.0)
    standing = np.array([_standing(passage) for passage in passages], dtype=np.float32)
    first_look = reader.weights.first_look(seen.features)
    candidates = reader.look_closer(question, seen, placed, first_look, standing[seen.passage_of])
    scores = reader.weights.choice(candidates.features)
    chosen = select(candidates.pieces, scores + standing[candidates.passage_of], settings)
    logit = float(reader.weights.probability(question_features(candidates, scores, chosen)))
    evidence = [evidence_of(passages[candidates.passage_of[i]], candidates.pieces[i], float(scores[i])) for i in chosen]
    return Reading(tuple(_completed(evidence, settings.max_words)), 1 / (1 + float(np.exp(-logit))))


def _completed(evidence: Sequence[Evidence], max_words: int) -> list[Evidence]:
    """The evidence with all items of the lists that hold only together, in at most `max_words` more words.

    So are those of a list of which only the introduction was chosen; it is said as their lead-in then. Lists are
    completed from their passages: the windows that were read may hold a part of them.
    """
    completed: dict[str, Evidence] = {}
    for one in evidence:
        own, text = Piece(one.kind, one.text, one.lead_in, one.head), one.passage.chunk.text
        listed = introduced(own, text)
        for piece in listed or [own, *held_together(own, text)]:
            completed.setdefault(piece.text, evidence_of(one.passage, piece, one.score))
    added = set(completed) - {one.text for one in evidence}
    is_short = sum(len(text.split()) for text in added) <= max_words
    return list(completed.values()) if is_short else list(evidence)


def evidence_of(passage: Passage, piece: Piece, score: float) -> Evidence:
    """A piece of a passage, as evidence."""
    return Evidence(passage, piece.kind, piece.text, piece.lead_in, piece.head, score)


def _standing(passage: Passage) -> float:
    return _TRUST_BONUS * passage.trust - _EXPIRED_PENALTY * passage.is_expired
