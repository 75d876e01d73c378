"""A user of a chat, for programs: what happens, as an asynchronous iterator, and requests.

It comes back when the connection is lost, catches up from the log, and tells of each event once and
in order. What was said and not acknowledged is looked for there before it is said again.

`ChatClient` puts the parts together: `state` has the rules, `link` makes one connection after
another, `greeting` logs in, `exchange` hears and asks, `catch_up` fills gaps, and `feed` tells.
"""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from chatservice.client.events import Heard
from chatservice.client.exchange import Exchange
from chatservice.client.feed import Feed
from chatservice.client.greeting import Ask, AskFor, Greeting, PasswordGuard
from chatservice.client.link import Link
from chatservice.client.login import Login
from chatservice.client.outstanding import Outstanding
from chatservice.client.state import Departure, Lifecycle, State
from chatservice.core.events import (
    LOBBY,
    Acked,
    IgnoredList,
    Online,
    Recalled,
    RoomInfo,
    SanctionList,
)
from chatservice.core.requests import (
    Away,
    Ban,
    Bans,
    Delete,
    Emote,
    History,
    Ignore,
    Ignores,
    Join,
    Kick,
    Mute,
    Nick,
    Op,
    Part,
    Question,
    Reply,
    Report,
    Say,
    Search,
    SetTyping,
    Tell,
    Who,
)
from chatservice.dialects.wording import ENGLISH, Catalogue

# Seconds between attempts to connect; up to one more, at random, keeps a thousand clients apart.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0


class ChatClient:
    """A user called `name` of the chat at `host` and `port`, or at `endpoint`.

    `retry`: a connection that is lost, or cannot be had, is followed by another, after as many
    seconds as `pause` says of the number of failures before (by default, more and more). `echo`:
    what you say yourself is among the events, in its place. `past`: whoever comes in is shown the
    newest messages, and what was said while they were away, as people at nc are. `rooms`: you hear
    all rooms that you are in; otherwise the lobby only, until you name another one. `ask`, if there
    is one, is called for a name when there is none or it is refused (with the error), and gives a
    Deferred, which may fail with a `ChatError`; without it a refused name ends the iteration with
    `Declined`. `password`: that of the name, if it is registered; or `ask_password`, in the same
    way, is called with the name for it (and the error, if it was not the last one; an empty answer:
    that name is not theirs). A password is only sent over TLS, or to this machine, unless
    `allow_plaintext_password` says otherwise; `pinned`: the server is known to offer TLS, so that
    not even this machine is believed without. Otherwise the iteration ends with `PasswordInClear`.

    To iterate is to connect. The iteration ends after `leave`; with `Gone` if there is no
    connection to be had any more. `users` (who is online), `rooms` (those that you are in, with
    their topics) and `typing` (who is typing just now) are kept up to date.
    """

    def __init__(
        self,
        name: str | None,
        host: str = "localhost",
        port: int = 12345,
        *,
        endpoint: IStreamClientEndpoint | None = None,
        retry: bool = True,
        pause: Callable[[int], float] | None = None,
        echo: bool = False,
        past: bool = False,
        rooms: bool = False,
        password: str = "",
        allow_plaintext_password: bool = False,
        pinned: bool = False,
        ask: Ask | None = None,
        ask_password: AskFor | None = None,
        reactor: Any = None,
        words: Catalogue = ENGLISH,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 (it is installed by importing it)
        self._retry = retry
        self._lifecycle = Lifecycle()
        self._login = Login(
            name,
            password,
            asks_name=ask is not None,
            asks_password=ask_password is not None,
            retry=retry,
            words=words,
            rooms=rooms,
        )
        self._link = Link(
            reactor,
            endpoint or HostnameEndpoint(reactor, host, port),
            self._lifecycle,
            words.client,
            retry=retry,
            pause=pause or backoffPolicy(FIRST_PAUSE, LONGEST_PAUSE),
        )
        self._guard = PasswordGuard(
            self._link, words.client, anywhere=allow_plaintext_password, pinned=pinned
        )
        self._greeting = Greeting(
            self._login,
            self._link,
            self._guard,
            words.client,
            ask=ask,
            ask_password=ask_password,
        )
        self._requests = Outstanding(self._dropped, words.client)
        self._feed = Feed(self._link, self._login, self._requests, words.client)
        self._exchange = Exchange(
            self._link,
            self._greeting,
            self._requests,
            self._feed,
            words,
            echo=echo,
            past=past,
            now=reactor.seconds,
        )

    # What a program does with it.

    @property
    def state(self) -> State:
        return self._lifecycle.state

    @property
    def name(self) -> str | None:
        """Ours, or the one that we ask for."""
        return self._login.name

    @property
    def users(self) -> set[str]:
        return self._feed.user_map.users

    @property
    def away(self) -> set[str]:
        """Who of the users does not answer for now, as far as we have been told."""
        return self._feed.user_map.away

    @property
    def rooms(self) -> Mapping[str, str]:
        return self._feed.room_map.topics

    @property
    def typing(self) -> set[str]:
        return self._feed.user_map.typing

    def people_in(self, room: str) -> set[str] | None:
        """Who is in `room`; None: that has not been told since the last welcome. The answers to
        `Join` and `Who` tell; of the lobby, take `users`."""
        return self._feed.user_map.people_in(room)

    def typing_in(self, room: str) -> set[str]:
        """Who is typing in `room`."""
        return self._feed.user_map.typing_in(room)

    @property
    def connected(self) -> bool:
        """Whether what is asked now goes out now."""
        return self.state is State.LIVE

    @property
    def outstanding(self) -> int:
        """How many requests have not been answered."""
        return len(self._requests)

    @property
    def has_accounts(self) -> bool:
        """Whether names can be registered there, as far as we know."""
        return self._login.accounts

    @property
    def may_send_password(self) -> bool:
        """Whether a password can be sent: nobody on the way can read it, or that was allowed."""
        return self._guard.allows

    def __aiter__(self) -> "ChatClient":
        self.start()
        return self

    async def __anext__(self) -> Heard:
        return await self._feed.inbox.take()

    def start(self) -> None:
        """Connect. (To iterate does this by itself.)"""
        self._link.start(self._exchange)

    def say(self, text: str, room: str = LOBBY) -> "Deferred[Acked]":
        """Say `text` to everyone in `room`."""
        return self.request(Say(text, room))

    def emote(self, text: str, room: str = LOBBY) -> "Deferred[Acked]":
        """Do `text` in `room`."""
        return self.request(Emote(text, room))

    def join(self, room: str) -> "Deferred[RoomInfo]":
        """Come into `room`, which is made if there is none."""
        return self.request(Join(room))

    def part(self, room: str) -> "Deferred[Acked]":
        """Leave `room`."""
        return self.request(Part(room))

    def tell(self, to: str, text: str) -> "Deferred[Acked]":
        """Say `text` to one person only."""
        return self.request(Tell(to, text))

    def reply(self, text: str) -> "Deferred[Acked]":
        """Say `text` to whoever last wrote to you, or you last wrote to."""
        return self.request(Reply(text))

    def nick(self, name: str) -> "Deferred[Acked]":
        """Be called `name` from now on."""
        return self.request(Nick(name))

    def go_away(self, text: str = "") -> "Deferred[Acked]":
        """Say that you do not answer for now, and perhaps why."""
        return self.request(Away(text))

    def come_back(self) -> "Deferred[Acked]":
        """You answer again."""
        return self.request(Away(on=False))

    def who(self) -> "Deferred[Online]":
        """Ask who is online."""
        return self.request(Who())

    def history(
        self, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> "Deferred[Recalled]":
        """Ask for what has happened: see `requests.History`."""
        return self.request(History(before, after, limit))

    def search(
        self, words: str, before: int | None = None, limit: int = 50
    ) -> "Deferred[Recalled]":
        """Ask for messages: see `requests.Search`."""
        return self.request(Search(words, before, limit))

    def report(self, name: str, reason: str, room: str = LOBBY) -> "Deferred[Acked]":
        """Tell those in charge of `room`, and nobody else, that `name` misbehaves. The answer is
        `waiting` if none of them is here."""
        return self.request(Report(name, reason, room))

    def delete(self, id_: int, room: str = LOBBY) -> "Deferred[Acked]":
        """Delete the message with that id in `room`: one of yours, for 15 minutes; or, if you are
        in charge there, anybody's."""
        return self.request(Delete(id_, room))

    def delete_last(self, count: int = 1, room: str = LOBBY, name: str = "") -> "Deferred[Acked]":
        """Delete the last `count` messages in `room` that you have said; or, if you are in charge
        there, that `name` has."""
        return self.request(Delete(None, room, name, count))

    def ignore(self, name: str) -> "Deferred[Acked]":
        """Hear nothing of what `name` says, who need not be here."""
        return self.request(Ignore(name))

    def unignore(self, name: str) -> "Deferred[Acked]":
        """Hear them again."""
        return self.request(Ignore(name, on=False))

    def ignores(self) -> "Deferred[IgnoredList]":
        """Ask whom you ignore."""
        return self.request(Ignores())

    # For those in charge. In the room ALL_ROOMS: in the whole chat.

    def kick(self, name: str, room: str = LOBBY, reason: str = "") -> "Deferred[Acked]":
        """Remove `name` from `room`. From the lobby, or everywhere, it ends their connections."""
        return self.request(Kick(name, room, reason))

    def ban(
        self, name: str, room: str = LOBBY, *, seconds: int | None = None, reason: str = ""
    ) -> "Deferred[Acked]":
        """Keep `name`, who need not be here, out of `room`: for so many `seconds`, or for good."""
        return self.request(Ban(name, room, seconds, reason))

    def unban(self, name: str, room: str = LOBBY) -> "Deferred[Acked]":
        """End a ban."""
        return self.request(Ban(name, room, on=False))

    def mute(
        self, name: str, room: str = LOBBY, *, seconds: int | None = None, reason: str = ""
    ) -> "Deferred[Acked]":
        """Let `name` hear and not be heard in `room`: for so many `seconds`, or for good."""
        return self.request(Mute(name, room, seconds, reason))

    def unmute(self, name: str, room: str = LOBBY) -> "Deferred[Acked]":
        """End a mute."""
        return self.request(Mute(name, room, on=False))

    def bans(self, room: str = LOBBY) -> "Deferred[SanctionList]":
        """Ask who is banned or muted in `room`."""
        return self.request(Bans(room))

    def op(self, name: str, room: str = LOBBY) -> "Deferred[Acked]":
        """Put the owner of the registered `name` in charge of `room`, too."""
        return self.request(Op(name, room))

    def deop(self, name: str, room: str = LOBBY) -> "Deferred[Acked]":
        """End that somebody is in charge of `room`."""
        return self.request(Op(name, room, on=False))

    def set_typing(self, on: bool, room: str = LOBBY) -> None:
        """Tell the others in `room` that you are typing, or no longer. At most once in three
        seconds."""
        if self.connected:
            self._link.send(SetTyping(on, room))

    def request(self, request: Question) -> "Deferred[Any]":
        """Ask for something. Fires with the answer, be it after the connection was lost.

        What is asked without a connection waits for one. Fails with `Declined`; with `Unsure` when
        the connection broke before a private message was acknowledged, or when too much has been
        said since to tell, or the log is another one; with `Gone` at the end.
        """
        return self._exchange.ask(request).answer

    def leave(self) -> None:
        """Say goodbye after what has been asked for; at once, if we are not in, or if there is no
        connection. The iteration ends then."""
        self._lifecycle.depart(Departure.WANTED)
        if self._greeting.cancel():
            self._link.say_goodbye()
        elif self._link.is_waiting and self._retry:
            self._link.stop_waiting()
        else:
            self._exchange.leave_if_done()
        self._feed.regulate()

    def abort(self) -> None:
        """Leave without a word, and without waiting for anything."""
        self._lifecycle.depart(Departure.DONE)
        self._link.stop_waiting()
        self._link.hang_up()

    def _dropped(self) -> None:
        """Somebody does not want an answer any more."""
        self._exchange.leave_if_done()
