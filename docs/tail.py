"""What is said, one JSON object a line: ``python docs/tail.py NAME [HOST [PORT]]``.

It begins with what happened last, comes back when the connection is lost,
and prints no message twice: pipe it into ``jq`` or a file.
"""

import json
import sys
from datetime import UTC, datetime

from twisted.internet import task
from twisted.internet.defer import Deferred

from chatservice.client import ChatClient, ChatError, Disconnected, Emoted, Said, Welcomed

HISTORY = 10


def show(event: object) -> None:
    if isinstance(event, Disconnected):
        print(event.why, file=sys.stderr)
    elif isinstance(event, Said | Emoted):
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        what = {"id": event.id, "at": at, "from": event.name, "text": event.text}
        print(json.dumps(what, ensure_ascii=False), flush=True)


async def main(name: str, host: str = "localhost", port: str = "12345") -> None:
    client = ChatClient(name, host, int(port))
    begun = False
    try:
        async for event in client:
            if isinstance(event, Welcomed) and not begun:
                begun = True
                for past in (await client.history(event.last_id + 1, limit=HISTORY)).events:
                    show(past)
            show(event)
    except ChatError as error:
        raise SystemExit(str(error)) from None
    except BrokenPipeError:  # nobody reads this any more
        sys.stdout = None


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit(__doc__)
    task.react(lambda reactor: Deferred.fromCoroutine(main(*sys.argv[1:])))
