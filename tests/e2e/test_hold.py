"""Goal: a program that goes wild here, or a feed that says all is gone, does
not take the backup along: too many deletes or overwrites wait for a person,
who lets them go or takes them back."""

import errno
import os
import random
import shutil

import pytest

from kit import program, proc

pytestmark = [
    pytest.mark.configs("personal", "work-vault"),
    pytest.mark.mount_options("--hold-after", "20:50%/1000:30%/10m"),
]

FILES = 40
FULL = bool(os.environ.get("NMB_TEST_FULL"))


def some(*ways, of=2):
    """All of them, or the first few in a run that has to end in time."""
    return ways if FULL else ways[:of]


def fill(mnt, machine, folder="tree", n=FILES, text=b"content"):
    (mnt / folder).mkdir()
    for i in range(n):
        (mnt / folder / f"{i}.txt").write_bytes(b"%s %d" % (text, i))
    machine.flush()


def held(machine, direction="outgoing"):
    for entry in machine.status()["held"]:
        if entry["direction"] == direction:
            return entry
    return None


def names(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def flush_is_held(machine):
    done = machine.run("flush", "--timeout", int(proc.patience(60)),
                       timeout=80, check=program.HELD)
    return done.stderr


def stored(graphd):
    return sorted(graphd.files())


def test_remove_all(signed_in, mnt, graphd):
    """rm -r of most of it: nothing goes before it is approved."""
    fill(mnt, signed_in)
    (mnt / "stays").write_bytes(b"stays")
    signed_in.flush()
    before = stored(graphd)
    shutil.rmtree(mnt / "tree")
    said = flush_is_held(signed_in)
    assert f"{FILES + 1} deletes" in said and "/tree/" in said
    assert "nmbackupfs approve" in said and "nmbackupfs undo" in said
    assert os.listdir(mnt.path) == ["stays"]
    # All else goes on.
    (mnt / "new").mkdir()
    (mnt / "new/file").write_bytes(b"new")
    flush_is_held(signed_in)
    assert len(stored(graphd)) == len(before) + 1
    status = signed_in.status()
    assert status["state"] == "held"
    assert held(signed_in)["deletes"] == FILES + 1
    assert "approve" in signed_in.run("status", check=0).stdout
    assert "action=held" in signed_in.log.read_text()
    # Nobody is there to be asked; then it is approved.
    signed_in.run("approve", check=program.NO_TERMINAL)
    listed = signed_in.run("approve", "--dry-run", check=0).stdout
    assert "/tree/7.txt" in listed
    assert held(signed_in)
    signed_in.run("approve", "--yes", check=0)
    signed_in.flush()
    assert len(stored(graphd)) == 2
    assert not held(signed_in)
    assert "nothing is held" in signed_in.run("approve", check=0).stdout


def test_few_are_not_held(signed_in, mnt, graphd):
    """Half of it goes in time, and a file that is written all the time is
    one."""
    fill(mnt, signed_in)
    for i in range(FILES // 2 - 1):
        (mnt / f"tree/{i}.txt").unlink()
    for _ in range(5):
        (mnt / "tree/39.txt").write_bytes(os.urandom(100))
        signed_in.flush()
    assert len(stored(graphd)) == FILES - FILES // 2 + 1
    assert not held(signed_in)


def fingerprint(mnt):
    """Names, contents and times of all files."""
    return {str(p.relative_to(mnt.path)):
            (p.read_bytes(), int(p.stat().st_mtime), p.stat().st_mode)
            for p in mnt.path.rglob("*") if p.is_file()}


def undo(machine, *args):
    done = machine.run("undo", "--yes", *args, check=0)
    machine.flush()
    assert not held(machine)
    return done.stdout


def quarantined(machine):
    return {p.name: p.read_bytes()
            for p in machine.state.rglob("quarantine/undo-*/**/*")
            if p.is_file()}


def test_remove_all_undone(signed_in, mnt, graphd):
    """As it was, with its names, and it is not sent again."""
    fill(mnt, signed_in)
    (mnt / "tree/deep/er").mkdir(parents=True)
    (mnt / "tree/deep/er/file").write_bytes(b"deep")
    signed_in.flush()
    before, there = fingerprint(mnt), graphd.tree()
    shutil.rmtree(mnt / "tree")
    flush_is_held(signed_in)
    graphd.mark()
    said = undo(signed_in)
    assert f"{FILES + 4} are again" in said
    assert fingerprint(mnt) == before
    assert graphd.tree() == there
    assert not graphd.upload_begun()
    assert not quarantined(signed_in)


def encrypt(path):
    """In place, as such programs do: written over, then renamed."""
    data = path.read_bytes()
    with open(path, "r+b") as f:
        f.write(bytes(b ^ 0x55 for b in data) + b"!")
    path.rename(path.with_name(path.name + ".locked"))


def test_encrypted_in_place(signed_in, mnt, graphd):
    """The drive keeps most of it, undo brings back the rest of it too; what
    the program wrote is set aside."""
    fill(mnt, signed_in)
    before = fingerprint(mnt)
    for i in range(FILES):
        encrypt(mnt / f"tree/{i}.txt")
    said = flush_is_held(signed_in)
    assert "overwrites" in said
    kept = held(signed_in)["overwrites"]
    assert kept >= FILES // 2
    said = undo(signed_in)
    assert f"{kept} contents" in said
    after = fingerprint(mnt)
    good = {k.removesuffix(".locked"): v for k, v in after.items()
            if v[0] == before[k.removesuffix(".locked")][0]}
    assert len(good) >= kept
    assert {k: v[0] for k, v in good.items()} == \
        {k: v[0] for k, v in before.items() if k in good}
    bad = quarantined(signed_in)
    assert len(bad) == kept
    assert all(data.endswith(b"!") for data in bad.values())


def lock_copy(path):
    """A locked copy, then the original goes."""
    path.with_name(path.name + ".locked").write_bytes(path.read_bytes()[::-1])
    path.unlink()


def rename_over(path):
    new = path.with_name("." + path.name + ".tmp")
    new.write_bytes(b"bad " + path.read_bytes())
    new.rename(path)


def make_anew(path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(b"bad " + data)


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(b"bad " + data)


@pytest.mark.parametrize("harm", some(lock_copy, rename_over, make_anew,
                                      truncate))
def test_ways_to_do_harm(signed_in, mnt, graphd, harm):
    """Slowly enough for all of it to be sent, were it not held. The machine
    dies in between, twice. In the end undo leaves at least half as it was,
    without one bad byte, and what was written is kept."""
    fill(mnt, signed_in)
    before = fingerprint(mnt)
    for i in range(FILES):
        harm(mnt / f"tree/{i}.txt")
        if i % 8 == 7:
            signed_in.run("flush", "--timeout", 60, timeout=80)
        if i in (17, 30):
            mnt.kill()
            mnt.start()
            mnt.wait_mounted()
    flush_is_held(signed_in)
    entry = held(signed_in)
    count = entry["deletes"] + entry["overwrites"]
    # Half of 41 are let through at the most; 16 surely went before.
    assert FILES - 20 <= count <= FILES - 16
    undo(signed_in)
    after = fingerprint(mnt)
    same = [k for k, v in before.items() if after.get(k) == v]
    assert len(same) == count
    bad = quarantined(signed_in)
    if harm is lock_copy:
        assert not bad
        assert sum(k.endswith(".locked") for k in after) == FILES
    else:
        assert len(bad) == count
        assert all(v.startswith(b"bad ") for v in bad.values())
    # The next one counts anew.
    for k in same[:5]:
        (mnt / k).unlink()
    signed_in.flush()
    assert len(fingerprint(mnt)) == len(after) - 5


def test_copying_in_is_free(signed_in, mnt):
    """However much: nothing is lost by it."""
    (mnt / "f").write_bytes(b"1")
    signed_in.flush()
    (mnt / "f").write_bytes(b"2")
    fill(mnt, signed_in, n=100)
    for i in range(25):
        (mnt / f"tree/{i}.txt").write_bytes(b"edited")
    signed_in.flush()
    assert not held(signed_in)


def test_unmounted_and_back(signed_in, mnt, graphd):
    """What is held does not keep the process; it is still held afterwards,
    and a second wave does not get by it."""
    fill(mnt, signed_in)
    there = graphd.tree()
    shutil.rmtree(mnt / "tree")
    flush_is_held(signed_in)
    signed_in.run("umount", mnt.path, check=program.HELD)
    done = signed_in.run("status", "--json", check=program.FAILED)
    assert '"not-running"' in done.stdout and '"outgoing"' in done.stdout
    done = signed_in.run("status", check=program.FAILED)
    assert f"{FILES + 1} deletes, not sent" in done.stdout
    mnt.start()
    mnt.wait_mounted()
    flush_is_held(signed_in)
    signed_in.run("undo", "--yes", "incoming", check=0)
    assert held(signed_in)
    undo(signed_in, "outgoing")
    assert graphd.tree() == there
    assert len(os.listdir(mnt / "tree")) == FILES


def test_in_use(signed_in, mnt):
    """A program that still writes keeps what it writes held."""
    fill(mnt, signed_in)
    with open(mnt / "tree/3.txt", "r+b") as f:
        f.write(b"open!")
        f.flush()
        os.fsync(f.fileno())
        for i in range(10, FILES):
            (mnt / f"tree/{i}.txt").unlink()
        flush_is_held(signed_in)
        done = signed_in.run("undo", "--yes", check=program.HELD)
        assert "1 are in use" in done.stderr
        assert held(signed_in) and len(os.listdir(mnt / "tree")) == FILES
    undo(signed_in)
    assert (mnt / "tree/3.txt").read_bytes() == b"content 3"
    assert list(quarantined(signed_in).values()) == [b"open!nt 3"]


def test_off(signed_in, graphd):
    mount = signed_in.mount("--hold-after", "off", name="off")
    fill(mount, signed_in)
    shutil.rmtree(mount / "tree")
    signed_in.flush()
    assert not held(signed_in)


# ---- the other way ----------------------------------------------------------


def all_deleted(graphd, how):
    """What another device, or an accident there, can do to the tree."""
    if how == "files":
        with graphd.hidden_from_delta():
            for i in range(FILES):
                graphd.delete(f"tree/{i}.txt")
    elif how == "folder":
        graphd.delete("tree")
    elif how == "moved out":
        raw = getattr(graphd, "raw_path", str)("tree")
        graphd._change("move", raw, to="/elsewhere")
    elif how == "one by one":
        for i in range(FILES):
            graphd.delete(f"tree/{i}.txt")
    else:
        with graphd.hidden_from_delta():
            graphd.delete("tree")
            graphd.delta_gone(how)


def wait_held_in(machine):
    machine.wait_status(lambda s: any(h["direction"] == "incoming"
                                      for h in s["held"]),
                        what="the held deletes")
    return held(machine, "incoming")


@pytest.mark.fault(68)
@pytest.mark.parametrize("how", some("folder", "one by one", "apply", "files",
                                     "moved out", of=2))
def test_deleted_there(signed_in, mnt, graphd, how):
    """Nothing goes here, through a death of the program and with other
    changes around; once approved it goes."""
    fill(mnt, signed_in)
    (mnt / "other").write_bytes(b"other")
    signed_in.flush()
    if how == "apply":  # what was sent a moment ago is not believed to be gone
        signed_in.run("umount", mnt.path, check=0)
        mnt.wait_end()
        signed_in.wipe()
        mnt.start()
        mnt.wait_mounted()
        signed_in.wait_status(lambda s: s["listed"], what="the listing")
    before = fingerprint(mnt)
    all_deleted(graphd, how)
    kept = FILES if how != "one by one" else FILES // 2
    proc.wait_until(lambda: wait_held_in(signed_in)["deletes"] >= kept, 20,
                    "all of them")
    mnt.kill()
    mnt.start()
    mnt.wait_mounted()
    graphd.rename("other", "news")
    proc.wait_until(lambda: (mnt / "news").exists(), 20, "other changes")
    assert held(signed_in, "incoming")
    now = fingerprint(mnt)
    assert sum(now.get(k) == v for k, v in before.items()) >= kept
    assert "deletes on OneDrive" in signed_in.run("status", check=0).stdout
    signed_in.run("approve", "--yes", check=0)
    proc.wait_until(lambda: not names(mnt / "tree"), 20, "the deletes")
    assert not held(signed_in, "incoming")
    assert (mnt / "news").read_bytes() == b"other"
    signed_in.flush()
    assert not any(p.startswith("tree/") for p in graphd.files())


@pytest.mark.fault(68)
@pytest.mark.parametrize("how", some("files", "apply", "folder", "moved out",
                                     of=1))
def test_deleted_there_undone(signed_in, mnt, graphd, how):
    """What is here is uploaded anew; what never was is said to be lost, and
    comes back if it does there."""
    fill(mnt, signed_in)
    (mnt / "tree/sub").mkdir()
    before = fingerprint(mnt)
    signed_in.flush()
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    signed_in.wipe()  # nothing is here any more...
    mnt.start()
    mnt.wait_mounted()
    read = random.Random(5).sample(range(FILES), 8)
    for i in read:  # ...but this, in no order: not all is read ahead
        (mnt / f"tree/{i}.txt").read_bytes()
    signed_in.wait_status(lambda s: s["listed"], what="the listing")
    all_deleted(graphd, how)
    wait_held_in(signed_in)
    said = undo(signed_in, "incoming")
    after = fingerprint(mnt)
    assert after == {k: v for k, v in before.items() if k in after}
    assert {f"tree/{i}.txt" for i in read} <= set(after) == set(graphd.files())
    lost = FILES - len(after)
    assert lost and f"{lost} were not wholly on this machine" in said
    if how != "files":
        assert (mnt / "tree/sub").is_dir()
    # Uploaded, they are like all others.
    (mnt / f"tree/{read[0]}.txt").write_bytes(b"new")
    (mnt / f"tree/{read[1]}.txt").unlink()
    signed_in.flush()
    assert graphd.read(f"tree/{read[0]}.txt") == b"new"
    assert len(graphd.files()) == len(after) - 1


def test_work_goes_on_meanwhile(signed_in, mnt, graphd):
    """What is put into, changed in and moved out of a folder whose delete is
    held is kept, and sent when that is decided."""
    fill(mnt, signed_in)
    graphd.delete("tree")
    wait_held_in(signed_in)
    (mnt / "tree/new").write_bytes(b"new")
    (mnt / "tree/sub").mkdir()
    (mnt / "tree/1.txt").write_bytes(b"changed")
    (mnt / "tree/2.txt").rename(mnt / "2.txt")
    (mnt / "tree/3.txt").unlink()
    (mnt / "beside").write_bytes(b"beside")
    flush_is_held(signed_in)
    assert graphd.read("beside") == b"beside"
    signed_in.run("approve", "--yes", check=0)
    proc.wait_until(lambda: not (mnt / "tree/0.txt").exists(), 20,
                    "the deletes")
    signed_in.flush()
    assert {k: v[0] for k, v in fingerprint(mnt).items()} == {
        "tree/new": b"new", "tree/1.txt": b"changed", "2.txt": b"content 2",
        "beside": b"beside"}
    assert set(graphd.files()) == set(fingerprint(mnt))


# ---- append only -------------------------------------------------------------


def refused(call, *args, **kw):
    with pytest.raises(PermissionError) as e:
        call(*args, **kw)
    assert e.value.errno == errno.EPERM


@pytest.mark.mount_options("--append-only", "--write-back-delay", "2s")
def test_append_only(signed_in, mnt, graphd):
    """What was sent stays as it is, whatever is tried; what is new goes on."""
    (mnt / "d/sub").mkdir(parents=True)
    for name in ("d/a", "d/b", "c"):
        (mnt / name).write_bytes(name.encode())
    signed_in.flush()
    there = graphd.tree()
    (mnt / "new").write_bytes(b"new")
    a, b = mnt / "d/a", mnt / "d/b"
    refused(a.unlink)
    refused((mnt / "d/sub").rmdir)
    refused(shutil.rmtree, mnt / "d")
    refused(os.rename, mnt / "new", a)
    refused(os.rename, b, a)
    refused(os.truncate, a, 0)
    refused(os.truncate, a, 100)
    for mode in ("wb", "r+b", "ab"):
        refused(open, a, mode)
    fd = os.open(a, os.O_RDONLY)
    refused(os.open, f"/proc/self/fd/{fd}", os.O_WRONLY)
    os.close(fd)
    assert a.read_bytes() == b"d/a"
    # A file that is new is written, renamed, removed as one likes.
    with open(mnt / "log", "wb") as f:
        f.write(b"one")
        f.flush()
        os.truncate(mnt / "log", 0)
        os.pwrite(f.fileno(), b"two", 0)
    (mnt / "t").write_bytes(b"temporary")
    (mnt / "t").unlink()
    # A free name, modes and times are no harm.
    b.rename(mnt / "d/sub/b")
    (mnt / "c").chmod(0o600)
    os.utime(mnt / "c", (1, 1))
    signed_in.flush()
    refused((mnt / "log").write_bytes, b"three")
    now = graphd.files()
    assert set(now) == {"d/a", "d/sub/b", "c", "new", "log"}
    assert graphd.read("log") == b"two"
    assert now["d/a"]["id"] == there["d/a"]["id"]


@pytest.mark.mount_options("--append-only", "--write-back-delay", "2s")
def test_append_only_put(signed_in, mnt, base):
    """put sends what is new, with the mount and without."""
    source = base / "source"
    env = {"NMBACKUPFS_APPEND_ONLY": "yes"}
    for mounted in (True, False):
        source.write_bytes(b"first %d" % mounted)
        name = f"n{mounted}"
        signed_in.run("put", source, "--as", name, check=0, env=env)
        source.write_bytes(b"second")
        done = signed_in.run("put", source, "--as", name, env=env,
                             check=program.FAILED)
        assert name in done.stderr
        if mounted:
            assert (mnt / name).read_bytes() == b"first 1"
            signed_in.run("umount", mnt.path, check=0)
    signed_in.run("get", "nFalse", "-o", base / "out", check=0)
    assert (base / "out").read_bytes() == b"first 0"


@pytest.mark.skipif(not FULL, reason="takes half a minute (check-all)")
def test_thousands(signed_in, mnt, graphd):
    """Flush says what is true at once, before and after a decision."""
    for d in range(60):
        fill(mnt, signed_in, f"d{d}", 50)
    there = set(graphd.files())
    for d in range(60):
        shutil.rmtree(mnt / f"d{d}")
    assert "3060 deletes" in flush_is_held(signed_in)
    undo(signed_in)
    assert set(graphd.files()) == there == set(fingerprint(mnt))
    for d in range(60):
        shutil.rmtree(mnt / f"d{d}")
    flush_is_held(signed_in)
    signed_in.run("approve", "--yes", check=0)
    signed_in.flush()
    assert not graphd.files()


@pytest.mark.mount_options("--hold-after", "5/1h")
def test_names_that_are_taken(signed_in, mnt, graphd):
    """What comes back finds its name taken: nothing is lost by that, and what
    was moved away from it stays where it went."""
    fill(mnt, signed_in, "a", 8)
    fill(mnt, signed_in, "b", 8, b"other")
    before = {v[0] for v in fingerprint(mnt).values()}
    for i in range(8):
        # One that is on the server, too, a new one, a folder, a moved one.
        if i < 3:
            os.rename(mnt / f"b/{i}.txt", mnt / f"a/{i}.txt")
        elif i < 5:
            (mnt / f"a/{i}.txt").unlink()
            (mnt / f"a/{i}.txt").write_bytes(b"new %d" % i)
        elif i < 7:
            (mnt / f"a/{i}.txt").unlink()
            (mnt / f"a/{i}.txt").mkdir()
            (mnt / f"a/{i}.txt/in").write_bytes(b"in %d" % i)
        else:
            (mnt / f"a/{i}.txt").rename(mnt / "moved")
            (mnt / f"a/{i}.txt").write_bytes(b"in its place")
    (mnt / "b/7.txt").unlink()
    flush_is_held(signed_in)
    undo(signed_in)
    after = fingerprint(mnt)
    contents = {v[0] for v in after.values()} | \
        set(quarantined(signed_in).values())
    assert contents >= before | {b"new 3", b"new 4", b"in 5", b"in 6",
                                 b"in its place"}
    assert after["moved"][0] == b"content 7"
    assert after["b/7.txt"][0] == b"other 7"
    assert set(after) == set(graphd.files())
    assert {k: graphd.read(k) for k in after} == \
        {k: v[0] for k, v in after.items()}
    assert not any("nmbackupfs-aside" in k for k in graphd.files())


@pytest.mark.mount_options("--hold-after", "5/1h")
def test_changed_there_while_held(signed_in, mnt, graphd):
    """Another device goes on with what is held here."""
    fill(mnt, signed_in, n=12)
    for i in range(6):
        (mnt / f"tree/{i}.txt").write_bytes(b"bad %d" % i)
    for i in range(6, 12):
        (mnt / f"tree/{i}.txt").unlink()
    flush_is_held(signed_in)
    graphd.rename("tree/0.txt", "tree/zero.txt")
    graphd.delete("tree/1.txt")
    graphd.rename("tree/6.txt", "tree/six.txt")
    graphd.delete("tree/7.txt")
    proc.wait_until(lambda: {"six.txt"} <= set(names(mnt / "tree")), 20,
                    "what was renamed there")
    signed_in.run("undo", "--yes", check=0)
    signed_in.flush()
    after = {k: v[0] for k, v in fingerprint(mnt).items()}
    good = {f"tree/{i}.txt": b"content %d" % i
            for i in range(12) if i not in (0, 1, 6, 7)}
    assert {k: after[k] for k in good} == good
    assert after["tree/six.txt"] == b"content 6"
    assert after["tree/zero.txt"] == b"content 0"
    assert after["tree/1.txt"] == b"bad 1"  # changed here: new again
    assert {k: graphd.read(k) for k in graphd.files()} == after


@pytest.mark.fault(60)
@pytest.mark.parametrize("lost", some("state.db*", "*"))
def test_database_lost(signed_in, mnt, graphd, lost):
    """The machine knows nothing any more: what it does not have it never
    deletes there, not even what a program here had removed before."""
    fill(mnt, signed_in)
    there, before = graphd.tree(), graphd.requests().get("delete", 0)
    (mnt / "tree/5.txt").unlink()  # not sent yet
    mnt.kill()
    state = signed_in.state / "nmbackupfs/default"
    gone = list(state.glob(lost))
    assert gone
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    mnt.start()
    mnt.wait_mounted()
    assert len(os.listdir(mnt / "tree")) == FILES
    signed_in.wait_status(lambda s: s["listed"], what="the listing")
    (mnt / "tree/3.txt").write_bytes(b"goes on")
    signed_in.flush()
    now = graphd.tree()
    assert {k: v["id"] for k, v in now.items()} == \
        {k: v["id"] for k, v in there.items()}
    assert (mnt / "tree/4.txt").read_bytes() == b"content 4"
    assert graphd.requests().get("delete", 0) == before
