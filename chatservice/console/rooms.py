"""The table of the rooms."""

import tkinter as tk
from collections.abc import Callable
from heapq import nsmallest
from tkinter import ttk

from chatservice.core.chat import Chat
from chatservice.core.room import Room
from chatservice.core.sanitize import limit_marks
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

# Rooms that are listed, those with most people first. Nobody reads further down, and the chat waits
# while Tk draws them: some 10 ms when all are new.
MAX_LISTED = 500
COLUMNS = {"room": "Room", "people": "People", "access": "Access", "topic": "Topic"}


class Rooms(ttk.Frame):
    """A table of the rooms, private ones too. `on_choice` is called when the selection changes."""

    def __init__(
        self, parent: tk.Misc, look: Look, chat: Chat, on_choice: Callable[[], None]
    ) -> None:
        super().__init__(parent, style="Card.TFrame", padding=1)
        self._chat = chat
        self.tree = ttk.Treeview(self, columns=tuple(COLUMNS), show="headings", selectmode="browse")
        for column, widest in (
            ("room", "#release-1.4"),
            ("people", "People"),
            ("access", "private"),
            ("topic", "What a topic may look like"),
        ):
            width = look.font.measure(widest) + look.px(20)
            self.tree.column(column, width=width, minwidth=look.px(40), stretch=column == "topic")
            self.tree.heading(column, text=COLUMNS[column], anchor="w")
        bar = ttk.Scrollbar(self, command=self.tree.yview)
        self.tree.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.tree.pack(side="left", fill="both", expand=True)
        self.tree.bind("<<TreeviewSelect>>", lambda _: on_choice())
        self.tree.bind("<FocusIn>", lambda _: self._has_keyboard())
        self.tree.bind("<FocusOut>", lambda _: self.configure(style="Card.TFrame"))

    @property
    def chosen(self) -> Room | None:
        """The room in the selected row, if it is still there."""
        for name in self.tree.selection():
            return self._chat.directory.rooms.get(name)
        return None

    def choose_none(self) -> None:
        self.tree.selection_set(())

    def refresh(self) -> None:
        """Show the rooms as they are now. Only what has changed is drawn again."""
        rooms = nsmallest(MAX_LISTED, self._chat.directory.rooms.values(), key=_order)
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

    def _has_keyboard(self) -> None:
        """Show the focus, and select a row for the keyboard to start from."""
        self.configure(style="Focus.Card.TFrame")
        items = self.tree.get_children()
        if items and not self.tree.selection():
            self.tree.selection_set(items[0])
            self.tree.focus(items[0])


def _order(room: Room) -> tuple[int, str]:
    return -len(room.members), room.name.casefold()


def _values(room: Room) -> tuple[str, ...]:
    """As Tk gives them back: texts."""
    access = "private" if room.private else "open"
    topic = shown(limit_marks(room.topic))
    return shown(f"#{room.name}"), str(len(room.members)), access, topic
