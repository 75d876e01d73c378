"""The plain face of the client: as a tool in a pipe, and on a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatservice.core.events import Closed, CloseReason, Welcomed
from chatservice.dialects.jsonlines import JSON
from tests.support.addresses import elsewhere
from tests.support.people import (
    HINT,
    PATIENCE,
    QUESTION,
    Server,
    client_command,
    joined,
    left,
    run_client,
)


class Terminal:
    """The client, or another command, on a terminal of its own."""

    def __init__(self, port: int, *options: str, command: Sequence[str] = ()) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command or client_command(port, "--plain", *options),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._screen = b""

    def types(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\n")

    def presses(self, key: bytes) -> None:
        os.write(self.master, key)

    def shows(self, text: str) -> None:
        """Wait until `text` is on the screen; forget what came before it."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._screen:
            assert time.monotonic() < deadline, self._screen.decode()
            if select.select([self.master], [], [], 0.1)[0]:
                self._screen += os.read(self.master, 65536)
        self._screen = self._screen.partition(text.encode())[2]

    def ends(self) -> int:
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    terminal = Terminal(server.port)
    yield terminal
    terminal.close()


def wait_until_full(pipe: int) -> None:
    """Nothing more fits into it but part of a page."""
    deadline = time.monotonic() + PATIENCE
    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder) < 60_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)


GOODBYE = JSON.render(Closed("ci", CloseReason.EXIT))
WELCOME = JSON.render(Welcomed("ci", ("ci",), "epoch", 0, "token"))


@contextmanager
def serving(*parts: bytes) -> Iterator[int]:
    """The port of a server that sends these to whoever comes first, each when it has heard
    something after the one before, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)

        def serve() -> None:
            connection, _ = listening.accept()
            connection.settimeout(PATIENCE)
            with connection:
                for part in parts:
                    connection.sendall(part)
                    connection.recv(100)

        server = threading.Thread(target=serve)
        server.start()
        yield listening.getsockname()[1]
        server.join()


class TestInAPipe:
    def test_sends_says_goodbye_and_ends_well(self, server: Server) -> None:
        alice = server.join("Alice")
        ended = run_client(server.port, "--name", "ci", typed=b"build done\n")
        assert ended.returncode == 0, ended.stderr
        alice.hears(joined("ci"), "ci: build done", left("ci"))
        assert ended.stdout.decode().splitlines()[0].startswith("Welcome ci, ")
        assert ended.stdout.decode().splitlines()[-1] == "*** Goodbye, ci."
        assert ended.stderr == b""

    def test_a_last_line_without_its_end_is_sent(self, server: Server) -> None:
        alice = server.join("Alice")
        assert run_client(server.port, "--name", "ci", typed=b"one\ntwo").returncode == 0
        alice.hears(joined("ci"), "ci: one", "ci: two")

    def test_the_first_line_is_the_name_when_none_is_given(self, server: Server) -> None:
        alice = server.join("Alice")
        assert run_client(server.port, typed=b"ci\nhello\n").returncode == 0
        alice.hears(joined("ci"), "ci: hello")

    def test_nothing_to_send_is_not_a_failure(self, server: Server) -> None:
        assert run_client(server.port, "--name", "ci").returncode == 0

    def test_much_is_sent_whole(self, server: Server) -> None:
        alice = server.join("Alice")
        numbers = range(20_000)
        typed = "".join(f"{number}\n" for number in numbers).encode()
        results: list[int] = []
        sending = threading.Thread(
            target=lambda: results.append(
                run_client(server.port, "--name", "ci", typed=typed, timeout=60).returncode
            )
        )
        sending.start()
        alice.hears(joined("ci"))
        for number in numbers:
            alice.hears(f"ci: {number}")
        sending.join()
        assert results == [0]

    def test_a_refused_name_is_a_failure(self, server: Server) -> None:
        ended = run_client(server.port, "--name", "a b", typed=b"hello\n")
        assert ended.returncode == 1
        assert ended.stderr.decode() == "Error: a name cannot contain a space.\n"

    def test_a_refused_line_is_a_failure(self, server: Server) -> None:
        ended = run_client(server.port, "--name", "ci", typed=b"/dance\n")
        assert ended.returncode == 1
        assert b"/dance is not a command" in ended.stderr

    def test_a_line_without_end_is_a_failure(self, server: Server) -> None:
        ended = run_client(server.port, "--name", "ci", typed=b"one\n" + b"x" * 3_000_000)
        assert ended.returncode == 1
        assert ended.stderr.decode() == "Error: a line has more than 1048576 bytes.\n"

    def test_what_comes_after_exit_is_not_sent_and_that_is_a_failure(self, server: Server) -> None:
        alice = server.join("Alice")
        assert run_client(server.port, "--name", "ci", typed=b"one\n/exit\ntwo\n").returncode == 1
        alice.hears(joined("ci"), "ci: one", left("ci"))
        assert run_client(server.port, "--name", "ci2", typed=b"one\n/exit\n").returncode == 0

    @pytest.mark.parametrize("typed", [b"\nci\nhello\n", b"/help\n \nci\nhello\n"])
    def test_lines_that_are_not_names_are_passed_over(self, server: Server, typed: bytes) -> None:
        alice = server.join("Alice")
        assert run_client(server.port, typed=typed).returncode == 0
        alice.hears(joined("ci"), "ci: hello")

    @pytest.mark.parametrize("typed", [b"ci\nhello\n", b"/help\nci\n/help\nhello\n"])
    def test_with_json_what_is_for_a_person_is_not_part_of_the_output(
        self, server: Server, typed: bytes
    ) -> None:
        alice = server.join("Alice")
        ended = run_client(server.port, "--json", typed=typed)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.decode().splitlines()[0] == QUESTION
        assert all(json.loads(line)["type"] for line in ended.stdout.splitlines())
        alice.hears(joined("ci"), "ci: hello")

    def test_a_user_called_goodbye_ends_nobodys_client(self, server: Server) -> None:
        with subprocess.Popen(
            client_command(server.port, "--name", "ci"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as client:
            assert client.stdout is not None
            assert client.stdout.readline().startswith(b"Welcome ci, ")
            server.join("Goodbye").leaves()
            while b"Goodbye has left" not in client.stdout.readline():
                pass
            server.process.kill()
            assert client.wait(PATIENCE) == 1
        server.killed = True

    def test_no_server_is_a_failure(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as once:
            port = once.getsockname()[1]
        ended = run_client(port, "--name", "ci", typed=b"hello\n")
        assert ended.returncode == 1
        assert b"Cannot connect to 127.0.0.1:" in ended.stderr
        assert b"Traceback" not in ended.stderr

    def test_a_server_that_dies_is_a_failure(self) -> None:
        with serving(b"What is your name?\r\n", WELCOME) as port:
            ended = run_client(port, "--name", "ci", typed=b"hello\n")
        assert ended.returncode == 1

    def test_it_ends_when_nobody_reads_what_it_prints(self, server: Server) -> None:
        with subprocess.Popen(
            client_command(server.port, "--name", "ci"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline().startswith(b"Welcome ci, ")
            client.stdout.close()
            alice = server.join("Alice")
            alice.types("hello")
            assert client.wait(PATIENCE) == 1

    def test_told_to_end_it_says_goodbye_and_that_is_a_failure(self, server: Server) -> None:
        alice = server.join("Alice")
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(
                client_command(server.port, "--name", "ci"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as client:
                alice.hears(joined("ci"))
                client.send_signal(number)
                alice.hears(left("ci"))
                assert client.stdout is not None
                assert client.stdout.read().endswith(b"*** Goodbye, ci.\n")
                assert client.wait(PATIENCE) == 1

    def test_told_twice_it_ends_though_nobody_takes_what_it_prints(self, server: Server) -> None:
        alice = server.join("Alice")
        with subprocess.Popen(
            client_command(server.port, "--name", "ci"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client:
            alice.hears(joined("ci"))
            for _ in range(300):
                alice.types("x" * 4000)
            assert client.stdout is not None
            wait_until_full(client.stdout.fileno())
            client.send_signal(signal.SIGINT)
            alice.hears(left("ci"))
            client.send_signal(signal.SIGINT)
            try:
                assert client.wait(PATIENCE) == 1
            finally:
                client.kill()

    def test_what_a_server_sends_is_made_harmless(self) -> None:
        nasty = b'{"type": "announced", "lines": ["\\u001b[2J \\u202e"]}\n'
        with serving(b'\x1b[2J\r\n{\x1b\r\n{"type": "new"}\r\n', WELCOME + nasty) as port:
            ended = run_client(port, "--name", "ci")
        assert ended.stdout.decode().splitlines()[3:] == ["*** \ufffd[2J \ufffd"]


@pytest.mark.parametrize(
    "option",
    [
        ["--port", "0"],
        ["--port", "x"],
        ["--bogus"],
        ["--host", ""],
        ["--name", " "],
        ["--name", "/exit"],
        ["--name", "a\nb"],
    ],
)
def test_nonsense_is_refused(option: list[str]) -> None:
    ended = run_client(1, *option)
    assert ended.returncode == 2
    assert b"usage: " in ended.stderr


class TestOnATerminal:
    def test_asks_who_you_are_until_you_may_come_in(
        self, server: Server, terminal: Terminal
    ) -> None:
        alice = server.join("Alice")
        terminal.shows(QUESTION)
        terminal.types("Alice")
        terminal.shows(f"Error: Alice is taken. {QUESTION}")
        terminal.types("Bob")
        terminal.shows("Welcome Bob, ")
        alice.hears(joined("Bob"))
        terminal.types("سلام")
        alice.hears("Bob: سلام")
        alice.types("What is your name?")
        terminal.shows("Alice: What is your name?")
        terminal.types("Bob, as before")
        alice.hears("Bob: Bob, as before")

    @pytest.mark.parametrize(
        "key", [b"\x04", b"\x03", b"/exit\n"], ids=["Ctrl-D", "Ctrl-C", "exit"]
    )
    def test_leaves_properly(self, server: Server, terminal: Terminal, key: bytes) -> None:
        alice = server.join("Alice")
        terminal.shows(QUESTION)
        terminal.types("Bob")
        alice.hears(joined("Bob"))
        terminal.shows("*** Online")
        if key == b"\x03":  # the terminal is not this process's own, and sends no signal
            terminal.process.send_signal(signal.SIGINT)
        else:
            terminal.presses(key)
        terminal.shows("*** Goodbye, Bob.")
        alice.hears(left("Bob"))
        assert terminal.ends() == 0

    def test_says_goodbye_when_it_is_told_to_end(self, server: Server, terminal: Terminal) -> None:
        alice = server.join("Alice")
        terminal.shows(QUESTION)
        terminal.types("Bob")
        alice.hears(joined("Bob"))
        terminal.shows("*** Online")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.shows("*** Goodbye, Bob.")
        assert terminal.ends() == 0

    def test_comes_back_by_itself_under_the_same_name(self, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        with Server(tmp_path / "one") as server:
            port = server.port
            terminal = Terminal(port, "--name", "Bob")
            terminal.shows("Welcome Bob, ")
            terminal.types("/nick Rob")
            terminal.shows("*** Bob is now known as Rob.")
        terminal.shows("Disconnected.")
        terminal.shows("Retrying in")
        terminal.types("into the void")
        terminal.shows("Not connected: that was not sent.")
        with Server(tmp_path / "two", "--port", f"tcp:{port}:interface=127.0.0.1"):
            terminal.shows("Welcome Rob, ")
            terminal.presses(b"\x04")
            assert terminal.ends() == 0
        terminal.close()

    def test_ends_instead_with_no_retry(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            terminal = Terminal(server.port, "--name", "Bob", "--no-retry")
            terminal.shows("Welcome Bob, ")
        terminal.shows("Disconnected.")
        assert terminal.ends() == 1
        terminal.close()


class TestWhatIsOnTheMachine:
    """nc and telnet, where they are installed (.ci/run sees to it)."""

    def test_nc(self, server: Server) -> None:
        if shutil.which("nc") is None:
            pytest.skip("no nc here")
        alice = server.join("Alice")
        with subprocess.Popen(
            ["nc", "127.0.0.1", str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as nc:
            assert nc.stdin is not None
            assert nc.stdout is not None
            nc.stdin.write("Bob\nسلام\n/exit\n".encode())
            nc.stdin.flush()
            alice.hears(joined("Bob"), "Bob: سلام", left("Bob"))
            assert nc.stdout.read().decode().splitlines() == [
                QUESTION,
                "Welcome Bob, you are connected to the server.",
                HINT,
                "*** Online (2): Alice, Bob",
                "*** Goodbye, Bob.",
            ]

    def test_telnet(self, server: Server) -> None:
        """It shows every alphabet, but Debian's eats some bytes of those that are typed."""
        if shutil.which("telnet") is None:
            pytest.skip("no telnet here")
        alice = server.join("Alice")
        terminal = Terminal(0, command=["telnet", "127.0.0.1", str(server.port)])
        terminal.shows(QUESTION)
        terminal.types("Bob")
        alice.hears(joined("Bob"))
        alice.types("你好")
        terminal.shows("Alice: 你好")
        terminal.presses(b"\x03")  # telnet asks for a timing mark, and is mute until it comes
        terminal.types("/who")
        terminal.shows("*** Online (2): Alice, Bob")
        terminal.types("/exit")
        terminal.shows("*** Goodbye, Bob.")
        alice.hears(left("Bob"))
        terminal.ends()
        terminal.close()


class TestWhereAServerIs:
    @pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "[::ffff:127.0.0.1]:{}"])
    def test_a_host_may_bring_its_port(self, server: Server, host: str) -> None:
        ended = run_command("--host", host.format(server.port), "--name", "ci")
        assert (ended.returncode, ended.stderr) == (0, b"")

    @pytest.mark.parametrize("host", ["[::1]", "::1", "[0:0::1]"])
    def test_it_may_stand_in_brackets(self, host: str) -> None:
        with Ear("::1") as ear:
            ended = run_command("--host", host, "--port", str(ear.port), "--name", "ci")
            assert (ended.returncode, ended.stderr) == (0, b"")

    def test_two_ports_are_refused(self) -> None:
        ended = run_command("--host", "localhost:1", "--port", "2")
        assert ended.returncode == 2
        assert b"--host says port 1, --port says 2" in ended.stderr

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "256.256.256.256"])
    @pytest.mark.parametrize("on_terminal", [False, True], ids=["pipe", "terminal"])
    def test_one_that_does_not_exist_is_tried_once(self, host: str, on_terminal: bool) -> None:
        command = (sys.executable, "-m", "chatservice.client", "--host", host, "--name", "Bob")
        if not on_terminal:
            ended = run_command(*command[3:])
            assert ended.returncode == 1
            assert (
                ended.stderr.decode() == f"Cannot connect to {host}:12345: there is no such host.\n"
            )
            return
        terminal = Terminal(0, command=(*command, "--plain"))
        terminal.shows(f"Cannot connect to {host}:12345: there is no such host.")
        assert terminal.ends() == 1
        terminal.close()


class TestTlsOrNot:
    def test_plain_text_to_the_tls_port(self, tmp_path: Path) -> None:
        with Server(tmp_path, tls=True) as server:
            ended = run_client(server.port, "--name", "ci", typed=b"hello\n")
        assert ended.returncode == 1
        assert b"--tls" in ended.stderr
        assert ended.stderr.count(b"\n") == 1


class Ear:
    """A server that asks for a name, and remembers what it is told."""

    def __init__(self, host: str) -> None:
        self.heard = b""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> "Ear":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    connection.sendall(b"What is your name?\r\n")
                    for line in connection.makefile("rb"):
                        self.heard += line
                        connection.sendall(GOODBYE if b'"exit"' in line else WELCOME)
                        if b'"exit"' in line:
                            break


class TestAPasswordWithoutTls:
    """It does not leave this machine, unless that is asked for in so many words."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        (tmp_path / "password").write_text("opensesame\n")
        return str(tmp_path / "password")

    def test_is_not_sent(self, file: str) -> None:
        with Ear(elsewhere()) as ear:
            options = ("--name", "Alice", "--password-file", file)
            ended = run_client(ear.port, *options, typed=b"hello\n", host=elsewhere())
            assert ended.returncode == 1
            assert b"The password was not sent: this connection is not encrypted." in ended.stderr
            assert b"--allow-plaintext-password" in ended.stderr
            assert ear.heard == b""

    def test_is_sent_if_that_is_asked_for(self, file: str) -> None:
        with Ear(elsewhere()) as ear:
            options = ("--name", "Alice", "--password-file", file, "--allow-plaintext-password")
            run_client(ear.port, *options, host=elsewhere())
            assert b"opensesame" in ear.heard

    def test_is_sent_to_this_machine(self, file: str) -> None:
        with Ear("127.0.0.1") as ear:
            run_client(ear.port, "--name", "Alice", "--password-file", file)
            assert b"opensesame" in ear.heard

    def test_is_not_sent_to_a_server_that_has_been_reached_over_tls(
        self, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not even on this machine: what listens there now is not that server."""
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        known = tmp_path / "chatservice" / "known_servers"
        known.parent.mkdir()
        with Ear("127.0.0.1") as ear:
            known.write_text(f"127.0.0.1:{ear.port} {'AB' * 32}\n")
            ended = run_client(ear.port, "--name", "Alice", "--password-file", file)
            assert ended.returncode == 1
            assert b"has been reached over TLS before" in ended.stderr
            assert ear.heard == b""

    def test_nor_when_it_is_registered(self) -> None:
        with Ear(elsewhere()) as ear:
            run_client(ear.port, "--name", "ci", typed=b"/register opensesame\n", host=elsewhere())
            assert b"opensesame" not in ear.heard


class TestWhatAScriptIsTold:
    def test_every_line_after_exit_is_named(self, server: Server) -> None:
        typed = b"one\n/dance\n/exit\n" + b"".join(b"late %d\n" % n for n in range(300))
        ended = run_client(server.port, "--name", "ci", typed=typed)
        assert ended.returncode == 1
        named = [line for line in ended.stderr.decode().splitlines() if "late" in line]
        assert [line.rpartition(": ")[2] for line in named] == [f"late {n}" for n in range(300)]

    def test_every_line_that_may_be_lost_is_named(self) -> None:
        with serving(b"What is your name?\r\n", WELCOME) as port:
            ended = run_client(port, "--name", "ci", typed=b"one\ntwo\n")
        assert ended.returncode == 1
        assert [b"one" in ended.stderr, b"two" in ended.stderr] == [True, True]

    def test_a_byte_order_mark_is_not_part_of_the_first_line(self, server: Server) -> None:
        alice = server.join("Alice")
        assert run_client(server.port, typed=b"\xef\xbb\xbfci\nhello\n").returncode == 0
        alice.hears(joined("ci"), "ci: hello", left("ci"))
        ended = run_client(server.port, "--name", "ci", typed=b"\xef\xbb\xbf/who\n")
        assert ended.returncode == 0, ended.stderr


def run_command(*options: str) -> "subprocess.CompletedProcess[bytes]":
    """The client with only these options, in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "chatservice.client", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def test_rows_that_go_on_are_indented_on_a_terminal(server: Server) -> None:
    """A message padded to its width cannot pass for what the server says."""
    bob = server.join("Bob")
    terminal = Terminal(server.port, "--name", "Alice")
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    terminal.shows("*** Online")
    bob.hears(joined("Alice"))
    bob.types(f"ok{' ' * 73}*** Goodbye, Alice.", "done")
    terminal.shows("Bob: ok")
    terminal.shows("\n  *** Goodbye, Alice.")
    terminal.shows("Bob: done")
    terminal.close()
