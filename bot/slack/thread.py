"""Read threads: what was said before, one message, and what a process that was killed left behind.

Enters: where. Leaves: turns, a message, a time stamp. What cannot be read is empty: an answer comes without its thread
rather than not at all.
"""

from __future__ import annotations

import logging
from collections import deque

from slack_sdk.errors import SlackClientError

from bot.answer import Turn
from bot.slack.deliver import LOOKING, Place
from bot.slack.desk import Desk, being_written
from bot.slack.incoming import Message
from bot.slack.reply import with_names

_log = logging.getLogger(__name__)
_MAX_TURNS = 20
_MAX_TURN = 4_000


async def history(desk: Desk, message: Message) -> tuple[Turn, ...]:
    """The thread's earlier messages, oldest first; all pages are read, and the last twenty are kept."""
    turns: deque[Turn] = deque(maxlen=_MAX_TURNS)
    cursor = ""
    try:
        while True:
            page = await desk.client.conversations_replies(
                channel=message.channel, ts=message.thread_ts, cursor=cursor or None, limit=200
            )
            for one in page["messages"]:
                if float(one["ts"]) < float(message.ts) and one.get("text"):
                    said = with_names(str(one["text"])[:_MAX_TURN], {desk.bot_user: ""})
                    turns.append(Turn("bot" if one.get("user") == desk.bot_user else "user", said))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return tuple(turns)
    except (SlackClientError, KeyError, TypeError, ValueError) as error:
        _log.warning("a thread could not be read, so the question is answered alone: %s", type(error).__name__)
        return ()


async def message_at(desk: Desk, channel: str, ts: str) -> dict[str, object]:
    """One message, wherever in a thread it stands; empty when it cannot be read."""
    try:
        page = await desk.client.conversations_replies(channel=channel, ts=ts, latest=ts, inclusive=True, limit=1)
    except SlackClientError as error:
        _log.warning("a message could not be read: %s", type(error).__name__)
        return {}
    found: list[dict[str, object]] = page.get("messages") or []
    return next((one for one in found if one.get("ts") == ts), {})


async def left_behind(desk: Desk, target: Place, after: str) -> str:
    """Our empty message in the thread that no task knows: a process was killed before it could note it."""
    try:
        page = await desk.client.conversations_replies(channel=target.channel, ts=target.thread_ts, oldest=after)
    except SlackClientError:
        return ""
    promised = {said.ts for said in await being_written(desk)}
    for one in page["messages"]:
        ts = str(one["ts"])
        text = str(one.get("text", ""))
        is_empty = one.get("user") == desk.bot_user and (not text or text.startswith(LOOKING))
        if is_empty and float(ts) > float(after) and ts not in promised:
            return ts
    return ""
