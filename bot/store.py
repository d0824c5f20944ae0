"""The ledger: every answer that was given and every vote on one, appended and never updated.

Enters: a `Question` with its `Answer` and the person who asked; a `Vote`. Leaves: rows in `<data_dir>/ledger.sqlite`,
or in the PostgreSQL database that `ledger.url` names, and what was stored read back as frozen values; the votes that
count are derived. Corrections, cases and work under way have modules of their own, on `Store.reading` and
`Store.writing`.
Run: nothing to run; `open_store(data_dir, ledger)` creates what is missing and brings an older ledger up to date.

Privacy: a person is stored only as an HMAC under a key, `ledger.key` or else the file `<data_dir>/ledger.key` (readable
by its owner alone). Of a sensitive message neither question, thread nor answer is kept, only its category.

Not guaranteed: a caller may pass the text of an earlier sensitive message in `Question.history`; the store cannot
know, so channels leave such turns out of the threads they send.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import RowMapping, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from bot.answer import Answer, Asker, Citation, Question, Route, Timings, Turn
from bot.engine import Message
from bot.schema import INTERACTIONS, VOTES
from config.errors import ConfigError, LedgerBusy, LedgerError, UnknownInteraction
from config.settings import Audience, LedgerSettings

BUSY_TIMEOUT_MS = 10_000  # another process may be writing; writes here take about a millisecond
KEY_BYTES = 32
_MIGRATIONS = Path(__file__).parent / "migrations"
_FIRST_REVISION = "0001"  # what ledgers were before they named their revision
_MIGRATION_LOCK = 0x51484C  # any number that no other program on that database uses


@dataclass(frozen=True)
class Vote:
    """What somebody thinks of an answer.

    `rating` runs from 1 (wrong) to 5 (right); a thumb down is 1, a thumb up is 5; 0 takes the vote back. `person` is
    the channel's own name for them on the way in, and their hash on the way out. `at` is set when the vote is stored.
    `source` says with what it was given, such as "web" or "slack:reaction:+1": each has a last word of its own, so
    that taking a reaction back leaves what was said with a button. `happened_at` is the channel's own time, where
    events may arrive late or in another order.
    """

    interaction_id: str
    person: str
    rating: int
    reason: str = ""
    correct_points: str = ""
    incorrect_points: str = ""
    ideal_response: str = ""
    at: datetime | None = None
    source: str = "web"
    happened_at: datetime | None = None


@dataclass(frozen=True)
class Interaction:
    """An answer as it was recorded. `person` is a hash; of a sensitive message the texts are empty.

    `asked` is the question as it was searched; `passages` is what was read, best first; `prompt` what the model was
    given and `sampling` how it drew, both empty where no model was asked. `verified_by` names the correction that was
    given, empty where none was.
    """

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
    asker: Asker = field(default_factory=Asker)
    asked: str = ""
    passages: tuple[Citation, ...] = ()
    prompt: tuple[Message, ...] = ()
    sampling: tuple[tuple[str, float], ...] = ()
    verified_by: str = ""


def open_store(data_dir: Path, ledger: LedgerSettings | None = None) -> Store:
    """Open the ledger in `data_dir` or at `ledger.url`, creating folder, file, tables and key where they are missing.

    Several processes may have it open, and may open it at the same moment.

    Raises:
        ConfigError: `ledger.url` or `ledger.key` is none.
        LedgerError: The folder cannot be written, the file is no ledger or a later version's, or the server is away.
    """
    settings = ledger or LedgerSettings()
    url = settings.url.get_secret_value()
    file = data_dir / "ledger.sqlite"
    where = "The database that ledger.url names" if url else str(file)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # Creating tables and switching to WAL cannot be raced in SQLite without errors, nor can writing the key.
        with _alone(data_dir / "ledger.lock"):
            if not url:
                file.touch(mode=0o600)
            engine = _engine(url or f"sqlite:///{file}")
            with _writer(engine).begin() as connection:
                _bring_up_to_date(connection, where)
                is_new = connection.scalar(select(INTERACTIONS.c.id).limit(1)) is None
            key = _given_key(settings) or _key(data_dir / "ledger.key", is_new=is_new)
    except OSError as error:
        raise LedgerError(
            f"The ledger in {data_dir} cannot be opened ({error.strerror}); set data_dir to a writable folder."
        ) from error
    except SQLAlchemyError as error:
        then = "check the server, its name and its password" if url else "move that file away"
        raise LedgerError(f"{where} cannot be used as the ledger ({_cause(error)}); {then}.") from error
    return Store(engine, key)


class Store:
    """An open ledger. Its methods block for about a millisecond: call them from a thread where that matters."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key
        self._seal = Fernet(base64.urlsafe_b64encode(hmac.digest(key, b"sealed", "sha256")))

    def record(
        self, question: Question, answer: Answer, person: str, also: Callable[[Connection], None] | None = None
    ) -> None:
        """Append one answer, and in the same transaction what `also` writes.

        `person` is the channel's name for whoever asked, such as "web:3f…"; it is hashed.

        Raises:
            LedgerError: The answer is recorded already, or the file cannot be written.
        """
        row = interaction_row(question, answer, self.hash(person))
        with self.writing() as connection:
            connection.execute(insert(INTERACTIONS).values(row))
            if also:
                also(connection)

    def vote(self, vote: Vote) -> None:
        """Append one vote. What is written about a sensitive message is dropped; the rating stays.

        Raises:
            UnknownInteraction: No such answer was recorded.
            LedgerError: The file cannot be written.
        """
        with self.writing() as connection:
            self.vote_within(connection, vote)

    def vote_within(self, connection: Connection, vote: Vote) -> Route:
        """Append one vote in a transaction that is under way; else as `vote`. Gives how the answer came about."""
        route = connection.scalar(select(INTERACTIONS.c.route).where(INTERACTIONS.c.id == vote.interaction_id))
        if route is None:
            raise UnknownInteraction("There is no such answer; it may have been erased, so ask again and vote on that.")
        is_sensitive = route == Route.SENSITIVE
        row = {
            "at": datetime.now(UTC),
            "interaction_id": vote.interaction_id,
            "person": self.hash(vote.person),
            "rating": vote.rating,
            "reason": "" if is_sensitive else vote.reason,
            "correct_points": "" if is_sensitive else vote.correct_points,
            "incorrect_points": "" if is_sensitive else vote.incorrect_points,
            "ideal_response": "" if is_sensitive else vote.ideal_response,
            "source": vote.source,
            "happened_at": vote.happened_at.astimezone(UTC) if vote.happened_at else None,
        }
        connection.execute(insert(VOTES).values(row))
        return Route(route)

    def current_votes(self, interaction_id: str) -> tuple[Vote, ...]:
        """The vote of each person that counts, in the order of voting.

        That is the last of what they said with each source and did not take back.
        """
        when = func.coalesce(VOTES.c.happened_at, VOTES.c.at)
        query = select(VOTES).where(VOTES.c.interaction_id == interaction_id).order_by(when, VOTES.c.id)
        with self.reading() as connection:
            votes = [_vote(row) for row in connection.execute(query).mappings()]
        last = {(vote.person, vote.source): (number, vote) for number, vote in enumerate(votes)}
        standing = sorted((said for said in last.values() if said[1].rating > 0), key=lambda said: said[0])
        counting = {vote.person: (number, vote) for number, vote in standing}
        return tuple(vote for _, vote in sorted(counting.values(), key=lambda said: said[0]))

    def interaction(self, interaction_id: str) -> Interaction:
        """Read one recorded answer.

        Raises:
            UnknownInteraction: No such answer was recorded.
        """
        query = select(INTERACTIONS).where(INTERACTIONS.c.id == interaction_id)
        with self.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise UnknownInteraction(f"There is no answer {interaction_id} in the ledger; check its id.")
        return interaction_of(row)

    def close(self) -> None:
        """Close every connection. The last process to do so folds the write-ahead log back into the file."""
        self._engine.dispose()

    @property
    def file(self) -> Path | None:
        """The SQLite file; None where a server keeps the ledger."""
        return Path(self._engine.url.database or "") if self._engine.dialect.name == "sqlite" else None

    @property
    def engine(self) -> Engine:
        """For what no transaction can do, such as giving space back."""
        return self._engine

    def hash(self, name: str) -> str:
        """A person or place as the ledger knows it: 64 hexadecimal digits that lead nowhere without the key."""
        return hmac.new(self._key, name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def seal(self, text: str) -> str:
        """Text that only this key opens again."""
        return self._seal.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            LedgerError: Another key sealed it.
        """
        try:
            return self._seal.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise LedgerError(
                "What the ledger keeps sealed was sealed under another key; restore ledger.key from the backup."
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerBusy(f"The ledger cannot be read ({_cause(error)}); check the disk and data_dir.") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is kept when it ends, or nothing where something is raised.

        Raises:
            LedgerError: The ledger cannot be written, or holds a row of this id.
        """
        try:
            with _writer(self._engine).begin() as connection:
                yield connection
        except IntegrityError as error:
            raise LedgerError(
                f"That does not fit what the ledger holds ({_violation(error)}); every answer needs an id of its own."
            ) from error
        except SQLAlchemyError as error:
            raise LedgerBusy(f"The ledger cannot be written ({_cause(error)}); check the disk and data_dir.") from error


def insert_once(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can be told to do nothing where a row is there already, in the connection's dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def interaction_row(question: Question, answer: Answer, person: str) -> dict[str, object]:
    """One answer as a row of its table; `person` is a hash."""
    is_sensitive = answer.route is Route.SENSITIVE
    return {
        "id": answer.id,
        "at": datetime.now(UTC),
        "channel": question.channel,
        "person": person,
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
        "audience": question.asker.audience.value,
        "country": question.asker.country or "",
        "asked": "" if is_sensitive else answer.asked,
        "passages": [] if is_sensitive else [asdict(passage) for passage in answer.passages],
        "prompt": [] if is_sensitive else [asdict(message) for message in answer.prompt],
        "sampling": dict(answer.sampling),
        "verified_by": answer.verified_by,
    }


def interaction_of(row: RowMapping) -> Interaction:
    """One row of its table as a value."""
    timings = row["timings"]
    return Interaction(
        id=row["id"],
        at=in_utc(row["at"]),
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
        asker=Asker(Audience(row["audience"]), row["country"] or None),
        asked=row["asked"],
        passages=tuple(Citation(**passage) for passage in row["passages"]),
        prompt=tuple(Message(**message) for message in row["prompt"]),
        sampling=tuple(row["sampling"].items()),
        verified_by=row["verified_by"],
    )


def in_utc(at: datetime) -> datetime:
    """A stored time with its zone, which SQLite does not keep."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _vote(row: RowMapping) -> Vote:
    return Vote(
        interaction_id=row["interaction_id"],
        person=row["person"],
        rating=row["rating"],
        reason=row["reason"],
        correct_points=row["correct_points"],
        incorrect_points=row["incorrect_points"],
        ideal_response=row["ideal_response"],
        at=in_utc(row["at"]),
        source=row["source"],
        happened_at=in_utc(row["happened_at"]) if row["happened_at"] else None,
    )


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        # hide_parameters keeps questions out of exception texts, and so out of logs.
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            "Setting 'ledger.url' is no address of a database; write postgresql://user:password@host/name, or leave it "
            "empty for a file in data_dir."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def _writer(engine: Engine) -> Engine:
    return engine.execution_options(is_writing=True)


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Python's sqlite3 opens transactions late and none for DDL; with None it leaves them to `_begin`.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: what Slack was told is kept survives a power cut. secure_delete: what is erased is overwritten.
    wanted = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", *wanted):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once when another process wrote in between, whatever the busy
    # timeout says; taking the write lock first makes it wait instead.
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _bring_up_to_date(connection: Connection, where: str) -> None:
    """Run the migrations that are missing, in the transaction of `connection`."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision == scripts.get_current_head():
        return
    if revision is None and inspect(connection).has_table(INTERACTIONS.name):
        command.stamp(config, _FIRST_REVISION)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(
            f"{where} was made by a later version of QuantaHR (revision {revision}); install that version."
        ) from error


def _cause(error: SQLAlchemyError) -> str:
    """The database's own words, such as "database or disk is full", without what PostgreSQL quotes of a row."""
    said = str(getattr(error, "orig", None) or type(error).__name__)
    return said.splitlines()[0] if said else type(error).__name__


def _violation(error: IntegrityError) -> str:
    """Which rule was broken, without the row that broke it."""
    said = _cause(error).casefold()
    broken = {"unique": "it is in there already", "foreign": "what it is about is not", "null": "something is missing"}
    return next((meaning for word, meaning in broken.items() if word in said), "a rule is broken")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a file lock that other processes wait for."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _given_key(settings: LedgerSettings) -> bytes:
    """The key that the settings hold; empty where they hold none."""
    given = settings.key.get_secret_value()
    try:
        key = bytes.fromhex(given)
    except ValueError:
        key = b""
    if given and len(key) != KEY_BYTES:
        raise ConfigError(
            f"Setting 'ledger.key' is no key; it needs {2 * KEY_BYTES} hexadecimal digits, as 'openssl rand -hex "
            f"{KEY_BYTES}' prints them."
        )
    return key


def _key(file: Path, *, is_new: bool) -> bytes:
    """Read the key, or make one for a ledger that is new. Called with the lock held."""
    if not file.exists():
        if not is_new:
            raise LedgerError(
                f"{file} is missing, and the ledger beside it was made with it; restore it from a backup."
            )
        part = file.with_suffix(".key.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_hex(KEY_BYTES) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(file)
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except ValueError as error:
        raise LedgerError(f"{file} holds no key; restore it from a backup, since votes are tied to it.") from error
    if len(key) != KEY_BYTES:
        raise LedgerError(
            f"{file} holds a key of the wrong length; restore it from a backup, since votes are tied to it."
        )
    return key
