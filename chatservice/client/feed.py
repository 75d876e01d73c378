"""What a client tells its program: each event once, in order, and no faster than it is taken."""

from chatservice.client.errors import Unsure
from chatservice.client.events import Heard
from chatservice.client.inbox import Inbox
from chatservice.client.link import Link
from chatservice.client.login import Login
from chatservice.client.outstanding import Outstanding
from chatservice.client.room_map import RoomMap
from chatservice.client.user_map import UserMap
from chatservice.core.events import Happening, Renamed, Welcomed
from chatservice.dialects.wording import ClientWords


class Position:
    """Read position: all up to the id `last_id` of the log called `epoch` was heard or said."""

    def __init__(self) -> None:
        self.epoch = ""
        self.last_id = 0

    def enter(self, welcome: Welcomed, *, past: bool) -> bool:
        """Go on in the log of this `welcome`. Whether it is the one that we were in. `past`: if we
        were in none, begin where somebody of our name stopped reading."""
        is_same = welcome.epoch == self.epoch
        if not self.epoch:
            seen = welcome.seen if past else None
            self.last_id = welcome.last_id if seen is None else seen
        elif not is_same:
            self.last_id = 0  # and all that has happened there is new
        self.epoch = welcome.epoch
        return is_same

    def reach(self, last_id: int) -> None:
        self.last_id = max(self.last_id, last_id)


class Feed:
    """Puts events into the inbox, and keeps what follows from them: our place in the log, who is
    online, our name and rooms."""

    def __init__(self, link: Link, login: Login, requests: Outstanding, words: ClientWords) -> None:
        self.position = Position()
        self.user_map = UserMap()
        self.room_map = RoomMap()
        self.inbox = Inbox(self.regulate)
        self._lifecycle = link.lifecycle
        self._link = link
        self._login = login
        self._requests = requests
        self._words = words

    def put(self, event: Heard) -> None:
        """Tell of `event`."""
        self.inbox.put(event)
        self.regulate()

    def put_once(self, event: Happening, *, past: bool = False) -> None:
        """Tell of something in a room, unless it has been told. `past`: what is true now is known
        already."""
        if event.id <= self.position.last_id:
            return
        self.position.reach(event.id)
        if not past:
            self.user_map.apply(event)
            self.room_map.apply(event, self._login.name)
            self.user_map.only_in(self.room_map.topics)
            if isinstance(event, Renamed) and event.old == self._login.name:
                self._login.name = event.new
        self.put(event)

    def regulate(self) -> None:
        """Read no faster than somebody iterates; but answers must be able to arrive, since whoever
        iterates may be waiting for one."""
        if self.inbox.is_overfull and self._requests:
            self._requests.fail(Unsure(self._words.backlog))
        if self._requests:
            self.inbox.release()
        if self._link.connection is not None:
            answers_are_due = bool(self._requests) or self._lifecycle.is_leaving
            self._link.connection.pause(self.inbox.is_full and not answers_are_due)

    async def until_not_full(self) -> None:
        """Comes back when more may be put in."""
        if not self._requests:
            await self.inbox.until_not_full()
