"""Random calls on a directory and on a shadow of it; both must do the same.

    ops = make_ops(seed, 1000)       plain data: (name, arguments...)
    Pair(mount_dir, shadow_dir).run(ops)

The shadow is a plain directory: what it answers is right. A difference is an
AssertionError that tells the seed and the last calls; minimise() finds the few
calls that it takes."""

import contextlib
import ctypes
import errno
import mmap
import os
import random
import stat
import time

from . import proc

libc = ctypes.CDLL(None, use_errno=True)

SLOTS = 6  # open files
DIRS = ("", "a", "b", "a/c", "b/d")
NAMES = ("f0", "f1", "f2", "f3", "f4", "f5", "a", "b", "c", "d")
# Chunks are 64 KiB, pages 4 KiB: offsets around their ends.
EDGES = (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 196608)
KEEP, PUNCH, ZERO = 1, 2, 16
NOREPLACE, EXCHANGE = 1, 2
SET_NS = 10**17  # times that were set are below, all others above


def make_ops(seed, count, most=300_000):
    """`most`: how far files reach."""
    chance = random.Random(seed)
    pick, upto = chance.choice, chance.randrange

    def path():
        return "/".join(filter(None, (pick(DIRS), pick(NAMES))))

    def off():
        return pick(EDGES) + upto(3) if upto(2) else upto(most)

    def length():
        return pick((1, 100, 4096, 5000, 65536, 70_000, most // 3))

    makers = {
        "open": (12, lambda: (upto(SLOTS), path(), pick((
            os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL,
            os.O_RDWR | os.O_CREAT | os.O_TRUNC, os.O_RDWR,
            os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT,
            os.O_RDWR | os.O_NOFOLLOW)))),
        "close": (5, lambda: (upto(SLOTS),)),
        "pwrite": (20, lambda: (upto(SLOTS), off(), upto(1000), length())),
        "pread": (14, lambda: (upto(SLOTS), off(), length())),
        "ftruncate": (5, lambda: (upto(SLOTS), off())),
        "truncate": (3, lambda: (path(), off())),
        "fallocate": (5, lambda: (upto(SLOTS), pick(
            (0, KEEP, PUNCH | KEEP, ZERO, ZERO | KEEP)), off(), length())),
        "copy": (4, lambda: (upto(SLOTS), off(), upto(SLOTS), off(), length())),
        "map": (5, lambda: (upto(SLOTS), off(), upto(1000), length())),
        "seek": (3, lambda: (upto(SLOTS), off())),
        "fsync": (2, lambda: (upto(SLOTS),)),
        "whole": (6, lambda: (path(),)),
        "unlink": (5, lambda: (path(),)),
        "mkdir": (4, lambda: (path(),)),
        "rmdir": (3, lambda: (path(),)),
        "rename": (8, lambda: (path(), path(), pick((0, 0, NOREPLACE,
                                                     EXCHANGE)))),
        "symlink": (2, lambda: (pick(NAMES), path())),
        "readlink": (1, lambda: (path(),)),
        "listdir": (3, lambda: (pick(DIRS),)),
        "chmod": (3, lambda: (path(), pick((0o600, 0o644, 0o755, 0o4711)))),
        "utime": (3, lambda: (path(), upto(SET_NS))),
        "look": (6, lambda: (path(),)),
    }
    names = list(makers)
    weights = [makers[n][0] for n in names]
    return [(n, *makers[n][1]())
            for n in chance.choices(names, weights, k=count)]


def payload(seed, size):
    return random.Random(seed).randbytes(251) * (size // 251 + 1)


class Side:
    """One of the two; every method answers with what must be the same."""

    def __init__(self, root):
        self.root = os.fspath(root)
        self.fds = {}

    def at(self, path):
        return f"{self.root}/{path}" if path else self.root

    def call(self, op):
        try:
            return getattr(self, op[0])(*op[1:])
        except OSError as e:
            return errno.errorcode[e.errno]

    def close_all(self):
        for slot in list(self.fds):
            self.close(slot)

    # -- open files ---------------------------------------------------------

    def fd(self, slot):
        if slot not in self.fds:
            raise OSError(errno.EBADF, "")
        return self.fds[slot]

    def size(self, slot):
        return os.fstat(self.fd(slot)).st_size

    def open(self, slot, path, flags):
        fd = os.open(self.at(path), flags, 0o644)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            return "directory"
        self.close(slot)
        self.fds[slot] = fd
        return self.size(slot)

    def close(self, slot):
        if slot in self.fds:
            os.close(self.fds.pop(slot))

    def pwrite(self, slot, off, seed, size):
        done = os.pwrite(self.fd(slot), payload(seed, size)[:size], off)
        return done, self.size(slot)

    def pread(self, slot, off, size):
        return os.pread(self.fd(slot), size, off)

    def ftruncate(self, slot, size):
        os.ftruncate(self.fd(slot), size)
        return self.size(slot)

    def fallocate(self, slot, mode, off, size):
        i64 = ctypes.c_int64
        if libc.fallocate(self.fd(slot), mode, i64(off), i64(size)):
            raise OSError(ctypes.get_errno(), "")
        return self.size(slot)

    def copy(self, slot, off, to, to_off, size):
        done = 0
        while done < size:  # each call may copy less
            n = os.copy_file_range(self.fd(slot), self.fd(to), size - done,
                                   off + done, to_off + done)
            if not n:
                break
            done += n
        return done, self.size(to)

    def map(self, slot, off, seed, size):
        """Stores into a map, as far as the file goes."""
        end = self.size(slot)
        if off >= end:
            return "behind"
        with mmap.mmap(self.fd(slot), end) as m:
            size = min(size, end - off)
            m[off:off + size] = payload(seed, size)[:size]
            if seed % 3 == 0:
                m.flush()
        return self.size(slot)

    def seek(self, slot, off):
        """Holes are a matter of taste, bytes are not."""
        try:
            data = os.lseek(self.fd(slot), off, os.SEEK_DATA)
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            data = max(off, self.size(slot))
        skipped = os.pread(self.fd(slot), max(0, data - off), off)
        assert not skipped.strip(b"\0"), f"bytes in a hole at {off}"
        return os.lseek(self.fd(slot), 0, os.SEEK_END)

    def fsync(self, slot):
        os.fsync(self.fd(slot))

    # -- names --------------------------------------------------------------

    def truncate(self, path, size):
        info = os.stat(self.at(path))
        if stat.S_ISREG(info.st_mode) and info.st_size == size:
            return "same"  # whether times move is a matter of taste
        os.truncate(self.at(path), size)
        return None

    def whole(self, path):
        with open(self.at(path), "rb") as f:
            return f.read()

    def unlink(self, path):
        os.unlink(self.at(path))

    def mkdir(self, path):
        os.mkdir(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, old, new, flags):
        if libc.renameat2(-100, os.fsencode(self.at(old)), -100,
                          os.fsencode(self.at(new)), flags):
            raise OSError(ctypes.get_errno(), "")

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def listdir(self, path):
        return sorted(os.listdir(self.at(path)))

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def utime(self, path, ns):
        os.utime(self.at(path), ns=(ns, ns), follow_symlinks=False)

    def look(self, path):
        info = os.lstat(self.at(path))
        size = 0 if stat.S_ISDIR(info.st_mode) else info.st_size
        was_set = info.st_mtime_ns if info.st_mtime_ns < SET_NS else None
        if stat.S_ISDIR(info.st_mode):
            was_set = None  # not kept on the service
        return oct(info.st_mode), size, was_set

    def tree(self):
        """{path: what look() says, bytes or target}."""
        found = {}
        for folder, dirs, names in os.walk(self.root):
            for name in dirs + names:
                path = os.path.relpath(f"{folder}/{name}", self.root)
                row = [*self.look(path), None]
                if row[0].startswith("0o100"):
                    row[3] = self.whole(path)
                elif row[0].startswith("0o120"):
                    row[3] = self.readlink(path)
                found[path] = tuple(row)
        return found


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:100]}...{text[-100:]}" \
        f" ({len(text)} long, {hash(text):x})"


class Pair:
    """`tight`: the mount is near the limit of its cache, where files open
    without pages: they can't be mapped (ENODEV), and the kernel sees what was
    written only once they are closed."""

    def __init__(self, mount, shadow, tight=False):
        self.mount, self.shadow = Side(mount), Side(shadow)
        self.tight = tight
        self.done = []

    def run(self, ops, every=100):
        for n, op in enumerate(ops):
            self.done.append(op)
            got = self.ask(op)
            if op[0] == "map" and self.tight and got == "ENODEV":
                continue
            want = self.shadow.call(op)
            if op[0] == "look" and self.tight:
                got, want = got[:2], want[:2]
            assert got == want, self.report(op, got, want)
            if n % every == every - 1:
                self.compare()
        self.compare()

    def ask(self, op):
        """Where all is full of what is not sent yet, a read that needs bytes
        from the server is told so, until some of it is gone."""
        if self.tight and op[0] in ("whole", "pread"):
            return proc.wait_until(
                lambda: [a for a in [self.mount.call(op)] if a != "ENOSPC"],
                60, "room for a read")[0]
        return self.mount.call(op)

    def tree_of_mount(self):
        with contextlib.suppress(OSError):
            return self.mount.tree()
        return None

    def compare(self):
        want = self.shadow.tree()
        if self.tight:  # times are right soon after the close
            self.close()
            with contextlib.suppress(AssertionError):
                proc.wait_until(lambda: self.tree_of_mount() == want, 20)
        got = self.mount.tree()
        for path in sorted(got.keys() | want.keys()):
            assert got.get(path) == want.get(path), \
                self.report(("tree", path), got.get(path), want.get(path))

    def report(self, op, got, want):
        last = "\n".join(map(repr, self.done[-8:]))
        return (f"after {len(self.done)} calls {op} gives\n{short(got)}\n"
                f"should be\n{short(want)}\nlast calls:\n{last}")

    def close(self):
        self.mount.close_all()
        self.shadow.close_all()


def _fails(ops, fresh):
    pair = fresh()
    try:
        pair.run(ops, every=len(ops) or 1)
    except AssertionError:
        return True
    finally:
        pair.close()
    return False


def minimise(ops, fresh, seconds=60):
    """The calls without which it does not fail; `fresh`: gives a Pair on two
    empty directories. None if it does not fail again."""
    end = time.monotonic() + seconds
    if not _fails(ops, fresh):
        return None
    size = len(ops) // 2
    while size and time.monotonic() < end:
        at = 0
        while at < len(ops) and time.monotonic() < end:
            fewer = ops[:at] + ops[at + size:]
            if _fails(fewer, fresh):
                ops = fewer
            else:
                at += size
        size //= 2
    return ops
