"""The IRC door: what IRC clients see of the chat, and what others see of them."""

import base64
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatservice.dialects.irc.message import Message
from tests.support.irc import NAME, Client, IrcServer
from tests.support.people import QUESTION, Person, joined


@pytest.fixture
def house(tmp_path: Path) -> Iterator[IrcServer]:
    """A server with an IRC door."""
    with IrcServer(tmp_path) as running:
        yield running


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[IrcServer]:
    """The same, with a database, and so with accounts."""
    with IrcServer(tmp_path, "--database", "chat.sqlite3", irc_tls=True) as running:
        yield running


def hears_line(person: Person, wanted: str) -> None:
    while person.next_line() != wanted:
        pass


def two(house: IrcServer) -> tuple[Person, Client]:
    """Sara at the line door, and Wee at that for IRC."""
    sara = house.join("Sara")
    wee = house.irc_join("Wee")
    hears_line(sara, joined("Wee"))
    return sara, wee


def plain(name: str, password: str) -> str:
    return base64.b64encode(f"{name}\0{name}\0{password}".encode()).decode()


def make_operator(house: IrcServer, name: str) -> None:
    """As whoever runs the server does it."""
    program = [sys.executable, "-m", "chatservice.accounts"]
    database = house.log_file.with_name("chat.sqlite3")
    subprocess.run([*program, "--database", str(database), "operator", name], check=True)


def log_in(client: Client, name: str, password: str) -> None:
    client.types("CAP REQ :sasl", "AUTHENTICATE PLAIN")
    client.hears("AUTHENTICATE", "+")
    client.types(f"AUTHENTICATE {plain(name, password)}")


def test_irc_and_nc_share_the_lobby(house: IrcServer) -> None:
    sara = house.join("سارا")
    wee = house.irc_join("Wee")
    assert sara.next_line() == joined("Wee")
    sara.types("سلام")
    assert wee.hears("PRIVMSG", "#lobby", "سلام").source.startswith("سارا!")
    wee.types("PRIVMSG #lobby :hello, you", "PRIVMSG #lobby :\1ACTION waves\1")
    assert sara.next_line() == "Wee: hello, you"
    assert sara.next_line() == "* Wee waves"
    sara.types("/me laughs")
    wee.hears("PRIVMSG", "#lobby", "\1ACTION laughs\1")
    assert wee.commands() == []  # no echo that was not asked for


def test_private_messages_cross_doors(house: IrcServer) -> None:
    sara, wee = two(house)
    sara.types("/msg Wee psst")
    sara.next_line()
    assert wee.hears("PRIVMSG", "Wee", "psst").source.startswith("Sara!")
    wee.types("PRIVMSG Sara :\x0304yes\x03?")
    assert sara.next_line() == "[Wee -> you] yes?"
    wee.types("PRIVMSG Nobody :hi", "NOTICE Nobody :hi")
    wee.hears_next("401", "Nobody", "No such nick")
    assert wee.commands() == []


def test_rooms_are_channels(house: IrcServer) -> None:
    sara, wee = two(house)
    sara.types("/join dev")
    sara.next_line()
    wee.types("JOIN #DEV")
    wee.hears_next("JOIN", "#dev")  # the one canonical form
    names = wee.hears("353").parameters
    assert names[2] == "#dev"
    assert set(names[3].split()) == {"@Sara", "Wee"}
    wee.hears("366")
    hears_line(sara, "*** Wee has joined #dev.")
    sara.types("/topic News of today")
    wee.hears("TOPIC", "#dev", "News of today")
    wee.types("TOPIC #dev :mine", "PRIVMSG #dev :in dev", "PART #dev")
    wee.hears("482")
    hears_line(sara, "Wee: in dev")
    wee.hears("PART", "#dev")
    sara.types("not for Wee")
    wee.types("PRIVMSG #dev :me neither")
    wee.hears_next("404")
    wee.types("LIST")
    assert wee.hears("322", "#dev", "1", "News of today")
    assert "not for Wee" not in str(wee.everything())


def test_a_private_room_is_not_there_for_others(house: IrcServer) -> None:
    owner, other = house.irc_join("Olga"), house.irc_join("Otto")
    owner.types("JOIN #secret", "MODE #secret +i", "PRIVMSG #secret :hush")
    owner.hears("MODE", "#secret", "+i")
    other.everything()
    other.types(
        "JOIN #secret", "LIST", "NAMES #secret", "WHO #secret", "WHOIS Olga", "MODE #secret"
    )
    other.types(
        "CAP REQ :batch draft/chathistory", "CHATHISTORY LATEST #secret * 5", "TOPIC #secret"
    )
    heard = other.everything()
    commands = [message.command for message in heard]
    assert commands[0] == "473"
    assert "322" not in [m.command for m in heard if "#secret" in m.parameters]
    assert not {"353", "352", "324", "332"} & set(commands)
    assert all("#secret" not in m.parameters[-1] for m in heard if m.command == "319")
    assert [m.parameters[1] for m in heard if m.command == "FAIL"] == ["INVALID_TARGET"]
    owner.types("INVITE Otto #secret")
    other.hears("INVITE", "Otto", "#secret")
    other.types("JOIN #secret")
    other.hears("366", "#secret", "End of /NAMES list")
    other.types("CHATHISTORY LATEST #secret * 5")
    other.hears("BATCH")
    assert other.next_message().command == "BATCH"  # what was said before is not theirs


def test_a_line_cut_at_every_byte_arrives_whole(house: IrcServer) -> None:
    wee, other = house.irc_join("Wee"), house.irc_join("Otto")
    wee.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line = "PRIVMSG #lobby :سلام، دنیا\r\n".encode()
    for cut in range(1, len(line)):
        wee.sends(line[:cut])
        wee.sends(line[cut:])
    for byte in line:
        wee.sends(bytes([byte]))
    for _ in range(len(line)):
        other.hears("PRIVMSG", "#lobby", "سلام، دنیا")


def test_8192_bytes_of_persian_are_joined_again(house: IrcServer) -> None:
    sara, wee = house.join("Sara"), house.irc_join("Wee", "server-time message-tags")
    hears_line(sara, joined("Wee"))
    dice = random.Random(4)
    text = "".join(dice.choices("آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی    ", k=4600))[:4600].strip()
    while len(text.encode()) > 8190:
        text = text[:-1].strip()
    sara.types(text)
    pieces: list[str] = []
    while len("".join(pieces)) < len(text):
        pieces.append(wee.hears("PRIVMSG").parameters[1])
    assert "".join(pieces) == text


def test_no_client_is_sent_what_moves_a_cursor(house: IrcServer) -> None:
    """Neither as text, nor as a tag, to whomever it is said."""
    _, wee = two(house)
    tall = house.irc_join("Tall", "message-tags batch draft/multiline")
    other = house.irc_join("Otto", "message-tags batch draft/multiline")
    escape = "\x1b[2J\x9b2J\u202e\x07"
    shown = "\ufffd[2J\ufffd2J\ufffd\ufffd"
    tall.types(
        f"@+draft/reply={escape} PRIVMSG #lobby :{escape}\x02bold\x02 \x0304,12red",
        f"@+x{escape}=y PRIVMSG Otto :\x01ACTION {escape}\x01",
        f"NOTICE Otto :{escape}",
        f"@+draft/react={escape} TAGMSG #lobby",
        "BATCH +1 draft/multiline #lobby",
        f"@batch=1 PRIVMSG #lobby :{escape}\x1dslanted",
        f"@batch=1;draft/multiline-concat PRIVMSG #lobby :{escape}",
        "BATCH -1",
    )
    said = other.hears("PRIVMSG", f"{shown}\x02bold\x02 \x0304,12red")
    assert said.tags["+draft/reply"] == shown
    for person in (other, wee):
        person.types("PING :done")
        while (message := person.next_message()).command != "PONG":
            sent = "".join((*message.parameters, *message.tags, *message.tags.values()))
            assert not set("\x1b\x9b\u202e\x07").intersection(sent), message


def test_no_text_of_a_command_moves_a_cursor(house: IrcServer) -> None:
    """Of topics, farewells, excuses, real names and names, as nc and IRC clients are sent them."""
    sara, wee = two(house)
    wee.types("JOIN #own")
    wee.hears("JOIN", "#own")
    other = house.irc_join("Otto", "message-tags away-notify setname")
    other.types("JOIN #own")
    other.hears("JOIN", "#own")
    sara.types("/join own")
    other.hears("JOIN", "#own")
    escape = "\x1b[2J\x9b2J\u202e\x07"
    wee.types(
        f"AWAY :a{escape}",
        f"SETNAME :b{escape}",
        f"NICK :c{escape}",
        f"INVITE Otto{escape} #own{escape}",
        f"JOIN #d{escape}",
        f"TOPIC #own :e{escape}\x0304red\x0f",
        f"PART #own :f{escape}",
        f"QUIT :g{escape}",
    )
    heard: list[str] = []
    while not heard or "left the chat" not in heard[-1]:
        heard.append(sara.next_line())
    message = other.next_message()
    while message.command != "QUIT":
        heard += message.parameters
        message = other.next_message()
    heard += message.parameters
    for start in "abefg":
        assert any(f"{start}\ufffd[2J\ufffd2J\ufffd\ufffd" in line for line in heard), start
    assert not set("\x1b\x9b\u202e\x07\x03").intersection("".join(heard)), heard


def test_who_is_muted_says_nothing_by_a_farewell_or_a_tag_either(house: IrcServer) -> None:
    sara, wee = two(house)
    other = house.irc_join("Otto", "message-tags setname")
    sara.types("/join dev")
    for client in (wee, other):
        client.types("CAP REQ :message-tags setname", "JOIN #dev")
        client.hears("JOIN", "#dev")
    sara.types("/mute Wee")
    hears_line(sara, "*** Sara has muted Wee.")
    wee.types(
        "PRIVMSG #dev :by text",
        "@+draft/react=tag TAGMSG #dev",
        "SETNAME :by realname",
        "PART #dev :by part",
        "JOIN #dev",
        "QUIT :by quit",
    )
    heard: list[Message] = []
    while not heard or heard[-1].command != "QUIT":
        heard.append(other.next_message())
    assert "by" not in " ".join(word for each in heard for word in each.parameters)
    assert not any(each.command in ("TAGMSG", "PRIVMSG", "SETNAME") for each in heard)


def read_multiline(client: Client) -> str:
    """The next message of several lines, as its client shows it."""
    begins = client.hears("BATCH")
    assert "msgid" in begins.tags
    batch, text = begins.parameters[0][1:], ""
    while (line := client.next_message()).command == "PRIVMSG":
        assert line.tags["batch"] == batch
        text += ("" if "draft/multiline-concat" in line.tags else "\n") + line.parameters[1]
    assert line.parameters == (f"-{batch}",)
    return text[1:]


def test_a_message_of_several_lines(house: IrcServer) -> None:
    sara, wee = two(house)
    caps = "message-tags batch draft/multiline echo-message labeled-response"
    tall, other = house.irc_join("Tall", caps), house.irc_join("Otto", "message-tags")
    hears_line(sara, joined("Otto"))
    tall.types(
        "@label=l BATCH +1 draft/multiline #lobby",
        "@batch=1 PRIVMSG #lobby :one, ",
        "@batch=1;draft/multiline-concat PRIVMSG #lobby :and on",
        "@batch=1 PRIVMSG #lobby :",
        "@batch=1 PRIVMSG #lobby :three",
        "BATCH -1",
    )
    assert sara.next_line() == "Tall: one, and on"
    assert sara.next_line() == "Tall: three"
    assert read_multiline(tall) == "one, and on\n\nthree"
    first, *more = [other.hears("PRIVMSG") for _ in range(3)]
    assert [each.parameters[1] for each in (first, *more)] == ["one, ", "and on", "three"]
    assert "msgid" in first.tags
    assert not any("msgid" in each.tags for each in more)
    assert wee.hears("PRIVMSG", "one, ").tags == {}
    long = " ".join(f"word{number}" for number in range(300))
    sara.types(long)
    assert read_multiline(tall) == long


def test_a_message_of_several_lines_that_cannot_be(house: IrcServer) -> None:
    sara, _ = two(house)
    tall = house.irc_join("Tall", "message-tags batch draft/multiline")
    hears_line(sara, joined("Tall"))
    begin, end, line = "BATCH +1 draft/multiline #lobby", "BATCH -1", "@batch=1 PRIVMSG #lobby :"
    for code, *lines in (
        ("MULTILINE_INVALID", "BATCH +1 draft/other #lobby"),
        ("MULTILINE_INVALID", end),
        ("MULTILINE_INVALID", line + "nothing has begun"),
        ("MULTILINE_INVALID", begin, line, line, end),
        ("MULTILINE_INVALID", begin, line + "\x02", line + "\x0304 ", end),
        ("MULTILINE_INVALID", begin, line + "a", "@batch=1 NOTICE #lobby :b", end),
        ("MULTILINE_INVALID", begin, "@batch=1;draft/multiline-concat PRIVMSG #lobby :a", end),
        ("MULTILINE_INVALID_TARGET", begin, line + "a", "@batch=1 PRIVMSG Sara :b", end),
        ("MULTILINE_MAX_LINES", begin, *[line + "a"] * 101, end),
        ("MULTILINE_MAX_BYTES", begin, *[line + "a" * 400] * 21, end),
    ):
        tall.types(*lines)
        failed = tall.everything()
        assert [each.parameters[:2] for each in failed] == [("BATCH", code)], lines
    tall.types("PRIVMSG #lobby :the only thing that is heard")
    assert sara.next_line() == "Tall: the only thing that is heard"


def test_bad_bytes_cost_nothing_but_an_answer(house: IrcServer) -> None:
    wee = house.irc_join("Wee", "labeled-response batch")
    wee.sends(b"@label=q PRIVMSG #lobby :caf\xe9\r\n")
    failed = wee.hears_next("FAIL")
    assert failed.parameters[:2] == ("*", "INVALID_UTF8")
    assert failed.tags == {"label": "q"}
    wee.sends(b"PRIVMSG #lobby :" + b"x" * 600 + b"\r\n")
    wee.hears_next("417")
    assert wee.commands() == []


def test_no_address_is_shown(house: IrcServer) -> None:
    wee, other = house.irc_join("Wee"), house.irc_join("Otto")
    wee.everything()
    wee.types("WHOIS Otto", "WHO *", "USERHOST Otto", "WHO * %uhni")
    heard = str(wee.everything())
    assert "127.0.0" not in heard
    assert other.commands() == []


def test_a_name_that_is_taken_or_looks_like_one_is_433(house: IrcServer) -> None:
    house.irc_join("Alice")
    for name in ("Alice", "alice", "Аlice"):  # the last begins in Cyrillic
        client = house.irc()
        client.registers(name)
        heard = client.next_message()
        assert heard.command in ("433", "432")
        client.types(f"NICK Free{len(name)}{ord(name[0])}")
        client.hears("001")


def test_capabilities(house: IrcServer) -> None:
    client = house.irc()
    client.types("CAP LS 302")
    offered = client.hears_next("CAP").parameters[-1].split()
    assert {"server-time", "batch", "message-tags", "echo-message"} <= set(offered)
    assert not [cap for cap in offered if cap.startswith(("sasl", "draft/account"))]
    client.types("CAP REQ :server-time nonsense", "CAP REQ :server-time")
    assert client.hears_next("CAP").parameters[1] == "NAK"
    assert client.hears_next("CAP").parameters[1] == "ACK"
    client.registers("Wee")
    client.types("CAP END")
    assert client.hears_next("001").tags["time"].endswith("Z")


def test_echo_and_labels(house: IrcServer) -> None:
    caps = "echo-message labeled-response batch message-tags server-time"
    wee, other = house.irc_join("Wee", caps), house.irc_join("Otto", "message-tags")
    wee.everything()
    wee.types("@label=a;+draft/reply=x PRIVMSG #lobby :hi")
    echo, heard = wee.hears_next("PRIVMSG"), other.hears("PRIVMSG")
    assert echo.tags["label"] == "a"
    assert "label" not in heard.tags
    assert echo.tags["msgid"] == heard.tags["msgid"]
    assert heard.tags["+draft/reply"] == "x"
    wee.types("@label=b PONG")
    assert wee.hears_next("ACK").tags["label"] == "b"
    wee.types("@label=c JOIN #one")
    assert wee.hears_next("BATCH").tags["label"] == "c"


def test_history_is_the_same_as_what_was_heard(house: IrcServer) -> None:
    caps = "server-time message-tags batch echo-message draft/chathistory"
    wee = house.irc_join("Wee", caps)
    wee.everything()
    heard = []
    for number in range(30):
        wee.types(f"PRIVMSG #lobby :message {number}")
        heard.append(wee.hears_next("PRIVMSG"))
    wee.types(f"CHATHISTORY BEFORE #lobby msgid={heard[20].tags['msgid']} 5")
    batch = wee.everything()
    assert [m.command for m in batch] == ["BATCH", *["PRIVMSG"] * 5, "BATCH"]
    for message, before in zip(batch[1:-1], heard[15:20], strict=True):
        assert message.parameters == before.parameters
        assert message.tags["msgid"] == before.tags["msgid"]
        assert message.tags["time"] == before.tags["time"]
    wee.types(f"CHATHISTORY AFTER #lobby timestamp={heard[3].tags['time']} 3")
    batch = wee.everything()
    assert all(m.tags["time"] > heard[3].tags["time"] for m in batch[1:-1])


def test_passwords(kept: IrcServer) -> None:
    owner = kept.irc_join("Olga")
    owner.types("REGISTER * * correcthorse")
    assert owner.hears("REGISTER").parameters[0] == "SUCCESS"
    owner.types("QUIT")
    owner.hears("ERROR")
    thief = kept.irc()
    thief.registers("Olga")
    thief.hears_next("433")
    guesser = kept.irc()
    log_in(guesser, "Olga", "wrong")
    guesser.hears("904")
    by_sasl = kept.irc(tls=True)
    log_in(by_sasl, "Olga", "correcthorse")
    by_sasl.hears("903")
    by_sasl.types("NICK Olga", "USER o 0 * :o", "CAP END")
    by_sasl.hears("001")
    by_sasl.types("WHOIS Olga")
    assert by_sasl.hears("330").parameters[1:3] == ("Olga", "Olga")
    by_pass = kept.irc()
    by_pass.types("PASS Olga:correcthorse")
    by_pass.registers("Olga")
    by_pass.hears("001")
    wrong = kept.irc()
    wrong.types("PASS Olga:wronghorse")
    wrong.registers("Olga")
    wrong.hears("464")
    wrong.hears("ERROR")
    assert wrong.is_cut_off()


def test_a_registered_person_misses_nothing(kept: IrcServer) -> None:
    owner = kept.irc_join("Olga")
    owner.types("REGISTER * * correcthorse")
    owner.hears("900")
    owner.types("QUIT")
    owner.hears("ERROR")
    other = kept.irc_join("Otto")
    other.types("PRIVMSG #lobby :while you were away", "PRIVMSG Olga :for later")
    other.hears("NOTICE")
    back = kept.irc()
    back.types("PASS Olga:correcthorse")
    back.registers("Olga", "server-time batch")
    back.hears("PRIVMSG", "#lobby", "while you were away")
    back.hears("PRIVMSG", "Olga", "for later")


def test_monitor(house: IrcServer) -> None:
    wee = house.irc_join("Wee")
    wee.types("MONITOR + Friend,Wee")
    assert wee.hears("730").parameters[1].startswith("Wee!")
    assert wee.hears("731").parameters[1] == "Friend"
    friend = house.join("Friend")  # at nc
    assert wee.hears("730").parameters[1].startswith("Friend!")
    friend.types("/nick Pal")
    assert wee.hears("731").parameters[1] == "Friend"


def test_many_lines_at_once_keep_their_order(house: IrcServer) -> None:
    wee, other = house.irc_join("Wee"), house.join("Otto")
    wee.types(*(f"PRIVMSG #lobby :{number}" for number in range(500)))
    wee.types("WHOIS Wee", "NICK Woo", "PRIVMSG #lobby :last")
    for number in range(500):
        assert other.next_line() == f"Wee: {number}"
    assert other.next_line() == "*** Wee is now known as Woo."
    assert other.next_line() == "Woo: last"


def test_a_reader_that_stops_harms_nobody_and_misses_nothing(house: IrcServer) -> None:
    total = 3000
    sleeper = house.irc_join("Sleeper")
    speaker = house.irc_join("Speaker", "echo-message")
    text = "x" * 400
    for start in range(0, total, 100):
        speaker.types(*(f"PRIVMSG #lobby :{n} {text}" for n in range(start, start + 100)))
        for _ in range(100):
            speaker.hears("PRIVMSG")
    for number in range(total):
        assert sleeper.hears("PRIVMSG").parameters[1] == f"{number} {text}"


def test_limits_hold_at_this_door_too(tmp_path: Path) -> None:
    options = ("--max-users", "2", "--login-timeout", "1", "--rate", "5:5")
    with IrcServer(tmp_path, *options) as house:
        first = house.irc_join("First")
        silent = house.irc()
        third = house.irc()
        third.hears_next("ERROR")
        assert third.is_cut_off()
        silent.hears_next("ERROR")
        assert silent.is_cut_off()
        first.types(*["PING x"] * 20)
        for _ in range(20):
            first.hears("PONG")


def test_a_guest_of_the_irc_door_is_like_any_other(house: IrcServer) -> None:
    sara, wee = two(house)
    sara.types("/who", "/whois Wee")
    assert "Wee" in sara.next_line()
    assert "Wee" in sara.next_line()
    wee.types("QUIT :bye")
    wee.hears("ERROR")
    assert wee.is_cut_off()
    hears_line(sara, "*** Wee has left the chat.")


def test_the_server_says_goodbye(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with IrcServer(tmp_path) as house:
        wee = house.irc_join("Wee")
        house.process.terminate()
        monkeypatch.setattr(house, "stop", lambda: house.process.wait(10))
        wee.hears("ERROR")
        assert wee.is_cut_off()


def test_nonsense_is_answered_and_costs_nothing(house: IrcServer) -> None:
    wee = house.irc_join("Wee")
    wee.sends(b"\r\n \r\n:x\r\nNOSUCH\r\nJOIN\r\nJOIN nochannel\r\nMODE #lobby +k x\r\n")
    assert wee.commands() == ["421", "461", "403", "472"]
    early = house.irc()
    early.types("JOIN #x", "PRIVMSG #x :y")
    early.hears_next("451")
    early.hears_next("451")


def test_several_servers_are_one_to_those_who_chat(house: IrcServer) -> None:
    wee = house.irc_join("Wee")
    wee.types("LINKS", "LINKS chat.*")
    assert wee.hears_next("365").parameters[1] == "*"
    assert wee.hears_next("365").parameters[1] == "chat.*"


def test_both_doors_at_once(house: IrcServer) -> None:
    assert house.connect().next_line() == QUESTION
    client = house.irc()
    client.registers("Wee")
    assert client.hears_next("001").source == NAME


def test_a_person_at_two_doors_is_one(kept: IrcServer) -> None:
    """Both of their connections are in the same rooms."""
    phone = kept.irc_join("Olga")
    phone.types("REGISTER * * correcthorse")
    phone.hears("900")
    desk = kept.irc()
    desk.types("PASS Olga:correcthorse")
    desk.registers("Olga")
    desk.hears("366")
    phone.everything()
    desk.types("JOIN #both", "PRIVMSG #both :from the desk")
    assert phone.hears_next("JOIN", "#both").source.startswith("Olga!")
    assert phone.hears_next("353").parameters[-1] == "~Olga"
    phone.hears_next("366")
    phone.hears_next("PRIVMSG", "#both", "from the desk")
    desk.everything()
    desk.types("PART #both :done")
    phone.hears_next("PART", "#both")
    assert phone.commands() == []


def test_a_password_that_others_could_hear_is_refused(tmp_path: Path) -> None:
    options = ("--database", "chat.sqlite3", "--proxy-protocol", "127.0.0.1")
    with IrcServer(tmp_path, *options) as house:
        client = house.irc()
        client.sends(b"PROXY TCP4 203.0.113.5 127.0.0.1 4000 6667\r\n")
        client.types("CAP LS 302", "PASS Olga:correcthorse")
        assert "sasl" not in client.hears_next("CAP").parameters[-1]
        refused = client.hears_next("FAIL")
        assert refused.parameters[:2] == ("PASS", "PASSWORD_IN_CLEAR")
        client.registers("Olga")
        client.types("CAP END")
        client.hears("001")


def test_farewells(house: IrcServer) -> None:
    wee, other = house.irc_join("Wee"), house.irc_join("Otto")
    wee.types("JOIN #a")
    other.types("JOIN #a")
    other.hears("366", "#a", "End of /NAMES list")
    wee.types("PART #a :see you")
    other.hears("PART", "#a", "see you")
    wee.types("QUIT :bye")
    other.hears("QUIT", "Quit: bye")


def test_a_notice_and_colours_among_irc_clients(house: IrcServer) -> None:
    sara = house.join("Sara")
    wee, other = house.irc_join("Wee"), house.irc_join("Otto")
    hears_line(sara, joined("Otto"))
    wee.everything()
    wee.types("NOTICE #lobby :\x02bold\x02 words", "PRIVMSG Otto :\1VERSION\1")
    other.hears("NOTICE", "#lobby", "\x02bold\x02 words")
    other.hears("PRIVMSG", "Otto", "\1VERSION\1")
    assert sara.next_line() == "Wee: bold words"
    assert wee.commands() == []


def test_the_welcome_waits_for_nobody(tmp_path: Path) -> None:
    """Not even where nobody hears of an arrival."""
    with IrcServer(tmp_path, "--irc-no-lobby") as house:
        client = house.irc()
        client.registers("Wee")
        client.hears("422")
        client.types("LIST")
        client.hears_next("321")
        client.hears_next("323")


def test_a_class_comes_into_a_new_room_at_one_moment(house: IrcServer) -> None:
    pupils = [house.irc_join(f"Pupil{chr(ord('a') + n // 10)}{n % 10}x") for n in range(40)]
    for pupil in pupils:
        pupil.types("JOIN #lesson")
    for pupil in pupils:
        pupil.hears("366", "#lesson", "End of /NAMES list")


def test_those_in_charge_kick(house: IrcServer) -> None:
    sara, wee = two(house)
    eve, bob = house.irc_join("Eve"), house.irc_join("Bob")
    for person in (wee, eve, bob):
        person.types("JOIN #dev")
        person.hears("366", "#dev", "End of /NAMES list")
    sara.types("/join dev")
    hears_line(sara, "*** In #dev (4): Bob, Eve, Sara, Wee")
    eve.types("KICK #dev Bob")
    eve.hears("482", "#dev", "You're not a channel operator")
    wee.types("KICK #dev Eve,Bob :\x1b[2Jspam\x02!", "KICK #dev Eve", "KICK #dev Nobody")
    for heard in (wee, eve):
        kicked = heard.hears("KICK", "#dev", "Eve", "\ufffd[2Jspam!")
        assert kicked.source.startswith("Wee!")
    bob.hears("KICK", "#dev", "Bob", "\ufffd[2Jspam!")
    wee.hears("441", "Eve", "#dev", "They aren't on that channel")
    wee.hears("401", "Nobody", "No such nick")
    hears_line(sara, "*** Wee has removed Eve: \ufffd[2Jspam!")
    assert "PART" not in eve.commands()
    eve.types("PRIVMSG #dev :still here?", "JOIN #dev")
    eve.hears("404")
    eve.hears("JOIN", "#dev")
    sara.types("/kick Eve")
    eve.types("KICK #dev Wee")
    assert "KICK" not in eve.commands()


def test_a_ban_is_a_mode(house: IrcServer) -> None:
    sara, wee = two(house)
    sara.types("/join dev")
    eve = house.irc_join("Eve")
    for person in (wee, eve):
        person.types("JOIN #dev")
        person.hears("366", "#dev", "End of /NAMES list")
    wee.types("MODE #dev +b Eve", "MODE #dev b")
    wee.hears("482")
    wee.hears_next("368", "#dev", "Only those in charge see the bans")
    sara.types("/ban Eve 2h noise")
    assert wee.hears("MODE", "#dev", "+b", "Eve!*@*").source.startswith("Sara!")
    for heard in (wee, eve):
        heard.hears("KICK", "#dev", "Eve", "noise")
    eve.types("JOIN #dev")
    assert "you are banned from #dev" in eve.hears("474").parameters[-1]
    eve.types("NAMES #dev", "WHO #dev", "WHOIS Wee", "MODE #dev", "TOPIC #dev")
    heard_of = [m for m in eve.everything() if m.command in ("353", "352", "319", "324", "331")]
    assert "#dev" not in str([m for m in heard_of if m.command != "331"])
    assert "331" not in [m.command for m in heard_of]


def test_masks(house: IrcServer) -> None:
    wee, eve, bob = (house.irc_join(name) for name in ("Wee", "Eve", "Bob"))
    for person in (wee, eve, bob):
        person.types("JOIN #dev")
        person.hears("366", "#dev", "End of /NAMES list")
    dear = "*" * 11 + "Eve"  # nobody needs so many stars, and each takes time
    for mask in ("*!*@*", "*!*@*.guest", "*!*@1.2.3.4", "E?e!*@x", dear, "?" * 121 + "*"):
        wee.types(f"MODE #dev +b {mask}")
        assert wee.hears("696").parameters[1:4] == ("#dev", "b", mask)
    assert "MODE" not in bob.commands()
    wee.types("MODE #dev +o Bob", "MODE #dev +o Nobody")  # there are no accounts here
    wee.hears("696", "#dev", "o", "Bob", "Only somebody who has registered can be an operator")
    wee.hears("401", "Nobody", "No such nick")
    wee.types("MODE #dev +b m:Bob", "MODE #dev +b *!eve@*", "MODE #dev +bb Zoe Kim!*@*")
    wee.hears("MODE", "#dev", "+b", "m:Bob!*@*")
    wee.hears("MODE", "#dev", "+b", "Eve!*@*")  # the only one whom it fits
    wee.hears("KICK", "#dev", "Eve", "Wee")
    wee.hears("MODE", "#dev", "+b", "Zoe!*@*")
    wee.hears("MODE", "#dev", "+b", "Kim!*@*")
    bob.types("PRIVMSG #dev :can you hear me?")
    assert "you are muted in #dev" in bob.hears("404").parameters[-1]
    wee.types("MODE #dev b")
    listed = [message.parameters[2] for message in wee.everything() if message.command == "367"]
    assert listed == ["m:Bob!*@*", "Eve!*@*", "Zoe!*@*", "Kim!*@*"]
    wee.types("MODE #dev -b Eve!*@*", "MODE #dev -b m:Bob", "MODE #dev -b Eve")
    wee.hears("MODE", "#dev", "-b", "Eve!*@*")
    wee.hears("MODE", "#dev", "-b", "m:Bob!*@*")
    wee.hears("696", "Eve", "Eve is not banned there.")
    bob.types("PRIVMSG #dev :now?")
    wee.hears("PRIVMSG", "#dev", "now?")


def test_operators_of_a_room(kept: IrcServer) -> None:
    olga, otto = kept.irc_join("Olga"), kept.irc_join("Otto")
    for person in (olga, otto):
        person.types("JOIN #dev")
        person.hears("366", "#dev", "End of /NAMES list")
    olga.types("MODE #dev +o Otto", "MODE #dev +o Nobody")
    olga.hears("696", "Otto", "Only somebody who has registered can be an operator")
    olga.hears("401", "Nobody", "No such nick")
    for person in (olga, otto):
        person.types("REGISTER * * secret-word")
        person.hears("REGISTER")
    otto.types("NICK Ottokar")
    olga.hears("NICK", "Ottokar")
    olga.types("MODE #dev +o Ottokar")
    for person in (olga, otto):
        person.hears("MODE", "#dev", "+o", "Ottokar")
    guest = kept.irc_join("Gast")
    guest.types("JOIN #dev")
    assert set(guest.hears("353").parameters[-1].split()) >= {"~Olga", "@Ottokar"}
    guest.types("WHOIS Ottokar")
    assert "@#dev" in guest.hears("319").parameters[-1]
    otto.types("KICK #dev Olga", "MODE #dev -o Olga", "MODE #dev +o Gast", "TOPIC #dev :mine")
    otto.hears("482", "#dev", "Olga is in charge, too.")
    otto.hears("482", "#dev", "only the founder of #dev can do that.")
    otto.hears("TOPIC", "#dev", "mine")
    otto.types("MODE #dev +i", "INVITE Gast #dev", "KICK #dev Gast", "INVITE Gast #dev")
    otto.hears("MODE", "#dev", "+i")
    otto.hears("KICK", "#dev", "Gast", "Ottokar")
    otto.hears("341")
    olga.types("MODE #dev -o Otto")
    otto.hears("MODE", "#dev", "-o", "Ottokar")


def test_operators_of_the_server(kept: IrcServer) -> None:
    boss = kept.irc_join("Boss")
    boss.types("REGISTER * * secret-word")
    boss.hears("REGISTER")
    make_operator(kept, "Boss")
    boss.hears("381")
    boss.hears("MODE", "Boss", "+o")
    boss.types("QUIT")
    eve = kept.irc_join("Eve")
    eve.types("OPER Boss wrong-word", "OPER Nobody secret-word", "KILL Eve", "WALLOPS :hi")
    eve.hears_next("464")
    eve.hears_next("464")
    eve.hears_next("481")
    eve.hears_next("481")
    chief = kept.irc_join("Chief")
    chief.types("OPER Boss secret-word", "MODE Chief", "WHOIS Chief", "KICK #lobby Chief")
    chief.hears("381")
    chief.hears("MODE", "Chief", "+o")
    chief.hears("221", "+o")
    chief.hears("313")
    chief.hears("482", "#lobby", "Chief is in charge, too.")
    chief.types("KILL Eve :\x1b]0;x\x07enough", "KILL Nobody", "WALLOPS :done")
    chief.hears("QUIT", "Removed by Chief: \ufffd]0;x\ufffdenough")
    chief.hears("401")
    chief.hears("WALLOPS", "done")
    killed = eve.hears("KILL", "Eve", "Killed (Chief (\ufffd]0;x\ufffdenough))")
    assert killed.source.startswith("Chief!")
    eve.hears("ERROR")
    chief.types("MODE #lobby +b Ann")
    chief.hears("MODE", "#lobby", "+b", "Ann!*@*")
    ann = kept.irc()
    ann.registers("Ann")
    ann.hears("465", "you are banned from #lobby.")
    ann.hears("ERROR")


def test_guesses_at_an_operators_password_are_counted(kept: IrcServer) -> None:
    boss = kept.irc_join("Boss")
    boss.types("REGISTER * * secret-word")
    boss.hears("REGISTER")
    make_operator(kept, "Boss")
    boss.hears("381")
    boss.types("QUIT")
    eve = kept.irc_join("Eve", "standard-replies")
    for _ in range(30):
        eve.types("OPER Boss wrong-word")
        while (answer := eve.next_message()).command not in ("464", "FAIL"):
            pass
        if answer.command == "FAIL":
            break
    assert answer.parameters[:2] == ("OPER", "TOO_OFTEN")
    eve.types("OPER Boss secret-word")
    eve.hears("FAIL")


def test_redact_deletes_a_message_for_everyone(house: IrcServer) -> None:
    caps = "draft/message-redaction message-tags echo-message standard-replies"
    wee, otto, eve = (
        house.irc_join("Wee", caps),
        house.irc_join("Otto", caps),
        house.irc_join("Eve", "message-tags"),
    )
    person = house.join("Nancy")
    wee.everything()
    wee.types("PRIVMSG #lobby :oops")
    msgid = wee.hears_next("PRIVMSG").tags["msgid"]
    otto.hears("PRIVMSG", "#lobby", "oops")
    otto.types(f"REDACT #lobby {msgid}", "REDACT #lobby nonsense", f"REDACT #nowhere {msgid}")
    codes = [message.parameters[:2] for message in otto.everything()]
    assert codes == [
        ("REDACT", "REDACT_FORBIDDEN"),
        ("REDACT", "UNKNOWN_MSGID"),
        ("REDACT", "INVALID_TARGET"),
    ]
    wee.types(f"REDACT #lobby {msgid} :typo")
    for each in (wee, otto):
        redacted = each.hears_next("REDACT", "#lobby", msgid)
        assert redacted.source.startswith("Wee!")
    eve.hears("PRIVMSG", "#lobby", "oops")
    eve.hears_next("NOTICE", "#lobby", "Wee has deleted a message.")
    person.hears("Wee: oops", "*** Wee has deleted a message.")
    wee.types(f"REDACT #lobby {msgid}")
    assert wee.hears_next("FAIL").parameters[:2] == ("REDACT", "UNKNOWN_MSGID")


def test_redact_deletes_all_lines_of_a_message(house: IrcServer) -> None:
    caps = "draft/message-redaction message-tags echo-message batch draft/multiline"
    wee = house.irc_join("Wee", caps)
    person = house.join("Nancy")
    wee.everything()
    wee.types(
        "BATCH +1 draft/multiline #lobby",
        "@batch=1 PRIVMSG #lobby :one",
        "@batch=1 PRIVMSG #lobby :two",
        "BATCH -1",
    )
    msgid = wee.hears_next("BATCH").tags["msgid"]
    wee.hears_next("PRIVMSG", "#lobby", "one")
    wee.types(f"REDACT #lobby {msgid}")
    wee.hears("REDACT")
    wee.hears_next("REDACT")
    person.hears("Wee: one", "Wee: two", *["*** Wee has deleted a message."] * 2)
    person.types("/history")
    person.hears("*** The last 2 messages:")
    for _ in range(2):
        assert person.next_line().endswith("*** A message from Wee was deleted.")
