"""A program that speaks JSON lines, with nothing but the standard library."""

import json
from typing import Any

from tests.support.people import QUESTION, Person, Server


class Program:
    """One end of a connection, in objects."""

    def __init__(self, person: Person) -> None:
        self.person = person
        person.hears(QUESTION)

    def asks(self, type_: str, **fields: Any) -> None:
        self.person.types(json.dumps({"type": type_, **fields}))

    def hears(self, type_: str, **fields: Any) -> dict[str, Any]:
        """The next object has that type, and those fields among others."""
        heard: dict[str, Any] = json.loads(self.person.next_line())
        assert heard["type"] == type_, heard
        assert {key: heard.get(key) for key in fields} == fields, heard
        return heard

    def comes_in(self, name: str, **fields: Any) -> dict[str, Any]:
        self.asks("hello", name=name, **fields)
        return self.hears("welcome", name=name)


def join(server: Server, name: str) -> Program:
    """A program that has been let in as `name`."""
    program = Program(server.connect())
    program.comes_in(name)
    return program
