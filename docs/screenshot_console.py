"""Makes docs/console-light.png and docs/console-dark.png: ``python docs/screenshot_console.py``.

It takes Xvfb and xdotool, fonts (fonts-dejavu, fonts-noto-cjk, fonts-noto-color-emoji), and some
two minutes: the plots are to show something.
"""

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the tests' ways to a display and to the chat

from tests.support.people import Person, Server  # noqa: E402
from tests.support.xdisplay import Display  # noqa: E402

SIZE = (1120, 720)
PEOPLE = ("Alice", "Bob", "سارا", "李明", "Zoë", "Дима", "Mahsa", "echobot", "ci", "نیما", "Ελένη")
SAID = (
    ("Alice", "Is the release out?"),
    ("Bob", "The build is green; tagging it now."),
    ("سارا", "سلام به همه، خسته نباشید"),
    ("李明", "大家好，文档已经更新了"),
    ("Zoë", "Great work, everyone 👏"),
    ("Дима", "Проверил на 3.13, всё хорошо"),
    ("echobot", "42 tests passed"),
    ("نیما", "نیمه‌کاره نیست، تمام شد"),
    ("Ελένη", "Τέλεια!"),
)
SECONDS = 50


def main() -> None:
    """The program."""
    for theme in ("light", "dark"):
        with (
            tempfile.TemporaryDirectory() as folder,
            Display(Path(folder), *SIZE) as display,
            (Path(folder) / "log").open("wb") as log,
        ):
            console = subprocess.Popen(  # noqa: S603 (our own)
                [
                    *(sys.executable, "-m", "chatservice.console", "--theme", theme),
                    *("--port", "tcp:0:interface=127.0.0.1", "--log-messages", "--rate", "0"),
                ],
                env=display.environment,
                stdout=log,
            )
            try:
                server = Server.__new__(Server)
                server.host, server.tls, server._people = "127.0.0.1", False, []
                server.log_file, server.process = Path(folder) / "log", console
                server.port = int(server.wait_for_log(r"Listening on 127.0.0.1:(\d+)")[1])
                show(server, display)
                display.screenshot(DOCS / f"console-{theme}.png")
            finally:
                console.terminate()
                console.wait(20)


def show(server: Server, display: Display) -> None:
    """A lively chat."""
    display.wait_for_window("Chat server")
    people: dict[str, Person] = {}
    began = time.monotonic()
    turn = 0
    while (passed := time.monotonic() - began) < SECONDS:
        if passed > len(people) * 1.5 and len(people) < len(PEOPLE):
            name = PEOPLE[len(people)]
            people[name] = enter(server, name)
        busy = 4 + 3.5 * math.sin(passed / 4)  # messages a second
        name, text = SAID[turn % len(SAID)]
        if name in people:
            people[name].types(text)
        turn += 1
        time.sleep(1 / max(busy, 0.5) / 1.5)
    server.connect()  # somebody who has not said yet who they are
    people["ci"].types("/exit")
    people["Carol"] = enter(server, "Carol")
    time.sleep(1)
    display.key("alt+o", "Down", "Down", "alt+k")
    display.type("please slow down")
    display.key("alt+a")
    display.type("The server restarts at noon: save your work.")
    display.key("Return")
    for name, text in SAID:
        people[name].types(text)
        time.sleep(0.3)


def enter(server: Server, name: str) -> Person:
    """Somebody who does not mind what others say."""
    person = server.connect()
    person.types(name)
    return person


if __name__ == "__main__":
    main()
