"""Verdicts and shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.answer import Route
from tests.fake_service import QUOTED, SENSITIVE
from trainer.evaluate import graded_answer
from trainer.grade import Graded, Graders, Verdict, grade, summarize

CARRY = Graders.of({"kind": "number", "must": [[r"\bfive\b", r"\b5\b"], ["days?"]], "must_not": ["weeks"]})
LOGO = Graders.of({"kind": "unanswerable", "must": [], "also_ok": ["ask marketing"]})


@pytest.mark.parametrize(
    ("graders", "text", "abstained", "verdict"),
    [
        (CARRY, "Up to **5** days.", False, Verdict.RIGHT),
        (CARRY, "Five weeks, not days.", False, Verdict.WRONG),
        (CARRY, "Five.", False, Verdict.WRONG),
        (CARRY, "I couldn't find it.", True, Verdict.DECLINED),
        (LOGO, "It is blue.", False, Verdict.WRONGLY_ANSWERED),
        (LOGO, "Please ask marketing.", False, Verdict.RIGHTLY_DECLINED),
        (LOGO, "I couldn't find it.", True, Verdict.RIGHTLY_DECLINED),
    ],
)
def test_verdict(graders: Graders, text: str, abstained: bool, verdict: Verdict) -> None:
    assert grade(graders, text, abstained=abstained) is verdict


def test_row_without_graders_is_not_graded() -> None:
    assert Graders.of({"id": "1", "question": "x"}) is None


def test_shares_are_of_what_they_say_and_move_with_the_threshold() -> None:
    graded = [
        Graded(Verdict.RIGHT, 0.9, 10, True),
        Graded(Verdict.WRONG, 0.4, 20, False),
        Graded(Verdict.DECLINED, 0.1, 5, False),
        Graded(Verdict.WRONGLY_ANSWERED, 0.3, 9, False),
    ]
    loose, strict = summarize(graded), summarize(graded, 0.5)
    assert (loose.right, loose.wrong, loose.declined) == (1 / 3, 1 / 3, 1 / 3)
    assert (loose.rightly_declined, loose.wrong_of_given, loose.mean_words) == (0.0, 2 / 3, 15.0)
    assert (strict.right, strict.wrong, strict.rightly_declined) == (1 / 3, 0.0, 1.0)
    assert (strict.wrong_of_given, strict.citation_hit) == (0.0, 1.0)


def test_message_sent_to_a_human_is_declined_at_no_threshold() -> None:
    assert CARRY and LOGO
    sent_away = [graded_answer(graders, replace(SENSITIVE, probability=0.0)) for graders in (CARRY, LOGO)]
    for at in (0.0, 0.05, 0.95):
        result = summarize(sent_away, at)
        assert (result.wrong, result.declined, result.rightly_declined) == (1.0, 0.0, 0.0)
    verified = graded_answer(CARRY, replace(QUOTED, text="Five days.", route=Route.VERIFIED, probability=0.7))
    assert summarize([verified], 0.95).right == 1.0
    doubtful = graded_answer(CARRY, replace(QUOTED, text="Five days.", probability=0.7))
    assert summarize([doubtful], 0.95).declined == 1.0
