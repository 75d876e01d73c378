"""Those who send too much, and what nobody should see."""

import os
import selectors
import statistics
import threading
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tests.faults.conftest import LONG
from tests.faults.crowd import Crowd, milliseconds, rss
from tests.support.people import Person, Server, joined

HARMFUL = {"Cc", "Cs", "Zl", "Zp"}  # categories of characters
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # their directions


def floods(people: list[Person], data: bytes, seconds: float) -> int:
    """All of them send all that is taken of them. Returns how many bytes that was."""
    selector = selectors.DefaultSelector()
    for person in people:
        person.socket.setblocking(False)
        selector.register(person.socket, selectors.EVENT_WRITE, person)
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and selector.get_map():
        for key, _ in selector.select(0.1):
            try:
                sent += key.data.sends_some(data)
            except OSError:
                selector.unregister(key.data.socket)
    selector.close()
    return sent


def test_bare_newlines_from_eight_sockets(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """They are held to the default rate, and two others talk to each other as if they were not
    there."""
    seconds = 20 if LONG else 3
    with Server(tmp_path, "--rate", "50:500", tls=tls) as server:
        flooders = [server.join(f"Flooder{number}") for number in range(8)]
        alice, bob = server.join("Alice"), server.join("Bob")
        alice.hears(joined("Bob"))
        sent = []
        flood = threading.Thread(
            target=lambda: sent.append(floods(flooders, b"\n" * 65536, seconds))
        )
        flood.start()
        trips = []
        number = 0
        while flood.is_alive():
            start = time.monotonic()
            alice.types(f"ping {number}")
            bob.hears(f"Alice: ping {number}")
            bob.types(f"pong {number}")
            alice.hears(f"Bob: pong {number}")
            trips.append(time.monotonic() - start)
            number += 1
            time.sleep(0.05)  # they are held to the rate, too
        flood.join()
        cuts = statistics.quantiles(trips, n=100)
        figure(
            f"round trips p50 {milliseconds(cuts[49])}, p99 {milliseconds(cuts[98])}; "
            f"{sent[0] / 1e6:.1f} MB of newlines were taken in {seconds} s, most by the kernel"
        )
        # What the kernels hold between 8 pairs of sockets (net.ipv4.tcp_rmem and tcp_wmem).
        assert sent[0] < 8 * 12_000_000


def test_a_thousand_lines_a_second(
    tmp_path: Path, tls: bool, figure: Callable[[str], None]
) -> None:
    """They are relayed at the rate that the operator wants, in their order, none lost."""
    rate, burst, total = 300, 300, 1000
    with Server(tmp_path, "--rate", f"{rate}:{burst}", tls=tls) as server, Crowd(server) as crowd:
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        start = time.monotonic()

        def within_the_rate() -> bool:
            most = burst + rate * (time.monotonic() - start)
            assert bystander.heard["Speaker"] <= most + 1
            return bystander.heard["Speaker"] >= crowd["Speaker"].said

        while crowd["Speaker"].said < total:
            crowd.say("Speaker", 50)
            crowd.run_for(0.05)
            within_the_rate()
        crowd.run(within_the_rate, 30)
        taken = time.monotonic() - start
        figure(f"{total} lines at {rate} a second and {burst} at once took {taken:.2f} s")


def test_what_nobody_should_see(tmp_path: Path, tls: bool, figure: Callable[[str], None]) -> None:
    """All byte values, and characters that move cursors, in names, texts and arguments, of people
    and of programs: on others' screens and in the log they are harmless."""
    nasty = [
        *(bytes([byte]) for byte in range(256) if byte not in b"\r\n"),
        *(b"\x1b]52;c;aGk=\x07", b"\x1b[2J", b"\x1b[6n", b"\xff\xfd\x01", b"\xff\xfa\x18x\xff\xf0"),
        *(chr(code).encode() for code in (0x9B, 0x85, 0x2028, 0x2029, 0x202E, 0x2066, 0x200F)),
        *(chr(code).encode() for code in (0xFEFF, 0xE0001, 0x061C, 0xFFF9, 0x10FFFF)),
        *(b"\xed\xa0\x80", b"\xc0\x80", b"\xf8\x88\x80\x80\x80"),
    ]
    with Server(tmp_path, "--log-messages", tls=tls) as server:
        screen = server.join("Screen")
        program = server.connect()
        program.sends(b'{"type": "hello", "name": "Program"}\n')
        mallory = server.join("Mallory")
        sent = 0
        for evil in nasty:
            for said in (b"a%sz", b"/me a%sz", b"/msg Screen a%sz", b"/nick a%sz", b"/a%sz"):
                mallory.sends(said % evil + b"\n")
                sent += 1
            escaped = "".join(f"\\u{ord(char):04x}" for char in evil.decode("latin1"))
            for kind in ("say", "emote"):
                asked = f'{{"type": "{kind}", "text": "a{escaped}z", "ref": "{escaped}"}}\n'
                program.sends(asked.encode())
            asked = f'{{"type": "tell", "to": "Screen", "text": "{escaped}"}}\n'
            program.sends(asked.encode())
            program.sends(f'{{"type": "nick", "name": "a{escaped}"}}\n'.encode())
            stranger = server.connect()
            stranger.sends(b"a%sz\n" % evil)
            sent += 5
        mallory.types("/msg Screen that was all")
        program.types('{"type": "tell", "to": "Screen", "text": "that was all"}')
        lines: list[str] = []
        while sum("that was all" in line for line in lines) < 2:
            lines.append(screen.next_line())
        assert len(lines) > len(nasty) * 6
        for line in lines:
            assert HARMFUL.isdisjoint(map(unicodedata.category, line)), line
            assert TURNING.isdisjoint(map(unicodedata.bidirectional, line)), line
        for character in server.log:
            assert character == "\n" or unicodedata.category(character)[0] != "C"
        figure(f"{len(nasty)} sequences in {sent} places")


def test_storms_of_telnet(server: Server, figure: Callable[[str], None]) -> None:
    """Options of which nobody reads the answers, and a subnegotiation without an end."""
    with Crowd(server) as crowd:
        [bystander, _] = crowd.join(["Bystander", "Speaker"])
        before = rss(server)
        storms = [server.join(f"Storm{number}") for number in range(4)]
        taken: list[int] = []

        def rage() -> None:
            for storm, data in zip(
                storms,
                (
                    b"\xff\xfd\x01\xff\xfb\x1f" * 4096,
                    b"\xff\xfa" + b"x" * 65534,
                    b"\xff\xfa" + (b"x" * 1000 + b"\n") * 64,
                    os.urandom(65536),
                ),
                strict=True,
            ):
                taken.append(floods([storm], data, 1))

        storm = threading.Thread(target=rage)
        storm.start()
        crowd.run(lambda: not storm.is_alive(), 20)
        storm.join()
        crowd.settle()
        crowd.say("Speaker", 100)
        crowd.hear_all("Speaker", [bystander])
        grown = rss(server) - before
        figure(f"{sum(taken) / 1e6:.0f} MB were taken; RSS +{grown} KiB")
        assert grown < 40_000  # the room's log is full of what was not telnet's in it
