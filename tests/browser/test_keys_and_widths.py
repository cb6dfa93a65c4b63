"""The page without a mouse, on a phone, and for readers of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS
from tests.browser.fake_edge import FakeEdge
from tests.browser.talking import PASSWORD, expect_said, log_in, open_room

LONG_NAME = "a-name-that-is-much-longer-than-a-phone-is-wide"


async def test_everything_is_done_with_keys(edge: FakeEdge, page: Page) -> None:
    """Sign in, make a room, talk, look who is there: no click, and the focus is never lost."""
    edge.world.add_user("ada", PASSWORD)
    await page.get_by_label("Username").focus()
    await page.keyboard.type("ada")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    start = page.get_by_role("button", name="Start a chat")
    await start.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(start).to_be_focused()

    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="New room").focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_label("Title")).to_be_focused()
    await page.keyboard.type("Engine room")
    await page.keyboard.press("Enter")
    field = page.get_by_role("textbox", name="Message Engine room")
    await expect(field).to_be_focused()
    await page.keyboard.type("Typed")
    await page.keyboard.press("Enter")
    await expect_said(page, ["Typed"])
    await expect(field).to_be_focused()

    members = page.get_by_role("button", name="Members")
    await members.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("list", name="Members").get_by_role("listitem")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(members).to_be_focused()


async def test_a_key_right_after_escape_is_not_lost(edge: FakeEdge, page: Page) -> None:
    """Closed and opened again in one breath, a dialog is there: many times, since it is a race."""
    edge.world.add_user("ada", PASSWORD)
    await log_in(page, "ada")
    start = page.get_by_role("button", name="Start a chat")
    for _ in range(20):
        await start.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_text_selected_out_of_a_dialog_does_not_close_it(edge: FakeEdge, page: Page) -> None:
    """Only a press that begins outside does."""
    edge.world.add_user("ada", PASSWORD)
    await log_in(page, "ada")
    await page.get_by_role("button", name="Start a chat").click()
    box = await page.get_by_role("searchbox").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 10)
    await page.mouse.down()
    await page.mouse.move(10, 10)
    await page.mouse.up()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.mouse.down()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.mouse.up()


@pytest.fixture
async def phone(browser: Browser, edge: FakeEdge) -> AsyncIterator[Page]:
    """A narrow window that is touched; Ada is signed in, in a room with somebody of a long name."""
    ada = edge.world.add_user("ada", PASSWORD, "Ada A")
    other = edge.world.add_user(LONG_NAME, PASSWORD)
    room = edge.world.add_room(other, "ROOM_KIND_GROUP", "Engine room", (ada,))
    for number in range(30):
        edge.world.commit_message(room, other, f"message {number}")
    room.reads[ada.user_id] = room.head - 2
    context = await browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(edge.url)
    await log_in(page, "ada")
    await open_room(page, "Engine room")
    yield page
    await context.close()


async def test_on_a_phone_nothing_is_wider_than_the_screen(phone: Page) -> None:
    """Long names are cut, and what closes a dialog stays in reach."""
    await phone.get_by_role("button", name="Members").click()
    await expect(phone.get_by_role("dialog").get_by_text(LONG_NAME)).to_be_visible()
    await expect(phone.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
    assert await phone.get_by_role("dialog").evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")
    await phone.get_by_role("button", name="Close").click()
    await expect(phone.get_by_role("dialog")).to_have_count(0)


async def test_the_newest_message_stays_whole_when_rows_above_grow(phone: Page) -> None:
    """A name that comes late takes one line more; who is at the end stays there."""
    last = phone.get_by_role("log").get_by_text("message 29", exact=True)
    await expect(last).to_be_visible()
    grow = "document.querySelector('.notice, .message .text').textContent = 'long '.repeat(200)"
    await phone.evaluate(grow)
    log = await phone.get_by_role("log").element_handle()
    at_end = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    await phone.wait_for_function(at_end, arg=log)


async def test_a_room_that_is_none_of_ones_own_has_a_way_back(edge: FakeEdge, phone: Page) -> None:
    """On a phone the list is hidden behind the room."""
    await phone.goto(f"{edge.url}/#/rooms/99")
    await phone.get_by_role("link", name="To your rooms").click()
    await expect(phone.get_by_role("heading", name="Chats")).to_be_visible()
