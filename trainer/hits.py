"""Measure how often retrieval finds the passage that answers.

Enters: question rows over folders of policies (`trainer/rows.py`), and an embedder. Leaves: the share of the answerable
questions whose best 1, 5 or 8 chunks hold a gold piece.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from datetime import date
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from config.settings import RetrievalSettings
from knowledge.embed import Embedder, embedded_model
from knowledge.first_look import FirstLook
from knowledge.pair import open_tokenizer
from knowledge.pieces import pieces
from knowledge.retrieve import Asker, Passage, retrieve
from trainer.rows import Row, employer_snapshot, is_gold, policy

_AT = (1, 5, 8)
_ALONE = RetrievalSettings(lexical_weight=0.0)


def hits(rows: Sequence[Row], data: Path, embedder: Embedder) -> dict[str, JsonValue]:
    """Hit rates by the chunks' vectors alone ("hit@1"), and as the product retrieves ("retrieved@1")."""
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.quotes:
            by_employer[row.employer].append(row)
    ranks: dict[str, list[int]] = {"hit": [], "retrieved": []}
    first_look = FirstLook(embedder, open_tokenizer(embedded_model()))
    for employer, asked in sorted(by_employer.items()):
        snapshot = employer_snapshot(policy(data, employer), embedder)
        cut = {chunk.id: pieces(chunk.text) for chunk in snapshot.chunks}
        vectors = embedder.embed([row.question for row in asked])
        for row, vector in zip(asked, vectors, strict=True):
            gold = {name for name, parts in cut.items() if any(is_gold(part, row.quotes) for part in parts)}
            if gold:
                alone = retrieve(snapshot, row.question, vector, Asker(), _ALONE, date.min)
                pool = retrieve(snapshot, row.question, vector, Asker(), RetrievalSettings(), date.min)
                ranks["hit"].append(_rank(alone, gold))
                ranks["retrieved"].append(_rank(first_look.nearest(pool, vector, len(pool)), gold))
    return {f"{name}@{k}": _share(found, k) for name, found in ranks.items() for k in _AT}


def _rank(passages: Sequence[Passage], gold: Set[str]) -> int:
    """The place, from 0, of the first passage that answers; behind all when none does."""
    return next((n for n, passage in enumerate(passages) if passage.chunk.id in gold), len(passages))


def _share(ranks: Sequence[int], k: int) -> float:
    return round(float(np.mean([rank < k for rank in ranks])), 4)
