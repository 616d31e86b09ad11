"""Goal: a sign-in made by another program is taken over.

The token cache is written by Microsoft's own library (MSAL for Python)."""

import base64
import json
import urllib.parse

import pytest

msal = pytest.importorskip("msal", reason="python3-msal is not installed")

pytestmark = pytest.mark.configs("personal")

THEIR_CLIENT = "6f1c2a5e-8d34-4b7a-9c10-2f5e7a9b1c3d"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"

WORK = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"


def encode(member):
    text = base64.urlsafe_b64encode(json.dumps(member).encode()).decode()
    return text.rstrip("=")


@pytest.fixture
def cache(base, graphd):
    """Writes a cache of one account with one scope; returns its path."""
    host = urllib.parse.urlsplit(graphd.login_url).netloc

    def write(scope, tenant=PERSONAL):
        token = graphd._post("token", {"scope": f"{scope} offline_access"})
        claims = {"sub": "x", "aud": THEIR_CLIENT, "iss": "x", "iat": 1,
                  "exp": 1 << 40, "preferred_username": "ann@example.com"}
        box = msal.SerializableTokenCache()
        box.add({
            "client_id": THEIR_CLIENT, "scope": [scope], "environment": host,
            "token_endpoint": f"https://{host}/consumers/oauth2/v2.0/token",
            "response": {
                "token_type": "Bearer", "scope": scope, "expires_in": 3600,
                **{k: token[k] for k in ("access_token", "refresh_token")},
                "client_info": encode({"uid": "0-0-0-1", "utid": tenant}),
                "id_token": f"{encode({})}.{encode(claims)}.x"}})
        path = base / "msal.json"
        path.write_text(box.serialize())
        return path, token
    return write


@pytest.mark.parametrize("scope", ["Files.ReadWrite", "Files.ReadWrite.All"])
def test_import(machine, cache, graphd, scope):
    path, token = cache(scope)
    before = path.read_bytes()
    done = machine.run("auth", "--import-msal", path, check=0,
                       env={"NMBACKUPFS_CLIENT_ID": ""})
    assert "Signed in" in done.stderr
    for secret in (token["access_token"], token["refresh_token"]):
        assert secret not in done.stderr + done.stdout
    assert path.read_bytes() == before
    assert graphd.login_stats()["refreshes"] == 1
    [kept] = [p for p in machine.config.rglob("*") if p.is_file()]
    assert json.loads(kept.read_text())["client_id"] == THEIR_CLIENT
    assert kept.stat().st_mode & 0o777 == 0o600


def test_mount_after_an_import(machine, cache, graphd):
    """The sign-in is all that is needed: it brings the client id."""
    path, _ = cache("Files.ReadWrite")
    machine.env["NMBACKUPFS_CLIENT_ID"] = ""
    machine.run("auth", "--import-msal", path, check=0)
    mnt = machine.mount()
    graphd.login(expire_access=True)
    (mnt / "x").write_bytes(b"x")
    machine.flush()
    assert graphd.read("x") == b"x"
    mnt.unmount()
    assert machine.run("get", "x", "-o", "-", check=0).stdout == "x"


@pytest.mark.configs("work")
def test_work_account(machine, cache, graphd):
    path, token = cache("Files.ReadWrite", tenant=WORK)
    machine.run("auth", "--import-msal", path, check=0)
    [kept] = [p for p in machine.config.rglob("*") if p.is_file()]
    kept = json.loads(kept.read_text())
    assert kept["client_id"] == THEIR_CLIENT
    assert kept["tenant"] == "organizations"
    assert kept["refresh_token"] != token["refresh_token"]
    (machine.mount() / "x").write_bytes(b"x")
    machine.flush()
    assert graphd.read("x") == b"x"


def test_what_can_not_be_imported(machine, cache, base):
    nothing = base / "none.json"
    for text in (b"", b"{}", b"\x01\x02encrypted", b"[]"):
        nothing.write_bytes(text)
        done = machine.run("auth", "--import-msal", nothing, check=2)
        assert len(done.stderr.strip().splitlines()) == 1
    path, _ = cache("Files.ReadWrite", tenant="0" * 8 + PERSONAL[8:])
    done = machine.run("auth", "--import-msal", path, check=2)
    assert "--account" in done.stderr
    machine.run("auth", "--import-msal", base / "missing", check=2)
