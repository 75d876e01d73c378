"""What a search looks for: words, the beginnings of words, emoji, and signs that are no words.

Every store finds the same messages, since the rule is here: `Query.matches`. Case and accents make
no difference. In scripts that put no blanks between words each character is a word, so that a part
of a sentence is found; and so is each emoji or symbol.
"""

import re
import unicodedata
from typing import NamedTuple

from chatservice.core.events import ErrorCode, Refusal

# In one search: a long sentence. Each costs a pass over an index, and SQLite refuses an expression
# of a thousand.
MAX_WORDS = 50
MAX_TEXT = 2000  # characters that so many words have at most, so that no more are looked at

# Chinese, Japanese, Thai, Lao, Khmer and Burmese put no blanks between words.
_SPACELESS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
# A character without blanks, a word with, or one sign of which _is_symbol has to say what it is.
_TOKEN = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+|[^\w\s\x00-\x7f]")
_ASCII_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words of `text`, folded. (An index holds these: to change them takes a new index.)"""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    # Marks go first: to put a long run of them in order takes the square of its length.
    bare = "".join(c for c in text if not unicodedata.combining(c))
    decomposed = unicodedata.normalize("NFKD", bare)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return [token for token in _TOKEN.findall(bare.casefold()) if _is_word(token)]


def _is_word(token: str) -> bool:
    """Letters, digits, emoji and other symbols are; punctuation, and what joins emoji, are not."""
    return token[0].isalnum() or unicodedata.category(token[0]).startswith("S")


class Query(NamedTuple):
    """What a message must have to be found: each of `phrases`, words in that order of which the
    last may go on, and each of `signs`, to the letter."""

    phrases: tuple[tuple[str, ...], ...]
    signs: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Query":
        """What somebody typed. Raises `Refusal` (TOO_MANY_WORDS)."""
        if len(text) > MAX_TEXT:
            raise Refusal(ErrorCode.TOO_MANY_WORDS, limit=MAX_WORDS)
        phrases: list[tuple[str, ...]] = []
        signs: list[str] = []
        for part in text.split():
            if phrase := tuple(words(part)):
                phrases.append(phrase)
            else:
                signs.append(part)
            if sum(map(len, phrases)) + len(signs) > MAX_WORDS:
                raise Refusal(ErrorCode.TOO_MANY_WORDS, limit=MAX_WORDS)
        return cls(tuple(phrases), tuple(signs))

    def __bool__(self) -> bool:
        return bool(self.phrases or self.signs)

    @property
    def size(self) -> int:
        """In characters."""
        return sum(map(len, (*(word for phrase in self.phrases for word in phrase), *self.signs)))

    def matches(self, text: str) -> bool:
        """Whether a message with this text is found."""
        if not all(sign in text for sign in self.signs):
            return False
        if text.isascii():  # most messages that are not found need no closer look
            lower = text.lower()
            if not all(word in lower for phrase in self.phrases for word in phrase):
                return False
        said = words(text)
        return all(_has(said, phrase) for phrase in self.phrases)


def _has(said: list[str], phrase: tuple[str, ...]) -> bool:
    *whole, last = phrase
    return any(
        said[start : start + len(whole)] == whole and said[start + len(whole)].startswith(last)
        for start in range(len(said) - len(whole))
    )
