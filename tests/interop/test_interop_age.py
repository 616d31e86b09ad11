"""What we seal stock `age` opens, and the other way round; what is damaged
neither of the two takes.

Ours is tests/interop/agetool.c. 300 MB are tried with NMB_TEST_LARGE=1."""

import hashlib
import os
import pathlib
import pty
import random
import select
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("NMB_TEST_AGETOOL")
                    or ROOT / "build/gcc/agetool").resolve()
LARGE = os.environ.get("NMB_TEST_LARGE")
SIZES = [0, 1, 65535, 65536, 65537, 10_000_000] + \
    ([300_000_000] if LARGE else [])
PASSPHRASE = "correct horse"

pytestmark = [
    pytest.mark.skipif(not shutil.which("age"), reason="age is not installed"),
    pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built"),
]


def run(*args, stdin=None, out=None):
    """The finished process; stdin and out are files."""
    with open(stdin or os.devnull, "rb") as given, \
            open(out or os.devnull, "wb") as taken:
        return subprocess.run([str(a) for a in args], stdin=given,
                              stdout=taken, stderr=subprocess.PIPE,
                              timeout=100, check=False)


def ok(*args, **kwargs):
    done = run(*args, **kwargs)
    assert done.returncode == 0, done.stderr.decode()


def age_with_passphrase(*args, passphrase=PASSPHRASE):
    """age asks its terminal; answers every question. Exit status, and what it
    said."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("age", ["age", *map(str, args)])
    said, answers, end = b"", 0, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # it has gone
            break
        said += part
        if not part:
            break
        if said.count(b"passphrase") > answers:
            answers = said.count(b"passphrase")
            os.write(terminal, passphrase.encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Key:
    def __init__(self, path):
        self.path = path
        ok("age-keygen", "-o", path)
        self.recipient = subprocess.run(
            ["age-keygen", "-y", path], check=True, text=True,
            stdout=subprocess.PIPE).stdout.strip()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    base = tmp_path_factory.mktemp("keys")
    return [Key(base / "one.txt"), Key(base / "two.txt"),
            Key(base / "other.txt")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """plain(size): a file of that many bytes, made once."""
    base, made = tmp_path_factory.mktemp("plain"), {}

    def make(size):
        if size not in made:
            made[size] = base / str(size)
            chance = random.Random(size)
            with open(made[size], "wb") as f:
                for off in range(0, size, 1 << 20):
                    f.write(chance.randbytes(min(1 << 20, size - off)))
        return made[size]

    return make


def recipients(keys, count):
    return [word for key in keys[:count] for word in ("-r", key.recipient)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_age_opens_ours(size, count, keys, plain, tmp_path):
    sealed, opened = tmp_path / "sealed", tmp_path / "opened"
    ok(TOOL, "seal", "-x", *recipients(keys, count), stdin=plain(size),
       out=sealed)
    for key in keys[:count]:
        ok("age", "-d", "-i", key.path, sealed, out=opened)
        assert digest(opened) == digest(plain(size))
    assert run("age", "-d", "-i", keys[2].path, sealed).returncode != 0


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_ages(size, count, keys, plain, tmp_path):
    sealed, opened = tmp_path / "sealed", tmp_path / "opened"
    ok("age", *recipients(keys, count), "-o", sealed, plain(size))
    chunks = max(1, -(-size // 65536))
    assert sealed.stat().st_size == 70 + 98 * count + 16 + size + 16 * chunks
    for key in keys[:count]:
        ok(TOOL, "open", "-i", keys[2].path, "-i", key.path, stdin=sealed,
           out=opened)
        assert digest(opened) == digest(plain(size))
    done = run(TOOL, "open", "-i", keys[2].path, stdin=sealed)
    assert done.returncode == 1 and b"other keys" in done.stderr


@pytest.mark.parametrize("size", SIZES)
def test_random_access(size, keys, plain, tmp_path):
    sealed, got = tmp_path / "sealed", tmp_path / "got"
    ok("age", "-r", keys[0].recipient, "-o", sealed, plain(size))
    chance = random.Random(size)
    edges = [0, 1, 65535, 65536, 65537, size - 1, size]
    places = [(off, n) for off in edges for n in (1, 65536, 200000)] + \
        [(chance.randrange(size + 1), chance.randrange(300000))
         for _ in range(5)]
    with open(plain(size), "rb") as f:
        for off, n in places:
            if not 0 <= off <= size:
                continue
            ok(TOOL, "at", "-i", keys[0].path, sealed, off, n, out=got)
            f.seek(off)
            assert got.read_bytes() == f.read(n), (off, n)


def test_armor_both_ways(keys, plain, tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    opened = tmp_path / "opened"
    for size in SIZES[:5]:
        ok("age", "-a", "-r", keys[0].recipient, "-o", theirs, plain(size))
        ok(TOOL, "open", "-i", keys[0].path, stdin=theirs, out=opened)
        assert digest(opened) == digest(plain(size))
        ok(TOOL, "seal", "-a", "-r", keys[0].recipient, stdin=plain(size),
           out=ours)
        ok("age", "-d", "-i", keys[0].path, ours, out=opened)
        assert digest(opened) == digest(plain(size))
        # Lines and all, but for what is random.
        assert list(map(len, theirs.read_bytes().split(b"\n"))) == \
            list(map(len, ours.read_bytes().split(b"\n")))


def test_passphrase_both_ways(plain, tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    opened = tmp_path / "opened"
    ok(TOOL, "seal", "-p", PASSPHRASE, stdin=plain(65537), out=ours)
    status, said = age_with_passphrase("-d", "-o", opened, ours)
    assert status == 0, said
    assert digest(opened) == digest(plain(65537))
    status, said = age_with_passphrase("-d", ours, passphrase="battery")
    assert status == 1 and "incorrect passphrase" in said

    status, said = age_with_passphrase("-p", "-o", theirs, plain(65537))
    assert status == 0, said
    ok(TOOL, "open", "-p", PASSPHRASE, stdin=theirs, out=opened)
    assert digest(opened) == digest(plain(65537))
    done = run(TOOL, "open", "-p", "battery", stdin=theirs)
    assert done.returncode == 1 and b"wrong passphrase" in done.stderr
    done = run(TOOL, "open", stdin=theirs)
    assert done.returncode == 1 and b"sealed with a passphrase" in done.stderr


@pytest.mark.parametrize("armor", [[], ["-a"]])
def test_age_takes_our_sealed_identity(armor, keys, plain, tmp_path):
    """What `key export` writes: a backup of the key that works without us."""
    backup, sealed = tmp_path / "backup", tmp_path / "sealed"
    opened = tmp_path / "opened"
    ok(TOOL, "seal", *armor, "-p", PASSPHRASE, stdin=keys[0].path, out=backup)
    ok("age", "-r", keys[0].recipient, "-o", sealed, plain(1))
    status, said = age_with_passphrase("-d", "-i", backup, "-o", opened,
                                       sealed)
    assert status == 0, said
    assert digest(opened) == digest(plain(1))
    opened.unlink()
    ok(TOOL, "open", "-p", PASSPHRASE, "-i", backup, stdin=sealed, out=opened)
    assert digest(opened) == digest(plain(1))


def test_keys_both_ways(keys, tmp_path):
    ours, said = tmp_path / "ours", tmp_path / "said"
    ok(TOOL, "key", out=ours)
    ok(TOOL, "recipient", stdin=ours, out=said)
    theirs = subprocess.run(["age-keygen", "-y", ours], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    assert theirs == said.read_text()
    ok(TOOL, "recipient", stdin=keys[0].path, out=said)
    assert said.read_text().strip() == keys[0].recipient


def test_damage(keys, plain, tmp_path):
    """Cut, longer, or a byte changed anywhere: age and we both refuse."""
    sealed, bad = tmp_path / "sealed", tmp_path / "bad"
    opened = tmp_path / "opened"
    ok(TOOL, "seal", "-x", "-r", keys[0].recipient, stdin=plain(65537),
       out=sealed)
    data = sealed.read_bytes()
    header = data.index(b"\n---") + 49
    nonce = header + 16
    cases = {
        "version": (b"\0", 5), "share": (b"A", 40), "body": (b"A", 90),
        "extra stanza": (b"3", data.index(b"test 1") + 5),
        "mac": (b"\0", header - 10), "nonce": (b"\0", header + 3),
        "first chunk": (b"\0", nonce + 1000), "tag": (b"\0", nonce + 65540),
        "last chunk": (b"\0", nonce + 65552),
    }
    bad_files = {name: data[:at] + (byte if data[at:at + 1] != byte else b"B")
                 + data[at + 1:] for name, (byte, at) in cases.items()}
    for cut in (0, 10, header - 1, header, nonce - 1, nonce, nonce + 16,
                nonce + 65551, nonce + 65552, len(data) - 1):
        bad_files[f"cut at {cut}"] = data[:cut]
    bad_files["longer"] = data + b"\0"
    for name, content in bad_files.items():
        bad.write_bytes(content)
        assert run("age", "-d", "-i", keys[0].path,
                   bad).returncode != 0, name
        done = run(TOOL, "open", "-i", keys[0].path, stdin=bad, out=opened)
        assert done.returncode == 1, name
        assert plain(65537).read_bytes().startswith(opened.read_bytes())
        done = run(TOOL, "at", "-i", keys[0].path, bad, 0, 10**9, out=opened)
        assert done.returncode == 1, name
        assert plain(65537).read_bytes().startswith(opened.read_bytes())
    bad.write_bytes(bad_files["extra stanza"])
    assert b"bad header MAC" in run("age", "-d", "-i", keys[0].path,
                                    bad).stderr
    assert b"changed after" in run(TOOL, "open", "-i", keys[0].path,
                                   stdin=bad).stderr
