"""Text as Tk can show it.

Xft learned of fonts with colours in 2.3.5; before that, one emoji from such a font is an error of
the X server, and the end of the program.
"""

import ctypes
import re
from functools import cache

from chatservice.desktop.shaping import shown as turned

FIRST_WITH_COLOURS = 20305
BOX = "\N{WHITE SQUARE}"
# What comes from a font with colours if there is one: Emoji_Presentation, and its neighbours.
_COLOURED = re.compile(
    "[\u231a\u231b\u23e9-\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab"
    "\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b"
    "\u2728\u274c\u274e\u2753-\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f000-\U0001faff]"
)


def shown(text: str) -> str:
    """`text` as Tk must be given it to look right."""
    if text.isascii():
        return text
    return turned(text if has_colours() else without_colours(text))


def without_colours(text: str) -> str:
    """`text` with a box for each character that may have colours."""
    return _COLOURED.sub(BOX, text)


@cache
def has_colours() -> bool:
    """Whether the installed Xft supports colour fonts. True if there is none for Tk to use."""
    try:
        xft = ctypes.CDLL("libXft.so.2")
    except OSError:
        return True
    version: int = xft.XftGetVersion()
    return version >= FIRST_WITH_COLOURS
