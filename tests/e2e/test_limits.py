"""The budget and the disk: who writes waits while uploads drain, gets ENOSPC
only when waiting can't help, and nothing unsent ever goes."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from kit import proc, program, trees
from kit.marks import needs_root

MB = 2**20


def content(i, size=MB):
    return trees.payload(("limits", i), size)


def write_until_full(folder, first=0, size=MB, most=200):
    """[index of each file that is whole here], until ENOSPC."""
    written = []
    for i in range(first, first + most):
        try:
            (folder / f"f{i:03d}").write_bytes(content(i, size))
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            with contextlib.suppress(FileNotFoundError):
                (folder / f"f{i:03d}").unlink()
            return written
        written.append(i)
    raise AssertionError("it never got full")


def assert_here(folder, indices, size=MB):
    for i in indices:
        assert (folder / f"f{i:03d}").read_bytes() == content(i, size), i


def start_writer(source, path):
    """A `cp`, once it was seen to wait."""
    writer = subprocess.Popen(["cp", source, path], stderr=subprocess.DEVNULL,
                              preexec_fn=proc.die_with_parent)

    def waits():
        assert writer.poll() is None, "it did not wait"
        try:
            where = pathlib.Path(f"/proc/{writer.pid}/wchan").read_text()
        except OSError:
            return False
        return "request_wait_answer" in where
    proc.wait_until(waits, 20, "a writer that waits")
    return writer


@pytest.mark.fault(22)
def test_who_waits_holds_up_nobody_else(signed_in, graphd, base):
    """A file can be made without room, its first write waits; the directory
    can be used meanwhile."""
    mnt = signed_in.mount("--cache-size", "4M")
    source = base / "source"
    source.write_bytes(content(99, 3 * MB))
    (mnt / "big").write_bytes(content(0, 24 * MB))
    graphd.limit(up=2 * MB)
    graphd.wait_upload()
    writer = start_writer(source, mnt / "waits")
    done = subprocess.run(
        ["sh", "-c", "ls -l && mkdir d && mv d e && cat waits"],
        cwd=mnt.path, capture_output=True, timeout=proc.patience(5),
        check=True)
    assert b" waits" in done.stdout
    assert writer.poll() is None
    graphd.limit(up=0)
    assert writer.wait(proc.patience(30)) == 0
    signed_in.flush()
    assert graphd.read("waits") == source.read_bytes()
    assert (mnt / "waits").read_bytes() == source.read_bytes()


@pytest.mark.fault(22)
def test_ten_times_the_budget_through_a_slow_line(signed_in, graphd):
    mnt = signed_in.mount("--cache-size", "2M")
    graphd.limit(up=8 * MB)
    for i in range(20):
        (mnt / f"f{i:03d}").write_bytes(content(i))
    # They waited: nearly all must have left before the last one was let in.
    assert graphd.bytes_up() > 14 * MB
    signed_in.flush()
    graphd.limit(up=0)
    for i in range(20):
        assert graphd.read(f"f{i:03d}") == content(i)
    signed_in.wait_status(lambda s: s["cached_bytes"] <= 3 * MB,
                          what="eviction")


@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "3s")
def test_slower_than_the_deadline(mnt, signed_in, graphd):
    """One file takes longer than the deadline to leave; who waits for its room
    waits on, since it does leave."""
    (mnt / "big").write_bytes(content(0, 24 * MB))
    graphd.limit(up=4 * MB)
    graphd.wait_upload()
    took, _ = program.elapsed((mnt / "next").write_bytes, content(1))
    assert took > 3, "it did not wait"
    assert graphd.bytes_up() >= 24 * MB
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.read("big") == content(0, 24 * MB)


@pytest.mark.fault(20, 22)
@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "2s")
def test_budget_full_and_no_network(mnt, signed_in, graphd):
    mnt.wait_listed()
    graphd.stop()
    took, written = program.elapsed(write_until_full, mnt)
    assert 3 <= len(written) <= 8
    assert took >= 2, "it did not wait for the deadline"
    # A copy of a thousand files need not wait a thousand times.
    with pytest.raises(OSError, match=str(errno.ENOSPC)):
        program.elapsed((mnt / "another").write_bytes, b"x")
    assert_here(mnt, written)
    os.mkdir(mnt / "folder")  # what takes no room goes on
    os.rename(mnt / "f000", mnt / "folder/f000")
    (mnt / "folder/f000").chmod(0o600)
    graphd.start()
    signed_in.run("flush", check=0)
    (mnt / "another").write_bytes(b"there is room")
    signed_in.flush()
    assert graphd.read("folder/f000") == content(0)
    assert_here(mnt, written[1:])
    for i in written[1:]:
        assert graphd.read(f"f{i:03d}") == content(i)


@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "20s")
def test_waits_through_a_short_loss_of_the_network(mnt, signed_in, graphd,
                                                   base):
    source = base / "source"
    source.write_bytes(content(7))
    (mnt / "f000").write_bytes(content(0, 1000))
    signed_in.flush()
    graphd.stop()
    (mnt / "big").write_bytes(content(0, 6 * MB))
    writer = start_writer(source, mnt / "late")
    graphd.start()
    signed_in.run("flush", check=0)
    assert writer.wait(proc.patience(30)) == 0
    signed_in.flush()
    assert graphd.read("late") == content(7)


@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "60s")
def test_throttled_while_full(mnt, signed_in, graphd):
    """Retry-After is no reason to say ENOSPC."""
    graphd.fault("put", status=429, retry_after=3, times=1)
    graphd.fault("session", status=429, retry_after=3, times=1)
    (mnt / "big").write_bytes(content(0, 6 * MB))
    graphd.wait_fault()
    (mnt / "late").write_bytes(content(1))
    signed_in.flush()
    assert graphd.read("late") == content(1)


@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "60s")
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL])
def test_a_waiting_writer_can_be_interrupted(mnt, graphd, base, sig):
    source = base / "source"
    source.write_bytes(content(7))
    graphd.stop()
    (mnt / "big").write_bytes(content(0, 6 * MB))
    os.mkdir(mnt / "d")
    writer = start_writer(source, mnt / "d/late")
    # Who reads does not wait for who writes.
    assert (mnt / "big").read_bytes() == content(0, 6 * MB)
    assert set(os.listdir(mnt.path)) == {"big", "d"}
    assert os.listdir(mnt / "d") == ["late"]
    assert os.statvfs(mnt.path).f_bavail > 0
    writer.send_signal(sig)
    took, _ = program.elapsed(writer.wait, proc.patience(30))
    assert took < proc.patience(10)
    assert (mnt / "d/late").stat().st_size == 0  # made, and nothing came
    graphd.start()


@pytest.mark.mount_options("--cache-size", "4M", "--deadline", "60s")
def test_full_drive_is_said_at_once(mnt, signed_in, graphd):
    """No room there, none here: nothing to wait for."""
    graphd.set_quota(2 * MB)
    (mnt / "big").write_bytes(content(0, 6 * MB))
    signed_in.wait_status(lambda s: s["state"] == "full", what="a full drive")
    took, _ = program.elapsed(write_until_full, mnt)
    assert took < proc.patience(20)
    assert (mnt / "big").read_bytes() == content(0, 6 * MB)
    graphd.set_quota(100 * MB)
    signed_in.flush()
    assert graphd.read("big") == content(0, 6 * MB)


@pytest.mark.mount_options("--cache-size", "8M")
def test_two_hundred_writers_and_a_small_budget(mnt, signed_in, graphd):
    graphd.limit(up=30 * MB)
    size, failed = 150_000, []

    def write(i):
        try:
            (mnt / f"w{i:03d}").write_bytes(content(i, size))
        except OSError as e:
            failed.append((i, e))

    writers = [threading.Thread(target=write, args=(i,)) for i in range(200)]
    for w in writers:
        w.start()
    for w in writers:
        w.join(proc.patience(60))
    assert not failed, failed[:5]
    graphd.limit(up=0)
    signed_in.flush()
    files = graphd.files()
    assert len(files) == 200
    for i in range(0, 200, 9):
        assert graphd.read(f"w{i:03d}") == content(i, size)


# ---- the disk itself ---------------------------------------------------------


@pytest.fixture
def small_disk(signed_in):
    """The state directory is on a file system of 48 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700",
                    "small", str(signed_in.state)], check=True)
    yield signed_in.state
    for mount in signed_in.mounts:
        mount.clean_up()
    subprocess.run(["umount", "-l", str(signed_in.state)], check=True)


def fill(disk, leave=0):
    """A file of somebody else takes the room, but for `leave` bytes."""
    room = os.statvfs(disk)
    size = max(0, room.f_bavail * room.f_frsize - leave)
    with (disk / "filler").open("ab") as f:
        os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size,
                           max(1, size))
    return disk / "filler"


@needs_root
@pytest.mark.fault(20)
def test_disk_full_under_a_writer(signed_in, graphd, small_disk):
    mnt = signed_in.mount("--min-free", "0", "--deadline", "1s")
    mnt.wait_listed()
    (mnt / "sent").write_bytes(content("sent", 200_000))
    signed_in.flush()
    graphd.stop()
    (mnt / "before").write_bytes(content("b", 3 * MB))
    filler = fill(small_disk, leave=2 * MB)
    with pytest.raises(OSError) as caught:
        with (mnt / "during").open("wb") as f:
            for i in range(8):
                f.write(content(i))
            os.fsync(f.fileno())
    assert caught.value.errno == errno.ENOSPC
    assert (mnt / "before").read_bytes() == content("b", 3 * MB)
    assert (mnt / "sent").read_bytes() == content("sent", 200_000)
    filler.unlink()
    graphd.start()
    (mnt / "during").write_bytes(content("d", 3 * MB))
    signed_in.flush()
    for name in ("before", "during"):
        assert graphd.read(name) == content(name[0], 3 * MB)
    assert set(graphd.files()) == {"sent", "before", "during"}


@needs_root
@pytest.mark.fault(21)
def test_disk_full_under_the_database(signed_in, graphd, small_disk):
    """Every operation happens as a whole or says ENOSPC, and it all goes on
    when there is room again."""
    mnt = signed_in.mount("--min-free", "0", "--deadline", "1s")
    mnt.wait_listed()
    graphd.stop()
    done, refused = [], 0
    for i in range(4000):
        if i == 20:
            filler = fill(small_disk)
        try:
            os.mkdir(mnt / f"{i:04d} {'long name ' * 15}")
            done.append(i)
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            refused += 1
            if refused == 5:
                break
    assert refused == 5, "the database was never full"
    names = sorted(int(n[:4]) for n in os.listdir(mnt.path))
    assert names == done
    filler.unlink()
    os.mkdir(mnt / "later")
    graphd.start()
    signed_in.flush()
    assert len(graphd.names()) == len(done) + 1
    assert mnt.is_running()


@needs_root
@pytest.mark.fault(23)
def test_disk_full_under_a_reader(signed_in, graphd, small_disk):
    data = content("remote", 12 * MB)
    graphd.put("remote", data)
    mnt = signed_in.mount("--min-free", "0", "--deadline", "2s")
    (mnt / "local").write_bytes(content("l", MB))
    signed_in.flush()
    filler = fill(small_disk, leave=3 * MB)
    with pytest.raises(OSError) as caught:
        (mnt / "remote").read_bytes()
    assert caught.value.errno in (errno.ENOSPC, errno.EIO)
    assert (mnt / "local").read_bytes() == content("l", MB)
    filler.unlink()

    def readable():
        try:
            return (mnt / "remote").read_bytes() == data
        except OSError:
            return False
    proc.wait_until(readable, 20, "the file once there is room", every=0.3)


@needs_root
def test_free_space_floor(signed_in, graphd, small_disk):
    """Others on this disk keep their room."""
    mnt = signed_in.mount("--min-free", "16M", "--deadline", "1s")
    mnt.wait_listed()
    graphd.stop()
    written = write_until_full(mnt)
    room = os.statvfs(small_disk)
    # The reserve is for what is on its way; here every file was let in.
    assert room.f_bavail * room.f_frsize > 8 * MB
    assert_here(mnt, written)
    graphd.start()
    signed_in.run("flush", check=0)
    proc.wait_until(lambda: time.sleep(0.1) is None and len(graphd.files())
                    == len(written), 30, "all files")
    (mnt / "more").write_bytes(content(0))
    signed_in.flush()
