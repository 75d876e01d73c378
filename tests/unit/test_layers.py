"""Packages import in one direction only, and the core imports no Twisted."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "chatservice"

# The arrows: what each package, or module beside them, may import of ours.
MAY_IMPORT = {
    "core": set(),
    "tcp": set(),
    "monotonic": set(),
    "complaints": {"core"},
    "desktop": set(),
    "dialects": {"core"},
    "storage": {"core", "complaints"},
    "accounts": {"core"},
    "session": {"core", "complaints", "dialects", "accounts"},
    "server": {"core", "complaints", "dialects", "accounts", "session", "tcp"},
    "client": {"core", "dialects", "tcp"},
    "gui": {"core", "dialects", "client", "desktop"},
    "config": set(),
    "control": {"core", "dialects", "process", "server", "session"},
    "operate": {"client", "control", "core", "dialects", "programs"},
    "process": {"core"},
    "options": {"core", "accounts", "session", "server", "storage", "config", "control"},
    "reload": {"options", "process", "server", "storage"},
    "service": {"core", "accounts", "control", "server", "storage", "process"},
    "tap": {
        *("core", "accounts", "control", "server", "storage"),
        *("monotonic", "options", "process", "reload", "service"),
    },
    "console": {
        *("control", "core", "desktop", "dialects"),
        *("options", "process", "service", "tap"),
    },
    "programs": set(),
    "hooks": {"core", "dialects", "programs", "storage"},
    "export": {"core", "dialects", "programs", "storage"},
    "backup": {"programs", "storage"},
    "migrate": {"programs", "storage"},
}
# Programs that stand in a package, since that is how they are started.
PROGRAMS = {"accounts.__main__": {"core", "dialects", "accounts", "programs", "storage"}}
# What needs no reactor: facts, words and SQL.
WITHOUT_TWISTED = (
    "core",
    "dialects",
    "storage.sqlite.database",
    "storage.rows",
    "storage.sqlite.rows",
)


@cache
def modules() -> dict[str, Path]:
    """Every module of ours, by its name within the package."""
    paths = {path.relative_to(PACKAGE): path for path in PACKAGE.rglob("*.py")}
    return {
        ".".join(name.with_suffix("").parts).removesuffix(".__init__"): path
        for name, path in sorted(paths.items())
        if name.name != "__init__.py" or name.parent != Path()
    }


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


@cache
def imported(module: str) -> frozenset[str]:
    """The packages, and modules beside them, that `module` imports."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "chatservice":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chatservice."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("chatservice.")
            }
    return frozenset(found)


@pytest.mark.parametrize("module", list(modules()))
def test_no_import_runs_backwards(module: str) -> None:
    package = module.split(".", maxsplit=1)[0]
    allowed = PROGRAMS.get(module, MAY_IMPORT[package])
    assert imported(module) - {package} <= allowed


def test_only_storage_knows_a_database() -> None:
    for module in modules():
        names = {
            name.name
            for node in ast.walk(tree(module))
            if isinstance(node, ast.Import)
            for name in node.names
        }
        assert "sqlite3" not in names or module.startswith("storage."), module


def test_no_arrow_is_unused() -> None:
    used: dict[str, set[str]] = {package: set() for package in MAY_IMPORT}
    for module in modules():
        if module not in PROGRAMS:
            package = module.split(".")[0]
            used[package] |= imported(module) - {package}
    assert used == MAY_IMPORT


def test_the_arrows_make_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        ready = {m for m, needs in MAY_IMPORT.items() if needs <= done} - done
        assert ready, "a circle"
        done |= ready


def without_twisted() -> list[str]:
    return [
        module
        for module in modules()
        if any(module == name or module.startswith(name + ".") for name in WITHOUT_TWISTED)
    ]


@pytest.mark.parametrize("module", without_twisted())
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
