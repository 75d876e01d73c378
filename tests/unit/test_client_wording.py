"""What our own clients say comes from the catalogue, too: another language is another one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatservice.client.errors import ChatError, Declined, Gone, PasswordInClear
from chatservice.client.events import Disconnected, Missed, RoomLost
from chatservice.client.faces.completion import completions
from chatservice.client.faces.looks import look
from chatservice.client.faces.status import Status
from chatservice.client.faces.words import AskedAgain, Shown, Wording
from chatservice.client.state import State
from chatservice.core.events import Error, Replayed, ReplayReason, Sent, Told
from chatservice.dialects.commands import HELPED
from tests.unit.test_wording import MARKED, assert_all_marked, mark, samples

PACKAGE = Path(__file__).parents[2] / "chatservice"


def shown() -> Iterator[Shown]:
    """What there is to show, of data without letters."""
    yield from samples()
    yield Told(1, 0.0, "1", "2", "3", waited=True)
    for reason in ReplayReason:
        yield Replayed(reason, (), 0.0, 3, gone=2, more=True)
    for lost in (False, True):
        yield Disconnected("1", 0.5, lost)
        yield Disconnected("1", 5.0, lost)
        yield Gone("1", lost=lost)
    yield Disconnected(MARKED.client.closed, 5.0, True)
    yield Missed(3, 2)
    yield RoomLost("1", "2.")
    yield ChatError("1")
    yield Declined(Error("1", "2"))
    yield PasswordInClear("1", pinned=True)
    yield AskedAgain(Error("1", "2"))
    yield AskedAgain(Error("1", "2"), "3")


@pytest.mark.parametrize("event", list(shown()), ids=lambda event: type(event).__name__)
def test_what_is_shown(event: Shown) -> None:
    wording = Wording("1", MARKED, lambda: "2")
    for line in wording.plain(event):
        assert_all_marked(re.sub(r"^\*\*\* /\w+", "", line))
    for line in "".join(text for _, text in look(event, wording)).splitlines():
        assert_all_marked(re.sub(r"^\*\*\* /\w+", "", line))


def test_that_somebody_is_away_stands_in_a_line_of_its_own() -> None:
    pieces = look(Sent(1, 0.0, "Bob", "hungry?", away="lunch"), Wording("here"))
    shown = "".join(text for _, text in pieces).splitlines()
    assert shown == ["[you -> Bob] hungry?", "*** Bob is away: lunch"]


@pytest.mark.parametrize("state", State)
def test_the_status_line(state: State) -> None:
    for again in (0.0, 5.0):
        for typing in ((), ("1",), ("1", "2"), ("1", "2", "3")):
            status = Status(
                *("1", state),
                again=again,
                queued=2,
                leaving=True,
                name="2",
                online=3,
                typing=typing,
                abort="4",
                words=MARKED,
            )
            assert_all_marked(status.line)


def test_what_is_completed() -> None:
    for found in completions("/", (), HELPED.commands, words=MARKED):
        assert_all_marked(re.sub(r"/\w+", "", found.help))


def texts(path: Path) -> Iterator[str]:
    """Those in a module that could be meant for people: several words, not in a docstring."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            text = str(node.value)
            if re.search(r"[a-z]{2,} [a-z]{2,}", text):
                yield text


# Command lines have words of their own (argparse's), and logs are the developer's; the rest are
# styles, tags and events of Tk.
ELSEWHERE = {"__main__.py", "arguments.py", "wording.py", "theme.py"}
NOT_SHOWN = re.compile(
    "|".join(
        (
            r"The (chat's client|window) .*",  # logged
            r"The connection cannot be remembered.*",
            r"Heard .*|Not understood.*|Nobody asked for.*",
            r"from \{?",  # a fault of ours
            r"line \w+|end - .*|.*line(start|end).*",  # Tk's
            r"wrong version number|packet length too long",  # OpenSSL's
            r"http request|unknown protocol",
            r"not a (JSON|regular) .*",  # beside the name of a file
        )
    )
)


@pytest.mark.parametrize(
    "path",
    [*(PACKAGE / "client").rglob("*.py"), *(PACKAGE / "gui").glob("*.py")],
    ids=lambda path: "-".join(path.parts[-2:]),
)
def test_no_module_has_words_of_its_own(path: Path) -> None:
    if path.name not in ELSEWHERE:
        assert [text for text in texts(path) if not NOT_SHOWN.fullmatch(text.strip())] == []


def test_the_marks_are_made_of_every_text() -> None:
    assert mark("a {b} c") == "«a »{b}« c»"
