"""Goal: a service manager knows how the mount stands, starts it again only if
that helps, and waits for nothing; the unit that is installed is one."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from kit import notify, pause, proc, program

pytestmark = pytest.mark.configs("personal")

# In the child that looks into the mount nobody holds what other threads held.
needs_watchdog = pytest.mark.skipif(
    bool(program.VALGRIND), reason="valgrind finds leaks in a forked child")
UNIT = proc.ROOT / "contrib/systemd/nmbackupfs@.service"


@pytest.fixture
def manager(base):
    m = notify.Manager(base, None if program.VALGRIND else 0.9 * proc.SLOW)
    yield m
    m.close()


@contextlib.contextmanager
def offline(graphd):
    graphd.stop()
    yield
    graphd.start()


def test_ready_status_stopping(signed_in, graphd, manager):
    mnt = signed_in.mount(env=manager.env)
    manager.wait("READY=1")
    assert os.path.ismount(mnt.path)
    manager.wait("STATUS=all is on the server")
    with offline(graphd):
        (mnt / "f").write_bytes(bytes(3000000))
        proc.wait_until(lambda: any(s.endswith("1 files, 3.0 MB to send")
                                    for s in manager.statuses()), 20,
                        "the file in the status")
    signed_in.flush()
    manager.wait("STATUS=all is on the server", 2)
    assert "STOPPING=1" not in manager.read()
    mnt.process.send_signal(signal.SIGTERM)
    assert mnt.wait() == 0
    assert "STOPPING=1" in manager.read()


@needs_watchdog
def test_an_unmount_is_no_stop_before_all_is_sent(signed_in, graphd, manager):
    mnt = signed_in.mount(env=manager.env)
    mnt.wait_listed()
    manager.wait("READY=1")
    with offline(graphd):
        (mnt / "f").write_bytes(b"f")
        mnt.unmount(wait=False)
        n = manager.read().count("WATCHDOG=1")
        manager.wait("WATCHDOG=1", n + 2)  # the engine alone is there
        assert "STOPPING=1" not in manager.messages
    mnt.wait_end()
    assert "STOPPING=1" in manager.read()


@needs_watchdog
def test_signs_of_life(signed_in, manager):
    """Not while a thread of the engine or of the loop stands still."""
    mnt = signed_in.mount(env=manager.env)
    mnt.wait_listed()
    manager.wait("WATCHDOG=1", 3)
    with open(mnt / "f", "wb") as f:  # the loop is busy, and answers
        f.write(b"f")
        manager.wait("WATCHDOG=1", 5)
    assert "watchdog: no answer" not in signed_in.log.read_text(
        errors="replace")


@pytest.mark.skipif(bool(pause.why_not()), reason=pause.why_not() or "")
@pytest.mark.parametrize("who, name", [(pause.is_engine, "engine"),
                                       (pause.is_in_fuse_loop, "fuse")])
def test_no_sign_of_life(signed_in, manager, base, who, name):
    """Whatever stands still, it ends; with what was missing in the log."""
    stopper = pause.Pause(base)
    mnt = signed_in.mount(env={**manager.env, **stopper.env})
    mnt.wait_listed()
    manager.wait("WATCHDOG=1", 2)
    stopper.stop(mnt.process.pid, who)
    try:
        proc.wait_until(lambda: f"{name}=stuck" in signed_in.log.read_text(
            errors="replace"), 20, "a line in the log")
        n = manager.read().count("WATCHDOG=1")
        proc.wait_until(lambda: signed_in.log.read_text(
            errors="replace").count(f"{name}=stuck") >= 4, 20, "more of them")
        assert manager.read().count("WATCHDOG=1") == n
    finally:
        stopper.go_on()
    manager.wait("WATCHDOG=1", n + 2)


def test_nobody_asked(signed_in):
    mnt = signed_in.mount(env={"NOTIFY_SOCKET": "vsock:1:1"})
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    assert "NOTIFY_SOCKET: Invalid" in signed_in.log.read_text(errors="replace")


def statuses_in_unit():
    [line] = re.findall(r"^RestartPreventExitStatus=(.*)", UNIT.read_text(),
                        re.M)
    return set(map(int, line.split()))


def test_what_no_restart_cures(machine, base):
    never = statuses_in_unit()
    assert never == {program.USAGE, program.SIGN_IN, program.NO_MEMBER,
                     program.BUSY, 8, program.NO_TERMINAL}
    (base / "m").mkdir()
    for env in ({}, {"NMBACKUPFS_CACHE_SIZE": "much"}):
        done = machine.run("-f", "--", base / "m", env=env)
        assert done.returncode in never, done.stderr


@pytest.fixture
def installed(base, graphd):
    """`make install`, with what was built."""
    prefix = base / "usr"
    subprocess.run(["make", "-s", "-C", proc.ROOT, "-o", "all", "install",
                    f"PREFIX={prefix}", "B=build/gcc"], check=True,
                   capture_output=True, timeout=60,
                   env={k: v for k, v in os.environ.items()
                        if not k.startswith("MAKE")})
    return prefix


def analyze(verb, unit, base):
    env = {**os.environ, "XDG_RUNTIME_DIR": str(base), "HOME": str(base)}
    return subprocess.run(["systemd-analyze", "--user", *verb, unit],
                          capture_output=True, text=True, timeout=60,
                          check=False, env=env)


@pytest.mark.skipif(not shutil.which("systemd-analyze"),
                    reason="systemd-analyze is not installed")
def test_the_unit(installed, base):
    folder = installed / "lib/systemd/user"
    unit = folder / "nmbackupfs@.service"
    assert f"ExecStart=:{installed}/bin/nmbackupfs -f" in unit.read_text()
    instance = folder / r"nmbackupfs@cloud\x2dbackups-a.service"
    instance.symlink_to(unit.name)
    done = analyze(["verify", "--man=no"], instance, base)
    assert done.returncode == 0, done.stderr
    said = [li for li in done.stderr.splitlines() if "nmbackupfs" in li]
    assert not said, said


def run_unit(machine, base, name, manager):
    """What systemd would run, with its specifiers filled in."""
    lines = dict(re.findall(r"^(ExecStart|ExecStopPost)=-?:(.*)",
                            UNIT.read_text(), re.M))
    words = [w.replace("%h/%I", str(base / name))
             for w in lines["ExecStart"].split()]
    assert words[0] == "/usr/bin/nmbackupfs"
    mount = program.Mount(machine, base / name, (), manager.env)
    machine.mounts.append(mount)
    with machine.log.open("ab") as log:
        mount.process = machine.popen(*words[1:], env=manager.env, stdout=log,
                                      stderr=log)
    return mount, [w.replace("%h/%I", str(base / name))
                   for w in lines["ExecStopPost"].split()]


def test_its_commands(signed_in, base, manager):
    name = "a $HOME %n"
    (base / name).mkdir()
    mount, after = run_unit(signed_in, base, name, manager)
    manager.wait("READY=1")
    assert os.path.ismount(base / name)
    mount.kill()
    assert proc.mounts_below(base / name)
    subprocess.run(after, check=True, timeout=20)
    assert not proc.mounts_below(base / name)


def test_it_ends_quickly(signed_in, graphd, manager):
    """Whatever is unsent, stuck or waited for."""
    (signed_in.base / "mnt").mkdir()
    mnt = signed_in.mount(env=manager.env)
    mnt.wait_listed()
    with offline(graphd):
        for i in range(50):
            (mnt / f"f{i}").write_bytes(bytes(100000))
        start = time.monotonic()
        mnt.process.send_signal(signal.SIGTERM)
        assert mnt.wait() == 0
        assert time.monotonic() - start < proc.patience(5)
    mnt = signed_in.mount()
    signed_in.flush()
    assert len(graphd.tree()) >= 50


def test_the_journal(signed_in, graphd, base):
    """Levels that it understands; nothing that is written there forges one."""
    read, write = os.pipe()
    st = os.fstat(write)
    env = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}
    (base / "m").mkdir()
    process = signed_in.popen("-f", base / "m", env=env, stderr=write)
    os.close(write)
    try:
        proc.wait_until(lambda: os.path.ismount(base / "m"), 20, "the mount")
        (base / "m/a\n<0>b").write_bytes(b"f")
        signed_in.flush()
        signed_in.run("umount", base / "m", check=0)
        assert process.wait(proc.patience(20)) == 0
    finally:
        proc.stop(process)
        proc.unmount_all(base / "m")
    with open(read, encoding="utf-8") as f:
        lines = f.read().splitlines()
    assert lines and all(re.match("<[3467]>[a-z]", li) for li in lines), lines
    assert any(li.startswith("<7>plan ") for li in lines)


def test_the_journal_gets_what_comes_first_and_last(signed_in, base):
    """A warning before the log is begun, and the error that ends it."""
    (base / "m").mkdir()
    (base / "m/hidden").touch()
    (base / "file").touch()
    with open(base / "stderr", "w+", encoding="utf-8") as f:
        st = os.fstat(f.fileno())
        process = signed_in.popen(
            "-f", "--state-dir", base / "file", base / "m", stderr=f,
            env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
        assert process.wait(proc.patience(20)) == program.FAILED
        f.seek(0)
        first, *_, last = f.read().splitlines()
    assert first.startswith("<4>mount point") and last.startswith("<3>nmb")
