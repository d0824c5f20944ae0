"""Answer one question: the order of the steps lives here.

    triage → follow-up → verified answer → retrieve → read → generate → ground → cite

Enters: a `Question` and an `Assistant`, the loaded parts. Leaves: text as it becomes certain, then one `Answer`. Every
channel calls `answer()` and nothing else.

What is streamed is never taken back: the model's words are held until the sentence is complete and has been checked
against the evidence. If its first sentence fails, or there is no model to be had, the evidence is quoted instead.

Not guaranteed: that the evidence answers the question. `probability` says how likely that is.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from bot.engine import Engine, GenerationParams, Message
from bot.followup import Judge, Search, follow_up, names_a_subject
from bot.history import Turn, fit_to_use, folded, remember
from bot.prompt import PROMPT_VERSION, prompt
from bot.quote import quote
from bot.replies import declined_reply, sensitive_reply, verified_reply
from bot.triage import triage
from bot.triage.classify import Classifier
from bot.word import word
from config.errors import EngineError
from config.settings import Settings
from knowledge.embed import Embedder
from knowledge.index import Snapshot, Vectors
from knowledge.matcher import Matcher
from knowledge.read import Evidence, Reader, Reading, read
from knowledge.retrieve import Asker, Passage, retrieve
from knowledge.verified import NONE_VERIFIED, VerifiedIndex, VerifiedMatch, compare, doubt, with_verified

__all__ = ["Answer", "Asker", "Assistant", "Citation", "Question", "Route", "Timings", "Turn", "answer"]

_log = logging.getLogger(__name__)
# Policies named beside "I couldn't find an answer".
_NEAREST = 3


@dataclass(frozen=True)
class Question:
    """A question and where it was asked. `history` holds the thread's earlier turns, oldest first.

    `person` is who asks, as a hash or any other name that stays, so that they stay with one model.
    """

    text: str
    asker: Asker = field(default_factory=Asker)
    channel: str = "cli"
    history: tuple[Turn, ...] = ()
    person: str = ""


class Route(StrEnum):
    """How an answer came about."""

    GENERATED = "generated"
    QUOTED = "quoted"
    VERIFIED = "verified"
    SENSITIVE = "sensitive"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Citation:
    """Where an answer stands. `text` is the cited passage, `quote` the pieces of it that answer, a line each."""

    file: str
    title: str
    heading: str
    text: str
    quote: str
    score: float
    url: str = ""
    page: int | None = None
    effective: str = ""
    is_expired: bool = False


@dataclass(frozen=True)
class Timings:
    """Milliseconds from the question's arrival: to the first text, and to the end; and of each step."""

    ttft_ms: float
    latency_ms: float
    steps_ms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was said, and all that is needed to show where it came from.

    `abstained` is true when nothing answered: then `text` says so, names a person to ask, and `citations` holds the
    nearest policies, not sources of the text.

    What is learned from later: `asked` is the question as it was searched, a follow-up with what it refers to;
    `passages` is what was read, best first; `prompt` what the model was given and `sampling` how it drew, both empty
    where it was not asked; `verified_by` names the correction that was given.
    """

    id: str
    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    route: Route
    probability: float
    model: str
    prompt_version: str
    timings: Timings
    category: str = ""
    asked: str = ""
    passages: tuple[Citation, ...] = ()
    prompt: tuple[Message, ...] = ()
    sampling: tuple[tuple[str, float], ...] = ()
    verified_by: str = ""


@dataclass(frozen=True)
class Assistant:
    """The loaded parts that an answer needs. `snapshot` and `verified` give what is known at the moment of asking.

    `judge` tells a follow-up from a change of subject. Without a `matcher`, a verified answer is given to the very
    words of its question only; without a `classifier`, triage is by rules alone. `name` is its model's in the registry,
    "" for none.
    """

    settings: Settings
    embedder: Embedder
    reader: Reader
    judge: Judge
    engine: Engine
    snapshot: Callable[[], Snapshot]
    verified: Callable[[], VerifiedIndex] = lambda: NONE_VERIFIED
    matcher: Matcher | None = None
    classifier: Classifier | None = None
    name: str = ""
    today: Callable[[], date] = date.today

    @property
    def model(self) -> str:
        """What is recorded with its answers."""
        return self.name or self.engine.model_version


@dataclass
class _Clock:
    """How long each step took, and when the first text came, from the question's arrival."""

    began: float = field(default_factory=time.perf_counter)
    first_text_ms: float | None = None
    steps: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _last: float = field(default_factory=time.perf_counter)

    def step(self, name: str) -> None:
        """The step that ends now; one that is taken twice counts with both."""
        now = time.perf_counter()
        self.steps[name] += (now - self._last) * 1000
        self._last = now

    def spoke(self) -> None:
        if self.first_text_ms is None:
            self.first_text_ms = (time.perf_counter() - self.began) * 1000

    def timings(self) -> Timings:
        latency_ms = (time.perf_counter() - self.began) * 1000
        return Timings(self.first_text_ms or latency_ms, latency_ms, tuple(self.steps.items()))


@dataclass(frozen=True)
class _Found:
    """What was read in answer to `asked`, a wording of the question."""

    asked: str
    passages: list[Passage]
    reading: Reading

    @property
    def probability(self) -> float:
        """How likely it is that what was read answers."""
        return self.reading.probability


async def answer(question: Question, assistant: Assistant) -> AsyncGenerator[str | Answer, None]:
    """Answer a question: yields pieces of text, which together are `Answer.text`, then the `Answer`.

    Closing the iterator cancels the generation. Nothing here raises for want of a model: evidence is quoted then.
    """
    clock = _Clock()
    company = assistant.settings.company

    asked = folded(question.text)
    handling = await asyncio.to_thread(triage, asked, assistant.classifier)
    remember(asked, is_sensitive=handling.is_sensitive, classifier=assistant.classifier)
    clock.step("triage")
    if handling.is_sensitive:
        text = sensitive_reply(handling, company, question.asker.country)
        clock.spoke()
        yield text
        yield _answer(assistant, clock, text, Route.SENSITIVE, category=handling.category)
        return

    history = await asyncio.to_thread(fit_to_use, question.history, assistant.classifier)
    history = tuple(replace(turn, text=folded(turn.text)) for turn in history)
    clock.step("history")
    search = follow_up(asked, history, assistant.judge)
    found = await asyncio.to_thread(_find, search, handling.vector, question.asker, assistant, clock)
    if isinstance(found, VerifiedMatch):
        given = await asyncio.to_thread(_verified, found, search.text, assistant, clock)
        yield given.text
        yield given
    elif found.probability < assistant.settings.reading.min_probability or not found.reading.evidence:
        declined = _declined(found, assistant, clock)
        yield declined.text
        yield declined
    else:
        async with aclosing(_from_evidence(found, question.asker, assistant, clock)) as parts:
            async for part in parts:
                yield part


def _verified(found: VerifiedMatch, asked: str, assistant: Assistant, clock: _Clock) -> Answer:
    """What HR has answered, with what makes it doubtful."""
    stored = found.answer
    text = verified_reply(stored.text, stored.verified_on, doubt(stored, assistant.snapshot(), assistant.today()))
    clock.spoke()
    source = _citation(Passage(stored.chunk, found.similarity), stored.text)
    given = _answer(assistant, clock, text, Route.VERIFIED, (source,), found.probability)
    return replace(given, asked=asked, verified_by=stored.correction_id)


def _declined(found: _Found, assistant: Assistant, clock: _Clock) -> Answer:
    """That nothing answers, and which policies come nearest."""
    nearest = list(dict.fromkeys(passage.chunk.metadata.title for passage in found.passages))[:_NEAREST]
    text = declined_reply(assistant.settings.company, nearest)
    clock.spoke()
    citations = _nearest_policies(found.passages)
    declined = _answer(assistant, clock, text, Route.UNKNOWN, citations, found.probability)
    return replace(declined, asked=found.asked, passages=_read(found.passages))


async def _from_evidence(
    found: _Found, asker: Asker, assistant: Assistant, clock: _Clock
) -> AsyncGenerator[str | Answer, None]:
    """The evidence in the model's words, or as it stands where there are none."""
    reading, model = found.reading, assistant.settings.model
    said: list[str] = []
    async with aclosing(_worded(found.asked, reading.evidence, asker, assistant)) as sentences:
        async for sentence in sentences:
            clock.spoke()
            yield sentence if not said else f" {sentence}"
            said.append(sentence)
    clock.step("generate")
    route, text = Route.GENERATED, " ".join(said)
    if not said:
        route, text = Route.QUOTED, quote(reading.evidence, asker.country)
        clock.spoke()
        yield text
    result = _answer(assistant, clock, text, route, _sources(reading.evidence), found.probability)
    result = replace(result, asked=found.asked, passages=_read(found.passages))
    if assistant.settings.answering.wording == "generate":
        sampling = (("max_tokens", float(model.max_answer_tokens)), ("temperature", model.temperature))
        result = replace(result, prompt=tuple(prompt(found.asked, reading.evidence)), sampling=sampling)
    yield result


def _find(
    search: Search, said: Vectors | None, asker: Asker, assistant: Assistant, clock: _Clock
) -> VerifiedMatch | _Found:
    """What HR has answered or what the policies say; blocking, so it runs in a thread. `said` is the question's vector,
    where triage has it.

    People often go on to something else without saying so: a question that says what it is about is searched on its own
    too. What HR has answered is given then, and else the surer reading counts.
    """
    if not (search.subject and names_a_subject(search.question)):
        return _search(search, said, asker, assistant, clock)
    alone = _search(Search(search.question), said, asker, assistant, clock)
    if isinstance(alone, VerifiedMatch):
        return alone
    return max(alone, _search(search, said, asker, assistant, clock), key=lambda one: one.probability)


def _search(
    search: Search, said: Vectors | None, asker: Asker, assistant: Assistant, clock: _Clock
) -> VerifiedMatch | _Found:
    """Recognise the question, or retrieve and read; what HR may have answered is read with the policies.

    What refers back to the thread does not say on its own what is asked: it is compared with its subject beside it, and
    what matches is read beside the policies, never given.
    """
    vector = _vector(search, said, assistant.embedder)
    clock.step("embed")
    matches = compare(search.text, vector, assistant.verified(), asker, assistant.matcher)
    clock.step("match")
    if matches and matches[0].is_certain and not search.subject and assistant.settings.answering.recognise:
        return matches[0]

    settings = assistant.settings
    snapshot = assistant.snapshot()
    # What may no longer hold is given with that word, or not at all.
    matches = [match for match in matches if doubt(match.answer, snapshot, assistant.today()) is None]
    pool = retrieve(snapshot, search.text, vector, asker, settings.retrieval, assistant.today())
    pool = with_verified(pool, matches, search.text, snapshot.lexical)
    passages = assistant.reader.first_look.nearest(pool, vector, settings.retrieval.top_k)
    clock.step("retrieve")
    reading = read(search.text, vector, passages, snapshot.lexical, assistant.reader, settings.reading)
    clock.step("read")
    return _Found(search.text, passages, reading)


def _vector(search: Search, said: Vectors | None, embedder: Embedder) -> Vectors:
    """The vector to search with: `said`, the question's own, where the question is searched as it was asked."""
    return said if said is not None and search.text == search.question else embedder.embed([search.text])[0]


async def _worded(
    question: str, evidence: Sequence[Evidence], asker: Asker, assistant: Assistant
) -> AsyncGenerator[str, None]:
    """The model's sentences that stand; none when it is not to be asked, or cannot be.

    Nor is it asked to word what holds in some countries only while the asker's is not known: a quote says for which.
    """
    model = assistant.settings.model
    is_for_all = asker.country is not None or not any(piece.passage.chunk.metadata.countries for piece in evidence)
    if assistant.settings.answering.wording == "quote" or not is_for_all:
        return
    params = GenerationParams(model.max_answer_tokens, model.temperature, deadline_s=model.deadline_s)
    try:
        async with aclosing(word(question, evidence, assistant.engine, params)) as sentences:
            async for sentence in sentences:
                yield sentence
    except EngineError as error:
        _log.warning("the model gave no answer, so the policy is quoted: %s", error)


def _answer(
    assistant: Assistant,
    clock: _Clock,
    text: str,
    route: Route,
    citations: tuple[Citation, ...] = (),
    probability: float = 0.0,
    category: str = "",
) -> Answer:
    return Answer(
        id=uuid.uuid4().hex,
        text=text,
        citations=citations,
        abstained=route is Route.UNKNOWN,
        route=route,
        probability=probability,
        model=assistant.model,
        prompt_version=PROMPT_VERSION,
        timings=clock.timings(),
        category=category,
    )


def _sources(evidence: Sequence[Evidence]) -> tuple[Citation, ...]:
    """One citation per passage, in the order of its best piece; its pieces are quoted on lines of their own."""
    quoted: dict[str, list[Evidence]] = {}
    for piece in evidence:
        quoted.setdefault(piece.passage.chunk.id, []).append(piece)
    return tuple(_citation(pieces[0].passage, "\n".join(piece.text for piece in pieces)) for pieces in quoted.values())


def _read(passages: Sequence[Passage]) -> tuple[Citation, ...]:
    return tuple(map(_citation, passages))


def _nearest_policies(passages: Sequence[Passage]) -> tuple[Citation, ...]:
    best = {passage.chunk.file: passage for passage in reversed(passages)}
    return tuple(_citation(passage) for passage in list(best.values())[::-1][:_NEAREST])


def _citation(passage: Passage, quoted: str = "") -> Citation:
    chunk = passage.chunk
    return Citation(
        file=chunk.file,
        title=chunk.metadata.title,
        heading=chunk.heading,
        text=chunk.text,
        quote=quoted,
        score=passage.score,
        url=chunk.metadata.url,
        page=chunk.page,
        effective=chunk.metadata.effective.isoformat() if chunk.metadata.effective else "",
        is_expired=passage.is_expired,
    )
