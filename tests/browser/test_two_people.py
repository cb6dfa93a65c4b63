"""Two people, two browsers, the real product: they talk, one loses the line, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS
from tests.browser.talking import (
    create_room,
    expect_said,
    open_direct_chat,
    open_room,
    register,
    said,
    say,
)
from tests.support.stack import Stack

WORSE = ("warning", "error")
"""Kinds of console messages that a healthy page does not write."""


@pytest.fixture
async def two_pages(browser: Browser, stack: Stack) -> AsyncIterator[tuple[Page, Page]]:
    """Two windows that share nothing."""
    contexts = [await browser.new_context() for _ in range(2)]
    pages = []
    for context in contexts:
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        await page.goto(stack.http_url)
        pages.append(page)
    yield pages[0], pages[1]
    for context in contexts:
        await context.close()


async def test_two_people_talk_and_one_loses_the_line(two_pages: tuple[Page, Page], tmp_path: Path) -> None:
    """What is said on both sides while one is away arrives once, in one order, when they are back."""
    hers, his = two_pages
    tag = secrets.token_hex(4)
    her_name, his_name = f"ada-{tag}", f"alan-{tag}"
    await register(hers, her_name, f"Ada {tag}")
    await register(his, his_name, f"Alan {tag}")

    await open_direct_chat(hers, his_name)
    await say(hers, "Can you read this?")
    await expect(his.get_by_label("Rooms").get_by_text("1 unread")).to_be_visible()
    await open_room(his, f"Ada {tag}")
    await say(his, "Every word.")
    await expect_said(hers, ["Can you read this?", "Every word."])
    await expect(his.get_by_label("Rooms").get_by_text("unread")).to_have_count(0)

    await hers.context.set_offline(True)
    await expect(hers.get_by_role("status").get_by_text("offline")).to_be_visible()
    await say(hers, "Written without a line.")
    await expect(hers.locator(".message.waiting")).to_have_count(1)
    for number in range(5):
        await say(his, f"While you were away, {number}")
    await expect_said(his, await said(his))
    await hers.screenshot(path=tmp_path / "offline.png")

    await hers.context.set_offline(False)
    away = [f"While you were away, {number}" for number in range(5)]
    everything = ["Can you read this?", "Every word.", *away, "Written without a line."]
    await asyncio.gather(expect_said(hers, everything), expect_said(his, everything))

    await hers.screenshot(path=tmp_path / "together.png")
    await hers.reload()
    await expect_said(hers, everything)


async def test_two_people_talk_on_when_every_edge_is_killed(
    two_pages: tuple[Page, Page], stack: Stack, tmp_path: Path
) -> None:
    """SIGKILL of all edges in the middle of a talk: both pages come back by themselves, with everything."""
    hers, his = two_pages
    tag = secrets.token_hex(4)
    await register(hers, f"ada-{tag}", f"Ada {tag}")
    await register(his, f"alan-{tag}", f"Alan {tag}")
    await open_direct_chat(hers, f"alan-{tag}")
    await say(hers, "Before.")
    await open_room(his, f"Ada {tag}")
    await expect_said(his, ["Before."])

    for edge in [part["part"] for part in stack.state()["parts"] if part["part"].startswith("edge")]:
        stack.kill(edge)
    await say(hers, "Hers, while nobody listens.")
    await expect(hers.get_by_role("status").first).to_contain_text(re.compile("Connection lost|Connecting"))
    await hers.screenshot(path=tmp_path / "edges-gone.png")
    await stack.ready()
    await expect_said(his, ["Before.", "Hers, while nobody listens."])
    await say(his, "His, after.")
    for page in (hers, his):
        await expect_said(page, ["Before.", "Hers, while nobody listens.", "His, after."])
        await expect(page.get_by_text("Connection lost")).to_have_count(0)


async def test_a_whole_visit_breaks_no_policy_and_logs_no_error(browser: Browser, stack: Stack) -> None:
    """Register, make a room, talk, sign out, under the real headers: the browser does not complain."""
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type in WORSE else None)
    await page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective, e.blockedURI))"
    )
    answer = await page.goto(stack.http_url)
    assert answer is not None
    assert "require-trusted-types-for 'script'" in answer.headers["content-security-policy"]

    await register(page, f"ada-{secrets.token_hex(4)}")
    await create_room(page, "Engine room")
    await say(page, "Look: https://example.org/?a=1&b=<2> and <img src=x onerror=alert(1)>")
    await expect(page.locator(".message:not(.waiting, .sending, .failed) .text a")).to_have_attribute(
        "href", "https://example.org/?a=1&b="
    )
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Welcome to Polychat")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0
    await context.close()
    assert complaints == []
