"""Check that the sample questions fit the sample handbook.

Enters: `samples/handbook`, `samples/questions.jsonl`, `samples/threads.jsonl`. Leaves: one line for each problem and
exit status 1, or a summary and 0. Run: `python -m samples.check` in the root of the repository.

It proves that every quote stands in the file that is named for it, that this file may be read by the person who asks,
that the model answer and the bare quote are both graded right and a declining or opposite answer is not, that the same
question asked in two countries has two answers, and that counts, sizes and identifiers are as they should be.
It does not prove that a question without an answer has none: that takes a reader.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from samples.text import text_of

SAMPLES = Path(__file__).parent
HANDBOOK = SAMPLES / "handbook"
COUNTS = {"answerable": 60, "unanswerable": 20, "followup": 10}
MAX_BYTES = 2_000_000
MIN_DOCUMENTS = 18
WORDS = range(350, 1201)
READERS = {"all": {"all"}, "managers": {"all", "managers"}, "hr": {"all", "managers", "hr"}}

Audience = Literal["all", "managers", "hr"]
Kind = Literal[
    "number", "yes_no", "procedure", "who", "when", "list", "definition", "condition", "unanswerable", "followup"
]


class Turn(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "bot"]
    text: str


class Row(BaseModel):
    """A question and how its answer is graded; `samples/README.md` explains the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    handbook: Literal["hallowick"]
    question: str = ""
    turns: tuple[Turn, ...] = ()
    standalone: str = ""
    country: Literal["GB", "DE"] | None = None
    audience: Audience = "all"
    gold_file: str | None
    gold_quote: str | None
    gold_answer: str | None
    kind: Kind
    also_files: tuple[str, ...]
    near_miss_file: str | None = None
    must: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[str, ...]
    also_ok: tuple[str, ...] = ()

    def accepts(self, answer: str) -> bool:
        """Whether every group of `must` occurs in the answer and nothing of `must_not` does."""
        text = plain(answer)
        return all(occurs(group, text) for group in self.must) and not occurs(self.must_not, text)


class Metadata(BaseModel):
    """The part of a document's metadata that decides who may read it."""

    model_config = ConfigDict(frozen=True)

    audience: Audience = "all"
    countries: tuple[str, ...] = ()


def check(handbook: Path, samples: Path) -> list[str]:
    """Every problem found, one sentence each; an empty list means that all is well."""
    try:
        rows = _read_rows(samples / "questions.jsonl") + _read_rows(samples / "threads.jsonl")
    except ValidationError as error:
        return [f"A row cannot be read: {error}"]
    documents = _find_documents(handbook)
    problems = list(_check_counts(rows)) + list(_check_pack(handbook, documents))
    for row in rows:
        checks = _check_unanswerable if row.kind == "unanswerable" else _check_answerable
        problems += [f"{row.id}: {problem}" for problem in checks(row, documents)]
    return problems + list(_check_twins(rows)) + list(_check_locked(rows, documents))


def plain(text: str) -> str:
    """An answer without markdown marks and runs of white space, with plain quotation marks and dashes."""
    text = text.translate(str.maketrans("‘’“”–—", "''\"\"--"))
    return re.sub(r"\s+", " ", re.sub(r"[*`|]", " ", text)).strip()


def squash(text: str) -> str:
    """Letters and digits only, in lower case: what quotes are compared on."""
    return re.sub(r"[\W_]+", "", text.casefold())


def occurs(patterns: Iterable[str], text: str) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def _read_rows(path: Path) -> list[Row]:
    return [Row.model_validate(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _find_documents(handbook: Path) -> dict[str, Metadata]:
    """Who may read each document, by its path in the handbook."""
    files = sorted(path for path in handbook.rglob("*.*") if path.is_file() and not path.name.endswith("meta.yaml"))
    return {path.relative_to(handbook).as_posix(): _metadata(path, handbook) for path in files}


def _metadata(path: Path, handbook: Path) -> Metadata:
    """The nearest word wins: the folders' defaults from the top down, then front matter, then the sidecar."""
    folders = [parent for parent in reversed(path.parents) if parent.is_relative_to(handbook)]
    found: dict[str, object] = {}
    for defaults in [folder / "_meta.yaml" for folder in folders]:
        found |= yaml.safe_load(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" else ""
    if text.startswith("---\n"):
        found |= yaml.safe_load(text.split("---\n", 2)[1])
    sidecar = path.with_suffix(".meta.yaml")
    found |= yaml.safe_load(sidecar.read_text(encoding="utf-8")) if sidecar.exists() else {}
    return Metadata.model_validate(found)


def _check_counts(rows: list[Row]) -> Iterator[str]:
    special = ("unanswerable", "followup")
    counts = Counter(row.kind if row.kind in special else "answerable" for row in rows)
    if counts != COUNTS:
        yield f"There are {dict(counts)} rows, and there should be {COUNTS}."
    for name, count in Counter(row.id for row in rows).items():
        if count > 1:
            yield f"{name}: the id is used {count} times."
    askers = Counter((row.question, row.country, row.audience) for row in rows if not row.turns)
    yield from (
        f"'{question}' is asked twice by the same kind of person." for (question, *_), n in askers.items() if n > 1
    )


def _check_pack(handbook: Path, documents: dict[str, Metadata]) -> Iterator[str]:
    size = sum(path.stat().st_size for path in handbook.rglob("*") if path.is_file())
    if size > MAX_BYTES:
        yield f"The handbook has {size:,} bytes; keep it under {MAX_BYTES:,}."
    if len(documents) < MIN_DOCUMENTS:
        yield f"The handbook has {len(documents)} documents; it should have at least {MIN_DOCUMENTS}."
    for name in documents:
        words = len(text_of(handbook / name).split())
        if words not in WORDS:
            yield f"{name} has {words} words; {WORDS.start} to {WORDS.stop - 1} are wanted."


def _may_read(row: Row, document: Metadata) -> bool:
    """Somebody whose country is not known may only be expected to find what applies in every country."""
    in_country = not document.countries or row.country in document.countries
    return in_country and document.audience in READERS[row.audience]


def _check_answerable(row: Row, documents: dict[str, Metadata]) -> Iterator[str]:
    if row.gold_file not in documents:
        yield f"there is no file {row.gold_file}."
        return
    yield from (f"there is no file {name}." for name in row.also_files if name not in documents)
    if not _may_read(row, documents[row.gold_file]):
        yield f"whoever asks may not read {row.gold_file}."
    if not row.gold_quote or squash(row.gold_quote) not in squash(text_of(HANDBOOK / row.gold_file)):
        yield f"the quote does not stand in {row.gold_file}."
    for name, answer in (("model answer", row.gold_answer), ("quote", row.gold_quote)):
        if not row.accepts(answer or ""):
            yield f"the {name} is not graded right by its own rules."
    if not row.must or row.accepts("I could not find that in the policies; please ask the People Team."):
        yield "an answer that declines is graded right."
    if row.kind == "yes_no" and row.accepts("Yes.") == row.accepts("No."):
        yield "a bare yes and a bare no are graded alike."
    if row.turns and (len(row.turns) % 2 == 0 or row.turns[-1].role != "user" or not row.standalone):
        yield "a thread ends with the question that is to be answered, and has a standalone wording."


def _check_unanswerable(row: Row, documents: dict[str, Metadata]) -> Iterator[str]:
    if row.gold_file or row.gold_quote or row.gold_answer or row.must:
        yield "a question without an answer has no gold."
    if row.near_miss_file not in documents:
        yield f"there is no file {row.near_miss_file}."
    if not row.must_not:
        yield "nothing says what a wrong answer would be."
    for pattern in (*row.must_not, *row.also_ok):
        re.compile(pattern)


def _check_twins(rows: list[Row]) -> Iterator[str]:
    """The same words asked by two kinds of people: each must be answered in their own way."""
    answered = [row for row in rows if row.kind not in ("unanswerable", "followup")]
    for one, other in permutations(answered, 2):
        if one.question == other.question and other.accepts(one.gold_answer or ""):
            yield f"{other.id}: the answer of {one.id} is graded right too."


def _check_locked(rows: list[Row], documents: dict[str, Metadata]) -> Iterator[str]:
    """Some questions are answered only where the asker may not look, for managers and for HR."""
    near = [(row, documents.get(row.near_miss_file or "")) for row in rows if row.kind == "unanswerable"]
    locked = {document.audience for row, document in near if document and not _may_read(row, document)}
    for audience in ("managers", "hr"):
        if audience not in locked:
            yield f"No question asks for what only the audience '{audience}' may read."


def main() -> None:
    problems = check(HANDBOOK, SAMPLES)
    if problems:
        sys.exit("\n".join(problems))
    rows = _read_rows(SAMPLES / "questions.jsonl")
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(row.kind for row in rows).most_common())
    documents = _find_documents(HANDBOOK)
    sys.stdout.write(f"{len(documents)} documents, {len(rows)} questions ({kinds}) and 10 follow-ups: all fit.\n")


if __name__ == "__main__":
    main()
