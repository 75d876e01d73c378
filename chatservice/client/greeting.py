"""Saying hello on one connection after another: takes the steps that `login` decides on."""

from collections.abc import Callable
from typing import assert_never

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatservice.client.errors import ChatError, Declined, PasswordInClear
from chatservice.client.link import Link
from chatservice.client.login import (
    AskName,
    AskPassword,
    GiveUp,
    Login,
    SayHello,
    Step,
    TryLater,
)
from chatservice.core.events import Error
from chatservice.core.requests import Hello
from chatservice.dialects.wording import ClientWords

HELLO_SECONDS = 30.0  # for the server to answer; what listens there may not be a chat
HELLO = "hello"  # the ref of a hello

Ask = Callable[[Error | None], "Deferred[str]"]
AskFor = Callable[[str, Error | None], "Deferred[str]"]


class PasswordGuard:
    """Lets a password go only where nobody can read it on the way: over TLS, or to this machine.
    `anywhere`: or to any server. `pinned`: the server is known to offer TLS, so that without it not
    even this machine is believed to be it."""

    def __init__(self, link: Link, words: ClientWords, *, anywhere: bool, pinned: bool) -> None:
        self._link = link
        self._words = words
        self._anywhere = anywhere
        self._pinned = pinned

    @property
    def allows(self) -> bool:
        """Whether a password may be sent on this connection."""
        connection = self._link.connection
        if self._anywhere or connection is None:
            return True
        return connection.is_encrypted or (connection.is_local and not self._pinned)

    def error(self) -> PasswordInClear:
        """Why it may not."""
        words = self._words
        message = words.password_in_clear_pinned if self._pinned else words.password_in_clear
        return PasswordInClear(message, pinned=self._pinned)


class Greeting:
    """Says hello, and asks a person (`ask`, `ask_password`) where the server wants another name or
    a password."""

    def __init__(
        self,
        login: Login,
        link: Link,
        guard: PasswordGuard,
        words: ClientWords,
        *,
        ask: Ask | None,
        ask_password: AskFor | None,
    ) -> None:
        self.login = login
        self._link = link
        self._lifecycle = link.lifecycle
        self.guard = guard
        self._words = words
        self._ask = ask
        self._ask_password = ask_password
        self._question: Deferred[str] | None = None  # that a person is asked

    def begin(self, passwords: list[str]) -> None:
        """There is a new connection. `passwords`: others that our name may have by now."""
        self._expect_answer()
        self._take(self.login.start(passwords))

    def declined(self, error: Error) -> None:
        """The server's answer to our hello."""
        self._take(self.login.declined(error))

    def cancel(self) -> bool:
        """Do not ask any longer. Whether somebody was being asked."""
        if self._question is None:
            return False
        self._question.cancel()
        return True

    def _take(self, step: Step) -> None:
        match step:
            case SayHello(hello=hello):
                self._say_hello(hello)
            case AskName(error=error):
                self._ask_for_name(error)
            case AskPassword(name=name, error=error):
                self._ask_for_password(name, error)
            case TryLater(reason=reason):
                self._link.hang_up(reason)
            case GiveUp(failure=failure):
                self._link.give_up(failure)
            case _:
                assert_never(step)

    def _say_hello(self, hello: Hello) -> None:
        if hello.password and not self.guard.allows:
            self._link.give_up(self.guard.error())
        else:
            self._expect_answer()
            self._link.send(hello, HELLO)

    def _ask_for_name(self, error: Error | None) -> None:
        if self._lifecycle.is_leaving and error is not None:
            self._link.give_up(Declined(error))
        elif self._lifecycle.is_leaving or self._ask is None:
            self._link.say_goodbye()
        else:
            self._put(self._ask(error), self.login.named)

    def _ask_for_password(self, name: str, error: Error | None) -> None:
        if self._lifecycle.is_leaving or self._ask_password is None:
            self._link.say_goodbye()
        elif not self.guard.allows:
            self._link.give_up(self.guard.error())
        else:
            question = self._ask_password(name, error)
            self._put(question, lambda password: self.login.proved(name, password))

    def _put(self, question: "Deferred[str]", then: Callable[[str], Step]) -> None:
        """Until a person has answered, which may take long."""
        if self._link.connection is not None:
            self._link.connection.meet()
        self._question = question

        def answered(answer: str) -> None:
            self._question = None
            self._take(then(answer))

        def unanswered(failure: Failure) -> None:
            self._question = None
            if isinstance(failure.value, ChatError):
                self._link.give_up(failure.value)
            else:
                failure.trap(CancelledError)

        question.addCallbacks(answered, unanswered)
        question.addErrback(self._link.break_down)

    def _expect_answer(self) -> None:
        if self._link.connection is not None:
            self._link.connection.expect(HELLO_SECONDS, self._no_answer)

    def _no_answer(self) -> None:
        connection = self._link.connection
        is_silent = connection is not None and not connection.has_spoken
        self._link.hang_up(self._words.silent if is_silent else self._words.no_chat)
