"""The requests about who is here, and under which name."""

from chatservice.core import requests
from chatservice.core.events import Acked, ErrorCode, Online, Refusal
from chatservice.session.asker import Asker


def hello(asker: Asker, request: requests.Hello) -> None:
    asker.come_in(request)


def password(asker: Asker, request: requests.Password) -> None:
    asker.take_password(request)


def exit_(asker: Asker, request: requests.Exit) -> None:
    asker.leave()


def who(asker: Asker, request: requests.Who) -> Online:
    chat = asker.services.chat
    chat.room(request.room)
    return Online(chat.online())


async def nick(asker: Asker, request: requests.Nick) -> Acked:
    services, user = asker.services, asker.user
    name = request.name
    account = await services.authenticator.admit_rename(request, user.account, asker.peer)
    if not user.present:  # any more
        raise Refusal(ErrorCode.GONE, name=user.name)
    if account is not None:
        name = account.name
        services.chat.claim(user, account)
        asker.deliver_waiting()
    renamed = services.chat.rename(user, name)
    asker.note("{old} is now known as {new}.", old=renamed.old, new=renamed.new)
    return Acked(renamed.id, renamed.at)
