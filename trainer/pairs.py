"""Pair questions with the texts that answer them, and with the nearest texts that do not.

Enters: question rows over folders of policies (`trainer/rows.py`), and an embedder to mine with. Leaves: `Pairs`, which
can be saved and read again, and from them the datasets of one pass of training.

Every question has two views: the pieces that reading chooses among (under their heading), and the chunks that retrieval
ranks. Negatives are mined among the same employer's texts, as nobody is ever asked to tell employers apart. For a
rewording from a matching set the two views are the stored question and the stored answer.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.pieces import pieces
from trainer.matching import MatchingSet
from trainer.rows import Row, employer_snapshot, is_gold, policy

Vectors = NDArray[np.float32]
# The nearest wrong texts from which each pass draws; the first alone are too often unmarked answers.
_HARDEST = 8


@dataclass(frozen=True)
class View:
    """One kind of text for a question: `right` are all texts that answer it, `hard` the nearest that do not."""

    right: tuple[str, ...]
    hard: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A question of one employer, with its pieces and its chunks."""

    question: str
    employer: str
    pieces: View
    chunks: View


@dataclass(frozen=True)
class Sampling:
    """How one pass draws from the pairs: hard negatives for each question, and the share that is seen with chunks."""

    piece_negatives: int
    chunk_negatives: int
    chunk_share: float


def make_pairs(rows: Sequence[Row], data: Path, embedder: Embedder) -> list[Pair]:
    """Pairs for every answerable row, with negatives that `embedder` puts nearest."""
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.quotes:
            by_employer[row.employer].append(row)
    found: list[Pair] = []
    for employer, asked in sorted(by_employer.items()):
        found += pair_up(asked, employer_snapshot(policy(data, employer), embedder), embedder)
    return found


def pair_up(rows: Sequence[Row], snapshot: Snapshot, embedder: Embedder) -> list[Pair]:
    """The pairs of one employer; a row whose quotes are in no chunk has none."""
    cut = [(n, chunk.heading, piece) for n, chunk in enumerate(snapshot.chunks) for piece in pieces(chunk.text)]
    texts = [f"{heading}: {piece.in_context}" for _, heading, piece in cut]
    chunks = [chunk.embedded_text for chunk in snapshot.chunks]
    asked = embedder.embed([row.question for row in rows])
    near_pieces, near_chunks = asked @ embedder.embed(texts).T, asked @ snapshot.vectors.T
    found = []
    for row, to_pieces, to_chunks in zip(rows, near_pieces, near_chunks, strict=True):
        gold = [i for i, (_, _, piece) in enumerate(cut) if is_gold(piece, row.quotes)]
        if gold:
            piece_view = _view(texts, gold, to_pieces)
            chunk_view = _view(chunks, sorted({cut[i][0] for i in gold}), to_chunks)
            found.append(Pair(row.question, row.employer, piece_view, chunk_view))
    return found


def pair_up_sets(sets: Sequence[MatchingSet], n: int, embedder: Embedder) -> list[Pair]:
    """A pair for the n-th wording of every set; whatever file a set is from stands for its employer."""
    found = []
    for source in sorted({item.source for item in sets}):
        own = [item for item in sets if item.source == source]
        questions, answers = [item.question for item in own], [item.answer for item in own]
        wordings = [item.same[n % len(item.same)] for item in own]
        asked = embedder.embed(wordings)
        near_questions, near_answers = asked @ embedder.embed(questions).T, asked @ embedder.embed(answers).T
        found += [
            Pair(wording, source, _view(questions, [i], near_questions[i]), _view(answers, [i], near_answers[i]))
            for i, wording in enumerate(wordings)
        ]
    return found


def _view(texts: Sequence[str], gold: Sequence[int], similar: Vectors) -> View:
    right = tuple(dict.fromkeys(texts[i] for i in gold))
    nearest = dict.fromkeys(texts[i] for i in np.argsort(-similar) if texts[i] not in right)
    return View(right, tuple(nearest)[:_HARDEST])


def save_pairs(pairs: Sequence[Pair], file: Path) -> None:
    """Write pairs so that a run that was killed goes on with the same ones."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps([asdict(pair) for pair in pairs]), encoding="utf-8")
    part.replace(file)


def read_pairs(file: Path) -> list[Pair]:
    """Pairs as `save_pairs` wrote them."""
    return [
        Pair(record["question"], record["employer"], *(_read_view(record[name]) for name in ("pieces", "chunks")))
        for record in json.loads(file.read_text(encoding="utf-8"))
    ]


def _read_view(record: dict[str, list[str]]) -> View:
    return View(tuple(record["right"]), tuple(record["hard"]))


def make_datasets(pairs: Sequence[Pair], sampling: Sampling, seed: int) -> DatasetDict:
    """What one pass sees: every question with a piece that answers it, and a share of them with a chunk.

    Columns: `question`, `right`, `hard_1`…, and `label`: the numbers of employer and pair, and of the texts in order.
    A question with fewer hard texts than asked for has one twice; one without any is left out.
    """
    rng = random.Random(seed)
    with_chunk = rng.sample(range(len(pairs)), round(sampling.chunk_share * len(pairs)))
    pieces_, chunks = [pair.pieces for pair in pairs], [pair.chunks for pair in pairs]
    return DatasetDict(
        {
            "pieces": _dataset(pairs, pieces_, range(len(pairs)), sampling.piece_negatives, rng),
            "chunks": _dataset(pairs, chunks, with_chunk, sampling.chunk_negatives, rng),
        }
    )


def right_texts(pairs: Sequence[Pair]) -> list[frozenset[int]]:
    """For each pair the numbers, as in `label`, of all texts that answer its question."""
    numbers = _numbers(pairs)
    return [frozenset(numbers[text] for text in (*pair.pieces.right, *pair.chunks.right)) for pair in pairs]


def _dataset(
    pairs: Sequence[Pair], views: Sequence[View], chosen: Sequence[int], negatives: int, rng: random.Random
) -> Dataset:
    employers = {name: number for number, name in enumerate(sorted({pair.employer for pair in pairs}))}
    numbers = _numbers(pairs)
    kept = [n for n in chosen if views[n].hard]
    drawn = [(rng.choice(views[n].right), *_drawn(views[n].hard, negatives, rng)) for n in kept]
    columns: dict[str, list[str] | list[list[int]]] = {
        "question": [pairs[n].question for n in kept],
        "right": [texts[0] for texts in drawn],
        **{f"hard_{k}": [texts[k] for texts in drawn] for k in range(1, negatives + 1)},
        "label": [
            [employers[pairs[n].employer], n, *(numbers[text] for text in texts)]
            for n, texts in zip(kept, drawn, strict=True)
        ],
    }
    return Dataset.from_dict(columns)


def _numbers(pairs: Sequence[Pair]) -> dict[str, int]:
    views = [view for pair in pairs for view in (pair.pieces, pair.chunks)]
    return {text: n for n, text in enumerate(dict.fromkeys(text for v in views for text in (*v.right, *v.hard)))}


def _drawn(texts: Sequence[str], count: int, rng: random.Random) -> list[str]:
    return rng.sample(texts, count) if len(texts) >= count else rng.choices(texts, k=count)
