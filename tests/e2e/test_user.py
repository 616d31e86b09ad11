"""Goal: a program for ordinary users; nothing here needs root but this test.

A part of these tests runs once more as nobody, with what the system gives
everybody: /dev/fuse open to all, and fusermount3."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from kit import graphd, proc, program
from kit.marks import needs_root

HERE = pathlib.Path(__file__).resolve().parent
TESTS = ("test_day.py", "test_start.py::test_daemon",
         "test_start.py::test_remount_over_a_dead_mount",
         "test_start.py::test_nothing_secret_leaks",
         "test_secrets.py::test_nobody_looks_in",
         "test_ops.py::test_modes_owners_times", "test_ops.py::test_rename",
         "test_commands.py::test_umount_flushes_first",
         "test_commands.py::test_umount_while_in_use",
         "test_posix.py::test_mount")

# Some machines give /dev/fuse to root alone: a mount namespace has its own.
# Mounts of other tests, copied into it, would outlive their unmount there.
AS_NOBODY = """
umount -l -a -t fuse.nmbackupfs 2>/dev/null
as_nobody='setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all'
if ! $as_nobody test -w /dev/fuse; then
    [ -e "$1/fuse" ] || mknod -m 666 "$1/fuse" c 10 229
    chmod 666 "$1/fuse" && mount --bind "$1/fuse" /dev/fuse || exit 77
fi
shift
exec $as_nobody "$@"
"""


@pytest.fixture
def own_dir():
    """Where nobody may write: pytest's own directories are closed to others."""
    path = tempfile.mkdtemp(prefix="nmb")
    os.chmod(path, 0o777)
    yield path
    proc.unmount_all(path)
    shutil.rmtree(path)


def as_nobody(directory, *command, **kw):
    return subprocess.run(
        ["unshare", "-m", "--propagation", "slave", "sh", "-c", AS_NOBODY,
         "sh", directory, *command], capture_output=True, text=True,
        check=False, **kw)


@needs_root
def test_as_nobody(own_dir):
    wanted = [sys.executable, program.BINARY, graphd.BINARY, HERE]
    done = as_nobody(own_dir, "ls", "-d", *wanted)
    if done.returncode != 0:
        pytest.skip(f"nobody can't run this here: {done.stderr.strip()}")
    env = {**os.environ, "HOME": own_dir, "PYTEST_DEBUG_TEMPROOT": own_dir,
           "PYTHONDONTWRITEBYTECODE": "1", "NMB_TEST_CONFIGS": "personal"}
    env.pop("PYTEST_XDIST_WORKER", None)
    done = as_nobody(
        own_dir, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q",
        "--tb=short", *(HERE / t for t in TESTS), env=env, cwd=HERE.parents[1],
        timeout=proc.patience(100))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
