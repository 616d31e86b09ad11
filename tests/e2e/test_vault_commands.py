"""Goal: a vault can be handed on, taken back and restored by commands alone,
on machines that have nothing but the account and a key."""

import os
import re
import subprocess

import pytest

from kit import proc, program, trees
from test_vault import assert_restored, make_home

pytestmark = pytest.mark.configs("personal-vault")

DIFFERENCES = ["rsync", "-anO", "--delete", "--itemize-changes", "--checksum"]


@pytest.fixture
def drive(graphd):
    """The server as the service sees it: sealed names."""
    return graphd.raw


def recipient(machine):
    return machine.run("key", "show", check=0).stdout.strip()


def add(member, machine, label="second"):
    """`vault add`; the enrolment code."""
    done = member.run("vault", "add", recipient(machine), "--label", label,
                      check=0)
    return re.search(r"--code (vault1\S+)", done.stdout).group(1)


def join(member, machine, label="second"):
    code = add(member, machine, label)
    machine.run("vault", "join", "--code", code, check=0)


def info(machine):
    out = machine.run("vault", "info", check=0).stdout
    return {line[:14].strip(): line[14:].strip()
            for line in out.splitlines() if line.strip()}


def members(machine):
    out = machine.run("vault", "members", check=0).stdout
    return {line.split(None, 3)[-1].strip() if line[0] != "*" else
            line[1:].split(None, 2)[-1].strip(): line
            for line in out.splitlines()}


def fill(machine, mnt, base):
    source = make_home(base / "source")
    subprocess.run(["cp", "-a", f"{source}/.", mnt.path], check=True,
                   timeout=100)
    machine.flush()
    return source


def assert_same(source, machine):
    """The mount of a machine that never saw it shows what was put in."""
    mnt = machine.mount()
    proc.wait_until(lambda: _link(mnt / "far"), 30, "a link's target")
    done = subprocess.run([*DIFFERENCES, f"{source}/", f"{mnt.path}/"],
                          capture_output=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert_restored(source, mnt.path)
    mnt.unmount()


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


# ---- joining -----------------------------------------------------------------

def test_second_machine_added(signed_in, mnt, base, second_machine):
    source = fill(signed_in, mnt, base)
    join(signed_in, second_machine)
    assert_same(source, second_machine)
    assert "on trust" not in second_machine.log.read_text(errors="replace")


def test_second_machine_by_recovery_key(signed_in, mnt, base, second_machine):
    source = fill(signed_in, mnt, base)
    second_machine.run("vault", "join", "--recovery-key",
                       signed_in.recovery_key, "--label", "again", check=0)
    assert_same(source, second_machine)
    assert "again" in signed_in.run("vault", "members", check=0).stdout
    secret = re.search(r"^AGE-SECRET-KEY-\S+", signed_in.recovery_key
                       .read_text(), re.M).group(0)
    for path in second_machine.home.rglob("*"):
        if path.is_file():
            assert secret not in path.read_text(errors="replace")


def test_info_and_members(signed_in, mnt, second_machine):
    before = info(signed_in)
    assert before["generation"] == "1"
    assert before["this device"] == "home"
    assert before["recovery key"] == "yes"
    done = second_machine.run("vault", "info", check=program.NO_MEMBER)
    assert "vault add age1" in done.stderr
    join(signed_in, second_machine, "Büro 2")
    assert info(second_machine) == {
        **info(signed_in), "this device": "Büro 2"}
    out = signed_in.run("vault", "members", check=0).stdout
    assert len(out.splitlines()) == 3
    assert recipient(second_machine) in out
    assert f"* device    {recipient(signed_in)}  home" in out


def test_info_without_network(signed_in, mnt, drive):
    drive.stop()
    done = signed_in.run("vault", "info", check=0, timeout=200)
    assert "seen last" in done.stderr
    assert "home" in done.stdout
    drive.start()


def test_add_refuses(signed_in, mnt, second_machine):
    key = recipient(second_machine)
    broken = key[:-1] + ("q" if key[-1] != "q" else "p")
    run = signed_in.run
    assert "mistyped" in run("vault", "add", broken, "--label", "x",
                             check=program.USAGE).stderr
    run("vault", "add", key, check=1)  # the label of this device
    assert "home" in run("vault", "add", key, "--label", "home",
                         check=1).stderr
    code = add(signed_in, second_machine)
    assert add(signed_in, second_machine) == code  # again: the same
    assert '"second"' in run("vault", "add", key, "--label", "third",
                             check=1).stderr
    assert info(signed_in)["generation"] == "2"


def test_code_with_one_character_wrong(signed_in, mnt, second_machine):
    code = add(signed_in, second_machine)
    at = 40
    wrong = code[:at] + ("q" if code[at] != "q" else "p") + code[at + 1:]
    done = second_machine.run("vault", "join", "--code", wrong,
                              check=program.USAGE)
    assert "mistyped" in done.stderr
    second_machine.run("vault", "join", "--code", code.upper(), check=0)


def test_code_before_the_add(signed_in, mnt, second_machine):
    """The code may come first: it is pinned, and the exit status says that
    this is not all."""
    code = add(signed_in, second_machine)
    signed_in.run("vault", "remove", "second", "--yes", check=0)
    code = signed_in.run(
        "vault", "add", recipient(signed_in), "--label", "home",
        check=0).stdout.split()[-1]
    second_machine.run("vault", "join", "--code", code,
                       check=program.NO_MEMBER)
    add(signed_in, second_machine)
    mnt2 = second_machine.mount()
    trees.write(mnt2 / "f", b"f")
    second_machine.flush()
    assert "on trust" not in second_machine.log.read_text(errors="replace")


def test_two_change_it_at_once(signed_in, mnt, second_machine):
    """Both changes are there in the end."""
    join(signed_in, second_machine)
    both = [m.popen("vault", "rotate", stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
            for m in (signed_in, second_machine) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.startswith(b"epoch ")
    assert info(signed_in)["epochs"] == "5 (number 5 in use)"


# ---- keys --------------------------------------------------------------------

def test_export_and_import(signed_in, mnt, second_machine):
    mnt.unmount()
    key = signed_in.base / "key.txt"
    signed_in.run("key", "export", key, check=0)
    assert key.stat().st_mode & 0o777 == 0o600
    text = key.read_text()
    signed_in.run("key", "export", key, check=program.USAGE)
    assert key.read_text() == text
    plain = subprocess.run(["age-keygen", "-y", str(key)], check=True,
                           capture_output=True, text=True).stdout.strip()
    assert plain == recipient(signed_in)
    # Another key stands there.
    own = recipient(second_machine)
    second_machine.run("key", "import", key, check=program.USAGE)
    assert recipient(second_machine) == own
    kept = second_machine.base / "kept.txt"
    second_machine.run("key", "import", key, "--keep", kept, check=0)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert recipient(second_machine) == recipient(signed_in)
    second_machine.run("key", "import", key, check=0)  # again is fine
    second_machine.mount().unmount()
    second_machine.run("key", "import", kept, check=program.USAGE)
    assert subprocess.run(["age-keygen", "-y", str(kept)], check=True,
                          capture_output=True, text=True).stdout.strip() == own


def test_export_under_a_passphrase(signed_in, second_machine):
    mine = recipient(signed_in)
    key = signed_in.base / "key.age"
    phrase = signed_in.base / "phrase"
    phrase.write_text("correct horse\n")
    signed_in.run("key", "export", key, "--passphrase",
                  check=program.NO_TERMINAL)
    signed_in.run("key", "export", key, "--passphrase-from",
                  f"cat {phrase}", check=0)
    assert key.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    done = second_machine.run("key", "import", key, "--passphrase-from",
                              "echo other", check=1)
    assert "passphrase" in done.stderr
    second_machine.run("key", "import", key, "--passphrase-from",
                       f"cat {phrase}", check=0)
    assert recipient(second_machine) == mine


def test_import_of_nonsense(signed_in):
    bad = signed_in.base / "bad"
    for text in ("", "hello\n", "# only a comment\n", "AGE-SECRET-KEY-1ABC\n"):
        bad.write_text(text)
        signed_in.run("key", "import", bad, check=program.USAGE)
    signed_in.run("key", "import", signed_in.base / "none",
                  check=program.USAGE)


def test_import_while_mounted(signed_in, mnt):
    key = signed_in.base / "key.txt"
    signed_in.run("key", "export", key, check=0)
    signed_in.run("key", "import", key, check=program.BUSY)


def test_new_recovery_key(signed_in, mnt, drive):
    new = signed_in.base / "new.recovery"
    trees.write(mnt / "old", b"old")
    signed_in.flush()
    old_name = sealed_names(drive).pop()
    signed_in.run("key", "recovery", "--recovery-key-out", new, check=0)
    trees.write(mnt / "new", b"new")
    signed_in.flush()
    new_name = (sealed_names(drive) - {old_name}).pop()
    assert opens(drive, new_name, new) == b"new"
    assert opens(drive, new_name, signed_in.recovery_key) is None
    assert opens(drive, old_name, signed_in.recovery_key) == b"old"
    assert info(signed_in)["members"] == "2 (1 devices)"
    signed_in.run("key", "recovery", "--recovery-key-out", new,
                  check=program.USAGE)
    signed_in.env["NMBACKUPFS_RECOVERY_KEY_OUT"] = ""
    signed_in.run("key", "recovery", check=program.NO_TERMINAL)


def sealed_names(drive):
    return {n for n in drive.files() if not n.startswith(".nmbackupfs")}


def opens(drive, name, key):
    done = subprocess.run(["age", "-d", "-i", str(key)], check=False,
                          input=drive.read(name), capture_output=True)
    return done.stdout if done.returncode == 0 else None


# ---- removing ----------------------------------------------------------------

def test_removed_machine(signed_in, mnt, second_machine, drive):
    """It reads what it could read, nothing new, and sends nothing more."""
    trees.write(mnt / "old", b"old")
    signed_in.flush()
    join(signed_in, second_machine)
    mnt2 = second_machine.mount()
    assert (mnt2 / "old").read_bytes() == b"old"
    signed_in.run("vault", "remove", "second", check=program.NO_TERMINAL)
    signed_in.run("vault", "remove", "nobody", "--yes", check=1)
    done = signed_in.run("vault", "remove", "second", "--yes", check=0)
    assert "sign-in" in done.stderr and "reseal" in done.stderr
    signed_in.run("vault", "rotate", check=0)
    proc.wait_until(lambda: "nothing is sent" in
                    second_machine.log.read_text(errors="replace"), 20,
                    "the refusal")
    trees.write(mnt / "new", b"new")
    signed_in.flush()
    trees.write(mnt2 / "mine", b"mine")
    proc.wait_until(lambda: "new" in os.listdir(mnt2.path), 20, "the listing")
    assert _read(mnt2 / "new") is None
    assert (mnt2 / "old").read_bytes() == b"old"
    assert (mnt2 / "mine").read_bytes() == b"mine"
    before = len(sealed_names(drive))
    done = second_machine.run("flush", "--timeout", "2", timeout=30)
    assert done.returncode != 0
    assert len(sealed_names(drive)) == before == 2
    done = second_machine.run("vault", "info", check=program.NO_MEMBER)
    assert "not a member" in done.stderr


def test_last_member_stays(signed_in, mnt):
    signed_in.run("vault", "remove", "recovery", "--yes", check=0)
    assert info(signed_in)["recovery key"] == "none"
    done = signed_in.run("vault", "remove", "home", "--yes", check=1)
    assert "last member" in done.stderr


# ---- reseal ------------------------------------------------------------------

def header_of(data):
    return data[:407]


def test_reseal(signed_in, mnt, base, second_machine, drive):
    """Afterwards no file is of the old epoch; nothing changed for readers."""
    source = make_home(base / "source")
    trees.write(source / "large", trees.payload(7, 5_000_000))
    subprocess.run(["cp", "-a", f"{source}/.", mnt.path], check=True,
                   timeout=100)
    signed_in.flush()
    join(signed_in, second_machine)
    new = signed_in.base / "new.recovery"
    signed_in.run("key", "recovery", "--recovery-key-out", new, check=0)
    names = sealed_names(drive)
    before = {n: drive.read(n) for n in names}
    done = signed_in.run("vault", "reseal", mnt / "private", check=0)
    assert "3 files" in done.stderr
    done = signed_in.run("vault", "reseal", check=0, timeout=200)
    assert f"{len(names) - 3} files" in done.stderr
    assert "3 were up to date" in done.stderr
    assert sealed_names(drive) == names
    for name in names:
        assert header_of(drive.read(name)) != header_of(before[name])
        assert opens(drive, name, new) is not None
        assert opens(drive, name, signed_in.recovery_key) is None
    # Again: nothing is left to do, and only headers are read.
    down = drive.bytes_down()
    done = signed_in.run("vault", "reseal", check=0, timeout=200)
    assert re.search(r"^0 files", done.stderr, re.M)
    assert drive.bytes_down() - down < 1_000_000
    assert_same(source, second_machine)
    assert_restored(source, mnt.path)


def test_reseal_leaves_what_is_damaged(signed_in, mnt, drive):
    trees.write(mnt / "good", b"good")
    signed_in.flush()
    good = sealed_names(drive)
    trees.write(mnt / "bad", b"bad")
    signed_in.flush()
    [bad] = sealed_names(drive) - good
    mnt.unmount()
    signed_in.run("vault", "rotate", check=0)
    broken = bytearray(drive.read(bad))
    broken[-1] ^= 1
    drive.put(bad, bytes(broken))
    done = signed_in.run("vault", "reseal", check=1)
    assert "nmbackupfs: bad: " in done.stderr
    assert "1 files" in done.stderr
    assert drive.read(bad) == broken
    signed_in.run("vault", "reseal", "nothing", check=1)


# ---- what is put there by others ---------------------------------------------

def put_back_old(machine, mnt, drive):
    """An older version of `f` lies on the drive and is refused."""
    trees.write(mnt / "f", b"one")
    machine.flush()
    old = drive.read(sealed_names(drive).pop())
    trees.write(mnt / "f", b"two two")
    machine.flush()
    drive.put(sealed_names(drive).pop(), old)
    proc.wait_until(lambda: _read(mnt / "f") is None, 20, "the refusal")


def test_accept(signed_in, mnt, drive):
    put_back_old(signed_in, mnt, drive)
    signed_in.run("vault", "accept", mnt / "none", check=1)
    signed_in.run("vault", "accept", mnt / "f", check=0)
    proc.wait_until(lambda: _read(mnt / "f") == b"one", 20, "the old version")
    trees.write(mnt / "f", b"three")
    signed_in.flush()


def test_accept_unmounted(signed_in, mnt, drive):
    put_back_old(signed_in, mnt, drive)
    mnt.unmount()
    signed_in.run("vault", "accept", "none", check=1)
    signed_in.run("vault", "accept", "f", check=0)
    mnt = signed_in.mount()
    assert (mnt / "f").read_bytes() == b"one"


def test_reseal_takes_no_old_version(signed_in, mnt, drive):
    put_back_old(signed_in, mnt, drive)
    signed_in.run("vault", "rotate", check=0)
    done = signed_in.run("vault", "reseal", check=1)
    assert "vault accept" in done.stderr


def test_lower_generation(signed_in, mnt, drive):
    """vault.age of before a change is put back: commands refuse it."""
    old = drive.read(".nmbackupfs/vault.age")
    signed_in.run("vault", "rotate", check=0)
    drive.put(".nmbackupfs/vault.age", old)
    for command in (("info",), ("rotate",), ("reseal",)):
        done = signed_in.run("vault", *command, check=1)
        assert "earlier" in done.stderr or "older" in done.stderr
    assert drive.read(".nmbackupfs/vault.age") == old


def test_forged_descriptor(signed_in, mnt, drive, base, second_machine):
    """Who knows a recipient can seal a descriptor to it, not make it believed:
    one of another vault, for this device."""
    forger = second_machine
    forger.env["NMBACKUPFS_FOLDER"] = "other"
    forger.mount().unmount()
    add(forger, signed_in, "victim")
    forged = drive.read(".nmbackupfs/vault.age", folder="other")
    drive.put(".nmbackupfs/vault.age", forged)
    done = signed_in.run("vault", "info", check=1)
    assert "vault" in done.stderr
    signed_in.run("vault", "rotate", check=1)
    assert drive.read(".nmbackupfs/vault.age") == forged
    proc.wait_until(lambda: "nothing is sent" in
                    signed_in.log.read_text(errors="replace"), 20,
                    "the refusal")
