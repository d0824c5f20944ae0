"""Bring a message into one plain form, so that triage recognises what it says however it was typed.

Enters: a message as it was sent. Leaves: lower case, without accents, invisible characters and look-alike letters,
contractions written out ("im", "I'm" and "I’m" all become "i am"), grave words spelt right, one space between words,
possessives apart ("sarah 's").

Not guaranteed: that the plain form reads well. It is only ever matched, never shown or stored.
"""

from __future__ import annotations

import re
import unicodedata

# What keyboards and phones write for one; "´" goes first, as Unicode's own folding makes a space of it.
_APOSTROPHES = "‘’‛ʹʻʼʽ´`＇｀′‵"
_FOLD = str.maketrans(
    {
        **dict.fromkeys(_APOSTROPHES, "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("‐‑‒–—―", "-"),
        # Cyrillic and Greek letters that pass for Latin ones; only used within words that also have Latin letters.
        "ß": "ss",
        "ł": "l",
        "ø": "o",
    }
)
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁкмтνοαι", "aeopcyxijsdkmtvoai")
_MIXED_WORD = re.compile(r"\b(?=\w*[a-z])\w*[а-яіјѕԁα-ω]\w*")
_LEET = str.maketrans("01345@$", "oieasas")
_LEET_WORD = re.compile(r"\b[a-z]{1,12}[01345@$][a-z01345@$]{0,12}[a-z]\b")
# Three or more letters with one blank between each are a word that somebody spaced out.
_SPACED_OUT = re.compile(r"(?<!\S)(?:[a-z][ .*_-]){2,40}[a-z](?!\S)")
_NOT_LETTER = re.compile(r"[^a-z]")
_SPACE = re.compile(r"[^\S\n]+")
_LONG_RUN = re.compile(r"([a-z])\1{2,}")
_LONG_WORD = re.compile(r"\b[a-z]{7,18}\b")

_WRITTEN_OUT: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bcan'?t\b|\bcannot\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should)n'?t\b", r"\1 not"),
        (r"\bi'?m\b", "i am"),
        (r"\b(i|we|they|you)'?ve\b", r"\1 have"),
        (r"\b(i|he|she|we|they|you|it|that|there)'ll\b", r"\1 will"),
        (r"\b(i|he|she|we|they|you)'d\b", r"\1 would"),
        (r"\b(we|they|you)'re\b", r"\1 are"),
        (r"\b(they|you)re\b", r"\1 are"),
        (r"\b(he|she|that|there|what|who)'?s\b", r"\1 is"),
        (r"\bit's\b", "it is"),
        (r"\bwanna\b", "want to"),
        (r"\bgonna\b", "going to"),
        (r"\bbee?in\b|\bbeeing\b", "being"),
        (r"\bu\b", "you"),
        (r"\b(?:ur|yr)\b", "your"),
        (r"\bppl\b", "people"),
        (r"\bb4\b", "before"),
        (r"\bany more\b", "anymore"),
        (r"\bco-?(worker)s?\b", "colleague"),
        (r"\bno[- ]one\b", "nobody"),
        (r"\bsuperviso?e?r\b", "supervisor"),
        (r"\bhar+as+(?=(?:ed|ing|e?ment|es)?\b)", "harass"),
        (r"(?<=[a-z])'s\b", " 's"),
        (r"(?<=[a-z]s)'(?= )", " 's"),
    )
)

# Words that a slip of the finger must not hide; a word one letter away (two, from nine letters on) is read as this.
_GRAVE = frozenset(
    [
        "suicide",
        "suicidal",
        "harassed",
        "harassing",
        "harassment",
        "bullied",
        "bullying",
        "assaulted",
        "threatened",
        "threatening",
        "discriminated",
        "discriminating",
        "discrimination",
        "humiliated",
        "humiliating",
        "embezzling",
        "diagnosed",
        "depression",
        "instructions",
        "previous",
    ]
)
# Ordinary words that close to a grave one.
_INNOCENT = frozenset(
    {"building", "billing", "suicides", "discriminates", "depressing", "diagnoses", "diagnose", "bullring"}
)


def plain(text: str) -> str:
    """The plain form. Example: "I’M being bullyed 😢" gives "i am being bullied 😢"."""
    folded = unicodedata.normalize("NFKC", text.replace("´", "'")).translate(_FOLD).casefold()
    decomposed = unicodedata.normalize("NFKD", folded)
    visible = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf", "Cc") or c in "\n\t")
    latin = _MIXED_WORD.sub(lambda word: word[0].translate(_LOOK_ALIKE), visible)
    joined = _SPACED_OUT.sub(lambda word: _NOT_LETTER.sub("", word[0]), latin)
    spelt = _LEET_WORD.sub(lambda word: word[0].translate(_LEET), _SPACE.sub(" ", joined))
    spelt = _LONG_RUN.sub(r"\1\1", spelt)
    for pattern, replacement in _WRITTEN_OUT:
        spelt = pattern.sub(replacement, spelt)
    meant: dict[str, str] = {}
    return _LONG_WORD.sub(lambda word: _spelt_right(word[0], meant), spelt).strip()


def _spelt_right(word: str, meant: dict[str, str]) -> str:
    if word not in meant:
        near = (grave for grave in _GRAVE if _is_slip(word, grave))
        meant[word] = word if word in _GRAVE or word in _INNOCENT else next(near, word)
    return meant[word]


def _is_slip(word: str, meant: str) -> bool:
    allowed = 2 if len(meant) >= 9 else 1
    if word[0] != meant[0] or abs(len(word) - len(meant)) > allowed or word[-2:] == "ly":
        return False
    is_same_length = len(word) == len(meant)
    if is_same_length and sorted(word) == sorted(meant):
        return True  # letters swapped
    return _distance(word, meant) <= allowed


def _distance(one: str, other: str) -> int:
    """Levenshtein's distance; words are short."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
