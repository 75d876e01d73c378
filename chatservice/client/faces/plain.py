"""The plain face of the client: lines on standard input and output.

On a terminal it is for a person; from a pipe it is a tool that sends its input, says goodbye and
ends with status 0 only if the server has acknowledged all of it.
"""

import contextlib
import sys
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet import stdio
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Declined
from chatservice.client.events import Disconnected, Heard, Missed
from chatservice.client.faces.talk import AskedAgain, Shown, Talk, in_words, is_error, on_signals
from chatservice.core.events import Acked, Closed, Error, Helped, NameAsked, Replayed
from chatservice.core.sanitize import sanitize
from chatservice.dialects.codec import Vocabulary
from chatservice.dialects.jsonlines import EVENTS, JSON, line_of

# Bytes in a line; what is too long for the server is refused by `ChatClient`.
MAX_TYPED = 1024 * 1024
# Lines from a pipe that may wait for their acknowledgement before no more is read.
MAX_OUTSTANDING = 200
OURS = Vocabulary({**EVENTS.types, "disconnected": Disconnected, "missed": Missed})


@implementer(IHalfCloseableProtocol, IPushProducer)
class Keyboard(LineOnlyReceiver):
    """Standard input, of which `typed` is given each line, and output."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_TYPED
    transport: Any

    def __init__(self, typed: Callable[[str], None], ended: Callable[[str], None]) -> None:
        self.flushed: Deferred[None] = Deferred()  # nothing more can be written
        self._typed = typed
        self._ended = ended
        self._room: Deferred[None] | None = None

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def lineReceived(self, line: bytes) -> None:
        self._typed(line.removesuffix(b"\r").decode("utf-8", "replace"))

    def lineLengthExceeded(self, line: bytes) -> None:
        self.transport.pauseProducing()
        self._ended(f"Error: a line has more than {self.MAX_LENGTH} bytes.")

    def readConnectionLost(self) -> None:
        if self._buffer:
            self.lineReceived(self._buffer)
        self._ended("")

    def writeConnectionLost(self) -> None:
        self.give_up()
        self._ended("Nobody reads what this prints.")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.give_up()

    async def room(self) -> None:
        """Comes back when more can be printed."""
        if self._room is not None and not self.flushed.called:
            await self._room

    def give_up(self) -> None:
        """What has not been printed need not be, or cannot."""
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


NOT_IN_JSON = (str, NameAsked, Helped, AskedAgain, ChatError)  # these concern a person


class Plain:
    """One run of the program, with a person at a terminal (`interactive`) or as a tool."""

    def __init__(self, where: str, *, interactive: bool, as_json: bool) -> None:
        self.keyboard = Keyboard(self._typed, self._input_ended)
        self.talk = Talk(self._show, self._regulate)
        self._where = where
        self._interactive = interactive
        self._as_json = as_json
        self._paused = False
        self._closing = False
        self._failed = False

    def ask(self, error: Error | None) -> "Deferred[str]":
        """For a name. A tool is not asked twice."""
        if error is not None and not self._interactive:
            return fail(Declined(error))
        asking = self.talk.ask(error)
        self._regulate()
        return asking

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """The next line is typed unseen."""
        show_typing(False)

        def over(result: str | Failure) -> str | Failure:
            show_typing(True)
            return result

        return self.talk.ask_password(name, error).addBoth(over)

    async def run(self) -> int:
        """Until the end. The program's exit status."""
        self._regulate()
        try:
            async for event in self.talk.client:
                self._closing = self._closing or isinstance(event, Closed)
                self._show(event)
                await self.keyboard.room()
        except ChatError as error:
            self._failed = True
            self.complain(in_words(error, self._where))
        if self._interactive:
            return 1 if self._failed else 0
        return 0 if self._closing and not (self._failed or self.talk.refused) else 1

    def interrupt(self) -> None:
        """Leave; asked a second time, without waiting. A tool has not sent all that it should."""
        self._failed = self._failed or not self._interactive
        if self.talk.leaving:
            self.talk.client.abort()
            self.keyboard.give_up()
        self.talk.leave()

    def _typed(self, line: str) -> None:
        if self._interactive and not self.talk.ready and not self.talk.leaving:
            self.complain("Not connected: that was not sent.")
            return
        self.talk.typed(line)
        self._regulate()

    def _input_ended(self, why: str) -> None:
        if why:
            self.complain(why)
            self._fail()
        elif not self.talk.leaving:
            self.talk.leave()

    def _fail(self) -> None:
        self._failed = True
        self.talk.leaving = True
        self.talk.client.abort()

    def _regulate(self) -> None:
        """A tool reads its input no faster than the server takes it."""
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
        if self._as_json and not isinstance(event, NOT_IN_JSON):
            if not isinstance(event, Acked):
                self.keyboard.transport.write(_as_json(event))
            return
        words = in_words(event, self._where)
        if self._as_json or is_error(event):
            for line in words.splitlines():
                self.complain(line)
        elif words:
            self.keyboard.transport.write(words.encode() + b"\n")

    def complain(self, words: str) -> None:
        """Show a line that is not part of the conversation."""
        if self._interactive:  # the same way as what the server says, or they change places
            self.keyboard.transport.write(sanitize(words).encode() + b"\n")
        else:
            print(sanitize(words), file=sys.stderr, flush=True)


def show_typing(on: bool) -> None:
    """Whether the terminal that standard input is shows what is typed."""
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(0)
        attributes[3] = attributes[3] | termios.ECHO if on else attributes[3] & ~termios.ECHO
        termios.tcsetattr(0, termios.TCSANOW, attributes)


def _as_json(event: Heard) -> bytes:
    if isinstance(event, Disconnected | Missed):
        return line_of(OURS.write(event), None)
    if isinstance(event, Replayed):
        return b"".join(map(_as_json, event.events))
    return JSON.render(event).replace(b"\r\n", b"\n")


async def talk_plainly(
    reactor: Any, make: Callable[..., ChatClient], where: str, *, retry: bool, as_json: bool
) -> int:
    """Talk until the end; the exit status. `make` makes the client at `where`."""
    interactive = sys.stdin.isatty()
    plain = Plain(where, interactive=interactive, as_json=as_json)
    plain.talk.client = make(
        tell=plain.complain,
        ask=plain.ask,
        ask_password=plain.ask_password if interactive else None,
        retry=retry and interactive,
        echo=as_json,
        past=interactive and not as_json,
    )
    stdio.StandardIO(plain.keyboard, reactor=reactor)
    on_signals(reactor, plain.interrupt)
    status = await plain.run()
    plain.keyboard.transport.unregisterProducer()
    plain.keyboard.transport.loseConnection()
    await plain.keyboard.flushed
    return status
