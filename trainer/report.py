"""A dataset in words: what is in it, what is not and why, and samples to read before it is trained on.

Enters: a dataset's manifest and rows. Leaves: `report.md`. No date and no chance: the same dataset has the same report.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_SAMPLES = 5
_LONGEST = 600


def write_report(folder: Path, manifest: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Write the report beside the rows."""
    (folder / "report.md").write_text("\n".join(_lines(manifest, files)) + "\n", encoding="utf-8")


def _lines(manifest: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    feedback = manifest["feedback"]
    yield "# Dataset"
    yield ""
    yield (
        f"{feedback['answers']} answers with feedback of {feedback['people']} people; {manifest['groups']} groups of "
        "questions that mean the same, each of which is trained on or measured on as a whole."
    )
    for title, name in (("Rows", "rows"), ("From", "counts"), ("Left out", "dropped"), ("Replaced", "personal_data")):
        yield from _table(title, manifest[name])
    for name, text in files.items():
        yield from ("", f"## {name}")
        for record in _chosen([json.loads(line) for line in text.split("\n") if line.strip()]):
            yield from ("", f"**{record['from']}** ({record['source']})", "", "```", _shown(record), "```")


def _chosen(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A few of each kind, by their ids."""
    found: list[dict[str, Any]] = []
    for kind in sorted({record["from"] for record in records}):
        own = sorted((record for record in records if record["from"] == kind), key=lambda record: str(record["id"]))
        found += own[:_SAMPLES]
    return found


def _shown(record: Mapping[str, Any]) -> str:
    if "prompt" in record:
        mark = {True: " (good)", False: " (bad)", None: ""}[record.get("label")]
        text = f"{record['prompt'][-1]['content']}\n→{mark} {record['completion'][0]['content']}"
    elif "stored" in record:
        text = f"{record['question']}\n{'=' if record['same'] else '≠'} {record['stored']}\n→ {record['answer']}"
    else:
        right = [passage["quote"] or passage["text"] for passage in record["positives"]]
        text = f"{record['question']}\n→ " + ("\n→ ".join(right) or "nothing here answers")
        text += "".join(f"\n✗ {passage['heading']}" for passage in record["negatives"])
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return shown.replace("```", "'''")


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts:
        yield from ("", f"## {title}", "", "| | |", "| --- | ---: |")
        yield from (f"| {name} | {count:,} |" for name, count in counts.items())
