"""HTTP/2 and TLS for graphd: Debian's nghttpx in front of it.

graphd speaks HTTP/1.1; this is how a test looks at it the other way. It sends
X-Forwarded-Proto, from which graphd knows how its links must begin."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time

import world

PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def why_not():
    return None if shutil.which("nghttpx", path=PATH) else \
        "nghttpx is not installed"


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Front:
    """front = Front(directory), then with front.to(port): front.url, front.ca

    The port is known first, for graphd's --content-url."""

    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.port = _free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca = self.base / "ca.pem"
        self.log = self.base / "nghttpx.log"
        self.process = None

    @contextlib.contextmanager
    def to(self, backend_port):
        """Forwards to graphd's port on this machine."""
        self.base.mkdir(parents=True, exist_ok=True)
        if not self.ca.exists():
            world.make_certificates(self.base, "127.0.0.1", "localhost")
        self.process = subprocess.Popen(
            [*world.DIES_WITH_US, shutil.which("nghttpx", path=PATH), "--conf=/dev/null",
             # One process: when it has ended, nobody has the port any more.
             "--single-process", "--workers=1", f"--frontend=127.0.0.1,{self.port}",
             f"--backend=127.0.0.1,{backend_port}",
             f"--errorlog-file={self.log}", "--accesslog-file=/dev/null",
             self.base / "server.key", self.base / "server.pem"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT)
        try:
            self._wait_listening()
            yield self
        finally:
            self.process.terminate()
            self.process.wait(10)

    def _wait_listening(self):
        end = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, "nghttpx does not listen"
                time.sleep(0.02)
