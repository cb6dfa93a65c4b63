"""Browser and pages. Chromium is Debian's own: playwright only drives it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from scripts.stack.layout import ROOT
from scripts.stack.web_page import WebPage
from tests.browser.fake_edge import FakeEdge, running_fake_edge

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FAKE_EDGE_PORT = 21300
PATIENCE_MS = 15_000
"""How long a page may take for one step; two cores may be busy with other tests."""


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium. Missing: a skip that shows, and with CI=true a failure."""
    path = shutil.which("chromium")
    if path is None:
        reason = "chromium is not on PATH: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        await launched.close()


@pytest.fixture(scope="session")
async def dist() -> Path:
    """The page, built from its present sources."""
    await WebPage().build()
    return ROOT / "web" / "dist"


@pytest.fixture
async def edge(dist: Path) -> AsyncIterator[FakeEdge]:
    """A fake edge of this test's own, with an empty world."""
    async with running_fake_edge(dist, FAKE_EDGE_PORT) as running:
        yield running


@pytest.fixture
async def page(browser: Browser, edge: FakeEdge) -> AsyncIterator[Page]:
    """A window of a new visitor at the fake edge. An error in the page's script fails the test."""
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    context.set_default_timeout(PATIENCE_MS)
    opened = await context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Policy" in message.text else None)
    await opened.goto(edge.url)
    yield opened
    await context.close()
    assert errors == []
