"""The server that the window shows: one in the same process."""

from collections.abc import Sequence
from typing import Protocol

from twisted.logger import Logger

from chatservice.core.directory import Directory
from chatservice.core.room import Room
from chatservice.core.users import User
from chatservice.process import resident
from chatservice.service import ChatService

log = Logger()


class Server(Protocol):
    """What the window shows of a server, and what it asks of it.

    `trouble`: why what is shown may be out of date, or empty. `memory` is in bytes; `messages`
    counts those of all times. `stop_words` say what the window's button does.
    """

    stop_words: str
    trouble: str

    @property
    def directory(self) -> Directory: ...
    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def log_messages(self) -> bool: ...
    @property
    def connections(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def memory(self) -> float: ...
    @property
    def is_stopping(self) -> bool: ...
    def announce(self, lines: Sequence[str], room: Room | None) -> None: ...
    def kick(self, user: User, reason: str) -> None: ...


class OwnServer:
    """The one of this process."""

    stop_words = "Stop the server"
    trouble = ""
    is_stopping = False  # the window knows that first

    def __init__(self, service: ChatService) -> None:
        self._service = service
        self._factory = service.factory
        self._chat = service.factory.chat
        self.directory = self._chat.directory

    @property
    def addresses(self) -> Sequence[str]:
        return self._service.addresses

    @property
    def log_messages(self) -> bool:
        return self._factory.settings.log_messages

    @property
    def connections(self) -> int:
        return len(self._factory.connections)

    @property
    def messages(self) -> int:
        return self._chat.log.messages.total()

    @property
    def memory(self) -> float:
        return resident()

    def announce(self, lines: Sequence[str], room: Room | None) -> None:
        self._chat.announce(lines, room)
        where = "" if room is None else f" in #{room.name}"
        log.info("The operator announces{where}: {text!r}", where=where, text="\n".join(lines))

    def kick(self, user: User, reason: str) -> None:
        log.info("The operator kicks {name}: {reason!r}", name=user.name, reason=reason)
        self._chat.kick(user, reason)
