"""Looking for what is slow rather than for what raises: in each parser, and in each request."""

import json
import random
from collections.abc import Callable

import pytest
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.shortcuts import print_formatted_text

from chatservice.accounts import passwords
from chatservice.client.faces.looks import look
from chatservice.client.faces.rows import fit, wrap
from chatservice.client.faces.words import Wording
from chatservice.core import names
from chatservice.core.events import Refusal, Said
from chatservice.core.sanitize import safe_lines, sanitize
from chatservice.desktop import shaping
from chatservice.dialects import commands, jsonlines, schema
from chatservice.dialects.text import TEXT
from chatservice.gui import glyphs, lines
from chatservice.server import proxy_protocol, telnet
from chatservice.server.line import MAX_LINE
from chatservice.storage import words
from tests.faults.conftest import LONG
from tests.faults.shapes import costliest, seconds_of
from tests.unit.test_protocol import Door

INPUTS = 1_000_000 if LONG else 20_000  # of a parser
# Of a request, of bytes that come to a door, and into a terminal, which is the slowest of all.
REQUESTS, READS_MADE, PRINTED = (INPUTS, INPUTS, INPUTS) if LONG else (4_000, 1_000, 2_000)
READ = 32 * 1024  # what one read brings at most
# What is aimed at is 5 ms. A machine may be three times as slow, and a test no reason to complain.
MILLISECONDS_MOST = 50.0
GROWTH_MOST = 3.0  # of what takes more than a millisecond, if there is twice as much


def text(data: bytes) -> str:
    """A line, as it arrives."""
    return sanitize(data.partition(b"\n")[0].decode("utf-8", "replace"))


def seen(data: bytes) -> Said:
    return Said(1, 0.0, "lobby", "Alice", text(data))


WORDING = Wording("here")


def into_terminal(data: bytes) -> None:
    pieces = FormattedText(wrap(look(seen(data), WORDING, me="Bob"), 80))
    print_formatted_text(pieces, output=DummyOutput(), end="")


def into_window(data: bytes) -> None:
    for line in lines.lines(seen(data), WORDING, "Bob"):
        glyphs.shown(line.text)


def heard(data: bytes) -> bytes:
    """A server's line that has this in it."""
    return json.dumps(
        {
            "type": "said",
            "id": 1,
            "at": "2026-01-01T00:00:00Z",
            "room": "lobby",
            "from": "Alice",
            "text": data.decode("utf-8", "replace"),
        }
    ).encode()


PARSERS: dict[str, Callable[[bytes], object]] = {
    "commands.parse": lambda data: commands.parse(text(data)),
    "jsonlines.read": lambda data: jsonlines.read(data.partition(b"\n")[0]),
    "jsonlines.decode_event": jsonlines.decode_event,
    "jsonlines.decode_event, its text": lambda data: jsonlines.decode_event(heard(data)),
    "sanitize": lambda data: sanitize(data.decode("utf-8", "replace")),
    "safe_lines": lambda data: safe_lines(data + b"\n"),
    "text.read_talk": lambda data: TEXT.read_talk(data + b"\n"),
    "telnet": lambda data: telnet.OptionFilter().feed(data),
    "PROXY headers": proxy_protocol.parse,
    "names.checked": lambda data: names.checked(text(data)),
    "names.keys": lambda data: names.keys(text(data)[: names.MAX_LENGTH]),
    "passwords": lambda data: passwords.fit(text(data)),
    "words to search": lambda data: words.words(text(data)),
    "a search": lambda data: words.Query.parse(text(data)).matches("a b Bob é 1" * 20),
    "what is searched": lambda data: words.Query.parse("a bob é").matches(text(data)),
    "rendering, text": lambda data: TEXT.render(seen(data)),
    "rendering, JSON": lambda data: jsonlines.JSON.render(seen(data)),
    "looks": lambda data: look(seen(data), WORDING, me="Bob"),
    "terminal": into_terminal,
    "terminal, fitting": lambda data: fit(text(data), 80),
    "window": into_window,
    "right-to-left writing": lambda data: shaping.shown(text(data)),
}
DECLINED = (Refusal, proxy_protocol.BadHeader)


def examine(
    what: str,
    cost: Callable[[bytes], float],
    inputs: int,
    largest: int,
    figure: Callable[[str], None],
) -> None:
    seed = random.randrange(2**32)
    found = costliest(cost, inputs, largest, random.Random(seed))
    figure(
        f"slowest of {inputs} | {what:26} | {found.cost:7.3f} ms | {found.size:5} bytes | "
        f"half of it {found.half:7.3f} ms, x {found.growth:.1f} | {found.shape} (seed {seed})"
    )
    assert found.cost < MILLISECONDS_MOST
    assert found.cost < 1 or found.growth <= GROWTH_MOST


@pytest.mark.parametrize("parser", PARSERS)
def test_parser(parser: str, figure: Callable[[str], None]) -> None:
    parse = PARSERS[parser]

    def cost(data: bytes) -> float:
        def attempt() -> None:
            try:
                parse(data)
            except DECLINED:
                pass

        return seconds_of(attempt)

    examine(parser, cost, PRINTED if parser == "terminal" else INPUTS, MAX_LINE, figure)


REST = 20.0  # seconds after which all that is allowed at once is allowed again


class Room:
    """A server in this process, with people who hear what is said; anew after a while. `stays`: it
    is one connection that sends all inputs, as long as it lasts."""

    RENEWED = 2000  # inputs after which there is another

    def __init__(self, hello: bytes, *, stays: bool = True) -> None:
        self._hello = hello
        self._stays = stays
        self._inputs = 0

    def cost(self, data: bytes, step: int) -> float:
        """Of that, in reads of so many bytes, and all that follows from it."""
        if self._inputs % self.RENEWED == 0:
            self._open()
        self._inputs += 1
        if self._is_over() or not self._stays:
            if not self._transports[3].aborted:
                self._transports[3].abortConnection()
            self._connect()
        protocol, clock = self._protocol, self._door.clock

        def send() -> None:
            for start in range(0, len(data), step):
                protocol.dataReceived(data[start : start + step])
            clock.pump([0, 0, 0.3])

        seconds = seconds_of(send)
        clock.advance(REST)
        for each in self._transports:
            each.clear()
        return seconds

    def _open(self) -> None:
        self._door = Door()
        bob, transport = self._door.join("Bob")
        self._transports = [transport, *(self._door.join(name)[1] for name in ("Eve", "Tom"))]
        bob.dataReceived(b"".join(b"said number %d\n" % number for number in range(1000)))
        self._connect()

    def _connect(self) -> None:
        self._protocol, transport = self._door.connect()
        self._protocol.dataReceived(self._hello)
        self._door.clock.pump([0, 0.3])
        self._transports[3:] = [transport]

    def _is_over(self) -> bool:
        transport = self._transports[3]
        return transport.aborted or transport.disconnecting


# Bytes in one read, and in all reads.
READS = {"at once": (READ, READ), "byte by byte": (1, 256)}


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("hello", [b"", b"Speaker\n"], ids=["nameless", "named"])
def test_door(figure: Callable[[str], None], hello: bytes, reads: str) -> None:
    """Bytes, however they come."""
    room = Room(hello, stays=False)
    step, largest = READS[reads]
    what = f"door, {'named' if hello else 'nameless'}, {reads}"
    examine(what, lambda data: room.cost(data, step), READS_MADE, largest, figure)


# What people type, with the input in place of {}.
TYPED = (
    *(
        "{}",
        "/me {}",
        "/msg {} x",
        "/msg Bob {}",
        "/reply {}",
        "/nick {}",
        "/history {}",
        "/who {}",
    ),
    *("/search {}", "/register {}", "/password {}", "/unregister {}", "/help {}"),
    *("/join {}", "/part {}", "/switch {}", "/in lobby {}", "/in {} x", "/topic {}"),
    *("/whois {}", "/invite {}", "/quiet {}"),
)
REQUEST_EXAMPLES = {
    written["type"]: written
    for written in (
        jsonlines.REQUESTS.write(example)
        for example in schema.EXAMPLES
        if schema.vocabulary_of(example) is jsonlines.REQUESTS
    )
}


def asked(type_: str, field: str) -> dict[str, object]:
    """A request of that type, but for one of its fields."""
    return {key: value for key, value in REQUEST_EXAMPLES[type_].items() if key != field}


OBJECTS = [
    (type_, field)
    for type_ in jsonlines.REQUESTS.types
    for field in (*(each.key for each in jsonlines.REQUESTS.fields(type_)), "ref")
]


@pytest.mark.parametrize("typed", TYPED)
def test_typed_requests(figure: Callable[[str], None], typed: str) -> None:
    room = Room(b"Speaker\n")
    before, _, after = typed.encode().partition(b"{}")

    def cost(data: bytes) -> float:
        return room.cost(before + data.replace(b"\n", b" ") + after + b"\n", MAX_LINE)

    examine(f"request, {typed}", cost, REQUESTS, MAX_LINE - len(typed) - 1, figure)


@pytest.mark.parametrize("type_", jsonlines.REQUESTS.types)
def test_requests_of_programs(figure: Callable[[str], None], type_: str) -> None:
    """In each of its fields, be it made for that or not; as it comes, or escaped."""
    is_nameless = type_ == "hello"
    hello = b"" if is_nameless else b'{"type": "hello", "name": "Speaker"}\n'
    room = Room(hello, stays=not is_nameless)
    names_of_fields = [field for its, field in OBJECTS if its == type_]

    def cost(data: bytes) -> float:
        field = names_of_fields[sum(data[:8]) % len(names_of_fields)]
        given = data.decode("utf-8", "replace")
        line = json.dumps(
            {**asked(type_, field), field: given}, ensure_ascii=bool(data[-1:] > b"m")
        )
        return room.cost(line.encode()[: MAX_LINE - 1] + b"\n", MAX_LINE)

    examine(f"request, {type_}", cost, REQUESTS, MAX_LINE - 150, figure)
