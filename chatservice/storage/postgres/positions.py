"""Read positions: how far people had read when they left."""

import json
from typing import Any

from twisted.python.failure import Failure

from chatservice.core.events import Refusal
from chatservice.core.log import Log, Now
from chatservice.core.stores import MAX_READ_POSITIONS, ReadPosition
from chatservice.storage.postgres.questions import Questions

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
    """Those that have changed are saved soon, together."""

    def __init__(self, questions: Questions, now: Now) -> None:
        self._ask = questions.ask
        self._now = now
        self._changed: dict[str, dict[str, Any]] = {}
        self._saving: dict[str, dict[str, Any]] = {}

    def attach(self, log: Log) -> None:
        self._log = log

    async def seen(self, name: str, asker: str) -> ReadPosition | None:
        """As `stores.ReadPositionStore` has it."""
        found = await self._ask(
            "SELECT id, messages FROM readers WHERE name = $1 AND id IS NOT NULL",
            name,
            asker=asker,
        )
        change = self._changed.get(name) or self._saving.get(name)
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
        if name not in self._changed and len(self._changed) >= MAX_READ_POSITIONS:
            return  # the database has been away for long
        id_, messages = position
        counted = id_ >= self._log.first_id
        self._change({"name": name, "id": id_, "counted": counted, "messages": dict(messages)})

    def save(self) -> None:
        """Save what has changed, unless that is being done."""
        if self._saving or not self._changed:
            return
        self._saving, self._changed = self._changed, {}
        saving = self._ask(_SAVE, json.dumps(list(self._saving.values())), repr(self._now()))
        saving.addCallbacks(self._saved, self._not_saved)

    def _change(self, change: dict[str, Any]) -> None:
        self._changed[change["name"]] = change
        self.save()

    def _saved(self, _: object) -> None:
        self._saving = {}
        self.save()

    def _not_saved(self, failure: Failure) -> None:
        """They are tried again with the next one."""
        failure.trap(Refusal)
        self._changed = {**self._saving, **self._changed}
        self._saving = {}
