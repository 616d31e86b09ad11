"""abraunegg's onedrive, Debian's, against graphd."""

import contextlib
import shutil
import signal
import subprocess
import time

import pytest

import tree

# Older than the drive ids that lost their leading zero in some places, it
# takes those for another drive; and it loses items whose delta entry lacks
# parentReference.path, which some back ends send and some don't.
KINDS = [pytest.param(("personal", "--quirk", "short_drive_id=0",
                       "--quirk", "delta_path=1"), id="personal"),
         pytest.param(("business", "--quirk", "delta_path=1"), id="business")]
pytestmark = pytest.mark.parametrize("graphd", KINDS, indirect=True)


class Computer:
    """One synchronised folder with its state."""

    def __init__(self, world, graphd, base):
        self.world = world
        self.config = base / "config"
        self.folder = base / "OneDrive"
        self.log = base / "onedrive.log"
        self.config.mkdir(parents=True)
        (self.config / "refresh_token").write_text(
            graphd.token()["refresh_token"])
        (self.config / "config").write_text(
            f'sync_dir = "{self.folder}"\n'
            'disable_notifications = "true"\n'
            'check_nomount = "false"\n')

    def run(self, *args):
        done = self.world.run(["onedrive", "--confdir", self.config,
                               "--verbose", *args])
        with self.log.open("a") as f:
            f.write(f"$ {args} -> {done.returncode}\n{done.stdout}"
                    f"{done.stderr}\n")
        assert done.returncode == 0, \
            f"onedrive {args}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
        for bad in ("ERROR:", "mismatch", "corruption", "WARNING:"):
            assert bad not in done.stdout + done.stderr, \
                done.stdout[-3000:] + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def monitor(self):
        """The client stays up and follows what happens in the folder."""
        with self.log.open("a") as log:
            process = self.world.popen(
                ["stdbuf", "-oL", "onedrive", "--confdir", self.config,
                 "--verbose", "--monitor"], stdout=subprocess.PIPE,
                stderr=log, text=True, errors="replace")
            try:
                assert any("Sync with OneDrive is complete" in line
                           for line in process.stdout)
                yield
            finally:
                process.send_signal(signal.SIGINT)
                log.write(process.communicate(timeout=30)[0])

    def sync(self):
        return self.run("--synchronize")


def transfers(output):
    return [line for line in output.splitlines()
            if line.startswith(("Uploading new file", "Uploading modified",
                                "Downloading file", "Creating directory"))]


@pytest.fixture
def computers(world, graphd, tmp_path):
    if not shutil.which("onedrive"):
        pytest.skip("onedrive is not installed")
    return [Computer(world, graphd, tmp_path / name) for name in ("a", "b")]


def move(graphd, folder, name, to):
    """A rename in a monitored folder is one in the drive: the id stays."""
    before = graphd.items()
    old = next(p for p in before if p.rsplit("/", 1)[1] == name)
    new = old.rsplit("/", 1)[0] + "/" + to
    (folder / old[1:]).rename(folder / new[1:])
    end = time.monotonic() + 30
    while new not in (now := graphd.items()) or old in now:
        assert time.monotonic() < end, f"{old} was not moved"
        time.sleep(0.1)
    assert now[new]["id"] == before[old]["id"]


def test_two_computers(computers, graphd, plain_tree, tmp_path):
    here, there = computers
    shutil.copytree(plain_tree, here.folder)
    here.sync()
    assert not transfers(here.sync())

    there.sync()
    tree.assert_same(there.folder, plain_tree)

    # Changes there come here: content, a new file, a delete, moves.
    with there.monitor():
        move(graphd, there.folder, "-dash", "renamed file")
        folder = next(p for p in sorted(there.folder.iterdir()) if p.is_dir())
        move(graphd, there.folder, folder.name, "renamed folder")
    files = sorted(p for p in there.folder.rglob("file *") if p.is_file())
    files[0].write_bytes(b"changed on the other computer")
    files[1].unlink()
    (there.folder / "new folder").mkdir()
    (there.folder / "new folder" / "new").write_bytes(b"y" * 5_000_000)
    there.sync()
    here.sync()
    tree.assert_same(here.folder, there.folder, times=False)
    assert not transfers(there.sync())
    graphd.assert_no_leaks()
