"""Decide, before anything is logged, whether a message may be answered by a machine.

Enters: a message as it was sent. Leaves: a `Triage`. A message that tells of an incident is a human's, a question about
a policy is answered, whatever its topic. Rules decide the clear cases, danger to life before all else; what no rule
catches is judged by a trained classifier (`bot/triage/classify.py`), which can only send more messages to a human.
Run: `python -m bot.triage < messages.txt` prints the handling of each line.

Not guaranteed: that every veiled message is caught; `models/starter/triage/manifest.json` says how many are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bot.triage.classify import Classifier
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
    """How a message is handled, and the category that decided it ("" for an ordinary question).

    `vector` is the message's, (dimensions,), where the classifier had to read it; retrieval needs the very same.
    """

    handling: Handling
    category: str = ""
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

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


def triage(text: str, classifier: Classifier | None = None) -> Triage:
    """Decide how a message is handled; by rules alone without a classifier.

    Example: "what is the harassment policy?" gives `ANSWER`.
    """
    return triage_all([text], classifier)[0]


def triage_all(texts: Sequence[str], classifier: Classifier | None = None) -> list[Triage]:
    """Decide how each message is handled. The classifier reads all that no rule has decided in one pass."""
    decided = [_by_rules(text) for text in texts]
    open_ones = [number for number, category in enumerate(decided) if not category]
    if classifier is None:
        return [_triage(category) for category in decided]
    verdicts = dict(zip(open_ones, classifier.classify([texts[number] for number in open_ones]), strict=True))
    return [
        _triage(verdicts[number].category, verdicts[number].vector) if number in verdicts else _triage(category)
        for number, category in enumerate(decided)
    ]


def _triage(category: str, vector: NDArray[np.float32] | None = None) -> Triage:
    return Triage(HANDLING_OF[category] if category else Handling.ANSWER, category, vector)


def _by_rules(text: str) -> str:
    """The category that a rule gives a message, "" when none does."""
    if len(text) > _MAX_HEAD + _MAX_TAIL:
        text = f"{text[:_MAX_HEAD]}\n{text[-_MAX_TAIL:]}"
    said = IDIOMS.sub(" ", plain(text))
    # A line break must not hide a danger to life: there, lines are read as one.
    category = _category(" ".join(said.split()), CRISIS) or _category(said, _IN_ORDER)
    if category:
        return category
    return next(filter(None, (_category(plain(hidden), INJECTION) for hidden in decoded(text))), "")


def _category(said: str, cues: tuple[Cue, ...]) -> str:
    return next((cue.category for cue in cues if cue.is_in(said)), "")
