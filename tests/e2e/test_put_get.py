"""Goal: put and get without a mount lose nothing, whatever the service does.

A name is replaced by id and tag, never blindly; an outcome nobody knows is
looked up; what is on the disk afterwards is whole or not there at all."""

import json
import os
import signal
import stat
import subprocess

import pytest

from kit import proc, sealed, trees

pytestmark = pytest.mark.configs("personal", "work")

MIB = 2**20
both = pytest.mark.configs("personal", "work", "personal-vault",
                           "work-60-vault")
vaults = pytest.mark.configs("personal-vault", "work-60-vault")


def put(machine, path, *args, check=0, **kw):
    return machine.run("put", path, *args, check=check, **kw).stdout.strip()


def no_leftovers(folder):
    return [p for p in os.listdir(folder) if p.startswith(".nmbackupfs")] == []


@pytest.fixture
def folder(signed_in, base, config):
    """It is there, and in a vault with its descriptor: what a test does to
    the service hits the file."""
    if "vault" in config:
        trees.write(base / "begun", b"")
        put(signed_in, base / "begun")


# -- without a sign-in --------------------------------------------------------

@pytest.mark.parametrize("command", ["put", "get"])
def test_no_token(machine, base, command):
    trees.write(base / "f", b"f")
    done = machine.run(command, base / "f", check=3)
    assert done.stderr == ("No token available; please run `nmbackupfs auth` "
                           "first\n")


def test_revoked_sign_in(signed_in, base, graphd):
    trees.write(base / "f", b"f")
    graphd.login(revoke_refresh=True, expire_access=True)
    done = signed_in.run("put", base / "f", check=3)
    assert "nmbackupfs auth" in done.stderr


# -- what the service does to a put ---------------------------------------------

TROUBLE = [
    ("any", 2, dict(status=429, retry_after=1)),
    ("any", 2, dict(status=503)),
    ("any", 2, dict(status=502, body="html")),
    ("any", 2, dict(drop="before")),
    ("any", 2, dict(drop="after")),
    ("create", 1, dict(drop="after")),
    ("session", 1, dict(drop="after")),
    ("fragment", 1, dict(drop="after")),
    ("fragment", 1, dict(status=504, effect=True)),
    ("fragment", 1, dict(body="empty", status=201, effect=True)),
    ("fragment", 1, dict(expire="session")),
    ("fragment", 1, dict(hash="none")),
    ("put", 1, dict(drop="after")),
    ("put", 1, dict(status=504, effect=True)),
]


@pytest.mark.parametrize("cls, times, what", TROUBLE, ids=[
    c + "-" + "-".join(f"{a}.{b}" for a, b in w.items())
    for c, _, w in TROUBLE])
@pytest.mark.parametrize("again", [False, True], ids=["new", "again"])
@pytest.mark.configs("personal", "personal-vault")
@pytest.mark.usefixtures("folder")
def test_put_through_trouble(signed_in, base, graphd, cls, times, what, again):
    data = b"" if cls == "put" else trees.payload("p", 5 * MIB)
    name = "d/p" if cls == "create" else "p"
    before = []
    if again:
        if cls == "create":
            pytest.skip("the folder is there")
        trees.write(base / "p", b"before")
        first = put(signed_in, base / "p")
        before = [b"before"]
    graphd.fault(None if cls == "any" else cls, times, **what)
    trees.write(base / "p", data)
    item_id = put(signed_in, base / "p", "--as", name)
    assert graphd.fired()
    assert graphd.item(name)["id"] == item_id
    assert graphd.versions(name) == before + [data]
    if again:
        assert item_id == first


@pytest.mark.parametrize("quirk", [
    dict(tag_on_open=2), dict(tag_on_open=1), dict(final_answer=1),
    dict(final_answer=2), dict(final_answer=3), dict(no_hash=1),
    dict(hash_delay_ms=4000), dict(status_409_for_412=1, tag_on_open=2),
    dict(settle_ms=200)], ids=str)
def test_put_and_quirks(signed_in, base, graphd, quirk):
    graphd.quirk(**quirk)
    for i, data in enumerate((b"one", b"two", trees.payload("t", MIB))):
        trees.write(base / "p", data)
        item_id = put(signed_in, base / "p")
        assert graphd.read("p") == data
        assert graphd.item("p")["versions"] == i
    assert graphd.item("p")["id"] == item_id


def test_another_device_is_not_overwritten(signed_in, base, graphd):
    """Its content comes between our look and our commit."""
    trees.write(base / "p", b"ours, first")
    put(signed_in, base / "p")
    trees.write(base / "p", trees.payload("p", 8 * MIB))
    graphd.limit(up=2 * MIB)
    process = signed_in.popen("put", base / "p", stderr=subprocess.PIPE,
                              text=True)
    graphd.wait_request("fragment")
    graphd.put("p", b"theirs")
    graphd.limit(up=0)
    _, said = process.communicate(timeout=proc.patience(60))
    assert process.returncode == 1 and "changed by somebody else" in said
    assert graphd.read("p") == b"theirs"


def test_another_device_makes_the_name(signed_in, base, graphd):
    trees.write(base / "p", trees.payload("p", 8 * MIB))
    graphd.limit(up=2 * MIB)
    process = signed_in.popen("put", base / "p", stderr=subprocess.PIPE,
                              text=True)
    graphd.wait_request("fragment")
    graphd.put("p", b"theirs")
    graphd.limit(up=0)
    _, said = process.communicate(timeout=proc.patience(60))
    assert process.returncode == 1 and "changed by somebody else" in said
    assert graphd.read("p") == b"theirs"


@both
@pytest.mark.usefixtures("folder")
def test_corrupted_on_the_way(signed_in, base, graphd):
    trees.write(base / "p", trees.payload("p", 5 * MIB))
    graphd.fault("fragment", hash="wrong")
    done = signed_in.run("put", base / "p", check=1)
    assert "other bytes" in done.stderr and not done.stdout


@both
@pytest.mark.usefixtures("folder")
def test_full_drive(signed_in, base, graphd):
    graphd.set_quota(remaining=1000)
    trees.write(base / "p", bytes(MIB))
    done = signed_in.run("put", base / "p", check=1)
    assert "full" in done.stderr


@both
def test_interrupted_put_leaves_nothing(signed_in, base, graphd):
    trees.write(base / "p", bytes(8 * MIB))
    graphd.limit(up=MIB)
    process = signed_in.popen("put", base / "p", stderr=subprocess.PIPE,
                              text=True)
    graphd.wait_request("fragment")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=proc.patience(20))
    assert process.returncode == 1 and "interrupted" in said
    graphd.limit(up=0)
    proc.wait_until(lambda: not graphd.sessions(), 20,
                    "the session's end at the service")
    assert not graphd.item("p", missing_ok=True)


# -- vaults -------------------------------------------------------------------

def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@vaults
def test_put_into_a_vault(signed_in, base, graphd):
    """Without a mount and twice, then read without one and through one that
    knows nothing yet."""
    def get_it(what):
        signed_in.run("get", what, "-o", base / "out", check=0)
        assert (base / "out").read_bytes() == b"two"
        assert (base / "out").stat().st_mtime_ns == 10**18 + 7
        assert mode_of(base / "out") == 0o750
        (base / "out").unlink()

    name = "2026/11/daily: p"
    trees.write(base / "p", b"one")
    os.utime(base / "p", ns=(10**18, 10**18 + 123_456_789))
    first = put(signed_in, base / "p", "--as", name)
    assert graphd.read(name) == b"one"
    assert all(0x4e00 <= ord(c) <= 0x8dff for folder in graphd.raw.names()
               for c in folder if not folder.startswith(".nmbackupfs"))
    trees.write(base / "p", b"two")
    os.utime(base / "p", ns=(10**18, 10**18 + 7))
    (base / "p").chmod(0o750)
    assert put(signed_in, base / "p", "--as", name) == first
    assert graphd.versions(name) == [b"one", b"two"]
    get_it(name)
    get_it(first)
    signed_in.wipe()
    mnt = signed_in.mount()
    assert (mnt / name).read_bytes() == b"two"
    assert (mnt / name).stat().st_mtime_ns == 10**18 + 7
    assert mode_of(mnt / name) == 0o750
    get_it(name)
    get_it(first)


SMALL = 4 * MIB - sealed.HEADER - 64 * sealed.TAG  # goes in one request


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, SMALL,
                                  SMALL + 1, 5 * MIB])
@pytest.mark.configs("personal-vault")
def test_sizes_in_a_vault(signed_in, base, graphd, size):
    """Up to 4 MiB there in one request, more in a session."""
    data = trees.payload("s", size)
    trees.write(base / "s", data)
    item_id = put(signed_in, base / "s")
    assert graphd.requests().get("session", 0) == (size > SMALL)
    assert graphd.read("s") == data
    for what in ("s", item_id):
        done = subprocess.run(signed_in.command("get", what),
                              env=signed_in.env, capture_output=True,
                              timeout=proc.patience(30), check=True)
        assert done.stdout == data


@pytest.mark.configs("personal-vault")
def test_one_version_follows_another(signed_in, base, graphd):
    """What the mount has read is older than what put makes of it."""
    mnt = signed_in.mount()
    (mnt / "p").write_bytes(b"one")
    signed_in.flush()
    mnt.unmount()
    for i in (b"two", b"three"):
        trees.write(base / "p", i)
        put(signed_in, base / "p")
    mnt = signed_in.mount()
    proc.wait_until(lambda: (mnt / "p").read_bytes() == b"three", 20,
                    "what was put")
    (mnt / "p").write_bytes(b"four")
    signed_in.flush()
    assert graphd.versions("p") == [b"one", b"two", b"three", b"four"]


@pytest.mark.configs("personal-vault")
@pytest.mark.parametrize("damage", ["header", "chunk", "end", "older",
                                    "another"])
def test_damaged_content_is_not_taken(signed_in, base, graphd, damage):
    mnt = signed_in.mount()
    (mnt / "p").write_bytes(trees.payload("1", 200_000))
    (mnt / "q").write_bytes(trees.payload("q", 200_000))
    signed_in.flush()
    old = graphd.raw.read(graphd.raw_path("p"))
    other = graphd.raw.read(graphd.raw_path("q"))
    with open(mnt / "p", "r+b") as f:
        f.write(b"new")
    signed_in.flush()
    mnt.unmount()
    data = bytearray(graphd.raw.read(graphd.raw_path("p")))
    if damage == "older":
        data = old
    elif damage == "another":
        data = other
    else:
        at = {"header": 60, "chunk": 100_000, "end": len(data) - 1}[damage]
        data[at] ^= 1
    graphd.raw.put(graphd.raw_path("p"), bytes(data))
    trees.write(base / "out", b"old")
    done = signed_in.run("get", "p", "-o", base / "out", check=1)
    assert '"p": ' in done.stderr
    assert (base / "out").read_bytes() == b"old" and no_leftovers(base)
    signed_in.run("get", "q", "-o", base / "q", check=0)
    trees.write(base / "p", b"healed")
    put(signed_in, base / "p")
    signed_in.run("get", "p", "-o", base / "out", check=0)
    assert (base / "out").read_bytes() == b"healed"


@pytest.mark.configs("personal-vault")
def test_two_of_one_name(signed_in, base, graphd):
    """The one that mounts show under it, and the other under its alias."""
    mnt = signed_in.mount()
    (mnt / "p.txt").write_bytes(b"first")
    (mnt / "q.txt").write_bytes(b"second")
    os.utime(mnt / "q.txt", (1_600_000_000, 1_600_000_000))  # never p's
    signed_in.flush()
    first, second = (graphd.item(n)["id"] for n in ("p.txt", "q.txt"))
    graphd.rename("q.txt", "p.txt")
    proc.wait_until(lambda: len(os.listdir(mnt.path)) == 2
                    and not (mnt / "q.txt").exists(), 20, "the rename")
    alias, = set(os.listdir(mnt.path)) - {"p.txt"}
    assert "(conflict " in alias
    shown = {name: (mnt / name).read_bytes() for name in ("p.txt", alias)}
    assert set(shown.values()) == {b"first", b"second"}
    mnt.unmount()
    for name, data in shown.items():
        signed_in.run("get", name, "-o", base / name, check=0)
        assert (base / name).read_bytes() == data
    trees.write(base / "new", b"third")
    theirs = first if shown[alias] == b"first" else second
    assert put(signed_in, base / "new", "--as", alias) == theirs


@vaults
def test_who_is_no_member(signed_in, second_machine, base):
    trees.write(base / "p", b"p")
    item_id = put(signed_in, base / "p")
    for args in (["put", base / "p"], ["get", "p", "-o", base / "out"],
                 ["get", item_id, "-o", base / "out"]):
        done = second_machine.run(*args, check=4)
        assert "nmbackupfs vault add age1" in done.stderr
        assert "--recovery-key FILE" in done.stderr
    assert not (base / "out").exists()


def age(identity, data):
    return subprocess.run(["age", "-d", "-i", identity], input=data,
                          capture_output=True, check=False)


def key_of_now(graphd, path):
    """The secret key of the vault's active epoch, into a file."""
    text = age(graphd.recovery_key, graphd.raw.read(".nmbackupfs/vault.age"))
    path.write_text(next(e["identity"] for e in json.loads(text.stdout)["epochs"]
                         if e["active"]))
    return path


@pytest.mark.configs("personal-vault")
@pytest.mark.usefixtures("folder")
def test_new_key_between_two_files(signed_in, base, graphd):
    """Nothing is sealed with a key that was replaced meanwhile."""
    old = key_of_now(graphd, base / "old")
    trees.write(base / "p", trees.payload("p", 8 * MIB))
    trees.write(base / "q", b"q")
    graphd.limit(up=2 * MIB)
    process = signed_in.popen("put", base / "p", base / "q")
    graphd.wait_request("fragment")
    signed_in.run("vault", "rotate", check=0)
    graphd.limit(up=0)
    assert process.wait(proc.patience(60)) == 0
    new = key_of_now(graphd, base / "new")
    p, q = (graphd.raw.read(graphd.raw_path(name)) for name in "pq")
    assert age(old, p).returncode == 0 and age(old, q).returncode != 0
    assert age(new, q).stdout == b"q"


@pytest.mark.configs("personal-vault")
def test_who_was_removed(signed_in, second_machine, base):
    trees.write(base / "p", b"p")
    put(signed_in, base / "p")
    second_machine.run("vault", "join", "--recovery-key",
                       signed_in.recovery_key, "--label", "second", check=0)
    assert second_machine.run("get", "p", check=0).stdout == "p"
    signed_in.run("vault", "remove", "second", "--yes", check=0)
    second_machine.run("get", "p", check=4)
    second_machine.run("put", base / "p", check=4)


@pytest.mark.configs("personal-vault")
def test_put_makes_no_vault_unasked(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    signed_in.env["NMBACKUPFS_RECOVERY_KEY_OUT"] = ""
    done = signed_in.run("put", base / "p", check=9)
    assert "--recovery-key-out" in done.stderr
    signed_in.run("get", "p", "-o", base / "out", check=1)
    graphd.raw.put("ordinary", b"o")
    signed_in.run("put", base / "p", "--no-recovery-key", check=2)
    assert graphd.raw.read("ordinary") == b"o"
    assert len(graphd.raw.files()) == 1


@pytest.mark.configs("personal-vault")
def test_file_that_changes_while_it_is_sent(signed_in, base, graphd, folder):
    trees.write(base / "p", trees.payload("p", 8 * MIB))
    graphd.limit(up=2 * MIB)
    process = signed_in.popen("put", base / "p", stderr=subprocess.PIPE,
                              text=True)
    graphd.wait_request("fragment")
    with open(base / "p", "r+b") as f:
        f.write(bytes(8 * MIB))
    graphd.limit(up=0)
    _, said = process.communicate(timeout=proc.patience(60))
    assert process.returncode == 1 and "changed while" in said
    assert not graphd.item("p", missing_ok=True)


# -- names --------------------------------------------------------------------

@pytest.mark.plain("it looks at names as the drive has them")
def test_as_makes_folders(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    put(signed_in, base / "p", "--as", "2026/11/daily: p")
    assert graphd.read("2026/11/daily： p") == b"p"
    out = base / "back"
    signed_in.run("get", "2026/11/daily: p", "-o", out, check=0)
    assert out.read_bytes() == b"p"


@pytest.mark.plain("the kit opens one vault")
def test_folder_of_the_drive(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    put(signed_in, base / "p", "--folder", "Backups/db one")
    assert graphd.read("p", folder="Backups/db one") == b"p"


@pytest.mark.parametrize("name", ["..", "a/../b", "", "d/.."])
def test_no_names(signed_in, base, graphd, name):
    trees.write(base / "p", b"p")
    done = signed_in.run("put", base / "p", "--as", name)
    assert done.returncode in (1, 2) and done.stderr
    assert not graphd.files()


def test_equal_names_are_not_mixed_up(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    graphd.put("Package", b"theirs")
    done = signed_in.run("put", base / "p", "--as", "package", check=1)
    assert "Package" in done.stderr
    assert graphd.read("Package") == b"theirs"
    done = signed_in.run("get", "package", "-o", base / "out", check=1)
    assert "Package" in done.stderr and not (base / "out").exists()


def test_what_is_no_file(signed_in, base, graphd):
    os.mkfifo(base / "fifo")
    signed_in.run("put", base / "fifo", timeout=20, check=1)
    signed_in.run("put", base, check=1)
    graphd.mkdir("folder")
    trees.write(base / "f", b"f")
    signed_in.run("put", base / "f", "--as", "folder", check=1)
    signed_in.run("put", base / "f", "--as", "folder/f", check=0)
    signed_in.run("put", base / "f", "--as", "folder/f/f", check=1)
    signed_in.run("get", "folder", "-o", base / "out", check=1)
    assert not (base / "out").exists()


def test_options_of_the_command(signed_in, base, graphd):
    """-o and -f belong to a command; -- ends options."""
    trees.write(base / "-f", b"dash")
    signed_in.run("put", "--", "-f", cwd=base, check=0)
    assert graphd.read("-f") == b"dash"
    signed_in.run("get", "-o", base / "out", "--", "-f", check=0)
    assert (base / "out").read_bytes() == b"dash"
    for args in (["put"], ["get"], ["get", "a", "b"], ["put", "--bogus", "x"],
                 ["put", "a", "b", "--as", "c"], ["get", "", "-o", "x"]):
        signed_in.run(*args, check=2)
    for command in ("put", "get", "status", "flush", "umount"):
        assert signed_in.run(command, "--help", check=0).stdout


# -- what comes down ------------------------------------------------------------

@both
def test_mtime_goes_there_and_back(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    os.utime(base / "p", (1_600_000_000, 1_600_000_000))
    item_id = put(signed_in, base / "p")
    signed_in.run("get", item_id, "-o", base / "back", check=0)
    assert (base / "back").stat().st_mtime == 1_600_000_000


def test_into_a_directory(signed_in, base, graphd):
    graphd.put("d/p", b"p")
    (base / "in").mkdir()
    signed_in.run("get", "d/p", "-o", base / "in", check=0)
    assert (base / "in/p").read_bytes() == b"p"
    (base / "in/p").write_bytes(b"mine")
    done = signed_in.run("get", "d/p", "-o", base / "in", check=1)
    assert "already" in done.stderr
    assert (base / "in/p").read_bytes() == b"mine"
    item_id = graphd.item("d/p")["id"]
    (base / "in/p").unlink()
    signed_in.run("get", item_id, "-o", base / "in", check=0)
    assert (base / "in/p").read_bytes() == b"p"


def test_over_a_file(signed_in, base, graphd):
    graphd.put("p", b"new")
    out = base / "out"
    trees.write(out, b"old")
    out.chmod(0o640)
    (base / "link").symlink_to("out")
    signed_in.run("get", "p", "-o", base / "link", check=0)
    assert out.read_bytes() == b"new" and (base / "link").is_symlink()
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    signed_in.run("get", "p", "-o", "/dev/null", check=0)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert no_leftovers(base)


GET_TROUBLE = [
    ("download", 2, dict(status=503, retry_after=1), 0),
    ("download", 2, dict(truncate=1000), 0),
    ("download", 2, dict(drop="before", reset=True), 0),
    ("download", 1, dict(expire="url"), 0),
    ("download", 1, dict(range="ignore"), 0),
    ("any", 2, dict(status=429, retry_after=1), 0),
    ("download", 0, dict(corrupt=500), 1),
]


@pytest.mark.parametrize("cls, times, what, status", GET_TROUBLE, ids=[
    c + "-" + "-".join(f"{a}.{b}" for a, b in w.items())
    for c, _, w, _ in GET_TROUBLE])
@pytest.mark.configs("personal")
def test_get_through_trouble(signed_in, base, graphd, cls, times, what, status):
    data = trees.payload("g", 3 * MIB)
    graphd.put("p", data)
    trees.write(base / "out", b"old")
    graphd.fault(None if cls == "any" else cls, times, **what)
    signed_in.run("get", "p", "-o", base / "out", check=status)
    assert graphd.fired()
    assert (base / "out").read_bytes() == (data if status == 0 else b"old")
    assert no_leftovers(base)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_get_leaves_nothing(signed_in, base, graphd, sig):
    graphd.put("p", trees.payload("p", 8 * MIB))
    graphd.limit(down=MIB)
    process = signed_in.popen("get", "p", "-o", base / "out",
                              stderr=subprocess.DEVNULL)
    graphd.wait_request("download")
    process.send_signal(sig)
    assert process.wait(proc.patience(10)) == 1
    assert not (base / "out").exists() and no_leftovers(base)


def test_a_slow_reader_and_one_that_leaves(signed_in, graphd):
    """Standard output: nothing is lost in between, nothing hangs."""
    data = trees.payload("p", 12 * MIB)
    graphd.put("p", data)
    process = signed_in.popen("get", "p", stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    graphd.wait_request("download", timeout=20)
    assert process.stdout.read() == data
    process.stdout.close()
    assert process.wait(proc.patience(20)) == 0
    process = signed_in.popen("get", "p", stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    assert process.stdout.read(10) == data[:10]
    process.stdout.close()
    assert process.wait(proc.patience(20)) != 0


# -- beside a mount -------------------------------------------------------------

@both
def test_put_through_the_mount_keeps_the_id(signed_in, mnt, base, graphd):
    trees.write(base / "p", b"one")
    os.utime(base / "p", (1_600_000_000, 1_600_000_000))
    first = put(signed_in, base / "p", "--as", "sub/p")
    assert (mnt / "sub/p").stat().st_mtime == 1_600_000_000
    (base / "made here").mkdir()
    assert (mnt / "sub").stat().st_mode == (base / "made here").stat().st_mode
    trees.write(base / "p", trees.payload("p", MIB))
    assert put(signed_in, base / "p", "--as", "sub/p") == first
    assert graphd.versions("sub/p") == [b"one", trees.payload("p", MIB)]
    assert graphd.names() == {"sub"} and len(graphd.files()) == 1


def test_get_through_the_mount(signed_in, mnt, base, graphd):
    """What is not sent yet is there too; by id it comes from the service."""
    graphd.stop()
    (mnt / "p").write_bytes(b"unsent")
    signed_in.run("get", "p", "-o", base / "out", check=0)
    assert (base / "out").read_bytes() == b"unsent"
    signed_in.run("get", mnt / "p", "-o", base / "out2", check=0)
    assert (base / "out2").read_bytes() == b"unsent"
    graphd.start()
    signed_in.flush()
    item_id = graphd.item("p")["id"]
    out = subprocess.run(signed_in.command("get", item_id), env=signed_in.env,
                         capture_output=True, timeout=proc.patience(30),
                         check=True)
    assert out.stdout == b"unsent"
    signed_in.run("get", "nothing", "-o", base / "out3", check=1)


def test_put_into_a_read_only_mount(signed_in, base, graphd):
    trees.write(base / "p", b"p")
    graphd.put("there", b"t")
    mnt = signed_in.mount("--read-only")
    proc.wait_until(lambda: (mnt / "there").exists(), 20, "the folder")
    done = signed_in.run("put", base / "p", check=1)
    assert "Read-only" in done.stderr
