"""Learn from files that a specification names: documents of any kind, Alpaca lists, hand-written rows.

Enters: globs. Leaves: samples, and what is not learned from. Of Alpaca files only the generator learns, as replay: they
keep what it knew, and teach nothing new.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import numpy as np

from config.errors import ConfigError, DocumentError
from config.settings import Settings
from knowledge.embed import Embedder
from knowledge.index import Snapshot, make_snapshot
from knowledge.load import find_documents
from knowledge.prepare import prepare
from trainer.document_samples import document_samples
from trainer.records import read_records
from trainer.samples import Dropped, Sample, said
from trainer.spec import DatasetSpec, TrainingSpec

_LONGEST = 1_200  # characters of an answer that is replayed; longer ones crowd out everything else


def file_samples(source: DatasetSpec, spec: TrainingSpec, embedder: Embedder) -> list[Sample | Dropped]:
    """What the files of one source teach.

    Raises:
        ConfigError: A glob finds nothing, or a file is not as its type says.
    """
    files = _files(source)
    if source.type == "alpaca":
        return [found for file in files for found in _alpaca(file)]
    if source.type == "rows":
        return [found for file in files for found in _rows(file)]
    settings = Settings()
    return [*document_samples(folder_snapshot(files, settings, embedder), embedder, spec.retrieval.distractors)]


def folder_snapshot(paths: Sequence[Path], settings: Settings, embedder: Embedder) -> Snapshot:
    """Documents as an index that exists in memory alone. What cannot be read is passed over, as ingestion does."""
    ready = []
    for path in paths:
        root = path if path.is_dir() else path.parent
        for file in find_documents(path) if path.is_dir() else [path]:
            try:
                ready.append(prepare(file, root, settings.documents, settings.index, embedder))
            except DocumentError:
                continue
    if not ready:
        return make_snapshot([], np.zeros((0, 0), dtype=np.float32))
    chunks = [chunk for document in ready for chunk in document.chunks]
    return make_snapshot(chunks, np.concatenate([document.vectors for document in ready]))


def _files(source: DatasetSpec) -> list[Path]:
    found = []
    for pattern in source.input_files:
        files = sorted(Path(name) for name in glob(pattern, recursive=True))  # noqa: PTH207 - it may be absolute
        if not files:
            raise ConfigError(f"No file is called {pattern}, as datasets says; correct it, or take it out.")
        found += files
    return found


def _alpaca(file: Path) -> list[Sample | Dropped]:
    try:
        text = file.read_text(encoding="utf-8")
        records = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.split("\n") if line.strip()]
        )
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"{file} is no Alpaca file ({error}); it needs a list of instructions and outputs."
        ) from error
    found: list[Sample | Dropped] = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict) or not {"instruction", "output"} <= record.keys():
            raise ConfigError(f'{file}, record {number} has no "instruction" and "output"; mend or remove it.')
        answer = str(record["output"]).strip()
        if not answer or len(answer) > _LONGEST:
            found.append(Dropped("alpaca", "replay", "the answer is empty or long"))
            continue
        question = "\n\n".join(
            filter(None, (str(record["instruction"]).strip(), str(record.get("input") or "").strip()))
        )
        row = {"prompt": [{"role": "user", "content": question}], "completion": said(answer)}
        found.append(Sample("sft", "alpaca", "replay", question, row))
    return found


def _rows(file: Path) -> list[Sample | Dropped]:
    """Rows that are as a dataset has them, such as those of `python -m trainer.wording`."""
    found: list[Sample | Dropped] = []
    for place, record in read_records(file):
        if "prompt" not in record or "completion" not in record:
            raise ConfigError(f'{place} has no "prompt" and "completion"; mend or remove it.')
        row = {"prompt": record["prompt"], "completion": record["completion"]}
        question = str(record["prompt"][-1]["content"]).rpartition("Question: ")[2]
        found.append(Sample("sft", "rows", "written", question, row))
    return found
