"""The status line: the state of the connection, who is here and who is writing, in one line."""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from prompt_toolkit.utils import get_cwidth

BETWEEN = " · "
CUT = "…"


@dataclass(frozen=True, slots=True)
class Status:
    """What the line says. `again`: seconds until the next attempt to connect; `waiting`: how many
    lines have not been acknowledged."""

    where: str
    connected: bool
    again: float = 0.0
    waiting: int = 0
    leaving: bool = False
    name: str | None = None
    online: int = 0
    writing: Collection[str] = ()

    def line(self, width: int) -> str:
        """No more than `width` columns of the terminal, wide characters counted as two."""
        return fit(BETWEEN.join(part for part in self._parts() if part), width)

    def _parts(self) -> tuple[str, ...]:
        if self.connected:
            state = f"connected to {self.where}"
        elif self.again > 0:
            state = f"no connection, again in {ceil(self.again)} s"
        else:
            state = f"connecting to {self.where}{CUT}"
        lines = "line waits" if self.waiting == 1 else "lines wait"
        return (
            f"leaving{CUT} Ctrl-C leaves at once" if self.leaving else "",
            state,
            f"{self.waiting} {lines}" if self.waiting else "",
            f"{self.online} online" if self.connected and self.online else "",
            self.name or "",
            writing_in_words(self.writing),
        )


def writing_in_words(names: Collection[str]) -> str:
    """Who is writing; empty if nobody is."""
    match sorted(names):
        case []:
            return ""
        case [name]:
            return f"{name} is writing{CUT}"
        case [one, other]:
            return f"{one} and {other} are writing{CUT}"
        case _:
            return f"several people are writing{CUT}"


def fit(text: str, width: int) -> str:
    """`text`, cut to `width` columns."""
    if get_cwidth(text) <= width:
        return text
    kept, room = "", width - get_cwidth(CUT)
    for character in text:
        room -= get_cwidth(character)
        if room < 0:
            break
        kept += character
    return (kept + CUT)[:width]
