"""Goal: the feed of changes may come late, doubled, out of order, start anew or
keep things back (facts/graph.md 7): the same end state, nothing lost."""

import errno
import os
import time

import pytest

from kit import proc, trees
from test_remote import appears

pytestmark = pytest.mark.configs("personal", "work")
FULL = bool(os.environ.get("NMB_TEST_FULL"))


@pytest.fixture(autouse=True)
def often(machine):
    """What has to wait for some rounds waits for less."""
    machine.env["NMBACKUPFS_POLL_INTERVAL"] = "300ms"


def vanishes(path):
    proc.wait_until(lambda: not path.exists(), 20, f"the end of {path}")


def polls(graphd, count=2):
    """The feed was read that often, begun after now."""
    graphd.mark()
    graphd.wait_request("delta", more=count)


def lose_tombstone(graphd, path):
    graphd.lose_tombstone(path)
    graphd.delete(path)


def log_of(machine):
    return machine.log.read_text(errors="replace")


# ---- when it is asked -------------------------------------------------------

@pytest.mark.mount_options("--poll-interval", "1h")
def test_asked_at_once_after_mount(signed_in, mnt, graphd):
    """And then not before its time: 1 h here, 60 s by default."""
    graphd.put("before", b"1")
    signed_in.run("status")
    time.sleep(1.5)
    assert not (mnt / "before").exists()
    mnt.unmount()
    graphd.put("meanwhile", b"2")
    mnt = signed_in.mount("--poll-interval", "1h")
    appears(mnt / "meanwhile", b"2")
    assert (mnt / "before").read_bytes() == b"1"
    help_text = signed_in.run("--help").stdout
    assert "--poll-interval" in help_text and "60s" in help_text


# ---- order, doubles, delay --------------------------------------------------

@pytest.mark.fault(67)
@pytest.mark.parametrize("quirks", [
    {"delta_child_first": 1, "page_size": 3},
    {"delta_repeat": 1, "delta_unchanged": 20, "page_size": 7},
    {"delta_child_first": 1, "delta_repeat": 2, "empty_page_every": 2,
     "page_size": 5},
])
def test_any_order(signed_in, graphd, quirks):
    """Children before their folder, items three times, empty pages, what was
    deleted and made anew under its name: as if in order."""
    mnt = signed_in.mount()
    mnt.wait_listed()
    (mnt / "old").mkdir()
    for i in range(5):
        (mnt / f"old/{i}").write_bytes(b"old %d" % i)
    signed_in.flush()
    polls(graphd)
    graphd.quirk(**quirks)
    with graphd.hidden_from_delta():
        for i in range(12):
            graphd.put(f"a/b/c{i % 4}/f{i}", b"%d" % i)
        graphd.rename("a/b/c1", "a/moved")
        for i in range(3):
            graphd.delete(f"old/{i}")
            graphd.put(f"old/{i}", b"new %d" % i)
        graphd.rename("old/3", "a/3")
        graphd.put("old/3", b"in its place")
        for text in (b"one", b"two", b"three, the last"):
            graphd.put("thrice", text)
    appears(mnt / "thrice", b"three, the last")
    want = {path: graphd.read(path) for path in graphd.files()}
    assert len(want) == 12 + 5 + 2
    proc.wait_until(lambda: {str(p.relative_to(mnt.path)): p.read_bytes()
                             for p in mnt.path.rglob("*") if p.is_file()}
                    == want, 20, "all as on the server")
    assert signed_in.status()["pending_changes"] == 0


def test_pages_that_fail(signed_in, graphd):
    """The same page is asked for again (504 on a large drive); none is lost."""
    for i in range(20):
        graphd.put(f"d{i % 4}/{i}", b"%d" % i)
    graphd.quirk(page_size=4)
    fails = graphd.fault({"class": "delta", "target": "token="}, times=2,
                         skip=2, status=504)
    mnt = signed_in.mount()
    graphd.wait_fault(fails, times=2)
    for i in range(20):
        appears(mnt / f"d{i % 4}/{i}", b"%d" % i)
    proc.wait_until(lambda: "full=1 done" in log_of(signed_in), 20, "its end")
    polls(graphd)
    assert log_of(signed_in).count("full=1 done") == 1


@pytest.mark.fault(74)
def test_feed_shows_what_was_before(signed_in, mnt, graphd):
    """It lags behind our own writes, renames and deletes: none is undone."""
    for name in ("f", "g", "h"):
        (mnt / name).write_bytes(b"base " + name.encode())
    (mnt / "d").mkdir()
    signed_in.flush()
    polls(graphd)
    graphd.quirk(delta_lag_ms=3_600_000, delta_stale=1)
    (mnt / "f").write_bytes(b"written")
    os.rename(mnt / "g", mnt / "renamed")
    (mnt / "h").unlink()
    (mnt / "new").write_bytes(b"not in the feed yet")
    os.rename(mnt / "d", mnt / "e")
    signed_in.flush()
    want = trees.describe(mnt.path)
    polls(graphd, 3)
    assert trees.describe(mnt.path) == want
    graphd.delta_gone()  # a listing that lacks them, too
    polls(graphd, 4)
    assert trees.describe(mnt.path) == want
    assert {n: graphd.read(n) for n in graphd.files()} == \
        {"f": b"written", "renamed": b"base g", "new": b"not in the feed yet"}
    graphd.quirk(delta_lag_ms=0, delta_stale=0)
    polls(graphd, 3)
    assert trees.describe(mnt.path) == want
    assert sorted(graphd.names()) == ["e", "f", "new", "renamed"]


@pytest.mark.fault(90)
def test_parents_in_a_ring(signed_in, mnt, graphd):
    """New folders that lie in each other or in themselves are no part of ours;
    one of ours that is said to lie in what lies in it stays where it is. All
    else goes on."""
    graphd.put("a/b/f", b"f")
    appears(mnt / "a/b/f", b"f")
    a, b = graphd.item("a"), graphd.item("a/b")

    def folder(which, parent, name, etag='"{0},7"'):
        return {"id": which, "name": name, "eTag": etag, "folder": {},
                "parentReference": {"id": parent}}
    lie = {"value": [folder("X1", "X2", "x1"), folder("X2", "X1", "x2"),
                     folder("X3", "X3", "x3"), folder(a["id"], b["id"], "a"),
                     folder(b["id"], b["id"], "b")],
           "@odata.deltaLink":
               graphd.graph_url + "/me/drive/root/delta?token=latest"}
    graphd.fault("delta", body=lie)
    graphd.wait_fault()
    polls(graphd)
    graphd.put("after", b"after")
    appears(mnt / "after", b"after")
    assert sorted(trees.describe(mnt.path)) == ["a", "a/b", "a/b/f", "after"]
    assert log_of(signed_in).count("lies in itself") == 2
    (mnt / "a/b/f").write_bytes(b"written")
    (mnt / "a/b/g").write_bytes(b"g")
    signed_in.flush()
    assert graphd.read("a/b/f") == b"written" and graphd.read("a/b/g") == b"g"
    polls(graphd, 3)
    assert log_of(signed_in).count("lies in itself") == 2


def test_moved_out_and_in(signed_in, mnt, graphd):
    """What leaves our folder is gone here, unsent things in it are not; what
    comes in brings what lies in it."""
    graphd.put("d/e/f", b"f")
    graphd.put("outside/x/y", b"y", folder="")
    appears(mnt / "d/e/f", b"f")
    graphd.rename("nmbackupfs/d", "d outside", folder="")
    graphd.rename("outside/x", "nmbackupfs/x", folder="")
    vanishes(mnt / "d")
    appears(mnt / "x/y", b"y")
    graphd.stop()
    (mnt / "x/mine").write_bytes(b"unsent")
    graphd.start()
    graphd.rename("nmbackupfs/x", "x outside", folder="")
    signed_in.flush()
    proc.wait_until(lambda: b"unsent" in [
        graphd.read(n) for n in graphd.files()] or
        graphd.item("x outside/mine", folder="", missing_ok=True), 20,
        "the unsent file")
    vanishes(mnt / "x/y")


# ---- it starts anew ---------------------------------------------------------

@pytest.mark.fault(66)
@pytest.mark.parametrize("how", ["apply", "upload"])
@pytest.mark.parametrize("location", [True, False][:2 if FULL else 1])
def test_gone(signed_in, mnt, graphd, how, location):
    """410: all is listed anew. "Apply": what is not there any more is deleted
    here. "Upload": the service may have lost it, it is sent again. What is
    unsent stays either way."""
    for name in ("kept", "lost", "d/lost too"):
        trees.write(mnt / name, name.encode())
    signed_in.flush()
    polls(graphd)
    signed_in.age_ledger()  # what was sent just now is not taken for deleted
    graphd.quirk(delta_no_location=not location)
    graphd.stall({"class": "put"})
    (mnt / "unsent").write_bytes(b"unsent")
    lose_tombstone(graphd, "lost")
    lose_tombstone(graphd, "d")
    graphd.delta_gone(how)
    graphd.put("new", b"new")
    appears(mnt / "new", b"new")
    if how == "apply":
        vanishes(mnt / "lost")
        vanishes(mnt / "d")
    graphd.clear_faults()
    signed_in.flush()
    names = {"kept", "unsent", "new"}
    if how == "upload":
        names |= {"lost", "d/lost too"}
    proc.wait_until(lambda: set(graphd.files()) == names, 20,
                    f"{names} on the server")
    assert {n for n, row in trees.describe(mnt.path).items()
            if len(row) > 1} == names
    for name in names:
        assert (mnt / name).read_bytes() == graphd.read(name)


@pytest.mark.configs("personal-vault")
def test_killed_while_it_starts_anew(signed_in, mnt, graphd):
    """It goes on where it was, and forgets nothing of what it was told before:
    a folder with a stranger's file in it can't be removed."""
    (mnt / "folder").mkdir()
    for i in range(6):
        (mnt / f"f{i}").write_bytes(b"x")
    signed_in.flush()
    graphd.raw.put(graphd.raw_path("folder") + "/notes.txt", b"notes")
    for i in range(6):
        (mnt / f"g{i}").write_bytes(b"x")
    signed_in.flush()
    polls(graphd)
    graphd.quirk(page_size=8)
    graphd.fault({"class": "delta", "target": "token="}, skip=2, times=1,
                 stall_ms=3_600_000)
    graphd.delta_gone()
    graphd.wait_fault()
    mnt.kill()
    graphd.clear_faults()
    mnt = signed_in.mount()
    polls(graphd, 3)
    with pytest.raises(OSError) as e:
        os.rmdir(mnt / "folder")
    assert e.value.errno == errno.ENOTEMPTY
    assert graphd.raw.read(graphd.raw_path("folder") + "/notes.txt") == b"notes"
    assert len(os.listdir(mnt.path)) == 13


# ---- which feed there is ----------------------------------------------------

def changes_come(machine, mnt, graphd):
    graphd.put("a/b/new", b"new")
    appears(mnt / "a/b/new", b"new")
    graphd.rename("a/b", "c")
    appears(mnt / "c/new")
    (mnt / "c/mine").write_bytes(b"mine")
    machine.flush()
    graphd.delete("c/new")
    vanishes(mnt / "c/new")
    assert graphd.read("c/mine") == b"mine" == (mnt / "c/mine").read_bytes()


def feeds_of(machine):
    log = log_of(machine)
    return {"folder": log.count("/delta host=") - log.count("root/delta host="),
            "drive": log.count("root/delta host=")}


@pytest.mark.parametrize("why", ["flaky", "refused", ""][:3 if FULL else 2])
def test_feed_of_the_folder_or_the_drive(signed_in, graphd, why):
    """Of our folder where the service has it (personal), of the drive
    elsewhere, and where the other does not work."""
    if why == "refused":
        graphd.quirk(folder_delta=0)
    if why == "flaky":
        graphd.fault({"class": "delta", "target": "token="}, times=3, status=410,
                     code="resyncRequired")
    mnt = signed_in.mount()
    mnt.wait_listed()
    if why == "flaky":
        graphd.wait_fault(times=3)
    changes_come(signed_in, mnt, graphd)
    feeds = feeds_of(signed_in)
    assert (feeds["folder"] > 0) == (graphd.kind == "personal")
    assert (feeds["drive"] > 0) == (graphd.kind == "work" or why != "")
    mnt.unmount()
    mnt = signed_in.mount()
    polls(graphd)
    if why:  # a restart knows that
        assert feeds_of(signed_in)["folder"] == feeds["folder"]


def test_no_feed_at_all(signed_in, graphd):
    """As in some national clouds: all folders are listed."""
    refused = graphd.fault("delta", times=0, status=501, code="notSupported")
    graphd.put("was/here/f", b"f")
    mnt = signed_in.mount()
    appears(mnt / "was/here/f", b"f")
    signed_in.age_ledger()
    changes_come(signed_in, mnt, graphd)
    assert graphd.fired(refused)
    assert {n: (mnt / n).read_bytes() for n in graphd.files()} == \
        {"c/mine": b"mine", "was/here/f": b"f"}


# ---- what the feed keeps back -----------------------------------------------

@pytest.mark.mount_options("--reconcile-interval", "3s")
def test_lost_tombstones_are_found(signed_in, mnt, graphd):
    for name in ("stays", "goes", "d/goes too", "written"):
        trees.write(mnt / name, b"base")
    signed_in.flush()
    signed_in.age_ledger()  # what was sent just now is not taken for deleted
    for name in ("goes", "d", "written"):
        lose_tombstone(graphd, name)
    (mnt / "written").write_bytes(b"written here")
    vanishes(mnt / "goes")
    vanishes(mnt / "d")
    signed_in.flush()
    proc.wait_until(lambda: set(graphd.files()) == {"stays", "written"}, 20,
                    "the written file")
    assert graphd.read("written") == b"written here"
    assert (mnt / "stays").read_bytes() == b"base"
    assert "though the feed did not say so" in log_of(signed_in)


def test_reconciled_once_in_its_time(signed_in, graphd):
    """A restart neither skips it nor does it again."""
    def times():
        return log_of(signed_in).count("delta reconcile=now")
    mnt = signed_in.mount("--reconcile-interval", "1h")
    mnt.wait_listed()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    for _ in range(2):
        polls(graphd, 2)
        mnt.unmount()
        mnt = signed_in.mount("--reconcile-interval", "1h")
    polls(graphd, 2)
    assert times() == 0
    mnt.unmount()
    mnt = signed_in.mount("--reconcile-interval", "1s")
    proc.wait_until(lambda: times() == 1, 20, "one")
    mnt.kill()
    mnt = signed_in.mount("--reconcile-interval", "1h")
    polls(graphd, 3)
    assert times() == 1
    assert (mnt / "f").read_bytes() == b"f"


@pytest.mark.fault(68)
@pytest.mark.mount_options("--reconcile-interval", "3s", "--hold-after",
                           "20:50%")
def test_many_lost_tombstones_are_held(signed_in, mnt, graphd):
    """What is more than half of all is not removed without a word, whichever
    way it was found out."""
    for i in range(30):
        trees.write(mnt / f"d{i % 3}/{i}", b"x")
    signed_in.flush()
    signed_in.age_ledger()
    for i in range(3):
        lose_tombstone(graphd, f"d{i}")
    signed_in.wait_status(lambda s: s["held"], 30, "a word about it")
    assert len([p for p in mnt.path.rglob("*") if p.is_file()]) == 30


@pytest.mark.plain("the kit seals for nobody")
def test_folders_come_with_what_lies_in_them(signed_in, mnt, graphd):
    """They are not listed one by one, as one moved in from outside is."""
    before = graphd.requests().get("children", 0)
    for i in range(20):
        graphd.put(f"new{i}/sub/f", b"%d" % i)
    for i in range(20):
        appears(mnt / f"new{i}/sub/f", b"%d" % i)
    assert graphd.requests().get("children", 0) - before <= 5


# ---- what programs see ------------------------------------------------------

@pytest.mark.fault(100)
def test_open_directory_and_files(signed_in, mnt, graphd):
    """An open directory, a name that was looked for in vain and a directory
    that a program is in show what another device did; an open file keeps the
    version it opened, until it is closed."""
    graphd.put("d/f", b"version one")
    graphd.put("d/gone", b"gone")
    appears(mnt / "d/gone")
    assert not (mnt / "d/new").exists()
    fd = os.open(mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    assert sorted(os.listdir(fd)) == ["f", "gone"]
    with open(mnt / "d/f", "rb", buffering=0) as f:
        assert f.read(7) == b"version"
        graphd.put("d/f", b"version two is longer")
        graphd.put("d/new", b"new")
        graphd.delete("d/gone")
        proc.wait_until(lambda: sorted(os.listdir(fd)) == ["f", "new"], 20,
                        "the new listing")
        assert os.stat("new", dir_fd=fd).st_size == 3
        appears(mnt / "d/f", b"version two is longer")
        assert f.read() == b" one"
        assert os.fstat(f.fileno()).st_size == 11
        f.seek(0)
        assert f.read() == b"version one"
    assert (mnt / "d/f").read_bytes() == b"version two is longer"
    graphd.rename("d", "e")
    proc.wait_until(lambda: os.listdir(mnt.path) == ["e"], 20, "e")
    assert sorted(os.listdir(fd)) == ["f", "new"]
    os.close(fd)
