"""Calls of the program that fail: a disk that is full, read-only or broken.

    inject = Inject(base, state_dir)
    mount = machine.mount(env=inject.env)
    with inject.fail("write", errno.ENOSPC):
        ...
    assert inject.fired

What fails is chosen by kind of call and by path, and the N-th of them; that it
did is counted by the library (inject.c) in the process itself."""

import contextlib
import errno as errnos
import mmap
import pathlib
import shutil
import struct
import subprocess

from . import proc, program

KINDS = {"make": 1, "open": 2, "read": 4, "write": 8, "sync": 16, "name": 32}
# What a full disk refuses, and what a read-only one does.
FULL = ("make", "write")
READ_ONLY = ("make", "write", "name")
ALWAYS = 0xffffffff
DIE = -1  # instead of an error: the process is killed there
_SOURCE = pathlib.Path(__file__).with_name("inject.c")


def why_not():
    """Why it can't be used here; None if it can."""
    if program.SETARCH or program.VALGRIND or "address" in \
            program.BINARY.parent.name:
        return "not beside a sanitizer"
    return None if shutil.which("cc") else "needs a compiler"


class Inject:
    def __init__(self, base, below):
        library = base / "inject.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o",
                        library, _SOURCE, "-ldl"], check=True)
        page = base / "inject.page"
        page.write_bytes(bytes(4096))
        with page.open("r+b") as f:
            self._map = mmap.mmap(f.fileno(), 4096)
        self._below = str(below)
        self.env = {"LD_PRELOAD": str(library), "NMB_INJECT": str(page)}

    def arm(self, kinds, error=errnos.ENOSPC, skip=0, times=ALWAYS, part=""):
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        self.disarm()
        self._map[4:24] = struct.pack("=iIIII", error, skip, times, 0, 0)
        self._map[24:24 + 320] = self._below.encode().ljust(256, b"\0") + \
            part.encode().ljust(64, b"\0")
        self._map[0:4] = struct.pack("=I", sum(KINDS[k] for k in kinds))

    def disarm(self):
        self._map[0:4] = bytes(4)

    @contextlib.contextmanager
    def fail(self, kinds, error=errnos.ENOSPC, skip=0, times=ALWAYS, part=""):
        self.arm(kinds, error, skip, times, part)
        try:
            yield self
        finally:
            self.disarm()

    @property
    def count(self):
        """Calls of that kind since it was armed, failed or not."""
        return struct.unpack("=I", self._map[16:20])[0]

    @property
    def fired(self):
        return struct.unpack("=I", self._map[20:24])[0]

    def wait_fired(self, timeout=20):
        proc.wait_until(lambda: self.fired, timeout, "the injected fault")
