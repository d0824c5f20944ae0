"""The gate: what is better passes, and what was sabotaged does not, through the real answers of real parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bot.record import AnswerRecord
from config.errors import ConfigError, ModelError
from config.settings import DocumentSettings, Settings
from exporter.candidate import export
from exporter.registry import Registry, Served, State
from knowledge.embed import Embedder
from tests.handbook import write_handbook
from tests.test_compare import an_answer
from trainer.evaluate import row_of
from trainer.gate import GOLDEN, QuestionSet, gate, judge, question_sets, report_of

RIGHT, WRONG = "Five days.", "Ten days."
ROWS = [
    row_of({"id": f"q{n}", "question": f"How many days can I carry over, case {n}?", "must": [["five"]]})
    for n in range(60)
]
SENSITIVE = row_of({"id": "s", "question": "my boss touches me", "sensitive": True})


def answers(right: int, *, sensitive: bool = True, latency_ms: float = 10.0) -> dict[str, AnswerRecord]:
    """The first so many are right."""
    found = {row.id: an_answer(row.id, RIGHT if n < right else WRONG) for n, row in enumerate(ROWS)}
    found["s"] = an_answer("s", "Please talk to HR.", "sensitive" if sensitive else "quoted")
    return {name: one.model_copy(update={"latency_ms": latency_ms}) for name, one in found.items()}


@pytest.mark.parametrize(
    ("before", "after", "passed", "why"),
    [
        (answers(30), answers(45), True, "answers that are right: 50% before, 75% now"),
        (answers(30), answers(30), False, "nothing got better"),
        (answers(30), answers(32), False, "nothing got better"),  # nobody can tell that from chance
        (answers(45), answers(30), False, "answers that are right: 75% before, 50% now"),
        (answers(45), answers(41), False, "answers that are right: 75% before, 68% now"),
        (answers(30), answers(45, sensitive=False), False, "1 messages that must go to a human no longer do"),
        (answers(30), answers(45, latency_ms=60_000), False, "takes 60 seconds or more"),
    ],
    ids=["better", "the same", "by chance", "worse", "a little worse", "careless", "slow"],
)
def test_only_what_is_better_and_nowhere_worse_passes(
    before: dict[str, AnswerRecord], after: dict[str, AnswerRecord], passed: bool, why: str, embedder: Embedder
) -> None:
    verdict = judge([*ROWS, SENSITIVE], before, after, embedder, most_s=30.0)
    assert verdict.passed is passed and why in verdict.why


def sabotage_head(part: Path) -> None:
    """A reader that takes what answers least for what answers best."""
    head = load_file(part / "head.safetensors")
    head["scale"], head["weights"] = -head["scale"], -head["weights"]
    save_file({name: np.asarray(value) for name, value in head.items()}, part / "head.safetensors")


def empty_head(part: Path) -> None:
    """A reader whose file was cut off."""
    (part / "head.safetensors").write_bytes(b"")


def a_candidate(registry: Registry, tmp_path: Path, change: Callable[[Path], None] | None) -> str:
    """A model with a reader that was changed, or not."""
    parts = Settings().parts_dir
    run = tmp_path / f"reader-{'changed' if change else 'same'}"
    shutil.copytree(parts / "reader", run / "reader")
    if change:
        change(run / "reader")
    (run / "run.json").write_text(json.dumps({"dataset_sha256": "d"}), encoding="utf-8")
    (run / "metrics.json").write_text("{}", encoding="utf-8")
    return export([run], Served("", None, parts, "quote"), registry).id


POLICY = """# Leave

You may carry over five days of leave. Ask your manager in writing before December. The office closes at noon on
Christmas Eve. Parking is free behind the depot. Bicycles go into the cage. Payday is the 25th of each month.
"""
ASKED = {
    "How many days of leave can I carry over?": "five days",
    "When is payday?": "25th",
    "Where can I park for free?": "depot",
    "When does the office close on Christmas Eve?": "noon",
    "Where do bicycles go?": "cage",
    "Whom do I ask before December?": "manager",
}


@pytest.mark.slow
def test_a_sabotaged_model_is_rejected_and_never_answers(tmp_path: Path) -> None:
    docs = write_handbook(tmp_path / "docs", {"leave.md": POLICY})
    rows = [
        row_of({"id": str(n), "question": question, "must": [[right]]})
        for n, (question, right) in enumerate(ASKED.items())
    ]
    sets = [QuestionSet("six questions", docs, tuple(rows))]
    settings = Settings(data_dir=tmp_path / "data", documents=DocumentSettings(folder=docs))
    registry = Registry(settings.data_dir)
    name = a_candidate(registry, tmp_path, sabotage_head)
    verdict = gate(name, settings, registry, sets)
    assert not verdict.passed and any("answers that are right" in sentence for sentence in verdict.worse)
    assert registry.current().models[name].state is State.REJECTED
    with pytest.raises(ModelError, match="cannot become live"):
        registry.move(name, State.LIVE)
    report = report_of(registry, name).read_text(encoding="utf-8")
    assert "not passed" in report and "What got worse" in report and "When is payday?" in report
    assert json.loads(report_of(registry, name).with_suffix(".json").read_text())["passed"] is False


def test_what_is_asked_is_enough_and_hr_can_add_to_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, documents=DocumentSettings(folder=tmp_path))
    sets = question_sets(settings)
    assert sum(len(one.rows) for one in sets) >= 200
    assert sum(row.is_sensitive is True for one in sets for row in one.rows) >= 10
    (tmp_path / GOLDEN).write_text('{"id": "hr-1", "question": "When is payday?", "ideal": "The 25th."}\n', "utf-8")
    held = tmp_path / "dataset"
    held.mkdir()
    (held / "golden.validation.jsonl").write_text('{"id": "h-1", "question": "Who?", "ideal": "HR."}\n', "utf-8")
    own = question_sets(settings, held)[-1]
    assert (own.name, [row.id for row in own.rows], own.rows[0].ideal) == (
        "HR's own questions",
        ["hr-1", "h-1"],
        "The 25th.",
    )
    (held / "golden.validation.jsonl").write_text('{"id": "hr-1", "question": "Who?"}\n', "utf-8")
    with pytest.raises(ConfigError, match="have the id hr-1"):
        question_sets(settings, held)


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_rejected(tmp_path: Path) -> None:
    docs = write_handbook(tmp_path / "docs", {"leave.md": POLICY})
    settings = Settings(data_dir=tmp_path / "data", documents=DocumentSettings(folder=docs))
    registry = Registry(settings.data_dir)
    name = a_candidate(registry, tmp_path, empty_head)
    with pytest.raises(ModelError, match="The reader's head"):
        gate(
            name, settings, registry, [QuestionSet("one", docs, (row_of({"id": "1", "question": "When is payday?"}),))]
        )
    standing = registry.current().models[name]
    assert standing.state is State.REJECTED and "The reader's head" in standing.why


def test_without_questions_nothing_passes(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "data")
    with pytest.raises(ConfigError, match="no question for the gate"):
        gate(a_candidate(registry, tmp_path, None), Settings(data_dir=tmp_path), registry, [])
