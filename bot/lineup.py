"""The models that answer: the live one, a canary beside it, and one that is on its way out.

Enters: questions, and what the registry says. Leaves: answers, each from one model to its end. When another model
becomes live it is loaded beside the old one and has to answer a question of ours before it gets any of people's; the
old one ends what it began and is closed. One that cannot be loaded, or whose files were changed, leaves the old one
answering, and the log says why.

A person's questions go to the same model as long as nothing is promoted: by a hash of who asks, so that nobody has to
remember it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.answer import Answer, Assistant, Question, answer
from bot.assistant import Parts, load_parts
from bot.engine import GenerationParams, Message
from bot.live import settings_with
from bot.prompt import SYSTEM
from config.errors import QuantaHRError
from config.settings import Settings
from exporter.registry import Registry
from knowledge.embed import Embedder, embedded_model, embedder_version

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 2.0
_PROBE = "Policy text:\nYou may carry over five days.\n\nQuestion: How many days can I carry over?"
_PROBE_TOKENS, _PROBE_S = 24, 60.0


@dataclass
class _Model:
    """A loaded model, and how many of its answers are under way."""

    id: str
    parts: Parts
    assistant: Assistant
    under_way: int = 0
    is_leaving: bool = False


class Lineup:
    """The loaded models. `start` before the first question; `follow` runs beside, and takes up what the registry says.

    `make` puts parts beside the index, the ledger's verified answers and all that models share.
    """

    def __init__(
        self, settings: Settings, registry: Registry, embedder: Embedder, make: Callable[[Settings, Parts], Assistant]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._embedder = embedder
        self._make = make
        self._live: _Model
        self._canary: _Model | None = None
        self._share = 0.0
        self._refused: set[tuple[str, object]] = set()

    @property
    def assistant(self) -> Assistant:
        """The live model's."""
        return self._live.assistant

    @property
    def live(self) -> str:
        """The id of the model that answers; "" for what ships."""
        return self._live.id

    @property
    def waiting(self) -> int:
        """Questions in the queues, those running not counted."""
        return sum(model.parts.engine.waiting for model in (self._live, self._canary) if model)

    async def start(self) -> None:
        """Load the live model; where that fails the one before, and then what ships.

        Raises:
            ModelError: Not even that can be loaded.
        """
        current = self._registry.current()
        for wanted in dict.fromkeys((current.live, current.previous or "", "")):
            if (loaded := await self._load(wanted, is_last=not wanted)) is not None:
                self._live = loaded
                break
        try:
            await self.look()
        except (QuantaHRError, OSError):
            _log.exception("what the registry says could not be taken up; it is tried again")

    async def ask(self, question: Question) -> AsyncGenerator[str | Answer, None]:
        """Stream an answer from the model that this person is with."""
        model = self._of(question.person)
        model.under_way += 1
        try:
            async with aclosing(answer(question, model.assistant)) as parts:
                async for part in parts:
                    yield part
        finally:
            model.under_way -= 1
            if model.is_leaving and not model.under_way:
                await model.parts.close()

    async def follow(self) -> None:
        """Take up what the registry says, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.look()
            except Exception:  # the watch must outlive whatever a disk does
                _log.exception("what the registry says could not be taken up; it is tried again")

    async def look(self) -> None:
        """Take up what the registry says now."""
        current = await asyncio.to_thread(self._registry.current)
        loaded: _Model | None = None
        if self._canary and current.live == self._canary.id:
            loaded, self._canary = self._canary, None
        elif current.live != self._live.id:
            loaded = await self._load(current.live)
        if loaded is not None:
            old, self._live = self._live, loaded
            _log.warning("%s answers now, instead of %s", loaded.id or "what ships", old.id or "what ships")
            await self._let_go(old)
        was = self._canary.id if self._canary else ""
        if current.canary != was:
            old_canary, self._canary = self._canary, await self._load(current.canary) if current.canary else None
            if old_canary:
                await self._let_go(old_canary)
        self._share = current.canary_share

    async def close(self) -> None:
        """Close all of them."""
        for model in (self._canary, self._live):
            if model:
                await model.parts.close()

    def _of(self, person: str) -> _Model:
        if self._canary and person and _draw(person, self._canary.id) < self._share:
            return self._canary
        return self._live

    async def _let_go(self, model: _Model) -> None:
        model.is_leaving = True
        if not model.under_way:
            await model.parts.close()

    async def _load(self, wanted: str, *, is_last: bool = False) -> _Model | None:
        """A model that has answered a question of ours; None where it cannot, which is said once."""
        standing = self._registry.current().models.get(wanted)
        attempt = (wanted, standing.at if standing else None)  # promoted again, it is tried again
        if attempt in self._refused:
            return None
        try:
            if wanted:
                await asyncio.to_thread(self._registry.check, wanted)
            own = settings_with(wanted, self._settings, self._registry)
            if wanted and embedder_version(embedded_model(), own.index.adapter) != self._embedder.version:
                raise QuantaHRError(f"{wanted} searches with other vectors than the index has.")
            parts = await load_parts(own, self._embedder)
            try:
                if wanted:
                    await _probe(parts)
            except BaseException:
                await parts.close()
                raise
        except (QuantaHRError, OSError) as error:
            if is_last:
                raise
            self._refused.add(attempt)
            _log.error("%s is not taken up: %s", wanted or "what ships", error)
            return None
        return _Model(wanted, parts, replace(self._make(own, parts), name=wanted))


async def _probe(parts: Parts) -> None:
    """Have the model say something.

    Raises:
        EngineError: It cannot.
    """
    messages = [Message("system", SYSTEM), Message("user", _PROBE)]
    params = GenerationParams(max_tokens=_PROBE_TOKENS, deadline_s=_PROBE_S)
    said = [text async for text in parts.engine.generate(messages, params)]
    if not "".join(said).strip():
        raise QuantaHRError("it says nothing when it is asked; export it again.")


def _draw(person: str, model: str) -> float:
    """A number from 0 to 1 that is a person's own for this model."""
    return int(hashlib.sha256(f"{model}\0{person}".encode()).hexdigest()[:8], 16) / 16**8
