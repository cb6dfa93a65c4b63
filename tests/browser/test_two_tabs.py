"""One person, two tabs of one browser: they share a sign-in, and refresh it one at a time."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_edge import FakeEdge
from tests.browser.fake_rooms import Room
from tests.browser.talking import PASSWORD, expect_said, log_in, open_room, register, say
from tests.support.eventually import eventually


@pytest.fixture
async def tabs(edge: FakeEdge, page: Page) -> tuple[Page, Page]:
    """Ada signed in on one tab, and opened another."""
    await register(page, "ada")
    other = await page.context.new_page()
    await other.goto(edge.url)
    await expect(other.get_by_role("heading", name="Chats")).to_be_visible()
    await eventually(lambda: _true(len(edge.hellos) == 2), what="two connections that were greeted")
    return page, other


async def test_two_tabs_refresh_one_after_the_other(edge: FakeEdge, tabs: tuple[Page, Page]) -> None:
    """The second waits under the lock for the first one's answer; both go on."""
    edge.spent.clear()
    edge.refresh_gate.clear()
    await edge.tell({"tokenExpiring": {"expiresIn": "60s"}})
    await eventually(lambda: _true(len(edge.spent) > 0), what="the first refresh")
    await tabs[0].wait_for_function("navigator.locks.query().then((locks) => locks.pending.length === 1)")
    assert len(edge.spent) == 1
    edge.refresh_gate.set()
    await eventually(lambda: _true(len(edge.refreshed) == 2), what="two refreshed connections")
    assert len(set(edge.refreshed)) == len(edge.connections) == 2


async def test_a_tab_whose_session_ended_leaves_the_next_sign_in_alone(
    edge: FakeEdge, tabs: tuple[Page, Page]
) -> None:
    """Signed out and in again on one tab, then the other is told that its session is over: only it ends."""
    edge.world.add_user("grace", PASSWORD)
    here, there = tabs
    ada = next(iter(edge.world.users.values()))
    await here.get_by_role("button", name="Sign out").click()
    await log_in(here, "grace")
    await expect(here.get_by_text("grace", exact=True)).to_be_visible()
    await edge.drop(4200, ada)
    await expect(there.get_by_text("Your session has ended.")).to_be_visible()
    stored = json.loads(await here.evaluate("localStorage.getItem('polychat.session')"))
    assert stored["username"] == "grace"
    await here.reload()
    await expect(here.get_by_text("grace", exact=True)).to_be_visible()


async def test_both_tabs_show_what_one_sends(edge: FakeEdge, tabs: tuple[Page, Page]) -> None:
    """Each tab has a connection and an outbox of its own; a message goes once."""
    room: Room = edge.world.add_room(next(iter(edge.world.users.values())), "ROOM_KIND_GROUP", "Engine room")
    for tab in tabs:
        await tab.reload()
        await open_room(tab, "Engine room")
    await say(tabs[0], "Once")
    for tab in tabs:
        await expect_said(tab, ["Once"])
    assert len(room.messages()) == 1


async def _true(answer: bool) -> bool:
    return answer
