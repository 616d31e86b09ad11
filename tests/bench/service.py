"""graphd as Microsoft's hosts, inside a world (tests/interop/world.py).

All who are measured reach it alike: through TLS, under the service's names,
with a latency per request and two more of them per new connection."""

import contextlib
import time

import world
from kit import graphd as kit_graphd

HANDSHAKE = 2  # round trips of a new connection: TCP and TLS 1.3


class Service(kit_graphd.Graphd):
    """One graphd with an empty drive; `base` holds server.pem of the world."""

    def __init__(self, base, certificates, kind):
        super().__init__(base, kind)
        self.certificates = certificates
        self.port = 443

    def command(self):
        return [*super().command(), "--tolerant",
                "--listen", "127.0.0.1",
                "--content-url", f"https://{world.CONTENT}",
                "--tls", str(self.certificates / "server.pem"),
                str(self.certificates / "server.key")]

    def start(self):
        super().start()
        self.graph_url = f"https://{world.GRAPH}/v1.0"
        self.login_url = f"https://{world.LOGIN}"

    def slow_down(self, latency_ms):
        self.latency(latency_ms, connect=HANDSHAKE * latency_ms)

    def token(self):
        """Signed in without a code."""
        return self._post("token", {})

    def drive_id(self):
        return self._get("info")["drive_id"]

    def wait_items(self, count, timeout):
        self._wait(timeout, items=count)

    def upload_requests(self):
        """Requests that carry content up, so far."""
        seen = self.requests()
        return sum(seen.get(c, 0) for c in kit_graphd.UPLOADS)

    def count_items(self):
        return len(self._items())

    def settle(self, timeout, quiet_ms=300):
        """Waits until no request was under way for `quiet_ms`; returns how
        long ago the last one ended, in seconds."""
        self.wait_idle(quiet_ms, timeout)
        return quiet_ms / 1000

    def fill(self, folders, files_each, size, folder=kit_graphd.FOLDER):
        """A tree another device made: folders of equal files."""
        for d in range(folders):
            self._post("change", [
                {"op": "put", "path": self._path(f"d{d:03d}/f{f:03d}", folder),
                 "size": size, "seed": d * files_each + f}
                for f in range(files_each)])


@contextlib.contextmanager
def running(service):
    try:
        service.start()
        yield service
    finally:
        service.stop()


class Counter:
    """What a service saw between two moments."""

    def __init__(self, service):
        self.service = service
        self.start()

    def start(self):
        self._requests = self._count()
        self._down = self.service.bytes_down() if self.service else 0
        self._began = time.monotonic()

    def _count(self):
        """HTTP requests, parts of batches not counted by themselves."""
        return self.service.total_requests() if self.service else 0

    def requests(self):
        return self._count() - self._requests

    def bytes_down(self):
        return self.service.bytes_down() - self._down if self.service else 0

    def seconds(self):
        return time.monotonic() - self._began
