"""Training on another machine: the other end is a folder of this one, reached through a stand-in for ssh."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from config.errors import ConfigError, TrainingError
from exporter.base import base_of
from tests.test_sft import TRAINING, a_plan, write_dataset
from tests.tiny_base import write_tiny_base
from trainer import remote
from trainer.journal import Event
from trainer.remote import Machine, machine_of, train_there
from trainer.runs import RunSpec, dataset_hash
from trainer.spec import TrainingSpec

# As sshd does: what follows the host is one script for a shell.
SSH = '#!/bin/sh\nwhile [ "$1" = -o ] || [ "$1" = -p ]; do shift 2; done\nshift\nexec sh -c "$*"\n'


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with QuantaHR in a folder of its own."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(SSH, encoding="utf-8")
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "there"
    (folder / ".venv/bin").mkdir(parents=True)
    command = folder / ".venv/bin/quantahr"
    root = Path(__file__).parents[1]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m bot.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return machine_of(f"ssh://someone@gpu:2222{folder}")


def a_request(tmp_path: Path, base: Path, steps: int = 6) -> tuple[TrainingSpec, RunSpec]:
    training = TRAINING | {"max_steps": steps, "save_steps": 20}
    record = {
        "model": {"base_llm_model": str(base), "quantization": {"load_in_4bit": False}, "max_sequence_length": 256},
        "training": training,
    }
    dataset = write_dataset(tmp_path / "d")
    plan = a_plan(base, **training)
    return TrainingSpec.model_validate(record), RunSpec("sft", plan, dataset, dataset_hash(dataset))


@pytest.mark.slow
def test_a_run_comes_back_as_if_it_had_been_made_here(there: Machine, tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base")
    spec, wanted = a_request(tmp_path, base)
    runs, events = tmp_path / "runs", list[Event]()
    run = train_there(there, spec, wanted, runs, events.append)
    assert run.folder.parent == runs and run.metrics and run.metrics["steps"] == 6
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert base_of(run.folder).path == base and run.spec.dataset == wanted.dataset
    left = [*Path(there.folder).glob("var/remote/*"), *Path(there.folder).glob("var/runs/sft-*")]
    assert left == []  # the dataset holds what employees asked


@pytest.mark.slow
def test_another_base_there_is_refused(there: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_tiny_base(tmp_path / "base")
    spec, wanted = a_request(tmp_path, base)
    monkeypatch.setattr(remote, "base_hash", lambda _: "of another")
    with pytest.raises(TrainingError, match="another model"):
        train_there(there, spec, wanted, tmp_path / "runs", lambda _: None)
    note = json.loads((tmp_path / "runs" / wanted.id / "remote.json").read_text(encoding="utf-8"))
    assert note["host"] == "someone@gpu" and note["folder"].startswith(there.folder)  # an erasure finds it


@pytest.mark.slow
def test_what_stopped_there_goes_on_from_the_checkpoint_that_came_back(
    there: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_LOOK_EVERY_S", 0.05)
    base = write_tiny_base(tmp_path / "base")
    spec, wanted = a_request(tmp_path, base, steps=400)
    runs = tmp_path / "runs"
    uploads = runs / wanted.id / "uploads"

    class LostError(Exception):
        pass

    def lose_it(_: Event) -> None:
        if uploads.is_dir():
            raise LostError

    with pytest.raises(LostError):
        train_there(there, spec, wanted, runs, lose_it)
    (checkpoint,) = uploads.iterdir()
    (process,) = Path(there.folder).glob("var/remote/*/pid")
    os.killpg(int(process.read_text()), signal.SIGKILL)
    shutil.rmtree(Path(there.folder) / "var")  # that machine was only lent
    events: list[Event] = []
    run = train_there(there, spec, wanted, runs, events.append)
    begun = next(event for event in events if event["event"] == "begin")
    assert begun["step"] == int(checkpoint.name.rpartition("-")[2]) > 0
    assert run.metrics and run.metrics["steps"] == 400


def test_trouble_there_is_said_here(there: Machine, tmp_path: Path) -> None:
    spec, wanted = a_request(tmp_path, write_tiny_base(tmp_path / "base"))
    (Path(there.folder) / ".venv/bin/quantahr").write_text("#!/bin/sh\necho no torch >&2\nexit 3\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"stopped with status 3 \(no torch\)"):
        train_there(there, spec, wanted, tmp_path / "runs", lambda _: None)
    with pytest.raises(TrainingError, match="cannot be used"):
        train_there(Machine("gpu", None, str(tmp_path / "gone")), spec, wanted, tmp_path / "runs", lambda _: None)


@pytest.mark.parametrize("url", ["gpu", "ssh://gpu", "ssh://gpu:port/x", "http://gpu/x", "ssh:///x", "ssh://-oProxy/x"])
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        machine_of(url)
