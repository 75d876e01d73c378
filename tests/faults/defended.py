"""Servers with the default limits, which are what holds strangers; and a bystander at each."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.bystander import Bystander
from tests.support.people import PATIENCE, Server


class DefaultServer(Server):
    """``twistd -n chat`` as it comes. What an attack leaves it unable to end is killed."""

    usual: Sequence[str] = ()

    def stop(self) -> int:
        try:
            return super().stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
            raise


CALM = 0.3  # of a processor; a bystander who waits takes much less
CALM_SECONDS = 5.0  # until it is


class Defended:
    """A server and a bystander, for several attacks in turn; anew after one that it has not
    survived, or is still busy with."""

    def __init__(self, folder: Path, *options: str, tls: bool) -> None:
        self._folder = folder
        self._options = options
        self._tls = tls
        self._stack = ExitStack()
        self._pair: tuple[Server, Bystander] | None = None

    def pair(self) -> tuple[Server, Bystander]:
        if self._pair is not None and not is_calm(self._pair[0]):
            self.discard()
        if self._pair is None:
            server = self._stack.enter_context(
                DefaultServer(self._folder, *self._options, tls=self._tls)
            )
            self._pair = server, self._stack.enter_context(Bystander(server))
        return self._pair

    def close(self) -> None:
        self._stack.close()
        self._pair = None

    def discard(self) -> None:
        """It is of no use any longer."""
        if self._pair is not None:
            server, _ = self._pair
            server.process.kill()
            server.killed = True
            self.close()


def is_calm(server: Server) -> bool:
    """Whether there is nothing left for it to do, within some time."""
    deadline = time.monotonic() + CALM_SECONDS
    while cpu_seconds_in(server, 0.1) > CALM * 0.1:
        if time.monotonic() > deadline:
            return False
    return True


def cpu_seconds(server: Server) -> float:
    """What it has used of the processors so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_in(server: Server, seconds: float) -> float:
    """The same, from now on for so long."""
    before = cpu_seconds(server)
    time.sleep(seconds)
    return cpu_seconds(server) - before
