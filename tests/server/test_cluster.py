"""Several servers on one PostgreSQL are one chat: real servers, and a database of their own."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import postgres
from tests.support.irc import IrcServer
from tests.support.nodes import Node, Start
from tests.support.people import HINT, PATIENCE, QUESTION, Person, Server, joined, left
from tests.support.postgres import Cluster
from tests.support.programs import Program, join
from tests.support.quick_passwords import QUICKLY

pytestmark = postgres.NEEDS_POSTGRES


def test_three_servers_are_one_chat(start: Start) -> None:
    one, two, three = start(), start(), start()
    alice = one.join("Alice")
    bob = two.join("Bob")
    alice.hears(joined("Bob"))
    carol = three.join("Carol")
    for person in (alice, bob):
        person.hears(joined("Carol"))
    for number in range(20):
        alice.types(f"a{number}")
        bob.types(f"b{number}")
        carol.types(f"c{number}")
    heard = {
        name: [person.next_line() for _ in range(40)]
        for name, person in (("Alice", alice), ("Bob", bob), ("Carol", carol))
    }
    # One order for all: of any two who hear the same lines, they hear them alike.
    for name, lines in heard.items():
        assert len(set(lines)) == 40
        for other, others in heard.items():
            shared = [line for line in lines if not line.startswith((name, other))]
            assert shared == [line for line in others if not line.startswith((name, other))]
    for person in (alice, bob, carol):
        person.types("/who")
        person.hears("*** Online (3): Alice, Bob, Carol")
        person.types("/search b7")
    found = [[person.next_line() for _ in range(2)] for person in (alice, bob, carol)]
    assert found[0] == found[1] == found[2]
    assert found[0][-1].endswith("Bob: b7")
    # Names are taken everywhere, and so is what looks like one.
    for server, name in ((two, "alice"), (three, "AIice")):
        stranger = server.connect()
        stranger.hears(QUESTION)
        stranger.types(name)
        stranger.hears(f"Error: {name} is taken. {QUESTION}")
    alice.types("/nick Alicia")
    for person in (alice, bob, carol):
        person.hears("*** Alice is now known as Alicia.")
    two.join("Alice")
    for person in (alice, bob, carol):
        person.hears(joined("Alice"))
    carol.types("/exit")
    for person in (alice, bob):
        person.hears(left("Carol"))


def test_people_on_several_servers_talk_in_a_room_and_in_private(start: Start) -> None:
    one, two = start(), start()
    alice, bob = one.join("Alice"), two.join("Bob")
    alice.hears(joined("Bob"))
    alice.types("/join dev")
    alice.hears("*** In #dev (1): Alice")
    bob.types("/join DEV")
    bob.hears("*** In #dev (2): Alice, Bob")
    alice.hears("*** Bob has joined #dev.")
    bob.types("here I am")
    alice.hears("Bob: here I am")
    alice.types("/topic work")
    alice.hears_until("*** Alice has set the topic: work")
    alice.types("/msg Bob psst")
    alice.hears("[you -> Bob] psst")
    bob.hears_until("[Alice -> you] psst")
    bob.types("/reply yes?")
    bob.hears("[you -> Alice] yes?")
    alice.hears_until("[Bob -> you] yes?")
    late = start().join("Carol")
    late.types("/join dev")
    late.hears("*** In #dev (3): Alice, Bob, Carol", "*** Topic of #dev: work")


def owner_comes_in(server: Server, name: str = "Alice", called: str = "Alice") -> Person:
    """Another connection of whoever owns that name, and is `called` that now."""
    person = server.connect()
    person.hears(QUESTION)
    person.types(name, "lovelace")
    welcome = f"Welcome {called}, you are connected to the server."
    person.hears(f"Password for {name}:", welcome, HINT)
    assert person.next_line().startswith("*** Online (")
    return person


def is_noticed(*servers: Server) -> None:
    """One of them has found that another one is gone."""
    deadline = time.monotonic() + PATIENCE
    while not any("is gone; its people have left" in server.log for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_person_has_connections_on_several_servers(start: Start) -> None:
    one, two, three = start(), start(), start()
    alice = one.join("Alice")
    alice.types("/register lovelace")
    alice.hears("*** Alice is now registered to you.")
    bob = two.join("Bob")
    alice.hears(joined("Bob"))
    again = owner_comes_in(two)
    third = owner_comes_in(three)
    # Nobody hears of it, and they are here once. Each connection hears everything.
    bob.types("hello", "/who")
    for person in (alice, again, third):
        person.hears("Bob: hello")
    bob.hears("*** Online (2): Alice, Bob")
    again.types("said there", "/who")
    again.hears("*** Online (2): Alice, Bob")
    for person in (alice, bob, third):
        person.hears("Alice: said there")
    bob.types("/msg Alice psst")
    bob.hears("[you -> Alice] psst")
    for person in (alice, again, third):
        person.hears("[Bob -> you] psst")
    third.types("/reply yes?")
    third.hears("[you -> Bob] yes?")
    bob.hears("[Alice -> you] yes?")
    # They are in the same rooms, and have the same name.
    again.types("/join dev")
    again.hears("*** In #dev (1): Alice")
    for person in (alice, third):
        person.hears("#dev *** Alice has joined.")
    third.types("/nick Alicia")
    for person in (alice, again, bob, third):
        person.hears("*** Alice is now known as Alicia.")
    # Wherever a connection ends, the others stay; they leave with the last one.
    alice.types("/exit")
    alice.hears("*** Goodbye, Alicia.")
    three.killed = True
    three.process.kill()
    three.process.wait(PATIENCE)
    again.types("/switch lobby", "still here")
    again.hears("*** In #lobby (2): Alicia, Bob")
    bob.hears("Alicia: still here")
    back = owner_comes_in(one, called="Alicia")
    again.types("/exit")
    again.hears("*** Goodbye, Alicia.")
    back.types("here again")
    bob.hears("Alicia: here again")
    is_noticed(one, two)
    back.types("/exit")
    bob.hears(left("Alicia"))


def test_who_owns_a_name_comes_in_everywhere_at_once(start: Start) -> None:
    """They are one person, told of once; a letter waits for them when they have gone."""
    one, two = start(), start()
    bob = one.join("Bob")
    carol = two.join("Carol")
    bob.hears(joined("Carol"))
    carol.types("/register lovelace", "/exit")
    carol.hears("*** Carol is now registered to you.")
    bob.hears(left("Carol"))
    for _ in range(10):
        connections = [server.connect() for server in (one, two, one, two)]
        for each in connections:
            each.hears(QUESTION)
            each.types("Carol")
            each.hears("Password for Carol:")
        for each in connections:
            each.types("lovelace")
        bob.hears(joined("Carol"))
        for each in connections:
            each.hears_until(HINT)
        bob.types("/who")
        bob.hears("*** Online (2): Bob, Carol")
        for each in connections:
            each.types("/exit")
        bob.hears(left("Carol"))
    bob.types("/msg Carol soon?")
    bob.hears("[you -> Carol] soon? (will be delivered when Carol returns)")
    back = two.connect()
    back.hears(QUESTION)
    back.types("Carol", "lovelace")
    while "soon?" not in back.next_line():
        pass


def test_a_token_is_good_on_every_server(start: Start, cluster: Cluster, uri: str) -> None:
    """Also while the server that gave it hangs, or is dead: nobody hears of it."""
    one, two, three = start(), start(), start()
    bob = two.join("Bob")
    robot = Program(one.connect())
    token = robot.comes_in("Robot")["token"]
    bob.hears(joined("Robot"))
    database = uri.partition("///")[2].partition("?")[0]
    assert len(cluster.says("SELECT hash FROM tokens", database)) == 64
    assert token not in cluster.says("SELECT * FROM tokens", database)
    moved = Program(two.connect())
    assert moved.comes_in("Robot", token=token)["token"] == token
    robot.hears("bye", reason="taken over")
    beside = Program(one.connect())
    assert beside.comes_in("Robot", token=token, beside=True)["token"] != token
    bob.types("hello")
    moved.hears("said", text="hello")
    beside.hears("said", text="hello")
    beside.person.leaves()
    two.process.send_signal(signal.SIGSTOP)
    try:
        again = Program(three.connect())
        again.comes_in("Robot", token=token)
    finally:
        two.process.send_signal(signal.SIGCONT)
    moved.hears("bye", reason="taken over")
    carol = one.join("Carol")
    bob.hears(joined("Carol"))
    three.killed = True
    three.process.kill()
    three.process.wait(PATIENCE)
    last = Program(one.connect())
    last.comes_in("Robot", token=token)
    is_noticed(one, two)
    last.asks("say", text="nobody has heard of that")
    for person in (bob, carol):
        person.hears("Robot: nobody has heard of that")
    last.asks("exit")
    for person in (bob, carol):
        person.hears(left("Robot"))
    stranger = Program(two.connect())
    stranger.asks("hello", name="Other", token=token)
    stranger.hears("welcome", name="Other")


def test_a_token_is_worth_nothing_once_there_is_another_password(
    start: Start, cluster: Cluster, uri: str
) -> None:
    one, two = start(), start()
    database = uri.partition("///")[2].partition("?")[0]
    robot = Program(one.connect())
    token = robot.comes_in("Robot")["token"]
    robot.asks("register", password="lovelace")
    while json.loads(robot.person.next_line())["type"] != "account":
        pass
    stranger = Program(two.connect())
    stranger.asks("hello", name="Robot", token=token)
    stranger.hears("error", code="password_needed")
    there = Program(two.connect())
    token = there.comes_in("Robot", password="lovelace")["token"]
    deadline = time.monotonic() + PATIENCE
    while not is_let_in(one, "Robot", token):  # it is saved soon, by the other server
        assert time.monotonic() < deadline
    for table in ("tokens", "account_tokens"):
        cluster.says(f"CREATE TABLE late_{table} AS SELECT * FROM {table}", database)
    robot.asks("password", old="lovelace", password="byron1815")
    there.hears("bye", reason="password changed")
    for table in ("tokens", "account_tokens"):  # as if they had been saved in that moment
        again = f"INSERT INTO {table} SELECT * FROM late_{table} ON CONFLICT DO NOTHING"
        cluster.says(again, database)
    for server in (one, two):
        stranger = Program(server.connect())
        stranger.asks("hello", name="Robot", token=token)
        stranger.hears("error", code="password_needed")


def is_let_in(server: Server, name: str, token: str) -> bool:
    """Beside the connection that has the token."""
    program = Program(server.connect())
    program.asks("hello", name=name, token=token, beside=True)
    answer = json.loads(program.person.next_line())
    program.person.leaves()
    return bool(answer["type"] == "welcome")


def test_irc_is_the_same_on_all_servers(tmp_path: Path, uri: str) -> None:
    """A notice is one there, too, and whoever leaves is heard to say why."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with (
        IrcServer(tmp_path / "one", "--database", uri) as one,
        IrcServer(tmp_path / "two", "--database", uri) as two,
    ):
        alice, bob = one.irc_join("Alice"), two.irc_join("Bob")
        alice.hears("JOIN", "#lobby")
        bob.types("NOTICE #lobby :to all", "NOTICE Alice :to you", "PRIVMSG #lobby :\2bold\2")
        for target, text in (("#lobby", "to all"), ("Alice", "to you")):
            alice.hears("NOTICE", target, text)
        alice.hears("PRIVMSG", "#lobby", "\2bold\2")
        bob.types("QUIT :off to bed")
        assert "off to bed" in alice.hears("QUIT").parameters[-1]


def program(*arguments: str, typed: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, input=typed, capture_output=True, timeout=PATIENCE, check=False)


def test_the_operators_programs_take_the_uri(start: Start, uri: str) -> None:
    server = start()
    alice = server.join("Alice")
    alice.types("/register lovelace", "hello")
    alice.hears("*** Alice is now registered to you.")
    bob = server.join("Bob")
    bob.types("/search hello")
    assert [bob.next_line() for _ in range(2)][-1].endswith("Alice: hello")
    exported = program("chatservice.export", "--database", uri)
    events = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [event["text"] for event in events if "text" in event] == ["hello"], exported.stderr
    listed = program("chatservice.accounts", "--database", uri, "list")
    assert listed.stdout.startswith(b"Alice\t")
    done = program(
        "chatservice.accounts", "--database", uri, "password", "Alice", typed=b"byron123\n"
    )
    assert done.returncode == 0, done.stderr
    alice.hears_until("*** Goodbye: your password was changed.")
    added = program("chatservice.accounts", "--database", uri, "add", "AIice", typed=b"byron123\n")
    assert added.stderr.startswith(b"accounts: Alice is ")


def test_an_operator_of_the_server_is_in_charge_on_all_of_them(start: Start, uri: str) -> None:
    one, two = start(), start()
    alice = one.join("Alice")
    alice.types("/register lovelace")
    alice.hears("*** Alice is now registered to you.")
    bob, eve = two.join("Bob"), two.join("Eve")
    alice.types("/announce not yet")
    alice.hears_until("Error: only those in charge of the whole chat can do that.")
    made = program("chatservice.accounts", "--database", uri, "operator", "Alice")
    assert made.returncode == 0, made.stderr
    alice.hears_until("*** Alice is now an operator of this server.")
    alice.types("/announce Back at noon", "/mute server Bob", "/ban server Eve 2h spam")
    bob.hears_until("*** Back at noon")
    bob.hears("*** Alice has muted Bob in the whole chat.")
    bob.types("hello")
    bob.hears_until("Error: you are muted in the whole chat; nobody has heard that.")
    eve.hears_until("*** Alice has removed you from the chat: spam")
    eve.hears("*** Goodbye: the operator has ended your connection.")
    again = two.connect()
    again.types("Eve")
    again.hears(QUESTION)
    assert again.next_line().startswith("Error: you are banned from the whole chat until ")
    alice.types("/bans server")
    alice.hears_until("*** 2 banned or muted in the whole chat:")


def test_who_is_ignored_is_so_on_all_servers_and_for_good(start: Start) -> None:
    """Also by another name, by other connections, and at servers that start later."""
    one, two = start(), start()
    alice, guest = one.join("Alice"), one.join("Guest")
    alice.types("/register lovelace")
    alice.hears(joined("Guest"), "*** Alice is now registered to you.")
    troll = two.join("Troll")
    for person in (alice, guest):
        person.hears_until(joined("Troll"))
        person.types("/ignore troll")
        person.hears("*** You no longer hear Troll.")
    troll.types("spam", "/msg Alice psst", "/msg Guest psst")
    troll.hears("[you -> Alice] psst", "[you -> Guest] psst")
    troll.types("/nick Saint", "more spam", "/who")
    troll.hears("*** Troll is now known as Saint.")
    for person in (alice, guest):
        person.hears("*** Troll is now known as Saint.")
        person.types("/search spam")
        person.hears("*** No messages.")
    beside = two.connect()
    beside.hears(QUESTION)
    beside.types("Alice", "lovelace")
    beside.hears_until("*** Online (3): Alice, Guest, Saint")
    troll.types("yet more")
    guest.types("well said")
    beside.hears("Guest: well said")
    alice.hears("Guest: well said")
    late = start()
    bob = late.join("Bob")
    for person in (alice, beside, guest):
        person.hears(joined("Bob"))
    third = late.connect()
    third.hears(QUESTION)
    third.types("Alice", "lovelace", "/ignore", "/unignore Troll")
    third.hears_until("*** You ignore: Troll")
    third.hears("*** You hear Troll again.")
    bob.types("so?")
    for person in (alice, beside, third, guest):
        person.hears("Bob: so?")
    troll.types("sorry")
    for person in (alice, beside, third):
        person.hears("Saint: sorry")
    bob.hears("Saint: sorry")
    guest.types("/ignore")
    guest.hears("*** You ignore: Troll")


def test_a_chat_in_a_file_is_taken_over(tmp_path: Path, start: Start, uri: str) -> None:
    with Server(tmp_path, "--database", "chat.sqlite3", runner=QUICKLY) as server:
        alice = server.join("Alice")
        alice.types("/register lovelace", "/join dev", "said in dev", "/exit")
        alice.hears_until("*** Goodbye, Alice.")
        bob = server.join("Bob")
        bob.types("an old line", "/msg Alice a letter", "/exit")
        bob.hears_until("*** Goodbye, Bob.")
    file = str(tmp_path / "chat.sqlite3")
    done = program("chatservice.migrate", file, uri)
    assert done.stdout == (
        b"2 messages, 1 accounts, 1 waiting messages, 1 rooms, 2 read positions, 0 hooks.\n"
    ), done.stderr
    again = program("chatservice.migrate", file, uri)
    assert again.stderr.endswith(b"there is a chat in it already.\n")
    alice = start().connect()
    alice.hears(QUESTION)
    alice.types("Alice", "lovelace")
    alice.hears_until(HINT)
    while "a letter" not in alice.next_line():
        pass
    alice.types("/search old", "/switch dev")
    while "Bob: an old line" not in alice.next_line():
        pass
    alice.hears_until("*** In #dev (1): Alice")


def test_who_is_in_charge_banned_and_ignored_and_hooks_are_taken_over(
    tmp_path: Path, start: Start, uri: str
) -> None:
    file = str(tmp_path / "chat.sqlite3")
    with Server(tmp_path, "--database", "chat.sqlite3", runner=QUICKLY) as server:
        alice, eve = server.join("Alice"), server.join("Eve")
        alice.types("/register lovelace")
        alice.hears_until("*** Alice is now registered to you.")
        made = program("chatservice.accounts", "--database", file, "operator", "Alice")
        assert made.returncode == 0, made.stderr
        alice.hears_until("*** Alice is now an operator of this server.")
        bob = server.join("Bob")
        bob.types("/register turing1234")
        bob.hears_until("*** Bob is now registered to you.")
        alice.types("/op Bob", "/ban server Eve 2h spam")
        eve.hears_until("*** Goodbye: the operator has ended your connection.")
        alice.types("/exit")
        bob.hears_until(left("Alice"))
        bob.types("/report Mallory rude")
        bob.hears("*** Nobody in charge is here. Your report is kept for them.")
        bob.types("/ignore Mallory")
        bob.hears("*** You no longer hear Mallory.")
        for name in ("builds", "alerts"):
            hook = program("chatservice.hooks", "--database", file, "add", name, "lobby")
            assert hook.returncode == 0, hook.stderr
        program("chatservice.hooks", "--database", file, "remove", "2")
    done = program("chatservice.migrate", file, uri)
    assert done.stdout.endswith(b", 1 hooks.\n"), done.stderr
    program("chatservice.hooks", "--database", uri, "add", "alerts", "lobby")
    hooks = program("chatservice.hooks", "--database", uri, "list").stdout.decode().splitlines()
    assert [hook.split("\t")[:2] for hook in hooks] == [["1", "builds"], ["3", "alerts"]]
    one = start()
    again = one.connect()
    again.types("Eve")
    again.hears(QUESTION)
    assert again.next_line().startswith("Error: you are banned from the whole chat until ")
    alice = one.connect()
    alice.hears(QUESTION)
    alice.types("Alice", "lovelace")
    while "Bob has reported Mallory in #lobby on " not in (shown := alice.next_line()):
        pass
    assert shown.endswith(": rude")
    alice.types("/bans server")
    alice.hears_until("*** 1 banned or muted in the whole chat:")
    bob = one.connect()
    bob.hears(QUESTION)
    bob.types("Bob", "turing1234", "/mute Mallory")
    bob.hears_until("*** Bob has muted Mallory.")
    bob.types("/ignore")
    bob.hears("*** You ignore: Mallory")


def starts(folder: Path, uri: str) -> str:
    """What a server says that cannot start."""
    command = [sys.executable, "-m", "twisted", "-n", "--pidfile=", "chat", "--port", "0"]
    command[1:3] = [str(Path(sys.executable).with_name("twistd"))]
    done = subprocess.run(
        [*command, "--database", uri],
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    said = re.search("chat: --database.*", done.stdout + done.stderr)
    assert said is not None, done.stdout + done.stderr
    return said[0]


def test_what_is_wrong_with_a_database_is_said_in_a_line(
    cluster: Cluster, tmp_path: Path, start: Start, uri: str
) -> None:
    secret = starts(tmp_path, "postgresql://chat:secret@db.example.org/chat")
    assert secret.startswith("chat: --database postgresql://db.example.org/chat: a password does")
    assert "secret" not in secret
    malformed = starts(tmp_path, "postgresql://chat:secret@[chat")
    assert "IPv6" in malformed
    assert "secret" not in malformed
    nowhere = starts(tmp_path, f"postgresql:///chat?host={tmp_path}")
    assert nowhere.startswith("chat: --database postgresql://"), nowhere
    name = uri.partition("///")[2].partition("?")[0]
    start().join("Alice")
    cluster.says("UPDATE facts SET value = '99' WHERE key = 'version'", name)
    assert "which a newer chatservice has made" in starts(tmp_path, uri)
    cluster.says("CREATE DATABASE other")
    cluster.says("CREATE TABLE events(x int); CREATE TABLE facts(x int)", "other")
    assert "some other program's database" in starts(tmp_path, cluster.uri("other"))
    cluster.says("CREATE ROLE nobody LOGIN")
    cluster.says("CREATE DATABASE narrow")
    denied = starts(tmp_path, cluster.uri("narrow").replace("user=postgres", "user=nobody"))
    assert "permission denied" in denied


def test_the_operators_shell_at_one_server_acts_on_people_at_another(
    start: Start, uri: str, tmp_path: Path
) -> None:
    bob = start().join("Bob")
    with Node(tmp_path, "--database", uri, "--control", "operator", runner=QUICKLY) as server:
        alice = server.join("Alice")
        bob.hears(joined("Alice"))

        def operate(*words: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "chatservice.operate", *words, "--control", "operator"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            ).stdout

        assert re.search(r"Bob +guest .* another server", operate("who"))
        assert operate("announce", "Hush.") == "Announced to 2 people.\n"
        alice.hears("*** Hush.")
        bob.hears("*** Hush.")
        operate("ban", "Bob", "1h", "spam")
        bob.hears_until("*** Goodbye: the operator has ended your connection.")
        assert bob.is_cut_off()
        assert alice.next_line().startswith("*** The operator has banned Bob")


def test_who_is_typing_is_shown_at_other_servers(start: Start) -> None:
    one, two = start(), start()
    alice, bob = join(one, "Alice"), join(two, "Bob")
    alice.hears("joined")
    carol = one.join("Carol")
    for person in (alice, bob):
        person.hears("joined")
    alice.asks("typing", on=True)
    bob.hears("typing", name="Alice", on=True)
    alice.asks("say", text="done")
    alice.hears("ack")
    carol.hears("Alice: done")
    bob.hears("said", text="done")
    # Nothing of it is kept, nor does whoever said it type on.
    bob.asks("history")
    kept = bob.hears("history")["events"]
    assert {event["type"] for event in kept} == {"joined", "said"}
    alice.asks("typing", on=True)
    bob.hears("typing", name="Alice", on=True)
    one.killed = True
    one.process.kill()
    one.process.wait(PATIENCE)
    assert "Alice" in bob.hears("left", reason="connection lost")["names"]


def test_what_is_deleted_on_one_server_is_gone_from_all(
    start: Start, cluster: Cluster, uri: str
) -> None:
    one, two = start(), start()
    alice, bob = one.join("Alice"), two.join("Bob")
    alice.hears(joined("Bob"))
    alice.types("/join dev")
    alice.hears("*** In #dev (1): Alice")
    bob.types(
        "/join dev", "before", "the zanzibarmarmalade", "/me likes zanzibarmarmalade", "after"
    )
    alice.hears_until("Bob: after")
    bob.hears_until("* Bob likes zanzibarmarmalade")
    alice.types("/delete Bob 3")
    for person in (alice, bob):
        person.hears_until("*** Alice has deleted 3 messages from Bob.")
    gone = "*** A message from Bob was deleted by Alice."
    for person in (alice, bob):
        person.types("/search zanzibar", "/history 4")
        person.hears("*** No messages.", "*** The last 4 messages:")
        shown = [person.next_line()[len("[12:00:00] ") :] for _ in range(4)]
        assert shown == ["Bob: before", gone, gone, gone]
    third = start().join("Carol")
    third.types("/join dev", "/history 4")
    third.hears_until("*** The last 4 messages:")
    assert [third.next_line()[len("[12:00:00] ") :] for _ in range(4)] == shown
    database = uri.partition("///")[2].partition("?")[0]
    rows = cluster.says("SELECT text, words::text FROM events", database)
    assert "zanzibar" not in rows
    assert "before" in rows


def test_what_the_owner_of_an_erased_account_said_is_gone_from_all(
    start: Start, cluster: Cluster, uri: str
) -> None:
    one, two = start(), start()
    alice, bob = one.join("Alice"), two.join("Bob")
    alice.types("/register lovelace")
    alice.hears_until("*** Alice is now registered to you.")
    alice.types("the zanzibarmarmalade", "/msg Bob the zanzibarmarmalade", "/join dev", "mine")
    alice.hears_until("*** In #dev (1): Alice")
    bob.hears_until("Alice: the zanzibarmarmalade")
    erased = program("chatservice.accounts", "--database", uri, "erase", "Alice", "--messages")
    assert erased.stdout == b"2 messages erased.\n", erased.stderr
    alice.hears_until("*** Goodbye: your name is no longer registered.")
    bob.hears_until("*** The operator has deleted a message from Alice.")
    bob.types("/search zanzibar", "/history 1")
    bob.hears("*** No messages.", "*** The last message:")
    assert bob.next_line().endswith("*** A message from Alice was deleted by the operator.")
    database = uri.partition("///")[2].partition("?")[0]
    assert "zanzibar" not in cluster.says("SELECT text, words::text FROM events", database)
