"""What a first line says of who has come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.server.foreign import BOM, examine
from chatservice.server.line import MAX_LINE

FOREIGN = [
    (b"GET / HTTP/1.1\r\n", "HTTP", b"HTTP/1.1 400 "),
    (b"POST /login?next=/a HTTP/1.0\n", "HTTP", b"HTTP/1.1 400 "),
    (b"get / HTTP/1.1\n", "HTTP", b"HTTP/1.1 400 "),
    (b"GET /\r\n", "HTTP", b"HTTP/1.1 400 "),
    (b"CONNECT example.org:443 HTTP/1.1\r\n", "HTTP", b"HTTP/1.1 400 "),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP", b"HTTP/1.1 400 "),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n", "HTTP", b"HTTP/1.1 400 "),
    (b"OPTIONS rtsp://example.org/ RTSP/1.0\r\n", "RTSP", b"RTSP/1.0 400 "),
    (b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n", "SIP or ICAP", b""),
    (b"INVITE sip:bob@example.org SIP/2.0\r\n", "SIP or ICAP", b""),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH", b""),
    (b"SSH-1.99-x\n", "SSH", b""),
    (b"EHLO\r\n", "SMTP", b"554 "),
    (b"EHLO example.org\r\n", "SMTP", b"554 "),
    (b"helo example.org\r\n", "SMTP", b"554 "),
    (b"a001 LOGIN bob secret\r\n", "IMAP", b"* BYE "),
    (b"a1 CAPABILITY\r\n", "IMAP", b"* BYE "),
    (b"CAP LS 302\r\n", "IRC", b"ERROR :"),
    (b"NICK bob\r\n", "IRC", b"ERROR :"),
    (b"USER bob 0 * :Bob\r\n", "IRC", b"ERROR :"),
    (b"USER anonymous\r\n", "FTP or POP3", b""),
    (b"<?xml version='1.0'?><stream:stream to='x'>\n", "XMPP", b""),
    (b"*1\r\n$4\r\nPING\r\n", "Redis", b"-ERR "),
    (b"@RSYNCD: 31.0 sha512\n", "rsync", b"@ERROR: "),
    (b"RFB 003.008\n", "VNC", b""),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n", "the PROXY protocol", b""),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "the PROXY protocol", b""),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS", b""),
    (b"\x16\x03\x03", "TLS", b""),
    (b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00", "a binary protocol", b""),  # RDP
    (b"\x05\x01\x00", "a binary protocol", b""),  # SOCKS
    (b"\x04\x01\x04\x38\x7f\0\0\x01\0", "a binary protocol", b""),  # SOCKS 4
    (b"\0\0\0\x54\xffSMBr\0\0\0\0\x18\x53\xc8\0\0", "a binary protocol", b""),
    (b"\0\0\0\x45\xfeSMB\x40\0\x01\0\0\0\0\0", "a binary protocol", b""),
    (b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", "a binary protocol", b""),
    (b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0", "a binary protocol", b""),  # DNS
    (b"l\0\x0b\0\0\0\0\0\0\0\0\0", "a binary protocol", b""),  # X11
    (b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05", "a binary protocol", b""),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "a binary protocol", b""),  # PostgreSQL
    (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "a binary protocol", b""),  # LDAP
    (b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", "HTTP", b"HTTP/1.1 400 "),
    (BOM + b"GET / HTTP/1.0\r\n", "HTTP", b"HTTP/1.1 400 "),
]
OURS = [
    *(b"Bob", b"Get", b"GET", b"Head", b"Ehlo", b"helo", b"Nick", b"User", b"Ssh", b"Options"),
    *("سارا".encode(), "李".encode(), b"/exit", b"/help", b"Get out", b"Hello there"),
    *(b"HELO", b"helo there", b"SSH-2", b"My id is 5", b"POST it", b"Connect me", b"NICK"),
    *(b"Bob\0", b"B\0o\0b\0", b"Bob" + 29 * b"\0"),
    *(b'{"type": "hello", "name": "Bob"}', b"\x0b", b"\x1b[A", b"\xff\xfe", b"caf\xe9"),
]


@pytest.mark.parametrize(("line", "protocol", "answer"), FOREIGN, ids=lambda p: str(p)[:20])
def test_other_protocols_are_known_by_it(line: bytes, protocol: str, answer: bytes) -> None:
    opening = examine(line, MAX_LINE)
    assert opening is not None
    assert opening.protocol == protocol
    assert opening.answer.startswith(answer)
    assert bool(opening.answer) == bool(answer)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\0"])
@pytest.mark.parametrize("line", OURS)
def test_people_may_be_called_what_they_like(line: bytes, end: bytes) -> None:
    for before in (b"", BOM, b"\n\r\n"):
        opening = examine(before + line + end, MAX_LINE)
        assert opening is not None
        assert opening.text == (before + line + end).removeprefix(BOM)
        assert not opening.protocol


@given(st.sampled_from(FOREIGN), st.integers(0, 40))
def test_however_it_is_cut(foreign: tuple[bytes, str, bytes], cut: int) -> None:
    line, protocol, _ = foreign
    before = examine(line[:cut], MAX_LINE)
    assert before is None or before.protocol == protocol or cut >= len(line) - 1


@pytest.mark.parametrize("byte", [b"x", b"\n", b"\r", b"\0"])
def test_a_line_without_an_end_is_not_waited_for_for_ever(byte: bytes) -> None:
    assert examine(byte * MAX_LINE, MAX_LINE) is None
    opening = examine(byte * (MAX_LINE + 1), MAX_LINE)
    assert opening is not None
    assert not opening.protocol
