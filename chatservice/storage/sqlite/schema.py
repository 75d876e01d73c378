"""What is in the file: the tables of each version, and what makes a file ours."""

import secrets
import sqlite3

from chatservice.core import names

# What makes a file ours (PRAGMA application_id): "chat" in ASCII.
APPLICATION = int.from_bytes(b"chat")
# Version n of the schema is what the first n of these make. A file of an older version is brought
# up to date by those it lacks, each in one transaction, after a backup.
UPGRADES: tuple[str, ...] = (
    """
    CREATE TABLE facts(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

    -- A row is an entry of the log; one of kind 'said' holds all the messages of one read, a line
    -- each. `earlier`: how many messages there had ever been before it.
    CREATE TABLE events(
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        room TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        messages INTEGER NOT NULL,
        earlier INTEGER NOT NULL
    );
    CREATE INDEX spoken ON events(id) WHERE messages > 0;

    -- Ids that stand for nothing: people who were cut off with the server may have seen some.
    CREATE TABLE gaps(first INTEGER PRIMARY KEY, past INTEGER NOT NULL);

    -- How far people have read: all below `id`, which is how many messages. NULL: they are here.
    CREATE TABLE readers(
        name TEXT PRIMARY KEY, id INTEGER, earlier INTEGER, at REAL NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE accounts(
        name TEXT PRIMARY KEY, hash TEXT NOT NULL, created REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE account_keys(
        key TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON account_keys(account);

    -- Offline messages: private ones that are kept until their recipient returns.
    CREATE TABLE letters(
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        sender TEXT NOT NULL,
        recipient TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    CREATE INDEX letters_to ON letters(recipient, id);
    """,
    # Accounts may have a key in common: what counts as alike has changed since they were made. The
    # keys are made anew by `renew_keys`.
    """
    DROP TABLE account_keys;
    CREATE TABLE account_keys(
        key TEXT NOT NULL,
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        PRIMARY KEY(key, account)
    ) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON account_keys(account);
    """,
    # What the operator's programs have changed while a server runs: it obeys and deletes it. From
    # which networks owners have come in. Whose an offline message is, as far as it is counted for
    # somebody: an account or a network.
    """
    CREATE TABLE account_changes(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL, created REAL NOT NULL, change TEXT NOT NULL
    );
    CREATE TABLE known_networks(
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        network TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY(account, network)
    ) WITHOUT ROWID;
    ALTER TABLE letters ADD COLUMN origin TEXT NOT NULL DEFAULT '';
    """,
    # An entry may be heard in several rooms. What was said before there were rooms is the lobby's.
    # `earlier` counts the messages of the row's room. `author` is the number of the connection that
    # made it, for as long as the server runs; `acknowledged` and `ref` are what it is told.
    """
    ALTER TABLE events ADD COLUMN rooms TEXT NOT NULL DEFAULT '';
    ALTER TABLE events ADD COLUMN author INTEGER;
    ALTER TABLE events ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE events ADD COLUMN ref TEXT;
    CREATE INDEX in_room ON events(room, id);
    CREATE INDEX spoken_in ON events(room, id) WHERE messages > 0;
    CREATE INDEX in_several ON events(id) WHERE rooms != '';

    -- Rooms with a registered founder, which stay.
    CREATE TABLE rooms(
        name TEXT PRIMARY KEY,
        founder TEXT NOT NULL,
        founder_since REAL NOT NULL,
        topic TEXT NOT NULL,
        private INTEGER NOT NULL,
        open_from INTEGER NOT NULL,
        control INTEGER NOT NULL
    ) WITHOUT ROWID;

    -- Registered people are in their rooms also while they are away. `joined`: the id of the entry.
    CREATE TABLE memberships(
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        since REAL NOT NULL,
        room TEXT NOT NULL,
        joined INTEGER NOT NULL,
        PRIMARY KEY(account, room)
    ) WITHOUT ROWID;

    -- How many messages there had ever been in each room: a JSON object.
    ALTER TABLE readers ADD COLUMN messages TEXT;
    UPDATE readers SET messages = '{"lobby": ' || earlier || '}' WHERE id IS NOT NULL;
    """,
    # Programs that may speak in a room, or listen. `token`: a hash of it (see `stores.token_hash`).
    """
    CREATE TABLE hooks(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        room TEXT NOT NULL,
        secret TEXT NOT NULL,
        created REAL NOT NULL
    );
    """,
    # Who is in charge of a room, beside its founder; room '*': of the whole server. Bans and mutes:
    # `id` is that of the entry that has imposed it; `scope` a room or '*'; `networks` one a line.
    """
    CREATE TABLE operators(
        room TEXT NOT NULL,
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        since REAL NOT NULL,
        PRIMARY KEY(room, account)
    ) WITHOUT ROWID;
    CREATE TABLE sanctions(
        key INTEGER PRIMARY KEY,
        id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        account TEXT,
        since REAL,
        networks TEXT NOT NULL,
        by TEXT NOT NULL,
        at REAL NOT NULL,
        until REAL,
        why TEXT NOT NULL
    );
    CREATE INDEX sanctions_in ON sanctions(scope);
    """,
    # Seconds between the messages of one person.
    """
    ALTER TABLE rooms ADD slow INTEGER NOT NULL DEFAULT 0;
    """,
    # Reports that nobody in charge of `room` ('*': of the whole chat) has seen. `account`, `since`:
    # of whom was reported; `origin`: for whom it is counted.
    """
    CREATE TABLE reports(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        room TEXT NOT NULL,
        name TEXT NOT NULL,
        account TEXT,
        since REAL,
        by TEXT NOT NULL,
        why TEXT NOT NULL,
        origin TEXT NOT NULL
    );
    """,
    # Messages can be deleted: a row of the kind 'tombstone' stands for each, and one of the kind
    # 'deleted' for who did that. Older servers cannot read these.
    "",
    # Tokens (their hashes) with which owners come in, and when they were given last.
    """
    CREATE TABLE account_tokens(
        hash TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX tokens_of_account ON account_tokens(account);
    """,
    # Whom the owners of accounts do not hear: what they are called, or their account is.
    """
    CREATE TABLE ignored(
        owner TEXT NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        account TEXT,
        since REAL,
        at REAL NOT NULL,
        PRIMARY KEY(owner, name)
    ) WITHOUT ROWID;
    """,
    # What an operator's program has erased of what `name` had said: a server takes it, and tells.
    # `ids`: a JSON list.
    """
    CREATE TABLE erasures(
        number INTEGER PRIMARY KEY,
        room TEXT NOT NULL,
        name TEXT NOT NULL,
        ids TEXT NOT NULL
    );
    """,
)
# The key among the facts under which stands what `account_keys` were made by.
_KEYS_MADE_BY = "account keys"


def create(connection: sqlite3.Connection) -> None:
    """Within a transaction, after the scripts: what a new file has beside empty tables."""
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    new_epoch(connection)


def new_epoch(connection: sqlite3.Connection) -> None:
    """Within a transaction: ids start over for everyone who knows some."""
    connection.execute(
        "INSERT OR REPLACE INTO facts VALUES('epoch', ?)", (secrets.token_urlsafe(16),)
    )


def renew_keys(connection: sqlite3.Connection) -> None:
    """Within a transaction: make the keys of all accounts anew, if those that are there are not
    what `names.keys` says today. Accounts that have come to collide by that all stay."""
    made_by = connection.execute("SELECT value FROM facts WHERE key = ?", (_KEYS_MADE_BY,))
    if made_by.fetchone() == (names.KEYS_VERSION,):
        return
    accounts = connection.execute("SELECT name FROM accounts").fetchall()
    connection.execute("DELETE FROM account_keys")
    connection.executemany(
        "INSERT INTO account_keys VALUES(?, ?)",
        ((key, name) for (name,) in accounts for key in names.keys(name)),
    )
    connection.execute(
        "INSERT OR REPLACE INTO facts VALUES(?, ?)", (_KEYS_MADE_BY, names.KEYS_VERSION)
    )
