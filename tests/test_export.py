"""From an adapter to a GGUF that is proved to say the same: merged, converted, quantized and verified for real."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model

from config.errors import ConfigError, ModelError
from exporter.base import ADAPTER, Base, base_of
from exporter.convert import convert, convert_adapter
from exporter.gguf import embedded_gguf, open_gguf
from exporter.load import load_base, load_tokenizer
from exporter.merge import merge
from exporter.quantize import check_type, default_type, quantize
from exporter.reference import CONVERSATIONS, JSON_FILE, TEXTS
from exporter.verify import PLOT, plot, verify
from tests.tiny_base import teach, write_model


def write_small_base(folder: Path) -> Path:
    """The embedded model's tokenizer, which the converter knows, over two layers that say one thing, and stop."""
    tokenizer = load_tokenizer(embedded_gguf())
    write_model(folder, tokenizer, hidden=64, are_tied=True)
    teach(folder, CONVERSATIONS, "Five days.")
    return folder


def write_run(folder: Path, base: Base) -> Path:
    """A finished run whose adapter is not trained, but says something else than its base."""
    model = load_base(base, folder.parent / "bases")
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = get_peft_model(model, lora)
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            weights.data *= 0.1
    adapted.save_pretrained(str(folder / ADAPTER))
    base.save(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(write_small_base(tmp_path_factory.mktemp("base") / "small"), "float32", "float32")


@pytest.fixture(scope="module")
def run(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "sft-1", base)


@pytest.fixture(scope="module")
def merged(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "m"
    merge(run, folder)
    return folder


@pytest.fixture(scope="module")
def f16(merged: Path) -> Path:
    out = merged.parent / "f16.gguf"
    convert(merged, out)
    return out


def test_the_gguf_says_what_the_merged_model_says(merged: Path, f16: Path) -> None:
    found = verify(merged, f16, "F16")
    assert found.kl < 1e-4 and found.agreement > 0.98 and found.problems == ()
    small = f16.with_name("q8.gguf")
    quantize(f16, small, "Q8_0")
    quantized = verify(merged, small, "Q8_0")
    assert small.stat().st_size < 0.7 * f16.stat().st_size and 0 < quantized.kl < 0.01
    plot([found, quantized], merged.parent)
    assert (merged.parent / PLOT).read_bytes().startswith(b"\x89PNG")


def test_an_adapter_is_merged_into_what_it_learned_on(run: Path, base: Base, tmp_path: Path) -> None:
    """Merged into plain weights, an adapter of 4-bit weights says something else."""
    four = write_run(tmp_path / "runs" / "q", replace(base, weights="nf4"))
    merge(four, tmp_path / "right")
    replace(base, weights="float32").save(four)
    merge(four, tmp_path / "wrong")
    convert(tmp_path / "wrong", tmp_path / "wrong.gguf")
    assert any("KL" in problem for problem in verify(tmp_path / "right", tmp_path / "wrong.gguf", "F16").problems)


def test_a_wrong_template_is_noticed(merged: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(merged, other)
    template = (merged / "chat_template.jinja").read_text(encoding="utf-8")
    (other / "chat_template.jinja").write_text(template.replace("assistant\n", "assistant: "), encoding="utf-8")
    convert(other, tmp_path / "other.gguf")
    assert any("chat template writes" in problem for problem in verify(merged, tmp_path / "other.gguf", "F16").problems)


def test_another_cut_of_the_text_is_noticed(merged: Path, f16: Path, tmp_path: Path) -> None:
    other = tmp_path / "m"
    shutil.copytree(merged, other)
    reference = json.loads((merged / JSON_FILE).read_text(encoding="utf-8"))
    reference["texts"][2] = [*reference["texts"][2][:-1], 7]
    (other / JSON_FILE).write_text(json.dumps(reference), encoding="utf-8")
    assert any("other tokens" in problem for problem in verify(other, f16, "F16").problems)


def test_too_few_bits_are_noticed(merged: Path, f16: Path, tmp_path: Path) -> None:
    quantize(f16, tmp_path / "q.gguf", "Q2_K")
    assert any("KL" in problem for problem in verify(merged, tmp_path / "q.gguf", "Q8_0").problems)


def test_the_embedded_tokenizer_cuts_in_training_as_in_serving() -> None:
    """transformers leaves out how digits are cut when it reads a GGUF."""
    tokenizer, model = load_tokenizer(embedded_gguf()), open_gguf(embedded_gguf())
    try:
        for text in (*TEXTS, "a ½ day, 20² m²"):
            assert tokenizer(text, add_special_tokens=False)["input_ids"] == model.tokenize(text, with_control=True)
    finally:
        model.close()


def test_an_adapter_alone_becomes_a_gguf(run: Path, base: Base, tmp_path: Path) -> None:
    convert_adapter(run / ADAPTER, base.path, tmp_path / "lora.gguf")
    assert (tmp_path / "lora.gguf").read_bytes().startswith(b"GGUF")


def test_types_go_by_name_and_size() -> None:
    assert (default_type(135_000_000), default_type(1_100_000_000)) == ("Q8_0", "Q4_K_M")
    assert check_type("q5_k_m") == "Q5_K_M"
    with pytest.raises(ConfigError, match="Q4_K_M"):
        check_type("Q4KM")


def test_what_cannot_be_exported_is_named(run: Path, base: Base, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no adapter"):
        base_of(tmp_path)
    lost = tmp_path / "lost"
    shutil.copytree(run, lost)
    replace(base, path=tmp_path / "gone").save(lost)
    with pytest.raises(ModelError, match="is not there any more"):
        merge(lost, tmp_path / "m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="converter refuses"):
        convert(tmp_path / "empty", tmp_path / "x.gguf")
    (tmp_path / "no.gguf").write_bytes(b"GGUF and nothing else")
    with pytest.raises(ModelError, match=r"cannot write no\.gguf"):
        quantize(tmp_path / "no.gguf", tmp_path / "y.gguf", "Q8_0")
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
