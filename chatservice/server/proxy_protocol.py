"""The PROXY protocol: the real address of those who come through a trusted proxy.

After https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, versions 1 and 2. Twisted's own
(``haproxy:``) trusts everyone, shows the address to `getPeer` alone, and has parsers that raise
more than they should (at an address that is not ASCII), refuse what they should not (a header in
two pieces, ``PROXY UNKNOWN``), and believe addresses that are none.
"""

import struct
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple

from twisted.internet import address
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.tcp import Server
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.core.addresses import address_text
from chatservice.core.limits import network_of

Network = IPv4Network | IPv6Network
TCPAddress = address.IPv4Address | address.IPv6Address

# Seconds for a proxy to send its header: the specification wants 3 at least, for a TCP retransmit.
HEADER_SECONDS = 5.0

V1_SIGNATURE = b"PROXY "
V1_BYTES = 107  # in the longest header of version 1, with its CRLF
V1_FAMILIES: dict[bytes, type[IPv4Address] | type[IPv6Address]] = {
    b"TCP4": IPv4Address,
    b"TCP6": IPv6Address,
}

V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_START = struct.Struct("!12sBBH")  # and the bytes that follow: 64 KiB at most
V2_VERSION = 0x20
V2_LOCAL, V2_PROXY = 0, 1
# Source and destination, ports of both.
V2_FAMILIES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
V2_OTHER_FAMILIES = (0x00, 0x12, 0x22, 0x31, 0x32)  # unspecified, datagrams, UNIX


class BadHeader(Exception):
    """This is no PROXY header."""


class Header(NamedTuple):
    """`source`: who is behind the proxy, or None if it does not say. `rest`: what came after the
    header."""

    source: TCPAddress | None
    rest: bytes


@implementer(IAddress)
class Unidentified:
    """The address of somebody whom a trusted proxy sends and does not name: itself, for a health
    check, or anybody anywhere. `host` is what they are counted for; it is no address, least of all
    the proxy's, which may be this machine, where nobody can listen to a password."""

    def __init__(self, proxy: TCPAddress) -> None:
        self.host = behind(proxy.host)
        self._text = f"behind {address_text(proxy)}"

    def __str__(self) -> str:
        return self._text


def behind(proxy: str) -> str:
    """Whom those are counted for whom the proxy at that address does not name."""
    return f"behind {proxy}"


def parse(data: bytes) -> Header | None:
    """The header that `data` begins with, or None as long as it is not complete.

    Raises `BadHeader`, and nothing else.
    """
    if data.startswith(V1_SIGNATURE):
        return _parse_v1(data)
    if data.startswith(V2_SIGNATURE):
        return _parse_v2(data)
    if may_begin_header(data):
        return None
    raise BadHeader


def may_begin_header(data: bytes) -> bool:
    """Whether a header begins with `data`, as far as it goes."""
    return V1_SIGNATURE.startswith(data) or V2_SIGNATURE.startswith(data)


def _parse_v1(data: bytes) -> Header | None:
    line, end, _ = data[:V1_BYTES].partition(b"\r\n")
    if not end:
        if len(data) < V1_BYTES:
            return None
        raise BadHeader
    rest = data[len(line) + len(end) :]
    match line.split(b" "):
        case [_, b"UNKNOWN", *_]:
            return Header(None, rest)
        case [_, family, *hosts, port, other_port] if family in V1_FAMILIES and len(hosts) == 2:
            source, _ = (_v1_host(V1_FAMILIES[family], host) for host in hosts)
            port_number, _ = (_v1_port(digits) for digits in (port, other_port))
            return Header(_tcp_address(source, port_number), rest)
    raise BadHeader


def _v1_host(kind: type[IPv4Address] | type[IPv6Address], host: bytes) -> IPv4Address | IPv6Address:
    if b"%" in host:  # a zone: Python takes any characters in it
        raise BadHeader
    try:
        return kind(host.decode("ascii"))
    except ValueError:
        raise BadHeader from None


def _v1_port(digits: bytes) -> int:
    if not digits.isdigit() or int(digits) > 0xFFFF:
        raise BadHeader
    return int(digits)


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < V2_START.size:
        return None
    _, version_and_command, family, length = V2_START.unpack_from(data)
    command = version_and_command - V2_VERSION
    if command not in (V2_LOCAL, V2_PROXY):
        raise BadHeader
    end = V2_START.size + length
    if len(data) < end:
        return None
    if command == V2_LOCAL or family in V2_OTHER_FAMILIES:
        return Header(None, data[end:])
    addresses = V2_FAMILIES.get(family)
    if addresses is None or length < addresses.size:
        raise BadHeader
    host, _, port, _ = addresses.unpack_from(data, V2_START.size)
    return Header(_tcp_address(ip_address(host), port), data[end:])


def _tcp_address(host: IPv4Address | IPv6Address, port: int) -> TCPAddress:
    host = _unmapped(host)
    kind = address.IPv4Address if host.version == 4 else address.IPv6Address
    return kind("TCP", str(host), port)


def _unmapped(host: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address is one, also where a socket of IPv6 shows it as ``::ffff:…``."""
    return (host.ipv4_mapped or host) if isinstance(host, IPv6Address) else host


class ProxiedFactory(ServerFactory):
    """Lets the connections of `trusted` proxies through under the address that they tell, and all
    others under their own. Nothing of it stays between a connection and its protocol. `note` takes
    a network, a line about it for the log, and values (see `PeerLog.about`)."""

    noisy = False

    def __init__(
        self,
        wrapped: IProtocolFactory,
        trusted: Sequence[Network],
        clock: IReactorTime,
        note: Callable[..., None],
    ) -> None:
        self.wrapped = wrapped
        self.clock = clock
        self._note = note
        self._trusted = tuple(trusted)

    def doStart(self) -> None:
        self.wrapped.doStart()
        super().doStart()

    def doStop(self) -> None:
        super().doStop()
        self.wrapped.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        if isinstance(addr, TCPAddress) and self._trusts(addr):
            return TrustedProxy(self)
        inner = self.wrapped.buildProtocol(addr)
        if inner is None or not isinstance(addr, TCPAddress):
            return inner
        return Stranger(self, inner)

    def refuse(self, transport: Server, why: str) -> None:
        """Cut somebody off, and warn the operator: `why` goes on after their address."""
        peer = transport.getPeer()
        self._note(
            network_of(peer.host),
            "{peer} {why}: refused.",
            level=LogLevel.warn,
            peer=address_text(peer),
            why=why,
        )
        transport.abortConnection()

    def _trusts(self, peer: TCPAddress) -> bool:
        host = _unmapped(ip_address(peer.host))
        return any(host in network for network in self._trusted)


class TrustedProxy(Protocol):
    """A connection that has to begin with a PROXY header."""

    transport: Server
    factory: ProxiedFactory

    def __init__(self, factory: ProxiedFactory) -> None:
        self.factory = factory
        self._received = b""

    def connectionMade(self) -> None:
        self._deadline = self.factory.clock.callLater(HEADER_SECONDS, self._refuse, "no")

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        try:
            header = parse(self._received)
        except BadHeader:
            self._refuse("a bad")
        else:
            if header is not None:
                self._hand_over(header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def _hand_over(self, header: Header) -> None:
        self._deadline.cancel()
        inner = self.factory.wrapped.buildProtocol(
            header.source or Unidentified(self.transport.getPeer())
        )
        if inner is None:
            self.transport.abortConnection()
            return
        self.transport.protocol = inner
        inner.makeConnection(self.transport)
        if header.rest:
            inner.dataReceived(header.rest)

    def _refuse(self, which: str) -> None:
        self.factory.refuse(
            self.transport, f"is a trusted proxy, but has sent {which} PROXY header"
        )


class Stranger(Protocol):
    """A connection that is served from the first moment, and must not claim to be a proxy's."""

    transport: Server
    factory: ProxiedFactory

    def __init__(self, factory: ProxiedFactory, inner: IProtocol) -> None:
        self.factory = factory
        self._inner = inner
        self._received = b""

    def connectionMade(self) -> None:
        self._inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if self._received.startswith((V1_SIGNATURE, V2_SIGNATURE)):
            self.factory.refuse(self.transport, "has sent a PROXY header, but is no trusted proxy")
        elif not may_begin_header(self._received):
            self.transport.protocol = self._inner
            self._inner.dataReceived(self._received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._inner.connectionLost(reason)
