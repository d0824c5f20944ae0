"""What Prometheus may know: counts and times, no texts and no people.

Enters: answers, failures and votes as they happen. Leaves: the text of `GET /metrics`. Every app has its own registry,
so that two of them in one process (tests, say) do not add up.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bot.answer import Answer
from bot.service import Startup

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one app."""

    def __init__(self, startup: Startup) -> None:
        self._registry = CollectorRegistry()
        self._startup = startup
        self._questions = Counter(
            "quantahr_questions", "Questions answered.", ["route", "channel"], registry=self._registry
        )
        self._declined = Counter(
            "quantahr_declined", "Questions that no policy answered.", ["channel"], registry=self._registry
        )
        self._failures = Counter(
            "quantahr_failures", "Questions that got no answer.", ["kind", "channel"], registry=self._registry
        )
        self._votes = Counter("quantahr_votes", "Votes on answers.", ["kind", "channel"], registry=self._registry)
        self._first_text = Histogram(
            "quantahr_first_text_seconds",
            "From a question's arrival to the first text of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._latency = Histogram(
            "quantahr_answer_seconds",
            "From a question's arrival to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._waiting = Gauge("quantahr_queue_length", "Questions that wait for the model.", registry=self._registry)
        self._ready = Gauge("quantahr_ready", "1 when questions can be answered.", registry=self._registry)
        self._documents = Gauge("quantahr_documents", "Documents in the index.", registry=self._registry)
        self._chunks = Gauge("quantahr_chunks", "Chunks in the index.", registry=self._registry)
        self._model = Info("quantahr_model", "The model that words the answers.", registry=self._registry)

    def answered(self, answer: Answer, channel: str) -> None:
        """Count one answer and its times."""
        self._questions.labels(answer.route.value, channel).inc()
        if answer.abstained:
            self._declined.labels(channel).inc()
        self._first_text.labels(answer.route.value).observe(answer.timings.ttft_ms / 1000)
        self._latency.labels(answer.route.value).observe(answer.timings.latency_ms / 1000)

    def failed(self, kind: str, channel: str) -> None:
        """Count a question that got no answer: `busy`, `deadline`, `cancelled` or `error`."""
        self._failures.labels(kind, channel).inc()

    def voted(self, rating: int, channel: str) -> None:
        """Count a vote by its direction."""
        kind = "withdrawn" if rating == 0 else "down" if rating < 3 else "neutral" if rating == 3 else "up"
        self._votes.labels(kind, channel).inc()

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        ready = self._startup.ready
        self._ready.set(1 if ready else 0)
        if ready:
            self._waiting.set(ready.service.waiting())
            known = ready.service.known()
            self._documents.set(known.documents)
            self._chunks.set(known.chunks)
            self._model.info({"version": ready.service.model()})
        return generate_latest(self._registry)
