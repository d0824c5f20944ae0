"""Measure how often retrieval finds the passage that answers.

Enters: question rows over folders of policies (`trainer/rows.py`), and an embedder. Leaves: the share of the answerable
questions whose best 1, 5 or 8 chunks hold a gold piece.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from config.settings import RetrievalSettings
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.pieces import pieces
from knowledge.retrieve import Asker, retrieve
from trainer.rows import Row, employer_snapshot, is_gold, policy

_AT = (1, 5, 8)
_DEEPEST = 50


def hits(rows: Sequence[Row], data: Path, embedder: Embedder) -> dict[str, JsonValue]:
    """Hit rates by vectors alone ("hit@1") and as the product retrieves, with shared words ("retrieved@1")."""
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.quotes:
            by_employer[row.employer].append(row)
    ranks: dict[str, list[int]] = {"hit": [], "retrieved": []}
    for employer, asked in sorted(by_employer.items()):
        snapshot = employer_snapshot(policy(data, employer), embedder)
        for weight, found in ((0.0, ranks["hit"]), (RetrievalSettings().lexical_weight, ranks["retrieved"])):
            found += _ranks(asked, snapshot, embedder, RetrievalSettings(top_k=_DEEPEST, lexical_weight=weight))
    return {f"{name}@{k}": _share(found, k) for name, found in ranks.items() for k in _AT}


def _ranks(rows: Sequence[Row], snapshot: Snapshot, embedder: Embedder, settings: RetrievalSettings) -> list[int]:
    """The place, from 0, of the first chunk that answers each row that any chunk answers."""
    cut = {chunk.id: pieces(chunk.text) for chunk in snapshot.chunks}
    vectors = embedder.embed([row.question for row in rows])
    ranks = []
    for row, vector in zip(rows, vectors, strict=True):
        gold = {name for name, parts in cut.items() if any(is_gold(part, row.quotes) for part in parts)}
        if gold:
            passages = retrieve(snapshot, row.question, vector, Asker(), settings, date.min)
            ranks.append(next((n for n, passage in enumerate(passages) if passage.chunk.id in gold), _DEEPEST))
    return ranks


def _share(ranks: Sequence[int], k: int) -> float:
    return round(float(np.mean([rank < k for rank in ranks])), 4)
