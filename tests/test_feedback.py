"""Corrections, suggestions and unlinking, on real ledgers, with the real embedder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from bot.answer import Answer, Asker, Citation, Question, Route, Timings
from bot.feedback import Correction, Decision, Feedback, Status, Step, Writing
from bot.store import Store, Vote, open_store
from config.errors import UnknownCorrection, UnknownInteraction, Unverifiable
from config.settings import Audience, LedgerSettings
from knowledge.embed import Embedder
from knowledge.index import Index
from knowledge.verified import Doubt, compare, doubt
from tests.handbook import FILES, index_of, ingested, write_handbook

HR, ANA, BEN = "slack:UHR", "slack:UANA", "slack:UBEN"
ASKED = "How many days of leave do I get?"
SAID = "28 days from the fifth year on, 25 before."
TABLE = Citation("leave.md", "Annual leave", "Annual leave › Days by service", "", "5 or more | 28", 0.9)
REPLY = "slack:C1:1700.1"


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[tuple[Path, Index]]:
    folder = tmp_path_factory.mktemp("feedback")
    index = index_of(folder / "data", embedder)
    ingested(write_handbook(folder / "handbook"), index)
    yield folder / "handbook", index
    index.close()


@pytest.fixture
def store(tmp_path: Path, ledger: LedgerSettings) -> Iterator[Store]:
    opened = open_store(tmp_path, ledger)
    yield opened
    opened.close()


@pytest.fixture
def feedback(store: Store, handbook: tuple[Path, Index], embedder: Embedder) -> Feedback:
    record(store)
    return Feedback(store, lambda: handbook[1].snapshot, embedder)


def record(
    store: Store,
    answer_id: str = "a1",
    *,
    question: str = ASKED,
    asked: str = "",
    asker: Asker | None = None,
    citations: tuple[Citation, ...] = (TABLE,),
    route: Route = Route.QUOTED,
    verified_by: str = "",
) -> None:
    answer = Answer(
        id=answer_id,
        text="25 days.",
        citations=citations,
        abstained=route is Route.UNKNOWN,
        route=route,
        probability=0.6,
        model="fake-1",
        prompt_version="1",
        timings=Timings(1.0, 2.0),
        asked=asked or question,
        verified_by=verified_by,
    )
    store.record(Question(question, asker or Asker(), "slack"), answer, ANA)


def at(minute: int) -> datetime:
    return datetime(2026, 5, 1, 12, minute, tzinfo=UTC)


def by_hr(text: str = SAID, minute: int = 0, name: str = REPLY, answer_id: str = "a1") -> Writing:
    return Writing(name, answer_id, text, HR, is_hr=True, happened_at=at(minute))


def by_ben(text: str = SAID, minute: int = 0) -> Writing:
    return Writing(REPLY, "a1", text, BEN, is_hr=False, happened_at=at(minute))


def decision(step: Step, minute: int, person: str = HR, *, is_hr: bool = True) -> Decision:
    return Decision(REPLY, step, person, is_hr, at(minute))


def given(feedback: Feedback, embedder: Embedder, question: str = ASKED, asker: Asker | None = None) -> str:
    """What somebody who asks in these very words is given; empty for nothing."""
    found = compare(question, embedder.embed([question])[0], feedback.verified(), asker or Asker(), None)
    return found[0].answer.text if found else ""


def test_what_hr_writes_is_given_at_once(feedback: Feedback, embedder: Embedder) -> None:
    assert given(feedback, embedder) == ""
    written = feedback.correct(by_hr())
    assert (written.status, written.question, written.text) == (Status.LIVE, ASKED, SAID)
    assert given(feedback, embedder, "how many days of leave do i get") == SAID


def test_editing_replaces_and_withdrawing_takes_back(feedback: Feedback, embedder: Embedder) -> None:
    feedback.correct(by_hr())
    feedback.correct(by_hr("30 days.", 1))
    assert given(feedback, embedder) == "30 days."
    withdrawn = feedback.decide(decision(Step.WITHDRAW, 2))
    assert withdrawn and withdrawn.status is Status.WITHDRAWN
    assert given(feedback, embedder) == ""


def test_what_others_write_waits_for_hr(feedback: Feedback, embedder: Embedder) -> None:
    assert feedback.correct(by_ben()).status is Status.SUGGESTED
    assert given(feedback, embedder) == ""
    assert [one.text for one in feedback.corrections(Status.SUGGESTED)] == [SAID]
    feedback.decide(decision(Step.APPROVE, 1))
    assert given(feedback, embedder) == SAID


def test_what_was_approved_waits_again_when_its_author_changes_it(feedback: Feedback, embedder: Embedder) -> None:
    feedback.correct(by_ben())
    feedback.decide(decision(Step.APPROVE, 1))
    assert feedback.correct(by_ben("As many as you like.", 2)).status is Status.SUGGESTED
    assert given(feedback, embedder) == ""


def test_a_rejected_suggestion_stays_rejected_until_it_changes(feedback: Feedback) -> None:
    feedback.correct(by_ben())
    feedback.decide(decision(Step.REJECT, 1))
    assert feedback.correct(by_ben(minute=2)).status is Status.REJECTED
    assert feedback.correct(by_ben("27 days.", 3)).status is Status.SUGGESTED


def test_what_was_rejected_or_withdrawn_is_not_revived_by_an_approval_that_is_taken_back(feedback: Feedback) -> None:
    feedback.correct(by_ben())
    for minute, (step, person) in enumerate(
        [(Step.APPROVE, HR), (Step.REJECT, "slack:UHR2"), (Step.APPROVE, "slack:UHR3"), (Step.UNAPPROVE, "slack:UHR3")]
    ):
        feedback.decide(decision(step, minute + 1, person))
    assert [one.status for one in feedback.corrections()] == [Status.WITHDRAWN]


def test_only_hr_decides_and_authors_withdraw(feedback: Feedback) -> None:
    feedback.correct(by_ben())
    with pytest.raises(UnknownCorrection, match="Only people of HR"):
        feedback.decide(decision(Step.APPROVE, 1, BEN, is_hr=False))
    with pytest.raises(UnknownCorrection, match="Only people of HR"):
        feedback.decide(decision(Step.WITHDRAW, 1, ANA, is_hr=False))
    withdrawn = feedback.decide(decision(Step.WITHDRAW, 2, BEN, is_hr=False))
    assert withdrawn and withdrawn.status is Status.WITHDRAWN


def test_in_whatever_order_steps_arrive_the_outcome_is_the_same(feedback: Feedback) -> None:
    steps: list[Writing | Decision] = [
        by_ben(),
        decision(Step.APPROVE, 1),
        by_ben("27 days.", 2),
        decision(Step.APPROVE, 3),
        decision(Step.WITHDRAW, 4),
        by_hr("29 days.", 5),
    ]
    outcomes = set()
    for seed in range(30):
        name = f"slack:C2:{seed}"
        for step in random.Random(seed).sample(steps, len(steps)):
            if isinstance(step, Writing):
                feedback.correct(replace(step, id=name))
            else:
                feedback.decide(replace(step, id=name, interaction_id="a1"))
        outcome = feedback.correction(name)
        outcomes.add((outcome.status, outcome.text))
    assert outcomes == {(Status.LIVE, "29 days.")}


def test_a_message_that_was_deleted_before_it_arrived_is_no_correction(feedback: Feedback, embedder: Embedder) -> None:
    assert feedback.decide(replace(decision(Step.WITHDRAW, 1, BEN, is_hr=False), interaction_id="a1")) is None
    assert feedback.correct(by_hr()).status is Status.WITHDRAWN
    assert given(feedback, embedder) == ""


def test_of_two_corrections_of_one_answer_the_last_is_given(feedback: Feedback, embedder: Embedder) -> None:
    feedback.correct(by_hr("30 days.", 3, name="slack:C1:1700.9"))
    feedback.correct(by_hr("29 days.", 1))
    assert given(feedback, embedder) == "30 days."


def test_the_latest_of_two_answers_to_the_same_question_is_given(
    store: Store, feedback: Feedback, embedder: Embedder
) -> None:
    record(store, "a2")
    feedback.correct(by_hr("30 days.", 3))
    feedback.correct(by_hr("29 days.", 1, name="slack:C1:1800.1", answer_id="a2"))
    assert given(feedback, embedder) == "30 days."


def test_a_follow_up_is_corrected_with_what_it_referred_to(
    store: Store, feedback: Feedback, embedder: Embedder
) -> None:
    record(store, "a2", question="and part-time?", asked="and part-time? (annual leave)")
    feedback.correct(by_hr("Pro rata.", name="slack:C1:1800.1", answer_id="a2"))
    assert given(feedback, embedder, "and part-time?") == ""
    assert given(feedback, embedder, "And part-time? (annual leave)") == "Pro rata."


def test_what_came_from_a_managers_policy_is_for_managers(store: Store, feedback: Feedback, embedder: Embedder) -> None:
    cited = Citation("managers/redundancy.md", "Handling redundancy", "Handling redundancy", "", "", 0.9)
    record(store, "a2", question="Whom do I tell first?", citations=(cited,), asker=Asker(Audience.MANAGERS))
    feedback.correct(by_hr("HR, always.", name="slack:C1:1800.1", answer_id="a2"))
    assert given(feedback, embedder, "Whom do I tell first?") == ""
    assert given(feedback, embedder, "Whom do I tell first?", Asker(Audience.MANAGERS)) == "HR, always."


def test_what_was_declined_to_a_manager_is_answered_to_managers(
    store: Store, feedback: Feedback, embedder: Embedder
) -> None:
    record(store, "a2", question="Who is next?", route=Route.UNKNOWN, asker=Asker(Audience.MANAGERS))
    assert feedback.correct(by_hr(name="slack:C1:1800.1", answer_id="a2")).audience is Audience.MANAGERS
    assert given(feedback, embedder, "Who is next?") == ""


def test_what_came_from_a_country_s_policy_is_for_that_country(
    store: Store, feedback: Feedback, embedder: Embedder
) -> None:
    cited = Citation("gb/sickness.md", "Sickness (UK)", "Sickness (UK)", "", "", 0.9)
    record(store, "a2", question="When do I call in sick?", citations=(cited,), asker=Asker(country="GB"))
    feedback.correct(by_hr("By 9 am.", name="slack:C1:1800.1", answer_id="a2"))
    assert given(feedback, embedder, "When do I call in sick?", Asker(country="DE")) == ""
    assert given(feedback, embedder, "When do I call in sick?", Asker(country="GB")) == "By 9 am."


def test_an_answer_is_doubted_when_its_section_changes(
    feedback: Feedback, handbook: tuple[Path, Index], embedder: Embedder
) -> None:
    folder, index = handbook
    feedback.correct(by_hr())
    (answer,) = feedback.verified().answers
    assert [source.heading for source in answer.sources] == ["Annual leave › Days by service"]
    today = date(2026, 5, 2)
    assert doubt(answer, index.snapshot, today) is None
    other = FILES["leave.md"].replace("up to five unused", "up to six unused")
    ingested(write_handbook(folder, {"leave.md": other}), index)
    assert doubt(answer, index.snapshot, today) is None
    ingested(write_handbook(folder, {"leave.md": other.replace("| 28 |", "| 30 |")}), index)
    assert doubt(answer, index.snapshot, today) is Doubt.CHANGED
    ingested(write_handbook(folder, {"leave.md": FILES["leave.md"]}), index)
    assert doubt(answer, index.snapshot, today) is None


def test_an_answer_is_doubted_from_its_review_date_on(feedback: Feedback, handbook: tuple[Path, Index]) -> None:
    feedback.correct(replace(by_hr(), review_on=date(2027, 1, 1)))
    (answer,) = feedback.verified().answers
    assert doubt(answer, handbook[1].snapshot, date(2026, 12, 31)) is None
    assert doubt(answer, handbook[1].snapshot, date(2027, 1, 1)) is Doubt.DUE


def test_an_unlinked_match_is_never_made_again(store: Store, feedback: Feedback, embedder: Embedder) -> None:
    written = feedback.correct(by_hr())
    record(store, "a2", question="how many days of leave do i get??", route=Route.VERIFIED, verified_by=written.id)
    feedback.unlink("a2", HR)
    assert given(feedback, embedder) == ""
    with pytest.raises(UnknownInteraction, match="nothing to unlink"):
        feedback.unlink("a1", HR)


def test_another_process_on_the_same_ledger_sees_it_with_the_next_question(
    tmp_path: Path, ledger: LedgerSettings, feedback: Feedback, handbook: tuple[Path, Index], embedder: Embedder
) -> None:
    other = open_store(tmp_path, ledger)
    there = Feedback(other, lambda: handbook[1].snapshot, embedder)
    assert given(there, embedder) == ""
    feedback.correct(by_hr())
    assert given(there, embedder) == SAID
    other.close()


def test_what_a_vote_says_is_right_is_a_suggestion(feedback: Feedback) -> None:
    feedback.vote(Vote("a1", BEN, 1, ideal_response=SAID))
    (suggested,) = feedback.corrections(Status.SUGGESTED)
    assert suggested.text == SAID
    feedback.vote(Vote("a1", BEN, 0))
    assert feedback.correction(suggested.id).status is Status.WITHDRAWN


def test_a_vote_on_a_sensitive_answer_suggests_nothing(store: Store, feedback: Feedback) -> None:
    record(store, "a2", route=Route.SENSITIVE)
    feedback.vote(Vote("a2", BEN, 1, ideal_response=SAID))
    assert feedback.corrections() == []
    assert [vote.rating for vote in store.current_votes("a2")] == [1]


def test_what_can_be_no_answer_is_refused(store: Store, feedback: Feedback) -> None:
    record(store, "a2", route=Route.SENSITIVE)
    with pytest.raises(Unverifiable, match="this has 0"):
        feedback.correct(by_hr("  "))
    with pytest.raises(Unverifiable, match="this has 4,001"):
        feedback.correct(by_hr("x" * 4_001))
    with pytest.raises(Unverifiable, match="sensitive"):
        feedback.correct(by_hr(answer_id="a2"))
    with pytest.raises(UnknownInteraction):
        feedback.correct(by_hr(answer_id="nowhere"))
    with pytest.raises(UnknownCorrection):
        feedback.decide(decision(Step.APPROVE, 1))
    assert feedback.corrections() == []


def test_an_unfinished_question_about_a_correction_is_told_by_its_id(feedback: Feedback) -> None:
    written: Correction = feedback.correct(by_hr())
    assert feedback.correction(written.id) == feedback.correction(REPLY) == written
