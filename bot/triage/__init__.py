"""Decide, before anything is logged, whether a message may be answered by a machine.

Enters: a message as it was sent. Leaves: a `Triage`. By rules, for the clear cases, in favour of a human: a message
that tells of an incident is a human's, a question about a policy is answered, whatever its topic.
Run: `python -m bot.triage < messages.txt` prints the handling of each line.

Not guaranteed: that veiled messages are caught. The rules know cues, not meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.triage.cues import IDIOMS, Cue
from bot.triage.danger import CRISIS, VIOLENCE
from bot.triage.override import INJECTION, decoded
from bot.triage.plain import plain
from bot.triage.private import ANOTHERS_DATA, MEDICAL
from bot.triage.wrongs import DISCRIMINATION, HARASSMENT, LEGAL_THREAT, WHISTLEBLOWING


class Handling(StrEnum):
    """What is to be done with a message."""

    ANSWER = "answer"
    HUMAN = "human"  # harassment, discrimination: the HR contact
    CRISIS = "crisis"  # danger to life: crisis lines first, then HR
    CONFIDENTIAL_CHANNEL = "confidential_channel"  # suspected wrongdoing
    HUMAN_PRIVATE = "human_private"  # own medical detail: HR, in private
    REFUSE = "refuse"  # another person's data, attempts to override instructions


@dataclass(frozen=True)
class Triage:
    """How a message is handled, and the category that decided it ("" for an ordinary question)."""

    handling: Handling
    category: str = ""

    @property
    def is_sensitive(self) -> bool:
        """Whether the text must be kept out of logs, analytics and training."""
        return self.handling is not Handling.ANSWER


HANDLING_OF = {
    "crisis": Handling.CRISIS,
    "violence": Handling.HUMAN,
    "harassment": Handling.HUMAN,
    "discrimination": Handling.HUMAN,
    "whistleblowing": Handling.CONFIDENTIAL_CHANNEL,
    "confidential_data": Handling.REFUSE,
    "injection": Handling.REFUSE,
    "legal_threat": Handling.HUMAN,
    "medical": Handling.HUMAN_PRIVATE,
}
# Danger first; a request that must be refused comes before what only deserves discretion.
_IN_ORDER: tuple[Cue, ...] = (
    *CRISIS,
    *VIOLENCE,
    *INJECTION,
    *DISCRIMINATION,
    *HARASSMENT,
    *WHISTLEBLOWING,
    *LEGAL_THREAT,
    *MEDICAL,
    *ANOTHERS_DATA,
)
# Of a longer message, the beginning and the end are read: no channel delivers one (Slack's limit is 40,000 characters).
_MAX_HEAD, _MAX_TAIL = 40_000, 20_000


def triage(text: str) -> Triage:
    """Decide how a message is handled. Example: "what is the harassment policy?" gives `ANSWER`."""
    if len(text) > _MAX_HEAD + _MAX_TAIL:
        text = f"{text[:_MAX_HEAD]}\n{text[-_MAX_TAIL:]}"
    said = IDIOMS.sub(" ", plain(text))
    # A line break must not hide a danger to life: there, lines are read as one.
    category = _category(" ".join(said.split()), CRISIS) or _category(said, _IN_ORDER)
    if not category:
        category = next(filter(None, (_category(plain(hidden), INJECTION) for hidden in decoded(text))), "")
    return Triage(HANDLING_OF[category], category) if category else Triage(Handling.ANSWER)


def _category(said: str, cues: tuple[Cue, ...]) -> str:
    for cue in cues:
        if cue.pattern.search(said) and not (cue.unless and cue.unless.search(said)):
            return cue.category
    return ""
