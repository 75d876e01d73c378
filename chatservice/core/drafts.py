"""What can be submitted to the log, and the rules by which a commit decides it.

A draft names persons, not their names: what they are called, and where they are, is looked up in
the registry when the draft's turn to be committed comes. There it becomes an `Entry`, or is turned
back with a `Refusal`; nothing before that can be relied on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from chatservice.core.events import (
    Banned,
    Burst,
    Deleted,
    Emoted,
    ErrorCode,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    Refusal,
    Renamed,
    RoleChanged,
    RoomEvent,
    Style,
    TopicChanged,
)
from chatservice.core.registry import Registry, room_order

if TYPE_CHECKING:
    from chatservice.core.cursor import Cursor
    from chatservice.core.users import User

# What a name before each message adds: ": " and CRLF.
_AROUND = 4


class Entry(NamedTuple):
    """What was committed: an event; the rooms where it is heard; who made it, and from which
    connections (their numbers); and how many messages and, roughly, characters it has.

    `ref` marks the author's request. `echo`: the connection that made it hears it, too.
    `acknowledged`: of how many messages, all those of the request, its author is told that they
    are in the log; 0: of none, since the request has another answer, or is not over. `founded`: it
    made its room. `ended`: rooms that there are no longer. `effect`: what else it changes (see
    `measures`).
    """

    event: RoomEvent
    rooms: tuple[str, ...]
    people: tuple[Any, ...] = ()
    connections: tuple[int, ...] = ()
    messages: int = 0
    size: int = 0
    ref: str | None = None
    echo: bool = True
    acknowledged: int = 1
    founded: bool = False
    ended: tuple[str, ...] = ()
    effect: Any = None

    @property
    def end(self) -> int:
        """The id after those of this entry."""
        return self.event.id + (self.messages or 1)

    @property
    def is_move(self) -> bool:
        """Whether it tells of people who come, go or have another name, and of what somebody in
        charge does to them."""
        return isinstance(
            self.event, Joined | Left | Renamed | Banned | Muted | RoleChanged | Deleted
        )

    def heard_in(self, rooms: tuple[str, ...]) -> RoomEvent:
        """The event for a reader who is in `rooms` of those where it is heard, and in no others:
        of others it says nothing."""
        if len(self.rooms) > 1 and isinstance(self.event, Joined | Left | Renamed):
            return replace(self.event, room=rooms[0], rooms=_several(rooms))
        return self.event

    def heard_by_author(self, connection: int, rooms: tuple[str, ...]) -> RoomEvent | None:
        """People do not hear what they said, nor of arrivals before their own."""
        if not self.echo:
            return None
        event = self.heard_in(rooms)
        if isinstance(event, Joined):
            later = event.names[self.connections.index(connection) + 1 :]
            return replace(event, names=later) if later else None
        return event


Outcome = Entry | Refusal | None  # None: it turned out that nothing happens
Then = Callable[[Outcome], None]


class Draft:
    """Something that is submitted at the time `at`, in seconds since 1970, from `connection`.

    `then` is called once with what became of it, before anybody hears of it. `position`: once it is
    `settled`, everything that was committed before it, and it, has a smaller id.
    """

    __slots__ = (
        "_waiting",
        "at",
        "connection",
        "heard",
        "messages",
        "number",
        "position",
        "ref",
        "settled",
        "then",
    )
    is_move = False  # whether somebody comes into the chat, or leaves it

    def __init__(
        self,
        at: float,
        connection: "Cursor | None" = None,
        *,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        self.at = at
        self.connection = connection
        self.ref = ref
        self.then = then
        self.messages = 0
        self.number = 0  # in the order in which this process submitted
        self.settled = False
        self.heard = False
        self.position = 0
        self._waiting: list[Callable[[], None]] = []

    def when_heard(self, call: Callable[[], None]) -> None:
        """Call that once everyone has been told of it: at once, if they have been."""
        if self.heard:
            call()
        else:
            self._waiting.append(call)

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        """What becomes of it, with the id `id_`. Raises `Refusal`."""
        raise NotImplementedError

    def settle(self, outcome: Outcome, position: int) -> None:
        """It is committed, or turned back."""
        self.settled = True
        self.position = position
        then, self.then = self.then, None
        if then is not None:
            then(outcome)

    def position_for(self, connection: "Cursor") -> int:
        """Once it is settled: before which id the log stands where `connection` is told what comes
        after it."""
        return self.position

    def tell_heard(self) -> None:
        """Everyone has been told of it."""
        self.heard = True
        self._let_go(self.connection)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    def _let_go(self, connection: "Cursor | None") -> None:
        """It is nothing that `connection` could wait for any longer."""
        if connection is not None and connection.submitted is self:
            connection.submitted = None

    def _connections(self) -> tuple[int, ...]:
        return () if self.connection is None else (self.connection.number,)


class Speak(Draft):
    """`user` says `texts` in `room`; with `emote`, does what the one text says. `acknowledged`: see
    `Entry`."""

    __slots__ = ("acknowledged", "echo", "emote", "room", "style", "texts", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor | None",
        user: "User",
        room: str,
        texts: tuple[str, ...],
        *,
        emote: bool = False,
        echo: bool = False,
        acknowledged: int = 1,
        style: Style | None = None,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, ref=ref, then=then)
        self.user = user
        self.room = room
        self.texts = texts
        self.style = style
        self.emote = emote
        self.echo = echo or emote
        self.acknowledged = acknowledged
        self.messages = len(texts)

    def decide(self, registry: Registry, id_: int) -> Entry:
        name = registry.expect_voice(self.user, self.room, self.at)
        registry.expect_pace(self.user, self.room, self.at)
        event: RoomEvent
        if self.emote:
            event = Emoted(id_, self.at, self.room, name, self.texts[0])
        else:
            event = Burst(id_, self.at, self.room, name, self.texts, self.style)
        return Entry(
            event,
            (self.room,),
            (self.user,),
            self._connections(),
            self.messages,
            size_of(self.texts, name),
            self.ref,
            self.echo,
            self.acknowledged,
        )


def size_of(texts: Sequence[str], name: str) -> int:
    """Roughly how many characters these messages of `name` take."""
    return sum(map(len, texts)) + len(texts) * (len(name) + _AROUND)


class Post(Draft):
    """A hook, which is nobody's connection, says `texts` in `room` as `name`."""

    __slots__ = ("name", "room", "texts")

    def __init__(
        self, at: float, room: str, name: str, texts: tuple[str, ...], *, then: Then
    ) -> None:
        super().__init__(at, then=then)
        self.room = room
        self.name = name
        self.texts = texts
        self.messages = len(texts)

    def decide(self, registry: Registry, id_: int) -> Entry:
        if self.room not in registry.rooms:
            raise Refusal(ErrorCode.UNKNOWN_ROOM, room=self.room)
        event = Burst(id_, self.at, self.room, self.name, self.texts)
        size = size_of(self.texts, self.name)
        return Entry(event, (self.room,), messages=self.messages, size=size, acknowledged=0)


class Arrival(NamedTuple):
    """`user` comes in at `connection`, from `network`, as `name`, into these rooms as far as they
    still exist. `since`: the ids since which they have been in rooms before. `then`: as that of a
    draft; with `Barred`, they may come into fewer rooms."""

    user: "User"
    connection: "Cursor"
    name: str
    rooms: tuple[str, ...]
    since: Mapping[str, int]
    then: Then
    network: str = ""


class Barred(Refusal):
    """Somebody may come in, but not into these `rooms`."""

    def __init__(self, rooms: tuple[str, ...]) -> None:
        super().__init__(ErrorCode.BANNED, room=rooms[0], until=0)
        self.rooms = rooms


class Arrive(Draft):
    """People come into the chat, into the same rooms."""

    __slots__ = ("_came", "_refused", "arrivals")
    is_move = True

    def __init__(self, at: float, arrivals: Sequence[Arrival]) -> None:
        super().__init__(at)
        self.arrivals = arrivals
        self._came: tuple[int, frozenset[int]] = 0, frozenset()  # with which id, and who
        self._refused: list[tuple[Arrival, Refusal]] = []

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        here: list[Arrival] = []
        self._refused = []
        for arrival in self.arrivals:
            networks = (arrival.network,) if arrival.network else ()
            try:
                registry.claim(arrival.user, arrival.name, networks, self.at)
                if barred := registry.barred(arrival.user, arrival.rooms, self.at):
                    registry.release(arrival.user)
                    raise Barred(barred)
            except Refusal as refusal:
                self._refused.append((arrival, refusal))
                continue
            here.append(arrival)
        if not here:
            return None
        rooms = tuple(room for room in here[0].rooms if room in registry.rooms)
        for arrival in here:
            for room in rooms:
                registry.join(arrival.user, room, self.at)
        for arrival in here:
            arrival.user.rooms.update(arrival.since)
        names = tuple(arrival.name for arrival in here)
        event = Joined(id_, self.at, rooms[0] if rooms else "", names, True, _several(rooms))
        return Entry(
            event,
            rooms,
            tuple(arrival.user for arrival in here),
            tuple(arrival.connection.number for arrival in here),
            size=sum(map(len, names)),
            acknowledged=0,
        )

    def settle(self, outcome: Outcome, position: int) -> None:
        super().settle(outcome, position)
        if isinstance(outcome, Refusal):  # of all of them, undecided
            self._refused = [(arrival, outcome) for arrival in self.arrivals]
        for arrival, refusal in self._refused:
            arrival.then(refusal)
        if isinstance(outcome, Entry):
            self._came = outcome.event.id, frozenset(outcome.connections)
            for arrival in self.arrivals:
                if arrival.user in outcome.people:
                    arrival.then(outcome)

    def position_for(self, connection: "Cursor") -> int:
        """What newcomers are told first comes before those who arrive with them."""
        id_, newcomers = self._came
        return id_ if connection.number in newcomers else self.position

    def tell_heard(self) -> None:
        super().tell_heard()
        for arrival in self.arrivals:
            self._let_go(arrival.connection)


class Depart(Draft):
    """People who are in the same rooms have no connection any longer on this server, or on that
    other `node`, and leave the chat; `lost`: without a goodbye. Those who have connections on other
    servers, `staying`, stay, and nobody hears of it."""

    __slots__ = ("lost", "node", "people", "staying")
    is_move = True

    def __init__(
        self, at: float, people: Sequence["User"], *, lost: bool, node: int | None = None
    ) -> None:
        super().__init__(at)
        self.people = people
        self.lost = lost
        self.node = node
        self.staying: dict[User, frozenset[int]] = {}  # and where, but for this server

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        node = registry.node if self.node is None else self.node
        here = [user for user in self.people if registry.is_here(user)]
        staying = [user for user in here if registry.withdraw(user, node)]
        self.staying = {user: registry.elsewhere(user) for user in staying}
        here = [user for user in here if user not in self.staying]
        if not here:
            return None
        names = tuple(registry.name_of(user) for user in here)
        farewells = tuple(
            (name, user.farewell)
            for name, user in zip(names, here, strict=True)
            if user.farewell and registry.has_voice(user, self.at, *registry.rooms_of(user))
        )
        rooms = {room for user in here for room in registry.release(user)}
        sorted_rooms = tuple(sorted(rooms, key=room_order))
        reason = LeaveReason.LOST if self.lost else LeaveReason.LEFT
        first = sorted_rooms[0] if sorted_rooms else ""
        event = Left(
            id_, self.at, first, names, reason, _several(sorted_rooms), farewells=farewells
        )
        return Entry(
            event,
            sorted_rooms,
            tuple(here),
            size=sum(map(len, names)),
            ended=registry.ended(sorted_rooms),
        )


class EnterBeside(Draft):
    """`user`, who is here on other servers, has a connection on this one, too. Nobody hears of it.
    Raises GONE if they are here no longer."""

    __slots__ = ("_elsewhere", "user")

    def __init__(self, at: float, connection: "Cursor", user: "User", then: Then) -> None:
        super().__init__(at, connection, then=then)
        self.user = user
        self._elsewhere = frozenset[int]()

    def decide(self, registry: Registry, id_: int) -> None:
        registry.enter_beside(self.user)
        self._elsewhere = registry.elsewhere(self.user)

    def settle(self, outcome: Outcome, position: int) -> None:
        if outcome is None:
            self.user.elsewhere = self._elsewhere
        super().settle(outcome, position)


class Rename(Draft):
    """`user` is called `name` from now on."""

    __slots__ = ("name", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor",
        user: "User",
        name: str,
        *,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, ref=ref, then=then)
        self.user = user
        self.name = name

    def decide(self, registry: Registry, id_: int) -> Entry:
        old = registry.rename(self.user, self.name, self.at)
        rooms = registry.rooms_of(self.user)
        room = rooms[0] if rooms else ""
        event = Renamed(id_, self.at, room, old, self.name, _several(rooms))
        size = len(old) + len(self.name)
        return Entry(event, rooms, (self.user,), self._connections(), 0, size, self.ref)


class Tell(Draft):
    """Other servers are told something, of `user` if it is about somebody. Nobody else hears of it.
    Raises GONE if that is somebody who is here no longer."""

    __slots__ = ("data", "kind", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor | None",
        kind: str,
        data: Mapping[str, Any],
        user: "User | None" = None,
        *,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, then=then)
        self.kind = kind
        self.data = data
        self.user = user

    def decide(self, registry: Registry, id_: int) -> None:
        if self.user is not None:
            registry.expect_here(self.user)


class Enroll(Draft):
    """`user` owns an account now, or none any longer. Nobody hears of it."""

    __slots__ = ("user",)

    def __init__(self, at: float, user: "User", then: Then | None = None) -> None:
        super().__init__(at, then=then)
        self.user = user

    def decide(self, registry: Registry, id_: int) -> None:
        registry.enroll(self.user, self.at)


class SetAway(Draft):
    """`user` does not answer for now, and says this `text` of it, if any; None: they are back. It
    stands in no log."""

    __slots__ = ("text", "user")

    def __init__(
        self, at: float, connection: "Cursor", user: "User", text: str | None, then: Then
    ) -> None:
        super().__init__(at, connection, then=then)
        self.user = user
        self.text = text

    def decide(self, registry: Registry, id_: int) -> None:
        registry.set_away(self.user, self.text, self.at)


class Join(Draft):
    """`user` comes into `room`, and makes it if there is none. `invited`: they may, though it is
    private."""

    __slots__ = ("invited", "room", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor",
        user: "User",
        room: str,
        *,
        invited: bool = False,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, then=then)
        self.user = user
        self.room = room
        self.invited = invited

    def decide(self, registry: Registry, id_: int) -> Entry | None:
        registry.expect_here(self.user)
        room = self.room
        if room not in registry.rooms:
            room = registry.like(room) or room  # somebody else may just have made one like it
        record = registry.rooms.get(room)
        founded = record is None
        if record is None:
            record = registry.found(self.user, room, id_)
        elif record.private and not (self.invited or registry.is_trusted(self.user, room)):
            raise Refusal(ErrorCode.CANNOT_JOIN)
        if not registry.join(self.user, room, self.at):
            return None
        name = registry.name_of(self.user)
        event = Joined(id_, self.at, room, (name,), False)
        people, connections = (self.user,), self._connections()
        return Entry(
            event,
            (room,),
            people,
            connections,
            size=len(name),
            acknowledged=0,
            founded=founded,
        )


class Part(Draft):
    """`user` leaves `room`, and stays in the chat. `farewell`: what they say in leaving."""

    __slots__ = ("farewell", "room", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor | None",
        user: "User",
        room: str,
        *,
        farewell: str = "",
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, ref=ref, then=then)
        self.user = user
        self.room = room
        self.farewell = farewell

    def decide(self, registry: Registry, id_: int) -> Entry:
        registry.part(self.user, self.room)
        name = registry.name_of(self.user)
        is_heard = self.farewell and registry.has_voice(self.user, self.at, self.room)
        farewells = ((name, self.farewell),) if is_heard else ()
        event = Left(id_, self.at, self.room, (name,), LeaveReason.PARTED, farewells=farewells)
        return Entry(
            event,
            (self.room,),
            (self.user,),
            self._connections(),
            size=len(name),
            ref=self.ref,
            ended=registry.ended((self.room,)),
        )


class Control(Draft):
    """`user`, who was in charge of `room` when the entry `control` was its last that changed
    anybody's rights, sets its topic, makes it `private` or public, or `slow` (seconds).

    Raises `Stale` if there is a newer one by the time it is committed.
    """

    __slots__ = ("control", "private", "room", "slow", "topic", "user")

    def __init__(
        self,
        at: float,
        connection: "Cursor",
        user: "User",
        room: str,
        control: int,
        *,
        topic: str | None = None,
        private: bool | None = None,
        slow: int | None = None,
        ref: str | None = None,
        then: Then | None = None,
    ) -> None:
        super().__init__(at, connection, ref=ref, then=then)
        self.user = user
        self.room = room
        self.control = control
        self.topic = topic
        self.private = private
        self.slow = slow

    def decide(self, registry: Registry, id_: int) -> Entry:
        name = registry.expect_member(self.user, self.room)
        if registry.rooms[self.room].control != self.control:
            raise Stale
        registry.expect_in_charge(self.user, self.room)
        record = registry.room_to_change(self.room)
        event: RoomEvent
        if self.topic is not None:
            record.topic = self.topic
            event = TopicChanged(id_, self.at, self.room, name, self.topic)
        elif self.slow is not None:
            record.slow = self.slow
            event = PaceChanged(id_, self.at, self.room, name, self.slow)
        else:
            private = bool(self.private)
            if record.private and not private:
                record.open_from = id_  # the private past stays private
            record.private = private
            record.control = id_
            event = ModeChanged(id_, self.at, self.room, name, private)
        return Entry(
            event,
            (self.room,),
            (self.user,),
            self._connections(),
            size=len(name) + len(self.topic or ""),
            ref=self.ref,
        )


class Stale(Refusal):
    """The rights that a draft was submitted with have changed meanwhile: decide again."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.BUSY)


class Committed(NamedTuple):
    """A draft, and what became of it. `draft`: None if another process submitted it."""

    draft: Draft | None
    outcome: Outcome
    next_id: int


def decide(drafts: Sequence[Draft], registry: Registry, next_id: int) -> list[Committed]:
    """What becomes of drafts that are committed together, from the id `next_id` on."""
    decided: list[Committed] = []
    for draft in drafts:
        outcome: Outcome
        try:
            outcome = draft.decide(registry, next_id)
        except Refusal as refusal:
            outcome = refusal
        if isinstance(outcome, Entry):
            next_id = outcome.end
        decided.append(Committed(draft, outcome, next_id))
    return decided


def later(one: Draft | None, other: Draft | None) -> Draft | None:
    """Of two drafts the one that was submitted later."""
    if one is None or other is None:
        return one or other
    return one if one.number >= other.number else other


def _several(rooms: tuple[str, ...]) -> tuple[str, ...]:
    return rooms if len(rooms) > 1 else ()
