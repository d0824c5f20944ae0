"""One chat model on llama.cpp: evaluate prompts, sample tokens, free it.

Enters: a GGUF file and the model's settings, then prompts as tokens. Leaves: the bytes of a reply, token by token.
Run: `bot/engine.py` runs it on its inference thread and gives it to the rest of the program.

Not guaranteed: more than one generation at a time, or that two threads may evaluate. Every thread that decodes gets its
own pool of OpenMP workers, and pools that take turns make decoding up to 1.9 times slower; so all calls but `prompt`,
`count_tokens` and the properties belong to one thread.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import llama_cpp

from config.errors import EngineError, ModelError
from config.machine import usable_cores
from config.settings import ModelSettings
from exporter.gguf import Gguf, embedded_gguf, open_gguf, version_of

# Prompt tokens in one pass through the layers: at 256 the activations stay in the second-level cache.
MICRO_BATCH_TOKENS = 256


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
    gguf = open_gguf(settings.gguf or embedded_gguf())
    try:
        return LlamaModel(gguf, settings)
    except ModelError:
        gguf.close()
        raise


class LlamaModel:
    """A loaded model with one sequence of cached tokens. The caller frees it with `close`."""

    def __init__(self, gguf: Gguf, settings: ModelSettings) -> None:
        self.version = version_of(gguf.path)
        self._gguf = gguf
        self.context_tokens = min(settings.context_tokens, gguf.trained_context)
        self._batch_tokens = min(settings.batch_tokens, self.context_tokens)
        threads = settings.threads or usable_cores()
        self._context = gguf.open_context(self.context_tokens, self._batch_tokens, MICRO_BATCH_TOKENS, threads)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._cached: list[int] = []
        self.evaluated_tokens = 0
        self.generated_tokens = 0

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Render messages with the model's own chat template, up to where the assistant speaks, as tokens.

        Raises:
            EngineError: The template refuses these messages.
        """
        return self._gguf.tokenize(self._gguf.rendered([asdict(one) for one in messages]), with_control=True)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of plain text."""
        return len(self._gguf.tokenize(text, with_control=False))

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
                if self._gguf.ends(token):
                    return
                self.generated_tokens += 1
                yield self._gguf.piece(token)
                if self.generated_tokens < params.max_tokens:
                    self._evaluate([token])
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def close(self) -> None:
        """Free context, then weights. The model cannot be used afterwards."""
        llama_cpp.llama_free(self._context)
        self._gguf.close()

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
