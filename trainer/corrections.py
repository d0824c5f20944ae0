"""Measure what HR's corrections do: rewordings answered right, and questions that only sound alike left alone.

Enters: correction rows (JSON lines: `handbook`, `question`, `correction`, `paraphrases`, `near`, `must`, `must_not`,
`new_fact`), and a folder with one folder of documents for each handbook. Leaves: shares, and what became of each
question.
Run: `python -m trainer.corrections --docs DIR --rows corrections.jsonl [--others matching.jsonl] [--out F.jsonl]`.

Every handbook has a private index and its own rows as verified answers, with the pairs of `--others` stored beside
them; all questions go through `answer()`, as they would in a chat. Nothing is trained or tuned here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from rich.progress import track

from bot.answer import Answer, Assistant, Question, Route, answer
from bot.assistant import open_assistant
from bot.ingest import ingest_visibly
from config.errors import ConfigError
from config.settings import Settings, load_settings
from knowledge.verified import FOLDER, VerifiedAnswer, VerifiedIndex, make_verified_index
from trainer.grade import Graders, Verdict, grade
from trainer.records import read_records, require, run

_VERIFIED_ON = date(2026, 1, 1)


@dataclass(frozen=True)
class CorrectionRow:
    """One correction, wordings that it answers, and wordings that it does not. `is_new`: no policy says it."""

    id: str
    handbook: str
    stored: VerifiedAnswer
    paraphrases: tuple[str, ...]
    near: tuple[str, ...]
    graders: Graders
    is_new: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one question. `gave` is the id of the verified answer that was given or cited, "" for none."""

    row: str
    question: str
    is_near: bool
    is_new: bool
    route: str
    verdict: str
    gave: str
    is_own: bool
    text: str


@dataclass(frozen=True)
class Shares:
    """Of the rewordings: `recognised` (given the stored answer as it stands), `mistaken` (given another one), and
    `right`, `wrong` and `declined` by whichever way. Of the near misses: `near_recognised` (given a stored answer) and
    `near_answered` (given or quoted one)."""

    rewordings: int
    recognised: float
    mistaken: float
    right: float
    wrong: float
    declined: float
    near_misses: int
    near_recognised: float
    near_answered: float


def read_corrections(file: Path) -> list[CorrectionRow]:
    """The rows of a file.

    Raises:
        ConfigError: A line is no correction; it is named.
    """
    rows = []
    for place, r in read_records(file):
        try:
            graders = Graders.of(r)
            if graders is None:
                raise KeyError("must")
            stored = VerifiedAnswer(r["question"], r["correction"], _VERIFIED_ON)
            paraphrases, near = tuple(r["paraphrases"]), tuple(r["near"])
            rows.append(CorrectionRow(r["id"], r["handbook"], stored, paraphrases, near, graders, bool(r["new_fact"])))
        except (ValueError, LookupError, TypeError, re.error) as error:
            raise ConfigError(f"{place} is no correction ({type(error).__name__}: {error}); mend it.") from error
    return rows


def read_pairs(file: Path) -> list[VerifiedAnswer]:
    """Stored pairs (`question`, `correction`) that are not asked about.

    Raises:
        ConfigError: A line is none; it is named.
    """
    found = []
    for place, record in read_records(file):
        require(record, {"question": str, "correction": str}, place)
        found.append(VerifiedAnswer(record["question"], record["correction"], _VERIFIED_ON))
    return found


async def ask_all(
    rows: Sequence[CorrectionRow], others: Sequence[VerifiedAnswer], docs: Path, settings: Settings
) -> list[Outcome]:
    """Ask every paraphrase and every near miss, handbook by handbook."""
    outcomes = []
    for handbook in sorted({row.handbook for row in rows}):
        own = [row for row in rows if row.handbook == handbook]
        with tempfile.TemporaryDirectory(prefix="quantahr-corrections-") as private:
            index = settings.index.model_copy(update={"url": ""})
            isolated = settings.model_copy(update={"data_dir": Path(private), "index": index})
            async with open_assistant(isolated) as opened:
                await asyncio.to_thread(ingest_visibly, docs / handbook, opened.index, isolated)
                stored = make_verified_index([*(row.stored for row in own), *others], opened.assistant.embedder)
                assistant = replace(opened.assistant, verified=partial(_given, stored))
                for row in track(own, handbook):
                    outcomes += [found async for found in _asked(row, assistant)]
    return outcomes


def _given(stored: VerifiedIndex) -> VerifiedIndex:
    return stored


async def _asked(row: CorrectionRow, assistant: Assistant) -> AsyncIterator[Outcome]:
    for question in (*row.paraphrases, *row.near):
        parts = [part async for part in answer(Question(question), assistant)]
        given = next(part for part in parts if isinstance(part, Answer))
        yield outcome(row, question, given)


def outcome(row: CorrectionRow, question: str, given: Answer) -> Outcome:
    """Judge one answer. A declined one gives nothing, whatever it names as near."""
    cited = [] if given.abstained else [Path(c.file).name for c in given.citations if c.file.startswith(f"{FOLDER}/")]
    return Outcome(
        row=row.id,
        question=question,
        is_near=question in row.near,
        is_new=row.is_new,
        route=given.route.value,
        verdict=grade(row.graders, given.text, abstained=given.abstained).value,
        gave=row.stored.id if row.stored.id in cited else next(iter(cited), ""),
        is_own=row.stored.id in cited,
        text=given.text,
    )


def shares(outcomes: Sequence[Outcome]) -> Shares:
    """Count."""
    same = [o for o in outcomes if not o.is_near]
    near = [o for o in outcomes if o.is_near]
    verified = Route.VERIFIED.value

    def share(found: Iterator[bool], whole: int) -> float:
        return round(sum(found) / whole, 4) if whole else 0.0

    return Shares(
        rewordings=len(same),
        recognised=share((o.route == verified and o.is_own for o in same), len(same)),
        mistaken=share((o.route == verified and not o.is_own for o in same), len(same)),
        right=share((o.verdict == Verdict.RIGHT for o in same), len(same)),
        wrong=share((o.verdict == Verdict.WRONG for o in same), len(same)),
        declined=share((o.verdict == Verdict.DECLINED for o in same), len(same)),
        near_misses=len(near),
        near_recognised=share((o.route == verified for o in near), len(near)),
        near_answered=share((bool(o.gave) for o in near), len(near)),
    )


def tell(outcomes: Sequence[Outcome], out: Path | None) -> None:
    """Print the shares over all rows and over those that no policy answers; write the outcomes, if `out` says where."""
    if out:
        lines = [json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes]
        out.write_text("".join(lines), encoding="utf-8")
    new = [outcome for outcome in outcomes if outcome.is_new]
    print(json.dumps({"all": asdict(shares(outcomes)), "no_policy_says_it": asdict(shares(new))}, indent=1))


def main() -> None:
    """Ask, print the shares over all rows and over those that no policy answers, and write the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=Path, required=True, help="folder with a folder of documents for each handbook")
    parser.add_argument("--rows", type=Path, required=True, help="corrections, one JSON object a line")
    parser.add_argument("--others", type=Path, help="further stored pairs, one JSON object a line")
    parser.add_argument("--config", type=Path, help="settings; the embedded defaults without it")
    parser.add_argument("--out", type=Path, help="write what became of each question here, one JSON object a line")
    arguments = parser.parse_args()
    others = read_pairs(arguments.others) if arguments.others else []
    settings = load_settings(arguments.config)
    outcomes = asyncio.run(ask_all(read_corrections(arguments.rows), others, arguments.docs, settings))
    tell(outcomes, arguments.out)


if __name__ == "__main__":
    run(main)
