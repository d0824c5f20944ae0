"""Name what differs between a question and one that has been answered, in numbers that a linear model can weigh.

Enters: a question, and a stored question with its answer. Leaves: one row of features. Who, where, which leave, which
direction, how long: these decide whether two questions that sound alike have the same answer. Training and serving
call the same function.

Not guaranteed: that a difference which is found matters, or that one which matters is found. The pair encoder reads
the rest (`knowledge/matcher.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knowledge.lexical import words

# Each line is one thing; within a group, one thing is not another: sick leave is not parental leave.
_GROUPS: dict[str, tuple[str, ...]] = {
    "who": (
        r"contractors?|freelancers?|consultants?",
        r"interns?|internship|placements?",
        r"apprentices?|trainees?|azubis?",
        r"temps?|agency|seasonal|casual",
        r"part[ -]?time(rs?)?",
        r"managers?|boss|supervisors?|team leads?|directors?",
        r"candidates?|applicants?|interviewees?",
        r"visitors?|guests?|customers?|clients?|suppliers?",
        r"wife|husband|spouse|partner|girlfriend|boyfriend|family",
        r"kids?|child(ren)?|son|daughter|baby",
        r"mother|father|mum|mom|dad|parents?",
        r"grand(mother|father|parents?|ma|pa|dad)|nan",
        r"colleagues?|teammates?|coworkers?",
        r"volunteers?|students?",
        r"dogs?|cats?|pets?",
        r"ex|former|alumni",
    ),
    "leave": (
        r"sick(ness)?|ill(ness)?|flu",
        r"annual|vacation|holidays?",
        r"parental|maternity|paternity|adoption",
        r"bereavement|compassionate|funeral",
        r"unpaid",
        r"sabbatical",
        r"toil|lieu|overtime",
        r"jury|court",
        r"study|exams?|training|course",
        r"volunteering",
        r"public|bank",
        r"carers?|caring",
        r"military|reserve",
    ),
    "doing": (
        r"carry|carryover|roll(over|ing)?|transfer",
        r"sell|sold|cash|paid out|payout",
        r"buy|purchase",
        r"cancel(l?ed|l?ing)?|withdraw",
        r"extend(ed)?|extension|renew",
        r"approv(e|es|al)|sign(s|ed)? off",
        r"refus(e|ed)|den(y|ied)|reject(ed)?",
        r"lease|leasing|rent",
        r"los[et]|lost|stolen|theft|missing",
        r"brok(e|en)|damaged?|repair|fix",
        r"forced?|must|have to|obliged|mandatory|required",
        r"early|earlier|late|later",
        r"record(ed|ing)?|read|monitor(ed)?|track(ed)?",
    ),
    "time": (
        r"before|until|prior",
        r"after|afterwards|following",
        r"during|while",
    ),
    "often": (
        r"dai?ly|(a|per|each|every) (day|night)",
        r"weekly|(a|per|each|every) week",
        r"monthly|(a|per|each|every) month",
        r"yearly|annually|(a|per|each|every) year",
    ),
    "thing": (
        r"phones?|mobiles?|handsets?",
        r"laptops?|computers?|notebooks?",
        r"e?mails?|mailbox|inbox",
        r"bikes?|bicycles?",
        r"cars?|parking",
        r"motorbikes?",
        r"trains?|rail",
        r"planes?|flights?|fly|flying",
        r"hotels?",
        r"taxis?|uber",
        r"meals?|lunch|dinner|food",
        r"pensions?|retirement",
        r"bonus(es)?",
        r"salary|wages?|pay|payslips?",
        r"insurance",
        r"shares?|stock|options",
        r"monitors?|screens?",
        r"desks?|chairs?",
        r"gym",
    ),
    "where": (
        r"home|remote(ly)?",
        r"abroad|overseas|foreign",
        r"uk|britain|england|london|manchester|scotland|edinburgh",
        r"germany|german|berlin|munich|hamburg",
        r"france|french|paris|lyon",
        r"ireland|irish|dublin",
        r"spain|spanish|madrid|barcelona",
        r"italy|italian|milan|rome",
        r"poland|polish|warsaw|krakow",
        r"netherlands|dutch|amsterdam",
        r"usa?|america|new york|california|texas|boston",
        r"canada|toronto|ontario",
        r"india|bangalore|mumbai",
        r"sweden|stockholm|denmark|copenhagen|norway|oslo",
        r"switzerland|swiss|zurich|austria|vienna",
        r"portugal|lisbon|brazil",
        r"singapore|japan|tokyo|china|australia|sydney",
    ),
}
_MEMBERS = {
    group: [re.compile(rf"\b(?:{member})\b", re.IGNORECASE) for member in members] for group, members in _GROUPS.items()
}
# What is asked for. Each question asks for the first of these that it holds a word of.
_ASKS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bwho(se|m)?\b",
        r"\bwhen\b|deadline|by what|what (date|day|time)|how (soon|early|late)",
        r"\bhow long\b",
        r"\bhow often\b",
        r"\bhow (much|many|high|far|big|large|old|mny)\b|\b(max|limit|amount|cap|number of)\b",
        r"\bwhy\b",
        r"\bwhere\b|\bwhich\b",
        r"\bhow (do|can|to|should|does|are|is)\b",
        r"\bwhat happens\b|\bwhat if\b",
        r"\bwhat\b",
        r"^\W*(can|may|am|is|are|do|does|will|must|should|could|would|did|have|has)\b",
    )
]
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SPELLED = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30",
}  # fmt: skip
_NOT = re.compile(
    r"\b(?:not|no|never|without|don'?t|can'?t|cannot|won'?t|isn'?t|doesn'?t|didn'?t|nothing)\b", re.IGNORECASE
)
# Letters that must agree for a word to be a misspelling of another: "holidya" and "holiday" agree in 6 of 7.
_LIKENESS = 0.75

DIFFERENCES: tuple[str, ...] = (
    "new_words",
    "new_word_count",
    "missing_words",
    "missing_word_count",
    "shared_words",
    "log_words",
    "log_stored_words",
    "numbers_differ",
    "numbers_new",
    "negation_differs",
    "asks_differ",
    *(f"other_{group}" for group in _GROUPS),
    *(f"new_{group}" for group in _GROUPS),
    *(f"missing_{group}" for group in _GROUPS),
)


def differences(question: str, stored: str, answer: str) -> NDArray[np.float32]:
    """Features of one pair, shape (len(DIFFERENCES),).

    Example: "can I sell sick days" beside "can I sell vacation days" has `other_leave` 1 and `other_doing` 0.
    """
    asked, known, told = _stems(question), _stems(stored), _stems(answer)
    new = [word for word in asked if not _is_among(word, known | told)]
    missing = [word for word in known if not _is_among(word, asked)]
    numbers, stored_numbers = _numbers(question), _numbers(stored)
    groups = [_of_groups(text) for text in (question, stored, answer)]
    row = [
        len(new) / max(len(asked), 1),
        len(new),
        len(missing) / max(len(known), 1),
        len(missing),
        len(known) - len(missing),
        float(np.log1p(len(question.split()))),
        float(np.log1p(len(stored.split()))),
        bool(numbers and stored_numbers and not numbers & stored_numbers),
        bool(numbers - stored_numbers - _numbers(answer)),
        bool(_NOT.search(question)) != bool(_NOT.search(stored)),
        _asks_for(question) != _asks_for(stored),
        *(bool(a and b and not a & b) for a, b, _ in zip(*groups, strict=True)),
        *(bool(a - b - c) for a, b, c in zip(*groups, strict=True)),
        *(bool(b - a) for a, b, _ in zip(*groups, strict=True)),
    ]
    return np.array(row, dtype=np.float32)


@lru_cache(8_192)
def _stems(text: str) -> frozenset[str]:
    return frozenset(words(text))


def _is_among(word: str, known: AbstractSet[str]) -> bool:
    """Whether a word, or one that it may be a misspelling of, is known."""
    return word in known or any(
        abs(len(word) - len(other)) <= 2 and min(len(word), len(other)) >= 4 and _likeness(word, other) >= _LIKENESS
        for other in known
    )


def _likeness(word: str, other: str) -> float:
    return SequenceMatcher(None, word, other, autojunk=False).ratio()


def _numbers(text: str) -> frozenset[str]:
    spelled = (_SPELLED[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in _SPELLED)
    return frozenset([*_NUMBER.findall(text), *spelled])


@lru_cache(8_192)
def _of_groups(text: str) -> tuple[frozenset[int], ...]:
    """For each group the members that the text names."""
    return tuple(_members(text, patterns) for patterns in _MEMBERS.values())


def _members(text: str, patterns: Sequence[re.Pattern[str]]) -> frozenset[int]:
    return frozenset(i for i, pattern in enumerate(patterns) if pattern.search(text))


def _asks_for(question: str) -> int:
    return next((i for i, pattern in enumerate(_ASKS) if pattern.search(question)), len(_ASKS))
