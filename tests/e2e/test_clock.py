"""Goal: the wall clock may jump by a year, back or ahead: timers are monotonic,
tokens are not thrown away, times of files are as they were given.

The program runs with a clock of its own (kit/clock.c), which a test moves."""

import os
import subprocess
import time

import pytest

from kit import clock, proc

pytestmark = [pytest.mark.configs("personal", "work"),
              pytest.mark.skipif(bool(clock.why_not()),
                                 reason=clock.why_not() or "")]
YEAR = 365 * 86400


@pytest.fixture
def wall(base, signed_in, config):
    """The clock of everything that is started from now on."""
    if config.endswith("h2"):
        pytest.skip("the certificate made for HTTP/2 is good for two days")
    with clock.Clock(base / "clock") as moved:
        signed_in.env.update(moved.env())
        yield moved


def steady_requests(graphd, seconds):
    """Requests in that time, and refreshes of tokens."""
    before = graphd.total_requests(), graphd.login_stats()["refreshes"]
    time.sleep(seconds)
    return (graphd.total_requests() - before[0],
            graphd.login_stats()["refreshes"] - before[1])


@pytest.mark.parametrize("jump", [
    pytest.param(-YEAR, marks=pytest.mark.fault(76)),
    pytest.param(YEAR, marks=pytest.mark.fault(77))])
def test_the_clock_jumps(signed_in, wall, graphd, jump):
    """While something is on its way: no stall, no loop of tokens, no mass
    expiry; what is written then has the time that the clock says."""
    mnt = signed_in.mount()
    mnt.wait_listed()
    old = 1_600_000_000_123_456_789
    (mnt / "old").write_bytes(b"old" * 1000)
    os.utime(mnt / "old", ns=(old, old))
    signed_in.flush()
    graphd.limit(up=4 * 2**20)
    (mnt / "large").write_bytes(b"l" * 12 * 2**20)
    graphd.wait_request("fragment")
    wall.jump(jump)
    graphd.limit(up=0)
    signed_in.flush()
    began = time.monotonic()
    (mnt / "new").write_bytes(b"new")
    graphd.put("there", b"there")
    signed_in.flush()
    proc.wait_until(lambda: (mnt / "there").exists(), 20, "a change there")
    assert time.monotonic() - began < proc.patience(20)
    requests, refreshes = steady_requests(graphd, 3)
    assert requests < 30 and refreshes <= 1
    assert (mnt / "old").stat().st_mtime_ns == old
    assert (mnt / "there").read_bytes() == b"there"
    assert (mnt / "old").read_bytes() == b"old" * 1000
    assert abs((mnt / "new").stat().st_mtime - time.time()) < 100 + abs(jump)
    assert not signed_in.status()["blocked"]
    assert sorted(graphd.names()) == ["large", "new", "old", "there"]
    mnt.unmount()
    mnt = signed_in.mount()  # a start with that clock
    (mnt / "again").write_bytes(b"again")
    signed_in.flush()
    assert (mnt / "old").stat().st_mtime_ns == old
    assert graphd.login_stats()["refreshes_refused"] == 0


@pytest.mark.fault(48, 77)
def test_jumps_while_throttled(signed_in, wall, graphd):
    """Retry-After counts by the clock that can't be set."""
    mnt = signed_in.mount()
    mnt.wait_listed()
    graphd.fault(status=429, retry_after=6)
    graphd.wait_fault()
    wall.jump(YEAR)
    began = time.monotonic()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    assert time.monotonic() - began > 3
    wall.jump(-2 * YEAR)
    (mnt / "g").write_bytes(b"g")
    signed_in.flush()
    assert graphd.names() == {"f", "g"}


def test_the_clock_itself(wall, signed_in):
    """What the others rely on: it moves, and time goes on in it."""
    now = subprocess.run(["date", "+%s"], env=signed_in.env, check=True,
                         capture_output=True, text=True).stdout
    assert abs(int(now) - time.time()) < 100
    wall.jump(YEAR)
    now = subprocess.run(["date", "+%s"], env=signed_in.env, check=True,
                         capture_output=True, text=True).stdout
    assert abs(int(now) - time.time() - YEAR) < 100
