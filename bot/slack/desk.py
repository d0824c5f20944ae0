"""What everything that happens in Slack works with, and how its places and people are called in the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pydantic import BaseModel
from slack_sdk.web.async_client import AsyncWebClient

from bot.answer import Answer
from bot.cases import Cases
from bot.feedback import Feedback
from bot.inbox import Inbox
from bot.posts import Post, Posts
from bot.service import Ready
from bot.slack.people import People
from bot.store import Store
from bot.web.metrics import Metrics
from config.settings import Settings

CHANNEL = "slack"


@dataclass(frozen=True)
class Desk:
    """The parts that handlers share. `bot_user` is the bot's own id; `running` are answers under way, by thread.
    `showing` is held from looking what counts until it stands in the message.
    """

    client: AsyncWebClient
    settings: Settings
    ready: Ready
    metrics: Metrics
    people: People
    inbox: Inbox
    posts: Posts
    cases: Cases
    bot_user: str
    running: dict[str, asyncio.Task[Answer]] = field(default_factory=dict)
    showing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def feedback(self) -> Feedback:
        """What HR makes of answers."""
        return self.ready.service.feedback

    @property
    def store(self) -> Store:
        """The ledger."""
        return self.ready.store


class Said(BaseModel):
    """Where an answer was said in Slack, as it is kept sealed, and to whom."""

    channel: str
    ts: str
    thread_ts: str
    user: str

    @property
    def place(self) -> str:
        """The message's name."""
        return place(self.channel, self.ts)

    @property
    def thread(self) -> str:
        """The thread's name."""
        return place(self.channel, self.thread_ts)


def place(channel: str, ts: str) -> str:
    """A message's name in the ledger. A workspace's channels have ids of their own."""
    return f"{CHANNEL}:{channel}:{ts}"


def person(user: str) -> str:
    """A person's name in the ledger, where it is hashed."""
    return f"{CHANNEL}:{user}"


def said_at(post: Post) -> Said:
    """Where an answer stands."""
    return Said.model_validate_json(post.sealed)
