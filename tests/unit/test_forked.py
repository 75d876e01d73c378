"""Programs that tests fork are what they would be if Python had started them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked

SCRIPT = """
import gc, json, os, signal, sys, threading, time
print(json.dumps([
    __name__, sys.argv, sys.path[0], os.getcwd(), time.tzname,
    {key: value for key, value in os.environ.items() if key not in ("LINES", "COLUMNS")},
    [int(signal.getsignal(number) or 0) if number != signal.SIGINT else
     signal.getsignal(number) is signal.default_int_handler for number in (2, 13, 15, 17)],
    [os.path.exists(f"/proc/self/fd/{number}") for number in range(3, 20)],
    sys.stdout.encoding, sys.stdout.line_buffering, sys.stderr.line_buffering,
    [thread.name for thread in threading.enumerate()], sys.stdin.read(),
]), flush=True)
"""
ENDS = (
    ("", 0),
    ("sys.exit(3)", 3),
    ("sys.exit('a word')", 1),
    ("1 / 0", 1),
    ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ("threading.Timer(0.1, print, ('at last',)).start()", 0),
)


def ended(
    command: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> tuple[int, Any, str]:
    """How it ends, and what it says first and last."""
    monkeypatch.setattr(forked.Forked, "allowed", not own)
    with (folder / "output").open("wb+") as output:
        process = forked.start(command, folder=folder, output=output)
        assert isinstance(process, subprocess.Popen) == own
        status = process.wait(10)
        output.seek(0)
        said = output.read().decode().splitlines()
        return status, json.loads(said[0]), said[-1]  # a traceback also has the lines that run it


@pytest.mark.parametrize(("end", "status"), ENDS)
def test_a_script_finds_and_ends_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, status: int
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tehran")
    os.putenv("KNOWN_TO_C", "1")  # Python's own environment does not have it (Tk so sets DISPLAY)
    script = tmp_path / "script.py"
    script.write_text(f"{SCRIPT}{end}\n")
    command = [sys.executable, str(script), "one", "--two=3"]
    by_itself = ended(command, tmp_path, monkeypatch, own=True)
    os.unsetenv("KNOWN_TO_C")
    assert ended(command, tmp_path, monkeypatch, own=False) == by_itself
    assert by_itself[0] == status
    assert by_itself[1][0] == "__main__"


def test_signals_reach_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    with (tmp_path / "output").open("wb") as output:
        process = forked.start([sys.executable, script], folder=tmp_path, output=output)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    process.kill()
    assert process.wait(10) == process.poll() == -signal.SIGKILL
    process.terminate()  # nobody is hit


def test_it_reads_what_is_typed_and_what_it_says_is_kept_apart(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\ntyped = sys.stdin.read()\n"
        "print(len(typed), file=sys.stderr)\nsys.exit(typed[0])"
    )
    typed = "سلام" * 100_000
    done = forked.run_text([sys.executable, str(script)], folder=tmp_path, typed=typed)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "400000\nس\n"
