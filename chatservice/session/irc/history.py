"""CHATHISTORY (https://ircv3.net/specs/extensions/chathistory): the past of rooms."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from chatservice.core.events import Emoted, Happening, Recalled, Refusal, Said, Tombstone
from chatservice.core.requests import History
from chatservice.dialects.irc.capabilities import Cap
from chatservice.dialects.irc.message import Message

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

MAX_MESSAGES = 100  # in one answer
PAGE = 200
# Pages that are looked through for a time: 20,000 events.
MAX_PAGES = 100
_PARAMETERS = {
    "LATEST": 4,
    "BEFORE": 4,
    "AFTER": 4,
    "AROUND": 4,
    "BETWEEN": 5,
    "TARGETS": 4,
}


class _Bad(Exception):
    """The request cannot be understood; `code` and `words` say why."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code = code
        self.words = words


class _Place(NamedTuple):
    """What a selector stands for: nothing below `before` is later than it, nothing above `after`
    is earlier. For a message both are its id."""

    before: int
    after: int


async def chathistory(session: "IrcSession", message: Message) -> None:
    """CHATHISTORY subcommand target selectors limit."""
    subcommand = message.parameters[0].upper()
    if subcommand not in _PARAMETERS:
        _fail(session, "INVALID_PARAMS", message.parameters[0], "Unknown subcommand")
        return
    if len(message.parameters) < _PARAMETERS[subcommand]:
        _fail(session, "NEED_MORE_PARAMS", subcommand, "Missing parameters")
        return
    if Cap.BATCH not in session.caps:
        _fail(session, "INVALID_PARAMS", subcommand, "It needs the capability batch")
        return
    if subcommand == "TARGETS":
        session.reply_batch("draft/chathistory-targets", (), ())
        return
    target = message.parameters[1]
    chat = session.services.chat
    await session.caught_up()
    try:
        room = chat.own_room(session.user, target)
    except Refusal:
        _fail(session, "INVALID_TARGET", subcommand, target, "There is no history of that for you")
        return
    try:
        found = await _find(session, subcommand, room.name, list(message.parameters[2:]))
    except _Bad as bad:
        _fail(session, bad.code, subcommand, bad.words)
        return
    session.reply_batch("chathistory", (target,), found)


async def _find(
    session: "IrcSession", subcommand: str, room: str, parameters: list[str]
) -> list[Happening]:
    count = 2 if subcommand == "BETWEEN" else 1
    selectors, limit_text = parameters[:count], parameters[count]
    limit = min(int(limit_text[:9]), MAX_MESSAGES) if limit_text.isdecimal() else 0
    if not limit:
        raise _Bad("INVALID_PARAMS", "Bad limit")
    end = session.services.chat.log.end
    if subcommand == "LATEST" and selectors == ["*"]:
        return await _before(session, room, end, 0, limit)
    places = [await _place(session, room, selector) for selector in selectors]
    first, last = places[0], places[-1]
    if subcommand == "AROUND":
        earlier = await _before(session, room, first.before, 0, limit // 2)
        return earlier + await _after(session, room, first.before - 1, end, limit - len(earlier))
    if subcommand == "AFTER" or (subcommand == "BETWEEN" and first.after <= last.before):
        before = end if subcommand == "AFTER" else last.before
        return await _after(session, room, first.after, before, limit)
    before, after = {
        "LATEST": (end, first.after),
        "BEFORE": (first.before, 0),
        "BETWEEN": (first.before, last.after),
    }[subcommand]
    return await _before(session, room, before, after, limit)


async def _page(
    session: "IrcSession", room: str, before: int, after: int | None = None
) -> Recalled:
    asked = History(before, after, PAGE, room=room)
    session.charge(asked)
    chat = session.services.chat
    page = await chat.recall(session.user, asked, session.peer.network)
    return replace(page, events=chat.log.erased.applied_to_all(page.events))


async def _before(
    session: "IrcSession", room: str, before: int, after: int, limit: int
) -> list[Happening]:
    """The newest of those between the two ids."""
    found: list[Happening] = []
    for _ in range(MAX_PAGES):
        if len(found) >= limit or before <= after:
            break
        page = await _page(session, room, before)
        events = [event for event in page.events if event.id > after]
        found = [event for event in events if _is_shown(session, event)] + found
        if len(events) < len(page.events) or not events or events[0].id <= page.first_id:
            break
        before = events[0].id
    return found[-limit:] if limit else []


async def _after(
    session: "IrcSession", room: str, after: int, before: int, limit: int
) -> list[Happening]:
    """The oldest of those between the two ids."""
    found: list[Happening] = []
    for _ in range(MAX_PAGES):
        if len(found) >= limit or after >= before - 1:
            break
        page = await _page(session, room, before, after)
        if not page.events:
            break
        found += [event for event in page.events if _is_shown(session, event)]
        after = page.events[-1].id
    return found[:limit]


def _is_shown(session: "IrcSession", event: Happening) -> bool:
    if Cap.EVENT_PLAYBACK in session.caps:
        return not isinstance(event, Tombstone)
    return isinstance(event, Said | Emoted)


async def _place(session: "IrcSession", room: str, selector: str) -> _Place:
    kind, _, value = selector.partition("=")
    log = session.services.chat.log
    if kind == "msgid":
        epoch, _, number = value.rpartition("-")
        if epoch != log.epoch or not number.isdecimal():
            raise _Bad("UNKNOWN_MSGID", "That message is not known")
        id_ = min(int(number[:18]), log.end)
        return _Place(id_, id_)
    if kind == "timestamp":
        try:
            at = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise _Bad("INVALID_PARAMS", "Bad timestamp") from None
        return await _at(session, room, at)
    raise _Bad("INVALID_PARAMS", "Bad selector")


async def _at(session: "IrcSession", room: str, at: float) -> _Place:
    """Where a time is among what happened in `room`; times are told to the millisecond."""
    earlier, later = round(at, 3), round(at + 0.001, 3)
    chat = session.services.chat
    before, after = chat.log.end, chat.log.end - 1
    position = chat.log.end
    for _ in range(MAX_PAGES):
        page = await _page(session, room, position)
        for event in reversed(page.events):
            if event.at >= later:
                after = min(after, event.id - 1)
            if event.at >= earlier:
                before = min(before, event.id)
        if not page.events or page.events[0].at < earlier or page.events[0].id <= page.first_id:
            break
        position = page.events[0].id
    return _Place(before, after)


def _fail(session: "IrcSession", code: str, *context: str) -> None:
    session.fail_command(code, *context)
