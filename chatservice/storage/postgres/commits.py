"""Appending to the log that all servers share, and reading on in it.

What was submitted is decided here as things stand, and appended by one call of a function in the
database, which turns it back if another server has changed anything that counts meanwhile. What an
append answers promises nothing: it does not wait for the disk, nor for a standby. This server's
mark is then committed, which waits for both, by the same statement that reads what lies after its
position; what that returns may be shown. (With the chat's row locked until an append was
replicated, 20 servers made 124 appends a second, this way 932.)
"""

import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.drafts import Committed, Control, Depart, Draft, Enroll, Entry, decide
from chatservice.core.events import NO_DATABASE, Deleted, ErrorCode, Refusal, Saving
from chatservice.core.log import Clock, Now
from chatservice.core.measures import Measure
from chatservice.core.stores import ReadPosition
from chatservice.storage.postgres.connection import QueryFailed, Unreachable
from chatservice.storage.postgres.database import Connections
from chatservice.storage.postgres.presence import Kept, Presence
from chatservice.storage.postgres.undecided import UNDECIDED
from chatservice.storage.rows import Row, row_of
from chatservice.storage.words import words

log = Logger()

# Characters, and drafts, in one append: some 20 ms of it.
APPEND_SIZE = 256 * 1024
APPEND_DRAFTS = 1000
# Entries that are read at once.
READ_ROWS = 2000
# After so many seconds without the database people are told.
PATIENCE_SECONDS = 2.0
PULSE_SECONDS = 0.5
# A mark is committed, and so the lease renewed, this often when nothing happens; other servers take
# this one for dead when it has not been for LEASE_SECONDS, or for SILENT_SECONDS and its session is
# gone, too.
MARK_SECONDS = 1.0
LEASE_SECONDS = 10.0
SILENT_SECONDS = 2.0
RETRY_SECONDS = 0.5  # between attempts to connect
# What PostgreSQL says of data, or of a query, that it will never take.
_HOPELESS = ("22", "23", "42")
MAX_WORD = 200  # characters of a word that are indexed: PostgreSQL takes some 500

_COLUMNS = "id, at, room, kind, name, text, messages, earlier, rooms, author, acknowledged, ref"
_MARK = f"""
WITH marked AS (
    UPDATE marks SET at = clock_timestamp(), position = $2::bigint, heard = $4::bigint
    WHERE node = $1::bigint RETURNING node)
SELECT (SELECT count(*) FROM marked), chat.next_id, chat.signals, chat.moves, chat.control,
    chat.epoch, nodes.seq, nodes.first_id, current_setting('synchronous_standby_names'),
    left(pg_walfile_name(pg_current_wal_lsn()), 8),
    (SELECT json_agg(e) FROM (SELECT {_COLUMNS}, node, seq, nonce, more FROM events
        WHERE id >= $2::bigint ORDER BY id LIMIT {READ_ROWS}) AS e),
    (SELECT json_agg(s) FROM (SELECT n, after, kind, data, node, seq FROM signals
        WHERE n > $3::bigint ORDER BY n LIMIT {READ_ROWS}) AS s)
FROM chat LEFT JOIN nodes ON nodes.id = $1::bigint
"""  # noqa: S608
_DEAD = f"""
SELECT node FROM marks
WHERE node <> $1::bigint AND (at < clock_timestamp() - interval '{LEASE_SECONDS} seconds'
    OR (at < clock_timestamp() - interval '{SILENT_SECONDS} seconds' AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $2::bigint
            AND objid = marks.node AND objsubid = 2 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))))
ORDER BY node LIMIT 1
"""  # noqa: S608
NODE_LOCK = 20_210  # the class of the locks that servers hold on their own numbers


class State(Enum):
    """What is being done."""

    CLOSED = "closed"
    RUNNING = "running"
    AWAY = "the database is away"
    FENCED = "other servers have taken this one for dead"


class Heard(Draft):
    """Something that another server has told this one, at its place in the log."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Draft], None]) -> None:
        super().__init__(0.0)
        self._call = call

    def settle(self, outcome: object, position: int) -> None:
        self.settled = True
        self.position = position
        self._call(self)


class _Group(NamedTuple):
    """What is appended together, and how it was before. `first_id`, once that is known."""

    seq: int
    drafts: Sequence[Draft]
    decided: Sequence[Committed]
    batch: str
    nonce: int
    moves: int
    control: int
    moving: bool
    rows: int
    reaped: int | None
    asked_at: float
    kept: Kept | None = None
    first_id: int = 0
    after: tuple[Committed, ...] = ()  # what came to nothing, after it


class Commits:
    """One server's part of the log.

    `presence` is who is here, as of what has been appended; `told` is called with what another
    server tells (kind, data) and returns what is to be done about it at its place in the log.
    """

    def __init__(
        self,
        reactor: Any,
        connections: Connections,
        *,
        seconds: Callable[[], float],
        now: Now,
        notice: Callable[[Saving], None],
        told: Callable[[str, Any], Callable[[Draft], None] | None],
        fenced: Callable[[], None],
    ) -> None:
        self.state = State.CLOSED
        self.trouble: Saving | None = None
        self.heard = 0
        self.deliver: Callable[[Sequence[Committed]], None] = lambda committed: None
        self._clock: Clock = reactor
        self._connections = connections
        self._seconds = seconds
        self._now = now
        self._notice = notice
        self._told = told
        self._fenced = fenced
        self._waiting: deque[Draft] = deque()
        self._asked: _Group | None = None  # that is being appended
        self._appended: deque[_Group] = deque()  # and not delivered so far
        self._marking = False
        self._mark_again = False
        self._returned: tuple[str | None, ...] | None = None  # that waits for the append
        self._stale = False  # what others have changed must be read first
        self._pulse: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._away_since: float | None = None
        self._mark_sent = 0.0
        self._leased = 0.0  # when the lease was renewed last
        self._connected = 0.0
        self._looking = False
        self._closing: Callable[[], None] | None = None
        self._why = ""

    def begin(self, node: int, presence: Presence, snapshot: "Snapshot") -> None:
        """Go on from `snapshot`, as the server with that number."""
        now = self._seconds()
        self._forget()
        self.trouble = self._away_since = None
        self.node = node
        self.presence = presence
        self.position = self.heard = snapshot.next_id
        self._signal = snapshot.signals
        self._epoch = snapshot.epoch
        self._moves, self._control = snapshot.moves, snapshot.control
        self._seq = 0
        self._nonce = 0  # of the last entry that was delivered
        self._standbys: str | None = None  # synchronous_standby_names, as of the last mark
        self._timeline = ""
        self._mark_sent = self._leased = self._connected = now
        self.state = State.RUNNING
        self._pulse = self._clock.callLater(0, self._beat)  # type: ignore[assignment]

    @property
    def leased(self) -> bool:
        """Whether no other server takes this one for dead, as far as our clock can tell."""
        return self._seconds() - self._leased < LEASE_SECONDS

    @property
    def able(self) -> bool:
        """Whether the database is there."""
        return self.state is State.RUNNING and self.trouble is None and self.leased

    def submit(self, drafts: Sequence[Draft]) -> None:
        """Decide and append `drafts`. While the database is away they are refused, but for what
        has happened anyway."""
        if self.state in (State.FENCED, State.CLOSED):
            self._refuse(drafts)
        elif self.trouble is None and self.leased:
            self._waiting.extend(drafts)
        else:
            self._waiting.extend(draft for draft in drafts if isinstance(draft, Depart | Enroll))
            self._refuse([draft for draft in drafts if not isinstance(draft, Depart | Enroll)])
        self._go_on()

    def _refuse(self, drafts: Sequence[Draft]) -> None:
        refusal = Refusal(ErrorCode.NOT_SAVED)
        if drafts:
            self.deliver([Committed(draft, refusal, self.position) for draft in drafts])

    def close(self, then: Callable[[], None]) -> None:
        """Call `then` when everything is appended and delivered, if the database is there."""
        self._closing = then
        self._look_whether_closed()

    def stop(self) -> None:
        """Do nothing more."""
        self.state = State.CLOSED
        for call in (self._pulse, self._retry):
            if call is not None and call.active():
                call.cancel()

    # Appending.

    def _go_on(self) -> None:
        if (
            self.state is not State.RUNNING
            or self._asked is not None
            or self._stale
            or not self._waiting
            or not self.leased
        ):
            return
        self._take_from(self._waiting, None)

    def _take_from(self, waiting: deque[Draft], reaped: int | None) -> None:
        """Decide as much as makes one append, and ask for it."""
        presence, drafts, decided, size = self.presence, list[Draft](), list[Committed](), 0
        next_id = UNDECIDED
        presence.registry.begin()
        while waiting and (
            reaped is not None or (len(drafts) < APPEND_DRAFTS and size < APPEND_SIZE)
        ):
            draft = waiting.popleft()
            drafts.append(draft)
            decided += decide([draft], presence.registry, next_id)
            outcome, next_id = decided[-1].outcome, decided[-1].next_id
            size += outcome.size if isinstance(outcome, Entry) else 0
        entries = [each.outcome for each in decided if isinstance(each.outcome, Entry)]
        touched = presence.registry.touched
        moving = any(touched)
        signals = self._signals(decided)
        if not entries and not moving and not signals and reaped is None:
            presence.undo()
            self._come_to_nothing(decided)
            self._go_on()
            return
        ruling = presence.registry.touches_others or any(
            isinstance(draft, Control | Measure) for draft in drafts
        )
        nonce = secrets.randbits(63)
        batch = {
            "rows": [self._row(entry) for entry in entries],
            "signals": signals,
            "erased": [
                {"ids": entry.event.messages, "by": entry.event.by}
                for entry in entries
                if isinstance(entry.event, Deleted)
            ],
            "ids": next_id - UNDECIDED,
            "moving": moving,
            "ruling": ruling,
            "reaped": reaped,
            **(presence.changes(decided) if moving else {}),
        }
        self._ask(
            _Group(
                self._seq + 1,
                drafts,
                decided,
                json.dumps(batch),
                nonce,
                self._moves,
                self._control,
                moving,
                len(entries),
                reaped,
                self._seconds(),
            )
        )

    def _row(self, entry: Entry) -> dict[str, Any]:
        """As the function takes it: ids count from 0."""
        row = row_of(entry, 0)
        more = self.presence.more_about(entry)
        return {**row_values(row), "id": row.id - UNDECIDED, "more": more}

    def _signals(self, decided: Sequence[Committed]) -> list[dict[str, Any]]:
        """What other servers have to know, though nobody hears of it."""
        return [
            {"after": next_id - UNDECIDED, "kind": kind, "data": data}
            for draft, outcome, next_id in decided
            if not isinstance(outcome, Refusal)
            for kind, data in self.presence.signals(draft)
        ]

    def _ask(self, group: _Group) -> None:
        self._asked = group
        self._seq = group.seq
        asked = self._connections.ask(
            "appends",
            "SELECT * FROM append($1::bigint, $2::bigint, $3::bigint, $4::bigint, $5::bigint, "
            "$6::jsonb)",
            str(self.node),
            str(group.seq),
            str(group.nonce),
            str(group.moves),
            str(group.control),
            group.batch,
        )
        asked.addCallbacks(self._answered, self._failed).addErrback(_fault)

    def _answered(self, answer: list[tuple[str, ...]]) -> None:
        ((status, first, _, moves, control),) = answer
        group = self._asked
        if group is None:
            return
        match status:
            case "done":
                self._keep(group, int(first))
                self._control = int(control)
                if group.moving:  # otherwise others may have moved since we have read of it
                    self._moves = int(moves)
            case "done before":
                self._keep(group, int(first))
            case "stale":
                self._seq -= 1
                self._take_back(group)
                self._stale = True
            case _:
                self._fence()
                return
        self._settle_down()
        self._mark()
        self._go_on()

    def _keep(self, group: _Group, first: int) -> None:
        """It has been appended."""
        self._asked = None
        shift = first - UNDECIDED
        decided = [_moved(each, shift) for each in group.decided]
        kept = self.presence.keep(first)
        self._appended.append(group._replace(decided=decided, kept=kept, first_id=first))

    def _take_back(self, group: _Group) -> None:
        """It has not been, and is decided again."""
        self._asked = None
        self.presence.undo()
        if group.reaped is None:  # otherwise another server may have done it
            self._waiting.extendleft(reversed(group.drafts))

    def _failed(self, failure: Failure) -> None:
        group = self._asked
        if failure.check(Unreachable) or group is None:
            return  # it is asked again when there is a connection
        error = failure.value
        if isinstance(error, QueryFailed) and error.state.startswith(_HOPELESS):
            log.failure("What was submitted cannot be saved.", failure)
            self._seq -= 1
            self._asked = None
            self.presence.undo()
            refusal = Refusal(ErrorCode.NOT_SAVED)
            self._come_to_nothing(
                [Committed(draft, refusal, self.position) for draft in group.drafts]
            )
            self._settle_down()
            self._go_on()
        else:
            self._connections.drop(failure.getErrorMessage())

    def _come_to_nothing(self, decided: Sequence[Committed]) -> None:
        """It takes no place in the log: it comes after what has been appended so far."""
        if self._appended:
            last = self._appended[-1]
            self._appended[-1] = last._replace(after=(*last.after, *decided))
        else:
            self.deliver([each._replace(next_id=self.position) for each in decided])

    # Reading on.

    def rung(self) -> None:
        """Another server has appended something."""
        self._mark()

    def _mark(self) -> None:
        if self.state is not State.RUNNING:
            return
        if self._marking or self._returned is not None:
            self._mark_again = True
            return
        self._marking = True
        self._mark_again = False
        self._mark_sent = self._seconds()
        asked = self._connections.ask(
            "tail",
            _MARK,
            str(self.node),
            str(self.position),
            str(self._signal),
            str(self.heard),
        )
        asked.addCallbacks(self._marked, self._not_marked, callbackArgs=(self._mark_sent,))
        asked.addErrback(_fault)

    def _marked(self, answer: list[tuple[str | None, ...]], sent: float) -> None:
        self._marking = False
        (returned,) = answer
        if returned[0] == "0" or returned[6] is None:
            self._fence()
            return
        self._leased = sent
        self._note_replication(returned[8] or "", returned[9] or "")
        if self.leased:
            self._returned = returned
            self._settle_down()
        else:  # we have been asleep; others may have taken us for dead since
            self._mark()

    def _note_replication(self, standbys: str, timeline: str) -> None:
        """Whether the marks wait for a standby, and which primary there is. When an operator
        empties `synchronous_standby_names`, or a standby is promoted that has none, those who wait
        are released without a word: what is shown from then on can be lost with the primary."""
        if self._standbys and not standbys:
            log.error(
                "synchronous_standby_names is empty: what is said from now on can be lost with "
                "this primary."
            )
        elif standbys and self._standbys == "":
            log.info("What is said is shown once a standby has it: {names}", names=standbys)
        self._standbys, self._timeline = standbys, timeline

    def _not_marked(self, failure: Failure) -> None:
        self._marking = False
        if not failure.check(Unreachable):
            self._connections.drop(failure.getErrorMessage())

    def _settle_down(self) -> None:
        """Take what has been returned, unless an append is under way: what others have changed
        would come between what it has decided."""
        if self._returned is None or self._asked is not None or self.state is not State.RUNNING:
            return
        returned, self._returned = self._returned, None
        complete = self._take(returned)
        if complete:
            self._stale = False
        self._tell_saved_again()
        if self._mark_again or not complete or self._appended:
            self._mark()
        self._go_on()
        self._look_whether_closed()

    def _take(self, returned: tuple[str | None, ...]) -> bool:
        """Deliver what lies after our position. Whether that is all there is."""
        _, end, _, moves, control, _, seq, _, _, _, events, signals = returned
        rows = json.loads(events) if events else []
        told = deque(json.loads(signals) if signals else ())
        complete = len(rows) < READ_ROWS and len(told) < READ_ROWS
        takes_all_told = complete
        if len(told) == READ_ROWS:  # what stands after what is not read waits for that
            reached = told[-1]["after"]
            takes_all_told = len(rows) < READ_ROWS or rows[-1]["id"] >= reached
            rows = [row for row in rows if row["id"] < reached]
        delivered: list[Committed] = []
        for row in rows:
            self._take_signals(told, row["id"], delivered)
            if row["id"] < self.position:
                continue  # it belongs to what was delivered just now
            self._nonce = row["nonce"]
            if row["node"] == self.node:
                self._take_silent(row["seq"] - 1, delivered)
                if self._appended and row["seq"] == self._appended[0].seq:
                    self._take_own(delivered)
                    continue
            entry = _entry(row)
            if row["node"] == self.node:  # of before we lost what we knew of it
                log.error("An entry of our own has come back unasked: {id}.", id=row["id"])
            entry = self.presence.heard(entry, row["more"], row["node"])
            delivered.append(Committed(None, entry, entry.end))
            self.position = entry.end
        if takes_all_told:
            self._take_signals(told, None, delivered)
        if complete:
            self.position = max(self.position, int(end or 0))
            self._moves = max(self._moves, int(moves or 0))
            self._control = max(self._control, int(control or 0))
            self._take_silent(int(seq or 0), delivered)
        if delivered:
            self.deliver(delivered)
        return complete

    def _take_silent(self, seq: int, delivered: list[Committed]) -> None:
        """What we have appended up to `seq` of which there are no entries."""
        while self._appended and not self._appended[0].rows and self._appended[0].seq <= seq:
            self._take_own(delivered)

    def _take_own(self, delivered: list[Committed]) -> None:
        group = self._appended.popleft()
        delivered += group.decided
        self.position = max(self.position, group.decided[-1].next_id if group.decided else 0)
        delivered += [each._replace(next_id=self.position) for each in group.after]

    def _take_signals(
        self, told: deque[Any], before: int | None, delivered: list[Committed]
    ) -> None:
        while told and (before is None or told[0]["after"] <= before):
            signal = told.popleft()
            self._signal = signal["n"]
            if signal["node"] == self.node:
                self._take_silent(signal["seq"], delivered)
                continue
            kind = signal["kind"]
            data = self.presence.told(kind, signal["data"], signal["node"])
            if data is not None and (call := self._told(kind, data)) is not None:
                position = delivered[-1].next_id if delivered else self.position
                delivered.append(Committed(Heard(call), None, position))

    # When the database is away, and whether others are.

    def _beat(self) -> None:
        self._pulse = self._clock.callLater(PULSE_SECONDS, self._beat)  # type: ignore[assignment]
        now = self._seconds()
        if self._waits_since(now) <= now - PATIENCE_SECONDS:
            self._tell_trouble()
        if self.state is not State.RUNNING:
            return
        if now - self._mark_sent >= MARK_SECONDS:
            self._mark()
        if now - self._connected >= SILENT_SECONDS + MARK_SECONDS:
            self._look_for_dead()

    def _waits_since(self, now: float) -> float:
        """Since when the database owes an answer."""
        if self._away_since is not None:
            return self._away_since
        asked = now if self._asked is None else self._asked.asked_at
        return min(asked, self._mark_sent if self._marking else now)

    def lost(self, why: str) -> None:
        """There is no connection."""
        if self.state is State.AWAY:  # it was there for a moment
            self._try_later(why)
        if self.state is not State.RUNNING:
            return
        log.error("The database is away: {why}", why=why)
        self._why = why
        self.state = State.AWAY
        self._marking = False
        self._returned = None  # it was not certain yet that it stays
        self._away_since = self._seconds()
        self._reconnect()

    def _reconnect(self) -> None:
        self._retry = None
        if self.state is State.AWAY:
            opening = self._connections.open_later()
            opening.addCallbacks(self._opened, self._not_opened).addErrback(_fault)

    def _not_opened(self, failure: Failure) -> None:
        if self.state is State.AWAY:
            self._try_later(failure.getErrorMessage())

    def _try_later(self, why: str) -> None:
        self._why = why
        self._retry = self._clock.callLater(RETRY_SECONDS, self._reconnect)  # type: ignore[assignment]

    def _opened(self, opened: Any) -> None:
        self._connections.take(opened)
        if self.state is not State.AWAY:
            self._connections.close()
            return
        asked = self._connections.ask(
            "tail",
            "WITH locked AS (SELECT pg_try_advisory_lock($2::int, $1::int)), "
            "marked AS (UPDATE marks SET at = clock_timestamp() WHERE node = $1::bigint) "
            "SELECT nodes.seq, nodes.first_id, chat.next_id, "
            "(SELECT nonce FROM events WHERE id < $3::bigint ORDER BY id DESC LIMIT 1), "
            "(SELECT count(*) FROM locked), chat.moves, chat.control, "
            "left(pg_walfile_name(pg_current_wal_lsn()), 8) "
            "FROM chat LEFT JOIN nodes ON id = $1::bigint",
            str(self.node),
            str(NODE_LOCK),
            str(self.position),
        )
        asked.addCallbacks(
            self._back, self._not_marked, callbackArgs=(self._seconds(),)
        ).addErrback(_fault)

    def _back(self, answer: list[tuple[str | None, ...]], sent: float) -> None:
        """The database is there again."""
        ((seq, first_id, next_id, nonce, *_, timeline),) = answer
        is_another = self._nonce and nonce is not None and int(nonce) != self._nonce
        if self._timeline not in ("", timeline) and not self._standbys:
            is_another = True  # a standby was promoted that need not have all
        if int(next_id or 0) < self.position or is_another:
            self._leave_epoch()
            return
        if seq is None:
            self._fence()
            return
        log.info("The database is there again.")
        self.state = State.RUNNING
        self._away_since = None
        self._connected, self._leased = self._seconds(), sent
        group, done = self._asked, int(seq)
        if group is not None and done >= group.seq:
            self._keep(group, int(first_id or 0))
        elif group is not None and done == group.seq - 1:
            self._ask(group._replace(asked_at=self._seconds()))  # the same again
        else:
            if group is not None:
                self._take_back(group)
            while self._appended and self._appended[-1].seq > done:
                lost = self._appended.pop()
                if lost.kept is not None:
                    self.presence.lose(lost.kept)
                if lost.reaped is None:
                    self._waiting.extendleft(reversed(lost.drafts))
                for each in lost.after:
                    if each.draft is not None:
                        self._waiting.append(each.draft)
            self._seq = done
            self._stale = True
        self._mark()

    def _leave_epoch(self) -> None:
        """The log lacks what has been shown, since a backup was restored, or a standby promoted
        that lagged: its ids may come to mean something else, and start over."""
        log.error("The database has lost what was said last: ids start over.")
        asked = self._connections.ask(
            "store",
            "UPDATE chat SET epoch = gen_random_uuid()::text WHERE epoch = $1",
            self._epoch,
        )
        asked.addCallbacks(lambda _: self._fence(), self._not_marked).addErrback(_fault)

    def _tell_trouble(self) -> None:
        if self.trouble is None:
            self.trouble = Saving(False, NO_DATABASE)
            log.error("Nothing is being saved: {why}", why=self._why or NO_DATABASE)
            self._notice(self.trouble)

    def _tell_saved_again(self) -> None:
        now = self._seconds()
        if self.trouble is not None and self._waits_since(now) > now - PATIENCE_SECONDS:
            self.trouble = None
            self._why = ""
            log.info("What is said is being saved again.")
            self._notice(Saving(True))

    def _fence(self) -> None:
        """Others have taken us for dead, and have told so: nothing that we hold counts."""
        if self.state is not State.FENCED:
            self.state = State.FENCED
            log.error("Other servers have taken this one for dead; it begins anew.")
            groups = [*self._appended, *([self._asked] if self._asked is not None else [])]
            unsaved = [draft for group in groups for draft in group.drafts]
            unsaved += [each.draft for g in groups for each in g.after if each.draft is not None]
            unsaved += self._waiting
            self._forget()
            self._refuse(unsaved)
            self._fenced()

    def _forget(self) -> None:
        self._waiting.clear()
        self._appended.clear()
        self._asked = self._returned = None
        self._marking = self._mark_again = self._stale = False

    def _look_for_dead(self) -> None:
        if self._looking:
            return
        self._looking = True
        asked = self._connections.ask("store", _DEAD, str(self.node), str(NODE_LOCK))
        asked.addCallbacks(self._found_dead, lambda _: None).addErrback(_fault)
        asked.addBoth(self._looked)

    def _looked(self, _: object) -> None:
        self._looking = False

    def _found_dead(self, answer: list[tuple[str, ...]]) -> None:
        if not answer or self.state is not State.RUNNING:
            return
        if self._asked is not None or self._stale:
            return  # at the next look
        dead = int(answer[0][0])
        log.error("The server number {number} is gone; its people have left.", number=dead)
        by_rooms: dict[tuple[str, ...], list[Any]] = {}
        for user in self.presence.people_of(dead):
            by_rooms.setdefault(self.presence.registry.rooms_of(user), []).append(user)
        at = self._now()
        drafts = deque[Draft](
            Depart(at, people, lost=True, node=dead) for people in by_rooms.values()
        )
        self._take_from(drafts, dead)

    def _look_whether_closed(self) -> None:
        idle = self._asked is None and not self._appended and not self._waiting
        if self._closing is not None and (idle or self.state is not State.RUNNING):
            closing, self._closing = self._closing, None
            closing()


class Snapshot(NamedTuple):
    """Where the log is, as a server begins."""

    epoch: str
    next_id: int
    signals: int
    moves: int
    control: int


def row_values(row: Row) -> dict[str, Any]:
    """The values of `row` by the names of the table's columns, with the words that are indexed."""
    ref = None if row.ref is None else json.dumps(row.ref)
    return {**row._asdict(), "ref": ref, "words": words_of(row.texts) or None}


def words_of(texts: Iterable[str]) -> list[str]:
    """Those that are indexed."""
    return sorted({word[:MAX_WORD] for text in texts for word in words(text)})


def _moved(committed: Committed, shift: int) -> Committed:
    """With the ids that it has in the log."""
    draft, outcome, next_id = committed
    if isinstance(outcome, Entry):
        event = replace(outcome.event, id=outcome.event.id + shift)
        outcome = outcome._replace(event=event)
    return Committed(draft, outcome, next_id + shift)


def _entry(row: dict[str, Any]) -> Entry:
    """An entry that another server has made: its connections are not ours."""
    made = Row(*(row[name] for name in Row._fields))
    return made._replace(author=None, ref=None).entry()


def _fault(failure: Failure) -> None:
    log.failure("A fault in what the servers share.", failure)


def read_position(found: Sequence[str | None]) -> ReadPosition:
    """Of an id, and an object with numbers of messages."""
    id_, messages = found
    return ReadPosition(int(id_ or 0), json.loads(messages or "{}"))
