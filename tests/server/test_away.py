"""Somebody is away: at every door, and told once to each who writes to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.test_operate import operate
from tests.support.irc import IrcServer
from tests.support.people import joined, left
from tests.support.programs import Program, join

LUNCH = "\ufffd[2Jlunch\ufffd"  # what others see of an excuse that would move their cursor


@pytest.fixture
def house(tmp_path: Path) -> Iterator[IrcServer]:
    with IrcServer(tmp_path) as running:
        yield running


def test_who_is_away_is_so_at_every_door(house: IrcServer) -> None:
    sara, bot = house.join("Sara"), join(house, "Bot")
    wee = house.irc_join("Wee", "away-notify")
    bot.hears("joined", names=["Wee"])
    sara.hears(joined("Bot"), joined("Wee"))
    sara.types("/away \x1b[2Jlunch\u202e")
    sara.hears(f"*** You are now away: {LUNCH}")
    assert wee.hears("AWAY", LUNCH).source.startswith("Sara!")
    bot.hears("away", name="Sara", on=True)

    bot.asks("tell", to="Sara", text="hungry?")
    bot.hears("ack", to="Sara", away=LUNCH)
    bot.asks("tell", to="Sara", text="hello?\nanybody?")
    assert "away" not in bot.hears("ack", to="Sara")
    wee.types("PRIVMSG Sara :one", "PRIVMSG Sara :two", "WHOIS Sara", "WHO Sara")
    told = [message for message in wee.everything() if message.command in ("301", "352")]
    assert [message.parameters[-1] for message in told[:2]] == [LUNCH] * 2  # PRIVMSG, WHOIS
    assert [message.parameters[6] for message in told[2:]] == ["G"]

    sara.hears("[Bot -> you] hungry?", "[Bot -> you] hello?", "[Bot -> you] anybody?")
    sara.hears("[Wee -> you] one", "[Wee -> you] two")
    sara.types("still here, in a way", "/who")
    sara.hears("*** Online (3): Bot, Sara, Wee", "*** Away: Sara")
    bot.hears("said", text="still here, in a way")
    late = Program(house.connect())
    assert late.comes_in("Late")["away"] == ["Sara"]
    bot.hears("joined", names=["Late"])

    sara.hears(joined("Late"))
    sara.types("/nick Sarah", "/back", "/back", "/who")
    sara.hears("*** Sara is now known as Sarah.", *["*** You are no longer away."] * 2)
    sara.hears("*** Online (4): Bot, Late, Sarah, Wee")
    bot.hears("renamed", new="Sarah")
    bot.hears("away", name="Sarah", on=False)
    assert wee.hears("AWAY").parameters == ()
    bot.asks("tell", to="Sarah", text="there you are")
    assert "away" not in bot.hears("ack", to="Sarah")


def test_an_irc_client_that_is_away_is_so_to_others(house: IrcServer) -> None:
    sara, wee = house.join("Sara"), house.irc_join("Wee")
    sara.hears(joined("Wee"))
    wee.types("AWAY :\x02gone\x02 fishing")
    wee.hears("306")
    sara.types("/who", "/whois Wee", "/msg Wee hi", "/msg Wee hi again")
    sara.hears("*** Online (2): Sara, Wee", "*** Away: Wee")
    assert sara.next_line().startswith("*** Wee (not registered) has been here since")
    sara.hears("*** Wee is away: gone fishing", "*** Rooms in common: #lobby")
    sara.hears("[you -> Wee] hi", "*** Wee is away: gone fishing", "[you -> Wee] hi again")
    wee.types("AWAY")
    wee.hears("305")
    wee.types("AWAY :again")
    wee.hears("306")
    sara.types("/r and now?")  # another absence
    sara.hears("[you -> Wee] and now?", "*** Wee is away: again")


def test_all_connections_of_a_person_know_that_they_are_away(tmp_path: Path) -> None:
    with IrcServer(tmp_path, "--database", "chat.sqlite3") as house:
        wee = house.irc_join("Wee")
        wee.types("REGISTER * * :correct horse")
        wee.hears("REGISTER")
        bot = Program(house.connect())
        bot.comes_in("Wee", password="correct horse")
        bot.asks("away", text="asleep")
        bot.hears("away", name="Wee", on=True)
        bot.hears("ack")
        wee.hears("306")
        wee.types("AWAY")
        wee.hears("305")
        bot.hears("away", name="Wee", on=False)
        assert "305" not in wee.commands()


def test_one_text_is_short_and_nobody_who_is_muted_gives_one(tmp_path: Path) -> None:
    with IrcServer(tmp_path, "--database", "chat.sqlite3") as house:
        sara = house.join("Sara")
        sara.types("/away " + "x" * 201)
        sara.hears("Error: what you say of your absence can have at most 200 characters.")
        operate(tmp_path, "mute", "Sara")
        sara.hears("*** The operator has muted Sara in the whole chat.")
        sara.types("/away buy now", "/away", "/whois Sara")
        sara.hears(
            "Error: you are muted in the whole chat; nobody has heard that.",
            "*** You are now away.",
        )
        sara.next_line()
        sara.hears("*** Sara is away.")


def test_an_absence_ends_with_the_person(house: IrcServer) -> None:
    bot = join(house, "Bot")
    bot.asks("away", text="asleep")
    bot.hears("away", name="Bot", on=True)
    bot.hears("ack")
    sara = house.join("Sara")
    sara.types("/msg Bot wake up", "/who")
    sara.hears("[you -> Bot] wake up", "*** Bot is away: asleep")
    sara.hears("*** Online (2): Bot, Sara", "*** Away: Bot")
    bot.asks("exit")
    sara.hears(left("Bot"))
    again = join(house, "Bot")  # absence ended with the person
    sara.hears(joined("Bot"))
    sara.types("/who", "/msg Bot hi")
    sara.hears("*** Online (2): Bot, Sara", "[you -> Bot] hi")
    again.hears("told", text="hi")
