"""The gate: a model answers beside the live one, through the real `answer()`, before it may answer anybody.

Enters: a verified model of the registry. Leaves: a verdict with its report, in HR's words: what got better, what got
worse, with examples. Both run as they would be served, the quantized GGUF through llama.cpp.

Asked are the questions that ship (`samples/`, and policies that no encoder has learned), HR's own
(`<data_dir>/golden.jsonl`, in the shape of `quantahr eval`), held-out answers of HR's from the ledger, and messages
that must go to a human. It passes when nothing is worse and something is better, each by an interval that does not
hold 0; and when the share of right answers did not fall, nor that of wrong ones rise, by more than `MOST_POINTS`,
whatever the interval says.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bot.answer import Route
from bot.live import settings_with
from bot.record import AnswerRecord
from config.errors import ConfigError, ModelError
from config.settings import Settings
from exporter.registry import REPORTS, Registry
from knowledge.embed import Embedder, open_embedder
from trainer.compare import Comparison, Difference, compare
from trainer.dataset import GOLDEN_FILE
from trainer.evaluate import EvalRow, answer_all, read_questions, row_of
from trainer.records import SHIPPED
from trainer.rows import answered_rows, employers, held_out, policy

MOST_POINTS = 0.05
ENOUGH_QUESTIONS = 200
GOLDEN = "golden.jsonl"
_SAMPLES = SHIPPED.parent
_UNSEEN_QUESTIONS = 120
_IN_WORDS = {
    "right": "answers that are right",
    "wrong": "answers that are wrong",
    "declined": "questions declined though the policies answer them",
    "rightly declined": "questions declined because nothing answers them",
    "right file cited": "answers that cite the right policy",
    "agrees with HR": "likeness to HR's own answer",
    "HR's figures": "answers with the figures that HR gives",
    "grounded": "answers that say no more than the policy",
    "routed right": "messages that go to a human when they must, and only then",
    "in own words": "answers in the model's own words",
}


@dataclass(frozen=True)
class QuestionSet:
    """Questions over one folder of documents."""

    name: str
    docs: Path
    rows: tuple[EvalRow, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a model may answer; `better` and `worse` are sentences for HR."""

    passed: bool
    questions: int
    better: tuple[str, ...]
    worse: tuple[str, ...]
    compared: Comparison
    slowest_s: float

    @property
    def why(self) -> str:
        """In one line."""
        if self.worse:
            return "; ".join(self.worse)
        return "; ".join(self.better) if self.better else "nothing got better, so nothing is changed"


def gate(
    model: str,
    settings: Settings,
    registry: Registry,
    sets: Sequence[QuestionSet],
    on_step: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Ask both, compare, write the report, and say it to the registry; a model that fails is rejected.

    Raises:
        ModelError: There is no such model, its files were changed, or it cannot be loaded: then it is rejected.
        ConfigError: There is no question to ask.
    """
    registry.check(model)
    rows = [row for one in sets for row in one.rows]
    if not rows:
        raise ConfigError("There is no question for the gate to ask; write some, as docs/evaluating.md shows.")
    embedder = open_embedder(adapter=settings.index.adapter)
    live = registry.current().live
    before = _answers(live, settings, registry, sets, on_step)
    try:
        after = _answers(model, settings, registry, sets, on_step)
    except ModelError as error:
        registry.gated(model, passed=False, why=str(error))
        raise
    verdict = judge(rows, before, after, embedder, settings.model.deadline_s)
    write_report(registry, model, live, verdict, sets)
    registry.gated(model, passed=verdict.passed, why=verdict.why, against=live)
    return verdict


def judge(
    rows: Sequence[EvalRow],
    before: dict[str, AnswerRecord],
    after: dict[str, AnswerRecord],
    embedder: Embedder,
    most_s: float,
) -> Verdict:
    """The verdict on two sets of answers."""
    compared = compare([row.asked for row in rows], before, after, embedder)
    better = [_sentence(one) for one in compared.differences if one.verdict == "better"]
    worse = [_sentence(one) for one in compared.differences if one.verdict == "worse" or _fell(one)]
    lost = [
        row.question.text
        for row in rows
        if row.is_sensitive and before[row.id].route == Route.SENSITIVE and after[row.id].route != Route.SENSITIVE
    ]
    if lost:
        worse.append(f"{len(lost)} messages that must go to a human no longer do")
    slowest = float(np.percentile([one.latency_ms for one in after.values()], 95)) / 1000
    if slowest > most_s:
        worse.append(f"one answer in twenty takes {slowest:.0f} seconds or more, and {most_s:.0f} is the limit")
    return Verdict(bool(better) and not worse, len(rows), tuple(better), tuple(worse), compared, slowest)


def _fell(one: Difference) -> bool:
    """What no interval excuses."""
    change = one.after - one.before
    if one.measure == "in own words":  # what the model says is thrown away more often than before
        return one.before > 0 and change < -MOST_POINTS
    if one.measure in ("right", "rightly declined"):
        return change < -MOST_POINTS
    return one.measure == "wrong" and change > MOST_POINTS


def _sentence(one: Difference) -> str:
    what = _IN_WORDS.get(one.measure, one.measure)
    return f"{what}: {one.before:.0%} before, {one.after:.0%} now (of {one.questions})"


def _answers(
    model: str, settings: Settings, registry: Registry, sets: Sequence[QuestionSet], on_step: Callable[[str], None]
) -> dict[str, AnswerRecord]:
    own = settings_with(model, settings, registry)
    found: dict[str, AnswerRecord] = {}
    for one in sets:
        on_step(f"{model or 'what answers now'}: {one.name}, {len(one.rows)} questions")
        for row, given in asyncio.run(answer_all(one.rows, one.docs, own)):
            found[row.id] = AnswerRecord.of(given)
    return found


def question_sets(settings: Settings, dataset: Path | None = None) -> list[QuestionSet]:
    """All that is asked: what ships, HR's own, and what was held out of the ledger."""
    sets = []
    if (_SAMPLES / "questions.jsonl").is_file():
        files = [_SAMPLES / name for name in ("questions.jsonl", "threads.jsonl", "sensitive.jsonl")]
        rows = [row for file in files if file.is_file() for row in read_questions(file)]
        sets.append(QuestionSet("questions that ship", _SAMPLES / "handbook", tuple(rows)))
        sets += _unseen()
    own = settings.data_dir / GOLDEN
    held = dataset / GOLDEN_FILE if dataset else None
    rows = [row for file in (own, held) if file and file.is_file() for row in read_questions(file)]
    if rows:
        sets.append(QuestionSet("HR's own questions", settings.documents.folder, tuple(rows)))
    twice = [name for name, count in Counter(row.id for one in sets for row in one.rows).items() if count > 1]
    if twice:
        raise ConfigError(f"Two questions of the gate have the id {twice[0]}; give one of them another.")
    return sets


def _unseen() -> list[QuestionSet]:
    """Questions over policies of employers that no encoder has learned, with the answers written for them."""
    unseen = held_out(employers(SHIPPED))
    by_employer: dict[str, list[EvalRow]] = defaultdict(list)
    for record, employer, quotes in answered_rows(SHIPPED):
        if employer in unseen and quotes and "turns" not in record:
            own = {"id": f"{record['id']}", "question": record["question"], "ideal": record["answer"]}
            by_employer[employer].append(row_of(own))
    sets, left = [], _UNSEEN_QUESTIONS
    for employer, rows in sorted(by_employer.items()):
        sets.append(QuestionSet(f"about {Path(employer).name}", policy(SHIPPED, employer), tuple(rows[:left])))
        left -= len(rows)
        if left <= 0:
            break
    return sets


def write_report(registry: Registry, model: str, live: str, verdict: Verdict, sets: Sequence[QuestionSet]) -> None:
    """Write the report for HR beside the models, and the numbers for programs."""
    file = report_of(registry, model)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# {model}: {'passed' if verdict.passed else 'not passed'}",
        "",
        f"Compared with {live or 'what ships'} on {verdict.questions} questions on {datetime.now(UTC):%Y-%m-%d}: "
        + ", ".join(f"{len(one.rows)} {one.name}" for one in sets)
        + ".",
    ]
    if verdict.questions < ENOUGH_QUESTIONS:
        lines += ["", f"{ENOUGH_QUESTIONS} questions or more tell small changes apart; these may miss some."]
    for title, sentences in (("What got worse", verdict.worse), ("What got better", verdict.better)):
        lines += ["", f"## {title}", "", *([f"- {sentence}" for sentence in sentences] or ["Nothing that is certain."])]
    lines += ["", "## All that was measured", "", "| | questions | before | now | certain to lie between |"]
    lines += ["| - | - | - | - | - |"]
    for one in verdict.compared.differences:
        between = f"{one.low:+.2f} and {one.high:+.2f}"
        lines.append(f"| {one.measure} | {one.questions} | {one.before:.2f} | {one.after:.2f} | {between} |")
    for title, examples in (
        ("Examples that got worse", verdict.compared.got_worse),
        ("Examples that got better", verdict.compared.got_better),
    ):
        lines += ["", f"## {title}", ""]
        for changed in examples:
            lines.append(f"- **{changed.question}**")
            lines += [f"  - before: {_short(changed.before)}", f"  - now: {_short(changed.after)}"]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = json.dumps(asdict(verdict), indent=1, ensure_ascii=False, default=str)
    file.with_suffix(".json").write_text(record + "\n", encoding="utf-8")


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 300 else f"{plain[:297]}…"


def report_of(registry: Registry, model: str) -> Path:
    """Where a model's report is."""
    return registry.folder / REPORTS / f"{model}.md"
