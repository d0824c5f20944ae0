"""What people make of an answer in its thread: votes by emoji, corrections, approvals, edits and withdrawals.

Enters: replies, edits, deletions and reactions. Leaves: steps in the ledger, the answer changed where it stands, and
word to whoever asked. What HR writes is live at once; what others write goes to HR's channel as a suggestion.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import BaseModel
from slack_sdk.errors import SlackApiError

from bot.answer import Route
from bot.feedback import Correction, Decision, Status, Step, Writing
from bot.inbox import Task
from bot.posts import Post
from bot.slack.answering import answer_of, standing
from bot.slack.deliver import is_transient
from bot.slack.desk import CHANNEL, Desk, Said, UnderWay, answer_at, answer_in, once, person, place, said_at
from bot.slack.incoming import Deletion, Edit, Message, Reaction
from bot.slack.reply import mentioned, plain, with_names
from bot.slack.thread import message_at
from bot.slack.views import suggestion_message
from bot.store import Vote
from config.errors import UnknownCorrection, UnknownInteraction, Unverifiable

_log = logging.getLogger(__name__)
# Of a message this young we may not know yet what it is to be.
_JUST_POSTED_S = 10.0


class Before(BaseModel):
    """What a correction was before a task; without a status it was none."""

    status: Status | None = None
    text: str = ""


def is_correction(desk: Desk, text: str) -> bool:
    """Whether a reply begins with the word that makes it the right answer."""
    return text.lstrip().casefold().startswith(desk.settings.slack.correction_word.casefold())


async def correct_by_reply(desk: Desk, message: Message, task: Task) -> bool:
    """Take a reply for a correction of the thread's last answer; False where there is no such answer."""
    known = await _known(desk, message.channel, message.ts)
    post = await _post_of(desk, message, known)
    if post is None:
        return False
    await _write(desk, task, post, message)
    return True


async def edited(desk: Desk, edit: Edit, task: Task) -> None:
    """An edited reply edits its correction; one that lost the word is none any more."""
    known = await _known(desk, edit.channel, edit.ts)
    post = await _post_of(desk, edit, known)
    if post is None:
        return
    if is_correction(desk, edit.text) or (known and not is_correction(desk, edit.was)):
        await _write(desk, task, post, edit)
    elif known:
        await _decide(desk, task, post, edit, Step.WITHDRAW)


async def deleted(desk: Desk, deletion: Deletion, task: Task) -> None:
    """A deleted reply withdraws its correction, also when it is told before the reply is."""
    known = await _known(desk, deletion.channel, deletion.ts)
    if known is None and not is_correction(desk, deletion.was):
        return
    post = await _post_of(desk, deletion, known)
    if post is not None:
        await _decide(desk, task, post, deletion, Step.WITHDRAW)


async def reacted(desk: Desk, reaction: Reaction, task: Task) -> None:
    """An emoji on an answer is a vote; HR's approval on an answer or on somebody's reply makes it verified."""
    settings = desk.settings.slack
    is_approval = reaction.name == settings.approval and await desk.people.is_hr(reaction.user)
    post = await answer_at(desk, reaction.channel, reaction.ts)
    if post is None:
        if reaction.author == desk.bot_user and time.time() - float(reaction.ts) < _JUST_POSTED_S:
            raise UnderWay
        if is_approval:
            await _approve_reply(desk, reaction, task)
        return
    if rating := settings.reactions.get(reaction.name):
        vote = Vote(
            post.interaction_id,
            person(reaction.user),
            rating if reaction.is_added else 0,
            source=f"{CHANNEL}:reaction:{reaction.name}",
            happened_at=reaction.happened_at,
        )
        await asyncio.to_thread(desk.feedback.vote, vote)
        desk.metrics.voted(vote.rating, CHANNEL)
    if is_approval:
        await approve_answer(
            desk, post.interaction_id, reaction.user, reaction.happened_at, is_taken_back=not reaction.is_added
        )


async def approve_answer(
    desk: Desk, interaction_id: str, user: str, happened_at: datetime, *, is_taken_back: bool = False
) -> None:
    """Make an answer verified as it stands, or take that back."""
    answered = await asyncio.to_thread(desk.store.interaction, interaction_id)
    if answered.abstained or answered.route in (Route.VERIFIED, Route.SENSITIVE):
        return
    live = await asyncio.to_thread(desk.feedback.live_for, interaction_id)
    if live and live.text != answered.answer and not is_taken_back:
        return  # what stands there now is HR's already
    name = f"{CHANNEL}:approved:{interaction_id}"
    step = Step.UNAPPROVE if is_taken_back else Step.APPROVE
    if not is_taken_back:
        # Not as HR's own words: it stands as long as one of those stands behind it who approved it.
        as_it_is = Writing(name, interaction_id, answered.answer, person(user), is_hr=False, happened_at=happened_at)
        await asyncio.to_thread(desk.feedback.correct, as_it_is)
    decision = Decision(name, step, person(user), is_hr=True, happened_at=happened_at, interaction_id=interaction_id)
    await asyncio.to_thread(desk.feedback.decide, decision)


async def before(desk: Desk, task: Task, name: str) -> Before:
    """What a correction was when this task began, noted: who takes the task up again must know it still."""

    async def look() -> str:
        known = await asyncio.to_thread(desk.feedback.find, name)
        return Before(status=known.status, text=known.text).model_dump_json() if known else Before().model_dump_json()

    return Before.model_validate_json(await once(desk, task, f"before {desk.store.hash(name)}", look))


async def show(desk: Desk, task: Task, was: Before, now: Correction) -> None:
    """Change the answer where it stands to what counts now, and tell the asker of a correction that is new."""
    if (was.status, was.text) == (now.status, now.text):
        return
    was_live = was.status is Status.LIVE
    # One that was withdrawn before its text was known here may have been shown meanwhile.
    may_stand = was_live or now.status is Status.LIVE or (was.status is None and now.status is Status.WITHDRAWN)
    post = await asyncio.to_thread(desk.posts.of, now.interaction_id) if may_stand else None
    if post is None:
        return
    said = said_at(post)
    try:
        async with desk.showing(now.interaction_id):
            answered = await asyncio.to_thread(desk.store.interaction, now.interaction_id)
            reply = await standing(desk, answer_of(answered))
            await desk.client.chat_update(channel=said.channel, ts=said.ts, text=reply.text, blocks=reply.blocks)
        live = await asyncio.to_thread(desk.feedback.live_for, now.interaction_id)
        if live and live.id == now.id and not was_live:
            await once(desk, task, f"told {now.id}", lambda: _tell_asker(desk, said))
    except SlackApiError as error:
        if is_transient(error):
            raise
        _log.warning("the corrected answer could not be shown: %s", error.response["error"])


async def suggest(desk: Desk, task: Task, was: Before, suggested: Correction) -> bool:
    """Put a new suggestion before HR, where there is a channel for that; the home tab shows it in any case.

    False where it is none, or none that is new.
    """
    if suggested.status is not Status.SUGGESTED or was.text == suggested.text:
        return False
    channel = desk.settings.slack.hr_channel
    answered = await asyncio.to_thread(desk.store.interaction, suggested.interaction_id)
    blocks = suggestion_message(suggested, answered, "")

    async def put() -> str:
        sent = await desk.client.chat_postMessage(channel=channel, text="A correction was suggested", blocks=blocks)
        return str(sent["ts"])

    if channel:
        await once(desk, task, "suggested", put)
    return True


async def _write(desk: Desk, task: Task, post: Post, said: Message | Edit) -> None:
    name = place(said.channel, said.ts)
    text = await _right_answer(desk, said.text)
    is_hr = await desk.people.is_hr(said.user)
    was = await before(desk, task, name)
    writing = Writing(name, post.interaction_id, text, person(said.user), is_hr, said.happened_at)
    thread_ts = said_at(post).thread_ts
    try:
        now = await asyncio.to_thread(desk.feedback.correct, writing)
    except Unverifiable as error:
        await _whisper(desk, said.channel, said.user, thread_ts, str(error))
        return
    await show(desk, task, was, now)
    if await suggest(desk, task, was, now):
        await _whisper(desk, said.channel, said.user, thread_ts, "Thank you. HR will look at your correction.")


async def _right_answer(desk: Desk, text: str) -> str:
    """The right answer as it was typed, without the word that made it one, and with names for the people in it."""
    said = plain(with_names(text, await desk.people.names(mentioned(text)))).strip()
    return said[len(desk.settings.slack.correction_word) :].strip() if is_correction(desk, said) else said


async def _approve_reply(desk: Desk, reaction: Reaction, task: Task) -> None:
    """HR's approval on a reply in an answer's thread: that reply is the right answer, whoever wrote it."""
    message = await message_at(desk, reaction.channel, reaction.ts)
    thread_ts = str(message.get("thread_ts") or "")
    author, text = str(message.get("user") or ""), str(message.get("text") or "")
    known = await _known(desk, reaction.channel, reaction.ts)
    found = await asyncio.to_thread(desk.posts.of, known.interaction_id) if known else None
    post = found or await answer_in(desk, reaction.channel, thread_ts, reaction.ts)
    is_reply = thread_ts != reaction.ts and author != desk.bot_user and not message.get("bot_id")
    if post is None or not author or not text or not is_reply:
        return
    if not reaction.is_added:
        await _decide(desk, task, post, reaction, Step.UNAPPROVE)
        return
    name = place(reaction.channel, reaction.ts)
    was = await before(desk, task, name)
    said = await _right_answer(desk, text)
    edited = message.get("edited")
    last = str(edited.get("ts")) if isinstance(edited, dict) else reaction.ts
    written_at = datetime.fromtimestamp(float(last), UTC)  # what was changed after the approval waits for another
    if was.text != said:
        is_hr = is_correction(desk, text) and await desk.people.is_hr(author)
        writing = Writing(name, post.interaction_id, said, person(author), is_hr, written_at)
        try:
            await asyncio.to_thread(desk.feedback.correct, writing)
        except Unverifiable:
            return
    await _decide(desk, task, post, reaction, Step.APPROVE, was)


async def _decide(
    desk: Desk, task: Task, post: Post, about: Edit | Deletion | Reaction, step: Step, was: Before | None = None
) -> None:
    name = place(about.channel, about.ts)
    was = was or await before(desk, task, name)
    is_hr = await desk.people.is_hr(about.user)
    decision = Decision(name, step, person(about.user), is_hr, about.happened_at, post.interaction_id)
    try:
        now = await asyncio.to_thread(desk.feedback.decide, decision)
    except (UnknownCorrection, UnknownInteraction, Unverifiable) as error:  # not a busy ledger: that is tried again
        _log.info("a decision was refused: %s", error)
        return
    if now:
        await show(desk, task, was, now)


async def _known(desk: Desk, channel: str, ts: str) -> Correction | None:
    return await asyncio.to_thread(desk.feedback.find, place(channel, ts))


async def _post_of(desk: Desk, about: Message | Edit | Deletion, known: Correction | None) -> Post | None:
    """The answer that a reply is about: the one that it corrects already, else the one that it stands under."""
    if known:
        return await asyncio.to_thread(desk.posts.of, known.interaction_id)
    return await answer_in(desk, about.channel, about.thread_ts, about.ts)


async def _tell_asker(desk: Desk, said: Said) -> str:
    text = f"<@{said.user}> HR has corrected the answer above."
    sent = await desk.client.chat_postMessage(channel=said.channel, thread_ts=said.thread_ts, text=text)
    return str(sent["ts"])


async def _whisper(desk: Desk, channel: str, user: str, thread_ts: str, text: str) -> None:
    """Say something to one person in a thread."""
    with suppress(SlackApiError):
        await desk.client.chat_postEphemeral(channel=channel, user=user, thread_ts=thread_ts, text=text)
