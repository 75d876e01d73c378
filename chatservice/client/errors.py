"""What can go wrong for a client."""

from chatservice.core.events import Error


class ChatError(Exception):
    """Something did not work out, and why."""


class Declined(ChatError):
    """The server declines a request. `code` is one of `events.ErrorCode`."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error
        self.code = error.code


class Gone(ChatError):
    """There is no connection, and there will be none. `lost`: there was one."""

    def __init__(self, why: str, *, lost: bool = True) -> None:
        super().__init__(why)
        self.lost = lost


class Unsure(ChatError):
    """The connection broke, and nobody can tell whether the request has been carried out."""


class Untrusted(ChatError):
    """What answers may not be the server that it should be: it was told nothing."""


class PasswordInClear(ChatError):
    """The password was not sent: others could have read it on the way. `pinned`: this server has
    been reached over TLS before."""

    def __init__(self, message: str, *, pinned: bool) -> None:
        super().__init__(message)
        self.pinned = pinned
