"""``twistd`` on a machine whose clock is set: an hour back at SIGUSR1, forward at SIGUSR2."""

import signal
import sys
import time

HOUR = 3600.0
SHIFTED = (sys.executable, __file__)  # a server's runner (see `people.Server`)
RESTLESS = (*SHIFTED, "restless")  # the same; the clock is a second back whenever it is read

if __name__ == "__main__":
    read_clock = time.time
    shift = 0.0
    restless = sys.argv[1] == "restless"
    if restless:
        del sys.argv[1]

    def set_clock(number: int, frame: object) -> None:
        global shift  # noqa: PLW0603 (it is the machine's)
        shift += HOUR if number == signal.SIGUSR2 else -HOUR

    def shifted() -> float:
        global shift  # noqa: PLW0603
        if restless:
            shift -= 1
        return read_clock() + shift

    time.time = shifted  # before Twisted takes it
    signal.signal(signal.SIGUSR1, set_clock)
    signal.signal(signal.SIGUSR2, set_clock)
    from twisted.scripts.twistd import run

    sys.argv[0] = "twistd"
    run()
