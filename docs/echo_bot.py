"""A bot that says everything again: ``python docs/echo_bot.py [HOST [PORT]]``."""

import sys

from twisted.internet import task
from twisted.internet.defer import Deferred

from chatservice.client import ChatClient, Disconnected
from chatservice.core.events import Said, Told


async def main(host: str = "localhost", port: str = "12345") -> None:
    client = ChatClient("Echo", host, int(port))
    async for event in client:
        if isinstance(event, Disconnected):
            print(event.why, file=sys.stderr)
        elif isinstance(event, Told) and event.text == "leave":
            client.leave()
        elif isinstance(event, Said) and event.name != client.name:
            await client.say(f"{event.name} says: {event.text}")


task.react(lambda reactor: Deferred.fromCoroutine(main(*sys.argv[1:])))
