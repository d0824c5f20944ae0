"""Answer what somebody wrote: decide whether it is a question to the bot, and bring the answer into its thread.

Enters: a `Message`, a command or a click, with the task that was promised. Leaves: one message with the answer, the
answer in the ledger, and where it was said. Where others read along, only what is for everybody is used, and what is
a person's own affair is answered in a direct message.

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
from time import monotonic

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.answer import Answer, Asker, Question, Turn
from bot.follow import explain, follow, keep
from bot.inbox import Task
from bot.replies import busy_reply, failure_reply
from bot.slack.deliver import LOOKING, Delivery, Place
from bot.slack.desk import CHANNEL, Desk, Said, person, place
from bot.slack.incoming import Command, Message
from bot.slack.reply import Reply, answer_reply, plain
from bot.store import Interaction
from config.settings import Audience

_log = logging.getLogger(__name__)

_MAX_TURNS = 20
_MAX_QUESTION = 2_000
# A question whose answering ends the process each time is not tried for ever.
_MAX_ATTEMPTS = 5
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
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
    mentioned = _MENTION.findall(message.text)
    if message.channel_type == "im" or desk.bot_user in mentioned:
        return True
    if not message.thread_ts or mentioned:
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
    if task.placeholder:
        begun = Said.model_validate_json(task.placeholder)
        target, placed = Place(begun.channel, begun.thread_ts, message.user, message.team), begun.ts
    elif message.channel_type != "im" and await _is_own_affair(desk, text):
        target = await _direct(desk, message.user, text)
        await desk.client.chat_postMessage(channel=message.channel, thread_ts=message.thread, text=_OWN_AFFAIR_REPLY)
    elif task.attempts:
        placed = await _left_behind(desk, target, message.ts)
    is_private = message.channel_type == "im" or target.channel != message.channel
    history = await _history(desk, message) if message.thread_ts and target.channel == message.channel else ()
    asker = await desk.people.asker(message.user, is_private=is_private)
    await answer_into(desk, Question(text, asker, CHANNEL, history), target, task, placed)


async def answer_into(desk: Desk, question: Question, target: Place, task: Task, placed: str = "") -> None:
    """Answer in one message of a thread; `placed` is where it stands already."""

    def said_at(ts: str) -> Said:
        return Said(channel=target.channel, ts=ts, thread_ts=target.thread_ts, user=target.user)

    async def remember(ts: str) -> None:
        await asyncio.to_thread(desk.inbox.place, task.id, said_at(ts).model_dump_json())

    if placed and not task.placeholder:
        await remember(placed)
    delivery = Delivery(desk.client, target, remember, placed)
    if task.attempts >= _MAX_ATTEMPTS:
        incident_id = secrets.token_hex(4)
        _log.error("given up after %d tries: incident %s", task.attempts, incident_id)
        await delivery.begin()
        await delivery.fail(failure_reply(desk.settings.company, incident_id))
        return
    if placed and (said := await asyncio.to_thread(desk.posts.at, place(target.channel, placed))):
        recorded = await asyncio.to_thread(desk.store.interaction, said.interaction_id)
        if recorded.answer:
            await delivery.finish(answer_reply(answer_of(recorded)))
            return
    await _status(desk, target, "processing")
    await delivery.begin()
    thread = place(target.channel, target.thread_ts)
    desk.running[thread] = work = asyncio.create_task(_streamed(desk, question, delivery))
    try:
        answer = await work
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        await delivery.fail("Stopped, as you asked.")
    except Exception as error:  # the edge of a question: whatever it is, the employee gets a sentence
        failure = explain(error, desk.settings.company)
        desk.metrics.failed(failure.kind, CHANNEL)
        await delivery.fail(failure.message)
    else:
        await record(desk, question, answer, said_at(delivery.ts))
        await delivery.finish(answer_reply(answer))
    finally:
        desk.running.pop(thread, None)
    await _status(desk, target, "active")


def _is_cancelled() -> bool:
    """Whether it is this task that is to end, not only the one that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def apologise(desk: Desk, message: Message, task_id: str, text: str) -> None:
    """Say that there will be no answer, in the message that was begun if there is one."""
    task = await asyncio.to_thread(desk.inbox.task, task_id)
    said = Said.model_validate_json(task.placeholder) if task and task.placeholder else None
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


async def record(desk: Desk, question: Question, answer: Answer, said: Said) -> None:
    """Keep an answer and where it is said, before it is said."""
    desk.metrics.answered(answer, CHANNEL)
    await keep(desk.ready, question, answer, person(said.user))
    await asyncio.to_thread(desk.posts.keep, said.place, said.thread, answer.id, said.model_dump_json())


async def answer_command(desk: Desk, command: Command) -> None:
    """Answer `/hr question` so that only the asker sees it; nothing for everybody is lost if they share it."""
    webhook = AsyncWebhookClient(command.response_url)
    if not command.text.strip():
        await webhook.send(text="Write your question after the command: `/hr how many days can I carry over?`")
        return
    asker = await desk.people.asker(command.user, is_private=True)
    question = Question(command.text.strip(), asker, CHANNEL)
    try:
        answer = await _whole(desk, question)
    except Exception as error:  # the edge of a question: whatever it is, the employee gets a sentence
        failure = explain(error, desk.settings.company)
        desk.metrics.failed(failure.kind, CHANNEL)
        await webhook.send(text=failure.message)
        return
    desk.metrics.answered(answer, CHANNEL)
    await keep(desk.ready, question, answer, person(command.user))
    reply = answer_reply(answer, can_share=True)
    await webhook.send(text=reply.text, blocks=reply.blocks, response_type="ephemeral")


async def share(desk: Desk, interaction_id: str, channel: str, user: str) -> None:
    """Say in the channel what was asked, and the answer that everybody may read."""
    asked = await asyncio.to_thread(desk.store.interaction, interaction_id)
    question = Question(asked.question, Asker(Audience.ALL, asked.asker.country), CHANNEL)
    answer = await _whole(desk, question)
    reply = answer_reply(answer)
    sent = await desk.client.chat_postMessage(
        channel=channel, text=f"<@{user}> asked: {Reply(asked.question, []).text}"
    )
    ts = str(sent["ts"])
    posted = await desk.client.chat_postMessage(channel=channel, thread_ts=ts, text=reply.text, blocks=reply.blocks)
    await record(desk, question, answer, Said(channel=channel, ts=str(posted["ts"]), thread_ts=ts, user=user))


async def ask_aloud(desk: Desk, text: str, user: str, task: Task) -> None:
    """Ask one of the suggested questions for somebody, in their direct messages."""
    begun = Said.model_validate_json(task.placeholder) if task.placeholder else None
    target = Place(begun.channel, begun.thread_ts, user) if begun else await _direct(desk, user, text)
    asker = await desk.people.asker(user, is_private=True)
    await answer_into(desk, Question(text, asker, CHANNEL), target, task, begun.ts if begun else "")


async def refuse(desk: Desk, message: Message, text: str) -> None:
    """Say to the asker alone why there is no answer now."""
    with suppress(SlackApiError):
        await desk.client.chat_postEphemeral(
            channel=message.channel, user=message.user, thread_ts=message.thread_ts or None, text=text
        )


async def say_to(command: Command, text: str) -> None:
    """Say something to whoever typed a command, and to nobody else."""
    await AsyncWebhookClient(command.response_url).send(text=text, response_type="ephemeral")


def too_many(desk: Desk) -> str:
    """What somebody is told who asks when the queue is full."""
    return busy_reply(desk.settings.company)


async def _streamed(desk: Desk, question: Question, delivery: Delivery) -> Answer:
    async with aclosing(follow(desk.ready.service, question)) as items:
        async for item in items:
            if isinstance(item, Answer):
                return item
            if isinstance(item, str):
                await delivery.add(item)
            elif item.position:
                await delivery.say(f"Looking it up… {_ahead(item.position)}")
    raise RuntimeError("an answer ended without its end")


async def _whole(desk: Desk, question: Question) -> Answer:
    async with aclosing(follow(desk.ready.service, question)) as items:
        async for item in items:
            if isinstance(item, Answer):
                return item
    raise RuntimeError("an answer ended without its end")


def _ahead(position: int) -> str:
    return "One question comes first." if position == 1 else f"{position} questions come first."


def _text(desk: Desk, message: Message) -> str:
    """What was asked: without the mention, and as it was typed."""
    return " ".join(plain(message.text.replace(f"<@{desk.bot_user}>", " ")).split())[:_MAX_QUESTION]


async def _is_own_affair(desk: Desk, text: str) -> bool:
    fit = await asyncio.to_thread(desk.ready.service.fit_to_keep, (Turn("user", text),))
    return not fit or bool(_OWN_AFFAIR.search(text))


async def _direct(desk: Desk, user: str, text: str) -> Place:
    """A thread in the person's direct messages, hanging from what they asked."""
    opened = await desk.client.conversations_open(users=user)
    channel = str(opened["channel"]["id"])
    asked = await desk.client.chat_postMessage(channel=channel, text=f"You asked: {Reply(text, []).text}")
    return Place(channel, str(asked["ts"]), user)


async def _history(desk: Desk, message: Message) -> tuple[Turn, ...]:
    """The thread's earlier messages, oldest first; all pages are read, and the last twenty are kept."""
    turns: deque[Turn] = deque(maxlen=_MAX_TURNS)
    cursor = ""
    try:
        while True:
            page = await desk.client.conversations_replies(
                channel=message.channel, ts=message.thread_ts, cursor=cursor or None, limit=200
            )
            for one in page["messages"]:
                if float(one["ts"]) < float(message.ts) and one.get("text"):
                    turns.append(Turn("bot" if one.get("user") == desk.bot_user else "user", str(one["text"])[:4_000]))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return tuple(turns)
    except (SlackClientError, KeyError, TypeError, ValueError) as error:
        _log.warning("a thread could not be read, so the question is answered alone: %s", type(error).__name__)
        return ()


async def _left_behind(desk: Desk, target: Place, after: str) -> str:
    """Our empty message in the thread that no task knows: a process was killed before it could remember it."""
    try:
        page = await desk.client.conversations_replies(channel=target.channel, ts=target.thread_ts, oldest=after)
    except SlackClientError:
        return ""
    promised = {task.placeholder for task in await asyncio.to_thread(desk.inbox.open_tasks)}
    for one in page["messages"]:
        ts = str(one["ts"])
        is_empty = one.get("user") == desk.bot_user and one.get("text", "") in ("", LOOKING)
        if is_empty and float(ts) > float(after) and not any(f'"{ts}"' in other for other in promised):
            return ts
    return ""


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
