"""The line in which one types: history, completion and pasting."""

import tkinter as tk
from collections.abc import Callable, Iterable
from tkinter import ttk

from chatservice.client.faces.completion import Completion
from chatservice.core.sanitize import sanitize
from chatservice.dialects.commands import password_at
from chatservice.gui.glyphs import has_colours, without_colours

MAX_HISTORY = 500  # lines
MAX_PASTED = 5  # lines that are finished as soon as they are pasted


class InputLine(ttk.Entry):
    """`typed` is called with each finished line, and returns whether it was accepted. `changed` is
    called with the text when it has changed. `complete` returns completions for the text before the
    cursor, and `tell` is called with the choice. `pasted`: lines that wait for Enter."""

    def __init__(
        self,
        parent: tk.Misc,
        *,
        typed: Callable[[str], bool],
        changed: Callable[[str], None],
        complete: Callable[[str], Iterable[Completion]],
        tell: Callable[[str], None],
    ) -> None:
        self._variable = tk.StringVar(parent)
        super().__init__(parent, textvariable=self._variable)
        self._typed = typed
        self._changed = changed
        self._completions = complete
        self._tell = tell
        self.pasted: list[str] = []
        self._history: list[str] = []
        self._place = 0  # in it; its length: what is being typed
        self._draft = ""
        self._found: list[Completion] = []  # that Tab goes through
        self._turn = 0
        self._completed = ""  # what stands there after the last one
        self._secret = False
        self._variable.trace_add("write", lambda *_: self._was_changed())
        self.bind("<Return>", lambda _: self._finish())
        self.bind("<KP_Enter>", lambda _: self._finish())
        self.bind("<Up>", lambda _: self._go(-1))
        self.bind("<Down>", lambda _: self._go(1))
        self.bind("<Tab>", lambda _: self._complete(1))
        self.bind("<<Paste>>", lambda _: self._paste("CLIPBOARD"))
        self.bind("<<PasteSelection>>", lambda _: self._paste("PRIMARY"))

    @property
    def line(self) -> str:
        return self._variable.get()

    @line.setter
    def line(self, text: str) -> None:
        self._variable.set(text)
        self.icursor("end")
        self.xview_moveto(1.0)

    @property
    def is_secret(self) -> bool:
        """Whether a password is asked for."""
        return self._secret

    @is_secret.setter
    def is_secret(self, secret: bool) -> None:
        self._secret = secret
        self.line = ""

    def set_aside(self) -> None:
        """Empty the line, since something else is to be typed first. Up brings the text back."""
        if self.line.strip() and not self.holds_password:
            self._keep(self.line)
        self.line = ""

    @property
    def holds_password(self) -> bool:
        """Whether the line has a password in it, or is to have one."""
        return self._secret or password_at(self.line) is not None

    def _was_changed(self) -> None:
        begins = 0 if self._secret else password_at(self.line)
        self.configure(show="•" if begins is not None and begins < len(self.line) else "")
        self._changed(self.line)

    def put(self, text: str) -> None:
        """Insert `text` at the cursor, in place of what is selected."""
        if self.selection_present():
            self.delete("sel.first", "sel.last")
        self.insert("insert", text)

    def _finish(self) -> str:
        if self.pasted:
            self._finish_pasted()
            return "break"
        text = self.line
        secret = self.holds_password
        if self._typed(text):
            if text.strip() and not secret:
                self._keep(text)
            if self.line == text:  # and not what was being typed in another conversation
                self.line = ""
        return "break"

    def _finish_pasted(self) -> None:
        """Finish the pasted lines. Those that are not accepted go back into the line."""
        rest, cursor = self.line, self.index("insert")
        pasted, self.pasted = self.pasted, []
        kept = ""
        for text in pasted:
            self.line = text
            self._finish()
            kept += f"{self.line} " if self.line else ""
        self.line = kept + rest
        self.icursor(len(kept) + cursor)

    def drop_pasted(self) -> None:
        """Forget the pasted lines."""
        self.pasted.clear()

    def _keep(self, text: str) -> None:
        if text not in self._history[-1:]:
            self._history = [*self._history, text][-MAX_HISTORY:]
        self._place = len(self._history)

    def _go(self, by: int) -> str:
        place = self._place + by
        if self.is_secret:
            return "break"
        if 0 <= place <= len(self._history):
            if self._place == len(self._history):
                self._draft = self.line
            self._place = place
            self.line = [*self._history, self._draft][place]
        return "break"

    def _complete(self, step: int) -> str | None:
        """Insert the next completion. In an empty line, Tab moves the focus."""
        before = self.line[: self.index("insert")]
        if not before.strip() or self.is_secret:
            return None
        if self._found and before == self._completed:
            replaces = len(self._found[self._turn].text)
            self._turn = (self._turn + step) % len(self._found)
        else:
            self._found, self._turn = list(self._completions(before)), 0
            replaces = self._found[0].replaces if self._found else 0
        if self._found:
            self.delete(self.index("insert") - replaces, "insert")
            self.insert("insert", self._found[self._turn].text)
            self._completed = self.line[: self.index("insert")]
        if len(self._found) > 1:
            self._tell("   ".join(each.shown for each in self._found[:12]))
        return "break"

    def _paste(self, selection: str) -> str:
        """Finish each complete line of a paste, if there are only a few. The rest stays in the
        line."""
        try:
            pasted = self.selection_get(selection=selection)
        except tk.TclError:  # there is nothing, or no text
            return "break"
        first, *more = pasted.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self.put(_fit(first))
        if not more:
            return "break"
        cursor = self.index("insert")
        before, after, last = self.line[:cursor], self.line[cursor:], _fit(more[-1])
        self.pasted += [line for line in (before, *map(_fit, more[:-1])) if line.strip()]
        self.line = last + after
        self.icursor(len(last))
        if len(self.pasted) <= MAX_PASTED:
            self._finish_pasted()
        return "break"


def _fit(text: str) -> str:
    """`text` without what cannot be typed or shown."""
    text = sanitize(text)
    return text if has_colours() else without_colours(text)
