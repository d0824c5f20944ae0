"""Stories from a workspace: what people do in Slack, what they see, and what the ledger keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.feedback import Status
from tests.fake_service import QUOTED, SENSITIVE, UNKNOWN, FakeAssistant
from tests.slack_bot import ANA, BEN, HR, running, slack_settings
from tests.slack_server import BOT, Posted, SlackServer, workspace

QUESTION = "How many holidays can I carry over?"


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with workspace() as server:
        yield server


async def test_a_mention_is_answered_in_its_thread_with_sources_and_buttons(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant()
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        assert QUOTED.text in answer.text
        assert "*Sources*" in answer.shown and "in force since 1 January 2026" in answer.shown
        assert "<https://intranet.example.com/leave|" in answer.shown and "javascript" not in answer.shown
        assert {block["type"] for block in answer.blocks} >= {"context", "context_actions", "actions"}
        assert [question.text for question in assistant.questions] == [QUESTION]
        assert len(bot.answers) == 1


async def test_a_direct_message_needs_no_mention_and_channel_talk_is_left_alone(
    slack: SlackServer, tmp_path: Path
) -> None:
    assistant = FakeAssistant()
    async with running(slack_settings(tmp_path, slack), assistant.start):
        await slack.say(BEN, "Lunch?", "C1")
        asked = await slack.say(ANA, QUESTION, "DANA")
        await slack.answer_to(asked)
        assert [question.text for question in assistant.questions] == [QUESTION]


async def test_thumbs_are_counted_once_and_taken_back(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        slack.deliver_twice = True
        await slack.react(ANA, answer, "+1::skin-tone-3")
        await slack.react(BEN, answer, "-1")
        await slack.until(lambda: sorted(bot.votes) == [1, 5])
        await slack.react(ANA, answer, "+1::skin-tone-3", added=False)
        await slack.react(BEN, answer, "eyes")
        await slack.until(lambda: bot.votes == [1])


async def test_thumb_down_asks_for_the_reason_and_what_is_right_becomes_a_suggestion(
    slack: SlackServer, tmp_path: Path
) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        interaction = bot.answers[0]
        await slack.click(ANA, answer, "vote", f"down {interaction}")
        await slack.until(lambda: slack.views)
        await slack.submit(ANA, slack.views[0], reason="outdated", ideal="Six days.")
        await slack.until(lambda: bot.feedback.corrections(Status.SUGGESTED))
        (vote,) = bot.store.current_votes(interaction)
        assert (vote.rating, vote.reason, vote.ideal_response) == (1, "It is out of date", "Six days.")
        await slack.until(lambda: any(m.channel == "CHR" for m in slack.messages))
        suggestion = next(m for m in slack.messages if m.channel == "CHR")
        assert "Six days." in suggestion.shown
        await slack.click(BEN, suggestion, "approve", suggestion.button("approve"))
        await slack.until(lambda: slack.whispers)
        assert "Only people of HR" in slack.whispers[-1]["text"]
        await slack.click(HR, suggestion, "approve", suggestion.button("approve"))
        await slack.until(lambda: "Corrected by HR" in answer.shown)
        assert "Six days." in answer.shown
        await slack.until(lambda: "approved" in suggestion.text)


async def test_hr_corrects_in_the_thread_edits_and_withdraws(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        reply = await slack.say(HR, "correction: Seven days &amp; no more.", thread=asked.ts)
        told = await slack.answer_to(reply)
        assert f"<@{ANA}>" in told.text and "corrected" in told.text
        assert "Corrected by HR" in answer.shown and "Seven days &amp; no more." in answer.shown
        assert bot.feedback.corrections()[0].text == "Seven days & no more."
        await slack.edit(reply, "Correction: Eight days.")
        await slack.until(lambda: "Eight days." in answer.shown)
        await slack.delete(reply)
        await slack.until(lambda: QUOTED.text in answer.shown and "Corrected" not in answer.shown)
        assert bot.feedback.corrections(Status.LIVE) == []
        assert sum("corrected" in m.text for m in slack.messages) == 1


async def test_a_colleague_s_reply_becomes_right_by_hr_s_tick(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        reply = await slack.say(BEN, "It is six days since May.", thread=asked.ts)
        await slack.react(BEN, reply, "white_check_mark")
        await slack.react(HR, reply, "white_check_mark")
        await slack.until(lambda: "It is six days since May." in answer.shown)
        await slack.edit(reply, "It is sixty days.")
        await slack.until(lambda: QUOTED.text in answer.shown)
        assert [one.text for one in bot.feedback.corrections(Status.SUGGESTED)] == ["It is sixty days."]


async def test_what_others_correct_waits_for_hr(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        answer = await slack.answer_to(asked)
        await slack.say(BEN, "Correction: As many as you like.", thread=asked.ts)
        await slack.until(lambda: slack.whispers)
        assert "HR will look at" in slack.whispers[0]["text"]
        assert "As many as you like" not in answer.shown
        assert [one.status for one in bot.feedback.corrections()] == [Status.SUGGESTED]


async def test_a_suggestion_that_was_changed_since_hr_saw_it_is_not_approved(
    slack: SlackServer, tmp_path: Path
) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.answer_to(asked)
        reply = await slack.say(BEN, "Correction: Six days.", thread=asked.ts)
        await slack.until(lambda: any(m.channel == "CHR" for m in slack.messages))
        seen = next(m for m in slack.messages if m.channel == "CHR")
        await slack.edit(reply, "Correction: Sixty days.")
        await slack.until(lambda: bot.feedback.corrections()[0].text == "Sixty days.")
        await slack.click(HR, seen, "approve", seen.button("approve"))
        await slack.until(lambda: any("changed since" in one["text"] for one in slack.whispers))
        assert [one.status for one in bot.feedback.corrections()] == [Status.SUGGESTED]


async def test_hr_s_tick_on_an_answer_makes_it_verified(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.react(HR, answer, "white_check_mark")
        await slack.until(lambda: [one.text for one in bot.feedback.corrections(Status.LIVE)] == [QUOTED.text])
        await slack.react(HR, answer, "white_check_mark", added=False)
        await slack.until(lambda: not bot.feedback.corrections(Status.LIVE))


async def test_the_shortcut_opens_hr_s_own_answer_and_nobody_else_s(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.shortcut(BEN, answer, "correct_answer")
        await slack.until(lambda: slack.whispers)
        assert "Correction:" in slack.whispers[0]["text"] and not slack.views
        await slack.shortcut(HR, answer, "correct_answer")
        await slack.until(lambda: slack.views)
        text = next(block for block in slack.views[0]["blocks"] if block.get("block_id") == "text")
        assert text["element"]["initial_value"] == QUOTED.text
        await slack.submit(HR, slack.views[0], text="Six days.", review_on="2027-01-01")
        await slack.until(lambda: "Six days." in answer.shown)
        assert str(bot.feedback.corrections()[0].review_on) == "2027-01-01"


async def test_a_follow_up_brings_its_thread_along(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant()
    slack.page_size = 1
    async with running(slack_settings(tmp_path, slack), assistant.start):
        asked = await slack.say(ANA, QUESTION, mention=True)
        await slack.answer_to(asked)
        await slack.say(BEN, "Good question!", thread=asked.ts)
        more = await slack.say(ANA, "And part-time?", thread=asked.ts)
        await slack.answer_to(more)
        history = assistant.questions[1].history
        assert [turn.role for turn in history] == ["user", "bot", "user"]
        assert QUESTION in history[0].text and len(assistant.questions) == 2


async def test_what_is_sensitive_is_answered_in_a_direct_message(slack: SlackServer, tmp_path: Path) -> None:
    private = "My manager touched me"
    assistant = FakeAssistant((SENSITIVE,), held_back=frozenset({private}))
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        asked = await slack.say(ANA, private, mention=True)
        in_channel = await slack.answer_to(asked)
        assert "direct message" in in_channel.text
        await slack.until(lambda: any(SENSITIVE.text in m.shown for m in slack.messages))
        assert {m.channel for m in slack.messages if SENSITIVE.text in m.shown} == {f"D{ANA}"}
        assert bot.store.interaction(bot.answers[0]).question == ""


@pytest.mark.parametrize("question", ["Why is my salary so low?", "I'm pregnant, what now?"])
async def test_one_s_own_affairs_are_answered_in_a_direct_message(
    slack: SlackServer, tmp_path: Path, question: str
) -> None:
    async with running(slack_settings(tmp_path, slack)):
        asked = await slack.say(ANA, question, mention=True)
        assert "direct message" in (await slack.answer_to(asked)).text
        await slack.until(lambda: any(m.channel == f"D{ANA}" and QUOTED.text in m.shown for m in slack.messages))


async def test_where_others_read_along_only_what_is_for_everybody_is_used(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant()
    slack.groups = {"SMAN": [ANA], "SDE": [ANA]}
    settings = slack_settings(tmp_path, slack, managers_group="SMAN", country="GB", country_groups={"DE": "SDE"})
    async with running(settings, assistant.start):
        await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.answer_to(await slack.say(ANA, QUESTION, f"D{ANA}"))
        await slack.answer_to(await slack.say(HR, QUESTION, f"D{HR}"))
    askers = [(question.asker.audience.value, question.asker.country) for question in assistant.questions]
    assert askers == [("all", "DE"), ("managers", "DE"), ("hr", "GB")]


async def test_the_command_answers_its_asker_alone_and_can_be_shared(slack: SlackServer, tmp_path: Path) -> None:
    assistant = FakeAssistant()
    async with running(slack_settings(tmp_path, slack), assistant.start) as bot:
        await slack.command(HR, QUESTION)
        await slack.until(lambda: slack.responses)
        given = slack.responses[0]
        assert given["response_type"] == "ephemeral" and QUOTED.text in given["text"]
        assert not slack.messages
        await slack.click(HR, Posted("C1", "1.2", BOT, ""), "share", bot.answers[0])
        await slack.until(lambda: len(slack.messages) == 2)
        asked, answer = slack.messages
        assert f"<@{HR}> asked: {QUESTION}" in asked.text and QUOTED.text in answer.shown
        assert (answer.channel, answer.thread_ts) == ("C1", asked.ts)
        assert [question.asker.audience.value for question in assistant.questions] == ["hr", "all"]


async def test_talk_to_hr_opens_a_case_and_the_reply_comes_back(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.click(ANA, answer, "talk_to_hr", answer.button("talk_to_hr"))
        await slack.until(lambda: slack.views)
        await slack.submit(ANA, slack.views[0], note="I need it in writing", how=["question", "anonymous"])
        await slack.until(lambda: any(m.channel == "CHR" for m in slack.messages))
        case = next(m for m in slack.messages if m.channel == "CHR")
        assert QUESTION in case.shown and "I need it in writing" in case.shown and ANA not in case.shown
        await slack.click(HR, case, "case_reply", case.button("case_reply"))
        await slack.until(lambda: len(slack.views) == 2)
        await slack.submit(HR, slack.views[1], text="Here you are.")
        await slack.until(lambda: any("Here you are." in m.text for m in slack.messages if m.channel == f"D{ANA}"))
        await slack.click(HR, case, "case_resolve", case.button("case_resolve"))
        await slack.until(lambda: len(slack.views) == 3)
        await slack.submit(HR, slack.views[2], text="Five days, in writing.", verify=["verify"])
        await slack.until(lambda: bot.feedback.corrections(Status.LIVE))
        assert bot.feedback.corrections()[0].text == "Five days, in writing."


async def test_home_shows_hr_what_awaits_them(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack), FakeAssistant((UNKNOWN, QUOTED)).start) as bot:
        await slack.answer_to(await slack.say(ANA, "May I bring my dog?", mention=True))
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.react(BEN, answer, "-1")
        await slack.until(lambda: bot.votes_on(bot.answers[1]) == [1])
        await slack.open_home(HR)
        await slack.open_home(ANA)
        await slack.until(lambda: len(slack.homes) == 2)
        for_hr, for_ana = (str(slack.homes[user]) for user in (HR, ANA))
        assert "May I bring my dog?" in for_hr and QUESTION in for_hr and "Voted down" in for_hr
        assert "Voted down" not in for_ana and QUESTION in for_ana and "What you asked" in for_ana
        button = next(e for b in slack.homes[ANA]["blocks"] for e in b.get("elements", ()))
        await slack.click(ANA, None, button["action_id"], button["value"])
        await slack.until(lambda: any(m.channel == f"D{ANA}" and QUOTED.text in m.text for m in slack.messages))


async def test_a_verified_answer_whose_review_is_due_awaits_hr_until_it_is_confirmed(
    slack: SlackServer, tmp_path: Path
) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        answer = await slack.answer_to(await slack.say(ANA, QUESTION, mention=True))
        await slack.shortcut(HR, answer, "correct_answer")
        await slack.until(lambda: slack.views)
        await slack.submit(HR, slack.views[0], text="Six days.", review_on="2020-01-01")
        await slack.until(lambda: "look at again" in str(slack.homes.get(HR)))
        (correction,) = bot.feedback.corrections(Status.LIVE)
        await slack.click(HR, None, "confirm", f"{correction.id} of-another-text")
        await slack.until(lambda: any("changed since" in one["text"] for one in slack.whispers))
        assert "look at again" in str(slack.homes[HR])
        elements = [e for block in slack.homes[HR]["blocks"] for e in block.get("elements", ())]
        await slack.click(HR, None, "confirm", next(e["value"] for e in elements if e.get("action_id") == "confirm"))
        await slack.until(lambda: "look at again" not in str(slack.homes[HR]))
        (confirmed,) = bot.feedback.corrections(Status.LIVE)
        assert confirmed.text == "Six days." and str(confirmed.review_on) > "2026"


async def test_suggested_questions_stand_where_somebody_is_about_to_write(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)):
        await slack.open_home(ANA, tab="messages")
        await slack.until(lambda: [m for m, _ in slack.calls if m == "assistant.threads.setSuggestedPrompts"])


async def test_hr_hears_what_came_of_the_night(slack: SlackServer, tmp_path: Path) -> None:
    async with running(slack_settings(tmp_path, slack)) as bot:
        await bot.slack.tell_hr("2026-11-23-abc answers now: answers that are right: 60% before, 64% now <!channel>")
        told = [message for message in slack.messages if message.channel == "CHR"]
        assert "answers now" in told[-1].text and "<!channel>" not in told[-1].text
