"""Much of everything: files, names, levels, bytes, time per request. What is
asserted is memory, requests and what comes out, not seconds.

NMB_TEST_LARGE=1 (check-all): the numbers of the README's rows; else a part of
them, in a few seconds each."""

import errno
import os
import threading
import time

import pytest

from kit import proc, program, trees
from kit.marks import needs_root

MB = 2**20
GB = 2**30
LARGE = bool(os.environ.get("NMB_TEST_LARGE"))
SANITIZED = any(s in program.BINARY.parent.name
                for s in ("address", "thread")) or program.VALGRIND


@pytest.fixture(autouse=True)
def patient_watchdog(monkeypatch):
    if LARGE:
        monkeypatch.setattr(program, "WATCHDOG_S", 1800)


def peak_rss(mount):
    """MiB, since the start of the program."""
    with open(f"/proc/{mount.process.pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def assert_bounded(mount, mebibytes):
    peak = peak_rss(mount)
    print(f"peak RSS {peak:.0f} MiB, bound {mebibytes}")
    assert SANITIZED or peak <= mebibytes, f"{peak:.0f} MiB"


@pytest.mark.fault(82)
@pytest.mark.configs("personal")
def test_many_files_in_one_folder_that_changes(signed_in, graphd):
    """Listed by the kernel's pages while files come and go: what was there
    all the time comes exactly once."""
    n = 100_000 if LARGE else 10_000
    graphd.fill("folder", n)
    mnt = signed_in.mount()
    before = graphd.requests().get("children", 0)
    folder = mnt / "folder"
    stop, changes = threading.Event(), []

    def change():
        i = 0
        while not stop.is_set():
            (folder / f"new{i % 50}").touch()
            (folder / f"new{(i + 25) % 50}").unlink(missing_ok=True)
            if i % 10 == 0:
                graphd.put(f"folder/theirs{i}", b"x")
            changes.append(i)
            i += 1

    assert len(os.listdir(folder)) == n
    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(3):
            had = len(changes)
            names = [e.name for e in os.scandir(folder)]
            stable = [x for x in names if x[0] == "f"]
            assert sorted(stable) == [f"f{i:07d}" for i in range(n)]
            assert len(set(names)) == len(names)
            proc.wait_until(lambda h=had: len(changes) > h + 5, 30,
                            "changes meanwhile")
    finally:
        stop.set()
        changer.join()
    signed_in.flush(timeout=120)
    assert graphd.requests().get("children", 0) - before <= n // 100 + 10
    assert_bounded(mnt, 200 if LARGE else 96)


def pages(graphd, before):
    asked = graphd.requests()
    return sum(asked.get(c, 0) - before.get(c, 0)
               for c in ("children", "delta"))


@pytest.mark.fault(10)
@pytest.mark.configs("personal")
def test_out_of_memory_in_a_large_listing(signed_in, graphd):
    """The kernel's way with who takes too much is SIGKILL: in the middle of
    it, some of it in the store. The next run has all of it, each once, and
    what was written meanwhile."""
    n = 100_000 if LARGE else 6_000
    graphd.fill("folder", n)
    graphd.latency(0, delta=150, children=150)
    mnt = signed_in.mount()
    (mnt / "mine").write_bytes(b"mine")
    before = graphd.requests()
    proc.wait_until(lambda: pages(graphd, before) >= 3, 30, "some pages")
    mnt.kill()
    assert pages(graphd, before) < n // 1000, "it had all of it"
    mnt.clean_up_dead()
    graphd.latency(0)
    mnt = signed_in.mount()
    names = os.listdir(mnt / "folder")
    assert sorted(names) == [f"f{i:07d}" for i in range(n)]
    assert (mnt / "mine").read_bytes() == b"mine"
    signed_in.flush(timeout=120)
    assert graphd.read("mine") == b"mine"
    assert len(graphd.files()) == n + 1
    assert_bounded(mnt, 200 if LARGE else 96)


@pytest.mark.fault(83)
@pytest.mark.configs("personal")
@pytest.mark.mount_options("--poll-interval", "1h")
def test_many_files_in_all(mnt, signed_in, graphd):
    """The tree is known once; a start does not read it, nor does `ls -lR`
    ask the server."""
    folders, each = (1000, 1000) if LARGE else (20, 500)
    for i in range(folders):
        graphd.fill(f"d{i:04d}", each, size=100)
    for _ in range(2):
        signed_in.run("flush", check=0)
    mnt.unmount()
    mnt = signed_in.mount("--poll-interval", "1s")
    proc.wait_until(lambda: len(os.listdir(mnt.path)) == folders,
                    60, "all folders", every=0.5)
    proc.wait_until(
        lambda: signed_in.status()["state"] == "idle"
        and len(os.listdir(mnt / f"d{folders - 1:04d}")) == each,
        600, "the whole tree", every=1)
    mnt.unmount(timeout=120)
    took = []
    for crash in (False, True):
        start = time.monotonic()
        mnt = signed_in.mount()
        took.append(time.monotonic() - start)
        assert took[-1] < proc.patience(10), f"crash={crash} {took}"
        assert len(os.listdir(mnt / "d0001")) == each
        graphd.mark()
        graphd.wait_request("delta", more=2)
        assert_bounded(mnt, 64)  # idle, after some rounds
        if not crash:
            mnt.kill()
    before = graphd.requests()
    found = sum(1 for folder, _, names in os.walk(mnt.path)
                for name in names if os.stat(os.path.join(folder, name)))
    assert found == folders * each
    asked = graphd.requests()
    assert {c: n for c, n in asked.items()
            if n != before.get(c, 0) and c not in ("delta", "drive")} == {}
    start = time.monotonic()
    os.rename(mnt / "d0001", mnt / "d0002/moved")
    print(f"mounted in {took} s, renamed in {time.monotonic() - start:.4f} s")
    signed_in.flush()
    assert graphd.requests().get("patch", 0) - before.get("patch", 0) == 1
    assert_bounded(mnt, 400 if LARGE else 96)


@pytest.mark.configs("personal")
def test_remove_a_folder_of_many(signed_in, graphd):
    """`rm -r` of a folder is one DELETE."""
    n = 20_000 if LARGE else 2000
    graphd.fill("folder", n)
    mnt = signed_in.mount()
    assert len(os.listdir(mnt / "folder")) == n
    before = graphd.requests()
    names = os.listdir(mnt / "folder")
    for name in names:
        os.unlink(mnt / "folder" / name)
    os.rmdir(mnt / "folder")
    signed_in.flush(timeout=120)
    after = graphd.requests()
    assert "folder" not in graphd.names()
    assert after["delete"] - before.get("delete", 0) == 1
    assert_bounded(mnt, 128)


@pytest.mark.fault(85)
@pytest.mark.configs("personal", "work-vault")
def test_long_names_and_deep_trees(mnt, signed_in, graphd):
    """A path is either refused when it is made, or reaches the server; the
    queue never sticks."""
    made = []
    for path in ("n" * 255, "n" * 240, "ä" * 127, "\U0001f4be" * 63, "x" * 130,
                 "t" * 256):
        try:
            (mnt / path).write_bytes(path.encode())
            made.append(path)
        except OSError as e:
            assert e.errno == errno.ENAMETOOLONG, (path, e)
    assert "x" * 130 in made
    assert "t" * 256 not in made
    deep = []
    for width in (1, 20, 60):
        here, level = mnt.path, 0
        try:
            for level in range(60):
                here = here / (f"{level:02d}" + "d" * (width - 1))
                here.mkdir()
                deep.append(here)
        except OSError as e:
            assert e.errno == errno.ENAMETOOLONG, (level, e)
            assert level >= 3
        try:
            (deep[-1] / "leaf").write_bytes(b"leaf")
            made.append(str((deep[-1] / "leaf").relative_to(mnt.path)))
        except OSError as e:
            assert e.errno == errno.ENAMETOOLONG, e
    # Sixty levels of short names fit into 400 characters in a plain folder.
    assert signed_in.env["NMBACKUPFS_PLAIN"] == "no" or \
        any(p.count("/") >= 60 for p in made)
    with pytest.raises(OSError) as caught:  # not by the back door either
        os.rename(mnt / made[0], deep[-1] / ("r" * 200))
    assert caught.value.errno == errno.ENAMETOOLONG
    (mnt / "after").write_bytes(b"after all that")
    signed_in.flush(timeout=120)
    assert signed_in.status()["blocked"] == []
    for path in made:
        assert graphd.read(path) == (
            b"leaf" if path.endswith("/leaf") else path.encode())


@pytest.mark.fault(84)
@pytest.mark.configs("personal")
def test_huge_files(mnt, signed_in, graphd):
    """Above OneDrive's limit is EFBIG at once; below it only what is there
    takes room here."""
    with (mnt / "big").open("wb") as f:
        with pytest.raises(OSError) as caught:
            os.ftruncate(f.fileno(), 300 * GB)
        assert caught.value.errno == errno.EFBIG
        with pytest.raises(OSError) as caught:
            os.pwrite(f.fileno(), b"x", 260 * GB)
            os.fsync(f.fileno())
        assert caught.value.errno == errno.EFBIG
        with pytest.raises(OSError) as caught:
            os.posix_fallocate(f.fileno(), 260 * GB, 4096)
        assert caught.value.errno == errno.EFBIG
    os.unlink(mnt / "big")
    mnt.unmount()
    graphd.stop()  # nobody wants to wait for 250 GB of zeros
    mnt = signed_in.mount("--write-back-delay", "1h")
    for name, size in (("250G", 250 * GB), ("20G", 20 * GB),
                       ("4G+1", 4 * GB + 1)):
        with (mnt / name).open("w+b") as f:
            f.truncate(size)
            f.seek(size - 1)
            f.write(b"z")
        assert (mnt / name).stat().st_size == size
        with (mnt / name).open("rb") as f:
            assert f.read(10) == bytes(10)
            assert os.pread(f.fileno(), 20, size - 1) == b"z"
            assert os.pread(f.fileno(), 3, size // 2) == bytes(3)
    assert signed_in.status()["cached_bytes"] < MB
    mnt.kill()  # closed: all of it is there again
    mnt = signed_in.mount("--write-back-delay", "1h")
    for name, size in (("250G", 250 * GB), ("4G+1", 4 * GB + 1)):
        with (mnt / name).open("rb") as f:
            assert os.fstat(f.fileno()).st_size == size
            assert os.pread(f.fileno(), 20, size - 1) == b"z"
    for name in ("250G", "20G", "4G+1"):
        os.unlink(mnt / name)
    graphd.start()
    signed_in.flush()
    assert graphd.files() == {}
    assert_bounded(mnt, 96)


@pytest.mark.configs("personal")
def test_unlinked_before_its_first_byte_was_sent(mnt, signed_in, graphd):
    """A file that goes while it is read for sending is not sent."""
    with (mnt / "f").open("wb") as f:
        f.truncate(3 * GB)
    proc.wait_until(lambda: 'name="f" action=create'
                    in signed_in.log.read_text(), 30, "the plan to send it")
    os.unlink(mnt / "f")
    signed_in.flush()
    assert graphd.bytes_up() < 64 * MB
    assert graphd.files() == {}


@pytest.mark.skipif(not LARGE, reason="NMB_TEST_LARGE=1: sends 4 GiB")
@pytest.mark.configs("personal")
def test_four_gib_and_a_byte_arrives(mnt, signed_in, graphd):
    size = 4 * GB + 1
    with (mnt / "f").open("wb") as f:
        f.write(b"begin")
        f.truncate(size)
        f.seek(size - 1)
        f.write(b"z")
    signed_in.flush(timeout=600)
    assert graphd.item("f")["size"] == graphd.stored_size(size)
    assert_bounded(mnt, 256)


@pytest.mark.fault(86)
@pytest.mark.configs("personal", "work-60")
def test_tiny_files_and_one_who_reads(mnt, signed_in, graphd):
    """A cold read gets its turn while thousands of files wait to be sent."""
    n = 10_000 if LARGE else 1500
    graphd.put("cold", trees.payload("cold", 2 * MB))
    signed_in.wait_status(lambda _: (mnt / "cold").exists(), what="the file")
    graphd.latency(100)
    os.mkdir(mnt / "tiny")
    for i in range(n):
        (mnt / f"tiny/{i}").write_bytes(b"%d" % i)
    requests = graphd.total_requests()
    took, data = program.elapsed((mnt / "cold").read_bytes)
    assert data == trees.payload("cold", 2 * MB)
    left = signed_in.status()["pending_files"]
    assert left > n // 10, "there was nothing to compete with"
    assert took < proc.patience(15), took
    print(f"read in {took:.2f} s with {left} files waiting")
    graphd.latency(0)
    signed_in.flush(timeout=240)
    assert len(graphd.files()) == n + 1
    assert graphd.total_requests() - requests < 1.3 * n
    assert_bounded(mnt, 160)


@pytest.mark.fault(38)
@pytest.mark.configs("personal")
@pytest.mark.mount_options("--deadline", "4s")
def test_a_byte_a_second(mnt, signed_in, graphd):
    """What trickles is not dead, and holds up nobody else."""
    graphd.put("slow", trees.payload("slow", 300_000))
    graphd.put("fast", trees.payload("fast", 300_000))
    signed_in.wait_status(lambda _: (mnt / "slow").exists()
                          and (mnt / "fast").exists(), what="the files")
    slow = graphd.fault({"class": "download"}, times=1, bytes_per_s=1)
    got = []
    reader = threading.Thread(
        target=lambda: got.append(read_or_error(mnt / "slow")))
    reader.start()
    graphd.wait_fault(slow)
    took, data = program.elapsed((mnt / "fast").read_bytes)
    assert data == trees.payload("fast", 300_000)
    (mnt / "up").write_bytes(trees.payload("up", 300_000))
    signed_in.flush()
    assert graphd.read("up") == trees.payload("up", 300_000)
    assert took < proc.patience(10)
    reader.join(proc.patience(30))
    assert got == [errno.EIO], "who reads it waits for the deadline"
    graphd.unstall()
    proc.wait_until(lambda: read_or_error(mnt / "slow")
                    == trees.payload("slow", 300_000), 60, "the slow file")


def read_or_error(path):
    try:
        return path.read_bytes()
    except OSError as e:
        return e.errno


@pytest.mark.fault(39)
@pytest.mark.configs("personal")
def test_half_a_minute_per_request(mnt, signed_in, graphd):
    """What is known needs no request: no stat waits behind an upload."""
    for i in range(200):
        (mnt / f"f{i}").write_bytes(b"%d" % i)
    signed_in.flush()
    graphd.latency(30_000)
    graphd.mark()
    (mnt / "slow").write_bytes(b"on its way")
    graphd.wait_request("session")

    def storm():
        for _ in range(5):
            for entry in os.scandir(mnt.path):
                entry.stat()
                (mnt / entry.name).stat()
        for i in range(0, 200, 10):
            assert (mnt / f"f{i}").read_bytes() == b"%d" % i
        os.statvfs(mnt.path)

    took, _ = program.elapsed(storm)
    assert took < proc.patience(10)
    assert "slow" not in graphd.files(), "it was not slow"
    graphd.latency(0)
    graphd.clear_faults()


@pytest.mark.fault(78)
@pytest.mark.configs("personal", "work", "personal-vault")
def test_times_of_a_hundred_years(signed_in, graphd):
    """To the nanosecond here, to the second there; no time makes a second
    upload or another version."""
    times = {"epoch": 0, "one": 1, "before_2038": (2**31 - 1) * 10**9 + 999,
             "after_2038": 2**31 * 10**9 + 123456789,
             "2103": 4202323200 * 10**9 + 987654321,
             "now": 1_764_000_000 * 10**9 + 1}
    mnt = signed_in.mount()
    for name, ns in times.items():
        (mnt / name).write_bytes(name.encode())
        os.utime(mnt / name, ns=(ns, ns))
    signed_in.flush()
    for name, ns in times.items():
        assert (mnt / name).stat().st_mtime_ns == ns, name
    up = graphd.bytes_up()
    graphd.mark()
    graphd.wait_request("delta", more=3)
    signed_in.flush()
    assert graphd.bytes_up() == up
    versions = {n: i["versions"] for n, i in graphd.files().items()}
    mnt.unmount()
    if signed_in.env["NMBACKUPFS_PLAIN"] != "no":
        signed_in.wipe()  # another machine knows what the server knows
    mnt = signed_in.mount()
    mnt.wait_listed()
    for name, ns in times.items():
        seen = (mnt / name).stat().st_mtime_ns
        assert seen // 10**9 == ns // 10**9, (name, seen)
    for name in times:
        assert (mnt / name).read_bytes() == name.encode()
    graphd.mark()
    graphd.wait_request("delta", more=2)
    signed_in.flush()
    assert {n: i["versions"] for n, i in graphd.files().items()} == versions
    assert graphd.bytes_up() == up


@needs_root
@pytest.mark.configs("personal")
def test_budget_of_many_small_files(signed_in, graphd):
    """Eviction of thousands costs what it frees, and frees it."""
    n = 20_000 if LARGE else 400
    graphd.fill("folder", n, size=5000)
    mnt = signed_in.mount("--cache-size", "1M")
    for i in range(n):
        assert len((mnt / f"folder/f{i:07d}").read_bytes()) == 5000
    signed_in.wait_status(lambda s: s["cached_bytes"] <= MB,
                          what="eviction")
    assert_bounded(mnt, 200 if LARGE else 96)
