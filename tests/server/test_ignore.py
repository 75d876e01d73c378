"""Somebody is ignored: what they say is not heard, at every door, and they are not told."""

from pathlib import Path

from tests.support.irc import IrcServer
from tests.support.people import Server, joined, left
from tests.support.programs import join

PASSWORD = "correct horse battery"


class KeepingServer(Server):
    """One that keeps what is said."""

    usual = ("--max-per-address", "0", "--rate", "0", "--history", "0", "--database", "it.sqlite3")


def test_what_they_say_is_not_heard_and_nobody_else_misses_anything(tmp_path: Path) -> None:
    with IrcServer(tmp_path) as house:
        sara, troll = house.join("Sara"), house.join("Troll")
        sara.hears(joined("Troll"))
        bot = join(house, "Bot")
        wee = house.irc_join("Wee")
        for person in (sara, troll):
            person.hears(joined("Bot"), joined("Wee"))
        bot.hears("joined", names=["Wee"])
        sara.types("/ignore troll", "/ignore")
        sara.hears("*** You no longer hear Troll.", "*** You ignore: Troll")
        bot.asks("ignore", name="Troll", ref="1")
        bot.hears("ack", ref="1")
        bot.asks("ignores", ref="2")
        bot.hears("ignores", ignored=["Troll"], ref="2")

        troll.types("buy now", "/me waves", "/msg Sara psst", "/msg Bot psst", "/nick Saint")
        troll.hears("* Troll waves", "[you -> Sara] psst", "[you -> Bot] psst")
        troll.hears("*** Troll is now known as Saint.")
        troll.types("as good as gold")
        assert wee.hears("PRIVMSG").parameters[-1] == "buy now"
        wee.types("PRIVMSG #lobby :hello")
        sara.hears("*** Troll is now known as Saint.", "Wee: hello")
        bot.hears("renamed", new="Saint")
        assert bot.hears("said")["from"] == "Wee"

        sara.types("/reply well?", "/history 9", "/search gold", "/unignore Saint", "/search gold")
        sara.hears("Error: there is no private message to reply to.", "*** The last message:")
        assert sara.next_line().endswith("Wee: hello")
        sara.hears("*** No messages.", "*** You hear Saint again.", "*** 1 message found:")
        assert sara.next_line().endswith("Saint: as good as gold")
        troll.types("sorry")
        sara.hears("Saint: sorry")


def test_those_who_are_registered_ignore_for_good(tmp_path: Path) -> None:
    with KeepingServer(tmp_path) as house:
        sara, troll = house.join("Sara"), house.join("Troll")
        sara.types(f"/register {PASSWORD}", "/ignore Troll", "/ignore sara")
        sara.hears(joined("Troll"), "*** Sara is now registered to you.")
        sara.hears("*** You no longer hear Troll.", "Error: you cannot ignore yourself.")
        sara.types("/exit")
        troll.hears(left("Sara"))
        troll.types("/msg Sara are you there?", "good day")
        troll.hears("[you -> Sara] are you there? (will be delivered when Sara returns)")
        sara = house.connect()
        sara.types("Sara", PASSWORD, "/ignore")
        back = sara.hears_until("*** You ignore: Troll")
        assert back[-1] == "*** Online (2): Sara, Troll"  # and nothing of what was said
        house.process.kill()
        house.killed = True
    with KeepingServer(tmp_path) as house:
        troll = house.join("TROLL")
        sara = house.connect()
        sara.types("Sara", PASSWORD)
        sara.hears_until("*** Online (2): Sara, TROLL")
        troll.hears(joined("Sara"))
        troll.types("hello", "/exit")
        sara.hears(left("TROLL"))
        sara.types("/ignore", "/unignore Troll", "/ignore")
        sara.hears("*** You ignore: Troll", "*** You hear Troll again.", "*** You ignore nobody.")
