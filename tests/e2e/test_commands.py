"""Goal: flush, umount, put and get tell the truth and can be scripted."""

import os
import signal
import subprocess
import time

import pytest

from kit import proc, trees
from kit.program import UNFINISHED, elapsed

pytestmark = pytest.mark.configs("personal", "work")


def test_flush_means_on_the_server(signed_in, mnt, graphd):
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"%d" % i)
    signed_in.flush()
    assert len(graphd.files()) == 20
    assert signed_in.status()["pending_files"] == 0


def test_flush_of_a_path(signed_in, mnt, graphd):
    graphd.limit(up=2**20)
    (mnt / "big").write_bytes(bytes(20 * 2**20))
    (mnt / "d").mkdir()
    (mnt / "d/small").write_bytes(b"s")
    signed_in.flush(mnt / "d")
    assert graphd.read("d/small") == b"s"
    assert signed_in.status()["pending_files"] == 1
    (mnt / "big").unlink()


def test_flush_timeout(signed_in, mnt, graphd):
    graphd.stop()
    (mnt / "f").write_bytes(b"f")
    start = time.monotonic()
    done = signed_in.run("flush", "--timeout", "1")
    assert done.returncode == UNFINISHED
    assert time.monotonic() - start < proc.patience(5)
    assert done.stderr.strip()
    graphd.start()
    signed_in.flush()


def test_flush_without_a_mount(signed_in):
    done = signed_in.run("flush")
    assert done.returncode != 0 and done.stderr.strip()


def test_umount_flushes_first(signed_in, mnt, graphd):
    (mnt / "f").write_bytes(trees.payload("f", 8_000_000))
    signed_in.run("umount", mnt.path, check=0)
    assert not proc.mounts_below(mnt.path)
    assert graphd.item("f")["size"] == 8_000_000
    mnt.wait_end()


def test_umount_no_wait(signed_in, mnt, graphd):
    """Returns at once; uploads go on in the background, then it ends."""
    graphd.limit(up=4 * 2**20)
    (mnt / "f").write_bytes(bytes(12 * 2**20))
    start = time.monotonic()
    signed_in.run("umount", "--no-wait", mnt.path, check=0)
    assert time.monotonic() - start < proc.patience(2)
    assert not proc.mounts_below(mnt.path) and mnt.is_running()
    graphd.limit(up=0)
    mnt.wait_end()
    assert graphd.item("f")["size"] == 12 * 2**20


def test_unmount_then_term_then_resume(signed_in, mnt, graphd):
    """Draining ends at SIGTERM; the rest goes up at the next mount."""
    graphd.limit(up=2**20)
    (mnt / "f").write_bytes(trees.payload("f", 12 * 2**20))
    mnt.unmount(wait=False)
    mnt.process.send_signal(signal.SIGTERM)
    assert mnt.wait(10) in (0, 128 + signal.SIGTERM)
    graphd.limit(up=0)
    signed_in.mount()
    signed_in.flush()
    assert graphd.read("f") == trees.payload("f", 12 * 2**20)


@pytest.mark.fault(9)
@pytest.mark.parametrize("how", ["SIGTERM", "umount"])
def test_an_end_with_unsent_files(signed_in, mnt, graphd, how):
    """Whoever can't send ends at once all the same, and keeps what is unsent;
    test_umount_flushes_first waits for it."""
    (mnt / "sent").write_bytes(b"sent")
    signed_in.flush()
    graphd.stop()
    unsent = {f"{i}": trees.payload(f"{i}", 1000 * i) for i in range(30)}
    for name, data in unsent.items():
        (mnt / name).write_bytes(data)
    os.rename(mnt / "sent", mnt / "moved")
    start = time.monotonic()
    if how == "umount":
        signed_in.run("umount", "--no-wait", mnt.path, check=0)
        assert not proc.mounts_below(mnt.path)
    mnt.process.send_signal(signal.SIGTERM)
    assert mnt.wait(10) in (0, 128 + signal.SIGTERM)
    assert time.monotonic() - start < proc.patience(5)
    assert not proc.mounts_below(mnt.path)

    again = signed_in.mount()
    unsent["moved"] = b"sent"
    assert {f.name: f.read_bytes() for f in again.path.iterdir()} == unsent
    assert signed_in.status()["pending_files"] == 30
    graphd.start()
    signed_in.flush()
    assert {name: graphd.read(name) for name in graphd.files()} == unsent


def test_remount_takes_over_from_a_draining_one(signed_in, mnt, graphd):
    graphd.limit(up=2**20)
    (mnt / "f").write_bytes(trees.payload("f", 8 * 2**20))
    mnt.unmount(wait=False)
    again = signed_in.mount()
    mnt.wait(10)
    assert (again / "f").read_bytes() == trees.payload("f", 8 * 2**20)
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.item("f")["size"] == 8 * 2**20


def test_umount_while_in_use(signed_in, mnt):
    with open(mnt / "f", "wb"):
        done = signed_in.run("umount", mnt.path)
        assert done.returncode != 0 and "busy" in done.stderr.lower()
    signed_in.run("umount", mnt.path, check=0)


def test_put_and_get_without_a_mount(signed_in, base, graphd):
    """Cron's pair: a package by name, its id; back by id or path."""
    data = trees.payload("package", 6_000_000)
    trees.write(base / "package.tar", data)
    done = signed_in.run("put", base / "package.tar", check=0)
    item_id = done.stdout.strip()
    assert graphd.item("package.tar")["id"] == item_id
    assert graphd.read("package.tar") == data
    signed_in.run("get", item_id, "-o", base / "back", check=0)
    assert (base / "back").read_bytes() == data
    signed_in.run("get", "package.tar", "-o", base / "back2", check=0)
    assert (base / "back2").read_bytes() == data
    out = subprocess.run(signed_in.command("get", item_id), env=signed_in.env,
                         capture_output=True, timeout=proc.patience(30),
                         check=True)
    assert out.stdout == data


@pytest.mark.plain("it looks at names as the drive has them")
def test_put_names_and_several(signed_in, base, graphd):
    trees.write(base / "a", b"aa")
    trees.write(base / "empty", b"")
    done = signed_in.run("put", base / "a", base / "empty", check=0)
    ids = done.stdout.split()
    assert [graphd.item(n)["id"] for n in ("a", "empty")] == ids
    signed_in.run("put", base / "a", "--as", "renamed:today", check=0)
    assert graphd.read("renamed：today") == b"aa"
    signed_in.run("get", "renamed:today", "-o", base / "out", check=0)
    assert (base / "out").read_bytes() == b"aa"


def test_put_again_makes_a_version(signed_in, base, graphd):
    trees.write(base / "p", b"one")
    first = signed_in.run("put", base / "p", check=0).stdout
    trees.write(base / "p", b"two")
    assert signed_in.run("put", base / "p", check=0).stdout == first
    assert graphd.versions("p") == [b"one", b"two"]


def test_put_and_get_beside_a_mount(signed_in, mnt, base, graphd):
    trees.write(base / "p", b"through the mount")
    item_id = signed_in.run("put", base / "p", check=0).stdout.strip()
    assert graphd.read("p") == b"through the mount"
    proc.wait_until(lambda: (mnt / "p").exists(), 20, "p in the mount")
    signed_in.run("get", item_id, "-o", base / "out", check=0)
    assert (base / "out").read_bytes() == b"through the mount"


def test_get_failures(signed_in, base, graphd):
    done = signed_in.run("get", "no such file", "-o", base / "out")
    assert done.returncode not in (0, 2, 3) and done.stderr.strip()
    assert not (base / "out").exists()
    assert signed_in.run("put", base / "absent").returncode != 0
    graphd.put("f", b"x" * 100_000)
    graphd.stop()
    done = signed_in.run("get", "f", "-o", base / "out", timeout=90)
    assert done.returncode != 0 and not (base / "out").exists()


def test_get_leaves_no_partial_file(signed_in, base, graphd):
    """Killed in the middle: no half file under the asked name."""
    graphd.put("f", trees.payload("f", 20_000_000))
    graphd.limit(down=2**20)
    process = signed_in.popen("get", "f", "-o", base / "out")
    graphd.wait_request("download")
    process.terminate()
    assert process.wait(proc.patience(10)) != 0
    assert not (base / "out").exists()


def test_bandwidth_limit(signed_in, graphd):
    """A quarter of a second's worth may go at once."""
    mnt = signed_in.mount("--bwlimit-up", "2M")
    (mnt / "f").write_bytes(bytes(8 * 2**20))
    took, _ = elapsed(signed_in.flush)
    assert 3 <= took < proc.patience(15), took


def test_cache_size_holds_when_files_are_read(signed_in, graphd):
    """What was read goes again once it is closed, and makes room for what is
    written then."""
    mnt = signed_in.mount("--cache-size", "24M")
    for name in "ab":
        (mnt / name).write_bytes(trees.payload(name, 17 * 2**20))
        signed_in.flush()
    for turn in range(2):
        for name in "ab":
            assert (mnt / name).read_bytes() == \
                trees.payload(name, 17 * 2**20)
        (mnt / f"new{turn}").write_bytes(b"there is room for it")
        signed_in.wait_status(lambda s: s["cached_bytes"] <= 24 * 2**20,
                              what="eviction")


def test_cache_size_evicts_only_what_is_safe(signed_in, graphd):
    mnt = signed_in.mount("--cache-size", "8M")
    for i in range(6):
        (mnt / f"{i}").write_bytes(trees.payload(i, 3 * 2**20))
        signed_in.flush()
    signed_in.wait_status(lambda s: s["cached_bytes"] <= 9 * 2**20,
                          what="eviction")
    for i in range(6):
        assert (mnt / f"{i}").read_bytes() == trees.payload(i, 3 * 2**20)
    graphd.stop()
    (mnt / "unsent").write_bytes(trees.payload("u", 2**20))
    for i in range(6):
        try:
            (mnt / f"{i}").read_bytes()
        except OSError:
            pass
    assert (mnt / "unsent").read_bytes() == trees.payload("u", 2**20)
    graphd.start()
    signed_in.flush()
