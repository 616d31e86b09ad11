"""A wall clock for the program that a test moves (clock.c)."""

import os
import pathlib
import shutil
import struct
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def why_not():
    """Why there can be none on this machine, or None. A sanitizer wants to be
    loaded first."""
    binary = os.environ.get("NMB_TEST_BIN", "")
    if any(s in binary for s in ("-address", "-thread", "-undefined")):
        return "a sanitizer doesn't go with LD_PRELOAD"
    if os.environ.get("NMB_TEST_VALGRIND"):
        return "valgrind has its own start"
    return None if shutil.which("cc") else "no C compiler"


class Clock:
    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.ahead = self.base / "ahead"
        self.library = self.base / "clock.so"
        self.seconds = self.slept = 0

    def __enter__(self):
        self.base.mkdir()
        self._write()
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self.library,
                        HERE / "clock.c"], check=True)
        return self

    def __exit__(self, *_):
        pass

    def env(self):
        return {"LD_PRELOAD": str(self.library),
                "NMB_TEST_CLOCK": str(self.ahead)}

    def _write(self):
        with open(self.ahead, "r+b" if self.ahead.exists() else "wb") as f:
            f.write(struct.pack("=qq", self.seconds, self.slept))

    def jump(self, seconds):
        """For all who run now, and who are started later."""
        self.seconds += seconds
        self._write()

    def sleep(self, seconds):
        """The machine was asleep: both clocks went on, the monotonic did not."""
        self.slept += seconds
        self.jump(seconds)
