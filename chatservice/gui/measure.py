"""The card on which somebody in charge says for how long, and why, before somebody is removed."""

import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk
from typing import NamedTuple

from chatservice.core.requests import Ban, Kick, Mute
from chatservice.core.sanctions import MAX_REASON
from chatservice.core.sanitize import limit_marks
from chatservice.dialects.commands import seconds_of
from chatservice.gui.glyphs import shown
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import WindowWords

MAX_TITLE = 40  # characters of a name


class Target(NamedTuple):
    """`measure` (a command: kick, mute, ban) is to be taken against `name` in `room`."""

    measure: str
    name: str
    room: str


class MeasureCard(ttk.Frame):
    """Lies over the window while it is open. `take` is called with the request, and `done` when it
    is closed, one way or the other."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        words: WindowWords,
        *,
        take: Callable[[Kick | Mute | Ban], None],
        done: Callable[[], None],
    ) -> None:
        px = look.px
        super().__init__(parent, style="Card.TFrame", padding=px(24), borderwidth=1)
        self._words = words
        self._take = take
        self._done = done
        self._target: Target | None = None
        self.columnconfigure(1, weight=1)
        self._title = ttk.Label(self, style="Card.Title.TLabel", font=look.large)
        self._title.grid(row=0, column=0, columnspan=2, sticky="w", pady=(0, px(12)))
        self._time_label = ttk.Label(self, text=words.time, style="Card.Dim.TLabel")
        self._time = ttk.Entry(self, width=12)
        self._hint = ttk.Label(self, text=words.time_hint, style="Card.Dim.TLabel", font=look.small)
        reason_label = ttk.Label(self, text=words.reason, style="Card.Dim.TLabel")
        self._reason = ttk.Entry(self, width=36)
        for row, label, entry in (
            (1, self._time_label, self._time),
            (3, reason_label, self._reason),
        ):
            label.grid(row=row, column=0, sticky="w", padx=(0, px(16)), pady=px(4))
            entry.grid(row=row, column=1, sticky="ew", pady=px(4))
        self._hint.grid(row=2, column=1, sticky="w")
        self._complaint = ttk.Label(self, style="Card.Danger.TLabel")
        self._complaint.grid(row=4, column=0, columnspan=2, sticky="w")
        buttons = ttk.Frame(self, style="Plain.TFrame")
        buttons.grid(row=5, column=0, columnspan=2, sticky="e", pady=(px(12), 0))
        # Tab goes in the order of making.
        self._accept = ttk.Button(buttons, style="Danger.TButton", command=self.accept)
        cancel = ttk.Button(buttons, text=words.cancel, command=self.close)
        self._accept.pack(side="right", padx=(px(10), 0))
        cancel.pack(side="right")
        self._buttons = (self._accept, cancel)
        for field in (self._time, self._reason, *self._buttons):
            do = self.close if field is cancel else self.accept
            for key, wanted in (
                ("<Return>", do),
                ("<KP_Enter>", do),
                ("<Escape>", self.close),
                ("<Tab>", lambda: self._turn(1)),
                ("<Shift-Tab>", lambda: self._turn(-1)),
                ("<ISO_Left_Tab>", lambda: self._turn(-1)),
            ):
                field.bind(key, partial(_obey, wanted))

    def open(self, target: Target) -> None:
        """Ask about `target`."""
        words = self._words
        self._target = target
        name = shown(limit_marks(target.name)[:MAX_TITLE])
        room = shown(limit_marks(f"#{target.room}")[:MAX_TITLE])
        self._title.configure(
            text=words.measure_titles[target.measure].format(name=name, room=room)
        )
        self._accept.configure(text=words.measure_verbs[target.measure])
        self._complaint.configure(text="")
        for widget in (self._time_label, self._time, self._hint):
            if self._has_time:
                widget.grid()
            else:
                widget.grid_remove()
        usual = words.usual_times.get(target.measure, "")
        for entry, text in ((self._time, usual), (self._reason, "")):
            entry.delete(0, "end")
            entry.insert(0, text)
        self.place(relx=0.5, rely=0.42, anchor="center")
        self.lift()
        first = self._time if self._has_time else self._reason
        first.focus_set()
        first.selection_range(0, "end")

    def close(self) -> None:
        """Nothing is to be done, or it has been."""
        if self._target is not None:
            self._target = None
            self.place_forget()
            self._done()

    def accept(self) -> None:
        """Do it, if the time can be read."""
        target = self._target
        if target is None:
            return
        reason, time = self._reason.get().strip(), self._time.get().strip()
        seconds = seconds_of(time) if self._has_time else None
        if seconds is None and time and self._has_time:
            self._complain(self._time, self._words.bad_time)
        elif len(reason) > MAX_REASON:
            self._complain(self._reason, self._words.long_reason.format(limit=MAX_REASON))
        else:
            self.close()
            self._take(_request(target, seconds, reason))

    def _complain(self, entry: ttk.Entry, why: str) -> None:
        self._complaint.configure(text=why)
        entry.focus_set()
        entry.selection_range(0, "end")

    def _turn(self, by: int) -> None:
        """Go on to the next field, and round."""
        timed = (self._time,) if self._has_time else ()
        fields: tuple[tk.Misc, ...] = (*timed, self._reason, *self._buttons)
        here = self.focus_get()
        place = next((place for place, each in enumerate(fields) if each is here), 0)
        fields[(place + by) % len(fields)].focus_set()

    @property
    def _has_time(self) -> bool:
        return self._target is not None and self._target.measure in self._words.usual_times


def _obey(do: Callable[[], None], _: object) -> str:
    do()
    return "break"


def _request(target: Target, seconds: int | None, reason: str) -> Kick | Mute | Ban:
    name, room = target.name, target.room
    match target.measure:
        case "kick":
            return Kick(name, room, reason)
        case "mute":
            return Mute(name, room, seconds, reason)
        case _:
            return Ban(name, room, seconds, reason)
