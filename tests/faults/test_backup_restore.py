"""Back-up under load, everything destroyed, restored: what the backup has is there, and nobody keeps more.

The log goes on from the backup, so the same sequences come to mean other events than before. Clients
that had seen more are told to forget those rooms, also when the room has grown past what they saw.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from polychat_sdk import Chat, Tokens
from polychat_sdk.tokens import login

from tests.support.api import PASSWORD, Api, ApiError, Json, User
from tests.support.eventually import eventually
from tests.support.history import Kind, Logs, Record
from tests.support.history.logs import check_logs
from tests.support.history.sends import check_sends
from tests.support.matrix import Matrix
from tests.support.peer import Peer
from tests.support.restoring import destroy_and_restore, polychat, run_polychat
from tests.support.stack import ATTACH, Stack, running_stack
from tests.support.stored_event import stored_of
from tests.support.swarm import Swarm, running_swarm
from tests.support.transports import open_json

LOAD_SECONDS = 60.0


@pytest.fixture
def doomed() -> Iterator[Stack]:
    """A stack of its own, to be destroyed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(ATTACH, raising=False)
        with running_stack("--edges", "1") as running:
            yield running


@dataclass
class Copy:
    """What an application keeps of one room: (sequence, message id), and how often it had to forget it."""

    room_id: int = 0
    events: list[tuple[int, int]] = field(default_factory=list)
    resets: int = 0

    def reset(self, room_id: int) -> None:
        """See Chat.on_reset."""
        if room_id == self.room_id:
            self.events.clear()
            self.resets += 1

    async def follow(self, chat: Chat) -> None:
        """Keeps what comes."""
        async for event in chat.events():
            if event.room_id == self.room_id:
                self.events.append((event.sequence, event.message_created.message.message_id))


@pytest.mark.timeout(900)
async def test_everything_destroyed_and_restored(doomed: Stack, tmp_path: Path, matrix: Matrix) -> None:
    """I1 up to the backup, resets for who was ahead, request ids and sessions as they were."""
    backup = tmp_path / "backup.tar"
    async with running_swarm(doomed, clients=6, rooms=3) as swarm:
        api, owner = swarm.api, swarm.witness
        tokens = await login(doomed.http_url, owner.username, PASSWORD)
        copy = Copy()
        async with _application(doomed, tokens, copy) as chat:
            copy.room_id = (await chat.create_room("kept")).room_id
            kept = await chat.send(copy.room_id, "before")
            await chat.send(copy.room_id, "also before")
            began = await _backed_up_under_load(doomed, swarm, backup)
            for number in range(3):
                await chat.send(copy.room_id, f"after {number}")
            late = await api.register("late")
            before = {room: await api.log(owner, room) for room in swarm.rooms}
            ahead = [dict(client.cursors) for client in swarm.clients]

            await destroy_and_restore(doomed, backup)
            ended = time.monotonic()

            logs = {room: await api.log(owner, room) for room in swarm.rooms}
            assert _lost(swarm.journal.records, began, logs) == []
            for room in swarm.rooms:
                assert logs[room] == before[room][: len(logs[room])]
                assert len(logs[room]) < len(before[room])
            await _one_log(api, owner, copy)
            assert copy.resets == 1
            repeated = await chat.send(copy.room_id, "and on")
            assert repeated.sequence == 4
            assert kept.sequence == 2
            await _sessions_are_as_they_were(api, owner, late)
            await _repeats_are_known(api, swarm, logs)
            await _grow_past(api, owner, before)
            for client, cursors in zip(swarm.clients, ahead, strict=True):
                await _reset_once(doomed, client.user, cursors, {r: len(log) for r, log in logs.items()})
            await _unread_is_right(api, swarm)
            matrix.add("everything destroyed, restored from a backup", seconds=time.monotonic() - ended)


async def _backed_up_under_load(stack: Stack, swarm: Swarm, backup: Path) -> float:
    """When the backup began; everybody sent before it, while it was made, and after it."""
    swarm.start_sending()
    await swarm.everyone_sent(time.monotonic(), LOAD_SECONDS)
    began = time.monotonic()
    arguments = ("backup", "--data", str(stack.data), "--to", str(backup))
    said = await asyncio.to_thread(polychat, *arguments)
    assert "every checksum is right" in said
    await swarm.everyone_sent(time.monotonic(), LOAD_SECONDS)
    await swarm.finish()
    return began


@asynccontextmanager
async def _application(stack: Stack, tokens: Tokens, copy: Copy) -> AsyncIterator[Chat]:
    async with Chat(stack.http_url, tokens, on_reset=copy.reset) as chat:
        following = asyncio.create_task(copy.follow(chat))
        yield chat
        following.cancel()
    await tokens.close()


def _lost(records: list[Record], began: float, logs: dict[int, list[Json]]) -> list[str]:
    """What was answered before the backup began and is broken in what was restored."""
    kept = [record for record in records if record.time < began]
    stored: Logs = {room: list(map(stored_of, log)) for room, log in logs.items()}
    assert any(record.kind is Kind.OK for record in kept)
    return [str(violation) for violation in (*check_logs(stored), *check_sends(kept, stored))]


async def _one_log(api: Api, owner: User, copy: Copy) -> None:
    """The application's copy becomes the log and nothing but the log."""
    log = [stored_of(event) for event in await api.log(owner, copy.room_id)]
    wanted = [(event.sequence, event.message_id) for event in log]

    async def same() -> bool:
        return copy.events == wanted

    await eventually(same, seconds=30.0, what=f"a copy like the log ({copy.events} and {wanted})")


async def _sessions_are_as_they_were(api: Api, owner: User, late: User) -> None:
    """A session of before goes on; one that is newer than the backup gets a clear no."""
    await api.refresh(owner)
    with pytest.raises(ApiError) as refused:
        await api.refresh(late)
    assert (refused.value.code, refused.value.reason) == ("unauthenticated", "REFRESH_TOKEN_INVALID")


async def _repeats_are_known(api: Api, swarm: Swarm, logs: dict[int, list[Json]]) -> None:
    """A request id of before the backup gets its first result (I2)."""
    by_id = {client.user.user_id: client.user for client in swarm.clients}
    room, log = next(iter(logs.items()))
    first = next(stored_of(event) for event in log if "messageCreated" in event)
    sent = await api.send(by_id[first.sender], room, first.body, first.request_id)
    assert (sent["duplicate"], int(sent["sequence"])) == (True, first.sequence)


async def _grow_past(api: Api, owner: User, before: dict[int, list[Json]]) -> None:
    """Every room gets longer than it ever was, so that no old cursor is past its head."""
    for room, log in before.items():
        while int((await api.send(owner, room, "afterwards"))["sequence"]) <= len(log):
            continue


async def _reset_once(stack: Stack, user: User, cursors: dict[int, int], kept: dict[int, int]) -> None:
    """A client of before is told to forget what it has past the backup, and with the epoch only once."""
    peer = Peer(await open_json(stack.ws_url))
    welcome = await peer.hello(user.access_token, cursors)
    undone = {str(room) for room, cursor in cursors.items() if cursor > kept[room]}
    assert undone
    assert set(welcome["resetRoomIds"]) == undone
    for room in undone:
        gap = (await peer.until(partial(_is_gap, room)))["gap"]
        assert (gap["fromSequence"], gap["reset"]) == ("1", True)
    await peer.end()
    again = Peer(await open_json(stack.ws_url))
    heads = {int(room["roomId"]): int(room["headSequence"]) for room in welcome["rooms"]}
    known = {room: heads[room] for room in cursors}
    assert "resetRoomIds" not in await again.hello(user.access_token, known, int(welcome["logEpoch"]))
    await again.end()


def _is_gap(room: str, frame: Json) -> bool:
    return bool(frame.get("gap", {}).get("roomId") == room)


async def _unread_is_right(api: Api, swarm: Swarm) -> None:
    """I6: what the room list says is what a recount gives."""
    for client in swarm.clients[:2]:
        for room in await api.pages("RoomService/ListRooms", {}, client.user, "rooms"):
            log = await api.log(client.user, int(room["roomId"]))
            read = int(room["readSequence"])
            unread = sum("messageCreated" in event and int(event["sequence"]) > read for event in log)
            head = int(log[-1]["sequence"])
            assert (room["unreadCount"], int(room["headSequence"])) == (unread, head)


def test_a_changed_byte_is_seen_before_anything_is_restored(tmp_path: Path) -> None:
    """Corruption is a sentence that names the file, and the data folder is not begun."""
    whole = tmp_path / "backup"
    whole.mkdir()
    (whole / "manifest.json").write_text(
        '{"format": 1, "create_time": "", "product": "", "postgres": "18", "schemas": {}, "counts": {}, '
        '"files": {"database.dump": {"bytes": 4, "sha256": "00"}}}'
    )
    (whole / "database.dump").write_bytes(b"dumb")
    done = run_polychat("restore", "--from", str(whole), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "database.dump is not what was written" in done.stderr
    assert not (tmp_path / "data").exists()
