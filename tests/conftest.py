"""Models that tests share: each is loaded once in a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bot.engine import LlamaEngine, open_engine
from config.settings import IndexSettings, LedgerSettings, ModelSettings
from knowledge.embed import Embedder, open_embedder
from tests import postgres


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server; what needs one skips where it is not installed."""
    programs = postgres.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Iterator[LedgerSettings]:
    """Where a test's ledger is: a file in its folder, and then a database on a server."""
    if request.param == "sqlite":
        yield LedgerSettings()
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield LedgerSettings.model_validate({"url": url})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A ledger that was tested on SQLite alone is not a thing to overlook."""
    if postgres.programs() is None:
        terminalreporter.section("PostgreSQL is not installed: the ledger was tested on SQLite alone", red=True)
