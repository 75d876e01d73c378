"""The requests that say something."""

from twisted.logger import Logger

from chatservice.core import requests
from chatservice.core.events import Burst, Emoted, Sent
from chatservice.session.asker import Asker

log = Logger()


def say(asker: Asker, request: requests.Say) -> Burst:
    return say_all(asker, (request.text,), request.room)


def say_all(asker: Asker, texts: tuple[str, ...], room: str) -> Burst:
    """One or more messages."""
    services, user = asker.services, asker.user
    said = services.chat.say(user, texts, room)
    if services.settings.log_messages:
        for text in texts:
            log.info("{name}: {text!r}", name=user.name, text=text)
    return said


def emote(asker: Asker, request: requests.Emote) -> Emoted:
    services, user = asker.services, asker.user
    emoted = services.chat.emote(user, request.text, request.room)
    if services.settings.log_messages:
        log.info("* {name} {text!r}", name=user.name, text=request.text)
    return emoted


async def tell(asker: Asker, request: requests.Tell) -> Sent:
    return await asker.services.offline_messages.send(asker.user, request.to, request.text)


async def reply(asker: Asker, request: requests.Reply) -> Sent:
    return await asker.services.offline_messages.reply(asker.user, request.text)


def set_typing(asker: Asker, request: requests.SetTyping) -> None:
    asker.services.chat.set_typing(asker.user, request.on, request.room)
