"""What people press and fill in: votes with reasons, approvals, HR's own answers, cases.

Enters: clicks, modals that were sent, message shortcuts. Leaves: steps in the ledger, modals, messages. Whoever lacks
the role for something is told so; nothing is done then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date

from pydantic import ValidationError
from slack_sdk.errors import SlackApiError

from bot.cases import Case, CaseStep
from bot.feedback import Decision, Status, Step, Writing
from bot.inbox import Task
from bot.slack.answering import ask_aloud
from bot.slack.command import share
from bot.slack.correcting import approve_answer, before, show, suggest
from bot.slack.desk import CHANNEL, Desk, UnderWay, answer_at, once, person
from bot.slack.home import publish_home
from bot.slack.incoming import Click, Shortcut, Submission
from bot.slack.reply import ASK_ALOUD, HELPFUL, SHARE, TALK, UNLINK, VOTE, Block, mrkdwn
from bot.slack.views import (
    APPROVE,
    APPROVE_ANSWER,
    ASSIGN,
    CONFIRM,
    CORRECT,
    CORRECT_ANSWER,
    DOWN,
    REASONS,
    REJECT,
    REPLY,
    REPLY_MODAL,
    RESOLVE,
    RESOLVE_MODAL,
    TALK_MODAL,
    About,
    approving,
    case_message,
    case_reply_modal,
    case_resolve_modal,
    correct_modal,
    down_modal,
    in_a_year,
    talk_modal,
)
from bot.store import Interaction, Vote
from config.errors import UnknownInteraction, Unverifiable
from knowledge.verified import Source, source_of

_log = logging.getLogger(__name__)
_FOR_HR = "Only people of HR can do that; ask one of them."
SHORTCUT = "correct_answer"
_VOTE_SOURCE = f"{CHANNEL}:button"


async def clicked(desk: Desk, click: Click, task: Task) -> None:
    """Do what a button says."""
    if click.action.startswith(f"{ASK_ALOUD}:"):
        await ask_aloud(desk, click.value, click.user, task)
    elif click.action in _FOR_ALL:
        await _FOR_ALL[click.action](desk, click, task)
    elif click.action not in _FOR_HR_ALONE:
        _log.warning("a button that nothing is known of: %s", click.action[:40])
    elif await desk.people.is_hr(click.user):
        await _FOR_HR_ALONE[click.action](desk, click, task)
    else:
        await tell(desk, click, _FOR_HR)


def is_a_question(click: Click) -> bool:
    """Whether a button asks something that has to be answered."""
    return click.action.startswith(f"{ASK_ALOUD}:") or click.action == SHARE


async def submitted(desk: Desk, sent: Submission, task: Task) -> None:
    """Take what was filled into a modal."""
    try:
        about = About.model_validate_json(sent.private)
    except ValidationError:
        _log.warning("a modal that is none of ours: %s", sent.callback[:40])
        return
    if sent.callback == DOWN:
        await _explain_vote(desk, sent, about, task)
    elif sent.callback == TALK_MODAL:
        await _open_case(desk, sent, about, task)
    elif sent.callback not in _MODALS_FOR_HR:
        _log.warning("a modal that nothing is known of: %s", sent.callback[:40])
    elif await desk.people.is_hr(sent.user):
        await _MODALS_FOR_HR[sent.callback](desk, sent, about, task)


async def shortcut(desk: Desk, pressed: Shortcut) -> None:
    """ "Correct this answer" on a message: HR writes their own."""
    if pressed.callback != SHORTCUT:
        _log.warning("a shortcut that nothing is known of: %s", pressed.callback[:40])
        return
    post, text = None, ""
    try:
        post = await answer_at(desk, pressed.channel, pressed.ts)
    except UnderWay:  # the modal cannot wait for it
        text = "That answer is still being written; try again when it is whole."
    if post is None:
        text = text or "That message is no answer of mine; use this on one that is."
    elif not await desk.people.is_hr(pressed.user):
        text = "Only people of HR correct answers; reply in the thread, beginning with "
        text += f"“{desk.settings.slack.correction_word}”, and HR will look at it."
    if text or post is None:
        with suppress(SlackApiError):
            await desk.client.chat_postEphemeral(channel=pressed.channel, user=pressed.user, text=text)
        return
    await _open_correction(desk, post.interaction_id, pressed.trigger)


async def _vote(desk: Desk, click: Click, _: Task) -> None:
    direction, interaction_id = (*click.value.split(" ", 1), "")[:2]
    rating = 5 if direction == HELPFUL else 1
    await _keep_vote(desk, Vote(interaction_id, person(click.user), rating, happened_at=click.happened_at))
    if rating == 1 and click.trigger:
        about = About(interaction_id=interaction_id, channel=click.channel, ts=click.ts, thread_ts=click.thread_ts)
        await _open(desk, click.trigger, down_modal(about))


async def _explain_vote(desk: Desk, sent: Submission, about: About, task: Task) -> None:
    reason = REASONS.get(sent.values.get("reason", ""), "")
    ideal = sent.values.get("ideal", "").strip()
    is_hr = await desk.people.is_hr(sent.user)
    who = person(sent.user)
    name = f"{who}:{about.interaction_id}"
    was = await before(desk, task, name)
    vote = Vote(about.interaction_id, who, 1, reason, ideal_response=ideal, happened_at=sent.happened_at)
    await _keep_vote(desk, vote, is_hr=is_hr)
    if ideal and (now := await asyncio.to_thread(desk.feedback.find, name)):
        await show(desk, task, was, now)
        await suggest(desk, task, was, now)


async def _keep_vote(desk: Desk, vote: Vote, *, is_hr: bool = False) -> None:
    from_button = Vote(
        vote.interaction_id,
        vote.person,
        vote.rating,
        vote.reason,
        ideal_response=vote.ideal_response,
        source=_VOTE_SOURCE,
        happened_at=vote.happened_at,
    )
    await asyncio.to_thread(desk.feedback.vote, from_button, is_hr=is_hr)
    desk.metrics.voted(vote.rating, CHANNEL)


async def _talk(desk: Desk, click: Click, _: Task) -> None:
    about = About(interaction_id=click.value, channel=click.channel, ts=click.ts, thread_ts=click.thread_ts)
    await _open(desk, click.trigger, talk_modal(about))


async def _unlink(desk: Desk, click: Click, _: Task) -> None:
    """HR says that it is another question; from others that is a vote against it."""
    if await desk.people.is_hr(click.user):
        await asyncio.to_thread(desk.feedback.unlink, click.value, person(click.user))
        await tell(desk, click, "This question will not get that answer again.")
        return
    vote = Vote(click.value, person(click.user), 1, "It answers another question", happened_at=click.happened_at)
    await _keep_vote(desk, vote)
    await tell(desk, click, "Thank you. HR will look at it.")


async def _approve(desk: Desk, click: Click, task: Task) -> None:
    """Approve the text that was seen: one that was changed since waits for another look."""
    name = click.value.partition(" ")[0]
    suggested = await asyncio.to_thread(desk.feedback.correction, name)
    if click.value != approving(suggested):
        await tell(desk, click, f"It was changed since. It now says: {mrkdwn(suggested.text)}")
        return
    await _decide(desk, click, task, name, Step.APPROVE)


async def _reject(desk: Desk, click: Click, task: Task) -> None:
    await _decide(desk, click, task, click.value, Step.REJECT)


async def _decide(desk: Desk, click: Click, task: Task, name: str, step: Step) -> None:
    was = await before(desk, task, name)
    decision = Decision(name, step, person(click.user), True, click.happened_at)
    now = await asyncio.to_thread(desk.feedback.decide, decision)
    if now is None:
        return
    await show(desk, task, was, now)
    if click.ts:
        done = "approved" if step is Step.APPROVE else "rejected"
        text = (
            f"<@{click.user}> {done} this correction.\n*Asked:* {mrkdwn(now.question)}\n*Suggested:* {mrkdwn(now.text)}"
        )
        await desk.client.chat_update(channel=click.channel, ts=click.ts, text=text, blocks=[])
    else:
        await publish_home(desk, click.user)


async def _approve_answer(desk: Desk, click: Click, _: Task) -> None:
    await approve_answer(desk, click.value, click.user, click.happened_at)
    await publish_home(desk, click.user)


async def _confirm(desk: Desk, click: Click, _: Task) -> None:
    """A verified answer holds although something changed: it rests on its sections as they are now."""
    known = await asyncio.to_thread(desk.feedback.correction, click.value.partition(" ")[0])
    if click.value != approving(known) or known.status is not Status.LIVE:
        await tell(desk, click, "It was changed since; look at it again.")
        await publish_home(desk, click.user)
        return
    snapshot = desk.ready.service.snapshot()
    sources = filter(None, (source_of(snapshot, source.file, source.heading) for source in known.sources))
    writing = Writing(
        known.id,
        known.interaction_id,
        known.text,
        person(click.user),
        is_hr=True,
        happened_at=click.happened_at,
        question=known.question,
        sources=tuple(sources),
        audience=known.audience,
        countries=known.countries,
        review_on=in_a_year(date.today()) if known.review_on else None,
    )
    await asyncio.to_thread(desk.feedback.correct, writing)
    await publish_home(desk, click.user)


async def _correct_answer(desk: Desk, click: Click, _: Task) -> None:
    await _open_correction(desk, click.value, click.trigger)


async def _open_correction(desk: Desk, interaction_id: str, trigger: str) -> None:
    answered = await asyncio.to_thread(desk.store.interaction, interaction_id)
    about = About(interaction_id=interaction_id)
    await _open(desk, trigger, correct_modal(about, answered, date.today()))


async def _corrected(desk: Desk, sent: Submission, about: About, task: Task) -> None:
    answered = await asyncio.to_thread(desk.store.interaction, about.interaction_id)
    places = list(dict.fromkeys((cited.file, cited.heading) for cited in answered.citations))
    chosen = [
        places[int(n)] for n in sent.values.get("sources", "").split(",") if n.isdecimal() and int(n) < len(places)
    ]
    snapshot = desk.ready.service.snapshot()
    sources = tuple(filter(None, (source_of(snapshot, file, heading) for file, heading in chosen)))
    await _correct(desk, sent, task, about.interaction_id, sent.values.get("text", ""), sources)


async def _correct(
    desk: Desk, sent: Submission, task: Task, interaction_id: str, text: str, sources: tuple[Source, ...] | None
) -> None:
    review_on = sent.values.get("review_on", "")
    was = await before(desk, task, f"{CHANNEL}:{sent.key}")
    writing = Writing(
        f"{CHANNEL}:{sent.key}",
        interaction_id,
        text,
        person(sent.user),
        is_hr=True,
        happened_at=sent.happened_at,
        sources=sources,
        review_on=date.fromisoformat(review_on) if review_on else None,
    )
    try:
        now = await asyncio.to_thread(desk.feedback.correct, writing)
    except (Unverifiable, UnknownInteraction) as error:
        await _direct(desk, sent.user, str(error))
        return
    await show(desk, task, was, now)
    await publish_home(desk, sent.user)


async def _open_case(desk: Desk, sent: Submission, about: About, task: Task) -> None:
    """Pass it on to HR, with the name and the question or without; the asker is told what was done."""
    how = sent.values.get("how", "").split(",")
    channel = desk.settings.slack.hr_channel
    if not channel:
        hr = desk.settings.company.hr
        ways = ", ".join(filter(None, (hr.email, hr.phone, hr.url)))
        await _direct(desk, sent.user, f"I cannot pass this on from here. Please turn to {hr.name} {ways}".strip())
        return
    is_anonymous = "anonymous" in how
    with_question = "question" in how and await _is_known(desk, about.interaction_id)
    case = await asyncio.to_thread(
        desk.cases.open,
        person(sent.user),
        sent.user,
        about.interaction_id if with_question else None,
        sent.values.get("note", ""),
        is_anonymous=is_anonymous,
        key=sent.key,
    )
    who = "somebody who does not want to be named" if is_anonymous else f"<@{sent.user}>"
    answered = await _answered(desk, case)
    blocks = case_message(case.id, who, sent.values.get("note", ""), answered)

    async def put() -> str:
        sent = await desk.client.chat_postMessage(channel=channel, text=f"Case {case.id}", blocks=blocks)
        return str(sent["ts"])

    await once(desk, task, "put", put)
    unnamed = " They do not see who you are." if is_anonymous else ""
    said = f"I have passed this on to HR (case {case.id}). Their reply comes here.{unnamed}"
    await once(desk, task, "told", lambda: _direct(desk, sent.user, said))


async def _assign(desk: Desk, click: Click, task: Task) -> None:
    await asyncio.to_thread(desk.cases.add, click.value, CaseStep.ASSIGN, person(click.user), key=click.key)
    said = f"<@{click.user}> takes case {click.value}."
    await once(desk, task, "noted", lambda: _note(desk, click.channel, click.ts, said))


async def _reply_modal(desk: Desk, click: Click, _: Task) -> None:
    about = About(case_id=click.value, channel=click.channel, ts=click.ts)
    await _open(desk, click.trigger, case_reply_modal(about))


async def _resolve_modal(desk: Desk, click: Click, _: Task) -> None:
    case = await asyncio.to_thread(desk.cases.case, click.value)
    answered = await _answered(desk, case)
    about = About(case_id=case.id, channel=click.channel, ts=click.ts, interaction_id=case.interaction_id or "")
    await _open(desk, click.trigger, case_resolve_modal(about, is_answerable=answered is not None))


async def _reply(desk: Desk, sent: Submission, about: About, task: Task) -> None:
    text = sent.values.get("text", "").strip()
    said = f"<@{sent.user}> replied to case {about.case_id}: {mrkdwn(text)}"
    await _step(desk, sent, about, task, CaseStep.REPLY, f"HR replies to your case {about.case_id}:", said)


async def _resolve(desk: Desk, sent: Submission, about: About, task: Task) -> None:
    text = sent.values.get("text", "").strip()
    said = f"<@{sent.user}> resolved case {about.case_id}."
    case = await _step(desk, sent, about, task, CaseStep.RESOLVE, f"HR has resolved your case {about.case_id}.", said)
    if text and "verify" in sent.values.get("verify", "") and case.interaction_id:
        await _correct(desk, sent, task, case.interaction_id, text, ())


async def _step(
    desk: Desk, sent: Submission, about: About, task: Task, step: CaseStep, to_opener: str, to_hr: str
) -> Case:
    """Take a step in a case, tell its opener with what HR wrote, and note it in HR's thread."""
    text = sent.values.get("text", "").strip()
    case = await asyncio.to_thread(desk.cases.add, about.case_id, step, person(sent.user), text, key=sent.key)
    told = f"{to_opener}\n{mrkdwn(text)}" if text else to_opener
    await once(desk, task, "told", lambda: _direct(desk, case.reply_to, told))
    await once(desk, task, "noted", lambda: _note(desk, about.channel, about.ts, to_hr))
    return case


async def _is_known(desk: Desk, interaction_id: str) -> bool:
    """Whether an answer is in the ledger; it may have been erased since, or never recorded."""
    try:
        await asyncio.to_thread(desk.store.interaction, interaction_id)
    except UnknownInteraction:
        return False
    return True


async def _answered(desk: Desk, case: Case) -> Interaction | None:
    """The answer that a case is about, unless its question was not kept."""
    if case.interaction_id is None:
        return None
    answered = await asyncio.to_thread(desk.store.interaction, case.interaction_id)
    return answered if answered.question else None


async def _open(desk: Desk, trigger: str, view: Block) -> None:
    """Open a modal. A trigger holds for three seconds: after a restart it is too late, and nothing is lost by that."""
    try:
        await desk.client.views_open(trigger_id=trigger, view=view)
    except SlackApiError as error:
        _log.info("a modal was not opened: %s", error.response["error"])


async def _direct(desk: Desk, user: str, text: str) -> str:
    opened = await desk.client.conversations_open(users=user)
    return str((await desk.client.chat_postMessage(channel=str(opened["channel"]["id"]), text=text))["ts"])


async def _note(desk: Desk, channel: str, ts: str, text: str) -> str:
    """Keep a case's course in its thread."""
    return str((await desk.client.chat_postMessage(channel=channel, thread_ts=ts, text=text))["ts"])


async def tell(desk: Desk, click: Click, text: str) -> None:
    """Say something to whoever pressed a button."""
    with suppress(SlackApiError):
        await desk.client.chat_postEphemeral(
            channel=click.channel or click.user, user=click.user, thread_ts=click.thread_ts or None, text=text
        )


_FOR_ALL: dict[str, Callable[[Desk, Click, Task], Awaitable[None]]] = {
    VOTE: _vote,
    TALK: _talk,
    SHARE: share,
    UNLINK: _unlink,
}
_FOR_HR_ALONE: dict[str, Callable[[Desk, Click, Task], Awaitable[None]]] = {
    APPROVE: _approve,
    REJECT: _reject,
    APPROVE_ANSWER: _approve_answer,
    CONFIRM: _confirm,
    CORRECT_ANSWER: _correct_answer,
    ASSIGN: _assign,
    REPLY: _reply_modal,
    RESOLVE: _resolve_modal,
}
_MODALS_FOR_HR: dict[str, Callable[[Desk, Submission, About, Task], Awaitable[None]]] = {
    CORRECT: _corrected,
    REPLY_MODAL: _reply,
    RESOLVE_MODAL: _resolve,
}
