"""What is said where no policy is: fixed, humane replies that name a person.

Enters: how a message was triaged, or what went wrong, and the company's contacts. Leaves: plain text, bullets as "- ".

None of them says that anybody has been told: at the moment of replying nobody has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from bot.triage import Handling, Triage
from config.settings import CompanySettings, Contact, CrisisLine
from knowledge.verified import Doubt

_DOUBTS = {
    Doubt.CHANGED: "The policy it rests on has changed since.",
    Doubt.EXPIRED: "The policy it rests on is past its review date.",
    Doubt.DUE: "It is due for a review.",
}
_UNTOLD = "I have not passed this on to anyone; whom you tell is up to you."


def sensitive_reply(triage: Triage, company: CompanySettings, country: str | None) -> str:
    """The reply to a sensitive message. `country` (ISO 3166, None when not known) chooses the crisis lines.

    Raises:
        ValueError: The message is an ordinary question; it has an answer, not a fixed reply.
    """
    match triage.handling:
        case Handling.CRISIS:
            return _crisis(company, country)
        case Handling.HUMAN:
            return _human(triage.category, company, country)
        case Handling.CONFIDENTIAL_CHANNEL:
            return (
                "Thank you for raising this; it matters. It belongs with people who can look into it and protect you, "
                f"so please take it to {_contact(company.confidential)}, not to me. You need not go through your "
                f"manager, and please do not look into it on your own. {_UNTOLD}"
            )
        case Handling.HUMAN_PRIVATE:
            return (
                "Thank you for trusting me with this. Your health is private and deserves a real conversation, so "
                f"please talk to {_contact(company.hr)} in confidence. Share only what you are comfortable with: you "
                f"can begin with what you need at work. {_UNTOLD}"
            )
        case Handling.REFUSE if triage.category == "confidential_data":
            return (
                "I can't share anything about another person; your own details are kept just as private. If you need "
                f"this for your work, please ask {_contact(company.hr)}."
            )
        case Handling.REFUSE:
            return (
                f"I can't help with that, but I'm glad to answer questions about the policies of {company.name}. For "
                f"anything else, please ask {_contact(company.hr)}."
            )
        case Handling.ANSWER:
            raise ValueError("An ordinary question has no fixed reply; answer it.")


def declined_reply(company: CompanySettings, nearest_titles: Sequence[str]) -> str:
    """Say that the policies hold no answer, whom to ask, and which policies come nearest (none when empty)."""
    nearest = f" The closest I have: {_listed(nearest_titles)}." if nearest_titles else ""
    return f"I couldn't find an answer to that in our policies. Please ask {_contact(company.hr)}.{nearest}"


def verified_reply(text: str, verified_on: date, why: Doubt | None = None) -> str:
    """What HR has answered, and since when they stand behind it; with `why`, that it may no longer hold."""
    verified = f"{text}\n\nVerified by HR on {verified_on.day} {verified_on:%B %Y}."
    return f"{verified} {_DOUBTS[why]} Please check with HR before you rely on it." if why else verified


def failure_reply(company: CompanySettings, incident_id: str) -> str:
    """Say that something broke here, and under which id the log tells what."""
    return (
        "Sorry, something went wrong on my side. Please try again in a moment, or ask "
        f"{_contact(company.hr)}. If you report this, please mention {incident_id}."
    )


def busy_reply(company: CompanySettings) -> str:
    """Say that too many people are asking at once."""
    return (
        "Sorry, a lot of people are asking at the moment. Please try again in a minute; if it can't wait, ask "
        f"{_contact(company.hr)}."
    )


def _crisis(company: CompanySettings, country: str | None) -> str:
    return "\n".join(
        [
            "I'm so sorry it is this hard right now, and I'm glad you said it. Please talk to someone straight away:",
            *_lines(company, country),
            "If anyone is in immediate danger, call the emergency services first. You can also turn to "
            f"{_contact(company.hr)}. {_UNTOLD} You do not have to go through this alone.",
        ]
    )


def _human(category: str, company: CompanySettings, country: str | None) -> str:
    if category == "legal_threat":
        return (
            "Thank you for telling us. This should be handled by a person, so please contact "
            f"{_contact(company.hr)} directly. {_UNTOLD}"
        )
    reply = (
        "I'm sorry you are dealing with this. Nobody should have to, and you deserve to be heard by a person: please "
        f"talk to {_contact(company.hr)}. If you would rather not go there first, there is "
        f"{_contact(company.confidential)}. {_UNTOLD}"
    )
    if category in ("violence", "harassment"):
        return "\n".join([reply, "If you feel unsafe right now:", *_lines(company, country)])
    return reply


def _lines(company: CompanySettings, country: str | None) -> list[str]:
    """The crisis lines that serve the country, or all when it is not known; never none."""
    lines = [line for line in company.crisis_lines if not (line.country and country) or _serves(line, country)]
    if not lines:
        return ["- Emergency services: your local emergency number"]
    return [
        f"- {line.name}{'' if country or not line.country else f' ({line.country})'}: {line.contact}" for line in lines
    ]


def _serves(line: CrisisLine, country: str) -> bool:
    return line.country.upper() == country.upper()


def _contact(contact: Contact) -> str:
    """A contact as it reads in a sentence: "the HR team (hr@example.com, 020 7946 0000)"."""
    ways = ", ".join(filter(None, (contact.email, contact.phone, contact.url)))
    return f"{contact.name} ({ways})" if ways else contact.name


def _listed(titles: Sequence[str]) -> str:
    """Titles as they are said: "A, B and C"."""
    return " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
