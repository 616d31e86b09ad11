"""Goal: .versions shows what the service keeps of each file, and only that.

It is there by its name and nowhere else; nothing in it can be changed, and
nothing in it makes a thread of the mount wait."""

import errno
import json
import os
import re
import threading

import pytest

from kit import proc, trees

both = pytest.mark.configs("personal", "work", "personal-vault",
                           "work-60-vault")
pytestmark = both

MIB = 2**20
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+\.\d)?")


def contents(folder):
    """Oldest first: names sort by time."""
    return [(folder / name).read_bytes() for name in sorted(os.listdir(folder))]


def write(machine, path, *versions):
    for data in versions:
        trees.write(path, data)
        machine.flush()


def distinct(values):
    """Accounts of work make a version of a time that is set."""
    return [v for i, v in enumerate(values) if not i or values[i - 1] != v]


def test_versions_as_files(signed_in, mnt):
    sizes = (3, 70_000, 0, 200_001)
    datas = [trees.payload("v", size) for size in sizes]
    write(signed_in, mnt / "d/f", *datas)
    assert ".versions" not in os.listdir(mnt.path)
    top = mnt / ".versions"
    assert os.listdir(top) == ["d"] and os.listdir(top / "d") == ["f"]
    names = sorted(os.listdir(top / "d/f"))
    assert all(NAME.fullmatch(n) for n in names), names
    assert distinct(contents(top / "d/f")) == datas
    said = json.loads(signed_in.run("versions", "d/f", "--json",
                                    check=0).stdout)
    stats = [(name[:20], (top / "d/f" / name).stat()) for name in names]
    assert sorted((name, st.st_size) for name, st in stats) == \
        sorted((v["time"].replace(":", "-"), v["size"])
               for v in said["versions"])
    assert {st.st_mode & 0o777 for _, st in stats} == {0o444}
    # What is new is seen soon; what has no version is not there.
    write(signed_in, mnt / "d/f", b"newest")
    proc.wait_until(lambda: contents(top / "d/f")[-1] == b"newest", 15,
                    "the new one")
    for missing in ("nothing", "d/nothing", "d/f/2001-01-01T00-00-00Z",
                    "d/f/nothing"):
        assert not os.path.exists(top / missing), missing


def test_any_place_of_a_version(signed_in, mnt, graphd):
    """Random reads of an old version bring what they need, and no more."""
    data = trees.payload("big", 20 * MIB)
    write(signed_in, mnt / "f", data, b"small")
    folder = mnt / ".versions/f"
    old = folder / sorted(os.listdir(folder))[0]
    before = graphd.bytes_down()
    with old.open("rb", buffering=0) as f:
        for off in (17 * MIB + 12345, 65535, 9 * MIB, len(data) - 10):
            assert os.pread(f.fileno(), 4096, off) == data[off:off + 4096]
        assert os.pread(f.fileno(), 10, len(data)) == b""
        assert graphd.bytes_down() - before < 4 * MIB
        assert os.lseek(f.fileno(), 5, os.SEEK_DATA) == 5
        assert os.lseek(f.fileno(), 5, os.SEEK_HOLE) == len(data)
    assert old.read_bytes() == data


def test_nothing_can_be_changed(signed_in, mnt, base):
    write(signed_in, mnt / "d/f", b"1", b"22")
    folder = mnt / ".versions/d/f"
    name = sorted(os.listdir(folder))[0]
    tries = [
        lambda: (folder / name).write_bytes(b"x"),
        lambda: os.truncate(folder / name, 0),
        lambda: os.unlink(folder / name),
        lambda: os.rename(folder / name, folder / "x"),
        lambda: os.rename(mnt / "d/f", folder / "x"),
        lambda: os.rename(folder, mnt / "x"),
        lambda: os.mkdir(folder / "x"),
        lambda: os.symlink("x", folder / "y"),
        lambda: (folder / "new").write_bytes(b"x"),
        lambda: os.chmod(folder / name, 0o600),
        lambda: os.utime(folder / name),
        lambda: os.rmdir(folder),
        lambda: os.rmdir(mnt / ".versions"),
        lambda: os.rename(mnt / ".versions", mnt / "x"),
        lambda: os.link(folder / name, mnt / "x"),
        lambda: os.mkdir(mnt / ".versions/x"),
    ]
    for i, change in enumerate(tries):
        with pytest.raises(OSError) as e:
            change()
        assert e.value.errno in (errno.EROFS, errno.EPERM, errno.EXDEV,
                                 errno.EACCES), (i, e.value)
    assert os.listdir(mnt.path) == ["d"]
    assert distinct(contents(folder)) == [b"1", b"22"]


def test_a_file_of_that_name_wins(signed_in, mnt, base, graphd, config):
    """It came from another device, or was there before."""
    if "vault" in config:
        graphd.mkdir(".versions")
        proc.wait_until(lambda: ".versions" in os.listdir(mnt.path), 20, "it")
        (mnt / ".versions/f").write_bytes(b"of the user")
    else:
        graphd.put(".versions/f", b"of the user")
        proc.wait_until(lambda: ".versions" in os.listdir(mnt.path), 20, "it")
    assert os.listdir(mnt / ".versions") == ["f"]
    assert (mnt / ".versions/f").read_bytes() == b"of the user"
    assert "a file of yours is called .versions" in signed_in.log.read_text()
    (mnt / ".versions/f").write_bytes(b"changed by the user")
    signed_in.flush()
    assert graphd.read(".versions/f") == b"changed by the user"


@pytest.mark.mount_options("--no-versions-dir")
def test_not_wanted(signed_in, mnt, graphd):
    write(signed_in, mnt / "f", b"1")
    assert not os.path.exists(mnt / ".versions")
    write(signed_in, mnt / ".versions/f", b"of the user")
    assert graphd.read(".versions/f") == b"of the user"
    os.unlink(mnt / ".versions/f")
    os.rmdir(mnt / ".versions")


def test_nobody_waits_for_it(signed_in, mnt, graphd):
    """The service is mute: who asks gets an error in time, and everybody else
    goes on."""
    write(signed_in, mnt / "f", b"1", b"22")
    graphd.stall("versions")
    got = []

    def ask():
        try:
            got.append(os.listdir(mnt / ".versions/f"))
        except OSError as e:
            got.append(e.errno)
    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    graphd.wait_request("versions")
    for i in range(20):
        trees.write(mnt / "other" / str(i), b"written meanwhile")
        assert (mnt / "f").read_bytes() == b"22"
    graphd.clear_faults()
    for thread in threads:
        thread.join(proc.patience(60))
    assert len(got) == 30 and all(isinstance(g, list) and len(g) >= 2
                                  for g in got), got


@pytest.mark.mount_options("--deadline", "2s")
def test_mute_for_too_long(signed_in, mnt, graphd):
    write(signed_in, mnt / "f", b"1", b"22")
    folder = mnt / ".versions/f"
    names = sorted(os.listdir(folder))
    graphd.stall("download")
    with pytest.raises(OSError) as e:
        (folder / names[0]).read_bytes()
    assert e.value.errno == errno.EIO
    graphd.clear_faults()
    assert (folder / names[0]).read_bytes() == b"1"
    graphd.stop()
    with pytest.raises(OSError):
        (folder / names[-1]).read_bytes()
    mnt.unmount(wait=False)
    graphd.start()
    mnt.wait_end()


def test_trimmed_and_damaged(signed_in, mnt, graphd, config):
    write(signed_in, mnt / "f", trees.payload("a", 100_000), b"22")
    folder = mnt / ".versions/f"
    old = folder / sorted(os.listdir(folder))[0]
    with old.open("rb", buffering=0) as f:
        graphd.trim("f")
        with pytest.raises(OSError) as e:
            f.read(10)
        assert e.value.errno == errno.EIO
    if "vault" in config:
        write(signed_in, mnt / "g", trees.payload("a", 100_000), b"22")
        folder = mnt / ".versions/g"
        old = folder / sorted(os.listdir(folder))[0]
        graphd.fault("download", 0, corrupt=1)
        with pytest.raises(OSError) as e:
            old.read_bytes()
        assert e.value.errno == errno.EIO and graphd.fired()
        graphd.clear_faults()
