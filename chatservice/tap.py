"""``twistd chat``: builds the server from its options. It is the module that knows all others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.authenticator import Authenticator
from chatservice.accounts.cred import AccountChecker, Members
from chatservice.control.commands import Commands
from chatservice.control.door import Control
from chatservice.core.chat import Chat, new_secret
from chatservice.core.stores import AccountsAndMessages
from chatservice.monotonic import use_monotonic_clock
from chatservice.options import Options, hashing_module
from chatservice.process import LogFile, Terminal, within_descriptors
from chatservice.reload import Reload
from chatservice.server.factory import ChatFactory
from chatservice.server.irc import irc_door
from chatservice.server.proxy_protocol import ProxiedFactory
from chatservice.service import ChatService, Listener
from chatservice.storage.memory import MemoryArchive
from chatservice.storage.places import DurableArchive, is_uri
from chatservice.storage.sqlite.accounts import SqliteAccountStore
from chatservice.storage.sqlite.archive import SqliteArchive

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Argon2

log = Logger()


def makeService(options: Options) -> ChatService:
    """Build the server for `options`."""
    from twisted.internet import reactor  # noqa: PLC0415

    use_monotonic_clock(reactor)
    archive = store = hashing = None
    if options["database"] != "none":
        archive, store = _kept(options, reactor)
        if (module := hashing_module()) is not None:
            hashing = module.Argon2(reactor)
    chat = Chat(
        reactor,
        archive if archive is not None else MemoryArchive(new_secret(), reactor),
        echo=bool(options["echo"]),
        one_connection=bool(options["one-connection"]),
    )
    if archive is not None:
        archive.notice = chat.tell_trouble
        archive.told = chat.elsewhere.told
        archive.erased = chat.deletions.tell
    factory = ChatFactory(
        chat,
        options["settings"],
        reactor,
        within_descriptors(options["limits"]),
        _authenticator(options, reactor, store, hashing),
    )
    if archive is not None:
        archive.account_changed = factory.services.account_changed
    log_file, terminal = _surroundings(options)
    reload = Reload(reactor, options, factory, archive)
    service = ChatService(
        reactor,
        factory,
        _listeners(options, reactor, factory, archive),
        monitor=_monitor(options, factory),
        reload=reload,
        control=_control(options, reactor, factory, reload),
        certificate=options["server-certificate"],
        archive=archive,
        hashing=hashing,
        log_file=log_file,
        terminal=terminal,
    )
    if archive is not None:
        archive.fenced = service.begin_anew
    return service


def _kept(options: Options, reactor: Any) -> tuple[DurableArchive, AccountsAndMessages]:
    """Where the past and the accounts are kept."""
    place = options["database"]
    if is_uri(place):
        from chatservice.storage.postgres.archive import (  # noqa: PLC0415 (an extra)
            PostgresArchive,
        )

        shared = PostgresArchive(place, reactor, options["kept"])
        return shared, shared.accounts
    archive = SqliteArchive(Path(place), reactor, options["kept"])
    return archive, SqliteAccountStore(archive)


def _control(
    options: Options, reactor: Any, factory: ChatFactory, reload: Reload
) -> Control | None:
    if options["control-path"] is None:
        return None
    commands = Commands(factory, reload, _shown_database(options["database"]))
    required = options["control"] is not None
    return Control(reactor, options["control-path"], commands, required=required)


def _shown_database(place: str) -> str:
    """Without what may be secret in it."""
    if not is_uri(place):
        return place
    from chatservice.storage.postgres.database import shown  # noqa: PLC0415 (an extra)

    return shown(place)


def _listeners(
    options: Options, reactor: Any, factory: ChatFactory, archive: DurableArchive | None
) -> list[Listener]:
    def listener(endpoint: IStreamServerEndpoint, served: IProtocolFactory, how: str) -> Listener:
        if options.proxies:
            served = ProxiedFactory(served, options.proxies, reactor, factory.peer_log.about)
        return Listener(endpoint, served, how)

    listeners = [listener(endpoint, factory, "") for endpoint in options["endpoints"]]
    if options["tls-endpoints"]:
        secured = _secured(options, factory, factory)
        listeners += [
            listener(endpoint, secured, " with TLS") for endpoint in options["tls-endpoints"]
        ]
    if options["irc-endpoints"] or options["irc-tls-endpoints"]:
        irc = irc_door(factory, options["irc-name"], joins_lobby=not options["irc-no-lobby"])
        listeners += [listener(each, irc, " for IRC") for each in options["irc-endpoints"]]
        if options["irc-tls-endpoints"]:
            secured = _secured(options, factory, irc)
            listeners += [
                listener(each, secured, " for IRC, with TLS")
                for each in options["irc-tls-endpoints"]
            ]
    if options["web-endpoints"] or options["web-tls-endpoints"]:
        door = _web_door(options, factory, archive)
        listeners += [
            listener(endpoint, door, " for browsers") for endpoint in options["web-endpoints"]
        ]
        if options["web-tls-endpoints"]:
            secured = _secured(options, factory, door, speaks=(b"http/1.1",))
            listeners += [
                listener(endpoint, secured, " for browsers, with TLS")
                for endpoint in options["web-tls-endpoints"]
            ]
    return listeners


def _secured(
    options: Options, factory: ChatFactory, door: IProtocolFactory, speaks: tuple[bytes, ...] = ()
) -> IProtocolFactory:
    from chatservice.server.tls import TLSFactory  # noqa: PLC0415 (what it needs is an extra)

    return TLSFactory(options["server-certificate"], door, factory.clock, factory.turns, speaks)


def _web_door(
    options: Options, factory: ChatFactory, archive: DurableArchive | None
) -> IProtocolFactory:
    from chatservice.server.web.browsers import WebDoor  # noqa: PLC0415 (what it needs is an extra)
    from chatservice.server.web.events import event_routes  # noqa: PLC0415
    from chatservice.server.web.forwarded import Forwarding  # noqa: PLC0415
    from chatservice.server.web.hooks import hook_routes  # noqa: PLC0415
    from chatservice.server.web.hosts import Hosts  # noqa: PLC0415
    from chatservice.server.web.machines import health_routes  # noqa: PLC0415

    certificate = options["server-certificate"]
    hosts = Hosts(options.web_hosts, tuple if certificate is None else certificate.names)
    forwarding = Forwarding(options.web_proxies)
    routes = health_routes(factory)
    if archive is not None:
        routes |= hook_routes(factory, archive.hooks) | event_routes(factory, archive.hooks)
    return WebDoor(factory, hosts, forwarding, routes)


def _monitor(options: Options, factory: ChatFactory) -> list[Listener]:
    """What is still served while people are sent away."""
    if not options["metrics-endpoints"]:
        return []
    from chatservice.server.web.hosts import Hosts  # noqa: PLC0415
    from chatservice.server.web.machines import metrics_door  # noqa: PLC0415

    door = metrics_door(factory, Hosts(options.web_hosts))
    return [Listener(endpoint, door, " for metrics") for endpoint in options["metrics-endpoints"]]


def _surroundings(options: Options) -> tuple[LogFile | None, Terminal | None]:
    """The log file, if twistd is to write one, and the terminal, if the log goes elsewhere."""
    twistd = options.parent
    if twistd is None or twistd.get("logger"):
        return None, None
    is_daemon = not twistd["nodaemon"]
    if twistd.get("syslog"):
        return None, Terminal()
    path = twistd["logfile"] or ("twistd.log" if is_daemon else "-")
    if path == "-":
        return None, None
    try:
        return LogFile(Path(path)), Terminal()
    except OSError as error:
        raise SystemExit(f"chat: cannot open the log file {path}: {error.strerror}") from None


def _authenticator(
    options: Options, reactor: Any, store: AccountsAndMessages | None, hashing: Argon2 | None
) -> Authenticator:
    checkers = options.get("credCheckers", [])
    if checkers:  # only the names that they know are admitted
        for checker in checkers:
            if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
                checker.users = {_encoded(name): _encoded(p) for name, p in checker.users.items()}
        return Authenticator(
            None,
            Portal(Members(), checkers),
            reactor.seconds,
            members_only=True,
            in_clear=bool(options["allow-plaintext-passwords"]),
            password_length=options["password-length"],
        )
    if store is not None and hashing is None:
        log.info(
            "Nobody can /register: the extra 'accounts' is not installed "
            "(see Installation in the README)."
        )
    if store is None or hashing is None:
        return Authenticator(None, None, reactor.seconds)
    accounts = Accounts(store, hashing, time.time)
    return Authenticator(
        accounts,
        Portal(Members(), [AccountChecker(accounts)]),
        reactor.seconds,
        members_only=bool(options["members-only"]),
        in_clear=bool(options["allow-plaintext-passwords"]),
        password_length=options["password-length"],
    )


def _encoded(text: str | bytes) -> bytes:
    """Names and passwords of ``--auth memory:`` are str in Twisted 26.10, but those of credentials,
    which it compares with them, are bytes."""
    return text.encode() if isinstance(text, str) else text
