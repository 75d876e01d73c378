"""How an event looks on a terminal: its words, in pieces of text with a style each."""

import re
import unicodedata
import zlib
from dataclasses import replace

from chatservice.client.faces.rows import CUT, Piece
from chatservice.client.faces.words import Shown, Wording, is_error, stamp
from chatservice.core.events import (
    Banned,
    Emoted,
    Joined,
    Left,
    Muted,
    Removed,
    Renamed,
    Replayed,
    Said,
    Sent,
    Told,
)
from chatservice.core.sanitize import limit_marks

# Of the terminals' 256 colours, those whose contrast is 3.7 or more on black and on white (WCAG 2
# asks for 3 for large text, and for 4.5, which no colour has on both, for the rest).
PALETTE = (
    *("#d70000", "#af5f00", "#878700", "#008700", "#008787", "#0087d7", "#5f5fff", "#875fd7"),
    *("#af00ff", "#d700d7", "#d70087", "#af5f5f"),
)
DIM, MARKED, RED = "dim", "bold", "ansired"
BELLS = ("on", "off", "mentions")
MAX_SHOWN = 10_000  # characters of a line: more than the server's longest message
MAX_LINES = 1000  # of one event: no message of the day is longer
Message = Said | Emoted | Told | Sent


def colour(name: str) -> str:
    """The colour of a name: the same in every run, however the name is capitalised."""
    return PALETTE[zlib.crc32(name.casefold().encode()) % len(PALETTE)]


def whole_word(name: str) -> re.Pattern[str]:
    """Finds `name` where it is not a part of a longer word."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def bounded(line: str) -> str:
    """`line` as it is shown: neither too long, nor with marks in piles."""
    return limit_marks(line if len(line) <= MAX_SHOWN else line[:MAX_SHOWN] + CUT)


def mentions(event: Shown, me: str | None) -> bool:
    """Whether somebody else speaks of `me` in `event`."""
    if not isinstance(event, Said | Emoted) or me is None or event.name == me:
        return False
    text = unicodedata.normalize("NFC", bounded(event.text))
    return whole_word(me).search(text) is not None


def rings(event: Shown, me: str | None, bell: str) -> bool:
    """Whether the bell, one of BELLS, rings for `event`."""
    if bell == "on" and isinstance(event, Said | Emoted):
        return event.name != me
    return bell != "off" and (isinstance(event, Told | Removed) or mentions(event, me))


def look(
    event: Shown, wording: Wording, *, me: str | None = None, timestamps: bool = False
) -> list[Piece]:
    """The lines for `event`, each with its end; nothing if there is nothing to say. `me`: your
    name. With `timestamps`, what has happened has its local time before it."""
    match event:
        case Replayed(events=events):
            pieces: list[Piece] = [("", bounded(wording.heading(event))), ("", "\n")]
            for message in events:
                pieces += look(message, wording, timestamps=True)
            return pieces
        case Sent(recipient=name, away=str() as text):
            told = f"*** {wording.words.is_away(name, text)}"
            pieces = look(replace(event, away=None), wording) + _styled("", told, wording)
        case Said() | Emoted() | Told() | Sent():
            pieces = _message(event, wording, marked=mentions(event, me))
        case Left(by="") | Joined() | Renamed():
            pieces = _styled(DIM, event, wording)
        case _:
            pieces = _styled(_style(event, me), event, wording)
    waited = isinstance(event, Told) and event.waited
    at = getattr(event, "at", None)
    if pieces and at is not None and (timestamps or waited):
        pieces.insert(0, (DIM, stamp(at)))
    return pieces


def _style(event: Shown, me: str | None) -> str:
    if is_error(event) or isinstance(event, Removed):
        return RED
    return MARKED if isinstance(event, Banned | Muted) and event.name == me else ""


def _styled(style: str, event: Shown, wording: Wording) -> list[Piece]:
    words = "\n".join(map(bounded, wording.lines(event)[:MAX_LINES]))
    return [(style, words), ("", "\n")] if words else []


def _message(event: Message, wording: Wording, *, marked: bool) -> list[Piece]:
    """With its author's name, or whom it went to, in their colour; `marked`: it is for you."""
    words = bounded(" ".join(wording.lines(event)))
    name = event.recipient if isinstance(event, Sent) else _author(event)
    before, name, after = _split_at_name(words, name)
    style = MARKED if marked else ""
    named = f"{colour(name)} {MARKED} reverse" if marked else colour(name)
    return [(style, before), (named, name), (style, after), ("", "\n")]


def _split_at_name(words: str, name: str) -> tuple[str, str, str]:
    """Around the first place where `name` stands, as a word: ``[you -> y] ...``."""
    found = whole_word(name).search(words)
    start, end = found.span() if found else (0, 0)
    return words[:start], words[start:end], words[end:]


def _author(event: Said | Emoted | Told) -> str:
    return event.sender if isinstance(event, Told) else event.name
