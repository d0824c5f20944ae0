"""The whole flow, from a folder of documents to a vote on a streamed answer, through a real server process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.handbook import FILES, write_handbook

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parent.parent
T = TypeVar("T")
QUESTION = "how many unused days can i carry over?"


@contextmanager
def served(folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Serve the handbook in `folder` on a free port, until the block ends."""
    config = folder / "quantahr.toml"
    config.write_text(
        f'data_dir = "{folder / "data"}"\n[documents]\nfolder = "{folder / "handbook"}"\nrescan_s = 0.5\n'
        '[server]\nport = 0\n[model]\nthreads = 1\n[answering]\nwording = "generate"\n',
        encoding="utf-8",
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QUANTAHR_")}
    command = [sys.executable, "-c", "from bot.cli import main; main()", "--config", str(config), "serve"]
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stderr=stderr, text=True, env=environment, cwd=CHECKOUT)
        try:
            address = _wait(lambda: re.findall(r"http://[\d.:]+", log.read_text(encoding="utf-8")), process, log)
            with httpx.Client(base_url=address[0], timeout=120) as client:
                _wait(lambda: client.get("/readyz").status_code == 200, process, log)
                yield client, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _wait(condition: Callable[[], T], process: subprocess.Popen[str], log: Path) -> T:
    for _ in range(1_200):
        try:
            if found := condition():
                return found
        except httpx.TransportError:
            pass  # it does not listen yet
        assert process.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def ask(client: httpx.Client, question: str) -> tuple[str, dict[str, Any]]:
    """The streamed text, and the answer event."""
    text = ""
    result: dict[str, Any] = {}
    with client.stream("POST", "/api/ask", json={"question": question}, headers={"Accept": "text/event-stream"}) as r:
        assert r.status_code == 200
        event = ""
        for line in r.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                text += data["delta"] if event == "text" else ""
                result = data if event == "answer" else result
    return text, result


def test_question_to_vote_and_changed_documents_without_a_restart(tmp_path: Path) -> None:
    write_handbook(tmp_path / "handbook")
    with served(tmp_path) as (client, process):
        assert client.get("/readyz").json()["documents"] == len(FILES)
        text, result = ask(client, QUESTION)
        assert result["answer"] == text and "five" in text
        assert result["route"] in ("generated", "quoted")
        citation = result["citations"][0]
        assert (citation["file"], citation["effective"]) == ("leave.md", "2026-01-01")
        vote = {"interaction_id": result["id"], "rating": 5}
        assert client.post("/api/feedback", json=vote).status_code == 200

        changed = FILES["leave.md"].replace("five unused days", "nine unused days")
        (tmp_path / "handbook" / "leave.md").write_text(changed, encoding="utf-8")
        for _ in range(120):
            text, _ = ask(client, QUESTION)
            if "nine" in text:
                break
            time.sleep(0.5)
        assert "nine" in text and "five" not in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    with served(tmp_path) as (client, process):  # the vote is there, and nothing is read again
        assert client.post("/api/feedback", json=vote).status_code == 200
        process.kill()
        process.wait(60)
    with served(tmp_path) as (client, _):  # a server that was killed leaves no lock behind
        assert "nine" in ask(client, QUESTION)[0]


def test_server_that_cannot_come_up_says_why_and_ends(tmp_path: Path) -> None:
    config = tmp_path / "quantahr.toml"
    config.write_text(
        f'data_dir = "{tmp_path}"\n[documents]\nfolder = "{tmp_path}"\n[server]\nport = 0\n'
        f'[model]\ngguf = "{tmp_path / "absent.gguf"}"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-c", "from bot.cli import main; main()", "--config", str(config), "serve"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=120)
    assert ran.returncode == 1
    assert "absent.gguf" in ran.stderr.splitlines()[-1] and ran.stderr.splitlines()[-1].startswith("quantahr: ")
