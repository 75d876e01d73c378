"""``twistd -n chat``: makes the service that the options describe."""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.authenticator import Authenticator
from chatservice.accounts.cred import AccountChecker, Members
from chatservice.core.chat import Chat, new_secret
from chatservice.monotonic import use_monotonic_clock
from chatservice.options import Options, hashing_module
from chatservice.server.factory import ChatFactory
from chatservice.server.irc import IrcDoor
from chatservice.server.proxy_protocol import ProxiedFactory
from chatservice.service import ChatService, Listener
from chatservice.session.asker import Settings
from chatservice.session.irc.network import Network
from chatservice.storage.memory import MemoryArchive
from chatservice.storage.sqlite.accounts import SqliteAccountStore
from chatservice.storage.sqlite.archive import SqliteArchive

if TYPE_CHECKING:
    from chatservice.accounts.hashing import Argon2

log = Logger()

# Descriptors that are no connection's: the log, the reactor's, threads', files that are read, and
# those who are accepted only to be turned away (Twisted accepts some hundred at once).
RESERVED_DESCRIPTORS = 200


def makeService(options: Options) -> ChatService:
    """The chat that `options` describe."""
    from twisted.internet import reactor  # noqa: PLC0415

    use_monotonic_clock(reactor)
    settings = Settings(
        history=options["history"],
        motd=options["motd"],
        log_messages=bool(options["log-messages"]),
    )
    history = hashing = None
    if options["database"] != "none":
        history = SqliteArchive(Path(options["database"]), reactor, options["kept"])
        if (module := hashing_module()) is not None:
            hashing = module.Argon2(reactor)
    chat = Chat(
        reactor,
        history if history is not None else MemoryArchive(new_secret(), reactor),
        echo=bool(options["echo"]),
    )
    if history is not None:
        history.notice = chat.tell_all
    authenticator = _authenticator(options, reactor, history, hashing)
    limits = replace(options["limits"], max_users=within_descriptors(options["limits"].max_users))
    factory = ChatFactory(chat, settings, reactor, limits, authenticator)

    def listener(endpoint: IStreamServerEndpoint, served: IProtocolFactory, how: str) -> Listener:
        if options.proxies:
            served = ProxiedFactory(served, options.proxies, reactor)
        return Listener(endpoint, served, how)

    listeners = [listener(endpoint, factory, "") for endpoint in options["endpoints"]]
    certificate = options["server-certificate"]
    irc: IrcDoor | None = None
    if options["irc-endpoints"] or options["irc-tls-endpoints"]:
        network = Network(chat, options["irc-name"], joins_lobby=not options["irc-no-lobby"])
        irc = IrcDoor(factory, network)
        listeners += [listener(each, irc, " for IRC") for each in options["irc-endpoints"]]
    if certificate is not None:
        from chatservice.server.tls import TLSFactory  # noqa: PLC0415

        secured = TLSFactory(certificate, factory, reactor)
        listeners += [
            listener(endpoint, secured, " with TLS") for endpoint in options["tls-endpoints"]
        ]
        if irc is not None:
            secured = TLSFactory(certificate, irc, reactor)
            listeners += [
                listener(endpoint, secured, " for IRC, with TLS")
                for endpoint in options["irc-tls-endpoints"]
            ]
    return ChatService(
        reactor,
        factory,
        listeners,
        certificate=certificate,
        history=history,
        hashing=hashing,
    )


def _authenticator(
    options: Options, reactor: Any, history: SqliteArchive | None, hashing: Argon2 | None
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
    if history is not None and hashing is None:
        log.info(
            "Nobody can /register: the extra 'accounts' is not installed "
            "(see Installation in the README)."
        )
    if history is None or hashing is None:
        return Authenticator(None, None, reactor.seconds)
    accounts = Accounts(SqliteAccountStore(history), hashing, time.time)
    return Authenticator(
        accounts,
        Portal(Members(), [AccountChecker(accounts)]),
        reactor.seconds,
        members_only=bool(options["members-only"]),
        in_clear=bool(options["allow-plaintext-passwords"]),
        password_length=options["password-length"],
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
