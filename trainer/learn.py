"""Carry a run to its end: check that it can be done, train in a process of its own, fall back when memory runs out.

Enters: a `RunSpec`. Leaves: the finished `Run`. Killed at any point, the next call goes on from the last checkpoint;
another process that trains is refused. Of steps, `on_event` hears as they are written.

Memory that runs out ends the training process; it is begun anew with less at once, the same step made of more
batches, and the run says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from config.errors import TrainingError
from config.machine import as_child
from trainer.alone import alone
from trainer.journal import Event
from trainer.plan import Plan, smaller
from trainer.runs import GENERATOR_KINDS, OUT_OF_MEMORY, Run, RunSpec, make_run

_MODULES = {
    "sft": "trainer.sft",
    "kto": "trainer.preference",
    "reader": "trainer.adapt_reader",
    "matcher": "trainer.adapt_matcher",
}
_POLL_S = 0.5
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1.1, "nf4": 0.6, "fp4": 0.6}
# Python, torch and the rows; and of a checkpoint the adapter with Adam's two moments, in 32 bits.
_PROCESS_GB = 1.5
_COPIES = 3


def learn(runs: Path, spec: RunSpec, on_event: Callable[[Event], None]) -> Run:
    """Do a run, or what is left of it; one that is done is given as it is.

    Raises:
        TrainingError: Another process trains, disk or memory will not suffice, or the training failed.
        ModelError, ConfigError: As `trainer.sft` raises.
    """
    run = make_run(runs, spec)
    on_event({"event": "opened", "folder": str(run.folder)})
    if run.metrics is not None:
        return run
    with alone(runs) as lock:
        if spec.kind in GENERATOR_KINDS:
            check_room(run.plan, runs)
        while (status := _train(run, on_event, lock)) != 0:
            less = smaller(run.plan) if status == OUT_OF_MEMORY else None
            if less is None:
                raise TrainingError(
                    f"Training stopped with status {status}, as said above; {run.folder} holds its journal. The same "
                    "command goes on where it stopped."
                )
            run.journal.add(
                "less_memory", batch=less.batch, checkpointing=less.use_checkpointing, r=less.spec.model.lora.r
            )
            shutil.rmtree(run.checkpoints, ignore_errors=True)
            run = Run(run.folder, replace(run.spec, plan=less))
            run.save()
    return run


def check_room(plan: Plan, folder: Path) -> None:
    """Check that the base and a micro-batch fit into memory, and the checkpoints on the disk.

    Raises:
        TrainingError: They do not; both numbers are named.
    """
    size = _parameters_gb(plan)
    memory = _PROCESS_GB + size + plan.batch * plan.max_tokens * 2.0 / 1000 * max(1.0, size / 0.27) ** 0.5
    free = psutil.virtual_memory().available / 1e9
    if plan.device == "cpu" and memory > free:
        raise TrainingError(
            f"Training needs about {memory:.1f} GB of memory and {free:.1f} GB are free; lower "
            "training.per_device_train_batch_size or model.max_sequence_length, or stop something else."
        )
    adapter = size * 0.04 * plan.spec.model.lora.r / 16
    disk = adapter * _COPIES * ((plan.spec.training.save_total_limit or 5) + 1) + 0.1
    left = shutil.disk_usage(folder).free / 1e9
    if disk > left:
        raise TrainingError(
            f"Training needs about {disk:.1f} GB on the disk and {folder} has {left:.1f} GB left; make room, or set "
            "training.save_total_limit to 1."
        )


def _parameters_gb(plan: Plan) -> float:
    """About how large the base is in memory."""
    base = plan.base
    if base is None:
        return 0.0
    files = [base] if base.is_file() else [*base.glob("*.safetensors"), *base.glob("*.bin")]
    stored = sum(file.stat().st_size for file in files) / 1e9
    # A GGUF of four bits and a bit; a folder holds sixteen.
    parameters = stored / 0.72 if base.suffix == ".gguf" else stored / 2
    return parameters * _BYTES[plan.weights]


def _train(run: Run, on_event: Callable[[Event], None], lock: int) -> int:
    """One process; gives its exit status, `OUT_OF_MEMORY` also where the system killed it for that."""
    command = [sys.executable, "-W", "ignore::FutureWarning", "-m", _MODULES[run.spec.kind], "--run", str(run.folder)]
    told, killed_before = sum(1 for _ in run.journal.events()), _killed_for_memory()
    # What it prints is for people: stdout belongs to the command's own result.
    # trl refuses several GPUs in one process; `accelerate launch` gives each its own.
    one_gpu = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
    process = subprocess.Popen(command, stdout=2, preexec_fn=as_child, pass_fds=(lock,), env=os.environ | one_gpu)
    try:
        while process.poll() is None:
            time.sleep(_POLL_S)
            told = _tell(run, told, on_event)
    except BaseException:  # Ctrl-C, too: nothing must go on training unseen
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    _tell(run, told, on_event)
    if process.returncode == -signal.SIGKILL and _killed_for_memory() > killed_before:
        run.journal.add("out_of_memory", message="the system ended the process")
        return OUT_OF_MEMORY
    return process.returncode


def _tell(run: Run, told: int, on_event: Callable[[Event], None]) -> int:
    events = list(run.journal.events())
    for event in events[told:]:
        on_event(event)
    return len(events)


def _killed_for_memory() -> int:
    """How many processes the kernel has ended for want of memory since it started."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
