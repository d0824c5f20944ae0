"""The ledger carried elsewhere and back, and people taken out of it, on real ledgers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bot.answer import Asker, Question, Turn
from bot.cases import Cases, CaseStep
from bot.cli import quantahr
from bot.erase import erase_interaction, erase_person, forget_old
from bot.exchange import export_to, import_from
from bot.feedback import Corrections
from bot.inbox import Inbox
from bot.posts import Posts
from bot.schema import CASES, CORRECTIONS, INTERACTIONS, TABLES
from bot.store import Store, Vote, open_store
from config.errors import LedgerError, UnknownInteraction
from config.settings import LedgerSettings, Settings
from tests.test_store import an_answer

ANA, BEN, HR = "slack:UANA", "slack:UBEN", "slack:UHR"
PRIVATE = "How do I hide my second job & its pay from you?"


@pytest.fixture
def store(tmp_path: Path, ledger: LedgerSettings) -> Iterator[Store]:
    opened = open_store(tmp_path / "data", ledger)
    fill(opened)
    yield opened
    opened.close()


def fill(store: Store) -> None:
    """Two answers, and something of every kind that can be said of one."""
    store.record(Question(PRIVATE, Asker(country="GB"), "slack"), an_answer("a1"), ANA)
    thread = (Turn("user", f"<@UBOT>  {PRIVATE.replace(' & ', ' &amp; ')}"), Turn("bot", "You may not."))
    store.record(Question("And on Sundays?", channel="slack", history=thread), an_answer("a2"), BEN)
    store.vote(Vote("a1", ANA, 1, reason="this is no answer to my question", source="slack:button"))
    store.vote(Vote("a2", ANA, 5))
    with store.writing() as connection:
        row = {
            "at": an_hour(),
            "happened_at": an_hour(),
            "step": "write",
            "is_hr": True,
            "question": PRIVATE,
            "text": "Ask your manager first.",
            "sources": [],
            "audience": "all",
            "countries": ["GB"],
            "person": store.hash(HR),
        }
        connection.execute(CORRECTIONS.insert().values(row | {"correction_id": "c" * 64, "interaction_id": "a1"}))
        row |= {"correction_id": "d" * 64, "interaction_id": "a2", "question": "And on Sundays?"}
        connection.execute(CORRECTIONS.insert().values(row))
    cases = Cases(store)
    case = cases.open(ANA, "UANA", "a1", "please call me about the second job", is_anonymous=True)
    cases.add(case.id, CaseStep.RESOLVE, HR, "done")
    cases.open(ANA, "UANA", None, "another matter entirely, thanks", is_anonymous=False)
    with store.writing() as connection:
        Posts(store).keep(connection, "slack:C1:1.1", "slack:C1:1.0", "a1", "{}")


def an_hour() -> datetime:
    """When something happened."""
    return datetime(2026, 5, 1, 9, tzinfo=UTC)


def everything(store: Store) -> str:
    """All rows, as text."""
    with store.reading() as connection:
        return repr([connection.execute(select(table)).all() for table in TABLES.sorted_tables])


def test_what_is_exported_and_imported_is_the_same_to_the_byte(store: Store, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert export_to(store, first) == 3
    other = open_store(tmp_path / "other")
    assert import_from(other, first) == (3, 0)
    export_to(other, second)
    assert second.read_bytes() == first.read_bytes()
    assert other.interaction("a1") == store.interaction("a1")
    assert [one.text for one in Corrections(other).corrections()] == [
        one.text for one in Corrections(store).corrections()
    ]
    assert import_from(other, first) == (0, 3)
    other.close()


def test_the_ledger_s_own_files_are_not_written_over(store: Store, tmp_path: Path) -> None:
    if store.file:
        with pytest.raises(LedgerError, match="ledger's own"):
            export_to(store, store.file)
    assert store.interaction("a1").question == PRIVATE


def test_lines_of_other_tools_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "interactions.jsonl"
    nested = {"question": "How long?", "response": "Six days.", "feedback": {"rating": 2, "incorrect_points": "six"}}
    flat = {"interaction_id": "x1", "question": "Who?", "answer": "HR.", "rating": 5, "ideal_response": "HR, always."}
    file.write_text(f"{json.dumps(nested)}\n\n{json.dumps(flat)}\n", encoding="utf-8")
    store = open_store(tmp_path)
    assert import_from(store, file) == (2, 0)
    assert import_from(store, file) == (0, 2)
    (vote,) = store.current_votes("x1")
    assert (vote.rating, vote.ideal_response) == (5, "HR, always.")
    file.write_text(json.dumps(flat | {"person": "ben", "rating": 1}), encoding="utf-8")
    assert import_from(store, file) == (1, 0)
    assert sorted(vote.rating for vote in store.current_votes("x1")) == [1, 5]
    store.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"question": "Who?"}', "answer"),
        ('{"question": "Who?", "answer": "HR", "rating": 9}', "rating"),
        ('{"interaction": {"id": "z", "colour": "red"}}', "'colour' is no column"),
        ("[" * 100_000, "not as expected"),
        ('{"votes": []}', "holds nothing"),
        ('{"votes": [{"rating": 7}]}', "'rating' must be"),
        (f'{{"votes": [{{"person": "{"x" * 65}"}}]}}', "'person' has 65"),
        ('{"question": "Who\\ud800?", "answer": "HR"}', "surrogates"),
        ('{"question": "Who\\u0000?", "answer": "HR"}', "NUL"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_imported(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "interactions.jsonl"
    file.write_text(f'{{"question": "Who?", "answer": "HR."}}\n{line}\n', encoding="utf-8")
    store = open_store(tmp_path)
    with pytest.raises(LedgerError, match=f"line 2.*{said}"):
        import_from(store, file)
    assert export_to(store, tmp_path / "out.jsonl") == 0
    store.close()


def test_a_person_is_gone_from_every_row_and_file(store: Store, tmp_path: Path) -> None:
    Inbox(store).take("e1", "message", json.dumps({"user": "UANA", "text": "one more thing"}))
    Inbox(store).take("e2", "message", json.dumps({"user": "UBEN", "text": "mine"}))
    settings = Settings(data_dir=tmp_path / "data")
    models = tmp_path / "data" / "datasets" / "d1"
    models.mkdir(parents=True)
    (models / "manifest.json").write_text(json.dumps({"interactions": ["a1"]}))
    (models / "kto.train.jsonl").write_text(json.dumps({"interaction": "a1", "question": PRIVATE}))
    run = tmp_path / "data" / "runs" / "sft-1"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"dataset": "var/datasets/d1"}))
    registry = tmp_path / "data" / "registry"
    (registry / "m1").mkdir(parents=True)
    (registry / "m1" / "manifest.json").write_text('{"runs": ["sft-1"]}', encoding="utf-8")
    (registry / "current.json").write_text('{"models": {"m1": {}}, "why": "sft-1"}', encoding="utf-8")
    (registry / "reports").mkdir()
    (registry / "reports" / "m1.md").write_text("What did she ask?", encoding="utf-8")
    erased = erase_person(store, settings, ANA)
    assert (erased.answers, erased.left_in, erased.used_by) == (
        1,
        (),
        ("datasets/d1", "runs/sft-1", "registry/m1"),
    )
    assert not list((registry / "reports").iterdir())  # they quote what was held out
    assert [file.name for file in models.iterdir()] == ["manifest.json"]
    left = everything(store)
    assert PRIVATE not in left
    assert "second job" not in left and "another matter" not in left and "no answer to my question" not in left
    assert ["mine" in task.payload for task in Inbox(store).open_tasks()] == [True]
    assert [one.interaction_id for one in Corrections(store).corrections()] == ["a2"]
    with pytest.raises(UnknownInteraction):
        store.interaction("a1")
    kept = store.interaction("a2")
    assert kept.question == "And on Sundays?" and [turn.text for turn in kept.history] == ["You may not."]


def test_what_was_erased_is_not_brought_back_by_an_older_file(store: Store, tmp_path: Path) -> None:
    older = tmp_path / "older.jsonl"
    export_to(store, older)
    erase_person(store, Settings(data_dir=tmp_path / "data"), ANA)
    added, known = import_from(store, older)
    assert (added, known) == (0, 3) and PRIVATE not in everything(store)
    store.record(Question("Me again", channel="slack"), an_answer("a9"), ANA)
    export_to(store, older)
    other = open_store(tmp_path / "other", LedgerSettings(key="ab" * 32))
    assert import_from(other, older)[0] == 2
    other.close()


def test_what_another_person_asked_in_the_same_words_stays_theirs(store: Store, tmp_path: Path) -> None:
    store.record(Question(PRIVATE, channel="slack"), an_answer("a3"), BEN)
    erased = erase_person(store, Settings(data_dir=tmp_path / "data"), ANA)
    assert erased.left_in == () and store.interaction("a3").question == PRIVATE


def test_hr_s_steps_in_others_cases_stay_without_a_name(store: Store, tmp_path: Path) -> None:
    erase_person(store, Settings(data_dir=tmp_path / "data"), HR)
    with store.reading() as connection:
        left = repr([connection.execute(select(table)).all() for table in (CORRECTIONS, CASES)])
    assert store.hash(HR) not in left
    assert [one.status.value for one in Corrections(store).corrections()] == ["live", "live"]


def test_what_was_erased_is_in_no_byte_of_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    fill(store)
    assert PRIVATE.encode() in b"".join(file.read_bytes() for file in (tmp_path / "data").glob("ledger.sqlite*"))
    reader = open_store(tmp_path / "data")  # a server that goes on running
    assert reader.interaction("a1").question == PRIVATE
    erased = erase_interaction(store, Settings(data_dir=tmp_path / "data"), "a1")
    assert erased.left_in == ()
    assert b"second job" not in b"".join(file.read_bytes() for file in (tmp_path / "data").glob("ledger.sqlite*"))
    with pytest.raises(UnknownInteraction):
        reader.interaction("a1")
    reader.close()
    store.close()


def test_what_was_kept_for_long_enough_goes_and_what_was_corrected_stays(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    with store.writing() as connection:
        connection.execute(INTERACTIONS.update().values(at=long_ago))
    store.record(Question("Who?", channel="slack"), an_answer("new"), BEN)
    store.record(Question("Which?", channel="slack"), an_answer("old"), BEN)
    with store.writing() as connection:
        connection.execute(INTERACTIONS.update().where(INTERACTIONS.c.id == "old").values(at=long_ago))
    store.vote(Vote("old", ANA, 5))
    assert forget_old(store, 0) == 0
    assert forget_old(store, 30) == 1
    assert [store.interaction(kept).id for kept in ("a1", "a2", "new")] == ["a1", "a2", "new"]
    with pytest.raises(UnknownInteraction):
        store.interaction("old")


def test_what_is_left_somewhere_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    fill(store)
    (tmp_path / "data" / "copy.txt").write_text(f"somebody copied: {PRIVATE}")
    erased = erase_interaction(store, Settings(data_dir=tmp_path / "data"), "a1")
    assert erased.left_in == (str(tmp_path / "data" / "copy.txt"),)
    store.close()


def test_the_commands_do_it(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    fill(store)
    store.close()
    config = tmp_path / "quantahr.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n')

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(quantahr, ["--config", str(config), *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "Ask your manager first." in run("feedback", "list", "--status", "live")
    assert "rejected" in run("feedback", "reject", "c" * 64)
    assert run("feedback", "list", "--status", "live", "--json").count("\n") == 1
    run("feedback", "export", str(tmp_path / "out.jsonl"))
    assert "0 added, 3 known" in run("feedback", "import", str(tmp_path / "out.jsonl"))
    assert "No file" in run("erase", "--person", ANA)
    assert CliRunner().invoke(quantahr, ["erase"]).exit_code == 2


def test_the_manifest_names_what_the_bot_listens_to(tmp_path: Path) -> None:
    result = CliRunner().invoke(quantahr, ["slack", "manifest"], catch_exceptions=False)
    made = json.loads(result.output)
    assert made["settings"]["socket_mode_enabled"] and "agent_view" in made["features"]
    assert {"app_mention", "message.im", "reaction_removed"} <= set(
        made["settings"]["event_subscriptions"]["bot_events"]
    )
    assert made["features"]["slash_commands"][0]["command"] == "/hr"
    assert "chat:write" in made["oauth_config"]["scopes"]["bot"]
