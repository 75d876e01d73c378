"""The results as tables, as JSON and as a plot."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Figures

LEGEND = (
    "Ratios are ours / peer. A star: the generator was the limit (its core busy over 95%, the "
    "server's under 90%)."
)


def number(figures: Figures | None, name: str, digits: int) -> str:
    """The figure `name`, a dash if it was not measured, a mark if it went wrong."""
    if figures is None:
        return "-"
    if "error" in figures:
        return "error"
    star = "*" if figures.get("generator_was_the_limit") else ""
    return f"{float(figures[name]):,.{digits}f}{star}"


def ratio(ours: Figures | None, peer: Figures | None, name: str) -> str:
    """Ours / peer, of the figure `name`."""
    if ours is None or peer is None or name not in ours or not peer.get(name):
        return "-"
    value = float(ours[name]) / float(peer[name])
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Right-aligned columns under a title; the first column is left-aligned."""
    table = [header, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    print(f"\n{title}\n")
    for index, row in enumerate(table):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))


def print_values(
    title: str,
    columns: dict[str, str],
    rows: dict[str, dict[str, Figures]],
    figure: str,
    digits: int,
) -> None:
    """A table of one `figure`. `columns`: names of peers to their titles; `rows`: labels to
    figures by peer."""
    peers = [name for name in columns if any(name in row for row in rows.values())]
    if not peers:
        return
    lines = [
        [label, *(number(row.get(name), figure, digits) for name in peers)]
        for label, row in rows.items()
    ]
    print_table(title, ["", *(columns[name] for name in peers)], lines)


def print_ratios(
    title: str, columns: dict[str, str], rows: dict[str, dict[str, Figures]], figure: str
) -> None:
    """A table of ours / peer, of one `figure`."""
    peers = [n for n in columns if n != "ours" and any(n in row for row in rows.values())]
    if not peers or not any("ours" in row for row in rows.values()):
        return
    lines = [
        [label, *(ratio(row.get("ours"), row.get(name), figure) for name in peers)]
        for label, row in rows.items()
    ]
    print_table(title, ["", *(columns[name] for name in peers)], lines)


def print_quotients(
    title: str,
    columns: dict[str, str],
    over: dict[str, dict[str, Figures]],
    under: dict[str, dict[str, Figures]],
    figure: str,
) -> None:
    """A table of `over` / `under`, of one `figure`, for the peers that are in `over`."""
    peers = [name for name in columns if any(name in row for row in over.values())]
    lines = [
        [label, *(ratio(row.get(name), under[label].get(name), figure) for name in peers)]
        for label, row in over.items()
    ]
    print_table(title, ["", *(columns[name] for name in peers)], lines)


def print_errors(cells: Iterable[dict[str, Any]]) -> None:
    """What went wrong, each error once."""
    errors = {f"{c['peer']}, {c['label']}: {c['error']}": None for c in cells if "error" in c}
    if errors:
        print("\nErrors")
        for error in errors:
            print(f"  {error}")


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Everything that was measured, for programs."""
    path.write_text(json.dumps(results, indent=1) + "\n")


def write_plot(path: Path, columns: dict[str, str], rows: dict[int, dict[str, Figures]]) -> None:
    """The cost of a delivery (nanoseconds of CPU) over the number of readers, as a PNG.

    Without matplotlib there is no plot.
    """
    try:
        import matplotlib  # noqa: PLC0415

        matplotlib.use("Agg")
        from matplotlib import pyplot  # noqa: PLC0415
    except ImportError:
        print("No plot: matplotlib is not installed.")
        return
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, title in columns.items():
        points = [
            (readers, 1000 * float(row[name]["cpu_seconds_per_million"]))
            for readers, row in rows.items()
            if name in row and "error" not in row[name]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=title)
    axes.set(xscale="log", yscale="log", xlabel="readers in the room")
    axes.set_ylabel("CPU nanoseconds for one delivery")
    axes.set_title("Cost of a delivery as the room grows (10 senders, 64-byte messages)")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    print(f"Plot: {path}")
