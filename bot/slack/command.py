"""`/hr question`: an answer that its asker alone sees, until they share it with the channel.

Enters: a `Command`, or the click on "Share with channel". Leaves: a reply to the command's own address, or a direct
message once that has expired; question and answer in the channel, made anew from what everybody may read.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.answer import Asker, Question
from bot.follow import explain
from bot.inbox import Task
from bot.slack.answering import answer_of, record, whole_answer
from bot.slack.desk import ANSWERED, CHANNEL, Desk, Said, once, person
from bot.slack.incoming import Click, Command
from bot.slack.reply import Reply, answer_reply, plain, with_names
from config.settings import Audience

_HOW_TO_ASK = "Write your question after the command: `/hr how many days can I carry over?`"
_NOT_THERE = (
    "I am not in this channel, so I cannot share there; write `/invite` with my name and press the button again."
)
# What Slack says where the bot may not write.
_OUTSIDE = {"not_in_channel", "channel_not_found", "is_archived", "restricted_action", "no_permission"}


async def answer_command(desk: Desk, command: Command, task: Task) -> None:
    """Answer so that only the asker sees it."""
    text = plain(with_names(command.text, {})).strip()
    if not text:
        await reply_to(desk, command, Reply(_HOW_TO_ASK, []))
        return
    answer = await _answer(desk, command, text, task)
    await reply_to(desk, command, answer)


async def _answer(desk: Desk, command: Command, text: str, task: Task) -> Reply:
    if ANSWERED in task.notes:
        recorded = await asyncio.to_thread(desk.store.interaction, task.notes[ANSWERED])
        if recorded.answer:
            return answer_reply(answer_of(recorded), can_share=True)
    asker = await desk.people.asker(command.user, is_private=True)
    question = Question(text, asker, CHANNEL, person=desk.store.hash(person(command.user)))
    try:
        with desk.line.stand() as ticket:
            await ticket.wait(_unheard)
            answer = await whole_answer(desk, question)
    except Exception as error:  # the edge of a question: whatever it is, the employee gets a sentence
        failure = explain(error, desk.settings.company)
        desk.metrics.failed(failure.kind, CHANNEL)
        return Reply(failure.message, [])
    if ANSWERED in task.notes:  # a sensitive message's: its text is not kept, so it was made again
        answer = replace(answer, id=task.notes[ANSWERED])
    else:
        await record(desk, task, question, answer, person(command.user), None)
    return answer_reply(answer, can_share=True)


async def reply_to(desk: Desk, command: Command, reply: Reply) -> None:
    """Say something to whoever typed a command, and to nobody else.

    Raises:
        OSError: Slack could not take it now.
    """
    webhook = AsyncWebhookClient(command.response_url)
    sent = await webhook.send(text=reply.text, blocks=reply.blocks, response_type="ephemeral")
    if sent.status_code >= 500 or sent.status_code == 429:
        raise OSError(f"Slack answered {sent.status_code}")
    if sent.status_code >= 400:  # the address holds for half an hour
        opened = await desk.client.conversations_open(users=command.user)
        await desk.client.chat_postMessage(
            channel=str(opened["channel"]["id"]), text=f"{command.text}\n{reply.text}", blocks=reply.blocks
        )


async def share(desk: Desk, click: Click, task: Task) -> None:
    """Say in the channel what was asked, and the answer that everybody may read."""
    asked = await asyncio.to_thread(desk.store.interaction, click.value)

    async def ask_there() -> str:
        text = f"<@{click.user}> asked: {Reply(asked.question, []).text}"
        return str((await desk.client.chat_postMessage(channel=click.channel, text=text))["ts"])

    try:
        ts = await once(desk, task, "asked", ask_there)
    except SlackApiError as error:
        if error.response["error"] not in _OUTSIDE:
            raise
        await AsyncWebhookClient(click.response_url).send(
            text=_NOT_THERE, response_type="ephemeral", replace_original=False
        )
        return
    question = Question(asked.question, Asker(Audience.ALL, asked.asker.country), CHANNEL)
    with desk.line.stand() as ticket:
        await ticket.wait(_unheard)
        answer = await whole_answer(desk, question)
    reply = answer_reply(answer)

    async def answer_there() -> str:
        posted = await desk.client.chat_postMessage(
            channel=click.channel, thread_ts=ts, text=reply.text, blocks=reply.blocks
        )
        said = Said(channel=click.channel, ts=str(posted["ts"]), thread_ts=ts, user=click.user)
        await record(desk, task, question, answer, person(click.user), said)
        return said.ts

    await once(desk, task, "shared", answer_there)


async def _unheard(_: int) -> None:
    """Nobody sees a place in the line."""
