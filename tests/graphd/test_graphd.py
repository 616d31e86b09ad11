"""graphd against facts/graph.md: addresses, items, metadata, listings.

What is expected stands in the numbered sections, not in our client."""

import base64
import urllib.parse

import pytest


def etag_n(item):
    """The number that counts changes."""
    tag = item["eTag"]
    if tag.startswith('"'):
        return int(tag.strip('"').split(",")[1])
    padded = tag[1:] + "=" * (-len(tag[1:]) % 4)
    return int(base64.b64decode(padded).decode().rsplit(".", 1)[1])


def quoted(tag):
    return tag if tag.startswith('"') else f'"{tag}"'


# ---- bearer, 1.6 and 10.2 ------------------------------------------------------

def test_bearer(any_kind):
    g = any_kind
    url = g.info["graph_url"] + "/me/drive"
    missing = g.request("GET", url)
    assert missing.status == 401
    assert missing.code == "InvalidAuthenticationToken"
    assert "WWW-Authenticate" in missing.headers
    bad = g.request("GET", url, headers={"Authorization": "Bearer nonsense"})
    assert bad.status == 401
    assert g.get("/me/drive").status == 200
    g.set(expire="access")
    old = g.get("/me/drive")
    assert old.status == 401
    assert "expired_token" in old.headers["WWW-Authenticate"]


def test_request_ids(business):
    answer = business.get("/me/drive/items/none",
                          **{"client-request-id": "mine"})
    assert answer.headers["client-request-id"] == "mine"
    error = answer.json["error"]
    inner = error.get("innerError") or error["innererror"]
    assert inner["client-request-id"] == "mine"
    assert inner["request-id"] == answer.headers["request-id"]
    spellings = set()
    for _ in range(40):
        spellings |= set(business.get("/me/drive/items/x").json["error"])
    assert {"innerError", "innererror"} <= spellings


def test_read_only_scope(business):
    g = business
    g.new_token(scope="Files.Read offline_access")
    assert g.get("/me/drive").status == 200
    assert g.mkdir("x").status == 403


def test_other_accounts(any_kind):
    """They have drives of their own; nothing of ours is shown or changed."""
    g = any_kind
    g.put("secret", b"x")
    ids = g.get("/me/drive").json["id"], g.get("/me/drive/root").json["id"]
    kind = "work" if g.kind == "business" else "personal"
    g.new_token(account=f"bob@{kind}.example")
    other = g.get("/me/drive").json["id"]
    assert other != ids[0]
    root = g.get(f"/drives/{other}/root").json
    assert root["id"] != ids[1] and root["folder"]["childCount"] == 0
    assert g.get("/me/drive/root/children").json["value"] == []
    assert g.get("/me/drive/root/delta").json["value"] == []
    assert g.get("/me/drive/root:/secret").status == 404
    assert g.get(f"/drives/{ids[0]}/root").status == 404
    assert g.put("secret", b"y").status == 404
    assert g.graph("PUT", "/me/drive/root:/secret:/content",
                   b"y").status == 403
    assert g.content("/secret") == b"x"


# ---- drives, 2.1 and 2.6 ----------------------------------------------------------

def test_drive(any_kind):
    g = any_kind
    drive = g.get("/me/drive").json
    business = g.kind == "business"
    assert drive["driveType"] == ("business" if business else "personal")
    assert g.get(g.drive).json["id"] == drive["id"]
    assert g.get(f"{g.drive}/?select=quota").json["quota"]["total"] > 0
    assert "owner" not in g.get(g.drive + "?$select=quota").json
    root = g.get("/me/drive/root").json
    assert root["root"] == {} and "id" not in root["parentReference"]
    assert g.get(f"{g.drive}/items/root").json["id"] == root["id"]
    assert g.get("/me").json["displayName"]
    assert g.get("/me/drives").json["value"][0]["id"] == drive["id"]
    assert g.get("/drives/other/root").code == "itemNotFound"
    if g.kind == "personal-migrated":
        assert root["id"].endswith("!sea8cc6beffdb43d7976fbc7da445c639")


def test_drive_id_case(business):
    g = business
    answer = g.get("/drives/" + g.info["drive_id"].lower() + "/root")
    assert answer.status == 400
    assert g.forbidden() == {"2.5": 1}


def test_quota(personal):
    g = personal
    g.set(quota_bytes=1000)
    g.put("a", b"x" * 950)
    quota = g.get("/me/drive").json["quota"]
    assert (quota["total"], quota["used"], quota["remaining"]) == \
        (1000, 950, 50)
    assert quota["state"] == "nearing"
    full = g.put("b", b"x" * 51)
    assert (full.status, full.code) == (507, "quotaLimitReached")
    opened = g.open_session("b", {"item": {"fileSize": 51}})
    assert opened.status == 507
    item = g.tree()["/a"]
    g.graph("DELETE", f"{g.drive}/items/{item['id']}")
    assert g.get("/me/drive").json["quota"]["deleted"] == 950
    g.quirks(quota_shape=4)
    assert g.get("/me/drive").json["quota"]["used"] == "950"
    g.quirks(quota_shape=1)
    assert "quota" not in g.get("/me/drive").json


# ---- addresses and names, 2.1 and 11 ------------------------------------------------

NAMES = ["plain", "with space", "ü.txt", "100%", "#1", "a+b&c='d'", "a;b,c",
         "(x)", "日本", "%41", "$x", "~x", "a..b", ".hidden", "'"]


def test_names_by_path(any_kind):
    g = any_kind
    for name in NAMES:
        made = g.put("d/" + name, name.encode())
        assert made.status == 201, (name, made)
        assert made.json["name"] == name
        path = urllib.parse.quote("d/" + name, safe="/")
        for form in (path, path + ":", path.replace("/", "%2F"),
                     path.replace("/", "%2F") + ":/"):
            found = g.get(f"{g.drive}/root:/{form}")
            assert found.json["id"] == made.json["id"], form
        assert g.content("/d/" + name) == name.encode()
    folder = g.tree()["/d"]["id"]
    for name in NAMES:
        answer = g.get(f"{g.drive}/items/{folder}:/"
                       f"{urllib.parse.quote(name, safe='')}")
        assert answer.json["name"] == name
    assert not g.forbidden()


@pytest.mark.parametrize("name", [
    'a"b', "a*b", "a<b", "a>b", "a?b", "a\\b", "a|b", " a", "a ", "a.",
    "CON", "nul", "com1", ".lock", "desktop.ini", "x_vti_y", "~$x"])
def test_bad_names(business, name):
    answer = business.mkdir(name)
    assert (answer.status, answer.code) == (400, "invalidRequest"), name


def test_long_names(business):
    g = business
    assert g.mkdir("n" * 255).status == 201
    assert g.mkdir("n" * 256).status == 400
    long = "/".join(["d" * 90] * 5)
    answer = g.put(long, b"")
    assert (answer.status, answer.inner) == (400, "pathIsTooLong")


def test_forms_of_the_root(business):
    g = business
    assert g.get(f"{g.drive}/root/children").status == 200
    assert g.get(f"{g.drive}/root:/:/children").status == 400
    assert g.forbidden() == {"2.1": 1}


def test_unescaped_path_is_noted(business):
    business.get(business.drive + "/root:/a+b")
    assert business.forbidden() == {"2.1": 1}


def test_empty_relative_path(business):
    g = business
    made = g.mkdir("d").json
    assert g.get(f"{g.drive}/items/{made['id']}:/").json["id"] == made["id"]


def test_china_form(business):
    g = business
    g.quirks(china=1)
    folder = g.mkdir("d").json["id"]
    assert g.graph("PUT", f"{g.drive}/items/{folder}:/f:/content",
                   b"x").status == 400
    path = urllib.parse.quote("'e/it''s'")
    assert g.graph("PUT", f"{g.drive}/items/{folder}/children('@a1')/content"
                   f"?@a1={path}", b"x").status == 201
    assert g.content("/d/e/it's") == b"x"


def test_collation(any_kind):
    g = any_kind
    assert g.mkdir("Name").status == 201
    clash = g.mkdir("nAME")
    assert (clash.status, clash.code) == (409, "nameAlreadyExists")
    assert g.mkdir("u\u0308").status == 201
    assert g.mkdir("\u00fc").status == 409  # canonically equal
    assert g.mkdir("ae").status == 201
    similar = g.mkdir("\u00e6")
    if g.kind == "business":
        assert similar.status == 201
    else:
        assert similar.inner == "similarRelationshipNameAlreadyExists"
    assert g.get(f"{g.drive}/root:/NAME").json["name"] == "Name"


# ---- items, 2.3 to 2.5 ----------------------------------------------------------------

def test_item_business(business):
    g = business
    item = g.put("Backups/hello.txt", b"hello world\n").json
    assert item["id"].startswith("01") and len(item["id"]) == 34
    assert item["eTag"].startswith('"{') and item["eTag"].endswith(',1"')
    assert item["cTag"].startswith('"c:{')
    assert item["file"]["hashes"] == {
        "quickXorHash": "aCgDG9jwBhDc4Q1ybAMZFAAAAAA="}
    assert item["file"]["mimeType"] == "text/plain"
    assert "." not in item["fileSystemInfo"]["lastModifiedDateTime"]
    folder = g.get(f"{g.drive}/root:/Backups").json
    assert "cTag" not in folder and folder["folder"]["childCount"] == 1
    assert folder["size"] == 12
    assert item["parentReference"]["id"] == folder["id"]
    by_drive = g.get(f"{g.drive}/items/{item['id']}").json
    assert by_drive["parentReference"]["path"] == \
        f"/drives/{g.info['drive_id']}/root:/Backups"


def test_item_personal(personal):
    g = personal
    g.mkdir("My Backups")
    item = g.put("My Backups/hello.txt", b"hello world\n").json
    ref = item["parentReference"]
    assert item["id"].startswith(g.info["drive_id"].upper() + "!")
    assert ref["driveId"] == g.info["drive_id"].lstrip("0")  # 15 digits
    assert ref["path"] == "/drive/root:/My%20Backups"
    assert item["eTag"].startswith("a") and "=" not in item["eTag"]
    folder = g.get(f"{g.drive}/root:/My%20Backups").json
    assert folder["cTag"].startswith("a")
    before = folder["cTag"], folder["eTag"]
    g.put("My Backups/other", b"")
    folder = g.get(f"{g.drive}/root:/My%20Backups").json
    assert folder["cTag"] != before[0] and folder["eTag"] == before[1]
    empty = g.get(f"{g.drive}/root:/My%20Backups/other").json
    assert empty["file"]["hashes"]["quickXorHash"] == \
        "AAAAAAAAAAAAAAAAAAAAAAAAAAA="


def test_empty_file_has_no_hash_on_business(business):
    item = business.put("e", b"").json
    assert item["size"] == 0 and item["file"]["hashes"] == {}


def test_select(business):
    g = business
    g.put("f", b"x")
    url = "@microsoft.graph.downloadUrl"
    item = g.get(f"{g.drive}/root:/f?$select=name,{url}").json
    assert "name" in item and "size" not in item and url not in item
    item = g.get(f"{g.drive}/root:/f?select=id,{url}").json
    assert set(item) - {"@odata.context"} == {"id", url}


def test_precision(personal):
    g = personal
    item = g.put("f", b"").json
    patched = g.graph("PATCH", f"{g.drive}/items/{item['id']}", {
        "fileSystemInfo": {
            "lastModifiedDateTime": "2026-01-02T03:04:05.6789012Z"}}).json
    assert patched["fileSystemInfo"]["lastModifiedDateTime"] == \
        "2026-01-02T03:04:05.678Z"


# ---- listings, 2.2 --------------------------------------------------------------------

def test_children_pages(any_kind):
    g = any_kind
    g.change(*[{"op": "put", "path": f"/d/f{i:03}", "text": "x"}
               for i in range(25)])
    base = f"{g.drive}/root:/d:/children"
    items, _ = g.pages(base + "?$top=10&$select=id,name")
    assert [i["name"] for i in items] == [f"f{i:03}" for i in range(25)]
    assert "size" not in items[0]
    items, _ = g.pages(base + "?top=10&$orderby=name%20desc")
    assert items[0]["name"] == "f024"
    assert g.get(base + "?$orderby=eTag").status == 400
    assert g.get(base + "?$filter=x").status == 400
    bad = g.get(base + "?$skiptoken=nonsense")
    assert bad.status == 400
    g.quirks(page_size=7, empty_page_every=2)
    items, _ = g.pages(base)
    assert len(items) == 25
    expanded = g.get(f"{g.drive}/root:/d?$expand=children").json
    assert len(expanded["children"]) == 7
    rest, _ = g.pages(expanded["children@odata.nextLink"])
    assert len(rest) == 18


def test_package_and_malware(business):
    g = business
    g.change({"op": "package", "path": "/Notes"},
             {"op": "put", "path": "/bad", "text": "x"},
             {"op": "set", "path": "/bad", "malware": True})
    notes = g.get(f"{g.drive}/root:/Notes").json
    assert notes["package"] == {"type": "oneNote"}
    assert "file" not in notes and "folder" not in notes
    assert g.get(f"{g.drive}/root:/Notes:/content").status == 400
    assert g.get(f"{g.drive}/root:/bad").json["malware"] == {}
    refused = g.get(f"{g.drive}/root:/bad:/content")
    assert (refused.status, refused.code) == (403, "malwareDetected")
    assert g.get(f"{g.drive}/root:/bad:/content?AVOverride=1").status == 302


def test_search(business):
    g = business
    g.put("d/it's here", b"x")
    g.put("e", b"x")
    found = g.get(f"{g.drive}/root/search(q='IT''s')").json["value"]
    assert [i["name"] for i in found] == ["it's here"]
    assert g.get("/me/drive/sharedWithMe").json["value"] == []


def test_approot(personal):
    g = personal
    root = f"{g.drive}/special/approot"
    assert g.put("x", b"").status == 201
    assert g.graph("PUT", root + ":/f:/content", b"x").status == 404
    made = g.get(root)
    assert made.status == 200
    assert g.graph("PUT", root + ":/f:/content", b"x").status == 201
    assert g.get(f"{g.drive}/special/AppRoot").status == 404
    g.quirks(approot=0)
    assert g.get(root).status == 403


# ---- folders, 3.1 -----------------------------------------------------------------------

def test_create(any_kind):
    g = any_kind
    made = g.mkdir("d", fileSystemInfo={
        "lastModifiedDateTime": "2020-01-01T00:00:00Z"})
    assert made.status == 201
    assert made.json["fileSystemInfo"]["lastModifiedDateTime"] == \
        "2020-01-01T00:00:00Z"
    assert g.mkdir("d").code == "nameAlreadyExists"
    behaviour = "@microsoft.graph.conflictBehavior"
    assert g.mkdir("d", **{behaviour: "rename"}).json["name"] == "d 1"
    assert g.mkdir("x", parent="none").code == "itemNotFound"
    file = g.put("f", b"").json
    assert g.mkdir("x", parent=file["id"]).status == 400
    assert g.graph("POST", f"{g.drive}/root/children",
                   {"name": "x"}).status == 400
    assert g.graph("POST", f"{g.drive}/root/children", b"{").status == 400


# ---- PATCH, 3.2 ---------------------------------------------------------------------------

def test_rename_and_move(any_kind):
    g = any_kind
    a, b = g.mkdir("a").json, g.mkdir("b").json
    f = g.put("a/f", b"data").json
    url = f"{g.drive}/items/{f['id']}"
    moved = g.graph("PATCH", url, {
        "name": "g", "parentReference": {"id": b["id"]},
        "fileSystemInfo": {"lastModifiedDateTime": "2021-01-01T00:00:00Z"}},
        {"If-Match": quoted(f["eTag"])})
    assert moved.status == 200
    assert moved.json["id"] == f["id"] and moved.json["name"] == "g"
    assert moved.json["fileSystemInfo"]["lastModifiedDateTime"] == \
        "2021-01-01T00:00:00Z"
    assert etag_n(moved.json) > etag_n(f)
    assert g.get(f"{g.drive}/items/{a['id']}").json["size"] == 0
    assert g.get(f"{g.drive}/items/{b['id']}").json["size"] == 4
    stale = g.graph("PATCH", url, {"name": "h"},
                    {"If-Match": quoted(f["eTag"])})
    assert (stale.status, stale.code) == (412, "resourceModified")
    assert g.graph("PATCH", url, {"name": "h"},
                   {"If-Match": "*"}).status == 200
    assert not g.forbidden()
    refused = g.graph("PATCH", url, {"parentReference": {"id": "root"}})
    assert refused.status == 400
    assert g.forbidden() == {"3.2": 1}
    inside = g.graph("PATCH", f"{g.drive}/items/{a['id']}",
                     {"parentReference": {"id": a["id"]}})
    assert inside.status == 400


def test_rename_onto_taken_names(any_kind):
    g = any_kind
    f, other = g.put("f", b"1").json, g.put("g", b"2").json
    url = f"{g.drive}/items/{f['id']}"
    assert g.graph("PATCH", url, {"name": "G"}).code == "nameAlreadyExists"
    behaviour = "@microsoft.graph.conflictBehavior"
    assert g.graph("PATCH", url, {"name": "g", behaviour: "rename"}) \
        .json["name"] == "g 1"
    done = g.graph("PATCH", url, {"name": "g", behaviour: "replace"})
    assert (done.status, done.json["id"]) == (200, f["id"])
    assert g.get(f"{g.drive}/items/{other['id']}").status == 404
    assert g.content("/g") == b"1"


def test_own_spellings(any_kind):
    g = any_kind
    f = g.put("abc", b"").json
    url = f"{g.drive}/items/{f['id']}"
    assert g.graph("PATCH", url, {"name": "ABC"}).json["name"] == "ABC"
    g.quirks(case_rename_409=1)
    assert g.graph("PATCH", url, {"name": "Abc"}).status == 409
    nfd = g.put("u\u0308", b"").json
    assert g.graph("PATCH", f"{g.drive}/items/{nfd['id']}",
                   {"name": "\u00fc"}).status == 409


def test_mtime_patch(any_kind):
    g = any_kind
    f = g.put("f", b"12345").json
    g.graph("PATCH", f"{g.drive}/items/{f['id']}", {
        "fileSystemInfo": {"lastModifiedDateTime": "2020-01-01T00:00:00Z"}})
    business = g.kind == "business"
    assert g.tree()["/f"]["versions"] == (1 if business else 0)
    used = g.get("/me/drive").json["quota"]["used"]
    assert used == (10 if business else 5)
    now = g.get(f"{g.drive}/items/{f['id']}").json["lastModifiedDateTime"]
    assert (now == "2020-01-01T00:00:00Z") == business


def test_description(any_kind):
    g = any_kind
    f = g.put("f", b"").json
    answer = g.graph("PATCH", f"{g.drive}/items/{f['id']}",
                     {"description": "note"})
    if g.kind == "business":
        assert answer.inner == "propertyNotUpdateable"
    else:
        assert answer.json["description"] == "note"


def test_malformed_if_match(business):
    g = business
    f = g.put("f", b"").json
    url = f"{g.drive}/items/{f['id']}"
    bad = g.graph("PATCH", url, {"name": "x"}, {"If-Match": "W/x"})
    assert bad.inner == "malformedEntityTag"
    assert g.forbidden() == {"2.4": 1}


def test_ctag_if_match(business):
    g = business
    f = g.put("f", b"").json
    assert g.graph("PATCH", f"{g.drive}/items/{f['id']}", {"name": "x"},
                   {"If-Match": f["cTag"]}).status == 200


def test_settling_tag(business):
    g = business
    g.quirks(settle_ms=1000)
    f = g.put("f", b"").json
    g.set(advance_ms=2000)
    stale = g.graph("PATCH", f"{g.drive}/items/{f['id']}", {"name": "x"},
                    {"If-Match": f["eTag"]})
    assert stale.status == 412


# ---- DELETE and restore, 3.3 ------------------------------------------------------------

def test_delete(any_kind):
    g = any_kind
    d = g.mkdir("d").json
    f = g.put("d/f", b"12").json
    url = f"{g.drive}/items/{d['id']}"
    assert g.graph("DELETE", url, headers={
        "If-Match": '"{x},9"'}).status == 412
    # A folder's tag says nothing about its content.
    assert g.get(url).json["eTag"] == d["eTag"]
    assert g.graph("DELETE", url, headers={
        "If-Match": quoted(d["eTag"])}).status == 204
    assert g.get(f"{g.drive}/items/{f['id']}").status == 404
    gone = g.graph("DELETE", url)
    assert (gone.status, gone.code) == (404, "itemNotFound")
    assert g.graph("DELETE", f"{g.drive}/root").status == 403
    restored = g.graph("POST", url + "/restore", {"name": "e"})
    if g.kind == "business":
        assert restored.status == 400
    else:
        assert restored.json["id"] == d["id"]
        assert g.content("/e/f") == b"12"
    again = g.put("d/f", b"x")
    assert again.json["id"] != f["id"]


def test_permanent_delete(business, personal):
    f = business.put("f", b"123").json
    answer = business.graph(
        "POST", f"{business.drive}/items/{f['id']}/permanentDelete",
        headers={"Content-Length": "0"})
    assert answer.status == 204
    assert business.get("/me/drive").json["quota"]["used"] == 0
    f = personal.put("f", b"123").json
    assert personal.graph(
        "POST", f"{personal.drive}/items/{f['id']}/permanentDelete",
        headers={"Content-Length": "0"}).status == 400


def test_locked(business):
    g = business
    f = g.put("f", b"1").json
    g.change({"op": "set", "path": "/f", "locked": True})
    url = f"{g.drive}/items/{f['id']}"
    assert g.graph("DELETE", url).status == 423
    assert g.graph("PUT", url + "/content", b"2").code == "resourceLocked"
    assert g.get(url).status == 200


# ---- copy, 3.4 --------------------------------------------------------------------------

def test_copy(any_kind):
    g = any_kind
    d = g.mkdir("d").json
    g.put("d/f", b"data")
    started = g.graph("POST", f"{g.drive}/items/{d['id']}/copy",
                      {"name": "e"})
    assert started.status == 202 and not started.body
    monitor = started.headers["Location"]
    assert monitor.startswith(g.info["content_url"])
    running = g.request("GET", monitor)
    assert (running.status, running.json["status"]) == (202, "inProgress")
    done = g.request("GET", monitor).json
    assert done["status"] == "completed"
    assert g.tree()["/e"]["id"] == done["resourceId"]
    assert g.content("/e/f") == b"data"
    again = g.graph("POST", f"{g.drive}/items/{d['id']}/copy",
                    {"name": "e"}).headers["Location"]
    g.request("GET", again)
    assert g.request("GET", again).json["status"] == "failed"
