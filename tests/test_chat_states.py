"""The chat page when there is nobody to talk to yet, or any more, or not without a token; in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bot.store import Store
from bot.web.api import Service, create_app
from config.errors import ModelError
from tests.chromium import QUESTION, ask, chat, launched, needs_chromium, opened
from tests.fake_service import FakeAssistant, fake_settings, serving

TOKEN = "correct horse battery staple"

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as started:
        yield started


async def test_the_page_says_that_the_assistant_is_getting_ready(browser: Browser, tmp_path: Path) -> None:
    gate = asyncio.Event()
    assistant = FakeAssistant(countries=("GB",))
    loops: list[asyncio.AbstractEventLoop] = []

    async def start(store: Store) -> Service:
        loops.append(asyncio.get_running_loop())
        await gate.wait()
        return await assistant.start(store)

    with serving(create_app(fake_settings(tmp_path), start)) as address:
        async with opened(browser, address) as page:
            await expect(page.locator("#notice")).to_contain_text("Getting ready")
            await page.get_by_label("Your question").fill(QUESTION)
            await page.keyboard.press("Enter")
            await expect(page.locator(".turn")).to_have_count(0)
            loops[0].call_soon_threadsafe(gate.set)
            await expect(page.locator("#notice")).to_be_hidden()
            await expect(page.get_by_label("Country")).to_be_visible()
            await page.get_by_role("button", name="Send").click()
            await expect(page.locator(".badge")).to_have_text("Quoted from policy")


async def test_the_page_says_why_the_assistant_could_not_start(browser: Browser, tmp_path: Path) -> None:
    async def start(store: Store) -> Service:
        raise ModelError("There is no model file x.gguf; name one in model.gguf.")

    with serving(create_app(fake_settings(tmp_path), start)) as address:
        async with opened(browser, address) as page:
            await expect(page.get_by_text("There is no model file x.gguf")).to_be_visible()
            await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_server_that_is_gone_is_noticed_and_tried_again(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await page.route("**/*", lambda route: route.abort())
        await ask(page)
        await expect(page.locator(".turn.bot")).to_contain_text("cannot be reached")
        notice = page.locator("#notice")
        await expect(notice).to_contain_text("cannot be reached")
        await page.unroute("**/*")
        await notice.get_by_role("button", name="Try again").click()
        await expect(notice).to_be_hidden()
        await page.locator(".turn").get_by_role("button", name="Try again").click()
        await expect(page.locator(".badge")).to_have_text("Quoted from policy")


async def test_where_a_token_is_needed_it_is_asked_for_once(browser: Browser, tmp_path: Path) -> None:
    settings = fake_settings(tmp_path, host="0.0.0.0", token=TOKEN)
    with serving(create_app(settings, FakeAssistant().start)) as address:
        async with opened(browser, address) as page:
            dialog = page.get_by_role("dialog", name="One thing first")
            await dialog.get_by_label("Access token").fill("guess")
            await page.keyboard.press("Enter")
            await expect(dialog.get_by_role("alert")).to_contain_text("not right")
            await dialog.get_by_label("Access token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await expect(dialog).to_be_hidden()
            await ask(page)
            await expect(page.locator(".badge")).to_have_text("Quoted from policy")
            await page.reload()
            await expect(page.get_by_role("heading", name="Juniper & Lane HR assistant")).to_be_visible()
            await expect(dialog).to_be_hidden()
            assert await page.evaluate("Object.keys(localStorage)") == []
