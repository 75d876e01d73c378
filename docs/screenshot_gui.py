"""Makes docs/gui-light.png and docs/gui-dark.png: ``python docs/screenshot_gui.py``.

It takes Xvfb and xdotool, fonts (fonts-dejavu, fonts-noto-cjk, fonts-noto-color-emoji), and some
ten seconds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the tests' ways to a display and to the chat

from tests.support.people import Person, Server  # noqa: E402
from tests.support.programs import Program, join  # noqa: E402
from tests.support.xdisplay import Display  # noqa: E402

SIZE = (960, 640)
PEOPLE = ("Alice", "نیما", "小明", "Lena", "Ελένη", "Tom")
BEFORE = (
    ("Alice", "Morning! The release notes are at https://example.org/notes/1.4 (draft)"),
    ("Ελένη", "Το δοκίμασα στην 3.13, όλα καλά"),
    ("小明", "大家好，文档已经更新了"),
)
ELSEWHERE = (
    ("Tom", "lobby", "Who is coming to lunch?"),
    ("小明", "lobby", "我！"),
    ("Ελένη", "docs", "Max: the page about rooms is ready"),
)
SAID = (
    ("نیما", "سلام به همه، خسته نباشید"),
    ("Lena", "Great work, everyone 👏 🎉"),
    ("Alice", "Max: can you tag it when the build is green?"),
)
AFTER = (
    ("نیما", "نیمه‌کاره نیست، تمام شد"),
    (
        "Alice",
        "Thanks! I shall tell the others; the long list of changes goes out with the "
        "announcement at noon, as it did the last time, and nobody has to do anything before that.",
    ),
)


def main() -> None:
    """The program."""
    for theme in ("light", "dark"):
        with (
            tempfile.TemporaryDirectory() as folder,
            Display(Path(folder), *SIZE) as display,
            Server(Path(folder)) as server,
        ):
            people = {name: enter(server, name) for name in PEOPLE}
            for name in PEOPLE:
                people[name].types("/join docs", "/join dev")
                time.sleep(0.1)
            people["Alice"].types("/topic Version 1.4 goes out on Friday")
            eve = join(server, "Eve")
            window = subprocess.Popen(  # noqa: S603 (our own)
                [
                    *(sys.executable, "-m", "chatservice.gui", "--theme", theme, "--connect"),
                    *("--host", server.host, "--port", str(server.port), "--name", "Max"),
                ],
                env={**display.environment, "XDG_DATA_HOME": folder},
            )
            try:
                show(server, people, eve, display)
                display.screenshot(DOCS / f"gui-{theme}.png")
            finally:
                window.terminate()
                window.wait(20)


def show(server: Server, people: dict[str, Person], eve: Program, display: Display) -> None:
    """A lively chat."""
    display.wait_for_window("Max at")
    time.sleep(0.5)
    for room in ("docs", "dev"):
        display.type(f"/join {room}")
        display.key("Return")
        time.sleep(0.3)
    say(people, BEFORE)
    people["Tom"].types("/part")
    time.sleep(0.3)
    people["Anna"] = enter(server, "Anna")
    people["Anna"].types("/join dev")
    time.sleep(0.3)
    say(people, SAID)
    display.type("Tagging it now.")
    display.key("Return")
    time.sleep(0.3)
    people["Lena"].types("/me dances")
    say(people, AFTER)
    for name, room, text in ELSEWHERE:
        people[name].types(f"/in {room} {text}")
    people["Lena"].types("/msg Max lunch?")
    time.sleep(0.3)
    eve.asks("join", room="dev")
    time.sleep(0.3)
    eve.asks("typing", on=True, room="dev")
    display.type("Lunch at noon, th")
    time.sleep(0.5)


def say(people: dict[str, Person], said: tuple[tuple[str, str], ...]) -> None:
    """One after the other."""
    for name, text in said:
        people[name].types(text)
        time.sleep(0.1)


def enter(server: Server, name: str) -> Person:
    """Somebody who does not mind what others say."""
    person = server.connect()
    person.types(name)
    time.sleep(0.05)
    return person


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    main()
