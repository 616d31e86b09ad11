"""Goal: all of a tree comes back: by the program on a new machine, by stock
`age` with either key, and without a line of the program at all. And it costs
few requests."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
import zipfile

import pytest

from kit import agefile, proc, trees
from kit.marks import needs_root

pytestmark = pytest.mark.configs("personal-vault")

SCRIPT = proc.ROOT / "contrib/unseal-names.py"
LARGE = bool(os.environ.get("NMB_TEST_LARGE"))
SIZES = [0, 1, 65535, 65536, 65537, 10_000_000] + [300_000_000] * LARGE


def opened_with(key, data):
    done = subprocess.run(["age", "-d", "-i", str(key)], input=data,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_age_opens_what_we_wrote(signed_in, mnt, graphd, base):
    """With the recovery key, and with the epoch's alone."""
    for size in SIZES:
        trees.write(mnt / str(size), trees.payload("size", size))
    signed_in.flush(timeout=100)
    [epoch] = agefile.descriptor(graphd, signed_in.recovery_key)["epochs"]
    key = base / "epoch.txt"
    key.write_text(epoch["identity"] + "\n")
    for size in SIZES:
        sealed = graphd.raw.read(graphd.raw_path(str(size)))
        assert len(sealed) == agefile.sealed_size(size)
        data = trees.payload("size", size)
        assert trees.digest(opened_with(key, sealed)) == trees.digest(data)
        assert trees.digest(opened_with(signed_in.recovery_key, sealed)) \
            == trees.digest(data)
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    for size in SIZES:
        assert trees.sha(mnt / str(size)) == \
            trees.digest(trees.payload("size", size))[1]


# ---- attributes ---------------------------------------------------------------

TIMES = {"before": -1, "long before": -2**40, "far": 2**62,
         "zero": 0, "odd": 1_600_000_000_123_456_789}


def make_special(root):
    """What a home may hold besides files."""
    root.mkdir()
    for name, ns in TIMES.items():
        trees.write(root / name, name.encode())
        os.utime(root / name, ns=(ns, ns))
        os.symlink("to " + name, root / f"link {name}")
        os.utime(root / f"link {name}", ns=(ns, ns), follow_symlinks=False)
    (root / "set-gid").mkdir()
    (root / "set-gid").chmod(0o2750)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    os.symlink("x/" * 2000 + "end", root / "long link")
    os.symlink("ö/" * 1300, root / ("n" * 200))
    os.mkfifo(root / "fifo", 0o604)
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
    for bits in (0o000, 0o400, 0o111, 0o6755, 0o7777):
        trees.write(root / f"mode {bits:o}", b"m")
        (root / f"mode {bits:o}").chmod(bits)
    if os.geteuid() == 0:
        os.mknod(root / "char", 0o620 | stat.S_IFCHR, os.makedev(5, 300))
        os.mknod(root / "block", 0o660 | stat.S_IFBLK, os.makedev(259, 70000))
        trees.write(root / "others", b"others")
        os.chown(root / "others", 12345, 4_000_000_000)
        os.chown(root / "link odd", 7, 8, follow_symlinks=False)
        os.chown(root / "sticky", 1, 2)
    for i, path in enumerate(sorted(root.iterdir())):
        if path.name.removeprefix("link ") not in TIMES:
            os.utime(path, ns=(1, 1_500_000_000_000_000_001 + i * 10**12),
                     follow_symlinks=False)
    return root


def describe(root):
    """Everything that has to come back, by name."""
    found = {}
    for path in root.rglob("*"):
        info = path.lstat()
        kind = stat.S_IFMT(info.st_mode)
        row = [oct(info.st_mode), info.st_uid, info.st_gid]
        if kind != stat.S_IFDIR:
            row.append(info.st_mtime_ns)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            row.append(info.st_rdev)
        if kind == stat.S_IFLNK:
            row.append(proc.wait_until(lambda p=path: link_of(p), 20, path))
        found[str(path.relative_to(root))] = row
    return found


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


@needs_root
def test_everything_special_comes_back(signed_in, mnt, base):
    source = make_special(base / "source")
    want = describe(source)
    subprocess.run(["rsync", "-a", f"{source}/", f"{mnt.path}/"], check=True,
                   timeout=100)
    assert describe(mnt.path) == want
    signed_in.flush()
    assert describe(mnt.path) == want
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    assert describe(mnt.path) == want
    for name in TIMES:
        assert (mnt / name).read_bytes() == name.encode()


@needs_root
def test_changes_after_the_upload_send_no_content(signed_in, mnt, graphd):
    """chmod, chown, utimens, rename: the item is renamed, that is all."""
    for i in range(5):
        trees.write(mnt / f"f{i}", b"content")
    (mnt / "dir").mkdir()
    signed_in.flush()
    ids = {n: i["id"] for n, i in graphd.tree().items()}
    sent = graphd.bytes_up()
    (mnt / "f0").chmod(0o4755)
    os.chown(mnt / "f1", 77, 88)
    os.utime(mnt / "f2", ns=(5, -5_000_000_001))
    os.rename(mnt / "f3", mnt / "renamed")
    (mnt / "dir").chmod(0o2700)
    os.chown(mnt / "dir", 5, 6)
    (mnt / "f4").chmod(0o600)
    os.rename(mnt / "f4", mnt / "dir/moved")
    want = describe(mnt.path)
    signed_in.flush()
    assert graphd.bytes_up() == sent
    now = {n: i["id"] for n, i in graphd.tree().items()}
    assert now["renamed"] == ids["f3"] and now["dir/moved"] == ids["f4"]
    assert set(now.values()) == set(ids.values())
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    assert describe(mnt.path) == want


# ---- without us -----------------------------------------------------------------

def download(graphd, path):
    """The vault folder as the browser gives it: a ZIP of raw items."""
    with zipfile.ZipFile(path, "w") as z:
        for name, item in graphd.raw.tree().items():
            if item["type"] == "file":
                z.writestr(name, graphd.raw.read(name))
            else:
                z.writestr(name + "/", b"")
    return path


def test_restored_without_the_program(signed_in, mnt, graphd, base):
    """Raw items, stock age, a script of the standard library: all is there."""
    source = trees.make_tree(base / "source", seed=9, files=30,
                             max_size=200_000)
    for path, mode in (("script", 0o755), ("secret", 0o600)):
        trees.write(source / path, path.encode())
        (source / path).chmod(mode)
    os.symlink("script", source / "link")
    os.symlink("/far" * 900, source / "long link")
    (source / "locked").mkdir(mode=0o700)
    for path in source.rglob("*"):
        if not path.is_dir():
            os.utime(path, ns=(1, path.lstat().st_mtime_ns // 1000 * 1000 + 7),
                     follow_symlinks=False)
    want = describe(source)
    subprocess.run(["cp", "-a", f"{source}/.", mnt.path], check=True,
                   timeout=100)
    signed_in.flush()
    mnt.unmount()
    archive = download(graphd, base / "vault.zip")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--tree", archive, "--out", base / "out",
         "--age", signed_in.recovery_key], capture_output=True, text=True,
        check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    trees.assert_same(source, base / "out")
    assert describe(base / "out") == want


# ---- what it costs --------------------------------------------------------------

def cost(machine, graphd, change):
    """(HTTP requests, parts of batches and other requests by class) of what was
    changed offline: all of it is due at once, however slow this machine is.
    Batches fill up while others are on their way, so each takes its time."""
    total, parts = graphd.total_requests(), graphd.requests()
    graphd.stop()
    change()
    graphd.start()
    graphd.latency(60)
    machine.flush(timeout=100)
    graphd.latency(0)
    now = graphd.requests()
    return (graphd.total_requests() - total,
            {k: v - parts.get(k, 0) for k, v in now.items()})


def test_changes_cost_few_requests(signed_in, mnt, graphd):
    for i in range(1000):
        trees.write(mnt / f"d{i % 10}" / f"f{i}", b"%d" % i)
    signed_in.flush(timeout=100)
    requests, parts = cost(signed_in, graphd, lambda: subprocess.run(
        ["chmod", "-R", "u=rwX,go=", mnt.path], check=True, timeout=60))
    assert parts["patch"] == 1010 and parts.get("put", 0) == 0
    assert requests <= 130  # in batches

    def overwrite():
        for i in range(200):
            (mnt / f"d{i % 10}" / f"f{i}").write_bytes(b"new %d" % i)
    requests, parts = cost(signed_in, graphd, overwrite)
    assert parts["put"] == 200 and parts["patch"] <= 200
    assert requests <= 280  # the PATCHes are in batches
