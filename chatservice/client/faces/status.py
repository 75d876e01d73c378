"""The status line: the state of the connection, who is online and who is typing, in one line."""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

BETWEEN = " · "
CUT = "…"


@dataclass(frozen=True, slots=True)
class Status:
    """What the line says. `again`: seconds until the next attempt to connect; `waiting`: how many
    lines have not been acknowledged; `abort`: the key that leaves at once."""

    where: str
    connected: bool
    again: float = 0.0
    waiting: int = 0
    leaving: bool = False
    name: str | None = None
    online: int = 0
    typing: Collection[str] = ()
    abort: str = "Ctrl-C"

    @property
    def line(self) -> str:
        """The state of the connection first: who has no room for all cuts off the end."""
        return BETWEEN.join(part for part in self._parts() if part)

    def _parts(self) -> tuple[str, ...]:
        if self.connected:
            state = f"connected to {self.where}"
        elif self.again > 0:
            state = f"no connection, again in {ceil(self.again)} s"
        else:
            state = f"connecting to {self.where}{CUT}"
        lines = "line waits" if self.waiting == 1 else "lines wait"
        return (
            f"leaving{CUT} {self.abort} leaves at once" if self.leaving else "",
            state,
            f"{self.waiting} {lines}" if self.waiting else "",
            f"{self.online} online" if self.connected and self.online else "",
            self.name or "",
            typing_in_words(self.typing),
        )


def typing_in_words(names: Collection[str]) -> str:
    """Who is typing; empty if nobody is."""
    match sorted(names):
        case []:
            return ""
        case [name]:
            return f"{name} is typing{CUT}"
        case [one, other]:
            return f"{one} and {other} are typing{CUT}"
        case _:
            return f"several people are typing{CUT}"
