"""Personal data in what people wrote, and what only looks like it."""

from __future__ import annotations

import pytest

from trainer.personal import without_personal_data


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Mail m.weber@x.example.", "Mail [EMAIL]."),
        ("Call +44 20 7946 0958 or (212) 555-0123.", "Call [PHONE] or [PHONE 2]."),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [ACCOUNT]"),
        ("card 4111 1111 1111 1111", "card [CARD]"),
        ("my SSN is 536-90-4399", "my SSN is [ID]"),
        ("NHS 943 476 5919, aadhaar 2341 2341 2346", "NHS [ID], aadhaar [ID 2]"),
        ("my NINO is AB 12 34 56 C", "my NINO is [ID]"),
        ("from 10.2.3.4", "from [ADDRESS]"),
        ("ask <@U123ABCDE>", "ask [PERSON]"),
        ("Hi, my name is Maria Weber-Klein, may I ask?", "Hi, my name is [NAME], may I ask?"),
        ("Dear Ana, thanks.", "Dear [NAME], thanks."),
        ("How many days?\nThanks,\nJohn Smith", "How many days?\nThanks,\n[NAME]"),
        ("this is Tom from sales", "this is [NAME] from sales"),
    ],
)
def test_what_leads_to_a_person_is_replaced(text: str, cleaned: str) -> None:
    assert without_personal_data([text]).texts == (cleaned,)


@pytest.mark.parametrize(
    "text",
    [
        "From 2026-01-31 to 5 February 2026, 09:00 to 17:30",
        "£1,200, $1,250,000.00 or 10000000 dollars",
        "25 days from the 5th year on, section 4.2.1, form 12345678",
        "Hello HR, hi team, thanks everyone. This is Annual Leave. May I?",
        "Dear All, the Maternity Leave policy is out",
        "call 555-0100",
        "version 1.2.3.4000, 80,000 in 2025/2026",
    ],
)
def test_numbers_of_policies_and_greetings_stay(text: str) -> None:
    assert without_personal_data([text]).texts == (text,)


def test_the_same_value_has_the_same_placeholder_in_all_texts() -> None:
    cleaned = without_personal_data(["a@x.example and b@x.example", "B@x.example answers"])
    assert cleaned.texts == ("[EMAIL] and [EMAIL 2]", "[EMAIL 2] answers")
    assert cleaned.found == (("EMAIL", 3),)
