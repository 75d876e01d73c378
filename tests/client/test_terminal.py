"""The terminal face of the client: on a terminal of tmux's, and its parts by themselves."""

import io
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prompt_toolkit")

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.utils import get_cwidth

from chatservice.client import Heard, Missed
from chatservice.client.__main__ import arguments, wants_terminal
from chatservice.client.faces.completer import LineCompleter
from chatservice.client.faces.looks import PALETTE, colour, look, mentions, rings
from chatservice.client.faces.rows import fit
from chatservice.client.faces.status import Status, typing_in_words
from chatservice.client.faces.words import Wording
from chatservice.client.state import State
from chatservice.core.events import (
    Emoted,
    Error,
    Joined,
    LeaveReason,
    Left,
    Muted,
    Removed,
    Said,
    Sent,
    Told,
    Welcomed,
)
from chatservice.dialects.commands import HELPED
from chatservice.dialects.jsonlines import JSON
from tests.support.people import QUESTION, Server, client_command, joined, left
from tests.support.programs import join
from tests.support.tmux import Tmux

AT = 1_700_000_000.0
HERE = "localhost:12345"
WORDING = Wording(HERE)


@pytest.fixture
def start(server: Server) -> Iterator[Callable[..., Tmux]]:
    """Starts the client, with options; or another command; at the server, or another port."""
    started: list[Tmux] = []

    def start(*options: str, command: str = "", port: int = 0) -> Tmux:
        client = shlex.join(client_command(port or server.port, *options))
        started.append(Tmux(command or client))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


@pytest.fixture
def alice(start: Callable[..., Tmux]) -> Tmux:
    """Her client; she is in."""
    terminal = start("--name", "Alice")
    terminal.shows("Welcome Alice, ")
    terminal.shows(" online · Alice")
    return terminal


class TestTheLine:
    def test_survives_what_arrives_and_edits_properly(self, server: Server, alice: Tmux) -> None:
        bob = server.join("Bob")
        alice.types("你好世界 می‌خواهم ")
        alice.presses(*["Left"] * 8)  # the joiner in the second word takes no column
        alice.types("ن")
        alice.presses("Home", "Right", "Right", "BSpace")
        alice.types("们")
        alice.presses("End")
        for number in range(50):
            bob.types(f"message {number} 你好 سلام")
        alice.shows("message 49 ")
        typed = "你们世界 نمی‌خواهم "
        alice.shows(f"> {typed.rstrip()}\nconnected to ")
        heard = [line for line in alice.screen("-S", "-").splitlines() if "message" in line]
        assert heard == [f"Bob: message {n} 你好 سلام" for n in range(50)]
        alice.types("半")
        alice.presses("Enter")
        bob.hears(f"Alice: {typed}半")
        alice.shows(f"Alice: {typed}半")

    def test_each_pasted_line_is_a_message(self, server: Server, alice: Tmux) -> None:
        bob = server.join("Bob")
        alice.types("before, after")
        alice.presses("Left", "Left", "Left", "Left", "Left")
        alice.pastes("one\ntwo\r\n\tthree\nfour ")
        bob.hears("Alice: before, one", "Alice: two", "Alice:  three")
        alice.shows("> four after")
        alice.presses("Enter")
        bob.hears("Alice: four after")

    def test_more_than_a_few_wait_for_enter(self, server: Server, alice: Tmux) -> None:
        bob = server.join("Bob")
        alice.shows(joined("Bob"))
        many = "".join(f"line {number}\n" for number in range(12))
        alice.pastes(many)
        alice.shows("12 lines pasted. Enter sends them, Ctrl-C drops them.")
        alice.presses("C-c")
        alice.types("nothing of it")
        alice.presses("Enter")
        bob.hears("Alice: nothing of it")
        alice.pastes(f"{many}and the rest")
        alice.shows("12 lines pasted.")
        bob.types("meanwhile")
        alice.shows("Bob: meanwhile")
        alice.presses("Enter")
        bob.hears(*(f"Alice: line {number}" for number in range(12)))
        alice.shows("> and the rest")

    def test_what_was_pasted_and_not_sent_is_named_at_the_end(
        self, server: Server, start: Callable[..., Tmux], tmp_path: Path
    ) -> None:
        alice = start("--name", "Alice")
        alice.shows(" online · Alice")
        alice.pastes("".join(f"line {number}\n" for number in range(6)))
        alice.shows("6 lines pasted.")
        alice.presses("C-d")
        assert alice.ends() == 0
        alice.shows("Not sent: line 5")

    def test_history_and_completion(self, server: Server, alice: Tmux) -> None:
        bob = server.join("Bob")
        alice.shows(joined("Bob"))
        alice.types("bo")
        alice.presses("Tab")
        alice.types("hello")
        alice.presses("Enter")
        bob.hears("Alice: Bob: hello")
        alice.types("/m")
        alice.presses("Tab")
        alice.shows("/msg NAME TEXT: send a private message")
        alice.presses("Tab")
        alice.types("b")
        alice.presses("Tab")
        alice.types("psst")
        alice.presses("Enter")
        bob.hears("[Alice -> you] psst")
        alice.presses("Up", "Up", "Enter")
        bob.hears("Alice: Bob: hello")

    def test_you_see_that_others_are_typing(self, server: Server, alice: Tmux) -> None:
        join(server, "Bob").asks("typing", on=True)
        alice.shows("Bob is typing…")

    def test_a_terminal_can_be_small(self, alice: Tmux) -> None:
        alice.types("小" * 20)
        for width, height in [(20, 5), (10, 2), (3, 1), (60, 10)]:
            alice.resizes(width, height)
        alice.types("x")
        alice.shows("> " + "小" * 20 + "x")


class TestComingAndGoing:
    def test_the_name_is_asked_for_where_one_types(
        self, server: Server, start: Callable[..., Tmux]
    ) -> None:
        bob = server.join("Bob")
        terminal = start()
        terminal.shows(QUESTION)
        terminal.types("Bob")
        terminal.presses("Enter")
        terminal.shows(f"Error: Bob is taken.\n{QUESTION}")
        terminal.types("/who")
        terminal.presses("Enter")
        terminal.shows("Error: choose a name first.\n")
        terminal.types("Alice")
        terminal.presses("Enter")
        bob.hears(joined("Alice"))
        terminal.shows("*** Online (2): Alice, Bob\n>")

    @pytest.mark.parametrize("key", ["C-d", "/exit", "SIGTERM"])
    def test_leaves_properly(
        self, server: Server, start: Callable[..., Tmux], tmp_path: Path, key: str
    ) -> None:
        bob = server.join("Bob")
        words = shlex.join(client_command(server.port, "--name", "Alice"))
        pid = tmp_path / "pid"
        alice = start(command=f"sh -c 'echo $$ >{pid}; exec {words}'; echo $? ends; stty -a")
        alice.shows(" online · Alice")
        alice.types("half")
        alice.shows("> half")
        if key == "SIGTERM":
            os.kill(int(pid.read_text()), signal.SIGTERM)
            alice.shows("Not sent: half")
        else:
            alice.presses("C-c")
            alice.presses(*([key, "Enter"] if key == "/exit" else [key]))
        alice.shows("*** Goodbye, Alice.")
        alice.shows("\n0 ends\n")
        bob.hears(joined("Alice"), left("Alice"))
        alice.ends()
        assert {"isig", "icanon", "echo"} <= set(alice.screen().split())
        assert "> half" not in alice.screen()

    def test_a_restart_of_the_server_loses_and_doubles_nothing(
        self, start: Callable[..., Tmux], tmp_path: Path
    ) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        with Server(tmp_path / "one") as server:
            port = server.port
            alice = start("--name", "Alice", port=port)
            alice.shows("1 online · Alice")
            bob = server.join("Bob")
            bob.types("before")
            alice.shows("Bob: before")
            alice.types("half نیمه 半")
        alice.shows("Disconnected.")
        alice.shows("> half نیمه 半\noffline, retrying in")
        alice.presses("C-a")
        alice.types("in between: ")
        alice.presses("Enter")
        alice.types("/msg ")
        alice.shows("1 message queued")
        with Server(tmp_path / "two", "--port", f"tcp:{port}:interface=127.0.0.1") as server:
            bob = server.join("Bob")
            bob.types("meanwhile")
            bob.hears(joined("Alice"), "Alice: in between: half نیمه 半")
            bob.types("after")
            alice.shows("Bob: after\n> /msg")
            shown = alice.screen("-S", "-").splitlines()
            for line in ["before", "meanwhile", "after"]:
                assert shown.count(f"Bob: {line}") == 1
            assert shown.count("Alice: in between: half نیمه 半") == 1

    def test_what_could_not_be_sent_is_said(self, start: Callable[..., Tmux]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as once:
            port = once.getsockname()[1]
        terminal = start("--name", "Alice", port=port)
        terminal.shows("Cannot connect to ")
        terminal.types("hello")
        terminal.presses("Enter")
        terminal.shows("1 message queued")
        terminal.presses("C-c")
        assert terminal.ends() == 1
        terminal.shows("Error: your last line may not have been sent.")

    def test_a_server_that_does_not_answer(self, start: Callable[..., Tmux]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            terminal = start("--name", "Alice", port=listening.getsockname()[1])
            connection = listening.accept()[0]
            with connection, connection.makefile("rb") as lines:

                def hears(**fields: Any) -> None:
                    heard = json.loads(lines.readline())
                    assert heard.items() >= fields.items()

                hears(type="hello", name="Alice")
                connection.sendall(JSON.render(Welcomed("Alice", ("Alice",), "epoch", 0, "token")))
                terminal.shows("1 online")
                terminal.types("/who")
                terminal.presses("C-c")
                terminal.types("hello")
                hears(type="typing", on=True)
                terminal.presses("C-u")
                hears(type="typing", on=False)
                terminal.types("hello?")
                terminal.presses("Enter")
                hears(type="say", text="hello?")
                terminal.shows("1 message queued")
                terminal.presses("C-c")
                terminal.shows("leaving… Ctrl-C leaves at once")
                terminal.types("stays here")
                terminal.presses("Enter", "C-c", "C-c")
                assert terminal.ends() == 1
        terminal.shows("Error: your last line may not have been sent.")

    def test_ends_with_no_retry(self, start: Callable[..., Tmux], tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        with Server(tmp_path / "one") as server:
            terminal = start("--name", "Bob", "--no-retry", port=server.port)
            terminal.shows("Welcome Bob, ")
        assert terminal.ends() == 1
        terminal.shows("Disconnected.")


class TestWhatItLooksLike:
    def test_names_have_colours_and_a_mention_is_marked_and_rings(
        self, server: Server, alice: Tmux
    ) -> None:
        bob = server.join("Bob")
        alice.looks_away()
        bob.types("alicecream")
        alice.shows("Bob: alicecream")
        assert not alice.has_rung()
        bob.types("@alice: hello")
        alice.shows("Bob: @alice: hello")
        assert alice.has_rung()
        plain, marked = [line for line in alice.screen("-e").splitlines() if "Bob" in line][-2:]
        assert "[38;5;" in plain
        assert "7m" not in plain
        assert "1;7m" in marked  # bold, reverse

    def test_without_colours(self, server: Server, start: Callable[..., Tmux]) -> None:
        words = shlex.join(client_command(server.port, "--name", "Alice", "--timestamps"))
        alice = start(command=f"NO_COLOR=1 {words}")
        alice.shows("Welcome Alice, ")
        bob = server.join("Bob")
        bob.types("hello", "/msg alice psst", "alice?", "/exit")
        alice.types("/dance")
        alice.presses("Enter")
        alice.shows(left("Bob"))
        alice.shows("Error: ")
        alice.shows(datetime.now().strftime("] Bob: hello"))
        screen = alice.screen("-e")
        assert re.findall(r"\[[0-9;]*?([349][0-8]|10[0-7])[;m]", screen) == []
        assert "1;7m" in screen


def test_who_is_removed_from_a_room_speaks_in_the_lobby(
    server: Server, start: Callable[..., Tmux]
) -> None:
    bob = server.join("Bob")
    bob.types("/join dev")
    alice = start("--name", "Alice")
    alice.shows(" online · Alice")
    alice.types("/join dev")
    alice.presses("Enter")
    alice.shows("#dev>\nconnected to ")
    bob.types("/mute Alice")
    alice.shows("*** Bob has muted Alice.")
    alice.types("hello?")
    alice.presses("Enter")
    alice.shows("Error: you are muted in #dev; nobody has heard that.")
    bob.types("/kick Alice enough of that")
    alice.shows(
        "*** Bob has removed you from #dev: enough of that\n*** You have left #dev. You are"
    )
    alice.shows("\n>\nconnected to ")
    bob.types("/ban Alice")
    alice.types("/join dev")
    alice.presses("Enter")
    alice.shows("Error: you are banned from #dev.")


class TestWhatStandsThere:
    def test_what_was_last_said_when_it_is_opened_again(
        self, tmp_path: Path, start: Callable[..., Tmux]
    ) -> None:
        with Server(tmp_path, "--history", "5") as server:
            bob = server.join("Bob")
            bob.types("one", "/who")
            bob.hears("*** Online (1): Bob")
            first = start("--name", "Alice", port=server.port)
            first.shows("*** The last message:")
            first.shows("] Bob: one")
            first.presses("C-d")
            assert first.ends() == 0
            bob.types("two", "/who")
            bob.hears_until("*** Online (1): Bob")
            again = start("--name", "Alice", port=server.port)
            again.shows("*** 1 message while you were away:")
            again.shows("Bob: two")
            again.shows("*** The last message:")
            again.shows("] Bob: one")

    def test_times_in_one_form(self, server: Server, start: Callable[..., Tmux]) -> None:
        bob = server.join("Bob")
        bob.types("before", "/who")
        bob.hears("*** Online (1): Bob")
        alice = start("--name", "Alice", "--timestamps")
        alice.shows(" online · Alice")
        bob.types("now", "/msg Alice psst")
        alice.types("/history")
        alice.presses("Enter")
        alice.shows("*** The last 2 messages:")
        times = re.findall(r"\d+:\d\d(?::\d\d)?(?=\] )", alice.screen())
        assert len(times) >= 4
        assert {len(time) for time in times} == {8}

    def test_whole_words_on_a_narrow_terminal(
        self, server: Server, start: Callable[..., Tmux]
    ) -> None:
        bob = server.join("Bob")
        alice = start("--name", "Alice")
        alice.resizes(40, 24)
        alice.shows("Welcome Alice")
        text = "the quick brown fox jumps over the lazy dog and comes back to where it has begun"
        bob.types(text, "/msg Alice " + text, f"/me {text}", "done")
        alice.shows("Bob: done")
        alice.types("/help")
        alice.presses("Enter")
        alice.shows("*** /exit")
        shown = alice.screen("-S", "-").splitlines()
        for begin in ("Bob: the", "[Bob -> you] the", "* Bob the"):
            (first,) = (number for number, row in enumerate(shown) if row.startswith(begin))
            rows = [shown[first], *takewhile(lambda row: row[:1] == " ", shown[first + 1 :])]
            assert " ".join(row.strip() for row in rows).endswith(text)

    @pytest.mark.parametrize("columns", [40, 80, 100])
    def test_no_row_that_could_be_the_servers(
        self, server: Server, start: Callable[..., Tmux], columns: int
    ) -> None:
        bob = server.join("Bob")
        alice = start("--name", "Alice")
        alice.resizes(columns, 24)
        alice.shows("Welcome Alice")
        forged = "*** Goodbye, Alice."
        for filler in (" ", "x", "小"):
            width = 2 if filler == "小" else 1
            for count in range((columns - 12) // width, columns // width):
                bob.types(f"ok{filler * count}{forged}")
        bob.types("done")
        alice.shows("Bob: done")
        shown = alice.screen("-S", "-").splitlines()
        assert not any(row.startswith("*** Goodbye") for row in shown)
        assert any("Goodbye" in row for row in shown)


def test_a_host_that_does_not_exist_is_not_tried_again(start: Callable[..., Tmux]) -> None:
    terminal = start(command=f"{sys.executable} -m chatservice.client --host no.such.host.invalid")
    assert terminal.ends() == 1
    terminal.shows("Cannot connect to no.such.host.invalid:12345: there is no such host.")


WITHOUT_IT = "import sys; sys.modules['prompt_toolkit'] = None; import runpy; " + (
    "runpy.run_module('chatservice.client', run_name='__main__', alter_sys=True)"
)


class TestWhichFace:
    @pytest.mark.parametrize(
        ("environment", "program", "option", "shown"),
        [
            ("TERM=dumb", ["-m", "chatservice.client"], "--timestamps", "Welcome Alice, "),
            ("", ["-c", WITHOUT_IT], "--timestamps", "Welcome Alice, "),
            ("", ["-m", "chatservice.client"], "--json", '{"type": "welcome"'),
        ],
        ids=["dumb", "no prompt_toolkit", "json"],
    )
    def test_the_plain_one(
        self,
        server: Server,
        start: Callable[..., Tmux],
        environment: str,
        program: list[str],
        option: str,
        shown: str,
    ) -> None:
        arguments = ["--host", "127.0.0.1", "--port", str(server.port), "--name", "Alice", option]
        alice = start(command=f"{environment} {shlex.join([sys.executable, *program, *arguments])}")
        alice.shows(shown)
        assert "connected to 127.0.0.1" not in alice.screen()
        alice.presses("C-d")
        assert alice.ends() == 0

    @pytest.mark.parametrize(
        ("options", "term", "terminals", "wanted"),
        [
            ([], "xterm", {"stdin", "stdout"}, True),
            (["--plain"], "xterm", {"stdin", "stdout"}, False),
            (["--json"], "xterm", {"stdin", "stdout"}, False),
            ([], "dumb", {"stdin", "stdout"}, False),
            ([], "", {"stdin", "stdout"}, False),
            ([], "xterm", {"stdin"}, False),
            ([], "xterm", {"stdout"}, False),
        ],
    )
    def test_which(
        self,
        monkeypatch: pytest.MonkeyPatch,
        options: list[str],
        term: str,
        terminals: set[str],
        wanted: bool,
    ) -> None:
        monkeypatch.setenv("TERM", term)
        for name in ("stdin", "stdout"):
            stream = io.StringIO()
            stream.isatty = (name in terminals).__bool__  # type: ignore[method-assign]
            monkeypatch.setattr(sys, name, stream)
        assert wants_terminal(arguments(options)) is wanted


def said(text: str, name: str = "Bob") -> Said:
    return Said(1, AT, "lobby", name, text)


class TestLooks:
    def test_a_name_keeps_its_colour(self) -> None:
        assert colour("Alice") == colour("ALICE") == "#af5f5f"
        assert len({colour(f"user{number}") for number in range(200)}) == len(PALETTE)

    @pytest.mark.parametrize("colour", PALETTE)
    def test_colours_can_be_read_on_black_and_on_white(self, colour: str) -> None:
        """The contrast ratio of WCAG 2, and what it asks for in large text."""
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 3
        assert (luminance + 0.05) / 0.05 >= 3

    @pytest.mark.parametrize(
        ("me", "text", "is_meant"),
        [
            ("Alice", "hello alice!", True),
            ("Alice", "@Alice", True),
            ("Alice", "Alice's", True),
            ("Alice", "malice", False),
            ("Alice", "Alice2", False),
            ("Élise", "e\N{COMBINING ACUTE ACCENT}lise?", True),
            ("سارا", "سلام سارا،", True),
            ("a.b", "a.b", True),
            ("a.b", "axb", False),
        ],
    )
    def test_a_mention_is_your_name_as_a_word(self, me: str, text: str, is_meant: bool) -> None:
        assert mentions(said(text), me) is is_meant
        assert mentions(Emoted(1, AT, "lobby", "Bob", text), me) is is_meant
        assert not mentions(said(text, name=me), me)

    @pytest.mark.parametrize(
        ("event", "ringing"),
        [
            (said("hello"), {"on"}),
            (said("hello Alice"), {"on", "mentions"}),
            (Told(1, AT, "Bob", "Alice", "psst"), {"on", "mentions"}),
            (said("I am Alice", name="Alice"), set()),
            (Sent(1, AT, "Bob", "psst"), set()),
            (Joined(1, AT, "lobby", ("Bob",)), set()),
            (Removed("dev", "Bob"), {"on", "mentions"}),
        ],
    )
    def test_the_bell(self, event: Heard, ringing: set[str]) -> None:
        assert {bell for bell in ("on", "off", "mentions") if rings(event, "Alice", bell)} == (
            ringing
        )

    @pytest.mark.parametrize(
        ("event", "pieces"),
        [
            (said("hi"), [("", ""), (colour("Bob"), "Bob"), ("", ": hi")]),
            (
                said("hi Alice"),
                [("bold", ""), (f"{colour('Bob')} bold reverse", "Bob"), ("bold", ": hi Alice")],
            ),
            (Sent(1, AT, "y", "hi"), [("", "[you -> "), (colour("y"), "y"), ("", "] hi")]),
            (Told(1, AT, "y", "Al", "hi"), [("", "["), (colour("y"), "y"), ("", " -> you] hi")]),
            (Joined(1, AT, "lobby", ("Bob",)), [("dim", joined("Bob"))]),
            (
                Left(1, AT, "lobby", ("Eve",), LeaveReason.LEFT, (), "Bob", "spam"),
                [("", "*** Bob has removed Eve from the chat: spam")],
            ),
            (Removed("*", "Bob"), [("ansired", "*** Bob has removed you from the chat.")]),
            (Muted(1, AT, "lobby", "Eve", "Bob"), [("", "*** Bob has muted Eve.")]),
            (Muted(1, AT, "lobby", "Alice", "Bob"), [("bold", "*** Bob has muted Alice.")]),
            (Error("nobody", "no."), [("ansired", "Error: no.")]),
            ("Error: no.", [("", "Error: no.")]),  # words are never parsed
            (Missed(1, 0), [("", "*** 1 message while you were away:")]),
        ],
    )
    def test_pieces(self, event: Heard | str, pieces: list[tuple[str, str]]) -> None:
        assert look(event, WORDING, me="Alice") == [*pieces, ("", "\n")]

    def test_times_are_those_of_the_message(self) -> None:
        shown = datetime.fromtimestamp(AT).strftime("[%Y-%m-%d %H:%M:%S] ")
        assert look(said("hi"), WORDING, timestamps=True)[0] == ("dim", shown)
        assert look(Missed(1, 0), WORDING, timestamps=True) == look(Missed(1, 0), WORDING)


class TestStatusLine:
    def test_says_what_there_is_to_know(self) -> None:
        status = Status(HERE, State.LIVE, name="Alice", online=2, typing={"Bob"}, queued=2)
        assert status.line == (
            f"connected to {HERE} · 2 messages queued · 2 online · Alice · Bob is typing…"
        )
        assert Status(HERE, State.OFFLINE, again=2.1).line == "offline, retrying in 3 s"
        assert Status(HERE, State.CONNECTING, again=-1).line == f"connecting to {HERE}…"
        assert Status(HERE, State.LOGIN, asked=True).line == f"connected to {HERE}"
        assert Status(HERE, State.CATCHING_UP).line == "catching up…"

    def test_who_is_typing(self) -> None:
        assert typing_in_words(set()) == ""
        assert typing_in_words({"Carol", "Bob"}) == "Bob and Carol are typing…"
        assert typing_in_words({"Carol", "Bob", "Dave"}) == "several people are typing…"

    @pytest.mark.parametrize("text", ["short", "a text of 22 characters", "小明和小红在这里聊天吗"])
    def test_fits(self, text: str) -> None:
        for width in range(1, 30):
            shown = fit(text, width)
            assert get_cwidth(shown) <= width
            assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
            assert shown == text or get_cwidth(shown) >= width - 1


class TestCompletion:
    @pytest.mark.parametrize(
        ("line", "completed"),
        [
            ("bo", ["Bob: "]),
            ("B", ["Bella: ", "Bob: "]),
            ("hello bo", ["hello Bob "]),
            ("hello", []),
            ("/msg bo", ["/msg Bob "]),
            ("/ms", ["/msg "]),
            ("/WHO", ["/who ", "/whois "]),
            ("/switch ", ["/switch #dev ", "/switch #lobby "]),
            ("/in d", ["/in #dev "]),
            ("/in dev bo", ["/in dev Bob "]),
            ("/kick bo", ["/kick Bob "]),
            ("/ban server be", ["/ban server Bella "]),
            ("/mute سا", ["/mute سارا "]),
            ("see #l", ["see #lobby "]),
            ("سا", ["سارا: "]),
            ("", ["Bella: ", "Bob: ", "سارا: "]),
        ],
    )
    def test_names_and_commands(self, line: str, completed: list[str]) -> None:
        completer = LineCompleter(
            lambda: {"Bob", "Bella", "سارا"}, lambda: HELPED.commands, lambda: ("lobby", "dev")
        )
        found = completer.get_completions(Document(line), CompleteEvent())
        assert [line[: len(line) + each.start_position] + each.text for each in found] == completed
