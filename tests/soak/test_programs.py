"""Goal: what people keep in such a folder, written by the programs they use."""

import os
import random
import sqlite3
import threading

import pytest
from kit import trees
from tools import SECS, needs, run

GIT = dict(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.com",
           GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.com",
           GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")


# ---- git ---------------------------------------------------------------------

def make_origin(root, commits):
    """Files that grow, move and go, in branches that are merged."""
    def git(*args):
        run("git", "-C", root, *args, **GIT)
    run("git", "init", "-q", "-b", "main", root, **GIT)
    for i in range(commits):
        if i % 5 == 3:
            git("checkout", "-qb", f"side{i}", "HEAD~1")
        trees.make_tree(root / f"part{i % 4}" / str(i), seed=i, files=15,
                        max_size=20_000, depth=1)
        (root / f"log{i % 5}").write_text("\n".join(map(str, range(i * 50))))
        git("add", "-A")
        git("commit", "-qm", f"change {i}")
        if i % 5 == 4:
            git("checkout", "-q", "main")
            git("merge", "-q", "-m", "merge", f"side{i - 1}")


@needs("git")
def test_git(mnt, base, came_back):
    """Cloned, checked out back and forth, committed, packed, checked."""
    make_origin(base / "origin", 25)
    clone = mnt / "clone"

    def git(*args):
        return run("git", "-C", clone, *args, **GIT)
    run("git", "clone", "-q", "--no-hardlinks", base / "origin", clone, **GIT)
    for name in ("main~2", "main~5", "main~8", "main"):
        git("checkout", "-q", name)
        assert git("status", "--porcelain") == ""
    git("fsck", "--full", "--strict")
    for i in range(6):
        trees.make_tree(clone / f"here{i}", seed=i, files=10, depth=1)
        git("add", "-A")
        git("commit", "-qm", f"here {i}")
        git("gc", "-q", *(["--aggressive", "--prune=now"] if i % 3 == 2 else []))
    git("stash", "list")
    git("repack", "-adq")
    git("fsck", "--full", "--strict")
    git("push", "-q", "origin", "main:refs/heads/back")
    head = git("rev-parse", "HEAD")
    again = came_back()
    clone = again / "clone"
    git("fsck", "--full")
    assert git("rev-parse", "HEAD") == head
    git("-c", "core.fileMode=false", "diff", "--quiet", "HEAD")


# ---- sqlite3 ------------------------------------------------------------------

def keep_writing(path, who, journal, stop, failed):
    """Transactions that move money: what all accounts hold together stays."""
    chance = random.Random(who)
    try:
        db = sqlite3.connect(path, timeout=60, isolation_level=None)
        db.execute(f"pragma journal_mode={journal}")
        while not stop.is_set():
            a, b = chance.sample(range(50), 2)
            db.execute("begin immediate")
            db.execute("update t set n = n - 7 where i = ?", (a,))
            db.execute("update t set n = n + 7 where i = ?", (b,))
            db.execute("insert into log values(?, ?)",
                       (who, trees.payload((who, a), chance.randrange(4000))))
            db.execute("rollback" if chance.random() < 0.2 else "commit")
        db.close()
    except sqlite3.Error as e:
        failed.append(f"writer {who}: {e}")


@pytest.mark.parametrize("journal", ["wal", "delete", "truncate", "persist"])
def test_sqlite(mnt, came_back, journal):
    """Four writers and a reader who sees only whole transactions."""
    path = mnt / "bank.db"
    db = sqlite3.connect(path, timeout=60)
    db.execute(f"pragma journal_mode={journal}")
    db.execute("create table t(i integer primary key, n int)")
    db.execute("create table log(who int, b blob)")
    with db:
        db.executemany("insert into t values(?, 100)", [(i,) for i in range(50)])
    stop, failed = threading.Event(), []
    writers = [threading.Thread(target=keep_writing,
                                args=(path, who, journal, stop, failed))
               for who in range(4)]
    for w in writers:
        w.start()
    try:
        reader = threading.Timer(SECS, stop.set)
        reader.start()
        while not stop.wait(0.05):
            assert db.execute("select sum(n) from t").fetchone() == (5000,)
    finally:
        stop.set()
        for w in writers:
            w.join()
        reader.join()
    assert not failed
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    rows = db.execute("select count(*), sum(length(b)) from log").fetchone()
    assert rows[0] > 20
    db.close()
    again = came_back()
    db = sqlite3.connect(again / "bank.db")
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert db.execute("select sum(n) from t").fetchone() == (5000,)
    assert db.execute("select count(*), sum(length(b)) from log"
                      ).fetchone() == rows
    db.close()


# ---- rsync and tar ---------------------------------------------------------------

RSYNC = {
    "archive": ["-aX"],
    "in place": ["-a", "--inplace", "--no-whole-file"],
    "append": ["-a", "--append-verify"],
    "checksum": ["-rlc"],
    "delayed": ["-a", "--delay-updates", "--delete-delay"],
    "sparse": ["-aS"],
    "preallocated": ["-a", "--preallocate"],
    "fsync": ["-a", "--fsync"],
    "backups": ["-a", "--backup", "--suffix=.old"],
    "partial": ["-a", "--partial-dir=.part", "--no-whole-file"],
}


def change_tree(root, seed):
    """As a week does: some files grow, some are patched, some go or move."""
    chance = random.Random(seed)
    files = sorted(p for p in root.rglob("*") if p.is_file())
    for p in chance.sample(files, min(30, len(files))):
        what = chance.randrange(4)
        if what == 0:
            with open(p, "ab") as f:
                f.write(trees.payload((seed, p.name), 5000))
        elif what == 1 and p.stat().st_size:
            with open(p, "r+b") as f:
                f.seek(chance.randrange(p.stat().st_size))
                f.write(b"patched")
        elif what == 2:
            p.unlink()
        else:
            p.rename(p.with_name(p.name[:50] + f" moved {seed}"))
        if p.exists():  # another second: rsync looks no closer
            os.utime(p, (10**9 + 100 * seed, 10**9 + 100 * seed))


@needs("rsync")
@pytest.mark.parametrize("mode", RSYNC)
def test_rsync(mnt, base, came_back, mode):
    source = trees.make_tree(base / "source", seed=4, files=120)
    keeps_old = mode in ("backups", "append")
    for n in range(3):
        run("rsync", *RSYNC[mode], *([] if keeps_old else ["--delete"]),
            f"{source}/", mnt / "mirror/")
        if not keeps_old:
            trees.assert_same(source, mnt / "mirror", times=mode != "checksum")
        if mode != "append":
            change_tree(source, n)
    again = came_back()
    run("rsync", "-aX", f"{again / 'mirror'}/", f"{base / 'back'}/")
    trees.assert_same(again / "mirror", base / "back")


@needs("tar")
@pytest.mark.parametrize("how", ["", "--sparse", "--format=pax --xattrs --acls"])
def test_tar(mnt, base, came_back, how):
    """Packed here and there; a file with holes among them."""
    source = trees.make_tree(base / "source", seed=5, files=150)
    with open(source / "holes", "wb") as f:
        for at in (0, 3 << 20, 9 << 20):
            f.seek(at)
            f.write(b"data")
    options = how.split()
    (mnt / "out").mkdir()
    run("tar", "cf", base / "t.tar", *options, "-C", source, ".")
    run("tar", "xf", base / "t.tar", *options, "-C", mnt / "out")
    run("tar", "df", base / "t.tar", *options, "-C", mnt / "out")
    run("tar", "cf", mnt / "t.tar", *options, "-C", mnt / "out", ".")
    run("tar", "df", mnt / "t.tar", *options, "-C", source)
    again = came_back()
    trees.assert_same(source, again / "out")
    run("tar", "df", again / "t.tar", *options, "-C", source)
