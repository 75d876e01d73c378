"""What one reader hears: order, its own lines, arrivals, stalling, and what was missed."""

import json
from dataclasses import dataclass, field
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from chatservice.core import log, room
from chatservice.core.backlog import MAX_PERSONAL_EVENTS
from chatservice.core.cursor import Cursor
from chatservice.core.events import (
    Acked,
    Announced,
    Closed,
    CloseReason,
    Event,
    Online,
    Recalled,
    Said,
    Skipped,
    Told,
)
from chatservice.core.room import Room
from chatservice.core.typing import NOTICE_SECONDS
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import TEXT


def aside(sender: str, text: str) -> Told:
    return Told(1, 0.0, sender, "you", text)


class Sink:
    """Takes everything; while `slow`, each write fills it, and it stalls its cursor."""

    def __init__(self) -> None:
        self.data = b""
        self.slow = False
        self.broken = False
        self.finished = False
        self.failed = False
        self.reading_paused: list[bool] = []
        self.writes = 0
        self.cursor = Cursor(TEXT, self)

    def write(self, data: bytes) -> None:
        if self.broken:
            raise RuntimeError("broken")
        self.data += data
        self.writes += 1
        if self.slow:
            self.cursor.stall()

    def finish(self) -> None:
        self.finished = True

    def pause_reading(self, paused: bool) -> None:
        self.reading_paused.append(paused)

    def fail(self) -> None:
        self.failed = True

    def heard(self) -> list[str]:
        """The lines since the last call."""
        data, self.data = self.data, b""
        return data.decode().splitlines()


class House:
    """A room with people in it, and a clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.room = Room("lobby", self.clock)
        self.outlets: dict[str, Sink] = {}

    def enter(self, name: str) -> Sink:
        sink = self.outlets[name] = Sink()
        self.room.enter(sink.cursor, name)
        return sink

    def populate(self, *names: str) -> list[Sink]:
        outlets = [self.enter(name) for name in names]
        self.quiet()
        for sink in outlets:
            sink.heard()
        return outlets

    def say(self, name: str, *texts: str, echo: bool = False) -> None:
        self.room.say(self.outlets[name].cursor, name, texts, echo=echo)

    def turn(self) -> None:
        self.clock.advance(0)

    def quiet(self) -> None:
        """Let every gathering end."""
        self.clock.pump([0, room.GATHER_SECONDS, 0, 0])


@pytest.fixture
def house() -> House:
    return House()


def test_who_comes_in_again_while_writing_does_not_write_for_ever(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    bob.cursor.dialect = JSON
    house.room.typing.set(alice.cursor, "Alice", True)
    again = Sink()
    house.room.take_over(again.cursor, "Alice", alice.cursor)
    house.room.drop(alice.cursor)
    house.clock.pump([1] * 12)
    assert [json.loads(line)["on"] for line in bob.heard()] == [True, False]


def test_who_is_answered_just_then_hears_that_somebody_has_given_up_writing(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    bob.cursor.dialect = JSON
    house.room.typing.set(alice.cursor, "Alice", True)
    house.room.typing.set(alice.cursor, "Alice", False)
    house.clock.callLater(NOTICE_SECONDS - 0.001, house.say, "Bob", "hello")
    house.clock.callLater(NOTICE_SECONDS - 0.001, bob.cursor.send, Acked(3, 0.0))
    house.clock.pump([NOTICE_SECONDS, 0])
    heard = [json.loads(line) for line in bob.heard()]
    assert [(each["type"], each.get("on")) for each in heard] == [
        ("typing", True),
        ("typing", False),
        ("ack", None),
    ]


def test_everyone_but_the_author_hears_what_is_said_in_one_write(house: House) -> None:
    alice, bob, carol = house.populate("Alice", "Bob", "Carol")
    bob.writes = 0
    house.say("Alice", "one", "two")
    house.say("Carol", "three")
    assert bob.heard() == []
    house.turn()
    assert bob.heard() == ["Alice: one", "Alice: two", "Carol: three"]
    assert bob.writes == 1
    assert alice.heard() == ["Carol: three"]
    assert carol.heard() == ["Alice: one", "Alice: two"]


def test_an_announcement_comes_in_its_place(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    house.say("Alice", "before")
    house.room.announce(Announced(("We close at noon.", "Save your work.")))
    house.say("Alice", "after")
    house.turn()
    lines = ["*** We close at noon.", "*** Save your work."]
    assert alice.heard() == lines
    assert bob.heard() == ["Alice: before", *lines, "Alice: after"]


def test_one_who_cannot_be_told_costs_the_others_no_announcement(house: House) -> None:
    broken, crowded, bob = house.populate("Broken", "Crowded", "Bob")
    broken.broken = True
    crowded.cursor.stall()
    for number in range(MAX_PERSONAL_EVENTS + 10):
        house.room.announce(Announced((str(number),)))
    assert broken.failed
    assert bob.heard() == [f"*** {number}" for number in range(MAX_PERSONAL_EVENTS + 10)]
    crowded.cursor.resume()
    assert crowded.heard() == [f"*** {number}" for number in range(MAX_PERSONAL_EVENTS)]


def test_readers_that_are_up_to_date_share_one_rendering(house: House) -> None:
    class Counting:
        calls = 0

        def render(self, event: Event) -> bytes:
            self.calls += 1
            return TEXT.render(event)

        render_personal = render

    dialect = Counting()
    for name in "abc":
        sink = house.enter(name)
        sink.cursor.dialect = dialect
    house.quiet()
    dialect.calls = 0
    house.say("a", "hello")
    house.turn()
    assert dialect.calls == 1


def test_with_echo_the_author_hears_it_too(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    house.say("Alice", "hello", echo=True)
    house.turn()
    assert alice.heard() == bob.heard() == ["Alice: hello"]


def test_an_answer_keeps_its_place(house: House) -> None:
    _, bob = house.populate("Alice", "Bob")
    house.say("Alice", "before")
    bob.cursor.send(aside("Alice", "between"))
    house.say("Alice", "after")
    house.turn()
    assert bob.heard() == ["Alice: before", "[Alice -> you] between", "Alice: after"]


def test_an_answer_is_sent_at_once_when_nothing_stands_before_it(house: House) -> None:
    (alice,) = house.populate("Alice")
    alice.cursor.send(Online(("Alice",)))
    assert alice.heard() == ["*** Online (1): Alice"]


def test_who_comes_in_hears_nothing_from_before(house: House) -> None:
    house.populate("Alice", "Bob")
    house.say("Alice", "before")
    carol = house.enter("Carol")
    house.say("Alice", "after")
    house.quiet()
    assert carol.heard() == ["Alice: after"]


class TestComingAndGoing:
    def test_one_arrival_is_told_at_once(self, house: House) -> None:
        (alice,) = house.populate("Alice")
        house.enter("Bob")
        house.clock.pump([0, 0])
        assert alice.heard() == ["*** Bob has joined the chat."]

    def test_many_arrivals_are_two_lines(self, house: House) -> None:
        (alice,) = house.populate("Alice")
        for number in range(500):
            house.enter(f"u{number}")
            house.turn()
        house.quiet()
        assert alice.heard() == [
            "*** u0 has joined the chat.",
            "*** u1, u2, u3 and 496 others have joined the chat.",
        ]

    def test_a_crowd_is_told_of_in_parts(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "MAX_GATHERED", 3)
        (alice,) = house.populate("Alice")
        for name in "abcde":
            house.enter(name)
        house.quiet()
        assert alice.heard() == [
            "*** a, b, c have joined the chat.",
            "*** d, e have joined the chat.",
        ]

    def test_who_arrives_in_a_crowd_hears_of_those_after(self, house: House) -> None:
        crowd = [house.enter(name) for name in ("a", "b", "c", "d")]
        house.quiet()
        assert [sink.heard() for sink in crowd] == [
            ["*** b, c, d have joined the chat."],
            ["*** c, d have joined the chat."],
            ["*** d has joined the chat."],
            [],
        ]

    def test_departures_and_losses_are_told_apart(self, house: House) -> None:
        outlets = house.populate("Alice", "Bob", "Carol", "Dave")
        for sink, name, lost in zip(outlets, ("Alice", "Bob", "Carol"), (0, 1, 1), strict=False):
            house.room.leave(sink.cursor, name, lost=bool(lost))
            house.room.drop(sink.cursor)
        house.quiet()
        assert outlets[3].heard() == [
            "*** Alice has left the chat.",
            "*** Bob, Carol have left the chat (connection lost).",
        ]

    def test_nobody_speaks_before_they_have_come(self, house: House) -> None:
        (alice,) = house.populate("Alice")
        house.enter("Bob")
        house.turn()
        house.enter("Carol")  # gathered
        house.say("Carol", "hello")
        house.turn()
        assert alice.heard()[-2:] == ["*** Carol has joined the chat.", "Carol: hello"]

    def test_who_comes_and_goes_in_one_moment_is_told_in_order(self, house: House) -> None:
        (alice,) = house.populate("Alice")
        house.enter("Bob")
        house.turn()
        for _ in range(2):
            carol = house.enter("Carol")
            house.room.leave(carol.cursor, "Carol", lost=False)
            house.room.drop(carol.cursor)
        house.quiet()
        assert (
            alice.heard()[1:]
            == [
                "*** Carol has joined the chat.",
                "*** Carol has left the chat.",
            ]
            * 2
        )


class TestASlowReader:
    def test_reads_on_from_the_log_without_a_gap(self, house: House) -> None:
        _, bob = house.populate("Alice", "Bob")
        bob.slow = True
        for number in range(100):
            house.say("Alice", str(number))
            house.turn()
        assert bob.heard() == ["Alice: 0"]
        bob.slow = False
        bob.cursor.resume()
        assert bob.heard() == [f"Alice: {number}" for number in range(1, 100)]
        house.say("Alice", "live")
        house.turn()
        assert bob.heard() == ["Alice: live"]

    def test_is_told_exactly_how_much_it_missed(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "LOG_MESSAGES", 10)
        _, bob = house.populate("Alice", "Bob")
        bob.slow = True
        for number in range(50):
            house.say("Alice", str(number))
            house.say("Bob", "not missed by Bob")
            house.turn()
        bob.slow = False
        bob.heard()
        bob.cursor.resume()
        heard = bob.heard()
        assert heard[0] == "*** You missed 44 messages: your connection was too slow."
        assert heard[1:] == [f"Alice: {number}" for number in range(45, 50)]

    def test_reads_on_through_the_largest_batch_there_can_be(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "LOG_MESSAGES", 10)
        alice, bob = house.populate("Alice", "Bob")
        house.say("Alice", *map(str, range(1000)))
        house.say("Bob", "done")
        house.turn()
        assert len(bob.heard()) == 1000
        assert alice.heard() == ["Bob: done"]

    def test_keeps_few_answers_and_is_read_from_no_more(self, house: House) -> None:
        _, bob = house.populate("Alice", "Bob")
        bob.cursor.stall()
        for number in range(MAX_PERSONAL_EVENTS):
            assert not bob.cursor.backlogged
            bob.cursor.send(aside("Alice", str(number)))
        assert bob.cursor.backlogged
        assert bob.reading_paused == [True]
        bob.cursor.resume()
        assert bob.reading_paused == [True, False]
        assert len(bob.heard()) == MAX_PERSONAL_EVENTS

    @pytest.mark.parametrize("letter", ["x", "\u4e00", "\U0001f44b"])
    def test_nor_many_bytes_of_them(self, house: House, letter: str) -> None:
        """A page of messages in Chinese takes twice as much memory as one in Latin, and so on."""
        _, bob = house.populate("Alice", "Bob")
        bob.cursor.stall()
        said = Said(1, 0.0, "lobby", "Alice", 1000 * letter)
        bob.cursor.send(Recalled((said,) * 20, 1))
        while not bob.cursor.backlogged:
            bob.cursor.send(aside("Alice", 1000 * letter))
        assert bob.reading_paused == [True]
        bob.cursor.resume()
        assert bob.reading_paused == [True, False]


class TestBounds:
    def test_renames_fill_no_more_than_messages_do(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "LOG_MESSAGES", 100)
        house.populate("Alice")
        for number in range(1000):
            house.room.rename(house.outlets["Alice"].cursor, f"n{number}", f"n{number + 1}")
            house.turn()
        assert sum(len(batch.entries) for batch in house.room.log._batches) <= 100

    def test_a_name_before_each_message_counts(self, house: House) -> None:
        name = "\U00010400" * 32  # 128 bytes
        _, bob = house.populate(name, "Bob")
        bob.slow = True
        for _ in range(2):
            house.say(name, *["a"] * 8192)
        house.turn()
        assert len(bob.data) < 4 * log.BATCH_SIZE + 4 * room.MAX_BURST * 40
        bob.slow = False
        bob.cursor.resume()
        assert len(bob.heard()) == 2 * 8192


class TestTheLastWord:
    def test_is_the_last_while_it_waits(self, house: House) -> None:
        _, bob = house.populate("Alice", "Bob")
        house.say("Alice", "due")
        bob.cursor.send(Closed("Bob", CloseReason.EXIT))
        bob.cursor.send(aside("Alice", "too late"))
        house.turn()
        house.say("Alice", "too late")
        house.quiet()
        assert bob.heard() == ["Alice: due", "*** Goodbye, Bob."]
        assert bob.finished

    def test_follows_what_was_due_and_nothing_follows_it(self, house: House) -> None:
        _, bob = house.populate("Alice", "Bob")
        house.say("Alice", "due")
        bob.cursor.send(Closed("Bob", CloseReason.EXIT))
        house.say("Alice", "too late")
        bob.cursor.send(aside("Alice", "too late"))
        assert not bob.finished
        house.turn()
        assert bob.heard() == ["Alice: due", "*** Goodbye, Bob."]
        assert bob.finished
        bob.cursor.send(aside("Alice", "too late"))
        house.quiet()
        assert bob.heard() == []


def test_one_connection_that_fails_costs_only_itself(house: House) -> None:
    _, bob, carol = house.populate("Alice", "Bob", "Carol")
    bob.broken = True
    house.say("Alice", "hello")
    house.turn()
    assert bob.failed
    assert carol.heard() == ["Alice: hello"]


def test_batches_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "BATCH_SIZE", 90)
    _, bob = house.populate("Alice", "Bob")
    bob.slow = True
    for number in range(10):
        house.say("Alice", f"{number} " + 30 * "x")
    house.turn()
    assert len(bob.heard()) == 3  # one batch; then Bob's connection was full


def test_a_log_that_commits_later_delivers_later_and_in_order() -> None:
    """The seam for a log on disk."""
    waiting: list[tuple[log.Batch, object]] = []
    house = House()
    house.room.log._commit = lambda batch, committed: waiting.append((batch, committed))
    alice, bob = house.enter("Alice"), house.enter("Bob")
    house.quiet()
    house.say("Alice", "one")
    house.turn()
    bob.cursor.send(aside("Alice", "between"))
    house.say("Alice", "two")
    house.turn()
    assert bob.heard() == []
    for batch, committed in waiting:
        committed(batch)  # type: ignore[operator]
    assert bob.heard() == ["Alice: one", "[Alice -> you] between", "Alice: two"]
    assert alice.heard() == ["*** Bob has joined the chat."]


@dataclass
class Reader:
    """A person in the property test, and what they should hear, by a simpler rule than the
    room's: everything is appended to everyone's list when it happens."""

    name: str
    sink: Sink
    expected: list[str] = field(default_factory=list)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("say", "emote", "tell", "rename", "join", "leave", "stall", "read", "turn")
        ),
        st.integers(0, 7),
        st.integers(0, 7),
    ),
    max_size=80,
)


@given(STEPS, st.sampled_from((5, 1000)))
@settings(max_examples=300, deadline=None)
def test_everyone_hears_everything_once_and_in_order(
    steps: list[tuple[str, int, int]], log_messages: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "LOG_MESSAGES", log_messages)
        house = House()
        here: list[Reader] = []
        gone: list[Reader] = []
        made = 0

        def to_all(line: str, but: Reader | None = None) -> None:
            for other in here:
                if other is not but:
                    other.expected.append(line)

        for what, which, whom in steps:
            made += 1
            if what == "join" or not here:
                name = f"n{made}"
                here.append(Reader(name, house.enter(name)))
                continue
            reader, other = here[which % len(here)], here[whom % len(here)]
            reading = reader.sink.cursor
            match what:
                case "say":
                    texts = tuple(f"{made}.{number}" for number in range(whom % 3 + 1))
                    house.room.say(reading, reader.name, texts, echo=False)
                    for text in texts:
                        to_all(f"{reader.name}: {text}", but=reader)
                case "emote":
                    house.room.emote(reading, reader.name, str(made))
                    to_all(f"* {reader.name} {made}")
                case "tell":
                    if not other.sink.cursor.backlogged:
                        other.sink.cursor.send(aside(reader.name, str(made)))
                        other.expected.append(f"[{reader.name} -> you] {made}")
                case "rename":
                    house.room.rename(reading, reader.name, f"n{made}")
                    to_all(f"*** {reader.name} is now known as n{made}.")
                    reader.name = f"n{made}"
                case "leave":
                    house.room.leave(reading, reader.name, lost=False)
                    reading.send(Closed(reader.name, CloseReason.EXIT))
                    reader.expected.append(f"*** Goodbye, {reader.name}.")
                    here.remove(reader)
                    gone.append(reader)
                case "stall":
                    reader.sink.slow = True
                case "read":
                    reader.sink.slow = bool(whom % 2)
                    reading.resume()
                case "turn":
                    house.clock.advance(whom / 10)
        house.quiet()
        for reader in here if log_messages == 5 else here + gone:
            reader.sink.slow = False
            reader.sink.cursor.resume()
            assert_heard(reader, log_messages)


def assert_heard(reader: Reader, log_messages: int) -> None:
    """All of it; or, where the log was too short, all but as many messages as they were told."""
    heard = [
        line
        for line in reader.sink.heard()
        if "joined the chat" not in line and "left the chat" not in line
    ]
    expected = iter(reader.expected)
    for line in heard:
        if line.startswith("*** You missed"):
            assert log_messages == 5
            missed = int(line.split()[3])
            private = []  # what stood in the gap for this reader alone is not lost: it comes now
            while missed:
                passed_over = next(expected)
                missed -= is_message(passed_over)
                if passed_over.startswith("["):
                    private.append(passed_over)
            expected = chain(private, expected)
            continue
        following = next(expected)
        while following != line:  # renames, which are not counted, may be lost with messages
            assert log_messages == 5
            assert "is now known as" in following
            following = next(expected)
        assert line == following
    assert all("is now known as" in line and log_messages == 5 for line in expected)


def is_message(line: str) -> bool:
    return not line.startswith(("***", "["))


def test_skipped_says_where_the_gap_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LOG_MESSAGES", 2)
    told: list[Event] = []

    class Recording:
        def render(self, event: Event) -> bytes:
            told.append(event)
            return b"x"

        render_personal = render

    _, bob = house.populate("Alice", "Bob")
    bob.cursor.dialect = Recording()
    first = house.room.log.next_id
    bob.cursor.stall()
    for number in range(10):
        house.say("Alice", str(number))
        house.turn()
    bob.cursor.resume()
    assert Skipped(count=8, after=first - 1, before=first + 8) in told
