"""What people make of an answer in its thread: votes by emoji, corrections, approvals, edits and withdrawals.

Enters: replies, edits, deletions and reactions. Leaves: steps in the ledger, the answer changed where it stands, and
word to whoever asked. What HR writes is live at once; what others write goes to HR's channel as a suggestion.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from slack_sdk.errors import SlackApiError, SlackClientError

from bot.answer import Route
from bot.feedback import Correction, Decision, Status, Step, Writing
from bot.posts import Post
from bot.slack.answering import answer_of
from bot.slack.desk import CHANNEL, Desk, Said, person, place, said_at
from bot.slack.incoming import Deletion, Edit, Message, Reaction
from bot.slack.reply import answer_reply, corrected_reply, plain
from bot.slack.views import suggestion_message
from bot.store import Vote
from config.errors import UnknownCorrection, UnknownInteraction, Unverifiable

_log = logging.getLogger(__name__)


def is_correction(desk: Desk, text: str) -> bool:
    """Whether a reply begins with the word that makes it the right answer."""
    return text.lstrip().casefold().startswith(desk.settings.slack.correction_word.casefold())


async def correct_by_reply(desk: Desk, message: Message) -> bool:
    """Take a reply for a correction of the thread's last answer; False where there is no such answer."""
    thread = place(message.channel, message.thread_ts)
    post = await asyncio.to_thread(desk.posts.last_in, thread) if message.thread_ts else None
    if post is None:
        return False
    await _write(desk, post, message.ts, message.channel, message.user, message.text, message.happened_at)
    return True


async def edited(desk: Desk, edit: Edit) -> None:
    """An edited reply edits its correction; one that lost the word is none any more."""
    known = await _known(desk, edit.channel, edit.ts)
    post = await _post_of(desk, edit.channel, edit.thread_ts, known)
    if post is None:
        return
    if is_correction(desk, edit.text) or (known and not is_correction(desk, edit.was)):
        await _write(desk, post, edit.ts, edit.channel, edit.user, edit.text, edit.happened_at)
    elif known:
        await _decide(desk, post, edit.channel, edit.ts, Step.WITHDRAW, edit.user, edit.happened_at)


async def deleted(desk: Desk, deletion: Deletion) -> None:
    """A deleted reply withdraws its correction, also when it is told before the reply is."""
    known = await _known(desk, deletion.channel, deletion.ts)
    post = await _post_of(desk, deletion.channel, deletion.thread_ts, known)
    if post is not None:
        await _decide(desk, post, deletion.channel, deletion.ts, Step.WITHDRAW, deletion.user, deletion.happened_at)


async def reacted(desk: Desk, reaction: Reaction) -> None:
    """An emoji on an answer is a vote; HR's approval on an answer or on somebody's reply makes it verified."""
    settings = desk.settings.slack
    is_approval = reaction.name == settings.approval and await desk.people.is_hr(reaction.user)
    post = await asyncio.to_thread(desk.posts.at, place(reaction.channel, reaction.ts))
    if post is None:
        if is_approval:
            await _approve_reply(desk, reaction)
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
    if live and live.text != answered.answer:
        return  # what stands there now is HR's already
    name = f"{CHANNEL}:approved:{interaction_id}"
    if is_taken_back:
        with suppress(UnknownCorrection):
            await asyncio.to_thread(
                desk.feedback.decide, Decision(name, Step.WITHDRAW, person(user), True, happened_at, interaction_id)
            )
        return
    writing = Writing(name, interaction_id, answered.answer, person(user), is_hr=True, happened_at=happened_at)
    await asyncio.to_thread(desk.feedback.correct, writing)


async def show(desk: Desk, before: Correction | None, now: Correction) -> None:
    """Change the answer where it stands to what the correction makes of it, and tell the asker of a new one."""
    if before and (before.status, before.text) == (now.status, now.text):
        return
    was_live = before is not None and before.status is Status.LIVE
    # One that was withdrawn before its text was known here may have been shown meanwhile.
    may_stand = was_live or now.status is Status.LIVE or (before is None and now.status is Status.WITHDRAWN)
    post = await asyncio.to_thread(desk.posts.of, now.interaction_id) if may_stand else None
    if post is None:
        return
    said = said_at(post)
    try:
        async with desk.showing:
            shown = await asyncio.to_thread(desk.feedback.live_for, now.interaction_id)
            if shown:
                reply = corrected_reply(shown.text, shown.live_since.date(), shown.interaction_id)
            else:
                answered = await asyncio.to_thread(desk.store.interaction, now.interaction_id)
                reply = answer_reply(answer_of(answered))
            await desk.client.chat_update(channel=said.channel, ts=said.ts, text=reply.text, blocks=reply.blocks)
        if shown and shown.id == now.id and not was_live:
            await _tell_asker(desk, said)
    except SlackApiError as error:
        _log.warning("the corrected answer could not be shown: %s", error.response["error"])


async def suggest(desk: Desk, suggested: Correction) -> None:
    """Put a suggestion before HR, where there is a channel for that; the home tab shows it in any case."""
    channel = desk.settings.slack.hr_channel
    if not channel:
        return
    answered = await asyncio.to_thread(desk.store.interaction, suggested.interaction_id)
    blocks = suggestion_message(suggested, answered, "")
    await desk.client.chat_postMessage(channel=channel, text="A correction was suggested", blocks=blocks)


async def _write(desk: Desk, post: Post, ts: str, channel: str, user: str, text: str, happened_at: datetime) -> None:
    said = _without_word(desk, text)
    is_hr = await desk.people.is_hr(user)
    writing = Writing(place(channel, ts), post.interaction_id, said, person(user), is_hr, happened_at)
    before = await _known(desk, channel, ts)
    try:
        now = await asyncio.to_thread(desk.feedback.correct, writing)
    except Unverifiable as error:
        await _whisper(desk, channel, user, said_at(post).thread_ts, str(error))
        return
    await show(desk, before, now)
    if now.status is Status.SUGGESTED and not (before and before.text == now.text):
        await suggest(desk, now)
        await _whisper(desk, channel, user, said_at(post).thread_ts, "Thank you. HR will look at your correction.")


def _without_word(desk: Desk, text: str) -> str:
    """The right answer as it was typed, without the word that made it one."""
    said = plain(text).strip()
    return said[len(desk.settings.slack.correction_word) :].strip() if is_correction(desk, said) else said


async def _approve_reply(desk: Desk, reaction: Reaction) -> None:
    """HR's approval on a reply in an answer's thread: that reply is the right answer, whoever wrote it."""
    message = await _message(desk, reaction.channel, reaction.ts)
    thread_ts = str(message.get("thread_ts") or "")
    author, text = str(message.get("user") or ""), str(message.get("text") or "")
    post = await asyncio.to_thread(desk.posts.last_in, place(reaction.channel, thread_ts)) if thread_ts else None
    is_reply = thread_ts != reaction.ts and author != desk.bot_user and not message.get("bot_id")
    if post is None or not author or not text or not is_reply:
        return
    if not reaction.is_added:
        await _decide(desk, post, reaction.channel, reaction.ts, Step.WITHDRAW, reaction.user, reaction.happened_at)
        return
    before = await _known(desk, reaction.channel, reaction.ts)
    said = _without_word(desk, text)
    edited = message.get("edited")
    last = str(edited.get("ts")) if isinstance(edited, dict) else reaction.ts
    written_at = datetime.fromtimestamp(float(last), UTC)  # what was changed after the approval waits for another
    name, is_hr = place(reaction.channel, reaction.ts), await desk.people.is_hr(author)
    if before is None or before.text != said:
        writing = Writing(name, post.interaction_id, said, person(author), is_hr, written_at)
        try:
            await asyncio.to_thread(desk.feedback.correct, writing)
        except Unverifiable:
            return
    await _decide(desk, post, reaction.channel, reaction.ts, Step.APPROVE, reaction.user, reaction.happened_at, before)


async def _decide(
    desk: Desk,
    post: Post,
    channel: str,
    ts: str,
    step: Step,
    user: str,
    happened_at: datetime,
    shown: Correction | None = None,
) -> None:
    before = shown or await _known(desk, channel, ts)
    is_hr = await desk.people.is_hr(user)
    decision = Decision(place(channel, ts), step, person(user), is_hr, happened_at, post.interaction_id)
    try:
        now = await asyncio.to_thread(desk.feedback.decide, decision)
    except (UnknownCorrection, UnknownInteraction, Unverifiable) as error:  # not a busy ledger: that is tried again
        _log.info("a decision was refused: %s", error)
        return
    if now:
        await show(desk, before, now)


async def _known(desk: Desk, channel: str, ts: str) -> Correction | None:
    return await asyncio.to_thread(desk.feedback.find, place(channel, ts))


async def _post_of(desk: Desk, channel: str, thread_ts: str, known: Correction | None) -> Post | None:
    """The answer that a reply is about: the one that it corrects already, else the thread's last."""
    if known:
        return await asyncio.to_thread(desk.posts.of, known.interaction_id)
    return await asyncio.to_thread(desk.posts.last_in, place(channel, thread_ts)) if thread_ts else None


async def _message(desk: Desk, channel: str, ts: str) -> dict[str, object]:
    """One message, wherever in a thread it stands; empty when it cannot be read."""
    try:
        page = await desk.client.conversations_replies(channel=channel, ts=ts, latest=ts, inclusive=True, limit=1)
    except SlackClientError as error:
        _log.warning("a message could not be read: %s", type(error).__name__)
        return {}
    found: list[dict[str, object]] = page.get("messages") or []
    return next((one for one in found if one.get("ts") == ts), {})


async def _tell_asker(desk: Desk, said: Said) -> None:
    text = f"<@{said.user}> HR has corrected the answer above."
    await desk.client.chat_postMessage(channel=said.channel, thread_ts=said.thread_ts, text=text)


async def _whisper(desk: Desk, channel: str, user: str, thread_ts: str, text: str) -> None:
    """Say something to one person in a thread."""
    with suppress(SlackApiError):
        await desk.client.chat_postEphemeral(channel=channel, user=user, thread_ts=thread_ts, text=text)
