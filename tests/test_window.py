"""Windows: every piece is read once, with its neighbours, and is found again in what the encoder reads."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from knowledge.embed import embedded_model
from knowledge.pair import open_tokenizer
from knowledge.pieces import pieces
from knowledge.window import MAX_HEADING, MAX_PIECE, MAX_QUESTION, MAX_WINDOW, pair_input, windows

TEXT = """Staff may claim for travel.

You can claim:
- taxis after 10 pm
- trains in second class

| Town | Night |
| --- | --- |
| Oslo | 120 |
| Rome | 90 |
"""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_tokenizer(embedded_model())


def said(ids: tuple[int, ...], tokenizer: Tokenizer) -> str:
    return str(tokenizer.decode(list(ids)))


def test_every_piece_lies_in_exactly_one_window(tokenizer: Tokenizer) -> None:
    cut = pieces(TEXT * 6)
    found = windows("Travel", cut, tokenizer)
    assert len(found) == 3
    assert [n for window in found for n in range(window.first, window.first + len(window.pieces))] == [*range(len(cut))]
    assert all(sum(map(len, window.pieces)) <= MAX_WINDOW for window in found)


def test_spans_hold_question_and_pieces(tokenizer: Tokenizer) -> None:
    window = windows("Travel", pieces(TEXT), tokenizer)[0]
    pair = pair_input("can i take a taxi?", window, tokenizer)
    assert said(pair.ids[pair.question.start : pair.question.end], tokenizer) == "can i take a taxi?"
    assert [said(pair.ids[span.start : span.end], tokenizer) for span in pair.spans] == [
        "staff may claim for travel.",
        "you can claim :",
        "taxis after 10 pm",
        "trains in second class",
        "town : oslo ; night : 120",
        "town : rome ; night : 90",
    ]


def test_lead_in_is_read_again_where_a_window_begins_with_an_item(tokenizer: Tokenizer) -> None:
    items = "\n".join(f"- item number {n} with quite a few words to fill the window soon" for n in range(12))
    first, second, *_ = windows("", pieces(f"You can claim:\n{items}"), tokenizer)
    assert said(first.pieces[1], tokenizer).startswith("item number 0")
    assert said(second.pieces[0], tokenizer).startswith("you can claim : item number")


def test_lengths_are_bounded_whatever_comes_in(tokenizer: Tokenizer) -> None:
    long = "word " * 2_000
    window = windows(long, pieces(f"{long}."), tokenizer)[0]
    pair = pair_input(long, window, tokenizer)
    assert len(pair.ids) <= MAX_QUESTION + MAX_HEADING + MAX_PIECE + 4
    empty = pair_input("", windows("", pieces("Yes, you may do that."), tokenizer)[0], tokenizer)
    assert empty.question.end > empty.question.start


def test_items_own_words_are_read_however_long_its_lead_in_is(tokenizer: Tokenizer) -> None:
    introduction = "word " * 100 + "you can claim:"
    item = next(piece for piece in pieces(f"{introduction}\n- taxis after ten") if piece.lead_in)
    (window,) = windows("", [item], tokenizer)
    read = said(window.pieces[0], tokenizer)
    assert read.endswith("you can claim : taxis after ten")
    assert len(window.pieces[0]) == MAX_PIECE
