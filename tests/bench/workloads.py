"""What is measured, in the order in which a contender goes through it.

A workload takes a Run and records values under the names of METRICS. Each
leaves the contender mounted. A value that makes no sense for a contender (what
is on the server, for a local one) is left out."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import time

from kit import proc

from contenders import WAIT_S
from service import Counter

MIB = 2**20

# name: (text, unit, which way is better, what issue and README promise)
METRICS = {
    "small_copy": ("{small_files} files of 4 KiB in 20 directories: cp returns",
                   "s", "lower", "2 x passthrough"),
    "small_sent": ("the same: all on the server", "s", "lower",
                   "rclone / 8"),
    "small_requests": ("the same: HTTP requests per file", "", "lower",
                       "1.1 in a vault"),
    "small_restore": ("the same: cp out again on a new machine", "s", "lower",
                      ""),
    "restore_requests": ("the same: HTTP requests per file", "", "lower", ""),
    "rename": ("rename of their directory: mv returns", "ms", "lower",
               "10 ms"),
    "rename_requests": ("the same: HTTP requests", "", "lower", "1"),
    "remove": ("rm -r of it: rm returns", "ms", "lower", "3 x directory"),
    "remove_requests": ("the same: HTTP requests", "", "lower", "2"),
    "many_sent": ("{many_files} files of 30 KB: files on the server per second",
                  "/s", "higher", "250"),
    "big_copy": ("{big_mib} MiB: cp returns", "s", "lower", ""),
    "big_sent": ("the same: from the first fragment until on the server",
                 "MB/s", "higher", "0.8 x curl"),
    "big_wait": ("the same: on the server after cp returned", "s", "lower",
                 ""),
    "big_up_cpu": ("the same: CPU per GB", "s", "lower", ""),
    "big_up_rss": ("the same: most memory so far", "MiB", "lower", "256"),
    "first_connection": ("1 MiB on a new machine: first byte, nothing "
                         "connected yet", "ms", "lower", ""),
    "first_byte": ("{big_mib} MiB then: first byte", "ms",
                   "lower", "2.2 round trips"),
    "big_read": ("the same: sequential read", "MB/s", "higher", "0.8 x curl"),
    "big_down_cpu": ("the same: CPU per GB", "s", "lower", ""),
    "big_down_rss": ("the same: most memory so far", "MiB", "lower", "256"),
    "warm_read": ("the same: read again, kernel cache empty", "MB/s",
                  "higher", "0.9 x passthrough"),
    "random_read": ("{random_reads} random reads of 4 KiB, cold: median",
                    "ms", "lower", "1.2 round trips"),
    "random_bytes": ("the same: KiB fetched each", "KiB", "lower", "70"),
    "listing": ("{walk_files} files another device made: all seen on a new "
                "machine", "s", "lower", ""),
    "find": ("{walk_files} files after mount: find", "s", "lower",
             "1.5 x passthrough"),
    "ls": ("the same, mounted anew: ls -lR", "s", "lower",
           "1.5 x passthrough"),
    "walk_requests": ("the same: HTTP requests", "", "lower", "0"),
    "pages": ("a delta of {walk_files} files, page after page, nothing done "
              "with it", "s", "lower", ""),
    "budget_used": ("a work account's budget, tenfold: used of a minute", "%",
                    "higher", "95"),
    "budget_refused": ("the same: requests refused (429)", "", "lower", "few"),
    "idle_wakeups": ("idle for {idle_s} s: wake-ups", "", "lower",
                     "the poll timer"),
    "million_ready": ("mounted again with {nodes} nodes: ready", "ms",
                      "lower", "200 ms"),
    "million_rss": ("the same: memory, idle", "MiB", "lower", "64"),
}


class Run:
    def __init__(self, contender, service, sizes, source, values):
        self.contender = contender
        self.service = service if contender.remote else None
        self.sizes = sizes
        self.source = source
        self.values = values

    @property
    def root(self):
        return pathlib.Path(self.contender.root)

    def record(self, name, value):
        assert name in METRICS, name
        self.values[name] = value

    def remount(self, new_machine=False):
        self.contender.stop()
        if new_machine:
            self.contender.clear()
        self.contender.start()

    def cpu_s(self):
        pid = self.contender.pid()
        if not pid:
            return 0
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, member):
        """Of the contender's process: VmRSS, VmHWM (the most so far)."""
        pid = self.contender.pid()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(rf"^{member}:\s+(\d+)", status, re.M)[1]) / 1024

    def wakeups(self):
        """How often a thread of it has woken up so far."""
        tasks = pathlib.Path(f"/proc/{self.contender.pid()}/task")
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                 (t / "status").read_text(), re.M)[1])
                   for t in tasks.iterdir())


def timed(*command, cwd=None):
    begin = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, cwd=cwd,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


# ---- what is copied --------------------------------------------------------


def make_source(base, sizes):
    """Trees and files that every contender gets the same."""
    base = pathlib.Path(base)
    rnd = random.Random(5)
    for name, files, size in (("small", sizes.small_files, 4096),
                              ("many", sizes.many_files, 30_000)):
        for i in range(files):
            folder = base / name / f"d{i % 20:02d}"
            if i < 20:
                folder.mkdir(parents=True)
            (folder / f"file-{i:05d}.dat").write_bytes(rnd.randbytes(size))
    (base / "first").write_bytes(rnd.randbytes(MIB))
    with (base / "big").open("wb") as f:
        for _ in range(sizes.big_mib):
            f.write(rnd.randbytes(MIB))
    return base


def count_entries(tree):
    return sum(len(d) + len(f) for _, d, f in os.walk(tree)) + 1


# ---- small files -----------------------------------------------------------


def copy_in(run, name):
    """cp -r; (seconds, seconds until on the server, requests)."""
    seen = Counter(run.service)
    want = run.service.count_items() + count_entries(run.source / name) \
        if run.service else 0
    spent = timed("cp", "-r", run.source / name, run.root)
    if not run.service:
        return spent, None, None
    run.contender.wait_sent(run.service.wait_items, count=want)
    quiet = run.service.settle(WAIT_S)
    return spent, seen.seconds() - quiet, seen.requests()


def small(run):
    files = run.sizes.small_files
    spent, sent, requests = copy_in(run, "small")
    run.record("small_copy", spent)
    if not run.service:
        return
    run.record("small_sent", sent)
    run.record("small_requests", requests / files)


def restore(run):
    """Of what small() left, as after the loss of this machine."""
    if not run.service:
        return
    run.remount(new_machine=True)
    run.contender.wait_listed(count_entries(run.source / "small"))
    back = run.contender.base / "back"
    seen = Counter(run.service)
    run.record("small_restore", timed("cp", "-r", run.root / "small", back))
    run.record("restore_requests", seen.requests() / run.sizes.small_files)
    subprocess.run(["diff", "-r", run.source / "small", back], check=True)
    shutil.rmtree(back)


def rename_and_remove(run):
    """Of the directory that small() left."""
    seen = Counter(run.service)
    begin = time.monotonic()
    os.rename(run.root / "small", run.root / "moved")
    run.record("rename", (time.monotonic() - begin) * 1000)
    if run.service:
        run.contender.wait_sent(run.service.wait_for, path="moved")
        run.service.settle(WAIT_S, quiet_ms=1500)
        run.record("rename_requests", seen.requests())
    seen.start()
    run.record("remove", timed("rm", "-r", run.root / "moved") * 1000)
    if run.service:
        run.contender.wait_sent(run.service.wait_gone, path="moved")
        run.service.settle(WAIT_S, quiet_ms=1500)
        run.record("remove_requests", seen.requests())


def many(run):
    if not run.service:
        return
    _, sent, _ = copy_in(run, "many")
    run.record("many_sent", run.sizes.many_files / sent)


# ---- one big file ----------------------------------------------------------


def wait_first_upload(service, before):
    """When the first fragment left."""
    def begun():
        now = service.upload_requests()
        return now > before
    proc.wait_until(begun, WAIT_S, "an upload", every=0.01)
    return time.monotonic()


def big_in(run):
    size = run.sizes.big_mib * MIB
    if run.service:
        shutil.copy(run.source / "first", run.root)
        run.contender.wait_sent(run.service.wait_for, path="first", size=MIB)
        run.service.settle(WAIT_S)
    cpu = run.cpu_s()
    before = run.service.upload_requests() if run.service else 0
    run.record("big_copy", timed("cp", run.source / "big", run.root))
    if not run.service:
        return
    closed = time.monotonic()
    first = wait_first_upload(run.service, before)
    run.contender.wait_sent(run.service.wait_for, path="big", size=size)
    quiet = run.service.settle(WAIT_S)
    end = time.monotonic() - quiet
    run.record("big_sent", size / 1e6 / (end - first))
    run.record("big_wait", end - closed)
    run.record("big_up_cpu", (run.cpu_s() - cpu) / (size / 1e9))
    run.record("big_up_rss", run.memory_mib("VmHWM"))


def read_through(path):
    """(seconds to the first byte, seconds to the last)."""
    begin = time.monotonic()
    first = None
    with open(path, "rb", buffering=0) as f:
        while f.read(128 * 1024):
            first = first or time.monotonic()
    return first - begin, time.monotonic() - begin


def forget_pages(path):
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def big_out(run):
    """Of the files that big_in() left. The first read finds nothing connected
    to the content host; from the second one on requests are what counts."""
    size = run.sizes.big_mib * MIB
    path = run.root / "big"
    if run.service:
        run.remount(new_machine=True)
        run.contender.wait_listed(2)
        first, _ = read_through(run.root / "first")
        run.record("first_connection", first * 1000)
        run.service.settle(WAIT_S)
        cpu = run.cpu_s()
        first, spent = read_through(path)
        run.record("first_byte", first * 1000)
        run.record("big_read", size / 1e6 / spent)
        run.record("big_down_cpu", (run.cpu_s() - cpu) / (size / 1e9))
        run.record("big_down_rss", run.memory_mib("VmHWM"))
    else:
        read_through(path)  # what is behind it is in memory for all of them
    spent = []
    for _ in range(3):
        forget_pages(path)
        spent.append(read_through(path)[1])
    run.record("warm_read", size / 1e6 / sorted(spent)[1])


def random_reads(run):
    """In the file that big_in() left."""
    if not run.service:
        return
    run.remount(new_machine=True)
    run.contender.wait_listed(2)
    rnd = random.Random(7)
    last = run.sizes.big_mib * MIB - 4096
    took = []
    with open(run.root / "big", "rb", buffering=0) as f:
        os.pread(f.fileno(), 4096, 0)  # the URL is held from here on
        run.service.settle(WAIT_S)
        seen = Counter(run.service)
        for _ in range(run.sizes.random_reads):
            begin = time.monotonic()
            os.pread(f.fileno(), 4096, rnd.randrange(last))
            took.append(time.monotonic() - begin)
    run.service.settle(WAIT_S)
    took.sort()
    run.record("random_read", took[len(took) // 2] * 1000)
    run.record("random_bytes", seen.bytes_down() / len(took) / 1024)


# ---- many names ------------------------------------------------------------


def walk(run):
    folders = run.sizes.walk_folders
    files = run.sizes.walk_files
    each = files // folders
    top = run.root / "walk"
    if run.service and not run.contender.sealed:
        run.service.fill(folders, each, 100)
        top = run.root
        run.contender.stop()
        run.contender.clear()
        begin = time.monotonic()
        run.contender.start()
        run.contender.wait_listed(folders + files)
        while count_entries(top) < folders + files:
            time.sleep(0.2)
        run.record("listing", time.monotonic() - begin)
    else:
        for d in range(folders):
            folder = top / f"d{d:03d}"
            folder.mkdir(parents=True)
            for f in range(each):
                (folder / f"f{f:03d}").write_bytes(b"x" * 100)
        if run.service:
            run.contender.wait_sent(None)
    requests = 0
    for name, command in (("find", ["find"]), ("ls", ["ls", "-lR"])):
        run.remount()
        if run.service:  # what the mount itself asks for is not the walk's
            run.service.settle(WAIT_S)
        seen = Counter(run.service)
        run.record(name, timed(*command, top))
        requests += seen.requests()
    if run.service:
        run.record("walk_requests", requests)


# ---- what only we are asked -------------------------------------------------

BUDGET_UNITS = 12_500  # a minute's, tenfold (facts/graph.md 10.1)


def budget(run):
    """The first minute of more than it allows."""
    run.service.throttle(on=True, scale=10)
    folders = sorted((run.source / "many").iterdir())[:14]  # a third too much
    copy = subprocess.Popen(["cp", "-r", *folders, run.root])
    proc.wait_until(lambda: run.service.throttle_stats()["units"] > 0, WAIT_S,
                    "the first request", every=0.05)
    time.sleep(59)
    seen = run.service.throttle_stats()
    run.record("budget_used", 100 * seen["units"] / BUDGET_UNITS)
    run.service.throttle(on=False)
    assert copy.wait() == 0
    run.contender.wait_sent(None)
    run.record("budget_refused", seen["refused"] + seen["forbidden"])


def idle(run):
    (run.root / "a file").write_bytes(b"content")
    run.contender.wait_sent(None)
    run.service.settle(WAIT_S, quiet_ms=3000)
    time.sleep(2)
    before = run.wakeups()
    time.sleep(run.sizes.idle_s)
    run.record("idle_wakeups", run.wakeups() - before)


def add_rows(state_db, nodes):
    """Copies of the one file that is there, as if all of them were synced."""
    with contextlib.closing(sqlite3.connect(state_db)) as db:
        columns = [c[1] for c in db.execute("PRAGMA table_info(node)")]
        changed = {"ino": "1000+i", "name": "printf('f%07d',i)",
                   "s_name": "printf('f%07d',i)", "s_id": "s_id||'-'||i",
                   "cid": "NULL"}
        values = ",".join(changed.get(c, c) for c in columns)
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n "
            f"WHERE i<{nodes}) INSERT INTO node SELECT {values} FROM n,"
            "(SELECT * FROM node WHERE name='one')")
        db.commit()


def million(run):
    """The rows are put into the state of a mount that is stopped."""
    (run.root / "one").write_bytes(b"content")
    run.contender.wait_sent(None)
    run.contender.stop()
    [state] = run.contender.machine.state.rglob("state.db")
    add_rows(state, run.sizes.nodes)
    begin = time.monotonic()
    run.contender.start()
    run.record("million_ready", (time.monotonic() - begin) * 1000)
    run.service.settle(WAIT_S, quiet_ms=3000)
    assert (run.root / f"f{run.sizes.nodes:07d}").stat().st_size == 7
    run.record("million_rss", run.memory_mib("VmRSS"))


# What belongs together, in this order: later ones use what earlier ones left.
GROUPS = {
    "small": (small, restore, rename_and_remove),
    "many": (many,),
    "big": (big_in, big_out, random_reads),
    "walk": (walk,),
    "budget": (budget,),
    "idle": (idle,),
    "million": (million,),
}

# What others are not asked.
OURS = {"budget", "idle", "million"}

# All that a contender does who differs from another one in how it writes.
WRITES = (small, many, big_in)
