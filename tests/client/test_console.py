"""The server with a window, on a display of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tkinter")

import tkinter as tk

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel

from chatservice.console import people
from chatservice.console.attached import AttachedServer
from chatservice.console.logview import FILTERS, MAX_ALL, MAX_NEW, LogView
from chatservice.console.people import People, since_in_words
from chatservice.console.plots import SAMPLES, Plot, axis_top, count, mebibytes
from chatservice.console.rooms import Rooms
from chatservice.control.lines import AT_ONCE, EVERYTHING, KEPT, LONGEST, Kind, Lines
from chatservice.core.peer import Peer
from chatservice.core.users import User
from chatservice.desktop.shaping import shown
from chatservice.desktop.theme import Look, blended, is_dark, palette
from tests.support.house import House, Session
from tests.support.people import PATIENCE, Server, left
from tests.support.xdisplay import Display, end

CONSOLE = (sys.executable, "-m", "chatservice.console")
KICKED = "*** Goodbye: the operator has ended your connection."
SOCKET = "chat.sqlite3.control"
SHUT_DOWN = "*** The server is shutting down. Goodbye."


class Console(Server):
    """``python -m chatservice.console``, on a display."""

    def __init__(self, folder: Path, display: Display, *options: str) -> None:
        self.display = display
        super().__init__(folder, *options, environment=display.environment)

    def program(self, runner: Sequence[str | Path]) -> Sequence[str | Path]:
        return CONSOLE

    def __enter__(self) -> "Console":
        super().__enter__()
        self.window = self.display.wait_for_window("Chat server at")
        return self

    def does_until(self, act: Callable[[], None], pattern: str) -> None:
        """`act` again and again, until the log has that: the window follows at its own pace."""
        deadline = time.monotonic() + PATIENCE
        while pattern not in self.log:
            assert time.monotonic() < deadline, self.log
            act()
            soon = time.monotonic() + 1
            while pattern not in self.log and time.monotonic() < soon:
                time.sleep(0.02)


@pytest.fixture
def console(tmp_path: Path, display: Display) -> Iterator[Console]:
    """It has started, and its window has the keyboard."""
    with Console(tmp_path, display) as running:
        yield running


def run(folder: Path, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """It, as far as it gets where there is no display."""
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return subprocess.run(
        [*CONSOLE, *options],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


# From outside.


def test_the_operator_announces_and_kicks_from_the_keyboard(console: Console) -> None:
    alice, bob = console.join("Alice"), console.join("Bob")
    alice.hears("*** Bob has joined the chat.")
    hands = console.display
    hands.key("alt+a")
    hands.type("We close at noon.")
    hands.key("Return")
    for person in (alice, bob):
        person.hears("*** We close at noon.")
    hands.key("alt+k")
    hands.type("be kind")
    console.does_until(lambda: hands.key("alt+o", "alt+k", "Return"), "The operator kicks Alice")
    alice.hears("*** be kind", KICKED)
    assert alice.is_cut_off()
    bob.hears(left("Alice"))
    bob.types("still here")
    console.join("Alice")  # the name is free
    assert "Alice has left from" in console.log


def test_the_operator_speaks_to_one_room(tmp_path: Path, display: Display) -> None:
    with Console(tmp_path, display, "--log-messages") as console:
        alice, bob = console.join("Alice"), console.join("Bob")
        alice.hears("*** Bob has joined the chat.")
        alice.types("/join dev")
        alice.hears("*** In #dev (1): Alice")
        alice.types("Shall we release?")
        console.wait_for_log("#dev Alice: 'Shall we release")
        hands = console.display

        def speak() -> None:
            hands.key("alt+r", "Home", "Down", "Return", "ctrl+a")
            hands.type("Not today.")
            hands.key("Return")

        console.does_until(speak, "The operator announces in #dev: 'Not today.'")
        alice.hears("*** #dev: Not today.")
        hands.key("alt+o", "alt+a")
        hands.type("We close at noon.")
        hands.key("Return")
        for person in (alice, bob):  # and Bob has heard nothing of the room
            person.hears("*** We close at noon.")


def test_the_operator_bans_from_a_room_mutes_everywhere_and_lifts_that(console: Console) -> None:
    alice, bob = console.join("Alice"), console.join("Bob")
    alice.hears("*** Bob has joined the chat.")
    alice.types("/join dev")
    alice.hears_until("*** In #dev (1): Alice")
    bob.types("/join dev")
    bob.hears_until("*** In #dev (2): Alice, Bob")
    hands = console.display

    def bans() -> None:
        hands.key("alt+o", "Home", "alt+k", "ctrl+a")
        hands.type("spam")
        hands.key("shift+Tab", "shift+Tab", "ctrl+a")
        hands.type("dev")
        hands.key("Tab", "ctrl+a")
        hands.type("2h")
        time.sleep(0.6)  # until the buttons know of it
        hands.key("Tab", "Tab", "Tab", "space")

    console.does_until(bans, "#dev: The operator has banned Alice until ")
    alice.hears_until("*** The operator has removed you from #dev: spam")
    alice.types("/who dev")
    alice.hears_until("Error: there is no room #dev.")

    def mutes() -> None:
        hands.key("alt+o", "Home", "Down", "alt+k")
        time.sleep(0.6)
        hands.key("Tab", "space")

    console.does_until(mutes, "The operator has muted Bob in the whole chat.")
    bob.types("can you hear me?")
    bob.hears_until("Error: you are muted in the whole chat; nobody has heard that.")
    console.does_until(
        lambda: hands.key("alt+b", "Home", "Delete"), "The operator has ended the mute of Bob"
    )
    bob.types("and now?")
    alice.types("/who lobby")
    bob.types("/switch lobby", "and here?")
    alice.hears_until("Bob: and here?")


@pytest.mark.parametrize("how", ["close", "key", "SIGTERM", "SIGINT"])
def test_however_it_is_stopped_everyone_is_told(tmp_path: Path, display: Display, how: str) -> None:
    with Console(tmp_path, display, "--theme", "dark") as console:
        alice = console.join("Alice")
        match how:
            case "close":
                display.close(console.window)
            case "key":
                display.key("ctrl+q")
            case _:
                console.process.send_signal(signal.Signals[how])
        alice.hears(SHUT_DOWN)
        assert alice.is_cut_off()
        alice.leaves()
        assert console.process.wait(PATIENCE) == 0


def test_the_stop_button_waits_for_who_still_reads(tmp_path: Path, display: Display) -> None:
    with Console(tmp_path, display, "--shutdown-timeout", "60") as console:
        alice = console.join("Alice")
        display.screenshot(tmp_path / "screen.png")
        assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")
        width = int(
            display.do("getwindowgeometry", "--shell", console.window).split("WIDTH=")[1].split()[0]
        )
        display.click(width - 60, 32)
        alice.hears(SHUT_DOWN)
        display.click(width - 60, 32)  # once is enough, and twice does no harm
        assert console.process.poll() is None
        alice.leaves()
        assert console.process.wait(PATIENCE) == 0


def test_without_a_display_it_says_so(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("chatservice.console: no window can be opened (")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_without_tkinter_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "tkinter.py").write_text("raise ImportError('No module named _tkinter')")
    ended = run(tmp_path, PYTHONPATH=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("chatservice.console: the window needs tkinter (No module")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--port", "99999"], "--port 99999: a port number is 65535 at most."),
        (["--unknown"], "option --unknown not recognized"),
        (["--theme", "pink"], "--theme pink: one of light, dark, auto."),
    ],
)
def test_nonsense_is_refused_in_a_line(tmp_path: Path, options: list[str], complaint: str) -> None:
    ended = run(tmp_path, *options)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"chatservice.console: {complaint}\n"


def test_a_port_in_use_is_one_clear_line(tmp_path: Path, display: Display) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "--port", f"tcp:{port}:interface=127.0.0.1", DISPLAY=display.name)
    assert ended.returncode == 1
    complaint = f"chat: Couldn't listen on 127.0.0.1:{port}: [Errno 98] Address already in use."
    assert ended.stderr == complaint + "\n"


def test_its_options_are_those_of_the_server_and_its_own(tmp_path: Path) -> None:
    ended = run(tmp_path, "--help")
    assert ended.returncode == 0
    for option in ("--theme", "--port", "--log-messages", "--shutdown-timeout"):
        assert option in ended.stdout


# On a server that runs already.


def test_a_window_on_a_server_that_runs_already(tmp_path: Path, display: Display) -> None:
    kept = ("--database", "chat.sqlite3", "--log-messages")
    hands = display

    def attached(server: Server) -> None:
        display.wait_for_window(f"Chat server at 127.0.0.1:{server.port}")

    def until(server: Server, act: Callable[[], None], pattern: str) -> None:
        """`act` again and again, until the log has that: the window looks twice a second."""
        deadline = time.monotonic() + PATIENCE
        while pattern not in server.log:
            assert time.monotonic() < deadline, server.log
            act()
            time.sleep(0.6)

    def announce() -> None:
        hands.key("alt+a", "ctrl+a")
        hands.type("We close at noon.")
        hands.key("Return")

    with Server(tmp_path, *kept) as server:
        server.wait_for_log("ControlFactory starting")
        window = subprocess.Popen(
            [*CONSOLE, "--attach", SOCKET],
            cwd=tmp_path,
            env=display.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            attached(server)
            alice, bob = server.join("Alice"), server.join("Bob")
            alice.hears("*** Bob has joined the chat.")
            announce()
            for person in (alice, bob):
                person.hears("*** We close at noon.")
            hands.key("alt+k")
            hands.type("be kind")
            until(server, lambda: hands.key("alt+o", "alt+k", "Return"), "kicks Alice from the")
            alice.hears("*** be kind", KICKED)
            bob.hears(left("Alice"))
            server.process.kill()
            server.killed = True
            server.process.wait(PATIENCE)
            with Server(tmp_path, *kept) as second:  # which the window finds
                attached(second)
                carol = second.join("Carol")
                until(second, announce, "announces: 'We close at noon.'")
                carol.hears("*** We close at noon.")
                hands.key("ctrl+q")
                _, complaints = window.communicate(timeout=PATIENCE)
                assert (window.returncode, "Traceback" in complaints) == (0, False), complaints
                carol.types("still here")  # closing the window has not stopped the server
                second.wait_for_log("Carol: 'still here'")
        finally:
            window.kill()
            window.communicate()


def test_without_a_server_it_says_so(tmp_path: Path, display: Display) -> None:
    ended = run(tmp_path, "--attach", DISPLAY=display.name)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == f"chatservice.console: {SOCKET}: no server is running here.\n"
    assert run(tmp_path, "--attach", "--port", "1").stderr.count("\n") == 1


def test_people_who_swap_their_names_are_still_themselves(tmp_path: Path) -> None:
    def person(id_: int, name: str) -> dict[str, Any]:
        where = [{"address": f"192.0.2.{id_}:1"}]
        return {"id": id_, "name": name, "since": 5.0, "rooms": ["lobby"], "connections": where}

    server = AttachedServer(Clock(), "nowhere", Lines())
    server._take_rooms([{"name": "lobby", "topic": "a\x1b", "private": False}])
    server._take_people([person(1, "Alice"), person(2, "Bob"), person(3, "Carol")])
    alice, bob, carol = (server.directory.users[name] for name in ("Alice", "Bob", "Carol"))
    server._take_people([person(1, "Bob"), person(2, "alice"), person(4, "Carol")])
    assert server.directory.online() == ("alice", "Bob", "Carol")
    assert (alice.name, bob.name, carol.present) == ("Bob", "alice", False)
    assert people.peer_of(alice).address == "192.0.2.1:1"
    server._take_rooms([])
    assert server.directory.online() == ("alice", "Bob", "Carol")


# Its parts.


@pytest.fixture
def root(display: Display) -> Iterator[tk.Tk]:
    window = tk.Tk(screenName=display.name)
    window.report_callback_exception = _raise
    yield window
    end(window)


def _raise(kind: object, error: BaseException, trace: object) -> None:
    raise error


@pytest.fixture
def look(root: tk.Tk) -> Look:
    return Look(root, palette(dark=True))


def rows(table: People) -> list[tuple[str, ...]]:
    return [tuple(table.tree.item(item, "values")) for item in table.tree.get_children()]


def names(table: People) -> list[str]:
    return [row[0] for row in rows(table)]


class Crowd(House):
    """A house whose people come from somewhere, at some time."""

    def comes(self, name: str, second: float, address: str = "192.168.1.2:54321") -> User:
        self.clock.rightNow = max(second, self.clock.rightNow)
        user = self.join(name)
        user.since = second
        self.sessions[name].peer = Peer(address)
        return user

    def goes(self, user: User, *, lost: bool = False) -> None:
        for session in list(user.sessions):
            self.chat.leave(user, session, lost=lost)


def test_the_table_stays_true(root: tk.Tk, look: Look) -> None:
    house = Crowd()
    chat = house.chat
    table = People(root, look, chat.directory, lambda: None)
    table.refresh()
    assert rows(table) == []
    here = {
        name: house.comes(name, second) for name, second in (("Carol", 5), ("Bob", 7), ("Alice", 6))
    }
    table.refresh()
    assert names(table) == ["Alice", "Bob", "Carol"]
    assert rows(table)[1][1:] == ("192.168.1.2:54321", since_in_words(7, ""))
    table.tree.selection_set(table.tree.get_children()[1])
    assert table.chosen is here["Bob"]
    chat.rename(here["Bob"], house.sessions["Bob"], "Zoe", then=lambda _: None)
    house.goes(here["Alice"])
    house.quiet()
    table.refresh()
    assert names(table) == ["Carol", "Zoe"]
    assert table.chosen is here["Bob"]  # whatever the name
    again = Session()
    again.peer = Peer("[::1]:1")
    token = chat.token(here["Carol"], house.sessions["Carol"])
    chat.enter(again, "Carol", lambda _: None, token=token)
    table.refresh()
    assert rows(table)[0][1] == "[::1]:1"
    house.goes(here["Bob"])
    assert table.chosen is None  # at once
    house.quiet()
    table.refresh()
    assert names(table) == ["Carol"]


def test_the_table_is_sorted_as_asked(root: tk.Tk, look: Look) -> None:
    house = Crowd()
    table = People(root, look, house.chat.directory, lambda: None)
    for name, second in (("Carol", 5), ("Bob", 7), ("Alice", 6)):
        house.comes(name, second, f"10.0.0.{10 - second}:1")
    table.refresh()
    for by, order in (
        ("since", ["Carol", "Alice", "Bob"]),
        ("since", ["Bob", "Alice", "Carol"]),
        ("from", ["Bob", "Alice", "Carol"]),
        ("name", ["Alice", "Bob", "Carol"]),
    ):
        table._sort(by)
        assert names(table) == order


def test_of_a_crowd_some_are_shown_at_a_time(
    root: tk.Tk, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AT_ONCE", 4)
    house = Crowd()
    table = People(root, look, house.chat.directory, lambda: None)
    here = [house.comes(f"n{number}", number) for number in range(10)]
    for shown_now in (4, 8, 10):
        table.refresh()
        assert len(rows(table)) == shown_now
    assert names(table) == list(house.chat.directory.online())
    for user in here:
        house.goes(user, lost=True)
    house.quiet()
    table.refresh()
    assert rows(table) == []


def test_the_table_of_rooms_stays_true(
    root: tk.Tk, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatservice.console.rooms.MAX_LISTED", 3)
    house = Crowd()
    chat = house.chat
    table = Rooms(root, look, chat.directory, lambda: None)
    alice, bob = house.comes("Alice", 1), house.comes("Bob", 2)

    def shows() -> list[tuple[str, ...]]:
        house.quiet()
        table.refresh()
        items = table.tree.get_children()
        return [tuple(map(str, table.tree.item(item, "values"))) for item in items]

    assert shows() == [("#lobby", "2", "open", "")]
    for name in ("dev", "42"):
        chat.join_room(alice, house.sessions["Alice"], name, "here", then=lambda _: None)
    house.quiet()
    chat.moderation.set_topic(
        alice, house.sessions["Alice"], chat.directory.rooms["dev"], "Release", then=lambda _: None
    )
    chat.moderation.set_private(
        alice, house.sessions["Alice"], chat.directory.rooms["42"], True, then=lambda _: None
    )
    chat.join_room(bob, house.sessions["Bob"], "dev", "here", then=lambda _: None)
    assert shows() == [
        ("#dev", "2", "open", "Release"),
        ("#lobby", "2", "open", ""),
        ("#42", "1", "private", ""),
    ]
    table.tree.selection_set("42")
    assert table.chosen is chat.directory.rooms["42"]
    chat.join_room(bob, house.sessions["Bob"], "zoo", "here", then=lambda _: None)
    assert len(shows()) == 3  # of four
    house.goes(alice)
    assert [row[:2] for row in shows()] == [("#dev", "1"), ("#lobby", "1"), ("#zoo", "1")]
    assert table.chosen is None


def peer_log(lines: Lines) -> Logger:
    return Logger("chatservice.server.peer_log", observer=lines)


def session(lines: Lines) -> Logger:
    return Logger("chatservice.session.talk", observer=lines)


def test_a_warning_outlives_many_messages() -> None:
    lines = Lines()
    peer_log(lines).info("{peer} has connected.", peer=Peer("192.168.1.2:54321"))
    Logger("anything", observer=lines).warn("careful")
    for number in range(KEPT + 500):
        session(lines).info("{name}: {text!r}", name="Alice", text=f"{number}\u200c")
    taken, left_out = lines.take(EVERYTHING)
    assert [line.text for line in taken[:3]] == [
        "192.168.1.2:54321 has connected.",
        "careful",
        f"Alice: {KEPT + 500 - AT_ONCE}\u200c",
    ]
    assert (len(taken), left_out) == (AT_ONCE + 2, KEPT + 500 - AT_ONCE)
    assert lines.take(EVERYTHING) == ([], 0)
    assert len(lines.kept(EVERYTHING)) == KEPT + 2
    assert [line.text for line in lines.kept({Kind.WARNINGS})] == ["careful"]


def test_a_long_line_keeps_its_ends() -> None:
    lines = Lines()
    Logger("anything", observer=lines).emit(LogLevel.info, "{it}", it="a" * LONGEST + "the end")
    (line,) = lines.kept({Kind.SERVER})
    assert line.text.startswith("aaa")
    assert line.text.endswith("the end")
    assert len(line.text) == LONGEST + 3


def shows(view: LogView) -> list[str]:
    return [line.partition("\t")[2] for line in view.text.get("1.0", "end-1c").splitlines()]


def test_the_log_is_shown_by_kind(root: tk.Tk, look: Look) -> None:
    lines = Lines()
    view = LogView(root, look, lines, log_messages=False)
    peer_log(lines).info("Alice has joined.")
    view.show_new()
    session(lines).info("Alice: hello")
    Logger("anything", observer=lines).error("ouch\nand where")
    view.show_new()
    view.show_new()
    assert shows(view) == ["Alice has joined.", "Alice: hello", "ouch", "and where"]
    chosen = {}
    for index, name in enumerate(FILTERS):
        view.choose(index)
        chosen[name] = shows(view)
    assert chosen == {
        "All": ["Alice has joined.", "Alice: hello", "ouch", "and where"],
        "Arrivals and departures": ["Alice has joined."],
        "Messages": ["Alice: hello"],
        "Warnings": ["ouch", "and where"],
    }
    peer_log(lines).info("Bob has joined.")
    view.show_new()
    assert shows(view) == ["ouch", "and where"]


def test_why_there_is_nothing_is_said(root: tk.Tk, look: Look) -> None:
    lines = Lines()
    view = LogView(root, look, lines, log_messages=False)
    view.choose(2)
    assert "--log-messages" in view.text.get("1.0", "end")
    session(lines).info("Alice: hello")
    view.show_new()
    assert shows(view) == ["Alice: hello"]


def test_what_is_shown_of_the_log_is_bounded(
    root: tk.Tk, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatservice.console.logview.MAX_LINES", 10)
    lines = Lines()
    view = LogView(root, look, lines, log_messages=True)
    for number in range(AT_ONCE + 100):
        session(lines).info(str(number))
        if number in (7, AT_ONCE + 99):
            view.show_new()
    assert shows(view) == [str(number) for number in range(AT_ONCE + 90, AT_ONCE + 100)]


@pytest.mark.parametrize(
    "text",
    ["hello " * 300, "سلام " * 400, "س" + "\u064e" * 1900, "👋" * 1900, "a\u0301\u0302" * 600],
)
def test_what_is_drawn_at_once_is_bounded(root: tk.Tk, look: Look, text: str) -> None:
    """The chat waits for it."""
    lines = Lines()
    view = LogView(root, look, lines, log_messages=True)
    for _ in range(KEPT):
        session(lines).info("{name}: {text!r}", name="Alice", text=text)
    view.show_new()
    drawn = view.text.get("1.0", "end")
    assert len(drawn) < MAX_NEW * 1.2
    assert drawn.startswith(f"\t… {KEPT - (drawn.count(chr(10)) - 1):,} more, which are in the log")
    view.show_all()
    assert 100 < len(view.text.get("1.0", "end")) < MAX_ALL * 1.2


def test_a_plot_has_round_numbers_and_an_end(root: tk.Tk, look: Look) -> None:
    plot = Plot(root, look, title="Memory", colour="#123456", label=mebibytes, least=50)
    plot.draw()
    for number in range(SAMPLES + 5):
        plot.add(number)
    assert len(plot.values) == SAMPLES
    texts = [item for item in plot.find_all() if str(plot.type(item)) == "text"]
    words = [plot.itemcget(item, "text") for item in texts]
    assert words == ["Memory", "125 MiB", "200", "0", "2 min ago", "now"]
    assert [axis_top(highest, 5) for highest in (0, 5, 5.1, 11, 200, 201)] == [
        5,
        5,
        10,
        20,
        200,
        500,
    ]
    assert [count(value) for value in (0, 0.25, 2.99, 12.4, 12345)] == [
        "0",
        "0.2",
        "3",
        "12",
        "12,345",
    ]


@pytest.mark.parametrize(
    ("text", "as_tk_needs_it"),
    [
        ("Alice 李明 👋", "Alice 李明 👋"),
        ("سلام", "\ufee1\ufefc\ufeb3"),
        ("نیمه‌کاره ۱۲", "۱۲ \ufee9\ufead\ufe8e\ufb90\ufeea\ufee4\ufbff\ufee7"),
        ("سارا: سلام (42)", "\ufe8d\ufead\ufe8e\ufeb3: \ufee1\ufefc\ufeb3 (42)"),
        ("שלום (עולם) שוב", "בוש (םלוע) םולש"),
        ("a (עולם) b שלום (עולם)", "a (םלוע) b (םלוע) םולש"),
        ("دَر", "\ufead\ufea9\u064e"),
    ],
)
def test_what_is_written_from_the_right(text: str, as_tk_needs_it: str) -> None:
    assert shown(text) == as_tk_needs_it


def test_the_theme_is_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_dark("dark")
    assert not is_dark("light")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_dark("auto")
    desktop = tmp_path / "gsettings"
    desktop.write_text("#!/bin/sh\necho \"'prefer-dark'\"\n")
    desktop.chmod(0o755)
    assert is_dark("auto")
    assert blended("#ffffff", "#000000", 0.5) == "#808080"
