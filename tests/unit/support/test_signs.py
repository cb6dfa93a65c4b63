"""The signs of an outage match what the processes write, and nothing that they write for another reason."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.signs import OUTAGE, Signs, outage_of_link


def _shown(signs: Signs, process: str, check: str, event: str = "readiness_changed") -> tuple[bool, ...]:
    """Which of the three match a check that is not fine in a process."""
    # In the order in which structlog writes them.
    line = {
        "ready": False,
        "problems": {check: "it does not answer"},
        "degraded": {},
        "event": event,
        "level": "warning",
        "service": process,
        "instance": f"{process}-1",
    }
    texts = {
        signs.metric: f'{process} polychat_{process}_problem{{check="{check}"}}',
        signs.log: json.dumps(line),
        signs.trouble: f"{process}/{check}: it does not answer",
    }
    return tuple(bool(re.search(pattern, text)) for pattern, text in texts.items())


@pytest.mark.parametrize(
    ("signs", "process", "check"),
    [
        (OUTAGE["postgres"], "user", "postgres"),
        (OUTAGE["kafka"], "chat", "kafka"),
        (OUTAGE["kafka"], "message", "room_log"),
        (OUTAGE["auth"], "edge", "auth"),
        (OUTAGE["auth"], "edge", "auth_checks"),
        (outage_of_link("to-chat"), "edge", "chat_checks"),
        (outage_of_link("consul"), "auth", "consul"),
        (outage_of_link("message-kafka"), "message", "room_log"),
    ],
)
def test_a_check_that_is_not_fine_shows_in_all_three(signs: Signs, process: str, check: str) -> None:
    """Of every process, or of the near end of the link."""
    assert _shown(signs, process, check) == (True, True, True)


@pytest.mark.parametrize(
    ("signs", "process", "check"),
    [
        (OUTAGE["redis"], "chat", "postgres"),
        (OUTAGE["auth"], "chat", "user_checks"),
        (outage_of_link("chat-postgres"), "message", "postgres"),
        (outage_of_link("message-kafka"), "chat", "kafka"),
    ],
)
def test_another_trouble_is_no_sign_of_it(signs: Signs, process: str, check: str) -> None:
    """Of another part, or of the same one missed by who is not at the link."""
    assert _shown(signs, process, check) == (False, False, False)


def test_a_line_that_only_speaks_of_the_part_is_no_sign() -> None:
    """It takes the change of readiness."""
    assert _shown(OUTAGE["redis"], "chat", "redis", event="redis_reachable") == (True, False, True)


def test_what_nobody_of_ours_calls_has_no_signs() -> None:
    """The link of the clients, and an edge."""
    assert outage_of_link("client") is None
    assert "edge-1" not in OUTAGE
