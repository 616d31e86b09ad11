"""Goal: starting, refusing to start, and ending, from a script's view.

Exit statuses, messages, the daemon, fstab's way, options from file,
environment and flag, a second instance, a dead mount, secrets on disk."""

import json
import os
import pty
import re
import signal
import stat
import subprocess
import time

import pytest

from kit import proc, program
from kit.marks import needs_root
from kit.program import BUSY, SIGN_IN, USAGE

pytestmark = pytest.mark.configs("personal")



def test_version_and_help(machine):
    version = machine.run("--version", check=0)
    assert re.match(r"nmbackupfs \d+\.\d+\.\d+", version.stdout)
    overall = machine.run("--help", check=0).stdout
    for command in ("auth", "logout", "status", "flush", "umount", "put", "get"):
        assert re.search(rf"\b{command}\b", overall), command
        text = machine.run(command, "--help", check=0).stdout
        assert command in text and "usage" in text.lower()
    for option in ("--folder", "--profile", "--read-only", "--plain",
                   "--cache-size", "--write-back-delay", "--poll-interval",
                   "--bwlimit-up", "--bwlimit-down"):
        assert option in overall, option
    for status in ("2", "3"):
        assert re.search(rf"^ *{status}\b", overall, re.M), \
            "exit statuses are listed"


def test_wrong_usage(machine):
    for args in ([], ["--no-such-option", "x"], ["flush", "--no-such"],
                 ["--cache-size", "lots", machine.base],
                 ["--poll-interval", "-3", machine.base]):
        done = machine.run(*args)
        assert done.returncode == USAGE, args
        assert done.stderr.startswith("nmbackupfs") or \
            "usage" in done.stderr.lower() or \
            "option" in done.stderr, args
        assert done.stdout == ""


def test_no_client_id(machine, base):
    done = machine.run("-f", base, env={"NMBACKUPFS_CLIENT_ID": ""})
    assert done.returncode == USAGE
    assert "client" in done.stderr.lower() and "regist" in done.stderr.lower()
    assert 3 <= len(done.stderr.strip().splitlines()) <= 8


def test_no_token_without_a_terminal(machine, base):
    (base / "empty").mkdir()
    done = machine.run("-f", base / "empty")
    assert done.returncode == SIGN_IN
    assert "nmbackupfs auth" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for command in (("put", __file__), ("get", "x")):
        done = machine.run(*command)
        assert done.returncode == SIGN_IN
        assert ("No token available; please run `nmbackupfs auth` first"
                in done.stderr)


def test_mount_point_must_be_there(signed_in, base):
    done = signed_in.run("-f", base / "nowhere")
    assert done.returncode not in (0, SIGN_IN)
    assert str(base / "nowhere") in done.stderr
    assert f"mkdir -p '{base / 'nowhere'}'" in done.stderr
    (base / "a file").touch()
    assert signed_in.run("-f", base / "a file").returncode != 0
    done = signed_in.run("statsu", cwd=base)
    assert done.returncode not in (0, SIGN_IN)
    assert "no command" in done.stderr and "--help" in done.stderr


def test_mount_point_that_is_not_empty(signed_in, base):
    """Copied here while nothing was mounted: it is said, and it stays."""
    for name in ("one", "two"):
        (base / "mnt" / name).mkdir(parents=True)
    mnt = signed_in.mount()
    mnt.wait_listed()
    assert "2 names in it are hidden" in signed_in.log.read_text()
    assert os.listdir(mnt.path) == []
    mnt.unmount()
    assert sorted(os.listdir(base / "mnt")) == ["one", "two"]


def test_first_mount_signs_in_on_a_terminal(machine, graphd, base):
    """No token, but a person: the code first, then the mount."""
    graphd.login(mode="approve", after_polls=2, interval_s=0)
    (base / "mnt").mkdir()
    master, slave = pty.openpty()
    process = machine.popen("-f", base / "mnt", stdin=slave, stdout=slave,
                            stderr=slave)
    os.close(slave)
    try:
        seen = b""
        while b"devicelogin" not in seen:
            seen += os.read(master, 4096)
        proc.wait_until(lambda: proc.mounts_below(base / "mnt"), 20, "mount")
        (base / "mnt/x").write_bytes(b"works")
        machine.flush()
        assert graphd.read("x") == b"works"
    finally:
        proc.unmount_all(base / "mnt")
        proc.stop(process)
        os.close(master)


def daemon_of(machine):
    return [p for p in proc.children()
            if str(program.BINARY) in proc.command_of(p)]


def end_daemons(machine, base):
    proc.unmount_all(base / "mnt")
    for pid in daemon_of(machine):
        for _ in range(500):
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
            time.sleep(0.02)


def test_daemon(signed_in, base):
    """Returns when the mount is usable, holds no terminal, ends on unmount."""
    (base / "mnt").mkdir()
    signed_in.run(base / "mnt", check=0)
    (base / "mnt/x").write_bytes(b"1")
    [pid] = daemon_of(signed_in)
    assert os.getsid(pid) != os.getsid(0)
    # Of a process that leaves no core file /proc shows others nothing.
    if os.geteuid() == 0:
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        for fd in (0, 1, 2):
            assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null" or \
                "socket" in os.readlink(f"/proc/{pid}/fd/{fd}")
    signed_in.run("umount", base / "mnt", check=0)
    assert not proc.mounts_below(base / "mnt")
    proc.wait_until(lambda: not proc.is_alive(pid), 20, "the end")
    os.waitpid(pid, 0)


@needs_root
def test_from_fstab(signed_in, base, tmp_path):
    """`mount -t fuse.nmbackupfs` finds the program and passes its options."""
    (base / "mnt").mkdir()
    helper = subprocess.run(["sh", "-c", "command -v mount.fuse3 "
                             "/sbin/mount.fuse3 /usr/sbin/mount.fuse3"],
                            capture_output=True, text=True, check=False)
    if not helper.stdout.strip():
        pytest.skip("mount.fuse3 is not installed")
    # What mount(8) runs for: nmbackupfs# MNT fuse.nmbackupfs OPTIONS 0 0
    done = subprocess.run(
        [helper.stdout.split()[0], f"{program.BINARY}#", base / "mnt", "-o",
         "rw,nosuid,nodev,folder=from-fstab,cache_size=1G"],
        env=signed_in.env, capture_output=True, text=True,
        timeout=proc.patience(30), check=False)
    try:
        assert done.returncode == 0, done.stderr
        (base / "mnt/x").write_bytes(b"1")
        signed_in.flush()
        assert signed_in.graphd.read("x", folder="from-fstab") == b"1"
    finally:
        end_daemons(signed_in, base)


def test_option_from_file_environment_flag(signed_in, graphd):
    """The same name in all three; flag before environment before file."""
    config = signed_in.config / "nmbackupfs/config"
    config.parent.mkdir(exist_ok=True, mode=0o700)
    config.write_text("# a comment\nfolder = from file\n")

    def folder_used(*options, env=None):
        mnt = signed_in.mount(*options, env=env)
        (mnt / "probe").write_bytes(b"x")
        signed_in.flush()
        mnt.unmount()
        found = [f for f in ("from file", "from env", "from flag")
                 if graphd.item("probe", folder=f, missing_ok=True)]
        for f in found:
            graphd.delete("probe", folder=f)
        signed_in.wipe()
        return found

    assert folder_used() == ["from file"]
    env = {"NMBACKUPFS_FOLDER": "from env"}
    assert folder_used(env=env) == ["from env"]
    assert folder_used("--folder", "from flag", env=env) == ["from flag"]


def test_unknown_config_key_is_named(signed_in, base):
    config = signed_in.config / "nmbackupfs/config"
    config.parent.mkdir(exist_ok=True, mode=0o700)
    config.write_text("floder = x\n")
    done = signed_in.run("-f", base)
    assert done.returncode == USAGE and "floder" in done.stderr


def test_second_instance_names_the_first(signed_in, mnt, base):
    (base / "other").mkdir()
    done = signed_in.run("-f", base / "other")
    assert done.returncode == BUSY
    assert str(mnt.path) in done.stderr or str(mnt.process.pid) in done.stderr
    (mnt / "still").write_bytes(b"works")


@pytest.mark.plain("two profiles would want one key file")
def test_profiles_live_side_by_side(signed_in, graphd, mnt):
    """Another profile has its own state and sign-in."""
    graphd.login(mode="approve", interval_s=0)
    signed_in.run("--profile", "other", "auth", check=0)
    other = signed_in.mount("--profile", "other", "--folder", "second",
                            name="mnt2")
    (other / "x").write_bytes(b"2")
    (mnt / "x").write_bytes(b"1")
    signed_in.flush()
    signed_in.run("--profile", "other", "flush", check=0)
    assert graphd.read("x") == b"1"
    assert graphd.read("x", folder="second") == b"2"


def test_remount_over_a_dead_mount(signed_in, mnt):
    (mnt / "x").write_bytes(b"1")
    mnt.kill()
    with pytest.raises(OSError):
        os.listdir(mnt.path)
    again = signed_in.mount()
    assert (again / "x").read_bytes() == b"1"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_in_order(signed_in, mnt, sig):
    (mnt / "x").write_bytes(b"1")
    mnt.process.send_signal(sig)
    assert mnt.wait(20) in (0, 128 + sig)
    assert not proc.mounts_below(mnt.path)
    again = signed_in.mount()
    assert (again / "x").read_bytes() == b"1"


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_busy_mount(signed_in, mnt, sig):
    """Somebody has a file open, works in a directory of it, does nothing."""
    (mnt / "x").write_bytes(b"1")
    holder = subprocess.Popen(["sh", "-c", "exec sleep 60 < x"], cwd=mnt.path)
    try:
        proc.wait_until(lambda: os.readlink(f"/proc/{holder.pid}/fd/0")
                        .endswith("/x"))
        began = time.monotonic()
        mnt.process.send_signal(sig)
        assert mnt.wait(20) in (0, 128 + sig)
        assert time.monotonic() - began < proc.patience(10)
        assert not proc.mounts_below(mnt.path)
    finally:
        holder.kill()
        holder.wait()


def token_values(machine):
    """What looks like a token in the keystore."""
    found = set()
    for path in machine.config.rglob("*"):
        if path.is_file():
            found |= set(re.findall(rb"[A-Za-z0-9._~+/=-]{40,}",
                                    path.read_bytes()))
    return found


@pytest.mark.plain("test_secrets.py knows a vault's keys")
def test_nothing_secret_leaks(signed_in, mnt, graphd):
    """Tokens only in the keystore, 0600; not in logs, arguments or state."""
    (mnt / "x").write_bytes(b"1" * 5_000_000)
    signed_in.flush()
    secrets = token_values(signed_in)
    assert len(secrets) >= 2
    holders = []
    for folder, _, names in os.walk(signed_in.home):
        info = os.lstat(folder)
        if "nmbackupfs" in folder:
            assert stat.S_IMODE(info.st_mode) & 0o077 == 0, folder
        for name in names:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            assert stat.S_IMODE(info.st_mode) & 0o077 == 0, path
            data = open(path, "rb").read()
            if any(s in data for s in secrets):
                holders.append(path)
    assert all(p.startswith(str(signed_in.config)) for p in holders), holders
    assert len(holders) <= 1
    log = signed_in.log.read_bytes()
    assert not [s for s in secrets if s in log]
    assert b"tempauth=" not in log and b"Bearer " not in log
    with open(f"/proc/{mnt.process.pid}/cmdline", "rb") as f:
        assert not [s for s in secrets if s in f.read()]
    limits = open(f"/proc/{mnt.process.pid}/limits").read()
    core = re.search(r"Max core file size\s+(\d+|unlimited)", limits).group(1)
    dumpable = os.stat(f"/proc/{mnt.process.pid}/mem").st_uid
    assert core == "0" or dumpable != os.getuid() or os.getuid() == 0


def test_state_is_where_the_documents_say(signed_in, mnt):
    (mnt / "x").write_bytes(b"1")
    state = signed_in.state / "nmbackupfs/default"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for name in ("state.db", "content", "lock", "control"):
        assert (state / name).exists(), name


def test_status_json(signed_in, mnt, graphd):
    (mnt / "x").write_bytes(b"1" * 1000)
    signed_in.flush()
    status = signed_in.status()
    wanted = {"state": str, "pending_files": int, "pending_bytes": int,
              "blocked": list, "uploaded_files": int, "cached_bytes": int}
    for key, kind in wanted.items():
        assert isinstance(status[key], kind), key
    for key in ("uploading", "quota", "throttled_until", "last_error",
                "last_sync"):
        assert key in status, key
    assert status["state"] == "idle" and status["pending_files"] == 0
    assert status["uploaded_files"] == 1 and status["cached_bytes"] >= 1000
    text = signed_in.run("status", check=0).stdout
    assert "idle" in text
    one = json.loads(signed_in.run("status", "--json", mnt / "x").stdout)
    assert one


def test_status_without_a_mount(signed_in):
    done = signed_in.run("status", "--json")
    assert done.returncode != 0 or json.loads(done.stdout)
    assert "Traceback" not in done.stderr and len(done.stderr) < 500
