"""Which models there are, what became of each, and which one answers.

Enters: folders of exported models, and moves between states. Leaves: `<data_dir>/registry/`: a folder for each model
that is never changed again, and `current.json`, which says which is live, which was before, and the state of all. That
file is replaced at once and reaches the disk before anything counts: a crash at any point leaves the old model live.

What ships with QuantaHR has no folder; it is the model "", which going back ends at. Exports, the gate, promotion,
rollback and the votes on a canary write here; answering reads.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from config.errors import ModelError
from exporter.manifest import MANIFEST, PartName, flush

FOLDER, CURRENT, REPORTS, GGUF, PARTS_FOLDER = "registry", "current.json", "reports", "model.gguf", "parts"
_LOCK = ".lock"
_CHUNK = 2**22


class State(StrEnum):
    """Where a model stands on its way."""

    CANDIDATE = "candidate"
    VERIFIED = "verified"
    CANARY = "canary"
    LIVE = "live"
    RETIRED = "retired"
    REJECTED = "rejected"


MOVES: Mapping[State, frozenset[State]] = {
    State.CANDIDATE: frozenset({State.VERIFIED, State.REJECTED}),
    State.VERIFIED: frozenset({State.CANARY, State.LIVE, State.REJECTED}),
    State.CANARY: frozenset({State.LIVE, State.VERIFIED, State.REJECTED}),
    State.LIVE: frozenset({State.RETIRED}),
    State.RETIRED: frozenset({State.LIVE, State.CANARY}),
    State.REJECTED: frozenset(),
}


class ModelManifest(BaseModel):
    """What a model is made of, written once.

    `runs` were trained on the datasets named by `dataset_sha256`, and what was carried over on those of `inherited`;
    `parts` says of each encoder whether it is new or was carried over; `wording` is how answers are worded with it;
    `parent` is the model that was live when it was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    made_at: datetime
    parent: str
    runs: tuple[str, ...]
    dataset_sha256: tuple[str, ...]
    inherited: tuple[str, ...] = ()
    base: str = ""
    base_digest: str = ""
    type: str = ""
    wording: Literal["quote", "generate"]
    generator: Literal["new", "carried", "shipped"]
    parts: dict[PartName, Literal["new", "carried"]]
    metrics: dict[str, JsonValue] = {}
    problems: tuple[str, ...] = ()
    created_by: str
    files: dict[str, str] = {}


class Standing(BaseModel):
    """A model's state, since when and why; `gate` says what the gate said, "passed", "failed" or nothing yet, and
    `against` beside which live model."""

    model_config = ConfigDict(extra="ignore")

    state: State
    at: datetime
    why: str = ""
    gate: Literal["", "passed", "failed"] = ""
    against: str = ""


class Current(BaseModel):
    """The whole of `current.json`. "" is what ships."""

    model_config = ConfigDict(extra="ignore")

    live: str = ""
    previous: str | None = None
    canary: str = ""
    canary_share: float = 0.0
    models: dict[str, Standing] = {}


@dataclass(frozen=True)
class Served:
    """What answers now: the model's id, "" for what ships; its GGUF, None for the embedded one; its encoders."""

    id: str
    gguf: Path | None
    parts: Path
    wording: Literal["quote", "generate"]


class Registry:
    """The models of one installation."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER

    def current(self) -> Current:
        """What is live, and the state of every model.

        Raises:
            ModelError: The file cannot be read.
        """
        try:
            return Current.model_validate_json((self.folder / CURRENT).read_bytes())
        except FileNotFoundError:
            return Current()
        except (OSError, ValidationError) as error:
            raise ModelError(
                f"{self.folder / CURRENT} cannot be read ({error}); restore it, or remove it to answer with what ships."
            ) from error

    def path(self, model: str) -> Path:
        """A model's folder."""
        return self.folder / model

    def manifest(self, model: str) -> ModelManifest:
        """What a model is made of.

        Raises:
            ModelError: There is no such model.
        """
        try:
            return ModelManifest.model_validate_json((self.path(model) / MANIFEST).read_bytes())
        except (OSError, ValidationError) as error:
            known = ", ".join(self.current().models) or "none"
            raise ModelError(f"There is no model {model}; there are: {known}.") from error

    def check(self, model: str) -> ModelManifest:
        """The manifest of a model whose files are all there and unchanged; reads every byte.

        Raises:
            ModelError: A file is missing or changed; it is named.
        """
        manifest = self.manifest(model)
        present = hashes(self.path(model))
        wrong = sorted(
            name for name in manifest.files.keys() | present if manifest.files.get(name) != present.get(name)
        )
        if wrong:
            raise ModelError(
                f"{self.path(model) / wrong[0]} is not the file that was exported; export the run again, or go back "
                "with 'quantahr models rollback'."
            )
        return manifest

    def add(self, manifest: ModelManifest, content: Path) -> ModelManifest:
        """Take up the folder `content` as a new model; it is moved here whole, and its files are hashed.

        The same model again changes nothing.
        """
        named = manifest.model_copy(update={"files": hashes(content)})
        with self._changing() as current:
            if manifest.id not in current.models or not self.path(manifest.id).is_dir():
                (content / MANIFEST).write_text(named.model_dump_json(indent=1) + "\n", encoding="utf-8")
                for path in sorted(content.rglob("*"), reverse=True):
                    flush(path)
                flush(content)
                shutil.rmtree(self.path(manifest.id), ignore_errors=True)
                content.rename(self.path(manifest.id))
                flush(self.folder)
            current.models.setdefault(manifest.id, Standing(state=State.CANDIDATE, at=datetime.now(UTC)))
        return self.manifest(manifest.id)

    def move(
        self, model: str, state: State, why: str = "", share: float = 0.0, *, only_from: State | None = None
    ) -> Current:
        """Bring a model into another state. What was live, or canary, before makes room in the same moment.

        `only_from` names the state it must still be in: for whoever decided by what was true a while ago.

        Raises:
            ModelError: There is no such model, or it cannot go there from where it stands.
        """
        with self._changing() as current:
            standing = current.models.get(model)
            if standing is None or not self.path(model).is_dir():
                known = ", ".join(current.models) or "none"
                raise ModelError(f"There is no model {model}; there are: {known}.")
            if state not in MOVES[standing.state] or only_from not in (None, standing.state):
                can = ", ".join(sorted(MOVES[standing.state])) or "nothing else"
                raise ModelError(f"{model} is {standing.state} and cannot become {state}; from there it can be {can}.")
            if model == current.canary:
                current.canary, current.canary_share = "", 0.0
            if state is State.LIVE:
                if current.live:
                    _stand(current, current.live, State.RETIRED, f"{model} took its place")
                current.previous, current.live = current.live, model
            elif state is State.CANARY:
                if current.canary:
                    _stand(current, current.canary, State.VERIFIED, f"{model} took its place")
                current.canary, current.canary_share = model, share
            _stand(current, model, state, why)
        return current

    def gated(self, model: str, *, passed: bool, why: str, against: str = "") -> None:
        """Note what the gate said; a model that fails it, and is not live, can never answer."""
        with self._changing() as current:
            standing = current.models[model]
            standing.gate = "passed" if passed else "failed"
            standing.why, standing.against = why, against
            if not passed and standing.state in (State.VERIFIED, State.CANARY):
                if current.canary == model:
                    current.canary, current.canary_share = "", 0.0
                standing.state, standing.at = State.REJECTED, datetime.now(UTC)

    def rollback(self, why: str = "rolled back") -> Current:
        """Go back to the model before; after that, to what ships.

        Raises:
            ModelError: There was none, or its folder is gone, or it was rejected meanwhile.
        """
        with self._changing() as current:
            if current.previous is None:
                raise ModelError("There is no model to go back to: what ships is live, and was from the beginning.")
            if current.previous and not (self.path(current.previous) / MANIFEST).is_file():
                raise ModelError(f"The folder of {current.previous} is gone; promote another model.")
            if current.previous and current.models[current.previous].state is State.REJECTED:
                raise ModelError(f"{current.previous} was rejected since; promote another model.")
            if current.live:
                _stand(current, current.live, State.RETIRED, why)
            current.live, current.previous = current.previous, "" if current.previous else None
            if current.live:
                _stand(current, current.live, State.LIVE, why)
            if current.canary == current.live:
                current.canary, current.canary_share = "", 0.0
        return current

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest models beyond `keep`; never the live one, the one before, or the canary."""
        removed = []
        with self._changing() as current:
            kept = {current.live, current.previous, current.canary}
            done = [
                name
                for name, standing in sorted(current.models.items(), key=lambda item: item[1].at)
                if name not in kept
            ]
            for name in done[: max(0, len(current.models) - keep)]:
                shutil.rmtree(self.path(name), ignore_errors=True)
                del current.models[name]
                removed.append(name)
        return removed

    @contextmanager
    def _changing(self) -> Iterator[Current]:
        """The current state to change, which takes its place when the block ends well; one process at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            current = self.current()
            yield current
            part = self.folder / f".{CURRENT}"
            with part.open("w", encoding="utf-8") as file:
                file.write(current.model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / CURRENT)
            flush(self.folder)


def _stand(current: Current, model: str, state: State, why: str) -> None:
    before = current.models[model]
    now = datetime.now(UTC)
    current.models[model] = before.model_copy(update={"state": state, "at": now, "why": why or before.why})


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
