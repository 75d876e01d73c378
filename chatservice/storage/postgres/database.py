"""The database of a chat on several servers: its connections, opened and checked."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from psycopg import OperationalError, pq
from psycopg.pq.abc import PGconn
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from chatservice.core.events import ErrorCode
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.postgres import schema
from chatservice.storage.postgres.connection import (
    Connection,
    QueryFailed,
    Unreachable,
    ask_now,
    connect,
)

OLDEST_SERVER = 130000  # PostgreSQL 13, the oldest that still gets fixes (2025)
# How long a query may take, in milliseconds: one that is looked up while somebody waits, and a
# search.
LOOKUP_MS = 5000
SEARCH_MS = 1000
# What libpq does unless the URI says otherwise: it notices within some seconds that a host is gone.
_DEFAULTS = {
    "application_name": "chatservice",
    "connect_timeout": "5",
    "keepalives_idle": "3",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "6000",
}
_ROLES = {
    # What an append answers promises nothing: it is delivered once a mark has been committed.
    "appends": "SET synchronous_commit = off",
    "tail": "SET synchronous_commit = on",
    "store": f"SET synchronous_commit = on; SET statement_timeout = {LOOKUP_MS}",
    "searches": f"SET default_transaction_read_only = on; SET statement_timeout = {SEARCH_MS}",
}


def why_not(uri: str) -> str | None:
    """What is wrong with a URI, if anything is."""
    try:
        parts = {
            option.keyword.decode(): (option.val or b"").decode()
            for option in pq.Conninfo.parse(uri.encode())
            if option.val is not None
        }
    except OperationalError as error:
        return " ".join(str(error).split()).partition(': "')[0]  # what follows is all of it
    if parts.get("password"):
        return "a password does not belong here, where ps shows it: use ~/.pgpass or PGPASSFILE"
    return None


def shown(uri: str) -> str:
    """A URI without what may be secret in it, for the log."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "postgresql://"
    place = parts.netloc.rpartition("@")[2]
    hosts = parse_qs(parts.query).get("host", [])
    return f"postgresql://{place or ','.join(hosts)}{parts.path}"


def _conninfo(uri: str) -> str:
    given = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.parse(uri.encode()) if o.val}
    return " ".join(
        "{}='{}'".format(key, value.replace("\\", r"\\").replace("'", r"\'"))
        for key, value in {**_DEFAULTS, **given}.items()
    )


def open_now(uri: str, *, role: str = "store") -> PGconn:
    """A connection, for what may block. Raises BadDatabase."""
    try:
        return _opened(uri, role)
    except (QueryFailed, Unreachable) as error:
        raise BadDatabase(f"{shown(uri)}: {error}.".replace("..", ".")) from None


def _opened(uri: str, role: str) -> PGconn:
    connection = connect(_conninfo(uri))
    try:
        ask_now(connection, "SET client_encoding = 'UTF8'; SET jit = off;" + _ROLES[role])
    except BaseException:
        connection.finish()
        raise
    return connection


def check(connection: PGconn, uri: str) -> None:
    """Make or upgrade the schema, if need be. Raises BadDatabase."""
    try:
        if connection.server_version < OLDEST_SERVER:
            version = connection.server_version // 10000
            raise schema.WrongSchema(
                f"this is PostgreSQL {version}; it takes {OLDEST_SERVER // 10000} or newer"
            )
        if ask_now(connection, "SELECT pg_is_in_recovery()") == [("t",)]:
            raise schema.WrongSchema(
                "this is a standby; target_session_attrs=read-write finds the primary"
            )
        ((encoding,),) = ask_now(connection, "SHOW server_encoding")
        if encoding != "UTF8":
            raise schema.WrongSchema(f"its encoding is {encoding}; it must be UTF8")
        schema.prepare(connection)
    except (schema.WrongSchema, QueryFailed, Unreachable) as error:
        raise BadDatabase(f"{shown(uri)}: {error}.") from None


class Connections:
    """What a server is connected with: `appends`, `tail`, `store` and `searches`.

    They live and end together: `lost` is called once when one of them is lost, and then there are
    none. `rung`: another server has appended something. `whispered`: one has told of something
    that is not written down.
    """

    def __init__(
        self,
        reactor: Any,
        uri: str,
        *,
        lost: Callable[[str], None],
        rung: Callable[[], None],
        whispered: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reactor = reactor
        self._uri = uri
        self._lost = lost
        self._rung = rung
        self._whispered = whispered
        self._there: dict[str, Connection] = {}

    @property
    def there(self) -> bool:
        """Whether there are any."""
        return bool(self._there)

    def open(self) -> dict[str, PGconn]:
        """Connect; blocks. What it returns is for `take`. Raises Unreachable, QueryFailed."""
        opened: dict[str, PGconn] = {}
        try:
            for role in _ROLES:
                opened[role] = _opened(self._uri, role)
            ((channel,),) = ask_now(opened["tail"], "SELECT 'chat_' || 'chat'::regclass::oid")
            ask_now(opened["tail"], f"LISTEN {channel}")
        except BaseException:
            finish(opened.values())
            raise
        return opened

    def open_later(self) -> "Deferred[dict[str, PGconn]]":
        """The same, in a thread."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self.open)

    def take(self, opened: dict[str, PGconn]) -> None:
        """Use these from now on."""
        self._there = {
            role: Connection(
                self._reactor,
                connection,
                self._end,
                self._rung if role == "tail" else lambda: None,
                self._whispered if role == "tail" else lambda _: None,
            )
            for role, connection in opened.items()
        }

    def ask(self, role: str, text: str, *parameters: str | None) -> "Deferred[Any]":
        """What that connection answers. Fails with Unreachable, QueryFailed."""
        if role not in self._there:
            failed: Deferred[Any] = Deferred()
            failed.errback(Unreachable("there is no connection"))
            return failed
        return self._there[role].ask(text, *parameters)

    def drop(self, why: str) -> None:
        """Give them up, as if they had been lost."""
        self._end(why)

    def close(self) -> None:
        """Nothing more is asked."""
        there, self._there = self._there, {}
        for connection in there.values():
            connection.close()

    def _end(self, why: str) -> None:
        if self._there:
            self.close()
            self._lost(why)


def finish(connections: Iterable[PGconn]) -> None:
    for connection in connections:
        connection.finish()


def refusal_code(error: Exception, slow: ErrorCode = ErrorCode.BUSY) -> ErrorCode:
    """What is answered to somebody whose question has failed. `slow`: it took too long."""
    if isinstance(error, QueryFailed) and error.state == "57014":
        return slow
    return ErrorCode.NOT_SAVED
