"""A real server with an IRC door, and IRC clients at real sockets."""

import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from chatservice.dialects.irc.message import Message, parse
from tests.support.people import PATIENCE, TWISTD, Person, Server, trusting

NAME = "chat.test"


class IrcServer(Server):
    """The same server, with a door for IRC at `irc_port`; with `tls`, at `irc_tls_port` as well."""

    irc_port = 0
    irc_tls_port = 0

    def __init__(
        self,
        folder: Path,
        *options: str,
        irc_tls: bool = False,
        runner: Sequence[str | Path] = (sys.executable, TWISTD),
    ) -> None:
        doors = ["--irc", "tcp:0:interface=127.0.0.1", "--irc-name", NAME]
        if irc_tls:
            doors += ["--irc-tls", "tcp:0:interface=127.0.0.1"]
        self._irc_tls = irc_tls
        super().__init__(folder, *doors, *options, runner=runner)

    def __enter__(self) -> "IrcServer":
        self.port = self._port_of("")
        self.irc_port = self._port_of(" for IRC")
        if self._irc_tls:
            self.irc_tls_port = self._port_of(" for IRC, with TLS")
        return self

    def _port_of(self, how: str) -> int:
        return int(self.wait_for_log(rf"Listening on \S*?:(\d+){how}\n")[1])

    def irc(self, *, tls: bool = False, source: str = "") -> "Client":
        """A connection at the IRC door."""
        port = self.irc_tls_port if tls else self.irc_port
        bound = (source, 0) if source else None
        client = Client(socket.create_connection((self.host, port), PATIENCE, bound))
        if tls:
            client.secures(self.certificate)
        self._people.append(client)
        return client

    def irc_join(self, name: str, caps: str = "", tls: bool = False) -> "Client":
        """Somebody who has been let in as `name`, and has heard the welcome."""
        client = self.irc(tls=tls)
        client.registers(name, caps)
        client.hears("366")
        return client


class Client(Person):
    """An IRC client."""

    def secures(self, certificate: Path) -> None:
        """From here on through TLS."""
        self._file.close()
        self.socket = trusting(certificate).wrap_socket(self.socket, server_hostname="localhost")
        self._file = self.socket.makefile("rb")

    def registers(self, name: str, caps: str = "") -> None:
        """Say who they are."""
        if caps:
            self.types(f"CAP REQ :{caps}")
        self.types(
            f"NICK {name}", f"USER {name.lower() if name.isascii() else 'u'} 0 * :Real {name}"
        )
        if caps:
            self.types("CAP END")

    def next_message(self) -> Message:
        """The next line, read."""
        line = self._file.readline()
        assert line.endswith(b"\r\n"), line
        message = parse_sent(line[:-2])
        assert message is not None
        return message

    def hears(self, command: str, *parameters: str) -> Message:  # type: ignore[override]
        """Reads on to a message of that command, whose last parameters are these."""
        skipped = []
        while True:
            message = self.next_message()
            skipped.append(message)
            if message.command == command and (
                not parameters or message.parameters[-len(parameters) :] == parameters
            ):
                return message
            assert len(skipped) < 10_000, skipped[-20:]

    def hears_next(self, command: str, *parameters: str) -> Message:
        """The next message is that one."""
        message = self.next_message()
        assert message.command == command, message
        assert not parameters or message.parameters[-len(parameters) :] == parameters, message
        return message

    def everything(self) -> list[Message]:
        """What has been sent until now."""
        self.types("PING :are you there")
        heard = []
        while (message := self.next_message()).command != "PONG":
            heard.append(message)
        return heard

    def commands(self) -> list[str]:
        """Those of `everything`."""
        return [message.command for message in self.everything()]


def parse_sent(line: bytes) -> Message | None:
    """A line of the server's: its tags may be twice as long as those of a client."""
    assert len(re.sub(rb"^@\S+ ", b"", line)) <= 510, line
    tags, _space, rest = line.partition(b" ")
    if line.startswith(b"@") and len(tags) > 4000:
        return parse(rest)
    return parse(line)
