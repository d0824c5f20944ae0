"""Show the whole loop on this machine: a fresh company asks, votes and corrects; what is trained from that answers.

Enters: the sample company, its graded questions and their rewordings (`samples/`). Leaves: a table of how the questions
were answered before and after, and how long every step took; everything else lies in `--work`.
Run: `make loop` (`python -m trainer.loop`).

Twelve simulated people ask 120 questions and vote by the graders; HR corrects 40 answers that were not right. Asked
before and after, with the recognition of verified answers switched off, so that only what was trained counts: the
corrected questions with rewordings that nobody has asked yet, and all the others, which must not get worse.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.answer import Answer, Assistant, answer
from bot.assistant import open_assistant
from bot.feedback import Corrections, Feedback, Status, Writing
from bot.ingest import ingest_visibly
from bot.live import live_settings
from bot.record import AnswerRecord
from bot.store import Store, Vote, open_store
from bot.terminal import progress
from config.settings import Settings, load_settings
from exporter.registry import Registry
from knowledge.embed import open_embedder
from trainer.compare import compare
from trainer.evaluate import EvalRow, read_questions, row_of, show_comparison
from trainer.grade import Verdict, grade
from trainer.records import SHIPPED, read_records, run
from trainer.schedule import train_now
from trainer.spec import TrainingSpec, load_spec

SAMPLES = SHIPPED.parent
QUESTIONS, CORRECTIONS, PEOPLE = 120, 40, 12
HR = "loop:hr"
_SPEC = Path("config/qlora.json")


@dataclass(frozen=True)
class Company:
    """What is asked before and after: `corrected` questions with wordings that nobody asked, and `others`. `asked` is
    how many were asked first of all."""

    asked: int
    corrected: tuple[EvalRow, ...]
    others: tuple[EvalRow, ...]


def company(samples: Path = SAMPLES) -> tuple[list[EvalRow], dict[str, list[EvalRow]], dict[str, str]]:
    """The 120 questions, wordings of them that are kept for later, and the right answers."""
    records = {str(record["id"]): record for _, record in read_records(samples / "questions.jsonl")}
    rows = read_questions(samples / "questions.jsonl")
    by_id = {row.id: row for row in rows}
    asked, later = list(rows), dict[str, list[EvalRow]]()
    for _, record in read_records(samples / "rewordings.jsonl"):
        name = str(record["id"])
        worded = [
            row_of({**records[name], "id": f"{name}-{n}", "question": text, "group": name})
            for n, text in enumerate(record["also"], 1)
        ]
        if len(asked) < QUESTIONS:
            asked.append(worded[0])
            later[name] = worded[1:]
        else:
            later[name] = worded
    right = {name: str(record["gold_answer"]) for name, record in records.items() if record.get("gold_answer")}
    assert by_id.keys() >= later.keys()
    return asked, later, right


def spec_of(file: Path) -> TrainingSpec:
    """What is trained: the shipped specification, from feedback and documents, in as many steps as a visitor waits."""
    shipped = load_spec(file)
    training = shipped.training.model_copy(
        update={
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 3,
            "learning_rate": 1e-3,
            "save_steps": 5,
            "logging_steps": 1,
        }
    )
    model = shipped.model.model_copy(update={"max_sequence_length": 512})
    return shipped.model_copy(update={"training": training, "model": model})


async def ask_and_correct(settings: Settings, store: Store) -> Company:
    """The company's first weeks: questions, votes, corrections; all of it in the ledger."""
    asked, later, right = company()
    answered: dict[str, tuple[str, bool]] = {}
    async with _assistant(settings, store) as (assistant, feedback):
        with progress("Employees ask") as on_step:
            for number, row in enumerate(asked, 1):
                on_step(row.id, number, len(asked))
                given = await _answer(row, assistant)
                person = f"loop:person-{number % PEOPLE}"
                store.record(replace(row.question, channel="loop"), given, person)
                assert row.graders is not None
                verdict = grade(row.graders, given.text, abstained=given.abstained)
                is_right = verdict in (Verdict.RIGHT, Verdict.RIGHTLY_DECLINED)
                feedback.vote(Vote(given.id, person, 5 if is_right else 1))
                answered[row.id] = given.id, is_right
        # What was wrong first; then what was right and HR says better, until there are enough.
        corrected = sorted(later.keys() & answered.keys(), key=lambda name: (answered[name][1], name))[:CORRECTIONS]
        for name in corrected:
            feedback.correct(Writing(f"loop:{name}", answered[name][0], right[name], HR, is_hr=True))
    by_id = {row.id: replace(row, group=row.id) for row in asked}
    again = [one for name in corrected for one in (by_id[name], *later[name])]
    names = {one.id for one in again}
    others = [one for one in by_id.values() if one.id not in names and one.id.rsplit("-", 1)[0] not in corrected]
    others += [one for name, rows in later.items() if name not in corrected for one in rows]
    return Company(len(asked), tuple(again), tuple(others))


async def answers(settings: Settings, store: Store, rows: Sequence[EvalRow], what: str) -> dict[str, AnswerRecord]:
    """What the live model answers, verified answers read as evidence alone."""
    own = settings.answering.model_copy(update={"recognise": False})
    found = {}
    async with _assistant(settings.model_copy(update={"answering": own}), store) as (assistant, _):
        with progress(what) as on_step:
            for number, row in enumerate(rows, 1):
                on_step(row.id, number, len(rows))
                found[row.id] = AnswerRecord.of(replace(await _answer(row, assistant), id=row.id))
    return found


@asynccontextmanager
async def _assistant(settings: Settings, store: Store) -> AsyncIterator[tuple[Assistant, Feedback]]:
    async with open_assistant(settings) as opened:
        await asyncio.to_thread(ingest_visibly, settings.documents.folder, opened.index, settings)
        feedback = Feedback(store, lambda: opened.index.snapshot, opened.assistant.embedder)
        yield replace(opened.assistant, verified=feedback.verified), feedback


async def _answer(row: EvalRow, assistant: Assistant) -> Answer:
    return [part async for part in answer(row.question, assistant) if isinstance(part, Answer)][-1]


class _Clock:
    """How long each step took."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self._last = time.monotonic()

    def step(self, name: str) -> None:
        now = time.monotonic()
        self.steps.append((name, now - self._last))
        self._last = now


def loop(work: Path, spec: TrainingSpec, settings: Settings) -> dict[str, object]:
    """Do all of it in a fresh folder, show it, and give the numbers. What is in `work` is removed first."""
    shutil.rmtree(work, ignore_errors=True)
    own = settings.model_copy(
        update={
            "data_dir": work,
            "documents": settings.documents.model_copy(update={"folder": SAMPLES / "handbook"}),
        }
    )
    clock, store = _Clock(), open_store(work)
    asked = asyncio.run(ask_and_correct(own, store))
    corrections = len(Corrections(store).corrections(Status.LIVE))
    clock.step(f"{asked.asked} questions with votes, {corrections} corrections")
    rows = [*asked.corrected, *asked.others]
    before = asyncio.run(answers(own, store, rows, "Asking before"))
    clock.step(f"{len(rows)} questions before")
    state = train_now(spec, own, force=True, on_event=lambda _: None)
    clock.step("dataset, training, export, verification, gate, promotion")
    live = live_settings(own)
    after = asyncio.run(answers(live, store, rows, "Asking after"))
    clock.step(f"{len(rows)} questions after")
    embedder = open_embedder(adapter=own.index.adapter)
    found = {
        name: compare([row.asked for row in part], before, after, embedder)
        for name, part in (("corrected", asked.corrected), ("others", asked.others))
    }
    console = Console()
    for name, title in (("corrected", "Corrected questions and rewordings of them"), ("others", "All other questions")):
        console.rule(title)
        show_comparison(found[name])
    table = Table(title="How long it took")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for step, seconds in clock.steps:
        table.add_row(step, f"{seconds:.0f}")
    console.print(table)
    console.print(f"{state.in_words}", highlight=False)
    console.print(f"Live: {Registry(work).current().live or 'what ships'}; everything is in {work}.", highlight=False)
    store.close()
    return {
        "live": Registry(work).current().live,
        "result": state.result,
        "seconds": {step: round(seconds, 1) for step, seconds in clock.steps},
        **{
            name: {one.measure: [one.before, one.after, one.low, one.high] for one in compared.differences}
            for name, compared in found.items()
        },
    }


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("var/loop"), help="where all of it lies; emptied first")
    parser.add_argument("--spec", type=Path, default=_SPEC, help="what is trained")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON at the end")
    arguments = parser.parse_args()
    result = loop(arguments.work, spec_of(arguments.spec), load_settings())
    if arguments.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run(main)
