"""An answer as scripts and programs read it; the keys are stable.

Enters: an `Answer`. Leaves: the record that `quantahr ask --json`, each line of `quantahr eval --out` and
`POST /api/ask` hold.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Self

from pydantic import BaseModel

from bot.answer import Answer


class CitationRecord(BaseModel):
    """Where an answer stands: the cited passage and the quoted piece of it. `effective` is an ISO date or empty."""

    file: str
    title: str
    heading: str
    text: str
    quote: str
    score: float
    url: str
    page: int | None
    effective: str
    is_expired: bool


class AnswerRecord(BaseModel):
    """One answer. When `abstained`, `citations` holds the nearest policies, not sources of the text."""

    id: str
    answer: str
    abstained: bool
    route: str
    category: str
    probability: float
    citations: list[CitationRecord]
    model: str
    prompt_version: str
    ttft_ms: float
    latency_ms: float
    steps_ms: dict[str, float]

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The answer as JSON."""
        return cls(
            id=answer.id,
            answer=answer.text,
            abstained=answer.abstained,
            route=answer.route.value,
            category=answer.category,
            probability=round(answer.probability, 4),
            citations=[CitationRecord(**asdict(citation)) for citation in answer.citations],
            model=answer.model,
            prompt_version=answer.prompt_version,
            ttft_ms=round(answer.timings.ttft_ms, 1),
            latency_ms=round(answer.timings.latency_ms, 1),
            steps_ms={step: round(ms, 1) for step, ms in answer.timings.steps_ms},
        )
