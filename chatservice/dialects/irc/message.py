"""An IRC message, and its line: a parser and a serialiser. No input makes the parser raise anything
but `BadMessage`.

See RFC 1459, section 2.3, and https://ircv3.net/specs/extensions/message-tags.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

# Bytes in a line, with its CR LF and without its tags (RFC 1459, 2.3).
MAX_LINE = 512
# Bytes of tags, with the @ before them and the space after them: those that a client may send, and
# all that a server sends with its own (message-tags, "Size limits").
MAX_CLIENT_TAGS = 4096
MAX_TAGS = 8191
MAX_PARAMETERS = 15

# Commands whose last parameter is a text. It always has its colon: there are clients that look for
# that.
TEXTS = frozenset(
    ("PRIVMSG", "NOTICE", "TOPIC", "QUIT", "KICK", "AWAY", "ERROR", "FAIL", "332", "353")
)

NO_TAGS: Mapping[str, str] = MappingProxyType({})

_ESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPED = str.maketrans({value: "\\" + key for key, value in _ESCAPES.items()})
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_COMMAND = re.compile(r"[A-Za-z]+|[0-9]{3}")
_NOT_IN_LINES = re.compile(r"[\r\n\0]")


class BadMessage(ValueError):
    """A line is not a message; `code` says why, as in a standard reply's second parameter."""

    def __init__(self, code: str, tags: Mapping[str, str] = NO_TAGS) -> None:
        super().__init__(code)
        self.code = code
        self.tags = tags  # those that could be read


class Message(NamedTuple):
    """`source` is who sent it, as in ``nick!user@host``. The command is in capitals."""

    command: str
    parameters: tuple[str, ...] = ()
    source: str = ""
    tags: Mapping[str, str] = NO_TAGS


def parse(line: bytes) -> Message | None:
    """The message in `line`, which holds no LF; None if there is none. Raises `BadMessage`:
    INVALID_UTF8, TAGS_TOO_LONG, LINE_TOO_LONG, INVALID_MESSAGE."""
    line = line.removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadMessage("INVALID_UTF8", _readable_tags(line)) from None
    tags = NO_TAGS
    text = text.lstrip(" ")
    if text.startswith("@"):
        written, _, text = text.partition(" ")
        if len(written.encode()) >= MAX_CLIENT_TAGS:
            raise BadMessage("TAGS_TOO_LONG")
        tags = parse_tags(written[1:])
        text = text.lstrip(" ")
    if len(text.encode()) > MAX_LINE - 2:
        raise BadMessage("LINE_TOO_LONG", tags)
    is_clean = not _NOT_IN_LINES.search(text)
    source = ""
    if text.startswith(":"):
        source, _, text = text[1:].partition(" ")
        text = text.lstrip(" ")
    if not text:
        return None
    front, colon, last = text.partition(" :")
    command, *parameters = [word for word in front.split(" ") if word] or [""]
    if not (is_clean and _COMMAND.fullmatch(command)):
        raise BadMessage("INVALID_MESSAGE", tags)
    if len(parameters) >= MAX_PARAMETERS:
        head, rest = parameters[: MAX_PARAMETERS - 1], parameters[MAX_PARAMETERS - 1 :]
        parameters = [*head, " ".join(rest) + (colon + last)]
    elif colon:
        parameters.append(last)
    return Message(command.upper(), tuple(parameters), source, tags)


def parse_tags(written: str) -> dict[str, str]:
    """Tags as they are written, without the @; a tag without a value has an empty one."""
    tags = {}
    for item in written.split(";"):
        key, _, value = item.partition("=")
        if key:
            tags[key] = _ESCAPE.sub(_unescaped, value)
    return tags


def _readable_tags(line: bytes) -> Mapping[str, str]:
    written, space, _ = line.partition(b" ")
    if not (space and written.startswith(b"@") and len(written) < MAX_CLIENT_TAGS):
        return NO_TAGS
    return parse_tags(written[1:].decode("utf-8", "replace"))


def serialise(
    command: str,
    *parameters: str,
    source: str = "",
    tags: Mapping[str, str] = NO_TAGS,
) -> bytes:
    """The line, with its end. Only the last parameter may be empty, have spaces, or begin with a
    colon. What is too long for a line is cut off, between two characters."""
    words = [f":{source}", command] if source else [command]
    if parameters:
        *middle, last = parameters
        words += middle
        needs_colon = command in TEXTS or not last or last[0] == ":" or " " in last
        words.append(f":{last}" if needs_colon else last)
    line = _NOT_IN_LINES.sub(" ", " ".join(words)).encode()
    return serialise_tags(tags) + cut(line, MAX_LINE - 2) + b"\r\n"


def serialise_tags(tags: Mapping[str, str]) -> bytes:
    """The tags before a line, as far as they fit: the first are the most important."""
    written, size = [], 2
    for key, value in tags.items():
        item = (f"{key}={value.translate(_ESCAPED)}" if value else key).encode()
        size += len(item) + 1
        if size <= MAX_TAGS:
            written.append(item)
    return b"@" + b";".join(written) + b" " if written else b""


def cut(data: bytes, size: int) -> bytes:
    """At most `size` bytes of `data`, which is UTF-8, without a piece of a character at its end."""
    if len(data) <= size:
        return data
    while size and data[size] & 0xC0 == 0x80:
        size -= 1
    return data[:size]


def split(text: str, size: int) -> list[str]:
    """`text` in pieces of at most `size` bytes: between words where that is possible, and never
    within a character. Joined, they are `text`."""
    pieces = []
    data = text.encode()
    while len(data) > size:
        piece = cut(data, size)
        if (space := piece.rfind(b" ")) > 0:
            piece = piece[: space + 1]
        pieces.append(piece.decode())
        data = data[len(piece) :]
    pieces.append(data.decode())
    return pieces


def pack(words: Iterable[str], size: int, separator: str) -> Iterator[str]:
    """`words`, joined in order by the `separator` (one byte) into pieces that have room for `size`
    bytes with a separator after each word. A longer word has a piece to itself."""
    piece: list[str] = []
    used = 0
    for word in words:
        length = len(word.encode()) + 1
        if piece and used + length > size:
            yield separator.join(piece)
            piece, used = [], 0
        piece.append(word)
        used += length
    if piece:
        yield separator.join(piece)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])
