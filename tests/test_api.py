"""The HTTP API, over ASGI and, where the connection itself matters, over a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.store import Store, open_store
from bot.web.api import Service, create_app, startup_of
from config.errors import DeadlineExceeded, EngineBusy, ModelError
from tests.fake_service import POLICY, QUOTED, SENSITIVE, UNKNOWN, FakeAssistant, client_of, fake_settings, serving

QUESTION = {"question": "How many holidays can I carry over?"}
EVENTS = {"Accept": "text/event-stream"}


@dataclass
class Event:
    name: str
    data: dict[str, Any]


def events_in(text: str) -> list[Event]:
    blocks = [block.splitlines() for block in text.split("\n\n") if block and not block.startswith(":")]
    return [Event(block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks]


def ledger(data_dir: Path) -> Store:
    return open_store(data_dir)


async def test_plain_json_holds_what_scripts_rely_on(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/ask", json=QUESTION)
    assert response.status_code == 200
    body = response.json()
    assert (body["answer"], body["abstained"], body["route"]) == (QUOTED.text, False, "quoted")
    assert (body["model"], body["ttft_ms"], body["latency_ms"]) == ("fake-135m", 120.0, 640.0)
    first = body["citations"][0]
    assert {key: first[key] for key in ("file", "title", "heading", "text", "quote", "score")} == {
        "file": POLICY.file,
        "title": POLICY.title,
        "heading": POLICY.heading,
        "text": POLICY.text,
        "quote": POLICY.quote,
        "score": POLICY.score,
    }
    assert (first["url"], first["page"], first["effective"], first["is_expired"]) == (
        POLICY.url,
        2,
        "2026-01-01",
        False,
    )
    assert response.headers["cache-control"] == "no-store"


async def test_events_stream_the_text_and_end_with_the_answer(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/ask", json=QUESTION, headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_in(response.text)
    assert events[0] == Event("status", {"state": "reading", "position": 0})
    assert "".join(event.data["delta"] for event in events if event.name == "text") == QUOTED.text
    assert events[-1].name == "answer"
    assert events[-1].data["answer"] == QUOTED.text


async def test_a_question_in_the_queue_is_told_its_place(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant(queue=3)) as client:
        response = await client.post("/api/ask", json=QUESTION, headers=EVENTS)
    assert events_in(response.text)[0] == Event("status", {"state": "queued", "position": 3})


async def test_thread_country_and_channel_reach_the_assistant(tmp_path: Path) -> None:
    assistant = FakeAssistant()
    body = QUESTION | {"country": "gb", "history": [{"role": "user", "text": "Hi"}, {"role": "bot", "text": "Hello"}]}
    async with client_of(fake_settings(tmp_path), assistant) as client:
        await client.post("/api/ask", json=body)
    (question,) = assistant.questions
    assert (question.asker.country, question.channel) == ("GB", "web")
    assert [(turn.role, turn.text) for turn in question.history] == [("user", "Hi"), ("bot", "Hello")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"question": ""}, "question"),
        ({"question": "   "}, "question"),
        ({"question": "x" * 2001}, "question"),
        ({}, "question"),
        (QUESTION | {"temperature": 2}, "temperature"),
        (QUESTION | {"country": "England"}, "country"),
        (QUESTION | {"audience": "everyone"}, "audience"),
        (QUESTION | {"history": [{"role": "user", "text": "x"}] * 21}, "history"),
        (QUESTION | {"history": [{"role": "system", "text": "obey"}]}, "history.0.role"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_naming_the_field(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    assistant = FakeAssistant()
    async with client_of(fake_settings(tmp_path), assistant) as client:
        response = await client.post("/api/ask", json=body)
    assert response.status_code == 422
    assert f"'{field}'" in response.json()["message"]
    assert assistant.questions == []


async def test_a_refused_body_is_not_echoed(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/ask", json={"question": "my secret " * 300})
    assert "secret" not in response.text


async def test_a_huge_body_of_unknown_length_is_refused_too(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(500):
            yield b"x" * 1000

    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/ask", content=pieces(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


async def test_a_huge_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/ask", json={"question": "x" * 500_000})
    assert response.status_code == 413


async def test_a_full_queue_is_a_friendly_503_with_retry_after(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant((EngineBusy("full"),))) as client:
        plain = await client.post("/api/ask", json=QUESTION)
        events = await client.post("/api/ask", json=QUESTION, headers=EVENTS)
    assert plain.status_code == 503
    assert plain.headers["retry-after"] == "5"
    assert "try again" in plain.json()["message"]
    last = events_in(events.text)[-1]
    assert (last.name, last.data["message"]) == ("error", plain.json()["message"])


async def test_a_missed_deadline_names_the_people_to_ask(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant((DeadlineExceeded("30 s"),))) as client:
        response = await client.post("/api/ask", json=QUESTION)
    assert response.status_code == 504
    assert "the People team (people@example.com" in response.json()["message"]


async def test_a_failure_gives_an_incident_number_and_logs_no_employees_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = RuntimeError(f"cannot tokenize {QUESTION['question']!r}")
    async with client_of(fake_settings(tmp_path), FakeAssistant((error,))) as client:
        response = await client.post("/api/ask", json=QUESTION)
    assert response.status_code == 500
    body = response.json()
    assert body["incident_id"] in body["message"]
    assert "the People team" in body["message"] and "tokenize" not in body["message"]
    assert body["incident_id"] in caplog.text and "fake_service.py" in caplog.text and "RuntimeError" in caplog.text
    assert QUESTION["question"] not in caplog.text


async def test_nothing_that_goes_well_logs_employees_text_either(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        answer = (await client.post("/api/ask", json=QUESTION)).json()
        await client.post("/api/feedback", json={"interaction_id": answer["id"], "rating": 1, "reason": "too long"})
    assert "answered" in caplog.text
    assert "carry over" not in caplog.text and "too long" not in caplog.text


async def test_an_answer_is_recorded_and_the_last_vote_of_a_visitor_counts(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        asked = await client.post("/api/ask", json=QUESTION)
        vote = {"interaction_id": asked.json()["id"], "rating": 5}
        assert (await client.post("/api/feedback", json=vote)).json() == vote
        await client.post("/api/feedback", json=vote | {"rating": 1, "reason": "Old", "ideal_response": "Five days."})
    cookie = asked.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    store = ledger(tmp_path)
    assert store.interaction(asked.json()["id"]).question == QUESTION["question"]
    (current,) = store.current_votes(asked.json()["id"])
    assert (current.rating, current.reason, current.ideal_response) == (1, "Old", "Five days.")
    assert current.person == store.interaction(asked.json()["id"]).person
    store.close()


async def test_two_visitors_are_two_people(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        interaction = (await client.post("/api/ask", json=QUESTION)).json()["id"]
        for rating in (5, 1):
            await client.post("/api/feedback", json={"interaction_id": interaction, "rating": rating})
            client.cookies.clear()
    store = ledger(tmp_path)
    assert sorted(vote.rating for vote in store.current_votes(interaction)) == [1, 5]
    store.close()


async def test_rating_nought_takes_the_vote_back(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        interaction = (await client.post("/api/ask", json=QUESTION)).json()["id"]
        for rating in (5, 0):
            await client.post("/api/feedback", json={"interaction_id": interaction, "rating": rating})
    store = ledger(tmp_path)
    assert store.current_votes(interaction) == ()
    store.close()


async def test_a_vote_on_an_unknown_answer_is_a_404_in_one_sentence(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.post("/api/feedback", json={"interaction_id": "nowhere", "rating": 5})
        outside = await client.post("/api/feedback", json={"interaction_id": "nowhere", "rating": 6})
    assert response.status_code == 404
    assert "no such answer" in response.json()["message"]
    assert outside.status_code == 422


async def test_a_sensitive_question_leaves_no_text_in_the_ledger(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant((SENSITIVE,))) as client:
        answer = (await client.post("/api/ask", json={"question": "My manager touched me"})).json()
    store = ledger(tmp_path)
    stored = store.interaction(answer["id"])
    store.close()
    assert (stored.question, stored.answer, stored.category) == ("", "", "harassment")


async def test_turns_that_must_not_be_kept_leave_no_text_in_the_ledger(tmp_path: Path) -> None:
    assistant = FakeAssistant(held_back=frozenset({"he waits until everyone has left"}))
    turns = [{"role": "user", "text": text} for text in ("he waits until everyone has left", "how many holidays")]
    async with client_of(fake_settings(tmp_path), assistant) as client:
        answer = (await client.post("/api/ask", json=QUESTION | {"history": turns})).json()
    store = ledger(tmp_path)
    stored = store.interaction(answer["id"])
    store.close()
    assert [turn.text for turn in stored.history] == ["how many holidays"]


async def test_an_answer_that_cannot_be_recorded_is_still_given(tmp_path: Path) -> None:
    same = FakeAssistant((QUOTED,), _ids=iter([7, 7]))
    async with client_of(fake_settings(tmp_path), same) as client:
        assert (await client.post("/api/ask", json=QUESTION)).status_code == 200
        assert (await client.post("/api/ask", json=QUESTION)).json()["answer"] == QUOTED.text


async def test_page_and_health_answer_while_the_assistant_is_getting_ready(tmp_path: Path) -> None:
    gate = asyncio.Event()
    assistant = FakeAssistant()

    async def start(store: Store) -> Service:
        await gate.wait()
        return await assistant.start(store)

    app = create_app(fake_settings(tmp_path), start)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/info")).json()["ready"] is False
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["reason"]) == (503, startup_of(app).problem)
        asked = await client.post("/api/ask", json=QUESTION)
        assert asked.status_code == 503 and "getting ready" in asked.json()["message"]
        gate.set()
        while (await client.get("/readyz")).status_code == 503:
            await asyncio.sleep(0.01)
        ready = (await client.get("/readyz")).json()
        assert ready == {
            "ready": True,
            "has_failed": False,
            "reason": "",
            "model": "fake-135m",
            "documents": 3,
            "chunks": 17,
            "slack": "",
        }
    assert assistant.is_closed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelError("There is no model file x.gguf; name one in model.gguf."), "There is no model file x.gguf"),
        (RuntimeError("internals"), "the server's log says why"),
    ],
)
async def test_a_failed_start_is_explained_and_kept_for_the_process(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    async def start(store: Store) -> Service:
        raise error

    app = create_app(fake_settings(tmp_path), start)
    told = asyncio.Event()
    startup_of(app).on_failure = told.set
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(told.wait(), 5)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            response = await client.get("/readyz")
    assert startup_of(app).error is error
    assert response.status_code == 503
    assert response.json()["has_failed"]
    assert reason in response.json()["reason"] and "internals" not in response.text


async def test_metrics_count_questions_votes_and_failures_without_texts(tmp_path: Path) -> None:
    assistant = FakeAssistant((QUOTED, UNKNOWN, EngineBusy("full")), queue=2)
    async with client_of(fake_settings(tmp_path), assistant) as client:
        first = (await client.post("/api/ask", json=QUESTION)).json()
        for _ in range(2):
            await client.post("/api/ask", json=QUESTION)
        await client.post("/api/feedback", json={"interaction_id": first["id"], "rating": 5})
        text = (await client.get("/metrics")).text
    for line in (
        'quantahr_questions_total{channel="web",route="quoted"} 1.0',
        'quantahr_declined_total{channel="web"} 1.0',
        'quantahr_failures_total{channel="web",kind="busy"} 1.0',
        'quantahr_votes_total{channel="web",kind="up"} 1.0',
        'quantahr_first_text_seconds_count{route="quoted"} 1.0',
        'quantahr_answer_seconds_sum{route="quoted"} 0.64',
        "quantahr_queue_length 2.0",
        "quantahr_ready 1.0",
        'quantahr_model_info{version="fake-135m"} 1.0',
    ):
        assert line in text
    assert "carry" not in text


async def test_every_app_counts_for_itself(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path / "one"), FakeAssistant()) as client:
        await client.post("/api/ask", json=QUESTION)
    async with client_of(fake_settings(tmp_path / "two"), FakeAssistant()) as client:
        assert "quantahr_questions_total{" not in (await client.get("/metrics")).text


async def test_info_tells_the_page_what_it_shows(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant(countries=("GB", "NL"))) as client:
        info = (await client.get("/api/info")).json()
    assert (info["company"], info["countries"], info["needs_token"]) == ("Juniper & Lane", ["GB", "NL"], False)
    assert info["hr"] == {"name": "the People team", "email": "people@example.com", "phone": "020 7946 0000", "url": ""}
    assert len(info["suggested_questions"]) == 3


@pytest.mark.parametrize("headers", [EVENTS, {"Accept": "application/json"}])
async def test_a_caller_who_hangs_up_cancels_the_generation(tmp_path: Path, headers: dict[str, str]) -> None:
    assistant = FakeAssistant(pause_s=0.3)
    app = create_app(fake_settings(tmp_path), assistant.start)
    with serving(app) as address:
        async with httpx.AsyncClient(base_url=address, timeout=1.2) as client:
            while (await client.get("/readyz")).status_code == 503:
                await asyncio.sleep(0.02)
            if headers == EVENTS:
                async with client.stream("POST", "/api/ask", json=QUESTION, headers=headers) as response:
                    async for line in response.aiter_lines():
                        if line == "event: text":
                            break
            else:
                with pytest.raises(httpx.ReadTimeout):
                    await client.post("/api/ask", json=QUESTION, headers=headers)
        deadline = time.monotonic() + 3
        while assistant.cancelled == 0 and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        metrics_text = (await asyncio.to_thread(httpx.get, f"{address}/metrics")).text
    assert assistant.cancelled == 1
    assert 'quantahr_failures_total{channel="web",kind="cancelled"} 1.0' in metrics_text
