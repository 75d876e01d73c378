"""Several servers on one PostgreSQL are one chat: real servers, and a database of their own."""

from tests.support import postgres
from tests.support.nodes import Start
from tests.support.people import HINT, QUESTION, joined, left

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


def test_who_owns_a_name_comes_in_on_any_server(start: Start) -> None:
    """What they had there ends; a guest who has the name gives it up; letters wait for them."""
    one, two = start(), start()
    alice = one.join("Alice")
    alice.types("/register lovelace")
    alice.hears("*** Alice is now registered to you.")
    bob = two.join("Bob")
    alice.hears(joined("Bob"))
    again = two.connect()
    again.hears(QUESTION)
    again.types("Alice", "lovelace")
    again.hears("Password for Alice:", "Welcome Alice, you are connected to the server.", HINT)
    alice.hears_until("*** Goodbye: you logged in elsewhere.")
    assert alice.is_cut_off()
    bob.hears(left("Alice"), joined("Alice"))
    again.types("/exit")
    bob.hears(left("Alice"))
    bob.types("/msg Alice soon?")
    bob.hears_until("[you -> Alice] soon? (will be delivered when Alice returns)")
    back = one.connect()
    back.hears(QUESTION)
    back.types("Alice", "lovelace")
    while "soon?" not in back.next_line():
        pass
