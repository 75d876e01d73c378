"""README.md and docs/ are true, as far as a program can tell."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatservice.console.__main__ import ConsoleOptions
from chatservice.dialects.commands import COMMANDS
from chatservice.options import Options
from tests.server.test_tap import chat
from tests.support.people import PATIENCE, TWISTD

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("tests/**/*.md")]
PAGES_TEXT = {page.name: page.read_text() for page in DOCS.glob("*.md")}
OPTION_ROW = re.compile(r"^\| (`--.*?) \| .* \| (.*?) \|$", re.M)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of the headings."""
    headings = re.findall(r"^#+ (.*)", without_code(page.read_text()), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if not re.match(r"https?:", link):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            if anchor:
                assert anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
    pages = {f"docs/{name}" for name in PAGES_TEXT}
    assert pages <= {link.partition("#")[0] for link in links}


@pytest.mark.parametrize("page", [*DOCS.iterdir(), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
def test_a_server_in_the_foreground_has_no_pid_file(page: Path) -> None:
    """One that is left over after a crash can keep it from starting."""
    if page.suffix == ".png":
        return
    for line in page.read_text().splitlines():
        if re.search(r"twistd.* (-n|--nodaemon)\b.* (chat|-y)\b", line):
            assert "--pidfile=" in line


def rows(page: str) -> dict[str, str]:
    """The defaults in a page's tables of options, by the names of each."""
    return {
        name: default
        for names, default in OPTION_ROW.findall(PAGES_TEXT[page])
        for name in re.findall(r"--[\w-]+", names)
    }


def test_the_table_of_the_server_has_its_options_and_their_defaults() -> None:
    table = rows("server.md") | dict.fromkeys(["--version", "--help"], "")
    table |= dict.fromkeys(["--help-auth", "--help-auth-type"], "")
    options = Options()
    assert set(table) == {f"--{name.rstrip('=')}" for name in options.longOpt}
    for name, default in options.defaults.items():
        shown = table[f"--{name}"].strip("`")
        if default is not None and name != "config":
            assert shown == (
                "off" if default == 0 and f"{name}=" not in options.longOpt else str(default)
            )


@pytest.mark.parametrize(
    ("module", "page"),
    [("chatservice.client", "client.md"), ("chatservice.gui", "window.md")],
)
def test_the_table_of_a_client_has_its_options(module: str, page: str) -> None:
    help_ = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    ).stdout
    _, _, listed = help_.partition("options:")
    assert set(rows(page)) == set(re.findall(r"--[\w-]+", listed)) - {"--help"}


def test_the_page_of_the_console_has_what_it_adds() -> None:
    added = set(ConsoleOptions().longOpt) - set(Options().longOpt)
    assert added == {"theme="}
    assert "--theme light|dark|auto" in PAGES_TEXT["console.md"]


def test_the_table_of_commands_has_all_of_them() -> None:
    table = re.findall(r"^\| `/(\w+)[^`]*` \|([^|]*)\|", PAGES_TEXT["client.md"], re.M)
    assert {name: set(re.findall(r"[\w?]+", aliases)) for name, aliases in table} == {
        command.name: set(command.aliases) for command in COMMANDS
    }


def test_the_example_of_a_configuration_is_accepted(tmp_path: Path) -> None:
    text = (DOCS / "chat.toml").read_text()
    for example in (text, re.sub(r"^# (\S+ = .*)", r"\1", text, flags=re.M)):
        (tmp_path / "chat.toml").write_text(example)
        options = ["--config", "chat.toml", "--max-users", "0"]
        ended = chat(tmp_path, *options)
        assert ended.stderr.count("\n") == 1
        assert "chat.toml" not in ended.stderr or "No such file" in ended.stderr


def unit(folder: Path) -> str:
    """The systemd unit, for the server that is installed here."""
    text = (DOCS / "chatservice.service").read_text()
    return text.replace("/opt/chatservice/bin/twistd", str(TWISTD)).replace(
        "/etc/chatservice/", f"{folder}/"
    )


def test_the_unit_starts_a_server(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text("max-users = 0")
    command = re.search(r"^ExecStart=(.*)", unit(tmp_path), re.M)
    assert command is not None
    ended = subprocess.run(
        shlex.split(command[1]), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "chat.toml, line 1: max-users = 0" in ended.stderr  # it was read


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "chatservice.service"
    file.write_text(unit(tmp_path))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False
    )
    complaints = [line for line in ended.stderr.splitlines() if str(file) in line]
    assert (ended.returncode, complaints) == (0, [])


def test_the_pages_of_installation_and_unit_agree() -> None:
    text = (DOCS / "chatservice.service").read_text()
    page = PAGES_TEXT["installation.md"]
    for place in ("/opt/chatservice", "/etc/chatservice/chat.toml", "/var/lib/chatservice"):
        assert place in text
        assert place in page
    assert "User=chatservice" in text
    assert re.search(r"^    useradd .* chatservice$", page, re.M)
