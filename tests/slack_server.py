"""A workspace for tests: enough of Slack's Web API, Socket Mode and signed events to run the real bot against.

What people do (`say`, `react`, `click`, …) becomes events; what the bot does is in `messages`, `views`, `whispers` and
`calls`. On demand the server delivers twice or late, refuses methods, ends streams, answers 429, and drops sockets.
No two things happen at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession, WSMsgType, web
from slack_sdk.signature import SignatureVerifier

BOT, BOT_ID, TEAM = "UBOT", "B1", "T1"
SECRET = "shhh"
Payload = dict[str, Any]


@dataclass
class Posted:
    """A message of a channel. `was` holds what it said before."""

    channel: str
    ts: str
    user: str
    text: str
    thread_ts: str = ""
    blocks: list[Payload] = field(default_factory=list)
    is_streaming: bool = False
    was: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """All that a person reads in it."""
        parts = [self.text if not self.blocks or self.was_streamed else ""]
        for block in self.blocks:
            parts += [str(e.get("text", "")) for e in (block.get("text"), *block.get("elements", ())) if _is_text(e)]
        return "\n".join(filter(None, parts))

    was_streamed: bool = False

    def button(self, action: str) -> str:
        """The value of a button in it."""
        found = [e for block in self.blocks for e in block.get("elements", ()) if e.get("action_id") == action]
        return str(found[0]["value"])


def _is_text(element: object) -> bool:
    return isinstance(element, dict) and isinstance(element.get("text"), str)


@dataclass
class SlackServer:
    """One workspace. `groups` are its user groups; `missing` the methods that it does not know; `broken` those that
    fail for now, each in a channel ("chat.postMessage C1"); `outside` the channels that the bot is not in; `names` what
    people are called.
    """

    groups: dict[str, list[str]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    dying: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    is_expired: bool = False
    limited: Counter[str] = field(default_factory=Counter)
    slow_s: float = 0.0
    page_size: int = 200
    address: str = ""
    messages: list[Posted] = field(default_factory=list)
    whispers: list[Payload] = field(default_factory=list)
    views: list[Payload] = field(default_factory=list)
    homes: dict[str, Payload] = field(default_factory=dict)
    calls: list[tuple[str, Payload]] = field(default_factory=list)
    responses: list[Payload] = field(default_factory=list)
    acks: dict[str, float] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)
    http_url: str = ""
    deliver_twice: bool = False
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _last: float = 0.0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _unacked: dict[str, str] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _streams: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    # What people do.

    async def say(
        self, user: str, text: str, channel: str = "C1", thread: str = "", *, mention: bool = False
    ) -> Posted:
        """Somebody writes; a mention comes as two events, as Slack sends it."""
        text = f"<@{BOT}> {text}" if mention else text
        posted = Posted(channel, self._ts(), user, text, thread)
        self.messages.append(posted)
        event = self._message_event(posted)
        await self.deliver(self._envelope(event))
        if mention:
            await self.deliver(self._envelope({**event, "type": "app_mention"}))
        return posted

    async def edit(self, posted: Posted, text: str) -> None:
        """Somebody changes what they wrote."""
        before = self._message_event(posted)
        posted.was.append(posted.text)
        posted.text = text
        after = {**self._message_event(posted), "edited": {"user": posted.user, "ts": self._ts()}}
        await self.deliver(self._envelope(self._changed_event("message_changed", posted, before, message=after)))

    async def delete(self, posted: Posted) -> None:
        """Somebody deletes what they wrote."""
        self.messages.remove(posted)
        before = self._message_event(posted)
        await self.deliver(self._envelope(self._changed_event("message_deleted", posted, before)))

    async def react(self, user: str, posted: Posted, name: str, *, added: bool = True) -> None:
        """Somebody puts an emoji on a message, or takes it away."""
        event = {
            "type": "reaction_added" if added else "reaction_removed",
            "user": user,
            "reaction": name,
            "item": {"type": "message", "channel": posted.channel, "ts": posted.ts},
            "item_user": posted.user,
            "event_ts": self._ts(),
        }
        await self.deliver(self._envelope(event))

    async def click(self, user: str, posted: Posted | None, action: str, value: str) -> None:
        """Somebody presses a button, in a message or (None) in the home tab."""
        where: Payload = {"container": {"type": "view"}}
        if posted:
            container = {"type": "message", "message_ts": posted.ts, "channel_id": posted.channel}
            where = {"container": container | ({"thread_ts": posted.thread_ts} if posted.thread_ts else {})}
        body = {
            "type": "block_actions",
            "team": {"id": TEAM},
            "user": {"id": user},
            "trigger_id": f"trigger-{next(self._numbers)}",
            "response_url": f"{self.address}/response",
            "actions": [{"action_id": action, "value": value, "action_ts": self._ts(), "type": "button"}],
            **where,
        }
        await self.deliver(body, kind="interactive")

    async def submit(self, user: str, view: Payload, **values: object) -> None:
        """Somebody sends a modal: text, an option's value, or a list of options' values for each field."""
        filled: Payload = {}
        for name, value in values.items():
            kind: Payload = {"value": value}
            element = next(b["element"] for b in view["blocks"] if b.get("block_id") == name)
            if element["type"] == "radio_buttons":
                kind = {"selected_option": {"value": value}}
            elif isinstance(value, Sequence) and not isinstance(value, str):
                kind = {"selected_options": [{"value": one} for one in value]}
            elif element["type"] == "datepicker":
                kind = {"selected_date": value}
            filled[name] = {name: kind}
        sent = view | {"id": f"V{next(self._numbers)}", "hash": "h", "state": {"values": filled}}
        await self.deliver(
            {"type": "view_submission", "team": {"id": TEAM}, "user": {"id": user}, "view": sent}, kind="interactive"
        )

    async def command(self, user: str, text: str, channel: str = "C1") -> None:
        """Somebody types `/hr …`."""
        body = {
            "command": "/hr",
            "text": text,
            "user_id": user,
            "team_id": TEAM,
            "channel_id": channel,
            "trigger_id": f"trigger-{next(self._numbers)}",
            "response_url": f"{self.address}/response",
        }
        await self.deliver(body, kind="slash_commands")

    async def shortcut(self, user: str, posted: Posted, callback: str) -> None:
        """Somebody uses a message shortcut."""
        body = {
            "type": "message_action",
            "callback_id": callback,
            "team": {"id": TEAM},
            "user": {"id": user},
            "channel": {"id": posted.channel},
            "message": {"ts": posted.ts},
            "trigger_id": f"trigger-{next(self._numbers)}",
        }
        await self.deliver(body, kind="interactive")

    async def open_home(self, user: str, tab: str = "home") -> None:
        """Somebody looks at the app."""
        event = {"type": "app_home_opened", "user": user, "channel": f"D{user}", "tab": tab, "event_ts": self._ts()}
        await self.deliver(self._envelope(event))

    async def stop(self, user: str, channel: str, thread: str) -> None:
        """Somebody presses Stop."""
        event = {"type": "agent_session_stopped", "user": user, "channel": channel, "thread_ts": thread}
        await self.deliver(self._envelope(event | {"event_ts": self._ts()}))

    # How it is delivered.

    async def deliver(self, body: Payload, kind: str = "events_api") -> str:
        """Send a payload, twice if that is asked for; it is kept until it is acknowledged. Gives the envelope's id."""
        name = ""
        for _ in range(2 if self.deliver_twice else 1):
            name = f"envelope-{next(self._numbers)}"
            if self.http_url:
                await self.post(body)
                continue
            self._unacked[name] = json.dumps(
                {"type": kind, "envelope_id": name, "payload": body, "accepts_response_payload": False}
            )
            self.sent[name] = asyncio.get_running_loop().time()
            await self._send(name)
        return name

    async def post(self, body: Payload, *, secret: str = SECRET, age_s: int = 0) -> int:
        """Post a signed payload; gives the status."""
        if body.get("type") == "event_callback":
            text, kind = json.dumps(body), "application/json"
        else:
            form = body if "command" in body else {"payload": json.dumps(body)}
            text, kind = urlencode(form), "application/x-www-form-urlencoded"
        stamp = str(int(time.time()) - age_s)
        signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=text)
        headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
        async with ClientSession() as session, session.post(self.http_url, data=text, headers=headers) as response:
            return response.status

    async def redeliver(self) -> None:
        """Send again what was not acknowledged, as Slack does after a while."""
        for name in list(self._unacked):
            await self._send(name)

    async def drop_sockets(self) -> None:
        """Cut every connection without a word."""
        for socket in self.sockets:
            if socket._req and socket._req.transport:
                socket._req.transport.abort()
        self.sockets.clear()

    @property
    def unacked(self) -> int:
        """Envelopes that nobody has acknowledged."""
        return len(self._unacked)

    async def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                self._changed.clear()

    async def answer_to(self, posted: Posted, *, nth: int = 1) -> Posted:
        """The bot's n-th message in the thread of a message, once it is whole."""
        thread = posted.thread_ts or posted.ts

        def said() -> list[Posted]:
            return [
                one
                for one in self.messages
                if one.user == BOT and one.thread_ts == thread and one.channel == posted.channel and one.ts > posted.ts
            ]

        await self.until(lambda: len(said()) >= nth and _is_whole(said()[nth - 1]))
        return said()[nth - 1]

    # What the bot sees.

    def _ts(self) -> str:
        self._last = max(time.time(), self._last + 1e-4)
        return f"{self._last:.6f}"

    def _envelope(self, event: Payload) -> Payload:
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "event_id": f"Ev{next(self._numbers)}",
            "event_time": 1_780_000_000,
            "event": event,
        }

    def _message_event(self, posted: Posted) -> Payload:
        kind = {"D": "im", "G": "group"}.get(posted.channel[0], "channel")
        event = {
            "type": "message",
            "channel": posted.channel,
            "channel_type": kind,
            "user": posted.user,
            "text": posted.text,
            "ts": posted.ts,
            "event_ts": posted.ts,
        }
        if posted.thread_ts:
            event |= {"thread_ts": posted.thread_ts}
        return event | ({"bot_id": BOT_ID} if posted.user == BOT else {})

    def _changed_event(self, subtype: str, posted: Posted, before: Payload, **more: Payload) -> Payload:
        return {
            "type": "message",
            "subtype": subtype,
            "channel": posted.channel,
            "previous_message": before,
            "event_ts": self._ts(),
            **more,
        }

    async def _send(self, name: str) -> None:
        if self.sockets and name in self._unacked:
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self.sockets[-1].send_str(self._unacked[name])

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}))
        self.sockets.append(socket)
        await self.redeliver()
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("{"):
                acked = json.loads(message.data)["envelope_id"]
                self.acks[acked] = asyncio.get_running_loop().time()
                self._unacked.pop(acked, None)
                self._changed.set()
        with contextlib.suppress(ValueError):
            self.sockets.remove(socket)
        return socket

    async def _respond(self, request: web.Request) -> web.Response:
        if self.is_expired:
            return web.Response(status=404, text="expired_url")
        self.responses.append(await request.json())
        self._changed.set()
        return web.Response(text="ok")

    async def _call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.content_type == "application/json":
            args = await request.json()
        else:
            form = await request.post()
            args = {name: _decoded(str(value)) for name, value in (*request.query.items(), *form.items())}
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        self.calls.append((method, args))
        if self.limited[method] > 0:
            self.limited[method] -= 1
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "1"})
        if f"{method} {args.get('channel')}" in self.broken:
            return web.json_response({"ok": False, "error": "internal_error"})
        if args.get("channel") in self.outside:
            return web.json_response({"ok": False, "error": "not_in_channel"})
        if method in self.missing:
            return web.json_response({"ok": False, "error": "unknown_method"})
        answer = getattr(self, "_" + method.replace(".", "_").lower(), None)
        if answer is None:
            return web.json_response({"ok": False, "error": "unknown_method"})
        result = answer(args)
        self._changed.set()
        return web.json_response({"ok": "error" not in result, **result})

    def _auth_test(self, _: Payload) -> Payload:
        return {"user": "quantahr", "user_id": BOT, "team": "Test", "team_id": TEAM, "bot_id": BOT_ID, "url": "x"}

    def _apps_connections_open(self, _: Payload) -> Payload:
        return {"url": f"{self.address.replace('http', 'ws')}/link"}

    def _usergroups_users_list(self, args: Payload) -> Payload:
        return {"users": self.groups.get(args["usergroup"], [])}

    def _users_info(self, args: Payload) -> Payload:
        name = self.names.get(args["user"])
        return {"user": {"name": args["user"], "real_name": name}} if name else {"error": "user_not_found"}

    def _conversations_open(self, args: Payload) -> Payload:
        return {"channel": {"id": f"D{args['users']}"}}

    def _conversations_replies(self, args: Payload) -> Payload:
        own = [
            m
            for m in self.messages
            if m.channel == args["channel"]
            and args["ts"] in (m.ts, m.thread_ts)
            and m.ts >= str(args.get("oldest", ""))
        ]
        start = int(args.get("cursor") or 0)
        end = start + min(self.page_size, int(args.get("limit") or 200))
        page = [self._message_event(m) for m in own[start:end]]
        more = str(end) if end < len(own) else ""
        return {"messages": page, "response_metadata": {"next_cursor": more}}

    def _chat_postmessage(self, args: Payload) -> Payload:
        posted = Posted(args["channel"], self._ts(), BOT, args.get("text", ""), args.get("thread_ts", ""))
        posted.blocks = _decoded(args.get("blocks")) or []
        self.messages.append(posted)
        return {"ts": posted.ts, "channel": posted.channel}

    def _chat_update(self, args: Payload) -> Payload:
        posted = self._own(args)
        if posted is None:
            return {"error": "message_not_found"}
        if posted.is_streaming:
            return {"error": "streaming_state_conflict"}
        posted.was.append(posted.text)
        posted.text, posted.blocks = args.get("text", ""), _decoded(args.get("blocks")) or []
        posted.was_streamed = False
        return {"ts": posted.ts, "channel": posted.channel}

    def _chat_postephemeral(self, args: Payload) -> Payload:
        self.whispers.append(args)
        return {"message_ts": self._ts()}

    def _chat_startstream(self, args: Payload) -> Payload:
        if args["channel"].startswith("C") and not (args.get("recipient_user_id") and args.get("recipient_team_id")):
            return {"error": "missing_recipient"}
        posted = Posted(args["channel"], self._ts(), BOT, args.get("markdown_text", ""), args["thread_ts"])
        posted.is_streaming = posted.was_streamed = True
        self.messages.append(posted)
        return {"ts": posted.ts, "channel": posted.channel}

    def _chat_appendstream(self, args: Payload) -> Payload:
        posted = self._own(args)
        if posted is None or not posted.is_streaming:
            return {"error": "message_not_in_streaming_state"}
        if posted.channel in self.dying:
            posted.is_streaming = False
            return {"error": "message_not_in_streaming_state"}
        posted.text += args["markdown_text"]
        return {"ts": posted.ts, "channel": posted.channel}

    def _chat_stopstream(self, args: Payload) -> Payload:
        posted = self._own(args)
        if posted is None or not posted.is_streaming:
            return {"error": "message_not_in_streaming_state"}
        posted.text += args.get("markdown_text") or ""
        posted.blocks = _decoded(args.get("blocks")) or []
        posted.is_streaming = False
        return {"ts": posted.ts, "channel": posted.channel}

    def _agents_sessions_setstatus(self, _: Payload) -> Payload:
        return {}

    def _assistant_threads_setsuggestedprompts(self, _: Payload) -> Payload:
        return {}

    def _views_open(self, args: Payload) -> Payload:
        self.views.append(_decoded(args["view"]))
        return {"view": {"id": f"V{next(self._numbers)}"}}

    def _views_publish(self, args: Payload) -> Payload:
        self.homes[args["user_id"]] = _decoded(args["view"])
        return {}

    def _own(self, args: Payload) -> Posted | None:
        return next((m for m in self.messages if m.channel == args["channel"] and m.ts == args["ts"]), None)


def _is_whole(posted: Posted) -> object:
    is_begun = posted.text and not posted.text.startswith("Looking it up…")
    return not posted.is_streaming and is_begun and not posted.text.endswith(" …")


def _decoded(value: Any) -> Any:
    """Lists and objects come as JSON in forms."""
    if isinstance(value, str) and value[:1] in "[{":
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


@contextlib.asynccontextmanager
async def workspace(**settings: Any) -> AsyncIterator[SlackServer]:
    """Serve a workspace on a free port of this machine."""
    server = SlackServer(**settings)
    app = web.Application(client_max_size=10_000_000)
    app.router.add_get("/link", server._link)
    app.router.add_post("/response", server._respond)
    app.router.add_route("*", "/api/{method}", server._call)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.address = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await server.drop_sockets()
        await runner.cleanup()
