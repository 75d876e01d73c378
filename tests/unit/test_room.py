"""What one reader hears: order, its own lines, arrivals, stalling, and what was missed."""

import json

import pytest

from chatservice.core import chat as chat_module
from chatservice.core import gathering, log
from chatservice.core.backlog import MAX_PERSONAL_EVENTS
from chatservice.core.events import (
    Acked,
    Announced,
    Closed,
    CloseReason,
    ErrorCode,
    Event,
    Online,
    Recalled,
    Said,
    Skipped,
    Told,
)
from chatservice.core.typing import NOTICE_SECONDS
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import Text
from tests.support.house import House, LateArchive


def aside(sender: str, text: str) -> Told:
    return Told(1, 0.0, sender, "you", text)


@pytest.fixture
def house() -> House:
    return House()


def test_who_comes_in_again_while_writing_does_not_write_for_ever(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    bob.cursor.set_dialect(JSON)
    token = house.chat.token(house.user("Alice"), house.sessions["Alice"])
    house.chat.set_typing(house.user("Alice"), house.sessions["Alice"], True)
    house.enter("Alice", token=token)
    alice.cursor.close()
    house.clock.pump([1] * 12)
    on = [json.loads(line)["on"] for line in bob.heard() if b"typing" in line.encode()]
    assert on == [True, False]


def test_who_is_answered_just_then_hears_that_somebody_has_given_up_writing(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    bob.cursor.set_dialect(JSON)
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
    house.chat.tell_all(Announced(("We close at noon.", "Save your work.")))
    house.say("Alice", "after")
    house.turn()
    lines = ["*** We close at noon.", "*** Save your work."]
    assert alice.heard() == lines
    assert bob.heard() == [*lines, "Alice: before", "Alice: after"]


def test_one_who_cannot_be_told_costs_the_others_no_announcement(house: House) -> None:
    broken, crowded, bob = house.populate("Broken", "Crowded", "Bob")
    broken.broken = True
    crowded.cursor.stall()
    for number in range(MAX_PERSONAL_EVENTS + 10):
        house.chat.tell_all(Announced((str(number),)))
    assert broken.failed
    assert bob.heard() == [f"*** {number}" for number in range(MAX_PERSONAL_EVENTS + 10)]
    crowded.cursor.resume()
    assert crowded.heard() == [f"*** {number}" for number in range(MAX_PERSONAL_EVENTS)]


def test_readers_that_are_up_to_date_share_one_rendering(house: House) -> None:
    class Counting(Text):
        calls = 0

        def render(self, event: Event, *, labelled: bool = False) -> bytes:
            self.calls += 1
            return super().render(event, labelled=labelled)

    dialect = Counting()
    for name in "abc":
        sink = house.enter(name)
        sink.cursor.set_dialect(dialect)
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


def test_an_answer_comes_after_what_its_own_connection_said_before(house: House) -> None:
    _, bob = house.populate("Alice", "Bob")
    house.say("Bob", "before", echo=True)
    bob.cursor.send(aside("Alice", "between"))
    house.say("Bob", "after", echo=True)
    house.turn()
    assert bob.heard() == ["Bob: before", "[Alice -> you] between", "Bob: after"]


def test_a_private_message_comes_after_what_its_author_said_before(house: House) -> None:
    _, bob = house.populate("Alice", "Bob")
    house.say("Alice", "before")
    house.chat.send_private(house.user("Alice"), house.sessions["Alice"], "Bob", "between")
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

    def test_a_few_are_told_one_by_one_and_a_crowd_together(self, house: House) -> None:
        (alice,) = house.populate("Alice")
        for number in range(500):
            house.enter(f"u{number}")
            house.turn()
        house.quiet()
        single = gathering.MAX_SINGLE
        assert alice.heard() == [
            *(f"*** u{number} has joined the chat." for number in range(single)),
            f"*** u{single}, u{single + 1}, u{single + 2} and {497 - single} others have joined "
            "the chat.",
        ]

    def test_whoever_comes_after_a_crowd_does_not_wait(self, house: House) -> None:
        """Nor do those who come one after the other, each when the one before is in."""
        (alice,) = house.populate("Alice")
        for number in range(100):
            house.enter(f"u{number}")
        house.quiet()
        alice.heard()
        waited = 0
        for number in range(50):
            house.enter(f"v{number}")
            house.turn()
            while not (heard := alice.heard()):
                house.clock.advance(gathering.GATHER_SECONDS)
                waited += 1
            assert heard == [f"*** v{number} has joined the chat."]
        assert waited <= 50 // gathering.MAX_SINGLE

    def test_a_crowd_is_told_of_in_parts(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "MAX_GATHERED", 3)
        monkeypatch.setattr(gathering, "MAX_SINGLE", 0)
        (alice,) = house.populate("Alice")
        for name in "abcde":
            house.enter(name)
        house.quiet()
        assert alice.heard() == [
            "*** a, b, c have joined the chat.",
            "*** d, e have joined the chat.",
        ]

    def test_who_arrives_in_a_crowd_hears_of_those_after(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gathering, "MAX_SINGLE", 0)
        crowd = [house.enter(name) for name in ("a", "b", "c", "d")]
        house.quiet()
        assert [sink.heard() for sink in crowd] == [
            ["*** b, c, d have joined the chat."],
            ["*** c, d have joined the chat."],
            ["*** d has joined the chat."],
            [],
        ]

    def test_departures_and_losses_are_told_apart(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sinks = house.populate("Alice", "Bob", "Carol", "Dave")
        monkeypatch.setattr(gathering, "MAX_SINGLE", 0)
        for name, lost in (("Alice", False), ("Bob", True), ("Carol", True)):
            house.leave(name, lost=lost)
        house.quiet()
        assert sinks[3].heard() == [
            "*** Alice has left the chat.",
            "*** Bob, Carol have left the chat (connection lost).",
        ]

    def test_a_name_is_free_for_whoever_comes_next(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice, _ = house.populate("Alice", "Bob")
        monkeypatch.setattr(gathering, "MAX_SINGLE", 0)
        house.leave("Bob")
        house.enter("Bob")
        house.enter("Bob")
        house.quiet()
        assert alice.heard() == ["*** Bob has left the chat.", "*** Bob has joined the chat."]
        assert [refusal.code for refusal in house.refused] == [ErrorCode.NAME_TAKEN]


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
        alice = house.user("Alice")
        for number in range(1000):
            house.chat.rename(alice, house.sessions["Alice"], f"n{number}", then=lambda _: None)
            house.turn()
        assert sum(len(batch.entries) for batch in house.chat.log._batches) <= 100

    def test_a_name_before_each_message_counts(self, house: House) -> None:
        name = "\U00010400" * 32  # 128 bytes
        _, bob = house.populate(name, "Bob")
        bob.slow = True
        for _ in range(2):
            house.say(name, *["a"] * 8192)
        house.turn()
        assert len(bob.data) < 4 * log.BATCH_SIZE + 4 * chat_module.MAX_BURST * 40
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


def test_a_store_that_commits_later_delivers_later_and_in_order() -> None:
    archive = LateArchive()
    house = House(archive)
    alice, bob = house.enter("Alice"), house.enter("Bob")
    house.quiet()
    archive.commit()
    alice.heard()
    house.say("Bob", "mine")
    house.say("Alice", "one")
    house.turn()
    bob.cursor.send(aside("Alice", "after mine"))
    house.say("Alice", "two")
    house.turn()
    assert bob.heard() == []
    archive.commit()
    assert bob.heard() == ["[Alice -> you] after mine", "Alice: one", "Alice: two"]
    assert alice.heard() == ["Bob: mine"]


def test_skipped_says_where_the_gap_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LOG_MESSAGES", 2)
    told: list[Event] = []

    class Recording(Text):
        def render(self, event: Event, *, labelled: bool = False) -> bytes:
            told.append(event)
            return b"x"

    _, bob = house.populate("Alice", "Bob")
    bob.cursor.set_dialect(Recording())
    first = house.chat.log.end
    bob.cursor.stall()
    for number in range(10):
        house.say("Alice", str(number))
        house.turn()
    bob.cursor.resume()
    assert Skipped(count=8, after=first - 1, before=first + 8) in told
