"""Goal: no secret of a run is anywhere but where it belongs.

Signed in, mounted, files up and down, the token refreshed, at log level debug:
then every token, code, URL credential and passphrase is looked for in the log,
in arguments and environment of every process, in what was printed, and on the
disk outside of the keystore and the state directory."""

import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import stat
import subprocess

import pytest

from kit import proc, program
from kit.marks import needs_root
from kit.secrets import Secrets, Watch

pytestmark = pytest.mark.configs("personal", "work")

# LeakSanitizer looks into the process (fs/process.c).
NOT_DUMPABLE = "address" not in program.BINARY.parent.name
PASS = "a phrase of the test, 4 words"


@pytest.fixture
def tapped(graphd, base):
    """graphd, started anew; returns the file it writes to."""
    tap = base / "tap"
    command = graphd.command
    graphd.command = lambda: [*command(), "--tap", str(tap)]
    graphd.stop()
    graphd.start()
    return tap


@pytest.fixture
def private(tapped, machine):
    """With the sign-in in a sealed file."""
    phrase = machine.base / "phrase"
    phrase.write_text(PASS)
    machine.env.update(NMBACKUPFS_KEYSTORE="sealed",
                       NMBACKUPFS_PASSPHRASE_COMMAND=f"cat '{phrase}'")
    return machine


def use(machine, graphd):
    """What a day brings: returns what the commands printed."""
    printed = [machine.sign_in()]
    mnt = machine.mount()
    (mnt / "small").write_bytes(b"1" * 1000)
    (mnt / "large").write_bytes(os.urandom(6_000_000))
    graphd.wait_upload()
    machine.flush()
    graphd.login(expire_access=True)
    (mnt / "later").write_bytes(b"2")
    machine.flush()
    graphd.put("theirs", b"3" * 3_000_000)
    proc.wait_until(lambda: (mnt / "theirs").exists(), 20, "theirs")
    assert (mnt / "theirs").read_bytes() == b"3" * 3_000_000
    printed += [machine.run("status", check=0),
                machine.run("status", "--json", mnt / "large", check=0)]
    names = os.listxattr(mnt / "large")
    values = b"\n".join(os.getxattr(mnt / "large", n) for n in names)
    mnt.unmount()
    printed += [machine.run("get", "large", "-o", machine.base / "copy",
                            check=0),
                machine.run("put", machine.base / "copy", "--as", "again",
                            check=0),
                machine.run("keystore", check=0),
                machine.run("-f", machine.base / "nowhere"),
                machine.run("logout", check=0)]
    graphd.login(mode="decline")
    printed.append(machine.run("auth"))
    return values + "".join(p.stdout + p.stderr for p in printed).encode()


def files_outside(machine, *places):
    for folder, _, names in os.walk(machine.home):
        if any(pathlib.Path(folder).is_relative_to(p) for p in places):
            continue
        for name in names:
            path = pathlib.Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def test_nothing_leaks(private, graphd, tapped):
    watch = Watch()
    printed = use(private, graphd)
    seen = watch.end()
    secrets = Secrets()
    secrets.add(PASS, "passphrase")
    secrets.add_tap(tapped)
    assert secrets.kinds() == {"passphrase", "token", "URL"}
    assert len(secrets.found) >= 10
    log = private.log.read_bytes()
    assert b"debug: http " in log
    assert secrets.in_bytes(log) == []
    assert secrets.in_bytes(printed) == []
    assert any(str(program.BINARY).encode() in data for data in seen)
    assert [where for data, where in seen.items()
            if secrets.in_bytes(data)] == []
    holders = [p for p in files_outside(private, private.state)
               if secrets.in_bytes(p.read_bytes())]
    assert holders == []


def test_the_search_finds(private, graphd, tapped):
    """What test_nothing_leaks rests on: a secret that is there is found."""
    watch = Watch()
    private.sign_in()
    secrets = Secrets()
    secrets.add_tap(tapped)
    token = max(secrets.found, key=len).decode()
    child = subprocess.Popen(["sh", "-c", "read x; : \"$0\"", token],
                             stdin=subprocess.PIPE)
    proc.wait_until(lambda: any(token.encode() in d for d in watch.seen),
                    20, "the argument")
    child.communicate(b"\n")
    watch.end()
    assert secrets.in_bytes(b"x" + token.encode() + b"y") == ["token"]


@pytest.mark.configs("personal")
def test_no_core(signed_in, base):
    """A crash leaves no memory behind, whatever the shell allows."""
    (base / "cwd").mkdir()
    (base / "mnt").mkdir()

    def allow():
        proc.die_with_parent()
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    command = signed_in.command("-f", base / "mnt")
    with signed_in.log.open("ab") as log:
        process = subprocess.Popen(command, env=signed_in.env, cwd=base / "cwd",
                                   stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, preexec_fn=allow)
    try:
        proc.wait_until(lambda: proc.mounts_below(base / "mnt"), 20, "a mount")
        limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
    finally:
        proc.stop(process)
        proc.unmount_all(base / "mnt")
    assert not [p for p in base.rglob("core*") if p.is_file()]


# ---- as somebody who is not root ---------------------------------------------

USER = pwd.getpwnam("nobody").pw_uid  # fusermount3 wants a name
# /dev/fuse for everybody, as udev makes it; in a mount namespace of its own.
HOLD = """
mount -t tmpfs none "$0" && mknod -m 666 "$0/fuse" c 10 229 &&
mount --bind "$0/fuse" /dev/fuse && echo ready && read x
"""


class User:
    """Somebody without rights, in a mount namespace of theirs."""

    def __init__(self, base):
        folder = base / "dev"
        folder.mkdir()
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", HOLD, folder], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, preexec_fn=proc.die_with_parent)
        if self.holder.stdout.readline() != "ready\n":
            self.end()
            pytest.skip("no mount namespace with a /dev/fuse for everybody")

    def command(self, *command):
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt",
                "--wdns=/", "setpriv", f"--reuid={USER}", f"--regid={USER}",
                "--clear-groups", *map(str, command)]

    def run(self, *command):
        return subprocess.run(self.command(*command), capture_output=True,
                              timeout=60, check=False)

    def end(self):
        self.holder.communicate()


@pytest.fixture
def user(machine, base):
    helper = shutil.which("fusermount3")
    if not helper or not os.stat(helper).st_mode & stat.S_ISUID:
        pytest.skip("fusermount3 is not setuid")
    for folder, _, _ in os.walk(machine.home):
        os.chown(folder, USER, USER)
    for parent in (base, *base.parents):
        mode = os.stat(parent).st_mode
        if parent.owner() == "root" and not mode & 0o001:
            os.chmod(parent, mode | 0o001)
    somebody = User(base)
    plain = machine.command
    machine.command = lambda *args: somebody.command(*plain(*args))
    yield somebody
    somebody.end()


@needs_root
@pytest.mark.configs("personal")
def test_not_root(machine, user, graphd):
    """Not dumpable, /proc/self is root's: all of it works all the same."""
    machine.sign_in()
    mnt = machine.home / "mnt"
    mnt.mkdir()
    os.chown(mnt, USER, USER)
    machine.run(mnt, check=0)  # a daemon
    try:
        pid = machine.status()["pid"]
        done = user.run("sh", "-c", f"umask 022; printf abc > '{mnt}/one'")
        assert done.returncode == 0, done.stderr
        machine.flush()
        assert graphd.read("one") == b"abc"
        graphd.login(expire_access=True)
        done = user.run("cp", mnt / "one", mnt / "two")
        assert done.returncode == 0, done.stderr
        machine.flush()
        assert graphd.read("two") == b"abc"
        for what in ("environ", "maps", "fd/0") if NOT_DUMPABLE else ():
            assert user.run("cat", f"/proc/{pid}/{what}").returncode != 0
        machine.run("get", "two", "-o", machine.home / "copy", check=0)
        assert (machine.home / "copy").stat().st_uid == USER
    finally:
        machine.run("umount", mnt, check=0)
