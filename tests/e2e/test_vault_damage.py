"""Goal: whatever is changed on the server, nobody reads wrong bytes: an error
for that file, with the reason in the log; all others stay readable."""

import errno
import json
import os
import re
import subprocess

import pytest

from kit import agefile, proc, trees

pytestmark = pytest.mark.configs("personal-vault")

SIZE = 2 * 65536 + 5000
# Not for our keys: a changed stanza looks like one for somebody else.
REFUSED = {errno.EIO, errno.EACCES}
ALL = bool(os.environ.get("NMB_TEST_LARGE"))


def make_files(machine, graphd, count, size=SIZE):
    """A good file and `count` with one content: that, and where they are."""
    mnt = machine.mount()
    trees.write(mnt / "good", b"good")
    data = trees.payload("damage", size)
    for i in range(count):
        trees.write(mnt / f"f{i}", data)
    machine.flush()
    mnt.unmount()
    raw = {plain: path for plain, path, _ in graphd.opened()}
    return data, [(f"f{i}", raw[f"f{i}"]) for i in range(count)]


def error_of(path):
    try:
        path.read_bytes()
    except OSError as e:
        return e.errno
    return 0


def check(machine, damaged, whole=()):
    """All of `damaged` are EIO, with a line each; the good one is good."""
    machine.graphd.mark()
    mnt = machine.mount()
    machine.run("flush", check=0)
    # What changed there is known here once a round has ended.
    machine.graphd.wait_request("delta", more=2)
    began = machine.log.stat().st_size
    inos = {}
    for name in damaged:
        assert error_of(mnt / name) in REFUSED, name
        inos[name] = os.stat(mnt / name).st_ino
    for name, data in whole:
        assert (mnt / name).read_bytes() == data, name
    assert (mnt / "good").read_bytes() == b"good"
    with machine.log.open("rb") as f:
        f.seek(began)
        text = f.read().decode(errors="replace")
    reasons = {}
    for name, ino in inos.items():
        found = re.search(rf"error: fetch ino={ino} .*", text)
        assert found, f"no line for {name}"
        reasons[name] = found[0]
    mnt.unmount()
    return reasons


def places(size):
    """Bytes to be changed: each part of a stored file."""
    header = range(agefile.HEADER) if ALL else range(0, agefile.HEADER, 9)
    yield from header
    yield from range(agefile.HEADER, agefile.PAYLOAD, 1 if ALL else 5)
    borders = agefile.borders(size)
    for begin, end in zip(borders, borders[1:]):
        yield from {begin, (begin + end) // 2, end - agefile.TAG - 1,
                    end - agefile.TAG, end - 1}


@pytest.mark.parametrize("memory", ["known", "fresh"])
def test_one_bit_anywhere(signed_in, graphd, memory):
    size = agefile.sealed_size(SIZE)
    at = sorted(places(size))
    _, files = make_files(signed_in, graphd, len(at))
    for i, ((_, remote), where) in enumerate(zip(files, at)):
        sealed = bytearray(graphd.raw.read(remote))
        sealed[where] ^= 1 << i % 8
        graphd.raw.put(remote, bytes(sealed))
    if memory == "fresh":
        signed_in.wipe()
    said = check(signed_in, [name for name, _ in files])
    kinds = {re.sub(r"ino=\d+|chunk=\d+", "", line) for line in said.values()}
    assert len(kinds) > 2, kinds


def cuts(size):
    for border in agefile.borders(size)[:-1]:
        yield from (border - 1, border, border + 1, border + agefile.TAG,
                    border + agefile.TAG + 1)
    yield from (0, 1, 100, agefile.HEADER, size - 1, size + 1, size + 16,
                size + agefile.SEALED_CHUNK)


@pytest.mark.parametrize("memory", ["known", "fresh"])
@pytest.mark.parametrize("plain", [SIZE, 65536, 5])
def test_cut_short_or_longer(signed_in, graphd, memory, plain):
    size = agefile.sealed_size(plain)
    at = sorted(set(cuts(size)) - {size})
    _, files = make_files(signed_in, graphd, len(at), plain)
    for (_, remote), end in zip(files, at):
        sealed = graphd.raw.read(remote)
        graphd.raw.put(remote, (sealed + bytes(70_000))[:end])
    if memory == "fresh":
        signed_in.wipe()
    check(signed_in, [name for name, _ in files])


def test_two_files_exchanged(signed_in, graphd):
    data, files = make_files(signed_in, graphd, 3)
    (a, remote_a), (b, remote_b), (c, _) = files
    one, two = graphd.raw.read(remote_a), graphd.raw.read(remote_b)
    graphd.raw.put(remote_a, two)
    graphd.raw.put(remote_b, one)
    said = check(signed_in, [a, b], [(c, data)])
    assert all("another file's content" in line for line in said.values())


def test_chunks_exchanged(signed_in, graphd):
    """Within one file, and of two versions of it."""
    data, files = make_files(signed_in, graphd, 2)
    (a, remote), (b, other) = files
    begin, mid, end, _ = agefile.borders(agefile.sealed_size(SIZE))
    sealed = graphd.raw.read(remote)
    graphd.raw.put(remote, sealed[:begin] + sealed[mid:end] + sealed[begin:mid]
               + sealed[end:])
    foreign = graphd.raw.read(other)
    graphd.raw.put(other, foreign[:mid] + sealed[mid:end] + foreign[end:])
    signed_in.wipe()
    check(signed_in, [a, b])


def test_old_version_while_mounted(signed_in, graphd):
    """Both of a file that is read, and of one that is written next."""
    mnt = mounted_with_a_file(signed_in)
    trees.write(mnt / "f", b"one")
    signed_in.flush()
    old = graphd.raw.read(graphd.raw_path("f"))
    with open(mnt / "f", "r+b") as f:
        f.write(b"two")
    signed_in.flush()
    graphd.raw.put(graphd.raw_path("f"), old)
    proc.wait_until(lambda: error_of(mnt / "f") == errno.EIO, 20, "an error")
    assert "older version" in signed_in.log.read_text(errors="replace")
    mnt.unmount()
    mnt = signed_in.mount()  # a restart forgets nothing
    assert error_of(mnt / "f") == errno.EIO
    assert (mnt / "good").read_bytes() == b"good"
    trees.write(mnt / "f", b"three")  # and what is written now is newer
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    assert (mnt / "f").read_bytes() == b"three"


# ---- the descriptor ---------------------------------------------------------

DESCRIPTOR = ".nmbackupfs/vault.age"


def assert_refused(machine, graphd, mnt, reason):
    """Nothing is sealed for keys that somebody else chose."""
    proc.wait_until(lambda: reason in
                    machine.log.read_text(errors="replace"), 20, reason)
    before = graphd.raw.names()
    trees.write(mnt / "after", b"after")
    assert machine.run("flush", "--timeout", "3").returncode != 0
    assert graphd.raw.names() == before
    assert (mnt / "good").read_bytes() == b"good"
    said = json.dumps(machine.status())
    assert reason in said, said


def mounted_with_a_file(machine):
    mnt = machine.mount()
    trees.write(mnt / "good", b"good")
    machine.flush()
    return mnt


def mount_fails(machine, reason):
    """A machine without its state, but with its keys: no mount at all."""
    (machine.base / "mnt").mkdir(exist_ok=True)
    done = machine.run("-f", machine.base / "mnt")
    assert done.returncode not in (0, None)
    assert reason in done.stderr, done.stderr
    return done


def test_lower_generation(signed_in, graphd):
    mnt = mounted_with_a_file(signed_in)
    old = graphd.raw.read(DESCRIPTOR)
    signed_in.run("vault", "rotate", check=0)
    proc.wait_until(lambda: "generation=2" in
                    signed_in.log.read_text(errors="replace"), 20, "the news")
    graphd.raw.put(DESCRIPTOR, old)
    assert_refused(signed_in, graphd, mnt, "older than what")
    good = graphd.raw.read(".nmbackupfs/vault-2.age")
    graphd.raw.put(DESCRIPTOR, good)
    signed_in.flush()  # what waited goes out once it is right again
    mnt.unmount()
    graphd.raw.put(DESCRIPTOR, old)
    signed_in.wipe()
    mount_fails(signed_in, "older than what")


def forge(machine, graphd, change):
    """As somebody would who knows the members' recipients."""
    d = agefile.descriptor(graphd, machine.recovery_key)
    change(d)
    members = [o for m in d["members"] for o in ("-r", m["recipient"])]
    done = subprocess.run(["age", *members], input=json.dumps(d).encode(),
                          capture_output=True, check=True)
    graphd.raw.put(DESCRIPTOR, done.stdout)


def new_keys(d):
    d["generation"] += 1
    d["auth"] = {"key": "ab" * 32}
    made = subprocess.run(["age-keygen"], capture_output=True, check=True,
                          text=True)
    secret = made.stdout.splitlines()[-1]
    recipient = re.search(r"age1\w+", made.stdout)[0]
    d["epochs"] = [{"n": 1, "recipient": recipient, "identity": secret,
                    "active": True}]


def same_generation(d):
    d["written_by"] = "somebody else"


@pytest.mark.parametrize("change", [new_keys, same_generation])
def test_forged_descriptor(signed_in, graphd, change):
    mnt = mounted_with_a_file(signed_in)
    good = graphd.raw.read(DESCRIPTOR)
    forge(signed_in, graphd, change)
    reason = "forged, or" if change is new_keys else "is forged"
    assert_refused(signed_in, graphd, mnt, reason)
    graphd.raw.put(DESCRIPTOR, good)
    signed_in.flush()
    mnt.unmount()
    forge(signed_in, graphd, change)
    signed_in.wipe()
    mount_fails(signed_in, reason)


@pytest.mark.parametrize("data", [b"", b"x", b"age-encryption.org/v1\n",
                                  bytes(2 * 2**20)],
                         ids=["empty", "x", "header", "huge"])
def test_damaged_descriptor(signed_in, graphd, data):
    mnt = mounted_with_a_file(signed_in)
    graphd.raw.put(DESCRIPTOR, data)
    proc.wait_until(lambda: "nothing is sent" in
                    signed_in.log.read_text(errors="replace"), 20, "a line")
    assert (mnt / "good").read_bytes() == b"good"
    mnt.unmount()
    signed_in.wipe()
    mount_fails(signed_in, "vault.age")


def test_descriptor_gone(signed_in, graphd):
    """Deleted in the browser: no new vault, and nothing is deleted here."""
    mnt = mounted_with_a_file(signed_in)
    graphd.raw.delete(".nmbackupfs")
    trees.write(mnt / "after", b"after")
    assert (mnt / "good").read_bytes() == b"good"
    signed_in.run("flush", "--timeout", "3")
    assert (mnt / "good").read_bytes() == b"good"
    mnt.unmount()
    signed_in.wipe()
    mount_fails(signed_in, "vault")
    assert ".nmbackupfs" not in graphd.raw.names()
