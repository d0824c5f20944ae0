"""Print the handling of each line of standard input: `python -m bot.triage < messages.txt`."""

import sys

from bot.triage import triage_all
from bot.triage.classify import Classifier, open_classifier
from config.errors import ModelError
from config.settings import load_settings
from knowledge.embed import open_embedder


def main() -> None:
    classifier = _classifier()
    for line in sys.stdin:
        decision = triage_all([line.rstrip("\n")], classifier)[0]
        print(f"{decision.handling:<22}{decision.category}", flush=True)


def _classifier() -> Classifier | None:
    try:
        settings = load_settings()
        return open_classifier(open_embedder(adapter=settings.index.adapter), settings.parts_dir / "triage")
    except ModelError as error:
        print(f"By rules alone: {error}", file=sys.stderr)
        return None


main()
