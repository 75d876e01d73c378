"""What is committed comes true, and is heard."""

from collections.abc import Callable
from itertools import chain

from chatservice.core.cursor import Cursor
from chatservice.core.directory import Directory
from chatservice.core.drafts import Depart, Entry
from chatservice.core.events import (
    LOBBY,
    Banned,
    Burst,
    Deleted,
    Emoted,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    PaceChanged,
    Refusal,
    Renamed,
    RoleChanged,
    Tombstone,
    TopicChanged,
)
from chatservice.core.log import Batch, Look
from chatservice.core.registry import RoomRecord
from chatservice.core.users import User


class Delivery:
    """Applies each batch to `directory`, and lets everyone hear it who may.

    `arrived` is called for each person who comes in, with the id since which they hear; `renamed`
    before somebody has another name; `departed` for each person who leaves, and was on another
    server; `stays` for each whom a server has lost, but others have: which others than this one;
    `measured` once what somebody in charge has done is true; `erased` for each deletion in a batch;
    `known_as` once somebody has another name.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        arrived: Callable[[User, int], None],
        renamed: Callable[[User, str], None],
        departed: Callable[[User], None],
        stays: Callable[[User, frozenset[int]], None],
        measured: Callable[[Entry], None],
        erased: Callable[[Deleted, Batch], None],
        known_as: Callable[[User], None],
    ) -> None:
        self._directory = directory
        self._arrived = arrived
        self._renamed = renamed
        self._departed = departed
        self._stays = stays
        self._measured = measured
        self._erased = erased
        self._known_as = known_as

    def apply(self, batch: Batch) -> None:
        """What happened is true from now on; nobody has heard of it."""
        for draft, outcome, next_id in batch.settled:
            if isinstance(outcome, Entry):
                self._apply(outcome, batch)
            if draft is None:
                continue
            draft.settle(outcome, next_id)
            if isinstance(draft, Depart) and not isinstance(outcome, Refusal):
                for user, nodes in draft.staying.items():
                    self._stays(user, nodes)
            cursor = draft.connection
            if isinstance(cursor, Cursor):
                batch.settling.append(cursor)
                if isinstance(outcome, Entry) and outcome.messages and not outcome.echo:
                    cursor.said(outcome.rooms[0], outcome.messages)

    def fan_out(self, batch: Batch) -> None:
        """Everyone hears it who may."""
        self._send(batch)
        for cursor in batch.settling:  # what they were answered may be due
            try:
                cursor.settled(batch)
            except Exception:
                cursor.fail()
        for draft, _, _ in batch.settled:
            if draft is not None:
                draft.tell_heard()
        batch.settled, batch.settling = (), []  # the log holds the batch for longer

    def _send(self, batch: Batch) -> None:
        """This is where nearly all of the server's time goes."""
        rooms, several = batch.rooms, len(batch.rooms) > 1
        authors, apart = batch.authors, batch.apart
        shared: dict[Look, bytes] = {}
        ignoring, said = _ignored_in(batch)
        cut: dict[tuple[Look, frozenset[str], tuple[User, ...]], bytes] = {}
        for cursor in self._directory.readers(rooms):
            try:
                if not cursor.live or cursor.number in apart:
                    cursor.deliver(batch)
                    continue
                ignored = ignoring.get(cursor.number) if ignoring else None
                if ignored and cursor.number in authors:
                    cursor.deliver(batch)
                    continue
                look = cursor.look
                heard = rooms.intersection(cursor.rooms) if several else rooms
                if ignored:
                    key = (look, heard, ignored)
                    if (found := cut.get(key)) is None:
                        left_out = sorted(chain.from_iterable(said[user] for user in ignored))
                        found = cut[key] = batch.bytes_without(look, heard, left_out)
                    data = found
                elif cursor.number in authors:
                    cursor.heard_to = batch.end
                    data = batch.bytes_for_author(look, heard, cursor.number)
                elif several:
                    data = batch.rendering(look, heard).data
                elif look in shared:
                    data = shared[look]
                else:
                    data = shared[look] = batch.rendering(look, rooms).data
                if data:
                    cursor.write(data)
            except Exception:
                cursor.fail()

    def _apply(self, entry: Entry, batch: Batch) -> None:  # noqa: PLR0912 (a case each)
        directory = self._directory
        match entry.event:
            case Burst(room=room, name=name) | Emoted(room=room, name=name):  # nearly all
                author, there = directory.users.get(name), directory.rooms.get(room)
                if author is not None and there is not None:
                    there.typing.spoke(author)
            case Tombstone():
                pass
            case Deleted() as deleted:
                self._erased(deleted, batch)
            case Joined(arrived=True):
                for user in entry.people:
                    self._arrive(user, entry, batch)
            case Joined():
                (user,) = entry.people
                self._join(user, entry.rooms[0], entry.event.id, batch)
            case Left(reason=LeaveReason.PARTED):
                for user in entry.people:
                    self._part(user, entry.rooms[0])
                self._measured(entry)
            case Left(by=by):
                for user in entry.people:
                    self._depart(user)
                if by:
                    self._measured(entry)
            case Banned() | Muted() | RoleChanged():
                self._measured(entry)
            case Renamed(new=new):
                (user,) = entry.people
                self._rename(user, new)
                user.named_from = entry.event.id
                self._known_as(user)
            case TopicChanged(room=name, topic=topic):
                directory.rooms[name].topic = topic
            case PaceChanged(room=name, seconds=seconds):
                directory.rooms[name].slow = seconds
            case ModeChanged(room=name, private=private):
                directory.rooms[name].set_private(private, entry.event.id)

    def _arrive(self, user: User, entry: Entry, batch: Batch) -> None:
        directory = self._directory
        directory.add(user)
        user.named_from = entry.event.id
        before, user.rooms = user.rooms, {}
        for name in entry.rooms:
            user.rooms[name] = before.get(name, entry.event.id)
            directory.rooms[name].members[user] = None
        self._arrived(user, entry.event.id)
        for cursor in user.cursors:
            batch.apart.add(cursor.number)
            self._hear(user, cursor)

    def _join(self, user: User, name: str, id_: int, batch: Batch) -> None:
        directory = self._directory
        room = directory.rooms.get(name) or directory.add_room(
            RoomRecord(name, user.identity, open_from=id_, control=id_)
        )
        user.rooms[name] = id_
        room.members[user] = None
        for cursor in user.cursors:
            self._hear(user, cursor)
            batch.apart.add(cursor.number)

    def _hear(self, user: User, cursor: Cursor) -> None:
        """What goes wrong in it costs that connection only, and not the batch."""
        try:
            self._directory.hear(user, cursor)
        except Exception:
            cursor.fail()

    def _part(self, user: User, name: str) -> None:
        user.rooms.pop(name, None)
        room = self._directory.rooms[name]
        room.members.pop(user, None)
        room.typing.forget(user)
        for cursor in user.cursors:
            room.cursors.pop(cursor, None)
            room.typing.forget(cursor)
            if cursor.current == name:
                cursor.current = next(iter(user.sorted_rooms), LOBBY)
        self._directory.drop_if_empty(room)

    def _rename(self, user: User, new: str) -> None:
        if not user.present:  # they have left meanwhile
            user.name = new
            return
        self._directory.remove(user)
        for room in user.rooms:
            self._directory.rooms[room].typing.spoke(user)
        self._renamed(user, new)
        user.name = new
        self._directory.add(user)

    def _depart(self, user: User) -> None:
        if self._directory.users.get(user.name) is user:  # they were on another server, or removed
            self._directory.remove(user)
            user.present = False
            self._departed(user)
        for cursor in user.cursors:  # of somebody who was removed
            self._directory.hear_no_more(user, cursor)
        for name in user.rooms:
            room = self._directory.rooms[name]
            room.members.pop(user, None)
            room.typing.forget(user)
            self._directory.drop_if_empty(room)
        user.rooms.clear()


def _ignored_in(batch: Batch) -> tuple[dict[int, tuple[User, ...]], dict[User, list[int]]]:
    """The connections (their numbers) that do not hear somebody who has said something in `batch`,
    and whom; and which entries that is."""
    said: dict[User, list[int]] = {}
    for index, entry in enumerate(batch.entries):
        if entry.messages and entry.people and entry.people[0].ignored_by:
            said.setdefault(entry.people[0], []).append(index)
    ignoring: dict[int, tuple[User, ...]] = {}
    for user in said:
        for ignores in user.ignored_by:
            for cursor in ignores.reader.cursors if ignores.reader is not None else ():
                ignoring[cursor.number] = (*ignoring.get(cursor.number, ()), user)
    return ignoring, said
