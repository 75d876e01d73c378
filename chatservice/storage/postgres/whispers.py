"""What servers tell each other of the moment: who is typing. It is never written down, and may be
lost."""

import json
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from chatservice.core.log import Clock, DelayedCall
from chatservice.core.users import User
from chatservice.storage.postgres.connection import QueryFailed, Unreachable
from chatservice.storage.postgres.database import Connections
from chatservice.storage.postgres.presence import Presence

# Others are told at most once in so many seconds, of so many people: a notification holds 8,000
# bytes, and each of them takes 170 at most.
GATHERING_SECONDS = 0.5
MAX_TOLD = 40
# Beside appends, which do not wait for the disk or a standby either: whoever notifies keeps all
# others from it until they have committed.
_NOTIFY = "SELECT pg_notify('chat_' || 'chat'::regclass::oid, $1)"


class Whispers:
    """`stores.Whispers`. While the database is away (not `able`) nobody is told."""

    def __init__(self, clock: Clock, connections: Connections, able: Callable[[], bool]) -> None:
        self.heard: Callable[[User, str, bool], None] = lambda user, room, on: None
        self._clock = clock
        self._connections = connections
        self._able = able
        self._untold: dict[tuple[User, str], bool] = {}
        self._timer: DelayedCall | None = None
        self._telling = False

    def begin(self, node: int, presence: Presence) -> None:
        """Go on as that server."""
        self._node = node
        self._presence = presence
        self._untold.clear()

    def stop(self) -> None:
        """Tell nothing more."""
        self._untold.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def typing(self, user: User, room: str, on: bool) -> None:
        if self._able() and (len(self._untold) < MAX_TOLD or (user, room) in self._untold):
            self._untold[user, room] = on
            if self._timer is None:
                self._tell()

    def stopped(self, user: User, room: str) -> None:
        self._untold.pop((user, room), None)

    def _tell(self) -> None:
        self._timer = None
        if not self._untold:
            return
        self._timer = self._clock.callLater(GATHERING_SECONDS, self._tell)
        untold, self._untold = self._untold, {}
        if self._telling or not self._able():
            return
        people = [[self._presence.id_of(u), room, on] for (u, room), on in untold.items()]
        told = json.dumps([self._node, people], ensure_ascii=False)
        self._telling = True
        self._connections.ask("appends", _NOTIFY, told).addErrback(_lost).addBoth(self._told)

    def _told(self, _: object) -> None:
        self._telling = False

    def take(self, told: str) -> None:
        """What a server has told."""
        try:
            node, people = json.loads(told)
            said = [(str(id_), str(room), bool(on)) for id_, room, on in people]
        except (TypeError, ValueError):
            return  # a newer server says it in another way
        if node == self._node:
            return
        for id_, room, on in said:
            if (user := self._presence.person(id_)) is not None:
                self.heard(user, room, on)


def _lost(failure: Failure) -> Any:
    failure.trap(QueryFailed, Unreachable)
