"""Take personal data out of what is learned from: typed placeholders instead.

Enters: texts that belong together, such as a prompt and its answer. Leaves: the same texts with "[EMAIL]", "[PHONE]"
and the like, and which kinds were found. The same value gets the same placeholder in all of them ("[PHONE]",
"[PHONE 2]"), so that an answer that copies from its evidence is still a copy.

Numbers are recognised by the libraries that check them: phonenumbers for telephones, python-stdnum for bank accounts,
cards and people's identity numbers, whose check digits must be right. Names are found where people introduce
themselves, sign or are addressed.

Not guaranteed: names elsewhere. No model is asked; a company's own words come first, and HR reads the report.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.nl import bsn
from stdnum.us import ssn

_REGIONS = ("US", "GB", "DE")
_EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b", re.IGNORECASE)
_SLACK_ID = re.compile(r"<[@#][UWCGD][A-Z0-9]{6,}(?:\|[^>]*)?>|\b(?=[A-Z]*\d)[UW][A-Z0-9]{8,11}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
_DIGITS = re.compile(r"(?<![\w.,])\d(?:[ -]?\d){7,18}(?![\w]|[.,]\d)")
_NINO = re.compile(r"\b[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b")
_NAME = r"[A-Z][\w'’-]+(?:[ -][A-Z][\w'’-]+){0,2}"
_NAMED = re.compile(
    rf"(?:\b(?:[Mm]y name(?:'s| is)|[Ii](?:'m| am) called|(?:Mr|Mrs|Ms|Dr)\.?|Herr|Frau|(?i:dear|hi|hello|hey),?)\s+|"
    rf"\b(?:[Rr]egards|[Cc]heers|[Tt]hanks|[Ss]incerely)[,!]?\s*\n\s*|\b[Tt]his is\s+(?={_NAME} (?:from|here|in)\b))"
    rf"({_NAME})"
)
# What begins with a capital after such words and is nobody's name.
_NO_NAMES = frozenset(
    (
        "HR",
        "IT",
        "All",
        "Team",
        "Everyone",
        "Everybody",
        "There",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "I",
        "A",
        "The",
        "An",
    )
)
_IDENTITIES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("CARD", lambda number: 13 <= len(number) <= 19 and luhn.is_valid(number)),
    ("ID", lambda number: len(number) == 9 and (ssn.is_valid(number) or bsn.is_valid(number))),
    ("ID", lambda number: len(number) == 10 and nhs.is_valid(number)),
    ("ID", lambda number: len(number) == 11 and idnr.is_valid(number)),
    ("ID", lambda number: len(number) == 12 and aadhaar.is_valid(number)),
    ("ID", lambda number: len(number) == 15 and nir.is_valid(number)),
)


@dataclass(frozen=True)
class _Found:
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Cleaned:
    """Texts without personal data, and how often each kind was found."""

    texts: tuple[str, ...]
    found: tuple[tuple[str, int], ...]


def without_personal_data(texts: Sequence[str]) -> Cleaned:
    """Replace what is found in any of the texts; arguments and result are in the same order."""
    names: dict[tuple[str, str], str] = {}
    kinds: Counter[str] = Counter()
    cleaned = []
    for text in texts:
        parts, end = [], 0
        for one in _leftmost(find(text)):
            value = text[one.start : one.end]
            key = (one.kind, re.sub(r"[\W_]", "", value).casefold())
            if key not in names:
                number = sum(kind == one.kind for kind, _ in names) + 1
                names[key] = f"[{one.kind}]" if number == 1 else f"[{one.kind} {number}]"
            kinds[one.kind] += 1
            parts += [text[end : one.start], names[key]]
            end = one.end
        cleaned.append("".join([*parts, text[end:]]))
    return Cleaned(tuple(cleaned), tuple(sorted(kinds.items())))


def find(text: str) -> Iterator[_Found]:
    """Everything that looks like personal data; finds may overlap."""
    for kind, pattern in (("EMAIL", _EMAIL), ("ADDRESS", _ADDRESS), ("PERSON", _SLACK_ID)):
        yield from (_Found(kind, found.start(), found.end()) for found in pattern.finditer(text))
    for found in _IBAN.finditer(text):
        if iban.is_valid(found[0]):
            yield _Found("ACCOUNT", found.start(), found.end())
    for found in _NINO.finditer(text):
        yield _Found("ID", found.start(), found.end())
    for found in re.finditer(r"\b\d{8}[A-Z]\b|\b[XYZ]\d{7}[A-Z]\b", text):
        if dni.is_valid(found[0]):
            yield _Found("ID", found.start(), found.end())
    for found in _DIGITS.finditer(text):
        number = re.sub(r"\D", "", found[0])
        if kind := next((kind for kind, is_one in _IDENTITIES if is_one(number)), ""):
            yield _Found(kind, found.start(), found.end())
    for region in _REGIONS:
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
            yield _Found("PHONE", match.start, match.end)
    for found in _NAMED.finditer(text):
        if found[1].split()[0] not in _NO_NAMES:
            yield _Found("NAME", found.start(1), found.end(1))


def _leftmost(found: Iterator[_Found]) -> list[_Found]:
    """Of overlapping finds the one that begins first, and of those the longest."""
    kept: list[_Found] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept
