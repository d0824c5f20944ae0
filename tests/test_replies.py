"""Fixed replies: warm, naming a human, and never claiming what has not happened."""

from __future__ import annotations

import re

import pytest

from bot.replies import busy_reply, declined_reply, failure_reply, sensitive_reply
from bot.triage import HANDLING_OF, Handling, Triage
from config.settings import CompanySettings, Contact, CrisisLine

COMPANY = CompanySettings(
    name="Larkhill",
    hr=Contact(name="the People team", email="people@larkhill.example", phone="020 7946 0000"),
    confidential=Contact(name="the Speak Up line", phone="0800 496 0000"),
)
CLAIMS_TO_HAVE_TOLD = re.compile(
    r"\b(?:(?:has|have) been (?:told|informed|notified|alerted)|i(?:'ve| have) (?:told|informed|notified|alerted)"
    r"|will (?:contact|call) you|someone is on|forwarded)\b",
    re.IGNORECASE,
)
ABSTAINS = re.compile(r"i (?:couldn't|could not) (?:find|answer)", re.IGNORECASE)


def reply(category: str, country: str | None = None, company: CompanySettings = COMPANY) -> str:
    return sensitive_reply(Triage(HANDLING_OF[category], category), company, country)


def every_reply() -> list[str]:
    fixed = [declined_reply(COMPANY, ["Leave"]), failure_reply(COMPANY, "a1b2"), busy_reply(COMPANY)]
    return [*(reply(category) for category in HANDLING_OF), *fixed]


@pytest.mark.parametrize("text", every_reply())
def test_every_reply_names_a_human_and_how_to_reach_them(text: str) -> None:
    assert "020 7946 0000" in text or "0800 496 0000" in text


@pytest.mark.parametrize("text", every_reply())
def test_no_reply_claims_that_somebody_has_been_told(text: str) -> None:
    assert not CLAIMS_TO_HAVE_TOLD.search(text)


@pytest.mark.parametrize("text", every_reply())
def test_replies_are_short_and_do_not_talk_like_a_machine(text: str) -> None:
    assert len(text.split()) <= 100
    assert not re.search(
        r"\b(?:as an ai|language model|inappropriate|violat|your request|detected)", text, re.IGNORECASE
    )


def test_crisis_reply_names_the_lines_of_the_askers_country_only() -> None:
    text = reply("crisis", "gb")
    assert "Samaritans: 116 123" in text
    assert "Emergency services" in text
    assert "988" not in text


def test_crisis_reply_names_every_line_with_its_country_when_the_country_is_not_known() -> None:
    text = reply("crisis")
    assert "Samaritans (GB): 116 123" in text
    assert "988 Suicide & Crisis Lifeline (US): 988" in text


def test_crisis_reply_has_the_emergency_number_even_where_no_line_fits() -> None:
    company = COMPANY.model_copy(
        update={"crisis_lines": (CrisisLine(name="Samaritans", contact="116 123", country="GB"),)}
    )
    assert "your local emergency number" in reply("crisis", "DE", company)


def test_crisis_lines_come_before_hr() -> None:
    text = reply("crisis", "GB")
    assert text.index("116 123") < text.index("the People team")


def test_suspected_wrongdoing_goes_to_the_confidential_channel() -> None:
    assert "the Speak Up line (0800 496 0000)" in reply("whistleblowing")


@pytest.mark.parametrize("category", ["violence", "harassment"])
def test_reply_to_violence_and_harassment_names_help_for_now(category: str) -> None:
    assert "116 123" in reply(category, "GB")


def test_an_ordinary_question_has_no_fixed_reply() -> None:
    with pytest.raises(ValueError, match="ordinary question"):
        sensitive_reply(Triage(Handling.ANSWER), COMPANY, None)


def test_declining_begins_so_that_graders_recognise_it() -> None:
    assert ABSTAINS.match(declined_reply(COMPANY, []))


def test_declining_names_the_nearest_policies() -> None:
    text = declined_reply(COMPANY, ["Annual leave", "Sick pay", "Travel"])
    assert "Annual leave, Sick pay and Travel." in text
    assert "The closest" not in declined_reply(COMPANY, [])


def test_contact_without_details_is_named_alone() -> None:
    assert "Please ask the HR team." in declined_reply(CompanySettings(), [])


def test_failure_names_the_incident() -> None:
    assert "a1b2c3" in failure_reply(COMPANY, "a1b2c3")
