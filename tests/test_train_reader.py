"""Training the reader: a few real steps on a little data teach it, and being killed costs nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from config.settings import IndexSettings
from knowledge.embed import Embedder, embedded_model
from knowledge.features import PIECE_FEATURES
from knowledge.pair import PairMeans, PieceHead, open_tokenizer
from knowledge.read import Linear, open_reader
from knowledge.window import word_pieces
from tests.handbook import write_handbook
from trainer.choice import Judged, _folds, fit_choice, hit_rates, summary
from trainer.look import Looked, look
from trainer.reader import Head, ReaderSettings, fit, train
from trainer.rows import OURS, Row
from trainer.shown import ShownDraws, near_of

TOWNS = ("Oslo", "Rome", "Lima", "Cairo", "Delhi")
THINGS = ("bank", "gym", "bar")
ADAPTER = IndexSettings().adapter or Path()
SMALL = ReaderSettings(epochs=4, batch_size=5)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    for n, town in enumerate(TOWNS):
        rules = "\n\n".join(f"The {thing} of {town} opens at {n + h} pm." for h, thing in enumerate(THINGS))
        write_handbook(folder, {f"policies/{town}/rules.md": f"# {town}\n\n{rules}\n\nNobody smokes here."})
    sets = {"question": "may i smoke", "correction": "No.", "same": ["is smoking allowed"], "near": ["who smokes"]}
    (folder / "matching.jsonl").write_text(json.dumps(sets), encoding="utf-8")
    (folder / "rows.jsonl").write_text("", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def looked(data: Path, embedder: Embedder) -> list[Looked]:
    rows = [
        Row(f"{OURS}{town}", f"when does the {thing} open", (f"The {thing} of {town} opens at {n + h} pm.",))
        for n, town in enumerate(TOWNS)
        for h, thing in enumerate(THINGS)
    ]
    rows += [Row(f"{OURS}{town}", "what is the price of silver", ()) for town in TOWNS]
    return look(rows, data, embedder)


def test_shown_questions_have_one_window_that_answers_or_none(looked: list[Looked]) -> None:
    first_look = fit_choice([one.example for one in looked])
    draws = ShownDraws(near_of(looked, first_look), [], open_tokenizer(embedded_model()), 0.7, random.Random(0))
    shown = [one for _ in range(4) for one in draws.batch(5)]
    assert {one.question for one in shown} == {one.example.row.question for one in looked}
    for one in shown:
        assert sum(any(gold) for gold in one.is_gold) == (0 if "silver" in one.question else 1)


def test_draws_go_on_as_if_they_had_not_been_stopped(looked: list[Looked]) -> None:
    first_look = fit_choice([one.example for one in looked])
    tokenizer = open_tokenizer(embedded_model())
    stopped, other = (
        ShownDraws(near_of(looked, first_look), [], tokenizer, 0.7, random.Random(seed)) for seed in (0, 1)
    )
    stopped.batch(5)
    other.resume(stopped.state())
    assert [other.batch(5) for _ in range(3)] == [stopped.batch(5) for _ in range(3)]


def test_window_that_tempts_is_always_shown(tmp_path: Path, embedder: Embedder) -> None:
    rules = [f"Rule {n}: {'the office keeps its doors and windows shut at night, ' * 5}says {n}." for n in range(10)]
    write_handbook(tmp_path, {"policies/Oslo/rules.md": "\n\n".join(["# Oslo", *rules])})
    tokenizer = open_tokenizer(embedded_model())

    def times_shown(tempting: str) -> int:
        (looked,) = look([Row(f"{OURS}Oslo", "what is the price of silver", (), tempting)], tmp_path, embedder)
        model = Linear(np.zeros(len(PIECE_FEATURES), np.float32), 0.0)
        draws = [ShownDraws(near_of([looked], model), [], tokenizer, 0.0, random.Random(seed)) for seed in range(8)]
        wanted = tuple(word_pieces(rules[7], tokenizer))
        shown = [one for draw in draws for one in draw.batch(1)]
        return sum(any(wanted[:20] == piece[:20] for w in one.windows for piece in w.pieces) for one in shown)

    assert times_shown(rules[7]) == 8 > times_shown("")


def test_first_look_learns_to_choose_the_gold_piece(looked: list[Looked]) -> None:
    examples = [one.example for one in looked]
    assert float(str(hit_rates(examples, fit_choice(examples))["hit@1"])) >= 0.9


def test_training_learns_and_leaves_a_reader_that_serving_opens(
    looked: list[Looked], data: Path, tmp_path: Path, embedder: Embedder
) -> None:
    first_look = fit_choice([one.example for one in looked])
    trained = train(looked, first_look, data, SMALL, ADAPTER, tmp_path / "checkpoint.pt")
    assert np.mean(trained.losses[-4:]) < 0.7 * np.mean(trained.losses[:4])
    again = train(looked, first_look, data, SMALL, ADAPTER, tmp_path / "other.pt")
    assert again.losses == trained.losses

    from trainer.pair_training import save_adapter
    from trainer.reader import save_head

    save_adapter(trained.model, tmp_path / "reader")
    save_head(trained.head, tmp_path / "reader")
    metrics = fit(looked, first_look, tmp_path / "reader", embedder)["cross_validated"]
    assert isinstance(metrics, dict)
    assert metrics["hit@1"] == 1
    reader = open_reader(embedder, tmp_path / "reader")
    assert np.isfinite(reader.weights.choice.weights).all()


def test_head_in_training_scores_as_the_one_that_serves() -> None:
    torch.manual_seed(0)
    head = Head(8)
    head.weights.data = torch.randn(8)
    question, piece = torch.randn(3, 8), torch.randn(3, 8)
    serving = PieceHead(head.scale.item(), head.weights.detach().numpy(), head.bias.item())
    for n in range(3):
        scored = serving(PairMeans(question[n].numpy(), piece[n].numpy(), piece[n : n + 1].numpy()))
        assert scored[0] == pytest.approx(head(question, piece)[n].item(), abs=1e-4)


def test_summary_of_a_reader_that_is_always_sure_and_always_right_has_no_error() -> None:
    judged = [Judged("", True, True, True, 1.0, 9)] * 3 + [Judged("", False, False, False, 0.0, 9)]
    found = summary(judged)
    assert (found["right"], found["wrong"], found["declined"], found["calibration_error"]) == (1, 0, 1, 0)


def test_one_employer_is_measured_on_questions_that_the_fit_has_not_seen(looked: list[Looked]) -> None:
    alone = [one.example for one in looked if one.example.row.employer == looked[0].example.row.employer]
    folds = list(_folds(alone))
    assert sum(len(own) for _, own in folds) == len(alone)
    for others, own in folds:
        assert others and not {one.row.quotes for one in others if one.row.quotes} & {one.row.quotes for one in own}
