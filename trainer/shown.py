"""Draw what the reader is shown in training: a question beside windows of policy, some of which answer it.

Enters: questions that were looked over (`trainer/look.py`) or come with their passages, and matching sets. Leaves:
batches of `Shown`.

A question is shown one window that answers it and two that only look as if, or three when nothing answers: the one with
the tempting text, where the row names it, else mostly the nearest, and others by chance. A matching set is shown as
serving reads it, the correction under its question: once beside another wording that it answers, once beside one that
only sounds alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from knowledge.first_look import PlacedWindow, best_windows
from knowledge.pieces import pieces
from knowledge.read import Linear
from knowledge.window import Window, windows
from trainer.choice import Example
from trainer.look import Looked
from trainer.matching import MatchingSet
from trainer.rows import is_gold

# Windows beyond these are too far off to teach anything.
_FARTHEST = 8


@dataclass(frozen=True)
class Shown:
    """A question beside windows; `is_gold[w][i]` says whether piece i of window w answers it."""

    question: str
    windows: tuple[Window, ...]
    is_gold: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Near:
    """A question's windows that answer and those that do not, each with its gold, best look first.

    `is_tempting` says that the first of those that do not holds the text that tempts.
    """

    question: str
    right: tuple[tuple[Window, tuple[bool, ...]], ...]
    wrong: tuple[tuple[Window, tuple[bool, ...]], ...]
    is_tempting: bool = False


class ShownDraws:
    """Batches without end: every question once before any comes again."""

    def __init__(
        self,
        questions: Sequence[Near],
        sets: Sequence[MatchingSet],
        tokenizer: Tokenizer,
        nearest_share: float,
        rng: random.Random,
    ) -> None:
        self.questions = questions
        self._corrections = [(one, windows(one.question, pieces(one.answer), tokenizer)) for one in sets]
        self._nearest_share = nearest_share
        self._rng = rng
        self._order: list[int] = []
        self._steps = 0

    def batch(self, size: int) -> list[Shown]:
        """The next `size` questions; with every second batch a matching set."""
        if len(self._order) < size:
            again = self._rng.sample(range(len(self.questions)), len(self.questions))
            self._order = [*again, *self._order]  # taken from the end
        shown = [self._show(self.questions[self._order.pop()]) for _ in range(min(size, len(self._order)))]
        self._steps += 1
        if self._corrections and self._steps % 2:
            shown += self._show_correction()
        return shown

    def state(self) -> Any:
        """All that `resume` needs."""
        return self._rng.getstate(), list(self._order), self._steps

    def resume(self, state: Any) -> None:
        """Draw on as after `state`."""
        rng, self._order, self._steps = state
        self._rng.setstate(rng)

    def _show(self, near: Near) -> Shown:
        right = [self._rng.choice(near.right[:2])] if near.right else []
        nearest = 1 if near.is_tempting or self._rng.random() < self._nearest_share else 0
        count = 3 - len(right)
        rest = near.wrong[nearest:]
        wrong = [*near.wrong[:nearest], *self._rng.sample(rest, min(count - nearest, len(rest)))]
        return Shown(near.question, *zip(*right, *wrong, strict=True)) if right or wrong else Shown("", (), ())

    def _show_correction(self) -> list[Shown]:
        one, correction = self._rng.choice(self._corrections)
        asked = ((self._rng.choice(one.same), True), (self._rng.choice(one.near), False))
        return [
            Shown(question, tuple(correction), tuple((is_right,) * len(window.pieces) for window in correction))
            for question, is_right in asked
        ]


def near_of(looked: Sequence[Looked], first_look: Linear) -> list[Near]:
    """What may be shown of questions that were looked over.

    Where retrieval missed the answer there is nothing to show, and "nothing answers" would be a lie.
    """
    near = [_near(one, first_look) for one in looked]
    return [n for n, one in zip(near, looked, strict=True) if n.right or not one.example.row.quotes]


def _near(looked: Looked, first_look: Linear) -> Near:
    example = looked.example
    scored = best_windows(looked.placed, first_look(example.candidates.features))
    tempts = [_tempts(example, at) for at in scored]
    # Where the window that tempts was found, it comes first.
    order = sorted(range(len(scored)), key=lambda i: not tempts[i])
    marked = [(scored[i].window, tuple(bool(gold) for gold in example.is_gold[scored[i].pieces])) for i in order]
    return Near(
        example.row.question,
        tuple(one for one in marked if any(one[1])),
        tuple([one for one in marked if not any(one[1])][:_FARTHEST]),
        any(tempts),
    )


def _tempts(example: Example, at: PlacedWindow) -> bool:
    """Whether a window holds the text that looks like an answer to a question without one."""
    tempting = example.row.tempting
    return bool(tempting) and any(is_gold(example.candidates.pieces[i], (tempting,)) for i in at.pieces)
