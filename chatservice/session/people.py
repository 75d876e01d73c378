"""The requests about who is here, and under which name."""

from chatservice.core import requests
from chatservice.core.events import (
    LOBBY,
    Acked,
    AwaySet,
    ErrorCode,
    IgnoreChanged,
    IgnoredList,
    Online,
    Person,
    PersonalEvent,
    Refusal,
    Renamed,
)
from chatservice.session.asker import Asker, committed
from chatservice.session.moderation import person_called


def hello(asker: Asker, request: requests.Hello) -> None:
    asker.come_in(request)


def password(asker: Asker, request: requests.Password) -> None:
    asker.take_password(request)


def exit_(asker: Asker, request: requests.Exit) -> None:
    if token := asker.services.chat.token_of(asker):
        asker.services.authenticator.forget_token(token)
    asker.leave()


def who(asker: Asker, request: requests.Who) -> Online:
    chat = asker.services.chat
    if request.room == LOBBY:
        return chat.online()
    return chat.online(chat.room_for(asker.user, asker.room(request.room)))


async def away(asker: Asker, request: requests.Away) -> AwaySet:
    chat, user = asker.services.chat, asker.user
    text = request.text.strip() if request.on else None
    await committed(lambda then: chat.set_away(user, asker, text, then=then))
    return AwaySet(chat.log.end - 1, chat.now(), request.on, text or "")


async def ignore(asker: Asker, request: requests.Ignore) -> IgnoreChanged:
    chat, user = asker.services.chat, asker.user
    who = await person_called(asker.services, request.name, asker.peer.network)
    await chat.ignore(user, who, on=request.on)
    return IgnoreChanged(chat.log.end - 1, chat.now(), who.name, request.on)


def ignores(asker: Asker, request: requests.Ignores) -> IgnoredList:
    found = asker.user.ignores
    return IgnoredList(()) if found is None else found.shown


def whois(asker: Asker, request: requests.Whois) -> Person:
    return asker.services.chat.whois(asker.user, request.name)


async def nick(asker: Asker, request: requests.Nick) -> PersonalEvent | None:
    services, user, ref = asker.services, asker.user, asker.ref
    chat, name = services.chat, request.name
    account = await services.authenticator.admit_rename(request, user.account, asker.peer)
    if not user.present:  # any more
        raise Refusal(ErrorCode.GONE, name=user.name)
    if account is not None:
        name = account.name
        before = user.account
        chat.claim(user, account)
        if before is not None:
            services.authenticator.forget_tokens(before)
        asker.deliver_waiting()
    entry = await committed(lambda then: chat.rename(user, asker, name, ref=ref, then=then))
    if entry is None:  # they are called so already
        return Acked(chat.log.end - 1, chat.now())
    if isinstance(entry.event, Renamed):
        asker.note("{old} is now known as {new}.", old=entry.event.old, new=entry.event.new)
    return None
