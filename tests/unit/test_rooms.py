"""Rooms: who hears what, in which order, with one connection and with several."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatservice.core import log, requests
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    Account,
    Burst,
    CloseReason,
    ErrorCode,
    Joined,
    LeaveReason,
    Left,
    Refusal,
    Renamed,
)
from chatservice.core.registry import RoomRecord
from chatservice.core.room import Room
from chatservice.dialects import commands
from chatservice.dialects.text import TEXT
from tests.support.house import House, LateArchive, Session, Sink


class Rooms(House):
    """A house with several rooms."""

    def __init__(self, archive: Any = None) -> None:
        super().__init__(archive)
        self.outcomes: list[Any] = []

    def joins(self, name: str, room: str) -> None:
        session = self.sessions[name]
        self.chat.join_room(self.user(name), session, room, "here", then=self.outcomes.append)

    def part(self, name: str, room: str) -> None:
        session = self.sessions[name]
        self.chat.part_room(self.user(name), session, room, then=self.outcomes.append)

    def beside(self, name: str) -> Sink:
        """Another connection of `name`."""
        session = Session()
        token = self.chat.token(self.user(name), self.sessions[name])
        self.chat.enter(session, name, self._entered, token=token, beside=True)
        return session.sink

    @property
    def den(self) -> Room:
        return self.chat.directory.rooms["den"]

    def set_private(self, name: str, private: bool) -> None:
        user, session = self.user(name), self.sessions[name]
        moderation = self.chat.moderation
        moderation.set_private(user, session, self.den, private, then=self.outcomes.append)

    def codes(self) -> list[ErrorCode]:
        outcomes, self.outcomes = self.outcomes, []
        return [outcome.code for outcome in outcomes if isinstance(outcome, Refusal)]


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def test_a_private_message_after_what_is_said_in_a_room_reaches_who_is_not_there(
    rooms: Rooms,
) -> None:
    _, bob = rooms.populate("Alice", "Bob")
    rooms.joins("Alice", "dev")
    rooms.turn()
    bob.heard()
    rooms.say("Alice", "hello dev", room="dev")
    rooms.chat.send_private(rooms.user("Alice"), rooms.sessions["Alice"], "Bob", "psst")
    rooms.turn()
    assert bob.heard() == ["[Alice -> you] psst"]


def test_a_room_is_heard_by_those_who_are_in_it_and_says_its_name(rooms: Rooms) -> None:
    alice, bob, carol = rooms.populate("Alice", "Bob", "Carol")
    rooms.joins("Alice", "dev")
    rooms.joins("Bob", "#dev")
    rooms.quiet()
    assert alice.heard() == ["#dev *** Bob has joined."]
    rooms.say("Bob", "hi", room="dev")
    rooms.say("Bob", "hello")
    rooms.turn()
    assert alice.heard() == ["#dev Bob: hi", "Bob: hello"]
    assert carol.heard() == ["Bob: hello"]
    alice.cursor.current = "dev"
    rooms.say("Bob", "hi", room="dev")
    rooms.say("Bob", "hello")
    rooms.part("Bob", "dev")
    rooms.turn()
    assert alice.heard() == ["Bob: hi", "#lobby Bob: hello", "*** Bob has left #dev."]
    assert bob.heard() == []


def test_whoever_comes_later_hears_nothing_from_before(rooms: Rooms) -> None:
    _, bob = rooms.populate("Alice", "Bob")
    rooms.joins("Alice", "dev")
    rooms.quiet()
    rooms.say("Alice", "before", room="dev")
    rooms.joins("Bob", "dev")
    rooms.say("Alice", "after", room="dev")
    rooms.turn()
    assert bob.heard() == ["#dev Alice: after"]


def test_parting_forfeits_what_was_not_heard(rooms: Rooms) -> None:
    _, bob = rooms.populate("Alice", "Bob")
    for name in ("Alice", "Bob"):
        rooms.joins(name, "dev")
    rooms.quiet()
    bob.cursor.stall()
    rooms.say("Alice", "unheard", room="dev")
    rooms.say("Alice", "heard")
    rooms.turn()
    rooms.part("Bob", "dev")
    rooms.turn()
    bob.heard()
    bob.cursor.resume()
    assert bob.heard() == ["Alice: heard"]


def test_a_departure_and_a_rename_are_heard_once(rooms: Rooms) -> None:
    alice, _ = rooms.populate("Alice", "Bob")
    for name in ("Alice", "Bob"):
        for room in ("dev", "ops"):
            rooms.joins(name, room)
    rooms.quiet()
    alice.heard()
    rooms.rename("Bob", "Rob")
    rooms.turn()
    rooms.leave("Rob")
    rooms.quiet()
    assert alice.heard() == ["*** Bob is now known as Rob.", "*** Rob has left the chat."]


def test_of_a_departure_one_hears_the_rooms_that_one_shares(rooms: Rooms) -> None:
    alice, _ = rooms.populate("Alice", "Bob")
    for name in ("Alice", "Bob"):
        rooms.joins(name, "dev")
    rooms.joins("Bob", "secret")
    rooms.part("Alice", "lobby")
    rooms.quiet()
    alice.heard()
    alice.cursor.current = "lobby"
    rooms.rename("Bob", "Rob")
    rooms.turn()
    assert alice.heard() == ["#dev *** Bob is now known as Rob."]


def test_likenesses_of_rooms_are_one_room(rooms: Rooms) -> None:
    rooms.populate("Alice", "Bob")
    rooms.joins("Alice", "dev")
    rooms.turn()
    rooms.joins("Bob", "DEV")
    rooms.turn()
    assert set(rooms.chat.directory.rooms) == {"lobby", "dev"}
    assert rooms.user("Bob").sorted_rooms == ("lobby", "dev")


def test_a_guests_room_goes_with_its_last_member(rooms: Rooms) -> None:
    rooms.populate("Alice", "Bob")
    rooms.joins("Alice", "dev")
    rooms.turn()
    rooms.part("Alice", "dev")
    rooms.turn()
    assert set(rooms.chat.directory.rooms) == {"lobby"}
    rooms.joins("Bob", "dev")
    rooms.turn()
    assert rooms.chat.directory.rooms["dev"].is_founder(rooms.user("Bob"))


class TestPrivateRooms:
    def make(self, rooms: Rooms) -> tuple[Sink, Sink]:
        alice, bob = rooms.populate("Alice", "Bob")
        rooms.joins("Alice", "den")
        rooms.turn()
        rooms.set_private("Alice", True)
        rooms.turn()
        assert rooms.codes() == []
        return alice, bob

    def test_nobody_comes_in_uninvited(self, rooms: Rooms) -> None:
        self.make(rooms)
        with pytest.raises(Refusal) as refused:
            rooms.joins("Bob", "den")
        assert refused.value.code is ErrorCode.CANNOT_JOIN
        assert "den" not in str(refused.value.details)
        for ask in (rooms.chat.room_for, rooms.chat.own_room):
            with pytest.raises(Refusal) as refused:
                ask(rooms.user("Bob"), "den")
            assert refused.value.code is ErrorCode.UNKNOWN_ROOM
        assert [room.room for room in rooms.chat.rooms_for(rooms.user("Bob"))] == ["lobby"]
        assert rooms.chat.whois(rooms.user("Bob"), "Alice").rooms == ("lobby",)

    def test_the_invited_come_in(self, rooms: Rooms) -> None:
        _, bob = self.make(rooms)
        rooms.chat.moderation.invite(rooms.user("Alice"), rooms.den, "Bob")
        assert bob.heard() == ["*** Alice invites you to #den. Type /join den to join."]
        rooms.joins("Bob", "den")
        rooms.turn()
        assert rooms.user("Bob").sorted_rooms == ("lobby", "den")

    def test_only_its_founder_is_in_charge(self, rooms: Rooms) -> None:
        self.make(rooms)
        rooms.chat.moderation.invite(rooms.user("Alice"), rooms.den, "Bob")
        rooms.joins("Bob", "den")
        rooms.turn()
        user = rooms.user("Bob")
        with pytest.raises(Refusal) as refused:
            rooms.set_private("Bob", False)
        assert refused.value.code is ErrorCode.NOT_FOUNDER
        with pytest.raises(Refusal):
            rooms.chat.moderation.invite(user, rooms.den, "Alice")

    def test_rights_that_were_lost_meanwhile_are_decided_again(self) -> None:
        archive = LateArchive()
        rooms = Rooms(archive)
        rooms.enter("Alice")
        rooms.turn()
        archive.commit()
        rooms.joins("Alice", "den")
        rooms.turn()
        archive.commit()
        for private in (True, False):
            rooms.set_private("Alice", private)
        rooms.turn()
        archive.commit()  # the second was submitted with rights that are stale: decided again
        rooms.turn()
        archive.commit()
        assert rooms.codes() == []
        assert not rooms.chat.directory.rooms["den"].private


class TestSeveralConnections:
    def test_each_hears_what_is_said_at_the_other(self, rooms: Rooms) -> None:
        alice, bob = rooms.populate("Alice", "Bob")
        telephone = rooms.beside("Alice")
        rooms.say("Alice", "from the desk")
        rooms.turn()
        assert alice.heard() == []
        assert telephone.heard() == bob.heard() == ["Alice: from the desk"]
        assert rooms.chat.directory.online() == ("Alice", "Bob")

    def test_a_departure_is_told_when_the_last_one_goes(self, rooms: Rooms) -> None:
        _, bob = rooms.populate("Alice", "Bob")
        rooms.beside("Alice")
        alice = rooms.user("Alice")
        desk, telephone = alice.sessions
        rooms.chat.leave(alice, desk, lost=True)
        rooms.quiet()
        assert bob.heard() == []
        rooms.chat.leave(alice, telephone, lost=False)
        rooms.quiet()
        assert bob.heard() == ["*** Alice has left the chat."]

    def test_private_messages_reach_all_of_them(self, rooms: Rooms) -> None:
        alice, _ = rooms.populate("Alice", "Bob")
        telephone = rooms.beside("Alice")
        rooms.chat.send_private(rooms.user("Bob"), rooms.sessions["Bob"], "Alice", "psst")
        assert alice.heard() == telephone.heard() == ["[Bob -> you] psst"]

    def test_both_hear_the_room_that_one_of_them_joins(self, rooms: Rooms) -> None:
        rooms.populate("Alice", "Bob")
        telephone = rooms.beside("Alice")
        rooms.joins("Bob", "dev")
        rooms.turn()
        rooms.say("Bob", "before", room="dev")
        rooms.joins("Alice", "dev")
        rooms.say("Bob", "hi", room="dev")
        rooms.turn()
        assert telephone.heard() == ["#dev *** Alice has joined.", "#dev Bob: hi"]

    def test_what_one_says_in_a_room_that_the_other_has_just_left_is_turned_back(
        self, rooms: Rooms
    ) -> None:
        rooms.populate("Alice")
        rooms.joins("Alice", "dev")
        rooms.turn()
        rooms.beside("Alice")
        alice = rooms.user("Alice")
        _, telephone = alice.sessions
        rooms.part("Alice", "dev")
        rooms.chat.say(alice, telephone, ("hi",), "dev", then=rooms.outcomes.append)
        rooms.turn()
        assert rooms.codes() == [ErrorCode.NOT_IN_ROOM]


def seen(rooms: Rooms, name: str) -> int:
    """Below which id `name`, who is away, has heard everything."""
    found: list[Any] = []
    Deferred.fromCoroutine(rooms.chat.archive.seen(name)).addCallback(found.append)  # type: ignore[arg-type]
    return int(found[0].position)


class TestReadPositions:
    def test_a_program_leaves_that_of_a_text_connection_alone(self, rooms: Rooms) -> None:
        rooms.populate("Alice", "Bob")
        rooms.beside("Alice")
        alice = rooms.user("Alice")
        text, program = alice.sessions
        program.is_program = True  # type: ignore[misc]
        rooms.chat.leave(alice, text, lost=False)
        stopped = rooms.chat.log.end
        rooms.say("Bob", "not at a terminal")
        rooms.turn()
        unread = rooms.chat.unread(alice)
        assert unread is not None
        assert unread.position == stopped
        rooms.chat.leave(alice, program, lost=False)
        assert seen(rooms, "Alice") == stopped

    def test_a_program_that_is_alone_keeps_it(self, rooms: Rooms) -> None:
        rooms.populate("Alice", "Bob")
        alice = rooms.user("Alice")
        (program,) = alice.sessions
        program.is_program = True  # type: ignore[misc]
        rooms.say("Bob", "for the program")
        rooms.turn()
        stopped = rooms.chat.log.end
        rooms.chat.leave(alice, program, lost=False)
        rooms.say("Bob", "not for it")
        rooms.turn()
        assert seen(rooms, "Alice") == stopped


class TestOwners:
    """Who comes in with a password, while an arrival is still to be committed."""

    ALICE = Account("Alice", 1.0)

    @pytest.fixture
    def archive(self) -> LateArchive:
        return LateArchive()

    @pytest.fixture
    def rooms(self, archive: LateArchive) -> Rooms:
        return Rooms(archive)

    def comes(self, rooms: Rooms, came: list[Any], account: Account | None = ALICE) -> Session:
        session = Session()
        rooms.chat.enter(session, "Alice", came.append, account=account)
        rooms.turn()
        return session

    def commit(self, rooms: Rooms, archive: LateArchive) -> None:
        for _ in range(3):
            rooms.quiet()
            archive.commit()

    def test_who_comes_twice_at_once_is_here_once(self, rooms: Rooms, archive: LateArchive) -> None:
        bob = rooms.enter("Bob")
        self.commit(rooms, archive)
        came: list[Any] = []
        sessions = [self.comes(rooms, came), self.comes(rooms, came)]
        assert came == []
        self.commit(rooms, archive)
        alice, again = came
        assert alice is again
        assert list(alice.sessions) == sessions
        assert bob.heard() == ["*** Alice has joined the chat."]

    def test_who_could_not_come_in_is_not_here(self, rooms: Rooms, archive: LateArchive) -> None:
        guests: list[Any] = []
        guest = self.comes(rooms, guests, None)
        came: list[Any] = []
        self.comes(rooms, came)
        self.commit(rooms, archive)
        assert [refusal.code for refusal in came] == [ErrorCode.NAME_TAKEN]
        assert rooms.chat.owner(self.ALICE) is None
        guest.leaves = lambda session: rooms.chat.leave(guests[0], session, lost=False)
        self.comes(rooms, came)
        self.commit(rooms, archive)
        assert guest.closed == [CloseReason.CLAIMED]
        assert came[1] is rooms.chat.owner(self.ALICE)

    def test_a_password_that_has_changed_meanwhile_lets_nobody_in(
        self, rooms: Rooms, archive: LateArchive
    ) -> None:
        sessions = [self.comes(rooms, []), self.comes(rooms, [])]
        rooms.chat.end_account(self.ALICE, CloseReason.PASSWORD_CHANGED)
        assert [each.closed for each in sessions] == [[CloseReason.PASSWORD_CHANGED]] * 2


# The property: each connection hears each of its rooms in the order of the log, everything once.


@dataclass
class Ear:
    """A connection, and what it should hear by the simplest rule: each entry that is committed
    waits until the connection takes it, and is heard then if its person is in one of its rooms."""

    sink: Sink
    user: Any
    since: int
    waiting: list[tuple[Entry, frozenset[str]]] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def take(self) -> None:
        if self.sink.slow:
            return
        for entry, joined in self.waiting:
            rooms = [
                room
                for room in entry.rooms
                if room in self.user.rooms
                and self.user.rooms[room] <= entry.event.id
                and room in joined
            ]
            if rooms:
                self.expected += list(lines_of(entry, rooms, self.sink.cursor))
        self.waiting.clear()


def lines_of(entry: Entry, rooms: list[str], cursor: Any) -> Iterator[str]:
    mine = cursor.number in entry.connections
    label = "" if cursor.current in rooms else f"#{rooms[0]} "
    match entry.event:
        case Burst(name=name, texts=texts) if not mine:
            yield from (f"{label}{name}: {text}" for text in texts)
        case Joined(names=names, arrived=arrived) if not mine:
            end = "joined the chat" if arrived else f"joined{'' if label else ' #' + rooms[0]}"
            yield f"{label}*** {names[0]} has {end}."
        case Left(names=names, reason=reason):
            parted = reason is LeaveReason.PARTED
            end = f"left{'' if label else ' #' + rooms[0]}" if parted else "left the chat"
            yield f"{label}*** {names[0]} has {end}."
        case Renamed(old=old, new=new):
            yield f"{label}*** {old} is now known as {new}."


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "say",
                "say",
                "join",
                "part",
                "rename",
                "enter",
                "beside",
                "leave",
                "switch",
                "stall",
                "take",
                "turn",
                "commit",
            ]
        ),
        st.integers(0, 7),
        st.integers(0, 7),
    ),
    max_size=60,
)
ROOMS = ("lobby", "dev", "ops")


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_everyone_hears_their_rooms_once_and_in_the_order_of_the_log(
    steps: list[tuple[str, int, int]], late: bool
) -> None:
    archive = LateArchive()
    rooms = Rooms(archive)
    ears: list[Ear] = []
    made = 0

    def commit() -> None:
        rooms.turn()
        archive.commit()

    def applied(batch: log.Batch) -> None:
        delivered()  # what was committed before
        original(batch)
        for entry in batch.entries:
            for ear in ears:
                if entry.event.id >= ear.since:
                    ear.waiting.append((entry, frozenset(ear.user.rooms)))

    original = rooms.chat.log._apply
    rooms.chat.log._apply = applied

    def listen(sink: Sink, user: Any, since: int) -> None:
        ears.append(Ear(sink, user, since))

    def delivered() -> None:
        for ear in ears:
            ear.take()

    for what, which, whom in steps:
        made += 1
        here = [
            name
            for name, session in rooms.sessions.items()
            if any(session in user.sessions for user in rooms.chat.users.values())
        ]
        if what == "enter" or not here:
            name = f"n{made}"
            commit()
            delivered()
            sink = rooms.enter(name)
            rooms.quiet()
            archive.commit()
            delivered()
            listen(sink, sink.cursor.user, rooms.chat.log.end)
            assert sink.heard() == []
            continue
        name = here[which % len(here)]
        session = rooms.sessions[name]
        user: Any = session.cursor.user
        room = ROOMS[whom % len(ROOMS)]
        match what:
            case "say" if room in user.rooms:
                texts = tuple(f"{made}.{number}" for number in range(whom % 3 + 1))
                rooms.chat.say(user, session, texts, room)
            case "join":
                rooms.chat.join_room(user, session, room, "here", then=rooms.outcomes.append)
            case "part" if room in user.rooms:
                rooms.chat.part_room(user, session, room, then=rooms.outcomes.append)
            case "rename":
                rooms.chat.rename(user, session, f"n{made}", then=rooms.outcomes.append)
            case "beside":
                commit()
                delivered()
                if user.present:
                    listen(rooms.beside(name), user, rooms.chat.log.end)
            case "leave" if len(here) > 1:
                commit()
                delivered()
                ears = [ear for ear in ears if ear.sink is not session.sink]
                rooms.chat.leave(user, session, lost=False)
                session.cursor.close()
            case "switch" if room in user.rooms:
                commit()
                delivered()
                if not session.sink.slow:
                    session.cursor.current = room
            case "stall":
                commit()
                delivered()
                session.cursor.stall()
                session.sink.slow = True
            case "take":
                commit()
                session.sink.slow = False
                session.cursor.resume()
                delivered()
            case "turn":
                rooms.turn()
            case "commit":
                commit()
                delivered()
        if not late:
            commit()
            delivered()
    commit()
    rooms.quiet()
    archive.commit()
    for ear in ears:
        ear.sink.slow = False
        ear.sink.cursor.resume()
        ear.take()
        assert ear.sink.heard() == ear.expected


class Shelf:
    """Keeps all batches, as a database does; answers when it is told to."""

    def __init__(self) -> None:
        self.batches: list[log.Batch] = []
        self.asked: list[tuple[int, Any]] = []

    def load(self, position: int, rooms: frozenset[str], then: Any) -> None:
        self.asked.append((position, then))

    def answer(self, first_held: int) -> None:
        asked, self.asked = self.asked, []
        for position, then in asked:
            found = next((b for b in self.batches if b.end > position), None)
            then(None if found is None or found.start >= first_held else found, 0)


def test_what_the_log_no_longer_holds_is_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "LOG_MESSAGES", 10)
    archive = LateArchive()
    shelf = Shelf()
    archive.pages = shelf
    rooms = Rooms(archive)
    deliver = rooms.chat.log._deliver

    def keep(batch: log.Batch) -> None:
        shelf.batches.append(batch)
        deliver(batch)

    rooms.chat.log._deliver = keep
    for name in ("Alice", "Bob"):
        rooms.enter(name)
        rooms.quiet()
        archive.commit()
    bob = rooms.sinks["Bob"]
    bob.heard()
    bob.cursor.stall()
    for number in range(100):
        rooms.say("Alice", str(number))
        rooms.turn()
        archive.commit()
    bob.cursor.resume()
    while shelf.asked:
        shelf.answer(rooms.chat.log.first_id)
    assert bob.heard() == [f"Alice: {number}" for number in range(100)]
    rooms.say("Alice", "live")
    rooms.turn()
    archive.commit()
    assert bob.heard() == ["Alice: live"]


def test_a_busy_room_pushes_nobody_out_of_a_quiet_one(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LOG_MESSAGES", 10)
    rooms.populate("Alice", "Bob", "Carol")
    for name in ("Alice", "Carol"):
        rooms.joins(name, "busy")
    rooms.turn()
    bob = rooms.sinks["Bob"]
    bob.cursor.stall()
    for number in range(100):
        rooms.say("Alice", str(number), room="busy")
        rooms.turn()
    rooms.say("Alice", "quiet")
    rooms.turn()
    bob.heard()
    bob.cursor.resume()
    assert bob.heard() == ["Alice: quiet"]


def test_many_rooms_are_listed_page_by_page() -> None:
    house = House()
    alice = house.join("Alice")
    names = [f"room{number:03}" for number in range(120)]
    for name in reversed(names):
        house.chat.directory.add_room(RoomRecord(name))
    listed: list[str] = []
    after, more = None, [71, 21, 0]
    for left in more:
        page = house.chat.list_rooms(alice, after, 50)
        assert page.more == left
        listed += [room.room for room in page.rooms]
        after = f"#{listed[-1]}"
    assert listed == ["lobby", *names]
    lines = TEXT.lines(house.chat.list_rooms(alice, None, 50))
    assert lines[0] == "*** 121 rooms:"
    assert lines[-1] == "*** 71 more: /rooms room048 lists those that come next."
    assert commands.parse("/rooms room048") == requests.Rooms("room048", 50)
    assert len(lines) == 52
