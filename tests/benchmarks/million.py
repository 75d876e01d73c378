"""``python -m tests.benchmarks.million``: a server on a database of a million messages.

The database is made (in build/, a minute) unless it is there. Each question is asked of a real
server, first while nothing is indexed, then when all is. What SQLite does for it is printed, too.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from chatservice.core.drafts import Entry
from chatservice.core.events import LOBBY, Burst
from chatservice.storage.sqlite import database, positions, rows, search
from chatservice.storage.words import Query
from tests.faults.crowd import rss
from tests.support.people import QUESTION, Server
from tests.support.programs import Program

DAY = 86400
AWAY = 10_000  # messages that somebody has missed
WORDS = 20_000  # that people know; the n-th is 1/n as frequent as the first
RARE = "xylophone"  # in three messages
ABSENT = "zugzwang"  # in none
TIMES = 5


def texts(choose: random.Random, total: int) -> Iterator[str]:
    """What people say: 2 to 20 words, few of them frequent."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    vocabulary = [
        "".join(choose.choices(letters, range(26, 0, -1), k=2 + min(number.bit_length(), 10) // 2))
        for number in range(WORDS)
    ]
    weights = list(itertools.accumulate(1 / number for number in range(1, WORDS + 1)))
    for number in range(total):
        words = choose.choices(vocabulary, cum_weights=weights, k=choose.randint(2, 20))
        if number % (total // 3) == 1000:
            words.append(RARE)
        yield " ".join(words)


def fill(path: Path, total: int) -> None:
    """Each message is a row of its own, over a year."""
    opened = database.open_for_server(path)
    connection = opened.connection
    choose = random.Random(1)
    start = time.time() - 365 * DAY
    said = enumerate(texts(choose, total), 1)
    entries = (
        Entry(
            Burst(
                id_, start + id_ * 365 * DAY / total, LOBBY, f"user{choose.randrange(50)}", (text,)
            ),
            (LOBBY,),
            messages=1,
            size=len(text),
        )
        for id_, text in said
    )
    for done in range(0, total, 50_000):
        connection.execute("BEGIN")
        rows.save(connection, itertools.islice(entries, 50_000), {LOBBY: done})
        connection.execute("COMMIT")
    mark = total - AWAY
    messages = json.dumps({LOBBY: mark})
    connection.execute(
        "INSERT INTO readers VALUES('Away', ?, NULL, ?, ?)", (mark + 1, start, messages)
    )
    opened.close()


def milliseconds(ask: Callable[[], object], times: int = TIMES) -> str:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(took):9.1f} ms, {max(took):.1f} at most"


def frequent_word(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        text: str = connection.execute("SELECT text FROM events WHERE id = 5").fetchone()[0]
    return min(text.split(), key=len)


def ask_all(server: Server, path: Path, total: int, heading: str) -> None:
    """The questions, and how long each answer takes."""
    print(f"\n{heading}")
    program = Program(server.connect())
    program.comes_in(f"program{heading[0]}")

    def asks(type_: str, **fields: object) -> dict[str, object]:
        program.asks(type_, ref="q", **fields)
        while (answer := json.loads(program.person.next_line())).get("ref") != "q":
            pass
        assert answer["type"] == "history", answer
        return answer  # type: ignore[no-any-return]

    names = itertools.count()

    def join() -> None:
        person = server.connect()
        person.hears(QUESTION)
        person.types(f"new{next(names)}{heading[0]}")
        while not person.next_line().startswith("*** The last 20 messages:"):
            pass
        for _ in range(20):
            person.next_line()
        person.types("/exit")

    print(f"  joining, with 20 messages:  {milliseconds(join)}")
    for what, fields in {
        "the newest 200": {"limit": 200},
        "200 in the middle": {"after": total // 2, "limit": 200},
        "before the middle": {"before": total // 2, "limit": 200},
    }.items():
        print(f"  history, {what:18} {milliseconds(partial(asks, 'history', **fields))}")
    frequent = frequent_word(path)
    for what, words in {
        "a frequent word": frequent,
        "one letter": frequent[0],
        "two frequent words": f"{frequent} {frequent[0]}",
        "a rare word": RARE,
        "an absent word": ABSENT,
        "rare and frequent": f"{RARE} {frequent}",
    }.items():
        found = len(asks("search", words=words)["events"])  # type: ignore[arg-type]
        took = milliseconds(partial(asks, "search", words=words))
        print(f"  search, {what:19} {took} ({found} found)")


def catch_up(server: Server, total: int) -> None:
    program = Program(server.connect())
    program.comes_in("reader")
    begun = time.perf_counter()
    last, heard = total - AWAY, 0
    while heard < AWAY:
        program.asks("history", after=last, limit=1000, ref="q")
        while (answer := json.loads(program.person.next_line())).get("ref") != "q":
            pass
        last = answer["events"][-1]["id"]
        heard += sum(event["type"] == "said" for event in answer["events"])
    print(f"  a program's catching up with {AWAY}: {time.perf_counter() - begun:.2f} s")
    person = server.connect()
    person.hears(QUESTION)
    begun = time.perf_counter()
    person.types("Away")
    while not (line := person.next_line()).endswith("messages while you were away:"):
        pass
    missed = int(line.split()[1])
    for _ in range(missed):
        person.next_line()
    print(f"  a person's, with {missed}: {time.perf_counter() - begun:.2f} s")


def forget(path: Path) -> None:
    """The system keeps nothing of the file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def print_plans(path: Path, total: int) -> None:
    """What SQLite does for each question."""
    statements: dict[str, str] = {}
    with contextlib.closing(database.connect(path, read_only=True)) as connection:
        connection.set_trace_callback(
            lambda sql: statements.setdefault(" ".join(sql.split())[:150], sql)
        )
        list(itertools.islice(rows.rows_between(connection, total // 2, total), 10))
        newest = rows.rows_between(connection, -1, total, [LOBBY], newest_first=True, spoken=True)
        list(itertools.islice(newest, 10))
        rows.messages_before(connection, total // 2, LOBBY)
        rows.first_id(connection)
        search.find(connection, Query.parse(RARE), total, 10, {LOBBY: 0}, indexed=True)
        positions.find(connection, "Away")
        connection.set_trace_callback(None)
        for short, sql in statements.items():
            if not short.startswith("SELECT") or "message_words_config" in short:
                continue
            print(f"\n  {short}")
            for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
                print(f"    {row[3]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.million", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path, default=Path("build/million.sqlite3"))
    options = parser.parse_args()
    path, total = options.database.resolve(), options.messages
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        begun = time.monotonic()
        fill(path, total)
        print(f"made in {time.monotonic() - begun:.0f} s")
    print(f"{total} messages, {path.stat().st_size / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        path = Path(shutil.copy(path, folder))  # it stays as it is for the next time
        before = time.monotonic()
        arguments = ("--database", str(path), "--history", "20")
        with Server(Path(folder), *arguments) as server:
            listens = time.monotonic() - before
            server.connect().hears(QUESTION)
            print(f"listens after {listens:.2f} s, serves after {time.monotonic() - before:.2f} s")
            print(f"resident: {rss(server) / 1024:.0f} MiB")
            ask_all(server, path, total, "Before it is indexed")
            catch_up(server, total)
            print(f"resident: {rss(server) / 1024:.0f} MiB")
            with contextlib.closing(database.connect(path, read_only=True)) as connection:
                while search._indexed_to(connection) < total:
                    time.sleep(0.5)
            print(f"\nindexed {time.monotonic() - before:.0f} s after the start")
            ask_all(server, path, total, "When it is indexed")
            size = path.stat().st_size / 1e6
            print(f"resident: {rss(server) / 1024:.0f} MiB; {size:.0f} MB on disk")
        for how in ("again", "when the system has forgotten it"):
            if "forgotten" in how:
                forget(path)
            before = time.monotonic()
            with Server(Path(folder), *arguments) as server:
                server.connect().hears(QUESTION)
                print(f"started {how}, it serves after {time.monotonic() - before:.2f} s")
        print_plans(path, total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
