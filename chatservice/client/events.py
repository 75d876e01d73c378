"""What a client tells a program beside the server's own events."""

from dataclasses import dataclass

from chatservice.core.events import Event, Id


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection, for the reason `why`; `lost`: there was one. The next attempt is in
    `again` seconds. `hopeless`: it will hardly do better, as there is no such host."""

    why: str
    again: float
    lost: bool
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """The next `count` messages were said while you were away. `gone`: so many older events are
    no longer kept."""

    count: Id
    gone: Id


@dataclass(frozen=True, slots=True)
class RoomLost:
    """You were in `room` before the connection was lost, and are not in it any more: `why`."""

    room: str
    why: str


Heard = Event | Disconnected | Missed | RoomLost
