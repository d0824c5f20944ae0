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

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import ColumnElement, Connection, delete, insert, select, text, update

from bot.inbox import Inbox
from bot.schema import CASES, CORRECTIONS, ERASURES, INBOX, INTERACTIONS, POSTS, UNLINKS, VOTES
from bot.store import Store, open_store
from config.errors import LedgerError, UnknownInteraction
from config.settings import Settings, load_settings

_NOBODY = "0" * 64
_SAID_OF = (POSTS, CASES, UNLINKS, CORRECTIONS, VOTES)
# Shorter texts ("yes", "thanks") are found in any file, and lead to nobody.
_TELLING_CHARS = 16
_TRIES = 20
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
    _forget_tasks(store, person)
    with store.reading() as connection:
        own = list(connection.scalars(select(INTERACTIONS.c.id).where(INTERACTIONS.c.person == who)))
    return _erase(store, settings, "person", who, own)


def erase_interaction(store: Store, settings: Settings, interaction_id: str) -> Erased:
    """Erase one answer with all that was said of it.

    Raises:
        UnknownInteraction: No such answer was recorded.
    """
    store.interaction(interaction_id)
    return _erase(store, settings, "interaction", interaction_id, [interaction_id])


def forget_old(store: Store, keep_days: int) -> int:
    """Erase answers older than that which nobody corrected, with all that was said of them; gives how many.

    0 keeps everything. What is corrected stays: verified answers come of it.
    """
    if not keep_days:
        return 0
    before = datetime.now(UTC) - timedelta(days=keep_days)
    old = INTERACTIONS.c.at < before
    with store.writing() as connection:
        kept = select(CORRECTIONS.c.interaction_id)
        ids = list(connection.scalars(select(INTERACTIONS.c.id).where(old, INTERACTIONS.c.id.not_in(kept))))
        for start in range(0, len(ids), _BATCH):
            _delete(connection, ids[start : start + _BATCH], None)
    return len(ids)


def _erase(store: Store, settings: Settings, kind: str, what: str, answers: list[str]) -> Erased:
    person = what if kind == "person" else None
    with store.writing() as connection:
        words = list(_words(connection, answers, person))
        rows = _delete(connection, answers, person)
        rows += _delete_from_threads(connection, words)
        connection.execute(insert(ERASURES).values(at=datetime.now(UTC), kind=kind, what=what[:64], rows=rows))
    _rewrite(store)
    found = tuple(sorted(_files_with(settings.data_dir, words)))
    return Erased(len(answers), rows, found, tuple(sorted(_users(settings, answers))))


def _words(connection: Connection, answers: Iterable[str], person: str | None) -> Iterator[str]:
    """What people wrote of that which goes, as it stands in files."""
    for answer_id in answers:
        row = connection.execute(select(INTERACTIONS).where(INTERACTIONS.c.id == answer_id)).mappings().one()
        yield from (row["question"], row["asked"], *(turn["text"] for turn in row["history"] if turn["role"] == "user"))
    for table, names in (
        (VOTES, ("reason", "ideal_response", "correct_points", "incorrect_points")),
        (CASES, ("text",)),
    ):
        of: ColumnElement[bool] = table.c.interaction_id.in_(list(answers))
        if person:
            of = of | (table.c.person == person)
        for said in connection.execute(select(table).where(of)).mappings():
            yield from (said[name] for name in names)


def _delete(connection: Connection, answers: list[str], person: str | None) -> int:
    rows = 0
    for table in _SAID_OF:
        rows += connection.execute(delete(table).where(table.c.interaction_id.in_(answers))).rowcount
    if person:
        for table in (VOTES, CASES, UNLINKS):
            rows += connection.execute(delete(table).where(table.c.person == person)).rowcount
        own_suggestions = (CORRECTIONS.c.person == person) & (~CORRECTIONS.c.is_hr)
        rows += connection.execute(delete(CORRECTIONS).where(own_suggestions)).rowcount
        connection.execute(update(CORRECTIONS).where(CORRECTIONS.c.person == person).values(person=_NOBODY))
    return rows + connection.execute(delete(INTERACTIONS).where(INTERACTIONS.c.id.in_(answers))).rowcount


def _delete_from_threads(connection: Connection, words: list[str]) -> int:
    """Take the words out of the threads that others' questions were recorded with."""
    telling = [word for word in words if len(word) >= _TELLING_CHARS]
    changed = 0
    for row in connection.execute(select(INTERACTIONS.c.id, INTERACTIONS.c.history)).all():
        kept = [turn for turn in row.history if not any(word in turn["text"] for word in telling)]
        if len(kept) < len(row.history):
            connection.execute(update(INTERACTIONS).where(INTERACTIONS.c.id == row.id).values(history=kept))
            changed += 1
    return changed


def _forget_tasks(store: Store, person: str) -> int:
    """Drop what is under way for somebody: their words are in it, sealed."""
    inbox, user = Inbox(store), person.partition(":")[2]
    own = [task for task in inbox.open_tasks() if user and json.dumps(user) in task.payload]
    for task in own:
        inbox.done(task.id)
    return len(own)


def _rewrite(store: Store) -> None:
    """Give back what deleting left behind: the write-ahead log, free pages, dead rows."""
    engine = store.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if store.file is None:
            for table in (INTERACTIONS, INBOX, *_SAID_OF):
                connection.execute(text(f"VACUUM (FULL) {table.name}"))
            return
    raw = store.engine.raw_connection()
    try:
        for _ in range(_TRIES):
            cursor = raw.cursor()
            try:
                cursor.execute("VACUUM")
                busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError:
                busy = 1
            finally:
                cursor.close()
            if not busy:
                return
            time.sleep(0.2)  # somebody reads; that takes milliseconds
    finally:
        raw.close()


def _files_with(folder: Path, words: Iterable[str]) -> Iterator[str]:
    """The files below a folder that hold any of the words, as text or as JSON."""
    telling = {word.strip() for word in words if len(word.strip()) >= _TELLING_CHARS}
    needles = {form.encode() for word in telling for form in (word, json.dumps(word)[1:-1])}
    if not needles:
        return
    longest = max(map(len, needles))
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            tail = b""
            while block := stream.read(1 << 20):
                if any(needle in tail + block for needle in needles):
                    yield str(file)
                    break
                tail = block[-longest:]


def _users(settings: Settings, answers: list[str]) -> Iterator[str]:
    """Datasets and models whose manifests or rows name one of the answers."""
    ids = [answer.encode() for answer in answers]
    for folder in (settings.data_dir / "datasets", settings.data_dir / "models"):
        for file in sorted(folder.rglob("*.json*")) if folder.is_dir() else ():
            content = file.read_bytes()
            if any(answer in content for answer in ids):
                yield str(file.relative_to(settings.data_dir))


__all__ = ["Erased", "UnknownInteraction", "command", "erase_interaction", "erase_person"]
