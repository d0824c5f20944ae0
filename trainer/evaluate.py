"""`quantahr eval`: answer a file of questions over a folder of documents, and grade the answers.

Enters: a folder and a JSON-lines file of questions (`id`, `question`; or `turns` for a thread; optionally `audience`,
`country`, `ideal`, HR's own answer, and the graders of `trainer/grade.py`). Leaves: one answer per line, and shares of
right, wrong and declined; with `--against` the answers of another version beside them (`trainer/compare.py`).
The index is a private one in a temporary folder: the live one is neither read nor written.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from bot.answer import Answer, Asker, Question, Route, Turn, answer
from bot.assistant import open_assistant
from bot.ingest import ingest_visibly, summary
from bot.live import live_settings
from bot.record import AnswerRecord
from bot.terminal import progress
from config.errors import ConfigError
from config.settings import Audience, Settings, load_settings
from knowledge.embed import open_embedder
from knowledge.metadata import known_country
from trainer.compare import Asked, Comparison, compare
from trainer.grade import Graded, Graders, Summary, grade, summarize
from trainer.records import read_records

_THRESHOLDS = tuple(step / 20 for step in range(20))
# What was decided before anything was read: no declining threshold takes it back.
_NEVER_DECLINED = (Route.SENSITIVE, Route.VERIFIED)


@dataclass(frozen=True)
class EvalRow:
    """One line of a question file."""

    id: str
    question: Question
    graders: Graders | None
    ideal: str = ""
    group: str = ""
    is_sensitive: bool | None = None

    @property
    def asked(self) -> Asked:
        """As answers to it are compared."""
        return Asked(self.id, self.question.text, self.graders, self.ideal, self.group, self.is_sensitive)


@click.command("eval")
@click.option("--docs", type=click.Path(path_type=Path), required=True, help="Folder of documents to answer from.")
@click.option("--questions", type=click.Path(path_type=Path), required=True, help="Questions, one JSON object a line.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the answers go, one a line.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--curve", is_flag=True, help="Never decline, and show what each declining threshold would give.")
@click.option("--against", type=click.Path(path_type=Path), help="Earlier answers to the same questions, to compare.")
@click.pass_obj
def command(
    config: Path | None, docs: Path, questions: Path, out: Path, as_json: bool, curve: bool, against: Path | None
) -> None:
    """Answer questions over a private index of a folder, grade them where rows say how, and write the answers."""
    settings = live_settings(load_settings(config))
    if curve:
        settings = settings.model_copy(update={"reading": settings.reading.model_copy(update={"min_probability": 0.0})})
    rows = read_questions(questions)
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {out.parent} to write the answers to; make it, or name another --out.")
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it with --out, such as {out / 'answers.jsonl'}.")
    earlier = read_answers(against) if against else None
    answers = asyncio.run(answer_all(rows, docs, settings))
    records = {row.id: AnswerRecord.of(replace(a, id=row.id)) for row, a in answers}
    out.write_text("".join(record.model_dump_json() + "\n" for record in records.values()), encoding="utf-8")
    compared = None
    if earlier is not None:
        embedder = open_embedder(adapter=settings.index.adapter)
        if not earlier.keys() & records.keys():
            raise ConfigError(f"{against} answers none of these questions; name answers to the same file.")
        compared = compare([row.asked for row in rows], earlier, records, embedder)
    graded = [graded_answer(row.graders, a) for row, a in answers if row.graders]
    if not graded and compared is None:
        click.echo(f"{len(answers)} answers in {out}; the questions hold no graders, so they are not graded.", err=True)
    elif as_json:
        result: dict[str, Any] = asdict(summarize(graded))
        if curve:
            result["curve"] = [{"min_probability": at} | asdict(summarize(graded, at)) for at in _THRESHOLDS]
        if compared:
            result["against"] = asdict(compared)
        click.echo(json.dumps(result, indent=2))
    else:
        if graded:
            _show([(at, summarize(graded, at)) for at in (_THRESHOLDS if curve else (0.0,))], is_curve=curve)
        if compared:
            show_comparison(compared)


def read_answers(file: Path) -> dict[str, AnswerRecord]:
    """Answers as `quantahr eval --out` wrote them, by question id.

    Raises:
        ConfigError: The file cannot be read, or a line is no answer.
    """
    found = {}
    for place, record in read_records(file):
        try:
            answer_record = AnswerRecord.model_validate(record)
        except ValidationError as error:
            raise ConfigError(f"{place} is no answer; name a file that 'quantahr eval --out' wrote.") from error
        found[answer_record.id] = answer_record
    return found


def read_questions(file: Path) -> list[EvalRow]:
    """The questions of a file.

    Raises:
        ConfigError: The file is missing, or a line is no question; the line is named.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The questions in {file} cannot be read ({error}); name a UTF-8 text file.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(row_of(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError, re.error) as error:
                raise ConfigError(
                    f"Line {number} of {file} is no question ({type(error).__name__}: {error}); it needs 'id' and "
                    "'question', or 'turns'."
                ) from error
    if twice := next((row.id for n, row in enumerate(rows) if row.id in {one.id for one in rows[:n]}), None):
        raise ConfigError(f"Two questions in {file} have the id {twice}; give one of them another.")
    if not rows:
        raise ConfigError(f"{file} holds no question; write one JSON object a line, as docs/evaluating.md shows.")
    return rows


def row_of(record: dict[str, Any]) -> EvalRow:
    """A question from its record; raises what a record that is none raises."""
    turns = record.get("turns", [])
    text = record["question"] if "question" in record else turns[-1]["text"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("its question is no text")
    earlier = turns if "question" in record else turns[:-1]
    role: dict[str, Literal["user", "bot"]] = {"user": "user", "bot": "bot"}
    question = Question(
        text=text,
        asker=Asker(Audience(record.get("audience", "all")), known_country(record.get("country"))),
        channel="eval",
        history=tuple(Turn(role[turn["role"]], turn["text"]) for turn in earlier),
    )
    if (sensitive := record.get("sensitive")) not in (None, True, False):
        raise ValueError('its "sensitive" is neither true nor false')
    return EvalRow(
        id=str(record["id"]),
        question=question,
        graders=Graders.of(record),
        ideal=str(record.get("ideal") or ""),
        group=str(record.get("group") or ""),
        is_sensitive=sensitive,
    )


async def answer_all(rows: Sequence[EvalRow], docs: Path, settings: Settings) -> list[tuple[EvalRow, Answer]]:
    with tempfile.TemporaryDirectory(prefix="quantahr-eval-") as private:
        own = settings.model_copy(
            update={"data_dir": Path(private), "index": settings.index.model_copy(update={"url": ""})}
        )
        async with open_assistant(own) as opened:
            report = await asyncio.to_thread(ingest_visibly, docs, opened.index, own)
            click.echo(f"{docs}: {summary(report)}", err=True)
            answers: list[tuple[EvalRow, Answer]] = []
            with progress("Answering") as on_question:
                for number, row in enumerate(rows, 1):
                    on_question(row.id, number, len(rows))
                    parts = [part async for part in answer(row.question, opened.assistant)]
                    answers.extend((row, part) for part in parts if isinstance(part, Answer))
    return answers


def graded_answer(graders: Graders, given: Answer) -> Graded:
    """An answer's grade. A message that went to a human counts as answered at every declining threshold."""
    return Graded(
        verdict=grade(graders, given.text, abstained=given.abstained),
        probability=1.0 if given.route in _NEVER_DECLINED else given.probability,
        words=len(given.text.split()),
        cites_right_file=any(citation.file in graders.files for citation in given.citations),
    )


def show_comparison(compared: Comparison) -> None:
    """Both versions side by side, on the terminal."""
    table = Table(title="Against the earlier answers", caption="difference: with its 95 % interval")
    for name in ("", "questions", "before", "after", "difference", ""):
        table.add_column(name, justify="left" if not name else "right")
    for one in compared.differences:
        share = "" if one.measure in ("words", "latency ms") else "%"
        scale = 100 if share else 1
        before, after, low, high = (scale * value for value in (one.before, one.after, one.low, one.high))
        numbers = f"{after - before:+.0f} [{low:+.0f}, {high:+.0f}]"
        style = {"better": "green", "worse": "red", "same": ""}[one.verdict]
        said = "" if one.verdict == "same" else one.verdict
        cells = [one.measure, str(one.questions), f"{before:.0f}{share}", f"{after:.0f}{share}", numbers, said]
        table.add_row(*cells, style=style)
    console = Console()
    console.print(table)
    console.print(
        f"{compared.drift:.0%} of the answers are worded otherwise, at a similarity of {compared.similarity:.2f}."
    )
    for title, examples in (("Got better", compared.got_better), ("Got worse", compared.got_worse)):
        for number, changed in enumerate(examples):
            line = f"{title if not number else '':<11}{changed.question}"
            console.print(line, highlight=False, markup=False, no_wrap=True, overflow="ellipsis")
            sides = (("before", changed.was, changed.before), ("after", changed.is_now, changed.after))
            for label, verdict, text in sides:
                shown = " ".join(text.split())
                line = f"{'':<11}{label:<7}{verdict:<17}{shown}"
                console.print(line, highlight=False, markup=False, no_wrap=True, overflow="ellipsis")


def _show(lines: Sequence[tuple[float, Summary]], *, is_curve: bool) -> None:
    table = Table(title="Graded answers", caption="right, wrong, declined: of the answerable questions")
    for name in ("threshold",) if is_curve else ():
        table.add_column(name, justify="right")
    for name in ("right", "wrong", "declined", "rightly declined", "wrong of given", "right file cited", "words"):
        table.add_column(name, justify="right")
    for at, result in lines:
        shares = (
            result.right,
            result.wrong,
            result.declined,
            result.rightly_declined,
            result.wrong_of_given,
            result.citation_hit,
        )
        cells = [f"{share:.0%}" for share in shares] + [f"{result.mean_words:.0f}"]
        table.add_row(*([f"{at:.2f}"] if is_curve else []), *cells)
    Console().print(table)
