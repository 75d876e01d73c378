"""Hostile peers at the web door: how long they make others wait, and what they cost in memory."""

import itertools
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.attackers import Attackers, repeated
from tests.faults.conftest import LONG
from tests.faults.defended import Defended
from tests.faults.test_waiting import Waiting
from tests.support.people import PATIENCE, Person, Server
from tests.support.websockets import CONTINUATION, PING, PONG, TEXT, WEB, WebSocket, frame, web_port

SECONDS = 4.0 if LONG else 1.0
COUNT = 20  # connections of one attacker; the door lets 100 in, and more are slow to prepare
MAX_GROWTH = 16 << 20  # bytes; the aim is 2 MB
SOURCES = (f"127.0.77.{number}" for number in itertools.count(1))
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def tls() -> bool:
    return False


@pytest.fixture(scope="module", params=["by default", "--rate 0"])
def defended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Defended]:
    options = ("--rate", "0") if request.param == "--rate 0" else ()
    defended = Defended(tmp_path_factory.mktemp("web"), "--web", WEB, *options, tls=False)
    yield defended
    defended.close()


def resident(server: Server) -> int:
    """Bytes of memory that the server has."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


def connected(server: Server, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web_port(server)), PATIENCE, (source, 0))


def upgraded(attackers: Attackers) -> Person:
    """A WebSocket of somebody who is in."""
    connection = connected(attackers.server, attackers.source)
    # Those of another attack, who have gone, may still be there: what they sent is served slowly.
    name = f"{attackers.next_name()}x{attackers.source.rpartition('.')[2]}"
    hello = json.dumps({"type": "hello", "name": name}).encode()
    try:
        connection.sendall(HANDSHAKE + frame(TEXT, hello))
        received = b""
        while b'"welcome"' not in received:
            data = connection.recv(65536)
            assert data, received
            received += data
    except BaseException:
        connection.close()
        raise
    return Person(connection)


def bare(attackers: Attackers) -> Person:
    """A connection that has said nothing."""
    return Person(connected(attackers.server, attackers.source))


FRAMES = {
    "empty messages": repeated(frame(TEXT)),
    "empty fragments": frame(TEXT, fin=False) + repeated(frame(CONTINUATION, fin=False)),
    "pings": repeated(frame(PING)),
    "pings of 125 bytes": repeated(frame(PING, b"x" * 125)),
    "pongs": repeated(frame(PONG)),
    "frames of 100 MB": struct.pack("!BBQ", 0x81, 0xFF, 100 << 20) + bytes(1 << 20),
    "frames without masks": repeated(frame(TEXT, b"x", mask=None)),
    "text that is not UTF-8": repeated(frame(TEXT, b"\xff")),
    "messages over the limit": repeated(frame(TEXT, b"x" * 9000)),
    "bytes without sense": bytes(range(256)) * 256,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames(
    defended: Defended, waiting: Waiting, figure: Callable[[str], None], kind: str
) -> None:
    server, bystander = defended.pair()
    with Attackers(server, next(SOURCES), upgraded).gather(COUNT) as attackers:
        before = resident(server)
        with waiting(bystander, f"WebSocket: {kind}"):
            attackers.send(FRAMES[kind], SECONDS)
        grown = resident(server) - before
    figure(f"{grown / (1 << 20):.1f} MB more, {attackers.sent >> 10} KiB sent")
    assert grown < MAX_GROWTH


REQUESTS = {
    "pages": repeated(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "what is not there": repeated(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "headers without end": b"GET / HTTP/1.1\r\n" + repeated(b"X: x\r\n"),
    "a header without end": b"GET / HTTP/1.1\r\nX: " + repeated(b"x"),
    "bodies": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n"
    + bytes(1 << 20),
    "chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    + repeated(b"1\r\nx\r\n"),
    "empty lines": repeated(b"\r\n"),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests(
    defended: Defended, waiting: Waiting, figure: Callable[[str], None], kind: str
) -> None:
    server, bystander = defended.pair()
    with Attackers(server, next(SOURCES), bare).gather(COUNT) as attackers:
        before = resident(server)
        with waiting(bystander, f"HTTP: {kind}"):
            attackers.send(REQUESTS[kind], SECONDS)
        grown = resident(server) - before
    figure(f"{grown / (1 << 20):.1f} MB more, {attackers.sent >> 10} KiB sent")
    assert grown < MAX_GROWTH


def test_a_post_of_a_gigabyte_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with Server(tmp_path, "--web", WEB, environment={"TMPDIR": str(temporary), "PATH": ""}) as chat:
        with socket.create_connection(("127.0.0.1", web_port(chat)), PATIENCE) as eve:
            eve.sendall(
                b"POST /hooks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n"
            )
            answer = eve.recv(65536)
            assert answer.startswith(b"HTTP/1.1 413 ")
        held = [str(path.readlink()) for path in Path(f"/proc/{chat.process.pid}/fd").iterdir()]
        assert not [path for path in held if path.startswith(str(temporary))]
        assert list(temporary.iterdir()) == []


def test_a_handshake_that_drips_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte would put off a deadline that begins anew. (It is shorter here than it is.)"""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.abc, importlib.util\n"
        "class Shorter(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name != 'chatservice.server.web.http': return None\n"
        "        sys.meta_path.remove(self)\n"
        "        spec = importlib.util.find_spec(name)\n"
        "        load = spec.loader.exec_module\n"
        "        def shorter(module):\n"
        "            load(module)\n"
        "            module.REQUEST_SECONDS = 1.5\n"
        "        spec.loader.exec_module = shorter\n"
        "        return spec\n"
        "sys.meta_path.insert(0, Shorter())\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    with Server(tmp_path, "--web", WEB, environment=environment) as chat:
        began = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", web_port(chat)), PATIENCE) as eve,
            suppress(ConnectionError),
        ):
            for byte in itertools.cycle(HANDSHAKE):
                eve.send(bytes([byte]))
                time.sleep(0.05)
                assert time.monotonic() - began < 5
        with WebSocket(web_port(chat)) as alice:
            alice.comes_in("Alice")
