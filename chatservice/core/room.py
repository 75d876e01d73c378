"""A room is a log; everyone in it is a cursor."""

import time
from collections.abc import Hashable
from enum import Enum

from chatservice.core.cursor import Cursor
from chatservice.core.events import (
    Burst,
    Emoted,
    Joined,
    LeaveReason,
    Left,
    PersonalEvent,
    Renamed,
    Typing,
)
from chatservice.core.log import (
    Batch,
    Clock,
    Commit,
    DelayedCall,
    Dialect,
    Log,
    Now,
    commit_at_once,
)
from chatservice.core.typing import TypingTracker

# Comings and goings within this many seconds of the last notice are told together: short enough
# to look immediate, long enough to make a few lines of a thousand arrivals.
GATHER_SECONDS = 0.2
# And this many at most: each of those who arrive together hears another part of the notice, so
# that it costs the square of their number (30 ms for these).
MAX_GATHERED = 1000
# Messages in one event: a read of 32 KiB can hold 16,384 short ones, each of which is sent with the
# name before it.
MAX_BURST = 500


class _Move(Enum):
    """How people come and go; in the order in which it is told."""

    LEFT = "left"
    LOST = "lost"
    JOINED = "joined"


class Room:
    """A log, the cursors in it, and who has come and gone since that was last told."""

    def __init__(
        self, name: str, clock: Clock, commit: Commit = commit_at_once, now: Now = time.time
    ) -> None:
        self.name = name
        self._now = now
        self.log = Log(clock, commit, self._deliver)
        self.typing = TypingTracker(clock, self._send_typing)
        self._clock = clock
        self._cursors: dict[Cursor, None] = {}
        self._moved: dict[_Move, dict[Cursor, str]] = {}
        self._moved_names: set[str] = set()
        self._moves_due: DelayedCall | None = None
        self._last_moves = clock.seconds() - GATHER_SECONDS

    def say(self, author: Cursor, name: str, texts: tuple[str, ...], *, echo: bool) -> Burst:
        """`name` says `texts`. With `echo` the author hears them too. Returns what others hear
        (of many texts, the last part)."""
        if len(texts) > MAX_BURST:
            self.say(author, name, texts[:MAX_BURST], echo=echo)
            return self.say(author, name, texts[MAX_BURST:], echo=echo)
        self.introduce(name)
        self.typing.spoke(author)
        event = Burst(self.log.next_id, self._now(), self.name, name, texts)
        if not echo:
            author.said += len(texts)
        size = sum(map(len, texts)) + len(texts) * (len(name) + 4)  # ": " and CRLF
        authors = () if echo else (author,)
        self.log.append(event, size, messages=len(texts), authors=authors)
        return event

    def emote(self, author: Cursor, name: str, text: str) -> Emoted:
        """`name` does `text`; everyone hears it."""
        self.introduce(name)
        self.typing.spoke(author)
        event = Emoted(self.log.next_id, self._now(), self.name, name, text)
        self.log.append(event, len(text), messages=1)
        return event

    def rename(self, author: Cursor, old: str, new: str) -> Renamed:
        """Everyone hears of it."""
        self.introduce(old)
        self.typing.spoke(author)
        self.introduce(new)
        event = Renamed(self.log.next_id, self._now(), self.name, old, new)
        self.log.append(event, len(old) + len(new))
        return event

    def enter(self, cursor: Cursor, name: str) -> None:
        """`cursor` hears everything from here on; the others, soon, that `name` has joined."""
        self._move(_Move.JOINED, cursor, name)
        self._listen(cursor)

    def take_over(self, cursor: Cursor, name: str, predecessor: Cursor) -> None:
        """`cursor` hears everything from here on, in place of `predecessor`; nobody is told."""
        self.introduce(name)
        self.typing.take_over(cursor, predecessor)
        self._listen(cursor)

    def introduce(self, name: str) -> None:
        """Nobody speaks before others have heard that they are here."""
        if name in self._moved_names:
            self._announce_moves()

    def leave(self, cursor: Cursor, name: str, *, lost: bool) -> None:
        """The others hear, soon, that `name` has left. `cursor` reads on until it is dropped."""
        self.typing.forget(cursor)
        self._move(_Move.LOST if lost else _Move.LEFT, cursor, name)

    def announce(self, event: PersonalEvent) -> None:
        """Everyone is told of `event`, after what they were to hear until now; but not who has
        stopped reading for so long that nothing more should be addressed to them."""
        for cursor in list(self._cursors):
            if cursor.backlogged:
                continue
            try:
                cursor.send(event)
            except Exception:
                cursor.fail()

    def drop(self, cursor: Cursor) -> None:
        """The connection of `cursor`, which may never have entered, is gone."""
        self._cursors.pop(cursor, None)
        cursor.close()

    def _listen(self, cursor: Cursor) -> None:
        self._cursors[cursor] = None
        cursor.enter(self.log)

    def _send_typing(self, author: Hashable, event: Typing) -> None:
        lines: dict[Dialect, bytes] = {}
        for cursor in list(self._cursors):
            if (line := lines.get(cursor.dialect)) is None:
                line = lines[cursor.dialect] = cursor.dialect.render(event)
            if line and cursor is not author:
                try:
                    cursor.send_ephemeral(line)
                except Exception:
                    cursor.fail()

    def _deliver(self, batch: Batch) -> None:
        for cursor in list(self._cursors):
            try:
                cursor.deliver(batch)
            except Exception:
                cursor.fail()

    def _move(self, move: _Move, cursor: Cursor, name: str) -> None:
        self.introduce(name)
        if self._moves_due is None:
            since = self._clock.seconds() - self._last_moves
            self._moves_due = self._clock.callLater(
                max(GATHER_SECONDS - since, 0), self._announce_moves
            )
        self._moved.setdefault(move, {})[cursor] = name
        self._moved_names.add(name)
        if len(self._moved_names) == MAX_GATHERED:
            self._announce_moves()

    def _announce_moves(self) -> None:
        """Tell of all who came and went since the last time, in a line for each way."""
        if self._moves_due is not None and self._moves_due.active():
            self._moves_due.cancel()
        self._moves_due = None
        moved, self._moved = self._moved, {}
        self._moved_names.clear()
        self._last_moves = self._clock.seconds()
        at = self._now()
        for move in _Move:
            people = moved.get(move)
            if not people:
                continue
            names = tuple(people.values())
            size = sum(map(len, names))
            if move is _Move.JOINED:
                joined = Joined(self.log.next_id, at, self.name, names)
                self.log.append(joined, size, authors=tuple(people))
            else:
                reason = LeaveReason.LOST if move is _Move.LOST else LeaveReason.LEFT
                self.log.append(Left(self.log.next_id, at, self.name, names, reason), size)
