"""Read the numbers, dates, times, shares and amounts of a text, each with its unit and its limits.

Enters: English text. Leaves: `Quantity`s in order. Two texts state the same when their quantities match: "five (5)
days", "5 days" and "Days allowed: 5" are the same, "5 am", "5 working days", "up to 5 days" and "5 days a month" are
others.

Not guaranteed: that a unit is found which stands far from its number. Then the quantity has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import pairwise

from bot.ground.terms import stem, word_set
from bot.ground.units import (
    CURRENCIES,
    KNOWN_UNITS,
    LOOSE,
    MONTH_NUMBER,
    ORDINAL_WORDS,
    PERIODS,
    QUALIFIERS,
    SMALL,
    TENS,
    TIMED,
    TOKEN,
    UNITS,
    WORDS,
)

_UNIT_AFTER = re.compile(
    r"(?:[ -]|\b)?(?P<between>(?:(?:" + "|".join(QUALIFIERS) + r")[ -]){0,3})(?P<noun>[a-z]+(?:'s|')?)", re.IGNORECASE
)
_PER_AFTER = re.compile(
    rf"^(?:[^.;,:\d]{{0,30}}?\b(?:per|each|every)|(?: off| leave| net| gross| paid)?[ ]an?|[ ]?/)[ ]?"
    rf"(?:(?:calendar|holiday|leave|financial|academic|school|benefit|rolling|full|working|business|twelve|client) )?"
    rf"(?P<per>{PERIODS})s?\b(?! (?:before|after|ahead|from now))",
)
_ANNUALLY = re.compile(r"^[^.;,:\d]{0,20}?\b(?P<often>annually|yearly|monthly|weekly|daily|p\.a)")
_OFTEN = {"annually": "year", "yearly": "year", "monthly": "month", "weekly": "week", "daily": "day", "p.a": "year"}

# What limits a number, by the words right before it, longest first.
_BOUNDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (bound, re.compile(rf"\b(?:{words})(?: (?:a|an|the|of|about|than|is))?:?\s*[£$€]?$"))
    for bound, words in (
        (
            "max",
            r"up to(?: a)?(?: total| maximum| max)?(?: of)?|at most|(?:no|not) (?:more|longer|higher) than"
            r"|maximum(?: \w+)?(?: of| is|:)?|max\.?"
            r"|(?:do|does|may|must|shall|should)? ?not (?:to )?exceed(?:ing)?|limited to|limit(?: of| is|:)|capped at"
            r"|not over|as many as",
        ),
        ("min", r"at least|(?:no|not) (?:less|fewer|shorter) than|minimum(?: \w+)?(?: of| is|:)?|min\.?"),
        ("by", r"(?:no|not) later than(?: the)?|by(?: the)?|latest"),
        ("late", r"later than"),
        ("over", r"more than|over|above|exceed(?:s|ing)?|longer than|greater than|in excess of|beyond|older than"),
        ("under", r"less than|under|below|fewer than|shorter than|younger than"),
        ("within", r"within(?: the)?|inside(?: of)?"),
        ("before", r"before(?: the)?|prior to"),
        (
            "after",
            r"after(?: the)?(?: (?:completion|completing|completed)(?: of)?)?|following|completed|completion of|upon",
        ),
        ("until", r"until(?: the)?|till|through"),
        ("from", r"from(?: the)?|as of|starting(?: on)?|beginning|since"),
        ("every", r"every|each"),
    )
)
_AMOUNT_BOUNDS = {"max", "min", "over", "under"}
_BOUNDS_AFTER: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "min",
        re.compile(
            r"^[^.;,\d]{0,25}?\b(?:or|and) (?:more|over|above|longer|older|up|upwards)\b|^\+|^[^.;\d]{0,12}minimum\b"
        ),
    ),
    (
        "max",
        re.compile(
            r"^[^.;,\d]{0,25}?\b(?:(?:or|and) (?:less|fewer|under|below|shorter)|at (?:the )?most)\b"
            r"|^[^.;\d]{0,30}\bmaximum\b"
        ),
    ),
    ("by", re.compile(r"^[^.;,\d]{0,10}? at the latest\b")),
)
_DIRECTION = re.compile(
    r"^[^.;:\d]{0,30}?\b(?:(?P<before>before|ahead|in advance|beforehand|prior to|earlier)|(?P<after>after|later"
    r"|afterwards|from the date|of the|following))\b"
)


@dataclass(frozen=True)
class Quantity:
    """One thing that can be counted on.

    `kind` is number, money, share, date, time, ordinal, ratio or phone; `value` its canonical form ("5", "03-31",
    "570" minutes past midnight); `unit` a canonical unit, a currency, or the noun that was counted ("" if none);
    `qualifiers` kinds of days; `per` the period or thing it is for each of; `bound` its limit ("max", "within", …);
    `direction` before or after which event; `range_of` both ends when it is one end of a range.
    """

    kind: str
    value: str
    start: int
    end: int
    unit: str = ""
    qualifiers: frozenset[str] = frozenset()
    per: str = ""
    bound: str = ""
    direction: str = ""
    range_of: tuple[str, str] | None = None


_MAY_HOLD_NUMBERS = re.compile(
    r"\d|\b(?:half|once|twice|hundred|noon|midday|midnight|one|a|an|May|march|"
    + "|".join((*WORDS, *ORDINAL_WORDS, *MONTH_NUMBER))
    + r")\b",
    re.IGNORECASE,
)


@lru_cache(4_096)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Every quantity, in order. Example: "up to 5 working days a year" gives one: 5, day, {working}, per year, max."""
    if not _MAY_HOLD_NUMBERS.search(text):
        return ()
    prepared = written_out(text)
    found: list[Quantity] = []
    for token in TOKEN.finditer(prepared):
        quantity = _quantity(token, prepared)
        if quantity:
            found.append(quantity)
    return tuple(_ranges(_shared_units(found, prepared), prepared))


def states(draft: Quantity, evidence: Quantity) -> bool:
    """Whether both are the same number of the same thing, whatever limits it.

    A noun that is no unit may be a verb ("a panel of three decides"); which words a draft may use is checked elsewhere.
    """
    if (draft.kind, draft.value) != (evidence.kind, evidence.value):
        return False
    if not draft.unit:
        return True
    return draft.unit == evidence.unit or (draft.kind == "number" and not {draft.unit, evidence.unit} & KNOWN_UNITS)


def encloses(limit: Quantity, inner: Quantity) -> bool:
    """Whether a range or limit takes in a number of the same unit: "more than 3 years" takes in 5 years."""
    if (limit.kind, limit.unit) != (inner.kind, inner.unit):
        return False
    try:
        value = Decimal(inner.value)
        if limit.range_of:
            return Decimal(limit.range_of[0]) <= value <= Decimal(limit.range_of[1])
        edge = Decimal(limit.value)
    except InvalidOperation:
        return False
    return {"over": value > edge, "min": value >= edge, "under": value < edge, "max": value <= edge}.get(
        limit.bound, False
    )


def written_out(text: str) -> str:
    """Lower case, except "May"; numbers as digits. Example: "Twenty-five (25) days" gives "25 days"."""
    low = re.sub(r"\b(?!May\b)\w+", lambda word: word[0].lower(), text)
    low = re.sub(r"(?m)^\s*\d+[.)] ", "", low)  # a list's own numbers count nothing
    for pattern, replacement in _DIGITS:
        low = pattern.sub(replacement, low)
    return low


def _tens(word: re.Match[str]) -> str:
    return str(WORDS[word[1]] + WORDS[word[2]])


def _hundreds(word: re.Match[str]) -> str:
    many = {"a": 1, "one": 1}.get(word[1]) or WORDS[word[1]]
    rest = int(word[2]) if word[2] and word[2].isdigit() else WORDS.get(word[2] or "", 0)
    return str(many * 100 + rest)


_COUNTED = "|".join(sorted({*UNITS, *QUALIFIERS}, key=len, reverse=True))
_ANY_WORD = "|".join(sorted((set(WORDS) - {"one"}), key=len, reverse=True))
_DIGITS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"\b({TENS.replace(' ', '|')})[- ]({'|'.join(SMALL.split()[1:10])})\b"), _tens),
    (re.compile(rf"\b(a|{SMALL.replace(' ', '|')}) hundred(?: and (\w+))?\b"), _hundreds),
    (re.compile(rf"\b({_ANY_WORD})\b"), lambda word: str(WORDS[word[1]])),
    (re.compile(r"\b(?:one|1) and a half\b|\b(?:a|one) (?=(?:day|hour|week|month|year) and a half)"), "1.5"),
    (re.compile(r"\b(\d+) and a half\b"), r"\1.5"),
    (re.compile(r"\b1\.5(day|hour|week|month|year) and a half\b"), r"1.5 \1"),
    (re.compile(r"\bone(?= (?:third|half))"), "a"),
    (re.compile(r"\bhalf[ -](?:an? )?(day|hour|month|week|year)(s?)\b"), r"0.5 \1\2"),
    (re.compile(rf"\bone(?=[ -](?:\(1\) )?(?:{_COUNTED})\b)"), "1"),
    (re.compile(r"\b(\d+) \(\1\)"), r"\1"),
    (re.compile(r"\bone \(1\)"), "1"),
    (re.compile(r"\bonce(?= (?:an?|per|every|each|in)\b)"), "1 times"),
    (re.compile(r"\btwice\b"), "2 times"),
    (re.compile(r"\b(at least|within|up to|than|at most) an? (?=(?:hour|day|week|month|year)\b)"), r"\1 1 "),
)


def _quantity(token: re.Match[str], text: str) -> Quantity | None:
    start, end = token.span()
    kind = next(name for name in _READ if token[name] is not None)
    read = _READ[kind](token)
    if read is None:
        return None
    named, value, unit = read
    quantity = Quantity(named, value, start, end, unit)
    if named == "number":
        quantity = _with_unit(quantity, text)
    after, before = text[quantity.end : quantity.end + 70], text[max(0, start - 30) : start]
    per = _PER_AFTER.match(after)
    often = _ANNUALLY.match(after)
    period = per["per"] if per else _OFTEN[often["often"]] if often else ""
    direction = _DIRECTION.match(after) if quantity.unit in ("day", "week", "month", "year", "hour", "minute") else None
    return replace(
        quantity,
        per=UNITS.get(period, period),
        bound=_bound(before, after, quantity),
        direction=next(iter(name for name, found in direction.groupdict().items() if found), "") if direction else "",
    )


def _bound(before: str, after: str, quantity: Quantity) -> str:
    is_time = quantity.kind in ("date", "time", "month", "ordinal") or quantity.unit in TIMED or not quantity.unit
    for bound, pattern in _BOUNDS:
        if pattern.search(before):
            return bound if is_time or bound in _AMOUNT_BOUNDS else ""  # "run by two people" is no deadline
    return next((bound for bound, pattern in _BOUNDS_AFTER if pattern.match(after)), "")


def _with_unit(quantity: Quantity, text: str) -> Quantity:
    """The number with what it counts: the next noun, or the unit that a column's head gives ("Leave (days): 25")."""
    noun = _UNIT_AFTER.match(text, quantity.end)
    if noun and noun["noun"] not in _NO_NOUN:
        qualifiers = frozenset(re.split("[ -]", noun["between"].strip(" -"))) - {""} - LOOSE
        if noun["noun"] in UNITS:
            return replace(quantity, unit=UNITS[noun["noun"]], qualifiers=qualifiers, end=noun.end())
        if noun["noun"] not in QUALIFIERS:
            return replace(quantity, unit=stem(noun["noun"].removesuffix("'s").rstrip("'")), end=quantity.end)
    head, colon, between = text[: quantity.start].rpartition(";")[2].rpartition(":")
    if colon and not re.search(r"\d", between):
        words = re.findall(r"[a-z]+", head)
        units = [
            UNITS[word] for i, word in enumerate(words) if word in UNITS and words[i - 1] not in ("per", "a", "each")
        ]
        if units:
            kinds = frozenset(words) & set(QUALIFIERS) - LOOSE
            return replace(quantity, unit=units[-1], qualifiers=kinds)
    return quantity


_NO_NOUN = word_set(
    """
    a an the of for to in on at by or and if when is are was be per with from until than as that which who whose
    must may can will shall should do does not no but then so it you your they he she we after before within over
    under up each every plus has have had also only unless except during since while where more less fewer further
    additional extra if through thereafter out at least
    """
)


def _shared_units(found: list[Quantity], text: str) -> Iterator[Quantity]:
    """Bare numbers take the unit of their neighbours: "5 to 7 days", "10 days for a child, 5 for a parent"."""
    for position, quantity in enumerate(found):
        if quantity.kind != "number" or quantity.unit:
            yield quantity
            continue
        later = found[position + 1] if position + 1 < len(found) else None
        joint = text[quantity.end : later.start] if later else ""
        if later and later.unit and re.fullmatch(r"\s?(?:-|–|to|or|and|,|and up to|out of(?: the)?)\s?", joint):
            kind = later.kind if later.kind in ("money", "share") else "number"
            yield replace(
                quantity, kind=kind, unit=later.unit, qualifiers=later.qualifiers, per=quantity.per or later.per
            )
            continue
        earlier = next((q for q in reversed(found[:position]) if q.kind == "number" and q.unit), None)
        if earlier and not re.search(r"[.!?]\s", text[earlier.end : quantity.start]):
            yield replace(quantity, unit=earlier.unit, qualifiers=earlier.qualifiers, per=quantity.per or earlier.per)
        else:
            yield quantity


def _ranges(found: Iterable[Quantity], text: str) -> Iterator[Quantity]:
    """Mark both ends of "5-7 days", "5 to 7 days" and "between 5 and 7 days": neither end may be said alone."""
    all_found = list(found)
    marked = list(all_found)
    for i, (low, high) in enumerate(pairwise(all_found)):
        joint = text[low.end : high.start].strip()
        between = joint == "and" and re.search(r"\bbetween\s?[£$€]?$", text[: low.start])
        if low.kind == high.kind and (joint in ("-", "–", "to") or between):
            both = (low.value, high.value)
            marked[i] = replace(marked[i], range_of=both, per=low.per or high.per, unit=low.unit or high.unit)
            marked[i + 1] = replace(high, range_of=both, bound="", unit=low.unit or high.unit)
    return iter(marked)


def _plain_number(digits: str) -> str:
    return format(Decimal(digits.replace(",", "")).normalize(), "f")


def _money(amount: str, currency: str, scale: str | None = None) -> tuple[str, str, str]:
    value = Decimal(amount.replace(",", "")) * {"k": 1_000, "m": 1_000_000}.get((scale or "").strip()[:1], 1)
    return "money", format(value.normalize(), "f"), CURRENCIES[currency.strip()]


def _date(day: str | None, month: str, year: str | None) -> tuple[str, str, str]:
    number = MONTH_NUMBER[month.rstrip(".")]
    return "date", "-".join(filter(None, (year, f"{number:02}", f"{int(day):02}" if day else ""))), ""


def _time(hour: str, minute: str | None, half: str = "") -> tuple[str, str, str]:
    hours = int(hour) % 12 + (12 if half.startswith("p") else 0) if half else int(hour)
    return "time", str(hours * 60 + int(minute or 0)), ""


_READ: dict[str, Callable[[re.Match[str]], tuple[str, str, str] | None]] = {
    "skip": lambda token: None,
    "phone": lambda token: ("phone", re.sub(r"\D", "", token["phone"]), ""),
    "iso": lambda token: ("date", token["iso"], ""),
    "dmy": lambda token: _date(token["dmy_d"], token["dmy_m"], token["dmy_y"]),
    "mdy": lambda token: _date(token["mdy_d"], token["mdy_m"], token["mdy_y"]),
    "my": lambda token: _date(None, token["my_m"], token["my_y"]),
    "ampm": lambda token: _time(token["ap_h"], token["ap_m"], token["ap"]),
    "noon": lambda token: ("time", "0" if token["noon"] == "midnight" else "720", ""),
    "ratio": lambda token: ("ratio", token["ratio"], ""),
    "clock": lambda token: _time(token["cl_h"], token["cl_m"]),
    "dot": lambda token: _time(*token["dot"].split(".")),
    "share": lambda token: ("share", _plain_number(token["sh"]), "%"),
    "money": lambda token: _money(token["mo"], token["mo_c"], token["mo_k"]),
    "cash": lambda token: _money(token["ca"], token["ca_c"]),
    "nth": lambda token: ("ordinal", token["nt"], ""),
    "nth_word": lambda token: ("ordinal", str(ORDINAL_WORDS[token["nw"]]), ""),
    "month": lambda token: ("month", token["month"].lower(), ""),
    "number": lambda token: ("number", _plain_number(token["number"]), ""),
}
