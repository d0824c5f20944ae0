"""Grade answers by rule, without another model as judge.

Enters: a question row with its graders, and the answer it got. Leaves: a verdict, and counts over many rows.

A row may hold `must` (groups of regular expressions, each of which must match), `must_not`, `also_ok` (fine in place of
declining), `gold_file` with `also_files` (files that may be cited), and `kind`, where "unanswerable" means that
declining is right. Rules misjudge unforeseen wordings, so read the rows before trusting a few points.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_FOLD = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-", "\u200b": None})


class Verdict(StrEnum):
    """How an answer did."""

    RIGHT = "right"
    WRONG = "wrong"
    DECLINED = "declined"
    RIGHTLY_DECLINED = "rightly_declined"
    WRONGLY_ANSWERED = "wrongly_answered"


@dataclass(frozen=True)
class Graders:
    """What a row says about right answers."""

    is_answerable: bool
    must: tuple[tuple[str, ...], ...]
    must_not: tuple[str, ...] = ()
    also_ok: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Graders | None:
        """The graders of a row of a question file; None when it holds none. Raises `re.error` for a bad pattern."""
        if "must" not in row and row.get("kind") != "unanswerable":
            return None
        for pattern in (p for key in ("must", "must_not", "also_ok") for p in _flat(row.get(key))):
            re.compile(pattern)
        files = {str(row.get("gold_file", "")), *map(str, _list(row.get("also_files")))} - {""}
        return cls(
            is_answerable=row.get("kind") != "unanswerable",
            must=tuple(tuple(map(str, _list(group))) for group in _list(row.get("must"))),
            must_not=tuple(map(str, _list(row.get("must_not")))),
            also_ok=tuple(map(str, _list(row.get("also_ok")))),
            files=frozenset(files),
        )


@dataclass(frozen=True)
class Graded:
    """One answer's verdict, how likely it was said to be right, its length, and whether it cites a right file.

    `probability` is 1 where no declining threshold decides: a message that went to a human was not declined.
    """

    verdict: Verdict
    probability: float
    words: int
    cites_right_file: bool


def grade(graders: Graders, text: str, *, abstained: bool) -> Verdict:
    """Judge one answer."""
    plain = _plain(text)
    forbidden = _any(graders.must_not, plain)
    if not graders.is_answerable:
        is_fine = abstained or (_any(graders.also_ok, plain) and not forbidden)
        return Verdict.RIGHTLY_DECLINED if is_fine else Verdict.WRONGLY_ANSWERED
    if abstained:
        return Verdict.DECLINED
    is_right = all(_any(group, plain) for group in graders.must) and not forbidden
    return Verdict.RIGHT if is_right else Verdict.WRONG


@dataclass(frozen=True)
class Summary:
    """Shares over many graded answers. `right`, `wrong` and `declined` are of the answerable questions,
    `rightly_declined` of the unanswerable; `wrong_of_given` counts every answer given, also to the unanswerable."""

    questions: int
    right: float
    wrong: float
    declined: float
    rightly_declined: float
    wrong_of_given: float
    citation_hit: float
    mean_words: float


def summarize(graded: Sequence[Graded], min_probability: float = 0.0) -> Summary:
    """Count; answers whose probability is below `min_probability` count as declined."""
    verdicts = [_declined(item) if item.probability < min_probability else item for item in graded]
    count = {verdict: sum(item.verdict is verdict for item in verdicts) for verdict in Verdict}
    answerable = count[Verdict.RIGHT] + count[Verdict.WRONG] + count[Verdict.DECLINED]
    unanswerable = count[Verdict.RIGHTLY_DECLINED] + count[Verdict.WRONGLY_ANSWERED]
    given = [item for item in verdicts if item.verdict in (Verdict.RIGHT, Verdict.WRONG)]
    wrong = count[Verdict.WRONG] + count[Verdict.WRONGLY_ANSWERED]
    return Summary(
        questions=len(verdicts),
        right=_share(count[Verdict.RIGHT], answerable),
        wrong=_share(count[Verdict.WRONG], answerable),
        declined=_share(count[Verdict.DECLINED], answerable),
        rightly_declined=_share(count[Verdict.RIGHTLY_DECLINED], unanswerable),
        wrong_of_given=_share(wrong, wrong + count[Verdict.RIGHT]),
        citation_hit=_share(sum(item.cites_right_file for item in given), len(given)),
        mean_words=_share(sum(item.words for item in given), len(given)),
    )


def _declined(item: Graded) -> Graded:
    is_answerable = item.verdict in (Verdict.RIGHT, Verdict.WRONG, Verdict.DECLINED)
    verdict = Verdict.DECLINED if is_answerable else Verdict.RIGHTLY_DECLINED
    return Graded(verdict, item.probability, item.words, item.cites_right_file)


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _flat(value: object) -> list[str]:
    return [text for item in _list(value) for text in (_flat(item) if isinstance(item, list) else [str(item)])]


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE | re.DOTALL) for pattern in patterns)


def _plain(text: str) -> str:
    """The text without markdown's marks, fancy punctuation and runs of whitespace."""
    text = unicodedata.normalize("NFKC", text).translate(_FOLD)
    text = re.sub(r"(?m)^\s*(?:[-*+>]|\d+\.|#+)\s+", "", text)
    return re.sub(r"\s+", " ", re.sub(r"[*`|]", " ", text)).strip()
