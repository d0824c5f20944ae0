"""Teach the reader which passages answered the company's own questions, and which only looked as if.

Enters: a run's folder with reading rows (`question`, `answerable`, `positives` and `negatives`: passages, the positive
ones with the quote that answers). Leaves: `<run>/reader`.
Run: `python -m trainer.adapt_reader --run var/runs/ID`, which `quantahr train --kind reader` does.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.manifest import retriever_beside
from knowledge.embed import embedded_model, open_embedder
from knowledge.pair import HEAD_FILE, open_pair_encoder, open_piece_head, open_tokenizer
from knowledge.pieces import pieces
from knowledge.read import open_reader
from knowledge.window import pair_input, windows
from trainer.adapt import REPLAY, adapt, load_head, parent_of, replay_data, steps_of
from trainer.look import look
from trainer.pair_training import DIMENSIONS, Trained
from trainer.reader import Head, all_rows, divide, loss, save_head
from trainer.records import run as run_main
from trainer.rows import is_gold
from trainer.runs import Run
from trainer.sft import main_of
from trainer.shown import Near, ShownDraws, near_of

_BATCH = 8
_NEAREST_SHARE = 0.7


def train(run: Run) -> None:
    """Train a run to its end, from its last checkpoint if there is one.

    Raises:
        ConfigError: No row shows anything, or no part to begin with is named.
    """
    parent, seed = parent_of(run), run.plan.spec.training.seed
    torch.manual_seed(seed)
    own, held = (_shown(run.rows(part)) for part in ("train", "validation"))
    run.require_rows(len(own), 0)
    replay = _replay(parent, REPLAY * len(own), seed)
    run.journal.add("rows", kept=len(own), replay=len(replay), validation=len(held))
    tokenizer = open_tokenizer(embedded_model())
    draws = ShownDraws([*own, *replay], [], tokenizer, _NEAREST_SHARE, random.Random(seed))

    def loss_of(trained: Trained) -> torch.Tensor:
        return loss(trained, draws.batch(_BATCH), tokenizer)

    head = load_head(Head(DIMENSIONS), parent / HEAD_FILE)
    adapt(
        run,
        part="reader",
        head=head,
        draws=draws,
        loss_of=loss_of,
        steps=steps_of(len(own), _BATCH),
        save_head=save_head,
        judged=lambda folder: _judged(held, folder),
        rows=len(own),
    )


def _shown(rows: Sequence[Mapping[str, Any]]) -> list[Near]:
    """Rows as the reader is shown them; those without any window, or whose quote is in none, are left out."""
    tokenizer = open_tokenizer(embedded_model())
    found = []
    for row in rows:
        right, wrong = [], []
        for passage in (*row["positives"], *row["negatives"]):
            is_positive = any(passage is one for one in row["positives"])
            quotes = tuple(passage["quote"].split("\n")) if is_positive and passage["quote"] else ()
            cut = pieces(passage["text"])
            for window in windows(passage["heading"], cut, tokenizer):
                own = cut[window.first : window.first + len(window.pieces)]
                gold = tuple(bool(quotes) and is_gold(piece, quotes) for piece in own)
                if any(gold):
                    right.append((window, gold))
                elif not is_positive:  # beside its quote a passage that answers may answer once more
                    wrong.append((window, gold))
        if right or (wrong and not row["answerable"]):
            found.append(Near(row["question"], tuple(right), tuple(wrong)))
    return found


def _replay(parent: Path, count: int, seed: int) -> list[Near]:
    """So many of the questions that ship, of as few employers as have them: each costs embedding its policies."""
    data = replay_data()
    seen, _ = divide(all_rows(data, parent.parent))
    employers = sorted({row.employer for row in seen})
    random.Random(seed).shuffle(employers)
    chosen: list[Any] = []
    for employer in employers:
        if len(chosen) >= count:
            break
        chosen += [row for row in seen if row.employer == employer]
    embedder = open_embedder(adapter=retriever_beside(parent))
    first_look = open_reader(embedder, parent).weights.first_look
    return near_of(look(chosen, data, embedder), first_look)[:count]


def _judged(held: Sequence[Near], folder: Path) -> dict[str, float]:
    """Of the rows held out the share whose highest piece answers and scores above "nothing answers", and of those that
    nothing answers the share whose pieces all score below it."""
    if not held:
        return {}
    encoder, head = open_pair_encoder(folder), open_piece_head(folder)
    found, missed = list[bool](), list[bool]()
    for one in held:
        marked = [*one.right, *one.wrong]
        inputs = [pair_input(one.question, window, encoder.tokenizer) for window, _ in marked]
        scores = np.concatenate([head(means) for means in encoder.means(inputs)])
        best = int(scores.argmax())
        gold = [is_right for _, window_gold in marked for is_right in window_gold]
        if one.right and all(gold):
            continue  # nothing to choose from
        is_right = bool(gold[best] and scores[best] > 0) if one.right else bool(scores[best] < 0)
        (found if one.right else missed).append(is_right)
    shares = {"answering": found, "unanswerable": missed}
    return {f"{name}_{what}": value for name, own in shares.items() if own for what, value in _counted(own).items()}


def _counted(right: Sequence[bool]) -> dict[str, float]:
    return {"right": float(np.mean(right)), "rows": float(len(right))}


if __name__ == "__main__":
    run_main(lambda: main_of(train, __doc__ or ""))
