"""How long one address can make everybody wait, with the default limits and all the connections
that these allow it. What a bystander measures meanwhile is in the table at the end of the run."""

import itertools
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.attackers import (
    CONNECTIONS,
    Attackers,
    come_in,
    guests,
    repeated,
    strangers,
)
from tests.faults.bystander import Bystander
from tests.faults.conftest import ALL_ATTACKS, LONG, chosen
from tests.faults.defended import DefaultServer, Defended, cpu_seconds_in
from tests.support.people import PATIENCE, Person, Server

SECONDS = 5.0 if LONG else 1.5 if ALL_ATTACKS else 1.0  # that an attack lasts
SOURCES = (f"127.0.66.{number}" for number in itertools.count(1))  # each attack has its own

Choice = Callable[[str], tuple[Server, Bystander]]
Waiting = Callable[[Bystander, str], AbstractContextManager[None]]


@pytest.fixture(scope="module", params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# What is much the same through TLS.
tcp_at_least = pytest.mark.parametrize(
    "tls",
    [pytest.param(False, id="tcp"), *([pytest.param(True, id="tls")] if ALL_ATTACKS else [])],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def servers(
    tls: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Defended]]:
    """Two that several attacks come to in turn; without a database what is asked is answered within
    a turn of the reactor."""
    folder = tmp_path_factory.mktemp("defended")
    servers = {
        "by default": Defended(folder, tls=tls),
        "--database none": Defended(folder, "--database", "none", tls=tls),
    }
    yield servers
    for defended in servers.values():
        defended.close()


@pytest.fixture
def defended(
    servers: Mapping[str, Defended], request: pytest.FixtureRequest
) -> Iterator[Callable[[str], tuple[Server, Bystander]]]:
    failed_before = request.session.testsfailed
    yield lambda which: servers[which].pair()
    if request.session.testsfailed > failed_before:
        for each in servers.values():
            each.discard()


# Bytes that end no line: nobody ever says who they are.
ENDLESS = {
    "subnegotiations that do not end": repeated(b"\xff\xfa"),
    "one subnegotiation that does not end": repeated(b"\xff\xfa" + b"x" * 4000),
    "IAC NOP": repeated(b"\xff\xf1"),
    "IAC": repeated(b"\xff"),
    "options that are answered": repeated(b"\xff\xfb\x1f"),
    "text": repeated(b"x"),
    "halves of characters": repeated(b"\xc3"),
    "carriage returns": repeated(b"\r"),
    "the beginnings of an object": repeated(b'{"a":'),
    "blank lines": repeated(b"\n"),
    "blank lines amid options": repeated(b"\xff\xf1\n"),
}


@pytest.mark.parametrize(
    "kind", chosen(ENDLESS, "subnegotiations that do not end", "IAC NOP", "text", "blank lines")
)
def test_bytes_without_end_of_those_who_have_no_name(
    defended: Choice, waiting: Waiting, kind: str
) -> None:
    server, bystander = defended("by default")
    with strangers(server, next(SOURCES)) as attackers, waiting(bystander, f"nameless: {kind}"):
        attackers.send(ENDLESS[kind], SECONDS)


DRIPS = {
    "text": b"x",
    "IAC NOP": b"\xff\xf1",
    "a subnegotiation": b"\xff\xfa" + b"x" * 4000,
    "blank lines": b"\n",
}


@pytest.mark.parametrize("kind", chosen(DRIPS, "text", "a subnegotiation"))
def test_bytes_one_by_one(defended: Choice, waiting: Waiting, kind: str) -> None:
    server, bystander = defended("by default")
    with strangers(server, next(SOURCES)) as attackers, waiting(bystander, f"byte by byte: {kind}"):
        attackers.send(DRIPS[kind], SECONDS, at_once=1)


@pytest.mark.parametrize("kind", chosen(ENDLESS, "options that are answered", "blank lines"))
def test_bytes_without_end_of_those_who_are_in(
    defended: Choice, waiting: Waiting, kind: str
) -> None:
    server, bystander = defended("by default")
    with guests(server, next(SOURCES)) as attackers, waiting(bystander, f"named: {kind}"):
        attackers.send(ENDLESS[kind], SECONDS)


def test_sips(defended: Choice, waiting: Waiting) -> None:
    """They ask for much, and take a byte at a time."""
    server, bystander = defended("by default")
    with guests(server, next(SOURCES)) as attackers, waiting(bystander, "named: sips"):
        for person in attackers.people:
            with suppress(OSError):
                person.sends(b"/help\n/who\n/history 200\n" * 50)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for person in attackers.people:
                with suppress(OSError):
                    person.socket.recv(1)


class Requests(NamedTuple):
    """`line` makes the next request of one connection, of how many there have been; there are
    `times` for each of `count` connections."""

    line: Callable[[int, int], str]
    times: int = 500  # what may come at once
    count: int = CONNECTIONS  # type: ignore[assignment]  # a method of a tuple
    json: bool = False

    def of(self, number: int) -> bytes:
        """All that the connection of that number asks."""
        return "".join(self.line(number, time) + "\n" for time in range(self.times)).encode()


def all_of(requests: Sequence[Requests], attackers: Attackers) -> list[bytes]:
    """What each of them asks."""
    name = attackers.names[0].encode()
    return [
        each.of(number).replace(ONE_OF_THEM.encode(), name) for number, each in enumerate(requests)
    ]


def always(line: str) -> Callable[[int, int], str]:
    return lambda number, time: line


def asking(type_: str, **fields: object) -> Callable[[int, int], str]:
    return always(json.dumps({"type": type_, **fields}))


ONE_OF_THEM = "ATTACKER"  # instead of a name
# NFKD sorts accents by their classes, with a sort that is quadratic.
ACCENTS = "a" + "\u0301\u0316" * 2030
LIGATURES = "\ufdfa" * 2700  # each stands for 18 characters
NAME = "\u0430" + "\u0301\u0316" * 63

REQUESTS = {
    "names, each of 10": Requests(lambda n, t: f"/nick x{n}y{'ab'[t % 2]}", count=10),
    "names, each of 25": Requests(lambda n, t: f"/nick x{n}y{'ab'[t % 2]}", count=25),
    "names": Requests(lambda n, t: f"/nick x{n}y{'ab'[t % 2]}"),
    "names that are refused": Requests(always("/nick " + NAME)),
    "names that are taken": Requests(always("/nick bystander0")),
    "who is here": Requests(always("/who")),
    "who is here, of programs": Requests(asking("who"), json=True),
    "help": Requests(always("/help")),
    "commands that are none": Requests(always("/" + "x" * 8000), 100),
    "the newest messages": Requests(always("/history 200")),
    "pages": Requests(asking("history", limit=1000), json=True),
    "pages of messages": Requests(asking("history", limit=1000, messages=True), json=True),
    "the oldest pages": Requests(asking("history", limit=1000, after=0), json=True),
    "a search for one letter": Requests(always("/search a")),
    "a search for 1,000 words": Requests(always("/search " + "ab " * 1000), 200, 20),
    "a search for Chinese": Requests(always("/search " + "\u4e00" * 2000), 200, 20),
    "a search with accents": Requests(always("/search " + ACCENTS), 100, 20),
    "passwords of accents": Requests(always("/register " + ACCENTS), 100, 20),
    "accents": Requests(always(ACCENTS), 100, 20),
    "ligatures": Requests(always(LIGATURES), 100, 20),
    "accents for one": Requests(always(f"/msg {ONE_OF_THEM} {ACCENTS}"), 100, 20),
    "actions": Requests(always("/me waves")),
    "long lines": Requests(always("x" * 8000), 100),
    "short lines": Requests(always("x")),
    "lines that need sanitising": Requests(always("\x1b" * 8000), 100),
    "depth": Requests(always("[" * 8000), 100, json=True),
    "depth that ends": Requests(
        always('{"type": "who", "x": ' + "[" * 900 + "]" * 900 + "}"), 100, json=True
    ),
    "large numbers": Requests(always('{"type": "who", "x": ' + "9" * 4300 + "}"), 100, json=True),
    "long fractions": Requests(
        always('{"type": "who", "x": 0.' + "9" * 8000 + "}"), 100, json=True
    ),
    "many numbers": Requests(
        always('{"type": "who", "x": [' + "1e9," * 1990 + "0]}"), 100, json=True
    ),
    "many keys": Requests(
        always('{"type": "who", ' + "".join(f'"{n}":0,' for n in range(1000)) + '"x": 0}'),
        100,
        json=True,
    ),
    "escapes": Requests(asking("say", text=ACCENTS[:1300]), 100, json=True),
    "types that are none": Requests(asking("x" * 8000), 100, json=True),
    "long marks": Requests(asking("who", ref="\u0301" * 1300), 100, json=True),
    "writing": Requests(lambda n, t: json.dumps({"type": "typing", "on": not t % 2}), json=True),
}


@pytest.mark.parametrize("options", ["by default", "--database none"])
def test_requests_of_all_kinds(defended: Choice, waiting: Waiting, options: str) -> None:
    """Each kind of them by some, at once."""
    server, bystander = defended(options)
    kinds = list(itertools.islice(itertools.cycle(REQUESTS.values()), CONNECTIONS))
    whose = iter(kinds)

    def come(its: Attackers) -> Person:
        return come_in(its, json=next(whose).json)

    with (
        Attackers(server, next(SOURCES), come).gather() as attackers,
        waiting(bystander, f"{options}: requests of all kinds"),
    ):
        attackers.send(all_of(kinds, attackers), SECONDS, again=False, back=False)


WORST = (
    *("names, each of 25", "names that are refused", "actions", "long lines", "writing"),
    *("depth that ends",),
)


@tcp_at_least
@pytest.mark.parametrize("kind", chosen(REQUESTS, *WORST))
@pytest.mark.parametrize("options", ["by default", "--database none"])
def test_requests(defended: Choice, waiting: Waiting, options: str, kind: str) -> None:
    """As many as may come at once, of as many as may be here, or as harmful as fewer."""
    server, bystander = defended(options)
    asked = REQUESTS[kind]
    with (
        guests(server, next(SOURCES), asked.count, json=asked.json) as attackers,
        waiting(bystander, f"{options}: {kind}"),
    ):
        attackers.send(all_of([asked] * asked.count, attackers), SECONDS, again=False)


# In messages of which one half has "harbour" and the other "lantern".
SEARCHES = {
    "words that share no message": asking("search", words="harbour lantern"),
    "ten letters": asking("search", words="h a r b o l n t e i"),
    "1,000 words": asking("search", words="ha " * 1000),
    "a word that is nowhere": asking("search", words="nowhere"),
    "pages from anywhere": lambda n, t: json.dumps(
        {"type": "history", "limit": 1000, "after": (n * 7919 + t * 104729) % 100_000}
    ),
    "newest messages before anything": lambda n, t: json.dumps(
        {"type": "history", "limit": 1000, "before": (n * 7919 + t * 104729) % 100_000}
        | {"messages": True}
    ),
}
LINES = 110_000


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which much was said: some 7 MB."""
    folder = tmp_path_factory.mktemp("spoken")
    database = folder / "chat.sqlite3"
    with Server(folder, "--database", str(database)) as server:
        speaker = server.join("Speaker")
        for number in range(LINES):
            word = ("harbour", "lantern")[number % 2]
            speaker.sends(f"{number} the old {word} is where all of them go at night\n".encode())
        speaker.types("/me has said all")
        while speaker.next_line() != "* Speaker has said all":
            pass
        while cpu_seconds_in(server, 0.5) > 0.02:  # it makes its index
            pass
    return database


# Connections that are used up, and come again as fast as they can. {} stands for a number.
COMERS = {
    "names that are refused": f"{NAME}\n".encode() * 5,
    "names that come and go": b"comer{}\n/exit\n",
    "programs that come and go": b'{"type": "hello", "name": "comer{}"}\n{"type": "exit"}\n',
    "long lines": b"x" * 9000,
    "passwords": b'{"type": "hello", "name": "Owner", "password": "guess {}"}\n' * 5,
    "passwords of accents": json.dumps(
        {"type": "hello", "name": "Owner", "password": ACCENTS[:1300]}
    ).encode()
    + b"\n",
    "PROXY headers": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
}


@pytest.mark.parametrize(
    "kind", chosen(COMERS, "names that are refused", "programs that come and go")
)
def test_coming_again_and_again(defended: Choice, waiting: Waiting, kind: str) -> None:
    """Through TLS, each with its handshake."""
    server, bystander = defended("by default")
    numbers = itertools.count()

    def next_data() -> bytes:
        return COMERS[kind].replace(b"{}", str(next(numbers)).encode())

    with strangers(server, next(SOURCES)) as attackers, waiting(bystander, f"comers: {kind}"):
        attackers.send(next_data, SECONDS, again=False)


def test_connections_that_come_and_go(defended: Choice, waiting: Waiting) -> None:
    """Without a word, as many as there may be."""
    server, bystander = defended("by default")
    with strangers(server, next(SOURCES), 0) as attackers, waiting(bystander, "comers: silent"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(OSError):
                attackers.gather()
            attackers.leave()


def test_connections_that_are_refused(defended: Choice, waiting: Waiting) -> None:
    """One address has all that it may have, and asks for more."""
    server, bystander = defended("by default")
    with strangers(server, next(SOURCES)) as attackers, waiting(bystander, "comers: too many"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(OSError):
                server.forget([refused := server.connect_bare(attackers.source)])
                refused.leaves()


@pytest.mark.parametrize("count", [4, 100])
@pytest.mark.parametrize("kind", chosen(SEARCHES, "words that share no message"))
def test_searches_in_a_large_database(
    tmp_path: Path, waiting: Waiting, spoken: Path, kind: str, count: int
) -> None:
    """And however many wait for their answers, the server ends when it is asked to."""
    shutil.copyfile(spoken, tmp_path / "chat.sqlite3")
    options = ("--shutdown-timeout", "2")
    with DefaultServer(tmp_path, *options) as server, Bystander(server) as bystander:
        asked = Requests(SEARCHES[kind], 20, count, json=True)
        with guests(server, next(SOURCES), count, json=True) as attackers:
            with waiting(bystander, f"7 MB, {count} connections: {kind}"):
                attackers.send([asked.of(n) for n in range(count)], SECONDS, again=False)
            start = time.monotonic()
            server.stop()
            assert time.monotonic() - start < 2 + 3


@tcp_at_least
def test_history_of_a_log_full_of_notices(tls: bool, tmp_path: Path, waiting: Waiting) -> None:
    """There is no message among them, and whoever asks for one makes the server look at all."""
    with DefaultServer(tmp_path, "--database", "none", tls=tls) as server:
        with guests(server, next(SOURCES), 50) as fillers:
            for turn in range(400):
                for number, filler in enumerate(fillers.people):
                    filler.types(f"/nick filler{number}{'ab'[turn % 2]}")
                time.sleep(0.01)
        with Bystander(server) as bystander:
            for asked in (
                Requests(asking("history", limit=1, messages=True), 200, 10, json=True),
                Requests(asking("search", words="nothing"), 500, 10, json=True),
            ):
                kind = json.loads(asked.line(0, 0))["type"]
                with (
                    guests(server, next(SOURCES), asked.count, json=True) as attackers,
                    waiting(bystander, f"--database none, a log of notices: {kind}"),
                ):
                    attackers.send([asked.of(n) for n in range(10)], SECONDS, again=False)


@tcp_at_least
def test_history_while_the_disk_hangs(tls: bool, tmp_path: Path, waiting: Waiting) -> None:
    """Tens of thousands of messages are held for it, and looked through."""
    with DefaultServer(tmp_path, tls=tls) as server:
        with guests(server, next(SOURCES)) as speakers:
            locked = sqlite3.connect(tmp_path / "chat.sqlite3", isolation_level=None)
            locked.execute("BEGIN IMMEDIATE")
            said = Requests(lambda n, t: f"{n} {t}", 900 if LONG else 500)
            speakers.send([said.of(n) for n in range(CONNECTIONS)], 12 if LONG else 4, again=False)
        with Bystander(server) as bystander:
            for kind, line in {
                "newest": asking("history", limit=1000, messages=True),
                "oldest": asking("history", limit=1000, after=0),
            }.items():
                asked = Requests(line, 20, 10, json=True)
                with (
                    guests(server, next(SOURCES), 10, json=True) as attackers,
                    waiting(bystander, f"the disk hangs: history, {kind}"),
                ):
                    attackers.send([asked.of(n) for n in range(10)], SECONDS, again=False)
        locked.close()


def test_guesses_at_a_password(tls: bool, tmp_path: Path, waiting: Waiting) -> None:
    with DefaultServer(tmp_path, tls=tls) as server, Bystander(server) as bystander:
        with guests(server, "127.0.5.1", 1) as owners:
            owners.people[0].types("/register correct horse")
            server.wait_for_log("registered")
        sources = itertools.count()
        guess = b'{"type": "hello", "name": "attacker1", "password": "guess"}\n' * 5
        for source, who in (("127.0.5.2", "one address"), ("", "many addresses")):

            def come(its: Attackers) -> Person:
                return its.server.connect(its.source or f"127.0.6.{next(sources) % 250 + 1}")

            with (
                Attackers(server, source, come).gather() as attackers,
                waiting(bystander, f"guesses at a password, of {who}"),
            ):
                attackers.send(guess, SECONDS, again=False)


def test_tokens_that_are_used_again_and_again(defended: Choice, waiting: Waiting) -> None:
    """Programs that come in the place of themselves, which end and come back in turn."""
    server, bystander = defended("by default")
    source = next(SOURCES)
    with guests(server, source, 20, json=True) as programs:
        hellos = itertools.cycle(
            json.dumps({"type": "hello", "name": "again", "token": token}).encode() + b"\n"
            for token in programs.tokens
        )
        with strangers(server, source, 80) as attackers, waiting(bystander, "comers: tokens"):
            attackers.send(lambda: next(hellos), SECONDS, again=False)


@tcp_at_least
def test_the_end_of_a_server_that_is_attacked(
    tls: bool, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """It has been asked to end, and requests of all kinds wait."""
    with DefaultServer(tmp_path, "--shutdown-timeout", "2", tls=tls) as server:
        kinds = list(itertools.islice(itertools.cycle(REQUESTS.values()), CONNECTIONS))
        whose = iter(kinds)
        with Attackers(
            server, next(SOURCES), lambda its: come_in(its, json=next(whose).json)
        ).gather() as attackers:
            attackers.send(all_of(kinds, attackers), 0.5, again=False, back=False)
            server.process.terminate()
            start = time.monotonic()
            attackers.send(b"x\n" * 1000, 1, back=False)
            server.process.wait(PATIENCE * 3)
            seconds = time.monotonic() - start
        figure(f"ended after {seconds:.2f} s, of which people had 2")
        assert seconds < 2 + 3
