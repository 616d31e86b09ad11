"""What the mount told one program about its files, to be held against what is
there after a crash.

A call that returned has happened. One during which the mount died has happened
or not, wholly; only bytes that were being written may be there in part. Names
are relative to the mount; the content of a folder is DIR."""

import collections
import contextlib
import ctypes
import errno
import os
import stat
import sys

DIR = "a folder"
RENAME_EXCHANGE = 2
PUNCH = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
# Of a file that is written anew the kernel shows its own coarse clock, which it
# does not tell (O_TRUNC and the first write within one tick).
TICKS_NS = 20_000_000
_libc = ctypes.CDLL(None, use_errno=True)


class Died(Exception):
    """The mount died in the middle of a call."""


class Mixed:
    """Old or new per byte (a gap reads as zeros), and a size between."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def __eq__(self, other):
        if not isinstance(other, bytes):
            return False
        old, new = self.old, self.new
        low, high = sorted((len(old), len(new)))
        if new.startswith(other) and len(other) >= low:
            return True
        return low <= len(other) <= high and all(
            c in (a, b) for a, b, c in zip(old.ljust(high, b"\0"),
                                           new.ljust(high, b"\0"), other))

    __hash__ = None


def _check(rc):
    if rc:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Promises:
    """Names of different objects must be different, so that each can be used
    by a thread of its own."""

    def __init__(self, root):
        self.root = str(root)
        self.files = {}        # what is there for certain: {name: content}
        self.times = {}        # {name: (mtime in ns, mode)} of some of them
        self.versions = set()  # every content that a file ever had
        self.doubt = None      # [{name: content or None}], one of them is true
        self.calls = 0         # that returned
        self.recent = collections.deque(maxlen=2000)

    def path(self, name):
        return os.path.join(self.root, name)

    @contextlib.contextmanager
    def _call(self, after, *between):
        """`after`: what it changes. If the mount dies in it: that, nothing,
        or one of `between`."""
        try:
            yield
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO):
                raise
            before = {name: self.files.get(name) for name in after}
            self.doubt = [before, after, *between]
            self._remember(after, "died")
            raise Died from e
        self._settle(after)
        self._remember(after, "done")
        self.calls += 1

    def _remember(self, after, how):
        """For the report of a failure: who asked for that, and of what."""
        caller = sys._getframe(3).f_code.co_name
        self.recent.append((set(after), f"{how} {caller} " + ", ".join(
            f"{n!r}: {_short(c)}" for n, c in after.items())))

    def _settle(self, change):
        for name, content in change.items():
            self.times.pop(name, None)
            if content is None:
                self.files.pop(name, None)
                continue
            self.files[name] = content
            if content is not DIR:
                self.versions.add(content)

    def _note_times(self, name):
        with contextlib.suppress(OSError):  # it died since
            info = os.stat(self.path(name))
            self.times[name] = (info.st_mtime_ns, stat.S_IMODE(info.st_mode))

    # -- calls ----------------------------------------------------------------

    def write(self, name, data, fsync=False):
        """A new file, or an old one from its beginning on, as `cp` does."""
        with self._call({name: data}, {name: Mixed(b"", data)}):
            with open(self.path(name), "wb", buffering=0) as f:
                f.write(data)
                if fsync:
                    os.fsync(f.fileno())
        self._note_times(name)

    def edit(self, name, offset, data, fsync=False):
        """In place; may make it longer."""
        assert data
        old = self.files[name]
        new = old.ljust(offset, b"\0")[:offset] + data \
            + old[offset + len(data):]
        with self._call({name: new}, {name: Mixed(old, new)}):
            with open(self.path(name), "r+b", buffering=0) as f:
                f.seek(offset)
                f.write(data)
                if fsync:
                    os.fsync(f.fileno())
        self._note_times(name)

    def truncate(self, name, size):
        new = self.files[name][:size].ljust(size, b"\0")
        with self._call({name: new}):
            os.truncate(self.path(name), size)
        self._note_times(name)

    def punch(self, name, offset, length):
        old = self.files[name]
        new = old[:offset] + bytes(length) + old[offset + length:]
        with self._call({name: new}):
            with open(self.path(name), "r+b", buffering=0) as f:
                _check(_libc.fallocate(
                    f.fileno(), PUNCH, ctypes.c_int64(offset),
                    ctypes.c_int64(length)))
        self._note_times(name)

    def set_times(self, name, mtime, mode):
        """Two calls: both attributes may be old or new after a crash."""
        self.times.pop(name, None)
        with self._call({}):
            os.chmod(self.path(name), mode)
            os.utime(self.path(name), ns=(mtime, mtime))
        self._note_times(name)

    def _below(self, name):
        return [n for n in self.files if n.startswith(name + "/")]

    def has_below(self, name):
        return bool(self._below(name))

    def _moved(self, old, new):
        moved = {n: new + n[len(old):] for n in [old, *self._below(old)]}
        change = {**dict.fromkeys(moved), **{
            to: self.files[n] for n, to in moved.items()}}
        return change, {to: self.times[n] for n, to in moved.items()
                        if n in self.times}

    def rename(self, old, new):
        change, times = self._moved(old, new)
        with self._call(change):
            os.rename(self.path(old), self.path(new))
        self.times.update(times)

    def exchange(self, one, other):
        there, times = self._moved(one, other)
        back, more = self._moved(other, one)
        gone = {n: None for n, c in {**there, **back}.items() if c is None}
        kept = {n: c for part in (there, back) for n, c in part.items()
                if c is not None}
        with self._call({**gone, **kept}):
            _check(_libc.renameat2(
                -100, os.fsencode(self.path(one)), -100,
                os.fsencode(self.path(other)), RENAME_EXCHANGE))
        self.times.update({**times, **more})

    def unlink(self, name):
        with self._call({name: None}):
            os.unlink(self.path(name))

    def mkdir(self, name):
        with self._call({name: DIR}):
            os.mkdir(self.path(name))

    def rmdir(self, name):
        with self._call({name: None}):
            os.rmdir(self.path(name))

    # -- after the crash ------------------------------------------------------

    def check(self, found):
        """`found`: {name: content} of what is there, of our names. What was in
        doubt is certain from now on."""
        for change in self.doubt or []:
            if all(found.get(n) == c or c == found.get(n)
                   for n, c in change.items()):
                self._settle({n: found.get(n) for n in change})
                break
        else:
            if self.doubt:
                names = sorted({n for c in self.doubt for n in c})
                raise AssertionError(
                    "wholly or not at all: " + "; ".join(
                        f"{n!r} is {_short(found.get(n))}, of "
                        f"{[_short(c.get(n)) for c in self.doubt]}"
                        for n in names) + self._last_calls(names))
        self.doubt = None
        lines = [f"{n!r} is lost" for n in self.files.keys() - found.keys()]
        lines += [f"{n!r} is there again: {_short(found[n])}"
                  for n in found.keys() - self.files.keys()]
        lines += [f"{n!r} is {_short(found[n])}, not {_short(c)}"
                  for n, c in self.files.items()
                  if n in found and found[n] != c]
        wrong = {n for n in self.files.keys() | found.keys()
                 if self.files.get(n) != found.get(n)}
        assert not lines, "; ".join(lines) + self._last_calls(wrong)
        self._check_times()

    def _last_calls(self, names):
        """Also those that gave a content another of its names."""
        said = []
        names = set(names)
        for touched, text in reversed(self.recent):
            if touched & names or text.startswith("died"):
                said.append(text)
            if "rename" in text or "exchange" in text:
                names |= touched if touched & names else set()
        return "\nits last calls:\n  " + "\n  ".join(said[:60][::-1])

    def _check_times(self):
        for name, (mtime, mode) in self.times.items():
            info = os.stat(self.path(name))
            now = (info.st_mtime_ns, stat.S_IMODE(info.st_mode))
            assert abs(now[0] - mtime) < TICKS_NS and now[1] == mode, \
                (f"{name!r} has mtime and mode {now}, not {(mtime, mode)}"
                 + self._last_calls([name]))


def _short(content):
    if not isinstance(content, bytes) or len(content) < 24:
        return repr(content) if not isinstance(content, Mixed) else \
            f"a mixture of {len(content.old)} and {len(content.new)} bytes"
    return f"{content[:16]!r}... ({len(content)} bytes)"


def look(root, below=""):
    """{name: content} of all that lies in the mount."""
    def fail(error):
        raise error

    found = {}
    for folder, dirs, names in os.walk(os.path.join(root, below),
                                       onerror=fail):
        for name in dirs:
            found[os.path.relpath(os.path.join(folder, name), root)] = DIR
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, root)] = f.read()
    return found
