"""What the operator's programs share: whatever goes wrong is said in one line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_line_errors(program: str, *expected: type[Exception]) -> Iterator[None]:
    """End the program with status 1 and one line on standard error, rather than a traceback, for
    those exceptions and those of the system. Without a line if whoever reads the output has seen
    enough, or somebody interrupts it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise SystemExit(1) from None
    except OSError as error:
        _discard_output()
        where = error.filename or "standard output"
        raise SystemExit(f"{program}: {where}: {error.strerror or error}.") from None
    except expected as error:
        raise SystemExit(f"{program}: {error}") from None
    except (KeyboardInterrupt, EOFError):
        raise SystemExit(1) from None


def _discard_output() -> None:
    """Python writes what is left of it when it ends, and would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
