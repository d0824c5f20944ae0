"""What is learned from the ledger, documents and files; from real ledgers, with the real embedder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.answer import Answer, Citation, Question, Route, Timings
from bot.cli import quantahr
from bot.feedback import Corrections, Decision, Feedback, Step, Writing
from bot.prompt import prompt
from bot.store import Store, Vote, open_store
from config.errors import ConfigError
from config.settings import DocumentSettings, LedgerSettings, Settings
from exporter.gguf import embedded_gguf
from exporter.load import load_tokenizer
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from tests.handbook import write_handbook
from trainer.dataset import GOLDEN_FILE, assemble, build, group, is_validation
from trainer.document_samples import document_samples
from trainer.evaluate import read_questions
from trainer.file_samples import file_samples, folder_snapshot
from trainer.ledger_samples import ledger_samples
from trainer.records import read_records
from trainer.report import write_report
from trainer.samples import Dropped, Sample, evidence_in, messages_of, said
from trainer.sft import token_ids
from trainer.spec import DatasetSpec, TrainingSpec

HR, ANA, BEN = "slack:UHR", "slack:UANA", "slack:UBEN"
QUESTION = "How many unused days can I carry over?"
CARRY = "You can carry over up to five unused days into the next year."
USE_BY = "They must be used by 31 March."
CARRYING = Citation("leave.md", "Annual leave", "Annual leave › Carrying over", f"{CARRY} {USE_BY}", CARRY, 0.9)
HOLIDAYS = "The office is closed on these days:\n- New Year's Day\n- Christmas Day"
CLOSED = Citation("leave.md", "Annual leave", "Annual leave › Public holidays", HOLIDAYS, "New Year's Day", 0.5)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FAQ = """\
# Travel

## How much can I spend on a hotel?

Up to 150 pounds a night in London.

## Terms

A field trip means a journey of more than one day outside the country.

| Question | Answer |
| --- | --- |
| Who books my train? | You do, in the travel tool. |
"""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Snapshot:
    folder = write_handbook(tmp_path_factory.mktemp("handbook"))
    return folder_snapshot([folder], Settings(), embedder)


@pytest.fixture
def store(tmp_path: Path, ledger: LedgerSettings) -> Iterator[Store]:
    opened = open_store(tmp_path, ledger)
    yield opened
    opened.close()


@pytest.fixture
def feedback(store: Store, snapshot: Snapshot, embedder: Embedder) -> Feedback:
    return Feedback(store, lambda: snapshot, embedder)


def answered(
    store: Store,
    name: str = "a1",
    *,
    question: str = QUESTION,
    text: str = CARRY,
    citations: tuple[Citation, ...] = (CARRYING,),
    route: Route = Route.QUOTED,
    verified_by: str = "",
    person: str = ANA,
) -> None:
    answer = Answer(
        id=name,
        text=text,
        citations=citations,
        abstained=route is Route.UNKNOWN,
        route=route,
        probability=0.6,
        model="fake-1",
        prompt_version="1",
        timings=Timings(1.0, 2.0),
        asked=question,
        passages=(CARRYING, CLOSED),
        verified_by=verified_by,
    )
    store.record(Question(question, channel="slack"), answer, person)


def corrected(feedback: Feedback, text: str, name: str = "a1", person: str = HR, *, is_hr: bool = True) -> None:
    feedback.correct(Writing(f"slack:C1:{name}", name, text, person, is_hr, NOW))


def vote(store: Store, person: str, rating: int, name: str = "a1", days_ago: int = 0) -> None:
    store.vote(Vote(name, person, rating, happened_at=NOW - timedelta(days=days_ago)))


def learned(store: Store, snapshot: Snapshot, embedder: Embedder) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows by learner and label; what was dropped by "dropped" and reason."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in ledger_samples(store, snapshot, embedder):
        key = ("dropped", one.reason) if isinstance(one, Dropped) else (one.learner, one.label)
        found.setdefault(key, []).append({} if isinstance(one, Dropped) else dict(one.row))
    return found


def test_a_correction_is_said_preferred_and_shown_where_it_stands(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store, text="New Year's Day.", citations=(CLOSED,))
    corrected(feedback, "You can carry over up to five unused days. They must be used by 31 March.")
    rows = learned(store, snapshot, embedder)
    (sft,) = rows["sft", "corrected"]
    assert sft["completion"] == said("You can carry over up to five unused days. They must be used by 31 March.")
    assert CARRY in sft["prompt"][-1]["content"] and USE_BY in sft["prompt"][-1]["content"]
    good, bad = rows["kto", "corrected"]
    assert (good["label"], bad["label"], bad["completion"]) == (True, False, said("New Year's Day."))
    assert "New Year's Day" in bad["prompt"][-1]["content"]
    (reading,) = rows["reading", "corrected"]
    assert reading["positives"][0]["quote"].split("\n") == [CARRY, USE_BY]
    assert [one["heading"] for one in reading["negatives"]] == ["Annual leave › Public holidays"]


def test_facts_that_no_policy_holds_are_not_trained_in(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    corrected(feedback, "You can sell up to nine days for 300 euros each.")
    rows = learned(store, snapshot, embedder)
    assert ("sft", "corrected") not in rows and ("reading", "corrected") not in rows
    assert rows["dropped", "no passage says what HR wrote, and facts are not trained in"]
    (bad,) = rows["kto", "corrected"]
    assert bad["label"] is False


def test_not_in_the_policies_teaches_declining(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    corrected(feedback, "That is not in the policies; ask your manager.")
    rows = learned(store, snapshot, embedder)
    assert list(rows) == [("reading", "corrected")]
    assert rows["reading", "corrected"][0]["answerable"] is False


def test_a_denial_that_a_policy_supports_is_an_answer(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    denied = "Interns are not covered by the bonus policy."
    answered(store, citations=(Citation("bonus.md", "Bonus", "Bonus", denied, denied, 0.9),), text="Nobody is.")
    corrected(feedback, denied)
    rows = learned(store, snapshot, embedder)
    assert rows["sft", "corrected"][0]["completion"] == said(denied)
    assert not any(row.get("answerable") is False for some in rows.values() for row in some)


def test_what_others_write_is_imitated_when_hr_approves_it_and_not_before(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    corrected(feedback, "Up to five unused days.", person=BEN, is_hr=False)
    assert learned(store, snapshot, embedder) == {}
    Corrections(store).decide(Decision("slack:C1:a1", Step.APPROVE, HR, is_hr=True, happened_at=NOW))
    assert learned(store, snapshot, embedder)["sft", "corrected"][0]["completion"] == said("Up to five unused days.")


def test_thumbs_are_preferences_and_a_good_answer_shows_where_it_stands(
    store: Store, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    answered(store, "a2", question="When is the office closed?", text="New Year's Day", citations=(CLOSED,))
    vote(store, BEN, 5)
    vote(store, BEN, 1, "a2")
    rows = learned(store, snapshot, embedder)
    assert rows["kto", "liked"][0]["label"] is True and rows["kto", "disliked"][0]["label"] is False
    assert rows["reading", "liked"][0]["positives"][0]["quote"] == CARRY
    assert not any(learner == "sft" or (label == "disliked" and learner == "reading") for learner, label in rows)


def test_what_the_model_said_well_is_replayed_and_what_was_quoted_is_not(
    store: Store, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store, "a1", text="Up to five unused days.", route=Route.GENERATED)
    answered(store, "a2", question="When is the office closed?", text="New Year's Day", citations=(CLOSED,))
    vote(store, BEN, 5)
    vote(store, BEN, 5, "a2")
    rows = learned(store, snapshot, embedder)
    assert [row["completion"] for row in rows["sft", "replay"]] == [said("Up to five unused days.")]


def test_of_votes_that_contradict_each_other_hr_s_and_newer_ones_count_for_more(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    vote(store, ANA, 5)
    vote(store, BEN, 1)
    assert list(learned(store, snapshot, embedder)) == [("dropped", "people do not agree")]
    vote(store, ANA, 5, days_ago=0)
    answered(store, "a2")
    vote(store, ANA, 1, "a2", days_ago=400)
    vote(store, BEN, 5, "a2")
    assert ("kto", "liked") in learned(store, snapshot, embedder)
    answered(store, "a3", question="Else?")
    corrected(feedback, "HR acts somewhere.", "a3")
    vote(store, HR, 1)
    assert ("kto", "disliked") in learned(store, snapshot, embedder)


def test_declined_questions_teach_when_somebody_says_that_was_right(
    store: Store, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store, route=Route.UNKNOWN, text="I do not know.")
    answered(store, "a2", route=Route.UNKNOWN, text="I do not know.")
    vote(store, BEN, 5)
    vote(store, BEN, 1, "a2")
    rows = learned(store, snapshot, embedder)
    (row,) = rows["reading", "liked"]
    assert row["answerable"] is False and len(row["negatives"]) == 2
    assert ("dropped", "it was declined, and nobody said what is right") in rows


def test_matches_that_hr_unlinked_or_confirmed_teach_the_matcher(
    store: Store, feedback: Feedback, snapshot: Snapshot, embedder: Embedder
) -> None:
    answered(store)
    corrected(feedback, "Up to five unused days.")
    (stored,) = feedback.corrections()
    for name, question in (("a2", "Can I sell days?"), ("a3", "carry over how much"), ("a4", "carry over?")):
        answered(store, name, question=question, route=Route.VERIFIED, citations=(), verified_by=stored.id)
    feedback.unlink("a2", HR)
    vote(store, HR, 5, "a3")
    vote(store, BEN, 5, "a4")
    rows = learned(store, snapshot, embedder)
    assert rows["matching", "unlinked"] == [
        {"question": "Can I sell days?", "stored": QUESTION, "answer": "Up to five unused days.", "same": False}
    ]
    assert [(row["question"], row["same"]) for row in rows["matching", "confirmed"]] == [("carry over how much", True)]


def test_a_sensitive_message_teaches_nothing(store: Store, snapshot: Snapshot, embedder: Embedder) -> None:
    answered(store, route=Route.SENSITIVE, citations=())
    vote(store, BEN, 5)
    assert learned(store, snapshot, embedder) == {}


def test_the_prompt_of_training_is_that_of_serving_token_by_token() -> None:
    evidence = evidence_in((CARRYING,))
    served = prompt(QUESTION, evidence)
    tokenizer = load_tokenizer(embedded_gguf())
    rendered: Any = tokenizer.apply_chat_template(
        [{"role": one.role, "content": one.content} for one in served], add_generation_prompt=True, return_dict=False
    )
    trained, completion = token_ids({"prompt": messages_of(QUESTION, evidence), "completion": said(CARRY)}, tokenizer)
    assert trained == list(rendered)
    assert str(tokenizer.decode(completion)).startswith(f"{CARRY}<|im_end|>")


def test_documents_ask_and_answer_themselves(tmp_path: Path, embedder: Embedder) -> None:
    folder = write_handbook(tmp_path / "faq", {"travel.md": FAQ})
    samples = document_samples(folder_snapshot([folder], Settings(), embedder), embedder, 2)
    reading = {(one.label, one.question): one.row for one in samples if one.learner == "reading"}
    assert set(reading) >= {
        ("heading", "How much can I spend on a hotel?"),
        ("definition", "What does a field trip mean?"),
        ("table", "Who books my train?"),
    }
    hotel = reading["heading", "How much can I spend on a hotel?"]
    assert hotel["positives"][0]["quote"] == "Up to 150 pounds a night in London."
    assert all(one["heading"] != hotel["positives"][0]["heading"] for one in hotel["negatives"])
    unanswerable = reading["unanswerable", "Who books my train?"]
    assert unanswerable["positives"] == [] and unanswerable["negatives"]
    answers = {one.question: one.row["completion"] for one in samples if one.learner == "sft"}
    assert answers["Who books my train?"] == said("You do, in the travel tool.")


def a_sample(number: int, *, person: str = "", learner: str = "kto", question: str = "") -> Sample:
    question = question or f"Question number {number} about {['leave', 'pay', 'travel', 'sickness'][number % 4]}?"
    row = {"prompt": [{"role": "user", "content": question}], "completion": said(f"Answer {number}."), "label": True}
    made = Sample("kto", "feedback", "liked", question, row, person, NOW + timedelta(minutes=number), f"a{number}")
    return made if learner == "kto" else replace(made, learner="sft", source="alpaca", label="replay", person="")


def rows_of(files: Any, name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for part in ("train", "validation")
        for line in files.get(f"{name}.{part}.jsonl", "").splitlines()
    ]


def test_the_same_samples_in_any_order_give_the_same_bytes(embedder: Embedder) -> None:
    samples = [a_sample(number) for number in range(12)]
    one, two = (assemble(order, TrainingSpec(), embedder) for order in (samples, samples[::-1]))
    assert one == two and one.id == two.id
    assert one.manifest["rows"] == {name.removesuffix(".jsonl"): t.count("\n") for name, t in one.files.items()}


def test_copies_are_dropped_and_paraphrases_stay_on_one_side(embedder: Embedder) -> None:
    same = a_sample(1, question="How many days can I carry over?")
    copy = replace(same, interaction="a9")
    twins = [a_sample(2, question="How many days can I carry over to next year?"), same]
    made = assemble([same, copy, *twins, *(a_sample(number) for number in range(20, 60))], TrainingSpec(), embedder)
    assert made.manifest["dropped"]["feedback, liked: a copy"] >= 2
    by_group: dict[str, set[str]] = {}
    for part in ("train", "validation"):
        for line in made.files[f"kto.{part}.jsonl"].splitlines():
            by_group.setdefault(json.loads(line)["group"], set()).add(part)
    assert all(len(parts) == 1 for parts in by_group.values())
    carry = {row["group"] for row in rows_of(made.files, "kto") if "carry over" in row["prompt"][0]["content"]}
    assert len(carry) == 1


def test_groups_follow_from_nearness_and_their_side_from_their_name(embedder: Embedder) -> None:
    questions = ["How many days can I carry over?", "How many days may I carry over?", "Who pays for my train?"]
    vectors = dict(zip(questions, embedder.embed(questions), strict=True))
    groups = group(questions, vectors, 0.75)
    assert groups[questions[0]] == groups[questions[1]] != groups[questions[2]]
    spec = TrainingSpec()
    held = [is_validation(f"{number:016x}", spec) for number in range(0, 2**64, 2**58)]
    assert sum(held) == pytest.approx(0.1 * len(held), abs=1)


def test_nobody_steers_the_model_alone(embedder: Embedder) -> None:
    samples = [a_sample(number, person="p1" if number < 30 else f"p{number}") for number in range(40)]
    made = assemble(samples, TrainingSpec(), embedder)
    assert made.manifest["dropped"]["feedback, liked: one person's share"] == 25
    kept = {row["interaction"] for row in rows_of(made.files, "kto")}
    assert {f"a{number}" for number in range(25, 30)} <= kept  # the newest of theirs


def test_what_hr_writes_is_not_capped_and_all_feedback_counts(embedder: Embedder) -> None:
    samples = [replace(a_sample(number, person="hr"), label="corrected") for number in range(20)]
    made = assemble([*samples, samples[0]], TrainingSpec(), embedder)
    assert (
        made.manifest["feedback"]["answers"]
        == made.manifest["rows"]["kto.train"] + made.manifest["rows"].get("kto.validation", 0)
        == 20
    )


def test_a_line_separator_in_a_text_breaks_nothing(tmp_path: Path, embedder: Embedder) -> None:
    made = assemble([a_sample(1, question="How\u2028many\u0085days?")], TrainingSpec(), embedder)
    write_report(tmp_path, made.manifest, made.files)
    (tmp_path / "kto.jsonl").write_text("".join(made.files.values()), encoding="utf-8")
    assert len(list(read_records(tmp_path / "kto.jsonl"))) == 1


def test_replay_keeps_its_share_and_personal_data_goes(embedder: Embedder) -> None:
    own = replace(a_sample(1, learner="sft"), label="corrected", source="feedback")
    mail = {"prompt": [{"role": "user", "content": "I am a@x.example"}], "completion": said("Write to a@x.example.")}
    samples = [
        own,
        replace(own, question="I am a@x.example", row=mail),
        *(a_sample(n, learner="sft") for n in range(2, 10)),
    ]
    spec = TrainingSpec.model_validate({"data": {"replay_share": 0.5}})
    made = assemble(samples, spec, embedder)
    rows = rows_of(made.files, "sft")
    assert sum(row["from"] == "replay" for row in rows) == 2
    assert made.manifest["dropped"]["replay: more than its share"] == 6
    assert "x.example" not in json.dumps(rows)
    assert {"Write to [EMAIL]."} <= {row["completion"][0]["content"] for row in rows}
    assert made.manifest["personal_data"] == {"EMAIL": 3}


def test_files_that_a_specification_names(tmp_path: Path, embedder: Embedder) -> None:
    alpaca = [{"instruction": "Add.", "input": "1 and 2", "output": "3"}, {"instruction": "Say nothing.", "output": ""}]
    (tmp_path / "alpaca.json").write_text(json.dumps(alpaca), encoding="utf-8")
    (tmp_path / "bad.json").write_text('[{"instruction": "Add."}]', encoding="utf-8")
    spec = TrainingSpec()

    def found(kind: str, name: str) -> list[Sample | Dropped]:
        source = DatasetSpec.model_validate({"type": kind, "input_files": [str(tmp_path / name)]})
        return file_samples(source, spec, embedder)

    replay, dropped = found("alpaca", "alpaca.json")
    assert isinstance(replay, Sample) and replay.row["prompt"][0]["content"] == "Add.\n\n1 and 2"
    assert isinstance(dropped, Dropped)
    with pytest.raises(ConfigError, match="record 1"):
        found("alpaca", "bad.json")
    with pytest.raises(ConfigError, match="No file is called"):
        found("docx", "*.docx")
    with pytest.raises(ConfigError, match='no "prompt"'):
        found("rows", "alpaca.json") if (tmp_path / "alpaca.json").write_text('{"a": 1}') else None


def test_the_command_builds_a_dataset_twice_the_same(
    tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    handbook = write_handbook(tmp_path / "handbook", {"travel.md": FAQ})
    settings = Settings(data_dir=tmp_path / "data", documents=DocumentSettings(folder=handbook))
    store = open_store(settings.data_dir)
    answered(store)
    vote(store, BEN, 5)
    store.close()
    spec = TrainingSpec(datasets=(DatasetSpec(type="feedback"), DatasetSpec(type="documents")))
    first = build(spec, settings)
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    assert build(spec, settings) == first
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before
    report = (first / "report.md").read_text(encoding="utf-8")
    assert "1 answers with feedback of 1 people" in report and "How much can I spend on a hotel?" in report
    monkeypatch.setenv("QUANTAHR_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("QUANTAHR_DOCUMENTS__FOLDER", str(handbook))
    result = CliRunner().invoke(quantahr, ["dataset", "build"])
    assert result.exit_code == 0, result.output
    assert str(first) in result.stdout and "1 of 100 answers" in result.stdout


def test_what_hr_corrected_and_nothing_is_trained_on_is_asked_at_the_gate(tmp_path: Path, embedder: Embedder) -> None:
    folder = write_handbook(tmp_path / "handbook")
    settings = Settings(data_dir=tmp_path / "data", documents=DocumentSettings(folder=folder))
    snapshot = folder_snapshot([folder], settings, embedder)
    with closing(open_store(settings.data_dir)) as store:
        answered(store)
        corrected(Feedback(store, lambda: snapshot, embedder), "Up to five unused days.")
    held = {"datasets": [{"type": "feedback"}], "data": {"validation_share": 0.999}}
    built = build(TrainingSpec.model_validate(held), settings)
    (row,) = read_questions(built / GOLDEN_FILE)
    assert (row.question.text, row.ideal) == (QUESTION, "Up to five unused days.")
    assert row.question.asker.audience.value == "all" and row.group
    # It holds what employees asked.
    assert {path.stat().st_mode & 0o077 for path in (built, *built.iterdir())} == {0}
    learned_from = {"datasets": [{"type": "feedback"}], "data": {"validation_share": 0}}
    assert not (build(TrainingSpec.model_validate(learned_from), settings) / GOLDEN_FILE).exists()
