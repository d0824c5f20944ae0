"""Check that a draft does not mix up the cells of a table: a value belongs to its column and to its row.

Enters: a draft, its evidence and the question. Leaves: whether a value stands under another head, or beside another
row's label, than the draft (or, where the draft is silent, the question) names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.ground.quantities import Quantity, quantities, states
from bot.ground.terms import LIGHT, terms
from knowledge.read import Evidence, PieceKind


@dataclass(frozen=True)
class _Cell:
    """A value's cell: the words of its text, those that only its column's head has, and its row's label."""

    row: int
    column: int
    values: tuple[Quantity, ...]
    stems: frozenset[str]
    head: frozenset[str]
    label: frozenset[str]


def mixes_columns(draft: str, evidence: Sequence[Evidence], question: str) -> bool:
    """Whether the draft gives a value of one column or row where it names another."""
    cells = _cells(evidence)
    said, asked = _stems(draft), _stems(question)
    stated = quantities(draft)
    given = [cell for cell in cells if cell.column and _gives(cell, stated, said)]
    for subject in (said, asked):
        named = [cell for cell in cells if cell.column and cell.head & subject]
        if named and given and not any(cell in given for cell in named):
            return True
    labelled = {cell.row for cell in cells if cell.label & (said | asked)}
    return bool(labelled and given) and not any(cell.row in labelled for cell in given)


def _gives(cell: _Cell, stated: Sequence[Quantity], said: frozenset[str]) -> bool:
    if cell.values:
        return any(states(quantity, value) for quantity in stated for value in cell.values)
    return bool(cell.stems) and cell.stems <= said


def _cells(evidence: Sequence[Evidence]) -> list[_Cell]:
    rows = [piece for piece in evidence if piece.kind is PieceKind.TABLE_ROW]
    labels = [_stems(piece.text.split(" | ")[0]) for piece in rows]
    cells = []
    for number, piece in enumerate(rows):
        texts = piece.text.split(" | ")
        heads = (
            [_stems(head) for head in piece.head] if len(piece.head) == len(texts) else [frozenset[str]()] * len(texts)
        )
        others = [label for position, label in enumerate(labels) if position != number]
        label = labels[number] - frozenset[str]().union(*others)
        for column, text in enumerate(texts):
            rest = frozenset[str]().union(*(head for position, head in enumerate(heads) if position != column))
            spoken = f"{piece.head[column]}: {text}" if len(piece.head) == len(texts) else text
            cells.append(_Cell(number, column, quantities(spoken), _stems(text), heads[column] - rest, label))
    return cells


def _stems(text: str) -> frozenset[str]:
    return frozenset(terms(text).stems) - LIGHT
