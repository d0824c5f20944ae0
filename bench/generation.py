"""What the engine costs over llama-cpp-python's own streaming chat completion.

Run: `python -m bench.generation [--gguf FILE] [--rounds N]`. Both sides answer the same prompts, in turn, each in a
process of its own that sleeps while the other works (two pools of OpenMP threads in one process disturb each other),
with the same threads, batch sizes and flash attention. Prints time to first token, tokens per second and the ratio of
the two. On a machine that does something else, `--threads 1` still compares fairly; more threads wait for each other.

A round begins with an unrelated prompt on each side, so that both evaluate their prompts from the start.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from config.machine import usable_cores
from config.settings import ModelSettings

CONTEXT_TOKENS, BATCH_TOKENS, MICRO_BATCH_TOKENS = 2048, 512, 256
POLICY = "Employees may carry over up to five days of annual leave, which must be taken by the end of March. "
SYSTEM = "You answer questions about company policy, in one sentence, only from the policy you are given."


@dataclass(frozen=True)
class Task:
    """One prompt for either side: a policy of some sentences, and the longest answer."""

    sentences: int
    max_tokens: int

    @property
    def user(self) -> str:
        """The user's message."""
        return f"Policy: {POLICY * self.sentences}\nWrite a long story about annual leave."


@dataclass(frozen=True)
class Timing:
    """Seconds to the first text and to the end, and the tokens generated."""

    first_s: float
    total_s: float
    tokens: int

    @property
    def tokens_per_s(self) -> float:
        """Speed after the first token, the prompt not counted."""
        return (self.tokens - 1) / (self.total_s - self.first_s)


TASKS = {"short prompt": Task(2, 96), "long prompt": Task(30, 96)}
RESET = Task(0, 2)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, help="model file (default: the embedded one)")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    settings = ModelSettings(
        gguf=arguments.gguf,
        threads=arguments.threads,
        context_tokens=CONTEXT_TOKENS,
        batch_tokens=BATCH_TOKENS,
    )
    sides = {"engine": _Side(_serve_engine, settings), "llama-cpp-python": _Side(_serve_llama, settings)}
    table = Table(title=f"Generation, {arguments.threads} threads, {arguments.rounds} rounds, medians")
    for column in ("prompt", "side", "first token ms", "tokens/s", "tokens", "whole answer s"):
        table.add_column(column, justify="left" if column in ("prompt", "side") else "right")
    for name, task in TASKS.items():
        timings = _measure(name, task, sides, arguments.rounds)
        _add_rows(table, name, timings)
    for side in sides.values():
        side.stop()
    Console().print(table)


def _measure(name: str, task: Task, sides: dict[str, _Side], rounds: int) -> dict[str, list[Timing]]:
    timings: dict[str, list[Timing]] = {side: [] for side in sides}
    for number in track(range(rounds + 1), description=name, transient=True):
        order = list(sides) if number % 2 else list(reversed(list(sides)))
        for side in order:
            sides[side].ask(RESET)
            timing = sides[side].ask(task)
            if number > 0:  # the first round warms up
                timings[side].append(timing)
    return timings


def _add_rows(table: Table, name: str, timings: dict[str, list[Timing]]) -> None:
    first, speed, total = {}, {}, {}
    for side, measured in timings.items():
        first[side] = statistics.median(timing.first_s for timing in measured)
        speed[side] = statistics.median(timing.tokens_per_s for timing in measured)
        total[side] = statistics.median(timing.total_s / timing.tokens for timing in measured) * measured[0].tokens
        cells = (f"{1000 * first[side]:.0f}", f"{speed[side]:.1f}", f"{measured[0].tokens}", f"{total[side]:.2f}")
        table.add_row(name, side, *cells)
    ours, theirs = timings
    ratios = (first[ours] / first[theirs], speed[ours] / speed[theirs], total[ours] / total[theirs])
    table.add_row("", "ratio", f"{ratios[0]:.3f}", f"{ratios[1]:.3f}", "", f"{ratios[2]:.3f}", end_section=True)


class _Side:
    """A process that loads the model and answers tasks sent to it."""

    def __init__(self, serve: Callable[[Connection, ModelSettings], None], settings: ModelSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, settings), daemon=True)
        self._process.start()

    def ask(self, task: Task) -> Timing:
        """Run one task."""
        self._connection.send(task)
        timing = self._connection.recv()
        assert isinstance(timing, Timing)
        return timing

    def stop(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()


def _serve_engine(connection: Connection, settings: ModelSettings) -> None:
    from bot.engine import GenerationParams, Message, open_engine

    engine = open_engine(settings)

    async def answer(task: Task) -> Timing:
        started = time.perf_counter()
        first_s = 0.0
        messages = [Message("system", SYSTEM), Message("user", task.user)]
        params = GenerationParams(max_tokens=task.max_tokens, deadline_s=600.0)
        async for _ in engine.generate(messages, params):
            first_s = first_s or time.perf_counter() - started
        return Timing(first_s, time.perf_counter() - started, engine.last_stats.generated)

    async def serve() -> None:
        while (task := await asyncio.to_thread(connection.recv)) is not None:
            connection.send(await answer(task))
        await engine.close()

    asyncio.run(serve())


def _serve_llama(connection: Connection, settings: ModelSettings) -> None:
    from llama_cpp import Llama

    from exporter.gguf import embedded_gguf

    llama = Llama(
        str(settings.gguf or embedded_gguf()),
        n_ctx=settings.context_tokens,
        n_batch=settings.batch_tokens,
        n_ubatch=MICRO_BATCH_TOKENS,
        n_threads=settings.threads,
        n_threads_batch=settings.threads,
        flash_attn=True,
        verbose=False,
    )
    while (task := connection.recv()) is not None:
        started = time.perf_counter()
        first_s, tokens = 0.0, 0
        stream = llama.create_chat_completion(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task.user}],
            max_tokens=task.max_tokens,
            temperature=0.0,
            stream=True,
        )
        for chunk in stream:
            assert not isinstance(chunk, str)
            if chunk["choices"][0]["delta"].get("content"):
                first_s = first_s or time.perf_counter() - started
                tokens += 1
        connection.send(Timing(first_s, time.perf_counter() - started, tokens))
    llama.close()


if __name__ == "__main__":
    main()
