"""What the outage of a part looks like from outside, in the words of whoever misses it (SEEN).

Every process follows its checks of readiness each second: a check that is not fine is a sample of
`polychat_<process>_problem`, a `readiness_changed` in the log, and named by `/readyz`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scripts.stack.layout import SERVICES


@dataclass(frozen=True)
class Signs:
    """Regular expressions, each for one place to look at."""

    metric: str
    """For `process name{labels}`."""
    log: str
    """For a line of a process's log, which is JSON; only warnings and errors are looked at."""
    trouble: str
    """For `process/check: why` of readiness."""


def check(names: str, of: str = "") -> Signs:
    """A check, or one of several as in `kafka|room_log`, is not fine in a process called `of…`."""
    return Signs(
        metric=rf'^{of}\S* \w+_problem{{check="({names})"}}',
        log=rf'"({names})": .*"event": "readiness_changed".*"instance": "{of}',
        trouble=rf"^{of}[^/]*/({names}): ",
    )


KAFKA = "kafka|room_log"
"""The check of chat, which writes to the log, and of message, which reads it."""

OUTAGE = {service: check(f"{service}|{service}_checks") for service in SERVICES} | {
    "postgres": check("postgres"),
    "redis": check("redis"),
    "kafka": check(KAFKA),
    "consul": check("consul"),
}
"""By part; of an edge see LOST_EDGE."""

LOST_EDGE = Signs(
    metric="^chat polychat_chat_hub_edges_lost",
    log='"event": "edge_lost"',
    trouble="^chat/edges: lost edge-1",
)
"""Nobody calls an edge: the chat instance that it was attached to misses it, when a ping stays unanswered."""


def outage_of_link(link: str) -> Signs | None:
    """By its name in tests.support.toxiproxy_stack; nobody of ours is at the far end of `client`."""
    if link in ("client", "consul"):
        return OUTAGE.get(link)
    near, _, far = link.partition("-")
    return OUTAGE[far] if near == "to" else check(KAFKA if far == "kafka" else far, of=near)
