"""Bring one answer into Slack as it comes: streamed where the workspace has that, else by updating one message.

Enters: where to answer, pieces of text, the finished `Reply`. Leaves: exactly one message. `on_placed` is called as
soon as it exists, before anything is written into it: who is killed then knows which message to finish.

A stream that dies (after five minutes Slack ends it) or is refused is finished by an update of the same message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.reply import Block, Reply, mrkdwn

_log = logging.getLogger(__name__)
LOOKING = "Looking it up…"
# Slack takes about one change of a message a second.
_UPDATE_S = 1.2
_MAX_STREAMED = 11_000
# Somebody deleted it, or it can no longer be changed.
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}


# Slack's own trouble, which passes.
_PASSING = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}


def is_transient(error: SlackApiError) -> bool:
    """Whether trying again may help."""
    status = getattr(error.response, "status_code", 200)
    return status >= 500 or status == 429 or error.response["error"] in _PASSING


@dataclass(frozen=True)
class Place:
    """Where to answer: the channel, the message that the thread hangs from, and for whom."""

    channel: str
    thread_ts: str
    user: str
    team: str = ""


class Delivery:
    """One message. `ts` is where it stands, given when it is there already."""

    def __init__(
        self, client: AsyncWebClient, place: Place, on_placed: Callable[[str], Awaitable[None]], ts: str = ""
    ) -> None:
        self.ts = ts
        self._client = client
        self._place = place
        self._on_placed = on_placed
        self._is_streaming = False
        # A message that was taken up again may be a stream of the process before.
        self._was_streamed = bool(ts)
        self._said = ""
        self._unsent = ""
        self._sent_at = 0.0

    async def begin(self, hint: str = "") -> None:
        """Put a message there, unless it is there already; with a hint it says that, as a stream cannot."""
        if self.ts:
            if hint:
                await self.say(hint)
            return
        self.ts = (await self._stream() if not hint else "") or await self._post(hint or LOOKING)
        await self._on_placed(self.ts)

    async def add(self, text: str) -> None:
        """Show more of the answer."""
        self._said += text
        self._unsent += text
        if time.monotonic() - self._sent_at < _UPDATE_S or len(self._said) > _MAX_STREAMED:
            return
        self._sent_at = time.monotonic()
        if self._is_streaming:
            await self._append()
        else:
            await self._hint(f"{mrkdwn(self._said)} …")

    async def say(self, text: str) -> None:
        """Show what is going on, where there is no text yet; a stream shows that by itself."""
        if not self._is_streaming and not self._said:
            await self._hint(text)

    async def finish(self, reply: Reply) -> None:
        """Show the whole answer."""
        if self._is_streaming:
            await self._append()
        if self._was_streamed and await self._stopped(reply if self._is_streaming else None):
            return
        place = self._place
        try:
            await self._client.chat_update(channel=place.channel, ts=self.ts, text=reply.text, blocks=reply.blocks)
        except SlackApiError as error:
            if error.response["error"] not in _GONE:
                raise
            _log.info("the message is gone, so there is another: %s", error.response["error"])
            self.ts = await self._post(reply.text, reply.blocks)

    async def fail(self, text: str) -> None:
        """Say why there is no answer, in place of what was said of one."""
        self._is_streaming = False
        await self.finish(Reply(text, []))

    async def _stream(self) -> str:
        """Begin a stream; empty where there are none."""
        place = self._place
        try:
            started = await self._client.chat_startStream(
                channel=place.channel,
                thread_ts=place.thread_ts,
                recipient_user_id=place.user,
                recipient_team_id=place.team or None,
            )
        except SlackApiError as error:
            # Not every workspace streams, and not in every channel; the answer comes all the same.
            _log.info("no stream: %s", error.response["error"])
            return ""
        self._is_streaming = self._was_streamed = True
        return str(started["ts"])

    async def _post(self, text: str, blocks: list[Block] | None = None) -> str:
        place = self._place
        sent = await self._client.chat_postMessage(
            channel=place.channel, thread_ts=place.thread_ts, text=text, blocks=blocks
        )
        return str(sent["ts"])

    async def _append(self) -> None:
        if not self._unsent:
            return
        try:
            await self._client.chat_appendStream(
                channel=self._place.channel, ts=self.ts, markdown_text=markdown(self._unsent)
            )
            self._unsent = ""
        except (SlackClientError, aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.info("the stream ended: %s", type(error).__name__)
            self._is_streaming = False

    async def _stopped(self, reply: Reply | None) -> bool:
        """End the stream; True when the message is whole with that."""
        is_whole = reply is not None and bool(self._said)
        try:
            await self._client.chat_stopStream(
                channel=self._place.channel,
                ts=self.ts,
                markdown_text=None if is_whole or reply is None else markdown(reply.plain),
                blocks=reply.rest if reply else None,
            )
        except SlackApiError as error:
            _log.info("the stream could not be ended: %s", error.response["error"])
            return False
        return reply is not None

    async def _hint(self, text: str) -> None:
        """Show something that the answer replaces; what Slack does not show of it is no loss."""
        try:
            await self._client.chat_update(channel=self._place.channel, ts=self.ts, text=text)
        except (SlackClientError, aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.info("not shown on the way: %s", type(error).__name__)


def markdown(text: str) -> str:
    """Plain text as the markdown of streams, in which a policy's own signs stay signs."""
    for sign in ("\\", "*", "_", "~", "`", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
