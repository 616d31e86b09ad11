"""Goal: kill -9 at any moment loses nothing that was acknowledged.

The program dies, the dead mount is mounted over, and the server ends equal;
large uploads go on where they were, which only the server's counters prove."""

import os
import random
import shutil
import time

import pytest

from kit import proc, trees


def test_closed_files_arrive_after_a_kill(signed_in, mnt, base, graphd):
    """kill -9 in the middle of many uploads."""
    source = trees.make_tree(base / "source", seed=21, files=60)
    graphd.limit(up=3 * 2**20)
    shutil.copytree(source, mnt / "t")
    graphd.wait_upload()
    mnt.kill()
    graphd.limit(up=0)
    mnt = signed_in.mount()
    trees.assert_same(source, mnt / "t")
    signed_in.flush()
    assert not [n for n in graphd.files() if "conflict" in n]
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    trees.assert_same(source, mnt / "t")


@pytest.mark.fault(5)
@pytest.mark.configs("personal", "work")
def test_large_upload_goes_on_where_it_was(signed_in, mnt, graphd):
    """Nothing the server has confirmed is sent twice."""
    size = 60 * 2**20
    data = trees.payload("large", size)
    graphd.limit(up=20 * 2**20)
    (mnt / "large").write_bytes(data)
    proc.wait_until(lambda: graphd.bytes_up() > 25 * 2**20, what="25 MiB")
    mnt.kill()
    graphd.wait_idle()
    confirmed = graphd.session_offset()
    assert confirmed >= 10 * 2**20
    before = graphd.bytes_up()
    graphd.limit(up=0)
    sessions = graphd.requests().get("session", 0)
    signed_in.mount()
    signed_in.flush()
    assert graphd.read("large") == data
    assert graphd.requests().get("session", 0) == sessions
    assert graphd.bytes_up() - before == \
        graphd.stored_size(size) - confirmed


@pytest.mark.fault(6)
@pytest.mark.configs("personal", "work")
def test_answer_lost_at_the_last_fragment(signed_in, mnt, graphd):
    """The server took it, we died before noting it: no double, no conflict."""
    graphd.fault("fragment", skip=1, drop="after")
    (mnt / "f").write_bytes(trees.payload("f", 12 * 2**20))
    graphd.wait_fault()
    proc.wait_until(lambda: "f" in graphd.files(), 10, "the effect")
    mnt.kill()
    item = graphd.item("f")
    signed_in.mount()
    signed_in.flush()
    assert graphd.item("f")["id"] == item["id"]
    assert len(graphd.versions("f")) == 1
    assert list(graphd.files()) == ["f"]


@pytest.mark.configs("personal")
@pytest.mark.parametrize("kind", ["put", "delete", "create",
                                  "patch"])
def test_answer_lost_and_killed(signed_in, mnt, graphd, kind):
    """The effect is there, our note is not: it is recognised as ours."""
    (mnt / "old").write_bytes(b"old")
    (mnt / "gone").write_bytes(b"gone")
    signed_in.flush()
    graphd.fault(kind, drop="after")
    if kind == "put":
        (mnt / "new").touch()
    elif kind == "delete":
        (mnt / "gone").unlink()
    elif kind == "create":
        (mnt / "folder").mkdir()
    else:
        os.rename(mnt / "old", mnt / "renamed")
    graphd.wait_fault()
    mnt.kill()
    mnt = signed_in.mount()
    signed_in.flush()
    names = {p.name for p in mnt.path.iterdir()}
    assert names == set(graphd.names())
    assert not [n for n in names if "conflict" in n or " 1" in n]


@pytest.mark.fault(1)
@pytest.mark.configs("personal")
def test_kill_between_write_and_close(signed_in, mnt, graphd):
    """Old or new per byte, never garbage, a size between."""
    (mnt / "f").write_bytes(b"O" * 500_000)
    signed_in.flush()
    fd = os.open(mnt / "f", os.O_WRONLY)
    os.pwrite(fd, b"N" * 300_000, 100_000)
    mnt.kill()
    try:
        os.close(fd)
    except OSError:
        pass
    mnt = signed_in.mount()
    data = (mnt / "f").read_bytes()
    assert len(data) == 500_000
    assert set(data[:100_000]) == set(data[400_000:]) == {ord("O")}
    assert set(data) <= set(b"ON")


@pytest.mark.fault(2)
@pytest.mark.configs("personal")
def test_kill_right_after_close(signed_in, mnt, graphd):
    """Twelve rounds: listed and whole at once, uploaded later."""
    graphd.stop()
    rnd = random.Random(4)
    want = {}
    for round_ in range(12):
        name, data = f"f{round_}", rnd.randbytes(rnd.randrange(200_000))
        (mnt / name).write_bytes(data)
        want[name] = data
        if round_ % 3 == 2:
            victim = rnd.choice(sorted(want))
            os.rename(mnt / victim, mnt / f"r{round_}")
            want[f"r{round_}"] = want.pop(victim)
        mnt.kill()
        mnt = signed_in.mount()
        assert {p.name: p.read_bytes() for p in mnt.path.iterdir()} == want
    graphd.start()
    signed_in.flush()
    assert {n: graphd.read(n) for n in graphd.files()} == want


@pytest.mark.fault(4)
@pytest.mark.configs("personal")
def test_kill_during_folder_rename(signed_in, mnt, graphd):
    """1,000 children: wholly under the old or the new name."""
    (mnt / "old").mkdir()
    for i in range(1000):
        (mnt / f"old/{i}").touch()
    os.rename(mnt / "old", mnt / "new")
    mnt.kill()
    mnt = signed_in.mount()
    [name] = os.listdir(mnt.path)
    assert name in ("old", "new") and len(os.listdir(mnt / name)) == 1000


@pytest.mark.fault(8)
@pytest.mark.configs("personal")
def test_kill_during_start_ten_times(signed_in, mnt, base, graphd):
    """Recovery may be interrupted as often as it likes."""
    source = trees.make_tree(base / "source", seed=8, files=40)
    shutil.copytree(source, mnt / "t")
    mnt.kill()
    for i in range(10):
        mnt = signed_in.mount(wait=False)
        end = time.monotonic() + 0.02 * i
        proc.wait_until(lambda: time.monotonic() > end, every=0.002)
        mnt.kill()
    mnt = signed_in.mount()
    trees.assert_same(source, mnt / "t")
    signed_in.flush()
    assert len([n for n in graphd.files()]) == 40


@pytest.mark.configs("personal")
def test_unlinked_file_is_gone_after_a_kill(signed_in, mnt, graphd):
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    (mnt / "f").unlink()
    mnt.kill()
    mnt = signed_in.mount()
    assert os.listdir(mnt.path) == []
    signed_in.flush()
    assert graphd.files() == {}


@pytest.mark.configs("personal")
def test_lost_state_deletes_nothing(signed_in, mnt, graphd):
    """A lost, empty or destroyed database never means a DELETE."""
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"x%d" % i)
    signed_in.flush()
    mnt.unmount()
    deletes = graphd.requests().get("delete", 0)
    db = signed_in.state / "nmbackupfs/default/state.db"
    saved = db.read_bytes()
    for damage in (lambda: db.unlink(), lambda: db.write_bytes(b""),
                   lambda: db.write_bytes(b"not a database" * 1000),
                   lambda: db.write_bytes(saved[:4096] + bytes(4096)
                                          + saved[8192:])):
        for extra in ("-wal", "-shm"):
            (db.parent / (db.name + extra)).unlink(missing_ok=True)
        damage()
        mnt = signed_in.mount()
        assert {p.name: p.read_bytes() for p in mnt.path.iterdir()} == \
            {f"{i}": b"x%d" % i for i in range(20)}
        signed_in.flush()
        mnt.unmount()
        assert graphd.requests().get("delete", 0) == deletes
        assert len(graphd.files()) == 20


@pytest.mark.configs("personal")
def test_database_set_back(signed_in, mnt, graphd):
    """An older copy of the state: the server's facts win, nothing is lost."""
    (mnt / "a").write_bytes(b"a1")
    signed_in.flush()
    mnt.unmount()
    state = signed_in.state / "nmbackupfs/default"
    backup = signed_in.base / "backup"
    shutil.copytree(state, backup, ignore=shutil.ignore_patterns("control"))
    mnt = signed_in.mount()
    (mnt / "a").write_bytes(b"a2")
    (mnt / "b").write_bytes(b"b")
    signed_in.flush()
    mnt.unmount()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (state / name).unlink(missing_ok=True)
        if (backup / name).exists():
            shutil.copy2(backup / name, state / name)
    mnt = signed_in.mount()
    signed_in.flush()
    proc.wait_until(lambda: (mnt / "b").exists(), 20, "b")
    assert (mnt / "a").read_bytes() == b"a2"
    assert (mnt / "b").read_bytes() == b"b"
    assert graphd.read("a") == b"a2" and graphd.read("b") == b"b"
