"""An assistant for tests of the web app: it says what it was told to, as slowly as it was told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI

from bot.answer import Answer, Citation, Question, Route, Timings, Turn
from bot.feedback import Feedback
from bot.service import Known, Service
from bot.store import Store
from bot.web.api import create_app, startup_of
from config.settings import Audience, CompanySettings, Contact, ServerSettings, Settings
from knowledge.embed import Embedder
from knowledge.index import make_snapshot

POLICY = Citation(
    file="leave/annual.md",
    title="Annual leave policy",
    heading="Annual leave › Carrying over",
    text=(
        "Leave is there to be taken. You may carry over up to five days into the next year.\n"
        "To do so:\n- ask your manager before 1 December\n- note the days in the leave calendar\n"
        "  - in whole days only\n"
        "| Grade | Days to carry over |\n| --- | --- |\n| A | 5 |\n| B | 3 |"
    ),
    quote="You may carry over up to five days into the next year.",
    score=0.91,
    url="https://intranet.example.com/leave",
    page=2,
    effective="2026-01-01",
)
EXPIRED = replace(
    POLICY,
    file="leave/2019.pdf",
    title="Holiday rules 2019",
    heading="Carry-over",
    text="| Grade | Days to carry over |\n| --- | --- |\n| A | 5 |\n| B | 3 |",
    quote="B | 3",
    url="javascript:alert(1)",
    effective="2019-01-01",
    is_expired=True,
)
QUOTED = Answer(
    id="",
    text="You may carry over up to five days into the next year.",
    citations=(POLICY, EXPIRED),
    abstained=False,
    route=Route.QUOTED,
    probability=0.83,
    model="fake-135m",
    prompt_version="p1",
    timings=Timings(ttft_ms=120.0, latency_ms=640.0),
)
UNKNOWN = replace(
    QUOTED,
    text="I could not find this in the policies. Please ask the People team.",
    abstained=True,
    route=Route.UNKNOWN,
)
SENSITIVE = replace(
    QUOTED,
    text="I am sorry that this happened. You do not have to deal with it alone: the People team will listen.",
    citations=(),
    route=Route.SENSITIVE,
    category="harassment",
)


@dataclass
class FakeAssistant:
    """Gives `script[n]` for the n-th question, the last one for all further ones; an exception is raised instead.

    `pause_s` lies before every word. What happened is in `questions`, `cancelled` and `is_closed`.
    """

    script: tuple[Answer | Exception, ...] = (QUOTED,)
    pause_s: float = 0.0
    queue: int = 0
    countries: tuple[str, ...] = ()
    held_back: frozenset[str] = frozenset()
    questions: list[Question] = field(default_factory=list)
    cancelled: int = 0
    is_closed: bool = False
    _ids: Iterator[int] = field(default_factory=itertools.count)

    async def ask(self, question: Question) -> AsyncIterator[str | Answer]:
        self.questions.append(question)
        what = self.script[min(len(self.questions), len(self.script)) - 1]
        try:
            if isinstance(what, Exception):
                await asyncio.sleep(self.pause_s)
                raise what
            words = what.text.split(" ")
            for number, word in enumerate(words):
                await asyncio.sleep(self.pause_s)
                yield word if number == 0 else f" {word}"
            yield replace(what, id=f"answer-{next(self._ids)}")
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    def fit_to_keep(self, history: Sequence[Turn]) -> tuple[Turn, ...]:
        """Holds back the turns that are named in `held_back`."""
        return tuple(turn for turn in history if turn.text not in self.held_back)

    async def close(self) -> None:
        self.is_closed = True

    async def start(self, store: Store) -> Service:
        nothing = make_snapshot([], np.zeros((0, 0), dtype=np.float32))
        return Service(
            feedback=Feedback(store, lambda: nothing, cast(Embedder, None)),
            ask=self.ask,
            fit_to_keep=self.fit_to_keep,
            snapshot=lambda: nothing,
            model=lambda: "fake-135m",
            known=lambda: Known(documents=3, chunks=17, countries=self.countries),
            waiting=lambda: self.queue,
            close=self.close,
        )


def fake_settings(
    data_dir: Path, host: str = "127.0.0.1", token: str = "", audience: Audience = Audience.ALL, trusted: str = ""
) -> Settings:
    """Settings of a small company, keeping its files in `data_dir`."""
    return Settings(
        data_dir=data_dir,
        company=CompanySettings(
            name="Juniper & Lane",
            hr=Contact(name="the People team", email="people@example.com", phone="020 7946 0000"),
            suggested_questions=(
                "How many holidays can I carry over?",
                "What do I do when I am ill?",
                "Can I work from abroad?",
            ),
        ),
        server=ServerSettings.model_validate(
            {"host": host, "api_token": token, "trusted_token": trusted, "audience": audience}
        ),
    )


@contextlib.asynccontextmanager
async def client_of(
    settings: Settings, assistant: FakeAssistant, headers: dict[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of a ready app, as a program on the same machine would call it."""
    app = create_app(settings, assistant.start)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            while startup_of(app).ready is None:
                await asyncio.sleep(0.01)
            yield client


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port of this machine, from a thread; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive(), "the server did not stop"
