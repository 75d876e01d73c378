"""The menus: what can be done with a person, with a room, and which rooms one may join."""

import tkinter as tk
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from chatservice.core.events import LOBBY, RoomInfo
from chatservice.core.sanitize import limit_marks
from chatservice.gui.glyphs import shown
from chatservice.gui.wording import WindowWords

MAX_OFFERED = 20  # rooms in the menu, those with most people: as many as fit a screen
MAX_LABEL = 60  # characters


class Item(NamedTuple):
    """An item of a menu: carries out `command`, or, with `begins`, puts it into the line, to be
    finished by hand. An empty label is a line between two groups."""

    label: str
    command: str = ""
    begins: bool = False


BETWEEN = Item("")


def of_person(
    name: str, commands: Collection[str], words: WindowWords, *, in_room: bool
) -> list[Item]:
    """What can be done with `name`. `commands`: those that can be used; `in_room`: it is a room
    that is in view."""
    items = [Item(words.who_is, f"/whois {name}")]
    if not in_room:
        return items
    items.append(Item(words.invite, f"/invite {name}"))
    found = [
        Item(label, f"/{command} {name} ", begins=True)
        for command, label in words.measures.items()
        if command in commands
    ]
    return [*items, BETWEEN, *found] if found else items


def of_room(room: str, words: WindowWords) -> list[Item]:
    """What can be done with `room`, which is in view."""
    items = [
        Item(words.set_topic, "/topic ", begins=True),
        Item(words.invite_somebody, "/invite ", begins=True),
        Item(words.quiet, "/quiet"),
    ]
    if room != LOBBY:
        items += [Item(words.make_private, "/private"), Item(words.make_public, "/public")]
    return [*items, BETWEEN, Item(words.leave.format(room=_label(f"#{room}")), f"/part {room}")]


def to_join(rooms: Iterable[RoomInfo], joined: Collection[str], words: WindowWords) -> list[Item]:
    """Those of `rooms` that we have not `joined`, and a way to any other."""
    others = sorted(
        (room for room in rooms if room.room not in joined), key=lambda room: -room.people
    )
    items = [
        Item(_label(words.room_to_join(room.room, room.people, room.topic)), f"/join {room.room}")
        for room in others[:MAX_OFFERED]
    ]
    return [*items, *([BETWEEN] if items else []), Item(words.other_room, "/join ", begins=True)]


class Menu:
    """A menu that is filled anew each time. `do` is called with the item that is chosen."""

    def __init__(self, root: tk.Misc, do: Callable[[Item], None]) -> None:
        self._menu = tk.Menu(root, tearoff=False)
        self._do = do

    def show(self, items: Iterable[Item], x: int, y: int) -> None:
        """Show `items`, at that place of the screen."""
        self._menu.delete(0, "end")
        for item in items:
            if item is BETWEEN:
                self._menu.add_separator()
            else:
                self._menu.add_command(label=item.label, command=partial(self._do, item))
        self._menu.tk_popup(x, y)


def _label(text: str) -> str:
    text = limit_marks(text)
    return shown(text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…")
