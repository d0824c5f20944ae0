"""Score chunks by the words they share with a question (BM25).

Enters: the chunks' text, once; then questions. Leaves: one score per chunk. Built on bm25s, with an English stemmer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

_STEMMER = Stemmer.Stemmer("english")
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class LexicalIndex:
    """BM25 over `size` texts. `rarity` weighs each stem by how few texts hold it (inverse document frequency)."""

    model: bm25s.BM25 | None
    size: int
    rarity: Mapping[str, float]

    def scores(self, question: str) -> Scores:
        """BM25 of all texts, shape (size,), 0 and up; zeros if no word of the question occurs anywhere."""
        terms = words(question)
        known = [term for term in terms if self.model is not None and term in self.model.vocab_dict]
        if self.model is None or not known:
            return np.zeros(self.size, dtype=np.float32)
        return np.asarray(self.model.get_scores(known), dtype=np.float32)

    def share(self, shared: AbstractSet[str], asked: AbstractSet[str]) -> float:
        """How much of `asked` is in `shared`, each stem weighted by its rarity: 0 to 1."""
        unknown = math.log1p(2 * self.size)  # a stem that no text holds is as rare as can be
        total = sum(self.rarity.get(stem, unknown) for stem in asked)
        return sum(self.rarity.get(stem, unknown) for stem in shared) / total if total else 0.0


def build_lexical(texts: Sequence[str]) -> LexicalIndex:
    """Index the texts; an empty sequence gives an index that scores nothing."""
    tokenized = [words(text) for text in texts]
    if not any(tokenized):
        return LexicalIndex(None, len(texts), {})
    model = bm25s.BM25()
    model.index(tokenized, show_progress=False)
    holding = Counter(stem for tokens in tokenized for stem in set(tokens))
    rarity = {stem: math.log1p((len(texts) - count + 0.5) / (count + 0.5)) for stem, count in holding.items()}
    return LexicalIndex(model, len(texts), rarity)


def words(text: str) -> list[str]:
    """Stems of the words that carry meaning: "carrying over holidays" gives ["carri", "holiday"]."""
    tokens: list[list[str]] = bm25s.tokenize(
        [text], stopwords="en", stemmer=_STEMMER, return_ids=False, show_progress=False
    )
    return tokens[0]
