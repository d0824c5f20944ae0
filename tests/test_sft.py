"""Training a generator for real, on a tiny model: what learns, what does not, and that nothing is lost by a kill."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from bot.cli import quantahr
from config.errors import ConfigError, TrainingError
from exporter.load import load_tokenizer
from tests.tiny_base import write_tiny_base
from trainer.alone import alone
from trainer.journal import Event, Journal
from trainer.learn import check_room, learn
from trainer.plan import Machine, Plan, make_plan
from trainer.preference import interleaved
from trainer.runs import Run, RunSpec, dataset_hash, make_run, open_run
from trainer.sft import fitting, last_checkpoint, token_ids
from trainer.spec import TrainingSpec

CPU = Machine("", 0, False, 0.0, has_cpu_bf16=True, cores=2, memory_gb=24.0, free_disk_gb=100.0)
TRAINING = {
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 6,
    "learning_rate": 5e-3,
    "logging_steps": 1,
    "save_steps": 1,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("datasets") / "d1")


def a_row(number: int) -> dict[str, Any]:
    prompt = [
        {"role": "system", "content": "Answer from the policy text."},
        {"role": "user", "content": f"Policy text: You may carry over five days.\n\nQuestion: carry over {number}?"},
    ]
    return {"id": str(number), "prompt": prompt, "completion": [{"role": "assistant", "content": "Five days."}]}


def write_dataset(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for part, numbers in (("train", range(16)), ("validation", range(16, 20))):
        lines = [json.dumps(a_row(number)) for number in numbers]
        (folder / f"sft.{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps({"sha256": hashes(folder)}), encoding="utf-8")
    return folder


def a_plan(base: Path, **more: object) -> Plan:
    record = {
        "model": {"base_llm_model": str(base), "quantization": {"load_in_4bit": False}, "max_sequence_length": 256},
        "training": TRAINING | more,
    }
    return make_plan(TrainingSpec.model_validate(record), CPU, base)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def done(base: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, trained to its end without interruption."""
    events: list[Event] = []
    run = learn(tmp_path_factory.mktemp("runs"), RunSpec("sft", a_plan(base), dataset, "h"), events.append)
    assert [event["event"] for event in events][-1] == "done"
    return run


def test_the_loss_is_on_the_completion_and_its_end_alone(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    prompt, completion = token_ids(a_row(1), tokenizer)
    assert str(tokenizer.decode(prompt)).endswith("<|im_start|>assistant\n")
    assert str(tokenizer.decode(completion)).startswith("Five days.<|im_end|>")


def test_what_does_not_fit_is_dropped_and_counted(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    rows = [a_row(1), a_row(2)]
    long = sum(map(len, token_ids(rows[0], tokenizer)))
    assert fitting(rows, tokenizer, long) == (rows, 0)
    assert fitting(rows, tokenizer, long - 1) == ([], 2)


def test_the_adapter_learns_and_the_base_stays(done: Run, base: Path) -> None:
    before = hashes(base)
    losses = [step["loss"] for step in done.journal.steps()]
    assert len(losses) == 24 and losses[-1] < 0.5 * losses[0]
    assert done.metrics and done.metrics["validation_loss"] < losses[0]
    tokenizer = load_tokenizer(base)
    prompt, _ = token_ids(a_row(99), tokenizer)
    plain = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
    tuned = PeftModel.from_pretrained(plain, done.folder / "adapter")
    generate: Any = tuned.generate
    said = generate(input_ids=torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
    assert str(tokenizer.decode(said, skip_special_tokens=True)).strip() == "Five days."
    assert said[-1] == tokenizer.eos_token_id  # it learned to stop
    assert hashes(base) == before


def test_a_run_holds_all_that_explains_it(done: Run) -> None:
    names = {path.name for path in done.folder.iterdir()}
    assert {"run.json", "journal.jsonl", "metrics.json", "environment.json", "loss.png", "report.md"} <= names
    assert "checkpoints" not in names
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    assert "validation loss" in report and "model.lora.r" in report
    assert json.loads((done.folder / "environment.json").read_text())["trl"].startswith("1.")
    assert open_run(done.folder).spec == done.spec


def test_a_run_that_is_done_is_not_done_again(done: Run) -> None:
    events: list[Event] = []
    again = learn(done.folder.parent, done.spec, events.append)
    assert again.folder == done.folder and [event["event"] for event in events] == ["opened"]


@pytest.mark.slow
def test_a_run_that_is_killed_ends_with_the_same_loss(done: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path, done.spec)
    command = [sys.executable, "-m", "trainer.sft", "--run", str(run.folder)]
    for saved in (6, 13):  # in the middle of an epoch
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not any(one["event"] == "saved" and one["step"] >= saved for one in run.journal.events()):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert run.metrics is None
    learn(tmp_path, done.spec, lambda _: None)
    assert [s["loss"] for s in run.journal.steps()] == [s["loss"] for s in done.journal.steps()]
    assert run.metrics == done.metrics
    adapter = "adapter/adapter_model.safetensors"
    assert (run.folder / adapter).read_bytes() == (done.folder / adapter).read_bytes()
    assert sum(one["event"] == "begin" for one in run.journal.events()) == 3


def test_a_training_whose_parent_was_killed_keeps_others_out(tmp_path: Path) -> None:
    with alone(tmp_path) as lock:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], pass_fds=(lock,))
    try:
        with pytest.raises(TrainingError, match="Another process is training"), alone(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()
    with alone(tmp_path):
        pass


def test_thumbs_go_on_from_the_adapter_that_was_trained(done: Run, base: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes"
    votes.mkdir()
    rows = [{**a_row(number), "label": number % 3 > 0} for number in range(9)]
    for row in rows[::3]:
        row["completion"] = [{"role": "assistant", "content": "Leave is 20 days a year."}]
    (votes / "kto.train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    plan = a_plan(base, max_steps=3, per_device_train_batch_size=1)
    run = learn(tmp_path / "runs", RunSpec("kto", plan, votes, "h", done.folder / "adapter"), lambda _: None)
    assert run.metrics and run.metrics["steps"] == 3
    names = {path.name for path in (run.folder / "adapter").iterdir()}
    assert "adapter_model.safetensors" in names and "ref" not in names
    before, after = (load_file(one.folder / "adapter" / "adapter_model.safetensors") for one in (done, run))
    assert any(not torch.equal(before[name], after[name]) for name in after)
    assert max(float((before[name] - after[name]).abs().max()) for name in after) < 0.1  # it went on from there


def test_good_and_bad_answers_are_interleaved() -> None:
    rows = [{"n": n, "label": n < 8} for n in range(12)]
    mixed = interleaved(rows, 0)
    assert sorted(row["n"] for row in mixed) == list(range(12))
    assert all(not all(row["label"] for row in mixed[i : i + 4]) for i in range(9))


def test_a_checkpoint_that_was_cut_off_is_passed_over(done: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path, done.spec)
    for step, files in ((2, ("trainer_state.json", "optimizer.pt")), (4, ("optimizer.pt",))):
        checkpoint = run.checkpoints / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        for name in files:
            (checkpoint / name).write_text("{}", encoding="utf-8")
    assert last_checkpoint(run) == str(run.checkpoints / "checkpoint-2")


def test_a_loss_that_is_no_number_is_no_result(done: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path, done.spec)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        run.finish("adapter", lambda folder: None, {"train_loss": float("nan")})
    assert run.metrics is None


def test_rows_that_were_changed_since_are_not_trained_on(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d")
    assert "sft.train.jsonl" in dataset_hash(folder)
    (folder / "sft.train.jsonl").unlink()
    with pytest.raises(TrainingError, match="changed or erased"):
        dataset_hash(folder)


def test_two_do_not_train_at_once(done: Run, tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(TrainingError, match="Another process is training"):
        learn(tmp_path, done.spec, lambda _: None)


def test_what_will_not_fit_is_refused_with_the_numbers(base: Path, tmp_path: Path) -> None:
    huge = replace(a_plan(base), batch=100_000)
    with pytest.raises(TrainingError, match=r"needs about [\d.]+ GB of memory and [\d.]+ GB are free"):
        check_room(huge, tmp_path)


def test_running_out_of_memory_begins_anew_with_less_and_says_so(
    base: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.learn._MODULES", {"sft": "tests.starved"})
    run = learn(tmp_path, RunSpec("sft", a_plan(base, max_steps=2), dataset, "h"), lambda _: None)
    events = [one for one in run.journal.events() if one["event"] in ("out_of_memory", "less_memory")]
    assert [one["event"] for one in events] == ["out_of_memory", "less_memory"]
    assert run.plan.batch == 1 and run.plan.accumulation == 4 and run.metrics


def test_no_row_and_no_base_are_explained(base: Path, dataset: Path, tmp_path: Path) -> None:
    short = replace(a_plan(base), max_tokens=8)
    run = make_run(tmp_path, RunSpec("sft", short, dataset, "h"))
    with pytest.raises(ConfigError, match="16 are longer"):
        run.require_rows(0, 16)
    with pytest.raises(TrainingError, match="holds no run"):
        open_run(tmp_path / "none")


def test_a_journal_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add("step", step=1, loss=2.0)
    with journal.file.open("a") as lines:
        lines.write('{"event": "step", "st\n')
    journal.add("step", step=1, loss=1.0)
    assert [one["loss"] for one in journal.steps()] == [1.0]


def test_the_command_trains_the_newest_dataset(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTAHR_DATA_DIR", str(tmp_path))
    nothing = CliRunner().invoke(quantahr, ["train"])
    assert nothing.exit_code == 2 and "quantahr dataset build" in nothing.output
    write_dataset(tmp_path / "datasets" / "d1")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"model": {"base_llm_model": str(base)}, "training": TRAINING | {"max_steps": 1}}))
    result = CliRunner().invoke(quantahr, ["train", "--config", str(spec), "--json"])
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["event"] == "run" and (Path(last["folder"]) / "adapter" / "adapter_model.safetensors").is_file()
