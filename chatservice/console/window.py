"""The operator's window: shows what happens in the chat, and controls it."""

import time
import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.console.bans import Bans
from chatservice.console.logview import LogView
from chatservice.console.people import People
from chatservice.console.plots import Plot, count, mebibytes
from chatservice.console.rooms import Rooms
from chatservice.console.server import Server
from chatservice.control.lines import Lines
from chatservice.core.events import SanctionKind
from chatservice.core.room import Room
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look, Palette
from chatservice.dialects.commands import seconds_of

log = Logger()

LOG_SECONDS = 0.1  # between updates of the log
PEOPLE_SECONDS = 0.5
SAMPLE_SECONDS = 1.0  # between points of the plots
MEBIBYTE = 1024 * 1024
TO_EVERYONE = "To everyone"
PEOPLE, ROOMS, BANS = "people", "rooms", "bans"
BAN, MUTE = SanctionKind.BAN, SanctionKind.MUTE
LONG_NAME = 16  # characters; a button has no room for more


class Window:
    """Shows `server` in the window `root`. `stop` ends the program gracefully."""

    def __init__(
        self,
        root: tk.Tk,
        server: Server,
        lines: Lines,
        colours: Palette,
        stop: Callable[[], None],
    ) -> None:
        self._root = root
        self._server = server
        self._stop = stop
        self._stopping = False
        self._messages = 0
        self._sampled = time.monotonic()
        self.look = Look(root, colours)
        root.title("Chat server")
        root.minsize(self.look.px(880), self.look.px(560))
        root.geometry(f"{self.look.px(1120)}x{self.look.px(720)}")
        root.report_callback_exception = _report
        body = ttk.Frame(root, padding=self.look.px(16))
        body.pack(fill="both", expand=True)
        gap = self.look.px(12)
        self._head(body).pack(fill="x", pady=(0, gap))
        self._plots(body).pack(fill="x", pady=(0, gap))
        panes = ttk.PanedWindow(body, orient="horizontal")  # Tab goes in the order of making
        self._announcing(body).pack(side="bottom", fill="x", pady=(gap, 0))
        panes.pack(fill="both", expand=True)
        panes.add(self._people_or_rooms(panes), weight=2)
        self.log_view = LogView(panes, self.look, lines, log_messages=server.log_messages)
        panes.add(self.log_view, weight=3)
        self._keys()
        self._entry.focus_set()

    def start(self) -> None:
        """Follow the chat. The service has been started."""
        self._say_where()
        self._messages = self._server.messages  # those of before are none of this second
        for seconds, follow in (
            (LOG_SECONDS, self.log_view.show_new),
            (PEOPLE_SECONDS, self._follow_people),
            (SAMPLE_SECONDS, self._sample),
        ):
            LoopingCall(follow).start(seconds).addErrback(
                lambda failure: log.failure("The window has stopped following the chat.", failure)
            )

    def show_stopping(self) -> None:
        """Show that the server is stopping; the window stays until everyone is gone."""
        self._stopping = True
        self._say_how_many()
        for widget in (self._stop_button, self._entry, self._announce, *self._measures):
            widget.state(["disabled"])

    # Its parts, from top to bottom.

    def _head(self, parent: tk.Misc) -> ttk.Frame:
        frame = ttk.Frame(parent)
        self._state = ttk.Label(frame, text="●", style="Good.TLabel")
        self._state.pack(side="left", padx=(0, self.look.px(6)))
        self._many = ttk.Label(frame, style="Title.TLabel")
        self._many.pack(side="left")
        self._where = ttk.Label(frame, style="Dim.TLabel")
        self._where.pack(side="left", padx=(self.look.px(12), 0))
        self._stop_button = ttk.Button(
            frame, text=self._server.stop_words, command=self._ask_to_stop, style="Danger.TButton"
        )
        self._stop_button.pack(side="right")
        return frame

    def _plots(self, parent: tk.Misc) -> ttk.Frame:
        frame = ttk.Frame(parent)
        first, second, third = self.look.colours.lines
        self.rate = Plot(
            frame, self.look, title="Messages a second", colour=first, label=count, least=5
        )
        self.connections = Plot(
            frame, self.look, title="Connections", colour=second, label=count, least=5
        )
        self.memory = Plot(
            frame, self.look, title="Memory", colour=third, label=mebibytes, least=50
        )
        for index, plot in enumerate((self.rate, self.connections, self.memory)):
            plot.grid(row=0, column=2 * index, sticky="nsew")
            frame.columnconfigure(2 * index, weight=1, uniform="plots")
        frame.columnconfigure((1, 3), minsize=self.look.px(12))
        return frame

    def _people_or_rooms(self, parent: tk.Misc) -> ttk.Frame:
        """One table in the place of the other, and buttons that choose which is shown."""
        px = self.look.px
        frame = ttk.Frame(parent, padding=(0, 0, px(4), 0))
        head = ttk.Frame(frame)
        head.pack(fill="x", pady=(0, px(6)))
        self._table = tk.StringVar(frame, PEOPLE)
        for text, table in (("Online", PEOPLE), ("Rooms", ROOMS), ("Bans", BANS)):
            ttk.Radiobutton(
                head,
                text=text,
                value=table,
                variable=self._table,
                command=self._turn,
                style="Filter.Toolbutton",
            ).pack(side="left", padx=(0, px(2)))
        self.rooms = Rooms(frame, self.look, self._server.directory, self._say_to_whom)
        self._tables: dict[str, ttk.Frame] = {
            PEOPLE: self._make_people(frame),
            ROOMS: self.rooms,
            BANS: self._make_bans(frame),
        }
        self._tables[PEOPLE].pack(fill="both", expand=True)
        return frame

    def _make_bans(self, parent: tk.Misc) -> ttk.Frame:
        frame = ttk.Frame(parent)
        self.bans = Bans(frame, self.look, self._server.held, self._say_which)
        self._lift = ttk.Button(frame, text="Lift", command=self._lift_chosen)
        self._lift.pack(side="bottom", anchor="e", pady=(self.look.px(8), 0))
        self.bans.pack(fill="both", expand=True)
        self._say_which()
        return frame

    def _make_people(self, parent: tk.Misc) -> ttk.Frame:
        px = self.look.px
        frame = ttk.Frame(parent)
        self.people = People(frame, self.look, self._server.directory, self._say_whom)
        below = ttk.Frame(frame)
        below.pack(side="bottom", fill="x", pady=(px(8), 0))
        below.columnconfigure(1, weight=1)
        # Tab goes in the order of making.
        self._where_to = ttk.Entry(below, width=10)
        self._seconds = ttk.Entry(below, width=6)
        self._reason = ttk.Entry(below, width=10)
        buttons = ttk.Frame(below)
        danger = "Danger.TButton"
        self._mute = ttk.Button(buttons, text="Mute", command=partial(self._impose, MUTE))
        self._ban = ttk.Button(
            buttons, text="Ban", command=partial(self._impose, BAN), style=danger
        )
        self._kick = ttk.Button(
            buttons, text="Kick", underline=0, command=self._kick_chosen, style=danger
        )
        self._whom = ttk.Label(below, style="Dim.TLabel")
        for row, text, entry in ((0, "Room", self._where_to), (1, "Reason", self._reason)):
            label = ttk.Label(below, text=text, style="Dim.TLabel")
            label.grid(row=row, column=0, sticky="w", padx=(0, px(8)), pady=px(2))
            entry.grid(row=row, column=1, columnspan=1 + 2 * row, sticky="ew", pady=px(2))
        ttk.Label(below, text="For", style="Dim.TLabel").grid(row=0, column=2, padx=px(8))
        self._seconds.grid(row=0, column=3)
        buttons.grid(row=2, column=1, columnspan=3, sticky="e", pady=(px(4), 0))
        self._whom.grid(row=2, column=0, columnspan=2, sticky="w")
        for button in (self._mute, self._ban, self._kick):
            button.pack(side="left", padx=(px(8), 0))
        self._measures = (
            *(self._where_to, self._seconds, self._reason),
            *(self._mute, self._ban, self._kick),
        )
        self._reason.bind("<Return>", lambda _: self._kick_chosen())
        self.people.pack(fill="both", expand=True)
        self._say_whom()
        return frame

    def _announcing(self, parent: tk.Misc) -> ttk.Frame:
        px = self.look.px
        frame = ttk.Frame(parent)
        self._to = ttk.Label(frame, text=TO_EVERYONE, style="Dim.TLabel")
        self._to.pack(side="left", padx=(0, px(8)))
        self._entry = ttk.Entry(frame)
        self._announce = ttk.Button(
            frame, text="Announce", underline=0, command=self._say_to_all, style="Accent.TButton"
        )
        self._announce.pack(side="right")
        self._entry.pack(side="left", fill="x", expand=True, padx=(0, px(8)))
        self._entry.bind("<Return>", lambda _: self._say_to_all())
        return frame

    def _keys(self) -> None:
        tree = self.people.tree
        for key, do in (
            ("<Alt-a>", self._entry.focus_set),
            ("<Alt-o>", partial(self._show_table, PEOPLE)),
            ("<Alt-r>", partial(self._show_table, ROOMS)),
            ("<Alt-b>", partial(self._show_table, BANS)),
            ("<Alt-l>", self.log_view.text.focus_set),
            ("<Alt-k>", self._go_to_reason),
            ("<Control-q>", self._ask_to_stop),
        ):
            self._root.bind(key, lambda _, do=do: do())  # type: ignore[misc]
        for index in range(len(self.log_view.buttons)):
            self._root.bind(f"<Alt-Key-{index + 1}>", lambda _, i=index: self.log_view.choose(i))  # type: ignore[misc]
        for key in ("<Delete>", "<Return>"):
            tree.bind(key, lambda _: self._reason.focus_set())
        for entry in (self._where_to, self._seconds, self._reason):
            entry.bind("<Escape>", lambda _: tree.focus_set())
        self.bans.tree.bind("<Delete>", lambda _: self._lift_chosen())
        self.rooms.tree.bind("<Return>", lambda _: self._entry.focus_set())
        self.rooms.tree.bind("<Escape>", lambda _: self.rooms.choose_none())
        self._root.protocol("WM_DELETE_WINDOW", self._ask_to_stop)

    # What the operator does.

    def _say_to_all(self) -> None:
        lines = [line for line in self._entry.get().splitlines() if line.strip()]
        if not lines or self._stopping:
            return
        self._server.announce(lines, self._room)
        self._entry.delete(0, "end")

    def _kick_chosen(self) -> None:
        user = self.people.chosen
        if user is None or self._stopping or not self._is_there:
            return
        self._server.kick(user, self._reason.get().strip(), self._scope)
        self._clear()

    def _impose(self, kind: SanctionKind) -> None:
        """Ban or mute whoever is chosen, if the time can be read."""
        user, seconds = self.people.chosen, self._time
        if user is None or self._stopping or not self._is_there:
            return
        if seconds is None and self._seconds.get().strip():
            self._seconds.focus_set()
            return
        self._server.impose(kind, user, seconds, self._reason.get().strip(), self._scope)
        self._clear()

    def _clear(self) -> None:
        for entry in (self._where_to, self._seconds, self._reason):
            entry.delete(0, "end")
        self.people.tree.selection_set(())  # so a key held down removes only one
        self._follow_people()

    def _lift_chosen(self) -> None:
        held = self.bans.chosen
        if held is not None and not self._stopping:
            self._server.lift(held)
            self.bans.tree.selection_set(())

    @property
    def _time(self) -> int | None:
        """The time that is written down, in seconds; None: for good, or that is no time."""
        return seconds_of(self._seconds.get().strip())

    @property
    def _scope(self) -> Room | None:
        """The room that is written down; None: the whole chat."""
        name = self._where_to.get().strip().removeprefix("#")
        return self._server.directory.room(name) if name else None

    @property
    def _is_there(self) -> bool:
        """Whether what is written down is a room, or nothing is."""
        return self._scope is not None or not self._where_to.get().strip()

    def _ask_to_stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._stop()

    # What it shows.

    @property
    def _room(self) -> Room | None:
        """The room to which an announcement goes; None: to everyone."""
        return self.rooms.chosen if self._table.get() == ROOMS else None

    def _show_table(self, table: str) -> None:
        self._table.set(table)
        self._turn()
        trees = {PEOPLE: self.people.tree, ROOMS: self.rooms.tree, BANS: self.bans.tree}
        trees[table].focus_set()

    def _go_to_reason(self) -> None:
        self._show_table(PEOPLE)
        self._reason.focus_set()

    def _turn(self) -> None:
        """Show the table that has been chosen."""
        for table in self._tables.values():
            table.pack_forget()
        self._tables[self._table.get()].pack(fill="both", expand=True)
        self._follow_people()

    def _say_to_whom(self) -> None:
        room = self._room
        to = TO_EVERYONE if room is None else f"To {shown('#' + _short(room.name))}"
        self._to.configure(text=to)

    def _say_whom(self) -> None:
        user = self.people.chosen
        name = "" if user is None else _short(user.name)
        self._kick.configure(text=f"Kick {shown(name)}".rstrip())
        can = user is not None and not self._stopping and self._is_there
        for button in (self._mute, self._ban, self._kick):
            button.state(["!disabled" if can else "disabled"])
        self._whom.configure(text=self._where_in_words())

    def _where_in_words(self) -> str:
        """Where what the buttons do holds; or what is wrong with what has been written."""
        room = self._scope
        if not self._is_there:
            return "There is no such room."
        if self._seconds.get().strip() and self._time is None:
            return "Such as 30m, 2h, 7d."
        return "In the whole chat" if room is None else f"In {shown('#' + _short(room.name))}"

    def _say_which(self) -> None:
        can = self.bans.chosen is not None and not self._stopping
        self._lift.state(["!disabled" if can else "disabled"])

    def _follow_people(self) -> None:
        self.people.refresh()
        if self._table.get() == ROOMS:
            self.rooms.refresh()
        elif self._table.get() == BANS:
            self.bans.refresh()
            self._say_which()
        self._say_to_whom()
        self._say_whom()
        self._say_where()
        self._say_how_many()

    def _say_where(self) -> None:
        addresses = ", ".join(self._server.addresses)
        self._root.title(f"Chat server at {addresses}")
        self._where.configure(text=f"at {addresses}")

    def _say_how_many(self) -> None:
        online, connected = len(self._server.directory.users), self._server.connections
        self._state.configure(style="Good.TLabel")
        if self._server.trouble:
            self._state.configure(style="Warning.TLabel")
            self._many.configure(text=self._server.trouble)
            return
        if self._stopping or self._server.is_stopping:
            self._state.configure(style="Warning.TLabel")
            self._many.configure(text=f"Stopping: {connected} still connected")
            return
        nameless = connected - online
        extra = f", {nameless} logging in" if nameless > 0 else ""
        self._many.configure(text=f"{online} online{extra}")

    def _sample(self) -> None:
        now, messages = time.monotonic(), self._server.messages
        passed = max(now - self._sampled, SAMPLE_SECONDS / 2)
        self.rate.add((messages - self._messages) / passed)
        self._sampled, self._messages = now, messages
        self.connections.add(self._server.connections)
        self.memory.add(self._server.memory / MEBIBYTE)


def _short(name: str) -> str:
    return name if len(name) <= LONG_NAME else name[: LONG_NAME - 1] + "…"


def _report(kind: Any, error: BaseException, trace: Any) -> None:
    """Log an exception in one of Tk's callbacks."""
    log.failure("Error in the window.", Failure(error, kind, trace))
