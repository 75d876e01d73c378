"""What is in the database: tables, and the functions that append to the log.

The functions are made anew with each version of the schema.
"""

from collections.abc import Sequence

from psycopg.pq.abc import PGconn

from chatservice.storage.postgres.connection import QueryFailed, ask_now

# Version n of the schema is what the first n of these make.
UPGRADES: tuple[str, ...] = (
    """
    -- One row: where the log goes on. `moves` counts what has changed who is here and where,
    -- `control` what has changed anybody's rights.
    CREATE TABLE chat(
        epoch text NOT NULL,
        next_id bigint NOT NULL,
        signals bigint NOT NULL,
        moves bigint NOT NULL,
        control bigint NOT NULL
    );
    INSERT INTO chat VALUES(gen_random_uuid()::text, 1, 0, 0, 0);
    CREATE TABLE facts(key text PRIMARY KEY, value text NOT NULL);

    -- Servers that are running. `seq`: their last append, whose first id and signal those are.
    CREATE TABLE nodes(
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        title text NOT NULL,
        seq bigint NOT NULL DEFAULT 0,
        first_id bigint NOT NULL DEFAULT 0,
        first_signal bigint NOT NULL DEFAULT 0
    );
    -- A server's lease: when it was renewed; and up to where it, and everyone there who is not
    -- noted otherwise, has heard. (Apart from `nodes`, so that no append waits for a standby.)
    CREATE TABLE marks(
        node bigint PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        position bigint NOT NULL,
        heard bigint NOT NULL
    ) WITH (fillfactor = 50);

    -- A row is an entry of the log (see storage.rows). `node`, `seq`: the append that made it;
    -- `nonce`: a number that no other append has. `more`: what other servers have to know.
    CREATE TABLE events(
        id bigint PRIMARY KEY,
        at double precision NOT NULL,
        room text NOT NULL,
        kind text NOT NULL,
        name text NOT NULL,
        text text NOT NULL,
        messages integer NOT NULL,
        earlier bigint NOT NULL,
        rooms text NOT NULL,
        author bigint,
        acknowledged integer NOT NULL,
        ref text,
        node bigint NOT NULL,
        seq bigint NOT NULL,
        nonce bigint NOT NULL,
        more jsonb,
        words tsvector
    );
    CREATE INDEX events_in_room ON events(room, id);
    CREATE INDEX events_spoken_in ON events(room, id) WHERE messages > 0;
    CREATE INDEX events_in_several ON events(id) WHERE rooms <> '';
    CREATE INDEX events_words ON events USING gin(words);

    -- What servers tell each other, after the entry before the id `after`. Soon deleted.
    CREATE TABLE signals(
        n bigint PRIMARY KEY,
        after bigint NOT NULL,
        kind text NOT NULL,
        data jsonb NOT NULL,
        node bigint NOT NULL,
        seq bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    );

    -- How many messages there have ever been in each room.
    CREATE TABLE counts(room text PRIMARY KEY, messages bigint NOT NULL) WITH (fillfactor = 50);

    -- Who is here, on which servers, in which rooms (an object: since which id).
    CREATE TABLE people(
        name text PRIMARY KEY,
        id text NOT NULL,
        nodes bigint[] NOT NULL,
        account text,
        account_since double precision,
        since double precision NOT NULL,
        rooms jsonb NOT NULL
    );
    CREATE INDEX people_by_id ON people(id);
    -- Whose the tokens of programs are (people.id), by their hashes; and the server that has them.
    CREATE TABLE tokens(hash text PRIMARY KEY, person text NOT NULL, node bigint NOT NULL);
    CREATE INDEX tokens_of_person ON tokens(person);

    -- Rooms that there are. The founder is an account, or a guest who is here (people.id).
    CREATE TABLE rooms(
        name text PRIMARY KEY,
        founder text,
        founder_since double precision,
        guest text,
        topic text NOT NULL,
        private boolean NOT NULL,
        open_from bigint NOT NULL,
        control bigint NOT NULL
    );

    CREATE TABLE accounts(
        name text PRIMARY KEY, hash text NOT NULL, created double precision NOT NULL
    );
    CREATE TABLE account_keys(
        key text NOT NULL,
        account text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        PRIMARY KEY(key, account)
    );
    CREATE INDEX keys_of_account ON account_keys(account);
    CREATE TABLE known_networks(
        account text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        network text NOT NULL,
        at double precision NOT NULL,
        PRIMARY KEY(account, network)
    );
    CREATE TABLE memberships(
        account text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        since double precision NOT NULL,
        room text NOT NULL,
        joined bigint NOT NULL,
        PRIMARY KEY(account, room)
    );
    CREATE TABLE letters(
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at double precision NOT NULL,
        sender text NOT NULL,
        recipient text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        text text NOT NULL,
        origin text NOT NULL
    );
    CREATE INDEX letters_to ON letters(recipient, id);

    -- How far people have read: all below `id`, which is so many `messages` in each room. NULL:
    -- they are here.
    CREATE TABLE readers(
        name text PRIMARY KEY, id bigint, at double precision NOT NULL, messages jsonb NOT NULL
    );
    """,
    """
    -- Who is in charge: of a room (accounts, each with since when it is there), and of the server.
    ALTER TABLE rooms ADD operators jsonb NOT NULL DEFAULT '[]';
    CREATE TABLE operators(
        account text PRIMARY KEY REFERENCES accounts(name) ON DELETE CASCADE,
        since double precision NOT NULL
    );
    -- Bans and mutes, in the room `scope` or everywhere ('*'). `id`: the entry that imposed it.
    CREATE TABLE sanctions(
        key bigint PRIMARY KEY,
        id bigint NOT NULL,
        kind text NOT NULL,
        scope text NOT NULL,
        name text NOT NULL,
        account text,
        since double precision,
        networks jsonb NOT NULL,
        by text NOT NULL,
        at double precision NOT NULL,
        until double precision,
        why text NOT NULL
    );
    ALTER TABLE people ADD networks jsonb NOT NULL DEFAULT '[]';
    """,
    """
    -- Seconds between the messages of one person.
    ALTER TABLE rooms ADD slow integer NOT NULL DEFAULT 0;
    """,
    """
    -- What those say who are away; NULL: they are not.
    ALTER TABLE people ADD away text;
    """,
    """
    -- Reports that nobody in charge of `room` ('*': of the whole chat) has seen. `account` and
    -- `since` are of whom was reported; `origin`: for whom it is counted.
    CREATE TABLE reports(
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at double precision NOT NULL,
        room text NOT NULL,
        name text NOT NULL,
        account text,
        since double precision,
        by text NOT NULL,
        why text NOT NULL,
        origin text NOT NULL
    );
    """,
    """
    -- Programs that may speak in a room, or listen. `token`: a hash of it (`stores.token_hash`).
    CREATE TABLE hooks(
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        token text NOT NULL UNIQUE,
        kind text NOT NULL,
        name text NOT NULL,
        room text NOT NULL,
        secret text NOT NULL,
        created double precision NOT NULL
    );
    """,
    """
    -- A row of the kind 'tombstone' stands for a message that was deleted. `unindexed`: `words` is
    -- to be made anew, of what is left of a row.
    ALTER TABLE events ADD unindexed boolean NOT NULL DEFAULT false;
    CREATE INDEX events_unindexed ON events(id) WHERE unindexed;
    """,
    """
    -- Tokens (their hashes) with which owners come in, and when they were given last.
    CREATE TABLE account_tokens(
        hash text PRIMARY KEY,
        account text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        at double precision NOT NULL
    );
    CREATE INDEX tokens_of_account ON account_tokens(account);
    """,
    """
    -- Whom the owners of accounts do not hear: what they are called, or their account is.
    CREATE TABLE ignored(
        owner text NOT NULL REFERENCES accounts(name) ON DELETE CASCADE,
        name text NOT NULL,
        account text,
        since double precision,
        at double precision NOT NULL,
        PRIMARY KEY(owner, name)
    );
    """,
    """
    -- What an operator's program has erased of what `name` had said: a server takes it, and tells.
    CREATE TABLE erasures(
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        room text NOT NULL,
        name text NOT NULL,
        ids jsonb NOT NULL
    );
    """,
    """
    -- The hash of the password that a token stands for: it is good while that is the account's.
    ALTER TABLE account_tokens ADD password text;
    UPDATE account_tokens SET password = accounts.hash FROM accounts WHERE account = name;
    ALTER TABLE tokens ADD password text;
    UPDATE tokens SET password = accounts.hash FROM people, accounts
        WHERE person = people.id AND account = accounts.name AND account_since = created;
    """,
)

FUNCTIONS = """
-- How many messages there had ever been in `_room` before the id `_id`; of what is no longer kept,
-- as of the oldest that is.
CREATE OR REPLACE FUNCTION messages_before(_room text, _id bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT earlier + least(messages, _id - id) FROM events
            WHERE room = _room AND id < _id ORDER BY id DESC LIMIT 1),
        (SELECT earlier FROM events WHERE room = _room ORDER BY id LIMIT 1),
        (SELECT messages FROM counts WHERE room = _room),
        0)
$$;

-- Only one appends at a time, in the order in which they ask.
CREATE OR REPLACE FUNCTION append_lock() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('chat'::regclass::oid::bigint);
END
$$;

CREATE OR REPLACE FUNCTION ring() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('chat_' || 'chat'::regclass::oid, '');
END
$$;

-- Tell all servers. Within whatever transaction changes what they are told of.
CREATE OR REPLACE FUNCTION signal(_node bigint, _kind text, _data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c chat;
BEGIN
    PERFORM append_lock();
    UPDATE chat SET signals = signals + 1 RETURNING * INTO c;
    INSERT INTO signals(n, after, kind, data, node, seq)
        VALUES(c.signals, c.next_id, _kind, _data, _node, 0);
END
$$;

-- Append what the server `_node` has decided, knowing all up to `_moves` and `_control`. Ids in
-- `_batch` count from 0. Of a `_seq` that was appended before, the ids that it has had since then.
CREATE OR REPLACE FUNCTION append(
    _node bigint, _seq bigint, _nonce bigint, _moves bigint, _control bigint, _batch jsonb,
    OUT status text, OUT first bigint, OUT signal bigint, OUT moves bigint, OUT control bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    n nodes;
    c chat;
    _moving boolean := (_batch->>'moving')::boolean;
    _ruling boolean := (_batch->>'ruling')::boolean;
    _reaped bigint := (_batch->>'reaped')::bigint;
    _count bigint;
    _first bigint;
BEGIN
    PERFORM append_lock();
    SELECT * INTO n FROM nodes WHERE id = _node FOR UPDATE;
    SELECT * INTO c FROM chat;
    moves := c.moves;
    control := c.control;
    IF n.id IS NULL THEN
        status := 'fenced';
        RETURN;
    END IF;
    IF n.seq >= _seq THEN
        status := 'done before';
        first := n.first_id;
        signal := n.first_signal;
        RETURN;
    END IF;
    IF c.control <> _control OR (_moving AND c.moves <> _moves) THEN
        status := 'stale';
        RETURN;
    END IF;
    IF _reaped IS NOT NULL THEN
        DELETE FROM nodes WHERE id = _reaped;
        IF NOT FOUND THEN
            status := 'stale';
            RETURN;
        END IF;
        UPDATE readers SET id = marks.heard, messages = (
                SELECT coalesce(jsonb_object_agg(room, messages_before(room, marks.heard)), '{}')
                FROM jsonb_object_keys(people.rooms) AS room)
            FROM people, marks
            WHERE people.nodes = ARRAY[_reaped] AND marks.node = _reaped AND readers.id IS NULL
                AND readers.name IN (people.name, people.account);
        DELETE FROM marks WHERE node = _reaped;
    END IF;
    _first := c.next_id;
    first := _first;
    signal := c.signals + 1;
    INSERT INTO events
        SELECT _first + r.id, r.at, r.room, r.kind, r.name, r.text, r.messages,
            coalesce((SELECT counts.messages FROM counts WHERE counts.room = r.room), 0)
                + coalesce(sum(r.messages) OVER (PARTITION BY r.room ORDER BY r.id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0),
            r.rooms, r.author, r.acknowledged, r.ref, _node, _seq, _nonce, r.more,
            CASE WHEN r.words IS NOT NULL THEN array_to_tsvector(r.words) END
        FROM jsonb_to_recordset(_batch->'rows') AS r(id bigint, at double precision, room text,
            kind text, name text, text text, messages integer, rooms text, author bigint,
            acknowledged integer, ref text, more jsonb, words text[]);
    PERFORM erase(value->'ids', value->>'by')
        FROM jsonb_array_elements(_batch->'erased');
    INSERT INTO counts
        SELECT r.room, sum(r.messages)
        FROM jsonb_to_recordset(_batch->'rows') AS r(room text, messages integer)
        GROUP BY r.room HAVING sum(r.messages) > 0 ORDER BY r.room
        ON CONFLICT (room) DO UPDATE SET messages = counts.messages + excluded.messages;
    INSERT INTO signals(n, after, kind, data, node, seq)
        SELECT c.signals + row_number() OVER (), _first + s.after, s.kind, s.data, _node, _seq
        FROM jsonb_to_recordset(_batch->'signals') AS s(after bigint, kind text, data jsonb);
    GET DIAGNOSTICS _count = ROW_COUNT;
    UPDATE chat SET next_id = _first + (_batch->>'ids')::bigint, signals = signals + _count,
            moves = chat.moves + CASE WHEN _moving THEN 1 ELSE 0 END,
            control = chat.control + CASE WHEN _ruling THEN 1 ELSE 0 END
        RETURNING chat.moves, chat.control INTO moves, control;
    UPDATE nodes SET seq = _seq, first_id = first, first_signal = signal WHERE id = _node;
    IF _moving OR _ruling THEN
        PERFORM change(_first, _node, _batch);
    END IF;
    PERFORM ring();
    status := 'done';
END
$$;

-- Delete the messages with these ids. What was said together with one stays, in rows of its own;
-- their author is told of all of them at once, after the last.
CREATE OR REPLACE FUNCTION erase(_ids jsonb, _by text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    e events;
    _id bigint;
    _texts text[];
    _before integer;
    _after integer;
BEGIN
    FOR _id IN SELECT value::bigint FROM jsonb_array_elements_text(_ids) LOOP
        SELECT * INTO e FROM events WHERE id <= _id ORDER BY id DESC LIMIT 1 FOR UPDATE;
        CONTINUE WHEN e.id IS NULL OR e.kind NOT IN ('said', 'emoted') OR _id >= e.id + e.messages;
        DELETE FROM events WHERE id = e.id;
        _texts := CASE WHEN e.kind = 'said' THEN string_to_array(e.text, E'\n')
            ELSE ARRAY[e.text] END;
        _before := _id - e.id;
        _after := e.messages - _before - 1;
        IF _before > 0 THEN
            INSERT INTO events VALUES(e.id, e.at, e.room, e.kind, e.name,
                array_to_string(_texts[1:_before], E'\n'), _before, e.earlier, e.rooms, e.author, 0,
                NULL, e.node, e.seq, e.nonce, NULL, NULL, true);
        END IF;
        INSERT INTO events VALUES(_id, e.at, e.room, 'tombstone', e.name, _by, 1,
            e.earlier + _before, e.rooms, e.author,
            CASE WHEN _after = 0 THEN e.acknowledged ELSE 0 END,
            CASE WHEN _after = 0 THEN e.ref END, e.node, e.seq, e.nonce, NULL, NULL, false);
        IF _after > 0 THEN
            INSERT INTO events VALUES(_id + 1, e.at, e.room, e.kind, e.name,
                array_to_string(_texts[_before + 2:], E'\n'), _after, e.earlier + _before + 1,
                e.rooms, e.author, e.acknowledged, e.ref, e.node, e.seq, e.nonce, NULL, NULL, true);
        END IF;
    END LOOP;
END
$$;

-- Who is here and which rooms there are, as an append has changed it. Ids of this append are
-- negative there: -1 is its first one.
CREATE OR REPLACE FUNCTION change(_first bigint, _node bigint, _batch jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM people WHERE name IN (SELECT jsonb_array_elements_text(_batch->'gone'));
    INSERT INTO people
        SELECT p.name, p.id, p.nodes, p.account, p.account_since, p.since, (
            SELECT coalesce(jsonb_object_agg(key, settled_id(_first, value::bigint)), '{}')
            FROM jsonb_each_text(p.rooms)), p.networks, p.away
        FROM jsonb_to_recordset(_batch->'people') AS p(name text, id text, nodes bigint[],
            account text, account_since double precision, since double precision, rooms jsonb,
            networks jsonb, away text)
        ON CONFLICT (name) DO UPDATE SET id = excluded.id, nodes = excluded.nodes,
            account = excluded.account, account_since = excluded.account_since,
            since = excluded.since, rooms = excluded.rooms, networks = excluded.networks,
            away = excluded.away;
    DELETE FROM memberships USING jsonb_to_recordset(_batch->'people') AS p(
            account text, rooms jsonb)
        WHERE memberships.account = p.account AND NOT p.rooms ? memberships.room;
    INSERT INTO memberships
        SELECT accounts.name, accounts.created, key, settled_id(_first, value::bigint)
        FROM jsonb_to_recordset(_batch->'people') AS p(
            account text, account_since double precision, rooms jsonb)
        JOIN accounts ON accounts.name = p.account AND accounts.created = p.account_since,
        jsonb_each_text(p.rooms)
        ON CONFLICT (account, room) DO UPDATE
            SET since = excluded.since, joined = excluded.joined;
    DELETE FROM memberships WHERE room IN (SELECT jsonb_array_elements_text(_batch->'founded'))
        AND account NOT IN (SELECT account FROM people WHERE account IS NOT NULL AND rooms ? room);
    DELETE FROM rooms WHERE name IN (SELECT jsonb_array_elements_text(_batch->'dropped'));
    UPDATE reports SET room = '*'
        WHERE room IN (SELECT jsonb_array_elements_text(_batch->'dropped'));
    INSERT INTO rooms
        SELECT r.name, r.founder, r.founder_since, r.guest, r.topic, r.private,
            settled_id(_first, r.open_from), settled_id(_first, r.control), r.operators,
            r.slow
        FROM jsonb_to_recordset(_batch->'changed') AS r(name text, founder text,
            founder_since double precision, guest text, topic text, private boolean,
            open_from bigint, control bigint, operators jsonb, slow integer)
        ON CONFLICT (name) DO UPDATE SET founder = excluded.founder,
            founder_since = excluded.founder_since, guest = excluded.guest, topic = excluded.topic,
            private = excluded.private, open_from = excluded.open_from, control = excluded.control,
            operators = excluded.operators, slow = excluded.slow;
    DELETE FROM sanctions WHERE key IN (
        SELECT value::bigint FROM jsonb_array_elements_text(_batch->'lifted'));
    INSERT INTO sanctions
        SELECT s.key, settled_id(_first, s.id), s.kind, s.scope, s.name, s.account, s.since,
            s.networks, s.by, s.at, s.until, s.why
        FROM jsonb_to_recordset(_batch->'imposed') AS s(key bigint, id bigint, kind text,
            scope text, name text, account text, since double precision, networks jsonb, by text,
            at double precision, until double precision, why text)
        ON CONFLICT (key) DO NOTHING;
    -- Whoever is banned from a room is in it no longer, also if they are away.
    DELETE FROM memberships USING jsonb_to_recordset(_batch->'imposed') AS s(
            kind text, scope text, account text, since double precision)
        WHERE s.kind = 'ban' AND s.scope NOT IN ('*', 'lobby') AND memberships.room = s.scope
            AND memberships.account = s.account AND memberships.since = s.since;
END
$$;

CREATE OR REPLACE FUNCTION settled_id(_first bigint, _id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN _id < 0 THEN _first - _id - 1 ELSE _id END $$;

-- Delete some of what need not be kept: beyond so many messages of each room, or older than a time
-- (a row is as old as those that follow it); and what all servers have been told, and guests'
-- positions beyond a bound. How many rows that were (NULL: another server is at it), and the first
-- id that is kept.
CREATE OR REPLACE FUNCTION prune(
    _messages bigint, _oldest double precision, _rows bigint, _positions bigint,
    OUT deleted bigint, OUT first_id bigint
) LANGUAGE plpgsql AS $$
BEGIN
    IF pg_try_advisory_xact_lock(('signals'::regclass::oid)::bigint) THEN
        DELETE FROM signals WHERE at < clock_timestamp() - interval '1 minute'
            AND after < (SELECT min(position) FROM marks);
        DELETE FROM tokens WHERE person NOT IN (SELECT id FROM people);
        DELETE FROM sanctions WHERE until <= extract(epoch FROM clock_timestamp());
        DELETE FROM readers WHERE name NOT IN (SELECT name FROM accounts) AND name IN (
            SELECT name FROM readers WHERE id IS NOT NULL ORDER BY at DESC OFFSET _positions);
        deleted := 0;
        IF _messages IS NOT NULL OR _oldest IS NOT NULL THEN
            DELETE FROM events USING (
                SELECT e.id FROM counts, LATERAL (
                    SELECT id, at, earlier + events.messages AS said,
                        max(CASE WHEN at < _oldest THEN id END) OVER () AS old
                    FROM events WHERE events.room = counts.room ORDER BY id LIMIT _rows) AS e
                WHERE e.id <= e.old OR counts.messages - e.said >= _messages) AS gone
                WHERE events.id = gone.id;
            GET DIAGNOSTICS deleted = ROW_COUNT;
        END IF;
    END IF;
    SELECT min(id) INTO first_id FROM events;
END
$$;

-- The owner of an account ignores somebody (`_who`: name, account, time), or no longer.
CREATE OR REPLACE FUNCTION keep_ignored(
    _node bigint, _owner text, _created double precision, _who jsonb, _on boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accounts WHERE name = _owner AND created = _created FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM ignored WHERE owner = _owner AND name = _who->>0;
    IF _on THEN
        INSERT INTO ignored VALUES(_owner, _who->>0, _who->1->>0,
            (_who->1->>1)::double precision, (_who->>2)::double precision);
    END IF;
    PERFORM signal(_node, 'ignored', jsonb_build_object(
        'owner', jsonb_build_array(_owner, _created), 'who', _who, 'on', _on));
    PERFORM ring();
END
$$;

-- What is registered already and protects that name; "many": there are too many; NULL: it is added.
CREATE OR REPLACE FUNCTION account_add(
    _name text, _hash text, _created double precision, _keys jsonb, _most bigint
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    found jsonb;
BEGIN
    LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE;
    SELECT jsonb_agg(DISTINCT jsonb_build_array(name, created, hash)) INTO found
        FROM accounts JOIN account_keys ON account = name
        WHERE key IN (SELECT jsonb_array_elements_text(_keys));
    IF found IS NOT NULL THEN
        RETURN found;
    END IF;
    IF (SELECT count(*) FROM accounts) >= _most THEN
        RETURN '"many"';
    END IF;
    INSERT INTO accounts VALUES(_name, _hash, _created);
    INSERT INTO account_keys SELECT jsonb_array_elements_text(_keys), _name;
    RETURN NULL;
END
$$;

-- Keep a letter, if there is room for it. Its number (NULL: there is none), and how many were kept
-- before (NULL: there is no such account), of all and of that origin.
CREATE OR REPLACE FUNCTION letter_post(
    _name text, _created double precision, _at double precision, _sender text, _text text,
    _origin text, _most bigint, _most_of_origin bigint,
    OUT number bigint, OUT kept bigint, OUT of_origin bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accounts WHERE name = _name AND created = _created FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE origin = _origin) INTO kept, of_origin
        FROM letters WHERE recipient = _name;
    IF kept < _most AND of_origin < _most_of_origin THEN
        INSERT INTO letters(at, sender, recipient, text, origin)
            VALUES(_at, _sender, _name, _text, _origin) RETURNING id INTO number;
    END IF;
END
$$;

-- Keep a report, if there is room for it. Its number (NULL: there is none), and how many were kept
-- before, of all and of that origin.
CREATE OR REPLACE FUNCTION report_keep(
    _at double precision, _room text, _name text, _account text, _since double precision,
    _by text, _why text, _origin text, _most bigint, _most_of_origin bigint,
    OUT number bigint, OUT kept bigint, OUT of_origin bigint
) LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE reports IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*), count(*) FILTER (WHERE origin = _origin) INTO kept, of_origin FROM reports;
    IF kept < _most AND of_origin < _most_of_origin THEN
        INSERT INTO reports(at, room, name, account, since, by, why, origin)
            VALUES(_at, _room, _name, _account, _since, _by, _why, _origin)
            RETURNING id INTO number;
    END IF;
END
$$;
"""


class WrongSchema(Exception):
    """What is there is not ours, or too new."""


def prepare(connection: PGconn, upgrades: Sequence[str] = UPGRADES) -> None:
    """Make or upgrade the schema; one server at a time. Blocks. Raises WrongSchema, QueryFailed;
    nothing has changed then."""
    ask_now(connection, "BEGIN")
    try:
        ask_now(connection, "SELECT pg_advisory_xact_lock(hashtext('chatservice schema'))")
        version = _version(connection)
        if version > len(upgrades):
            raise WrongSchema(
                f"it has version {version} of the schema, which a newer chatservice has made; "
                f"this one knows {len(upgrades)}"
            )
        if version < len(upgrades):
            for script in upgrades[version:]:
                ask_now(connection, script)
            ask_now(
                connection,
                "INSERT INTO facts VALUES('version', $1) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                str(len(upgrades)),
            )
            ask_now(connection, FUNCTIONS)
        ask_now(connection, "COMMIT")
    except BaseException:
        ask_now(connection, "ROLLBACK")
        raise


def _version(connection: PGconn) -> int:
    (found,) = ask_now(connection, "SELECT to_regclass('facts'), to_regclass('events')")
    if found == (None, None):
        return 0
    try:
        rows = ask_now(connection, "SELECT value FROM facts WHERE key = 'version'")
    except QueryFailed as error:
        if error.state in ("42P01", "42703"):  # no such table, or column
            raise WrongSchema("this is some other program's database") from None
        raise
    if not rows:
        raise WrongSchema("this is some other program's database")
    return int(rows[0][0] or 0)
