"""The table of everyone who is online."""

import time
import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from chatservice.console.table import Column, Table
from chatservice.core.directory import Directory
from chatservice.core.peer import Peer
from chatservice.core.users import User
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

# Rows that are added or changed at once. The chat waits while Tk draws them, for some 10 ms. When a
# thousand people arrive together, the last are shown a second later.
AT_ONCE = 500
COLUMNS = {
    "name": Column("Name", "Mississippi river"),
    "from": Column("From", "192.168.1.100:65535"),
    "since": Column("Since", "30 Sep 00:00", stretches=False),
}


class Row(NamedTuple):
    """A row as it is shown, and its item in the tree."""

    item: str
    name: str
    peer: Peer
    day: str


class People(Table):
    """A table of everyone."""

    def __init__(
        self, parent: tk.Misc, look: Look, directory: Directory, on_choice: Callable[[], None]
    ) -> None:
        super().__init__(parent, look, COLUMNS, on_choice)
        self._directory = directory
        self._rows: dict[User, Row] = {}
        self._users: dict[str, User] = {}
        self._by, self._backwards = "name", False
        for column in COLUMNS:
            self.tree.heading(column, command=partial(self._sort, column))
        self._head()

    @property
    def chosen(self) -> User | None:
        """The person in the selected row, if they are still here."""
        for item in self.tree.selection():
            user = self._users[item]
            return user if user.present else None
        return None

    def refresh(self) -> None:
        """Remove, add and change rows as people have gone, come and changed; at most AT_ONCE of
        them are added or changed, and the others at the next call."""
        gone = [user for user in self._rows if not user.present]
        for user in gone:
            item = self._rows.pop(user).item
            del self._users[item]
            self.tree.delete(item)
        left = AT_ONCE
        today = time.strftime("%Y-%m-%d")
        order: list[User] = []
        for name in self._directory.online():
            user = self._directory.users[name]
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
            peer.address,
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
        """Sort by the column that the operator has chosen, and then by name."""
        if self._by == "from":
            order.sort(key=lambda user: peer_of(user).address)
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
        for column, (title, *_) in COLUMNS.items():
            arrow = (" ▾" if self._backwards else " ▴") if column == self._by else ""
            self.tree.heading(column, text=title + arrow)


def since_in_words(since: float, today: str) -> str:
    """The local time, with the day if it is not `today` (such as 2026-11-21)."""
    at = time.localtime(since)
    is_today = time.strftime("%Y-%m-%d", at) == today
    return time.strftime("%H:%M:%S" if is_today else "%d %b %H:%M", at)


def peer_of(user: User) -> Peer:
    """Whose connection they came in with."""
    return user.sessions[0].peer if user.sessions else Peer()
