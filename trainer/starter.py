"""Rebuild the trained parts that ship in `models/starter`, one after the other, from nothing.

Enters: a folder of training data (`samples/training`). Leaves: a folder for each part, with its manifest. Run:
`quantahr train --starter`.

Each part is trained in a process of its own (`python -m trainer.PART --data DIR --out DIR`), at low priority, so that
one that is killed takes nothing with it, and answering goes on beside it. A part whose manifest follows from the same
data, settings, seed and base, and whose files are unchanged, is left as it is; so the command that was interrupted is
also the command that goes on. What a part has learned so far within its own run is kept by the part.

The order matters: the other parts build on the retriever's vectors, and the reader on what it retrieves. They take the
retriever that lies beside them (`retriever_beside`). Every part's module has a function `recipe(data)`, or
`recipe(data, retriever)` where it builds on one, which says without training by what recipe the part would be made now.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from config.errors import ConfigError, ModelError, TrainingError
from config.machine import as_child
from exporter.manifest import (
    OVER_THE_EMBEDDER,
    PARTS,
    Manifest,
    PartName,
    Recipe,
    check_files,
    publishing,
    retriever_beside,
)
from trainer.alone import alone

_log = logging.getLogger(__name__)
# glibc gives large tensors back to the system as they are freed, and the system hands their pages out anew, zeroed, at
# the next step: a third of the training time, measured. So it is told to keep them (mallopt(3); bytes).
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


class State(StrEnum):
    """What became of a part."""

    REBUILT = "rebuilt"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Outcome:
    """A part after the run: what became of it, how long that took, how large it is, and its manifest."""

    state: State
    seconds: float
    size_bytes: int
    manifest: Manifest


def rebuild(
    parts: Sequence[PartName], data: Path, out: Path, *, force: bool, on_part: Callable[[PartName, int], None]
) -> list[Outcome]:
    """Rebuild the parts in the order in which they build on each other, each in `out/PART`.

    `on_part` hears each part's name and number, from 1, before it begins.

    Raises:
        ConfigError: There is no data.
        TrainingError: A part's training failed; those before it are done. Or another process trains into `out`.
    """
    if not data.is_dir():
        raise ConfigError(f"There is no folder {data} with training rows; name one with --data.")
    with alone(out):
        outcomes = []
        for number, part in enumerate((part for part in PARTS if part in parts), 1):
            on_part(part, number)
            began = time.monotonic()
            current = None if force else current_manifest(out / part, data)
            state = State.UNCHANGED if current else State.REBUILT
            manifest = current or _build(part, data, out)
            size = sum(path.stat().st_size for path in (out / part).rglob("*") if path.is_file())
            outcomes.append(Outcome(state, round(time.monotonic() - began, 1), size, manifest))
    return outcomes


def current_manifest(folder: Path, data: Path) -> Manifest | None:
    """The manifest of a part that training on `data` would give again; None when it must be made anew."""
    try:
        manifest = check_files(folder)
    except ModelError as error:
        _log.info("%s is rebuilt: %s", folder.name, error)
        return None
    return manifest if manifest.follows(planned(manifest.part, data, retriever_beside(folder))) else None


def planned(part: PartName, data: Path, retriever: Path) -> Recipe:
    """The recipe by which a part would be made now. Imports what trains it, which takes seconds."""
    over = [retriever] if part in OVER_THE_EMBEDDER else []
    recipe: Recipe = importlib.import_module(f"trainer.{part}").recipe(data, *over)
    return recipe


def _build(part: PartName, data: Path, out: Path) -> Manifest:
    with publishing(out / part) as folder:
        command = [sys.executable, "-m", f"trainer.{part}", "--data", str(data), "--out", str(folder)]
        # What it prints is for people: stdout belongs to the command's own result.
        status = subprocess.run(
            command, stdout=sys.stderr, env=_KEEP_MEMORY | os.environ, preexec_fn=as_child, check=False
        ).returncode
        if status:
            raise TrainingError(
                f"Training the {part} stopped with status {status}, as said above; what was there before is kept. "
                "The same command goes on where it stopped."
            )
        return check_files(folder)
