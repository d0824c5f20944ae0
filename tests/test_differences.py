"""What is told apart in two questions: everyday words are not misread, and long texts cost no more than short ones."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge.differences import DIFFERENCES, _is_like, differences


def named(question: str, stored: str = "is it", answer: str = "") -> dict[str, float]:
    return dict(zip(DIFFERENCES, map(float, differences(question, stored, answer)), strict=True))


@pytest.mark.parametrize(
    ("question", "group"),
    [
        ("can you tell us the rules", "where"),
        ("CAN YOU TELL US THE RULES", "where"),
        ("do you give us staff discounts", "where"),
        ("two of us want the same week", "where"),
        ("are spanish classes free", "where"),
        ("may i of course sell it", "leave"),
        ("where do i send my bank details", "leave"),
        ("may i ride public transport", "leave"),
        ("how do i reserve a room", "leave"),
        ("ill be away on monday", "leave"),
        ("the annual review", "leave"),
        ("can i wear casual clothes", "who"),
        ("i want to volunteer", "who"),
        ("who is my hr partner", "who"),
        ("i broke my arm", "doing"),
        ("i'm signed off with stress", "doing"),
        ("noise cancelling headphones", "doing"),
        ("do you look after plants", "time"),
        ("is a day off given for a move", "often"),
        ("does the company pay for it", "thing"),
        ("who trains us", "thing"),
        ("is it in stock", "thing"),
        ("which options do i have", "thing"),
        ("where is the help desk", "thing"),
    ],
)
def test_words_of_another_meaning_name_nothing(question: str, group: str) -> None:
    assert named(question)[f"new_{group}"] == 0


@pytest.mark.parametrize(
    ("question", "group"),
    [
        ("is the dentist covered in the us plan", "where"),
        ("meal money in the US", "where"),
        ("how long is a us work visa valid", "where"),
        ("us dental?", "where"),
        ("the U.S. office", "where"),
        ("the german office", "where"),
        ("who pays for a course", "leave"),
        ("is a bank holiday paid", "leave"),
        ("army reserve duty", "leave"),
        ("im ill today", "leave"),
        ("i'm signed off with stress", "leave"),
        ("can days be carried over", "doing"),
        ("how many days a year", "often"),
        ("the annual review", "often"),
        ("when is the pay review", "thing"),
        ("how much is sick pay", "thing"),
        ("my train is late", "thing"),
    ],
)
def test_words_of_that_meaning_name_it(question: str, group: str) -> None:
    assert named(question)[f"new_{group}"] == 1


def test_bank_holiday_is_not_annual_leave() -> None:
    assert named("is a bank holiday paid", "is annual leave paid")["other_leave"] == 1


def test_apostrophe_of_phones_is_an_apostrophe() -> None:
    stored = "do i get sick pay"
    assert named("i don’t get sick pay", stored) == named("i don't get sick pay", stored)
    assert named("i don’t get sick pay", stored)["negation_differs"] == 1


def test_not_knowing_denies_nothing() -> None:
    assert named("not sure if i get sick pay", "do i get sick pay")["negation_differs"] == 0


def test_names_and_pronouns_are_no_numbers() -> None:
    assert named("which one of us gets the 401k, is it open 24/7")["numbers_new"] == 0
    assert named("is it one day")["numbers_new"] == named("is it 12 days")["numbers_new"] == 1


def test_people_who_and_when_ill_are_not_what_is_asked_for() -> None:
    assert named("can employees who travel buy lunch", "may travellers buy lunch")["asks_differ"] == 0
    assert named("do i get paid when i am ill", "am i paid if ill")["asks_differ"] == 0
    assert named("when do i get paid", "am i paid")["asks_differ"] == 1


def test_words_beyond_what_the_encoder_reads_do_not_matter() -> None:
    question, answer = "can i sell leave " * 10, "Days are sold in May. " * 12
    read = differences(question, "may i sell it", answer)
    longer = differences(question + "in london 77 times", "may i sell it", answer + "Not in Berlin, 88 days. " * 50)
    np.testing.assert_array_equal(longer, read)


def test_long_texts_are_compared_no_more_than_short_ones_and_once() -> None:
    def invented(start: int, count: int) -> str:
        return " ".join(f"w{number:06d}" for number in range(start, start + count))

    question, stored, answer = invented(0, 250), invented(10_000, 250), invented(20_000, 2_000)
    before = _is_like.cache_info().misses
    differences(question, stored, answer)
    compared = _is_like.cache_info().misses - before
    assert 0 < compared <= 40 * (40 + 60) + 40 * 40
    differences(question, stored, answer)
    assert _is_like.cache_info().misses - before == compared


def test_misspelling_is_no_new_word_and_a_pasted_key_is_compared_with_nothing() -> None:
    assert named("can i sell holidya", "can i sell holiday")["new_words"] == 0
    before = _is_like.cache_info().misses
    named("a" * 1_999, "b" * 1_998)
    assert _is_like.cache_info().misses == before
