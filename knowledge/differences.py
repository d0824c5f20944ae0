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
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from knowledge.lexical import words

# What is had "a day" or "a year".
_COUNTED = (
    r"(?:hours?|hrs?|minutes?|mins?|days?|nights?|weeks?|times|once|twice|much|many|money|meals?|breaks?|euros?|dollars?|"
    r"pounds?|quid|paid|costs?|\d+[€$£%k]?)"
)
# "Does the company pay for lunch" is about lunch; "sick pay" and "pay rise" are about pay.
_PAY_OF = (
    r"(?:my|our|his|her|their|the|sick|sickness|holiday|vacation|leave|maternity|paternity|parental|jury|full|half|base|"
    r"basic|overtime|severance|redundancy|statutory|night|shift|call|standby|extra|gross|net|lose|without|of|on|in|"
    r"higher|lower|equal|same|weekend|hourly|variable|strike)"
)


def _each(unit: str) -> str:
    """Every day or three times a day; a day off is no habit."""
    return rf"(?:per|each|every) {unit}|{_COUNTED} an? {unit}"


def _people(name: str) -> str:
    """A country's people and things; their language is no place."""
    taught = r"(?:course|class|classe|lesson|language|test)s?\b"
    return rf"(?<!speak )(?<!speaks )(?<!learn )(?<!in )(?<!nail ){name}(?! (?:{taught}|(?:my|our|up)\b))"


# Each line is one thing; within a group, one thing is not another: sick leave is not parental leave. A word that also
# means something else is told by its neighbours: "of course" is no course, "tell us" is not the US.
_GROUPS: dict[str, tuple[str, ...]] = {
    "who": (
        r"contractors?|freelancers?|consultants?",
        r"interns?|internship|placements?",
        r"apprentices?|trainees?|azubis?",
        r"temps?|agency|seasonal|casuals?(?! (?:leave|time|cloth|dress|wear|friday|shoe))",
        r"part[ -]?time(rs?)?",
        r"managers?|boss|supervisors?|team leads?|directors?",
        r"candidates?|applicants?|interviewees?",
        r"visitors?|guests?|customers?|clients?|suppliers?",
        r"wife|husband|spouse|(?<!hr )(?<!business )(?<!people )partner(?! (?:hotel|compan|firm|agenc))|girlfriend|"
        r"boyfriend|family",
        r"kids?|child(ren)?|son|daughter|baby",
        r"mother|father|mum|mom|dad|parents?(?! compan)",
        r"grand(mother|father|parents?|ma|pa|dad)|nan",
        r"colleagues?|teammates?|coworkers?",
        r"volunteers|(?<!i )(?<!to )(?<!we )(?<!can )volunteer(?! (?:days?|leave|time|hours?)\b)|students?(?! loan)",
        r"dogs?|cats?|pets?",
        r"ex(?! gratia)|former|alumni",
    ),
    "leave": (
        r"sick(ness)?(?! of\b)|sickness|sickies?|illness|"
        r"ill(?! (?:be|have|need|get|go|do|take|come|miss|lose|ask|send)\b)|flu(?! (?:shot|jab|vaccin))|"
        r"(?:i'?m|i am|i'?ve been|while|being) signed off|"
        r"signed off (?:sick|ill|work|with|by (?:(?:my|the|a) )?(?:gp|doctor))",
        r"annual (?:leave|holidays?|vacation)|a/l|vacations?|"
        r"(?<!bank )(?<!public )(?<!national )(?<!federal )(?<!statutory )(?<!religious )(?:holidays?|hols?)"
        r"(?! (?:flat|home|house|apartment|party|parties|rental)\b)",
        r"parental|maternity|paternity|adoption",
        r"bereavement|compassionate|funeral",
        r"unpaid(?! (?:overtime|invoice|bill|expense|work|intern|wage|salar|hour|helper|claim|carer))",
        r"sabbatical",
        r"toil|lieu(?! of notice)|overtime",
        r"jury|(?<!tennis )(?<!squash )court",
        r"study|(?<!medical )(?<!eye )(?<!health )exams?|training|"
        r"(?<!of )(?<!due )(?<!golf )(?<!main )(?<!in the )courses?",
        r"volunteering|volunteer (?:days?|leave|time|hours?)",
        r"(?:bank|public|national|federal|statutory|religious) (?:holidays?|hols?|days? off)",
        r"carers?|caring",
        r"military|army|reservists?|national guard|reserves|reserve (?:duty|duties|service|forces?|training|leave)",
        r"casual (?:leave|time)",
    ),
    "doing": (
        r"carr(?:y|ies|ied|ying)(?! (?:out|on)\b)|carry-?over|roll(over|ing)?(?! (?:contract|basis|up\b|out\b))|"
        r"(?<!bank )(?<!wire )(?<!money )transfer",
        r"sell|sold|cash(?:ed|ing)?(?: (?:it|them|my|those|unused|days|leave|holidays?|vacation)){0,2} (?:out|in)|"
        r"(?:for|into|as) cash|paid out|pay ?out",
        r"buy|(?<!share )(?<!stock )purchase(?! orders?)",
        r"(?<!noise )(?<!noise-)cancel(l?ed|l?ing)?|withdraw",
        r"extend(ed)?(?! (?:family|hours))|"
        r"(?<!chrome )(?<!browser )(?<!phone )extension(?! (?:lead|cord|cable|number))|renew",
        r"approv(e|es|al)|signs? off|"
        r"(?<!i'm )(?<!im )(?<!i am )(?<!i've been )(?<!ive been )(?<!while )(?<!being )"
        r"signed off(?! (?:sick|ill|work|with|by (?:(?:my|the|a) )?(?:gp|doctor)))",
        r"refus(e|ed)|den(y|ied)|reject(ed)?",
        r"lease|leasing|rent",
        r"lost|los[et](?! (?:(?:my|the|any|all|those|unused|a|some) )?"
        r"(?:pay|money|wages?|salary|days?|holidays?|vacation|leave|pension|bonus|hours)\b)|stolen|theft|missing",
        r"(?<!i'm )(?<!im )brok(?:e|en)(?! (?:(?:my|his|her|a) )?(?:leg|arm|wrist|ankle|foot|finger|toe|hip|bone)s?\b)|"
        r"damaged?|repair|fix",
        r"(?<!task )(?<!air )(?<!sales )(?<!in )(?<!into )(?<!police )(?<!armed )forced?|must|have to|obliged|"
        r"mandatory|required",
        r"early|earlier|late|later",
        r"(?<!criminal )(?<!track )(?<!attendance )record(ed|ing)?(?! (?:check|date))|read|monitored|monitoring|"
        r"(?:you|we|they|company|boss|managers?|hr|employer|to) monitor|(?<!on )track(ed)?(?! record)",
    ),
    "time": (
        r"before|until|prior",
        r"(?<!look )(?<!looks )(?<!looked )(?<!looking )after(?! hours)|afterwards|(?<!the )following",
        r"during|(?<!a )while",
    ),
    "often": (
        rf"dai?ly|{_each('(?:day|night)')}",
        rf"weekly|{_each('week')}",
        rf"monthly|{_each('month')}",
        rf"yearly|annually|annual(?! (?:leave|holidays?|vacation))|{_each('year')}",
    ),
    "thing": (
        r"phones?(?! (?:in sick|in ill|hr|someone)\b)|mobiles?(?! work)|handsets?",
        r"laptops?|computers?|notebooks?",
        r"e?mails?|mailbox|inbox",
        r"bikes?|bicycles?",
        r"cars?|parking",
        r"motorbikes?",
        r"(?<!who )trains?(?! (?:us|me|you|them|people|someone|somebody|(?:a )?new|staff|colleagues?|managers?)"
        r"\b)|rail",
        r"planes?|flights?|(?<!on the )fly|flying",
        r"hotels?",
        r"taxis?|uber",
        r"meals?|lunch|dinner|food(?! (?:bank|poisoning|hygiene|safety))",
        r"pensions?|retirement",
        r"bonus(es)?",
        rf"salar(?:y|ies)|wages?|payslips?|payche(?:ck|que)s?|{_PAY_OF} pay|"
        r"pay (?:rise|raise|review|slip|band|grade|scale|cut|day|increase|period|run|stub|packet|gap|cheque|check)s?",
        r"(?<!national )insurance",
        r"(?<!who )shares(?! (?:a|my|the|our)\b)|share (?:plan|purchase|scheme|save|price|option|award|grant)s?|"
        r"(?:vested|company|employee) share|(?<!in )(?<!of )stock(?! (?:take|taking|room|count|check|number))|"
        r"(?:vested|unvested|exercise) options",
        r"(?<!you )(?<!we )(?<!they )(?<!company )(?<!boss )(?<!manager )(?<!managers )(?<!hr )(?<!employer )(?<!to )"
        r"monitors?|screens?",
        r"(?<!help )(?<!service )(?<!front )(?<!support )desks?|chairs?(?! the\b)",
        r"gym",
    ),
    "where": (
        r"(?<!take )(?<!take-)(?<!care )(?<!nursing )(?<!sent )(?<!send )(?<!holiday )"
        r"home(?! (?:address|country|page))|remote(ly)?|mobile work(?:ing)?",
        r"abroad|overseas|foreign(?! language)",
        r"uk|u\.k|britain|england|london|manchester|scotland|edinburgh",
        rf"germany|{_people('german')}|berlin|munich|hamburg",
        rf"france|{_people('french')}|paris|lyon",
        rf"ireland|{_people('irish')}|dublin",
        rf"spain|{_people('spanish')}|madrid|barcelona",
        rf"italy|{_people('italian')}|milan|rome",
        rf"poland|{_people('polish')}|warsaw|krakow",
        rf"netherlands|{_people('dutch')}|amsterdam",
        r"usa|u\.s|(?-i:(?<![A-Z] )US)|(?:in|the) us|(?<!.)us|(?<!give )(?<!gives )(?<!gave )(?<!get )(?<!pay )"
        r"(?<!let )(?<!send )(?<!tell )(?<!of )(?<!all )us (?:staff|employees?|workers?|offices?|sites?|teams?|plans?|"
        r"states?|citizen\w*|visas?|work visa|work permit|green card|immigration|currency|dollars?|payroll|"
        r"entity|passport)|"
        r"(?<!south )(?<!latin )america|americans?(?! express)|new york|california|texas|boston",
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
# What is asked for. Each question asks for the first of these that it holds a word of; "people who" and "when I am ill"
# ask for nothing.
_ASKS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!people )(?<!person )(?<!employee )(?<!employees )(?<!staff )(?<!colleague )(?<!someone )(?<!somebody )"
        r"(?<!anyone )(?<!anybody )(?<!those )(?<!worker )(?<!workers )\bwho(se|m)?\b",
        r"\bwhen'?s? (?:do|does|did|is|are|am|can|could|will|would|should|must|may|was|were|have|has|shall)\b|"
        r"^\W*when\b(?! (?:i|i'm|im|my|we|a|an|the|someone)\b)|\b(?:by|until|till|since|from|know|me|and) when\b|"
        r"\bwhen\W*$|\bwhen's\b|deadline|by what|what (date|day|time)|how (soon|early|late)",
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
# A 401(k) is a pension, and 24/7 a way of speaking.
_NUMBER = re.compile(r"(?<!\d)(?!401 ?\(?k|403 ?\(?b|24/7)(?<!24/)\d+(?:[.,]\d+)*", re.IGNORECASE)
_SPELLED = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30",
}  # fmt: skip
# "One" is a number before what is counted; "this one" and "one of us" count nothing.
_ONE = re.compile(r"\bone(?= (?:day|night|week|month|year|hour|minute|time|shift|third|quarter|percent)s?\b)")
_WORD = re.compile(r"[a-z]+")
# That somebody is not sure, or does not know, denies nothing of what is asked.
_NOT = re.compile(
    r"\b(?:(?:(?<!or )(?<!if )(?<!why )not|never|without|cannot|nothing|\w+n't|"
    r"(?:do|ca|wo|is|does|did|was|are|have|has|could|would|should)nt)"
    r"(?! (?:sure|certain|know|understand)\b)|no(?! (?:idea|problem|worries|rush|doubt)\b))\b",
    re.IGNORECASE,
)
# Phones type ’ for '.
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ´`", "'"))
# In words: about as much as the pair encoder reads of a question, and of an answer.
_MOST_ASKED = 40
_MOST_TOLD = 60
_READ_WORD = re.compile(r"[\w']+")
# Longer ones (an address, a key that was pasted) are not taken for a misspelling of anything.
_LONGEST_WORD = 30
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

    Of question and stored question the first 40 words are read, of the answer the first 60.

    Example: "can I sell sick days" beside "can I sell vacation days" has `other_leave` 1 and `other_doing` 0.
    """
    question, stored = (_beginning(text, _MOST_ASKED) for text in (question, stored))
    answer = _beginning(answer, _MOST_TOLD)
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


def patterns() -> tuple[str, ...]:
    """All that is looked for in texts: another pattern means other signals, which weights must be fitted to anew."""
    named = [pattern.pattern for members in _MEMBERS.values() for pattern in members]
    return (*named, *(pattern.pattern for pattern in (*_ASKS, _NUMBER, _ONE, _WORD, _NOT, _READ_WORD)), *_limits())


def _limits() -> tuple[str, ...]:
    spelled = (f"{word}={number}" for word, number in _SPELLED.items())
    return (*spelled, *map(str, (_MOST_ASKED, _MOST_TOLD, _LONGEST_WORD, _LIKENESS)))


@lru_cache(8_192)
def _beginning(text: str, most: int) -> str:
    """The first `most` words, with plain apostrophes."""
    plain = text.translate(_APOSTROPHES)
    beyond = next(islice(_READ_WORD.finditer(plain), most, None), None)
    return plain[: beyond.start()] if beyond else plain


@lru_cache(8_192)
def _stems(text: str) -> frozenset[str]:
    return frozenset(words(text))


def _is_among(word: str, known: AbstractSet[str]) -> bool:
    """Whether a word, or one that it may be a misspelling of, is known."""
    return word in known or any(
        abs(len(word) - len(other)) <= 2
        and min(len(word), len(other)) >= 4
        and max(len(word), len(other)) <= _LONGEST_WORD
        and _is_like(word, other)
        for other in known
    )


@lru_cache(65_536)
def _is_like(word: str, other: str) -> bool:
    """Whether enough letters agree; the costly comparison comes last, as few pairs get past the first two."""
    compared = SequenceMatcher(None, word, other, autojunk=False)
    return (
        compared.real_quick_ratio() >= _LIKENESS
        and compared.quick_ratio() >= _LIKENESS
        and compared.ratio() >= _LIKENESS
    )


def _numbers(text: str) -> frozenset[str]:
    folded = text.casefold()
    spelled = (_SPELLED[word] for word in _WORD.findall(folded) if word in _SPELLED)
    return frozenset([*_NUMBER.findall(folded), *spelled, *("1" for _ in _ONE.findall(folded))])


@lru_cache(8_192)
def _of_groups(text: str) -> tuple[frozenset[int], ...]:
    """For each group the members that the text names."""
    return tuple(_members(text, patterns) for patterns in _MEMBERS.values())


def _members(text: str, patterns: Sequence[re.Pattern[str]]) -> frozenset[int]:
    return frozenset(i for i, pattern in enumerate(patterns) if pattern.search(text))


def _asks_for(question: str) -> int:
    return next((i for i, pattern in enumerate(_ASKS) if pattern.search(question)), len(_ASKS))
