"""An adapter on a base model: only that learns, and the base is the pristine one in every run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel

from config.errors import ConfigError
from exporter.base import ADAPTER
from trainer.plan import Plan
from trainer.runs import Run


def finish(run: Run, model: Any, metrics: dict[str, float]) -> None:
    """End a generator's run with its adapter, and with what that learned on."""

    def save(folder: Path) -> None:
        model.save_pretrained(folder, safe_serialization=True)
        shutil.rmtree(folder / "ref", ignore_errors=True)  # what KTO compared with, and nobody needs

    run.plan.held.save(run.folder)
    run.finish(ADAPTER, save, metrics)


def with_adapter(model: PreTrainedModel, plan: Plan) -> Any:
    """Put a fresh adapter on the base (a `PeftModel`); only that will learn.

    Raises:
        ConfigError: `target_modules` names none of the model's.
    """
    lora = plan.spec.model.lora
    if plan.held.is_quantized:
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=plan.use_checkpointing
        )
    modules = lora.target_modules
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        target_modules=modules[0] if modules == ("all-linear",) else list(modules),
        lora_dropout=lora.lora_dropout,
        bias=lora.bias,
        task_type=lora.task_type,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        linear = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if name.endswith("_proj")})
        raise ConfigError(
            f"model.lora.target_modules {', '.join(modules)} fits nothing in this base ({error}); it has "
            f"{', '.join(linear) or 'other layers'}, and all-linear takes every one."
        ) from error
