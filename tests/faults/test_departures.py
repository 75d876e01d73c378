"""Those who go without a word, alone or by the thousand."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import LONG
from tests.faults.crowd import Crowd, moved, needs
from tests.support.people import Server

PING = 8
NETWORK = "chat-faults"  # a namespace, joined to ours by a pair of interfaces
OURS, THEIRS = "10.213.99.1", "10.213.99.2"


def ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def other_host() -> Iterator[None]:
    """Another host, which `inside` is at and which `ip` can take off the net."""
    needs(os.geteuid() == 0, "root, for a network namespace")
    ip("netns", "del", NETWORK)
    made = (
        ip("netns", "add", NETWORK)
        and ip("link", "add", "chat-f0", "type", "veth", "peer", "name", "chat-f1")
        and ip("link", "set", "chat-f1", "netns", NETWORK)
        and ip("addr", "add", f"{OURS}/30", "dev", "chat-f0")
        and ip("link", "set", "chat-f0", "up")
        and ip("-n", NETWORK, "addr", "add", f"{THEIRS}/30", "dev", "chat-f1")
        and ip("-n", NETWORK, "link", "set", "chat-f1", "up")
    )
    try:
        needs(made, "network namespaces and veth (CAP_NET_ADMIN, CAP_SYS_ADMIN)")
        yield
    finally:
        ip("link", "del", "chat-f0")
        ip("netns", "del", NETWORK)


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """Sockets that are made in here belong to the other host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as ours, open(f"/run/netns/{NETWORK}") as theirs:
        assert libc.setns(theirs.fileno(), 0) == 0
        try:
            yield
        finally:
            assert libc.setns(ours.fileno(), 0) == 0


@pytest.mark.usefixtures("other_host")
def test_hosts_that_disappear(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Of four at once: one in a room where nothing is said, one that is talked to; each over TCP
    and over TLS. Their names are free again."""
    with contextlib.ExitStack() as stack:
        rooms: dict[str, Crowd] = {}
        for tls in (False, True):
            for talked_to in (False, True):
                name = f"{'tls' if tls else 'tcp'}, {'talked to' if talked_to else 'silent'}"
                folder = tmp_path / name.replace(", ", "-")
                folder.mkdir()
                server = stack.enter_context(
                    Server(folder, "--ping", str(PING), tls=tls, host=OURS)
                )
                with inside():
                    server.join("Ghost")
                rooms[name] = crowd = stack.enter_context(Crowd(server))
                crowd.join(["Bystander", "Speaker"])
        gone_from = time.monotonic()
        assert ip("-n", NETWORK, "link", "set", "chat-f1", "down")
        seconds: dict[str, float] = {}
        while len(seconds) < len(rooms) and time.monotonic() - gone_from < PING * 3:
            for name, crowd in rooms.items():
                if "talked to" in name:
                    crowd.say("Speaker", 1)
                crowd.run_for(0.02)
                notices = crowd["Bystander"].notices
                if name not in seconds and notices:
                    seconds[name] = time.monotonic() - gone_from
                    assert notices == ["*** Ghost has left the chat (connection lost)."]
                    crowd.server.join("Ghost")
        figure(
            f"--ping {PING}: announced after "
            + ", ".join(f"{after:.1f} s ({name})" for name, after in seconds.items())
        )
        assert len(seconds) == len(rooms)
        assert max(seconds.values()) < PING + 4  # the kernel's own timers are coarse
        for crowd in rooms.values():
            crowd.hear_all("Speaker", [crowd["Bystander"]])


def test_half_of_a_crowd_is_cut_at_once_and_comes_back(
    server: Server, figure: Callable[[str], None], tls: bool
) -> None:
    """The others are told in a few lines, and hear everything."""
    total = 4000 if LONG or not tls else 1000
    with Crowd(server) as crowd:
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        names = [f"u{number}" for number in range(total)]
        start = time.monotonic()
        rest = crowd.join(names[: total // 2])
        half = crowd.join(names[total // 2 :])
        joined = time.monotonic() - start
        crowd.say("Speaker", 50)
        crowd.run_for(0.1)
        crowd.say("Speaker", 50)
        start = time.monotonic()
        crowd.cut(half)
        cut = time.monotonic() - start
        crowd.say("Speaker", 100)
        crowd.hear_all("Speaker", [bystander, *rest])
        crowd.run(lambda: moved(bystander.notices)["left"] == len(half), 30)
        crowd.settle()
        told = [len(member.notices) for member in (bystander, *rest)]
        assert all(moved(member.notices)["left"] == len(half) for member in rest)
        figure(
            f"{total} joined in {joined:.1f} s; {len(half)} were cut in {cut:.2f} s: "
            f"{max(told)} lines told to each of the rest"
        )
        assert max(told) < len(half) // 20  # 12, if the machine is quiet
        for member in crowd.members.values():
            member.notices.clear()
        start = time.monotonic()
        again = [crowd.add(member.name, server.connect(), is_late=True) for member in half]
        for member in again:
            crowd.type(member.name, member.name)
        crowd.say("Speaker", 100)
        crowd.run(lambda: all(member.is_in for member in again), 60)
        back = time.monotonic() - start
        crowd.hear_all("Speaker", [bystander, *rest])
        crowd.settle()
        assert moved(bystander.notices)["joined"] == len(half)
        figure(f"{len(half)} were in again after {back:.2f} s")
        assert not any(member.missed for member in (bystander, *rest))
