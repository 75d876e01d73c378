"""Which usernames are let in, and which of them collide."""

import string
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core import names
from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.unicode import skeleton
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
    ("Alice", "ALlCE", "small l for the capital of i"),
    ("Alice", "AIice", "capital I for l"),
    ("Alice", "A1ICE", "one for l"),
    ("Alice", "Al1ce", "one for i"),
    ("Alice", "AL1CE", "one for the capital of i"),
    ("Alice", "ALlce", "small l for the capital of i, beside another capital"),
    ("Olivia", "OLlVIA", "small l for one of two capitals"),
    ("Olivia", "OLlVlA", "small l for both capitals"),
    ("luke", "Iuke", "capital I for l at the beginning"),
    ("Ivan", "lvan", "small l for capital I at the beginning"),
    ("IVAN", "lVAN", "small l for capital I among capitals"),
    ("jean-ian", "Jean-lan", "small l for capital I where a word begins"),
    ("Li", "Ll", "small l for the capital of i, and nothing else"),
    ("maria", "MARlA", "small l for the capital of i"),
    ("Marla", "MARlA", "case"),
    ("Zoé-Iris", "ZOÉ-lRlS", "small l after an accent and among capitals"),
    ("Carol", "CARO1", "one for a letter that is like it in small letters only"),
    ("Alice", "aLlCe", "small l for the capital of i, among small letters"),
    ("BILLY", "bi11y", "ones for capitals"),
    ("bob", "B0B", "zero for the capital of o"),
    ("Milo", "rnil0", "rn for the small letter of M"),
    ("вор", "BOP", "Latin capitals for what Cyrillic small letters are the small letters of"),
    ("вор", "Bop", "Latin for Cyrillic with a capital"),
    ("ВОР", "bop", "Cyrillic capitals for Latin"),
    ("ірина", "ӏрина", "a palochka for the capital of Ukrainian i"),
    ("νίκος", "ΝΊΚΟΣ", "Greek capitals"),
    ("να", "NA", "Greek capitals for Latin"),
    ("να", "va", "Greek small letters for Latin"),
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
    ("one", "other"),
    [
        *(("Alice", "Alicia"), ("Bob", "Rob"), ("علی", "عالی"), ("李明", "李朋")),
        # Each of these is reached from the other by way of another script's capitals.
        *(("Ivan", "Inan"), ("na", "va"), ("гена", "уена"), ("γάλα", "ύάλα"), ("конь", "конв")),
        # These would be the same if I and l always were.
        *(("Maria", "Marla"), ("Clara", "Ciara"), ("Karl", "Kari"), ("Neil", "Nell")),
        *(("MARIA", "MARLA"), ("ella", "elia"), ("Ali", "Ail"), ("Émile", "Élmie")),
        *(("Nora", "Vora"), ("Straße", "Strabe"), ("Zoë", "Zoe"), ("Гена", "Уена")),
    ],
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


@given(
    st.text(alphabet=string.ascii_letters, min_size=1, max_size=8),
    st.sampled_from((str.lower, str.upper, str.capitalize)),
    st.data(),
)
def test_a_name_collides_with_what_looks_like_it_in_another_case(
    name: str, in_case: Callable[[str], str], data: st.DataObject
) -> None:
    shown = in_case(name)
    looks = {"l": "lI1", "I": "lI1", "O": "O0"}
    imitated = shown[0] + "".join(data.draw(st.sampled_from(looks.get(c, c))) for c in shown[1:])
    assert names.keys(name) & names.keys(imitated)
    if shown[0] in "Il":
        assert names.keys(name) & names.keys("I" + imitated[1:])
        assert names.keys(name) & names.keys("l" + imitated[1:])


def _allowed(character: str) -> bool:
    try:
        return names.well_formed(f"na{character}na") == f"na{character}na"
    except Refusal:
        return False


def test_letters_collide_only_if_they_look_alike_in_some_case() -> None:
    """Of all that may be in a Latin name: what they have in common can be seen in one step."""
    by_key: dict[str, set[str]] = {}
    looks: dict[str, set[str]] = {}
    for character in filter(_allowed, map(chr, range(0x21, 0x10000))):
        if unicodedata.name(character, "").startswith(("LATIN ", "DIGIT ")):
            variants = {character, character.lower(), character.upper(), character.casefold()}
            # What two variants are drawn with may have small and capital letters as well.
            looks[character] = {skeleton(v).casefold() for v in variants}
            for key in names.keys(f"na{character}na"):
                by_key.setdefault(key, set()).add(character)
    looks["1"].add("i")  # as which it is read as well
    assert len(looks) > 800
    merged = {
        frozenset((one, other))
        for alike in by_key.values()
        for one in alike
        for other in alike
        if looks[one].isdisjoint(looks[other])
    }
    assert merged == set()
    assert {"1", "I", "l", "L"} <= by_key["*nalna"]


RESERVED = [
    *("server", "Server", "SERVER", "root", "admin", "Administrator", "operator", "system"),
    *("r00t", "R0OT", "adrnin", "ADMlN", "adm1n", "Adm|n", "SYSTEM", "systern", "Operat0r"),
    *("Server.", "_root_", "admin!", "~system", "Error!", "moderator", "sysop", "owner"),
    *("staff", "support", "host", "service", "chat", "everyone", "all", "here", "lobby", "console"),
    *("null", "nuIl", "none", "nobody", "ＲＯＯＴ", "you!", "ChatService", "Console", "host"),
]
ORDINARY = [
    *("guest", "Guest", "guest42", "Anonymous", "Ali", "Alla", "Alia", "Allan", "Adam", "Adina"),
    *("Rob", "Robot", "Roota", "Rota", "Serverin", "Severin", "Systema", "Noor", "Nolan", "Nora"),
    *("Owen", "Owens", "Nona", "Noel", "Hosni", "Hope", "Chad", "Charlie", "Bobby", "Stefan"),
    *("Modesta", "Youssef", "Yon", "Eros", "Hera", "Oper", "admin2000", "RealRoot", "Mona", "..."),
]


@pytest.mark.parametrize("name", RESERVED)
def test_passes_for_the_server_or_an_operator(name: str) -> None:
    """Nobody has that name unless an operator has registered it."""
    with pytest.raises(Refusal) as refused:
        names.checked(name)
    assert refused.value.code is ErrorCode.NAME_RESERVED
    assert names.is_reserved(names.well_formed(name))


@pytest.mark.parametrize("name", ORDINARY)
def test_is_an_ordinary_name(name: str) -> None:
    assert names.checked(name) == name


@pytest.mark.parametrize("name", ["Error", "ERR0R", "you", "Y0U"])
def test_nobody_has_what_stands_before_the_servers_lines(name: str) -> None:
    """Not even with an operator's help."""
    with pytest.raises(Refusal) as refused:
        names.well_formed(name)
    assert refused.value.code is ErrorCode.NAME_RESERVED


@pytest.mark.parametrize(
    "unit",
    ["\u0301\u0316", "\u0316\u0301", "e\u0316\u0301\u0316", "\u0f71\u0f72", "\u1100\u1161", "ﷺ"],
)
def test_what_is_too_long_costs_no_normalisation(unit: str) -> None:
    """To normalise as many combining marks as this takes minutes."""
    begun = time.process_time()
    for name in (unit * 200_000, "a" + unit * 200_000, unit * 200_000 + " " * 200_000):
        with pytest.raises(Refusal) as refused:
            names.checked(name)
        assert refused.value.code is ErrorCode.NAME_TOO_LONG
    assert time.process_time() - begun < 5


def test_a_name_that_is_typed_with_accents_of_their_own_may_be_as_long() -> None:
    letters = "ᾧ" * names.MAX_LENGTH
    assert names.checked(unicodedata.normalize("NFD", letters)) == letters
