"""Who is here, under which name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from chatservice.core.backlog import MAX_PERSONAL_EVENTS
from chatservice.core.chat import Chat, User
from chatservice.core.events import CloseReason, ErrorCode, Refusal
from chatservice.core.peer import Peer
from chatservice.storage.memory import MemoryArchive
from tests.unit.test_room import Sink

NAMES = ("alice", "ALICE", "Bob", "B0b", "carol", "Дима", "زهرا", "李明", "paypal", "paypaI", "Zoë")


class Connection:
    """A session that does nothing but hear."""

    def __init__(self) -> None:
        self.cursor = Sink().cursor
        self.superseded = False
        self.peer = Peer("192.168.1.2:54321")
        self.closing: list[CloseReason] = []

    def close(self, why: CloseReason) -> None:
        self.closing.append(why)

    def supersede(self) -> None:
        self.superseded = True


def join(chat: Chat, name: str) -> User:
    return chat.join(name, Connection())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.sampled_from(NAMES))))
def test_the_map_and_the_list_are_right_whatever_happens(
    steps: list[tuple[bool, int, str]],
) -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"))
    here: list[User] = []
    for leaves, which, name in steps:
        if leaves and here:
            user = here.pop(which % len(here))
            chat.leave(user, lost=False)
            continue
        try:
            if which % 3 == 0 and here:
                chat.rename(here[which % len(here)], name)
            else:
                here.append(join(chat, name))
        except Refusal as refusal:
            assert refusal.code is ErrorCode.NAME_TAKEN  # noqa: PT017
    assert chat.users == {user.name: user for user in here}
    assert chat.online() == tuple(sorted((user.name for user in here), key=str.casefold))
    assert set(chat._by_key) == {key for user in here for key in user.keys}
    for user in here:
        chat.leave(user, lost=True)
    assert chat.users == chat._by_token == {}
    assert chat._by_key == {}
    assert chat.online() == ()


def test_ones_own_name_may_be_spelled_differently() -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"))
    alice = join(chat, "Alice")
    chat.rename(alice, "ALICE")
    assert chat.online() == ("ALICE",)
    chat.rename(alice, "ALICE")
    assert set(chat.users) == {"ALICE"}


def test_a_reply_follows_a_person_through_a_new_name_but_not_to_a_namesake() -> None:
    clock = Clock()
    chat = Chat(clock, MemoryArchive("epoch"))
    alice, bob = join(chat, "Alice"), join(chat, "Bob")
    chat.send_private(alice, "bob", "hello")
    chat.rename(bob, "Rob")
    chat.reply(alice, "still you?")
    clock.pump([0, 1, 0])
    assert b"[Alice -> you] still you?" in bob.cursor._sink.data  # type: ignore[attr-defined]
    chat.leave(bob, lost=False)
    join(chat, "Rob")
    with pytest.raises(Refusal) as refused:
        chat.reply(alice, "and now?")
    assert refused.value.code is ErrorCode.GONE


def test_who_writes_in_private_has_been_introduced_first() -> None:
    clock = Clock()
    chat = Chat(clock, MemoryArchive("epoch"))
    alice = join(chat, "Alice")
    clock.pump([0, 1, 0])
    for name in ("Bob", "Carol"):  # Carol comes too soon after Bob to be told of at once
        newcomer = join(chat, name)
        clock.advance(0)
        clock.advance(0)
    chat.send_private(newcomer, "Alice", "psst")
    clock.advance(0)
    assert alice.cursor._sink.data.decode().splitlines() == [  # type: ignore[attr-defined]
        "*** Bob has joined the chat.",
        "*** Carol has joined the chat.",
        "[Carol -> you] psst",
    ]


def test_many_private_messages_in_one_turn_are_no_sign_of_not_reading() -> None:
    clock = Clock()
    chat = Chat(clock, MemoryArchive("epoch"))
    alice, bob = join(chat, "Alice"), join(chat, "Bob")
    clock.pump([0, 1, 0])
    chat.say(alice, ("something that waits for the end of the turn",))
    for number in range(3 * MAX_PERSONAL_EVENTS):
        chat.send_private(alice, "Bob", str(number))
    clock.advance(0)
    assert bob.cursor._sink.data.count(b"[Alice -> you]") == 3 * MAX_PERSONAL_EVENTS  # type: ignore[attr-defined]


def test_nothing_is_sent_to_somebody_who_does_not_read() -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"))
    alice, bob = join(chat, "Alice"), join(chat, "Bob")
    bob.cursor.stall()
    for _ in range(MAX_PERSONAL_EVENTS):
        chat.send_private(alice, "Bob", "hello?")
    with pytest.raises(Refusal) as refused:
        chat.send_private(alice, "Bob", "hello?")
    assert refused.value.code is ErrorCode.NOT_READING


@pytest.mark.parametrize("name", ["Nobody", "not a name", "", "4"])
def test_nobody_by_that_name(name: str) -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"))
    with pytest.raises(Refusal) as refused:
        chat.send_private(User("Alice", Connection()), name, "hello")
    assert refused.value.code is ErrorCode.NOBODY


def test_the_operator_kicks_who_is_here_and_says_why() -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"), now=lambda: 1000.0)
    alice, bob = join(chat, "Alice"), join(chat, "Bob")
    assert alice.since == 1000
    chat.kick(alice, "be\x1b kind")
    chat.kick(bob)
    assert alice.cursor._sink.heard() == ["*** be\ufffd kind"]  # type: ignore[attr-defined]
    assert bob.cursor._sink.heard() == []  # type: ignore[attr-defined]
    assert alice.connection.closing == bob.connection.closing == [CloseReason.KICKED]  # type: ignore[attr-defined]
    chat.leave(alice, lost=False)
    chat.kick(alice, "too late")
    assert alice.cursor._sink.heard() == []  # type: ignore[attr-defined]


def test_what_the_operator_announces_cannot_move_a_cursor() -> None:
    chat = Chat(Clock(), MemoryArchive("epoch"))
    alice = join(chat, "Alice")
    chat.announce(["one\x1b[2J", "two"])
    assert alice.cursor._sink.heard() == ["*** one\ufffd[2J", "*** two"]  # type: ignore[attr-defined]
