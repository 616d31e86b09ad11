"""Programs that others wrote, and how long they may run."""

import os
import shutil
import subprocess

import pytest
from kit import proc

# Seconds for each part of a suite.
SECS = int(os.environ.get("NMB_SOAK_SECS", "10"))

PATH = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"


def needs(*names):
    """Without them a suite is skipped, by their name."""
    missing = [n for n in names if not shutil.which(n, path=PATH)]
    return pytest.mark.skipif(bool(missing),
                              reason=f"no {', '.join(missing)}")


def run(*args, rc=(0,), timeout=600, cwd=None, **env):
    """Its output, both streams; AssertionError for another exit status."""
    done = subprocess.run(
        [str(a) for a in args], cwd=cwd, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        stdin=subprocess.DEVNULL, timeout=proc.patience(timeout),
        env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **env})
    assert done.returncode in rc, \
        f"{args} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout
