"""Connections of one address, which send what does harm and do not care what comes back."""

import itertools
import selectors
import ssl
import time
from collections.abc import Callable, Sequence
from json import loads

from tests.support.people import PATIENCE, QUESTION, Person, Server

CONNECTIONS = 100  # what one address may have by default
# Bytes that an attacker keeps ready; one `send` takes no more of them than the kernel does.
AT_ONCE = 64 * 1024
_NUMBERS = itertools.count(1)  # of several at one server


class _Attacker:
    """`left`: what of `data` is still to be sent; it begins anew if `again`."""

    def __init__(self, person: Person, data: bytes, *, again: bool) -> None:
        self.person = person
        self.data = self.left = data
        self.again = again
        person.socket.setblocking(False)

    def write(self, at_once: int) -> int:
        sent = self.person.sends_some(self.left[:at_once])
        self.left = self.left[sent:]
        if not self.left and self.again:
            self.left = self.data
        return sent

    def read(self) -> None:
        """Take what is there. Raises OSError at the end."""
        try:
            while data := self.person.socket.recv(AT_ONCE):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        assert not data
        raise ConnectionError


def repeated(unit: bytes) -> bytes:
    """As much of it as is sent at once."""
    return unit * (AT_ONCE // len(unit))


class Attackers:
    """`count` connections from the address `source`.

    `come` makes one of them; it is called again, while they `send`, for each that has been closed.
    """

    def __init__(self, server: Server, source: str, come: "Callable[[Attackers], Person]") -> None:
        self.server = server
        self.source = source
        self.people: list[Person] = []
        self.sent = 0  # bytes, most of which the kernels may hold
        self.closed = 0  # connections, by the server
        self.tokens: list[str] = []  # that programs among them were given
        self._come = come
        self.names: list[str] = []  # of those who have come in
        self._number = next(_NUMBERS)

    def __enter__(self) -> "Attackers":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def gather(self, count: int = CONNECTIONS) -> "Attackers":
        """So many come."""
        self.people += [self._come(self) for _ in range(count)]
        return self

    def next_name(self) -> str:
        """Which nobody else has had: others may not have been noticed to be gone."""
        self.names.append(f"attacker{self._number}n{len(self.names)}")
        return self.names[-1]

    def send(
        self,
        data: bytes | Sequence[bytes] | Callable[[], bytes],
        seconds: float,
        *,
        again: bool = True,
        back: bool = True,
        takes: bool = True,
        at_once: int = AT_ONCE,
    ) -> None:
        """All of them send `data` (or each its own, or what it makes for each) for so long.

        `again`: without end, and else once. `back`: who has been cut off comes back. `takes`: they
        read what they are sent. `at_once`: bytes in one `send`.
        """
        count = len(self.people)
        make = data if callable(data) else None
        if callable(data):
            each: Sequence[bytes] = [data() for _ in range(count)]
        else:
            each = [data] * count if isinstance(data, bytes) else data
        with selectors.DefaultSelector() as selector:
            for person, theirs in zip(self.people, each, strict=True):
                self._watch(selector, _Attacker(person, theirs, again=again), takes=takes)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                for key, events in selector.select(min(left, 0.1)):
                    attacker: _Attacker = key.data
                    try:
                        if events & selectors.EVENT_WRITE:
                            self.sent += attacker.write(at_once)
                        if events & selectors.EVENT_READ:
                            attacker.read()
                        if not attacker.left:
                            self._watch(selector, attacker, takes=takes)
                    except OSError:
                        self._replace(selector, attacker, make, takes=takes, back=back)

    def _watch(self, selector: selectors.BaseSelector, attacker: _Attacker, *, takes: bool) -> None:
        wanted = (selectors.EVENT_READ if takes else 0) | (
            selectors.EVENT_WRITE if attacker.left else 0
        )
        if attacker.person.socket in selector.get_map():
            selector.unregister(attacker.person.socket)
        if wanted:
            selector.register(attacker.person.socket, wanted, attacker)

    def _replace(
        self,
        selector: selectors.BaseSelector,
        attacker: _Attacker,
        make: Callable[[], bytes] | None,
        *,
        takes: bool,
        back: bool,
    ) -> None:
        self.closed += 1
        selector.unregister(attacker.person.socket)
        attacker.person.leaves()
        self.people.remove(attacker.person)
        self.server.forget([attacker.person])
        if not back:
            return
        try:
            person = self._come(self)
        except (OSError, AssertionError):
            return
        self.people.append(person)
        data = attacker.data if make is None else make()
        self._watch(selector, _Attacker(person, data, again=attacker.again), takes=takes)

    def leave(self) -> None:
        """All of them close."""
        for person in self.people:
            person.leaves()
        self.server.forget(self.people)
        self.people.clear()


def strangers(server: Server, source: str, count: int = CONNECTIONS) -> Attackers:
    """They have connected, through TLS if the server speaks that, and never say who they are."""
    return Attackers(server, source, lambda its: its.server.connect(its.source)).gather(count)


def guests(
    server: Server, source: str, count: int = CONNECTIONS, *, json: bool = False
) -> Attackers:
    """They have come in, as people or as programs."""
    return Attackers(server, source, lambda its: come_in(its, json=json)).gather(count)


def come_in(attackers: Attackers, *, json: bool) -> Person:
    """Another one of them has come in, as a program or as a person."""
    name = attackers.next_name()
    person = attackers.server.connect(attackers.source)
    person.socket.settimeout(PATIENCE)
    person.hears(QUESTION)
    person.types(f'{{"type": "hello", "name": "{name}"}}' if json else name)
    welcome = '{"type": "welcome"' if json else f"Welcome {name}, "
    while not (line := person.next_line()).startswith(welcome):
        pass
    if json:
        attackers.tokens.append(loads(line)["token"])
    return person
