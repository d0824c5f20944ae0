"""Load a base model to train on: from a folder, or de-quantized from a GGUF file.

Enters: a `Plan`. Leaves: the model, frozen and with a fresh adapter, and its tokenizer. The base is the pristine one in
every run. It is held in the plan's precision, or in 4 or 8 bits (bitsandbytes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, GgufConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from config.errors import ConfigError, ModelError
from exporter.manifest import publishing
from trainer.plan import Plan
from trainer.runs import base_hash

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_tokenizer(base: Path) -> Tokenizer:
    """The base's tokenizer, with its chat template.

    Raises:
        ModelError: The files cannot be read, or hold no chat template.
    """
    folder, more = _named(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **more)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The tokenizer of {base} cannot be read ({error}); name another base model.") from error
    if not tokenizer.chat_template:
        raise ModelError(f"{base} has no chat template; name an instruct or chat model as base_llm_model.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(plan: Plan, work: Path) -> PreTrainedModel:
    """The base model as the plan holds it; below `work` a GGUF's plain weights are kept, where those are needed.

    Raises:
        ModelError: It is not there, or cannot be loaded.
    """
    if plan.base is None:
        raise ModelError(
            f"The base model {plan.spec.model.base_llm_model} is not on this machine, and nothing is downloaded; "
            "'quantahr train --dry-run' says where to put it."
        )
    folder, more = _named(plan.base)
    quantized = _quantization(plan)
    if quantized and plan.base.suffix == ".gguf":
        folder, more = _plain_copy(plan.base, work), {}
    more |= {"quantization_config": quantized} if quantized else _unpacked(plan.base)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_DTYPES[plan.dtype], local_files_only=True, **more
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"The base model {plan.base} cannot be loaded ({error}); name another one.") from error
    if "gguf_file" in more:
        _forget_quantizer(model)
    _close_cpu_trap(model)
    model.config.use_cache = False
    return model


def with_adapter(model: PreTrainedModel, plan: Plan) -> Any:
    """Put a fresh adapter on the base (a `PeftModel`); only that will learn.

    Raises:
        ConfigError: `target_modules` names none of the model's.
    """
    lora = plan.spec.model.lora
    if plan.weights in ("nf4", "fp4", "int8"):
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


def _named(base: Path) -> tuple[Path, dict[str, Any]]:
    """What transformers wants to be told about a folder or a GGUF file."""
    return (base.parent, {"gguf_file": base.name}) if base.suffix == ".gguf" else (base, {})


def _plain_copy(base: Path, work: Path) -> Path:
    """A GGUF's weights as transformers saves them, made once: what is quantized anew must be plain first."""
    target = work / f"{base.stem}-{base_hash(base)[:10]}"
    if not target.is_dir():
        model = AutoModelForCausalLM.from_pretrained(
            base.parent, gguf_file=base.name, dtype=torch.float32, local_files_only=True, **_unpacked(base)
        )
        _forget_quantizer(model)
        work.mkdir(parents=True, exist_ok=True)
        with publishing(target) as folder:
            model.save_pretrained(folder)
    return target


def _forget_quantizer(model: PreTrainedModel) -> None:
    """It is plain weights now; saving and training would refuse otherwise."""
    for name, value in (("hf_quantizer", None), ("is_quantized", False)):
        setattr(model, name, value)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _unpacked(base: Path) -> dict[str, Any]:
    """A GGUF is taken apart into plain weights: nothing learns through the kernels of packed ones."""
    if base.suffix != ".gguf":
        return {}
    return {"quantization_config": GgufConfig(gguf_file=base.name, dequantize=True)}


def _quantization(plan: Plan) -> BitsAndBytesConfig | None:
    """Every field is set: bitsandbytes' own default is fp4."""
    asked = plan.spec.model.quantization
    if plan.weights == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    if plan.weights not in ("nf4", "fp4"):
        return None
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=plan.weights,
        bnb_4bit_use_double_quant=asked.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=_DTYPES[plan.compute_dtype],
        bnb_4bit_quant_storage=torch.uint8,
    )


def _close_cpu_trap(model: PreTrainedModel) -> None:
    """On CPUs with AVX512-BF16 an evaluation repacks 4-bit weights, and later steps use a kernel without a gradient."""
    try:
        from bitsandbytes.nn import Linear4bit  # type: ignore[attr-defined]
    except ImportError:
        return
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
