"""The dialog that asks where to connect, and as whom."""

import argparse
import tkinter as tk
from dataclasses import dataclass
from tkinter import ttk

from twisted.internet.defer import Deferred

from chatservice.client.__main__ import as_host, as_name, as_port
from chatservice.gui.memory import Connection
from chatservice.gui.theme import ChatLook

WIDTH = 340  # of what is written in red before it goes on in the next line


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody has filled in. The password is remembered by nobody."""

    connection: Connection
    password: str = ""


class ConnectDialog(ttk.Frame):
    """Filled with `connection` and, if there is one, with what was wrong. `answered` fires with
    what is `Wanted`, or None: there will be no connection."""

    def __init__(
        self, parent: tk.Misc, look: ChatLook, connection: Connection, complaint: str = ""
    ) -> None:
        super().__init__(parent)
        self.answered: Deferred[Wanted | None] = Deferred()
        px = look.px
        card = ttk.Frame(self, style="Card.TFrame", padding=px(28), borderwidth=1)
        card.place(relx=0.5, rely=0.45, anchor="center")
        card.columnconfigure(1, weight=1)
        title = ttk.Label(card, text="Join a chat", style="Card.Title.TLabel", font=look.large)
        title.grid(row=0, column=0, columnspan=2, sticky="w", pady=(0, px(16)))
        self._host = tk.StringVar(self, connection.host)
        self._port = tk.StringVar(self, str(connection.port))
        self._who = tk.StringVar(self, connection.name)
        self._password = tk.StringVar(self)
        self._tls = tk.BooleanVar(self, connection.tls)
        entries: list[ttk.Entry] = []
        for row, (label, variable) in enumerate(
            (
                ("Server", self._host),
                ("Port", self._port),
                ("Name", self._who),
                ("Password", self._password),
            ),
            start=1,
        ):
            ttk.Label(card, text=label, style="Card.Dim.TLabel").grid(
                row=row, column=0, sticky="w", padx=(0, px(16)), pady=px(5)
            )
            entry = ttk.Entry(card, textvariable=variable, width=30)
            entry.grid(row=row, column=1, sticky="ew", pady=px(5))
            entries.append(entry)
        entries[3].configure(show="•")
        ttk.Checkbutton(
            card, text="Encrypt (TLS)", variable=self._tls, style="Card.TCheckbutton"
        ).grid(row=5, column=1, sticky="w", pady=px(5))
        self._complaint = ttk.Label(
            card, style="Card.Danger.TLabel", wraplength=px(WIDTH), text=complaint
        )
        self._complaint.grid(row=6, column=0, columnspan=2, sticky="w")
        buttons = ttk.Frame(card, style="Plain.TFrame")
        buttons.grid(row=7, column=0, columnspan=2, sticky="e", pady=(px(16), 0))
        connect = ttk.Button(buttons, text="Connect", style="Accent.TButton", command=self.accept)
        # Tab goes in the order of making.
        leave = ttk.Button(buttons, text="Quit", command=self.refuse)
        connect.pack(side="right", padx=(px(10), 0))
        leave.pack(side="right")
        for widget in (*entries, connect):
            widget.bind("<Return>", lambda _: self.accept())
            widget.bind("<KP_Enter>", lambda _: self.accept())
        leave.bind("<Return>", lambda _: self.refuse())
        for each in (*entries, connect, leave):
            each.bind("<Escape>", lambda _: self.refuse())
        first = entries[2] if not connection.name else entries[0]
        first.focus_set()
        first.selection_range(0, "end")

    def accept(self) -> None:
        """If what is filled in can be meant."""
        try:
            connection = Connection(
                as_host(self._host.get().strip()),
                as_port(self._port.get().strip()),
                as_name(self._who.get().strip()),
                self._tls.get(),
            )
        except argparse.ArgumentTypeError as error:
            self._complaint.configure(text=str(error))
            return
        self._answer(Wanted(connection, self._password.get()))

    def refuse(self) -> None:
        """There will be no connection."""
        self._answer(None)

    def _answer(self, wanted: Wanted | None) -> None:
        if not self.answered.called:
            self.answered.callback(wanted)
