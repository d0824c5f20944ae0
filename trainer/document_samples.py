"""Learn from the company's documents: questions that they themselves ask or answer, with the place that answers.

Enters: the index as it is now. Leaves: samples for retriever and reader, and for the generator where the answer is
short enough to be said as it stands.

A small model writes questions that sound like the text; people's do not. So only three kinds are taken, in which the
document says itself what it answers: headings and table rows that are questions, and sentences that define a term.
Each is shown with the passages that come nearest and do not answer; the same question without the one that does
teaches declining.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bot.answer import Citation
from knowledge.chunk import Chunk
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.pieces import Piece, PieceKind, pieces
from knowledge.read import Evidence, evidence_of
from knowledge.retrieve import Passage
from trainer.samples import Sample, messages_of, passage_row, said

SOURCE = "documents"
_QUESTION = re.compile(
    r"^(?:what|when|where|who|which|why|how|can|may|must|do|does|is|are|will|should|am|if)\b.{6,}\?$", re.IGNORECASE
)
_DEFINITION = re.compile(
    r"^[“\"']?(?P<term>(?:an? |the )?[\w-]+(?: [\w-]+){0,3})[”\"']? (?:means|refers to|is defined as) .{15,}$"
)
_MOST_WORDS = 40


@dataclass(frozen=True)
class _Found:
    """A question that a chunk answers with some of its pieces."""

    label: str
    question: str
    chunk: int
    evidence: tuple[Evidence, ...]


def document_samples(snapshot: Snapshot, embedder: Embedder, distractors: int) -> list[Sample]:
    """All that the documents ask and answer themselves, in the order of the documents."""
    found = [one for row, chunk in enumerate(snapshot.chunks) for one in _questions(row, chunk)]
    if not found:
        return []
    vectors = embedder.embed([one.question for one in found])
    samples: list[Sample] = []
    for one, vector in zip(found, vectors, strict=True):
        samples += _samples(one, snapshot, np.asarray(snapshot.vectors @ vector), distractors)
    return samples


def _questions(row: int, chunk: Chunk) -> Iterator[_Found]:
    passage = Passage(chunk, 1.0, 1.0)
    own = pieces(chunk.text)

    def found(label: str, question: str, evidence: list[Piece]) -> _Found:
        return _Found(label, question, row, tuple(evidence_of(passage, piece, 1.0) for piece in evidence))

    heading = chunk.heading_path[-1].strip() if chunk.heading_path else ""
    if _QUESTION.match(heading) and own:
        yield found("heading", heading, own[:3])
    for piece in own:
        cells = piece.text.split(" | ")
        if piece.kind is PieceKind.TABLE_ROW and len(cells) == 2 and _QUESTION.match(cells[0]):
            yield found("table", cells[0], [piece])
        elif piece.kind is PieceKind.SENTENCE and (definition := _DEFINITION.match(piece.text)):
            yield found("definition", f"What does {definition['term'].lower()} mean?", [piece])


def _samples(one: _Found, snapshot: Snapshot, near: np.ndarray, distractors: int) -> Iterator[Sample]:
    chunk = snapshot.chunks[one.chunk]
    others = [
        snapshot.chunks[row] for row in np.argsort(-near, kind="stable") if _is_other(snapshot.chunks[row], chunk)
    ]
    wrong = [passage_row(_cited(other)) for other in others[:distractors]]
    right = passage_row(_cited(chunk), one.evidence)
    row = {"question": one.question, "answerable": True, "positives": [right], "negatives": wrong}
    yield Sample("reading", SOURCE, one.label, one.question, row)
    if wrong:
        missing = {"question": one.question, "answerable": False, "positives": [], "negatives": wrong}
        yield Sample("reading", SOURCE, "unanswerable", one.question, missing)
    answer = _answer(one)
    if len(answer.split()) <= _MOST_WORDS:
        prompt = messages_of(one.question, one.evidence)
        yield Sample("sft", SOURCE, one.label, one.question, {"prompt": prompt, "completion": said(answer)})


def _answer(one: _Found) -> str:
    if one.label == "table":
        return one.evidence[0].text.split(" | ")[1]
    return " ".join(piece.in_context for piece in one.evidence)


def _is_other(chunk: Chunk, than: Chunk) -> bool:
    """Another section: neighbours of one section may answer as well."""
    return (chunk.file, chunk.heading_path) != (than.file, than.heading_path)


def _cited(chunk: Chunk) -> Citation:
    return Citation(chunk.file, chunk.metadata.title, chunk.heading, chunk.text, "", 1.0)
