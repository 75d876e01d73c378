"""The page, in a real Chromium, as people use it."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chromium import CHROMIUM, SHIFT, Chromium, Page, joined
from tests.support.people import PATIENCE, Person, Server
from tests.support.people import joined as joined_line
from tests.support.websockets import WEB, web_port

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("chromium is not installed", allow_module_level=True)

# From npm (`npm install --prefix build axe-core`), for CI and who wants it.
AXE = Path(__file__).parents[2] / "build/node_modules/axe-core/axe.min.js"
BURST = 5000


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Chat(Server):
    """A server that remembers, with its web door."""

    usual = ("--max-per-address", "0", "--rate", "0", "--database", "chat.sqlite3")
    web = 0

    def __enter__(self) -> "Chat":
        super().__enter__()
        self.web = web_port(self)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web}/"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    with Chat(tmp_path, "--web", WEB) as server:
        yield server


Join = Callable[..., Page]


@pytest.fixture
def join(chromium: Chromium, chat: Chat) -> Iterator[Join]:
    """Opens pages. In the end, none of them has asked for anything from elsewhere, and the browser
    has nothing to complain about, the policy included."""
    pages: list[Page] = []

    def opened(name: str, **how: object) -> Page:
        page = joined(chromium, chat.url, name, **how)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        ours = (chat.url, chat.url.replace("http", "ws"), "blob:", "data:", "about:")
        assert [url for url in page.requests() if not url.startswith(ours)] == []
        assert page.complaints() == []
        page.closes()


def person(chat: Chat, name: str) -> Person:
    """At `nc`."""
    somebody = chat.connect()
    somebody.types(name)
    somebody.hears_until(f"Welcome {name}, you are connected to the server.")
    somebody.next_line()
    return somebody


def hears(somebody: Person, line: str) -> None:
    """Sooner or later."""
    somebody.hears_until(line)


def texts(page: Page) -> list[str]:
    """The messages that are shown."""
    return page.text_of("#log .line:not(.notice) .text")


def test_a_page_and_a_person_at_nc_talk_in_all_scripts(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    for text in (
        "hello",
        "سلام دنیا",
        "你好",
        "👨‍👩‍👧 👋",
        "<b>&amp;</b><img src=x onerror=alert(1)>",
    ):
        page.types(text)
        page.presses("Enter")
        hears(bob, f"Alice: {text}")
        bob.types(text)
    page.waits_for("document.querySelectorAll('#log .line:not(.notice) .text').length === 10")
    assert page.runs("document.querySelectorAll('#log img, #log b').length") == 0
    assert page.runs(
        "[...document.querySelectorAll('#log .text')].every((one) => one.dir === 'auto')"
    )


def test_who_is_away_is_marked_and_a_report_is_shown_to_those_in_charge(
    chat: Chat, join: Join
) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    bob.types("/away lunch")
    marked = "[...document.querySelectorAll('#people li')].some((one) => one.textContent === '{}')"
    page.waits_for(marked.format("Bob (away)"))
    said = "document.querySelector('#log').textContent.includes('{}')"
    for command, answer in (
        ("/join den", "Alice has joined."),
        ("/away gone", "You are now away: gone"),
    ):
        page.types(command)
        page.presses("Enter")
        page.waits_for(said.format(answer))
    hears(bob, joined_line("Alice"))
    bob.types("/back", "/join den", "/report Eve spam")
    hears(bob, "*** Your report was passed on to those in charge.")
    shown = (
        "document.querySelector('#log').textContent.includes('Bob has reported Eve in #den: spam')"
    )
    page.waits_for(shown)
    page.waits_for(marked.format("Bob"))
    page.waits_for(marked.format("Alice (away)"))


def test_links_lead_nowhere_with_our_address(chat: Chat, join: Join) -> None:
    page = join("Alice")
    bob = person(chat, "Bob")
    bob.types("see https://example.org/a_(b)?c=1. And javascript:alert(1) http://")
    page.waits_for("document.querySelector('#log a')")
    links = page.runs(
        "[...document.querySelectorAll('#log a')].map((one) => [one.href, one.rel, one.target])"
    )
    assert links == [["https://example.org/a_(b)?c=1", "noopener noreferrer", "_blank"]]


def test_an_input_methods_enter_chooses_a_word_and_sends_nothing(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    page.composes("にほん")
    page.presses("Enter", code=229)
    assert page.runs("document.getElementById('line').value") == "にほん"
    page.types("日本")
    page.presses("Enter", code=229)  # Safari's, after the composition has ended
    assert page.runs("document.getElementById('line').value") == "日本"
    page.presses("Enter")
    hears(bob, "Alice: 日本")


def test_the_line_has_several_lines_a_history_and_completion(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    page.types("one")
    page.presses("Enter", SHIFT)
    page.types("/exit two")
    page.presses("Enter")
    hears(bob, "Alice: one")
    hears(bob, "Alice: /exit two")
    page.types("Bo")
    page.presses("Tab")
    assert page.runs("document.getElementById('line').value") == "Bob: "
    page.types("hi")
    page.presses("Enter")
    hears(bob, "Alice: Bob: hi")
    page.presses("ArrowUp")
    assert page.runs("document.getElementById('line').value") == "Bob: hi"
    page.presses("ArrowUp")
    assert page.runs("document.getElementById('line').value") == "one\n/exit two"
    page.presses("ArrowDown")
    page.presses("ArrowDown")
    assert page.runs("document.getElementById('line').value") == ""
    page.types("/wh")
    page.presses("Tab")
    page.presses("Enter")
    page.shows("Online (2): Alice, Bob")


def test_mistakes_are_told_beside_the_line(chat: Chat, join: Join) -> None:
    page = join("Alice")
    for typed, told in (
        ("/dance", "/dance is not a command"),
        ("/msg Bob", "Usage: /msg NAME TEXT"),
        ("/msg Nobody hello", "Nobody here is called Nobody."),
        ("x" * 9000, "A line can have at most 8192 bytes."),
    ):
        page.types(typed)
        page.presses("Enter")
        page.shows(told, within="#error")
        page.runs("document.getElementById('line').value = ''")


def test_private_conversations(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    bob.types("/msg Alice psst")
    page.waits_for("document.querySelector('#privates .badge')")
    assert page.text_of("#privates .label") == ["Bob"]
    page.clicks("#privates button")
    page.shows("psst", within="#log")
    page.waits_for("!document.querySelector('#privates .badge')")
    page.types("what is it?")
    page.presses("Enter")
    hears(bob, "[Alice -> you] what is it?")
    page.shows("what is it?", within="#log")


def test_a_server_that_is_killed_and_comes_again_leaves_every_line_once(
    tmp_path: Path, chromium: Chromium
) -> None:
    with Chat(tmp_path, "--web", WEB) as before:
        page = joined(chromium, before.url, "Alice")
        bob = person(before, "Bob")
        for number in range(30):
            bob.types(f"before {number}")
        page.types("mine, before")
        page.presses("Enter")
        page.shows("before 29", within="#log")
        page.waits_for("document.querySelectorAll('#outbox .line').length === 0")
        before.killed = True
        before.process.kill()
        before.process.wait(PATIENCE)
    page.shows("Connection lost", within="#status")
    page.types("mine, while there was no server")
    page.presses("Enter")
    again = f"tcp:{before.web}:interface=127.0.0.1"
    with Chat(tmp_path, "--web", again) as after:
        carol = person(after, "Carol")
        for number in range(30):
            carol.types(f"after {number}")
        page.runs("document.querySelector('#status button')?.click()")
        page.shows("after 29", within="#log")
        page.shows("mine, while there was no server", within="#log")
        page.waits_for("document.querySelectorAll('#outbox .line').length === 0")
        page.waits_for("document.getElementById('status').innerText === ''")
        expected = [
            *(f"before {number}" for number in range(30)),
            "mine, before",
            *(f"after {number}" for number in range(30)),
            "mine, while there was no server",
        ]
        deadline = time.monotonic() + PATIENCE
        while sorted(texts(page)) != sorted(expected) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sorted(texts(page)) == sorted(expected)
        page.reloads()
        page.shows("after 29", within="#log")
        shown = texts(page)
        assert len(shown) == len(set(shown))
        page.closes()


def test_a_reload_keeps_the_draft_of_each_conversation_and_asks_nobody(
    chat: Chat, join: Join
) -> None:
    person(chat, "Bob")
    page = join("Alice")
    page.types("half a senten")
    page.clicks("#people button[data-label=Bob]")
    page.waits_for("document.getElementById('title').innerText === 'Bob'")
    page.types("for Bob on")
    page.reloads()
    page.waits_for("document.getElementById('title').innerText === 'Bob'")
    assert page.runs("document.getElementById('line').value") == "for Bob on"
    page.clicks("#rooms button")
    page.waits_for("document.getElementById('line').value === 'half a senten'")


def test_it_stays_where_one_reads_and_says_how_much_is_new(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    bob.types(*(f"old {number}" for number in range(120)))
    page = join("Alice")
    page.shows("old 119", within="#log")
    while "old 0" not in texts(page):  # until the pages of what is older have been fetched
        page.runs("document.getElementById('log').scrollTop = 0")
        time.sleep(0.05)
    page.runs("document.getElementById('log').scrollTop = 900")
    page.waits_for("!document.getElementById('jump').hidden")
    at = page.runs("document.getElementById('log').scrollTop")
    bob.types(*(f"new {number}" for number in range(5)))
    page.shows("5 new", within="#jump")
    page.waits_for("document.title.startsWith('(5)')")
    assert page.runs("document.getElementById('log').scrollTop") == at
    page.clicks("#jump")
    page.shows("new 4", within="#log")
    page.waits_for("!document.title.startsWith('(')")
    shown = texts(page)
    assert shown[-5:] == [f"new {number}" for number in range(5)]


def test_a_burst_leaves_the_page_usable_and_its_nodes_bounded(chat: Chat, join: Join) -> None:
    page = join("Alice")
    bob = person(chat, "Bob")
    page.runs("window.longTasks.length = 0")
    for start in range(0, BURST, 500):
        bob.types(*(f"line {number}" for number in range(start, start + 500)))
    page.shows(f"line {BURST - 1}", within="#log")
    longest = page.runs("Math.max(0, ...window.longTasks)")
    nodes = page.runs("document.querySelectorAll('*').length")
    print(f"{BURST} lines: longest task {longest:.0f} ms, {nodes} nodes")
    assert nodes < 3000
    assert longest < 2000  # the aim is 200
    page.types("still here")
    page.presses("Enter")
    hears(bob, "Alice: still here")


def test_everything_can_be_done_with_the_keyboard(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice")
    page.waits_for("document.querySelector('#people button[data-label=Bob]')")
    seen = []
    for _ in range(25):
        page.presses("Tab")
        seen.append(
            page.runs("document.activeElement.id || document.activeElement.dataset.label || 'x'")
        )
        if seen[-1] == "Bob":
            break
    assert seen[-1] == "Bob", seen
    page.presses("Enter")
    page.waits_for("document.getElementById('title').innerText === 'Bob'")
    page.types("by keyboard")
    page.presses("Enter")
    hears(bob, "[Alice -> you] by keyboard")


def test_on_a_telephone(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    page = join("Alice", width=390, height=844, mobile=True)
    bob.types("a" * 300, "https://example.org/" + "b" * 300)
    page.shows("bbb", within="#log")
    assert page.runs("document.documentElement.scrollWidth") <= 390
    assert page.runs("document.getElementById('log').scrollWidth") <= 390
    page.clicks("#menu")
    page.waits_for("getComputedStyle(document.getElementById('side')).visibility === 'visible'")
    small = page.runs(
        "[...document.querySelectorAll('button, input, textarea')]"
        ".filter((one) => one.offsetParent && one.getBoundingClientRect().height < 43.5)"
        ".map((one) => one.outerHTML)"
    )
    assert small == []
    page.presses("Escape")
    page.waits_for("getComputedStyle(document.getElementById('side')).visibility === 'hidden'")
    page.clicks("#line")
    page.types("from a telephone")
    page.clicks("#composer .primary")
    hears(bob, "Alice: from a telephone")


def test_new_lines_are_announced_and_the_past_is_not(chat: Chat, join: Join) -> None:
    bob = person(chat, "Bob")
    bob.types("past")
    page = join("Alice")
    page.shows("past", within="#past")
    bob.types("present")
    page.shows("present", within="#live")
    assert page.runs("document.getElementById('live').getAttribute('role')") == "log"
    assert "past" not in page.runs("document.getElementById('live').innerText")


@pytest.mark.parametrize(
    "how",
    [{}, {"dark": True}, {"width": 390, "height": 844, "mobile": True}],
    ids=["light", "dark", "mobile"],
)
def test_axe_finds_nothing_that_keeps_anybody_out(
    chat: Chat, join: Join, how: dict[str, object]
) -> None:
    if not AXE.exists() and not os.environ.get("CI"):
        pytest.skip("axe-core is not installed: npm install --prefix build axe-core")
    bob = person(chat, "Bob")
    page = join("Alice", **how)
    bob.types("hello Alice, see https://example.org/", "/me waves", "/msg Alice psst")
    page.waits_for("document.querySelector('#privates .badge')")
    page.types("/dance")
    page.presses("Enter")
    for menu in (False, True) if "mobile" in how else (False,):
        if menu:
            page.clicks("#menu")
            page.waits_for("document.getAnimations().length === 0")
        page.runs(AXE.read_text() + "\n;0")
        found = page.runs(
            "axe.run().then(({violations}) => violations.map(({id, nodes}) => "
            "[id, nodes.map(({html, failureSummary}) => html + failureSummary)]))"
        )
        assert found == []


def test_somebody_with_a_password_comes_in_with_it(chat: Chat, join: Join) -> None:
    page = join("Alice")
    page.types("/register")
    page.presses("Enter")
    page.waits_for("document.getElementById('secret').open")
    page.types("correct horse battery")
    page.presses("Enter")
    page.shows("Your name is registered now.", within="#log")
    page.clicks("#leave")
    page.waits_for("document.activeElement.id === 'name'")
    page.presses("Enter")
    page.waits_for("document.activeElement.id === 'password'")
    page.types("wrong")
    page.presses("Enter")
    page.shows("Wrong password for Alice.", within="#login-error")
    page.clicks("#password")
    page.types("correct horse battery")
    page.presses("Enter")
    page.waits_for("!document.getElementById('chat').hidden")
    assert "correct horse" not in page.runs("JSON.stringify([sessionStorage, localStorage])")


def test_who_is_writing(chat: Chat, join: Join) -> None:
    alice, bob = join("Alice"), join("Bob")
    bob.clicks("#line")
    bob.types("I am")
    alice.shows("Bob is writing…", within="#typing")
    bob.presses("Enter")
    alice.shows("I am", within="#log")
    alice.waits_for("document.getElementById('typing').innerText === ''")


def test_those_in_charge_and_who_is_removed(chat: Chat, join: Join) -> None:
    def notices(page: Page) -> str:
        return "\n".join(page.text_of("#log .notice .text"))

    def shows(page: Page, text: str) -> None:
        page.waits_for(f"document.getElementById('log').textContent.includes({text!r})")

    def obeys(page: Page, line: str) -> None:
        page.types(line)
        page.presses("Enter")

    alice, eve = join("Alice"), join("Eve")
    bob = person(chat, "Bob")
    obeys(alice, "/join dev")
    alice.waits_for("document.title.includes('#dev')")
    obeys(eve, "/join dev")
    eve.waits_for("document.title.includes('#dev')")
    bob.types("/join dev")  # before the ban: newcomers from where Eve is are kept out by it
    shows(alice, "Bob has joined.")
    obeys(alice, "/mute Eve 2h shouting")
    shows(eve, "Alice has muted Eve until ")
    obeys(eve, "HELLO")
    eve.waits_for("document.body.textContent.includes('You are muted in #dev')")
    obeys(alice, "/unmute Eve")
    shows(eve, "Alice has ended the mute of Eve.")
    obeys(alice, "/ban Eve spam & <b>more</b>")
    shows(eve, "Alice has removed you from #dev: spam & <b>more</b>")
    eve.waits_for("document.title.endsWith('Lobby – Chat')")
    shows(alice, "Alice has removed Eve: spam")
    obeys(alice, "/bans")
    shows(alice, "Eve is banned by Alice since ")
    bob.types("still here?")
    shows(alice, "still here?")
    assert "still here?" not in texts(eve)
    obeys(eve, "/join dev")
    eve.waits_for("document.body.textContent.includes('You are banned from #dev')")
    assert "Alice has banned Eve: spam" in notices(alice)


def test_what_is_deleted_is_replaced(chat: Chat, join: Join) -> None:
    alice, bob = join("Alice"), person(chat, "Bob")
    alice.types("oops & more")
    alice.presses("Enter")
    bob.hears_until("Alice: oops & more")
    bob.types("mine")
    alice.shows("mine", within="#log")
    bob.types("/delete")
    alice.shows("Bob has deleted a message.", within="#log")
    alice.shows("A message from Bob was deleted.", within="#log")
    alice.types("/delete 1")
    alice.presses("Enter")
    bob.hears_until("*** Alice has deleted a message.")
    alice.shows("A message from Alice was deleted.", within="#log")
    assert texts(alice) == []
    carol = join("Carol")
    carol.shows("A message from Alice was deleted.", within="#log")
    assert texts(carol) == []
