"""A bot that repeats what people say: ``python docs/echo_bot.py [HOST [PORT [NAME]]]``.

Two bots that answer each other would never stop. So this one does not answer what looks like an
answer of its kind, and never answers more often than people talk, whatever other bots are there.
"""

import re
import sys
from collections import deque

from twisted.internet import task
from twisted.internet.defer import Deferred

from chatservice.client import ChatClient, ChatError, Disconnected, Said, Told

ANSWER = re.compile(r"\S+ says: ")
MAX_ANSWERS, SECONDS = 10, 10.0  # at most so many in so much time


async def main(reactor, host: str = "localhost", port: str = "12345", name: str = "Echo") -> None:
    client = ChatClient(name, host, int(port))
    answered: deque[float] = deque([-SECONDS] * MAX_ANSWERS, MAX_ANSWERS)  # when
    try:
        async for event in client:
            if isinstance(event, Disconnected):
                print(event.why, file=sys.stderr)
            elif isinstance(event, Told) and event.text == "leave":
                client.leave()
            elif isinstance(event, Said) and event.name != client.name:
                now = reactor.seconds()
                if not ANSWER.match(event.text) and now - answered[0] >= SECONDS:
                    answered.append(now)
                    await client.say(f"{event.name} says: {event.text}")
    except ChatError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
