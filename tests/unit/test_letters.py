"""Private messages that wait: what only happens when two things cross."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatservice.accounts.accounts import Accounts
from chatservice.complaints import Complaints
from chatservice.core.events import Account, ErrorCode, Refusal, Sent, Told
from chatservice.core.stores import OfflineMessage
from chatservice.core.users import User
from chatservice.session.offline_messages import OfflineMessages
from tests.support.house import House, Sink

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


class Post:
    """A chat with Bob in it, and Alice's box."""

    def __init__(self) -> None:
        self.box = Box()
        self.house = House()
        self.letters = OfflineMessages(self.house.chat, self.box, Complaints(self.house.clock))
        self.bob = self.house.join("Bob")
        self.answers: list[Any] = []

    def alice(self) -> User:
        alice = self.house.join("Alice", ALICE)
        self.house.sinks["Alice"].heard()
        return alice

    def slow_alice(self) -> User:
        """She is being told what waits, and takes no more than the first of it."""
        alice = self.alice()
        self.sink.slow = True
        self.delivers(alice)
        return alice

    @property
    def sink(self) -> Sink:
        """Of Alice's newest connection."""
        return self.house.sinks["Alice"]

    def takes(self) -> None:
        self.sink.slow = False
        self.sink.cursor.resume()

    def heard(self) -> list[str]:
        """What Alice was sent of what waited for her, at her newest connection."""
        lines = self.sink.data.decode().splitlines()
        return [line.partition("-> you] ")[2] for line in lines if "-> you]" in line]

    def posts(self, text: str) -> None:
        sent = self.letters.send(self.bob, self.bob.sessions[0], "Alice", text)
        Deferred.fromCoroutine(sent).addBoth(self.answers.append)

    def delivers(self, user: User) -> None:
        Deferred.fromCoroutine(self.letters.deliver(user)).addBoth(self.answers.append)


@pytest.fixture
def post() -> Post:
    return Post()


def test_who_comes_in_while_it_is_posted_is_told_at_once(post: Post) -> None:
    post.box.disk = Deferred()
    post.posts("lunch?")
    alice = post.alice()
    post.delivers(alice)  # which finds nothing so far
    disk, post.box.disk = post.box.disk, None
    disk.callback(None)
    assert post.heard() == ["lunch?"]
    [sent] = [answer for answer in post.answers if isinstance(answer, Sent)]
    assert not sent.waiting
    assert post.box.kept == []


def test_it_is_told_once_though_two_things_ask_for_it(post: Post) -> None:
    post.posts("lunch?")
    alice = post.slow_alice()
    post.delivers(alice)
    assert post.heard() == ["lunch?"]
    assert len(post.box.kept) == 1  # until it is taken
    post.takes()
    assert post.heard() == ["lunch?"]
    assert post.box.kept == []


def test_what_one_connection_did_not_take_goes_to_the_next(post: Post) -> None:
    post.posts("lunch?")
    alice = post.slow_alice()
    first = post.house.sessions["Alice"]
    assert post.alice() is alice
    post.house.chat.leave(alice, first, lost=True)
    first.cursor.close()
    post.delivers(alice)
    assert post.heard() == ["lunch?"]
    assert post.box.kept == []


def test_a_slow_recipient_holds_up_nobody_who_writes(post: Post) -> None:
    post.box.disk = Deferred()
    post.posts("lunch?")
    post.alice()
    post.sink.slow = True
    disk, post.box.disk = post.box.disk, None
    disk.callback(None)
    assert len(post.answers) == 1


def test_a_disk_that_fails_keeps_what_it_could_not_discard(post: Post) -> None:
    post.posts("lunch?")
    post.slow_alice()
    post.box.trouble = Refusal(ErrorCode.NOT_SAVED)
    post.takes()
    assert post.heard() == ["lunch?"]
    assert len(post.box.kept) == 1
    assert post.answers[-1] is None  # which costs no connection


def test_many_are_told_a_page_at_a_time(post: Post) -> None:
    for number in range(10):
        post.posts(f"{number} {'x' * 8000}")
    post.slow_alice()
    assert len(post.heard()) == 5
    post.takes()
    assert [text[:1] for text in post.heard()] == list("0123456789")
    assert post.sink.data.count(b"*** 10 private messages while you were away:") == 1
