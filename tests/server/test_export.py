"""What was said, written out."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support import forked
from tests.support.people import Server, joined


def export(folder: Path, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return forked.run([sys.executable, "-m", "chatservice.export", *options], folder=folder)


def test_while_the_server_runs_and_afterwards(tmp_path: Path) -> None:
    with Server(tmp_path, "--database", "chat.sqlite3") as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.hears(joined("Bob"))
        alice.types("سلام", "/me waves", "/msg Bob secret")
        bob.hears("Alice: سلام", "* Alice waves", "[Alice -> you] secret")
        running = export(tmp_path)
    ended = export(tmp_path)
    for exported in (running, ended):
        assert exported.returncode == 0, exported.stderr
        events = [json.loads(line) for line in exported.stdout.splitlines()]
        assert [e["text"] for e in events if "text" in e] == ["سلام", "waves"]
    text = export(tmp_path, "--format", "text").stdout.decode().splitlines()
    assert [line.partition("] ")[2] for line in text[2:4]] == ["Alice: سلام", "* Alice waves"]
    assert export(tmp_path, "--room", "attic").stdout == b""


def test_what_cannot_be_read_is_said_in_a_line(tmp_path: Path) -> None:
    missing = export(tmp_path)
    assert missing.returncode == 1
    assert missing.stderr == b"export: chat.sqlite3: there is no such file.\n"
    (tmp_path / "notes").write_text("no database")
    other = export(tmp_path, "--database", "notes")
    assert other.stderr == b"export: notes: this is not an SQLite database.\n"
