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
    "commands": {"events"},
    "render": {"events"},
    "log": {"events"},
    "cursor": {"events", "log"},
    "room": {"events", "log", "cursor"},
    "chat": {"events", "names", "log", "cursor", "room"},
    "session": {"events", "screen", "commands", "render", "cursor", "chat"},
    "sender": {"cursor"},
    "protocol": {"events", "telnet", "chat", "session", "sender"},
    "proxied": set(),
    "tls": set(),
    "tap": {"screen", "chat", "session", "protocol", "proxied", "tls"},
    "client": {"screen", "render", "events"},
}
CORE = (
    "events",
    "screen",
    "telnet",
    "names",
    "commands",
    "render",
    "log",
    "cursor",
    "room",
    "chat",
)


def modules() -> list[str]:
    return sorted(path.stem for path in PACKAGE.glob("*.py"))


def imported(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "chatservice":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            package, _, name = node.module.partition(".")
            if package == "chatservice":
                found.add(name)
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("chatservice.")
                for alias in node.names
                if alias.name.startswith("chatservice.")
            }
    return found


@pytest.mark.parametrize("module", modules())
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
