"""Goal: every POSIX call on every kind of node does what the manual says.

The rows are in tests/posix: one program, run in a directory. On a plain
directory it shows that the rows are right; then the mount has to pass the
same ones, and where it differs by design the row itself says why."""

import os
import subprocess

import pytest

from kit import proc

POSIX = proc.ROOT / "build/gcc/posix"

pytestmark = pytest.mark.skipif(not POSIX.exists(), reason="make posix")


def judge(directory, *options):
    """All groups of rows there; none may fail."""
    done = subprocess.run([POSIX, *options, directory], text=True,
                          capture_output=True, timeout=proc.patience(100),
                          check=False, errors="replace")
    print(done.stdout)
    assert done.returncode == 0, "\n".join(
        [ln for ln in done.stdout.splitlines() if "FAIL" in ln][:60]
        + [done.stderr])
    passed = int(done.stdout.splitlines()[-1].split()[0])
    assert passed > (10_000 if os.geteuid() == 0 else 5000)
    return done.stdout


def test_rows_are_right(tmp_path):
    """On what the machine has: none of them is about us."""
    out = judge(tmp_path)
    assert "differs by design" not in out


@pytest.mark.mount_options(*(["-o", "allow_other"] if os.geteuid() == 0 else []))
@pytest.mark.fault(99)
@pytest.mark.configs("personal-60", "work-vault")
def test_mount(mnt, signed_in, graphd):
    (mnt / "p").mkdir()
    out = judge(mnt / "p", "--mount")
    assert "differs by design" in out
    signed_in.flush()
    assert graphd.names() - {".nmbackupfs"} == {"p"}
