"""Modals and the home tab: pure functions from values to Slack's views.

Every modal carries in `private_metadata` what its submission needs, as JSON of one of the models below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import BaseModel

from bot.feedback import Correction
from bot.slack.reply import ASK_ALOUD, Block, actions, button, context, mrkdwn, sections
from bot.store import Interaction
from knowledge.verified import Doubt

REASONS = {
    "wrong": "It is wrong",
    "outdated": "It is out of date",
    "incomplete": "Something is missing",
    "country": "It is not for my country",
}
DOWN, CORRECT, TALK_MODAL, REPLY_MODAL, RESOLVE_MODAL = "down", "correct", "talk", "case_reply", "case_resolve"
APPROVE, REJECT, APPROVE_ANSWER, CORRECT_ANSWER = "approve", "reject", "approve_answer", "correct_answer"
CONFIRM = "confirm"
ASSIGN, REPLY, RESOLVE = "case_assign", "case_reply", "case_resolve"

_WHY = {
    Doubt.CHANGED: "A section it rests on has changed.",
    Doubt.EXPIRED: "A policy it rests on is past its review date.",
    Doubt.DUE: "Its review date has come.",
}

_MAX_TEXT = 3_000  # Slack's limit for a text field
_SHOWN = 5
_MAX_LINE = 150


class About(BaseModel):
    """What a modal is about: an answer, a case, or both; and the message that the click stood in."""

    interaction_id: str = ""
    case_id: str = ""
    channel: str = ""
    ts: str = ""
    thread_ts: str = ""


@dataclass(frozen=True)
class HomeForHR:
    """What awaits HR: today's numbers, what was not answered, what was voted down, what others suggest, and verified
    answers that may no longer hold."""

    answered: int
    declined: int
    up: int
    down: int
    unanswered: Sequence[Interaction]
    voted_down: Sequence[Interaction]
    suggestions: Sequence[Correction]
    doubted: Sequence[tuple[Correction, Doubt]] = ()


def down_modal(about: About) -> Block:
    """After a thumb down: what was wrong, and what is right; both optional."""
    options = [{"text": _plain(text), "value": value} for value, text in REASONS.items()]
    return _modal(
        DOWN,
        about,
        "What was wrong?",
        "Send",
        [
            _input("reason", "What was wrong with it?", {"type": "radio_buttons", "options": options}),
            _input("ideal", "What is right?", _text_field("HR sees it, and others after HR has approved it.")),
        ],
    )


def correct_modal(about: About, interaction: Interaction, today: date) -> Block:
    """HR's own answer, beginning with the one that was given."""
    files = list(dict.fromkeys((cited.file, cited.heading) for cited in interaction.citations))[:_SHOWN]
    blocks = [
        *sections(f"*Asked:* {mrkdwn(interaction.asked or interaction.question)[: _MAX_LINE * 4]}"),
        _input("text", "The right answer", _text_field("", interaction.answer), is_optional=False),
    ]
    if files and not interaction.abstained:
        options = [
            {"text": _plain(f"{heading} ({file})"[:75]), "value": str(n)} for n, (file, heading) in enumerate(files)
        ]
        field: Block = {"type": "checkboxes", "options": options, "initial_options": options}
        blocks.append(_input("sources", "It rests on", field))
    review: Block = {"type": "datepicker", "initial_date": in_a_year(today).isoformat()}
    blocks.append(_input("review_on", "Look at it again on", review))
    return _modal(CORRECT, about, "Correct this answer", "Give this answer", blocks)


def in_a_year(today: date) -> date:
    """When a verified answer is looked at again, unless HR says otherwise."""
    return today + timedelta(days=365)


def talk_modal(about: About) -> Block:
    """Talk to HR: with the question or without it, with one's name or without."""
    with_question = {"text": _plain("Send my question and the answer along"), "value": "question"}
    anonymous = {"text": _plain("Do not tell HR who I am"), "value": "anonymous"}
    options = [with_question, anonymous] if about.interaction_id else [anonymous]
    field: Block = {"type": "checkboxes", "options": options}
    if about.interaction_id:
        field |= {"initial_options": [with_question]}
    return _modal(
        TALK_MODAL,
        about,
        "Talk to HR",
        "Send to HR",
        [
            _input("note", "What would you like to say?", _text_field("Only people of HR read it.")),
            _input("how", "How", field),
        ],
    )


def case_reply_modal(about: About) -> Block:
    """HR's reply to whoever opened a case, through the bot."""
    field = _text_field("The bot passes it on; an anonymous asker stays unknown to you.")
    return _modal(REPLY_MODAL, about, "Reply", "Send", [_input("text", "Your reply", field, is_optional=False)])


def case_resolve_modal(about: About, *, is_answerable: bool) -> Block:
    """The end of a case, with a last word, which may become the verified answer to the question."""
    blocks = [_input("text", "What do you tell them?", _text_field("Leave it empty to say nothing."))]
    if is_answerable:
        option = {"text": _plain("Give this to everybody who asks the same"), "value": "verify"}
        blocks.append(_input("verify", "Verified answer", {"type": "checkboxes", "options": [option]}))
    return _modal(RESOLVE_MODAL, about, "Resolve the case", "Resolve", blocks)


def case_message(case_id: str, who: str, note: str, interaction: Interaction | None, state: str = "") -> list[Block]:
    """A case as HR sees it in its channel; `who` is a mention, or says that it is anonymous."""
    blocks = sections(f"*Case {case_id}* from {who}\n{mrkdwn(note) if note else '_(no message)_'}")
    if interaction and interaction.question:
        blocks += sections(f"*Asked:* {mrkdwn(interaction.question)}\n*The bot said:* {mrkdwn(interaction.answer)}")
    if state:
        blocks.append(context(state))
    return [*blocks, actions(*(button(text, action, case_id) for text, action in _CASE_BUTTONS))]


_CASE_BUTTONS = (("I take it", ASSIGN), ("Reply", REPLY), ("Resolve", RESOLVE))


def suggestion_message(suggested: Correction, answered: Interaction, where: str) -> list[Block]:
    """Somebody's suggestion, for HR to approve with one click."""
    return [
        *sections(
            f"*A correction was suggested* {where}\n*Asked:* {mrkdwn(suggested.question)}\n"
            f"*The bot said:* {mrkdwn(answered.answer)}\n*Suggested:* {mrkdwn(suggested.text)}"
        ),
        _approval(suggested),
    ]


def approving(suggested: Correction) -> str:
    """What an Approve button carries: the suggestion, and which text of it was seen."""
    return f"{suggested.id} {hashlib.sha256(suggested.text.encode()).hexdigest()[:16]}"


def _approval(suggested: Correction) -> Block:
    return actions(
        button("Approve", APPROVE, approving(suggested), "primary"),
        button("Reject", REJECT, suggested.id),
        button("Write my own", CORRECT_ANSWER, suggested.interaction_id),
    )


def employee_home(company: str, suggested_questions: Sequence[str], own: Sequence[Interaction]) -> Block:
    """The home tab of an employee: what to ask, and what they asked."""
    return _home(_employee_blocks(company, suggested_questions, own))


def hr_home(company: str, suggested_questions: Sequence[str], own: Sequence[Interaction], waiting: HomeForHR) -> Block:
    """The home tab of HR: what awaits them comes first."""
    numbers = (
        f"*Today:* {waiting.answered} answered, {waiting.declined} not found in the policies, "
        f"{waiting.up} :thumbsup:, {waiting.down} :thumbsdown:"
    )
    blocks = [_header("For HR"), *sections(numbers)]
    if waiting.suggestions:
        blocks.append(_header("Suggested corrections"))
        for suggested in waiting.suggestions[:_SHOWN]:
            blocks += sections(f"*{_line(suggested.question)}*\n{_line(suggested.text, 4)}")
            blocks.append(_approval(suggested))
    if waiting.doubted:
        blocks.append(_header("Verified answers to look at again"))
        for verified, why in waiting.doubted[:_SHOWN]:
            blocks += sections(f"*{_line(verified.question)}*\n{_line(verified.text, 4)}\n_{_WHY[why]}_")
            holds = button("It still holds", CONFIRM, approving(verified), "primary")
            blocks.append(actions(holds, button("Correct", CORRECT_ANSWER, verified.interaction_id)))
    for title, answers in (("Voted down", waiting.voted_down), ("Not answered", waiting.unanswered)):
        if answers:
            blocks.append(_header(title))
            for one in answers[:_SHOWN]:
                blocks += sections(f"*{_line(one.asked or one.question)}*\n{_line(one.answer, 4)}")
                buttons = [button("Correct", CORRECT_ANSWER, one.id, "primary")]
                if not one.abstained:
                    buttons.append(button("It is right", APPROVE_ANSWER, one.id))
                blocks.append(actions(*buttons))
    if not (waiting.suggestions or waiting.doubted or waiting.voted_down or waiting.unanswered):
        blocks += sections("Nothing awaits you.")
    return _home([*blocks, {"type": "divider"}, *_employee_blocks(company, suggested_questions, own)])


def _employee_blocks(company: str, suggested_questions: Sequence[str], own: Sequence[Interaction]) -> list[Block]:
    blocks = [_header("Ask about our policies")]
    blocks += sections(
        f"Write to me here, mention me in a channel, or type `/hr` and your question. I answer from the policies of "
        f"{mrkdwn(company)} and say where it stands; when I do not know, I say so."
    )
    if suggested_questions:
        blocks.append(
            actions(*(button(text, f"{ASK_ALOUD}:{n}", text) for n, text in enumerate(suggested_questions[:_SHOWN])))
        )
    if own:
        blocks += [_header("What you asked"), *sections("\n".join(f"• {_line(one.question)}" for one in own[:_SHOWN]))]
    return blocks


def _line(text: str, lines: int = 1) -> str:
    short = " ".join(text.split())
    most = _MAX_LINE * lines
    return mrkdwn(short if len(short) <= most else f"{short[:most]}…")


def _home(blocks: list[Block]) -> Block:
    return {"type": "home", "blocks": blocks[:100]}


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text)}


def _modal(callback: str, about: About, title: str, submit: str, blocks: list[Block]) -> Block:
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": about.model_dump_json(),
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain("Cancel"),
        "blocks": blocks,
    }


def _input(name: str, label: str, field: Block, *, is_optional: bool = True) -> Block:
    element = field | {"action_id": name}
    return {"type": "input", "block_id": name, "optional": is_optional, "label": _plain(label), "element": element}


def _text_field(hint: str, initial: str = "") -> Block:
    field: Block = {"type": "plain_text_input", "multiline": True, "max_length": _MAX_TEXT}
    if hint:
        field |= {"placeholder": _plain(hint)}
    return field | ({"initial_value": initial[:_MAX_TEXT]} if initial else {})


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
