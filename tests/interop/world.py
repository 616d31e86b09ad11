"""A world in which graphd is the real service.

Clients that nobody here wrote have Microsoft's host names compiled in. So
they run in a network of their own, where those names are this machine and the
only certificate authority is one made for the test; nothing of it can reach
the real hosts, and nothing outside is touched."""

import os
import pathlib
import shutil
import subprocess

BUNDLE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
GRAPH = "graph.microsoft.com"
LOGIN = "login.microsoftonline.com"
# Pre-authenticated URLs lie on a host of their own, as with the service.
CONTENT = "my.microsoftpersonalcontent.com"

_TOOLS = ("unshare", "nsenter", "setpriv", "ip", "mount", "openssl", "curl")

# In front of a server: it does not outlive a test run that is killed.
DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM")

# Ends when its standard input does: also if the test run is killed.
# Mounts of other tests are copied into the new namespace, where they would keep
# the program alive after its unmount: they go here at once.
_SETUP = """
umount -l -a -t fuse.nmbackupfs 2>/dev/null
set -e
ip link set lo up
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/ca.pem" "$2"
echo ready
exec cat >/dev/null
"""


def _unshare():
    """The command that begins a world; not root: root of its own users."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--mount", "--net", "--propagation", "slave"]


def why_not():
    """Why there can be no world on this machine, or None."""
    for tool in _TOOLS:
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"{tool} is not installed"
    if not BUNDLE.exists():
        return f"no {BUNDLE}"
    script = "ip link set lo up && mount --bind /etc/hosts /etc/hosts"
    tried = subprocess.run([*_unshare(), "sh", "-c", script],
                           capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return "namespaces are not permitted: " + tried.stderr.strip()[:120]
    return None


def make_certificates(base, *names):
    """ca.pem, and server.pem with server.key for `names`, in `base`."""
    base = pathlib.Path(base)
    alt = ",".join(f"IP:{n}" if n[0].isdigit() else f"DNS:{n}" for n in names)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=base, check=True,
                       capture_output=True, text=True)

    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=made for one test",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=" + names[0])
    (base / "server.ext").write_text(
        f"subjectAltName={alt}\nextendedKeyUsage=serverAuth\n"
        "basicConstraints=critical,CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey",
            "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
            "server.ext", "-out", "server.pem")


class World:
    """with World(base) as world: world.run([...])"""

    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.process = None

    def __enter__(self):
        self.base.mkdir(parents=True, exist_ok=True)
        make_certificates(self.base, GRAPH, LOGIN, CONTENT, "localhost",
                          "127.0.0.1")
        (self.base / "hosts").write_text(
            f"127.0.0.1 localhost {GRAPH} {LOGIN} {CONTENT}\n")
        self.process = subprocess.Popen(
            [*_unshare(), "sh", "-c", _SETUP, "world", self.base, BUNDLE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def command(self, command):
        """`command` as one that runs inside."""
        users = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.process.pid), *users,
                "--mount", "--net", f"--wd={os.getcwd()}", "--",
                *DIES_WITH_US, *map(str, command)]

    def popen(self, command, **kw):
        return subprocess.Popen(self.command(command), **kw)

    def run(self, command, **kw):
        kw.setdefault("timeout", 100)
        return subprocess.run(self.command(command), capture_output=True,
                              text=True, errors="replace", check=False, **kw)
