"""Which usernames are allowed, and when two of them are too alike to be told apart.

A name is what RFC 8265's UsernameCasePreserved profile makes of it, 1 to 32 characters, less the
punctuation that means something in a line of chat, and written in one script or in a mixture that
UTS 39 calls highly restrictive (Latin beside Chinese, Japanese or Korean). Names collide when they
differ only in case, width or normal form, or in characters that look alike (the tables of UTS 39,
section 4), in whichever case: ``ALlCE``, with a small L, is like ``Alice``, since it looks like
``ALICE``.

What this does not catch: likenesses that depend on the typeface and are not in Unicode's tables
(``vv`` for ``w``, ``cl`` for ``d``), names that differ by an accent (``Rene``, ``René``), by a
doubled letter or by meaning (``Bob``, ``Bob2``, ``RealBob``).
"""

import re
import string
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from precis_i18n import get_profile

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.unicode import UNICODE_VERSION, scripts, skeleton

MAX_LENGTH = 32  # characters: twice what IRC networks allow, and still a word in a line of chat
# Characters that are looked at. A name gets shorter when it is composed, by four to one at most
# (a Greek vowel with three accents), so one that has more is too long however it is typed.
MAX_TYPED = 4 * MAX_LENGTH
# Names the definition of `keys`, which depends on the tables. Whoever stores keys has to make them
# anew when it is another.
KEYS_VERSION = f"2 Unicode {UNICODE_VERSION} {unicodedata.unidata_version}"

_PROFILE = get_profile("UsernameCasePreserved")
_PUNCTUATION = frozenset("*:/@#,;\"'`()[]{}<>")  # comma and semicolon: names are listed
_LIKE_COLONS = frozenset("\N{MODIFIER LETTER TRIANGULAR COLON}\N{MODIFIER LETTER COLON}")
_QUOTES_AND_BRACKETS = frozenset(("Ps", "Pe", "Pi", "Pf"))
_STROKE = skeleton("I")
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
    name = well_formed(name)
    if is_reserved(name):
        raise Refusal(ErrorCode.NAME_RESERVED, name=name)
    return name


def checked_room(name: str) -> str:
    """The form in which the name of a room is shown and kept, without the ``#`` before it. It is
    like the name of a person, and may have digits and hyphens anywhere; no name is reserved.

    Raises `Refusal` with one of the ``NAME_`` reasons.
    """
    return _well_formed(name.strip(" ").removeprefix("#"))


def well_formed(name: str) -> str:
    """The same for a name that may be reserved: an operator may have registered it."""
    name = _well_formed(name)
    if _NOT_FIRST.match(name):
        raise Refusal(ErrorCode.NAME_START)
    return name


def _well_formed(name: str) -> str:
    """What the names of people and of rooms have in common."""
    name = _enforced(name)
    if len(name) > MAX_LENGTH:
        raise Refusal(ErrorCode.NAME_TOO_LONG, limit=MAX_LENGTH)
    for character in name:
        if (
            character in _PUNCTUATION
            or character in _LIKE_COLONS
            or unicodedata.category(character) in _QUOTES_AND_BRACKETS
        ):
            raise _refused_character(character)
    if unicodedata.category(name[0]).startswith("M"):
        raise Refusal(ErrorCode.NAME_START)
    if _piles_up_marks(name):
        raise Refusal(ErrorCode.NAME_MARKS)
    if not _is_safe_mixture(name) or _mixes_digits(name):
        raise Refusal(ErrorCode.NAME_MIXED)
    if not keys(name).isdisjoint(_NEVER):
        raise Refusal(ErrorCode.NAME_RESERVED, name=name)
    return name


def is_reserved(name: str) -> bool:
    """Whether `name`, which is well formed, passes for the server's or its operators', with
    punctuation around it or without. An operator may register it all the same."""
    return not (keys(name) | keys(name.strip(string.punctuation))).isdisjoint(_RESERVED)


@lru_cache(maxsize=128)  # whoever comes in is looked for under one name several times
def keys(name: str) -> frozenset[str]:
    """Two well-formed names collide when they share a key; a name has ten at most.

    Two keys are what the name looks like in small letters and in capitals. Case and likeness do
    not commute: Cyrillic ``ІВМ`` looks like ``IBM``, but ``івм`` does not look like ``ibm``. The
    others are what can be read in the name as it is written (see `_readings`), in small letters.

    To merge each letter with all that look like it in either case would be simpler, but ``I``
    looks like ``l``, so that ``Maria`` and ``Marla``, ``Clara`` and ``Ciara`` would be one name;
    and Greek ``ν`` looks like ``v``, and its capital like ``N``. So a name may collide with two
    that do not collide with each other: ``MARlA`` does with ``Maria`` and with ``Marla``.
    """
    # No name has an asterisk in it, so what is read is kept apart from what is drawn.
    readings = {f"*{reading}" for reading in _readings(name)}
    return frozenset((skeleton(name.casefold()), skeleton(name.upper()), *readings))


def _readings(name: str) -> Iterator[str]:
    """What `name` may be read as, in small letters.

    Only a stroke (``I``, ``l``, ``1``, ``|`` or what looks like them) can be read as two letters.
    Among capitals it is read as I; among small letters as l, or as I where a word begins;
    otherwise as any of these. Besides, a letter may be what it is, and a digit or a bar is read
    either way. All strokes of a name are read alike, so that these are not many.
    """
    characters = unicodedata.normalize("NFD", name)
    looks = [skeleton(character) for character in characters]
    strokes = [at for at, look in enumerate(looks) if look == _STROKE]
    begins = [at == 0 or not _is_of_a_word(characters[at - 1]) for at in range(len(characters))]
    around = {
        look.isupper()
        for at, look in enumerate(looks)
        if characters[at].isalpha() and look.upper() != look.lower()
        if at not in strokes and not begins[at]
    }
    ways = [{at: skeleton(characters[at].casefold()) for at in strokes}]
    if around != {False}:
        ways += [dict.fromkeys(strokes, "i")]
    if around != {True}:
        ways += [dict.fromkeys(strokes, "l"), {at: "i" if begins[at] else "l" for at in strokes}]
    no_letters = [at for at in strokes if not characters[at].isalpha()]
    for way in ways:
        for letter in "il" if no_letters else "i":
            read = way | dict.fromkeys(no_letters, letter)
            yield "".join(_in_small_letters(read.get(at, look)) for at, look in enumerate(looks))


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


@lru_cache(maxsize=1024)
def _in_small_letters(look: str) -> str:
    """What a small letter looks like, if that is in its script: Greek ``γ`` is not read as y."""
    small = look.casefold()
    drawn = skeleton(small)
    return drawn if _scripts_of_letters(drawn) == _scripts_of_letters(small) else small


def _scripts_of_letters(text: str) -> set[frozenset[str]]:
    return {scripts(character) for character in text if character.isalpha()}


def _enforced(name: str) -> str:
    name = name.strip(" ")
    if not name:
        raise Refusal(ErrorCode.NAME_EMPTY)
    if len(name) > MAX_TYPED:  # before it is normalised, which costs O(n²) of combining marks
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
    return Refusal(ErrorCode.NAME_CHARACTER, character=shown)


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


def _keys_of(words: str) -> frozenset[str]:
    return frozenset(key for word in words.split() for key in keys(word))


# "Error: ..." is the server's, and private messages are shown as "[Alice -> you]".
_NEVER = _keys_of("error you")
# Names under which somebody could pass for the server, for who runs it or for everyone here, or
# would look like nobody. None that guests like to have (guest, anonymous, bot).
_RESERVED = _NEVER | _keys_of(
    "server system service chat chatserver chatservice console lobby daemon host "
    "root admin administrator sysadmin sysop operator moderator mod owner staff support "
    "security webmaster hostmaster postmaster everyone everybody all here null none nobody"
)
