"""Single threads of the program that a test stops (pause.c)."""

import ctypes
import os
import pathlib
import signal
import subprocess

from . import clock

HERE = pathlib.Path(__file__).resolve().parent
why_not = clock.why_not  # the same library trick
_libc = ctypes.CDLL(None, use_errno=True)


class Pause:
    def __init__(self, base):
        self.file = pathlib.Path(base) / "pause"
        library = pathlib.Path(base) / "pause.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library,
                        HERE / "pause.c"], check=True)
        self.env = {"LD_PRELOAD": str(library),
                    "NMB_TEST_PAUSE": str(self.file)}

    def stop(self, pid, picks):
        """Those of its threads that picks(task directory) is true for."""
        self.file.touch()
        tasks = [t for t in pathlib.Path(f"/proc/{pid}/task").iterdir()
                 if picks(t)]
        assert tasks
        for task in tasks:
            assert _libc.tgkill(pid, int(task.name), signal.SIGRTMIN) == 0

    def go_on(self):
        self.file.unlink()


def is_engine(task):
    return (task / "comm").read_text() == "nmb-engine\n"


def is_in_fuse_loop(task):
    """It waits in a read of /dev/fuse."""
    call, *args = (task / "syscall").read_text().split()
    try:
        return call == "0" and "/dev/fuse" in os.readlink(
            task / "fd" / str(int(args[0], 16)))
    except (OSError, IndexError):
        return False
