"""A vault comes back without nmbackupfs: with what was downloaded, the stock
`age`, and contrib/unseal-names.py.

The vaults are made here, with the script's own sealing, which the unit test
test_unseal holds against the program's. test_seal_names has the vectors."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import zipfile

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "contrib/unseal-names.py"
KEY = bytes(range(32))
WHEN = 0x18f2c4a1d3e5b701  # ns, odd

needs_age = pytest.mark.skipif(not shutil.which("age"),
                               reason="age is not installed")


def load_script():
    loader = importlib.machinery.SourceFileLoader("unseal_names", str(SCRIPT))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("unseal_names", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


unseal = load_script()


def run(*args, stdin=b""):
    return subprocess.run([sys.executable, SCRIPT, *args], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=100, check=False)


class Vault:
    """A vault as it lies on the drive, in a folder; and its keys."""

    def __init__(self, top, text="cjk14", pad=7):
        self.top, self.raw = top, top / "raw"
        self.names = unseal.Names(KEY, text, pad)
        self.epoch = self.make_key("epoch.txt")
        self.recovery = self.make_key("recovery.txt")
        self.descriptor = top / "vault.json"
        self.descriptor.write_text(json.dumps({
            "format": "nmbackupfs-vault", "version": 1,
            "names": {"cipher": "siv-blake2b-xchacha20", "text": text,
                      "pad": pad, "key": KEY.hex()},
            "epochs": [{"n": 1, "active": True, "recipient": self.epoch[0],
                        "identity": self.epoch[1]}]}))
        (self.raw / ".nmbackupfs").mkdir(parents=True)
        (self.raw / ".nmbackupfs/vault.age").write_bytes(
            self.seal(self.descriptor.read_bytes(), self.recovery))

    def make_key(self, name):
        """(recipient, identity), also as a file."""
        if not shutil.which("age-keygen"):
            return "", ""
        subprocess.run(["age-keygen", "-o", self.top / name], check=True,
                       stderr=subprocess.DEVNULL)
        text = (self.top / name).read_text()
        return (text.split("public key: ")[1].split()[0],
                text.split()[-1])

    @staticmethod
    def seal(data, *keys):
        command = ["age"]
        for key in keys:
            command += ["-r", key[0]]
        return subprocess.run(command, input=data, check=True,
                              stdout=subprocess.PIPE).stdout

    def content(self, data):
        return self.seal(data, self.epoch, self.recovery)

    def add(self, folder, name, attributes=b"", content=None):
        """A file, or without content a folder; its path."""
        path = folder / self.names.seal(name, attributes)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        return path


def fill(vault, seal):
    """Some of everything that a name can say. What each is in the end."""
    raw, want = vault.raw, {}

    def file(folder, where, name, attributes, data, mode, mtime=None):
        vault.add(folder, name, attributes, seal(data))
        want[where + name] = ("file", mode, mtime, data)

    def link(where, name, attributes, data, target, mtime=None):
        vault.add(raw, name, attributes, seal(data))
        want[where + name] = ("link", None, mtime, target)

    file(raw, b"", b"plain.txt", b"", b"hello\n", 0o644)
    file(raw, b"", b"run.sh", b"m755,t%x" % WHEN, b"#!/bin/sh\n", 0o755, WHEN)
    file(raw, b"", b"old", b"m4711,t-5f5e100", b"", 0o4711, -10**8)
    file(raw, b"", b"README", b"", b"upper", 0o644)
    file(raw, b"", b"readme", b"", b"lower", 0o644)
    file(raw, b"", b"\xff\xfe raw\nbytes", b"", b"r", 0o644)
    file(raw, b"", "ä".encode() * 40, b"Q1,m600,x", b"kept", 0o600)
    file(raw, b"", b"bad mode", b"m0755", b"", 0o644)
    file(raw, b"", b"large", b"t1", bytes(200_000), 0o644, 1)
    link(b"", b"latest", b"t%x,z../2024,12/\xff" % WHEN, b"",
         b"../2024,12/\xff", WHEN)
    link(b"", b"far", b"kl,t2", b"t" * 1000, b"t" * 1000, 2)
    sub = vault.add(raw, b"sub", b"m500")
    want[b"sub"] = ("dir", 0o500, None, None)
    file(sub, b"sub/", b"inner", b"m400", b"i", 0o400)
    deep = vault.add(sub, b"deep")
    want[b"sub/deep"] = ("dir", 0o755, None, None)
    file(deep, b"sub/deep/", b"leaf", b"", b"l", 0o644)
    return want


def found(top):
    top = os.fsencode(top)
    seen = {}
    for parent, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(parent, name)
            info = os.lstat(path)
            where = os.path.relpath(path, top)
            mode, mtime = stat.S_IMODE(info.st_mode), info.st_mtime_ns
            if stat.S_ISLNK(info.st_mode):
                seen[where] = ("link", None, mtime, os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                seen[where] = ("dir", mode, mtime, None)
            else:
                with open(path, "rb") as f:
                    seen[where] = ("file", mode, mtime, f.read())
    return seen


def check(top, want):
    got = found(top)
    assert sorted(got) == sorted(want)
    for where, (kind, mode, mtime, data) in want.items():
        assert got[where][0] == kind, where
        assert got[where][1] == mode, where
        assert got[where][3] == data, where
        if mtime is not None:
            assert got[where][2] == mtime, where


def make_zip(raw, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for item in sorted(raw.rglob("*")):
            archive.write(item, prefix + str(item.relative_to(raw)))
    return path


@pytest.fixture(params=[("cjk14", 7), ("base32", 7), ("cjk14", 28)],
                ids=lambda p: f"{p[0]}-{p[1]}")
def vault(tmp_path, request):
    if not shutil.which("age"):
        pytest.skip("age is not installed")
    return Vault(tmp_path, *request.param)


@pytest.fixture
def one(tmp_path):
    return Vault(tmp_path) if shutil.which("age") else \
        pytest.skip("age is not installed")


def test_self_test():
    done = run("--self-test")
    assert done.returncode == 0, done.stdout
    assert b" 0 failed" in done.stdout


def test_recovery_key_and_a_zip_are_enough(vault):
    want = fill(vault, vault.content)
    # The browser's ZIP has the folder's name in front.
    archive = make_zip(vault.raw, vault.top / "vault.zip", "Backups/")
    # The longest name: no file system here could hold the sealed one.
    name = b"n" * (138 if vault.names.encode is unseal.base32_encode else 255)
    with zipfile.ZipFile(archive, "a") as z:
        z.writestr("Backups/" + vault.names.seal(name), vault.content(b"long"))
    want[name] = ("file", 0o644, None, b"long")
    done = run("--tree", archive, "--out", vault.top / "out",
               "--age", vault.top / "recovery.txt")
    assert done.returncode == 0, done.stderr
    check(vault.top / "out", want)


def test_renames_in_place_with_the_keys_of_the_descriptor(vault):
    want = fill(vault, vault.content)
    shutil.rmtree(vault.raw / ".nmbackupfs")
    done = run(vault.descriptor, "--tree", vault.raw, "--decrypt")
    assert done.returncode == 0, done.stderr
    check(vault.raw, want)


def test_contents_that_were_opened_before(vault):
    want = fill(vault, lambda data: data)
    before = found(vault.raw)
    done = run("-", "--tree", vault.raw, "--out", vault.top / "out",
               stdin=vault.descriptor.read_bytes())
    assert done.returncode == 0, done.stderr
    check(vault.top / "out", want)
    assert found(vault.raw) == before
    done = run(vault.descriptor, "--tree", vault.raw)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(vault.raw / ".nmbackupfs")
    check(vault.raw, want)


def test_no_content_stays_sealed_or_goes_over_the_disk(one, tmp_path):
    """The keys reach age through a pipe."""
    log = tmp_path / "age.log"
    fake = tmp_path / "bin/age"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec '
                    f'{shutil.which("age")} "$@"\n')
    fake.chmod(0o755)
    one.add(one.raw, b"a", b"", one.content(b"x"))
    done = subprocess.run(
        [sys.executable, SCRIPT, one.descriptor, "--tree", one.raw, "--out",
         tmp_path / "out", "--decrypt"], check=False, timeout=60,
        env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0
    assert log.read_text().startswith("-d -i /dev/fd/")
    assert "AGE-SECRET" not in log.read_text()


def test_equal_names_and_what_is_not_ours(one):
    raw = one.raw
    first, second = sorted(
        (one.names.seal(b"a.txt", attributes), data)
        for attributes, data in ((b"", b"1"), (b"m600", b"2")))
    for sealed, data in (first, second):
        (raw / sealed).write_bytes(data)
    one.add(raw, b"d", b"m700")
    one.add(raw, b"d", b"")
    (raw / "stranger.txt").write_bytes(b"left")
    one.add(raw, b"stranger.txt", b"", b"ours")
    one.add(raw, b"pipe", b"kp", b"")
    one.add(raw, b"disk", b"kb8:0", b"")
    one.add(raw, b"odd", b"kl", b"a\0b")
    (raw / "an alias").symlink_to("stranger.txt")

    done = run(one.descriptor, "--tree", raw, "--out", one.top / "out")
    assert done.returncode == 1
    seen = found(one.top / "out")
    assert seen[b"a.txt"][3] == first[1]
    names = sorted(seen)
    assert len(names) == 6
    assert [n[:15] for n in names] == [
        b"a (conflict " + names[0][12:15], b"a.txt", b"d",
        b"d (conflict " + names[3][12:15], b"odd", b"stranger.txt"]
    assert names[0].endswith(b").txt") and len(names[0]) == 25
    assert seen[names[0]][3] == second[1]
    assert seen[b"stranger.txt"][3] == b"ours"
    assert seen[b"odd"][3] == b"a\0b"
    for text in (b"left: /stranger.txt: not a name", b"left: /an alias:",
                 b"left: /pipe: was a fifo", b"left: /disk: was a device b8:0",
                 b"failed: /odd: ", b"conflict: /a.txt: "):
        assert text in done.stderr, text

    done = run(one.descriptor, "--tree", raw)  # in place
    assert done.returncode == 1
    seen = found(raw)
    assert seen[b"stranger.txt"][3] == b"left"
    conflict = [n for n in seen if n.startswith(b"stranger (conflict ")]
    assert len(conflict) == 1 and seen[conflict[0]][3] == b"ours"
    assert os.fsencode(one.names.seal(b"pipe", b"kp")) in seen


# As test_attributes has them for the program.
@pytest.mark.parametrize("text, is_dir, kind, mode, mtime, target", [
    (b"", False, "file", 0o644, None, None),
    (b"", True, "dir", 0o755, None, None),
    (b"m644,t1", True, "dir", 0o644, None, None),
    (b"kp,m700,t1,zx", True, "dir", 0o700, None, None),
    (b"m0", False, "file", 0, None, None),
    (b"m7777", False, "file", 0o7777, None, None),
    (b"m10000", False, "file", 0o644, None, None),
    (b"m0755", False, "file", 0o644, None, None),
    (b"m75_5", False, "file", 0o644, None, None),
    (b"m 755", False, "file", 0o644, None, None),
    (b"t0", False, "file", 0o644, 0, None),
    (b"t-8000000000000000", False, "file", 0o644, -2**63, None),
    (b"t-8000000000000001", False, "file", 0o644, None, None),
    (b"t8000000000000000", False, "file", 0o644, None, None),
    (b"t-0", False, "file", 0o644, None, None),
    (b"t-", False, "file", 0o644, None, None),
    (b"tA", False, "file", 0o644, None, None),
    (b"t01", False, "file", 0o644, None, None),
    (b"za,b=c,m600", False, "link", 0o644, None, b"a,b=c,m600"),
    (b"kl,zx", False, "link", 0o644, None, None),
    (b"kw,zx", False, "file", 0o644, None, None),
    (b"z", False, "file", 0o644, None, None),
    (b"kp", False, "fifo", 0o644, None, None),
    (b"kpp", False, "file", 0o644, None, None),
    (b"ks,m755", False, "socket", 0o755, None, None),
    (b"kb4095:1048575", False, "device b4095:1048575", 0o644, None, None),
    (b"kb4096:0", False, "file", 0o644, None, None),
    (b"kc1:2:3", False, "file", 0o644, None, None),
    (b"kc1:", False, "file", 0o644, None, None),
    (b"t1,m600", False, "file", 0o644, None, None),
    (b"m600,m600", False, "file", 0o644, None, None),
    (b"m600,", False, "file", 0o644, None, None),
    (b",m600", False, "file", 0o644, None, None),
    (b"m600,1", False, "file", 0o644, None, None),
    (b"\xc3\xa4", False, "file", 0o644, None, None),
    (b"A\x80 1,h=,m600,y", False, "file", 0o600, None, None),
])
def test_attributes(text, is_dir, kind, mode, mtime, target):
    a = unseal.Attributes(text, is_dir)
    assert (a.kind, a.mode, a.mtime, a.target) == (kind, mode, mtime, target)


def test_long_names_stay_within_255_bytes(one):
    for name in (b"x" * 251 + b".txt", "ä".encode() * 127, b"." + b"y" * 254):
        suffixed = unseal.with_suffix(name, "sealed")
        assert 230 < len(suffixed) <= 255
        assert b" (conflict " in suffixed
        suffixed.decode()
    assert unseal.with_suffix(b"\xff" * 255, "s").startswith(b"\xff" * 200)


def test_a_damaged_file_is_reported_and_not_written(one):
    good = one.content(bytes(100_000))
    one.add(one.raw, b"bad", b"", good[:-1] + bytes([good[-1] ^ 1]))
    one.add(one.raw, b"cut", b"", good[:70_000])
    one.add(one.raw, b"good", b"", good)
    before = found(one.raw)
    done = run(one.descriptor, "--tree", one.raw, "--out", one.top / "out",
               "--decrypt")
    assert done.returncode == 1
    assert list(found(one.top / "out")) == [b"good"]
    assert done.stderr.count(b"failed: ") == 2
    done = run(one.descriptor, "--tree", one.raw, "--decrypt")
    assert done.returncode == 1
    after = found(one.raw)
    for name in (b"bad", b"cut"):
        sealed = os.fsencode(one.names.seal(name))
        assert after[sealed][3] == before[sealed][3]
    assert after[b"good"][3] == bytes(100_000)


def test_prints_names_and_paths(one):
    seal = one.names.seal
    path = f"{seal(b'dir')}/./{seal(b'a', b'm600')}"
    done = run("-l", one.descriptor, path, seal(b"b\nc"))
    assert done.returncode == 0
    assert done.stdout == b"dir/./a\tm600\nb\nc\t\n"
    done = run("-0", one.descriptor,
               stdin=b"\0".join(s.encode() for s in (path, "plain")) + b"\0")
    assert done.returncode == 1
    assert done.stdout == b"dir/./a\0plain\0"
    assert done.stderr == b"unseal-names: not a name of this vault: plain\n"
    done = run(one.descriptor, stdin=b"")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("text", [
    "", "[]", "{}", "null", '{"format":"nmbackupfs-vault"}',
    '{"format":"nmbackupfs-vault","version":1,"names":{"cipher":'
    '"siv-blake2b-xchacha20","text":"cjk14","pad":7,"key":"00"}}',
    '{"format":"nmbackupfs-vault","version":1,"names":{"cipher":'
    '"siv-blake2b-xchacha20","text":"cjk15","pad":7,"key":"' + "00" * 32 +
    '"}}',
    '{"format":"nmbackupfs-vault","version":1,"names":{"cipher":'
    '"siv-blake2b-xchacha20","text":"cjk14","pad":8,"key":"' + "00" * 32 +
    '"}}',
], ids=range(8))
def test_other_descriptors_are_refused(tmp_path, text):
    (tmp_path / "d").write_text(text)
    done = run(tmp_path / "d", "name")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr


@needs_age
def test_refusals(one):
    (one.top / "full").mkdir()
    (one.top / "full/x").write_text("")
    archive = make_zip(one.raw, one.top / "v.zip")
    other = one.make_key("other.txt")
    assert other[0]
    for args, said in (
            ((one.descriptor, "--tree", archive), b"a ZIP needs --out"),
            ((one.descriptor, "--tree", one.top / "none"), b"No such file"),
            ((one.descriptor, "--tree", one.descriptor), b"not a zip file"),
            ((one.descriptor, "--tree", one.raw, "--out", one.top / "full"),
             b"is not empty"),
            ((one.raw / ".nmbackupfs/vault.age", "x"), b"is sealed"),
            (("--tree", one.raw, "--age", one.top / "other.txt", "--out",
              one.top / "o"), b"descriptor: age: error: no identity"),
            (("--tree", one.top / "full", "--age", one.top / "other.txt"),
             b"has no .nmbackupfs/vault.age"),
            ((), b"no DESCRIPTOR"), (("-", "--out", "x"), b"--out needs")):
        done = run(*args)
        assert done.returncode == 2, args
        assert said in done.stderr, (args, done.stderr)
        assert b"Traceback" not in done.stderr
