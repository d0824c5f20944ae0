"""The parts that ship: their files are those that their manifests list, and the command rebuilds them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError, ModelError, TrainingError
from exporter.manifest import (
    MANIFEST,
    PartName,
    Recipe,
    check_files,
    make_manifest,
    publishing,
    read_manifest,
    retriever_beside,
    write_manifest,
)
from knowledge.embed import Embedder, open_embedder
from tests.training_rows import write_training
from trainer.alone import LOCK
from trainer.reader import divide
from trainer.retriever import training_rows
from trainer.rows import (
    HELD_OUT,
    OURS,
    data_hash,
    employer_snapshot,
    policy,
    read_rows,
    standalone_rows,
)
from trainer.starter import current_manifest, planned, rebuild

CHECKOUT = Path(__file__).parent.parent
STARTER = CHECKOUT / "models" / "starter"
SHIPPED = sorted(path.name for path in STARTER.iterdir() if path.is_dir() and not path.name.startswith("."))
MOST_BYTES = 10_000_000
RECIPE = Recipe(
    part="triage", command="make it", base="b", rows=2, data_sha256="0", seed=0, settings={"rates": [1e-3, 5e-4]}
)


def test_what_ships_is_at_most_10_mb() -> None:
    assert sum(path.stat().st_size for path in STARTER.rglob("*") if path.is_file()) <= MOST_BYTES


@pytest.mark.parametrize("part", SHIPPED)
def test_shipped_files_are_those_that_the_manifest_lists(part: str) -> None:
    manifest = check_files(STARTER / part)
    assert manifest.part == part
    assert manifest.metrics
    assert manifest.licences
    assert not HELD_OUT & set(manifest.employers), "what is reported was not learned"
    assert "/" not in manifest.base
    assert str(CHECKOUT) not in (STARTER / part / MANIFEST).read_text(encoding="utf-8")


def write_part(folder: Path) -> Path:
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    write_manifest(folder, make_manifest(RECIPE, {"hit@1": 0.5}, ("ours",)))
    return folder


def test_manifest_reads_as_it_was_written_and_follows_its_recipe(tmp_path: Path) -> None:
    manifest = read_manifest(write_part(tmp_path / "triage"))
    assert manifest.follows(RECIPE)
    assert not manifest.follows(RECIPE.model_copy(update={"seed": 1}))
    assert manifest == check_files(tmp_path / "triage")


@pytest.mark.parametrize("name", ["weights.bin", "more.bin"])
def test_changed_or_unlisted_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_part(tmp_path / "triage")
    (folder / name).write_bytes(b"other")
    with pytest.raises(ModelError, match=f"{name} is not the file that its manifest lists"):
        check_files(folder)


def test_part_without_or_with_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_part(tmp_path / "triage")
    (folder / MANIFEST).write_text('{"part": "cook"}', encoding="utf-8")
    with pytest.raises(ModelError, match="is no manifest"):
        read_manifest(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelError, match=r"There is no .*manifest\.json"):
        read_manifest(folder)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = write_part(tmp_path / "triage")
    with pytest.raises(RuntimeError), publishing(target) as folder:
        (folder / "weights.bin").write_bytes(b"half")
        raise RuntimeError
    assert (target / "weights.bin").read_bytes() == b"weights"
    with publishing(target) as folder:
        (folder / "new.bin").write_bytes(b"new")
        (folder / "new.bin").chmod(0o600)
    assert [path.name for path in target.iterdir()] == ["new.bin"]
    assert (target / "new.bin").stat().st_mode & 0o777 == 0o644, "whoever serves can read what another trained"
    assert [path.name for path in tmp_path.iterdir()] == ["triage"]


def test_a_folder_lost_between_two_renames_is_put_back(tmp_path: Path) -> None:
    write_part(tmp_path / "triage").rename(tmp_path / ".triage.old")
    with pytest.raises(RuntimeError), publishing(tmp_path / "triage"):
        raise RuntimeError
    assert check_files(tmp_path / "triage").part == "triage"


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = write_part(tmp_path / "triage")
    rename = Path.rename

    def full(self: Path, to: Path) -> Path:
        if self.name == ".triage.new":
            raise OSError("the disk is full")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="full"), publishing(target):
        pass
    assert check_files(target).part == "triage"


def test_only_one_process_trains_into_a_folder(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="Another process is training into"):
            rebuild(["triage"], CHECKOUT / "samples" / "training", tmp_path, force=False, on_part=lambda part, n: None)


def test_rows_are_read_from_both_layouts(tmp_path: Path) -> None:
    flat = write_training(tmp_path / "flat")
    nested = tmp_path / "nested"
    nested.mkdir()
    (nested / "train").symlink_to(flat)
    rows = read_rows(flat)
    assert len(rows) == 24
    assert rows == read_rows(nested)
    assert data_hash(rows, flat) == data_hash(rows, nested)
    assert policy(flat, "train/policies/southsea").is_dir()


def test_real_handbooks_are_read_but_no_adapter_learns_from_them() -> None:
    data = CHECKOUT / "samples" / "training"
    rows = read_rows(data)
    handbooks = [row for row in rows if not row.employer.startswith(OURS)]
    assert {row.employer for row in handbooks} == {
        f"handbooks/{name}" for name in ("clef", "gaslight", "shorebird", "turing_reg")
    }
    assert len(handbooks) == 2 * 610
    seen, unseen = divide(rows)
    assert {row.employer for row in handbooks} <= {row.employer for row in unseen}
    assert {row.employer for row in training_rows(data)} == {row.employer for row in seen}


def test_every_handbook_comes_with_its_source_and_licence() -> None:
    folders = sorted((CHECKOUT / "samples" / "training" / "handbooks").iterdir())
    notes = (CHECKOUT / "samples" / "training" / "README.md").read_text(encoding="utf-8")
    for folder in folders:
        assert "licence:" in (folder / "SOURCE.txt").read_text(encoding="utf-8")
        assert f"`handbooks/{folder.name}`" in notes
        assert list(folder.glob("LICENSE*")) or "## License" in (folder / "README.md").read_text(encoding="utf-8")


def test_licences_beside_a_handbook_are_no_policies(tmp_path: Path, embedder: Embedder) -> None:
    data = write_training(tmp_path / "data")
    folder = policy(data, "train/policies/southsea")
    before = data_hash(read_rows(data), data), len(employer_snapshot(folder, embedder).chunks)
    for name in ("SOURCE.txt", "LICENSE.upstream.txt"):
        (folder / name).write_text("Anybody may copy this.", encoding="utf-8")
    assert (data_hash(read_rows(data), data), len(employer_snapshot(folder, embedder).chunks)) == before


@pytest.mark.parametrize("part", ["triage", "reader", "matcher"])
def test_part_is_planned_over_the_retriever_that_it_is_given(tmp_path: Path, part: PartName) -> None:
    retriever = tmp_path / "retriever"
    shutil.copytree(STARTER / "retriever", retriever)
    assert retriever_beside(tmp_path / part) == retriever
    assert retriever_beside(tmp_path / "elsewhere" / part).resolve() == STARTER / "retriever"
    data = CHECKOUT / "samples" / "training"
    usual = planned(part, data, STARTER / "retriever")
    assert planned(part, data, retriever) == usual
    with (retriever / "adapter_model.safetensors").open("ab") as file:
        file.write(b" ")
    assert planned(part, data, retriever).base != usual.base


@pytest.mark.parametrize("part", SHIPPED)
def test_shipped_part_follows_from_the_training_data_that_ships(part: PartName) -> None:
    manifest = read_manifest(STARTER / part)
    assert manifest.follows(planned(part, CHECKOUT / "samples" / "training", STARTER / "retriever")), (
        f"run: quantahr train --starter --only {part}"
    )
    assert manifest.fits(open_embedder(threads=1, adapter=STARTER / "retriever").version)


def test_changed_policy_changes_the_hash(tmp_path: Path) -> None:
    data = write_training(tmp_path / "data")
    rows = read_rows(data)
    before = data_hash(rows, data)
    (data / "policies" / "southsea" / "handbook.md").write_text("# Handbook\n\nNothing.\n", encoding="utf-8")
    assert data_hash(rows, data) != before


def test_threads_give_the_question_as_it_would_be_asked_alone(tmp_path: Path) -> None:
    data = write_training(tmp_path / "data")
    thread = {
        "file": "train/policies/southsea/handbook.md",
        "turns": [],
        "question": "and?",
        "also": "and then?",
        "standalone": "Do holidays lapse?",
        "answerable": True,
        "quotes": ["Unused holidays lapse"],
    }
    (data / "threads.jsonl").write_text(json.dumps(thread) + "\n", encoding="utf-8")
    assert [row.question for row in standalone_rows(data)] == ["Do holidays lapse?"]
    assert len(read_rows(data)) == 24


def test_missing_and_broken_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There are no training rows"):
        read_rows(tmp_path)
    (tmp_path / "own.jsonl").write_text('{"file": "train/policies/x/y.md"}\n{"quotes"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Line 2 of .*own\.jsonl is no JSON"):
        read_rows(tmp_path)


def test_missing_data_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no folder .*absent with training rows"):
        rebuild(["retriever"], tmp_path / "absent", tmp_path / "out", force=False, on_part=lambda part, number: None)


def test_damaged_part_is_not_current(tmp_path: Path) -> None:
    folder = write_part(tmp_path / "triage")
    (folder / "weights.bin").unlink()
    assert current_manifest(folder, CHECKOUT / "samples" / "training") is None


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "build one with 'quantahr dataset build'"),
        (("--starter", "--dry-run"), 2, "--starter follows none"),
        (("--now", "--kind", "kto"), 2, "--now builds its dataset"),
        (("--parent", "absent"), 2, "add --kind kto"),
        (("--starter", "--only", "cook"), 2, "'cook' is not one of"),
        (("--starter", "--data", "absent"), 1, "There is no folder absent with training rows; name one with --data."),
    ],
)
def test_wrong_use_is_explained(tmp_path: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    command = [sys.executable, "-c", "from bot.cli import main; main()", "train", *arguments]
    environment = os.environ | {"QUANTAHR_DATA_DIR": str(tmp_path)}
    run = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=300, env=environment)
    assert run.returncode == status
    assert says in run.stderr


@pytest.mark.slow
def test_command_trains_a_part_and_leaves_it_alone_the_next_time(tmp_path: Path) -> None:
    data = write_training(tmp_path / "data")
    held_out = data / "policies" / "protea-za"
    (data / "policies" / "northwind").rename(held_out)
    rows = (data / "own_tiny.jsonl").read_text(encoding="utf-8").replace("northwind", "protea-za")
    (data / "own_tiny.jsonl").write_text(rows, encoding="utf-8")
    command = [sys.executable, "-c", "from bot.cli import main; main()", "train", "--starter", "--only", "retriever"]
    command += ["--data", str(data), "--out", str(tmp_path / "out"), "--json"]
    states = []
    for _ in range(2):
        run = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=600)
        assert run.returncode == 0, run.stderr
        (record,) = json.loads(run.stdout)
        states.append(record["state"])
    assert states == ["rebuilt", "unchanged"]
    manifest = check_files(tmp_path / "out" / "retriever")
    assert (manifest.rows, manifest.employers) == (12, ("train/policies/southsea",))
    assert manifest.metrics["held_out"]
