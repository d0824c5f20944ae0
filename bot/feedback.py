"""What people say about answers, and what HR makes of it: corrections, suggestions, and the verified answers they give.

Enters: corrections as they are written, edited, approved, rejected and withdrawn, in whatever order a channel delivers
them. Leaves: each `Correction` as it stands, and the `VerifiedIndex` from which `bot/answer.py` answers; a correction
is in it as soon as `correct` returns, and other processes on the same ledger see it with their next question.

Every step is appended. What a correction is follows from its steps in the order in which they happened: the last text
counts, and the last word on whether it is live. What HR writes is live at once; what others write waits until HR
approves it, and waits again when they change it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, Select, func, insert, select

from bot.answer import Route
from bot.schema import CORRECTIONS, ERASURES, INTERACTIONS, UNLINKS
from bot.store import Interaction, Store, Vote, in_utc, interaction_of
from config.errors import UnknownCorrection, UnknownInteraction, Unverifiable
from config.settings import Audience
from knowledge.embed import Embedder
from knowledge.index import Snapshot
from knowledge.verified import NONE_VERIFIED, Source, VerifiedAnswer, VerifiedIndex, make_verified_index, source_of

_log = logging.getLogger(__name__)
_AUDIENCES = list(Audience)
MAX_CHARS = 4_000
_NEVER = datetime.max.replace(tzinfo=UTC)
# Whoever writes it as HR stands behind it without a tick of their own.
_AS_AUTHOR = "author"


class Step(StrEnum):
    """What happened to a correction. An approval that is taken back leaves those of others."""

    WRITE = "write"
    APPROVE = "approve"
    UNAPPROVE = "unapprove"
    REJECT = "reject"
    WITHDRAW = "withdraw"


class Status(StrEnum):
    """What a correction is now."""

    SUGGESTED = "suggested"
    LIVE = "live"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Writing:
    """A right answer as somebody wrote it.

    `id` names it in its channel ("slack:C1:1700.1"): writing again under the same id edits it. `person` is what the
    channel calls its author, `is_hr` says whether they may correct. Empty `question` is the one that was answered;
    `sources`, `audience` and `countries` that are None follow from what the answer cited. `happened_at` is the
    channel's time.
    """

    id: str
    interaction_id: str
    text: str
    person: str
    is_hr: bool
    happened_at: datetime | None = None
    question: str = ""
    sources: tuple[Source, ...] | None = None
    audience: Audience | None = None
    countries: tuple[str, ...] | None = None
    review_on: date | None = None


@dataclass(frozen=True)
class Decision:
    """What somebody of HR, or for a withdrawal its author, decided about a correction.

    A channel may deliver it before the text that it is about; `interaction_id` says then which answer that corrects.
    """

    id: str
    step: Step
    person: str
    is_hr: bool
    happened_at: datetime | None = None
    interaction_id: str = ""


@dataclass(frozen=True)
class Correction:
    """A correction or suggestion as it stands. `id` and `owner` are hashes; `written_at` is of the text it has now, and
    `live_since` when HR stood behind that last."""

    id: str
    interaction_id: str
    question: str
    text: str
    status: Status
    owner: str
    written_at: datetime
    sources: tuple[Source, ...] = ()
    audience: Audience = Audience.ALL
    countries: tuple[str, ...] = ()
    review_on: date | None = None
    live_since: datetime = _NEVER


class Corrections:
    """Corrections as they stand, and decisions about them. Blocking, about a millisecond a call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, decision: Decision) -> Correction | None:
        """Append a decision; gives the correction as it stands then. Deciding the same twice changes nothing more.

        None means that its text has not arrived yet; the decision counts when it does.

        Raises:
            UnknownCorrection: There is no such correction and no `interaction_id`, or whoever decides may not.
        """
        named, person = self._name(decision.id), self._store.hash(decision.person)
        with self._store.writing() as connection:
            before = _find(connection, named)
            if before is None and not decision.interaction_id:
                raise _unknown(named)
            is_own = decision.step is Step.WITHDRAW and (before is None or before.owner == person)
            if not (decision.is_hr or is_own):
                raise UnknownCorrection("Only people of HR decide about corrections; ask one of them.")
            answered = _answered(connection, before.interaction_id if before else decision.interaction_id)
            row = self._step(decision.id, decision.step, answered.id, decision.person, decision.happened_at)
            connection.execute(insert(CORRECTIONS).values(row | _no_text(decision.is_hr)))
            return _find(connection, named)

    def correction(self, correction_id: str) -> Correction:
        """One correction, by its channel's name for it or by its id here.

        Raises:
            UnknownCorrection: There is none.
        """
        if found := self.find(correction_id):
            return found
        raise _unknown(correction_id)

    def live_for(self, interaction_id: str) -> Correction | None:
        """What HR stands behind in place of one answer; None where that is the answer itself or nothing."""
        with self._store.reading() as connection:
            query = select(CORRECTIONS.c.correction_id).where(CORRECTIONS.c.interaction_id == interaction_id).distinct()
            found = [_find(connection, name) for name in connection.scalars(query).all()]
        live = [one for one in found if one and one.status is Status.LIVE]
        return max(live, key=lambda one: one.live_since, default=None)

    def find(self, correction_id: str) -> Correction | None:
        """The same; None where there is none."""
        with self._store.reading() as connection:
            return _find(connection, self._name(correction_id))

    def corrections(self, status: Status | None = None) -> list[Correction]:
        """All corrections, or those of one status, oldest first."""
        with self._store.reading() as connection:
            found = _fold_all(connection)
        return [one for one in found if status is None or one.status is status]

    def _step(
        self, correction_id: str, step: Step, interaction_id: str, person: str, happened_at: datetime | None
    ) -> dict[str, object]:
        now = datetime.now(UTC)
        return {
            "at": now,
            "happened_at": happened_at.astimezone(UTC) if happened_at else now,
            "correction_id": self._name(correction_id),
            "step": step.value,
            "interaction_id": interaction_id,
            "person": self._store.hash(person),
        }

    def _name(self, correction_id: str) -> str:
        """Channels name corrections by their messages, the ledger by the hash of that."""
        return self._store.hash(correction_id) if ":" in correction_id else correction_id


class Feedback(Corrections):
    """All that people say of answers, over an open ledger. Safe to use from several threads."""

    def __init__(self, store: Store, snapshot: Callable[[], Snapshot], embedder: Embedder) -> None:
        super().__init__(store)
        self._snapshot = snapshot
        self._embedder = embedder
        self._lock = threading.Lock()
        self._version: tuple[int, ...] = ()
        self._verified = NONE_VERIFIED

    def correct(self, writing: Writing) -> Correction:
        """Append a text; gives the correction as it stands then.

        Raises:
            UnknownInteraction: No such answer was recorded.
            Unverifiable: The text is empty or too long, or the answer was to a sensitive message, whose question was
                not kept.
        """
        with self._store.writing() as connection:
            return self._write(connection, writing)

    def vote(self, vote: Vote, *, is_hr: bool = False) -> None:
        """Append a vote, and as a suggestion (of HR, a correction) what its `ideal_response` says.

        A vote that is taken back takes its suggestion back.

        Raises:
            UnknownInteraction: No such answer was recorded.
        """
        written = Writing(
            f"{vote.person}:{vote.interaction_id}",
            vote.interaction_id,
            vote.ideal_response,
            vote.person,
            is_hr,
            vote.happened_at,
        )
        with self._store.writing() as connection:
            route = self._store.vote_within(connection, vote)
            if route is Route.SENSITIVE:
                return
            if vote.ideal_response.strip():
                self._write(connection, written)
            elif vote.rating == 0 and ":reaction:" not in vote.source and _find(connection, self._name(written.id)):
                row = self._step(written.id, Step.WITHDRAW, vote.interaction_id, vote.person, vote.happened_at)
                connection.execute(insert(CORRECTIONS).values(row | _no_text(is_hr)))

    def unlink(self, interaction_id: str, person: str) -> None:
        """Say that the verified answer which was given there does not answer that question; it never will again.

        Raises:
            UnknownInteraction: No such answer was recorded, or it was no verified one.
        """
        with self._store.writing() as connection:
            answered = _answered(connection, interaction_id)
            if not answered.verified_by:
                raise UnknownInteraction("That answer was none that HR had verified, so there is nothing to unlink.")
            row = {
                "at": datetime.now(UTC),
                "correction_id": answered.verified_by,
                "interaction_id": interaction_id,
                "person": self._store.hash(person),
                "question": answered.asked or answered.question,
            }
            connection.execute(insert(UNLINKS).values(row))

    def verified(self) -> VerifiedIndex:
        """What HR stands behind at this moment. Only what is new since the last call is embedded."""
        with self._lock:
            with self._store.reading() as connection:
                version = _version(connection)
                if version == self._version:
                    return self._verified
                corrections, refused = _fold_all(connection), _unlinked(connection)
            self._verified = make_verified_index(_live(corrections, refused), self._embedder, self._verified)
            self._version = version
            return self._verified

    def _write(self, connection: Connection, writing: Writing) -> Correction:
        text = writing.text.strip()
        if not text or len(text) > MAX_CHARS:
            raise Unverifiable(
                f"A correction needs from 1 to {MAX_CHARS:,} characters and this has {len(text):,}; write the answer "
                "as the next employee should read it."
            )
        answered = _answered(connection, writing.interaction_id)
        sources, audience, countries = self._scope(answered, writing)
        row = self._step(writing.id, Step.WRITE, writing.interaction_id, writing.person, writing.happened_at)
        row |= {
            "is_hr": writing.is_hr,
            "question": writing.question.strip() or answered.asked or answered.question,
            "text": text,
            "sources": [asdict(source) for source in sources],
            "audience": audience.value,
            "countries": list(countries),
            "review_on": writing.review_on,
        }
        connection.execute(insert(CORRECTIONS).values(row))
        return _read(connection, str(row["correction_id"]))

    def _scope(self, answered: Interaction, writing: Writing) -> tuple[Sequence[Source], Audience, Sequence[str]]:
        """What the correction rests on and whom it is for, where its author has not said.

        An answer that was found is for whom its documents are; where nothing was found, for people like the asker.
        """
        snapshot = self._snapshot()
        cited = () if answered.abstained else answered.citations
        sources = writing.sources
        if sources is None:
            places = dict.fromkeys((citation.file, citation.heading) for citation in cited)
            sources = tuple(filter(None, (source_of(snapshot, file, heading) for file, heading in places)))
        # Choosing fewer sources does not make it known to more people: all that was cited counts.
        files = {source.file for source in sources} | {citation.file for citation in cited}
        policies = [chunk.metadata for chunk in snapshot.chunks if chunk.file in files]
        audiences = [policy.audience for policy in policies]
        countries = tuple(sorted({country for policy in policies for country in policy.countries}))
        if not files or files - {chunk.file for chunk in snapshot.chunks}:
            # Nothing was found, or what was cited is another verified answer: it is for people like the asker.
            audiences.append(answered.asker.audience)
            countries = countries or ((answered.asker.country,) if answered.asker.country and files else ())
        audience = max(audiences, key=_AUDIENCES.index)
        if answered.asker.country in countries:
            countries = (str(answered.asker.country),)
        return (
            sources,
            audience if writing.audience is None else writing.audience,
            countries if writing.countries is None else writing.countries,
        )


def _no_text(is_hr: bool) -> dict[str, object]:
    """The columns of a step that says nothing new."""
    return {"is_hr": is_hr, "sources": [], "audience": Audience.ALL.value, "countries": []}


def _answered(connection: Connection, interaction_id: str) -> Interaction:
    row = connection.execute(select(INTERACTIONS).where(INTERACTIONS.c.id == interaction_id)).mappings().one_or_none()
    if row is None:
        raise UnknownInteraction("There is no such answer; it may have been erased.")
    answered = interaction_of(row)
    if answered.route is Route.SENSITIVE:
        raise Unverifiable(
            "That answered a sensitive message, whose text is not kept; such messages have fixed replies and a person "
            "to turn to."
        )
    return answered


def _find(connection: Connection, correction_id: str) -> Correction | None:
    return fold(connection.execute(_steps().where(CORRECTIONS.c.correction_id == correction_id)).mappings().all())


def _read(connection: Connection, correction_id: str) -> Correction:
    if found := _find(connection, correction_id):
        return found
    raise _unknown(correction_id)


def _unknown(correction_id: str) -> UnknownCorrection:
    return UnknownCorrection(f"There is no correction {correction_id}; 'quantahr feedback list' names those there are.")


def _fold_all(connection: Connection) -> list[Correction]:
    steps: dict[str, list[RowMapping]] = {}
    for row in connection.execute(_steps()).mappings():
        steps.setdefault(row["correction_id"], []).append(row)
    found = []
    for name, rows in steps.items():
        try:
            found.append(fold(rows))
        except (ValueError, TypeError, KeyError):  # one spoilt row must not keep everybody from an answer
            _log.exception("the correction %s in the ledger cannot be read", name[:12])
    return sorted(filter(None, found), key=lambda correction: correction.written_at)


def _steps() -> Select[tuple[object, ...]]:
    return select(CORRECTIONS).order_by(CORRECTIONS.c.happened_at, CORRECTIONS.c.id)


@dataclass
class _Folding:
    """A correction while its steps are gone through."""

    status: Status = Status.SUGGESTED
    since: datetime = _NEVER
    approvers: set[str] = field(default_factory=set)
    written: RowMapping | None = None
    owner: str = ""


def fold(steps: Iterable[RowMapping]) -> Correction | None:
    """What the steps of one correction, in order, make of it; None where no text is among them.

    A text of somebody else's than HR's waits for HR, whatever was decided about the one before.
    """
    now = _Folding()
    for row in steps:
        before = now.status
        match Step(row["step"]):
            case Step.WRITE:
                is_same = now.written is not None and now.written["text"] == row["text"]
                now.owner = now.owner or row["person"]
                now.written = row
                now.approvers = now.approvers if is_same else set()
                if row["is_hr"]:
                    now.approvers |= {_AS_AUTHOR}
                    now.status = Status.LIVE
                elif not is_same or now.status is Status.WITHDRAWN:
                    now.status = Status.SUGGESTED
            case Step.APPROVE:
                now.approvers |= {row["person"]}
                now.status = Status.LIVE
            case Step.UNAPPROVE:
                now.approvers -= {row["person"]}
                if not now.approvers and now.status is Status.LIVE:
                    now.status = Status.WITHDRAWN
            case Step.REJECT:
                now.approvers = set()
                now.status = Status.REJECTED
            case Step.WITHDRAW:
                now.approvers = set()
                now.status = Status.WITHDRAWN
        if now.status is Status.LIVE and (before is not Status.LIVE or row["step"] == Step.WRITE):
            now.since = in_utc(row["happened_at"])
    written = now.written
    if written is None:
        return None
    return Correction(
        id=written["correction_id"],
        interaction_id=written["interaction_id"],
        question=written["question"],
        text=written["text"],
        status=now.status,
        owner=now.owner,
        written_at=in_utc(written["happened_at"]),
        sources=tuple(Source(**source) for source in written["sources"]),
        audience=Audience(written["audience"]),
        countries=tuple(written["countries"]),
        review_on=written["review_on"],
        live_since=now.since,
    )


def _live(corrections: Sequence[Correction], refused: dict[str, tuple[str, ...]]) -> list[VerifiedAnswer]:
    """The verified answers: of the live corrections of one answer only the last, oldest first."""
    live = sorted((one for one in corrections if one.status is Status.LIVE), key=lambda one: one.live_since)
    last = {one.interaction_id: one for one in live}
    return [
        replace(verified_answer(one), not_for=refused.get(one.id, ()))
        for one in live
        if last[one.interaction_id] is one
    ]


def verified_answer(correction: Correction) -> VerifiedAnswer:
    """A correction as it is given to the next who asks."""
    return VerifiedAnswer(
        question=correction.question,
        text=correction.text,
        verified_on=correction.live_since.date(),
        audience=correction.audience,
        countries=correction.countries,
        correction_id=correction.id,
        owner=correction.owner,
        sources=correction.sources,
        review_on=correction.review_on,
    )


def _unlinked(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The questions that each correction was unlinked from."""
    found: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(select(UNLINKS.c.correction_id, UNLINKS.c.question).order_by(UNLINKS.c.id)):
        found[row.correction_id] = (*found.get(row.correction_id, ()), row.question)
    return found


def _version(connection: Connection) -> tuple[int, ...]:
    """Changes with every correction, unlinking and erasure."""
    # The count as well: on a server, of two transactions the one with the lower id may be seen later.
    newest = [
        select(measure).scalar_subquery()
        for table in (CORRECTIONS, UNLINKS, ERASURES)
        for measure in (func.coalesce(func.max(table.c.id), 0), func.count(table.c.id))
    ]
    return tuple(connection.execute(select(*newest)).one())
