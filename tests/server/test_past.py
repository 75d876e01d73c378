"""What people are shown of the past: history, searching, and what they missed."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.support.people import Person, Server, client_command, joined, left, run_client
from tests.support.programs import Program
from tests.support.tmux import Tmux

KEPT = ("--database", "chat.sqlite3", "--history", "3")
TIME = re.compile(r"^\[\d\d:\d\d:\d\d\] ")


@pytest.fixture(params=["chat.sqlite3", "none"])
def remembering(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that shows newcomers three messages, with a database and without."""
    with Server(tmp_path, "--database", request.param, "--history", "3") as running:
        yield running


def lines(person: Person, count: int) -> list[str]:
    """The next lines, without their times."""
    return [TIME.sub("", person.next_line()) for _ in range(count)]


def say(speaker: Person, listener: Person, *texts: str) -> None:
    """It has been said when somebody has heard it."""
    speaker.types(*texts)
    listener.hears(*(f"Alice: {text}" for text in texts))


def alice_and_bob(server: Server) -> tuple[Person, Person]:
    alice, bob = server.join("Alice"), server.join("Bob")
    alice.hears(joined("Bob"))
    return alice, bob


def test_a_newcomer_sees_the_last_messages_with_their_times(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    say(alice, bob, "one", "two", "three", "four")
    carol = remembering.join("Carol")
    carol.hears("*** The last 3 messages:")
    assert TIME.match(line := carol.next_line())
    assert line.endswith("] Alice: two")
    assert lines(carol, 2) == ["Alice: three", "Alice: four"]
    say(alice, carol, "five")


def test_private_messages_are_no_part_of_the_past(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    alice.types("/msg Bob secret")
    bob.hears("[Alice -> you] secret")
    say(alice, bob, "public")
    carol = remembering.join("Carol")
    carol.hears("*** The last message:")
    assert lines(carol, 1) == ["Alice: public"]
    carol.types("/search secret")
    carol.hears("*** No messages.")


def test_who_comes_back_is_shown_what_they_missed_and_nothing_twice(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    say(alice, bob, "heard")
    bob.types("/exit")
    bob.hears("*** Goodbye, Bob.")
    alice.hears(left("Bob"))
    alice.types("one", "/me waves", "three")
    alice.hears("* Alice waves")
    bob = remembering.join("Bob")
    bob.hears("*** 3 messages while you were away:")
    assert lines(bob, 3) == ["Alice: one", "* Alice waves", "Alice: three"]
    alice.hears(joined("Bob"))
    say(alice, bob, "live")
    bob.types("/exit")
    bob.hears("*** Goodbye, Bob.")
    alice.hears(left("Bob"))
    bob = remembering.join("Bob")
    bob.types("/who")
    bob.hears("*** Online (2): Alice, Bob")


def test_history_and_search(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    say(alice, bob, "the café is open", "你好吗", "the cafe again", "nothing")
    bob.types("/history 2")
    bob.hears("*** The last 2 messages:")
    assert lines(bob, 2) == ["Alice: the cafe again", "Alice: nothing"]
    bob.types("/search the again")
    bob.hears("*** 1 message found:")
    assert lines(bob, 1) == ["Alice: the cafe again"]
    bob.types("/search 好")
    bob.hears("*** 1 message found:")
    assert lines(bob, 1) == ["Alice: 你好吗"]
    bob.types("/search absent", "/history 0", "/search")
    bob.hears("*** No messages.")
    bob.hears("Error: usage: /history [N]")
    bob.hears("Error: usage: /search WORDS")


def test_what_is_found_may_not_be_all(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    say(alice, bob, *(f"number {number}" for number in range(21)))
    bob.types("/search number", "/search 20")
    bob.hears("*** The newest 20 messages found:")
    assert lines(bob, 20) == [f"Alice: number {number}" for number in range(1, 21)]
    bob.hears("*** 1 message found:")


def test_answers_keep_their_order_while_the_past_is_looked_up(remembering: Server) -> None:
    alice, bob = alice_and_bob(remembering)
    say(alice, bob, "hello")
    bob.types("/history", "/who", "/search hello", "/who")
    bob.hears("*** The last message:")
    assert lines(bob, 1) == ["Alice: hello"]
    bob.hears("*** Online (2): Alice, Bob", "*** 1 message found:")
    assert lines(bob, 1) == ["Alice: hello"]
    bob.hears("*** Online (2): Alice, Bob")


def test_a_program_is_told_where_it_had_stopped(remembering: Server) -> None:
    alice = remembering.join("Alice")
    program = Program(remembering.connect())
    assert program.comes_in("ci")["recent"] == 3
    alice.hears(joined("ci"))
    alice.types("one")
    heard = program.hears("said", text="one")
    program.asks("exit")
    alice.hears(left("ci"))
    alice.types("two", "three")
    program = Program(remembering.connect())
    welcome = program.comes_in("ci")
    assert "recent" not in welcome
    assert welcome["seen"] >= heard["id"]
    program.asks("history", after=welcome["seen"], before=welcome["last_id"] + 1, ref="h")
    events = program.hears("history", ref="h")["events"]
    assert [event["text"] for event in events if "text" in event] == ["two", "three"]
    program.asks("history", messages=True, limit=1, ref="h")
    assert [event["text"] for event in program.hears("history", ref="h")["events"]] == ["three"]


class TestAfterARestart:
    def test_all_is_there_and_who_was_here_reads_on(self, tmp_path: Path) -> None:
        with Server(tmp_path, *KEPT) as server:
            alice, bob = alice_and_bob(server)
            say(alice, bob, "one", "two", "three", "four")
            bob.types("/exit")
            alice.hears(left("Bob"))
            alice.types("five")
            watcher = server.join("Watcher")
            assert watcher.next_line() == "*** The last 3 messages:"
            assert lines(watcher, 3) == ["Alice: three", "Alice: four", "Alice: five"]
            alice.hears(joined("Watcher"))
            server.killed = True
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        with Server(tmp_path, *KEPT) as server:
            bob = server.join("Bob")
            bob.hears("*** 1 message while you were away:")
            assert lines(bob, 1) == ["Alice: five"]
            watcher = server.join("Watcher")  # who was here when it ended
            watcher.types("/search t")
            watcher.hears("*** 2 messages found:")
            assert lines(watcher, 2) == ["Alice: two", "Alice: three"]

    def test_all_of_it_is_told_before_a_goodbye(self, tmp_path: Path) -> None:
        """Though the name and the goodbye come at once."""
        with Server(tmp_path, *KEPT) as server:
            alice, bob = alice_and_bob(server)
            bob.types("/exit")
            bob.hears("*** Goodbye, Bob.")
            alice.hears(left("Bob"))
            alice.types(*(str(number) for number in range(500)), "/exit")
            alice.hears("*** Goodbye, Alice.")
        with Server(tmp_path, *KEPT) as server:
            bob = server.connect()
            bob.types("Bob", "/exit")
            bob.hears_until("*** 500 messages while you were away:")
            assert lines(bob, 500) == [f"Alice: {number}" for number in range(500)]
            bob.hears("*** Goodbye, Bob.")
            assert bob.is_cut_off()

    def test_a_second_server_on_the_same_file_is_refused(self, tmp_path: Path) -> None:
        with Server(tmp_path, *KEPT):
            second = subprocess.run(
                [
                    *(sys.executable, Path(sys.executable).with_name("twistd")),
                    *("-n", "--pidfile=", "chat", "--port", "tcp:0:interface=127.0.0.1"),
                ],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        assert second.returncode == 1
        assert "chat.sqlite3: another server uses it." in second.stdout
        assert "Traceback" not in second.stdout


class TestTheClient:
    def test_in_a_pipe_it_is_not_shown_the_past(self, remembering: Server) -> None:
        alice, bob = alice_and_bob(remembering)
        say(alice, bob, "old")
        ended = run_client(remembering.port, "--name", "ci", typed=b"new\n")
        assert ended.returncode == 0
        assert b"old" not in ended.stdout

    def test_history_and_search_from_a_pipe(self, remembering: Server) -> None:
        alice, bob = alice_and_bob(remembering)
        say(alice, bob, "old news", "older")
        ended = run_client(remembering.port, "--name", "ci", typed=b"/history 1\n/search news\n")
        shown = [TIME.sub("", line) for line in ended.stdout.decode().splitlines()]
        assert shown[3:5] == ["*** The last message:", "Alice: older"]
        assert shown[5:7] == ["*** 1 message found:", "Alice: old news"]

    def test_as_json(self, remembering: Server) -> None:
        alice, bob = alice_and_bob(remembering)
        say(alice, bob, "old news")
        ended = run_client(remembering.port, "--name", "ci", "--json", typed=b"/history\n")
        types = [json.loads(line) for line in ended.stdout.splitlines()]
        assert [event["text"] for event in types if event["type"] == "said"] == ["old news"]

    def test_on_a_terminal_times_are_those_of_its_clock(self, remembering: Server) -> None:
        alice, bob = alice_and_bob(remembering)
        say(alice, bob, "old news")
        zone = timezone(timedelta(hours=9))
        hours = {datetime.now(zone).hour}
        command = shlex.join(client_command(remembering.port, "--name", "Carol"))
        terminal = Tmux(f"TZ=JST-9 {command}")
        try:
            terminal.shows("*** The last message:")
            terminal.shows("] Alice: old news")
            found = re.search(r"\[(\d\d):\d\d:\d\d\] Alice: old news", terminal.screen())
        finally:
            terminal.close()
        hours.add(datetime.now(zone).hour)
        assert found is not None
        assert int(found[1]) in hours

    def test_on_a_terminal_nothing_is_said_of_no_past(self, remembering: Server) -> None:
        terminal = Tmux(shlex.join(client_command(remembering.port, "--name", "Carol")))
        try:
            terminal.shows("Welcome Carol")
            terminal.types("hello")
            terminal.presses("Enter")
            terminal.shows("Carol: hello")
            assert "No messages" not in terminal.screen()
        finally:
            terminal.close()
