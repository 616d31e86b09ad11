"""Goal: what leaves the machine is sealed, comes back exactly, and nothing
wrong is ever read."""

import os
import subprocess

import pytest

from kit import proc, program, sealed, trees

PAYLOAD = 407 + 16  # of a file: header and nonce come first


def refused(machine, status, *options):
    """A mount that ends before it begins."""
    (machine.base / "mnt").mkdir(exist_ok=True)
    return machine.run("-f", *options, machine.base / "mnt", check=status)


def make_home(root):
    """A tree as homes have them: modes, links, times, odd names."""
    trees.make_tree(root, seed=3, files=40, max_size=300_000)
    for name, mode in (("script.sh", 0o755), ("secret", 0o600),
                       ("read-only", 0o444), ("set-uid", 0o4711)):
        trees.write(root / name, name.encode())
        (root / name).chmod(mode)
    (root / "private").mkdir(mode=0o700)
    (root / "shared").mkdir()
    (root / "shared").chmod(0o2775)
    for name in ("README", "readme", "ReadMe"):
        trees.write(root / "private" / name, name.encode())
    trees.write(root / ("x" * 255), b"long")
    top = os.fsencode(root)
    for name in (b"\xff\xfe raw", b"a:b*c?", b"trailing. ", b"~$x", b"new\nline"):
        with open(os.path.join(top, name), "wb") as f:
            f.write(name)
    (root / "link").symlink_to("private/README")
    (root / "dangling").symlink_to("/no/such/place")
    (root / "far").symlink_to("/".join(["very-long-part"] * 60))
    os.mkfifo(root / "fifo", 0o640)
    for i, path in enumerate(sorted(root.rglob("*"))):
        if not path.is_dir():
            os.utime(path, ns=(10**18 + i, 10**18 + 7919 * i),
                     follow_symlinks=False)
    os.utime(root / "secret", ns=(-1, -1))
    return root


def assert_restored(source, copy):
    """rsync finds nothing to do: names, types, modes, links, times, bytes."""
    done = subprocess.run(
        ["rsync", "-anOcH", "--specials", "--delete", "--itemize-changes",
         f"{source}/", f"{copy}/"], capture_output=True, check=False,
        timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    for path in source.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            continue
        other = copy / path.relative_to(source)
        assert path.lstat().st_mtime_ns == other.lstat().st_mtime_ns, path


@pytest.mark.configs("personal-vault", "work-60-vault")
def test_home_comes_back(signed_in, mnt, base):
    source = make_home(base / "source")
    subprocess.run(["cp", "-a", f"{source}/.", mnt.path], check=True,
                   timeout=100)
    assert_restored(source, mnt.path)
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    proc.wait_until(lambda: signed_in.status()["pending_files"] == 0, 20,
                    "the restart")
    proc.wait_until(lambda: _links_are_here(mnt.path / "far"), 20, "a target")
    assert_restored(source, mnt.path)


def _links_are_here(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


@pytest.mark.configs("personal-vault")
def test_nothing_leaks(signed_in, mnt, graphd):
    """Neither a name nor content is on the drive; `age` opens what is."""
    trees.write(mnt / "visible-name.txt", b"visible content " * 1000)
    (mnt / "visible-folder").mkdir()
    signed_in.flush()
    raw = [n for n in graphd.raw.names() if n != ".nmbackupfs"]
    assert len(raw) == 2
    assert all(0x4e00 <= ord(c) <= 0x8dff for n in raw for c in n)
    sealed = graphd.raw.read(graphd.raw_path("visible-name.txt"))
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"visible" not in sealed
    assert graphd.read("visible-name.txt") == b"visible content " * 1000
    assert graphd.names() == {"visible-name.txt", "visible-folder"}


@pytest.mark.configs("personal-vault")
def test_nobody_to_take_the_key(signed_in):
    signed_in.env["NMBACKUPFS_RECOVERY_KEY_OUT"] = ""
    done = refused(signed_in, program.NO_TERMINAL)
    assert "--recovery-key-out" in done.stderr
    assert "--no-recovery-key" in done.stderr
    assert signed_in.graphd.raw.names() <= {".nmbackupfs"}
    signed_in.mount("--no-recovery-key").unmount()


@pytest.mark.configs("personal-vault")
def test_key_file_is_not_overwritten(signed_in):
    signed_in.recovery_key.write_text("something else")
    done = refused(signed_in, program.USAGE)
    assert "not overwritten" in done.stderr
    assert signed_in.recovery_key.read_text() == "something else"


@pytest.mark.configs("personal-vault")
def test_files_and_no_descriptor(signed_in, graphd):
    """A folder that holds files is not made a vault."""
    graphd.raw.put("somebody.txt", b"x")
    done = refused(signed_in, program.USAGE)
    assert "--plain" in done.stderr
    assert list(graphd.raw.files()) == ["somebody.txt"]


@pytest.mark.configs("personal-vault")
def test_plain_and_vault_are_not_mixed(signed_in, mnt):
    mnt.unmount()
    done = refused(signed_in, program.USAGE, "--plain")
    assert "vault" in done.stderr


@pytest.mark.configs("personal-vault")
def test_vault_mounted_plain_by_a_stranger(signed_in, mnt, second_machine,
                                           graphd):
    """Nothing is sent into a vault by who takes it for a plain folder."""
    trees.write(mnt / "f", b"f")
    signed_in.flush()
    there = graphd.raw.names()
    plain = second_machine.mount("--plain")
    proc.wait_until(lambda: "vault" in second_machine.status()["last_error"],
                    20, "the refusal")
    trees.write(plain / "in the open", b"x")
    done = second_machine.run("flush", "--timeout", "2")
    assert done.returncode == program.UNFINISHED
    assert graphd.raw.names() == there


@pytest.mark.configs("personal-vault")
def test_stranger_is_told_how_to_join(signed_in, mnt, second_machine):
    done = refused(second_machine, program.NO_MEMBER)
    assert "vault add age1" in done.stderr
    assert "--recovery-key" in done.stderr


@pytest.mark.configs("personal-vault")
def test_mounts_without_network(signed_in, mnt, graphd):
    trees.write(mnt / "a", b"a")
    signed_in.flush()
    mnt.unmount()
    graphd.stop()
    mnt = signed_in.mount()
    assert (mnt / "a").read_bytes() == b"a"
    trees.write(mnt / "b", b"b")
    graphd.start()
    signed_in.flush()
    assert graphd.names() == {"a", "b"}


@pytest.mark.configs("personal-vault")
def test_damage_is_an_error_for_that_file_alone(signed_in, mnt, graphd):
    data = trees.payload(5, 200_000)
    trees.write(mnt / "damaged", data)
    signed_in.flush()
    trees.write(mnt / "good", b"good")
    signed_in.flush()
    mnt.unmount()
    name = graphd.raw_path("damaged")
    sealed = graphd.raw.read(name)
    for at in (30, 100, 250, 350, 410, PAYLOAD + 5, PAYLOAD + 65552 + 5,
               len(sealed) - 3):
        broken = bytearray(sealed)
        broken[at] ^= 1
        graphd.raw.put(name, bytes(broken))
        signed_in.wipe()
        mnt = signed_in.mount()
        with pytest.raises(OSError):
            (mnt / "damaged").read_bytes()
        assert (mnt / "good").read_bytes() == b"good"
        mnt.unmount()


@pytest.mark.configs("personal-vault")
def test_old_version_put_back(signed_in, mnt, graphd):
    trees.write(mnt / "f", b"one")
    signed_in.flush()
    old = graphd.raw.read(graphd.raw_path("f"))
    trees.write(mnt / "f", b"two two")
    signed_in.flush()
    graphd.raw.put(graphd.raw_path("f"), old)
    proc.wait_until(lambda: _error_of(mnt / "f"), 20, "the refusal")
    assert "older version" in signed_in.log.read_text(errors="replace")


def _error_of(path):
    try:
        path.read_bytes()
    except OSError as e:
        return e
    return None


@pytest.mark.configs("personal-vault")
def test_one_request_for_a_new_file(signed_in, mnt, graphd):
    """1,000 files in 20 folders: at most 1.1 requests each."""
    trees.write(mnt / "warm", b"up")
    signed_in.flush()
    before = graphd.total_requests()
    for d in range(20):
        (mnt / f"d{d}").mkdir()
        for f in range(50):
            trees.write(mnt / f"d{d}" / f"f{f}", b"%d %d" % (d, f))
    signed_in.flush(timeout=100)
    assert graphd.total_requests() - before <= 1100


@pytest.mark.configs("personal-vault")
def test_empty_is_a_claim(signed_in, mnt, graphd):
    """A file cut down to the size of an empty one is an error, not empty."""
    trees.write(mnt / "cut", b"content")
    trees.write(mnt / "gone", b"content")
    trees.write(mnt / "empty", b"")
    signed_in.flush()
    mnt.unmount()
    for name, left in (("cut", sealed.sealed_size(0)), ("gone", 0)):
        raw = graphd.raw_path(name)
        graphd.raw.put(raw, graphd.raw.read(raw)[:left])
    signed_in.wipe()
    mnt = signed_in.mount()
    for name in ("cut", "gone"):
        with pytest.raises(OSError):
            (mnt / name).read_bytes()
    assert (mnt / "empty").read_bytes() == b""
    graphd.stop()  # it was looked at once
    assert (mnt / "empty").read_bytes() == b""
