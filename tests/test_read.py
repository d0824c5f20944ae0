"""Reading: the piece that answers, how likely it does, and what it is fitted on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from config.errors import ModelError
from config.settings import ReadingSettings, RetrievalSettings, Settings
from knowledge.chunk import Chunk
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.load import PolicyMetadata
from knowledge.read import Evidence, PieceKind, Reader, Reading, _completed, open_reader, read
from knowledge.retrieve import Asker, Passage, retrieve
from tests.handbook import index_of, ingested, write_handbook


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Snapshot:
    index = index_of(tmp_path_factory.mktemp("data"), embedder)
    ingested(write_handbook(tmp_path_factory.mktemp("handbook")), index)
    taken = index.snapshot
    index.close()
    return taken


@pytest.fixture(scope="module")
def reader(embedder: Embedder) -> Reader:
    return open_reader(embedder, Settings().parts_dir / "reader")


def reading(
    question: str, snapshot: Snapshot, reader: Reader, embedder: Embedder, settings: ReadingSettings | None = None
) -> Reading:
    vector = embedder.embed([question])[0]
    passages = retrieve(snapshot, question, vector, Asker(), RetrievalSettings(), date(2026, 1, 1))
    return read(question, vector, passages, snapshot.lexical, reader, settings or ReadingSettings(max_evidence=1))


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("how many unused days can i carry over to next year", "up to five unused days"),
        ("days of leave after 6 years of service", "5 or more | 28"),
        ("is the office closed on new years day", "New Year's Day"),
    ],
)
def test_sentence_item_or_row_that_answers_is_chosen(
    question: str, says: str, snapshot: Snapshot, reader: Reader, embedder: Embedder
) -> None:
    found = reading(question, snapshot, reader, embedder)
    assert says in found.evidence[0].text
    assert found.evidence[0].text in found.evidence[0].passage.chunk.text.replace("| ", "", 1)


def test_probability_is_higher_where_the_handbook_answers(
    snapshot: Snapshot, reader: Reader, embedder: Embedder
) -> None:
    known = reading("how many unused days can i carry over", snapshot, reader, embedder).probability
    unknown = reading("what colour is the company logo", snapshot, reader, embedder).probability
    assert 0 <= unknown < 0.3 < known <= 1


def test_as_many_pieces_are_given_as_the_settings_allow(snapshot: Snapshot, reader: Reader, embedder: Embedder) -> None:
    for most in (1, 3):
        settings = ReadingSettings(max_evidence=most, max_words=1_000, min_chance_per_word=0)
        found = reading("how many days can i carry over", snapshot, reader, embedder, settings).evidence
        assert len(found) == most
        assert [piece.score for piece in found] == sorted((piece.score for piece in found), reverse=True)


@pytest.mark.parametrize(("is_expired", "trust", "first"), [(True, 0.0, "twin.md"), (False, 1.0, "original.md")])
def test_of_two_that_say_the_same_the_better_standing_is_given_and_is_no_likelier_to_answer(
    is_expired: bool, trust: float, first: str, snapshot: Snapshot, reader: Reader, embedder: Embedder
) -> None:
    question = "how many unused days can i carry over"
    vector = embedder.embed([question])[0]
    best, *_ = retrieve(snapshot, question, vector, Asker(), RetrievalSettings(), date(2026, 1, 1))
    original = replace(best, chunk=replace(best.chunk, id="a", file="original.md"))
    twin = replace(best, chunk=replace(best.chunk, id="b", file="twin.md"))
    settings = ReadingSettings(max_evidence=1)
    same = read(question, vector, [original, twin], snapshot.lexical, reader, settings)
    original = replace(original, is_expired=is_expired, trust=trust)
    found = read(question, vector, [original, twin], snapshot.lexical, reader, settings)
    assert found.evidence[0].passage.chunk.file == first
    assert same.probability - 0.1 < found.probability < same.probability + 0.02


def test_conditions_that_hold_only_together_are_completed_from_their_passage() -> None:
    text = "You may if all of these hold:\n- you are asked\n- you have time\n- you are paid"
    passage = Passage(Chunk("a", "a.md", 0, ("A",), text, None, PolicyMetadata("A")), 1.0)
    lead_in = "You may if all of these hold:"
    chosen = Evidence(passage, PieceKind.LIST_ITEM, "you have time", lead_in)
    whole = _completed([chosen], 90)
    assert [piece.text for piece in whole] == ["you have time", "you are asked", "you are paid"]
    assert {piece.lead_in for piece in whole} == {lead_in}
    assert _completed([chosen], 3) == [chosen]


def test_nothing_to_read_has_no_evidence_and_no_probability(snapshot: Snapshot, reader: Reader) -> None:
    assert read("x", np.zeros(384, np.float32), [], snapshot.lexical, reader, ReadingSettings()) == Reading((), 0.0)


@pytest.mark.parametrize("damage", ["", "{}", '{"first_look": {"weights": {"similarity": 1}, "bias": 0}}'])
def test_weights_for_other_features_are_refused(tmp_path: Path, damage: str, embedder: Embedder) -> None:
    (tmp_path / "weights.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match=r"weights in .*weights\.json cannot be used"):
        open_reader(embedder, tmp_path)


@pytest.mark.parametrize("file", ["head.safetensors", "adapter_model.safetensors"])
def test_reader_with_a_damaged_file_is_refused(tmp_path: Path, file: str, embedder: Embedder) -> None:
    folder = shutil.copytree(Settings().parts_dir / "reader", tmp_path / "reader")
    (folder / file).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        open_reader(embedder, folder)


def test_shipped_reader_was_fitted_on_the_vectors_of_the_shipped_embedder(embedder: Embedder) -> None:
    stored = json.loads((Settings().parts_dir / "reader" / "weights.json").read_text(encoding="utf-8"))
    assert stored["embedder"] == embedder.version, "run: quantahr train --starter --only reader"
