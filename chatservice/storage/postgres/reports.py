"""Reports that nobody in charge has seen, in PostgreSQL."""

import json
from collections.abc import Sequence

from chatservice.core.events import Account
from chatservice.core.stores import (
    MAX_REPORTS,
    MAX_REPORTS_OF_ORIGIN,
    Report,
    expect_place,
)
from chatservice.storage.postgres.questions import Questions


class PostgresReportStore:
    """A `stores.ReportStore`."""

    def __init__(self, questions: Questions) -> None:
        self._ask = questions.ask

    async def keep(self, report: Report, origin: str) -> int:
        account, since = report.account or (None, None)
        ((number, kept, of_origin),) = await self._ask(
            "SELECT number, kept, of_origin FROM report_keep($1::double precision, $2, $3, $4, "
            "$5::double precision, $6, $7, $8, $9::bigint, $10::bigint)",
            repr(report.at),
            report.room,
            report.name,
            account,
            None if since is None else repr(since),
            report.by,
            report.why,
            origin,
            str(MAX_REPORTS),
            str(MAX_REPORTS_OF_ORIGIN),
            size=len(report.why),
        )
        expect_place(int(kept), int(of_origin))
        return int(number)

    async def kept(self, asker: str = "") -> tuple[Report, ...]:
        found = await self._ask(
            "SELECT id, at, room, name, account, since, by, why FROM reports ORDER BY id",
            asker=asker,
        )
        return tuple(
            Report(
                float(at),
                room,
                name,
                None if account is None else Account(account, float(since)),
                by,
                why,
                int(number),
            )
            for number, at, room, name, account, since, by, why in found
        )

    async def discard(self, numbers: Sequence[int]) -> None:
        await self._ask(
            "DELETE FROM reports "
            "WHERE id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::jsonb))",
            json.dumps(list(numbers)),
        )
