"""The `polychat` command's own logic; what it shows of a running stack is tested end to end."""

from __future__ import annotations

import pytest
from polychat.chat.v1.message_pb2 import Message
from polychat.event.v1.room_event_pb2 import RoomEvent
from polychat.user.v1.user_pb2 import User
from typer.testing import CliRunner

from scripts.cli.main import app
from scripts.cli.session import printable
from scripts.cli.settings import live_problems
from scripts.cli.talk import View

run = CliRunner().invoke


def test_good_live_settings_are_no_problem() -> None:
    """Text and numbers, as they stand in Consul."""
    assert live_problems({"auth/log_level": "debug", "chat/send_rate": "7.5"}) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("auth/login_per_user_minute", "0", "greater than or equal to 1"),
        ("auth/login_per_user_minute", "many", "integer"),
        ("auth/login_per_minute", "5", "nobody reads this"),
        ("billing/rate", "5", "nobody reads this"),
        ("chat/log_level", "loud", "debug"),
    ],
)
def test_a_bad_live_setting_is_named_with_its_reason(name: str, value: str, told: str) -> None:
    """The key, what is wrong, and never a traceback."""
    (problem,) = live_problems({name: value})
    assert problem.startswith(f"polychat/{name}: ")
    assert told in problem


def test_what_others_write_cannot_steer_the_terminal() -> None:
    """Escape sequences lose their escape character; line ends and tabs stay."""
    assert printable("a\x1b[2Jb\x07\n\tc\x9b") == "a\ufffd[2Jb\ufffd\n\tc\ufffd"


async def test_a_message_of_the_history_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    """It may come as an event too: the connection is there before the history is read."""

    class Nobody:
        user = User(user_id=9, username="anna")

    view = View(Nobody())  # type: ignore[arg-type]
    first, second = (Message(message_id=n, sender_user_id=9, text=f"text {n}") for n in (1, 2))
    await view.message(first)
    for message in (first, second):
        event = RoomEvent()
        event.message_created.message.CopyFrom(message)
        await view.event(event)
    shown = capsys.readouterr().out
    assert (shown.count("text 1"), shown.count("text 2")) == (1, 1)


def test_nobody_there_is_a_sentence_and_exit_code_3() -> None:
    """A server that is not there is told as such, with what to look at."""
    done = run(app, ["user", "add", "anna", "--password", "correct horse", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 3
    assert "polychat status" in done.output


@pytest.mark.parametrize("words", [["chat"], ["tail"], ["user", "add"], ["config", "check"], ["up"]])
def test_every_command_shows_an_example(words: list[str]) -> None:
    """`--help` ends with a line one can copy."""
    done = run(app, [*words, "--help"])
    assert done.exit_code == 0
    assert "Example" in done.output
