"""``twistd -n chat``: the options, and the service they describe."""

from __future__ import annotations

import gc
import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.application.service import Service
from twisted.cred import strcred
from twisted.cred.checkers import FilePasswordDB, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import StandardIOEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

import chatservice
import twisted
from chatservice.accounts import AccountChecker, Accounts, Members
from chatservice.accounts.authenticator import Authenticator
from chatservice.core.chat import Chat
from chatservice.core.limits import Limits
from chatservice.core.log import MAX_PAGE_EVENTS
from chatservice.core.sanitize import sanitize
from chatservice.server.line import ChatFactory, peer_of
from chatservice.server.proxy_protocol import Network, ProxiedFactory
from chatservice.session.session import Settings
from chatservice.storage.sqlite.archive import KEEP_ALL, History, Keep
from chatservice.storage.sqlite.database import BadDatabase

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Passwords
    from chatservice.server.tls import ServerCertificate

log = Logger()

DEFAULT_PORT = "12345"
DEFAULT_DATABASE = "chat.sqlite3"
DEFAULT = Limits()
# Descriptors that are no connection's: the log, the reactor's, threads', files that are read, and
# those who are accepted only to be turned away (Twisted accepts some hundred at once).
RESERVED_DESCRIPTORS = 200
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
        "[--proxy-protocol ADDRESSES] [--database FILE] [--history N] [--keep HOW] "
        "[--motd FILE] [--echo] [--log-messages] [--members-only] [--auth CHECKER]... "
        "[--allow-plaintext-passwords] "
        "[--max-users N] [--max-per-address N] [--login-timeout SECONDS] [--rate LINES[:BURST]] "
        "[--ping SECONDS] [--shutdown-timeout SECONDS]"
    )
    longdesc = """A chat server. People join with nc, telnet or python -m chatservice.client."""
    optFlags = [  # noqa: RUF012 (Twisted's way)
        ["echo", None, "send people their own messages too"],
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

    for _option in (opt_port, opt_tls, opt_proxy_protocol):
        _option.__doc__ = " ".join((_option.__doc__ or "").split())  # Twisted keeps the blanks

    def postOptions(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 (after twistd has installed it)

        ports = self.ports or [DEFAULT_PORT]
        if "none" in ports:
            if len(ports) > 1 or not self.tls_ports:
                raise usage.UsageError(
                    "--port none: there must be --tls then, and no other --port."
                )
            ports = []
        self["endpoints"] = [_endpoint(reactor, "--port", value) for value in ports]
        self["tls-endpoints"] = [_endpoint(reactor, "--tls", value) for value in self.tls_ports]
        for option, needed, there in (
            ("certificate", "--tls", self.tls_ports),
            ("key", "--certificate", self["certificate"]),
        ):
            if self[option] is not None and not there:
                raise usage.UsageError(f"--{option} needs {needed}.")
        self["server-certificate"] = self._server_certificate() if self.tls_ports else None
        self["limits"] = self._limits()
        self["history"] = int(_number("--history", self["history"], 0, MAX_PAGE_EVENTS))
        self["kept"] = _kept(str(self["keep"]))
        if not self["database"]:
            raise usage.UsageError("--database: the name of a file, or none.")
        checkers = self.get("credCheckers", [])
        if self["members-only"] and not checkers:
            if self["database"] == "none":
                raise usage.UsageError("--members-only needs a --database, or --auth.")
            if _passwords_module() is None:
                raise usage.UsageError(
                    "--members-only needs argon2: pip install 'chatservice[accounts]' brings it."
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
                f"--tls needs {error.name}: pip install 'chatservice[tls]' brings it."
            ) from error
        files = [
            Path(self[option]) for option in ("certificate", "key") if self[option] is not None
        ]
        try:
            return tls.ServerCertificate(*files)
        except tls.BadCertificate as error:
            raise usage.UsageError(f"--tls: {error}") from error


def makeService(options: Options) -> ChatService:
    """The chat that `options` describe."""
    from twisted.internet import reactor  # noqa: PLC0415

    settings = Settings(
        history=options["history"],
        motd=options["motd"],
        log_messages=bool(options["log-messages"]),
    )
    history = passwords = None
    if options["database"] != "none":
        history = History(Path(options["database"]), reactor, options["kept"])
        if (module := _passwords_module()) is not None:
            passwords = module.Passwords(reactor)
    chat = Chat(reactor, echo=bool(options["echo"]), archive=history)
    if history is not None:
        history.notice = chat.lobby.announce
    authenticator = _authenticator(options, reactor, history, passwords)
    limits = replace(options["limits"], max_users=within_descriptors(options["limits"].max_users))
    factory = ChatFactory(chat, settings, reactor, limits, authenticator)

    def listener(endpoint: IStreamServerEndpoint, served: IProtocolFactory, how: str) -> Listener:
        if options.proxies:
            served = ProxiedFactory(served, options.proxies, reactor)
        return Listener(endpoint, served, how)

    listeners = [listener(endpoint, factory, "") for endpoint in options["endpoints"]]
    certificate = options["server-certificate"]
    if certificate is not None:
        from chatservice.server.tls import TLSFactory  # noqa: PLC0415

        secured = TLSFactory(certificate, factory, reactor)
        listeners += [
            listener(endpoint, secured, " with TLS") for endpoint in options["tls-endpoints"]
        ]
    return ChatService(
        reactor,
        factory,
        listeners,
        certificate=certificate,
        history=history,
        passwords=passwords,
    )


def _passwords_module() -> ModuleType | None:
    """None: what it needs is an extra, and is not there."""
    try:
        from chatservice.accounts import hashing as passwords  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    return passwords


def _authenticator(
    options: Options, reactor: Any, history: History | None, passwords: Passwords | None
) -> Authenticator:
    checkers = options.get("credCheckers", [])
    if checkers:  # which know whom they know; everybody has to prove who they are
        for checker in checkers:
            if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
                checker.users = {_encoded(name): _encoded(p) for name, p in checker.users.items()}
        return Authenticator(
            None,
            Portal(Members(), checkers),
            reactor.seconds,
            members_only=True,
            in_clear=bool(options["allow-plaintext-passwords"]),
        )
    if history is not None and passwords is None:
        log.info("Nobody can /register: pip install 'chatservice[accounts]' brings what it needs.")
    if history is None or passwords is None:
        return Authenticator(None, None, reactor.seconds)
    accounts = Accounts(history, passwords, reactor.seconds)
    return Authenticator(
        accounts,
        Portal(Members(), [AccountChecker(accounts)]),
        reactor.seconds,
        members_only=bool(options["members-only"]),
        in_clear=bool(options["allow-plaintext-passwords"]),
    )


def _encoded(text: str | bytes) -> bytes:
    """``--auth memory:`` has names and passwords as str (Twisted 26.10), and knows nobody by what
    credentials have."""
    return text.encode() if isinstance(text, str) else text


def within_descriptors(max_users: int) -> int:
    """As many connections as asked for, or as the system has descriptors for: what it allows us at
    most is made what it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_users + RESERVED_DESCRIPTORS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= wanted:
        return max_users
    most = max(soft - RESERVED_DESCRIPTORS, soft // 2)
    log.warn("There are {soft} descriptors: {most} connections at a time.", soft=soft, most=most)
    return most


class Listener(NamedTuple):
    """An endpoint, what serves the connections to it, and how the log is to speak of it."""

    endpoint: IStreamServerEndpoint
    factory: IProtocolFactory
    how: str


class CannotListen(SystemExit, Exception):
    """There is no chat to be had, for the reason given.

    twistd must see an `Exception`, or a parent that waits for its daemon waits for ever; Python
    must see a `SystemExit`, or it prints a traceback.
    """


class ChatService(Service):
    """Listens at every endpoint. On the way down it says goodbye to everyone first.

    The reactor is whichever twistd has chosen: between epoll (the default on Linux), poll and
    asyncio there was no difference in fan-out beyond the noise, since nearly all that a turn costs
    is the calls of ``send``.
    """

    def __init__(
        self,
        reactor: Any,
        factory: ChatFactory,
        listeners: Sequence[Listener],
        *,
        certificate: ServerCertificate | None = None,
        history: History | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self.factory = factory
        self._history = history
        self._passwords = passwords
        self._reactor = reactor
        self._listeners = listeners
        self._certificate = certificate
        self._ports: list[IListeningPort] = []
        self._has_terminal = _has_terminal()

    @property
    def addresses(self) -> list[object]:
        """Where it listens, as the log shows it."""
        return [peer_of(port.getHost()) for port in self._ports]

    def privilegedStartService(self) -> None:
        """Listen. An endpoint that cannot ends the program with one line, before it has begun."""
        super().privilegedStartService()
        self._end_well()
        signal.signal(signal.SIGHUP, self._hang_up)
        if self._certificate is not None:
            try:
                self._certificate.prepare()
            except ValueError as error:
                raise CannotListen(f"chat: {error}") from None
        failures: list[Failure] = []
        for listener in self._listeners:
            listener.endpoint.listen(listener.factory).addCallbacks(
                self._listens, failures.append, callbackArgs=(listener,)
            )
        if failures:
            raise CannotListen(f"chat: {failures[0].getErrorMessage()}")

    def startService(self) -> None:
        super().startService()
        if self._history is not None:  # as the user who will write to it
            try:
                self._history.open(may_have_accounts=self._passwords is not None)
            except BadDatabase as error:
                raise CannotListen(f"chat: --database {error}") from None
        if self._passwords is not None:
            self._passwords.start()
        self._reactor.callWhenRunning(self._end_well)  # again: the reactor has set its own
        # What has been loaded stays, so that the collector need not look at it ever again: a full
        # collection took 4 to 10 ms of everybody's time, and takes 1 us now.
        gc.collect()
        gc.freeze()

    def stopService(self) -> Deferred[None]:
        """Fires when everyone has been told and is gone, after CLOSE_SECONDS at the latest."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _end_well(self) -> None:
        """Being asked to end is no failure: twistd alone would die of the signal in the end. Asked
        a second time, it does."""

        def stop(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)
            self._reactor.callFromThread(self._reactor.stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _hang_up(self, number: int, frame: object) -> None:
        if self._has_terminal and not _has_terminal():  # somebody has closed it
            self._reactor.callFromThread(self._reactor.stop)
        else:
            self._reactor.callFromThread(self._read_certificate_again)

    def _read_certificate_again(self) -> None:
        if self._certificate is None:
            log.info("SIGHUP: there is no TLS certificate to be read again.")
            return
        Deferred.fromCoroutine(self._certificate.reload(self._reactor)).addErrback(
            lambda failure: log.failure("The TLS certificate stays as it was.", failure)
        )

    async def _close(self) -> None:
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self.factory.close_all()
        if self._history is not None:
            await self._history.close()
        if self._passwords is not None:
            self._passwords.stop()

    def _listens(self, port: IListeningPort, listener: Listener) -> None:
        self._ports.append(port)
        # Of Twisted's own; there is no other way to what it logs.
        port._logger = Logger("accept", observer=self.factory.peer_log.about_accepting)  # type: ignore[attr-defined, arg-type]
        address = peer_of(port.getHost())
        log.info("The chat listens at {address}{how}.", address=address, how=listener.how)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


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
