"""Prove that a GGUF says what the merged model says, before it may answer anybody.

Enters: a merged model's folder with its reference (`exporter/reference.py`), and GGUF files made from it. Leaves: a
`Verification` of each: what was compared, and in one sentence each what is wrong; and a plot.

Compared are: the token ids of texts that tokenizers differ over; the chat template's every byte; the log-probabilities
of what comes next in a few conversations; and whether greedy answers end with a token that ends a turn. What differs
between training and serving here makes answers worse without an error anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import llama_cpp
import numpy as np

from config.errors import EngineError, ModelError
from config.machine import usable_cores
from exporter.gguf import Gguf, open_gguf
from exporter.reference import CONVERSATIONS, TEXTS, LogProbabilities, Reference, read_reference

PLOT = "verify.png"
# KL per token against the merged model that is let through. 16 bits must say the same; of 8 and fewer this is several
# times what was measured on the embedded base and on published models, and far below what a damaged file shows.
_F16_BUDGET = 1e-4
# A reference that is itself rounded to 8 bits of mantissa differs from the same weights in 11 by this much.
_16_BIT_REFERENCE_BUDGET = 2e-3
_BUDGETS: Mapping[str, float] = {"Q8_0": 0.01, "Q6_K": 0.02, "Q5_K_M": 0.04, "Q5_K_S": 0.04, "Q5_1": 0.04, "Q5_0": 0.05}
_OTHER_BUDGET = 0.12
_FEWEST_AGREEING = {"F16": 0.98, "F32": 0.98, "BF16": 0.95, "Q8_0": 0.93}
_OTHER_AGREEING = 0.80
_LONGEST_ANSWER = 200
_CONTEXT = 1024


@dataclass(frozen=True)
class Verification:
    """`kl` and `agreement` are means over tokens: the divergence from the merged model, and how often the likeliest
    token is the same; `ending` is the share of greedy answers that end by themselves. `problems` are sentences."""

    file: str
    type: str
    kl: float
    kl_worst: float
    agreement: float
    ending: float
    problems: tuple[str, ...] = ()
    by_token: tuple[float, ...] = field(default=(), repr=False)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def budget(kind: str, reference: str = "float32") -> float:
    """The highest mean KL per token that a type may show, against a merged model that was held in `reference`."""
    if kind in ("F16", "F32"):
        return _F16_BUDGET if reference == "float32" else _16_BIT_REFERENCE_BUDGET
    return _BUDGETS.get(kind, _OTHER_BUDGET)


def verify(merged: Path, gguf: Path, kind: str) -> Verification:
    """Compare a file of type `kind` with the merged model it was made from.

    Raises:
        ModelError: It cannot be loaded at all, or there is no reference.
    """
    reference, wanted = read_reference(merged)
    model = open_gguf(gguf)
    try:
        problems = [*_parity(model, reference)]
        context = model.open_context(_CONTEXT, _CONTEXT, 256, usable_cores())
        try:
            return _compare(model, context, reference, wanted, kind, problems)
        finally:
            llama_cpp.llama_free(context)
    finally:
        model.close()


def _parity(model: Gguf, reference: Reference) -> list[str]:
    found = []
    for text, ids in zip(TEXTS, reference.texts, strict=True):
        if model.tokenize(text, with_control=True) != ids:
            found.append(f"it cuts {text!r} into other tokens than the model was trained with")
            break
    for messages, rendered, ids in zip(CONVERSATIONS, reference.rendered, reference.conversations, strict=True):
        try:
            own = model.rendered(messages)
        except EngineError as error:
            return [*found, f"its chat template fails: {error}"]
        if own != rendered:
            found.append(f"its chat template writes {own[-40:]!r} where training wrote {rendered[-40:]!r}")
            break
        if model.tokenize(own, with_control=True) != ids:
            found.append("it cuts a rendered conversation into other tokens than the model was trained with")
            break
    return found


def _compare(
    model: Gguf,
    context: llama_cpp.llama_context_p,
    reference: Reference,
    wanted: Sequence[LogProbabilities],
    kind: str,
    problems: list[str],
) -> Verification:
    by_token: list[float] = []
    agree: list[bool] = []
    ended = []
    for ids, expected in zip(reference.conversations, wanted, strict=True):
        if expected.shape[1] > model.vocabulary_size or max(ids) >= model.vocabulary_size:
            raise ModelError(f"{model.path.name} has another vocabulary than the model that it was made from.")
        found = _log_probabilities(model, context, ids, len(expected))[:, : expected.shape[1]]
        if not np.isfinite(found).all():
            problems.append("it computes what is no number")
            return Verification(model.path.name, kind, np.inf, np.inf, 0.0, 0.0, tuple(problems))
        by_token += [float(one) for one in (np.exp(expected) * (expected - found)).sum(axis=1)]
        agree += list(expected.argmax(axis=1) == found.argmax(axis=1))
        ended.append(_ends(model, context, ids, reference.ends))
    kl, agreement, ending = float(np.mean(by_token)), float(np.mean(agree)), float(np.mean(ended))
    if not kl <= (most := budget(kind, reference.dtype)):
        problems.append(f"it says something else than the merged model: KL {kl:.2g} a token, at most {most:g}")
    if agreement < (least := _FEWEST_AGREEING.get(kind, _OTHER_AGREEING)):
        problems.append(
            f"its likeliest token is the merged model's {agreement:.0%} of the time, and {least:.0%} must be"
        )
    if ending < 0.5:
        problems.append(f"of {len(ended)} greedy answers {sum(ended)} end by themselves, the others go on and on")
    return Verification(
        model.path.name, kind, kl, float(max(by_token)), agreement, ending, tuple(problems), tuple(by_token)
    )


def _log_probabilities(
    model: Gguf, context: llama_cpp.llama_context_p, ids: Sequence[int], last: int
) -> LogProbabilities:
    """Of what comes after each of the last positions, shape (last, vocabulary)."""
    _evaluate(context, ids, last)
    size = model.vocabulary_size
    rows = [
        np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, position), shape=(size,)).astype(np.float64)
        for position in range(len(ids) - last, len(ids))
    ]
    logits = np.stack(rows)
    top = logits.max(axis=1, keepdims=True)
    return np.asarray(logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)), dtype=np.float32)


def _evaluate(context: llama_cpp.llama_context_p, ids: Sequence[int], last: int) -> None:
    """Evaluate from the beginning, and keep the logits of the last positions."""
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for position, token in enumerate(ids):
            batch.token[position], batch.pos[position] = token, position
            batch.n_seq_id[position], batch.seq_id[position][0] = 1, 0
            batch.logits[position] = int(position >= len(ids) - last)
        if code := llama_cpp.llama_decode(context, batch):
            raise ModelError(f"llama.cpp could not evaluate {len(ids)} tokens (code {code}); free memory.")
    finally:
        llama_cpp.llama_batch_free(batch)


def _ends(model: Gguf, context: llama_cpp.llama_context_p, ids: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether the greedy answer to a conversation, which was just evaluated, ends with one of the tokens `ends`."""
    sampler = llama_cpp.llama_sampler_init_greedy()
    try:
        for _ in range(_LONGEST_ANSWER):
            token = llama_cpp.llama_sampler_sample(sampler, context, -1)
            if model.ends(token):
                return token in ends
            if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)):
                return False
        return False
    finally:
        llama_cpp.llama_sampler_free(sampler)


def plot(verifications: Sequence[Verification], folder: Path) -> None:
    """Draw the divergence of every token, sorted, a line for each file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    for one in verifications:
        line = np.sort(np.maximum(one.by_token, 1e-9))
        axes.plot(np.linspace(0, 100, len(line)), line, label=f"{one.type}: mean {one.kl:.2g}")
    axes.set_yscale("log")
    axes.set_xlabel("tokens (%)")
    axes.set_ylabel("KL against the merged model")
    axes.legend()
    figure.savefig(folder / PLOT, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
