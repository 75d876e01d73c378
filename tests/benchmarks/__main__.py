"""``python -m tests.benchmarks``: this chat beside its peers, in one run, taken in turn."""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from tests.benchmarks import generator, measure, report
from tests.benchmarks.measure import Figures
from tests.benchmarks.peers import (
    DURABLE,
    OVER_TLS,
    PEERS,
    Peer,
    StartError,
    new_certificate,
    running,
)

# A cell of one peer, as the JSON file has it.
Row = dict[str, Any]

MEASUREMENTS = ("saturated", "latency", "idle", "joins", "readers", "stalled", "tls", "durable")
# Busy on average before we begin; more than this, and other programs disturb the figures.
QUIET_LOAD = 0.5
GENERATOR_BUSY = 0.95
SERVER_BUSY = 0.90
# Whose cost is measured as readers grow.
GROWING = ("ours", "c", "ngircd")
# Clients that join at the same time, where the memory of connections is measured: with more it
# would be the memory of a thousand lists and notices under way.
AT_ONCE_IDLE = 64


@dataclass(frozen=True)
class Cell:
    """One thing to measure of each peer. `limit`: seconds until it is given up.

    `beside_tls`: it is measured again, in turn with the same over TLS.
    """

    mode: Literal["saturated", "latency", "idle", "joins"]
    readers: int
    senders: int
    stalled: int = 0
    rate: int = 0
    limit: float = 60
    beside_tls: bool = False

    @property
    def label(self) -> str:
        match self.mode:
            case "saturated":
                stalled = f" + {self.stalled} stalled" if self.stalled else ""
                return f"{self.readers}:{self.senders}{stalled}"
            case "latency":
                return f"{self.readers} readers, {self.rate}/s"
            case "idle" | "joins":
                return f"{self.readers:,} {self.mode}"


@dataclass(frozen=True)
class Plan:
    """Which cells are measured, and for how long: `warmup` and `seconds` in seconds."""

    saturated: tuple[Cell, ...]
    latency: tuple[Cell, ...]
    idle: tuple[Cell, ...]
    joins: tuple[Cell, ...]
    readers: tuple[Cell, ...]
    stalled: tuple[Cell, ...]
    tls: tuple[Cell, ...]
    durable: tuple[Cell, ...]
    warmup: float
    seconds: float
    latency_seconds: float


def fan_out(*sizes: tuple[int, int], beside_tls: bool = False) -> tuple[Cell, ...]:
    """Cells of so many readers and senders."""
    return tuple(
        Cell("saturated", readers, senders, beside_tls=beside_tls) for readers, senders in sizes
    )


STALLED = (*fan_out((100, 10)), Cell("saturated", 100, 10, stalled=20))
FULL = Plan(
    saturated=fan_out((10, 10), (100, 10), (100, 100), (1000, 1), (1000, 10), (1000, 100)),
    latency=(Cell("latency", 100, 10, rate=460), Cell("latency", 1000, 10, rate=50)),
    idle=(Cell("idle", 1000, 1), Cell("idle", 10_000, 1, limit=120)),
    joins=(Cell("joins", 1000, 1),),
    readers=(
        *fan_out((10, 10), (30, 10), (100, 10), (300, 10), (1000, 10), (3000, 10)),
        Cell("saturated", 10_000, 10, limit=120),
    ),
    stalled=STALLED,
    tls=fan_out((10, 10), (100, 10), (1000, 10), beside_tls=True),
    durable=fan_out((100, 10), (1000, 10)),
    warmup=0.5,
    seconds=2,
    latency_seconds=4,
)
QUICK = Plan(
    saturated=fan_out((10, 10), (1000, 10)),
    latency=(Cell("latency", 100, 10, rate=460),),
    idle=(Cell("idle", 1000, 1),),
    joins=(Cell("joins", 300, 1),),
    readers=fan_out((10, 10), (100, 10), (1000, 10)),
    stalled=STALLED,
    tls=fan_out((100, 10), (1000, 10), beside_tls=True),
    durable=fan_out((100, 10), (1000, 10)),
    warmup=0.3,
    seconds=0.5,
    latency_seconds=1,
)


class Benchmark:
    """One run: measures cells once, whichever tables they are in, and keeps the figures."""

    def __init__(
        self, plan: Plan, repeat: int, folder: Path, finished: Callable[[list[Row]], None]
    ) -> None:
        """`finished` is called with everything measured so far whenever a cell is done."""
        self.cells: dict[Cell, dict[str, Figures]] = {}
        self._finished = finished
        self._plan = plan
        self._repeat = repeat
        self._folder = folder

    def measure(self, cells: Sequence[Cell], peers: Sequence[Peer]) -> None:
        """Measure each of `cells` of all `peers`, in turn, as often as repeats were asked for."""
        for cell in cells:
            measured = self.cells.setdefault(cell, {})
            missing = [
                peer
                for peer in peers
                if peer.name not in measured and cell.readers <= peer.largest_room
            ]
            # The memory of a connection does not vary, and ten thousand joins take long.
            repeat = 1 if cell.mode == "idle" else self._repeat
            repeats: dict[str, list[Figures]] = {peer.name: [] for peer in missing}
            for turn in range(repeat):
                for peer in missing:
                    if any("error" in figures for figures in repeats[peer.name]):
                        continue
                    progress(f"{cell.mode} {cell.label}: {peer.title}, {turn + 1} of {repeat}")
                    repeats[peer.name].append(self._measure_once(cell, peer))
            for name, figures in repeats.items():
                measured[name] = with_limit(measure.median(figures))
            self._finished(self.flat())

    def flat(self) -> list[Row]:
        """The figures of each cell and peer, with what was measured."""
        return [
            {**vars(cell), "label": cell.label, "peer": name, **figures}
            for cell, row in self.cells.items()
            for name, figures in row.items()
        ]

    def rows(self, cells: Sequence[Cell]) -> dict[str, dict[str, Figures]]:
        """The figures of `cells`, by label and peer."""
        return {cell.label: self.cells[cell] for cell in cells}

    def _measure_once(self, cell: Cell, peer: Peer) -> Figures:
        plan = self._plan
        seconds = plan.latency_seconds if cell.mode == "latency" else plan.seconds
        warmup = max(plan.warmup, 1) if cell.stalled else plan.warmup
        match cell.mode:
            case "joins":
                at_once = cell.readers
            case "idle":
                at_once = min(AT_ONCE_IDLE, peer.at_once)
            case _:
                at_once = peer.at_once
        options: dict[str, float] = {
            "readers": cell.readers,
            "senders": cell.senders,
            "stalled": cell.stalled,
            "warmup": warmup,
            "seconds": seconds,
            "rate": cell.rate,
            "at_once": at_once,
        }
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            try:
                with running(peer, Path(folder)) as server:
                    figures = generator.run(cell.mode, server, cell.limit, **options)
            except StartError as error:
                return {"error": str(error)}
        return derived(figures)


def derived(figures: Figures) -> Figures:
    """Adds what follows from the figures of a saturated run: rates, costs, shares of a core."""
    if "messages" not in figures:
        return figures
    deliveries, wall, cpu, own_cpu = (
        float(figures[name]) for name in ("deliveries", "wall", "server_cpu", "generator_cpu")
    )
    if not deliveries or not cpu:
        return {"error": "nothing was delivered in the window"}
    return figures | {
        "million_per_core_second": deliveries / cpu / 1e6,
        "million_per_second": deliveries / wall / 1e6,
        "cpu_seconds_per_million": cpu / deliveries * 1e6,
        "server_busy": cpu / wall,
        "generator_busy": own_cpu / wall,
    }


def with_limit(figures: Figures) -> Figures:
    """Adds whether it was the generator that could do no more."""
    if "generator_busy" not in figures:
        return figures
    limited = (
        float(figures["generator_busy"]) > GENERATOR_BUSY
        and float(figures["server_busy"]) < SERVER_BUSY
    )
    return figures | {"generator_was_the_limit": limited}


def progress(text: str) -> None:
    """What is being measured, for whoever waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer and shorter measurements: some 90 seconds")
    add("--repeat", type=int, default=None, metavar="N", help="repeats of each (default: 3)")
    add("--peers", metavar="A,B", help=f"of {','.join(p.name for p in PEERS)} (default: all)")
    add("--only", metavar="A,B", help=f"of {','.join(MEASUREMENTS)} (default: all)")
    add("--json", type=Path, default=Path("build/benchmarks.json"), metavar="FILE")
    add("--plot", type=Path, default=Path("build/benchmarks.png"), metavar="FILE")
    options = parser.parse_args()
    options.peers = chosen(parser, options.peers, [p.name for p in PEERS])
    options.only = chosen(parser, options.only, MEASUREMENTS)
    if options.repeat is None:
        options.repeat = 1 if options.quick else 3
    if options.repeat < 1:
        parser.error("--repeat: at least 1")
    return options


def chosen(
    parser: argparse.ArgumentParser, value: str | None, known: Sequence[str]
) -> Sequence[str]:
    """The names in a comma-separated `value`; all that are known if it is not given."""
    if value is None:
        return known
    names = value.split(",")
    for name in names:
        if name not in known:
            parser.error(f"{name!r} is none of {', '.join(known)}")
    return names


def machine() -> dict[str, Any]:
    """On what this was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "twisted": version("twisted"),
        "load_before": os.getloadavg()[0],
    }


def print_results(only: Sequence[str], plan: Plan, run: Benchmark, titles: dict[str, str]) -> None:
    """All the tables."""
    if "saturated" in only:
        rows = run.rows(plan.saturated)
        title = "Saturated (million deliveries per core-second)"
        report.print_values(title, titles, rows, "million_per_core_second", 2)
        report.print_ratios("Saturated: ours / peer", titles, rows, "million_per_core_second")
        title = "Saturated, by the clock (million deliveries a second)"
        report.print_values(title, titles, rows, "million_per_second", 2)
        title = "CPU (seconds for a million deliveries)"
        report.print_values(title, titles, rows, "cpu_seconds_per_million", 3)
    if "latency" in only:
        rows = run.rows(plan.latency)
        for figure, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "maximum")):
            title = f"Latency, {name} (microseconds from the intended time)"
            report.print_values(title, titles, rows, figure, 0)
        for name in ("p50", "p99"):
            report.print_ratios(f"Latency, {name}: ours / peer", titles, rows, name)
    if "idle" in only:
        rows = run.rows(plan.idle)
        title = "Memory of an idle connection (KiB resident)"
        report.print_values(title, titles, rows, "kib_per_connection", 2)
        report.print_ratios("Memory: ours / peer", titles, rows, "kib_per_connection")
        title = "Then one message (readers that got it)"
        report.print_values(title, titles, rows, "reached", 0)
    if "joins" in only:
        rows = run.rows(plan.joins)
        title = "Joining at once (joins a second, until everyone knows of everyone)"
        report.print_values(title, titles, rows, "joins_per_second", 0)
        report.print_ratios("Joins a second: ours / peer", titles, rows, "joins_per_second")
        title = "Joining at once (CPU seconds for all of them)"
        report.print_values(title, titles, rows, "server_cpu", 2)
    if "readers" in only:
        shown = {name: title for name, title in titles.items() if name in GROWING}
        title = "Cost as readers grow (CPU seconds for a million deliveries)"
        rows = run.rows(plan.readers)
        report.print_values(title, shown, rows, "cpu_seconds_per_million", 3)
    if "stalled" in only:
        shown = {name: title for name, title in titles.items() if name == "ours"}
        title = "Readers that never read (CPU seconds for a million deliveries to the others)"
        report.print_values(title, shown, run.rows(plan.stalled), "cpu_seconds_per_million", 3)
    if "tls" in only:
        print_tls(run.rows(plan.tls), titles)
    if "durable" in only:
        print_durable(run.rows(plan.durable))


def print_durable(rows: dict[str, dict[str, Figures]]) -> None:
    """The tables of what keeping what is said costs."""
    titles = {peer.name: peer.title for peer in DURABLE}
    ours = {label: dict.fromkeys(row, row["ours-disk"]) for label, row in rows.items()}
    for figure, per in (
        ("million_per_core_second", "core-second"),
        ("million_per_second", "second"),
    ):
        report.print_values(f"On disk (million deliveries per {per})", titles, rows, figure, 3)
        title = f"Deliveries per {per}: ours on disk / each"
        report.print_quotients(title, titles, ours, rows, figure)


def print_tls(rows: dict[str, dict[str, Figures]], titles: dict[str, str]) -> None:
    """The tables of what was measured plain and over TLS in turn."""
    over_tls = {
        label: {name: row[name + OVER_TLS] for name in titles if name + OVER_TLS in row}
        for label, row in rows.items()
    }
    for how, each in (("plain", rows), ("over TLS", over_tls)):
        title = f"In turn, {how} (million deliveries per core-second)"
        report.print_values(title, titles, each, "million_per_core_second", 2)
    for how, each in (("plain", rows), ("over TLS", over_tls)):
        title = f"In turn, {how} (CPU seconds for a million deliveries)"
        report.print_values(title, titles, each, "cpu_seconds_per_million", 3)
    title = "Deliveries per core-second: over TLS / plain"
    report.print_quotients(title, titles, over_tls, rows, "million_per_core_second")
    title = "Over TLS: ours / peer"
    report.print_ratios(title, titles, over_tls, "million_per_core_second")


def first_error(said: str) -> str:
    """The line that tells most of what a compiler said: that a header is missing, for example."""
    lines = said.splitlines()
    return next((line for line in lines if "error:" in line), lines[0])


def beside_tls(peers: Sequence[Peer], folder: Path) -> list[Peer]:
    """Those of `peers` that offer TLS, each plain and then over TLS.

    Raises `generator.NoCompilerError` or `StartError` if that cannot be measured here.
    """
    generator.build("load", *generator.TLS_FLAGS)
    certificate = new_certificate(folder)
    return [
        each for peer in peers if peer.offers_tls for each in (peer, peer.over_tls(certificate))
    ]


def main() -> int:
    """The exit code: 0, or 2 if nothing can be measured here."""
    options = arguments()
    if not Path("/proc/self/stat").exists() or not measure.enough_cores():
        print("The benchmarks need Linux and two cores.", file=sys.stderr)
        return 2
    try:
        for program in ("load", "peer"):
            generator.build(program)
    except generator.NoCompilerError as error:
        print(error, file=sys.stderr)
        return 2
    measure.raise_descriptor_limit()
    measure.forbid_core_dumps()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers, too
    on = machine()
    print(", ".join(f"{name}: {value}" for name, value in on.items()))
    if on["load_before"] > QUIET_LOAD:
        print(f"The machine is busy (load {on['load_before']:.2f}): the figures may be disturbed.")
    asked = [peer for peer in PEERS if peer.name in options.peers]
    peers = [peer for peer in asked if peer.available()]
    for peer in asked:
        if peer not in peers:
            print(f"{peer.title} is not installed.")
    titles = {peer.name: peer.title for peer in peers}
    for path in (options.json, options.plot):
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(cells: list[Row]) -> None:
        report.write_json(options.json, {"machine": on, "repeat": options.repeat, "cells": cells})

    plan = QUICK if options.quick else FULL
    only = list(options.only)
    # There, since what is kept is to be kept on a disk, and /tmp need not be one.
    with tempfile.TemporaryDirectory(prefix="chat-", dir=options.json.parent.resolve()) as folder:
        run = Benchmark(plan, options.repeat, Path(folder), write)
        pairs: list[Peer] = []
        if "tls" in only:
            try:
                pairs = beside_tls(peers, Path(folder))
            except (generator.NoCompilerError, StartError) as error:
                needs = "it needs OpenSSL and its headers (Debian: openssl, libssl-dev)"
                print(f"Nothing is measured over TLS, {needs}: {first_error(str(error))}")
                only.remove("tls")
        if "saturated" in only:
            run.measure(plan.saturated, peers)
        if "latency" in only:
            run.measure(plan.latency, peers)
        if "idle" in only:
            run.measure(plan.idle, peers)
        if "joins" in only:
            run.measure(plan.joins, [peer for peer in peers if peer.tells_who_is_there])
        if "readers" in only:
            growing = [peer for peer in peers if peer.name in GROWING]
            run.measure(plan.readers, growing)
        if "stalled" in only:
            run.measure(plan.stalled, [peer for peer in peers if peer.name == "ours"])
        if "tls" in only:
            run.measure(plan.tls, pairs)
        if "durable" in only:
            run.measure(plan.durable, DURABLE)
    progress("")
    print_results(only, plan, run, titles)
    print(f"\n{report.LEGEND}")
    small = [peer.title for peer in peers if peer.largest_room < 10_000]
    if small:
        print(f"Not tried with more than 1,000, who take minutes to join: {', '.join(small)}.")
    report.print_errors(run.flat())
    print(f"\nFigures: {options.json}")
    if "readers" in only:
        shown = {name: title for name, title in titles.items() if name in GROWING}
        report.write_plot(options.plot, shown, {c.readers: run.cells[c] for c in plan.readers})
    return 0


if __name__ == "__main__":
    sys.exit(main())
