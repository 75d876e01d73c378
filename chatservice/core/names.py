"""Which usernames are allowed, and when two of them are too alike to be told apart.

A name is what RFC 8265's UsernameCasePreserved profile makes of it, 1 to 32 characters, less the
punctuation that means something in a line of chat, and written in one script or in a mixture that
UTS 39 calls highly restrictive (Latin beside Chinese, Japanese or Korean). Names collide when they
differ only in case, width or normal form, or in characters that look alike (the tables of UTS 39,
section 4).

What this does not catch: likenesses that depend on the typeface and are not in Unicode's tables
(``vv`` for ``w``, ``cl`` for ``d``), names that differ by an accent (``Rene``, ``René``), by a
doubled letter or by meaning (``Bob``, ``Bob2``, ``RealBob``).
"""

import re
import unicodedata

from precis_i18n import get_profile

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.unicode import scripts, skeleton

MAX_LENGTH = 32  # characters: twice what IRC networks allow, and still a word in a line of chat

_PROFILE = get_profile("UsernameCasePreserved")
_PUNCTUATION = frozenset("*:/@#,;\"'`()[]{}<>")  # comma and semicolon: names are listed
_LIKE_COLONS = frozenset("\N{MODIFIER LETTER TRIANGULAR COLON}\N{MODIFIER LETTER COLON}")
_QUOTES_AND_BRACKETS = frozenset(("Ps", "Pe", "Pi", "Pf"))
_NOT_FIRST = re.compile(r"[\d-]")
_MAX_MARKS = 4  # in a row: UTS 39, section 5.4
_OF_ANY_SCRIPT = frozenset(("Common", "Inherited"))
# UTS 39, section 5.2: "Highly Restrictive", beside a single script.
_MIXTURES = (
    frozenset({"Latin", "Han", "Hiragana", "Katakana"}),
    frozenset({"Latin", "Han", "Bopomofo"}),
    frozenset({"Latin", "Han", "Hangul"}),
)


def checked(name: str) -> str:
    """The form in which `name` is shown and kept; ``checked(checked(n)) == checked(n)``.

    Raises `Refusal` with one of the ``NAME_`` reasons.
    """
    name = name.strip(" ")
    if not name:
        raise Refusal(ErrorCode.NAME_EMPTY)
    name = _enforced(name)
    if len(name) > MAX_LENGTH:
        raise Refusal(ErrorCode.NAME_TOO_LONG, limit=MAX_LENGTH)
    for character in name:
        if (
            character in _PUNCTUATION | _LIKE_COLONS
            or unicodedata.category(character) in _QUOTES_AND_BRACKETS
        ):
            raise _refused_character(character)
    if _NOT_FIRST.match(name) or unicodedata.category(name[0]).startswith("M"):
        raise Refusal(ErrorCode.NAME_START)
    if _piles_up_marks(name):
        raise Refusal(ErrorCode.NAME_MARKS)
    if not _is_safe_mixture(name) or _mixes_digits(name):
        raise Refusal(ErrorCode.NAME_MIXED)
    if not keys(name).isdisjoint(_RESERVED):
        raise Refusal(ErrorCode.NAME_RESERVED, name=name)
    return name


def keys(name: str) -> frozenset[str]:
    """Two checked names collide when they share a key.

    There are two, because case and likeness do not commute: ``paypaI`` is like ``paypal`` only
    before its capital I is folded, and Cyrillic ``ІВМ`` is like ``ibm`` only after.
    """
    return frozenset((skeleton(name.casefold()), skeleton(name).casefold()))


def _enforced(name: str) -> str:
    if len(name) > 4 * MAX_LENGTH:  # NFC makes a name shorter, though not by so much
        raise Refusal(ErrorCode.NAME_TOO_LONG, limit=MAX_LENGTH)
    try:
        return _PROFILE.enforce(name)
    except UnicodeEncodeError as error:
        rule = error.reason.partition("/")[2]
        if rule == "bidi_rule":
            raise Refusal(ErrorCode.NAME_DIRECTION) from error
        raise _refused_character(error.object[error.start : error.start + 1]) from error


def _refused_character(character: str) -> Refusal:
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return Refusal(ErrorCode.NAME_CHARACTER, character="a space" if character == " " else shown)


def _piles_up_marks(name: str) -> bool:
    run, last = 0, ""
    for character in unicodedata.normalize("NFD", name):
        if unicodedata.category(character) in ("Mn", "Me"):
            run += 1
            if run > _MAX_MARKS or character == last:
                return True
        else:
            run = 0
        last = character
    return False


def _is_safe_mixture(name: str) -> bool:
    used = [found for found in map(scripts, name) if found.isdisjoint(_OF_ANY_SCRIPT)]
    if not used or frozenset.intersection(*used):
        return True
    return any(all(found & mixture for found in used) for mixture in _MIXTURES)


def _mixes_digits(name: str) -> bool:
    zeros = {ord(c) - unicodedata.decimal(c) for c in name if c.isdecimal()}
    return len(zeros) > 1


# "Error: ..." is the server's, and private messages are shown as "[Alice -> you]".
_RESERVED = keys("Error") | keys("you")
