"""Run every benchmark, one after the other: `python -m bench`, or `make bench`."""

from __future__ import annotations

import os
import subprocess
import sys

NAMES = ("embedding", "retrieval", "ingest", "generation", "answers")


def main() -> None:
    """Each in a process of its own, so that none disturbs the next; grounding and handbooks need their data."""
    names = [*NAMES, "grounding"] if os.environ.get("QUANTAHR_EVAL_DATA") else NAMES
    for name in names:
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)


if __name__ == "__main__":
    main()
