"""Goal: a network that is cut, loses packets, flaps, or is another one after a
sleep. What is here works at once, and everything arrives when it is back."""

import errno
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from kit import clock, netns, proc, trees
from kit.program import UNFINISHED, elapsed

FULL = bool(os.environ.get("NMB_TEST_FULL"))
SOON = proc.patience(1.5)
pytestmark = [pytest.mark.configs("personal", "work"),
              pytest.mark.skipif(bool(netns.why_not()),
                                 reason=netns.why_not() or "")]


@pytest.fixture
def network():
    with netns.Network() as made:
        yield made


@pytest.fixture
def graphd(base, config, network):
    kind, *parts = config.split("-")
    if {"vault", "h2"} & set(parts):
        pytest.skip("plain folders and HTTP/1.1 here")
    server = netns.Graphd(network, base / "graphd", kind)
    server.start()
    try:
        yield server
        server.assert_alive()
        server.assert_clean()
    finally:
        server.stop()


@pytest.fixture
def machine(machine, network):
    machine.wrap = network.wrap
    return machine


@pytest.fixture
def half_cached(signed_in, mnt):
    """`here` is cached, `far` is not; read waits end after 4 s."""
    for name in ("here", "far"):
        (mnt / name).write_bytes(trees.payload(name, 2_000_000))
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--deadline", "4s")
    mnt.wait_listed()
    assert (mnt / "here").read_bytes() == trees.payload("here", 2_000_000)
    return mnt


def read(path):
    try:
        return path.read_bytes()
    except OSError as e:
        return e.errno


def check_local_work(mnt, name):
    """Everything that needs no network, at once."""
    for call in (lambda: os.listdir(mnt.path), lambda: os.stat(mnt / "far"),
                 lambda: (mnt / name).write_bytes(b"x" * 5000),
                 lambda: (mnt / name).rename(mnt / f"{name} 2"),
                 lambda: os.statvfs(mnt.path)):
        took, _ = elapsed(call)
        assert took < SOON, took
    assert (mnt / "here").read_bytes() == trees.payload("here", 2_000_000)


@pytest.mark.fault(29, 31, 37)
@pytest.mark.parametrize("how", ["cut", "mute"])
def test_lost_and_found(signed_in, half_cached, graphd, network, how):
    """Readers wait their time, ls does not; a start without network; umount
    with requests that hang."""
    mnt = half_cached
    # Half of it is on its way already.
    graphd.limit(down=300_000)
    results = []
    reader = threading.Thread(target=lambda: results.append(
        elapsed(read, mnt / "far")))
    reader.start()
    graphd.wait_request("download")
    getattr(network, how)()
    check_local_work(mnt, "off")
    reader.join(proc.patience(60))
    [(took, answer)] = results
    assert answer == errno.EIO and took < proc.patience(20), (took, answer)
    if how == "cut":
        signed_in.wait_status(lambda s: s["state"] == "offline",
                              what="offline")
    assert signed_in.run("flush", "--timeout", "1").returncode == UNFINISHED
    hung = subprocess.Popen(["cat", mnt / "far"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    mnt.process.send_signal(signal.SIGTERM)
    took, _ = elapsed(mnt.process.wait, proc.patience(15))
    assert took < proc.patience(10)
    assert hung.wait(proc.patience(10)) != 0
    took, mnt = elapsed(signed_in.mount, "--deadline", "4s")
    assert took < proc.patience(5)
    check_local_work(mnt, "again")
    getattr(network, {"cut": "mend", "mute": "unmute"}[how])()
    graphd.limit(down=0)
    signed_in.flush()
    proc.wait_until(lambda: read(mnt / "far")
                    == trees.payload("far", 2_000_000), 40, "the far one")
    assert graphd.names() == {"here", "far", "off 2", "again 2"}


@pytest.mark.fault(30)
def test_lost_in_a_large_upload(signed_in, mnt, graphd, network):
    """It goes on where it was: what was confirmed is not sent again."""
    size = 40 * 2**20
    data = trees.payload("large", size)
    graphd.limit(up=20 * 2**20)
    (mnt / "large").write_bytes(data)
    proc.wait_until(lambda: graphd.session_offset() >= 10 * 2**20, what="10 MiB")
    network.cut()
    signed_in.wait_status(lambda s: s["state"] == "offline", 60,
                          what="offline")
    network.mend()
    confirmed = graphd.session_offset()
    assert confirmed >= 10 * 2**20
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.read("large") == data
    # The fragment that broke off may come twice, no more.
    assert graphd.bytes_up() < size + 25 * 2**20
    assert len(graphd.sessions()) == 0


@pytest.mark.fault(33)
def test_flapping(signed_in, mnt, graphd, network, base):
    """Up for two seconds, down for one, again and again: it gets on, nothing
    is there twice, nothing leaks."""
    source = trees.make_tree(base / "source", seed=31, files=60)
    shutil.copytree(source, mnt / "t")
    pid = mnt.process.pid
    files = len(os.listdir(f"/proc/{pid}/fd"))
    done = [0]
    for _ in range(12 if FULL else 5):
        network.cut()
        time.sleep(1)
        network.mend()
        time.sleep(2)
        done.append(len(graphd.files()))
    assert done[-1] > 0 and done == sorted(done)
    signed_in.flush()
    assert len(graphd.files()) == 60
    assert not [n for n in graphd.tree() if "conflict" in n]
    graphd.wait_idle(ms=100)
    assert len(os.listdir(f"/proc/{pid}/fd")) < files + 40
    trees.assert_same(source, mnt / "t")


@pytest.mark.fault(32)
def test_a_week_without(signed_in, mnt, graphd, network, base):
    """Thousands of changes, a kill and a start in between: all go up."""
    n = 10_000 if FULL else 600
    network.cut()
    for i in range(n // 4):
        folder = mnt / f"d{i % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{i}").write_bytes(b"%d" % i)
        if i % 3 == 0:
            (folder / f"f{i}").rename(folder / f"g{i}")
        if i % 5 == 4:
            (mnt / f"d{(i - 1) % 20}" / (f"g{i - 1}" if (i - 1) % 3 == 0
                                         else f"f{i - 1}")).unlink()
        if i % 7 == 0:
            (folder / f"f{i}").write_bytes(b"again %d" % i)
    (mnt / "d3").rename(mnt / "moved")
    mnt.kill()
    mnt = signed_in.mount("--deadline", "4s")
    here = {p.relative_to(mnt.path).as_posix(): p.read_bytes()
            for p in mnt.path.rglob("*") if p.is_file()}
    shutil.rmtree(mnt / "d5")
    here = {p: data for p, data in here.items() if not p.startswith("d5/")}
    network.mend()
    signed_in.flush(timeout=300 if FULL else 80)
    assert graphd.files().keys() == here.keys()
    for path in sorted(here)[::7]:
        assert graphd.read(path) == here[path]


@pytest.mark.fault(79, 80, 81)
@pytest.mark.skipif(bool(clock.why_not()), reason=clock.why_not() or "")
@pytest.mark.parametrize("what", ["upload", "read"])
def test_asleep_for_a_day(signed_in, graphd, network, base, what):
    """The service forgot the connections meanwhile, tokens and URLs are old,
    and the network came up anew: noticed within 30 s, and it goes on."""
    with clock.Clock(base / "clock") as wall:
        signed_in.env.update(wall.env())
        mnt = signed_in.mount("--deadline", "10s")
        mnt.wait_listed()
        graphd.put_made("far", 3_000_000, 5)
        proc.wait_until(lambda: (mnt / "far").exists(), 20, "the far one")
        data = trees.payload("up", 12 * 2**20)
        if what == "upload":
            graphd.limit(up=2**20)
            (mnt / "up").write_bytes(data)
            graphd.wait_request("fragment")
        else:
            graphd.limit(down=100_000)
            # Not by this process: its children would close what it has open,
            # and wait for a program that is stopped.
            with open(base / "read", "wb") as out:
                reader = subprocess.Popen(["cat", mnt / "far"], stdout=out,
                                          stderr=subprocess.DEVNULL)
            graphd.wait_request("download")
        mnt.process.send_signal(signal.SIGSTOP)
        network.mute()
        graphd.process.kill()  # and nobody is told
        graphd.process.wait()
        graphd.stop()
        network.cut()
        network.unmute()
        network.mend()
        graphd.start()
        graphd.limit(up=0, down=0)
        graphd.expire("access")
        graphd.expire("urls")
        graphd.expire("session_tokens")
        wall.sleep(86_400)
        mnt.process.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        if what == "upload":
            signed_in.flush(timeout=60)
            assert graphd.read("up") == data
        else:
            got = reader.wait(proc.patience(40))
            assert got == 1 or (base / "read").read_bytes() == \
                graphd.made(3_000_000, 5)
            proc.wait_until(lambda: read(mnt / "far")
                            == graphd.made(3_000_000, 5), 30, "a read")
        assert time.monotonic() - woken < proc.patience(32)
