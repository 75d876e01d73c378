"""Hooks, at a real server: programs that speak in a room by a POST."""

import hashlib
import hmac
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.test_web import http
from tests.support.people import Server
from tests.support.websockets import WEB, web_port


def hooks(database: Path, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "chatservice.hooks", "--database", str(database), *words],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def post(port: int, path: str, body: bytes, *headers: str) -> tuple[int, str]:
    head = [f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *headers]
    code, _, answer = http(port, "\n".join(head), body)
    return code, answer.decode()


def test_a_hook_speaks_until_it_is_removed(tmp_path: Path) -> None:
    database = tmp_path / "hooks.sqlite3"
    path = hooks(database, "add", "build", "lobby").strip()
    token = path.removeprefix("/hooks/")
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        port = web_port(server)
        alice = server.join("Alice")
        body = json.dumps({"text": "Done: <https://ci.example/7|build 7>"}).encode()
        assert post(port, path, body) == (200, "ok")
        alice.hears("build[bot]: Done: build 7 (https://ci.example/7)")
        with sqlite3.connect(database) as connection:  # what was answered is on disk
            found = connection.execute("SELECT text FROM events WHERE name = 'build[bot]'")
            assert found.fetchall() == [("Done: build 7 (https://ci.example/7)",)]
            assert token not in str(connection.execute("SELECT * FROM hooks").fetchall())
        assert post(port, path + "x", body)[0] == 404
        assert post(port, path, b"{") == (400, "This is not JSON.\n")
        assert post(port, path, body, "Origin: http://evil.example")[0] == 403
        assert http(port, f"GET {path} HTTP/1.1")[0] == 405
        answers = [post(port, path, body)[0] for _ in range(25)]
        assert set(answers) == {200, 429}
        assert hooks(database, "list").split("\t")[:4] == ["1", "build", "#lobby", "-"]
        hooks(database, "remove", "1")
        assert post(port, path, body)[0] == 404
    for log in tmp_path.rglob("*.log"):
        assert token not in log.read_text()


def test_a_room_that_is_gone_and_a_request_that_is_not_signed(tmp_path: Path) -> None:
    database = tmp_path / "hooks.sqlite3"
    nowhere = hooks(database, "add", "build", "nowhere").strip()
    path, secret = hooks(database, "add", "--signed", "github", "lobby").split("\n")[:2]
    secret = secret.removeprefix("Secret: ")
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        port = web_port(server)
        alice = server.join("Alice")
        assert post(port, nowhere, b'{"text": "x"}') == (404, "There is no such room any more.\n")
        body = json.dumps({"zen": "x", "repository": {"full_name": "octo/hello"}}).encode()
        event = "X-GitHub-Event: ping"
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        assert post(port, path, body, event)[0] == 403
        assert post(port, path, body, event, f"X-Hub-Signature-256: sha256={'0' * 64}")[0] == 403
        signed = f"X-Hub-Signature-256: sha256={signature}"
        assert post(port, path, body, event, signed) == (200, "ok")
        alice.hears("github[bot]: [octo/hello] GitHub is connected")


@pytest.mark.parametrize(
    "words", [("add", "a b", "lobby"), ("add", "admin", "lobby"), ("remove", "9")]
)
def test_what_cannot_be_done_is_said_in_a_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    database = tmp_path / "hooks.sqlite3"
    hooks(database, "add", "build", "lobby")
    done = subprocess.run(
        [sys.executable, "-m", "chatservice.hooks", "--database", str(database), *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("hooks: ")
    assert done.stderr.count("\n") == 1
