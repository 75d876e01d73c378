"""The bar that finds words in a conversation."""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from chatservice.gui.conversation import Conversation
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import WindowWords


class FindBar(ttk.Frame):
    """`where` returns the conversation to search, `closed` is called when the bar is closed."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        where: Callable[[], Conversation],
        closed: Callable[[], None],
        words: WindowWords,
    ) -> None:
        gap = look.px(8)
        super().__init__(parent, padding=(0, gap, 0, 0))
        self._where = where
        self._closed = closed
        self._labels = words
        self._words = tk.StringVar(self)
        ttk.Label(self, text=words.find, style="Dim.TLabel").pack(side="left", padx=(0, gap))
        self.entry = ttk.Entry(self, textvariable=self._words, width=28)
        self.entry.pack(side="left")
        self._count = ttk.Label(self, style="Dim.TLabel")
        self._count.pack(side="left", padx=gap)
        for text, do in (
            ("✕", self.close),
            ("↓", lambda: self._go(1)),
            ("↑", lambda: self._go(-1)),
        ):
            button = ttk.Button(self, text=text, width=2, command=do, style="Filter.Toolbutton")
            button.pack(side="right")
        self._words.trace_add("write", lambda *_: self._go(0))
        self.entry.bind("<Return>", lambda _: self._go(-1))
        self.entry.bind("<Shift-Return>", lambda _: self._go(1))
        self.entry.bind("<Up>", lambda _: self._go(-1))
        self.entry.bind("<Down>", lambda _: self._go(1))

    @property
    def is_open(self) -> bool:
        return bool(self.winfo_manager())

    def open(self) -> None:
        """Show the bar, with the last words selected."""
        self.pack(fill="x", side="bottom")
        self.entry.focus_set()
        self.entry.selection_range(0, "end")
        self._go(0)

    def close(self) -> None:
        """Hide the bar and the highlight. The conversation stays where it was scrolled to."""
        self._where().end_finding()
        self.pack_forget()
        self._closed()

    def _go(self, step: int) -> None:
        words = self._words.get()
        place, count = self._where().find(words, step)
        if count:
            text = self._labels.found.format(place=place, count=count)
        else:
            text = self._labels.not_found if words else ""
        self._count.configure(text=text)
