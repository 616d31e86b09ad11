"""Processes and waiting: nothing that a test starts outlives it."""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]

# How much slower than usual the program may be: under a sanitizer or valgrind.
SLOW = float(os.environ.get("NMB_TEST_SLOW", "1"))

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper():
    """Daemons whose parent ended become our children, so that we find them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def take_interrupts():
    """A shell starts what runs in the background with SIGINT and SIGQUIT
    ignored, and so would be everything that a test starts and interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def die_with_parent():
    """preexec_fn: a test run that is killed takes its servers along."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def patience(seconds):
    """A bound on how long something takes that does not wait for a clock."""
    return seconds * SLOW


def wait_until(ready, timeout=20.0, what="the condition", every=0.02):
    """Asks until ready() is true and returns that answer; AssertionError else."""
    timeout = patience(timeout)
    end = time.monotonic() + timeout
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {timeout} s")
        time.sleep(every)


def children(pid=None):
    """Pids of the direct children of `pid` (default: this process)."""
    pid = pid or os.getpid()
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(p) for p in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


def command_of(pid):
    try:
        raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(a) for a in raw.split(b"\0")[:-1]]


def is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def stop(process, timeout=10.0, sig=signal.SIGTERM):
    """Ends a Popen politely, then not; returns its exit status."""
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(patience(timeout))
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(30)


def stacks(pid):
    """What every thread of a process is doing, for the report of a hang."""
    if shutil.which("gdb"):
        out = subprocess.run(
            ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"],
            capture_output=True, text=True, timeout=60, check=False)
        return out.stdout[-12000:]
    lines = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
        try:
            name = (task / "comm").read_text().strip()
            where = (task / "wchan").read_text().strip()
            call = (task / "syscall").read_text().split()[0]
        except (OSError, IndexError):
            continue
        lines.append(f"{task.name} {name}: syscall {call} in {where}")
    return "\n".join(lines)


def mounts_below(directory):
    """Mount points at or below a directory, innermost first."""
    prefix = os.path.realpath(directory)
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            where = (line.split()[4].replace("\\040", " ").replace("\\011", "\t")
                     .replace("\\012", "\n").replace("\\134", "\\"))
            if where == prefix or where.startswith(prefix + "/"):
                found.append(where)
    return sorted(found, key=len, reverse=True)


def holders_of(mount_point):
    """[(pid, command)] of the processes that still see a mount there."""
    found = []
    for table in pathlib.Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f" {mount_point} " in table.read_text(errors="replace"):
                pid = int(table.parent.name)
                found.append((pid, " ".join(command_of(pid))[:80]))
        except OSError:
            pass
    return found


def unmount_all(directory):
    """Last resort of the clean-up; a hung mount does not stop it."""
    for where in mounts_below(directory):
        for command in (["fusermount3", "-uz", where], ["umount", "-l", where]):
            if subprocess.run(command, capture_output=True, timeout=20,
                              check=False).returncode == 0:
                break


def tail(path, lines=40):
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])
