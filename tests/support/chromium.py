"""A real Chromium, driven through its DevTools protocol over two pipes, so that nothing is needed
but the browser itself (Debian: chromium)."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 20.0  # seconds until a test gives up waiting
# No sandbox: tests may run as root. The rest keeps it from calling home.
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-GB", "--mute-audio"),
    *("--disable-background-timer-throttling", "--disable-renderer-backgrounding"),
    "--remote-debugging-pipe",
)
_KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    " ": ("Space", 32, " "),
}
SHIFT = 8


class BrowserError(Exception):
    """The browser, or a script in the page, has failed."""


class Chromium:
    """The browser. ``with Chromium(folder) as browser: page = browser.page(url)``."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None, "chromium is not installed"
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

        def give_pipes() -> None:  # it reads 3 and writes 4
            kept = os.dup(to_browser), os.dup(from_browser)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self._log = (folder / "chromium.log").open("wb")
        self._process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            close_fds=False,
            preexec_fn=give_pipes,  # noqa: PLW1509 (no threads here)
            env={**os.environ, "TZ": "UTC"},
        )
        os.close(to_browser)
        os.close(from_browser)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(BrowserError, OSError):
            self.ask("Browser.close")
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._out)
        os.close(self._in)
        self._log.close()

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            heard = self.hear(deadline - time.monotonic())
            if heard is None:
                raise BrowserError(f"no answer to {method}")
            if heard.get("id") == number:
                if "error" in heard:
                    raise BrowserError(f"{method}: {heard['error']}")
                result: dict[str, Any] = heard["result"]
                return result

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next message, be it an answer or an event, which is kept."""
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                return None
            data = os.read(self._in, 1 << 20)
            if not data:
                raise BrowserError("the browser has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, url: str = "about:blank", **how: Any) -> "Page":
        """A page of its own: it shares no storage with others. `how`: see `Page.looks_like`."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, str(session["sessionId"]), str(target["targetId"]))
        if how:
            page.looks_like(**how)
        if url != "about:blank":
            page.goes_to(url)
        return page


class Page:
    """One page, as the person before it uses it."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self.browser = browser
        self._session = session
        self._target = target
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        self.ask(
            "Page.addScriptToEvaluateOnNewDocument",
            source=(
                "window.longTasks = []; new PerformanceObserver((list) => { for (const task of "
                "list.getEntries()) window.longTasks.push(task.duration); })"
                ".observe({type: 'longtask', buffered: true});"
            ),
        )

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.ask(method, self._session, **params)

    def events(self, method: str) -> list[dict[str, Any]]:
        """The parameters of such events of this page so far."""
        while self.browser.hear(0) is not None:
            pass
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] == method and event.get("sessionId") == self._session
        ]

    def goes_to(self, url: str) -> None:
        self.ask("Page.navigate", url=url)
        self.waits_for("document.readyState === 'complete'")

    def reloads(self) -> None:
        self.runs("window.isOld = true")
        self.ask("Page.reload")
        self.waits_for("!window.isOld && document.readyState === 'complete'")

    def closes(self) -> None:
        self.browser.ask("Target.closeTarget", targetId=self._target)

    def looks_like(
        self, *, width: int = 1100, height: int = 720, dark: bool = False, mobile: bool = False
    ) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2,
            mobile=mobile,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def runs(self, script: str) -> Any:
        """What the expression `script` is, or what it promises."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def waits_for(self, script: str, seconds: float = PATIENCE) -> None:
        """Until `script` is true."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(BrowserError):  # the page may be about to go
                if self.runs(f"Boolean({script})"):
                    return
            assert time.monotonic() < deadline, f"{script}\n{self.runs('document.body.innerText')}"
            time.sleep(0.02)

    def shows(self, text: str, *, within: str = "body") -> None:
        """Until it does."""
        self.waits_for(f"document.querySelector('{within}').innerText.includes({json.dumps(text)})")

    def text_of(self, selector: str) -> list[str]:
        texts = self.runs(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)"
        )
        return [str(text) for text in texts]

    def clicks(self, selector: str) -> None:
        self.waits_for(f"document.querySelector({json.dumps(selector)})")
        box = self.runs(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); "
            "node.scrollIntoView({block: 'nearest'}); const box = node.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        where = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **where)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **where)

    def types(self, text: str) -> None:
        self.ask("Input.insertText", text=text)

    def presses(self, key: str, modifiers: int = 0, code: int | None = None) -> None:
        """A key; `code`: as which an input method shows it."""
        name, number, text = _KEYS[key]
        fields = {
            "key": key,
            "code": name,
            "windowsVirtualKeyCode": code or number,
            "modifiers": modifiers,
        }
        down = (
            {"type": "keyDown", "text": text} if text and code is None else {"type": "rawKeyDown"}
        )
        self.ask("Input.dispatchKeyEvent", **down, **fields)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **fields)

    def composes(self, text: str) -> None:
        """An input method shows `text`, which is not chosen yet."""
        self.ask(
            "Input.imeSetComposition", text=text, selectionStart=len(text), selectionEnd=len(text)
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def requests(self) -> list[str]:
        """The addresses of all that it has asked for."""
        asked = [str(event["request"]["url"]) for event in self.events("Network.requestWillBeSent")]
        return asked + [str(event["url"]) for event in self.events("Network.webSocketCreated")]

    def complaints(self) -> list[str]:
        """What the browser's console has to say, violations of the policy among it."""
        logged = [str(event["entry"]["text"]) for event in self.events("Log.entryAdded")]
        thrown = [json.dumps(event) for event in self.events("Runtime.exceptionThrown")]
        said = [
            json.dumps(event["args"])
            for event in self.events("Runtime.consoleAPICalled")
            if event["type"] in ("error", "warning", "assert")
        ]
        # A server that is away is no fault of the page's.
        return [one for one in logged if "ERR_CONNECTION" not in one] + thrown + said


def joined(browser: Chromium, url: str, name: str, **how: Any) -> Page:
    """A page in which somebody has come in as `name`."""
    page = browser.page(url, **how)
    page.waits_for("document.activeElement.id === 'name'")
    page.types(name)
    page.presses("Enter")
    page.waits_for("!document.getElementById('chat').hidden")
    page.waits_for("document.getElementById('title').innerText")
    return page


Opened = Callable[..., Page]
