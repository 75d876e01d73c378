"""The chat's window: tabs with conversations, who is online, a line to write in, the state."""

import threading
import tkinter as tk
import webbrowser
from collections.abc import Callable
from functools import partial
from tkinter import ttk
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError
from chatservice.client.events import Disconnected
from chatservice.client.faces.looks import mentions
from chatservice.client.faces.status import Status, typing_in_words
from chatservice.client.faces.talk import Shown, Talk, in_words
from chatservice.client.faces.typing_notices import TypingNotices
from chatservice.core.events import (
    Emoted,
    Error,
    Helped,
    Left,
    NameAsked,
    Online,
    Recalled,
    Refused,
    Renamed,
    Replayed,
    Said,
    Sent,
    Told,
    Typing,
    Welcomed,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects.wording import ENGLISH
from chatservice.gui import lines
from chatservice.gui.conversation import Conversation
from chatservice.gui.finding import FindBar
from chatservice.gui.glyphs import shown
from chatservice.gui.input_line import InputLine
from chatservice.gui.lines import STALE, Line
from chatservice.gui.people import People
from chatservice.gui.theme import ChatLook

log = Logger()

REFRESH_SECONDS = 0.1  # between two looks at who is here, at the title and at the state
OLDER = 200  # events that are asked for when somebody reads beyond the top
TITLE = "Chat"
EVERYONE = "Everyone"
KEYS = """\
Tab completes names and commands; Up and Down go through what you have said.
Page Up and Page Down scroll, Ctrl-Home and Ctrl-End go to the first and the last line.
F6 goes on to the conversation, the list of people, and back; Enter there opens a private tab.
Ctrl-Tab and Ctrl-Shift-Tab change tabs; Ctrl-W closes a private one.
Ctrl-F finds words here: Enter goes back in time, Shift-Enter forward, Escape ends it.
Ctrl-L chooses a link, Enter opens it. Ctrl-Shift-C copies the conversation.
Ctrl-Q leaves the chat; twice: at once."""


class Tab:
    """A conversation, with everyone or with `name`."""

    def __init__(self, conversation: Conversation, name: str | None) -> None:
        self.conversation = conversation
        self.name = name
        self.unread = 0
        self.for_you = False  # some of that
        self.draft = ""

    @property
    def title(self) -> str:
        """With how much has not been read."""
        name = EVERYONE if self.name is None else shown(self.name)
        return name + (f" ({self.marks})" if self.unread else "")

    @property
    def marks(self) -> str:
        return f"{self.unread}!" if self.for_you else str(self.unread)


class Window(ttk.Frame):
    """All of it but the dialog that comes first."""

    def __init__(self, root: tk.Tk, look: ChatLook, reactor: Any) -> None:
        super().__init__(root)
        self.talk = Talk(self._show, lambda: None)
        self.client: ChatClient | None = None
        self._top = root
        self._look = look
        self._reactor = reactor
        self._where = ""
        # The connection.
        self._lost = False  # and that has been said
        self._again = 0.0  # when there will be another attempt
        self._asked_name = False
        # What is there to be loaded.
        self._epoch = ""
        self._before = 0  # the first id that will not be shown as something new
        self._loading = False
        self._oldest = 0  # the first id that is kept, if it has been seen
        self._tabs: dict[str, Tab] = {}  # by the widgets' paths
        self._private: dict[str, Tab] = {}
        self._current: Tab | None = None
        self._notices = TypingNotices(self._tell_typing, reactor.seconds)
        self._choices = ""  # that Tab has
        self._make()
        self._everyone = self._open(None)
        self._current = self._everyone
        self._keys()

    # Talking.

    async def talk_with(self, client: ChatClient, where: str) -> None:
        """Until the end. `where`: the server. Raises `ChatError`."""
        self.client = self.talk.client = client
        self._where = where
        self._lost = self._asked_name = False
        refreshing = LoopingCall(self._refresh)
        refreshing.clock = self._reactor
        refreshing.start(REFRESH_SECONDS).addErrback(self._broken)
        self.line.focus_set()
        try:
            async for event in client:
                self._show(event)
        finally:
            refreshing.stop()

    def ask(self, error: Error | None) -> "Deferred[str]":
        """For another name."""
        self._asked_name = True
        if error is not None:
            self._show(error)
        self.line.set_aside()
        asking = self.talk.ask(None)
        self._refresh()
        return asking

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """For that of `name`."""
        self._asked_name = True
        self.line.set_aside()
        asking = self.talk.ask_password(name, error)
        self._refresh()
        return asking

    def tell(self, line: str) -> None:
        """Something about the server."""
        self._show(sanitize(line))

    def leave(self) -> None:
        """Say goodbye; asked a second time, without waiting for anything."""
        if self.client is None:
            return
        if self.talk.leaving:
            self.client.abort()
        self.talk.leave()
        self._refresh()

    # What happens.

    def _show(self, event: Shown) -> None:
        client = self.talk.client
        me = client.name
        tab = self._everyone
        match event:
            case Typing():
                return
            case Told(sender=name) | Sent(recipient=name):
                tab = self._with(name)
                self._count(tab, for_you=isinstance(event, Told))
                event = lines.private(event, me)
            case Said() | Emoted():
                if event.name != me:
                    self._count(tab, for_you=mentions(event, me))
            case Left(names=names):
                for name in self._private.keys() & set(names):
                    self._private[name].conversation.add(self._lines(event))
            case Renamed(old=old, new=new):
                self._renamed(old, new)
            case Welcomed():
                self._welcomed(event)
                self._again, self._lost, self._asked_name = 0.0, False, False
                event = in_words(event, self._where).partition("\n")[0]  # the rest is in the list
            case NameAsked():
                return  # the line says so
            case Disconnected(again=again):
                self._again = self._reactor.seconds() + again
                if self._lost:  # the state says the rest
                    return
                self._lost = True
            case str() | ChatError() | Error() | Refused() | Online() | Helped() | Replayed():
                tab = self._current or tab
        tab.conversation.add(self._lines(event))

    def _lines(self, event: Shown) -> list[Line]:
        found = list(lines.lines(event, self._where, self.talk.client.name))
        for line in found:
            if line.id and line.id < self._before:
                self._before = line.id
        return found

    def _welcomed(self, event: Welcomed) -> None:
        if event.epoch == self._epoch:
            return
        for tab in self._tabs.values():
            tab.conversation.make_stale()
        self._epoch = event.epoch
        self._before = event.last_id + 1
        self._oldest = 0

    def _count(self, tab: Tab, *, for_you: bool) -> None:
        """Something to read, unless somebody is looking."""
        if tab is not self._current or not self._is_looked_at():
            tab.unread += 1
            tab.for_you = tab.for_you or for_you

    def _is_looked_at(self) -> bool:
        try:
            return self._top.focus_displayof() is not None
        except KeyError:  # it is in a window of Tk's own
            return True

    # Older lines.

    def _load_older(self) -> None:
        """What was said before the first line."""
        conversation = self._everyone.conversation
        first = conversation.first_id or self._before
        if self._loading or first == STALE or first <= self._oldest:
            return
        if self.client is None or not self.client.connected:
            return
        self._loading = True
        asked = self.client.history(before=first, limit=OLDER)
        asked.addCallback(self._loaded, conversation)
        asked.addErrback(lambda failure: failure.trap(ChatError))
        asked.addBoth(self._end_loading)
        asked.addErrback(self._broken)

    def _loaded(self, page: Recalled, conversation: Conversation) -> None:
        older = lines.history(page.events, self._where, self.talk.client.name)
        if not page.events or page.events[0].id <= page.first_id:
            self._oldest = page.events[0].id if page.events else self._before
            older.insert(0, Line([("day", "Nothing older is kept.")], is_day=True))
        conversation.put_before(older)

    def _end_loading(self, _: Any) -> None:
        self._loading = False

    # Tabs.

    def _open(self, name: str | None) -> Tab:
        conversation = Conversation(
            self._book,
            self._look,
            more=self._load_older if name is None else lambda: None,
            typed=self._typed_elsewhere,
            follow=follow,
        )
        tab = Tab(conversation, name)
        self._tabs[str(conversation)] = tab
        self._book.add(conversation, text=tab.title)
        return tab

    def _with(self, name: str) -> Tab:
        """The tab for `name` alone."""
        if name not in self._private:
            self._private[name] = self._open(name)
        return self._private[name]

    def _choose(self, name: str) -> None:
        """Talk to `name` alone."""
        if name != self.talk.client.name:
            self._book.select(str(self._with(name).conversation))
        self.line.focus_set()

    def _renamed(self, old: str, new: str) -> None:
        tab = self._private.pop(old, None)
        if tab is None:
            return
        if new in self._private:  # somebody else was called that
            self._private[old] = tab
            return
        tab.name = new
        self._private[new] = tab

    def _close_tab(self) -> None:
        """The private one that is shown."""
        tab = self._current
        if tab is None or tab.name is None:
            return
        self._private.pop(tab.name, None)
        self._tabs.pop(str(tab.conversation))
        self._current = None
        self._book.forget(str(tab.conversation))
        tab.conversation.destroy()
        self._changed_tab()

    def _turn(self, by: int) -> None:
        paths = self._book.tabs()
        place = paths.index(self._book.select())
        self._book.select(paths[(place + by) % len(paths)])

    def _changed_tab(self) -> None:
        """What is being written stays with whom it was for."""
        tab = self._tabs.get(self._book.select())
        if tab is None or tab is self._current:
            return
        if self.finding.is_open:
            self.finding.close()
        before, self._current = self._current, tab
        if before is not None:
            before.draft = self.line.line
        self.line.line = tab.draft
        self.line.focus_set()
        self._refresh()

    # The line.

    def _typed(self, text: str) -> bool:
        """Whether the line was taken."""
        if self.client is None or self.talk.leaving:
            return False
        if self.line.is_secret and not self.talk.asks_password:
            self._refresh()  # the connection was lost meanwhile, and nobody may see it
            return False
        if self._asked_name and not (self.talk.asks_name or self.client.connected):
            self._show("There is no connection yet. Press Enter again when there is one.")
            return False
        self._notices.sent()
        tab = self._current
        private = tab.name if tab is not None and not self.talk.asks_name else None
        self.talk.typed(text, to=private)
        if tab is not None:
            tab.conversation.to_end()
        self._refresh()
        return True

    def _changed(self, text: str) -> None:
        self._choices = ""
        if self._current is self._everyone and not self.talk.asks_name:
            self._notices.changed(text)

    def _tell_typing(self, on: bool) -> None:
        if self.client is not None:
            self.client.set_typing(on)

    def _typed_elsewhere(self, text: str) -> None:
        self.line.focus_set()
        self.line.icursor("end")
        self.line.put(text)

    def _others(self) -> set[str]:
        client = self.client
        return set() if client is None else client.users - {client.name or ""}

    def _tell_choices(self, choices: str) -> None:
        self._choices = choices
        self._refresh()

    # What is true just now.

    def _refresh(self) -> None:
        client = self.client
        if client is None:
            return
        current = self._current
        if current is not None and current.unread and self._is_looked_at():
            current.unread, current.for_you = 0, False
        for path, tab in self._tabs.items():
            if self._book.tab(path, "text") != tab.title:
                self._book.tab(path, text=tab.title)
        self._show_title()
        self.people.show(client.users if client.connected else (), client.typing, client.name)
        status = Status(
            self._where,
            connected=self.talk.ready,
            again=self._again - self._reactor.seconds(),
            waiting=client.outstanding,
            leaving=self.talk.leaving,
            name=None if self.talk.asks_name else client.name,
            online=len(client.users),
            abort="Ctrl-Q",
        )
        kind = "Danger" if self._lost else "Good" if client.connected else "Warning"
        self._dot.configure(style=f"{kind}.Status.TLabel")
        self._state.configure(text=shown(status.line))
        line = "" if self.line.holds_password else self.line.line
        turned = shown(line)  # Tk's entry cannot show it so
        self._hint.configure(
            text=self._choices
            or (turned if turned != line else shown(typing_in_words(client.typing)))
        )
        if self.line.is_secret is not self.talk.asks_password:
            self.line.is_secret = self.talk.asks_password
        if self.talk.asks_password:
            label = "Password"
        elif self.talk.asks_name:
            label = ENGLISH.question
        else:
            label = f"To {EVERYONE.lower()}"
            if current is not None and current.name is not None:
                label = f"To {shown(current.name)} alone"
        self._label.configure(text=label)

    def _show_title(self) -> None:
        unread = sum(tab.unread for tab in self._tabs.values())
        for_you = any(tab.for_you for tab in self._tabs.values())
        marks = f"({unread}{'!' if for_you else ''}) " if unread else ""
        title = f"{marks}{TITLE} – {self.talk.client.name or ''} at {self._where}"
        if self._top.title() != title:
            self._top.title(title)

    def _broken(self, failure: Failure) -> None:
        log.failure("The window has a fault.", failure)

    # What it is made of.

    def _make(self) -> None:
        px = self._look.px
        gap = px(12)
        state = ttk.Frame(self, style="Status.TFrame", padding=(gap, px(4)))
        self._dot = ttk.Label(state, text="●", style="Warning.Status.TLabel")
        self._dot.pack(side="left", padx=(0, px(6)))
        self._state = ttk.Label(state, style="Status.TLabel")
        self._state.pack(side="left")
        ttk.Label(state, text="F1: keys", style="Status.TLabel").pack(side="right")
        state.pack(side="bottom", fill="x")
        body = ttk.Frame(self, padding=(gap, px(8), gap, px(8)))
        body.pack(fill="both", expand=True)
        panes = ttk.PanedWindow(body, orient="horizontal")
        left = ttk.Frame(panes)
        self._book = ttk.Notebook(left, takefocus=False)
        below = ttk.Frame(body)
        self._hint = ttk.Label(below, style="Small.TLabel")
        self._hint.pack(side="top", fill="x", pady=(px(4), px(2)))
        self._label = ttk.Label(below, style="Dim.TLabel")
        self._label.pack(side="left", padx=(0, px(10)))
        self.line = InputLine(
            below,
            typed=self._typed,
            changed=self._changed,
            names=self._others,
            tell=self._tell_choices,
        )
        self.line.pack(side="left", fill="x", expand=True)
        self.finding = FindBar(left, self._look, self._conversation, self.line.focus_set)
        self._book.pack(side="top", fill="both", expand=True)
        self.people = People(panes, self._look, self._choose)
        panes.add(left, weight=4)
        panes.add(self.people, weight=1)
        below.pack(side="bottom", fill="x")
        panes.pack(side="top", fill="both", expand=True)
        self._book.bind("<<NotebookTabChanged>>", lambda _: self._changed_tab())

    def _conversation(self) -> Conversation:
        return (self._current or self._everyone).conversation

    def _keys(self) -> None:
        def on(*sequences: str, do: Callable[[], Any]) -> None:
            def handle(_: Any) -> str:
                do()
                return "break"

            for sequence in sequences:
                self._top.bind(sequence, handle)
                self.line.bind(sequence, handle)  # before what an entry does with it

        scroll = self._scroll
        on("<Control-q>", do=self.leave)
        on("<Control-f>", do=self.finding.open)
        on("<Escape>", do=self._escape)
        on("<Control-l>", do=lambda: self._conversation().choose_link())
        on("<Control-C>", do=lambda: self._conversation().copy(selected=False))
        on("<Control-Tab>", "<Control-Next>", do=partial(self._turn, 1))
        on("<Control-ISO_Left_Tab>", "<Control-Prior>", do=partial(self._turn, -1))
        on("<Control-w>", do=self._close_tab)
        on("<Prior>", do=partial(scroll, -1, "pages"))
        on("<Next>", do=partial(scroll, 1, "pages"))
        on("<Control-Home>", do=lambda: self._conversation().to_top())
        on("<Control-End>", do=lambda: self._conversation().to_end())
        on("<F6>", do=self._next_pane)
        on("<F1>", do=self._help)

    def _scroll(self, number: int, what: Literal["units", "pages"]) -> None:
        self._conversation().scroll(number, what)

    def _escape(self) -> None:
        if self.finding.is_open:
            self.finding.close()
        self.line.focus_set()

    def _next_pane(self) -> None:
        panes = (self.line, self._conversation().text, self.people.list)
        here = self._top.focus_get()
        place = next((place for place, each in enumerate(panes) if each is here), -1)
        panes[(place + 1) % len(panes)].focus_set()

    def _help(self) -> None:
        self._conversation().add(Line([(lines.NOTICE, line)]) for line in KEYS.splitlines())


def follow(link: str) -> None:
    """Open it where the person has their browser; which may take its time to come."""
    if link.lower().startswith(("http://", "https://")):
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
