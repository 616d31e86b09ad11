"""Goal: what stops the whole account is waited out by all of it, said in the
status with what to do, and costs what is done here nothing."""

import datetime
import errno
import os
import socket
import subprocess
import threading
import time

import pytest

from kit import graphd as kit_graphd
from kit import proc, trees

FULL = bool(os.environ.get("NMB_TEST_FULL"))
pytestmark = pytest.mark.configs("personal", "work")


def seconds_until(when):
    then = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
    now = datetime.datetime.now(datetime.timezone.utc)
    return (then - now).total_seconds()


# ---- throttling -------------------------------------------------------------

THROTTLES = {
    "429": dict(status=429, retry_after=3),
    "503": dict(status=503, retry_after=3),
    "dressed": dict(status=403, code="accessDenied", inner="throttledRequest",
                    retry_after=3),
}


@pytest.mark.fault(41)
@pytest.mark.parametrize("how, cls", [
    (how, cls) for cls in ("create", "put", "session", "fragment", "delta",
                           "download") for how in THROTTLES]
    if FULL else [("429", "fragment"), ("dressed", "download")])
@pytest.mark.plain("small files take no session")
def test_retry_after_of_any_request(signed_in, mnt, graphd, how, cls):
    """No request of any kind before its time: that is among what graphd's
    statistics call forbidden (facts 10.1)."""
    (mnt / "old").write_bytes(b"old" * 1000)
    signed_in.flush()
    if cls == "download":
        mnt.unmount()
        signed_in.wipe()
        mnt = signed_in.mount()
        mnt.wait_listed()
    fault = graphd.fault(cls, **THROTTLES[how])
    begun = time.monotonic()
    for i in range(5):
        (mnt / f"dir{i}").mkdir()
        (mnt / f"dir{i}/empty").touch()
        (mnt / f"dir{i}/file").write_bytes(trees.payload(i, 2000))
    if cls == "download":
        assert (mnt / "old").read_bytes() == b"old" * 1000
    graphd.wait_fault(fault)
    status = signed_in.wait_status(
        lambda s: s["state"] == "throttled" or not s["pending_changes"],
        what="state throttled")
    if status["state"] == "throttled":
        assert -1 < seconds_until(status["throttled_until"]) < 5
    assert (mnt / "dir1/file").read_bytes() == trees.payload(1, 2000)
    signed_in.flush()
    assert time.monotonic() - begun >= 3
    assert graphd.fired(fault) == 1
    assert len(graphd.files()) == 11


@pytest.mark.fault(41, 43)
def test_a_storm_with_minutes_to_wait(signed_in, mnt, graphd):
    """Throttled for an hour: not one request, work goes on, status says until
    when; a new start asks once and learns the same."""
    (mnt / "before").write_bytes(b"before")
    signed_in.flush()
    graphd.fault(times=0, status=429, retry_after=3600)
    graphd.wait_fault(timeout=30)
    status = signed_in.wait_status(lambda s: s["state"] == "throttled",
                                   what="state throttled")
    assert 3500 < seconds_until(status["throttled_until"]) <= 3601
    asked = graphd.total_requests()
    source = trees.make_tree(mnt.path / "tree", seed=5, files=40)
    before = trees.describe(source)
    os.rename(mnt / "tree", mnt / "moved")
    (mnt / "before").unlink()
    assert trees.describe(mnt / "moved") == before
    time.sleep(2)
    assert graphd.total_requests() - asked <= 1
    assert signed_in.status()["pending_files"] == len(
        [p for p in (mnt / "moved").rglob("*") if p.is_file()])
    said = signed_in.run("status", check=0).stdout
    assert "throttled" in said and status["throttled_until"][:13] in said
    mnt.kill()
    mnt = signed_in.mount()
    assert trees.describe(mnt / "moved") == before
    time.sleep(2)
    assert graphd.total_requests() - asked <= 12  # the first of each kind
    mnt.kill()  # it would wait its hour
    graphd.stop()  # the service forgets it
    graphd.start()
    mnt = signed_in.mount()
    signed_in.flush()
    assert trees.describe(mnt / "moved") == before
    assert "before" not in graphd.names()


@pytest.mark.fault(42)
def test_throttled_without_a_time(signed_in, mnt, graphd):
    """2 to 4 s, doubling, and one request to see whether it is over."""
    fault = graphd.fault(times=2, status=429)
    graphd.wait_fault(fault)
    begun = time.monotonic()
    graphd.wait_idle(100)  # what was on its way
    asked = graphd.total_requests()
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"x")
    time.sleep(1)
    assert graphd.total_requests() - asked <= 1
    signed_in.flush()
    assert time.monotonic() - begun >= 1.5
    assert len(graphd.files()) == 20 and graphd.fired(fault) == 2


# ---- no room -----------------------------------------------------------------

@pytest.mark.fault(28)
def test_no_room_for_many(signed_in, mnt, graphd):
    """507 for fifty files: a handful of requests, not fifty; the state is full
    and says what to do; deletes go on; after one of them all goes up."""
    for name in ("old1", "old2"):
        (mnt / name).write_bytes(b"o" * 1000)
    signed_in.flush()
    graphd.set_quota(remaining=0)
    for i in range(50):
        (mnt / f"new{i}").write_bytes(trees.payload(i, 40_000))
    status = signed_in.wait_status(lambda s: s["state"] == "full",
                                   what="state full")
    assert "full" in status["last_error"]
    assert 200 < seconds_until(status["full_until"]) <= 301
    time.sleep(1)
    asked = graphd.total_requests()
    assert "OneDrive is full" in signed_in.run("status", check=0).stdout
    done = signed_in.run("flush", "--timeout", "3")
    assert done.returncode != 0 and "full" in done.stderr
    (mnt / "late").write_bytes(b"still")
    assert (mnt / "late").read_bytes() == b"still"
    assert not signed_in.status()["blocked"]
    (mnt / "old1").unlink()  # makes room, but too little
    graphd.wait_gone("old1", timeout=30)
    time.sleep(2)
    assert graphd.total_requests() - asked < 40
    assert signed_in.status()["state"] == "full"
    assert {f"new{i}" for i in range(50)} - graphd.names()
    graphd.set_quota(remaining=2**30)
    (mnt / "old2").unlink()
    signed_in.flush()
    assert signed_in.status()["state"] == "idle"
    assert graphd.names() == {f"new{i}" for i in range(50)} | {"late"}
    assert graphd.read("new7") == trees.payload(7, 40_000)


# ---- tokens --------------------------------------------------------------------

@pytest.mark.fault(48)
@pytest.mark.parametrize("cls", ["create", "session", "delta", "children"])
def test_refused_although_it_looks_valid(signed_in, mnt, graphd, cls):
    """A token that the clock calls good and the service does not: one refresh
    for all, and the request goes out again."""
    refreshed = graphd.login_stats()["refreshes"]
    graphd.expire("access")
    for i in range(8):
        (mnt / f"dir{i}").mkdir()
        (mnt / f"dir{i}/f").write_bytes(b"x" * 100)
    signed_in.flush()
    assert len(graphd.files()) == 8
    assert signed_in.status()["state"] == "idle"

    assert graphd.login_stats()["refreshes"] == refreshed + 1


@pytest.mark.fault(47)
def test_refused_for_good(signed_in, mnt, graphd):
    """401 whatever the token: the sign-in is doubted, nothing storms, work goes
    on; when it is over it goes on by itself."""
    graphd.fault(times=0, status=401)
    (mnt / "new").write_bytes(b"new")
    signed_in.wait_status(lambda s: s["state"] == "signed-out" or
                          "sign" in s["last_error"], what="a word about it")
    asked = graphd.total_requests()
    time.sleep(4)
    assert graphd.total_requests() - asked < 30
    assert (mnt / "new").read_bytes() == b"new"
    graphd.clear_faults()
    signed_in.flush(timeout=100)
    assert graphd.read("new") == b"new"


# ---- one item ---------------------------------------------------------------

@pytest.mark.fault(44)
@pytest.mark.plain("names of requests are sealed")
def test_a_permanent_one_is_set_aside(signed_in, mnt, graphd):
    """Refused for one name for ever, and trouble in a mixture for the others:
    they arrive, and that one is shown. (500 takes its time to be for ever.)"""
    graphd.fault({"name": "never"}, times=0, status=500 if FULL else 501)
    mixture = [graphd.fault(skip=3, status=status)
               for status in (500, 502, 504, 424, 409, 500)]
    for i in range(20):
        (mnt / f"fine{i}").write_bytes(b"x" * 100)
    (mnt / "never").write_bytes(b"n" * 100)
    proc.wait_until(lambda: len(graphd.files()) == 20, 60, "the others")
    status = signed_in.wait_status(lambda s: s["blocked"], 90, "blocked")
    [blocked] = status["blocked"]
    assert blocked["path"].endswith("never") and blocked["reason"]
    assert signed_in.run("flush", "--timeout", "1").returncode != 0
    assert all(graphd.fired(f) for f in mixture)
    graphd.clear_faults()
    signed_in.flush(timeout=100)
    assert not signed_in.status()["blocked"]


@pytest.mark.fault(75)
@pytest.mark.plain("names of requests are sealed")
def test_one_item_is_out_of_reach(signed_in, mnt, graphd):
    """Malware, locked, on hold: that one alone, for reads and for writes."""
    names = ["virus", "locked", "hold", "fine"]
    for name in names:
        (mnt / name).write_bytes(trees.payload(name, 3000))
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    graphd.mark_malware("virus")
    for name, code in (("locked", 423), ("hold", 403)):
        for method in ("GET", "PATCH", "DELETE"):
            graphd.fault({"name": name, "method": method}, times=0,
                         status=code)
    mnt = signed_in.mount("--deadline", "4s")
    mnt.wait_listed()
    for name, codes in (("virus", {errno.EPERM, errno.EACCES}),
                        ("locked", {errno.EIO, errno.EBUSY}),
                        ("hold", {errno.EIO, errno.EACCES})):
        with pytest.raises(OSError) as refused:
            (mnt / name).read_bytes()
        assert refused.value.errno in codes, name
    assert (mnt / "fine").read_bytes() == trees.payload("fine", 3000)
    (mnt / "hold").unlink()
    (mnt / "fine").rename(mnt / "finer")
    graphd.wait_for("finer")
    status = signed_in.wait_status(lambda s: s["blocked"], what="blocked")
    [blocked] = status["blocked"]
    assert "hold" in blocked["path"] and "403" in blocked["reason"]
    assert "hold" in graphd.names()
    graphd.clear_faults()
    signed_in.flush()
    assert graphd.names() == {"virus", "locked", "finer"}


# ---- answers that lead elsewhere, or are not ours ----------------------------

class Stranger:
    """A server that is not the service; keeps what it was sent."""

    def __init__(self):
        self.seen = b""
        self.server = socket.create_server(("127.0.0.3", 0))
        self.url = "http://127.0.0.3:%d/x" % self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                self.seen += connection.recv(65536)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\n"
                                   b"Content-Length: 0\r\n\r\n")


@pytest.mark.fault(73)
def test_downloads_that_lead_elsewhere(signed_in, mnt, graphd):
    """URLs expire, redirect to a host that has nothing, or to one that is not
    there: a new one is fetched; no token goes anywhere."""
    data = trees.payload("far", 300_000)
    # In directories of their own, so that none is fetched ahead.
    old, astray, nowhere = (f"{name}/f" for name in "abc")
    for path in (old, astray, nowhere):
        (mnt / path).parent.mkdir()
        (mnt / path).write_bytes(data)
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    mnt.wait_listed()
    stranger = Stranger()
    rules = [graphd.fault("download", expire="url")]
    assert (mnt / old).read_bytes() == data
    rules.append(graphd.fault("download", status=302,
                              headers={"Location": stranger.url}))
    assert (mnt / astray).read_bytes() == data
    rules.append(graphd.fault("download", status=302, headers={
        "Location": "http://127.0.0.3:9/x"}))
    assert (mnt / nowhere).read_bytes() == data
    assert all(graphd.fired(r) for r in rules)
    assert stranger.seen.startswith(b"GET /x")
    assert b"authorization" not in stranger.seen.lower()
    stranger.server.close()


@pytest.mark.fault(69)
@pytest.mark.plain("sealed files are none that a service would change")
@pytest.mark.configs("work")
def test_a_service_that_rewrites_files(signed_in, mnt, graphd):
    """What was stored is not what was sent: noticed and shown; what is here
    stays as it was written, and is never called safe there."""
    graphd.quirk(enrich=1)
    data = trees.payload("report", 30_000)
    (mnt / "report.docx").write_bytes(data)
    (mnt / "plain.bin").write_bytes(data)
    signed_in.wait_status(lambda s: s["blocked"] or s["last_error"],
                          60, what="a word about it")
    assert (mnt / "report.docx").read_bytes() == data
    assert graphd.read("report.docx") != data
    assert graphd.read("plain.bin") == data
    mnt.unmount(wait=False)
    mnt.kill()
    mnt = signed_in.mount()
    assert (mnt / "report.docx").read_bytes() == data


@pytest.mark.fault(50)
def test_signed_in_as_another(signed_in, mnt, graphd):
    """What was written for one drive is never sent to another one."""
    (mnt / "mine").write_bytes(b"mine")
    signed_in.flush()
    graphd.fault("session", times=0, status=503)
    graphd.fault("put", times=0, status=503)
    (mnt / "queued").write_bytes(b"secret of ann" * 100)
    mnt.kill()
    kind = "work" if graphd.account == "work" else "personal"
    graphd.login(account=f"bob@{kind}.example")
    signed_in.run("logout", check=0)
    signed_in.run("auth")  # refused here, or by the mount
    graphd.clear_faults()
    mounted = signed_in.popen("-f", mnt.path, stdout=subprocess.DEVNULL,
                              stderr=open(signed_in.log, "ab"))
    try:
        proc.wait_until(lambda: mounted.poll() is not None or "another"
                        in signed_in.run("status", "--json").stdout, 30,
                        "a word about it")
        time.sleep(1)
        assert graphd.names() == {"mine"}
    finally:
        proc.unmount_all(mnt.path)
        proc.stop(mounted)
    assert "queued" not in graphd.names()
    assert "another account" in signed_in.log.read_text()


@pytest.mark.fault(35)
@pytest.mark.plain("one is enough")
@pytest.mark.configs("personal-h2")
def test_wrong_certificate(signed_in, mnt, graphd, base):
    """Nothing is sent, nothing is tried in the clear; local work goes on, and
    with the right certificate all arrives."""
    (mnt / "before").write_bytes(b"before")
    signed_in.flush()
    mnt.unmount()
    other = base / "other"
    other.mkdir()
    kit_graphd.front.world.make_certificates(other, "127.0.0.1", "localhost")
    asked = graphd.total_requests()
    untrusted = {"NMBACKUPFS_CA_FILE": str(other / "ca.pem")}
    done = signed_in.run("get", "before", "-o", base / "out",
                         env=untrusted)
    assert done.returncode != 0
    assert "certificate there is not trusted" in done.stderr
    mnt = signed_in.mount(env=untrusted)
    (mnt / "new").write_bytes(b"new")
    signed_in.wait_status(lambda s: s["state"] == "offline", what="offline")
    assert sorted(os.listdir(mnt.path)) == ["before", "new"]
    time.sleep(2)
    assert graphd.total_requests() == asked
    assert "certificate" in signed_in.log.read_text()
    mnt.kill()
    mnt = signed_in.mount()
    signed_in.flush()
    assert graphd.names() == {"before", "new"}
