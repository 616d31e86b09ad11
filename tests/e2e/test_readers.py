"""Goal: a thumbnailer or an indexer that walks over the mount does not bring
the cloud down: it gets what is here, and for the rest an error, at once."""

import ctypes
import errno
import multiprocessing
import os
import shutil
import subprocess

import pytest

from kit import proc, trees
from kit.program import USAGE, elapsed

SIZE = 300_000


@pytest.fixture
def half_here(signed_in, mnt):
    """`here` is cached, `far` and `far2` are not."""
    for name in ("here", "far", "far2"):
        (mnt / name).write_bytes(trees.payload(name, SIZE))
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()

    def mount(*options):
        again = signed_in.mount(*options)
        again.wait_listed()
        (again / "here").read_bytes()
        return again
    return mount


def _read_as(name, path, out):
    libc = ctypes.CDLL(None)
    libc.prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
    try:
        os.stat(path)
        with open(path, "rb", buffering=0) as f:
            out.send(len(f.read()))
    except OSError as e:
        out.send(-e.errno)


def read_as(name, path):
    """How many bytes a program of that name reads; or a negative errno."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_read_as, args=(name, path, theirs))
    child.start()
    child.join(proc.patience(30))
    assert ours.poll(), "the reader hangs"
    return ours.recv()


def test_default(half_here, signed_in, graphd):
    mnt = half_here()
    before = graphd.bytes_down()
    for name in ("tumblerd", "evince-thumbnailer", "localsearch-extractor-3"):
        took, got = elapsed(read_as, name, mnt / "far")
        assert got == -errno.EIO and took < proc.patience(2)
        assert read_as(name, mnt / "here") == SIZE
        assert read_as(name, mnt / "far2") == -errno.EIO
    graphd.wait_idle()
    # Not a chunk of a file: the descriptor of a vault is looked at, too.
    assert graphd.bytes_down() < before + 10_000
    said = [li for li in signed_in.log.read_text(errors="replace").splitlines()
            if "read refused" in li]
    assert len(said) == 3 and 'name="evince-thumbnai"' in said[1]
    # Nobody else is kept from it, also by pages that could not be filled.
    assert (mnt / "far").read_bytes() == trees.payload("far", SIZE)
    assert read_as("tumblerd", mnt / "far") == SIZE


def test_own_list(half_here, base):
    mnt = half_here("--deny-readers", "nosy, default")
    assert read_as("nosy", mnt / "far") == -errno.EIO
    assert read_as("tumblerd", mnt / "far") == -errno.EIO
    tool = base / "nosy"
    shutil.copy(shutil.which("cat"), tool)
    done = subprocess.run([tool, mnt / "far"], capture_output=True, check=False,
                          timeout=proc.patience(20))
    assert done.returncode != 0 and b"Input/output error" in done.stderr
    assert read_as("other", mnt / "far") == SIZE


def test_off(half_here):
    mnt = half_here("--deny-readers", "off")
    assert read_as("tumblerd", mnt / "far") == SIZE


@pytest.mark.configs("personal")
def test_bad_list(machine, base):
    done = machine.run("--deny-readers", "*", base, check=USAGE)
    assert "names of programs" in done.stderr
