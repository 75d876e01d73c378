"""How far text connections have really heard: what their peers' systems have acknowledged.

What was given to our kernel may never arrive: the network of a peer can vanish, and so can we. So
once a second the kernel is asked how many bytes of each connection are on their way. Rather too
much is repeated to somebody who comes back than too little: what was said since they were last
asked about, if their connection was reset.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from chatservice.core.chat import Chat
from chatservice.core.log import Clock, DelayedCall
from chatservice.core.users import User

if TYPE_CHECKING:
    from chatservice.server.connection import Connection

SAMPLE_SECONDS = 1.0
SAMPLE_SIZE = 500  # connections that are asked about in one turn of the reactor: a millisecond


class Acknowledgements:
    """`connections` gives all that there are. People who have not heard everything are noted in the
    chat's archive, and how far all others have heard, so that a crash loses none of it."""

    def __init__(
        self, chat: Chat, connections: "Callable[[], list[Connection]]", clock: Clock
    ) -> None:
        self._chat = chat
        self._connections = connections
        self._clock = clock
        self._due: DelayedCall | None = None
        self._sampled = 0  # what was said before this id has been asked about
        self._behind: set[str] = set()  # the names of those who had not heard all of it

    def start(self) -> None:
        """From now on, until `stop`."""
        if self._due is None:
            self._due = self._clock.callLater(SAMPLE_SECONDS, self._begin)

    def stop(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None

    def lost(self, connection: "Connection") -> None:
        """It is gone, or sends nothing more: its cursor has to know how far it has heard."""
        cursor = connection.session.cursor
        unacknowledged = connection.unacknowledged()
        if unacknowledged is not None:
            cursor.doubt(unacknowledged)
        elif self._due is not None:  # its socket is closed already
            cursor.doubt_since(self._sampled)

    def _begin(self) -> None:
        end = self._chat.log.end
        if end == self._sampled and not self._behind:
            self._due = self._clock.callLater(SAMPLE_SECONDS, self._begin)
        else:
            self._sample(end, iter(self._connections()), set())

    def _sample(self, end: int, connections: "Iterator[Connection]", behind: set[User]) -> None:
        """Ask about the next `connections`, and note at last who is `behind` the id `end`."""
        asked = list(islice(connections, SAMPLE_SIZE))
        for connection in asked:
            user = connection.session.reader
            if user is None:
                continue
            unacknowledged = connection.unacknowledged()
            if unacknowledged is not None:
                connection.session.cursor.doubt(unacknowledged)
                if connection.session.cursor.position < end:
                    behind.add(user)
        if asked:
            self._due = self._clock.callLater(0, lambda: self._sample(end, connections, behind))
            return
        self._note(end, behind)
        self._due = self._clock.callLater(SAMPLE_SECONDS, self._begin)

    def _note(self, end: int, candidates: set[User]) -> None:
        chat, before = self._chat, self._behind
        self._sampled, self._behind = end, set()
        for user in candidates:
            position = chat.heard(user)
            if position < end and chat.users.get(user.name) is user:
                self._behind.add(user.name)
                chat.archive.depart(user.name, chat.position_of(user, position))
        for name in before - self._behind:
            if name in chat.users:
                chat.archive.arrive(name)
        chat.archive.heard(end)
