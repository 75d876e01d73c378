"""The client in a window, on a display of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter")

import tkinter as tk

from chatservice.client.faces.looks import PALETTE
from chatservice.client.faces.words import Wording
from chatservice.core.events import (
    Emoted,
    Helped,
    Joined,
    RoomInfo,
    Said,
    SanctionInfo,
    SanctionKind,
    Sent,
)
from chatservice.desktop import shaping
from chatservice.desktop.theme import DARK, LIGHT, Palette
from chatservice.gui import glyphs, lines, memory, menus
from chatservice.gui.conversation import KEPT, KEPT_HIDDEN, Conversation
from chatservice.gui.input_line import InputLine
from chatservice.gui.lines import STALE, Line
from chatservice.gui.memory import Connection
from chatservice.gui.people import People
from chatservice.gui.tabs import MAX_PRIVATE, MAX_ROOMS, Tabs
from chatservice.gui.theme import LEGIBLE, ChatLook, contrast, legible
from chatservice.gui.wording import ENGLISH
from tests.support.addresses import elsewhere
from tests.support.people import PATIENCE, Server, joined, left
from tests.support.quick_passwords import QUICKLY
from tests.support.xdisplay import Display, end

GUI = (sys.executable, "-m", "chatservice.gui")
WORDING = Wording("localhost:12345")
PASSWORD = "correct horse battery"
MUTED = SanctionInfo(SanctionKind.MUTE, "Eve", "Bob", 0.0)
NOON = 1_763_553_600.0  # on a Wednesday, wherever the test runs


@pytest.fixture(scope="module")
def root(display: Display) -> Iterator[tk.Tk]:
    """A program of the test's own on that display, which has the same clipboard."""
    root = tk.Tk(screenName=display.name)
    root.geometry("600x400")
    root.withdraw()
    yield root
    end(root)


class Window:
    """``python -m chatservice.gui``, and who sits before it. `folder` is where it remembers."""

    def __init__(self, display: Display, root: tk.Tk, folder: Path, *options: str) -> None:
        self.hands = display
        self._root = root
        self.process = subprocess.Popen(
            [*GUI, *options],
            env={
                **display.environment,
                "XDG_DATA_HOME": str(folder),
                "BROWSER": f"{folder}/browser %s",
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    def opens(self, title: str) -> None:
        """Wait for that, and go there with the keyboard."""
        self.window = self.hands.wait_for_window(title)
        time.sleep(0.3)  # Tk gives the keyboard to one of its fields a moment later

    def types(self, *texts: str) -> None:
        for text in texts:
            self.hands.type(text)
            self.hands.key("Return")

    def pastes(self, text: str) -> None:
        self._root.clipboard_clear()
        self._root.clipboard_append(text)
        self._root.update()
        self.hands.key("ctrl+v")
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:  # it is this program that is asked for the text
            self._root.update()
            time.sleep(0.01)

    def conversation(self) -> str:
        """All of the one that is shown, as it can be copied."""
        self.hands.key("ctrl+shift+c")
        self._root.update()  # or it believes that the clipboard is still its own
        try:
            return self._root.clipboard_get()
        except tk.TclError:
            return ""

    def shows(self, text: str) -> None:
        wait_until(lambda: text in self.conversation(), self.conversation)

    def is_called(self, title: str) -> None:
        def name() -> str:
            return self.hands.do("getwindowname", self.window)

        wait_until(lambda: name().startswith(title), name)

    def ends(self) -> int:
        """Wait for that. Its exit status; nothing has been said on standard error."""
        said = self.process.communicate(timeout=PATIENCE)[1]
        assert said == ""
        return self.process.returncode


def wait_until(is_so: Callable[[], bool], say: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, say()
        time.sleep(0.05)


@pytest.fixture
def start(display: Display, root: tk.Tk, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Starts windows."""
    windows: list[Window] = []

    def start(*options: str) -> Window:
        windows.append(Window(display, root, tmp_path, *options))
        return windows[-1]

    yield start
    for window in windows:
        window.process.kill()
        window.process.communicate()


@pytest.fixture
def bob(server: Server, start: Callable[..., Window]) -> Window:
    """His window; he is in."""
    window = start(
        *("--connect", "--host", server.host, "--port", str(server.port), "--name", "Bob")
    )
    window.opens("Bob at")
    window.shows("Welcome Bob")
    return window


# From outside.


def test_join_talk_and_leave(server: Server, start: Callable[..., Window], tmp_path: Path) -> None:
    alice = server.join("Alice")
    window = start("--host", server.host, "--port", str(server.port))
    window.opens("Join a chat")
    window.types("Alice")
    window.opens("Alice at")
    window.shows("Error: Alice is taken.")
    window.types("Bob")
    alice.hears(joined("Bob"))
    window.types("Hello!", "/me waves")
    alice.hears("Bob: Hello!", "* Bob waves")
    alice.types("سلام 你好 👋👨‍👩‍👧", "/me nods")
    window.shows("Alice: سلام 你好 👋👨‍👩‍👧")
    window.shows("* Alice nods")
    window.types("/nick Robert")
    alice.hears("* Alice nods", "*** Bob is now known as Robert.")
    window.is_called("Chat – Robert at 127.0.0.1")
    alice.types("/exit")
    window.shows("Alice has left the chat.")
    window.hands.key("ctrl+q")
    assert window.ends() == 0
    remembered = json.loads((tmp_path / "chatservice" / "connection.json").read_text())
    assert remembered == {"host": server.host, "port": server.port, "name": "Robert", "tls": False}


def test_private_conversations_have_their_tabs(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    alice.types("/msg Bob psst")
    alice.hears("[you -> Bob] psst")
    bob.is_called("(1!) Chat")
    assert "psst" not in bob.conversation()
    bob.hands.key("ctrl+Tab")
    bob.is_called("Chat")
    bob.shows("Alice: psst")
    bob.types("yes?", "/me waves")
    alice.hears("[Bob -> you] yes?")
    bob.shows("Error: an action is shown to everyone")
    alice.types("hello", "Bob: are you there?")
    bob.is_called("(2!) Chat")
    bob.hands.type("never sent to ev")
    bob.hands.key("ctrl+Tab")
    bob.types("to all")
    alice.hears("Bob: to all")
    bob.hands.key("ctrl+Tab")
    bob.types("eryone")
    alice.hears("[Bob -> you] never sent to everyone")
    alice.types("/nick Alicia")
    assert "Alicia" in alice.next_line()
    alice.types("/away lunch")
    alice.hears("*** You are now away: lunch")
    bob.types("hi")
    alice.hears("[Bob -> you] hi")
    bob.shows("*** Alicia is away: lunch")
    alice.types("/back")
    alice.hears("*** You are no longer away.")
    bob.hands.key("ctrl+w")
    bob.shows("to all")
    bob.hands.key("F6", "F6", "Return")  # who is first in the list
    bob.types("from the list")
    alice.hears("[Bob -> you] from the list")


def test_the_line(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    bob.types("one")
    bob.hands.type("dra")
    bob.hands.key("Up", "Return")
    alice.hears("Bob: one", "Bob: one")
    bob.hands.type("al")
    bob.hands.key("Tab")
    bob.types("hi")
    alice.hears("Bob: Alice: hi")
    bob.hands.type("/ni")
    bob.hands.key("Tab")
    bob.types("Rob")
    alice.hears("*** Bob is now known as Rob.")
    bob.pastes("first\nسلام\nlast 👋")
    bob.types("!")
    alice.hears("Rob: first", "Rob: سلام", "Rob: last 👋!")
    bob.hands.key("ctrl+Home")
    bob.shows("Nothing older is kept.")


def test_finding_and_links(server: Server, bob: Window, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    alice = server.join("Alice")
    alice.types("a needle", "see (https://example.org/a?b=1), or not", "javascript:alert(1)")
    bob.shows("javascript")
    bob.hands.key("ctrl+f")
    bob.hands.type("NEEDLE")
    bob.hands.key("Return", "Escape")
    bob.types("back in the line")
    alice.hears("Bob: back in the line")
    bob.hands.key("ctrl+l", "Return")
    opened = tmp_path / "opened"
    wait_until(lambda: opened.exists() and opened.read_text() != "")
    assert opened.read_text() == "https://example.org/a?b=1\n"
    bob.types("the line again")  # from the conversation, which has the keyboard
    alice.hears("Bob: the line again")


def test_a_password_in_a_command_is_not_shown(root: tk.Tk) -> None:
    line = InputLine(
        root,
        typed=lambda _: True,
        changed=lambda _: None,
        complete=lambda _: (),
        tell=lambda _: None,
    )
    for text, covered in (("/register ", ""), ("/register o", "•"), ("/registers o", "")):
        line.line = text
        assert line.cget("show") == covered
    for text, comes_back in (("/password opensesame", ""), ("hello", "hello")):
        line.line = text
        line.set_aside()
        line._go(-1)  # as Up does
        assert line.line == comes_back
    line.destroy()


def test_a_registered_name_takes_its_password(tmp_path: Path, start: Callable[..., Window]) -> None:
    with Server(tmp_path, "--database", "chat.sqlite3", runner=QUICKLY) as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.types(f"/register {PASSWORD}", "/exit")
        bob.hears_until(left("Alice"))
        for given in ("in the dialog", "when it is asked for"):
            window = start("--host", server.host, "--port", str(server.port), "--name", "Alice")
            window.opens("Join a chat")
            window.hands.key("Tab", "Tab", "Tab")  # server, port, name, password
            window.types(PASSWORD if given == "in the dialog" else "")
            window.opens("Alice at|Chat –")
            if given != "in the dialog":
                window.shows("Password for Alice:")
                window.types("not it")
                window.shows("wrong password for Alice. Password for Alice:")
                window.types(PASSWORD)
            bob.hears(joined("Alice"))
            window.hands.key("Up")  # no password comes back
            window.types("it is me")
            assert bob.next_line() in ("Alice: it is me", "Alice: Aliceit is me")
            assert PASSWORD not in window.conversation()
            window.hands.key("ctrl+q")
            assert window.ends() == 0
            bob.hears(left("Alice"))
    assert PASSWORD not in (tmp_path / "chatservice" / "connection.json").read_text()


def test_over_tls_a_server_must_be_the_one_that_is_meant(
    tmp_path: Path, start: Callable[..., Window]
) -> None:
    with Server(tmp_path, tls=True) as server:
        where = ("--connect", "--host", server.host, "--port", str(server.port), "--name", "Bob")
        window = start(*where, "--fingerprint", "AB" * 32)
        window.opens("Join a chat")  # which says what is wrong
        window.hands.key("Escape")
        assert window.ends() == 0
        window = start(*where, "--tls")
        window.opens("Bob at")
        window.shows("Welcome Bob")
        assert f"First time at {server.host}:{server.port}." in window.conversation()
        window.hands.close(window.window)
        assert window.ends() == 0


def test_the_server_dies_and_comes_back(tmp_path: Path, start: Callable[..., Window]) -> None:
    (tmp_path / "first").mkdir()
    with Server(tmp_path / "first", "--database", "../chat.sqlite3") as server:
        alice = server.join("Alice")
        port = server.port
        window = start("--connect", "--host", server.host, "--port", str(port), "--name", "Bob")
        alice.hears(joined("Bob"))
        window.opens("Bob at")
        alice.types("before")
        window.shows("Alice: before")
        window.process.send_signal(signal.SIGSTOP)
        server.killed = True
        server.process.kill()
        server.process.wait()
    (tmp_path / "second").mkdir()
    with Server(tmp_path / "second", "--database", "../chat.sqlite3", port=port) as server:
        alice = server.join("Alice")
        alice.types("while you were away")
        alice.types("/who")
        while not alice.next_line().startswith("*** Online"):
            pass
        window.process.send_signal(signal.SIGCONT)
        alice.hears_until(joined("Bob"))  # after what she said just before the end, perhaps
        window.shows("Alice: while you were away")
        assert "Disconnected." in window.conversation()
        window.types("I am back")
        alice.hears("Bob: I am back")
        window.process.send_signal(signal.SIGTERM)
        alice.hears(left("Bob"))
    assert window.ends() == 0


def test_a_burst_is_kept_within_bounds_and_older_lines_come_back(
    server: Server, bob: Window
) -> None:
    alice = server.join("Alice")
    total = KEPT + 1000
    alice.sends("".join(f"number {number}.\r\n" for number in range(total)).encode())
    bob.shows(f"number {total - 1}.")
    assert "number 900." not in bob.conversation()
    bob.hands.key("ctrl+Home")
    bob.shows("number 900.")
    assert bob.conversation().count("number 1000.") == 1
    alice.types("one more")
    bob.shows("one more")
    assert "number 900." in bob.conversation()  # it is being read
    bob.hands.key("ctrl+End")
    alice.types("and another")
    bob.shows("and another")
    assert "number 900." not in bob.conversation()
    bob.hands.key("ctrl+Home")
    bob.shows("number 900.")


def test_what_cannot_be_reached_is_said_in_the_dialog(start: Callable[..., Window]) -> None:
    window = start("--host", "localhost", "--port", "1", "--name", "Bob", "--connect")
    window.opens("Bob at")
    window.shows("Cannot connect to localhost:1")
    window.hands.key("ctrl+q")
    assert window.ends() == 0


@pytest.mark.parametrize("missing", ["display", "tkinter"])
def test_without_a_window_it_says_so(missing: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    program = "import runpy, sys; sys.argv = ['gui']; "
    if missing == "tkinter":
        program += "sys.modules['tkinter'] = None; "
    program += "runpy.run_module('chatservice.gui', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert missing in done.stderr
    assert "python -m chatservice.client needs" in done.stderr


# A conversation.


class Reader:
    """Somebody before a conversation."""

    def __init__(self, root: tk.Tk) -> None:
        self.root = root
        self.asked = 0
        self.conversation = Conversation(
            root, ChatLook(root, LIGHT), self._ask, lambda text: None, lambda link: None
        )
        self.conversation.pack(fill="both", expand=True)
        root.deiconify()
        self.waits()

    def _ask(self) -> None:
        self.asked += 1

    def waits(self) -> None:
        """Until nothing more is to be shown."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.root.update()
            if not self.conversation._coming and not self.conversation._scheduled:
                break
            assert time.monotonic() < deadline
        self.root.update()

    def first_line(self) -> str:
        """That is in view."""
        text = self.conversation.text
        return text.get("@0,10 linestart", "@0,10 lineend").rpartition("\t")[2]

    def sees_the_end(self) -> bool:
        return self.conversation.text.dlineinfo("end - 1 chars") is not None


@pytest.fixture
def reader(root: tk.Tk) -> Iterator[Reader]:
    reader = Reader(root)
    yield reader
    reader.conversation.destroy()
    root.withdraw()


def said(number: int, at: float = NOON) -> Said:
    return Said(number, at, "lobby", "Alice", f"number {number}")


def told(first: int, last: int, at: float = NOON) -> list[Line]:
    return [
        line for number in range(first, last) for line in lines.lines(said(number, at), WORDING, "")
    ]


def test_the_end_stays_in_view_until_somebody_reads_further_up(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(told(1000, 1100))
    reader.waits()
    assert reader.sees_the_end()
    conversation.scroll(-1, "pages")
    before = reader.first_line()
    conversation.add(told(1100, 1200))
    reader.waits()
    assert reader.first_line() == before
    assert not reader.sees_the_end()
    conversation.to_end()
    conversation.add(told(1200, 1300))
    reader.waits()
    assert reader.sees_the_end()
    reader.root.geometry("600x200")
    reader.waits()
    assert reader.sees_the_end()
    reader.root.geometry("600x400")


def test_older_lines_come_above_what_is_being_read(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(told(1000, 1100))
    reader.waits()
    conversation.to_top()
    assert reader.asked == 1
    assert conversation.first_id == 1000
    conversation.scroll(1, "units")
    before = reader.first_line()
    conversation.put_before(lines.history([said(n) for n in range(900, 1000)], WORDING, ""))
    reader.waits()
    assert reader.first_line() == before
    words = conversation.words().splitlines()
    assert words[0] == lines.day_of(NOON)
    assert len(words) == 201
    yesterday = NOON - 86_400
    conversation.put_before(lines.history([said(n, yesterday) for n in (898, 899)], WORDING, ""))
    words = conversation.words().splitlines()
    assert words[0] == lines.day_of(yesterday)
    assert words[3] == lines.day_of(NOON)
    assert conversation.text.get("1.0", "end").count("\n") == len(words)
    conversation.make_stale()
    assert conversation.first_id == STALE


def test_no_more_lines_are_kept_than_have_a_use(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(told(0, 20_000))
    reader.waits()
    assert len(conversation.words().splitlines()) == KEPT
    assert int(conversation.text.index("end - 1 chars").split(".")[0]) == KEPT
    assert reader.sees_the_end()


def test_finding_goes_round(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(told(10, 40))
    conversation.add(lines.lines(Said(50, NOON, "", "سارا", "نیمه‌کاره"), WORDING, ""))
    reader.waits()
    assert conversation.find("NUMBER 3", 0) == (10, 10)
    assert conversation.find("NUMBER 3", -1) == (9, 10)
    assert conversation.find("NUMBER 3", 1) == (10, 10)
    assert conversation.find("NUMBER 3", 1) == (1, 10)
    assert conversation.find("NUMBER 3", -1) == (10, 10)
    assert conversation.find("کاره", 0) == (1, 1)
    assert conversation.find("no such thing", 0) == (0, 0)
    conversation.end_finding()
    assert not conversation.text.tag_ranges("found")


def test_what_is_selected_is_copied_as_it_was_said(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(lines.lines(Said(1, NOON, "", "Bob", "a 👋 b"), WORDING, ""))
    conversation.add(lines.lines(Said(2, NOON, "", "سارا", "سلام"), WORDING, ""))
    reader.waits()
    conversation.text.tag_add("sel", "2.0", "end")
    clock = lines.clock_time(NOON)
    assert conversation.words(selected=True) == f"{clock} Bob: a 👋 b\n{clock} سارا: سلام"


def test_lines() -> None:
    link = "https://example.org/x_(y)?z=1"
    event = Said(7, NOON, "", "Alice", f"Bob: see {link}, (HTTP://b.org) or ftp://c.org")
    (line,) = lines.lines(event, WORDING, "Bob")
    assert line.marked
    assert [text for style, text in line.pieces if "link" in style] == [link, "HTTP://b.org"]
    assert (line.at, line.id) == (NOON, 7)
    assert line.text.endswith(f" Alice: {event.text}")
    (line,) = lines.lines(Joined(8, NOON, "", ("Carol",)), WORDING, "Bob")
    assert line.pieces == [("dim", "*** Carol has joined the chat.")]
    waits = lines.private(Sent(1, NOON, "Carol", "hi", waiting=True), "Bob")
    assert next(lines.lines(waits, WORDING, "Bob")).text.endswith(
        "(will be delivered when Carol returns)"
    )
    (line,) = lines.lines("from the server", WORDING, "Bob")
    assert line.pieces == [("notice", "from the server")]
    assert not next(lines.lines(Emoted(9, NOON, "", "Bob", "is Bob"), WORDING, "Bob")).marked


def test_the_list_of_people_stays_true(root: tk.Tk) -> None:
    chosen: list[str] = []
    people = People(root, ChatLook(root, DARK), chosen.append)
    people.show({"bob", "Alice", "Zoë"}, {}, "bob", "Online ({count})")
    assert people.list.get_children() == ("Alice", "bob", "Zoë")
    people.show({"Bert", "Alice", "bob"}, {"Alice": " …"}, "Bert", "Online ({count})")
    assert people.list.get_children() == ("Alice", "Bert", "bob")
    assert people.list.item("Alice", "text") == "Alice …"
    assert people.list.tag_has("me") == ("Bert",)
    odd = {"a{b", "$x", "[exit]", "a\\b", 'q"'}  # to Tcl
    people.show({"bob"} | odd, dict.fromkeys(odd, " …"), None, "Online ({count})")
    assert set(people.list.get_children()) == {"bob"} | odd
    people.show({"bob"}, {}, None, "Online ({count})")
    assert people.list.get_children() == ("bob",)
    people.destroy()


def test_an_old_xft_is_given_no_emoji(monkeypatch: pytest.MonkeyPatch) -> None:
    assert glyphs.shown("a 👋 سلام ☕") == "a 👋 " + shaping.shown("سلام") + " ☕"
    monkeypatch.setattr(glyphs, "has_colours", lambda: False)
    assert glyphs.shown("a 👋 你 ☕") == "a □ 你 □"


def test_right_to_left_is_broken_where_it_is_read(reader: Reader) -> None:
    conversation = reader.conversation
    text = " ".join(f"واژه{number}" for number in range(60))
    conversation.add(lines.lines(Said(1, NOON, "", "سارا", text), WORDING, ""))
    reader.waits()
    rows = rows_of(conversation)
    assert len(rows) > 2
    assert "0" in rows[0]
    assert "59" in rows[-1]
    reader.root.geometry("500x400")

    def is_broken_again() -> bool:
        reader.root.update()
        return len(rows_of(conversation)) > len(rows)

    wait_until(is_broken_again)
    assert "0" in rows_of(conversation)[0]
    assert text in conversation.words()
    reader.root.geometry("600x400")


def rows_of(conversation: Conversation) -> list[str]:
    """What stands in each row of the last line."""
    text = conversation.text
    rows = []
    place = text.index("end - 1 chars linestart")
    while text.compare(place, "<", "end - 1 chars"):
        end = text.index(f"{place} display lineend")
        rows.append(text.get(place, end))
        place = text.index(f"{end} + 1 chars")
    return rows


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_names_can_be_read(colours: Palette) -> None:
    for shade in PALETTE:
        assert contrast(legible(shade, colours), colours) >= LEGIBLE


def test_the_last_connection_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert memory.last() == Connection()
    connection = Connection("example.org", 1234, "Bob", tls=True)
    memory.remember(connection)
    assert memory.last() == connection
    memory.file().write_text('{"host": 3, "port": "x", "name": "Eve", "more": 1}')
    assert memory.last() == Connection(name="Eve")
    for bad in ("[]", "{", "\0"):
        memory.file().write_text(bad)
        assert memory.last() == Connection()
    (tmp_path / "chatservice" / "connection.new").mkdir()
    memory.remember(connection)  # it cannot, and nothing happens


RUBBISH = (
    '{"host": "\\ud800", "port": 12345, "name": "Bob"}',
    '{"name": "\\ud800"}',
    '{"host": "a\\nb"}',
    '{"host": ""}',
    '{"host": ["x"]}',
    '{"port": 0}',
    '{"port": 70000}',
    '{"port": true}',
    '{"port": 1e400}',
    '{"port": NaN}',
    '{"tls": "yes"}',
    '{"name": "/exit"}',
    "[" * 100_000,
    '{"host": ' + "9" * 5000 + "}",
    "[]",
    "null",
    "{",
    "\0",
    "",
)


@pytest.mark.parametrize("content", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_in_place_of_the_last_connection_is_ignored_with_a_line(
    content: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    memory.file().parent.mkdir()
    memory.file().write_text(content)
    remembered = memory.last()
    assert remembered in (Connection(), Connection(name="Bob"))
    told = capsys.readouterr().err
    assert told.startswith(f"{memory.file()} is ignored: ")
    assert told.count("\n") == 1
    memory.remember(remembered)
    assert memory.last() == remembered


@pytest.mark.parametrize("kind", ["folder", "FIFO", "bytes", "large"])
def test_so_is_a_file_that_cannot_be_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    file = memory.file()
    file.parent.mkdir()
    match kind:
        case "folder":
            file.mkdir()
        case "FIFO":
            os.mkfifo(file)
        case "bytes":
            file.write_bytes(b"\xff\xfe{\x00}\x00")
        case "large":
            file.write_text('{"name": "' + "x" * 1_000_000 + '"}')
    assert memory.last() == Connection()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_byte_order_mark_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    memory.file().parent.mkdir()
    memory.file().write_bytes(b'\xef\xbb\xbf{"name": "Bob"}')
    assert memory.last() == Connection(name="Bob")


def test_what_was_last_said_is_there_when_it_opens_again(
    server: Server, start: Callable[..., Window]
) -> None:
    alice = server.join("Alice")
    alice.types("before", "/who")
    alice.hears("*** Online (1): Alice")
    options = ("--connect", "--host", f"{server.host}:{server.port}", "--name", "Bob")
    for said in ("before", "while Bob was away"):
        window = start(*options)
        window.opens("Bob at")
        window.shows(f"Alice: {said}")
        window.shows("Alice: before")
        assert window.conversation().count("Alice: before") == 1
        window.hands.key("ctrl+q")
        assert window.ends() == 0
        alice.types("while Bob was away", "/who")
        alice.hears_until("*** Online (1): Alice")


def test_there_is_a_way_back_to_the_dialog(server: Server, start: Callable[..., Window]) -> None:
    alice = server.join("Alice")
    window = start("--connect", "--host", server.host, "--port", str(server.port), "--name", "Bob")
    window.opens("Bob at")
    alice.hears(joined("Bob"))
    alice.types("to Bob and others")
    window.shows("to Bob and others")
    window.hands.key("ctrl+o")
    alice.hears(left("Bob"))
    window.opens("Join a chat")
    window.hands.key("Tab", "Tab")
    window.types("Rob")
    window.opens("Rob at")
    alice.hears(joined("Rob"))
    window.types("here I am")
    alice.hears("Rob: here I am")
    window.hands.key("ctrl+q")
    assert window.ends() == 0


@pytest.mark.parametrize("host", ["no-such-host.invalid", "no-such-host.invalid:5"])
def test_a_host_that_does_not_exist_leads_back_to_the_dialog(
    host: str, server: Server, start: Callable[..., Window]
) -> None:
    window = start("--connect", "--host", host, "--name", "Bob")
    window.opens("Join a chat")
    window.types(f"{server.host}:{server.port}")  # what is there is selected
    window.opens("Bob at")
    window.shows("Welcome Bob")


def test_a_password_does_not_leave_this_machine_without_tls(
    server: Server, start: Callable[..., Window]
) -> None:
    """The dialog says why."""
    with socket.create_server((elsewhere(), 0)) as listening:
        host, port = listening.getsockname()
        window = start("--host", host, "--port", str(port), "--name", "Bob")
        window.opens("Join a chat")
        window.hands.key("Tab", "Tab", "Tab")
        window.types(PASSWORD)
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(4096) == b""
        window.opens("Join a chat")


def test_a_few_pasted_lines_are_sent_and_more_wait_for_enter(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    bob.pastes("".join(f"line {number}\n" for number in range(5)) + "rest")
    alice.hears(*(f"Bob: line {number}" for number in range(5)))
    bob.types("")
    alice.hears("Bob: rest")
    many = "".join(f"line {number}\n" for number in range(40))
    bob.pastes(many)
    bob.hands.key("Escape")  # they are not sent
    bob.types("after that")
    alice.hears("Bob: after that")
    bob.pastes(many)
    bob.types("")
    alice.hears(*(f"Bob: line {number}" for number in range(40)))


def test_each_room_has_its_conversation(server: Server, bob: Window) -> None:
    alice, carol = server.join("Alice"), server.join("Carol")
    alice.types("/join dev", "said before Bob came")
    alice.hears("*** Carol has joined the chat.", "*** In #dev (1): Alice")
    bob.types("/join dev")
    bob.shows("*** In #dev (2): Alice, Bob")
    bob.shows("Alice: said before Bob came")
    alice.hears("*** Bob has joined #dev.")
    carol.types("to the lobby", "Bob: are you there?")
    alice.hears("#lobby Carol: to the lobby", "#lobby Carol: Bob: are you there?")
    bob.is_called("(2!) Chat")
    bob.types("hi")
    alice.hears("Bob: hi")
    assert "Carol" not in bob.conversation()
    bob.hands.key("alt+1")
    bob.shows("Carol: Bob: are you there?")
    bob.is_called("Chat")
    assert "hi" not in bob.conversation().split()
    bob.types("I am")
    carol.hears_until("Bob: I am")
    bob.hands.type("half a line, ")
    bob.hands.key("ctrl+Tab")
    bob.types("in dev")
    alice.hears_until("Bob: in dev")
    alice.types("/part", "/exit")
    bob.shows("Alice has left #dev.")
    bob.hands.key("F6", "F6", "F6", "Up")  # the list of rooms
    bob.shows("Alice has left the chat.")
    bob.hands.key("Return")
    bob.types("and the rest")
    carol.hears_until("Bob: half a line, and the rest")
    bob.types("/switch dev", "/part")
    bob.shows("*** You have left #dev. You are now speaking in #lobby.")
    bob.shows("Bob: half a line, and the rest")
    bob.types("over here")
    carol.hears("Bob: over here")


def test_a_room_that_is_not_in_view_keeps_its_newest_lines(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    bob.shows("Alice has joined")
    bob.types("/join dev")
    bob.shows("*** In #dev (1): Bob")
    total = KEPT_HIDDEN + 100
    alice.sends("".join(f"number {number}.\r\n" for number in range(total)).encode())
    bob.is_called(f"({total}) Chat")
    bob.hands.key("alt+1")
    bob.shows(f"number {total - 1}.")
    assert "number 50." not in bob.conversation()
    bob.hands.key("ctrl+Home")
    bob.shows("number 50.")
    said = [line.split()[-1] for line in bob.conversation().splitlines() if "number" in line]
    assert said == [f"{number}." for number in range(total)]


def test_rooms_are_joined_and_left_with_the_menus(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    alice.types("/join dev", "/topic releases", "/who dev")
    alice.hears_until("*** In #dev (1): Alice")
    bob.hands.key("ctrl+j")
    time.sleep(0.5)
    bob.hands.key("Down", "Return")
    bob.shows("*** Topic of #dev: releases")
    alice.hears_until("*** Bob has joined #dev.")
    bob.types("hi")
    alice.hears("Bob: hi")
    bob.hands.key("F6", "F6", "shift+F10")  # Alice, who is first
    time.sleep(0.3)
    bob.hands.key("Down", "Down", "Return")
    bob.shows("*** Alice (not registered) has been here since")
    bob.hands.key("Escape", "F6", "F6", "F6", "shift+F10")  # the room
    time.sleep(0.3)
    bob.hands.key(*("Down",) * 6, "Return")
    alice.hears("*** Bob has left #dev.")
    bob.shows("*** You have left #dev. You are now speaking in #lobby.")


def test_what_the_menus_offer() -> None:
    offered = menus.to_join(
        [RoomInfo("lobby", people=3), RoomInfo("a", people=1), RoomInfo("dev", "x" * 99, people=2)],
        {"lobby"},
        ENGLISH,
    )
    assert [item.command for item in offered] == ["/join dev", "/join a", "", "/join "]
    assert all(len(item.label) <= menus.MAX_LABEL for item in offered)


@pytest.mark.parametrize(
    ("room", "sanctions", "labels"),
    [
        ("", None, [ENGLISH.who_is, ENGLISH.ignore]),
        ("dev", None, [ENGLISH.who_is, ENGLISH.invite, ENGLISH.ignore]),
        ("dev", [], [*("Remove from the room…", "Mute in the room…", "Ban from the room…")]),
        ("dev", [MUTED], [*("Remove from the room…", "End the mute", "Ban from the room…")]),
        ("lobby", [], ["Remove from the chat…", "Mute in the lobby…", "Ban from the chat…"]),
    ],
)
def test_what_can_be_done_with_somebody(
    room: str, sanctions: list[SanctionInfo] | None, labels: list[str]
) -> None:
    items = menus.of_person("Eve", ("ignore",), ENGLISH, room=room, sanctions=sanctions)
    assert [item.label for item in items][-len(labels) :] == labels
    assert (menus.BETWEEN in items) is (sanctions is not None)


def test_what_can_be_done_with_a_room() -> None:
    assert ENGLISH.make_private not in [item.label for item in menus.of_room("lobby", ENGLISH)]
    labels = [item.label for item in menus.of_room("dev", ENGLISH, in_charge=True)]
    assert ENGLISH.list_bans in labels


def test_help_stands_in_columns(reader: Reader) -> None:
    conversation = reader.conversation
    conversation.add(lines.lines(Helped(("msg", "who", "register")), WORDING, "Bob"))
    reader.waits()
    starts = set()
    for line, word in ((1, "send"), (2, "list"), (3, "register your")):
        place = conversation.text.search(word, f"{line}.0")
        box = conversation.text.bbox(place)
        assert box is not None
        starts.add(box[0])
    assert len(starts) == 1
    assert conversation.words().splitlines()[1] == "/who [ROOM]  list who is online, or in a room"


def test_rows_that_go_on_are_indented(reader: Reader) -> None:
    """Nothing that somebody says stands where a line of the server's begins."""
    conversation = reader.conversation
    conversation.add(lines.lines(Said(1, NOON, "", "Mallory", "x " * 400), WORDING, "Bob"))
    conversation.add(lines.lines("*** Goodbye, Bob.", WORDING, "Bob"))
    reader.waits()
    text = conversation.text

    def left_of(index: str) -> int:
        box = text.bbox(index)
        assert box is not None
        return box[0]

    server_line = left_of(text.index("end - 1 chars linestart + 1 chars"))
    place = text.index("end - 2 chars linestart - 2 chars")  # in the last row of the one before
    assert left_of(text.index(f"{place} display linestart")) > server_line


def test_what_is_deleted_is_gone_from_the_window(server: Server, bob: Window) -> None:
    alice = server.join("Alice")
    alice.types("marmalade", "honey")
    bob.shows("Alice: honey")
    bob.types("cheese")
    alice.hears("Bob: cheese")
    alice.types("/delete 2")
    bob.shows("*** Alice has deleted 2 messages.")
    bob.types("/delete")
    bob.shows("*** A message from Bob was deleted.")
    shown = bob.conversation()
    assert shown.count("*** A message from Alice was deleted.") == 2
    assert not any(text in shown for text in ("marmalade", "honey", "cheese"))


def test_what_is_deleted_is_replaced_where_it_stands(root: tk.Tk) -> None:
    """Both what is shown and what is about to be."""
    look = ChatLook(root, LIGHT)
    conversation = Conversation(root, look, lambda: None, lambda text: None, lambda link: None)

    def line(id_: int, text: str) -> Line:
        return Line([("", text)], NOON, id_)

    conversation.add(line(number, f"secret {number}") for number in range(1, 4))
    conversation.put_before([line(0, "before")])  # now those are shown
    conversation.add([line(4, "secret 4"), line(5, "after")])
    conversation.erase({id_: Line([("", "gone")], 0.0, id_) for id_ in (2, 3, 4)})
    conversation.put_before([line(0, "first")])
    conversation._show_new()
    told = [each.rpartition(" ")[2] for each in conversation.words().splitlines()]
    shown = conversation.text.get("1.0", "end").splitlines()
    assert [each.rpartition("\t")[2] for each in shown if "\t" in each][-5:] == [
        *("secret 1", "gone", "gone", "gone"),
        "after",
    ]
    assert told[-4:] == ["gone", "gone", "gone", "after"]
    conversation.destroy()


def test_so_many_tabs_and_no_more(root: tk.Tk) -> None:
    look = ChatLook(root, LIGHT)

    def make(parent: tk.Misc) -> Conversation:
        return Conversation(parent, look, lambda: None, lambda text: None, lambda link: None)

    tabs = Tabs(root, root, look, ENGLISH, make=make, word=lambda _: WORDING, turned=lambda _: None)
    for number in range(MAX_PRIVATE):
        assert tabs.open_private(f"sender{number}") is not None
    assert tabs.open_private("one more") is None
    tabs.reset()
    assert tabs.open_private("one more") is not None
    tabs.stay_in([f"room{number}" for number in range(2 * MAX_ROOMS)])
    assert len(tabs.rooms) == MAX_ROOMS
    tabs.frame.destroy()
    tabs.stage.destroy()


def test_those_in_charge_remove_mute_and_ban(server: Server, bob: Window) -> None:
    """And ignore somebody; with the keyboard alone. Who is removed loses the room's tab."""
    bob.types("/join dev")
    bob.shows("*** In #dev (1): Bob")
    alice = server.join("Alice")
    alice.types("/join dev")
    bob.shows("*** Alice has joined #dev.")

    def chooses(down: int) -> None:
        bob.hands.key("Escape", "F6", "F6", "shift+F10")  # Alice, who is first
        time.sleep(0.4)
        bob.hands.key(*("Down",) * down, "Return")
        time.sleep(0.2)

    chooses(4)
    bob.shows("*** You no longer hear Alice.")
    bob.hands.key("Escape")  # back to the line
    bob.types("/unignore Alice")
    bob.shows("*** You hear Alice again.")
    chooses(6)
    bob.hands.key("Tab")
    bob.hands.type("shouting")
    bob.hands.key("Escape")  # nothing comes of it
    chooses(6)
    bob.hands.type("soon")
    bob.hands.key("Return")  # is no time
    bob.hands.type("2h")
    bob.hands.key("Tab")
    bob.hands.type("shouting")
    bob.hands.key("Return")
    bob.shows("*** Bob has muted Alice until")
    assert "shouting" in bob.conversation()
    chooses(6)
    bob.shows("*** Bob has ended the mute of Alice.")
    chooses(5)
    bob.hands.type("enough")
    bob.hands.key("Return")
    bob.shows("*** Bob has removed Alice: enough")
    alice.hears_until("*** Bob has removed you from #dev: enough")
    carol = server.join("Carol")
    carol.types("/join attic", "/who attic")
    carol.hears_until("*** In #attic (1): Carol")
    bob.types("/join attic")
    carol.hears_until("*** Bob has joined #attic.")
    bob.hands.type("not for others")
    carol.types("/ban Bob")
    bob.shows("*** Carol has removed you from #attic.")
    bob.shows("*** You have left #attic. You are now speaking in #lobby.")
    bob.types("hello")
    carol.hears_until("#lobby Bob: hello")
