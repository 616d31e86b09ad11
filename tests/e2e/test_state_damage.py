"""A state directory that is not what it was: database, content files, lock.

After each: nothing that was closed here is lost (it is on the server, or in
quarantine/ under its name), nothing is deleted or emptied on the server."""

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3

import pytest

from kit import inject as kit_inject
from kit import proc


FULL = bool(os.environ.get("NMB_TEST_FULL"))


def few(variants, *default):
    """Those of `make test`; all of them in check-all."""
    return list(variants) if FULL else list(default)


def state_of(machine):
    return machine.state / "nmbackupfs/default"


def junk(path, keep=4096, seed=1):
    """All of a file but its first bytes is replaced."""
    size = path.stat().st_size
    with path.open("r+b") as f:
        f.seek(keep)
        f.write(random.Random(seed).randbytes(max(0, size - keep)))


def checkpoint(db):
    with contextlib.closing(sqlite3.connect(db, timeout=20)) as c:
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def quarantined(machine):
    """Path below quarantine/, without the time in front -> bytes."""
    top = state_of(machine) / "quarantine"
    found = {}
    for path in top.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(top))
            found[name.partition("Z-")[2] or name] = path.read_bytes()
    return found


def contents(mount):
    return {str(p.relative_to(mount.path)): p.read_bytes()
            for p in sorted(mount.path.rglob("*")) if p.is_file()}


@pytest.fixture
def no_deletes(graphd):
    """Nothing is deleted on the server, nothing there gets empty."""
    yield
    assert graphd.requests().get("delete", 0) == 0
    assert all(graphd.files().values()), graphd.files()


@pytest.mark.configs("personal")
@pytest.mark.mount_options("--deadline", "2s")
def test_damaged_in_use(signed_in, mnt, graphd, no_deletes):
    """The mount comes back by itself over a rebuilt database; what was not
    sent is there under its name."""
    (mnt / "d").mkdir()
    for i in range(30):
        (mnt / f"d/{i}").write_bytes(b"sent %d" % i)
    signed_in.flush()
    graphd.stop()
    (mnt / "d/new name").write_bytes(b"not sent")
    (mnt / "d/1").write_bytes(b"changed here")
    db = state_of(signed_in) / "state.db"
    checkpoint(db)
    junk(db)

    def seen():
        with contextlib.suppress(OSError):
            os.listdir(mnt / "d")
            (mnt / "d/touch").touch()
        return "state.db was damaged action=rebuild" in \
            signed_in.log.read_text(errors="replace")
    proc.wait_until(seen, 20, "that the damage is noticed")
    graphd.start()
    mnt.wait_mounted()
    assert mnt.is_running()
    want = {f"d/{i}": b"sent %d" % i for i in range(30)}
    proc.wait_until(lambda: len(list((mnt / "d").iterdir())) >= 30, 20, "d")
    have = contents(mnt)
    have.pop("d/touch", None)
    assert have == want
    signed_in.flush()
    found = quarantined(signed_in)
    assert b"not sent" in found.values() and b"changed here" in found.values()
    assert any(name.endswith("state.db") for name in found)
    (mnt / "after").write_bytes(b"goes on")
    signed_in.flush()
    assert graphd.read("after") == b"goes on"
    assert graphd.read("d/1") == b"sent 1"


@pytest.mark.configs("personal-vault")
@pytest.mark.mount_options("--deadline", "2s")
def test_one_table_damaged_in_use(signed_in, mnt, graphd):
    """One that only sending needs: it is not asked again and again."""
    (mnt / "f").write_bytes(b"sent")
    signed_in.flush()
    deletes = graphd.requests().get("delete", 0)  # of setting up the vault
    db = state_of(signed_in) / "state.db"
    checkpoint(db)
    with contextlib.closing(sqlite3.connect(db)) as c:
        root, = c.execute("SELECT rootpage FROM sqlite_master"
                          " WHERE name='bond'").fetchone()
        size, = c.execute("PRAGMA page_size").fetchone()
    with db.open("r+b") as f:
        f.seek((root - 1) * size)
        f.write(b"\xa5" * size)
    written = False
    # The engine may come upon it between any two calls of the write, which is
    # cut off then, and fails.
    try:
        (mnt / "f").write_bytes(b"changed")
        written = True
    except OSError as e:
        assert e.errno in (errno.EIO, errno.ENOTCONN, errno.ECONNABORTED)
    proc.wait_until(lambda: "state.db was damaged action=rebuild" in
                    signed_in.log.read_text(errors="replace"), 20, "a rebuild")
    mnt.wait_mounted()
    proc.wait_until(lambda: os.listdir(mnt.path) == ["f"], 20, "the tree")
    have = (mnt / "f").read_bytes()
    assert have == b"changed" or have == b"sent" and \
        (b"changed" in quarantined(signed_in).values() or not written)
    (mnt / "after").write_bytes(b"goes on")
    signed_in.flush()
    assert graphd.requests().get("delete", 0) == deletes


# ---- nmbackupfs check -------------------------------------------------------

DAMAGED = 8


def check(machine, *args, want=0):
    return json.loads(machine.run("check", "--json", *args, check=want).stdout)


def damages(found):
    return [f for f in found["findings"] if f["level"] == "damage"]


def sql(machine, *statements):
    with contextlib.closing(sqlite3.connect(state_of(machine) / "state.db")) \
            as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def fingerprint(top):
    return {str(p.relative_to(top)): p.read_bytes() if p.is_file() else None
            for p in sorted(top.rglob("*")) if p.name not in ("lock", "control")
            and not p.name.endswith("-shm")}


@pytest.mark.configs("personal")
def test_check_of_a_sound_state(signed_in, mnt, graphd):
    """Nothing is found, nothing is changed: after an orderly end, after a
    kill, with things unsent; and not while something is mounted."""
    (mnt / "d").mkdir()
    (mnt / "d/a").write_bytes(b"a" * 200000)
    (mnt / "empty").touch()
    os.symlink("a", mnt / "link")
    signed_in.flush()
    busy = signed_in.run("check", check=7)
    assert str(mnt.path) in busy.stderr
    mnt.unmount()
    before = fingerprint(state_of(signed_in))
    assert check(signed_in)["findings"] == []
    assert "all is well" in signed_in.run("check", check=0).stdout
    assert fingerprint(state_of(signed_in)) == before
    mnt = signed_in.mount()
    graphd.stop()
    (mnt / "d/b").write_bytes(b"b")
    (mnt / "d/a").open("r+b").write(b"changed")
    (mnt / "d/new").mkdir()
    os.rename(mnt / "empty", mnt / "d/new/moved")
    mnt.kill()
    proc.unmount_all(mnt.path)
    before = fingerprint(state_of(signed_in))
    assert {f["kind"] for f in check(signed_in)["findings"]} <= \
        {"last-run", "stray"}
    assert fingerprint(state_of(signed_in)) == before
    assert not damages(check(signed_in, "--repair"))
    graphd.start()
    mnt = signed_in.mount()
    signed_in.flush()
    assert graphd.read("d/b") == b"b"
    assert graphd.read("d/a")[:8] == b"changeda"


# ---- content files ----------------------------------------------------------

def content_files(machine):
    """Those with bytes in them, the newest number last."""
    return sorted(p for p in (state_of(machine) / "content").rglob("*")
                  if p.is_file() and not p.name.endswith(".snap"))


def write_durably(path, data):
    path.write_bytes(data)
    with path.open("rb") as f:
        os.fsync(f.fileno())


def flip(path, at=100):
    with path.open("r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x40]))


def by_folder(path):
    path.unlink()
    path.mkdir()


HARM = {
    "flipped": flip,
    "cut": lambda p: os.truncate(p, 10),
    "empty": lambda p: os.truncate(p, 0),
    "zeros": lambda p: p.write_bytes(bytes(p.stat().st_size)),
    "missing": lambda p: p.unlink(),
    "folder": by_folder,
}


@pytest.mark.fault(51, 52)
@pytest.mark.configs("personal")
@pytest.mark.parametrize("harm", few(HARM, "flipped", "missing", "folder"))
def test_clean_content_harmed(signed_in, mnt, graphd, no_deletes, harm):
    """It is fetched again when it is read; check finds it, and a repair lets
    go of it."""
    data = random.Random(harm).randbytes(200_000)
    (mnt / "f").write_bytes(data)
    signed_in.flush()
    mnt.unmount()
    for repaired in (False, True):
        file, = content_files(signed_in)
        HARM[harm](file)
        assert [f["path"] for f in damages(check(signed_in, want=DAMAGED))
                if f["kind"] != "stray"] == ["/f"]
        if repaired:
            found = check(signed_in, "--repair", want=DAMAGED)
            assert found["repaired"] == found["damages"]
            assert not damages(check(signed_in))
        graphd.mark()
        mnt = signed_in.mount()
        assert (mnt / "f").read_bytes() == data
        graphd.wait_request("download")
        mnt.unmount()
    assert graphd.read("f") == data


@pytest.mark.fault(18, 19, 52, 55)
@pytest.mark.configs("personal")
@pytest.mark.parametrize("harm", few(HARM, "flipped", "zeros", "missing"))
def test_unsent_content_harmed(signed_in, mnt, graphd, no_deletes, harm):
    """EIO, kept, told; never sent over what the server has: all of it had been
    flushed, and the disk had said so."""
    good = random.Random(harm).randbytes(100_000)
    (mnt / "f").write_bytes(good)
    signed_in.flush()
    graphd.stop()
    write_durably(mnt / "f", good[::-1])
    write_durably(mnt / "new", good[::-1])
    mnt.kill()
    proc.unmount_all(mnt.path)
    unsent = [p for p in content_files(signed_in)
              if p.read_bytes() == good[::-1]]
    assert len(unsent) == 2
    for path in unsent:
        HARM[harm](path)
    kept = [p.read_bytes() if p.is_file() else None for p in unsent]
    found = damages(check(signed_in, want=DAMAGED))
    assert {"/f", "/new"} <= {f["path"] for f in found}
    check(signed_in, "--repair", want=DAMAGED)
    mnt = signed_in.mount()
    for name in ("f", "new"):
        with pytest.raises(OSError) as e:
            (mnt / name).read_bytes()
        assert e.value.errno == 5
    graphd.start()
    (mnt / "other").write_bytes(b"other")
    graphd.wait_for("other")
    signed_in.run("flush", "--timeout", "1")
    files = graphd.files()
    assert graphd.read("f") == good and "new" not in files
    (mnt / "f").write_bytes(b"made good")
    (mnt / "new").unlink()
    signed_in.flush()
    assert graphd.read("f") == b"made good"
    if harm in ("flipped", "cut", "zeros"):
        assert kept[0] is not None


@pytest.mark.fault(53)
@pytest.mark.configs("personal")
def test_content_removed_in_use(signed_in, mnt, graphd, no_deletes):
    (mnt / "f").write_bytes(b"f" * 100_000)
    signed_in.flush()
    mnt.unmount()
    mnt = signed_in.mount()
    shutil.rmtree(state_of(signed_in) / "content")
    for touch in (lambda: (mnt / "f").read_bytes(),
                  lambda: (mnt / "g").write_bytes(b"g"),
                  lambda: (mnt / "f").read_bytes()):
        with contextlib.suppress(OSError):
            touch()
    assert os.listdir(mnt.path) and mnt.is_running()
    mnt.process.terminate()
    mnt.wait()
    mnt = signed_in.mount()
    assert (mnt / "f").read_bytes() == b"f" * 100_000
    signed_in.run("flush", "--timeout", "1")
    assert graphd.read("f") == b"f" * 100_000


@pytest.mark.fault(54)
@pytest.mark.configs("personal")
def test_content_removed_between_runs(signed_in, mnt, graphd, no_deletes):
    (mnt / "f").write_bytes(b"f" * 100_000)
    (mnt / "g").write_bytes(b"g" * 100_000)
    signed_in.flush()
    graphd.stop()
    write_durably(mnt / "g", b"changed" * 10_000)
    write_durably(mnt / "new", b"new")
    mnt.kill()
    proc.unmount_all(mnt.path)
    shutil.rmtree(state_of(signed_in) / "content")
    found = damages(check(signed_in, want=DAMAGED))
    assert {f["path"]: f["kind"] for f in found} == {
        "content": "content", "/f": "content", "/g": "lost", "/new": "lost"}
    graphd.start()
    mnt = signed_in.mount()
    assert (mnt / "f").read_bytes() == b"f" * 100_000
    with pytest.raises(OSError):
        (mnt / "new").read_bytes()
    signed_in.run("flush", "--timeout", "1")
    assert graphd.read("g") == b"g" * 100_000 and "new" not in graphd.files()
    assert "file missing, not on the server" in signed_in.log.read_text(
        errors="replace")


# ---- the database between runs ----------------------------------------------

def not_sqlite(db):
    db.write_bytes(b"not a database" * 1000)


def page(db):
    with db.open("r+b") as f:
        f.seek(4096)
        f.write(bytes(range(256)) * 64)


BROKEN = {
    "header": lambda db: junk(db, keep=0),
    "zero-length": lambda db: db.write_bytes(b""),
    "not-sqlite": not_sqlite,
    "pages": page,
    "missing": lambda db: db.unlink(),
    "index": lambda db: break_index(db),
}


def break_index(db):
    """Well-formed, but what the index says is not what the rows say."""
    with contextlib.closing(sqlite3.connect(db)) as c:
        root, = c.execute("SELECT rootpage FROM sqlite_master"
                          " WHERE name='node_name'").fetchone()
        size, = c.execute("PRAGMA page_size").fetchone()
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(db.read_bytes())
    at = data.index(b"unsent", (root - 1) * size, root * size)
    data[at] ^= 1
    db.write_bytes(data)


@pytest.mark.fault(56, 57, 60)
@pytest.mark.configs("personal")
@pytest.mark.parametrize("how, by", few(
    [*itertools.product(BROKEN, ("mount", "check"))], ("header", "check"),
    ("zero-length", "mount"), ("index", "mount"), ("index", "check")))
def test_database_broken(signed_in, mnt, graphd, no_deletes, how, by):
    """Set aside; the tree comes from the server, what was unsent is in
    quarantine, under its name if the database still said it."""
    sent = {f"{i}": b"sent %d" % i for i in range(10)}
    for name, data in sent.items():
        (mnt / name).write_bytes(data)
    signed_in.flush()
    graphd.stop()
    (mnt / "d").mkdir()
    write_durably(mnt / "d/unsent", b"not sent")
    mnt.kill()
    proc.unmount_all(mnt.path)
    db = state_of(signed_in) / "state.db"
    checkpoint(db)
    BROKEN[how](db)
    for extra in ("-wal", "-shm"):
        db.with_name(db.name + extra).unlink(missing_ok=True)
    assert damages(check(signed_in, want=DAMAGED))
    if by == "check":
        found = check(signed_in, "--repair", want=DAMAGED)
        assert found["repaired"] == found["damages"] > 0
        assert not damages(check(signed_in))
        assert b"not sent" in quarantined(signed_in).values()
    graphd.start()
    mnt = signed_in.mount()
    if how == "index":  # a check in the background finds it
        proc.wait_until(lambda: b"not sent" in quarantined(
            signed_in).values() or graphd.item("d/unsent", missing_ok=True),
            20, "the unsent file")
        proc.wait_until(lambda: os.path.ismount(mnt.path), 20, "the mount")
    proc.wait_until(lambda: len(contents(mnt)) >= 10, 20, "the tree")
    have = contents(mnt)
    assert have.items() >= sent.items()
    signed_in.flush()
    if "d/unsent" not in graphd.files():
        proc.wait_until(lambda: b"not sent" in
                        quarantined(signed_in).values(), 20, "quarantine")
    if how == "index" and by == "check":
        assert quarantined(signed_in)["unsent/d/unsent"] == b"not sent"
    for name, data in sent.items():
        assert graphd.read(name) == data
    mnt.unmount()
    assert not damages(check(signed_in))


@pytest.mark.fault(58)
@pytest.mark.configs("personal")
@pytest.mark.parametrize("how", ["missing", "stale", "alone"])
def test_log_missing_or_stale(signed_in, mnt, graphd, no_deletes, how):
    state = state_of(signed_in)
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"%d" % i)
    signed_in.flush()
    old = state.joinpath("state.db-wal").read_bytes()
    assert old
    checkpoint(state / "state.db")
    for i in range(10):
        (mnt / f"{i}").write_bytes(b"again %d" % i)
    graphd.stop()
    write_durably(mnt / "unsent", b"unsent")
    mnt.kill()
    proc.unmount_all(mnt.path)
    assert (state / "state.db-wal").stat().st_size
    if how == "alone":
        (state / "state.db").unlink()
    elif how == "missing":
        (state / "state.db-wal").unlink()
    else:
        (state / "state.db-wal").write_bytes(old)
    (state / "state.db-shm").unlink(missing_ok=True)
    graphd.start()
    mnt = signed_in.mount()
    proc.wait_until(lambda: len(contents(mnt)) >= 20, 20, "the tree")
    signed_in.flush()
    for i in range(10, 20):
        assert graphd.read(f"{i}") == b"%d" % i
    kept = [*quarantined(signed_in).values(),
            *(graphd.read(name) for name in graphd.files())]
    assert b"unsent" in kept
    for i in range(10):
        assert b"again %d" % i in kept


@pytest.mark.fault(59)
@pytest.mark.configs("personal")
def test_newer_database(signed_in, mnt, graphd, no_deletes):
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    mnt.unmount()
    sql(signed_in, "UPDATE meta SET value=1000 WHERE key='schema'")
    db = state_of(signed_in) / "state.db"
    before = db.read_bytes()
    for _ in range(2):
        again = signed_in.mount(wait=False)
        assert again.wait() == DAMAGED
        assert "newer version" in proc.tail(signed_in.log, 5)
        found, = damages(check(signed_in, "--repair", want=DAMAGED))
        assert found["kind"] == "version" and not found["repaired"]
        assert db.read_bytes() == before


@pytest.mark.fault(12)
@pytest.mark.configs("personal")
def test_two_programs(signed_in, mnt):
    (mnt / "f").write_bytes(b"f")
    second = signed_in.mount(name="second", wait=False)
    assert second.wait() == 7
    assert f"in use by process {mnt.process.pid} {mnt.path}" in \
        signed_in.log.read_text(errors="replace")
    busy = signed_in.run("check", "--repair", check=7)
    assert str(mnt.process.pid) in busy.stderr
    assert (mnt / "f").read_bytes() == b"f"


# ---- rows that contradict each other ----------------------------------------

@pytest.mark.configs("personal")
def test_rows_repaired(signed_in, mnt, graphd, no_deletes):
    """Each is found, repaired, and not found again; nothing is lost."""
    for name in ("a", "b", "c"):
        (mnt / name).mkdir()
        (mnt / name / "sent").write_bytes(b"sent " + name.encode())
    signed_in.flush()
    graphd.stop()
    for name in ("a", "b", "c"):
        write_durably(mnt / name / "unsent", b"unsent " + name.encode())
    mnt.kill()
    proc.unmount_all(mnt.path)
    sql(signed_in,
        "UPDATE node SET parent=99999 WHERE name='unsent' AND"
        " parent=(SELECT ino FROM node WHERE name='a')",
        "UPDATE node SET parent=99999 WHERE name='sent' AND"
        " parent=(SELECT ino FROM node WHERE name='a')",
        "UPDATE node SET parent=ino WHERE name='b'",
        "UPDATE node SET flags=flags&~1 WHERE name='unsent' AND"
        " parent=(SELECT ino FROM node WHERE name='c')",
        "UPDATE node SET cid=4711 WHERE name='sent' AND"
        " parent=(SELECT ino FROM node WHERE name='c')",
        "INSERT INTO chunk VALUES(4711,0,NULL,NULL)",
        "INSERT INTO blocked VALUES(4711,-5,'no')")
    found = damages(check(signed_in, want=DAMAGED))
    kinds = sorted(f["kind"] for f in found)
    assert kinds == ["content-row", "leftover", "leftover", "no-way",
                     "no-way", "no-way", "unsent"]
    again = check(signed_in, "--repair", want=DAMAGED)
    assert again["damages"] == again["repaired"] >= len(found)
    assert not damages(check(signed_in))
    graphd.start()
    mnt = signed_in.mount()
    signed_in.flush()
    have = sorted(contents(mnt).values())
    assert sorted(set(have)) == sorted(
        kind + b" " + name for kind in (b"sent", b"unsent")
        for name in (b"a", b"b", b"c"))
    there = {graphd.read(name) for name in graphd.files()}
    assert there == set(have)


@pytest.mark.configs("personal")
@pytest.mark.skipif(kit_inject.why_not() is not None,
                    reason=str(kit_inject.why_not()))
@pytest.mark.parametrize("how", ["database", "rows"])
def test_repair_dies_anywhere(signed_in, mnt, graphd, base, how):
    """At any call that changes something; the next repair ends it."""
    (mnt / "sent").write_bytes(b"sent" * 1000)
    signed_in.flush()
    graphd.stop()
    (mnt / "d").mkdir()
    write_durably(mnt / "d/unsent", b"not sent")
    mnt.kill()
    proc.unmount_all(mnt.path)
    state = state_of(signed_in)
    (state / "content/stray").write_bytes(b"stray")
    checkpoint(state / "state.db")
    if how == "database":
        break_index(state / "state.db")
    else:
        sql(signed_in, "UPDATE node SET parent=99999 WHERE name='unsent'",
            "UPDATE node SET cid=4711 WHERE name='sent'")
    scratch = base / "scratch"
    inject = kit_inject.Inject(base, scratch)
    died = 0
    for skip in range(0, 1000, 1 if FULL else 5):
        shutil.copytree(state, scratch,
                        ignore=shutil.ignore_patterns("control", "lock"))
        inject.arm(("make", "write", "name", "sync"), kit_inject.DIE, skip)
        done = signed_in.run("--state-dir", scratch, "check", "--repair",
                             env=inject.env)
        inject.disarm()
        died += done.returncode == -signal.SIGKILL
        for want in (None, 0):
            done = signed_in.run("--state-dir", scratch, "check", "--repair",
                                 check=want)
        kept = [p.read_bytes() for p in scratch.rglob("*") if p.is_file()]
        assert b"not sent" in kept and b"stray" in kept
        shutil.rmtree(scratch)
        if not inject.fired:
            break
    assert died > 2 and not inject.fired


@pytest.mark.configs("personal")
@pytest.mark.parametrize("what", ["database", "all"])
def test_state_of_last_week(signed_in, mnt, graphd, what):
    """A copy put back, of the database or of all: what was done since is on the
    server and stays; what the copy still wanted to do is done once at most."""
    for name in ("a", "gone", "moved"):
        (mnt / name).write_bytes(name.encode())
    signed_in.flush()
    graphd.stop()
    (mnt / "gone").unlink()
    write_durably(mnt / "unsent", b"unsent")
    if what == "all":  # else its bytes would be gone: kept as a conflict, EIO
        write_durably(mnt / "a", b"a2")
    mnt.kill()
    proc.unmount_all(mnt.path)
    state, copy = state_of(signed_in), signed_in.base / "copy"
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("control"))
    graphd.start()
    mnt = signed_in.mount()
    signed_in.flush()
    deletes = graphd.requests().get("delete", 0)
    (mnt / "a").write_bytes(b"a3")
    (mnt / "gone").write_bytes(b"came back")
    (mnt / "new").write_bytes(b"new")
    (mnt / "moved").rename(mnt / "there")
    signed_in.flush()
    mnt.unmount()
    want = {"a": b"a3", "gone": b"came back", "new": b"new",
            "there": b"moved", "unsent": b"unsent"}
    assert {n: graphd.read(n) for n in graphd.files()} == want
    if what == "all":
        shutil.rmtree(state)
        shutil.copytree(copy, state)
    else:
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (state / name).unlink(missing_ok=True)
            if (copy / name).exists():
                shutil.copy2(copy / name, state / name)
        assert "older-copy" in {
            f["kind"] for f in damages(check(signed_in, want=DAMAGED))}
    mnt = signed_in.mount()
    signed_in.flush()
    proc.wait_until(lambda: (mnt / "new").exists(), 20, "new")
    signed_in.flush()
    there = {n: graphd.read(n) for n in graphd.files()}
    assert there.items() >= want.items(), there
    assert {n for n in there if n not in want} <= {
        n for n in there if "(conflict" in n}
    assert graphd.requests().get("delete", 0) == deletes
    assert contents(mnt) == there
