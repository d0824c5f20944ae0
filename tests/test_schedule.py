"""Training by itself: when there is enough, one at a time, and seen from outside."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bot.nightly import Nightly, _trigger
from bot.store import Store, Vote, open_store
from bot.web.api import create_app
from config.errors import ConfigError, QuantaHRError
from config.settings import DocumentSettings, Settings, TrainingSettings
from config.training import TrainingState
from exporter.registry import Registry, State
from tests.fake_service import FakeAssistant, fake_settings
from tests.handbook import write_handbook
from tests.test_dataset import BEN, answered
from tests.test_export import write_small_base
from trainer import schedule
from trainer.evaluate import row_of
from trainer.gate import QuestionSet
from trainer.schedule import train_now
from trainer.spec import TrainingSpec


def a_spec(base: Path, minimum: int) -> TrainingSpec:
    record = {
        "model": {"base_llm_model": str(base), "quantization": {"load_in_4bit": False}, "max_sequence_length": 400},
        "datasets": [{"type": "feedback"}],
        "data": {"feedback_minimum": minimum, "validation_share": 0},
        "training": {
            "max_steps": 2,
            "logging_steps": 1,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 1,
        },
    }
    return TrainingSpec.model_validate(record)


def liked(store: Store, *names: str) -> None:
    for name in names:
        answered(store, name, question=f"How many days can I carry over in {name}?")
        store.vote(Vote(name, BEN, 5, happened_at=datetime(2026, 5, 1, tzinfo=UTC)))


@pytest.mark.slow
def test_it_trains_when_there_is_enough_that_is_new_and_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes all the way: exported, verified, and asked beside what answers, which it is no better than."""
    settings = Settings(
        data_dir=tmp_path / "data", documents=DocumentSettings(folder=write_handbook(tmp_path / "handbook"))
    )
    row = row_of({"id": "1", "question": "How many days of leave can I carry over?", "ideal": "Five days."})
    asked = [QuestionSet("one question", settings.documents.folder, (row,))]
    monkeypatch.setattr(schedule, "question_sets", lambda *_: asked)
    spec = a_spec(write_small_base(tmp_path / "base"), 3)
    store = open_store(settings.data_dir)
    liked(store, "a1", "a2")
    assert train_now(spec, settings).in_words == "collecting 2/3"
    assert TrainingState.read(settings.data_dir).in_words == "collecting 2/3"
    liked(store, "a3")
    percents: list[int] = []
    reached = train_now(
        spec, settings, on_event=lambda _: percents.append(TrainingState.read(settings.data_dir).percent)
    )
    ((model, standing),) = Registry(settings.data_dir).current().models.items()
    assert reached.state == "idle" and reached.result.startswith(f"{model} (new generator) is not used: ")
    assert standing.state is State.REJECTED and standing.gate == "failed" and standing.why in reached.result
    assert (settings.data_dir / "runs" / reached.run / "adapter" / "adapter_model.safetensors").is_file()
    assert max(percents) == 100
    again = train_now(spec, settings)
    assert again.in_words == "collecting 0/3" and again.run == reached.run  # nothing is new
    store.close()


def test_a_failure_is_in_the_state(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", documents=DocumentSettings(folder=write_handbook(tmp_path / "handbook"))
    )
    with pytest.raises(QuantaHRError, match="no rows to train on"):
        train_now(a_spec(tmp_path, 0), settings)
    assert TrainingState.read(settings.data_dir).in_words.startswith("failed: ")


async def test_the_state_is_on_the_api(tmp_path: Path) -> None:
    settings = fake_settings(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps({"state": "running", "percent": 40}), encoding="utf-8")
    settings = settings.model_copy(update={"data_dir": tmp_path})
    app = create_app(settings, FakeAssistant().start)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        reply = await client.get("/api/training")
    assert (reply.status_code, reply.json()["state"], reply.json()["percent"]) == (200, "running", 40)


def test_what_is_no_schedule_is_named() -> None:
    with pytest.raises(ConfigError, match=r"training\.schedule"):
        Nightly(TrainingSettings(schedule="at night"), None)


@pytest.mark.parametrize(
    ("schedule", "day"), [("0 2 * * 0", 6), ("0 2 * * 7", 6), ("0 2 * * 1-5", 0), ("5 2 * * *", None)]
)
def test_days_are_those_of_cron_in_utc(schedule: str, day: int | None) -> None:
    saturday = datetime(2026, 11, 21, 12, tzinfo=UTC)
    fires = _trigger(schedule).get_next_fire_time(None, saturday)
    assert fires.hour == 2 and fires.utcoffset() == timedelta(0)
    assert day is None or fires.weekday() == day


async def test_the_scheduler_starts_the_command_and_ends_it_with_the_server(tmp_path: Path) -> None:
    nightly = Nightly(TrainingSettings(schedule="0 2 * * *"), tmp_path / "quantahr.toml")
    assert nightly._command[1:] == [
        "-m",
        "bot.cli",
        "--config",
        str(tmp_path / "quantahr.toml"),
        "train",
        "--now",
        "--spec",
        str(TrainingSettings().spec),
    ]
    # What it runs is the command line, which says here that there is no such configuration.
    done = subprocess.run(nightly._command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "There is no configuration file" in done.stderr
    nightly.start()
    (job,) = nightly._scheduler.get_jobs()
    assert (job.max_instances, job.coalesce, job.next_run_time.hour) == (1, True, 2)
    nightly._command = [sys.executable, "-c", "import time; time.sleep(60)"]
    running = asyncio.create_task(nightly.train())
    while nightly._child is None:
        await asyncio.sleep(0.01)
    await nightly.stop()
    assert await running != 0


async def test_what_came_of_the_night_is_told_and_a_night_without_news_is_not(tmp_path: Path) -> None:
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)
        raise ConnectionError

    nightly = Nightly(TrainingSettings(), None, tmp_path)
    nightly.tell = tell
    nightly._command = [sys.executable, "-c", ""]
    for state in (
        {"state": "collecting", "result": "of an earlier night", "at": "2999-01-01T00:00:00Z"},
        {"state": "idle", "result": "of an earlier night", "at": "2026-01-01T00:00:00Z"},
        {"state": "idle", "result": "m1 answers", "at": "2999-01-01T00:00:00Z"},
    ):
        (tmp_path / "training.json").write_text(json.dumps(state), encoding="utf-8")
        assert await nightly.train() == 0
    assert told == ["The nightly training is done. m1 answers"]
