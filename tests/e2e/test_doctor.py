"""Goal: whatever a mount lacks, `doctor` says which, and what to do; it leaves
nothing behind and tells no secret."""

import errno
import json
import os
import re

import pytest

from kit import clock as kit_clock
from kit import inject as kit_inject
from kit import program

FULL = bool(os.environ.get("NMB_TEST_FULL"))  # waits 20 s
SERVICE = ["login host", "clock", "graph host", "keystore", "sign-in",
           "folder", "write", "read", "delete"]
# Of the machine that runs the tests, about which they know nothing.
MACHINES = {"fuse", "fusermount3", "libraries", "cache disk", "cache space"}


def doctor(machine, *args, check=None, env=None):
    done = machine.run("doctor", "--json", *args, env=env, check=check)
    answer = json.loads(done.stdout)
    levels = [c["level"] for c in answer["checks"]]
    assert answer["failures"] == levels.count("fail")
    assert answer["warnings"] == levels.count("warn")
    assert answer["ok"] == (done.returncode == 0) == ("fail" not in levels)
    for c in answer["checks"]:
        assert bool(c["next"]) == (c["level"] != "ok"), c
    return {c["check"]: c for c in answer["checks"]}


def failing(checks):
    return {name for name, c in checks.items()
            if c["level"] == "fail"} - MACHINES


def secrets(machine):
    """What is in the keystore, in pieces as they could turn up."""
    keys = machine.config / "nmbackupfs/default.keys"
    blobs = b" ".join(p.read_bytes() for p in keys.iterdir())
    return {w.decode() for w in re.findall(rb"[A-Za-z0-9+/=_.-]{24,}", blobs)} \
        - {program.CLIENT_ID}


def test_all_is_well(signed_in, graphd):
    mnt = signed_in.mount()
    mnt.wait_listed()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    before = graphd.names()
    checks = doctor(signed_in)
    assert not failing(checks)
    assert [c for c in checks if c in SERVICE] == SERVICE
    assert ("sealed" in checks["write"]["text"]) == (graphd.stored_size(1) > 1)
    assert graphd.names() == before
    assert graphd.sessions() == []
    text = signed_in.run("doctor").stdout
    assert re.search(r"^ok    write         a test file was sent", text, re.M)
    assert secrets(signed_in)
    for secret in secrets(signed_in):
        assert secret not in text
    mnt.unmount()
    assert not failing(doctor(signed_in))


def test_nobody_is_signed_in(machine, graphd):
    checks = doctor(machine, check=1)
    assert failing(checks) == {"sign-in"}
    assert checks["sign-in"]["next"] == "run `nmbackupfs auth`"
    checks = doctor(machine, env={"NMBACKUPFS_CLIENT_ID": ""}, check=1)
    assert "config" in failing(checks)


@pytest.mark.configs("personal", "work-vault")
def test_before_the_first_mount(signed_in, graphd):
    checks = doctor(signed_in)
    assert checks["folder"]["level"] == "warn"
    assert not failing(checks) and "write" not in checks
    assert not graphd.names()


@pytest.mark.plain("no name is refused")
@pytest.mark.configs("personal", "work")
@pytest.mark.parametrize("broken", [
    ("session", dict(status=403, code="accessDenied"), "write"),
    ("fragment", dict(status=403, code="accessDenied"), "write"),
    ("session", dict(status=507, code="quotaLimitReached"), "write"),
    ("download", dict(status=403, code="accessDenied"), "read"),
    ("download", dict(corrupt=100), "read"),
    *([("fragment", dict(drop="before"), "write")] if FULL else []),
])
def test_content_hosts(signed_in, mnt, graphd, broken):
    cls, do, check = broken
    graphd.fault(cls, times=0, **do)
    checks = doctor(signed_in, check=1)
    assert graphd.fired()
    assert failing(checks) == {check}, checks
    graphd.clear_faults()
    assert not failing(doctor(signed_in))
    assert not [n for n in graphd.names() if "doctor" in n]


@pytest.mark.configs("personal")
def test_what_it_made_stays(signed_in, mnt, graphd):
    graphd.fault("delete", times=0, status=403, code="accessDenied")
    checks = doctor(signed_in)
    assert checks["delete"]["level"] == "warn"
    assert "nmbackupfs-doctor-" in checks["delete"]["text"]


@pytest.mark.configs("personal")
def test_hosts(signed_in, mnt, graphd):
    dead = "http://127.0.0.1:1"
    checks = doctor(signed_in, "--login-url", dead, check=1)
    assert checks["login host"]["level"] == "fail"
    assert "network" in checks["login host"]["next"]
    assert "clock" not in checks
    checks = doctor(signed_in, "--graph-url", dead + "/v1.0", check=1)
    assert failing(checks) == {"graph host"}
    assert "not tried" in checks["sign-in"]["text"]
    assert checks["login host"]["level"] == "ok"
    checks = doctor(signed_in, "--ca-file", "/nonexistent", check=1)
    assert "login host" in failing(checks)


@pytest.mark.configs("personal")
@pytest.mark.skipif(kit_clock.why_not() is not None,
                    reason=str(kit_clock.why_not()))
def test_clock(signed_in, base, mnt, graphd):
    if graphd.front:
        pytest.skip("its certificate is not valid yet")
    with kit_clock.Clock(base / "clock") as clock:
        clock.jump(-120)
        checks = doctor(signed_in, env=clock.env())
        assert checks["clock"]["level"] == "warn"
        assert "behind the service's" in checks["clock"]["text"]
        clock.jump(3600)
        checks = doctor(signed_in, env=clock.env(), check=1)
        assert failing(checks) == {"clock"}
        assert "ahead of the service's" in checks["clock"]["text"]


@pytest.mark.configs("personal")
def test_state_directory(signed_in, graphd, base):
    state = base / "elsewhere"
    args = ("--state-dir", state)
    assert "first mount" in doctor(signed_in, *args)["state"]["text"]
    state.mkdir(mode=0o700, exist_ok=True)  # by what a vault's member keeps
    checks = doctor(signed_in, *args)
    assert checks["state"]["level"] == checks["state write"]["level"] == "ok"
    state.chmod(0o755)
    assert "chmod 700" in doctor(signed_in, *args, check=1)["state"]["next"]
    state.chmod(0o700)
    assert "cache space" in {
        name for name, c in doctor(signed_in, *args, "--min-free", "1000T",
                                   check=1).items() if c["level"] == "fail"}
    checks = doctor(signed_in, "--state-dir", "/dev/shm/none/at/all", check=1)
    assert checks["cache disk"]["text"] == "tmpfs"
    file = base / "file"
    file.touch()
    assert failing(doctor(signed_in, "--state-dir", file, check=1)) \
        >= {"state", "state write"}


@pytest.mark.configs("personal")
def test_helper_and_keystore(signed_in, graphd, base):
    checks = doctor(signed_in, env={"PATH": str(base)})
    assert checks["fusermount3"]["level"] == \
        ("warn" if os.geteuid() == 0 else "fail")
    assert "package fuse3" in checks["fusermount3"]["next"]
    keys = signed_in.config / "nmbackupfs/default.keys"
    keys.chmod(0o755)
    checks = doctor(signed_in, check=1)
    assert failing(checks) & {"keystore", "sign-in"}


@pytest.mark.configs("personal")
@pytest.mark.skipif(kit_inject.why_not() is not None,
                    reason=str(kit_inject.why_not()))
def test_broken_devices(signed_in, mnt, graphd, base):
    inject = kit_inject.Inject(base, "/dev/fuse")
    inject.arm("open", errno.ENOENT)
    checks = doctor(signed_in, env=inject.env, check=1)
    assert checks["fuse"]["level"] == "fail"
    assert "modprobe fuse" in checks["fuse"]["next"]
    inject.arm("open", errno.EACCES)
    checks = doctor(signed_in, env=inject.env, check=1)
    assert "0666" in checks["fuse"]["next"]
    inject = kit_inject.Inject(base, signed_in.state)
    inject.arm("sync", errno.EIO, part="doctor-")
    checks = doctor(signed_in, env=inject.env, check=1)
    assert checks["state write"]["level"] == "fail"


@pytest.mark.configs("personal-vault")
def test_not_a_member(signed_in, mnt, second_machine, graphd):
    checks = doctor(second_machine, check=1)
    assert failing(checks) == {"folder"}
    assert "nmbackupfs vault" in checks["folder"]["next"]
