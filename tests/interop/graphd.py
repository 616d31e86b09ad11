"""graphd inside a world, as Microsoft's hosts on port 443."""

import json
import os
import pathlib
import subprocess

import world

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("NMB_TEST_GRAPHD")
                      or ROOT / "build/gcc/graphd").resolve()


def why_not():
    return None if BINARY.exists() else f"{BINARY} is not built"


class Graphd:
    """with Graphd(world, kind) as graphd: kind as graphd's --kind takes it."""

    def __init__(self, inside, kind, *options):
        self.world = inside
        self.kind = kind
        self.options = options
        self.log = inside.base / "graphd.log"
        self.process = None

    def __enter__(self):
        base = self.world.base
        with self.log.open("wb") as log:
            self.process = self.world.popen(
                [BINARY, "--kind", self.kind, "--port", "443",
                 "--tls", base / "server.pem", base / "server.key",
                 "--content-url", f"https://{world.CONTENT}",
                 "--quota", 5 * 2**30, *self.options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout.readline(), self.log.read_text()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def control(self, page, body=None):
        """One call of the control interface (control.h); the answer's JSON."""
        send = [] if body is None else ["-d", json.dumps(body)]
        done = self.world.run(["curl", "-sS", "--fail-with-body", *send,
                               f"https://{world.GRAPH}/graphd/{page}"])
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout or "null")

    def token(self):
        """Signed in without a code: access_token and refresh_token."""
        return self.control("token", {})

    def drive_id(self):
        return self.control("info")["drive_id"]

    def items(self):
        """Path -> what graphd itself says of it."""
        return {i["path"]: i for i in self.control("dump")["items"]}

    def assert_no_leaks(self):
        assert self.control("stats")["auth_leaks"] == 0
