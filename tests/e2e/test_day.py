"""Goal: one process that does everything once and then ends in order.

What a sanitizer or valgrind is for: memory that is lost, threads that race,
and an end that frees all that the day has made. Nothing is killed here."""

import os
import shutil

import pytest

from kit import proc, trees

pytestmark = pytest.mark.configs("personal", "work")


def copy_in(mnt):
    trees.make_tree(mnt / "odd", seed=5, files=80, max_size=100_000)
    (mnt / "many").mkdir()
    for i in range(60):
        (mnt / f"many/{i}").write_bytes(trees.payload(i, 700))
    (mnt / "large").write_bytes(trees.payload("large", 12 * 2**20))


def change(mnt):
    os.rename(mnt / "many", mnt / "few")
    shutil.rmtree(mnt / "odd/folder 0", ignore_errors=True)
    for i in range(0, 60, 7):
        (mnt / f"few/{i}").unlink()
    (mnt / "few/1").write_bytes(b"anew")
    with open(mnt / "few/2", "ab") as f:
        f.write(b"appended")
    with open(mnt / "large", "r+b") as f:
        f.seek(5 * 2**20)
        f.write(b"in the middle")
        os.fsync(f.fileno())
    os.truncate(mnt / "few/3", 10)
    os.rename(mnt / "few/4", mnt / "few/5")
    with pytest.raises(PermissionError):
        os.link(mnt / "large", mnt / "hard")
    os.symlink("large", mnt / "soft")
    os.mkfifo(mnt / "fifo")
    os.statvfs(mnt.path)
    os.listxattr(mnt / "large")


def other_device(graphd):
    graphd.put("from afar", b"far")
    graphd.put("few/8", b"theirs")
    graphd.rename("few/9", "nine")
    graphd.mkdir("there")
    graphd.put("there/deep", trees.payload("deep", 2_000_000))
    graphd.delete("few/10")


def see_other_device(mnt):
    def there():
        return (mnt / "from afar").exists() and (mnt / "nine").exists() and \
            (mnt / "there/deep").exists() and not (mnt / "few/10").exists() and \
            (mnt / "few/8").read_bytes() == b"theirs"
    proc.wait_until(there, 30, "what the other device did")
    assert (mnt / "there/deep").read_bytes() == trees.payload("deep", 2_000_000)


def test_day(signed_in, mnt, graphd):
    copy_in(mnt)
    signed_in.flush()
    change(mnt)
    signed_in.flush()
    other_device(graphd)
    see_other_device(mnt)
    graphd.fault(times=3, status=503, retry_after=1)
    (mnt / "in trouble").write_bytes(trees.payload("t", 300_000))
    signed_in.flush()
    signed_in.status()
    mnt.unmount()


def test_next_day(signed_in, mnt, graphd, base):
    """Everything comes from the server, in pieces and as a whole."""
    copy_in(mnt)
    signed_in.flush()
    before = trees.describe(mnt.path)
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--cache-size", "8M")
    with open(mnt / "large", "rb") as f:
        for at in (11 * 2**20, 0, 6 * 2**20 + 5):
            f.seek(at)
            f.read(100_000)
    assert trees.describe(mnt.path) == before
    (mnt / "few").mkdir()
    shutil.copy(mnt / "many/3", mnt / "few/3")
    mnt.unmount()
    assert graphd.read("few/3") == trees.payload(3, 700)
