"""Who is here, under which name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.backlog import MAX_PERSONAL_EVENTS
from chatservice.core.events import Account, CloseReason, ErrorCode, Refusal
from chatservice.core.users import User
from tests.support.house import House

NAMES = ("alice", "ALICE", "Bob", "B0b", "carol", "Дима", "زهرا", "李明", "paypal", "paypaI", "Zoë")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.sampled_from(NAMES))))
def test_the_map_and_the_list_are_right_whatever_happens(
    steps: list[tuple[bool, int, str]],
) -> None:
    house = House()
    chat = house.chat
    here: list[User] = []
    for leaves, which, name in steps:
        if leaves and here:
            user = here.pop(which % len(here))
            chat.leave(user, user.sessions[0], lost=False)
            house.quiet()
            continue
        refused: list[object] = []
        try:
            if which % 3 == 0 and here:
                user = here[which % len(here)]
                chat.rename(user, user.sessions[0], name, then=refused.append)
                house.turn()
            else:
                here.append(house.join(name))
        except Refusal as refusal:
            refused.append(refusal)
        codes = [each.code for each in refused if isinstance(each, Refusal)]
        assert codes in ([], [ErrorCode.NAME_TAKEN])
    directory = chat.directory
    assert chat.users == {user.name: user for user in here}
    assert directory.online() == tuple(sorted((user.name for user in here), key=str.casefold))
    assert all(directory.user(user.name) is user for user in here)
    for user in here:
        chat.leave(user, user.sessions[0], lost=True)
    house.quiet()
    assert chat.users == {}
    assert chat._by_token == {}
    assert not any(directory.namesakes(Account(name, 0.0)) for name in NAMES)
    assert directory.online() == ()


@pytest.fixture
def house() -> House:
    return House()


def renames(house: House, user: User, name: str) -> None:
    house.chat.rename(user, user.sessions[0], name, then=lambda _: None)
    house.turn()


def writes(house: House, user: User, to: str, text: str) -> None:
    house.chat.send_private(user, user.sessions[0], to, text)


def test_ones_own_name_may_be_spelled_differently(house: House) -> None:
    alice = house.join("Alice")
    renames(house, alice, "ALICE")
    assert house.chat.directory.online() == ("ALICE",)
    renames(house, alice, "ALICE")
    assert set(house.chat.users) == {"ALICE"}


def test_a_reply_follows_a_person_through_a_new_name_but_not_to_a_namesake(house: House) -> None:
    alice, bob = house.join("Alice"), house.join("Bob")
    writes(house, alice, "bob", "hello")
    renames(house, bob, "Rob")
    house.chat.reply(alice, alice.sessions[0], "still you?")
    assert b"[Alice -> you] still you?" in house.sinks["Bob"].data
    house.chat.leave(bob, bob.sessions[0], lost=False)
    house.quiet()
    house.join("Rob")
    with pytest.raises(Refusal) as refused:
        house.chat.reply(alice, alice.sessions[0], "and now?")
    assert refused.value.code is ErrorCode.GONE


def test_many_private_messages_in_one_turn_are_no_sign_of_not_reading(house: House) -> None:
    house.populate("Alice", "Bob")
    house.say("Alice", "something that waits for the end of the turn")
    for number in range(3 * MAX_PERSONAL_EVENTS):
        writes(house, house.user("Alice"), "Bob", str(number))
    house.turn()
    assert house.sinks["Bob"].data.count(b"[Alice -> you]") == 3 * MAX_PERSONAL_EVENTS


def test_nothing_is_sent_to_somebody_who_does_not_read(house: House) -> None:
    house.populate("Alice", "Bob")
    house.sinks["Bob"].cursor.stall()
    for _ in range(MAX_PERSONAL_EVENTS):
        writes(house, house.user("Alice"), "Bob", "hello?")
    with pytest.raises(Refusal) as refused:
        writes(house, house.user("Alice"), "Bob", "hello?")
    assert refused.value.code is ErrorCode.NOT_READING


@pytest.mark.parametrize("name", ["Nobody", "not a name", "", "4"])
def test_nobody_by_that_name(house: House, name: str) -> None:
    alice = house.join("Alice")
    with pytest.raises(Refusal) as refused:
        writes(house, alice, name, "hello")
    assert refused.value.code is ErrorCode.NOBODY


def test_the_operator_kicks_who_is_here_and_says_why(house: House) -> None:
    alice, bob = house.populate("Alice", "Bob")
    house.chat.kick(house.user("Alice"), "be\x1b kind")
    house.chat.kick(house.user("Bob"))
    assert alice.heard() == ["*** be\ufffd kind"]
    assert bob.heard() == []
    for name in ("Alice", "Bob"):
        assert house.sessions[name].closed == [CloseReason.KICKED]
    gone = house.user("Alice")
    house.leave("Alice")
    house.quiet()
    house.chat.kick(gone, "too late")
    assert alice.heard() == []


def test_what_the_operator_announces_cannot_move_a_cursor(house: House) -> None:
    (alice,) = house.populate("Alice")
    house.chat.announce(["one\x1b[2J", "two"])
    assert alice.heard() == ["*** one\ufffd[2J", "*** two"]
