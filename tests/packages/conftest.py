"""Packages are built once, and a bare Debian once, for all tests here. It takes
minutes: `tests/run packages`, a part of check-all. NMB_TEST_KEEP=1 takes what an
earlier run left in build/, for who works on these tests."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from kit import graphd as kit_graphd  # noqa: E402
from kit import proc  # noqa: E402
import bare  # noqa: E402

ROOT = proc.ROOT
ENV = {k: v for k, v in os.environ.items()
       if not k.startswith(("MAKE", "NMBACKUPFS_"))
       and k not in ("CFLAGS", "CC", "SOURCE_DATE_EPOCH")}


def run(*command, cwd=ROOT, **env):
    done = subprocess.run(list(map(str, command)), cwd=cwd, text=True,
                          env={**ENV, **env}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False,
                          timeout=proc.patience(900), errors="replace")
    assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}"
    return done.stdout


def need(*tools):
    for tool in tools:
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"{tool} is not installed "
                        "(contrib/install-deps.sh --packages)")


@pytest.fixture(scope="session")
def dist():
    """The source as one file."""
    run("make", "-s", "dist")
    (path,) = (ROOT / "build/dist").glob("nmbackupfs-*.tar.gz")
    return path


@pytest.fixture(scope="session")
def debs(dist):
    """The directory with what `make deb` made."""
    need("dpkg-buildpackage", "dh")
    built = ROOT / "build/deb"
    if not (os.environ.get("NMB_TEST_KEEP") and list(built.glob("*.changes"))):
        run("make", "-s", "deb")
    return built


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """A bare Debian, running."""
    need("debootstrap")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    machine = bare.Debian(tmp_path_factory.mktemp("debian"))
    machine.make()
    try:
        with machine:
            yield machine
    finally:
        machine.remove()


@pytest.fixture
def graphd(tmp_path):
    server = kit_graphd.Graphd(tmp_path / "graphd")
    server.start()
    try:
        yield server
        server.assert_alive()
        server.assert_clean()
    finally:
        server.stop()
