"""A conversation: a Text widget of bounded length."""

import time
import tkinter as tk
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice
from tkinter import ttk
from typing import Any, Literal

from chatservice.gui import lines
from chatservice.gui.glyphs import shown
from chatservice.gui.lines import LINK, STALE, Line
from chatservice.gui.theme import INDENT, ChatLook
from chatservice.gui.wording import ENGLISH, WindowWords

KEPT = 5000  # lines, while the end is in view
# While somebody reads further up nothing must move, and the log in memory has no more than this.
KEPT_READING = 25_000
KEPT_HIDDEN = 500  # while another conversation is in view: there may be a hundred
FRAME_MS = 16  # between two looks at what is to be shown
BUDGET_SECONDS = 0.008  # of a frame, for what is new; typing stays immediate
CHUNK = 40  # lines between two looks at the clock
WHEEL_LINES = 3
MARK = "found"
RESIZED_MS = 150  # from a new width to rows for it
ROOM = 28  # pixels that a row never has: margins, and what rounding costs
NO_BREAK = "\N{NO-BREAK SPACE}"


class Conversation(ttk.Frame):
    """Shows lines. `more` is called when the reader reaches the top. `typed` is called with
    characters that are typed here but belong in the line below; `follow` with a link."""

    def __init__(
        self,
        parent: tk.Misc,
        look: ChatLook,
        more: Callable[[], None],
        typed: Callable[[str], None],
        follow: Callable[[str], None],
        *,
        words: WindowWords = ENGLISH,
    ) -> None:
        super().__init__(parent)
        self._words = words
        self._look = look
        self._more = more
        self._typed = typed
        self._follow = follow
        self._shown: deque[Line] = deque()  # each is a line of the widget
        self._coming: deque[Line] = deque()
        self._hidden = False
        self._cut = False  # some of what came while it was hidden has been dropped
        self._scheduled = False
        self._day: str | None = None  # of the last line
        self._follows = True  # the end is in view, and stays there
        self._unseen = 0  # messages below what is in view
        self._link = ""  # where the last link began that Ctrl-L went to
        self._width = 0  # pixels
        self._breaking: str | None = None  # what is to be done when the width does not change
        self._make()
        self._bind_keys()

    # What is shown.

    def add(self, new: Iterable[Line]) -> None:
        """Append lines, with the next frame."""
        for line in new:
            if line.at is not None and (day := lines.day_of(line.at)) != self._day:
                self._day = day
                self._coming.append(lines.day_line(line.at))
            self._coming.append(line)
        if self._hidden:
            while len(self._coming) > KEPT_HIDDEN:
                self._coming.popleft()
                self._cut = True
        elif self._coming and not self._scheduled:
            self._scheduled = True
            self.after(FRAME_MS, self._show_new)

    def hide(self) -> None:
        """Another conversation is in view: Tk draws nothing of this one."""
        self._hidden = True
        self._trim()

    def appear(self) -> None:
        """It is in view."""
        self._hidden = False
        if self._cut:
            self._begin_anew()
        self._show_new()

    def _begin_anew(self) -> None:
        """Show only what has come last: what is between that and the lines so far was dropped."""
        coming = self._coming.copy()
        self.clear()
        if coming[0].at is not None:
            coming.appendleft(lines.day_line(coming[0].at))
        self._coming = coming
        self._day = next((line.pieces[0][1] for line in reversed(coming) if line.is_day), None)

    def put_before(self, older: list[Line]) -> None:
        """Insert older lines at the top. What is in view stays in place."""
        if not older:
            return
        if not self._shown and self._coming:
            self._show_new()
        top = int(self.text.index("@0,0").partition(".")[0])
        first = next((line for line in self._shown if line.at is not None), None)
        removed = 0
        if first is not None and first.at is not None:
            last = max((line.at for line in older if line.at is not None), default=None)
            same_day = last is not None and lines.day_of(last) == lines.day_of(first.at)
            if same_day and self._shown[0].is_day:
                removed = 1
            elif not same_day and not self._shown[0].is_day:
                older = [*older, lines.day_line(first.at)]
        else:
            self._day = next((line.pieces[0][1] for line in reversed(older) if line.is_day), None)
        self.text.configure(state="normal")
        if removed:
            self._shown.popleft()
            self.text.delete("1.0", "2.0")
        pieces = [piece for line in older for piece in (*self._pieces(line), "\n", _tag(line))]
        if not self._shown:
            del pieces[-2:]
        self.text.insert("1.0", *pieces)
        self.text.configure(state="disabled")
        self._shown.extendleft(reversed(older))
        self.text.yview(f"{max(top - removed, 1) + len(older)}.0")
        self._after_scrolling()

    def erase(self, left: Mapping[int, Line]) -> None:
        """Put these lines, by their ids, in place of messages that have been deleted."""
        for place, line in enumerate(self._coming):
            if line.id in left:
                self._coming[place] = replace(left[line.id], at=line.at)
        self.text.configure(state="normal")
        for place, line in enumerate(self._shown):
            if line.id in left:
                self._shown[place] = new = replace(left[line.id], at=line.at)
                self.text.delete(f"{place + 1}.0", f"{place + 1}.end")
                self.text.insert(f"{place + 1}.0", *self._pieces(new))
        self.text.configure(state="disabled")

    @property
    def first_id(self) -> int:
        """The id of the first line that has one. 0: none has; STALE: nothing can precede it."""
        told = chain(() if self._cut else self._shown, self._coming)
        return next((line.id for line in told if line.id), 0)

    def make_stale(self) -> None:
        """Note that the lines so far belong to a log that no longer exists."""
        for line in (*self._shown, *self._coming):
            line.id = line.id and STALE

    def clear(self) -> None:
        """Remove all lines."""
        self._shown.clear()
        self._coming.clear()
        self._day, self._follows, self._unseen, self._link = None, True, 0, ""
        self._cut = False
        self.text.configure(state="normal")
        self.text.delete("1.0", "end")
        self.text.configure(state="disabled")
        self._show_unseen()

    @property
    def is_full(self) -> bool:
        """Whether more lines are waiting to be shown than anyone will read."""
        return len(self._coming) >= 2 * KEPT

    def words(self, *, selected: bool = False) -> str:
        """The whole text, or the selected text (empty if there is none). A line that Tk shows
        differently from how it was said is returned whole."""
        if not selected:
            return "\n".join(line.text for line in self._shown)
        ranges = self.text.tag_ranges("sel")
        if not ranges:
            return ""
        (first, start), (last, end) = (map(int, str(each).split(".")) for each in ranges[:2])
        if first == last and self._shown[first - 1].text.isascii():
            return self.text.get(f"{first}.{start}", f"{first}.{end}").replace("\t", " ")
        return "\n".join(line.text for line in islice(self._shown, first - 1, last))

    # Finding.

    def find(self, words: str, step: int) -> tuple[int, int]:
        """Go to the next (`step` 1), the previous (-1) or the last (0) line that contains `words`.
        Returns its number among them, from 1, and how many there are."""
        self.text.tag_remove("found", "1.0", "end")
        wanted = words.casefold()
        found = [
            number
            for number, line in enumerate(self._shown, start=1)
            if wanted and wanted in line.text.casefold()
        ]
        if not found:
            return 0, 0
        here = int(self.text.index(MARK).partition(".")[0]) if self._has_mark() else 0
        if step > 0:
            place = next((i for i, number in enumerate(found) if number > here), 0)
        elif step < 0 and here:
            earlier = [i for i, number in enumerate(found) if number < here]
            place = earlier[-1] if earlier else len(found) - 1
        else:
            place = len(found) - 1
        line = found[place]
        self.text.mark_set(MARK, f"{line}.0")
        self.text.tag_add("found", *self._where(words, line))
        self.text.see(f"{line}.0")
        self._after_scrolling()
        return place + 1, len(found)

    def end_finding(self) -> None:
        """Remove the highlight."""
        self.text.tag_remove("found", "1.0", "end")
        if self._has_mark():
            self.text.mark_unset(MARK)

    def _has_mark(self) -> bool:
        return MARK in self.text.mark_names()

    def _where(self, words: str, line: int) -> tuple[str, str]:
        """The range of the words in that line; all of it if Tk shows them differently."""
        start = self.text.search(words, f"{line}.0", f"{line}.end", nocase=True)
        if not start:
            return f"{line}.0", f"{line}.end"
        return start, f"{start} + {len(words)} chars"

    # Scrolling.

    def scroll(self, number: int, what: Literal["units", "pages"]) -> None:
        """Scroll by `number` units or pages; up if it is negative."""
        self.text.yview_scroll(number, what)
        self._after_scrolling()
        if number < 0:
            self._ask_for_more()

    def to_end(self) -> None:
        """Go to the end, and stay there."""
        self.text.see("end")
        self.text.yview_moveto(1.0)
        self._after_scrolling()

    def to_top(self) -> None:
        self.text.yview_moveto(0.0)
        self._after_scrolling()
        self._ask_for_more()

    def _moved_bar(self, *how: Any) -> None:
        self.text.yview(*how)
        self._after_scrolling()
        self._ask_for_more()

    def _after_scrolling(self) -> None:
        self._follows = self._at_end()
        if self._follows:
            self._unseen = 0
        self._show_unseen()

    def _at_end(self) -> bool:
        if not self.text.winfo_viewable():  # in a tab that is not chosen; nobody scrolls there
            return self._follows
        return self.text.dlineinfo("end - 1 chars") is not None

    def _ask_for_more(self) -> None:
        if self.text.yview()[0] <= 0.0:
            self._more()

    def _resized(self) -> None:
        if self.text.winfo_width() != self._width:
            self._width = self.text.winfo_width()
            if self._breaking is None:
                self._breaking = self.after(RESIZED_MS, self._break_again)
        self._keep_end()

    def _keep_end(self) -> None:
        """Keep the end in view, if it was."""
        if self._follows:
            self.text.see("end")

    def _show_unseen(self) -> None:
        if self._unseen and not self._follows:
            self._below.configure(text=self._words.new_below.format(count=self._unseen))
            self._below.place(
                relx=1.0, rely=1.0, anchor="se", x=-self._look.px(16), y=-self._look.px(12)
            )
        else:
            self._below.place_forget()

    # What comes in.

    def _show_new(self) -> None:
        """Show as many new lines as the time of a frame allows."""
        self._scheduled = False
        if self._hidden:
            return
        self._follows = self._at_end()
        if self._follows:  # nobody will see those that are too many anyhow
            while len(self._coming) > KEPT:
                self._coming.popleft()
        self.text.configure(state="normal")
        until = time.monotonic() + BUDGET_SECONDS
        while self._coming:
            chunk = [self._coming.popleft() for _ in range(min(CHUNK, len(self._coming)))]
            self._insert(chunk)
            if time.monotonic() >= until:
                break
        self.text.configure(state="disabled")
        self._trim()
        self._keep_end()
        self._show_unseen()
        if self._coming:
            self._scheduled = True
            self.after(FRAME_MS, self._show_new)

    def _insert(self, chunk: list[Line]) -> None:
        pieces: list[Any] = []
        for line in chunk:
            if self._shown:  # the end of a line comes with the next; there is no empty one below
                pieces += ("\n", _tag(self._shown[-1]))
            pieces += self._pieces(line)
            self._shown.append(line)
        self.text.insert("end - 1 chars", *pieces)
        if not self._follows:
            self._unseen += sum(line.at is not None for line in chunk)

    def _trim(self) -> None:
        kept = KEPT_HIDDEN if self._hidden else KEPT
        excess = len(self._shown) - (kept if self._follows else KEPT_READING)
        if excess > 0:
            self.text.configure(state="normal")
            self.text.delete("1.0", f"{excess + 1}.0")
            self.text.configure(state="disabled")
            for _ in range(excess):
                self._shown.popleft()

    def _pieces(self, line: Line) -> list[Any]:
        """Texts and tags alternately, as Tk takes them."""
        whole = _tag(line)
        if line.is_day:
            return [line.pieces[0][1], "line day"]
        told: list[Any] = [
            lines.clock_time(line.at) if line.at is not None else "",
            f"{whole} time",
            "\t",
            whole,
        ]
        used = 0
        for style, text in line.pieces:
            told += (self._as_shown(line, text, used), f"{whole} {self._look.tags_of(style)}")
            if not line.text.isascii():
                used += self._look.bold.measure(text)
        return told

    def _as_shown(self, line: Line, text: str, used: int) -> str:
        """Break right-to-left text into rows, so that its first words are in the first one; Tk
        would put the last ones there. `used`: pixels already used in the first row."""
        turned = shown(text)
        if turned == text:
            return text
        rows = [""]
        whole = self.text.winfo_width() - self._look.text_start - self._look.px(ROOM)
        room = whole - used
        for word in text.split(" "):
            longer = f"{rows[-1]} {word}" if rows[-1] else word
            if rows[-1] and self._look.font.measure(longer) > room:
                rows.append(word)
                room = whole - self._look.px(INDENT)
            else:
                rows[-1] = longer
        if len(rows) == 1:
            return turned
        line.in_rows = True
        return " ".join(shown(row).replace(" ", NO_BREAK) for row in rows)

    def _break_again(self) -> None:
        """Break right-to-left lines again, for another width."""
        self._breaking = None
        self.text.configure(state="normal")
        for number, line in enumerate(self._shown, start=1):
            if line.in_rows:
                self.text.delete(f"{number}.0", f"{number}.end")
                self.text.insert(f"{number}.0", *self._pieces(line))
        self.text.configure(state="disabled")
        self._keep_end()

    # What it is made of.

    def _make(self) -> None:
        px = self._look.px
        self.text = tk.Text(
            self,
            wrap="word",
            state="disabled",
            width=40,
            height=10,
            borderwidth=0,
            highlightthickness=px(1),
            highlightbackground=self._look.colours.surface,
            highlightcolor=self._look.colours.accent,
            font=self._look.font,
            padx=0,
            pady=px(8),
            spacing1=px(2),
            spacing3=px(2),
            cursor="arrow",
            takefocus=True,
            undo=False,
        )
        self._look.tags(self.text)
        bar = ttk.Scrollbar(self, command=self._moved_bar, takefocus=False)
        self.text.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        self._below = ttk.Button(
            self.text, style="New.Accent.TButton", command=self.to_end, takefocus=False
        )

    def _bind_keys(self) -> None:
        def on(*sequences: str, do: Callable[[], None]) -> None:
            def handle(_: Any) -> str:
                do()
                return "break"

            for sequence in sequences:
                self.text.bind(sequence, handle)

        on("<Button-4>", do=lambda: self.scroll(-WHEEL_LINES, "units"))
        on("<Button-5>", do=lambda: self.scroll(WHEEL_LINES, "units"))
        on("<Prior>", do=lambda: self.scroll(-1, "pages"))
        on("<Next>", do=lambda: self.scroll(1, "pages"))
        on("<Up>", do=lambda: self.scroll(-1, "units"))
        on("<Down>", do=lambda: self.scroll(1, "units"))
        on("<Home>", "<Control-Home>", do=self.to_top)
        on("<End>", "<Control-End>", do=self.to_end)
        on("<<Copy>>", "<Control-c>", do=lambda: self.copy(selected=True))
        on("<<SelectAll>>", "<Control-a>", do=lambda: self.text.tag_add("sel", "1.0", "end"))
        on("<Return>", do=self._open_chosen)
        self.text.bind("<Button-1>", lambda _: self.text.focus_set(), add=True)
        self.text.bind("<Configure>", lambda _: self._resized(), add=True)
        self.text.bind("<Key>", self._key)
        self.text.tag_bind(LINK, "<Enter>", lambda _: self.text.configure(cursor="hand2"))
        self.text.tag_bind(LINK, "<Leave>", lambda _: self.text.configure(cursor="arrow"))
        self.text.tag_bind(LINK, "<ButtonRelease-1>", self._clicked)

    def _key(self, event: "tk.Event[tk.Text]") -> str | None:
        control_or_alt = int(event.state) & 0b1100
        if event.char and event.char.isprintable() and not control_or_alt:
            self._typed(event.char)
            return "break"
        return None

    def copy(self, *, selected: bool) -> None:
        """Copy to the clipboard."""
        if words := self.words(selected=selected):
            self.clipboard_clear()
            self.clipboard_append(words)

    # Links.

    def choose_link(self) -> None:
        """Select the last link, or the one before the selected one. Enter opens it."""
        before = self._link or "end"
        found = self.text.tag_prevrange(LINK, before) or self.text.tag_prevrange(LINK, "end")
        if not found:
            return
        start, end = map(str, found)
        self._link = start
        self.text.tag_remove("sel", "1.0", "end")
        self.text.tag_add("sel", start, end)
        self.text.see(start)
        self.text.focus_set()
        self._after_scrolling()

    def _open_chosen(self) -> None:
        if ranges := self.text.tag_ranges("sel"):
            self._open_at(str(ranges[0]))

    def _clicked(self, event: "tk.Event[tk.Text]") -> None:
        if not self.text.tag_ranges("sel"):  # or somebody selects it
            self._open_at(self.text.index(f"@{event.x},{event.y}"))

    def _open_at(self, index: str) -> None:
        found = self.text.tag_prevrange(LINK, f"{index} + 1 chars")
        if found and self.text.compare(index, "<", str(found[1])):
            self._follow(self.text.get(*map(str, found)))


def _tag(line: Line) -> str:
    """The tag of the whole line, from edge to edge."""
    if line.in_columns:
        return "line columns"
    return "line mention" if line.marked else "line"
