"""Generate text with llama.cpp, on one inference thread, behind a queue.

Enters: messages and how to sample. Leaves: a stream of text that may be closed at any moment, the place in the queue,
or an `EngineError`. Run: `open_engine(settings.model)`, then `async for text in engine.generate(messages, params)`.

The order of things: the caller's coroutine renders the prompt and queues it; the inference thread takes one at a time,
decodes it (`bot/llama.py`) and posts text to the caller's event loop; the coroutine yields it. Callers may live on
several event loops.

Not guaranteed: fairness beyond first come, first served; or that what is wanted next is batched with what runs.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from bot.llama import GenerationParams, LlamaModel, Message, common_prefix, load_model
from config.errors import DeadlineExceeded, EngineBusy, EngineError, QuantaHRError
from config.settings import ModelSettings

__all__ = ["Engine", "GenerationParams", "GenerationStats", "LlamaEngine", "Message", "TextFilter", "open_engine"]

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """What answers need from a model. Later versions replace the inside."""

    @property
    def model_version(self) -> str:
        """Name of the model as it is recorded with each answer."""

    @property
    def waiting(self) -> int:
        """Generations in the queue, the running one not counted."""

    def generate(
        self,
        messages: Sequence[Message],
        params: GenerationParams,
        on_position: Callable[[int], None] | None = None,
    ) -> AsyncGenerator[str, None]:
        """Stream the text of one generation; closing the iterator cancels it.

        `on_position` is called on the event loop with the number of generations ahead, whenever it changes; 0 means
        that this one runs.
        """

    async def close(self) -> None:
        """Stop the inference thread and free the model."""


@dataclass(frozen=True)
class GenerationStats:
    """Work done by one generation, in tokens. `evaluated` is what of the prompt was not still known from before."""

    prompt: int = 0
    evaluated: int = 0
    generated: int = 0


def open_engine(settings: ModelSettings) -> LlamaEngine:
    """Load the configured model, or the embedded one; takes 0.2 to 2 s.

    Raises:
        ModelError: The model is missing, damaged or will not load.
    """
    return LlamaEngine(settings)


class LlamaEngine:
    """An `Engine` with one generation at a time. Use `open_engine`."""

    def __init__(self, settings: ModelSettings) -> None:
        self._queue_limit = settings.queue_limit
        self._changed = threading.Condition()  # guards the four below
        self._queue: deque[_Job] = deque()
        self._running: _Job | None = None
        self._is_closing = False
        self._stats = GenerationStats()
        self._vocabulary = threading.Lock()  # held while the model's vocabulary is read, and while it is freed
        loaded: Future[LlamaModel] = Future()
        self._thread = threading.Thread(target=self._work, args=(settings, loaded), name="inference", daemon=True)
        self._thread.start()
        self._model = loaded.result()

    @property
    def model_version(self) -> str:
        """File name and a hash of the file's size and edges: "SmolLM2-135M-Instruct.Q4_1-747cb1f0"."""
        return self._model.version

    @property
    def waiting(self) -> int:
        """Generations in the queue, the running one not counted."""
        with self._changed:
            return max(0, self._admitted() - 1)

    @property
    def last_stats(self) -> GenerationStats:
        """What the generation that ended last had to do."""
        with self._changed:
            return self._stats

    def count_tokens(self, text: str) -> int:
        """Count the tokens of plain text.

        Raises:
            EngineError: The engine is closed.
        """
        with self._vocabulary:
            self._refuse_when_closed()
            return self._model.count_tokens(text)

    def generate(
        self,
        messages: Sequence[Message],
        params: GenerationParams,
        on_position: Callable[[int], None] | None = None,
    ) -> AsyncGenerator[str, None]:
        """Stream the text of one generation, see `Engine.generate`. It joins the queue at the first iteration.

        Raises:
            EngineError: At the call: the prompt leaves no room for the answer, the chat template refuses the messages,
                or the engine is closed. While iterating: generation failed.
            EngineBusy: At the first iteration: the queue is full.
            DeadlineExceeded: `params.deadline_s` after the call, wherever the generation then is.
        """
        deadline = time.monotonic() + params.deadline_s
        return self._stream(self._job(self._prompt(messages), params, on_position), deadline)

    async def prime(self, messages: Sequence[Message]) -> None:
        """Evaluate these opening messages now, so that no question that begins with them has to.

        Call it once after opening, with the system prompt. It waits its turn like a question.
        """
        one, other = (self._prompt([*messages, Message("user", text)]) for text in ("a", "b"))
        shared = one[: common_prefix(one, other)]
        params = GenerationParams(max_tokens=0, deadline_s=60.0)
        if shared:
            async for _ in self._stream(self._job(shared, params), time.monotonic() + params.deadline_s):
                pass

    async def close(self) -> None:
        """Stop at the next token, fail what waits, free the model. A second call does nothing more."""
        with self._changed:
            self._is_closing = True
            jobs = [*self._queue, self._running] if self._running else [*self._queue]
            self._queue.clear()
            for job in jobs:
                job.fail(EngineError("The assistant is shutting down; ask again in a minute."))
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)

    # On the caller's event loop.

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        with self._vocabulary:
            self._refuse_when_closed()
            return self._model.prompt(messages)

    def _job(
        self, prompt: list[int], params: GenerationParams, on_position: Callable[[int], None] | None = None
    ) -> _Job:
        room = self._model.context_tokens - params.max_tokens
        if len(prompt) > room:
            raise EngineError(
                f"The prompt has {len(prompt)} tokens and the limit is {room}, with {params.max_tokens} more for the "
                "answer; pass less evidence or raise 'model.context_tokens'."
            )
        return _Job(prompt, params, on_position)

    async def _stream(self, job: _Job, deadline: float) -> AsyncGenerator[str, None]:
        job.attach(asyncio.get_running_loop())
        late = DeadlineExceeded(
            f"No full answer within {job.params.deadline_s:g} seconds; try again when it is quieter."
        )
        timer = asyncio.get_running_loop().call_later(deadline - time.monotonic(), job.fail, late)
        try:
            self._enqueue(job)
            while (event := await job.events.get()) is not None:
                if isinstance(event, QuantaHRError):
                    raise event
                yield event
        finally:
            timer.cancel()
            self._withdraw(job)

    def _enqueue(self, job: _Job) -> None:
        with self._changed:
            self._refuse_when_closed()
            if self._admitted() > self._queue_limit:
                raise EngineBusy(f"{self.waiting} questions are waiting already; try again in a moment.")
            self._queue.append(job)
            self._announce_positions()
            self._changed.notify_all()

    def _withdraw(self, job: _Job) -> None:
        with self._changed:
            job.is_cancelled = True
            if job in self._queue:
                self._queue.remove(job)
                self._announce_positions()

    def _refuse_when_closed(self) -> None:
        if self._is_closing:
            raise EngineError("The engine is closed; open another.")

    def _admitted(self) -> int:
        return len(self._queue) + (self._running is not None)

    def _announce_positions(self) -> None:
        ahead = int(self._running is not None)
        for job in self._queue:
            job.announce(ahead)
            ahead += 1

    # On the inference thread.

    def _work(self, settings: ModelSettings, loaded: Future[LlamaModel]) -> None:
        try:
            model = load_model(settings)
        except BaseException as error:
            loaded.set_exception(error)
            return
        loaded.set_result(model)
        while (job := self._next_job()) is not None:
            self._run(model, job)
        with self._vocabulary:
            model.close()

    def _next_job(self) -> _Job | None:
        """Wait for work; None when the engine closes."""
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._queue or self._is_closing)
            if self._is_closing:
                return None
            self._running = self._queue.popleft()
            self._running.announce(0)
            self._announce_positions()
            return self._running

    def _run(self, model: LlamaModel, job: _Job) -> None:
        """Generate for one job. Whatever goes wrong is told to its caller and does not stop the thread."""
        try:
            self._decode(model, job)
            job.send(None)
        except QuantaHRError as error:
            job.fail(error)
        except Exception:
            logger.exception("generation failed: %d prompt tokens", len(job.prompt))
            job.fail(EngineError("The model failed on this prompt; ask again, and see the log if it fails again."))

    def _decode(self, model: LlamaModel, job: _Job) -> None:
        text = TextFilter(job.params.stop)
        with closing(model.generate(job.prompt, job.params)) as pieces:
            for piece in pieces:
                if ready := text.add(piece):
                    job.send(ready)
                if job.is_cancelled or text.is_stopped:
                    break
        if rest := text.rest():
            job.send(rest)
        with self._changed:
            self._stats = GenerationStats(len(job.prompt), model.evaluated_tokens, model.generated_tokens)


class _Job:
    """One generation, from the call to its end. `events` ends with None or an error."""

    def __init__(self, prompt: list[int], params: GenerationParams, on_position: Callable[[int], None] | None) -> None:
        self.prompt = prompt
        self.params = params
        self.events: asyncio.Queue[str | QuantaHRError | None] = asyncio.Queue()
        self.is_cancelled = False
        self._on_position = on_position
        self._position: int | None = None
        self._loop: asyncio.AbstractEventLoop

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say to which loop events belong."""
        self._loop = loop

    def send(self, event: str | QuantaHRError | None) -> None:
        """Hand the caller text, its end, or an error; from any thread."""
        self._call(lambda: self.events.put_nowait(event))

    def fail(self, error: QuantaHRError) -> None:
        """Stop, and raise `error` where the caller iterates; from any thread."""
        self.is_cancelled = True
        self.send(error)

    def announce(self, position: int) -> None:
        """Tell the caller how many are ahead, if that is news; from any thread."""
        callback = self._on_position
        if callback is not None and position != self._position:
            self._position = position
            self._call(lambda: callback(position))

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the caller's event loop is closed: nobody listens any more
            self.is_cancelled = True


class TextFilter:
    """Turn the bytes of tokens into text that may be shown.

    Characters cut between tokens are joined, and text that may be the beginning of a stop string is held back until it
    is clear. Stop "END": pieces b"go E", b"N", b"D on" give "go ", "", "" and `is_stopped`.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.is_stopped = False

    def add(self, piece: bytes) -> str:
        """Take one token's bytes; return the text that is ready."""
        self._held += self._decoder.decode(piece)
        ends = [found for text in self._stop if (found := self._held.find(text)) >= 0]
        if ends:
            self.is_stopped = True
            return self._release(min(ends), drop_rest=True)
        return self._release(len(self._held) - self._doubtful())

    def rest(self) -> str:
        """What was held back, at the end. Half a character is dropped."""
        return self._release(len(self._held))

    def _release(self, end: int, drop_rest: bool = False) -> str:
        ready, rest = self._held[:end], self._held[end:]
        self._held = "" if drop_rest else rest
        return ready

    def _doubtful(self) -> int:
        """Length of the longest end of the held text with which a stop string begins."""
        lengths = range(min(len(self._held), max(map(len, self._stop), default=0)), 0, -1)
        return next((n for n in lengths if any(text.startswith(self._held[-n:]) for text in self._stop)), 0)
