"""Which model answers: only allowed moves, nothing lost by a crash, and always a way back."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import quantahr
from bot.live import live_settings
from config.errors import ModelError
from config.settings import Settings
from exporter.registry import GGUF, MOVES, Current, ModelManifest, Registry, State
from exporter.standing import SHIPPED, listed


def a_manifest(name: str) -> ModelManifest:
    return ModelManifest(
        id=name,
        made_at=datetime(2026, 11, 22, tzinfo=UTC),
        parent="",
        runs=("sft-1",),
        dataset_sha256=("d",),
        type="Q8_0",
        wording="generate",
        generator="new",
        parts={"reader": "new", "retriever": "carried"},
        created_by="quantahr 1",
    )


def add(registry: Registry, name: str, state: State = State.VERIFIED) -> None:
    content = registry.folder.parent / f"content-{name}"
    (content / "parts" / "reader").mkdir(parents=True)
    (content / GGUF).write_bytes(b"GGUF" + name.encode())
    (content / "parts" / "reader" / "weights.json").write_text("{}", encoding="utf-8")
    registry.add(a_manifest(name), content)
    if state is not State.CANDIDATE:
        registry.move(name, state)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_a_model_goes_its_way_and_back(registry: Registry) -> None:
    assert registry.current() == Current()
    add(registry, "a")
    add(registry, "b")
    assert registry.move("a", State.LIVE).live == "a"
    current = registry.move("b", State.LIVE, "better")
    assert (current.live, current.previous) == ("b", "a")
    assert {name: standing.state for name, standing in current.models.items()} == {
        "a": State.RETIRED,
        "b": State.LIVE,
    }
    back = registry.rollback()
    assert (back.live, back.previous, back.models["a"].state) == ("a", "", State.LIVE)
    assert registry.rollback().live == ""  # and then to what ships, never back to what was left
    with pytest.raises(ModelError, match="no model to go back to"):
        registry.rollback()


def test_what_ships_can_be_gone_back_to(registry: Registry) -> None:
    with pytest.raises(ModelError, match="no model to go back to"):
        registry.rollback()
    add(registry, "a")
    registry.move("a", State.LIVE)
    back = registry.rollback()
    assert (back.live, back.previous, back.models["a"].state) == ("", None, State.RETIRED)


@pytest.mark.parametrize("state", [State.CANDIDATE, State.REJECTED])
def test_what_was_not_verified_or_was_rejected_never_answers(registry: Registry, state: State) -> None:
    add(registry, "a", state)
    for wanted in (State.LIVE, State.CANARY):
        with pytest.raises(ModelError, match=f"a is {state} and cannot become {wanted}"):
            registry.move("a", wanted)
    assert registry.current().live == "" and MOVES[State.REJECTED] == frozenset()
    with pytest.raises(ModelError, match=r"no model c; there are: a"):
        registry.move("c", State.LIVE)


def test_a_canary_makes_room_and_is_promoted(registry: Registry) -> None:
    add(registry, "a")
    add(registry, "b")
    registry.move("a", State.CANARY, share=0.2)
    current = registry.move("b", State.CANARY, share=0.3)
    assert (current.canary, current.canary_share, current.models["a"].state) == ("b", 0.3, State.VERIFIED)
    live = registry.move("b", State.LIVE)
    assert (live.live, live.canary, live.canary_share) == ("b", "", 0.0)


def test_a_changed_file_is_noticed(registry: Registry, tmp_path: Path) -> None:
    add(registry, "a")
    registry.check("a")
    gguf = registry.path("a") / GGUF
    content = bytearray(gguf.read_bytes())
    content[-1] ^= 1
    gguf.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.gguf is not the file that was exported"):
        registry.check("a")
    done = CliRunner().invoke(quantahr, ["models", "promote", "a"], env={"QUANTAHR_DATA_DIR": str(tmp_path)})
    assert isinstance(done.exception, ModelError) and registry.current().live == ""


def test_the_same_model_again_changes_nothing(registry: Registry) -> None:
    add(registry, "a")
    registry.move("a", State.LIVE)
    before = registry.manifest("a")
    content = registry.folder.parent / "content-again"
    content.mkdir()
    (content / GGUF).write_bytes(b"another")
    assert registry.add(a_manifest("a"), content) == before
    assert registry.current().models["a"].state is State.LIVE
    registry.check("a")


def test_the_oldest_go_and_those_that_are_needed_stay(registry: Registry) -> None:
    for name in ("a", "b", "c", "d"):
        add(registry, name)
        registry.move(name, State.LIVE)
    add(registry, "e")
    assert registry.prune(keep=4) == ["a"]
    assert registry.prune(keep=1) == ["b", "e"]  # d is live, and c was before
    assert sorted(registry.current().models) == ["c", "d"] and not registry.path("a").exists()


def _promote_and_die(data_dir: Path, at: int) -> None:
    """Promote b, and be killed at the n-th thing that reaches the disk."""
    count = 0
    real = os.fsync

    def fsync(handle: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync  # type: ignore[assignment]
    Registry(data_dir).move("b", State.LIVE)


@pytest.mark.parametrize(("at", "live"), [(1, "a"), (2, "b")])
def test_killed_at_any_point_the_old_or_the_new_one_is_live(tmp_path: Path, at: int, live: str) -> None:
    """The first thing that reaches the disk is the new file, beside the old one; the second the folder's list."""
    registry = Registry(tmp_path)
    add(registry, "a")
    registry.move("a", State.LIVE)
    add(registry, "b")
    process = multiprocessing.get_context("fork").Process(target=_promote_and_die, args=(tmp_path, at))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    current = registry.current()
    assert current.live == live and current.models[live].state is State.LIVE
    assert [name for name, one in current.models.items() if one.state is State.LIVE] == [live]
    registry.check(live)


def test_a_file_that_cannot_be_read_is_named(registry: Registry) -> None:
    add(registry, "a")
    (registry.folder / "current.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"current\.json cannot be read"):
        registry.current()


def test_settings_of_the_live_model(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert live_settings(settings) is settings
    registry = Registry(tmp_path)
    add(registry, "a")
    registry.move("a", State.LIVE)
    own = live_settings(settings)
    folder = registry.path("a")
    assert own.model.gguf == folder / GGUF and own.answering.wording == "generate"
    assert own.parts_dir == folder / "parts" and own.index.adapter == settings.index.adapter


def test_the_list_reads_well_and_is_the_same_for_programs(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    add(registry, "2026-11-22-abc")
    add(registry, "2026-11-23-def", State.REJECTED)
    registry.move("2026-11-22-abc", State.LIVE, "three questions more are right")
    environment = {"QUANTAHR_DATA_DIR": str(tmp_path), "COLUMNS": "160"}
    shown = CliRunner().invoke(quantahr, ["models", "list"], env=environment, catch_exceptions=False).stdout
    assert SHIPPED in shown and "three questions more are right" in shown and "new, Q8_0" in shown
    rows = json.loads(CliRunner().invoke(quantahr, ["models", "list", "--json"], env=environment).stdout)
    assert [(row["name"], row["state"]) for row in rows] == [
        (SHIPPED, "can be gone back to"),
        ("2026-11-22-abc", "live"),
        ("2026-11-23-def", "rejected"),
    ]
    assert rows == [row.model_dump(mode="json") for row in listed(registry)]
    said = CliRunner().invoke(quantahr, ["models", "rollback"], env=environment, catch_exceptions=False).stdout
    assert said == "What ships answers.\n"
