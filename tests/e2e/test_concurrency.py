"""Many at once on one mount: nothing is lost, nothing comes twice, and nobody
waits for somebody else's network."""

import fcntl
import mmap
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from kit import proc, program, trees

MB = 2**20

APPENDER = """
import os, sys
path, who, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for i in range(n):
    line = f"{who} {i} {'.' * (i % 50)}\\n".encode()
    assert os.write(fd, line) == len(line)
    if i % 40 == 0:
        os.close(fd)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
"""


def run_all(*functions):
    """Threads; the first exception of any of them is raised."""
    failed = []

    def guard(function):
        try:
            function()
        except BaseException as e:  # pylint: disable=broad-except
            failed.append(e)

    threads = [threading.Thread(target=guard, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join(proc.patience(120))
        assert not t.is_alive(), "it hangs"
    if failed:
        raise failed[0]


@pytest.mark.fault(94)
def test_two_processes_append(mnt, signed_in, graphd):
    n = 300
    writers = [subprocess.Popen(
        [sys.executable, "-c", APPENDER, mnt / "log", who, str(n)],
        preexec_fn=proc.die_with_parent) for who in "ab"]
    assert [w.wait(proc.patience(90)) for w in writers] == [0, 0]
    lines = (mnt / "log").read_text().splitlines()
    for who in "ab":
        assert [x for x in lines if x[0] == who] == \
            [f"{who} {i} {'.' * (i % 50)}" for i in range(n)]
    assert len(lines) == 2 * n
    signed_in.flush()
    assert graphd.read("log").decode().splitlines() == lines
    assert graphd.names() == {"log"}


@pytest.mark.fault(95)
def test_read_while_it_is_sent_and_written(mnt, signed_in, graphd):
    """Each version on the server is one that was closed, the last one last."""
    size = 3 * MB
    wrote = [trees.payload(("v", i), size) for i in range(3)]
    (mnt / "f").write_bytes(wrote[0])
    graphd.limit(up=2 * MB)
    graphd.wait_upload()
    versions = [wrote[0]]
    for new in wrote[1:]:
        with (mnt / "f").open("r+b") as f:  # in place, while it leaves
            for at in range(0, size, 256 * 1024):
                f.seek(at)
                f.write(new[at:at + 256 * 1024])
                with (mnt / "f").open("rb") as r:
                    whole = r.read()
                end = at + 256 * 1024
                assert whole[:end] == new[:end]
                assert whole[end:] == versions[-1][end:]
        versions.append(new)
    assert not graphd.versions("f") or graphd.item("f")
    graphd.limit(up=0)
    signed_in.flush()
    there = graphd.versions("f")
    assert there[-1] == versions[-1]
    for data in there:
        assert data in versions, "a mixture was sent"
    assert graphd.names() == {"f"}


@pytest.mark.fault(96)
def test_unlinked_and_made_anew_while_it_is_sent(mnt, signed_in, graphd):
    old = trees.payload("old", 5 * MB)
    new = trees.payload("new", 70_000)
    for _ in range(3):
        graphd.limit(up=3 * MB)
        (mnt / "f").write_bytes(old)
        graphd.wait_upload()
        os.unlink(mnt / "f")
        (mnt / "f").write_bytes(new)
        graphd.limit(up=0)
        signed_in.flush()
        assert graphd.read("f") == new
        assert (mnt / "f").read_bytes() == new
        assert graphd.names() == {"f"}
    graphd.mark()
    graphd.wait_request("delta", more=3)
    assert (mnt / "f").read_bytes() == new, "the old one came back"
    assert os.listdir(mnt.path) == ["f"]


@pytest.mark.fault(97)
def test_renamed_back_and_forth_while_it_is_sent(mnt, signed_in, graphd):
    data = trees.payload("r", 4 * MB + 100)
    os.makedirs(mnt / "a/b")
    signed_in.flush()
    graphd.limit(up=2 * MB)
    (mnt / "a/b/f").write_bytes(data)
    (mnt / "a/b/small").write_bytes(b"small")
    graphd.wait_upload()
    for i in range(4):
        os.rename(mnt / "a/b/f", mnt / "a/b/g")
        os.rename(mnt / "a/b", mnt / "c")
        os.rename(mnt / "a", mnt / "e")
        os.rename(mnt / "c/g", mnt / "e/f")
        os.rename(mnt / "e", mnt / "a")
        os.rename(mnt / "c", mnt / "a/b")
        os.rename(mnt / "a/f", mnt / "a/b/f")
        if i == 1:
            graphd.mark()
            graphd.wait_request("delta", more=1)
    os.rename(mnt / "a/b/f", mnt / "a/last")
    assert len(graphd.tree()) < 5 or "a/last" not in graphd.tree()
    graphd.limit(up=0)
    signed_in.flush()
    assert set(graphd.tree()) == {"a", "a/b", "a/last", "a/b/small"}
    assert graphd.read("a/last") == data
    assert (mnt / "a/last").read_bytes() == data


@pytest.mark.fault(98)
def test_eight_writers_in_one_folder(mnt, signed_in, graphd):
    """What stays is in every listing exactly once, whatever goes on."""
    folder = mnt / "folder"
    folder.mkdir()
    steady = {f"steady{i}" for i in range(120)}
    for name in steady:
        (folder / name).write_bytes(name.encode())
    listings, done = [0], threading.Event()
    left = {}

    def write(who):
        rnd, mine = random.Random(who), {}
        for i in range(60):
            name = f"w{who}-{rnd.randrange(12)}"
            what = rnd.randrange(4)
            if what == 0 and name in mine:
                os.unlink(folder / name)
                del mine[name]
            elif what == 1 and name in mine:
                os.rename(folder / name, folder / f"w{who}-r")
                mine[f"w{who}-r"] = mine.pop(name)
            else:
                mine[name] = trees.payload((who, i), 5000 + i)
                (folder / name).write_bytes(mine[name])
        left.update(mine)

    def read():
        while not done.is_set():
            names = os.listdir(folder)
            # A name that goes and comes again may be met twice, as on btrfs.
            assert sorted(n for n in names if n in steady) == sorted(steady)
            listings[0] += 1

    def write_all():
        try:
            run_all(*(lambda w=w: write(w) for w in range(8)))
        finally:
            done.set()

    run_all(read, read, write_all)
    assert listings[0] > 5
    assert set(os.listdir(folder)) == steady | set(left)
    signed_in.flush()
    assert set(graphd.names()) == {"folder"}
    assert set(graphd.files()) == {f"folder/{n}"
                                    for n in steady | set(left)}
    for name, data in left.items():
        assert graphd.read(f"folder/{name}") == data
        assert (folder / name).read_bytes() == data


@pytest.mark.fault(99)
def test_mmap_writers(mnt, signed_in, graphd):
    """Two map one file and write their halves; pages that are written after
    the close are sent, too."""
    size = MB
    (mnt / "m").write_bytes(bytes(size))

    def write(half):
        with (mnt / "m").open("r+b") as f:
            view = mmap.mmap(f.fileno(), size)
        for at in range(half * 4096, size, 2 * 4096):
            view[at:at + 4096] = bytes([half + 1]) * 4096
        view.close()

    run_all(lambda: write(0), lambda: write(1))
    want = (bytes([1]) * 4096 + bytes([2]) * 4096) * (size // 8192)
    assert (mnt / "m").read_bytes() == want
    signed_in.flush()
    proc.wait_until(lambda: graphd.read("m") == want, 20, "all pages")


@pytest.mark.fault(99)
def test_truncated_with_open_readers(mnt, signed_in, graphd):
    """As on ext4: a reader of the same file sees it empty, then new."""
    (mnt / "f").write_bytes(b"old" * 50_000)
    signed_in.flush()
    with (mnt / "f").open("rb", buffering=0) as reader, \
            (mnt / "f").open("rb", buffering=0) as late:
        assert reader.read(3) == b"old"
        fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
        assert os.fstat(reader.fileno()).st_size == 0
        assert reader.read(3) == b""
        assert late.read(3) == b""
        os.write(fd, b"new" * 10)
        assert late.read() == b"new" * 10
        os.close(fd)
        assert os.pread(reader.fileno(), 100, 0) == b"new" * 10
    signed_in.flush()
    assert graphd.read("f") == b"new" * 10


@pytest.mark.fault(99)
def test_locks_between_processes(mnt):
    """flock and fcntl: who holds one keeps others out, and its end lets go."""
    (mnt / "lock").write_bytes(bytes(100))
    holder = """
import fcntl, sys
f = open(sys.argv[1], "r+b")
if sys.argv[2] == "flock":
    fcntl.flock(f, fcntl.LOCK_EX)
else:
    fcntl.lockf(f, fcntl.LOCK_EX, 10, 20)
print("held", flush=True)
sys.stdin.read()
"""
    for kind in ("flock", "fcntl"):
        with subprocess.Popen([sys.executable, "-c", holder, mnt / "lock",
                               kind], stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.PIPE) as other, \
                (mnt / "lock").open("r+b") as f:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(BlockingIOError):
                if kind == "flock":
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                else:
                    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 25)
            if kind == "fcntl":  # the rest of the file is free
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 40)
                fcntl.lockf(f, fcntl.LOCK_UN, 10, 40)
            other.kill()
            other.wait()
            if kind == "flock":
                fcntl.flock(f, fcntl.LOCK_EX)
            else:
                fcntl.lockf(f, fcntl.LOCK_EX, 5, 25)


@pytest.mark.fault(101)
@pytest.mark.mount_options("--deadline", "20s")
def test_stalled_server_and_a_hundred_threads(signed_in, graphd):
    """A hundred wait for bytes that don't come; everything that is known is
    there at once, and when bytes come, all go on."""
    for i in range(25):
        graphd.put(f"cold/f{i:02d}", trees.payload(("cold", i), 200_000))
    mnt = signed_in.mount("--deadline", "20s")
    os.listdir(mnt / "cold")
    os.mkdir(mnt / "other")
    for i in range(50):
        (mnt / f"other/{i}").write_bytes(b"%d" % i)
    signed_in.flush()
    graphd.stall({"class": "download"})
    got, begun = [], threading.Barrier(101)

    def read(i):
        begun.wait()
        try:
            data = (mnt / f"cold/f{i % 25:02d}").read_bytes()
            got.append(data == trees.payload(("cold", i % 25), 200_000))
        except OSError as e:
            got.append(e.errno)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(100)]
    for t in threads:
        t.start()
    begun.wait()
    graphd.wait_fault()

    def live():
        assert len(os.listdir(mnt / "other")) == 50
        assert len([e.stat() for e in os.scandir(mnt / "cold")]) == 25
        assert (mnt / "other/7").read_bytes() == b"7"
        (mnt / "other/new").write_bytes(b"new")
        os.rename(mnt / "other/new", mnt / "other/newer")
        os.unlink(mnt / "other/newer")

    for _ in range(3):
        took, _ = program.elapsed(live)
        assert took < proc.patience(1), took
    assert not got, "they did not wait"
    begun = time.monotonic()
    graphd.clear_faults()
    for t in threads:
        t.join(proc.patience(60))
        assert not t.is_alive(), "a wake-up was lost"
    print(f"all done after {time.monotonic() - begun:.2f} s,"
          f" {got.count(True)} whole")
    assert got.count(True) == 100, got
    signed_in.flush()
