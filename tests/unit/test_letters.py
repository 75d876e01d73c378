"""Private messages that wait: what only happens when two things cross."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatservice.accounts.accounts import Accounts
from chatservice.complaints import Complaints
from chatservice.core.chat import Chat, User
from chatservice.core.events import Account, CloseReason, ErrorCode, Refusal, Replayed, Sent, Told
from chatservice.core.peer import Peer
from chatservice.core.stores import OfflineMessage
from chatservice.session.offline_messages import OfflineMessages
from chatservice.storage.memory import MemoryArchive

ALICE = Account("Alice", 1.0)


class Box(Accounts):
    """Has Alice's letters. What is asked of the disk is done when `disk` fires."""

    def __init__(self) -> None:
        self.kept: list[OfflineMessage] = []
        self.disk: Deferred[None] | None = None
        self.trouble: Refusal | None = None

    async def _turn(self) -> None:
        if self.disk is not None:
            await self.disk
        if self.trouble is not None:
            raise self.trouble

    async def owner(self, name: str, asker: str = "") -> Account | None:
        return ALICE if name == "Alice" else None

    async def post(self, owner: Account, letter: Told, origin: str) -> int:
        await self._turn()
        number = len(self.kept) + 1
        kept = Told(number, letter.at, letter.sender, letter.recipient, letter.text, waited=True)
        self.kept.append(OfflineMessage(kept, None))
        return number

    async def offline_messages(self, owner: Account) -> tuple[OfflineMessage, ...]:
        found = tuple(self.kept)
        await self._turn()
        return found

    async def discard(self, letters: tuple[Told, ...]) -> None:
        await self._turn()
        self.kept = [letter for letter in self.kept if letter.told not in letters]


class Cursor:
    """`told` is all that was; it is taken once the connection is not `slow`."""

    closing = backlogged = False
    read_to = 1

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.slow = False
        self._taken: list[Callable[[], None]] = []

    def enter(self, log: Any) -> None: ...

    def send(self, event: Any) -> None:
        self.told.append(event)

    def when_taken(self, call: Callable[[], None]) -> None:
        self._taken.append(call)
        self.take()

    def take(self) -> None:
        if not self.slow:
            taken, self._taken = self._taken, []
            for call in taken:
                call()

    @property
    def letters(self) -> list[str]:
        return [e.text for told in self.told if isinstance(told, Replayed) for e in told.events]


class Connection:
    peer = Peer()

    def __init__(self) -> None:
        self.cursor: Any = Cursor()

    def close(self, why: CloseReason) -> None: ...

    def supersede(self) -> None:
        self.cursor.closing = True
        self.cursor.slow = False
        self.cursor.take()


class House:
    def __init__(self) -> None:
        self.box = Box()
        self.chat = Chat(Clock(), MemoryArchive("epoch"))
        self.letters = OfflineMessages(self.chat, self.box, Complaints(Clock()))
        self.bob = self.chat.join("Bob", Connection())
        self.answers: list[Any] = []

    def alice(self) -> User:
        return self.chat.join("Alice", Connection(), account=ALICE)

    def slow_alice(self) -> User:
        """She is being told what waits, and takes nothing."""
        alice = self.alice()
        cursor(alice).slow = True
        self.delivers(alice)
        return alice

    def posts(self, text: str) -> None:
        posted = Deferred.fromCoroutine(self.letters.send(self.bob, "Alice", text))
        posted.addBoth(self.answers.append)

    def delivers(self, user: User) -> None:
        Deferred.fromCoroutine(self.letters.deliver(user)).addBoth(self.answers.append)


@pytest.fixture
def house() -> House:
    return House()


def cursor(user: User) -> Any:
    return user.cursor


def heard(user: User) -> list[str]:
    letters: list[str] = cursor(user).letters
    return letters


def test_who_comes_in_while_it_is_posted_is_told_at_once(house: House) -> None:
    house.box.disk = Deferred()
    house.posts("lunch?")
    alice = house.alice()
    house.delivers(alice)  # which finds nothing so far
    disk, house.box.disk = house.box.disk, None
    disk.callback(None)
    assert heard(alice) == ["lunch?"]
    [sent] = [answer for answer in house.answers if isinstance(answer, Sent)]
    assert not sent.waiting
    assert house.box.kept == []


def test_it_is_told_once_though_two_things_ask_for_it(house: House) -> None:
    house.posts("lunch?")
    alice = house.slow_alice()
    house.delivers(alice)
    assert heard(alice) == ["lunch?"]
    assert len(house.box.kept) == 1  # until it is taken
    cursor(alice).slow = False
    cursor(alice).take()
    assert heard(alice) == ["lunch?"]
    assert house.box.kept == []


def test_what_one_connection_did_not_take_goes_to_the_next(house: House) -> None:
    house.posts("lunch?")
    alice = house.slow_alice()
    assert house.alice() is alice
    house.delivers(alice)
    assert heard(alice) == ["lunch?"]
    assert house.box.kept == []


def test_a_slow_recipient_holds_up_nobody_who_writes(house: House) -> None:
    house.box.disk = Deferred()
    house.posts("lunch?")
    alice = house.alice()
    cursor(alice).slow = True
    disk, house.box.disk = house.box.disk, None
    disk.callback(None)
    assert len(house.answers) == 1


def test_a_disk_that_fails_keeps_what_it_could_not_discard(house: House) -> None:
    house.posts("lunch?")
    alice = house.slow_alice()
    house.box.trouble = Refusal(ErrorCode.NOT_SAVED)
    cursor(alice).slow = False
    cursor(alice).take()
    assert heard(alice) == ["lunch?"]
    assert len(house.box.kept) == 1
    assert house.answers[-1] is None  # which costs no connection


def test_many_are_told_a_page_at_a_time(house: House) -> None:
    for number in range(10):
        house.posts(f"{number} {'x' * 8000}")
    alice = house.slow_alice()
    assert len(heard(alice)) == 5
    assert [told.continues for told in cursor(alice).told] == [False]
    cursor(alice).slow = False
    cursor(alice).take()
    assert [text[:1] for text in heard(alice)] == list("0123456789")
    assert [told.count for told in cursor(alice).told] == [10, 10]
