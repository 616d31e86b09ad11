"""graphd against control.h: answers that no client should be able to stand.

Each fault is what it says it is, byte by byte, and counts as fired."""

import base64
import gzip
import http.client
import json
import socket
import zlib

import pytest

import rig


def raw_answer(g, path, most=1_000_000):
    """What comes over the wire, at most so many bytes of it."""
    with socket.create_connection(("127.0.0.1", g.port), 20) as s:
        s.sendall(f"GET /v1.0{path} HTTP/1.1\r\nHost: 127.0.0.1:{g.port}\r\n"
                  f"Authorization: Bearer {g.token}\r\n\r\n".encode())
        got = b""
        while len(got) < most and (piece := s.recv(65536)):
            got += piece
        return got


@pytest.mark.parametrize("kind, begins, most", [
    ("garbage", b"SSH-2.0", 1_000_000),
    ("half_header", b"HTTP/1.1 200 OK\r\nContent-Le", 1_000_000),
    ("endless_header", b"HTTP/1.1 200 OK\r\nX-Header: a", 300_000),
    ("endless_line", b"HTTP/1.1 200 OK\r\nX-Header: a", 300_000),
    ("bad_chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz",
     1_000_000),
    ("endless_chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"1\r\n \r\n1\r\n", 300_000),
])
def test_no_http(business, kind, begins, most):
    business.fault({"class": "drive"}, wire=kind)
    got = raw_answer(business, "/me/drive", most)
    assert got.startswith(begins)
    assert (len(got) >= most) == ("endless" in kind)
    assert business.fired() == 1
    assert business.get("/me/drive").status == 200
    rig.wait_until(lambda: business.stats()["now"] == 0)


def test_stalls_within_the_header(business):
    g = business
    g.fault({"class": "drive"}, wire="stall_header")
    with socket.create_connection(("127.0.0.1", g.port), 20) as s:
        s.sendall(f"GET /v1.0/me/drive HTTP/1.1\r\nHost: x\r\nAuthorization: "
                  f"Bearer {g.token}\r\n\r\n".encode())
        assert s.recv(100) == b"HTTP/1.1 200 OK\r\nContent-Le"
        s.settimeout(0.2)
        with pytest.raises(TimeoutError):
            s.recv(100)
        g.control("DELETE", "faults")
        s.settimeout(20)
        assert s.recv(100) == b""


@pytest.mark.parametrize("kind", ["long_length", "short_length"])
def test_lengths_that_lie(business, kind):
    """The true answer; the request takes effect."""
    g = business
    g.fault({"class": "create"}, wire=kind)
    if kind == "long_length":
        with pytest.raises(http.client.IncompleteRead) as e:
            g.mkdir("d")
        assert json.loads(e.value.partial)["name"] == "d"
    else:
        with pytest.raises(json.JSONDecodeError):
            _ = g.mkdir("d").json
    assert "/d" in g.tree() and g.fired() == 1


def test_gzip_bomb(business):
    g = business
    g.fault({"class": "drive"}, body="gzip", size=50_000_000,
            headers={"Content-Encoding": "gzip"})
    body = g.get("/me/drive").body
    assert len(body) < 50_000_000 / 150
    unpacked = zlib.decompressobj(31).decompress(body[:-8])
    assert len(unpacked) >= 50_000_000 and not unpacked.strip(b"\0")
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(body)


def test_a_gigabyte(business):
    """Announced, and sent as far as anybody reads."""
    business.fault({"class": "drive"}, body="huge", size=2**30)
    got = raw_answer(business, "/me/drive", 5_000_000)
    assert f"Content-Length: {2**30}\r\n".encode() in got
    assert got.endswith(b"x" * 1_000_000)
    rig.wait_until(lambda: business.stats()["now"] == 0)


def test_items_that_hurt(business):
    g = business
    for name in ("a", "b"):
        g.put(name, b"12345")
    bad = base64.b64encode(b'"\xff\xfe"').decode()
    g.fault({"class": "children"}, only="a", items={
        "name": "..", "size": {"raw": "1e999"}, "eTag": None,
        "webUrl": {"base64": bad}, "id": {"raw": '"x","id":"y"'}})
    text = g.get(g.drive + "/root/children").body
    assert b'"name":".."' in text and b'"size":1e999' in text
    assert b'"webUrl":"\xff\xfe"' in text and b'"id":"x","id":"y"' in text
    assert b'"name":"b"' in text and text.count(b'"eTag"') == 1
    item = g.tree()["/b"]
    g.fault({"class": "item"}, items={"size": -1})
    assert g.get(f"{g.drive}/items/{item['id']}").json["size"] == -1
    assert g.get(f"{g.drive}/items/{item['id']}").json["size"] == 5


def test_links_and_members_of_answers(business):
    g = business
    g.fault({"class": "delta"}, name="self", times=2, link="self")
    path = g.drive + "/root/delta"
    page = g.get(path).json
    assert page["@odata.nextLink"].endswith(path)
    assert "@odata.deltaLink" not in page
    assert g.get(page["@odata.nextLink"]).json["@odata.nextLink"]
    assert "@odata.deltaLink" in g.get(path).json
    g.fault({"class": "drive"}, answer={"quota": None, "id": 7})
    drive = g.get("/me/drive").json
    assert drive["id"] == 7 and "quota" not in drive


def test_a_part_cuts_its_batch(business):
    """What befalls the connection befalls all of it; the others took effect."""
    g = business

    def parts(*names):
        return {"requests": [
            {"id": n, "method": "POST", "url": g.drive + "/root/children",
             "headers": {"Content-Type": "application/json"},
             "body": {"name": n, "folder": {}}} for n in names]}

    for how in ("before", "after"):
        g.fault({"class": "create"}, name=how, skip=1, drop=how)
        with pytest.raises(OSError):
            g.graph("POST", "/$batch", parts(how + "1", how + "2"))
        assert g.fired(how) == 1
        made = {p for p in g.tree() if p.startswith("/" + how)}
        assert len(made) == (2 if how == "after" else 1)
    g.fault({"class": "create"}, name="cut", truncate=10)
    with pytest.raises(http.client.IncompleteRead):
        g.graph("POST", "/$batch", parts("c1", "c2"))
    assert {"/c1", "/c2"} <= set(g.tree()) and g.fired("cut") == 1


def test_misspelt(business):
    url = business.info["control_url"] + "/faults"
    for do in ({"wire": "half"}, {"link": 5}, {"only": True}):
        answer = business.request("POST", url, {"do": do})
        assert answer.status == 400 and next(iter(do)) in str(answer)
