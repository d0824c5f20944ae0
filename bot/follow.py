"""Follow one question to its answer, for somebody who waits at the other end of a connection, and keep it.

Enters: a loaded `Service` and a `Question`. Leaves: `Waiting` while there is nothing to read yet, pieces of text, and
the `Answer`; or a `Failure`, which is what went wrong in words for an employee.

When the connection goes, the iterator is closed, and with it the generation.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.answer import Answer, Question
from bot.replies import busy_reply, failure_reply
from bot.service import Ready, Service
from config.errors import DeadlineExceeded, EngineBusy, EngineError, LedgerError, QuantaHRError
from config.settings import CompanySettings

log = logging.getLogger(__name__)

TICK_S = 0.5  # how often the place in the queue is looked up, and a closed connection noticed
RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Waiting:
    """Nothing to read yet. `position` is how many questions come first, as far as that can be known."""

    position: int


@dataclass(frozen=True)
class Failure:
    """What an employee is told instead of an answer, and the HTTP status that goes with it."""

    kind: str
    status: int
    message: str
    incident_id: str
    retry_after_s: int | None = None


async def follow(service: Service, question: Question) -> AsyncGenerator[Waiting | str | Answer, None]:
    """Yield what becomes of a question, at least every `TICK_S` seconds.

    Raises:
        EngineError: The model is busy, was too slow, or stopped before the answer was whole.
        Exception: Whatever else answering raises.
    """
    position = service.waiting()
    yield Waiting(position)
    inbox: asyncio.Queue[str | Answer | None] = asyncio.Queue()
    # One task drives the iterator from beginning to end: deadlines inside it are bound to the task they began in.
    pump = asyncio.create_task(_pump(service, question, inbox))
    pump.add_done_callback(lambda _: inbox.put_nowait(None))
    try:
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    item = await inbox.get()
            except TimeoutError:
                # Questions that came later count in the queue, too: the place can only have moved forward.
                position = min(position, service.waiting())
                yield Waiting(position)
                continue
            if item is None:
                pump.result()
                raise EngineError("The answer ended before it was whole; ask again.")
            yield item
            if isinstance(item, Answer):
                return
    finally:
        # Not awaited: the task that closes us may itself be cancelled, over and over.
        pump.cancel()


async def _pump(service: Service, question: Question, inbox: asyncio.Queue[str | Answer | None]) -> None:
    stream = service.ask(question)
    try:
        async for item in stream:
            inbox.put_nowait(item)
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


async def keep(
    ready: Ready, question: Question, answer: Answer, person: str, also: Callable[[Connection], None] | None = None
) -> None:
    """Record an answer. One that cannot be recorded is given all the same: it is whole, somebody waits.

    `person` is the channel's name for whoever asked, such as "web:3f…"; what `also` writes is kept with the answer.
    """
    try:
        history = await asyncio.to_thread(ready.service.fit_to_keep, question.history)
        await asyncio.to_thread(ready.store.record, replace(question, history=history), answer, person, also)
    except LedgerError:
        log.exception("not recorded: answer %s", answer.id)
    log.info("answered: %s, %s, %s, %.0f ms", answer.id, answer.route, answer.model, answer.timings.latency_ms)


def explain(error: Exception, company: CompanySettings) -> Failure:
    """Log what happened, without anybody's text, and put it into words for an employee."""
    incident_id = secrets.token_hex(4)
    if isinstance(error, EngineBusy):
        log.warning("busy: incident %s", incident_id)
        return Failure("busy", 503, busy_reply(company), incident_id, RETRY_AFTER_S)
    reply = failure_reply(company, incident_id)
    if isinstance(error, DeadlineExceeded):
        log.warning("deadline: incident %s", incident_id)
        return Failure("deadline", 504, reply, incident_id)
    log.error("failed: incident %s\n%s", incident_id, _safe_traceback(error))
    return Failure("error", 500, reply, incident_id)


def _safe_traceback(error: BaseException) -> str:
    """The traceback, with the message only of our own errors: those of others may hold what an employee wrote."""
    cause = error.__cause__ or error.__context__
    before = f"{_safe_traceback(cause)}\nwhich led to\n" if cause else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    message = f": {error}" if isinstance(error, QuantaHRError) else ""
    return f"{before}{frames}{type(error).__qualname__}{message}"
