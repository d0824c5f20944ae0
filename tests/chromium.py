"""The chat page in a real browser, Debian's Chromium, for the tests of what people see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.web.api import create_app
from tests.fake_service import FakeAssistant, fake_settings, serving

CHROMIUM = Path("/usr/bin/chromium")
# Root has no sandbox; the rest keeps Chromium from looking for hosts of its maker's.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = (1280, 800)
QUESTION = "How many holidays can I carry over?"

needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}; install Debian's package chromium")


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, address: str, size: tuple[int, int] = DESKTOP, scheme: str = "light"
) -> AsyncIterator[Page]:
    """The page, watched: at the end nothing was complained about and no other host was asked for anything."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = await context.new_page()
    complaints: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    await page.goto(address)
    yield page
    await context.close()
    # Chromium itself reports every response that is an error; which ones there may be is for the test to say.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    assert hosts == {urlsplit(address).netloc}


@asynccontextmanager
async def chat(
    browser: Browser,
    data_dir: Path,
    assistant: FakeAssistant,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
) -> AsyncIterator[Page]:
    """The page over an assistant that is ready."""
    with serving(create_app(fake_settings(data_dir), assistant.start)) as address:
        async with opened(browser, address, size, scheme) as page:
            await expect(page.get_by_role("heading", name="Juniper & Lane")).to_be_visible()
            await expect(page.locator("#notice")).to_be_hidden()
            yield page


async def ask(page: Page, question: str = QUESTION) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.keyboard.press("Enter")
    await expect(page.locator("#stop")).to_be_hidden()
