"""The rules of rooms: who may come, go, bring and take out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from chassis.errors import Failure
from services.chat import domain
from services.chat.domain import (
    Action,
    Crowd,
    LeftReason,
    MemberLeft,
    Membership,
    Role,
    Room,
    RoomKind,
    State,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER, MODERATOR, MEMBER, OTHER, STRANGER, GONE, BANNED = range(1, 8)


def room(kind: RoomKind = RoomKind.GROUP) -> Room:
    pair = (MEMBER, OTHER) if kind is RoomKind.DIRECT else None
    return Room(7, kind, "Team", NOW, owner_user_id=OWNER, direct_users=pair)


def crowd(*, owners: int = 1, members: int = 4) -> Crowd:
    people = [
        Membership(7, OWNER, Role.OWNER),
        Membership(7, MODERATOR, Role.MODERATOR),
        Membership(7, MEMBER),
        Membership(7, OTHER),
        Membership(7, GONE, state=State.LEFT, version=2),
        Membership(7, BANNED, state=State.BANNED),
    ]
    return Crowd({m.user_id: m for m in people}, members, owners)


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", list(Role))
def test_the_rule_table_is_the_rule(action: Action, role: Role) -> None:
    """A role may do what the table gives to it or to a lower one, and nothing else."""
    membership = Membership(7, 1, role)
    allowed = domain.RANK[role] >= domain.RANK[domain.LEAST_ROLE[action]]
    if allowed:
        assert domain.permit(7, membership, action) is membership
    else:
        with pytest.raises(Failure) as raised:
            domain.permit(7, membership, action)
        assert raised.value.reason == "ROLE_TOO_LOW"
        assert raised.value.metadata["requiredRole"] == "ROLE_MODERATOR"


@pytest.mark.parametrize("state", [State.LEFT, State.INVITED, State.BANNED])
def test_only_who_is_in_may_do_anything(state: State) -> None:
    """A former, invited or banned member is as far outside as a stranger."""
    for membership in (None, Membership(7, 1, Role.OWNER, state)):
        with pytest.raises(Failure, match="not a member"):
            domain.permit(7, membership, Action.SEND)


def test_joining_a_public_room_makes_a_member() -> None:
    """A former member comes back with a higher version and no former role."""
    for user_id, version in ((STRANGER, 1), (GONE, 3)):
        (change,) = domain.join(room(RoomKind.PUBLIC), crowd(), 7, user_id, NOW)
        assert change.membership == Membership(7, user_id, version=version, join_time=NOW)


def test_joining_again_changes_nothing() -> None:
    """A member who joins gets no second event, whatever the room's kind."""
    for kind in RoomKind:
        assert domain.join(room(kind), crowd(), 7, MEMBER, NOW) == []


def test_who_comes_into_an_empty_public_room_owns_it() -> None:
    """A room that is not direct has an owner whenever somebody is in it."""
    (change,) = domain.join(room(RoomKind.PUBLIC), Crowd({}), 7, STRANGER, NOW)
    assert change.membership.role is Role.OWNER


@pytest.mark.parametrize("where", [room(RoomKind.GROUP), room(RoomKind.DIRECT), None])
def test_joining_what_is_not_public_is_refused_alike(where: Room | None) -> None:
    """A hidden room and one that does not exist give the same answer."""
    with pytest.raises(Failure) as raised:
        domain.join(where, Crowd({}), 7, STRANGER, NOW)
    assert (raised.value.reason, raised.value.metadata) == ("ROOM_NOT_PUBLIC", {"roomId": "7"})


def test_the_banned_stay_out() -> None:
    """Neither by themselves nor brought by others."""
    with pytest.raises(Failure, match="banned"):
        domain.join(room(RoomKind.PUBLIC), crowd(), 7, BANNED, NOW)
    with pytest.raises(Failure, match="banned"):
        domain.add_members(room(), crowd(), 7, OWNER, [STRANGER, BANNED], NOW)


def test_the_last_owner_cannot_leave_others_behind() -> None:
    """But may when another owner stays, or nobody."""
    with pytest.raises(Failure) as raised:
        domain.leave(room(), crowd(), 7, OWNER)
    assert raised.value.reason == "LAST_OWNER"
    assert domain.leave(room(), crowd(owners=2), 7, OWNER)
    assert domain.leave(room(), crowd(members=1), 7, OWNER)


def test_leaving_says_who_and_why() -> None:
    """The event names the leaver as the actor."""
    (change,) = domain.leave(room(), crowd(), 7, MEMBER)
    assert change.membership.state is State.LEFT
    assert change.event == MemberLeft(7, MEMBER, MEMBER, LeftReason.LEFT)


def test_leaving_twice_is_fine_and_a_stranger_cannot() -> None:
    """Who has left already gets success; who never was in, NOT_A_MEMBER, as in a room that is not there."""
    assert domain.leave(room(), crowd(), 7, GONE) == []
    for where in (room(), None):
        with pytest.raises(Failure, match="not a member"):
            domain.leave(where, crowd() if where else Crowd({}), 7, STRANGER)


def test_adding_leaves_members_as_they_are() -> None:
    """Only newcomers get an event, each once, with the adder as the actor."""
    changes = domain.add_members(room(), crowd(), 7, MODERATOR, [MEMBER, STRANGER, STRANGER, GONE], NOW)
    assert [c.membership.user_id for c in changes] == [STRANGER, GONE]
    assert {c.event.actor_user_id for c in changes} == {MODERATOR}


@pytest.mark.parametrize(
    ("actor", "target", "reason"),
    [
        (OWNER, MODERATOR, None),
        (OWNER, MEMBER, None),
        (MODERATOR, MEMBER, None),
        (MODERATOR, MODERATOR, "ROLE_TOO_LOW"),
        (MODERATOR, OWNER, "ROLE_TOO_LOW"),
        (OWNER, OWNER, "ROLE_TOO_LOW"),
        (MEMBER, OTHER, "ROLE_TOO_LOW"),
        (STRANGER, MEMBER, "NOT_A_MEMBER"),
        (GONE, MEMBER, "NOT_A_MEMBER"),
    ],
)
def test_only_a_higher_role_removes(actor: int, target: int, reason: str | None) -> None:
    """Equal roles cannot remove each other, nor anybody themselves."""
    if reason is None:
        (change,) = domain.remove_member(room(), crowd(), 7, actor, target)
        assert change.event == MemberLeft(7, target, actor, LeftReason.REMOVED)
    else:
        with pytest.raises(Failure) as raised:
            domain.remove_member(room(), crowd(), 7, actor, target)
        assert raised.value.reason == reason


def test_a_direct_room_is_fixed_for_its_two_and_hidden_from_others() -> None:
    """Its members learn DIRECT_ROOM_FIXED, everybody else that they are no member."""
    direct, two = room(RoomKind.DIRECT), crowd()
    attempts: list[Callable[[int], object]] = [
        lambda who: domain.leave(direct, two, 7, who),
        lambda who: domain.add_members(direct, two, 7, who, [9], NOW),
        lambda who: domain.remove_member(direct, two, 7, who, OTHER),
    ]
    for attempt in attempts:
        for who, reason in ((MEMBER, "DIRECT_ROOM_FIXED"), (STRANGER, "NOT_A_MEMBER")):
            with pytest.raises(Failure) as raised:
                attempt(who)
            assert raised.value.reason == reason


def test_a_new_room_brings_its_owner_first() -> None:
    """A direct room has two plain members; any other an owner."""
    made = domain.new_room(room(), [OWNER, MEMBER])
    assert [c.membership.role for c in made.changes] == [Role.OWNER, Role.MEMBER]
    direct = Room(7, RoomKind.DIRECT, "", NOW, direct_users=(3, 4))
    assert {c.membership.role for c in domain.new_room(direct, [3, 4]).changes} == {Role.MEMBER}
    assert (direct.other_user(3), direct.other_user(4), room().other_user(3)) == (4, 3, 0)
