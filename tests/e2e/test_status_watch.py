"""Goal: `status --watch` follows a mount in a terminal of any size, shows names
of any kind without obeying them, and gives the terminal back."""

import signal

import pytest

from kit import proc, program, screen

pytestmark = pytest.mark.configs("personal")


@pytest.fixture
def watch(signed_in):
    terminals = []

    def start(**size):
        terminals.append(screen.Terminal(signed_in, "status", "--watch",
                                         **size))
        return terminals[-1]
    yield start
    for terminal in terminals:
        proc.stop(terminal.process)


@pytest.mark.plain("no name is refused")
def test_follows(signed_in, mnt, graphd, watch):
    shown = watch(cols=90)
    shown.wait("idle: everything is on the server", str(mnt.path)[-20:])
    graphd.fault({"name": "refused"}, times=0, status=403, code="accessDenied")
    graphd.limit(up=2**20)
    (mnt / "refused").write_bytes(b"r")
    (mnt / "big").write_bytes(bytes(8 * 2**20))
    picture = shown.wait("blocked    /refused: ", "uploading  [", "/big", "up ",
                         " files, ")
    assert "left  " in picture and "lately" in picture
    (mnt / "refused").unlink()
    graphd.limit(up=0)
    shown.wait("uploaded /big", "idle: everything")
    shown.press(b"q")
    assert shown.end() == 0


def test_hostile_names(signed_in, mnt, graphd, watch):
    names = ["\x1b[31mred\x1b[2J", "\x9b31m", "tab\there", "\u202eabc",
             "\u6f22\u5b57" * 30, "e" + "\u0301" * 60, "\u200fx\u2028y",
             "\U0001f600" * 20, "a" * 200]
    graphd.stop()
    for name in names:
        (mnt / name).write_bytes(b"x")
    with open(bytes(mnt.path) + b"/\xff\xfe\x80", "wb") as f:
        f.write(b"x")
    shown = watch(cols=61, rows=60)
    shown.wait("offline", r" /\x1b[31mred\x1b[2J", r"/\xc2\x9b31m",
               r"/tab\x09here", r"/\xe2\x80\xaeabc", "\u6f22\u5b57",
               "/e" + 4 * "\u0301" + "\n", r"/\xe2\x80\x8fx\xe2\x80\xa8y",
               "\U0001f600" * 10, "aaa", r"/\xff\xfe\x80")
    for cols, rows in ((20, 10), (7, 3), (1, 1), (200, 60), (61, 30)):
        shown.resize(cols, rows)
        proc.wait_until(shown.picture, 20, f"a picture of {cols}x{rows}")
    shown.process.send_signal(signal.SIGINT)
    assert shown.end() == 0


def test_ends_with_the_mount(signed_in, mnt, watch):
    shown = watch()
    shown.wait("idle")
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    assert shown.end() == 0


def test_says_that_the_mount_died(signed_in, mnt, watch):
    shown = watch()
    shown.wait("idle")
    mnt.kill()
    assert shown.end() == program.FAILED


def test_without_a_terminal(signed_in, mnt):
    lines = signed_in.popen("status", "--watch", stdout=-1, text=True)
    assert "idle: everything is on the server" in lines.stdout.readline()
    (mnt / "f").write_bytes(b"f")
    signed_in.flush()
    signed_in.run("umount", mnt.path, check=0)
    mnt.wait_end()
    rest, _ = lines.communicate(timeout=proc.patience(20))
    assert "\x1b" not in rest and lines.returncode == 0
    signed_in.run("status", "--watch", "--json", check=program.USAGE)
    signed_in.run("status", "--watch", check=program.FAILED)
