"""Goal: signing in and staying signed in.

The device code as the service words it, every refusal a clear line, rotation
that survives a kill, a revoked sign-in that leaves the mount up."""

import os
import re
import signal

import pytest

from kit import proc
from kit.program import SIGN_IN

pytestmark = pytest.mark.configs("personal", "work")


def test_message_as_the_service_words_it(machine, graphd):
    graphd.login(mode="ask", interval_s=0)
    process = machine.popen("auth", stderr=-1, text=True)
    try:
        shown = ""
        while not (code := re.search(r"enter the code ([A-Z0-9]+)", shown)):
            line = process.stderr.readline()
            assert line, shown
            shown += line
        assert graphd.login_url in shown or "devicelogin" in shown
        graphd.login(approve=code.group(1))
        assert process.wait(proc.patience(20)) == 0
    finally:
        proc.stop(process)


@pytest.mark.parametrize("settings, says", [
    ({"mode": "decline"}, "declined"),
    ({"mode": "expire"}, "expired"),
    ({"mode": "refuse", "refuse_code": 53003}, "policy|access|53003"),
    ({"mode": "refuse", "refuse_code": 65001}, "consent"),
    ({"mode": "approve", "public_client": False}, "public client"),
])
def test_refusals_are_clear_lines(machine, graphd, settings, says):
    graphd.login(interval_s=0, **settings)
    done = machine.run("auth")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(says, last, re.I), done.stderr
    assert "{" not in last and len(last) < 500


def test_wrong_account_kind(machine, graphd):
    other = "work" if graphd.account == "personal" else "personal"
    graphd.login(mode="approve", interval_s=0, audience=graphd.account)
    done = machine.run("auth", env={"NMBACKUPFS_ACCOUNT": other})
    assert done.returncode != 0
    assert "--account" in done.stderr or "account" in done.stderr.lower()


def test_account_kind_is_remembered(machine, graphd):
    """Said once on the command line, in the configuration from then on, of its
    profile; the rest of the file stays."""
    kind, other = ("work", "personal")[::1 if graphd.account == "work" else -1]
    config = machine.config / "nmbackupfs/config"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"# mine\naccount = {other}\ncache_size = 3G\n")
    graphd.login(mode="approve", interval_s=0, audience=graphd.account)
    del machine.env["NMBACKUPFS_ACCOUNT"]
    assert machine.run("auth").returncode != 0
    machine.run("auth", "--account", kind, check=0)
    assert config.read_text() == \
        f"# mine\naccount = {kind}\ncache_size = 3G\n"
    machine.run("auth", check=0)
    machine.run("auth", "--account", kind, "--profile", "two", check=0)
    assert f"[two]\naccount = {kind}\n" in config.read_text()


def test_slow_polls_and_trouble_on_the_way(machine, graphd):
    """Numbers as strings, RFC names, a 503 in between: still signed in."""
    graphd.login(mode="approve", after_polls=2, interval_s=1,
                 string_numbers=True, fail={"count": 1, "status": 503,
                                                   "html": True})
    machine.run("auth", check=0)
    assert graphd.login_stats()["polls_too_fast"] == 0


def test_interrupt(machine, graphd):
    graphd.login(mode="ask", interval_s=1)
    process = machine.popen("auth", stderr=-1, text=True)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(proc.patience(5)) != 0
    process.stderr.close()


def test_refresh_rotates_and_survives_a_kill(signed_in, graphd):
    """Each refresh gives a new token; the old one must not be needed again."""
    graphd.login(token_life_s=2, strict_rotation=True)
    mnt = signed_in.mount()
    for i in range(3):
        (mnt / f"{i}").write_bytes(b"x")
        signed_in.flush()
        graphd.login(expire_access=True)
    (mnt / "after").write_bytes(b"x")
    signed_in.flush()
    assert graphd.login_stats()["refreshes"] >= 2
    mnt.kill()
    graphd.login(expire_access=True)
    mnt = signed_in.mount()
    (mnt / "again").write_bytes(b"x")
    signed_in.flush()
    assert graphd.login_stats()["refreshes_refused"] == 0


def test_one_refresh_for_all(signed_in, mnt, graphd):
    """A token expires under twenty uploads: one refresh, not twenty."""
    before = graphd.login_stats()["refreshes"]
    graphd.login(expire_access=True)
    for i in range(20):
        (mnt / f"f{i}").write_bytes(os.urandom(1000))
    signed_in.flush()
    assert graphd.login_stats()["refreshes"] - before == 1


@pytest.mark.fault(47)
def test_revoked_sign_in_leaves_the_mount_up(signed_in, mnt, graphd):
    (mnt / "old").write_bytes(b"old")
    signed_in.flush()
    graphd.login(expire_access=True, revoke_refresh=True)
    (mnt / "new").write_bytes(b"new")
    status = signed_in.wait_status(lambda s: s["state"] == "signed-out",
                                   what="state signed-out")
    assert "nmbackupfs auth" in status["last_error"]
    assert (mnt / "old").read_bytes() == b"old"
    (mnt / "more").write_bytes(b"more")
    assert signed_in.run("flush", "--timeout", "1").returncode != 0
    graphd.login(mode="approve", interval_s=0)
    signed_in.run("auth", check=0)
    signed_in.flush()
    assert graphd.read("new") == b"new" and graphd.read("more") == b"more"


def test_login_service_down_is_not_a_sign_out(signed_in, mnt, graphd):
    graphd.login(expire_access=True, fail={"count": 3, "status": 503,
                                           "error": "server_error"})
    (mnt / "x").write_bytes(b"x")
    signed_in.flush()
    assert graphd.read("x") == b"x"


def test_common_trap(machine, graphd):
    """Personal refresh tokens got through /common die; ours must not."""
    graphd.login(common_trap=True, token_life_s=2)
    machine.sign_in()
    mnt = machine.mount()
    graphd.login(expire_access=True)
    (mnt / "x").write_bytes(b"x")
    machine.flush()
    assert graphd.login_stats()["refreshes_refused"] == 0


def test_logout(signed_in, base):
    signed_in.run("logout", check=0)
    assert signed_in.run("-f", base).returncode == SIGN_IN
    signed_in.run("logout", check=0)


def test_damaged_or_open_token_file(signed_in, base):
    """Refused with a clear line; its content is not shown."""
    [keys] = [p for p in signed_in.config.rglob("*") if p.is_file()]
    good = keys.read_bytes()
    keys.chmod(0o644)
    done = signed_in.run("-f", base)
    assert done.returncode != 0 and str(keys.name) in done.stderr
    assert keys.read_bytes() == good
    keys.chmod(0o600)
    keys.write_bytes(good[: len(good) // 2])
    done = signed_in.run("-f", base)
    assert done.returncode != 0
    assert good[10:40].decode(errors="replace") not in done.stderr
