"""Goal: whatever the service answers to one request costs that request time,
at most its file, never another one, and never data.

test_service_faults.c of the unit tests goes through all kinds of requests and
all faults; here is what comes of them on a mount. Each file has a fault of its
own, and all of them happen at once."""

import concurrent.futures
import errno
import os
import time

import pytest

from kit import proc, trees

FULL = bool(os.environ.get("NMB_TEST_FULL"))

BROKEN = dict(answer={"id": 7, "name": [], "value": "x", "eTag": {},
                      "uploadUrl": 7, "nextExpectedRanges": "0-"})
MISSING = dict(answer={"id": None, "name": None, "value": None, "eTag": None,
                       "uploadUrl": None, "nextExpectedRanges": None})
# What befalls one request, again and again. facts/graph.md 14 and 13; what
# stops a whole account (429, 401, a portal) has tests of its own.
FAULTS = {
    "400": dict(status=400),
    "402": dict(status=402),
    "403": dict(status=403, code="accessDenied"),
    "403 malware": dict(status=403, code="malwareDetected"),
    "404": dict(status=404),
    "405": dict(status=405),
    "408": dict(status=408),
    "409": dict(status=409),
    "409 conflict": dict(status=409, code="conflict"),
    "410": dict(status=410),
    "412": dict(status=412),
    "413": dict(status=413),
    "416": dict(status=416),
    "422": dict(status=422),
    "424": dict(status=424),
    "500": dict(status=500),
    "501": dict(status=501),
    "502": dict(status=502, body="html"),
    "503": dict(status=503),
    "504": dict(status=504),
    "308": dict(status=308),
    "empty": dict(body="empty"),
    "array": dict(body=[]),
    "half": dict(body='{"id":'),
    "deep": dict(body="deep", size=100_000),
    "gigabyte": dict(body="huge", size=2**30),
    "bomb": dict(body="gzip", size=10**8,
                 headers={"Content-Encoding": "gzip"}),
    "types": BROKEN,
    "members": MISSING,
    "cut before": dict(drop="before"),
    "reset before": dict(drop="before", reset=True),
    "cut after": dict(drop="after"),
    "reset after": dict(drop="after", reset=True),
    "short": dict(truncate=3),
    "too long": dict(wire="long_length"),
    "too short": dict(wire="short_length"),
    "garbage": dict(wire="garbage"),
    "half header": dict(wire="half_header"),
    "endless header": dict(wire="endless_header"),
    "endless line": dict(wire="endless_line"),
    "bad chunk": dict(wire="bad_chunk"),
}
# To a DELETE these say that it is gone, and are believed.
GONE = {"404", "empty", "array"}
# Refused for a reason that a person must know at once.
REFUSED = {"400", "402", "403", "403 malware", "413"}
WINDOW_S = 5
MOST = 20  # requests of a kind for one file in that time


def data_of(name):
    return trees.payload(name, 3000)


class Writing:
    """What a person does to a file, and the request that comes of it."""

    def __init__(self, cls, before=False, makes="file"):
        self.cls, self.before, self.makes = cls, before, makes

    def prepare(self, path):
        if self.before:
            path.write_bytes(data_of(path.name))

    def do(self, path):
        if self.makes == "dir":
            path.mkdir()
        elif self.makes == "empty":
            path.write_bytes(b"")
        elif self.cls == "patch":
            path.rename(path.with_name("new " + path.name))
        elif self.cls == "delete":
            path.unlink()
        else:
            path.write_bytes(data_of(path.name))

    def expected(self, names):
        """{name: content, None for a folder} afterwards."""
        if self.cls == "delete":
            return {}
        if self.makes != "file":
            content = None if self.makes == "dir" else b""
            return dict.fromkeys(names, content)
        new = "new " if self.cls == "patch" else ""
        return {new + n: data_of(n) for n in names}


WRITINGS = {
    "put": Writing("put", makes="empty"),
    "session": Writing("session"),
    "fragment": Writing("fragment"),
    "create": Writing("create", makes="dir"),
    "patch": Writing("patch", before=True),
    "delete": Writing("delete", before=True),
}


def server_tree(graphd):
    tree = {}
    for path, item in graphd.tree().items():
        try:
            tree[path] = None if item["type"] != "file" else graphd.read(path)
        except AssertionError:
            pass  # it is just being moved
    return tree


def local_tree(mnt):
    return {p.relative_to(mnt.path).as_posix():
            None if p.is_dir() else p.read_bytes()
            for p in mnt.path.rglob("*")}


@pytest.mark.fault(36, 40, 44, 89, 93)
@pytest.mark.plain("names of requests are sealed")
@pytest.mark.parametrize("kind", WRITINGS if FULL else
                         ["session", "patch"])
@pytest.mark.configs("personal", "work")
def test_every_fault_of_a_write(signed_in, mnt, graphd, kind):
    """For a time every file's request fails in its own way; the others go
    through at once. Later all is there, once, as it was written."""
    what = WRITINGS[kind]
    names = [n for n in FAULTS if kind != "delete" or n not in GONE]
    calm = [f"calm{i}" for i in range(5)]
    for name in names + calm:
        what.prepare(mnt / name)
    signed_in.flush()
    rules = {name: graphd.fault({"class": what.cls, "name": name}, times=0,
                                **FAULTS[name]) for name in names}
    start = time.monotonic()
    for name in names + calm:
        what.do(mnt / name)
    done = what.expected(calm)
    proc.wait_until(lambda: done.items() <= server_tree(graphd).items()
                    and (what.cls != "delete"
                         or not set(calm) & graphd.names()),
                    20, "what nothing befell")
    for name, rule in rules.items():
        graphd.wait_fault(rule)
    time.sleep(max(0, WINDOW_S - (time.monotonic() - start)))
    took = time.monotonic() - start
    fired = {name: graphd.fired(rule) for name, rule in rules.items()}
    odd = {n: times for n, times in fired.items()
           if not 0 < times <= MOST * max(1, took / WINDOW_S)}
    assert not odd
    everything = what.expected(names + calm)
    assert local_tree(mnt) == everything
    blocked = {os.path.basename(b["path"]): b["reason"]
               for b in signed_in.status()["blocked"]}
    for name in REFUSED - ({"403", "413"} if kind == "fragment" else set()):
        shown = [r for n, r in blocked.items() if n.endswith(name)]
        assert shown and shown[0], (name, blocked)
    graphd.clear_faults()
    signed_in.flush(timeout=100)
    assert not signed_in.status()["blocked"]
    assert local_tree(mnt) == everything
    assert server_tree(graphd) == everything


@pytest.mark.fault(36, 89)
@pytest.mark.plain("names of requests are sealed")
@pytest.mark.configs("personal", "work")
def test_every_fault_of_a_cancelled_upload(signed_in, mnt, graphd):
    """The service does not let go of a session that nobody wants any more: the
    name can be used all the same."""
    refused = [graphd.fault({"class": "fragment", "name": name}, times=0,
                            status=503) for name in FAULTS]
    rules = {name: graphd.fault({"class": "session_cancel", "name": name},
                                times=0, **fault)
             for name, fault in FAULTS.items()}
    for name in FAULTS:
        (mnt / name).write_bytes(data_of(name))
    for rule in refused:
        graphd.wait_fault(rule)
    for name in FAULTS:
        (mnt / name).unlink()
    for rule in rules.values():
        graphd.wait_fault(rule)
    for name in FAULTS:
        (mnt / name).write_bytes(data_of("new " + name))
    graphd.clear_faults()
    signed_in.flush(timeout=100)
    expected = {name: data_of("new " + name) for name in FAULTS}
    assert local_tree(mnt) == expected
    assert server_tree(graphd) == expected


# What a reader gets while it lasts; EIO if nothing is said.
READ_ERRNO = {"402": errno.EACCES, "403 malware": errno.EPERM,
              "409 conflict": errno.EBUSY}
OF_THE_ITEM = {**READ_ERRNO, "403": errno.EACCES, "404": errno.ESTALE,
               "410": errno.ESTALE}


@pytest.mark.fault(31, 36, 75, 89, 93)
@pytest.mark.plain("names of requests are sealed")
@pytest.mark.parametrize("cls", ["download", "item"] if FULL else
                         ["download"])
@pytest.mark.configs("personal", "work")
def test_every_fault_of_a_read(signed_in, mnt, graphd, cls, config):
    """Readers wait their deadline, no longer, and get an error or the right
    bytes; later the right bytes."""
    faults = {n: f for n, f in FAULTS.items() if n not in ("types", "members", "412")}
    for name in [*faults, "calm"]:
        (mnt / name).write_bytes(data_of(name))
    signed_in.flush()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount("--deadline", "4s")
    mnt.wait_listed()
    if cls == "item":  # graphd's listings bring no URL then
        graphd.quirk(no_download_url=1)
    rules = {name: graphd.fault({"class": cls, "name": name}, times=0, **fault)
             for name, fault in faults.items()}

    def read(name):
        start = time.monotonic()
        try:
            return (mnt / name).read_bytes(), time.monotonic() - start
        except OSError as e:
            return e.errno, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(len(faults)) as pool:
        reads = {name: pool.submit(read, name) for name in faults}
        assert read("calm")[0] == data_of("calm")
        got = {name: r.result() for name, r in reads.items()}
    expected = READ_ERRNO if cls == "download" else OF_THE_ITEM
    if "300" in config.split("-"):  # the deadline may come before the verdict
        got = {n: (data_of(n) if a == errno.EIO else a, took)
               for n, (a, took) in got.items()}
    assert max(took for _, took in got.values()) < 4 + proc.patience(8)
    wrong = {name: answer for name, (answer, _) in got.items()
             if answer not in (data_of(name), expected.get(name, errno.EIO))}
    assert not wrong
    fired = {name: graphd.fired(rule) for name, rule in rules.items()}
    odd = {n: times for n, times in fired.items()
           if not 0 < times <= 3 * MOST}
    assert not odd
    graphd.clear_faults()
    if cls == "item":  # it is gone, by its id: believed, here and above
        faults = faults.keys() - {"404", "410"}
    for name in faults:
        proc.wait_until(lambda name=name: read(name)[0] == data_of(name), 40,
                        f"{name} after its fault")
