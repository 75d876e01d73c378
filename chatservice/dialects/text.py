"""The text dialect: what a person at ``nc`` or ``telnet`` types and reads."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import assert_never

from chatservice.core.events import (
    AccountChanged,
    Acked,
    Announced,
    Answered,
    Burst,
    Closed,
    CloseReason,
    Emoted,
    Error,
    Event,
    Helped,
    Joined,
    LeaveReason,
    Left,
    NameAsked,
    Online,
    PasswordAsked,
    PersonalEvent,
    Recalled,
    Refusal,
    Refused,
    Renamed,
    Replayed,
    Said,
    Saving,
    Sent,
    Skipped,
    Told,
    Typing,
    Welcomed,
)
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

    wants = Wants(prompts=True, acknowledgements=False, replay=True, tokens=False)

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

    def render(self, event: Event) -> bytes:
        """The lines for `event`, each with its end; empty if people are not told of it."""
        if isinstance(event, Burst):  # nearly all there is to render, and many lines at once
            prefix = event.name + ": "
            return (prefix + (CRLF + prefix).join(event.texts) + CRLF).encode()
        return "".join([line + CRLF for line in self.lines(event)]).encode()

    def lines(self, event: Event) -> Sequence[str]:  # noqa: PLR0911, PLR0912 (one case for each)
        """The lines for `event`, without their ends."""
        words = self._words
        match event:
            case Burst(name=name, texts=texts):
                return [f"{name}: {text}" for text in texts]
            case Said(name=name, text=text):
                return (f"{name}: {text}",)
            case Emoted(name=name, text=text):
                return (f"* {name} {text}",)
            case Joined(names=names):
                return (f"*** {words.joined(names)}",)
            case Left(names=names, reason=reason):
                left = words.lost if reason is LeaveReason.LOST else words.left
                return (f"*** {left(names)}",)
            case Renamed(old=old, new=new):
                return (f"*** {words.renamed.format(old=old, new=new)}",)
            case Told(sender=sender, text=text):
                return (f"[{sender} -> {words.you}] {text}",)
            case Sent(recipient=recipient, text=text, waiting=waiting):
                later = f" {words.waiting.format(name=recipient)}" if waiting else ""
                return (f"[{words.you} -> {recipient}] {text}{later}",)
            case AccountChanged(name=name, change=change):
                return (f"*** {words.changes[change].format(name=name)}",)
            case PasswordAsked(name=name):
                return (words.password_question.format(name=name),)
            case NameAsked():
                return (words.question,)
            case Welcomed(name=name, names=names):
                welcome = words.welcome.format(name=name)
                return (welcome, f"*** {words.help_hint}", self._online(names))
            case Announced(lines=lines):
                return [f"*** {line}".rstrip() for line in lines]
            case Online(names=names):
                return (self._online(names),)
            case Helped(commands=commands):
                usages = [words.usage(name) for name in commands]
                width = max(map(len, usages))
                return [
                    f"*** {usage:<{width}}  {words.commands[name]}"
                    for usage, name in zip(usages, commands, strict=True)
                ]
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
            case Acked() | Typing() | Recalled():
                return ()
            case _:
                assert_never(event)

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
            lines += [f"[{day}{at:%H:%M:%S}] {line}" for line in self.lines(message)]
        return lines


TEXT = Text()
