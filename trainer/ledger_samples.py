"""Learn from the ledger: what HR corrected and approved, what people voted, which matches HR refused.

Enters: an open ledger, and the index as it is now. Leaves: samples for all learners, and what is not learned from.

Whose words are imitated: HR's alone. A correction is one that is live, so HR wrote or approved it; the bot's own answer
counts as good where people said so, and is imitated where HR approved it. What HR says of an answer outweighs what
others say of it; of several votes of one person the last counts, and later ones count for more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select

from bot.answer import Citation, Route
from bot.feedback import Correction, Corrections, Status
from bot.schema import CORRECTIONS, INTERACTIONS, UNLINKS
from bot.store import Interaction, Store, Vote, interaction_of
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from trainer.samples import (
    REPLAY,
    Dropped,
    Sample,
    evidence_for,
    evidence_in,
    is_supported,
    messages_of,
    passage_row,
    said,
)

SOURCE = "feedback"
# A vote half a year older counts half; HR's for three people's.
_HALF_LIFE = timedelta(days=180)
_HR_WEIGHT = 3.0
# Below this share of agreement nobody knows what an answer is worth.
_AGREEMENT = 1 / 3
# A correction and a passage this near say the same, as far as vectors tell; grounding decides.
_MATCHING = 0.5
_NOT_IN_POLICIES = re.compile(
    r"\b(?:not|nothing|isn't|aren't)\b[^.]{0,30}\bin (?:the|our|any|these) (?:polic(?:y|ies)|handbook|documents)\b"
    r"|\bthere is no policy\b|\bno policy (?:on|about|for|says|covers)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Known:
    """An answer with what is said of it."""

    answered: Interaction
    correction: Correction | None
    votes: tuple[Vote, ...]


def ledger_samples(store: Store, snapshot: Snapshot, embedder: Embedder) -> list[Sample | Dropped]:
    """All that the ledger teaches, oldest first."""
    hr = _people_of_hr(store)
    latest = max((one.answered.at for one in _known(store)), default=None)
    found: list[Sample | Dropped] = []
    for one in _known(store):
        if one.answered.route is Route.SENSITIVE:
            continue
        found += _of_correction(one, snapshot, embedder) if one.correction else _of_votes(one, hr, latest)
    return [*found, *_of_matches(store, hr)]


def _known(store: Store) -> Iterator[_Known]:
    live = {one.interaction_id: one for one in Corrections(store).corrections(Status.LIVE)}  # the last of each counts
    with store.reading() as connection:
        query = select(INTERACTIONS).order_by(INTERACTIONS.c.at, INTERACTIONS.c.id)
        rows = connection.execute(query).mappings().all()
    for row in rows:
        answered = interaction_of(row)
        yield _Known(answered, live.get(answered.id), store.current_votes(answered.id))


def _people_of_hr(store: Store) -> frozenset[str]:
    """Whoever acted as HR, as hashes."""
    with store.reading() as connection:
        return frozenset(connection.scalars(select(CORRECTIONS.c.person).where(CORRECTIONS.c.is_hr).distinct()))


def _of_correction(one: _Known, snapshot: Snapshot, embedder: Embedder) -> Iterator[Sample | Dropped]:
    """HR's answer: said from evidence that supports it, better than what was said, and where it stands."""
    answered, correction = one.answered, one.correction
    assert correction is not None
    question, text = answered.asked or answered.question, correction.text
    is_approval = text == answered.answer
    label = "approved" if is_approval else "corrected"
    make = _maker(answered, label, correction.owner)
    shown = evidence_in(() if answered.abstained else answered.citations)
    named = list(_passages(correction, answered, snapshot, embedder))
    standing = next(((cited, found) for cited in named if (found := evidence_for(text, cited, question))), None)
    if is_supported(text, shown, question):
        evidence, cited = shown, None
    elif standing:
        cited, evidence = standing
    elif _NOT_IN_POLICIES.search(text):
        negatives = [passage_row(cited) for cited in answered.passages[:4]]
        yield make("reading", question, {"answerable": False, "positives": [], "negatives": negatives})
        return
    else:
        evidence, cited = [], None
        yield Dropped(SOURCE, label, "no passage says what HR wrote, and facts are not trained in")
    if evidence:
        prompt = messages_of(question, evidence)
        yield make("sft", question, {"prompt": prompt, "completion": said(text)})
        yield make("kto", question, {"prompt": prompt, "completion": said(text), "label": True})
    if shown and not is_approval and answered.answer:
        prompt = messages_of(question, shown, answered.prompt)
        yield make("kto", question, {"prompt": prompt, "completion": said(answered.answer), "label": False})
    positives = [passage_row(cited, evidence)] if cited else _quoted(answered) if evidence else []
    if positives:
        right = {(one["file"], one["heading"], one["text"]) for one in positives}
        quoted = [] if is_approval or not cited else _quoted(answered)
        wrong = [one for one in quoted if (one["file"], one["heading"], one["text"]) not in right]
        yield make("reading", question, {"answerable": True, "positives": positives, "negatives": wrong})


def _of_votes(one: _Known, hr: frozenset[str], latest: datetime | None) -> Iterator[Sample | Dropped]:
    """People's opinion: good answers are desirable and show where it stands, bad ones undesirable and nothing more."""
    answered = one.answered
    if not one.votes or latest is None:
        return
    score, total = 0.0, 0.0
    for vote in one.votes:
        age = latest - (vote.happened_at or vote.at or answered.at)
        weight = (_HR_WEIGHT if vote.person in hr else 1.0) * 0.5 ** max(0.0, age / _HALF_LIFE)
        score += weight * (vote.rating - 3) / 2
        total += weight
    label = "liked" if score > 0 else "disliked"
    if abs(score) < _AGREEMENT * total:
        yield Dropped(SOURCE, label, "people do not agree")
        return
    question = answered.asked or answered.question
    make = _maker(answered, label, one.votes[-1].person)
    if answered.route is Route.VERIFIED:
        return  # HR's own words; whether they were for this question is the matcher's
    if answered.abstained:
        if label == "liked":
            negatives = [passage_row(cited) for cited in answered.passages[:4]]
            yield make("reading", question, {"answerable": False, "positives": [], "negatives": negatives})
        else:
            yield Dropped(SOURCE, label, "it was declined, and nobody said what is right")
        return
    evidence = evidence_in(answered.citations)
    if not evidence:
        yield Dropped(SOURCE, label, "its evidence is not known")
        return
    row = {"prompt": messages_of(question, evidence, answered.prompt), "completion": said(answered.answer)}
    yield make("kto", question, row | {"label": label == "liked"})
    if label == "liked":
        yield make("reading", question, {"answerable": True, "positives": _quoted(answered), "negatives": []})
        if answered.route is Route.GENERATED:  # what it says well already, so that it does not forget it
            yield _maker(answered, REPLAY, one.votes[-1].person)("sft", question, row)


def _of_matches(store: Store, hr: frozenset[str]) -> Iterator[Sample | Dropped]:
    """Verified answers that were given: right where somebody of HR said so, wrong where HR unlinked them."""
    corrections = {one.id: one for one in Corrections(store).corrections()}
    with store.reading() as connection:
        unlinked = connection.execute(select(UNLINKS).order_by(UNLINKS.c.id)).mappings().all()
    refused = {row["interaction_id"] for row in unlinked}
    for row in unlinked:
        if stored := corrections.get(row["correction_id"]):
            yield _match(stored, row["question"], row["person"], row["interaction_id"] or "", is_same=False)
        else:
            yield Dropped(SOURCE, "unlinked", "the verified answer was erased")
    for one in _known(store):
        answered = one.answered
        stored = corrections.get(answered.verified_by)
        if stored is None or answered.id in refused:
            continue
        if people := [vote.person for vote in one.votes if vote.rating > 3 and vote.person in hr]:
            yield _match(stored, answered.asked or answered.question, people[-1], answered.id, is_same=True)


def _match(stored: Correction, question: str, person: str, interaction: str, *, is_same: bool) -> Sample:
    row = {"question": question, "stored": stored.question, "answer": stored.text, "same": is_same}
    label = "confirmed" if is_same else "unlinked"
    return Sample("matching", SOURCE, label, question, row, person, interaction=interaction)


def _maker(answered: Interaction, label: str, person: str) -> Callable[..., Sample]:
    def make(learner: str, question: str, row: dict[str, object]) -> Sample:
        whole = {"question": question, **row} if learner == "reading" else row
        scope = {"audience": answered.asker.audience.value} | (
            {"country": answered.asker.country} if answered.asker.country else {}
        )
        return Sample(learner, SOURCE, label, question, whole, person, answered.at, answered.id, scope)  # type: ignore[arg-type]

    return make


def _quoted(answered: Interaction) -> list[dict[str, str]]:
    return [passage_row(cited) for cited in answered.citations]


def _passages(
    correction: Correction, answered: Interaction, snapshot: Snapshot, embedder: Embedder
) -> Iterator[Citation]:
    """Where a correction may stand: the sections that HR named, what was read for the question, and what is near."""
    named = {(source.file, source.heading) for source in correction.sources}
    chunks = [chunk for chunk in snapshot.chunks if (chunk.file, chunk.heading) in named]
    yield from (_cited(chunk.file, chunk.metadata.title, chunk.heading, chunk.text) for chunk in chunks)
    yield from answered.passages
    if len(snapshot.chunks):
        near = snapshot.vectors @ embedder.embed([correction.text])[0]
        for row in np.argsort(-near)[:4]:
            if near[row] >= _MATCHING:
                chunk = snapshot.chunks[row]
                yield _cited(chunk.file, chunk.metadata.title, chunk.heading, chunk.text)


def _cited(file: str, title: str, heading: str, text: str) -> Citation:
    return Citation(file=file, title=title, heading=heading, text=text, quote="", score=1.0)
