"""What a process costs, from ``/proc``, and how repeated measurements become one figure."""

import os
import resource
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

SERVER_CORE = 0
GENERATOR_CORE = 1

# What one cell of a table holds: figures by name, or only "error" (why there are none).
Figures = dict[str, float | str]


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def forbid_core_dumps() -> None:
    """For this process and its children: InspIRCd 3.15 crashes when it is ended, if it had TLS."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def enough_cores() -> bool:
    """Whether the server and the generator can have a core each."""
    return {SERVER_CORE, GENERATOR_CORE} <= os.sched_getaffinity(0)


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside stay on `core`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def median(repeats: Iterable[Figures]) -> Figures:
    """The median of each figure; if any repeat failed, its error. Sets "repeats", a count."""
    repeats = list(repeats)
    for figures in repeats:
        if "error" in figures:
            return {"error": figures["error"], "repeats": len(repeats)}
    names = repeats[0]
    medians: Figures = {n: statistics.median(float(r[n]) for r in repeats) for n in names}
    return medians | {"repeats": len(repeats)}
