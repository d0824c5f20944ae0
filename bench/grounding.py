"""Measure grounding: how many right answers it lets pass, and how many corrupted ones it stops.

Enters: rows of question, quotes and answer below $QUANTAHR_EVAL_DATA/train (own_*.jsonl). Leaves: a table on stdout.
Run: QUANTAHR_EVAL_DATA=DIR python -m bench.grounding [--show accepted|refused]

Each answer is corrupted in six ways, where it can be: a number changed, a unit swapped, a denial flipped, a condition
dropped, a name or role swapped, the quotes of another row taken. "Of passed" counts only answers whose original passes:
those are the corruptions that nothing but the corruption can betray.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.ground import ground
from config.settings import Audience
from knowledge.chunk import Chunk
from knowledge.metadata import PolicyMetadata
from knowledge.read import Evidence, PieceKind
from knowledge.retrieve import Passage


@dataclass(frozen=True)
class Row:
    """A right answer with its evidence."""

    file: str
    question: str
    answer: str
    evidence: tuple[Evidence, ...]


def main() -> None:
    """Print the table; with --show, the right answers refused or the corrupted ones accepted, with the reason."""
    data = os.environ.get("QUANTAHR_EVAL_DATA")
    if not data:
        sys.exit("Set QUANTAHR_EVAL_DATA to the folder of measuring data and run this again.")
    rows = list(_rows(Path(data)))
    if not rows:
        sys.exit(f"There are no rows in {data}/train/own_*.jsonl; check QUANTAHR_EVAL_DATA.")
    show = sys.argv[2] if sys.argv[1:2] == ["--show"] else ""
    began = time.perf_counter()
    verdicts = [ground(row.answer, row.evidence, row.question) for row in rows]
    each_ms = (time.perf_counter() - began) * 1000 / len(rows)
    passed = [verdict.is_supported for verdict in verdicts]
    reasons = Counter(verdict.reason for verdict in verdicts if not verdict.is_supported)
    if show == "refused":
        for row, verdict in zip(rows, verdicts, strict=True):
            if not verdict.is_supported:
                _show(verdict.reason, row, row.answer)
    table = Table(
        title=f"{sum(passed)} of {len(rows)} right answers pass ({sum(passed) / len(rows):.0%}), {each_ms:.2f} ms each"
    )
    for head in ("corruption", "made", "refused", "of passed", "refused"):
        table.add_column(head, justify="left" if head == "corruption" else "right")
    total: Counter[str] = Counter()
    for name, corrupt in _CORRUPTIONS.items():
        counts = _refused(name, corrupt, rows, passed, show)
        total.update(counts)
        table.add_row(name, *_cells(counts))
    table.add_section()
    table.add_row("all", *_cells(total))
    console = Console()
    console.print(table)
    for reason, count in reasons.most_common():
        console.print(f"{count:5}  {reason}", highlight=False)


def _cells(counts: Counter[str]) -> tuple[str, str, str, str]:
    share = f"{counts['refused'] / max(1, counts['made']):.1%}"
    share_of_passed = f"{counts['refused_passed'] / max(1, counts['made_passed']):.1%}"
    return str(counts["made"]), share, str(counts["made_passed"]), share_of_passed


def _refused(
    name: str,
    corrupt: Callable[[Row, list[Row], random.Random], Row | None],
    rows: list[Row],
    passed: list[bool],
    show: str,
) -> Counter[str]:
    counts: Counter[str] = Counter()
    chance = random.Random(7)
    for row, was_passed in zip(rows, passed, strict=True):
        wrong = corrupt(row, rows, chance)
        if wrong is None or (wrong.answer, wrong.evidence) == (row.answer, row.evidence):
            continue
        verdict = ground(wrong.answer, wrong.evidence, wrong.question)
        counts.update(made=1, refused=not verdict.is_supported)
        counts.update(made_passed=was_passed, refused_passed=was_passed and not verdict.is_supported)
        if show == "accepted" and verdict.is_supported:
            _show(name, wrong, row.answer)
    return counts


def _show(what: str, row: Row, right: str) -> None:
    texts = " || ".join(piece.in_context for piece in row.evidence)
    print(
        f"[{what}]\n  Q {row.question}\n  E {texts}\n  D {row.answer}"
        + (f"\n  R {right}" if right != row.answer else "")
    )


# ---- corruptions

_WORD_NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"]


def _change_number(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    found = list(re.finditer(rf"(?<![\w.,])\d+(?![\w,]|\.\d)|\b(?:{'|'.join(_WORD_NUMBERS)})\b", row.answer))
    if not found:
        return None
    number = chance.choice(found)
    other = chance.choice([w for w in _WORD_NUMBERS if w != number[0]])
    if number[0].isdigit():
        other = str(int(number[0]) + chance.choice([1, 2, 5, 10]))
    return _with_answer(row, row.answer[: number.start()] + other + row.answer[number.end() :])


_UNITS = {
    "days": "weeks", "day": "week", "weeks": "months", "week": "month", "months": "years", "month": "year",
    "years": "months", "year": "month", "hours": "days", "hour": "day", "minutes": "hours",
    "night": "day", "km": "miles",
    "working days": "calendar days", "calendar days": "working days", "%": " days", "£": "$", "$": "€", "€": "£",
    "a.m.": "p.m.", "p.m.": "a.m.", "am": "pm",
}  # fmt: skip


def _swap_unit(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    alternatives = "|".join(
        rf"(?<!\w){re.escape(u)}(?!\w)" if u[0].isalpha() else re.escape(u)
        for u in sorted(_UNITS, key=len, reverse=True)
    )
    found = [
        unit
        for unit in re.finditer(alternatives, row.answer)
        if re.search(r"\d|\b(?:one|two|three|four|five|six)\b", row.answer)
    ]
    found = [
        unit
        for unit in found
        if re.search(r"(?:\d|two|three|four|five|six|ten)[ -]?(?:\w+ )?$", row.answer[: unit.start()])
        or re.match(r"[£$€]", unit[0])
    ]
    if not found:
        return None
    unit = chance.choice(found)
    return _with_answer(row, row.answer[: unit.start()] + _UNITS[unit[0]] + row.answer[unit.end() :])


_FLIPS = (
    (r"^Yes\b", "No"), (r"^No\b", "Yes"), (r"\b(may|can|must|do|does|is|are|will"
    r"|need) ?not\b", r"\1"), (r"\b(can)not\b", r"\1"),
    (r"\b(is|are|may|can|must|will)\b", r"\1 not"), (r"n't\b", ""), (r"\bno (?=\w)", ""), (r"\bnot ", ""),
)  # fmt: skip


def _flip_denial(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    usable = [(pattern, by) for pattern, by in _FLIPS if re.search(pattern, row.answer)]
    if not usable:
        return None
    pattern, by = chance.choice(usable[:2])
    return _with_answer(row, re.sub(pattern, by, row.answer, count=1))


_CONDITIONS = (
    r",? (?:only )?(?:if|unless|except|provided|subject to|as long as|with (?:your|the|prior|his"
    r"|her) [^,;.]*(?:approval|consent|permission|agreement))\b[^,;.]*",
    r"\b(?:up to|at least|at most|no more than|more than|less than|within|no later than|not more than) (?=\d"
    r"|\w+ (?:day|week|month|hour)|[£$€])",
    r"\bonly ",
    r",? (?:after|before|until|by) (?=\d|\w+ (?:day|week|month|year|hour))[^,;.]+",
)


def _drop_condition(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    text = " ".join(piece.in_context for piece in row.evidence).lower()
    for pattern in _CONDITIONS:
        found = re.search(pattern, row.answer)
        if found and re.findall(r"[a-z]+", found[0].lower())[0] in text:
            cut = (row.answer[: found.start()] + row.answer[found.end() :]).strip()
            if len(cut.split()) > 2:
                return _with_answer(row, cut[0].upper() + cut[1:])
    return None


_ROLES = "manager|line manager|supervisor|team lead|HR|payroll|Director|Head|nurse|foreman"
_NAMED = re.compile(rf"(?<=\w )(?:[A-Z][a-z]+(?: [A-Z][a-z]+)*)\b|\b(?:{_ROLES})\b")


def _swap_name(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    found = _NAMED.search(row.answer)
    if not found:
        return None
    text = " ".join(piece.in_context for piece in row.evidence)
    while True:
        other = _NAMED.search(chance.choice(rows).answer)
        if other and other[0].lower() not in text.lower():
            return _with_answer(row, row.answer[: found.start()] + other[0] + row.answer[found.end() :])


def _take_other_quotes(row: Row, rows: list[Row], chance: random.Random) -> Row | None:
    near = [other for other in rows if other.file == row.file and other.evidence != row.evidence]
    return Row(row.file, row.question, row.answer, chance.choice(near or rows).evidence)


def _with_answer(row: Row, answer: str) -> Row:
    return Row(row.file, row.question, answer, row.evidence)


_CORRUPTIONS: dict[str, Callable[[Row, list[Row], random.Random], Row | None]] = {
    "number changed": _change_number,
    "unit swapped": _swap_unit,
    "denial flipped": _flip_denial,
    "condition dropped": _drop_condition,
    "name or role swapped": _swap_name,
    "quotes of another row": _take_other_quotes,
}


# ---- rows


def _rows(data: Path) -> Iterator[Row]:
    for path in sorted((data / "train").glob("own_*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["answerable"]:
                text = (data / row["file"]).read_text(encoding="utf-8")
                evidence = tuple(piece for quote in row["quotes"] if (piece := _evidence(quote, text, row["file"])))
                yield Row(row["file"], row["question"], row["answer"], evidence)


def _evidence(quote: str, text: str, file: str) -> Evidence | None:
    """A quote as the reader would give it; None for a table's head, which its rows carry."""
    place = text.find(quote)
    before = text[: max(0, place)].split("\n")
    passage = Passage(_chunk(file, _heading_path(before), text), score=1.0)
    if quote.lstrip().startswith("|"):
        head = _head([*before[:-1], quote])
        cells = tuple(cell.strip() for cell in quote.strip().strip("|").split("|"))
        return None if cells == head else Evidence(passage, PieceKind.TABLE_ROW, " | ".join(cells), head=head)
    item = re.match(r"\s*(?:[-*•]|\d+\.) (?P<text>.*)", quote, re.DOTALL)
    if item:
        lead_in = next((line for line in reversed(before) if line and not re.match(r"\s*(?:[-*•]|\d+\.) ", line)), "")
        return Evidence(passage, PieceKind.LIST_ITEM, item["text"], "" if lead_in.startswith("#") else lead_in)
    return Evidence(passage, PieceKind.SENTENCE, quote)


def _head(lines: list[str]) -> tuple[str, ...]:
    table: list[str] = []
    for line in reversed(lines):
        if not line.lstrip().startswith("|"):
            break
        table.append(line)
    return tuple(cell.strip() for cell in table[-1].strip().strip("|").split("|")) if table else ()


def _heading_path(before: list[str]) -> tuple[str, ...]:
    path: list[tuple[int, str]] = []
    for line in before:
        heading = re.match(r"(#+) (.+)", line)
        if heading:
            path = [(depth, title) for depth, title in path if depth < len(heading[1])] + [
                (len(heading[1]), heading[2])
            ]
    return tuple(title for _, title in path)


def _chunk(file: str, path: tuple[str, ...], text: str) -> Chunk:
    title = path[0] if path else file
    policy = PolicyMetadata(title=title, audience=Audience.ALL, effective=date(2026, 1, 1))
    return Chunk(id=file, file=file, position=0, heading_path=path, text="", page=None, metadata=policy)


if __name__ == "__main__":
    main()
