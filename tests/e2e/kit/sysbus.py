"""A system bus of its own, with a logind and a NetworkManager that obey the
test (fakebus.py)."""

import json
import os
import pathlib
import shutil
import subprocess

from . import proc, program

FAKE = pathlib.Path(__file__).with_name("fakebus.py")
PYTHON = "/usr/bin/python3"
LOGIND = "org.freedesktop.login1"
NM = "org.freedesktop.NetworkManager"
BUS = """<busconfig><type>system</type><listen>unix:path={}</listen>
<policy context="default"><allow send_destination="*"/>
<allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"""


def why_not():
    """Why there can be none on this machine, or None."""
    if not shutil.which("dbus-daemon"):
        return "dbus-daemon is not installed"
    if program.BINARY.exists() and \
            b"PrepareForSleep" not in program.BINARY.read_bytes():
        return "the program was built without GIO"
    done = subprocess.run([PYTHON, "-c", "import dbus, gi"],
                          capture_output=True, check=False)
    return "python3-dbus or python3-gi is missing" if done.returncode else None


class SystemBus:
    """`env` is what a program needs to find it."""

    def __init__(self, base):
        base.mkdir()
        config = base / "bus.conf"
        config.write_text(BUS.format(base / "bus"))
        self.bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork",
             "--nopidfile", "--print-address=1"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            preexec_fn=proc.die_with_parent)
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.stdout.readline()
                    .strip()}
        self.fake = subprocess.Popen(
            [PYTHON, FAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, **self.env},
            preexec_fn=proc.die_with_parent)
        assert self.fake.stdout.readline() == "ready\n"

    def order(self, *words):
        """The inhibitors that are held after it."""
        self.fake.stdin.write(" ".join(map(str, words)) + "\n")
        self.fake.stdin.flush()
        return json.loads(self.fake.stdout.readline())

    def held(self, what):
        """The modes of the inhibitors of `what`."""
        return [mode for w, _, mode in self.order("held") if w == what]

    def wait_held(self, what, *modes):
        proc.wait_until(lambda: self.held(what) == list(modes), 20,
                        f"inhibitors of {what}: {modes}")

    def announce_sleep(self):
        """As logind does: it waits for the delays to be given up."""
        self.order("sleep", 1)
        self.wait_held("sleep")

    def end_sleep(self):
        self.order("sleep", 0)
        self.wait_held("sleep", "delay")

    def stop_bus(self):
        proc.stop(self.bus)
        self.bus.stdout.close()

    def stop(self):
        proc.stop(self.fake)
        self.fake.stdin.close()
        self.fake.stdout.close()
        self.stop_bus()
