"""No character that a terminal obeys gets through."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.sanitize import REPLACEMENT, safe_lines, sanitize
from chatservice.server import telnet

OBEYED = {"Cc", "Zl", "Zp", "Cs"}
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_over_all_of_unicode() -> None:
    for number in range(0x110000):
        character = chr(number)
        safe = sanitize(character)
        assert len(safe) == 1
        assert unicodedata.category(safe) not in OBEYED
        assert safe not in BIDI
        if character not in (safe, "\t"):
            assert safe == REPLACEMENT
            assert unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Cn"}


def test_writing_stays_as_it_is() -> None:
    for text in ("می‌خواهم", "👩‍👩‍👧", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "naïve", "日本語　全角", "❤️", "a\u00a0b"):
        assert sanitize(text) == text


@given(st.binary())
def test_the_fast_way_agrees_with_the_slow_one(data: bytes) -> None:
    lines = safe_lines(data + b"\n")
    if lines is not None:
        slowly = [
            sanitize(line.removesuffix(b"\r").decode("utf-8", "replace"))
            for line in data.split(b"\n")
        ]
        assert lines == slowly


@given(st.binary())
def test_telnet_leaves_no_command_behind(data: bytes) -> None:
    left, reply = telnet.refuse_options(data + b"\n")
    assert b"\xff" not in left
    assert left.count(b"\n") == data.count(b"\n") + 1  # and every line ends where it did
    assert len(reply) <= 3 * data.count(b"\xff")
    assert telnet.refuse_options(reply)[1] == b""


@given(st.binary(), st.integers(0, 100))
def test_telnets_sequences_may_come_in_pieces(data: bytes, cut: int) -> None:
    whole, reply = telnet.refuse_options(data + b"\n")
    first, reply_to_first = telnet.refuse_options(data[:cut])
    second, reply_to_second = telnet.refuse_options(first + data[cut:] + b"\n")
    assert second == whole
    assert reply_to_first + reply_to_second == reply


def test_telnets_commands_are_taken_out() -> None:
    for data, left, reply in (
        (b"plain", b"plain", b""),
        (b"\xff\xfb\x01a", b"a", b"\xff\xfe\x01"),
        (b"\xff\xfd\x06a", b"a", b"\xff\xfc\x06"),
        (b"\xff\xfc\x06\xff\xfe\x01a", b"a", b""),
        (b"a\xff\xfa\x18\x00xterm\xff\xff\xff\xf0b", b"ab", b""),
        (b"a\xff\xf4b\xff\n", b"ab\n", b""),
        (b"a\xff\xfd", b"a\xff\xfd", b""),  # the rest of it is still to come
        (b"\xff\xfahello\nworld\n", b"\nworld\n", b""),
    ):
        assert telnet.refuse_options(data) == (left, reply)
