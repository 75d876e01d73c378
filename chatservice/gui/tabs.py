"""The conversations, one for each room and each private correspondent, and the list of them."""

import tkinter as tk
from collections.abc import Callable, Collection
from tkinter import ttk

from chatservice.client.faces.words import Wording
from chatservice.core.events import LOBBY
from chatservice.core.registry import room_order
from chatservice.core.sanitize import limit_marks
from chatservice.gui.conversation import Conversation
from chatservice.gui.glyphs import shown
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import WindowWords

# Each is a widget; a server lets nobody into more than fifty rooms, but may make up as many senders
# as it likes.
MAX_ROOMS, MAX_PRIVATE = 50, 50
MAX_TITLE = 40  # characters of a name
ROOM, PERSON = "#", "@"  # what the item of a tab begins with; no name has them
UNREAD, FOR_YOU = "unread", "mention"


class Tab:
    """A conversation: in `room`, or with the person `name`. `draft`: what was being typed there;
    `before`: the first id that is not to be loaded as something older, None: there is none;
    `oldest`: the first id that is kept, if it has been seen."""

    def __init__(self, conversation: Conversation, wording: Wording, room: str, name: str) -> None:
        self.conversation = conversation
        self.wording = wording
        self.room = room
        self.name = name
        self.unread = 0
        self.for_you = False  # some of that
        self.draft = ""
        self.before: int | None = None
        self.oldest = 0
        self.loading = False
        self.loaded = False  # it has been seen, and what was said before was asked for

    @property
    def title(self) -> str:
        """``#dev``, or the name of the person."""
        return shown(limit_marks(f"#{self.room}" if self.room else self.name)[:MAX_TITLE])

    @property
    def marks(self) -> str:
        """How much has not been read; empty if everything has been."""
        return marks(self.unread, for_you=self.for_you) if self.unread else ""

    def count(self, *, for_you: bool) -> None:
        """Count an unread message."""
        self.unread += 1
        self.for_you = self.for_you or for_you

    def read(self) -> None:
        """Everything in it has been read."""
        self.unread, self.for_you = 0, False


def marks(unread: int, *, for_you: bool) -> str:
    """``3``, or ``3!``: how much has not been read, and whether some of it is for you."""
    return f"{unread}!" if for_you else str(unread)


class Tabs:
    """`list` shows the titles, and the current conversation is in `stage`. `make` makes one in a
    parent, and `word` the wording of a room (of none, for a private one). `turned` is called with
    the tab that was left when another one is shown."""

    def __init__(
        self,
        list_parent: tk.Misc,
        stage_parent: tk.Misc,
        look: ChatLook,
        words: WindowWords,
        *,
        make: Callable[[tk.Misc], Conversation],
        word: Callable[[str], Wording],
        turned: Callable[[Tab], None],
    ) -> None:
        self._make = make
        self._word = word
        self._turned = turned
        self.stage = ttk.Frame(stage_parent, style="Card.TFrame", borderwidth=1, padding=1)
        self.rooms: dict[str, Tab] = {}
        self._private: dict[str, Tab] = {}
        self.frame = ttk.Frame(list_parent)
        self.head = ttk.Frame(self.frame)
        self.head.pack(side="top", fill="x")
        ttk.Label(
            self.head, text=words.rooms, style="Head.TLabel", padding=(look.px(4), 0, 0, 0)
        ).pack(side="left", pady=(look.px(7), look.px(4)))
        self.join = ttk.Button(
            self.head, text="+", width=2, takefocus=False, style="Filter.Toolbutton"
        )
        self.join.pack(side="right")
        card = ttk.Frame(self.frame, style="Card.TFrame", borderwidth=1, padding=1)
        card.pack(side="top", fill="both", expand=True)
        self.list = ttk.Treeview(
            card, show="tree", selectmode="browse", height=4, columns=("marks",)
        )
        self.list.column("#0", width=look.px(100), minwidth=look.px(50))
        marks_width = look.bold.measure("999!") + look.px(12)
        self.list.column("marks", width=marks_width, stretch=False, anchor="e")
        self.list.pack(side="left", fill="both", expand=True)
        self.list.tag_configure(UNREAD, font=look.bold)
        self.list.tag_configure(FOR_YOU, font=look.bold, foreground=look.colours.accent)
        self.list.bind("<<TreeviewSelect>>", lambda _: self._selected())
        self.current = self.home = self._open(LOBBY, "")
        self._raise(self.current)

    def private(self, name: str) -> Tab | None:
        """The tab for `name`, if there is one."""
        return self._private.get(name)

    def open_private(self, name: str) -> Tab | None:
        """The tab for `name`; None if there are too many."""
        if name not in self._private:
            if len(self._private) >= MAX_PRIVATE:
                return None
            self._open("", name)
        return self._private[name]

    def rename(self, old: str, new: str) -> None:
        """Whoever was called `old` is called `new` now."""
        if old in self._private and new not in self._private:
            tab = self._private.pop(old)
            self.list.delete(_item(tab))
            tab.name = new
            self._private[new] = tab
            self._list(tab)
            if tab is self.current:
                self.list.selection_set((_item(tab),))

    def stay_in(self, rooms: Collection[str]) -> list[Tab]:
        """Have a tab for each of these rooms, and for no others; for the lobby if there are none.
        Returns the new ones."""
        wanted = sorted(rooms, key=room_order)[:MAX_ROOMS] or [LOBBY]
        new = [self._open(room, "") for room in wanted if room not in self.rooms]
        if self.home.room not in wanted:
            self.home = self.rooms[wanted[0]]
        for tab in [tab for room, tab in self.rooms.items() if room not in wanted]:
            self._remove(tab)
        return new

    def show(self, tab: Tab) -> None:
        """Have `tab` in view."""
        if tab is not self.current:
            before, self.current = self.current, tab
            before.conversation.pack_forget()
            before.conversation.hide()
            self._raise(tab)
            self._turned(before)

    def has(self, tab: Tab) -> bool:
        """Whether `tab` is one of these, and not being closed."""
        return tab in self._all

    def turn(self, by: int) -> None:
        """Show the tab that is `by` further on."""
        tabs = self._all
        self.show(tabs[(tabs.index(self.current) + by) % len(tabs)])

    def choose(self, number: int) -> None:
        """Show the tab with this number, from 0, if there is one."""
        if number < len(self._all):
            self.show(self._all[number])

    def tab_at(self, y: int) -> Tab | None:
        """The tab whose title is there in the list, in pixels from its top."""
        return self._tab_of(self.list.identify_row(y))

    def close(self, tab: Tab) -> None:
        """Close `tab` if it is a private one."""
        if tab.name:
            self._remove(tab)

    def reset(self) -> None:
        """Close all tabs but that of the lobby, and empty that."""
        for tab in list(self._private.values()):
            self._remove(tab)
        self.stay_in(())
        self.show(self.home)
        self.home.conversation.clear()
        self.home.wording = self._word(self.home.room)
        self.home.read()
        self.begin_again()

    def begin_again(self) -> None:
        """Note that the lines so far belong to a log that no longer exists."""
        for tab in self._all:
            tab.conversation.make_stale()
            tab.before, tab.oldest, tab.loaded = None, 0, False

    def refresh(self, *, looked_at: bool) -> None:
        """Update the list. `looked_at`: the current tab is in view."""
        if looked_at:
            self.current.read()
        for tab in self._all:
            item, tag = _item(tab), FOR_YOU if tab.for_you else UNREAD if tab.unread else ""
            if self.list.set(item, "marks") != tab.marks:
                self.list.item(item, values=(tab.marks,), tags=(tag,))

    @property
    def is_full(self) -> bool:
        """Whether Tk is slower than what is to be shown."""
        return self.current.conversation.is_full

    @property
    def marks(self) -> str:
        """The unread marks of all tabs together; empty if everything has been read."""
        unread = sum(tab.unread for tab in self._all)
        return marks(unread, for_you=any(tab.for_you for tab in self._all)) if unread else ""

    @property
    def _all(self) -> list[Tab]:
        """In the order of the list."""
        rooms = sorted(self.rooms.values(), key=lambda tab: room_order(tab.room))
        return [*rooms, *self._private.values()]

    def _open(self, room: str, name: str) -> Tab:
        tab = Tab(self._make(self.stage), self._word(room), room, name)
        tab.conversation.hide()
        if room:
            self.rooms[room] = tab
        else:
            self._private[name] = tab
        self._list(tab)
        return tab

    def _list(self, tab: Tab) -> None:
        self.list.insert("", self._all.index(tab), iid=_item(tab), text=tab.title)

    def _raise(self, tab: Tab) -> None:
        if tab.room:
            self.home = tab
        tab.conversation.pack(fill="both", expand=True)
        tab.conversation.appear()
        self.list.selection_set((_item(tab),))
        self.list.focus(_item(tab))
        self.list.see(_item(tab))

    def _remove(self, tab: Tab) -> None:
        (self.rooms if tab.room else self._private).pop(tab.room or tab.name)
        if tab is self.current:
            self.show(self.home)
        self.list.delete(_item(tab))
        tab.conversation.destroy()

    def _selected(self) -> None:
        for item in self.list.selection():
            if (tab := self._tab_of(item)) is not None:
                self.show(tab)

    def _tab_of(self, item: str) -> Tab | None:
        known = self.rooms if item.startswith(ROOM) else self._private
        return known.get(item[1:])


def _item(tab: Tab) -> str:
    return f"{ROOM}{tab.room}" if tab.room else f"{PERSON}{tab.name}"
