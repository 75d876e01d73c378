"""What the tables of the console have in common."""

import tkinter as tk
from collections.abc import Callable, Mapping
from tkinter import ttk
from typing import NamedTuple

from chatservice.desktop.theme import Look


class Column(NamedTuple):
    """`widest` has the width that the column begins with. `stretches`: it takes what is left."""

    title: str
    widest: str
    stretches: bool = True


class Table(ttk.Frame):
    """A table, `tree`, of which one row at a time is selected. `on_choice` is called when that
    changes."""

    def __init__(
        self,
        parent: tk.Misc,
        look: Look,
        columns: Mapping[str, Column],
        on_choice: Callable[[], None],
    ) -> None:
        super().__init__(parent, style="Card.TFrame", padding=1)
        self.tree = ttk.Treeview(self, columns=tuple(columns), show="headings", selectmode="browse")
        for name, (title, widest, stretches) in columns.items():
            width = look.font.measure(widest) + look.px(16)
            self.tree.column(name, width=width, minwidth=look.px(50), stretch=stretches)
            self.tree.heading(name, text=title, anchor="w")
        self._bar = ttk.Scrollbar(self, command=self.tree.yview)
        self.tree.configure(yscrollcommand=self._scrolled)
        self.tree.grid(row=0, column=0, sticky="nsew")
        self.columnconfigure(0, weight=1)
        self.rowconfigure(0, weight=1)
        self.tree.bind("<<TreeviewSelect>>", lambda _: on_choice())
        self.tree.bind("<FocusIn>", lambda _: self._has_keyboard())
        self.tree.bind("<FocusOut>", lambda _: self.configure(style="Card.TFrame"))

    def _scrolled(self, first: float, last: float) -> None:
        """Show the scroll bar when there is something to scroll."""
        self._bar.set(first, last)
        if float(first) > 0 or float(last) < 1:
            self._bar.grid(row=0, column=1, sticky="ns")
        else:
            self._bar.grid_remove()

    def _has_keyboard(self) -> None:
        """Show the focus, and select a row for the keyboard to start from."""
        self.configure(style="Focus.Card.TFrame")
        items = self.tree.get_children()
        if items and not self.tree.selection():
            self.tree.selection_set(items[0])
            self.tree.focus(items[0])
