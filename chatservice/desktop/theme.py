"""Light and dark: the colours, and what ttk's widgets make of them."""

import shutil
import subprocess
import tkinter as tk
from dataclasses import dataclass
from tkinter import font, ttk
from typing import Any

ASKING_SECONDS = 2  # until a desktop that does not say what it prefers is taken to be light
USUAL_SCALING = 96 / 72  # pixels to a point, where a pixel of ours is one of the screen's


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours. `dim`: secondary text; `chosen`: the background of what is selected; `lines`: the
    plots."""

    window: str
    surface: str
    raised: str
    border: str
    text: str
    dim: str
    accent: str
    on_accent: str
    chosen: str
    good: str
    warning: str
    danger: str
    lines: tuple[str, str, str]


LIGHT = Palette(
    window="#f3f4f7",
    surface="#ffffff",
    raised="#e8eaef",
    border="#d3d8e0",
    text="#1b2330",
    dim="#626d7f",
    accent="#2458d3",
    on_accent="#ffffff",
    chosen="#d9e5ff",
    good="#177245",
    warning="#8a5300",
    danger="#b3261e",
    lines=("#2458d3", "#177245", "#8145b5"),
)
DARK = Palette(
    window="#14171c",
    surface="#1c2027",
    raised="#2a303a",
    border="#353c48",
    text="#e4e8ee",
    dim="#95a0b1",
    accent="#7aa7ff",
    on_accent="#0c1526",
    chosen="#2b406b",
    good="#62cf93",
    warning="#e9b54a",
    danger="#ff8a80",
    lines=("#7aa7ff", "#62cf93", "#c79bf2"),
)


def palette(dark: bool) -> Palette:
    """The colours of one theme or the other."""
    return DARK if dark else LIGHT


def is_dark(theme: str) -> bool:
    """Whether a theme (`light`, `dark` or `auto`: as the desktop prefers it) is dark."""
    if theme != "auto":
        return theme == "dark"
    asking = shutil.which("gsettings")
    if asking is None:
        return False
    try:
        answer = subprocess.run(  # noqa: S603 (nothing of it comes from outside)
            [asking, "get", "org.gnome.desktop.interface", "color-scheme"],
            capture_output=True,
            timeout=ASKING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"dark" in answer.stdout


def blended(over: str, under: str, share: float) -> str:
    """A mixture of two colours. `share`: how much of `over` there is in it."""
    pairs = ((int(over[at : at + 2], 16), int(under[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


class Look:
    """The palette, fonts and sizes of one window.

    Sizes follow ``tk scaling``: those of fonts by themselves (they are in points), all others
    through `px`.
    """

    def __init__(self, root: tk.Tk, colours: Palette) -> None:
        self.colours = colours
        self._scale = float(root.tk.call("tk", "scaling")) / USUAL_SCALING
        self.font = font.nametofont("TkDefaultFont", root)
        size, family = self.font.actual("size"), self.font.actual("family")
        self.small = font.Font(root, family=family, size=max(size - 1, 7))
        self.bold = font.Font(root, family=family, size=size, weight="bold")
        self.large = font.Font(root, family=family, size=size + 4, weight="bold")
        root.configure(background=colours.window)
        self._style(ttk.Style(root))
        self._options(root)

    def px(self, pixels: float) -> int:
        """`pixels` of a 96 dpi screen in pixels of this one."""
        return round(pixels * self._scale)

    def _options(self, root: tk.Tk) -> None:
        """Set the options of widgets that are not ttk's."""
        colours = self.colours
        for option, value in (
            ("*Text.background", colours.surface),
            ("*Text.foreground", colours.text),
            ("*Canvas.background", colours.surface),
            ("*selectBackground", colours.chosen),
            ("*selectForeground", colours.text),
            ("*inactiveSelectBackground", colours.chosen),
            ("*insertBackground", colours.text),
        ):
            root.option_add(option, value)

    def _style(self, style: ttk.Style) -> None:
        c, px = self.colours, self.px
        style.theme_use("clam")
        style.configure(
            ".",
            background=c.window,
            foreground=c.text,
            fieldbackground=c.surface,
            bordercolor=c.border,
            lightcolor=c.border,
            darkcolor=c.border,
            troughcolor=c.window,
            selectbackground=c.chosen,
            selectforeground=c.text,
            insertcolor=c.text,
            focuscolor=c.accent,
            font=self.font,
        )
        style.map(".", foreground=[("disabled", c.dim)])
        style.configure("Dim.TLabel", foreground=c.dim)
        style.configure("Small.TLabel", foreground=c.dim, font=self.small)
        style.configure("Title.TLabel", font=self.large)
        style.configure("Head.TLabel", font=self.bold)
        style.configure("Good.TLabel", foreground=c.good)
        style.configure("Warning.TLabel", foreground=c.warning)
        style.configure("Card.TFrame", background=c.surface, bordercolor=c.border, relief="solid")
        style.configure("Focus.Card.TFrame", bordercolor=c.accent)
        for name, face, text in (
            ("TButton", c.raised, c.text),
            ("Accent.TButton", c.accent, c.on_accent),
            ("Danger.TButton", c.raised, c.danger),
        ):
            pressed = blended(c.text, face, 0.12)
            style.configure(
                name,
                background=face,
                foreground=text,
                padding=(px(14), px(5)),
                anchor="center",
                **_edges(face),
            )
            style.map(
                name,
                background=[("disabled", c.raised), ("active", pressed)],
                foreground=[("disabled", c.dim)],
                relief=[("", "raised")],
                **_edges([("disabled", c.raised), ("focus", c.text), ("active", pressed)]),
            )
        style.configure(
            "Filter.Toolbutton",
            background=c.window,
            foreground=c.dim,
            padding=(px(10), px(4)),
            **_edges(c.window),
        )
        style.map(
            "Filter.Toolbutton",
            background=[("selected", c.chosen), ("active", c.raised)],
            foreground=[("selected", c.text), ("active", c.text)],
            relief=[("", "raised")],
            **_edges([("focus", c.accent), ("selected", c.chosen), ("active", c.raised)]),
        )
        style.configure("TEntry", padding=(px(8), px(5)), lightcolor=c.surface)
        style.configure("Treeview.Cell", padding=(px(6), 0))
        style.map(
            "TEntry",
            bordercolor=[("focus", c.accent)],
            lightcolor=[("focus", c.accent)],
            fieldbackground=[("disabled", c.window)],
        )
        style.configure(
            "Treeview",
            background=c.surface,
            rowheight=self.font.metrics("linespace") + px(8),
            borderwidth=0,
        )
        style.map(
            "Treeview", background=[("selected", c.chosen)], foreground=[("selected", c.text)]
        )
        style.layout("Treeview", [("Treeview.treearea", {"sticky": "nswe"})])
        style.configure(
            "Treeview.Heading",
            background=c.surface,
            foreground=c.dim,
            font=self.small,
            relief="flat",
            padding=(px(8), px(5)),
        )
        style.map(
            "Treeview.Heading",
            background=[("active", c.raised)],
            foreground=[("active", c.text)],
        )
        style.configure(
            "TScrollbar",
            background=blended(c.dim, c.surface, 0.45),
            troughcolor=c.surface,
            bordercolor=c.surface,
            lightcolor=c.surface,
            darkcolor=c.surface,
            arrowcolor=c.dim,
            gripcount=0,
            width=px(10),
            arrowsize=px(10),
        )
        style.map("TScrollbar", background=[("disabled", c.surface), ("active", c.dim)])
        # Without arrows.
        thumb = ("Vertical.Scrollbar.thumb", {"expand": "1", "sticky": "nswe"})
        trough: Any = ("Vertical.Scrollbar.trough", {"sticky": "ns", "children": [thumb]})
        style.layout("Vertical.TScrollbar", [trough])
        style.configure("Sash", sashthickness=px(10), gripcount=0, bordercolor=c.window)


def _edges(colour: Any) -> dict[str, Any]:
    """Options for the three lines that clam draws around a button, in one colour."""
    return dict.fromkeys(("bordercolor", "lightcolor", "darkcolor"), colour)
