"""Goal: the mount behaves when the machine sleeps, shuts down, or has a
connection that costs: as logind and NetworkManager tell, if they are there."""

import errno
import os
import signal
import threading
import time

import pytest

from kit import proc, program, sysbus, trees
from kit.program import UNFINISHED, elapsed

pytestmark = [pytest.mark.configs("personal"),
              pytest.mark.skipif(bool(sysbus.why_not()),
                                 reason=sysbus.why_not() or "")]
SIZE = 3_000_000


@pytest.fixture
def bus(base, signed_in):
    b = sysbus.SystemBus(base / "bus")
    signed_in.env.update(b.env)
    yield b
    b.stop()


def in_background(function, *args):
    """A thread, and the list that gets what came of it."""
    got = []

    def run():
        try:
            got.append(function(*args))
        except OSError as e:
            got.append(-e.errno)
    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


def established(pid):
    """Its open TCP connections, by inode."""
    ours = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            ours.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return [r for r in rows if r[3] == "01" and f"socket:[{r[9]}]" in ours]


def steady(number, seconds=0.5):
    """A number that did not change for so long: what was under way is over."""
    seen = [(time.monotonic(), number())]

    def stands_still():
        now = number()
        if now != seen[-1][1]:
            seen.append((time.monotonic(), now))
        return time.monotonic() - seen[-1][0] > seconds
    proc.wait_until(stands_still, 20, "a number that stands still")
    return seen[-1][1]


def far(machine, mnt, *names):
    """Files that are on the server only; the mount they are seen in."""
    for name in names:
        (mnt / name).write_bytes(trees.payload(name, SIZE))
    machine.flush()
    mnt.unmount()
    machine.wipe()
    mnt = machine.mount("--deadline", "60s")
    mnt.wait_listed()
    return mnt


def test_sleep(signed_in, bus, graphd):
    """Reads end and connections close before logind lets it sleep; afterwards
    all goes on by itself."""
    mnt = far(signed_in, signed_in.mount(), "far")
    bus.wait_held("sleep", "delay")
    graphd.stall("download")
    reader, got = in_background((mnt / "far").read_bytes)
    graphd.wait_fault()
    (mnt / "new").write_bytes(b"new")
    bus.announce_sleep()
    reader.join(proc.patience(5))
    assert got == [-errno.EIO]
    assert established(mnt.process.pid) == []
    # Until it is over, too: nobody may be stuck when it falls asleep.
    took, (thread, got) = elapsed(in_background, (mnt / "far").read_bytes)
    thread.join(proc.patience(5))
    assert got == [-errno.EIO] and took < proc.patience(2)
    (mnt / "local").write_bytes(b"local")
    assert (mnt / "local").read_bytes() == b"local"
    graphd.clear_faults()
    bus.end_sleep()
    assert (mnt / "far").read_bytes() == trees.payload("far", SIZE)
    signed_in.flush()
    assert graphd.read("new") == b"new"


def test_logind_dies_while_it_sleeps(signed_in, bus, graphd):
    mnt = far(signed_in, signed_in.mount(), "far")
    bus.wait_held("sleep", "delay")
    bus.announce_sleep()
    bus.order("drop", sysbus.LOGIND)

    def reads():
        try:
            return (mnt / "far").read_bytes()
        except OSError:
            return None
    assert proc.wait_until(reads, 20, "a read") == trees.payload("far", SIZE)
    bus.order("take", sysbus.LOGIND)
    bus.wait_held("sleep", "delay")
    bus.announce_sleep()
    bus.stop_bus()
    assert proc.wait_until(reads, 20, "a read")
    (mnt / "new").write_bytes(b"new")
    signed_in.flush()


@pytest.mark.plain("sizes are compared")
def test_metered(signed_in, bus, graphd):
    """What is on its way stands still, too."""
    graphd.limit(up=2**18)
    mnt = signed_in.mount("--metered", "pause")
    mnt.wait_listed()
    (mnt / "big").write_bytes(bytes(SIZE))
    graphd.wait_upload()
    bus.order("metered", 1)
    signed_in.wait_status(lambda s: s["paused"], what="the pause")
    (mnt / "small").write_bytes(b"small")
    status = signed_in.wait_status(lambda s: s["pending_files"] == 2)
    assert status["state"] == "paused"
    assert status["paused"] == "metered connection"
    assert "metered connection" in signed_in.run("status", check=0).stdout
    before = steady(graphd.bytes_up)
    assert signed_in.run("flush", "--timeout", "2").returncode == UNFINISHED
    assert graphd.bytes_up() == before
    assert graphd.item("small", missing_ok=True) is None
    # A guess counts; nothing known does not.
    bus.order("metered", 3)
    graphd.limit(up=0)
    bus.order("metered", 4)
    signed_in.flush()
    assert graphd.read("small") == b"small"
    assert signed_in.status()["paused"] is None


def test_metered_reads(signed_in, bus, graphd):
    mnt = far(signed_in, signed_in.mount(), "far", "far2")
    mnt.unmount()
    bus.order("metered", 1)
    mnt = signed_in.mount("--metered", "pause")
    signed_in.wait_status(lambda s: s["paused"], what="the pause")
    assert (mnt / "far").read_bytes() == trees.payload("far", SIZE)
    with open(mnt / "far2", "r+b") as f:
        f.write(b"x")
    assert (mnt / "far2").read_bytes()[:1] == b"x"
    bus.order("drop", sysbus.NM)
    signed_in.flush()


def test_metered_is_ignored(signed_in, bus, graphd):
    bus.order("metered", 1)
    mnt = signed_in.mount()
    bus.wait_held("sleep", "delay")
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()


def test_shutdown_waits(signed_in, bus, graphd):
    mnt = signed_in.mount("--inhibit-shutdown")
    mnt.wait_listed()
    bus.wait_held("shutdown")
    graphd.stop()
    (mnt / "f").write_bytes(b"f")
    bus.wait_held("shutdown", "block")
    graphd.start()
    signed_in.flush()
    bus.wait_held("shutdown")
    graphd.stop()
    (mnt / "g").write_bytes(b"g")
    bus.wait_held("shutdown", "block")
    mnt.process.send_signal(signal.SIGTERM)
    assert mnt.wait() == 0
    assert bus.order("held") == []
    graphd.start()


def test_a_bus_that_does_not_answer(signed_in, base):
    """Nobody waits for it: not the mount, and not its end."""
    import socket
    path = base / "deaf"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={path}"}
        mnt = signed_in.mount("--metered", "pause", env=env)
        (mnt / "f").write_bytes(b"f")
        signed_in.flush()
        signed_in.run("umount", mnt.path, check=0)
        mnt.wait_end()


@pytest.mark.skipif(bool(program.SETARCH), reason="TSan's own thread wakes")
def test_idle_is_idle(signed_in, bus):
    from test_report import wake_ups
    mnt = signed_in.mount("--metered", "pause", "--inhibit-shutdown",
                          "--poll-interval", "1h")
    mnt.wait_listed()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    bus.wait_held("shutdown")

    def sleeps_for_a_second():
        before = wake_ups(mnt.process.pid)
        time.sleep(1)
        return wake_ups(mnt.process.pid) == before
    proc.wait_until(sleeps_for_a_second, 30, "a second without a wake-up")
