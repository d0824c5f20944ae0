"""Quantize a GGUF to one of llama.cpp's types, in a process of its own: ggml can abort the one that it runs in.

Enters: a GGUF in 16-bit floats, and a type's name. Leaves: a smaller GGUF.
Run: `python -m exporter.quantize SOURCE OUT TYPE`.
"""

from __future__ import annotations

import ctypes
import difflib
import shutil
import subprocess
import sys
from pathlib import Path

from config.errors import ConfigError, ModelError
from config.machine import as_child, usable_cores

# Below this many parameters K-quants gain little, as many rows do not fit their blocks, and lose much (measured).
_SMALL = 300e6
_PREFIXES = ("LLAMA_FTYPE_MOSTLY_", "LLAMA_FTYPE_ALL_")


def default_type(parameters: int) -> str:
    """What serves a model of this size best."""
    return "Q8_0" if parameters < _SMALL else "Q4_K_M"


def types() -> dict[str, int]:
    """llama.cpp's types by name, such as "Q8_0"."""
    import llama_cpp

    return {
        name.removeprefix(prefix): int(getattr(llama_cpp, name))
        for prefix in _PREFIXES
        for name in dir(llama_cpp)
        if name.startswith(prefix)
    }


def check_type(name: str) -> str:
    """The type as llama.cpp writes it.

    Raises:
        ConfigError: It knows none of this name; the nearest is named.
    """
    known = types()
    if (wanted := name.upper()) in known:
        return wanted
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.0)
    raise ConfigError(f"llama.cpp knows no type {name}; did you mean {near[0]}?")


def quantize(source: Path, out: Path, kind: str) -> None:
    """Write `source` as `kind` to the file `out`; it is there whole, or not at all.

    Raises:
        ModelError: The disk is too full, or llama.cpp refuses.
    """
    size, free = source.stat().st_size, shutil.disk_usage(out.parent).free
    if free < size:
        raise ModelError(
            f"Quantizing needs up to {size / 1e9:.1f} GB and {out.parent} has {free / 1e9:.1f} GB left; make room."
        )
    part = out.with_name(f".{out.name}.part")
    command = [sys.executable, "-m", "exporter.quantize", str(source), str(part), kind]
    done = subprocess.run(command, capture_output=True, preexec_fn=as_child, check=False)
    if done.returncode or not part.is_file():
        part.unlink(missing_ok=True)
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ModelError(
            f"llama.cpp cannot write {source.name} as {kind} ({lines[-1] if lines else f'status {done.returncode}'}); "
            "choose another type."
        )
    part.replace(out)


def _quantize_here(source: str, out: str, kind: str) -> int:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = types()[kind]
    params.nthread = usable_cores()
    status: int = llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params))
    return status


if __name__ == "__main__":
    sys.exit(_quantize_here(*sys.argv[1:4]))
