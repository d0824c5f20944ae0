"""Reading: the piece that answers, how likely it does, and what it is fitted on."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from config.errors import ModelError
from config.settings import ReadingSettings, RetrievalSettings
from knowledge.embed import Embedder
from knowledge.features import PIECE_FEATURES
from knowledge.index import Snapshot
from knowledge.read import Reader, Reading, open_reader, read
from knowledge.retrieve import Asker, retrieve
from tests.handbook import index_of, ingested, write_handbook
from trainer.reader import cross_validated, fit, make_examples
from trainer.rows import Row


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Snapshot:
    index = index_of(tmp_path_factory.mktemp("data"), embedder)
    ingested(write_handbook(tmp_path_factory.mktemp("handbook")), index)
    taken = index.snapshot
    index.close()
    return taken


@pytest.fixture(scope="module")
def reader(embedder: Embedder) -> Reader:
    return open_reader(embedder)


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


def test_further_pieces_are_added_only_while_they_are_short_enough(
    snapshot: Snapshot, reader: Reader, embedder: Embedder
) -> None:
    settings = ReadingSettings(max_evidence=3, max_words=5)
    assert len(reading("how many days can i carry over", snapshot, reader, embedder, settings).evidence) == 1
    settings = ReadingSettings(max_evidence=3, max_words=100)
    assert len(reading("how many days can i carry over", snapshot, reader, embedder, settings).evidence) == 3


def test_nothing_to_read_has_no_evidence_and_no_probability(snapshot: Snapshot, reader: Reader) -> None:
    assert read("x", np.zeros(384, np.float32), [], snapshot.lexical, reader, ReadingSettings()) == Reading((), 0.0)


@pytest.mark.parametrize("damage", ["", "{}", '{"choice": {"weights": {"similarity": 1}, "bias": 0}}'])
def test_weights_for_other_features_are_refused(tmp_path: Path, damage: str, embedder: Embedder) -> None:
    file = tmp_path / "reader.json"
    file.write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match=r"weights in .*reader\.json cannot be used"):
        open_reader(embedder, file)


def test_shipped_weights_name_what_they_were_fitted_on(embedder: Embedder) -> None:
    recipe = json.loads((Path(__file__).parent.parent / "knowledge" / "reader.json").read_text())["recipe"]
    assert recipe["embedder"] == embedder.version, "fit the reader again: python -m trainer.reader --data DIR"
    assert recipe["cross_validated"]["questions"] > 1_000


def test_fit_learns_to_choose_the_gold_piece(tmp_path: Path, embedder: Embedder) -> None:
    towns = ["Oslo", "Rome", "Lima", "Cairo", "Delhi"]
    rows = []
    for n, town in enumerate(towns):
        rules = "\n\n".join(
            f"The {thing} of {town} opens at {n + h} pm." for h, thing in enumerate(["bank", "gym", "bar"])
        )
        write_handbook(tmp_path, {f"{town}/rules.md": f"# {town}\n\n{rules}\n\nNobody smokes here."})
        for h, thing in enumerate(["bank", "gym", "bar"]):
            rows.append(Row(town, f"when does the {thing} open", (f"The {thing} of {town} opens at {n + h} pm.",)))
        rows.append(Row(town, "what is the price of silver", ()))
    examples = make_examples(rows, tmp_path, embedder)
    choice, _ = fit(examples)
    assert len(choice.weights) == len(PIECE_FEATURES)
    measured = cross_validated(examples)
    assert measured["hit@1"] >= 0.9
    assert measured["auc"] >= 0.9
