"""The web app: the chat page, the HTTP API, and what a supervisor and Prometheus ask for.

Enters: the settings and `start()`, which loads the assistant. Leaves: an ASGI app.
Run: `quantahr serve`; the routes are described in `docs/api.md` and in `/openapi.json`.

The page and `/healthz` answer at once; `/readyz` is 503 until `start()` is through. When `start()` fails, `/readyz`
says why, and `startup_of(app)` keeps the exception for whoever runs the server.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from fastapi.staticfiles import StaticFiles
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Send

from bot.answer import Answer, Question
from bot.follow import RETRY_AFTER_S, Failure, Waiting, explain, follow, keep
from bot.nightly import Nightly
from bot.record import AnswerRecord
from bot.service import Ready, Service, Startup
from bot.store import Store, Vote
from bot.web.access import Guard, may_read, needs_token
from bot.web.metrics import CONTENT_TYPE, Metrics
from bot.web.wire import (
    CHANNEL,
    MAX_BODY_BYTES,
    AskBody,
    ErrorBody,
    FeedbackBody,
    FeedbackReply,
    InfoBody,
    ReadyBody,
    StatusEvent,
    TextEvent,
    explain_invalid,
)
from config.errors import LedgerError, UnknownInteraction
from config.settings import Settings
from config.training import TrainingState
from exporter.registry import Registry
from exporter.standing import Listed, listed

if TYPE_CHECKING:
    from bot.slack.app import SlackBot

__all__ = ["Service", "create_app", "startup_of"]

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
VISITOR_COOKIE = "quantahr_visitor"
VISITOR_COOKIE_S = 365 * 24 * 3600
KEEPALIVE_TICKS = 20  # ticks of half a second without news before a comment keeps proxies from hanging up
EVENT_STREAM = "text/event-stream"
# FastAPI's own would see bodies and exceptions, and environment variables could send them elsewhere.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)


@dataclass(frozen=True)
class Web:
    """What the routes share."""

    settings: Settings
    startup: Startup
    metrics: Metrics
    slack: SlackBot | None = None


def create_app(
    settings: Settings, start: Callable[[Store], Awaitable[Service]], nightly: Nightly | None = None
) -> FastAPI:
    """Build the app; `start` is called once the server runs, and `nightly` is then begun.

    Raises:
        ConfigError: The server is to listen beyond this machine and no token is set.
    """
    needs_token(settings.server)
    startup = Startup(start, settings)
    metrics = Metrics(startup)
    slack = _slack(settings, metrics)
    if slack:
        startup.on_ready = slack.start
        if nightly:
            nightly.tell = slack.tell_hr

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        startup.begin()
        if nightly:
            nightly.start()
        try:
            yield
        finally:
            if nightly:
                await nightly.stop()
            if slack:
                await slack.stop()
            await startup.end()

    app = FastAPI(
        title="QuantaHR",
        lifespan=lifespan,
        docs_url=None,  # Swagger's and ReDoc's pages load scripts from a CDN
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
        telemetry=NO_TELEMETRY,
    )
    app.state.web = Web(settings, startup, metrics, slack)
    app.add_middleware(Guard, server=settings.server)
    app.add_exception_handler(StarletteHTTPException, _say_refused)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _slack(settings: Settings, metrics: Metrics) -> SlackBot | None:
    if not settings.slack.is_on:
        return None
    from bot.slack.app import SlackBot  # Bolt is loaded where it is used

    return SlackBot(settings, metrics)


def startup_of(app: FastAPI) -> Startup:
    """How an app of `create_app` is coming up: its `error`, and `on_failure` to be told of one."""
    return cast(Web, app.state.web).startup


def _web(request: Request) -> Web:
    return cast(Web, request.app.state.web)


def _ready(request: Request) -> Ready:
    startup = _web(request).startup
    if startup.ready is None:
        raise HTTPException(503, startup.problem, {"Retry-After": str(RETRY_AFTER_S)})
    return startup.ready


routes = APIRouter()
WebOf = Annotated[Web, Depends(_web)]
ReadyOf = Annotated[Ready, Depends(_ready)]


@routes.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The chat page."""
    return FileResponse(STATIC / "index.html")


@routes.get("/healthz")
def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@routes.get("/readyz", responses={503: {"model": ReadyBody}})
def readyz(web: WebOf, response: Response) -> ReadyBody:
    """Questions can be answered."""
    ready = web.startup.ready
    if ready is None:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return ReadyBody(ready=False, has_failed=web.startup.error is not None, reason=web.startup.problem)
    known = ready.service.known()
    slack = (web.slack.problem or "connected") if web.slack else ""
    return ReadyBody(
        ready=True, model=ready.service.model(), documents=known.documents, chunks=known.chunks, slack=slack
    )


@routes.post("/slack/events", include_in_schema=False)
async def slack_events(request: Request, web: WebOf) -> Response:
    """Slack's signed events, where `slack.mode` is "http"."""
    if web.slack is None or web.settings.slack.mode != "http":
        raise HTTPException(404)
    return await web.slack.handle(request)


@routes.get("/metrics", include_in_schema=False)
def metrics(web: WebOf) -> Response:
    """Counts and times for Prometheus."""
    return Response(web.metrics.render(), media_type=CONTENT_TYPE)


@routes.get("/api/info")
def info(web: WebOf) -> InfoBody:
    """What the chat page shows before the first question."""
    ready = web.startup.ready
    return InfoBody.of(
        web.settings,
        countries=ready.service.known().countries if ready else (),
        needs_token=needs_token(web.settings.server),
        ready=ready is not None,
    )


@routes.get("/api/training")
def training(web: WebOf) -> TrainingState:
    """How far learning is: collecting, running, or what came of the last run."""
    return TrainingState.read(web.settings.data_dir)


@routes.get("/api/models")
def models(web: WebOf) -> list[Listed]:
    """The models and their states, what ships first."""
    return listed(Registry(web.settings.data_dir))


@routes.post(
    "/api/ask",
    response_model=AnswerRecord,
    responses={
        200: {"content": {EVENT_STREAM: {}}, "description": "The answer, or events that end with it."},
        503: {"model": ErrorBody},
    },
)
async def ask(request: Request, body: AskBody, web: WebOf, ready: ReadyOf) -> Response:
    """Answer a question: as server-sent events when the caller accepts them, else as JSON."""
    audience = may_read(request, body.audience, web.settings.server)
    if audience is None:
        raise HTTPException(403, "That audience needs the trusted token; leave 'audience' out, or send that token.")
    visitor = _visitor(request)
    question = replace(body.to_question(audience), person=_person(visitor))
    if EVENT_STREAM in request.headers.get("accept", ""):
        response: Response = _Events(_events(web, ready, question, visitor), headers={"X-Accel-Buffering": "no"})
    else:
        response = await _complete(request, web, ready, question, visitor)
    _remember(request, response, visitor)
    return response


@routes.post("/api/feedback", responses={404: {"model": ErrorBody}})
async def feedback(
    request: Request, response: Response, body: FeedbackBody, web: WebOf, ready: ReadyOf
) -> FeedbackReply:
    """Vote on an answer; 0 takes the vote back, and the last vote of a visitor counts."""
    visitor = _visitor(request)
    vote = Vote(
        interaction_id=body.interaction_id,
        person=_person(visitor),
        rating=body.rating,
        reason=body.reason,
        correct_points=body.correct_points,
        incorrect_points=body.incorrect_points,
        ideal_response=body.ideal_response,
    )
    try:
        await asyncio.to_thread(ready.service.feedback.vote, vote)
    except UnknownInteraction as error:
        raise HTTPException(404, str(error)) from error
    except LedgerError as error:
        failure = explain(error, web.settings.company)
        raise HTTPException(
            500, f"Your vote could not be kept; the incident number is {failure.incident_id}."
        ) from error
    web.metrics.voted(body.rating, CHANNEL)
    _remember(request, response, visitor)
    return FeedbackReply(interaction_id=body.interaction_id, rating=body.rating)


class _Events(EventSourceResponse):
    """Server-sent events that close their source however the connection ends."""

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast("AsyncGenerator[bytes, None]", self.body_iterator)):
            await super().stream_response(send)


async def _events(web: Web, ready: Ready, question: Question, visitor: str) -> AsyncGenerator[bytes, None]:
    shown: int | None = None
    quiet_ticks = 0
    is_answered = False
    try:
        async with aclosing(follow(ready.service, question)) as items:
            async for item in items:
                quiet_ticks = quiet_ticks + 1 if isinstance(item, Waiting) else 0
                if isinstance(item, Answer):
                    await _keep(web, ready, question, item, visitor)
                    is_answered = True
                    yield _event("answer", AnswerRecord.of(item))
                elif isinstance(item, str):
                    yield _event("text", TextEvent(delta=item))
                elif item.position != shown:
                    shown = item.position
                    yield _event("status", StatusEvent(state="queued" if shown else "reading", position=shown))
                elif quiet_ticks % KEEPALIVE_TICKS == 0:
                    yield KEEPALIVE_COMMENT
    except (asyncio.CancelledError, GeneratorExit):
        if not is_answered:
            web.metrics.failed("cancelled", CHANNEL)
        raise
    except Exception as error:  # the edge of a request: whatever it is, the employee gets a sentence
        failure = _fail(web, error)
        yield _event("error", ErrorBody(message=failure.message, incident_id=failure.incident_id))


async def _complete(request: Request, web: Web, ready: Ready, question: Question, visitor: str) -> Response:
    try:
        async with aclosing(follow(ready.service, question)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    await _keep(web, ready, question, item, visitor)
                    return JSONResponse(AnswerRecord.of(item).model_dump())
                if await request.is_disconnected():
                    break
    except Exception as error:  # the edge of a request: whatever it is, the employee gets a sentence
        failure = _fail(web, error)
        content = ErrorBody(message=failure.message, incident_id=failure.incident_id).model_dump()
        headers = {"Retry-After": str(failure.retry_after_s)} if failure.retry_after_s else None
        return JSONResponse(content, failure.status, headers)
    web.metrics.failed("cancelled", CHANNEL)
    return Response(status_code=499)  # nobody is there to read it


async def _keep(web: Web, ready: Ready, question: Question, answer: Answer, visitor: str) -> None:
    """Count and record an answer."""
    web.metrics.answered(answer, question.channel)
    await keep(ready, question, answer, _person(visitor))


def _fail(web: Web, error: Exception) -> Failure:
    failure = explain(error, web.settings.company)
    web.metrics.failed(failure.kind, CHANNEL)
    return failure


def _event(name: str, data: BaseModel) -> bytes:
    return format_sse_event(event=name, data_str=data.model_dump_json())


def _visitor(request: Request) -> str:
    """The random name in the visitor's cookie, or a new one."""
    known = request.cookies.get(VISITOR_COOKIE, "")
    return known if re.fullmatch(r"[\w-]{22}", known) else secrets.token_urlsafe(16)


def _person(visitor: str) -> str:
    return f"{CHANNEL}:{visitor}"


def _remember(request: Request, response: Response, visitor: str) -> None:
    response.set_cookie(
        VISITOR_COOKIE,
        visitor,
        max_age=VISITOR_COOKIE_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


async def _say_refused(_: Request, error: Exception) -> Response:
    refused = cast(StarletteHTTPException, error)
    message = refused.detail
    if refused.status_code == 404 and message == "Not Found":
        message = "There is nothing at this address; docs/api.md lists what there is."
    return JSONResponse(ErrorBody(message=message).model_dump(), refused.status_code, refused.headers)


async def _say_invalid(_: Request, error: Exception) -> Response:
    message = explain_invalid(cast(RequestValidationError, error))
    return JSONResponse(ErrorBody(message=message).model_dump(), 422)
