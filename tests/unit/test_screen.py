"""No character that a terminal obeys gets through."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.sanitize import REPLACEMENT, safe_lines, sanitize
from chatservice.server.telnet import OptionFilter

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


def without_options(*pieces: bytes) -> tuple[bytes, bytes]:
    """The text in a stream that comes in these pieces, and the answer to its options."""
    options = OptionFilter()
    fed = [options.feed(piece) for piece in pieces]
    return b"".join(text for text, _, _ in fed), b"".join(reply for _, reply, _ in fed)


@given(st.binary())
def test_telnet_leaves_no_command_behind(data: bytes) -> None:
    left, reply = without_options(data + b"\n")
    assert b"\xff" not in left
    assert left.count(b"\n") == data.count(b"\n") + 1  # and every line ends where it did
    assert len(reply) <= 3 * data.count(b"\xff")
    assert without_options(reply)[1] == b""


TELNET = st.lists(st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xfb", b"\x01", b"a", b"\n"])).map(
    b"".join
)


@given(TELNET | st.binary(), st.integers(0, 20), st.integers(1, 20))
def test_telnets_sequences_may_come_in_pieces(data: bytes, first: int, size: int) -> None:
    rest = range(first, len(data), size)
    assert without_options(data[:first], *(data[start:][:size] for start in rest)) == (
        without_options(data)
    )


@pytest.mark.parametrize(
    ("data", "left", "reply"),
    [
        (b"plain", b"plain", b""),
        (b"\xff\xfb\x01a", b"a", b"\xff\xfe\x01"),
        (b"\xff\xfd\x06a", b"a", b"\xff\xfc\x06"),
        (b"\xff\xfc\x06\xff\xfe\x01a", b"a", b""),
        (b"a\xff\xfa\x18\x00xterm\xff\xff\xff\xf0b", b"ab", b""),
        (b"a\xff\xf4b\xff\n", b"ab\n", b""),
        (b"a\xff\xfd", b"a", b""),  # the rest of it is still to come
        (b"\xff\xfahello\nworld\n", b"\nworld\n", b""),
        (b"\xff\xfahello\xff\nworld\n", b"\nworld\n", b""),
    ],
)
def test_telnets_commands_are_taken_out(data: bytes, left: bytes, reply: bytes) -> None:
    assert without_options(data) == (left, reply)
