"""Somebody who must not get to know something, and asks for everything that can be asked."""

import json
import time
from typing import Any

from chatservice.dialects import jsonlines, schema
from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.wording import ENGLISH
from chatservice.session.irc import commands as irc
from tests.support.irc import IrcServer
from tests.support.people import PATIENCE, Server

# What an outsider gives where a command or a field wants something; not the room's own name, which
# an error would repeat.
WORDS = ("Alice", "Bob", "lobby", "*", "bunker", "b*", "sandwich", "1", "200", "on")
IN = b"elcome"  # is heard by whoever is let in
# What would end the outsider's visit, or change who they are.
NOT_ASKED = ("exit", "hello", "register", "password", "unregister", "nick")


class Outsider:
    """Somebody who records all that they get."""

    def __init__(
        self,
        server: Server,
        name: str,
        *,
        as_program: bool,
        password: str = "",
        token: str = "",
        beside: bool = False,
        source: str = "",
    ) -> None:
        self.person = server.connect(source)
        hello: dict[str, Any] = {"type": "hello", "name": name, "rooms": True}
        if password:
            hello["password"] = password
        if token:
            hello |= {"token": token, "beside": beside}
        typed = (name, password) if password else (name,)
        self.person.types(*((json.dumps(hello),) if as_program else typed))
        self.as_program = as_program
        self._asked = 0
        self.heard = b""
        self.person.socket.settimeout(0.01)

    def listens(self, seconds: float = 0.3, until: bytes | None = None) -> None:
        """Record what comes, for so long, or until there is an `until`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (until is None or until not in self.heard):
            try:
                data = self.person.socket.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                return
            self.heard += data

    def asks(self, request: dict[str, Any]) -> None:
        self.person.types(json.dumps(request))

    def asks_for_everything(self) -> None:
        """And wait for what is answered."""
        self.listens(0.3, until=IN)
        if IN not in self.heard:
            return
        if not self.as_program:
            for command in COMMANDS:
                if command.name in NOT_ASKED:
                    continue
                for word in WORDS if command.name in ENGLISH.arguments else ("",):
                    self.person.types(f"/{command.name} {word} {word}".rstrip())
                self.listens(0.001)
        else:
            examples = [e for e in schema.EXAMPLES if schema.vocabulary_of(e) is jsonlines.REQUESTS]
            for example in examples:
                request = jsonlines.REQUESTS.write(example)
                if request["type"] in (
                    "exit",
                    "hello",
                    "register",
                    "password",
                    "unregister",
                    "nick",
                ):
                    continue
                self.asks(request)
                for field, value in request.items():
                    if field != "type" and isinstance(value, str):
                        for word in WORDS:
                            self.asks({**request, field: word})
                if "room" in [each.key for each in jsonlines.REQUESTS.fields(request["type"])]:
                    self.asks({**request, "room": "*"})
                self.listens(0.001)
        join = json.dumps({"type": "join", "room": "lobby"})  # they may have left it
        self.person.types(join if self.as_program else "/join lobby")
        self._asked += 1
        last = f"Nobody{self._asked}"
        whois = json.dumps({"type": "whois", "name": last})
        self.person.types(whois if self.as_program else f"/whois {last}")
        self.listens(PATIENCE, until=f"here is called {last}".encode())
        self.listens(0.2)


class IrcOutsider(Outsider):
    """The same in an IRC client that asks for all capabilities but labels."""

    CAPS = (
        *("account-notify", "account-tag", "away-notify", "batch", "draft/chathistory"),
        *("draft/event-playback", "draft/message-redaction", "echo-message", "extended-join"),
        *("extended-monitor", "invite-notify", "message-tags", "multi-prefix", "server-time"),
    )
    # What would end the visit, or change who they are; and the batch of lines that nothing ends.
    NOT_ASKED = ("AUTHENTICATE", "BATCH", "NICK", "QUIT", "REGISTER")
    # What is asked for by more than the words, each with every word.
    QUESTIONS = (
        "CHATHISTORY LATEST {} * 100",
        "CHATHISTORY BEFORE #{} timestamp=2100-01-01T00:00:00Z 99",
        "CHATHISTORY TARGETS timestamp=2000-01-01T00:00:00Z timestamp=2100-01-01T00:00:00Z 99",
        *("MODE #{} b", "MODE #{} +b Alice", "MODE #{}", "REDACT #{} x-1", "TOPIC #{}"),
        *("MONITOR + {}", "MONITOR S", "WHO {} %cuhnfdlar", "WHO", "WHOIS {}"),
        *("LIST", "LIST *{}*", "LIST >0", "NAMES"),
    )

    def __init__(self, server: IrcServer, name: str) -> None:
        self.person = server.irc()
        self.person.registers(name, " ".join(self.CAPS))
        self._asked = 0
        self.heard = b""
        self.person.socket.settimeout(0.01)

    def asks_for_everything(self) -> None:
        self.listens(0.3, until=b" 366 ")
        for command in irc.COMMANDS:
            if command not in self.NOT_ASKED:
                for word in WORDS:
                    self.person.types(
                        f"{command} {word} {word}", f"{command} #{word} {word} :{word}"
                    )
                self.listens(0.001)
        for question in self.QUESTIONS:
            self.person.types(*(question.format(word) for word in WORDS))
            self.listens(0.001)
        self._asked += 1
        self.person.types("JOIN #lobby", f"PING asked-{self._asked}")
        self.listens(PATIENCE, until=f"asked-{self._asked}".encode())
        self.listens(0.2)
