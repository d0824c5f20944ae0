"""The bot is killed at 200 random moments, and then the workspace and the ledger are audited.

What was acknowledged is there: every vote once, and under every question one message, which is an answer or an apology.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import sqlite3
import time
from pathlib import Path

import pytest

from tests.fake_service import QUOTED, FakeAssistant
from tests.slack_bot import running, slack_settings
from tests.slack_server import BOT, Posted, SlackServer, workspace

KILLS = 200
QUESTION = "How many holidays can I carry over?"


def serve(data_dir: Path, address: str) -> None:
    """The child: a bot that runs until it is killed. Its answers take a while, and have ids of their own."""
    assistant = FakeAssistant(pause_s=0.01, _ids=itertools.count(time.time_ns()))
    settings = slack_settings(data_dir, SlackServer(address=address), questions_per_minute=10_000)

    async def forever() -> None:
        async with running(settings, assistant.start):
            await asyncio.sleep(3600)

    asyncio.run(forever())


@pytest.mark.slow
async def test_a_bot_that_is_killed_200_times_loses_nothing_and_leaves_nobody_waiting(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_slack_kill", "bot.slack.app"])
    rng = random.Random(0)
    asked: list[Posted] = []
    voters: list[str] = []

    async with workspace() as slack:

        def start() -> multiprocessing.process.BaseProcess:
            child = context.Process(target=serve, args=(tmp_path, slack.address), daemon=True)
            child.start()
            return child

        child = start()
        first = await slack.say("UANA", QUESTION, "DANA")
        answer = await slack.answer_to(first)
        for number in range(KILLS):
            await slack.until(lambda: slack.sockets, timeout_s=60)
            asked.append(await slack.say("UANA", QUESTION, "DANA"))
            voters.append(f"U{number}")
            await slack.react(voters[-1], answer, "+1")
            await asyncio.sleep(rng.uniform(0, 0.4))
            child.kill()
            await asyncio.to_thread(child.join)
            await slack.until(lambda: not slack.sockets, timeout_s=60)
            child = start()
        for one in asked:
            await slack.answer_to(one)
        await slack.until(lambda: slack.unacked == 0 and _open_tasks(tmp_path) == 0, timeout_s=60)
        child.terminate()
        await asyncio.to_thread(child.join)

        for one in (first, *asked):
            (under_it,) = [m for m in slack.messages if m.user == BOT and m.thread_ts == one.ts]
            assert QUOTED.text in under_it.shown or "something went wrong" in under_it.shown
        answered = sum(QUOTED.text in m.shown for m in slack.messages if m.user == BOT)
        assert answered > 0.8 * KILLS  # an apology is for what was interrupted five times
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ledger.execute("PRAGMA foreign_key_check").fetchall() == []
        assert ledger.execute("SELECT count(*) FROM interactions").fetchone() == (answered,)
        counted = ledger.execute("SELECT count(DISTINCT person) FROM votes WHERE rating = 5").fetchone()
        assert counted == (len(voters),)
        assert ledger.execute("SELECT count(*) FROM events").fetchone() == (len(asked) + len(voters) + 1,)


def _open_tasks(data_dir: Path) -> int:
    with sqlite3.connect(data_dir / "ledger.sqlite") as ledger:
        return int(ledger.execute("SELECT count(*) FROM inbox").fetchone()[0])
