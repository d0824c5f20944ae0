"""The ledger, on real SQLite files and on a PostgreSQL server."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from bot.answer import Answer, Asker, Citation, Question, Route, Timings, Turn
from bot.schema import TABLES, VOTES
from bot.store import Store, Vote, open_store
from config.errors import ConfigError, LedgerError, UnknownInteraction
from config.settings import LedgerSettings

# A ledger as the first version wrote it.
FIRST_LEDGER = """
CREATE TABLE interactions (id VARCHAR(64) NOT NULL, at DATETIME NOT NULL, channel VARCHAR(32) NOT NULL,
 person VARCHAR(64) NOT NULL, question TEXT NOT NULL, history JSON NOT NULL, answer TEXT NOT NULL,
 route VARCHAR(16) NOT NULL, category VARCHAR(32) NOT NULL, abstained BOOLEAN NOT NULL, probability FLOAT NOT NULL,
 citations JSON NOT NULL, model VARCHAR(200) NOT NULL, prompt_version VARCHAR(64) NOT NULL, timings JSON NOT NULL,
 PRIMARY KEY (id));
CREATE INDEX ix_interactions_person ON interactions (person);
CREATE TABLE votes (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at DATETIME NOT NULL,
 interaction_id VARCHAR(64) NOT NULL REFERENCES interactions (id), person VARCHAR(64) NOT NULL,
 rating INTEGER NOT NULL, reason TEXT NOT NULL, correct_points TEXT NOT NULL, incorrect_points TEXT NOT NULL,
 ideal_response TEXT NOT NULL);
CREATE INDEX votes_by_interaction ON votes (interaction_id, person);
INSERT INTO interactions VALUES ('a1', '2026-05-01 09:00:00.000000', 'web', 'ab', 'How many days?', '[]', 'Five.',
 'quoted', '', 0, 0.8, '[]', 'm', '1', '{"ttft_ms": 1.0, "latency_ms": 2.0, "steps_ms": []}');
INSERT INTO votes VALUES (1, '2026-05-01 09:01:00.000000', 'a1', 'ab', 4, '', '', '', '');
"""
CITATION = Citation(
    file="leave/annual.md",
    title="Annual leave policy",
    heading="Annual leave › Carrying over",
    text="You may carry over five days.\nAsk before 1 December.",
    quote="You may carry over five days.",
    score=0.91,
    page=2,
    effective="2026-01-01",
)
QUESTION = Question("How many days can I carry over?", channel="web", history=(Turn("user", "Hello"),))


def an_answer(answer_id: str = "a1", route: Route = Route.QUOTED, category: str = "") -> Answer:
    return Answer(
        id=answer_id,
        text="You may carry over five days.",
        citations=(CITATION,),
        abstained=False,
        route=route,
        probability=0.8,
        model="fake-1",
        prompt_version="p1",
        timings=Timings(ttft_ms=12.5, latency_ms=80.0, steps_ms=(("retrieve", 3.0), ("read", 9.0))),
        category=category,
    )


@pytest.fixture
def store(tmp_path: Path, ledger: LedgerSettings) -> Iterator[Store]:
    opened = open_store(tmp_path, ledger)
    yield opened
    opened.close()


def stored_bytes(store: Store, tmp_path: Path) -> bytes:
    """All that the ledger's files hold, or all rows of its tables."""
    if store.file:
        return b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite*"))
    with store.reading() as connection:
        return repr([connection.execute(select(table)).all() for table in TABLES.sorted_tables]).encode()


def test_an_answer_is_read_back_as_it_was_recorded(store: Store) -> None:
    store.record(QUESTION, an_answer(), "web:ana")
    stored = store.interaction("a1")
    assert (stored.question, stored.history, stored.answer) == (QUESTION.text, QUESTION.history, an_answer().text)
    assert stored.citations == (CITATION,)
    assert (stored.route, stored.model, stored.prompt_version) == (Route.QUOTED, "fake-1", "p1")
    assert stored.timings == an_answer().timings
    assert stored.at.tzinfo is not None


def test_a_sensitive_message_leaves_only_its_category(store: Store, tmp_path: Path) -> None:
    question = Question("My manager touched me", channel="web", history=(Turn("user", "I need to tell somebody"),))
    store.record(question, an_answer(route=Route.SENSITIVE, category="harassment"), "web:ana")
    store.vote(Vote("a1", "web:ana", 1, reason="it was at the party", ideal_response="call the police"))
    stored = store.interaction("a1")
    assert (stored.question, stored.history, stored.answer, stored.citations) == ("", (), "", ())
    assert stored.category == "harassment"
    (vote,) = store.current_votes("a1")
    assert (vote.rating, vote.reason, vote.ideal_response) == (1, "", "")
    on_disk = stored_bytes(store, tmp_path)
    assert b"touched" not in on_disk and b"somebody" not in on_disk and b"party" not in on_disk


def test_people_appear_only_as_a_keyed_hash(store: Store, tmp_path: Path) -> None:
    store.record(QUESTION, an_answer(), "web:ana@example.com")
    assert "ana" not in store.interaction("a1").person
    on_disk = stored_bytes(store, tmp_path)
    assert b"ana@example.com" not in on_disk
    other = open_store(tmp_path / "other")
    other.record(QUESTION, an_answer(), "web:ana@example.com")
    assert other.interaction("a1").person != store.interaction("a1").person
    other.close()


def test_key_and_ledger_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.record(QUESTION, an_answer(), "web:ana")
    for file in tmp_path.glob("ledger.*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    store.close()


def test_the_last_vote_of_each_person_counts(store: Store) -> None:
    store.record(QUESTION, an_answer(), "web:ana")
    store.vote(Vote("a1", "web:ana", 1, reason="wrong number"))
    store.vote(Vote("a1", "web:ben", 5))
    store.vote(Vote("a1", "web:ana", 4))
    assert [vote.rating for vote in store.current_votes("a1")] == [5, 4]


def test_a_reaction_taken_back_leaves_what_was_said_with_a_button(store: Store) -> None:
    store.record(QUESTION, an_answer(), "slack:U1")
    store.vote(Vote("a1", "slack:U1", 1, source="slack:button"))
    store.vote(Vote("a1", "slack:U1", 5, source="slack:reaction:+1"))
    assert [vote.rating for vote in store.current_votes("a1")] == [5]
    store.vote(Vote("a1", "slack:U1", 0, source="slack:reaction:+1"))
    assert [vote.rating for vote in store.current_votes("a1")] == [1]


def test_votes_count_in_the_order_in_which_they_were_cast(store: Store) -> None:
    store.record(QUESTION, an_answer(), "slack:U1")
    second, first = (datetime(2026, 5, 1, 9, minute, tzinfo=UTC) for minute in (2, 1))
    store.vote(Vote("a1", "slack:U1", 0, source="slack:reaction:+1", happened_at=second))
    store.vote(Vote("a1", "slack:U1", 5, source="slack:reaction:+1", happened_at=first))
    assert store.current_votes("a1") == ()


def test_rating_nought_takes_the_vote_back(store: Store) -> None:
    store.record(QUESTION, an_answer(), "web:ana")
    store.vote(Vote("a1", "web:ana", 5))
    store.vote(Vote("a1", "web:ana", 0))
    assert store.current_votes("a1") == ()
    store.vote(Vote("a1", "web:ana", 1))
    assert [vote.rating for vote in store.current_votes("a1")] == [1]


def test_votes_are_appended_never_updated(store: Store) -> None:
    store.record(QUESTION, an_answer(), "web:ana")
    for rating in (5, 0, 1):
        store.vote(Vote("a1", "web:ana", rating))
    with store.reading() as connection:
        assert connection.scalars(select(VOTES.c.rating).order_by(VOTES.c.id)).all() == [5, 0, 1]


def test_a_vote_on_an_unknown_answer_is_refused(store: Store) -> None:
    with pytest.raises(UnknownInteraction, match="no such answer"):
        store.vote(Vote("nowhere", "web:ana", 5))
    with pytest.raises(UnknownInteraction, match="nowhere"):
        store.interaction("nowhere")


def test_an_answer_is_recorded_once_and_the_refusal_holds_no_question(store: Store) -> None:
    store.record(QUESTION, an_answer(), "web:ana")
    with pytest.raises(LedgerError, match="already") as caught:
        store.record(QUESTION, an_answer(), "web:ana")
    assert QUESTION.text not in f"{caught.value} {caught.value.__cause__}"


def test_what_was_recorded_is_there_after_opening_again(tmp_path: Path, ledger: LedgerSettings) -> None:
    first = open_store(tmp_path, ledger)
    first.record(QUESTION, an_answer(), "web:ana")
    first.close()
    second = open_store(tmp_path, ledger)
    second.vote(Vote("a1", "web:ana", 5))
    assert second.current_votes("a1")[0].person == second.interaction("a1").person
    second.close()


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match="set data_dir to a writable folder"):
        open_store(tmp_path / "file" / "var")


def test_a_file_that_is_no_ledger_is_explained(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("this is not a database, and it is long enough to be noticed as such" * 20)
    with pytest.raises(LedgerError, match="cannot be used as the ledger"):
        open_store(tmp_path)


def test_a_spoilt_key_is_not_silently_replaced(tmp_path: Path) -> None:
    (tmp_path / "ledger.key").write_text("no key\n")
    with pytest.raises(LedgerError, match="holds no key"):
        open_store(tmp_path)


def write_many(data_dir: Path, url: str, name: str, count: int) -> None:
    store = open_store(data_dir, LedgerSettings.model_validate({"url": url}))
    for number in range(count):
        store.record(QUESTION, an_answer(f"{name}-{number}"), f"web:{name}")
        store.vote(Vote(f"{name}-{number}", f"web:{name}", 5))
    store.close()


def test_several_processes_open_and_write_at_once(tmp_path: Path, ledger: LedgerSettings) -> None:
    url = ledger.url.get_secret_value()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, url, f"w{number}", 25)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    store = open_store(tmp_path, ledger)
    assert all(store.current_votes(f"w{writer}-{number}") for writer in range(3) for number in range(25))
    store.close()


def test_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []


def test_a_ledger_of_the_first_version_keeps_what_it_holds(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "ledger.sqlite")
    old.executescript(FIRST_LEDGER)
    old.close()
    (tmp_path / "ledger.key").write_text("ab" * 32)
    store = open_store(tmp_path)
    kept = store.interaction("a1")
    assert (kept.question, kept.asker, kept.passages, kept.verified_by) == ("How many days?", Asker(), (), "")
    assert [vote.rating for vote in store.current_votes("a1")] == [4]
    store.close()


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    later = sqlite3.connect(tmp_path / "ledger.sqlite")
    later.execute("UPDATE alembic_version SET version_num = '9999'")
    later.commit()
    later.close()
    with pytest.raises(LedgerError, match="later version"):
        open_store(tmp_path)


@pytest.mark.parametrize("wrong", [{"url": "nonsense"}, {"url": "oracle://db"}, {"key": "secret"}, {"key": "ab" * 31}])
def test_what_is_no_address_or_no_key_is_named_and_not_told(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"ledger.{next(iter(wrong))}") as caught:
        open_store(tmp_path, LedgerSettings.model_validate(wrong))
    assert next(iter(wrong.values())) not in str(caught.value)


def test_a_given_key_stands_in_no_file(tmp_path: Path) -> None:
    store = open_store(tmp_path, LedgerSettings.model_validate({"key": "ab" * 32}))
    assert store.unseal(store.seal("slack:D1")) == "slack:D1"
    assert not (tmp_path / "ledger.key").exists()
    store.close()


def test_what_another_key_sealed_is_not_opened(tmp_path: Path) -> None:
    ours, theirs = open_store(tmp_path / "ours"), open_store(tmp_path / "theirs")
    with pytest.raises(LedgerError, match="another key"):
        ours.unseal(theirs.seal("slack:D1"))
    ours.close()
    theirs.close()


def test_a_lost_key_is_not_silently_replaced(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.record(QUESTION, an_answer(), "web:ana")
    store.close()
    (tmp_path / "ledger.key").unlink()
    with pytest.raises(LedgerError, match="restore it from a backup"):
        open_store(tmp_path)
