"""The core imports no Twisted, and no import runs backwards."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "chatservice"

# What each module may import of ours. A module that is not here fails the test.
MAY_IMPORT = {
    "__init__": set(),
    "events": set(),
    "screen": set(),
    "telnet": set(),
    "names": {"events"},
    "requests": {"events"},
    "objects": {"events", "screen"},
    "commands": {"events", "requests"},
    "render": {"events"},
    "jsonlines": {"events", "requests", "objects", "render"},
    "schema": {"events", "requests", "objects", "render", "jsonlines"},
    "log": {"events"},
    "writers": {"events", "log"},
    "cursor": {"events", "log"},
    "room": {"events", "log", "cursor", "writers"},
    "archive": {"events", "log"},
    "chat": {"events", "names", "log", "screen", "cursor", "room", "archive"},
    "passwords": {"events"},
    "accounts": {"events", "names", "screen", "passwords"},
    "accounts.__main__": {"events", "names", "render", "accounts", "database", "passwords"},
    "entrance": {"events", "names", "requests", "limits", "accounts", "chat"},
    "letters": {"events", "names", "log", "accounts", "chat", "recollection"},
    "database": set(),
    "rows": {"events", "log"},
    "search": {"events", "rows"},
    "history": {"events", "log", "archive", "database", "rows", "search"},
    "export": {"events", "jsonlines", "render", "database", "rows"},
    "recollection": {"events", "log", "archive", "cursor", "chat"},
    "session": {
        *{"events", "screen", "requests", "commands", "render", "jsonlines", "cursor", "chat"},
        *{"archive", "recollection", "entrance", "letters"},
    },
    "sender": {"cursor", "sockets"},
    "sockets": set(),
    "limits": {"events"},
    "journal": set(),
    "protocol": {
        *{"events", "telnet", "render", "limits", "journal", "chat", "session", "sender"},
        *{"entrance", "letters"},
    },
    "proxied": set(),
    "tls": {"protocol"},
    "tap": {
        *{"screen", "limits", "log", "chat", "session", "protocol", "proxied", "tls"},
        *{"database", "history", "accounts", "entrance", "passwords"},
    },
    "console": set(),
    "desktop": set(),
    "desktop.theme": set(),
    "desktop.shaping": set(),
    "console.lines": set(),
    "console.plots": {"desktop.theme"},
    "console.people": {"chat", "console.lines", "desktop.shaping", "desktop.theme"},
    "console.logview": {"console.lines", "desktop.shaping", "desktop.theme"},
    "console.window": {
        *{"tap", "console.lines", "console.logview", "console.people", "console.plots"},
        *{"desktop.shaping", "desktop.theme"},
    },
    "console.__main__": {"tap", "console.lines", "desktop.theme", "console.window"},
    "client": {"client.chat_client", "client.errors"},
    "client.errors": {"events"},
    "client.trust": {"client.errors"},
    "client.outstanding": {"events", "requests", "screen", "client.errors"},
    "client.chat_client": {
        *{"events", "requests", "screen", "render", "jsonlines", "sockets"},
        *{"client.errors", "client.outstanding"},
    },
    "client.talk": {
        *{
            "events",
            "requests",
            "commands",
            "render",
            "screen",
            "client.chat_client",
            "client.errors",
        },
    },
    "client.plain": {
        *{"events", "screen", "render", "jsonlines", "objects"},
        *{"client.chat_client", "client.errors", "client.talk"},
    },
    "client.completion": {"commands"},
    "client.completer": {"client.completion", "client.status"},
    "client.notices": set(),
    "client.status": set(),
    "client.looks": {"events", "render", "client.chat_client", "client.talk"},
    "client.terminal": {
        *{
            "events",
            "commands",
            "screen",
            "render",
            "client.chat_client",
            "client.errors",
            "client.talk",
        },
        *{"client.completer", "client.notices", "client.status", "client.looks"},
    },
    "client.__main__": {
        *{"client.chat_client", "client.trust", "client.plain", "client.looks", "client.terminal"},
    },
    "gui": set(),
    "gui.memory": set(),
    "gui.lines": {"events", "client.chat_client", "client.looks"},
    "gui.theme": {"desktop.theme", "client.looks"},
    "gui.glyphs": {"desktop.shaping"},
    "gui.conversation": {"gui", "gui.glyphs", "gui.lines", "gui.theme"},
    "gui.people": {"client.looks", "gui.glyphs", "gui.theme"},
    "gui.writing": {"screen", "commands", "client.completion", "gui.glyphs"},
    "gui.finding": {"gui.conversation", "gui.theme"},
    "gui.connect": {"client.__main__", "gui.memory", "gui.theme"},
    "gui.window": {
        *{"events", "render", "screen"},
        *{"client.chat_client", "client.errors", "client.looks", "client.notices"},
        *{"client.status", "client.talk"},
        *{"gui.conversation", "gui.finding", "gui.glyphs", "gui.lines", "gui.people"},
        *{"gui.theme", "gui.writing"},
    },
    "gui.__main__": {
        *{"client.__main__", "client.errors", "client.talk"},
        *{"gui.connect", "gui.memory", "gui.theme", "gui.window"},
    },
}
CORE = (
    "events",
    "screen",
    "telnet",
    "names",
    "requests",
    "objects",
    "commands",
    "render",
    "jsonlines",
    "schema",
    "log",
    "writers",
    "cursor",
    "room",
    "archive",
    "chat",
    "database",
    "rows",
    "search",
)


def modules() -> dict[str, Path]:
    """Those of the package, and what each is called within it."""
    paths = {path.relative_to(PACKAGE): path for path in PACKAGE.rglob("*.py")}
    return {
        ".".join(name.with_suffix("").parts).removesuffix(".__init__"): path
        for name, path in sorted(paths.items())
    }


def imported(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "chatservice":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            package, _, name = node.module.partition(".")
            if package == "chatservice":
                inner = {f"{name}.{alias.name}" for alias in node.names} & MAY_IMPORT.keys()
                found |= inner or {name}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("chatservice.")
                for alias in node.names
                if alias.name.startswith("chatservice.")
            }
    return found


@pytest.mark.parametrize("module", list(modules()))
def test_no_import_runs_backwards(module: str) -> None:
    assert imported(module) <= MAY_IMPORT[module]


def test_the_arrows_make_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        ready = {m for m, needs in MAY_IMPORT.items() if needs <= done} - done
        assert ready, "a circle"
        done |= ready


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_no_twisted(module: str) -> None:
    program = f"import sys, chatservice.{module}; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("early", ["prompt_toolkit", "twisted.internet.reactor"])
def test_the_client_chooses_its_face_first(early: str) -> None:
    """The base install lacks the one, and the other is chosen by importing it."""
    program = f"import sys, chatservice.client.__main__; sys.exit({early!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("absent", ["tkinter", "prompt_toolkit", "twisted.internet.reactor"])
def test_a_window_takes_tkinter_when_it_opens(absent: str) -> None:
    """Before that, whoever has none is told so in one line."""
    program = f"import sys, chatservice.gui.__main__; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_window_takes_no_prompt_toolkit() -> None:
    program = "import sys, chatservice.gui.window; sys.exit('prompt_toolkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
