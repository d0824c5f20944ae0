"""`quantahr serve`: the web chat and the API, over documents that are kept fresh.

At the start the documents are read, then the model is loaded; the page is there at once and says so. Afterwards the
folder is looked at every `documents.rescan_s` seconds, and what has changed is taken up while questions are answered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import click
import uvicorn

from bot.answer import Assistant
from bot.assistant import Parts, assemble
from bot.canary import watch
from bot.erase import forget_old
from bot.feedback import Feedback
from bot.history import fit_to_use
from bot.ingest import ingest_visibly, keep_configured, summary
from bot.lineup import Lineup
from bot.nightly import Nightly
from bot.service import Known, Service
from bot.store import Store
from bot.web.api import create_app, startup_of
from config.errors import ConfigError, QuantaHRError
from config.settings import Settings, load_settings
from exporter.gguf import embedded_gguf, version_of
from exporter.registry import Registry
from knowledge.embed import open_embedder
from knowledge.first_look import REMEMBERED_PASSAGES
from knowledge.index import Index, Snapshot, open_index
from knowledge.ingest import ingest

_log = logging.getLogger(__name__)
# Answers under way may take this long to end when the server is stopped.
_FAREWELL_S = 10
_A_DAY_S = 24 * 3600


@click.command("serve")
@click.option("--host", help="Address to listen on (settings: server.host).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (settings: server.port).")
@click.pass_obj
def command(config: Path | None, host: str | None, port: int | None) -> None:
    """Start the web chat and the API, and keep the index in step with the documents' folder."""
    settings = load_settings(config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=given)})
    if not settings.documents.folder.is_dir():
        raise ConfigError(
            f"There is no folder {settings.documents.folder}; name yours as documents.folder in config/quantahr.toml."
        )
    run(settings, config)


async def start(settings: Settings, store: Store) -> Service:
    """Open everything, read the documents, and begin to watch them."""
    stack = AsyncExitStack()
    try:
        embedder = await asyncio.to_thread(open_embedder, adapter=settings.index.adapter)
        index = await asyncio.to_thread(open_index, settings.index, settings.data_dir, embedder)
        stack.callback(index.close)
        feedback = Feedback(store, lambda: index.snapshot, embedder)

        def make(own: Settings, parts: Parts) -> Assistant:
            return assemble(own, embedder, parts, lambda: index.snapshot, feedback.verified)

        registry = Registry(settings.data_dir)
        lineup = Lineup(settings, registry, embedder, make)
        await lineup.start()
        stack.push_async_callback(lineup.close)
        await asyncio.to_thread(keep_configured, index, settings)
        report = await asyncio.to_thread(ingest_visibly, settings.documents.folder, index, settings)
        click.echo(f"{settings.documents.folder}: {summary(report)}", err=True)
        for skipped in report.skipped:
            click.echo(f"  skipped {skipped.file}: {skipped.reason}", err=True)
        stack.push_async_callback(_stop, asyncio.create_task(_watch(index, lineup, settings)))
        stack.push_async_callback(_stop, asyncio.create_task(lineup.follow()))
        shipped = version_of(settings.model.gguf or embedded_gguf())
        stack.push_async_callback(_stop, asyncio.create_task(watch(store, registry, shipped)))
        stack.push_async_callback(_stop, asyncio.create_task(_forget(store, settings.ledger.keep_days)))
        await asyncio.to_thread(lambda: index.snapshot)
        await asyncio.to_thread(feedback.verified)
    except BaseException:
        await stack.aclose()
        raise
    return Service(
        ask=lineup.ask,
        feedback=feedback,
        fit_to_keep=lambda history: fit_to_use(history, lineup.assistant.classifier),
        model=lambda: lineup.assistant.model,
        known=lambda: _known(index.snapshot),
        snapshot=lambda: index.snapshot,
        waiting=lambda: lineup.waiting,
        close=stack.aclose,
    )


def _known(snapshot: Snapshot) -> Known:
    countries = frozenset[str]().union(*snapshot.countries)
    return Known(snapshot.documents, len(snapshot.chunks), tuple(sorted(countries)))


async def _watch(index: Index, lineup: Lineup, settings: Settings) -> None:
    """Take up changed documents from time to time, until cancelled. A failure is logged and tried again."""
    documents = settings.documents
    await _remember(index, lineup)
    while documents.rescan_s:
        await asyncio.sleep(documents.rescan_s)
        try:
            report = await asyncio.to_thread(ingest, documents.folder, index, documents, settings.index)
        except Exception:  # the watch must outlive whatever the disk or Chroma's server does
            _log.exception("looking for changed documents failed; it is tried again in %.0f s", documents.rescan_s)
            continue
        if report.has_changed:
            _log.warning("documents changed: %s", summary(report))
            await _remember(index, lineup)


async def _forget(store: Store, keep_days: int) -> None:
    """Erase what has been kept for long enough, now and every day, until cancelled."""
    while keep_days:
        try:
            if count := await asyncio.to_thread(forget_old, store, keep_days):
                _log.warning("%d answers were kept for %d days and are erased", count, keep_days)
        except QuantaHRError:
            _log.exception("erasing old answers failed; it is tried again tomorrow")
        await asyncio.sleep(_A_DAY_S)


async def _remember(index: Index, lineup: Lineup) -> None:
    """Have the passages at hand before somebody asks about them, one by one, so that questions come in between."""
    snapshot = await asyncio.to_thread(lambda: index.snapshot)
    for chunk in snapshot.chunks[:REMEMBERED_PASSAGES]:
        await asyncio.to_thread(lineup.assistant.reader.first_look.remember, chunk.heading, chunk.text)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def run(settings: Settings, config: Path | None = None) -> None:
    """Serve until interrupted.

    Raises:
        QuantaHRError: The assistant could not come up, or the address cannot be listened on.
    """
    app = create_app(settings, partial(start, settings), Nightly(settings.training, config, settings.data_dir))
    listening = _listen(settings.server.host, settings.server.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_FAREWELL_S))
    startup = startup_of(app)
    startup.on_failure = lambda: setattr(server, "should_exit", True)
    host, port = listening.getsockname()[:2]
    click.echo(f"QuantaHR is at http://{f'[{host}]' if ':' in host else host}:{port}  (stop it with Ctrl+C)", err=True)
    with listening:
        server.run([listening])
    if startup.error:
        raise startup.error


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --port, or stop what uses it."
        ) from error
