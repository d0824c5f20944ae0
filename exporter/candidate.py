"""Make a candidate of what was trained: merge, convert, quantize, verify, register.

Enters: the folders of finished runs, and what answers now. Leaves: a model in the registry, verified or rejected with
the reasons, with all parts in its folder: those that are new, and those carried over.

Every step leaves a file that the next call finds, in a work folder named by the runs: killed at any point, the same
call goes on. What is heavy runs in processes of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from config.errors import ModelError
from config.lock import only_one
from config.machine import as_child
from exporter.base import ADAPTER, BASE_FILE, read_base
from exporter.convert import convert
from exporter.manifest import MANIFEST, PARTS, PartName
from exporter.quantize import check_type, default_type, quantize
from exporter.reference import read_reference
from exporter.registry import GGUF, PARTS_FOLDER, ModelManifest, Registry, Served, State
from exporter.verify import PLOT, Verification, plot, verify

_F16, _REPORT = "f16.gguf", "report.md"
_GB = 1e9


def export(
    runs: Sequence[Path],
    served: Served,
    registry: Registry,
    kind: str = "",
    on_step: Callable[[str], None] = lambda _: None,
) -> ModelManifest:
    """Carry runs to a model in the registry; `kind` is llama.cpp's type, chosen by size where it is empty.

    Of several runs of the generator the last counts, as it went on from the others.

    Raises:
        ModelError: A run is not finished, the disk is too full, or a step failed.
        ConfigError: llama.cpp knows no such type.
    """
    registry.folder.mkdir(parents=True, exist_ok=True)
    refused = ModelError("Another process exports a model; wait until it is done, or stop it.")
    with only_one(registry.folder / ".export.lock", refused):
        return _export(runs, served, registry, kind, on_step)


def _export(
    runs: Sequence[Path], served: Served, registry: Registry, kind: str, on_step: Callable[[str], None]
) -> ModelManifest:
    generators = [run for run in runs if (run / BASE_FILE).is_file()]
    encoders = {part: run / part for run in runs for part in PARTS if (run / part / MANIFEST).is_file()}
    for run in runs:
        if run not in generators and not any(run == folder.parent for folder in encoders.values()):
            raise ModelError(f"{run} holds nothing that was trained; finish it with 'quantahr train'.")
    wanted = check_type(kind) if kind else ""
    work = registry.folder / f".work-{_digest(runs, served, wanted)}"
    name = work.name.removeprefix(".work-")
    if name in registry.current().models and registry.path(name).is_dir():
        return _settled(registry, name)
    for abandoned in registry.folder.glob(".work-*"):  # of an export that will not be taken up again
        if abandoned != work:
            shutil.rmtree(abandoned, ignore_errors=True)
    content = work / "content"
    verifications: list[Verification] = []
    if generators:
        verifications, wanted = _generator(generators[-1], work, content, wanted, on_step)
    elif served.gguf:
        _copy(served.gguf, content / GGUF)
    on_step("registering")
    carried = _parts(encoders, served.parts, content / PARTS_FOLDER)
    _write_report(content, verifications, runs)
    manifest = _manifest(runs, generators, served, registry, carried, verifications, wanted)
    registry.add(manifest.model_copy(update={"id": name}), content)
    shutil.rmtree(work, ignore_errors=True)
    return _settled(registry, name)


def _settled(registry: Registry, name: str) -> ModelManifest:
    """A model that is in the registry, verified or rejected by what its manifest says was found."""
    manifest = registry.manifest(name)
    if registry.current().models[name].state is State.CANDIDATE:
        state = State.REJECTED if manifest.problems else State.VERIFIED
        registry.move(name, state, "; ".join(manifest.problems))
    return manifest


def _generator(
    run: Path, work: Path, content: Path, kind: str, on_step: Callable[[str], None]
) -> tuple[list[Verification], str]:
    """Merge, convert, quantize and verify; the file that will be served is `content/model.gguf`."""
    merged, f16 = work / "merged", work / _F16
    base = read_base(run)
    _check_disk(base.path, work)
    if not (work / "merged.done").is_file():
        on_step("merging")
        _merge(run, merged)
        (work / "merged.done").touch()
    if not f16.is_file():
        on_step("converting")
        convert(merged, f16)
    reference, _ = read_reference(merged)
    kind = kind or default_type(reference.parameters)
    content.mkdir(parents=True, exist_ok=True)
    if not (content / GGUF).is_file():
        on_step(f"quantizing to {kind}")
        quantize(f16, content / GGUF, kind)
    on_step("verifying")
    found = [verify(merged, f16, "F16"), verify(merged, content / GGUF, kind)]
    plot(found, content)
    shutil.rmtree(content / ADAPTER, ignore_errors=True)
    shutil.copytree(run / ADAPTER, content / ADAPTER)
    return found, kind


def _merge(run: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "exporter.merge", "--run", str(run), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=as_child, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ModelError(lines[-1] if lines else f"Merging {run} stopped with status {done.returncode}.")


def _check_disk(base: Path, work: Path) -> None:
    """A merged copy in 32 bits, a 16-bit GGUF and the quantized one, beside each other."""
    files = [base] if base.is_file() else [*base.glob("*.safetensors")]
    parameters = sum(file.stat().st_size for file in files) / (0.72 if base.is_file() else 2)
    needed = parameters * ((4 if parameters < _GB else 2) + 2 + 1.1)
    work.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(work).free
    if needed > free:
        raise ModelError(
            f"Exporting needs about {needed / _GB:.1f} GB for a while and {work.parent} has {free / _GB:.1f} GB left; "
            "make room."
        )


def _parts(new: dict[PartName, Path], served: Path, target: Path) -> dict[PartName, Literal["new", "carried"]]:
    """All encoders in one folder."""
    shutil.rmtree(target, ignore_errors=True)
    found: dict[PartName, Literal["new", "carried"]] = {}
    for part in PARTS:
        source = new.get(part, served / part)
        if source.is_dir():
            shutil.copytree(source, target / part)
            found[part] = "new" if part in new else "carried"
    return found


def _copy(source: Path, target: Path) -> None:
    """The same file under another name where the disk allows, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _manifest(
    runs: Sequence[Path],
    generators: Sequence[Path],
    served: Served,
    registry: Registry,
    parts: dict[PartName, Literal["new", "carried"]],
    verifications: Sequence[Verification],
    kind: str,
) -> ModelManifest:
    now = datetime.now(UTC)
    base = read_base(generators[-1]) if generators else None
    metrics: dict[str, JsonValue] = {run.name: json.loads((run / "metrics.json").read_text("utf-8")) for run in runs}
    for one in verifications:
        metrics[f"verified {one.type}"] = {
            name: value for name, value in asdict(one).items() if name in ("kl", "kl_worst", "agreement", "ending")
        }
    parent = registry.manifest(served.id) if served.id else None
    return ModelManifest(
        id="",
        made_at=now,
        parent=served.id,
        runs=tuple(run.name for run in runs),
        dataset_sha256=tuple(sorted({_dataset_of(run) for run in runs})),
        inherited=tuple(sorted({*parent.runs, *parent.inherited})) if parent else (),
        base=base.path.name if base else "",
        base_digest=base.digest if base else "",
        type=kind if generators else "",
        wording="generate" if generators else served.wording,
        generator="new" if generators else "carried" if served.gguf else "shipped",
        parts=parts,
        metrics=metrics,
        problems=tuple(f"{one.file}: {problem}" for one in verifications for problem in one.problems),
        created_by=f"quantahr {version('quantahr')}",
    )


def _dataset_of(run: Path) -> str:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return hashlib.sha256(record["dataset_sha256"].encode()).hexdigest()


def _write_report(content: Path, verifications: Sequence[Verification], runs: Sequence[Path]) -> None:
    lines = ["# Exported from " + ", ".join(run.name for run in runs), ""]
    if verifications:
        lines += [f"![Divergence from the merged model]({PLOT})", ""]
        lines += [
            "| File | KL a token | worst | same likeliest token | answers that end | |",
            "| - | - | - | - | - | - |",
        ]
    for one in verifications:
        verdict = "; ".join(one.problems) or "says what the merged model says"
        lines.append(
            f"| {one.type} | {one.kl:.2g} | {one.kl_worst:.2g} | {one.agreement:.1%} | {one.ending:.0%} | {verdict} |"
        )
    content.mkdir(parents=True, exist_ok=True)
    (content / _REPORT).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _digest(runs: Sequence[Path], served: Served, kind: str) -> str:
    named = json.dumps([[run.name for run in runs], served.id, kind])
    return hashlib.sha256(named.encode()).hexdigest()[:10]
