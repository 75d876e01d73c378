"""The worked examples under docs/ do what they say."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.people import PATIENCE, Server, joined, left

DOCS = Path(__file__).parents[2] / "docs"


@contextmanager
def example(name: str, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(
        [sys.executable, DOCS / name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_echo_bot(server: Server) -> None:
    alice = server.join("Alice")
    with example("echo_bot.py", "127.0.0.1", str(server.port)) as bot:
        alice.hears(joined("Echo"))
        alice.types("hello")
        alice.hears("Echo: Alice says: hello")
        alice.types("/me waves", "سلام")
        alice.hears("* Alice waves", "Echo: Alice says: سلام")
        alice.types("/msg Echo leave")
        alice.hears("[you -> Echo] leave", left("Echo"))
        assert bot.wait(PATIENCE) == 0


def test_two_echo_bots_do_not_answer_each_other(server: Server) -> None:
    alice = server.join("Alice")
    where = ("127.0.0.1", str(server.port))
    with example("echo_bot.py", *where), example("echo_bot.py", *where, "Parrot"):
        assert {alice.next_line() for _ in range(2)} == {joined("Echo"), joined("Parrot")}
        alice.types("ok")
        echoes = {f"{name}: Alice says: ok" for name in ("Echo", "Parrot")}
        assert {alice.next_line() for _ in range(2)} == echoes
        time.sleep(0.5)  # in which they would say a hundred things
        alice.types("/who")
        assert alice.next_line().startswith("*** Online (3): ")


def test_an_echo_bot_does_not_talk_for_ever_to_another_bot(server: Server) -> None:
    other = server.join("Other")
    with example("echo_bot.py", "127.0.0.1", str(server.port)):
        other.hears(joined("Echo"))
        for number in range(10):
            other.types(f"answer {number}")
            other.hears(f"Echo: Other says: answer {number}")
        other.types("one more", "/who")
        other.hears("*** Online (2): Echo, Other")


def test_an_echo_bot_says_what_is_wrong(server: Server) -> None:
    server.join("Echo")
    with example("echo_bot.py", "127.0.0.1", str(server.port)) as bot:
        assert bot.wait(PATIENCE) == 1
        assert bot.stderr is not None
        assert bot.stderr.read() == b"Echo is taken.\n"


def test_the_tail(server: Server) -> None:
    alice = server.join("Alice")
    alice.types("before")
    alice.types("/who")
    alice.hears("*** Online (1): Alice")
    with example("tail.py", "tail", "127.0.0.1", str(server.port)) as tail:
        alice.hears(joined("tail"))
        alice.types("你好", "/me waves")
        assert tail.stdout is not None
        printed = [json.loads(tail.stdout.readline()) for _ in range(3)]
        assert [line["text"] for line in printed] == ["before", "你好", "waves"]
        assert [line["id"] for line in printed] == sorted(line["id"] for line in printed)
        tail.send_signal(signal.SIGTERM)


def test_the_tail_says_what_is_wrong(server: Server) -> None:
    server.join("tail")
    with example("tail.py", "tail", "127.0.0.1", str(server.port)) as tail:
        assert tail.wait(PATIENCE) == 1
        assert tail.stderr is not None
        assert tail.stderr.read() == b"tail is taken.\n"
