"""The home tab: for employees what to ask and what they asked, for HR also what awaits them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time

from bot.feedback import Correction, Status, verified_answer
from bot.review import asked_by, numbers, unanswered, voted_down
from bot.slack.desk import Desk, person
from bot.slack.incoming import HomeOpened
from bot.slack.views import HomeForHR, employee_home, hr_home
from knowledge.verified import Doubt, doubt


async def home_opened(desk: Desk, opened: HomeOpened) -> None:
    """Show the home tab, or suggest questions where somebody is about to write."""
    if opened.tab == "home":
        await publish_home(desk, opened.user)
        return
    questions = desk.settings.company.suggested_questions[:4]
    if questions and opened.channel:
        prompts = [{"title": question[:75], "message": question} for question in questions]
        await desk.client.assistant_threads_setSuggestedPrompts(channel_id=opened.channel, prompts=prompts)


async def publish_home(desk: Desk, user: str) -> None:
    """Show somebody their home tab as it is now."""
    company = desk.settings.company
    own = await asyncio.to_thread(asked_by, desk.store, person(user))
    if await desk.people.is_hr(user):
        view = hr_home(company.name, company.suggested_questions, own, await asyncio.to_thread(_waiting, desk))
    else:
        view = employee_home(company.name, company.suggested_questions, own)
    await desk.client.views_publish(user_id=user, view=view)


def _waiting(desk: Desk) -> HomeForHR:
    today = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    counted = numbers(desk.store, today)
    return HomeForHR(
        answered=counted.answered,
        declined=counted.declined,
        up=counted.up,
        down=counted.down,
        unanswered=unanswered(desk.store),
        voted_down=voted_down(desk.store),
        suggestions=desk.feedback.corrections(Status.SUGGESTED)[::-1],
        doubted=_doubted(desk),
    )


def _doubted(desk: Desk) -> list[tuple[Correction, Doubt]]:
    snapshot, today = desk.ready.service.snapshot(), date.today()
    live = desk.feedback.corrections(Status.LIVE)
    found = [(one, doubt(verified_answer(one), snapshot, today)) for one in live]
    return [(one, why) for one, why in found if why]
