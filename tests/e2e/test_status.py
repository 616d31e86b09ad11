"""Goal: status, flush and umount find the right process and say what is so."""

import json
import re

import pytest

from kit import proc, trees

pytestmark = pytest.mark.configs("personal")

MEMBERS = {"state", "pending_files", "pending_bytes", "uploading", "blocked",
           "uploaded_files", "cached_bytes", "quota", "throttled_until",
           "last_error", "last_sync"}


def test_nothing_runs(signed_in, base):
    for args in ((), ("--profile", "other")):
        done = signed_in.run("status", *args, check=1)
        assert len(done.stderr.splitlines()) == 1 and not done.stdout
        answer = json.loads(
            signed_in.run("status", "--json", *args, check=1).stdout)
        assert answer["state"] == "not-running" and answer["error"]
    for command in ("status", "flush", "umount"):
        done = signed_in.run(command, base, check=1)
        assert "no mount of nmbackupfs" in done.stderr
        done = signed_in.run(command, base / "absent", check=1)
        assert done.stderr


def test_members(signed_in, mnt):
    signed_in.flush()
    assert MEMBERS <= signed_in.status().keys()
    assert "ok" not in signed_in.status()


@pytest.mark.plain("no name is refused")
def test_for_people(signed_in, mnt, graphd):
    graphd.fault({"path": "/refused"}, times=0, status=403, code="accessDenied")
    (mnt / "refused\x1b[31m").write_bytes(b"r")
    graphd.limit(up=2**20)
    (mnt / "big").write_bytes(bytes(8 * 2**20))
    signed_in.wait_status(lambda s: s["blocked"] and s["uploading"],
                          what="one blocked, one on its way")
    text = signed_in.run("status", check=0).stdout
    assert str(mnt.path) in text and "\x1b" not in text
    assert re.search(r"^blocked +/refused\\x1b\[31m: .+", text, re.M), text
    assert re.search(r"^uploading +/big  .* of 8\.4 MB", text, re.M), text
    assert re.search(r"^quota +.* used of .*, .* left", text, re.M), text
    assert re.search(r"^last sync +20\d\d-.* ago\)", text, re.M), text
    graphd.limit(up=0)
    done = signed_in.run("flush", check=5)
    assert "refused" in done.stderr and "blocked" in done.stderr
    (mnt / "refused\x1b[31m").unlink()
    signed_in.flush()


def test_of_a_path(signed_in, mnt, base, graphd):
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(b"12345")
    signed_in.flush(mnt / "d/f")
    answer = signed_in.status(mnt / "d/f")
    assert answer["state"] == "synced" and answer["size"] == 5
    assert answer["id"] == graphd.item("d/f")["id"]
    text = signed_in.run("status", "f", cwd=mnt / "d", check=0).stdout
    assert answer["id"] in text
    (base / "link").symlink_to(mnt / "d")
    assert signed_in.status(base / "link/f") == answer
    assert signed_in.status(base / "link")["state"] == "synced"
    signed_in.run("status", mnt / "d/absent", check=1)
    signed_in.run("flush", mnt / "d/absent", check=1)


@pytest.mark.plain("two profiles would want one key file")
def test_the_profile_of_a_path(signed_in, graphd):
    """A path in the mount of another profile needs no --profile."""
    env = {"NMBACKUPFS_PROFILE": "work"}
    graphd.login(mode="approve", interval_s=0)
    signed_in.run("auth", env=env, check=0)
    signed_in.mount("--folder", "one", name="one")
    two = signed_in.mount("--folder", "two", name="two", env=env)
    (two / "f").write_bytes(b"f")
    signed_in.run("flush", two / "f", check=0)
    assert graphd.read("f", folder="two") == b"f"
    assert signed_in.status(two / "f")["state"] == "synced"
    signed_in.run("umount", two.path, check=0)
    two.wait_end()
    assert proc.mounts_below(signed_in.base)


def test_names_with_spaces(signed_in, graphd):
    mnt = signed_in.mount(name="a mount\twith\\spaces")
    (mnt / "f").write_bytes(b"f")
    signed_in.run("flush", mnt / "f", check=0)
    signed_in.run("umount", str(mnt.path) + "/", check=0)
    mnt.wait_end()


def test_umount_of_a_dead_mount(signed_in, mnt, graphd):
    graphd.stop()
    (mnt / "f").write_bytes(b"f")
    mnt.kill()
    done = signed_in.run("umount", mnt.path, check=5)
    assert "died" in done.stderr
    assert not proc.mounts_below(mnt.path)
    graphd.start()
    signed_in.mount()
    signed_in.flush()
    assert graphd.read("f") == b"f"


@pytest.mark.plain("no name is refused")
def test_umount_with_something_blocked(signed_in, mnt, graphd):
    """Waiting would not help: unmounted, and said."""
    graphd.fault({"name": "refused"}, times=0, status=403, code="accessDenied")
    (mnt / "refused").write_bytes(b"r")
    (mnt / "fine").write_bytes(b"f")
    done = signed_in.run("umount", mnt.path, check=5)
    assert "refused" in done.stderr
    assert not proc.mounts_below(mnt.path)
    assert graphd.read("fine") == b"f"
    mnt.wait_end()


@pytest.mark.parametrize("state, says", [("offline", "reached"),
                                         ("signed-out", "nmbackupfs auth")])
def test_flush_says_why_not(signed_in, mnt, graphd, state, says):
    if state == "offline":
        graphd.stop()
    else:
        graphd.login(revoke_refresh=True, expire_access=True)
    (mnt / "f").write_bytes(b"f")
    signed_in.wait_status(lambda s: s["state"] == state, what=state)
    done = signed_in.run("flush", "--timeout", "1", check=5)
    assert says in done.stderr
    assert says in signed_in.run("status", check=0).stdout
    if state == "offline":
        graphd.start()


@pytest.mark.parametrize("time", ["", "x", "-1", "5x", "1.5", "99999999d"])
def test_bad_times(signed_in, time):
    signed_in.run("flush", "--timeout", time, check=2)


def test_progress_only_on_a_terminal(signed_in, mnt, graphd):
    graphd.limit(up=2 * 2**20)
    (mnt / "f").write_bytes(trees.payload("f", 6 * 2**20))
    done = signed_in.run("flush", check=0, env={"NMBACKUPFS_LOG_LEVEL": "info"})
    assert not done.stdout and not done.stderr


