"""Who is served when there is more to do than one turn of the reactor should take."""

from collections import deque
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

# Seconds in a turn of the reactor for the connections of one network. It is what everybody else
# waits for, at most, whatever these are sent: a bystander's request takes a few milliseconds.
TURN_SECONDS = 0.005
# And for one of these connections, before the next one is served.
SLICE_SECONDS = 0.001
# Bytes of one network's lines that are served in a turn in any case: as many as a batch of a log
# has characters, so that no batch becomes smaller for these limits.
TURN_BYTES = 64 * 1024
# What it costs to deliver a byte to one connection, in seconds: 1 to 2 GB a second were measured
# (tests/benchmarks, 1000:1). It falls due at the end of the turn, so it has to be estimated.
DELIVERY_SECONDS = 0.6e-9
# To count anew in each turn takes a timer, which costs as much as a line. So what is less than this
# is counted together with the next turns: a network has four fifths of its time in any case.
UNCOUNTED_SECONDS = TURN_SECONDS / 5
UNCOUNTED_BYTES = TURN_BYTES // 5


class Served(Protocol):
    """A connection, or what lies beneath one."""

    @property
    def network(self) -> str:
        """Whose share of the time it takes."""

    def take_turn(self, until: float) -> bool:
        """Serve what has been received, as far as that is possible until then. Whether there is
        more."""


class Turns:
    """Serves connections at once while that is fair, and else in turn.

    In each turn of the reactor the connections of a network are served for TURN_SECONDS; what is
    left waits for the next turns. Then networks are served one after the other, and so are the
    connections of each: those of one network wait for each other rather than let all others wait.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._seconds = clock.seconds
        self._spent: dict[str, float] = {}  # seconds in this turn, by network
        self._spent_by_all = 0.0
        self._taken: dict[str, int] = {}  # bytes
        self._waiting: dict[str, deque[Served]] = {}  # the network that is next is the first
        self._next_turn: IDelayedCall | None = None
        self._running: Served | None = None
        self._until = 0.0

    def serve(self, served: Served, transport: object = None) -> bool:
        """Let `served`, which has received something through `transport`, take a turn now. False:
        it has to wait, and will be called."""
        if self._running is not None:
            if self._running is not transport:
                self._enqueue(served)
                return False
            if served.take_turn(self._until):
                self._enqueue(served)
            return True
        network = served.network
        if network in self._waiting or self._spent.get(network, 0.0) >= TURN_SECONDS:
            self._enqueue(served)
            return False
        self._run(served, network)
        return True

    def count(self, network: str, size: int, readers: int) -> None:
        """Lines of `network` with `size` bytes have been served, which so many may hear."""
        taken = self._taken[network] = self._taken.get(network, 0) + size
        if taken > UNCOUNTED_BYTES:
            self._count_anew_next_turn()
            if taken > TURN_BYTES:
                self._spend(network, size * readers * DELIVERY_SECONDS)

    def _enqueue(self, served: Served) -> None:
        self._waiting.setdefault(served.network, deque()).append(served)
        self._count_anew_next_turn()

    def _count_anew_next_turn(self) -> None:
        if self._next_turn is None:
            self._next_turn = self._clock.callLater(0, self._begin_turn)

    def _begin_turn(self) -> None:
        self._next_turn = None
        self._spent.clear()
        self._taken.clear()
        self._spent_by_all = 0.0
        end = self._seconds() + TURN_SECONDS
        while self._waiting and self._seconds() < end:
            network, queue = next(iter(self._waiting.items()))
            del self._waiting[network]
            served = queue.popleft()
            if queue:
                self._waiting[network] = queue  # as the last one
            self._run(served, network)
        if self._waiting:
            self._count_anew_next_turn()

    def _run(self, served: Served, network: str) -> None:
        start = self._seconds()
        self._running, self._until = served, start + SLICE_SECONDS
        try:
            if served.take_turn(self._until):
                self._enqueue(served)
        finally:
            self._running = None
            self._spend(network, self._seconds() - start)

    def _spend(self, network: str, seconds: float) -> None:
        self._spent[network] = self._spent.get(network, 0.0) + seconds
        self._spent_by_all += seconds
        if self._spent_by_all > UNCOUNTED_SECONDS:
            self._count_anew_next_turn()
