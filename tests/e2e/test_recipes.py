"""Goal: the scripts of contrib/recipes do what their texts say: backed up,
checked, changed, backed up, restored on a machine that lost all its state."""

import calendar
import os
import re
import shutil
import subprocess
import time

import pytest

from kit import proc, program, trees

RECIPES = proc.ROOT / "contrib/recipes"
pytestmark = pytest.mark.configs("personal-vault", "work")


def needs(*names):
    missing = [n for n in names if not shutil.which(n)]
    return pytest.mark.skipif(bool(missing),
                              reason=f"no {', '.join(missing)}")


class Recipe:
    """A script as a user of that machine runs it: `nmbackupfs` is found in the
    PATH, HOME is that machine's."""

    def __init__(self, machine, name, source, cloud):
        self.machine = machine
        self.script = RECIPES / f"{name}.sh"
        bin_dir = machine.home / "bin"
        bin_dir.mkdir(exist_ok=True)
        ours = bin_dir / "nmbackupfs"
        words = " ".join(f"'{w}'" for w in machine.command())
        ours.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        ours.chmod(0o755)
        self.env = {**machine.env, "SOURCE": str(source), "CLOUD": str(cloud),
                    "PATH": f"{bin_dir}:{os.environ['PATH']}",
                    "NMBACKUPFS_LOG_LEVEL": "info"}

    def run(self, *args, check=0, timeout=100, **env):
        done = subprocess.run(
            ["/bin/sh", str(self.script), *map(str, args)], text=True,
            env={**self.env, **env}, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, errors="replace",
            preexec_fn=proc.die_with_parent, timeout=proc.patience(timeout))
        with self.machine.log.open("a") as f:
            f.write(f"$ {self.script.name} {args} -> {done.returncode}\n"
                    f"{done.stdout}{done.stderr}")
        assert done.returncode == check, \
            f"{self.script.name} {args}: {done.returncode}\n" \
            f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr


@pytest.fixture
def recipe(signed_in, mnt, base):
    """recipe(name): a script with a tree of its own to back up."""
    source = trees.make_tree(base / "my documents", seed=3, files=40,
                             max_size=100_000)

    def made(name, machine=signed_in):
        return Recipe(machine, name, source, mnt.path)
    made.source = source
    return made


def change(source):
    """As a day of work does."""
    files = sorted(p for p in source.rglob("*") if p.is_file())
    files[0].unlink()
    files[1].write_bytes(b"another content")
    files[2].rename(files[2].with_name("has another name"))
    trees.make_tree(source / "new folder", seed=9, files=10)


@pytest.fixture
def lose(signed_in, mnt):
    """All that this machine kept is gone; mounted anew."""
    def lost():
        signed_in.flush()
        mnt.unmount()
        signed_in.wipe()
        mnt.start()
        mnt.wait_mounted()
    return lost


def below(out, source):
    """Where programs put a tree that was named by its whole path."""
    return out / source.relative_to("/")


@needs("restic")
def test_restic(recipe, base, lose):
    restic = recipe("restic")
    restic.run("backup")
    restic.run("check")
    change(recipe.source)
    restic.run("backup")
    lose()
    assert restic.run("list").count(str(recipe.source)) == 2
    restic.run("restore", base / "out")
    trees.assert_same(below(base / "out", recipe.source), recipe.source)
    restic.run("forget")
    assert restic.run("list").count(str(recipe.source)) == 1
    # Whoever lost the password is told, and gets no second repository.
    (restic.machine.home / ".config/restic-password").unlink()
    assert "fetch it" in restic.run("backup", check=1)


@needs("borg")
def test_borg(recipe, base, lose):
    borg = recipe("borg")
    borg.run("backup")
    borg.run("check")
    change(recipe.source)
    borg.run("backup")
    lose()
    assert len(borg.run("list").splitlines()) == 2
    borg.run("restore", base / "out")
    trees.assert_same(below(base / "out", recipe.source), recipe.source)
    borg.run("prune")
    borg.run("check")
    (borg.machine.home / ".config/borg-passphrase").unlink()
    assert "fetch it" in borg.run("backup", check=1)


@needs("rsync")
def test_rsync(recipe, base, lose):
    rsync = recipe("rsync")
    rsync.run("backup")
    rsync.run("check")
    change(recipe.source)
    assert "has another name" in rsync.run("check", check=1)
    rsync.run("backup")
    rsync.run("check")
    lose()
    rsync.run("check", DEEP="1")
    rsync.run("restore", base / "out")
    trees.assert_same(base / "out", recipe.source, times=True)
    (base / "empty").mkdir()
    assert "is its disk there" in rsync.run("backup", check=1,
                                            SOURCE=str(base / "empty"))
    trees.assert_same(base / "out", recipe.source)


@needs("duplicity")
def test_duplicity(recipe, base, lose):
    duplicity = recipe("duplicity")
    duplicity.run("backup")
    before = trees.describe(recipe.source)
    (first,) = re.findall(r"EndTime (\S+) ", duplicity.run("backup"))[:1]
    duplicity.run("check")
    change(recipe.source)
    duplicity.run("check", check=1)
    duplicity.run("backup")
    shutil.rmtree(duplicity.machine.home / ".cache")
    lose()
    duplicity.run("restore", base / "out")
    trees.assert_same(base / "out", recipe.source)
    duplicity.run("restore", base / "out then", TIME=first.partition(".")[0])
    assert trees.describe(base / "out then") == before


@pytest.mark.mount_options("--append-only")
@needs("duplicity")
def test_append_only(recipe, base, mnt, signed_in):
    """What the texts say of it: archives can be added and not overwritten."""
    duplicity, nightly = recipe("duplicity"), recipe("nightly")
    for name in ("one", "two"):
        (recipe.source / name).write_bytes(b"new")
        duplicity.run("backup")
        nightly.run("run", SLOT=name)
    duplicity.run("restore", base / "out")
    trees.assert_same(base / "out", recipe.source)
    said = nightly.run("run", SLOT="one", check=1)
    assert "not permitted" in said or "append" in said


def test_not_mounted(recipe, mnt, signed_in):
    """Nothing is written into the directory below the mount."""
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    for name in ("restic", "borg", "rsync", "duplicity"):
        assert "is not mounted" in recipe(name).run("backup", check=1)
        recipe(name).run("no such thing", check=1)
    assert os.listdir(mnt.path) == []


def test_nightly(recipe, base, mnt, signed_in):
    """Without a mount, with one, over itself; the units are sound."""
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    nightly = recipe("nightly")
    nightly.run("run", NAME="nights/this one", SLOT="monday")
    first = trees.describe(recipe.source)
    change(recipe.source)
    nightly.run("run", NAME="nights/this one", SLOT="tuesday")
    signed_in.wipe()
    nightly.run("restore", "monday", base / "out", NAME="nights/this one")
    assert trees.describe(base / "out") == first
    nightly.run("run", NAME="nights/this one", SLOT="monday")
    mnt.start()
    mnt.wait_mounted()
    nightly.run("restore", "monday", base / "again", NAME="nights/this one")
    trees.assert_same(base / "again", recipe.source)
    assert sorted(os.listdir(mnt / "nights/this one")) == \
        ["monday.tar.gz", "tuesday.tar.gz"]


@needs("systemd-analyze")
def test_nightly_units(recipe, base, signed_in):
    """Those that it installs, with odd names in them, are taken by systemd; it
    is asked to do what the text says."""
    nightly = recipe("nightly")
    fake = signed_in.home / "bin/systemctl"
    fake.write_text(f'#!/bin/sh\necho "$*" >>"{base}/asked"\n')
    fake.chmod(0o755)
    nightly.run("install", SOURCE=str(base / '100% "odd" \\ name'))
    units = signed_in.config / "systemd/user"
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no",
         *sorted(units.iterdir())], capture_output=True, text=True,
        check=False, env=nightly.env)
    ours = [line for line in done.stderr.splitlines()
            if "nmbackupfs-nightly" in line]
    assert not ours, done.stderr
    asked = (base / "asked").read_text()
    assert "enable --now nmbackupfs-nightly.timer" in asked
    nightly.run("uninstall")
    assert not os.listdir(units)


@pytest.mark.configs("personal-vault")
@needs("rsync")
def test_new_machine(recipe, base, mnt, signed_in, second_machine, graphd):
    """Nothing is left but the account and the recovery key."""
    recipe("rsync").run("backup", TARGET=str(mnt / "Documents"))
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    cloud = second_machine.base / "cloud"
    new = Recipe(second_machine, "new-machine", "", cloud)
    second_machine.run("logout", check=0)
    graphd.login(mode="approve", interval_s=0)
    for _ in range(2):
        new.run("join", "--recovery-key", signed_in.recovery_key,
                NMBACKUPFS_LABEL="new")
        with mounted(second_machine, cloud):
            new.run("restore", "Documents", base / "out")
        trees.assert_same(base / "out", recipe.source)
    new.run("retire", "home")
    signed_in.run("vault", "info", check=program.NO_MEMBER)


@pytest.mark.configs("personal-vault")
def test_share_vault(recipe, mnt, signed_in, second_machine):
    here = recipe("share-vault")
    cloud = second_machine.base / "cloud"
    there = Recipe(second_machine, "share-vault", "", cloud)
    key = there.run("ask").strip()
    (mnt / "letter").write_text("from here")
    signed_in.flush()
    said = here.run("let-in", key, "laptop")
    code = re.search(r"--code (vault1\S+)", said)[1]
    assert "already" in here.run("let-in", key, "laptop")
    for _ in range(2):
        there.run("enter", code)
        with mounted(second_machine, cloud):
            assert (cloud / "letter").read_text() == "from here"
            (cloud / "answer").write_text("from there")
            second_machine.flush()
    proc.wait_until((mnt / "answer").exists, 20, "the answer")
    assert "laptop" in here.run("who")
    here.run("shut-out", "laptop")
    assert "laptop" not in here.run("who")
    assert "not a member" in there.run("who", check=program.NO_MEMBER)


def encrypt(path):
    """Of the same size. (XOR by one byte may keep the service's hash, which
    is linear; ciphers don't.)"""
    path.write_bytes(os.urandom(path.stat().st_size))
    path.rename(path.with_name(path.name + ".locked"))


@pytest.mark.configs("personal-vault", "work")
@pytest.mark.mount_options("--hold-after", "20:50%/10m")
@needs("rsync")
def test_ransomware(recipe, base, mnt, signed_in):
    """Some is encrypted and sent, the rest is held; all comes back."""
    recipe("rsync").run("backup", TARGET=str(mnt / "docs"))
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                           time.gmtime(time.time() + 1))
    proc.wait_until(lambda: time.time() > calendar.timegm(time.strptime(
        before, "%Y-%m-%dT%H:%M:%SZ")) + 1, 5, "the next second")
    for i, path in enumerate(sorted((mnt / "docs").rglob("*"))):
        if path.is_file():
            encrypt(path)
        if i % 10 == 9:
            signed_in.run("flush", "--timeout", "20")
    crisis = recipe("ransomware")
    crisis.run("stop")
    mnt.wait()
    crisis.run("stop")
    mnt.start()
    mnt.wait_mounted()
    assert "overwrites" in crisis.run("look")
    crisis.run("undo")
    signed_in.flush()
    crisis.run("restore", before, base / "out", WHAT="docs")
    trees.assert_same(base / "out", recipe.source)


class mounted:
    """What a script has mounted, in the background; gone at the end."""

    def __init__(self, machine, path):
        self.machine, self.path = machine, path

    def __enter__(self):
        assert str(self.path) in proc.mounts_below(self.path)

    def __exit__(self, *_):
        self.machine.run("umount", self.path, check=0)
