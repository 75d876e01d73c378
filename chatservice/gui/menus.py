"""The menus: what can be done with a person, with a room, and which rooms one may join."""

import tkinter as tk
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from chatservice.core.events import LOBBY, RoomInfo, SanctionInfo, SanctionKind
from chatservice.core.sanitize import limit_marks
from chatservice.gui.glyphs import shown
from chatservice.gui.measure import Target
from chatservice.gui.wording import WindowWords

MAX_OFFERED = 20  # rooms in the menu, those with most people: as many as fit a screen
MAX_LABEL = 60  # characters


class Item(NamedTuple):
    """An item of a menu: carries out `command`, or, with `begins`, puts it into the line, to be
    finished by hand; or asks about a measure against its `target`. An empty label is a line between
    two groups."""

    label: str
    command: str = ""
    begins: bool = False
    target: Target | None = None


BETWEEN = Item("")


def of_person(
    name: str,
    commands: Collection[str],
    words: WindowWords,
    *,
    room: str,
    sanctions: Iterable[SanctionInfo] | None = None,
) -> list[Item]:
    """What can be done with `name`. `commands`: those that can be used; `room`: that which is in
    view, if it is one; `sanctions`: the bans and mutes there, if we are in charge."""
    items = [Item(words.who_is, f"/whois {name}")]
    if room:
        items.append(Item(words.invite, f"/invite {name}"))
    if "ignore" in commands:
        items.append(Item(words.ignore, f"/ignore {name}"))
    if not room or sanctions is None:
        return items
    muted = {each.name for each in sanctions if each.kind is SanctionKind.MUTE}
    labels = words.measures_in_lobby if room == LOBBY else words.measures
    measures = [
        Item(words.end_mute, f"/unmute {name}")
        if measure == "mute" and name in muted
        else Item(label, target=Target(measure, name, room))
        for measure, label in labels.items()
    ]
    return [*items, BETWEEN, *measures]


def of_room(room: str, words: WindowWords, *, in_charge: bool = False) -> list[Item]:
    """What can be done with `room`, which is in view, and of which we are `in_charge`."""
    items = [
        Item(words.set_topic, "/topic ", begins=True),
        Item(words.invite_somebody, "/invite ", begins=True),
        Item(words.quiet, "/quiet"),
    ]
    if in_charge:
        items.append(Item(words.list_bans, "/bans"))
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
