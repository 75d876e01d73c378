"""The servers that have been reached over TLS, and what their certificates were."""

import ipaddress
import os
from pathlib import Path

AUTHORITIES = "authorities"  # what is remembered instead of a fingerprint: they vouch for it


def known_servers_file() -> Path:
    """Where servers are remembered, as the XDG Base Directory Specification has it."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "chatservice" / "known_servers"


def place(host: str, port: int) -> str:
    """Under what a server is remembered: one word for all ways to write its host."""
    try:
        host = ipaddress.ip_address(host).compressed
    except ValueError:
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return f"{host.removesuffix('.').lower()}:{port}"


class KnownServers:
    """The servers that have been seen, in a file with a line for each: where it is, and the SHA-256
    fingerprint of its certificate, or that authorities vouch for it.

    Reads the file at once, which is before the reactor runs. Raises OSError, UnicodeDecodeError.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known = self._read()

    def get(self, where: str) -> str | None:
        """The fingerprint, or AUTHORITIES; None if it has not been seen."""
        return self._known.get(where)

    def remember(self, where: str, what: str) -> None:
        """One short line, once for each server. Raises OSError, UnicodeDecodeError."""
        self._known[where] = what
        self._known = {**self._read(), where: what}  # other clients remember, too
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{where} {what}\n" for where, what in self._known.items())
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(lines, encoding="utf-8")
        unfinished.replace(self.file)

    def _read(self) -> dict[str, str]:
        if not self.file.exists():
            return {}
        lines = (line.split() for line in self.file.read_text(encoding="utf-8-sig").splitlines())
        return {line[0]: line[1] for line in lines if len(line) == 2}
