"""Cut a text into clauses and read what each denies, allows, demands and makes a condition.

Enters: English text. Leaves: `Clause`s in order, with polarity, modality and `Condition`s. A number's own limits ("up
to", "no more than") are not read here but with the number (`bot/ground/quantities.py`), so they count neither as denial
nor as condition.

Not guaranteed: grammar. Scope is taken to be the next words of the same clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from bot.ground.terms import LIGHT, terms

# Where a clause ends. Beside marks: before words that turn the sense ("but", "though") or begin a new predicate.
_CLAUSE_END = re.compile(
    r"(?<=[.!?;])\s+|\n+|\s+[–—]\s+|(?<=\w):\s+(?=[A-Z])"
    r"|,?\s+but\s+|,?\s+however,?\s+|,?\s+(?:al)?though\s+|,\s+(?=(?:and|not|otherwise|with no)\s)"
    r"|\s+or\s+(?=(?:they|it|you|else|otherwise)\s)"
    r"|\s+and\s+(?=(?:not|never|need not|must|shall|may|can|cannot|do|does|is|are|has|will)\s)"
)
# "No more than", "not later than", "not only": limits and figures of speech that deny nothing.
_NO_DENIAL = re.compile(
    r"\b(?:no|not|never) (?:to )?(?:any )?(?:(?:more|less|fewer|later|longer|earlier|higher|lower) than|over \d"
    r"|under \d)\b"
    r"|\b(?:may|must|shall|does|do|should|can) ?not exceed\b|\bwhether or not\b|\bno matter\b|\bno\.? (?=\d)"
    r"|\bnot to exceed\b"
)
_DENIES = re.compile(
    r"\b(?:not|no(?!-)|never|none|neither|nor|nobody|nothing|cannot|nowhere|nil|n/a)\b|n't\b"
    r"|\b(?:prohibited|forbidden|banned|ineligible|unacceptable|impermissible|disallowed|excluded?|excludes|declined"
    r"|refused"
    r"|void|forfeited|forfeit|lapse[sd]?|insufficient|unavailable|impossible|exempt|unauthori[sz]ed|waived|denied)\b"
    r"|\b(?:0|zero) ?(?:%|per ?cent|days?\b|hours?\b)"
)
# "No recording is permitted" denies one thing by way of another: only that it denies can be compared.
_TOTAL = re.compile(r"\b(?:no|none|nobody|nothing|never|neither|nil)\b")
# What is only supposed is not denied: "where the last day is not a working day".
_CONDITIONAL = re.compile(
    r"\b(?:if|where|when|whenever|once|unless|in case|provided|as long as|so long as|because|since)\b[^,;:.]*"
)
_PREDICATE = re.compile(r"\b(?:prohibited|forbidden|banned|ineligible|unacceptable|disallowed|void|insufficient)\b")
_DEMANDS = re.compile(
    r"\b(?:must|shall|have to|has to|required?|requires|requirement|needs?|needed|mandatory|compulsory|obliged"
    r"|obligatory|ought|expected to)\b"
)
_ALLOWS = re.compile(
    r"\b(?:may|can|could|might|allowed|permitted|optional|voluntary|entitled|eligible|welcome|free to|able to"
    r"|encouraged|recommended|should|yes)\b"
)
_LEAD = re.compile(
    r"^\W*(?P<lead>yes|yep|yeah|sure|certainly|of course|correct|absolutely|no|nope)\b[\s,.:;–—!-]*", re.IGNORECASE
)


class CueKind(StrEnum):
    """What introduces a condition."""

    ONLY = "only"
    UNLESS = "unless"
    SUBJECT = "subject"
    IF = "if"
    APPROVAL = "approval"
    BEFORE = "before"
    AFTER = "after"
    UNTIL = "until"
    DURING = "during"
    WITHOUT = "without"


# The words of each cue. Those of the first three kinds, and of approval, must be said again in words of the same kind.
_CUES: tuple[tuple[CueKind, str], ...] = (
    (CueKind.ONLY, r"(?<!need )(?<!needs )only|solely|exclusively|no one else|nobody else"),
    (
        CueKind.UNLESS,
        r"unless|except(?:ing)?(?: for| where| if| that| when)?|other than|excluding|apart from|save (?:for|where)"
        r"|with the exception",
    ),
    (
        CueKind.SUBJECT,
        r"subject to|depending on|depends on|contingent on|conditional on|pro[ -]rata|where possible|at the discretion",
    ),
    (
        CueKind.APPROVAL,
        r"approv(?:al|ed|es|e)|permission|consent|agree[sd]?|agreement|authori[sz]\w+|sign(?:s|ed)?[ -]?off|signed by"
        r"|countersigned",
    ),
    (CueKind.IF, r"if|provided(?: that)?|as long as|so long as|on condition|in case|when|whenever|where|once"),
    (CueKind.WITHOUT, r"without"),
    (CueKind.BEFORE, r"before|prior to|until|till"),
    (CueKind.AFTER, r"after|following|upon"),
    (CueKind.DURING, r"during"),
)
_ANY_CUE = re.compile("|".join(rf"(?P<{kind.value}>\b(?:{words})\b)" for kind, words in _CUES))
STRICT = frozenset({CueKind.ONLY, CueKind.UNLESS, CueKind.SUBJECT, CueKind.APPROVAL})
_CONDITION_END = re.compile(r"[,;:.()]|\s(?:you may|you can|you get|you must)\b")
# How many content words a denial reaches.
_REACH = 3


@dataclass(frozen=True)
class Condition:
    """A condition or exception: its kind and the content words that it hangs on."""

    kind: CueKind
    stems: frozenset[str]


@dataclass(frozen=True)
class Clause:
    """A clause: its content words, what it denies, demands and allows, and its conditions.

    `supposed` are the content words of its suppositions ("if …"), of which `suppositions_denied` are denials.
    """

    text: str
    stems: frozenset[str]
    denials: int
    denied: frozenset[str]
    supposed: frozenset[str]
    suppositions_denied: int
    demands: bool
    allows: bool
    conditions: tuple[Condition, ...]
    kinds: frozenset[CueKind]

    @property
    def is_denial(self) -> bool:
        """Whether anything is denied."""
        return self.denials > 0


@lru_cache(4_096)
def clauses(text: str) -> tuple[Clause, ...]:
    """The clauses. Example: "You may go, but not alone" gives one that allows and one that denies "alone"."""
    return tuple(_clause(part) for part in _CLAUSE_END.split(text) if part and part.strip(" .;,"))


def lead(text: str) -> tuple[str, str]:
    """The "yes" or "no" that a text begins with ("" if neither), and the rest. "No, never." gives ("no", "never.")."""
    found = _LEAD.match(text)
    if not found:
        return "", text
    return ("no" if found["lead"].lower().startswith("no") else "yes"), text[found.end() :]


def _clause(text: str) -> Clause:
    low = text.lower().replace("’", "'")
    bare = _NO_DENIAL.sub(" ", low)
    main, supposed = _CONDITIONAL.sub(" ", bare), " ".join(_CONDITIONAL.findall(bare))
    conditions = tuple(_conditions(low))
    return Clause(
        text=text,
        stems=frozenset(terms(text).stems) - LIGHT,
        denials=len(_DENIES.findall(main)),
        denied=frozenset() if _TOTAL.search(main) else _denied(main),
        supposed=frozenset(terms(supposed).stems) - LIGHT,
        suppositions_denied=len(_DENIES.findall(supposed)),
        demands=_DEMANDS.search(bare) is not None
        or any(c.kind in (CueKind.ONLY, CueKind.APPROVAL) for c in conditions),
        allows=_ALLOWS.search(bare) is not None,
        conditions=conditions,
        kinds=frozenset(CueKind(str(cue.lastgroup)) for cue in _ANY_CUE.finditer(low)),
    )


def _denied(low: str) -> frozenset[str]:
    denied: set[str] = set()
    for denial in _DENIES.finditer(low):
        is_predicate = _PREDICATE.match(denial[0]) is not None
        reach = re.split(r"[,;:]|\b(?:and|or|unless|until|if|because|so)\b", low[denial.end() :])[0]
        scope = terms(low[: denial.start()]).stems[-_REACH:] if is_predicate else terms(reach).stems[:_REACH]
        denied.update(scope)
    return frozenset(denied)


def _conditions(low: str) -> list[Condition]:
    """Each cue with the words up to the next mark or cue; an "only" also binds what stands before it."""
    cues = list(_ANY_CUE.finditer(low))
    found = []
    for position, cue in enumerate(cues):
        kind = CueKind(str(cue.lastgroup))
        until = cues[position + 1].start() if position + 1 < len(cues) else len(low)
        stretch = low[cue.end() : until]
        mark = _CONDITION_END.search(stretch)
        words = terms(stretch[: mark.start()] if mark else stretch).stems
        if words or kind in STRICT:
            found.append(Condition(kind, frozenset(words) - LIGHT))
    return found
