"""Decide from people's votes whether a canary becomes the live model, or goes.

Enters: the votes on answers of both models since the canary began. Leaves: a decision, and where there is one, another
state in the registry.

The test may be looked at as often as one likes: an interval around the difference that holds at every moment at once
(an asymptotic confidence sequence; Waudby-Smith et al. 2021, arXiv 2103.06476). One person counts as one, however often
they vote. The canary is promoted when it is surely not worse by more than `MARGIN`, and goes when it is surely worse.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from bot.schema import INTERACTIONS, VOTES
from bot.store import Store
from config.errors import QuantaHRError
from exporter.registry import Registry, State

_log = logging.getLogger(__name__)
MARGIN = 0.1
FEWEST_PEOPLE = 8
_ALPHA = 0.05
# Where the interval is narrowest: at about a hundred people.
_RHO2 = (-2 * math.log(_ALPHA) + math.log(-2 * math.log(_ALPHA) + 1)) / 100
_LOOK_EVERY_S = 600.0


class Decision(StrEnum):
    """What the votes say of a canary."""

    WAIT = "wait"
    PROMOTE = "promote"
    REJECT = "reject"


@dataclass(frozen=True)
class Judged:
    """A decision, with the share of satisfied people on either side and the interval of canary minus live."""

    decision: Decision
    live: float
    canary: float
    low: float
    high: float
    people: int

    @property
    def why(self) -> str:
        """In one sentence."""
        return (
            f"of {self.people} people who voted, {self.canary:.0%} were satisfied with it and {self.live:.0%} with the "
            f"live one (the difference lies between {self.low:+.0%} and {self.high:+.0%})"
        )


def judge(live: Sequence[float], canary: Sequence[float]) -> Judged:
    """Compare people's satisfaction, 0 to 1 for each person, under both models."""
    if min(len(live), len(canary)) < FEWEST_PEOPLE:
        return Judged(Decision.WAIT, _mean(live), _mean(canary), -1.0, 1.0, len(live) + len(canary))
    difference = _mean(canary) - _mean(live)
    # Of the mean of a few equal votes the sample says no variance at all; one vote to either side more does.
    variance = sum(_variance([*side, 0.0, 1.0]) / len(side) for side in (live, canary))
    n = 1 / (1 / len(live) + 1 / len(canary))
    width = math.sqrt(variance * (1 + 1 / (n * _RHO2)) * math.log((n * _RHO2 + 1) / _ALPHA**2))
    low, high = difference - width, difference + width
    decision = Decision.REJECT if high < 0 else Decision.PROMOTE if low > -MARGIN else Decision.WAIT
    return Judged(decision, _mean(live), _mean(canary), low, high, len(live) + len(canary))


def satisfaction(store: Store, since: datetime) -> Mapping[str, list[float]]:
    """By model, how satisfied each person who voted was on average: 1 to 5 stars as 0 to 1."""
    query = select(INTERACTIONS.c.id, INTERACTIONS.c.model).where(
        INTERACTIONS.c.at >= since, INTERACTIONS.c.id.in_(select(VOTES.c.interaction_id))
    )
    with store.reading() as connection:
        voted = connection.execute(query).all()
    by_person: dict[tuple[str, str], list[float]] = defaultdict(list)
    for interaction, model in voted:
        for vote in store.current_votes(interaction):
            by_person[model, vote.person].append((vote.rating - 1) / 4)
    found: dict[str, list[float]] = defaultdict(list)
    for (model, _), ratings in by_person.items():
        found[model].append(_mean(ratings))
    return found


def decide(store: Store, registry: Registry, shipped: str) -> Judged | None:
    """Look at the votes and act on them; None where there is no canary. `shipped` names what ships in the ledger."""
    current = registry.current()
    if not current.canary:
        return None
    votes = satisfaction(store, current.models[current.canary].at)
    judged = judge(votes.get(current.live or shipped, []), votes.get(current.canary, []))
    if judged.decision is Decision.PROMOTE:
        registry.move(current.canary, State.LIVE, judged.why, only_from=State.CANARY)
    elif judged.decision is Decision.REJECT:
        registry.move(current.canary, State.REJECTED, judged.why, only_from=State.CANARY)
    return judged


async def watch(store: Store, registry: Registry, shipped: str) -> None:
    """Look every ten minutes, until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            judged = await asyncio.to_thread(decide, store, registry, shipped)
        except QuantaHRError:
            _log.exception("the votes on the canary could not be looked at; it is tried again")
            continue
        if judged and judged.decision is not Decision.WAIT:
            _log.warning("canary: %s, as %s", judged.decision, judged.why)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
