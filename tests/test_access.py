"""Who may call the web app, and what its responses tell the browser to refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.web.api import create_app
from config.errors import ConfigError
from config.settings import Audience
from tests.fake_service import FakeAssistant, client_of, fake_settings

QUESTION = {"question": "How many holidays can I carry over?"}
TOKEN = "correct horse battery staple"


async def test_listening_beyond_this_machine_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="QUANTAHR_SERVER__API_TOKEN"):
        create_app(fake_settings(tmp_path, host="0.0.0.0"), FakeAssistant().start)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_beyond_this_machine_callers_without_the_token_get_nothing(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    assistant = FakeAssistant()
    async with client_of(fake_settings(tmp_path, "0.0.0.0", TOKEN), assistant, headers) as client:
        refused = [
            await client.post("/api/ask", json=QUESTION),
            await client.post("/api/feedback", json={"interaction_id": "x", "rating": 5}),
            await client.get("/api/info"),
            await client.get("/api/anything"),
            await client.get("/metrics"),
        ]
        is_open = [await client.get(path) for path in ("/", "/static/chat.js", "/healthz", "/readyz")]
    assert [response.status_code for response in refused] == [401] * 5
    assert [response.status_code for response in is_open] == [200] * 4
    assert all("token" in response.json()["message"] for response in refused)
    assert assistant.questions == []


async def test_beyond_this_machine_the_token_opens_everything(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "hr.example.com"}
    async with client_of(fake_settings(tmp_path, "0.0.0.0", TOKEN), FakeAssistant(), headers) as client:
        assert (await client.post("/api/ask", json=QUESTION)).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/api/info")).json()["needs_token"] is True


async def test_only_the_trusted_token_opens_another_audience(tmp_path: Path) -> None:
    assistant = FakeAssistant()
    settings = fake_settings(tmp_path, token=TOKEN, audience=Audience.MANAGERS, trusted="of the intranet")
    bearer = {"Authorization": "Bearer of the intranet"}
    chat = {"Authorization": f"Bearer {TOKEN}"}
    async with client_of(settings, assistant) as client:
        assert (await client.post("/api/ask", json=QUESTION | {"audience": "hr"})).status_code == 403
        wrong = await client.post(
            "/api/ask", json=QUESTION | {"audience": "hr"}, headers={"Authorization": "Bearer guess"}
        )
        assert wrong.status_code == 401
        everybodys = await client.post("/api/ask", json=QUESTION | {"audience": "hr"}, headers=chat)
        assert everybodys.status_code == 403
        assert assistant.questions == []
        for body, headers in (({"audience": "hr"}, bearer), ({"audience": "all"}, {}), ({}, {})):
            assert (await client.post("/api/ask", json=QUESTION | body, headers=headers)).status_code == 200
    assert [question.asker.audience for question in assistant.questions] == ["hr", "all", "managers"]


@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.example.com", "192.168.1.20:8080", "[", ""])
async def test_another_host_name_is_refused_on_loopback(tmp_path: Path, host: str) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant(), {"Host": host}) as client:
        for path in ("/", "/api/info", "/metrics"):
            assert (await client.get(path)).status_code == 403


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:9000"])
async def test_every_name_of_this_machine_is_served(tmp_path: Path, host: str) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant(), {"Host": host}) as client:
        assert (await client.get("/api/info")).status_code == 200
        same_site = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/api/ask", json=QUESTION, headers=same_site)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_posting_from_another_site_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    assistant = FakeAssistant()
    async with client_of(fake_settings(tmp_path), assistant) as client:
        assert (await client.post("/api/ask", json=QUESTION, headers=headers)).status_code == 403
    assert assistant.questions == []


async def test_json_in_a_form_post_is_refused(tmp_path: Path) -> None:
    assistant = FakeAssistant()
    async with client_of(fake_settings(tmp_path), assistant) as client:
        for kind in ({"Content-Type": "text/plain"}, {}):
            response = await client.post("/api/ask", content=json.dumps(QUESTION), headers=kind)
            assert response.status_code == 422
            assert "application/json" in response.json()["message"]
    assert assistant.questions == []


@pytest.mark.parametrize("path", ["/", "/static/chat.js", "/static/../api.py", "/api/info", "/metrics", "/nowhere"])
async def test_every_response_is_hardened(tmp_path: Path, path: str) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        response = await client.get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    is_file = path in {"/", "/static/chat.js"}
    assert response.headers["cache-control"] == ("no-cache" if is_file else "no-store")
    if path in {"/static/../api.py", "/nowhere"}:
        assert response.status_code == 404


async def test_documentation_pages_that_load_from_elsewhere_are_off(tmp_path: Path) -> None:
    async with client_of(fake_settings(tmp_path), FakeAssistant()) as client:
        assert [(await client.get(path)).status_code for path in ("/docs", "/redoc")] == [404, 404]
        assert "/api/ask" in (await client.get("/openapi.json")).json()["paths"]
