"""Read which words of a text carry its content: stems, names, roles, codes and addresses.

Enters: English text. Leaves: `Terms`. Function words are left out, and so are words that mean everybody concerned
("you", "employees", "staff"): a policy says "employees may", an answer says "you may".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import Stemmer


def word_set(text: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(text.split())


_STEMMER = Stemmer.Stemmer("english")

_FUNCTION_WORDS = word_set(
    """
    a an the this that these those and or but nor so as at by for from in into of off on onto to up down out over
    under with about against between through during per via is are was were be been being am do does did doing done
    has have had having will would shall should can could may might must need needs needed ought i me my mine we us
    our ours you your yours he him his she her hers it its they them their theirs who whom whose which what when
    where why how there here then than too very also just both all any each every some such same other another
    either own whether if unless until while because since before after once yes no not never none neither nobody
    nothing cannot only except without within more less most least few fewer many much one ones s t re ve ll d m etc
    eg ie st nd rd th am pm themselves yourself yourselves himself herself itself anyone anybody someone somebody
    everyone everybody whoever however therefore otherwise instead still already yet even again upon toward towards
    among like ok please let itself per cent percent rather else whatever whichever along around above below further
    later earlier ago ahead advance prior following afterwards beforehand two three four five six seven eight nine
    ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty
    seventy eighty ninety hundred thousand once thrice
    """
)
# Whom a policy is about, when it is about everybody.
_EVERYBODY = word_set(
    """
    employee employees staff worker workers member members people person persons colleague colleagues associate
    associates individual individuals company
    """
)
# Verbs that add nothing: "you get", "you are entitled to", "it is", "make", "take".
_LIGHT = word_set(
    """
    get gets got receive receives given give gives take takes taken make makes made use used using go goes went put
    apply applies available allow allowed entitled able eligible granted want wants means mean counts count
    following case way thing things time period periods amount number total policy policies rule rules
    """
)
_ROLE = word_set(
    """
    manager managers supervisor director directors head heads lead leads leader foreman hr payroll finance legal it
    security nurse doctor gp physician dentist council union officer partner principal chief ceo cfo president
    committee panel board team department office desk recruiter mentor buddy coordinator administrator admin captain
    dean teacher registrar secretary treasurer trustee owner founder counsel lawyer steward representative rep
    accountant auditor consultant provider insurer carrier vendor supplier customer client spouse child children
    parent parents sibling mother father grandparent contractor contractors freelancer freelancers intern interns
    apprentice apprentices trainee executive executives pilot driver drivers crew reception receptionist helpdesk
    governors governor superintendent chairman chair hospital police tribunal court authority agency bank
    """
)

_IRREGULAR = dict(
    pair.split(":")
    for pair in word_set(
        """
        sent:send paid:pay gave:give kept:keep told:tell lost:lose bought:buy sold:sell held:hold chosen:choose
        chose:choose written:write shown:show driven:drive drove:drive brought:bring spent:spend built:build
        met:meet ran:run began:begin begun:begin fell:fall fallen:fall found:find worn:wear flown:fly flew:fly
        led:lead won:win taught:teach stolen:steal broken:break spoken:speak done:do came:come lent:lend
        e-mail:email emails:email e-mails:email
        """
    )
)

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NAME = re.compile(r"(?<![.!?:;\n•\"“] )(?<!^)(?<![\w'’])[A-Z][\w'’&-]*[\w&]|(?<![\w])[A-Z]{2,}\b")
_CODE = re.compile(
    r"\b(?=[A-Za-z-]*\d)(?=[\d-]*[A-Za-z])(?!\d+(?:st|nd|rd|th|am|pm|h|k|m|p|c|gb|km|kg"
    r"|x)\b)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b",
    re.IGNORECASE,
)
_HYPHENATED_COUNT = re.compile(r"^\d+(?:-[a-z]+)+$", re.IGNORECASE)
_ADDRESS = re.compile(
    r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|gov|edu|io|uk"
    r"|de|example|test)\b(?:/\S*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Terms:
    """What a text names. `stems` in order, repetitions included; `names` are capitalised within a sentence, lower case
    here; `codes` are form names and grades ("s3", "p45"); `addresses` are links and e-mail addresses."""

    stems: tuple[str, ...]
    roles: frozenset[str]
    names: frozenset[str]
    codes: frozenset[str]
    addresses: frozenset[str]
    words: frozenset[str]


@lru_cache(4_096)
def terms(text: str) -> Terms:
    """What a text names. Example: "Ask Mette in People" gives stems ask, mett, peopl and the names mette, people."""
    addresses = frozenset(address.rstrip(".,;:)").lower() for address in _ADDRESS.findall(text))
    prose = _ADDRESS.sub(" ", text)
    codes = frozenset(c.lower() for c in _CODE.findall(prose) if not _HYPHENATED_COUNT.match(c))
    words = [_singular(word) for word in _WORD.findall(_CODE.sub(" ", prose).lower())]
    names = frozenset(_singular(name.lower()) for name in _NAME.findall(prose) if not name.isdigit())
    names = frozenset(
        part
        for name in names
        for part in re.split(r"[-&'’]", name)
        if part and (part not in _FUNCTION_WORDS or part == "may")
    )
    content = [word for word in words if word not in _FUNCTION_WORDS and word not in _EVERYBODY and len(word) > 1]
    return Terms(
        stems=tuple(stem(word) for word in content),
        roles=frozenset(stem(word) for word in content if word in _ROLE),
        names=names - codes,
        codes=codes,
        addresses=addresses,
        words=frozenset(words),
    )


@lru_cache(16_384)
def stem(word: str) -> str:
    """The word's stem: "carried", "carry" and "carries" are "carri", "sent" and "send" are "send"."""
    return str(_STEMMER.stemWord(_IRREGULAR.get(word, word)))


LIGHT = frozenset(stem(word) for word in _LIGHT)


def _singular(word: str) -> str:
    return word.replace("’", "'").removesuffix("'s").rstrip("'")
