"""A disk that loses power: a file system of its own in an image.

    disk = Disk(base, machine.state)
    ... the program works on it ...
    mount.kill()
    disk.cut()   # what had not reached the disk is gone

What the kernel wrote to the image is what had reached the disk; what it still
held back, in its cache of files and in the journal's running transaction, is
not in a copy of that. The file system writes by itself only every few minutes,
so nothing gets there but by the program's own calls."""

import os
import shutil
import subprocess

SIZE = 512 << 20
OPTIONS = "loop,noatime,commit=300"


def why_not():
    """Why it can't be used here; None if it can."""
    if os.geteuid() != 0:
        return "only root mounts images"
    if not os.path.exists("/dev/loop-control"):
        return "no loop devices"
    return None if shutil.which("mkfs.ext4") else "needs mkfs.ext4"


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=60)


class Disk:
    """Mounted at `where`, an empty directory, which keeps its mode."""

    def __init__(self, base, where):
        self.base = base
        self.where = where
        self.cuts = 0
        self._used = False
        mode = where.stat().st_mode & 0o7777
        with open(self._image(), "wb") as f:
            f.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-m", "0", "-O", "^metadata_csum,^64bit",
             "-E", "lazy_itable_init=1,lazy_journal_init=1", self._image())
        self._mount()
        os.chmod(where, mode)
        shutil.rmtree(where / "lost+found")
        _run("sync", "-f", where)

    def _image(self):
        return self.base / f"disk-{self.cuts}.img"

    def _mount(self):
        _run("mount", "-o", OPTIONS, self._image(), self.where)
        self._used = True

    def _unmount(self):
        if self._used:
            _run("umount", self.where)
            self._used = False

    def cut(self):
        """Nothing may have a file there open."""
        old = self._image()
        self.cuts += 1
        _run("cp", "--sparse=always", old, self._image())
        self._unmount()
        old.unlink()
        self._mount()

    def clean_up(self):
        self._unmount()
        self._image().unlink(missing_ok=True)
