"""Which dialect a peer speaks, where its door does not say so."""

from chatservice.dialects.dialect import Dialect
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import TEXT

# Spoken until the first line has come.
UNTIL_THE_FIRST_LINE: Dialect = TEXT


def detect(first_line: bytes) -> Dialect:
    """The dialect of a peer whose first line this is."""
    return JSON if first_line.startswith(b"{") else TEXT
