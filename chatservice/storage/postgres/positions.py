"""Read positions: how far people had read when they left."""

import json
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from chatservice.core.log import Log, Now
from chatservice.core.stores import MAX_READ_POSITIONS, ReadPosition
from chatservice.storage.postgres.questions import Questions
from chatservice.storage.postgres.unsaved import Unsaved

_SAVE = """
INSERT INTO readers
    SELECT r.name, r.id, $2::double precision, CASE WHEN r.counted THEN r.messages ELSE (
        SELECT coalesce(jsonb_object_agg(key, messages_before(key, r.id)), '{}')
        FROM jsonb_object_keys(r.messages) AS key) END
    FROM jsonb_to_recordset($1::jsonb)
        AS r(name text, id bigint, counted boolean, messages jsonb)
    ON CONFLICT (name) DO UPDATE
        SET id = excluded.id, at = excluded.at, messages = excluded.messages
"""


class Positions:
    """`stores.ReadPositionStore`. Those that cannot be saved are tried again with the next one."""

    def __init__(self, questions: Questions, now: Now) -> None:
        self._ask = questions.ask
        self._now = now
        self._unsaved: Unsaved[dict[str, Any]] = Unsaved(self._write, MAX_READ_POSITIONS)

    def attach(self, log: Log) -> None:
        self._log = log

    async def seen(self, name: str, asker: str) -> ReadPosition | None:
        """As `stores.ReadPositionStore` has it."""
        found = await self._ask(
            "SELECT id, messages FROM readers WHERE name = $1 AND id IS NOT NULL",
            name,
            asker=asker,
        )
        change = self._unsaved.changed.get(name) or self._unsaved.saving.get(name)
        if change is not None:
            if change["id"] is None:
                return None
            if change["counted"]:
                return ReadPosition(change["id"], change["messages"])
        if not found:
            return None
        ((id_, messages),) = found
        return ReadPosition(int(id_), json.loads(messages))

    def arrive(self, name: str) -> None:
        self._change({"name": name, "id": None, "counted": True, "messages": {}})

    def depart(self, name: str, position: ReadPosition) -> None:
        id_, messages = position
        counted = id_ >= self._log.first_id
        self._change({"name": name, "id": id_, "counted": counted, "messages": dict(messages)})

    def save(self) -> None:
        """Save what has changed, unless that is being done."""
        self._unsaved.save()

    def _change(self, change: dict[str, Any]) -> None:
        self._unsaved.add(change["name"], change)
        self.save()

    def _write(self, changes: Mapping[str, dict[str, Any]]) -> "Deferred[Any]":
        return self._ask(_SAVE, json.dumps(list(changes.values())), repr(self._now()))
