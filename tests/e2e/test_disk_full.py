"""The disk below the state directory refuses: full, broken, read-only; no
descriptor left. The calls fail in the program's own process (kit/inject.c),
which counts that they did.

What was acknowledged is there afterwards, here and on the server; what was
refused is as if it had not been asked for; reads go on; nothing is restarted
to get well again."""

import contextlib
import errno
import os
import pathlib
import random
import resource
import subprocess

import pytest

from kit import inject as kit_inject
from kit import proc

pytestmark = [pytest.mark.configs("personal"),
              pytest.mark.skipif(kit_inject.why_not() is not None,
                                 reason=str(kit_inject.why_not()))]
FULL = bool(os.environ.get("NMB_TEST_FULL"))


def state_of(machine):
    return machine.state / "nmbackupfs/default"


@pytest.fixture
def inject(signed_in, base):
    return kit_inject.Inject(base, state_of(signed_in))


@pytest.fixture
def mnt(signed_in, inject):
    mount = signed_in.mount("--deadline", "5s", env=inject.env)
    mount.wait_listed()
    return mount


@pytest.fixture(autouse=True)
def no_deletes_unasked(graphd):
    yield
    assert all(graphd.files().values()), "something became empty"


def pattern(seed, size=100_000):
    return random.Random(seed).randbytes(size)


class Work:
    """One of each, again and again under other numbers; `sure` is what the
    mount must hold: what it said yes to."""

    def __init__(self, mount, allowed):
        self.mount = mount
        self.allowed = allowed
        self.sure = {}      # name -> the bytes it has
        self.maybe = {}     # name -> those it may have instead; None: none
        self.refused = 0
        for name in ("target", "edited", "kept"):
            (mount / name).write_bytes(pattern(name))
            self.sure[name] = pattern(name)

    @contextlib.contextmanager
    def may_fail(self):
        try:
            yield
        except OSError as e:
            assert e.errno in self.allowed, e
            self.refused += 1

    def round(self, n):
        new, temp, edited = f"new{n}", f"temp{n}", self.mount / "edited"
        self.maybe[new] = self.maybe[temp] = self.maybe["edited"] = ...
        with self.may_fail():
            (self.mount / new).write_bytes(pattern(n))
            self.sure[new] = pattern(n)
            del self.maybe[new]
        with self.may_fail():
            with edited.open("r+b") as f:
                f.seek(4096)
                f.write(b"%08d" % n * 512)
                f.flush()
                os.fsync(f.fileno())
            old = self.sure["edited"]
            self.sure["edited"] = old[:4096] + b"%08d" % n * 512 + old[8192:]
            del self.maybe["edited"]
        with self.may_fail():
            (self.mount / temp).write_bytes(pattern(f"t{n}"))
            self.sure[temp] = pattern(f"t{n}")
            self.maybe["target"] = pattern(f"t{n}")
            os.rename(self.mount / temp, self.mount / "target")
            self.sure["target"] = self.sure.pop(temp)
            del self.maybe["target"], self.maybe[temp]
        with self.may_fail():
            (self.mount / f"dir{n}").mkdir()
            os.rmdir(self.mount / f"dir{n}")
        assert (self.mount / "kept").read_bytes() == self.sure["kept"]

    def settle(self):
        """What was refused may be half there; then it is made good."""
        for name, data in self.maybe.items():
            path = self.mount / name
            if name == "target":  # a rename is done or not, nothing between
                have = path.read_bytes()
                assert have in (self.sure[name], data), name
                self.sure[name] = have
                continue
            if name in self.sure and name != "edited":
                assert path.read_bytes() == self.sure[name], name
                continue
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            self.sure.pop(name, None)
        if "edited" in self.maybe:
            (self.mount / "edited").write_bytes(pattern("edited"))
            self.sure["edited"] = pattern("edited")
        self.maybe = {}

    def compare(self, mount=None):
        have = {p.name: p.read_bytes() for p in (mount or self.mount)
                .path.iterdir() if p.is_file()}
        assert have.keys() == self.sure.keys()
        for name, data in self.sure.items():
            assert have[name] == data, name


@pytest.mark.fault(20, 21)
@pytest.mark.parametrize("kinds, error", [
    (kit_inject.FULL, errno.ENOSPC), (("sync",), errno.EIO),
    (kit_inject.READ_ONLY, errno.EROFS)], ids=["full", "sync", "read-only"])
def test_refused_at_any_call(signed_in, mnt, graphd, inject, kinds, error):
    """The disk refuses from the N-th call on, for N over all calls of a round
    of work; then it has room again, and the next round goes through."""
    work = Work(mnt, {error, errno.EIO})
    work.compare()
    with inject.fail(kinds, error, skip=1 << 30):
        work.round(0)
        os.sync()
        calls = inject.count
    assert calls >= 4 and work.refused == 0
    step = 1 if FULL else max(1, calls // 8)
    fired = 0
    for n, skip in enumerate(range(0, calls, step), 1):
        with inject.fail(kinds, error, skip=skip):
            work.round(n)
            fired += inject.fired
        work.settle()
    assert fired and work.refused, "no call was refused"
    work.round(9999)
    work.compare()
    blocked = [b["path"] for b in signed_in.status()["blocked"]] \
        if error == errno.EIO else []
    mnt.kill()
    proc.unmount_all(mnt.path)
    mnt = signed_in.mount(name="again")
    work.mount = mnt
    if error == errno.EIO:  # bytes that a flush failed on stay suspect
        return
    work.compare()
    signed_in.flush()
    assert not blocked
    assert graphd.files().keys() == work.sure.keys()
    for name, data in work.sure.items():
        assert graphd.read(name) == data, name


@pytest.mark.fault(23)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_full_during_a_download(signed_in, mnt, graphd, inject, error):
    data = pattern("r", 1_000_000)
    graphd.put("r", data)
    proc.wait_until(lambda: (mnt / "r").exists(), 20, "r")
    (mnt / "local").write_bytes(b"local")
    with inject.fail(kit_inject.FULL, error, part="/content/"):
        with pytest.raises(OSError) as e:
            (mnt / "r").read_bytes()
        assert e.value.errno in (error, errno.EIO)
        assert inject.fired
        assert (mnt / "local").read_bytes() == b"local"
    assert (mnt / "r").read_bytes() == data


@pytest.mark.fault(24)
def test_read_error(signed_in, mnt, graphd, inject):
    """A clean file is fetched anew; an unsent one is EIO, and kept."""
    (mnt / "clean").write_bytes(pattern("clean"))
    signed_in.flush()
    mnt.unmount()
    mnt = signed_in.mount("--deadline", "5s", env=inject.env)
    mnt.wait_listed()
    graphd.mark()
    with inject.fail("read", errno.EIO, times=1, part="/content/"):
        assert (mnt / "clean").read_bytes() == pattern("clean")
        assert inject.fired == 1
    graphd.wait_request("download")
    graphd.stop()
    (mnt / "unsent").write_bytes(pattern("unsent"))
    fd = os.open(mnt / "unsent", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    mnt.kill()
    proc.unmount_all(mnt.path)
    mnt = signed_in.mount("--deadline", "5s", env=inject.env)
    with inject.fail("read", errno.EIO, part="/content/"):
        with pytest.raises(OSError) as e:
            (mnt / "unsent").read_bytes()
        assert e.value.errno == errno.EIO and inject.fired
    graphd.start()
    assert (mnt / "unsent").read_bytes() == pattern("unsent")
    signed_in.flush()
    assert graphd.read("unsent") == pattern("unsent")


@pytest.mark.fault(25)
def test_flush_fails_once(signed_in, mnt, graphd, inject):
    """The kernel tells it once; then nothing calls those bytes safe, they are
    not sent, and people are told."""
    graphd.stop()
    fd = os.open(mnt / "f", os.O_CREAT | os.O_WRONLY)
    with inject.fail("sync", errno.EIO, part="/content/"):
        os.write(fd, b"x" * 5000)
        with pytest.raises(OSError) as e:
            os.fsync(fd)
        assert e.value.errno == errno.EIO and inject.fired
    with pytest.raises(OSError):
        os.fsync(fd)
    os.close(fd)
    (mnt / "other").write_bytes(b"other")
    graphd.start()
    graphd.wait_for("other")
    mnt.unmount(wait=False)
    mnt.process.terminate()
    mnt.wait()
    assert "f" not in graphd.files()
    found = signed_in.run("check", check=8).stdout
    assert "/f: the disk once failed to write it" in found
    assert "other" not in found


@pytest.mark.fault(25)
def test_flush_of_the_log_fails_once(signed_in, mnt, graphd, inject):
    with inject.fail("sync", errno.EIO, part="state.db-wal"):
        fd = os.open(mnt / "f", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x" * 5000)
        with pytest.raises(OSError):
            os.fsync(fd)
        assert inject.fired
    with inject.fail("sync", errno.EIO, part="state.db-wal"):
        with pytest.raises(OSError):  # by its copy, which needs it too
            os.fsync(fd)
    # The copy made all of it durable, so the log is believed again.
    os.fsync(fd)
    os.close(fd)
    signed_in.flush()
    assert graphd.read("f") == b"x" * 5000


@pytest.mark.fault(26)
def test_read_only_state(signed_in, mnt, graphd, inject):
    """Reads are served, writes are refused; at a start it is said clearly."""
    (mnt / "a").write_bytes(pattern("a"))
    signed_in.flush()
    with inject.fail(kit_inject.READ_ONLY, errno.EROFS):
        for refused in (lambda: (mnt / "b").write_bytes(b"b"),
                        lambda: (mnt / "a").write_bytes(b"b"),
                        lambda: (mnt / "d").mkdir(),
                        lambda: os.rename(mnt / "a", mnt / "c")):
            with pytest.raises(OSError) as e:
                refused()
            assert e.value.errno == errno.EROFS
        assert (mnt / "a").read_bytes() == pattern("a")
        assert os.listdir(mnt.path) == ["a"]
        assert inject.fired
    (mnt / "b").write_bytes(b"b")
    signed_in.flush()
    mnt.unmount()
    assert graphd.read("a") == pattern("a") and graphd.read("b") == b"b"
    state = state_of(signed_in)
    if subprocess.run(["mount", "--bind", state, state], check=False,
                      capture_output=True).returncode:
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        again = signed_in.mount(wait=False)
        assert again.wait() != 0
        assert "Read-only file system" in proc.tail(signed_in.log, 5)
        assert "all is well" in signed_in.run("check", check=0).stdout
        assert signed_in.run("check", "--repair").returncode == 1
    finally:
        subprocess.run(["umount", state], check=True)
    mnt = signed_in.mount()
    assert (mnt / "a").read_bytes() == pattern("a")


@pytest.mark.fault(27)
def test_no_descriptor_left(signed_in, mnt, graphd, inject):
    """For that call alone; with room again, it works."""
    (mnt / "a").write_bytes(b"a")
    held = (mnt / "a").open("rb")
    assert held.read() == b"a"
    pid = mnt.process.pid
    fds = len(os.listdir(f"/proc/{pid}/fd"))
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (fds - 2, hard))
    refused = []
    for i in range(5):
        with contextlib.suppress(FileExistsError):
            try:
                (mnt / f"n{i}").write_bytes(b"n")
            except OSError as e:
                refused.append(e.errno)
    # What the kernel writes out later it can only tell as EIO.
    assert refused and set(refused) <= {errno.EMFILE, errno.ENFILE, errno.EIO}
    held.seek(0)
    assert held.read() == b"a"
    os.listdir(mnt.path)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    for i in range(5):
        (mnt / f"n{i}").write_bytes(b"again")
    held.close()
    signed_in.run("flush")  # the kernel tells once more what it could not
    signed_in.flush()
    assert {n for n in graphd.files()} == {"a", *(f"n{i}" for i in range(5))}
    assert pathlib.Path(f"/proc/{pid}").exists()
