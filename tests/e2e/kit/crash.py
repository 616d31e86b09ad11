"""The program made to die at a named place (net/crashpoint.h), started again,
and held to what it had promised."""

import contextlib
import os
import subprocess

import pytest

from . import proc, program, promises

BINARY = program.BINARY.parent.with_name(
    program.BINARY.parent.name + "-crash") / "nmbackupfs"


def why_not():
    return None if BINARY.exists() else \
        f"no build that can be made to die for {program.BINARY.parent.name}"


def points():
    """The names of all places."""
    done = subprocess.run([str(BINARY)], env={"NMB_CRASH_LIST": "1"},
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


class Patient:
    """A machine whose program dies on demand, and the promises it gave."""

    def __init__(self, machine, graphd):
        if why_not():
            pytest.skip(why_not())
        self.machine = machine
        self.graphd = graphd
        machine.binary = BINARY
        self.wish = machine.base / "crash"
        self.mark = machine.base / "crashed"
        machine.env.update(
            NMB_CRASH=str(self.wish), NMB_CRASH_MARK=str(self.mark),
            NMBACKUPFS_WRITE_BACK_DELAY="20ms", NMBACKUPFS_LOG_LEVEL=os.environ.get("NMB_TEST_LOG", "info"))
        self.mnt = None
        self.options = ()
        self.waits_for_others = False  # what they did has to arrive first
        self.does = promises.Promises(machine.base / "mnt")

    # -- life and death -------------------------------------------------------

    def mount(self, *options, wait=True):
        self.options = options or self.options
        self.mnt = self.machine.mount(*self.options, wait=wait)
        if wait:
            self.mnt.wait_listed()
        return self.mnt

    def arm(self, point, n=1, how=""):
        """The running program, or the next one, dies at the n-th pass."""
        self.mark.unlink(missing_ok=True)
        new = self.wish.with_suffix(".new")
        new.write_text(f"{point} {n} {how}\n")
        new.rename(self.wish)
        return point

    def has_died(self):
        return not self.mnt.is_running()

    def wait_death(self, timeout=20.0):
        """Until the place was passed; AssertionError if it never is."""
        proc.wait_until(self.has_died, timeout,
                        f"a pass of {self.wish.read_text().strip()!r}")
        self.wish.unlink(missing_ok=True)
        assert self.mark.exists(), "the program ended by itself:\n" + \
            proc.tail(self.machine.log, 20)
        return self.mark.read_text().split()[-1]

    def is_marked(self):
        return self.mark.exists()

    def disarm(self):
        self.wish.unlink(missing_ok=True)

    @contextlib.contextmanager
    def may_die(self):
        """A read that the death may end."""
        try:
            yield
        except OSError as e:
            raise promises.Died from e

    @contextlib.contextmanager
    def graphd_slow(self, bytes_per_s):
        """Uploads take long within it."""
        self.graphd.limit(up=bytes_per_s)
        try:
            yield
        finally:
            self.graphd.limit(up=0)

    @property
    def state(self):
        return self.machine.state / "nmbackupfs/default"

    def cached(self):
        """Bytes that content files take on this disk."""
        return sum(f.stat().st_blocks * 512
                   for f in (self.state / "content").glob("*/*"))

    # -- afterwards -----------------------------------------------------------

    def look(self):
        return promises.look(str(self.mnt.path))

    def check_local(self):
        self.does.check(self.look())

    def check_server(self):
        """All of it is there, once, and no version that never was."""
        self.machine.flush()
        tree = self.graphd.tree()
        own = {p: i for p, i in tree.items()
               if not p.startswith(".nmbackupfs")}
        assert set(own) == set(self.does.files)
        for name, content in self.does.files.items():
            is_dir = content is promises.DIR
            assert (own[name]["type"] == "file") != is_dir, name
        assert len({i["id"] for i in own.values()}) == len(own)
        self.check_local()  # nothing came back or changed by that

    def check_content(self, names):
        """Every version the server has of these is one that was here."""
        for name in names:
            if self.does.files.get(name) in (None, promises.DIR):
                continue
            *old, now = self.graphd.versions(name)
            assert now == self.does.files[name], name
            for version in old:
                assert version in self.does.versions, \
                    f"a version of {name} that never was: {len(version)} bytes"

    def recover(self, names=()):
        """Starts again, and checks everything."""
        self.mount()
        if self.waits_for_others:
            proc.wait_until(lambda: set(self.look()) == set(self.does.files),
                            what="the changes of others")
        self.check_local()
        self.check_server()
        self.check_content(names)

    def kill(self):
        if self.mnt.is_running():
            self.mnt.kill()
        self.wish.unlink(missing_ok=True)


def share(points_of_test, full, one_of, salt=0):
    """Of many places those that `make test` has time for."""
    if full:
        return list(points_of_test)
    return [p for i, p in enumerate(points_of_test) if i % one_of == salt]


def environment_is_full():
    return bool(os.environ.get("NMB_TEST_FULL"))
