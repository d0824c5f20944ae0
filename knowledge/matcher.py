"""Judge whether a stored answer also answers another question.

Enters: a question, and stored questions with their answers that lie near it. Leaves: for each the probability that its
answer is right for the question too. Near misses share more words with a question than true rewordings do, so nearness
decides nothing here: the pair is read in one piece, and what differs is what counts.

Two steps, both trained by `python -m trainer.matcher`: the pair encoder with an adapter of its own and a small head
give one number, and a linear model weighs it with the similarities and with what `knowledge/differences.py` names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from config.errors import ModelError
from knowledge.differences import DIFFERENCES, differences
from knowledge.embed import embedded_model
from knowledge.pair import PairEncoder, encoder_width, open_pair_encoder
from knowledge.window import PairInput, Span, Window, pair_input, word_pieces

Matrix = NDArray[np.float32]

HEAD_FILE = "head.safetensors"
DECISION_FILE = "decision.json"
SIGNALS: tuple[str, ...] = ("read", "question_similarity", "answer_similarity", *DIFFERENCES)
# In word pieces; a stored question may be as long as a question, an answer is read from its beginning.
_MAX_STORED = 40
_MAX_ANSWER = 72


@dataclass(frozen=True)
class StoredPair:
    """A stored question and its answer, with the cosines of a new question to each (-1 to 1)."""

    question: str
    answer: str
    question_similarity: float
    answer_similarity: float


@dataclass(frozen=True)
class Thresholds:
    """From which probability on a stored answer is given as it is, and from which it may serve as evidence."""

    match: float
    evidence: float


@dataclass(frozen=True)
class MatchHead:
    """Turns the states of one pair into a logit.

    `cosines` (2,) weigh the cosines of the question's mean state to the stored question's and to the answer's;
    `product`, `difference`, `question`, `stored` and `answer`, each (d,), weigh means and how they differ; `bias` (3,)
    holds the constant of all that, of `question_word` and of `stored_word`. These last two, (d,), ask every single
    word piece whether it is where the two differ: one sure answer is enough to make them different questions.
    """

    cosines: Matrix
    product: Matrix
    difference: Matrix
    question: Matrix
    stored: Matrix
    answer: Matrix
    question_word: Matrix
    stored_word: Matrix
    bias: Matrix

    def __call__(self, states: Matrix, pair: PairInput) -> float:
        """The logit for states of shape (len(pair.ids), d)."""
        spans = (pair.question, pair.heading, pair.spans[0])
        asked, stored, answer = (states[span.start : span.end].mean(axis=0) for span in spans)
        total = self.cosines @ np.array([_cosine(asked, stored), _cosine(asked, answer)])
        total += self.product @ (asked * stored) + self.difference @ np.abs(asked - stored)
        total += self.question @ asked + self.stored @ stored + self.answer @ answer + self.bias[0]
        total -= _differs(states, pair.question, self.question_word, self.bias[1])
        total -= _differs(states, pair.heading, self.stored_word, self.bias[2])
        return float(total)


def _cosine(a: Matrix, b: Matrix) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-8))


def _differs(states: Matrix, span: Span, weights: Matrix, bias: np.float32) -> float:
    """Minus the logarithm of the chance that no word piece differs: each does with chance sigmoid(weights · state)."""
    return float(np.logaddexp(0.0, states[span.start : span.end] @ weights + bias).sum())


@dataclass(frozen=True)
class Decision:
    """A linear model over `SIGNALS` that gives a logit, and the probabilities from which on to act on it."""

    weights: Matrix
    bias: float
    thresholds: Thresholds


class Matcher:
    """The loaded parts that matching needs. Safe to call from several threads. Make it with `open_matcher`."""

    def __init__(self, encoder: PairEncoder, head: MatchHead, decision: Decision) -> None:
        self._encoder = encoder
        self._head = head
        self._decision = decision

    @property
    def thresholds(self) -> Thresholds:
        """From which probabilities on to act."""
        return self._decision.thresholds

    def probabilities(self, question: str, stored: Sequence[StoredPair]) -> Matrix:
        """How likely each stored answer answers the question too, shape (len(stored),), 0 to 1."""
        if not stored:
            return np.zeros(0, dtype=np.float32)
        logits = self.signals(question, stored) @ self._decision.weights + self._decision.bias
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)

    def signals(self, question: str, stored: Sequence[StoredPair]) -> Matrix:
        """What the probability rests on: shape (len(stored), len(SIGNALS))."""
        inputs = [match_input(question, pair.question, pair.answer, self._encoder.tokenizer) for pair in stored]
        rows = []
        for pair, states, read in zip(stored, self._encoder.states(inputs), inputs, strict=True):
            named = differences(question, pair.question, pair.answer)
            similar = (pair.question_similarity, pair.answer_similarity)
            rows.append(np.array([self._head(states, read), *similar, *named], dtype=np.float32))
        return np.stack(rows)


def match_input(question: str, stored_question: str, answer: str, tokenizer: Tokenizer) -> PairInput:
    """One sequence of question, stored question and answer: `[CLS] question [SEP] stored [SEP] answer [SEP]`."""
    heading = tuple(word_pieces(stored_question, tokenizer)[:_MAX_STORED])
    text = tuple(word_pieces(answer, tokenizer)[:_MAX_ANSWER])
    return pair_input(question, Window(heading, (text,), 0), tokenizer)


def open_matcher(folder: Path, model_dir: Path | None = None, threads: int = 0) -> Matcher:
    """Load adapter, head and weights; `threads` is for one call, 0 takes one per physical core.

    Raises:
        ModelError: A file is missing or damaged, or was made for other signals or an encoder of another width. Whether
            it was made over the embedder in use, only its manifest says.
    """
    encoder = open_pair_encoder(folder, model_dir, threads)
    try:
        head = load_head(folder)
        _check_shapes(head, encoder_width(model_dir or embedded_model()))
        return Matcher(encoder, head, _load_decision(folder))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"The matcher in {folder} cannot be used ({error}); restore it from the release, or run "
            "'quantahr train --starter --only matcher'."
        ) from error


def _check_shapes(head: MatchHead, width: int) -> None:
    own = {"cosines": 2, "bias": 3}
    for field in fields(head):
        shape, wanted = getattr(head, field.name).shape, (own.get(field.name, width),)
        if shape != wanted:
            raise ValueError(f"{field.name} in {HEAD_FILE} has shape {shape}, and {wanted} is needed")


def load_head(folder: Path) -> MatchHead:
    """The head as `python -m trainer.matcher` saved it. Raises what reading and `MatchHead` raise."""
    return MatchHead(**{name: array.astype(np.float32) for name, array in load_file(folder / HEAD_FILE).items()})


def save_decision(decision: Decision, folder: Path) -> None:
    """Write the decision so that it can be read: each signal's weight by name."""
    stored = {
        "thresholds": asdict(decision.thresholds),
        "bias": round(decision.bias, 5),
        "weights": {name: round(float(weight), 5) for name, weight in zip(SIGNALS, decision.weights, strict=True)},
    }
    (folder / DECISION_FILE).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def _load_decision(folder: Path) -> Decision:
    stored = json.loads((folder / DECISION_FILE).read_text(encoding="utf-8"))
    if unknown := set(stored["weights"]) - set(SIGNALS):
        raise KeyError(f"unknown signal {min(unknown)}")
    weights = np.array([stored["weights"][name] for name in SIGNALS], dtype=np.float32)
    return Decision(weights, float(stored["bias"]), Thresholds(**stored["thresholds"]))
