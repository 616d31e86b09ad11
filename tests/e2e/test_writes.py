"""Goal: what reaches the server is always a whole version that once was here.

Streams over an existing backup, writes while it uploads, files that stay
open, save-by-rename: no empty, partial or mixed version there."""

import datetime
import hashlib
import mmap
import os
import subprocess
import threading
import time

import pytest

from kit import proc, trees, writers


@pytest.mark.mount_options("--write-back-delay", "200ms", "--max-dirty-age",
                           "2s")
def test_stream_over_an_existing_backup(signed_in, mnt, graphd, base):
    """`(sleep 3; cat data) > FILE`: the shell truncates at once, data comes
    late; neither an empty nor a partial version may be uploaded."""
    (mnt / "dump").write_bytes(b"yesterday" * 1000)
    signed_in.flush()
    data = trees.payload("dump", 3_000_000)
    trees.write(base / "data", data)
    subprocess.run(
        ["sh", "-c", '(sleep 3; head -c 1000000 "$1"; sleep 1;'
         ' tail -c +1000001 "$1") > "$2"', "sh", base / "data", mnt / "dump"],
        check=True, timeout=proc.patience(30))
    signed_in.flush()
    assert graphd.versions("dump") == [b"yesterday" * 1000, data]


@pytest.mark.configs("personal")
def test_child_processes_flush_but_do_not_finish(signed_in, mnt, graphd):
    """Each child that inherits the file closes it once: FLUSH is no end."""
    subprocess.run(
        ["sh", "-c", 'exec 5>"$1"; for i in 1 2 3 4 5; do /bin/echo $i >&5;'
         " sleep 0.4; done", "sh", mnt / "log"],
        check=True, timeout=proc.patience(30))
    signed_in.flush()
    assert graphd.versions("log") == [b"1\n2\n3\n4\n5\n"]


@pytest.mark.configs("personal", "work")
def test_written_while_it_uploads(signed_in, mnt, graphd):
    """Both versions arrive, whole, in order; the first is the snapshot."""
    first = bytearray(trees.payload("first", 24 * 2**20))
    (mnt / "file").write_bytes(first)
    graphd.limit(up=16 * 2**20)
    graphd.wait_request("fragment")
    with open(mnt / "file", "r+b") as f:
        for offset in (0, 5_000_000, 24 * 2**20 - 10):
            f.seek(offset)
            f.write(b"overwritten")
    second = bytearray(first)
    for offset in (0, 5_000_000, 24 * 2**20 - 10):
        second[offset:offset + 11] = b"overwritten"
    assert (mnt / "file").read_bytes() == second
    graphd.limit(up=0)
    signed_in.flush()
    assert [hashlib.sha256(v).digest() for v in graphd.versions("file")] == \
        [hashlib.sha256(v).digest() for v in (first, second)]


HUGE_MB = int(os.environ.get("NMB_TEST_HUGE_MB", "64"))  # 2048 now and then


@pytest.mark.configs("personal", "work")
@pytest.mark.timeout(120 + HUGE_MB // 4)
def test_overlay_costs_one_chunk(signed_in, mnt, graphd):
    """A large file changed by 4 KiB while it uploads: 64 KiB more on disk, and
    both versions arrive, in order, each sent once."""
    size, sent = HUGE_MB * 2**20, graphd.bytes_up()
    block = trees.payload("huge", 2**20)
    digest = [hashlib.sha256(), hashlib.sha256()]
    with open(mnt / "huge", "wb") as f:
        for i in range(HUGE_MB):
            data = i.to_bytes(4, "big") + block[4:]
            f.write(data)
            digest[0].update(data)
            last = i == HUGE_MB - 1
            digest[1].update(data[:-4096] + b"n" * 4096 if last else data)
    graphd.limit(up=4 * 2**20)
    graphd.wait_request("fragment", timeout=60)
    content = signed_in.state / "nmbackupfs/default/content"

    def on_disk():
        return sum(p.stat().st_blocks * 512 for p in content.rglob("*")
                   if p.is_file())

    before = on_disk()
    with open(mnt / "huge", "r+b") as f:
        f.seek(size - 4096)
        f.write(b"n" * 4096)
        os.fsync(f.fileno())
    grown = on_disk() - before
    assert 0 < grown <= 65_536 + 8192, grown
    assert not graphd.files()
    graphd.limit(up=0)
    signed_in.flush(timeout=60 + HUGE_MB // 8)
    assert graphd.version_digests("huge") == [d.hexdigest() for d in digest]
    assert graphd.bytes_up() - sent == 2 * graphd.stored_size(size)
    proc.wait_until(lambda: on_disk() <= before, 10, "the end of the overlay")


# An hour of it, with the age as it is by default: tests/run e2e-long
HOLD_S = float(os.environ.get("NMB_TEST_HOLD_S", "40"))
HOLD_AGE = os.environ.get("NMB_TEST_HOLD_AGE", "3s")


@pytest.mark.configs("personal-60")
@pytest.mark.timeout(HOLD_S + 120)
@pytest.mark.mount_options("--max-dirty-age", HOLD_AGE,
                           "--write-back-delay", "1s")
def test_held_open_and_written(signed_in, mnt, graphd):
    """Files that are never closed are uploaded as consistent snapshots: every
    version is what the file was between two writes. Databases and logs that
    fsync often, seldom, or never (that one is judged as a log only: what the
    kernel writes out by itself has an order only there)."""
    held = {"often": writers.Database(mnt / "often", 0.002, 5),
            "seldom": writers.Database(mnt / "seldom", 0.002, 500),
            "large": writers.Database(mnt / "large", 0.002, 50, pages=6000),
            "log": writers.Log(mnt / "log", 0.002, 50),
            "never": writers.Log(mnt / "never", 0.02, 0)}
    for writer in held.values():
        writer.start()
    end = time.monotonic() + HOLD_S
    while time.monotonic() < end:
        threading.Event().wait(0.5)
        assert not any(w.failure for w in held.values())
    for writer in held.values():
        writer.stop()
    signed_in.flush()
    counts = {name: writers.judge_all(writer, graphd.versions(name))
              for name, writer in held.items()}
    for name, writer in held.items():
        assert counts[name][-1] == writer.count
        assert len(counts[name]) >= (2 if name == "never" else 4), counts


@pytest.mark.configs("personal")
def test_fsync_sends_an_open_file(signed_in, mnt, graphd):
    with open(mnt / "db", "wb") as f:
        f.write(b"committed")
        f.flush()
        os.fsync(f.fileno())
        proc.wait_until(lambda: graphd.item("db", missing_ok=True), 20,
                        "the upload of an open file")
        assert graphd.read("db") == b"committed"


def test_mmap_pages_after_close(signed_in, mnt, graphd):
    """Pages dirtied through a mapping arrive although the file is closed."""
    (mnt / "map").write_bytes(bytes(300_000))
    signed_in.flush()
    fd = os.open(mnt / "map", os.O_RDWR)
    shared = mmap.mmap(fd, 300_000)
    os.close(fd)
    shared[100_000:100_006] = b"mapped"
    shared.close()
    signed_in.flush()
    assert graphd.read("map")[99_999:100_007] == b"\0mapped\0"


@pytest.mark.mount_options(
    "--write-back-delay", f"{int(proc.patience(1000))}ms")
def test_save_by_rename(signed_in, mnt, graphd):
    """An editor's way: the item keeps its id and gets a version, if what was
    written aside was not sent before it got the name."""
    (mnt / "text").write_bytes(b"one")
    signed_in.flush()
    item = graphd.item("text")
    for content in (b"two", b"three"):
        (mnt / ".text.swp").write_bytes(content)
        with open(mnt / ".text.swp", "ab") as f:
            os.fsync(f.fileno())
        os.rename(mnt / ".text.swp", mnt / "text")
        assert (mnt / "text").read_bytes() == content
        signed_in.flush()
    assert sorted(graphd.files()) == ["text"]
    assert graphd.item("text")["id"] == item["id"]
    assert graphd.versions("text") == [b"one", b"two", b"three"]


def test_save_with_a_backup_copy(signed_in, mnt, graphd):
    """The other editor's way: file to file~, then a new file."""
    (mnt / "text").write_bytes(b"one")
    signed_in.flush()
    os.rename(mnt / "text", mnt / "text~")
    (mnt / "text").write_bytes(b"two")
    signed_in.flush()
    os.unlink(mnt / "text~")
    signed_in.flush()
    assert graphd.read("text") == b"two" and list(graphd.files()) == ["text"]


def test_append_after_reopen(signed_in, mnt, graphd):
    """Also when the cache is empty: the old bytes come from the server."""
    old = trees.payload("old", 500_000)
    (mnt / "f").write_bytes(old)
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    with open(mnt / "f", "ab") as f:
        f.write(b"appended")
    with open(mnt / "f", "r+b") as f:
        f.seek(100_000)
        f.write(b"patched")
    want = bytearray(old + b"appended")
    want[100_000:100_007] = b"patched"
    assert (mnt / "f").read_bytes() == want
    signed_in.flush()
    assert graphd.read("f") == want


def test_truncate_shapes(signed_in, mnt, graphd):
    """To 0, shorter, longer, of a file that is only on the server."""
    data = trees.payload("t", 200_000)
    for name in ("zero", "short", "long", "otrunc"):
        (mnt / name).write_bytes(data)
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    os.truncate(mnt / "zero", 0)
    os.truncate(mnt / "short", 70_000)
    os.truncate(mnt / "long", 300_000)
    (mnt / "otrunc").write_bytes(b"new")
    signed_in.flush()
    assert graphd.read("zero") == b""
    assert graphd.read("short") == data[:70_000]
    assert graphd.read("long") == data + bytes(100_000)
    assert graphd.read("otrunc") == b"new"


def test_unlink_and_recreate_while_it_uploads(signed_in, mnt, graphd):
    """The new content wins; the old one never comes back."""
    graphd.limit(up=2 * 2**20)
    (mnt / "f").write_bytes(trees.payload("old", 12 * 2**20))
    graphd.wait_request("fragment")
    os.unlink(mnt / "f")
    (mnt / "f").write_bytes(b"new")
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.read("f") == b"new" and list(graphd.files()) == ["f"]


@pytest.mark.fault(97)
def test_rename_while_it_uploads(signed_in, mnt, graphd):
    """The file and its parent move back and forth; the end state counts."""
    data = trees.payload("moving", 12 * 2**20)
    (mnt / "a").mkdir()
    graphd.limit(up=4 * 2**20)
    (mnt / "a/f").write_bytes(data)
    graphd.wait_request("fragment")
    os.rename(mnt / "a/f", mnt / "a/g")
    os.rename(mnt / "a", mnt / "b")
    os.rename(mnt / "b/g", mnt / "h")
    os.rename(mnt / "b", mnt / "a")
    os.rename(mnt / "h", mnt / "a/final")
    graphd.limit(up=0)
    signed_in.flush()
    assert {k: v["size"] for k, v in graphd.files().items()} == \
        {"a/final": len(data)}
    assert graphd.read("a/final") == data


@pytest.mark.configs("personal")
def test_exchange(signed_in, mnt, graphd):
    """RENAME_EXCHANGE of files and of folders ends right on the server."""
    from test_ops import RENAME_EXCHANGE, renameat2
    (mnt / "one").write_bytes(b"1")
    (mnt / "two").write_bytes(b"2")
    (mnt / "d1/x").parent.mkdir()
    (mnt / "d1/x").write_bytes(b"d1")
    (mnt / "d2").mkdir()
    signed_in.flush()
    ids = {n: graphd.item(n)["id"] for n in ("one", "two", "d1", "d2")}
    renameat2(mnt / "one", mnt / "two", RENAME_EXCHANGE)
    renameat2(mnt / "d1", mnt / "d2", RENAME_EXCHANGE)
    signed_in.flush()
    assert graphd.read("one") == b"2" and graphd.read("two") == b"1"
    assert graphd.read("d2/x") == b"d1"
    assert graphd.item("d1")["id"] == ids["d2"]
    assert graphd.item("one")["id"] == ids["two"]


@pytest.mark.fault(98)
@pytest.mark.configs("personal")
def test_eight_writers_in_one_folder(signed_in, mnt, graphd):
    """And readers listing: no duplicate, none missing, all arrive."""
    failures = []

    def write(who):
        try:
            for i in range(40):
                path = mnt / f"w{who}-{i:02d}"
                path.write_bytes(f"{who}-{i}".encode() * 100)
                if i % 4 == 3:
                    os.rename(path, mnt / f"r{who}-{i:02d}")
        except OSError as e:
            failures.append(e)

    threads = [threading.Thread(target=write, args=(w,)) for w in range(8)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        names = os.listdir(mnt.path)
        assert len(names) == len(set(names))
    assert not failures
    signed_in.flush()
    here = trees.describe(mnt.path)
    assert len(here) == 320 and set(graphd.files()) == set(here)


@pytest.mark.configs("personal")
def test_dd_odsync_and_direct(signed_in, mnt, graphd):
    """O_DSYNC and O_DIRECT writers, as backup tools use them."""
    data = trees.payload("dd", 2**20)
    fd = os.open(mnt / "sync", os.O_CREAT | os.O_WRONLY | os.O_DSYNC)
    os.write(fd, data)
    os.close(fd)
    fd = os.open(mnt / "direct", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    page = mmap.mmap(-1, 2**20)
    page.write(data)
    assert os.pwritev(fd, [page], 0) == 2**20
    os.close(fd)
    signed_in.flush()
    assert graphd.read("sync") == graphd.read("direct") == data


@pytest.mark.fault(78)
@pytest.mark.configs("personal", "work", "personal-vault")
def test_odd_times(signed_in, mnt, graphd):
    """1970, 2038, 2103, nanoseconds: exact here, by seconds there, and no
    content is sent for them again."""
    times = {"epoch": 0, "y2038": (2**31 + 1) * 10**9 + 999_999_999,
             "y2103": 4_200_000_000 * 10**9 + 1, "now": 1_790_000_000_123456789}
    for name, ns in times.items():
        (mnt / name).write_bytes(name.encode())
        os.utime(mnt / name, ns=(ns, ns))
    signed_in.flush()
    sent = {k: graphd.requests().get(k, 0)
            for k in ("put", "session", "fragment")}
    mnt.unmount()
    mnt = signed_in.mount()
    graphd.mark()
    graphd.wait_request("delta", more=3)
    for name, ns in times.items():
        assert (mnt / name).stat().st_mtime_ns == ns
        assert (mnt / name).read_bytes() == name.encode()
    signed_in.flush()
    assert {k: graphd.requests().get(k, 0) for k in sent} == sent
    if hasattr(graphd, "raw"):  # in the sealed name
        mnt.unmount()
        signed_in.wipe()
        mnt = signed_in.mount()
        for name, ns in times.items():
            assert (mnt / name).stat().st_mtime_ns == ns
        return
    for name, ns in times.items():
        there = datetime.datetime.fromisoformat(graphd.item(name)["mtime"])
        assert int(there.timestamp()) == ns // 10**9
