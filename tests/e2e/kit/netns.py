"""A network of its own for graphd and the program: it can be cut, and lose
everything without a word.

The mount stays in this mount namespace, so that a test reads it as ever."""

import concurrent.futures
import ctypes
import os
import subprocess

from . import graphd as kit_graphd

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def why_not():
    """Why there can be none on this machine, or None."""
    if os.geteuid() != 0:
        return "a network of its own needs root"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && tc qdisc add "
         "dev lo root tbf rate 8bit burst 10b limit 10b"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": _PATH})
    return f"no network of our own: {done.stderr.strip()[:100]}" \
        if done.returncode else None


class Network:
    def __enter__(self):
        self.process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c",
             "ip link set lo up && echo ready && exec cat >/dev/null"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PATH": _PATH})
        assert self.process.stdout.readline() == "ready\n"
        self.path = f"/proc/{self.process.pid}/ns/net"
        self.wrap = ["nsenter", f"--net={self.path}", "--"]
        self.inside = concurrent.futures.ThreadPoolExecutor(
            1, initializer=self._enter)
        return self

    def _enter(self):
        """A thread that lives there."""
        fd = os.open(self.path, os.O_RDONLY)
        assert _libc.setns(fd, _CLONE_NEWNET) == 0
        os.close(fd)

    def __exit__(self, *_):
        self.inside.shutdown()
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def _run(self, *command):
        subprocess.run([*self.wrap, *command], check=True,
                       env={**os.environ, "PATH": _PATH})

    def cut(self):
        """No interface: whoever sends is told so."""
        self._run("ip", "link", "set", "lo", "down")

    def mend(self):
        self._run("ip", "link", "set", "lo", "up")

    def mute(self):
        """Every packet is lost, and nobody is told."""
        self._run("tc", "qdisc", "replace", "dev", "lo", "root", "tbf",
                  "rate", "8bit", "burst", "10b", "limit", "10b")

    def unmute(self):
        self._run("tc", "qdisc", "del", "dev", "lo", "root")


class Graphd(kit_graphd.Graphd):
    """graphd in that network; a test asks it by a thread that is there too."""

    def __init__(self, network, *args, **kw):
        self.network = network
        super().__init__(*args, **kw)

    def command(self):
        return [*self.network.wrap, *super().command()]

    def _call(self, *args, **kw):
        return self.network.inside.submit(super()._call, *args, **kw).result()

    def assert_clean(self):
        """When the line breaks, we know before graphd does, and the request of
        before counts as being under way there still."""
        for stats in self._all_stats():
            stats["forbidden"] = [
                f for f in stats["forbidden"]
                if not f["rule"].startswith("5.2: one request at a time")]
            assert stats["auth_leaks"] == 0 and not stats["forbidden"], stats
