"""Measure what HR's corrections do through the whole bot: asked in Slack, corrected in the thread, asked differently.

Enters: correction rows and a folder with one folder of documents for each handbook, as `trainer.corrections` takes
them. Leaves: the same shares, of what a colleague is told in a direct message. Nobody stores pairs beside the rows'
own, so this is the easier measurement of the two.
Run: `python -m bench.slack_corrections --docs DIR --rows corrections.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.progress import track

from bot.feedback import Status, verified_answer
from bot.posts import Posts
from bot.serve import start
from bot.slack.answering import answer_of
from bot.slack.desk import place
from config.settings import DocumentSettings
from tests.slack_bot import ANA, BEN, HR, Bot, running, slack_settings
from tests.slack_server import Posted, SlackServer, workspace
from trainer.corrections import CorrectionRow, Outcome, outcome, read_corrections, tell
from trainer.records import run

_WHOLE_S = 60.0


async def measure(rows: Sequence[CorrectionRow], docs: Path) -> list[Outcome]:
    """Play it, handbook by handbook."""
    outcomes = []
    for handbook in sorted({row.handbook for row in rows}):
        own = [row for row in rows if row.handbook == handbook]
        with tempfile.TemporaryDirectory(prefix="quantahr-slack-") as private:
            async with workspace() as slack:
                documents = DocumentSettings(folder=docs / handbook, rescan_s=0)
                settings = slack_settings(Path(private), slack, questions_per_minute=10_000)
                settings = settings.model_copy(update={"documents": documents})
                async with running(settings, partial(start, settings)) as bot:
                    corrected = [await _correct(slack, bot, row) for row in track(own, f"{handbook}: corrected")]
                    for row in track(corrected, f"{handbook}: asked"):
                        outcomes += [await _ask(slack, bot, row, text) for text in (*row.paraphrases, *row.near)]
    return outcomes


async def _correct(slack: SlackServer, bot: Bot, row: CorrectionRow) -> CorrectionRow:
    """Ask the row's question, and correct the answer; gives the row with what is stored now."""
    asked = await slack.say(ANA, row.stored.question, mention=True)
    await slack.until(lambda: _recorded(slack, bot, asked), _WHOLE_S)
    before = len(bot.feedback.corrections(Status.LIVE))
    await slack.say(HR, f"Correction: {row.stored.text}", thread=asked.ts)
    await slack.until(lambda: len(bot.feedback.corrections(Status.LIVE)) > before, _WHOLE_S)
    return replace(row, stored=verified_answer(bot.feedback.corrections(Status.LIVE)[-1]))


async def _ask(slack: SlackServer, bot: Bot, row: CorrectionRow, question: str) -> Outcome:
    asked = await slack.say(BEN, question, f"D{BEN}")
    await slack.until(lambda: _recorded(slack, bot, asked), _WHOLE_S)
    return outcome(row, question, answer_of(bot.store.interaction(_recorded(slack, bot, asked))))


def _recorded(slack: SlackServer, bot: Bot, asked: Posted) -> str:
    """The id of the answer to a message; empty until it is there. What is sensitive is answered elsewhere."""
    thread = place(asked.channel, asked.ts)
    post = Posts(bot.store).last_in(thread)
    return post.interaction_id if post else ""


def main() -> None:
    """Play it, print the shares, and write the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=Path, required=True, help="folder with a folder of documents for each handbook")
    parser.add_argument("--rows", type=Path, required=True, help="corrections, one JSON object a line")
    parser.add_argument("--out", type=Path, help="write what became of each question here, one JSON object a line")
    arguments = parser.parse_args()
    outcomes = asyncio.run(measure(read_corrections(arguments.rows), arguments.docs))
    tell(outcomes, arguments.out)


if __name__ == "__main__":
    run(main)
