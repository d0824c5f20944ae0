"""Render the prompt from which the model words an answer.

Enters: the question and its evidence. Leaves: messages for the model's own chat template. The system message is the
same for every question, so the engine evaluates it once. Training renders its rows with this same function.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.engine import Message
from knowledge.read import Evidence

PROMPT_VERSION = "1"
SYSTEM = (
    "You are an HR assistant. Answer the employee's question in one or two short sentences. "
    "Use only the policy text you are given. Keep every number, date, unit and condition exactly as the policy has it."
)


def prompt(question: str, evidence: Sequence[Evidence]) -> list[Message]:
    """The messages for one question, the evidence in the order in which it should be said."""
    policy = "\n".join(piece.in_context for piece in evidence)
    return [
        Message("system", SYSTEM),
        Message("user", f"Policy text:\n{policy}\n\nQuestion: {question}"),
    ]
