"""Goal: a power cut takes nothing that was fsynced, and of the rest leaves old
or new, whole.

The state directory lies on a disk of its own (kit/disk.py). A program works, the
power goes, the machine starts again with what had reached the disk."""

import contextlib
import os
import random
import sqlite3
import sys

import pytest

from kit import disk as kit_disk
from kit import crash, proc, promises, trees

CUTS = int(os.environ.get("NMB_TEST_CUTS") or
           (30 if os.environ.get("NMB_TEST_FULL") else 6))
NAMES = 10
SIZES = (1, 300, 4096, 5000, 40_000)
BLOCK = 4096
NOTHING = None
ASIDE = " ("  # behind a name: "(conflict ...)" or "(item ...)"
OPTIONS = ("--write-back-delay", "20ms", "--min-free", "1M")

pytestmark = pytest.mark.skipif(bool(kit_disk.why_not()),
                                reason=str(kit_disk.why_not()))


@pytest.fixture
def disk(signed_in):
    disk = kit_disk.Disk(signed_in.base, signed_in.state)
    try:
        yield disk
    finally:
        for mount in signed_in.mounts:
            mount.clean_up()
        disk.clean_up()


class Blocks:
    """Of a file changed in place: each block from one of the versions. The
    disk may have noted a size and not all of the bytes that were added; of one
    that grew it may have noted some of the new blocks, and ends with them."""

    def __init__(self, versions):
        self.versions = versions

    def _may_end(self, size):
        sizes = [len(v) for v in self.versions]
        return size in sizes or \
            (size % BLOCK == 0 and min(sizes) < size < max(sizes))

    def __eq__(self, other):
        if not isinstance(other, bytes) or not self._may_end(len(other)):
            return False
        return all(any(v[at:at + BLOCK].ljust(BLOCK, b"\0")
                       .startswith(other[at:at + BLOCK])
                       for v in self.versions)
                   for at in range(0, len(other), BLOCK))

    __hash__ = None


class Work:
    """Calls of one program, and for each name what a power cut may leave.

    A name that was fsynced is that content; every later change may be there or
    not. Files that are changed in place keep to themselves: of one, each block
    is old or new."""

    def __init__(self, root, seed):
        self.root = root
        self.rnd = random.Random(seed)
        self.now = {}    # name -> bytes, as programs see it
        self.maybe = {}  # name -> list of contents and NOTHING
        self.ever = set()
        self.said = []  # for the report of a failure
        self.copies, self.aside = set(), {}
        self.before = {}  # name -> contents of the last cuts

    def path(self, name):
        return os.path.join(self.root, name)

    def _note(self, name, content, durable=False):
        if durable:
            self.maybe[name] = [content]
        else:
            self.maybe.setdefault(name, [NOTHING]).append(content)
        self.said.append((name, sys._getframe(1).f_code.co_name
                          + (" fsync " if durable else " ")
                          + short(content)))
        self.ever.add(content)
        if content is NOTHING:
            self.now.pop(name, None)
        else:
            self.now[name] = content

    def note_cut(self):
        self.said.append(("", "the power goes"))
        for name, contents in self.maybe.items():
            self.before.setdefault(name, []).extend(contents)

    def write(self, name, durable):
        data = self.rnd.randbytes(self.rnd.choice(SIZES))
        with open(self.path(name), "wb", buffering=0) as f:
            f.write(data)
            if durable:
                os.fsync(f.fileno())
        self._note(name, data, durable)

    def replace(self, name):
        """As editors save: with an fsync before the rename, but none after."""
        self.write(name + "~", True)
        os.rename(self.path(name + "~"), self.path(name))
        self._note(name, self.now[name + "~"])
        self._note(name + "~", NOTHING)

    def edit(self, name, durable):
        with open(self.path(name), "rb") as f:
            old = f.read()  # may be news
        at = self.rnd.randrange(len(old))
        data = self.rnd.randbytes(5000)
        new = old[:at] + data + old[at + len(data):]
        with open(self.path(name), "r+b", buffering=0) as f:
            f.seek(at)
            f.write(data)
            if durable:
                os.fsync(f.fileno())
        if not durable:
            self.maybe[name].append(Blocks([
                m for m in self.maybe[name] if isinstance(m, bytes)] + [new]))
        self._note(name, new, durable)

    def unlink(self, name):
        os.unlink(self.path(name))
        self._note(name, NOTHING)

    def step(self):
        rnd = self.rnd
        names = sorted(n for n in self.now if not n.endswith("~"))
        durable = rnd.random() < 0.4
        if len(names) < 3:
            self.write(rnd.choice([f"{i}" for i in range(NAMES)]), durable)
            return
        name = rnd.choice(names)
        call = rnd.choice((
            lambda: self.write(f"{rnd.randrange(NAMES)}", durable),
            lambda: self.write(name, durable), lambda: self.replace(name),
            lambda: self.edit(name, durable), lambda: self.unlink(name)))
        try:
            call()
        except FileNotFoundError:
            self.check()  # the server was told of a rename, and says so now

    def look(self):
        """News in between put what was here aside, under a name that was not
        there yet when the names were read: then once more."""
        with contextlib.suppress(FileNotFoundError):
            found = promises.look(str(self.root))
            if set(os.listdir(self.root)) == set(found):
                return [found]
        return None

    def check(self):
        """What is there is allowed; from now on it is what programs see."""
        found = proc.wait_until(self.look, what="a moment without news")[0]
        # What the server was told of a name, and the disk was not: one of the
        # two has stepped aside, until the name gets free.
        # An item that was put aside there and is known to nobody here any more
        # is shown by that name.
        self.copies = {n for n in found
                       if ASIDE in n or n.startswith("nmbackupfs-aside-")}
        for name in self.copies:
            content, base = found.pop(name), name.split(ASIDE)[0]
            assert content in self.ever or \
                content in self.maybe.get(base, []), name
            self.aside.setdefault(base, []).append(content)
            self.ever.add(content)
        for name in self.maybe.keys() | found.keys():
            have = found.get(name)
            aside = self.aside.get(name, [])
            allowed = self.maybe.get(name, [NOTHING]) + aside
            if any(m in aside for m in self.maybe.get(name, [])):
                allowed += self.ever  # that came from the server instead
            if NOTHING in allowed:
                # It stepped aside after we looked, and the name got free.
                allowed += self.before.get(name, [])
            assert any(have == m or m == have for m in allowed), \
                (f"{name!r} is {short(have)}, none of "
                 f"{[short(m) for m in allowed]}; all about it:\n  "
                 + "\n  ".join(s for n, s in self.said
                               if n in (name, name + "~", "")))
        self.ever.update(found.values())  # a mixture, too
        self.now = found

    def settle(self, graphd):
        """All is on the server, and what came of it is here."""
        def same():
            self.check()
            there = {n for n in graphd.names()
                     if not n.startswith(".nmbackupfs")}
            # In a vault two items may have one name; here, one is aside.
            aside = {n if n in there else n.split(ASIDE)[0]
                     for n in self.copies}
            return there == set(self.now) | aside
        proc.wait_until(same, 20, "the server's names to be those here")
        for name, content in self.now.items():
            if name not in {n.split(ASIDE)[0] for n in self.copies}:
                assert graphd.read(name) == content, name
        self.maybe = {n: [c] for n, c in self.now.items()}
        self.before = {}
        self.said.append(("", "settled"))


def short(content):
    if isinstance(content, bytes):
        return f"{content[:4].hex()} ({len(content)})"
    return "a mixture" if content is not NOTHING else "absent"


def reboot(machine):
    """The program takes the next start for one after a start of the machine."""
    path = machine.state / "nmbackupfs/default/state.db"
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("UPDATE meta SET value='before' WHERE key='boot'")
        db.commit()


def power_goes(machine, disk, mnt, *options):
    """The new mount; `mnt` may have died already."""
    if mnt.is_running():
        mnt.kill()
    mnt.clean_up_dead()
    disk.cut()
    reboot(machine)
    return machine.mount(*(options or OPTIONS))


@pytest.mark.fault(13, 14, 15, 16, 17)
@pytest.mark.configs("personal", "personal-vault")
@pytest.mark.timeout(60 + CUTS * 10)
def test_power_goes_again_and_again(signed_in, graphd, disk):
    seed = int(os.environ.get("NMB_TEST_SEED") or 1)
    mnt = signed_in.mount(*OPTIONS)
    mnt.wait_listed()
    work = Work(mnt.path, seed)
    lost = 0
    for cut in range(CUTS):
        for _ in range(work.rnd.randrange(2, 40)):
            work.step()
        told = dict(work.now)
        mnt = power_goes(signed_in, disk, mnt)
        work.note_cut()
        work.check()
        lost += told != work.now
        if cut % 3 == 2:
            signed_in.flush()
            work.settle(graphd)
    # What was not fsynced must have been lost now and then, or this shows
    # nothing.
    assert lost, f"seed {seed}: no cut took anything"
    signed_in.flush()
    work.settle(graphd)


# ---- what came from the server, and was not flushed -------------------------

SLOW = ("--write-back-delay", "1h", "--min-free", "1M")


def read_unflushed(machine, graphd, *names):
    """The mount of a machine that has read these, and knows it durably."""
    content = trees.payload("of the server", 100_000)
    for name in names:
        graphd.put(name, content)
    mnt = machine.mount(*SLOW)
    mnt.wait_listed()
    for name in names:
        assert (mnt.path / name).read_bytes() == content
    make_durable(mnt)
    return mnt, content


def make_durable(mnt):
    """What happened in the database, by an fsync of something else."""
    with open(mnt.path / "else", "ab", buffering=0) as f:
        f.write(b"more")
        os.fsync(f.fileno())


@pytest.mark.plain
@pytest.mark.configs("personal")
def test_fetched_then_edited(signed_in, graphd, disk):
    mnt, content = read_unflushed(signed_in, graphd, "one", "two")
    mnt = power_goes(signed_in, disk, mnt, *SLOW)
    with open(mnt.path / "one", "r+b", buffering=0) as f:
        f.write(b"x" * BLOCK)  # whole pages: the kernel reads nothing first
    with open(mnt.path / "two", "r+b", buffering=0) as f:
        f.seek(20 * BLOCK)  # another chunk
        f.write(b"x" * BLOCK)
    end = 21 * BLOCK
    assert (mnt.path / "one").read_bytes() == b"x" * BLOCK + content[BLOCK:]
    assert (mnt.path / "two").read_bytes() == \
        content[:20 * BLOCK] + b"x" * BLOCK + content[end:]


@pytest.mark.plain
@pytest.mark.configs("personal")
def test_fetched_then_renamed_over(signed_in, graphd, disk):
    mnt, content = read_unflushed(signed_in, graphd, "one")
    new = trees.payload("new", 5000)
    (mnt.path / "one~").write_bytes(new)
    os.rename(mnt.path / "one~", mnt.path / "one")
    make_durable(mnt)
    mnt = power_goes(signed_in, disk, mnt, *SLOW)
    # The new one only if it was flushed just then.
    assert (mnt.path / "one").read_bytes() in (content, new)
    signed_in.flush()
    assert graphd.read("one") == (mnt.path / "one").read_bytes()


@pytest.mark.plain
@pytest.mark.configs("personal")
@pytest.mark.skipif(bool(crash.why_not()), reason=str(crash.why_not()))
def test_replaced_there_not_before_it_is_here(signed_in, graphd, disk):
    """What is about to take the place of the only version there is, on the
    server, is on this disk."""
    patient = crash.Patient(signed_in, graphd)
    mnt, _ = read_unflushed(signed_in, graphd, "one")
    mnt.clean_up()
    mnt = signed_in.mount(*OPTIONS)
    signed_in.flush()
    new = trees.payload("new", 5000)
    patient.mnt = mnt
    patient.arm("attempts-durable")
    (mnt.path / "one").write_bytes(new)
    patient.wait_death()
    mnt = power_goes(signed_in, disk, mnt)
    assert (mnt.path / "one").read_bytes() == new
    signed_in.flush()
    assert graphd.read("one") == new
