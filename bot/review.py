"""What awaits HR, and what somebody asked: the ledger as people look at it.

Enters: an open ledger. Leaves: today's numbers, the questions that no policy answered, the answers that were voted
down and not looked at since, a person's own last questions. Sensitive messages appear in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from bot.answer import Route
from bot.schema import CORRECTIONS, INTERACTIONS, VOTES
from bot.store import Interaction, Store, interaction_of

# How far back the lists look.
_LAST = 200


@dataclass(frozen=True)
class Numbers:
    """Counts since a moment."""

    answered: int
    declined: int
    up: int
    down: int


def numbers(store: Store, since: datetime) -> Numbers:
    """How many questions were answered and declined, and how many votes were cast, since then."""
    with store.reading() as connection:
        counts = select(INTERACTIONS.c.route, func.count()).where(INTERACTIONS.c.at >= since)
        by_route = {route: count for route, count in connection.execute(counts.group_by(INTERACTIONS.c.route))}
        voted = connection.scalars(
            select(VOTES.c.interaction_id).where(VOTES.c.at >= since).distinct().order_by(VOTES.c.interaction_id)
        ).all()
    ratings = [vote.rating for interaction_id in voted for vote in store.current_votes(interaction_id)]
    declined = by_route.pop(Route.UNKNOWN.value, 0)
    return Numbers(
        answered=sum(by_route.values()),
        declined=declined,
        up=sum(rating > 3 for rating in ratings),
        down=sum(rating < 3 for rating in ratings),
    )


def unanswered(store: Store) -> list[Interaction]:
    """The last questions that no policy answered and HR has not either, newest first."""
    query = (
        select(INTERACTIONS)
        .where(
            INTERACTIONS.c.route == Route.UNKNOWN.value, INTERACTIONS.c.id.not_in(select(CORRECTIONS.c.interaction_id))
        )
        .order_by(INTERACTIONS.c.at.desc())
        .limit(_LAST)
    )
    with store.reading() as connection:
        found = [interaction_of(row) for row in connection.execute(query).mappings()]
    return list({" ".join((one.asked or one.question).casefold().split()): one for one in reversed(found)}.values())[
        ::-1
    ]


def voted_down(store: Store) -> list[Interaction]:
    """The last answers against which a vote stands and that nobody has corrected, newest first."""
    query = (
        select(INTERACTIONS)
        .where(
            INTERACTIONS.c.id.in_(select(VOTES.c.interaction_id).where(VOTES.c.rating.between(1, 2))),
            INTERACTIONS.c.id.not_in(select(CORRECTIONS.c.interaction_id)),
            INTERACTIONS.c.route != Route.SENSITIVE.value,
        )
        .order_by(INTERACTIONS.c.at.desc())
        .limit(_LAST)
    )
    with store.reading() as connection:
        found = [interaction_of(row) for row in connection.execute(query).mappings()]
    return [one for one in found if any(vote.rating < 3 for vote in store.current_votes(one.id))]


def asked_by(store: Store, person: str, most: int = 5) -> list[Interaction]:
    """The person's own last questions, newest first. `person` is the channel's name for them."""
    query = (
        select(INTERACTIONS)
        .where(INTERACTIONS.c.person == store.hash(person), INTERACTIONS.c.route != Route.SENSITIVE.value)
        .order_by(INTERACTIONS.c.at.desc())
        .limit(most)
    )
    with store.reading() as connection:
        return [interaction_of(row) for row in connection.execute(query).mappings()]
