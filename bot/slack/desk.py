"""What everything that happens in Slack works with, and how its places and people are called in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from pydantic import BaseModel
from slack_sdk.web.async_client import AsyncWebClient

from bot.answer import Answer
from bot.cases import Cases
from bot.feedback import Feedback
from bot.inbox import Inbox, Task
from bot.posts import Post, Posts
from bot.service import Ready
from bot.slack.people import People
from bot.store import Store
from bot.web.metrics import Metrics
from config.settings import Settings

CHANNEL = "slack"
# Notes of a task that answers: where it stands, and the answer that was recorded.
SAID, ANSWERED = "said", "answered"
_TELL_S = 2.0


class UnderWay(Exception):
    """Somebody has to do with an answer that is still being written; their turn comes when it is."""


class Ticket:
    """A place in a `Line`."""

    def __init__(self, line: list[Ticket]) -> None:
        self._line = line
        self.called = asyncio.Event()

    @property
    def ahead(self) -> int:
        """How many come first, as far as that can be known; at least one until it is called."""
        return 0 if self.called.is_set() else self._line.index(self) + 1

    async def wait(self, tell: Callable[[int], Awaitable[None]]) -> None:
        """Until it is called; `tell` hears every few seconds how many come first, when that has changed."""
        told = self.ahead
        while not self.called.is_set():
            try:
                async with asyncio.timeout(_TELL_S):
                    await self.called.wait()
            except TimeoutError:
                if told != (told := self.ahead):
                    await tell(told)


class Line:
    """Lets a few questions through at a time, in the order in which they came."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._line: list[Ticket] = []

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @contextmanager
    def stand(self) -> Iterator[Ticket]:
        """Take a place in it, and leave it in the end."""
        ticket = Ticket(self._line)
        self._line.append(ticket)
        self._call()
        try:
            yield ticket
        finally:
            if ticket.called.is_set():
                self._free += 1
                self._call()
            else:
                self._line.remove(ticket)

    def _call(self) -> None:
        while self._free and self._line:
            self._free -= 1
            self._line.pop(0).called.set()


@dataclass(frozen=True)
class Desk:
    """The parts that handlers share. `bot_user` is the bot's own id; `running` are answers under way, by thread, and
    `steps` what is not to be interrupted."""

    client: AsyncWebClient
    settings: Settings
    ready: Ready
    metrics: Metrics
    people: People
    inbox: Inbox
    posts: Posts
    cases: Cases
    bot_user: str
    line: Line
    running: dict[str, asyncio.Task[Answer]] = field(default_factory=dict)
    steps: set[asyncio.Task[str]] = field(default_factory=set)
    _showing: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def feedback(self) -> Feedback:
        """What HR makes of answers."""
        return self.ready.service.feedback

    @property
    def store(self) -> Store:
        """The ledger."""
        return self.ready.store

    def showing(self, interaction_id: str) -> asyncio.Lock:
        """Held from looking what counts for an answer until that stands in its message."""
        return self._showing.setdefault(interaction_id, asyncio.Lock())


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


def said_in(task: Task) -> Said | None:
    """Where a task's answer stands; None where it has not begun."""
    return Said.model_validate_json(task.notes[SAID]) if SAID in task.notes else None


async def once(desk: Desk, task: Task, name: str, act: Callable[[], Awaitable[str]]) -> str:
    """Do a step of a task unless it was done before; gives what came of it then or now."""
    if name in task.notes:
        return task.notes[name]

    async def do() -> str:
        outcome = await act()
        await asyncio.to_thread(desk.inbox.note, task.id, name, outcome)
        return outcome

    step = asyncio.create_task(do(), name=name)
    desk.steps.add(step)
    step.add_done_callback(desk.steps.discard)
    # Whoever stops the bot waits for its steps: one that is done and not noted would be done again.
    return await asyncio.shield(step)


async def answer_at(desk: Desk, channel: str, ts: str) -> Post | None:
    """The answer that a message holds; None where it is none of ours.

    Raises:
        UnderWay: It is being written.
    """
    named = place(channel, ts)
    if post := await asyncio.to_thread(desk.posts.at, named):
        return post
    if any(said.place == named for said in await being_written(desk)):
        raise UnderWay
    return await asyncio.to_thread(desk.posts.at, named)  # it may have been recorded while we looked


async def answer_in(desk: Desk, channel: str, thread_ts: str, ts: str) -> Post | None:
    """The answer of a thread that a message there stands under: the last above it. None where there is none.

    Raises:
        UnderWay: That one is being written.
    """
    if not thread_ts:
        return None
    named = place(channel, thread_ts)

    async def written() -> dict[str, Post]:
        posts = await asyncio.to_thread(desk.posts.all_in, named)
        return {said_at(post).ts: post for post in posts if float(said_at(post).ts) < float(ts)}

    above = await written()
    unwritten = [said.ts for said in await being_written(desk) if said.thread == named and float(said.ts) < float(ts)]
    above = await written() if unwritten else above  # it may have been recorded while we looked
    if any(float(one) > max(map(float, above), default=0.0) for one in unwritten):
        raise UnderWay
    return above[max(above, key=float)] if above else None


async def being_written(desk: Desk) -> list[Said]:
    """Where answers will stand that are not recorded yet, whichever process writes them."""
    tasks = await asyncio.to_thread(desk.inbox.open_tasks)
    return [said for task in tasks if ANSWERED not in task.notes and (said := said_in(task))]
