"""Make the starter generator's dataset: short answers to questions, worded from the evidence that the reader chooses.

Enters: question rows with an `answer` over folders of policies (`trainer/rows.py`), and the trained parts. Leaves: a
dataset of prompts as serving renders them, with the hand-written answers: `sft.train.jsonl` over the employers that the
other parts learn from as well, `sft.validation.jsonl` over those held out, and `manifest.json`.
Run: `python -m trainer.wording --data samples/training --out var/datasets/starter`.

A row is kept when the check that serving makes lets its answer through: the model is shown no answer that would be
refused, nor one whose evidence the reader missed. It learns to word, not to decline; declining is the reader's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bot.prompt import PROMPT_VERSION
from bot.terminal import progress
from config.settings import ReadingSettings, RetrievalSettings, Settings
from exporter.manifest import publishing
from knowledge.embed import Embedder, open_embedder
from knowledge.read import Evidence, Reader, open_reader, read
from knowledge.retrieve import Asker, retrieve
from trainer.records import run
from trainer.rows import OURS, answered_rows, employer_snapshot, held_out, is_gold, policy
from trainer.samples import is_supported, messages_of, said

_LONGEST = 40  # words; longer answers are no model for short ones


@dataclass(frozen=True)
class Asked:
    """A question in one wording, with its answer as somebody wrote it by hand."""

    id: str
    employer: str
    question: str
    quotes: tuple[str, ...]
    answer: str


def asked(data: Path) -> list[Asked]:
    """All answerable rows over our own policies, both wordings."""
    found = []
    for record, employer, quotes in answered_rows(data):
        if quotes and employer.startswith(OURS) and record.get("answer") and "turns" not in record:
            for name in ("question", "also"):
                row_id = f"{record.get('id', '')}:{name}"
                found.append(Asked(row_id, employer, record[name], quotes, str(record["answer"])))
    return found


def rendered(rows: Sequence[Asked], data: Path, embedder: Embedder, reader: Reader) -> Iterator[dict[str, Any]]:
    """Each row as a record: a prompt with its completion, or without one and with the reason why it is dropped."""
    by_employer: dict[str, list[Asked]] = defaultdict(list)
    for row in rows:
        by_employer[row.employer].append(row)
    with progress("Reading policies") as on_step:
        for n, (employer, own) in enumerate(sorted(by_employer.items()), start=1):
            on_step(employer, n, len(by_employer))
            snapshot = employer_snapshot(policy(data, employer), embedder)
            for row, vector in zip(own, embedder.embed([one.question for one in own]), strict=True):
                pool = retrieve(snapshot, row.question, vector, Asker(), RetrievalSettings(), date.min)
                passages = reader.first_look.nearest(pool, vector, RetrievalSettings().top_k)
                reading = read(row.question, vector, passages, snapshot.lexical, reader, ReadingSettings())
                yield _record(row, reading.evidence)


def _record(row: Asked, evidence: Sequence[Evidence]) -> dict[str, Any]:
    record: dict[str, Any] = {"id": row.id, "group": row.id.partition(":")[0], "employer": row.employer}
    if len(row.answer.split()) > _LONGEST:
        return record | {"dropped": "the answer is long"}
    if not any(is_gold(one, row.quotes) for one in evidence):
        return record | {"dropped": "the reader chose other evidence"}
    if not is_supported(row.answer, evidence, row.question):
        return record | {"dropped": "the answer says more than the evidence"}
    return record | {"prompt": messages_of(row.question, evidence), "completion": said(row.answer)}


def main() -> None:
    """Make the dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("samples/training"), help="rows and the policies they name")
    parser.add_argument("--out", type=Path, default=Path("var/datasets/starter"))
    parser.add_argument("--parts", type=Path, default=Settings().parts_dir, help="folder of the trained parts")
    arguments = parser.parse_args()
    embedder = open_embedder(adapter=arguments.parts / "retriever")
    rows = asked(arguments.data)
    left_out = held_out(row.employer for row in rows)
    records = list(rendered(rows, arguments.data, embedder, open_reader(embedder, arguments.parts / "reader")))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with publishing(arguments.out) as folder:
        hashes, counts = {}, {}
        for part in ("train", "validation"):
            is_held = part == "validation"
            own = [one for one in records if "prompt" in one and (one["employer"] in left_out) is is_held]
            own.sort(key=lambda one: hashlib.sha256(str(one["id"]).encode()).digest())
            text = "".join(json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in own)
            (folder / f"sft.{part}.jsonl").write_text(text, encoding="utf-8")
            hashes[f"sft.{part}.jsonl"], counts[part] = hashlib.sha256(text.encode()).hexdigest(), len(own)
        dropped = Counter(one["dropped"] for one in records if "dropped" in one)
        manifest = {
            "rows": counts,
            "dropped": dict(sorted(dropped.items())),
            "sha256": hashes,
            "prompt_version": PROMPT_VERSION,
            "embedder": embedder.version,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(manifest, indent=1))


if __name__ == "__main__":
    run(main)
