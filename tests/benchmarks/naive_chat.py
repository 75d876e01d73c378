"""A naive Twisted chat, as tutorials write it: a `transport.write` for each message and reader.

A peer of the benchmarks, and the baseline. It speaks this repository's text dialect.

Usage: ``python naive_chat.py PORT [DATABASE]`` (on 127.0.0.1). With a database, each message is
committed to it (SQLite, WAL, every commit synced) before it is relayed.
"""

import sqlite3
import sys
import time

from twisted.internet import reactor
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure


class Chat(LineReceiver):
    """One user."""

    transport: ITCPTransport

    def __init__(self, users: "dict[str, Chat]", database: sqlite3.Connection | None) -> None:
        self.users = users
        self.database = database
        self.name: str | None = None

    def connectionMade(self) -> None:
        self.send("What is your name?")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.name is not None:
            del self.users[self.name]
            self.broadcast(f"*** {self.name} has left the chat.")

    def lineReceived(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if self.name is None:
            self.join(text)
        elif text == "/exit":
            self.transport.loseConnection()
        elif text:
            if self.database is not None:
                values = (time.time(), self.name, text)
                self.database.execute(
                    "INSERT INTO messages(at, name, text) VALUES(?, ?, ?)", values
                )
            self.broadcast(f"{self.name}: {text}")

    def join(self, name: str) -> None:
        if not name or name in self.users:
            self.send(f"Error: {name} is taken. What is your name?")
            return
        self.name = name
        self.users[name] = self
        self.send(f"Welcome {name}, you are connected to the server.")
        self.send(f"*** Online ({len(self.users)}): {', '.join(self.users)}")
        self.broadcast(f"*** {name} has joined the chat.")

    def broadcast(self, text: str) -> None:
        for user in self.users.values():
            if user is not self:
                user.send(text)

    def send(self, text: str) -> None:
        self.transport.write(text.encode() + b"\r\n")


class ChatFactory(ServerFactory):
    """Holds the users, by name."""

    def __init__(self, path: str | None = None) -> None:
        self.users: dict[str, Chat] = {}
        self.database: sqlite3.Connection | None = None
        if path is not None:
            self.database = sqlite3.connect(path, isolation_level=None)
            self.database.execute("PRAGMA journal_mode = WAL")
            self.database.execute("PRAGMA synchronous = FULL")
            columns = "id INTEGER PRIMARY KEY, at REAL, name TEXT, text TEXT"
            self.database.execute(f"CREATE TABLE messages({columns})")

    def buildProtocol(self, addr: IAddress | None) -> Chat:
        return Chat(self.users, self.database)


if __name__ == "__main__":
    factory = ChatFactory(*sys.argv[2:])
    reactor.listenTCP(int(sys.argv[1]), factory, backlog=4096, interface="127.0.0.1")
    reactor.run()
