"""A private room is in no byte that an outsider gets, whatever they ask for."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chatservice.core.events import Account
from chatservice.dialects import jsonlines, schema
from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.wording import ENGLISH
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from tests.support.people import QUESTION, Person, Server
from tests.support.quick_passwords import QUICK, QUICKLY

KEPT = ("--database", "chat.sqlite3")
ROOM, TOPIC, LINE = "bunker-7", "marmalade", "sandwiches"
SECRETS = (ROOM, TOPIC, LINE)
PASSWORD = "correct horse"
# What an outsider gives where a command or a field wants something; not the room's own name, which
# an error would repeat.
WORDS = ("Alice", "Bob", "lobby", "*", "bunker", "b*", "sandwich", "1", "200", "on")
# What would end the outsider's visit, or change who they are.
NOT_ASKED = ("exit", "hello", "register", "password", "unregister", "nick")


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


class Outsider:
    """Somebody who records all that they get."""

    def __init__(self, server: Server, name: str, *, as_program: bool) -> None:
        self.person = server.connect()
        hello = json.dumps({"type": "hello", "name": name, "rooms": True})
        self.person.types(hello if as_program else name)
        self.as_program = as_program
        self.heard = b""
        self.person.socket.settimeout(0.05)

    def listens(self, seconds: float = 0.3) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                data = self.person.socket.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                return
            self.heard += data

    def asks(self, request: dict[str, Any]) -> None:
        self.person.types(json.dumps(request))

    def asks_for_everything(self) -> None:
        if not self.as_program:
            for command in COMMANDS:
                if command.name in NOT_ASKED:
                    continue
                for word in WORDS if command.name in ENGLISH.arguments else ("",):
                    self.person.types(f"/{command.name} {word} {word}".rstrip())
                self.listens(0.05)
        else:
            examples = [e for e in schema.EXAMPLES if schema.vocabulary_of(e) is jsonlines.REQUESTS]
            for example in examples:
                request = jsonlines.REQUESTS.write(example)
                if request["type"] in (
                    "exit",
                    "hello",
                    "register",
                    "password",
                    "unregister",
                    "nick",
                ):
                    continue
                self.asks(request)
                for field, value in request.items():
                    if field != "type" and isinstance(value, str):
                        for word in WORDS:
                            self.asks({**request, field: word})
                if "room" in [each.key for each in jsonlines.REQUESTS.fields(request["type"])]:
                    self.asks({**request, "room": "*"})
                self.listens(0.05)
        join = json.dumps({"type": "join", "room": "lobby"})  # they may have left it
        self.person.types(join if self.as_program else "/join lobby")
        self.listens(1.0)


@pytest.mark.parametrize("as_program", [False, True], ids=["text", "json"])
def test_it_is_in_no_byte_that_an_outsider_gets(tmp_path: Path, as_program: bool) -> None:
    """Also when its members are renamed, leave and come back, and after a restart."""
    opened = open_for_server(tmp_path / "chat.sqlite3")
    accounts.add(opened.connection, Account("Alice", time.time()), QUICK.hash(PASSWORD))
    opened.close()
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        early = Outsider(server, "Early", as_program=as_program)
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
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        late = Outsider(server, "Late", as_program=as_program)
        alice = insider(server, "Alice")
        alice.types(f"/who {ROOM}")
        alice.hears_until(f"*** In #{ROOM} (1): Alice")
        late.asks_for_everything()
        assert b"Alice" in late.heard
        for secret in SECRETS:
            assert secret.encode() not in late.heard
