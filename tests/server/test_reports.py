"""Reports reach those in charge, and nobody else; what none of them was here for is kept."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from chatservice.core.events import ALL_ROOMS, Account, Role
from chatservice.storage.sqlite import accounts, moderation
from chatservice.storage.sqlite.database import open_for_server
from tests.server.test_operate import operate
from tests.support import postgres
from tests.support.irc import IrcServer
from tests.support.nodes import Start
from tests.support.people import Person, Server, joined
from tests.support.quick_passwords import QUICK, QUICKLY

KEPT = ("--database", "chat.sqlite3", "--history", "0")
PASSWORD = "correct horse"
SECRET = "marmalade"
PASSED_ON = "*** Your report was passed on to those in charge."
WAITS = "*** Nobody in charge is here. Your report is kept for them."


def with_accounts(folder: Path, *names: str, operators: Sequence[str] = ()) -> None:
    """A database in which these are registered, and of them those are operators of the server."""
    opened = open_for_server(folder / "chat.sqlite3")
    for name in names:
        account = Account(name, time.time())
        accounts.add(opened.connection, account, QUICK.hash(PASSWORD))
        if name in operators:
            moderation.appoint(opened.connection, ALL_ROOMS, account, Role.OPERATOR)
    opened.close()


def owner(server: Server, name: str) -> Person:
    """Somebody who has registered, and is in the lobby."""
    person = server.connect()
    person.types(name, PASSWORD)
    while not person.next_line().startswith("*** Online ("):
        pass
    return person


def hears(person: Person, line: str) -> None:
    """In the end, and nothing of a report before that."""
    for heard in person.hears_until(line):
        assert SECRET not in heard


def comes_to(person: Person, room: str) -> None:
    person.types(f"/join {room}")
    while not person.next_line().startswith(f"*** In #{room} ("):
        pass


def test_those_in_charge_are_told_at_once_and_nobody_else(tmp_path: Path) -> None:
    """Also by somebody who is muted; also of somebody who is in charge, and is not told."""
    with_accounts(tmp_path, "Alice", "Eve", "Chief", operators=["Chief"])
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        alice, eve, chief = (owner(server, name) for name in ("Alice", "Eve", "Chief"))
        bob, dave = server.join("Bob"), server.join("Dave")
        for person in (alice, eve, bob, dave):
            comes_to(person, "den")
        alice.types("/op Eve", "/mute Bob")
        hears(bob, "*** Alice has muted Bob.")
        bob.types(f"/report Eve {SECRET}\x1b[2J", "/report \u0435ve", "/report -x- spam")
        report = f"*** Bob has reported Eve in #den: {SECRET}\ufffd[2J"
        bob.hears(PASSED_ON, "Error: usage: /report NAME REASON")
        bob.hears("Error: nobody here is called -x-.")
        hears(alice, report)
        hears(chief, report)  # who is in the lobby
        server.wait_for_log(rf"Bob reports Eve in #den: '{SECRET}\ufffd\[2J'")
        alice.types("and now to something else")
        for person in (eve, dave, bob):
            hears(person, "Alice: and now to something else")
        bob.types(*[f"/report Dave {SECRET}"] * 5)
        bob.hears(*[PASSED_ON] * 3, *["Error: too many attempts; wait a few minutes."] * 2)


def test_what_nobody_saw_is_kept_for_one_of_them_over_kill_9(tmp_path: Path) -> None:
    with_accounts(tmp_path, "Alice", "Eve", "Max", operators=["Eve"])
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        alice = owner(server, "Alice")
        comes_to(alice, "den")
        alice.types("/op Eve", "/op Max", "/exit")
        hears(alice, "*** Goodbye, Alice.")
        bob = server.join("Bob")
        comes_to(bob, "den")
        bob.types(f"/report Eve {SECRET}")
        bob.hears(WAITS)
        server.killed = True
        server.process.kill()
        server.process.wait(10)
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        # Whom it is about, though in charge; who is in charge of nothing, whatever they ask.
        eve, dave = owner(server, "Eve"), server.join("Dave")
        hears(eve, joined("Dave"))
        for person in (eve, dave):
            comes_to(person, "den")
            person.types("/history", f"/search {SECRET}", "/whois Bob", "/bans", "/me is done")
        hears(dave, "* Eve is done")
        hears(dave, "* Dave is done")
        hears(eve, "* Dave is done")
        program = [sys.executable, "-m", "chatservice.export", "--database", "chat.sqlite3"]
        exported = subprocess.run(program, cwd=tmp_path, capture_output=True, check=True)
        assert exported.stdout
        assert SECRET.encode() not in exported.stdout
        listed = operate(tmp_path, "reports")
        assert re.search(rf"#den +Eve +Bob +{SECRET}", listed.stdout), listed
        # The first who may, and only once.
        max_ = owner(server, "Max")
        max_.types("/me is not there yet")
        hears(max_, "* Max is not there yet")
        max_.types("/join den")
        shown = max_.next_line()
        while not shown.startswith("*** Bob has reported"):
            shown = max_.next_line()
        assert re.fullmatch(
            rf"\*\*\* Bob has reported Eve in #den on [-\d]+ [\d:]+: {SECRET}", shown
        )
        deadline = time.monotonic() + 10
        while SECRET in operate(tmp_path, "reports").stdout:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        alice = owner(server, "Alice")
        alice.types("/who den")
        hears(alice, "*** In #den (4): Alice, Dave, Eve, Max")


def test_a_report_of_a_room_that_is_gone_is_for_the_operators_of_the_server(tmp_path: Path) -> None:
    """Not for whoever makes another room of that name."""
    with_accounts(tmp_path, "Chief", operators=["Chief"])
    with Server(tmp_path, *KEPT, runner=QUICKLY) as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        comes_to(alice, "den")
        comes_to(bob, "den")
        alice.types("/part")
        hears(bob, "*** Alice has left #den.")
        bob.types(f"/report Alice {SECRET}", "/part")
        hears(bob, WAITS)
        hears(bob, "*** You have left #den. You are now speaking in #lobby.")
        mallory = server.join("Mallory")
        comes_to(mallory, "den")
        mallory.types("/history", "/me is in charge")
        hears(mallory, "* Mallory is in charge")
        chief = owner(server, "Chief")
        while SECRET not in (shown := chief.next_line()):
            pass
        assert shown.startswith("*** Bob has reported Alice on ")
        mallory.types("/me too")
        hears(mallory, "* Mallory too")


def test_irc_clients_report_and_are_told(tmp_path: Path) -> None:
    with IrcServer(tmp_path) as server:
        wee = server.irc_join("Wee")
        wee.types("JOIN #den")
        wee.hears("366")
        sara = server.join("Sara")
        comes_to(sara, "den")
        sara.types(f"/report Eve {SECRET}")
        hears(sara, PASSED_ON)
        wee.hears("NOTICE", f"Sara has reported Eve in #den: {SECRET}")
        otto = server.irc_join("Otto")
        otto.types("JOIN #den", f"REPORT #den Sara :{SECRET} again", f"REPORT Sara {SECRET}")
        otto.hears("NOTICE", PASSED_ON.removeprefix("*** "))
        otto.hears("NOTICE", WAITS.removeprefix("*** "))
        wee.hears("NOTICE", f"Otto has reported Sara in #den: {SECRET} again")
        sara.types("/me is here")
        hears(sara, "* Sara is here")


@postgres.NEEDS_POSTGRES
def test_those_in_charge_on_another_server_are_told(start: Start) -> None:
    one, two = start(), start()
    alice = one.join("Alice")
    alice.types(f"/register {PASSWORD}")
    hears(alice, "*** Alice is now registered to you.")
    comes_to(alice, "den")
    bob = two.join("Bob")
    comes_to(bob, "den")
    bob.types(f"/report Eve {SECRET}")
    hears(bob, PASSED_ON)
    while alice.next_line() != f"*** Bob has reported Eve in #den: {SECRET}":
        pass
    alice.types("/exit")
    hears(bob, "*** Alice has left the chat.")
    bob.types(f"/report Mallory {SECRET}")
    hears(bob, WAITS)
    again = owner(two, "Alice")
    while not again.next_line().startswith("*** Bob has reported Mallory in #den on "):
        pass
