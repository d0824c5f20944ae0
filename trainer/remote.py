"""Train on another machine: the same specification and dataset there, checkpoints and the adapter back here.

Enters: a specification, a dataset, and `ssh://[user@]host[:port]/folder`, a machine that ssh reaches without asking
anything and that has QuantaHR installed in that folder. Leaves: the finished run in this machine's runs, or the
checkpoints that came back in `<run>/uploads`, from which `resume_from_uploads` goes on here or there.

Only ssh and tar are used, and nothing is opened on either side. The other machine makes the plan, as it knows what it
can do; its base model must be the same one, which is checked when the adapter comes back. Machines are not rented here:
what rents one would give this module its address.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from config.errors import ConfigError, TrainingError
from exporter.base import Base, base_hash, read_base
from exporter.manifest import publishing
from trainer.alone import alone
from trainer.journal import Event
from trainer.runs import GENERATOR_KINDS, Run, RunSpec, open_run
from trainer.spec import TrainingSpec

_UPLOADS = "uploads"
_NOTE = "remote.json"
_LOOK_EVERY_S = 2.0
_ATTEMPTS, _SSH_FAILED = 4, 255
_WHOLE = ("trainer_state.json", "optimizer.pt")
_RUN_ID = re.compile(r"(?:sft|kto)-[0-9a-f]{10}")


@dataclass(frozen=True)
class Machine:
    """Where QuantaHR is installed on another machine. Make it with `machine_of`."""

    host: str
    port: int | None
    folder: str

    def ssh(self, script: str) -> list[str]:
        """The command that runs a shell script there."""
        patience = ["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15"]
        options = ["-o", "BatchMode=yes", *patience, *(["-p", str(self.port)] if self.port else [])]
        return ["ssh", *options, self.host, f"cd {shlex.quote(self.folder)} && {script}"]


def machine_of(url: str) -> Machine:
    """The machine that an address names.

    Raises:
        ConfigError: It is no such address.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "ssh" or not parts.hostname or not parts.path.strip("/") or port == -1:
        raise ConfigError(f"--on {url} is no address; write ssh://user@host/folder, where QuantaHR is installed.")
    host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    # A host that begins with a dash would be an option of ssh's.
    if host.startswith("-"):
        raise ConfigError(f"--on {url} is no address; a host's name does not begin with a dash.")
    return Machine(host, port, parts.path)


def command_there(name: str, kind: str) -> str:
    """What is run on the other machine, in the folder that QuantaHR is installed in."""
    folder = f"var/remote/{name}"
    return (
        f".venv/bin/quantahr train --spec {folder}/spec.json --dataset {folder}/dataset --kind {kind} --json"
        f" > {folder}/journal.jsonl"
    )


def train_there(
    machine: Machine, spec: TrainingSpec, wanted: RunSpec, runs: Path, on_event: Callable[[Event], None]
) -> Run:
    """Send, train, fetch; gives the finished run. The same call again goes on where it stopped.

    Raises:
        ConfigError: The kind needs what lies on this machine alone.
        TrainingError: The machine cannot be reached, or its training failed; what came back is named.
    """
    if wanted.kind not in GENERATOR_KINDS or wanted.parent:
        raise ConfigError("Only --kind sft, and kto without --parent, are trained on another machine; leave out --on.")
    name, base = wanted.id, wanted.plan.held  # that the base is here is known now, not after hours
    folder, uploads = f"var/remote/{name}", runs / name / _UPLOADS
    with alone(runs):
        uploads.parent.mkdir(parents=True, exist_ok=True)
        # So that an erasure finds what else holds the rows.
        note = {"host": machine.host, "folder": f"{machine.folder}/{folder}", "dataset": str(wanted.dataset)}
        (uploads.parent / _NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        if not _is_running(machine, folder):
            _send(machine, spec, wanted, folder, uploads)
            # Nobody's child, so that it goes on when the connection is lost; asked for again, it is found.
            work = f"{command_there(name, wanted.kind)} 2> {folder}/errors; echo $? > {folder}/status"
            start = f"(setsid sh -c {shlex.quote(work)} < /dev/null > /dev/null 2>&1 & echo $! > {folder}/pid)"
            _run(machine, f"rm -f {folder}/status {folder}/journal.jsonl; {start}")
        there = _follow(machine, folder, uploads, on_event)
        run = _fetch_run(machine, there, wanted, base, runs)
        _run(machine, f"rm -rf {folder} {shlex.quote(there)}")
        if run.folder != uploads.parent:
            shutil.rmtree(uploads.parent, ignore_errors=True)
        return run


def _is_running(machine: Machine, folder: str) -> bool:
    test = f"[ ! -f {folder}/status ] && kill -0 $(cat {folder}/pid 2>/dev/null) 2>/dev/null && echo yes || echo no"
    return _run(machine, test).decode().strip() == "yes"


def _send(machine: Machine, spec: TrainingSpec, wanted: RunSpec, folder: str, uploads: Path) -> None:
    """Specification, dataset, and checkpoints that came back earlier."""
    training = spec.training.model_copy(update={"resume_from_uploads": f"{folder}/{_UPLOADS}"})
    sent = spec.model_copy(update={"training": training})
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        text = sent.model_dump_json(indent=1).encode()
        entry = tarfile.TarInfo("spec.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
        archive.add(wanted.dataset, "dataset")
        if uploads.is_dir():
            archive.add(uploads, _UPLOADS)
    _run(machine, f"mkdir -p -m 700 {folder} && tar -xzf - -C {folder}", content.getvalue())


def _follow(machine: Machine, folder: str, uploads: Path, on_event: Callable[[Event], None]) -> str:
    """Tell its journal and fetch its checkpoints until it is done; gives the run's folder there."""
    there, told, is_over = "", 0, False
    while not is_over:
        is_over = not _is_running(machine, folder)
        status = _run(machine, f"cat {folder}/status 2>/dev/null || echo killed").decode().strip()
        written = _run(machine, f"tail -n +{told + 1} {folder}/journal.jsonl 2>/dev/null || true").decode()
        lines = written[: written.rfind("\n") + 1].splitlines()
        told += len(lines)
        for event in map(json.loads, lines):
            if event["event"] == "opened":
                there = str(event["folder"])
            elif event["event"] != "run":
                on_event(event)
            if event["event"] == "saved":
                _fetch_checkpoint(machine, there, int(event["step"]), uploads)
        time.sleep(0 if is_over else _LOOK_EVERY_S)
    if status != "0":
        said = _run(machine, f"tail -n 2 {folder}/errors").decode("utf-8", "replace").strip().replace("\n", " / ")
        raise TrainingError(
            f"Training on {machine.host} stopped with status {status} ({said}); what came back of it is in {uploads}. "
            "The same command goes on where it stopped."
        )
    if not _RUN_ID.fullmatch(PurePosixPath(there).name):
        raise TrainingError(f"{machine.host} names no run ({there!r}); see that the same version is installed there.")
    return there


def _fetch_checkpoint(machine: Machine, there: str, step: int, uploads: Path) -> None:
    """One checkpoint, in place of the one before; none where it was removed by then, as the next will come."""
    of, name = shlex.quote(f"{there}/checkpoints"), f"checkpoint-{step}"
    content = _run(machine, f"[ ! -d {of}/{name} ] || tar -czf - -C {of} {name} 2>/dev/null || true")
    with tempfile.TemporaryDirectory() as partial:
        try:
            _extract(content, Path(partial))
        except (tarfile.TarError, EOFError, OSError):
            return
        if not all((Path(partial) / name / file).is_file() for file in _WHOLE):
            return  # it was being removed
        with publishing(uploads) as folder:
            shutil.copytree(partial, folder, dirs_exist_ok=True)


def _fetch_run(machine: Machine, there: str, wanted: RunSpec, own: Base, runs: Path) -> Run:
    """The finished run, as if it had been made here."""
    content = _run(machine, f"tar -czf - -C {shlex.quote(there)} .")
    target = runs / PurePosixPath(there).name
    with publishing(target) as folder:
        _extract(content, folder)
        trained_on = read_base(folder)
        if trained_on.digest != base_hash(own.path):
            raise TrainingError(f"{machine.host} trained on another model than {own.path}; put the same one there.")
        replace(trained_on, path=own.path).save(folder)
        spec = open_run(folder).spec
        Run(folder, replace(spec, plan=replace(spec.plan, base=own.path), dataset=wanted.dataset)).save()
    return open_run(target)


def _extract(content: bytes, folder: Path) -> None:
    """Unpack what the other machine sent; names that lead out of the folder are refused (filter "data")."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")


def _run(machine: Machine, script: str, content: bytes = b"") -> bytes:
    for attempt in range(_ATTEMPTS):
        done = subprocess.run(machine.ssh(script), input=content, capture_output=True, check=False)
        if done.returncode != _SSH_FAILED:
            break
        time.sleep(attempt * _LOOK_EVERY_S)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TrainingError(
            f"{machine.host} cannot be used ({said[-1] if said else f'status {done.returncode}'}); see that 'ssh "
            f"{machine.host}' asks nothing, and that QuantaHR is installed in {machine.folder}."
        )
    return done.stdout
