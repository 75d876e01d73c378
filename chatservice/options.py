"""The command line of ``twistd chat``."""

from __future__ import annotations

import math
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from twisted.cred import strcred
from twisted.cred.checkers import FilePasswordDB
from twisted.cred.credentials import IUsernamePassword
from twisted.internet.endpoints import StandardIOEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python import usage

import chatservice
import twisted
from chatservice.accounts.passwords import MAX_PASSWORD, MIN_PASSWORD
from chatservice.core.limits import Limits
from chatservice.core.log import MAX_PAGE_EVENTS
from chatservice.core.sanitize import sanitize
from chatservice.server.proxy_protocol import Network
from chatservice.session.asker import Settings
from chatservice.storage.sqlite.retention import KEEP_ALL, Keep

if TYPE_CHECKING:
    from chatservice.server.tls import ServerCertificate

DEFAULT_PORT = "12345"
DEFAULT_DATABASE = "chat.sqlite3"
DEFAULT = Limits()
_HOST = re.compile(r"(?=.{1,63}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
MAX_PORT = 65535
# Connections that may wait to be accepted: as many as Linux allows (net.core.somaxconn, since 5.4).
# A thousand people who reconnect in one moment were in after 0.3 s with 4096, after 1.3 s with 511,
# and not within a minute with Twisted's 50.
BACKLOG = 4096
MOTD_BYTES = 16 * 1024  # a message of the day that is longer is a mistake
# Twisted's endpoints for which there is an option that does more: the first takes weak suites and
# never reads its files again, the second believes everyone.
BETTER_OPTIONS = {"ssl:": "--tls", "haproxy:": "--proxy-protocol"}


class Options(usage.Options, strcred.AuthOptionMixin):
    """The command line."""

    supportedInterfaces = (IUsernamePassword,)

    synopsis = (
        "[--port PORT]... [--tls PORT]... [--certificate FILE [--key FILE]] "
        "[--irc PORT]... [--irc-tls PORT]... [--irc-name NAME] [--irc-no-lobby] "
        "[--proxy-protocol ADDRESSES] [--database FILE] [--history N] [--keep HOW] "
        "[--motd FILE] [--echo] [--log-messages] [--members-only] [--auth CHECKER]... "
        "[--allow-plaintext-passwords] "
        "[--max-users N] [--max-per-address N] [--login-timeout SECONDS] [--rate LINES[:BURST]] "
        "[--ping SECONDS] [--shutdown-timeout SECONDS]"
    )
    longdesc = """A chat server. People join with nc, telnet or python -m chatservice.client."""
    optFlags = [  # noqa: RUF012 (Twisted's way)
        ["echo", None, "send people their own messages too"],
        ["irc-no-lobby", None, "newcomers at --irc begin in no room, instead of the lobby"],
        ["members-only", None, "admit registered names alone"],
        [
            *("allow-plaintext-passwords", None),
            "take passwords over connections that others can listen to, too",
        ],
        ["log-messages", None, "write public messages into the server's log"],
    ]
    optParameters = [  # noqa: RUF012
        [
            *("certificate", None, None),
            "the certificate for --tls (PEM), with the chain after it; read again on SIGHUP "
            "[default: one is made and kept]",
        ],
        [
            *("irc-name", None, "chat.invalid"),
            "the server's name in what IRC clients are sent, which looks like that of a host",
        ],
        [
            *("password-length", None, MIN_PASSWORD),
            "characters that a new password must have",
        ],
        ["key", None, None, "its private key (PEM) [default: in the certificate's file]"],
        [
            *("database", None, DEFAULT_DATABASE),
            "the SQLite file that what is said is kept in; none: it is forgotten in the end",
        ],
        ["history", None, Settings().history, "messages shown to a newcomer"],
        [
            *("keep", None, "all"),
            "how long messages are kept, as in 30d, or how many, as in 100000; all",
        ],
        ["motd", None, None, "a text file (UTF-8) whose lines are shown after the welcome"],
        ["max-users", None, DEFAULT.max_users, "connections at a time"],
        [
            *("max-per-address", None, DEFAULT.max_per_address),
            "connections from one address (IPv6: one /64); 0: any number",
        ],
        ["login-timeout", None, DEFAULT.login_timeout, "seconds to say who one is"],
        [
            *("rate", None, f"{DEFAULT.rate:g}:{DEFAULT.burst}"),
            "lines a second from one connection, and how many at once before that (those of ten "
            "seconds, if it is not given); 0: any number",
        ],
        [
            *("ping", None, DEFAULT.ping),
            "seconds until a peer that has vanished, or takes nothing, is given up",
        ],
        [
            *("shutdown-timeout", None, DEFAULT.shutdown_timeout),
            "seconds that people have to take what they are owed in the end",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[str] = []
        self.tls_ports: list[str] = []
        self.irc_ports: list[str] = []
        self.irc_tls_ports: list[str] = []
        self.proxies: list[Network] = []

    def opt_port(self, value: str) -> None:
        """A port number, or a Twisted endpoint description such as
        tcp:12345:interface=127.0.0.1; may be given more than once; none for no port
        but that of --tls. [default: 12345]"""
        self.ports.append(value)

    opt_p = opt_port

    def opt_tls(self, value: str) -> None:
        """A port for TLS beside the plain one: what --port takes; may be given more than once."""
        self.tls_ports.append(value)

    def opt_irc(self, value: str) -> None:
        """A port for IRC clients: what --port takes; may be given more than once."""
        self.irc_ports.append(value)

    def opt_irc_tls(self, value: str) -> None:
        """The same, with TLS."""
        self.irc_tls_ports.append(value)

    def opt_proxy_protocol(self, value: str) -> None:
        """The addresses or networks of trusted proxies, such as 10.0.0.1,fd00::/8: they must send
        a PROXY header, and nobody else may; may be given more than once."""
        for item in value.split(","):
            try:
                self.proxies.append(ip_network(item.strip()))
            except ValueError as error:
                raise usage.UsageError(f"--proxy-protocol {value}: {error}.") from error

    def opt_version(self) -> None:
        """Print the version of chatservice and of Twisted, and exit."""
        print(f"chatservice {chatservice.__version__}, Twisted {twisted.__version__}")
        sys.exit(0)

    for _option in (opt_port, opt_tls, opt_irc, opt_irc_tls, opt_proxy_protocol):
        _option.__doc__ = " ".join((_option.__doc__ or "").split())  # Twisted keeps the blanks

    def postOptions(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 (after twistd has installed it)

        ports = self.ports or [DEFAULT_PORT]
        if "none" in ports:
            others = self.tls_ports + self.irc_ports + self.irc_tls_ports
            if len(ports) > 1 or not others:
                raise usage.UsageError(
                    "--port none: there must be --tls or --irc then, and no other --port."
                )
            ports = []
        self["endpoints"] = [_endpoint(reactor, "--port", value) for value in ports]
        self["tls-endpoints"] = [_endpoint(reactor, "--tls", value) for value in self.tls_ports]
        self["irc-endpoints"] = [_endpoint(reactor, "--irc", value) for value in self.irc_ports]
        self["irc-tls-endpoints"] = [
            _endpoint(reactor, "--irc-tls", value) for value in self.irc_tls_ports
        ]
        if not _HOST.fullmatch(self["irc-name"]):
            raise usage.UsageError(f"--irc-name {self['irc-name']}: not the name of a host.")
        encrypted = self.tls_ports + self.irc_tls_ports
        for option, needed, there in (
            ("certificate", "--tls", encrypted),
            ("key", "--certificate", self["certificate"]),
        ):
            if self[option] is not None and not there:
                raise usage.UsageError(f"--{option} needs {needed}.")
        self["server-certificate"] = self._server_certificate() if encrypted else None
        self["limits"] = self._limits()
        self["password-length"] = int(
            _number("--password-length", self["password-length"], 1, MAX_PASSWORD)
        )
        self["history"] = int(_number("--history", self["history"], 0, MAX_PAGE_EVENTS))
        self["kept"] = _kept(str(self["keep"]))
        if not self["database"]:
            raise usage.UsageError("--database: the name of a file, or none.")
        checkers = self.get("credCheckers", [])
        if self["members-only"] and not checkers:
            if self["database"] == "none":
                raise usage.UsageError("--members-only needs a --database, or --auth.")
            if hashing_module() is None:
                raise usage.UsageError(
                    "--members-only needs argon2-cffi: install the extra 'accounts' "
                    "(see Installation in the README)."
                )
        for checker in checkers:
            if isinstance(checker, FilePasswordDB):
                _expect_readable("--auth", Path(checker.filename))
        self["motd"] = _motd(self["motd"]) if self["motd"] is not None else ()

    def _limits(self) -> Limits:
        rate, colon, burst = str(self["rate"]).partition(":")
        per_second = _number("--rate", rate, 0, 1_000_000)
        at_once = burst if colon else per_second * 10 + 1
        return Limits(
            max_users=int(_number("--max-users", self["max-users"], 1, 1_000_000)),
            max_per_address=int(_number("--max-per-address", self["max-per-address"], 0, 1e6)),
            login_timeout=_number("--login-timeout", self["login-timeout"], 1, 86400),
            rate=per_second,
            burst=int(_number("--rate BURST", at_once, 1, 10_000_001)),
            ping=_number("--ping", self["ping"], 8, 86400),
            shutdown_timeout=_number("--shutdown-timeout", self["shutdown-timeout"], 0, 3600),
        )

    def _server_certificate(self) -> ServerCertificate:
        try:
            from chatservice.server import tls  # noqa: PLC0415 (what it needs is an extra)
        except ModuleNotFoundError as error:
            raise usage.UsageError(
                f"--tls needs {error.name}: install the extra 'tls' "
                "(see Installation in the README)."
            ) from error
        files = [
            Path(self[option]) for option in ("certificate", "key") if self[option] is not None
        ]
        try:
            return tls.ServerCertificate(*files)
        except tls.BadCertificate as error:
            raise usage.UsageError(f"--tls: {error}") from error


def _endpoint(reactor: object, option: str, value: str) -> IStreamServerEndpoint:
    given = f"{option} {value}"
    for prefix, better in BETTER_OPTIONS.items():
        if value.startswith(prefix):
            raise usage.UsageError(f"{given}: for that there is {better}.")
    if value.isdecimal():
        if int(value) > MAX_PORT:
            raise usage.UsageError(f"{given}: a port number is {MAX_PORT} at most.")
        value = f"tcp:{int(value)}"
    if value.startswith(("tcp:", "tcp6:", "unix:")) and ":backlog=" not in value:
        value += f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, value)
    except Exception as error:  # whatever an endpoint's parser raises, it is about the value
        raise usage.UsageError(
            f"{given}: neither a port number nor a Twisted endpoint description "
            f"({type(error).__name__}: {error})."
        ) from error
    if isinstance(endpoint, StandardIOEndpoint):
        raise usage.UsageError(f"{given}: a chat needs more than one connection.")
    return endpoint


def _number(option: str, value: object, least: float, most: float) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise usage.UsageError(f"{option} {value}: a number from {least:.0f} to {most:.0f}.")
    return number


def _kept(value: str) -> Keep:
    if value == "all":
        return KEEP_ALL
    try:
        if value.endswith("d"):
            return Keep(days=_number("--keep", value[:-1], 0, 100_000))
        return Keep(messages=int(_number("--keep", value, 1, 1e12)))
    except usage.UsageError as error:
        raise usage.UsageError(f"{error} Messages are 1000, days are 30d; or all.") from None


def _expect_readable(option: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise usage.UsageError(f"{option}: {error}") from error


def _motd(path: str) -> tuple[str, ...]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOTD_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise usage.UsageError(f"--motd {path}: {error}") from error
    if len(data) > MOTD_BYTES:
        raise usage.UsageError(f"--motd {path}: longer than {MOTD_BYTES} bytes.")
    return tuple(sanitize(line) for line in text.splitlines())


def hashing_module() -> ModuleType | None:
    """None: what it needs is an extra, and is not there."""
    try:
        from chatservice.accounts import hashing  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    return hashing
