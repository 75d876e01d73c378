"""Hooks, at a real server: programs that speak in a room by a POST."""

import hashlib
import hmac
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.server.test_web import http
from tests.support.nodes import Node
from tests.support.people import PATIENCE, Server, joined
from tests.support.postgres import NEEDS_POSTGRES
from tests.support.websockets import WEB, web_port


def hooks(database: Path | str, *words: str) -> str:
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
        # What was answered is on disk.
        with closing(sqlite3.connect(database)) as connection:
            found = connection.execute("SELECT text FROM events WHERE name = 'build[bot]'")
            assert found.fetchall() == [("Done: build 7 (https://ci.example/7)",)]
            assert token not in str(connection.execute("SELECT * FROM hooks").fetchall())
        assert post(port, path + "x", body)[0] == 404
        assert post(port, path, b"{") == (400, "This is not JSON.\n")
        assert post(port, path, body, "Origin: http://evil.example")[0] == 403
        assert http(port, f"GET {path} HTTP/1.1")[0] == 405
        answers = [post(port, path, body)[0] for _ in range(25)]
        assert set(answers) == {200, 429}
        assert hooks(database, "list").split("\t")[:4] == ["1", "build", "#lobby", "speak"]
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
    "words",
    [("add", "a b", "lobby"), ("add", "admin", "lobby"), ("remove", "9"), ("remove", f"{2**63}")],
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


class Listener:
    """A program at ``/rooms/ROOM/events``; what it hears, object by object."""

    def __init__(self, port: int, token: str, query: str = "", room: str = "lobby") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token}"}
        self._connection.request("GET", f"/rooms/{room}/events{query}", headers=headers)
        self.answer = self._connection.getresponse()

    def hears(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self.answer.readline())
        return heard

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_a_program_listens_from_an_id_on_without_gap_or_repeat(tmp_path: Path) -> None:
    database = tmp_path / "hooks.sqlite3"
    token = hooks(database, "add", "--listen", "log", "lobby").strip()
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        port = web_port(server)
        live = Listener(port, token)
        assert live.answer.status == 200
        alice = server.join("Alice")
        assert live.hears()["type"] == "joined"
        alice.types("one", "two")
        first, second = live.hears(), live.hears()
        assert [first["text"], second["text"]] == ["one", "two"]
        again = Listener(port, token, f"?after={first['id']}")
        assert again.hears() == second
        alice.types("three")
        assert again.hears() == live.hears()
        for wrong, query, room, status in [
            ("x", "", "lobby", 401),
            (token, "?after=x", "lobby", 400),
            (token, "?after=999999999", "lobby", 409),
            (token, "", "dev", 404),
        ]:
            refused = Listener(port, wrong, query, room)
            assert refused.answer.status == status
            refused.close()
    for listener in (live, again):
        rest = listener.answer.read().decode().splitlines()
        assert json.loads(rest[-1]) == {"type": "bye", "name": "", "reason": "shutdown"}
        listener.close()
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        caught_up = Listener(web_port(server), token, f"?after={first['id']}")
        assert caught_up.hears() == second
        assert caught_up.hears()["text"] == "three"
        caught_up.close()


def test_whoever_listens_is_told_that_the_room_or_the_token_is_gone(tmp_path: Path) -> None:
    database = tmp_path / "hooks.sqlite3"
    lobby = hooks(database, "add", "--listen", "log", "lobby").strip()
    dev = hooks(database, "add", "--listen", "log", "dev").strip()
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        port = web_port(server)
        alice = server.join("Alice")
        alice.types("/join dev", "/private")
        alice.hears("*** In #dev (1): Alice")
        alice.hears_until("*** Alice has made the room private: only invited people can join.")
        in_dev, in_lobby = Listener(port, dev, room="dev"), Listener(port, lobby)
        assert in_dev.answer.status == in_lobby.answer.status == 200
        alice.types("/in lobby hello")
        assert in_lobby.hears()["text"] == "hello"
        alice.types("secret")
        assert in_dev.hears()["text"] == "secret"
        alice.types("/part dev")
        assert [in_dev.hears()["type"], in_dev.hears()["type"]] == ["left", "bye"]
        assert in_dev.answer.read() == b""
        hooks(database, "remove", "1")
        assert in_lobby.hears()["type"] == "bye"  # within seconds
        in_dev.close()
        in_lobby.close()


def test_what_a_program_missed_while_the_server_was_away_comes_in_order(tmp_path: Path) -> None:
    database = tmp_path / "hooks.sqlite3"
    token = hooks(database, "add", "--listen", "log", "lobby").strip()
    lines = [f"line {number}" for number in range(3000)]
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        alice, bob = server.join("Alice"), server.join("Bob")
        for begin in range(0, 3000, 7):
            alice.types(*lines[begin : begin + 7])
        bob.hears_until("Alice: line 2999")
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        program = Listener(web_port(server), token, "?after=0")
        heard = []
        while (event := program.hears()).get("text") != lines[-1]:
            heard.append(event)
        heard.append(event)
        carol = server.join("Carol")
        carol.types("live")
        while (event := program.hears()).get("text") != "live":
            heard.append(event)
        program.close()
    assert [event["text"] for event in heard if event["type"] == "said"] == lines
    ids = [event["id"] for event in heard]
    assert ids == sorted(set(ids))
    middle = heard[len(heard) // 2]["id"]
    with Server(tmp_path, "--web", WEB, "--database", str(database)) as server:
        program = Listener(web_port(server), token, f"?after={middle}")
        assert program.hears()["id"] == middle + 1
        program.close()


@NEEDS_POSTGRES
def test_hooks_are_the_same_on_all_servers(tmp_path: Path, uri: str) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (Node(folder, "--web", WEB, "--database", uri) for folder in folders)
    with one, two:
        alice, bob = one.join("Alice"), two.join("Bob")
        alice.hears(joined("Bob"))
        path = hooks(uri, "add", "build", "lobby").strip()
        token = hooks(uri, "add", "--listen", "log", "lobby").strip()
        listener = Listener(web_port(one), token)
        assert listener.answer.status == 200
        assert post(web_port(two), path, b'{"text": "Done"}') == (200, "ok")
        for person in (alice, bob):
            person.hears("build[bot]: Done")
        heard = listener.hears()
        assert (heard["from"], heard["text"]) == ("build[bot]", "Done")
        alice.types("more")
        more = listener.hears()
        assert more["text"] == "more"
        again = Listener(web_port(two), token, f"?after={heard['id']}")
        assert again.hears() == more
        assert post(web_port(one), path + "x", b'{"text": "x"}')[0] == 404
        hooks(uri, "remove", "1")
        assert {post(web_port(each), path, b'{"text": "x"}')[0] for each in (one, two)} == {404}
        hooks(uri, "remove", "2")
        assert listener.hears()["type"] == again.hears()["type"] == "bye"  # within seconds
        listener.close()
        again.close()
