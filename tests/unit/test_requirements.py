"""What is locked fits pyproject.toml, and whoever lacks an extra is pointed to the right place."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"docs", "release", "test"}
LOCKS = {"server": {"accounts", "tls"}, "development": FOR_DEVELOPERS}


def required(extras: set[str]) -> list[Requirement]:
    """The direct requirements of a distribution with these extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    requirements = [Requirement(line) for line in lines]
    ours = [each for each in requirements if each.name == PROJECT["name"]]
    nested = set[str]().union(*(each.extras for each in ours))
    others = [each for each in requirements if each not in ours]
    return others + (required(nested) if nested else [])


def locked(lock: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    pins = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


@pytest.mark.parametrize("lock", LOCKS)
class TestLock:
    def test_fits_pyproject(self, lock: str) -> None:
        pins = locked(lock)
        for requirement in required(LOCKS[lock]):
            version = pins.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not in {lock}.txt: make lock"
            assert version in requirement.specifier, f"{requirement}, not {version}: make lock"

    def test_has_hashes_and_names_no_place(self, lock: str) -> None:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        entries = re.findall(
            r"^\S+==.*(?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+$", text, re.MULTILINE
        )
        assert len(entries) == len(locked(lock)) > 10
        assert not re.search(r"://|file:|^-|/opt|find-links|index-url", text, re.MULTILINE)


def test_a_server_has_what_the_tests_ran_with() -> None:
    development = locked("development")
    assert {name: development[name] for name in locked("server")} == locked("server")


def test_no_message_names_a_distribution() -> None:
    """chatservice on the Python Package Index is somebody else's."""
    for path in [*ROOT.glob("chatservice/**/*.py"), *ROOT.glob("twisted/**/*.py")]:
        assert "pip install" not in path.read_text(), path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*"), *ROOT.glob("tests/**/*.md")]:
        if path.suffix in {".md", ".py", ".service", ".tac"}:
            assert not re.search(r"pip install [^\n]*\bchatservice\b(?!/)", path.read_text()), path


def test_the_readme_tells_of_each_extra_that_a_message_names() -> None:
    installation = re.search(
        r"^## Installation$(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert installation is not None
    named = {
        extra
        for path in ROOT.glob("chatservice/**/*.py")
        for extra in re.findall(r"the extra '(\w+)'", path.read_text())
    }
    assert named >= {"accounts", "tls"}
    assert named <= EXTRAS.keys() - FOR_DEVELOPERS
    for extra in EXTRAS.keys() - FOR_DEVELOPERS:
        assert f"| `{extra}` |" in installation[1]
