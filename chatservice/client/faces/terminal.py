"""The terminal face of the client: what arrives is printed above the line that is being typed.

It needs prompt_toolkit (the extra ``terminal``) and Twisted's asyncio reactor. Nothing else imports
it before that is certain.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, cast

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import (
    BeforeInput,
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.utils import get_cwidth
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import ChatError, Gone
from chatservice.client.events import Disconnected
from chatservice.client.faces.completer import LineCompleter
from chatservice.client.faces.looks import look, rings
from chatservice.client.faces.rows import Piece, fit, wrap
from chatservice.client.faces.status import Status
from chatservice.client.faces.talk import Talk, on_signals
from chatservice.client.faces.typing_notices import TypingNotices
from chatservice.client.faces.words import Shown, Wording
from chatservice.core.events import LOBBY, Error, NameAsked, Refused, Welcomed
from chatservice.core.sanitize import sanitize
from chatservice.dialects.commands import password_at
from chatservice.dialects.wording import ENGLISH, Catalogue

# What arrives within so many seconds is printed together: nobody sees the delay, and a burst of
# thousands redraws the line a few times only.
GATHER_SECONDS = 0.03
PROMPT = "> "
MENU_ROWS = 7
MAX_PASTED = 5  # lines that are sent as soon as they are pasted


class Screen(Vt100_Output):
    """The terminal. While it is `held`, output is buffered, so that what is printed and the line
    below it appear together."""

    held = False

    def flush(self) -> None:
        if not self.held:
            super().flush()

    def disable_bracketed_paste(self) -> None:
        """Ignored while something is printed: a paste could fall into that moment."""
        if not self.held:
            super().disable_bracketed_paste()

    @property
    def responds_to_cpr(self) -> bool:
        """False: the position of the cursor is not needed. The status line is below the prompt,
        wherever that is on the screen."""
        return False


class Unseen(Processor):
    """Shows stars instead of a password. `start` says where one begins in the line."""

    def __init__(self, start: Callable[[str], int | None]) -> None:
        self._start = start

    def apply_transformation(self, line: TransformationInput) -> Transformation:
        fragments = explode_text_fragments(line.fragments)
        if (start := self._start(line.document.text)) is not None:
            fragments[start:] = [(style, "*") for style, *_ in fragments[start:]]
        return Transformation(fragments)


class Face:
    """One run of the program. `bell`: one of `looks.BELLS`; `timestamps`: print times, too."""

    def __init__(
        self,
        reactor: Any,
        where: str,
        *,
        bell: str,
        timestamps: bool,
        words: Catalogue = ENGLISH,
    ) -> None:
        self.talk = Talk(self._show, self._refresh, words)
        self._reactor = reactor
        self._words = words
        self._wording = Wording(where, words, lambda: self.talk.rooms.current)
        self._bell = bell
        self._timestamps = timestamps
        # What has arrived and is to be printed.
        self._pieces: list[Piece] = []
        self._rings = False
        self._refreshing = False
        # The connection.
        self._lost = False
        self._again = 0.0  # when there will be another attempt
        self._nameless = False  # and who we are is asked for when there is one
        self._hopeless: ChatError | None = None
        self._notices = TypingNotices(self._tell_typing, reactor.seconds)
        self._screen = cast(
            Screen,
            Screen.from_pty(
                sys.stdout, os.environ["TERM"], default_color_depth=ColorDepth.from_env()
            ),
        )
        self._completer = LineCompleter(
            self._others, lambda: self.talk.commands, lambda: self.talk.client.rooms
        )
        self._pasted: list[str] = []  # lines that are not sent before Enter is pressed
        self._line = Buffer(
            multiline=False,
            completer=self._completer,
            accept_handler=self._accept,
            on_text_changed=lambda line: self._notices.changed(line.text),
        )
        self._app: Application[None] = Application(
            Layout(self._layout()),
            key_bindings=self._keys(),
            output=self._screen,
            erase_when_done=True,
            refresh_interval=1,  # seconds, as the status line counts them
            before_render=self._print,
            after_render=lambda _: self._release(),
        )

    def ask(self, error: Error | None) -> "Deferred[str]":
        """Ask for a name."""
        self._nameless = True
        if error is not None:
            self._show(error)
        asking = self.talk.ask(None)
        self._refresh()
        return asking

    def ask_password(self, name: str, error: Error | None) -> "Deferred[str]":
        """Ask for the password of `name`. It is not sent if the connection is lost meanwhile."""
        self._nameless = True
        return self.talk.ask_password(name, error)

    def tell(self, line: str) -> None:
        """Show a line about the server."""
        self._show(sanitize(line))

    async def run(self, client: ChatClient) -> int:
        """Run until the end. Returns the exit status."""
        self.talk.client = client
        self._nameless = client.name is None
        running = asyncio.ensure_future(self._app.run_async(handle_sigint=False))
        ended = Deferred.fromFuture(running).addErrback(self._input_lost)
        complaints: list[str] = []
        try:
            async for event in client:
                self._show(event)
        except ChatError as error:
            complaints += self._wording.lines(error)
        if self._hopeless is not None:
            complaints += self._wording.lines(self._hopeless)
        if unanswered := len(self.talk.unanswered):
            message = self._words.client.maybe_unsent(unanswered)
            complaints.append(self._words.error.format(message=message))
        status = 1 if complaints else 0
        if (unsent := self._line.text) and not self._holds_password():
            complaints.append(self._words.client.left_in_line.format(line=unsent))
        complaints += [self._words.client.left_in_line.format(line=line) for line in self._pasted]
        if not running.done():
            self._app.exit()
        await ended
        self._release()
        for complaint in complaints:
            print(sanitize(complaint), file=sys.stderr)
        return status

    def leave(self) -> None:
        """Say goodbye. The second call leaves without waiting."""
        if self.talk.leaving:
            self.talk.client.abort()
        self.talk.leave()
        self._refresh()

    # What is on the screen.

    def _layout(self) -> FloatContainer:
        """The input line, the status line below it, and the menu of completions."""
        unseen = Unseen(lambda line: 0 if self.talk.asks_password else password_at(line))
        typed = BufferControl(self._line, input_processors=[unseen, BeforeInput(self._prompt)])
        status = FormattedTextControl(self._status)
        return FloatContainer(
            HSplit(
                [
                    Window(typed, height=self._height, wrap_lines=True, dont_extend_height=True),
                    Window(status, height=1, style="class:bottom-toolbar"),
                ]
            ),
            [Float(CompletionsMenu(max_height=MENU_ROWS), xcursor=True, ycursor=True)],
        )

    def _prompt(self) -> str:
        if self._pasted:
            return f"{self._words.client.pasted(len(self._pasted))} "
        if self.talk.asks_password:
            return self._words.client.password
        if self.talk.asks_name:
            return f"{self._words.question} "
        room = self.talk.rooms.current
        return PROMPT if room == LOBBY else f"#{room}{PROMPT}"

    def _height(self) -> Dimension:
        """The height of the input line in rows, with room for the menu if there is one."""
        if self._line.complete_state is None:
            return Dimension()
        return Dimension(min=min(1 + MENU_ROWS, self._screen.get_size().rows // 2))

    def _show(self, event: Shown) -> None:
        me = self.talk.client.name
        if not self.talk.hears(event):
            return
        match event:
            case NameAsked():
                return  # the prompt asks
            case Welcomed():
                self._nameless = False
                self._lost = False
            case Disconnected(hopeless=True):
                self._hopeless = Gone(event.why, lost=False)
                self.talk.client.abort()
                return
            case Disconnected(again=again):
                self._again = self._reactor.seconds() + again
                if self._lost:  # and that has been said; the status line says the rest
                    return
                self._lost = True
            case Refused(refusal=refusal):
                event = Refused(refusal)
            case _:
                pass
        self._rings = self._rings or rings(event, me, self._bell)
        self._pieces += look(event, self._wording, me=me, timestamps=self._timestamps)
        self._refresh()

    def _refresh(self) -> None:
        """Draw again soon, once for everything that happens until then."""
        if not self._refreshing:
            self._refreshing = True
            self._reactor.callLater(GATHER_SECONDS, self._app.invalidate)

    def _print(self, app: "Application[Any]") -> None:
        """Print what has arrived in place of the prompt, which is drawn again below it."""
        self._refreshing = False
        self._screen.held = True
        if self._pieces or self._shrinks():
            app.renderer.erase(leave_alternate_screen=False)
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            text = FormattedText(wrap(pieces, self._screen.get_size().columns))
            print_formatted_text(
                self._screen, text, app.renderer.style, color_depth=app.color_depth
            )
        if self._rings:
            self._rings = False
            self._screen.bell()

    def _shrinks(self) -> bool:
        """Whether fewer rows are needed than the last time. The renderer would keep them."""
        size = self._screen.get_size()
        wanted = self._app.layout.container.preferred_height(size.columns, size.rows)
        last = self._app.renderer.last_rendered_screen
        return last is not None and wanted.preferred < last.height

    def _release(self) -> None:
        self._screen.held = False
        self._screen.flush()

    def _status(self) -> str:
        client = self.talk.client
        status = Status(
            self._wording.where,
            client.state,
            again=self._again - self._reactor.seconds(),
            asked=self.talk.asks_name,
            queued=client.outstanding,
            leaving=self.talk.leaving,
            name=None if self.talk.asks_name else client.name,
            unread=self.talk.rooms.unread,
            online=len(client.users),
            typing=client.typing_in(self.talk.rooms.current),
            words=self._words,
        )
        return fit(status.line, self._screen.get_size().columns)

    # What is typed.

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if not (self._line.text or self._pasted):
                self.leave()
            self._pasted.clear()
            self._line.reset(append_to_history=not self._holds_password())
            self._notices.changed("")

        @keys.add("c-d", filter=Condition(lambda: not self._line.text))
        def _(event: KeyPressEvent) -> None:
            self.leave()

        @keys.add("tab")
        def _(event: KeyPressEvent) -> None:
            self._complete()

        @keys.add("left")
        @keys.add("c-b")
        def _(event: KeyPressEvent) -> None:
            self._move(-1)

        @keys.add("right")
        @keys.add("c-f")
        def _(event: KeyPressEvent) -> None:
            self._move(+1)

        @keys.add("c-z")
        def _(event: KeyPressEvent) -> None:
            self._app.suspend_to_background()

        @keys.add(Keys.BracketedPaste)
        def _(event: KeyPressEvent) -> None:
            self._paste(event.data)

        return keys

    def _accept(self, line: Buffer) -> bool:
        """Carry out the line. True: keep its text, since there is no connection."""
        if self.talk.leaving:
            return True
        if self._nameless and not self.talk.asks_name:
            self._show(self._words.client.no_connection_yet)
            return True
        if self._pasted:
            self._send_pasted()
            return True
        self._notices.sent()
        secret = self._holds_password()
        self.talk.typed(line.text)
        if secret:
            line.reset()  # before the history has it
        self._refresh()
        return secret

    def _holds_password(self) -> bool:
        return self.talk.asks_password or password_at(self._line.text) is not None

    def _paste(self, data: str) -> None:
        """Send each complete line of a paste as if it had been typed; if there are more than a few,
        only after Enter."""
        document = self._line.document
        first, *more = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line.insert_text(sanitize(first))
        if not more:
            return
        after = document.text_after_cursor
        lines = [self._line.document.text_before_cursor, *map(sanitize, more[:-1])]
        last = sanitize(more[-1])
        self._line.document = Document(last + after, len(last))
        self._pasted += [line for line in lines if line.strip()]
        if len(self._pasted) <= MAX_PASTED:
            self._send_pasted()

    def _send_pasted(self) -> None:
        """Send the pasted lines. Those that cannot be sent go back into the line."""
        rest = self._line.document
        pasted, self._pasted = self._pasted, []
        kept = []
        for text in pasted:
            self._line.text = text
            self._line.validate_and_handle()
            kept += [self._line.text] if self._line.text else []
        before = "".join(f"{text} " for text in kept)
        self._line.document = Document(before + rest.text, len(before) + rest.cursor_position)

    def _move(self, by: int) -> None:
        """Move the cursor past characters of no width: accents, and joiners in Persian words."""
        line = self._line
        while 0 <= line.cursor_position + by <= len(line.text):
            line.cursor_position += by
            under = line.document.current_char
            if not under or get_cwidth(under) > 0:
                return

    def _complete(self) -> None:
        if self._line.complete_state is not None:
            self._line.complete_next()
            return
        wanted = CompleteEvent(completion_requested=True)
        found = list(self._completer.get_completions(self._line.document, wanted))
        if len(found) == 1:
            self._line.apply_completion(found[0])
        else:
            self._line.start_completion(select_first=True)

    def _others(self) -> set[str]:
        return self.talk.client.users - {self.talk.client.name or ""}

    def _tell_typing(self, on: bool) -> None:
        self.talk.client.set_typing(on, self.talk.rooms.current)

    def _input_lost(self, failure: Failure) -> None:
        """The terminal is gone."""
        self.talk.leaving = True
        self.talk.client.abort()
        failure.trap(EOFError, OSError)


async def talk_on_terminal(
    reactor: Any,
    make: Callable[..., ChatClient],
    where: str,
    *,
    retry: bool,
    bell: str,
    timestamps: bool,
) -> int:
    """Talk until the end. Returns the exit status. `make` makes the client for `where`."""
    face = Face(reactor, where, bell=bell, timestamps=timestamps)
    client = make(
        tell=face.tell,
        ask=face.ask,
        retry=retry,
        echo=True,
        past=True,
        rooms=True,
        ask_password=face.ask_password,
    )
    on_signals(reactor, face.leave)
    return await face.run(client)
