"""The servers that are measured: how each is started, and which dialect it speaks."""

import copy
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tests.benchmarks.measure import SERVER_CORE, on_core

Dialect = Literal["text", "irc", "redis", "nats"]

HERE = Path(__file__).parent
START_SECONDS = 20.0
STOP_SECONDS = 3.0
OPENSSL_SECONDS = 20.0
# What follows the name of a peer that is measured over TLS.
OVER_TLS = "-tls"


@dataclass(frozen=True)
class Server:
    """A server that runs and listens on 127.0.0.1; `tls`: over TLS; `tags`: its
    clients ask for IRC's server-time and msgid."""

    dialect: Dialect
    port: int
    pid: int
    tls: bool
    tags: bool = False


@dataclass(frozen=True)
class Certificate:
    """What a server shows over TLS: two files in PEM."""

    certificate: Path
    key: Path


class StartError(Exception):
    """A peer did not start; the text says why."""


class Peer:
    """A program to measure."""

    name: str
    title: str
    dialect: Dialect = "text"
    # Whether its clients hear who comes and who is there.
    tells_who_is_there = True
    # Readers; where everyone is told of each arrival, more take minutes to join, or never do.
    largest_room = 10_000
    # Clients that join at the same time, where joining is not what is measured.
    at_once = 1000
    # Whether it can be had over TLS; and with what it is, or None for plain TCP.
    offers_tls = False
    certificate: Certificate | None = None
    tags = False

    def over_tls(self, certificate: Certificate) -> Self:
        """The same program, all of whose clients connect over TLS."""
        peer = copy.copy(self)
        peer.certificate = certificate
        peer.name = f"{self.name}{OVER_TLS}"
        peer.title = f"{self.title}, TLS"
        return peer

    def available(self) -> bool:
        """Whether it is installed."""
        return True

    def command(self, folder: Path, port: int) -> list[str]:
        """How to start it in the foreground. Its files go into `folder`."""
        raise NotImplementedError


class Ours(Peer):
    """This repository's server, without what holds fast talkers (as with the peers), and without a
    database, as the peers are."""

    name = "ours"
    title = "chatservice"
    offers_tls = True
    database = "none"

    def command(self, folder: Path, port: int) -> list[str]:
        endpoint = f"tcp:{port}:interface=127.0.0.1:backlog=4096"
        doors = ["--rate", "0", "--max-per-address", "0", "--port", endpoint]
        if tls := self.certificate:
            doors[-2:] = ["--port", "none", "--tls", endpoint]
            doors += ["--certificate", str(tls.certificate), "--key", str(tls.key)]
        doors += ["--history", "0", "--database", self.database]
        if self.database != "none":
            doors[-1] = str(folder / self.database)
        twistd = Path(sys.executable).with_name("twistd")
        log = folder / "ours.log"
        return [str(twistd), "-n", "--pidfile=", f"--logfile={log}", "chat", *doors]


class OursForIrc(Ours):
    """The same, at the IRC door."""

    name = "ours-irc"
    title = "chatservice, IRC"
    dialect = "irc"
    offers_tls = False

    def command(self, folder: Path, port: int) -> list[str]:
        *others, door, endpoint, _, _, _, _ = super().command(folder, port)
        assert door == "--port"
        return [
            *(*others, "--port", "none", "--irc", endpoint, "--irc-no-lobby"),
            *("--history", "0", "--database", "none"),
        ]


class OursForIrcWithTags(OursForIrc):
    """The same, with server-time and msgid on each message."""

    name = "ours-irc-tags"
    title = "chatservice, IRC with tags"
    tags = True


class OursOnDisk(Ours):
    """The same, with the database that it has unless told otherwise."""

    name = "ours-disk"
    title = "chatservice, on disk"
    offers_tls = False
    database = "chat.sqlite3"


class InC(Peer):
    """The same idea in C: the yardstick for one core."""

    name = "c"
    title = "C"

    def command(self, folder: Path, port: int) -> list[str]:
        from tests.benchmarks.generator import build  # noqa: PLC0415 (it imports this module)

        return [str(build("peer")), str(port)]


class Naive(Peer):
    """A write for each message and reader, on Twisted."""

    name = "naive"
    title = "naive Twisted"
    largest_room = 1000

    def command(self, folder: Path, port: int) -> list[str]:
        return [sys.executable, str(HERE / "naive_chat.py"), str(port)]


class NaiveOnDisk(Naive):
    """The same, with a commit for each message before it is relayed."""

    name = "naive-disk"
    title = "naive, a commit each"

    def command(self, folder: Path, port: int) -> list[str]:
        return [*super().command(folder, port), str(folder / "naive.sqlite3")]


class Threads(Peer):
    """A thread for each client."""

    name = "threads"
    title = "threads"
    largest_room = 1000

    def command(self, folder: Path, port: int) -> list[str]:
        return [sys.executable, str(HERE / "threaded_chat.py"), str(port)]


class Installed(Peer):
    """A peer from the system's packages."""

    program: str

    def available(self) -> bool:
        return self._path() is not None

    def _path(self) -> str | None:
        return shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

    def _command(self, *arguments: object) -> list[str]:
        return [self._path() or self.program, *map(str, arguments)]


class NgIRCd(Installed):
    """https://ngircd.barton.de, without look-ups, limits and penalties."""

    name = "ngircd"
    title = "ngIRCd"
    largest_room = 1000
    at_once = 8  # its listen backlog is 10, and who finds it full is not served for seconds
    dialect = "irc"
    program = "ngircd"
    offers_tls = True

    def command(self, folder: Path, port: int) -> list[str]:
        user = "root" if os.geteuid() == 0 else str(os.geteuid())
        config = folder / "ngircd.conf"
        listen, tls = f"Ports = {port}", ""
        if files := self.certificate:
            listen = ""
            tls = f"[SSL]\nPorts = {port}\nCertFile = {files.certificate}\nKeyFile = {files.key}"
        config.write_text(f"""
[Global]
Name = bench.test
Info = benchmark
Listen = 127.0.0.1
{listen}
MotdPhrase = hello
ServerUID = {user}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
{tls}
""")
        return self._command("--nodaemon", "--config", config)


class InspIRCd(Installed):
    """https://www.inspircd.org, without look-ups and throttling."""

    name = "inspircd"
    title = "InspIRCd"
    largest_room = 1000
    dialect = "irc"
    program = "inspircd"
    offers_tls = True

    def command(self, folder: Path, port: int) -> list[str]:
        config = folder / "inspircd.conf"
        tls, profile = "", ""
        if files := self.certificate:
            profile = 'sslprofile="tls"'
            tls = f"""<module name="ssl_gnutls">
<sslprofile name="tls" provider="gnutls" certfile="{files.certificate}" keyfile="{files.key}"
 hash="sha256" outrecsize="16384">"""
        config.write_text(f"""
<server name="bench.test" description="benchmark" network="Bench">
<admin name="bench" nick="bench" email="bench@bench.test">
{tls}
<bind address="127.0.0.1" port="{port}" type="clients" {profile}>
<connect name="all" allow="*" timeout="600" pingfreq="1h" threshold="1000000"
 commandrate="100000000" fakelag="no" resolvehostnames="no" useident="no" maxconnwarn="no"
 localmax="100000" globalmax="100000" limit="100000" maxchans="100"
 recvq="10M" softsendq="1G" hardsendq="2G">
<performance softlimit="19000" somaxconn="1024" netbuffersize="65534" clonesonconnect="no">
<pid file="{folder}/inspircd.pid">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<log method="file" type="*" level="default" target="{folder}/inspircd.log">
""")
        arguments = ["--nofork", "--config", config]
        if os.geteuid() == 0:
            arguments.append("--runasroot")
        return self._command(*arguments)


class Redis(Installed):
    """https://redis.io, publish and subscribe, without persistence."""

    name = "redis"
    title = "Redis"
    dialect = "redis"
    program = "redis-server"
    tells_who_is_there = False
    offers_tls = True

    def command(self, folder: Path, port: int) -> list[str]:
        config = folder / "redis.conf"
        listen = f"port {port}"
        if tls := self.certificate:
            listen = f"port 0\ntls-port {port}\ntls-auth-clients no"
            listen += f"\ntls-cert-file {tls.certificate}\ntls-key-file {tls.key}"
        config.write_text(f"""
bind 127.0.0.1
{listen}
dir {folder}
logfile {folder}/redis.log
save ""
appendonly no
maxclients 19000
tcp-backlog 4096
client-output-buffer-limit pubsub 0 0 0
""")
        return self._command(config)


class Nats(Installed):
    """https://nats.io."""

    name = "nats"
    title = "NATS"
    dialect = "nats"
    program = "nats-server"
    tells_who_is_there = False

    def command(self, folder: Path, port: int) -> list[str]:
        log = folder / "nats.log"
        return self._command("-a", "127.0.0.1", "-p", port, "-l", log)


PEERS: tuple[Peer, ...] = (
    Ours(), OursForIrc(), OursForIrcWithTags(), InC(), NgIRCd(), InspIRCd(), Redis(), Nats(),
    Naive(), Threads(),
)  # fmt: skip
# What keeping what is said costs: without it, with it, and as it is mostly done.
DURABLE: tuple[Peer, ...] = (Ours(), OursOnDisk(), NaiveOnDisk())


@contextmanager
def running(peer: Peer, folder: Path) -> Iterator[Server]:
    """`peer`, started on its own core on a free port; ended on the way out.

    Raises `StartError`.
    """
    port = _free_port()
    log = folder / f"{peer.name}.out"
    with log.open("wb") as output, on_core(SERVER_CORE):
        process = subprocess.Popen(
            peer.command(folder, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield Server(
            peer.dialect, port, process.pid, tls=peer.certificate is not None, tags=peer.tags
        )
    finally:
        _end(process)


def new_certificate(folder: Path) -> Certificate:
    """One for this run, signed by itself, on the curve that is fastest to shake hands with.

    Raises `StartError` without OpenSSL's program.
    """
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=OPENSSL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"no certificate: {error}") from error
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.2)  # what the probe has caused is over
            return
    said = log.read_text(errors="replace")[-500:]
    raise StartError(f"does not listen (exit code {process.poll()}): {said!r}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
