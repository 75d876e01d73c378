"""A private room is in no byte that an outsider gets, whatever they ask for."""

import time
from pathlib import Path

import pytest

from chatservice.core.events import Account
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from tests.support.irc import IrcServer
from tests.support.outsider import IrcOutsider, Outsider
from tests.support.people import QUESTION, Person, Server
from tests.support.quick_passwords import QUICK, QUICKLY

KEPT = ("--database", "chat.sqlite3")
ROOM, TOPIC, LINE = "bunker-7", "marmalade", "sandwiches"
SECRETS = (ROOM, TOPIC, LINE)
PASSWORD = "correct horse"


def insider(server: Server, name: str) -> Person:
    person = server.connect()
    person.hears(QUESTION)
    person.types(name, PASSWORD) if name == "Alice" else person.types(name)
    person.hears_until(f"Welcome {name}, you are connected to the server.")
    return person


def meets(alice: Person, bob: Person) -> None:
    """Alice founds a private room, Bob is in it, and they talk there."""
    alice.types(f"/join {ROOM}", f"/topic {TOPIC}", "/private", "/invite Bob", f"no {LINE}")
    alice.hears_until("*** Bob is invited to #bunker-7.")
    bob.types(f"/join {ROOM}", f"more {LINE}", "/me " + LINE)
    alice.hears_until(f"* Bob {LINE}")


def outsider(server: IrcServer, name: str, door: str) -> Outsider:
    if door == "irc":
        return IrcOutsider(server, name)
    return Outsider(server, name, as_program=door == "json")


@pytest.mark.parametrize("door", ["text", "json", "irc"])
def test_it_is_in_no_byte_that_an_outsider_gets(tmp_path: Path, door: str) -> None:
    """Also when its members are renamed, leave and come back, and after a restart."""
    opened = open_for_server(tmp_path / "chat.sqlite3")
    accounts.add(opened.connection, Account("Alice", time.time()), QUICK.hash(PASSWORD))
    opened.close()
    with IrcServer(tmp_path, *KEPT, runner=QUICKLY) as server:
        early = outsider(server, "Early", door)
        early.listens()
        alice, bob = insider(server, "Alice"), insider(server, "Bob")
        meets(alice, bob)
        early.asks_for_everything()
        bob.types("/nick Robert", f"as Robert, {LINE}", "/part", "/exit")
        alice.hears_until("#lobby *** Robert has left the chat.")
        early.listens()
        assert b"Robert" in early.heard
        for secret in SECRETS:
            assert secret.encode() not in early.heard
    with IrcServer(tmp_path, *KEPT, runner=QUICKLY) as server:
        late = outsider(server, "Late", door)
        alice = insider(server, "Alice")
        alice.types(f"/who {ROOM}")
        alice.hears_until(f"*** In #{ROOM} (1): Alice")
        late.asks_for_everything()
        assert b"Alice" in late.heard
        for secret in SECRETS:
            assert secret.encode() not in late.heard
