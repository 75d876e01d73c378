"""Which usernames are let in, and which of them collide."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core import names
from chatservice.core.events import ErrorCode, Refusal
from chatservice.dialects.wording import ENGLISH

ALLOWED = [
    "Alice",
    "Zoë",
    "Jean-Luc",
    "R2D2",
    "a",
    "x" * 32,
    "بهرام",
    "علی‌رضا".replace("\u200c", ""),
    "李明",
    "山田たろう",
    "김철수",
    "Алиса",
    "Ελένη",
    "अमित",
    "דניאל",
    "Bob李",
    "アリスAlice",
    "bob_the.builder!",
]

REFUSED = [
    ("", ErrorCode.NAME_EMPTY),
    ("   ", ErrorCode.NAME_EMPTY),
    ("x" * 33, ErrorCode.NAME_TOO_LONG),
    ("x" * 5000, ErrorCode.NAME_TOO_LONG),
    ("a b", ErrorCode.NAME_CHARACTER),
    *((f"a{c}b", ErrorCode.NAME_CHARACTER) for c in "*:/@#\"'`()[]{}<>,;"),
    *((f"a{c}b", ErrorCode.NAME_CHARACTER) for c in "«»“”‘’「」（）＊：／＠＃"),
    *((f"a{chr(c)}b", ErrorCode.NAME_CHARACTER) for c in [*range(32), 0x7F, 0x85, 0x9B]),
    ("a\u200bb", ErrorCode.NAME_CHARACTER),
    ("a\u202eb", ErrorCode.NAME_CHARACTER),
    ("a\u2028b", ErrorCode.NAME_CHARACTER),
    ("a\ufeffb", ErrorCode.NAME_CHARACTER),
    ("a\ufffdb", ErrorCode.NAME_CHARACTER),
    ("a😀", ErrorCode.NAME_CHARACTER),
    ("Ⅷ", ErrorCode.NAME_CHARACTER),
    ("4ever", ErrorCode.NAME_START),
    ("٤ever", ErrorCode.NAME_DIRECTION),
    ("-bob", ErrorCode.NAME_START),
    ("\u0301Bob", ErrorCode.NAME_START),
    ("\u0301", ErrorCode.NAME_START),
    ("Bob\u02d0", ErrorCode.NAME_CHARACTER),
    ("aب", ErrorCode.NAME_DIRECTION),
    ("Аlice", ErrorCode.NAME_MIXED),  # a Cyrillic A
    ("Αlice", ErrorCode.NAME_MIXED),  # a Greek one
    ("Bobア한", ErrorCode.NAME_MIXED),
    ("नम४4", ErrorCode.NAME_MIXED),  # two kinds of four
    ("e\u0316\u0317\u0318\u0319\u031a", ErrorCode.NAME_MARKS),
    ("e\u0316\u0316", ErrorCode.NAME_MARKS),
    ("Error", ErrorCode.NAME_RESERVED),
    ("ERR0R", ErrorCode.NAME_RESERVED),
    ("you", ErrorCode.NAME_RESERVED),
]

ALIKE = [
    ("Alice", "ALICE", "case"),
    ("Alice", "Ａｌｉｃｅ", "width"),
    ("Zoë", "Zoe\u0308", "normal form"),
    ("Straße", "STRASSE", "case that changes length"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος", "final sigma"),
    ("paypal", "paypaI", "capital I for l"),
    ("Bob", "B0b", "zero for O"),
    ("Carol", "Caro1", "one for l"),
    ("сор", "cop", "Cyrillic for Latin"),
    ("ІВМ", "IBM", "Cyrillic for Latin capitals"),
    ("ΟΚΑΥ", "OKAY", "Greek for Latin"),
    ("modern", "rnodern", "rn for m"),
    ("ニ", "二", "Katakana for Han"),
]


@pytest.mark.parametrize("name", ALLOWED)
def test_is_allowed(name: str) -> None:
    assert names.checked(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_is_refused_with_a_reason_in_words(name: str, reason: ErrorCode) -> None:
    with pytest.raises(Refusal) as refused:
        names.checked(name)
    assert refused.value.code is reason
    words = ENGLISH.refusal(refused.value)
    assert words.endswith(".")
    assert words.isprintable()


@pytest.mark.parametrize(("one", "other", "why"), ALIKE)
def test_nobody_could_tell_apart(one: str, other: str, why: str) -> None:
    assert names.keys(names.checked(one)) & names.keys(names.checked(other)), why


@pytest.mark.parametrize(
    ("one", "other"), [("Alice", "Alicia"), ("Bob", "Rob"), ("علی", "عالی"), ("李明", "李朋")]
)
def test_can_be_told_apart(one: str, other: str) -> None:
    assert not names.keys(names.checked(one)) & names.keys(names.checked(other))


# Text over the whole of Unicode is nearly always refused; letters of one script seldom are.
SCRIPTS = [
    string.ascii_letters + string.digits + "._-",
    "абвгдеАБВГДЕ",
    "αβγδάέΣς",
    "سلامعلی۱",
    "李明ニカ",
]
SPELLINGS = st.one_of(st.text(max_size=40), *(st.text(alphabet=s, max_size=40) for s in SCRIPTS))


@given(SPELLINGS)
def test_the_check_is_idempotent(name: str) -> None:
    try:
        checked = names.checked(name)
    except Refusal:
        return
    assert names.checked(checked) == checked
    assert 1 <= len(checked) <= names.MAX_LENGTH
    assert checked.isprintable()
    assert not set(checked) & set(" *:/@#")


@given(SPELLINGS)
def test_a_name_collides_with_its_other_spellings(name: str) -> None:
    for respelled in (name.upper(), name.lower(), unicodedata.normalize("NFD", name)):
        try:
            one, other = names.checked(name), names.checked(respelled)
        except Refusal:
            continue
        assert names.keys(one) & names.keys(other)
