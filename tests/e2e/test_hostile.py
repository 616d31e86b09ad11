"""Goal: answers made to hurt cost their own request, never the process, its
memory, the state directory or a terminal that shows the log."""

import base64
import json
import os
import time

import pytest

from kit import proc

FULL = bool(os.environ.get("NMB_TEST_FULL"))
pytestmark = pytest.mark.configs("personal", "work")


def rss_mib(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def state_files(machine):
    return {p.relative_to(machine.home).as_posix()
            for p in machine.home.rglob("*")}


RLO = "\u202e"
ANSI = "\x1b[31mred\x1b[2J\x07"
# What the service says an item is called; as JSON text where no name of a test
# can say it.
NAMES = {
    "dot": ".",
    "dots": "..",
    "up": "../../outside",
    "slash": "a/b",
    "absolute": "/etc/passwd",
    "nothing": "",
    "nul": {"raw": r'"a\u0000b"'},
    "half a pair": {"raw": r'"a\ud800b"'},
    "no utf-8": {"base64": base64.b64encode(b'"a\xff\xfeb"').decode()},
    "long": "x" * 10_000,
    "a megabyte": "y" * 1_000_000,
    "ansi": ANSI,
    "newline": "a\nnmbackupfs: error: forged\r\n",
    "right to left": f"exe.{RLO}gpj.txt",
    "control": "a\x01\x1f\x7f\u0085b",
    "backslash": "a\\b",
    "a number": 7,
    "a list": [["x"]],
    "twice": {"raw": '"one","name":"two"'},
    "missing": None,
}


@pytest.mark.fault(87, 88)
@pytest.mark.plain("names in a vault are sealed")
def test_names_that_hurt(signed_in, graphd):
    """They are escaped or left out; nothing leaves the mount or our folders;
    neither the log nor the status passes a control character on."""
    for i in range(len(NAMES)):
        graphd.put(f"d/item{i}", b"%d" % i)
    graphd.put("d/good", b"good")
    before = state_files(signed_in)
    graphd.quirk(folder_delta=0)
    hurt_all(graphd, list(NAMES.values()))
    mnt = signed_in.mount("--deadline", "5s")
    proc.wait_until(lambda: "good" in os.listdir(mnt / "d"), 20, "the listing")
    shown = os.listdir(os.fsencode(mnt / "d"))
    assert not {b".", b"..", b""} & set(shown)
    assert all(len(n) <= 255 and b"/" not in n and b"\0" not in n
               for n in shown)
    assert (mnt / "d/good").read_bytes() == b"good"
    for name in shown:
        os.lstat(os.path.join(os.fsencode(mnt / "d"), name))
    assert not (mnt.path.parent / "outside").exists()
    new = {p for p in state_files(signed_in) - before
           if not p.startswith(("state/nmbackupfs", "run/"))}
    assert not new
    assert mnt.is_running()
    status = signed_in.run("status").stdout
    for text in (signed_in.log.read_bytes(), status.encode()):
        seen = {b for b in text if b < 0x20 and b not in (9, 10)} | \
            {b for b in text if b == 0x7f}
        assert not seen, seen
        assert not any(line.startswith(b"nmbackupfs: error: forged")
                       for line in text.splitlines())
        assert RLO.encode() not in text


def hurt_all(graphd, names):
    """Pages of the feed and of listings hold items of all these names."""
    item = {"id": None, "eTag": '"e"', "size": 3, "file": {},
            "createdDateTime": "2026-01-01T00:00:00Z",
            "parentReference": {"id": graphd.item("d")["id"]}}
    value = [{**item, "id": f"HURT{i}", "name": name if not isinstance(
        name, dict) else f"@{i}@"} for i, name in enumerate(names)]
    for i, one in enumerate(value):
        if names[i] is None:
            del one["name"]
    text = json.dumps(value).encode()
    for i, name in enumerate(names):
        if isinstance(name, dict):
            raw = name["raw"].encode() if "raw" in name else \
                base64.b64decode(name["base64"])
            text = text.replace(b'"@%d@"' % i, raw)
    for cls in ("delta", "children"):
        graphd.fault(cls, times=2, answer={
            "value": {"base64": base64.b64encode(
                text[:-1] + b"," + good_item(graphd) + b"]").decode()}})


def good_item(graphd):
    d, good = graphd.item("d"), graphd.item("d/good")
    parent = graphd._items()
    [folder] = [i for i in parent if i["path"] == "/nmbackupfs"]
    return json.dumps(
        {"id": d["id"], "name": "d", "eTag": '"d"', "folder": {},
         "parentReference": {"id": folder["id"]}}).encode() + b"," + \
        json.dumps(
            {"id": good["id"], "name": "good", "eTag": '"g"', "size": 4,
             "file": {}, "parentReference": {"id": d["id"]}}).encode()


# Members of an item that is otherwise true. Of what kind it is, is believed:
# no item changes that.
MEMBERS = {
    "size 1e999": {"size": {"raw": "1e999"}},
    "size -1": {"size": -1},
    "size text": {"size": "many"},
    "size huge": {"size": 2**62},
    "no size": {"size": None},
    "id number": {"id": 7},
    "no id": {"id": None},
    "id twice": {"id": {"raw": '"one","id":"two"'}},
    "id long": {"id": "i" * 1_000_000},
    "id dots": {"id": ".."},
    "id control": {"id": "a\r\nX: y"},
    "tag object": {"eTag": {"a": 1}},
    "tag control": {"eTag": "\"\r\nX-Evil: 1\""},
    "tag long": {"eTag": "e" * 100_000},
    "parent list": {"parentReference": [1]},
    "parent missing": {"parentReference": None},
    "hash nonsense": {"file": {"hashes": {"quickXorHash": "@@@"}}},
    "time nonsense": {"fileSystemInfo": {"lastModifiedDateTime": "soon"}},
    "time far": {"fileSystemInfo": {
        "lastModifiedDateTime": "9999-12-31T23:59:59Z"}},
    "url foreign": {"@microsoft.graph.downloadUrl": "file:///etc/passwd"},
}


@pytest.mark.fault(89, 91)
def test_members_that_hurt(signed_in, graphd):
    """Each in the feed of a running mount; a true file beside it arrives, the
    process lives, and in the end all is as it is."""
    mnt = signed_in.mount("--deadline", "5s")
    mnt.wait_listed()
    graphd.put("kept", b"kept")
    tried = list(MEMBERS.items())[::1 if FULL else 3]
    for i, (what, items) in enumerate(tried):
        rule = graphd.fault("delta", items=items, only=f"odd{i}", skip=0)
        graphd.put(f"odd{i}", b"odd%d" % i)
        graphd.wait_fault(rule)
        graphd.clear_faults()
        assert mnt.is_running(), what
    graphd.put("after", b"after")
    proc.wait_until(lambda: (mnt / "after").exists(), 30, "what came after")
    assert (mnt / "kept").read_bytes() == b"kept"
    graphd.delta_gone()  # a full enumeration tells the truth of all
    for i in range(len(tried)):
        proc.wait_until(lambda i=i: read_or_none(mnt / f"odd{i}")
                        == b"odd%d" % i, 30, f"the truth of {i}")
    assert {n for n in os.listdir(mnt.path) if "conflict" not in n} >= \
        {f"odd{i}" for i in range(len(tried))}


def read_or_none(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


@pytest.mark.fault(90)
@pytest.mark.plain("folders in a vault have sealed names")
def test_folders_in_each_other(signed_in, graphd):
    """A in B in A, and one in itself: left out, and the rest goes on."""
    mnt = signed_in.mount("--deadline", "5s")
    mnt.wait_listed()
    for name in ("a", "b", "self"):
        graphd.mkdir(name)
    ids = {n: graphd.item(n)["id"] for n in ("a", "b", "self")}
    for name, parent in (("a", "b"), ("b", "a"), ("self", "self")):
        rule = graphd.fault("delta", only=name, items={
            "parentReference": {"id": ids[parent]}}, times=1)
        graphd.touch(name)
        graphd.wait_fault(rule)
    graphd.clear_faults()
    graphd.put("after", b"after")
    proc.wait_until(lambda: (mnt / "after").exists(), 30, "what came after")
    for _, folders, _ in os.walk(mnt.path):
        assert len(folders) <= 3
    assert mnt.is_running()
    assert rss_mib(mnt.process.pid) < 300


@pytest.mark.fault(92)
@pytest.mark.plain("what is listed is not only the folder")
@pytest.mark.parametrize("where", ["self", "abroad"])
def test_links_that_lead_nowhere(signed_in, graphd, where):
    """To itself: a few pages, then a pause. To another host: nothing goes
    there. Afterwards the listing is complete."""
    for i in range(5):
        graphd.put(f"f{i}", b"%d" % i)
    link = "self" if where == "self" else "https://evil.invalid/v1.0/next"
    rules = [graphd.fault(cls, times=0, link=link)
             for cls in ("delta", "children")]
    mnt = signed_in.mount("--deadline", "3s")
    with pytest.raises(OSError):
        os.listdir(mnt.path)
    time.sleep(3)
    fired = [graphd.fired(r) for r in rules]
    assert all(0 < n < 40 for n in fired), fired
    assert "loop" in signed_in.status()["last_error"].lower() or \
        signed_in.status()["last_error"]
    graphd.clear_faults()
    proc.wait_until(lambda: read_or_none(mnt / "f4") == b"4", 40,
                    "the listing")
    assert len(os.listdir(mnt.path)) == 5


BODIES = {
    "gigabyte": dict(body="huge", size=2**30),
    "endless": dict(body="endless"),
    "endless chunks": dict(wire="endless_chunks"),
    "bomb": dict(body="gzip", size=10**9,
                 headers={"Content-Encoding": "gzip"}),
    "deep": dict(body="deep", size=1_000_000),
    "wide": dict(body="huge", size=60_000_000),
    "endless header": dict(wire="endless_header"),
    "endless line": dict(wire="endless_line"),
}


class Memory:
    """The most that a process had, sampled while something goes on."""

    def __init__(self, pid):
        self.pid = pid
        self.first = self.most = rss_mib(pid)

    def until(self, ready, timeout, what):
        def sampled():
            self.most = max(self.most, rss_mib(self.pid))
            return ready()
        return proc.wait_until(sampled, timeout, what)

    def bounded(self):
        return self.most - self.first < 350


@pytest.mark.fault(89, 93)
@pytest.mark.plain("small files take no session")
def test_bodies_without_end(signed_in, mnt, graphd):
    """In the feed and after a fragment: memory stays bounded, nothing waits
    for the end of it."""
    memory = Memory(mnt.process.pid)
    for what in list(BODIES)[::1 if FULL else 2]:
        feed = graphd.fault("delta", **BODIES[what])
        (mnt / what).write_bytes(b"f" * 500_000)
        fragment = graphd.fault("fragment", **BODIES[what])
        graphd.put(f"{what} there", b"there")
        memory.until(lambda f=feed: graphd.fired(f), 30, f"{what} in the feed")
        memory.until(lambda f=fragment: graphd.fired(f), 30, what)
        memory.until(lambda w=what: (mnt / f"{w} there").exists(), 60,
                     f"the feed after {what}")
        graphd.clear_faults()
    signed_in.flush(timeout=100)
    assert memory.bounded(), (memory.first, memory.most)


@pytest.mark.fault(89, 93)
@pytest.mark.parametrize("what", BODIES if FULL else ["endless", "bomb"])
@pytest.mark.parametrize("cls", ["drive", "item", "children"])
def test_starts_without_end(signed_in, graphd, cls, what):
    """The same of the first requests of a mount."""
    graphd.put("f", b"f")
    rule = graphd.fault(cls, **BODIES[what])
    if cls == "children":  # asked for all of them where there is no feed
        graphd.fault("delta", times=0, status=501, code="notSupported")
    mnt = signed_in.mount("--deadline", "20s")
    memory = Memory(mnt.process.pid)
    memory.until(lambda: read_or_none(mnt / "f") == b"f", 60, "the file")
    assert graphd.fired(rule)
    assert memory.bounded(), (memory.first, memory.most)
