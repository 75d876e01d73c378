"""What a text looks like and its scripts: Unicode's own tables, and what makes a module of them."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from glyphguard import confusables, ucd

from chatservice.core import unicode
from chatservice.core.unicode import tables

GENERATOR = Path(__file__).parent.parent.parent / "tools" / "unicode_tables.py"
# Every plane that has characters: of the others nothing is assigned, or it is for private use.
CHARACTERS = [chr(code_point) for code_point in (*range(0x40000), *range(0xE0000, 0xE1000))]
# glyphguard 0.3 has the tables of Unicode 18. Since 17 these are used with more scripts,
MORE_SCRIPTS = {"\u0b83", "\u1cf5", "\u1cf6"}
# and of the characters that look like something in both versions, so many look like something else
# (`LOOK_ALIKES` also has those that normalisation replaces; glyphguard's table does not).
SAME_LOOK, OTHER_LOOK = 5255, 241


def test_the_tables_of_scripts_are_those_of_glyphguard() -> None:
    assert tables.UNICODE_VERSION == "17.0.0"
    assert ucd.UNICODE_VERSION == "18.0.0"
    assigned = [c for c in CHARACTERS if unicode.scripts(c) != {"Unknown"}]
    differing = {c for c in assigned if unicode.scripts(c) != ucd.script_extensions(ord(c))}
    assert len(assigned) > 150_000
    assert differing == MORE_SCRIPTS


def test_what_is_not_shown_is_the_same_as_for_glyphguard() -> None:
    ignorable = {c for c in CHARACTERS if unicode.is_ignorable(c)}
    assert ignorable == {c for c in CHARACTERS if ucd.is_default_ignorable(ord(c))}
    assert {"\N{SOFT HYPHEN}", "\N{ZERO WIDTH JOINER}", "\ufe0f"} <= ignorable


def test_what_characters_look_like_is_the_same_as_for_glyphguard() -> None:
    """But for what Unicode has changed since."""
    ours = dict(zip(tables.LOOK_ALIKES, tables.PROTOTYPES.split("\n"), strict=True))
    theirs = {c: confusables.prototype(c) for c in ours if confusables.prototype(c) != c}
    same = {c for c, look in theirs.items() if ours[c] == look}
    assert (len(same), len(theirs) - len(same)) == (SAME_LOOK, OTHER_LOOK)


@pytest.mark.parametrize(
    "text",
    [
        *("Alice", "paypaI", "раураl", "ΟΚΑΥ", "modern", "ニ", "Zoë", "Zoe\u0308", "1|Il", "𝐀𝒷"),
        *("علی\u200cرضا", "a\u00adb", "\U000e0061x", "\u212b", "e\u0316\u0301", "ﬀ", "अमित", ""),
    ],
)
def test_a_skeleton_is_that_of_glyphguard(text: str) -> None:
    ours = unicode.skeleton(text)
    assert unicode.skeleton(ours) == ours
    assert ours == confusables.skeleton(text)


FILES = {
    "confusables.txt": """\
        # confusables.txt
        # © 2030 Unicode®, Inc.
        # Version: 99.1.0
        0430 ;\t0061 ;\tMA\t# ( а → a ) CYRILLIC SMALL LETTER A → LATIN SMALL LETTER A

        006D ;\t0072 006E ;\tMA\t# ( m → rn )
        1F600 ;\t0022 ;\tMA\t# ( 😀 → " )
        """,
    "Scripts.txt": """\
        # Scripts-99.1.0.txt
        0041..005A    ; Latin # L&  [26] LATIN CAPITAL LETTER A..LATIN CAPITAL LETTER Z
        3001..3003    ; Common
        """,
    "ScriptExtensions.txt": """\
        # ScriptExtensions-99.1.0.txt
        3002..3003    ; Kana Hira # Po   [2]
        """,
    "PropertyValueAliases.txt": """\
        # PropertyValueAliases-99.1.0.txt
        gc ; Kana ; No_Script
        sc ; Hira ; Hiragana
        sc ; Kana ; Katakana
        """,
    "DerivedCoreProperties.txt": """\
        # DerivedCoreProperties-99.1.0.txt
        00AD          ; Default_Ignorable_Code_Point # Cf       SOFT HYPHEN
        200B..200F    ; Default_Ignorable_Code_Point
        0061          ; Alphabetic
        """,
}


def made(folder: Path, files: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What the generator says of files with these texts."""
    paths = []
    for name, text in files.items():
        paths.append(folder / f"copy-of-{name}")
        paths[-1].write_text(re.sub("^ +", "", text, flags=re.MULTILINE), "utf-8-sig")
    command = [sys.executable, str(GENERATOR), *map(str, paths)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_the_module_is_made_of_files_of_unicode(tmp_path: Path) -> None:
    printed = made(tmp_path, FILES)
    assert printed.stderr == ""
    assert max(map(len, printed.stdout.splitlines())) <= 100
    (tmp_path / "module.py").write_text(printed.stdout)
    module = runpy.run_path(str(tmp_path / "module.py"))
    assert module["UNICODE_VERSION"] == "99.1.0"
    assert "© 1991-2030 Unicode, Inc." in module["__doc__"]
    assert module["LOOK_ALIKES"] == "mа😀"
    assert module["PROTOTYPES"].split("\n") == ["rn", "a", '"']
    sets = module["SCRIPT_SETS"].split("\n")
    assert [
        (start, sets[ord(value)])
        for start, value in zip(module["SCRIPT_STARTS"], module["SCRIPT_VALUES"], strict=True)
    ] == [
        ("\0", "Unknown"),
        ("A", "Latin"),
        ("[", "Unknown"),
        ("\u3001", "Common"),
        ("\u3002", "Hiragana Katakana"),
        ("\u3004", "Unknown"),
    ]
    assert module["IGNORABLE"] == "\u00ad\u00ae\u200b\u2010"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("Scripts.txt", FILES["ScriptExtensions.txt"], "this is not Scripts.txt"),
        ("Scripts.txt", "# Scripts.txt", "Scripts.txt does not say which version it is"),
        ("Scripts.txt", "# Scripts-98.0.0.txt", "they are of several versions: 98.0.0, 99.1.0"),
    ],
)
def test_no_module_is_made_of_other_files(tmp_path: Path, name: str, text: str, why: str) -> None:
    printed = made(tmp_path, {**FILES, name: text})
    assert (printed.stdout, printed.stderr) == ("", f"unicode_tables: {why}\n")
    assert printed.returncode == 1
