"""The status line: the state of the connection, who is online and who is typing, in one line."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import assert_never

from chatservice.client.state import State
from chatservice.dialects.wording import ENGLISH, Catalogue

BETWEEN = " · "


@dataclass(frozen=True, slots=True)
class Status:
    """What the line says. `again`: seconds until the next attempt to connect; `asked`: who you are
    is being asked; `queued`: how many lines have not been acknowledged; `unread`: messages in
    other rooms; `abort`: the key that leaves at once."""

    where: str
    state: State
    again: float = 0.0
    asked: bool = False
    queued: int = 0
    leaving: bool = False
    name: str | None = None
    unread: Mapping[str, int] = field(default_factory=dict)
    online: int = 0
    typing: Collection[str] = ()
    abort: str = "Ctrl-C"
    words: Catalogue = ENGLISH

    @property
    def line(self) -> str:
        """The state of the connection first: where there is no room for all, the end is cut off."""
        return BETWEEN.join(part for part in self._parts() if part)

    def _parts(self) -> tuple[str, ...]:
        words = self.words.client
        is_in = self.state in (State.CATCHING_UP, State.LIVE)
        return (
            words.leaving.format(key=self.abort) if self.leaving else "",
            self._connection(),
            words.queued(self.queued) if self.queued else "",
            words.online.format(count=self.online) if is_in and self.online else "",
            self.name or "",
            *(f"#{room} {count}" for room, count in sorted(self.unread.items()) if count),
            typing_in_words(self.typing, self.words),
        )

    def _connection(self) -> str:
        words = self.words.client
        match self.state:
            case State.LIVE:
                return words.connected.format(where=self.where)
            case State.LOGIN if self.asked:
                return words.connected.format(where=self.where)
            case State.CATCHING_UP:
                return words.catching_up
            case State.OFFLINE | State.CLOSED if self.again > 0:
                return words.offline.format(seconds=ceil(self.again))
            case State.OFFLINE | State.CLOSED | State.CONNECTING | State.LOGIN:
                return words.connecting.format(where=self.where)
            case _:
                assert_never(self.state)


def typing_in_words(names: Collection[str], words: Catalogue = ENGLISH) -> str:
    """Who is typing; empty if nobody is."""
    return words.client.typing(sorted(names)) if names else ""
