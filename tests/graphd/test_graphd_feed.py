"""graphd against facts/graph.md: delta (7), $batch (9), throttling (10), and
the control interface (control.h)."""

import base64
import http.client
import shutil
import subprocess
import threading
import time
import urllib.parse

import pytest

import rig


def names(items):
    return sorted(i["name"] for i in items.values() if "name" in i)


# ---- delta, 7 ----------------------------------------------------------------------

def test_rounds(any_kind):
    g = any_kind
    g.put("a/b/f", b"1")
    g.put("a/g", b"2")
    items, link = g.delta()
    assert names(items) == ["a", "b", "f", "g", "root"]
    assert "token=" in urllib.parse.urlsplit(link).query
    nothing, link2 = g.delta(link)
    assert nothing == {}
    f = g.tree()["/a/b/f"]
    g.put("a/b/f", b"11")
    items, link3 = g.delta(link2)
    assert names(items) == ["a", "b", "f", "root"]  # ancestors come along
    assert items[f["id"]]["size"] == 2
    again, _ = g.delta(link2)  # the same link twice (15)
    assert again == items
    page = g.graph("GET", link2, headers={"deltaExcludeParent": "1"}).json
    assert [i["name"] for i in page["value"]] == ["f"]
    # A renamed folder alone is told, not what is below it.
    g.change({"op": "move", "path": "/a/b", "to": "/a/c"})
    items, _ = g.delta(link3)
    assert names(items) == ["a", "c", "root"]


def test_members(business, personal):
    for g in (business, personal):
        g.mkdir("d d")
        f = g.put("d d/f", b"x").json
        items, link = g.delta()
        item = items[f["id"]]
        assert item["eTag"] == f["eTag"]
        assert ("cTag" in item) == (g is personal)
        assert "path" not in item["parentReference"]
        assert "@microsoft.graph.downloadUrl" not in item
        g.graph("DELETE", f"{g.drive}/items/{f['id']}")
        items, link = g.delta(link)
        gone = items[f["id"]]
        assert gone["deleted"] == {"state": "deleted"}
        assert ("name" in gone) == (g is personal)
        assert gone["parentReference"]["id"] == g.tree()["/"]["id"]
        assert "cTag" not in gone
        g.quirks(delta_path=1)
        g.put("d d/g", b"")
        items, _ = g.delta(link)
        [item] = [i for i in items.values() if i.get("name") == "g"]
        assert item["parentReference"]["path"] == (
            "/drive/root:/d%20d" if g is personal else
            f"/drives/{g.info['drive_id']}/root:/d d")


def test_pages(any_kind):
    g = any_kind
    g.change(*[{"op": "put", "path": f"/d{i % 5}/f{i}", "text": "x"}
               for i in range(50)])
    g.quirks(page_size=7, empty_page_every=3)
    base = g.drive + "/root/delta"
    items, last = g.pages(base + "?$select=id,name,parentReference")
    by_id = {i["id"]: i for i in items}
    assert len(by_id) == 56 and "size" not in items[0]
    seen = set()
    for item in items:  # parents come before children here
        parent = item["parentReference"].get("id")
        assert parent is None or parent in seen
        seen.add(item["id"])
    assert "@odata.deltaLink" in last and "@odata.nextLink" not in last
    # A change during the round comes again, later: the last one counts.
    g.quirks(empty_page_every=0)
    page = g.get(base).json
    assert "f0" in [i["name"] for i in page["value"]]
    g.change({"op": "move", "path": "/d0/f0", "to": "/d0/renamed"})
    rest, _ = g.delta(page["@odata.nextLink"])
    assert "renamed" in names(rest)


def test_latest_and_spellings(any_kind):
    g = any_kind
    g.put("f", b"")
    latest = g.get(g.drive + "/root/delta?token=latest").json
    assert latest["value"] == []
    link = latest["@odata.deltaLink"]
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["token"][0]
    g.put("g", b"")
    for form in (f"delta?token={token}", f"delta(token='{token}')"):
        items, _ = g.delta(f"{g.drive}/root/{form}")
        assert names(items) == ["g", "root"]
    bad = g.get(g.drive + "/root/delta?token=nonsense")
    assert bad.status == 400
    by_time = g.get(g.drive + "/root/delta?token=2020-01-01T00:00:00Z")
    assert by_time.status == (200 if g.kind == "business" else 400)


def test_folder_delta(any_kind):
    g = any_kind
    g.put("a/f", b"")
    g.put("b/g", b"")
    tree = g.tree()
    root = g.delta(f"{g.drive}/items/{tree['/']['id']}/delta?select=id,name")
    assert names(root[0]) == ["a", "b", "f", "g", "root"]
    answer = g.get(f"{g.drive}/items/{tree['/a']['id']}/delta")
    if g.kind == "business":
        assert (answer.status, answer.code) == (501, "notSupported")
        return
    items, link = g.delta(f"{g.drive}/items/{tree['/a']['id']}/delta")
    assert names(items) == ["a", "f"]
    g.change({"op": "move", "path": "/a/f", "to": "/b/f"})
    items, _ = g.delta(link)
    moved = items[tree["/a/f"]["id"]]
    assert moved["parentReference"]["id"] == tree["/b"]["id"]


def test_tombstones(business, personal):
    for g in (business, personal):
        g.put("d/e/f", b"")
        tree = g.tree()
        _, link = g.delta()
        g.change({"op": "delete", "path": "/d"})
        g.put("d", b"again")
        items, link = g.delta(link)
        gone = {i for i, item in items.items() if "deleted" in item}
        below = {tree[p]["id"] for p in ("/d/e", "/d/e/f")}
        assert tree["/d"]["id"] in gone
        assert (below <= gone) == (g is personal)
        g.quirks(delta_no_tombstones=1)
        g.change({"op": "delete", "path": "/d"})
        items, _ = g.delta(link)
        assert not any("deleted" in i for i in items.values())
        assert names(g.delta()[0]) == ["root"]


def test_gone(any_kind):
    g = any_kind
    _, link = g.delta()
    for flavour, inner in (("apply", "resyncChangesApplyDifferences"),
                           ("upload", "resyncChangesUploadDifferences")):
        g.set(delta_gone=flavour)
        gone = g.graph("GET", link)
        assert (gone.status, gone.code, gone.inner) == \
            (410, "resyncRequired", inner)
        _, link = g.delta(gone.headers["Location"])
    g.set(delta_gone="apply")
    g.quirks(delta_no_location=1)
    assert "Location" not in g.graph("GET", link).headers


def test_lag(any_kind):
    g = any_kind
    g.put("old", b"1")
    _, link = g.delta()
    g.set(advance_ms=60_000)
    g.quirks(delta_lag_ms=30_000)
    g.put("new", b"1")
    g.change({"op": "move", "path": "/old", "to": "/renamed"})
    items, link2 = g.delta(link)
    assert not {"new", "renamed"} & set(names(items))
    # A listing in full shows what was there, in its old state.
    assert names(g.delta()[0]) == ["old", "root"]
    g.quirks(delta_stale=1)
    assert "old" in names(g.delta(link)[0])
    g.set(advance_ms=31_000)
    items, _ = g.delta(link2)
    assert {"new", "renamed"} <= set(names(items))


def test_other_quirks(any_kind):
    g = any_kind
    g.put("a/b/f", b"")
    g.quirks(delta_child_first=1)
    page = g.get(g.drive + "/root/delta").json["value"]
    assert [i["name"] for i in page] == ["f", "b", "a", "root"]
    g.quirks(delta_child_first=0, delta_repeat=2)
    page = g.get(g.drive + "/root/delta").json["value"]
    assert len(page) > len({i["id"] for i in page})
    link = g.delta()[1]
    g.quirks(delta_repeat=0, delta_unchanged=2)
    assert len(g.delta(link)[0]) == 2


# ---- $batch, 9 ----------------------------------------------------------------------------

def batch(g, *requests):
    for i, r in enumerate(requests):
        r.setdefault("id", str(i))
        r.setdefault("method", "GET")
        if "body" in r:
            r.setdefault("headers", {}).setdefault("Content-Type",
                                                   "application/json")
    answer = g.graph("POST", "/$batch", {"requests": list(requests)})
    assert answer.status == 200, answer
    return {r["id"]: r for r in answer.json["responses"]}


def test_batch(any_kind):
    g = any_kind
    f = g.put("f", b"data").json
    url = f"{g.drive}/items/{f['id']}"
    tag = f["eTag"] if f["eTag"].startswith('"') else f'"{f["eTag"]}"'
    done = batch(
        g,
        {"method": "POST", "url": g.drive + "/root/children",
         "body": {"name": "d", "folder": {}}},
        {"url": url + "/content"},
        {"method": "PATCH", "url": url, "body": {"name": "g"},
         "headers": {"If-Match": '"{no},1"'}},
        {"method": "PATCH", "url": url, "body": {"name": "g"},
         "headers": {"If-Match": tag}, "dependsOn": ["2"]},
        {"method": "PUT", "url": g.drive + "/root:/small:/content",
         "body": base64.b64encode(b"bytes").decode(),
         "headers": {"Content-Type": "application/octet-stream"}},
        {"method": "POST",
         "url": g.drive + "/root:/up:/createUploadSession",
         "body": {"item": {}}},
        {"url": g.drive + "/items/none"})
    status = {k: r["status"] for k, r in done.items()}
    assert status == {"0": 201, "1": 302, "2": 412, "3": 424, "4": 201,
                      "5": 200, "6": 404}
    assert done["0"]["body"]["name"] == "d"
    link = done["1"]["headers"]["Location"]
    assert g.request("GET", link).body == b"data"
    assert done["6"]["body"]["error"]["code"] == "itemNotFound"
    assert g.content("/small") == b"bytes"
    assert not g.forbidden()
    counts = g.stats()["classes"]
    assert counts["batch"]["count"] == 1 and counts["create"]["parts"] == 1


def test_batch_order(business):
    """Without dependsOn no order can be relied on."""
    g = business
    done = batch(g, *[{"url": "/me/drive"} for _ in range(3)])
    assert list(done) == ["2", "1", "0"]
    done = batch(
        g,
        {"method": "POST", "url": g.drive + "/root/children",
         "body": {"name": "d", "folder": {}}},
        {"url": g.drive + "/root:/d"},
        {"url": g.drive + "/root:/d", "dependsOn": ["0"]})
    assert done["1"]["status"] == 404 and done["2"]["status"] == 200


@pytest.mark.parametrize("body", [
    {}, {"requests": []}, {"requests": [{"id": "1"}]},
    {"requests": [{"id": "1", "method": "GET", "url": "/me"}] * 2},
    {"requests": [{"id": str(i), "method": "GET", "url": "/me"}
                  for i in range(21)]},
    {"requests": [{"id": "1", "method": "GET", "url": "/me",
                   "dependsOn": ["2"]}]}])
def test_bad_batches(business, body):
    assert business.graph("POST", "/$batch", body).status == 400
    assert business.forbidden() == {"9": 1}


def test_batch_circle(business):
    done = batch(business, {"url": "/me", "dependsOn": ["1"]},
                 {"url": "/me", "dependsOn": ["0"]})
    assert {r["status"] for r in done.values()} == {424}


def test_batch_faults_and_untyped_parts(business):
    g = business
    g.fault({"class": "item"}, status=429, retry_after=7)
    done = batch(g, {"url": g.drive + "/root"}, {"url": "/me/drive"})
    assert done["0"]["status"] == 429
    assert done["0"]["headers"]["Retry-After"] == "7"
    assert done["1"]["status"] == 200
    answer = g.graph("POST", "/$batch", {"requests": [
        {"id": "1", "method": "PATCH", "url": g.drive + "/root",
         "body": {}}]})
    assert answer.status == 200 and "9" in g.forbidden()


# ---- throttling, 10.1 ------------------------------------------------------------------------

def test_budget(business):
    g = business
    g.set(throttle={"on": True, "units_per_min": 10, "grace_ms": 0})
    answers = [g.get("/me/drive") for _ in range(12)]
    assert [a.status for a in answers].count(200) == 10
    refused = answers[-1]
    assert (refused.status, refused.code, refused.inner) == \
        (429, "activityLimitReached", "throttledRequest")
    assert int(refused.headers["Retry-After"]) > 0
    assert "RateLimit-Limit" in answers[8].headers
    rules = [f["rule"] for f in g.stats()["forbidden"]]
    assert any(r.startswith("10.1") for r in rules)


def test_calls_during_a_freeze(business):
    g = business
    g.quirks(freeze_grace_ms=0)
    g.fault({"class": "drive"}, status=503, retry_after=1)
    assert g.get("/me/drive").headers["Retry-After"] == "1"
    time.sleep(0.05)  # past the grace, well before the second is over
    g.get("/me/drive")
    assert g.forbidden() == {"10.1": 1}


# ---- control: faults ---------------------------------------------------------------------------

def test_status_faults(business):
    g = business
    g.put("f", b"x")
    g.fault({"class": "item", "path": "f"}, times=2, skip=1, status=507)
    url = g.drive + "/root:/f"
    assert [g.get(url).status for _ in range(4)] == [200, 507, 507, 200]
    assert g.fired() == 2
    g.fault({"method": "DELETE"}, name="e", status=500, effect=True)
    item = g.tree()["/f"]
    assert g.graph("DELETE", f"{g.drive}/items/{item['id']}").status == 500
    assert "/f" not in g.tree()
    g.control("DELETE", "faults", name="e")
    assert len(g.control("GET", "faults").json) == 1


def test_bodies(business):
    g = business
    g.fault({"class": "drive"}, body="html")
    answer = g.get("/me/drive")
    assert answer.status == 200 and answer.headers["Content-Type"] == \
        "text/html"
    g.fault({"class": "drive"}, body="empty", status=502)
    assert (g.get("/me/drive").status, g.get("/me/drive").status) == (502, 200)
    g.fault({"class": "drive"}, body="huge", size=5_000_000)
    assert len(g.get("/me/drive").body) > 5_000_000
    g.fault({"class": "drive"}, body="deep", size=100_000)
    assert g.get("/me/drive").body == b"[" * 100_000
    g.fault({"class": "drive"}, body={"id": 5}, headers={"X-A": "b"})
    answer = g.get("/me/drive")
    assert answer.json == {"id": 5} and answer.headers["X-A"] == "b"


def test_cut_and_spoiled_bodies(business):
    g = business
    data = rig.pattern(100_000)
    g.put("f", data)
    url = g.get(g.drive + "/root:/f").json["@microsoft.graph.downloadUrl"]
    g.fault({"class": "download", "name": "f"}, truncate=5000)
    with pytest.raises(http.client.IncompleteRead) as e:
        g.request("GET", url)
    assert e.value.partial == data[:5000]
    g.fault({"class": "download"}, corrupt=70_000)
    body = g.request("GET", url).body
    assert [i for i in range(len(data)) if body[i] != data[i]] == [70_000]
    g.fault({"class": "download"}, range="shift")
    answer = g.request("GET", url, headers={"Range": "bytes=10-19"})
    assert answer.body == data[9:19]
    g.fault({"class": "download"}, range="ignore")
    answer = g.request("GET", url, headers={"Range": "bytes=10-19"})
    assert (answer.status, len(answer.body)) == (200, len(data))
    g.fault({"class": "item"}, truncate=10)
    with pytest.raises(http.client.IncompleteRead):
        g.get(g.drive + "/root:/f")
    assert g.stats()["classes"]["download"]["out_bytes"] == 205_010


def test_drops(business):
    g = business
    for how, there in (("before", False), ("after", True)):
        g.fault({"class": "create"}, drop=how, reset=True)
        with pytest.raises(OSError):
            g.mkdir(how)
        assert (("/" + how) in g.tree()) == there
    assert g.stats()["statuses"]["0"] == 2


def test_stalls(business):
    g = business
    g.put("f", b"x" * 1000)
    url = g.get(g.drive + "/root:/f").json["@microsoft.graph.downloadUrl"]
    g.fault({"class": "download"}, stall_ms=60_000, stall_at=100)
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
    connection.request("GET", url.split(connection.host, 1)[1].split("/", 1)[1]
                       .join(["/", ""]))
    answer = connection.getresponse()
    assert answer.read(100) == b"x" * 100
    g.control("GET", "wait", fired="f")
    assert g.stats()["now"] == 1
    connection.close()  # noticed while it stalls
    rig.wait_until(lambda: g.stats()["now"] == 0)
    g.fault({"class": "drive"}, stall_ms=60_000)
    thread = threading.Thread(target=lambda: pytest.raises(
        Exception, g.get, "/me/drive"))
    thread.start()
    g.control("GET", "wait", **{"class": "drive", "count": 1})
    assert g.stop() == 0  # a stall does not hold the end
    thread.join(rig.WAIT_S)
    assert not thread.is_alive()


def test_stalls_end_with_their_rule(business):
    g = business
    g.fault({"class": "drive"}, stall_ms=60_000)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(g.get("/me/drive").status))
    thread.start()
    g.control("GET", "wait", fired="f")
    g.control("DELETE", "faults")
    thread.join(rig.WAIT_S)
    assert answers == [200]


def test_endless_body(business):
    g = business
    g.fault({"class": "drive"}, body="endless")
    connection = http.client.HTTPConnection("127.0.0.1", g.port)
    connection.request("GET", "/v1.0/me/drive", headers={
        "Authorization": "Bearer " + g.token})
    answer = connection.getresponse()
    assert answer.read(1_000_000) == b"[" * 1_000_000
    connection.close()
    rig.wait_until(lambda: g.stats()["now"] == 0)


def test_expiring_faults(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    g.fault({"class": "fragment"}, expire="session")
    assert g.fragment(url, b"x", 0, 1).status == 404
    url = g.open_session("f").json["uploadUrl"]
    g.fault({"class": "fragment"}, expire="session_token")
    assert g.fragment(url, b"x", 0, 1).inner == "expiredToken"
    g.fault({"class": "drive"}, expire="access")
    assert g.get("/me/drive").status == 401


def test_hash_and_tag_faults(business):
    g = business
    g.fault({"class": "put"}, hash="none")
    item = g.put("f", b"x").json
    assert "hashes" not in item["file"]
    g.fault({"class": "item"}, hash="wrong")
    url = f"{g.drive}/items/{item['id']}"
    wrong = g.get(url).json["file"]["hashes"]["quickXorHash"]
    assert wrong != g.get(url).json["file"]["hashes"]["quickXorHash"]
    g.fault({"class": "patch", "name": "f"}, bump_tag=True)
    assert g.graph("PATCH", url, {"name": "g"},
                   {"If-Match": item["eTag"]}).status == 412


def test_misspelt_settings(business):
    g = business
    url = g.info["control_url"]
    for page, body in (
            ("faults", {"match": {"klass": "item"}, "do": {"status": 500}}),
            ("faults", {"match": {"class": "itm"}, "do": {"status": 500}}),
            ("faults", {"do": {"statsu": 500}}),
            ("faults", {"do": {"drop": "sometimes"}}),
            ("faults", {"match": {}}),
            ("set", {"nonsense": 1}), ("set", {"quirks": {"x": 1}}),
            ("set", {"latency_ms": {"itm": 1}}),
            ("set", {"delta_gone": "maybe"}), ("set", {"login": {"x": 1}}),
            ("change", {"op": "explode", "path": "/"}),
            ("nonsense", {})):
        answer = g.request("POST", url + "/" + page, body)
        assert answer.status == 400 and "error" in answer.json, (page, body)


# ---- control: the rest ---------------------------------------------------------------------------

def test_latency_and_bandwidth(business):
    g = business
    g.put("f", bytes(200_000))
    url = g.get(g.drive + "/root:/f").json["@microsoft.graph.downloadUrl"]

    def seconds(call):
        start = time.monotonic()
        assert call().status < 400
        return time.monotonic() - start

    g.set(latency_ms={"*": 0, "drive": 150, "connect": 100})
    assert seconds(lambda: g.get("/me/drive")) > 0.25
    assert seconds(lambda: g.get(g.drive + "/root")) > 0.1
    g.set(latency_ms={"connect": 0, "drive": 0},
          bandwidth={"down": 1_000_000, "up": 1_000_000})
    assert seconds(lambda: g.request("GET", url)) > 0.15
    assert seconds(lambda: g.put("g", bytes(200_000))) > 0.15
    g.control("POST", "reset", {})
    assert seconds(lambda: g.put("g", bytes(200_000))) < 0.15


def test_changes(any_kind):
    g = any_kind
    items = g.change(
        {"op": "put", "path": "/a/b", "size": 1000, "seed": 7,
         "mtime": "2020-01-01T00:00:00Z"},
        {"op": "put", "path": "/t", "base64": base64.b64encode(b"\0\1").decode()},
        {"op": "mkdir", "path": "/m/n"},
        {"op": "move", "path": "/t", "to": "/m/n/u"},
        {"op": "touch", "path": "/a/b"},
        {"op": "delete", "path": "/m/n/u"})
    assert items[3]["path"] == "/m/n/u"
    assert g.content("/a/b") == bytes(
        (7 + i * 131 + i // 251) % 256 for i in range(1000))
    tree = g.tree()
    assert set(tree) == {"/", "/a", "/a/b", "/m", "/m/n"}
    assert tree["/a/b"]["mtime"].startswith("2020-01-01")
    states = [i.get("state") for i in g.dump(bin=1)["items"]]
    assert "binned" in states


def test_wait(business):
    g = business

    def later(call):
        thread = threading.Timer(0.1, call)
        thread.start()
        return thread

    t = later(lambda: g.put("d/f", b"123"))
    assert g.control("GET", "wait", path="/d/f", size=3).status == 200
    t.join()
    tag = g.tree()["/d/f"]["eTag"]
    t = later(lambda: g.put("d/f", b"456"))
    g.control("GET", "wait", path="/d/f", etag_not=tag)
    t.join()
    t = later(lambda: g.get("/me/drive"))
    g.control("GET", "wait", **{"class": "drive", "done": 1})
    t.join()
    assert g.control("GET", "wait", gone="/d/x", items=3).status == 200
    assert g.control("GET", "wait", idle_ms=100).status == 200
    start = time.monotonic()
    assert g.control("GET", "wait", path="/no", timeout_ms=200).status == 408
    assert 0.15 < time.monotonic() - start < 5


def test_reset(business):
    g = business
    g.put("f", b"")
    g.quirks(page_size=3)
    g.fault({"class": "drive"}, times=0, status=500)
    g.control("POST", "reset", {})
    assert g.get("/me/drive").status == 200
    stats = g.stats()
    assert list(stats["classes"]) == ["drive"] and "/f" in g.tree()


def test_concurrency_is_counted(business):
    g = business
    g.set(latency_ms={"drive": 300})
    threads = [threading.Thread(target=g.get, args=("/me/drive",))
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stats = g.stats()
    assert stats["classes"]["drive"]["peak"] == 8 and stats["peak"] == 8


def test_sign_in(personal):
    """Through the device code, as a client would."""
    g = personal
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    login = g.info["login_url"] + "/consumers/oauth2/v2.0/"
    g.set(login={"mode": "approve", "interval_s": 0})
    code = g.request("POST", login + "devicecode",
                     b"client_id=x&scope=Files.ReadWrite%20offline_access",
                     form).json
    token = g.request("POST", login + "token", urllib.parse.urlencode({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "x", "device_code": code["device_code"]}).encode(),
        form).json
    g.token = token["access_token"]
    assert g.get("/me/drive").status == 200
    assert g.request("HEAD", g.info["login_url"] + "/").status == 200
    assert g.stats()["login"]["approved"] == 1


def test_tls(tmp_path):
    """HTTPS with a given certificate; content URLs follow."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj",
                    "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"],
                   check=True, capture_output=True)
    g = rig.Graphd("--tls", cert, key, ca=cert)
    data = rig.pattern(3_000_000)
    assert g.put("f", data).status == 201
    item = g.get(g.drive + "/root:/f").json
    url = item["@microsoft.graph.downloadUrl"]
    assert url.startswith("https://127.0.0.2:")
    assert g.request("GET", url).body == data
    assert g.stop() == 0
