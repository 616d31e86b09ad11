"""Goal: the bandwidth follows a timetable, also while something is sent, and
after a sleep or when somebody has set the clock."""

import re
import time

import pytest

from kit import clock, proc
from kit.program import USAGE, elapsed

pytestmark = pytest.mark.configs("personal")


def at(seconds):
    """Local "HH:MM" so many seconds from now."""
    return time.strftime("%H:%M", time.localtime(time.time() + seconds))


def limits(machine):
    return re.findall(r"bwlimit up=(\d+) down=(\d+)",
                      machine.log.read_text(errors="replace"))


def test_what_holds_now(signed_in, graphd):
    table = f"{at(-3600)},100K {at(3600)},off"
    mnt = signed_in.mount("--bwlimit-up", table, "--bwlimit-down", "7M")
    mnt.wait_listed()
    assert set(limits(signed_in)) == {("102400", str(7 << 20))}
    (mnt / "f").write_bytes(bytes(200_000))
    took, _ = elapsed(signed_in.flush)
    assert took > 1.2


@pytest.mark.skipif(bool(clock.why_not()), reason=clock.why_not() or "")
def test_it_changes(signed_in, graphd, base):
    """In the middle of a file."""
    with clock.Clock(base / "clock") as wall:
        mnt = signed_in.mount("--bwlimit-up", f"{at(-7200)},1K {at(7200)},off",
                              env=wall.env())
        mnt.wait_listed()
        (mnt / "f").write_bytes(bytes(2_000_000))
        graphd.wait_upload()
        wall.sleep(3 * 3600)
        signed_in.run("status", check=0)  # whatever wakes it
        proc.wait_until(lambda: limits(signed_in)[-1] == ("0", "0"), 20,
                        "the other limit")
        signed_in.flush(timeout=20)


@pytest.mark.parametrize("text", ["08:00", "8:00,1M 25:00,off", "soon,1M"])
def test_no_timetable(machine, base, text):
    done = machine.run("--bwlimit-up", text, base, check=USAGE)
    assert "a timetable like" in done.stderr
