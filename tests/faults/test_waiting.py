"""How long one address can make everybody wait, with the default limits and all the connections
that these allow it. What a bystander measures meanwhile is in the table at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.faults.attackers import guests, repeated, strangers
from tests.faults.bystander import Bystander
from tests.faults.conftest import LONG
from tests.faults.defended import Defended

SECONDS = 5.0 if LONG else 1.5  # that an attack lasts
SOURCE = "127.0.0.66"

Waiting = Callable[[Bystander, str], AbstractContextManager[None]]


@pytest.fixture(scope="module", params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def shared(tls: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Defended]:
    """A server that has every default."""
    defended = Defended(tmp_path_factory.mktemp("defended"), tls=tls)
    yield defended
    defended.close()


@pytest.fixture
def defended(shared: Defended, request: pytest.FixtureRequest) -> Iterator[Defended]:
    failed_before = request.session.testsfailed
    yield shared
    if request.session.testsfailed > failed_before:
        shared.discard()


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


@pytest.mark.parametrize("kind", ENDLESS)
def test_bytes_without_end_of_those_who_have_no_name(
    defended: Defended, waiting: Waiting, kind: str
) -> None:
    server, bystander = defended.pair()
    with strangers(server, SOURCE) as attackers, waiting(bystander, f"nameless: {kind}"):
        attackers.send(ENDLESS[kind], SECONDS)


DRIPS = {
    "text": b"x",
    "IAC NOP": b"\xff\xf1",
    "a subnegotiation": b"\xff\xfa" + b"x" * 4000,
    "blank lines": b"\n",
}


@pytest.mark.parametrize("kind", DRIPS)
def test_bytes_one_by_one(defended: Defended, waiting: Waiting, kind: str) -> None:
    server, bystander = defended.pair()
    with strangers(server, SOURCE) as attackers, waiting(bystander, f"byte by byte: {kind}"):
        attackers.send(DRIPS[kind], SECONDS, at_once=1)


@pytest.mark.parametrize("kind", ENDLESS)
def test_bytes_without_end_of_those_who_are_in(
    defended: Defended, waiting: Waiting, kind: str
) -> None:
    server, bystander = defended.pair()
    with guests(server, SOURCE) as attackers, waiting(bystander, f"named: {kind}"):
        attackers.send(ENDLESS[kind], SECONDS)
