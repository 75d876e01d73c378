"""The log's durable part on several servers: a `stores.Archive` in PostgreSQL."""

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatservice.complaints import Complaints
from chatservice.core.deleting import Erasure
from chatservice.core.drafts import Committed, Draft
from chatservice.core.events import Account, Change, ErrorCode, Saving
from chatservice.core.ignoring import Change as IgnoreChange
from chatservice.core.ignoring import Ignoring
from chatservice.core.log import Log, Now, Origin
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import Sanction
from chatservice.core.stores import ReadPosition
from chatservice.core.users import User
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.keep import KEEP_ALL, Keep
from chatservice.storage.past import ReadablePast
from chatservice.storage.postgres import accounts, database
from chatservice.storage.postgres.accounts import PostgresAccountStore
from chatservice.storage.postgres.commits import NODE_LOCK, Commits, Snapshot
from chatservice.storage.postgres.connection import QueryFailed, Unreachable, ask_now
from chatservice.storage.postgres.database import Connections
from chatservice.storage.postgres.hooks import PostgresHookStore
from chatservice.storage.postgres.positions import Positions
from chatservice.storage.postgres.presence import Presence
from chatservice.storage.postgres.questions import Questions
from chatservice.storage.postgres.reading import Reading
from chatservice.storage.postgres.reports import PostgresReportStore
from chatservice.storage.postgres.retention import Housekeeping
from chatservice.storage.postgres.tokens import Tokens
from chatservice.storage.postgres.whispers import Whispers
from chatservice.storage.turns import Turns

log = Logger()

CLOSE_SECONDS = 5.0  # for what is not appended, in the end
_SNAPSHOT = """
WITH marked AS (UPDATE marks SET at = clock_timestamp() WHERE node = $1::bigint)
SELECT epoch, next_id, signals, moves, control,
    (SELECT min(id) FROM events), (SELECT json_object_agg(room, messages) FROM counts),
    (SELECT json_agg(people) FROM people), (SELECT json_agg(rooms) FROM rooms),
    (SELECT json_agg(json_build_array(account, since)) FROM operators),
    (SELECT json_agg(sanctions) FROM sanctions
        WHERE until IS NULL OR until > extract(epoch FROM clock_timestamp())),
    (SELECT json_agg(json_build_array(
            json_build_array(owner, created), ignored.name, account, since, at) ORDER BY at)
        FROM ignored JOIN accounts ON owner = accounts.name)
FROM chat
"""


def boot_seconds() -> float:
    """A clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class PostgresArchive(ReadablePast):
    """A `stores.Archive` in the database at `uri`, which several servers share.

    `notice` is called when what is said cannot be saved, and when it can be again; `fenced` when
    other servers have taken this one for dead. `now` tells the time of day; `seconds` a time that
    goes on while the machine sleeps.
    """

    _reading: Reading

    def __init__(
        self,
        uri: str,
        reactor: Any,
        keep: Keep = KEEP_ALL,
        *,
        now: Now = time.time,
        seconds: Callable[[], float] = boot_seconds,
    ) -> None:
        self.rooms: list[RoomRecord] = []  # that there were when it was opened
        self.people: list[User] = []  # who were on other servers then
        self.operators: set[Account] = set()
        self.sanctions: list[Sanction] = []
        self.ignored: list[tuple[Account, Ignoring]] = []
        self.notice: Callable[[Saving], None] = lambda _: None
        self.account_changed: Callable[[Account, Change], None] = lambda account, change: None
        self.erased: Callable[[Erasure], None] = lambda erasure: None
        self.fenced: Callable[[], None] = lambda: None
        self.told: Callable[[str, Any], Callable[[Draft], None] | None] = lambda kind, data: None
        self._uri = uri
        self._reactor = reactor
        complaints = Complaints(reactor, known=(QueryFailed, Unreachable))
        self._connections = Connections(
            reactor, uri, lost=self._lost, rung=self._rung, whispered=self._take_whisper
        )
        self.whispers = Whispers(reactor, self._connections, lambda: self._commits.able)
        self._questions = Questions(self._connections, "store", complaints)
        searches = Questions(self._connections, "searches", complaints, ErrorCode.TOO_SLOW)
        self.accounts = PostgresAccountStore(self._questions, now)
        self.reports = PostgresReportStore(self._questions)
        self.hooks = PostgresHookStore(self._questions)
        self._reading = Reading(self._questions.ask, searches.ask, Turns(reactor))
        self._positions = Positions(self._questions, now)
        self.tokens = Tokens(reactor, self._questions)
        self._housekeeping = Housekeeping(
            reactor,
            self._questions,
            keep,
            now,
            deleted_before=self._reading.deleted_before,
            erased=self._tell_erased,
        )
        self._commits = Commits(
            reactor,
            self._connections,
            seconds=seconds,
            now=now,
            notice=self._tell_notice,
            told=self._take_told,
            fenced=self._tell_fenced,
        )

    def open(self, *, may_have_accounts: bool = True) -> None:
        """Go on where the log ends. Blocks. Raises BadDatabase; also if there are accounts, and may
        not be."""
        self._commits.stop()
        self._connections.close()
        first = database.open_now(self._uri)
        try:
            database.check(first, self._uri)
            if not may_have_accounts and ask_now(first, "SELECT 1 FROM accounts LIMIT 1"):
                raise BadDatabase(
                    f"{database.shown(self._uri)}: names in it have passwords, which needs "
                    "argon2-cffi: install the extra 'accounts' (see Installation in the README)."
                )
            accounts.renew_keys(first)
            ((number,),) = ask_now(
                first,
                "WITH node AS (INSERT INTO nodes(title) VALUES($1) RETURNING id), "
                "mark AS (INSERT INTO marks(node, position, heard) "
                "SELECT node.id, next_id, next_id FROM node, chat) SELECT id FROM node",
                socket.gethostname(),
            )
            node = int(number or 0)
            opened = self._connections.open()
            ask_now(
                opened["tail"],
                "SELECT pg_advisory_lock($1::int, $2::int)",
                str(NODE_LOCK),
                str(node),
            )
            (snapshot,) = ask_now(opened["tail"], _SNAPSHOT, str(node))
        except (QueryFailed, Unreachable) as error:
            raise BadDatabase(f"{database.shown(self._uri)}: {error}.") from None
        finally:
            first.finish()
        self._connections.take(opened)
        self._begin(node, snapshot)

    def _begin(self, node: int, values: Sequence[str | None]) -> None:
        epoch, next_id, signals, moves, control, first_id, counts, *kept, ignored = values
        presence = Presence(node)
        presence.restore(*(json.loads(each or "[]") for each in kept))
        snapshot = Snapshot(
            epoch or "", int(next_id or 1), int(signals or 0), int(moves or 0), int(control or 0)
        )
        self.rooms = list(presence.registry.rooms.values())
        self.people = list(presence.people.values())
        self.ignored = [
            (
                Account(*owner),
                Ignoring(name, None if account is None else Account(account, since), at),
            )
            for owner, name, account, since, at in json.loads(ignored or "[]")
        ]
        self.operators = set(presence.registry.operators)
        self.sanctions = [each for some in presence.registry.sanctions.values() for each in some]
        self._log.begin(Origin(snapshot.epoch, snapshot.next_id, json.loads(counts or "{}")))
        self._reading.begin(int(first_id or snapshot.next_id), node)
        self._commits.begin(node, presence, snapshot)
        self.tokens.begin(node, presence)
        self.whispers.begin(node, presence)
        self._housekeeping.start()

    def set_keep(self, keep: Keep) -> None:
        """Keep more, or less, from now on."""
        self._housekeeping.keep = keep

    def close(self) -> "Deferred[None]":
        """Fires when everything is appended; or when that has been tried for some seconds."""
        closed: Deferred[None] = Deferred()
        self._housekeeping.stop()
        self.tokens.stop()
        self.whispers.stop()

        def end() -> None:
            if deadline.active():
                deadline.cancel()
            self._commits.stop()
            self._positions.save()
            node = str(self._commits.node)
            # People of ours who could not be taken out are for another server to take out.
            gone = self._connections.ask(
                "store",
                "WITH mark AS (DELETE FROM marks WHERE node = $1::bigint "
                "AND NOT EXISTS (SELECT FROM people WHERE $1::bigint = ANY(nodes)) RETURNING node) "
                "DELETE FROM nodes WHERE id IN (SELECT node FROM mark)",
                node,
            )
            gone.addBoth(over)

        def over(_: object) -> None:
            self._connections.close()
            closed.callback(None)

        deadline = self._reactor.callLater(CLOSE_SECONDS, end)
        self._commits.close(end)
        return closed

    # stores.EventStore

    @property
    def trouble(self) -> Saving | None:
        return self._commits.trouble

    @property
    def shows_unsaved(self) -> bool:
        return False  # what has waited for the database is saved once it is delivered

    def attach(self, log: Log) -> None:
        self._log = log
        self._reading.attach(log)
        self._positions.attach(log)
        self._commits.deliver = log.committed

    def submit(
        self, drafts: Sequence[Draft], committed: Callable[[Sequence[Committed]], None], /
    ) -> None:
        self._commits.submit(drafts)

    # stores.MembershipStore

    async def memberships(self, account: Account, asker: str = "") -> Mapping[str, int]:
        found = await self._questions.ask(
            "SELECT room, joined FROM memberships WHERE account = $1 "
            "AND since = $2::double precision",
            *accounts.parameters(account),
            asker=asker,
        )
        return {room: int(joined) for room, joined in found}

    def enroll(
        self,
        account: Account,
        rooms: Mapping[str, int],
        founded: Iterable[RoomRecord],
        sanctions: Iterable[Sanction] = (),
    ) -> None:
        """They are saved with the draft that tells of it."""

    # stores.IgnoreStore

    async def keep_ignored(self, change: IgnoreChange) -> None:
        owner, who, on = change
        await self._questions.ask(
            "SELECT keep_ignored($1::bigint, $2, $3::double precision, $4::jsonb, $5::boolean)",
            str(self._commits.node),
            *accounts.parameters(owner),
            json.dumps(who),
            str(on),
        )

    def change_ignored(self, change: IgnoreChange) -> None:
        kept = Deferred.fromCoroutine(self.keep_ignored(change))
        kept.addErrback(lambda failure: log.failure("Who is ignored is not saved.", failure))

    # stores.ReadPositionStore

    async def seen(self, name: str, asker: str = "") -> ReadPosition | None:
        return await self._positions.seen(name, asker)

    def arrive(self, name: str) -> None:
        self._positions.arrive(name)

    def depart(self, name: str, position: ReadPosition) -> None:
        self._positions.depart(name, position)

    def heard(self, position: int) -> None:
        self._commits.heard = position

    def _lost(self, why: str) -> None:
        self._commits.lost(why)

    # What the owner of this archive sets may be set later.

    def _tell_notice(self, saving: Saving) -> None:
        self.notice(saving)

    def _take_told(self, kind: str, data: Any) -> Callable[[Draft], None] | None:
        if kind == "account":
            account, change = Account(*data["account"]), Change(data["change"])
            return lambda _: self.account_changed(account, change)
        return self.told(kind, data)

    def _tell_erased(self, erasure: Erasure) -> None:
        self.erased(erasure)

    def _tell_fenced(self) -> None:
        self.fenced()

    def _rung(self) -> None:
        self._commits.rung()

    def _take_whisper(self, told: str) -> None:
        self.whispers.take(told)
