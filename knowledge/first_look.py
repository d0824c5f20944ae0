"""Look over all that was retrieved, without reading it together with the question.

Enters: a question, its vector, and passages. Leaves: the passages that lie nearest, every piece of them with its
features, and the windows to read closer.
Vectors of pieces are kept, so a look costs about a millisecond once a passage has been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from knowledge.embed import Embedder
from knowledge.features import Candidates, piece_features
from knowledge.lexical import LexicalIndex
from knowledge.pieces import Piece, pieces
from knowledge.retrieve import Passage
from knowledge.window import Window, windows

Matrix = NDArray[np.float32]

# Passages whose pieces stay embedded: the same policies are asked about again and again (about 10 KB each).
REMEMBERED_PASSAGES = 4_096


@dataclass(frozen=True)
class PlacedWindow:
    """A window, and where its pieces are among a question's candidates."""

    window: Window
    pieces: NDArray[np.intp]


@dataclass(frozen=True)
class _Cut:
    """A passage's pieces with their vectors (number of pieces, dimensions), and its windows."""

    pieces: tuple[Piece, ...]
    vectors: Matrix
    windows: tuple[Window, ...]


class FirstLook:
    """Looks passages over, and remembers how they are cut."""

    def __init__(self, embedder: Embedder, tokenizer: Tokenizer) -> None:
        self._embedder = embedder
        self._tokenizer = tokenizer
        self._cut = lru_cache(REMEMBERED_PASSAGES)(self._cut_and_embed)

    def __call__(
        self, question: str, vector: Matrix, passages: Sequence[Passage], lexical: LexicalIndex
    ) -> tuple[Candidates, list[PlacedWindow]]:
        """Every piece of the passages with its features, and their windows; `vector` has shape (dimensions,)."""
        cut = [self._cut(passage.chunk.heading, passage.chunk.text) for passage in passages]
        seen = piece_features(question, vector, passages, [c.pieces for c in cut], [c.vectors for c in cut], lexical)
        starts = np.cumsum([0, *(len(c.pieces) for c in cut)])
        placed = [
            PlacedWindow(window, np.arange(len(window.pieces)) + start + window.first)
            for c, start in zip(cut, starts, strict=False)
            for window in c.windows
        ]
        return seen, placed

    def nearest(self, passages: Sequence[Passage], vector: Matrix, count: int) -> list[Passage]:
        """The `count` passages that lie nearest, best first, where the best piece counts as much as the whole.

        One vector for a whole passage hardly shows the one sentence in it that answers. `vector` is the question's,
        shape (dimensions,).
        """
        scored = [
            replace(passage, score=passage.score + float((self._vectors(passage) @ vector).max(initial=0.0)))
            for passage in passages
        ]
        return sorted(scored, key=lambda passage: -passage.score)[:count]

    def _vectors(self, passage: Passage) -> Matrix:
        return self._cut(passage.chunk.heading, passage.chunk.text).vectors

    def remember(self, heading: str, text: str) -> None:
        """Cut and embed a passage before it is asked for: the first question about it would wait 0.1 s for that."""
        self._cut(heading, text)

    def _cut_and_embed(self, heading: str, text: str) -> _Cut:
        cut = tuple(pieces(text))
        vectors = self._embedder.embed([f"{heading}: {piece.in_context}" for piece in cut])
        return _Cut(cut, vectors, tuple(windows(heading, cut, self._tokenizer)))


def best_windows(placed: Sequence[PlacedWindow], scores: Matrix) -> list[PlacedWindow]:
    """The windows in the order of their best piece's score; `scores` has shape (number of pieces,)."""
    return sorted(placed, key=lambda at: -float(scores[at.pieces].max()))
