"""The real bot against a workspace for tests, with an assistant that says what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from bot.feedback import Feedback
from bot.service import Service
from bot.store import Store
from bot.web.api import create_app, startup_of
from config.settings import LedgerSettings, Settings, SlackSettings
from tests.fake_service import FakeAssistant, fake_settings
from tests.slack_server import SECRET, SlackServer

HR, ANA, BEN = "UHR", "UANA", "UBEN"


@dataclass(frozen=True)
class Bot:
    """A running bot."""

    app: FastAPI
    store: Store
    feedback: Feedback
    slack: Any

    @property
    def votes(self) -> list[int]:
        """All current votes on the first answer, in order."""
        return self.votes_on(self.answers[0])

    def votes_on(self, interaction_id: str) -> list[int]:
        """All current votes on one answer, in order."""
        return [vote.rating for vote in self.store.current_votes(interaction_id)]

    @property
    def answers(self) -> list[str]:
        """The ids of all recorded answers, oldest first."""
        from sqlalchemy import select

        from bot.schema import INTERACTIONS

        with self.store.reading() as connection:
            return list(connection.scalars(select(INTERACTIONS.c.id).order_by(INTERACTIONS.c.at)))


def slack_settings(tmp_path: Path, server: SlackServer, **more: Any) -> Settings:
    """A small company's settings, with this workspace."""
    slack = {
        "bot_token": "xoxb-1",
        "app_token": "xapp-1",
        "signing_secret": SECRET,
        "api_url": f"{server.address}/api/",
        "hr_people": (HR,),
        "hr_channel": "CHR",
    }
    settings = fake_settings(tmp_path)
    return settings.model_copy(update={"slack": SlackSettings.model_validate(slack | more)})


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    start: Callable[[Store], Awaitable[Service]] | None = None,
    ledger: LedgerSettings | None = None,
) -> AsyncIterator[Bot]:
    """The bot, once it is connected."""
    if ledger:
        settings = settings.model_copy(update={"ledger": ledger})
    app = create_app(settings, start or FakeAssistant().start)
    async with app.router.lifespan_context(app):
        startup = startup_of(app)
        async with asyncio.timeout(60):
            while startup.ready is None or app.state.web.slack.problem:
                assert startup.error is None, startup.error
                await asyncio.sleep(0.01)
        yield Bot(app, startup.ready.store, startup.ready.service.feedback, app.state.web.slack)
