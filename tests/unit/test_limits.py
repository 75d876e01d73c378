"""How much one peer, and all of them together, may take."""

from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.events import ErrorCode
from chatservice.core.limits import Admission, Limits, TokenBucket, network_of

ASKED = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 400)), min_size=1, max_size=40)


@given(st.floats(0.5, 1000), st.integers(1, 1000), ASKED)
def test_no_window_serves_more_than_the_burst_and_the_rate(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    now = 0.0
    bucket = TokenBucket(rate, burst, now)
    served: list[tuple[float, int]] = []
    for pause, wanted in asked:
        now += pause
        taken = bucket.take(wanted, now)
        assert 0 <= taken <= wanted
        served.append((now, taken))
    for first, (start, _) in enumerate(served):
        total = 0
        for end, taken in served[first:]:
            total += taken
            assert total <= burst + rate * (end - start) + 1e-5


@given(st.floats(0.5, 1000), st.integers(1, 1000), st.integers(1, 5000))
def test_a_peer_that_waits_as_long_as_it_is_told_is_served(
    rate: float, burst: int, lines: int
) -> None:
    now, turns = 0.0, 0
    bucket = TokenBucket(rate, burst, now)
    while lines:
        lines -= bucket.take(lines, now)
        now += bucket.wait()
        turns += 1
        assert turns < 20_000


def test_lines_that_were_not_served_are_given_back() -> None:
    bucket = TokenBucket(1, 10, 0)
    assert bucket.take(20, 0) == 10
    bucket.give_back(4)
    assert bucket.take(20, 0) == 4


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    bucket = TokenBucket(1, 10, 1000)
    assert bucket.take(4, 500) == 4
    assert bucket.take(20, 500) == 6
    assert bucket.take(20, 503) == 3


def test_the_network_of_an_address() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "b", "c"])), max_size=200))
def test_connections_are_counted_until_they_are_gone(moves: list[tuple[bool, str]]) -> None:
    admission = Admission(Limits(max_users=8, max_per_address=3))
    here: list[str] = []
    for comes, network in moves:
        if comes:
            refused = admission.admit(network)
            if len(here) >= 8:
                assert refused is ErrorCode.SERVER_FULL
            elif network and here.count(network) >= 3:
                assert refused is ErrorCode.ADDRESS_FULL
            else:
                assert refused is None
                here.append(network)
        elif network in here:
            here.remove(network)
            admission.release(network)
    for network in here:
        admission.release(network)
    assert [admission.admit(network) for network in "aaabbbcc"] == [None] * 8
