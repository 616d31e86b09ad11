"""Goal: no network, a slow one or a broken one never hangs the mount.

What is here works at once, what is not ends with an error in bounded time,
and everything arrives when the network is back, without a remount."""

import errno
import os
import shutil
import signal
import subprocess
import time

import pytest

from kit import proc, trees
from kit.program import UNFINISHED, elapsed

SOON = proc.patience(1.0)  # "at once", on a loaded machine
DEADLINE = 5.0  # of a read that must wait, as these mounts are told


@pytest.fixture
def half_cached(signed_in, mnt, base):
    """A tree that is listed; `t` is cached, `far` and `far2` are not."""
    trees.make_tree(mnt / "t", seed=2, files=30, max_size=30_000)
    (mnt / "far").write_bytes(trees.payload("far", 3_000_000))
    (mnt / "far2").write_bytes(trees.payload("far2", 3_000_000))
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--deadline", "5s")
    for path in (mnt / "t").rglob("*"):
        if path.is_file():
            path.read_bytes()
    os.listdir(mnt.path)
    return mnt


def test_offline_work(signed_in, half_cached, graphd, base):
    mnt = half_cached
    before = trees.describe(mnt / "t")
    graphd.stop()
    for command in (["ls", "-lR", mnt.path], ["stat", mnt / "far"],
                    ["df", mnt.path], ["find", mnt.path, "-newer", "/"]):
        took, done = elapsed(subprocess.run, command, capture_output=True,
                             timeout=proc.patience(5), check=False)
        assert done.returncode == 0 and took < SOON, (command, took, done)
    took, now = elapsed(trees.describe, mnt / "t")
    assert now == before and took < 2 * SOON
    took, _ = elapsed(trees.make_tree, mnt / "offline", 3, 30)
    assert took < 2 * SOON
    os.rename(mnt / "t", mnt / "t2")
    with pytest.raises(OSError) as failed:
        took, _ = elapsed((mnt / "far").read_bytes)
    assert failed.value.errno == errno.EIO
    status = signed_in.wait_status(lambda s: s["state"] == "offline",
                                   what="state offline")
    assert status["pending_files"] == 30
    assert signed_in.run("flush", "--timeout", "1").returncode == UNFINISHED
    graphd.start()
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--deadline", "5s")
    assert trees.describe(mnt / "t2") == before
    assert (mnt / "far").read_bytes() == trees.payload("far", 3_000_000)


@pytest.mark.fault(29)
@pytest.mark.configs("personal")
def test_start_offline(signed_in, half_cached, graphd):
    """Mounted within 5 s with the tree of last time."""
    mnt = half_cached
    names = sorted(os.listdir(mnt / "t"))
    mnt.unmount()
    graphd.stop()
    took, mnt = elapsed(signed_in.mount)
    assert took < proc.patience(5)
    took, listed = elapsed(os.listdir, mnt / "t")
    assert sorted(listed) == names and took < SOON
    for path in (mnt / "t").rglob("*"):
        if path.is_file():
            path.read_bytes()  # cached last time
    (mnt / "new").write_bytes(b"new")
    graphd.start()
    signed_in.flush()
    assert graphd.read("new") == b"new"


@pytest.mark.configs("personal")
def test_uncached_read_dies_at_interrupt(half_cached, graphd):
    """The server takes the request and never answers; Ctrl-C ends cat."""
    graphd.stall("download")
    cat = subprocess.Popen(["cat", half_cached / "far"],
                           stdout=subprocess.DEVNULL)
    graphd.wait_request("download")
    cat.send_signal(signal.SIGINT)
    took, rc = elapsed(cat.wait, proc.patience(5))
    assert rc == -signal.SIGINT and took < SOON
    graphd.unstall()
    assert len((half_cached / "far").read_bytes()) == 3_000_000


@pytest.mark.configs("personal")
def test_hundred_stuck_readers_delay_nobody(half_cached, graphd, base):
    """A stat, a cp of a local file, a write beside them take no longer."""
    graphd.stall("download")
    readers = [subprocess.Popen(["cat", half_cached / ("far", "far2")[i % 2]],
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
               for i in range(100)]
    try:
        graphd.wait_request("download")
        local = next(p for p in (half_cached / "t").rglob("*")
                     if p.is_file() and p.stat().st_size > 1000)
        for call in (lambda: os.stat(local), lambda: os.stat(half_cached / "far"),
                     lambda: shutil.copy(local, base / "out"),
                     lambda: shutil.copy(local, half_cached / "copy"),
                     lambda: os.listdir(half_cached / "t"),
                     lambda: os.statvfs(half_cached.path)):
            took, _ = elapsed(call)
            assert took < SOON, took
        assert all(r.poll() is None for r in readers)
    finally:
        for r in readers:
            r.send_signal(signal.SIGTERM)
        took = [elapsed(r.wait, proc.patience(10))[0] for r in readers]
    assert max(took) < proc.patience(5)
    graphd.unstall()
    assert len((half_cached / "far").read_bytes()) == 3_000_000


@pytest.mark.fault(37)
@pytest.mark.configs("personal")
def test_unmount_with_hung_reads(half_cached, graphd, signed_in):
    """umount -l and the end of the program take no 10 s."""
    graphd.stall("download")
    cat = subprocess.Popen(["cat", half_cached / "far"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    graphd.wait_request("download")
    half_cached.process.send_signal(signal.SIGTERM)
    took, _ = elapsed(half_cached.process.wait, proc.patience(15))
    assert took < proc.patience(10)
    assert cat.wait(proc.patience(5)) != 0
    graphd.unstall()


@pytest.mark.configs("personal")
def test_flapping(signed_in, mnt, graphd, base):
    """Down and up again and again: progress, no duplicate."""
    source = trees.make_tree(base / "source", seed=31, files=30)
    shutil.copytree(source, mnt / "t")
    for _ in range(4):
        proc.wait_until(lambda: graphd.upload_begun() or
                        not signed_in.status()["pending_files"],
                        what="an upload, or the end of all")
        graphd.stop()
        graphd.start()
    signed_in.flush()
    assert len(graphd.files()) == 30
    assert not [n for n in graphd.files() if "conflict" in n]


@pytest.mark.configs("personal")
def test_upload_goes_on_after_an_outage(signed_in, mnt, graphd):
    """Without a kill: no fragment is sent twice, the session is kept."""
    size = 40 * 2**20
    data = trees.payload("outage", size)
    graphd.limit(up=20 * 2**20)
    (mnt / "large").write_bytes(data)
    proc.wait_until(lambda: graphd.session_offset() >= 10 * 2**20, what="10 MiB")
    graphd.stop()
    signed_in.wait_status(lambda s: s["state"] == "offline", what="offline")
    graphd.start()
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.read("large") == data


@pytest.mark.fault(34)
@pytest.mark.configs("personal")
def test_captive_portal(signed_in, mnt, graphd):
    """HTML with status 200 is offline, not content and not an empty folder."""
    (mnt / "f").write_bytes(b"f" * 100)
    signed_in.flush()
    graphd.fault(times=0, status=200, body="html")
    (mnt / "g").write_bytes(b"g" * 100)
    signed_in.wait_status(lambda s: s["state"] == "offline", what="offline")
    assert sorted(os.listdir(mnt.path)) == ["f", "g"]
    graphd.clear_faults()
    signed_in.flush()
    assert sorted(graphd.files()) == ["f", "g"]


@pytest.mark.configs("personal")
def test_first_listing_is_waited_for(signed_in, graphd):
    """The mount is usable at once; a folder not listed yet waits for that
    folder only, and is never shown as empty or absent."""
    for i in range(30):
        graphd.put(f"folder{i:02d}/file", b"%d" % i)
    graphd.latency(300)
    took, mnt = elapsed(signed_in.mount)
    assert took < proc.patience(3)
    took, names = elapsed(os.listdir, mnt / "folder29")
    assert names == ["file"] and took < proc.patience(5)
    assert (mnt / "folder07/file").read_bytes() == b"7"
    graphd.latency(0)
    assert len(os.listdir(mnt.path)) == 30


@pytest.mark.configs("personal")
def test_first_listing_offline_is_an_error(signed_in, graphd):
    """Never listed and no network: EIO within the deadline, not ENOENT."""
    graphd.put("f", b"f")
    graphd.stop()
    mnt = signed_in.mount("--deadline", "5s")
    took, code = elapsed(_code, os.listdir, mnt.path)
    assert code == errno.EIO and took < proc.patience(DEADLINE + 5)
    assert _code(os.stat, mnt / "f") == errno.EIO
    graphd.start()
    proc.wait_until(lambda: _code(os.stat, mnt / "f") == 0, 30, "the listing")
    assert (mnt / "f").read_bytes() == b"f"


@pytest.mark.configs("personal")
def test_many_readers_of_one_file_wait_together(half_cached, graphd):
    """Not one after the other, each behind the page of the one before."""
    graphd.stop()
    readers = [subprocess.Popen(["cat", half_cached / "far"],
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
               for _ in range(30)]
    start = time.monotonic()
    assert [r.wait(proc.patience(60)) for r in readers] == [1] * 30
    assert time.monotonic() - start < 2 * DEADLINE + proc.patience(4)
    graphd.start()
    proc.wait_until(lambda: _code((half_cached / "far").read_bytes) == 0, 20,
                    "a read after the outage")


def _code(call, *args):
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0


@pytest.mark.configs("personal")
def test_random_read_costs_a_chunk(signed_in, mnt, graphd):
    """4 KiB in the middle of 64 MiB: not the whole file."""
    with open(mnt / "big", "wb") as f:
        f.write(trees.payload("b", 2**20) * 64)
    signed_in.flush(timeout=100)
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--deadline", "5s")
    before = graphd.bytes_down()
    fd = os.open(mnt / "big", os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    want = trees.payload("b", 2**20)
    for off in (33 * 2**20 + 12345, 7 * 2**20 + 99, 50 * 2**20 + 4000):
        assert os.pread(fd, 4096, off) == want[off % 2**20:][:4096]
    os.close(fd)
    assert graphd.bytes_down() - before < 4 * 2**20


@pytest.mark.configs("personal")
def test_cat_is_stopped_by_a_deadline(half_cached, graphd):
    """No answer at all: EIO after the deadline, and the next read works."""
    graphd.stall("download")
    took, code = elapsed(_code, (half_cached / "far").read_bytes)
    # The kernel asks twice, for its read-ahead and for the page itself; the
    # second time is answered at once.
    assert code == errno.EIO and took < DEADLINE + proc.patience(4)
    graphd.unstall()
    proc.wait_until(lambda: _code((half_cached / "far").read_bytes) == 0,
                    DEADLINE, "a read after the stall")
    assert len((half_cached / "far").read_bytes()) == 3_000_000
