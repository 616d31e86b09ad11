"""graphd against facts/graph.md: uploads (4, 5), downloads (6), versions (8)."""

import threading
import urllib.parse

import pytest

import rig
from rig import GRANULE, pattern

CONFLICT = "@microsoft.graph.conflictBehavior"
FAIL = "?@microsoft.graph.conflictBehavior=fail"


def quoted(tag):
    return tag if tag.startswith('"') else f'"{tag}"'


# ---- small PUT, 4 -----------------------------------------------------------------

def test_put(any_kind):
    g = any_kind
    made = g.put("a/b/f", b"one")  # parents are made
    assert made.status == 201
    same = g.put("a/b/F", b"two!")
    assert (same.status, same.json["id"]) == (200, made.json["id"])
    assert same.json["name"] == "f"  # the old spelling stays
    assert same.json["size"] == 4
    taken = g.put("a/b/f", b"x", FAIL)
    assert (taken.status, taken.code) == (409, "nameAlreadyExists")
    renamed = g.put("a/b/f", b"x", "?@microsoft.graph.conflictBehavior=rename")
    assert renamed.json["name"] == "f 1"
    only_new = g.put("a/b/f", b"x", **{"If-None-Match": "*"})
    assert only_new.status == 412
    url = f"{g.drive}/items/{made.json['id']}/content"
    old = {"If-Match": quoted(made.json["eTag"])}
    assert g.graph("PUT", url, b"x", old).code == "resourceModified"
    new = {"If-Match": quoted(same.json["eTag"])}
    assert g.graph("PUT", url, b"three", new).status == 200
    assert g.content("/a/b/f") == b"three"
    folder = g.tree()["/a/b"]["id"]
    assert g.graph("PUT", f"{g.drive}/items/{folder}/content",
                   b"x").status == 409
    assert g.put("a/b/f/x", b"").status == 400


def test_put_limits(business):
    g = business
    g.quirks(put_max_bytes=4)
    assert g.put("f", b"12345").status == 413
    chunked = g.graph("PUT", f"{g.drive}/root:/f:/content", iter([b"x"]))
    assert chunked.status == 411
    g.change({"op": "package", "path": "/Notes"})
    assert g.put("Notes", b"x").code == "nameAlreadyExists"


def test_late_hash(business):
    g = business
    g.quirks(hash_delay_ms=60_000)
    item = g.put("f", b"x").json
    assert item["file"]["hashes"] == {}
    g.set(advance_ms=61_000)
    assert g.get(f"{g.drive}/root:/f").json["file"]["hashes"]


def test_enrichment(business):
    g = business
    g.quirks(enrich=1)
    assert g.put("a.docx", b"x").json["size"] > 1
    assert g.put("a.age", b"x").json["size"] == 1


def test_multipart(personal, business):
    body = (b"--B\r\nContent-ID: <metadata>\r\nContent-Type: application/json"
            b"\r\n\r\n" + b'{"name":"f","file":{},'
            b'"@microsoft.graph.sourceUrl":"cid:content"}'
            b"\r\n--B\r\nContent-ID: <content>\r\nContent-Type: text/plain"
            b"\r\n\r\nhello\r\n\r\n--B--")
    head = {"Content-Type": 'multipart/related; boundary="B"'}
    made = personal.graph("POST", f"{personal.drive}/root/children", body, head)
    assert made.status == 201 and personal.content("/f") == b"hello\r\n"
    again = personal.graph("POST", f"{personal.drive}/root/children", body,
                           head)
    assert again.code == "nameAlreadyExists"
    assert business.graph("POST", f"{business.drive}/root/children", body,
                          head).status == 400


# ---- sessions, 5 ---------------------------------------------------------------------

def test_session_example(any_kind):
    """The steps of graph-examples/upload-session-steps.json."""
    g = any_kind
    data = pattern(11534336)
    opened = g.open_session("Backups/disk.age", {"item": {
        CONFLICT: "fail", "name": "disk.age", "fileSize": len(data),
        "fileSystemInfo": {"createdDateTime": "2026-11-21T07:00:00Z",
                           "lastModifiedDateTime": "2026-11-22T10:18:00Z"}}})
    assert opened.status == 200
    assert opened.json["nextExpectedRanges"] == ["0-"]
    url = opened.json["uploadUrl"]
    assert url.startswith(g.info["content_url"])
    first = g.fragment(url, data[:10485760], 0, len(data))
    assert first.status == 202
    assert first.json["nextExpectedRanges"] == ["10485760-"]
    status = g.request("GET", url)
    assert status.json["nextExpectedRanges"] == ["10485760-11534335"]
    again = g.fragment(url, data[:10485760], 0, len(data))
    assert (again.status, again.code, again.inner) == \
        (416, "invalidRange", "fragmentOverlap")
    done = g.fragment(url, data[10485760:], 10485760, len(data))
    assert done.status == 201
    assert done.json["file"]["hashes"]["quickXorHash"] == \
        "xO8pC1qHd4WvIEa473UxjuE/KDA="
    assert done.json["fileSystemInfo"] == {
        "createdDateTime": "2026-11-21T07:00:00Z",
        "lastModifiedDateTime": "2026-11-22T10:18:00Z"}
    gone = g.request("GET", url)
    assert (gone.status, gone.code, gone.inner) == \
        (404, "itemNotFound", "uploadSessionNotFound")
    assert g.content("/Backups/disk.age") == data
    assert not g.forbidden() and g.stats()["auth_leaks"] == 0


def test_replace_by_session(any_kind):
    g = any_kind
    old = g.put("f", b"old").json
    done = g.upload("f", pattern(GRANULE + 1))  # no conflictBehavior: replaces
    assert (done.status, done.json["id"]) == (200, old["id"])
    assert done.json["eTag"] != old["eTag"]
    assert g.tree()["/f"]["versions"] == 1
    clash = g.open_session("f", {"item": {CONFLICT: "fail"}})
    assert clash.code == "nameAlreadyExists"
    old_spelling = g.open_session("f", {"item": {
        "@name.conflictBehavior": "fail"}})
    assert old_spelling.status == 409
    url = f"{g.drive}/items/{old['id']}/createUploadSession"
    stale = g.graph("POST", url, {"item": {}},
                    {"If-Match": quoted(old["eTag"])})
    assert stale.status == 412
    fresh = g.graph("POST", url, {"item": {}},
                    {"If-Match": quoted(done.json["eTag"])})
    assert fresh.status == 200
    last = g.fragment(fresh.json["uploadUrl"], b"x", 0, 1)
    assert (last.status, last.json["size"]) == (200, 1)


def test_tag_moves_on_opening(business, personal):
    for g, moves in ((business, True), (personal, False)):
        item = g.put("f", b"").json
        url = f"{g.drive}/items/{item['id']}"
        g.graph("POST", url + "/createUploadSession", {"item": {}})
        assert (g.get(url).json["eTag"] != item["eTag"]) == moves


def test_changed_while_uploading(any_kind):
    g = any_kind
    item = g.put("f", b"old").json
    url = f"{g.drive}/items/{item['id']}/createUploadSession"
    tag = {"If-Match": quoted(item["eTag"])}
    session = g.graph("POST", url, {"item": {}}, tag).json["uploadUrl"]
    g.change({"op": "put", "path": "/f", "text": "theirs"})
    last = g.fragment(session, b"x", 0, 1)
    assert (last.status, last.code) == (412, "resourceModified")
    assert g.content("/f") == b"theirs"
    # Quirk: the opening itself makes it fail, whatever the tag.
    g.quirks(tag_on_open=2)
    item = g.get(f"{g.drive}/root:/f").json
    tag = {"If-Match": quoted(item["eTag"])}
    session = g.graph("POST", url, {"item": {}}, tag).json["uploadUrl"]
    assert g.fragment(session, b"x", 0, 1).status == 412


@pytest.mark.parametrize("headers,status,rule", [
    ({}, 400, "5.2"),
    ({"Content-Range": "bytes 0-9"}, 400, "5.2"),
    ({"Content-Range": "bytes 0-8/10"}, 400, "5.2"),
    ({"Content-Range": "bytes 0-10/10"}, 400, "5.2"),
    ({"Content-Range": "bytes 10-19/20"}, 416, None)])
def test_bad_fragments(business, headers, status, rule):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    answer = g.request("PUT", url, b"0123456789", headers)
    assert answer.status == status
    assert list(g.forbidden()) == ([rule] if rule else [])
    assert g.request("GET", url).json["nextExpectedRanges"] == ["0-"]


def test_empty_fragment(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    answer = g.request("PUT", url, b"", {"Content-Range": "bytes 0-0/0"})
    assert answer.status == 400
    assert g.forbidden() == {"5.3": 1}


def test_totals_and_granules(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    g.fragment(url, b"x" * GRANULE, 0, 2 * GRANULE)
    other = g.fragment(url, b"x" * GRANULE, GRANULE, 3 * GRANULE)
    assert other.inner == "fragmentLengthMismatch"
    url = g.open_session("g").json["uploadUrl"]
    assert g.fragment(url, b"x" * 1000, 0, 2000).status == 202
    # It shows only at the very end (5.2).
    assert g.fragment(url, b"x" * 1000, 1000, 2000).status == 400
    rules = [f["rule"] for f in g.stats()["forbidden"]]
    assert any("327,680" in r for r in rules)
    assert any("total" in r for r in rules)


def test_too_large_fragment(personal):
    g = personal
    url = g.open_session("f").json["uploadUrl"]
    size = 192 * GRANULE  # 60 MiB: one granule too many
    answer = g.fragment(url, bytes(size), 0, 2 * size)
    assert answer.status == 413
    assert g.forbidden() == {"5.2": 1}
    size = 191 * GRANULE
    assert g.fragment(url, bytes(size), 0, 2 * size).status == 202


def test_url_byte_for_byte(any_kind):
    g = any_kind
    url = g.open_session("f").json["uploadUrl"]
    assert g.request("GET", url).status == 200
    assert g.request("GET", url.replace("%3d", "%3D")).status == 401
    if "'" in url:
        assert g.request("GET", url.replace("'", "%27")).status in (401, 404)
    assert "5.1" in g.forbidden()


def test_bearer_on_content_urls(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    assert g.graph("GET", url).status == 401
    g.put("x", b"data")
    link = g.get(f"{g.drive}/root:/x").json["@microsoft.graph.downloadUrl"]
    assert g.graph("GET", link).status == 401
    assert g.stats()["auth_leaks"] == 2
    g.quirks(tolerant=1)
    assert g.graph("GET", url).status == 200
    assert g.graph("GET", link).body == b"data"
    assert g.stats()["auth_leaks"] == 4


def test_expiry(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    g.fragment(url, bytes(GRANULE), 0, 3 * GRANULE)
    g.set(advance_ms=14 * 60_000)
    # Progress extends it.
    assert g.fragment(url, bytes(GRANULE), GRANULE, 3 * GRANULE).status == 202
    g.set(advance_ms=14 * 60_000)
    assert g.request("GET", url).status == 200
    g.set(advance_ms=2 * 60_000)
    assert g.request("GET", url).inner == "uploadSessionNotFound"
    # The URL's own token dies after a day whatever happens (13 #10).
    g.quirks(session_life_s=10 * 86400)
    url = g.open_session("g").json["uploadUrl"]
    g.set(advance_ms=25 * 3_600_000)
    old = g.request("GET", url)
    assert (old.status, old.code, old.inner) == \
        (401, "unauthenticated", "expiredToken")


def test_cancel(any_kind):
    g = any_kind
    url = g.open_session("f").json["uploadUrl"]
    assert g.request("DELETE", url).status == 204
    assert g.request("DELETE", url).status == 404
    assert g.dump()["sessions"] == []


def test_second_session(business, personal):
    first = business.open_session("f").json["uploadUrl"]
    second = business.open_session("F")
    assert (second.status, second.code) == (409, "nameAlreadyExists")
    business.request("DELETE", first)
    assert business.open_session("f").status == 200
    personal.open_session("f")
    assert personal.open_session("f").status == 200


def test_name_taken_meanwhile(personal):
    g = personal
    url = g.open_session("f", {"item": {CONFLICT: "fail"}}).json["uploadUrl"]
    g.change({"op": "put", "path": "/f", "text": "theirs"})
    last = g.fragment(url, b"mine", 0, 4)
    assert (last.status, last.code) == (409, "nameAlreadyExists")
    # The data are kept: committed under another name without sending again.
    done = g.graph("PUT", f"{g.drive}/root:/f:", {
        "name": "f", CONFLICT: "rename", "@microsoft.graph.sourceUrl": url})
    assert (done.status, done.json["name"]) == (201, "f 1")
    assert g.content("/f 1") == b"mine" and g.content("/f") == b"theirs"


def test_deferred_commit(business, personal):
    for g in (business, personal):
        opened = g.open_session("f", {"item": {}, "deferCommit": True})
        url = opened.json["uploadUrl"]
        assert g.fragment(url, b"data", 0, 4).status == 202
        assert "/f" not in g.tree()
    commit = personal.graph("PUT", f"{personal.drive}/root:/f:", {
        "name": "f", CONFLICT: "fail", "@microsoft.graph.sourceUrl": url})
    assert commit.status == 201
    opened = business.open_session("g", {"item": {}, "deferCommit": True})
    url = opened.json["uploadUrl"]
    assert business.request("POST", url, b"").status == 400  # not complete
    business.fragment(url, b"data", 0, 4)
    assert business.request("POST", url, b"").status == 201
    assert business.content("/g") == b"data"


def test_final_answers(business):
    g = business
    g.quirks(final_answer=1)
    assert g.upload("a", b"x").body == b""
    g.quirks(final_answer=2)
    assert "id" not in g.upload("b", b"x").json
    g.quirks(final_answer=3)
    item = g.upload("c", b"x").json
    assert "eTag" not in item and "hashes" not in item["file"]
    assert set(g.tree()) == {"/", "/a", "/b", "/c"}


def test_stray_members(business):
    g = business
    assert g.open_session("f", {"name": "f"}).status == 200
    assert g.forbidden() == {"5.1": 1}
    assert g.open_session("g", {"item": {"name": "other"}}).status == 400


def test_broken_fragment_is_dropped(business):
    g = business
    data = pattern(3 * GRANULE)
    url = g.open_session("f").json["uploadUrl"]
    g.fragment(url, data[:GRANULE], 0, len(data))
    g.fault({"class": "fragment"}, drop="before", drop_at=1000)
    with pytest.raises(OSError):
        g.fragment(url, b"?" * GRANULE, GRANULE, len(data))
    assert g.fired() == 1
    assert g.request("GET", url).json["nextExpectedRanges"] == \
        [f"{GRANULE}-{len(data) - 1}"]
    assert g.fragment(url, data[GRANULE:], GRANULE, len(data)).status == 201
    assert g.content("/f") == data


def test_lost_final_answer(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    g.fault({"class": "fragment"}, drop="after")
    with pytest.raises(Exception):
        g.fragment(url, b"data", 0, 4)
    assert g.request("GET", url).status == 404
    assert g.content("/f") == b"data"


def test_parallel_fragments(business):
    g = business
    url = g.open_session("f").json["uploadUrl"]
    g.set(latency_ms={"fragment": 300})
    answers = []

    def send():
        answers.append(g.fragment(url, bytes(GRANULE), 0, 2 * GRANULE).status)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [202, 416]
    rules = [f["rule"] for f in g.stats()["forbidden"]]
    assert any("one request at a time" in r for r in rules)


# ---- downloads, 6 -------------------------------------------------------------------------

def test_download(any_kind):
    g = any_kind
    data = pattern(1_000_000)
    g.put("f", data)
    moved = g.get(f"{g.drive}/root:/f:/content")
    assert moved.status == 302 and not moved.body
    url = moved.headers["Location"]
    whole = g.request("GET", url)
    assert whole.body == data and whole.headers["Accept-Ranges"] == "bytes"
    for spec, part in (("10-19", data[10:20]), ("999990-", data[-10:]),
                       ("-5", data[-5:]), ("999999-2000000", data[-1:])):
        answer = g.request("GET", url, headers={"Range": "bytes=" + spec})
        assert answer.status == 206 and answer.body == part
        assert answer.headers["Content-Range"].endswith("/1000000")
    answer = g.request("GET", url, headers={"Range": "bytes=1000000-"})
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */1000000"
    assert g.request("HEAD", url).headers["Content-Length"] == "1000000"
    assert not g.forbidden()
    several = g.request("GET", url, headers={"Range": "bytes=0-1,5-6"})
    assert several.status == 200 and g.forbidden() == {"6": 1}
    g.quirks(ignore_range=1)
    answer = g.request("GET", url, headers={"Range": "bytes=0-1"})
    assert (answer.status, len(answer.body)) == (200, 1_000_000)


def test_download_conditions(any_kind):
    g = any_kind
    item = g.put("f", b"data").json
    url = f"{g.drive}/root:/f:/content"
    same = g.get(url, **{"If-None-Match": quoted(item["eTag"])})
    assert same.status == 304
    other = g.get(url, **{"If-None-Match": '"x"'})
    assert other.status == 302
    assert g.get(f"{g.drive}/root/content").status == 400


def test_download_url_life(business):
    g = business
    item = g.put("f", b"one").json
    url = item["@microsoft.graph.downloadUrl"]
    assert url.startswith(g.info["content_url"])
    g.put("f", b"two")
    assert g.request("GET", url).body == b"two"  # the content of the moment
    g.set(expire="urls")
    assert g.request("GET", url).status == 401
    g.quirks(download_refusal=410, pin_downloads=1)
    assert g.request("GET", url).status == 410
    g.set(advance_ms=10)
    url = g.get(f"{g.drive}/root:/f").json["@microsoft.graph.downloadUrl"]
    g.put("f", b"three")
    assert g.request("GET", url).body == b"two"
    g.set(advance_ms=3_601_000)
    assert g.request("GET", url).status == 410
    g.new_token()
    url = g.get(f"{g.drive}/root:/f").json["@microsoft.graph.downloadUrl"]
    g.graph("DELETE", f"{g.drive}/items/{item['id']}")
    assert g.request("GET", url).status == 404


def test_download_url_is_exact(any_kind):
    g = any_kind
    g.put("f", b"data")
    url = g.get(f"{g.drive}/root:/f").json["@microsoft.graph.downloadUrl"]
    bad = url.replace("v1.", "v1.0", 1)
    assert g.request("GET", bad).status == 401
    if "&" in url:
        head, _, query = url.partition("?")
        turned = head + "?" + "&".join(reversed(query.split("&")))
        assert g.request("GET", turned).status == 401
    join = "&" if "?" in url else "?"
    assert g.request("GET", url + join + "AVOverride=1").status == 200


# ---- versions, 8 ----------------------------------------------------------------------------

def test_versions(any_kind):
    g = any_kind
    for text in (b"1", b"22", b"333"):
        item = g.put("f", text).json
    url = f"{g.drive}/items/{item['id']}/versions"
    listed = g.get(url).json["value"]
    assert [v["id"] for v in listed] == ["3.0", "2.0", "1.0"]
    assert [v["size"] for v in listed] == [3, 2, 1]
    for v in listed:
        assert not {"eTag", "file", "fileSystemInfo"} & set(v)
    assert g.get(url + "/current").json["id"] == "3.0"
    assert g.get(url + "/9.0").status == 404
    assert g.get(url + "/3.0/content").status == 400
    link = g.get(url + "/2.0/content").headers["Location"]
    assert g.request("GET", link).body == b"22"
    links = ["@microsoft.graph.downloadUrl" in v for v in listed]
    assert links == ([False] * 3 if g.kind == "business"
                     else [False, True, True])
    assert g.graph("POST", url + "/1.0/restoreVersion").status == 204
    assert g.content("/f") == b"1"
    listed = g.get(url).json["value"]
    assert [v["id"] for v in listed] == ["4.0", "3.0", "2.0", "1.0"]
    removed = g.graph("DELETE", url + "/2.0").status
    assert removed == (204 if g.kind == "business" else 400)
    folder = g.mkdir("d").json["id"]
    assert g.get(f"{g.drive}/items/{folder}/versions").status == 400
    g.quirks(page_size=1)
    items, _ = g.pages(url)
    assert len(items) == (3 if g.kind == "business" else 4)


# ---- over a restart ---------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["term", "kill"])
def test_restart(tmp_path, how):
    g = rig.Graphd("--data", str(tmp_path / "data"), kind="personal")
    try:
        g.put("a/b/f", b"one")
        item = g.put("a/b/f", b"two").json
        g.put("gone", b"123")
        g.graph("DELETE", f"{g.drive}/items/{g.tree()['/gone']['id']}")
        _, link = g.delta()
        data = pattern(3 * GRANULE)
        url = g.open_session("big").json["uploadUrl"]
        g.fragment(url, data[:GRANULE], 0, len(data))
        before, quota = g.dump(bin=1), g.get("/me/drive").json["quota"]
        token = g.token
        status = g.stop() if how == "term" else g.stop(9)
        assert status == (0 if how == "term" else -9)
        g.start()
        assert g.dump(bin=1) == before
        assert g.get("/me/drive").json["quota"] == quota
        g.token = token  # still good
        assert g.get(f"{g.drive}/items/{item['id']}").json["eTag"] == \
            item["eTag"]
        assert g.content("/a/b/f") == b"two"
        assert g.control("GET", "content", path="/a/b/f",
                         version=1).body == b"one"
        rest = g.fragment(url, data[GRANULE:], GRANULE, len(data))
        assert rest.status == 201 and g.content("/big") == data
        changes, _ = g.delta(link)
        assert {i.get("name") for i in changes.values()} == {"root", "big"}
    finally:
        g.stop()


def test_other_kind_is_refused(tmp_path):
    rig.Graphd("--data", str(tmp_path / "d"), kind="personal").stop()
    with pytest.raises(AssertionError):
        rig.Graphd("--data", str(tmp_path / "d"), kind="business")


def test_names_survive_urls(business):
    """A name with everything, through every form of upload."""
    g = business
    name = "ä #1 100% a+b&c='d' (e);,@!~.$"
    path = urllib.parse.quote("d/" + name)
    g.upload("d/" + name, b"one")
    assert g.content("/d/" + name) == b"one"
    assert g.graph("PUT", f"{g.drive}/root:/{path}:/content",
                   b"two").status == 200
    assert g.get(f"{g.drive}/root:/{path}:/content").status == 302
