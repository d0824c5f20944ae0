"""Encoders that learn from the ledger: really trained, from the parts that ship, and as serving reads them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError, TrainingError
from config.settings import Settings
from exporter.manifest import check_files
from knowledge.embed import Embedder, embedded_model
from knowledge.matcher import open_matcher
from knowledge.pair import open_tokenizer
from knowledge.read import open_reader
from tests.test_sft import a_plan
from trainer import adapt, adapt_matcher, adapt_reader
from trainer.journal import Event
from trainer.learn import learn
from trainer.matching import Draws, MatchingSet
from trainer.runs import Run, RunSpec, dataset_hash, make_run

PARTS = Settings().parts_dir
PARKING = "The car park behind the depot is free for staff; a permit is issued at the gate."
BICYCLES = "Bicycles are kept in the cage beside the depot."


def passage(text: str, quote: str = "") -> dict[str, str]:
    return {"file": "depot.md", "heading": "Depot", "text": text, "quote": quote}


def reading_rows(count: int) -> list[dict[str, Any]]:
    right, wrong = passage(PARKING, PARKING), passage(BICYCLES)
    rows = [
        {"question": f"Who gives me a permit for gate {n}?", "answerable": True, "positives": [right]}
        | {"negatives": [wrong]}
        for n in range(count)
    ]
    none = {"question": "What does the canteen cost?", "answerable": False, "positives": [], "negatives": [wrong]}
    return [*rows, none]


def write_rows(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    hashes = {}
    for part, own in (("train", rows), ("validation", held)):
        text = "".join(json.dumps(row) + "\n" for row in own)
        (folder / f"{name}.{part}.jsonl").write_text(text, encoding="utf-8")
        hashes[f"{name}.{part}.jsonl"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"sha256": hashes}), encoding="utf-8")
    return folder


def a_run(tmp_path: Path, kind: str, dataset: Path) -> RunSpec:
    return RunSpec(kind, a_plan(tmp_path), dataset, dataset_hash(dataset), PARTS / kind)


@pytest.fixture
def no_replay(monkeypatch: pytest.MonkeyPatch, embedder: Embedder) -> None:
    """Embedding whole employers takes minutes."""
    monkeypatch.setattr(adapt, "EPOCHS", 2.0)
    monkeypatch.setattr(adapt_reader, "_replay", lambda *_: [])
    few = [
        MatchingSet(f"How long is break {n}?", f"Break {n} is short.", (f"break {n}, how long",), (f"why break {n}?",))
        for n in range(4)
    ]
    draws = Draws(few, [], embedder, random.Random(0))
    monkeypatch.setattr(adapt_matcher, "_replay", lambda *_: draws)


@pytest.mark.slow
@pytest.mark.usefixtures("no_replay")
def test_the_reader_learns_and_is_read_by_serving(tmp_path: Path, embedder: Embedder) -> None:
    dataset = write_rows(tmp_path / "d", "reading", reading_rows(6), reading_rows(2))
    run = make_run(tmp_path / "runs", a_run(tmp_path, "reader", dataset))
    adapt_reader.train(run)
    assert run.metrics and run.metrics["validation_answering_rows_after"] == 2
    assert run.metrics["validation_answering_right_before"] <= run.metrics["validation_answering_right_after"]
    losses = [step["loss"] for step in run.journal.steps()]
    assert losses[-1] < losses[0]
    made = check_files(run.folder / "reader")
    assert made.part == "reader" and made.fits(embedder.version) and "quantahr train --kind reader" in made.command
    kept = (PARTS / "reader" / "weights.json").read_bytes()
    assert (run.folder / "reader" / "weights.json").read_bytes() == kept
    reader = open_reader(embedder, run.folder / "reader")
    assert (
        reader.weights.first_look.weights.shape
        == open_reader(embedder, PARTS / "reader").weights.first_look.weights.shape
    )
    changed = (run.folder / "reader" / "adapter_model.safetensors").read_bytes()
    assert changed != (PARTS / "reader" / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("no_replay")
def test_the_matcher_learns_what_hr_unlinked(tmp_path: Path, embedder: Embedder) -> None:
    stored = {"stored": "Who issues the permit for the car park?", "answer": "The gate issues it."}
    rows = [
        *({"question": f"Where is my car permit issued, gate {n}?", "same": True} | stored for n in range(3)),
        *({"question": f"Who issues the permit for building works {n}?", "same": False} | stored for n in range(3)),
    ]
    dataset = write_rows(tmp_path / "d", "matching", rows, rows[:1])
    run = make_run(tmp_path / "runs", a_run(tmp_path, "matcher", dataset))
    adapt_matcher.train(run)
    losses = [step["loss"] for step in run.journal.steps()]
    assert losses[-1] < losses[0]
    assert check_files(run.folder / "matcher").fits(embedder.version)
    open_matcher(run.folder / "matcher")


def test_rows_show_what_answers_beside_what_does_not() -> None:
    tokenizer = open_tokenizer(embedded_model())
    shown = adapt_reader._shown([*reading_rows(1), reading_rows(1)[0] | {"positives": [passage(PARKING, "not in it")]}])
    answered, nothing = shown  # a quote that is nowhere shows nothing
    assert [any(gold) for _, gold in answered.right] == [True] and len(answered.wrong) == 1
    assert not nothing.right and len(nothing.wrong) == 1
    assert tokenizer.decode(list(answered.right[0][0].pieces[0])).startswith("the car park")


def test_what_cannot_be_adapted_is_named(tmp_path: Path) -> None:
    dataset = write_rows(tmp_path / "d", "reading", [], [])
    spec = a_run(tmp_path, "reader", dataset)
    with pytest.raises(ConfigError, match="No row"):
        adapt_reader.train(make_run(tmp_path / "runs", spec))
    gone = RunSpec("reader", spec.plan, dataset, spec.dataset_sha256, tmp_path / "nothing")
    with pytest.raises(ConfigError, match="holds no trained part"):
        adapt_reader.train(make_run(tmp_path / "runs", gone))
    events: list[Event] = []
    with pytest.raises(TrainingError, match="status 1"):
        learn(tmp_path / "others", gone, events.append)
    assert Run(tmp_path / "others" / gone.id, gone).metrics is None
