"""What one learner is shown once: the rows of a dataset before they are written.

A sample knows where it is from and whose word it rests on, so that copies, conflicts and one person's weight can be
judged over all sources; its `row` is what is written. Evidence and prompts are rebuilt here as serving has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sentencex import segment

from bot.answer import Citation
from bot.engine import Message
from bot.ground import ground
from bot.prompt import prompt
from knowledge.chunk import HEADING_SEPARATOR, Chunk
from knowledge.metadata import PolicyMetadata
from knowledge.pieces import pieces
from knowledge.read import Evidence, evidence_of
from knowledge.retrieve import Passage

# "sft": the generator is shown what to say; "kto": what was good and what not; "reading": for retriever and reader,
# which passages answer; "matching": whether a stored answer answers another question.
Learner = Literal["sft", "kto", "reading", "matching"]
# The label of rows that keep what a model knows, of which only a share is taken.
REPLAY = "replay"
LEARNERS: tuple[Learner, ...] = ("sft", "kto", "reading", "matching")


@dataclass(frozen=True)
class Sample:
    """One row to be. `question` is what it is grouped by; `person` the hash of whose word it rests on, "" for none.

    `scope` says for whom it holds, as question files do.
    """

    learner: Learner
    source: str
    label: str
    question: str
    row: Mapping[str, Any]
    person: str = ""
    at: datetime | None = field(default=None, compare=False)
    interaction: str = ""
    scope: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Dropped:
    """Something that is not learned from, and why."""

    source: str
    label: str
    reason: str


def evidence_in(citations: Sequence[Citation]) -> list[Evidence]:
    """The evidence of an answer as it was given, rebuilt from what it cited."""
    found = []
    for number, cited in enumerate(citations):
        chunk = chunk_of(cited, number)
        quoted = set(cited.quote.split("\n"))
        passage = Passage(chunk, cited.score, cited.score)
        found += [evidence_of(passage, piece, 1.0) for piece in pieces(cited.text) if piece.text in quoted]
    return found


def is_supported(text: str, evidence: Sequence[Evidence], question: str) -> bool:
    """Whether serving would let a text through, sentence by sentence."""
    sentences = [sentence.strip() for sentence in segment("en", text)]
    return bool(evidence) and all(ground(one, evidence, question).is_supported for one in sentences if one)


def evidence_for(text: str, cited: Citation, question: str) -> list[Evidence]:
    """The pieces of a passage that support a text, each of them needed; none where they do not."""
    passage = Passage(chunk_of(cited, 0), cited.score, cited.score)
    all_of_it = [evidence_of(passage, piece, 1.0) for piece in pieces(cited.text)]
    if not is_supported(text, all_of_it, question):
        return []
    needed = list(all_of_it)
    for piece in all_of_it:
        fewer = [one for one in needed if one is not piece]
        if is_supported(text, fewer, question):
            needed = fewer
    return needed


def chunk_of(cited: Citation, number: int) -> Chunk:
    """A cited passage as the chunk that it was."""
    path = tuple(cited.heading.split(HEADING_SEPARATOR)) if cited.heading else ()
    return Chunk(
        f"{cited.file}#{number}", cited.file, number, path, cited.text, cited.page, PolicyMetadata(cited.title)
    )


def messages_of(question: str, evidence: Sequence[Evidence], stored: Sequence[Message] = ()) -> list[dict[str, str]]:
    """The prompt: as it was, where it is known, else as serving renders it for this evidence."""
    return [asdict(message) for message in (stored or prompt(question, evidence))]


def said(text: str) -> list[dict[str, str]]:
    """An answer as a completion."""
    return [{"role": "assistant", "content": text}]


def passage_row(cited: Citation, evidence: Sequence[Evidence] = ()) -> dict[str, str]:
    """A passage as retriever and reader are shown it; `quote` is what answers in it, a piece a line."""
    quote = "\n".join(piece.text for piece in evidence) or cited.quote
    return {"file": cited.file, "heading": cited.heading, "text": cited.text, "quote": quote}
