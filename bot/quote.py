"""Present evidence as an answer in the policy's own words.

Enters: evidence, best first. Leaves: text that a person can read: sentences as they stand, list items under their
lead-in, table rows with their column heads, each in the order of its document.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from knowledge.read import Evidence, PieceKind
from knowledge.selection import is_introduction


def quote(evidence: Sequence[Evidence], country: str | None) -> str:
    """The evidence, verbatim. Example: two items under "You can claim:" give "You can claim:\\n- taxis\\n- trains".

    What stands in different sections stands on different lines. Where a policy is for some countries only and the
    asker's `country` is not known, its words come after them.
    """
    order = sorted(evidence, key=lambda piece: _place(piece, evidence))
    groups = groupby(order, key=lambda piece: (*_section(piece), _label(piece, country)))
    return "\n".join(f"{label}{_text(list(group))}" for (*_, label), group in groups)


def _section(piece: Evidence) -> tuple[str, str]:
    return piece.passage.chunk.file, piece.passage.chunk.heading


def _label(piece: Evidence, country: str | None) -> str:
    countries = piece.passage.chunk.metadata.countries
    return f"{', '.join(countries)}: " if countries and country is None else ""


def _text(order: Sequence[Evidence]) -> str:
    parts = []
    for lead_in, group in groupby(order, key=_introduction):
        pieces = [_piece(piece) for piece in group]
        if lead_in and len(pieces) == 1:
            parts.append(f"{lead_in} {pieces[0]}")
        elif lead_in:
            parts.append("\n".join([lead_in, *(f"- {piece}" for piece in pieces)]))
        else:
            parts.extend(pieces)
    if len(order) > 1 and all(piece.kind is PieceKind.TABLE_ROW for piece in order):
        return "\n".join(f"- {part}" for part in parts)
    return "\n".join(parts) if any("\n" in part for part in parts) else " ".join(map(_closed, parts))


def _place(piece: Evidence, evidence: Sequence[Evidence]) -> tuple[int, int]:
    """Passages in the order of their best piece; within one, pieces as they stand in the text."""
    first = next(i for i, other in enumerate(evidence) if other.passage.chunk.id == piece.passage.chunk.id)
    return first, piece.passage.chunk.text.find(piece.text)


def _introduction(piece: Evidence) -> str:
    return piece.lead_in if piece.kind is PieceKind.LIST_ITEM and is_introduction(piece.lead_in) else ""


def _piece(piece: Evidence) -> str:
    return _row(piece.text.split(" | "), piece.head) if piece.kind is PieceKind.TABLE_ROW else piece.text


def _row(cells: Sequence[str], head: Sequence[str]) -> str:
    """A row after what its first cell names: "London — Limit in pounds: £170; Limit in euros: €198"."""
    if len(head) != len(cells) or len(cells) < 2:
        return "; ".join(filter(None, cells))
    values = [f"{name}: {cell}" if name else cell for name, cell in zip(head[1:], cells[1:], strict=True) if cell]
    return " — ".join(filter(None, (cells[0], "; ".join(values))))


def _closed(part: str) -> str:
    """With a full stop; an item's own ";" or "," led to the next item, which is not quoted."""
    return part if part.endswith((".", "!", "?", ":")) else f"{part.rstrip(';, ')}."
