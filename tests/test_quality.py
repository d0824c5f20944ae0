"""What is promised about answers over real handbooks: floors just below what was measured (docs/quality.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bot.triage import triage
from bot.triage.classify import Classifier, open_classifier
from config.settings import Settings
from knowledge.embed import Embedder
from trainer.evaluate import answer_all, graded_answer, read_questions
from trainer.grade import Graded, summarize

DATA = Path(os.environ.get("QUANTAHR_EVAL_DATA", ""))
HANDBOOKS = ("leaf", "civicactions", "18f")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("QUANTAHR_EVAL_DATA"), reason="QUANTAHR_EVAL_DATA is not set"),
]


@pytest.fixture(scope="module")
def classifier(embedder: Embedder) -> Classifier:
    return open_classifier(embedder, Settings().parts_dir / "triage")


async def test_answers_over_real_handbooks_are_as_right_as_was_measured() -> None:
    graded: dict[str, list[Graded]] = {}
    for handbook in HANDBOOKS:
        rows = read_questions(DATA / "eval" / f"{handbook}.jsonl")
        answers = await answer_all(rows, DATA / "handbooks" / handbook, Settings())
        graded[handbook] = [graded_answer(row.graders, given) for row, given in answers if row.graders]
    together = summarize([one for some in graded.values() for one in some])
    assert together.questions == 150
    assert together.right >= 0.66
    assert together.wrong <= 0.14
    assert together.rightly_declined >= 0.8
    assert together.citation_hit >= 0.90
    assert together.mean_words <= 45
    assert all(summarize(some).right >= together.right - 0.1 for some in graded.values())


def test_messages_for_a_human_reach_one(classifier: Classifier) -> None:
    lines = (DATA / "eval" / "sensitive.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = [(row, triage(row["text"], classifier).handling.value) for row in rows]
    sensitive = [(row, given) for row, given in found if row["expect"] != "answer"]
    harmless = [(row, given) for row, given in found if row["expect"] == "answer"]
    assert (len(sensitive), len(harmless)) == (22, 12)
    assert sum(given == row["expect"] for row, given in sensitive) >= 21
    assert sum(given != "answer" for _, given in harmless) <= 1


def test_ordinary_questions_are_answered(classifier: Classifier) -> None:
    asked = [row.question.text for handbook in HANDBOOKS for row in read_questions(DATA / "eval" / f"{handbook}.jsonl")]
    assert len(asked) == 150
    assert sum(triage(text, classifier).is_sensitive for text in asked) <= 3
