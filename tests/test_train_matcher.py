"""Training the matcher: a few real steps on a little data teach it, and being killed costs nothing."""

from __future__ import annotations

import json
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from config.errors import ConfigError
from config.settings import IndexSettings, Settings
from exporter.manifest import check_files
from knowledge import differences
from knowledge.embed import Embedder, embedded_model
from knowledge.matcher import SIGNALS, MatchHead, match_input, open_matcher
from knowledge.pair import open_tokenizer
from trainer import matcher
from trainer.match_fit import ask_all
from trainer.matcher import Head, MatcherSettings, recipe, train, train_matcher
from trainer.matching import (
    Draws,
    Group,
    Wording,
    answered_too,
    held_out_positions,
    lightly_reworded,
    matching_hash,
    read_sets,
    read_wordings,
    seen_sets,
    shared_sets,
)

THINGS = ("bike", "laptop", "desk", "phone", "car", "badge", "locker", "chair", "screen", "jacket", "key", "mug")
SMALL = MatcherSettings(steps=12, sets=3, wordings=1, save_every=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve sets with one lesson: what is sold is not what is lent."""
    folder = tmp_path_factory.mktemp("rows")
    sets = [
        {
            "question": f"can i borrow a {thing}",
            "correction": f"Yes, a {thing} is lent for a week.",
            "same": [f"is a {thing} lent to me", f"{thing} on loan?", f"may i have a {thing} for some days"],
            "near": [f"can i sell a {thing}", f"who sells a {thing}", f"is a {thing} sold to me"],
        }
        for thing in THINGS
    ]
    rows = [
        {
            "file": f"train/policies/shop/{thing}.md",
            "question": f"how heavy is the {thing}",
            "also": f"what does the {thing} weigh",
            "answerable": True,
            "quotes": [f"The {thing} weighs {n} kg."],
            "answer": f"{n} kg.",
        }
        for n, thing in enumerate(THINGS)
    ]
    for name, records in (("matching.jsonl", sets), ("own_shop.jsonl", rows)):
        (folder / name).write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def draws(data: Path, embedder: Embedder) -> Draws:
    return Draws(read_sets(data), read_wordings(data), embedder, random.Random(0))


def test_group_holds_same_and_other_questions_and_never_the_stored_one_as_other(data: Path, embedder: Embedder) -> None:
    for group in draws(data, embedder).step(8, 4):
        assert any(group.is_same) and not all(group.is_same)
        others = [text for text, is_same in zip(group.questions, group.is_same, strict=True) if not is_same]
        assert group.stored not in others


def test_same_seed_draws_the_same(data: Path, embedder: Embedder) -> None:
    assert draws(data, embedder).step(5, 2) == draws(data, embedder).step(5, 2)


def test_light_rewording_keeps_the_words_that_matter() -> None:
    rng = random.Random(0)
    reworded = {lightly_reworded("can i borrow a bike", rng) for _ in range(50)}
    assert len(reworded) > 5 and all("borrow a bike" in text for text in reworded)


def test_no_set_is_both_learned_from_and_held_out(data: Path) -> None:
    sets = read_sets(data)
    held_out = [sets[position] for position in held_out_positions(sets)]
    assert len(held_out) == 3
    assert [item for item in sets if item not in held_out] == seen_sets(sets)


def test_sets_for_the_matcher_alone_are_not_shown_to_other_parts(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "matching.jsonl", tmp_path / "matching.jsonl")
    own = {"question": "a", "correction": "b", "same": ["c"], "near": ["d"]}
    (tmp_path / "matcher_more.jsonl").write_text(json.dumps(own), encoding="utf-8")
    *shared, last = read_sets(tmp_path)
    assert shared == shared_sets(tmp_path) == read_sets(data)
    assert (last.question, last.source) == ("a", "matcher_more.jsonl")


def test_question_that_another_set_answers_too_is_not_compared_with_it(
    data: Path, embedder: Embedder, tmp_path: Path
) -> None:
    sets = read_sets(data)
    shutil.copytree(Settings().parts_dir / "matcher", tmp_path / "matcher")
    (asked,) = ask_all(sets, [0], embedder, tmp_path / "matcher")[:1]
    other = next(row for row in asked.rows if row != 0)
    line = {"question": sets[0].same[0], "stored": sets[other].question, "answers": "fully"}
    (tmp_path / "answered_too.jsonl").write_text(json.dumps(line), encoding="utf-8")
    too = answered_too(tmp_path, sets)
    assert other not in ask_all(sets, [0], embedder, tmp_path / "matcher", too)[0].rows
    assert matching_hash(sets, [], too) != matching_hash(sets, [])
    assert answered_too(data, sets) == frozenset()
    with pytest.raises(ConfigError, match="which no matching set asks"):
        answered_too(tmp_path, sets[:1])


def test_too_few_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no matching\*\.jsonl or matcher\*\.jsonl"):
        train_matcher(tmp_path, tmp_path / "out")
    row = {"question": "a", "correction": "b", "same": ["c"], "near": ["d"]}
    (tmp_path / "matching.jsonl").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds 1 matching sets, and training needs 10"):
        train_matcher(tmp_path, tmp_path / "out")


def test_other_patterns_signals_or_quotes_make_another_recipe(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe(data)
    assert before == recipe(data)
    assert before.command == "python -m trainer.matcher --data samples/training --out models/starter/matcher"
    with monkeypatch.context() as patch:
        patch.setitem(differences._MEMBERS, "where", [re.compile("atlantis")])
        assert recipe(data).settings != before.settings
    with monkeypatch.context() as patch:
        patch.setattr(matcher, "SIGNALS", (*SIGNALS, "mood"))
        assert recipe(data).settings != before.settings
    wording = Wording("shop", "how heavy is it", "what does it weigh", "2 kg.", frozenset({"It weighs 2 kg.", "Two."}))
    other = replace(wording, quotes=frozenset({"It weighs 2 kg."}))
    assert matching_hash([], [other]) != matching_hash([], [wording])


def test_head_served_is_the_head_trained() -> None:
    torch.manual_seed(0)
    tokenizer = open_tokenizer(embedded_model())
    pairs = [match_input(q, "can i sell my car", "No, never.", tokenizer) for q in ("may i sell it", "a car?")]
    head = Head(16)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    states = [torch.randn(len(pair.ids), 16) for pair in pairs]
    trained = head(states, pairs).detach().numpy()
    served = MatchHead(**{name: value.detach().numpy() for name, value in head.named_parameters()})
    given = [served(own.numpy(), pair) for own, pair in zip(states, pairs, strict=True)]
    np.testing.assert_allclose(given, trained, rtol=1e-4)


@pytest.mark.slow
def test_few_steps_teach_it_and_leave_everything_that_serving_needs(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "matcher"
    report = train_matcher(data, out, SMALL, tmp_path / "work")
    assert np.mean(report.losses[-3:]) < 0.8 * np.mean(report.losses[:3])
    began_as = load_file(Path(IndexSettings().adapter or "") / "adapter_model.safetensors")
    adapter = load_file(out / "adapter_model.safetensors")
    assert adapter.keys() == began_as.keys()
    assert any(not np.array_equal(adapter[name], began_as[name]) for name in adapter)
    assert all(array.dtype == np.float16 for array in adapter.values())
    manifest = check_files(out)
    assert (manifest.part, manifest.rows, manifest.seed) == ("matcher", 24, 0)
    assert set(report.metrics) <= set(manifest.metrics)
    assert manifest.follows(recipe(data).model_copy(update={"settings": manifest.settings}))
    assert not list((tmp_path / "work").iterdir())
    assert str(tmp_path) not in (out / "manifest.json").read_text(encoding="utf-8")
    assert 0 <= open_matcher(out, threads=1).thresholds.evidence <= open_matcher(out, threads=1).thresholds.match


class Killed(Exception):
    """Stands for the machine that went away."""


class Dying(Draws):
    """Draws that end after some steps."""

    lives = 6

    def step(self, sets: int, wordings: int) -> list[Group]:
        self.lives -= 1
        if self.lives < 0:
            raise Killed
        return super().step(sets, wordings)


@pytest.mark.slow
def test_killed_training_goes_on_as_if_nothing_had_happened(data: Path, embedder: Embedder, tmp_path: Path) -> None:
    whole = train(draws(data, embedder), SMALL, tmp_path / "whole")
    dying = Dying(read_sets(data), read_wordings(data), embedder, random.Random(0))
    with pytest.raises(Killed):
        train(dying, SMALL, tmp_path / "killed")
    resumed = train(draws(data, embedder), SMALL, tmp_path / "killed")
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-3)
