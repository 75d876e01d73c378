"""Starting and operating: the terminal, the log file, and the signals of a shell."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.people import FORGETFUL, PATIENCE, TWISTD, Server

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.usefixtures("own_starts")
LOOPBACK = ("--port", "tcp:0:interface=127.0.0.1")


def twistd(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """twistd with its log in the file ``log``, as far as it runs in the foreground."""
    return subprocess.run(
        [sys.executable, TWISTD, "--pidfile=pid", "--logfile=log", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def daemon(folder: Path, *options: str) -> "Iterator[subprocess.CompletedProcess[str]]":
    """A server that has become a daemon; what was printed until then."""
    printed = twistd(folder, "chat", *FORGETFUL, *options)
    process = int((folder / "pid").read_text())
    try:
        yield printed
    finally:
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while (folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert not (folder / "pid").exists()


def wait_for(condition: "object", what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Logged(Server):
    """A server whose log is written by twistd's --logfile."""

    def program(self, runner: Sequence[str | Path]) -> Sequence[str | Path]:
        return (*runner, "-n", "--pidfile=pid", "--logfile=chat.log", "chat")

    @property
    def log(self) -> str:
        file = self.log_file.with_name("chat.log")
        return file.read_text() if file.exists() else ""


class TestTheTerminal:
    def test_shows_where_a_daemon_listens(self, tmp_path: Path) -> None:
        with daemon(tmp_path, *LOOPBACK, "--port", "unix:chat.sock") as printed:
            assert printed.returncode == 0
            assert printed.stdout == ""
            first, second = printed.stderr.splitlines()
            assert re.fullmatch(r"Listening on 127\.0\.0\.1:\d+", first)
            assert second == "Listening on unix:chat.sock"
            assert first in (tmp_path / "log").read_text()

    @pytest.mark.parametrize("how", ["-n", "daemon"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_shows_why_it_cannot_listen(self, tmp_path: Path, how: str, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as taken:
            port = taken.getsockname()[1]
            interface = host.replace(":", r"\:")
            endpoint = f"tcp:{port}:interface={interface}"
            options = ["-n"] if how == "-n" else []
            ended = twistd(tmp_path, *options, "chat", "--port", endpoint)
        assert ended.returncode == 1
        where = f"[::1]:{port}" if ":" in host else f"127.0.0.1:{port}"
        complaint = f"chat: Couldn't listen on {where}: [Errno 98] Address already in use."
        assert ended.stderr.splitlines()[0] == complaint
        log = tmp_path / "log"
        wait_for(lambda: complaint in log.read_text(), "the line in the log")
        assert "Traceback" not in log.read_text()

    @pytest.mark.parametrize(
        ("place", "why"),
        [
            ("chat.sock", " on unix:chat.sock: [Errno 98] Address already in use."),
            ("missing/chat.sock", ": [Errno 2] No such file or directory: "),
        ],
    )
    def test_shows_why_it_cannot_make_a_unix_socket(
        self, tmp_path: Path, place: str, why: str
    ) -> None:
        (tmp_path / "chat.sock").touch()
        ended = twistd(tmp_path, "chat", "--port", f"unix:{place}")
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"chat: Couldn't listen{why}")

    def test_shows_that_the_log_cannot_be_written(self, tmp_path: Path) -> None:
        ended = twistd(tmp_path, "-n", "--logfile=missing/log", "chat", *LOOPBACK)
        assert ended.returncode == 1
        assert ended.stderr == (
            "chat: cannot open the log file missing/log: No such file or directory\n"
        )

    def test_shows_that_the_database_cannot_be_used(self, tmp_path: Path) -> None:
        ended = twistd(tmp_path, "chat", *LOOPBACK, "--database", ".")
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[0].startswith("chat: --database ")


class TestSignals:
    def test_nohup_outlives_the_terminal(self, tmp_path: Path) -> None:
        with Server(tmp_path, runner=("nohup", sys.executable, TWISTD)) as server:
            alice = server.join("Alice")
            server.process.send_signal(signal.SIGHUP)
            alice.types("/who")
            alice.hears("*** Online (1): Alice")
            assert "Reload" not in server.log

    def test_a_script_s_background_outlives_ctrl_c(self, tmp_path: Path) -> None:
        ignoring = (
            *("sh", "-c", "trap '' INT; exec \"$@\"", "sh"),
            *(sys.executable, TWISTD),
        )
        with Server(tmp_path, runner=ignoring) as server:
            alice = server.join("Alice")
            server.process.send_signal(signal.SIGINT)
            alice.types("/who")
            alice.hears("*** Online (1): Alice")

    def test_ctrl_c_ends_it(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(PATIENCE) == 0


class TestTheLogFile:
    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
    def test_is_opened_again_when_it_was_renamed(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        log, old = tmp_path / "chat.log", tmp_path / "chat.log.1"
        umask = os.umask(0o022)
        try:
            with Logged(tmp_path) as server:
                alice = server.join("Alice")
                log.rename(old)
                alice.types("/nick Ada")
                alice.hears("*** Alice is now known as Ada.")
                wait_for(lambda: "Ada" in old.read_text(), "a line in the old file")
                server.process.send_signal(number)
                wait_for(log.exists, "a new file")
                alice.types("/nick Bea")
                alice.hears("*** Ada is now known as Bea.")
                server.wait_for_log("Bea")
                assert "Bea" not in old.read_text()
                for file in (log, old):
                    assert file.stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(umask)

    def test_goes_on_where_it_cannot_be_opened_again(self, tmp_path: Path) -> None:
        log, old = tmp_path / "chat.log", tmp_path / "chat.log.1"
        with Logged(tmp_path) as server:
            log.rename(old)
            log.mkdir()
            server.process.send_signal(signal.SIGUSR1)
            wait_for(lambda: "The log stays in the old file" in old.read_text(), "a line")
            server.join("Alice")
            wait_for(lambda: "Alice has joined" in old.read_text(), "a line")
            log.rmdir()
            old.rename(log)

    def test_of_a_daemon_is_for_its_user_and_group(self, tmp_path: Path) -> None:
        umask = os.umask(0o022)
        try:
            with daemon(tmp_path, *LOOPBACK):
                assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(umask)

    def test_has_no_end_of_its_own(self, tmp_path: Path) -> None:
        """twistd would start a new file at 1 MB."""
        (tmp_path / "chat.log").write_text("x" * 1_000_000)
        with Logged(tmp_path, "--log-messages") as server:
            server.join("Alice").types("hello")
            server.wait_for_log("Alice: 'hello'")
        assert [file.name for file in tmp_path.glob("chat.log*")] == ["chat.log"]

    @pytest.mark.skipif(shutil.which("logrotate") is None, reason="there is no logrotate")
    def test_is_rotated_by_the_logrotate_file_of_the_documentation(self, tmp_path: Path) -> None:
        rules = (DOCS / "chatservice.logrotate").read_text()
        rules = rules.replace("/var/log/chatservice", str(tmp_path))
        rules = rules.replace("/run/chatservice/chat.pid", str(tmp_path / "pid"))
        (tmp_path / "rules").write_text(rules)
        with Logged(tmp_path) as server:
            alice = server.join("Alice")
            for name in ("Ada", "Bea"):
                subprocess.run(
                    ["logrotate", "--force", "--state", tmp_path / "state", tmp_path / "rules"],
                    check=True,
                )
                wait_for((tmp_path / "chat.log").exists, "a new file")
                alice.types(f"/nick {name}")
                server.wait_for_log(name)
            assert (tmp_path / "chat.log.1").exists()
            assert (tmp_path / "chat.log.2.gz").exists()
