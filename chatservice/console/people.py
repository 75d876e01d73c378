"""Who is online, from where and since when."""

import time
import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk
from typing import NamedTuple

from chatservice.console.lines import address_in_words
from chatservice.core.chat import Chat
from chatservice.core.peer import Peer
from chatservice.core.users import User
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

# Rows that are added or changed at once. Tk takes some 10 ms for them, in which the chat waits; of
# a thousand who arrive together, the last are shown a second later.
AT_ONCE = 500
COLUMNS = {"name": "Name", "from": "From", "since": "Since"}


class Row(NamedTuple):
    """What stands in a row, and its item in the tree."""

    item: str
    name: str
    peer: Peer
    day: str


class People(ttk.Frame):
    """A table of everyone. `on_choice` is called when another row has been chosen, or none."""

    def __init__(
        self, parent: tk.Misc, look: Look, chat: Chat, on_choice: Callable[[], None]
    ) -> None:
        super().__init__(parent, style="Card.TFrame", padding=1)
        self._chat = chat
        self._rows: dict[User, Row] = {}
        self._users: dict[str, User] = {}
        self._order: list[str] = []
        self._by, self._backwards = "name", False
        self.tree = ttk.Treeview(self, columns=tuple(COLUMNS), show="headings", selectmode="browse")
        for column, widest in (
            ("name", "Mississippi river"),
            ("from", "192.168.1.100:65535"),
            ("since", "30 Sep 00:00"),
        ):
            width = look.font.measure(widest) + look.px(16)
            self.tree.column(column, width=width, minwidth=look.px(50), stretch=column != "since")
            self.tree.heading(column, anchor="w", command=partial(self._sort, column))
        self._bar = ttk.Scrollbar(self, command=self.tree.yview)
        self.tree.configure(yscrollcommand=self._scrolled)
        self.tree.grid(row=0, column=0, sticky="nsew")
        self.columnconfigure(0, weight=1)
        self.rowconfigure(0, weight=1)
        self.tree.bind("<<TreeviewSelect>>", lambda _: on_choice())
        self.tree.bind("<FocusIn>", lambda _: self._has_keyboard())
        self.tree.bind("<FocusOut>", lambda _: self.configure(style="Card.TFrame"))
        self._head()

    @property
    def chosen(self) -> User | None:
        """Who has been chosen, if they are still here."""
        for item in self.tree.selection():
            user = self._users[item]
            return user if user.present else None
        return None

    def refresh(self) -> None:
        """Make the table true: take out who has gone, add who has come, and change what is not as
        it was. Of many, AT_ONCE; the others have their turn the next time."""
        gone = [user for user in self._rows if not user.present]
        for user in gone:
            item = self._rows.pop(user).item
            del self._users[item]
            self.tree.delete(item)
        left = AT_ONCE
        today = time.strftime("%Y-%m-%d")
        order: list[User] = []
        for name in self._chat.directory.online():
            user = self._chat.users[name]
            row = self._rows.get(user)
            if row is None or (row.name, row.peer, row.day) != (name, peer_of(user), today):
                if left:
                    left -= 1
                    self._show(user, row, today)
                elif row is None:
                    continue
            order.append(user)
        self._arrange(order)

    def _show(self, user: User, row: Row | None, today: str) -> None:
        peer = peer_of(user)
        values = (
            shown(user.name),
            address_in_words(peer.address),
            since_in_words(user.since, today),
        )
        if row is None:
            item = self.tree.insert("", "end", values=values)
            self._users[item] = user
        else:
            item = row.item
            self.tree.item(item, values=values)
        self._rows[user] = Row(item, user.name, peer, today)

    def _arrange(self, order: list[User]) -> None:
        """By what the operator has asked for; those who are alike there, by name."""
        if self._by == "from":
            order.sort(key=lambda user: address_in_words(peer_of(user).address))
        elif self._by == "since":
            order.sort(key=lambda user: user.since)
        items = [self._rows[user].item for user in order]
        if self._backwards:
            items.reverse()
        if items != list(self.tree.get_children()):
            self.tree.set_children("", *items)

    def _sort(self, by: str) -> None:
        self._backwards = by == self._by and not self._backwards
        self._by = by
        self._head()
        self.refresh()

    def _head(self) -> None:
        for column, title in COLUMNS.items():
            arrow = (" ▾" if self._backwards else " ▴") if column == self._by else ""
            self.tree.heading(column, text=title + arrow)

    def _scrolled(self, first: float, last: float) -> None:
        """The bar is there where it is of use."""
        self._bar.set(first, last)  # Tk has words for them
        if float(first) > 0 or float(last) < 1:
            self._bar.grid(row=0, column=1, sticky="ns")
        else:
            self._bar.grid_remove()

    def _has_keyboard(self) -> None:
        """Whoever comes here by keyboard can see where they are."""
        self.configure(style="Focus.Card.TFrame")
        items = self.tree.get_children()
        if items and not self.tree.selection():
            self.tree.selection_set(items[0])
            self.tree.focus(items[0])


def since_in_words(since: float, today: str) -> str:
    """The local time, and the day if it is not `today` (as 2026-11-21)."""
    at = time.localtime(since)
    is_today = time.strftime("%Y-%m-%d", at) == today
    return time.strftime("%H:%M:%S" if is_today else "%d %b %H:%M", at)


def peer_of(user: User) -> Peer:
    """Whose connection they came in with."""
    return user.sessions[0].peer if user.sessions else Peer()
