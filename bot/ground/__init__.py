"""Check that every claim of a draft is supported by the evidence.

Enters: a draft, the evidence it was worded from, and the question. Leaves: a `Grounding`: it stands, or the first
reason why not. Rules only, no model: the same draft always gets the same verdict, in about two milliseconds.

A draft is refused when in doubt, since the evidence, quoted verbatim, takes its place. Not guaranteed: that the
evidence answers the question, and that who does what to whom is right: words, numbers, denials and conditions are
compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.ground.amounts import case_of_numbers, numbers
from bot.ground.draft import Draft
from bot.ground.draft import draft as read_draft
from bot.ground.quantities import Quantity, states
from bot.ground.rows import mixes_columns
from bot.ground.stance import conditions, polarity
from bot.ground.terms import LIGHT, stem, word_set
from bot.ground.verdict import yes_or_no
from knowledge.read import Evidence, PieceKind

# Share of a draft's content words that only the question, not the evidence, may have.
_QUESTION_SHARE = 0.25
# Share that neither has: a word of glue in a long sentence.
_FOREIGN_SHARE = 0.17


@dataclass(frozen=True)
class Grounding:
    """Whether a draft stands, and if not, why: one short sentence for logs and tests, without employees' text."""

    is_supported: bool
    reason: str = ""


def ground(draft: str, evidence: Sequence[Evidence], question: str) -> Grounding:
    """Check one drafted sentence, or a whole draft, against the evidence it was worded from.

    Example: "You get 10 days." over "Leave begins at 10 am." gives is_supported=False with a reason.
    """
    if not evidence:
        return Grounding(False, "there is no evidence")
    heard = read_draft(draft, evidence, question)
    for check in _CHECKS:
        reason = check(heard)
        if reason:
            return Grounding(False, reason)
    if any(piece.kind is PieceKind.TABLE_ROW for piece in evidence) and mixes_columns(
        heard.text, evidence, heard.question
    ):
        return Grounding(False, "a value stands in another column or row than the draft says")
    return Grounding(True)


_SELF = re.compile(
    r"\bas an? (?:ai|assistant|language model)\b|\blanguage model\b|\bi(?:'m| am| can| cannot|'ve| have| will|'d| do"
    r"| think| believe|'ll)\b"
    r"|\b(?:the|this|that|given|provided|above) (?:evidence|passage|text|context|excerpt|snippet|document provided"
    r"|information provided"
    r"|policy text|question)\b|\bbased on the\b|\baccording to the (?:passage|text|evidence|context)\b"
    r"|\bplease let me know\b|\bhope this helps\b"
    r"|\b(?:here is|here's) (?:the|an?|your)\b|\bquestion:|\banswer:|\bpolicy text:",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!][\"')\]]*$")
_DANGLING = re.compile(r"\b(?:the|an?|of|and|or|with|by|which|your|than|within|least)\s*[.!][\"')\]]*$", re.I)
_REPEATED = re.compile(r"\b(\w+)(?:\W+\1\b){2}|\b(\w+\W+\w+\W+\w+\W+\w+)\b.*\b\2\b", re.IGNORECASE | re.DOTALL)


def _form(draft: Draft) -> str:
    if not re.search(r"\w", draft.text):
        return "the draft is empty"
    if _SELF.search(draft.text):
        return "the draft talks about itself"
    if "?" in draft.text:
        return "the draft asks instead of answering"
    if not _ENDS.search(draft.text) or _DANGLING.search(draft.text):
        return "the draft is unfinished"
    if _REPEATED.search(draft.text):
        return "the draft repeats itself"
    if not re.search(r"\w", draft.body):
        return "a bare yes or no"
    return ""


_ASKS_WHAT = re.compile(r"\b(?:what|which|how|when|who|whom|where|why)\b", re.IGNORECASE)


def _echo(draft: Draft) -> str:
    """A question for something is not answered by its own words; one for yes or no may be ("Dogs are allowed.")."""
    said = set(draft.terms.stems) - LIGHT
    adds = draft.terms.addresses or draft.terms.codes or not _same(draft.quantities, draft.asked_quantities)
    if _ASKS_WHAT.search(draft.question) and said <= set(draft.asked.stems) and not adds:
        return "the draft only echoes the question"
    return ""


def _same(some: Iterable[Quantity], others: Sequence[Quantity]) -> bool:
    return all(any(states(one, other) for other in others) for one in some)


# ---- what it names


def _names(draft: Draft) -> str:
    source, headings = draft.source.terms, draft.source.headings
    if draft.terms.addresses - source.addresses - headings.addresses:
        return "a link or address is not in the evidence"
    if draft.terms.codes - source.codes - headings.codes:
        return "a form, grade or code is not in the evidence"
    if draft.terms.roles - source.roles - headings.roles:
        return "a role is not in the evidence"
    known = source.words | source.names | headings.words | headings.names
    if draft.terms.names - known or draft.terms.names & _ALSO_WORDS - source.names - headings.names:
        return "a name is not in the evidence"
    return ""


# Names that are function words too: their small form in the evidence names nothing.
_ALSO_WORDS = frozenset({"may", "us", "it", "will", "march"})


def _words(draft: Draft) -> str:
    source = set(draft.source.terms.stems) | set(draft.source.headings.stems)
    said = [stem for stem in draft.terms.stems if stem not in LIGHT]
    new = [stem for stem in said if stem not in source]
    asked = set(draft.asked.stems)
    foreign = [stem for stem in new if stem not in asked]
    if len(foreign) > _FOREIGN_SHARE * len(said) or any(stem in _TELLING for stem in new):
        return "a word is neither in the evidence nor in the question"
    verbs = {stem(verb) for verb in _AFTER_AUXILIARY.findall(draft.text.lower())}
    if verbs & set(new):
        return "what may or must be done is not in the evidence"
    if len(new) > max(1, _QUESTION_SHARE * len(said)):
        return "too many words come from the question alone"
    if any(_opposite(stem) & source for stem in new):
        return "a word is the opposite of one in the evidence"
    return ""


_AFTER_AUXILIARY = re.compile(
    r"\b(?:do|does|did|can|cannot|may|must|will|shall|should|could|have to|need to|able to|allowed to|entitled to)"
    r" (?:not )?(?:also |only )?([a-z]+)"
)
# Words that decide which rule is meant: a draft may not bring them from elsewhere.
_TELLING = frozenset(
    stem(word)
    for word in word_set(
        """
        sick annual parental maternity paternity bereavement compassionate adoption study medical carer family
        unpaid paid public bank night weekend overtime temporary permanent casual hourly salaried fulltime parttime
        probation always never automatically monday tuesday wednesday thursday friday saturday sunday daily weekly
        monthly yearly annually quarterly gross net free compulsory mandatory voluntary optional unlimited
        immediately double half twice every
        """
    )
)
# As stems.
_OPPOSITES = tuple(
    pair.split("/")
    for pair in word_set(
        """
        pay/unpaid includ/exclud matern/patern full/part increas/decreas first/last start/end mandatori/option
        mandatori/voluntari perman/temporari gross/net employ/employe sick/annual hour/salari minimum/maximum
        allow/prohibit accept/reject higher/lower
        """
    )
)


def _opposite(stem: str) -> set[str]:
    return {b if stem == a else a for a, b in _OPPOSITES if stem in (a, b)}


_CHECKS: tuple[Callable[[Draft], str], ...] = (
    _form,
    _names,
    numbers,
    case_of_numbers,
    _words,
    polarity,
    yes_or_no,
    conditions,
    _echo,
)
