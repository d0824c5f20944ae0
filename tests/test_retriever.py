"""Training the retriever: it learns, from what it should, and can be interrupted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.numpy import load_file

from knowledge.embed import Embedder, embedded_model, open_embedder
from tests.training_rows import write_training
from trainer.matching import MatchingSet
from trainer.pairs import (
    Pair,
    Sampling,
    View,
    make_datasets,
    make_pairs,
    pair_up_sets,
    read_pairs,
    right_texts,
    save_pairs,
)
from trainer.ranking import EmployerBatches, also_right, last_checkpoint
from trainer.retriever import RetrieverSettings, train_pass, training_rows

TINY = RetrieverSettings(
    learning_rates=(2e-3,), batch_size=4, piece_negatives=1, chunk_share=0.5, lora_r=4, save_steps=4
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    data = write_training(tmp_path_factory.mktemp("training"))
    return make_pairs(training_rows(data), data, open_embedder(threads=1))


@pytest.fixture(scope="module")
def trained(pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole pass, with its checkpoints."""
    folder = tmp_path_factory.mktemp("pass")
    train_pass(pairs, TINY, 0, folder)
    return folder


def lead(embedder: Embedder, pairs: list[Pair]) -> float:
    """By how much the right pieces are nearer than the nearest wrong ones, on average."""
    leads = []
    for pair in pairs:
        vectors = embedder.embed([pair.question, pair.pieces.right[0], *pair.pieces.hard])
        near = vectors[1:] @ vectors[0]
        leads.append(near[0] - near[1:].max())
    return float(np.mean(leads))


def test_every_question_is_paired_with_its_rule_and_with_wrong_ones(pairs: list[Pair]) -> None:
    assert len(pairs) == 12, "one of the two employers is held out"
    for pair in pairs:
        assert len(pair.pieces.right) == len(pair.chunks.right) == 1
        assert len(pair.pieces.hard) == len(pair.chunks.hard) == 5
        assert not set(pair.pieces.right) & set(pair.pieces.hard)


def test_texts_are_as_serving_embeds_them(pairs: list[Pair]) -> None:
    right = next(pair for pair in pairs if pair.question == "where can i leave my car")
    assert right.pieces.right == ("Handbook › Parking: The lower deck of the garage is free for staff.",)
    assert right.chunks.right == ("Handbook › Parking\nThe lower deck of the garage is free for staff.",)


def test_rewording_is_paired_with_its_stored_question_and_answer_against_those_of_its_file(embedder: Embedder) -> None:
    def stored(question: str, source: str) -> MatchingSet:
        wordings = (f"first wording of {question}", f"second wording of {question}")
        return MatchingSet(question, f"The answer to {question}", wordings, ("near",), source)

    found = pair_up_sets([stored("leave", "a"), stored("pay", "a"), stored("cars", "b")], 3, embedder)
    leave, pay, cars = found
    assert (leave.question, leave.employer) == ("second wording of leave", "a")
    assert leave.pieces == View(("leave",), ("pay",))
    assert pay.chunks == View(("The answer to pay",), ("The answer to leave",))
    assert not cars.pieces.hard


def test_training_brings_questions_nearer_to_their_answers(pairs: list[Pair], trained: Path) -> None:
    before, after = open_embedder(threads=1), open_embedder(threads=1, adapter=trained / "adapter")
    assert lead(after, pairs) > lead(before, pairs) + 0.05


def test_base_is_not_changed(trained: Path) -> None:
    """The adapter alone is saved, and the weights that it was trained over are the package's still."""
    names = set(load_file(trained / "adapter" / "adapter_model.safetensors"))
    assert names
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    assert {"adapter_model.safetensors", "optimizer.pt", "trainer_state.json"} <= {
        path.name for path in Path(str(last_checkpoint(trained))).iterdir()
    }
    assert not (embedded_model() / "adapter_config.json").exists()


def test_interrupted_training_ends_in_the_same_adapter(pairs: list[Pair], trained: Path, tmp_path: Path) -> None:
    first = min(trained.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    shutil.copytree(first, tmp_path / first.name)
    (tmp_path / "checkpoint-99").mkdir()  # cut off while it was written
    train_pass(pairs, TINY, 0, tmp_path)
    whole, resumed = (load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (trained, tmp_path))
    for name, weights in whole.items():
        np.testing.assert_allclose(resumed[name], weights, atol=1e-5)


def test_a_finished_pass_is_not_repeated(pairs: list[Pair], trained: Path) -> None:
    before = (trained / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    train_pass(pairs, replace(TINY, learning_rates=(9.0,)), 0, trained)
    assert (trained / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == before


def test_what_answers_a_question_is_never_counted_against_it() -> None:
    labels = torch.tensor([[0, 0, 7, 5], [0, 1, 8, 7], [0, 2, 9, 6]])
    right = [frozenset({7, 9}), frozenset({8}), frozenset({9})]
    # Texts in the order of the loss: 7 8 9 (right), then 5 7 6 (hard).
    assert also_right(labels, right).tolist() == [
        [False, False, True, False, True, False],
        [False, False, False, False, False, False],
        [False, False, False, False, False, False],
    ]


def test_batches_hold_one_employer_each_and_every_question_once() -> None:
    employers = [0] * 7 + [1] * 4 + [2]
    dataset = Dataset.from_dict(
        {"question": ["?"] * 12, "label": [[employer, n] for n, employer in enumerate(employers)]}
    )
    sampler = EmployerBatches(dataset, 4, drop_last=False, seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 4
    assert sorted(row for batch in batches for row in batch) == list(range(12))
    assert all(len({employers[row] for row in batch}) == 1 for batch in batches)
    assert batches == list(sampler)
    sampler.set_epoch(1)
    assert batches != list(sampler)


def test_labels_name_the_texts_of_their_row(pairs: list[Pair]) -> None:
    made = make_datasets(pairs, Sampling(piece_negatives=2, chunk_negatives=1, chunk_share=0.5), seed=0)
    assert made["pieces"].column_names == ["question", "right", "hard_1", "hard_2", "label"]
    assert (len(made["pieces"]), len(made["chunks"])) == (12, 6)
    right = right_texts(pairs)
    for row in made["pieces"]:
        _, pair, *texts = row["label"]
        assert pairs[pair].question == row["question"]
        assert [text in right[pair] for text in texts] == [True, False, False]


def test_a_question_without_wrong_texts_is_left_out() -> None:
    alone = Pair("q", "e", View(("a",), ()), View(("c",), ("d",)))
    made = make_datasets([alone], Sampling(piece_negatives=1, chunk_negatives=2, chunk_share=1.0), seed=0)
    assert len(made["pieces"]) == 0
    assert made["chunks"]["hard_1"] == made["chunks"]["hard_2"] == ["d"]


def test_saved_pairs_are_read_as_they_were(pairs: list[Pair], tmp_path: Path) -> None:
    save_pairs(pairs, tmp_path / "pairs.json")
    assert read_pairs(tmp_path / "pairs.json") == pairs
