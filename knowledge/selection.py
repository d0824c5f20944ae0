"""Choose how much evidence to give: more where it is uncertain which piece answers, one piece where it is plain.

Enters: scored pieces. Leaves: the few that are given as evidence. A further piece costs the reader of the answer its
words, and is worth the chance that it is the one that answers; it is added while that chance is worth the words. So an
answer that is certain stays short, and the same mean length holds the right piece more often than two pieces always do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config.settings import ReadingSettings
from knowledge.pieces import Piece
from knowledge.pieces import pieces as cut

Matrix = NDArray[np.float32]

# A lead-in longer than this is no introduction but a paragraph: the citation shows it.
_MAX_LEAD_IN_WORDS = 25
# What turns an item into its opposite, or holds it to a condition, is shown however long it is.
_PROVIDED = r"\bprovided (?:that|you|they|it)\b"  # "the following is provided" is no condition
_DECIDES = re.compile(
    rf"\b(?:not|no|never|none|only|except|unless|without|cannot)\b|{_PROVIDED}|n[’']t\b", re.IGNORECASE
)
_TOGETHER = re.compile(
    r"\b(?:all|both|each) of (?:the|these|this)\b|\b(?:all|both) (?:the |these |following )*conditions\b"
    rf"|\bonly (?:if|when|where)\b|{_PROVIDED}",
    re.IGNORECASE,
)
# Fewer words, such as the item "rent", lie in another piece by chance.
_FEWEST_REPEATED = 4


def select(pieces: Sequence[Piece], scores: Matrix, settings: ReadingSettings) -> list[int]:
    """The pieces to give, best first; `scores` has shape (number of pieces,) and at least one element.

    The best is always among them, of the others only what says something new and fits into `settings.max_words`.
    """
    chances = softmax(scores)
    best, *others = (int(i) for i in np.argsort(-scores, kind="stable"))
    chosen, texts = [best], [shown(pieces[best])]
    left = settings.max_words - _words(pieces[best], [])
    for i in others:
        if len(chosen) == settings.max_evidence:
            break
        text = shown(pieces[i])
        words = _words(pieces[i], [pieces[j] for j in chosen])
        is_worth_it = chances[i] >= settings.min_chance_per_word * words
        if is_worth_it and words <= left and not any(_is_said(text, other) for other in texts):
            chosen.append(i)
            texts.append(text)
            left -= words
    return chosen


def held_together(piece: Piece, text: str) -> list[Piece]:
    """The other items of a list whose items hold only together: one condition of several would read as the only one.

    `text` is that of the chunk that the piece is from. Most pieces are of no such list: there are none then.
    """
    if not _TOGETHER.search(piece.lead_in) or piece not in (all_pieces := cut(text)):
        return []
    start = end = all_pieces.index(piece)
    while start and all_pieces[start - 1].lead_in == piece.lead_in:
        start -= 1
    while end < len(all_pieces) and all_pieces[end].lead_in == piece.lead_in:
        end += 1
    return [other for other in all_pieces[start:end] if other != piece]


def introduced(piece: Piece, text: str) -> list[Piece]:
    """The items that a sentence introduces, "We close on these days:", which says nothing without them."""
    if not piece.text.endswith(":"):
        return []
    return [other for other in cut(text) if other.lead_in == piece.text]


def shown(piece: Piece) -> str:
    """What an answer shows of a piece: all of it in context, but no long lead-in. That may be evidence of its own."""
    return piece.in_context if is_introduction(piece.lead_in) else piece.text


def is_introduction(lead_in: str) -> bool:
    """Whether a lead-in is said before its items: it is short, or decides what they mean."""
    return len(lead_in.split()) <= _MAX_LEAD_IN_WORDS or _DECIDES.search(lead_in) is not None


def _words(piece: Piece, chosen: Sequence[Piece]) -> int:
    """How much longer a piece makes the answer: a lead-in is said once."""
    is_introduced = any(piece.lead_in == other.lead_in for other in chosen if piece.lead_in)
    return len((piece.text if is_introduced else shown(piece)).split())


def softmax(scores: Matrix) -> Matrix:
    """What scores mean as chances, which sum to 1: that of each piece to be the one that answers, if one does."""
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum(), dtype=np.float32)


def _is_said(text: str, other: str) -> bool:
    """Whether one repeats the other, or a part of it: neighbouring chunks overlap, and so do policies."""
    shorter, longer = sorted((text, other), key=len)
    return shorter == longer or (len(shorter.split()) >= _FEWEST_REPEATED and shorter in longer)
