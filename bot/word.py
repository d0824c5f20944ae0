"""Let the model word an answer from the evidence, sentence by sentence, each checked before it is said.

Enters: the question and its evidence. Leaves: the sentences that the evidence supports, up to the first that it does
not. No sentence at all means that the evidence had better be quoted.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from sentencex import segment

from bot.engine import Engine, GenerationParams
from bot.ground import ground
from bot.prompt import prompt
from knowledge.read import Evidence

_log = logging.getLogger(__name__)
_MAX_SENTENCES = 2


async def word(
    question: str, evidence: Sequence[Evidence], engine: Engine, params: GenerationParams
) -> AsyncGenerator[str, None]:
    """Yield checked sentences. Raises what `engine.generate` raises; closing the iterator cancels the generation."""
    draft = ""
    said: list[str] = []
    async with aclosing(engine.generate(prompt(question, evidence), params)) as pieces:
        async for piece in pieces:
            draft += piece
            *complete, draft = segment("en", draft) or [""]
            for sentence in map(str.strip, complete):
                if sentence in said or not _stands(sentence, evidence, question):
                    return
                yield sentence
                said.append(sentence)
                if len(said) == _MAX_SENTENCES:
                    return
    last = draft.strip()
    if last and last not in said and _stands(last, evidence, question):
        yield last


def _stands(sentence: str, evidence: Sequence[Evidence], question: str) -> bool:
    grounding = ground(sentence, evidence, question)
    if not grounding.is_supported:
        _log.info("a drafted sentence was refused: %s", grounding.reason)
    return grounding.is_supported
