"""A canary is judged by people's votes: soon where it is plain, never by chance, one person as one."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.answer import Question
from bot.canary import Decision, decide, judge, satisfaction
from bot.store import Vote, open_store
from exporter.registry import Registry, State
from tests.fake_service import QUOTED
from tests.test_registry import add

SHIPPED = "SmolLM2"


def people(count: int, satisfied: float, rng: random.Random) -> list[float]:
    return [float(rng.random() < satisfied) for _ in range(count)]


@pytest.mark.parametrize(
    ("live", "canary", "decision"),
    [
        ([1.0] * 5, [0.0] * 5, Decision.WAIT),  # too few to say anything
        ([1.0] * 40, [0.0] * 40, Decision.REJECT),
        ([0.0] * 40, [1.0] * 40, Decision.PROMOTE),
        ([1.0, 0.0] * 10, [1.0, 0.0] * 10, Decision.WAIT),
        ([1.0] * 150 + [0.0] * 50, [1.0] * 190 + [0.0] * 10, Decision.PROMOTE),
    ],
)
def test_what_is_plain_is_decided(live: list[float], canary: list[float], decision: Decision) -> None:
    assert judge(live, canary).decision is decision


def test_looking_often_does_not_make_chance_a_reason() -> None:
    """Two equal models, looked at after every person: one of twenty may be told apart wrongly, at most."""
    rejected = 0
    for seed in range(200):
        rng = random.Random(seed)
        live, canary = people(200, 0.7, rng), people(200, 0.7, rng)
        rejected += any(judge(live[:n], canary[:n]).decision is Decision.REJECT for n in range(8, 201))
    assert rejected <= 10


def test_a_model_that_is_worse_goes_within_some_hundred_votes() -> None:
    gone = 0
    for seed in range(50):
        rng = random.Random(seed)
        live, canary = people(200, 0.75, rng), people(200, 0.45, rng)
        gone += any(judge(live[:n], canary[:n]).decision is Decision.REJECT for n in range(8, 201))
    assert gone >= 40


def test_votes_of_the_ledger_promote_and_reject(tmp_path: Path) -> None:
    store, registry = open_store(tmp_path), Registry(tmp_path)
    add(registry, "good")
    assert decide(store, registry, SHIPPED) is None
    registry.move("good", State.CANARY, share=0.5)

    def voted(model: str, count: int, rating: int) -> None:
        for n in range(count):
            answer = replace(QUOTED, id=f"{model}-{rating}-{n}", model=model)
            person = f"{model}-{rating}-person-{n}"
            store.record(Question("How many days?", channel="web"), answer, person)
            for _ in range(2):  # one person counts once
                store.vote(Vote(answer.id, person, rating, happened_at=datetime.now(UTC)))

    voted(SHIPPED, 40, 2)
    voted("good", 40, 5)
    assert len(satisfaction(store, datetime.now(UTC) - timedelta(days=1))["good"]) == 40
    assert not satisfaction(store, datetime.now(UTC) + timedelta(days=1))
    judged = decide(store, registry, SHIPPED)
    assert judged and judged.decision is Decision.PROMOTE and registry.current().live == "good"
    assert "of 80 people who voted, 100%" in registry.current().models["good"].why

    add(registry, "bad")
    registry.move("bad", State.CANARY, share=0.5)
    voted("bad", 40, 1)
    for n in range(40):
        answer = replace(QUOTED, id=f"again-{n}", model="good")
        store.record(Question("How many days?", channel="web"), answer, f"p{n}")
        store.vote(Vote(answer.id, f"p{n}", 5))
    judged = decide(store, registry, SHIPPED)
    assert judged and judged.decision is Decision.REJECT
    assert registry.current().live == "good" and registry.current().models["bad"].state is State.REJECTED
    store.close()
