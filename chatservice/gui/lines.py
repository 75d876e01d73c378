"""The lines of a conversation: pieces of text with tags."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from chatservice.client.faces.looks import MARKED, bounded, look
from chatservice.client.faces.rows import Piece
from chatservice.client.faces.words import Shown, Wording
from chatservice.core.events import Emoted, Happening, Helped, Replayed, Said, Sent, Told

DAY, LINK, NOTICE = "day", "link", "notice"
STALE = -1  # the id of what stands in a log that is no more
# Up to where a link goes: what closes a sentence or a bracket around it is not a part.
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\"'.,;:!?)\]}»”]", re.IGNORECASE)
_MESSAGE = Said | Emoted | Told | Sent


@dataclass(slots=True)
class Line:
    """`pieces` have tags (words with blanks between them) and text. `at`: in seconds since 1970, if
    it has its time; `id`: its place in the log, if that is where it is shown from; `marked`: it is
    for you; `in_columns`: there is a tab between two; `in_rows`: it has been broken into rows for a
    conversation of a certain width."""

    pieces: list[Piece]
    at: float | None = None
    id: int = 0
    marked: bool = False
    is_day: bool = False
    in_columns: bool = False
    in_rows: bool = False

    @property
    def text(self) -> str:
        """The text as it was said, for copying."""
        clock = f"{clock_time(self.at)} " if self.at is not None else ""
        return clock + "".join(text for _, text in self.pieces).replace("\t", "  ")


def lines(event: Shown, wording: Wording, me: str | None) -> Iterator[Line]:
    """The lines for `event`. `me`: your name."""
    if isinstance(event, Replayed):
        yield from _again(event, wording, me)
        return
    if isinstance(event, Helped):
        yield from _help(event, wording)
        return
    message = isinstance(event, _MESSAGE)
    if isinstance(event, Told):
        event = replace(event, waited=False)  # its time says so
    at, number = getattr(event, "at", None), getattr(event, "id", 0)
    for pieces in _split(look(event, wording, me=me)):
        marked = message and any(MARKED in style for style, _ in pieces)
        told = [(style or ("" if message else NOTICE), text) for style, text in pieces]
        yield Line(list(_with_links(told)), at, number, marked)


def _again(event: Replayed, wording: Wording, me: str | None) -> Iterator[Line]:
    """Messages that are shown again, under a heading. They have no place in the log here."""
    yield Line([(NOTICE, bounded(wording.heading(event)))])
    for message in event.events:
        for line in lines(message, wording, me):
            yield replace(line, id=0, marked=False)


def _help(event: Helped, wording: Wording) -> Iterator[Line]:
    """Each command in two columns: its usage, and what it does."""
    words = wording.words
    for name in event.commands:
        pieces = [(NOTICE, f"{words.usage(name)}\t{words.commands[name]}")]
        yield Line(pieces, in_columns=True)


def private(event: Told | Sent, me: str | None) -> Said | Sent:
    """A private message as it looks in a private tab. One that waits for its recipient says
    so."""
    if isinstance(event, Sent) and event.waiting:
        return event
    name = event.sender if isinstance(event, Told) else me or ""
    return Said(0, event.at, "", name, event.text)


def history(events: Iterable[Happening], wording: Wording, me: str | None) -> list[Line]:
    """The lines for older events, with a line for each day."""
    found = [replace(each, marked=False) for event in events for each in lines(event, wording, me)]
    return with_days(found, None)


def with_days(found: Iterable[Line], day: str | None) -> list[Line]:
    """The lines, with one before the first of each day. `day`: the day of what precedes them."""
    told: list[Line] = []
    for line in found:
        if line.at is not None and (its := day_of(line.at)) != day:
            day = its
            told.append(day_line(line.at))
        told.append(line)
    return told


def day_line(at: float) -> Line:
    """The heading of a day."""
    return Line([(DAY, day_of(at))], is_day=True)


def day_of(at: float) -> str:
    """The day in words, in local time."""
    then = time.localtime(at)
    return f"{time.strftime('%A', then)}, {then.tm_mday} {time.strftime('%B %Y', then)}"


def clock_time(at: float) -> str:
    """The time of day, in local time."""
    return time.strftime("%H:%M", time.localtime(at))


def _split(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces split into lines, without their ends."""
    line: list[Piece] = []
    for style, text in pieces:
        first, *more = text.split("\n")
        line.append((style, first))
        for each in more:
            yield [piece for piece in line if piece[1]]
            line = [(style, each)]


def _with_links(pieces: list[Piece]) -> Iterator[Piece]:
    for style, text in pieces:
        end = 0
        for found in _LINK.finditer(text):
            yield style, text[end : found.start()]
            yield f"{style} {LINK}", found[0]
            end = found.end()
        yield style, text[end:]
