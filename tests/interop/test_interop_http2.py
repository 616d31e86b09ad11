"""graphd over HTTP/2 and TLS, through nghttpx: links, upload, download."""

import json
import random
import shutil
import subprocess

import pytest

import front as front_module
import graphd as graphd_module
import world

GRANULE = 327680


class Client:
    """curl, that insists on HTTP/2."""

    def __init__(self, front, token):
        self.front = front
        self.token = token

    def call(self, *args, url, bearer=True):
        """(status, body)"""
        headers = ["-H", f"Authorization: Bearer {self.token}"] if bearer else []
        done = subprocess.run(
            ["curl", "-sS", "--http2", "--cacert", self.front.ca, *headers,
             *args, "-w", "\n%{http_code} %{http_version}", url],
            capture_output=True, timeout=60, check=True)
        body, _, last = done.stdout.rpartition(b"\n")
        status, version = last.split()
        assert version == b"2", f"HTTP/{version} from {url}"
        return int(status), body

    def json(self, *args, url, bearer=True):
        status, body = self.call(*args, url=url, bearer=bearer)
        return status, json.loads(body)


@pytest.fixture
def client(tmp_path):
    reason = front_module.why_not() or graphd_module.why_not() or \
        (None if shutil.which("curl") else "curl is not installed")
    if reason:
        pytest.skip(reason)
    front = front_module.Front(tmp_path / "front")
    server = subprocess.Popen(
        [*world.DIES_WITH_US, graphd_module.BINARY, "--kind", "personal",
         "--page-size", "2",
         "--content-url", f"https://localhost:{front.port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        info = json.loads(server.stdout.readline())
        with front.to(info["port"]):
            got = subprocess.run(
                ["curl", "-sS", "-d", "{}", info["control_url"] + "/token"],
                capture_output=True, check=True)
            yield Client(front, json.loads(got.stdout)["access_token"])
    finally:
        server.terminate()
        server.wait(20)
        server.stdout.close()


def test_up_and_down(client, tmp_path):
    data = random.Random(3).randbytes(GRANULE * 3 + 77)
    root = client.front.url + "/v1.0/me/drive/root"
    status, session = client.json(
        "-H", "Content-Type: application/json", "-d", "{}",
        url=root + ":/a%20file:/createUploadSession")
    assert status == 200

    (tmp_path / "rest").write_bytes(data[GRANULE:])
    (tmp_path / "first").write_bytes(data[:GRANULE])
    for name, begin, end, want in (("first", 0, GRANULE, 202),
                                   ("rest", GRANULE, len(data), 201)):
        status, item = client.json(
            "-T", tmp_path / name, "-H",
            f"Content-Range: bytes {begin}-{end - 1}/{len(data)}",
            url=session["uploadUrl"], bearer=False)
        assert status == want
    assert item["size"] == len(data)

    # The redirect goes to another host, where curl leaves the bearer behind.
    assert client.call("-L", url=root + ":/a%20file:/content") == (200, data)
    _, item = client.json(url=root + ":/a%20file")
    part = client.call("-r", "100-199", bearer=False,
                       url=item["@microsoft.graph.downloadUrl"])
    assert part == (206, data[100:200])


def test_pages(client):
    drive = client.front.url + "/v1.0/me/drive"
    for name in "abcde":
        assert client.call("-X", "PUT", "--data-binary", "",
                           url=f"{drive}/root:/{name}:/content")[0] == 201
    for what in ("children", "delta"):
        url, names = f"{drive}/root/{what}", []
        while url:
            assert url.startswith(client.front.url)
            status, page = client.json(url=url)
            assert status == 200
            names += [i["name"] for i in page["value"] if "file" in i]
            url = page.get("@odata.nextLink")
        assert sorted(names) == list("abcde")


def test_many_at_once(client, tmp_path):
    """One connection, many streams."""
    urls = [f"url = \"{client.front.url}/v1.0/me/drive\"\n"
            f"output = \"{tmp_path}/{i}\"" for i in range(40)]
    (tmp_path / "config").write_text("\n".join(urls))
    subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", client.front.ca, "-H",
         f"Authorization: Bearer {client.token}", "--parallel",
         "--parallel-max", "20", "-K", tmp_path / "config"],
        timeout=60, check=True)
    for i in range(40):
        assert json.loads((tmp_path / str(i)).read_text())["driveType"]
