"""First lines that are another protocol's: programs that have come to the wrong port.

They are answered in their own way, or not at all, and turned away before they become a user, use up
an attempt or see anything. Only the first line is looked at: later, people may say what they like.
"""

import re
from typing import NamedTuple

from chatservice.dialects.wording import ENGLISH

BOM = b"\xef\xbb\xbf"  # which some editors begin a text with
# Bytes within which every binary protocol that we know of (RDP, SMB, SOCKS, LDAP, DNS, PostgreSQL,
# MQTT, X11, BitTorrent) has a zero beside another control character. Text may have zeros, which end
# the strings of some programs and are half of a line end in telnet, but never such a pair.
BINARY_OPENING = 32
_CONTROL = rb"[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]"
_BINARY = re.compile(rb"\0%s|%s\0" % (_CONTROL, _CONTROL))
# How protocols begin that have no lines; without blank lines before that.
_BEGINNINGS = (
    ("TLS", b"\x16\x03"),  # a record with a step of a handshake, in any version since SSL 3
    ("the PROXY protocol", b"\0\r\nQUIT\n"),  # in version 2
)


class Opening(NamedTuple):
    """How a peer begins. `text`: what it has sent, without a byte order mark. `protocol`: what it
    speaks, if it is not ours; `answer`: what it is told then."""

    text: bytes
    protocol: str = ""
    answer: bytes = b""


_LINE_END = re.compile(rb"[\r\n]")


def http_answer(text: str) -> bytes:
    """A response to any request."""
    body = f"{text}\n".encode()
    return (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    )


def _sorry(before: bytes) -> bytes:
    return before + ENGLISH.foreign.encode() + b"\r\n"


HTTP_ANSWER = http_answer(ENGLISH.foreign)
# Protocols by what their first lines are, all of the line; and what they are answered with.
_LINES = tuple(
    (protocol, re.compile(pattern, re.DOTALL), answer)
    for protocol, pattern, answer in (
        ("HTTP", rb"[A-Za-z]+ \S+ HTTP/\d(\.\d)?", HTTP_ANSWER),
        ("HTTP", rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT) [/*h]\S*", HTTP_ANSWER),
        ("RTSP", rb"[A-Z_]+ \S+ RTSP/\d\.\d", b"RTSP/1.0 400 Bad Request\r\n\r\n"),
        ("SIP or ICAP", rb"[A-Z]+ \S+ (SIP|ICAP)/\d\.\d", b""),
        ("SSH", rb"SSH-\d+\.\d+-.*", b""),
        ("SMTP", rb"(EHLO|LHLO)|(EHLO|HELO|LHLO) \S+|(?i:EHLO|HELO) \S*[.:]\S+",
         _sorry(b"554 5.7.1 ")),
        ("IMAP", rb"[A-Za-z]*\d+ (?i:CAPABILITY|STARTTLS|NOOP|LOGOUT|(LOGIN|AUTHENTICATE|ID) .*)",
         _sorry(b"* BYE ")),
        ("IRC", rb"CAP (LS|REQ|LIST|END)\b.*|(NICK|PASS) \S+|USER \S+ \S+ \S+ .*",
         _sorry(b"ERROR :")),
        ("FTP or POP3", rb"USER \S+", b""),
        ("XMPP", rb"<(\?xml|stream:stream) .*", b""),
        ("Redis", rb"\*\d+", _sorry(b"-ERR ")),
        ("rsync", rb"@RSYNCD: \d+\.\d+.*", _sorry(b"@ERROR: ")),
        ("VNC", rb"RFB \d{3}\.\d{3}", b""),
        ("the PROXY protocol", rb"PROXY (TCP4|TCP6|UNKNOWN)\b.*", b""),
    )
)  # fmt: skip


def examine(received: bytes, limit: int) -> Opening | None:
    """What a peer begins with, which has sent nothing but `received` so far; None if that is too
    little to tell. More than `limit` bytes without a line end are no other protocol's."""
    if BOM.startswith(received):
        return None
    text = received.removeprefix(BOM)
    said = text.lstrip(b"\r\n")  # blank lines say nothing
    for protocol, beginning in _BEGINNINGS:
        if said.startswith(beginning):
            return Opening(text, protocol)
    if _BINARY.search(said[:BINARY_OPENING].replace(b"\r\0", b"\r")):
        return Opening(text, "a binary protocol")
    said = said.lstrip(b"\0\r\n")
    end = _LINE_END.search(said)
    if end is None and len(text) <= limit:
        return None
    line = said[: end.start()] if end is not None else said
    for protocol, pattern, answer in _LINES:
        if pattern.fullmatch(line):
            return Opening(text, protocol, answer)
    return Opening(text)
