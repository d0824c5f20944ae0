"""How an answer looks in Slack: pure functions from values to blocks.

Enters: an `Answer` and who may do what with it. Leaves: a `Reply`, the text in Slack's mrkdwn and the blocks around it.
Whatever stands in a policy or was written by a person is escaped: it can neither call anybody nor become a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.answer import Answer, Citation, Route

Block = dict[str, object]

HELPFUL, NOT_HELPFUL = "up", "down"
VOTE, TALK, SHARE, UNLINK = "vote", "talk_to_hr", "share", "unlink"
ASK_ALOUD = "ask"

_MAX_SECTION = 2_900  # Slack's limit is 3,000 characters
_MAX_SOURCES = 5
_MAX_BUTTON_TEXT = 75
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True)
class Reply:
    """A message ready to be sent: what it says, plain, and the blocks that stand under it."""

    plain: str
    rest: list[Block]

    @property
    def text(self) -> str:
        """What it says, as mrkdwn; notifications show it."""
        return mrkdwn(self.plain)

    @property
    def body(self) -> list[Block]:
        """What it says, as blocks."""
        return sections(self.text)

    @property
    def blocks(self) -> list[Block]:
        """The whole message."""
        return [*self.body, *self.rest]


def answer_reply(answer: Answer, *, can_share: bool = False) -> Reply:
    """An answer with its sources, what to think of it, and a way to a person."""
    rest: list[Block] = []
    if answer.citations and answer.route is not Route.SENSITIVE:
        rest.append(context(sources(answer.citations, is_nearest=answer.abstained)))
    if answer.route is not Route.SENSITIVE:
        rest.append(feedback_buttons(answer.id))
    rest.append(actions(*_buttons(answer, can_share=can_share)))
    return Reply(answer.text, rest)


def corrected_reply(text: str, on: date, interaction_id: str) -> Reply:
    """HR's answer in place of the one that stood there."""
    mark = context(f":white_check_mark: *Corrected by HR* on {on.day} {on:%B %Y}")
    return Reply(text, [mark, feedback_buttons(interaction_id), actions(talk_button(interaction_id))])


def _buttons(answer: Answer, *, can_share: bool) -> list[Block]:
    buttons = [talk_button(answer.id)]
    if can_share and answer.route is not Route.SENSITIVE:
        buttons.append(button("Share with channel", SHARE, answer.id))
    if answer.route is Route.VERIFIED and answer.verified_by:
        buttons.append(button("Not my question", UNLINK, answer.id))
    return buttons


def sources(citations: Sequence[Citation], *, is_nearest: bool) -> str:
    """A numbered list: document, section, since when it holds, and whether it may be out of date."""
    lines = ["*Nearest policies*" if is_nearest else "*Sources*"]
    for number, cited in enumerate(citations[:_MAX_SOURCES], 1):
        place = mrkdwn(cited.heading or cited.title)
        named = f"<{cited.url}|{place}>" if re.fullmatch(r"https?://[^\s|<>]+", cited.url) else place
        facts = [
            f"in force since {_day(cited.effective)}" if cited.effective else "",
            f"page {cited.page}" if cited.page else "",
            ":warning: past its review date" if cited.is_expired else "",
        ]
        lines.append(f"{number}. {', '.join(filter(None, (named, *facts)))}")
    return "\n".join(lines)


def _day(iso: str) -> str:
    day = date.fromisoformat(iso)
    return f"{day.day} {day:%B %Y}"


def mrkdwn(text: str) -> str:
    """Plain text as mrkdwn: bullets as Slack shows them, nothing that Slack would take for a mention or a link.

    Example: "You can claim:\\n- taxis <b>" gives "You can claim:\\n• taxis &lt;b&gt;".
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space keeps a policy's own asterisks from making things bold.
    escaped = re.sub(r"(https?://\S+)|([*_~`])", lambda found: found[1] or f"{found[2]}\u200b", escaped)
    return re.sub(r"^( *)- ", r"\1• ", escaped, flags=re.MULTILINE)


def plain(text: str) -> str:
    """What somebody typed, from the mrkdwn that Slack sends: "see &lt;b&gt; <https://x|here>" is "see <b> here (https://x)"."""
    text = re.sub(r"<((?:https?|mailto):[^|>]*)\|([^>]*)>", _link, text)
    text = re.sub(r"<((?:https?|mailto):[^>]*)>", r"\1", text)
    text = re.sub(r"<#[CG][A-Z0-9]+(?:\|([^>]*))?>", lambda found: f"#{found[1] or 'channel'}", text)
    text = re.sub(r"<!(?:subteam\^[A-Z0-9]+\|@?)?([^>|^]*)[^>]*>", r"@\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def mentioned(text: str) -> list[str]:
    """The people who are mentioned in what Slack sends, in order."""
    return _MENTION.findall(text)


def with_names(text: str, names: Mapping[str, str]) -> str:
    """What Slack sends, with people's names in place of the mentions; whoever has none is a colleague."""
    return _MENTION.sub(lambda found: names.get(found[1], "a colleague"), text)


def _link(found: re.Match[str]) -> str:
    """A link as words: "here (https://x)", or the address alone where it is its own label."""
    address, label = found[1].removeprefix("mailto:"), found[2]
    return label if label in address else f"{label} ({address})"


def sections(text: str) -> list[Block]:
    """Text as section blocks, cut at line ends where it is too long for one."""
    parts: list[str] = [""]
    for line in text.split("\n"):
        for piece in (line[i : i + _MAX_SECTION] for i in range(0, max(len(line), 1), _MAX_SECTION)):
            if len(parts[-1]) + len(piece) + 1 > _MAX_SECTION:
                parts.append("")
            parts[-1] += f"\n{piece}" if parts[-1] else piece
    return [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in parts if part.strip()]


def context(text: str) -> Block:
    """Small print."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text[:_MAX_SECTION]}]}


def feedback_buttons(interaction_id: str) -> Block:
    """Thumbs up and down, as Slack draws them under an assistant's answers."""
    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": VOTE,
                "positive_button": {
                    "text": {"type": "plain_text", "text": "Helpful"},
                    "value": f"{HELPFUL} {interaction_id}",
                },
                "negative_button": {
                    "text": {"type": "plain_text", "text": "Not helpful"},
                    "value": f"{NOT_HELPFUL} {interaction_id}",
                },
            }
        ],
    }


def talk_button(interaction_id: str) -> Block:
    """The way to a person."""
    return button("Talk to HR", TALK, interaction_id)


def actions(*buttons: Block) -> Block:
    """Buttons in a row."""
    return {"type": "actions", "elements": list(buttons)}


def button(text: str, action: str, value: str, style: str = "") -> Block:
    """One button."""
    shown = {"type": "plain_text", "text": text[:_MAX_BUTTON_TEXT]}
    one: Block = {"type": "button", "text": shown, "action_id": action, "value": value}
    return one | ({"style": style} if style else {})
