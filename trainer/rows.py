"""Read question rows and say which pieces of a policy answer them.

Enters: a folder with question rows in `train/*.jsonl` (`file`, `question`, `also`, `quotes`, `answerable`) and the
policies that they name, each employer's in a folder of its own. Leaves: `Row`s, and for each employer its chunks with
vectors.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import DocumentError
from config.settings import DocumentSettings, IndexSettings
from knowledge.embed import Embedder
from knowledge.index import Snapshot, make_snapshot
from knowledge.load import find_documents
from knowledge.pieces import Piece, PieceKind
from knowledge.prepare import prepare

_log = logging.getLogger(__name__)
# An employer's policies are one level below these.
_EMPLOYERS_IN = ("train/policies/", "handbooks/")
# "" has rows over texts that are no employer's; p2pu's licence would extend to what is trained on its text.
_NOT_USED = frozenset({"", "handbooks/p2pu"})
_SHORTEST_MATCH = 8


@dataclass(frozen=True)
class Row:
    """A question over one employer's policies; `quotes` is empty when nothing answers it."""

    employer: str
    question: str
    quotes: tuple[str, ...]


def read_rows(data: Path) -> list[Row]:
    """The rows of every `train/*.jsonl` in `data` whose policy is there, both wordings of each.

    Left out: threads, texts that are no employer's policies, and a handbook with a share-alike licence.
    """
    rows = []
    for file in sorted((data / "train").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if "quotes" not in record or "file" not in record or "turns" in record:
                continue
            employer = _employer(record["file"])
            if employer in _NOT_USED or not (data / record["file"]).is_file():
                continue
            quotes = tuple(record["quotes"]) if record["answerable"] else ()
            rows += [Row(employer, wording, quotes) for wording in (record["question"], record["also"])]
    return rows


def _employer(file: str) -> str:
    """The employer's folder: "handbooks/leaf/leave/annual.md" gives "handbooks/leaf"; "" when there is none."""
    root = next((root for root in _EMPLOYERS_IN if file.startswith(root)), None)
    return root + file.removeprefix(root).split("/")[0] if root else ""


def rows_hash(rows: Sequence[Row]) -> str:
    """A hash of all rows, for the recipe."""
    return hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest()


def employer_snapshot(folder: Path, embedder: Embedder) -> Snapshot:
    """An employer's policies, cut and embedded as the product does it."""
    ready = []
    for path in find_documents(folder):
        try:
            ready.append(prepare(path, folder, DocumentSettings(), IndexSettings(), embedder))
        except DocumentError as error:
            _log.warning("%s is left out: %s", path.name, error)
    return make_snapshot(
        [chunk for document in ready for chunk in document.chunks],
        np.concatenate([document.vectors for document in ready]),
    )


def is_gold(piece: Piece, quotes: Sequence[str]) -> bool:
    """Whether a piece lies in one of the quotes, or holds one, compared on letters and digits."""
    text = _squash(piece.text)
    shortest = 1 if piece.kind is PieceKind.TABLE_ROW else _SHORTEST_MATCH
    wanted = [_squash(quote) for quote in quotes]
    return any(
        (len(text) >= shortest and text in quote) or (len(quote) >= _SHORTEST_MATCH and quote in text)
        for quote in wanted
    )


def _squash(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
