"""Lay a question and a stretch of policy side by side, as the pair encoder reads them.

Enters: a question, and the pieces of retrieved passages. Leaves: `PairInput`s: word pieces of question, heading and a
window of neighbouring pieces, and where each piece lies among them, so that every piece is read in its context and
many are read at once. Training and serving call these same functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from knowledge.pieces import Piece, PieceKind

# In word pieces. A window of 80 holds three or four sentences; question and heading are read again with each window.
MAX_QUESTION = 48
MAX_HEADING = 24
MAX_PIECE = 72
MAX_WINDOW = 80
_CLS, _SEP = 101, 102


@dataclass(frozen=True)
class Span:
    """The word pieces from `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class PairInput:
    """What the pair encoder reads: `[CLS] question [SEP] heading [SEP] piece piece … [SEP]`.

    `spans[i]` is where the window's i-th piece lies in `ids`.
    """

    ids: tuple[int, ...]
    question: Span
    heading: Span
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Window:
    """Neighbouring pieces of one passage, as word pieces. `first` is the index of its first piece in the passage."""

    heading: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]
    first: int


def windows(heading: str, pieces: Sequence[Piece], tokenizer: Tokenizer) -> list[Window]:
    """Cut a passage's pieces into windows of at most `MAX_WINDOW` word pieces; every piece lies in exactly one."""
    title = tuple(word_pieces(heading, tokenizer)[-MAX_HEADING:])
    return [Window(title, group, first) for first, group in _groups(pieces, tokenizer)]


def _groups(pieces: Sequence[Piece], tokenizer: Tokenizer) -> Iterator[tuple[int, tuple[tuple[int, ...], ...]]]:
    group: list[tuple[int, ...]] = []
    first, lead_in = 0, ""
    for i, piece in enumerate(pieces):
        ids = _word_pieces(piece, lead_in, tokenizer)
        if group and sum(map(len, group)) + len(ids) > MAX_WINDOW:
            yield first, tuple(group)
            ids = _word_pieces(piece, "", tokenizer)
            group, first = [], i
        group.append(ids)
        lead_in = piece.lead_in or (piece.text if piece.kind is PieceKind.SENTENCE else "")
    if group:
        yield first, tuple(group)


def _word_pieces(piece: Piece, lead_in: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    """A piece as it is read: an item after its lead-in, unless `lead_in`, which has just been read, is the same.

    Of a lead-in that is too long the end is read, so that the item's own words are.
    """
    if not piece.lead_in:
        return tuple(word_pieces(piece.in_context, tokenizer)[:MAX_PIECE])
    own = word_pieces(piece.text, tokenizer)[:MAX_PIECE]
    introduction = [] if piece.lead_in == lead_in else word_pieces(piece.lead_in, tokenizer)
    return (*introduction[max(0, len(introduction) + len(own) - MAX_PIECE) :], *own)


def pair_input(question: str, window: Window, tokenizer: Tokenizer) -> PairInput:
    """Put question and window in one sequence."""
    asked = word_pieces(question, tokenizer)[:MAX_QUESTION]
    ids = [_CLS]
    spans = [_append(ids, asked), _append(ids, [_SEP, *window.heading, _SEP])]
    spans += [_append(ids, piece) for piece in window.pieces]
    return PairInput((*ids, _SEP), spans[0], spans[1], tuple(spans[2:]))


def _append(ids: list[int], part: Sequence[int]) -> Span:
    """Append a part and say where it lies; an empty one is a separator, so that every part has a mean."""
    start = len(ids)
    ids += part or [_SEP]
    return Span(start, len(ids))


def word_pieces(text: str, tokenizer: Tokenizer) -> list[int]:
    """A text as the encoder reads it, without the special word pieces at its ends."""
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return list(tokenizer.encode(encodable, add_special_tokens=False).ids)
