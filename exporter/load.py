"""Load a base model: from a folder, or de-quantized from a GGUF file.

Enters: a `Base`. Leaves: the model and its tokenizer. It is held in plain floats, or in 4 or 8 bits (bitsandbytes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, GgufConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from config.errors import ModelError
from exporter.base import Base, base_hash
from exporter.gguf import pre_tokenizer
from exporter.manifest import publishing

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# llama.cpp's names for tokenizers that take digits one by one.
_SINGLE_DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r"})


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
    if base.suffix == ".gguf":
        _cut_as_llama_cpp(tokenizer, base)
    if not tokenizer.chat_template:
        raise ModelError(f"{base} has no chat template; name an instruct or chat model as base_llm_model.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(base: Base, work: Path) -> PreTrainedModel:
    """The base model as it is to be held; below `work` a GGUF's plain weights are kept, where those are needed.

    Raises:
        ModelError: It cannot be loaded.
    """
    folder, more = _named(base.path)
    quantized = _quantization(base)
    if quantized and base.is_gguf:
        folder, more = _plain_copy(base.path, work), {}
    more |= {"quantization_config": quantized} if quantized else _unpacked(base.path)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_DTYPES[base.dtype], local_files_only=True, **more
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"The base model {base.path} cannot be loaded ({error}); name another one.") from error
    if "gguf_file" in more:
        forget_quantizer(model)
    _close_cpu_trap(model)
    model.config.use_cache = False
    return model


def forget_quantizer(model: PreTrainedModel) -> None:
    """It is plain weights now; saving and training would refuse otherwise."""
    for name, value in (("hf_quantizer", None), ("is_quantized", False)):
        setattr(model, name, value)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _cut_as_llama_cpp(tokenizer: Tokenizer, base: Path) -> None:
    """transformers reads tokens and merges from a GGUF, but not how text is cut before: here, digit by digit."""
    if pre_tokenizer(base) in _SINGLE_DIGITS:
        backend: Any = tokenizer.backend_tokenizer
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


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
        forget_quantizer(model)
        work.mkdir(parents=True, exist_ok=True)
        with publishing(target) as folder:
            model.save_pretrained(folder)
    return target


def _unpacked(base: Path) -> dict[str, Any]:
    """A GGUF is taken apart into plain weights: nothing learns through the kernels of packed ones."""
    if base.suffix != ".gguf":
        return {}
    return {"quantization_config": GgufConfig(gguf_file=base.name, dequantize=True)}


def _quantization(base: Base) -> BitsAndBytesConfig | None:
    """Every field is set: bitsandbytes' own default is fp4."""
    if base.weights == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    if not base.is_quantized:
        return None
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=base.weights,
        bnb_4bit_use_double_quant=base.double_quant,
        bnb_4bit_compute_dtype=_DTYPES[base.compute_dtype],
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
