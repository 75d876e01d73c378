"""What is deleted is gone: from what anybody is told, and from every byte on the disk."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import Person, Server, joined
from tests.support.programs import Program
from tests.support.programs import join as join_program

KEPT = ("--database", "chat.sqlite3", "--history", "20")
SECRET = "zanzibarmarmalade"


def until(program: Program, type_: str) -> dict[str, Any]:
    """The next event of that type."""
    while True:
        event: dict[str, Any] = json.loads(program.person.next_line())
        if event["type"] == type_:
            return event


def in_dev(server: Server, *names: str) -> list[Person]:
    """People in a room that the first of them has founded."""
    people = []
    for name in names:
        people.append(server.join(name))
        people[-1].types("/join dev", f"/in dev I am {name}")
        for person in people[:-1]:
            person.hears_until(f"{name}: I am {name}")
    for person in people:
        person.types("/dance")
        person.hears_until("Error: /dance is not a command. Type /help for a list.")
    return people


@pytest.fixture(params=["chat.sqlite3", "none"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--database", request.param, "--history", "20") as running:
        yield running


def test_people_take_back_what_they_have_just_said(server: Server) -> None:
    alice, bob, eve = server.join("Alice"), server.join("Bob"), join_program(server, "Eve")
    alice.hears(joined("Bob"), joined("Eve"))
    bob.hears(joined("Eve"))
    alice.types("the first", SECRET)
    bob.hears("Alice: the first", f"Alice: {SECRET}")
    until(eve, "said")
    secret = until(eve, "said")
    assert secret["text"] == SECRET

    alice.types("/delete")
    alice.hears("*** Alice has deleted a message.")
    bob.hears("*** Alice has deleted a message.")
    deleted = until(eve, "deleted")
    assert (deleted["messages"], deleted["by"], deleted["from"]) == (
        [secret["id"]],
        "Alice",
        "Alice",
    )
    bob.types("/delete Alice", "/delete", f"/search {SECRET}", "/history 2")
    bob.hears(
        "Error: only those in charge of #lobby can do that.",
        "Error: there is no such message.",
    )
    shown = [bob.next_line() for _ in range(4)]
    assert SECRET not in "".join(shown).replace(f'"{SECRET}"', "")
    assert shown[-1].endswith("*** A message from Alice was deleted.")
    eve.asks("delete", id=secret["id"])
    assert until(eve, "error")["code"] == "no_such_message"
    eve.asks("history")
    history = until(eve, "history")
    assert SECRET not in json.dumps(history)
    left = [each for each in history["events"] if each["type"] == "tombstone"]
    assert [(each["id"], each["from"], each["by"]) for each in left] == [
        (secret["id"], "Alice", "Alice")
    ]
    alice.types("/delete", "/delete")
    alice.hears("*** Alice has deleted a message.", "Error: there is no such message.")


def test_those_in_charge_delete_what_anybody_has_said(server: Server) -> None:
    alice, bob, eve = in_dev(server, "Alice", "Bob", "Eve")
    eve.types("one", f"two {SECRET}", "three", "/me waves")
    for person in (alice, bob, eve):
        person.hears_until("* Eve waves")
    bob.types("/delete Eve 2")
    bob.hears("Error: only those in charge of #dev can do that.")
    alice.types("/delete eve 3")
    for person in (alice, bob, eve):
        person.hears("*** Alice has deleted 3 messages from Eve.")
    bob.types("/history 4")
    lines = [bob.next_line()[len("[12:00:00] ") :] for _ in range(5)][1:]
    assert lines == ["Eve: one", *["*** A message from Eve was deleted by Alice."] * 3]


def on_the_disk(folder: Path) -> list[str]:
    """The files in which the secret is."""
    files = (folder / f"chat.sqlite3{end}" for end in ("", "-wal"))
    return [each.name for each in files if each.exists() and SECRET.encode() in each.read_bytes()]


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def run(folder: Path, tool: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"chatservice.{tool}", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def indexed(file: Path) -> bool:
    """Whether the words of what is said are looked up in an index by now."""
    with closing(sqlite3.connect(file)) as connection:
        (newest,) = connection.execute("SELECT max(id) FROM events WHERE messages > 0").fetchone()
        done = connection.execute("SELECT value FROM facts WHERE key = 'indexed to'").fetchone()
    return bool(done) and int(done[0]) >= newest


def test_a_crash_undoes_nothing_and_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "chat.sqlite3"
    with Server(tmp_path, *KEPT) as server:
        alice = server.join("Alice")
        alice.types("before", f"a {SECRET}", f"/me likes {SECRET}", f"my {SECRET} again")
        alice.hears(f"* Alice likes {SECRET}")
        wait_until(lambda: indexed(file))
        assert on_the_disk(tmp_path)
        alice.types("/delete 3")
        alice.hears("*** Alice has deleted 3 messages.")
        server.killed = True
        server.process.kill()
        server.process.wait()
    gone = ["*** A message from Alice was deleted."] * 3
    with Server(tmp_path, *KEPT) as server:
        run(tmp_path, "backup", "copy.sqlite3")
        assert SECRET.encode() not in (tmp_path / "copy.sqlite3").read_bytes()
        bob = server.join("Bob")
        bob.hears("*** The last 4 messages:")
        shown = [bob.next_line()[len("[12:00:00] ") :] for _ in range(4)]
        assert shown == ["Alice: before", *gone]
        bob.types(f"/search {SECRET}")
        bob.hears("*** No messages.")
        exported = run(tmp_path, "export")
        assert SECRET not in exported
        assert exported.count('"type": "tombstone"') == 3
        read = run(tmp_path, "export", "--format", "text")
        assert SECRET not in read
        assert read.count(gone[0]) == 3
        wait_until(lambda: not on_the_disk(tmp_path))


def owner(server: Server, name: str) -> Person:
    """Somebody who registers that name."""
    person = server.join(name)
    person.types("/register swordfish")
    person.hears_until(f"*** {name} is now registered to you.")
    return person


def test_what_the_owner_of_an_erased_account_said_is_gone_and_who_saw_it_is_told(
    tmp_path: Path,
) -> None:
    """What was said under that name before it was registered may be somebody else's."""
    with Server(tmp_path, *KEPT) as server:
        guest = server.join("Alice")
        guest.types("a guest was here", "/who")
        guest.hears_until("*** Online (1): Alice")
        guest.leaves()
        owner(server, "Bob").leaves()
        alice = owner(server, "Alice")
        eve = join_program(server, "Eve")
        alice.types(f"one {SECRET}", "/join dev", f"/me is a {SECRET}", f"/msg Bob {SECRET}")
        alice.hears_until(f"[you -> Bob] {SECRET} (will be delivered when Bob returns)")
        said = until(eve, "said")
        wait_until(lambda: indexed(tmp_path / "chat.sqlite3"))
        assert run(tmp_path, "accounts", "erase", "Alice", "--messages") == "2 messages erased.\n"
        alice.hears_until("*** Goodbye: your name is no longer registered.")
        assert until(eve, "deleted")["messages"] == [said["id"]]
        assert run(tmp_path, "accounts", "list").split("\t")[0] == "Bob"
        eve.asks("search", words=SECRET)
        assert until(eve, "history")["events"] == []
        eve.asks("history")
        kept = [each["type"] for each in until(eve, "history")["events"]]
        assert [each for each in kept if each in {"said", "tombstone"}] == ["said", "tombstone"]
        wait_until(lambda: not on_the_disk(tmp_path))


def test_while_no_server_runs_it_is_gone_at_once_and_is_told_once_one_does(tmp_path: Path) -> None:
    with Server(tmp_path, *KEPT) as server:
        alice = owner(server, "Alice")
        eve = join_program(server, "Eve")
        alice.types(f"one {SECRET}", f"two {SECRET}")
        ids = [until(eve, "said")["id"], until(eve, "said")["id"]]
    assert run(tmp_path, "accounts", "erase", "Alice", "--messages") == "2 messages erased.\n"
    assert on_the_disk(tmp_path) == []
    with Server(tmp_path, *KEPT) as server:
        bob = join_program(server, "Bob")
        assert until(bob, "deleted")["messages"] == ids
