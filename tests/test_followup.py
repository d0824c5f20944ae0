"""What a question in a thread is taken to mean."""

from __future__ import annotations

from bot.answer import Turn
from bot.followup import Search, follow_up
from knowledge.embed import Embedder

THREAD = (Turn("user", "how much parental leave do i get?"), Turn("bot", "Twelve weeks."))


def test_follow_up_is_searched_with_its_subject() -> None:
    assert follow_up("and my partner?", THREAD).text == "how much parental leave do i get and my partner?"


def test_first_question_stands_alone() -> None:
    assert follow_up("and then?", ()) == Search("and then?")


def test_subject_is_the_last_one_that_was_named() -> None:
    thread = (*THREAD, Turn("user", "who approves travel expenses"), Turn("bot", "Your manager."), Turn("user", "why?"))
    assert follow_up("and hotels?", thread).subject == "who approves travel expenses"


def test_question_keeps_its_own_direction_when_the_subject_changes(embedder: Embedder) -> None:
    leave, parking = embedder.embed(["Parents get twelve weeks of leave.", "Parking is free for bicycles."])
    vector = follow_up("where can i park my bicycle", THREAD).vector(embedder)
    assert abs(float(vector @ vector) - 1) < 1e-5
    assert vector @ parking > vector @ leave


def test_follow_up_leans_towards_its_subject(embedder: Embedder) -> None:
    (leave,) = embedder.embed(["Parents get twelve weeks of leave."])
    alone, in_thread = Search("how many weeks"), follow_up("how many weeks", THREAD)
    assert in_thread.vector(embedder) @ leave > alone.vector(embedder) @ leave
