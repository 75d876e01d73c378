"""Whether a request is for us, and from one of our own pages.

Any page that somebody has open can make their browser send requests here, and, by changing what its
own name resolves to (DNS rebinding), even under that name. So a request must be for a host that we
know to be ours; and if it says which page it comes from (Origin), that must be a page of that host.
Programs that are not browsers send no Origin, and pass.
"""

import re
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?", re.ASCII)


class Hosts:
    """The names that are ours: IP addresses, localhost, the machine's own name, and `names`, among
    which ``*.example.org`` stands for each name with one more part."""

    def __init__(
        self, names: Iterable[str] = (), certified: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """`names`: by which people reach us, be it through a proxy that calls us otherwise;
        `certified`: tells those in our certificate, which may be replaced."""
        self._published = frozenset(map(_normal, names))
        machine = _normal(socket.gethostname())
        self._own = self._published | {"localhost", machine, f"{machine}.local"}
        self._certified = certified

    def are_ours(self, host: str) -> bool:
        """Whether `host`, as a request gives it, perhaps with a port, is one of them."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"]
        name = _normal(name)
        return (
            _is_address(name)
            or _is_among(self._own, name)
            or _is_among(frozenset(map(_normal, self._certified())), name)
        )

    def may_come_from(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may send a request to `host`, which is ours. It may if it is a
        page of that host, or of a name by which people reach us."""
        try:
            parts = urlsplit(origin)
            name = parts.hostname
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not name:
            return False
        return parts.netloc.lower() == host.lower() or _is_among(self._published, _normal(name))


def _is_among(names: frozenset[str], name: str) -> bool:
    _, dot, rest = name.partition(".")
    return name in names or (bool(dot) and f"*.{rest}" in names)


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
