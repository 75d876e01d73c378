"""Names that stay somebody's: passwords, taking over, and messages that wait."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from chatservice.core.events import Account
from chatservice.core.gathering import GATHER_SECONDS
from chatservice.core.limits import RateLimiter, is_loopback
from chatservice.core.stores import MAX_UNREAD
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from tests.support import forked
from tests.support.people import (
    HINT,
    PATIENCE,
    QUESTION,
    Person,
    Server,
    client_command,
    joined,
    left,
    run_client,
)
from tests.support.programs import Program, join
from tests.support.quick_passwords import QUICK, QUICKLY
from tests.support.tmux import Tmux

KEPT = ("--database", "chat.sqlite3")
PROXIED = ("--proxy-protocol", "127.0.0.1")
PASSWORD, OTHER = "correct horse/ß", "battery staple"
WRONG = "Error: wrong password for {name}. Password for {name}:"
NO_MEMBER = "Error: wrong name or password: {name}. Password for {name}:"
ONLINE = "*** Online (3): Alice, Bob, Zoe"
TIME = r"\[\d\d:\d\d:\d\d\] "


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Server]:
    """A server with a database, in which Alice is registered."""
    opened = open_for_server(tmp_path / "chat.sqlite3")
    accounts.add(opened.connection, Account("Alice", time.time()), QUICK.hash(PASSWORD))
    opened.close()
    with Server(tmp_path, *KEPT, runner=QUICKLY) as running:
        yield running


def claims(server: Server, name: str, password: str) -> Person:
    """Somebody who has said that they are `name`, and been asked for the password."""
    person = server.connect()
    person.hears(QUESTION)
    person.types(name)
    person.hears(f"Password for {name}:")
    person.types(password)
    return person


def comes_in(server: Server, name: str, password: str, called: str = "Alice") -> Person:
    person = claims(server, name, password)
    person.hears(f"Welcome {called}, you are connected to the server.", HINT)
    assert person.next_line().startswith("*** Online (")
    return person


class TestANameWithAPassword:
    def test_is_had_from_then_on(self, tmp_path: Path) -> None:
        with Server(tmp_path, *KEPT) as server:
            carol = server.join("Carol")
            carol.types(f"/register {PASSWORD}", "/exit")
            carol.hears("*** Carol is now registered to you.")
            carol.hears("*** Goodbye, Carol.")
            comes_in(server, "Carol", PASSWORD, "Carol")

    def test_asks_for_it_and_so_do_names_that_look_alike(self, keeping: Server) -> None:
        for name in ("Alice", "ALICE", "AIice", "ALlCE", "AL1CE"):
            person = claims(keeping, name, "not that one")
            person.hears(WRONG.format(name=name))
        for name in ("Alice", "alice"):
            comes_in(keeping, name, PASSWORD).leaves()

    def test_five_wrong_ones_end_it(self, keeping: Server) -> None:
        person = claims(keeping, "Alice", "wrong")
        for _ in range(4):
            person.hears(WRONG.format(name="Alice"))
            person.types("wrong")
        person.hears("Error: wrong password for Alice.")
        person.hears("*** Goodbye: too many failed attempts.")
        assert person.is_cut_off()

    def test_is_not_asked_for_again_once_it_is_given_up(self, keeping: Server) -> None:
        """But until then: or a password that is typed again would be a name."""
        person = claims(keeping, "Alice", "wrong")
        person.hears(WRONG.format(name="Alice"))
        person.types("")
        person.hears(QUESTION)
        person.types("Bob")
        person.hears("Welcome Bob, you are connected to the server.")

    def test_can_have_another_or_none(self, keeping: Server) -> None:
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.types(f"/password {OTHER}", PASSWORD, "/exit")
        alice.hears("Password for Alice:", "*** Password changed.", "*** Goodbye, Alice.")
        alice = claims(keeping, "Alice", PASSWORD)
        alice.hears(WRONG.format(name="Alice"))
        alice = comes_in(keeping, "Alice", OTHER)
        alice.types("/unregister", OTHER, "/unregister", "/exit")
        alice.hears("Password for Alice:", "*** Alice is no longer registered.")
        alice.hears("Error: your name is not registered.")
        keeping.join("alice")

    def test_makes_another_password_end_what_a_token_proves(self, keeping: Server) -> None:
        """Who has got hold of either is out for good."""
        thief, alice = Program(keeping.connect()), Program(keeping.connect())
        token = thief.comes_in("Alice", password=PASSWORD)["token"]
        token_of_hers = alice.comes_in("Alice", password=PASSWORD)["token"]
        alice.asks("password", password=OTHER, old=PASSWORD)
        alice.hears("account", change="password")
        for known in (token, token_of_hers):
            again = Program(keeping.connect())
            again.asks("hello", name="Alice", token=known)
            again.hears("error", code="password_needed")

    def test_is_refused_with_what_is_like_it_and_like_ones_own(self, keeping: Server) -> None:
        """Greek nu looks like v, and its capital like N."""
        for name in ("Na", "Va"):
            person = keeping.join(name)
            person.types(f"/register {PASSWORD}", "/exit")
            person.hears_until(f"*** Goodbye, {name}.")
        time.sleep(2 * GATHER_SECONDS)
        for name in ("Na", "Va"):
            person = comes_in(keeping, name, PASSWORD, name)
            person.types("/nick να", "wrong", "", "/exit")
            person.hears("Password for να:", WRONG.format(name="να"))
            person.hears_until(f"*** Goodbye, {name}.")
            time.sleep(2 * GATHER_SECONDS)

    def test_is_refused_to_others_by_nick_too(self, keeping: Server) -> None:
        bob = keeping.join("Bob")
        bob.types(
            "/nick ALICE", "wrong", "", "/register short", f"/password {OTHER}", "/unregister"
        )
        bob.hears(
            "Password for ALICE:",
            WRONG.format(name="ALICE"),
            "Error: a password must have 8 to 256 printable characters.",
        )
        bob.hears("Error: your name is not registered.")
        bob.hears("Error: your name is not registered.")

    def test_cannot_be_registered_twice(self, keeping: Server) -> None:
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.types(f"/register {OTHER}")
        alice.hears("Error: Alice is registered.")

    def test_survives_a_restart_and_is_in_no_log(self, tmp_path: Path, keeping: Server) -> None:
        assert PASSWORD not in keeping.log
        keeping.killed = True
        keeping.process.kill()
        keeping.process.wait()
        with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
            comes_in(server, "Alice", PASSWORD)
        assert PASSWORD.encode() not in (tmp_path / "chat.sqlite3").read_bytes()


def test_who_has_the_password_is_here_twice(keeping: Server) -> None:
    bob = keeping.join("Bob")
    first = comes_in(keeping, "Alice", PASSWORD)
    bob.hears(joined("Alice"))
    second = comes_in(keeping, "Alice", PASSWORD)
    second.types("it is me")
    bob.hears("Alice: it is me")  # and of no departure, nor an arrival
    first.hears("Alice: it is me")
    first.types("/exit")
    first.hears("*** Goodbye, Alice.")
    bob.types("/msg Alice psst")
    second.hears("[Bob -> you] psst")
    bob.hears("[you -> Alice] psst")
    second.types("/exit")
    bob.hears(left("Alice"))


def test_with_one_connection_the_new_one_ends_the_other(tmp_path: Path, keeping: Server) -> None:
    keeping.stop()
    with Server(tmp_path, *KEPT, "--one-connection", runner=QUICKLY) as server:
        bob = server.join("Bob")
        first = comes_in(server, "Alice", PASSWORD)
        bob.hears(joined("Alice"))
        second = comes_in(server, "Alice", PASSWORD)
        first.hears("*** Goodbye: you logged in elsewhere.")
        assert first.is_cut_off()
        second.types("it is me")
        bob.hears("Alice: it is me")  # and of no departure, nor an arrival


def test_who_comes_back_is_in_their_rooms_and_in_no_other_of_that_name(keeping: Server) -> None:
    bob = keeping.join("Bob")
    alice = comes_in(keeping, "Alice", PASSWORD)
    bob.hears(joined("Alice"))
    for person in (bob, alice):
        person.types("/join dev")
    bob.hears("*** In #dev (1): Bob", "*** Alice has joined #dev.")
    alice.hears("*** In #dev (2): Alice, Bob")
    alice.types("/exit")
    bob.hears(left("Alice"))
    alice = comes_in(
        keeping, "Alice", PASSWORD
    )  # the room of a guest is there, as long as somebody is in it
    bob.hears(joined("Alice"))
    bob.types("still here?")
    alice.hears("#dev Bob: still here?")
    alice.types("/exit")
    bob.hears(left("Alice"))
    bob.types("/part", "/join dev", "/private", "a secret")
    bob.hears("*** You have left #dev. You are now speaking in #lobby.", "*** In #dev (1): Bob")
    bob.hears("*** Bob has made the room private: only invited people can join.")
    alice = comes_in(keeping, "Alice", PASSWORD)
    alice.types("/who dev", "/in dev hello")
    alice.hears("Error: there is no room #dev.", "Error: there is no room #dev.")


class TestMessagesThatWait:
    def test_come_with_their_times_once(self, keeping: Server) -> None:
        bob = keeping.join("Bob")
        bob.types("/msg alice lunch?", "/msg nobody lunch?")
        bob.hears("[you -> Alice] lunch? (will be delivered when Alice returns)")
        bob.hears("Error: nobody here is called nobody.")
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.hears("*** 1 private message while you were away:")
        assert re.fullmatch(TIME + r"\[Bob -> you\] lunch\?", alice.next_line())
        bob.hears(joined("Alice"))
        alice.types("/exit")
        alice.hears("*** Goodbye, Alice.")
        bob.hears(left("Alice"))
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.types("/who")
        alice.hears("*** Online (2): Alice, Bob")

    def test_can_be_replied_to(self, keeping: Server) -> None:
        bob = keeping.join("Bob")
        bob.types("/msg alice lunch?", "/reply at one?")
        bob.hears("[you -> Alice] lunch? (will be delivered when Alice returns)")
        bob.hears("[you -> Alice] at one? (will be delivered when Alice returns)")
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.hears("*** 2 private messages while you were away:")
        alice.types("/reply gladly")
        bob.hears(joined("Alice"), "[Alice -> you] gladly")
        bob.types("/exit")
        bob.hears("*** Goodbye, Bob.")
        alice.hears_until(left("Bob"))
        alice.types("/reply where?")
        alice.hears("Error: Bob has left the chat.")

    def test_are_for_no_other_of_that_name(self, keeping: Server) -> None:
        """Who has it now may be somebody else."""
        bob, zoe = keeping.join("Bob"), keeping.join("Zoe")
        bob.hears(joined("Zoe"))
        zoe.types("/msg Bob it is me", "/msg Alice it is me", "/exit")
        bob.hears("[Zoe -> you] it is me", left("Zoe"))
        other = keeping.join("Zoe")
        other.types(f"/register {OTHER}")
        other.hears("*** Zoe is now registered to you.")
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.hears("*** 1 private message while you were away:")
        assert alice.next_line().endswith("[Zoe -> you] it is me")
        for person in (bob, alice):
            person.types("/reply my secret", "/who")
            heard = person.hears_until(ONLINE)
            assert heard[-1].startswith("Error: ")
        other.types("/who")
        assert not any("secret" in line for line in other.hears_until(ONLINE))

    def test_find_their_recipient_under_another_name(self, keeping: Server) -> None:
        bob, alice = keeping.join("Bob"), comes_in(keeping, "Alice", PASSWORD)
        alice.types("/nick Al")
        bob.hears(joined("Alice"), "*** Alice is now known as Al.")
        bob.types("/msg alice lunch?")
        bob.hears("[you -> Al] lunch?")
        alice.hears("*** Alice is now known as Al.", "[Bob -> you] lunch?")

    def test_cost_nobody_the_connection_when_they_cannot_be_discarded(
        self, tmp_path: Path, keeping: Server
    ) -> None:
        bob = keeping.join("Bob")
        bob.types("/msg Alice lunch?")
        bob.hears("[you -> Alice] lunch? (will be delivered when Alice returns)")
        with closing(sqlite3.connect(tmp_path / "chat.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            alice = comes_in(keeping, "Alice", PASSWORD)
            alice.hears("*** Messages are not being saved at the moment: database is locked.")
            alice.hears("*** 1 private message while you were away:")
            other.execute("ROLLBACK")
        alice.hears_until("*** Messages are being saved again.")
        alice.types("/who")
        alice.hears("*** Online (2): Alice, Bob")

    def test_are_heard_by_nobody_else_and_are_not_many_from_one_sender(
        self, keeping: Server
    ) -> None:
        """A guest is who comes from that address, whatever they are called."""
        bob = keeping.join("Bob")
        bob.types(*(f"/msg Alice {number}" for number in range(MAX_UNREAD + 1)))
        for number in range(MAX_UNREAD):
            bob.hears(f"[you -> Alice] {number} (will be delivered when Alice returns)")
        bob.hears("Error: Alice has not read your last 20 messages yet.")
        bob.types("/nick Robert", "/msg Alice lunch?")
        bob.hears("*** Bob is now known as Robert.")
        bob.hears("Error: Alice has not read your last 20 messages yet.")
        bob.types("/history")
        bob.hears("*** No messages.")

    def test_in_json(self, keeping: Server) -> None:
        bob = join(keeping, "Bob")
        bob.asks("tell", to="Alice", text="lunch?", ref="m")
        bob.hears("ack", to="Alice", waiting=True, ref="m")
        alice = Program(keeping.connect())
        alice.asks("hello", name="Alice", ref="h")
        alice.hears("error", code="password_needed", ref="h")
        alice.asks("hello", name="Alice", password="wrong", ref="h")
        alice.hears("error", code="wrong_password", ref="h")
        alice.comes_in("Alice", password=PASSWORD)
        told = alice.hears("told", text="lunch?", waited=True)
        assert (told["from"], told["to"]) == ("Bob", "Alice")
        alice.asks("password", password=OTHER, old=PASSWORD, ref="p")
        alice.hears("account", name="Alice", change="password", ref="p")


class TestOptions:
    def test_members_only(self, tmp_path: Path, keeping: Server) -> None:
        keeping.stop()
        with Server(tmp_path, *KEPT, "--members-only", runner=QUICKLY) as server:
            for name in ("Alice", "Stranger"):
                person = claims(server, name, "no member's")
                person.hears(NO_MEMBER.format(name=name))
            comes_in(server, "Alice", PASSWORD)

    def test_a_checker_of_twisteds_own(self, tmp_path: Path) -> None:
        (tmp_path / "members").write_text("carol:opensesame\n")
        with Server(tmp_path, "--auth", "file:members") as server:
            person = claims(server, "Bob", "opensesame")
            person.hears(NO_MEMBER.format(name="Bob"))
            carol = comes_in(server, "carol", "opensesame", "carol")
            carol.types(f"/register {OTHER}", "/nick Bob", "/nick CAROL")
            carol.hears(
                "Error: this server has no accounts.",
                "Error: you do not own Bob.",
                "*** carol is now known as CAROL.",
            )

    def test_the_one_that_has_its_members_on_the_command_line(self, tmp_path: Path) -> None:
        with Server(tmp_path, "--auth", "memory:carol:opensesame:dave:friend") as server:
            claims(server, "carol", "friend").hears(NO_MEMBER.format(name="carol"))
            comes_in(server, "dave", "friend", "dave")

    @pytest.mark.parametrize(
        ("options", "answer"),
        [
            ((), f"Error: this connection is not encrypted; use TLS. {QUESTION}"),
            (("--allow-plaintext-passwords",), "Password for Alice:"),
        ],
    )
    def test_a_password_that_others_could_listen_to(
        self, options: tuple[str, ...], answer: str, tmp_path: Path, keeping: Server
    ) -> None:
        keeping.stop()
        with Server(tmp_path, *KEPT, *PROXIED, *options, runner=QUICKLY) as server:
            person = server.connect(first=b"PROXY TCP4 203.0.113.5 192.0.2.1 4321 12345\r\n")
            person.hears(QUESTION)
            person.types("Alice")
            person.hears(answer)

    def test_which_is_typed_all_the_same_is_seen_by_nobody(
        self, tmp_path: Path, keeping: Server
    ) -> None:
        keeping.stop()
        with Server(tmp_path, *KEPT, *PROXIED, runner=QUICKLY) as server:
            bob = server.connect(first=b"PROXY TCP4 203.0.113.9 192.0.2.1 4321 12345\r\n")
            bob.hears(QUESTION)
            bob.types("Bob")
            bob.hears_until("*** Online (1): Bob")
            person = server.connect(first=b"PROXY TCP4 203.0.113.5 192.0.2.1 4321 12345\r\n")
            person.hears(QUESTION)
            person.types("Alice", PASSWORD, "Sara")
            person.hears(f"Error: this connection is not encrypted; use TLS. {QUESTION}")
            person.hears("Error: that line was discarded, since it may be a password. " + QUESTION)
            person.hears_until("*** Online (2): Bob, Sara")
            person.types("/nick Alice", PASSWORD, "hello")
            bob.hears(joined("Sara"), "Sara: hello")
            assert PASSWORD not in server.log

    @pytest.mark.parametrize("tls", [True])
    def test_over_tls_nobody_can(self, tmp_path: Path, keeping: Server, tls: bool) -> None:
        keeping.stop()
        with Server(tmp_path, *KEPT, *PROXIED, tls=tls, runner=QUICKLY) as server:
            person = server.connect(first=b"PROXY TCP4 203.0.113.5 192.0.2.1 4321 12345\r\n")
            person.hears(QUESTION)
            person.types("Alice", PASSWORD)
            person.hears("Password for Alice:")
            person.hears("Welcome Alice, you are connected to the server.")

    def test_a_file_of_passwords_that_is_not_there(self, tmp_path: Path) -> None:
        ended = twistd(tmp_path, "--auth", "file:nosuch")
        complaint = "chat: --auth file:nosuch: [Errno 2] No such file or directory.\n"
        assert ended.stderr == complaint
        assert ended.returncode == 1

    def test_members_need_a_place(self, tmp_path: Path) -> None:
        ended = twistd(tmp_path, "--members-only", "--database", "none")
        assert "--members-only needs a --database, or --auth." in ended.stdout + ended.stderr
        assert ended.returncode == 1

    def test_without_argon2(self, tmp_path: Path, keeping: Server) -> None:
        keeping.stop()
        (tmp_path / "argon2.py").write_text("raise ModuleNotFoundError('No module', name='argon2')")
        ended = twistd(tmp_path, *KEPT)
        assert ended.returncode == 1
        assert (
            "install the extra 'accounts' (see Installation in the README)."
            in ended.stdout + ended.stderr
        )
        ended = twistd(tmp_path, "--database", "other.sqlite3", "--members-only")
        assert ended.returncode == 1
        assert "--members-only needs argon2-cffi: install the extra" in ended.stdout + ended.stderr
        with Server(tmp_path, "--database", "other.sqlite3", environment=only(tmp_path)) as server:
            server.wait_for_log("Nobody can /register: the extra 'accounts'")
            bob = server.join("Bob")
            bob.types(f"/register {OTHER}")
            bob.hears("Error: this server has no accounts.")


def only(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(folder)}


def twistd(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, Path(sys.executable).with_name("twistd"), "-n", "--pidfile="),
            *("chat", "--port", "tcp:0:interface=127.0.0.1", *options),
        ],
        cwd=folder,
        env=only(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class TestTheOperator:
    def run(self, folder: Path, *arguments: str, typed: str = "") -> "tuple[int, str, str]":
        command = (sys.executable, "-m", "chatservice.accounts", *arguments)
        done = forked.run_text(command, folder=folder, typed=typed)
        return done.returncode, done.stdout, done.stderr

    def test_adds_lists_and_removes_beside_a_server(self, tmp_path: Path, keeping: Server) -> None:
        assert self.run(tmp_path, "add", "Carol", typed=OTHER + "\n") == (0, "", "")
        comes_in(keeping, "Carol", OTHER, "Carol").leaves()
        status, listed, _ = self.run(tmp_path, "list")
        assert status == 0
        assert [line.split("\t")[0] for line in listed.splitlines()] == ["Alice", "Carol"]
        assert self.run(tmp_path, "password", "Carol", typed="another one\n")[0] == 0
        comes_in(keeping, "Carol", "another one", "Carol").leaves()
        assert self.run(tmp_path, "remove", "Carol")[0] == 0
        keeping.join("carol")

    def test_removes_an_account_that_somebody_else_may_register_then(
        self, tmp_path: Path, keeping: Server
    ) -> None:
        """The first owner can do nothing to it, whatever they are called."""
        alice = comes_in(keeping, "Alice", PASSWORD)
        alice.types("/nick Allie")
        alice.hears("*** Alice is now known as Allie.")
        assert self.run(tmp_path, "remove", "Alice")[0] == 0
        alice.hears("*** Goodbye: your name is no longer registered.")
        assert alice.is_cut_off()
        other = keeping.join("Alice")
        other.types(f"/register {OTHER}")
        other.hears_until("*** Alice is now registered to you.")
        claims(keeping, "Alice", PASSWORD).hears(WRONG.format(name="Alice"))

    @pytest.mark.parametrize("change", ["password", "remove"])
    @pytest.mark.parametrize("kind", ["text", "program"])
    def test_throws_out_who_has_got_hold_of_an_account(
        self, tmp_path: Path, keeping: Server, change: str, kind: str
    ) -> None:
        """At once, and for good: no token, and no old password, brings them back."""
        bob = keeping.join("Bob")
        token = ""
        if kind == "text":
            thief = comes_in(keeping, "Alice", PASSWORD)
        else:
            program = Program(keeping.connect())
            token = program.comes_in("Alice", password=PASSWORD)["token"]
            thief = program.person
        bob.hears(joined("Alice"))
        assert self.run(tmp_path, change, "Alice", typed=OTHER)[0] == 0
        while thief.next_line().partition('"type": "')[2][:3] not in ("bye", ""):
            pass
        assert thief.is_cut_off()
        bob.hears(left("Alice"))
        keeping.wait_for_log("An operator has changed the account Alice: ")
        again = Program(keeping.connect())
        again.asks("hello", name="Alice", token=token, password=PASSWORD)
        if change == "password":
            again.hears("error", code="wrong_password")
            comes_in(keeping, "Alice", OTHER)
        else:
            again.hears("welcome")  # as a guest

    def test_is_told_in_the_log_of_refused_passwords(self, keeping: Server) -> None:
        """And of lockouts; the passwords are not in it."""
        for _ in range(5):
            guesser = Program(keeping.connect())
            for _ in range(5):
                guesser.asks("hello", name="Alice", password="a wrong guess")
                guesser.hears("error")
        keeping.wait_for_log("password for Alice: too often")
        assert re.search(r"127\.0\.0\.1.*: password for Alice: wrong password", keeping.log)
        assert "a wrong guess" not in keeping.log

    def test_registers_the_name_of_a_guest(self, tmp_path: Path, keeping: Server) -> None:
        """Who gives it up when its owner comes."""
        bob = keeping.join("Bob")
        guest = keeping.join("carol")
        bob.hears(joined("carol"))
        assert self.run(tmp_path, "add", "Carol", typed=OTHER)[0] == 0
        guest.types("I am here")
        bob.hears("carol: I am here")
        owner = comes_in(keeping, "Carol", OTHER, "Carol")
        guest.hears("*** Goodbye: your name is registered, and its owner has logged in.")
        assert guest.is_cut_off()
        bob.hears(left("carol"), joined("Carol"))
        owner.types("/who")
        owner.hears("*** Online (2): Bob, Carol")

    def test_registers_a_reserved_name(self, tmp_path: Path, keeping: Server) -> None:
        """Which is the operator's from then on; those like it are nobody's."""
        guest = keeping.connect()
        guest.hears(QUESTION)
        guest.types("r00t", "Server", "rooty")
        guest.hears(f"Error: r00t is a reserved name. {QUESTION}")
        guest.hears(f"Error: Server is a reserved name. {QUESTION}")
        guest.hears_until("*** Online (1): rooty")
        guest.types("/nick ADMlN")
        guest.hears("Error: ADMlN is a reserved name.")
        assert self.run(tmp_path, "add", "root", typed=OTHER)[0] == 0
        owner = comes_in(keeping, "R00T", OTHER, "root")
        guest.hears(joined("root"))
        guest.types("/msg root hello", "/nick root")
        guest.hears("[you -> root] hello", "Password for root:")
        owner.hears("[rooty -> you] hello")
        owner.types("/nick Carol", "/nick ROOT")
        owner.hears("*** root is now known as Carol.", "*** Carol is now known as ROOT.")
        assert self.run(tmp_path, "add", "Error", typed=OTHER) == (
            *(1, ""),
            "accounts: Error is a reserved name.\n",
        )

    def test_is_told_what_is_wrong(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, "list") == (
            *(1, ""),
            "accounts: chat.sqlite3: there is no such file.\n",
        )
        assert self.run(tmp_path, "add", "Carol", typed="short\n")[2] == (
            "accounts: a password must have 8 to 256 printable characters.\n"
        )
        assert self.run(tmp_path, "add", "Carol", typed=OTHER)[0] == 0
        assert self.run(tmp_path, "add", "CAROL", typed=OTHER)[2] == (
            "accounts: Carol is registered.\n"
        )
        for command in ("remove", "password"):
            for name, why in (("Dave", "."), ("CAROL", ", but Carol is.")):
                assert self.run(tmp_path, command, name, typed=OTHER) == (
                    *(1, ""),
                    f"accounts: {name} is not registered{why}\n",
                )
        assert self.run(tmp_path, "add", "Eve Smith", typed=OTHER)[2] == (
            "accounts: a name cannot contain a space.\n"
        )


class TestTheClient:
    def test_in_a_pipe_it_says_that_a_password_is_needed(self, keeping: Server) -> None:
        ended = run_client(keeping.port, "--name", "Alice", typed=b"hello\n")
        assert ended.returncode == 1
        assert ended.stderr.startswith(b"Error: Alice needs a password.")
        assert b"--password-file" in ended.stderr

    def test_or_takes_it_from_a_file(self, tmp_path: Path, keeping: Server) -> None:
        bob = keeping.join("Bob")
        file = tmp_path / "password"
        options = ("--name", "Alice", "--password-file", str(file))
        for password, status in ((PASSWORD, 0), ("not it", 1)):
            file.write_text(f"{password}\nand another line\n")
            ended = run_client(keeping.port, *options, typed=b"hello\n")
            assert ended.returncode == status, ended.stderr
        bob.hears(joined("Alice"), "Alice: hello", left("Alice"))
        assert ended.stderr == b"Error: wrong password for Alice.\n"
        file.unlink()
        assert b"No such file" in run_client(keeping.port, *options).stderr

    @pytest.mark.parametrize("face", [(), ("--plain",)], ids=["terminal", "plain"])
    def test_on_a_terminal_it_is_typed_unseen(self, face: tuple[str, ...], keeping: Server) -> None:
        command = shlex.join([*client_command(keeping.port, "--name", "Alice", *face)])
        terminal = Tmux(command)
        try:
            terminal.shows("Password for Alice:")
            terminal.types("not it")
            terminal.presses("Enter")
            terminal.shows("wrong password for Alice. Password for Alice:")
            terminal.presses("Enter")
            terminal.shows("What is your name?")
            terminal.types("Alice")
            terminal.presses("Enter")
            deadline = time.monotonic() + PATIENCE
            while terminal.screen().count("Password for Alice:") < 3:
                assert time.monotonic() < deadline, terminal.screen()
                time.sleep(0.02)
            terminal.types(PASSWORD)
            terminal.presses("Enter")
            terminal.shows("Welcome Alice")
            terminal.presses("Up", "Enter")
            terminal.types("/who")
            terminal.presses("Enter")
            terminal.shows("Online (1): Alice")
            screen = terminal.screen("-S", "-")
        finally:
            terminal.close()
        assert "not it" not in screen
        assert PASSWORD not in screen

    def test_says_what_has_waited(self, keeping: Server) -> None:
        bob = keeping.join("Bob")
        bob.types("/msg Alice lunch?")
        bob.hears("[you -> Alice] lunch? (will be delivered when Alice returns)")
        terminal = Tmux(shlex.join(client_command(keeping.port, "--name", "Alice")))
        try:
            terminal.shows("Password for Alice:")
            terminal.types(PASSWORD)
            terminal.presses("Enter")
            terminal.shows("while you were away)")
            screen = terminal.screen()
        finally:
            terminal.close()
        assert re.search(
            r"\[\d\d:\d\d:\d\d\] \[Bob -> you\] lunch\? \(while you were away\)", screen
        )

    @pytest.mark.parametrize("command", ["/register ", "  /PASSWORD  "])
    def test_so_is_the_one_in_a_command(self, command: str, keeping: Server) -> None:
        terminal = Tmux(shlex.join(client_command(keeping.port, "--name", "Carol")))
        try:
            terminal.shows("Welcome Carol")
            terminal.types(command + "opensesame")
            terminal.shows(f"{command}**********".strip())
            terminal.presses("Enter")
            terminal.shows(
                "*** Carol is now registered to you."
                if "reg" in command
                else "name is not registered."
            )
            terminal.presses("Up")
            terminal.types("/who")
            terminal.presses("Enter")
            terminal.shows("Online (1): Carol")
            assert "opensesame" not in terminal.screen("-S", "-")
        finally:
            terminal.close()


def test_accents_may_be_sent_in_two_ways(keeping: Server) -> None:
    carol = keeping.join("Carol")
    carol.types("/register cafe\u0301 au lait", "/exit")
    carol.hears_until("*** Goodbye, Carol.")
    comes_in(keeping, "Carol", "caf\u00e9 au lait", "Carol")


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("tab\there, and there", "tab here, and there"),
        ("tab here, and there", "tab\there, and there\t"),
        ("no-break\xa0space", " no-break space\xa0 "),
        ("\u3000wide space", "wide space"),
    ],
)
def test_blanks_are_blanks(keeping: Server, registered: str, typed: str) -> None:
    carol = keeping.join("Carol")
    carol.types(f"/register {registered}", "/exit")
    carol.hears("*** Carol is now registered to you.", "*** Goodbye, Carol.")
    comes_in(keeping, "Carol", typed, "Carol")


@pytest.mark.parametrize(
    "password", ["with a bell\x07", "turned \u202eround", "half a pair \ud800"]
)
def test_what_could_not_be_typed_again_is_no_password(keeping: Server, password: str) -> None:
    carol = join(keeping, "Carol")
    carol.asks("register", password=password)
    carol.hears("error", code="password_length")
    dave = keeping.join("Dave")
    dave.sends(b"/register latin-1: \xe9\xe8\n")
    dave.hears("Error: a password must have 8 to 256 printable characters.")


def test_tries_are_counted_and_forgotten() -> None:
    clock = Clock()
    tries = RateLimiter(3, 10.0, clock.seconds)
    assert [tries.take("a") for _ in range(4)] == [True, True, True, False]
    assert tries.take("b")
    clock.advance(10)
    assert [tries.take("a") for _ in range(2)] == [True, False]
    tries.give_back("a")
    assert tries.take("a")


def test_which_networks_are_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::/64")))
    assert not any(map(is_loopback, ("10.0.0.1", "2001:db8::/64", "", "localhost")))


def test_an_unregistered_name_needs_none(keeping: Server) -> None:
    stranger = Program(keeping.connect())
    stranger.asks("hello", name="Stranger", password="anything")
    assert json.loads(stranger.person.next_line())["type"] == "welcome"
