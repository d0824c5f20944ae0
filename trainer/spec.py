"""What is to be trained, declared: `config/qlora.json`.

Enters: a JSON file in the shape that QLoRA tools share (model with quantization and lora, datasets, training, compute),
with a few keys of our own, all optional. Leaves: one frozen `TrainingSpec`. What of it this machine cannot do is for
`trainer/plan.py` to say.

A key that nobody knows is refused, and the nearest known one is named: a setting that is silently ignored trains
another model than the one that was asked for.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from config.errors import ConfigError
from exporter.base import DType

DEFAULT_SPEC = Path("config/qlora.json")
DatasetType = Literal["feedback", "documents", "docx", "pdf", "md", "html", "txt", "csv", "xlsx", "alpaca", "rows"]
_SHORT = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "half": "float16"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _dtype(value: object) -> object:
    """Also "torch.bfloat16" and "bf16", as other tools write it."""
    name = str(value).removeprefix("torch.")
    return _SHORT.get(name, name)


def _modules(value: object) -> object:
    """Also one string: "all-linear", or names with commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


class QuantizationSpec(_Part):
    """How the base is held in memory while the adapter learns (bitsandbytes)."""

    load_in_4bit: bool = True
    load_in_8bit: bool = False
    bnb_4bit_compute_dtype: Annotated[DType, BeforeValidator(_dtype)] = "bfloat16"
    bnb_4bit_use_double_quant: bool = True
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    # Quantize on a CPU too, where that is slower than 16 bit and saves little with small models.
    on_cpu: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> QuantizationSpec:
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("load_in_4bit and load_in_8bit exclude each other; set one of them to false")
        return self


class LoraSpec(_Part):
    """The adapter (peft)."""

    r: int = Field(16, ge=1, le=512)
    lora_alpha: int = Field(32, ge=1)
    target_modules: Annotated[tuple[str, ...], BeforeValidator(_modules)] = ("all-linear",)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    bias: Literal["none", "all", "lora_only"] = "none"
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"


class ModelSpec(_Part):
    """The base, and what is put on it. `base_llm_model` is a folder, a GGUF file, a name, or empty for the embedded."""

    name: str = "quantahr"
    base_llm_model: str = ""
    quantization: QuantizationSpec = QuantizationSpec()
    lora: LoraSpec = LoraSpec()
    max_sequence_length: int = Field(768, ge=64)


class DatasetSpec(_Part):
    """One source of rows. `input_files` are globs, from the working folder; none for the live ledger or documents."""

    type: DatasetType
    input_files: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _files_where_there_are_any(self) -> DatasetSpec:
        if self.type == "feedback" and self.input_files:
            raise ValueError("feedback comes from the ledger; import files with 'quantahr feedback import'")
        if self.type in ("alpaca", "rows") and not self.input_files:
            raise ValueError(f"{self.type} needs input_files")
        return self


class DataSpec(_Part):
    """How rows become a dataset."""

    feedback_minimum: int = Field(100, ge=0)
    class_minima: dict[Literal["sft", "kto", "reader", "matcher"], int] = Field(
        {"sft": 1, "kto": 2, "reader": 20, "matcher": 10}
    )
    similarity_threshold: float = Field(0.75, gt=0, le=1)
    person_share: float = Field(0.2, gt=0, le=1)
    replay_share: float = Field(0.2, ge=0, lt=1)
    validation_share: float = Field(0.1, ge=0, lt=1)
    seed: int = 0


class RetrievalSpec(_Part):
    """What a question is shown with: so many passages besides the one that answers it."""

    top_k: int = Field(8, ge=1)
    distractors: int = Field(2, ge=0)


class TrainSpec(_Part):
    """How it is trained (transformers, trl). `warmup_steps` below 1 is a share of all steps; `max_steps` -1 trains
    `num_train_epochs`."""

    per_device_train_batch_size: int = Field(8, ge=1)
    gradient_accumulation_steps: int = Field(2, ge=1)
    warmup_steps: float = Field(0.1, ge=0)
    max_steps: int = Field(-1, ge=-1)
    num_train_epochs: float = Field(2.0, gt=0)
    learning_rate: float = Field(5e-4, gt=0)
    kto_learning_rate: float = Field(5e-6, gt=0)
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    gradient_checkpointing: bool = False
    fp16: bool = False
    bf16: bool = False
    logging_steps: int = Field(10, ge=1)
    save_strategy: Literal["no", "steps", "epoch"] = "steps"
    save_steps: int = Field(50, ge=1)
    save_total_limit: int | None = Field(2, ge=1)
    report_to: str | tuple[str, ...] = "none"
    resume_from_uploads: bool | str = False
    seed: int = 0


class ComputeSpec(_Part):
    """Where it is meant to run. Only "local" runs here; another machine is reached by `quantahr train --on`."""

    platform: str = "local"
    instance_type: str = ""
    boot_os_query: str = ""


class TrainingSpec(_Part):
    """All of it."""

    model: ModelSpec = ModelSpec()
    datasets: tuple[DatasetSpec, ...] = ()
    data: DataSpec = DataSpec()
    retrieval: RetrievalSpec = RetrievalSpec()
    training: TrainSpec = TrainSpec()
    compute: ComputeSpec = ComputeSpec()


def load_spec(file: Path) -> TrainingSpec:
    """Read a specification.

    Raises:
        ConfigError: It cannot be read, is no JSON, has a key that nobody knows, or a value that does not fit.
    """
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no {file}; name an existing one with --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error}); name another one with --config.") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{file} is no JSON ({error}); mend that line.") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{file} holds no JSON object; write one as in {DEFAULT_SPEC}.")
    try:
        return TrainingSpec.model_validate(given)
    except ValidationError as error:
        raise ConfigError(_explain(error, file)) from error


def settings_of(part: BaseModel, name: str = "") -> Iterator[tuple[str, object]]:
    """Every setting by its dotted name: ("model.lora.r", 16)."""
    for key in type(part).model_fields:
        value = getattr(part, key)
        if isinstance(value, BaseModel):
            yield from settings_of(value, f"{name}{key}.")
        elif isinstance(value, tuple) and any(isinstance(one, BaseModel) for one in value):
            for number, one in enumerate(value):
                yield from settings_of(one, f"{name}{key}.{number}.")
        else:
            yield f"{name}{key}", value


def _explain(error: ValidationError, file: Path) -> str:
    """The first problem in one sentence, unknown keys first; with the nearest known key, wherever it belongs."""
    problem = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    dotted = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = _nearest(dotted)
        return f"Unknown key '{dotted}' in {file}; did you mean '{near}'? Correct or remove it."
    return f"'{dotted}' in {file} does not fit (it is {problem['input']!r}): {problem['msg']}; correct it."


def _nearest(dotted: str) -> str:
    """The known key that is most like it: in the same place before elsewhere."""
    parent, _, key = dotted.rpartition(".")
    known = list(_keys(TrainingSpec))
    beside = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == _without_numbers(parent)}
    if near := difflib.get_close_matches(key, beside, n=1, cutoff=0.6):
        return beside[near[0]]
    anywhere = {name.rpartition(".")[2]: name for name in reversed(known)}
    return anywhere[difflib.get_close_matches(key, anywhere, n=1, cutoff=0.0)[0]]


def _without_numbers(dotted: str) -> str:
    return ".".join(part for part in dotted.split(".") if not part.isdecimal())


def _keys(model: type[BaseModel], name: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield f"{name}{key}"
        inner = field.annotation if get_origin(field.annotation) is None else get_args(field.annotation)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{name}{key}.")
