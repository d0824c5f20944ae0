"""Check what a draft denies, demands, allows and makes a condition against the evidence.

Enters: a `Draft`. Leaves: why it does not stand, "" if it does. Each of its clauses is compared with those of the
evidence that it says again: both deny or neither, demand or allow the same, and conditions and exceptions survive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.ground.clauses import STRICT, Clause, Condition, CueKind
from bot.ground.draft import Draft, nearest
from bot.ground.quantities import encloses, quantities, states

# A condition survives when this share of its content words is said again, or was said by the asker.
_CONDITION_SHARE = 0.6
_SUPPOSED_SHARE = 0.5
# From this share of its content words on, a clause of the evidence is used as a whole, its limits included.
_USED_SHARE = 0.3


def polarity(draft: Draft) -> str:
    """Why what it denies, demands or allows does not stand. "You may post." over "must not post" denies otherwise."""
    for clause in draft.clauses:
        if not clause.stems:
            continue
        for match in nearest(clause, draft.source):
            if (
                draft.lead == "no"
                and clause is draft.clauses[0]
                and match.is_denial
                and not clause.denials
                and CueKind.UNLESS in clause.kinds
            ):
                continue  # "No, unless your manager agrees."
            if clause.is_denial != match.is_denial or clause.denials > match.denials:
                return _TURNED_ROUND
            if (clause.denied and match.denied) and (
                (clause.denied & match.stems) - match.denied or (match.denied & clause.stems) - clause.denied
            ):
                return _TURNED_ROUND
            if clause.demands and match.allows and not match.demands:
                return "the draft demands what the evidence allows"
            if clause.allows and not clause.is_denial and match.demands and not match.allows:
                return "the draft allows what the evidence demands"
        if _supposes_otherwise(clause, draft.source.clauses):
            return "a supposition is turned round"
    denied = _union(clause.denied for clause in draft.clauses)
    affirmed = _union(clause.stems - clause.denied for clause in draft.clauses if not clause.is_denial)
    source_denied = _union(clause.denied for clause in draft.source.clauses)
    source_affirmed = _union(clause.stems - clause.denied for clause in draft.source.clauses if not clause.is_denial)
    if any(c.is_denial and c.stems and c.stems <= affirmed for c in draft.source.clauses):
        return _TURNED_ROUND
    if (affirmed & source_denied) - source_affirmed or (denied & source_affirmed) - source_denied:
        return _TURNED_ROUND
    return ""


def _supposes_otherwise(clause: Clause, source: tuple[Clause, ...]) -> bool:
    """Whether "if you are not away" stands where the evidence has "if you are away", or the other way round."""
    if clause.suppositions_denied > max(
        (c.suppositions_denied + c.denials for c in source if c.stems & clause.supposed), default=0
    ):
        return True
    alike = [c for c in source if len(c.supposed & clause.supposed) * 2 >= len(clause.supposed) > 0]
    return bool(alike) and all(bool(c.suppositions_denied) != bool(clause.suppositions_denied) for c in alike)


_TURNED_ROUND = "the draft denies what the evidence affirms, or the other way round"


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


def conditions(draft: Draft) -> str:
    """Why a condition does not stand: dropped, unless the asker said it, or added. An added "if" only restricts."""
    kinds = frozenset[CueKind]().union(*(clause.kinds for clause in draft.clauses))
    source_kinds = frozenset[CueKind]().union(*(clause.kinds for clause in draft.source.clauses))
    if kinds - source_kinds - {CueKind.IF}:
        return "the draft adds a condition"
    said = set(draft.terms.stems)
    known = said | set(draft.asked.stems)
    asks_who = _ASKS_WHO.search(draft.question) is not None
    heard = (*draft.quantities, *draft.asked_quantities)
    for clause in draft.clauses:
        for match in nearest(clause, draft.source) or draft.source.clauses:
            if any(not _survives(condition, kinds, said, known, asks_who) for condition in match.conditions):
                return "a condition or exception was dropped"
            if _is_mostly_used(match, clause) and any(
                limit.bound in _CONDITION_LIMITS
                and not any(states(limit, other) for other in heard)
                and not any(encloses(limit, other) for other in draft.asked_quantities)
                for limit in quantities(match.text)
            ):
                return "a limit was dropped"
    return ""


_ASKS_WHO = re.compile(r"\b(?:who|whom|whose|ok|okay|approv\w*|sign\w*)\b", re.IGNORECASE)
_CONDITION_LIMITS = frozenset({"within", "by", "before", "after", "until", "over", "under", "min", "max"})


def _is_mostly_used(match: Clause, clause: Clause) -> bool:
    """Whether a draft's clause says enough of the evidence's clause to be taken for the whole of it."""
    return len(match.stems & clause.stems) >= _USED_SHARE * len(match.stems)


def _survives(condition: Condition, kinds: frozenset[CueKind], said: set[str], known: set[str], asks_who: bool) -> bool:
    if condition.kind is CueKind.APPROVAL and asks_who and condition.stems and condition.stems <= said:
        return True  # "Who approves it?" is answered by the condition itself.
    if condition.kind in STRICT and condition.kind not in kinds:
        return False
    heard = said if condition.kind in STRICT else known
    share = _SUPPOSED_SHARE if condition.kind is CueKind.IF else _CONDITION_SHARE
    return len(condition.stems & heard) >= share * len(condition.stems)
