"""Passwords that a person is asked for, or may type unasked: what the next line is then."""

from dataclasses import replace
from typing import NamedTuple, assert_never

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.requests import (
    ChangePassword,
    Hello,
    Nick,
    Request,
    Say,
    Unregister,
    WithPassword,
)
from chatservice.dialects.commands import BY_NAME

Asking = Hello | Nick | ChangePassword | Unregister  # requests that a password is asked for


class Question(NamedTuple):
    """The question for the password of `name`, which `request` needs. Without one, nothing was
    asked; but since something about a password was refused, the next line may be one."""

    name: str = ""
    request: Asking | None = None


UNASKED = Question()

# What is wrong with a name, or with who has it, says nothing about a password, and asks for none.
_ABOUT_NAMES = frozenset(
    {
        ErrorCode.NAME_EMPTY,
        ErrorCode.NAME_TOO_LONG,
        ErrorCode.NAME_CHARACTER,
        ErrorCode.NAME_START,
        ErrorCode.NAME_DIRECTION,
        ErrorCode.NAME_MIXED,
        ErrorCode.NAME_MARKS,
        ErrorCode.NAME_RESERVED,
        ErrorCode.NAME_TAKEN,
        ErrorCode.NAME_FIRST,
        ErrorCode.NAMED_ALREADY,
        ErrorCode.BANNED,
        ErrorCode.MUTED,
    }
)
# The same password may do, or another one.
_WORTH_ANOTHER_TRY = frozenset(
    {ErrorCode.WRONG_PASSWORD, ErrorCode.NOT_A_MEMBER, ErrorCode.BUSY, ErrorCode.NOT_SAVED}
)


def question_for(request: Request | None, refusal: Refusal) -> Question | None:
    """The question that `refusal` of `request` is, where people are asked."""
    match request, refusal.code:
        case Hello() | ChangePassword() | Unregister(), ErrorCode.PASSWORD_NEEDED:
            return Question(str(refusal.details["name"]), request)
        case Nick(name=name, password=""), ErrorCode.NAME_REGISTERED:
            return Question(name, request)
        case _:
            return None


def question_after(
    request: Request | None, refusal: Refusal, answered: Question | None
) -> Question | None:
    """What the next line may be after `refusal` of `request`, which was the answer to the question
    `answered` if that is given: the same again, UNASKED, or None."""
    if answered is not None and (
        isinstance(answered.request, Hello) or refusal.code in _WORTH_ANOTHER_TRY
    ):
        return answered
    if refusal.code is ErrorCode.USAGE:
        command = BY_NAME[str(refusal.details["command"])]
        return UNASKED if issubclass(command.request, WithPassword) else None
    if isinstance(request, WithPassword) and refusal.code not in _ABOUT_NAMES:
        return UNASKED
    return None


def answer_to(question: Question, password: str) -> Request | None:
    """The request that was waiting for `password`."""
    match question.request:
        case None:
            return None
        case Hello() | Nick() | Unregister():
            return replace(question.request, password=password)
        case ChangePassword():
            return replace(question.request, old=password)
        case _:
            assert_never(question.request)


def is_command(asked: Request | Refusal | None) -> bool:
    """Whether a line that nothing was asked for, and may be a password, is a command instead."""
    return asked is not None and not isinstance(asked, Refusal | Say | Hello)
