"""An X display of its own for a test, hands to use what is on it, and eyes."""

import ctypes
import gc
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tkinter

PATIENCE = 10  # seconds until a test gives up waiting
PROGRAMS = ("Xvfb", "xdotool")
_ENDED: list[object] = []  # interpreters of Tk


def is_possible() -> bool:
    """Whether this machine has what a display takes."""
    return all(map(shutil.which, PROGRAMS))


class Display:
    """``Xvfb``, of this size in pixels, with xdotool as the hands of whoever sits there.

    `folder` is for what the X server keeps. There is no window manager.
    """

    def __init__(self, folder: Path, width: int = 1200, height: int = 800, dpi: int = 96) -> None:
        self.name = ""
        self._folder = folder
        self._command = [
            *("Xvfb", "-screen", "0", f"{width}x{height}x24", "-dpi", str(dpi)),
            *("-nolisten", "tcp", "-nocursor", "-fbdir", str(folder)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the display can be used; the X server chooses its number."""
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*self._command, "-displayfd", str(writing)],
                pass_fds=(writing,),
                stderr=subprocess.DEVNULL,
            )
            os.close(writing)
            with open(reading, "rb", closefd=False) as said:
                self.name = f":{int(said.readline())}"
        finally:
            os.close(reading)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def __enter__(self) -> "Display":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """That of a program which is to be seen here."""
        return {**os.environ, "DISPLAY": self.name}

    def do(self, *command: str | int) -> str:
        """What xdotool says to a command of its own."""
        return subprocess.run(
            ["xdotool", *map(str, command)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def wait_for_window(self, title: str) -> int:
        """The number of a window that is shown under this title, which gets the keyboard."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                window = int(self.do("search", "--onlyvisible", "--name", title).split()[0])
                self.do("windowfocus", "--sync", window)
            except (subprocess.CalledProcessError, IndexError):
                time.sleep(0.05)
            else:
                return window
        raise AssertionError(f"no window is called {title}")

    def key(self, *keys: str) -> None:
        """Press keys, one after the other: ``Return``, ``alt+a``."""
        self.do("key", "--delay", 20, *keys)

    def type(self, text: str) -> None:
        self.do("type", "--delay", 10, text)

    def click(self, x: int, y: int) -> None:
        """The left button, there on the screen."""
        self.do("mousemove", x, y, "click", 1)

    def close(self, window: int) -> None:
        """What a window manager does when somebody clicks on the cross of a window. In a process of
        its own: Xlib ends whatever process has a fault, such as a window that has just gone."""
        command = [sys.executable, __file__, self.name, str(window)]
        subprocess.run(command, timeout=PATIENCE, check=False)

    def screenshot(self, path: Path) -> None:
        """All of the screen, as a PNG."""
        path.write_bytes(_png((self._folder / "Xvfb_screen0").read_bytes()))


def end(root: "tkinter.Tk") -> None:
    """Ends what a test has shown in its own process. Nothing of it may be collected in another
    thread, as some tests have: Tcl aborts."""
    root.destroy()
    _ENDED.append(root)
    gc.collect()


def _png(dump: bytes) -> bytes:
    """A PNG of an X window dump (XWD) with 32 bits a pixel, blue first, as Xvfb keeps it."""
    header = struct.unpack(">25I", dump[:100])
    header_size, width, height, line, colours = *header[:1], *header[4:6], header[12], header[19]
    start = header_size + colours * 12
    rows = bytearray()
    for row in range(height):
        pixels = dump[start + row * line : start + row * line + width * 4]
        bare = bytearray(width * 3)
        bare[0::3], bare[1::3], bare[2::3] = pixels[2::4], pixels[1::4], pixels[0::4]
        rows += b"\0" + bare
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _close(display: str, window: int) -> None:
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    shown_on = ctypes.c_void_p(x.XOpenDisplay(display.encode()))
    protocols, delete = (
        x.XInternAtom(shown_on, name, False) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
    )
    # An XClientMessageEvent, in the room that an XEvent has.
    message = struct.pack("@iLiPLLi5l", 33, 0, 1, 0, window, protocols, 32, delete, 0, 0, 0, 0)
    x.XSendEvent(shown_on, ctypes.c_ulong(window), False, ctypes.c_long(0), message.ljust(192))
    x.XCloseDisplay(shown_on)


if __name__ == "__main__":
    _close(sys.argv[1], int(sys.argv[2]))
