"""Programs that hold a file open and write it for a long time.

What they leave can be judged from the bytes alone: every write carries its
number, so that a version on the server tells whether the file was ever in that
state, between two writes."""

import os
import random
import struct
import threading
import zlib

RECORD = struct.Struct("<QI")  # number of the write, checksum of it


class Held:
    """Writes to `path` in a thread of its own, from start() to stop().

    `pause_s` between writes, an fsync after about `fsync_every` of them (0:
    never)."""

    def __init__(self, path, pause_s=0.003, fsync_every=60):
        self.path = path
        self.pause_s = pause_s
        self.fsync_every = fsync_every
        self.count = 0
        self.failure = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the writer hangs"
        assert not self.failure, self.failure

    def _run(self):
        rnd = random.Random(self.fsync_every)
        try:
            fd = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644)
            while not self._end.wait(self.pause_s):
                self._write(fd, self.count)
                self.count += 1
                if self.fsync_every and rnd.randrange(self.fsync_every) == 0:
                    os.fsync(fd)
            os.close(fd)
        except OSError as e:
            self.failure = e


class Database(Held):
    """Overwrites records of a page in place, in no order."""

    PAGE = 4096

    def __init__(self, *args, pages=1024, **kw):
        super().__init__(*args, **kw)
        self.pages = pages

    def _write(self, fd, number):
        os.pwrite(fd, self.page(number), self.place(number) * self.PAGE)

    def place(self, number):
        return number * 389 % self.pages  # each once, then again

    def page(self, number):
        body = number.to_bytes(8, "little") * ((self.PAGE - RECORD.size) // 8)
        body = body.ljust(self.PAGE - RECORD.size, b"\0")
        return RECORD.pack(number, zlib.crc32(body)) + body

    def judge(self, data):
        """The number of writes after which the file looked so."""
        if not data:
            return 0
        numbers = {}
        for at in range(0, len(data), self.PAGE):
            page = data[at:at + self.PAGE]
            if any(page):
                number, check = RECORD.unpack_from(page)
                assert check == zlib.crc32(page[RECORD.size:]), \
                    f"page {at // self.PAGE} is torn"
                numbers[at // self.PAGE] = number
        last = max(numbers.values())
        for number in range(max(0, last - self.pages + 1), last + 1):
            got = numbers.pop(self.place(number), None)
            assert got == number, \
                f"write {number} of {last + 1} is missing, there is {got}"
        assert not numbers, numbers
        return last + 1


class Log(Held):
    """Appends lines."""

    def _write(self, fd, number):
        os.pwrite(fd, self.line(number), number * len(self.line(0)))

    @staticmethod
    def line(number):
        return b"%012d %08x %s\n" % (number, zlib.crc32(b"%d" % number),
                                     b"x" * 177)

    def judge(self, data):
        size = len(self.line(0))
        assert len(data) % size == 0, f"{len(data)} cuts a line"
        for number in range(len(data) // size):
            got = data[number * size:(number + 1) * size]
            assert got == self.line(number), (number, got[:40])
        return len(data) // size


def judge_all(writer, versions):
    """All versions are states the file was in, in order; their numbers."""
    counts = [writer.judge(v) for v in versions]
    assert counts == sorted(set(counts)), counts
    return counts

