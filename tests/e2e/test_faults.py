"""Goal: what the service does to clients costs time, never data.

Each row is one fault at graphd; the test passes only if it really happened.
The tree is written, read back from an empty cache, and must be equal."""

import errno
import os
import shutil
import sqlite3
import time

import pytest

from kit import proc, trees

pytestmark = pytest.mark.configs("personal", "work")

TROUBLE = [
    # class of request, how often, what happens
    ("any", 2, dict(status=429, retry_after=1)),
    ("any", 2, dict(status=503, retry_after=1)),
    ("any", 3, dict(status=503)),
    ("any", 3, dict(status=500)),
    ("any", 3, dict(status=502, body="html")),
    ("any", 3, dict(status=504)),
    ("any", 3, dict(drop="before")),
    ("any", 3, dict(drop="after")),
    ("any", 2, dict(status=200, body="html")),
    ("any", 1, dict(status=200, body="huge", size=2**26)),
    ("any", 1, dict(status=200, body="deep", size=100_000)),
    ("session", 2, dict(status=503)),
    ("session", 1, dict(drop="after")),
    ("fragment", 1, dict(status=503, retry_after=1)),
    ("fragment", 2, dict(status=500)),
    ("fragment", 2, dict(drop="before", drop_at=100_000)),
    ("fragment", 2, dict(drop="after")),
    ("fragment", 1, dict(expire="session")),
    ("fragment", 1, dict(expire="session_token")),
    ("fragment", 1, dict(status=504, effect=True)),
    ("fragment", 1, dict(hash="none")),
    ("put", 2, dict(drop="after")),
    ("put", 2, dict(status=500)),
    ("create", 2, dict(drop="after")),
    ("create", 2, dict(status=503)),
    ("batch", 1, dict(status=503)),
    ("children", 2, dict(status=503)),
    ("item", 1, dict(status=401)),
    ("any", 1, dict(expire="access")),
    ("delta", 2, dict(status=504)),
    ("delta", 1, dict(status=410, code="resyncRequired")),
    ("download", 2, dict(expire="url")),
    ("download", 2, dict(status=503, retry_after=1)),
    ("download", 1, dict(status=404)),
    ("download", 3, dict(truncate=1000)),
    ("download", 2, dict(range="ignore")),
    ("download", 2, dict(drop="before", reset=True)),
]
# Requests a plain backup need not send: then nothing is proved, nor disproved.
OPTIONAL = {"batch", "children", "item", "create"}


@pytest.mark.parametrize(
    "cls, times, what", TROUBLE,
    ids=[c + "-" + "-".join(f"{a}.{b}" for a, b in w.items())
         for c, _, w in TROUBLE])
@pytest.mark.configs("personal")
def test_trouble_costs_only_time(signed_in, base, graphd, cls, times, what):
    source = base / "source"
    for i, size in enumerate((0, 0, 10, 3000, 70_000, 5_000_000, 11_000_000)):
        trees.write(source / f"d{i % 3}/f{i}", trees.payload(i, size))
    match = None if cls == "any" else cls
    reading = cls in ("download", "delta", "children")
    if not reading:
        graphd.fault(match, times, **what)
    mnt = signed_in.mount()
    shutil.copytree(source, mnt / "t")
    signed_in.flush()
    assert len(graphd.files()) == 7
    mnt.unmount()
    signed_in.wipe()
    if reading:
        graphd.fault(match, times, **what)
    mnt = signed_in.mount()
    trees.assert_same(source, mnt / "t")
    if cls == "delta":
        graphd.put("t/later", b"later")
        proc.wait_until(lambda: (mnt / "t/later").exists(), 20, "a later file")
    if cls in OPTIONAL and not graphd.fired():
        pytest.skip(f"no request of class {cls} was sent")
    assert graphd.fired()
    assert not signed_in.status()["blocked"]


@pytest.mark.fault(41)
@pytest.mark.plain("small files take no session")
def test_retry_after_is_waited_out_by_all(signed_in, mnt, graphd):
    """429 freezes the account: no request before its time, which is among
    what graphd's statistics call forbidden."""
    graphd.fault("session", status=429, retry_after=4)
    for i in range(10):
        (mnt / f"{i}").write_bytes(b"x")
    graphd.wait_fault()
    start = time.monotonic()
    status = signed_in.wait_status(lambda s: s["state"] == "throttled",
                                   what="state throttled")
    assert status["throttled_until"]
    signed_in.flush()
    assert time.monotonic() - start >= 3


@pytest.mark.parametrize("size", [70_000, 11_000_000])
@pytest.mark.configs("work")
def test_a_lost_session_holds_the_name(signed_in, mnt, graphd, size):
    """It was opened, its answer got lost, and nobody can end it: the service
    refuses the name until it expires, in days."""
    data = trees.payload("f", size)
    graphd.fault("session", drop="after")
    (mnt / "f").write_bytes(data)
    graphd.wait_fault()
    signed_in.flush(timeout=30)
    assert len(graphd.sessions()) == 1
    assert graphd.names() == {"f"} and graphd.read("f") == data
    assert os.listdir(mnt.path) == ["f"]


def test_quota_full(signed_in, mnt, graphd):
    """507: work goes on here, the person is told, nothing storms."""
    (mnt / "old").write_bytes(b"o" * 1000)
    signed_in.flush()
    graphd.set_quota(remaining=0)
    (mnt / "new").write_bytes(b"n" * 5_000_000)
    before = graphd.total_requests()
    status = signed_in.wait_status(
        lambda s: s["last_error"] or s["blocked"], what="a word about it")
    assert "full" in str(status).lower() or "quota" in str(status).lower()
    (mnt / "local").write_bytes(b"still")
    assert (mnt / "new").stat().st_size == 5_000_000
    (mnt / "old").unlink()
    proc.wait_until(lambda: "old" not in graphd.files(), 30,
                    "the delete, which needs no room")
    assert graphd.total_requests() - before < 60
    graphd.set_quota(remaining=2**30)


@pytest.mark.plain("no name is refused")
def test_blocked_is_set_aside(signed_in, mnt, graphd):
    """One file refused for good; the rest go on; status says which and why."""
    graphd.fault({"name": "refused"}, times=0, status=403,
                 code="accessDenied")
    (mnt / "refused").write_bytes(b"r" * 100)
    for i in range(10):
        (mnt / f"fine{i}").write_bytes(b"x")
    status = signed_in.wait_status(lambda s: s["blocked"], what="blocked")
    [blocked] = status["blocked"]
    assert "refused" in blocked["path"] and blocked["reason"]
    proc.wait_until(lambda: len(graphd.files()) == 10, 20, "the others")
    assert signed_in.run("flush", "--timeout", "5").returncode != 0
    assert (mnt / "refused").read_bytes() == b"r" * 100
    assert os.getxattr(mnt / "refused", "user.nmbackupfs.state") == b"blocked"
    assert os.getxattr(mnt / "refused", "user.nmbackupfs.error")


@pytest.mark.plain("small files take no session")
@pytest.mark.configs("personal")
def test_removed_before_its_session_opened(signed_in, mnt, graphd):
    """Nothing of it can have arrived: nothing is looked for, and that looking
    is refused doesn't keep it for ever."""
    graphd.fault({"path": "/refused", "method": "GET"}, times=0, status=403,
                 code="accessDenied")
    graphd.fault("session", delay_ms=1000, status=403, code="accessDenied")
    (mnt / "refused").write_bytes(b"r" * 100)
    graphd.wait_request("session")
    (mnt / "refused").unlink()
    signed_in.flush(timeout=20)
    assert not signed_in.status()["blocked"]


@pytest.mark.plain("small files take no session")
def test_corrupt_upload_is_noticed(signed_in, mnt, graphd):
    """A hash that differs from ours: sent again, never called synced."""
    graphd.fault("fragment", hash="wrong")
    data = trees.payload("c", 400_000)
    (mnt / "f").write_bytes(data)
    signed_in.flush()
    graphd.wait_fault()
    assert graphd.read("f") == data


def test_missing_hash_is_no_failure(signed_in, mnt, graphd):
    graphd.quirk(hash_delay_ms=500)
    (mnt / "f").write_bytes(b"x" * 100_000)
    signed_in.flush()
    assert graphd.read("f") == b"x" * 100_000


def evictable(machine, name):
    """The store says that the server surely has the content of the file."""
    db = sqlite3.connect(machine.state / "nmbackupfs/default/state.db")
    [[flags]] = db.execute("select f.flags from node n join cfile f"
                           " on f.cid = n.cid where cast(n.name as text) = ?",
                           (name,))
    db.close()
    return bool(flags & 1)


@pytest.mark.configs("personal", "work")
def test_hash_that_never_comes(signed_in, mnt, graphd):
    """Read back and compared before it may be evicted (facts 4)."""
    graphd.quirk(no_hash=1)
    data = trees.payload("h", 5_000_000)
    (mnt / "f").write_bytes(data)
    graphd.wait_for("f", size=len(data))
    assert not evictable(signed_in, "f")
    signed_in.flush()
    assert evictable(signed_in, "f")
    # A vault's descriptor is looked at meanwhile.
    more = graphd.bytes_down() - graphd.stored_size(len(data))
    assert 0 <= more < 10_000
    assert graphd.read("f") == data


@pytest.mark.plain("small files take no session")
@pytest.mark.configs("personal")
def test_old_content_without_a_hash_is_not_ours(signed_in, mnt, graphd):
    """The session is gone and nothing was done; what is there has our size, and
    no hash would tell that it is the version before."""
    graphd.quirk(no_hash=1)
    (mnt / "f").write_bytes(b"old" * 1000)
    signed_in.flush()
    graphd.fault("fragment", expire="session")
    (mnt / "f").write_bytes(b"new" * 1000)
    signed_in.flush(timeout=80)
    graphd.wait_fault()
    assert graphd.versions("f") == [b"old" * 1000, b"new" * 1000]
    assert evictable(signed_in, "f")


def test_tag_moves_for_no_reason(signed_in, mnt, graphd):
    """A 412 although nobody else wrote: look, go on, no conflict copy."""
    (mnt / "f").write_bytes(b"1" * 1000)
    signed_in.flush()
    graphd.touch("f")
    (mnt / "f").write_bytes(b"2" * 1000)
    signed_in.flush()
    assert graphd.read("f") == b"2" * 1000
    assert list(graphd.files()) == ["f"]


@pytest.mark.fault(72)
def test_session_vanishes(signed_in, mnt, graphd):
    """All sessions expire in the middle: from the start again, once."""
    graphd.limit(up=20 * 2**20)
    data = trees.payload("s", 30 * 2**20)
    (mnt / "f").write_bytes(data)
    proc.wait_until(lambda: graphd.session_offset() >= 10 * 2**20, what="10 MiB")
    graphd.expire("sessions")
    graphd.limit(up=0)
    signed_in.flush()
    assert graphd.read("f") == data


@pytest.mark.fault(45)
def test_access_token_expires_in_a_long_upload(signed_in, mnt, graphd):
    before = graphd.login_stats()["refreshes"]
    graphd.limit(up=10 * 2**20)
    data = trees.payload("s", 25 * 2**20)
    (mnt / "f").write_bytes(data)
    proc.wait_until(lambda: graphd.session_offset() >= 10 * 2**20, what="10 MiB")
    graphd.login(expire_access=True)
    graphd.limit(up=0)
    (mnt / "g").write_bytes(b"g")
    signed_in.flush()
    assert graphd.read("f") == data and graphd.read("g") == b"g"
    assert graphd.login_stats()["refreshes"] == before + 1


def test_download_that_lies(signed_in, mnt, graphd):
    """Malware: EACCES or EPERM for that file alone."""
    (mnt / "bad").write_bytes(b"x" * 1000)
    (mnt / "good").write_bytes(b"y" * 1000)
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    graphd.mark_malware("bad")
    mnt = signed_in.mount()
    with pytest.raises(OSError) as refused:
        (mnt / "bad").read_bytes()
    assert refused.value.errno in (errno.EPERM, errno.EACCES, errno.EIO)
    assert (mnt / "good").read_bytes() == b"y" * 1000
