"""Give again what HR has already answered.

Enters: a question and the answers that HR wrote or approved. Leaves: the one that answers the same question, if any.

First version: the same question means the same words, apart from case, punctuation and spacing. That never mistakes one
question for another; recognising other wordings takes a trained part, since near misses share more words with a
question than true rewordings do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from config.settings import Audience
from knowledge.retrieve import Asker


@dataclass(frozen=True)
class VerifiedAnswer:
    """An answer that HR stands behind, and for whom it is. Empty `countries` means every country."""

    question: str
    text: str
    verified_on: date
    audience: Audience = Audience.ALL
    countries: tuple[str, ...] = ()

    def is_for(self, asker: Asker) -> bool:
        """Whether this person may be given it; one whose country is not known only gets what holds everywhere."""
        order = list(Audience)
        return order.index(self.audience) <= order.index(asker.audience) and (
            not self.countries or asker.country in self.countries
        )


def find_verified(question: str, stored: Sequence[VerifiedAnswer], asker: Asker) -> VerifiedAnswer | None:
    """The latest verified answer to this question that the asker may have; None when there is none."""
    asked = _normal(question)
    same = [answer for answer in stored if answer.is_for(asker) and _normal(answer.question) == asked]
    return max(same, key=lambda answer: answer.verified_on, default=None)


def _normal(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
