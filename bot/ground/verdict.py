"""Check that the evidence bears out a leading "yes" or "no".

Enters: a `Draft`. Leaves: why its yes or no does not stand, "" if it does, or if it has none. A yes or no must be
about what was asked and have the evidence's polarity; where the question is itself turned ("can I skip …"), nobody
can tell by rules.
"""

from __future__ import annotations

import re

from bot.ground.clauses import Clause, CueKind, lead
from bot.ground.draft import Draft, nearest
from bot.ground.quantities import Quantity, encloses, states
from bot.ground.terms import LIGHT, stem, word_set

# Share of the question's content words that the evidence must have. "No" needs fewer: it also needs a denial.
_SUBJECT_SHARE = {"yes": 0.51, "no": 0.1}
_CHATTY = frozenset(
    stem(word)
    for word in word_set(
        """
        im ive id dont doesnt cant wont isnt hi hey hello thanks thank pls plz lol btw okay just really back new go
        come take put one thing stuff know tell say think like still even wanna gonna gotta kinda smth bit got
        question asking guys hr possible january february march april june july august september october november
        december monday tuesday wednesday thursday friday saturday sunday true right correct legit wondering
        """
    )
)
# Employees' words and policies' words for the same thing. Only for telling what a question is about: an answer may not
# swap them.
_SENSES = (
    "holiday holidays vacation leave pto hols hol vacay time-off",
    "boss manager supervisor lead superior",
    "doctor dr gp physician medical doc",
    "note certificate mc paperwork proof",
    "sick ill sickness illness flu unwell fever",
    "kid kids child children son daughter baby",
    "mum mom mother dad father parent parents",
    "wife husband spouse partner girlfriend boyfriend",
    "pay money salary wage wages paid cash",
    "quit resign resignation leaving",
    "fire fired sacked dismissed dismissal terminated",
    "phone call ring telephone",
    "ot overtime",
    "home remote wfh remotely",
    "probation trial",
    "carry roll rollover carried transfer",
    "died death passed bereavement funeral dead",
    "gift gifts present presents",
    "course training class courses",
    "colleague coworker teammate",
    "work working job",
    "buy purchase",
    "insurance cover coverage health",
    "hour hours hrs hr",
    "week weeks wk wks",
    "day days date",
    "month months",
    "year years yr yrs",
    "unused leftover remaining left",
    "online internet facebook web",
    "counselling counselor therapy therapist",
)
# "Suspended" and "suspension" have no stem in common, but a beginning.
_PREFIX = 5
_SENSE_OF = {stem(word): number for number, words in enumerate(_SENSES) for word in words.split()}


def _sense(word: str) -> str | int:
    return _SENSE_OF.get(word, word[:_PREFIX])


_TURNED = re.compile(
    r"\b(?:not|no|never|without|skip|avoid|refuse|instead|stop|lose|miss|isn't|isnt|don't|dont|doesn't|doesnt|can't"
    r"|cant|won't"
    r"|wont|shouldn't|opt out|decline|except|fully|always|completely|entirely|automatically|straight away)\b",
    re.IGNORECASE,
)
_ASKS_DUTY = re.compile(
    r"\b(?:must|have to|has to|need|needs|required?|mandatory|compulsory|supposed to|obliged|got to|gotta)\b",
    re.IGNORECASE,
)
_ASKS_LEAVE = re.compile(r"\b(?:can|could|may|allowed|permitted|ok|okay|able to|alright)\b", re.IGNORECASE)
_GRANTS = re.compile(
    r"\b(?:may|can|could|allowed|permitted|entitled|eligible|able|welcome|free to|gets?|provided|covered|covers?"
    r"|available"
    r"|reimburse[sd]?|accepted|offer(?:s|ed)?|granted|yes|includ\w+|receives?|right|joins?|fine|accrues?|earns?|ok"
    r"|paid|pays?|have)\b"
)
_NO_DUTY = re.compile(
    r"\b(?:not (?:have|need)|n't (?:have|need)|need not|not (?:required|necessary|obliged)|no need)\b"
)


def yes_or_no(draft: Draft) -> str:
    """Why the draft's yes or no does not stand; "" if it does."""
    if not draft.lead:
        return ""
    if _TURNED.search(draft.question):
        return "yes or no to a question that is itself turned"
    spoken = {lead(piece)[0] for piece in draft.source.pieces} - {""}
    if spoken and draft.lead not in spoken:
        return "the evidence says the opposite of the yes or no"
    if not spoken and not _is_about_question(draft):
        return "yes or no to something that the evidence does not name"
    opening = draft.clauses[0]
    matches = nearest(opening, draft.source)
    if not matches:
        return "nothing in the evidence bears out the yes or no"
    return _no(draft, opening, matches) if draft.lead == "no" else _yes(draft, opening, matches)


def _is_about_question(draft: Draft) -> bool:
    asked = {_sense(word) for word in draft.asked.stems if word not in LIGHT | _CHATTY}
    named = {_sense(word) for word in (*draft.source.terms.stems, *draft.source.headings.stems)}
    return len(asked & named) >= _SUBJECT_SHARE[draft.lead] * len(asked)


def _no(draft: Draft, opening: Clause, matches: list[Clause]) -> str:
    excepts = CueKind.UNLESS in opening.kinds and all(match.is_denial for match in matches)
    restricts = opening.is_denial or CueKind.ONLY in opening.kinds or excepts
    if draft.body.lower().startswith(("but", "only")) or not restricts:
        return "the evidence has nothing that says no"
    if not _ASKS_DUTY.search(draft.question) and _NO_DUTY.search(opening.text.lower()):
        return "no to a permission, where the evidence lifts a duty"
    return ""


def _yes(draft: Draft, opening: Clause, matches: list[Clause]) -> str:
    asked = set(draft.asked.stems) - LIGHT
    denies_asked = any(clause.denied & asked for clause in draft.clauses)
    if opening.is_denial or CueKind.ONLY in opening.kinds or denies_asked or re.search(r"\bbut\b", draft.body):
        return "the draft says yes to what it denies or restricts"
    if any(not _is_covered(quantity, draft) for quantity in draft.asked_quantities):
        return "yes to a number that the evidence does not cover"
    is_duty = any(match.demands for match in matches)
    if _ASKS_DUTY.search(draft.question):
        return "" if is_duty else "yes to a duty that the evidence does not state"
    grants = any(_GRANTS.search(match.text.lower()) for match in matches)
    if opening.demands or (_ASKS_LEAVE.search(draft.question) and not grants) or (is_duty and not grants):
        return "yes to a permission that the evidence does not give"
    return ""


def _is_covered(asked: Quantity, draft: Draft) -> bool:
    """Whether a number in the question is the evidence's own, or within its limits; dates and ordinals are let be."""
    if asked.kind not in ("number", "money", "share", "ratio", "time"):
        return True
    return any(states(asked, other) or encloses(other, asked) for other in draft.source.quantities)
