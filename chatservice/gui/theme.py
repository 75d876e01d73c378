"""The look of the window: that of all our windows, and the styles of conversations."""

import os
import tkinter as tk
from tkinter import ttk
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.utils import getProcessOutput

from chatservice.client.faces.looks import PALETTE
from chatservice.desktop.theme import Look, Palette, blended, palette

POINT = 72  # to an inch
ASKING_SECONDS = 0.5  # for a desktop to say what it prefers; the window waits for it
INDENT = 16  # pixels, of rows that continue a line
LEGIBLE = 4.5  # the contrast that WCAG 2 asks for


async def colours(theme: str, reactor: Any) -> Palette:
    """The palette of a theme: `light`, `dark` or `auto`, which asks the desktop and does not wait
    long."""
    return palette(theme == "dark" if theme != "auto" else await _desktop_is_dark(reactor))


async def _desktop_is_dark(reactor: Any) -> bool:
    if chosen := os.environ.get("GTK_THEME"):
        return "dark" in chosen.lower()
    asking = getProcessOutput(
        "gsettings",
        ("get", "org.gnome.desktop.interface", "color-scheme"),
        env=os.environ,
        reactor=reactor,
    )
    asking.addTimeout(ASKING_SECONDS, reactor)
    try:
        return b"dark" in await asking
    except (OSError, CancelledError, TimeoutError):  # no such program, or no answer
        return False


def scale(root: tk.Tk) -> tk.Tk:
    """Scale everything like fonts, which follow the desktop's ``Xft.dpi``. Tk itself ignores it.

    X resources are found under a program's name, so this takes another interpreter. It is returned
    to be kept: Tcl aborts when one is collected in another thread, as the reactor has.
    """
    asked = tk.Tk(className="Xft")
    asked.withdraw()
    dpi = asked.option_get("dpi", "Dpi")
    asked.update_idletasks()  # or it complains of what it was about to do
    asked.destroy()
    try:
        root.tk.call("tk", "scaling", float(dpi) / POINT)
    except (ValueError, tk.TclError):
        pass
    return asked


class ChatLook(Look):
    """A `Look` with the tags and styles of conversations."""

    def __init__(self, root: tk.Tk, colours: Palette) -> None:
        super().__init__(root, colours)
        self._of_names = {each: legible(each, colours) for each in PALETTE}
        self._style_more(ttk.Style(root))
        for option, value in (
            ("background", colours.surface),
            ("foreground", colours.text),
            ("activeBackground", colours.chosen),
            ("activeForeground", colours.text),
            ("activeBorderWidth", 0),
            ("borderWidth", 1),
            ("relief", "solid"),
            ("font", self.font),
        ):
            root.option_add(f"*Menu.{option}", value)

    def shade(self, of_name: str) -> str:
        """A colour of `looks.PALETTE`, adjusted to be legible in this theme."""
        return self._of_names[of_name]

    def tags_of(self, style: str) -> str:
        """The tags for a style of `looks`. Colours are those of names, and imply bold."""
        return " ".join(each for each in style.split() if each not in ("bold", "reverse"))

    @property
    def text_start(self) -> int:
        """Where the text of a line begins, in pixels from the edge of the conversation."""
        return self.font.measure("00:00") + self.px(24)

    def tags(self, text: tk.Text) -> None:
        """Configure the tags that `lines` uses, the strongest last."""
        c, px = self.colours, self.px
        start = self.text_start
        text.configure(tabs=(start,))
        # What somebody says goes on further in than where lines begin: it cannot pass for another.
        text.tag_configure("line", lmargin1=px(12), lmargin2=start + px(INDENT), rmargin=px(12))
        column = start + self.font.measure("*** /register PASSWORD") + px(24)
        text.tag_configure("columns", tabs=(start, column), lmargin2=column)
        text.tag_configure("mention", background=blended(c.warning, c.surface, 0.16))
        text.tag_configure("time", foreground=c.dim, font=self.small)
        text.tag_configure("dim", foreground=c.dim, font=self.small)
        text.tag_configure("notice", foreground=c.dim)
        text.tag_configure(
            "day",
            foreground=c.dim,
            font=self.small,
            justify="center",
            spacing1=px(12),
            spacing3=px(8),
            lmargin1=0,
            lmargin2=0,
        )
        text.tag_configure("ansired", foreground=c.danger)
        for each, shade in self._of_names.items():
            text.tag_configure(each, foreground=shade, font=self.bold)
        text.tag_configure("link", foreground=c.accent, underline=True)
        text.tag_configure("found", background=blended(c.warning, c.surface, 0.45))
        text.tag_raise("sel")

    def _style_more(self, style: ttk.Style) -> None:
        c, px = self.colours, self.px
        style.configure("Plain.TFrame", background=c.surface)
        style.configure("Status.TFrame", background=c.raised)
        style.configure("Status.TLabel", background=c.raised, foreground=c.dim, font=self.small)
        for kind, shade in (("Good", c.good), ("Warning", c.warning), ("Danger", c.danger)):
            style.configure(f"{kind}.Status.TLabel", foreground=shade)
        style.configure(
            "Status.TButton",
            background=c.raised,
            foreground=c.dim,
            font=self.small,
            padding=(px(8), 0),
            borderwidth=0,
        )
        style.configure("Danger.TLabel", foreground=c.danger)
        style.configure("New.Accent.TButton", width=0, padding=(px(10), px(3)))
        style.map("TEntry", selectbackground=[("!focus", c.chosen)])
        style.map("TEntry", selectforeground=[("!focus", c.text)])
        style.configure("TNotebook", borderwidth=0, tabmargins=0, background=c.window)
        style.configure(
            "TNotebook.Tab",
            background=c.window,
            foreground=c.dim,
            padding=(px(14), px(6)),
            bordercolor=c.window,
            lightcolor=c.window,
            darkcolor=c.window,
        )
        style.map(
            "TNotebook.Tab",
            background=[("selected", c.surface), ("active", c.raised)],
            foreground=[("selected", c.text), ("active", c.text)],
            bordercolor=[("selected", c.border)],
            lightcolor=[("selected", c.surface), ("active", c.raised)],
            darkcolor=[("selected", c.surface), ("active", c.raised)],
            padding=[("selected", (px(14), px(6)))],
            expand=[("selected", (0, 0, 0, 0))],
        )
        style.configure(
            "Card.TCheckbutton",
            background=c.surface,
            indicatorsize=px(14),
            indicatormargin=(0, 0, px(8), 0),
            indicatorbackground=c.surface,
            indicatorforeground=c.on_accent,
            upperbordercolor=c.dim,
            lowerbordercolor=c.dim,
            padding=(0, px(2)),
        )
        style.map(
            "Card.TCheckbutton",
            background=[("active", c.surface)],
            indicatorbackground=[("selected", c.accent), ("active", c.raised)],
            upperbordercolor=[("focus", c.accent), ("selected", c.accent)],
            lowerbordercolor=[("focus", c.accent), ("selected", c.accent)],
        )
        for kind in ("TLabel", "Dim.TLabel", "Title.TLabel", "Danger.TLabel"):
            style.configure(f"Card.{kind}", background=c.surface)


def legible(shade: str, colours: Palette) -> str:
    """`shade`, moved towards the colour of text until it is legible."""
    share = 1.0
    while share > 0 and contrast(mixed := blended(shade, colours.text, share), colours) < LEGIBLE:
        share -= 0.05
    return mixed


def contrast(shade: str, colours: Palette) -> float:
    """The contrast of `shade` with the background of conversations (WCAG 2): from 1 to 21."""
    light, dark = sorted((_luminance(shade), _luminance(colours.surface)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(shade: str) -> float:
    parts = (int(shade[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
