"""The plain face of the client: lines on standard input and output.

On a terminal it is for a person; from a pipe it is a tool that sends its input, says goodbye and
ends with status 0 only if the server has acknowledged all of it.
"""

import contextlib
import os
import sys
import termios
from codecs import BOM_UTF8
from collections.abc import Callable
from typing import Any

from twisted.internet import stdio
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Declined, Gone
from chatservice.client.events import Disconnected, Heard, Missed, RoomLost
from chatservice.client.faces.looks import bounded
from chatservice.client.faces.rows import wrap
from chatservice.client.faces.talk import Talk, on_signals
from chatservice.client.faces.words import AskedAgain, Shown, Wording, is_error
from chatservice.core.events import (
    Acked,
    Closed,
    Error,
    ErrorCode,
    Helped,
    NameAsked,
    PasswordAsked,
    Replayed,
    Welcomed,
)
from chatservice.core.sanitize import sanitize
from chatservice.dialects.codec import Vocabulary
from chatservice.dialects.jsonlines import EVENTS, JSON, line_of
from chatservice.dialects.wording import ENGLISH, Catalogue, ClientWords

# Bytes in a line; what is too long for the server is refused by `ChatClient`.
MAX_TYPED = 1024 * 1024
# Once a tool has left, lines are read, and named as not sent, until there are none for so long, or
# for so long in all.
QUIET_SECONDS, REST_SECONDS = 0.2, 5.0
# Lines from a pipe that may wait for their acknowledgement before no more is read.
MAX_OUTSTANDING = 200
OURS = Vocabulary(
    {
        **EVENTS.types,
        "disconnected": Disconnected,
        "missed": Missed,
        "room_lost": RoomLost,
    }
)


@implementer(IHalfCloseableProtocol, IPushProducer)
class Keyboard(LineOnlyReceiver):
    """Standard input and output. `typed` is called with each line of input, `ended` at its end."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_TYPED
    transport: Any

    def __init__(
        self, typed: Callable[[str], None], ended: Callable[[str], None], words: ClientWords
    ) -> None:
        self.flushed: Deferred[None] = Deferred()  # nothing more can be written
        self._words = words
        self._typed = typed
        self._ended = ended
        self._begun = False
        self._room: Deferred[None] | None = None

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def lineReceived(self, line: bytes) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(BOM_UTF8)
        self._typed(line.removesuffix(b"\r").decode("utf-8", "replace"))

    def lineLengthExceeded(self, line: bytes) -> None:
        self.transport.pauseProducing()
        self._ended(self._words.long_input.format(limit=self.MAX_LENGTH))

    def readConnectionLost(self) -> None:
        if self._buffer:
            self.lineReceived(self._buffer)
        self._ended("")

    def writeConnectionLost(self) -> None:
        self.give_up()
        self._ended(self._words.nobody_reads)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.give_up()

    async def room(self) -> None:
        """Return when more can be printed."""
        if self._room is not None and not self.flushed.called:
            await self._room

    def give_up(self) -> None:
        """Forget what has not been printed."""
        if not self.flushed.called:
            self.flushed.callback(None)
        self.resumeProducing()

    # As a producer: of what is printed.

    def pauseProducing(self) -> None:
        self._room = self._room or Deferred()

    def resumeProducing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()


NOT_IN_JSON = (
    str,
    NameAsked,
    PasswordAsked,
    Helped,
    AskedAgain,
    ChatError,
)  # these concern a person


class Plain:
    """One run of the program, with a person at a terminal (`interactive`) or as a tool."""

    def __init__(
        self,
        reactor: Any,
        where: str,
        *,
        interactive: bool,
        as_json: bool,
        words: Catalogue = ENGLISH,
    ) -> None:
        self.keyboard = Keyboard(self._typed, self._input_ended, words.client)
        self.talk = Talk(self._show, self._regulate, words)
        self._reactor = reactor
        self._words = words
        self._wording = Wording(where, words, lambda: self.talk.rooms.current)
        self._interactive = interactive
        self._as_json = as_json
        self._paused = False
        self._welcomed = False
        self._closing = False
        self._failed = False
        self._interrupted = False
        self._input_over = False
        self._lines = 0  # that were read

    def ask(self, error: Error | None) -> "Deferred[str]":
        """Ask for a name. A tool is not asked twice."""
        if error is not None and not self._interactive:
            return fail(Declined(error))
        asking = self.talk.ask(error)
        self._regulate()
        return asking

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """Ask for the password of `name`. It is not echoed."""
        show_typing(False)

        def over(result: str | Failure) -> str | Failure:
            show_typing(True)
            return result

        return self.talk.ask_password(name, error).addBoth(over)

    async def run(self) -> int:
        """Run until the end. Returns the exit status."""
        self._regulate()
        try:
            async for event in self.talk.client:
                self._welcomed = self._welcomed or isinstance(event, Welcomed)
                self._closing = self._closing or isinstance(event, Closed)
                if isinstance(event, Disconnected) and event.hopeless:
                    self._fail()
                    self._show(Gone(event.why, lost=False))
                else:
                    self._show(event)
                await self.keyboard.room()
        except ChatError as error:
            self._failed = True
            self.complain(" ".join((*self._wording.lines(error), *self._hints(error))))
            if self._welcomed and not self._interactive:
                for line in self.talk.unanswered:
                    self._complain_of(self._words.client.this_maybe_unsent.format(line=line))
        if self._interactive:
            return 1 if self._failed else 0
        if self.talk.leaving and not self._interrupted:
            await self._read_rest()
        return 0 if self._closing and not (self._failed or self.talk.refused) else 1

    def interrupt(self) -> None:
        """Leave. The second call leaves without waiting. A tool has failed then."""
        self._interrupted = True
        self._failed = self._failed or not self._interactive
        if self.talk.leaving:
            self.talk.client.abort()
            self.keyboard.give_up()
        self.talk.leave()

    def _hints(self, error: ChatError) -> tuple[str, ...]:
        """What would help."""
        needs_password = isinstance(error, Declined) and error.code == ErrorCode.PASSWORD_NEEDED
        return (self._words.client.use_password_file,) if needs_password else ()

    async def _read_rest(self) -> None:
        """Name each line after ``/exit``: they are not sent."""
        self.keyboard.transport.resumeProducing()
        deadline = self._reactor.seconds() + REST_SECONDS
        while not self._input_over:
            lines = self._lines
            await deferLater(self._reactor, QUIET_SECONDS)
            if lines == self._lines:
                break
            if self._reactor.seconds() >= deadline:
                self._complain_of(self._words.client.more_lines)
                break

    def _typed(self, line: str) -> None:
        self._lines += 1
        if self._interactive and not self.talk.ready and not self.talk.leaving:
            self.complain(self._words.client.not_connected)
            return
        self.talk.typed(line)
        self._regulate()

    def _input_ended(self, why: str) -> None:
        self._input_over = True
        if why:
            self._complain_of(why)
            self._fail()
        elif not self.talk.leaving:
            self.talk.leave()

    def _fail(self) -> None:
        self._failed = True
        self.talk.leaving = True
        self.talk.client.abort()

    def _regulate(self) -> None:
        """Have a tool read its input no faster than the server takes it."""
        if self._interactive:
            return
        client = self.talk.client
        nameless = client.name is None and not self.talk.ready
        paused = nameless or client.outstanding >= MAX_OUTSTANDING
        if paused is not self._paused:
            self._paused = paused
            transport = self.keyboard.transport
            (transport.pauseProducing if paused else transport.resumeProducing)()

    def _show(self, event: Shown) -> None:
        if not self.talk.hears(event):
            return
        if self._as_json and not isinstance(event, NOT_IN_JSON):
            if not isinstance(event, Acked):
                self.keyboard.transport.write(_as_json(event))
            return
        lines = self._wording.plain(event)
        if self._as_json or is_error(event):
            for line in lines:
                self.complain(line)
        elif lines:
            self._print(lines)

    def _print(self, lines: list[str]) -> None:
        """Print lines. On a terminal, rows that continue a line are indented."""
        if self._interactive:
            rows = wrap([("", bounded(line) + "\n") for line in lines], columns())
            text = "".join(part for _, part in rows)
        else:
            text = "".join(line + "\n" for line in lines)
        self.keyboard.transport.write(text.encode())

    def _complain_of(self, message: str) -> None:
        """Show an error of our own."""
        self.complain(self._words.error.format(message=message))

    def complain(self, words: str) -> None:
        """Show a line that is not part of the conversation."""
        if self._interactive:  # the same way as what the server says, or they change places
            self._print([sanitize(words)])
        else:
            print(sanitize(words), file=sys.stderr, flush=True)


def columns() -> int:
    """The width of the terminal; 0 if standard output is not one."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 0


def show_typing(on: bool) -> None:
    """Switch the echo of the terminal on or off."""
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(0)
        attributes[3] = attributes[3] | termios.ECHO if on else attributes[3] & ~termios.ECHO
        termios.tcsetattr(0, termios.TCSANOW, attributes)


def _as_json(event: Heard) -> bytes:
    if isinstance(event, Disconnected | Missed | RoomLost):
        return line_of(OURS.write(event), None)
    if isinstance(event, Replayed):
        return b"".join(map(_as_json, event.events))
    return JSON.render(event).replace(b"\r\n", b"\n")


async def talk_plainly(
    reactor: Any, make: Callable[..., ChatClient], where: str, *, retry: bool, as_json: bool
) -> int:
    """Talk until the end. Returns the exit status. `make` makes the client for `where`."""
    interactive = sys.stdin.isatty()
    plain = Plain(reactor, where, interactive=interactive, as_json=as_json)
    plain.talk.client = make(
        tell=plain.complain,
        ask=plain.ask,
        ask_password=plain.ask_password if interactive else None,
        retry=retry and interactive,
        echo=as_json,
        past=interactive and not as_json,
        rooms=interactive and not as_json,
    )
    stdio.StandardIO(plain.keyboard, reactor=reactor)
    on_signals(reactor, plain.interrupt)
    status = await plain.run()
    plain.keyboard.transport.unregisterProducer()
    plain.keyboard.transport.loseConnection()
    await plain.keyboard.flushed
    return status
