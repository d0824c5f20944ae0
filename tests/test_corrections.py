"""Measuring corrections: what counts as recognised, mistaken, right and given to a near miss."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from bot.answer import Answer, Citation, Route, Timings
from config.errors import ConfigError
from knowledge.verified import FOLDER, VerifiedAnswer
from trainer.corrections import CorrectionRow, Outcome, outcome, read_corrections, read_pairs, shares
from trainer.grade import Graders

OWN, OTHER = (VerifiedAnswer(f"how many {thing} do i get", "Twenty.", date(2026, 1, 1)) for thing in ("days", "keys"))
ROW = CorrectionRow(
    id="a",
    handbook="h",
    stored=OWN,
    paraphrases=("days off?",),
    near=("keys?",),
    graders=Graders(is_answerable=True, must=(("(?i)twenty",),)),
    is_new=True,
)


def given(route: Route, text: str, *stored: VerifiedAnswer) -> Answer:
    citations = tuple(Citation(f"{FOLDER}/{one.id}", "Verified by HR", "", one.text, one.text, 1.0) for one in stored)
    return Answer("1", text, citations, route is Route.UNKNOWN, route, 0.9, "m", "1", Timings(1.0, 1.0))


def asked(question: str, answer: Answer) -> Outcome:
    return outcome(ROW, question, answer)


def test_rewording_is_recognised_mistaken_or_answered_in_another_way() -> None:
    outcomes = [
        asked("days off?", given(Route.VERIFIED, "Twenty.", OWN)),
        asked("days off?", given(Route.VERIFIED, "Two.", OTHER)),
        asked("days off?", given(Route.QUOTED, "Twenty.", OWN)),
        asked("days off?", given(Route.UNKNOWN, "I could not find it.", OWN)),
    ]
    found = shares(outcomes)
    assert (found.recognised, found.mistaken) == (0.25, 0.25)
    assert (found.right, found.wrong, found.declined) == (0.5, 0.25, 0.25)
    assert [one.is_own for one in outcomes] == [True, False, True, False]


def test_near_miss_counts_when_a_stored_answer_is_given_or_quoted() -> None:
    outcomes = [
        asked("keys?", given(Route.VERIFIED, "Twenty.", OWN)),
        asked("keys?", given(Route.QUOTED, "Twenty.", OWN)),
        asked("keys?", given(Route.QUOTED, "Two keys.")),
        asked("keys?", given(Route.UNKNOWN, "I could not find it.")),
    ]
    found = shares(outcomes)
    assert (found.near_misses, found.near_recognised, found.near_answered) == (4, 0.25, 0.5)
    assert found.rewordings == 0


@pytest.mark.parametrize("line", ["{", json.dumps({"id": "a", "must": [["("]]}), json.dumps({"id": "a"})])
def test_line_that_is_no_correction_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "corrections.jsonl"
    file.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Line 2 of .*corrections\.jsonl"):
        read_corrections(file)


def test_missing_file_and_broken_pair_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.jsonl cannot be read"):
        read_pairs(tmp_path / "absent.jsonl")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"question": "q"}), encoding="utf-8")
    with pytest.raises(ConfigError, match='has no "correction"'):
        read_pairs(tmp_path / "pairs.jsonl")
