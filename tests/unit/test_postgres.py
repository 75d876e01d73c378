"""What only a store that several servers share can do: two of them, in one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatservice.core.cursor import Cursor
from chatservice.core.drafts import Arrival, Arrive, Speak
from chatservice.core.events import ALL_ROOMS, Account, Burst, Refusal, Role, Said, SanctionKind
from chatservice.core.measures import Appoint, Impose, Lift, Warrant
from chatservice.core.registry import Registry
from chatservice.core.sanctions import Person
from chatservice.core.users import User
from chatservice.dialects.text import TEXT
from tests.support import postgres
from tests.support.house import Sink
from tests.support.logs import LOBBY
from tests.support.stores import Kept, PollingTurns, one_of_several

pytestmark = postgres.NEEDS_POSTGRES


@contextmanager
def two_servers() -> Iterator[tuple[PollingTurns, Kept, Kept]]:
    postgres.shared().empty()
    clock = PollingTurns()
    clock.advance(1e9)
    with one_of_several(clock) as one, one_of_several(clock) as two:
        yield clock, one, two


def said(made: Kept, text: str) -> None:

    made.log.append(Burst(0, 1e9, "lobby", "Alice", (text,)), 5, messages=1)


def settle(clock: PollingTurns) -> None:
    clock.turn(20)
    for _ in range(4):
        clock.advance(0.5)
        clock.turn(10)


def texts(clock: PollingTurns, made: Kept) -> list[tuple[int, str]]:
    recalled = clock.wait_for(made.archive.recall(made.log.end, 0, 200, LOBBY))
    return [(event.id, event.text) for event in recalled.events if isinstance(event, Said)]


def test_each_hears_what_the_other_says_in_one_order() -> None:
    with two_servers() as (clock, one, two):
        for number in range(30):
            said(one, f"a{number}")
            said(two, f"b{number}")
            if number % 4 == 0:
                clock.turn()
        settle(clock)
        assert texts(clock, one) == texts(clock, two)
        assert sorted(text for _, text in texts(clock, one)) == sorted(
            f"{who}{number}" for number in range(30) for who in "ab"
        )
        assert one.log.messages == two.log.messages == {"lobby": 60}


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5, 6])
def test_an_answer_that_is_lost_changes_nothing(turns: int) -> None:
    """What was asked is asked again under its number, and is there once."""
    with two_servers() as (clock, one, two):
        for number in range(3):
            said(one, f"a{number}")
            said(two, f"b{number}")
            clock.patience = 0.0005
            clock.turn(turns)
            clock.patience = PollingTurns.patience
            one.archive._connections.drop("the test")
            settle(clock)
        assert sorted(text for _, text in texts(clock, one)) == ["a0", "a1", "a2", "b0", "b1", "b2"]
        assert texts(clock, one) == texts(clock, two)
        assert one.archive.trouble is two.archive.trouble is None


def test_a_name_that_two_want_at_once_goes_to_one() -> None:
    """What the other has decided is undone, and decided again."""

    with two_servers() as (clock, one, two):
        for number in range(20):
            for made, name in ((one, "Alice"), (two, "ALICE")):
                called = name + chr(97 + number)
                cursor = Cursor(TEXT, Sink())
                user = User(number + 1, called)
                arrival = Arrival(user, cursor, called, ("lobby",), {}, lambda _: None)
                made.log.submit(Arrive(1e9, [arrival]))
            settle(clock)
            people = [made.archive._commits.presence.people for made in (one, two)]
            assert set(people[0]) == set(people[1])
            assert len(people[0]) == number + 1


NAMES = st.sampled_from(["Alice", "ALICE", "Bob", "Carol"])
BAN, UNBAN = (("ban", 1, "Eve", "lobby"), ("unban", 1, "Eve", "lobby"))
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("claim", "rename", "release", "found", "join", "part", "enroll"),
                *("ban", "mute", "unban", "op", "deop", "founder", "slow", "say", "say"),
            ]
        ),
        st.integers(1, 3),
        NAMES,
        st.sampled_from(["lobby", "dev", "Dev2"]),
    ),
    max_size=12,
)


def does(registry: Registry, people: dict[int, User], operation: tuple[str, int, str, str]) -> None:
    what, number, name, room = operation
    user = people[number]
    try:
        match what:
            case "claim" if not registry.is_here(user):
                registry.claim(user, name)
            case "rename" if registry.is_here(user):
                registry.rename(user, name)
            case "release" if registry.is_here(user):
                registry.release(user)
            case "found" if registry.is_here(user) and room not in registry.rooms:
                registry.found(user, room, 5)
                registry.join(user, room)
            case "join" if registry.is_here(user) and room in registry.rooms:
                registry.join(user, room)
            case "part":
                registry.part(user, room)
            case "enroll":
                user.account = Account(name, 1.0)
                registry.enroll(user)
            case "ban" | "mute":
                kind = SanctionKind.BAN if what == "ban" else SanctionKind.MUTE
                Impose(warrant(room), kind, Person(0, name)).decide(registry, 1 << 60)
            case "unban":
                Lift(warrant(room), SanctionKind.BAN, name).decide(registry, 6)
            case "slow" if room in registry.rooms:
                registry.room_to_change(room).slow = 30
            case "say":
                Speak(5.0, None, user, room, ("hello",)).decide(registry, 6)
            case "op" | "deop" | "founder":
                role = {"op": Role.OPERATOR, "deop": Role.MEMBER, "founder": Role.FOUNDER}[what]
                Appoint(warrant(room), Account(name, 1.0), name, role).decide(registry, 6)
            case _:
                pass
    except Refusal:
        pass


def warrant(room: str) -> Warrant:
    """For whoever runs the server, in that room or everywhere."""
    return Warrant(5.0, None, ALL_ROOMS if room == "lobby" else room)


def state(registry: Registry) -> Any:
    sanctions = {
        scope: (
            there._all,
            {
                key: {found} if isinstance(found, int) else set(found)
                for key, found in there._named._by_key.items()
            },
            there._of_account,
            there._of_network,
        )
        for scope, there in registry.sanctions.items()
    }
    kept = (
        sanctions,
        {room: spoke for room, spoke in registry._pace._spoke.items() if spoke},
        registry.rooms,
        registry._room_keys,
        registry._claims,
        registry._alike._by_key,
        registry._owners,
    )
    return deepcopy(kept)


@settings(max_examples=300)
@given(OPERATIONS, OPERATIONS, OPERATIONS)
@example([], [BAN, UNBAN], [BAN])
def test_what_is_undone_was_never_decided(first: Any, then: Any, last: Any) -> None:
    registry = Registry()
    people = {number: User(number, "") for number in (1, 2, 3)}
    for operation in first:
        does(registry, people, operation)
    before = state(registry)
    registry.begin()
    for operation in then:
        does(registry, people, operation)
    kept = registry.keep(1 << 60, 1)
    between = state(registry)
    registry.begin()
    for operation in last:
        does(registry, people, operation)
    registry.undo()
    assert state(registry) == between
    registry.undo(kept)
    assert state(registry) == before


@pytest.mark.parametrize(
    "lost",
    [
        "DELETE FROM events WHERE id = 3; UPDATE chat SET next_id = 3",
        "UPDATE events SET nonce = nonce - 1 WHERE id = 3",
    ],
    ids=["fewer entries", "another entry"],
)
def test_a_log_that_has_lost_what_was_heard_begins_another_epoch(lost: str) -> None:
    """A backup was restored, with others' entries since then or without: ids start over, so that
    nobody takes one message for another."""
    with two_servers() as (clock, one, two):
        for number in range(3):
            said(one, f"a{number}")
        settle(clock)
        fenced: list[Kept] = []
        for made in (one, two):
            made.archive.fenced = lambda made=made: fenced.append(made)
        before = one.log.epoch
        postgres.shared().says(lost)
        for made in (one, two):
            made.archive._connections.drop("the test")
        settle(clock)
        assert len(fenced) == 2
        assert one in fenced
        assert two in fenced
        for made in (one, two):
            made.archive.open()
        assert one.log.epoch == two.log.epoch != before
        said(one, "since then")
        settle(clock)
        assert texts(clock, two)[-1][1] == "since then"
