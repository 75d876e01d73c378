"""The list of those who are online, or in a room."""

import tkinter as tk
from bisect import bisect
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from tkinter import ttk

from chatservice.client.faces.looks import PALETTE, colour
from chatservice.core.sanitize import limit_marks
from chatservice.gui.glyphs import shown
from chatservice.gui.theme import ChatLook

# In a room with thousands, the next ones come or go with the next look, and nobody reads on beyond
# so many.
AT_ONCE, MAX_LISTED = 300, 5000


class People(ttk.Frame):
    """`chosen` is called with a name that is double-clicked, or on which Enter is pressed."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        chosen: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._chosen = chosen
        self._names: list[tuple[str, str]] = []  # casefolded and as it is, in the order shown
        self._marks: dict[str, str] = {}  # what stands after a name
        self._me: str | None = None
        self._head = ttk.Label(self, style="Head.TLabel", padding=(look.px(4), look.px(7), 0, 0))
        self._head.pack(side="top", fill="x", pady=(0, look.px(4)))
        card = ttk.Frame(self, style="Card.TFrame", borderwidth=1, padding=1)
        card.pack(side="top", fill="both", expand=True)
        self.list = ttk.Treeview(card, show="tree", selectmode="browse", height=4)
        self.list.column("#0", width=look.px(170), minwidth=look.px(80))
        bar = ttk.Scrollbar(card, command=self.list.yview, takefocus=False)
        self.list.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.list.pack(side="left", fill="both", expand=True)
        for name_colour in PALETTE:
            self.list.tag_configure(name_colour, foreground=look.shade(name_colour))
        self.list.tag_configure("me", font=look.bold)
        self.list.bind("<Double-1>", self._double_clicked)
        self.list.bind("<Return>", lambda _: self._choose(self.list.focus()))
        self.list.bind("<FocusIn>", lambda _: self._focus_first())

    def show(
        self,
        users: Collection[str],
        marks: Mapping[str, str],
        me: str | None,
        title: str,
    ) -> None:
        """Show these people, some with a mark after the name, under the `title`. Only what has
        changed is drawn again."""
        users = set(users)
        before = {name for _, name in self._names}
        for name in islice(before - users, AT_ONCE):
            self._names.remove((name.casefold(), name))
            self.list.delete(name)
            self._marks.pop(name, None)
        room = min(AT_ONCE, MAX_LISTED - len(self._names))
        for name in islice(users - before, max(room, 0)):
            key = (name.casefold(), name)
            place = bisect(self._names, key)
            self._names.insert(place, key)
            self.list.insert("", place, iid=name, text=_shown(name), tags=(colour(name),))
        marks = {name: mark for name, mark in marks.items() if self.list.exists(name)}
        for name in {**self._marks, **marks}:
            mark = marks.get(name, "")
            if mark != self._marks.get(name, ""):
                self.list.item(name, text=_shown(name) + mark)
        self._marks = marks
        for either in {me, self._me}:
            if either is not None and self.list.exists(either):
                style = (colour(either), "me") if either == me else (colour(either),)
                self.list.item(either, tags=style)
        self._me = me
        self._head.configure(text=title.format(count=len(users)))

    def _focus_first(self) -> None:
        if not self.list.focus() and self._names:
            self.list.focus(self._names[0][1])
            self.list.selection_set((self._names[0][1],))

    def _double_clicked(self, event: "tk.Event[ttk.Treeview]") -> str:
        self._choose(self.list.identify_row(event.y))
        return "break"

    def _choose(self, name: str) -> None:
        if name:
            self._chosen(name)


def _shown(name: str) -> str:
    return shown(limit_marks(name))
