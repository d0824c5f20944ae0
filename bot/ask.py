"""`quantahr ask "…"`: one answer on the terminal."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import click

from bot.answer import Answer, Asker, Question, answer
from bot.assistant import open_assistant
from bot.feedback import Feedback
from bot.ingest import ingest_visibly
from bot.live import live_settings
from bot.record import AnswerRecord
from bot.store import open_store
from config.settings import Audience, Settings, load_settings
from knowledge.metadata import known_country


@click.command("ask")
@click.argument("question")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as one JSON object.")
@click.option("--audience", type=click.Choice([a.value for a in Audience]), default="all", help="Ask as one of these.")
@click.option("--country", help="Ask as an employee in this country (ISO code, such as GB).")
@click.pass_obj
def command(config: Path | None, question: str, as_json: bool, audience: str, country: str | None) -> None:
    """Answer QUESTION from the indexed documents; an empty index is filled from the settings' folder first."""
    if not question.strip():
        raise click.UsageError('The question is empty; write it in quotes: quantahr ask "how do I …?"')
    try:
        asker = Asker(Audience(audience), known_country(country))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    asyncio.run(_ask(Question(question, asker), load_settings(config), as_json))


async def _ask(question: Question, settings: Settings, as_json: bool) -> None:
    async with open_assistant(live_settings(settings)) as opened:
        if not opened.index.snapshot.chunks:
            await asyncio.to_thread(ingest_visibly, settings.documents.folder, opened.index, settings)
        with closing(open_store(settings.data_dir, settings.ledger)) as store:
            feedback = Feedback(store, lambda: opened.index.snapshot, opened.assistant.embedder)
            assistant = replace(opened.assistant, verified=feedback.verified)
            async with aclosing(answer(question, assistant)) as parts:
                async for part in parts:
                    if isinstance(part, Answer):
                        click.echo(AnswerRecord.of(part).model_dump_json() if as_json else _sources(part))
                    elif not as_json:
                        click.echo(part, nl=False)


def _sources(result: Answer) -> str:
    """What is printed under an answer: where it stands."""
    lines = ["", ""]
    if result.citations:
        lines.append("Nearest policies:" if result.abstained else "Sources:")
    for number, citation in enumerate(result.citations, 1):
        place = citation.heading or citation.title
        page = f", page {citation.page}" if citation.page else ""
        effective = f", in force since {citation.effective}" if citation.effective else ""
        expired = " (past its review date)" if citation.is_expired else ""
        lines.append(f"  [{number}] {place} — {citation.file}{page}{effective}{expired}")
    return "\n".join(lines).rstrip()
