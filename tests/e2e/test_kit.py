"""Goal: the kit itself tells the truth, without the program under test.

A check that can't fail proves nothing: a leaked credential and a forbidden
request must be found, faults must count, the drive must outlive a restart."""

import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from kit import graphd as kit_graphd
from kit import proc, trees

pytestmark = pytest.mark.configs("personal", "work")


class Client:
    """A client of the service of about twenty lines."""

    def __init__(self, graphd):
        self.graphd = graphd
        trust = ssl.create_default_context(
            cafile=graphd.front and graphd.front.ca)
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=trust))
        self.token = graphd._post("token", {})["access_token"]

    def __call__(self, method, url, body=None, token=True, **headers):
        if not url.startswith("http"):
            url = self.graphd.graph_url + urllib.parse.quote(url)
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if token:
            headers["Authorization"] = "Bearer " + self.token
        request = urllib.request.Request(url, body, headers, method=method)
        with self.opener.open(request, timeout=20) as answer:
            data = answer.read()
            return json.loads(data) if data[:1] == b"{" else data


@pytest.fixture
def client(graphd):
    return Client(graphd)


@pytest.mark.plain("its client does not seal")
def test_put_and_read(graphd, client):
    client("PUT", "/me/drive/root:/nmbackupfs/a/b.txt:/content", b"hello")
    assert graphd.read("a/b.txt") == b"hello"
    assert set(graphd.files()) == {"a/b.txt"} and graphd.names() == {"a"}
    item = graphd.item("a/b.txt")
    client("PUT", f"/me/drive/items/{item['id']}/content", b"again")
    assert graphd.versions("a/b.txt") == [b"hello", b"again"]
    assert graphd.bytes_up() == 10
    assert graphd.requests()["put"] == 2


def test_another_device(graphd, client):
    graphd.put("x/y", b"from afar")
    url = "/me/drive/root:/nmbackupfs/x/y"
    assert client("GET", url)["size"] == 9
    graphd.rename("x/y", "x/z")
    graphd.delete("x/z")
    assert graphd.files() == {}
    with pytest.raises(urllib.error.HTTPError):
        client("GET", url)


def test_drive_outlives_a_restart(graphd, client):
    graphd.put("f", b"kept")
    client("GET", "/me/drive/root")
    before = graphd.requests()
    graphd.stop()
    with pytest.raises(urllib.error.URLError):
        client("GET", "/me/drive/root")
    graphd.start()
    assert graphd.read("f") == b"kept"
    assert graphd.requests() == before
    client("GET", "/me/drive/root")  # the token too
    assert graphd.requests()["item"] == before["item"] + 1


def test_fault_counts(graphd, client):
    graphd.fault("drive", times=2, status=503)
    assert not graphd.fired()
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError):
            client("GET", "/me/drive")
    assert client("GET", "/me/drive")["id"]
    assert graphd.fired() == 2
    graphd.wait_fault(times=2)


def test_unknown_names_are_errors(graphd):
    for wrong in (lambda: graphd.fault("no such class", status=503),
                  lambda: graphd.fault("drive", sttaus=503),
                  lambda: graphd.quirk(no_such_quirk=1),
                  lambda: graphd.login(mod="approve")):
        with pytest.raises(AssertionError):
            wrong()


def test_stall_and_wait(graphd, client):
    graphd.stall("drive")
    outcome = []

    def ask():
        try:
            outcome.append(client("GET", "/me/drive"))
        except OSError as e:
            outcome.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    graphd.wait_request("drive")
    assert not outcome
    graphd.unstall()
    thread.join(10)
    assert isinstance(outcome[0], OSError)
    assert client("GET", "/me/drive")["id"]


def test_leaks_are_found(base):
    """A bearer on a download URL: assert_clean() must object."""
    server = kit_graphd.Graphd(base / "leaky", "personal")
    server.start()
    try:
        server.put("f", b"content")
        client = Client(server)
        url = client("GET", "/me/drive/root:/nmbackupfs/f")[
            "@microsoft.graph.downloadUrl"]
        assert client("GET", url, token=False) == b"content"
        server.assert_clean()
        with pytest.raises(urllib.error.HTTPError):
            client("GET", url, token=True)
        with pytest.raises(AssertionError, match="Authorization"):
            server.assert_clean()
    finally:
        server.stop()


def test_leaks_outlive_a_stop(base):
    """What a test did before it cut the network counts, too; and a graphd that
    dies by itself is noticed."""
    server = kit_graphd.Graphd(base / "leaky", "personal")
    server.start()
    try:
        client = Client(server)
        with pytest.raises(urllib.error.HTTPError):
            client("GET", "/nonsense")
        server.stop()
        server.assert_alive()
        with pytest.raises(AssertionError, match="unknown call"):
            server.assert_clean()
        assert server.summary()["forbidden"] == 1
        server.start()
        server.process.kill()
        server.process.wait(10)
        with pytest.raises(AssertionError, match="graphd ended"):
            server.assert_alive()
    finally:
        server.stop()


def test_trees_compare(base):
    left = trees.make_tree(base / "left", seed=3, files=30)
    right = trees.make_tree(base / "right", seed=3, files=30)
    trees.assert_same(left, right, times=True)
    victim = next(p for p in right.rglob("*") if p.is_file()
                  and p.stat().st_size > 10)
    data = bytearray(victim.read_bytes())
    data[5] ^= 1
    victim.write_bytes(data)
    with pytest.raises(AssertionError):
        trees.assert_same(left, right)
    victim.unlink()
    with pytest.raises(AssertionError):
        trees.assert_same(left, right)


def test_real_tree_is_there(base):
    source = trees.copy_real_tree(base / "source", files=100)
    files = [p for p in source.rglob("*") if p.is_file()]
    assert len(files) > 20
    names = [trees.fold(str(p)) for p in source.rglob("*")]
    assert len(names) == len(set(names))


def test_wait_until_gives_up():
    with pytest.raises(AssertionError, match="a miracle"):
        proc.wait_until(lambda: False, 0.1, "a miracle")
