"""WebSocket frames: the cases of Autobahn's test suite that matter to a server that takes text."""

import random

import pytest

from chatservice.core.events import Answered, Closed, CloseReason, Emoted, Said
from chatservice.dialects.frames import JSON_FRAMES, text_frame
from chatservice.server.web.frames import (
    Frame,
    FrameReader,
    Part,
    PeerClosed,
    Pinged,
    Text,
    Violated,
)
from tests.support.websockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LIMIT = 8192


def frames_in(*chunks: bytes) -> list[Frame]:
    """All that is read of these, but what asks for nothing."""
    reader = FrameReader(LIMIT)
    read: list[Frame] = []
    for chunk in chunks:
        reader.feed(chunk)
        while (one := reader.read()) is not None:
            if not isinstance(one, Part):
                read.append(one)
    return read


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, LIMIT])
def test_a_message_of_any_size_up_to_the_limit_arrives(size: int) -> None:
    text = b"x" * size
    assert frames_in(frame(TEXT, text)) == [Text(text)]


def test_a_message_arrives_however_its_bytes_are_cut() -> None:
    data = frame(TEXT, "κόσμε 👋".encode()) + frame(PING, b"?") + frame(TEXT, b"two")
    expected = [Text("κόσμε 👋".encode()), Pinged(b"?"), Text(b"two")]
    assert frames_in(*(data[i : i + 1] for i in range(len(data)))) == expected


def test_fragments_are_one_message_and_a_ping_may_come_between_them() -> None:
    assert frames_in(
        frame(TEXT, b"\xce", fin=False)
        + frame(PING, b"x" * 125)
        + frame(CONTINUATION, b"", fin=False)
        + frame(PONG, b"unasked")
        + frame(CONTINUATION, b"\xba")
    ) == [Pinged(b"x" * 125), Text("κ".encode())]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"x", mask=None), id="no mask"),
        pytest.param(frame(PING, mask=None), id="a ping without a mask"),
        pytest.param(frame(PING, b"x" * 126), id="a ping of 126 bytes"),
        pytest.param(frame(CLOSE, b"x" * 126), id="a close of 126 bytes"),
        pytest.param(frame(PING, fin=False), id="a ping in fragments"),
        pytest.param(frame(CONTINUATION, b"x"), id="nothing to continue"),
        pytest.param(frame(TEXT, fin=False) + frame(TEXT), id="a message within a message"),
        *(pytest.param(frame(code), id=f"opcode {code}") for code in (3, 4, 5, 6, 7, 11, 12, 15)),
        *(
            pytest.param(bytes([frame(TEXT)[0] | bit]) + frame(TEXT)[1:], id=f"reserved bit {bit}")
            for bit in (0x10, 0x20, 0x40)
        ),
        pytest.param(b"\x81\xfe\x00\x05\1\2\3\4hello", id="a length longer than need be"),
        pytest.param(b"\x81\xff" + b"\xff" * 8 + b"\1\2\3\4", id="a length of 2**64"),
        pytest.param(frame(CLOSE, b"\x03"), id="half a code"),
        *(
            pytest.param(closing(code), id=f"code {code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
        ),
    ],
)
def test_what_the_protocol_does_not_allow_ends_with_1002(data: bytes) -> None:
    assert frames_in(data, frame(TEXT, b"never read")) == [Violated(1002)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"), id="a surrogate"),
        pytest.param(frame(TEXT, b"\xf4\x90\x80\x80"), id="beyond Unicode"),
        pytest.param(frame(TEXT, b"\xc0\xaf"), id="longer than need be"),
        pytest.param(frame(TEXT, b"\xce"), id="half a character"),
        pytest.param(frame(TEXT, b"\xff", fin=False), id="in a fragment, at once"),
        pytest.param(
            frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b"x"), id="between fragments"
        ),
        pytest.param(closing(1000, b"\xff"), id="in the reason for a close"),
    ],
)
def test_what_is_not_utf_8_ends_with_1007(data: bytes) -> None:
    assert frames_in(data, frame(TEXT, b"never read")) == [Violated(1007)]


def test_a_binary_message_ends_with_1003() -> None:
    assert frames_in(frame(BINARY, b"x")) == [Violated(1003)]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([frame(TEXT, b"x" * (LIMIT + 1))], id="one frame"),
        pytest.param(
            [b"\x81\xff" + (100 << 20).to_bytes(8, "big") + bytes(LIMIT + 5)], id="100 MB"
        ),
        pytest.param([frame(TEXT, "é".encode() * (LIMIT // 2 + 1))], id="bytes, not characters"),
        pytest.param(
            [frame(TEXT, b"x", fin=False)] + [frame(CONTINUATION, b"x", fin=False)] * LIMIT,
            id="fragments",
        ),
    ],
)
def test_a_message_over_the_limit_ends_with_1009_before_all_of_it_has_come(
    chunks: list[bytes],
) -> None:
    assert frames_in(*chunks, frame(TEXT, b"never read")) == [Violated(1009)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 3000, 3999, 4000, 4999])
def test_a_peer_may_close_with_a_code(code: int) -> None:
    assert frames_in(closing(code, "bye é".encode()), frame(TEXT, b"late")) == [PeerClosed(code)]


def test_a_peer_may_close_without_one() -> None:
    assert frames_in(frame(CLOSE)) == [PeerClosed(1005)]


def test_a_million_empty_fragments_leave_nothing_behind() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 20_000)
    while reader.read() is not None:
        pass
    assert reader._parts == []


def test_whatever_comes_is_read_or_refused() -> None:
    dice = random.Random(18)
    for _ in range(2000):
        data = dice.randbytes(dice.randrange(1, 40))
        for one in frames_in(frame(TEXT, b"x", fin=False), data):
            if isinstance(one, Violated):
                assert one.code in (1002, 1003, 1007, 1009)


@pytest.mark.parametrize(
    ("size", "head"),
    [(125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (1 << 16, b"\x81\x7f" + b"\0\0\0\0\0\1\0\0")],
)
def test_the_servers_frames_have_the_shortest_length(size: int, head: bytes) -> None:
    assert text_frame(bytes(size)) == head + bytes(size)


def test_what_is_said_at_once_is_one_frame_with_a_line_each() -> None:
    said = Said(3, 0.0, "lobby", "Alice", "hi")
    emoted = Emoted(4, 0.0, "lobby", "Alice", "waves")
    assert JSON_FRAMES.render(said).count(b"\x81") == 1
    assert not JSON_FRAMES.render(emoted).endswith(b"\n")


@pytest.mark.parametrize(
    ("reason", "code"),
    [(CloseReason.EXIT, 1000), (CloseReason.SHUTDOWN, 1001), (CloseReason.LONG_LINE, 1009)],
)
def test_the_last_word_is_followed_by_a_close(reason: CloseReason, code: int) -> None:
    for last in (Closed("Alice", reason), Answered(Closed("Alice", reason), "r")):
        assert JSON_FRAMES.render_personal(last).endswith(b"\x88\x02" + code.to_bytes(2, "big"))
