"""The requests about who is here, and under which name."""

from chatservice.core import requests
from chatservice.core.events import CloseReason, Online, Renamed
from chatservice.session.asker import Asker


def hello(asker: Asker, request: requests.Hello) -> None:
    asker.come_in(request)


def password(asker: Asker, request: requests.Password) -> None:
    asker.take_password(request)


def exit_(asker: Asker, request: requests.Exit) -> None:
    asker.close(CloseReason.EXIT)


def who(asker: Asker, request: requests.Who) -> Online:
    chat = asker.services.chat
    chat.room(request.room)
    return Online(chat.online())


async def nick(asker: Asker, request: requests.Nick) -> Renamed:
    services, user = asker.services, asker.user
    await services.authenticator.expect_free(request.name, user.account)
    renamed = services.chat.rename(user, request.name)
    asker.note("{old} is now known as {new}.", old=renamed.old, new=renamed.new)
    return renamed
