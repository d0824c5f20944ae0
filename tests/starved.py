"""A training that runs out of memory while more than one row goes through at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trainer.runs import OUT_OF_MEMORY, open_run
from trainer.sft import train

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    run = open_run(parser.parse_args().run)
    if run.plan.batch > 1:
        run.journal.add("out_of_memory", message="no memory for more than one row")
        sys.exit(OUT_OF_MEMORY)
    train(run)
