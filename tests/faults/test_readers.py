"""Readers that do not read."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import LONG
from tests.faults.crowd import Crowd, needs, rss, send_buffers
from tests.support.people import PATIENCE, Server

SIZE = 8000
TOTAL = 200_000_000 if LONG else 10_000_000


@pytest.mark.parametrize(("sleepers", "most_kib"), [(1, 20_000), (20, 40_000)])
def test_readers_that_never_read(
    server: Server, figure: Callable[[str], None], sleepers: int, most_kib: int
) -> None:
    """Every one of 99 bystanders hears all that is said, and the server does not grow."""
    with Crowd(server) as crowd:
        sleeping = crowd.join(f"Sleeper{number}" for number in range(sleepers))
        bystanders = crowd.join(f"u{number}" for number in range(99))
        crowd.join(["Speaker"])
        for sleeper in sleeping:
            crowd.ignore(sleeper)
        before, most, kernel = rss(server), 0, 0
        for _ in range(20):
            crowd.say("Speaker", TOTAL // SIZE // 20, SIZE)
            crowd.hear_all("Speaker", bystanders, 120)
            most = max(most, rss(server) - before)
            kernel = max(kernel, send_buffers(server))
        figure(
            f"{TOTAL / 1e6:.0f} MB said: RSS +{most / 1024:.1f} MB, kernel {kernel / 1e6:.1f} MB"
        )
        assert most < most_kib
        assert kernel < 10_000_000
        assert not any(member.missed for member in bystanders)


def test_a_reader_that_is_stopped_and_continued(
    server: Server, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """A real program, in the hands of SIGSTOP for five seconds."""
    command = ["nc", server.host, str(server.port)]
    if server.tls:
        command = ["openssl", "s_client", "-quiet", "-verify_quiet"]
        command += ["-connect", f"{server.host}:{server.port}"]
    needs(shutil.which(command[0]) is not None, command[0])
    heard = tmp_path / "heard"
    with heard.open("wb") as output, Crowd(server) as crowd:
        reader = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL
        )
        try:
            assert reader.stdin is not None
            reader.stdin.write(b"Reader\n")
            reader.stdin.flush()
            server.wait_for_log("Reader has joined")
            [bystander] = crowd.join(["Bystander"])
            crowd.join(["Speaker"])
            crowd.say("Speaker", 100)
            crowd.hear_all("Speaker", [bystander])
            os.kill(reader.pid, signal.SIGSTOP)
            stopped = time.monotonic()
            crowd.say("Speaker", 4000, SIZE)
            crowd.hear_all("Speaker", [bystander])
            crowd.run_for(5 - (time.monotonic() - stopped))
            os.kill(reader.pid, signal.SIGCONT)
            total = 5000
            crowd.say("Speaker", total - 4100)
            crowd.hear_all("Speaker", [bystander])
            last = f"Speaker: {total - 1} ".encode()
            deadline = time.monotonic() + PATIENCE
            while last not in heard.read_bytes() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            reader.kill()
            reader.communicate()
    expected = missed = 0
    for line in heard.read_text().splitlines():
        if numbered := re.match(r"Speaker: (\d+) ", line):
            assert int(numbered[1]) == expected
            expected += 1
        elif told := re.match(r"\*\*\* You missed (\d+) message", line):
            missed += int(told[1])
            expected += int(told[1])
    assert expected == total
    figure(f"heard {total - missed} lines, was told of {missed} missed, of {total}")
