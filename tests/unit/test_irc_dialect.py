"""What happens in the chat, as IRC clients read it."""

import random

import pytest

from chatservice.core.drafts import Entry
from chatservice.core.events import (
    ALL_ROOMS,
    AccountChanged,
    Answered,
    Banned,
    Burst,
    Change,
    Emoted,
    ErrorCode,
    Invited,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    Refusal,
    Refused,
    Removed,
    Renamed,
    Replayed,
    ReplayReason,
    Role,
    RoleChanged,
    Said,
    Style,
    Told,
    TopicChanged,
    Typing,
)
from chatservice.dialects.irc.capabilities import IN_ROOMS, Cap
from chatservice.dialects.irc.dialect import (
    Facts,
    Irc,
    Personal,
    Scene,
    SharedDialects,
    plain_text,
)
from chatservice.dialects.irc.message import MAX_LINE, parse

FACTS = Facts("user", "host.guest", "", "Real Name")
SCENE = Scene("chat.test", lambda: "epoch", lambda name: FACTS, lambda: 0.0)
MEMBER = SCENE._replace(facts=lambda name: FACTS._replace(account="acc"))
PLAIN = Irc(SCENE, frozenset())
FULL = Irc(MEMBER, IN_ROOMS - {Cap.MULTILINE})


def personal(*caps: Cap) -> Personal:
    return Personal(SharedDialects(SCENE).for_caps(caps), lambda: "me", frozenset(caps))


def text_of(line: bytes) -> str:
    message = parse(line)
    assert message is not None
    return message.parameters[-1]


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            Burst(5, 0.0, "dev", "a", ("one", "two three")),
            [":a!user@host.guest PRIVMSG #dev :one", ":a!user@host.guest PRIVMSG #dev :two three"],
        ),
        (
            Emoted(5, 0.0, "dev", "a", "waves"),
            [":a!user@host.guest PRIVMSG #dev :\1ACTION waves\1"],
        ),
        (
            Joined(5, 0.0, "lobby", ("a", "b"), True, ("lobby", "dev")),
            [
                ":a!user@host.guest JOIN #lobby",
                ":a!user@host.guest JOIN #dev",
                ":b!user@host.guest JOIN #lobby",
                ":b!user@host.guest JOIN #dev",
            ],
        ),
        (Left(5, 0.0, "dev", ("a",), LeaveReason.PARTED), [":a!user@host.guest PART #dev"]),
        (Left(5, 0.0, "dev", ("a",), LeaveReason.LEFT), [":a!user@host.guest QUIT :Quit"]),
        (
            Left(5, 0.0, "dev", ("a",), LeaveReason.LOST),
            [":a!user@host.guest QUIT :Connection lost"],
        ),
        (Renamed(5, 0.0, "dev", "a", "b"), [":a!user@host.guest NICK b"]),
        (TopicChanged(5, 0.0, "dev", "a", "news"), [":a!user@host.guest TOPIC #dev :news"]),
        (TopicChanged(5, 0.0, "dev", "a", ""), [":a!user@host.guest TOPIC #dev :"]),
        (ModeChanged(5, 0.0, "dev", "a", True), [":a!user@host.guest MODE #dev +i"]),
        (ModeChanged(5, 0.0, "dev", "a", False), [":a!user@host.guest MODE #dev -i"]),
        (Typing("a", True, "dev"), []),
        (
            Left(5, 0.0, "dev", ("b", "c"), LeaveReason.PARTED, by="a", why="spam"),
            [
                ":a!user@host.guest KICK #dev b :spam",
                ":a!user@host.guest KICK #dev c :spam",
            ],
        ),
        (
            Left(5, 0.0, "dev", ("b",), LeaveReason.PARTED, by="*"),
            [":chat.test KICK #dev b :chat.test"],
        ),
        (
            Left(5, 0.0, "lobby", ("b",), LeaveReason.LEFT, by="a", why="spam"),
            [":b!user@host.guest QUIT :Removed by a: spam"],
        ),
        (
            RoleChanged(5, 0.0, "dev", "b", "a", Role.OPERATOR),
            [":a!user@host.guest MODE #dev +o b"],
        ),
        (
            RoleChanged(5, 0.0, "dev", "b", "a", Role.MEMBER),
            [":a!user@host.guest MODE #dev -o b"],
        ),
        (
            RoleChanged(5, 0.0, "dev", "b", "*", Role.FOUNDER),
            [":chat.test MODE #dev +q b"],
        ),
        (Banned(5, 0.0, "dev", "b", "a"), [":a!user@host.guest MODE #dev +b b!*@*"]),
        (Muted(5, 0.0, "dev", "b", "a", False), [":a!user@host.guest MODE #dev -b m:b!*@*"]),
        (
            Banned(5, 0.0, "lobby", "b", "a", everywhere=True, why="spam"),
            [":chat.test NOTICE #lobby :a has banned b in the whole chat: spam"],
        ),
    ],
)
def test_what_is_heard_in_rooms(event: object, lines: list[str]) -> None:
    assert PLAIN.render(event).decode().split("\r\n")[:-1] == lines  # type: ignore[arg-type]


def test_tags_are_those_that_were_asked_for() -> None:
    (line,) = FULL.lines(Said(5, 1.5, "dev", "a", "hi"), {})
    message = parse(line[:-2])
    assert message is not None
    assert message.tags == {
        "time": "1970-01-01T00:00:01.500Z",
        "msgid": "epoch-5",
        "account": "acc",
    }


def test_a_join_tells_more_to_those_who_asked() -> None:
    (line,) = FULL.lines(Joined(5, 0.0, "dev", ("a",), False), {})
    assert line.endswith(b":a!user@host.guest JOIN #dev acc :Real Name\r\n")


def test_what_is_live_has_the_same_id_as_when_it_is_replayed() -> None:
    live = FULL.lines(Burst(5, 0.0, "dev", "a", ("one", "two")), {})
    replayed = [
        FULL.lines(said, {})[0] for said in Burst(5, 0.0, "dev", "a", ("one", "two")).messages()
    ]
    assert live == replayed


def test_typing_is_a_tag() -> None:
    assert FULL.render(Typing("a", True, "dev")) == (
        b"@+typing=active :a!user@host.guest TAGMSG #dev\r\n"
    )


def test_a_notice_and_its_tags_stay_what_they_are_among_irc_clients() -> None:
    style = Style(True, (("+draft/reply", "epoch-4"),), ("\x02bold\x02",))
    event = Burst(5, 0.0, "dev", "a", ("bold",), style)
    assert PLAIN.render(event) == b":a!user@host.guest NOTICE #dev :\x02bold\x02\r\n"
    message = parse(FULL.render(event)[:-2])
    assert message is not None
    assert message.tags["+draft/reply"] == "epoch-4"


def test_8192_bytes_of_persian_are_lines_that_fit() -> None:
    dice = random.Random(19)
    words: list[str] = []
    while len(" ".join(words).encode()) < 8192 - 24:
        words.append(
            "".join(
                dice.choices("آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی\u200c", k=dice.randrange(1, 12))
            )
        )
    text = " ".join(words)
    for dialect in (PLAIN, FULL):
        lines = dialect.lines(Said(5, 0.0, "dev", "سارا", text), {})
        bodies = [line[line.index(b":", 1) if line[:1] == b"@" else 0 :] for line in lines]
        assert all(len(line.partition(b" :")[2]) < MAX_LINE for line in lines)
        assert len(bodies) > 16
        heard = [parse(line[:-2]) for line in lines]
        assert "".join(message.parameters[1] for message in heard if message is not None) == text
        untagged = [line.split(b" ", 1)[1] if line.startswith(b"@") else line for line in lines]
        assert max(map(len, untagged)) <= MAX_LINE
    ids = [message.tags.get("msgid") for message in heard if message is not None]
    assert ids[0] == "epoch-5"
    assert set(ids[1:]) == {None}


def test_there_is_one_dialect_for_all_who_hear_the_same_bytes() -> None:
    dialects = SharedDialects(SCENE)
    plain = dialects.for_caps(())
    assert dialects.for_caps({Cap.ECHO_MESSAGE, Cap.BATCH, Cap.SASL}) is plain
    timed = dialects.for_caps({Cap.SERVER_TIME, Cap.BATCH})
    assert timed is not plain
    assert dialects.for_caps({Cap.SERVER_TIME, Cap.LABELED_RESPONSE}) is timed


def entry(ref: str | None, *texts: str) -> Entry:
    return Entry(Burst(5, 0.0, "dev", "a", texts), ("dev",), messages=len(texts), ref=ref)


def test_who_wants_no_echo_gets_none() -> None:
    assert PLAIN.acknowledge(entry(None, "hi")) == b""
    assert PLAIN.acknowledge(entry("", "hi")) == b":a!user@host.guest PRIVMSG #dev :hi\r\n"


def test_an_echo_carries_the_label() -> None:
    assert (
        PLAIN.acknowledge(entry("x", "hi")) == b"@label=x :a!user@host.guest PRIVMSG #dev :hi\r\n"
    )
    several = PLAIN.acknowledge(entry("x", "hi", "there")).split(b"\r\n")
    assert several[0] == b"@label=x :chat.test BATCH +b labeled-response"
    assert several[1] == b"@batch=b :a!user@host.guest PRIVMSG #dev :hi"
    assert several[-2] == b":chat.test BATCH -b"


def test_what_is_addressed_to_one_person() -> None:
    one = personal()
    assert one.render_personal(Told(1, 0.0, "a", "me", "hi")) == (
        b":a!user@host.guest PRIVMSG me :hi\r\n"
    )
    assert one.render_personal(Invited("dev", "a")) == b":a!user@host.guest INVITE me #dev\r\n"


def test_who_is_removed_or_not_heard_is_told_so() -> None:
    mine = personal()
    removed = mine.render_personal(Removed("dev", "a", "spam"))
    assert removed == b":a!user@host.guest KICK #dev me :spam\r\n"
    killed = mine.render_personal(Removed(ALL_ROOMS, "*", "spam"))
    assert killed == b":chat.test KILL me :Killed (chat.test (spam))\r\n"
    refused = Refused(Refusal(ErrorCode.MUTED, room="#dev", until=0))
    unheard = b":chat.test 404 me #dev :you are muted in #dev; nobody has heard that.\r\n"
    assert mine.render_personal(refused) == unheard
    assert mine.render_personal(Answered(refused, "x")) == b"@label=x " + unheard


def test_an_operator_of_the_server_is_told_so() -> None:
    told = personal().render_personal(AccountChanged("me", Change.OPERATOR)).decode()
    assert [line.split(" ")[1] for line in told.splitlines()] == ["381", "MODE"]
    told = personal().render_personal(AccountChanged("me", Change.NO_OPERATOR)).decode()
    assert told == ":me!user@host.guest MODE me -o\r\n"


def test_the_past_is_a_batch_where_that_is_known() -> None:
    past = Replayed(ReplayReason.AWAY, (Said(5, 0.0, "dev", "a", "hi"),), 60.0, 1)
    timed = personal(Cap.SERVER_TIME, Cap.BATCH).render_personal(past).decode().split("\r\n")
    assert timed[1] == ":chat.test BATCH +past chathistory #dev"
    assert timed[2] == (
        "@batch=past;time=1970-01-01T00:00:00.000Z :a!user@host.guest PRIVMSG #dev :hi"
    )
    assert timed[3] == ":chat.test BATCH -past"
    plain = personal().render_personal(past).decode().split("\r\n")
    assert plain[1] == ":a!user@host.guest PRIVMSG #dev :[1970-01-01 00:00] hi"


@pytest.mark.parametrize(
    ("coloured", "plain"),
    [
        ("\x0304,12red\x03 on", "red on"),
        ("\x04ff0000deep\x04", "deep"),
        (
            "\x02bold\x02 \x1dit\x1d \x1fun\x1f \x1est\x1e \x16re\x16 \x11mo\x11\x0f",
            "bold it un st re mo",
        ),
        ("\x0312345", "345"),
    ],
)
def test_formatting_is_not_for_other_doors(coloured: str, plain: str) -> None:
    assert plain_text(coloured) == plain


def test_a_line_is_read_as_it_was_sent() -> None:
    assert text_of(PLAIN.lines(Said(5, 0.0, "dev", "a", ":-)"), {})[0][:-2]) == ":-)"


@pytest.mark.parametrize("dialect", [PLAIN, FULL, Irc(SCENE, frozenset({Cap.SERVER_TIME}))])
@pytest.mark.parametrize("texts", [("hi",), ("one", "سلام", ":-)"), ("x" * 600, "y"), ("é" * 240,)])
def test_the_short_way_renders_the_same(dialect: Irc, texts: tuple[str, ...]) -> None:
    event = Burst(5, 1.25, "dev", "سارا", texts)
    assert dialect.render(event) == b"".join(dialect.lines(event, {}))
