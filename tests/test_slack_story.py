"""The whole loop in Slack with the real assistant: asked, corrected, asked differently by somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from bot.serve import start
from config.settings import DocumentSettings, LedgerSettings
from tests.handbook import write_handbook
from tests.slack_bot import ANA, BEN, HR, running, slack_settings
from tests.slack_server import SlackServer, workspace


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with workspace() as server:
        yield server


@pytest.mark.slow
async def test_what_hr_corrects_is_what_the_next_employee_gets(
    slack: SlackServer, tmp_path: Path, ledger: LedgerSettings
) -> None:
    documents = DocumentSettings(folder=write_handbook(tmp_path / "handbook"), rescan_s=0)
    settings = slack_settings(tmp_path / "data", slack).model_copy(update={"documents": documents})
    async with running(settings, partial(start, settings), ledger) as bot:
        asked = await slack.say(ANA, "How many unused days can I carry over to next year?", mention=True)
        answer = await slack.answer_to(asked)
        assert "five unused days" in answer.shown and "Carrying over" in answer.shown
        await slack.react(ANA, answer, "+1")
        await slack.until(lambda: bot.votes == [5])

        correction = await slack.say(HR, "Correction: Up to six days, from this year on.", thread=asked.ts)
        await slack.until(lambda: "Corrected by HR" in answer.shown)
        await slack.edit(correction, "Correction: Up to seven days, from this year on.")
        await slack.until(lambda: "seven days" in answer.shown)

        again = await slack.say(BEN, "hi, how many unused days can I carry over to next year??", f"D{BEN}")
        given = await slack.answer_to(again)
        assert "seven days" in given.shown and "Verified by HR on" in given.shown

        other = await slack.answer_to(await slack.say(BEN, "When must unused days be used by?", f"D{BEN}"))
        assert "seven days" not in other.shown or "31 March" in other.shown

        await slack.click(HR, given, "unlink", given.button("unlink"))
        await slack.until(lambda: any("not get that answer again" in one["text"] for one in slack.whispers))
        third = await slack.say(BEN, "hi, how many unused days can I carry over to next year??", f"D{BEN}")
        assert "Verified by HR" not in (await slack.answer_to(third)).shown

        await slack.delete(correction)
        await slack.until(lambda: "five unused days" in answer.shown)
        last = await slack.say(ANA, "How many unused days can I carry over to next year?", f"D{ANA}")
        assert "seven days" not in (await slack.answer_to(last)).shown
