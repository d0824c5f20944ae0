"""Merging an adapter is what peft does, and nothing else is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from config.errors import ModelError
from knowledge.adapter import merge_adapter

LAYER = "encoder.layer.0.attention.self.query"
rng = np.random.default_rng(0)
WEIGHTS = {f"{LAYER}.weight": rng.standard_normal((6, 4), dtype=np.float32), "other.weight": np.ones(3, np.float32)}


def write_adapter(folder: Path, columns: int = 4) -> tuple[np.ndarray, np.ndarray]:
    down = rng.standard_normal((2, columns), dtype=np.float32)
    up = rng.standard_normal((6, 2), dtype=np.float32)
    name = f"base_model.model.{LAYER}"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 6}), encoding="utf-8")
    return down, up


def test_adapted_layer_is_the_sum_and_the_others_stay(tmp_path: Path) -> None:
    down, up = write_adapter(tmp_path)
    merged = merge_adapter(WEIGHTS, tmp_path)
    expected = WEIGHTS[f"{LAYER}.weight"] + 3 * up @ down
    np.testing.assert_allclose(merged[f"{LAYER}.weight"], expected, rtol=1e-5)
    assert merged["other.weight"] is WEIGHTS["other.weight"]


def test_adapter_of_another_encoder_is_refused(tmp_path: Path) -> None:
    write_adapter(tmp_path, columns=5)
    with pytest.raises(ModelError, match=r"made for another encoder \(encoder\.layer\.0"):
        merge_adapter(WEIGHTS, tmp_path)


@pytest.mark.parametrize("damage", ["adapter_model.safetensors", "adapter_config.json"])
def test_damaged_adapter_is_named(tmp_path: Path, damage: str) -> None:
    write_adapter(tmp_path)
    (tmp_path / damage).write_bytes(b"{")
    with pytest.raises(ModelError, match="cannot be read"):
        merge_adapter(WEIGHTS, tmp_path)
