"""Models that tests share: each is loaded once in a run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.engine import LlamaEngine, open_engine
from config.settings import IndexSettings, ModelSettings
from knowledge.embed import Embedder, open_embedder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine() -> AsyncIterator[LlamaEngine]:
    """The embedded model. One thread: two that wait for each other crawl when the machine does something else."""
    engine = open_engine(ModelSettings(threads=1))
    yield engine
    await engine.close()


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The embedder with the adapter that ships, as the product uses it."""
    return open_embedder(adapter=IndexSettings().adapter)
