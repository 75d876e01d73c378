"""The tabs: one conversation with everyone, and one for each private correspondent."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatservice.core.sanitize import limit_marks
from chatservice.gui.conversation import Conversation
from chatservice.gui.glyphs import shown
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import WindowWords

MAX_PRIVATE = 50  # tabs. Each is a widget; and a server may make up as many senders as it likes
MAX_TITLE = 40  # characters of a name


class Tab:
    """A conversation, with everyone or with `name`."""

    def __init__(self, conversation: Conversation, name: str | None, label: str) -> None:
        self.conversation = conversation
        self.name = name
        self.unread = 0
        self.for_you = False  # some of that
        self.draft = ""
        self._label = label

    @property
    def title(self) -> str:
        """The title, with the number of unread messages."""
        name = self._label if self.name is None else shown(limit_marks(self.name[:MAX_TITLE]))
        return f"{name} ({marks(self.unread, for_you=self.for_you)})" if self.unread else name

    def count(self, *, for_you: bool) -> None:
        """Count an unread message."""
        self.unread += 1
        self.for_you = self.for_you or for_you


def marks(unread: int, *, for_you: bool) -> str:
    """``3``, or ``3!``: how much has not been read, and whether some of it is for you."""
    return f"{unread}!" if for_you else str(unread)


class Tabs:
    """`make` makes a conversation in a parent, for everyone (True) or for one person. `turned` is
    called with the tab that was left when another one is shown."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        words: WindowWords,
        make: Callable[[tk.Misc, bool], Conversation],
        turned: Callable[[Tab], None],
    ) -> None:
        self.book = ttk.Notebook(parent, takefocus=False)
        self._look = look
        self._words = words
        self._make = make
        self._turned = turned
        self._all: dict[str, Tab] = {}  # by the widgets' paths
        self._private: dict[str, Tab] = {}
        self.everyone = self._open(None)
        self.current = self.everyone
        self.book.bind("<<NotebookTabChanged>>", lambda _: self._changed())

    def private(self, name: str) -> Tab | None:
        """The tab for `name`, if there is one."""
        return self._private.get(name)

    def open_private(self, name: str) -> Tab | None:
        """The tab for `name`; None if there are too many."""
        if name not in self._private:
            if len(self._private) >= MAX_PRIVATE:
                return None
            self._private[name] = self._open(name)
        return self._private[name]

    def rename(self, old: str, new: str) -> None:
        """Whoever was called `old` is called `new` now."""
        if old in self._private and new not in self._private:
            tab = self._private.pop(old)
            tab.name = new
            self._private[new] = tab

    def show(self, tab: Tab) -> None:
        self.book.select(str(tab.conversation))

    def turn(self, by: int) -> None:
        """Show the tab that is `by` further on."""
        paths = self.book.tabs()
        place = paths.index(self.book.select())
        self.book.select(paths[(place + by) % len(paths)])

    def close_current(self) -> None:
        """Close the current tab if it is a private one."""
        tab = self.current
        if tab.name is not None:
            self._remove(tab)
            self._changed()

    def reset(self) -> None:
        """Close the private tabs, and empty the other one."""
        for tab in list(self._private.values()):
            self._remove(tab)
        self.current = self.everyone
        self.everyone.conversation.clear()
        self.everyone.unread, self.everyone.for_you = 0, False

    def make_stale(self) -> None:
        """Note that the lines so far belong to a log that no longer exists."""
        for tab in self._all.values():
            tab.conversation.make_stale()

    def refresh(self, *, looked_at: bool) -> None:
        """Update the titles. `looked_at`: the current tab is in view."""
        if looked_at:
            self.current.unread, self.current.for_you = 0, False
        for path, tab in self._all.items():
            if self.book.tab(path, "text") != tab.title:
                self.book.tab(path, text=tab.title)

    @property
    def marks(self) -> str:
        """The unread marks of all tabs together; empty if everything has been read."""
        unread = sum(tab.unread for tab in self._all.values())
        for_you = any(tab.for_you for tab in self._all.values())
        return marks(unread, for_you=for_you) if unread else ""

    def _open(self, name: str | None) -> Tab:
        conversation = self._make(self.book, name is None)
        tab = Tab(conversation, name, self._words.everyone)
        self._all[str(conversation)] = tab
        self.book.add(conversation, text=tab.title)
        return tab

    def _remove(self, tab: Tab) -> None:
        self._private.pop(tab.name or "", None)
        self._all.pop(str(tab.conversation))
        self.book.forget(str(tab.conversation))
        tab.conversation.destroy()

    def _changed(self) -> None:
        tab = self._all.get(self.book.select())
        if tab is None or tab is self.current:
            return
        before, self.current = self.current, tab
        self._turned(before)
