"""The requests that say something."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from twisted.logger import Logger

from chatservice.core import requests
from chatservice.core.drafts import Outcome, Then
from chatservice.core.events import LOBBY, Answered, Refusal, Refused, Sent, Style
from chatservice.session.asker import Asker

log = Logger()

Talk = requests.Say | requests.Emote | requests.Tell | requests.Reply


def say(asker: Asker, request: requests.Say) -> None:
    say_all(asker, lines_of(request), asker.room(request.room))


def say_all(asker: Asker, texts: tuple[str, ...], room: str, style: Style | None = None) -> None:
    """One or more messages, all in one `style`."""
    services, user = asker.services, asker.user
    then = _refused(asker)
    services.chat.say(user, asker, texts, room, style=style, ref=asker.ref, then=then)
    if services.settings.log_messages:
        where = _where(asker, room)
        for text in texts:
            log.info("{where}{name}: {text!r}", where=where, name=user.name, text=text)


def emote(asker: Asker, request: requests.Emote) -> None:
    services, user = asker.services, asker.user
    texts, room = lines_of(request), asker.room(request.room)
    services.chat.emote(user, asker, texts, room, ref=asker.ref, then=_refused(asker))
    if services.settings.log_messages:
        where = _where(asker, room)
        for text in texts:
            log.info("{where}* {name} {text!r}", where=where, name=user.name, text=text)


def _where(asker: Asker, room: str) -> str:
    """What stands in the log before a message in `room`: nothing if that is the lobby."""
    name = asker.services.chat.own_room(asker.user, room).name
    return "" if name == LOBBY else f"#{name} "


def _refused(asker: Asker) -> Then:
    """Tells them if what they have said is turned back when it is to be committed."""
    ref = asker.ref

    def then(outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            refused = Refused(outcome)
            asker.cursor.send(refused if ref is None else Answered(refused, ref))

    return then


async def tell(asker: Asker, request: requests.Tell) -> Sent:
    send = asker.services.offline_messages.send
    return await _each(request, lambda text: send(asker.user, asker, request.to, text))


async def reply(asker: Asker, request: requests.Reply) -> Sent:
    send = asker.services.offline_messages.reply
    return await _each(request, lambda text: send(asker.user, asker, text))


async def _each(
    request: requests.Tell | requests.Reply, send: Callable[[str], Awaitable[Sent]]
) -> Sent:
    """Send each line; the last one stands for all of them."""
    texts = lines_of(request)
    sent = [await send(text) for text in texts]
    away = next((each.away for each in sent if each.away is not None), None)
    return replace(sent[-1], count=len(texts), away=away)


def lines_of(request: Talk) -> tuple[str, ...]:
    """The messages that a text of one or more lines becomes."""
    return tuple(request.text.split("\n"))


def set_typing(asker: Asker, request: requests.SetTyping) -> None:
    room = asker.room(request.room)
    asker.services.chat.set_typing(asker.user, asker, request.on, room)
