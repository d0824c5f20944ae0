"""Answer what somebody wrote: decide whether it is a question to the bot, and bring the answer into its thread.

Enters: a `Message` or a click, with the task that was promised. Leaves: one message with the answer, the answer in the
ledger, and where it was said. Where others read along, only what is for everybody is used, and what is a person's own
affair is answered in a direct message.

A task may be done again after the process was killed: it finishes the message that is there, with the answer that was
recorded if there is one.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import defaultdict, deque
from contextlib import aclosing, suppress
from dataclasses import replace
from time import monotonic

from slack_sdk.errors import SlackApiError
from sqlalchemy import Connection

from bot.answer import Answer, Question, Turn
from bot.follow import explain, follow, keep
from bot.inbox import Task
from bot.replies import failure_reply
from bot.slack.deliver import LOOKING, Delivery, Place
from bot.slack.desk import ANSWERED, CHANNEL, SAID, Desk, Said, Ticket, once, person, place, said_in
from bot.slack.incoming import Message
from bot.slack.reply import Reply, answer_reply, corrected_reply, mentioned, plain, with_names
from bot.slack.thread import history, left_behind
from bot.store import Interaction
from config.errors import UnknownInteraction

_log = logging.getLogger(__name__)

_MAX_QUESTION = 2_000
# A question whose answering ends the process each time is not tried for ever.
_MAX_ATTEMPTS = 5
# Of these nobody else should read, although a policy answers them.
_OWN_AFFAIR = re.compile(
    r"\bmy (?:own )?(?:\w+ )?(?:salary|pay ?slip|pay ?rise|raise|wages?|bonus|compensation|grade|rating|appraisal"
    r"|warning|debt|loan|advance|illness|diagnosis|treatment|therapy|surgery|operation|medication|pregnancy|disability|divorce"
    r"|visa|pip|performance)\b|\bi(?:'m| am) (?:pregnant|ill|sick|disabled|being (?:treated|paid))\b",
    re.IGNORECASE,
)
_OWN_AFFAIR_REPLY = "That sounds like your own affair, so I have answered you in a direct message."


class Patience:
    """How many questions somebody asked in the last minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._asked: defaultdict[str, deque[float]] = defaultdict(deque)

    def is_over(self, user: str) -> bool:
        """Count one more question; True where that is too many."""
        asked, now = self._asked[user], monotonic()
        while asked and now - asked[0] > 60:
            asked.popleft()
        if len(asked) >= self._per_minute:
            return True
        asked.append(now)
        return False


async def is_question(desk: Desk, message: Message) -> bool:
    """Whether the bot is asked: in a direct message, by a mention, or by the asker going on in their thread."""
    if message.user == desk.bot_user or not _text(desk, message):
        return False
    people = mentioned(message.text)
    if message.channel_type == "im" or desk.bot_user in people:
        return True
    if not message.thread_ts or people:
        return False
    post = await asyncio.to_thread(desk.posts.last_in, place(message.channel, message.thread_ts))
    if post is None:
        return False
    answered = await asyncio.to_thread(desk.store.interaction, post.interaction_id)
    return answered.person == desk.store.hash(person(message.user))


async def answer_message(desk: Desk, message: Message, task: Task) -> None:
    """Answer in the thread, or in a direct message what is nobody else's affair."""
    text = _text(desk, message)
    placed = ""
    target = Place(message.channel, message.thread, message.user, message.team)
    if begun := said_in(task):
        target, placed = Place(begun.channel, begun.thread_ts, message.user, message.team), begun.ts
    elif message.channel_type != "im" and await _is_own_affair(desk, text):
        target = await _direct(desk, message.user, text, task)
        await once(desk, task, "explained", lambda: _say_own_affair(desk, message))
    elif task.attempts:
        placed = await left_behind(desk, target, message.ts)
    is_private = message.channel_type == "im" or target.channel != message.channel
    turns = await history(desk, message) if message.thread_ts and target.channel == message.channel else ()
    asker = await desk.people.asker(message.user, is_private=is_private)
    question = Question(text, asker, CHANNEL, turns, desk.store.hash(person(message.user)))
    await answer_into(desk, question, target, task, placed)


async def answer_into(desk: Desk, question: Question, target: Place, task: Task, placed: str = "") -> None:
    """Answer in one message of a thread; `placed` is where it stands already."""

    def said_at(ts: str) -> Said:
        return Said(channel=target.channel, ts=ts, thread_ts=target.thread_ts, user=target.user)

    async def remember(ts: str) -> None:
        await asyncio.to_thread(desk.inbox.note, task.id, SAID, said_at(ts).model_dump_json())

    if placed and SAID not in task.notes:
        await remember(placed)
    delivery = Delivery(desk.client, target, remember, placed)
    recorded = await _recorded(desk, task)
    if recorded and recorded.answer:
        await _finish(desk, delivery, answer_of(recorded))
        return
    if task.attempts >= _MAX_ATTEMPTS:
        incident_id = secrets.token_hex(4)
        _log.error("given up after %d tries: incident %s", task.attempts, incident_id)
        await delivery.begin()
        await delivery.fail(failure_reply(desk.settings.company, incident_id))
        return
    await _status(desk, target, "processing")
    try:
        with desk.line.stand() as ticket:
            busy = ticket.ahead + desk.ready.service.waiting()
            await delivery.begin(_ahead(busy) if busy else "")
            answer = await _stoppable(desk, question, delivery, target, ticket)
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        await delivery.fail("Stopped, as you asked.")
    except Exception as error:  # the edge of a question: whatever it is, the employee gets a sentence
        failure = explain(error, desk.settings.company)
        desk.metrics.failed(failure.kind, CHANNEL)
        await delivery.fail(failure.message)
    else:
        if recorded:  # a sensitive message's: its text is not kept, so it was made again
            answer = replace(answer, id=recorded.id)
        else:
            await record(desk, task, question, answer, person(target.user), said_at(delivery.ts))
        await _finish(desk, delivery, answer)
    await _status(desk, target, "active")


async def standing(desk: Desk, answer: Answer) -> Reply:
    """What is to be read where an answer was given: HR's own if there is one. Ask with `desk.showing` held."""
    live = await asyncio.to_thread(desk.feedback.live_for, answer.id)
    if live and live.text != answer.text:
        return corrected_reply(live.text, live.live_since.date(), answer.id)
    return answer_reply(answer)


async def apologise(desk: Desk, message: Message, task_id: str, text: str) -> None:
    """Say that there will be no answer, in the message that was begun if there is one."""
    task = await asyncio.to_thread(desk.inbox.task, task_id)
    said = said_in(task) if task else None
    target = (
        Place(said.channel, said.thread_ts, message.user)
        if said
        else Place(message.channel, message.thread, message.user, message.team)
    )

    async def forget(_: str) -> None:
        return None

    delivery = Delivery(desk.client, target, forget, said.ts if said else "")
    await delivery.begin()
    await delivery.fail(text)


async def record(desk: Desk, task: Task, question: Question, answer: Answer, asker: str, said: Said | None) -> None:
    """Keep an answer, where it is said and that the task has come so far, all at once and before it is said."""

    def also(connection: Connection) -> None:
        if said:
            desk.posts.keep(connection, said.place, said.thread, answer.id, said.model_dump_json())
        if not desk.inbox.note_within(connection, task.id, ANSWERED, answer.id):
            raise UnknownInteraction("The task is gone: whoever asked was erased meanwhile.")

    desk.metrics.answered(answer, CHANNEL)
    await keep(desk.ready, question, answer, asker, also)


async def ask_aloud(desk: Desk, text: str, user: str, task: Task) -> None:
    """Ask one of the suggested questions for somebody, in their direct messages."""
    begun = said_in(task)
    target = Place(begun.channel, begun.thread_ts, user) if begun else await _direct(desk, user, text, task)
    asker = await desk.people.asker(user, is_private=True)
    question = Question(text, asker, CHANNEL, person=desk.store.hash(person(user)))
    await answer_into(desk, question, target, task, begun.ts if begun else "")


async def refuse(desk: Desk, message: Message, text: str) -> None:
    """Say to the asker alone why there is no answer now."""
    with suppress(SlackApiError):
        await desk.client.chat_postEphemeral(
            channel=message.channel, user=message.user, thread_ts=message.thread_ts or None, text=text
        )


async def whole_answer(desk: Desk, question: Question) -> Answer:
    """An answer that nobody watches being written."""
    async with aclosing(follow(desk.ready.service, question)) as items:
        async for item in items:
            if isinstance(item, Answer):
                return item
    raise RuntimeError("an answer ended without its end")


async def _recorded(desk: Desk, task: Task) -> Interaction | None:
    return await asyncio.to_thread(desk.store.interaction, task.notes[ANSWERED]) if ANSWERED in task.notes else None


async def _finish(desk: Desk, delivery: Delivery, answer: Answer) -> None:
    async with desk.showing(answer.id):
        await delivery.finish(await standing(desk, answer))


async def _stoppable(desk: Desk, question: Question, delivery: Delivery, target: Place, ticket: Ticket) -> Answer:
    thread = place(target.channel, target.thread_ts)
    desk.running[thread] = work = asyncio.create_task(_streamed(desk, question, delivery, ticket))
    try:
        return await work
    finally:
        desk.running.pop(thread, None)


async def _streamed(desk: Desk, question: Question, delivery: Delivery, ticket: Ticket) -> Answer:
    async def tell(ahead: int) -> None:
        await delivery.say(_ahead(ahead))

    await ticket.wait(tell)
    async with aclosing(follow(desk.ready.service, question)) as items:
        async for item in items:
            if isinstance(item, Answer):
                return item
            if isinstance(item, str):
                await delivery.add(item)
            elif item.position:
                await tell(item.position)
    raise RuntimeError("an answer ended without its end")


def _is_cancelled() -> bool:
    """Whether it is this task that is to end, not only the one that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _ahead(position: int) -> str:
    if not position:
        return LOOKING
    return f"{LOOKING} One question comes first." if position == 1 else f"{LOOKING} {position} questions come first."


def _text(desk: Desk, message: Message) -> str:
    """What was asked: as it was typed, without the mention, and without other people's ids."""
    return " ".join(plain(with_names(message.text, {desk.bot_user: " "})).split())[:_MAX_QUESTION]


async def _is_own_affair(desk: Desk, text: str) -> bool:
    fit = await asyncio.to_thread(desk.ready.service.fit_to_keep, (Turn("user", text),))
    return not fit or bool(_OWN_AFFAIR.search(text))


async def _say_own_affair(desk: Desk, message: Message) -> str:
    sent = await desk.client.chat_postMessage(channel=message.channel, thread_ts=message.thread, text=_OWN_AFFAIR_REPLY)
    return str(sent["ts"])


async def _direct(desk: Desk, user: str, text: str, task: Task) -> Place:
    """A thread in the person's direct messages, hanging from what they asked."""

    async def ask_there() -> str:
        opened = await desk.client.conversations_open(users=user)
        channel = str(opened["channel"]["id"])
        asked = await desk.client.chat_postMessage(channel=channel, text=f"You asked: {Reply(text, []).text}")
        return f"{channel} {asked['ts']}"

    channel, ts = (await once(desk, task, "asked", ask_there)).split()
    return Place(channel, ts, user)


async def _status(desk: Desk, target: Place, status: str) -> None:
    """Tell Slack's agent surface what we do; workspaces without it do not know the method."""
    with suppress(SlackApiError):
        await desk.client.agents_sessions_setStatus(
            channel_id=target.channel, thread_ts=target.thread_ts, status=status, initiator_user_id=target.user
        )


def answer_of(recorded: Interaction) -> Answer:
    """A recorded answer, as it was given."""
    return Answer(
        id=recorded.id,
        text=recorded.answer,
        citations=recorded.citations,
        abstained=recorded.abstained,
        route=recorded.route,
        probability=recorded.probability,
        model=recorded.model,
        prompt_version=recorded.prompt_version,
        timings=recorded.timings,
        category=recorded.category,
        verified_by=recorded.verified_by,
    )
