"""Small live plots on a canvas."""

import math
import tkinter as tk
from collections import deque
from collections.abc import Callable
from typing import Any

from chatservice.desktop.theme import Look, blended

SAMPLES = 121  # one a second: two minutes
STEPS = (1, 2, 5, 10)  # of an axis, times a power of ten


def count(value: float) -> str:
    """A count, such as ``3``, ``0.4`` or ``12,345``."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def mebibytes(value: float) -> str:
    """A size, such as ``12 MiB``."""
    return f"{count(value)} MiB"


class Plot(tk.Canvas):
    """A curve of the last two minutes, with the newest value in the corner. `label` formats a
    value; the axis goes up to `least` or more."""

    def __init__(
        self,
        parent: tk.Misc,
        look: Look,
        *,
        title: str,
        colour: str,
        label: Callable[[float], str],
        least: float,
    ) -> None:
        super().__init__(
            parent,
            width=look.px(200),
            height=look.px(126),
            highlightthickness=1,
            highlightbackground=look.colours.border,
            takefocus=0,
        )
        self.values: deque[float] = deque(maxlen=SAMPLES)
        self._look = look
        self._title = title
        self._colour = colour
        self._label = label
        self._least = least
        self.bind("<Configure>", lambda _: self.draw())

    def add(self, value: float) -> None:
        """Add the newest value."""
        self.values.append(value)
        self.draw()

    def draw(self) -> None:
        """Draw everything again: a handful of items."""
        look, px, colours = self._look, self._look.px, self._look.colours
        self.delete("all")
        edge, newest = px(12), self.values[-1] if self.values else 0.0
        line, small = look.large.metrics("linespace"), look.small.metrics("linespace")
        width, height = self.winfo_width(), self.winfo_height()
        middle = edge + line // 2
        self.create_text(
            edge, middle, text=self._title, anchor="w", font=look.font, fill=colours.dim
        )
        self.create_text(
            width - edge,
            middle,
            text=self._label(newest),
            anchor="e",
            font=look.large,
            fill=colours.text,
        )
        small_words: Any = {"font": look.small, "fill": colours.dim}
        top = axis_top(max(self.values, default=0.0), self._least)
        names = [count(top), count(0)]
        left, right = edge, width - edge - max(map(look.small.measure, names)) - px(6)
        above, below = edge + line + small // 2 + px(4), height - edge - small - px(2)
        for y, name in zip((above, below), names, strict=True):
            self.create_line(left, y, right, y, fill=colours.border)
            self.create_text(width - edge, y, text=name, anchor="e", **small_words)
        under = below + px(4)
        self.create_text(left, under, text="2 min ago", anchor="nw", **small_words)
        self.create_text(right, under, text="now", anchor="ne", **small_words)
        step = (right - left) / (SAMPLES - 1)
        start = right - step * (len(self.values) - 1)
        points = [
            (start + step * index, below - (below - above) * value / top)
            for index, value in enumerate(self.values)
        ]
        if len(points) > 1:
            area = [(start, below), *points, (right, below)]
            tint = blended(self._colour, colours.surface, 0.16)
            self.create_polygon(area, fill=tint, outline="")
            self.create_line(points, fill=self._colour, width=px(1.6), joinstyle="round")


def axis_top(highest: float, least: float) -> float:
    """The next round number above `highest`, or above `least`."""
    highest = max(highest, least)
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in STEPS if step * power >= highest * (1 - 1e-9))
