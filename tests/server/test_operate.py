"""The operator's shell, and the socket behind it."""

import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from chatservice.control.door import MAX_CONNECTIONS
from chatservice.control.wire import MAX_LINE, VERSION
from chatservice.operate import main
from tests.support.people import PATIENCE, Person, Server, joined, left

OPERATE = (sys.executable, "-m", "chatservice.operate")
SOCKET = "chat.sqlite3.control"
KEPT = ("--database", "chat.sqlite3")
NOBODY = 65534  # a user who owns nothing


class Operated(Server):
    """A server with a database, and so with a socket beside it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        super().__init__(folder, *KEPT, *options)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def wait_for_socket(self) -> None:
        """Until somebody can connect: Twisted logs that it is there before it is."""
        listens = re.compile(rf" 00010000 .* {re.escape(str(self.folder / SOCKET))}$", re.MULTILINE)
        deadline = time.monotonic() + PATIENCE
        while not listens.search(Path("/proc/net/unix").read_text()):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def operate(self, *words: str) -> str:
        """What the shell says of a command that it has carried out."""
        done = operate(self.folder, *words)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


class Done(NamedTuple):
    """How the shell has ended, and what it has printed."""

    returncode: int
    stdout: str
    stderr: str


def operate(folder: Path, *words: str) -> Done:
    """The shell, in this process: a new one for each command would take half a second."""
    printed, complaints, status = io.StringIO(), io.StringIO(), 0
    with chdir(folder), redirect_stdout(printed), redirect_stderr(complaints):
        try:
            main(words)
        except SystemExit as end:  # as Python treats it
            if isinstance(end.code, str):
                sys.stderr.write(f"{end.code}\n")
            status = end.code if isinstance(end.code, int) else 1
    return Done(status, printed.getvalue(), complaints.getvalue())


def fails(folder: Path, *words: str) -> str:
    """The one line that says why it could not be done."""
    done = operate(folder, *words)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.startswith("operate: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("operate: ").rstrip()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Operated]:
    with Operated(tmp_path) as server:
        server.wait_for_socket()
        yield server


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A server at which nobody is, and in which tests change nothing."""
    with Operated(tmp_path_factory.mktemp("quiet")) as server:
        server.wait_for_socket()
        yield server


def hears_of(person: Person, text: str) -> str:
    """The next line that has it."""
    while text not in (line := person.next_line()):
        pass
    return line


def cells(table: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in table.splitlines()]


# What it does.


def test_it_is_a_program(quiet: Operated) -> None:
    done = subprocess.run(
        [*OPERATE, "status"],
        cwd=quiet.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert str(quiet.process.pid) in done.stdout


def test_the_operator_sees_who_is_there_without_being_there(served: Operated) -> None:
    alice, bob = served.join("Alice"), served.join("Bob")
    alice.hears(joined("Bob"))
    bob.types("/join secret")
    bob.hears("*** In #secret (1): Bob")
    bob.types("/private", "/topic plans", "/away lunch")
    hears_of(bob, "Bob has set the topic: plans")
    hears_of(bob, "You are now away: lunch")
    heads, *rows = cells(served.operate("who"))
    assert heads == ["NAME", "REGISTERED", "SINCE", "IDLE", "FROM", "ROOMS"]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("Alice", "guest", "#lobby"),
        ("Bob", "guest", "#lobby #secret"),
    ]
    assert [row[3].endswith(", away") for row in rows] == [False, True]
    assert re.fullmatch(r"127\.0\.0\.1:\d+ \(lines\)", rows[0][4])
    assert [row[0] for row in cells(served.operate("who", "--room", "#secret"))] == ["NAME", "Bob"]
    assert cells(served.operate("rooms"))[1:] == [
        ["#lobby", "2", "open"],
        ["#secret", "1", "private", "plans"],
    ]
    people = json.loads(served.operate("who", "--json"))["people"]
    assert [(each["name"], each["rooms"]) for each in people] == [
        ("Alice", ["lobby"]),
        ("Bob", ["lobby", "secret"]),
    ]
    assert [each["away"] for each in people] == [None, "lunch"]
    status = json.loads(served.operate("status", "--json"))
    assert (status["pid"], status["phase"]) == (served.process.pid, "ready")
    assert (status["people"], status["rooms"], status["connections"]) == (2, 2, 2)
    assert status["doors"] == [f"127.0.0.1:{served.port}"]
    assert f"127.0.0.1:{served.port}" in served.operate("status")
    alice.types("/whois Bob")  # and nobody has heard anything of it
    assert alice.next_line().startswith("*** Bob")


def test_the_operator_acts_and_the_log_says_who_did_what(served: Operated) -> None:
    alice, eve = served.join("Alice"), served.join("Eve")
    alice.hears(joined("Eve"))
    assert served.operate("announce", "We close", "at noon.") == "Announced to 2 people.\n"
    for person in (alice, eve):
        person.hears("*** We close at noon.")
    served.operate("mute", "Eve", "30m", "too loud")
    for person in (alice, eve):
        assert person.next_line().startswith("*** The operator has muted Eve")
    eve.types("Hello?")
    assert "muted" in eve.next_line()
    served.operate("unmute", "Eve")
    for person in (alice, eve):
        person.hears("*** The operator has ended the mute of Eve in the whole chat.")
    served.operate("kick", "Eve", "be", "kind")
    eve.hears("*** be kind")
    eve.hears_until("*** Goodbye: the operator has ended your connection.")
    assert eve.is_cut_off()
    alice.hears(left("Eve"))
    banned = served.operate("ban", "Eve", "2h", "again", "and", "again")
    assert re.fullmatch(
        r"The operator has banned Eve in the whole chat until .*: again and again\n", banned
    )
    assert alice.next_line().startswith("*** The operator has banned Eve")
    assert [row[:3] for row in cells(served.operate("bans"))[1:]] == [["ban", "Eve", "operator"]]
    again = served.connect()
    again.hears("What is your name?")
    again.types("Eve")
    assert "Welcome" not in again.next_line()
    served.operate("unban", "Eve")
    served.join("Eve")
    log = served.log
    me = r"root \(uid 0\)" if os.geteuid() == 0 else rf".*\(uid {os.geteuid()}\)"
    for line in (
        f"{me} announces: 'We close at noon.'",
        f"By {me}: The operator has muted Eve .*: too loud",
        f"{me} kicks Eve from the chat: 'be kind'",
        f"By {me}: The operator has banned Eve .*: again and again",
        f"By {me}: The operator has ended the ban of Eve",
    ):
        assert re.search(line, log), line


def test_the_operator_acts_in_one_room(served: Operated) -> None:
    alice, eve = served.join("Alice"), served.join("Eve")
    alice.types("/join dev")
    alice.hears_until("*** In #dev (1): Alice")
    eve.types("/join dev")
    eve.hears_until("*** In #dev (2): Alice, Eve")
    assert served.operate("announce", "--room", "dev", "Hush.") == "Announced to 2 people.\n"
    eve.hears("*** #dev: Hush.")
    served.operate("kick", "Eve", "--room", "dev", "off", "topic")
    eve.hears_until("*** The operator has removed you from #dev: off topic")
    served.operate("ban", "Eve", "--room", "dev")
    eve.types("/join dev")
    assert hears_of(eve, "Error") == "Error: you are banned from #dev."
    assert served.operate("bans", "--room", "dev").count("Eve") == 1
    assert served.operate("bans").count("Eve") == 0
    assert cells(served.operate("who", "--room", "dev"))[1][0] == "Alice"


def test_what_is_refused_is_said_in_one_line(quiet: Operated) -> None:
    folder = quiet.folder
    assert fails(folder, "kick", "Eve") == "nobody here is called Eve."
    assert fails(folder, "who", "--room", "nowhere") == "there is no room #nowhere."
    assert fails(folder, "unban", "Eve") == "Eve is not banned there."
    assert "200" in fails(folder, "ban", "Eve", "x" * 201)
    assert fails(folder, "announce", " ") != ""
    assert fails(folder, "announce", "x" * MAX_LINE) == "that is too long: 65,536 bytes at most."
    for words in (
        (),
        ("dance",),
        ("kick",),
        ("who", "--timeout", "soon"),
        ("who", "--timeout", "-1"),
    ):
        done = operate(folder, *words)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
    assert "Eve" not in quiet.operate("bans")


def test_options_are_reloaded_or_it_is_said_why_not(tmp_path: Path) -> None:
    motd = tmp_path / "motd.txt"
    motd.write_text("Welcome.\n")
    with Operated(tmp_path, "--motd", str(motd)) as server:
        server.wait_for_socket()
        motd.write_text("Be kind.\n")
        assert "motd" in server.operate("reload")
        motd.unlink()
        assert fails(tmp_path, "reload").startswith("Everything stays as it was: ")
        server.wait_for_log("Reload failed")
        server.wait_for_log(r"\(uid \d+\) has the options reloaded")


# Who may.


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can read, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_user_cannot_use_it(open_folder: Path) -> None:
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10);"
        "s.connect(sys.argv[1]); print(s.makefile().read())"
    )

    def somebody_else() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/usr/bin/env", "python3", "-c", program, path],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    with Operated(open_folder) as server:
        server.wait_for_socket()
        path = str(open_folder / SOCKET)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert "PermissionError" in somebody_else().stderr
        os.chmod(path, 0o666)  # though somebody has done that:
        answer = json.loads(somebody_else().stdout)
        assert (answer["type"], answer["code"]) == ("error", "not_allowed")
        server.wait_for_log(f"uid {NOBODY} may not use the operator's socket")
        server.operate("status")  # root goes on


# Servers that do not answer.


def test_a_server_that_is_not_running_gives_one_line(tmp_path: Path) -> None:
    assert fails(tmp_path, "who") == f"{SOCKET}: no server is running here."
    (tmp_path / "file").write_text("")
    assert fails(tmp_path, "who", "--control", "file") == "file: no server is running here."
    assert "too long" in fails(tmp_path, "who", "--control", "x" * 200)
    assert "--control" in fails(tmp_path, "who", "--database", "none")


def test_a_server_that_hangs_gives_one_line(quiet: Operated) -> None:
    quiet.process.send_signal(signal.SIGSTOP)
    try:
        line = fails(quiet.folder, "who", "--timeout", "0.5")
    finally:
        quiet.process.send_signal(signal.SIGCONT)
    assert line == f"{SOCKET}: the server has not responded for 0.5 s."
    assert "Traceback" not in quiet.operate("who")


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator["Impostor"]:
    with Impostor(tmp_path / "impostor") as there:
        yield there


class Impostor:
    """Something else at a socket: it sends `says` to everyone, once they have said something or at
    once."""

    def __init__(self, path: Path) -> None:
        self.says: Sequence[bytes] = ()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                greeting, *answers = self.says
                connection.sendall(greeting)
                for answer in answers:
                    connection.recv(MAX_LINE)
                    connection.sendall(answer)


HELLO = json.dumps({"type": "hello", "control": VERSION}).encode() + b"\n"


def test_another_version_or_another_program_gives_one_line(
    tmp_path: Path, impostor: Impostor
) -> None:
    impostor.says = [b'{"type": "hello", "control": 99, "version": "9.9\\u001b[2J"}\n']
    line = fails(tmp_path, "who", "--control", "impostor")
    assert line == (
        "impostor: the server is of another version (9.9\N{REPLACEMENT CHARACTER}[2J). Use the "
        "chatservice that it was started with."
    )
    impostor.says = [b"220 ESMTP\n"]
    assert "not a chat server's socket" in fails(tmp_path, "who", "--control", "impostor")
    impostor.says = [b""]
    assert "has ended the connection" in fails(tmp_path, "who", "--control", "impostor")


def test_nothing_of_an_answer_reaches_the_terminal_as_it_is(
    tmp_path: Path, impostor: Impostor
) -> None:
    bad = "\x1b]0;x\x07\r\n\u202e"
    person = {
        "name": bad,
        "registered": False,
        "since": 0,
        "idle": 0,
        "rooms": [bad],
        "away": bad,
        "elsewhere": False,
        "connections": [{"door": bad, "tls": True, "address": bad}],
    }
    answers: dict[str, dict[str, Any]] = {
        "who": {"people": [person]},
        "rooms": {"rooms": [{"name": bad, "people": 1, "private": False, "topic": bad}]},
        "kick": {"text": bad},
        "reload": {"lines": [bad]},
    }
    for word, answer in answers.items():
        impostor.says = [HELLO, json.dumps({"type": word, **answer}).encode() + b"\n"]
        name = ("Eve",) if word == "kick" else ()
        for options in ((), ("--json",)):
            done = operate(tmp_path, word, *name, "--control", "impostor", *options)
            assert done.returncode == 0, done
            assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", done.stdout)


# Where it is.


def test_a_killed_servers_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    for how in (signal.SIGKILL, signal.SIGTERM):
        with Operated(tmp_path) as server:
            server.wait_for_socket()
            assert json.loads(server.operate("status", "--json"))["pid"] == server.process.pid
            if how is signal.SIGKILL:
                server.process.kill()
                server.killed = True
                server.process.wait(PATIENCE)
                assert (tmp_path / SOCKET).exists()
                assert fails(tmp_path, "who").endswith("no server is running here.")
                continue
            other = tmp_path / "other"
            other.mkdir()
            second = Server(other, "--control", str(tmp_path / SOCKET))
            assert second.process.wait(PATIENCE) == 1
            assert f"--control {tmp_path / SOCKET}: another server listens there." in second.log
            server.operate("status")
    assert not (tmp_path / SOCKET).exists()


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    server = Server(tmp_path, "--control", "precious")
    assert server.process.wait(PATIENCE) == 1
    assert "there is a file that is no socket." in server.log
    assert (tmp_path / "precious").read_text() == "data"


def test_a_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    server = Server(tmp_path, "--control", "x" * 120)
    assert server.process.wait(PATIENCE) == 1
    assert "longer than the 107 bytes that the path of a socket may have." in server.log
    deep = tmp_path / ("y" * 120)
    deep.mkdir()
    with Operated(deep) as server:  # which nobody has asked for
        server.wait_for_log("There is no operator's socket: .*too long")


def test_there_is_none_if_it_is_not_wanted(tmp_path: Path) -> None:
    with Operated(tmp_path, "--control", "none"):
        pass
    with Server(tmp_path):  # without a database, there is no place for one
        pass
    assert not list(tmp_path.glob("*.control"))


# What is asked badly, or too much.


class Caller:
    """Somebody who speaks at the socket by hand."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(folder / SOCKET))
        self.file = self.socket.makefile("rb")

    def hears(self) -> dict[str, object]:
        line = self.file.readline()
        answer: dict[str, object] = json.loads(line)
        return answer

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def leaves(self) -> None:
        self.file.close()
        self.socket.close()


def test_bad_requests_get_one_error_each(quiet: Operated) -> None:
    caller = Caller(quiet.folder)
    assert caller.hears()["type"] == "hello"
    for line, code in (
        (b"who", "bad_request"),
        (b"[]", "bad_request"),
        (b"[" * 50_000, "bad_request"),
        (b"\xff\xfe", "bad_request"),
        (b"", "bad_request"),
        (b"{}", "unknown_type"),
        (b'{"type": ["who"]}', "unknown_type"),
        (b'{"type": "kick"}', "missing_field"),
        (b'{"type": "kick", "name": 7}', "bad_field"),
        (b'{"type": "who", "room": {}}', "bad_field"),
        (b'{"type": "ban", "name": "Eve", "seconds": -1}', "bad_field"),
        (b'{"type": "ban", "name": "Eve", "seconds": true}', "bad_field"),
        (b'{"type": "ban", "name": "\\ud800"}', "nobody"),
        (b'{"type": "announce", "text": ""}', "missing_field"),
    ):
        caller.sends(line + b"\n")
        answer = caller.hears()
        assert (answer["type"], answer.get("code")) == ("error", code), (line, answer)
        assert str(answer["message"]).count("\n") == 0
    caller.sends(b'{"type": "status"}\n' * 3)
    assert [caller.hears()["type"] for _ in range(3)] == ["status"] * 3
    caller.sends(b"x" * (MAX_LINE + 1))
    assert caller.hears()["code"] == "too_long"
    assert caller.file.read() == b""
    caller.leaves()


@pytest.mark.parametrize("line", [b"", b'{"type": "bans"}', b'{"type": "nothing"}'])
def test_thousands_of_requests_at_once_are_all_answered(quiet: Operated, line: bytes) -> None:
    caller = Caller(quiet.folder)
    caller.hears()
    caller.sends((line + b"\n") * 2000)
    answers = {str(caller.hears()) for _ in range(2000)}
    assert len(answers) == 1, answers
    caller.leaves()
    assert "rror" not in quiet.log


def test_there_are_not_too_many_of_them(served: Operated) -> None:
    callers = [Caller(served.folder) for _ in range(MAX_CONNECTIONS)]
    for caller in callers:
        assert caller.hears()["type"] == "hello"
    assert f"{MAX_CONNECTIONS} operators" in fails(served.folder, "who")
    callers.pop().leaves()
    deadline = time.monotonic() + PATIENCE  # until the server has noticed
    while operate(served.folder, "who").returncode != 0:
        assert time.monotonic() < deadline
    for caller in callers:
        caller.leaves()
