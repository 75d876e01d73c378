"""The requests that have not been answered, in the order in which they were made."""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Any, assert_never

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
    IgnoredList,
    LeaveReason,
    Left,
    Online,
    Person,
    Recalled,
    Renamed,
    RoomInfo,
    RoomList,
    Said,
    SanctionList,
    Tombstone,
)
from chatservice.core.requests import (
    Announce,
    Away,
    Ban,
    Bans,
    ChangePassword,
    Delete,
    Emote,
    Founder,
    History,
    Ignore,
    Ignores,
    Invite,
    Join,
    Kick,
    Mute,
    Nick,
    Op,
    Part,
    Question,
    Quiet,
    Register,
    Reply,
    Report,
    RoomMode,
    Rooms,
    Say,
    Search,
    Switch,
    Tell,
    Topic,
    Unregister,
    Who,
    Whois,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects.wording import ClientWords


class AfterLoss(Enum):
    """What becomes of a request that was sent on a connection which broke before the answer."""

    REPEAT = auto()  # to do it twice is to do it once
    LOOK_IN_LOG = auto()  # it stands there, or it is said again
    UNSURE = auto()  # nobody can tell whether it was done


def after_loss(request: Question) -> AfterLoss:
    """What becomes of `request`."""
    match request:
        case Say() | Emote():
            return AfterLoss.LOOK_IN_LOG
        case (
            Tell() | Reply() | Announce() | Kick() | Ban() | Mute() | Report() | Delete()
        ):  # it would be done once more
            return AfterLoss.UNSURE
        case Who() | Nick() | History() | Search() | Register() | ChangePassword() | Unregister():
            return AfterLoss.REPEAT
        case Join() | Part() | Rooms() | Whois() | Topic() | RoomMode() | Invite():
            return AfterLoss.REPEAT
        case Op() | Founder() | Bans() | Away() | Ignore() | Ignores():
            return AfterLoss.REPEAT
        case Switch() | Quiet():  # these are for people whose lines the server reads
            return AfterLoss.REPEAT
        case _:
            assert_never(request)


def answer_of(request: Question) -> type:  # noqa: PLR0911, PLR0912 (one for each kind)
    """The event that answers `request`, if it is not declined."""
    match request:
        case Say() | Emote() | Tell() | Reply() | Nick() | Announce():
            return Acked
        case Away() | Report() | Ignore() | Delete():
            return Acked
        case Topic(topic=None):
            return RoomInfo
        case Part() | Topic() | RoomMode() | Invite() | Op() | Founder() | Kick() | Ban() | Mute():
            return Acked
        case Bans():
            return SanctionList
        case Ignores():
            return IgnoredList
        case Join() | Switch() | Quiet():
            return RoomInfo
        case Rooms():
            return RoomList
        case Whois():
            return Person
        case Who():
            return Online
        case History() | Search():
            return Recalled
        case Register() | ChangePassword() | Unregister():
            return AccountChanged
        case _:
            assert_never(request)


class Sending(Enum):
    """Whether a request has been sent."""

    NOT_YET = auto()
    SENT = auto()
    LOST = auto()  # on a connection that broke: it may have been carried out


class Pending:
    """A request. `answer` fires with the event that answers it. `again`: it is being sent again,
    and may have been carried out the first time."""

    __slots__ = ("again", "answer", "ref", "request", "sending")

    def __init__(self, ref: str, request: Question, answer: "Deferred[Any]") -> None:
        self.ref = ref
        self.request = request
        self.answer = answer
        self.sending = Sending.NOT_YET
        self.again = False

    def mark_sent(self, password: str) -> None:
        """It is being sent, by somebody whose password is `password`."""
        self.again = self.sending is Sending.LOST
        if isinstance(self.request, Register) and password not in ("", self.request.password):
            self.again = False  # a name that has another password was refused before
        self.sending = Sending.SENT

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
    def after_loss(self) -> AfterLoss:
        return after_loss(self.request)

    @property
    def was_sent(self) -> bool:
        return self.sending is not Sending.NOT_YET

    def has_become(self, event: Said | Emoted) -> bool:
        """Whether `event` is what comes of it."""
        match self.request, event:
            case (Say(text=asked), Said(text=text)) | (Emote(text=asked), Emoted(text=text)):
                return sanitize(asked) == text
            case _:
                return False


class Settlement:
    """Finds what was asked for in a part of the log that we, called `name`, did not hear. Our own
    messages stand there in the order in which they were sent, under our name; what comes after we
    have left is somebody else's."""

    def __init__(self, outstanding: "Outstanding", name: str | None) -> None:
        self._outstanding = outstanding
        self._name = name
        self._sent = [
            each
            for each in outstanding
            if each.was_sent and each.after_loss is AfterLoss.LOOK_IN_LOG
        ]

    def settle(self, events: Iterable[Happening], *, echo: bool) -> Iterator[Happening]:
        """Acknowledge what stands among `events`, the next part. Yields the events that we are to
        hear: our own messages only with `echo`."""
        for event in events:
            match event:
                case Left(names=names, reason=reason) if self._name in names:
                    if reason is not LeaveReason.PARTED:
                        self._name = None
                case Renamed(old=old, new=new) if self._name == old:
                    self._name = new
                case Said() | Emoted() if event.name == self._name:
                    if self._acknowledge(event) and isinstance(event, Said) and not echo:
                        continue
                case Tombstone(name=name) if name == self._name and self._sent:
                    # What it was nobody can tell, but it must not be said again.
                    self._outstanding.give_up(self._sent.pop(0))
            yield event

    def _acknowledge(self, event: Said | Emoted) -> bool:
        """Whether `event` is one of those."""
        found = next((each for each in self._sent if each.has_become(event)), None)
        if found is None:
            return False
        del self._sent[: self._sent.index(found) + 1]
        if self._outstanding.pop(found.ref) is not None:
            found.answer.callback(Acked(event.id, event.at))
        return True


class Outstanding:
    """Requests by their ref. `dropped` is called when somebody cancels one."""

    def __init__(self, dropped: Callable[[], None], words: ClientWords) -> None:
        self._dropped = dropped
        self._words = words
        self._made = 0
        self._pending: dict[str, Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._pending.values()))

    def add(self, request: Question) -> Pending:
        """Nobody has sent it so far. Whoever cancels `answer` does not want it any more."""
        self._made += 1
        ref = str(self._made)

        def cancelled(answer: "Deferred[Any]") -> None:
            self.pop(ref)
            self._dropped()

        answer: Deferred[Any] = Deferred(cancelled)
        self._pending[ref] = pending = Pending(ref, request, answer)
        return pending

    def passwords(self) -> list[str]:
        """Those that have been sent for our name, which may have one of them by now."""
        found = []
        for each in self:
            match each.request:
                case Register(password=password) | ChangePassword(password=password) if (
                    each.was_sent
                ):
                    found.append(password)
        return found

    def pop(self, ref: str | None) -> Pending | None:
        """The request with that ref, which is answered now."""
        return self._pending.pop(ref, None) if ref is not None else None

    def lose(self) -> None:
        """The connection is gone, and with it the answers to what was sent."""
        for each in self:
            if each.sending is Sending.SENT:
                each.sending = Sending.LOST
        self._fail_lost(AfterLoss.UNSURE)

    def lose_track(self) -> None:
        """What was sent on connections that broke cannot be looked for in the log."""
        self._fail_lost(AfterLoss.LOOK_IN_LOG)

    def fail(self, error: ChatError) -> None:
        """There will be no answers."""
        for each in self:
            self._fail(each, error)

    def give_up(self, pending: Pending) -> None:
        """Nobody can tell whether it was done."""
        self._fail(pending, Unsure(self._words.unsure))

    def _fail_lost(self, kind: AfterLoss) -> None:
        for each in self:
            if each.sending is Sending.LOST and each.after_loss is kind:
                self.give_up(each)

    def _fail(self, pending: Pending, error: ChatError) -> None:
        if self.pop(pending.ref) is not None:  # it may have been cancelled because of another
            pending.answer.errback(error)
