"""Goal: no file key ever seals two contents (facts: age 13).

Judged by what left the client, aborted and refused uploads included: graphd
keeps all of it, the recovery key opens the headers, and whatever was sent
under one file key has to be one content."""

import os
import random
import shutil
import time

import pytest

from kit import agefile, proc, program, trees, uploads

pytestmark = pytest.mark.configs("personal-vault")

BIG = 24 * 2**20  # more than two fragments of 10 MiB


@pytest.fixture
def sent(graphd, base):
    """All that is uploaded; before the machine, which notes graphd's URLs."""
    return uploads.kept(graphd, base / "uploads")


@pytest.fixture
def home(sent, signed_in):
    return signed_in


def prove(home, sent, **at_least):
    """The proof; and that it had something to look at."""
    key = agefile.Identity.from_file(home.recovery_key)
    pieces = contents(sent)
    seen = uploads.assert_keys_used_once(pieces, [key])
    for name, count in at_least.items():
        assert seen[name] >= count, dict(seen)
    return seen


def contents(sent):
    """Without descriptors, which are sealed to members and have no bind
    stanza."""
    return [p for p in uploads.read(sent)
            if p.at or len(p.data) < agefile.HEADER
            or b"\n-> nmbackupfs/bind 1\n" in p.data[:agefile.HEADER]]


def stalled(home, sent, graphd, data):
    """A mount in whose file `f` with `data` one fragment has passed; the next
    one was taken and is not answered."""
    mnt = home.mount()
    graphd.fault("fragment", skip=1, times=0, stall_ms=3_600_000)
    trees.write(mnt / "f", data)
    proc.wait_until(lambda: sum(len(p.data) for p in uploads.read(sent))
                    > 20 * 2**20, 20, "two fragments", every=0.2)
    return mnt


def test_the_proof_can_fail(home, sent, graphd, base):
    """Two contents under one key are found, wherever they differ."""
    mnt = home.mount()
    trees.write(mnt / "f", trees.payload(1, 100_000))
    home.flush()
    key = agefile.Identity.from_file(home.recovery_key)
    pieces = contents(sent)
    [good] = pieces
    for at in (agefile.PAYLOAD, agefile.PAYLOAD + 70_000, good.total - 1):
        bad = bytearray(good.data)
        bad[at] ^= 1
        other = uploads.Piece("other", 0, good.total, bytes(bad))
        with pytest.raises(AssertionError):
            uploads.assert_keys_used_once([good, other], [key])
    short = uploads.Piece("other", 0, 5000, good.data[:5000])
    with pytest.raises(AssertionError):
        uploads.assert_keys_used_once([good, short], [key])
    uploads.assert_keys_used_once([good, good], [key])


def test_write_during_a_stalled_upload(home, sent, graphd):
    old = trees.payload("old", BIG)
    mnt = stalled(home, sent, graphd, old)
    with open(mnt / "f", "r+b") as f:
        for at in range(0, BIG, 3 * 2**20):
            f.seek(at + 5)
            f.write(b"new bytes")
    new = (mnt / "f").read_bytes()
    assert new != old
    graphd.unstall()
    home.flush()
    assert graphd.read("f") == new
    prove(home, sent, keys=2, chunks=500)


@pytest.mark.parametrize("write", ["before", "after", "no"])
def test_killed_in_a_session_and_resumed(home, sent, graphd, write):
    """kill -9 in mid-upload; the file is written before or after it."""
    data = bytearray(trees.payload("old", BIG))
    mnt = stalled(home, sent, graphd, data)

    def change():
        with open(mnt / "f", "r+b") as f:
            for at in (0, 11 * 2**20, BIG - 4):
                f.seek(at)
                f.write(b"NEW!")
                data[at:at + 4] = b"NEW!"
    if write == "before":
        change()
        os.sync()
    mnt.kill()
    graphd.unstall()
    mnt = home.mount(wait=True)
    if write == "after":
        change()
    home.flush()
    assert graphd.read("f") == data
    prove(home, sent, keys=1 if write == "no" else 2, pieces=3)
    assert "upload resumed" in home.log.read_text(errors="replace")


def test_killed_under_a_write_load(home, sent, graphd):
    """kill -9 at random moments; between a write and its commit, too."""
    rnd = random.Random(7)
    graphd.limit(up=12 * 2**20)
    want = {}
    mnt = home.mount()
    for round_ in range(8):
        end = time.monotonic() + rnd.uniform(0.1, 1.2)
        while time.monotonic() < end:
            name = rnd.choice(["small", "small 2", "large"])
            size = rnd.randrange(200_000) if name != "large" else \
                6 * 2**20 + rnd.randrange(2**20)
            if want.get(name) and rnd.random() < 0.5:
                with open(mnt / name, "r+b", buffering=0) as f:
                    f.seek(rnd.randrange(want[name]))
                    f.write(rnd.randbytes(9000))
            else:
                trees.write(mnt / name, rnd.randbytes(size))
            want[name] = os.path.getsize(mnt / name)
        mnt.kill()
        graphd.wait_idle()  # what the kernel still sends of a session
        mnt = home.mount()
    graphd.limit(up=0)
    home.flush(timeout=100)
    prove(home, sent, keys=8)


STATE = "nmbackupfs/default"


def copy_state(home, to):
    shutil.copytree(home.state / STATE, to,
                    ignore=shutil.ignore_patterns("control", "lock"))


def put_back(home, copy, keep=()):
    """The old directory in place of the one of now; `keep`: of now."""
    state = home.state / STATE
    kept = {name: (state / name).read_bytes() for name in keep}
    shutil.rmtree(state)
    shutil.copytree(copy, state)
    for name, data in kept.items():
        (state / name).write_bytes(data)


@pytest.mark.parametrize("keep", [(), ("incarnation",)])
def test_old_state_put_back_in_mid_upload(home, sent, graphd, base, keep):
    """A home directory from yesterday's snapshot: with an open session in it,
    whose file has another content since. With its incarnation file and
    without."""
    mnt = stalled(home, sent, graphd, trees.payload("one", BIG))
    mnt.kill()
    copy_state(home, base / "copy")
    graphd.unstall()
    mnt = home.mount()
    home.flush()
    with open(mnt / "f", "r+b") as f:
        f.write(b"another beginning")
    home.flush()
    mnt.unmount()
    put_back(home, base / "copy", keep)
    mnt = home.mount()
    with open(mnt / "f", "r+b") as f:
        f.write(b"a third one, in the old state")
    home.flush()
    prove(home, sent, keys=3)


def test_contents_newer_than_the_database(home, sent, graphd, base):
    """A copy that is not of one moment: the old database with a session in
    it, beside content files that were written since."""
    mnt = stalled(home, sent, graphd, trees.payload("one", BIG))
    mnt.kill()
    copy_state(home, base / "copy")
    mnt = home.mount()
    with open(mnt / "f", "r+b") as f:
        f.seek(5 * 2**20)
        f.write(b"written after the copy")
    os.sync()
    mnt.kill()
    for name in ("state.db", "state.db-wal", "state.db-shm", "incarnation"):
        (home.state / STATE / name).unlink(missing_ok=True)
        if (base / "copy" / name).exists():
            shutil.copy2(base / "copy" / name, home.state / STATE / name)
    graphd.unstall()
    mnt = home.mount()
    home.run("flush", "--timeout", "20")
    prove(home, sent, keys=1)


def test_bit_rot_in_mid_upload(home, sent, graphd):
    """A content file that changes by itself is not sent under the old key."""
    mnt = stalled(home, sent, graphd, trees.payload("one", BIG))
    mnt.kill()
    [content] = [p for p in (home.state / STATE / "content").rglob("*")
                 if p.is_file() and p.stat().st_size == BIG]
    with open(content, "r+b") as f:
        for at in (1000, 12 * 2**20):  # sent already, and not yet
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))
    graphd.unstall()
    mnt = home.mount()
    done = home.run("flush", "--timeout", "15")
    assert done.returncode != 0  # it can't be sent, and says so
    assert graphd.files() == {}
    prove(home, sent, keys=1)


def test_cloned_machine(home, sent, graphd, base, config):
    """Two machines with one state, in the middle of a session."""
    mnt = stalled(home, sent, graphd, trees.payload("one", BIG))
    mnt.kill()
    clone = program.Machine(base / "clone", graphd, vault=True)
    shutil.rmtree(clone.home)
    shutil.copytree(home.home, clone.home,
                    ignore=shutil.ignore_patterns("control", "lock", "run"))
    clone.runtime.mkdir(mode=0o700)
    graphd.unstall()
    try:
        mine = home.mount()
        with open(mine / "f", "r+b") as f:
            f.write(b"mine")
        home.flush()
        theirs = clone.mount()
        with open(theirs / "f", "r+b") as f:
            f.write(b"theirs")
        clone.flush()
        home.flush()
        prove(home, sent, keys=3)
    finally:
        clone.clean_up()


def epochs(home, graphd):
    """Keys of the epochs, the active one last."""
    all_ = agefile.descriptor(graphd, home.recovery_key)["epochs"]
    all_.sort(key=lambda e: bool(e.get("active")))
    return [agefile.Identity(e["identity"]) for e in all_]


def assert_sealed_for_new_epoch(home, graphd):
    old, new = epochs(home, graphd)
    data = graphd.raw.read(graphd.raw_path("f"))
    assert agefile.open_head(data, [new])
    with pytest.raises(AssertionError):
        agefile.open_head(data, [old])


def test_new_epoch_while_killed(home, sent, graphd):
    """What was begun for the epoch before is not gone on with: a removed
    member could read it."""
    data = trees.payload("one", BIG)
    mnt = stalled(home, sent, graphd, data)
    mnt.kill()
    graphd.unstall()
    home.run("vault", "rotate", check=0)
    home.mount()
    home.flush()
    assert graphd.read("f") == data
    assert_sealed_for_new_epoch(home, graphd)
    prove(home, sent, keys=2)


def test_new_epoch_while_waiting(home, sent, graphd):
    """The same in one process, whose upload waits for a better time."""
    data = trees.payload("one", BIG)
    mnt = home.mount()
    graphd.fault("fragment", skip=1, times=0, status=503, retry_after=1)
    trees.write(mnt / "f", data)
    graphd.wait_fault()
    home.run("vault", "rotate", check=0)
    proc.wait_until(lambda: "vault generation=2" in
                    home.log.read_text(errors="replace"), 20, "the news")
    graphd.clear_faults()
    home.flush()
    assert graphd.read("f") == data
    assert_sealed_for_new_epoch(home, graphd)
    prove(home, sent, keys=2)
