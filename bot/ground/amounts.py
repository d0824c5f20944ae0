"""Check a draft's numbers, dates, times, shares and amounts against the evidence.

Enters: a `Draft`. Leaves: why a number does not stand, "" if all do: it must occur in the evidence with its unit,
period, kind of days and limits, for the case that is asked about. A number that only repeats the asker's own
circumstances ("after 5 years") may stand beside one that the evidence has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.ground.draft import Draft
from bot.ground.quantities import Quantity, encloses, quantities, states, written_out
from bot.ground.terms import LIGHT, terms


def numbers(draft: Draft) -> str:
    """Why a number does not stand. "10 days" over "10 am" has no such number, over "up to 10 days" lacks the limit."""
    source = draft.source.quantities
    asked = draft.asked_quantities
    stated = draft.quantities
    for quantity in stated:
        same = [other for other in source if states(quantity, other)]
        if not same:
            if _is_restated(quantity, draft, asked, source) and any(
                states(other, found) for other in stated for found in source
            ):
                continue
            is_other_unit = any(other.value == quantity.value for other in source)
            return "a number has another unit in the evidence" if is_other_unit else "a number is not in the evidence"
        faults = [_difference(quantity, other, draft) for other in same]
        if all(faults):
            return faults[0]
    return ""


def _difference(stated: Quantity, found: Quantity, draft: Draft) -> str:
    """In what a stated quantity differs from the evidence's, "" if in nothing that matters."""
    if stated.range_of != found.range_of and (stated.range_of or found.kind not in ("date", "time")):
        return "a range is stated as one number, or the other way round"
    if stated.qualifiers != found.qualifiers and stated.unit:
        return "the kind of days or pay differs"
    if stated.unit == "" and found.unit and found.kind == "number" and found.unit not in draft.asked.stems:
        return "a number has lost its unit"
    if stated.per != found.per and not _period_is_clear(stated, found, draft):
        return "the period differs"
    if stated.bound != found.bound and not _limit_is_clear(stated, found, draft):
        return "a limit was dropped or changed"
    if stated.direction and found.direction and stated.direction != found.direction:
        return "before and after differ"
    return ""


def _period_is_clear(stated: Quantity, found: Quantity, draft: Draft) -> bool:
    if not stated.per:
        return (
            found.per in draft.asked.words or found.per + "ly" in draft.asked.words or found.per in draft.body.lower()
        )
    pattern = rf"\b(?:per|each|every|an?|in (?:a|any|each)) (?:\w+ )?{stated.per}|{stated.per}ly\b"
    return not found.per and re.search(pattern, draft.source.text.lower()) is not None


# "What is the maximum?" "$25." needs no "up to" where the answer opens with it.
_OPENING_WORDS = 2
_ASKS_LIMIT = {
    "max": re.compile(r"\b(?:max\w*|most|limit\w*|up to|cap)\b", re.IGNORECASE),
    "min": re.compile(r"\b(?:min\w*|least)\b", re.IGNORECASE),
    "within": re.compile(r"\b(?:how (?:long|fast|quick\w*|soon)|deadline|by when)\b", re.IGNORECASE),
    "until": re.compile(r"\b(?:until when|till when|how long)\b", re.IGNORECASE),
    "by": re.compile(r"\b(?:latest|deadline|last)\b", re.IGNORECASE),
}
_HARMLESS_LIMITS = {"from", "every", ""}


def _limit_is_clear(stated: Quantity, found: Quantity, draft: Draft) -> bool:
    if {stated.bound, found.bound} <= _HARMLESS_LIMITS:
        return True
    if stated.bound:
        return False
    asks_limit = _ASKS_LIMIT.get(found.bound)
    opens = len(draft.body[: stated.start].split()) <= _OPENING_WORDS
    return opens and bool(asks_limit and asks_limit.search(draft.question))


def _is_restated(quantity: Quantity, draft: Draft, asked: Sequence[Quantity], source: Sequence[Quantity]) -> bool:
    """Whether a number only repeats the asker's own circumstances ("after 5 years"), and the evidence covers them."""
    if not any(states(quantity, other) and other.unit for other in asked):
        return False
    before = draft.text[: draft.text.lower().find(quantity.value)].lower()
    if not re.search(r"\b(?:after|with|for|at|if you (?:have|are|work)|as you have)\s*$", before):
        return False
    alike = [other for other in source if other.kind == quantity.kind and other.unit == quantity.unit]
    return bool(alike) and any(encloses(other, quantity) for other in alike)


def case_of_numbers(draft: Draft) -> str:
    """Of "10 days for a partner, 5 for a parent", the value that is for what the draft or the asker names."""
    stated = draft.quantities
    heard = set(draft.terms.stems) | set(draft.asked.stems)
    for quantity in stated:
        if sum(states(quantity, other) for other in stated) > sum(
            states(quantity, other) for other in (*draft.source.quantities, *draft.asked_quantities)
        ):
            return "a number is said more often than the evidence says it"
    for piece in draft.source.pieces:
        found, text = quantities(piece), written_out(piece)
        chosen = [i for i, other in enumerate(found) if any(states(quantity, other) for quantity in stated)]
        if not chosen or len(found) < 2:
            continue
        after = [_around(text, found, i) for i in range(len(found))]
        alike = [
            i
            for i in range(len(found))
            if i not in chosen and found[i].kind == found[chosen[0]].kind and after[i] & heard
        ]
        if alike and not any((after[i] | (after[i - 1] if i else _before(text, found))) & heard for i in chosen):
            return "a number is for another case in the evidence"
    return ""


def _around(piece: str, found: Sequence[Quantity], i: int) -> frozenset[str]:
    """The content words that follow a number, up to the next number."""
    until = found[i + 1].start if i + 1 < len(found) else len(piece)
    return frozenset(terms(piece[found[i].end : until]).stems) - LIGHT


def _before(piece: str, found: Sequence[Quantity]) -> frozenset[str]:
    return frozenset(terms(piece[: found[0].start]).stems) - LIGHT
