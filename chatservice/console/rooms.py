"""The table of the rooms."""

import tkinter as tk
from collections.abc import Callable
from heapq import nsmallest

from chatservice.console.table import Column, Table
from chatservice.core.directory import Directory
from chatservice.core.room import Room
from chatservice.core.sanitize import limit_marks
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

# Rooms that are listed, those with most people first. Nobody reads further down, and the chat waits
# while Tk draws them: some 10 ms when all are new.
MAX_LISTED = 500
COLUMNS = {
    "room": Column("Room", "#release-1.4", stretches=False),
    "people": Column("People", "People", stretches=False),
    "access": Column("Access", "private", stretches=False),
    "topic": Column("Topic", "What a topic may look like"),
}


class Rooms(Table):
    """A table of the rooms, private ones too."""

    def __init__(
        self, parent: tk.Misc, look: Look, directory: Directory, on_choice: Callable[[], None]
    ) -> None:
        super().__init__(parent, look, COLUMNS, on_choice)
        self._directory = directory

    @property
    def chosen(self) -> Room | None:
        """The room in the selected row, if it is still there."""
        for name in self.tree.selection():
            return self._directory.rooms.get(name)
        return None

    def choose_none(self) -> None:
        self.tree.selection_set(())

    def refresh(self) -> None:
        """Show the rooms as they are now. Only what has changed is drawn again."""
        rooms = nsmallest(MAX_LISTED, self._directory.rooms.values(), key=_order)
        listed = self.tree.get_children()
        wanted = tuple(room.name for room in rooms)
        self.tree.delete(*set(listed) - set(wanted))
        for room in rooms:
            values = _values(room)
            if not self.tree.exists(room.name):
                self.tree.insert("", "end", iid=room.name, values=values)
            elif self.tree.item(room.name, "values") != values:
                self.tree.item(room.name, values=values)
        if self.tree.get_children() != wanted:
            self.tree.set_children("", *wanted)


def _order(room: Room) -> tuple[int, str]:
    return -len(room.members), room.name.casefold()


def _values(room: Room) -> tuple[str, ...]:
    """As Tk gives them back: texts."""
    access = "private" if room.private else "open"
    topic = shown(limit_marks(room.topic))
    return shown(f"#{room.name}"), str(len(room.members)), access, topic
