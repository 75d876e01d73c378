"""Hosts, ports, names and passwords, as people give them."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from chatservice.client.arguments import Address, as_address, as_name, as_password, as_port
from chatservice.client.known_servers import KnownServers, place


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost", Address("localhost", None)),
        ("example.org", Address("example.org", None)),
        ("example.org.", Address("example.org.", None)),
        ("example.org:443", Address("example.org", 443)),
        ("127.0.0.1:12345", Address("127.0.0.1", 12345)),
        ("::1", Address("::1", None)),
        ("[::1]", Address("::1", None)),
        ("[::1]:12345", Address("::1", 12345)),
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        ("2001:db8::7", Address("2001:db8::7", None)),
        (" bücher.example ", Address("bücher.example", None)),
        ("my_host", Address("my_host", None)),
    ],
)
def test_a_host_may_bring_its_port(given: str, meant: Address) -> None:
    assert as_address(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", "example.org:", "example.org:0", "example.org:99999", "example.org:chat"),
        *("http://example.org", "example.org/chat", "a b", "a..b", ".", "[::1", "[example.org]"),
        *("[::1]x", "[::1]:", "x" * 64 + ".org", "\ud800", "a\nb", "user@host", "1:2:3", ":443"),
        *("tcp:localhost:12345", "::1:x", "x" * 300, "a\0b", "٣٣:٣", "host:٣"),
    ],
)
def test_what_cannot_be_a_host_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(ArgumentTypeError) as refused:
        as_address(given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("given", ["0", "65536", "-1", "x", "", "٣", "1" * 5000, "1.0"])
def test_what_is_not_a_port(given: str) -> None:
    with pytest.raises(ArgumentTypeError, match="a port is a number"):
        as_port(given)


@pytest.mark.parametrize("given", ["", " ", "/exit", "a\nb", "\ud800"])
def test_what_is_not_a_name(given: str) -> None:
    with pytest.raises(ArgumentTypeError):
        as_name(given)


class TestPasswordFile:
    @pytest.mark.parametrize(
        "content", [b"secret\nmore", b"\xef\xbb\xbfsecret\r\n", b"  secret", b"\xef\xbb\xbfsecret"]
    )
    def test_its_first_line_counts_without_a_byte_order_mark(
        self, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "file").write_bytes(content)
        assert as_password(str(tmp_path / "file")) == "secret"

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf\n", b"\xff\xfes\x00", None])
    def test_without_one_it_is_refused(self, tmp_path: Path, content: bytes | None) -> None:
        if content is not None:
            (tmp_path / "file").write_bytes(content)
        with pytest.raises(ArgumentTypeError):
            as_password(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("2001:DB8::7", "2001:db8:0::7"),
    ],
)
def test_a_server_is_remembered_under_one_name_however_it_is_written(one: str, other: str) -> None:
    assert place(one, 1) == place(other, 1)


def test_a_pin_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "known"
    KnownServers(file).remember(place("::1", 1), "AB")
    assert KnownServers(file).get(place("0::1", 1)) == "AB"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert KnownServers(file).get(place("::1", 1)) == "AB"
