"""The text dialect: what a person at ``nc`` or ``telnet`` types and reads."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import assert_never

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    ALL_ROOMS,
    AccountChanged,
    Acked,
    Announced,
    Answered,
    AwayChanged,
    AwaySet,
    Banned,
    Burst,
    Closed,
    CloseReason,
    Deleted,
    Emoted,
    Error,
    Event,
    Explained,
    Helped,
    IgnoreChanged,
    IgnoredList,
    InvitationSent,
    Invited,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    NameAsked,
    Online,
    PaceChanged,
    PasswordAsked,
    Person,
    PersonalEvent,
    QuietChanged,
    Recalled,
    Refusal,
    Refused,
    Removed,
    Renamed,
    Rendered,
    Replayed,
    Reported,
    ReportTaken,
    Role,
    RoleChanged,
    RoomEvent,
    RoomInfo,
    RoomLeft,
    RoomList,
    RoomSwitched,
    Said,
    SanctionInfo,
    SanctionKind,
    SanctionList,
    Saving,
    Sent,
    Skipped,
    Told,
    Tombstone,
    TopicChanged,
    TopicShown,
    Typing,
    Welcomed,
)
from chatservice.core.measures import CONSOLE
from chatservice.core.requests import Password
from chatservice.core.sanitize import erased, safe_lines, sanitize
from chatservice.dialects import commands
from chatservice.dialects.dialect import Asked, Expected, Wants
from chatservice.dialects.wording import ENGLISH, Catalogue

CRLF = "\r\n"

# The start of a line that is a command, or blank, or may be blank.
_NO_PLAIN_TALK = re.compile(rb"\n[/ \t\r\n]")


class Text:
    """The dialect. `zone`: the time zone of the times that it shows; None: the local one. `words`:
    the language."""

    wants = Wants(prompts=True, acknowledgements=False, replay=True, tokens=False, rooms=True)

    def __init__(self, zone: tzinfo | None = UTC, words: Catalogue = ENGLISH) -> None:
        self._zone = zone
        self._words = words

    def greet(self) -> PersonalEvent:
        return NameAsked()

    def read(self, line: bytes, expected: Expected) -> Asked:
        text = sanitize(erased(line.rstrip(b"\r").decode("utf-8", "replace")))
        if expected is Expected.PASSWORD:
            return Asked(Password(text))
        if not text.strip():
            return Asked(None)
        try:
            return Asked(commands.parse(text, has_name=expected is Expected.REQUEST))
        except Refusal as refusal:
            return Asked(refusal)

    def read_talk(self, data: bytes) -> tuple[str, ...]:
        if data[0] in b"/ \t\r\n" or _NO_PLAIN_TALK.search(data):
            return ()
        lines = safe_lines(data)
        if lines is None or not (data.isascii() or all(map(str.strip, lines))):
            return ()  # a line may be blank without being ASCII
        return tuple(lines)

    def render_personal(self, event: PersonalEvent) -> bytes:
        return self.render(event)

    labels_rooms = True
    echoes = False

    @property
    def shared(self) -> log.Dialect:
        return self

    def render(self, event: Event, *, labelled: bool = False) -> bytes:
        """The lines for `event`, each with its end; empty if people are not told of it. With
        `labelled`, each begins with the room where it happened."""
        label = _label(event) if labelled else ""
        if isinstance(event, Burst):  # nearly all there is to render, and many lines at once
            prefix = f"{label}{event.name}: "
            return (prefix + (CRLF + prefix).join(event.texts) + CRLF).encode()
        return "".join([f"{label}{line}{CRLF}" for line in self.lines(event, labelled)]).encode()

    def acknowledge(self, entry: Entry) -> bytes:
        """People see what they have typed."""
        return b""

    def lines(self, event: Event, labelled: bool = False) -> Sequence[str]:
        """The lines for `event`, without their ends; `labelled`: the room comes before them."""
        if isinstance(event, RoomEvent | Said):
            return self._room_lines(event, labelled)
        return self._personal_lines(event)

    def _room_lines(  # noqa: PLR0911, PLR0912 (one case for each event)
        self, event: RoomEvent | Said, labelled: bool
    ) -> Sequence[str]:
        words = self._words
        match event:
            case Burst(name=name, texts=texts):
                return [f"{name}: {text}" for text in texts]
            case Said(name=name, text=text):
                return (f"{name}: {text}",)
            case Emoted(name=name, text=text):
                return (f"* {name} {text}",)
            case Joined(names=names, arrived=False, room=room):
                where = "" if labelled else room
                return (f"*** {words.joined_room(names, where)}",)
            case Joined(names=names):
                return (f"*** {words.joined(names)}",)
            case Left(names=names, by=by, why=why) if by:
                has_left = event.reason is not LeaveReason.PARTED
                return (f"*** {words.removed(names, self._by(by), why, has_left)}",)
            case Left(names=names, reason=LeaveReason.PARTED, room=room):
                where = "" if labelled else room
                return (f"*** {words.left_room(names, where)}",)
            case Left(names=names, reason=reason):
                left = words.lost if reason is LeaveReason.LOST else words.left
                return (f"*** {left(names)}",)
            case Renamed(old=old, new=new):
                return (f"*** {words.renamed.format(old=old, new=new)}",)
            case TopicChanged(name=name, topic=topic):
                template = words.topic_changed if topic else words.topic_removed
                return (f"*** {template.format(name=name, topic=topic)}",)
            case ModeChanged(name=name, private=private):
                template = words.made_private if private else words.made_public
                return (f"*** {template.format(name=name)}",)
            case PaceChanged(name=name, seconds=seconds):
                template = words.made_slow if seconds else words.made_quick
                return (f"*** {template.format(name=name, seconds=seconds)}",)
            case RoleChanged(name=name, by=by, role=Role.MEMBER) if name == by:
                return (f"*** {words.resigned.format(name=name)}",)
            case RoleChanged(name=name, by=by, role=role):
                return (f"*** {words.roles[role].format(name=name, by=self._by(by))}",)
            case Banned() | Muted():
                return (f"*** {self._sanctioned(event)}",)
            case Deleted(name=name, by=by, messages=messages):
                return (f"*** {words.deleted(name, self._by(by), len(messages))}",)
            case Tombstone(name=name, by=by):
                return (f"*** {words.tombstone(name, self._by(by, within=True))}",)
            case _:
                assert_never(event)

    def _by(self, name: str, *, within: bool = False) -> str:
        """Who has done something, at the beginning of a sentence or `within` it; whoever runs the
        server has no name."""
        words = self._words
        operator = words.operator_within if within else words.operator
        return operator if name == CONSOLE else name

    def _until(self, until: float | None) -> str:
        return "" if until is None else self._words.until.format(at=self._time(until))

    def _sanctioned(self, event: Banned | Muted) -> str:
        words = self._words
        is_ban = isinstance(event, Banned)
        if event.on:
            template = words.banned if is_ban else words.muted
        else:
            template = words.unbanned if is_ban else words.unmuted
        where = words.everywhere if event.everywhere else ""
        why = words.why.format(why=event.why) if event.why else "."
        by, until = self._by(event.by), self._until(event.until)
        return template.format(by=by, name=event.name, where=where, until=until, why=why)

    def _sanction(self, info: SanctionInfo) -> str:
        words = self._words
        is_ban = info.kind is SanctionKind.BAN
        what = words.listed_ban if is_ban else words.listed_mute
        whom = words.whom[info.account, info.network]
        why = words.why.format(why=info.why) if info.why else "."
        until = self._until(info.until)
        by, at = self._by(info.by, within=True), self._time(info.at)
        return what.format(name=info.name, whom=whom, by=by, at=at, until=until) + why

    def _reported(self, event: Reported) -> str:
        words = self._words
        room = "" if event.room == ALL_ROOMS else event.room
        at = self._time(event.at) if event.waited else ""
        return words.reported(event, room, at)

    def _personal_lines(  # noqa: PLR0911, PLR0912, PLR0915 (one case for each event)
        self, event: PersonalEvent
    ) -> Sequence[str]:
        words = self._words
        match event:
            case Left() | RoleChanged() | Banned() | Muted() | Deleted():
                return self._room_lines(event, labelled=False)
            case Told(sender=sender, text=text):
                return (f"[{sender} -> {words.you}] {text}",)
            case Sent(recipient=recipient, text=text, waiting=waiting):
                later = f" {words.waiting.format(name=recipient)}" if waiting else ""
                line = f"[{words.you} -> {recipient}] {text}{later}"
                if event.away is None:
                    return (line,)
                return (line, f"*** {words.is_away(recipient, event.away)}")
            case AwaySet(on=on, text=text):
                return (f"*** {words.you_are_away(text) if on else words.back}",)
            case AccountChanged(name=name, change=change):
                return (f"*** {words.changes[change].format(name=name)}",)
            case PasswordAsked(name=name):
                return (words.password_question.format(name=name),)
            case NameAsked():
                return (words.question,)
            case Welcomed(name=name, names=names):
                welcome = words.welcome.format(name=name)
                return (welcome, f"*** {words.help_hint}", self._online(names))
            case Announced(lines=lines, room=room):
                where = f"#{room}: " if room else ""
                return [f"*** {where}{line}".rstrip() for line in lines]
            case Online(names=names, room=room, away=away):
                online = f"*** {words.people_in_room(room, names)}" if room else self._online(names)
                if not away:
                    return (online,)
                return (online, f"*** {words.away_list.format(names=', '.join(away))}")
            case RoomInfo():
                return [f"*** {line}" for line in words.room(event)]
            case RoomList():
                return [f"*** {line}" for line in self._rooms(event)]
            case RoomSwitched(room=room, topic=topic, names=names):
                people = f"*** {words.people_in_room(room, names)}"
                shown = f"*** {words.topic.format(room=room, topic=topic)}"
                return (people, shown) if topic else (people,)
            case QuietChanged(room=room, on=on):
                template = words.quiet if on else words.not_quiet
                return (f"*** {template.format(room=room)}",)
            case Person():
                return [f"*** {line}" for line in words.person(event, self._time(event.since))]
            case Invited(room=room, name=name):
                return (f"*** {words.invited.format(name=name, room=room)}",)
            case Helped(commands=names):
                return [f"*** {line}" for line in self._help(names)]
            case Explained(command=command, aliases=aliases):
                return [f"*** {line}" for line in words.explained(command, aliases)]
            case Removed(room=room, by=by, why=why):
                where = "" if room == ALL_ROOMS else room
                return (f"*** {words.you_removed(self._by(by), where, why)}",)
            case SanctionInfo():
                return (f"*** {self._sanction(event)}",)
            case SanctionList(room=room, bans=bans, earlier=earlier):
                where = words.whole_chat if room == ALL_ROOMS else f"#{room}"
                return [f"*** {words.bans_heading(len(bans), earlier, where)}"] + [
                    f"***   {self._sanction(each)}" for each in bans
                ]
            case Reported():
                return (f"*** {self._reported(event)}",)
            case ReportTaken(kept=kept):
                return (f"*** {words.report_kept if kept else words.report_passed_on}",)
            case IgnoreChanged(name=name, on=on):
                template = words.ignoring if on else words.not_ignoring
                return (f"*** {template.format(name=name)}",)
            case IgnoredList(ignored=names):
                template = words.ignored if names else words.nobody_ignored
                return (f"*** {template.format(names=', '.join(names))}",)
            case RoomLeft(room=room, current=current):
                return (f"*** {words.room_left.format(room=room, current=current)}",)
            case TopicShown(room=room, topic=topic):
                template = words.topic if topic else words.no_topic
                return (f"*** {template.format(room=room, topic=topic)}",)
            case InvitationSent(room=room, to=to):
                return (f"*** {words.invitation_sent.format(name=to, room=room)}",)
            case Skipped(count=count):
                return (f"*** {words.skipped.format(messages=words.counted(count))}",)
            case Saving():
                return (f"*** {self._saving(event)}",)
            case Closed(name=name, reason=CloseReason.EXIT) if name:
                return (f"*** {words.goodbye.format(name=name)}",)
            case Closed(reason=reason):
                return (f"*** {words.closings[reason]}",)
            case Refused(refusal=refusal):
                return (self._error(words.refusal(refusal), self._next_question(event)),)
            case Error(message=message):
                return (self._error(message),)
            case Replayed():
                return self._replayed(event)
            case Answered(event=answer):
                return self.lines(answer)
            case Acked() | Typing() | AwayChanged() | Recalled() | Rendered():
                return ()
            case _:
                assert_never(event)

    def _help(self, names: Sequence[str]) -> Iterator[str]:
        words = self._words
        usages = {name: words.usage(name) for name in names if name not in commands.IN_CHARGE}
        width = max(map(len, usages.values()))
        for name, usage in usages.items():
            yield f"{usage:<{width}}  {words.commands[name]}"
        if in_charge := [f"/{name}" for name in names if name in commands.IN_CHARGE]:
            yield words.help_in_charge.format(commands=", ".join(in_charge))

    def _rooms(self, page: RoomList) -> Iterator[str]:
        words, rooms = self._words, page.rooms
        yield words.rooms_heading(len(rooms) + page.more)
        for room in rooms:
            yield from (f"  {line}" for line in words.room(room))
        if page.more and rooms:
            yield words.more_rooms.format(count=page.more, room=rooms[-1].room)

    def _time(self, at: float) -> str:
        return f"{datetime.fromtimestamp(at, self._zone):%Y-%m-%d %H:%M}"

    def _online(self, names: Sequence[str]) -> str:
        return f"*** {self._words.online.format(count=len(names), names=', '.join(names))}"

    def _error(self, message: str, question: str = "") -> str:
        return f"{self._words.error.format(message=message)} {question}".rstrip()

    def _next_question(self, refused: Refused) -> str:
        if refused.asks_name:
            return self._words.question
        if refused.asks_password:
            return self._words.password_question.format(name=refused.asks_password)
        return ""

    def _saving(self, event: Saving) -> str:
        words = self._words
        if not event.on:
            return words.not_saving.format(trouble=words.trouble(event.trouble))
        if event.lost:
            return words.saving_lost.format(messages=words.counted(event.lost))
        return words.saving

    def _replayed(self, event: Replayed) -> Sequence[str]:
        """Each message with the time when it was said, and the date unless that is today."""
        today = datetime.fromtimestamp(event.at, self._zone).date()
        lines = []
        if not event.continues:
            heading = self._words.heading(
                event.reason, event.count, gone=event.gone, more=event.more
            )
            lines.append(f"*** {heading}")
        for message in event.events:
            at = datetime.fromtimestamp(message.at, self._zone)
            day = "" if at.date() == today else f"{at:%Y-%m-%d} "
            label = (
                "" if isinstance(message, Told) or message.room == event.room else _label(message)
            )
            lines += [f"[{day}{at:%H:%M:%S}] {label}{line}" for line in self.lines(message)]
        return lines


TEXT = Text()


def _label(event: Event) -> str:
    """The room where it happened, before its line: no name of a person has a ``#`` in it."""
    return f"#{event.room} " if isinstance(event, RoomEvent | Said | Typing) else ""
