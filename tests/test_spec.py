"""What a training specification means, and what becomes of it on a machine that cannot do all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import quantahr
from config.errors import ConfigError
from trainer.plan import Machine, Plan, make_plan, smaller
from trainer.spec import DEFAULT_SPEC, TrainingSpec, load_spec

# In the shape of another tool's file.
TINYLLAMA: dict[str, Any] = {
    "model": {
        "name": "tiny-hr",
        "base_llm_model": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "quantization": {
            "load_in_4bit": True,
            "bnb_4bit_compute_dtype": "float16",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_quant_type": "nf4",
        },
        "lora": {
            "r": 16,
            "lora_alpha": 32,
            "target_modules": ["q_proj", "v_proj"],
            "lora_dropout": 0.05,
            "bias": "none",
            "task_type": "CAUSAL_LM",
        },
        "max_sequence_length": 2048,
    },
    "datasets": [
        {"type": "docx", "input_files": ["policies/*.docx"]},
        {"type": "alpaca", "input_files": ["alpaca.json"]},
    ],
    "training": {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "warmup_steps": 100,
        "max_steps": 1000,
        "learning_rate": 2e-4,
        "fp16": True,
        "logging_steps": 10,
        "save_strategy": "steps",
        "save_steps": 100,
        "save_total_limit": 3,
        "report_to": "wandb",
        "resume_from_uploads": False,
    },
    "compute": {"platform": "aws", "instance_type": "g5.xlarge", "boot_os_query": "ubuntu"},
}
CPU = Machine("", 0, False, 0.0, has_cpu_bf16=True, cores=2, memory_gb=24.0, free_disk_gb=100.0)
OLD_CPU = replace(CPU, has_cpu_bf16=False)
GPU = replace(CPU, gpu="H100", gpus=1, has_gpu_bf16=True, gpu_memory_gb=80.0)
OLD_GPU = replace(GPU, gpu="T4", has_gpu_bf16=False)


def spec_of(tmp_path: Path, record: object) -> TrainingSpec:
    file = tmp_path / "qlora.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    return load_spec(file)


def decided(plan: Plan) -> dict[str, str]:
    assert all(one.used != one.asked or one.setting == "model.base_llm_model" for one in plan.replaced)
    return {one.setting: one.used for one in plan.replaced}


def test_another_tool_s_file_means_on_a_gpu_what_it_says(tmp_path: Path) -> None:
    plan = make_plan(spec_of(tmp_path, TINYLLAMA), GPU, tmp_path)
    assert (plan.weights, plan.compute_dtype, plan.dtype, plan.batch, plan.accumulation) == (
        "nf4",
        "float16",
        "float16",
        4,
        4,
    )
    assert plan.spec.model.lora.target_modules == ("q_proj", "v_proj")
    assert set(decided(plan)) == {
        "model.base_llm_model",
        "retrieval.top_k",
        "training.num_train_epochs",
        "training.report_to",
        "compute.platform",
        "compute.instance_type",
        "compute.boot_os_query",
    }


def test_what_a_cpu_cannot_do_is_replaced_and_said(tmp_path: Path) -> None:
    plan = make_plan(spec_of(tmp_path, TINYLLAMA), CPU, tmp_path)
    assert (plan.weights, plan.dtype, plan.batch, plan.accumulation) == ("bfloat16", "bfloat16", 1, 16)
    used = decided(plan)
    assert used["training.fp16"] == "bf16" and used["model.quantization.load_in_4bit"] == "bfloat16 LoRA"
    assert used["training.per_device_train_batch_size"] == "1"


def test_a_cpu_without_16_bits_computes_in_32(tmp_path: Path) -> None:
    plan = make_plan(spec_of(tmp_path, TINYLLAMA), OLD_CPU, tmp_path)
    assert (plan.weights, plan.dtype, plan.compute_dtype) == ("float32", "float32", "float32")
    assert decided(plan)["training.fp16"] == "float32"
    shipped = make_plan(load_spec(DEFAULT_SPEC), OLD_CPU, tmp_path)
    assert decided(shipped)["training.bf16"] == "float32"


def test_quantized_weights_on_a_cpu_can_be_insisted_on(tmp_path: Path) -> None:
    record = json.loads(json.dumps(TINYLLAMA))
    record["model"]["quantization"]["on_cpu"] = True
    plan = make_plan(spec_of(tmp_path, record), CPU, tmp_path)
    assert (plan.weights, plan.compute_dtype) == ("nf4", "bfloat16")
    assert decided(plan)["model.quantization.bnb_4bit_compute_dtype"] == "bfloat16"


def test_eight_bits_and_a_gpu_without_bfloat16(tmp_path: Path) -> None:
    quantization = {"load_in_4bit": False, "load_in_8bit": True}
    record = {"model": {"quantization": quantization}, "training": {"bf16": True}}
    plan = make_plan(spec_of(tmp_path, record), OLD_GPU, tmp_path)
    assert (plan.weights, plan.dtype) == ("int8", "float16")


def test_a_base_that_lies_here_is_taken_and_no_other_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "TinyLlama-1.1B-Chat-v1.0").mkdir()
    spec = spec_of(tmp_path, TINYLLAMA)
    assert make_plan(spec, CPU, tmp_path).base == tmp_path / "TinyLlama-1.1B-Chat-v1.0"
    elsewhere = make_plan(spec, CPU, tmp_path / "none")
    assert elsewhere.base is None
    assert any("nothing is downloaded" in one.why for one in elsewhere.replaced)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"model": {"lora": {"lora_dropuot": 0.1}}}, "did you mean 'model.lora.lora_dropout'"),
        ({"training": {"target_modules": ["q_proj"]}}, "did you mean 'model.lora.target_modules'"),
        ({"datasets": [{"type": "docx", "input_flies": ["a"]}]}, "did you mean 'datasets.input_files'"),
        ({"trainig": {}}, "did you mean 'training'"),
        ({"model": {"lora": {"r": 0}}}, "'model.lora.r'.*greater than or equal to 1"),
        ({"datasets": [{"type": "word"}]}, "'datasets.0.type'"),
        ({"model": {"quantization": {"load_in_4bit": True, "load_in_8bit": True}}}, "exclude each other"),
        ([], "no JSON object"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, record: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spec_of(tmp_path, record)


def test_what_is_no_file_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no"):
        load_spec(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="no JSON"):
        load_spec(tmp_path / "bad.json")


def test_the_file_that_ships_is_what_is_done_without_one() -> None:
    shipped = load_spec(DEFAULT_SPEC)
    assert shipped.model == TrainingSpec().model and shipped.data == TrainingSpec().data
    assert shipped.training.model_copy(update={"bf16": False}) == TrainingSpec().training


def test_after_running_out_of_memory_less_is_tried_until_nothing_is_left(tmp_path: Path) -> None:
    plan, tried = make_plan(spec_of(tmp_path, {}), GPU, tmp_path), []
    while less := smaller(plan):
        plan = less
        tried.append((plan.batch, plan.accumulation, plan.use_checkpointing, plan.spec.model.lora.r))
    assert tried == [(1, 16, False, 16), (1, 16, True, 16), (1, 16, True, 8), (1, 16, True, 4)]


def test_a_dry_run_says_what_is_done_with_every_setting_and_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTAHR_DATA_DIR", str(tmp_path / "data"))
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(TINYLLAMA), encoding="utf-8")
    result = CliRunner().invoke(quantahr, ["train", "--config", str(file), "--dry-run"])
    assert result.exit_code == 0
    for setting in ("model.lora.r", "training.fp16", "compute.platform", "training.max_steps"):
        assert setting in result.output
    assert "16 bits" in result.output or "bfloat16" in result.output
    as_json = CliRunner().invoke(quantahr, ["train", "--config", str(file), "--dry-run", "--json"])
    assert len(json.loads(as_json.output)["settings"]) > 40
    assert not (tmp_path / "data").exists()
