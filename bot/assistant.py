"""Bring up the parts that answering needs, and take them down again.

Enters: the settings. Leaves: an `Assistant` with the index it answers from. Opening takes a second or two: the encoder,
the trained parts in `parts_dir`, the index and the model are loaded, nothing is ingested.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.answer import Assistant
from bot.engine import LlamaEngine, Message, open_engine
from bot.followup import Judge, open_judge
from bot.prompt import SYSTEM
from bot.triage.classify import Classifier, open_classifier
from config.errors import ModelError
from config.settings import Settings
from exporter.manifest import read_manifest, rebuilds
from knowledge.embed import Embedder, open_embedder
from knowledge.index import Index, Snapshot, open_index
from knowledge.matcher import Matcher, open_matcher
from knowledge.read import Reader, open_reader
from knowledge.verified import NONE_VERIFIED, VerifiedIndex

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """An assistant, and the index that ingestion may change under it."""

    assistant: Assistant
    index: Index


@dataclass(frozen=True)
class Parts:
    """What a model is made of, beside the embedder, with which the index was made."""

    reader: Reader
    judge: Judge
    matcher: Matcher | None
    classifier: Classifier | None
    engine: LlamaEngine

    async def close(self) -> None:
        """Free the generator; the encoders are freed with their last use."""
        await self.engine.close()


async def load_parts(settings: Settings, embedder: Embedder) -> Parts:
    """Load what the settings name, off the event loop.

    Raises:
        ModelError: One of them cannot be loaded.
    """
    parts = settings.parts_dir
    reader = await asyncio.to_thread(open_reader, embedder, parts / "reader")
    judge = await asyncio.to_thread(open_judge, parts / "followup")
    matcher = await asyncio.to_thread(_open_fitting_matcher, embedder, parts / "matcher")
    classifier = await asyncio.to_thread(_open_fitting_classifier, embedder, parts / "triage")
    engine = await asyncio.to_thread(open_engine, settings.model)
    try:
        if settings.answering.wording != "quote":
            await engine.prime([Message("system", SYSTEM)])
    except BaseException:
        await engine.close()
        raise
    return Parts(reader, judge, matcher, classifier, engine)


def assemble(
    settings: Settings,
    embedder: Embedder,
    parts: Parts,
    snapshot: Callable[[], Snapshot],
    verified: Callable[[], VerifiedIndex] = lambda: NONE_VERIFIED,
) -> Assistant:
    """An assistant of loaded parts."""
    return Assistant(
        settings,
        embedder,
        parts.reader,
        parts.judge,
        parts.engine,
        snapshot,
        verified,
        matcher=parts.matcher,
        classifier=parts.classifier,
    )


@asynccontextmanager
async def open_assistant(settings: Settings) -> AsyncGenerator[Opened, None]:
    """Load encoder, trained parts, index and model, off the event loop; free them in reverse.

    Raises:
        KnowledgeIndexError: Another process owns the index.
        ModelError: A model cannot be loaded.
    """
    embedder = await asyncio.to_thread(open_embedder, adapter=settings.index.adapter)
    index = await asyncio.to_thread(open_index, settings.index, settings.data_dir, embedder)
    try:
        parts = await load_parts(settings, embedder)
        try:
            yield Opened(assemble(settings, embedder, parts, lambda: index.snapshot), index)
        finally:
            await parts.close()
    finally:
        index.close()


def _open_fitting_matcher(embedder: Embedder, folder: Path) -> Matcher | None:
    """The matcher; None where it is not installed or was not made over this embedder, whose cosines it weighs.

    Without it verified answers are given to their very words only.
    """
    lost = "so rewordings of verified questions are not recognised"
    if not folder.is_dir():
        _log.warning("there is no matcher in %s, %s; make it with '%s'", folder, lost, rebuilds(folder))
        return None
    try:
        is_fitting = read_manifest(folder).fits(embedder.version)
    except ModelError as error:
        _log.warning("which embedder the matcher was made over is not known, %s: %s", lost, error)
        return None
    if not is_fitting:
        _log.warning(
            "the matcher in %s was made over another embedder than the one in use (%s), %s; set index.adapter back, or "
            "make the matcher anew with '%s'",
            *(folder, embedder.version, lost, rebuilds(folder)),
        )
        return None
    return open_matcher(folder)


def _open_fitting_classifier(embedder: Embedder, folder: Path) -> Classifier | None:
    """Triage's classifier; None where it was fitted on another embedder than this: then triage is by rules alone."""
    try:
        return open_classifier(embedder, folder)
    except ModelError as error:
        _log.warning("triage goes by rules alone: %s", error)
        return None
