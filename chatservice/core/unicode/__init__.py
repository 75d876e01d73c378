"""What a text looks like, and in which scripts it is written, by Unicode's own tables.

UTS 39 (https://www.unicode.org/reports/tr39/) defines skeletons, UAX 24 the scripts. `tables` has
the data and says of which version; tools/unicode_tables.py makes it.
"""

import unicodedata
from bisect import bisect

from chatservice.core.unicode import tables

UNICODE_VERSION = tables.UNICODE_VERSION

_PROTOTYPES = dict(zip(map(ord, tables.LOOK_ALIKES), tables.PROTOTYPES.split("\n"), strict=True))
_SCRIPT_SETS = tuple(frozenset(names.split()) for names in tables.SCRIPT_SETS.split("\n"))


def skeleton(text: str) -> str:
    """Two texts look alike when their skeletons are equal (UTS 39, section 4). A skeleton is for
    comparing only. It costs O(n²) for a text of n combining marks, so bound a text before."""
    decomposed = unicodedata.normalize("NFD", text)
    shown = "".join(character for character in decomposed if not is_ignorable(character))
    return unicodedata.normalize("NFD", shown.translate(_PROTOTYPES))


def scripts(character: str) -> frozenset[str]:
    """The scripts that a character is used with (its Script_Extensions), by their long names. One
    that is used with any script has ``Common`` or ``Inherited``."""
    value = tables.SCRIPT_VALUES[bisect(tables.SCRIPT_STARTS, character) - 1]
    return _SCRIPT_SETS[ord(value)]


def is_ignorable(character: str) -> bool:
    """Whether nothing is shown for it by default: joiners, variation selectors and the like."""
    return bisect(tables.IGNORABLE, character) % 2 == 1
