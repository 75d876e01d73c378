"""Inputs of families that are known to be slow somewhere, and the costliest of them."""

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

# What inputs are made of. A byte that is in no UTF-8 stands as half a surrogate pair.
UNITS = (
    *(
        "a",
        "A",
        "I",
        "x1",
        " ",
        "  ",
        "\t",
        "\r",
        "\0",
        "\x1b[",
        ".",
        ",",
        "-",
        "/",
        "//",
        ":",
        "_",
    ),
    *("0", "9", "1e9", "-0", "0.", "E", '"', "'", "\\", '\\"', "\\u0301", "\\ud800", "\\n", "\\u"),
    *(
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        '{"a":',
        '"a":',
        '{"type":',
        "null,",
        "[0,",
        "<",
        ">",
        "@",
        "#",
    ),
    *("\u0301", "\u0316", "\u0301\u0316", "\u0334", "\u0345", "e\u0301", "\u0344", "\u1fb7"),
    *(
        "\u05d0\u05b8",
        "\u05bf",
        "\u0628",
        "\u0644\u0627",
        "\u064b\u0651",
        "\u0640",
        "\ufdfa",
        "\ufefb",
    ),
    *(
        "\u1100",
        "\u1161",
        "\u11a8",
        "\uac00",
        "\u4e00",
        "\u3042",
        "\u0e01",
        "\u0e33",
        "\u0e38\u0e48",
    ),
    *("\u0915\u094d", "\u093f", "\u0d46\u0d3e", "\u0f71\u0f72", "\u1b05\u1b35", "\u0130", "\u00df"),
    *(
        "\u03a3",
        "\u0390",
        "\u00e9",
        "\u1e9b\u0323",
        "\u2126",
        "\u33c7",
        "\uff21",
        "\u0430",
        "\u0406",
    ),
    *("\u200b", "\u200d", "\u200c", "\u202e", "\u2066", "\u2028", "\ufeff", "\u3000", "\u00a0"),
    *("\U0001f600", "\U0001f468\u200d", "\U0001f3fb", "\U0001f1e6", "\ufe0f", "\U0001d160"),
    *("\U00020000", "\U0010ffff", "\U000e0061", "http://a", "https://", "www.", "Bob", "bob "),
    *("\udcff", "\udcff\udcfa", "\udcff\udcf0", "\udcff\udcf1", "\udcff\udcfb\x1f", "\udcff\udcff"),
    *("\udcc3", "\udce2\udc82", "\udcf0\udc9f", "\udced\udca0\udc80", "\udcc0\udc80"),
    *(
        "PROXY ",
        "TCP4 ",
        "1.",
        "::",
        "ffff:",
        "\r\n\r\n\0\r\nQUIT\n",
        "\x21\x11",
        "%",
        "*",
        "^",
        "~",
    ),
)
PAIRS = (
    ("[", "]"),
    ("{", "}"),
    ("(", ")"),
    ('{"a":', "}"),
    ('"', '"'),
    ("\udcff\udcfa", "\udcff\udcf0"),
)


RANDOM_UNITS = 64  # then they are repeated


class Family(Enum):
    """How the units follow each other."""

    REPETITION = auto()
    ALTERNATION = auto()
    BLOCKS = auto()  # one half is the first, one the second
    NESTING = auto()
    SEQUENCE = auto()  # one character after the other, as Unicode has them
    RANDOM = auto()


@dataclass(frozen=True)
class Shape:
    """An input, of whatever size."""

    family: Family
    units: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""
    seed: int = 0

    def of(self, size: int) -> bytes:
        """Of about so many bytes, and no more."""
        room = size - len(encoded(self.prefix + self.suffix))
        return encoded(self.prefix + self._body(room) + self.suffix)[:size]

    def _body(self, room: int) -> str:
        first, last = self.units[0], self.units[-1]
        count = max(room // len(encoded("".join(self.units))), 0)
        match self.family:
            case Family.REPETITION | Family.ALTERNATION:
                return "".join(self.units) * count
            case Family.BLOCKS | Family.NESTING:
                return first * count + last * count
            case Family.SEQUENCE:
                start = min(ord(first[0]) + self.seed % 64, 0x10FFFF - room)
                characters = "".join(map(chr, range(start, start + room // 3)))
                return characters.encode("utf-8", "ignore").decode()
            case Family.RANDOM:
                choose = random.Random(self.seed)
                some = choose.choices(self.units, k=min(count, RANDOM_UNITS))
                return "".join(some) * max(count // RANDOM_UNITS, 1)

    def __str__(self) -> str:
        units = " ".join(repr(unit)[1:-1] for unit in self.units[:4])
        around = f" after {self.prefix!r}" if self.prefix else ""
        return f"{self.family.name.lower()} of {units}{around}"[:90]


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def anything(choose: random.Random) -> Shape:
    family = choose.choice(list(Family))
    match family:
        case Family.NESTING:
            units: tuple[str, ...] = choose.choice(PAIRS)
        case Family.RANDOM:
            units = tuple(choose.choices(UNITS, k=choose.choice((2, 3, 8, 40))))
        case _:
            units = tuple(choose.choices(UNITS, k=1 if family is Family.REPETITION else 2))
    prefix, suffix = (choose.choice(UNITS) if choose.random() < 0.3 else "" for _ in range(2))
    return Shape(family, units, prefix, suffix, choose.randrange(2**32))


def varied(shape: Shape, choose: random.Random) -> Shape:
    """Something like it."""
    match choose.randrange(4):
        case 0:
            return replace(shape, prefix=choose.choice(UNITS))
        case 1:
            return replace(shape, suffix=choose.choice(UNITS))
        case 2 if shape.family is not Family.NESTING:
            index = choose.randrange(len(shape.units))
            units = (*shape.units[:index], choose.choice(UNITS), *shape.units[index + 1 :])
            return replace(shape, units=units)
    return replace(shape, family=choose.choice(list(Family)), seed=choose.randrange(2**32))


FEW = 64  # bytes


class Costliest(NamedTuple):
    """What was found: its least time of a processor, in ms, and that of half of it."""

    shape: Shape
    size: int
    cost: float
    half: float

    @property
    def growth(self) -> float:
        """How much more twice as much costs; in a few characters there is none."""
        return self.cost / self.half if self.size >= FEW else 1.0


KEPT = 12  # of the costliest, which are measured again
TIMES = 7  # so often
ROUNDS = 3  # of which the one with the least growth counts: others use this machine's caches, too
ENOUGH = 0.5  # seconds, after which there is no need to look for more


def costliest(
    cost: Callable[[bytes], float], inputs: int, largest: int, choose: random.Random
) -> Costliest:
    """The costliest of so many inputs of at most `largest` bytes. `cost`: in seconds."""
    found: dict[Shape, tuple[float, int]] = {}
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for number in range(inputs):
            like = choose.choice(list(found)) if found and number % 4 == 0 else None
            shape = anything(choose) if like is None else varied(like, choose)
            # Small ones are many in a second, and what is quadratic shows in large ones.
            small = choose.random() * choose.random() if number % 64 else 1.0
            size = int(largest**small)
            seconds = cost(shape.of(size))
            if len(found) < KEPT or seconds > min(found.values())[0]:
                found[shape] = max(found.get(shape, (0.0, 0)), (seconds, size))
                if len(found) > KEPT:
                    del found[min(found, key=lambda each: found[each])]
                if seconds > ENOUGH:
                    break
            if number % 5000 == 0:
                gc.collect()

        def least(shape: Shape, size: int) -> float:
            data = shape.of(size)
            return min(cost(data) for _ in range(TIMES)) * 1000

        again = {shape: least(shape, size) for shape, (_, size) in found.items()}
        shape = max(again, key=lambda each: again[each])
        size = found[shape][1]
        measured = [
            Costliest(shape, size, least(shape, size), least(shape, size // 2))
            for _ in range(ROUNDS)
        ]
        return min(measured, key=lambda each: each.growth)
    finally:
        gc.enable()
        gc.unfreeze()


def seconds_of(work: Callable[[], object]) -> float:
    """Of this thread's processor."""
    start = time.thread_time()
    work()
    return time.thread_time() - start
