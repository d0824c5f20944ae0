"""Say how a trained part was made, and prove that its files are the ones that were made.

Enters: a folder with a part's weights. Leaves: `manifest.json` beside them: what the part was trained on and how, what
it was measured to do, and the hash of every file. No date and no path of a machine, so that the same inputs give the
same manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from config.errors import ModelError
from config.settings import Settings

MANIFEST = "manifest.json"
PartName = Literal["retriever", "triage", "followup", "reader", "matcher"]
PARTS: tuple[PartName, ...] = get_args(PartName)
# What reads the embedder's vectors, and is wrong over those of another.
OVER_THE_EMBEDDER: frozenset[PartName] = frozenset({"triage", "reader", "matcher"})


class Recipe(BaseModel):
    """What decides the weights: a part whose recipe has not changed need not be made again.

    `base` names the weights that training began with, and where the part reads the embedder's vectors, that embedder's
    version, as a word of its own. `rows` and `employers` are those trained on, `data_sha256` covers them and the
    policies that they are about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: PartName
    command: str
    base: str
    rows: int
    employers: tuple[str, ...] = ()
    data_sha256: str
    seed: int
    settings: dict[str, JsonValue]

    @property
    def digest(self) -> str:
        """A short name for this recipe, such as for the folder of its checkpoints."""
        return hashlib.sha256(self.model_dump_json(include=set(Recipe.model_fields)).encode()).hexdigest()[:8]

    def fits(self, embedder_version: str) -> bool:
        """Whether the part does not depend on the embedder, or was made over this one."""
        return self.part not in OVER_THE_EMBEDDER or embedder_version in self.base.split()


class Manifest(Recipe):
    """A recipe, what came of it, and under which terms its data stands. `files` maps names to SHA-256 sums."""

    metrics: dict[str, JsonValue]
    licences: tuple[str, ...]
    created_by: str
    files: dict[str, str] = {}

    def follows(self, recipe: Recipe) -> bool:
        """Whether the part was made by this recipe; how the command was written down does not matter."""
        return all(getattr(self, name) == getattr(recipe, name) for name in Recipe.model_fields.keys() - {"command"})


def make_manifest(recipe: Recipe, metrics: dict[str, JsonValue], licences: tuple[str, ...]) -> Manifest:
    """The manifest of a part that this version made; `write_manifest` adds the files."""
    return Manifest(
        **recipe.model_dump(), metrics=metrics, licences=licences, created_by=f"quantahr {version('quantahr')}"
    )


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest beside the part's files, with their hashes; returns it as written."""
    hashed = manifest.model_copy(update={"files": _hashes(folder)})
    text = json.dumps(hashed.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return hashed


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a part.

    Raises:
        ModelError: There is none, or it is no manifest.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no {MANIFEST} in {folder}; make the part anew with '{rebuilds(folder)}'."
        ) from error
    except (OSError, ValidationError) as error:
        what = f"{error.error_count()} faults" if isinstance(error, ValidationError) else str(error)
        raise ModelError(
            f"{folder / MANIFEST} is no manifest ({what}); restore it from the release, or make the part anew with "
            f"'{rebuilds(folder)}'."
        ) from error


def check_files(folder: Path) -> Manifest:
    """The manifest of a part whose files are all there and unchanged.

    Raises:
        ModelError: The manifest cannot be read, or a file is missing, changed or not listed; it is named.
    """
    manifest = read_manifest(folder)
    present = _hashes(folder)
    wrong = sorted(name for name in manifest.files.keys() | present if manifest.files.get(name) != present.get(name))
    if wrong:
        raise ModelError(
            f"{folder / wrong[0]} is not the file that its manifest lists; restore it from the release, or make the "
            f"part anew with '{rebuilds(folder)}'."
        )
    return manifest


def retriever_beside(folder: Path) -> Path:
    """The retriever that the part in `folder` builds on: the one beside it, else the one in use by default."""
    beside = folder.parent / "retriever"
    return beside if beside.is_dir() else Settings().parts_dir / "retriever"


def rebuilds(folder: Path) -> str:
    """The command that makes the part in this folder anew."""
    return f"quantahr train --starter --only {folder.name}"


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def publishing(target: Path, *, is_private: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `target` when the block ends, and is dropped when it fails.

    A reader finds the old files or the new ones, never a mixture. A folder cannot be replaced in one step, so between
    two renames there is a moment with neither; should the process die in it, the old folder lies beside the target
    under ".NAME.old", and the next call puts it back. What is private only its owner can read.
    """
    new, old = (target.with_name(f".{target.name}.{kind}") for kind in ("new", "old"))
    if old.exists() and not target.exists():
        old.rename(target)
    for left_over in (new, old):
        shutil.rmtree(left_over, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        for path in (*new.rglob("*"), new):
            # safetensors writes files that only their owner can read
            path.chmod((0o700 if path.is_dir() else 0o600) if is_private else 0o755 if path.is_dir() else 0o644)
            flush(path)
        if target.exists():
            target.rename(old)
        new.rename(target)
        flush(target.parent)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """Have a file, or a folder's list of files, reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
