"""What is looked up for somebody who goes meanwhile."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chatservice.core.chat import Chat
from chatservice.core.log import Messages, Reach
from chatservice.server.factory import ChatFactory
from chatservice.session.asker import Settings
from chatservice.storage.memory import MemoryArchive
from tests.unit.test_protocol import Transport


class Waiting(MemoryArchive):
    """Answers nothing; `taken_back` are the questions that were, `asked` those that were not."""

    def __init__(self) -> None:
        super().__init__("epoch")
        self.asked: list[tuple[str, str]] = []
        self.taken_back: list[tuple[str, str]] = []

    def _ask(self, question: tuple[str, str]) -> "Deferred[Any]":
        self.asked.append(question)

        def take_back(_: object) -> None:
            self.asked.remove(question)
            self.taken_back.append(question)

        return Deferred(take_back)

    async def find(
        self, words: str, before: int, limit: int, reach: Reach, asker: str = ""
    ) -> Messages:
        found: Messages = await self._ask((words, asker))
        return found

    async def recent(self, before: int, limit: int, reach: Reach, asker: str = "") -> Messages:
        found: Messages = await self._ask(("recent", asker))
        return found


@pytest.fixture
def archive() -> Waiting:
    return Waiting()


@pytest.fixture
def bob(archive: Waiting) -> tuple[Any, Chat]:
    """Somebody who is in: their connection, and the chat."""
    clock = Clock()
    factory = ChatFactory(Chat(clock, archive), Settings(history=0), clock)
    made: Any = factory.buildProtocol(None)
    made.makeConnection(Transport(made))
    made.dataReceived(b"Bob\n")
    clock.advance(0)
    return made, factory.chat


@pytest.mark.parametrize(("line", "asked"), [(b"/search hello", "hello"), (b"/history", "recent")])
@pytest.mark.parametrize("how", ["gone", "kicked"])
def test_it_is_taken_back(
    archive: Waiting, bob: tuple[Any, Chat], line: bytes, asked: str, how: str
) -> None:
    protocol, chat = bob
    protocol.dataReceived(line + b"\n")
    assert [question for question, _ in archive.asked] == [asked]
    if how == "gone":
        protocol.connectionLost(Failure(ConnectionDone()))
    else:
        chat.kick(chat.users["Bob"])
    assert archive.asked == []
    assert [question for question, _ in archive.taken_back] == [asked]
