"""Deleting messages: which ones somebody means, and whether they may.

What somebody has said is theirs for as long as they have the name under which they did, and for as
long as they own the account of that name; by nothing else can it be told after a restart.
"""

from collections.abc import Callable
from typing import NamedTuple

from chatservice.core.drafts import Draft, Entry
from chatservice.core.events import Deleted, Emoted, ErrorCode, Refusal, Said
from chatservice.core.log import MAX_PAGE_EVENTS, Log, Now, Reach
from chatservice.core.measures import CONSOLE, Warrant
from chatservice.core.moderation import Moderation
from chatservice.core.registry import Registry
from chatservice.core.requests import Delete
from chatservice.core.room import Room
from chatservice.core.stores import Archive
from chatservice.core.users import User

# How long people can take back what they have said, in seconds.
OWN_SECONDS = 15 * 60.0
# Messages of a room that are looked at for the last ones of somebody, the newest: some ten pages.
LOOKED_AT = 2000


class Found(NamedTuple):
    """Messages of `name`, by their ids. `own`: whoever deletes them has just said them."""

    name: str
    ids: tuple[int, ...]
    own: bool


class Erasure(NamedTuple):
    """Messages of `name` in a room, by their ids, that are erased already where they are kept: who
    has seen them is to be told."""

    room: str
    name: str
    ids: tuple[int, ...]


class Deletion(Draft):
    """Somebody deletes what was `found` in a room."""

    __slots__ = ("found", "room", "user")

    def __init__(self, warrant: Warrant, found: Found) -> None:
        super().__init__(warrant.at, warrant.connection, ref=warrant.ref, then=warrant.then)
        self.user = warrant.user
        self.room = warrant.scope
        self.found = found

    def decide(self, registry: Registry, id_: int) -> Entry:
        name, ids, own = self.found
        if own and self.user is not None:
            by = registry.expect_member(self.user, self.room)
        else:
            _, by = registry.expect_in_charge(self.user, self.room)
        event = Deleted(id_, self.at, self.room, name, by or CONSOLE, ids)
        size = len(name) + len(by) + 8 * len(ids)
        return Entry(event, (self.room,), connections=self._connections(), size=size, ref=self.ref)


class Deletions:
    """Finds what is to be deleted. `now` is the time of day."""

    def __init__(self, log: Log, archive: Archive, moderation: Moderation, now: Now) -> None:
        self._log = log
        self._archive = archive
        self._moderation = moderation
        self._now = now

    async def find(
        self, user: User, room: Room, asked: Delete, reach: Reach, asker: str = ""
    ) -> Found:
        """What `user`, who may see that much of `room`, means. Raises NO_SUCH_MESSAGE; and
        NOT_IN_CHARGE or TOO_LATE, if they must not delete it."""
        in_charge = self._moderation.is_in_charge(user, room)
        wanted = asked.name.casefold()
        is_of_other = wanted not in ("", user.name.casefold())

        def is_meant(message: Said | Emoted) -> bool:
            if is_of_other:
                return message.name.casefold() == wanted
            return has_said(user, message)

        if asked.id is not None:
            found = await self._with_id(asked.id, reach, asker)
        else:
            if is_of_other and not in_charge:
                self._moderation.expect_in_charge(user, room)
            found = await self._newest(asked.count, is_meant, reach, asker)
        if not found:
            raise Refusal(ErrorCode.NO_SUCH_MESSAGE)
        own = [each for each in found if has_said(user, each)]
        late = self._now() - OWN_SECONDS
        recent = [each for each in own if each.at >= late]
        if not in_charge:
            if len(own) < len(found):
                self._moderation.expect_in_charge(user, room)
            if not recent:
                raise Refusal(ErrorCode.TOO_LATE, minutes=int(OWN_SECONDS // 60))
            found = recent
        ids = tuple(sorted(each.id for each in found))
        return Found(found[0].name, ids, own=len(recent) == len(found))

    def tell(self, erasure: Erasure) -> None:
        """Whoever runs the server has erased messages."""
        warrant = Warrant(self._now(), None, erasure.room)
        self._log.submit(Deletion(warrant, Found(erasure.name, erasure.ids, own=False)))

    async def _with_id(self, id_: int, reach: Reach, asker: str) -> list[Said | Emoted]:
        if id_ >= self._log.end:
            return []
        page = await self._archive.recall(id_ + 1, id_ - 1, 1, reach, asker)
        now = map(self._log.erased.applied, page.events)
        return [each for each in now if isinstance(each, Said | Emoted) and each.room in reach]

    async def _newest(
        self, count: int, is_meant: Callable[[Said | Emoted], bool], reach: Reach, asker: str
    ) -> list[Said | Emoted]:
        """All of one name, the newest first."""
        found: list[Said | Emoted] = []
        before, looked_at = self._log.end, 0
        while len(found) < count and looked_at < LOOKED_AT:
            page = await self._archive.recent(before, MAX_PAGE_EVENTS, reach, asker)
            for each in map(self._log.erased.applied, reversed(page)):
                if not isinstance(each, Said | Emoted) or not is_meant(each):
                    continue
                if not found or each.name == found[0].name:
                    found.append(each)
            if not page:
                break
            before, looked_at = page[0].id, looked_at + len(page)
        return found[:count]


def has_said(user: User, message: Said | Emoted) -> bool:
    """Whether it is known to be theirs."""
    if message.name == user.name and message.id >= user.named_from:
        return True
    account = user.account
    return account is not None and account.is_called(message.name) and message.at >= account.since
