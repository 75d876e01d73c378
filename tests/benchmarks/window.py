"""How long a burst holds the window up: ``python -m tests.benchmarks.window``.

A real server, ``python -m chatservice.gui`` on Xvfb, and somebody who says 5,000 lines within a
second; then 20,000, as fast as the server takes them. Printed for each: how long the window's loop
was held at most, between two events that were due every 5 ms; and how long until all was shown.
No test asserts speed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tkinter as tk
from pathlib import Path
from typing import Any

from tests.support.people import Person, Server
from tests.support.xdisplay import Display

TICK_MS = 5


def main() -> None:
    """The program: either who measures, or the window that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.window is not None:
        show(options.window)
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        Display(Path(folder)) as display,
        Server(Path(folder)) as server,
    ):
        window = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.benchmarks.window", "--window"),
                *("--connect", "--host", server.host, "--port", str(server.port)),
                *("--name", "Reader"),
            ],
            env={**display.environment, "XDG_DATA_HOME": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        display.wait_for_window("Reader at")
        time.sleep(1)
        try:
            speaker = server.join("Speaker")
            time.sleep(2)
            first = 0
            for count, seconds in ((5000, 1.0), (5000, 0.0), (20_000, 0.0)):
                measure(window, speaker, first, count, seconds)
                first += count
        finally:
            window.terminate()
            window.wait()


def measure(window: Any, speaker: Person, begin: int, count: int, seconds: float) -> None:
    """Of so many lines, numbered from `begin`, said within so many seconds (0: at once)."""
    window.stdin.write("begin\n")
    window.stdin.flush()
    began = time.monotonic()
    step = max(count // 50, 1)
    for first in range(0, count, step):
        said = "".join(
            f"{number}: see https://example.org/{number}, or ask someone else, سلام 你好\r\n"
            for number in range(begin + first, begin + first + step)
        )
        speaker.sends(said.encode())
        if (ahead := began + seconds * (first + step) / count - time.monotonic()) > 0:
            time.sleep(ahead)
    pace = f"{count} lines in {time.monotonic() - began:.2f} s"
    window.stdin.write(f"end {begin + count - 1}\n")
    window.stdin.flush()
    print(f"{pace}: {window.stdout.readline().strip()}", flush=True)


def show(options: list[str]) -> None:
    """The window, with a look at the clock in its loop."""
    import chatservice.gui.__main__ as gui  # noqa: PLC0415

    began = last = time.monotonic()
    most = 0.0
    made: list[tk.Tk] = []

    class Root(tk.Tk):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if not made:
                made.append(self)
                self.after(1000, tick)
                self.createfilehandler(sys.stdin, tk.READABLE, told)

    def tick() -> None:
        nonlocal last, most
        now = time.monotonic()
        most = max(most, now - last - TICK_MS / 1000)
        last = now
        made[0].after(TICK_MS, tick)

    def told(*_: Any) -> None:
        nonlocal began, most
        for line in os.read(sys.stdin.fileno(), 1000).decode().splitlines():
            if line == "begin":
                began, most = time.monotonic(), 0.0
            else:
                settle(int(line.split()[1]), time.monotonic())

    def settle(number: int, asked: float) -> None:
        """When the line of that number is shown."""
        conversation = find(made[0])
        last_line = conversation.text.get("end - 1 lines", "end")
        if f" {number}: " not in last_line and time.monotonic() - asked < 60:
            made[0].after(TICK_MS, settle, number, asked)
            return
        seconds = time.monotonic() - began
        kept = int(conversation.text.index("end - 1 chars").split(".")[0])
        print(
            f"held for {most * 1000:.0f} ms at most; shown after {seconds:.2f} s, {kept} kept",
            flush=True,
        )

    tk.Tk = Root  # type: ignore[misc]
    gui.main(options)


def find(widget: Any) -> Any:
    """The first conversation in it."""
    from chatservice.gui.conversation import Conversation  # noqa: PLC0415

    if isinstance(widget, Conversation):
        return widget
    return next((found for each in widget.winfo_children() if (found := find(each))), None)


if __name__ == "__main__":
    main()
