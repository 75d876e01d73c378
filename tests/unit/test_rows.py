"""Lines as a terminal shows them: whole words, and nothing that could pass for another's line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.client.faces.looks import MAX_SHOWN, bounded, look, mentions
from chatservice.client.faces.rows import INDENT, MIN_COLUMNS, fit, width, wrap
from chatservice.client.faces.words import Wording
from chatservice.core.events import Said
from chatservice.core.sanitize import MAX_MARKS, limit_marks, sanitize

wcwidth = pytest.importorskip("prompt_toolkit.utils").get_cwidth

COLUMNS = st.integers(MIN_COLUMNS, 60)
TEXT = st.text(st.sampled_from("ab  e\u0301小👋س\u200c"), max_size=200)


def rows(text: str, columns: int) -> list[str]:
    """What is shown of a line."""
    pieces = [("", text[:5]), ("bold", text[5:9]), ("", text[9:]), ("", "\n")]
    shown = "".join(part for _, part in wrap(pieces, columns))
    assert shown.endswith("\n")
    return shown[:-1].split("\n")


class TestRows:
    @given(TEXT, COLUMNS)
    def test_fit_and_lose_nothing_but_blanks(self, text: str, columns: int) -> None:
        shown = rows(text, columns)
        assert all(width(row.rstrip(" ")) <= columns for row in shown)
        assert "".join(shown).replace(" ", "") == text.replace(" ", "")

    @given(TEXT, COLUMNS)
    def test_that_continue_a_line_are_indented(self, text: str, columns: int) -> None:
        assert all(row.startswith(INDENT) for row in rows(text, columns)[1:])

    @pytest.mark.parametrize("columns", range(MIN_COLUMNS, 130))
    @pytest.mark.parametrize(
        "forged", ["*** Goodbye, Alice.", "Error: no.", "Bob: hi", "[a -> you]"]
    )
    def test_cannot_pass_for_lines_of_others(self, forged: str, columns: int) -> None:
        """Whatever somebody puts between, for a terminal of whatever width."""
        for filler in (" ", "x", "小", "\u0301 ", "👋", "\u3000"):
            for count in range(columns // 2, columns + 1, 3):
                shown = rows(f"Mallory: ok{filler * count}{forged}", columns)
                assert not any(row.startswith(forged[:5]) for row in shown)

    def test_break_no_words(self) -> None:
        text = "Alice: the quick brown fox jumps over the lazy dog, and comes back again"
        assert " ".join(row.strip() for row in rows(text, 40)) == text
        assert rows("Bob: " + "x" * 60, 40)[0] == "Bob: " + "x" * 35  # but the longest

    def test_on_a_tiny_terminal_are_its_own_business(self) -> None:
        assert rows("a line of some length", MIN_COLUMNS - 1) == ["a line of some length"]

    def test_of_several_lines_stay_apart(self) -> None:
        assert "".join(t for _, t in wrap([("", "one\ntwo\n"), ("", "three\n")], 20)) == (
            "one\ntwo\nthree\n"
        )


class TestWidth:
    def test_is_never_less_than_terminals_take(self) -> None:
        """What a row has in excess could stand at the beginning of the next one."""
        for code in range(0x20, 0x110000):
            character = chr(code)
            if unicodedata.category(character) != "Cs" and sanitize(character) == character:
                assert width(character) >= wcwidth(character), hex(code)

    @pytest.mark.parametrize("text", ["short", "a text of 22 characters", "小明和小红在这里聊天吗"])
    def test_fits(self, text: str) -> None:
        for columns in range(1, 30):
            assert width(fit(text, columns)) <= columns


PILE = "a" + "\u0301\u0316" * 5000


class TestPilesOfMarks:
    @pytest.mark.parametrize("mark", ["\u0301", "\u0301\u0316", "\u20dd", "\u200d", "\u064b\u0650"])
    def test_are_cut(self, mark: str) -> None:
        assert len(limit_marks("a" + mark * 100 + "b")) == MAX_MARKS + 2

    @pytest.mark.parametrize(
        "text", ["café", "e\u0301\u0323\u0331", "سَلَامٌ", "ก็้", "👨‍👩‍👧", "Z\u0351\u036b\u0343\u032a"]
    )
    def test_what_people_write_is_left_as_it_is(self, text: str) -> None:
        assert limit_marks(text) == text

    def test_a_long_line_is_cut(self) -> None:
        assert len(bounded("x" * 100_000)) == MAX_SHOWN + 1

    @pytest.mark.parametrize(
        "text",
        [PILE, "\u064b\u0650" * 5000, "ا\u064b " * 3000, "سلام " * 2000, "\u1100\u1161" * 5000],
    )
    def test_are_cut_before_they_cost_anything(self, text: str) -> None:
        """What is normalised, wrapped and shaped; the NFC of a pile alone took 8 ms a line."""
        event = Said(1, 0.0, "lobby", "Mallory", text)
        shown = "".join(part for _, part in look(event, Wording("here"), me="Alice"))
        assert len(shown) <= MAX_SHOWN + 80  # with the name before it
        marks = "".join("m" if unicodedata.combining(each) else " " for each in shown)
        assert max(map(len, marks.split(" "))) <= MAX_MARKS

    def test_hide_no_mention_before_them(self) -> None:
        assert mentions(Said(1, 0.0, "lobby", "Bob", f"alice? {PILE}"), "Alice")
