"""A person's side of a `ChatClient`: typed lines, and what comes of them."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice import commands
from chatservice.client.chat_client import ChatClient, Disconnected, Heard, Missed
from chatservice.client.outstanding import ChatError, Declined
from chatservice.commands import COMMANDS
from chatservice.events import Error, Event, Helped, NameAsked, Parted, Reason, Refusal, Refused
from chatservice.requests import Exit, Hello, Help, Request


class Talk:
    """Turns typed lines into requests to a client, as the server does with those of `nc`.

    `show` is given what is to be shown, be it an event or words of our own. `refused` says whether
    anything has been, `parted` whether the server has said goodbye.
    """

    def __init__(self, show: Callable[[Heard | str], None]) -> None:
        self.client: ChatClient
        self.refused = False
        self.parted = False
        self.leaving = False  # and nothing more is obeyed
        self._show = show
        self._asking: Deferred[str] | None = None

    async def listen(self) -> None:
        """Show what happens until the end. Raises what ends the client before its time."""
        async for event in self.client:
            self.parted = self.parted or isinstance(event, Parted)
            self._show(event)

    def ask(self, error: Error | None) -> "Deferred[str]":
        """The next line that is typed is a name. `error`: what was wrong with the last one."""
        if error is not None:
            self.refused = True
            self._show(f"Error: {error.message} What is your name?")
        else:
            self._show(NameAsked())
        self._asking = Deferred(self._no_more_asking)
        return self._asking

    @property
    def ready(self) -> bool:
        """Whether a line that is typed now goes somewhere."""
        return self._asking is not None or self.client.connected

    def typed(self, line: str) -> None:
        """Do what `line` says."""
        if not line.strip() or self.leaving:
            return
        try:
            self._carry_out(commands.parse(line, has_name=self._asking is None))
        except Refusal as refusal:
            self._refuse(refusal)

    def leave(self) -> None:
        """Say goodbye."""
        self.leaving = True
        self.client.leave()

    def _carry_out(self, request: Request) -> None:
        match request:
            case Help():
                self._show(Helped(tuple((command.usage, command.help) for command in COMMANDS)))
            case Exit():
                self.leave()
            case Hello(name=name) if self._asking is not None:
                asking, self._asking = self._asking, None
                asking.callback(name)
            case _ if self._asking is not None:
                raise Refusal(Reason.NAME_FIRST)
            case _:
                self.client.request(request).addCallbacks(self._answered, self._failed)

    def _answered(self, event: Event) -> None:
        self._show(event)

    def _failed(self, failure: Failure) -> None:
        failure.trap(ChatError)
        self.refused = True
        error = failure.value
        self._show(error.error if isinstance(error, Declined) else f"Error: {error}")

    def _refuse(self, refusal: Refusal) -> None:
        self.refused = True
        self._show(Refused(refusal, asks_name=self._asking is not None))

    def _no_more_asking(self, asking: "Deferred[str]") -> None:
        self._asking = None


def in_words(event: Disconnected | Missed) -> str:
    """What befalls the connection."""
    if isinstance(event, Disconnected):
        return f"The connection is lost: {event.why} Trying again in {event.again:.0f} s."
    messages = "message" if event.count == 1 else "messages"
    gone = f" ({event.gone} older events are gone.)" if event.gone else ""
    return f"*** {event.count} {messages} while you were away:{gone}"
