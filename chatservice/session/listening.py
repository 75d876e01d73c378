"""A program that hears one room, says nothing, and is nobody in the chat."""

from chatservice.core.events import CloseReason
from chatservice.core.log import Batch
from chatservice.core.peer import Peer
from chatservice.core.room import Room
from chatservice.core.users import Departing
from chatservice.dialects.dialect import Dialect
from chatservice.session.asker import Services
from chatservice.session.session import Connection, Session
from chatservice.session.state import State


class ListeningSession(Session):
    """It hears `room` from the id `position` on, as far as newcomers may see it. `head` is sent
    first."""

    __slots__ = ("_head", "_position", "_room")

    def __init__(
        self,
        services: Services,
        connection: Connection,
        *,
        peer: Peer,
        room: Room,
        position: int,
        head: bytes,
        dialect: Dialect | None = None,
    ) -> None:
        super().__init__(services, connection, peer=peer, dialect=dialect)
        self._room = room
        self._position = position
        self._head = head

    def begin(self) -> None:
        self._move(State.ADMITTING)
        self._move(State.IN)
        self._connection.let_in()
        self._connection.write(self._head)
        chat, room, cursor = self.services.chat, self._room, self.cursor
        self.note("{peer} listens to #{room}.", peer=self.peer, room=room.name)
        cursor.hears_all = True
        cursor.number = -cursor.number  # what was said before a restart may have any other's
        heard = Departing({room.name: room.open_from})
        cursor.enter(chat.log, heard, self._position, chat.archive.pages)
        room.cursors[cursor] = None
        chat.watchers.append(self._watch)
        cursor.resume()

    def receive(self, data: bytes) -> bytes:
        return b""

    def lost(self, why: str, *, clean: bool) -> None:
        self._room.cursors.pop(self.cursor, None)
        watchers = self.services.chat.watchers
        if self._watch in watchers:
            watchers.remove(self._watch)
        super().lost(why, clean=clean)

    def _watch(self, batch: Batch) -> None:
        """With the room this ends, once the last that happened there has been heard."""
        if self.services.chat.directory.rooms.get(self._room.name) is not self._room:
            self.cursor.deliver(batch)
            self.close(CloseReason.REFUSED)
