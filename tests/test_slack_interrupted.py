"""What is interrupted in Slack and goes on: answers still being written, Slack failing in the middle, and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.erase import erase_interaction
from bot.feedback import Status
from bot.slack.desk import Line
from tests.fake_service import QUOTED, FakeAssistant
from tests.slack_bot import ANA, BEN, HR, running, slack_settings
from tests.slack_server import BOT, Posted, SlackServer, workspace

QUESTION = "How many holidays can I carry over?"


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with workspace() as server:
        yield server


def said(slack: SlackServer, words: str, channel: str = "C1") -> int:
    return sum(words in m.shown for m in slack.messages if m.user == BOT and m.channel == channel)


async def test_a_vote_and_a_correction_on_an_answer_that_is_being_written_count_when_it_is_whole(
    slack: SlackServer, tmp_path: Path
) -> None:
    assistant = FakeAssistant(pause_s=0.3)
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.until(lambda: any(m.user == BOT for m in slack.messages))
        begun = next(m for m in slack.messages if m.user == BOT)
        await slack.react(BEN, begun, "+1")
        await slack.until(lambda: begun.text)
        reply = await slack.say(HR, "Correction: Six days.", thread=asked.ts)
        await slack.edit(reply, "Correction: Seven days.")
        await slack.until(lambda: slack.unacked == 0)
        assert not bot.answers
        await slack.until(lambda: bot.answers and bot.votes == [5], timeout_s=20)
        await slack.until(lambda: "Seven days." in begun.shown and said(slack, "HR has corrected"), timeout_s=20)


async def test_a_correction_is_shown_and_told_once_although_slack_failed_and_the_bot_restarted(
    slack: SlackServer, tmp_path: Path
) -> None:
    config = slack_settings(tmp_path, slack)
    async with running(config) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        slack.broken = {"chat.update C1"}
        await slack.say(HR, "Correction: Six days.", thread=asked.ts)
        await slack.until(lambda: bot.feedback.corrections(Status.LIVE))
    assert QUOTED.text in answer.shown
    slack.broken = {"chat.postMessage C1"}
    async with running(config):
        await slack.until(lambda: "Six days." in answer.shown)
    slack.broken = set()
    async with running(config):
        await slack.until(lambda: said(slack, "HR has corrected"))
    async with running(config):
        await slack.until(lambda: slack.unacked == 0)
        assert said(slack, "HR has corrected") == 1


async def test_a_case_is_brought_before_hr_once_and_its_opener_told_once(slack: SlackServer, tmp_path: Path) -> None:
    config = slack_settings(tmp_path, slack)
    async with running(config):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.click(ANA, answer, "talk_to_hr", answer.button("talk_to_hr"))
        await slack.until(lambda: slack.views)
        slack.broken = {f"chat.postMessage D{ANA}"}
        await slack.submit(ANA, slack.views[0], note="Please call me", how=["question"])
        await slack.until(lambda: said(slack, "Please call me", "CHR"))
    slack.broken = set()
    async with running(config):
        await slack.until(lambda: said(slack, "passed this on", f"D{ANA}"))
        case = next(m for m in slack.messages if m.channel == "CHR")
        slack.broken = {"chat.postMessage CHR"}
        await slack.click(HR, case, "case_reply", case.button("case_reply"))
        await slack.until(lambda: len(slack.views) == 2)
        await slack.submit(HR, slack.views[1], text="Here you are.")
        await slack.until(lambda: said(slack, "Here you are.", f"D{ANA}"))
    slack.broken = set()
    async with running(config):
        await slack.until(lambda: said(slack, "replied to case", "CHR"))
        assert said(slack, "Please call me", "CHR") == said(slack, "passed this on", f"D{ANA}") == 1
        assert said(slack, "HR replies", f"D{ANA}") == 1


async def test_an_answer_that_was_recorded_is_said_after_a_restart_and_not_made_again(
    slack: SlackServer, tmp_path: Path
) -> None:
    assistant = FakeAssistant()
    slack.missing = {"chat.startStream"}
    slack.broken = {"chat.update C1"}
    config = slack_settings(tmp_path, slack)
    async with running(config, assistant.start) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.until(lambda: bot.answers)
    slack.broken = set()
    async with running(config, assistant.start) as bot:
        answer = await slack.answer_to(asked)
        assert QUOTED.text in answer.shown and len(bot.answers) == len(assistant.questions) == 1


async def test_a_reply_belongs_to_the_answer_that_it_stands_under(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        first = await slack.answer_to(asked)
        reply = await slack.say(BEN, "It is six days since May.", thread=asked.ts)
        second = await slack.answer_to(await slack.say(ANA, "And part-time?", thread=asked.ts))
        await slack.say(BEN, "thanks", thread=asked.ts)
        await slack.delete(slack.messages[-1])
        await slack.react(HR, reply, "white_check_mark")
        await slack.until(lambda: "It is six days since May." in first.shown)
        assert QUOTED.text in second.shown
        assert [one.interaction_id for one in bot.feedback.corrections()] == bot.answers[:1]


async def test_a_stream_that_cannot_be_appended_to_is_ended_and_whole(slack: SlackServer, tmp_path: Path) -> None:
    slack.broken = {"chat.appendStream C1"}
    async with running(slack_settings(tmp_path, slack)):
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.until(lambda: "*Sources*" in answer.shown)
        assert QUOTED.text in answer.shown and said(slack, "went wrong") == 0


async def test_a_case_about_an_answer_that_was_erased_is_brought_before_hr_all_the_same(
    slack: SlackServer, tmp_path: Path
) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.click(ANA, answer, "talk_to_hr", answer.button("talk_to_hr"))
        await slack.until(lambda: slack.views)
        erase_interaction(bot.store, slack_settings(tmp_path, slack), bot.answers[0])
        await slack.submit(ANA, slack.views[0], note="Please call me", how=["question"])
        await slack.until(lambda: said(slack, "Please call me", "CHR"))


async def test_who_waits_sees_how_many_come_first(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant(pause_s=0.2)
    async with running(slack_settings(tmp_path, slack), assistant.start):
        asked = [await slack.say(f"U{n}", QUESTION, mention=True) for n in range(10)]
        for one in asked:
            await slack.answer_to(one)
    waited = [text for m in slack.messages if m.user == BOT for text in m.was if "first" in text]
    assert "Looking it up… One question comes first." in waited


async def test_a_line_lets_the_next_through_when_somebody_leaves_it() -> None:
    line, order = Line(1), []

    async def hear(_: int) -> None:
        return None

    async def stand(name: str, leave: asyncio.Event) -> None:
        with line.stand() as ticket:
            await ticket.wait(hear)
            order.append(name)
            await leave.wait()

    leaves = {name: asyncio.Event() for name in "abcd"}
    tasks = {}
    for name in "abcd":
        tasks[name] = asyncio.create_task(stand(name, leaves[name]))
        await asyncio.sleep(0)
    assert line.waiting == 3
    tasks["b"].cancel()
    await asyncio.sleep(0)
    leaves["a"].set()
    await asyncio.sleep(0)  # "c" is called and, before it runs, leaves
    tasks["c"].cancel()
    leaves["d"].set()
    await tasks["d"]
    assert order[0] == "a" and order[-1] == "d" and line.waiting == 0


async def test_of_two_approvals_one_that_is_taken_back_leaves_the_other(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack, hr_people=(HR, "UHR2"))) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.react(HR, answer, "white_check_mark")
        await slack.react("UHR2", answer, "white_check_mark")
        await slack.react(HR, answer, "white_check_mark", added=False)
        await slack.until(lambda: slack.unacked == 0)
        await slack.until(lambda: len(bot.feedback.corrections(Status.LIVE)) == 1)
        await slack.react("UHR2", answer, "white_check_mark", added=False)
        await slack.until(lambda: not bot.feedback.corrections(Status.LIVE))


async def test_a_command_whose_address_has_expired_is_answered_in_a_direct_message(
    slack: SlackServer, tmp_path: Path
) -> None:
    slack.is_expired = True
    async with running(slack_settings(tmp_path, slack)):
        await slack.command(ANA, QUESTION)
        await slack.until(lambda: said(slack, QUOTED.text, f"D{ANA}"))


async def test_sharing_where_the_bot_is_not_is_explained(slack: SlackServer, tmp_path: Path) -> None:
    slack.outside = {"C1"}
    async with running(slack_settings(tmp_path, slack)) as bot:
        await slack.command(ANA, QUESTION)
        await slack.until(lambda: slack.responses)
        await slack.click(ANA, Posted("C1", "1.2", BOT, ""), "share", bot.answers[0])
        await slack.until(lambda: len(slack.responses) == 2)
        assert "/invite" in slack.responses[1]["text"] and not slack.messages


async def test_buttons_that_ask_count_as_questions(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack, questions_per_minute=1)) as bot:
        await slack.click(ANA, None, "ask:0", QUESTION)
        await slack.until(lambda: bot.answers)
        await slack.click(ANA, None, "ask:0", QUESTION)
        await slack.until(lambda: slack.whispers)
        assert "please wait" in slack.whispers[0]["text"] and len(bot.answers) == 1


@pytest.mark.parametrize("name", ["Maria Weber", ""])
async def test_of_people_who_are_mentioned_no_id_is_kept(slack: SlackServer, tmp_path: Path, name: str) -> None:
    slack.names = {"UMARIA": name} if name else {}
    assistant = FakeAssistant()
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        asked = await slack.say(ANA, "May <@UMARIA> approve my leave? See <#C2|people>", mention=True)
        await slack.answer_to(asked)
        assert assistant.questions[0].text == "May a colleague approve my leave? See #people"
        await slack.say(HR, "Correction: Yes, <@UMARIA> may.", thread=asked.ts)
        await slack.until(lambda: bot.feedback.corrections(Status.LIVE))
        assert bot.feedback.corrections()[0].text == f"Yes, {name or 'a colleague'} may."
