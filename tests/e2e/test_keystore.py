"""Goal: the sign-in rests where the user wants it, and is found there again.

A sealed file under a passphrase, an external command, the desktop's keyring;
what is chosen when nobody says; a place that is gone is an error, never an
empty store."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from kit import keyring, proc
from kit.program import BUSY, FAILED, USAGE

pytestmark = pytest.mark.configs("personal")

NO_TERMINAL = 9
PASS = "Xk3-passphrase of the test"


def place(machine, env=None):
    return machine.run("keystore", check=0, env=env).stdout.strip()


def copy_in_and_refresh(machine, graphd, name):
    """Needs the sign-in, and stores a new one."""
    before = graphd.login_stats()["refreshes"]
    graphd.login(expire_access=True)
    (machine.base / "mnt" / name).write_bytes(b"x")
    machine.flush()
    assert graphd.read(name) == b"x"
    assert graphd.login_stats()["refreshes"] > before


# ---- sealed ------------------------------------------------------------------

@pytest.fixture
def sealed(machine):
    phrase = machine.base / "phrase"
    phrase.write_text(PASS + "\n")
    phrase.chmod(0o600)
    machine.env.update(NMBACKUPFS_KEYSTORE="sealed",
                       NMBACKUPFS_PASSPHRASE_COMMAND=f"cat '{phrase}'")
    machine.sign_in()
    return machine


def sealed_file(machine):
    [found] = [p for p in machine.config.rglob("*") if p.is_file()]
    assert found.name == "secrets.sealed"
    assert found.stat().st_mode & 0o777 == 0o600
    return found


def test_sealed(sealed, graphd):
    before = sealed_file(sealed).read_bytes()
    assert b"refresh" not in before and PASS.encode() not in before
    mnt = sealed.mount()
    copy_in_and_refresh(sealed, graphd, "one")
    assert sealed_file(sealed).read_bytes() != before
    mnt.unmount()
    # Found without being named.
    sealed.mount(env={"NMBACKUPFS_KEYSTORE": ""})
    copy_in_and_refresh(sealed, graphd, "two")
    assert place(sealed) == "sealed"


def test_wrong_passphrase(sealed, base):
    before = sealed_file(sealed).read_bytes()
    (base / "empty").mkdir()
    for line, status, says in (("echo wrong", FAILED, "wrong passphrase"),
                               ("exit 3", USAGE, "exit status 3"),
                               ("", NO_TERMINAL, "passphrase_command")):
        done = sealed.run("-f", base / "empty",
                          env={"NMBACKUPFS_PASSPHRASE_COMMAND": line})
        assert done.returncode == status
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert sealed_file(sealed).read_bytes() == before


def test_damaged_sealed_file(sealed, base):
    path = sealed_file(sealed)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    done = sealed.run("-f", base)
    assert done.returncode != 0 and "damaged" in done.stderr
    path.write_bytes(good)
    sealed.mount()


def read_until(fd, text, timeout=30):
    shown, end = "", time.monotonic() + timeout
    while text not in shown:
        ready, _, _ = select.select([fd], [], [], end - time.monotonic())
        assert ready, f"no {text!r} in {shown!r}"
        shown += os.read(fd, 1000).decode(errors="replace")
    return shown


def test_asked_once_then_in_the_background(sealed, graphd, base):
    """At the terminal: one question, one wrong answer, then a daemon."""
    master, slave = pty.openpty()
    (base / "mnt").mkdir()
    process = sealed.popen(base / "mnt", stdin=slave, stdout=slave,
                           stderr=slave,
                           env={"NMBACKUPFS_PASSPHRASE_COMMAND": ""})
    os.close(slave)
    try:
        shown = read_until(master, "secrets.sealed: ")
        os.write(master, b"wrong\n")
        shown += read_until(master, "secrets.sealed: ")
        os.write(master, PASS.encode() + b"\n")
        assert process.wait(30) == 0
        assert PASS not in shown and "Wrong passphrase" in shown
        copy_in_and_refresh(sealed, graphd, "one")
        sealed.run("umount", base / "mnt", check=0)
    finally:
        proc.stop(process)
        os.close(master)


def test_asked_twice_for_a_new_one(machine, graphd):
    machine.env["NMBACKUPFS_KEYSTORE"] = "sealed"
    graphd.login(mode="approve", interval_s=0)
    master, slave = pty.openpty()
    process = machine.popen("auth", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        read_until(master, "secrets.sealed: ")
        os.write(master, PASS.encode() + b"\n")
        read_until(master, "once more: ")
        os.write(master, PASS.encode() + b"\n")
        read_until(master, "Signed in")
        assert process.wait(30) == 0
    finally:
        proc.stop(process)
        os.close(master)
    sealed_file(machine)


# ---- a command ---------------------------------------------------------------

SCRIPT = """#!/bin/sh
file='{vault}'/$NMBACKUPFS_KEY_PROFILE.$NMBACKUPFS_KEY_NAME
echo "$NMBACKUPFS_KEY_ACTION $NMBACKUPFS_KEY_NAME" >> '{vault}/calls'
case $NMBACKUPFS_KEY_ACTION in
get) [ -e "$file" ] || exit 66; cat "$file" ;;
put) cat > "$file" ;;
delete) rm "$file" 2>/dev/null || exit 66 ;;
esac
"""


@pytest.fixture
def command(machine):
    machine.vault = machine.base / "a vault's"
    machine.vault.mkdir()
    script = machine.base / "keep"
    script.write_text(SCRIPT.replace("{vault}", str(machine.vault)
                                     .replace("'", "'\\''")))
    script.chmod(0o755)
    machine.env.update(NMBACKUPFS_KEYSTORE="command",
                       NMBACKUPFS_KEY_COMMAND=f"exec '{script}'")
    machine.sign_in()
    return machine


def test_command(command, graphd):
    kept = command.vault / "default.token"
    before = kept.read_bytes()
    command.mount()
    copy_in_and_refresh(command, graphd, "one")
    assert kept.read_bytes() != before
    calls = (command.vault / "calls").read_text().split("\n")
    assert "put token" in calls and "get token" in calls
    command.run("logout", check=0)
    assert not kept.exists()


def test_command_that_fails_is_not_a_sign_out(command, base):
    """Another status than 66, a hang-up, rubbish: not "nobody signed in"."""
    for line in ("exit 1", "exit 127", "kill -9 $$", "echo '!'"):
        done = command.run("-f", base, env={"NMBACKUPFS_KEY_COMMAND": line})
        assert done.returncode not in (0, 3), line
    # The configuration lost the command: the profile still knows.
    done = command.run("-f", base, env={"NMBACKUPFS_KEY_COMMAND": "",
                                        "NMBACKUPFS_KEYSTORE": ""})
    assert done.returncode == USAGE and "key_command" in done.stderr
    command.mount()


@pytest.mark.skipif(not shutil.which("pass") or not shutil.which("gpg"),
                    reason="pass or gpg is not installed")
def test_pass(machine, graphd):
    """contrib/keystore-pass over a real password store."""
    gpg = machine.base / "g"
    gpg.mkdir(mode=0o700)
    machine.env.update(
        GNUPGHOME=str(gpg), PASSWORD_STORE_DIR=str(machine.base / "store"),
        NMBACKUPFS_KEYSTORE="command",
        NMBACKUPFS_KEY_COMMAND=f"'{proc.ROOT}/contrib/keystore-pass'")

    def tool(*command):
        subprocess.run(command, env=machine.env, check=True, timeout=60,
                       capture_output=True)
    try:
        tool("gpg", "--batch", "--passphrase", "", "--quick-gen-key",
             "nmb-test", "default", "default", "never")
        tool("pass", "init", "nmb-test")
        machine.sign_in()
        machine.mount()
        copy_in_and_refresh(machine, graphd, "one")
        machine.run("logout", check=0)
        assert not (machine.base / "store/nmbackupfs/default/token.gpg"
                    ).exists()
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=machine.env,
                       check=False, timeout=60)


# ---- the keyring -------------------------------------------------------------

@pytest.fixture
def ring(machine):
    if "secret-service" not in machine.run("keystore", "--help").stdout:
        pytest.skip("this build has no libsecret")
    if keyring.missing():
        pytest.skip(f"not installed: {keyring.missing()}")
    service = keyring.Keyring(machine.base)
    machine.env.update(service.env, NMBACKUPFS_KEYSTORE="")
    try:
        yield service
    finally:
        service.stop()


def test_keyring_is_the_default(machine, ring, graphd, base):
    done = machine.sign_in()
    assert "Secret Service" in done.stderr and "plain file" not in done.stderr
    assert place(machine) == "secret-service"
    [note] = [p for p in machine.config.rglob("*") if p.is_file()]
    assert note.read_text() == "secret-service\n"
    mnt = machine.mount()
    copy_in_and_refresh(machine, graphd, "one")
    mnt.unmount()
    (base / "bg").mkdir()
    machine.run(base / "bg", check=0)  # a daemon: its bus is its own
    graphd.login(expire_access=True)
    (base / "bg/two").write_bytes(b"x")
    machine.flush()
    machine.run("umount", base / "bg", check=0)
    machine.run("logout", check=0)
    assert not note.exists()


def threads(pid):
    return [f.read_text().strip()
            for f in pathlib.Path(f"/proc/{pid}/task").glob("*/comm")]


def test_keyring_that_is_locked_or_gone(machine, ring, graphd, base):
    machine.sign_in()
    mnt = machine.mount()
    ring.lock()
    graphd.login(expire_access=True)
    (mnt / "one").write_bytes(b"x")
    machine.flush()  # from memory
    mnt.unmount()
    start = time.monotonic()
    done = machine.run("-f", base)
    assert done.returncode == FAILED and "locked" in done.stderr
    ring.stop_daemon()
    ring.start()
    ring.freeze()
    process = machine.popen("-f", base, stderr=subprocess.DEVNULL)
    proc.wait_until(lambda: "gdbus" in threads(process.pid), 20, "the bus")
    process.send_signal(signal.SIGTERM)
    assert process.wait(7) == -signal.SIGTERM
    done = machine.run("-f", base)
    assert done.returncode == FAILED and "Secret Service" in done.stderr
    assert time.monotonic() - start < 45
    done = machine.run("-f", base, env={"DBUS_SESSION_BUS_ADDRESS": ""})
    assert done.returncode == FAILED and "session bus" in done.stderr
    for name in machine.config.rglob("*"):
        assert name.is_dir() or name.name == "keystore.name"
    done = machine.run("auth", env={"NMBACKUPFS_KEYSTORE": "file"})
    assert done.returncode == FAILED and "keystore move file" in done.stderr


def test_mount_outlives_the_bus(machine, ring, graphd):
    machine.sign_in()
    mnt = machine.mount()
    copy_in_and_refresh(machine, graphd, "one")
    ring.stop()
    copy_in_and_refresh(machine, graphd, "two")
    assert mnt.is_running()


def test_a_profile_stays_where_it_is(machine, ring):
    """Made before there was a keyring; one turns up later."""
    machine.run("keystore", check=0)
    machine.env["NMBACKUPFS_KEYSTORE"] = "file"
    machine.sign_in()
    machine.env["NMBACKUPFS_KEYSTORE"] = ""
    machine.mount()
    assert place(machine) == "file"


# ---- nobody said -------------------------------------------------------------

def test_plain_files_are_said_once(machine):
    machine.env.update(NMBACKUPFS_KEYSTORE="", DBUS_SESSION_BUS_ADDRESS="")
    done = machine.sign_in()
    assert len(re.findall("plain file", done.stderr)) == 1
    assert "--keystore sealed" in done.stderr
    assert "plain file" not in machine.sign_in().stderr
    before = machine.log.read_text()
    machine.mount()
    assert "plain file" not in machine.log.read_text()[len(before):]


# ---- moving ------------------------------------------------------------------

def test_move(sealed, graphd):
    machine = sealed
    for target in ("file", "sealed", "file"):
        machine.run("keystore", "move", target, check=0)
        assert place(machine) == target
    machine.env["NMBACKUPFS_KEYSTORE"] = ""
    mnt = machine.mount()
    copy_in_and_refresh(machine, graphd, "one")
    done = machine.run("keystore", "move", "sealed")
    assert done.returncode == BUSY and str(mnt.process.pid) in done.stderr
    mnt.unmount()
    assert machine.run("keystore", "move", "tape").returncode == USAGE
    assert machine.run("keystore", "mvoe", "file").returncode == USAGE
    assert pathlib.Path(machine.config, "nmbackupfs/default.keys/token"
                        ).exists()
