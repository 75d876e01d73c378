"""Accounts that were registered when something else counted as alike: they all stay."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatservice.accounts.__main__ import main
from chatservice.core import names
from chatservice.core.events import Account, ErrorCode, Refusal
from chatservice.storage.bad_database import BadDatabase
from chatservice.storage.sqlite import accounts
from chatservice.storage.sqlite.database import open_for_server
from chatservice.storage.sqlite.schema import APPLICATION, UPGRADES

# What the first version of the schema had as keys. Of the names, one pair has become alike.
KEYS = {
    "Alice": ("alice",),
    "ALlCE": ("allce",),
    "Bob": ("bob",),
    "root": ("root",),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of the first version with accounts in it, the first of which is the oldest."""
    path = tmp_path / "chat.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA application_id = {APPLICATION}; {UPGRADES[0]}")
        connection.execute("INSERT INTO facts VALUES('epoch', 'as it was')")
        for created, (name, keys) in enumerate(KEYS.items()):
            account = (name, f"of {name}", created)
            connection.execute("INSERT INTO accounts VALUES(?, ?, ?)", account)
            for key in keys:
                connection.execute("INSERT INTO account_keys VALUES(?, ?)", (key, name))
        connection.commit()
        connection.executescript("PRAGMA user_version = 1; PRAGMA journal_mode = WAL")
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_for_server(path)
    yield opened.connection
    opened.close()


def found(connection: sqlite3.Connection, name: str) -> str | None:
    """Whose account protects `name`."""
    kept = accounts.find(connection, name)
    if kept is not None:
        assert kept.hash == f"of {kept.account.name}"
    return None if kept is None else kept.account.name


def test_accounts_that_have_come_to_collide_both_stay(connection: sqlite3.Connection) -> None:
    assert [account.name for account in accounts.all_accounts(connection)] == sorted(KEYS)
    for name in KEYS:
        assert found(connection, name) == name
    assert found(connection, "alice") == "Alice"
    assert found(connection, "allce") == "ALlCE"
    assert found(connection, "AL1CE") == "Alice"  # the older one
    assert found(connection, "Carol") is None
    alike = {account.name for account in accounts.owners(connection, "Alice")}
    assert alike == {"Alice", "ALlCE"}
    with pytest.raises(Refusal) as refused:
        accounts.add(connection, Account("AIice", 9.0), "hash")
    assert refused.value.code is ErrorCode.NAME_REGISTERED


def test_when_one_is_removed_the_other_stays(connection: sqlite3.Connection) -> None:
    accounts.remove(connection, Account("Alice", 0.0))
    assert found(connection, "Alice") == found(connection, "ALlCE") == "ALlCE"
    accounts.remove(connection, Account("ALlCE", 1.0))
    assert found(connection, "Alice") is None
    accounts.add(connection, Account("Alice", 9.0), "of Alice")
    assert found(connection, "ALlCE") == "Alice"


def test_keys_are_made_anew_when_they_mean_something_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at no other time, however often the database is opened."""
    open_for_server(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM account_keys WHERE account = 'Bob'")
    opened = open_for_server(path)
    assert found(opened.connection, "Bob") is None
    opened.close()
    monkeypatch.setattr(names, "KEYS_VERSION", "another")
    opened = open_for_server(path)
    assert found(opened.connection, "Bob") == "Bob"
    opened.close()


def test_if_making_them_fails_the_old_ones_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_for_server(path).close()
    monkeypatch.setattr(names, "KEYS_VERSION", "another")
    with monkeypatch.context() as patch:

        def keys(name: str) -> frozenset[str]:
            if name == "root":
                raise sqlite3.OperationalError("database or disk is full")
            return frozenset((name,))

        patch.setattr(names, "keys", keys)
        with pytest.raises(BadDatabase, match="database or disk is full"):
            open_for_server(path)
    with closing(sqlite3.connect(path)) as connection:
        assert found(connection, "BOB") == "Bob"
    opened = open_for_server(path)
    assert {name: found(opened.connection, name) for name in KEYS} == {name: name for name in KEYS}
    opened.close()


def test_the_operators_program_makes_them_anew_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    open_for_server(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM account_keys")
    monkeypatch.setattr(names, "KEYS_VERSION", "another")
    main(["--database", str(path), "remove", "ALlCE"])
    main(["--database", str(path), "list"])
    listed = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["Alice", "Bob", "root"]
