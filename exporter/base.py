"""Name a base model and how it was held while an adapter learned on it.

Leaves: a `Base`, which training writes beside each adapter (`base.json`) and merging reads: merged into the base in
another form than it learned on, an adapter says something else. Imports no torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from config.errors import ModelError

BASE_FILE, ADAPTER = "base.json", "adapter"
DType = Literal["float32", "float16", "bfloat16"]
Weights = Literal["nf4", "fp4", "int8", "float32", "bfloat16", "float16"]
QUANTIZED: frozenset[Weights] = frozenset({"nf4", "fp4", "int8"})
_TELLING_BYTES = 1_000_000


@dataclass(frozen=True)
class Base:
    """`path` is a GGUF file or a folder as transformers saves models; `weights` is how they lay in memory, `dtype` that
    of activations, `compute_dtype` that in which 4-bit weights were multiplied, and `digest` names the files."""

    path: Path
    weights: Weights
    dtype: DType
    compute_dtype: DType = "float32"
    double_quant: bool = True
    digest: str = ""

    @property
    def is_quantized(self) -> bool:
        """Whether it lay in 4 or 8 bits."""
        return self.weights in QUANTIZED

    @property
    def is_gguf(self) -> bool:
        """Whether it is one file of llama.cpp's."""
        return self.path.suffix == ".gguf"

    def save(self, run: Path) -> None:
        """Write it into a run's folder."""
        named = replace(self, digest=base_hash(self.path))
        (run / BASE_FILE).write_bytes(_BASE.dump_json(named, indent=1) + b"\n")


_BASE = TypeAdapter(Base)


def base_of(run: Path) -> Base:
    """On what a run's adapter learned.

    Raises:
        ModelError: The folder holds no finished run, or its base is gone or another one by now.
    """
    base = read_base(run)
    if not base.path.exists():
        raise ModelError(f"The base model {base.path} is not there any more; put it back, and export again.")
    if base.digest != base_hash(base.path):
        raise ModelError(f"The base model {base.path} is not the one that {run} learned on; put that back.")
    return base


def read_base(run: Path) -> Base:
    """On what a run's adapter learned, wherever that is.

    Raises:
        ModelError: The folder holds no finished run.
    """
    if not (run / ADAPTER / "adapter_model.safetensors").is_file():
        raise ModelError(f"{run} holds no adapter; finish the training with 'quantahr train', or name another run.")
    try:
        return _BASE.validate_json((run / BASE_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{run / BASE_FILE} does not say what the adapter learned on; train it anew.") from error


def base_hash(base: Path | None) -> str:
    """Names a base by its files' names and sizes and a megabyte of each: all of them would take too long."""
    if base is None:
        return ""
    digest = hashlib.sha256()
    for file in sorted(base.iterdir()) if base.is_dir() else [base]:
        if file.is_file():
            with file.open("rb") as content:
                content.seek(max(0, file.stat().st_size - _TELLING_BYTES))
                digest.update(f"{file.name}\0{file.stat().st_size}\0".encode() + content.read())
    return digest.hexdigest()
