"""What the facts about the service call "not established", one function each.

A probe gets a folder of its own in the scratch folder and returns an answer and
the raw evidence: status codes, error codes, names it chose itself. Its docstring
says how it is tried. NotTried says why it can't be. It deletes nothing but what
it made, and leaves the rest to the scratch folder's end."""

import datetime
import random
import urllib.parse

from drive import encoded

PROBES = []


class NotTried(Exception):
    pass


class Probe:
    def __init__(self, ident, question, function):
        self.ident, self.question = ident, question
        self.function = function
        self.how = " ".join(function.__doc__.split())

    def run(self, drive, scratch):
        """A row of the table."""
        try:
            if "here" in self.function.__code__.co_varnames[:2]:
                here = scratch.folder("probe " + self.ident)
                answer, evidence = self.function(drive, here)
            else:
                answer, evidence = self.function(drive)
        except NotTried as why:
            answer, evidence = "not tried", str(why)
        except Exception as e:  # the others go on
            answer, evidence = "no answer", f"{type(e).__name__}: {e}"
        return self.ident, self.question, answer, self.how, evidence


def probe(ident, question):
    def add(function):
        PROBES.append(Probe(ident, question, function))
        return function
    return add


def yes(condition):
    return "yes" if condition else "no"


# ---- requests ------------------------------------------------------------------

@probe("16.1", "A rename that changes only the case: one PATCH?")
def case_rename(drive, here):
    """A folder "case a" is renamed to "case A" by id."""
    made = drive.make_folder(here, "case a").json
    said = drive.ask("PATCH", drive.at(made["id"]), {"name": "case A"})
    name = drive.item(made["id"])["name"]
    return ("yes" if name == "case A" else "refused",
            f"{said.brief()}, then called \"{name}\"")


@probe("16.2", "If-Match on DELETE: does it hold?")
def conditional_delete(drive, here):
    """A file of two versions is deleted with the first one's eTag, then with
    the present one."""
    old = drive.put(here, "file", b"one")
    new = drive.put(here, "file", b"two")
    if new["eTag"] == old["eTag"]:
        return "no answer", "the eTag did not move"
    stale = drive.ask("DELETE", drive.at(new["id"]),
                      headers={"If-Match": old["eTag"]})
    left = drive.ask("GET", drive.at(new["id"]))
    if not left.ok:
        return ("no: a stale tag deletes", f"stale tag {stale.brief()}, "
                f"then GET {left.brief()}")
    tag = left.json["eTag"]
    fresh = drive.ask("DELETE", drive.at(new["id"]), headers={"If-Match": tag})
    return ("yes" if fresh.ok else "no: a right tag is refused",
            f"stale tag {stale.brief()}, present tag {fresh.brief()}")


def open_session(drive, item, tag=None):
    return drive.ask("POST", drive.at(item) + "/createUploadSession",
                     {"item": {"@microsoft.graph.conflictBehavior": "replace"}},
                     headers={"If-Match": tag} if tag else {})


def end_session(drive, session):
    if session.ok:
        drive.send("DELETE", session.json["uploadUrl"])


@probe("16.3", "createUploadSession with If-Match: does opening move the eTag; "
               "may it be a cTag?")
def conditional_session(drive, here):
    """Sessions on a file are opened with its eTag, its cTag and the eTag of an
    older content, and cancelled; the eTag is read before and after."""
    file = drive.put(here, "file", b"one")
    before = drive.item(file["id"])
    by_etag = open_session(drive, file["id"], before["eTag"])
    after = drive.item(file["id"])
    end_session(drive, by_etag)
    now = drive.item(file["id"])
    by_ctag = open_session(drive, file["id"], now["cTag"])
    end_session(drive, by_ctag)
    drive.put(here, "file", b"two")
    wrong = open_session(drive, file["id"], now["eTag"])
    end_session(drive, wrong)
    return (f"opening moves it: {yes(before['eTag'] != after['eTag'])}; "
            f"cTag taken: {yes(by_ctag.ok)}; "
            f"an old tag refused: {yes(not wrong.ok)}",
            f"eTag {by_etag.brief()}, cTag {by_ctag.brief()}, "
            f"old {wrong.brief()}")


@probe("16.4", "How long an upload session lives at first; which host has it")
def session_life(drive, here):
    """A session for a new file is opened and cancelled."""
    said = drive.ask("POST", drive.at(here) + ":/new:/createUploadSession", {
        "item": {"@microsoft.graph.conflictBehavior": "fail"}})
    if not said.ok:
        return "no answer", said.brief()
    end = datetime.datetime.fromisoformat(
        said.json["expirationDateTime"][:19] + "+00:00")
    left = end - datetime.datetime.now(datetime.timezone.utc)
    host = urllib.parse.urlsplit(said.json["uploadUrl"]).hostname
    end_session(drive, said)
    # A tenant's name stays out.
    host = "*." + host.partition(".")[2] if host.count(".") > 1 else host
    return f"{left.total_seconds() / 3600:.1f} h", f"host {host}"


@probe("16.5", "The AppFolder scope: for whom; its delta")
def app_folder(drive):
    """Not tried."""
    raise NotTried("needs a sign-in with that scope alone, and the first GET "
                   "makes a folder outside the scratch folder")


@probe("16.6", "Does a refresh through /common work for this account?")
def refresh_by_common(drive):
    """The refresh token is offered at /common; what comes back is thrown
    away."""
    blob = drive.blob()
    form = urllib.parse.urlencode({
        "client_id": blob["client_id"], "grant_type": "refresh_token",
        "refresh_token": blob["refresh_token"],
        "scope": blob.get("scope", "")}).encode()
    said = drive.send(
        "POST", drive.login + "/common/oauth2/v2.0/token", form,
        {"Content-Type": "application/x-www-form-urlencoded"})
    error = said.json.get("error")
    return (yes(said.ok), f"{drive.kind}: {said.status}"
            + (f" {error}" if isinstance(error, str) else ""))


@probe("16.7", "The China login hosts: which answer")
def china_hosts(drive):
    """The public openid-configuration of both is fetched, without a token."""
    if not drive.base.startswith("https://"):
        raise NotTried("a stand-in has no such hosts")
    said = []
    for host in ("login.chinacloudapi.cn", "login.partner.microsoftonline.cn"):
        try:
            got = drive.send("GET", f"https://{host}/common/v2.0/.well-known/"
                                    "openid-configuration", tries=1)
            token = urllib.parse.urlsplit(got.json.get("token_endpoint", ""))
            said.append(f"{host} {got.status}, token at {token.hostname}")
        except OSError as e:
            said.append(f"{host} {type(e).__name__}")
    return "see evidence", "; ".join(said)


# ---- names -----------------------------------------------------------------------

@probe("16.8a", "The unit of the limit of 255: UTF-16, or characters?")
def name_length(drive, here):
    """Folders with names of emoji: 255 units of UTF-16, 256 of them, 255
    characters that are 510 units."""
    save = "\U0001f4be"
    names = {"255 units": save * 127 + "x", "256 units": save * 128,
             "255 characters": save * 255}
    said = {what: drive.make_folder(here, name) for what, name in names.items()}
    good = {what for what, answer in said.items() if answer.ok}
    answer = {frozenset(["255 units"]): "UTF-16 units",
              frozenset(names): "characters"}.get(frozenset(good), "neither")
    return answer, ", ".join(f"{w} {a.brief()}" for w, a in said.items())


@probe("16.8b", "0x7F and U+0080 to U+009F in names: refused?")
def control_characters(drive, here):
    """A folder for each of them, in the middle of its name."""
    chars = [0x7f, *range(0x80, 0xa0)]
    got = drive.batch([
        ("POST", drive.at(here) + "/children",
         {"name": f"c{i}{chr(c)}x", "folder": {},
          "@microsoft.graph.conflictBehavior": "fail"})
        for i, c in enumerate(chars)])
    bad = [f"U+{chars[i]:04X} {status}" for i, (status, _) in
           sorted(got.items()) if status != 201]
    changed = [f"U+{chars[i]:04X}" for i, (status, body) in sorted(got.items())
               if status == 201 and body.get("name") != f"c{i}{chr(chars[i])}x"]
    return (f"{len(bad)} of {len(chars)} refused, {len(changed)} changed",
            ", ".join(bad + changed) or "all 201, names as sent")


@probe("16.8c", "A trailing dot or space: refused, or stripped?")
def trailing(drive, here):
    """Folders "dot." and "space "."""
    said = []
    for name in ("dot.", "space "):
        made = drive.make_folder(here, name)
        said.append(f'"{name}" {made.brief()}' + (
            f' as "{made.json.get("name")}"' if made.ok else ""))
    return "see evidence", ", ".join(said)


def are_equal(drive, here, pairs):
    """[what] of those pairs of which the second name is taken for the first."""
    equal, said = [], []
    for what, (one, two) in pairs.items():
        first, second = (drive.make_folder(here, n) for n in (one, two))
        said.append(f"{what} {first.brief()}, {second.brief()}")
        if first.ok and second.status == 409:
            equal.append(what)
    return equal, "; ".join(said)


@probe("16.8d", "Names of base32768: taken for equal?")
def base32768(drive, here):
    """Folders of characters of CJK extension A: twice and three times the
    same; and of two different ones."""
    equal, said = are_equal(drive, here, {
        "U+3D08 twice and three times": ("\u3d08" * 2, "\u3d08" * 3),
        "U+3D09, U+3D0A": ("a\u3d09", "a\u3d0a")})
    return "; ".join(equal) + " equal" if equal else "no", said


# ---- versions, content ------------------------------------------------------------

@probe("16.9a", "What version ids look like")
def version_ids(drive, here):
    """A file is written three times, its versions are listed."""
    for data in (b"one", b"two", b"three"):
        file = drive.put(here, "file", data)
    found = drive.item(file["id"], "/versions")["value"]
    ids = [v["id"] for v in found]
    plain = all(len(i) < 12 for i in ids)
    return (f"{len(ids)} of 3 listed",
            "ids " + (", ".join(ids) if plain else "are long")
            + f"; members {', '.join(sorted(set().union(*found)))}")


VERSIONS = 32


@probe("16.9b", f"Are {VERSIONS} versions kept?")
def version_limit(drive, here):
    """A file is written so often, its versions are counted."""
    for n in range(VERSIONS):
        file = drive.put(here, "file", b"%d" % n)
    kept = len(drive.item(file["id"], "/versions?$top=100")["value"])
    return ("at least that" if kept >= VERSIONS else f"{kept} are",
            f"{kept} of {VERSIONS} on {drive.kind}")


@probe("16.9c", "Can a version be deleted?")
def version_delete(drive, here):
    """The oldest of a file's two."""
    drive.put(here, "file", b"one")
    file = drive.put(here, "file", b"two")
    found = drive.item(file["id"], "/versions")["value"]
    said = drive.ask("DELETE", drive.at(file["id"]) + "/versions/"
                     + urllib.parse.quote(found[-1]["id"], safe=""))
    left = len(drive.item(file["id"], "/versions")["value"])
    return (yes(left < len(found)),
            f"{drive.kind}: {said.brief()}, {len(found)} before, {left} after")


@probe("16.10", "Does a download URL give the version it was made for?")
def pinned_url(drive, here):
    """The URL of a file is taken, the file gets other content, the URL is
    read."""
    file = drive.put(here, "file", b"the first content")
    url = drive.item(file["id"])["@microsoft.graph.downloadUrl"]
    drive.put(here, "file", b"the second content")
    said = drive.send("GET", url)
    answer = {b"the first content": "yes",
              b"the second content": "no: the newest"}.get(said.body, "neither")
    return answer, f"{said.status}, {len(said.body)} bytes"


@probe("16.11", "Prefer: deltashowremoteitemsaliasid: is it known?")
def prefer_alias(drive):
    """A delta request that lists nothing (token=latest), with it and
    without; does the answer say that it was applied?"""
    path = f"/drives/{drive.id}/root/delta?token=latest"
    said = drive.ask("GET", path,
                     headers={"Prefer": "deltashowremoteitemsaliasid"})
    applied = said.headers.get("Preference-Applied", "")
    without = drive.ask("GET", path)
    return ("applied" if "aliasid" in applied.lower() else "not mentioned",
            f"with {said.brief()} Preference-Applied: {applied or '-'}; "
            f"without {without.brief()}")


@probe("16.12a", "The largest body of a $batch")
def batch_body(drive, here):
    """Batches with one file of 100 KB, 1 MB, 3 MB in them."""
    said, best = [], "none"
    for size, what in ((75_000, "100 KB"), (750_000, "1 MB"),
                       (2_250_000, "3 MB")):
        answer = drive.ask("POST", "/$batch", {"requests": [{
            "id": "1", "method": "PUT",
            "url": f"{drive.at(here)}:/{what.replace(' ', '')}:/content",
            "headers": {"Content-Type": "application/octet-stream"},
            "body": encoded(bytes(size))}]})
        part = (answer.json.get("responses") or [{}])[0].get("status")
        said.append(f"{what}: {answer.brief()}, inside {part}")
        if not answer.ok or part not in (200, 201):
            break
        best = what
    return f"at least {best}" if best != "none" else "none", "; ".join(said)


@probe("16.12b", "Real limits: what do the answers say of them?")
def limits(drive):
    """Headers about limits in all answers to this check. No limit is tried
    by going over it."""
    seen = [f"{n}: {v}" for n, v in sorted(drive.seen_headers.items())]
    return (yes(seen) + f", after {drive.requests} requests",
            "; ".join(seen) or "no such header")


@probe("16.13", "conflictBehavior replace for a folder that is there: which "
                "comes back?")
def replace_folder(drive, here):
    """A folder with a file in it is made again with "replace"."""
    old = drive.make_folder(here, "folder").json["id"]
    drive.put(old, "file", b"kept?")
    said = drive.make_folder(here, "folder", "replace")
    if not said.ok:
        return "refused", said.brief()
    same = said.json["id"] == old
    files = len(drive.children(said.json["id"]))
    return ("the old one" if same else "a new one",
            f"{said.brief()}, {files} of 1 file in it")


@probe("16.14", "Delta on a folder below the root")
def folder_delta(drive, here):
    """Delta of the probe's own folder, with one file in it."""
    drive.put(here, "file", b"one")
    said = drive.ask("GET", drive.at(here) + "/delta")
    names = {i.get("name") for i in said.json.get("value", [])}
    return (yes(said.ok), f"{drive.kind}: {said.brief()}, the file is "
            f"{'' if 'file' in names else 'not '}in it")


@probe("16.15", "The answer to a poll where a policy blocks the device code")
def blocked_poll(drive):
    """Not tried."""
    raise NotTried("this account could sign in; where it is refused, the "
                   "program's own message has the code")


# ---- sealed names ------------------------------------------------------------------

FIRST, COUNT, PAIRS = 0x4e00, 0x4000, 40


@probe("A4.1", "cjk14: are names that differ in one character different?")
def cjk14_pairs(drive, here):
    """Pairs of folders whose names differ by one code unit: at both ends of the
    range, in its middle, at random places; as neighbours, and far apart."""
    rnd = random.Random()
    at = [0, COUNT // 2 - 1, COUNT - 2]
    at += [rnd.randrange(COUNT - 1) for _ in range(PAIRS // 2 - len(at))]
    chars = [(c, c + 1) for c in at]
    chars += [rnd.sample(range(COUNT), 2) for _ in range(PAIRS - len(chars))]
    names = [f"{i}\u6c34{chr(FIRST + c)}\u6c34"
             for i, pair in enumerate(chars) for c in pair]
    got = drive.batch([
        ("POST", drive.at(here) + "/children",
         {"name": name, "folder": {},
          "@microsoft.graph.conflictBehavior": "fail"}) for name in names])
    clash = [f"U+{ord(names[i][-2]):04X} {s}" for i, (s, _) in
             sorted(got.items()) if s != 201]
    listed = {c["name"] for c in drive.children(here)}
    lost = [n for i, n in enumerate(names)
            if got.get(i, (0,))[0] == 201 and n not in listed]
    return (yes(not clash and not lost),
            f"{len(names) - len(clash)} of {len(names)} made, "
            f"{len(lost)} not listed as sent"
            + (": " + ", ".join(clash[:20]) if clash else ""))


@probe("A4.2", "cjk14: does the longest sealed name come back as sent?")
def cjk14_long(drive, here):
    """A folder with a name of 252 random characters, read by id."""
    name = "".join(chr(FIRST + random.randrange(COUNT)) for _ in range(252))
    made = drive.make_folder(here, name)
    if not made.ok:
        return "refused", made.brief()
    return (yes(drive.item(made.json["id"])["name"] == name), made.brief())


@probe("A4.3", "Plain folders: which different names are equal there?")
def equal_names(drive, here):
    """Pairs of folders: case, a ligature, two emoji, composed and
    decomposed."""
    equal, said = are_equal(drive, here, {
        "case": ("readme", "README"), "ae": ("x ae", "x \u00e6"),
        "emoji": ("y \U0001f4be", "y \U0001f389"),
        "NFC and NFD": ("z \u00e9", "z e\u0301")})
    return ", ".join(equal) or "none", said
