"""What goes wrong in serving one connection costs that connection alone."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import injected
from tests.faults.crowd import Crowd, Member
from tests.faults.injected import FAULTS, UNSPEAKABLE, address
from tests.support.people import Server, joined

RUNNER = (sys.executable, injected.__file__)
TCP_ALONE = ("SocketSender", "StraightWriter")
TLS_ALONE = ("TransportSender",)
JSON = ("Cursor.send_ephemeral",)
STALL = (
    "Cursor.stall",
    "Cursor.resume",
    "_sent",
    ".pause_reading",
    "Sender.pauseProducing",
    "Sender.resumeProducing",
)


def victims(tls: bool) -> list[str]:
    elsewhere = TCP_ALONE if tls else TLS_ALONE
    return [key for key in FAULTS if not key.startswith(elsewhere)]


def live(crowd: Crowd, key: str, name: str) -> Member | None:
    """Somebody does all that a connection can do, until it is lost."""
    server = crowd.server
    try:
        person = server.connect_bare(address(key))
    except OSError:
        return None
    try:
        if key.endswith(STALL):
            person.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        if server.tls:
            person.secures(server.certificate)
    except OSError:
        person.leaves()
        return None
    victim = crowd.add(name, person, is_late=True)
    crowd.run_for(0.02)
    if "login clock" in key:
        crowd.run_while(lambda: not victim.is_closed, 4)
        return victim
    crowd.type(name, f'{{"type": "hello", "name": "{name}"}}' if key in JSON else name)
    crowd.run_for(0.05)
    if key in JSON:
        crowd.type(name, '{"type": "typing", "on": true}')
        crowd.type("Program", '{"type": "typing", "on": true}')
        crowd.run_for(0.1)
    for stage in (talk, flood, stall):
        if not victim.is_closed:
            stage(crowd, victim, key)
    crowd.type(name, "x" * 9000 if "ong" in key.replace("Length", "long") else "/exit")
    return victim


def talk(crowd: Crowd, victim: Member, key: str) -> None:
    crowd.type(victim.name, "hello")
    crowd.say("Speaker", 2)
    crowd.hear_all("Speaker", [crowd["Bystander"]])


def flood(crowd: Crowd, victim: Member, key: str) -> None:
    if key.startswith(("ChatProtocol", "Connection")) and not key.endswith(STALL):
        crowd.type(victim.name, "\r\n".join(["x"] * 500))
        crowd.run_for(0.15)


def stall(crowd: Crowd, victim: Member, key: str) -> None:
    if key.endswith(STALL):
        crowd.ignore(victim)
        crowd.say("Speaker", 120, 8000)
        crowd.hear_all("Speaker", [crowd["Bystander"]])
        victim.to_say += b"/help\r\n" * 100
        victim.write()
        crowd.run_for(0.2)
        crowd.notice(victim)
        crowd.run_while(lambda: not victim.is_closed, 1)


def is_lost(crowd: Crowd, victim: Member) -> bool:
    crowd.run_while(lambda: not victim.is_closed, 6)
    return victim.is_closed


def who(crowd: Crowd) -> str:
    """Who is here, as the bystander is told."""
    notices = crowd["Bystander"].notices
    notices.clear()
    crowd.type("Bystander", "/who")
    crowd.run(lambda: any("*** Online" in line for line in notices))
    return next(line for line in notices if "*** Online" in line)


# Python's ssl leaves a socket open that is reset while it is being wrapped.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_in_every_callback_in_turn(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """One connection is lost each time; others hear all that is said; the cause is in the log
    once; and the names are right afterwards."""
    options = ("--login-timeout", "2", "--rate", "400:450")
    wrong: list[str] = []
    keys = victims(tls)
    with Server(tmp_path, *options, tls=tls, runner=RUNNER) as server:
        with Crowd(server) as crowd:
            crowd.join(["Bystander", "Speaker"])
            program = crowd.add("Program", server.connect(), is_late=True)
            crowd.type("Program", '{"type": "hello", "name": "Program"}')
            crowd.settle()
            for number, key in enumerate(keys):
                name = f"v{number}"
                victim = live(crowd, key, name)
                if victim is not None and not is_lost(crowd, victim):
                    wrong.append(f"{key}: not lost")
                if victim is not None:
                    crowd.cut([victim])
                crowd.run_for(0.15)
                if (online := who(crowd)) != "*** Online (3): Bystander, Program, Speaker":
                    wrong.append(f"{key}: {online}")
                times = server.log.count(f"RuntimeError: injected into {key}.\n")
                if times != 1:
                    wrong.append(f"{key}: in the log {times} times")
            crowd.say("Speaker", 10)
            crowd.hear_all("Speaker", [crowd["Bystander"]])
            assert not program.is_closed
            assert not crowd["Bystander"].missed
        figure(f"{len(keys)} faults, one connection lost each time")
        server.log_file.rename(tmp_path / "with-tracebacks.log")
        server.log_file.touch()  # the tracebacks are wanted here
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("tls", [False], ids=["tcp"])
def test_what_cannot_be_rendered(tmp_path: Path, tls: bool, figure: Callable[[str], None]) -> None:
    """An event that a dialect has no words for is left out, in that dialect alone."""
    with Server(tmp_path, tls=tls, runner=RUNNER) as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.hears(joined("Bob"))
        for text in ("before", f"an {UNSPEAKABLE} thing", "/who"):
            alice.types(text)
            time.sleep(0.2)  # each is an event of its own
        alice.hears("*** Online (2): Alice, Bob")
        alice.types("after")
        bob.hears("Alice: before", "Alice: after")
        assert server.log.count("RuntimeError: injected into Text.render.\n") == 1
        figure("nobody was lost")
        server.log_file.rename(tmp_path / "with-tracebacks.log")
        server.log_file.touch()
