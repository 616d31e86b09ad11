"""Who is measured: each turns an empty directory into a place for files.

A contender has a `root`, the directory that files are copied into. What it
keeps between remounts is its own; clear() loses all of that, as a new machine
would, so that what is read next must come from the service."""

import json
import os
import pathlib
import resource
import shutil
import subprocess

from kit import graphd as kit_graphd
from kit import proc, program

FOLDER = kit_graphd.FOLDER
WAIT_S = 1800


class Contender:
    """On the local disk, with nothing in between."""

    name = "plain directory"
    remote = False  # what is written gets to the service
    writes_only = False  # differs from another one in how it writes only
    ours = False
    sealed = False  # the service sees no names

    def __init__(self, base, service=None):
        self.base = pathlib.Path(base)
        self.service = service
        self.root = self.base / "files"

    @classmethod
    def why_not(cls):
        return None

    def start(self):
        self.root.mkdir(parents=True, exist_ok=True)

    def stop(self):
        pass

    def clear(self):
        pass

    def pid(self):
        return None

    def wait_sent(self, seen, **what):
        """Until the service has all of it; `seen` and `what`: how that shows
        there for who has no command that says so."""
        seen(timeout=WAIT_S, **what)

    def wait_listed(self, _count):
        """Until it knows of what another device made."""

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def _many_files():
    """It holds each file open that the kernel knows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    proc.die_with_parent()


class Passthrough(Contender):
    """libfuse's example: what FUSE itself costs."""

    name = "passthrough_ll"
    binary = proc.ROOT / "build/bench/passthrough_ll"

    @classmethod
    def why_not(cls):
        return None if cls.binary.exists() else \
            "no source in /usr/share/doc/libfuse3-dev/examples"

    def start(self):
        behind = self.base / "behind"
        behind.mkdir(parents=True, exist_ok=True)
        self.root = self.base / "mnt"
        self.root.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [str(self.binary), "-f", "-o", f"source={behind},cache=auto",
             str(self.root)],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=_many_files)
        proc.wait_until(lambda: proc.mounts_below(self.root), 20, "the mount")

    def stop(self):
        subprocess.run(["fusermount3", "-u", str(self.root)], check=True)
        self.process.wait(60)

    def pid(self):
        return self.process.pid


class Ours(Contender):
    """nmbackupfs as installed: every option at its default."""

    name = "plain"
    remote = ours = True
    env = {"NMBACKUPFS_PLAIN": "yes"}
    options = ()

    def __init__(self, base, service):
        super().__init__(base, service)
        self.machine = program.Machine(self.base, service)
        for name in ("WRITE_BACK_DELAY", "POLL_INTERVAL", "PLAIN"):
            del self.machine.env["NMBACKUPFS_" + name]
        self.machine.env.update(self.env, NMBACKUPFS_LOG_LEVEL="info")
        self.machine.sign_in()

    @classmethod
    def why_not(cls):
        return None if program.BINARY.exists() else \
            f"{program.BINARY} is not built"

    def start(self):
        self.mount = self.machine.mount(*self.options)
        self.root = self.mount.path

    def stop(self):
        self.mount.unmount(timeout=WAIT_S)
        self.mount.clean_up()

    def clear(self):
        self.machine.wipe()

    def pid(self):
        return self.mount.process.pid

    def wait_sent(self, _seen, **_what):
        """Not with `flush`, which lets nothing wait for its delay."""
        def sent():
            s = self.machine.status()
            return s["state"] == "idle" and not s["pending_files"] \
                and not s["pending_changes"]
        proc.wait_until(sent, WAIT_S, "the end of all uploads", every=0.1)

    def wait_listed(self, count):
        proc.wait_until(lambda: sum(len(d) + len(f) for _, d, f in
                                    os.walk(self.root)) >= count,
                        WAIT_S, "the listing", every=0.5)


class Vault(Ours):
    """The same, sealed."""

    name = "vault"
    sealed = True
    env = {"NMBACKUPFS_RECOVERY_KEY": "no"}

    @classmethod
    def why_not(cls):
        return super().why_not() or \
            (None if "--recovery-key" in program.help_text()
             else "this build has no vaults")


class Rclone(Contender):
    name = "rclone 1s"
    remote = True
    write_back = "1s"

    def __init__(self, base, service):
        super().__init__(base, service)
        self.root = self.base / "mnt"
        self.root.mkdir(parents=True)
        self.config = self.base / "rclone.conf"
        token = service.token()
        stored = {"access_token": token["access_token"],
                  "token_type": "Bearer", "expiry": "2099-01-01T00:00:00Z",
                  "refresh_token": token["refresh_token"]}
        kind = "business" if service.account == "work" else "personal"
        self.config.write_text(
            f"[od]\ntype = onedrive\ntoken = {json.dumps(stored)}\n"
            f"drive_id = {service.drive_id()}\ndrive_type = {kind}\n")
        self._run("mkdir", "od:" + FOLDER)

    @classmethod
    def why_not(cls):
        return None if shutil.which("rclone") else "rclone is not installed"

    def _command(self, *args):
        return ["rclone", "--config", str(self.config), "--cache-dir",
                str(self.base / "cache"), *args]

    def _run(self, *args):
        subprocess.run(self._command(*args), check=True, capture_output=True)

    def start(self):
        with (self.base / "rclone.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command("mount", "--vfs-cache-mode", "full",
                              "--vfs-write-back", self.write_back,
                              "od:" + FOLDER, str(self.root)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=proc.die_with_parent)
        proc.wait_until(lambda: proc.mounts_below(self.root), 60, "the mount")

    def stop(self):
        # It forgets what it has not uploaded, so that must be waited for.
        self.service.settle(WAIT_S)
        subprocess.run(["fusermount3", "-u", str(self.root)], check=True)
        self.process.wait(60)

    def clear(self):
        shutil.rmtree(self.base / "cache", ignore_errors=True)

    def pid(self):
        return self.process.pid


class RcloneDefault(Rclone):
    """Five seconds before a file is sent."""

    name = "rclone"
    write_back = "5s"
    writes_only = True


ALL = (Ours, Vault, Rclone, RcloneDefault, Passthrough, Contender)
