"""Read question rows and say which pieces of a policy answer them.

Enters: a folder of training data. Leaves: `Row`s, and for each employer its chunks with vectors.

Two layouts are read: `samples/training`, with rows (`*.jsonl`), `policies/` of our own and `handbooks/` of real
employers side by side, and a larger folder that holds rows and `policies/` below `train/`, and more handbooks in
`handbooks/` beside it. A row names its policy as seen from the larger one (`file`:
"train/policies/openhand-uk/time-away.md", "handbooks/clef/Mission Statement.md"), so that rows are the same in both;
its other fields are two wordings (`question`, `also`), `answerable`, and the `quotes` of the policy that answer.
"""

from __future__ import annotations

import hashlib
import html
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from bot.followup import Search
from config.errors import ConfigError, DocumentError
from config.settings import DocumentSettings, IndexSettings
from knowledge.embed import Embedder
from knowledge.index import Snapshot, make_snapshot
from knowledge.load import find_documents
from knowledge.prepare import prepare
from trainer.records import Record, read_records, require

_log = logging.getLogger(__name__)
_TRAIN = "train/"
# Policies of our own writing: what is trained on these alone is under the product's own terms.
OURS = f"{_TRAIN}policies/"
# Employers of ours that no encoder is trained on: they are reported on, and calibration needs texts that are new to it.
HELD_OUT = frozenset(
    f"{OURS}{name}"
    for name in (
        "city-of-larkwell",
        "civic-lantern",
        "halden-research",
        "kavya-in",
        "kestrel-clinics",
        "nordlys-dk",
        "protea-za",
        "quillstack",
        "tern-airlines",
    )
)
# An employer's policies are one level below these.
_EMPLOYERS_IN = (OURS, "handbooks/")
# "" has rows over texts that are no employer's; p2pu's licence would extend to what is trained on its text.
_NOT_USED = frozenset({"", "handbooks/p2pu"})
# Where a handbook comes from and its licence lie beside its policies, and are none.
_TERMS = ("SOURCE", "LICENSE")
_SHORTEST_MATCH = 8
# A piece shorter than this that is no sentence is often a title, and lies in quotes from other policies by chance.
_SHORTEST_PART = 20
_MARKER = re.compile(r"^\s*(?:[-*•]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})[.)])\s+")
# What the loader leaves out and a quote from the file still has: where links lead, tags, and what generates pages.
_MARKUP = re.compile(r"""\]\([^)\s]*(?:\s+"[^"]*")?(?:\)|$)|</?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>|\{\{.*?\}\}""")
_FIELDS = {"file": str, "question": str, "also": str, "answerable": bool, "quotes": list}
_OF_A_THREAD = {"standalone": str}


class Written(Protocol):
    """A piece of a policy, or evidence."""

    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Row:
    """A question over one employer's policies; `quotes` is empty when nothing answers it.

    `tempting` is then the stretch that looks like an answer.
    """

    employer: str
    question: str
    quotes: tuple[str, ...]
    tempting: str = field(default="", repr=False)


def read_rows(data: Path) -> list[Row]:
    """The rows whose policy is there, both wordings of each.

    Left out: threads, texts that are no employer's policies, and a handbook with a share-alike licence.

    Raises:
        ConfigError: There are no rows, or a line is none; file and line are named.
    """
    found = []
    for record, employer, quotes in _records(data):
        if "turns" not in record:
            tempting = "" if quotes else record.get("tempting", "")
            found += [Row(employer, wording, quotes, tempting) for wording in (record["question"], record["also"])]
    return found


def standalone_rows(data: Path) -> list[Row]:
    """Follow-ups of threads as they would be asked without the thread: a third way in which people word questions.

    Raises:
        ConfigError: As `read_rows`.
    """
    return [
        Row(employer, record["standalone"], quotes) for record, employer, quotes in _records(data) if "turns" in record
    ]


@dataclass(frozen=True)
class Said:
    """One earlier message of a thread: by "user" or "bot"."""

    role: str
    text: str


def follow_up_rows(data: Path, searched: Callable[[str, Sequence[Said]], Search]) -> list[Row]:
    """Follow-ups of threads, both wordings, as they are searched with: `searched(question, turns)`.

    Raises:
        ConfigError: As `read_rows`.
    """
    found = []
    for record, employer, quotes in _records(data):
        if "turns" in record:
            turns = [Said(turn["role"], turn["text"]) for turn in record["turns"]]
            for wording in (record["question"], record["also"]):
                found.append(Row(employer, searched(wording, turns).text, quotes))
    return found


def _records(data: Path) -> Iterator[tuple[Record, str, tuple[str, ...]]]:
    """The records that are questions over an employer's policies, each with the employer and the quotes that answer."""
    files = row_files(data)
    if not files:
        raise ConfigError(f"There are no training rows (*.jsonl) in {data}; name a folder such as samples/training.")
    lost: list[str] = []
    for file in files:
        for place, record in read_records(file):
            if "quotes" not in record or "file" not in record:
                continue  # of another kind: a matching set, or a message
            require(record, _FIELDS, place)
            if "turns" in record:
                require(record, _OF_A_THREAD, place)
                _require_turns(record, place)
            employer = _employer(record["file"])
            if employer in _NOT_USED:
                continue
            if not policy(data, record["file"]).is_file():
                lost.append(place)
                continue
            yield record, employer, tuple(record["quotes"]) if record["answerable"] else ()
    if lost:
        _log.warning(
            '%d rows are left out, as there is no policy where their "file" says; first %s', len(lost), lost[0]
        )


def _require_turns(record: Record, place: str) -> None:
    turns = record["turns"]
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict) and {"role", "text"} <= set(turn) for turn in turns
    ):
        raise ConfigError(f'{place} has "turns" without a role and a text; mend or remove it.')


def answered_rows(data: Path) -> Iterator[tuple[Record, str, tuple[str, ...]]]:
    """The records themselves, each with its employer and the quotes that answer: for what needs more of them.

    Raises:
        ConfigError: As `read_rows`.
    """
    return _records(data)


def employers(data: Path) -> frozenset[str]:
    """All employers that there are rows about, of whichever kind; so every part holds out the same ones.

    Raises:
        ConfigError: As `read_rows`.
    """
    return frozenset(employer for _, employer, _ in _records(data))


def held_out(employers: Iterable[str]) -> frozenset[str]:
    """Those of the employers that no encoder is trained on: the named ones, or else every fifth, at least one.

    Which ones these are depends on their names alone, and not on the rows that a part reads.
    """
    ours = {employer for employer in employers if employer.startswith(OURS)}
    by_chance = sorted(ours, key=lambda name: hashlib.sha256(name.encode()).digest())
    return HELD_OUT & ours or frozenset(by_chance[: max(1, len(ours) // 5)])


def require_both(data: Path, seen: Sequence[Row], unseen: Sequence[Row]) -> None:
    """Check that there is something to learn from, and something else to measure on.

    Raises:
        ConfigError: One of them is missing.
    """
    if not seen or not unseen:
        raise ConfigError(
            f"{data} holds rows over the policies of too few employers: one is held out to measure on, the others are "
            "learned from. Divide policies/ into at least two folders, with rows over each."
        )


def row_files(data: Path) -> list[Path]:
    """The files with rows, by name."""
    inner = data / _TRAIN
    return sorted((inner if inner.is_dir() else data).glob("*.jsonl"))


def policy(data: Path, file: str) -> Path:
    """Where a row's `file`, or an employer's folder, lies in `data`."""
    return data / (file if (data / _TRAIN).is_dir() else file.removeprefix(_TRAIN))


def _employer(file: str) -> str:
    """The employer's folder: "handbooks/leaf/leave/annual.md" gives "handbooks/leaf"; "" when there is none."""
    root = next((root for root in _EMPLOYERS_IN if file.startswith(root)), None)
    return root + file.removeprefix(root).split("/")[0] if root else ""


def rows_hash(rows: Sequence[Row]) -> str:
    """A hash of all rows, for the recipe."""
    return hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest()


def data_hash(rows: Sequence[Row], data: Path) -> str:
    """A hash of all rows and of the policies of their employers; the same in both layouts."""
    digest = hashlib.sha256(rows_hash(rows).encode())
    for employer in sorted({row.employer for row in rows}):
        for path in _policies(policy(data, employer)):
            digest.update(f"\0{employer}/{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def employer_snapshot(folder: Path, embedder: Embedder) -> Snapshot:
    """An employer's policies, cut and embedded as the product does it; `folder` is what `policy` gives for it.

    Raises:
        ConfigError: None of them can be read.
    """
    ready = []
    for path in _policies(folder):
        try:
            ready.append(prepare(path, folder, DocumentSettings(), IndexSettings(), embedder))
        except DocumentError as error:
            _log.warning("%s is left out: %s", path.name, error)
    if not ready:
        raise ConfigError(f"No policy in {folder} can be read, and there are rows over them; mend them or the rows.")
    return make_snapshot(
        [chunk for document in ready for chunk in document.chunks],
        np.concatenate([document.vectors for document in ready]),
    )


def _policies(folder: Path) -> list[Path]:
    return [path for path in find_documents(folder) if not path.name.startswith(_TERMS)]


def is_gold(piece: Written, quotes: Sequence[str]) -> bool:
    """Whether a piece is one of the quotes, lies in one, or holds one, compared on letters and digits.

    A short one ("Yes", "A | 5", a title) lies in a text by chance: it must be the whole quote or a line of it. Quotes
    are from files as they are written: markup counts for nothing.
    """
    text = _squash(piece.text)
    if not text:
        return False
    shortest = _SHORTEST_MATCH if piece.text.endswith((".", "!", "?")) else _SHORTEST_PART
    plain = [html.unescape(_MARKUP.sub(" ", quote)) for quote in quotes]
    if any(text == _squash(_MARKER.sub("", line)) for quote in plain for line in quote.split("\n")):
        return True
    return any(
        text == quote or (len(text) >= shortest and text in quote) or (len(quote) >= _SHORTEST_MATCH and quote in text)
        for quote in map(_squash, plain)
    )


def _squash(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
