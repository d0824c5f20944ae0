"""The whole way of a model, with real parts: trained, exported, verified, live in a running assistant, and back."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.answer import Answer, Assistant, Question
from bot.assistant import Parts, assemble
from bot.lineup import Lineup
from config.errors import ModelError
from config.settings import Settings
from exporter.base import ADAPTER, Base
from exporter.candidate import export
from exporter.convert import convert
from exporter.gguf import embedded_gguf
from exporter.load import load_tokenizer
from exporter.registry import GGUF, Registry, Served, State
from knowledge.embed import Embedder
from tests.handbook import write_handbook
from tests.test_export import write_run, write_small_base
from tests.tiny_base import write_model
from trainer.file_samples import folder_snapshot

CARRY = "How many days can I carry over?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over a small model that says "Five days.", and stops."""
    base = Base(write_small_base(tmp_path_factory.mktemp("base") / "small"), "float32", "float32")
    folder = write_run(tmp_path_factory.mktemp("runs") / "sft-1", base)
    (folder / "run.json").write_text(json.dumps({"dataset_sha256": "d"}), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"train_loss": 0.1}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def served() -> Served:
    return Served("", None, Settings().parts_dir, "quote")


@pytest.fixture(scope="module")
def exported(run: Path, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with the run's model in it."""
    registry = Registry(tmp_path_factory.mktemp("data"))
    export([run], served, registry, "Q8_0")
    return registry


@pytest.mark.slow
def test_a_run_becomes_a_verified_model_with_all_parts(exported: Registry, run: Path) -> None:
    ((name, standing),) = exported.current().models.items()
    assert (standing.state, standing.why) == (State.VERIFIED, "")
    manifest = exported.check(name)
    assert (manifest.generator, manifest.wording, manifest.type) == ("new", "generate", "Q8_0")
    assert set(manifest.parts.values()) == {"carried"} and "reader" in manifest.parts
    assert manifest.runs == (run.name,) and {GGUF, "verify.png", "report.md"} <= manifest.files.keys()
    assert manifest.metrics["verified F16"]["kl"] < 1e-4  # type: ignore[index, operator, call-overload]
    assert not list(exported.folder.glob(".work-*"))


@pytest.mark.slow
def test_a_step_that_was_done_is_not_done_again(run: Path, served: Served, tmp_path: Path) -> None:
    registry, steps = Registry(tmp_path), list[str]()

    class KilledError(Exception):
        pass

    def die(step: str) -> None:
        steps.append(step)
        if step.startswith("quantizing"):
            raise KilledError

    with pytest.raises(KilledError):
        export([run], served, registry, "Q8_0", die)
    assert not registry.current().models  # nothing of it can answer
    again: list[str] = []
    export([run], served, registry, "Q8_0", again.append)
    assert steps == ["merging", "converting", "quantizing to Q8_0"]
    assert again == ["quantizing to Q8_0", "verifying", "registering"]


@pytest.mark.slow
def test_an_adapter_of_another_base_is_rejected(run: Path, served: Served, tmp_path: Path) -> None:
    """Sabotage: what is served is not what was merged."""
    registry = Registry(tmp_path / "data")

    def swap(step: str) -> None:
        if step.startswith("quantizing"):
            (work,) = registry.folder.glob(".work-*")
            shutil.copytree(work / "merged", tmp_path / "other")
            write_model(tmp_path / "other", load_tokenizer(embedded_gguf()), hidden=64, are_tied=True)
            convert(tmp_path / "other", work / "f16.gguf")

    made = export([run], served, registry, "Q8_0", swap)
    standing = registry.current().models[made.id]
    assert standing.state is State.REJECTED and "says something else than the merged model" in standing.why


@pytest.mark.slow
def test_encoders_alone_take_the_same_road(served: Served, tmp_path: Path) -> None:
    run = tmp_path / "reader-1"
    shutil.copytree(served.parts / "reader", run / "reader")
    (run / "run.json").write_text(json.dumps({"dataset_sha256": "d"}), encoding="utf-8")
    (run / "metrics.json").write_text(json.dumps({"rows": 20}), encoding="utf-8")
    registry = Registry(tmp_path / "data")
    made = export([run], served, registry)
    assert registry.current().models[made.id].state is State.VERIFIED
    assert (made.generator, made.wording, made.parts["reader"]) == ("shipped", "quote", "new")
    assert not (registry.path(made.id) / GGUF).exists()


def test_what_holds_nothing_is_named(served: Served, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ModelError, match="holds nothing that was trained"):
        export([tmp_path / "run"], served, Registry(tmp_path))
    Base(tmp_path, "float32", "float32").save(tmp_path / "run")
    with pytest.raises(ModelError, match=f"holds no {ADAPTER}"):
        export([tmp_path / "run"], served, Registry(tmp_path))


@pytest_asyncio.fixture
async def lineup(exported: Registry, embedder: Embedder, tmp_path: Path) -> AsyncIterator[Lineup]:
    """What ships answers, and a registry with a model that could."""
    registry = Registry(tmp_path)
    shutil.copytree(exported.folder, registry.folder)
    docs = write_handbook(tmp_path / "docs", {"leave.md": "# Leave\n\nYou may carry over five days of leave.\n"})
    snapshot = folder_snapshot([docs], Settings(), embedder)

    def make(own: Settings, parts: Parts) -> Assistant:
        return assemble(own, embedder, parts, lambda: snapshot)

    lineup = Lineup(Settings(data_dir=tmp_path), registry, embedder, make)
    await lineup.start()
    yield lineup
    await lineup.close()


async def ask(lineup: Lineup, person: str = "") -> Answer:
    return [part async for part in lineup.ask(Question(CARRY, person=person)) if isinstance(part, Answer)][-1]


@pytest.mark.slow
async def test_a_promoted_model_answers_without_a_restart_and_nobody_waits_in_vain(lineup: Lineup) -> None:
    registry = lineup._registry
    (name,) = registry.current().models
    before = await ask(lineup)
    assert lineup.live == "" and "five days" in before.text

    answers: list[Answer] = []
    is_over = asyncio.Event()

    async def client() -> None:
        while not is_over.is_set():
            answers.append(await ask(lineup))

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await asyncio.sleep(0.3)
    registry.move(name, State.LIVE)
    old = lineup._live
    await lineup.look()
    while not any(answer.model != before.model for answer in answers):
        await asyncio.sleep(0.05)
    is_over.set()
    await asyncio.gather(*clients)  # none failed
    assert lineup.live == name and old.is_leaving and not old.under_way
    assert old.parts.engine._is_closing  # its memory is given back
    assert {answer.model for answer in answers} == {before.model, (await ask(lineup)).model}

    registry.rollback()
    await lineup.look()
    assert lineup.live == "" and (await ask(lineup)).model == before.model


@pytest.mark.slow
async def test_a_canary_answers_always_the_same_people(lineup: Lineup) -> None:
    (name,) = lineup._registry.current().models
    lineup._registry.move(name, State.CANARY, share=0.4)
    await lineup.look()
    people = [f"person-{n}" for n in range(50)]
    with_canary = [person for person in people if lineup._of(person).id == name]
    assert 10 <= len(with_canary) <= 30 and lineup._of("").id == ""
    assert [person for person in people if lineup._of(person).id == name] == with_canary
    assert (await ask(lineup, with_canary[0])).model != (await ask(lineup)).model
    lineup._registry.move(name, State.REJECTED, "worse")
    await lineup.look()
    assert {lineup._of(person).id for person in people} == {""}


@pytest.mark.slow
async def test_a_model_that_cannot_be_loaded_leaves_the_old_one(
    lineup: Lineup, caplog: pytest.LogCaptureFixture
) -> None:
    registry = lineup._registry
    (name,) = registry.current().models
    gguf = registry.path(name) / GGUF
    content = bytearray(gguf.read_bytes())
    content[len(content) // 2] ^= 1
    gguf.write_bytes(content)
    registry.move(name, State.LIVE)
    await lineup.look()
    await lineup.look()
    assert lineup.live == "" and "five days" in (await ask(lineup)).text
    assert caplog.text.count("is not taken up") == 1  # said once, not every two seconds
    started = Lineup(lineup._settings, registry, lineup._embedder, lineup._make)  # a server that starts now
    await started.start()
    assert started.live == "" and "five days" in (await ask(started)).text
    await started.close()
