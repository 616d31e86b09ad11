"""Goal: no secret of a run is anywhere but where it belongs.

Signed in, mounted, files up and down, the token refreshed, at log level debug:
then every token, code, URL credential and passphrase is looked for in the log,
in arguments and environment of every process, in what was printed, and on the
disk outside of the keystore and the state directory."""

import os
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from kit import proc, program
from kit.secrets import Secrets, Watch

pytestmark = pytest.mark.configs("personal", "work")

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
def private(tapped, machine, config):
    """With the secrets in a sealed file; those of a vault where we can read
    them too."""
    phrase = machine.base / "phrase"
    phrase.write_text(PASS)
    if "vault" not in config:
        machine.env["NMBACKUPFS_KEYSTORE"] = "sealed"
    machine.env["NMBACKUPFS_PASSPHRASE_COMMAND"] = f"cat '{phrase}'"
    return machine


def use(machine, graphd):
    """What a day brings; returns what was printed, and xattrs."""
    printed = [machine.sign_in()]
    large = os.urandom(6_000_000)
    mnt = machine.mount()
    (mnt / "small").write_bytes(b"1" * 1000)
    (mnt / "large").write_bytes(large)
    machine.flush()
    graphd.login(expire_access=True)
    (mnt / "later").write_bytes(b"2")
    machine.flush()
    mnt.unmount()
    machine.wipe()
    mnt = machine.mount()
    assert (mnt / "large").read_bytes() == large
    printed += [machine.run("status", check=0),
                machine.run("status", "--json", mnt / "large", check=0)]
    names = os.listxattr(mnt / "large")
    values = b"\n".join(os.getxattr(mnt / "large", n) for n in names)
    mnt.unmount()
    printed += [machine.run("get", "large", "-o", machine.base / "copy"),
                machine.run("put", machine.base / "phrase", "--as", "again"),
                machine.run("keystore", check=0),
                machine.run("-f", machine.base / "nowhere")]
    return values + "".join(p.stdout + p.stderr for p in printed).encode()


def leave(machine, graphd):
    """Signs out; and in again, which is declined."""
    printed = [machine.run("logout", check=0)]
    graphd.login(mode="decline")
    printed.append(machine.run("auth"))
    return "".join(p.stdout + p.stderr for p in printed).encode()


def files_outside(machine, *places):
    for folder, _, names in os.walk(machine.home):
        if any(pathlib.Path(folder).is_relative_to(p) for p in places):
            continue
        for name in names:
            path = pathlib.Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


@pytest.mark.configs("personal", "work", "personal-vault")
def test_nothing_leaks(private, graphd, tapped, config):
    secrets = Secrets()
    secrets.add(PASS, "passphrase")
    wanted = {"passphrase", "token", "URL"}
    keys = private.config / "nmbackupfs/default.keys"
    watch = Watch()
    printed = use(private, graphd)
    if "vault" in config:
        secrets.add_vault(graphd, keys / "identity", private.recovery_key)
        wanted |= {"identity", "recovery", "vault key"}
        private.run("keystore", "move", "sealed",
                    env={"NMBACKUPFS_KEYSTORE": ""}, check=0)
        private.env["NMBACKUPFS_KEYSTORE"] = "sealed"
        private.mount().unmount()
    printed += leave(private, graphd)
    seen = watch.end()
    secrets.add_tap(tapped)
    assert secrets.kinds() == wanted
    assert len(secrets.found) >= 10
    log = private.log.read_bytes()
    assert b"debug: http " in log
    assert secrets.in_bytes(log) == []
    assert secrets.in_bytes(printed) == []
    assert any(str(program.BINARY).encode() in data for data in seen)
    assert [where for data, where in seen.items()
            if secrets.in_bytes(data)] == []
    assert [p for p in files_outside(private, private.state)
            if secrets.in_bytes(p.read_bytes())] == []


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
        process.wait(proc.patience(20))
    finally:
        proc.stop(process)
        proc.unmount_all(base / "mnt")
    assert not [p for p in base.rglob("core*") if p.is_file()]


@pytest.mark.configs("personal")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_nobody_looks_in(signed_in, mnt):
    """Not even the same user (test_user.py runs this as one); but for
    LeakSanitizer."""
    sealed = "address" not in program.BINARY.parent.name
    for what in ("environ", "maps", "mem", "fd") if sealed else ():
        with pytest.raises(PermissionError):
            path = f"/proc/{mnt.process.pid}/{what}"
            os.listdir(path) if what == "fd" else open(path, "rb")
