"""The bot in Slack: connect, take each event once, acknowledge it, and do what it asks for.

Enters: the settings and a ready assistant. Leaves: a running bot; whether it is connected is `problem`.
Run: with `quantahr serve`, where `slack.bot_token` is set. Socket Mode needs nothing else; in HTTP mode Slack posts
signed events to /slack/events.

The order of things: Bolt checks and parses; `_take` writes the event into the ledger's inbox, and only then is it
acknowledged; a task of its own does the work. What was taken and not done is done after a restart. Bolt's listeners
never wait for an answer, so a button is acknowledged whatever else goes on.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response

from bot.cases import Cases
from bot.follow import explain
from bot.inbox import LEASE, Inbox, Task
from bot.posts import Posts
from bot.replies import busy_reply
from bot.service import Ready
from bot.slack.actions import clicked, is_a_question, shortcut, submitted, tell
from bot.slack.answering import Patience, answer_message, apologise, is_question, refuse
from bot.slack.command import answer_command, reply_to
from bot.slack.correcting import correct_by_reply, deleted, edited, is_correction, reacted
from bot.slack.deliver import is_transient
from bot.slack.desk import Desk, Line, UnderWay, answer_in, place
from bot.slack.home import home_opened
from bot.slack.incoming import (
    Click,
    Command,
    Deletion,
    Edit,
    HomeOpened,
    Incoming,
    Malformed,
    Message,
    Reaction,
    Shortcut,
    Stop,
    Submission,
    Unusable,
    parse,
    stored,
)
from bot.slack.people import People
from bot.slack.reply import Reply, mrkdwn
from bot.web.metrics import Metrics
from config.errors import ConfigError, LedgerBusy, LedgerError
from config.settings import Settings

_log = logging.getLogger(__name__)
_ANY = re.compile(".*", re.DOTALL)
_TRANSIENT = (SlackClientError, aiohttp.ClientError, OSError, TimeoutError, LedgerBusy)
# Between tries: a short outage loses nothing, and a restart goes on with what is left.
_PAUSES_S = (1, 2, 4, 8, 16, 32, 64)
# How long what is said of an answer waits for its end. Answers end after a minute or so; the queue may be long.
_WAIT_FOR_ANSWER_S = 600
_PATIENCE = "That is a lot of questions in one minute; please wait a moment and ask again."
_WATCH_S = 1.0
# Of the socket; the library looks for a dead one as often.
_PING_S = 5.0
_RETRY_S = 30.0
# Answers that are worked on side by side; the model has a queue of its own behind them.
_AT_ONCE = 8
# How long stopping waits for a message that is being sent.
_LAST_STEPS_S = 5.0
_RENEW_S = LEASE.total_seconds() / 4


class SlackBot:
    """One workspace's bot. Make it at any time; `start` connects."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        slack = settings.slack
        secret = slack.signing_secret.get_secret_value()
        if slack.mode == "http" and not secret:
            raise ConfigError(
                "slack.mode is 'http' and slack.signing_secret is empty, so anybody could send events; set it to the "
                "secret on the app's page, or slack.mode to 'socket'."
            )
        if slack.mode == "socket" and not slack.app_token.get_secret_value():
            raise ConfigError(
                "slack.bot_token is set and slack.app_token is empty; make an app-level token with the scope "
                "connections:write on the app's page, or set slack.mode to 'http'."
            )
        self._settings = settings
        self._metrics = metrics
        self._client = AsyncWebClient(token=slack.bot_token.get_secret_value(), base_url=slack.api_url)
        self._client.retry_handlers.extend(
            [AsyncRateLimitErrorRetryHandler(max_retry_count=3), AsyncServerErrorRetryHandler(max_retry_count=2)]
        )
        self._app = AsyncApp(
            client=self._client,
            signing_secret=secret or "none: socket mode is not signed",
            request_verification_enabled=slack.mode == "http",
            ssl_check_enabled=False,
            process_before_response=True,  # what is acknowledged has been written down
            ignoring_self_events_enabled=False,  # the inbox decides, by the bot's own id
            raise_error_for_unhandled_request=False,
        )
        for listen in (self._app.event, self._app.action, self._app.view, self._app.shortcut, self._app.command):
            listen(_ANY)(self._listener)
        self._http = AsyncSlackRequestHandler(self._app)
        self._socket: AsyncSocketModeHandler | None = None
        self._desk: Desk | None = None
        self._patience = Patience(slack.questions_per_minute)
        self._leases: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self.problem = "The bot is not connected to Slack yet."

    async def start(self, ready: Ready) -> None:
        """Connect in the background, and go on with what was promised before."""
        self._watch = asyncio.create_task(self._keep_connected(ready), name="slack")
        self._leases = asyncio.create_task(self._keep_leases(), name="slack leases")

    async def tell_hr(self, text: str) -> None:
        """Say something in HR's channel; nowhere, where there is none."""
        if channel := self._settings.slack.hr_channel:
            await self._client.chat_postMessage(channel=channel, text=mrkdwn(text))

    async def stop(self) -> None:
        """Disconnect. What is under way stays in the inbox for whoever comes next."""
        under_way = [*self._tasks, *filter(None, (self._watch, self._leases))]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if self._desk:
            if self._desk.steps:
                await asyncio.wait(self._desk.steps, timeout=_LAST_STEPS_S)
            with suppress(LedgerError):
                await asyncio.to_thread(self._desk.inbox.release)
        if self._socket:
            with suppress(Exception):  # a connection that is gone already cannot be closed
                await self._socket.client.close()
        if self._client.session:
            await self._client.session.close()

    async def handle(self, request: Request) -> Response:
        """Take a signed event that came over HTTP."""
        if self._desk is None:
            return Response(self.problem, 503, {"Retry-After": "5"})
        try:
            (await request.body()).decode()
        except UnicodeDecodeError:
            return Response("The body is no UTF-8; send it as Slack does.", 400)
        return await self._http.handle(request)

    async def _keep_connected(self, ready: Ready) -> None:
        """Connect, take up what was promised, and look every few seconds whether the connection lives."""
        while True:
            try:
                if self._desk is None:
                    await self._open_desk(ready)
                if self._settings.slack.mode == "socket":
                    await self._connect()
                self.problem = ""
                await asyncio.sleep(_WATCH_S)
            except asyncio.CancelledError:
                raise
            except SlackApiError as error:
                self.problem = _explain(error)
                _log.error("Slack: %s", self.problem)
                await asyncio.sleep(_RETRY_S)
            except Exception as error:  # the watch must outlive whatever the network does
                self.problem = f"Slack cannot be reached ({type(error).__name__}); it is tried again."
                _log.warning("Slack: %s", self.problem)
                await asyncio.sleep(1)

    async def _open_desk(self, ready: Ready) -> None:
        known = await self._client.auth_test()
        _log.info("Slack: %s is in %s", known["user"], known["team"])
        desk = Desk(
            client=self._client,
            settings=self._settings,
            ready=ready,
            metrics=self._metrics,
            people=People(self._client, self._settings.slack),
            inbox=Inbox(ready.store),
            posts=Posts(ready.store),
            cases=Cases(ready.store),
            bot_user=str(known["user_id"]),
            line=Line(_AT_ONCE),
        )
        await asyncio.to_thread(desk.inbox.forget_old)
        # A file has one server: whoever else owned tasks in it is dead.
        await self._take_over(desk, is_alone=ready.store.file is not None)
        self._desk = desk  # from here on events are taken

    async def _connect(self) -> None:
        if self._socket is None:
            self._socket = AsyncSocketModeHandler(
                self._app, self._settings.slack.app_token.get_secret_value(), ping_interval=_PING_S
            )
            await self._socket.client.connect()
        elif not await self._socket.client.is_connected():
            # The client mends most of what breaks itself; this is for what it does not notice.
            _log.warning("Slack: the socket is not connected; connecting again")
            self.problem = "The connection to Slack was lost; it is being made again."
            await self._socket.client.connect_to_new_endpoint()

    async def _keep_leases(self) -> None:
        """Renew them whatever the connection does: it may be away for longer than they hold."""
        while True:
            await asyncio.sleep(_RENEW_S)
            if self._desk:
                try:
                    await self._take_over(self._desk)
                except LedgerError as error:
                    _log.warning("Slack: the leases could not be renewed: %s", error)

    async def _take_over(self, desk: Desk, *, is_alone: bool = False) -> None:
        """Say that we live, and go on with what those have left who do not."""
        await asyncio.to_thread(desk.inbox.renew)
        for task in await asyncio.to_thread(desk.inbox.take_over, is_alone=is_alone):
            _log.info("Slack: going on with %s", task.kind)
            try:
                self._spawn(desk, task, stored(task.payload))
            except ValueError:  # another version's
                _log.exception("Slack: a task of kind %s cannot be read, and is left", task.kind)

    async def _listener(self, body: Mapping[str, Any], ack: Callable[[], Awaitable[None]]) -> None:
        """Bolt calls this for everything. Raising means that it is not acknowledged, and Slack delivers it again."""
        await self._take(body)
        await ack()

    async def _take(self, body: Mapping[str, Any]) -> None:
        if self._desk is None:
            raise LedgerError("The bot is not connected yet; Slack delivers this again.")
        try:
            incoming = parse(body)
        except Unusable as reason:
            level = logging.WARNING if isinstance(reason, Malformed) else logging.INFO
            _log.log(level, "Slack: dropped: %s", reason)
            return
        if not await _is_wanted(self._desk, incoming):
            return
        payload = incoming.model_dump_json()
        if task_id := await asyncio.to_thread(self._desk.inbox.take, incoming.key, incoming.kind, payload):
            task = Task(task_id, incoming.kind, payload, {}, 0, incoming.happened_at)
            self._spawn(self._desk, task, incoming)

    def _spawn(self, desk: Desk, task: Task, incoming: Incoming) -> None:
        work = asyncio.create_task(self._do(desk, task, incoming), name=f"slack {task.kind}")
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    async def _do(self, desk: Desk, task: Task, incoming: Incoming) -> None:
        """Do one task, again if Slack could not be reached, and forget it when it is done."""
        for pause_s in (*_PAUSES_S, None):
            try:
                if not await asyncio.to_thread(desk.inbox.begin, task.id):
                    return
                await self._when_written(desk, task, incoming)
                break
            except Exception as error:  # the edge of a task: logged, tried again if that may help, and not for ever
                if pause_s is None or not _may_pass(error):
                    await self._give_up(desk, task, incoming, error)
                    break
                _log.warning("Slack: %s failed: %s", task.kind, _cause(error))
                await asyncio.sleep(pause_s)
                with suppress(LedgerError):  # then it goes on with what is known of it here
                    noted = await asyncio.to_thread(desk.inbox.task, task.id)
                    task = noted or task
        try:
            await asyncio.to_thread(desk.inbox.done, task.id)
        except LedgerError as error:  # done all the same; after a restart its notes say so
            _log.error("Slack: %s stays in the inbox: %s", task.kind, error)

    async def _give_up(self, desk: Desk, task: Task, incoming: Incoming, error: Exception) -> None:
        """Log it with an incident number, and tell whoever waits for an answer."""
        failure = explain(error, desk.settings.company)
        with suppress(*_TRANSIENT, LedgerError):
            if isinstance(incoming, Message):
                await apologise(desk, incoming, task.id, failure.message)
            elif isinstance(incoming, Command):
                await reply_to(desk, incoming, Reply(failure.message, []))
            elif isinstance(incoming, Click | Submission):
                opened = await desk.client.conversations_open(users=incoming.user)
                await desk.client.chat_postMessage(channel=str(opened["channel"]["id"]), text=failure.message)

    async def _when_written(self, desk: Desk, task: Task, incoming: Incoming) -> None:
        """Do a task; one that is about an answer which is still being written, when that is whole."""
        for _ in range(_WAIT_FOR_ANSWER_S):
            with suppress(UnderWay):
                await self._carry_out(desk, task, incoming)
                return
            await asyncio.sleep(1)
        await self._carry_out(desk, task, incoming)

    async def _carry_out(self, desk: Desk, task: Task, incoming: Incoming) -> None:
        match incoming:
            case Message():
                await self._answer(desk, task, incoming)
            case Command():
                if refusal := self._refusal(desk, task, incoming.user):
                    await reply_to(desk, incoming, Reply(refusal, []))
                else:
                    await answer_command(desk, incoming, task)
            case Edit():
                await edited(desk, incoming, task)
            case Deletion():
                await deleted(desk, incoming, task)
            case Reaction():
                await reacted(desk, incoming, task)
            case Click():
                if is_a_question(incoming) and (refusal := self._refusal(desk, task, incoming.user)):
                    await tell(desk, incoming, refusal)
                else:
                    await clicked(desk, incoming, task)
            case Submission():
                await submitted(desk, incoming, task)
            case Shortcut():
                await shortcut(desk, incoming)
            case HomeOpened():
                await home_opened(desk, incoming)
            case Stop():
                if work := desk.running.get(place(incoming.channel, incoming.thread_ts)):
                    work.cancel()

    async def _answer(self, desk: Desk, task: Task, message: Message) -> None:
        if is_correction(desk, message.text) and await correct_by_reply(desk, message, task):
            return
        if not await is_question(desk, message):
            return
        if refusal := self._refusal(desk, task, message.user):
            await refuse(desk, message, refusal)
        else:
            await answer_message(desk, message, task)

    def _refusal(self, desk: Desk, task: Task, user: str) -> str:
        """Why a question is not answered now; empty where it is. What was begun once is finished."""
        if task.attempts:
            return ""
        if self._patience.is_over(user):
            return _PATIENCE
        return busy_reply(desk.settings.company) if desk.line.waiting >= desk.settings.slack.queue_limit else ""


async def _is_wanted(desk: Desk, incoming: Incoming) -> bool:
    """Whether anything is to be done: most of what people write in channels is none of the bot's business."""
    if incoming.user == desk.bot_user:
        return False
    if isinstance(incoming, Message):
        if incoming.thread_ts and is_correction(desk, incoming.text):
            return True
        return await is_question(desk, incoming)
    if isinstance(incoming, Edit | Deletion):
        if await asyncio.to_thread(desk.feedback.find, place(incoming.channel, incoming.ts)):
            return True
        try:
            return await answer_in(desk, incoming.channel, incoming.thread_ts, incoming.ts) is not None
        except UnderWay:
            return True
    if isinstance(incoming, Reaction):
        slack = desk.settings.slack
        return incoming.name in slack.reactions or incoming.name == slack.approval
    return True


def _may_pass(error: Exception) -> bool:
    """Whether trying again later may help."""
    if isinstance(error, SlackApiError):
        return is_transient(error)
    return isinstance(error, _TRANSIENT)


def _cause(error: BaseException) -> str:
    return str(error.response["error"]) if isinstance(error, SlackApiError) else type(error).__name__


def _explain(error: SlackApiError) -> str:
    """What Slack refused, and what to do."""
    what = str(error.response["error"])
    if what in ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "not_allowed_token_type"):
        return f"Slack refuses the token ({what}); set slack.bot_token and slack.app_token to those on the app's page."
    if what == "missing_scope":
        needed = error.response.get("needed")
        return f"The app lacks the scope {needed}; paste 'quantahr slack manifest' again and reinstall the app."
    return f"Slack says {what}; run 'quantahr doctor'."
