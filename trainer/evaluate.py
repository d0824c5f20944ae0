"""`quantahr eval`: answer a file of questions over a folder of documents, and grade the answers.

Enters: a folder and a JSON-lines file of questions (`id`, `question`; or `turns` for a thread; optionally `audience`,
`country` and the graders of `trainer/grade.py`). Leaves: one answer per line, and shares of right, wrong and declined.
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
from rich.console import Console
from rich.table import Table

from bot.answer import Answer, Asker, Question, Route, Turn, answer
from bot.assistant import open_assistant
from bot.ingest import ingest_visibly, summary
from bot.record import AnswerRecord
from bot.terminal import progress
from config.errors import ConfigError
from config.settings import Audience, Settings, load_settings
from knowledge.metadata import known_country
from trainer.grade import Graded, Graders, Summary, grade, summarize

_THRESHOLDS = tuple(step / 20 for step in range(20))
# What was decided before anything was read: no declining threshold takes it back.
_NEVER_DECLINED = (Route.SENSITIVE, Route.VERIFIED)


@dataclass(frozen=True)
class EvalRow:
    """One line of a question file."""

    id: str
    question: Question
    graders: Graders | None


@click.command("eval")
@click.option("--docs", type=click.Path(path_type=Path), required=True, help="Folder of documents to answer from.")
@click.option("--questions", type=click.Path(path_type=Path), required=True, help="Questions, one JSON object a line.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the answers go, one a line.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--curve", is_flag=True, help="Never decline, and show what each declining threshold would give.")
@click.pass_obj
def command(config: Path | None, docs: Path, questions: Path, out: Path, as_json: bool, curve: bool) -> None:
    """Answer questions over a private index of a folder, grade them where rows say how, and write the answers."""
    settings = load_settings(config)
    if curve:
        settings = settings.model_copy(update={"reading": settings.reading.model_copy(update={"min_probability": 0.0})})
    rows = read_questions(questions)
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder {out.parent} to write the answers to; make it, or name another --out.")
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it with --out, such as {out / 'answers.jsonl'}.")
    answers = asyncio.run(answer_all(rows, docs, settings))
    out.write_text(
        "".join(AnswerRecord.of(replace(a, id=row.id)).model_dump_json() + "\n" for row, a in answers),
        encoding="utf-8",
    )
    graded = [graded_answer(row.graders, a) for row, a in answers if row.graders]
    if not graded:
        click.echo(f"{len(answers)} answers in {out}; the questions hold no graders, so they are not graded.", err=True)
    elif as_json:
        result: dict[str, Any] = asdict(summarize(graded))
        if curve:
            result["curve"] = [{"min_probability": at} | asdict(summarize(graded, at)) for at in _THRESHOLDS]
        click.echo(json.dumps(result, indent=2))
    else:
        _show([(at, summarize(graded, at)) for at in (_THRESHOLDS if curve else (0.0,))], is_curve=curve)


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
                rows.append(_row(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError, re.error) as error:
                raise ConfigError(
                    f"Line {number} of {file} is no question ({type(error).__name__}: {error}); it needs 'id' and "
                    "'question', or 'turns'."
                ) from error
    if not rows:
        raise ConfigError(f"{file} holds no question; write one JSON object a line, as docs/evaluating.md shows.")
    return rows


def _row(record: dict[str, Any]) -> EvalRow:
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
    return EvalRow(str(record["id"]), question, Graders.of(record))


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
