"""Bring up the parts that answering needs, and take them down again.

Enters: the settings. Leaves: an `Assistant` with the index it answers from. Opening takes a second or two: the encoder,
the index and the model are loaded, nothing is ingested.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.answer import Assistant
from bot.engine import Message, open_engine
from bot.prompt import SYSTEM
from config.settings import Settings
from knowledge.embed import open_embedder
from knowledge.index import Index, open_index
from knowledge.read import open_reader


@dataclass(frozen=True)
class Opened:
    """An assistant, and the index that ingestion may change under it."""

    assistant: Assistant
    index: Index


@asynccontextmanager
async def open_assistant(settings: Settings) -> AsyncGenerator[Opened, None]:
    """Load encoder, index, reader and model; free them in reverse.

    Raises:
        KnowledgeIndexError: Another process owns the index.
        ModelError: A model cannot be loaded.
    """
    embedder = open_embedder(adapter=settings.index.adapter)
    reader = open_reader(embedder)
    index = open_index(settings.index, settings.data_dir, embedder)
    try:
        engine = open_engine(settings.model)
        try:
            await engine.prime([Message("system", SYSTEM)])
            yield Opened(Assistant(settings, embedder, reader, engine, lambda: index.snapshot), index)
        finally:
            await engine.close()
    finally:
        index.close()
