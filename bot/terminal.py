"""What the terminal shows besides results: progress, and the log. All of it goes to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OnStep = Callable[[str, int, int], None]


def start_logging(*, verbose: bool) -> None:
    """Configure logging, once per process: warnings, or with `verbose` whatever our own rooms say."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=_FORMAT)
    for room in ("bot", "knowledge", "trainer", "exporter", "config"):
        logging.getLogger(room).setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG when it is imported


@contextmanager
def progress(what: str) -> Iterator[OnStep]:
    """Show a bar while something long runs; on anything but a terminal nothing is shown.

    Yields a function to call before each step, with the step's name, its number from 1 and how many there are.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[step]}"),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=None, step="")

        def on_step(step: str, number: int, total: int) -> None:
            bar.update(task, total=total, completed=number - 1, step=step)

        yield on_step
