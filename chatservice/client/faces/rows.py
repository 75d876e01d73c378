"""Lines as a terminal shows them: how wide they are, and where they go on in the next row."""

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

Piece = tuple[str, str]  # style, text

# Rows that continue a line begin with it: nothing that somebody says can stand where lines begin,
# and pass for one of the server's.
INDENT = "  "
MIN_COLUMNS = 10  # of a terminal on which that has a use
CUT = "…"


# Trigrams, hexagrams and counting rods became wide in Unicode 16. Two letters that make a flag are
# counted as if they did not.
_WIDE = re.compile(
    "[\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff\U0001d300-\U0001d376\U0001f1e6-\U0001f1ff]"
)
_JOINERS = "\u200c\u200d"
_WORD = re.compile(r" +|[^ \n]+")  # or the blanks between two


@lru_cache(maxsize=8192)
def _columns(character: str) -> int:
    category = unicodedata.category(character)
    if category in ("Mn", "Me") or character in _JOINERS:
        return 0
    # What this Python's Unicode does not know yet may be wide: most of what is new is emoji.
    wide = category == "Cn" or unicodedata.east_asian_width(character) in ("W", "F")
    return 2 if wide or _WIDE.match(character) else 1


def width(text: str) -> int:
    """How many columns `text` takes; in doubt, rather too many. Takes time in proportion to it."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """`text`, cut to so many columns."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - width(CUT)
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept += character
    return (kept + CUT)[:columns]


def wrap(pieces: list[Piece], columns: int) -> list[Piece]:
    """`pieces`, which may hold several lines, with each line broken into rows of at most so many
    columns: between words, if they are not longer than a row."""
    if columns < MIN_COLUMNS:
        return pieces
    wrapped: list[Piece] = []
    for line in _lines(pieces):
        wrapped += _rows(line, columns)
    return wrapped


def _lines(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Each with its end, if it has one."""
    line: list[Piece] = []
    for style, text in pieces:
        for part in text.splitlines(keepends=True):
            line.append((style, part))
            if part.endswith("\n"):
                yield line
                line = []
    if line:
        yield line


def _rows(line: list[Piece], columns: int) -> list[Piece]:
    text = "".join(part for _, part in line)
    if width(text) <= columns:
        return line
    breaks = deque(_breaks(text, columns))
    rows: list[Piece] = []
    place = 0
    for style, part in line:
        begin = place
        place += len(part)
        while breaks and begin <= breaks[0] < place:
            rows.append((style, text[begin : breaks[0]].rstrip(" ")))
            rows.append(("", "\n" + INDENT))
            begin = breaks.popleft()
        rows.append((style, text[begin:place]))
    return rows


def _breaks(text: str, columns: int) -> Iterator[int]:
    """Where rows begin, but for the first. Blanks at the end of a row may stand beyond it."""
    used = 0  # of this row
    for found in _WORD.finditer(text):
        word, begin = found[0], found.start()
        its = width(word)
        if used + its <= columns or word[0] == " ":
            used += its
        elif len(INDENT) + its <= columns:
            yield begin
            used = len(INDENT) + its
        else:  # it is longer than a row
            for place, character in enumerate(word, begin):
                its = _columns(character)
                if used + its > columns:
                    yield place
                    used = len(INDENT)
                used += its
