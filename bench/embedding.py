"""How fast the embedder is: one question, and chunks in bulk.

Run: `python -m bench.embedding [--threads N]`. Prints the time to open, the middle and 95th percentile of a question,
and chunks per second at the lengths that chunks have. Measure on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import time

from rich.console import Console
from rich.table import Table

from config.machine import usable_cores
from knowledge.embed import Embedder, open_embedder

QUESTIONS = (
    "How many holidays can I carry over?",
    "Who approves parental leave?",
    "Can I work from another country for two weeks in summer?",
    "What is the notice period after five years?",
)
SENTENCE = "Employees who have completed their probation may carry over up to five days of annual leave. "


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of one call (default: the cores)")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--chunks", type=int, default=256)
    arguments = parser.parse_args()

    started = time.perf_counter()
    embedder = open_embedder(threads=arguments.threads)
    opened_s = time.perf_counter() - started
    question_ms = _question_ms(embedder, arguments.questions)

    table = Table(title=f"Embedding, {arguments.threads} threads")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("open", f"{opened_s:.2f} s")
    table.add_row("question p50", f"{statistics.median(question_ms):.2f} ms")
    table.add_row("question p95", f"{statistics.quantiles(question_ms, n=20)[-1]:.2f} ms")
    for sentences in (4, 8, 14):
        chunk = SENTENCE * sentences
        rate = _chunks_per_s(embedder, chunk, arguments.chunks)
        table.add_row(f"chunks of {embedder.count_tokens(chunk)} word pieces", f"{rate:.0f} /s")
    Console().print(table)


def _question_ms(embedder: Embedder, count: int) -> list[float]:
    times = []
    for number in range(count + 10):
        started = time.perf_counter()
        embedder.embed([QUESTIONS[number % len(QUESTIONS)]])
        times.append(1000 * (time.perf_counter() - started))
    return times[10:]  # the first ones allocate


def _chunks_per_s(embedder: Embedder, chunk: str, count: int) -> float:
    started = time.perf_counter()
    embedder.embed([chunk] * count)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
