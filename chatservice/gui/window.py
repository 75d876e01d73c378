"""The chat's window: rooms and private conversations, who is there, a line to type in, a state."""

import threading
import tkinter as tk
import webbrowser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from tkinter import ttk
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Gone
from chatservice.client.events import Disconnected, Heard, Missed
from chatservice.client.faces.completion import Completion, completions
from chatservice.client.faces.looks import mentions
from chatservice.client.faces.status import Status, typing_in_words
from chatservice.client.faces.talk import Talk
from chatservice.client.faces.typing_notices import TypingNotices
from chatservice.client.faces.words import Shown, Wording
from chatservice.client.state import State
from chatservice.core.events import (
    LOBBY,
    Announced,
    AwayChanged,
    Deleted,
    Emoted,
    Error,
    Joined,
    LeaveReason,
    Left,
    NameAsked,
    Recalled,
    Removed,
    Renamed,
    Replayed,
    RoomEvent,
    RoomLeft,
    RoomList,
    RoomSwitched,
    Said,
    SanctionInfo,
    Sent,
    Told,
    Tombstone,
    Typing,
    Welcomed,
)
from chatservice.core.requests import Ban, History, Kick, Mute, Rooms, Who
from chatservice.core.sanitize import limit_marks, sanitize
from chatservice.dialects.wording import ENGLISH
from chatservice.gui import lines, menus
from chatservice.gui.conversation import Conversation
from chatservice.gui.finding import FindBar
from chatservice.gui.glyphs import shown
from chatservice.gui.input_line import InputLine
from chatservice.gui.lines import STALE, Line
from chatservice.gui.measure import MeasureCard
from chatservice.gui.menus import Item, Menu
from chatservice.gui.people import People
from chatservice.gui.tabs import Tab, Tabs
from chatservice.gui.theme import ChatLook
from chatservice.gui.wording import ENGLISH as WINDOW
from chatservice.gui.wording import WindowWords

log = Logger()

REFRESH_SECONDS = 0.1  # between two looks at who is here, at the title and at the state
ROOMS_TO_JOIN = 500  # that are asked for; the largest are offered
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
        self._where = ""
        # The connection.
        self._lost = False  # and that has been said
        self._again = 0.0  # when there will be another attempt
        self._asked_name = False
        self._hopeless: ChatError | None = None
        # What is there to be loaded.
        self._epoch = ""
        self._asked_who: set[str] = set()  # rooms, since the last welcome
        self._notices = TypingNotices(self._tell_typing, reactor.seconds)
        self._choices = ""  # that Tab has
        self._make()
        self._keys()
        self._menu = Menu(self, self._chosen)
        self._card = MeasureCard(
            self, look, words, take=self._take_measure, done=self.line.focus_set
        )
        self._menus()

    # Talking.

    async def talk_with(self, client: ChatClient, where: str) -> None:
        """Talk until the end. `where`: the server. Raises `ChatError`."""
        self.talk = Talk(self._show)
        self.client = self.talk.client = client
        self.changes_server = False
        self._where = where
        self._lost = self._asked_name = False
        self._hopeless = None
        self._epoch = ""
        self._tabs.reset()
        refreshing = LoopingCall(self._refresh)
        refreshing.clock = self._reactor
        refreshing.start(REFRESH_SECONDS).addErrback(self._broken)
        self.line.focus_set()
        try:
            async for event in client:
                self._heard(event)
                while self._tabs.is_full:  # Tk is slower than the network
                    await deferLater(self._reactor, REFRESH_SECONDS)
        finally:
            refreshing.stop()
            self._card.close()
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
        self._stay_in_rooms()
        if isinstance(event, RoomEvent | Said):
            self._show_in_rooms(event)
            return
        match event:
            case Typing() | AwayChanged() | NameAsked():
                return  # the list and the line say so
            case Told() | Sent():
                self._show_private(event)
                return
            case Announced(room=room) if room:
                self._add(self._tabs.rooms.get(room, self._tabs.home), event)
                return
            case RoomSwitched(room=room):
                self._go_to_room(room)
            case RoomLeft():
                self._tabs.show(self._tabs.home)
            case Removed():
                self._count(self._tabs.home, for_you=True)
            case Missed() if len(self._tabs.rooms) > 1:
                event = self._words.missed(ENGLISH.counted(event.count), event.gone)
            case Welcomed():
                self._welcomed(event)
                event = self._tabs.home.wording.lines(event)[0]  # the rest is in the list
            case Disconnected(again=again):
                self._again = self._reactor.seconds() + again
                if self._lost:  # the state says the rest
                    return
                self._lost = True
            case _:
                self._add(self._tabs.current, event)
                return
        self._add(self._tabs.home, event)

    def _show_in_rooms(self, event: RoomEvent | Said) -> None:
        """Show it in each of the rooms where it happened."""
        me = self.talk.client.name
        rooms = getattr(event, "rooms", ()) or (event.room,)
        tabs = [self._tabs.rooms[room] for room in rooms if room in self._tabs.rooms]
        match event:
            case Left(names=names, reason=reason) if reason is not LeaveReason.PARTED:
                private = map(self._tabs.private, names)
                tabs += [tab for tab in private if tab is not None]
            case Renamed(old=old, new=new):
                self._tabs.rename(old, new)
            case Said() | Emoted() if event.name != me:
                for tab in tabs:
                    self._count(tab, for_you=mentions(event, me))
            case Deleted():
                for tab in tabs:
                    self._erase(tab, event)
            case _:
                pass
        if isinstance(event, Joined | Left | Renamed):
            tabs = [tab for tab in tabs if not self.talk.rooms.is_quiet(tab.room)]
        for tab in tabs or [self._tabs.home]:
            self._add(tab, event)

    def _erase(self, tab: Tab, deleted: Deleted) -> None:
        left = Tombstone(0, deleted.at, deleted.room, deleted.name, deleted.by)
        line = next(lines.lines(left, tab.wording, self.talk.client.name))
        tab.conversation.erase({id_: replace(line, id=id_) for id_ in deleted.messages})

    def _show_private(self, event: Told | Sent) -> None:
        """Show it in the tab of that person; in that of the room if there are too many."""
        me = self.talk.client.name
        name = event.sender if isinstance(event, Told) else event.recipient
        tab = self._tabs.open_private(name)
        away = event.away if isinstance(event, Sent) else None
        if isinstance(event, Told):
            self._count(tab or self._tabs.home, for_you=True)
        if tab is not None:
            self._add(tab, lines.private(event, me))
            if away is not None:
                self._add(tab, f"*** {ENGLISH.is_away(name, away)}")
        else:
            self._add(self._tabs.home, event)

    def _add(self, tab: Tab, event: Shown) -> None:
        found = list(lines.lines(event, tab.wording, self.talk.client.name))
        for line in found:
            if line.id and tab.before is not None and line.id < tab.before:
                tab.before = line.id
        tab.conversation.add(found)

    def _stay_in_rooms(self) -> None:
        """Have a tab for each room that we are in."""
        client = self.client
        if client is not None and self._tabs.rooms.keys() != (client.rooms.keys() or {LOBBY}):
            self._tabs.stay_in(client.rooms)

    def _welcomed(self, event: Welcomed) -> None:
        self._again, self._lost, self._asked_name = 0.0, False, False
        self._asked_who.clear()
        if event.epoch == self._epoch:
            return
        self._tabs.begin_again()
        for tab in self._tabs.rooms.values():
            tab.before = (event.last_id if event.seen is None else event.seen) + 1
        is_first, self._epoch = not self._epoch, event.epoch
        if is_first:
            self._load_first()
        else:  # what is new there is told
            for tab in self._tabs.rooms.values():
                tab.loaded = True

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

    def _load_first(self) -> None:
        """Ask for what was said before the room was opened here, when it is first looked at."""
        tab = self._tabs.current
        if self._epoch and tab.room and not tab.loaded:
            tab.loaded = True
            self._load_older()

    def _load_older(self) -> None:
        """Ask for what was said before the first line."""
        tab = self._tabs.current
        first = tab.conversation.first_id or tab.before
        if tab.loading or self.client is None or not tab.room or first == STALE:
            return
        if first is not None and first <= tab.oldest:
            return
        tab.loading = True
        asked = self.client.request(History(first, limit=OLDER, room=tab.room))
        asked.addCallback(self._loaded, tab)
        asked.addErrback(lambda failure: failure.trap(ChatError))
        asked.addBoth(self._end_loading, tab)
        asked.addErrback(self._broken)

    def _loaded(self, page: Recalled, tab: Tab) -> None:
        if tab is not self._tabs.rooms.get(tab.room):
            return  # it has been closed meanwhile
        first = tab.conversation.first_id  # something may have been said since we asked
        events = [event for event in page.events if not first or event.id < first]
        older = lines.history(events, tab.wording, self.talk.client.name)
        if not page.events or page.events[0].id <= page.first_id:
            tab.oldest = page.events[0].id if page.events else first or tab.before or 0
            older.insert(0, Line([("day", self._words.nothing_older)], is_day=True))
        tab.conversation.put_before(older)

    def _end_loading(self, _: Any, tab: Tab) -> None:
        tab.loading = False

    # Tabs.

    def _conversation_in(self, parent: tk.Misc) -> Conversation:
        return Conversation(
            parent,
            self._look,
            more=self._load_older,
            typed=self._typed_elsewhere,
            follow=follow,
            words=self._words,
        )

    def _wording_of(self, room: str) -> Wording:
        """That of what is shown in `room`."""
        return Wording(self._where, ENGLISH, lambda: room)

    def _choose(self, name: str) -> None:
        """Open the private tab of `name`."""
        if name != self.talk.client.name:
            if (tab := self._tabs.open_private(name)) is not None:
                self._tabs.show(tab)
            else:
                self._show(self._words.no_tab)
        self.line.focus_set()

    def _go_to_room(self, room: str) -> None:
        """Show `room`, as was asked in words. What has been typed since was meant for it."""
        tab = self._tabs.rooms.get(room)
        if tab is not None and tab is not self._tabs.current:
            typed, self.line.line = self.line.line, ""
            self._tabs.show(tab)
            self.line.line += typed

    def _turned(self, before: Tab) -> None:
        """Keep what is being typed with the tab it was meant for."""
        tab = self._tabs.current
        if self.finding.is_open:
            self.finding.close()
        if not self._tabs.has(before):
            self.line.set_aside()  # others must not read it
        before.draft = self.line.line
        self._notices.changed("")
        if tab.room:
            self.talk.rooms.switch(tab.room)
        self.line.line = tab.draft
        if self._top.focus_get() is not self._tabs.list:  # where one may go on to the next
            self.line.focus_set()
        self._load_first()
        self._refresh()

    # The menus.

    def _menus(self) -> None:
        people, rooms = self.people.list, self._tabs.list
        people.bind("<Button-3>", self._menu_of_person)
        rooms.bind("<Button-3>", self._menu_of_room)
        for key in ("<Shift-F10>", "<Menu>"):
            people.bind(key, lambda _: self._menu_here(people, self._menu_of_person))
            rooms.bind(key, lambda _: self._menu_here(rooms, self._menu_of_room))
        self._tabs.join.configure(command=self._menu_to_join)

    def _menu_here(
        self, tree: ttk.Treeview, show: Callable[["tk.Event[ttk.Treeview]"], object]
    ) -> str:
        """Show the menu of the item that has the keyboard."""
        if box := tree.bbox(tree.focus()):
            event: tk.Event[ttk.Treeview] = tk.Event()
            event.y = box[1] + box[3] // 2
            event.x_root = tree.winfo_rootx() + box[0]
            event.y_root = tree.winfo_rooty() + box[1] + box[3]
            show(event)
        return "break"

    def _menu_of_person(self, event: "tk.Event[ttk.Treeview]") -> None:
        name = self.people.list.identify_row(event.y)
        if not name:
            return
        self.people.list.selection_set((name,))
        room = self._tabs.current.room
        x, y = event.x_root, event.y_root
        is_me = name == self.talk.client.name

        def show(sanctions: Sequence[SanctionInfo] | None) -> None:
            commands = () if is_me else self.talk.commands
            items = menus.of_person(
                name, commands, self._words, room=room, sanctions=None if is_me else sanctions
            )
            if not is_me:
                items.insert(0, Item(self._words.message, name))
            self._menu.show(items, x, y)

        self._with_sanctions(room, show)

    def _menu_of_room(self, event: "tk.Event[ttk.Treeview]") -> None:
        tab = self._tabs.tab_at(event.y)
        if tab is not None:
            self._tabs.show(tab)
            if tab.room:
                room, x, y = tab.room, event.x_root, event.y_root

                def show(sanctions: Sequence[SanctionInfo] | None) -> None:
                    in_charge = sanctions is not None
                    items = menus.of_room(room, self._words, in_charge=in_charge)
                    self._menu.show(items, x, y)

                self._with_sanctions(room, show)

    def _with_sanctions(
        self, room: str, show: Callable[[Sequence[SanctionInfo] | None], None]
    ) -> None:
        """Call `show` with the bans and mutes of `room`; with None if we are not in charge there,
        which only the server knows, or if it cannot be asked."""
        client = self.client
        if client is None or not client.connected or not room:
            show(None)
            return

        def unknown(failure: Failure) -> None:
            failure.trap(ChatError)
            show(None)

        asked = client.bans(room)
        asked.addCallbacks(lambda found: show(found.bans), unknown)
        asked.addErrback(self._broken)

    def _menu_to_join(self) -> None:
        """Show which rooms there are, once the server has said so."""
        if self.client is None or not self.client.connected:
            return
        client, button = self.client, self._tabs.join

        def listed(found: RoomList) -> None:
            items = menus.to_join(found.rooms, client.rooms, self._words)
            below = button.winfo_rooty() + button.winfo_height()
            self._menu.show(items, button.winfo_rootx(), below)

        asked = client.request(Rooms(limit=ROOMS_TO_JOIN))
        asked.addCallback(listed)
        asked.addErrback(lambda failure: failure.trap(ChatError))
        asked.addErrback(self._broken)

    def _chosen(self, item: Item) -> None:
        """An item of a menu."""
        if item.target is not None:
            self._card.open(item.target)
        elif not item.command.startswith("/"):
            self._choose(item.command)
        elif item.begins:
            self.line.line = item.command
            self.line.focus_set()
            self._tell_choices(ENGLISH.usage(item.command[1:].split(" ")[0]))
        elif not self.talk.asks_name:
            draft = self.line.line
            self._typed(item.command)
            self.line.line += draft

    def _take_measure(self, request: Kick | Mute | Ban) -> None:
        """What has been asked about on the card."""
        if self.client is not None and not self.talk.leaving:
            self.talk.request(request)

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
        self.line.line = ""
        self.talk.typed(text, to=None if self.talk.asks_name else tab.name or None)
        if tab.room:
            self._go_to_room(self.talk.rooms.current)
        self._tabs.current.conversation.to_end()
        self._refresh()
        return True

    def _changed(self, text: str) -> None:
        self._choices = ""
        if self._tabs.current.room and not self.talk.asks_name:
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
        self._stay_in_rooms()
        is_in = client.state in (State.CATCHING_UP, State.LIVE)
        self._show_people(client, is_in=is_in)
        self._show_topic(client)
        status = Status(
            self._where,
            client.state,
            again=self._again - self._reactor.seconds(),
            asked=self.talk.asks_name,
            queued=client.outstanding,
            leaving=self.talk.leaving,
            name=None if self.talk.asks_name else client.name,
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

    def _show_people(self, client: ChatClient, *, is_in: bool) -> None:
        """Those in the room that is shown; in a private conversation, everyone."""
        room = self._tabs.current.room
        title, people = self._words.online, client.users
        if room not in ("", LOBBY):
            title, people = self._words.in_room, client.people_in(room) or set()
            if client.people_in(room) is None and client.connected and room not in self._asked_who:
                self._asked_who.add(room)
                client.request(Who(room)).addErrback(lambda failure: failure.trap(ChatError))
        if not is_in:
            people = set()
        marks = {
            **dict.fromkeys(client.away, self._words.away),
            **dict.fromkeys(self._typing(client), self._words.typing),
        }
        self.people.show(people, marks, client.name, title)

    def _typing(self, client: ChatClient) -> set[str]:
        """Those who are typing in the room that is shown."""
        room = self._tabs.current.room
        return client.typing_in(room) if room else set()

    def _show_topic(self, client: ChatClient) -> None:
        tab = self._tabs.current
        topic = client.rooms.get(tab.room, "") if tab.room else self._words.private
        for label, text in ((self._title, tab.title), (self._topic, shown(limit_marks(topic)))):
            if label.cget("text") != text:
                label.configure(text=text)

    def _hint_for(self, client: ChatClient) -> str:
        """The text above the input line."""
        if self.line.pasted:
            return self._words.pasted(len(self.line.pasted))
        line = "" if self.line.holds_password else self.line.line
        turned = shown(line)  # Tk's entry cannot show it so
        typing = self._typing(client)
        return self._choices or (
            turned if turned != line else shown(limit_marks(typing_in_words(typing)))
        )

    def _label_of_line(self) -> str:
        if self.talk.asks_password:
            return self._words.password
        if self.talk.asks_name:
            return ENGLISH.question
        tab = self._tabs.current
        template = self._words.to_room if tab.room else self._words.to_person
        return template.format(title=tab.title)

    def _show_title(self, client: ChatClient) -> None:
        marks = self._tabs.marks
        title = self._words.title.format(
            marks=f"({marks}) " if marks else "", name=client.name or "", where=self._where
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
        middle = ttk.Frame(panes)
        head = ttk.Frame(middle)
        self._title = ttk.Label(head, style="Head.TLabel", padding=(px(4), 0, px(10), 0))
        self._title.pack(side="left")
        self._topic = ttk.Label(head, style="Dim.TLabel")
        self._topic.pack(side="left", fill="x", expand=True)
        head.pack(side="top", fill="x", pady=(px(7), px(4)))
        self._tabs = Tabs(
            panes,
            middle,
            self._look,
            self._words,
            make=self._conversation_in,
            word=self._wording_of,
            turned=self._turned,
        )
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
        self._tabs.list.bind("<ButtonRelease-1>", lambda _: self.line.focus_set())
        self._tabs.list.bind("<Return>", lambda _: self.line.focus_set())
        self.finding = FindBar(
            middle, self._look, self._conversation, self.line.focus_set, self._words
        )
        self._tabs.stage.pack(side="top", fill="both", expand=True)
        self.people = People(panes, self._look, self._choose)
        panes.add(self._tabs.frame, weight=0)
        panes.add(middle, weight=1)
        panes.add(self.people, weight=0)
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
        on("<Control-j>", do=self._menu_to_join)
        on("<Control-w>", do=lambda: self._tabs.close(self._tabs.current))
        for number in range(9):
            on(f"<Alt-Key-{number + 1}>", do=partial(self._tabs.choose, number))
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
        panes = (self.line, self._conversation().text, self.people.list, self._tabs.list)
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
