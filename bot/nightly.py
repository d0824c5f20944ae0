"""Start training in the night, in a process of its own, from inside `quantahr serve`.

Enters: when (`training.schedule`, as cron writes it). Leaves: `quantahr train --now`, which trains if there is enough
to learn from. Runs that were missed while the machine slept are made up for once, those while the server was down are
not; two never run at a time, of this process by the scheduler, of several by the trainer's lock. The child has low
priority, so answering goes first.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

from config.errors import ConfigError
from config.machine import as_child
from config.settings import TrainingSettings
from config.training import TrainingState

_log = logging.getLogger(__name__)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A night that the machine slept through is made up for until the next.
_MADE_UP_FOR_S = 20 * 3600


def _trigger(schedule: str) -> CronTrigger:
    """When cron would run it, in UTC. Raises ValueError where that is no schedule."""
    minute, hour, day, month, weekday = schedule.split()
    # cron counts days from Sunday, 0 or 7; the library from Monday.
    named = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda found: _DAYS[int(found[0])], weekday)
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=named, timezone="UTC")


class Nightly:
    """The schedule of one server. Make it at any time; `start` needs a running loop.

    `tell` is awaited with what came of a night in which something was trained, in one sentence, for HR.
    """

    def __init__(self, settings: TrainingSettings, config: Path | None, data_dir: Path = Path("var")) -> None:
        try:
            self._trigger = _trigger(settings.schedule) if settings.schedule else None
        except ValueError as error:
            raise ConfigError(
                f"Setting 'training.schedule' is no schedule ({error}); write five fields as cron does, such as "
                '"0 2 * * *", or "" for none.'
            ) from error
        self._command = [sys.executable, "-m", "bot.cli", *(["--config", str(config)] if config else [])]
        self._command += ["train", "--now", "--spec", str(settings.spec)]
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._child: asyncio.subprocess.Process | None = None
        self._data_dir = data_dir
        self.tell: Callable[[str], Awaitable[None]] | None = None

    def start(self) -> None:
        """Begin to wait for the next time."""
        if self._trigger:
            self._scheduler.add_job(
                self.train, self._trigger, max_instances=1, coalesce=True, misfire_grace_time=_MADE_UP_FOR_S
            )
            self._scheduler.start()

    async def stop(self) -> None:
        """Schedule nothing more, and end a training that is under way; it goes on from its last checkpoint."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._child and self._child.returncode is None:
            self._child.terminate()
            await self._child.wait()

    async def train(self) -> int:
        """Run it once; gives the exit status."""
        began = datetime.now(UTC)
        self._child = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, preexec_fn=as_child
        )
        status = await self._child.wait()
        if status:
            _log.error("the nightly training stopped with status %d, as said above", status)
        state = await asyncio.to_thread(TrainingState.read, self._data_dir)
        is_news = state.at is not None and state.at >= began
        if self.tell and is_news and state.state in ("idle", "failed") and state.result:
            try:
                await self.tell(f"The nightly training is done. {state.result}")
            except Exception:  # a channel that is away must not stop the schedule
                _log.exception("what came of the nightly training could not be told")
        return status
