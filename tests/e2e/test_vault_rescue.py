"""Goal: whoever has the account and the recovery key gets everything back, on
a machine that has nothing else, and is told what is damaged or lost."""

import hashlib
import os
import re
import subprocess

import pytest

from kit import program, trees
from test_vault import assert_restored, make_home

pytestmark = pytest.mark.configs("personal-vault")

FOLDER = "nmbackupfs"


@pytest.fixture
def drive(graphd):
    """The server as the service sees it: sealed names."""
    return graphd.raw


@pytest.fixture
def filled(signed_in, mnt, base):
    """A vault with a home in it, and what was put in."""
    source = make_home(base / "source")
    subprocess.run(["cp", "-a", f"{source}/.", mnt.path], check=True,
                   timeout=100)
    signed_in.flush()
    return source


def rescue(machine, what, dest, key, *options, check=0, **kw):
    return machine.run("rescue", what, dest, "--recovery-key", key, *options,
                       check=check, **kw)


def nothing_kept(machine):
    """No state came to be, and no key was kept."""
    assert not list(machine.state.rglob("*.db"))
    assert not list(machine.home.rglob("vault.age"))


def by_digest(root):
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[digest] = path
    return found


def test_whole_tree(signed_in, mnt, filled, second_machine, base):
    dest = base / "dest"
    done = rescue(second_machine, FOLDER, dest, signed_in.recovery_key)
    assert_restored(filled, dest)
    assert "folders are in" in done.stderr
    nothing_kept(second_machine)
    # Again: nothing is fetched or touched.
    before = {p: p.lstat().st_ctime_ns for p in dest.rglob("*")
              if not p.is_dir()}
    done = rescue(second_machine, FOLDER, dest, signed_in.recovery_key)
    assert "already" in done.stderr and "\n0 files" in "\n" + \
        re.search(r"^\d+ files.*", done.stderr, re.M).group(0)
    assert before == {p: p.lstat().st_ctime_ns for p in before}


def test_nothing_is_overwritten(signed_in, mnt, filled, second_machine, base):
    dest = base / "dest"
    dest.mkdir()
    outside = base / "outside"
    outside.mkdir()
    (dest / "script.sh").write_text("mine")
    (dest / "private").symlink_to(outside)
    (dest / "link").write_text("no link")
    done = rescue(second_machine, FOLDER, dest, signed_in.recovery_key,
                  check=1)
    assert (dest / "script.sh").read_text() == "mine"
    assert (dest / "link").read_text() == "no link"
    assert os.listdir(outside) == []
    for name in ("script.sh", "private", "link"):
        assert f"nmbackupfs: {name}: something else is there" in done.stderr
    assert (dest / "secret").read_bytes() == b"secret"
    assert not list(dest.rglob(".nmbackupfs-*"))


def test_part_of_it(signed_in, mnt, filled, second_machine, drive, base):
    """By path, with plain names below the vault, and by id."""
    key = signed_in.recovery_key
    rescue(second_machine, f"{FOLDER}/private", base / "a", key)
    assert sorted(os.listdir(base / "a")) == ["README", "ReadMe", "readme"]
    rescue(second_machine, f"/{FOLDER}/private/readme", base / "b", key)
    assert os.listdir(base / "b") == ["readme"]
    assert (base / "b" / "readme").read_bytes() == b"readme"
    ident = signed_in.status(mnt / "private")["id"]
    rescue(second_machine, ident, base / "c", key)
    (base / "c").chmod(0o700)  # DEST itself is left as it is
    assert_restored(filled / "private", base / "c")
    done = rescue(second_machine, f"{FOLDER}/nothing", base / "d", key,
                  check=1)
    assert "there is no folder or file" in done.stderr
    assert not (base / "d").exists()


def test_damage_is_told(signed_in, mnt, filled, second_machine, drive, base):
    """A damaged file is left out and named; the rest comes."""
    trees.write(mnt / "damaged", trees.payload(1, 200_000))
    before = set(drive.files())
    signed_in.flush()
    [name] = set(drive.files()) - before
    mnt.unmount()
    sealed = bytearray(drive.read(name))
    sealed[423 + 65552 + 100] ^= 1
    drive.put(name, bytes(sealed))
    done = rescue(second_machine, FOLDER, base / "dest",
                  signed_in.recovery_key, check=1)
    assert "nmbackupfs: damaged: " in done.stderr
    assert "1 could not be restored" in done.stderr
    assert_restored(filled, base / "dest")


def test_twins(signed_in, mnt, second_machine, drive, base):
    """Two items of one name come back under two."""
    trees.write(mnt / "x", b"one")
    signed_in.flush()
    [name] = [n for n in drive.files() if not n.startswith(".")]
    os.utime(mnt / "x", ns=(0, 10**18))
    signed_in.flush()
    [other] = [n for n in drive.files() if not n.startswith(".")]
    assert other != name
    mnt.unmount()
    drive.put(name, drive.read(other))
    rescue(second_machine, FOLDER, base / "dest", signed_in.recovery_key)
    found = sorted(os.listdir(base / "dest"))
    assert found[0] == "x"
    assert re.fullmatch(r"x \(conflict [0-9a-f]{8}\)", found[1])


def test_descriptor_lost(signed_in, mnt, filled, second_machine, drive, base):
    """vault.age is gone: an older generation does. All are gone: content."""
    signed_in.run("vault", "rotate", check=0)
    mnt.unmount()
    key = signed_in.recovery_key
    drive.delete(".nmbackupfs/vault.age")
    done = rescue(second_machine, FOLDER, base / "a", key)
    assert_restored(filled, base / "a")
    assert "stay sealed" not in done.stderr
    drive.delete(".nmbackupfs")
    done = rescue(second_machine, FOLDER, base / "b", key, check=1)
    assert "names (they stay sealed)" in done.stderr
    want = {d: p for d, p in by_digest(filled).items()
            if p.stat().st_size}
    assert want.keys() <= by_digest(base / "b").keys()


def test_wrong_key(signed_in, mnt, filled, second_machine, base):
    key = base / "other.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True,
                   capture_output=True)
    done = rescue(second_machine, FOLDER, base / "dest", key,
                  check=program.NO_MEMBER)
    assert "does not open" in done.stderr
    assert not (base / "dest").exists()
    rescue(second_machine, FOLDER, base / "dest", base / "none",
           check=program.USAGE)


def test_evil_names(signed_in, mnt, second_machine, drive, base):
    """What is no name of the vault is left out, whatever it is called."""
    trees.write(mnt / "f", b"f")
    signed_in.flush()
    mnt.unmount()
    drive.put("plain.txt", b"from the browser")
    drive.mkdir("一丁七")
    done = rescue(second_machine, FOLDER, base / "dest",
                  signed_in.recovery_key)
    assert os.listdir(base / "dest") == ["f"]
    assert "2 items are not of the vault" in done.stderr


def test_not_signed_in(signed_in, mnt, base, graphd):
    stranger = program.Machine(base / "third", graphd, vault=True)
    rescue(stranger, FOLDER, base / "dest", signed_in.recovery_key,
           check=program.SIGN_IN)
