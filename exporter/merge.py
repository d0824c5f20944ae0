"""Merge an adapter into its base, by the route that changes least of what the adapter was trained to say.

Enters: a run's folder with its adapter and `base.json`. Leaves: a model's folder as transformers saves it, in plain
floats, with the base's own tokenizer files, and `reference.json`: what the merged model says next to a few texts, for
`exporter/verify.py` to hold the GGUF against.
Run: `python -m exporter.merge --run var/runs/ID --out DIR`.

An adapter that learned on 4-bit weights is merged into these, de-quantized: KL 2.6e-6 a token against the model as it
was trained, against 4.1e-3 over the 16-bit base and 2.1e-3 in place on packed weights (measured here).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from config.errors import ModelError, QuantaHRError
from exporter.base import ADAPTER, Base, base_of
from exporter.load import forget_quantizer, load_base, load_tokenizer
from exporter.reference import write_reference

# Above this, 32-bit copies of the weights would need more memory than the 16 bits that they were trained in.
_LARGE = 1e9
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)


def merge(run: Path, out: Path) -> None:
    """Write the merged model of a run to the folder `out`, which may be there already.

    Raises:
        ModelError: The run is not finished, its base is gone, or adapter and base do not fit.
    """
    base = base_of(run)
    tokenizer = load_tokenizer(base.path)
    model = _dequantized(base, run.parent / "bases")
    try:
        adapted: Any = PeftModel.from_pretrained(model, run / ADAPTER)
        merged = adapted.merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"The adapter in {run} cannot be merged into {base.path} ({error}); train it anew.") from error
    out.mkdir(parents=True, exist_ok=True)
    merged.config.use_cache = True
    merged.save_pretrained(out, safe_serialization=True)
    if base.is_gguf:
        tokenizer.save_pretrained(out)
    else:
        # As the base has them: what transformers would write says another class, which the converter does not know.
        for name in _TOKENIZER_FILES:
            if (base.path / name).is_file():
                shutil.copyfile(base.path / name, out / name)
    write_reference(merged, tokenizer, out)


def _dequantized(base: Base, work: Path) -> Any:
    """The base's weights as the adapter saw them, in plain floats."""
    model: Any = load_base(base, work)
    if base.is_quantized:
        model = model.dequantize(torch.float32 if base.dtype == "float32" else None)
        forget_quantizer(model)
    if model.num_parameters() < _LARGE:
        model = model.float()
    model.eval()
    return model


def main() -> None:
    """Merge one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--out", type=Path, required=True, help="where the merged model goes")
    arguments = parser.parse_args()
    try:
        merge(arguments.run, arguments.out)
    except QuantaHRError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
