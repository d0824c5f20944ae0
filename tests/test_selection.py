"""How much evidence is given."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import ReadingSettings
from knowledge.pieces import Piece, PieceKind
from knowledge.selection import held_together, introduced, select, softmax


def sentences(*lengths: int) -> list[Piece]:
    """Sentences of so many words, all different."""
    return [Piece(PieceKind.SENTENCE, f"{'abcdefgh'[n]} " * length) for n, length in enumerate(lengths)]


def scores(*chances: float) -> np.ndarray:
    return np.log(np.array(chances, dtype=np.float32))


def test_one_piece_is_given_where_it_is_plain_which_answers() -> None:
    assert select(sentences(10, 10, 10), scores(0.985, 0.01, 0.005), ReadingSettings()) == [0]


def test_more_is_given_the_less_it_is_plain() -> None:
    settings = ReadingSettings(min_chance_per_word=0.002)
    assert select(sentences(10, 10, 10), scores(0.9, 0.09, 0.01), settings) == [0, 1]
    assert select(sentences(10, 10, 10), scores(0.2, 0.5, 0.3), settings) == [1, 2, 0]


def test_long_piece_must_be_likelier_than_a_short_one() -> None:
    settings = ReadingSettings(min_chance_per_word=0.002)
    assert select(sentences(10, 40, 10), scores(0.9, 0.06, 0.04), settings) == [0, 2]


def test_best_piece_is_given_however_long_and_others_only_up_to_the_limits() -> None:
    settings = ReadingSettings(min_chance_per_word=0.0, max_words=30, max_evidence=3)
    assert select(sentences(40, 1), scores(0.9, 0.1), settings) == [0]
    assert select(sentences(10, 25, 10, 10, 10), scores(0.5, 0.2, 0.15, 0.1, 0.05), settings) == [0, 2, 3]
    assert len(select(sentences(1, 1, 1, 1, 1), scores(0.2, 0.2, 0.2, 0.2, 0.2), settings)) == 3


def test_what_is_said_already_is_not_said_again() -> None:
    whole = Piece(PieceKind.SENTENCE, "You may carry over five days, or ten after a long illness.")
    part = Piece(PieceKind.SENTENCE, "You may carry over five days")
    assert select([whole, part], scores(0.5, 0.5), ReadingSettings()) == [0]


@pytest.mark.parametrize(
    ("lead_in", "count"),
    [
        ("You may if all of these hold:", 2),
        ("You may, but only if you:", 2),
        ("You may, provided that:", 2),
        ("You can claim for:", 0),
        ("The following is provided:", 0),
    ],
)
def test_conditions_that_hold_only_together_are_held_together(lead_in: str, count: int) -> None:
    other = "We never pay for:\n- taxis"
    items = "\n".join(f"- condition {n}" for n in range(3))
    item = Piece(PieceKind.LIST_ITEM, "condition 1", lead_in)
    assert len(held_together(item, f"{other}\n{lead_in}\n{items}\n{other}")) == count
    assert held_together(item, other) == []


def test_a_sentence_introduces_the_items_under_it() -> None:
    text = "We close on these days:\n- New Year's Day\n- Christmas Day\nOn others we are open."
    introduction = Piece(PieceKind.SENTENCE, "We close on these days:")
    assert [piece.text for piece in introduced(introduction, text)] == ["New Year's Day", "Christmas Day"]
    assert introduced(Piece(PieceKind.SENTENCE, "On others we are open."), text) == []


def test_another_list_with_the_same_lead_in_stays_out() -> None:
    lead_in = "You may if all of these hold:"
    ours, theirs = (f"{lead_in}\n- {whose} condition 0\n- {whose} condition 1" for whose in ("our", "their"))
    first, second = (Piece(PieceKind.LIST_ITEM, f"our condition {n}", lead_in) for n in range(2))
    assert held_together(first, f"{ours}\nPlease ask for it in June.\n{theirs}") == [second]


def test_a_word_that_lies_in_another_piece_is_not_said_by_it() -> None:
    rent = Piece(PieceKind.LIST_ITEM, "rent", "word " * 30)
    other = Piece(PieceKind.SENTENCE, "Parents may ask at their current office.")
    assert select([rent, other], scores(0.5, 0.5), ReadingSettings()) == [0, 1]


def test_chances_are_shares_of_the_whole() -> None:
    assert softmax(np.array([1000.0, 1000.0], dtype=np.float32)) == pytest.approx([0.5, 0.5])


def test_lead_in_counts_once_and_a_long_one_not_at_all() -> None:
    def items(lead_in: str) -> list[Piece]:
        return [Piece(PieceKind.LIST_ITEM, text, lead_in) for text in ("taxis", "trains", "planes")]

    settings = ReadingSettings(min_chance_per_word=0, max_words=6)
    assert select(items("You can always claim:"), scores(0.5, 0.3, 0.2), settings) == [0, 1]
    assert len(select(items("word " * 30), scores(0.5, 0.3, 0.2), settings)) == 3


def test_lead_in_that_is_not_shown_may_be_evidence_of_its_own() -> None:
    def answer(lead_in: str) -> list[Piece]:
        return [Piece(PieceKind.LIST_ITEM, "Ask IT for one.", lead_in), Piece(PieceKind.SENTENCE, lead_in)]

    settings = ReadingSettings(min_chance_per_word=0)
    assert select(answer("Visitors need a badge:"), scores(0.5, 0.5), settings) == [0]
    assert select(answer("Visitors need a badge, " + "and then another one, " * 10), scores(0.5, 0.5), settings) == [
        0,
        1,
    ]
