"""Say what will be done with each setting of a specification on this machine, before anything is done.

Enters: a `TrainingSpec` and what the `Machine` can do. Leaves: a `Plan`: the settings as they will be used, and for
every one of them what was asked, what is done, and why where these differ. Nothing is replaced without a word.
Run: `quantahr train --dry-run`.

What is replaced: 16-bit floats and 4-bit weights that the device cannot do, or can only do slowly; micro-batches that
would not fit into memory, by smaller ones that add up to the same step; reports to servers, and downloads.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import psutil

from config.errors import ModelError
from config.machine import usable_cores
from exporter.base import Base, DType, Weights
from trainer.spec import TrainingSpec, settings_of

EMBEDDED = "SmolLM2-135M-Instruct"
# A micro-batch of more was killed at 24 GB; a token takes about 2 MB without checkpointing at 135 M parameters.
_TOKENS_AT_ONCE_CPU = 3_000
_MB_A_TOKEN = 2.0


_CPU_BF16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


@dataclass(frozen=True)
class Machine:
    """What there is to train on. `gpu` is empty without one; sizes are in GB."""

    gpu: str
    gpus: int
    has_gpu_bf16: bool
    gpu_memory_gb: float
    has_cpu_bf16: bool
    cores: int
    memory_gb: float
    free_disk_gb: float

    @property
    def device(self) -> str:
        """ "cuda" or "cpu"."""
        return "cuda" if self.gpu else "cpu"

    @property
    def described(self) -> str:
        """In words."""
        if self.gpu:
            return f"{self.gpus} × {self.gpu}, {self.gpu_memory_gb:.0f} GB"
        return f"CPU, {self.cores} cores, {self.memory_gb:.0f} GB"


@dataclass(frozen=True)
class Decision:
    """One setting: what the file asks for, what is done here, and why where that is something else."""

    setting: str
    asked: str
    used: str
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """How a run will be done. `batch` rows of at most `max_tokens` go through at once, `accumulation` such batches make
    a step, and `base` is where the base model lies, None where it is not on this machine."""

    spec: TrainingSpec
    device: str
    base: Path | None
    weights: Weights
    dtype: DType
    compute_dtype: DType
    batch: int
    accumulation: int
    max_tokens: int
    use_checkpointing: bool
    save_steps: int
    decisions: tuple[Decision, ...]

    @property
    def held(self) -> Base:
        """The base and how it is held.

        Raises:
            ModelError: It is not on this machine.
        """
        if self.base is None:
            raise ModelError(
                f"The base model {self.spec.model.base_llm_model} is not on this machine, and nothing is downloaded; "
                "'quantahr train --dry-run' says where to put it."
            )
        double = self.spec.model.quantization.bnb_4bit_use_double_quant
        return Base(self.base, self.weights, self.dtype, self.compute_dtype, double)

    @property
    def replaced(self) -> tuple[Decision, ...]:
        """Those that are done in another way than was asked."""
        return tuple(decision for decision in self.decisions if decision.why)


def this_machine(folder: Path = Path()) -> Machine:
    """Look at the machine; `folder` is where a run will be written. Imports torch, which takes seconds."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = torch.cuda.get_device_properties(0) if gpus else None
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return Machine(
        gpu=properties.name if properties else "",
        gpus=gpus,
        has_gpu_bf16=bool(gpus) and torch.cuda.is_bf16_supported(),
        gpu_memory_gb=properties.total_memory / 1e9 if properties else 0.0,
        has_cpu_bf16=bool(_CPU_BF16 & _cpu_flags()),
        cores=usable_cores(),
        # Not what is free now: the same plan again finds the same run.
        memory_gb=psutil.virtual_memory().total / 1e9,
        free_disk_gb=shutil.disk_usage(existing).free / 1e9,
    )


def _cpu_flags() -> frozenset[str]:
    """What Linux says that the CPU can do; nothing where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())


def make_plan(spec: TrainingSpec, machine: Machine, models: Path) -> Plan:
    """Decide on every setting; `models` is the folder where base models are looked for by name."""
    decided: dict[str, tuple[str, str]] = {}

    def instead(setting: str, used: object, why: str) -> None:
        decided[setting] = (_text(used), why)

    base = _base(spec, models, instead)
    dtype = _dtype(spec, machine, instead)
    weights = _weights(spec, machine, dtype, instead)
    batch, accumulation = _batches(spec, machine, instead)
    save_steps = _saving(spec, instead)
    _elsewhere(spec, machine, instead)
    decisions = tuple(
        Decision(name, _text(value), *decided.get(name, (_text(value), ""))) for name, value in settings_of(spec)
    )
    return Plan(
        spec=spec,
        device=machine.device,
        base=base,
        weights=weights,
        dtype=dtype,
        compute_dtype=_compute_dtype(spec, machine),
        batch=batch,
        accumulation=accumulation,
        max_tokens=spec.model.max_sequence_length,
        use_checkpointing=spec.training.gradient_checkpointing,
        save_steps=save_steps,
        decisions=decisions,
    )


_Instead = Callable[[str, object, str], None]


def smaller(plan: Plan) -> Plan | None:
    """The next thing to try after running out of memory; None when there is nothing left."""
    if plan.batch > 1:
        return replace(plan, batch=1, accumulation=plan.batch * plan.accumulation)
    if not plan.use_checkpointing:
        return replace(plan, use_checkpointing=True)
    lora = plan.spec.model.lora
    if lora.r > 4:
        halved = lora.model_copy(update={"r": lora.r // 2, "lora_alpha": max(1, lora.lora_alpha // 2)})
        model = plan.spec.model.model_copy(update={"lora": halved})
        return replace(plan, spec=plan.spec.model_copy(update={"model": model}))
    return None


def _base(spec: TrainingSpec, models: Path, instead: _Instead) -> Path | None:
    named = spec.model.base_llm_model
    if not named or named.rpartition("/")[2].casefold() in (EMBEDDED.casefold(), "smollm2-135m-instruct.q4_1.gguf"):
        from exporter.gguf import embedded_gguf

        instead("model.base_llm_model", f"{EMBEDDED} (embedded)", "" if named else "no base is named")
        return embedded_gguf()
    for path in (Path(named), models / named, models / named.rpartition("/")[2]):
        if path.exists():
            instead("model.base_llm_model", path, "")
            return path
    instead(
        "model.base_llm_model",
        "not on this machine",
        f"nothing is downloaded: put the model's folder at {models / named.rpartition('/')[2]}",
    )
    return None


def _dtype(spec: TrainingSpec, machine: Machine, instead: _Instead) -> DType:
    """Of activations and gradients. Without fp16 and bf16 it is float32."""
    training = spec.training
    asked: DType = "bfloat16" if training.bf16 else "float16" if training.fp16 else "float32"
    if training.bf16 and training.fp16:
        instead("training.fp16", False, "bf16 is asked for as well, and has the wider range")
    if asked != "float32" and not machine.gpu:
        setting = "training.bf16" if training.bf16 else "training.fp16"
        if not machine.has_cpu_bf16:
            instead(setting, "float32", "this CPU has no instructions for 16 bits, which take seven times as long")
            return "float32"
        if asked == "float16":
            instead(setting, "bf16", "float16 is ten times slower than bfloat16 on a CPU")
        return "bfloat16"
    if asked == "bfloat16" and machine.gpu and not machine.has_gpu_bf16:
        instead("training.bf16", "fp16", f"{machine.gpu} has no bfloat16")
        return "float16"
    return asked


def _weights(spec: TrainingSpec, machine: Machine, dtype: DType, instead: _Instead) -> Weights:
    """How the base lies in memory."""
    quantization = spec.model.quantization
    where = "model.quantization."
    asked = "load_in_4bit" if quantization.load_in_4bit else "load_in_8bit" if quantization.load_in_8bit else ""
    others = ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype")
    if not asked:
        for name in others:
            instead(f"{where}{name}", "not used", "the base is not quantized to 4 bit")
        return dtype
    why = ""
    if find_spec("bitsandbytes") is None:
        why = "bitsandbytes is not installed"
    elif not machine.gpu and not quantization.on_cpu:
        why = "on a CPU quantized weights are slower and save little; model.quantization.on_cpu insists on them"
    if why:
        instead(f"{where}{asked}", f"{dtype} LoRA", why)
        for name in others:
            instead(f"{where}{name}", "not used", f"the base is held in {dtype}")
        return dtype
    if asked == "load_in_8bit":
        for name in others:
            instead(f"{where}{name}", "not used", "the base is quantized to 8 bit")
        return "int8"
    if (used := _compute_dtype(spec, machine)) != quantization.bnb_4bit_compute_dtype:
        why = f"{machine.gpu} has no bfloat16" if machine.gpu else f"{used} is several times faster on this CPU"
        instead(f"{where}bnb_4bit_compute_dtype", used, why)
    return quantization.bnb_4bit_quant_type


def _compute_dtype(spec: TrainingSpec, machine: Machine) -> DType:
    """In what 4-bit weights are multiplied."""
    asked = spec.model.quantization.bnb_4bit_compute_dtype
    if not machine.gpu:
        return asked if asked == "float32" else "bfloat16" if machine.has_cpu_bf16 else "float32"
    return "float16" if asked == "bfloat16" and not machine.has_gpu_bf16 else asked


def _batches(spec: TrainingSpec, machine: Machine, instead: _Instead) -> tuple[int, int]:
    """Rows at once and batches a step: on a CPU as many rows as fit into memory at the longest."""
    training, longest = spec.training, spec.model.max_sequence_length
    rows, batches = training.per_device_train_batch_size, training.gradient_accumulation_steps
    if machine.gpu or training.gradient_checkpointing:
        return rows, batches
    tokens = min(_TOKENS_AT_ONCE_CPU, int(machine.memory_gb * 1000 / 3 / _MB_A_TOKEN))
    fits = max(1, min(rows, tokens // longest))
    if fits == rows:
        return rows, batches
    more = -(-rows * batches // fits)
    why = f"{rows} rows of {longest} tokens are more than the {tokens:,} that fit into memory at once"
    instead("training.per_device_train_batch_size", fits, why)
    instead(
        "training.gradient_accumulation_steps", more, f"so that a step is still made of about {rows * batches} rows"
    )
    return fits, more


def _saving(spec: TrainingSpec, instead: _Instead) -> int:
    training = spec.training
    if training.save_strategy != "steps":
        instead("training.save_strategy", "steps", "a run that is killed goes on from its last checkpoint")
    return training.save_steps


def _elsewhere(spec: TrainingSpec, machine: Machine, instead: _Instead) -> None:
    instead("retrieval.top_k", "not used", "rows are shown with what was read; quantahr.toml sets it for serving")
    if spec.data.replay_share and not any(source.type in ("alpaca", "feedback") for source in spec.datasets):
        instead("data.replay_share", "0", "no dataset of type alpaca or feedback is named to replay from")
    if spec.training.max_steps > 0:
        instead("training.num_train_epochs", "not used", "training.max_steps says how long")
    reports = spec.training.report_to
    named = {reports} if isinstance(reports, str) else set(reports)
    if named - {"none", ""}:
        instead("training.report_to", "none", "nothing leaves this machine; the run's folder holds plots and numbers")
    if spec.compute.platform not in ("", "local"):
        instead("compute.platform", f"local: {machine.described}", "machines are not rented; see 'train --on'")
        for name in ("instance_type", "boot_os_query"):
            if getattr(spec.compute, name):
                instead(f"compute.{name}", "not used", "it is about a machine that is rented")


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_text(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items()) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value not in ("", None) else "none"
