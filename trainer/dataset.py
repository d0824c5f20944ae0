"""`quantahr dataset build`: from votes, corrections, documents and files to rows that can be trained on.

Enters: the ledger, the index, and the files that a specification names. Leaves: `<data_dir>/datasets/<id>/` with rows
for each learner (`sft.train.jsonl`, `sft.validation.jsonl`, …), `manifest.json` and `report.md`. The id is the hash of
the rows: the same inputs and seed give the same files, byte for byte.

In this order: personal data is taken out; copies are dropped, by meaning; one person's share is capped; what is left is
split by groups of questions that mean the same, so that no paraphrase of what is trained on is measured on. Whatever is
not learned from is counted with its reason.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from bot.prompt import PROMPT_VERSION
from bot.store import open_store
from config.settings import Settings, load_settings
from exporter.manifest import publishing
from knowledge.embed import Embedder, open_embedder
from knowledge.index import Snapshot, open_index
from trainer.document_samples import document_samples
from trainer.file_samples import file_samples, folder_snapshot
from trainer.ledger_samples import ledger_samples
from trainer.personal import without_personal_data
from trainer.report import write_report
from trainer.samples import LEARNERS, REPLAY, Dropped, Sample
from trainer.spec import DatasetSpec, TrainingSpec, load_spec

# Two questions as near as this, with the same row but for the question, are one.
_COPY = 0.95
# A person may always have this many, however few there are in all.
_LEAST_OF_A_PERSON = 5
GOLDEN_FILE = "golden.validation.jsonl"
_BY_HR = frozenset({"corrected", "approved", "unlinked", "confirmed"})


@dataclass(frozen=True)
class Dataset:
    """Rows by file name, and the manifest."""

    files: Mapping[str, str]
    manifest: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Names the rows."""
        return hashlib.sha256(json.dumps(self.manifest["sha256"], sort_keys=True).encode()).hexdigest()[:12]


@click.group("dataset")
def command() -> None:
    """Make what is trained on."""


@command.command("build")
@click.option("--config", "--spec", "spec", type=click.Path(path_type=Path), help="What to build.  [config/qlora.json]")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.pass_obj
def build_command(config: Path | None, spec: Path | None, as_json: bool) -> None:
    """Build a dataset from the ledger, the documents and the files that the specification names."""
    settings = load_settings(config)
    folder = build(load_spec(spec or settings.training.spec), settings)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **manifest}, indent=1, ensure_ascii=False))
        return
    click.echo(f"{folder}: " + ", ".join(f"{count} {name}" for name, count in manifest["rows"].items()))
    for reason, count in manifest["dropped"].items():
        click.echo(f"  {count} left out: {reason}")
    minimum = manifest["feedback"]["minimum"]
    if manifest["feedback"]["answers"] < minimum:
        click.echo(
            f"  {manifest['feedback']['answers']} of {minimum} answers with feedback, so nothing is trained by itself"
        )
    click.echo(f"Read {folder / 'report.md'} before training on it.")


def build(spec: TrainingSpec, settings: Settings) -> Path:
    """Build a dataset and give its folder; the same rows again give the folder that is there.

    Raises:
        ConfigError: A file that is named is not there or cannot be read.
        LedgerError, KnowledgeIndexError: As opening them raises.
    """
    embedder = open_embedder(adapter=settings.index.adapter)
    found: list[Sample | Dropped] = []
    for source in spec.datasets or (DatasetSpec(type="feedback"),):
        found += _from(source, spec, settings, embedder)
    made = assemble(found, spec, embedder)
    folder = settings.data_dir / "datasets" / made.id
    folder.parent.mkdir(parents=True, exist_ok=True)
    with publishing(folder, is_private=True) as new:  # it holds what employees asked
        for name, text in made.files.items():
            (new / name).write_text(text, encoding="utf-8")
        manifest = json.dumps(made.manifest, indent=1, ensure_ascii=False, sort_keys=True)
        (new / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
        shown = {name: text for name, text in made.files.items() if name != GOLDEN_FILE}
        write_report(new, made.manifest, shown)
    return folder


def _from(source: DatasetSpec, spec: TrainingSpec, settings: Settings, embedder: Embedder) -> list[Sample | Dropped]:
    if source.input_files and source.type != "feedback":
        return file_samples(source, spec, embedder)
    if source.type == "feedback":
        store = open_store(settings.data_dir, settings.ledger)
        try:
            return ledger_samples(store, _live(settings, embedder), embedder)
        finally:
            store.close()
    return [*document_samples(_live(settings, embedder), embedder, spec.retrieval.distractors)]


def _live(settings: Settings, embedder: Embedder) -> Snapshot:
    """The documents read anew, since a server may own the index; the index where there are none."""
    if settings.documents.folder.is_dir():
        return folder_snapshot([settings.documents.folder], settings, embedder)
    index = open_index(settings.index, settings.data_dir, embedder)
    try:
        return index.snapshot
    finally:
        index.close()


def assemble(found: Sequence[Sample | Dropped], spec: TrainingSpec, embedder: Embedder) -> Dataset:
    """Rows that can be trained on, from all that was found."""
    samples = [_cleaned(one) for one in found if isinstance(one, Sample)]
    dropped = Counter(f"{one.source}, {one.label}: {one.reason}" for one in found if isinstance(one, Dropped))
    personal = Counter[str]()
    for _, kinds in samples:
        personal.update(dict(kinds))
    kept = sorted((sample for sample, _ in samples), key=_order)
    interactions = sorted({sample.interaction for sample in kept if sample.interaction})
    vectors = _vectors(kept, embedder)
    kept = _without_copies(kept, vectors, dropped)
    kept = _capped(kept, spec.data.person_share, dropped)
    kept = _with_replay(kept, spec, dropped)
    groups = group([sample.question for sample in kept], vectors, spec.data.similarity_threshold)
    files: dict[str, str] = {}
    for learner in LEARNERS:
        for part in ("train", "validation"):
            is_held = part == "validation"
            rows = [
                _row(sample, groups[sample.question])
                for sample in kept
                if sample.learner == learner and is_validation(groups[sample.question], spec) is is_held
            ]
            random.Random(spec.data.seed).shuffle(rows)
            if rows:
                lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
                files[f"{learner}.{part}.jsonl"] = "".join(lines)
    if golden := _golden(kept, groups, spec):
        files[GOLDEN_FILE] = golden
    counts = Counter(f"{one.learner}, {one.source}, {one.label}" for one in kept)
    manifest = {
        "rows": {name.removesuffix(".jsonl"): text.count("\n") for name, text in files.items()},
        "counts": dict(sorted(counts.items())),
        "dropped": dict(sorted(dropped.items())),
        "personal_data": dict(sorted(personal.items())),
        "feedback": {
            "answers": len(interactions),
            "people": len({one.person for one in kept if one.person}),
            "minimum": spec.data.feedback_minimum,
        },
        "interactions": interactions,
        "groups": len(set(groups.values())),
        "settings": spec.data.model_dump(),
        "prompt_version": PROMPT_VERSION,
        "embedder": embedder.version,
        "sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(files.items())},
    }
    return Dataset(files, manifest)


def _golden(samples: Sequence[Sample], groups: Mapping[str, str], spec: TrainingSpec) -> str:
    """What HR answered to questions that nothing is trained on, as `quantahr eval` and the gate ask it."""
    lines: dict[str, str] = {}
    for sample in samples:  # the newest comes first
        group_id, name = groups[sample.question], _digest(sample.question)[:16]
        is_corrected = sample.learner == "sft" and sample.source == "feedback" and sample.label == "corrected"
        if is_corrected and is_validation(group_id, spec) and name not in lines:
            row = {"id": name, "question": sample.question, "group": group_id, **sample.scope}
            row["ideal"] = sample.row["completion"][0]["content"]
            lines[name] = json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"
    return "".join(line for _, line in sorted(lines.items()))


def is_validation(group_id: str, spec: TrainingSpec) -> bool:
    """Whether a group is measured on; that follows from its name alone."""
    return int(group_id[:8], 16) < spec.data.validation_share * 16**8


def group(questions: Iterable[str], vectors: Mapping[str, np.ndarray], threshold: float) -> dict[str, str]:
    """The group of each question: those that are as near as that, and those near to them, belong together."""
    ordered = sorted(set(questions), key=_digest)
    leader = {question: question for question in ordered}

    def head(question: str) -> str:
        while leader[question] != question:
            leader[question] = leader[leader[question]]
            question = leader[question]
        return question

    if ordered:
        matrix = np.stack([vectors[question] for question in ordered])
        for row, question in enumerate(ordered):
            for other in np.flatnonzero(matrix[:row] @ matrix[row] >= threshold):
                one, two = sorted((head(ordered[other]), head(question)), key=_digest)
                leader[two] = one
    return {question: _digest(head(question))[:16] for question in ordered}


def _cleaned(sample: Sample) -> tuple[Sample, tuple[tuple[str, int], ...]]:
    """A sample without personal data; all its texts at once, so that the same value has the same placeholder."""
    texts: list[str] = []
    _texts(sample.row, texts)
    cleaned = without_personal_data([sample.question, *texts])
    if not cleaned.found:
        return sample, ()
    by_text = dict(zip([sample.question, *texts], cleaned.texts, strict=True))
    row = _replaced(sample.row, by_text)
    return replace(sample, question=cleaned.texts[0], row=row), cleaned.found


def _texts(value: object, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key != "file":
                _texts(inner, found)
    elif isinstance(value, Sequence):
        for inner in value:
            _texts(inner, found)


def _replaced(value: Any, by_text: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return by_text.get(value, value)
    if isinstance(value, Mapping):
        return {key: inner if key == "file" else _replaced(inner, by_text) for key, inner in value.items()}
    return [_replaced(inner, by_text) for inner in value] if isinstance(value, Sequence) else value


def _order(sample: Sample) -> tuple[str, ...]:
    """The same whatever order the sources were read in; newer words of people come first."""
    when = sample.at.isoformat() if sample.at else ""
    return ("" if sample.source == "feedback" else "other", _inverted(when), json.dumps(sample.row, sort_keys=True))


def _inverted(text: str) -> str:
    return "".join(chr(0x10FFFF - ord(character)) for character in text)


def _vectors(samples: Sequence[Sample], embedder: Embedder) -> dict[str, np.ndarray]:
    questions = sorted({sample.question for sample in samples})
    return dict(zip(questions, embedder.embed(questions), strict=True)) if questions else {}


def _without_copies(
    samples: Sequence[Sample], vectors: Mapping[str, np.ndarray], dropped: Counter[str]
) -> list[Sample]:
    """Of rows that say the same about nearly the same question the first."""
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    kept = []
    for sample in samples:
        what = _digest(sample.learner + json.dumps(_without_question(sample), sort_keys=True))
        vector = vectors[sample.question]
        if any(float(vector @ other) >= _COPY for other in seen[what]):
            dropped[f"{sample.source}, {sample.label}: a copy"] += 1
        else:
            seen[what].append(vector)
            kept.append(sample)
    return kept


def _without_question(sample: Sample) -> Mapping[str, Any]:
    """What a row says besides the question, which stands in prompts, too."""
    row = dict(sample.row)
    row.pop("question", None)
    if prompt := row.pop("prompt", None):
        row["prompt"] = [message["content"].replace(sample.question, "") for message in prompt]
    return row


def _most(counts: Iterable[int], share: float) -> int:
    """The most rows of one person that are no more than their share of what is then left of all."""
    numbers = list(counts)
    fits = (
        most
        for most in range(max(numbers, default=0), _LEAST_OF_A_PERSON, -1)
        if most <= share * sum(min(one, most) for one in numbers)
    )
    return next(fits, _LEAST_OF_A_PERSON)


def _capped(samples: Sequence[Sample], share: float, dropped: Counter[str]) -> list[Sample]:
    """No more of one person than their share of each learner's rows from feedback; the newest stay.

    What HR wrote is HR's work, however few they are: it is not capped.
    """
    people = Counter((one.learner, one.person) for one in samples if _is_capped(one))
    most = {
        learner: _most((count for (of, _), count in people.items() if of == learner), share) for learner in LEARNERS
    }
    counts: Counter[tuple[str, str]] = Counter()
    kept = []
    for sample in samples:
        if _is_capped(sample):
            counts[sample.learner, sample.person] += 1
            if counts[sample.learner, sample.person] > most[sample.learner]:
                dropped[f"{sample.source}, {sample.label}: one person's share"] += 1
                continue
        kept.append(sample)
    return kept


def _is_capped(sample: Sample) -> bool:
    return bool(sample.person) and sample.label not in _BY_HR


def _with_replay(samples: Sequence[Sample], spec: TrainingSpec, dropped: Counter[str]) -> list[Sample]:
    """Of replay as many rows as keep what the model knew, and no more."""
    own = [sample for sample in samples if sample.label != REPLAY]
    replay = [sample for sample in samples if sample.label == REPLAY]
    words = sum(sample.learner == "sft" for sample in own)
    share = spec.data.replay_share
    wanted = min(len(replay), round(words * share / (1 - share)))
    if len(replay) > wanted:
        dropped[f"{REPLAY}: more than its share"] += len(replay) - wanted
    random.Random(spec.data.seed).shuffle(replay)
    return [*own, *replay[:wanted]]


def _row(sample: Sample, group_id: str) -> dict[str, Any]:
    named = f"{sample.learner}\0{sample.question}\0{json.dumps(sample.row, sort_keys=True)}"
    return {
        "id": _digest(named)[:16],
        "group": group_id,
        "source": sample.source,
        "from": sample.label,
        "interaction": sample.interaction,
        **sample.row,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
