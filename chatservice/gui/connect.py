"""The dialog that asks for a server and a name."""

import argparse
import tkinter as tk
from dataclasses import dataclass
from tkinter import ttk

from twisted.internet.defer import Deferred

from chatservice.client.arguments import as_address, as_name, as_port
from chatservice.gui.memory import Connection
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import ENGLISH, WindowWords

WIDTH = 340  # pixels, of a row of what is written in red


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody has filled in. The password is not remembered."""

    connection: Connection
    password: str = ""


class ConnectDialog(ttk.Frame):
    """The dialog, filled with `connection` and, if something was wrong, a complaint. `answered`
    fires with what is `Wanted`, or with None if the user quits."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        connection: Connection,
        complaint: str = "",
        *,
        words: WindowWords = ENGLISH,
    ) -> None:
        super().__init__(parent)
        self.answered: Deferred[Wanted | None] = Deferred()
        px = look.px
        card = ttk.Frame(self, style="Card.TFrame", padding=px(28), borderwidth=1)
        card.place(relx=0.5, rely=0.45, anchor="center")
        card.columnconfigure(1, weight=1)
        title = ttk.Label(card, text=words.join, style="Card.Title.TLabel", font=look.large)
        title.grid(row=0, column=0, columnspan=2, sticky="w", pady=(0, px(16)))
        # No tkinter variables: they are in circles, and must not be collected in another thread.
        entries = []
        for row, (label, value) in enumerate(
            (
                (words.server, connection.host),
                (words.port, str(connection.port)),
                (words.name, connection.name),
                (words.password, ""),
            ),
            start=1,
        ):
            ttk.Label(card, text=label, style="Card.Dim.TLabel").grid(
                row=row, column=0, sticky="w", padx=(0, px(16)), pady=px(5)
            )
            entry = ttk.Entry(card, width=30)
            entry.insert(0, value)
            entry.grid(row=row, column=1, sticky="ew", pady=px(5))
            entries.append(entry)
        self._host, self._port, self._who, self._password = entries
        self._password.configure(show="•")
        self._tls = ttk.Checkbutton(card, text=words.encrypt, style="Card.TCheckbutton")
        self._tls.state(["!alternate", "selected" if connection.tls else "!selected"])
        self._tls.grid(row=5, column=1, sticky="w", pady=px(5))
        self._complaint = ttk.Label(
            card, style="Card.Danger.TLabel", wraplength=px(WIDTH), text=complaint
        )
        self._complaint.grid(row=6, column=0, columnspan=2, sticky="w")
        buttons = ttk.Frame(card, style="Plain.TFrame")
        buttons.grid(row=7, column=0, columnspan=2, sticky="e", pady=(px(16), 0))
        accent = "Accent.TButton"
        connect = ttk.Button(buttons, text=words.connect, style=accent, command=self.accept)
        # Tab goes in the order of making.
        leave = ttk.Button(buttons, text=words.quit, command=self.refuse)
        connect.pack(side="right", padx=(px(10), 0))
        leave.pack(side="right")
        for widget in (*entries, self._tls, connect):
            widget.bind("<Return>", lambda _: self.accept())
            widget.bind("<KP_Enter>", lambda _: self.accept())
        leave.bind("<Return>", lambda _: self.refuse())
        for each in (*entries, self._tls, connect, leave):
            each.bind("<Escape>", lambda _: self.refuse())
        first = self._host if connection.name else self._who
        first.focus_set()
        first.selection_range(0, "end")

    def accept(self) -> None:
        """Answer, if the fields are valid."""
        try:
            address = as_address(self._host.get())
            connection = Connection(
                address.host,
                address.port or as_port(self._port.get().strip()),
                as_name(self._who.get().strip()),
                self._tls.instate(["selected"]),
            )
        except argparse.ArgumentTypeError as error:
            self._complaint.configure(text=str(error))
            return
        self._answer(Wanted(connection, self._password.get()))

    def refuse(self) -> None:
        """Quit."""
        self._answer(None)

    def _answer(self, wanted: Wanted | None) -> None:
        if not self.answered.called:
            self.answered.callback(wanted)
