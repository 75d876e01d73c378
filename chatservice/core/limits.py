"""How much one peer, and all of them together, may take."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from chatservice.core.events import ErrorCode

# A throttled connection is served this often, in seconds: few enough turns of the reactor, and
# nobody sees lines come in steps.
_SERVED_SECONDS = 0.1
# A part of a line. Without it, what is left may stay below one by the last bit of a float, which no
# wait is short enough for.
_ROUNDING = 1e-6
# Wrong passwords at once, and how many seconds until there may be one more: for one address, and
# for one account, which many addresses may be after, and its owner too.
GUESSES_OF_ADDRESS, ADDRESS_SECONDS = 10, 30.0
GUESSES_OF_ACCOUNT, ACCOUNT_SECONDS = 50, 30.0
# New passwords the same way: each takes as long. A class that registers is at one address.
PASSWORDS_OF_ADDRESS, NEW_PASSWORD_SECONDS = 30, 60.0
# What one network may have written to the disk, in bytes a second and at once (see `weights`). A
# hundred people who all talk take a twentieth of it, and twenty can paste 500 lines at once.
WRITTEN_A_SECOND, WRITTEN_AT_ONCE = 1_000_000.0, 8_000_000
# Seconds that somebody may have to wait at the door because others of their network write too much.
MAX_WRITE_WAIT = 5.0
# Lines in one text: as many as one event holds (see `room.MAX_BURST`).
MAX_LINES = 500
# What is told of errors: each once in so many seconds, and so many different ones. A traceback has
# 2 KB or so.
REPEAT_SECONDS = 60.0
MAX_TOLD = 60
MAX_REMEMBERED = 10_000  # addresses or accounts: some 2 MB; those longest quiet are forgotten


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator allows.

    max_users: connections at a time. 10,000 have been measured, at some 3 KiB each.
    max_per_address: of these from one address (IPv6: from one /64, which is what a household gets);
        0: any number. A hundred people can share the address of an office.
    login_timeout: seconds to say who one is, the handshake of TLS included. A minute is enough to
        think of a name.
    rate: lines a second from one connection, on average; 0: any number. Nobody reads faster.
    burst: lines that may come at once before that. A pasted file of 500 lines is not held up.
    ping: seconds until a peer that has vanished, or takes nothing of what it is sent, is given up.
        Wireless networks and suspended terminals come back sooner; a name should not stay with a
        ghost for longer.
    shutdown_timeout: seconds that people have to take what they are owed when the server ends. A
        service manager waits for longer (systemd: 90).
    """

    max_users: int = 10_000
    max_per_address: int = 100
    login_timeout: float = 60.0
    rate: float = 50.0
    burst: int = 500
    ping: float = 120.0
    shutdown_timeout: float = 10.0


@lru_cache(maxsize=1024)  # one text for all connections of an address
def network_of(host: str) -> str:
    """Whom the connections from `host` are counted for."""
    try:
        address = ip_address(host)
    except ValueError:
        return host  # a UNIX socket's, or what a test has
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((address.packed[:8] + bytes(8), 64)))
        address = address.ipv4_mapped
    return str(address)


def is_loopback(network: str) -> bool:
    """Whether `network`, as `network_of` says it, is this machine itself."""
    try:
        return ip_network(network).is_loopback or network == "::/64"  # ::1, as a household
    except ValueError:
        return False


class Admission:
    """Counts the connections that are let in. `limits` may be changed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all = 0
        self._from: Counter[str] = Counter()

    def admit(self, network: str) -> ErrorCode | None:
        """Let one in from `network` (empty: it has no address); or say why not."""
        most = self.limits.max_per_address
        if self._all >= self.limits.max_users:
            return ErrorCode.SERVER_FULL
        if most and network and self._from[network] >= most:
            return ErrorCode.ADDRESS_FULL
        self._all += 1
        self._from[network] += 1
        return None

    def count(self, network: str) -> int:
        """How many there are from `network`."""
        return self._from[network]

    def release(self, network: str) -> None:
        """One that was let in is gone."""
        self._all -= 1
        self._from[network] -= 1
        if not self._from[network]:
            del self._from[network]


class TokenBucket:
    """How many lines one connection may have served: `burst` at once, `rate` a second on average.

    `now` is in seconds, and may go backwards.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = max(burst, 1)
        self._left = float(self._burst)
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """How many of `wanted` lines may be served now."""
        self._fill(now)
        taken = max(min(wanted, int(self._left + _ROUNDING)), 0)
        self._left -= taken
        return taken

    def charge(self, cost: float, now: float) -> bool:
        """Take what something that has happened already costs, in lines. False: that was more than
        there was left, so that nothing is allowed for a while."""
        self._fill(now)
        self._left -= cost
        return self._left >= 0

    def give_back(self, lines: int) -> None:
        """They have not been served after all."""
        self._left += lines

    def forgive(self) -> None:
        """What is owed need not be paid: a few lines are allowed at once."""
        self._left = max(self._left, self._worth)

    def wait(self) -> float:
        """Seconds until it is worth asking again."""
        return max(self._worth - self._left, 0) / self._rate

    @property
    def _worth(self) -> float:
        return max(1.0, min(self._rate * _SERVED_SECONDS, self._burst))

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + max(now - self._at, 0) * self._rate)
        self._at = now


class Repeats:
    """What happens again and again, and is told once a minute. `seconds` tells the time."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._told: OrderedDict[str, float] = OrderedDict()  # and when; the longest ago is first
        self._since_told: Counter[str] = Counter()

    def count(self, what: str) -> int:
        """How often `what` has happened since it was last told, if it is to be told now; else 0.

        Of what has many forms, MAX_TOLD are told in a minute.
        """
        now = self._seconds()
        if what not in self._told and len(self._told) >= MAX_TOLD:
            oldest, told = next(iter(self._told.items()))
            if now - told < REPEAT_SECONDS:
                return 0
            del self._told[oldest], self._since_told[oldest]
        self._since_told[what] += 1
        if what in self._told and now - self._told[what] < REPEAT_SECONDS:
            return 0
        self._told[what] = now
        self._told.move_to_end(what)
        return self._since_told.pop(what)


class RateLimiter:
    """How often each of many may try something: so often at once, and once more after so many
    seconds. `seconds` tells the time."""

    def __init__(self, at_once: int, one_more: float, seconds: Callable[[], float]) -> None:
        self._at_once = at_once
        self._rate = 1 / one_more
        self._seconds = seconds
        self._left: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, who: str) -> bool:
        """Whether `who` may try."""
        return self._bucket(who).take(1, self._seconds()) == 1

    def charge(self, who: str, cost: float) -> float:
        """`who` has done what counts as `cost` of them. Returns the seconds until they may do
        more."""
        bucket = self._bucket(who)
        return 0.0 if bucket.charge(cost, self._seconds()) else bucket.wait()

    def give_back(self, who: str) -> None:
        """It does not count."""
        if who in self._left:
            self._left[who].give_back(1)

    def _bucket(self, who: str) -> TokenBucket:
        bucket = self._left.get(who)
        if bucket is None:
            bucket = TokenBucket(self._rate, self._at_once, self._seconds())
            self._left[who] = bucket
            if len(self._left) > MAX_REMEMBERED:
                self._left.popitem(last=False)
        self._left.move_to_end(who)
        return bucket


class WriteShares:
    """How much each network has written to the disk, or to the log in memory, which what is said
    drives out of it. `connections` tells how many a network has.

    What has been said is written, and then its author waits. What a network writes beyond its
    bound is shared by those who write it: each waits as long as their own part takes, if all the
    connections of the network write as much; so somebody with a line is not held up by the others.
    """

    def __init__(self, seconds: Callable[[], float], connections: Callable[[str], int]) -> None:
        self._written = RateLimiter(WRITTEN_AT_ONCE, 1 / WRITTEN_A_SECOND, seconds)
        self._connections = connections

    def charge(self, network: str, size: float) -> float:
        """`size` bytes are written for a connection of `network` (empty: it has no address).
        Returns the seconds that it has to wait."""
        if not network:
            return 0.0
        share = size * self._connections(network) / WRITTEN_A_SECOND
        return min(self._written.charge(network, size), share)

    def wait(self, network: str) -> float:
        """Seconds that somebody waits who comes from `network`."""
        return min(self._written.charge(network, 0), MAX_WRITE_WAIT) if network else 0.0
