"""What goes wrong in Slack, and is to be borne: retries, disorder, limits, dying streams and sockets, hostility."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.feedback import Status
from bot.slack.incoming import Unusable, parse, stored
from config.errors import ConfigError, EngineBusy
from tests.fake_service import QUOTED, FakeAssistant, serving
from tests.slack_bot import ANA, BEN, HR, running, slack_settings
from tests.slack_server import BOT, SlackServer, workspace

QUESTION = "How many holidays can I carry over?"


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with workspace() as server:
        yield server


def answers_in(slack: SlackServer) -> int:
    return sum(QUOTED.text in m.text for m in slack.messages if m.user == BOT)


async def test_an_event_delivered_three_times_is_answered_once(slack: SlackServer, tmp_path: Path) -> None:
    slack.deliver_twice = True
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.answer_to(asked)
        await slack.until(lambda: slack.unacked == 0)
        assert answers_in(slack) == len(bot.answers) == 1


async def test_without_streams_the_answer_comes_by_update(slack: SlackServer, tmp_path: Path) -> None:
    slack.missing = {"chat.startStream", "agents.sessions.setStatus"}
    async with running(slack_settings(tmp_path, slack)):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.until(lambda: "*Sources*" in answer.shown)
        assert answer.was[0] == "Looking it up…" and answers_in(slack) == 1


async def test_a_stream_that_dies_is_finished_by_update(slack: SlackServer, tmp_path: Path) -> None:
    slack.dying = {"C1"}
    async with running(slack_settings(tmp_path, slack)):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.until(lambda: "*Sources*" in answer.shown)
        assert QUOTED.text in answer.shown and answers_in(slack) == 1


async def test_limits_are_waited_for(slack: SlackServer, tmp_path: Path) -> None:
    slack.limited.update({"chat.startStream": 1, "chat.stopStream": 1})
    async with running(slack_settings(tmp_path, slack)):
        await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        assert answers_in(slack) == 1


async def test_a_failure_is_told_with_an_incident_and_without_its_text(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant((RuntimeError("secret internals"),))
    async with running(slack_settings(tmp_path, slack), assistant.start):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        assert "something went wrong" in answer.shown and "mention" in answer.shown
        assert "secret" not in answer.shown


async def test_busy_is_told(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack), FakeAssistant((EngineBusy("full"),)).start):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        assert "a lot of people are asking" in answer.shown


async def test_who_asks_too_much_is_asked_to_wait(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack, questions_per_minute=2)) as bot:
        for _ in range(3):
            await slack.say(ANA, QUESTION, "DANA")
        await slack.until(lambda: slack.whispers and len(bot.answers) == 2)
        assert "please wait" in slack.whispers[0]["text"]


async def test_stop_ends_an_answer_under_way(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant(pause_s=0.5)
    async with running(slack_settings(tmp_path, slack), assistant.start):
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.until(lambda: assistant.questions)
        await slack.stop(ANA, "C1", asked.ts)
        answer = await slack.answer_to(asked)
        assert "Stopped" in answer.shown
        await slack.until(lambda: assistant.cancelled)


async def test_every_click_is_acknowledged_while_ten_wait_for_a_slow_answer(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant(pause_s=0.2)
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        first = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        asked = [await slack.say(f"U{n}", QUESTION, mention=True) for n in range(10)]
        await slack.until(lambda: len(assistant.questions) >= 5)
        for n in range(10):
            await slack.click(f"U{n}", first, "vote", f"up {bot.answers[0]}")
        await slack.until(lambda: len(bot.votes) == 10)
        for one in asked:
            await slack.answer_to(one)
        waited = [slack.acks[name] - slack.sent[name] for name in slack.sent]
        assert slack.unacked == 0 and max(waited) < 3  # Slack's own limit


async def test_dropped_sockets_lose_nothing_and_answer_nothing_twice(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack, questions_per_minute=100)) as bot:
        asked = []
        for _ in range(20):
            asked.append(await slack.say(ANA, QUESTION, "DANA"))
            await slack.drop_sockets()
            asked.append(await slack.say(ANA, QUESTION, "DANA"))
            await slack.until(lambda: slack.sockets, timeout_s=30)
        await slack.redeliver()
        for one in asked:
            await slack.answer_to(one)
        assert len(bot.answers) == answers_in(slack) == len(asked) == 40


async def test_what_was_promised_is_kept_after_a_restart(slack: SlackServer, tmp_path: Path) -> None:
    slow = FakeAssistant(pause_s=5)
    config = slack_settings(tmp_path, slack)
    async with running(config, slow.start):
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.until(lambda: slow.questions and any(m.user == BOT for m in slack.messages))
    assert answers_in(slack) == 0
    async with running(config) as bot:
        await slack.answer_to(asked)
        assert answers_in(slack) == len(bot.answers) == 1
        assert sum(m.user == BOT for m in slack.messages) == 1


async def test_a_deletion_that_overtakes_its_message_withdraws_it(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        for socket in slack.sockets:  # what is said now arrives late
            slack.sockets = []
            reply = await slack.say(HR, "Correction: Nine days.", thread=asked.ts)
            slack.sockets = [socket]
        await slack.delete(reply)
        await slack.redeliver()
        await slack.until(lambda: [one.status for one in bot.feedback.corrections()] == [Status.WITHDRAWN])
        await slack.until(lambda: QUOTED.text in answer.shown)
        assert "Nine days" not in answer.shown


async def signed(slack: SlackServer, url: str) -> list[int]:
    slack.http_url = f"{url}/slack/events"
    event = slack._envelope({"type": "app_home_opened", "user": ANA, "tab": "home", "channel": "DANA"})
    good = await slack.post(event)
    return [good, await slack.post(event, secret="wrong"), await slack.post(event, age_s=600)]


async def test_over_http_only_what_slack_signed_just_now_is_taken(tmp_path: Path) -> None:
    async with workspace() as slack:
        config = slack_settings(tmp_path, slack, mode="http", app_token="")
        async with running(config) as bot:
            with serving_of(bot.app) as url:
                assert await signed(slack, url) == [200, 401, 401]
                asked = await slack.say(ANA, QUESTION, mention=True)
                await slack.answer_to(asked)


def serving_of(app: Any) -> Any:
    """The same app on a socket; its lifespan runs already."""
    return serving(_Bare(app))  # type: ignore[arg-type]


class _Bare:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await self._app(scope, receive, send)


@pytest.mark.parametrize(
    ("more", "missing"),
    [({"app_token": ""}, "slack.app_token"), ({"mode": "http", "signing_secret": ""}, "slack.signing_secret")],
)
async def test_what_is_missing_in_the_settings_is_named(
    slack: SlackServer, tmp_path: Path, more: dict[str, str], missing: str
) -> None:
    with pytest.raises(ConfigError, match=missing):
        async with running(slack_settings(tmp_path, slack, **more)):
            pass


async def test_readyz_says_whether_slack_is_connected(slack: SlackServer, tmp_path: Path) -> None:
    async with (
        running(slack_settings(tmp_path, slack)) as bot,
        httpx.AsyncClient(transport=httpx.ASGITransport(bot.app), base_url="http://localhost") as client,
    ):
        assert (await client.get("/readyz")).json()["slack"] == "connected"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "type",
        "event",
        "event_id",
        "event_time",
        "user",
        "channel",
        "ts",
        "thread_ts",
        "text",
        "subtype",
        "message",
        "previous_message",
        "item",
        "reaction",
        "tab",
        "actions",
        "container",
        "view",
        "state",
        "values",
        "command",
        "trigger_id",
        "user_id",
        "channel_id",
        "response_url",
        "team",
        "callback_id",
    ]
)
TYPES = st.sampled_from(
    [
        "event_callback",
        "block_actions",
        "view_submission",
        "message_action",
        "shortcut",
        "message",
        "app_mention",
        "reaction_added",
        "message_changed",
        "message_deleted",
        "app_home_opened",
        "agent_session_stopped",
    ]
)
HOSTILE = st.recursive(
    JSON | TYPES,
    lambda inner: st.dictionaries(KEYS, inner, max_size=8) | st.lists(inner, max_size=2),
    max_leaves=30,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.dictionaries(KEYS, HOSTILE, max_size=8),
    kind=TYPES,
    event=st.dictionaries(KEYS, HOSTILE, max_size=8),
    of=TYPES,
)
def test_whatever_is_sent_is_parsed_or_refused(body: dict[str, Any], kind: str, event: dict[str, Any], of: str) -> None:
    for payload in (
        body,
        {**body, "type": kind},
        {"type": "event_callback", "event_id": "E", "event_time": 1, "event": event | {"type": of}},
    ):
        try:
            incoming = parse(payload)
        except Unusable as reason:
            assert str(reason)
        else:
            assert stored(incoming.model_dump_json()) == incoming


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message", "channel": "C1", "ts": "1.1", "user": "U1", "text": None},
        {"type": "message", "channel": "C1", "ts": "x", "user": "U1", "text": f"<@{BOT}> hi"},
        {"type": "reaction_added", "user": "U1", "reaction": "+1", "item": {"type": "file"}},
        {"type": "message", "subtype": "message_changed", "channel": "C1", "message": {}, "previous_message": {}},
        {"type": "user_huddle_changed", "user": "U1"},
    ],
)
async def test_a_malformed_event_is_dropped_and_logged_and_the_bot_goes_on(
    slack: SlackServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, event: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO, logger="bot")
    async with running(slack_settings(tmp_path, slack)):
        await slack.deliver(slack._envelope(event))
        await slack.until(lambda: slack.unacked == 0)
        assert "dropped" in caplog.text or event["ts"] == "x"
        await slack.answer_to(await slack.say(BEN, QUESTION, mention=True))
    assert QUESTION not in caplog.text
