"""Which characters may reach somebody's terminal, or a log."""

import re
import unicodedata

# What can move a cursor, hide text, or turn its direction around:
_UNSAFE_CHARACTERS = (
    "\x00-\x1f\x7f-\x9f"  # C0 (ESC, BEL, CR, tab ...), DEL and C1 (CSI as one character)
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # Bidi_Control, and the deprecated formatting
    "\u2028\u2029"  # line and paragraph separator
    "\u180e\u200b\u2060-\u2065\ufeff"  # invisible, and no script needs them
    "\ufff9-\ufffb\ufffe\uffff"  # interlinear annotation, non-characters
    "\ud800-\udfff"  # halves of surrogate pairs, from escapes in JSON
    "\U000e0000-\U000e001f"  # language tags (the rest of the block makes flags)
)
# Zero-width joiner and non-joiner stay: Persian and emoji need them.
_UNSAFE = re.compile(f"[{_UNSAFE_CHARACTERS}]")
_UNSAFE_BUT_LINE_ENDS = re.compile(f"(?![\r\n])[{_UNSAFE_CHARACTERS}]")
_UNSAFE_ASCII_BUT_LINE_ENDS = bytes(set(range(32)) - set(b"\r\n")) + b"\x7f"

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Marks, joiners and the like one after the other. No writing needs so many; normalising a pile of
# them takes time that grows with its square, and what draws it piles it over other lines.
MAX_MARKS = 8
_PILE = re.compile(f"(?:Mn|Me|Cf){{{MAX_MARKS + 1},}}")


def sanitize(text: str) -> str:
    """A line with a space for each tab and U+FFFD for each other character that is not safe."""
    return _UNSAFE.sub(REPLACEMENT, text.replace("\t", " "))


def erased(text: str) -> str:
    """A line as it was meant: each backspace or DEL takes the character before it away. A terminal
    does that by itself, unless its keys are sent one by one."""
    if "\b" not in text and "\x7f" not in text:
        return text
    kept: list[str] = []
    for character in text:
        if character not in "\b\x7f":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)


def safe_lines(data: bytes) -> list[str] | None:
    """The lines of `data`, each of which ends with LF or CRLF, if nothing in them is unsafe.

    None: `data` is not UTF-8, or needs sanitising. This stands on the path of every message, so it
    makes a few passes in C over all of the lines (1 to 2 ns a byte) and none in Python.
    """
    if data.isascii():
        if len(data.translate(None, _UNSAFE_ASCII_BUT_LINE_ENDS)) != len(data):
            return None
        text = data.decode("ascii")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        if _UNSAFE_BUT_LINE_ENDS.search(text):
            return None
    lines = text.splitlines()
    has_lone_cr = len(lines) != data.count(b"\n")
    return None if has_lone_cr else lines


def limit_marks(text: str) -> str:
    """`text` without the combining marks, and other characters that take no room, that come after
    MAX_MARKS of them. Takes time in proportion to the text."""
    if text.isascii():
        return text
    kept, begin = [], 0
    for pile in _PILE.finditer("".join(map(unicodedata.category, text))):
        kept.append(text[begin : pile.start() // 2 + MAX_MARKS])
        begin = pile.end() // 2
    return "".join((*kept, text[begin:]))
