"""Random bytes and mutated transcripts, into every parser; at full length a million."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from twisted.logger import LogEvent, capturedLogs

from chatservice.core import names
from chatservice.core.events import Refusal
from chatservice.core.sanitize import safe_lines, sanitize
from chatservice.dialects import commands, jsonlines
from chatservice.server import proxy_protocol as proxied
from chatservice.server import telnet
from tests.faults.conftest import LONG
from tests.unit.test_protocol import Door

INPUTS = 1_000_000 if LONG else 15_000
PAGE = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
LINES = [
    line.encode() for line in re.findall(r"^\w+ *> ?(.*)$", PAGE.read_text(), re.MULTILINE) if line
]
LINES += [
    *(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"PROXY UNKNOWN\r\n", proxied.V2_SIGNATURE),
    proxied.V2_SIGNATURE + b"\x21\x11\0\x0c" + bytes(range(1, 13)),
    *(b"\xff\xfd\x01", b"\xff\xfa\x18x\xff\xf0", "/msg Ａｌｉｃｅ \u202e سلام 👋🏽".encode()),
]
SPECIAL = [b"\xff", b"\n", b"\r", b"{", b"}", b'"', b"\\ud800", b"/", b"\0", b"\x1b", b" "]
SPECIAL += [
    "\u0301".encode(),
    "\u2028".encode(),
    b"\xed\xa0\x80",
    b"1e999",
    b"-0",
    b"9" * 99,
    b"[" * 999,
]


def inputs(choose: random.Random) -> bytes:
    """A line or a few, mutated; or anything."""
    if choose.random() < 0.2:
        return choose.randbytes(choose.randrange(64))
    data = b"\n".join(choose.choices(LINES, k=choose.choice((1, 1, 1, 2, 4))))
    for _ in range(choose.choice((0, 1, 1, 2, 5))):
        start = choose.randrange(len(data) + 1)
        end = start + choose.choice((0, 0, 1, 2, 9))
        piece = choose.choice(
            (b"", choose.randbytes(2), choose.choice(SPECIAL), choose.choice(LINES)[:9])
        )
        data = data[:start] + piece + data[end:]
    return data


def line(data: bytes) -> str:
    return sanitize(data.partition(b"\n")[0].decode("utf-8", "replace"))


def into_sanitised(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass" if data.isascii() else "replace")
    assert sanitize(sanitize(text)) == sanitize(text)


def into_safe_lines(data: bytes) -> None:
    for safe in safe_lines(data + b"\n") or ():
        assert sanitize(safe) == safe


def into_telnet(data: bytes) -> None:
    rest, answer, _ = telnet.OptionFilter().feed(data)
    assert len(rest) <= len(data)
    assert len(answer) <= len(data)


PARSERS: dict[str, Callable[[bytes], object]] = {
    "commands.parse": lambda data: commands.parse(line(data)),
    "names.checked": lambda data: names.checked(line(data)[:200]),
    "jsonlines.read": lambda data: jsonlines.read(data.partition(b"\n")[0]),
    "screen.sanitised": into_sanitised,
    "screen.safe_lines": into_safe_lines,
    "telnet.OptionFilter": into_telnet,
    "proxied.parse": proxied.parse,
}


@pytest.mark.parametrize("parser", PARSERS)
def test_parser(parser: str, figure: Callable[[str], None]) -> None:
    """It raises what it says and nothing else, and is never slow."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    longest, start = 0.0, time.monotonic()
    for _ in range(INPUTS):
        data = inputs(choose)
        began = time.perf_counter()
        try:
            PARSERS[parser](data)
        except (Refusal, proxied.BadHeader):
            pass
        except Exception as error:
            raise AssertionError(f"{data!r} (seed {seed})") from error
        longest = max(longest, time.perf_counter() - began)
    figure(f"{INPUTS} inputs in {time.monotonic() - start:.0f} s, {longest * 1000:.1f} ms at most")


def test_a_whole_connection(figure: Callable[[str], None]) -> None:
    """Reads cut anywhere, for many connections at a time; none ends but by its own doing."""
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    door = Door()
    failures: list[LogEvent] = []
    with capturedLogs() as events:
        people = [door.connect() for _ in range(8)]
        for number in range(INPUTS):
            index = choose.randrange(len(people))
            protocol, transport = people[index]
            if transport.aborted or protocol.connection.session.closing or choose.random() < 0.002:
                if not transport.aborted:
                    transport.abortConnection()
                people[index] = door.connect()
                continue
            protocol.dataReceived(inputs(choose) + choose.choice((b"\n", b"\r\n", b"")))
            if number % 8 == 0:
                door.clock.advance(choose.choice((0, 0.01, 0.3)))
                failures += [event for event in events if "log_failure" in event]
                cast("list[LogEvent]", events).clear()
                for _, their in people:
                    their.clear()
        assert not failures, f"{failures[0]['log_failure'].getTraceback()} (seed {seed})"
        for _, transport in people:
            if not transport.aborted:
                transport.abortConnection()
        assert door.factory.users == {}
        assert not door.factory.connections
    figure(f"{INPUTS} reads")
