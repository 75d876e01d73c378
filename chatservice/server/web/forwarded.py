"""Whose request it is, behind a proxy that ends HTTP."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from chatservice.server.proxy_protocol import Network, behind


class Client(NamedTuple):
    """Where a request came from, and whether it was `encrypted` as far as we are told."""

    host: str
    encrypted: bool


class Forwarding:
    """Believes ``X-Forwarded-For`` and ``X-Forwarded-Proto``, but only from the proxies that are
    `trusted`: anybody can send them."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def trusts(self, host: str) -> bool:
        """Whether `host` is such a proxy."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._trusted)

    def client(self, peer: str, forwarded_for: Sequence[str], proto: Sequence[str]) -> Client:
        """Whose request it is that `peer` has sent with these headers. (Each proxy appends its own
        peer: the last one that is not a proxy of ours is the client, who may have made up whatever
        stands before it. If it is no address, they are somewhere behind the last proxy.)"""
        if not self.trusts(peer):
            return Client(peer, False)
        host = peer
        for hop in reversed(",".join(forwarded_for).split(",")):
            try:
                host = str(ip_address(hop.strip()))
            except ValueError:
                host = behind(host)
                break
            if not self.trusts(host):
                break
        return Client(host, bool(proto) and proto[-1].strip().lower() == "https")
