"""Recognise by its meaning what no rule catches: a veiled message that belongs to a human, or to nobody.

Enters: messages. Leaves: for each a `Verdict`: the category ("" for an ordinary question) and the message's vector,
which retrieval uses again. A multinomial logistic regression reads the vector, what the encoder's lower layers made of
the message on the way to it, the wording (`bot/triage/surface.py`) and the words themselves, for the message and for
each of its sentences: "How many holidays have I left? He follows me home."
Run: `python -m trainer.triage --data samples/training` fits it; `open_classifier(embedder, folder)` loads it.

Nothing here obeys a message: its words are only counted. Not guaranteed: that all is recognised; the rules stay on top.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bot.triage.plain import plain
from bot.triage.surface import SURFACE, SURFACE_VERSION, surface
from config.errors import ModelError
from knowledge.embed import Embedder

Matrix = NDArray[np.float32]

RETRAIN = "quantahr train --starter --only triage"
ORDINARY = "answer"
# Words and pairs of words share this many places; 1,024 did as well as 4,096 over 6,000 texts.
_PLACES = 1024
# A unit vector's numbers are small beside counts; scaled so, the penalty on weights bears on both alike.
_VECTOR_SCALE = 5.0
# Of a longer message, the beginning and the end are read, and so many of its sentences.
_HEAD, _TAIL, _MOST_SENTENCES = 4_000, 2_000, 12
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")
_WORD = re.compile(r"[\w']+")
_TOKEN = re.compile(r"[\w']+|\?")
# Danger to life is taken for it at this share of what speaks for a human at all.
_CRISIS_SHARE = 0.3
_TINY = 1e-6
FEATURES_VERSION = f"{SURFACE_VERSION}-{_PLACES}-2"


@dataclass(frozen=True)
class Head:
    """The fitted weights: (features, categories), a bias each, and from which score on a message is no ordinary one."""

    categories: tuple[str, ...]
    weights: Matrix
    bias: Matrix
    threshold: float

    def probabilities(self, features: Matrix) -> Matrix:
        """(messages, categories), rows summing to 1."""
        scores = features @ self.weights + self.bias
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class Said:
    """A message and its sentences, where it has several, with a row of features for each; the message's comes first."""

    vector: Matrix
    features: Matrix


@dataclass(frozen=True)
class Verdict:
    """What a message is ("" for an ordinary question), how sure that is (log odds), and the message's vector."""

    category: str
    score: float
    vector: Matrix


class Classifier:
    """A head with the embedder it was fitted on."""

    def __init__(self, head: Head, embedder: Embedder) -> None:
        self._head = head
        self._embedder = embedder

    def classify(self, texts: Sequence[str]) -> list[Verdict]:
        """Judge messages, all in one pass of the encoder."""
        return [judge(self._head, said) for said in read_messages(texts, self._embedder)]


def open_classifier(embedder: Embedder, folder: Path) -> Classifier:
    """Load the weights that were fitted on this embedder.

    Raises:
        ModelError: They are missing or damaged, or were fitted on another embedder or other features.
    """
    try:
        described = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        fitted_on = (described["embedder"], described["features"])
        categories, threshold = tuple(described["categories"]), float(described["threshold"])
        stored = load_file(folder / "head.safetensors")
        weights, bias = stored["weights"].astype(np.float32), stored["bias"].astype(np.float32)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"The triage weights in {folder} are missing or damaged; make them with '{RETRAIN}'."
        ) from error
    if ORDINARY not in categories:
        raise ModelError(f"The triage weights in {folder} know no ordinary questions; make them with '{RETRAIN}'.")
    if fitted_on != (embedder.version, FEATURES_VERSION):
        raise ModelError(
            f"The triage weights in {folder} were fitted on embedder {fitted_on[0]} and features {fitted_on[1]}, but "
            f"{embedder.version} and {FEATURES_VERSION} are in use; fit them again with '{RETRAIN}'."
        )
    width = embedder.dimensions + embedder.lower_dimensions + len(SURFACE) + _PLACES
    if weights.shape != (width, len(categories)) or len(bias) != len(categories):
        raise ModelError(f"The triage weights in {folder} are damaged; make them again with '{RETRAIN}'.")
    return Classifier(Head(categories, weights, bias, threshold), embedder)


def save_head(head: Head, embedder_version: str, folder: Path) -> None:
    """Write what `open_classifier` reads; half precision moves no score by more than a hundredth."""
    stored = {"weights": head.weights.astype(np.float16), "bias": head.bias.astype(np.float16)}
    save_file(stored, folder / "head.safetensors")
    (folder / "head.safetensors").chmod(0o644)  # safetensors makes it its owner's alone
    described = {
        "embedder": embedder_version,
        "features": FEATURES_VERSION,
        "categories": head.categories,
        "threshold": head.threshold,
    }
    (folder / "head.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def read_messages(texts: Sequence[str], embedder: Embedder) -> list[Said]:
    """Embed messages and their sentences in one batch, and count how they are worded."""
    pieces = [[cut, *sentences(cut)] for cut in map(_cut, texts)]
    flat = [piece for of_one in pieces for piece in of_one]
    if not flat:
        return []
    vectors, lower = embedder.embed_in_layers(flat)
    worded, said = np.stack([surface(text) for text in flat]), np.stack([_words(text) for text in flat])
    features = np.hstack([vectors * _VECTOR_SCALE, lower * _VECTOR_SCALE, worded, said]).astype(np.float32)
    ends = np.cumsum([len(of_one) for of_one in pieces])
    return [
        Said(vectors[end - len(of_one)], features[end - len(of_one) : end])
        for of_one, end in zip(pieces, ends, strict=True)
    ]


def judge(head: Head, said: Said) -> Verdict:
    """Weigh a message as a whole with that sentence of it which is least ordinary."""
    probabilities = head.probabilities(said.features)
    ordinary = head.categories.index(ORDINARY)
    grave = _log_odds(1 - probabilities[:, ordinary])
    worst = int(grave[1:].argmax()) + 1 if len(grave) > 1 else 0
    score = float(grave[0] + grave[worst]) / 2
    category = _category(head, probabilities[0] + probabilities[worst]) if score >= head.threshold else ""
    return Verdict(category, score, said.vector)


def sentences(text: str) -> list[str]:
    """The sentences of a message that has several; beginning and end of a longer one, none of a single one."""
    found = [piece.strip() for piece in _SENTENCE_END.split(text)]
    found = [piece for piece in found if len(_WORD.findall(piece)) > 1]
    if len(found) > _MOST_SENTENCES:
        found = found[: _MOST_SENTENCES // 2] + found[-_MOST_SENTENCES // 2 :]
    return found if len(found) > 1 else []


def _cut(text: str) -> str:
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"


def _words(text: str) -> Matrix:
    """Which words and pairs of words occur, (_PLACES,), each at the place that its checksum gives."""
    words = _TOKEN.findall(plain(text))
    found = np.zeros(_PLACES, dtype=np.float32)
    for gram in [*words, *(f"{one} {next_one}" for one, next_one in pairwise(words))]:
        found[zlib.crc32(gram.encode()) % _PLACES] = 1
    return found


def _category(head: Head, weight: Matrix) -> str:
    """The likeliest category but the ordinary one; danger to life wins where it is near."""
    grave = {name: float(w) for name, w in zip(head.categories, weight, strict=True) if name != ORDINARY}
    if grave.get("crisis", 0.0) >= _CRISIS_SHARE * sum(grave.values()):
        return "crisis"
    return max(grave, key=grave.__getitem__)


def _log_odds(probability: Matrix) -> Matrix:
    bounded = np.clip(probability, _TINY, 1 - _TINY)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float32)
