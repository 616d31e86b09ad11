"""A session bus of its own with gnome-keyring on it, without a display."""

import os
import shutil
import signal
import subprocess

from . import proc

TOOLS = ("dbus-daemon", "gnome-keyring-daemon", "dbus-send")
# Nothing is started by a call: what is stopped stays away.
BUS = """<busconfig><type>session</type><listen>unix:dir={}</listen>
<policy context="default"><allow send_destination="*"/>
<allow receive_sender="*"/><allow own="*"/></policy></busconfig>
"""
LOGIN = "/org/freedesktop/secrets/collection/login"


def missing():
    """What is not installed of it; "" if all is there."""
    return " ".join(t for t in TOOLS if not shutil.which(t))


class Keyring:
    """`env` is what a program needs to find it."""

    def __init__(self, base):
        self.home = base / "keyring"
        self.home.mkdir(mode=0o700)
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("XDG_")
               and k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        env.update(HOME=str(self.home), XDG_RUNTIME_DIR=str(self.home))
        self._env = env
        config = self.home / "bus.conf"
        config.write_text(BUS.format(self.home))
        self.bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork",
             "--nopidfile", "--print-address=1"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=env, preexec_fn=proc.die_with_parent)
        self.address = self.bus.stdout.readline().strip()
        self.env = {"DBUS_SESSION_BUS_ADDRESS": self.address}
        env.update(self.env)
        self.daemon = None
        self.start()

    def start(self):
        """With the login keyring open."""
        self.daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--unlock", "--components=secrets",
             "--foreground", f"--control-directory={self.home}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=self._env,
            preexec_fn=proc.die_with_parent)
        self.daemon.stdin.write(b"of the keyring")
        self.daemon.stdin.close()
        proc.wait_until(self._is_open, 20, "the keyring")

    def call(self, path, method, *args, dest="org.freedesktop.secrets"):
        done = subprocess.run(
            ["dbus-send", "--session", "--print-reply=literal",
             f"--dest={dest}", path, method, *args], capture_output=True,
            text=True, timeout=30, check=False, env=self._env)
        return done.stdout if done.returncode == 0 else ""

    def _is_open(self):
        return "boolean false" in self.call(
            LOGIN, "org.freedesktop.DBus.Properties.Get",
            "string:org.freedesktop.Secret.Collection", "string:Locked")

    def lock(self):
        self.call("/org/freedesktop/secrets",
                  "org.freedesktop.Secret.Service.Lock",
                  f"array:objpath:{LOGIN}")
        assert not self._is_open()

    def freeze(self):
        self.daemon.send_signal(signal.SIGSTOP)

    def stop_daemon(self):
        self.daemon.send_signal(signal.SIGCONT)
        proc.stop(self.daemon)

    def stop_bus(self):
        proc.stop(self.bus)
        self.bus.stdout.close()

    def stop(self):
        self.stop_daemon()
        self.stop_bus()
