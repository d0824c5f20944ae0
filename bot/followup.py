"""Say what a question in a thread refers to, so that it can be searched for.

Enters: the question and the thread before it. Leaves: a `Search`: the words to embed, search and read with. "and after
8 years?" after "how much holiday do I get" is searched as "after 8 years (holiday)". One wording serves all three: with
a vector mixed of the question's and of both questions' together fewer were answered right (docs/quality.md). What names
a subject of its own is searched without one too (`bot/answer.py`).

A logistic regression over how the question is worded, the `Judge`, decides whether it changes the subject; then it is
searched as it stands. Its eight weights are fitted by `python -m trainer.followup`.

What the bot has said is counted (does the question take up its words?) and never searched or read with.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from config.errors import ModelError
from knowledge.lexical import words

WEIGHTS = "weights.json"
# Sure enough to leave the subject out: a follow-up that lacks its subject loses about four times as much (40 points of
# evidence among the best two pieces) as a new question that is given one.
SURE = 0.8
# How a question is worded shows at its beginning; no more of a pasted page is looked at.
_LOOKED_AT = 400
_MOST_WORDS = 7
# So much of an earlier question says what it is about. More would fill the encoder (256 word pieces) before the
# question is read, and outnumber the question's own words.
_SUBJECT_WORDS, _SUBJECT_CHARS = 30, 200
# Fewer content words than this do not say what is asked about: "how long?" has none.
_FEW_WORDS = 3
_MOST_POINTERS = 2

WORDING: tuple[str, ...] = (
    "announces",
    "closes",
    "continues",
    "points_back",
    "words",
    "new_words",
    "takes_up_words",
    "asks",
)

_ACKNOWLEDGES = (
    r"ok(?:ay)?|k|thx|thanks?(?: you)?|cool|great|fine|nice|good|got it|noted|right|sweet|pity|perfect|understood"
    r"|alright"
)
_OPENING = rf"^\W*(?:(?:{_ACKNOWLEDGES}|hey|hi|well|and|but|so|now|also|then|or)\b[\s,.:;!-]*)*"
_NAMED = r"(?:question|q|topic|subject|thing|one|matter|note|issue|point)"
# "different thing:", "ok, unrelated", "switching topic", and a subject named like a heading: "now travel:".
_ANNOUNCES = re.compile(
    rf"{_OPENING}(?:(?:an? |my |on |to |one )*(?:(?:completely|totally|very|more) )*"
    rf"(?:other|another|new|next|different|diff|separate|second|last|unrelated|quick)\s+(?:\w+\s+)?{_NAMED}\b(?!\s+in\b)"
    r"|(?:\w+\s+){0,2}(?:unrelated|separate|separately)\b"
    r"|(?:completely |totally )?different\s*[:,.]"
    r"|(?:\w+\s+){0,2}(?:something|sth|smth)\s+(?:else|different|new|serious|sad|delicate)\b"
    r"|not (?:about )?\w+(?: now)?\s*[,:]"
    r"|(?:chang|switch)(?:e|ing)\s+(?:of\s+)?(?:the\s+)?(?:topics?|subjects?|gears?)\b|moving on\b|by the way\b|btw\b)"
    r"[\s,.:;!-]*",
    re.IGNORECASE,
)
_HEADED = re.compile(
    rf"(?:{_OPENING}(?:about|on|regarding|re)|^\W*(?:\w+[\s,.]+){{0,3}}now(?: about)?)\s+"
    r"[\w'’/]+(?:\s+[\w'’/]+){0,3}\s*[:,]",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"^\W*(?:(?:{_ACKNOWLEDGES})\b[\s,.:;!-]*)*?"
    r"(?:(?:thx|thanks?|cool|great|got it|noted|sweet|pity|perfect|fine)\b|(?:ok(?:ay)?|k|right|good)\s*[.!])",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    rf"^\W*(?:(?:{_ACKNOWLEDGES})[\s,.]+)*(?:and|but|so|or|then|what about|how about|what if|even if|if|same)\b",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:it|its|that|thats|those|these|them|they|their|this|there|then|instead|ones?|same|too|either|he|she|him|her"
    r"|both|else|such)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\b(?:how|what|whats|when|where|who|whos|whose|whom|why|which|can|could|do|does|did|is|are|am|will|would|may|must"
    r"|should|has|have|need)\b",
    re.IGNORECASE,
)
_LEADS = re.compile(rf"{_OPENING}(?:(?:what|how) about\b\s*)?", re.IGNORECASE)
# What a question begins with before it names its subject: "how much", "do I get", "when is the".
_BEFORE_SUBJECT = re.compile(
    r"^\W*(?:(?:how (?:much|many|long|early|often|soon|quick(?:ly)?|big|late|far)|how|what['’]?s?|when['’]?s?"
    r"|where['’]?s?|who['’]?s?|whose|whom|by when|until when|till when|which|can|do|does|is|are|am|will|may|should"
    r"|could|would|must|i|we|you|they|my|me|the|an?|there|any|get|have|has|need|want|to|of)\b\s*)+",
    re.IGNORECASE,
)
_SHORTEST_TOPIC = 3


class Turn(Protocol):
    """An earlier message of the thread."""

    @property
    def role(self) -> str: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Search:
    """What to search for: the question, and the earlier question that it may refer to ("" when it stands alone).

    Of a long earlier question `subject` is the beginning, and no more.
    """

    question: str
    subject: str = ""

    @property
    def text(self) -> str:
        """The question in one line: with what its subject was about behind it, or without "different thing:"."""
        if not self.subject:
            return _without(_ANNOUNCES, self.question)
        return f"{_without(_LEADS, self.question).rstrip(' ?!.,')} ({_topic(self.subject)})?"


@dataclass(frozen=True)
class Judge:
    """How much each sign of a question's wording speaks for a change of subject; `weights` are in `WORDING`'s order."""

    weights: NDArray[np.float64]
    bias: float

    def stands_alone(self, question: str, before: Sequence[str]) -> float:
        """The probability (0 to 1) that a question does not refer to what was said `before`."""
        return self.chance(wording(question, before))

    def chance(self, signs: NDArray[np.float64]) -> float:
        """The same from a question's `wording`."""
        return 1 / (1 + math.exp(-float(self.weights @ signs + self.bias)))


def follow_up(question: str, history: Sequence[Turn], judge: Judge) -> Search:
    """What the question means in its thread. Its subject is the last earlier question that named one, or the first."""
    asked = [number for number, turn in enumerate(history) if turn.role == "user"]
    if not asked:
        return Search(question)
    said = [turn.text for turn in history]
    if judge.stands_alone(question, said) >= SURE:
        return Search(question)
    subject = next((said[n] for n in reversed(asked) if names_a_subject(said[n])), said[asked[0]])
    return Search(question, _beginning(subject))


def _beginning(subject: str) -> str:
    """Its first words, in one line."""
    return textwrap.shorten(" ".join(subject.split()[:_SUBJECT_WORDS]), _SUBJECT_CHARS, placeholder="")


def names_a_subject(question: str) -> bool:
    """Whether a question says by itself what it is about. The judge is too strict: it takes short ones to refer."""
    question = question[:_LOOKED_AT]
    if _ANNOUNCES.search(question) or _HEADED.search(question):
        return True
    return len(set(words(question))) >= _FEW_WORDS and not (_POINTER.search(question) or _CONTINUES.search(question))


def wording(question: str, before: Sequence[str]) -> NDArray[np.float64]:
    """What tells a follow-up from a change of subject, in numbers: shape (len(WORDING),)."""
    question = question[:_LOOKED_AT]
    named = set(words(question))
    told = {stem for text in before for stem in words(text)}
    return np.array(
        [
            bool(_ANNOUNCES.search(question) or _HEADED.search(question)),
            bool(_CLOSES.search(question)),
            bool(_CONTINUES.search(question)),
            min(len(_POINTER.findall(question)), _MOST_POINTERS),
            min(len(named), _MOST_WORDS),
            min(len(named - told), _MOST_WORDS),
            bool(named & told),
            bool(_ASKS.search(_without(_LEADS, question))),
        ],
        dtype=np.float64,
    )


def open_judge(folder: Path) -> Judge:
    """Load the weights.

    Raises:
        ModelError: The file is missing, damaged, or was fitted for other signs.
    """
    file = folder / WEIGHTS
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if set(stored["weights"]) != set(WORDING):
            raise ValueError("it was fitted for other signs")
        return Judge(np.array([float(stored["weights"][name]) for name in WORDING]), float(stored["bias"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The weights for follow-ups in {file} cannot be used ({error}); reinstall QuantaHR or run "
            "'quantahr train --starter --only followup'."
        ) from error


def _topic(subject: str) -> str:
    """What an earlier question is about: "how much parental leave do I get?" gives "parental leave do I get"."""
    named = _without(_BEFORE_SUBJECT, _without(_LEADS, _without(_ANNOUNCES, subject))).strip(" ?!.,:")
    return named if len(named) >= _SHORTEST_TOPIC else subject.strip(" ?!.,:")


def _without(start: re.Pattern[str], text: str) -> str:
    """The text without how it begins, unless nothing else is left."""
    found = start.match(text[:_LOOKED_AT])
    rest = text[found.end() :].lstrip() if found else text
    return rest if words(rest) else text
