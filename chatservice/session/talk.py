"""The requests that say something."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from twisted.logger import Logger

from chatservice.core import requests
from chatservice.core.events import Acked, Burst, Sent
from chatservice.session.asker import Asker

log = Logger()

Talk = requests.Say | requests.Emote | requests.Tell | requests.Reply


def say(asker: Asker, request: requests.Say) -> Acked:
    texts = lines_of(request)
    said = say_all(asker, texts, request.room)
    return Acked(said.id + len(said.texts) - 1, said.at, count=len(texts))


def say_all(asker: Asker, texts: tuple[str, ...], room: str) -> Burst:
    """One or more messages."""
    services, user = asker.services, asker.user
    said = services.chat.say(user, texts, room)
    if services.settings.log_messages:
        for text in texts:
            log.info("{name}: {text!r}", name=user.name, text=text)
    return said


def emote(asker: Asker, request: requests.Emote) -> Acked:
    services, user = asker.services, asker.user
    texts = lines_of(request)
    emoted = [services.chat.emote(user, text, request.room) for text in texts]
    if services.settings.log_messages:
        for text in texts:
            log.info("* {name} {text!r}", name=user.name, text=text)
    return Acked(emoted[-1].id, emoted[-1].at, count=len(texts))


async def tell(asker: Asker, request: requests.Tell) -> Sent:
    send = asker.services.offline_messages.send
    return await _each(request, lambda text: send(asker.user, request.to, text))


async def reply(asker: Asker, request: requests.Reply) -> Sent:
    send = asker.services.offline_messages.reply
    return await _each(request, lambda text: send(asker.user, text))


async def _each(
    request: requests.Tell | requests.Reply, send: Callable[[str], Awaitable[Sent]]
) -> Sent:
    """Send each line; the last one stands for all of them."""
    texts = lines_of(request)
    sent = [await send(text) for text in texts]
    return replace(sent[-1], count=len(texts))


def lines_of(
    request: requests.Say | requests.Emote | requests.Tell | requests.Reply,
) -> tuple[str, ...]:
    """The messages that a text of one or more lines becomes."""
    return tuple(request.text.split("\n"))


def set_typing(asker: Asker, request: requests.SetTyping) -> None:
    asker.services.chat.set_typing(asker.user, request.on, request.room)
