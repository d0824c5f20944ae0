"""The triage classifier is really trained here, on a few dozen messages, and seen to learn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.triage import Handling, triage
from bot.triage.classify import open_classifier
from config.errors import ConfigError, ModelError
from exporter.manifest import read_manifest
from knowledge.embed import Embedder
from trainer.triage import TriageReport, recipe, train_triage

# Messages that no rule catches, so that only training can.
_VEILED = [f"{who} {what}" for who in ("he", "she", "my trainer") for what in (
    "waits for me by the lift every evening",
    "reads my diary to the others",
    "keeps winking and licking lips",
    "tore up my drawings in front of the crew",
    "makes me dread every single shift",
)]  # fmt: skip
_ASKED = [f"{how} {what}?" for how in ("How do I request", "Who approves", "What is the rule on") for what in (
    "annual leave",
    "a parking permit",
    "travel expenses",
    "a new laptop",
    "overtime pay",
)]  # fmt: skip


def write_rows(folder: Path, veiled: list[str], asked: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "category": "harassment", "expect": "human"} for text in veiled]
    rows += [{"text": text, "category": "ordinary", "expect": "answer"} for text in asked]
    lines = [json.dumps(row) for row in rows]
    (folder / "triage.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> tuple[Path, TriageReport]:
    folder = tmp_path_factory.mktemp("triage")
    return folder / "head", train_triage(write_rows(folder / "rows", _VEILED, _ASKED), folder / "head", embedder)


def test_training_learns_what_rules_do_not_catch(trained: tuple[Path, TriageReport], embedder: Embedder) -> None:
    veiled, asked = "she tore up my notes in front of everybody", "How do I request unpaid leave?"
    assert triage(veiled).handling is Handling.ANSWER
    classifier = open_classifier(embedder, trained[0])
    assert triage(veiled, classifier).handling is Handling.HUMAN
    assert triage(asked, classifier).handling is Handling.ANSWER


def test_held_out_messages_are_told_apart(trained: tuple[Path, TriageReport]) -> None:
    rates = trained[1].rates["five-fold, classifier alone"]
    assert rates.sensitive_missed <= 0.2
    assert rates.others_flagged <= 0.1


def test_same_rows_and_seed_give_the_same_manifest(
    trained: tuple[Path, TriageReport], embedder: Embedder, tmp_path: Path
) -> None:
    train_triage(write_rows(tmp_path / "rows", _VEILED, _ASKED), tmp_path / "head", embedder)
    assert read_manifest(tmp_path / "head") == read_manifest(trained[0])


def test_recipe_is_known_without_training(trained: tuple[Path, TriageReport]) -> None:
    manifest = read_manifest(trained[0])
    assert manifest.follows(recipe(trained[0].parent / "rows"))
    assert manifest.fits(manifest.base) and not manifest.fits("another-1")


def test_weights_for_another_embedder_are_refused_with_the_command_that_mends_it(
    trained: tuple[Path, TriageReport], embedder: Embedder, tmp_path: Path
) -> None:
    for file in trained[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    described = json.loads((tmp_path / "head.json").read_text(encoding="utf-8"))
    (tmp_path / "head.json").write_text(json.dumps(described | {"embedder": "another-1"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"another-1.*--only triage"):
        open_classifier(embedder, tmp_path)


def test_missing_weights_are_refused(embedder: Embedder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing or damaged.*--only triage"):
        open_classifier(embedder, tmp_path)


def test_too_few_messages_are_refused(embedder: Embedder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 sensitive and 15 ordinary"):
        train_triage(write_rows(tmp_path / "rows", _VEILED[:3], _ASKED), tmp_path / "head", embedder)
    assert not (tmp_path / "head").exists()
