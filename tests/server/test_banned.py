"""Who is banned gets no byte of what is said in the room from then on, whatever they try."""

import json
import re
import time
from pathlib import Path

import pytest

from chatservice.core.events import Account
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from tests.support.outsider import Outsider
from tests.support.people import Person, Server
from tests.support.quick_passwords import QUICK, QUICKLY

KEPT = ("--database", "chat.sqlite3")
ROOM, TOPIC, LINE = "den", "marmalade", "sandwiches"
PASSWORD = "correct horse"
LIKE = {"Eve": "Ev\u0435", "Mallory": "MaIIory"}  # a Cyrillic letter; capitals of "i"


def founder(server: Server) -> Person:
    """Alice, who is in charge of the room."""
    alice = server.connect()
    alice.types("Alice", PASSWORD, f"/join {ROOM}", "/who den")
    while not alice.next_line().startswith("*** In #den"):
        pass
    return alice


def meets(outsider: Outsider) -> None:
    outsider.listens()
    join = json.dumps({"type": "join", "room": ROOM})
    outsider.person.types(join if outsider.as_program else f"/join {ROOM}")
    outsider.listens()


def talks(alice: Person) -> None:
    """In the room, of what those who are banned must not hear."""
    alice.types(f"/topic {TOPIC}", f"more {LINE}", f"/me likes {LINE}", "/who lobby")
    while not alice.next_line().startswith("*** Online"):
        pass


def knows_nothing(outsider: Outsider) -> None:
    for secret in (TOPIC, LINE):
        assert secret.encode() not in outsider.heard, outsider.heard.decode()[-2000:]


def token_of(outsider: Outsider) -> str:
    found = re.search(rb'"token": "([^"]+)"', outsider.heard)
    assert found
    return found[1].decode()


@pytest.mark.parametrize(
    ("name", "as_program", "tls"),
    [
        ("Eve", True, True),  # who has registered
        ("Eve", False, False),
        ("Mallory", True, False),  # who has not
        ("Mallory", False, True),
    ],
)
def test_who_is_banned_hears_nothing(
    tmp_path: Path, name: str, as_program: bool, tls: bool
) -> None:
    """Another name, connection, token, or a look-alike; what they had asked for, and may ask."""
    opened = open_for_server(tmp_path / "chat.sqlite3")
    for registered in ("Alice", "Eve"):
        account = Account(registered, time.time())
        accounts.add(opened.connection, account, QUICK.hash(PASSWORD))
    opened.close()
    password = PASSWORD if name == "Eve" else ""
    with Server(tmp_path, *KEPT, tls=tls, runner=QUICKLY) as server:
        alice = founder(server)
        eve = Outsider(server, name, as_program=as_program, password=password)
        meets(eve)
        others = []
        if as_program:
            token = token_of(eve)
            others.append(Outsider(server, name, as_program=True, token=token, beside=True))
            meets(others[0])
        elif password:
            others.append(Outsider(server, name, as_program=False, password=password))
            meets(others[0])
        # What they ask for at that very moment is answered before the ban, or not at all.
        history = json.dumps({"type": "history", "room": ROOM})
        eve.person.types(*[history if as_program else "/history 200"] * 20)
        alice.types(f"/ban {name} 1h spam", "/who den")
        while alice.next_line() != "*** In #den (1): Alice":
            pass
        talks(alice)
        eve.asks_for_everything()
        for other in others:
            other.listens()
            assert ROOM.encode() in other.heard
        nick = json.dumps({"type": "nick", "name": "Zoe"})
        eve.person.types(nick if as_program else "/nick Zoe")
        eve.asks_for_everything()
        # They come back, as themselves, with the token, and as somebody who looks like them.
        again = []
        if as_program:
            again.append(Outsider(server, name, as_program=True, token=token_of(eve)))
        eve.person.leaves()
        again += [
            Outsider(server, name, as_program=as_program, password=password),
            Outsider(server, name.upper(), as_program=as_program),
            Outsider(server, LIKE[name], as_program=as_program),
        ]
        for each in again:
            meets(each)
        talks(alice)
        for each in again:
            each.asks_for_everything()
        for each in (eve, *others, *again):
            knows_nothing(each)
        alice.types("/who den")
        while not (line := alice.next_line()).startswith("*** In #den"):
            pass
        assert line == "*** In #den (1): Alice"


def three(server: Server) -> list[Outsider]:
    """Bob and Eve, who have registered, and Mallory, who has not, from somewhere else."""
    return [
        Outsider(server, "Bob", as_program=False, password=PASSWORD),
        Outsider(server, "Eve", as_program=False, password=PASSWORD),
        Outsider(server, "Mallory", as_program=False, source="127.0.0.2"),
    ]


def test_kill_9_forgets_neither_roles_nor_bans(tmp_path: Path) -> None:
    """Whatever was told in the room was saved before."""
    opened = open_for_server(tmp_path / "chat.sqlite3")
    for registered in ("Alice", "Bob", "Eve"):
        account = Account(registered, time.time())
        accounts.add(opened.connection, account, QUICK.hash(PASSWORD))
    opened.close()
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        alice = founder(server)
        bob, eve, mallory = three(server)
        for each in (bob, eve, mallory):
            meets(each)
        alice.types("/op Bob")
        bob.listens(5, until=b"in charge")
        bob.person.types("/ban Eve 2h spam", "/mute Mallory")
        while alice.next_line() != "*** Bob has muted Mallory.":
            pass
        server.killed = True
        server.process.kill()
        server.process.wait(10)
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        bob, eve, mallory = three(server)
        bob.listens(5, until=b"Online")
        for each in (eve, mallory):
            meets(each)
        assert b"Error: you are banned from #den until" in eve.heard
        mallory.person.types("hello")
        mallory.listens(5, until=b"Error: you are muted in #den; nobody has heard that.")
        bob.person.types("/switch den", "/bans", "/kick Mallory")
        bob.listens(5, until=b"Bob has removed Mallory.")
        assert b"2 banned or muted in #den:" in bob.heard
        mallory.listens(5, until=b"removed you from #den")
        assert b"Bob has removed you from #den." in mallory.heard
