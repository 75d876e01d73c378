"""Makes docs/web-light.png, web-dark.png and web-mobile.png: ``python docs/screenshot_web.py``.

It takes Chromium and fonts (fonts-noto-core, fonts-noto-cjk, fonts-noto-color-emoji).
"""

import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the tests' ways to a browser and to the chat

from tests.support.chromium import Chromium, joined  # noqa: E402
from tests.support.people import Server  # noqa: E402
from tests.support.websockets import WEB, web_port  # noqa: E402

PEOPLE = ("Alice", "Bob", "سارا", "李明", "Zoë", "Дима", "Mahsa", "echobot")
SAID = (
    ("Alice", "Good morning! Is the release out?"),
    ("Bob", "The build is green; tagging it now."),
    ("Bob", "Notes: https://example.org/releases/2.0"),
    ("سارا", "سلام به همه، خسته نباشید"),
    ("李明", "大家好，文档已经更新了"),
    ("Дима", "Проверил на 3.13, всё хорошо"),
    ("Zoë", "Great work, everyone 👏"),
    ("Alice", "/me opens the window"),
    ("echobot", "42 tests passed"),
    ("Mahsa", "Nima, could you look at the last one?"),
)
PAGES: dict[str, dict[str, int | bool]] = {
    "web-light": {"width": 1100, "height": 720},
    "web-dark": {"width": 1100, "height": 720, "dark": True},
    "web-mobile": {"width": 390, "height": 760, "mobile": True},
}


def take(name: str, how: dict[str, int | bool]) -> None:
    """One of the pictures, with a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with Server(place, "--web", WEB) as server, Chromium(place) as browser:
            people = {person: server.connect() for person in PEOPLE}
            for person, connection in people.items():
                connection.types(person)
            time.sleep(0.5)
            page = joined(browser, f"http://127.0.0.1:{web_port(server)}/", "Nima", **how)
            for person, text in SAID:
                people[person].types(text)
                time.sleep(0.05)
            people["Bob"].types("/msg Nima lunch?")
            page.clicks("#line")
            page.types("On it")
            time.sleep(0.6)  # until everything has settled
            page.screenshot(DOCS / f"{name}.png")


def main() -> None:
    """The program."""
    for name, how in PAGES.items():
        take(name, how)


if __name__ == "__main__":
    main()
