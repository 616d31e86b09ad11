"""Goal: a vault's folder may hold what is not ours, and two devices may make
one name: nothing of it is lost, touched or hung on."""

import errno
import os
import signal
import subprocess

import pytest

from kit import proc, trees
from kit.graphd import FOLDER

pytestmark = pytest.mark.configs("personal-vault")


def error_of(call, *args):
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0


@pytest.fixture
def two(signed_in, second_machine):
    """Two members, both mounted and up to date."""
    mine = signed_in.mount()
    second_machine.env["NMBACKUPFS_LABEL"] = "second"
    second_machine.run("vault", "join", "--recovery-key",
                       signed_in.recovery_key, check=0)
    theirs = second_machine.mount()
    return signed_in, mine, second_machine, theirs


def same_view(mine, theirs, timeout=20):
    def same():
        return trees.describe(mine.path) == trees.describe(theirs.path)
    proc.wait_until(same, timeout, "one view", every=0.3)
    return sorted(trees.describe(mine.path))


# ---- what is not ours -------------------------------------------------------

def test_files_of_the_browser_are_left_alone(signed_in, mnt, graphd):
    (mnt / "folder").mkdir()
    trees.write(mnt / "folder/ours", b"ours")
    signed_in.flush()
    inside = graphd.raw_path("folder")
    graphd.raw.put("holiday.jpg", b"jpg")
    graphd.raw.put(f"{inside}/notes.txt", b"notes")
    graphd.raw.mkdir(f"{inside}/New folder")
    graphd.raw.put(f"{inside}/New folder/deep", b"deep")
    trees.write(mnt / "later", b"later")
    signed_in.flush()
    assert sorted(trees.describe(mnt.path)) == ["folder", "folder/ours",
                                                "later"]
    os.rename(mnt / "folder", mnt / "renamed")
    signed_in.flush()
    inside = graphd.raw_path("renamed")
    assert graphd.raw.read(f"{inside}/notes.txt") == b"notes"
    assert graphd.raw.read(f"{inside}/New folder/deep") == b"deep"
    assert graphd.raw.read("holiday.jpg") == b"jpg"
    assert error_of((mnt / "holiday.jpg").read_bytes) == errno.ENOENT


@pytest.mark.parametrize("way", ["deleted", "moved out"])
def test_folder_that_holds_a_strangers_file(signed_in, mnt, graphd, way):
    """Our files in it can go, it can't; and what is not ours is not touched."""
    (mnt / "folder/sub").mkdir(parents=True)
    (mnt / "empty").mkdir()
    trees.write(mnt / "folder/ours", b"ours")
    signed_in.flush()
    inside = graphd.raw_path("folder")
    graphd.raw.put(f"{inside}/notes.txt", b"notes")
    wait_for_polls(graphd, 2)
    done = subprocess.run(["rm", "-r", mnt / "folder"], check=False,
                          capture_output=True, timeout=30)
    assert b"not empty" in done.stderr
    assert error_of(os.rename, mnt / "empty", mnt / "folder") == \
        errno.ENOTEMPTY
    assert "not the vault's" in signed_in.log.read_text(errors="replace")
    signed_in.flush()
    assert graphd.names() == {"folder", "empty"}
    assert graphd.raw.read(f"{inside}/notes.txt") == b"notes"
    mnt.unmount()
    mnt = signed_in.mount()  # a restart forgets nothing
    assert error_of(os.rmdir, mnt / "folder") == errno.ENOTEMPTY
    if way == "deleted":
        graphd.raw.delete(f"{inside}/notes.txt")
    else:
        graphd.raw.rename(f"{FOLDER}/{inside}/notes.txt", "notes.txt",
                          folder="")
    proc.wait_until(lambda: not error_of(os.rmdir, mnt / "folder"), 20,
                    "the end of the file")
    signed_in.flush()
    graphd.wait_gone("folder")


def test_strangers_file_comes_into_a_removed_folder(signed_in, mnt, graphd):
    """It came before the delete was sent: the folder comes back for it."""
    (mnt / "above/folder").mkdir(parents=True)
    trees.write(mnt / "above/folder/ours", b"ours")
    signed_in.flush()
    inside = graphd.raw_path("above/folder")
    mnt.wait_listed()
    graphd.stop()
    subprocess.run(["rm", "-r", mnt / "above"], check=True, timeout=30)
    graphd.start()
    graphd.raw.put(f"{inside}/notes.txt", b"notes")
    signed_in.flush()
    assert graphd.raw.read(f"{inside}/notes.txt") == b"notes"
    assert (mnt / "above/folder").is_dir()
    assert not (mnt / "above/folder/ours").exists()
    assert set(graphd.tree()) == {"above", "above/folder"}


def test_lost_state_knows_strangers_files_again(signed_in, mnt, graphd):
    (mnt / "folder").mkdir()
    signed_in.flush()
    graphd.raw.put(graphd.raw_path("folder") + "/notes.txt", b"notes")
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    os.listdir(mnt / "folder")
    assert error_of(os.rmdir, mnt / "folder") == errno.ENOTEMPTY
    signed_in.flush()
    graphd.raw.delete(graphd.raw_path("folder") + "/notes.txt")
    graphd.delta_gone()  # and a feed that begins anew finds out its end
    proc.wait_until(lambda: not error_of(os.rmdir, mnt / "folder"), 20,
                    "the end of the file")
    signed_in.flush()
    graphd.wait_gone("folder")


def wait_for_polls(graphd, count):
    """The feed was read that often, begun after now."""
    for _ in range(count):
        graphd.mark()
        graphd.wait_request("delta")


def wait_for_news(machine, name):
    proc.wait_until(lambda: f'name="{name}"' in
                    machine.log.read_text(errors="replace"), 20, name)


def test_renamed_in_the_browser(signed_in, mnt, graphd):
    """Shown under its old name, and not renamed back again and again."""
    trees.write(mnt / "f", b"f")
    signed_in.flush()
    raw = graphd.raw_path("f")
    graphd.raw.rename(raw, "by hand.txt")
    trees.write(mnt / "g", b"g")
    wait_for_news(signed_in, "by hand.txt")
    signed_in.flush()
    assert sorted(os.listdir(mnt.path)) == ["f", "g"]
    assert (mnt / "f").read_bytes() == b"f"
    wait_for_polls(graphd, 3)
    assert graphd.requests().get("patch", 0) <= 1
    trees.write(mnt / "f", b"written on")
    signed_in.flush()
    assert (mnt / "f").read_bytes() == b"written on"
    mnt.unmount()
    mnt = signed_in.mount()
    assert (mnt / "f").read_bytes() == b"written on"


def test_age_file_of_a_stranger(signed_in, mnt, graphd):
    """Sealed by stock age for the right recipients, under a sealed name."""
    trees.write(mnt / "f", b"f" * 1000)
    signed_in.flush()
    public = subprocess.run(["age-keygen", "-y", str(signed_in.recovery_key)],
                            capture_output=True, check=True, text=True)
    done = subprocess.run(["age", "-r", public.stdout.strip()],
                          input=b"not ours", capture_output=True, check=True)
    graphd.raw.put(graphd.raw_path("f"), done.stdout)
    proc.wait_until(lambda: error_of((mnt / "f").read_bytes), 20, "an error")
    log = signed_in.log.read_text(errors="replace")
    assert "error: fetch" in log


# ---- one name, two devices --------------------------------------------------

def offline_twins(two, graphd, make):
    one, mine, other, theirs = two
    mine.wait_listed(), theirs.wait_listed()
    graphd.stop()
    make(mine.path, b"mine")
    make(theirs.path, b"theirs")
    graphd.start()
    one.flush()
    other.flush()
    return same_view(mine, theirs)


def make_file(folder, data):
    trees.write(folder / "twin.txt", data)


@pytest.mark.parametrize("resolve", ["rename", "delete", "delete first"])
def test_twins_of_files(two, graphd, resolve):
    one, mine, other, theirs = two
    names = offline_twins(two, graphd, make_file)
    assert len(names) == 2 and "twin.txt" in names
    [alias] = set(names) - {"twin.txt"}
    assert "conflict" in alias
    assert {(mine / n).read_bytes() for n in names} == {b"mine", b"theirs"}
    second = (mine / alias).read_bytes()
    if resolve == "rename":
        os.rename(theirs / alias, theirs / "other.txt")
        left = {"twin.txt", "other.txt"}
    elif resolve == "delete":
        (mine / alias).unlink()
        left = {"twin.txt"}
    else:
        (theirs / "twin.txt").unlink()
        left = None
    one.flush()
    other.flush()
    if left:
        proc.wait_until(lambda: set(os.listdir(mine.path)) == left ==
                        set(os.listdir(theirs.path)), 20, "its end")
    else:
        proc.wait_until(lambda: len(os.listdir(mine.path)) == 1 ==
                        len(os.listdir(theirs.path)), 20, "one of them")
        [name] = same_view(mine, theirs)
        assert (mine / name).read_bytes() == second
    same_view(mine, theirs)


def test_twin_comes_back_under_its_alias(two, graphd):
    """Removed here and changed there meanwhile: its twin keeps the name."""
    one, mine, other, theirs = two
    mine.wait_listed(), theirs.wait_listed()
    with graphd.hidden_from_delta():  # both are sent before either is seen
        trees.write(mine / "twin.txt", b"first")
        one.flush()
        trees.write(theirs / "twin.txt", b"second")
        other.flush()
    proc.wait_until(lambda: len(os.listdir(mine.path)) == 2, 20, "two")
    names = same_view(mine, theirs)
    [alias] = set(names) - {"twin.txt"}
    assert (mine / "twin.txt").read_bytes() == b"first"
    graphd.stop()
    (mine / alias).unlink()
    (theirs / alias).write_bytes(b"changed")
    mine.process.send_signal(signal.SIGSTOP)
    graphd.start()
    other.flush()
    mine.process.send_signal(signal.SIGCONT)
    one.flush()
    proc.wait_until((mine / alias).exists, 20, "the alias")
    assert same_view(mine, theirs) == names
    assert (mine / "twin.txt").read_bytes() == b"first"
    assert (mine / alias).read_bytes() == b"changed"


def test_twins_of_folders(two, graphd):
    def make(folder, data):
        (folder / "twin").mkdir()
        (folder / "twin" / data.decode()).write_bytes(data)
    names = offline_twins(two, graphd, make)
    files = [n for n in names if "/" in n]
    assert {os.path.basename(n) for n in files} == {"mine", "theirs"}


def test_both_wrote_one_file(two, graphd):
    """From one base, offline: both contents survive on both."""
    one, mine, other, theirs = two
    trees.write(mine / "f", b"base")
    one.flush()
    proc.wait_until((theirs / "f").exists, 20, "f")
    assert (theirs / "f").read_bytes() == b"base"
    graphd.stop()
    trees.write(mine / "f", b"by one")
    trees.write(theirs / "f", b"by the other")
    graphd.start()
    one.flush()
    other.flush()
    names = same_view(mine, theirs)
    assert len(names) == 2
    assert {(mine / n).read_bytes() for n in names} == \
        {b"by one", b"by the other"}


# ---- attributes, each for itself --------------------------------------------

def test_attributes_of_two_devices_meet(two, graphd):
    """Mode here, name there, time of both: all arrive, without a copy and
    without a new content."""
    one, mine, other, theirs = two
    trees.write(mine / "f", b"content")
    one.flush()
    proc.wait_until((theirs / "f").exists, 20, "f")
    puts = graphd.requests().get("put", 0)
    graphd.stop()
    (mine / "f").chmod(0o600)
    os.utime(mine / "f", ns=(1, 1_600_000_000_123456789))
    os.rename(theirs / "f", theirs / "g")
    os.utime(theirs / "g", ns=(1, 1_700_000_000_123456789))
    graphd.start()
    one.flush()
    other.flush()

    def met():
        return all(
            os.listdir(m.path) == ["g"]
            and os.stat(m / "g").st_mode & 0o777 == 0o600
            and os.stat(m / "g").st_mtime_ns == 1_700_000_000_123456789
            for m in (mine, theirs))
    proc.wait_until(met, 30, "all of it on both", every=0.2)
    assert (theirs / "g").read_bytes() == b"content"
    assert graphd.requests().get("put", 0) == puts
