"""A program on a terminal of tmux's, and a person before it."""

import shutil
import subprocess
import time
import uuid

import pytest

from tests.support.people import PATIENCE


class Tmux:
    """A shell's `command` in a window of its own. What is typed goes there as keys."""

    def __init__(self, command: str, width: int = 80, height: int = 24) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("no tmux here")
        self._socket = f"chat-{uuid.uuid4().hex}"
        self._run(
            *("new-session", "-d", "-x", str(width), "-y", str(height)),
            f"{command}; echo ended: $?; exec cat",
        )

    def types(self, text: str) -> None:
        self._run("send-keys", "-t", ":0", "-l", text)

    def presses(self, *keys: str) -> None:
        """Keys as tmux calls them: ``Enter``, ``C-c``, ``Left``."""
        self._run("send-keys", "-t", ":0", *keys)

    def pastes(self, text: str) -> None:
        self._run("set-buffer", text, ";", "paste-buffer", "-p", "-r", "-t", ":0")

    def resizes(self, width: int, height: int) -> None:
        self._run("resize-window", "-t", ":0", "-x", str(width), "-y", str(height))

    def looks_away(self) -> None:
        """To another window: a bell in the first one is remembered then."""
        self._run("new-window", "cat")

    def has_rung(self) -> bool:
        return self._run("display", "-p", "-t", ":0", "#{window_bell_flag}").strip() == "1"

    def screen(self, *options: str) -> str:
        """What is shown, lines without their trailing blanks. ``-e``: with escape sequences;
        ``-S -``: from the first line on that was ever shown."""
        return self._run("capture-pane", "-p", "-t", ":0", *options)

    def shows(self, text: str) -> None:
        """Wait until `text` is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while text not in (screen := self.screen()):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{screen}"
            time.sleep(0.02)

    def ends(self) -> int:
        """Wait for that. The command's exit status."""
        self.shows("ended: ")
        return int(self.screen().rpartition("ended: ")[2].split()[0])

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._socket, "-u", "-f", "/dev/null", *arguments],
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        ).stdout.decode()
