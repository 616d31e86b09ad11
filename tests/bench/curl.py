"""The ceiling: what curl gets out of the same graphd over the same line.

Nothing of a file system, no hashes, no bookkeeping: as many requests at once
as the program may have."""

import http.client
import json
import pathlib
import shutil
import ssl
import subprocess
import time
import urllib.parse

from kit import graphd as kit_graphd

FOLDER = kit_graphd.FOLDER
FRAGMENT = 32 * 327680  # 10 MiB
PARALLEL = 32  # small requests at a time
RANGE = 8 * 2**20
RANGES = 6


def why_not():
    return None if shutil.which("curl") else "curl is not installed"


class Curl:
    name = "curl"

    def __init__(self, base, service):
        self.base = pathlib.Path(base)
        self.base.mkdir(parents=True)
        self.service = service
        self.bearer = "Authorization: Bearer " + \
            service.token()["access_token"]
        self.drive = service.graph_url + "/me/drive"

    def _run(self, *args):
        done = subprocess.run(["curl", "-q", "-sS", "--fail", *map(str, args)],
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-500:]
        return done.stdout

    def _timed(self, transfers, *options):
        """Runs config sections, one per transfer; seconds."""
        config = self.base / "curl.conf"
        config.write_text("\nnext\n".join(
            f'{t}\noutput = "/dev/null"\nfail\nsilent' for t in transfers))
        begin = time.monotonic()
        self._run("--no-progress-meter", *options, "-K", config)
        return time.monotonic() - begin

    def put_small(self, files):
        """One PUT per (name, path), whose folders are there; seconds."""
        return self._timed(
            [f'url = "{self.drive}/root:/{FOLDER}/{name}:/content"\n'
             f'header = "{self.bearer}"\nupload-file = "{path}"'
             for name, path in files],
            "-Z", "--parallel-immediate", "--parallel-max", PARALLEL)

    def put_big(self, name, path):
        """A session, one fragment after another on one connection; seconds."""
        answer = self._run(
            "-H", self.bearer, "-H", "Content-Type: application/json",
            "-d", "{}",
            f"{self.drive}/root:/{FOLDER}/{name}:/createUploadSession")
        url = json.loads(answer)["uploadUrl"]
        size = path.stat().st_size
        fragments = []
        with path.open("rb") as f:
            for off in range(0, size, FRAGMENT):
                part = self.base / f"part{off // FRAGMENT}"
                part.write_bytes(f.read(FRAGMENT))
                last = off + part.stat().st_size - 1
                fragments.append(
                    f'url = "{url}"\nupload-file = "{part}"\n'
                    f'header = "Content-Range: bytes {off}-{last}/{size}"\n'
                    'header = "Expect:"')
        spent = self._timed(fragments)
        for part in self.base.glob("part*"):
            part.unlink()
        return spent

    def get_big(self, name, size):
        """Parallel ranges of one download URL; seconds."""
        answer = self._run("-H", self.bearer,
                           f"{self.drive}/root:/{FOLDER}/{name}")
        url = json.loads(answer)["@microsoft.graph.downloadUrl"]
        return self._timed(
            [f'url = "{url}"\nrange = "{off}-{min(off + RANGE, size) - 1}"'
             for off in range(0, size, RANGE)],
            "-Z", "--parallel-immediate", "--parallel-max", RANGES)

    def read_pages(self):
        """A delta of the whole drive, page after page on one connection;
        seconds."""
        link = self.drive + "/root/delta?$top=1000"
        host = urllib.parse.urlsplit(link).netloc
        bearer = self.bearer.split(": ", 1)
        connection = http.client.HTTPSConnection(
            host, context=ssl.create_default_context())
        begin = time.monotonic()
        while link:
            at = urllib.parse.urlsplit(link)
            connection.request("GET", f"{at.path}?{at.query}",
                               headers=dict([bearer]))
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            link = json.loads(answer.read()).get("@odata.nextLink")
        connection.close()
        return time.monotonic() - begin
