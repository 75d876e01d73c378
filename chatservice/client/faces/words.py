"""What is shown to a person, in words: the server's, and those of `ClientWords`."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from chatservice.client.errors import (
    ChatError,
    Declined,
    Gone,
    PasswordInClear,
    Untrusted,
)
from chatservice.client.events import Disconnected, Heard, Missed, RoomLost
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Error,
    Event,
    NameAsked,
    PasswordAsked,
    Refused,
    Removed,
    Replayed,
    ReplayReason,
    RoomEvent,
    RoomLeft,
    Said,
    Told,
)
from chatservice.dialects.text import Text
from chatservice.dialects.wording import ENGLISH, Catalogue


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The last answer was wrong, for the reason in `error`: what is your name; or, with `name`,
    its password?"""

    error: Error
    name: str = ""


Shown = Heard | ChatError | AskedAgain | str


class Wording:
    """The words for what is shown. `where`: the server; `words`: the language; `room`: where the
    person speaks: what is heard from another room begins with its name."""

    def __init__(
        self, where: str, words: Catalogue = ENGLISH, room: Callable[[], str] = lambda: LOBBY
    ) -> None:
        self.where = where
        self.words = words
        self._room = room
        self._text = Text(zone=None, words=words)  # a person's times are those of their clock

    def lines(self, event: Shown) -> list[str]:  # noqa: PLR0911, PLR0912 (a case each)
        """The lines for `event`, without times; none if there is nothing to say."""
        words = self.words
        match event:
            case str():
                return event.splitlines()
            case Disconnected():
                return [f"{self._no_connection(event.why, lost=event.lost)} {self._retry(event)}"]
            case Gone(lost=lost):
                return [self._no_connection(str(event), lost=lost)]
            case Untrusted():
                return [str(event)]
            case PasswordInClear():
                return [self._error(f"{event} {words.client.use_tls}")]
            case Declined(error=error):
                return self._rendered(error)
            case AskedAgain(error=error, name=name):
                question = PasswordAsked(name) if name else NameAsked()
                return [" ".join((*self._rendered(error), *self._rendered(question)))]
            case ChatError():
                return [self._error(str(event))]
            case Missed(count=count, gone=gone):
                return [f"*** {words.heading(ReplayReason.AWAY, count, gone=gone)}"]
            case RoomLost(room=room, why=why):
                return [words.client.room_lost.format(room=room, why=why)]
            case Removed(room=room) if room != ALL_ROOMS:
                return [*self._rendered(event), *self._rendered(RoomLeft(room, self._room()))]
            case Told(waited=True):
                return [f"{line} {words.client.while_away}" for line in self._rendered(event)]
            case Replayed():
                return [self.heading(event), *map(self._stamped, event.events)]
            case _:
                return self._rendered(event)

    def plain(self, event: Shown) -> list[str]:
        """The lines for `event`, with its time if it is not now."""
        if isinstance(event, Told) and event.waited:
            return [self._stamped(event)]
        return self.lines(event)

    def heading(self, event: Replayed) -> str:
        """What stands above messages that are shown again."""
        heading = self.words.heading(event.reason, event.count, gone=event.gone, more=event.more)
        return f"*** {heading}"

    def _stamped(self, event: Event) -> str:
        return "".join((stamp(getattr(event, "at", 0.0)), *self.lines(event)))

    def _rendered(self, event: Event) -> list[str]:
        if not isinstance(event, RoomEvent | Said):
            return list(self._text.lines(event))
        rooms = getattr(event, "rooms", ()) or (event.room,)
        is_elsewhere = any(rooms) and self._room() not in rooms
        label = f"#{event.room} " if is_elsewhere else ""
        return [f"{label}{line}" for line in self._text.lines(event, labelled=is_elsewhere)]

    def _error(self, message: str) -> str:
        return self.words.error.format(message=message)

    def _no_connection(self, reason: str, *, lost: bool) -> str:
        words, reason = self.words.client, reason.rstrip(".")
        if not lost:
            return words.cannot_connect.format(where=self.where, reason=reason)
        if reason in (words.closed, words.lost):
            return words.disconnected
        return words.disconnected_because.format(reason=reason)

    def _retry(self, event: Disconnected) -> str:
        words = self.words.client
        return (
            words.retrying_in.format(seconds=round(event.again))
            if event.again >= 1
            else words.retrying
        )


def stamp(at: float) -> str:
    """``[09:47:12] ``; with the day, if it was another: as the server writes times for ``nc``."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("[%H:%M:%S] " if then[:3] == now[:3] else "[%Y-%m-%d %H:%M:%S] ", then)


def is_error(event: Shown) -> bool:
    """Whether `event` says that something went wrong."""
    return isinstance(event, Error | Refused | AskedAgain | ChatError | Disconnected)
