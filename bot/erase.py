"""`quantahr erase`: take a person or an answer out of everything, and prove it.

Enters: a person as a channel names them ("slack:U123"), or the id of an answer. Leaves: a ledger without them, verified
answers included; what datasets and models were made from it; and the proof, a search of every file in `data_dir` for
the words that were erased.

What people write is kept in the ledger alone: verified answers and their vectors live in memory and are made anew from
it, and the Chroma index holds nothing but policies. So a rewritten ledger file is a clean one; the search covers
Chroma's files all the same, since deleted text stays in them (chroma #7659, #7662).

An HR person's corrections of other people's answers are the company's and stay, under nobody's name.
"""

from __future__ import annotations

import html
import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import JSON, ColumnElement, Connection, Table, Text, delete, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from bot.cases import CaseStep
from bot.inbox import Inbox
from bot.schema import CASES, CORRECTIONS, ERASURES, INBOX, INTERACTIONS, POSTS, UNLINKS, VOTES
from bot.store import Store, open_store
from config.errors import LedgerError, UnknownInteraction
from config.settings import Settings, load_settings
from exporter.manifest import MANIFEST
from exporter.registry import FOLDER, REPORTS

_NOBODY = "0" * 64
_SAID_OF = (POSTS, CASES, UNLINKS, CORRECTIONS, VOTES)
# Shorter texts ("yes", "thanks") are found in any file, and lead to nobody.
_TELLING_CHARS = 16
_PATIENCE_S = 5
_STILL_BUSY = "It is erased, but the ledger was too busy to give the space back; run the same command again."
_BATCH = 500  # databases limit how many ids one statement may name


@dataclass(frozen=True)
class Erased:
    """What was erased. `left_in` are files that still hold it, `used_by` datasets and models that were made from it."""

    answers: int
    rows: int
    left_in: tuple[str, ...]
    used_by: tuple[str, ...]


@click.command("erase")
@click.option("--person", help='A person as the channel names them: "slack:U123", or their hash in the ledger.')
@click.option("--interaction", help="The id of one answer.")
@click.option("--json", "as_json", is_flag=True, help="Print what was erased as JSON.")
@click.pass_obj
def command(config: Path | None, person: str | None, interaction: str | None, as_json: bool) -> None:
    """Remove a person or an answer from ledger and verified answers, and say who had learned from it."""
    if bool(person) == bool(interaction):
        raise click.UsageError("Name either --person or --interaction.")
    settings = load_settings(config)
    with closing(open_store(settings.data_dir, settings.ledger)) as store:
        erased = (
            erase_person(store, settings, person) if person else erase_interaction(store, settings, str(interaction))
        )
    if as_json:
        click.echo(json.dumps(asdict(erased)))
        if erased.left_in:
            raise SystemExit(1)
        return
    click.echo(f"Erased {erased.answers} answers and {erased.rows} rows in all.")
    click.echo("Used by: " + (", ".join(erased.used_by) or "no dataset and no model."))
    if erased.left_in:
        raise LedgerError(
            f"It is still to be found in {', '.join(erased.left_in)}; stop every 'quantahr serve' and erase again."
        )
    click.echo(f"No file in {settings.data_dir} holds it any more.")


def erase_person(store: Store, settings: Settings, person: str) -> Erased:
    """Erase all that a person asked, said and voted; somebody of whom nothing is known is no error."""
    who = person if len(person) == 64 and ":" not in person else store.hash(person)
    _forget_tasks(store, who)
    return _erase(store, settings, "person", who)


def erase_interaction(store: Store, settings: Settings, interaction_id: str) -> Erased:
    """Erase one answer with all that was said of it.

    Raises:
        UnknownInteraction: No such answer was recorded.
    """
    store.interaction(interaction_id)
    return _erase(store, settings, "interaction", interaction_id)


def forget_old(store: Store, keep_days: int) -> int:
    """Erase answers older than that which nobody corrected, with all that was said of them; gives how many.

    0 keeps everything. What is corrected stays: verified answers come of it.
    """
    if not keep_days:
        return 0
    before = datetime.now(UTC) - timedelta(days=keep_days)
    old = INTERACTIONS.c.at < before
    with store.writing() as connection:
        kept = select(CORRECTIONS.c.interaction_id).where(CORRECTIONS.c.text != "")
        ids = list(connection.scalars(select(INTERACTIONS.c.id).where(old, INTERACTIONS.c.id.not_in(kept))))
        for start in range(0, len(ids), _BATCH):
            _delete(connection, ids[start : start + _BATCH], None)
    return len(ids)


def _erase(store: Store, settings: Settings, kind: str, what: str) -> Erased:
    person = what if kind == "person" else None
    with store.writing() as connection:
        own = select(INTERACTIONS.c.id).where(INTERACTIONS.c.person == what)
        answers = list(connection.scalars(own)) if person else [what]
        words = {normal(word) for word in _words(connection, answers, person)} - {""}
        # HR's own words are the company's and stay.
        words -= {normal(said) for said in connection.scalars(select(CORRECTIONS.c.text).where(CORRECTIONS.c.is_hr))}
        rows = _delete(connection, answers, person) + _delete_from_others(connection, words)
        connection.execute(insert(ERASURES).values(at=datetime.now(UTC), kind=kind, what=what[:64], rows=rows))
        # What somebody else asked in the same words is theirs, and stays.
        words -= {normal(text) for text in connection.scalars(select(INTERACTIONS.c.question))}
        in_ledger = ("the ledger",) if _is_in_rows(connection, words) else ()
    _rewrite(store)
    users = _users(settings, answers)
    _empty_datasets(settings.data_dir, users)
    found = tuple(sorted(_files_with(settings.data_dir, words)))
    return Erased(len(answers), rows, in_ledger + found, users)


def normal(text: str) -> str:
    """A text as it is compared: channels escape it, and put mentions and line breaks into it."""
    return " ".join(html.unescape(re.sub(r"<[@!#][^>]*>", " ", text)).split())


def _words(connection: Connection, answers: list[str], person: str | None) -> Iterator[str]:
    """What people wrote of that which goes."""
    for start in range(0, len(answers), _BATCH):
        some = INTERACTIONS.c.id.in_(answers[start : start + _BATCH])
        for asked in connection.execute(select(INTERACTIONS.c.question, INTERACTIONS.c.asked).where(some)):
            yield from asked
    suggested = CORRECTIONS.c.is_hr.is_(False)
    written: tuple[tuple[Table, tuple[str, ...], ColumnElement[bool] | None], ...] = (
        (VOTES, ("reason", "ideal_response", "correct_points", "incorrect_points"), None),
        (CASES, ("text",), CASES.c.step == CaseStep.OPEN.value),
        (CORRECTIONS, ("text", "question"), suggested),
    )
    for table, names, only in written:
        of: ColumnElement[bool] = table.c.interaction_id.in_(answers[:_BATCH])
        if person:
            of = table.c.person == person
        for said in connection.execute(select(table).where(of if only is None else of & only)).mappings():
            yield from (said[name] for name in names)


def _delete(connection: Connection, answers: list[str], person: str | None) -> int:
    rows = 0
    for start in range(0, len(answers), _BATCH):
        some = answers[start : start + _BATCH]
        for table in _SAID_OF:
            rows += connection.execute(delete(table).where(table.c.interaction_id.in_(some))).rowcount
    if person:
        opened = select(CASES.c.case_id).where(CASES.c.person == person, CASES.c.step == CaseStep.OPEN.value)
        cases = list(connection.scalars(opened))
        rows += connection.execute(delete(CASES).where(CASES.c.case_id.in_(cases))).rowcount
        rows += connection.execute(delete(VOTES).where(VOTES.c.person == person)).rowcount
        own_suggestions = (CORRECTIONS.c.person == person) & CORRECTIONS.c.is_hr.is_(False)
        rows += connection.execute(delete(CORRECTIONS).where(own_suggestions)).rowcount
        for table in (CORRECTIONS, CASES, UNLINKS):
            connection.execute(update(table).where(table.c.person == person).values(person=_NOBODY))
    for start in range(0, len(answers), _BATCH):
        some = answers[start : start + _BATCH]
        rows += connection.execute(delete(INTERACTIONS).where(INTERACTIONS.c.id.in_(some))).rowcount
    return rows


def _delete_from_others(connection: Connection, words: set[str]) -> int:
    """Take the words out of what others' questions were recorded with: their threads, prompts, answers, sources."""
    changed = 0
    columns = [INTERACTIONS.c[name] for name in ("id", "history", "asked", "prompt", "answer", "citations", "passages")]
    for row in connection.execute(select(*columns)).mappings().all():
        kept = [turn for turn in row["history"] if not _holds(turn["text"], words)]
        new: dict[str, object] = {} if len(kept) == len(row["history"]) else {"history": kept}
        for name, empty in (("asked", ""), ("answer", ""), ("prompt", []), ("citations", []), ("passages", [])):
            if _holds(row[name] if isinstance(row[name], str) else _all_text(row[name]), words):
                new[name] = empty
        if new:
            connection.execute(update(INTERACTIONS).where(INTERACTIONS.c.id == row["id"]).values(new))
            changed += 1
    return changed


def _holds(text: str, words: set[str]) -> bool:
    """Whether it is one of the texts, or has one in it that is long enough to be nobody else's."""
    said = normal(text)
    return said in words or any(len(word) >= _TELLING_CHARS and word in said for word in words)


def _all_text(value: object) -> str:
    """All strings of a JSON value, one after the other."""
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(map(_all_text, inner))


def _is_in_rows(connection: Connection, words: set[str]) -> bool:
    """Whether any row still holds one of the texts, whichever database it is in."""
    telling = {word for word in words if len(word) >= _TELLING_CHARS}
    for table in (INTERACTIONS, *_SAID_OF):
        names = [column.name for column in table.c if isinstance(column.type, Text | JSON)]
        for row in connection.execute(select(*(table.c[name] for name in names))):
            said = normal("\n".join(_all_text(value) for value in row))
            if any(word in said for word in telling):
                return True
    return False


def _forget_tasks(store: Store, person: str) -> None:
    """Drop what is under way for somebody: their words are in it, sealed."""
    inbox = Inbox(store)
    for task in inbox.open_tasks():
        user = str(json.loads(task.payload).get("user"))
        if store.hash(f"slack:{user}") == person:
            inbox.done(task.id)


def _rewrite(store: Store) -> None:
    """Give back what deleting left behind: the write-ahead log, free pages, dead rows.

    Raises:
        LedgerError: Somebody kept the ledger busy, so the space could not be given back yet.
    """
    try:
        if store.file is None:
            with store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(text(f"SET lock_timeout = '{_PATIENCE_S}s'"))
                for table in (INTERACTIONS, INBOX, *_SAID_OF):
                    connection.execute(text(f"VACUUM (FULL) {table.name}"))
            return
        raw = store.engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("PRAGMA busy_timeout=500")
            for _ in range(2 * _PATIENCE_S):
                try:
                    cursor.execute("VACUUM")
                    if not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                        return
                except sqlite3.OperationalError:
                    time.sleep(0.2)  # somebody reads; that takes milliseconds
        finally:
            raw.invalidate()  # with its short patience
            raw.close()
    except SQLAlchemyError as error:
        raise LedgerError(_STILL_BUSY) from error
    raise LedgerError(_STILL_BUSY)


def _files_with(folder: Path, words: Iterable[str]) -> Iterator[str]:
    """The files below a folder that hold any of the words, as text or as JSON, or that cannot be looked into."""
    telling = {word for word in words if len(word) >= _TELLING_CHARS}
    needles = {
        form.encode()
        for word in telling
        for form in (word, json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1])
    }
    if not needles:
        return
    longest = max(map(len, needles))
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        try:
            with file.open("rb") as stream:
                tail = b""
                while block := stream.read(1 << 20):
                    block = tail + block
                    if any(needle in block for needle in needles):
                        yield str(file)
                        break
                    tail = block[-longest:]
        except OSError:
            yield f"{file} (it cannot be read)"


def _users(settings: Settings, answers: list[str]) -> tuple[str, ...]:
    """Datasets and models that name one of the answers, the runs that learned from those datasets, and the models that
    were made of these runs, as folders."""
    datasets = _naming(settings.data_dir, "datasets", answers)
    models = _naming(settings.data_dir, "models", answers)
    runs = _naming(settings.data_dir, "runs", [folder.partition("/")[2] for folder in datasets])
    made = _naming(settings.data_dir, FOLDER, [folder.partition("/")[2] for folder in runs])
    return (*datasets, *models, *runs, *(name for name in made if (settings.data_dir / name / MANIFEST).is_file()))


def _naming(data_dir: Path, kind: str, names: list[str]) -> list[str]:
    """The folders in `data_dir/kind` with a JSON file in which one of the names stands: "datasets/d1"."""
    wanted = [name.encode() for name in names]
    found = set()
    for file in (data_dir / kind).rglob("*.json*"):
        content = file.read_bytes()
        if any(name in content for name in wanted):
            found.add("/".join(file.relative_to(data_dir).parts[:2]))
    return sorted(found)


def _empty_datasets(data_dir: Path, users: Iterable[str]) -> None:
    """Take the rows out of datasets that hold what was erased; the manifest still says what they were made of."""
    for name in users:
        folder = data_dir / name
        if name.startswith("datasets/") and folder.is_dir():
            for file in folder.iterdir():
                if file.is_file() and file.name != "manifest.json":
                    file.unlink()
        if name.startswith(f"{FOLDER}/"):  # the gate's reports quote what was held out
            for report in (data_dir / FOLDER / REPORTS).glob(f"{folder.name}.*"):
                report.unlink()


__all__ = ["Erased", "UnknownInteraction", "command", "erase_interaction", "erase_person"]
