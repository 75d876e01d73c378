"""The requests that have not been answered, in the order in which they were made."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.client.errors import ChatError, Unsure
from chatservice.core.events import (
    AccountChanged,
    Acked,
    Change,
    Emoted,
    Error,
    ErrorCode,
    Happening,
    Left,
    Renamed,
    Said,
)
from chatservice.core.requests import (
    ChangePassword,
    Emote,
    Register,
    Reply,
    Request,
    Say,
    Tell,
    Unregister,
)
from chatservice.core.sanitize import sanitize


class Asked:
    """A request. `answer` fires with the event that answers it. `again`: it was sent before, on a
    connection that broke, and may have been done then."""

    __slots__ = ("again", "answer", "ref", "request", "sent")

    def __init__(self, ref: str, request: Request, answer: "Deferred[Any]") -> None:
        self.ref = ref
        self.request = request
        self.answer = answer
        self.sent = False
        self.again = False

    def done_before(self, error: Error, name: str) -> AccountChanged | None:
        """What `error`, the answer to what we, called `name`, sent again, says of the first time:
        it was done."""
        match self.request, error.code:
            case Register(), ErrorCode.NAME_REGISTERED if self.again:
                return AccountChanged(name, Change.REGISTERED)
            case Unregister(), ErrorCode.NOT_REGISTERED if self.again:
                return AccountChanged(name, Change.UNREGISTERED)
        return None

    @property
    def is_logged(self) -> bool:
        """Whether what it asks for comes to stand in the room's log."""
        return isinstance(self.request, Say | Emote)

    @property
    def is_private(self) -> bool:
        return isinstance(self.request, Tell | Reply)

    def has_become(self, event: Said | Emoted) -> bool:
        """Whether `event` is what comes of it."""
        match self.request, event:
            case (Say(text=asked), Said(text=text)) | (Emote(text=asked), Emoted(text=text)):
                return sanitize(asked) == text
        return False


class Outstanding:
    """Requests by their ref. `dropped` is called when somebody cancels one."""

    def __init__(self, dropped: Callable[[], None]) -> None:
        self._dropped = dropped
        self._made = 0
        self._asked: dict[str, Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def __iter__(self) -> Iterator[Asked]:
        return iter(list(self._asked.values()))

    def add(self, request: Request) -> Asked:
        """Nobody has sent it so far. Who cancels `answer` does not want it any more."""
        self._made += 1
        ref = str(self._made)

        def cancelled(answer: "Deferred[Any]") -> None:
            self.pop(ref)
            self._dropped()

        answer: Deferred[Any] = Deferred(cancelled)
        self._asked[ref] = asked = Asked(ref, request, answer)
        return asked

    def passwords(self) -> list[str]:
        """Those that have been sent for our name, which may have one of them by now."""
        found = []
        for asked in self:
            match asked.request:
                case Register(password=password) | ChangePassword(password=password) if asked.sent:
                    found.append(password)
        return found

    def pop(self, ref: str | None) -> Asked | None:
        """The request with that ref, which is answered now."""
        return self._asked.pop(ref, None) if ref is not None else None

    def settle(
        self, events: Iterable[Happening], name: str | None, *, echo: bool
    ) -> Iterator[Happening]:
        """Acknowledge what stands among `events`, the part of the log that we did not hear.

        Yields the events that we are to hear: our own messages only with `echo`. Those stand there
        in the order in which they were sent, under `name`; what comes after we have left is
        somebody else's.
        """
        sent = [asked for asked in self if asked.sent and asked.is_logged]
        for event in events:
            match event:
                case Left(names=names) if name in names:
                    name = None
                case Renamed(old=old, new=new) if name == old:
                    name = new
                case Said() | Emoted() if event.name == name:
                    found = next((a for a in sent if a.has_become(event)), None)
                    if found is not None:
                        del sent[: sent.index(found) + 1]
                        if self.pop(found.ref) is not None:
                            found.answer.callback(Acked(event.id, event.at))
                        if isinstance(event, Said) and not echo:
                            continue
            yield event

    def unsettled(self, *, lost_track: bool) -> None:
        """The connection is gone. Nobody knows what became of the private messages that were sent;
        nor, if we `lost_track` of the log, of the others."""
        for asked in self:
            if asked.sent and (asked.is_private or (lost_track and asked.is_logged)):
                self._fail(asked, Unsure("The connection broke: it may not have arrived."))

    def fail(self, error: ChatError) -> None:
        """There will be no answers."""
        for asked in self:
            self._fail(asked, error)

    def _fail(self, asked: Asked, error: ChatError) -> None:
        if self.pop(asked.ref) is not None:  # it may have been cancelled because of another
            asked.answer.errback(error)
