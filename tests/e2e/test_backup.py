"""Goal: what people do with it: copy in, lose the machine, copy out.

Each test ends with the state wiped, a mount on an empty cache, and the same
bytes under the same names."""

import os
import random
import shutil
import sqlite3
import subprocess

import pytest

from kit import graphd as kit_graphd
from kit import proc, trees


def run(*args, cwd=None, timeout=100, **env):
    done = subprocess.run([str(a) for a in args], cwd=cwd, text=True,
                          capture_output=True, timeout=proc.patience(timeout),
                          check=False,
                          errors="replace", env={**os.environ, **env})
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout


def restore(machine, mnt, timeout=60):
    """All on the server, all local state lost, mounted anew."""
    machine.flush(timeout=timeout)
    mnt.unmount()
    machine.wipe()
    return machine.mount()


@pytest.mark.configs("personal", "personal-60", "work", "work-60")
def test_real_tree(signed_in, mnt, base):
    """cp -a of a real tree comes back byte for byte, times by seconds."""
    source = trees.copy_real_tree(base / "source", files=250)
    run("cp", "-a", source, mnt / "copy")
    trees.assert_same(source, mnt / "copy", times=True)
    mnt = restore(signed_in, mnt)
    trees.assert_same(source, mnt / "copy", times=True)
    run("diff", "-r", source, mnt / "copy")


def test_odd_names_and_edge_sizes(signed_in, mnt, base, graphd):
    source = trees.make_tree(base / "source", seed=7, files=70,
                             max_size=5 * 2**20)
    run("cp", "-a", source, mnt / "copy")
    mnt = restore(signed_in, mnt)
    trees.assert_same(source, mnt / "copy", times=True)


@pytest.mark.configs("personal")
def test_every_byte_in_a_name(signed_in, mnt, graphd):
    """Each forbidden character, alone, first, in the middle and last."""
    (mnt / "d").mkdir()
    bad = [bytes([b]) for b in range(1, 256) if b != 0x2f]
    names = [b for c in bad for b in (c, c + b"x", b"a" + c + b"x", b"b" + c)]
    names = [n for n in dict.fromkeys(names) if n not in (b".", b"..")]
    top = os.fsencode(mnt / "d")
    taken, made = {"aux", "con", "nul", "prn"}, []  # refused, EINVAL
    for name in names:
        folded = name.decode("utf-8", "surrogateescape").casefold()
        if folded in taken:
            continue
        taken.add(folded)
        with open(top + b"/" + name, "wb") as f:
            f.write(name)
        made.append(name)
    mnt = restore(signed_in, mnt)
    assert sorted(os.listdir(top)) == sorted(made)
    for name in made:
        with open(top + b"/" + name, "rb") as f:
            assert f.read() == name
    for item in graphd.files(folder="nmbackupfs/d"):
        assert not set(item) & set('"*:<>?\\|') and \
            item == item.strip(" ").rstrip(".")


def test_long_names(signed_in, mnt):
    """255 bytes and 255 characters of one to four bytes."""
    names = ["a" * 255, "ß" * 127, "漢" * 85, "x" * 251 + ".txt"]
    for name in names:
        (mnt / name).write_bytes(name.encode())
    (mnt / ("D" * 200)).mkdir()
    (mnt / ("D" * 200) / "inside").write_bytes(b"i")
    mnt = restore(signed_in, mnt)
    for name in names:
        assert (mnt / name).read_bytes() == name.encode()
    assert (mnt / ("D" * 200) / "inside").read_bytes() == b"i"


@pytest.mark.plain("names do not clash in a vault")
@pytest.mark.configs("personal")
def test_names_the_service_holds_equal(mnt, signed_in, graphd):
    """Plain folders: a case twin is EEXIST here, never an overwrite there."""
    (mnt / "Report").write_bytes(b"first")
    with pytest.raises(FileExistsError):
        (mnt / "report").write_bytes(b"second")
    with pytest.raises(FileExistsError):
        (mnt / "REPORT").mkdir()
    (mnt / "é").write_bytes(b"nfc")
    with pytest.raises(FileExistsError):
        (mnt / "e\u0301").write_bytes(b"nfd")
    os.rename(mnt / "Report", mnt / "rePort")  # itself in another case is fine
    signed_in.flush()
    assert sorted(graphd.files()) == ["rePort", "é"]
    assert graphd.read("rePort") == b"first"


def test_git(signed_in, mnt, base):
    """Clone into the mount, commit there, check, come back."""
    env = dict(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.com",
               GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.com",
               GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")
    origin = base / "origin"
    run("git", "init", "-q", "-b", "main", origin, **env)
    for i in range(12):
        trees.make_tree(origin / f"part{i % 3}", seed=i, files=12,
                        max_size=20_000, depth=1)
        run("git", "add", "-A", cwd=origin, **env)
        run("git", "commit", "-qm", f"change {i}", cwd=origin, **env)
    run("git", "clone", "-q", "--no-hardlinks", origin, mnt / "clone", **env)
    run("git", "fsck", "--full", "--strict", cwd=mnt / "clone", **env)
    (mnt / "clone/new").write_bytes(b"new")
    run("git", "add", "new", cwd=mnt / "clone", **env)
    run("git", "commit", "-qm", "here", cwd=mnt / "clone", **env)
    run("git", "gc", "-q", cwd=mnt / "clone", **env)
    head = run("git", "rev-parse", "HEAD", cwd=mnt / "clone", **env)
    mnt = restore(signed_in, mnt)
    run("git", "fsck", "--full", cwd=mnt / "clone", **env)
    assert run("git", "rev-parse", "HEAD", cwd=mnt / "clone", **env) == head
    # Modes live in the local store of a plain folder: contents must match.
    run("git", "-c", "core.fileMode=false", "diff", "--quiet", "HEAD",
        cwd=mnt / "clone", **env)


@pytest.mark.mount_options(
    "--write-back-delay", f"{int(proc.patience(1000))}ms")
def test_rsync_twice(signed_in, mnt, base):
    """The second run transfers nothing, after a restore too. (Times that are
    set later than a file is sent stay here: facts forbid a PATCH of them.)"""
    source = trees.make_tree(base / "source", seed=3, files=60)

    def transferred():
        out = run("rsync", "-rlt", "--stats", f"{source}/", mnt / "mirror/")
        return int([ln for ln in out.splitlines()
                    if "files transferred" in ln][0].split()[-1].replace(",", ""))

    assert transferred() == 60
    assert transferred() == 0
    mnt2 = restore(signed_in, mnt)
    out = run("rsync", "-rlt", "--modify-window=1", "--stats", f"{source}/",
              mnt2 / "mirror/")
    assert "regular files transferred: 0" in out.lower()
    trees.assert_same(source, mnt2 / "mirror")


@pytest.mark.mount_options(
    "--write-back-delay", f"{int(proc.patience(1000))}ms")
def test_tar(signed_in, mnt, base):
    source = trees.make_tree(base / "source", seed=5, files=60)
    run("tar", "cf", base / "t.tar", "-C", source, ".")
    (mnt / "out").mkdir()
    run("tar", "xf", base / "t.tar", "-C", mnt / "out")
    run("tar", "df", base / "t.tar", "-C", mnt / "out")
    run("tar", "cf", mnt / "packed.tar", "-C", source, ".")
    mnt = restore(signed_in, mnt)
    trees.assert_same(source, mnt / "out", times=True)
    run("tar", "df", mnt / "packed.tar", "-C", source)


@pytest.mark.parametrize("journal", ["delete", "truncate", "wal"])
@pytest.mark.configs("personal", "work-60")
def test_sqlite(signed_in, mnt, journal):
    """A database is written in place, committed, rolled back, restored."""
    path = mnt / "data.db"
    db = sqlite3.connect(path)
    assert db.execute(f"pragma journal_mode={journal}").fetchone()[0] == journal
    db.execute("create table t(i integer primary key, b blob)")
    for n in range(12):
        with db:
            db.executemany("insert into t(b) values(?)",
                           [(trees.payload((n, i), 3000),) for i in range(40)])
    db.execute("begin")
    db.execute("delete from t")
    db.rollback()
    with db:
        db.execute("delete from t where i % 3 = 0")
    rows = db.execute("select * from t order by i").fetchall()
    assert len(rows) == 320
    db.close()
    mnt = restore(signed_in, mnt)
    db = sqlite3.connect(mnt / "data.db")
    assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
    assert db.execute("select * from t order by i").fetchall() == rows
    db.close()


@pytest.mark.configs("personal", "work")
def test_large_file(signed_in, mnt, graphd):
    """300 MB, in fragments there and ranges back."""
    block = trees.payload("large", 2**20)
    with open(mnt / "large", "wb") as f:
        for i in range(300):
            f.write(i.to_bytes(4, "big") + block[4:])
    whole = trees.sha(mnt / "large")
    signed_in.flush(timeout=100)
    assert graphd.item("large")["size"] == 300 * 2**20
    mnt = restore(signed_in, mnt)
    with open(mnt / "large", "rb") as f:  # the end first, then all of it
        f.seek(299 * 2**20)
        assert f.read(4) == (299).to_bytes(4, "big")
    assert trees.sha(mnt / "large") == whole


@pytest.mark.configs("personal")
def test_five_thousand_files_in_a_directory(signed_in, mnt, graphd):
    (mnt / "many").mkdir()
    for i in range(5000):
        (mnt / f"many/{i:05d}").write_bytes(b"%d" % i)
    assert len(os.listdir(mnt / "many")) == 5000
    mnt = restore(signed_in, mnt, timeout=100)
    assert sorted(os.listdir(mnt / "many")) == [f"{i:05d}" for i in range(5000)]
    for i in random.Random(1).sample(range(5000), 50):
        assert (mnt / f"many/{i:05d}").read_bytes() == b"%d" % i


@pytest.mark.plain("twenty levels of sealed names are too long a path")
def test_deep_and_empty(signed_in, mnt):
    """Twenty levels, empty folders, empty files."""
    deep = mnt.path
    for i in range(20):
        deep = deep / f"level{i}"
    deep.mkdir(parents=True)
    (deep / "bottom").write_bytes(b"b")
    (mnt / "empty folder").mkdir()
    (mnt / "empty file").touch()
    mnt = restore(signed_in, mnt)
    assert (deep / "bottom").read_bytes() == b"b"
    assert os.listdir(mnt / "empty folder") == []
    assert (mnt / "empty file").read_bytes() == b""


@pytest.mark.configs("personal")
def test_path_too_long_is_refused_at_once(mnt, signed_in):
    """Never a queue that is stuck: ENAMETOOLONG where it is made."""
    here = mnt.path
    with pytest.raises(OSError) as refused:
        for i in range(40):
            here = here / ("long-folder-name-%02d" % i)
            here.mkdir()
    assert refused.value.errno == 36  # ENAMETOOLONG
    signed_in.flush()
    assert not signed_in.status()["blocked"]


def test_changes_arrive_too(signed_in, mnt, base, graphd):
    """Delete, rename, rewrite, move folders: the server ends equal."""
    source = trees.make_tree(base / "source", seed=11, files=40,
                             max_size=50_000, depth=2)
    for name in ("extra", "more"):
        trees.make_tree(source / name, seed=12, files=5, max_size=9000, depth=1)
    shutil.copytree(source, mnt / "t")
    signed_in.flush()
    for root in (source, mnt / "t"):
        files = sorted(p for p in root.rglob("*") if p.is_file())
        files[0].unlink()
        files[1].rename(root / "renamed")
        files[2].write_bytes(b"rewritten")
        with open(files[3], "r+b") as f:
            f.seek(3)
            f.write(b"patched")
        folders = sorted(p for p in root.iterdir() if p.is_dir())
        folders[0].rename(root / "folder moved")
        shutil.rmtree(folders[1])
        (root / "folder new").mkdir()
    trees.assert_same(source, mnt / "t")
    mnt = restore(signed_in, mnt)
    trees.assert_same(source, mnt / "t")


@pytest.mark.configs("personal")
def test_removed_tree_is_few_requests(signed_in, mnt, graphd):
    """rm -r is one DELETE; a renamed folder one PATCH; temporaries nothing."""
    for i in range(60):
        (mnt / "tree").mkdir(exist_ok=True)
        (mnt / f"tree/{i}").write_bytes(b"x")
    signed_in.flush()
    before = graphd.requests()
    os.rename(mnt / "tree", mnt / "forest")
    signed_in.flush()
    (mnt / "temporary").write_bytes(b"x")
    (mnt / "temporary").unlink()
    shutil.rmtree(mnt / "forest")
    signed_in.flush()
    after = graphd.requests()
    assert after.get("patch", 0) - before.get("patch", 0) == 1
    # One by one, if unlinking takes longer than a file waits for its folder.
    deletes = after.get("delete", 0) - before.get("delete", 0)
    assert deletes == 1 or proc.SLOW > 1 and deletes < 20
    for kind in kit_graphd.UPLOADS:
        assert after.get(kind, 0) == before.get(kind, 0)
    assert graphd.files() == {}


@pytest.mark.configs("personal")
def test_removed_large_tree(signed_in, mnt, graphd):
    """What waits for the top of a removed tree does not ask about all of it:
    3,000 files in 150 folders are gone in moments, once cost minutes."""
    for i in range(150):
        folder = mnt / f"tree/{i % 5}/{i % 10}/{i}"
        folder.mkdir(parents=True)
        for k in range(20):
            (folder / f"{k}").touch()
    signed_in.flush(timeout=100)
    assert len(graphd.files()) == 3000
    shutil.rmtree(mnt / "tree")
    signed_in.flush(timeout=20)
    assert graphd.tree() == {}


@pytest.mark.plain("it asks for a session each; test_vault.py has the other count")
def test_small_file_costs_few_requests(signed_in, mnt, graphd):
    """A session and one fragment each, because the mtime rides in the session;
    no PATCH, no look beforehand."""
    before = graphd.requests()
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"content %d" % i)
    signed_in.flush()
    after = graphd.requests()
    used = {k: after[k] - before.get(k, 0) for k in after
            if after[k] != before.get(k, 0)}
    assert used.get("fragment", 0) == used.get("session", 0) == 20, used
    assert used.get("patch", 0) == used.get("put", 0) == 0, used
    assert used.get("item", 0) <= 2, used
