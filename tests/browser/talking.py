"""What a person does at the page, step by step, by what they see."""

from __future__ import annotations

from playwright.async_api import Page, expect

PASSWORD = "correct-horse-9"


async def register(page: Page, username: str, name: str = "") -> None:
    """Makes an account and arrives at the rooms."""
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Name (optional)").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Register").click()
    await expect(page.get_by_role("heading", name="Chats")).to_be_visible()


async def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Signs in, or tries to."""
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def open_direct_chat(page: Page, username: str) -> None:
    """Finds a person by name and opens the chat with them."""
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_label("Who would you like to talk to?").fill(username)
    await page.get_by_role("button", name=f"@{username}").click()
    await expect(page.get_by_role("textbox")).to_be_visible()


async def create_room(page: Page, title: str) -> None:
    """Makes a group and arrives in it."""
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_role("button", name="New room").click()
    await page.get_by_label("Title").fill(title)
    await page.get_by_role("button", name="Create room").click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()


async def open_room(page: Page, title: str) -> None:
    """Chooses a room of the list."""
    await page.get_by_role("navigation").get_by_role("link", name=title).click()
    await expect(page.get_by_role("textbox")).to_be_visible()


async def say(page: Page, text: str) -> None:
    """Types a message and presses Enter."""
    field = page.get_by_role("textbox")
    await field.fill(text)
    await field.press("Enter")


async def said(page: Page) -> list[str]:
    """The texts on the page, in order, on their way out or not."""
    return await page.locator(".message .text").all_text_contents()


async def expect_said(page: Page, texts: list[str]) -> None:
    """Waits until the page shows exactly these, in this order, and nothing is on its way."""
    await expect(page.locator(".message .text")).to_have_text(texts)
    await expect(page.locator(".message.waiting, .message.sending, .message.failed")).to_have_count(0)
