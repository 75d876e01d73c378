"""The configuration file, and what a running server takes up of it."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.server.test_tap import chat
from tests.support.people import FORGETFUL, QUESTION, Server, joined

CONFIGURED = ("--config", "chat.toml")


class Strict(Server):
    """A server whose limits are its own."""

    usual = FORGETFUL


def reload(server: Server, text: str, logged: str) -> None:
    """Change the file, and wait until the log says that of it."""
    (server.log_file.parent / "chat.toml").write_text(text)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log(logged)


def test_it_has_the_options_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("Be kind.")
    (tmp_path / "chat.toml").write_text(
        '\ufeff# A comment\nmotd = "motd"\necho = true\nmembers-only = false\n'
        'rate = 100\nport = ["unix:a.sock", "unix:b.sock"]  # and those of the command line\n'
        "history = 5\n"
    )
    with Server(tmp_path, *CONFIGURED) as server:  # whose --port takes precedence
        alice = server.join("Alice")
        alice.hears("*** Be kind.")
        alice.types("hello")
        alice.hears("Alice: hello")
    assert "a.sock" not in server.log


def test_it_gives_several_ports(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text('tls = []\nport = ["unix:a.sock", "unix:b.sock"]')
    ended = chat(tmp_path, *CONFIGURED, "--version")
    assert ended.returncode == 0
    ended = chat(tmp_path, *CONFIGURED, "--port", "99999")
    assert ended.stderr == "chat: --port 99999: a port number is 65535 at most.\n"
    (tmp_path / "chat.toml").write_text('port = [\n "unix:a.sock",\n 99999,\n]')
    ended = chat(tmp_path, *CONFIGURED)
    at = f"chat: {tmp_path}/chat.toml, line 1: port = 99999: "
    assert ended.stderr == f"{at}a port number is 65535 at most.\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max-users = 0", ", line 1: max-users = 0: a number from 1 to 1000000."),
        ('echo = true\n\n# x\n"rate" = "fast"', ", line 4: rate = fast: a number from 0 to"),
        ("rate = '5:0'", ", line 1: rate = BURST 0: a number from 1 to"),
        ("nonsense = 1", ", line 1: there is no option nonsense."),
        ("# [limits]\n[limits]\nmax-users = 3", ", line 2: there is no option limits."),
        ("limits.max-users = 3", ", line 1: there is no option limits."),
        ('config = "other"', ", line 1: there is no option config."),
        ("help = true", ", line 1: there is no option help."),
        ('echo = "yes"', ", line 1: echo is true or false."),
        ("echo = []", ", line 1: echo is true or false."),
        ("motd = true", ", line 1: motd is a text or a number."),
        ("motd = 2026-11-26", ", line 1: motd is a text or a number."),
        ('motd = ["a", "b"]', ", line 1: motd has one value only."),
        ('motd = "missing"', ", line 1: motd = missing: [Errno 2] No such file or directory."),
        ('auth = "nonsense:x"', ", line 1: auth = nonsense:x: Auth plugin not recognized: nons"),
        ('auth = "file:missing"', ", line 1: auth = file:missing: [Errno 2] No such file"),
        ('proxy-protocol = "10.0.0.300"', ", line 1: proxy-protocol = 10.0.0.300: '10.0.0.300'"),
        ('certificate = "c.pem"', ", line 1: certificate needs --tls, --irc-tls or --web-tls."),
        ('members-only = true\ndatabase = "none"', ", line 1: members-only needs a --database"),
        ('keep = "a while"', ", line 1: keep = a while: a number of messages"),
        ('database = ""', ", line 1: database needs the name of a file"),
        ("echo = true\nmax-users 3", ": Expected '=' after a key in a key/value pair (at line 2"),
        ("echo = true\necho = true\n", ": Cannot overwrite a value (at line 2"),
        ('motd = "\udce9"', ": 'utf-8' codec can't decode byte 0xe9"),
        ("#" * 70_000, ": longer than 65536 bytes."),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "chat.toml").write_bytes(text.encode(errors="surrogateescape"))
    ended = chat(tmp_path, *CONFIGURED)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"chat: {tmp_path}/chat.toml{complaint}"[:90])
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "why"), [("missing", "No such file or"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    ended = chat(tmp_path, "--config", name)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"chat: {tmp_path / name}: {why}")
    assert ended.stderr.count("\n") == 1


class TestSIGHUP:
    def test_takes_up_what_has_changed_and_drops_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "motd").write_text("Old.")
        (tmp_path / "chat.toml").write_text('motd = "motd"')
        with Server(tmp_path, *CONFIGURED) as server:
            alice = server.join("Alice")
            alice.hears("*** Old.")
            alice.types("not logged")
            (tmp_path / "motd").write_text("New.")
            reload(server, 'motd = "motd"\nlog-messages = true\necho = true', "log-messages = true")
            server.wait_for_log("Reloaded: motd = motd")
            server.wait_for_log("Reloaded: echo = true")
            alice.types("is logged")
            alice.hears("Alice: is logged")
            server.wait_for_log("Alice: 'is logged'")
            bob = server.join("Bob")
            bob.hears("*** New.")
            alice.hears(joined("Bob"))
            reload(server, "", "Reloaded: motd has its default again")
            alice.types("again not logged")
            bob.hears("Alice: again not logged")
            carol = server.join("Carol")
            carol.types("/exit")
            carol.hears("*** Goodbye, Carol.")
        assert "not logged'" not in server.log

    def test_counts_connections_by_the_new_limit(self, tmp_path: Path) -> None:
        (tmp_path / "chat.toml").write_text("")
        with Server(tmp_path, *CONFIGURED) as server:
            alice, bob = server.join("Alice"), server.join("Bob")
            reload(server, "max-users = 2", "Reloaded: max-users = 2")
            refused = server.connect()
            refused.hears("Error: the server is full. Try again later.")
            assert refused.is_cut_off()
            alice.types("still here")
            alice.hears(joined("Bob"))
            bob.hears("Alice: still here")
            reload(server, "max-users = 3", "Reloaded: max-users = 3")
            server.connect().hears(QUESTION)

    def test_lets_those_who_are_here_send_at_the_new_rate(self, tmp_path: Path) -> None:
        (tmp_path / "chat.toml").write_text('rate = "1:2"')
        with Strict(tmp_path, *CONFIGURED) as server:
            alice, bob = server.join("Alice"), server.join("Bob")
            alice.types(*map(str, range(100)))
            bob.hears("Alice: 0")
            reload(server, "rate = 0", "Reloaded: rate = 0")
            bob.hears(*(f"Alice: {number}" for number in range(1, 100)))
            reload(server, 'rate = "1:2"', "Reloaded: rate = 1:2")
            began = time.monotonic()
            alice.types(*"abcd")
            bob.hears(*(f"Alice: {letter}" for letter in "abcd"))
            assert time.monotonic() - began > 1.5

    def test_says_what_takes_a_restart_each_time(self, tmp_path: Path) -> None:
        (tmp_path / "chat.toml").write_text("")
        with Server(tmp_path, *CONFIGURED) as server:
            text = 'tls = "unix:a.sock"\nproxy-protocol = "10.0.0.1"\nmembers-only = true\nauth = '
            (tmp_path / "passwords").write_text("alice:secret")
            for count in (1, 2):
                again = rf"(?s)(auth takes a restart.*){{{count}}}"
                reload(server, f'{text}"file:passwords"', again)
                for option in ("tls", "proxy-protocol", "members-only"):
                    server.wait_for_log(f"a new value of {option} takes a restart")
            reload(server, "", "no option has changed")
            assert "Reloaded: tls" not in server.log
            server.join("Alice")

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("echo = true\nmax-users = 0", "line 2: max-users = 0: a number from 1"),
            ("echo = true\nmotd = 'missing'", "line 2: motd = missing: .*No such file"),
            ("echo = true\nnonsense = 1", "line 2: there is no option nonsense"),
            ("echo = true\nport", "Expected '=' after a key"),
        ],
    )
    def test_leaves_everything_as_it_was_if_something_is_wrong(
        self, tmp_path: Path, text: str, complaint: str
    ) -> None:
        (tmp_path / "chat.toml").write_text("")
        with Server(tmp_path, *CONFIGURED) as server:
            alice, bob = server.join("Alice"), server.join("Bob")
            alice.hears(joined("Bob"))
            reload(server, text, rf"Reload failed; everything stays as it was: .*{complaint}")
            alice.types("hello")
            bob.types("hello, too")
            alice.hears("Bob: hello, too")  # and no echo before it
            (tmp_path / "chat.toml").unlink()
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("chat.toml: No such file or directory")

    def test_twice_in_a_row_ends_with_the_newest(self, tmp_path: Path) -> None:
        (tmp_path / "chat.toml").write_text("")
        with Server(tmp_path, *CONFIGURED) as server:
            for number in range(1, 6):
                (tmp_path / "chat.toml").write_text(f"max-users = {number}")
                server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("Reloaded: max-users = 5")

    def test_finds_its_files_from_another_folder(self, tmp_path: Path) -> None:
        """twistd --rundir."""
        (tmp_path / "run").mkdir()
        (tmp_path / "motd").write_text("Old.")
        (tmp_path / "chat.toml").write_text('motd = "motd"')

        class Elsewhere(Server):
            def program(self, runner: Sequence[str | Path]) -> Sequence[str | Path]:
                return (*runner, "-n", "--pidfile=", "--rundir=run", "chat")

        with Elsewhere(tmp_path, *CONFIGURED) as server:
            server.join("Alice").hears("*** Old.")
            (tmp_path / "motd").write_text("New.")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("Reloaded: motd")
            server.join("Bob").hears("*** New.")
