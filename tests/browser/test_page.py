"""The page alone, against a fake edge that does harm on request."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_edge import FakeEdge
from tests.browser.fake_rooms import Room, User
from tests.browser.talking import (
    PASSWORD,
    create_room,
    expect_said,
    log_in,
    open_direct_chat,
    open_room,
    register,
    said,
    say,
)
from tests.support.eventually import eventually


@pytest.fixture
async def room(edge: FakeEdge, page: Page) -> Room:
    """Ada is signed in and looks at her empty chat with Grace."""
    ada, grace = add_two(edge)
    made = edge.world.add_room(ada, "ROOM_KIND_DIRECT", "", (grace,))
    await log_in(page, "ada")
    await open_room(page, "Grace G")
    return made


def add_two(edge: FakeEdge) -> tuple[User, User]:
    """Two people with names everybody knows."""
    ada = edge.world.add_user("ada", PASSWORD, "Ada A")
    return ada, edge.world.add_user("grace", PASSWORD, "Grace G")


def grace_of(edge: FakeEdge) -> User:
    """The one without a browser."""
    return next(user for user in edge.world.users.values() if user.username == "grace")


async def test_a_wrong_password_and_a_taken_name_are_told(edge: FakeEdge, page: Page) -> None:
    """Errors are said by their reason, and the form stays filled."""
    add_two(edge)
    await log_in(page, "ada", "not-her-password")
    await expect(page.get_by_role("alert")).to_have_text("Wrong username or password.")
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_role("button", name="Register").click()
    await expect(page.get_by_role("alert")).to_have_text("This username is taken.")
    await expect(page.get_by_label("Username")).to_have_value("ada")


async def test_a_room_is_made_filled_found_joined_and_left(edge: FakeEdge, page: Page) -> None:
    """Every way into a room but a direct chat, and the way out."""
    ada, grace = add_two(edge)
    edge.world.add_room(grace, "ROOM_KIND_PUBLIC", "Announcements")
    await log_in(page, "ada")
    await create_room(page, "Engine room")

    await page.get_by_role("button", name="Members").click()
    await page.get_by_label("Add people").fill("gra")
    await page.get_by_role("button", name="@grace").click()
    await expect(page.get_by_role("list", name="Members").get_by_text("Grace G")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("Ada A added Grace G")).to_be_visible()

    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_role("button", name="Public rooms").click()
    await page.get_by_role("button", name="Announcements").click()
    await expect(page.get_by_role("heading", name="Announcements")).to_be_visible()
    await expect(page.get_by_text("Ada A joined")).to_be_visible()
    await page.get_by_role("button", name="Members").click()
    await page.get_by_role("button", name="Leave the room").click()
    await expect(page.get_by_role("navigation").get_by_text("Announcements")).to_have_count(0)
    assert all(ada.user_id not in r.roles for r in edge.world.rooms.values() if r.title == "Announcements")


async def test_registering_leads_to_a_first_direct_chat(edge: FakeEdge, page: Page) -> None:
    """From nothing to a message in one visit."""
    edge.world.add_user("grace", PASSWORD, "Grace G")
    await register(page, "ada", "Ada A")
    await open_direct_chat(page, "grace")
    await say(page, "Hello!")
    await expect_said(page, ["Hello!"])


async def test_unread_is_counted_divided_and_read(edge: FakeEdge, page: Page) -> None:
    """A badge outside, a divider inside, and a receipt once it was on the screen."""
    ada, grace = add_two(edge)
    room = edge.world.add_room(ada, "ROOM_KIND_GROUP", "Engine room", (grace,))
    edge.world.commit_message(room, ada, "old")
    await log_in(page, "ada")
    await expect(page.get_by_role("link", name="Engine room")).to_be_visible()
    for number in range(3):
        await edge.say(room, grace, f"new {number}")
    await expect(page.get_by_text("3 unread")).to_be_visible()
    await open_room(page, "Engine room")
    await expect(page.locator(".unread-line + .message .text")).to_have_text("new 0")
    await expect(page.get_by_text("3 unread")).to_have_count(0)
    await eventually(lambda: _true(bool(edge.receipts)), what="a receipt")
    assert edge.receipts[-1] == {"roomId": room.room_id, "readSequence": str(room.head)}


async def test_enter_sends_and_shift_enter_does_not(edge: FakeEdge, page: Page, room: Room) -> None:
    """The keys of a chat; markup stays text."""
    field = page.get_by_role("textbox")
    await field.fill("<b>one</b>")
    await field.press("Shift+Enter")
    await field.type("two")
    assert edge.sends == []
    await field.press("Enter")
    await expect_said(page, ["<b>one</b>\ntwo"])


async def test_a_refused_message_can_be_sent_again(edge: FakeEdge, page: Page, room: Room) -> None:
    """Failed for good: the reason, and a retry with the same request id that keeps one copy."""
    edge.refusals = [("PERMISSION_DENIED", "MUTED", False)]
    await say(page, "Hear me")
    await expect(page.get_by_role("alert")).to_contain_text("You are muted in this room.")
    await page.get_by_role("button", name="Retry").click()
    await expect_said(page, ["Hear me"])
    assert len({send["requestId"] for send in edge.sends}) == 1
    assert len(room.messages()) == 1


async def test_a_busy_server_is_tried_again_in_order(edge: FakeEdge, page: Page, room: Room) -> None:
    """A refusal for now delays what comes after it and mixes nothing up."""
    edge.refusals = [("UNAVAILABLE", "BACKEND_UNAVAILABLE", True)] * 2
    for text in ("one", "two", "three"):
        await say(page, text)
    await expect_said(page, ["one", "two", "three"])
    assert [m["messageCreated"]["message"]["text"] for m in room.messages()] == ["one", "two", "three"]


async def test_a_lost_answer_makes_no_second_message(edge: FakeEdge, page: Page, room: Room) -> None:
    """Committed, not answered, connection lost: the message is sent again and stays one."""
    edge.lose_answers = 1
    await say(page, "Only once")
    await eventually(lambda: _true(bool(room.messages())), what="the commit")
    await edge.drop(4001)
    await expect_said(page, ["Only once"])
    assert len(edge.sends) == 2
    assert len(room.messages()) == 1


async def test_a_reload_keeps_what_was_not_sent(edge: FakeEdge, page: Page, room: Room) -> None:
    """Written without a server, reloaded, delivered once."""
    edge.closed = True
    await edge.drop(4000)
    await say(page, "Patience")
    await expect(page.locator(".message.waiting")).to_have_count(1)
    await page.reload()
    edge.closed = False
    await expect_said(page, ["Patience"])
    assert len(room.messages()) == 1


async def test_the_banner_counts_down_and_can_be_hurried(edge: FakeEdge, page: Page, room: Room) -> None:
    """goaway names the time; a person need not wait for it."""
    await edge.tell({"goaway": {"reconnectAfter": "3600s", "reason": "DRAINING"}})
    await expect(page.get_by_text("Trying again in 3")).to_be_visible()
    await edge.say(room, grace_of(edge), "Missed?")
    await page.get_by_role("button", name="Reconnect now").click()
    await expect_said(page, ["Missed?"])
    await expect(page.get_by_text("Connection lost")).to_have_count(0)
    assert edge.hellos[-1]["rooms"] == [{"roomId": room.room_id, "sequence": "2"}]


async def test_an_expired_token_is_replaced_before_the_next_hello(
    edge: FakeEdge, page: Page, room: Room
) -> None:
    """4101 means a refresh, not a sign-in."""
    before = edge.hellos[-1]["accessToken"]
    await edge.drop(4101)
    await eventually(lambda: _true(len(edge.hellos) == 2), what="a second hello")
    assert edge.hellos[-1]["accessToken"] != before
    assert edge.api.calls.count("RefreshSession") == 1


async def test_a_revoked_session_signs_out(edge: FakeEdge, page: Page, room: Room) -> None:
    """4200 means stop: no reconnect, the sign-in page, nothing left behind."""
    await edge.drop(4200)
    await expect(page.get_by_text("Your session has ended.")).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0
    assert len(edge.hellos) == 1


async def test_an_event_that_was_lost_on_the_way_is_fetched(edge: FakeEdge, page: Page, room: Room) -> None:
    """A sequence that is too high shows a hole; it is filled before anything is shown out of order."""
    grace = grace_of(edge)
    edge.lose_events = 2
    for text in ("lost one", "lost two", "seen"):
        await edge.say(room, grace, text)
    await expect_said(page, ["lost one", "lost two", "seen"])


async def test_a_gap_is_filled(edge: FakeEdge, page: Page, room: Room) -> None:
    """More was missed than the server replays: it is paged, and what is said meanwhile comes after."""
    edge.closed, edge.replay_limit = True, 10
    await edge.drop(4000)
    for number in range(130):
        await edge.say(room, grace_of(edge), f"missed {number}")
    edge.closed = False
    await expect_said(page, [f"missed {number}" for number in range(130)])


async def test_history_scrolls_back_without_a_jump(edge: FakeEdge, page: Page) -> None:
    """Older messages are put above; the one being read stays where it is, also when new ones come."""
    ada, grace = add_two(edge)
    room = edge.world.add_room(grace, "ROOM_KIND_GROUP", "Engine room", (ada,))
    for number in range(200):
        edge.world.commit_message(room, grace, f"message {number}")
    room.reads[ada.user_id] = room.head
    await log_in(page, "ada")
    await open_room(page, "Engine room")
    await expect(page.get_by_text("message 199", exact=True)).to_be_in_viewport()
    log = page.get_by_role("log")
    first = (await said(page))[0]
    place = (
        "[...list.querySelectorAll('.text')].find(t => t.textContent === text).getBoundingClientRect().top"
    )
    top = await log.evaluate(f"(list, text) => {{ list.scrollTop = 100; return {place} }}", first)
    await expect(page.get_by_text("message 110", exact=True)).to_be_attached()
    assert abs(await log.evaluate(f"(list, text) => {place}", first) - top) < 2

    await edge.say(room, grace, "something new")
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    assert abs(await log.evaluate(f"(list, text) => {place}", first) - top) < 2
    await page.get_by_role("button", name="1 new").click()
    await expect(page.locator(".message .text", has_text="something new")).to_be_in_viewport()
    await expect(page.get_by_role("button", name="new")).to_have_count(0)


async def _true(answer: bool) -> bool:
    return answer
