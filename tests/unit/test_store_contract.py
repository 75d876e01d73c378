"""The contract of the stores: every one of them passes the same tests.

Another store joins it in `tests.support.stores.KINDS`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from chatservice.core import log
from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    Burst,
    Deleted,
    Emoted,
    ErrorCode,
    Happening,
    Refusal,
    Said,
    Told,
    Tombstone,
)
from chatservice.core.log import Batch
from chatservice.core.stores import (
    ACCOUNT_TOKEN_SECONDS,
    MAX_ACCOUNT_TOKENS,
    MAX_KNOWN_NETWORKS,
    MAX_OFFLINE_MESSAGES,
    MAX_REPORTS,
    MAX_REPORTS_OF_ORIGIN,
    MAX_UNREAD,
    Credentials,
    Hook,
    HookKind,
    MissedCount,
    OfflineMessage,
    ReadPosition,
    Report,
)
from chatservice.storage.keep import Keep
from chatservice.storage.programs import hooks_in, open_hooks
from chatservice.storage.words import MAX_WORDS, words
from tests.support.logs import LOBBY
from tests.support.stores import KINDS, Kept, happen, spoken, stores

EACH_KIND = pytest.mark.parametrize("kind", list(KINDS))
# pytest-twisted wraps a test once more for each of its parameters, which Hypothesis's cannot take:
# so the kind is drawn, too.
EACH_DURABLE = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "memory"])
A_KIND = st.sampled_from(list(KINDS))
STEPS = st.lists(st.integers(0, 7), max_size=40)
PLACE = st.integers(0, 80)


def settled(made: Kept) -> None:
    """All of it is committed, and indexed if the store does that."""
    made.clock.turn(10)
    for _ in range(4):
        made.clock.advance(1)
        made.clock.turn(10)


@contextmanager
def short_log(kind: str) -> Iterator[None]:
    """A store with more than the log in memory has to read the rest."""
    with pytest.MonkeyPatch.context() as patch:
        if kind != "memory":
            patch.setattr(log, "LOG_MESSAGES", 10)
        if kind == "postgresql":
            from chatservice.storage.postgres import reading  # noqa: PLC0415 (an extra)

            patch.setattr(reading, "SEARCH_ROWS", 2)
            patch.setattr(reading, "SCANNED_FIRST", 3)
        yield


# The past.


@settings(max_examples=120)
@given(A_KIND, STEPS, PLACE, st.none() | PLACE, st.integers(1, 30))
def test_a_store_has_what_happened(
    kind: str, steps: list[int], before: int, after: int | None, limit: int
) -> None:
    with short_log(kind), stores(kind) as made:
        happened = happen(made, steps)
        made.clock.turn(10)
        before = min(before, made.log.next_id)
        between = [e for e in happened if e.id < before and (after is None or e.id > after)]
        recalled = made.clock.wait_for(made.archive.recall(before, after, limit, LOBBY))
        assert list(recalled.events) == (between[-limit:] if after is None else between[:limit])
        assert (recalled.first_id, recalled.gone) == (1, 0)
        recent = made.clock.wait_for(made.archive.recent(before, limit, LOBBY))
        assert list(recent) == spoken([e for e in happened if e.id < before])[-limit:]


@settings(max_examples=60)
@given(A_KIND, STEPS, st.lists(PLACE, max_size=8), PLACE, st.none() | PLACE, st.booleans())
def test_what_is_deleted_leaves_a_tombstone(
    kind: str, steps: list[int], picks: list[int], before: int, after: int | None, is_indexed: bool
) -> None:
    """Wherever it was: in the log, in a page, in a row with others. Counts stay what they were."""
    with short_log(kind), stores(kind) as made:
        happened = happen(made, steps)
        made.clock.turn(10)
        if is_indexed:
            settled(made)
        messages = spoken(happened)
        picked = [messages[pick % len(messages)] for pick in picks if messages]
        left: dict[int, Happening] = {each.id: each for each in happened}
        for each in picked:
            id_, at = made.log.next_id, each.at
            deleted = Deleted(id_, at, "lobby", each.name, f"by{id_}", (each.id,))
            made.log.append(deleted, 1)
            left[id_] = deleted
            if not isinstance(left[each.id], Tombstone):  # whoever was first has deleted it
                left[each.id] = Tombstone(each.id, at, "lobby", each.name, f"by{id_}")
        made.clock.turn(10)
        for _ in range(2):
            before = min(before, made.log.next_id)
            now = [e for e in left.values() if e.id < before and (after is None or e.id > after)]
            recalled = made.clock.wait_for(made.archive.recall(before, after, 200, LOBBY))
            assert list(recalled.events) == now
            kept = [e for e in left.values() if isinstance(e, Said | Emoted | Tombstone)]
            recent = made.clock.wait_for(made.archive.recent(before, 200, LOBBY))
            assert list(recent) == [e for e in kept if e.id < before]
            found = made.clock.wait_for(made.archive.find("hello", made.log.end, 200, LOBBY))
            assert list(found) == [e for e in kept if not isinstance(e, Tombstone)]
            since = ReadPosition(before, {"lobby": 0})
            missed = made.clock.wait_for(made.archive.missed(since, made.log.end, LOBBY))
            assert missed.kept == len([e for e in kept if e.id >= before])
            settled(made)  # and the index has followed


@settings(max_examples=80)
@given(A_KIND, STEPS, STEPS, PLACE)
def test_a_store_knows_how_far_somebody_has_read(
    kind: str, first: list[int], then: list[int], position: int
) -> None:
    with short_log(kind), stores(kind) as made:
        archive, clock = made.archive, made.clock
        assert clock.wait_for(archive.seen("Alice")) is None
        archive.arrive("Alice")
        happened = happen(made, first)
        clock.turn(10)
        position = min(max(position, 1), made.log.next_id)
        before_it = {"lobby": made.log.messages_before(position, "lobby")}
        archive.depart("Alice", ReadPosition(position, before_it))
        happened += happen(made, then)
        clock.turn(10)
        reached = clock.wait_for(archive.seen("Alice"))
        said = [event.id for event in spoken(happened)]
        assert reached == ReadPosition(position, {"lobby": sum(id_ < position for id_ in said)})
        before = made.log.next_id
        missed = clock.wait_for(archive.missed(reached, before, LOBBY))
        assert missed == MissedCount(sum(position <= id_ < before for id_ in said), 0)
        archive.arrive("Alice")
        clock.turn(10)
        assert clock.wait_for(archive.seen("Alice")) is None


@EACH_KIND
def test_three_thousand_who_come_back_at_once_are_all_answered(kind: str) -> None:
    with stores(kind) as made:
        happened = happen(made, [5, 0] * 10)
        settled(made)
        position = ReadPosition(3, {"lobby": 2})
        made.archive.depart("Alice", position)
        settled(made)
        asked = [
            Deferred.fromCoroutine(question)
            for number in range(1500)
            for question in (
                made.archive.seen("Alice", f"198.51.100.{number % 7}"),
                made.archive.recent(made.log.next_id, 5, LOBBY, f"198.51.100.{number % 7}"),
            )
        ]
        made.clock.turn(4 * len(asked))
        recent = tuple(spoken(happened)[-5:])
        assert [made.clock.wait_for(each) for each in asked] == [position, recent] * 1500


# Searching.

PIECES = (
    *(
        "hello",
        "Hello",
        "hell",
        "CAFÉ",
        "café",
        "cafe",
        "re\u0301sume\u0301",
        "ﬁne",
        "fine",
        "ＦＵＬＬ",
    ),
    *(
        "under_score",
        "100%",
        "a-b",
        "東京都",
        "京",
        "สวัสดี",
        "ΣΊΣΥΦΟΣ",
        "straße",
        "STRASSE",
        "\U0001f600",
    ),
    *("\U0001f600!", "❤️", "❤", "👍🏽", "🇩🇪", "🫠", "→", "20 €", ":)", "??", "。。。", "C++"),
)
SAYING = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)


def has(text: str, wanted: str) -> bool:
    """What a search promises: each of the words, or the beginning of one; signs to the letter."""
    said = " ".join(["", *words(text)])
    return all(
        " ".join(["", *phrase]) in said if (phrase := words(part)) else part in text
        for part in wanted.split()
    )


@settings(max_examples=200)
@given(
    A_KIND,
    st.lists(st.lists(SAYING, min_size=1, max_size=3), max_size=8),
    SAYING,
    *(st.integers(0, 8), st.integers(1, 5), st.integers(0, 2)),
)
def test_a_search_finds_just_the_messages_with_all_of_its_words(
    kind: str, bursts: list[list[str]], wanted: str, settled_after: int, limit: int, ago: int
) -> None:
    with short_log(kind), stores(kind) as made:
        said: list[Said] = []
        for number, texts in enumerate(bursts):
            burst = Burst(made.log.next_id, 1e9, "lobby", "Alice", tuple(texts))
            made.log.append(burst, 1, messages=len(texts))
            said += burst.messages()
            made.clock.turn(5)
            if number == settled_after:
                settled(made)
        before = made.log.next_id - ago
        found = made.clock.wait_for(made.archive.find(wanted, before, limit, LOBBY))
        expected = [each for each in said if each.id < before and has(each.text, wanted)]
        assert list(found) == expected[-limit:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World_2", ["hello", "world", "2"]),
        ("Crème Brûlée", ["creme", "brulee"]),
        ("東京", ["東", "京"]),
        ("hi\U0001f44b\U0001f3fd", ["hi", "\U0001f44b", "\U0001f3fd"]),
        ("❤️", ["❤"]),
        ("5 € → ✓", ["5", "€", "→", "✓"]),
        ("… ¿ -- !", []),
    ],
)
def test_what_is_a_word(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@EACH_KIND
@pytest.mark.parametrize("wanted", ["", "   "])
def test_a_search_for_nothing_finds_nothing(kind: str, wanted: str) -> None:
    with stores(kind) as made:
        happen(made, [5, 0])
        assert made.clock.wait_for(made.archive.find(wanted, made.log.next_id, 5, LOBBY)) == ()


@EACH_KIND
@pytest.mark.parametrize(
    "wanted",
    [
        " ".join(f"w{number}" for number in range(1000)),
        "-".join(f"w{number}" for number in range(1000)),
        "京" * 1000,
        "? " * 1000,
    ],
)
def test_a_search_for_too_many_words_is_refused(kind: str, wanted: str) -> None:
    with stores(kind) as made, pytest.raises(Refusal) as refused:
        made.clock.wait_for(made.archive.find(wanted, made.log.next_id, 5, LOBBY))
    assert refused.value.code is ErrorCode.TOO_MANY_WORDS
    assert refused.value.details == {"limit": MAX_WORDS}


@EACH_KIND
def test_as_many_words_as_are_allowed_are_looked_for(kind: str) -> None:
    text = " ".join(f"w{number}" for number in range(MAX_WORDS))
    with stores(kind) as made:
        made.log.append(Emoted(1, 1e9, "lobby", "Alice", text), 1, messages=1)
        settled(made)
        (found,) = made.clock.wait_for(made.archive.find(text, made.log.next_id, 5, LOBBY))
        assert found.text == text


@EACH_KIND
def test_a_question_that_is_taken_back_is_not_answered(kind: str) -> None:
    """And holds up none that follow."""
    with stores(kind) as made:
        happened = happen(made, [7, 0] * 20)
        settled(made)
        asked = [
            Deferred.fromCoroutine(
                made.archive.find("hello", made.log.next_id, 5, LOBBY, "192.0.2.1")
            )
            for _ in range(5)
        ]
        answers: list[object] = []
        for each in asked:
            each.addBoth(answers.append)
        for each in asked[:4]:
            each.cancel()
        made.clock.turn(20)
        made.clock.advance(1)
        made.clock.turn(20)
        *cancelled, found = answers
        assert all(getattr(answer, "type", None) is CancelledError for answer in cancelled)
        assert found == tuple(spoken(happened)[-5:])


def test_accents_are_dropped_before_anything_is_put_in_order() -> None:
    """That would take the square of their number: 8 KB of them, 40 ms."""
    begun = time.process_time()
    for _ in range(100):
        assert words("a" + "\u0301" * 4000) == ["a"]
    assert time.process_time() - begun < 2


# Committing.


@EACH_KIND
def test_batches_come_back_once_and_in_order(kind: str) -> None:
    with stores(kind) as made:
        delivered: list[Batch] = []
        again = made.log
        again._deliver = delivered.append
        for number in range(50):
            event = Burst(again.next_id, 1e9, "lobby", "Alice", (f"m{number}",))
            again.append(event, 5, messages=1)
            if number % 3 == 0:
                made.clock.turn()
        settled(made)
        assert [e.event.id for b in delivered for e in b.entries] == list(range(1, 51))
        assert made.archive.trouble is None


@EACH_DURABLE
def test_so_many_messages_of_each_room_are_kept(kind: str) -> None:
    with stores(kind) as made:
        for number in range(20):
            for room in ("lobby", "dev") if number < 5 else ("lobby",):
                event = Emoted(made.log.next_id, 1e9, room, "Alice", f"m{number}")
                made.log.append(event, 1, messages=1)
        settled(made)
        made.archive.set_keep(Keep(messages=7))
        for _ in range(3):
            settled(made)
        made.log.append(Emoted(made.log.next_id, 1e9, "lobby", "Alice", "last"), 1, messages=1)
        settled(made)
        for room, expected in (("lobby", 7), ("dev", 5)):
            found = made.clock.wait_for(made.archive.find("m", 1000, 50, {room: 0}))
            assert len(found) in (expected, expected - 1), room
            assert found[-1].text == ("m19" if room == "lobby" else "m4")


# Accounts.

ALICE = Account("Alice", 1.0)


@EACH_KIND
def test_an_account_protects_its_name_and_those_like_it(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        for name in ("Alice", "ALICE", "AIice", "alice"):
            assert wait(accounts.find(name)) == Credentials(ALICE, "hash")
            assert wait(accounts.owners(name)) == {ALICE}
            with pytest.raises(Refusal) as refused:
                wait(accounts.add(Account(name, 2.0), "other"))
            assert refused.value.code is ErrorCode.NAME_REGISTERED
            assert refused.value.details == {"name": "Alice"}
        assert wait(accounts.find("Bob")) is None
        assert wait(accounts.owners("Bob")) == frozenset()


@EACH_KIND
def test_a_name_can_be_like_two_that_are_not_alike(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        lal, iai = Account("Lal", 1.0), Account("Iai", 2.0)
        wait(accounts.add(lal, "hash"))
        wait(accounts.add(iai, "hash"))
        assert wait(accounts.owners("LaI")) == {lal, iai}


@EACH_KIND
def test_an_account_can_be_changed_and_removed_by_its_owner(kind: str) -> None:
    """Whoever registers the name anew has another account."""
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        wait(accounts.change(ALICE, "other"))
        assert wait(accounts.find("Alice")) == Credentials(ALICE, "other")
        wait(accounts.remove(ALICE))
        assert wait(accounts.find("Alice")) is None
        wait(accounts.add(Account("ALICE", 2.0), "third"))
        for attempt in (accounts.change(ALICE, "fourth"), accounts.remove(ALICE)):
            with pytest.raises(Refusal) as refused:
                wait(attempt)
            assert refused.value.code is ErrorCode.NOT_REGISTERED
        assert wait(accounts.find("alice")) == Credentials(Account("ALICE", 2.0), "third")


# Offline messages.


def message(at: float, text: str, sender: str = "Bob") -> Told:
    return Told(0, at, sender, "Alice", text)


def post(made: Kept, message: Told, owner: Account = ALICE, origin: str = "") -> int:
    origin = origin or f"account {message.sender}"
    return made.clock.wait_for(made.accounts.post(owner, message, origin))


def kept(made: Kept, owner: Account = ALICE) -> tuple[OfflineMessage, ...]:
    return made.clock.wait_for(made.accounts.offline_messages(owner))


@EACH_KIND
def test_offline_messages_are_kept_in_order_until_they_are_discarded(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        numbers = [post(made, message(5.0 + n, f"m{n}")) for n in range(3)]
        assert [m.told.text for m in kept(made)] == ["m0", "m1", "m2"]
        assert [m.told.id for m in kept(made)] == numbers
        assert all(m.told.waited and m.sender is None for m in kept(made))
        wait(accounts.discard(tuple(m.told for m in kept(made)[:2])))
        assert [m.told for m in kept(made)] == [
            Told(numbers[2], 7.0, "Bob", "Alice", "m2", waited=True)
        ]


@EACH_KIND
def test_a_message_has_its_senders_account_if_they_had_one_then(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        bob, carol = Account("Bob", 3.0), Account("Carol", 9.0)
        for account in (ALICE, bob, carol):
            wait(accounts.add(account, "hash"))
        for sender in ("Bob", "Carol", "Dave"):
            post(made, message(5.0, "lunch?", sender))
        assert [m.sender for m in kept(made)] == [bob, None, None]


@EACH_KIND
def test_the_messages_of_an_account_go_with_it(kind: str) -> None:
    """And take no others with them, though numbers are used again."""
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        bob, again = Account("Bob", 1.0), Account("Alice", 2.0)
        wait(accounts.add(ALICE, "hash"))
        wait(accounts.add(bob, "hash"))
        post(made, message(5.0, "lunch?", "Carol"))
        read = tuple(m.told for m in kept(made))
        wait(accounts.remove(ALICE))
        post(made, Told(0, 6.0, "Carol", "Bob", "lunch?"), bob)
        wait(accounts.discard(read))
        assert [m.told.text for m in kept(made, bob)] == ["lunch?"]
        wait(accounts.add(again, "hash"))
        assert kept(made, again) == kept(made) == ()
        with pytest.raises(Refusal) as refused:
            post(made, message(7.0, "supper?"))
        assert refused.value.code is ErrorCode.NOT_REGISTERED


@EACH_KIND
def test_so_many_messages_are_kept_for_one_person(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        for number in range(MAX_OFFLINE_MESSAGES):
            post(made, message(5.0, f"m{number}", f"Bob{number}"))
        with pytest.raises(Refusal) as refused:
            post(made, message(5.0, "one more", "Carol"))
        assert refused.value.code is ErrorCode.LETTERBOX_FULL
        assert len(kept(made)) == MAX_OFFLINE_MESSAGES


@EACH_KIND
def test_one_sender_cannot_fill_what_is_kept_for_somebody(kind: str) -> None:
    """Whatever name each message is signed with: a guest can have any."""
    with stores(kind) as made:
        made.clock.wait_for(made.accounts.add(ALICE, "hash"))
        for number in range(MAX_UNREAD):
            post(made, message(5.0, f"m{number}", f"Guest{number}"), origin="network 192.0.2.1")
        with pytest.raises(Refusal) as refused:
            post(made, message(5.0, "one more", "Other"), origin="network 192.0.2.1")
        assert refused.value.code is ErrorCode.TOO_MANY_UNREAD
        assert refused.value.details == {"name": "Alice", "limit": MAX_UNREAD}
        post(made, message(5.0, "lunch?", "Bob"))
        made.clock.wait_for(made.accounts.discard((kept(made)[0].told,)))
        post(made, message(5.0, "one more", "Other"), origin="network 192.0.2.1")


# Reports.


def report(number: int = 0, room: str = "lobby", account: Account | None = None) -> Report:
    return Report(1e9 + number + 0.25, room, "Eve", account, "Bob", f"spam {number}")


@EACH_KIND
def test_reports_are_kept_until_they_are_discarded(kind: str) -> None:
    with stores(kind) as made:
        wait, reports = made.clock.wait_for, made.archive.reports
        told = [report(0), report(1, "dev", ALICE), report(2, ALL_ROOMS)]
        numbers = [wait(reports.keep(each, "account Bob")) for each in told]
        assert len(set(numbers)) == 3
        kept = [each._replace(number=n) for each, n in zip(told, numbers, strict=True)]
        assert list(wait(reports.kept())) == kept
        wait(reports.discard(numbers[:2]))
        wait(reports.discard(numbers[:1]))
        assert list(wait(reports.kept())) == kept[2:]
        wait(reports.discard(numbers[2:]))
        number = wait(reports.keep(told[0], "account Bob"))
        assert number not in numbers


@EACH_KIND
def test_nobody_fills_what_is_kept_of_reports(kind: str) -> None:
    with stores(kind) as made:
        wait, reports = made.clock.wait_for, made.archive.reports
        for number in range(MAX_REPORTS_OF_ORIGIN):
            first = wait(reports.keep(report(number), "network 192.0.2.1"))
        with pytest.raises(Refusal) as refused:
            wait(reports.keep(report(), "network 192.0.2.1"))
        assert refused.value.code is ErrorCode.TOO_MANY_REPORTS
        for number in range(MAX_REPORTS_OF_ORIGIN, MAX_REPORTS):
            wait(reports.keep(report(number), f"network {number // 5}"))
        with pytest.raises(Refusal) as refused:
            wait(reports.keep(report(), "account Alice"))
        assert refused.value.code is ErrorCode.TOO_MANY_REPORTS
        assert len(wait(reports.kept())) == MAX_REPORTS
        wait(reports.discard([first]))
        wait(reports.keep(report(), "account Alice"))


# Known networks.


@EACH_KIND
def test_networks_that_an_owner_has_come_in_from_are_known(kind: str) -> None:
    """Until the password changes, or the account goes; the one longest unused is forgotten."""
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        bob = Account("Bob", 1.0)
        for account in (ALICE, bob):
            wait(accounts.add(account, "hash"))

        def known(account: Account = ALICE) -> list[int]:
            return [n for n in range(20) if wait(accounts.knows(account, f"198.51.100.{n}"))]

        assert known() == []
        for number in range(MAX_KNOWN_NETWORKS + 1):
            made.clock.advance(1)
            wait(accounts.remember(ALICE, f"198.51.100.{number}"))
        assert known() == list(range(1, MAX_KNOWN_NETWORKS + 1))
        assert known(bob) == known(Account("Alice", 2.0)) == []
        wait(accounts.change(ALICE, "other"))
        assert known() == []
        wait(accounts.remember(ALICE, "198.51.100.1"))
        wait(accounts.remove(ALICE))
        wait(accounts.remember(ALICE, "198.51.100.1"))
        wait(accounts.add(Account("Alice", 2.0), "hash"))
        assert known() == known(Account("Alice", 2.0)) == []


# Tokens of owners.


@EACH_KIND
def test_a_token_lets_its_owner_in_until_the_password_changes(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        alice = Credentials(ALICE, "hash")
        wait(accounts.keep_token(alice, "one"))
        wait(accounts.keep_token(alice, "two"))
        assert wait(accounts.token_owner("one", "192.0.2.1")) == alice
        assert wait(accounts.token_owner("three")) is wait(accounts.token_owner("")) is None
        wait(accounts.forget_token("one"))
        assert wait(accounts.token_owner("one")) is None
        assert wait(accounts.token_owner("two")) == alice
        wait(accounts.change(ALICE, "other"))
        assert wait(accounts.token_owner("two")) is None
        wait(accounts.keep_token(alice, "four"))  # by whom the old one was proven
        assert wait(accounts.token_owner("four")) is None
        wait(accounts.keep_token(Credentials(ALICE, "other"), "five"))
        wait(accounts.forget_tokens(Account("Alice", 2.0)))  # somebody else's
        assert wait(accounts.token_owner("five")) == Credentials(ALICE, "other")
        wait(accounts.forget_tokens(ALICE))
        assert wait(accounts.token_owner("five")) is None
        wait(accounts.keep_token(Credentials(ALICE, "other"), "six"))
        wait(accounts.remove(ALICE))
        wait(accounts.add(Account("Alice", 2.0), "other"))
        assert wait(accounts.token_owner("six")) is None


@EACH_KIND
def test_so_many_tokens_of_an_owner_are_kept(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        bob = Credentials(Account("Bob", 1.0), "his")
        alice = Credentials(ALICE, "hash")
        for account, hashed in (alice, bob):
            wait(accounts.add(account, hashed))
        wait(accounts.keep_token(bob, "bob's"))
        for number in [*range(MAX_ACCOUNT_TOKENS), 0, MAX_ACCOUNT_TOKENS]:
            made.clock.advance(1)
            wait(accounts.keep_token(alice, str(number)))
        kept = [n for n in range(20) if wait(accounts.token_owner(str(n))) == alice]
        assert kept == [0, *range(2, MAX_ACCOUNT_TOKENS + 1)]
        assert wait(accounts.token_owner("bob's")) == bob


@EACH_DURABLE
def test_a_token_ends(kind: str) -> None:
    with stores(kind) as made:
        wait, accounts = made.clock.wait_for, made.accounts
        wait(accounts.add(ALICE, "hash"))
        wait(accounts.keep_token(Credentials(ALICE, "hash"), "one"))
        wait(accounts.keep_token(Credentials(ALICE, "hash"), "two"))
        made.clock.rightNow += ACCOUNT_TOKEN_SECONDS - 60
        wait(accounts.keep_token(Credentials(ALICE, "hash"), "two"))
        assert wait(accounts.token_owner("one")) is not None
        made.clock.rightNow += 120
        assert wait(accounts.token_owner("one")) is None
        assert wait(accounts.token_owner("two")) is not None


# Hooks.

FOLDERS = {"sqlite": "sqlite", "postgresql": "postgres"}
BUILD = Hook(0, HookKind.SPEAK, "build", "dev", "", 1e9 + 0.123456)


@EACH_DURABLE
def test_a_hook_is_found_by_its_token_until_it_is_removed(kind: str) -> None:
    with stores(kind) as made:
        wait, store = made.clock.wait_for, made.archive.hooks
        listens = Hook(0, HookKind.LISTEN, "日志", "lobby", "secret", 2e9)
        with open_hooks(made.place) as hooks:
            assert [hooks.add_hook("one", BUILD), hooks.add_hook("two", listens)] == [1, 2]
        kept = [BUILD._replace(number=1), listens._replace(number=2)]
        assert [wait(store.find("one")), wait(store.find("two", "192.0.2.1"))] == kept
        assert hooks_in(made.place) == kept
        assert wait(store.find("three")) is wait(store.find("")) is None
        with open_hooks(made.place) as hooks:
            assert [hooks.remove_hook(2), hooks.remove_hook(2)] == [True, False]
            assert hooks.add_hook("four", BUILD) == 3  # a number is never another hook's
        assert wait(store.find("two")) is None
        assert [each.number for each in hooks_in(made.place)] == [1, 3]


@EACH_DURABLE
def test_so_many_hooks_are_kept(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"chatservice.storage.{FOLDERS[kind]}.hooks.MAX_HOOKS", 2)
    with stores(kind) as made, open_hooks(made.place) as hooks:
        assert [hooks.add_hook(str(number), BUILD) for number in range(3)] == [1, 2, None]
        assert hooks.remove_hook(1)
        assert hooks.add_hook("3", BUILD) is not None
