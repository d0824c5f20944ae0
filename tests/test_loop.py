"""The demonstration's company: as many questions as it says, and none of those kept for later asked before."""

from __future__ import annotations

from pathlib import Path

from trainer.loop import CORRECTIONS, QUESTIONS, SAMPLES, company, spec_of


def test_the_company_asks_120_questions_and_keeps_wordings_for_later() -> None:
    asked, later, right = company()
    assert len(asked) == QUESTIONS and len(later) == 60 >= CORRECTIONS
    said = {row.question.text for row in asked}
    kept = [row for rows in later.values() for row in rows]
    # Two countries have the same question and other answers.
    assert all(rows for rows in later.values()) and all(row.graders for row in [*asked, *kept])
    for name, rows in later.items():
        assert name in right and {row.group for row in rows} == {name}
    assert len({row.id for row in (*asked, *kept)}) == len(asked) + len(kept)
    assert sum(row.question.text not in said for row in kept) >= 70


def test_it_trains_what_ships_in_fewer_steps() -> None:
    spec = spec_of(Path("config/qlora.json"))
    assert spec.training.num_train_epochs == 3 and spec.datasets[0].type == "feedback"
    assert (SAMPLES / "handbook").is_dir()
