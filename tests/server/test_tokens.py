"""Tokens of registered people: they come in again without their password, also after a restart."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatservice.core.events import Account
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from tests.support.nodes import Node
from tests.support.people import PATIENCE, QUESTION, Server
from tests.support.postgres import NEEDS_POSTGRES
from tests.support.programs import Program
from tests.support.quick_passwords import QUICK, QUICKLY

PASSWORD, OTHER = "lovelace1815", "babbage1791"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """In which Alice is registered."""
    path = tmp_path / "chat.sqlite3"
    opened = open_for_server(path)
    accounts.add(opened.connection, Account("Alice", time.time()), QUICK.hash(PASSWORD))
    opened.close()
    return path


@contextmanager
def running(database: Path, *, killed: bool = False) -> Iterator[Server]:
    with Server(database.parent, "--database", str(database), runner=QUICKLY) as server:
        yield server
        if killed:
            server.killed = True
            server.process.kill()
            server.process.wait(PATIENCE)


def comes_in(server: Server, **fields: object) -> tuple[Program, str]:
    """Alice, and the token that she is given."""
    program = Program(server.connect())
    program.asks("hello", **{"name": "Alice", **fields})
    return program, program.hears("welcome", name="Alice")["token"]


def is_refused(server: Server, token: str, code: str = "password_needed") -> None:
    program = Program(server.connect())
    program.asks("hello", name="Alice", token=token)
    program.hears("error", code=code)


def kept(program: Program) -> None:
    """What was written down without anybody waiting for it is on disk: it comes in order."""
    program.asks("say", text="now")
    program.hears("ack")


def test_nobody_is_asked_for_a_password_after_a_crash(database: Path) -> None:
    with running(database, killed=True) as server:
        alice, token = comes_in(server, password=PASSWORD)
        kept(alice)
    assert token.encode() not in database.read_bytes()
    with running(database) as server:
        is_refused(server, "x" + token)
        person = server.connect()
        person.hears(QUESTION)
        person.types("Alice")
        person.hears("Password for Alice:")
        alice, same = comes_in(server, token=token)
        assert same == token
        # She is Alice in every way: what she asks for with the password is done.
        alice.asks("whois", name="Alice")
        assert alice.hears("person", name="Alice")["registered"]
        alice.person.leaves()
        alice, same = comes_in(server, token=token)  # a connection that is lost ends nothing
        assert same == token
        beside, another = comes_in(server, token=token, beside=True)
        assert another != token
        kept(beside)
    with running(database) as server:  # nor does an orderly end
        for each in (token, another):
            program, same = comes_in(server, token=each)
            assert same == each
            program.asks("exit")
            program.hears("bye")
            is_refused(server, each)


def test_a_changed_password_ends_all_tokens(database: Path) -> None:
    with running(database) as server:
        alice, token = comes_in(server, password=PASSWORD)
        alice.asks("password", password=OTHER, old=PASSWORD)
        alice.hears("account")
        is_refused(server, token)
        alice.person.leaves()
        alice, token = comes_in(server, password=OTHER)
        kept(alice)
    command = [sys.executable, "-m", "chatservice.accounts", "--database", str(database)]
    subprocess.run([*command, "password", "Alice"], input=PASSWORD.encode(), check=True)
    with running(database) as server:
        is_refused(server, token)
        alice, token = comes_in(server, password=PASSWORD)
        alice.asks("unregister", password=PASSWORD)
        alice.hears("account")
        alice.asks("exit")
        alice.hears("bye")
        # Whoever registers the name next is somebody else.
        person = Program(server.connect())
        person.asks("hello", name="Alice")
        person.hears("welcome")
        person.asks("register", password=OTHER)
        person.hears("account")
        person.person.leaves()
        is_refused(server, token)


def test_the_token_of_somebody_who_is_banned_lets_nobody_in(database: Path) -> None:
    with running(database) as server:
        alice, token = comes_in(server, password=PASSWORD)
        bob = server.join("Bob")
        bob.types(f"/register {OTHER}")
        bob.hears("*** Bob is now registered to you.")
        command = [sys.executable, "-m", "chatservice.accounts", "--database", str(database)]
        subprocess.run([*command, "operator", "Bob"], check=True)
        bob.hears("*** Bob is now an operator of this server.")
        bob.types("/ban server Alice")
        alice.hears("joined")
        while "bye" not in alice.person.next_line():
            pass
        is_refused(server, token, "banned")
    with running(database) as server:
        is_refused(server, token, "banned")


@NEEDS_POSTGRES
def test_nobody_is_asked_for_a_password_after_a_restart_with_postgresql(
    tmp_path: Path, uri: str
) -> None:
    with Node(tmp_path, "--database", uri, runner=QUICKLY) as server:
        alice = Program(server.connect())
        alice.comes_in("Alice")
        alice.asks("register", password=PASSWORD)
        alice.hears("account")
        alice.person.leaves()
        alice, token = comes_in(server, password=PASSWORD)
        kept(alice)
    with Node(tmp_path, "--database", uri, runner=QUICKLY) as server:
        is_refused(server, "x" + token)
        _, same = comes_in(server, token=token)
        assert same == token
