"""The server that the window shows: one in the same process."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.logger import Logger

from chatservice.console.bans import Held
from chatservice.core.directory import Directory
from chatservice.core.drafts import Entry, Outcome
from chatservice.core.events import ALL_ROOMS, Refusal, SanctionKind
from chatservice.core.measures import Impose, Kick, Lift, Measure, Warrant
from chatservice.core.moderation import person_of
from chatservice.core.registry import shown_room
from chatservice.core.room import Room
from chatservice.core.users import User
from chatservice.dialects.text import TEXT
from chatservice.dialects.wording import ENGLISH
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
    def kick(self, user: User, reason: str, room: Room | None) -> None: ...
    def impose(
        self, kind: SanctionKind, user: User, seconds: int | None, reason: str, room: Room | None
    ) -> None: ...
    def lift(self, held: Held) -> None: ...
    def held(self) -> Iterable[Held]: ...


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

    def kick(self, user: User, reason: str, room: Room | None) -> None:
        if room is not None:
            self._take(room.name, lambda w: Kick(w, person_of(user), reason))
            return
        log.info("The operator kicks {name}: {reason!r}", name=user.name, reason=reason)
        self._chat.kick(user, reason)

    def impose(
        self, kind: SanctionKind, user: User, seconds: int | None, reason: str, room: Room | None
    ) -> None:
        scope = ALL_ROOMS if room is None else room.name
        self._take(scope, lambda w: Impose(w, kind, person_of(user), seconds, reason))

    def lift(self, held: Held) -> None:
        self._take(held.scope, lambda w: Lift(w, held.info.kind, held.info.name))

    def held(self) -> Iterable[Held]:
        now = self._chat.now()
        for scope, sanctions in self.directory.sanctions.items():
            for each in sanctions.listed(now):
                yield Held(scope, each.info)

    def _take(self, scope: str, measure: Callable[[Warrant], Measure]) -> None:
        """It is taken by whoever runs the server. The log says what has come of it."""
        where = "" if scope == ALL_ROOMS else f"{shown_room(scope)}: "

        def decided(outcome: Outcome) -> None:
            if isinstance(outcome, Entry):
                for line in TEXT.lines(outcome.event):
                    log.info("{where}{what}", what=line.removeprefix("*** "), where=where)
            elif isinstance(outcome, Refusal):
                refused(outcome)

        def refused(refusal: Refusal) -> None:
            log.warn("{where}Not done: {why}", where=where, why=ENGLISH.refusal(refusal))

        try:
            warrant = Warrant(self._chat.now(), None, scope, then=decided)
            self._chat.moderation.take(None, measure(warrant))
        except Refusal as refusal:
            refused(refusal)
