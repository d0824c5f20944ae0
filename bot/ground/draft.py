"""A draft beside its evidence, both read: what every check of grounding looks at.

Enters: a draft, the evidence it was worded from, the question. Leaves: a `Draft`, with clauses, words and numbers of
all three, and `nearest`: which of the evidence's clauses a clause of the draft says again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bot.ground.clauses import Clause, clauses, lead
from bot.ground.quantities import Quantity, quantities, states
from bot.ground.terms import Terms, terms
from knowledge.read import Evidence, PieceKind


@dataclass(frozen=True)
class Source:
    """All that counts as evidence: the pieces in context, and the headings and titles that they stand under."""

    pieces: tuple[str, ...]
    clauses: tuple[Clause, ...]
    quantities: tuple[Quantity, ...]
    terms: Terms
    headings: Terms

    @property
    def text(self) -> str:
        return "\n".join(self.pieces)


@dataclass(frozen=True)
class Draft:
    """A draft and what it is compared with."""

    text: str
    lead: str
    body: str
    clauses: tuple[Clause, ...]
    quantities: tuple[Quantity, ...]
    terms: Terms
    question: str
    asked: Terms
    asked_quantities: tuple[Quantity, ...]
    source: Source


def draft(text: str, evidence: Sequence[Evidence], question: str) -> Draft:
    """Read all three. Markdown's marks are left out."""
    said, asked = _clean(text), _clean(question)
    first, body = lead(said)
    return Draft(
        text=said,
        lead=first,
        body=body,
        clauses=clauses(body),
        quantities=quantities(said),
        terms=terms(said),
        question=asked,
        asked=terms(asked),
        asked_quantities=quantities(asked),
        source=_source(
            tuple(map(_spoken, evidence)),
            tuple(piece.kind is PieceKind.TABLE_ROW for piece in evidence),
            tuple(map(_headings, evidence)),
        ),
    )


def nearest(clause: Clause, source: Source) -> list[Clause]:
    """The evidence's clauses that a draft's clause says again: those with most content words and numbers in common."""
    stated = quantities(clause.text)
    scores = [
        len(clause.stems & other.stems) + 2 * sum(any(states(q, o) for o in quantities(other.text)) for q in stated)
        for other in source.clauses
    ]
    best = max(scores, default=0)
    return [other for other, score in zip(source.clauses, scores, strict=True) if score == best] if best else []


def _spoken(piece: Evidence) -> str:
    """The piece in context; an item goes on from its lead-in, so that "You cannot claim for:" reaches "taxis"."""
    if piece.kind is PieceKind.LIST_ITEM and piece.lead_in:
        return _clean(f"{piece.lead_in.rstrip(': ')} {piece.text}")
    return _clean(piece.in_context)


@lru_cache(256)
def _source(pieces: tuple[str, ...], is_row: tuple[bool, ...], headings: tuple[str, ...]) -> Source:
    return Source(
        pieces=pieces,
        clauses=tuple(
            c for piece, row in zip(pieces, is_row, strict=True) for c in (_cells(piece) if row else clauses(piece))
        ),
        quantities=tuple(quantity for piece in pieces for quantity in quantities(piece)),
        terms=terms("\n".join(pieces)),
        headings=terms("\n".join(headings)),
    )


def _cells(row: str) -> tuple[Clause, ...]:
    """Each cell as a clause of its own, with the row's label: "Flu; Certificate: no; Paid: yes" says two things."""
    label, *cells = row.split("; ")
    return tuple(clause for cell in cells or [label] for clause in clauses(f"{label}, {cell}" if cells else cell))


def _headings(piece: Evidence) -> str:
    chunk = piece.passage.chunk
    return _clean("\n".join((chunk.metadata.title, *chunk.heading_path)))


_MARKUP = re.compile(r"!?\[([^\]]*)\]\((?:<)?([^)\s>]*)[^)]*\)|[*`]+|(?<!\w)_+|_+(?!\w)|^#+\s*")
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‑": "-", " ": " ", "\u200b": None})


def _clean(text: str) -> str:
    """Without markdown's marks; a link leaves its label and its address."""
    return _MARKUP.sub(
        lambda mark: f"{mark[1]} {mark[2]}" if mark[1] is not None else "", text.translate(_QUOTES)
    ).strip()
