"""Several servers on one PostgreSQL: what dies, hangs or is away, and what is wanted at once."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatservice.control.shell import Shell
from tests.server.test_hooks import hooks, post
from tests.support import postgres
from tests.support.nodes import Node, Start
from tests.support.people import PATIENCE, QUESTION, Person, Server, joined
from tests.support.postgres import Cluster
from tests.support.programs import Program, join
from tests.support.quick_passwords import QUICKLY
from tests.support.websockets import WEB, web_port

pytestmark = [pytest.mark.faults, postgres.NEEDS_POSTGRES]
SILENT_SECONDS, LEASE_SECONDS = 2.0, 10.0  # see storage.postgres.commits
LONG = os.environ.get("CHAT_FAULTS") == "long"


def test_a_server_that_dies_is_noticed_once(start: Start) -> None:
    """Its people are told of as gone, their names are free, and nothing that was said is lost."""
    one, two, three = start(), start(), start()
    alice, bob = one.join("Alice"), two.join("Bob")
    carol = three.join("Carol")
    alice.hears(joined("Bob"), joined("Carol"))
    bob.hears(joined("Carol"))
    alice.types("last words")
    for person in (bob, carol):
        person.hears("Alice: last words")
    one.killed = True
    one.process.kill()
    one.process.wait(PATIENCE)
    begun = time.monotonic()
    for person in (bob, carol):
        person.hears("*** Alice has left the chat (connection lost).")
    assert time.monotonic() - begun < SILENT_SECONDS + LEASE_SECONDS + 3
    again = two.join("Alice")
    bob.hears(joined("Alice"))
    carol.hears(joined("Alice"))
    again.types("/search words")
    assert [again.next_line() for _ in range(2)][-1].endswith("Alice: last words")


@pytest.fixture
def operated(tmp_path: Path, uri: str) -> Iterator[Server]:
    """A server of the chat with an operator's socket, ``operator``."""
    options = ("--database", uri, "--control", "operator")
    with Node(tmp_path, *options, runner=QUICKLY) as server:
        yield server


def test_a_server_that_was_taken_for_dead_begins_anew(
    operated: Server, start: Start, tmp_path: Path
) -> None:
    """It knows again what it has known: also who is banned."""
    one, two = operated, start()
    alice, bob = one.join("Alice"), two.join("Bob")
    alice.hears(joined("Bob"))
    with Shell(str(tmp_path / "operator")) as shell:
        shell.ask("ban", name="Eve")
        for person in (alice, bob):
            person.hears("*** The operator has banned Eve in the whole chat.")
    one.process.send_signal(signal.SIGSTOP)
    try:
        bob.socket.settimeout(20)
        bob.hears("*** Alice has left the chat (connection lost).")
        alice.types("nobody hears that")
    finally:
        one.process.send_signal(signal.SIGCONT)
    before = alice.hears_until("*** The server is shutting down. Goodbye.")
    assert all(line.startswith(("Error: ", "*** Messages are not being saved")) for line in before)
    assert alice.is_cut_off()
    again = one.join("Alice")
    bob.hears(joined("Alice"))
    again.types("I am back")
    bob.hears("Alice: I am back")
    with Shell(str(tmp_path / "operator")) as shell:
        assert [ban["name"] for ban in shell.ask("bans")["bans"]] == ["Eve"]


def test_postgresql_is_killed_and_comes_back(start: Start, cluster: Cluster) -> None:
    """People are told, and nothing is shown or taken meanwhile; then it goes on."""
    one, two = start(), start()
    alice, bob = one.join("Alice"), two.join("Bob")
    alice.hears(joined("Bob"))
    alice.types("before")
    bob.hears("Alice: before")
    cluster.kill()
    try:
        bob.types("in the dark")
        for person in (alice, bob):
            line = person.next_line()
            assert line.startswith("*** Messages are not being saved at the moment"), line
        alice.types("not now")
        assert alice.next_line().startswith("Error: ")
    finally:
        cluster.start()
    for person in (alice, bob):
        lines = [person.next_line()]
        if person is alice:
            lines.append(person.next_line())
            assert "Bob: in the dark" in lines
        assert any("again" in line for line in lines), lines
    bob.types("after")
    alice.hears("Bob: after")


def test_the_same_name_on_all_servers_at_once(start: Start, cluster: Cluster) -> None:
    """One has it, whatever is done at the same time; and in the end all agree on who is here."""
    nodes = [start() for _ in range(3)]
    rounds, winners = (1000 if LONG else 60), 0
    stay = nodes[0].join("Zoe")
    for number in range(rounds):
        people = [node.connect() for node in nodes]
        for person in people:
            person.hears(QUESTION)
        for person, name in zip(people, ("Ivan", "IVAN", "lvan"), strict=True):
            person.types(f"{name}{chr(97 + number % 26)}")
        answers = [person.next_line() for person in people]
        won = [answer for answer in answers if answer.startswith("Welcome")]
        assert len(won) == 1, answers
        winners += 1
        for person in people:
            person.leaves()
    assert winners == rounds
    deadline = time.monotonic() + PATIENCE
    everyone = ""
    while time.monotonic() < deadline:
        stay.types("/who")
        while not (everyone := stay.next_line()).startswith("*** Online"):
            pass
        if everyone == "*** Online (1): Zoe":
            break
        time.sleep(0.1)
    assert everyone == "*** Online (1): Zoe"


def test_many_talk_on_three_servers(start: Start) -> None:
    """One order for all, nothing lost, nothing doubled; whichever server they are on."""
    nodes = [start() for _ in range(3)]
    size, lines = 30, (400 if LONG else 60)
    people: list[Person] = []
    for number in range(size):
        people.append(nodes[number % 3].join(f"P{number:02}x"))
    heard: list[list[str]] = [[] for _ in people]

    def listen(index: int) -> None:
        wanted = (size - 1) * lines
        while len(heard[index]) < wanted:
            line = people[index].next_line()
            if not line.startswith("***"):
                heard[index].append(line)

    def talk(index: int) -> None:
        for number in range(lines):
            people[index].types(f"line {number}")
            time.sleep(random.random() * 0.02)

    threads = [threading.Thread(target=listen, args=(i,)) for i in range(size)]
    threads += [threading.Thread(target=talk, args=(i,)) for i in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    everything = sorted({line for lines in heard for line in lines})
    assert len(everything) == size * lines
    whole = sorted(everything)
    place = {line: number for number, line in enumerate(heard[0])}
    for index, mine in enumerate(heard):
        own = f"P{index:02}x: "
        assert sorted(mine) == [line for line in whole if not line.startswith(own)]
        shared = [place[line] for line in mine if line in place]
        assert shared == sorted(shared)


def test_talk_goes_on_while_postgresql_is_killed_again_and_again(
    start: Start, cluster: Cluster
) -> None:
    """What was heard by one is heard by all, once and in one order."""
    one, two = start(), start()
    alice, bob, carol = one.join("Alice"), one.join("Bob"), two.join("Carol")
    alice.hears_until(joined("Carol"))
    bob.hears_until(joined("Carol"))
    heard: dict[str, list[str]] = {"Bob": [], "Carol": []}
    over = threading.Event()

    def talk() -> None:
        number = 0
        while not over.is_set():
            alice.types(f"n{number}")
            number += 1
            time.sleep(0.01)

    def listen(name: str, person: Person) -> None:
        while True:
            line = person.next_line()
            if line == "Alice: the end":
                return
            if line.startswith("Alice: "):
                heard[name].append(line)

    threads = [threading.Thread(target=talk)]
    threads += [
        threading.Thread(target=listen, args=each) for each in (("Bob", bob), ("Carol", carol))
    ]
    for thread in threads:
        thread.start()
    for _ in range(6 if LONG else 3):
        time.sleep(1)
        cluster.kill()
        time.sleep(0.3)
        cluster.start()
        time.sleep(2)
    over.set()
    threads[0].join()
    time.sleep(3)
    alice.types("the end")
    for thread in threads[1:]:
        thread.join(PATIENCE)
    assert heard["Bob"] == heard["Carol"]
    assert len(heard["Bob"]) == len(set(heard["Bob"])) > 100
    numbers = [int(line.removeprefix("Alice: n")) for line in heard["Bob"]]
    assert numbers == sorted(numbers)


def test_a_private_message_to_somebody_whose_server_dies(start: Start) -> None:
    """It waits for them, or there is an error: nobody is told that it was sent."""
    one, two = start(), start()
    alice = one.join("Alice")
    two.join("Bob")
    carol = two.join("Carol")
    carol.types("/register lovelace")
    carol.hears("*** Carol is now registered to you.")
    alice.hears(joined("Bob"), joined("Carol"))
    two.killed = True
    two.process.kill()
    two.process.wait(PATIENCE)
    alice.types("/msg Bob are you there?", "/msg Carol are you there?")
    answers: list[str] = []
    while len(answers) < 2:
        line = alice.next_line()
        if "has left the chat" not in line and "have left the chat" not in line:
            answers.append(line)
    assert answers[0] == "Error: nobody here is called Bob.", answers
    assert answers[1] == "[you -> Carol] are you there? (will be delivered when Carol returns)"


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_standby_is_promoted(tmp_path: Path, synchronous: bool) -> None:
    """What was heard is in its log if it was synchronous; otherwise ids start over."""
    primary = Cluster()
    try:
        standby = Cluster(primary=primary, name="two")
        try:
            if synchronous:
                primary.says("ALTER SYSTEM SET synchronous_standby_names = 'two'")
                primary.says("SELECT pg_reload_conf()")
            promote(primary, standby, tmp_path, synchronous)
        finally:
            standby.stop()
    finally:
        primary.stop()


def promote(primary: Cluster, standby: Cluster, folder: Path, synchronous: bool) -> None:
    uri = primary.new_database()
    hosts = f"host={primary.folder},{standby.folder}"
    uri = uri.replace(f"host={primary.folder}", hosts) + "&target_session_attrs=read-write"
    with ExitStack() as servers:
        nodes = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            nodes.append(servers.enter_context(Node(folder / name, "--database", uri)))
        alice, bob = (node.join(name) for node, name in zip(nodes, ("Alice", "Bob"), strict=True))
        alice.hears(joined("Bob"))
        bob.types(*(f"b{number}" for number in range(100)))
        alice.hears(*(f"Bob: b{number}" for number in range(100)))
        primary.kill()
        standby.promote()
        if not synchronous:  # they say goodbye, and begin anew
            for person in (alice, bob):
                person.hears_until("*** The server is shutting down. Goodbye.")
            nodes[0].wait_for_log("ids start over")
            return
        bob.types("after")
        alice.hears_until("Bob: after")
        nodes[0].wait_for_log("synchronous_standby_names is empty")
        alice.types("/search b99")
        found = [alice.next_line() for _ in range(2)]
        assert found[-1].endswith("Bob: b99")


def test_all_of_a_server_that_is_killed_come_back_at_once(
    start: Start, cluster: Cluster, uri: str
) -> None:
    """With their tokens, elsewhere: nobody hears that they had gone, and nothing is lost."""
    one, two, three = start(), start(), start()
    count = 2000 if LONG else 300
    bob = two.join("Bob")
    robots = {f"R{number:04}x": Program(one.connect()) for number in range(count)}
    for name, robot in robots.items():
        robot.asks("hello", name=name)
    tokens = {name: robot.hears("welcome", name=name)["token"] for name, robot in robots.items()}
    database = uri.partition("///")[2].partition("?")[0]
    while int(cluster.says("SELECT count(*) FROM tokens", database)) < count:
        time.sleep(0.05)  # they are saved soon after the welcome
    bob.types("before")
    for robot in robots.values():
        while '"before"' not in robot.person.next_line():
            pass
    one.killed = True
    one.process.kill()
    one.process.wait(PATIENCE)
    begun = time.monotonic()
    back = {}
    for index, name in enumerate(robots):
        back[name] = Program((two, three)[index % 2].connect())
        back[name].asks("hello", name=name, token=tokens[name])
    for name, robot in back.items():
        robot.hears("welcome", name=name)
    lasted = time.monotonic() - begun
    print(f"{count} came back in {lasted:.1f} s")
    deadline = time.monotonic() + PATIENCE
    while "is gone; its people have left" not in two.log + three.log:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    last = back[max(back)]
    last.asks("say", text="here we are")
    told = bob.hears_until(f"{max(back)}: here we are")
    # Who comes back too late is told of as gone, and comes in anew.
    assert lasted > SILENT_SECONDS or not [line for line in told if "left" in line]
    for robot in back.values():
        while robot is not last and '"here we are"' not in robot.person.next_line():
            pass
    bob.types("/who")
    assert bob.next_line().startswith(f"*** Online ({count + 1}):")


def test_nobody_types_for_ever_whose_server_is_stopped(start: Start) -> None:
    one, two = start(), start()
    alice, bob = join(one, "Alice"), join(two, "Bob")
    alice.hears("joined")
    alice.asks("typing", on=True)
    bob.hears("typing", name="Alice", on=True)
    begun = time.monotonic()
    one.process.send_signal(signal.SIGSTOP)
    try:
        bob.hears("typing", name="Alice", on=False)
        print(f"forgotten after {time.monotonic() - begun:.1f} s")
        assert bob.hears("left")["names"] == ["Alice"]
    finally:
        one.process.send_signal(signal.SIGCONT)


def test_who_is_typing_is_no_harm_while_the_database_is_away(
    start: Start, cluster: Cluster
) -> None:
    one, two = start(), start()
    alice, bob = join(one, "Alice"), join(two, "Bob")
    alice.hears("joined")
    cluster.kill()
    try:
        alice.asks("typing", on=True)
        for program in (alice, bob):
            program.hears("saving", on=False)
    finally:
        cluster.start()
    for program in (alice, bob):
        program.hears("saving", on=True)
    alice.asks("say", text="back")
    bob.hears("said", text="back")


def test_a_hook_is_answered_as_things_are_when_the_database_hesitates(
    tmp_path: Path, uri: str, cluster: Cluster
) -> None:
    """A program that is told that its message was not saved says it again."""
    with Node(tmp_path, "--web", WEB, "--database", uri) as server:
        path = hooks(uri, "add", "build", "lobby").strip()
        alice = server.join("Alice")
        name = uri.partition("///")[2].partition("?")[0]
        held = threading.Thread(
            target=cluster.says,
            args=("BEGIN; SELECT FROM marks FOR UPDATE; SELECT pg_sleep(4)", name),
        )
        held.start()
        time.sleep(0.5)  # no mark can be committed, as if a standby did not answer
        assert post(web_port(server), path, b'{"text": "Done"}') == (200, "ok")
        held.join()
        assert alice.next_line().startswith("*** Messages are not being saved at the moment")
        alice.hears_until("build[bot]: Done")
        alice.hears("*** Messages are being saved again.")
        cluster.kill()
        try:
            assert post(web_port(server), path, b'{"text": "Lost"}')[0] == 503
        finally:
            cluster.start()
        deadline = time.monotonic() + PATIENCE
        while post(web_port(server), path, b'{"text": "After"}')[0] == 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        alice.hears_until("build[bot]: After")
