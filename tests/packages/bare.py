"""A Debian with nothing on it, in a directory, made by debootstrap.

It runs in namespaces of its own for mounts and processes: when its first
process is killed, all that ran and was mounted there is gone. It shares the
network, so graphd is where it always is."""

import fcntl
import os
import pathlib
import pty
import select
import shutil
import subprocess
import termios
import time

from kit import proc

MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Mounts what a machine has, says so, and stays.
FIRST = """
set -e
mount -t proc proc "$1/proc"
# As udev makes it; some machines give theirs to root alone.
mknod -m 666 "$1/dev/fuse" c 10 229
echo up
exec sleep infinity
"""


class Debian:
    def __init__(self, base):
        self.root = pathlib.Path(base) / "root"
        self.first = None
        self.pid = None

    def make(self):
        """From the archive; NMB_TEST_KEEP=1 keeps it for the next run."""
        kept = proc.ROOT / "build/test" / f"{SUITE}.tar"
        keep = bool(os.environ.get("NMB_TEST_KEEP"))
        if keep and kept.exists():
            self.root.mkdir()
            subprocess.run(["tar", "-C", self.root, "-xf", kept], check=True)
            return
        self._bootstrap()
        if keep:
            kept.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["tar", "-C", self.root, "-cf", kept, "."],
                           check=True)

    def _bootstrap(self):
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, self.root, MIRROR],
            env={**os.environ, "PATH": PATH}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
            timeout=proc.patience(900))
        assert done.returncode == 0, done.stdout[-3000:]
        (self.root / "etc/apt/sources.list").write_text(
            f"deb {MIRROR} {SUITE} main\n"
            f"deb {MIRROR} {SUITE}-updates main\n"
            f"deb {MIRROR}-security {SUITE}-security main\n")
        for proxy in pathlib.Path("/etc/apt/apt.conf.d").glob("*proxy*"):
            shutil.copy(proxy, self.root / "etc/apt/apt.conf.d")
        (self.root / "etc/mtab").symlink_to("../proc/self/mounts")
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        shutil.copy("/etc/hosts", self.root / "etc/hosts")

    def __enter__(self):
        self.first = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child",
             "--propagation", "private", "sh", "-c", FIRST, "sh",
             str(self.root)], stdout=subprocess.PIPE,
            preexec_fn=proc.die_with_parent)
        assert self.first.stdout.readline() == b"up\n"
        (self.pid,) = proc.children(self.first.pid)
        return self

    def __exit__(self, *_):
        self.first.kill()
        self.first.wait()
        self.first.stdout.close()
        proc.wait_until(lambda: not proc.is_alive(self.pid), 20, "its end")

    def remove(self):
        assert not proc.mounts_below(self.root)
        shutil.rmtree(self.root, ignore_errors=True)

    def command(self, text, user="root"):
        home = "/root" if user == "root" else f"/home/{user}"
        who = [] if user == "root" else [f"--userspec={user}:{user}"]
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid",
                "chroot", *who, str(self.root), "/usr/bin/env", "-i",
                f"PATH={PATH}", f"HOME={home}", f"USER={user}", "LANG=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive", "sh", "-c",
                f"cd {home} && {{ {text}\n}}"]

    def run(self, text, user="root", check=0, timeout=300):
        """What a shell there says to `text`."""
        done = subprocess.run(self.command(text, user), text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, errors="replace",
                              timeout=proc.patience(timeout))
        assert done.returncode == check, \
            f"$ {text}\n{done.stdout[-4000:]}\n-> {done.returncode}"
        return done.stdout

    def at_terminal(self, text, answer, user, timeout=60):
        """The same with a terminal, and a person at it: answer(said so far)
        gives what is typed next, or None."""
        ours, theirs = pty.openpty()

        def own_it():
            proc.die_with_parent()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        shell = subprocess.Popen(self.command(text, user), stdin=theirs,
                                 stdout=theirs, stderr=theirs,
                                 start_new_session=True, preexec_fn=own_it)
        os.close(theirs)
        said, asked = "", 0
        deadline = time.monotonic() + proc.patience(timeout)
        try:
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        said += os.read(ours, 65536).decode(errors="replace")
                    except OSError:  # nobody has the terminal any more
                        break
                elif shell.poll() is not None:
                    break
                typed = answer(said[asked:])
                if typed is not None:
                    asked = len(said)
                    os.write(ours, typed.encode() + b"\n")
            rc = shell.wait(proc.patience(10))
        finally:
            if shell.poll() is None:
                shell.kill()
                shell.wait()
            os.close(ours)
        assert rc == 0, f"$ {text}\n{said[-4000:]}\n-> {rc}"
        return said
