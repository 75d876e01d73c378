"""A chat without sockets: people whose connections take what they are written."""

from typing import Any

from twisted.internet.task import Clock

from chatservice.core import gathering
from chatservice.core.chat import Chat
from chatservice.core.cursor import Cursor
from chatservice.core.events import Account, CloseReason, Refusal
from chatservice.core.peer import Peer
from chatservice.core.users import User
from chatservice.dialects.text import TEXT
from chatservice.storage.memory import MemoryArchive


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


class Session:
    """One connection, as the chat sees it."""

    is_program = False
    peer = Peer("here")

    def __init__(self, dialect: Any = TEXT) -> None:
        self.sink = Sink()
        self.sink.cursor.set_dialect(dialect)
        self.cursor = self.sink.cursor
        self.closed: list[CloseReason] = []
        self.leaves: Any = None  # what to do when told to go

    def close(self, reason: CloseReason) -> None:
        self.closed.append(reason)
        if self.leaves is not None:
            self.leaves(self)

    def supersede(self) -> None:
        self.closed.append(CloseReason.TAKEN_OVER)


class House:
    """A chat with people in it, and a clock that stands still until it is told to go on."""

    def __init__(self, archive: Any = None) -> None:
        self.clock = Clock()
        self.chat = Chat(self.clock, archive or MemoryArchive("epoch"), now=self.clock.seconds)
        self.room = self.chat.directory.lobby
        self.sinks: dict[str, Sink] = {}
        self.sessions: dict[str, Session] = {}
        self.refused: list[Refusal] = []

    def enter(self, name: str, **options: Any) -> Sink:
        session = self.sessions[name] = Session()
        self.sinks[name] = session.sink
        self.chat.enter(session, name, self._entered, **options)
        return session.sink

    def _entered(self, who: User | Refusal) -> None:
        if isinstance(who, Refusal):
            self.refused.append(who)

    def join(self, name: str, account: Account | None = None) -> User:
        """Somebody who has come in."""
        session = self.sessions[name] = Session()
        self.sinks[name] = session.sink
        came: list[User | Refusal] = []
        self.chat.enter(session, name, came.append, account=account)
        for _ in range(3):
            if not came:
                self.clock.advance(gathering.GATHER_SECONDS)
        (who,) = came
        if isinstance(who, Refusal):
            raise who
        return who

    def populate(self, *names: str) -> list[Sink]:
        sinks = [self.enter(name) for name in names]
        self.quiet()
        for sink in sinks:
            sink.heard()
        return sinks

    def user(self, name: str) -> User:
        return next(u for u in self.chat.users.values() if self.sessions[name] in u.sessions)

    def say(self, name: str, *texts: str, room: str = "lobby", echo: bool = False) -> None:
        self.chat.echo = echo
        self.chat.say(self.user(name), self.sessions[name], texts, room)

    def emote(self, name: str, text: str) -> None:
        self.chat.emote(self.user(name), self.sessions[name], (text,))

    def rename(self, name: str, new: str) -> None:
        self.chat.rename(self.user(name), self.sessions[name], new, then=lambda _: None)
        self.sessions[new], self.sinks[new] = self.sessions[name], self.sinks[name]

    def leave(self, name: str, *, lost: bool = False) -> None:
        session = self.sessions[name]
        self.chat.leave(self.user(name), session, lost=lost)

    def turn(self) -> None:
        self.clock.advance(0)

    def quiet(self) -> None:
        """Let every gathering end."""
        self.clock.pump([0, gathering.GATHER_SECONDS, 0, gathering.GATHER_SECONDS, 0])


class LateArchive(MemoryArchive):
    """Commits when it is told to."""

    def __init__(self) -> None:
        super().__init__("epoch")
        self.waiting: list[Any] = []

    def submit(self, drafts: Any, committed: Any) -> None:
        self.waiting.append((list(drafts), committed))

    def commit(self) -> None:
        waiting, self.waiting = self.waiting, []
        for drafts, committed in waiting:
            super().submit(drafts, committed)
