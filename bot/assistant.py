"""Bring up the parts that answering needs, and take them down again.

Enters: the settings. Leaves: an `Assistant` with the index it answers from. Opening takes a second or two: the encoder,
the trained parts in `parts_dir`, the index and the model are loaded, nothing is ingested.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.answer import Assistant
from bot.engine import Message, open_engine
from bot.followup import open_judge
from bot.prompt import SYSTEM
from bot.triage.classify import Classifier, open_classifier
from config.errors import ModelError
from config.settings import Settings
from knowledge.embed import Embedder, open_embedder
from knowledge.index import Index, open_index
from knowledge.matcher import Matcher, open_matcher
from knowledge.read import open_reader

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """An assistant, and the index that ingestion may change under it."""

    assistant: Assistant
    index: Index


@asynccontextmanager
async def open_assistant(settings: Settings) -> AsyncGenerator[Opened, None]:
    """Load encoder, trained parts, index and model; free them in reverse.

    Raises:
        KnowledgeIndexError: Another process owns the index.
        ModelError: A model cannot be loaded.
    """
    embedder = open_embedder(adapter=settings.index.adapter)
    parts = settings.parts_dir
    reader, judge = open_reader(embedder, parts / "reader"), open_judge(parts / "followup")
    index = open_index(settings.index, settings.data_dir, embedder)
    try:
        engine = open_engine(settings.model)
        try:
            await engine.prime([Message("system", SYSTEM)])
            assistant = Assistant(
                settings,
                embedder,
                reader,
                judge,
                engine,
                lambda: index.snapshot,
                matcher=_open_installed_matcher(parts / "matcher"),
                classifier=_open_fitting_classifier(embedder, parts / "triage"),
            )
            yield Opened(assistant, index)
        finally:
            await engine.close()
    finally:
        index.close()


def _open_installed_matcher(folder: Path) -> Matcher | None:
    """The matcher; None where it is not installed: then verified answers are given to their very words only."""
    if folder.is_dir():
        return open_matcher(folder)
    _log.warning("there is no matcher in %s, so rewordings of verified questions are not recognised", folder)
    return None


def _open_fitting_classifier(embedder: Embedder, folder: Path) -> Classifier | None:
    """Triage's classifier; None where it was fitted on another embedder than this: then triage is by rules alone."""
    try:
        return open_classifier(embedder, folder)
    except ModelError as error:
        _log.warning("triage goes by rules alone: %s", error)
        return None
