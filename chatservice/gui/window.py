"""The chat's window: tabs with conversations, who is online, a line to type in, the state."""

import threading
import tkinter as tk
import webbrowser
from collections.abc import Callable, Iterable
from functools import partial
from tkinter import ttk
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Gone
from chatservice.client.events import Disconnected, Heard
from chatservice.client.faces.completion import Completion, completions
from chatservice.client.faces.looks import mentions
from chatservice.client.faces.status import Status, typing_in_words
from chatservice.client.faces.talk import Talk
from chatservice.client.faces.typing_notices import TypingNotices
from chatservice.client.faces.words import Shown, Wording
from chatservice.client.state import State
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Emoted,
    Error,
    Explained,
    Helped,
    LeaveReason,
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
from chatservice.core.requests import History
from chatservice.core.sanitize import limit_marks, sanitize
from chatservice.dialects.wording import ENGLISH
from chatservice.gui import lines
from chatservice.gui.conversation import Conversation
from chatservice.gui.finding import FindBar
from chatservice.gui.glyphs import shown
from chatservice.gui.input_line import InputLine
from chatservice.gui.lines import STALE, Line
from chatservice.gui.people import People
from chatservice.gui.tabs import Tab, Tabs
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import ENGLISH as WINDOW
from chatservice.gui.wording import WindowWords

log = Logger()

REFRESH_SECONDS = 0.1  # between two looks at who is here, at the title and at the state
OLDER = 200  # events that are asked for when somebody reads beyond the top


class Window(ttk.Frame):
    """The window, except for the dialog. `changes_server`: the user wants the dialog again."""

    def __init__(
        self, root: tk.Tk, look: ChatLook, reactor: Any, words: WindowWords = WINDOW
    ) -> None:
        super().__init__(root)
        self.talk = Talk(self._show)
        self.client: ChatClient | None = None
        self.changes_server = False
        self._top = root
        self._look = look
        self._reactor = reactor
        self._words = words
        self._wording = Wording("", ENGLISH)
        # The connection.
        self._lost = False  # and that has been said
        self._again = 0.0  # when there will be another attempt
        self._asked_name = False
        self._hopeless: ChatError | None = None
        # What is there to be loaded.
        self._epoch = ""
        self._before = 0  # the first id that will not be shown as something new
        self._loading = False
        self._oldest = 0  # the first id that is kept, if it has been seen
        self._notices = TypingNotices(self._tell_typing, reactor.seconds)
        self._choices = ""  # that Tab has
        self._make()
        self._keys()

    # Talking.

    async def talk_with(self, client: ChatClient, where: str) -> None:
        """Talk until the end. `where`: the server. Raises `ChatError`."""
        self.talk = Talk(self._show)
        self.client = self.talk.client = client
        self.changes_server = False
        self._wording = Wording(where, ENGLISH, lambda: self.talk.rooms.current)
        self._lost = self._asked_name = False
        self._hopeless = None
        self._epoch, self._before, self._oldest = "", 0, 0
        self._tabs.reset()
        refreshing = LoopingCall(self._refresh)
        refreshing.clock = self._reactor
        refreshing.start(REFRESH_SECONDS).addErrback(self._broken)
        self.line.focus_set()
        try:
            async for event in client:
                self._heard(event)
                while self._tabs.everyone.conversation.is_full:  # Tk is slower than the network
                    await deferLater(self._reactor, REFRESH_SECONDS)
        finally:
            refreshing.stop()
            self.client = None
        if self._hopeless is not None:
            raise self._hopeless

    def ask(self, error: Error | None) -> "Deferred[str]":
        """Ask for another name."""
        self._asked_name = True
        if error is not None:
            self._show(error)
        self.line.set_aside()
        asking = self.talk.ask(None)
        self._refresh()
        return asking

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """Ask for the password of `name`."""
        self._asked_name = True
        self.line.set_aside()
        asking = self.talk.ask_password(name, error)
        self._refresh()
        return asking

    def tell(self, line: str) -> None:
        """Show a line about the server."""
        self._show(sanitize(line))

    def leave(self) -> None:
        """Say goodbye. The second call leaves without waiting."""
        if self.client is None:
            return
        if self.talk.leaving:
            self.client.abort()
        self.talk.leave()
        self._refresh()

    def _change_server(self) -> None:
        self.changes_server = True
        self.leave()

    # What happens.

    def _heard(self, event: Heard) -> None:
        """Handle an event of the client that is not the answer to a typed line."""
        match event:
            case Replayed():  # it is loaded where it belongs, instead
                return
            case Disconnected(hopeless=True):
                self._hopeless = Gone(event.why, lost=False)
                self.talk.client.abort()
            case _ if self.talk.hears(event):
                self._show(event)
            case _:
                pass  # in a room that is to be quiet

    def _show(self, event: Shown) -> None:
        match event:
            case Typing() | NameAsked():
                return  # the list and the line say so
            case Told() | Sent():
                self._show_private(event)
                return
            case Left(names=names, reason=reason) if reason is not LeaveReason.PARTED:
                for name in names:
                    if (private := self._tabs.private(name)) is not None:
                        private.conversation.add(self._lines(event))
            case Renamed(old=old, new=new):
                self._tabs.rename(old, new)
            case Said() | Emoted() if event.name != self.talk.client.name:
                for_you = mentions(event, self.talk.client.name)
                self._count(self._tabs.everyone, for_you=for_you)
            case Welcomed():
                self._welcomed(event)
                event = self._wording.lines(event)[0]  # the rest is in the list
            case Disconnected(again=again):
                self._again = self._reactor.seconds() + again
                if self._lost:  # the state says the rest
                    return
                self._lost = True
            case (
                str()
                | ChatError()
                | Error()
                | Refused()
                | Online()
                | Helped()
                | Explained()
                | Replayed()
            ):
                self._tabs.current.conversation.add(self._lines(event))
                return
            case _:
                pass
        self._tabs.everyone.conversation.add(self._lines(event))

    def _show_private(self, event: Told | Sent) -> None:
        """Show it in the tab of that person; in the common one if there are too many."""
        me = self.talk.client.name
        name = event.sender if isinstance(event, Told) else event.recipient
        tab = self._tabs.open_private(name)
        if isinstance(event, Told):
            self._count(tab or self._tabs.everyone, for_you=True)
        if tab is not None:
            tab.conversation.add(self._lines(lines.private(event, me)))
        else:
            self._tabs.everyone.conversation.add(self._lines(event))

    def _lines(self, event: Shown) -> list[Line]:
        found = list(lines.lines(event, self._wording, self.talk.client.name))
        for line in found:
            if line.id and line.id < self._before:
                self._before = line.id
        return found

    def _welcomed(self, event: Welcomed) -> None:
        self._again, self._lost, self._asked_name = 0.0, False, False
        if event.epoch == self._epoch:
            return
        is_first = not self._epoch
        self._tabs.make_stale()
        self._epoch = event.epoch
        self._before = (event.last_id if event.seen is None else event.seen) + 1
        self._oldest = 0
        if is_first:
            self._load_older()

    def _count(self, tab: Tab, *, for_you: bool) -> None:
        """Count an unread message, unless the tab is in view."""
        if tab is not self._tabs.current or not self._is_looked_at():
            tab.count(for_you=for_you)

    def _is_looked_at(self) -> bool:
        try:
            return self._top.focus_displayof() is not None
        except KeyError:  # it is in a window of Tk's own
            return True

    # Older lines.

    def _load_older(self) -> None:
        """Ask for what was said before the first line."""
        conversation = self._tabs.everyone.conversation
        first = conversation.first_id or self._before
        if self._loading or self.client is None or first == STALE or first <= self._oldest:
            return
        self._loading = True
        asked = self.client.request(History(first, limit=OLDER, room=ALL_ROOMS))
        asked.addCallback(self._loaded, conversation)
        asked.addErrback(lambda failure: failure.trap(ChatError))
        asked.addBoth(self._end_loading)
        asked.addErrback(self._broken)

    def _loaded(self, page: Recalled, conversation: Conversation) -> None:
        older = lines.history(page.events, self._wording, self.talk.client.name)
        if not page.events or page.events[0].id <= page.first_id:
            self._oldest = page.events[0].id if page.events else self._before
            older.insert(0, Line([("day", self._words.nothing_older)], is_day=True))
        conversation.put_before(older)

    def _end_loading(self, _: Any) -> None:
        self._loading = False

    # Tabs.

    def _conversation_in(self, parent: tk.Misc, everyone: bool) -> Conversation:
        return Conversation(
            parent,
            self._look,
            more=self._load_older if everyone else lambda: None,
            typed=self._typed_elsewhere,
            follow=follow,
            words=self._words,
        )

    def _choose(self, name: str) -> None:
        """Open the private tab of `name`."""
        if name != self.talk.client.name:
            if (tab := self._tabs.open_private(name)) is not None:
                self._tabs.show(tab)
            else:
                self._show(self._words.no_tab)
        self.line.focus_set()

    def _turned(self, before: Tab) -> None:
        """Keep what is being typed with the tab it was meant for."""
        if self.finding.is_open:
            self.finding.close()
        before.draft = self.line.line
        self.line.line = self._tabs.current.draft
        self.line.focus_set()
        self._refresh()

    # The line.

    def _typed(self, text: str) -> bool:
        """Carry out a line. Returns whether it was accepted."""
        if self.client is None or self.talk.leaving:
            return False
        if self.line.is_secret and not self.talk.asks_password:
            self._refresh()  # the connection was lost meanwhile, and nobody may see it
            return False
        if self._asked_name and not self.talk.ready:
            self._show(ENGLISH.client.no_connection_yet)
            return False
        self._notices.sent()
        tab = self._tabs.current
        self.talk.typed(text, to=None if self.talk.asks_name else tab.name)
        tab.conversation.to_end()
        self._refresh()
        return True

    def _changed(self, text: str) -> None:
        self._choices = ""
        if self._tabs.current is self._tabs.everyone and not self.talk.asks_name:
            self._notices.changed(text)

    def _tell_typing(self, on: bool) -> None:
        if self.client is not None:
            self.client.set_typing(on, self.talk.rooms.current)

    def _typed_elsewhere(self, text: str) -> None:
        self.line.focus_set()
        self.line.icursor("end")
        self.line.put(text)

    def _completions(self, before: str) -> Iterable[Completion]:
        client = self.client
        if client is None:
            return ()
        others = client.users - {client.name or ""}
        return completions(before, others, self.talk.commands, client.rooms)

    def _tell_choices(self, choices: str) -> None:
        self._choices = choices
        self._refresh()

    # What is true just now.

    def _refresh(self) -> None:
        client = self.client
        if client is None:
            return
        self._tabs.refresh(looked_at=self._is_looked_at())
        self._show_title(client)
        is_in = client.state in (State.CATCHING_UP, State.LIVE)
        typing = client.typing_in(self.talk.rooms.current)
        self.people.show(client.users if is_in else (), typing, client.name)
        status = Status(
            self._wording.where,
            client.state,
            again=self._again - self._reactor.seconds(),
            asked=self.talk.asks_name,
            queued=client.outstanding,
            leaving=self.talk.leaving,
            name=None if self.talk.asks_name else client.name,
            unread=self.talk.rooms.unread,
            online=len(client.users),
            abort="Ctrl-Q",
        )
        kind = "Danger" if self._lost else "Good" if is_in else "Warning"
        self._dot.configure(style=f"{kind}.Status.TLabel")
        self._state.configure(text=shown(limit_marks(status.line)))
        self._hint.configure(text=self._hint_for(client))
        if self.line.is_secret is not self.talk.asks_password:
            self.line.is_secret = self.talk.asks_password
        self._label.configure(text=self._label_of_line())

    def _hint_for(self, client: ChatClient) -> str:
        """The text above the input line."""
        if self.line.pasted:
            return self._words.pasted(len(self.line.pasted))
        line = "" if self.line.holds_password else self.line.line
        turned = shown(line)  # Tk's entry cannot show it so
        typing = client.typing_in(self.talk.rooms.current)
        return self._choices or (
            turned if turned != line else shown(limit_marks(typing_in_words(typing)))
        )

    def _label_of_line(self) -> str:
        if self.talk.asks_password:
            return self._words.password
        if self.talk.asks_name:
            return ENGLISH.question
        name = self._tabs.current.name
        room = self.talk.rooms.current
        if name is None and room == LOBBY:
            return self._words.to_everyone
        if name is None:
            return self._words.to_room.format(room=shown(limit_marks(room)))
        return self._words.to_person.format(name=shown(limit_marks(name)))

    def _show_title(self, client: ChatClient) -> None:
        marks = self._tabs.marks
        title = self._words.title.format(
            marks=f"({marks}) " if marks else "", name=client.name or "", where=self._wording.where
        )
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
        ttk.Label(state, text=self._words.keys_hint, style="Status.TLabel").pack(side="right")
        ttk.Button(
            state,
            text=self._words.change_server,
            style="Status.TButton",
            command=self._change_server,
            takefocus=False,
        ).pack(side="right", padx=(0, gap))
        state.pack(side="bottom", fill="x")
        body = ttk.Frame(self, padding=(gap, px(8), gap, px(8)))
        body.pack(fill="both", expand=True)
        panes = ttk.PanedWindow(body, orient="horizontal")
        left = ttk.Frame(panes)
        self._tabs = Tabs(left, self._look, self._words, self._conversation_in, self._turned)
        below = ttk.Frame(body)
        self._hint = ttk.Label(below, style="Small.TLabel")
        self._hint.pack(side="top", fill="x", pady=(px(4), px(2)))
        self._label = ttk.Label(below, style="Dim.TLabel")
        self._label.pack(side="left", padx=(0, px(10)))
        self.line = InputLine(
            below,
            typed=self._typed,
            changed=self._changed,
            complete=self._completions,
            tell=self._tell_choices,
        )
        self.line.pack(side="left", fill="x", expand=True)
        self.finding = FindBar(
            left, self._look, self._conversation, self.line.focus_set, self._words
        )
        self._tabs.book.pack(side="top", fill="both", expand=True)
        self.people = People(panes, self._look, self._choose, self._words)
        panes.add(left, weight=4)
        panes.add(self.people, weight=1)
        below.pack(side="bottom", fill="x")
        panes.pack(side="top", fill="both", expand=True)

    def _conversation(self) -> Conversation:
        return self._tabs.current.conversation

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
        on("<Control-o>", do=self._change_server)
        on("<Control-f>", do=self.finding.open)
        on("<Escape>", do=self._escape)
        on("<Control-l>", do=lambda: self._conversation().choose_link())
        on("<Control-C>", do=lambda: self._conversation().copy(selected=False))
        on("<Control-Tab>", "<Control-Next>", do=partial(self._tabs.turn, 1))
        on("<Control-ISO_Left_Tab>", "<Control-Prior>", do=partial(self._tabs.turn, -1))
        on("<Control-w>", do=self._tabs.close_current)
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
        self.line.drop_pasted()
        self.line.focus_set()

    def _next_pane(self) -> None:
        panes = (self.line, self._conversation().text, self.people.list)
        here = self._top.focus_get()
        place = next((place for place, each in enumerate(panes) if each is here), -1)
        panes[(place + 1) % len(panes)].focus_set()

    def _help(self) -> None:
        self._conversation().add(
            Line([(lines.NOTICE, line)]) for line in self._words.keys.splitlines()
        )


def follow(link: str) -> None:
    """Open `link` in the browser, in a thread, since that may take long."""
    if link.lower().startswith(("http://", "https://")):
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()
