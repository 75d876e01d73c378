"""The command line of ``twistd chat``."""

from __future__ import annotations

import getopt
import math
import os
import re
import sys
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Self

from twisted.cred import strcred
from twisted.cred.credentials import IUsernamePassword
from twisted.internet.endpoints import StandardIOEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python import usage

import chatservice
import twisted
from chatservice import config
from chatservice.accounts.passwords import MAX_PASSWORD, MIN_PASSWORD
from chatservice.control.wire import MAX_PATH, beside
from chatservice.core.limits import Limits
from chatservice.core.log import MAX_PAGE_EVENTS
from chatservice.core.sanitize import sanitize
from chatservice.server.proxy_protocol import Network
from chatservice.session.asker import Settings
from chatservice.storage.keep import KEEP_ALL, Keep
from chatservice.storage.places import is_uri

if TYPE_CHECKING:
    from chatservice.server.tls import ServerCertificate

DEFAULT_PORT = "12345"
DEFAULT_DATABASE = "chat.sqlite3"
DEFAULT = Limits()
_HOST = re.compile(r"(?=.{1,63}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
MAX_PORT = 65535
LOCALLY = "127.0.0.1"  # the interface of the machine itself
# Connections that may wait to be accepted, as many as Linux allows (net.core.somaxconn, since 5.4).
# When a thousand people reconnected at the same moment, all were in after 0.3 s with 4096, after
# 1.3 s with 511, and not within a minute with Twisted's 50.
BACKLOG = 4096
MOTD_BYTES = 16 * 1024  # whatever is longer was not meant as a message of the day
# Twisted's endpoints that one of our options replaces: the first accepts weak cipher suites and
# never reads its files again, the second trusts everyone.
BETTER_OPTIONS = {"ssl:": "--tls", "haproxy:": "--proxy-protocol"}
# A list in the configuration file.
REPEATABLE = {
    *(
        "port",
        "tls",
        "irc",
        "irc-tls",
        "web",
        "web-tls",
        "web-host",
        "web-proxy",
        "metrics",
        "proxy-protocol",
        "auth",
    )
}
NOT_IN_FILE = {"config", "help", "version", "help-auth", "help-auth-type"}


class OptionError(usage.UsageError):
    """An option cannot be used. `why` continues a sentence that begins with the option or, if there
    is a `value`, follows that."""

    def __init__(self, option: str, why: str, value: object = None) -> None:
        super().__init__(f"--{option} {why}" if value is None else f"--{option} {value}: {why}")
        self.option = option
        self.complaint = f"{option} {why}" if value is None else f"{option} = {value}: {why}"


class Options(usage.Options, strcred.AuthOptionMixin):
    """The command line, and the configuration file that it names.

    `given` has the values of each option that was given in either. A bad option raises
    `UsageError`. Under twistd, which would print all its own options first, it ends the program
    with one line instead.
    """

    supportedInterfaces = (IUsernamePassword,)

    synopsis = "[options]"
    longdesc = """A chat server. People join with nc, telnet or python -m chatservice.client."""
    optFlags = [  # noqa: RUF012 (Twisted's way)
        ["echo", None, "Send people their own messages, too."],
        ["irc-no-lobby", None, "People who come in at --irc begin in no room."],
        ["members-only", None, "Admit registered names only."],
        ["one-connection", None, "A person's new connection ends the one they have."],
        [
            *("allow-plaintext-passwords", None),
            "Accept passwords over connections from other machines that are not encrypted.",
        ],
        ["log-messages", None, "Write public messages to the log."],
    ]
    optParameters = [  # noqa: RUF012
        [
            *("config", None, None),
            "File with options (TOML), read again on SIGHUP. The command line takes precedence.",
        ],
        [
            *("certificate", None, None),
            "TLS certificate, followed by its chain (PEM), read again on SIGHUP. "
            "[default: a self-signed one is made and kept]",
        ],
        [
            *("irc-name", None, "chat.invalid"),
            "Name of the server as IRC clients see it, which looks like a host's.",
        ],
        [
            *("password-length", None, MIN_PASSWORD),
            "Minimum number of characters in a new password.",
        ],
        ["key", None, None, "Private key (PEM). [default: in the file of the certificate]"],
        [
            *("database", None, DEFAULT_DATABASE),
            "SQLite file for messages and accounts, or the URI of a PostgreSQL database, or none "
            "to keep messages in memory only.",
        ],
        [
            *("control", None, None),
            "UNIX socket for python -m chatservice.operate, or none. [default: beside the file of "
            "the database, with .control after its name]",
        ],
        ["history", None, Settings().history, "Recent messages shown to a newcomer."],
        [
            *("keep", None, "all"),
            "How long to keep messages, such as 30d, or how many, such as 100000, or all.",
        ],
        ["motd", None, None, "Message of the day: a text file (UTF-8) shown after the welcome."],
        ["max-users", None, DEFAULT.max_users, "Maximum number of connections."],
        [
            *("max-per-address", None, DEFAULT.max_per_address),
            "Maximum number of connections from one address (IPv6: one /64), or 0 for no limit.",
        ],
        ["login-timeout", None, f"{DEFAULT.login_timeout:g}", "Seconds allowed for login."],
        [
            *("rate", None, f"{DEFAULT.rate:g}:{DEFAULT.burst}"),
            "Lines per second from one connection, and the size of a burst (if left out, ten "
            "seconds' worth), or 0 for no limit. Faster senders are throttled.",
        ],
        [
            *("ping", None, f"{DEFAULT.ping:g}"),
            "Seconds until a connection that does not respond is closed.",
        ],
        [
            *("shutdown-timeout", None, f"{DEFAULT.shutdown_timeout:g}"),
            "Seconds allowed for pending messages at shutdown.",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[str] = []
        self.tls_ports: list[str] = []
        self.irc_ports: list[str] = []
        self.irc_tls_ports: list[str] = []
        self.web_ports: list[str] = []
        self.web_tls_ports: list[str] = []
        self.web_hosts: list[str] = []
        self.metrics_ports: list[str] = []
        self.web_proxies: list[Network] = []
        self.proxies: list[Network] = []
        self.given: dict[str, tuple[str, ...]] = {}
        self._arguments: list[str] = []
        # Where relative paths start, also when the files are read again: twistd may have changed
        # to another folder by then.
        self._folder = Path.cwd()

    def opt_port(self, value: str) -> None:
        """Port number, or a Twisted endpoint description such as tcp:12345:interface=127.0.0.1.
        May be given more than once; none means --tls or --irc only. [default: 12345]"""
        self.ports.append(value)

    opt_p = opt_port

    def opt_tls(self, value: str) -> None:
        """Port for TLS connections, given like --port. May be given more than once."""
        self.tls_ports.append(value)

    def opt_irc(self, value: str) -> None:
        """Port for IRC clients, given like --port. May be given more than once."""
        self.irc_ports.append(value)

    def opt_irc_tls(self, value: str) -> None:
        """Port for IRC clients over TLS, given like --port. May be given more than once."""
        self.irc_tls_ports.append(value)

    def opt_web(self, value: str) -> None:
        """Port for browsers (HTTP), given like --port. May be given more than once."""
        self.web_ports.append(value)

    def opt_web_tls(self, value: str) -> None:
        """Port for browsers over TLS (HTTPS), given like --port. May be given more than once."""
        self.web_tls_ports.append(value)

    def opt_web_host(self, value: str) -> None:
        """Name by which browsers reach the server, such as chat.example.org. Always accepted are
        localhost, the machine's name, names in the certificate, and IP addresses. May be given more
        than once."""
        self.web_hosts.append(value)

    def opt_web_proxy(self, value: str) -> None:
        """Addresses or networks of trusted web proxies, whose X-Forwarded-For and X-Forwarded-Proto
        are believed. May be given more than once."""
        self.web_proxies += _networks("web-proxy", value)

    def opt_metrics(self, value: str) -> None:
        """Port for /metrics (Prometheus), /healthz and /readyz, given like --port, but on the
        loopback interface if it is a number. May be given more than once."""
        self.metrics_ports.append(value)

    def opt_proxy_protocol(self, value: str) -> None:
        """Addresses or networks of trusted proxies, such as 10.0.0.1,fd00::/8. They must send a
        PROXY protocol header, and nobody else may. May be given more than once."""
        self.proxies += _networks("proxy-protocol", value)

    def opt_auth(self, value: str) -> None:
        """Twisted checker that knows the users and their passwords, such as file:FILE, in place of
        the accounts in the database. May be given more than once."""
        kind, _, argument = value.partition(":")
        if kind == "file":  # Twisted only warns of a file that is not there
            self._expect_readable("auth", argument, value)
        try:
            super().opt_auth(value)
        except usage.UsageError as error:
            raise OptionError("auth", f"{error}.", value) from error

    def opt_version(self) -> None:
        """Print the version of chatservice and of Twisted, and exit."""
        print(f"chatservice {chatservice.__version__}, Twisted {twisted.__version__}")
        sys.exit(0)

    for _option in (
        *(opt_port, opt_tls, opt_irc, opt_irc_tls, opt_web, opt_web_tls, opt_web_host),
        *(opt_web_proxy, opt_metrics, opt_proxy_protocol, opt_auth),
    ):
        _option.__doc__ = " ".join((_option.__doc__ or "").split())  # Twisted keeps the blanks

    def parseOptions(self, options: list[str] | None = None) -> None:
        self._arguments = sys.argv[1:] if options is None else options
        try:
            self._parse()
        except usage.UsageError as error:
            if self.parent is None:
                raise
            raise SystemExit(f"chat: {' '.join(str(error).split())}") from None

    def read_again(self) -> Self:
        """The same command line, with the files it names as they are now. Raises `UsageError`."""
        again = type(self)()
        again._folder = self._folder
        again.parseOptions(self._arguments)
        return again

    def _parse(self) -> None:
        on_command_line = self._split(self._arguments)
        settings: dict[str, config.Setting] = {}
        from_file: list[str] = []
        if "config" in on_command_line:
            settings = config.read(self._folder / on_command_line["config"][-1])
            for name, setting in settings.items():
                arguments = self._as_arguments(name, setting)
                if name not in on_command_line:
                    from_file += arguments
        self.given = on_command_line | self._split(from_file)
        try:
            super().parseOptions(from_file + self._arguments)
        except OptionError as error:
            if error.option in on_command_line or error.option not in settings:
                raise
            raise usage.UsageError(f"{settings[error.option].place}: {error.complaint}") from None

    def _split(self, arguments: list[str]) -> dict[str, tuple[str, ...]]:
        """The values of each option in `arguments`, by the option's full name."""
        try:
            pairs, _ = getopt.getopt(arguments, self.shortOpt, self.longOpt)
        except getopt.GetoptError as error:
            raise usage.UsageError(str(error)) from None
        values: dict[str, tuple[str, ...]] = {}
        for option, value in pairs:
            name = self.synonyms[option.lstrip("-")]
            values[name] = (*values.get(name, ()), value)
        return values

    def _as_arguments(self, name: str, setting: config.Setting) -> list[str]:
        """A setting as it would be given on the command line."""
        if name in NOT_IN_FILE or not {name, f"{name}="} & set(self.longOpt):
            raise usage.UsageError(f"{setting.place}: there is no option {name}.")
        if name in self.longOpt:  # a flag
            if setting.values not in ((True,), (False,)):
                raise usage.UsageError(f"{setting.place}: {name} is true or false.")
            return [f"--{name}"] if setting.values[0] else []
        if len(setting.values) > 1 and name not in REPEATABLE:
            raise usage.UsageError(f"{setting.place}: {name} has one value only.")
        for value in setting.values:
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                raise usage.UsageError(f"{setting.place}: {name} is a text or a number.")
        return [f"--{name}={value}" for value in setting.values]

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"{arguments[0]}: an argument without an option.")

    def postOptions(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 (after twistd has installed it)

        ports = self.ports or [DEFAULT_PORT]
        if "none" in ports:
            if len(ports) > 1 or not (self.tls_ports or self.irc_ports or self.irc_tls_ports):
                raise OptionError(
                    "port", "there must be --tls or --irc then, and no other --port.", "none"
                )
            ports = []
        self["endpoints"] = [_endpoint(reactor, "port", value) for value in ports]
        self["tls-endpoints"] = [_endpoint(reactor, "tls", value) for value in self.tls_ports]
        self["irc-endpoints"] = [_endpoint(reactor, "irc", value) for value in self.irc_ports]
        self["irc-tls-endpoints"] = [
            _endpoint(reactor, "irc-tls", value) for value in self.irc_tls_ports
        ]
        if not _HOST.fullmatch(self["irc-name"]):
            raise OptionError("irc-name", "not the name of a host.", self["irc-name"])
        self["web-endpoints"] = [_endpoint(reactor, "web", value) for value in self.web_ports]
        self["web-tls-endpoints"] = [
            _endpoint(reactor, "web-tls", value) for value in self.web_tls_ports
        ]
        self["metrics-endpoints"] = [
            _endpoint(reactor, "metrics", value, LOCALLY) for value in self.metrics_ports
        ]
        if self.web_ports or self.web_tls_ports:
            _expect("web", "wsproto", "web")
        if self.metrics_ports:
            _expect("metrics", "prometheus_client", "metrics")
        has_tls = bool(self.tls_ports or self.irc_tls_ports or self.web_tls_ports)
        for option, needed, there in (
            ("certificate", "--tls, --irc-tls or --web-tls", has_tls),
            ("key", "--certificate", self["certificate"]),
        ):
            if self[option] is not None and not there:
                raise OptionError(option, f"needs {needed}.")
        self["server-certificate"] = self._server_certificate() if has_tls else None
        self["limits"] = self._limits()
        self["settings"] = Settings(
            history=int(_number("history", self["history"], 0, MAX_PAGE_EVENTS)),
            motd=self._motd(self["motd"]) if self["motd"] is not None else (),
            log_messages=bool(self["log-messages"]),
        )
        self["password-length"] = int(
            _number("password-length", self["password-length"], 1, MAX_PASSWORD)
        )
        self["kept"] = _kept(str(self["keep"]))
        if not self["database"]:
            raise OptionError("database", "needs the name of a file, a URI, or none.")
        if is_uri(self["database"]):
            self._check_uri(self["database"])
        self._check_control()
        self._check_accounts()

    def _check_control(self) -> None:
        chosen = self["control"]
        if chosen == "":
            raise OptionError("control", "needs a path, or none.")
        place = beside(self["database"]) if chosen is None else chosen
        path = None if place in (None, "none") else str(self._folder / place)
        self["control-path"] = path
        if chosen is not None and path is not None and len(os.fsencode(path)) > MAX_PATH:
            why = f"longer than the {MAX_PATH} bytes that the path of a socket may have."
            raise OptionError("control", why, path)

    def _check_accounts(self) -> None:
        if self["members-only"] and not self.get("credCheckers"):
            if self["database"] == "none":
                raise OptionError("members-only", "needs a --database, or --auth.")
            if hashing_module() is None:
                raise OptionError(
                    "members-only",
                    "needs argon2-cffi: install the extra 'accounts' "
                    "(see Installation in the README).",
                )

    def _check_uri(self, uri: str) -> None:
        _expect("database", "psycopg", "cluster")
        from chatservice.storage.postgres.database import (  # noqa: PLC0415 (an extra)
            shown,
            why_not,
        )

        if (why := why_not(uri)) is not None:
            raise OptionError("database", f"{why}.", shown(uri))

    def _expect_readable(self, option: str, name: str, value: str) -> None:
        try:
            (self._folder / name).open("rb").close()
        except OSError as error:
            raise OptionError(option, f"[Errno {error.errno}] {error.strerror}.", value) from error

    def _limits(self) -> Limits:
        rate, colon, burst = str(self["rate"]).partition(":")
        per_second = _number("rate", rate, 0, 1_000_000)
        return Limits(
            max_users=int(_number("max-users", self["max-users"], 1, 1_000_000)),
            max_per_address=int(_number("max-per-address", self["max-per-address"], 0, 1e6)),
            login_timeout=_number("login-timeout", self["login-timeout"], 1, 86400),
            rate=per_second,
            burst=int(
                _number("rate", burst, 1, 10_000_001, of="BURST ") if colon else per_second * 10 + 1
            ),
            ping=_number("ping", self["ping"], 8, 86400),
            shutdown_timeout=_number("shutdown-timeout", self["shutdown-timeout"], 0, 3600),
        )

    def _server_certificate(self) -> ServerCertificate:
        try:
            from chatservice.server import tls  # noqa: PLC0415 (what it needs is an extra)
        except ModuleNotFoundError as error:
            raise OptionError(
                "tls",
                f"needs {error.name}: install the extra 'tls' (see Installation in the README).",
            ) from error
        files = [
            self._folder / self[option]
            for option in ("certificate", "key")
            if self[option] is not None
        ]
        try:
            return tls.ServerCertificate(*files)
        except tls.BadCertificate as error:
            raise OptionError("certificate", str(error)) from error

    def _motd(self, name: str) -> tuple[str, ...]:
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(MOTD_BYTES + 1)
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise OptionError("motd", f"[Errno {error.errno}] {error.strerror}.", name) from error
        except UnicodeDecodeError as error:
            raise OptionError("motd", f"{error}.", name) from error
        if len(data) > MOTD_BYTES:
            raise OptionError("motd", f"longer than {MOTD_BYTES} bytes.", name)
        return tuple(sanitize(line) for line in text.splitlines())


def _networks(option: str, value: str) -> list[Network]:
    try:
        return [ip_network(item.strip()) for item in value.split(",")]
    except ValueError as error:
        raise OptionError(option, f"{error}.", value) from error


def _expect(option: str, module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise OptionError(
            option,
            f"needs {module}: install the extra '{extra}' (see Installation in the README).",
        )


def _endpoint(
    reactor: object, option: str, value: str, interface: str = ""
) -> IStreamServerEndpoint:
    """What listens at `value`. `interface`: the only one, if that is a port number."""
    for prefix, better in BETTER_OPTIONS.items():
        if value.startswith(prefix):
            raise OptionError(option, f"for that there is {better}.", value)
    description = value
    if value.isdecimal():
        if int(value) > MAX_PORT:
            raise OptionError(option, f"a port number is {MAX_PORT} at most.", value)
        description = f"tcp:{int(value)}:interface={interface}"
    if description.startswith(("tcp:", "tcp6:", "unix:")) and ":backlog=" not in description:
        description += f":backlog={BACKLOG}"
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # whatever an endpoint's parser raises, it is about the value
        raise OptionError(
            option,
            "neither a port number nor a Twisted endpoint description "
            f"({type(error).__name__}: {error}).",
            value,
        ) from error
    if isinstance(endpoint, StandardIOEndpoint):
        raise OptionError(option, "a chat needs more than one connection.", value)
    return endpoint


def _number(option: str, value: object, least: float, most: float, of: str = "") -> float:
    """The number that `value` is. `of` says which part of the option's value it is."""
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise OptionError(option, f"a number from {least:.0f} to {most:.0f}.", f"{of}{value}")
    return number


def _kept(value: str) -> Keep:
    try:
        if value == "all":
            return KEEP_ALL
        if value.endswith("d"):
            return Keep(days=_number("keep", value[:-1], 0, 100_000))
        return Keep(messages=int(_number("keep", value, 1, 1e12)))
    except OptionError:
        raise OptionError(
            "keep",
            "a number of messages (1 to 1000000000000), a number of days (0d to 100000d), or all.",
            value,
        ) from None


def hashing_module() -> ModuleType | None:
    """The module that hashes passwords, or None if the extra ``accounts`` is not installed."""
    try:
        from chatservice.accounts import hashing  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    return hashing
