"""The web door: HTTP and WebSocket, as browsers, programs, proxies and foreign pages meet it."""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.python.usage import UsageError

from chatservice.options import Options
from chatservice.server.web.forwarded import Client, Forwarding
from chatservice.server.web.hosts import Hosts
from tests.support.people import PATIENCE, Server, joined, left
from tests.support.websockets import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WEB,
    WebSocket,
    frame,
    web_port,
)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--web", WEB) as server:
        yield server


@pytest.fixture
def port(web: Server) -> int:
    return web_port(web)


def http(port: int, request: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """The answer to one request, byte by byte; the connection is closed after it."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        head, _, rest = request.partition("\n")
        if "Host:" not in rest:
            rest += f"\nHost: 127.0.0.1:{port}"
        lines = [head, *filter(None, rest.split("\n")), "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        answer = b""
        while (data := connection.recv(65536)) and not is_complete(answer := answer + data):
            pass
    status, _, body = answer.partition(b"\r\n\r\n")
    first, *fields = status.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return int(first.split()[1]), headers, body


def is_complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


# The chat


def test_a_browser_and_a_person_at_nc_talk_with_each_other(web: Server, port: int) -> None:
    bob = web.join("Bob")
    with WebSocket(port) as alice:
        assert alice.comes_in("Alice")["users"] == ["Alice", "Bob"]
        bob.hears(joined("Alice"))
        alice.asks("say", text="سلام 你好 👋", ref="m1")
        alice.hears("ack", ref="m1")
        bob.hears("Alice: سلام 你好 👋")
        bob.types("hello yourself")
        alice.hears("said", **{"from": "Bob"}, text="hello yourself")
        alice.asks("exit")
        alice.hears("bye", reason="exit")
        assert alice.next_frame().code == 1000
        assert alice.is_closed()
    bob.hears(left("Alice"))


def test_the_same_over_tls_also_for_a_peer_that_offers_protocols(tmp_path: Path) -> None:
    with Server(tmp_path, "--web-tls", WEB, tls=True) as server:
        port = web_port(server, "for browsers, with TLS")
        bob = server.join("Bob")
        with WebSocket(port, server.certificate) as alice:
            alice.comes_in("Alice")
            bob.hears(joined("Alice"))
            alice.sends(frame(PING, b"?"))
            assert alice.next_frame() == (PONG, b"?")
            bob.types("hello")
            alice.hears("said", text="hello")
        bob.hears(left("Alice"))


def test_what_a_reader_of_json_lines_hears_a_browser_hears(web: Server, port: int) -> None:
    speaker = web.join("Speaker")
    with WebSocket(port) as alice:
        alice.comes_in("Alice")
        speaker.hears(joined("Alice"))
        speaker.types(*(f"line {number}" for number in range(300)))
        heard = [alice.next_object()["text"] for _ in range(300)]
        assert heard == [f"line {number}" for number in range(300)]
        alice.asks("history", limit=1000, ref="h")
        page = alice.hears("history", ref="h")
        texts = [event["text"] for event in page["events"] if event["type"] == "said"]
        assert texts == heard[-len(texts) :]
        assert len(texts) > 100


def test_what_comes_right_behind_the_handshake_is_served(port: int) -> None:
    hello = frame(TEXT, b'{"type": "hello",\n "name": "Alice"}')
    with WebSocket(port, first=hello + frame(PING, b"?")) as alice:
        assert alice.status.startswith("HTTP/1.1 101")
        heard = {alice.next_frame().opcode, alice.next_frame().opcode}
        assert heard == {TEXT, PONG}


def test_a_connection_that_has_asked_for_pages_can_become_a_websocket(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        page = f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"
        opening = (
            f"GET /chat HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        connection.sendall((page * 5 + opening).encode() + frame(PING, b"?"))
        answer = b""
        while not answer.endswith(b"\x8a\x01?"):
            answer += connection.recv(65536)
    assert answer.count(b"HTTP/1.1 200 OK") == 5
    assert answer.endswith(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x8a\x01?"
    )  # the key and its answer are those of RFC 6455


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", mask=None), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * 8193), 1009),
        (frame(0x2, b"x"), 1003),
    ],
)
def test_what_is_wrong_is_answered_with_a_code_and_the_others_hear_that_they_left(
    web: Server, port: int, data: bytes, code: int
) -> None:
    bob = web.join("Bob")
    with WebSocket(port) as eve:
        eve.comes_in("Eve")
        bob.hears(joined("Eve"))
        eve.sends(data + frame(TEXT, b'{"type": "say", "text": "too late"}'))
        assert eve.next_frame().code == code
        assert eve.is_closed()
    bob.hears(left("Eve"))


def test_a_peer_that_closes_is_answered(web: Server, port: int) -> None:
    bob = web.join("Bob")
    with WebSocket(port) as alice:
        alice.comes_in("Alice")
        alice.sends(frame(CLOSE, (1001).to_bytes(2, "big")))
        assert alice.next_frame().code == 1001
        assert alice.is_closed()
    bob.hears(joined("Alice"), left("Alice"))


def test_the_server_that_ends_says_so(web: Server, port: int) -> None:
    with WebSocket(port) as alice:
        alice.comes_in("Alice")
        web.process.terminate()
        alice.hears("bye", reason="shutdown")
        assert alice.next_frame().code == 1001
    assert web.process.wait(PATIENCE) == 0


def test_frames_are_charged_like_lines_and_those_who_wait_are_served_in_order(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, "--web", WEB, "--rate", "20:10") as server:
        bob = server.join("Bob")
        with WebSocket(web_port(server)) as alice:
            alice.comes_in("Alice")
            bob.hears(joined("Alice"))
            began = time.monotonic()
            alice.sends(frame(PING) * 20)
            alice.asks("say", text="at last")
            bob.hears("Alice: at last")
            assert time.monotonic() - began > 0.4
            assert [alice.next_frame().opcode for _ in range(20)] == [PONG] * 20


def test_a_flood_of_empty_frames_does_not_hold_up_anybody(tmp_path: Path) -> None:
    with Server(tmp_path, "--web", WEB) as server:  # without a limit
        bob, carol = server.join("Bob"), server.join("Carol")
        bob.hears(joined("Carol"))
        with WebSocket(web_port(server)) as eve:
            eve.sends(frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 100_000)
            began = time.monotonic()
            for number in range(20):
                bob.types(f"trip {number}")
                carol.hears(f"Bob: trip {number}")
            print(f"20 trips took {1000 * (time.monotonic() - began):.0f} ms")
            assert time.monotonic() - began < 5


def test_nobody_who_is_silent_stays(tmp_path: Path) -> None:
    with (
        Server(tmp_path, "--web", WEB, "--login-timeout", "1") as server,
        WebSocket(web_port(server)) as eve,
    ):
        eve.hears("bye", reason="login timeout")
        assert eve.next_frame().code == 1000


# Who may come


@pytest.mark.parametrize("path", ["/", "/chat", "/app.js", "/nothing"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Host: evil.example", 403),
        ("Host: 127.0.0.1.evil.example", 403),
        ("Host: localhost\nOrigin: http://evil.example", 403),
        ("Host: localhost\nOrigin: null", 403),
        ("Host: 6.6.6.6\nOrigin: http://7.7.7.7", 403),
        ("Host: localhost:1\nOrigin: http://localhost:2", 403),
        ("Host: localhost\nHost: localhost", 400),
    ],
)
def test_foreign_pages_and_names_are_refused_everywhere(
    port: int, path: str, headers: str, status: int
) -> None:
    assert http(port, f"GET {path} HTTP/1.1\n{headers}")[0] == status


def test_a_foreign_page_cannot_open_a_websocket(web: Server, port: int) -> None:
    bob = web.join("Bob")
    with WebSocket(port, headers="Origin: http://evil.example\r\n") as eve:
        assert eve.status == "HTTP/1.1 403 Forbidden"
    with WebSocket(port, headers=f"Origin: http://localhost:{port}\r\n") as alice:
        alice.comes_in("Alice")
        bob.hears(joined("Alice"))


def test_a_form_that_a_foreign_page_sends_to_the_line_port_is_heard_by_nobody(
    web: Server,
) -> None:
    bob = web.join("Bob")
    form = b'say=hello&name=Eve\r\n{"type": "hello", "name": "Eve"}\r\nhello\r\n'
    request = urllib.request.Request(f"http://127.0.0.1:{web.port}/", form)
    with pytest.raises((urllib.error.URLError, ConnectionError, Exception)):
        urllib.request.urlopen(request, timeout=PATIENCE)
    bob.types("/who")
    bob.hears("*** Online (1): Bob")


def test_names_that_are_ours() -> None:
    hosts = Hosts(["chat.example.org"], lambda: ["*.example.net", "irc.example.com"])
    for name in (
        *("localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1", "[::1]:8080", "10.1.2.3"),
        *(socket.gethostname(), "Chat.Example.org:443", "a.example.net", "irc.example.com"),
    ):
        assert hosts.are_ours(name), name
    for name in (
        *("", "example.org", "evil.example", "a.b.example.net", "example.net", "localhost.evil"),
        *("localhost:x", "localhost/", "a@localhost", "[::1", "1.2.3.4.5", "loc\u0430lhost"),
    ):
        assert not hosts.are_ours(name), name
    assert hosts.may_come_from("http://localhost:8080", "localhost:8080")
    assert hosts.may_come_from("https://chat.example.org", "127.0.0.1:8080")  # through a proxy
    for origin in ("http://localhost", "ftp://localhost:8080", "null", "", "http://[", "x"):
        assert not hosts.may_come_from(origin, "localhost:8080"), origin


def test_whose_request_it_is_behind_proxies() -> None:
    forwarding = Forwarding([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    assert forwarding.client("192.0.2.1", ["203.0.113.5"], ["https"]) == Client("192.0.2.1", False)
    assert forwarding.client("10.0.0.1", [], []) == Client("behind 10.0.0.1", False)
    assert forwarding.client("10.0.0.1", ["203.0.113.5"], ["http"]) == Client("203.0.113.5", False)
    assert forwarding.client("::ffff:10.0.0.1", ["1.1.1.1, 203.0.113.5", "fd00::2"], ["https"]) == (
        Client("203.0.113.5", True)
    )
    assert forwarding.client("10.0.0.1", ["made up, <script>"], ["https"]).host == "behind 10.0.0.1"


def test_behind_a_proxy_that_ends_tls_a_password_is_private_and_otherwise_not(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, "--web", WEB, "--web-proxy", "127.0.0.1", "--database", "db") as server:
        known = "X-Forwarded-For: 203.0.113.5\r\n"
        for number, (headers, code) in enumerate(
            (
                (known, "password_in_clear"),
                (known + "X-Forwarded-Proto: http\r\n", "password_in_clear"),
                (known + "X-Forwarded-Proto: https\r\n", None),
                ("X-Forwarded-For: 127.0.0.1\r\n", None),
                ("", "password_in_clear"),  # of somebody anywhere
                ("X-Forwarded-For: unknown\r\n", "password_in_clear"),
                ("X-Forwarded-Proto: https\r\n", None),
            )
        ):
            with WebSocket(web_port(server), headers=headers) as alice:
                alice.comes_in(f"Alice{number}")
                assert code_of_registering(alice) == code, headers
        assert "203.0.113.5" in server.log


def test_behind_a_proxy_of_streams_a_password_is_private_if_its_sender_is_here(
    tmp_path: Path,
) -> None:
    options = ("--web", WEB, "--proxy-protocol", "127.0.0.1", "--database", "db")
    with Server(tmp_path, *options) as server:
        for number, (source, code) in enumerate(
            (
                ("TCP4 203.0.113.5 192.0.2.1 5555 443", "password_in_clear"),
                ("TCP4 127.0.0.1 127.0.0.1 5555 443", None),
                ("UNKNOWN", "password_in_clear"),
            )
        ):
            header = f"PROXY {source}\r\n".encode()
            with WebSocket(web_port(server), before=header) as alice:
                alice.comes_in(f"Alice{number}")
                assert code_of_registering(alice) == code, source
        server.wait_for_log(r"Alice0 has joined from 203\.0\.113\.5:5555")


def code_of_registering(person: WebSocket) -> object:
    person.asks("register", password="correct horse battery", ref="r")
    heard = person.next_object()
    while heard.get("ref") != "r":
        heard = person.next_object()
    return heard.get("code")


# HTTP


def test_the_page_is_served_with_headers_that_shut_out_everything_foreign(port: int) -> None:
    status, headers, body = http(port, "GET / HTTP/1.1")
    assert status == 200
    assert b"<script" in body
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers
    assert http(port, f"GET / HTTP/1.1\nIf-None-Match: {headers['ETag']}")[::2] == (304, b"")
    assert http(port, "HEAD / HTTP/1.1")[::2] == (200, b"")
    assert http(port, "PUT / HTTP/1.1")[0] == 405


def test_every_file_that_the_page_names_is_there_and_nothing_comes_from_elsewhere(
    port: int,
) -> None:
    names = {"/"}
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        status, _, body = http(port, f"GET {name} HTTP/1.1")
        assert status == 200, name
        text = body.decode()
        assert not re.search(r"""(src|href|import|from|url)[ =(]*["']?(https?:)?//""", text), name
        names |= {f"/{found}" for found in re.findall(r"""["']\./([\w.-]+\.\w+)["']""", text)}
    assert len(seen) > 3


def test_no_path_leads_out_of_the_folder(port: int) -> None:
    for path in ("/../door.py", "/..%2fdoor.py", "//etc/passwd", "/%00", "/static", "/index.html?"):
        assert http(port, f"GET {path} HTTP/1.1")[0] in (400, 404), path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (f"Content-Length: {1 << 30}", 413),
        (f"Content-Length: {1 << 30}\nExpect: 100-continue", 413),
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: 4", 405),
        ("Content-Length: -1", 400),
    ],
)
def test_a_body_that_is_too_much_is_refused_before_it_comes(
    port: int, headers: str, status: int
) -> None:
    assert http(port, f"POST / HTTP/1.1\n{headers}", b"1234")[0] == status


def test_a_long_header_ends_the_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as eve:
        eve.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        try:
            assert eve.recv(65536)[:12] in (b"", b"HTTP/1.1 400")
        except ConnectionResetError:
            pass


HANDSHAKE = "Upgrade: websocket\nConnection: close, Upgrade\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /chat HTTP/1.1", 426),
        (f"GET /chat HTTP/1.1\n{HANDSHAKE}Sec-WebSocket-Version: 8", 426),
        (f"GET /chat HTTP/1.1\n{HANDSHAKE}Sec-WebSocket-Version: 13", 400),
        (f"GET /chat HTTP/1.1\n{HANDSHAKE}Sec-WebSocket-Version: 13\nSec-WebSocket-Key: x", 400),
    ],
)
def test_what_is_not_a_handshake_is_told_so(port: int, request_: str, status: int) -> None:
    assert http(port, request_)[0] == status


def test_those_whom_the_server_has_no_room_for_are_told_so(tmp_path: Path) -> None:
    with Server(tmp_path, "--web", WEB, "--max-per-address", "2") as server:
        port = web_port(server)
        with WebSocket(port) as one, WebSocket(port) as two:
            assert one.status == two.status == "HTTP/1.1 101 Switching Protocols"
            assert http(port, "GET / HTTP/1.1")[0] == 503
            one.comes_in("Alice")
        deadline = time.monotonic() + PATIENCE
        while http(port, "GET / HTTP/1.1")[0] == 503:
            assert time.monotonic() < deadline
        for _ in range(5):  # what has gone is not counted
            assert http(port, "GET / HTTP/1.1")[0] == 200


def test_the_answers_to_many_requests_at_once_come_in_order(port: int) -> None:
    paths = ["/", "/nothing", "/app.css"] * 100
    requests = "".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall((requests + last).encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"] * 100 + [b"200"]


def test_json_of_the_protocol(port: int) -> None:
    with WebSocket(port) as alice:
        alice.sends(frame(TEXT, b"hello"))
        alice.hears("error", code="not_json")
        alice.asks("hello", name="A b")
        alice.hears("error", code="name_character")
        alice.comes_in("Alice")
        alice.sends(frame(TEXT, json.dumps({"type": "say", "text": "x" * 9000}).encode()))
        assert alice.next_frame().code == 1009


# Machines


def get(port: int, path: str) -> tuple[int, str]:
    status, _, body = http(port, f"GET {path} HTTP/1.1")
    return status, body.decode()


def test_the_figures_are_those_of_the_server(tmp_path: Path) -> None:
    with Server(tmp_path, "--web", WEB, "--metrics", "0", "--max-users", "2") as server:
        metrics = web_port(server, "for metrics")
        server.join("Bob")
        with WebSocket(web_port(server)) as alice:
            alice.comes_in("Alice")
            server.connect().hears("Error: the server is full. Try again later.")
            status, text = get(metrics, "/metrics")
        assert status == 200
        figures = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert figures["chat_users",] == figures["chat_connections",] == 2
        assert figures["chat_connections_accepted_total", "lines"] == 1
        assert figures["chat_connections_accepted_total", "web"] == 1
        assert figures["chat_connections_turned_away_total", "lines", "server_full"] == 1
        assert figures["chat_saving_trouble",] == 0
        assert figures["process_resident_memory_bytes",] > 1e6
        assert get(metrics, "/")[0] == get(metrics, "/chat")[0] == 404
        assert http(metrics, "GET /metrics HTTP/1.1\nHost: evil.example")[0] == 403


def test_figures_are_for_this_machine_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    with Server(tmp_path, "--metrics", "0") as server:
        assert get(web_port(server, "for metrics"), "/healthz") == (200, "ok\n")  # 127.0.0.1
    options = Options()
    with pytest.raises(UsageError, match="metrics"):
        options.parseOptions(["--metrics", "nonsense"])


def test_who_stops_is_alive_but_not_ready(tmp_path: Path) -> None:
    with Server(tmp_path, "--web", WEB, "--metrics", "0", "--shutdown-timeout", "2") as server:
        metrics = web_port(server, "for metrics")
        for port in (metrics, web_port(server)):
            assert get(port, "/healthz") == get(port, "/readyz") == (200, "ok\n")
        with WebSocket(web_port(server)) as alice:  # who takes her time to close
            alice.comes_in("Alice")
            server.process.terminate()
            alice.hears("bye", reason="shutdown")
            assert get(metrics, "/readyz") == (503, "stopping\n")
            assert get(metrics, "/healthz") == (200, "ok\n")
        assert server.process.wait(PATIENCE) == 0
