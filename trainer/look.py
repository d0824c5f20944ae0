"""Look over what retrieval finds for training questions, as serving does before it reads closer.

Enters: question rows over folders of policies (`trainer/rows.py`), and the embedder. Leaves: for each question its
pieces with the features of the first look, which of them answer, and the windows that could be read closer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from bot.terminal import progress
from config.settings import RetrievalSettings
from knowledge.embed import Embedder, embedded_model
from knowledge.first_look import FirstLook, PlacedWindow
from knowledge.pair import open_tokenizer
from knowledge.retrieve import Asker, retrieve
from trainer.choice import Example
from trainer.rows import Row, employer_snapshot, is_gold, policy


@dataclass(frozen=True)
class Looked:
    """An example after the first look, and its windows."""

    example: Example
    placed: tuple[PlacedWindow, ...]


def look(rows: Sequence[Row], data: Path, embedder: Embedder) -> list[Looked]:
    """Retrieve for every row, employer by employer, and look over what was found."""
    settings = RetrievalSettings()
    first_look = FirstLook(embedder, open_tokenizer(embedded_model()))
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_employer[row.employer].append(row)
    found: list[Looked] = []
    with progress("Looking over policies") as on_step:
        for n, (employer, asked) in enumerate(sorted(by_employer.items()), start=1):
            on_step(employer, n, len(by_employer))
            snapshot = employer_snapshot(policy(data, employer), embedder)
            vectors = embedder.embed([row.question for row in asked])
            for row, vector in zip(asked, vectors, strict=True):
                pool = retrieve(snapshot, row.question, vector, Asker(), settings, date.min)
                passages = first_look.nearest(pool, vector, settings.top_k)
                seen, placed = first_look(row.question, vector, passages, snapshot.lexical)
                gold = np.array([is_gold(piece, row.quotes) for piece in seen.pieces], dtype=np.bool_)
                found.append(Looked(Example(row, seen, gold), tuple(placed)))
    return found
