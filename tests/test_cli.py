"""The command line, as scripts and people use it: real processes, real models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.handbook import FILES, write_handbook

CHECKOUT = Path(__file__).parent.parent
ANSWER_KEYS = {"answer", "abstained", "route", "citations", "model", "ttft_ms", "latency_ms"}


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings of a small company whose handbook and data lie in `tmp_path`."""
    write_handbook(tmp_path / "handbook")
    file = tmp_path / "quantahr.toml"
    file.write_text(
        f'data_dir = "{tmp_path / "data"}"\n[documents]\nfolder = "{tmp_path / "handbook"}"\n[model]\nthreads = 1\n',
        encoding="utf-8",
    )
    return file


def quantahr(*arguments: str, settings: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command; settings in the environment of whoever runs the tests do not count."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUANTAHR_")}
    config = ["--config", str(settings)] if settings else []
    command = [sys.executable, "-c", "from bot.cli import main; main()", *config, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=CHECKOUT, timeout=300)


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['quantahr', '--help']\nfrom bot.cli import main\n"
        "try: main()\nfinally: print({'torch', 'numpy', 'pydantic', 'llama_cpp', 'chromadb'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT)
    for name in ("serve", "ask", "ingest", "eval", "doctor"):
        assert f"  {name} " in shown.stdout
    assert shown.stdout.endswith("set()\n")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("frobnicate",), 2, "No such command 'frobnicate'"),
        (("ask",), 2, "Missing argument 'QUESTION'"),
        (("ask", "  "), 2, "The question is empty"),
        (("ask", "x", "--audience", "boss"), 2, "'boss' is not one of"),
        (("ask", "x", "--country", "ZZ"), 2, "'ZZ' is no country's code"),
        (("--config", "absent.toml", "ask", "x"), 1, "There is no configuration file absent.toml"),
    ],
)
def test_mistakes_are_one_sentence_on_stderr(arguments: tuple[str, ...], status: int, says: str) -> None:
    ran = quantahr(*arguments)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert says in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.slow
def test_ask_fills_an_empty_index_and_prints_answer_and_source(settings: Path) -> None:
    ran = quantahr("ask", "how many unused days can i carry over?", settings=settings)
    assert ran.returncode == 0, ran.stderr
    assert "five" in ran.stdout
    assert "[1] Annual leave › Carrying over — leave.md, in force since 2026-01-01" in ran.stdout
    as_json = json.loads(quantahr("ask", "--json", "how many unused days can i carry over?", settings=settings).stdout)
    assert as_json.keys() >= ANSWER_KEYS
    assert as_json["citations"][0]["file"] == "leave.md"


@pytest.mark.slow
def test_ingest_reports_and_fails_only_when_a_file_was_skipped(settings: Path, tmp_path: Path) -> None:
    first = quantahr("ingest", settings=settings)
    assert (first.returncode, first.stdout) == (0, f"{tmp_path / 'handbook'}: {len(FILES)} documents: 4 added\n")
    (tmp_path / "handbook" / "broken.docx").write_bytes(b"PK no zip")
    second = quantahr("ingest", "--json", settings=settings)
    assert second.returncode == 1
    (report,) = json.loads(second.stdout).values()
    assert (sorted(report["unchanged"]), report["skipped"][0]["file"]) == (sorted(FILES), "broken.docx")


@pytest.mark.slow
def test_doctor_checks_everything_and_says_what_to_do(settings: Path, tmp_path: Path) -> None:
    findings = json.loads(quantahr("doctor", "--json", settings=settings).stdout)
    health = {finding["check"]: finding["health"] for finding in findings}
    assert health.pop("index") == "warning"
    assert set(health.values()) == {"ok"}
    with settings.open("a", encoding="utf-8") as file:
        file.write(f'gguf = "{tmp_path / "absent.gguf"}"\n')
    ran = quantahr("doctor", settings=settings)
    assert ran.returncode == 1
    assert "absent.gguf" in ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize("part", ["reader", "matcher", "triage"])
def test_doctor_names_the_command_for_a_part_that_is_damaged_or_of_another_embedder(
    settings: Path, tmp_path: Path, part: str
) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(CHECKOUT / "models" / "starter", parts)
    settings.write_text(f'parts_dir = "{parts}"\n{settings.read_text(encoding="utf-8")}', encoding="utf-8")

    def says() -> dict[str, str]:
        findings = json.loads(quantahr("doctor", "--json", settings=settings).stdout)
        return next(finding for finding in findings if finding["check"] == "parts")

    assert says()["health"] == "ok"
    manifest = parts / part / "manifest.json"
    read = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(read | {"base": "another-1"}), encoding="utf-8")
    found = says()
    assert found["health"] == "failed"
    assert f"The {part} was made over another embedder" in found["says"]
    assert f"'quantahr train --starter --only {part}'" in found["says"]
    manifest.write_text(json.dumps(read), encoding="utf-8")
    next((parts / part).glob("head.*")).write_bytes(b"damaged")
    found = says()
    assert "is not the file that its manifest lists" in found["says"]
    assert f"'quantahr train --starter --only {part}'" in found["says"]


@pytest.mark.slow
def test_eval_answers_over_a_private_index_and_grades(settings: Path, tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "question": "how many unused days can i carry over",
            "must": [["five", "5"]],
            "gold_file": "leave.md",
        },
        {"id": "2", "question": "which colour is the company logo", "kind": "unanswerable", "must": []},
        {
            "id": "3",
            "turns": [
                {"role": "user", "text": "days of leave a year with 2 years of service?"},
                {"role": "bot", "text": "25."},
                {"role": "user", "text": "and with 5 or more?"},
            ],
            "must": [["28"]],
            "gold_file": "leave.md",
        },
        {"id": "4", "question": "when do i ring in sick", "country": "DE", "must": [["8 am"]], "must_not": ["9.30"]},
    ]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    out = tmp_path / "answers.jsonl"
    ran = quantahr(
        *("eval", "--json", "--docs", str(tmp_path / "handbook")),
        *("--questions", str(questions), "--out", str(out)),
        settings=settings,
    )
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "2", "3", "4"]
    assert all(answer.keys() >= ANSWER_KEYS for answer in answers)
    result = json.loads(ran.stdout)
    assert (result["right"], result["rightly_declined"]) == (1.0, 1.0)
    assert not (tmp_path / "data").exists()


def test_line_that_is_no_question_is_named(settings: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"id": "1", "question": "a"}\n{"id": "2"}\n', encoding="utf-8")
    ran = quantahr(
        *("eval", "--docs", str(tmp_path), "--questions", str(questions), "--out", str(tmp_path / "out")),
        settings=settings,
    )
    assert ran.returncode == 1
    assert "Line 2 of" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.slow
def test_chunk_size_that_the_embedder_cannot_hold_is_clipped_and_said(settings: Path) -> None:
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}[index]\nchunk_size = 512\n", encoding="utf-8")
    ran = quantahr("ingest", settings=settings)
    assert ran.returncode == 0
    assert "index.chunk_size is 512; the embedder reads 256 word pieces" in ran.stderr
