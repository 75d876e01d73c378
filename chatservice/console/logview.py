"""The view of the log."""

import time
import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from tkinter import ttk

from chatservice.control.lines import EVERYTHING, Kind, Line, Lines
from chatservice.core.sanitize import limit_marks
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look

MAX_LINES = 2000  # on the screen: Tk holds some 1 KB for each
# Characters that are drawn at once, while the chat waits: new ones in some 30 ms, and in some 80 ms
# when another kind of line is chosen. Arabic is what takes longest: 1 us for each.
MAX_NEW, MAX_ALL = 20_000, 60_000
FILTERS: dict[str, frozenset[Kind]] = {
    "All": EVERYTHING,
    "Arrivals and departures": frozenset({Kind.PEOPLE}),
    "Messages": frozenset({Kind.MESSAGES}),
    "Warnings": frozenset({Kind.WARNINGS}),
}
MESSAGES_ARE_NOT_LOGGED = "Messages are logged only with --log-messages."
NO_WARNINGS = "No warnings and no errors."


class LogView(ttk.Frame):
    """The newest lines of the log, and buttons that choose which kind is shown."""

    def __init__(self, parent: tk.Misc, look: Look, lines: Lines, *, log_messages: bool) -> None:
        super().__init__(parent)
        self._lines = lines
        self._log_messages = log_messages
        self._is_empty = True
        self._filter = tk.StringVar(self, "All")
        head = ttk.Frame(self)
        head.pack(fill="x", pady=(0, look.px(6)))
        ttk.Label(head, text="Log", style="Head.TLabel").pack(side="left", padx=(0, look.px(10)))
        self.buttons = [
            ttk.Radiobutton(
                head,
                text=name,
                value=name,
                variable=self._filter,
                command=self.show_all,
                style="Filter.Toolbutton",
            )
            for name in FILTERS
        ]
        for button in self.buttons:
            button.pack(side="left", padx=(0, look.px(2)))
        card = ttk.Frame(self, style="Card.TFrame", padding=1)
        card.pack(fill="both", expand=True)
        self.text = tk.Text(
            card,
            width=50,
            height=10,
            font=look.font,
            wrap="word",
            state="disabled",
            takefocus=1,  # or a text that is disabled is passed over by Tab
            borderwidth=0,
            highlightthickness=0,
            padx=look.px(10),
            pady=look.px(6),
            spacing1=look.px(2),
            spacing3=look.px(2),
            cursor="arrow",
        )
        bar = ttk.Scrollbar(card, command=self.text.yview)
        self.text.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self.text.bind("<FocusIn>", lambda _: card.configure(style="Focus.Card.TFrame"))
        self.text.bind("<FocusOut>", lambda _: card.configure(style="Card.TFrame"))
        self._tags(look)
        self._keys()

    def show_new(self) -> None:
        """Add what has been logged since the last time."""
        lines, left_out = self._lines.take(FILTERS[self._filter.get()])
        if lines:
            self._append(lines, left_out, MAX_NEW)

    def show_all(self) -> None:
        """Show again everything of the chosen kind that is kept."""
        self.text.configure(state="normal")
        self.text.delete("1.0", "end")
        self.text.configure(state="disabled")
        self._is_empty = True
        lines = self._lines.kept(FILTERS[self._filter.get()])
        if lines:
            self._append(lines[-MAX_LINES:], 0, MAX_ALL)
            self.text.see("end")
        else:
            self._say_why_empty()

    def choose(self, index: int) -> None:
        """Choose the filter with this number."""
        self.buttons[index].invoke()

    def _append(self, lines: Sequence[Line], left_out: int, characters: int) -> None:
        """Show the newest of `lines`, with at most so many characters."""
        text = self.text
        at_end = text.yview()[1] > 0.999
        newest = _newest(lines, characters)
        left_out += len(lines) - len(newest)
        pieces: list[str] = []
        if left_out:
            pieces += [f"\n\t… {left_out:,} more, which are in the log", "dim"]
        for line in newest:
            pieces += [time.strftime("\n%H:%M:%S\t", time.localtime(line.at)), "time"]
            pieces += [shown(limit_marks(line.text)).replace("\n", "\n\t"), line.kind.value]
        text.configure(state="normal")
        if self._is_empty:
            text.delete("1.0", "end")
            self._is_empty = False
            pieces[0] = pieces[0].removeprefix("\n")
        text.insert("end", *pieces)  # text and tag in turn
        too_many = int(text.index("end-1c").split(".")[0]) - MAX_LINES
        if too_many > 0:
            text.delete("1.0", f"{too_many + 1}.0")
        text.configure(state="disabled")
        if at_end:
            text.see("end")

    def _say_why_empty(self) -> None:
        why = {"Messages": "" if self._log_messages else MESSAGES_ARE_NOT_LOGGED}
        words = why.get(self._filter.get(), NO_WARNINGS if self._filter.get() == "Warnings" else "")
        self.text.configure(state="normal")
        self.text.insert("end", words, "dim")
        self.text.configure(state="disabled")

    def _tags(self, look: Look) -> None:
        colours, text = look.colours, self.text
        column = look.font.measure("00:00:00") + look.px(12)
        text.configure(tabs=(column,))
        for tag, colour in (
            ("time", colours.dim),
            ("dim", colours.dim),
            (Kind.PEOPLE.value, colours.good),
            (Kind.MESSAGES.value, colours.text),
            (Kind.WARNINGS.value, colours.warning),
            (Kind.SERVER.value, colours.accent),
        ):
            text.tag_configure(tag, foreground=colour, lmargin2=column)
        text.tag_raise("sel")

    def _keys(self) -> None:
        text = self.text
        for key, scroll in (
            ("Up", lambda: text.yview_scroll(-1, "units")),
            ("Down", lambda: text.yview_scroll(1, "units")),
            ("Prior", lambda: text.yview_scroll(-1, "pages")),
            ("Next", lambda: text.yview_scroll(1, "pages")),
            ("Home", lambda: text.yview_moveto(0.0)),
            ("End", lambda: text.yview_moveto(1.0)),
            ("Tab", lambda: _focus(text.tk_focusNext())),
            ("Shift-Tab", lambda: _focus(text.tk_focusPrev())),
        ):
            text.bind(f"<{key}>", partial(_instead, scroll))
        text.bind("<Button-1>", lambda _: text.focus_set(), add=True)


def _newest(lines: Sequence[Line], characters: int) -> Sequence[Line]:
    sizes = accumulate(len(line.text) for line in reversed(lines))
    return lines[len(lines) - sum(size <= characters for size in sizes) :]


def _focus(widget: tk.Misc | None) -> None:
    if widget is not None:
        widget.focus_set()


def _instead(do: Callable[[], None], event: object) -> str:
    """Do this on a key, and keep Tk from editing the text."""
    do()
    return "break"
