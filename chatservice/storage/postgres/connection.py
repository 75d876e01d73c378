"""A connection to PostgreSQL on the reactor: libpq's own, which `psycopg.pq` gives us. (An append
and its tail cost 0.6 to 0.7 ms of CPU this way; with threads or asyncio 1.4 to 1.7.)"""

import os
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import OperationalError, pq
from psycopg.pq.abc import PGconn, PGresult
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

Value = str | None
Answer = list[tuple[Value, ...]]
_FINE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)


class Unreachable(Exception):
    """There is no connection, or it was lost before the answer came."""


class QueryFailed(Exception):
    """PostgreSQL refuses a query. `state`: its SQLSTATE."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class _Query(NamedTuple):
    text: str
    parameters: tuple[Value, ...]
    answer: "Deferred[Answer]"


def connect(conninfo: str) -> PGconn:
    """Connect, which blocks: names are looked up, hosts may not answer. Raises Unreachable."""
    connection = pq.PGconn.connect(conninfo.encode())
    if connection.status != pq.ConnStatus.OK:
        why = first_line(connection.get_error_message())
        connection.finish()
        raise Unreachable(why)
    return connection


def ask_now(connection: PGconn, text: str, *parameters: Value) -> Answer:
    """The answer to a query, or to several without parameters; blocks. Raises QueryFailed."""
    if parameters:
        result = connection.exec_params(text.encode(), _encoded(parameters))
    else:
        result = connection.exec_(text.encode())
    return _rows(connection, result)


def first_line(message: str) -> str:
    """What PostgreSQL says is wrong, without its explanations."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    return " ".join(lines[0].split()) if lines else "the connection is lost"


def _encoded(parameters: tuple[Value, ...]) -> list[bytes | None]:
    return [None if each is None else each.encode() for each in parameters]


def _rows(connection: PGconn, result: PGresult) -> Answer:
    """Raises QueryFailed, or Unreachable if the connection has ended."""
    if result.status not in _FINE:
        if connection.status != pq.ConnStatus.OK:
            raise Unreachable(first_line(connection.get_error_message()))
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"it says nothing"
        raise QueryFailed(state, said.decode("utf-8", "replace"))
    columns = range(result.nfields)
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else value.decode()
            for column in columns
        )
        for row in range(result.ntuples)
    ]


@implementer(IReadWriteDescriptor)
class Connection:
    """Asks queries, one after another. `lost` is called once, when the connection is; `notified`
    when something was notified, or `whispered` with it, if there were words. A WARNING means that
    a wait for the standby was cut short: then nothing that this connection answers is certain, and
    it is given up."""

    def __init__(
        self,
        reactor: Any,
        connection: PGconn,
        lost: Callable[[str], None],
        notified: Callable[[], None] = lambda: None,
        whispered: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reactor = reactor
        self._connection = connection
        self._lost = lost
        self._notified = notified
        self._whispered = whispered
        self._queries: deque[_Query] = deque()
        self._asked: _Query | None = None
        self._outcome: Answer | Exception = []
        self._warned = ""
        self._open = True
        # libpq closes its socket as soon as that fails, before the reactor has been told.
        self._descriptor = os.dup(connection.socket)
        connection.nonblocking = 1
        connection.notice_handler = self._notice
        reactor.addReader(self)

    @property
    def busy(self) -> bool:
        """Whether an answer is due."""
        return self._asked is not None

    def ask(self, text: str, *parameters: Value) -> "Deferred[Answer]":
        """The answer to one query. Fails with QueryFailed or Unreachable."""
        query = _Query(text, parameters, Deferred())
        if not self._open:
            query.answer.errback(Unreachable("there is no connection"))
        else:
            self._queries.append(query)
            self._go_on()
        return query.answer

    def close(self) -> None:
        """End it; what is asked fails."""
        self._end("closed by us", tell=False)

    # IReadWriteDescriptor

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "PostgreSQL"

    def connectionLost(self, reason: Failure) -> None:
        self._end(reason.getErrorMessage())

    def doRead(self) -> None:
        try:
            self._connection.consume_input()
            self._take()
        except OperationalError as error:
            self._end(first_line(str(error)))

    def doWrite(self) -> None:
        self._flush()

    def _take(self) -> None:
        """What has come."""
        connection = self._connection
        while self._asked is not None and not connection.is_busy():
            result = connection.get_result()
            if result is not None:
                try:
                    self._outcome = _rows(connection, result)
                except (QueryFailed, Unreachable) as error:
                    self._outcome = error
                continue
            if self._warned or isinstance(self._outcome, Unreachable):
                self._end(self._warned or str(self._outcome))
                return
            asked, outcome = self._asked, self._outcome
            self._asked, self._outcome = None, []
            self._go_on()
            if isinstance(outcome, Exception):
                asked.answer.errback(outcome)
            else:
                asked.answer.callback(outcome)
        if not self._open:
            return
        notified, whispers = False, []
        while (each := connection.notifies()) is not None:
            if each.extra:
                whispers.append(each.extra.decode())
            else:
                notified = True
        if notified:
            self._notified()
        for whisper in whispers:
            self._whispered(whisper)

    def _go_on(self) -> None:
        if self._asked is not None or not self._queries:
            return
        self._asked = query = self._queries.popleft()
        try:
            self._connection.send_query_params(query.text.encode(), _encoded(query.parameters))
        except OperationalError as error:
            self._end(first_line(str(error)))
        else:
            self._flush()

    def _flush(self) -> None:
        try:
            more = self._connection.flush()
        except OperationalError as error:
            self._end(first_line(str(error)))
            return
        if more:
            self._reactor.addWriter(self)
        else:
            self._reactor.removeWriter(self)

    def _notice(self, result: PGresult) -> None:
        if result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) == b"WARNING":
            said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            self._warned = said.decode("utf-8", "replace")

    def _end(self, why: str, *, tell: bool = True) -> None:
        if not self._open:
            return
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._open = False
        os.close(self._descriptor)
        self._descriptor = -1
        self._connection.finish()
        unanswered = [*([self._asked] if self._asked is not None else []), *self._queries]
        self._asked = None
        self._queries.clear()
        if tell:
            self._lost(why)
        for query in unanswered:
            query.answer.errback(Unreachable(why))
