"""`quantahr feedback`: look at the ledger, decide about suggestions, and carry it elsewhere and back.

Enters: a ledger, or `interactions.jsonl`. Leaves: the same file, or rows in a ledger. What is exported and imported
again is the same to the byte: one JSON object a line for every answer with all that was said of it.

Files of other tools are taken too, where a line holds a `question` and an `answer` (or `response`) and, beside them or
under `feedback`, `rating`, `reason`, `correct_points`, `incorrect_points` and `ideal_response`. A file is imported
whole or not at all; rows that the ledger holds already are left as they are, and what was erased stays erased.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import JSON, Connection, Date, DateTime, RowMapping, String, Table, insert, select

from bot.feedback import Correction, Corrections, Decision, Status, Step, fold
from bot.schema import CASES, CORRECTIONS, ERASURES, INTERACTIONS, POSTS, UNLINKS, VOTES
from bot.store import Store, in_utc, interaction_of, open_store
from config.errors import LedgerError
from config.settings import load_settings

_SAID_OF = (VOTES, CORRECTIONS, UNLINKS, CASES, POSTS)
_MAX_LINE = 10_000_000
_FOREIGN = "import"


class _Foreign(BaseModel):
    """A line of another tool's."""

    model_config = ConfigDict(extra="ignore")

    interaction_id: str = Field("", max_length=64)
    question: str = Field(min_length=1, max_length=40_000)
    answer: str = Field(max_length=100_000)
    person: str = ""
    at: datetime | None = None
    model: str = Field("", max_length=200)
    rating: int | None = Field(None, ge=1, le=5)
    reason: str = ""
    correct_points: str = ""
    incorrect_points: str = ""
    ideal_response: str = ""


@click.group("feedback")
def command() -> None:
    """Look at what people said of answers, decide about suggestions, and export or import it."""


@command.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_command(config: Path | None, status: str | None, as_json: bool) -> None:
    """Print corrections and suggestions, oldest first."""
    with closing(_open(config)) as store:
        for one in Corrections(store).corrections():
            if status in (None, one.status.value):
                click.echo(json.dumps(_as_json(one), ensure_ascii=False) if as_json else _as_text(one))


@command.command("approve")
@click.argument("correction_id")
@click.pass_obj
def approve_command(config: Path | None, correction_id: str) -> None:
    """Give a suggestion to everybody who asks the same; for people of HR."""
    _decide(config, correction_id, Step.APPROVE)


@command.command("reject")
@click.argument("correction_id")
@click.pass_obj
def reject_command(config: Path | None, correction_id: str) -> None:
    """Turn a suggestion down, or take back what was approved."""
    _decide(config, correction_id, Step.REJECT)


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def export_command(config: Path | None, file: Path) -> None:
    """Write every answer and what was said of it to FILE, one JSON object a line."""
    with closing(_open(config)) as store:
        count = export_to(store, file)
    click.echo(f"{file}: {count} lines", err=True)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def import_command(config: Path | None, file: Path) -> None:
    """Take answers and what was said of them from FILE; what the ledger holds already, or erased, is left as it is."""
    with closing(_open(config)) as store:
        added, known = import_from(store, file)
    click.echo(f"{file}: {added} added, {known} known already", err=True)


def export_to(store: Store, file: Path) -> int:
    """Write the whole ledger, oldest first; gives the number of lines. A file is there whole or not at all."""
    if store.file and file.resolve().parent == store.file.resolve().parent and file.name.startswith("ledger."):
        raise LedgerError(f"{file} is the ledger's own; name another file.")
    part = file.with_name(f"{file.name}.part")
    count = 0
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with part.open("w", encoding="utf-8") as lines, store.reading() as connection:
            for record in _records(connection):
                lines.write(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n")
                count += 1
        part.replace(file)
    except OSError as error:
        raise LedgerError(f"{file} cannot be written ({error.strerror}); name another place.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return count


def import_from(store: Store, file: Path) -> tuple[int, int]:
    """Add what a file holds, all of it or nothing; gives how many lines were added, and how many known already.

    Raises:
        LedgerError: A line is not as described; it is named, and nothing was added.
    """
    added = known = 0
    try:
        with file.open(encoding="utf-8") as lines, store.writing() as connection:
            erased = {row.what: in_utc(row.at) for row in connection.execute(select(ERASURES).order_by(ERASURES.c.at))}
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    is_new = _add(connection, store, line, erased)
                except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
                    raise LedgerError(
                        f"{file}, line {number}: {_problem(error)}; mend it, nothing was imported."
                    ) from error
                added, known = added + is_new, known + (not is_new)
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{file} cannot be read ({error}); it must be text in UTF-8.") from error
    return added, known


def _records(connection: Connection) -> Iterator[dict[str, object]]:
    for row in connection.execute(select(INTERACTIONS).order_by(INTERACTIONS.c.at, INTERACTIONS.c.id)).mappings():
        record: dict[str, object] = {"interaction": _plain(row)}
        for table in _SAID_OF:
            said = connection.execute(
                select(table).where(table.c.interaction_id == row["id"]).order_by(table.c.id)
            ).mappings()
            if rows := [_without_id(one) for one in said]:
                record[table.name] = rows
        yield record
    for table in (CASES, UNLINKS):
        alone = select(table).where(table.c.interaction_id.is_(None)).order_by(table.c.id)
        for row in connection.execute(alone).mappings():
            yield {table.name: [_without_id(row)]}


def _add(connection: Connection, store: Store, line: str, erased: Mapping[str, datetime]) -> bool:
    if len(line) > _MAX_LINE:
        raise ValueError(f"it is longer than {_MAX_LINE:,} characters")
    record = json.loads(line)
    line.encode()  # half a surrogate pair can be kept, but never written again
    json.dumps(record, ensure_ascii=False).encode()
    if "\0" in json.dumps(record, ensure_ascii=False) or "\\u0000" in line:
        raise ValueError("it holds a NUL character")
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    if not (tables := [table for table in (INTERACTIONS, *_SAID_OF) if _key(table) in record]):
        record = _of_foreign(record, store)
        tables = [INTERACTIONS, VOTES]
    if not any(record.get(_key(table)) for table in tables):
        raise ValueError("it holds nothing")
    added = False
    for table in tables:
        rows = record.get(_key(table)) or []
        for row in [_typed(table, row) for row in ([rows] if isinstance(rows, dict) else rows)]:
            if _is_erased(row, erased):
                if table is INTERACTIONS:
                    return False  # and all that was said of it
            elif not _is_known(connection, table, row):
                connection.execute(insert(table).values(row))
                added = True
    _read_back(connection, record)
    return added


def _read_back(connection: Connection, record: Mapping[str, Any]) -> None:
    """Whether what was inserted can be read; raises what reading raises, so that it is undone."""
    if "interaction" in record:
        query = select(INTERACTIONS).where(INTERACTIONS.c.id == record["interaction"]["id"])
        interaction_of(connection.execute(query).mappings().one())
    for step in record.get(CORRECTIONS.name) or ():
        fold(
            connection.execute(select(CORRECTIONS).where(CORRECTIONS.c.correction_id == step["correction_id"]))
            .mappings()
            .all()
        )


def _is_known(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether a row is there: an answer by its id, what was said of it by all that it says.

    Another tool's vote need not say when it was given: then it has the time of its import.
    """
    unsaid = {"at"} if row.get("source") == _FOREIGN else set()
    said = [name for name in row if name not in unsaid and not isinstance(table.c[name].type, JSON)]
    named = ["id"] if table is INTERACTIONS else said
    return connection.scalar(select(table.c.id).where(*(table.c[name] == row[name] for name in named))) is not None


def _is_erased(row: Mapping[str, Any], erased: Mapping[str, datetime]) -> bool:
    """Whether a row is of a person or an answer that was erased after it was written."""
    whats = (row.get("id"), row.get("interaction_id"), row.get("person"))
    return any(what in erased and row["at"] <= erased[what] for what in whats if isinstance(what, str))


def _key(table: Table) -> str:
    return "interaction" if table is INTERACTIONS else table.name


def _of_foreign(record: dict[str, Any], store: Store) -> dict[str, Any]:
    """Another tool's line as one of ours."""
    said = record.get("feedback")
    flat = {**record, **(said if isinstance(said, dict) else {})}
    flat |= {
        "answer": flat.get("answer", flat.get("response")),
        "interaction_id": flat.get("interaction_id") or flat.get("id") or "",
    }
    given = _Foreign.model_validate(flat)
    at = (given.at or datetime.now(UTC)).isoformat()
    person = store.hash(given.person or _FOREIGN)
    name = given.interaction_id or hashlib.sha256(f"{given.question}\0{given.answer}".encode()).hexdigest()[:32]
    interaction: dict[str, Any] = {
        "id": name,
        "at": at,
        "channel": _FOREIGN,
        "person": person,
        "question": given.question,
        "history": [],
        "answer": given.answer,
        "route": "generated",
        "category": "",
        "abstained": False,
        "probability": 0.0,
        "citations": [],
        "model": given.model,
        "prompt_version": "",
        "timings": {"ttft_ms": 0.0, "latency_ms": 0.0, "steps_ms": []},
    }
    found: dict[str, Any] = {"interaction": interaction}
    if given.rating is not None:
        vote = given.model_dump(include={"rating", "reason", "correct_points", "incorrect_points", "ideal_response"})
        found["votes"] = [vote | {"at": at, "interaction_id": name, "person": person, "source": _FOREIGN}]
    return found


def _plain(row: RowMapping) -> dict[str, object]:
    return {name: _text(value) for name, value in row.items()}


def _without_id(row: RowMapping) -> dict[str, object]:
    return {name: _text(value) for name, value in row.items() if name != "id"}


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return in_utc(value).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _typed(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times as times. An unknown column is an error: nothing of a file is silently lost."""
    typed = {}
    for name, value in row.items():
        if name not in table.c:
            raise ValueError(f"'{name}' is no column of {table.name}")
        kind = table.c[name].type
        if isinstance(kind, DateTime) and value is not None:
            value = in_utc(datetime.fromisoformat(value))
        elif isinstance(kind, Date) and value is not None:
            value = date.fromisoformat(value)
        elif isinstance(kind, String) and kind.length and len(value or "") > kind.length:
            raise ValueError(f"'{name}' has {len(value):,} characters and may have {kind.length}")
        elif name == "rating" and value not in range(6):
            raise ValueError("'rating' must be from 0 (taken back) to 5")
        typed[name] = value
    return typed


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no JSON ({error.msg})"
    return str(error) if isinstance(error, ValueError) else f"it is not as expected ({type(error).__name__})"


def _open(config: Path | None) -> Store:
    settings = load_settings(config)
    return open_store(settings.data_dir, settings.ledger)


def _decide(config: Path | None, correction_id: str, step: Step) -> None:
    with closing(_open(config)) as store:
        ledger = Corrections(store)
        named = [one.id for one in ledger.corrections() if one.id.startswith(correction_id)]
        if len(named) > 1:
            raise LedgerError(f"{len(named)} corrections begin with {correction_id}; write more of the id.")
        now = ledger.decide(Decision(named[0] if named else correction_id, step, "cli", is_hr=True))
        if now:
            click.echo(_as_text(now))


def _as_text(one: Correction) -> str:
    return f"{one.id[:12]}  {one.status.value:<9}  {one.written_at:%Y-%m-%d}  {one.question}\n    → {one.text}"


def _as_json(one: Correction) -> dict[str, object]:
    return {
        "id": one.id,
        "interaction_id": one.interaction_id,
        "status": one.status.value,
        "question": one.question,
        "text": one.text,
        "written_at": one.written_at.isoformat(),
        "audience": one.audience.value,
        "countries": list(one.countries),
        "review_on": one.review_on.isoformat() if one.review_on else None,
    }
