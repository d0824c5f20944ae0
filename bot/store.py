"""The ledger: every answer that was given and every vote on one, appended and never updated.

Enters: a `Question` with its `Answer` and the person who asked; a `Vote`. Leaves: rows of two tables in
`<data_dir>/ledger.sqlite`, and what was stored read back as frozen values; the votes that count are derived, the last
of each person for each answer.
Run: nothing to run; `open_store(data_dir)` creates what is missing.

Privacy: a person is stored only as an HMAC under a key in `<data_dir>/ledger.key` (readable by its owner alone), and
of a sensitive message neither question, thread nor answer is kept, only its category.

Not guaranteed: a caller may pass the text of an earlier sensitive message in `Question.history`; the store cannot
know, so channels leave such turns out of the threads they send.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from bot.answer import Answer, Citation, Question, Route, Timings, Turn
from config.errors import LedgerError, UnknownInteraction

BUSY_TIMEOUT_MS = 10_000  # another process may be writing; writes here take about a millisecond
KEY_BYTES = 32

_TABLES = MetaData()

_INTERACTIONS = Table(
    "interactions",
    _TABLES,
    Column("id", String(64), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("person", String(64), nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("history", JSON, nullable=False),
    Column("answer", Text, nullable=False),
    Column("route", String(16), nullable=False),
    Column("category", String(32), nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("probability", Float, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("model", String(200), nullable=False),
    Column("prompt_version", String(64), nullable=False),
    Column("timings", JSON, nullable=False),
)

_VOTES = Table(
    "votes",
    _TABLES,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("interaction_id", ForeignKey("interactions.id"), nullable=False),
    Column("person", String(64), nullable=False),
    Column("rating", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("correct_points", Text, nullable=False),
    Column("incorrect_points", Text, nullable=False),
    Column("ideal_response", Text, nullable=False),
    Index("votes_by_interaction", "interaction_id", "person"),
)


@dataclass(frozen=True)
class Vote:
    """What somebody thinks of an answer.

    `rating` runs from 1 (wrong) to 5 (right); a thumb down is 1, a thumb up is 5; 0 takes the vote back. `person` is
    the channel's own name for them on the way in, and their hash on the way out. `at` is set when the vote is stored.
    """

    interaction_id: str
    person: str
    rating: int
    reason: str = ""
    correct_points: str = ""
    incorrect_points: str = ""
    ideal_response: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Interaction:
    """An answer as it was recorded. `person` is a hash; of a sensitive message the texts are empty."""

    id: str
    at: datetime
    channel: str
    person: str
    question: str
    history: tuple[Turn, ...]
    answer: str
    route: Route
    category: str
    abstained: bool
    probability: float
    citations: tuple[Citation, ...]
    model: str
    prompt_version: str
    timings: Timings


def open_store(data_dir: Path) -> Store:
    """Open the ledger in `data_dir`, creating folder, file, tables and key where they are missing.

    Several processes may have it open, and may open it at the same moment.

    Raises:
        LedgerError: The folder cannot be written, or the file is no ledger.
    """
    file = data_dir / "ledger.sqlite"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # Creating tables and switching to WAL cannot be raced in SQLite without errors, nor can writing the key.
        with _alone(data_dir / "ledger.lock"):
            key = _key(data_dir / "ledger.key")
            file.touch(mode=0o600)
            engine = _engine(file)
            with _writer(engine).begin() as connection:
                _TABLES.create_all(connection)
    except OSError as error:
        raise LedgerError(
            f"The ledger in {data_dir} cannot be opened ({error.strerror}); set data_dir to a writable folder."
        ) from error
    except SQLAlchemyError as error:
        raise LedgerError(f"{file} cannot be used as the ledger ({_cause(error)}); move that file away.") from error
    return Store(engine, key)


class Store:
    """An open ledger. Its methods block for about a millisecond: call them from a thread where that matters."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key

    def record(self, question: Question, answer: Answer, person: str) -> None:
        """Append one answer. `person` is the channel's name for whoever asked, such as "web:3f…"; it is hashed.

        Raises:
            LedgerError: The answer is recorded already, or the file cannot be written.
        """
        is_sensitive = answer.route is Route.SENSITIVE
        row = {
            "id": answer.id,
            "at": datetime.now(UTC),
            "channel": question.channel,
            "person": self._hash(person),
            "question": "" if is_sensitive else question.text,
            "history": [] if is_sensitive else [asdict(turn) for turn in question.history],
            "answer": "" if is_sensitive else answer.text,
            "route": answer.route.value,
            "category": answer.category,
            "abstained": answer.abstained,
            "probability": answer.probability,
            "citations": [] if is_sensitive else [asdict(citation) for citation in answer.citations],
            "model": answer.model,
            "prompt_version": answer.prompt_version,
            "timings": asdict(answer.timings),
        }
        with self._writing() as connection:
            connection.execute(insert(_INTERACTIONS).values(row))

    def vote(self, vote: Vote) -> None:
        """Append one vote. What is written about a sensitive message is dropped; the rating stays.

        Raises:
            UnknownInteraction: No such answer was recorded.
            LedgerError: The file cannot be written.
        """
        with self._writing() as connection:
            route = connection.scalar(select(_INTERACTIONS.c.route).where(_INTERACTIONS.c.id == vote.interaction_id))
            if route is None:
                raise UnknownInteraction(
                    "There is no such answer; it may have been erased, so ask again and vote on that."
                )
            is_sensitive = route == Route.SENSITIVE
            row = {
                "at": datetime.now(UTC),
                "interaction_id": vote.interaction_id,
                "person": self._hash(vote.person),
                "rating": vote.rating,
                "reason": "" if is_sensitive else vote.reason,
                "correct_points": "" if is_sensitive else vote.correct_points,
                "incorrect_points": "" if is_sensitive else vote.incorrect_points,
                "ideal_response": "" if is_sensitive else vote.ideal_response,
            }
            connection.execute(insert(_VOTES).values(row))

    def current_votes(self, interaction_id: str) -> tuple[Vote, ...]:
        """The vote of each person that counts: their last one, unless that took it back; in the order of voting."""
        last = select(func.max(_VOTES.c.id)).where(_VOTES.c.interaction_id == interaction_id).group_by(_VOTES.c.person)
        query = select(_VOTES).where(_VOTES.c.id.in_(last), _VOTES.c.rating > 0).order_by(_VOTES.c.id)
        with self._reading() as connection:
            return tuple(_vote(row) for row in connection.execute(query).mappings())

    def interaction(self, interaction_id: str) -> Interaction:
        """Read one recorded answer.

        Raises:
            UnknownInteraction: No such answer was recorded.
        """
        query = select(_INTERACTIONS).where(_INTERACTIONS.c.id == interaction_id)
        with self._reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise UnknownInteraction(f"There is no answer {interaction_id} in the ledger; check its id.")
        return _interaction(row)

    def close(self) -> None:
        """Close every connection. The last process to do so folds the write-ahead log back into the file."""
        self._engine.dispose()

    def _hash(self, person: str) -> str:
        return hmac.new(self._key, person.encode(), hashlib.sha256).hexdigest()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(f"The ledger cannot be read ({_cause(error)}); check the disk and data_dir.") from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with _writer(self._engine).begin() as connection:
                yield connection
        except IntegrityError as error:
            raise LedgerError("That answer is in the ledger already; every answer needs an id of its own.") from error
        except SQLAlchemyError as error:
            raise LedgerError(
                f"The ledger cannot be written ({_cause(error)}); check the disk and data_dir."
            ) from error


def _engine(file: Path) -> Engine:
    # hide_parameters keeps questions out of exception texts, and so out of logs.
    engine = create_engine(f"sqlite:///{file}", hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _writer(engine: Engine) -> Engine:
    return engine.execution_options(is_writing=True)


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Python's sqlite3 opens transactions late and none for DDL; with None it leaves them to `_begin`.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once when another process wrote in between, whatever the busy
    # timeout says; taking the write lock first makes it wait instead.
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _cause(error: SQLAlchemyError) -> str:
    """SQLite's own words, such as "database or disk is full", which hold no stored text."""
    return str(getattr(error, "orig", None) or type(error).__name__)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a file lock that other processes wait for."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _key(file: Path) -> bytes:
    """Read the key, or make one. Called with the lock held."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_hex(KEY_BYTES) + "\n")
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except ValueError as error:
        raise LedgerError(f"{file} holds no key; restore it from a backup, since votes are tied to it.") from error
    if len(key) != KEY_BYTES:
        raise LedgerError(
            f"{file} holds a key of the wrong length; restore it from a backup, since votes are tied to it."
        )
    return key


def _vote(row: RowMapping) -> Vote:
    return Vote(
        interaction_id=row["interaction_id"],
        person=row["person"],
        rating=row["rating"],
        reason=row["reason"],
        correct_points=row["correct_points"],
        incorrect_points=row["incorrect_points"],
        ideal_response=row["ideal_response"],
        at=row["at"].replace(tzinfo=UTC),  # SQLite keeps no time zone
    )


def _interaction(row: RowMapping) -> Interaction:
    timings = row["timings"]
    return Interaction(
        id=row["id"],
        at=row["at"].replace(tzinfo=UTC),
        channel=row["channel"],
        person=row["person"],
        question=row["question"],
        history=tuple(Turn(**turn) for turn in row["history"]),
        answer=row["answer"],
        route=Route(row["route"]),
        category=row["category"],
        abstained=row["abstained"],
        probability=row["probability"],
        citations=tuple(Citation(**citation) for citation in row["citations"]),
        model=row["model"],
        prompt_version=row["prompt_version"],
        timings=Timings(
            ttft_ms=timings["ttft_ms"],
            latency_ms=timings["latency_ms"],
            steps_ms=tuple((name, spent) for name, spent in timings["steps_ms"]),
        ),
    )
