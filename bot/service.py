"""What the web app answers from, and how it comes up.

Enters: `start(store)`, which loads model and index and gives a `Service`. Leaves: a `Startup` that knows whether that
is still going on, has succeeded or has failed, and why.

`start` runs as a task on the server's own loop so that the page is there at once: what takes long in it belongs in a
thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.answer import Answer, Question, Turn
from bot.feedback import Feedback
from bot.store import Store, open_store
from config.errors import QuantaHRError
from config.settings import Settings
from knowledge.index import Snapshot

log = logging.getLogger(__name__)

GETTING_READY = "The assistant is getting ready; try again in a moment."


@dataclass(frozen=True)
class Known:
    """What the index holds. `countries` are the ISO 3166 codes that documents are kept for, sorted; the page offers
    them when there are any."""

    documents: int
    chunks: int
    countries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """A loaded assistant.

    `ask` streams the pieces of an answer's text and ends with the one `Answer`; closing its iterator cancels the
    generation. `fit_to_keep` gives a thread without what must not be recorded; it blocks. `feedback` is what HR makes
    of answers. `model` names what answers at that moment. `waiting` is the number of questions in the queue, the
    running one not counted. `known` is what the index holds at that moment, `snapshot` all of it: documents come and go
    while the server runs. `close` frees everything.
    """

    ask: Callable[[Question], AsyncIterator[str | Answer]]
    fit_to_keep: Callable[[Sequence[Turn]], tuple[Turn, ...]]
    feedback: Feedback
    model: Callable[[], str]
    known: Callable[[], Known]
    snapshot: Callable[[], Snapshot]
    waiting: Callable[[], int]
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Ready:
    """What a request needs: the assistant and the ledger."""

    service: Service
    store: Store


class Startup:
    """Brings the assistant up, and down again.

    `ready` is None until it is up. `error` is what stopped it from coming up. `on_failure` is called once when that
    happens: a process that can do nothing without an assistant ends itself there. `on_ready` is awaited once when it is
    up.
    """

    def __init__(self, start: Callable[[Store], Awaitable[Service]], settings: Settings) -> None:
        self._start = start
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self.ready: Ready | None = None
        self.error: Exception | None = None
        self.on_failure: Callable[[], None] | None = None
        self.on_ready: Callable[[Ready], Awaitable[None]] | None = None

    @property
    def problem(self) -> str:
        """Why there is no assistant yet, in one sentence; empty when there is one."""
        if self.ready:
            return ""
        if self.error is None:
            return GETTING_READY
        if isinstance(self.error, QuantaHRError):
            return f"The assistant could not start: {self.error}"
        return "The assistant could not start; the server's log says why."

    def begin(self) -> None:
        """Start coming up, on the running loop."""
        self._task = asyncio.create_task(self._come_up(), name="startup")

    async def end(self) -> None:
        """Stop coming up, or free what is up."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
        ready, self.ready = self.ready, None
        if ready:
            await ready.service.close()
            ready.store.close()

    async def _come_up(self) -> None:
        try:
            self.ready = await self._load()
        except Exception as error:  # the edge of a background task: kept, shown by /readyz, raised by who runs us
            self.error = error
            log.error("startup failed", exc_info=not isinstance(error, QuantaHRError))
            if self.on_failure:
                self.on_failure()
            return
        if self.on_ready:
            await self.on_ready(self.ready)
        known = self.ready.service.known()
        log.info("ready: %s, %d documents, %d chunks", self.ready.service.model(), known.documents, known.chunks)

    async def _load(self) -> Ready:
        store = await asyncio.to_thread(open_store, self._settings.data_dir, self._settings.ledger)
        try:
            return Ready(await self._start(store), store)
        except BaseException:  # cancelled, too: the ledger must not stay open
            store.close()
            raise
