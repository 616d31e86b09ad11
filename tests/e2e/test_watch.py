"""Goal: who looks from outside is told what goes on: a script by an exit
status, and never at the cost of the mount."""

import contextlib
import json
import os
import socket
import subprocess
import threading

import pytest

from kit import proc, program

pytestmark = pytest.mark.configs("personal")


def check(machine, *args):
    done = machine.run("status", "--check", *args)
    assert not done.stdout
    assert len(done.stderr.splitlines()) == (done.returncode != 0), done.stderr
    return done.returncode


# -- status --check ------------------------------------------------------------

@pytest.mark.plain("no name is refused")
def test_check(signed_in, mnt, graphd):
    assert check(signed_in) == 0
    (mnt / "d").mkdir()
    (mnt / "d/sent").write_bytes(b"s")
    signed_in.flush()
    assert check(signed_in) == check(signed_in, mnt / "d") == 0
    graphd.stall({"name": "waits"})
    (mnt / "d/waits").write_bytes(b"w")
    assert check(signed_in) == check(signed_in, mnt / "d") \
        == check(signed_in, mnt / "d/waits") == program.UNFINISHED
    assert check(signed_in, mnt / "d/sent") == 0
    done = signed_in.run("status", "--check", "--json",
                         check=program.UNFINISHED)
    assert json.loads(done.stdout)["pending_files"] == 1
    signed_in.run("status", check=0)
    graphd.unstall()
    signed_in.flush()


@pytest.mark.plain("no name is refused")
def test_check_asks_for_a_person(signed_in, mnt, graphd):
    (mnt / "fine").write_bytes(b"f")
    graphd.fault({"name": "refused"}, times=0, status=403, code="accessDenied")
    (mnt / "refused").write_bytes(b"r")
    signed_in.wait_status(lambda s: s["blocked"], what="a refusal")
    assert check(signed_in) == check(signed_in, mnt.path) \
        == check(signed_in, mnt / "refused") == program.HELD
    graphd.login(revoke_refresh=True, expire_access=True)
    (mnt / "later").write_bytes(b"l")
    signed_in.wait_status(lambda s: s["state"] == "signed-out",
                          what="signed out")
    assert check(signed_in) == program.SIGN_IN
    mnt.kill()
    assert check(signed_in) == program.FAILED


# -- events --------------------------------------------------------------------

class Listener:
    """`nmbackupfs events --json`, read line by line by a thread of its own."""

    def __init__(self, machine):
        self.process = machine.popen("events", "--json", text=True,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self.seen = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.wait(lambda e: "pending_files" in e)

    def _read(self):
        for line in self.process.stdout:
            self.seen.append(json.loads(line))

    def wait(self, fits):
        try:
            return proc.wait_until(
                lambda: next(filter(fits, self.seen), None), 20, "the event")
        except AssertionError:
            raise AssertionError(f"not among {self.seen}") from None

    def wait_for(self, event, path=None, **members):
        return self.wait(lambda e: e["event"] == event
                         and e.get("path") == path
                         and members.items() <= e.items())

    def end(self):
        status = self.process.wait(proc.patience(20))
        self.thread.join(proc.patience(20))
        self.process.stdout.close()
        said = self.process.stderr.read()
        self.process.stderr.close()
        return status, said


def order(listener, path):
    return [e["event"] for e in listener.seen if e.get("path") == path]


@pytest.mark.plain("another device puts plain files")
@pytest.mark.mount_options("--poll-interval", "200ms")
def test_events(signed_in, mnt, graphd):
    heard = Listener(signed_in)
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(b"12345")
    heard.wait_for("made", "/d", folder=True)
    sent = heard.wait_for("uploaded", "/d/f", size=5)
    heard.wait_for("all-done")
    assert sent["id"] == graphd.item("d/f")["id"]
    assert order(heard, "/d/f") == ["queued", "uploading", "uploaded"]
    graphd.put("theirs", b"t")
    heard.wait_for("remote", "/theirs", change="new")
    graphd.delete("theirs")
    heard.wait_for("remote", "/theirs", change="removed")
    (mnt / "d/f").unlink()
    heard.wait_for("deleted", id=sent["id"])
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    assert heard.end() == (0, "")
    assert heard.seen[-1]["event"] == "end"


@pytest.mark.plain("no name is refused")
def test_events_of_trouble(signed_in, mnt, graphd):
    heard = Listener(signed_in)
    graphd.fault({"name": "refused"}, times=0, status=403, code="accessDenied")
    (mnt / "refused").write_bytes(b"r")
    assert "403" in heard.wait_for("blocked", "/refused")["reason"]
    graphd.fault({"name": "later"}, status=429, retry_after=1)
    (mnt / "later").write_bytes(b"l")
    assert heard.wait_for("throttled")["until"]
    heard.wait_for("uploaded", "/later")
    graphd.login(revoke_refresh=True, expire_access=True)
    (mnt / "never").write_bytes(b"n")
    heard.wait_for("signed-out")
    mnt.kill()
    status, said = heard.end()
    assert status == program.FAILED and "died" in said


@pytest.mark.plain("both sides are plain files")
def test_events_of_a_conflict(signed_in, mnt, graphd):
    (mnt / "f").write_bytes(b"base")
    signed_in.flush()
    heard = Listener(signed_in)
    with graphd.hidden_from_delta():
        graphd.put("f", b"theirs")
        (mnt / "f").write_bytes(b"ours")
        heard.wait(lambda e: e["event"] == "conflict"
                   and "conflict" in e["path"] and e["name"] == "f")
    heard.process.terminate()
    heard.end()


@contextlib.contextmanager
def _inside(folder):
    """A socket's name is short, a folder's may be long."""
    before = os.getcwd()
    os.chdir(folder)
    yield
    os.chdir(before)


def test_who_reads_slowly_loses_events(signed_in, mnt):
    """...and is told how many; nobody waits for it."""
    [path] = signed_in.state.rglob("control")
    slow = socket.socket(socket.AF_UNIX)
    with _inside(path.parent):
        slow.connect("control")
    slow.sendall(b'{"do":"events"}\n')
    name = "\x01" * 240
    for i in range(300):
        (mnt / f"{name}{i}").write_bytes(b"x")
    signed_in.flush()
    slow.settimeout(proc.patience(20))
    lines = slow.makefile("rb")
    seen = [json.loads(lines.readline())]
    while seen[-1]["event"] != "lost":
        seen.append(json.loads(lines.readline()))
    assert seen[-1]["count"] > 0
    (mnt / "last").write_bytes(b"l")
    while (seen[-1]["event"], seen[-1].get("path")) != ("uploaded", "/last"):
        seen.append(json.loads(lines.readline()))
    slow.close()


def test_events_for_people(signed_in, mnt):
    listener = signed_in.popen("events", text=True, stdout=subprocess.PIPE)
    assert "all-done" in listener.stdout.readline()
    (mnt / "a\x1b[31m\u202eb").write_bytes(b"12345")
    line = listener.stdout.readline()
    while "uploaded" not in line:
        line = listener.stdout.readline()
    assert r"/a\x1b[31m\xe2\x80\xaeb (5 B) " in line and "\x1b" not in line
    listener.terminate()
    listener.communicate(timeout=proc.patience(20))


def test_events_need_a_mount(signed_in):
    done = signed_in.run("events", check=program.FAILED)
    assert "nothing is mounted" in done.stderr
    signed_in.run("events", "x", check=program.USAGE)
