"""The SQLite store: retention, a file's life, and what happens when the disk fails."""

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatservice.core import log
from chatservice.core.drafts import Entry
from chatservice.core.events import Burst, Emoted, ErrorCode, Refusal
from chatservice.core.stores import MissedCount, ReadPosition
from chatservice.storage import group_commit
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.keep import DAY, Keep
from chatservice.storage.sqlite import database, retention, rows, search
from chatservice.storage.sqlite.database import CRASH_GAP
from chatservice.storage.sqlite.retention import Pruning
from chatservice.storage.sqlite.schema import UPGRADES
from tests.support.logs import LOBBY
from tests.support.people import TWISTD
from tests.support.stores import Kept, crash, happen, opened, spoken, sqlite
from tests.unit.test_store_contract import PLACE, STEPS, short_log

# Retention.


def pruned(made: Kept) -> None:
    """Until there is nothing left to delete."""
    made.clock.advance(retention.POSITIONS_SECONDS)
    for _ in range(40):
        made.clock.turn(6)
        made.clock.advance(retention.STEP_SECONDS)
    made.clock.turn(6)


@settings(max_examples=60)
@given(st.booleans(), STEPS, st.integers(1, 12), PLACE)
def test_so_many_messages_are_kept(
    short: bool, steps: list[int], messages: int, after: int
) -> None:
    with (
        short_log("sqlite" if short else "memory"),
        sqlite(keep=Keep(messages=messages)) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(retention, "PRUNE_ROWS", 2)
        happened = happen(made, steps)
        made.clock.turn(10)
        pruned(made)
        first_id = made.archive.first_id
        left = [event for event in happened if event.id >= first_id]
        assert not steps or len(spoken(left)) >= min(messages, len(spoken(happened)))
        assert len(spoken(left)) < messages + 4  # those that were said together go together
        before = made.log.next_id
        recalled = made.clock.wait_for(made.archive.recall(before, after, 1000, LOBBY))
        assert list(recalled.events) == [event for event in left if event.id > after]
        assert recalled.gone == len([e for e in happened if after < e.id < first_id])
        newest = made.clock.wait_for(made.archive.recall(before, None, 1000, LOBBY))
        assert list(newest.events) == left
        assert list(made.clock.wait_for(made.archive.recent(before, 1000, LOBBY))) == spoken(left)
        assert list(made.clock.wait_for(made.archive.find("hello", before, 1000, LOBBY))) == spoken(
            left
        )
        missed = made.clock.wait_for(
            made.archive.missed(ReadPosition(1, {"lobby": 0}), before, LOBBY)
        )
        assert missed == MissedCount(len(spoken(left)), len(spoken(happened)) - len(spoken(left)))
        (more,) = spoken(happen(made, [1]))
        assert more.id == before  # ids go on


@pytest.mark.parametrize("indexed", [True, False])
def test_so_many_days_are_kept(indexed: bool) -> None:
    with sqlite(keep=Keep(days=2), indexed=indexed) as made:
        old = happen(made, [1, 2, 5, 0])
        made.clock.turn(10)
        made.clock.advance(DAY)
        newer = happen(made, [1, 7, 3, 0])
        made.clock.turn(10)
        pruned(made)
        assert made.archive.first_id == 1
        made.clock.advance(DAY)
        pruned(made)
        assert made.archive.first_id == newer[0].id
        made.clock.advance(10 * DAY)
        pruned(made)
        before = made.log.next_id
        recalled = made.clock.wait_for(made.archive.recall(before, 0, 100, LOBBY))
        assert recalled.events == (newer[-1],)  # the newest says where ids go on
        assert recalled.gone == len(old) + len(newer) - 1
        assert made.clock.wait_for(made.archive.find("hello", before, 100, LOBBY)) == ()
        if indexed:  # nor is it in the index
            found = "SELECT count(*) FROM message_words WHERE message_words MATCH 'hello'"
            assert made.archive._reader.connection.execute(found).fetchone() == (0,)


def kept_messages(made: Kept) -> int:
    (kept,) = made.archive._reader.connection.execute(
        "SELECT total(messages) FROM events"
    ).fetchone()
    return int(kept)


def test_somebody_who_never_stops_talking_keeps_nothing_from_being_deleted() -> None:
    """Their words are indexed meanwhile."""
    with sqlite(keep=Keep(messages=100)) as made:
        for number in range(2400):  # two minutes
            happen(made, [4])
            made.clock.advance(0.05)
            made.clock.turn(4)
            if number > 200:
                assert kept_messages(made) < 100 + 2 / 0.05
        pruned(made)
        assert kept_messages(made) == 100
        found = made.clock.wait_for(made.archive.find("hello", made.log.next_id, 1000, LOBBY))
        assert len(found) == 100


DAYS_AHEAD = st.sampled_from([0.0, 0.4, 3.0, 400.0])


@settings(max_examples=60)
@given(st.lists(st.tuples(DAYS_AHEAD, st.integers(1, 3)), min_size=1, max_size=12))
def test_a_clock_that_was_ahead_keeps_nothing_for_ever(said: list[tuple[float, int]]) -> None:
    """A message is at least as old as each that follows it, whatever its own time says."""
    now = [1e9]
    with sqlite(keep=Keep(days=1), now=lambda: now[0]) as made, pytest.MonkeyPatch.context() as m:
        m.setattr(retention, "PRUNE_ROWS", 4)

        def say(ahead: float = 0.0) -> None:
            event = Emoted(made.log.next_id, now[0] + ahead * DAY, "lobby", "Bob", "hello")
            made.log.append(event, 5, messages=1)
            made.clock.turn(5)

        for ahead, count in said:
            for _ in range(count):
                say(ahead)
        pruned(made)
        assert kept_messages(made) == sum(count for _, count in said)
        now[0] += 2 * DAY
        for _ in range(3):
            say()  # by a clock that is right
        pruned(made)
        now[0] += 2 * DAY
        say()
        made.clock.turn(10)
        pruned(made)
        now[0] += 4 * DAY
        pruned(made)
        assert kept_messages(made) == 1


def test_what_is_gone_is_exact_when_it_goes_while_it_is_asked_for() -> None:
    with short_log("sqlite"), sqlite(keep=Keep(messages=5)) as made:
        happened = happen(made, [1, 0] * 30)
        made.clock.turn(10)
        asked = Deferred.fromCoroutine(made.archive.recall(made.log.next_id, 0, 100, LOBBY))
        Pruning(Keep(messages=20)).step(
            made.archive._opened.connection, made.clock.seconds(), indexed=False
        )
        recalled = made.clock.wait_for(asked)
        assert recalled.gone + len(recalled.events) == len(happened)
        assert recalled.first_id == recalled.events[0].id


def test_a_step_of_the_housekeeping_is_short() -> None:
    """However long the rows are: who waits for the thread that writes does not wait for long."""
    texts = ("word " * 60,) * 100
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(UPGRADES))
        assert search.has_index(connection)
        entries = [
            Entry(
                Burst(1 + number * 100, 0.0, "lobby", "Alice", texts),
                ("lobby",),
                messages=100,
                size=1,
            )
            for number in range(100)
        ]
        rows.save(connection, entries, {})
        size = len("".join(texts))
        assert search.index_some(connection)
        indexed = search._indexed_to(connection) // 100
        assert indexed * size <= search.INDEX_SIZE + size
        assert Pruning(Keep(days=1)).step(connection, 1e9, indexed=True)
        (left,) = connection.execute("SELECT count(*) FROM events").fetchone()
        assert (100 - left) * size <= retention.PRUNE_SIZE + size


# Files.


def test_ids_and_counts_go_on_where_the_file_ends(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    happen(made, [5, 5, 2, 0])
    epoch, next_id = made.log.epoch, made.log.next_id
    made.clock.wait_for(made.archive.close())
    again = opened(tmp_path / "chat")
    assert (again.log.epoch, again.log.next_id, again.log.messages) == (
        epoch,
        next_id,
        {"lobby": 4},
    )
    again.clock.wait_for(again.archive.close())


def test_after_a_crash_ids_leave_a_gap_that_counts_as_nothing(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    happen(made, [4] * 3)  # seen by nobody
    crash(made.archive)
    again = opened(tmp_path / "chat")
    assert again.log.next_id == happened[-1].id + 1 + CRASH_GAP
    happened += happen(again, [4, 1])
    again.clock.turn(10)
    recalled = again.clock.wait_for(again.archive.recall(again.log.next_id, 0, 100, LOBBY))
    assert list(recalled.events) == happened
    assert recalled.gone == 0
    crash(again.archive)
    third = opened(tmp_path / "chat")
    assert third.log.next_id > happened[-1].id + CRASH_GAP
    third.clock.wait_for(third.archive.close())


VERSION = len(UPGRADES)
NEWER = (*UPGRADES, "CREATE TABLE more(id INTEGER PRIMARY KEY)")


def test_an_older_file_is_brought_up_to_date_after_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    made = opened(path)
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    crash(made.archive)  # what was said is in the write-ahead log only
    again = opened(path, upgrades=NEWER)
    assert (
        list(again.clock.wait_for(again.archive.recent(again.log.next_id, 10, LOBBY))) == happened
    )
    again.clock.wait_for(again.archive.close())
    saved = tmp_path / f"chat.version-{VERSION}"
    with closing(sqlite3.connect(saved)) as backup:
        assert backup.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert backup.execute("SELECT count(*) FROM events").fetchone() == (2,)
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert saved.stat().st_mode & 0o777 == 0o600
    too_new = f"version {VERSION + 1} of the schema, which a newer chatservice"
    with pytest.raises(BadDatabase, match=too_new):
        opened(path)


def test_an_upgrade_that_was_cut_off_is_not_done_twice(tmp_path: Path) -> None:
    """It is in the write-ahead log, and the file itself says so only later."""
    path = tmp_path / "chat"
    made = opened(path)
    made.archive._opened.connection.executescript(
        f"BEGIN; {NEWER[-1]}; PRAGMA user_version = {VERSION + 1}; COMMIT"
    )
    crash(made.archive)
    assert path.read_bytes()[60:64] == VERSION.to_bytes(4)
    copy = tmp_path / "copy"
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    with pytest.raises(BadDatabase, match="newer chatservice"):
        opened(copy)
    again = opened(path, upgrades=NEWER)
    again.clock.wait_for(again.archive.close())


def test_the_file_stays_locked_after_an_upgrade(tmp_path: Path) -> None:
    """To SQLite's own locks, too: who closes the file last deletes what is written ahead."""
    path = tmp_path / "chat"
    made = opened(path)
    made.clock.wait_for(made.archive.close())
    again = opened(path, upgrades=NEWER)
    happened = happen(again, [4])
    again.clock.turn(10)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM facts')"
    subprocess.run([sys.executable, "-c", f"{code}.fetchall(); c.close()", path], check=True)
    assert (tmp_path / "chat-wal").exists()
    happened += happen(again, [4])
    again.clock.turn(10)
    crash(again.archive)
    third = opened(path, upgrades=NEWER)
    assert (
        list(third.clock.wait_for(third.archive.recent(third.log.next_id, 10, LOBBY))) == happened
    )
    third.clock.wait_for(third.archive.close())


def whole(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things(id)")


def no_database(path: Path) -> None:
    path.write_text("Dear diary, " * 100)


def newer(path: Path) -> None:
    made = opened(path, upgrades=NEWER)
    made.clock.wait_for(made.archive.close())


def corrupt(path: Path) -> None:
    made = opened(path)
    for _ in range(100):
        happen(made, [7, 0])
    made.clock.turn(10)
    made.clock.wait_for(made.archive.close())
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(byte ^ 0x5A for byte in data[4096:])
    path.write_bytes(data)


def of_one_that_is_gone(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"what was written ahead")


BAD = pytest.mark.parametrize(
    ("make", "why"),
    [
        (foreign, "this is some other program's database"),
        (no_database, "this is not an SQLite database"),
        (newer, "which a newer chatservice has made"),
        (corrupt, "it is corrupt|malformed"),
        (of_one_that_is_gone, "is left of it"),
    ],
)


@BAD
def test_a_file_that_cannot_be_used_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "chat"
    make(path)
    before = whole(path)
    with pytest.raises(BadDatabase, match=why) as raised:
        opened(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
    assert whole(path) == before


def test_a_file_that_another_server_uses_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    made = opened(path)
    before = whole(path)
    with pytest.raises(BadDatabase, match="another server uses it"):
        opened(path)
    assert whole(path) == before
    made.clock.wait_for(made.archive.close())


def test_a_database_that_is_locked_at_the_start_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    path = tmp_path / "chat"
    made = opened(path)
    made.clock.wait_for(made.archive.close())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadDatabase, match=r"chat: database is locked\.$"):
            opened(path)
        other.execute("ROLLBACK")
    again = opened(path)  # and it was let go of
    again.clock.wait_for(again.archive.close())


@BAD
def test_twistd_says_so_and_ends(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "chat"
    make(path)
    before = whole(path)
    options = ["--port", "tcp:0:interface=127.0.0.1", "--database", str(path)]
    done = subprocess.run(
        [sys.executable, TWISTD, "-n", "--pidfile=", "chat", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=tmp_path,
    )
    last = done.stdout.splitlines()[-1]
    assert re.search(rf"\] chat: --database {re.escape(str(path))}.*({why})", last)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert whole(path) == before


# Trouble.


def test_what_is_asked_of_a_disk_that_fails_is_refused(tmp_path: Path) -> None:
    made = opened(tmp_path / "chat")
    (tmp_path / "chat").rename(tmp_path / "away")
    told: list[Any] = []
    made.archive.notice = told.append
    write = made.archive.write(lambda connection: None)
    with pytest.raises(Refusal) as refused:
        made.clock.wait_for(write)
    assert refused.value.code is ErrorCode.NOT_SAVED
    happened = happen(made, [4, 5])
    made.clock.turn(10)
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(group_commit.RETRY_SECONDS)
    made.clock.turn(10)
    assert [event.on for event in told] == [False, True]
    assert list(made.clock.wait_for(made.archive.recent(made.log.next_id, 10, LOBBY))) == happened
    made.clock.wait_for(made.archive.close())


def test_what_is_held_for_a_disk_that_fails_is_part_of_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the log in memory has moved past it."""
    monkeypatch.setattr(log, "LOG_MESSAGES", 5)
    made = opened(tmp_path / "chat")
    happened = happen(made, [4, 0] * 10)
    made.clock.turn(10)
    (tmp_path / "chat").rename(tmp_path / "away")
    happened += happen(made, [5, 0, 2, 0, 1, 0] * 10)
    made.clock.turn(10)
    before = made.log.next_id
    for after in (0, 8, 15, before - 3):
        recalled = made.clock.wait_for(made.archive.recall(before, after, 100, LOBBY))
        assert list(recalled.events) == [event for event in happened if event.id > after]
    newest = made.clock.wait_for(made.archive.recall(before, None, 100, LOBBY))
    assert list(newest.events) == happened
    recent = made.clock.wait_for(made.archive.recent(before - 9, 100, LOBBY))
    assert list(recent) == spoken([event for event in happened if event.id < before - 9])
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(group_commit.RETRY_SECONDS)
    made.clock.turn(10)
    recalled = made.clock.wait_for(made.archive.recall(before, 0, 100, LOBBY))
    assert list(recalled.events) == happened
    made.clock.wait_for(made.archive.close())


def test_what_is_held_for_a_disk_that_fails_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "HELD_MESSAGES", 10)
    made = opened(tmp_path / "chat")
    told: list[Any] = []
    made.archive.notice = told.append
    (tmp_path / "chat").rename(tmp_path / "away")
    happened = []
    for _ in range(30):
        happened += happen(made, [4])
        made.clock.turn(5)
    (tmp_path / "away").rename(tmp_path / "chat")
    made.clock.advance(group_commit.RETRY_SECONDS)
    made.clock.turn(10)
    assert told[-1].lost == 20
    found = made.clock.wait_for(made.archive.find("hello", made.log.next_id, 100, LOBBY))
    assert list(found) == happened[20:]
    made.clock.wait_for(made.archive.close())
