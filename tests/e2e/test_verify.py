"""Goal: whatever becomes of what the service confirmed, `verify` finds it:
by one enumeration what it admits, by reading back what it does not."""

import contextlib
import json
import pathlib

import pytest

from kit import proc, program, trees

DIFFERENT = 10


def verify(machine, *args, check=0):
    done = machine.run("verify", "--json", *args, check=check)
    return json.loads(done.stdout)


def kinds(answer):
    return {f["path"]: f["kind"] for f in answer["findings"]}


def make(machine, names, mount=True):
    mnt = machine.mount()
    mnt.wait_listed()
    (mnt / "d").mkdir()
    for name in names:
        (mnt / name).write_bytes(trees.payload(name, 3000))
    machine.flush()
    if not mount:
        mnt.unmount()
    return mnt


def change(graphd, op, path, **more):
    """At what has that name here, in a vault too."""
    raw = graphd.raw_path(path) if hasattr(graphd, "raw_path") else path
    graphd._change(op, raw, **more)


def rot(graphd, content):
    """One bit of that content on the server's disk; nothing tells of it."""
    for path in (pathlib.Path(graphd.base) / "data").rglob("*"):
        if path.is_file() and path.stat().st_size == len(content) \
                and path.read_bytes() == content:
            rotten = bytearray(content)
            rotten[len(content) // 2] ^= 4
            path.write_bytes(rotten)
            return
    raise AssertionError("no such content on the server")


def stored(graphd, path):
    raw = getattr(graphd, "raw", graphd)
    return raw.read(graphd.raw_path(path) if raw is not graphd else path)


def test_all_agrees(signed_in, graphd):
    names = [f"d/{i}" for i in range(5)] + ["empty", "big"]
    mnt = make(signed_in, names)
    (mnt / "empty").write_bytes(b"")
    (mnt / "big").write_bytes(trees.payload("big", 5 << 20))
    signed_in.flush()
    before = graphd.requests()
    answer = verify(signed_in)
    after = graphd.requests()
    assert answer["agrees"] and answer["files"] == len(names)
    assert answer["extra"] == answer["not_comparable"] == 0, answer
    for cls in ("download", "put", "patch", "delete", "fragment"):
        assert after.get(cls, 0) == before.get(cls, 0), cls
    answer = verify(signed_in, "--sample", "3")
    assert answer["read_back"]["files"] == 3
    # Without a mount; links and empty files are nothing to fail at.
    mnt.unmount()
    answer = verify(signed_in, "--deep")
    assert answer["read_back"] == {"files": len(names), "failed": 0,
                                   "not_comparable": 0,
                                   "bytes": (5 << 20) + 5 * 3000}
    text = signed_in.run("verify", check=0).stdout
    assert "all that was confirmed is there" in text


def test_differences(signed_in, graphd):
    make(signed_in, ["same", "gone", "d/replaced", "d/rotten", "moved"],
         mount=False)
    change(graphd, "delete", "gone")
    change(graphd, "set", "d/rotten", wrong_hash=True)
    change(graphd, "put", "d/replaced", text="other bytes")
    change(graphd, "move", "moved", to="/outside")
    graphd._change("put", "stranger", text="not known here")
    answer = verify(signed_in, check=DIFFERENT)
    assert kinds(answer) == {"/gone": "missing", "/d/rotten": "damaged",
                             "/d/replaced": "changed", "/moved": "moved-out"}
    assert all(f["asked"] for f in answer["findings"])
    assert (answer["missing"], answer["changed"], answer["damaged"],
            answer["extra"]) == (2, 1, 1, 1)
    assert answer["extra_items"][0]["stored_path"] == "/stranger"
    text = signed_in.run("verify", check=DIFFERENT).stdout
    assert "missing     /gone: " in text and "extra       /stranger" in text


def test_rot(signed_in, graphd):
    """The service gives other bytes, and says that they are the same."""
    mnt = make(signed_in, ["good", "d/rotten"])
    rot(graphd, stored(graphd, "d/rotten"))
    verify(signed_in)
    answer = verify(signed_in, "--deep", check=DIFFERENT)
    assert kinds(answer) == {"/d/rotten": "damaged"}
    assert answer["read_back"]["failed"] == 1
    mnt.unmount()
    assert kinds(verify(signed_in, "--sample", "2", check=DIFFERENT)) \
        == {"/d/rotten": "damaged"}


def test_deep_with_many(signed_in, graphd):
    """Several are read at a time: each is read once, and told once."""
    names = [f"d/{i}" for i in range(40)]
    make(signed_in, names, mount=False)
    for i in (3, 17, 39):
        rot(graphd, stored(graphd, f"d/{i}"))
    answer = verify(signed_in, "--deep", check=DIFFERENT)
    assert kinds(answer) == {f"/d/{i}": "damaged" for i in (3, 17, 39)}
    assert (answer["read_back"]["files"], answer["read_back"]["failed"]) \
        == (40, 3)
    graphd.fault("download", times=0, delay_ms=1000)
    graphd.mark()
    run = signed_in.popen("verify", "--deep")
    graphd.wait_request("download", more=5)
    run.terminate()
    assert run.wait(proc.patience(20)) == program.FAILED


@pytest.mark.configs("personal-vault")
def test_old_version_put_back(signed_in, graphd):
    """Authentic, and of the right name: but not the newest that was sent."""
    mnt = make(signed_in, ["f"])
    old = stored(graphd, "f")
    (mnt / "f").write_bytes(trees.payload("new", 3000))
    signed_in.flush()
    new = stored(graphd, "f")
    mnt.unmount()
    for path in (pathlib.Path(graphd.base) / "data").rglob("*"):
        if path.is_file() and path.read_bytes() == new:
            path.write_bytes(old)
    verify(signed_in)
    assert kinds(verify(signed_in, "--deep", check=DIFFERENT)) \
        == {"/f": "damaged"}


def test_without_hashes(signed_in, graphd):
    make(signed_in, ["a", "b", "d/c"], mount=False)
    change(graphd, "set", "a", no_hash=True)
    answer = verify(signed_in)
    assert (answer["files"], answer["not_comparable"]) == (3, 1)
    assert "1 of them could be compared by their size only" \
        in signed_in.run("verify", check=0).stdout
    # What was sent is known here by a hash of its own.
    assert verify(signed_in, "--deep")["read_back"]["not_comparable"] == 0


def test_pending(signed_in, mnt, graphd):
    (mnt / "sent").write_bytes(b"s")
    signed_in.flush()
    for cls in ("put", "session", "fragment"):
        graphd.stall(cls)
    (mnt / "new").write_bytes(b"n")
    answer = verify(signed_in, check=program.UNFINISHED)
    assert answer["agrees"]
    assert (answer["pending"], answer["missing"]) == (1, 0)
    graphd.unstall()
    signed_in.flush()
    verify(signed_in)


def test_gone_folder_and_sign_in(signed_in, graphd):
    make(signed_in, ["a"], mount=False)
    graphd._post("change", {"op": "delete", "path": "/nmbackupfs"})
    said = signed_in.run("verify", check=DIFFERENT).stderr
    assert "the whole folder is gone" in said
    graphd.login(revoke_refresh=True, expire_access=True)
    signed_in.run("verify", check=program.SIGN_IN)


@pytest.mark.plain("another device makes three thousand files at once")
@pytest.mark.configs("personal", "work")
@pytest.mark.parametrize("trouble", ["none", "anew", "no feed"])
def test_requests(signed_in, graphd, trouble):
    graphd.fill("many", 3000, size=10)
    mnt = signed_in.mount()
    mnt.wait_listed()
    proc.wait_until(lambda: len(list((mnt / "many").iterdir())) == 3000
                    and signed_in.status()["listed"], 30, "the feed")
    mnt.unmount()
    few = 12
    if trouble == "anew":
        graphd.fault("delta", skip=2, times=1, status=410,
                     code="resyncRequired")
        few = 16
    if trouble == "no feed":
        graphd.fault("delta", times=0, status=501, code="notSupported")
    answer = verify(signed_in)
    assert (answer["files"], answer["extra"]) == (3000, 0)
    assert answer["requests"] <= few, answer["requests"]
    if trouble == "none":
        graphd.delete("many/f0000007")
        assert kinds(verify(signed_in, check=DIFFERENT)) \
            == {"/many/f0000007": "missing"}
    else:
        assert graphd.fired()


@pytest.mark.configs("personal", "work")
@pytest.mark.plain("another device puts plain files")
def test_beside_a_busy_mount(signed_in, mnt, graphd):
    """What is confirmed while the drive is listed is not called missing, nor
    what goes called a loss."""
    for i in range(20):
        (mnt / f"old{i}").write_bytes(b"%d" % i)
    signed_in.flush()
    graphd.latency(30)
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(signed_in.popen("verify"))
                for _ in range(2)]
        for i in range(20):
            (mnt / f"new{i}").write_bytes(b"%d" % i)
            (mnt / f"old{i}").unlink()
        for run in runs:
            assert run.wait(proc.patience(30)) in (0, program.UNFINISHED)
    signed_in.flush()
    verify(signed_in)
