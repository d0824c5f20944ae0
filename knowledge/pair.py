"""Read a question together with a text, so that each can be understood in the light of the other.

Enters: `PairInput`s (`knowledge/window.py`). Leaves: for each the mean state of its question, its heading and each of
its pieces, which the heads of reader and matcher turn into scores.

The encoder is the embedder's, with an adapter of its own. Not guaranteed: that means of different adapters compare.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from config.errors import ModelError
from knowledge.embed import batches, embedded_model, open_session, pad
from knowledge.window import PairInput, Span

Matrix = NDArray[np.float32]
HEAD_FILE = "head.safetensors"


@dataclass(frozen=True)
class PairMeans:
    """Mean states of one pair: `question` (d,), `heading` (d,), `pieces` (number of pieces, d). Not normalised."""

    question: Matrix
    heading: Matrix
    pieces: Matrix


def open_pair_encoder(adapter: Path, model_dir: Path | None = None, threads: int = 0) -> PairEncoder:
    """Load the encoder with the adapter in `adapter`; `threads` is for one call, 0 takes one per physical core.

    Raises:
        ModelError: The weights or the adapter are missing, damaged or of another kind of model.
    """
    folder = model_dir or embedded_model()
    session = open_session(folder, adapter, threads, is_pooled=False)
    return PairEncoder(session, open_tokenizer(folder))


def open_tokenizer(folder: Path) -> Tokenizer:
    """The encoder's tokenizer, which neither pads nor cuts."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encoder_width(folder: Path) -> int:
    """How many numbers the encoder in `folder` gives for a word piece. Raises what reading raises."""
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"])


@dataclass(frozen=True)
class PieceHead:
    """Scores a piece: `scale · cos(question, piece) + weights · piece + bias`, above 0 when it rather answers.

    Starting from the cosine keeps what the embedder knows; the linear part learns what an answer looks like.
    """

    scale: float
    weights: Matrix
    bias: float

    def __call__(self, means: PairMeans) -> Matrix:
        """Scores of the pieces of one pair, shape (number of pieces,)."""
        lengths = np.linalg.norm(means.pieces, axis=1) * np.linalg.norm(means.question)
        cosines = means.pieces @ means.question / np.maximum(lengths, 1e-6)
        return np.asarray(self.scale * cosines + means.pieces @ self.weights + self.bias, dtype=np.float32)


def open_piece_head(folder: Path) -> PieceHead:
    """Load a reader's head.

    Raises:
        ModelError: It is missing or damaged, or was made for another encoder.
    """
    file = folder / HEAD_FILE
    try:
        head, width = load_file(file), encoder_width(embedded_model())
        if head["weights"].shape != (width,):
            raise ValueError(
                f"its weights have shape {head['weights'].shape}, and the encoder's states are {width} wide"
            )
        return PieceHead(float(head["scale"]), head["weights"].astype(np.float32), float(head["bias"]))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"The reader's head in {file} cannot be read ({error}); restore the file.") from error


class PairEncoder:
    """An encoder that is loaded. Safe to call from several threads at once."""

    def __init__(self, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self.tokenizer = tokenizer

    def means(self, inputs: Sequence[PairInput]) -> list[PairMeans]:
        """Encode pairs, those of similar length together; the means are in the order of `inputs`."""
        return [_means(states, pair) for states, pair in zip(self.states(inputs), inputs, strict=True)]

    def states(self, inputs: Sequence[PairInput]) -> list[Matrix]:
        """The states of every word piece of each pair, shape (len(ids), d), in the order of `inputs`."""
        found: dict[int, Matrix] = {}
        for rows in batches([len(pair.ids) for pair in inputs]):
            ids, mask = pad([inputs[row].ids for row in rows])
            (states,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            for row, state in zip(rows, states, strict=True):
                found[row] = state[: len(inputs[row].ids)]
        return [found[row] for row in range(len(inputs))]


def _means(states: Matrix, pair: PairInput) -> PairMeans:
    pieces = np.stack([_mean(states, span) for span in pair.spans]) if pair.spans else states[:0]
    return PairMeans(_mean(states, pair.question), _mean(states, pair.heading), pieces)


def _mean(states: Matrix, span: Span) -> Matrix:
    return np.asarray(states[span.start : span.end].mean(axis=0), dtype=np.float32)
