"""Training data that people wrote: what is wrong with it is named, and what is held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from knowledge.pieces import Piece, PieceKind
from tests.training_rows import write_training
from trainer.followup import FollowUpSettings, read_threads
from trainer.matching import read_sets
from trainer.reader import divide
from trainer.retriever import training_rows
from trainer.rows import HELD_OUT, OURS, employers, held_out, is_gold, read_rows
from trainer.triage import read_rows as read_messages

ROW = {"file": "train/policies/a/b.md", "question": "q", "also": "p", "answerable": True, "quotes": ["the rule"]}
SET = {"question": "q", "correction": "c", "same": ["s"], "near": ["n"]}
MESSAGE = {"text": "t", "category": "crisis", "expect": "crisis"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Line 2 of .*own_x.jsonl is no JSON"),
        ("[1]", "Line 2 of .*own_x.jsonl is no JSON object"),
        (json.dumps(ROW | {"also": None}), 'Line 2 of .*own_x.jsonl has no "also" that is a text'),
        (json.dumps(ROW | {"quotes": "the rule"}), 'has no "quotes" that is a list of texts'),
        (json.dumps(ROW | {"quotes": [1]}), 'has no "quotes" that is a list of texts'),
        (json.dumps(ROW | {"answerable": "yes"}), 'has no "answerable" that is true or false'),
        (json.dumps(ROW | {"turns": []}), 'has no "standalone" that is a text'),
        (json.dumps(ROW | {"turns": [{"role": "user"}], "standalone": "s"}), 'has "turns" without a role and a text'),
    ],
)
def test_line_that_is_no_row_is_named(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "own_x.jsonl").write_text(f"{json.dumps(ROW)}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (SET | {"near": None}, 'Line 1 of .*matching.jsonl has no "near" that is a list of texts'),
        (SET | {"same": []}, 'Line 1 of .*matching.jsonl has no wordings in "same"'),
    ],
)
def test_line_that_is_no_matching_set_is_named(line: dict[str, object], says: str, tmp_path: Path) -> None:
    (tmp_path / "matching.jsonl").write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read_sets(tmp_path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (MESSAGE | {"text": 3}, 'Line 1 of .*triage.jsonl has no "text"'),
        (MESSAGE | {"category": "weather"}, "Line 1 of .*triage.jsonl has the unknown category 'weather'"),
    ],
)
def test_line_that_is_no_message_is_named(line: dict[str, object], says: str, tmp_path: Path) -> None:
    (tmp_path / "triage.jsonl").write_text(f"{json.dumps(line)}\n\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        read_messages(tmp_path, "triage.jsonl")


def test_thread_without_texts_is_named(tmp_path: Path) -> None:
    (tmp_path / "threads.jsonl").write_text(json.dumps(ROW | {"turns": [{"role": "user"}]}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r'Line 1 of .*threads\.jsonl has "turns" without a text'):
        read_threads(tmp_path, FollowUpSettings())


def test_every_part_holds_out_employers_by_all_rows(tmp_path: Path) -> None:
    data = write_training(tmp_path)
    assert employers(data) == {row.employer for row in read_rows(data)}


def test_employers_of_a_company_are_held_out_by_their_names_alone() -> None:
    some = [
        f"{OURS}{name}"
        for name in ("north", "south", "east", "west", "centre", "coast", "hills", "lake", "moor", "sea")
    ]
    assert len(held_out(some)) == 2
    assert held_out(some[:1]) == {some[0]}
    assert held_out([*some, "handbooks/clef"]) == held_out(some)
    assert held_out([*some, *HELD_OUT]) == HELD_OUT


def test_a_companys_own_rows_are_learned_from_and_measured_on(tmp_path: Path) -> None:
    data = write_training(tmp_path)
    seen, unseen = divide(read_rows(data))
    assert {row.employer for row in seen} | {row.employer for row in unseen} == {f"{OURS}northwind", f"{OURS}southsea"}
    assert {row.employer for row in training_rows(data)} == {row.employer for row in seen} != set()


def test_one_employer_is_too_few_to_measure_on(tmp_path: Path) -> None:
    data = write_training(tmp_path)
    file = data / "own_tiny.jsonl"
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "northwind" in line]
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match="too few employers"):
        training_rows(data)


def test_short_row_is_gold_only_as_a_whole() -> None:
    row = Piece(PieceKind.TABLE_ROW, "A | 5")
    assert is_gold(row, ("| A | 5 |",))
    assert not is_gold(row, ("Plan a 5 km walk",))


@pytest.mark.parametrize(
    ("text", "quote", "is_right"),
    [
        ("Mail the team about it first.", "Mail the [team](https://wiki.example/team#mail) about it first.", True),
        ("Gold | £40", "<td>Gold</td><td>&pound;40</td>", True),
        ("Bank details", "Bring these:\n  - Home address\n  - Bank details", True),
        ("$500 to $900: a guild lead.", "3. **$500 to $900:** a guild lead.", True),
        ("Ask six months ahead.", "After five years you may take three months off. Ask six months ahead.", True),
        ("✓ | —", "Rules:\n\nAsk first.", False),
        ("Your manager", "Tell your manager as soon as you can.", False),
        ("Sabbatical", "Parental leave does not count towards a sabbatical.", False),
    ],
)
def test_markup_does_not_hide_gold_and_titles_are_none(text: str, quote: str, *, is_right: bool) -> None:
    assert is_gold(Piece(PieceKind.SENTENCE, text), (quote,)) is is_right


def test_rows_without_their_policy_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_training(tmp_path)
    lost = {**ROW, "file": "train/policies/southsea/gone.md"}
    (data / "own_lost.jsonl").write_text(f"{json.dumps(lost)}\n{json.dumps(lost)}\n", encoding="utf-8")
    assert len(read_rows(data)) == 24
    assert "2 rows are left out" in caplog.text and "Line 1 of" in caplog.text
