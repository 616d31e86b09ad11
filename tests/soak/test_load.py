"""Goal: programs made to break file systems, with their checks on."""

import os
import re

import pytest
from tools import SECS, needs, run

# ---- fio: every block carries its checksum and its place -------------------

FIO = {
    "write": "--rw=write --bs=64k --ioengine=psync --numjobs=2",
    "random": "--rw=randwrite --bs=4k --ioengine=psync",
    "mixed": "--rw=randrw --bs=4k --ioengine=psync --numjobs=2",
    "odd": "--rw=randwrite --bs=5000 --ioengine=psync",
    "mmap": "--rw=randwrite --bs=4k --ioengine=mmap",
    "mmap-mixed": "--rw=randrw --bs=8k --ioengine=mmap --numjobs=2",
    "fsync": "--rw=randwrite --bs=16k --ioengine=psync --fsync=16",
    "direct": "--rw=randrw --bs=64k --ioengine=libaio --iodepth=8 --direct=1",
    "vectors": "--rw=write --bs=128k --ioengine=pvsync",
    "keep": "--rw=randwrite --bs=16k --ioengine=psync --fallocate=keep",
}


@needs("fio")
@pytest.mark.parametrize("job", FIO)
def test_fio(mnt, came_back, job):
    """Written and verified, and what can be verified alone is so again, on a
    machine that has nothing of it."""
    def fio(where, *more):
        run("fio", f"--name={job}", f"--directory={where}", "--size=24m",
            "--verify=crc32c", "--verify_fatal=1", "--randseed=7",
            "--allrandrepeat=1", "--verify_state_save=0", *FIO[job].split(), *more)
    fio(mnt.path)
    again = came_back()
    if "rw=randrw" not in FIO[job]:
        fio(again.path, "--verify_only")


# ---- stress-ng --------------------------------------------------------------

STRESSORS = """access chdir chmod chown copy-file dentry dir dirdeep dirmany
    dnotify dup fallocate fcntl file-ioctl filename flock fpunch fsize fstat
    getdent handle hdd inotify iomix lease locka lockf lockofd mknod open
    readahead rename revio seek sendfile splice symlink sync-file touch utime
    aio aiol""".split()

# They find something missing, and say so or go on without (README.md).
WITHOUT = {
    "chattr": "", "inode-flags": "", "fiemap": "",
    "link": "link calls not allowed on the filesystem",
    "xattr": "filesystem does not support xattr",
    "verity": "verity is not supported",
}
SKIPPED = 3  # exit status: it says that it can't do anything here

OPTIONS = {
    "fallocate": ("--fallocate-bytes", "16m"),
    "filename": ("--filename-opts", "posix"),
}


def stress(where, name, secs):
    """One of them, in a directory that it leaves empty; what it says."""
    os.mkdir(where)
    out = run("stress-ng", f"--{name}", "2", "--temp-path", where, "--verify",
              "--metrics-brief", *OPTIONS.get(name, ()), "--timeout",
              f"{secs}s", timeout=secs + 120,
              rc=(0, SKIPPED) if name in WITHOUT else (0,))
    assert not re.search(r"stress-ng: (fail|error)", out), out
    assert os.listdir(where) == []
    os.rmdir(where)
    return out


@needs("stress-ng")
@pytest.mark.parametrize("name", STRESSORS)
def test_stress(mnt, signed_in, graphd, name):
    out = stress(mnt / "stress", name, max(2, SECS // 4))
    assert int(re.search(rf"\] {name} +(\d+)", out).group(1)) > 0, out
    signed_in.flush(timeout=600)
    assert graphd.names() - {".nmbackupfs"} == set()


@needs("stress-ng")
@pytest.mark.parametrize("name", WITHOUT)
def test_stress_without(mnt, name):
    assert WITHOUT[name] in stress(mnt / "stress", name, 2)


@needs("stress-ng")
def test_stress_together(mnt, signed_in, graphd):
    """Some of them at once."""
    where = mnt / "stress"
    where.mkdir()
    names = ("hdd", "rename", "dentry", "iomix", "seek", "fallocate", "open",
             "dirdeep", "copy-file", "sync-file")
    out = run("stress-ng", *(w for n in names for w in (f"--{n}", "1")),
              "--temp-path", where, "--verify", "--timeout", f"{SECS}s",
              timeout=SECS + 300)
    assert not re.search(r"stress-ng: (fail|error)", out), out
    assert os.listdir(where) == []
    signed_in.flush(timeout=600)
    assert graphd.names() - {".nmbackupfs"} == {"stress"}


# ---- office file servers and old disks -----------------------------------------

@needs("dbench")
def test_dbench(mnt, came_back):
    """What a file server does for four clients."""
    out = run("dbench", "-D", mnt.path, "-c", "/usr/share/dbench/client.txt",
              "-t", SECS, "4", timeout=SECS + 300)
    assert re.search(r"Throughput [1-9]", out), out
    came_back()


@needs("bonnie++")
def test_bonnie(mnt, signed_in, graphd):
    """Bytes one by one, in blocks, rewritten, sought; 1024 files made, looked
    at and removed, in order and not."""
    out = run("bonnie++", "-d", mnt.path, "-s", "64", "-r", "32", "-n",
              "1:20000:0:4", "-u", "root" if os.geteuid() == 0 else
              str(os.geteuid()), timeout=900)
    assert "format_version" not in out and "done" in out, out
    signed_in.flush(timeout=600)
    assert graphd.names() - {".nmbackupfs"} == set()
