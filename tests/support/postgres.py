"""PostgreSQL for tests: clusters of their own in temporary folders, run by another user than root,
and ended with the test run."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

PLACE = Path("/usr/lib/postgresql")  # Debian's, a folder for each version
USER = "postgres"  # Debian's, whom the server runs as if we are root
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
PATIENCE = 20.0
# Tests of what the chat does need no disk that lasts.
HASTY = ("fsync=off", "full_page_writes=off")


def binaries() -> Path | None:
    """Where PostgreSQL's programs are, if it is installed."""
    found = [path.parent for path in PLACE.glob("*/bin/postgres")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    there = shutil.which("postgres")
    return None if there is None else Path(there).parent


def is_installed() -> bool:
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError:
        return False
    return binaries() is not None


NEEDS_POSTGRES = pytest.mark.skipif(
    not is_installed(), reason="PostgreSQL is not installed (Debian: apt-get install postgresql)"
)


class Cluster:
    """A PostgreSQL server that listens on a socket in its own folder, and at a port of the
    loopback interface if one is given; or a standby of `primary`, which knows it by its `name`."""

    def __init__(
        self, *settings: str, port: int = 0, primary: "Cluster | None" = None, name: str = ""
    ) -> None:
        programs = binaries()
        assert programs is not None
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="chat-postgres-", dir=FAST))
        self._names = count(1)
        self._settings = settings
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(self.folder, USER, USER)
        if primary is not None:
            source = f"host={primary.folder} user={USER} application_name={name}"
            self._run("pg_basebackup", "-R", "--no-sync", "-d", source, "-D", self.folder / "data")
            self.start()
            return
        options = ["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "-D", self.folder / "data", *options)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        listens = ["listen_addresses=127.0.0.1"] if self._port else ["listen_addresses="]
        settings = [*HASTY, *listens, "max_connections=200", *self._settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user(),
                    *(self._programs / "postgres", "-D", self.folder / "data"),
                    *("-k", self.folder, "-p", str(self._port or 5432)),
                    *(part for setting in settings for part in ("-c", setting)),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.says("SELECT 1", check=False) == "1":
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def promote(self) -> None:
        """It is a standby no longer."""
        self.says("SELECT pg_promote()")

    def stop(self) -> None:
        """End it, and delete all that it had."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def process(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def new_database(self) -> str:
        """The URI of a new one."""
        name = f"chat{next(self._names)}"
        self.says(f"CREATE DATABASE {name}")
        return self.uri(name)

    def empty(self) -> None:
        """Delete all that is in the first database, whatever a test has left there."""
        from chatservice.storage.postgres import connection  # noqa: PLC0415 (an extra)

        opened = connection.connect(self.uri("postgres"))
        connection.ask_now(
            opened,
            "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        )
        opened.finish()

    def uri(self, database: str, **more: str) -> str:
        host = f"127.0.0.1&port={self._port}" if self._port else str(self.folder)
        rest = "".join(f"&{key}={value}" for key, value in more.items())
        return f"postgresql:///{database}?host={host}&user={USER}{rest}"

    def says(self, query: str, database: str = "postgres", *, check: bool = True) -> str:
        """What psql prints for a query."""
        done = subprocess.run(
            [
                *(self._programs / "psql", "-X", "-A", "-t", "-h", self.folder, "-U", USER),
                *("-p", str(self._port or 5432), "-d", database, "-c", query),
            ],
            capture_output=True,
            check=check,
            text=True,
        )
        return done.stdout.strip()

    def _as_user(self) -> Sequence[str]:
        """Ends with us, whatever happens."""
        dies = ("setpriv", "--pdeathsig", "QUIT")
        if os.getuid() == 0:
            return (*dies, "--reuid", USER, "--regid", USER, "--clear-groups")
        return dies

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [*self._as_user(), self._programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/")


_shared: list[Cluster] = []


def shared() -> Cluster:
    """One for all tests of this process."""
    if not _shared:
        _shared.append(Cluster())
    return _shared[0]


def stop_shared() -> None:
    while _shared:
        _shared.pop().stop()
