"""Goal: other devices change things too; both sides end equal, nothing lost."""

import os

import pytest

from kit import proc, trees

pytestmark = pytest.mark.configs("personal", "work")


def appears(path, data=None):
    proc.wait_until(lambda: path.exists() and
                    (data is None or path.read_bytes() == data),
                    20, str(path))


def test_new_changed_renamed_deleted(mnt, graphd):
    graphd.put("dir/new", b"new")
    appears(mnt / "dir/new", b"new")
    graphd.put("dir/new", b"changed, and longer")
    appears(mnt / "dir/new", b"changed, and longer")
    ino = (mnt / "dir/new").stat().st_ino
    graphd.rename("dir/new", "dir/renamed")
    appears(mnt / "dir/renamed")
    assert not (mnt / "dir/new").exists()
    assert (mnt / "dir/renamed").stat().st_ino == ino
    graphd.rename("dir", "moved")
    appears(mnt / "moved/renamed", b"changed, and longer")
    graphd.delete("moved")
    proc.wait_until(lambda: os.listdir(mnt.path) == [], 20, "the delete")


def test_open_file_keeps_its_version(mnt, graphd):
    """The next open sees the new one."""
    graphd.put("f", b"version one")
    appears(mnt / "f")
    with open(mnt / "f", "rb") as f:
        assert f.read() == b"version one"
        graphd.put("f", b"version two, longer than one")
        appears(mnt / "f", b"version two, longer than one")
        f.seek(0)
        assert f.read() == b"version one"


@pytest.mark.fault(71)
def test_changed_on_both_sides(signed_in, mnt, graphd):
    """Both survive; the local one gets a name that says so."""
    (mnt / "f.txt").write_bytes(b"base")
    signed_in.flush()
    with graphd.hidden_from_delta():
        graphd.put("f.txt", b"theirs")
        (mnt / "f.txt").write_bytes(b"ours")
        signed_in.flush()
        assert "status=412" in signed_in.log.read_text(errors="replace")
    proc.wait_until(lambda: len(os.listdir(mnt.path)) == 2, 20, "both")
    signed_in.flush()
    contents = {p.read_bytes(): p.name for p in mnt.path.iterdir()}
    assert set(contents) == {b"ours", b"theirs"}
    assert contents[b"theirs"] == "f.txt"
    assert "conflict" in contents[b"ours"] and contents[b"ours"].endswith(".txt")
    assert {graphd.read(n) for n in graphd.files()} == {b"ours", b"theirs"}


def test_deleted_there_changed_here(signed_in, mnt, graphd):
    """The changed one is kept and uploaded anew."""
    (mnt / "f").write_bytes(b"base")
    signed_in.flush()
    graphd.delete("f")
    (mnt / "f").write_bytes(b"changed")
    signed_in.flush()
    proc.wait_until(lambda: "f" in graphd.files(), 20, "f on the server")
    assert graphd.read("f") == b"changed" == (mnt / "f").read_bytes()


def test_changed_there_deleted_here(signed_in, mnt, graphd):
    """An unseen newer version is not deleted."""
    (mnt / "f").write_bytes(b"base")
    signed_in.flush()
    with graphd.hidden_from_delta():
        graphd.put("f", b"newer")
        (mnt / "f").unlink()
        signed_in.flush()
    appears(mnt / "f", b"newer")
    assert graphd.read("f") == b"newer"


def test_same_name_on_both_sides(signed_in, mnt, graphd):
    """Created on two devices: two files, or one if the bytes are equal."""
    with graphd.hidden_from_delta():
        graphd.put("same", b"equal")
        graphd.put("diff", b"theirs")
        (mnt / "same").write_bytes(b"equal")
        (mnt / "diff").write_bytes(b"ours")
        signed_in.flush()
    proc.wait_until(lambda: len(os.listdir(mnt.path)) == 3, 20, "three files")
    assert (mnt / "same").read_bytes() == b"equal"
    assert {p.read_bytes() for p in mnt.path.iterdir()} == \
        {b"equal", b"ours", b"theirs"}


def test_folder_moved_there_while_writing_here(signed_in, mnt, graphd):
    (mnt / "d").mkdir()
    (mnt / "d/old").write_bytes(b"old")
    signed_in.flush()
    graphd.rename("d", "elsewhere")
    (mnt / "d").exists() and (mnt / "d/new").write_bytes(b"new")
    appears(mnt / "elsewhere/old")
    signed_in.flush()
    everywhere = {p.read_bytes() for p in mnt.path.rglob("*") if p.is_file()}
    assert b"old" in everywhere
    assert (mnt / "elsewhere/old").read_bytes() == b"old"


@pytest.mark.plain("test_two.py lets the second one in")
def test_two_machines(signed_in, mnt, second_machine, base):
    """What one writes the other reads, both ways, at the same time."""
    other = second_machine.mount()
    trees.make_tree(mnt / "left", seed=1, files=20, max_size=20_000)
    trees.make_tree(other / "right", seed=2, files=20, max_size=20_000)
    signed_in.flush()
    second_machine.flush()
    proc.wait_until(lambda: trees.describe(mnt.path)
                    == trees.describe(other.path), 30, "equal trees",
                    every=0.3)
    assert len([p for p in mnt.path.rglob("*") if p.is_file()]) == 40


def test_delta_trouble(signed_in, mnt, graphd):
    """Repeated items, children first, 410: the same end state."""
    graphd.quirk(delta_repeat=2, delta_child_first=1)
    for i in range(10):
        graphd.put(f"a/b{i}/c", b"%d" % i)
    for i in range(10):
        appears(mnt / f"a/b{i}/c", b"%d" % i)
    (mnt / "mine").write_bytes(b"mine")
    graphd.delta_gone()
    graphd.put("after", b"after")
    appears(mnt / "after", b"after")
    signed_in.flush()
    assert (mnt / "mine").read_bytes() == b"mine" == graphd.read("mine")


@pytest.mark.mount_options("--hold-after", "20:50%")
def test_everything_gone_is_held(signed_in, mnt, graphd):
    """A feed that reports all as deleted removes nothing here by itself."""
    for i in range(40):
        (mnt / f"{i}").write_bytes(b"x%d" % i)
    signed_in.flush()
    with graphd.hidden_from_delta():  # all in one round
        for i in range(40):
            graphd.delete(f"{i}")
    signed_in.wait_status(lambda s: s["held"],
                          what="a word about the deletes")
    assert len(os.listdir(mnt.path)) == 40
    assert (mnt / "7").read_bytes() == b"x7"


@pytest.mark.parametrize("gone", [False, True])
def test_replaced_while_it_is_fetched(signed_in, mnt, graphd, gone):
    """Written to before all of it is here, and replaced there meanwhile by
    contents of the same size: what is missing comes from the old version; if
    that is no more, the file is blocked and keeps what it has."""
    size = 56 * 2**20  # more than is asked for at a time
    base = bytearray(graphd.made(size, 1))
    graphd.put_made("f.bin", size, 1)
    appears(mnt / "f.bin")
    graphd.fault("download", times=0, bytes_per_s=2**20)
    with open(mnt / "f.bin", "r+b") as f:
        f.write(b"patched")
    base[:7] = b"patched"
    graphd.wait_request("download", more=3)
    if gone:
        graphd.destroy("f.bin")
    graphd.put_made("f.bin", size, 2)
    graphd.put_made("f.bin", size, 3)
    proc.wait_until(lambda: len(os.listdir(mnt.path)) == 2, 20, "both")
    graphd.clear_faults()
    third = trees.digest(graphd.made(size, 3))[1]
    if gone:
        blocked = signed_in.wait_status(lambda s: s["blocked"], 60,
                                        "a blocked file")["blocked"]
        assert ["conflict" in b["path"] for b in blocked] == [True]
        assert "no longer on OneDrive" in blocked[0]["reason"]
        assert trees.sha(mnt / "f.bin") == third
        return
    signed_in.flush(timeout=80)
    assert trees.sha(mnt / "f.bin") == third
    assert "replaced there, read from version" in signed_in.log.read_text()
    [ours] = [n for n in graphd.files() if n != "f.bin"]
    assert "conflict" in ours
    assert trees.digest(graphd.read(ours)) == trees.digest(base)
    assert trees.digest((mnt / ours).read_bytes()) == trees.digest(base)


@pytest.mark.fault(64)
@pytest.mark.configs("personal", "work-vault")
def test_folder_that_went_is_renamed_before_that_is_known(signed_in, mnt,
                                                          graphd):
    """The refused rename is the first to tell: somebody here wants what is in
    the folder, and in one that was moved out of it."""
    (mnt / "d/sub").mkdir(parents=True)
    (mnt / "d/x").write_bytes(b"content x")
    (mnt / "d/sub/y").write_bytes(b"content y")
    signed_in.flush()
    rule = graphd.fault({"class": "delta"}, times=0, status=503)
    graphd.wait_fault(rule)
    graphd.delete("d")
    os.rename(mnt / "d/sub", mnt / "moved")
    os.rename(mnt / "d", mnt / "e")
    wanted = {"e": None, "e/x": b"content x",
              "moved": None, "moved/y": b"content y"}
    signed_in.wait_status(lambda s: not s["pending_changes"], what="all sent")
    graphd.clear_faults()
    signed_in.flush()
    found = {str(p.relative_to(mnt.path)): None if p.is_dir() else
             p.read_bytes() for p in mnt.path.rglob("*")}
    assert found == wanted
    assert sorted(graphd.all_contents()) == [b"content x", b"content y"]
