"""Convert a merged model, or an adapter alone, to GGUF with llama.cpp's own converter, in a process of its own.

Enters: a model's folder as transformers saves it. Leaves: one GGUF file in 16-bit floats.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from config.errors import ModelError
from config.machine import as_child
from exporter.converter import converter

_LAST_LINES = 3


def convert(merged: Path, out: Path) -> None:
    """Write the model in the folder `merged` to the file `out`; it is there whole, or not at all.

    Raises:
        ModelError: The converter refuses; what it said last is named.
    """
    _run("convert_hf_to_gguf.py", [str(merged), "--outtype", "f16"], merged, out)


def convert_adapter(adapter: Path, base: Path, out: Path) -> None:
    """Write a LoRA adapter alone, to be loaded over a GGUF of its base; the folder `base` holds config and tokenizer.

    Raises:
        ModelError: The converter refuses.
    """
    _run("convert_lora_to_gguf.py", [str(adapter), "--base", str(base), "--outtype", "f16"], adapter, out)


def _run(script: str, arguments: Sequence[str], what: Path, out: Path) -> None:
    part = out.with_name(f".{out.name}.part")
    # It brings its own gguf-py, which is newer than the one that is installed.
    environment = {name: value for name, value in os.environ.items() if name != "NO_LOCAL_GGUF"}
    command = [sys.executable, str(converter(script)), *arguments, "--outfile", str(part)]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=as_child, check=False
    )
    if done.returncode or not part.is_file():
        part.unlink(missing_ok=True)
        lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
        said = " / ".join(lines[-_LAST_LINES:]) or f"status {done.returncode}"
        raise ModelError(f"llama.cpp's converter refuses {what}: {said}. The base must be of a kind that it knows.")
    part.replace(out)
