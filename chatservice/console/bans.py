"""The table of the bans and mutes, in the whole chat and in the rooms."""

import time
import tkinter as tk
from collections.abc import Callable, Iterable
from heapq import nlargest
from typing import NamedTuple

from chatservice.console.people import since_in_words
from chatservice.console.table import Column, Table
from chatservice.core.events import ALL_ROOMS, SanctionInfo, SanctionKind
from chatservice.core.measures import CONSOLE
from chatservice.core.sanitize import limit_marks
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

# Those that are listed, the newest first. The chat waits while Tk draws them.
MAX_LISTED = 500
COLUMNS = {
    "name": Column("Name", "Mississippi"),
    "what": Column("What", "banned everywhere", stretches=False),
    "until": Column("Until", "30 Sep 00:00", stretches=False),
    "by": Column("By", "the operator..", stretches=False),
    "why": Column("Reason", "what people write"),
}


class Held(NamedTuple):
    """A ban or mute in a room, or in the whole chat (ALL_ROOMS)."""

    scope: str
    info: SanctionInfo


class Bans(Table):
    """A table of bans and mutes. `held` gives all of them."""

    def __init__(
        self,
        parent: tk.Misc,
        look: Look,
        held: Callable[[], Iterable[Held]],
        on_choice: Callable[[], None],
    ) -> None:
        super().__init__(parent, look, COLUMNS, on_choice)
        self._held = held
        self._listed: dict[str, Held] = {}

    @property
    def chosen(self) -> Held | None:
        """That in the selected row."""
        for item in self.tree.selection():
            return self._listed.get(item)
        return None

    def refresh(self) -> None:
        """Show them as they are now. Only what has changed is drawn again."""
        found = nlargest(MAX_LISTED, self._held(), key=lambda held: held.info.at)
        wanted = {_item(held): held for held in found}
        gone = [item for item in self._listed if item not in wanted]
        self.tree.delete(*gone)
        self._listed = wanted
        for place, (item, held) in enumerate(wanted.items()):
            if not self.tree.exists(item):
                self.tree.insert("", place, iid=item, values=_values(held))


def _item(held: Held) -> str:
    """What tells it from all others."""
    return repr(held)


def _values(held: Held) -> tuple[str, ...]:
    info, today = held.info, time.strftime("%Y-%m-%d")
    what, of = ("banned", "from") if info.kind is SanctionKind.BAN else ("muted", "in")
    where = "everywhere" if held.scope == ALL_ROOMS else f"{of} {shown('#' + held.scope)}"
    return (
        shown(info.name),
        f"{what} {where}",
        "for good" if info.until is None else since_in_words(info.until, today),
        "the operator" if info.by == CONSOLE else shown(info.by),
        shown(limit_marks(info.why)),
    )
