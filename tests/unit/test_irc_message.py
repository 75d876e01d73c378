"""IRC's lines: what is serialised is parsed again, and no input is a fault."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.dialects.irc.message import (
    MAX_CLIENT_TAGS,
    MAX_LINE,
    MAX_PARAMETERS,
    MAX_TAGS,
    BadMessage,
    Message,
    cut,
    pack,
    parse,
    parse_tags,
    serialise,
    serialise_tags,
    split,
)

INPUTS = 1_000_000 if os.environ.get("CHAT_FAULTS") == "long" else 20_000

WORDS = st.text(
    st.characters(exclude_characters=" \r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda word: not word.startswith(":"))
TRAILING = st.text(
    st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40
)
KEYS = st.from_regex(r"\+?[a-z0-9/.-]{1,10}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    command=st.from_regex(r"[A-Z]{1,10}|[0-9]{3}", fullmatch=True),
    middle=st.lists(WORDS, max_size=5),
    last=TRAILING,
    source=st.one_of(st.just(""), WORDS),
    tags=st.dictionaries(KEYS, VALUES, max_size=4),
)
def test_what_is_serialised_is_parsed_again(
    command: str, middle: list[str], last: str, source: str, tags: dict[str, str]
) -> None:
    line = serialise(command, *middle, last, source=source, tags=tags)
    assert line.endswith(b"\r\n")
    assert line.count(b"\n") == 1
    assert parse(line[:-1]) == Message(command, (*middle, last), source, tags)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"PING x", Message("PING", ("x",))),
        (b"ping :x y\r", Message("PING", ("x y",))),
        (b":a!b@c PRIVMSG #d ::-) ", Message("PRIVMSG", ("#d", ":-) "), "a!b@c")),
        (b"USER a 0 * :", Message("USER", ("a", "0", "*", ""))),
        (b"@a=1;b;+c/d=\\:\\s\\\\\\r\\n\\x\\ CAP  LS   302 ", Message("CAP", ("LS", "302"))),
        (b"   NICK a", Message("NICK", ("a",))),
        (b"MODE  #a   +i", Message("MODE", ("#a", "+i"))),
        ("PRIVMSG سارا :سلام".encode(), Message("PRIVMSG", ("سارا", "سلام"))),
    ],
)
def test_how_lines_are_read(line: bytes, message: Message) -> None:
    found = parse(line)
    assert found is not None
    assert found._replace(tags={}) == message._replace(tags={})


def test_tags_are_unescaped() -> None:
    found = parse(b"@a=1;b;+c/d=\\:\\s\\\\\\r\\n\\x\\ X")
    assert found is not None
    assert found.tags == {"a": "1", "b": "", "+c/d": "; \\\r\nx"}


@pytest.mark.parametrize("line", [b"", b"\r", b"   ", b"@a=b", b"@a ", b":source", b":source "])
def test_a_line_without_a_command_is_nothing(line: bytes) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"PRIVMSG #a :\xff", "INVALID_UTF8"),
        (b"PRIVMSG #a :\xed\xa0\x80", "INVALID_UTF8"),
        (b"@a=\xc0\xaf X", "INVALID_UTF8"),
        (b"A" * (MAX_LINE - 1), "LINE_TOO_LONG"),
        (b"@" + b"a" * MAX_CLIENT_TAGS + b" X", "TAGS_TOO_LONG"),
        (b"PRIV\0MSG", "INVALID_MESSAGE"),
        (b"PRIVMSG a :b\0c", "INVALID_MESSAGE"),
        (b"PRIVMSG a :b\rc", "INVALID_MESSAGE"),
        (b":a\0b PRIVMSG a :b", "INVALID_MESSAGE"),
        ("ÄB c".encode(), "INVALID_MESSAGE"),
        (b"12 c", "INVALID_MESSAGE"),
    ],
)
def test_what_is_no_message_is_refused_with_a_code(line: bytes, code: str) -> None:
    with pytest.raises(BadMessage) as refused:
        parse(line)
    assert refused.value.code == code


def test_a_line_may_be_as_long_as_the_limit_beside_its_tags() -> None:
    line = b"@" + b"a" * (MAX_CLIENT_TAGS - 2) + b" " + b"A" * (MAX_LINE - 2)
    found = parse(line)
    assert found is not None
    assert found.command == "A" * (MAX_LINE - 2)


def test_the_label_of_a_bad_line_is_known() -> None:
    with pytest.raises(BadMessage) as refused:
        parse(b"@label=x PRIVMSG #a :\xaa")
    assert refused.value.tags == {"label": "x"}


def test_more_parameters_than_fit_are_the_last_one() -> None:
    found = parse(b"X " + b" ".join(b"%d" % n for n in range(20)) + b" :end of it")
    assert found is not None
    assert len(found.parameters) == MAX_PARAMETERS
    assert found.parameters[-1].startswith("14 15")
    assert found.parameters[-1].endswith(":end of it")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600), st.integers(0, 600))
def test_what_is_cut_off_is_never_within_a_character(text: str, size: int) -> None:
    data = text.encode()
    part = cut(data, size)
    assert len(part) <= size
    assert data.startswith(part)
    part.decode()
    assert len(data) <= size or size - len(part) < 4


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=900), st.integers(8, 500))
def test_pieces_fit_and_are_the_text_when_joined(text: str, size: int) -> None:
    pieces = split(text, size)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= size for piece in pieces)
    assert all(pieces) or pieces == [""]


def test_pieces_end_between_words() -> None:
    assert split("one two three four", 10) == ["one two ", "three four"]
    assert split("سلام دنیا", 12) == ["سلام ", "دنیا"]


@given(st.lists(st.text("aسد👋", min_size=1, max_size=20)), st.integers(1, 60))
def test_packed_words_are_all_there_in_order(words: list[str], size: int) -> None:
    pieces = list(pack(words, size, ","))
    assert [word for piece in pieces for word in piece.split(",")] == words
    assert all(len(piece.encode()) < size or "," not in piece for piece in pieces)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_tags_are_read_as_they_were_written(tags: dict[str, str]) -> None:
    written = serialise_tags(tags).decode()
    assert parse_tags(written[1:-1]) == tags if tags else not written


def test_tags_that_do_not_fit_are_left_out() -> None:
    tags = {"first": "1", "large": "x" * MAX_TAGS, "last": "2"}
    assert serialise_tags(tags) == b"@first=1 "


def test_a_line_that_is_sent_is_never_too_long() -> None:
    line = serialise("PRIVMSG", "#a", "ü" * 600, source="x" * 33)
    assert len(line) <= MAX_LINE
    line.decode()


def test_nothing_that_is_sent_can_end_a_line() -> None:
    line = serialise("TOPIC", "#a", "one\r\nQUIT :two\0", source="a")
    assert line == b":a TOPIC #a :one  QUIT :two \r\n"


def test_no_input_is_a_fault() -> None:
    """Messages as clients write them, most of them damaged somewhere; and lines of anything. A good
    part is read as messages, which say the same when they are written and read again."""
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    found = sum(is_read_alike(any_line(dice)) for _ in range(INPUTS))
    print(found, "of", INPUTS, "were messages")
    assert found > INPUTS // 3


def is_read_alike(line: bytes) -> bool:
    """Whether it is a message; the parser may turn it away, and do nothing else."""
    try:
        found = parse(line)
    except BadMessage:
        return False
    if found is None:
        return False
    again = serialise(found.command, *found.parameters, source=found.source, tags=found.tags)
    assert again.endswith(b"\r\n"), line
    assert b"\n" not in again[:-2], line
    if len(again) < MAX_LINE:  # else it may have been cut off
        assert parse(again[:-1]) == found, line
    return True


SIGNS = (
    *(b"@", b":", b" ", b";", b"=", b"\\", b"\r", b"\0", b"  :", b"\xff", b"\xd8", b"+", b" :"),
    *("س".encode(), b"PRIVMSG", b"001", b"label=x", b"a" * 300, b"\\:", b"@@", b"::", b"\xe2\x80"),
)
COMMANDS = (b"PRIVMSG", b"join", b"Mode", b"001", b"TAGMSG", b"CAP", b"USER", b"X", b"TOPIC")
TAGS = (
    b"label=x",
    b"+typing=active",
    b"a",
    b"b=",
    b"+c/d=\\s\\:\\\\",
    "e=سلام".encode(),
    b";",
    b"=f",
)
ARGUMENTS = (b"#a", "سارا".encode(), b"*", b"+o-b", b"a!b@c", b"LS", "👋".encode(), b"-", b"x:y")
TEXT = (b"hello", "سلام دنیا".encode(), b"", b":-)", b"\1ACTION x\1", b"\x0304,01red", b"  two  ")


def any_line(dice: random.Random) -> bytes:
    """Seven of ten are messages of all shapes, of which every third has something put in, left out
    or cut off; the others are made of what matters to the parser, or of anything."""
    kind = dice.random()
    if kind > 0.9:
        return dice.randbytes(dice.randrange(40)).replace(b"\n", b"")
    if kind > 0.7:
        return b"".join(dice.choices(SIGNS, k=dice.randrange(12)))
    space = b" " * dice.choice((1, 1, 1, 2, 3))
    words = [dice.choice(COMMANDS), *dice.choices(ARGUMENTS, k=dice.choice((0, 1, 1, 2, 3, 16)))]
    if dice.random() < 0.4:
        words.insert(0, b":" + dice.choice(ARGUMENTS))
    if dice.random() < 0.4:
        words.insert(0, b"@" + b";".join(dice.choices(TAGS, k=dice.randrange(1, 4))))
    if dice.random() < 0.6:
        words.append(b":" + dice.choice(TEXT))
    line = space.join(words) + dice.choice((b"", b"\r"))
    if kind > 0.45:
        place, end = dice.randrange(len(line)), dice.randrange(4)
        line = line[:place] + dice.choice((b"", *SIGNS)) + line[place + end :]
    return line
