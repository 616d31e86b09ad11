"""Goal: who does not look is told of what needs him, on the desktop and in a
file for Prometheus; rarely, without names or secrets, and for nothing that the
mount would wait for."""

import os
import re
import stat
import time

import pytest

from kit import proc, program

pytestmark = pytest.mark.configs("personal")

SAMPLE = re.compile(r'nmbackupfs_\w+\{profile="default"'
                    r'(,\w+="([^"\\\n]|\\["\\n])*")*\} \d+')


class Desktop:
    """A notify-send that notes what it is told."""

    def __init__(self, base, then="exit 0"):
        self.folder = base / "desktop"
        self.folder.mkdir()
        self.notes = base / "notes"
        script = self.folder / "notify-send"
        script.write_text(
            "#!/bin/sh\n"
            f"{{ printf '%s|' \"$@\"; env | grep -c ^NMBACKUPFS_; }}"
            f" >>{self.notes}\n{then}\n")
        script.chmod(0o755)

    def env(self):
        return {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    def told(self):
        """[(title, text)]"""
        if not self.notes.exists():
            return []
        notes = []
        for line in self.notes.read_text().split("\n")[:-1]:
            name, dashes, title, text, ours = line.split("|")
            assert (name, dashes, ours) == ("--app-name=nmbackupfs", "--", "0")
            notes.append((title, text))
        return notes

    def wait(self, n):
        proc.wait_until(lambda: len(self.told()) >= n, 20, f"{n} notes")
        return self.told()


@pytest.mark.plain("no name is refused")
def test_notes(signed_in, graphd, base):
    desktop = Desktop(base)
    mnt = signed_in.mount("--notify", env=desktop.env())
    mnt.wait_listed()
    graphd.fault({"path": "/secret"}, times=0, status=403, code="accessDenied")
    (mnt / "secret one").write_bytes(b"1")
    (mnt / "secret two").write_bytes(b"2")
    [(title, text)] = desktop.wait(1)
    assert title == "nmbackupfs waits for you"
    assert text == "2 refused files. See nmbackupfs status"
    (mnt / "secret three").write_bytes(b"3")
    signed_in.wait_status(lambda s: len(s["blocked"]) == 3, what="the third")
    graphd.login(revoke_refresh=True, expire_access=True)
    (mnt / "f").write_bytes(b"f")
    assert desktop.wait(2)[1][0] == "nmbackupfs: signed out"
    assert len(desktop.told()) == 2  # not of the third, so soon


def test_the_end_of_a_run(signed_in, base):
    desktop = Desktop(base)
    mnt = signed_in.mount("--notify", "--notify-after", "0",
                          env=desktop.env())
    (mnt / "f").write_bytes(b"f")
    assert desktop.wait(1) == [("nmbackupfs: all is uploaded",
                                "1 files in this run.")]


def test_a_desktop_that_hangs(signed_in, mnt, base):
    desktop = Desktop(base, then="sleep 600")
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    mnt = signed_in.mount("--notify", "--notify-after", "0",
                          env=desktop.env())
    (mnt / "f").write_bytes(b"f")
    desktop.wait(1)
    (mnt / "g").write_bytes(b"g")
    signed_in.flush()
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()


def test_no_desktop(signed_in, base):
    signed_in.mount("--notify", env={"PATH": str(base)}, wait=False)
    proc.wait_until(lambda: "notify-send in PATH" in signed_in.log.read_text(
        errors="replace"), 20, "a line in the log")


def samples(path):
    text = path.read_text()
    lines = [li for li in text.splitlines() if not li.startswith("#")]
    assert lines and all(SAMPLE.fullmatch(li) for li in lines), text
    helped = re.findall(r"^# HELP (\w+) .", text, re.M)
    typed = re.findall(r"^# TYPE (\w+) (?:gauge|counter)$", text, re.M)
    named = list(dict.fromkeys(li.partition("{")[0] for li in lines))
    assert helped == typed == named
    return {k.replace('profile="default"', "").replace("{,", "{")
            .replace("{}", ""): int(v)
            for k, v in (li.rsplit(" ", 1) for li in lines)}


def test_prometheus(signed_in, base):
    path = base / "nmbackupfs.prom"
    mnt = signed_in.mount("--prometheus-file", path)
    proc.wait_until(path.exists, 20, "the file")
    seen = samples(path)
    assert seen["nmbackupfs_up"] == 1
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    (mnt / "f").write_bytes(b"12345")
    signed_in.flush()
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    seen = samples(path)
    assert seen["nmbackupfs_up"] == 0
    assert seen["nmbackupfs_uploaded_files_total"] == 1
    assert seen["nmbackupfs_pending_changes"] == 0
    assert seen["nmbackupfs_uploaded_bytes_total"] >= 5
    assert seen["nmbackupfs_last_sync_timestamp_seconds"] > 1e9
    assert os.listdir(base).count(path.name + ".new") == 0


@pytest.mark.parametrize("path, says", [
    ("x.prom", "absolute"), ("/absent/x.prom", "No such file"),
    ("{mnt}/x.prom", "in the mount itself")])
def test_bad_files(signed_in, base, path, says):
    (base / "mnt").mkdir()
    done = signed_in.run("--prometheus-file", path.format(mnt=base / "mnt"),
                         base / "mnt", check=program.USAGE)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def wake_ups(pid):
    """How often each of its threads has slept."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)",
                                   f.read(), re.M)[1])
    return total


@pytest.mark.skipif(bool(program.SETARCH), reason="TSan's own thread wakes")
def test_idle_is_idle(signed_in, base):
    """Who listens, looks or counts does not wake a mount that has nothing to
    do."""
    desktop = Desktop(base)
    mnt = signed_in.mount("--notify", "--prometheus-file", base / "n.prom",
                          "--poll-interval", "1h", env=desktop.env())
    mnt.wait_listed()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    lookers = [signed_in.popen(*args, stdout=-1, text=True)
               for args in (("events",), ("status", "--watch"))]
    for looker in lookers:
        looker.stdout.readline()
    pid = mnt.process.pid

    def sleeps_for_a_second():
        before = wake_ups(pid)
        time.sleep(1)
        return wake_ups(pid) == before
    try:
        # What was begun ends; the file is written 15 s after the first.
        proc.wait_until(sleeps_for_a_second, 30, "a second without a wake-up")
    finally:
        for looker in lookers:
            looker.terminate()
            looker.communicate()
