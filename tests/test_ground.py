"""Grounding: what the evidence says passes, what it does not say is refused, each for its own reason."""

from __future__ import annotations

import pytest

from bot.ground import ground
from bot.ground.quantities import Quantity, quantities
from knowledge.chunk import Chunk
from knowledge.metadata import PolicyMetadata
from knowledge.read import Evidence, PieceKind
from knowledge.retrieve import Passage

CHUNK = Chunk("1", "leave.md", 0, ("Leave", "Annual leave"), "", None, PolicyMetadata(title="Leave policy"))
PASSAGE = Passage(CHUNK, score=1.0)


def sentence(text: str) -> Evidence:
    return Evidence(PASSAGE, PieceKind.SENTENCE, text)


def item(lead_in: str, text: str) -> Evidence:
    return Evidence(PASSAGE, PieceKind.LIST_ITEM, text, lead_in)


def row(head: str, cells: str) -> Evidence:
    return Evidence(PASSAGE, PieceKind.TABLE_ROW, cells, head=tuple(head.split(" | ")))


SUPPORTED = [
    # verbatim, shortened, turned to "you"
    ("Employees may carry over up to five days.", "You may carry over up to five days.", "how much can i carry over"),
    ("Employees may carry over up to five days.", "Up to 5 days.", "how many days can i carry over"),
    ("Members may raise their share in October.", "You may raise your share in October.", "when"),
    ("Bonuses arrive on the 12th.", "On the 12th.", "when do bonuses arrive"),
    ("Leave is twenty-five (25) working days a year.", "You get 25 working days a year.", "how much leave"),
    ("Claims close on 31 March.", "Claims close on March 31st.", "when do claims close"),
    ("Call before 9.30 am.", "Call before 9:30am.", "when do i call"),
    ("The premium is 60 per cent of salary.", "60% of salary.", "what is the premium"),
    ("You may take half a day.", "You may take 0.5 days.", "can i take half a day"),
    ("Claims must be submitted within 60 days.", "Claims must be submitted within 60 days.", "deadline for claims"),
    ("The value must not exceed $25.", "$25.", "max value of a gift"),
    ("Rooms cost up to SEK 1,750 a night.", "Up to SEK 1,750 a night.", "room limit"),
    ("Shifts last between 5 and 7 hours.", "Between 5 and 7 hours.", "how long are shifts"),
    # denial kept
    ("Notice by e-mail is not accepted.", "No, notice by e-mail is not accepted.", "can i give notice by email"),
    ("Texting is not acceptable.", "No, texting is not acceptable.", "can i text in sick"),
    (
        "Study leave can be split into hours.",
        "Yes, study leave can be split into hours.",
        "can study leave be split into hours",
    ),
    # conditions kept
    (
        "You may use it if your manager agrees.",
        "You may use it if your manager agrees.",
        "can i use it",
    ),
    (
        "Upgrades are booked only with the approval of the Director.",
        "The Director, only with approval.",
        "who books upgrades",
    ),
    # names
    ("Send it to payroll@larkhill.example.", "Send it to payroll@larkhill.example.", "where do i send it"),
    ("Fill in Form S1 on the day of return.", "Fill in Form S1 on the day you return.", "what do i fill in"),
    ("Ask Mette in People.", "Mette in People.", "who do i ask"),
]

REFUSED = [
    # numbers and units
    ("Work starts at 10 am.", "You get 10 days.", "how many days", "not in the evidence"),
    ("You get 25 days.", "You get £25.", "how much", "another unit"),
    ("You get 25 days.", "You get 27 days.", "how many days", "not in the evidence"),
    ("You get five days.", "You get six days.", "how many days", "not in the evidence"),
    ("Notice is two weeks.", "Notice is 14 days.", "how long is notice", "not in the evidence"),
    ("You get 10 working days.", "You get 10 calendar days.", "how many days", "kind of days"),
    ("You get 10 working days.", "You get 10 days.", "how many days", "kind of days"),
    ("You get $30 per month.", "You get $30 per year.", "how much", "period"),
    ("You get $30 per month.", "You get $30.", "how much", "period"),
    ("The shift is 5 to 7 hours.", "The shift is 7 hours.", "how long", "range"),
    ("You may carry over up to 5 days.", "You may carry over 5 days.", "can i carry over days", "limit"),
    ("You must give at least 5 days' notice.", "You must give 5 days' notice.", "what must i give", "limit"),
    ("You must give at least 5 days' notice.", "You must give up to 5 days' notice.", "what must i give", "limit"),
    (
        "Claim no later than 60 days after the trip.",
        "Claim later than 60 days after the trip.",
        "when do i claim",
        "limit",
    ),
    ("Apply two weeks before the leave.", "Apply two weeks after the leave.", "when do i apply", "before and after"),
    ("Claims close on 31 March.", "Claims close on 31 May.", "when do claims close", "not in the evidence"),
    ("Call before 9 am.", "Call before 9 pm.", "when do i call", "not in the evidence"),
    ("You may take half a day.", "You may take a day and a half.", "how much can i take", "not in the evidence"),
    ("We pay 9% and you pay 4%.", "We pay 9% and you pay 9%.", "who pays what", "more often"),
    (
        "9 days for a spouse, 4 for an uncle or aunt.",
        "9 days.",
        "how many days for my uncle",
        "another case",
    ),
    # the asker's own numbers are no answer
    (
        "The bonus is paid once.",
        "You get the bonus after 5 years.",
        "do i get the bonus after 5 years",
        "not in the evidence",
    ),
    ("A bonus of $100 is paid after 10 years.", "$100 is paid after 5 years.", "bonus after 5 years", ""),
    # denial
    ("Texting is not acceptable.", "Yes, texting is acceptable.", "can i text in sick", ""),
    ("Texting is not acceptable.", "You can text in sick.", "can i text in sick", ""),
    ("Texting is not acceptable.", "Yes, texting is not acceptable.", "can i text in sick", ""),
    ("You may call in sick.", "Yes, you can text in sick.", "can i text in sick", ""),
    ("You may call in sick.", "Yes, you may call in sick.", "can i text in sick", "does not name"),
    ("Employees must not post photos.", "You may post photos.", "can i post photos", "denies"),
    ("Employees may post photos.", "You may not post photos.", "can i post photos", "denies"),
    ("There is no entitlement to a bonus.", "There is entitlement to a bonus.", "is there a bonus", "denies"),
    ("Unused days cannot be carried over.", "Unused days can be carried over.", "can i carry days over", "denies"),
    ("Dogs are prohibited.", "Dogs are not prohibited.", "are dogs prohibited", "denies"),
    ("Dogs are allowed.", "No, dogs are allowed.", "are dogs allowed", "nothing that says no"),
    ("Dogs are never allowed.", "Dogs are always allowed.", "are dogs allowed", ""),
    ("Dogs are allowed.", "Dogs are not not allowed.", "are dogs allowed", "denies"),
    ("Dogs are not allowed.", "Dogs are not not allowed.", "are dogs allowed", "denies"),
    ("Meals cannot be swapped.", "No, meals cannot be swapped.", "can i skip meals", "turned"),
    ("You may certify up to 4 days.", "Yes, you may certify up to 4 days.", "can i certify 5 days", "does not cover"),
    (
        "Business class is only for managers.",
        "Yes, business class is only for managers.",
        "can i fly business class",
        "",
    ),
    # what must and what may be done
    ("You may wear a tie.", "You must wear a tie.", "must i wear a tie", "demands"),
    ("You must wear a helmet.", "You may wear a helmet.", "may i wear a helmet", "allows"),
    ("You may wear a tie.", "Yes, you may wear a tie.", "do i have to wear a tie", "duty"),
    # conditions and exceptions
    ("You may record it if the visitor agrees.", "You may record it.", "can i use the camera", "dropped"),
    ("You may leave early only if your manager agrees.", "You may leave early.", "can i leave early", "dropped"),
    ("Leave is paid unless you resign.", "Leave is paid.", "is leave paid", "dropped"),
    ("All staff may join, except contractors.", "All staff may join.", "who may join", "dropped"),
    ("Leave is subject to approval.", "Leave is granted.", "is leave granted", ""),
    ("You may join after three months' service.", "You may join.", "may i join", "dropped"),
    ("Leave may be taken with your manager's approval.", "Leave may be taken.", "can leave be taken", "dropped"),
    ("You may swap shifts.", "You may swap shifts only before noon.", "can i swap shifts", ""),
    ("Tell us if you are ill.", "Tell us if you are not ill.", "what do i tell", "supposition"),
    # names, roles, addresses
    ("Ask your manager.", "Ask your director.", "who do i ask", "role"),
    ("Ask Mette in People.", "Ask Sofia in People.", "who do i ask", "name"),
    ("Send it to hr@larkhill.example.", "Send it to pay@larkhill.example.", "where", "address"),
    ("See https://larkhill.example/a.", "See https://larkhill.example/b.", "where", "address"),
    ("Fill in Form S1.", "Fill in Form S2.", "which form", "code"),
    ("Call 0800 496 0000.", "Call 0800 496 0001.", "whom do i call", "not in the evidence"),
    ("Larkhill pays the course.", "Acme pays the course.", "who pays the course", ""),
    # new words
    ("Leave is granted for weddings.", "Leave is granted for funerals.", "when is leave granted", "neither"),
    ("Maternity leave is paid.", "Paternity leave is paid.", "is paternity leave paid", ""),
    ("The leave is unpaid.", "The leave is paid.", "is the leave paid", ""),
    # form
    ("Ask HR.", "", "who do i ask", "empty"),
    ("Ask HR.", "...", "who do i ask", "empty"),
    ("Ask HR.", "As an AI, I would ask HR.", "who do i ask", "itself"),
    ("Ask HR.", "The evidence says to ask HR.", "who do i ask", "itself"),
    ("Ask HR.", "Based on the passage, ask HR.", "who do i ask", "itself"),
    ("Ask HR about the", "Ask HR about the", "who do i ask", "unfinished"),
    ("Ask HR about the form.", "Ask HR about the.", "who do i ask", "unfinished"),
    ("Ask HR about leave now.", "Ask HR about leave. Ask HR about leave.", "who", "repeats"),
    ("Ask HR.", "Who do I ask?", "who do i ask", ""),
    ("The gym is free.", "Yes.", "is the gym free", "bare"),
    ("Parking costs $5.", "The parking price.", "what is the parking price", ""),
]


@pytest.mark.parametrize(("evidence", "draft", "question"), SUPPORTED)
def test_what_the_evidence_says_is_supported(evidence: str, draft: str, question: str) -> None:
    grounding = ground(draft, [sentence(evidence)], question)
    assert grounding.is_supported, grounding.reason
    assert grounding.reason == ""


@pytest.mark.parametrize(("evidence", "draft", "question", "reason"), REFUSED)
def test_what_the_evidence_does_not_say_is_refused(evidence: str, draft: str, question: str, reason: str) -> None:
    grounding = ground(draft, [sentence(evidence)], question)
    assert not grounding.is_supported
    assert reason in grounding.reason


TABLE = "Team | Annual leave (days) | Carry-over (days)"


@pytest.mark.parametrize(
    ("draft", "question", "is_supported"),
    [
        ("Sales get 25 days of annual leave.", "how much annual leave do sales get", True),
        ("Sales get 25 days of carry-over.", "how much carry-over do sales get", False),
        ("25 days.", "how many days of carry-over do sales get", False),
        ("5 days.", "how many days of carry-over do sales get", True),
        ("Sales get 30 days of annual leave.", "how much annual leave do sales get", False),
    ],
)
def test_a_value_belongs_to_its_column_and_row(draft: str, question: str, is_supported: bool) -> None:
    rows = [row(TABLE, "Sales | 25 | 5"), row(TABLE, "Support | 30 | 3")]
    assert ground(draft, rows, question).is_supported is is_supported


def test_lead_in_counts_with_its_item() -> None:
    evidence = [item("You cannot claim for:", "taxis")]
    assert not ground("You can claim for taxis.", evidence, "can i claim taxis").is_supported
    assert ground("You cannot claim for taxis.", evidence, "can i claim taxis").is_supported


def test_an_earlier_piece_does_not_lend_its_number_to_another() -> None:
    evidence = [sentence("Notice is 4 weeks."), sentence("Probation is 6 months.")]
    assert not ground("Notice is 6 weeks.", evidence, "how long is notice").is_supported


def test_nothing_is_supported_without_evidence() -> None:
    assert ground("You get 5 days.", [], "how many days") == ground("You get 6 days.", [], "how many days")


def test_reasons_never_repeat_what_was_said() -> None:
    for evidence, draft, question, _ in REFUSED:
        reason = ground(draft, [sentence(evidence)], question).reason
        assert not any(word in reason for word in ("Mette", "Sofia", "larkhill", "camera", "helmet", "27"))


def test_verdict_is_the_same_every_time() -> None:
    verdicts = {ground("You get 5 days.", [sentence("You get 5 days.")], "how many days") for _ in range(3)}
    assert len(verdicts) == 1


@pytest.mark.parametrize("filler", ["5 days ", "not ", "if ", "£5 to £6 ", "a", "manager's approval "])
def test_very_long_draft_is_still_decided(filler: str) -> None:
    assert not ground(filler * 3_000, [sentence("You get 5 days.")], "how many days").is_supported


def only(text: str) -> Quantity:
    found = quantities(text)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("five (5) days", "5 days"),
        ("twenty-five days", "25 days"),
        ("half a day", "0.5 days"),
        ("one and a half hours", "1.5 hours"),
        ("9.30 am", "9:30am"),
        ("11pm", "23:00"),
        ("31 March", "March 31st"),
        ("25 pounds", "£25"),
        ("Rs 1,000", "1000 rupees"),
        ("60 per cent", "60%"),
        ("a hundred days", "100 days"),
        ("twice", "2 times"),
        ("Leave (days): 25", "25 days"),
    ],
)
def test_the_same_quantity_is_read_the_same(one: str, other: str) -> None:
    first, second = only(one), only(other)
    assert (first.kind, first.value, first.unit) == (second.kind, second.value, second.unit)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("up to 5 days", "max"),
        ("no more than 5 days", "max"),
        ("at least 5 days", "min"),
        ("5 days or more", "min"),
        ("more than 5 days", "over"),
        ("within 5 days", "within"),
        ("not later than 5 pm", "by"),
        ("5 days", ""),
    ],
)
def test_limits_are_read_with_their_number(text: str, bound: str) -> None:
    assert only(text).bound == bound


def test_both_ends_of_a_range_know_each_other() -> None:
    low, high = quantities("5-7 days")
    assert low.range_of == high.range_of == ("5", "7")
    assert low.unit == high.unit == "day"
