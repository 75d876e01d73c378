"""The PROXY protocol: who is believed, and what is refused."""

import random
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.usage import UsageError

from chatservice.options import Options
from chatservice.server.peer_log import ABOUT_ONE, PeerLog
from chatservice.server.proxy_protocol import (
    HEADER_SECONDS,
    V2_SIGNATURE,
    BadHeader,
    Header,
    ProxiedFactory,
    parse,
)
from tests.support.people import QUESTION, Server

PROXY = "127.0.0.2"
V4 = bytes([198, 51, 100, 7, 192, 0, 2, 1]) + (5555).to_bytes(2) + (443).to_bytes(2)
V6 = bytes.fromhex("20010db8000000000000000000000007") * 2 + (5555).to_bytes(2) * 2


def v2(command: int, family: int, rest: bytes) -> bytes:
    return V2_SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2) + rest


FOUR = IPv4Address("TCP", "198.51.100.7", 5555)
SIX = IPv6Address("TCP", "2001:db8::7", 5555)
HEADERS: list[tuple[bytes, Any]] = [
    (b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n", FOUR),
    (b"PROXY TCP6 2001:db8:0:0::7 2001:db8::1 5555 443\r\n", SIX),
    (b"PROXY TCP6 ::ffff:198.51.100.7 ::1 5555 443\r\n", FOUR),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (v2(0x21, 0x11, V4), FOUR),
    (v2(0x21, 0x21, V6), SIX),
    (v2(0x21, 0x11, V4 + b"\x04\x00\x02no"), FOUR),  # an extension (TLV) follows
    (v2(0x20, 0x00, b""), None),  # LOCAL: the proxy itself, a health check
    (v2(0x20, 0x11, V4), None),
    (v2(0x21, 0x00, b""), None),  # unspecified
    (v2(0x21, 0x31, bytes(216)), None),  # UNIX
]
BAD = [
    b"Alice\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 5555\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 65536\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 -1 443\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 5555 443\r\n",
    b"PROXY TCP4 \xff.51.100.7 192.0.2.1 5555 443\r\n",
    b"PROXY TCP6 fe80::1%\x1b[2J ::1 5555 443\r\n",
    b"PROXY  TCP4 198.51.100.7 192.0.2.1 5555 443\r\n",
    b"PROXY SCTP 198.51.100.7 192.0.2.1 5555 443\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY " + b"x" * 200,
    V2_SIGNATURE + b"\x11\x11\x00\x0c" + V4,  # version 1 in the form of 2
    v2(0x22, 0x11, V4),
    v2(0x21, 0x11, V4[:-1]),
    v2(0x21, 0x41, V4),
]


class TestParsing:
    @pytest.mark.parametrize(("header", "source"), HEADERS)
    def test_a_header_in_whatever_pieces(self, header: bytes, source: Any) -> None:
        for length in range(len(header)):
            assert parse(header[:length]) is None
        assert parse(header) == Header(source, b"")
        assert parse(header + b"Alice\n") == Header(source, b"Alice\n")

    @pytest.mark.parametrize("data", BAD)
    def test_what_is_none(self, data: bytes) -> None:
        with pytest.raises(BadHeader):
            parse(data)

    @given(
        st.binary()
        | st.tuples(
            st.sampled_from([header for header, _ in HEADERS] + BAD),
            st.integers(0, 250),
            st.integers(0, 3),
            st.binary(max_size=4),
        ).map(lambda t: t[0][: t[1]] + t[3] + t[0][t[1] + t[2] :])
    )
    def test_no_bytes_are_too_much_for_it(self, data: bytes) -> None:
        try:
            header = parse(data)
        except BadHeader:
            return
        if header is None:
            assert len(data) < 16 + 65535
        else:
            assert data.endswith(header.rest)


class Greeter(Protocol):
    """Says whom it takes its peer for."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class GreeterFactory(ServerFactory):
    def __init__(self) -> None:
        self.greeters: list[Greeter] = []
        self.full = False

    def buildProtocol(self, addr: Any) -> Any:
        if self.full:
            return None
        self.greeters.append(Greeter(addr))
        return self.greeters[-1]


class Transport(StringTransport):
    """As `twisted.internet.tcp.Server`, as far as it is used here."""

    protocol: Any
    aborted = False

    @property
    def client(self) -> tuple[str, int]:
        peer = self.getPeer()
        return peer.host, peer.port

    def abortConnection(self) -> None:
        self.aborted = True


class Port:
    def __init__(self, *trusted: str) -> None:
        self.clock = Clock()
        self.served = GreeterFactory()
        networks = [ip_network(network) for network in trusted]
        self.factory = ProxiedFactory(self.served, networks, self.clock, PeerLog(self.clock).about)

    def connect(self, host: str) -> Transport:
        kind = IPv6Address if ":" in host else IPv4Address
        transport = Transport(peerAddress=kind("TCP", host, 1))
        transport.protocol = self.factory.buildProtocol(transport.getPeer())
        transport.protocol.makeConnection(transport)
        return transport


class TestConnections:
    @pytest.mark.parametrize(
        ("trusted", "host"),
        [
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("fd00::/8", "fd00::1"),
            ("fe80::/10", "fe80::1%eth0"),
        ],
    )
    def test_nothing_is_left_of_the_wrapper(self, trusted: str, host: str) -> None:
        port = Port("192.0.2.0/24", trusted)
        transport = port.connect(host)
        assert port.served.greeters == []
        transport.protocol.dataReceived(HEADERS[0][0] + b"hello")
        assert transport.protocol is port.served.greeters[0]
        assert transport.protocol.transport is transport
        assert transport.protocol.peer == FOUR
        assert transport.protocol.heard == b"hello"
        assert port.clock.getDelayedCalls() == []

    def test_a_proxy_that_says_nothing_is_closed(self) -> None:
        port = Port("10.0.0.1")
        transport = port.connect("10.0.0.1")
        transport.protocol.dataReceived(HEADERS[0][0][:-1])
        port.clock.advance(HEADER_SECONDS - 0.1)
        assert not transport.aborted
        with capturedLogs() as events:
            port.clock.advance(0.2)
        assert transport.aborted
        assert len(events) == 1

    def test_a_proxy_that_only_looks_whether_we_are_there_is_no_news(self) -> None:
        port = Port("10.0.0.1")
        transport = port.connect("10.0.0.1")
        with capturedLogs() as events:
            transport.protocol.connectionLost()
        assert events == []
        assert port.clock.getDelayedCalls() == []

    def test_others_are_served_at_once_and_by_themselves_after_their_first_bytes(self) -> None:
        port = Port("10.0.0.1")
        transport = port.connect("10.0.0.2")
        greeter = port.served.greeters[0]
        assert greeter.transport is transport
        for byte in b"PROXY\n":
            assert greeter.heard == b""
            transport.protocol.dataReceived(bytes([byte]))
        assert greeter.heard == b"PROXY\n"
        assert transport.protocol is greeter

    @pytest.mark.parametrize("step", [1, 100])
    @pytest.mark.parametrize("header", [HEADERS[0][0], HEADERS[5][0]])
    def test_others_cannot_forge_a_header(self, header: bytes, step: int) -> None:
        port = Port("10.0.0.1")
        transport = port.connect("10.0.0.2")
        with capturedLogs() as events:
            for start in range(0, len(header), step):
                if not transport.aborted:
                    transport.protocol.dataReceived(header[start : start + step])
        assert transport.aborted
        assert port.served.greeters[0].heard == b""
        assert [event["peer"] for event in events] == ["10.0.0.2:1"]

    @pytest.mark.parametrize(
        ("peer", "data"), [("10.0.0.1", BAD[0]), ("10.0.0.2", HEADERS[0][0])], ids=str
    )
    def test_nobody_fills_the_log_with_warnings(self, peer: str, data: bytes) -> None:
        port = Port("10.0.0.1")
        with capturedLogs() as events:
            for _ in range(10 * ABOUT_ONE):
                transport = port.connect(peer)
                transport.protocol.dataReceived(data)
                assert transport.aborted
        assert len(events) == ABOUT_ONE + 1
        assert events[0]["log_level"] is LogLevel.warn

    def test_who_is_not_let_in_is_closed(self) -> None:
        port = Port("10.0.0.1")
        transport = port.connect("10.0.0.1")
        port.served.full = True
        transport.protocol.dataReceived(HEADERS[0][0])
        assert transport.aborted
        assert port.factory.buildProtocol(IPv4Address("TCP", "10.0.0.2", 1)) is None

    def test_a_unix_socket_has_no_address_to_trust(self) -> None:
        port = Port("0.0.0.0/0")
        assert isinstance(port.factory.buildProtocol(UNIXAddress("")), Greeter)


@pytest.mark.parametrize("tls", [False, True])
class TestAServer:
    def test_knows_the_real_address(self, tmp_path: Path, tls: bool) -> None:
        with Server(tmp_path, "--proxy-protocol", PROXY, tls=tls) as server:
            server.wait_for_log("Listening on")
            for number, (header, source) in enumerate(HEADERS):
                alice = server.connect(PROXY, header)
                alice.hears(QUESTION)
                alice.types(f"Alice-{'x' * number}")
                host = source.host if source else f"behind {PROXY}"
                at = rf"\[?{host}\]?:\d+"
                server.wait_for_log(rf"Alice-{'x' * number} has joined from {at}")
                alice.leaves()
                server.wait_for_log(rf"Alice-{'x' * number} has left from {at}")
            server.wait_for_log(r"joined from 198\.51\.100\.7:5555")

    def test_takes_no_password_in_clear_from_who_knows_where(
        self, tmp_path: Path, tls: bool
    ) -> None:
        """The proxy is on this machine, but those behind it may be anywhere."""
        options = ("--proxy-protocol", PROXY, "--database", "db")
        local = b"PROXY TCP4 127.0.0.3 127.0.0.1 5555 443\r\n"
        with Server(tmp_path, *options, tls=tls) as server:
            somewhere, unknown = HEADERS[0][0], HEADERS[3][0]
            for number, header in enumerate([somewhere, unknown, local]):
                alice = server.connect(PROXY, header)
                alice.hears(QUESTION)
                alice.types(f"Alice-{'x' * number}", "/register correct horse battery")
                is_private = tls or header is local
                answer = "is now registered to you" if is_private else "is not encrypted"
                while answer not in alice.next_line():
                    pass

    def test_serves_others_directly_and_refuses_their_headers(
        self, tmp_path: Path, tls: bool
    ) -> None:
        with Server(tmp_path, "--proxy-protocol", PROXY, tls=tls) as server:
            server.join("PROXY")
            server.wait_for_log(r"PROXY has joined from 127\.0\.0\.1:\d+")
            for header, _ in HEADERS:
                server.tls = False  # they do not come as far as that
                forger = server.connect(first=header)
                while not forger.is_cut_off():
                    pass
            refused = r"127\.0\.0\.1:\d+ has sent a PROXY header, but is no trusted proxy"
            server.wait_for_log(len(HEADERS) * rf"(?s:.*{refused})")
            assert "198.51.100.7" not in server.log

    def test_does_not_listen_to_a_proxy_without_a_header(self, tmp_path: Path, tls: bool) -> None:
        """Whatever it sends instead."""
        seed = random.randrange(2**32)
        choose = random.Random(seed)
        with Server(tmp_path, "--proxy-protocol", "192.0.2.0/24," + PROXY, tls=tls) as server:
            server.tls = False
            for data in BAD:
                proxy = server.connect(PROXY, data)
                assert proxy.is_cut_off(), data
            server.wait_for_log(len(BAD) * r"(?s:.*127\.0\.0\.2:\d+ is a trusted proxy, but)")
            for _ in range(200):
                mutated = bytearray(choose.choice(HEADERS)[0])
                mutated[choose.randrange(len(mutated))] = choose.randrange(256)
                server.connect(PROXY, bytes(mutated) + b"Alice\n/exit\n").leaves()
            server.tls = tls
            server.join("Bob")
        assert "Traceback" not in server.log, seed


@pytest.mark.parametrize(
    ("addresses", "complaint"),
    [
        ("proxy.example", "'proxy.example' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("10.0.0.1,", "'' does not appear to be"),
    ],
)
def test_addresses_that_are_none(addresses: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"--proxy-protocol {addresses}: {complaint}"):
        Options().parseOptions(["--proxy-protocol", addresses])


def test_twisteds_own_wrapper_is_not_offered() -> None:
    with pytest.raises(UsageError, match="for that there is --proxy-protocol"):
        Options().parseOptions(["--port", "haproxy:tcp:1"])
