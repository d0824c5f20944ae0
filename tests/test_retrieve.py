"""Retrieval: the right passage, and never one that the asker may not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from config.settings import Audience, RetrievalSettings
from knowledge.chunk import Chunk
from knowledge.embed import Embedder
from knowledge.index import Snapshot, make_snapshot
from knowledge.load import PolicyMetadata
from knowledge.retrieve import Asker, Passage, retrieve

TODAY = date(2026, 6, 1)


def chunk(text: str, file: str = "a.md", **metadata: object) -> Chunk:
    known = replace(PolicyMetadata(title="Policy"), **metadata)  # type: ignore[arg-type]
    return Chunk(f"{file}-{abs(hash(text))}", file, 0, ("Policy",), text, None, known)


def found(question: str, chunks: list[Chunk], embedder: Embedder, asker: Asker | None = None) -> list[Passage]:
    vectors = embedder.embed([c.embedded_text for c in chunks])
    vector = embedder.embed([question])[0]
    snapshot = make_snapshot(chunks, vectors)
    return retrieve(snapshot, question, vector, asker or Asker(), RetrievalSettings(pool=5, top_k=5), TODAY)


SECRET = chunk("Managers may pay a secret bonus of 500 pounds.", "m.md", audience=Audience.MANAGERS)
HR = chunk("The bonus file is kept by HR.", "h.md", audience=Audience.HR)
OPEN = chunk("Lunch is served at noon in the canteen.", "o.md")
GB = chunk("In the UK the bonus is paid in March.", "gb.md", countries=("GB",))
DE = chunk("In Germany the bonus is paid in May.", "de.md", countries=("DE",))


@pytest.mark.parametrize(
    ("audience", "files"),
    [
        (Audience.ALL, {"o.md", "gb.md", "de.md"}),
        (Audience.MANAGERS, {"o.md", "gb.md", "de.md", "m.md"}),
        (Audience.HR, {"o.md", "gb.md", "de.md", "m.md", "h.md"}),
    ],
)
def test_only_readable_passages_are_found(embedder: Embedder, audience: Audience, files: set[str]) -> None:
    passages = found("how big is the secret bonus", [SECRET, HR, OPEN, GB, DE], embedder, Asker(audience))
    assert {passage.chunk.file for passage in passages} == files


@pytest.mark.parametrize(("country", "files"), [("GB", {"o.md", "gb.md"}), (None, {"o.md", "gb.md", "de.md"})])
def test_other_countries_are_left_out(embedder: Embedder, country: str | None, files: set[str]) -> None:
    passages = found("when is the bonus paid", [OPEN, GB, DE], embedder, Asker(country=country))
    assert {passage.chunk.file for passage in passages} == files


def test_unreadable_passages_take_no_place_from_readable_ones(embedder: Embedder) -> None:
    secrets = [chunk(f"Secret bonus rule {n}.", f"s{n}.md", audience=Audience.HR) for n in range(50)]
    passages = found("secret bonus rule", [*secrets, OPEN], embedder)
    assert [passage.chunk.file for passage in passages] == ["o.md"]


def test_rare_word_brings_its_passage_up(embedder: Embedder) -> None:
    texts = ["Expenses are claimed in the Zephyrion tool.", *(f"Expenses are claimed in tool {n}." for n in range(8))]
    passages = found("zephyrion", [chunk(text, f"{n}.md") for n, text in enumerate(texts)], embedder)
    assert passages[0].chunk.file == "0.md"
    assert passages[0].lexical == 1.0


def test_policy_past_its_review_date_comes_after_its_successor_and_is_marked(embedder: Embedder) -> None:
    old = chunk("You can work from home three days a week.", "old.md", review_by=date(2023, 1, 1))
    new = chunk("You can work from home two days a week.", "new.md", review_by=date(2027, 1, 1))
    passages = found("how many days a week from home", [old, new], embedder)
    assert [(p.chunk.file, p.is_expired) for p in passages] == [("new.md", False), ("old.md", True)]


def test_empty_index_finds_nothing() -> None:
    empty: Snapshot = make_snapshot([], np.zeros((0, 0), dtype=np.float32))
    assert retrieve(empty, "anything", np.zeros(384, np.float32), Asker(), RetrievalSettings(), TODAY) == []


def test_as_many_as_are_read_are_found_however_small_the_pool_is(embedder: Embedder) -> None:
    chunks = [chunk(f"Room {n} is open.", f"{n}.md") for n in range(6)]
    snapshot = make_snapshot(chunks, embedder.embed([c.embedded_text for c in chunks]))
    vector = embedder.embed(["which room is open"])[0]
    settings = RetrievalSettings(pool=2, top_k=4)
    assert len(retrieve(snapshot, "which room is open", vector, Asker(), settings, TODAY)) == 4


def test_question_without_any_known_word_is_answered_by_meaning(embedder: Embedder) -> None:
    passages = found("??? ¿", [OPEN], embedder)
    assert [passage.lexical for passage in passages] == [0.0]
