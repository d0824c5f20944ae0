"""How right answers are, and how long they take: the sample company's questions through the whole of `answer()`.

Run: `python -m bench.answers`. With `QUANTAHR_EVAL_DATA` set, the handbooks there are measured as well. Prints, for
quoting and for wording by the model, the graded shares, the time to the first text and the time of each step. All
questions are asked twice, and the second time is measured: `quantahr serve` has passages at hand before anybody asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from bot.answer import Answer
from config.settings import AnsweringSettings, load_settings
from trainer.evaluate import EvalRow, answer_all, graded_answer, read_questions
from trainer.grade import summarize

SAMPLES = Path("samples")


def main() -> None:
    """One table of shares, one of times."""
    shares = Table(title="Graded answers", caption="right, wrong, declined: of the answerable questions")
    for name in ("questions", "wording", "right", "wrong", "declined", "rightly declined", "wrong of given", "words"):
        shares.add_column(name, justify="right")
    times = Table(title="Milliseconds, p50 (p95)")
    for name in ("questions", "wording", "first text", "whole", "before wording", "steps p50"):
        times.add_column(name, justify="right")
    for name, docs, questions in _sets():
        rows = read_questions(questions)
        for wording in ("quote", "generate"):
            answers = _answers([*rows, *rows], docs, wording)[len(rows) :]
            result = summarize([graded_answer(row.graders, a) for row, a in answers if row.graders])
            parts = (result.right, result.wrong, result.declined, result.rightly_declined, result.wrong_of_given)
            shares.add_row(name, wording, *(f"{part:.0%}" for part in parts), f"{result.mean_words:.0f}")
            times.add_row(name, wording, *_times([a for _, a in answers]))
    console = Console(width=150)
    console.print(shares)
    console.print(times)
    console.print(f"Peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _sets() -> list[tuple[str, Path, Path]]:
    found = [("samples", SAMPLES / "handbook", SAMPLES / name) for name in ("questions.jsonl", "threads.jsonl")]
    data = os.environ.get("QUANTAHR_EVAL_DATA")
    for handbook in ("leaf", "civicactions", "18f") if data else ():
        root = Path(str(data))
        found.append((handbook, root / "handbooks" / handbook, root / "eval" / f"{handbook}.jsonl"))
    return found


def _answers(rows: list[EvalRow], docs: Path, wording: Literal["quote", "generate"]) -> list[tuple[EvalRow, Answer]]:
    with tempfile.TemporaryDirectory() as empty:
        file = Path(empty) / "quantahr.toml"
        file.write_text("", encoding="utf-8")
        settings = load_settings(file).model_copy(update={"answering": AnsweringSettings(wording=wording)})
    return asyncio.run(answer_all(rows, docs, settings))


def _times(answers: list[Answer]) -> tuple[str, str, str, str]:
    def spread(values: list[float]) -> str:
        return f"{np.percentile(values, 50):.0f} ({np.percentile(values, 95):.0f})"

    steps: dict[str, list[float]] = defaultdict(list)
    for given in answers:
        for step, ms in given.timings.steps_ms:
            steps[step].append(ms)
    middle = {step: round(float(np.median(values)), 1) for step, values in steps.items()}
    first, whole = [a.timings.ttft_ms for a in answers], [a.timings.latency_ms for a in answers]
    choosing = [sum(ms for step, ms in a.timings.steps_ms if step != "generate") for a in answers]
    return spread(first), spread(whole), spread(choosing), json.dumps(middle)


if __name__ == "__main__":
    main()
