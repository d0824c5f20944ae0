"""Read a thread's earlier messages without what is a human's business.

Enters: the turns of a thread, and triage's classifier. Leaves: the turns that may be searched with and kept. What a
classifier has judged is not judged again: every question of a thread brings all earlier messages along.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from bot.triage import triage_all
from bot.triage.classify import Classifier

# Telephones write "what’s", what the parts were trained on says "what's".
_APOSTROPHES = str.maketrans(dict.fromkeys("‘’ʼ＇", "'"))
# Messages whose verdict is kept, for each classifier.
_REMEMBERED = 10_000


@dataclass(frozen=True)
class Turn:
    """One earlier message of the thread."""

    role: Literal["user", "bot"]
    text: str


def fit_to_use(history: Sequence[Turn], classifier: Classifier | None = None) -> tuple[Turn, ...]:
    """The thread without what is a human's business, and without the reply to it: neither searched with nor kept.

    What this classifier has judged before is not judged again.
    """
    is_sensitive = _are_sensitive([folded(turn.text) for turn in history if turn.role == "user"], classifier)
    kept: list[Turn] = []
    was_sensitive = False
    for turn in history:
        if turn.role == "user":
            was_sensitive = is_sensitive[folded(turn.text)]
        if not was_sensitive:
            kept.append(turn)
    return tuple(kept)


def remember(text: str, *, is_sensitive: bool, classifier: Classifier | None) -> None:
    """Keep what triage has found of a message, so that later questions of its thread need not ask again."""
    _verdicts_of(classifier).keep({text: is_sensitive})


def _are_sensitive(texts: Sequence[str], classifier: Classifier | None) -> Mapping[str, bool]:
    verdicts = _verdicts_of(classifier)
    known = verdicts.known(texts)
    new = [text for text in dict.fromkeys(texts) if text not in known]
    judged = {text: found.is_sensitive for text, found in zip(new, triage_all(new, classifier), strict=True)}
    verdicts.keep(judged)
    return known | judged


class _Verdicts:
    """Which messages are a human's business, as one classifier judged. Of a message only a digest is kept."""

    def __init__(self) -> None:
        self._is_sensitive: dict[bytes, bool] = {}
        self._lock = threading.Lock()

    def known(self, texts: Sequence[str]) -> dict[str, bool]:
        with self._lock:
            found = {text: self._is_sensitive.get(_digest(text)) for text in texts}
        return {text: is_sensitive for text, is_sensitive in found.items() if is_sensitive is not None}

    def keep(self, judged: Mapping[str, bool]) -> None:
        with self._lock:
            self._is_sensitive |= {_digest(text): is_sensitive for text, is_sensitive in judged.items()}
            while len(self._is_sensitive) > _REMEMBERED:
                del self._is_sensitive[next(iter(self._is_sensitive))]


# A classifier's verdicts go when it goes.
_BY_RULES = _Verdicts()
_BY_CLASSIFIER: WeakKeyDictionary[Classifier, _Verdicts] = WeakKeyDictionary()


def _verdicts_of(classifier: Classifier | None) -> _Verdicts:
    return _BY_RULES if classifier is None else _BY_CLASSIFIER.setdefault(classifier, _Verdicts())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def folded(text: str) -> str:
    """The text with plain apostrophes, for searching and matching; what is recorded stays as it was asked."""
    return text.translate(_APOSTROPHES)
