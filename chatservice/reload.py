"""Applying changed options while the server runs."""

from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.usage import UsageError

from chatservice.options import Options
from chatservice.process import within_descriptors
from chatservice.server.factory import ChatFactory
from chatservice.storage.places import DurableArchive

log = Logger()

# Options that never need a restart; `Reload._takes_restart` decides about the others.
RELOADED = frozenset(
    {
        *("history", "motd", "log-messages", "echo", "keep", "allow-plaintext-passwords"),
        "one-connection",
        *("max-users", "max-per-address", "login-timeout", "rate", "ping", "shutdown-timeout"),
    }
)


class Reload:
    """Reads the files named on the command line again, and applies every change that does not close
    a connection. `options` are those that the server was started with."""

    def __init__(
        self, reactor: Any, options: Options, factory: ChatFactory, archive: DurableArchive | None
    ) -> None:
        self._reactor = reactor
        self._options = options
        self._given = dict(options.given)  # with the changes that were applied
        self._factory = factory
        self._archive = archive
        self._certificate = options["server-certificate"]
        self._lock = DeferredLock()

    async def __call__(self) -> list[str]:
        """Apply and log what has changed, and return what was logged. If anything is wrong, nothing
        is changed: raises UsageError, which is logged as well."""
        async with self._lock:  # in turn, so that the newest files win
            try:
                options = await deferToThreadPool(
                    self._reactor, self._reactor.getThreadPool(), self._read
                )
            except UsageError as error:
                log.error("Reload failed; everything stays as it was: {error}", error=str(error))
                raise
            return self._take_up(options)

    def _read(self) -> Options:
        """Read the options again. Runs in a thread, since it reads files."""
        options = self._options.read_again()
        if (certificate := options["server-certificate"]) is not None:
            try:
                certificate.load()
            except ValueError as error:
                raise UsageError(f"--tls: {error}") from None
        return options

    def _take_up(self, new: Options) -> list[str]:
        given = new.given
        changed = {name for name in self._given | given if self._given.get(name) != given.get(name)}
        if new["settings"].motd != self._factory.settings.motd:
            changed.add("motd")  # the same file has other lines
        self._factory.settings = new["settings"]
        self._factory.limits = within_descriptors(new["limits"])
        self._factory.chat.echo = bool(new["echo"])
        self._factory.chat.one_connection = bool(new["one-connection"])
        if self._archive is not None:
            self._archive.set_keep(new["kept"])
        authenticator = self._factory.services.authenticator
        if authenticator.accounts is not None:
            authenticator.members_only = bool(new["members-only"])
        authenticator.in_clear = bool(new["allow-plaintext-passwords"])
        if self._certificate is not None and new["server-certificate"] is not None:
            self._certificate.replace(new["server-certificate"])
        if not changed:
            line = "Reloaded: no option has changed."
            log.info("{line}", line=line)
            return [line]
        return [self._report(name, given.get(name)) for name in sorted(changed)]

    def _takes_restart(self, name: str) -> bool:
        if name == "members-only":  # without accounts, nobody could be admitted
            return self._factory.services.authenticator.accounts is None
        if name in {"certificate", "key"}:
            return self._certificate is None
        return name not in RELOADED

    def _report(self, name: str, values: tuple[str, ...] | None) -> str:
        if self._takes_restart(name):
            line = f"Not reloaded: a new value of {name} takes a restart."
            log.warn("{line}", line=line)
            return line
        if values is None:
            line = f"Reloaded: {name} has its default again."
            del self._given[name]
        else:
            line = f"Reloaded: {name} = {values[-1] or 'true'}"
            self._given[name] = values
        log.info("{line}", line=line)
        return line
