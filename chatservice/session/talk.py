"""The requests that say something."""

from twisted.logger import Logger

from chatservice.core import requests
from chatservice.core.events import Sent, Style
from chatservice.session.asker import Asker

log = Logger()


def say(asker: Asker, request: requests.Say) -> None:
    say_all(asker, (request.text,), asker.room(request.room))


def say_all(asker: Asker, texts: tuple[str, ...], room: str, style: Style | None = None) -> None:
    """One or more messages; with a `style`, one."""
    services, user = asker.services, asker.user
    services.chat.say(user, asker, texts, room, style=style, ref=asker.ref)
    if services.settings.log_messages:
        for text in texts:
            log.info("{name}: {text!r}", name=user.name, text=text)


def emote(asker: Asker, request: requests.Emote) -> None:
    services, user = asker.services, asker.user
    services.chat.emote(user, asker, request.text, asker.room(request.room), ref=asker.ref)
    if services.settings.log_messages:
        log.info("* {name} {text!r}", name=user.name, text=request.text)


async def tell(asker: Asker, request: requests.Tell) -> Sent:
    messages = asker.services.offline_messages
    return await messages.send(asker.user, asker, request.to, request.text)


async def reply(asker: Asker, request: requests.Reply) -> Sent:
    return await asker.services.offline_messages.reply(asker.user, asker, request.text)


def set_typing(asker: Asker, request: requests.SetTyping) -> None:
    room = asker.room(request.room)
    asker.services.chat.set_typing(asker.user, asker, request.on, room)
