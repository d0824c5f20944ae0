"""Merge a LoRA adapter into an encoder's weights.

Enters: the weights of a checkpoint, and a folder that peft saved (`adapter_config.json`, `adapter_model.safetensors`).
Leaves: weights of the same names and shapes. Each adapted layer becomes `W + (alpha / r) · B · A` (Hu et al. 2021,
LoRA, equation 3), so the merged encoder is exactly as fast as the original.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from config.errors import ModelError

Weights = dict[str, NDArray[np.float32]]
_PREFIX = "base_model.model."
_DOWN = ".lora_A.weight"
_UP = ".lora_B.weight"


def merge_adapter(weights: Mapping[str, NDArray[np.float32]], folder: Path) -> Weights:
    """The weights with the adapter in `folder` merged in; the weights given are not changed.

    Raises:
        ModelError: The adapter is missing or damaged, or was made for another encoder.
    """
    try:
        scale = _scale(folder)
        adapter = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"The adapter in {folder} cannot be read ({error}); restore it from the release.") from error
    merged = dict(weights)
    for name, down in adapter.items():
        if not name.endswith(_DOWN):
            continue
        target = f"{name.removeprefix(_PREFIX).removesuffix(_DOWN)}.weight"
        up = adapter.get(name.removesuffix(_DOWN) + _UP)
        if up is None or target not in merged or merged[target].shape != (up.shape[0], down.shape[1]):
            raise ModelError(f"The adapter in {folder} was made for another encoder ({target} does not fit).")
        merged[target] = merged[target] + scale * (up.astype(np.float32) @ down.astype(np.float32))
    return merged


def _scale(folder: Path) -> np.float32:
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return np.float32(config["lora_alpha"] / config["r"])
