"""Whoever is told that a message is deleted never finds it again, however often the server dies."""

import json
import random
import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.conftest import LONG
from tests.support.people import Server
from tests.support.programs import join

KILLS = 30 if LONG else 5
KEPT = ("--database", "chat.sqlite3")


def talks_and_deletes(server: Server, name: str, deleted: set[str], said: list[str]) -> None:
    """Until the server is gone: say two messages, and delete one of them."""
    program = join(server, name)
    try:
        for number in range(1_000_000):
            text = f"{name}secret{number}end"
            program.asks("say", text=text, ref="said")
            program.asks("say", text=f"{name}kept{number}")
            id_ = _answer(program, "said")["id"]
            said.append(text)
            program.asks("delete", id=id_, ref="deleted")
            answer = _answer(program, "deleted")
            assert answer["type"] == "ack", answer
            deleted.add(text)
    except (AssertionError, OSError, ValueError):
        if not server.killed:
            raise


def _answer(program: Any, ref: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(program.person.next_line())
        if event["type"] in {"ack", "error"} and event.get("ref") == ref:
            return event


def test_no_crash_undoes_a_deletion(tmp_path: Path) -> None:
    chance = random.Random(17)
    deleted: set[str] = set()
    said: list[str] = []
    for kill in range(KILLS):
        with Server(tmp_path, *KEPT) as server:
            talkers = [
                threading.Thread(
                    target=talks_and_deletes, args=(server, f"k{kill}t{number}x", deleted, said)
                )
                for number in range(3)
            ]
            for talker in talkers:
                talker.start()
            time.sleep(chance.uniform(0.5, 2.5))
            server.killed = True
            server.process.kill()
            server.process.wait()
            for talker in talkers:
                talker.join(30)
                assert not talker.is_alive()
    assert len(deleted) > 10 * KILLS
    with Server(tmp_path, *KEPT) as server:
        program = join(server, "Reader")
        before, left = None, []
        while before != 0:
            program.asks("history", limit=200, **({} if before is None else {"before": before}))
            page = program.hears("history")
            left += [event for event in page["events"] if "text" in event]
            before = page["events"][0]["id"] if page["events"] else 0
        found = {event["text"] for event in left}
        assert not found & deleted
        assert len([text for text in found if "kept" in text]) > len(deleted) - 3 * KILLS
        deadline = time.monotonic() + 60  # by then the index has forgotten the words, too
        while remaining := _on_the_disk(tmp_path, deleted):
            assert time.monotonic() < deadline, sorted(remaining)[:5]
            time.sleep(0.5)
    print(f"\n{KILLS} kills, {len(said)} messages, {len(deleted)} deletions acknowledged: 0 found.")


def _on_the_disk(folder: Path, deleted: set[str]) -> set[str]:
    files = [folder / f"chat.sqlite3{end}" for end in ("", "-wal")]
    data = b"".join(file.read_bytes() for file in files if file.exists())
    return {text for text in deleted if text.encode() in data}
