"""Goal: what was is found again: versions, states of a tree, what was deleted.

What the service keeps, and what this device noted of it, bring back a file or
a tree as it was; what can't be had any more is said, file by file."""

import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import time

import pytest

from kit import proc, trees

both = pytest.mark.configs("personal", "work", "personal-vault",
                           "work-60-vault")
pytestmark = both

FILES = int(os.environ.get("NMB_TEST_TRAVEL_FILES", "60"))  # 1000: long


def put(machine, path, *args):
    return machine.run("put", path, *args, check=0).stdout.strip()


# -- versions ------------------------------------------------------------------

def test_versions_of_a_file(signed_in, base, config):
    sizes = (3, 70_000, 0, 9)
    for size in sizes:
        trees.write(base / "f", trees.payload("v", size))
        item_id = put(signed_in, base / "f", "--as", "d/f")
    lines = signed_in.run("versions", "d/f", check=0).stdout.splitlines()
    # Business makes a version of its own of a time that is set afterwards.
    got = [int(line.split()[2]) for line in lines]
    assert [s for i, s in enumerate(got) if not i or got[i - 1] != s] == \
        list(reversed(sizes))
    assert [line.split()[3:] for line in lines] == \
        [["current"]] + [[]] * (len(lines) - 1)
    said = json.loads(signed_in.run("versions", item_id, "--json",
                                    check=0).stdout)
    assert said["item"] == item_id and said["name"] == "f"
    assert [v["size"] for v in said["versions"]] == got
    assert [v["id"] for v in said["versions"]] == \
        [line.split()[1] for line in lines]
    assert [v["current"] for v in said["versions"]][:2] == [True, False]
    if "vault" in config:
        assert said["versions"][0]["stored_size"] > got[0]
    # Below the mount too, whether it is there or not.
    mount = signed_in.mount()
    again = signed_in.run("versions", mount / "d/f", check=0)
    assert again.stdout.splitlines() == lines


def test_versions_over_pages(signed_in, base, graphd):
    graphd.quirk(page_size=3)
    for i in range(8):
        trees.write(base / "f", b"x" * i)
        put(signed_in, base / "f")
    said = json.loads(signed_in.run("versions", "f", "--json", check=0).stdout)
    sizes = [v["size"] for v in said["versions"]]
    assert sorted(set(sizes), reverse=True) == list(range(7, -1, -1))
    assert sizes == sorted(sizes, reverse=True)
    assert [v["current"] for v in said["versions"]].count(True) == 1


def test_versions_of_what_has_none(signed_in, base):
    trees.write(base / "f", b"f")
    put(signed_in, base / "f", "--as", "d/f")
    done = signed_in.run("versions", "d", check=1)
    assert "is a folder" in done.stderr and "--at TIME" in done.stderr
    done = signed_in.run("versions", "nothing", check=1)
    assert "no file of that name" in done.stderr
    signed_in.run("versions", check=2)
    signed_in.run("versions", "a", "b", check=2)


# -- trees as they were --------------------------------------------------------

def now():
    time = datetime.datetime.now(datetime.timezone.utc)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def between():
    """A moment by the service's times too, which have whole seconds."""
    time.sleep(1.1)
    moment = now()
    time.sleep(1.1)
    return moment


class History:
    """A tree in a mount that changes in rounds, and what it was after each."""

    def __init__(self, machine, mount, keep, seed=1):
        self.machine, self.root, self.keep = machine, mount.path, keep
        self.rnd = random.Random(seed)
        self.moments = []

    def files(self):
        return sorted(p for p in self.root.rglob("*")
                      if p.is_file() and not p.is_symlink())

    def folders(self):
        return sorted(p for p in self.root.rglob("*") if p.is_dir())

    def write(self, path, size=None):
        """Some of the same size as before: versions are told by their hash."""
        if size is None:
            size = path.stat().st_size if path.exists() and \
                self.rnd.random() < 0.3 else self.rnd.choice(
                    (0, 1, 300, 4096, 70_000, 200_000))
        # The time alone of a file is no reason for a request.
        if not size and path.exists() and not path.stat().st_size:
            size = 1
        trees.write(path, self.rnd.randbytes(size))

    def make(self, n):
        folders = [self.root]
        for i in range(max(2, n // 8)):
            above = self.rnd.choice(folders)
            if len(above.relative_to(self.root).parts) < 3:
                folders.append(above / f"ordner {i}")
                folders[-1].mkdir()
        for i in range(n):
            name = trees.ODD_NAMES[i] if i < 20 else f"f{i}"
            self.write(self.rnd.choice(folders) / name)
        self.done()

    def change(self):
        """A round: edits, new ones, renames of files and folders, deletes."""
        files = self.files()
        n = max(1, len(files) // 20)
        for path in self.rnd.sample(files, 3 * n):
            self.write(path)
        for path in self.rnd.sample(files, n):
            path.unlink()
        files = [p for p in files if p.exists()]
        for i, path in enumerate(self.rnd.sample(files, n)):
            path.rename(path.with_name(f"renamed {len(self.moments)}.{i}"))
        # Two exchange their names: by a third one.
        a, b = self.rnd.sample(self.files(), 2)
        a.rename(self.root / "third")
        b.rename(a)
        (self.root / "third").rename(b)
        folders = self.folders()
        moved = self.rnd.choice(folders)
        moved.rename(self.root / f"moved {len(self.moments)}")
        gone = self.rnd.choice([f for f in self.folders()
                                if not any(f in p.parents
                                           for p in self.folders())])
        shutil.rmtree(gone)
        for i in range(n):
            self.write(self.rnd.choice(self.folders() + [self.root])
                       / f"new {len(self.moments)}.{i}")
        self.done()

    def done(self):
        """All is on the server; a copy of it is kept, under its moment."""
        self.machine.flush()
        kept = self.keep / str(len(self.moments))
        shutil.copytree(self.root, kept, symlinks=True)
        self.moments.append((now(), kept))


def listing(root):
    """{path: what there is to be right}"""
    out = {}
    for path in sorted(pathlib.Path(root).rglob("*")):
        st = path.lstat()
        name = str(path.relative_to(root))
        if stat.S_ISDIR(st.st_mode):
            out[name] = "folder"
        else:
            out[name] = (hashlib.sha256(path.read_bytes()).hexdigest(),
                         st.st_mtime_ns, stat.S_IMODE(st.st_mode))
    return out


def restore(machine, moment, dest, *args, check=0):
    return machine.run("restore", "/", "--at", moment, *args, dest,
                       check=check, timeout=600)


def _without_the_bin(machine, h, base):
    """All but what was deleted since, which is named, file by file."""
    moment, kept = h.moments[0]
    done = restore(machine, moment, base / "without", check=11)
    assert "only in the browser" in done.stderr
    want, got = listing(kept), listing(base / "without")
    missing = {p for p in want if p not in got}
    assert missing and all(got[p] == want[p] for p in got)
    assert len(missing) == done.stderr.count(": it was deleted (")


@pytest.mark.configs("personal", "work", "personal-vault", "work-vault")
@pytest.mark.timeout(120 + 2 * FILES)
def test_every_state_of_a_tree(signed_in, mnt, base, graphd, config):
    """What each state was comes back exactly; on accounts of work, once the
    browser has given back what was deleted."""
    h = History(signed_in, mnt, base / "kept")
    h.keep.mkdir()
    h.make(FILES)
    for _ in range(5):
        h.change()
    if config.startswith("work"):
        _without_the_bin(signed_in, h, base)
        graphd.give_back()
        proc.wait_until(lambda: len(h.files()) == len(graphd.files()), 60,
                        "what came back, in the mount")
    for i, (moment, kept) in enumerate(h.moments):
        began = time.monotonic()
        done = restore(signed_in, moment, base / f"then {i}")
        print(f"state {i}: {time.monotonic() - began:.1f} s", done.stderr)
        assert listing(base / f"then {i}") == listing(kept), (i, done.stderr)


def test_part_of_a_tree(signed_in, mnt, base):
    trees.write(mnt / "a/b/f", b"one")
    trees.write(mnt / "a/g", b"g")
    trees.write(mnt / "h", b"h")
    signed_in.flush()
    then = now()
    os.rename(mnt / "a", mnt / "c")
    trees.write(mnt / "c/b/f", b"two")
    signed_in.flush()
    signed_in.run("restore", mnt / "a/b/", "--at", then, base / "b", check=0)
    assert listing(base / "b").keys() == {"f"}
    assert (base / "b/f").read_bytes() == b"one"
    signed_in.run("restore", "c", "--at", "now", base / "c", check=0)
    assert (base / "c/b/f").read_bytes() == b"two"
    # A folder goes nowhere by itself, and over nothing.
    done = signed_in.run("restore", "a", "--at", then, check=2)
    assert "say where to" in done.stderr
    done = signed_in.run("restore", "a", "--at", then, base / "c", check=2)
    assert "not empty" in done.stderr
    done = signed_in.run("restore", "nothing", "--at", then, base / "n",
                         check=1)
    assert "nothing of that name" in done.stderr
    assert not (base / "n").exists()


# -- one file ------------------------------------------------------------------

@pytest.mark.parametrize("mounted", [False, True], ids=["direct", "mounted"])
def test_a_file_goes_back(signed_in, base, graphd, mounted):
    mount = signed_in.mount()
    trees.write(mount / "d/f", b"first")
    os.chmod(mount / "d/f", 0o640)
    os.utime(mount / "d/f", (1_600_000_000, 1_600_000_000))
    signed_in.flush()
    then = now()
    item_id = graphd.item("d/f")["id"]
    trees.write(mount / "d/f", b"again")  # of the same size
    signed_in.flush()
    trees.write(mount / "d/f", b"and a third time")
    signed_in.flush()
    if not mounted:
        mount.unmount()
    done = signed_in.run("restore", "d/f", "--at", then, check=0)
    assert "what was there (16 B) stays as a version" in done.stderr
    if mounted:
        assert (mount / "d/f").read_bytes() == b"first"
        st = (mount / "d/f").stat()
        assert (st.st_mode & 0o777, st.st_mtime) == (0o640, 1_600_000_000)
        signed_in.flush()
    assert graphd.item("d/f")["id"] == item_id
    assert graphd.read("d/f") == b"first"
    assert graphd.versions("d/f")[-2] == b"and a third time"
    signed_in.run("restore", "d/f", "--at", then, base / "out", check=0)
    assert (base / "out").read_bytes() == b"first"
    done = signed_in.run("restore", "d/f", "--at", "now", base / "out",
                         check=1)
    assert "--force" in done.stderr
    signed_in.run("restore", "d/f", "--at", then, "--force", base / "out",
                  check=0)
    done = signed_in.run("restore", "d/f", "--at", then, "-", check=0)
    assert done.stdout == "first"


def test_same_size_and_same_hash_there(signed_in, mnt, base):
    """quickXorHash is linear: the same byte xored into all of 100,000 leaves it
    as it was. The one that was there then comes back, of file and tree."""
    was = trees.payload("was", 100_000)
    trees.write(mnt / "d/f", was)
    signed_in.flush()
    moment = between()
    trees.write(mnt / "d/f", bytes(b ^ 0x55 for b in was))
    signed_in.flush()
    restore(signed_in, moment, base / "tree")
    assert (base / "tree/d/f").read_bytes() == was
    signed_in.run("restore", mnt / "d/f", "--at", moment, base / "file",
                  check=0)
    assert (base / "file").read_bytes() == was


def test_one_version(signed_in, base):
    for data in (b"1", b"22", b"333"):
        trees.write(base / "f", data)
        item_id = put(signed_in, base / "f", "--as", "d/f")
    said = json.loads(signed_in.run("versions", "d/f", "--json",
                                    check=0).stdout)
    by_size = {v["size"]: v["id"] for v in said["versions"]}
    for size, data in ((1, "1"), (2, "22"), (3, "333")):
        done = signed_in.run("restore", "d/f", "--version", by_size[size], "-",
                             check=0)
        assert done.stdout == data
    (base / "out").mkdir()
    signed_in.run("restore", item_id, "--version", by_size[2], base / "out",
                  check=0)
    assert (base / "out/f").read_bytes() == b"22"
    done = signed_in.run("restore", item_id, "--version", by_size[2],
                         base / "out", check=1)
    assert "out/f is there already" in done.stderr
    done = signed_in.run("restore", "d/f", "--version", "9999.0", "-", check=1)
    assert "keeps no version" in done.stderr
    done = signed_in.run("restore", "d/f", check=2)
    assert done.stderr.startswith("usage:")
    done = signed_in.run("restore", "d/f", "--at", "tomorrow", check=2)
    assert "no time I understand" in done.stderr


def test_what_is_not_stored_is_not_replaced(signed_in, mnt, graphd):
    trees.write(mnt / "f", b"first")
    signed_in.flush()
    then = now()
    graphd.fault({"class": "put"}, times=0, status=503)
    graphd.fault({"class": "session"}, times=0, status=503)
    trees.write(mnt / "f", b"second")
    done = signed_in.run("restore", "f", "--at", then, check=1)
    assert "not stored on OneDrive yet" in done.stderr
    assert (mnt / "f").read_bytes() == b"second"
    signed_in.run("restore", "f", "--at", then, "--force", check=0)
    assert (mnt / "f").read_bytes() == b"first"
    graphd.clear_faults()


def test_a_deleted_file(signed_in, mnt, base, graphd, config):
    trees.write(mnt / "d/f", b"gone")
    trees.write(mnt / "d/g", b"with its folder")
    signed_in.flush()
    then = now()
    os.unlink(mnt / "d/f")
    signed_in.flush()
    shutil.rmtree(mnt / "d")
    signed_in.flush()
    work = config.startswith("work")
    for name, data in (("d/f", b"gone"), ("d/g", b"with its folder")):
        done = signed_in.run("restore", name, "--at", then, base,
                             check=11 if work else 0)
        out = base / os.path.basename(name)
        if work:
            assert "it was deleted (" in done.stderr
            assert "only in the browser" in done.stderr
            assert not out.exists()
        else:
            assert out.read_bytes() == data
    # What was read is in the bin again, and no folder is left behind.
    assert not graphd.names() - {".nmbackupfs"}
    root = {i["path"].count("/") == 1 and i["path"] for i in graphd._items()}
    assert root - {False, "/"} == {"/nmbackupfs"}
    if not work:
        done = signed_in.run("restore", "d/f", "--at", then, "--leave-bin",
                             base / "other", check=11)
        assert "it was deleted (" in done.stderr
        graphd.fault("restore", 1, status=404)
        done = signed_in.run("restore", "d/f", "--at", then, base / "other",
                             check=11)
        assert "not in the recycle bin any more" in done.stderr
    # In its place again, as a new one.
    if not work:
        signed_in.run("restore", "d/f", "--at", then, check=0)
        assert (mnt / "d/f").read_bytes() == b"gone"


def test_versions_that_are_kept_no_more(signed_in, mnt, base, graphd):
    trees.write(mnt / "f", b"first")
    trees.write(mnt / "g", b"g")
    signed_in.flush()
    then = between()
    for i in range(26 if graphd.kind == "personal" else 2):
        trees.write(mnt / "f", b"later" * i)
        signed_in.flush()
    if graphd.kind != "personal":
        graphd.trim("f")
    done = signed_in.run("restore", "f", "--at", then, "-", check=11)
    assert "older than what the service keeps" in done.stderr
    done = signed_in.run("restore", "/", "--at", then, base / "all", check=11)
    assert "f: what it was then is older" in done.stderr
    assert "1 files can't be had any more" in done.stderr
    assert {p.name for p in (base / "all").iterdir()} == {"g"}


@pytest.mark.plain("another device writes")
@pytest.mark.configs("personal", "work")
def test_other_devices(signed_in, mnt, base, graphd):
    """What another device made, changed or moved is told by the service's
    times, and said."""
    for name in ("changed", "moved", "gone", "ours"):
        trees.write(mnt / name, b"by us")
    signed_in.flush()
    graphd.put("changed", b"by another one")
    graphd.put("new", b"new by another one")
    graphd.rename("moved", "elsewhere")
    graphd.delete("gone")
    then = between()
    graphd.put("changed", b"much later")
    graphd.put("newer", b"n")
    done = signed_in.run("restore", "/", "--at", then, base / "all", check=11)
    got = {p.name: p.read_bytes() for p in (base / "all").iterdir()}
    assert got == {"changed": b"by another one", "moved": b"by us",
                   "new": b"new by another one", "ours": b"by us"}
    for name, why in (("changed", "another device made or changed it"),
                      ("new", "another device made or changed it"),
                      ("moved", "another device moved it"),
                      ("gone", "not on the drive any more")):
        assert any(line.startswith(f"nmbackupfs: {name}: ") and why in line
                   for line in done.stderr.splitlines()), done.stderr
    assert "nmbackupfs: ours" not in done.stderr
    done = signed_in.run("restore", "new", "--at", then, "-", check=11)
    assert done.stdout == "new by another one"
    assert "maybe not what it was" in done.stderr


@pytest.mark.configs("personal-vault", "work-60-vault")
def test_links_and_modes(signed_in, mnt, base):
    trees.write(mnt / "d/f", b"f")
    os.chmod(mnt / "d", 0o2710)
    os.symlink("to/é", mnt / "l")
    os.symlink("x" * 400, mnt / "long")
    os.mkfifo(mnt / "pipe")
    signed_in.flush()
    then = now()
    os.unlink(mnt / "l")
    os.symlink("elsewhere", mnt / "l")
    os.chmod(mnt / "d/f", 0o600)
    os.unlink(mnt / "pipe")
    signed_in.flush()
    # What has no content of its own needs nothing from the recycle bin.
    signed_in.run("restore", "/", "--at", then, base / "all", check=0)
    assert os.readlink(base / "all/long") == "x" * 400
    assert os.readlink(base / "all/l") == "to/é"
    assert stat.S_ISFIFO((base / "all/pipe").stat().st_mode)
    assert stat.S_IMODE((base / "all/d").stat().st_mode) == 0o2710
    assert stat.S_IMODE((base / "all/d/f").stat().st_mode) == 0o644


# -- what was deleted ----------------------------------------------------------

def deleted(machine):
    lines = machine.run("undelete", "--json", check=0).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_undelete(signed_in, mnt, graphd, config):
    trees.write(mnt / "d/e/f", b"f")
    trees.write(mnt / "d/g", b"gg")
    signed_in.flush()
    ids = {p: i["id"] for p, i in graphd.tree().items()}
    assert deleted(signed_in) == []
    os.unlink(mnt / "d/g")
    signed_in.flush()
    shutil.rmtree(mnt / "d")
    signed_in.flush()
    entries = deleted(signed_in)
    assert {(e["path"], e["id"], e["folder"], e["size"]) for e in entries} == \
        {("d/g", ids["d/g"], False, 2), ("d/e/f", ids["d/e/f"], False, 1),
         ("d", ids["d"], True, 0), ("d/e", ids["d/e"], True, 0)}
    assert entries[-1]["path"] == "d/g"  # newest first
    assert [e["deleted"] for e in entries] == sorted(
        (e["deleted"] for e in entries), reverse=True)
    lines = signed_in.run("undelete", check=0).stdout.splitlines()
    assert len(lines) == 4 and lines[-1].endswith(" 2  d/g")
    assert [line.split()[2] for line in lines].count("-") == 2
    if config.startswith("work"):
        for what in ("d/g", ids["d"]):
            done = signed_in.run("undelete", what, check=1)
            assert "only in the browser" in done.stderr
            assert "https://" in done.stderr
        return
    # The folder it was in went after it, and is made again.
    done = signed_in.run("undelete", mnt / "d/g", check=0)
    assert done.stdout.strip() == ids["d/g"] == graphd.item("d/g")["id"]
    assert "the mount shows it when it has looked there" in done.stderr
    proc.wait_until(lambda: os.path.exists(mnt / "d/g"), 20, "it in the mount")
    assert (mnt / "d/g").read_bytes() == b"gg"
    proc.wait_until(lambda: len(deleted(signed_in)) == 3, 20, "the list")
    done = signed_in.run("undelete", "nothing", check=1)
    assert "deleted nothing of that name" in done.stderr


@pytest.mark.configs("personal", "personal-vault")
def test_undelete_of_a_folder(signed_in, mnt, graphd):
    trees.write(mnt / "d/e/f", b"f")
    signed_in.flush()
    ids = {p: i["id"] for p, i in graphd.tree().items()}
    shutil.rmtree(mnt / "d")
    signed_in.flush()
    if {e["deleted"] for e in deleted(signed_in)} and \
            graphd.requests().get("delete") == 1:
        done = signed_in.run("undelete", "d/e/f", check=1)
        assert "`nmbackupfs undelete d`" in done.stderr
    trees.write(mnt / "d", b"in its way")
    signed_in.flush()
    done = signed_in.run("undelete", ids["d"], check=1)
    assert "something else is called d now" in done.stderr
    os.unlink(mnt / "d")
    signed_in.flush()
    signed_in.run("undelete", ids["d"], check=0)
    proc.wait_until(lambda: os.path.exists(mnt / "d/e/f"), 20, "the folder")
    assert (mnt / "d/e/f").read_bytes() == b"f"
    assert {p: i["id"] for p, i in graphd.tree().items()} == ids
    done = signed_in.run("undelete", ids["d"], check=1)
    assert "deleted nothing" in done.stderr or "again already" in done.stderr


@pytest.mark.configs("personal", "personal-vault")
def test_undelete_and_what_the_service_does(signed_in, mnt, graphd):
    """An answer that got lost is looked for; what is in the bin no more is
    said."""
    trees.write(mnt / "f", b"f")
    trees.write(mnt / "g", b"g")
    signed_in.flush()
    os.unlink(mnt / "f")
    os.unlink(mnt / "g")
    signed_in.flush()
    graphd.fault("restore", 1, drop="after")
    signed_in.run("undelete", "f", check=0)
    assert graphd.fired() and graphd.read("f") == b"f"
    graphd.fault("restore", 1, status=404)
    done = signed_in.run("undelete", "g", check=1)
    assert "not in OneDrive's recycle bin any more" in done.stderr


def test_no_name_leads_out(signed_in, mnt, base):
    """Whatever the ledger says: all is below the directory that was given."""
    for name in ("f", "g", "h"):
        trees.write(mnt / name, b"f")
    signed_in.flush()
    assert mnt.unmount() == 0
    [path] = signed_in.state.rglob("state.db")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE ledger SET parent_id='', path=?"
                   " WHERE path=?", ("/../../evil", "/f"))
        db.execute("UPDATE ledger SET parent_id='', path=?"
                   " WHERE path=?", ("/a/../../../evil", "/g"))
        db.commit()
    done = signed_in.run("restore", "/", "--at", "now", base / "d/out",
                         check=2)
    (base / "d").mkdir()
    done = signed_in.run("restore", "/", "--at", "now", base / "d/out",
                         check=1)
    assert "could not be restored" in done.stderr
    assert {p.name for p in (base / "d/out").rglob("*") if p.is_file()} == \
        {"h"}
    for folder in (base, base / "d", base / "d/out/a", base.parent):
        assert not os.path.lexists(folder / "evil")
