"""Entries of the log as rows of a table, whichever database that is in.

A row belongs to its `room`; one of several rooms (a departure, a rename) has all of them in
`rooms`.
"""

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from chatservice.core.drafts import Entry
from chatservice.core.events import (
    Banned,
    Burst,
    Deleted,
    Emoted,
    Happening,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    Renamed,
    Role,
    RoleChanged,
    RoomEvent,
    Said,
    Tombstone,
    TopicChanged,
)
from chatservice.core.log import Reach, one_by_one

MAX_ID = 2**63 - 1  # a database's largest
_DEPARTURES = {
    "left": LeaveReason.LEFT,
    "lost": LeaveReason.LOST,
    "parted": LeaveReason.PARTED,
}
_KINDS = {departure: kind for kind, departure in _DEPARTURES.items()}


class Row(NamedTuple):
    """A row of the table `events`. `earlier`: how many messages there had ever been in its room
    before it. `author`: the number of the connection that made it (see `cursor.Cursor`);
    `acknowledged`: see `drafts.Entry`."""

    id: int
    at: float
    room: str
    kind: str
    name: str
    text: str
    messages: int
    earlier: int
    rooms: str
    author: int | None
    acknowledged: int
    ref: str | None

    @property
    def end(self) -> int:
        """The id after those of this row."""
        return self.id + (self.messages or 1)

    @property
    def all_rooms(self) -> tuple[str, ...]:
        """Where it is heard."""
        return tuple(self.rooms.split("\n")) if self.rooms else (self.room,)

    def event(self) -> RoomEvent:  # noqa: PLR0911, PLR0912 (one for each kind)
        """What happened."""
        id_, at, room, name, text = self.id, self.at, self.room, self.name, self.text
        rooms = tuple(self.rooms.split("\n")) if self.rooms else ()
        match self.kind:
            case "said":
                return Burst(id_, at, room, name, tuple(text.split("\n")))
            case "emoted":
                return Emoted(id_, at, room, name, text)
            case "tombstone":
                return Tombstone(id_, at, room, name, by=text)
            case "deleted":
                by, *ids = text.split("\n")
                return Deleted(id_, at, room, name, by, tuple(map(int, ids)))
            case "joined":
                return Joined(id_, at, room, tuple(text.split("\n")), True, rooms)
            case "entered":
                return Joined(id_, at, room, tuple(text.split("\n")), False)
            case "renamed":
                return Renamed(id_, at, room, name, text, rooms)
            case "topic":
                return TopicChanged(id_, at, room, name, text)
            case "mode":
                return ModeChanged(id_, at, room, name, text == "private")
            case "pace":
                return PaceChanged(id_, at, room, name, int(text))
            case "role":
                role, by = text.split("\n")
                return RoleChanged(id_, at, room, name, by, Role(role))
            case "banned" | "muted" as kind:
                on, until, everywhere, by, why = text.split("\n")
                event_of = Banned if kind == "banned" else Muted
                ends = float(until) if until else None
                return event_of(id_, at, room, name, by, bool(on), ends, why, bool(everywhere))
            case "removed" | "expelled" as kind:
                why, *names = text.split("\n")
                departure = LeaveReason.PARTED if kind == "removed" else LeaveReason.LEFT
                return Left(id_, at, room, tuple(names), departure, rooms, name, why)
            case _:
                departure = _DEPARTURES[self.kind]
                return Left(id_, at, room, tuple(text.split("\n")), departure, rooms)

    def entry(self) -> Entry:
        """The entry of the log, for those who read it from here."""
        return Entry(
            self.event(),
            self.all_rooms,
            connections=() if self.author is None else (self.author,),
            messages=self.messages,
            size=len(self.text) + self.messages * len(self.name),
            ref=self.ref,
            echo=self.kind not in ("said", "tombstone"),
            acknowledged=self.acknowledged,
        )

    @property
    def texts(self) -> list[str]:
        """What was said, a text for each message; none, if nobody said anything."""
        match self.kind:
            case "said":
                return self.text.split("\n")
            case "emoted":
                return [self.text]
            case _:
                return []

    def without(self, id_: int, by: str) -> "list[Row]":
        """The rows in its place once the message with that id, one of its own, has been deleted by
        somebody."""
        texts = self.texts
        place = id_ - self.id
        parts = []
        if before := texts[:place]:
            parts.append(self._part(0, before)._replace(acknowledged=0, ref=None))
        parts.append(self._part(place, [by])._replace(kind="tombstone"))
        if after := texts[place + 1 :]:
            parts[-1] = parts[-1]._replace(acknowledged=0, ref=None)
            parts.append(self._part(place + 1, after))
        return parts

    def _part(self, place: int, texts: Sequence[str]) -> "Row":
        return self._replace(
            id=self.id + place,
            text="\n".join(texts),
            messages=len(texts),
            earlier=self.earlier + place,
        )

    def happenings(
        self, after: int = -1, before: int = MAX_ID, reach: Reach | None = None
    ) -> list[Happening]:
        """What it stands for, as it is heard one by one; of a range of ids, only what is in it.
        With `reach`, as those hear it who may see that much."""
        rooms = self.all_rooms
        if reach is not None:
            last = self.end - 1
            rooms = tuple(room for room in rooms if reach.get(room, last + 1) <= last)
            if not rooms:
                return []
            after = max(after, min(reach[room] for room in rooms) - 1)
        if self.kind == "said":  # most rows, and one may have hundreds of messages
            start = max(after + 1 - self.id, 0)
            texts = self.text.split("\n")[start : max(before - self.id, 0)]
            return [
                Said(number, self.at, self.room, self.name, line)
                for number, line in enumerate(texts, self.id + start)
            ]
        if not after < self.id < before:
            return []
        return list(one_by_one(self.entry().heard_in(rooms)))


def row_of(entry: Entry, earlier: int) -> Row:  # noqa: PLR0912 (a case each)
    """The row that keeps `entry`. `earlier`: see `Row`."""
    event = entry.event
    match event:
        case Burst(name=name, texts=texts):
            kind, text = "said", "\n".join(texts)
        case Emoted(name=name, text=text):
            kind = "emoted"
        case Tombstone(name=name, by=text):
            kind = "tombstone"
        case Deleted(name=name, by=by, messages=ids):
            kind, text = "deleted", "\n".join((by, *map(str, ids)))
        case Joined(names=names, arrived=arrived):
            kind, name, text = ("joined" if arrived else "entered"), "", "\n".join(names)
        case Left(names=names, reason=reason, by=name, why=why) if name:
            kind = "removed" if reason is LeaveReason.PARTED else "expelled"
            text = "\n".join((why, *names))
        case Left(names=names, reason=reason):
            kind, name, text = _KINDS[reason], "", "\n".join(names)
        case Renamed(old=name, new=text):
            kind = "renamed"
        case TopicChanged(name=name, topic=text):
            kind = "topic"
        case ModeChanged(name=name, private=private):
            kind, text = "mode", "private" if private else "public"
        case PaceChanged(name=name, seconds=seconds):
            kind, text = "pace", str(seconds)
        case RoleChanged(name=name, by=by, role=role):
            kind, text = "role", f"{role}\n{by}"
        case Banned(name=name) | Muted(name=name):
            kind = "banned" if isinstance(event, Banned) else "muted"
            until = "" if event.until is None else repr(event.until)
            flags = ("1" if event.on else "", until, "1" if event.everywhere else "")
            text = "\n".join((*flags, event.by, event.why))
        case _:
            assert_never(event)
    author = None
    if len(entry.connections) == 1 and not (entry.echo and kind == "said"):
        author = entry.connections[0]
    rooms = "\n".join(entry.rooms) if len(entry.rooms) > 1 else ""
    return Row(
        event.id,
        event.at,
        event.room,
        kind,
        name,
        text,
        entry.messages,
        earlier,
        rooms,
        author,
        entry.acknowledged,
        entry.ref,
    )
