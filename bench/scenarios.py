"""What can be measured, in the order in which everything is: rest first, the largest database last."""

from __future__ import annotations

from bench.loads import Load
from bench.probes.connections import open_connections
from bench.probes.history import open_history
from bench.probes.idle import open_idle
from bench.probes.log import open_log
from bench.probes.reconnect import open_reconnect
from bench.probes.room_list import open_room_list
from bench.ramps import Ramp
from bench.results import Scenario

CHEAP = (("edge", "frame_gap_millis", "30"),)
SCENARIOS = {
    "idle": Scenario("the whole stack with nobody connected", open_idle, 0),
    "connections": Scenario("10,000 idle connections, in rooms of 50", open_connections, 10_000, warm=False),
    "rooms": Scenario("20 rooms of 50, 200 messages a second", Load(20, 50, 200).open, 1_000),
    "rooms-cheap": Scenario(
        "the same, gathered over 30 ms by a setting", Load(20, 50, 200, CHEAP).open, 1_000
    ),
    "rooms-1000": Scenario("20 rooms of 50, 1,000 messages a second", Load(20, 50, 1000).open, 1_000),
    "rooms-2000": Scenario("20 rooms of 50, 2,000 messages a second", Load(20, 50, 2000).open, 1_000),
    "rooms-most": Scenario("20 rooms of 50, as much as holds", Ramp(20, 50, 1000).open, 1_000),
    "pairs": Scenario("500 pairs, 500 messages a second", Load(500, 2, 500).open, 1_000),
    "pairs-most": Scenario("500 pairs, as much as holds", Ramp(500, 2, 2000).open, 1_000),
    "fanout": Scenario("one room of 1,000, 10 messages a second", Load(1, 1000, 10).open, 1_000),
    "reconnect": Scenario(
        "2,000 clients cut off come back at once with cursors", open_reconnect, 2_200, warm=False
    ),
    "room-list": Scenario("ListRooms of a user with 2,000 rooms", open_room_list, 1, warm=False),
    "log": Scenario("the sequencer-persister alone, 100,000 records waiting", open_log, 0, warm=False),
    "history": Scenario(
        "latest 50 of a room, 5,000,000 messages in 5,000 rooms", open_history, 1, warm=False
    ),
}
MODEL = {"pairs": 2, "rooms": 50, "fanout": 1000}
"""Receivers of a message in the loads that CPU per message is modelled on."""
