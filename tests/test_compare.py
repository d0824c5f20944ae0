"""Two versions' answers side by side: what is measured, and what an interval may call better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli import quantahr
from bot.record import AnswerRecord, CitationRecord
from knowledge.embed import Embedder
from trainer.compare import Asked, compare, measure
from trainer.grade import Graders

CARRY = Graders.of({"kind": "number", "must": [["five|5"]], "gold_file": "leave.md"})
LOGO = Graders.of({"kind": "unanswerable"})
POLICY = "You may carry over five days of leave."


def an_answer(name: str, text: str, route: str = "generated", file: str = "leave.md") -> AnswerRecord:
    cited = CitationRecord(
        file=file, title="Leave", heading="", text=POLICY, quote=POLICY, score=1.0, url="", page=None, effective="",
        is_expired=False,
    )  # fmt: skip
    return AnswerRecord(
        id=name, answer=text, abstained=route == "unknown", route=route, category="", probability=0.9,
        citations=[cited], model="m", prompt_version="1", ttft_ms=1.0, latency_ms=10.0, steps_ms={},
    )  # fmt: skip


def test_an_answer_is_measured_by_what_its_row_says() -> None:
    asked = Asked("1", "How many days can I carry over?", CARRY, ideal="Five days (5).")
    good = measure(asked, an_answer("1", "You may carry over five days."), agreement=0.8)
    assert (good["right"], good["right file cited"], good["grounded"], good["agrees with HR"]) == (1.0, 1.0, 1.0, 0.8)
    assert good["HR's figures"] == 1.0
    bad = measure(asked, an_answer("1", "You may carry over ten days.", file="other.md"), agreement=0.7)
    assert (bad["right"], bad["right file cited"], bad["grounded"], bad["HR's figures"]) == (0.0, 0.0, 0.0, 0.0)
    declined = measure(Asked("2", "What colour is the logo?", LOGO), an_answer("2", "I couldn't find it.", "unknown"))
    assert declined["rightly declined"] == 1.0 and "right" not in declined and "grounded" not in declined


def test_better_is_only_what_the_interval_says(embedder: Embedder) -> None:
    asked = [Asked(str(n), f"How many days can I carry over, case {n}?", CARRY, group=str(n)) for n in range(40)]
    right = {one.id: an_answer(one.id, "Five days.") for one in asked}
    wrong = {one.id: an_answer(one.id, "Ten days.") for one in asked}
    half = {one.id: (right if n % 2 else wrong)[one.id] for n, one in enumerate(asked)}
    nearly_half = dict(half) | {"0": right["0"]}

    clear = compare(asked, half, right, embedder)
    found = clear.of("right")
    assert found and (found.before, found.after, found.verdict) == (0.5, 1.0, "better")
    assert found.low > 0.3 and clear.drift == 0.5 and len(clear.got_better) == 10 and not clear.got_worse
    worse = compare(asked, right, half, embedder).of("wrong")
    assert worse and worse.verdict == "worse"
    unclear = compare(asked, half, nearly_half, embedder).of("right")
    assert unclear and unclear.after > unclear.before and unclear.verdict == "same"


def test_paraphrases_count_as_one_when_the_interval_is_drawn(embedder: Embedder) -> None:
    texts = [f"How many days can I carry over, case {n}?" for n in range(30)]
    apart = [Asked(str(n), text, CARRY, group=str(n)) for n, text in enumerate(texts)]
    together = [Asked(str(n), text, CARRY, group=str(n // 15)) for n, text in enumerate(texts)]
    before = {one.id: an_answer(one.id, "Ten days.") for one in apart}
    after = {one.id: an_answer(one.id, "Five days." if int(one.id) < 15 else "Ten days.") for one in apart}
    narrow, wide = (compare(asked, before, after, embedder).of("right") for asked in (apart, together))
    assert narrow and wide and narrow.verdict == "better" and wide.verdict == "same"


def test_eval_compares_with_earlier_answers(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "leave.md").write_text(f"# Leave\n\n{POLICY}\n", encoding="utf-8")
    questions, out = tmp_path / "questions.jsonl", tmp_path / "new.jsonl"
    row = {"id": "1", "question": "How many days of leave can I carry over?", "must": [["five"]], "ideal": "Five days."}
    questions.write_text(json.dumps(row) + "\n", encoding="utf-8")
    earlier = tmp_path / "old.jsonl"
    earlier.write_text(an_answer("1", "Ten days.").model_dump_json() + "\n", encoding="utf-8")
    command = ["eval", "--docs", str(docs), "--questions", str(questions), "--out", str(out), "--against", str(earlier)]
    done = CliRunner().invoke(quantahr, [*command, "--json"], catch_exceptions=False)
    compared = {one["measure"]: one for one in json.loads(done.stdout)["against"]["differences"]}
    assert (compared["right"]["before"], compared["right"]["after"]) == (0.0, 1.0)
    assert compared["HR's figures"]["after"] == 1.0 and compared["agrees with HR"]["after"] > 0.3
    shown = CliRunner().invoke(quantahr, command, catch_exceptions=False)
    assert "Against the earlier answers" in shown.stdout and "Ten days." in shown.stdout


@pytest.mark.parametrize("text", ["{}", "no json"])
def test_earlier_answers_that_are_none_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "docs").mkdir()
    questions, earlier = tmp_path / "q.jsonl", tmp_path / "old.jsonl"
    questions.write_text('{"id": "1", "question": "x?"}\n', encoding="utf-8")
    earlier.write_text(text + "\n", encoding="utf-8")
    command = ["eval", "--docs", str(tmp_path / "docs"), "--questions", str(questions), "--out"]
    done = CliRunner().invoke(quantahr, [*command, str(tmp_path / "o.jsonl"), "--against", str(earlier)])
    assert done.exit_code != 0 and f"Line 1 of {earlier}" in str(done.exception)
