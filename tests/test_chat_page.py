"""A conversation on the chat page, in a real browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bot.answer import Route
from bot.store import open_store
from tests.chromium import QUESTION, ask, chat, launched, needs_chromium
from tests.fake_service import POLICY, QUOTED, SENSITIVE, UNKNOWN, FakeAssistant

PHONE = (390, 844)
NARROW = (360, 740)
STICKING_OUT = """() => [...document.querySelectorAll("html, body, header, main, footer, dialog[open], .sheet-body")]
    .filter((element) => element.scrollWidth > element.clientWidth)
    .map((element) => element.className || element.tagName)"""

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as started:
        yield started


async def test_an_answer_grows_while_it_is_written(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant(pause_s=0.15)) as page:
        await page.get_by_label("Your question").fill(QUESTION)
        await page.keyboard.press("Enter")
        text = page.locator(".turn.bot .prose")
        lengths = []
        while await page.locator("#stop").is_visible():
            lengths.append(len(await text.inner_text()) if await text.count() else 0)
            await asyncio.sleep(0.1)
        await expect(text).to_have_text(QUOTED.text)
    grown = sorted(set(lengths) - {0})
    assert len(grown) >= 4, f"the text came in one piece: {lengths}"
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(
    ("route", "badge"),
    [
        (Route.QUOTED, "Quoted from policy"),
        (Route.GENERATED, "Worded from policy"),
        (Route.VERIFIED, "Verified by HR"),
    ],
)
async def test_a_badge_says_how_an_answer_came_about(
    browser: Browser, tmp_path: Path, route: Route, badge: str
) -> None:
    async with chat(browser, tmp_path, FakeAssistant((replace(QUOTED, route=route),))) as page:
        await ask(page)
        await expect(page.locator(".badge")).to_have_text(badge)


async def test_a_citation_opens_its_passage_with_the_quote_highlighted(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await ask(page)
        chip = page.get_by_role("button", name="Annual leave policy › Carrying over")
        await chip.click()
        sheet = page.get_by_role("dialog", name="Annual leave policy")
        await expect(sheet.locator("mark")).to_have_text(POLICY.quote)
        for fact in ("Annual leave › Carrying over", "1 January 2026", "leave/annual.md"):
            await expect(sheet.get_by_text(fact, exact=True)).to_be_visible()
        await expect(sheet.locator(".prose > ul > li > ul > li")).to_have_text("in whole days only")
        await expect(sheet.get_by_role("columnheader")).to_have_text(["Grade", "Days to carry over"])
        await expect(sheet.get_by_role("row")).to_have_count(3)
        await expect(sheet.get_by_role("link", name="Open the document")).to_have_attribute("href", POLICY.url)
        await page.keyboard.press("Escape")
        await expect(sheet).to_be_hidden()
        await expect(chip).to_be_focused()


async def test_an_expired_policy_is_flagged_and_a_table_row_highlighted(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await ask(page)
        await page.get_by_role("button", name="Holiday rules 2019 › Carry-over Expired").click()
        sheet = page.get_by_role("dialog", name="Holiday rules 2019")
        await expect(sheet.get_by_text("This policy has expired")).to_be_visible()
        await expect(sheet.locator("tr.marked")).to_have_text("B3")
        await expect(sheet.get_by_role("link")).to_have_count(0)  # its address is no web address


async def test_markup_in_answers_and_passages_stays_text(browser: Browser, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> & <b>bold</b>"
    citation = replace(POLICY, title=hostile, heading=hostile, text=hostile, quote=hostile)
    async with chat(browser, tmp_path, FakeAssistant((replace(QUOTED, text=hostile, citations=(citation,)),))) as page:
        await ask(page, hostile)
        await expect(page.locator(".turn.bot .prose")).to_have_text(hostile)
        await page.locator(".chip").click()
        await expect(page.locator("#passage mark")).to_have_text(hostile)
        assert await page.locator("img, b:not(.privacy b)").count() == 0


async def test_thumbs_are_kept_changed_and_taken_back(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await ask(page)
        up, down = (
            page.get_by_role("button", name="Helpful", exact=True),
            page.get_by_role("button", name="Not helpful"),
        )
        await up.click()
        await expect(page.get_by_text("Thank you.")).to_be_visible()
        await expect(up).to_have_attribute("aria-pressed", "true")
        await down.click()
        await expect(up).to_have_attribute("aria-pressed", "false")
        await page.get_by_label("What was wrong with it?").fill("It is six days now")
        await page.locator(".turn").get_by_role("button", name="Send").click()
        await expect(page.get_by_label("What was wrong with it?")).to_have_count(0)
        store = open_store(tmp_path)
        (vote,) = store.current_votes("answer-0")
        assert (vote.rating, vote.reason) == (1, "It is six days now")
        await down.click()
        await expect(page.get_by_text("Taken back.")).to_be_visible()
        assert store.current_votes("answer-0") == ()
        store.close()


async def test_a_declined_question_helps_on(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant((UNKNOWN,))) as page:
        await ask(page, "May I bring my dog & cat?")
        await expect(page.locator(".badge")).to_have_text("No policy found")
        await expect(page.get_by_role("heading", name="The nearest policies")).to_be_visible()
        await page.locator(".turn").get_by_role("button", name="Talk to HR").click()
        dialog = page.get_by_role("dialog", name="Talk to HR")
        await expect(dialog).to_contain_text("Nothing has been sent")
        await expect(dialog).to_contain_text("020 7946 0000")
        mail = await dialog.get_by_role("link", name="people@example.com").get_attribute("href")
        assert mail and mail.startswith("mailto:people@example.com?subject=")
        assert "May I bring my dog & cat?" in unquote(mail.split("&body=")[1])


async def test_what_is_confided_is_neither_sent_along_nor_mailed(browser: Browser, tmp_path: Path) -> None:
    assistant = FakeAssistant((QUOTED, SENSITIVE, QUOTED))
    async with chat(browser, tmp_path, assistant) as page:
        await ask(page)
        await ask(page, "My manager touched me")
        await expect(page.locator(".badge").last).to_have_text("Better with a person")
        await page.locator(".turn").get_by_role("button", name="Talk to HR").last.click()
        mail = await page.get_by_role("link", name="people@example.com").get_attribute("href")
        assert mail and "touched" not in mail
        await page.keyboard.press("Escape")
        await ask(page, "And by when?")
    assert [(turn.role, turn.text) for turn in assistant.questions[-1].history] == [
        ("user", QUESTION),
        ("bot", QUOTED.text),
    ]


async def test_a_new_conversation_forgets_the_old_one(browser: Browser, tmp_path: Path) -> None:
    assistant = FakeAssistant()
    async with chat(browser, tmp_path, assistant) as page:
        await ask(page)
        await page.get_by_role("button", name="New conversation").click()
        await expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
        await expect(page.locator(".turn")).to_have_count(0)
        await page.get_by_role("button", name="What do I do when I am ill?").click()
        await expect(page.locator(".badge")).to_have_count(1)
    assert assistant.questions[-1].text == "What do I do when I am ill?"
    assert assistant.questions[-1].history == ()


async def test_the_chosen_country_goes_with_the_question_and_is_remembered(browser: Browser, tmp_path: Path) -> None:
    assistant = FakeAssistant(countries=("GB", "NL"))
    async with chat(browser, tmp_path, assistant) as page:
        await page.get_by_label("Country").select_option(label="Netherlands")
        await ask(page)
        await page.reload()
        await expect(page.get_by_label("Country")).to_have_value("NL")
    assert assistant.questions[0].asker.country == "NL"


async def test_stop_ends_the_generation_and_keeps_what_is_there(browser: Browser, tmp_path: Path) -> None:
    assistant = FakeAssistant(pause_s=0.3)
    async with chat(browser, tmp_path, assistant) as page:
        await page.get_by_label("Your question").fill(QUESTION)
        await page.keyboard.press("Enter")
        await expect(page.locator(".turn.bot .prose")).to_contain_text("You may")
        await page.get_by_role("button", name="Stop the answer").click()
        await expect(page.get_by_text("You stopped this answer")).to_be_visible()
        await expect(page.get_by_role("button", name="Send")).to_be_visible()
        for _ in range(50):
            if assistant.cancelled:
                break
            await asyncio.sleep(0.05)
    assert assistant.cancelled == 1


async def test_a_failure_is_explained_and_can_be_tried_again(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant((RuntimeError("internals"), QUOTED))) as page:
        await ask(page)
        await expect(page.locator(".badge")).to_have_text("No answer this time")
        await expect(page.locator(".turn.bot")).to_contain_text("the People team")
        await expect(page.locator(".turn.bot")).not_to_contain_text("internals")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".badge")).to_have_text("Quoted from policy")
        await expect(page.locator(".turn.user")).to_have_count(1)


async def test_everything_works_from_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the question box")).to_be_focused()
        await page.keyboard.press("Enter")
        question = page.get_by_label("Your question")
        await expect(question).to_be_focused()
        await page.keyboard.type("How many holidays")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("can I carry over?")
        assert await question.input_value() == "How many holidays\ncan I carry over?"
        await page.keyboard.press("Enter")
        await expect(page.locator(".badge")).to_be_visible()
        await expect(question).to_be_focused()
        order = []
        for _ in range(6):
            await page.keyboard.press("Shift+Tab")
            order.append(await page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText"))
        assert [re.sub(r"\s+", " ", name) for name in order] == [
            "Talk to HR",
            "Copy the answer",
            "Not helpful",
            "Helpful",
            "2 Holiday rules 2019 › Carry-over Expired",
            "1 Annual leave policy › Carrying over",
        ]
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Annual leave policy")).to_be_visible()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_screen_readers_hear_finished_answers_once(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant(pause_s=0.05)) as page:
        await page.evaluate(
            """() => { window.heard = []; const live = document.getElementById("announcer");
            new MutationObserver(() => heard.push(live.textContent)).observe(live, { childList: true }); }"""
        )
        await ask(page)
        heard = await page.evaluate("heard")
        assert heard == ["Looking through the policies.", f"Quoted from policy. {QUOTED.text} 2 sources."]
        assert await page.locator("[aria-live] .turn, [role=log] .turn").count() == 0


async def test_dark_mode_follows_the_system_and_the_switch_is_remembered(browser: Browser, tmp_path: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    async with chat(browser, tmp_path, FakeAssistant(), scheme="dark") as page:
        dark = await page.evaluate(paper)
        await page.get_by_role("button", name="Switch to light mode").click()
        light = await page.evaluate(paper)
        await page.reload()
        assert await page.evaluate(paper) == light
        await expect(page.get_by_role("button", name="Switch to dark mode")).to_be_visible()
    assert sum(map(int, re.findall(r"\d+", dark))) < 150 < 600 < sum(map(int, re.findall(r"\d+", light)))


@pytest.mark.parametrize("size", [PHONE, NARROW])
async def test_nothing_sticks_out_on_a_phone(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    long = replace(POLICY, title="Arbeitsunfähigkeitsbescheinigung" * 3, file="a" * 120)
    wide = replace(long, text="| " + " | ".join(f"A long column {n}" for n in range(9)) + " |\n" + "| 1 " * 9 + "|")
    assistant = FakeAssistant((replace(QUOTED, text="x" * 200, citations=(wide, POLICY)),), countries=("GB", "NL"))
    async with chat(browser, tmp_path, assistant, size) as page:
        assert await page.evaluate(STICKING_OUT) == []
        await ask(page, "y" * 200)
        await page.get_by_role("button", name="Not helpful").click()
        await expect(page.get_by_label("What was wrong with it?")).to_be_visible()
        assert await page.evaluate(STICKING_OUT) == []
        await page.locator(".chip").first.click()
        assert await page.evaluate(STICKING_OUT) == []
        await page.keyboard.press("Escape")
        await page.locator("#hr-open").click()
        assert await page.evaluate(STICKING_OUT) == []


async def test_copy_takes_the_answer_with_its_sources(browser: Browser, tmp_path: Path) -> None:
    async with chat(browser, tmp_path, FakeAssistant()) as page:
        await ask(page)
        await page.get_by_role("button", name="Copy the answer").click()
        await expect(page.get_by_text("Copied.")).to_be_visible()
        copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(QUOTED.text)
    assert "[1] Annual leave policy › Carrying over" in copied
