"""A run's journal: what happened, one JSON object a line, and what it says to a person.

Enters: events with a few numbers. Leaves: a file that is appended to and never rewritten; a line that was cut off by a
kill is passed over. `quantahr train --json` prints the same lines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


class Journal:
    """One file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, event: str, **more: object) -> None:
        """Append one event; it is on disk when this returns."""
        line = json.dumps({"event": event, "at": round(time.time(), 3), **more}, ensure_ascii=False)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    def events(self) -> Iterator[Event]:
        """All events, oldest first."""
        if not self.file.is_file():
            return
        for line in self.file.read_text(encoding="utf-8").split("\n"):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event

    def steps(self) -> list[Event]:
        """The steps, each once: of one that was done again after a kill the last counts."""
        last = {event["step"]: event for event in self.events() if event["event"] == "step"}
        return [last[step] for step in sorted(last)]
