"""Debian's rclone against graphd: up, list, check, move, delete, down."""

import pathlib
import shutil

import pytest

import rclone as rclone_module
import tree

# It sends its bearer to content hosts (--tolerant), and on personal drives
# checks SHA-1. On Business it takes an emptied file's missing hash for a wrong
# one, which only hash_of_empty helps against.
PERSONAL = pytest.param(("personal", "--tolerant", "--sha1"), id="personal")
MIGRATED = pytest.param(("personal-migrated", "--tolerant"), id="migrated")
BUSINESS = pytest.param(("business", "--tolerant", "--quirk",
                         "hash_of_empty=1"), id="business")


def on(*kinds):
    return pytest.mark.parametrize("graphd", kinds, indirect=True)


@pytest.fixture
def rclone(world, graphd, tmp_path):
    reason = rclone_module.why_not()
    if reason:
        pytest.skip(reason)
    return rclone_module.Rclone(world, graphd, tmp_path / "rclone")


def transferred(done):
    return [line for line in done.stderr.splitlines() if ": Copied" in line]


@on(PERSONAL, MIGRATED, BUSINESS)
def test_there_and_back(rclone, graphd, odd_tree, tmp_path):
    rclone.run("copy", odd_tree, "od:backup")
    want = {rclone_module.shown(p): content
            for p, content in tree.listing(odd_tree).items()}
    got = rclone.list("backup")
    assert sorted(got) == sorted(want)
    assert all(got[p]["Size"] == len(want[p]) for p in want
               if want[p] is not None)

    # It finds nothing to do a second time, and every hash agrees.
    assert not transferred(rclone.run("copy", odd_tree, "od:backup"))
    done = rclone.run("check", odd_tree, "od:backup")
    assert "0 differences found" in done.stderr

    rclone.run("copy", "od:backup", tmp_path / "back")
    tree.assert_same(tmp_path / "back", odd_tree)


@on(PERSONAL, BUSINESS)
def test_changes(rclone, graphd, plain_tree, tmp_path):
    local = tmp_path / "local"
    shutil.copytree(plain_tree, local, symlinks=True)
    rclone.run("copy", local, "od:backup")

    _rename_things(rclone, local)
    _change_things(local)
    done = rclone.run("sync", local, "od:backup")
    assert len(transferred(done)) == 4
    assert "0 differences found" in \
        rclone.run("check", local, "od:backup").stderr

    # A copy the service makes by itself, part of a file, and the space.
    rclone.run("copyto", "od:backup/grown", "od:backup/copied")
    part = rclone.run("cat", "--offset", "100", "--count", "50",
                      "od:backup/copied")
    assert part.stdout == (local / "grown").read_text()[100:150]
    assert "Used:" in rclone.run("about", "od:").stdout

    rclone.run("copy", "od:backup", tmp_path / "back")
    shutil.copy2(local / "grown", local / "copied")
    tree.assert_same(tmp_path / "back", local, times=False)

    rclone.run("purge", "od:backup")
    assert rclone.list("") == {}


@on(BUSINESS)
def test_trouble(rclone, graphd, tmp_path):
    """Tokens that don't last and work once, throttling, broken requests."""
    local = tree.make(tmp_path / "local", 4, tree.NAMES[:9], small=20,
                      sizes=(0, 11_000_000))
    graphd.control("set", {
        "login": {"token_life_s": 11, "strict_rotation": True},
        "throttle": {"on": True, "units_per_min": 90, "speed": 60}})
    graphd.control("faults", [
        {"name": "unavailable", "match": {"class": "session"}, "skip": 3,
         "times": 2, "do": {"status": 503, "code": "serviceNotAvailable",
                            "retry_after": 1}},
        {"name": "lost", "match": {"class": "create"}, "skip": 1, "times": 1,
         "do": {"drop": "after"}},
        {"name": "cut", "match": {"class": "download"}, "skip": 5, "times": 1,
         "do": {"truncate": 10}}])
    # It takes a folder whose answer was lost for a stranger's, and tries anew.
    rclone.run("copy", "--retries", "3", local, "od:backup")
    rclone.run("copy", "od:backup", tmp_path / "back")
    tree.assert_same(tmp_path / "back", local)

    assert all(f["fired"] for f in graphd.control("faults"))
    stats = graphd.control("stats")
    assert stats["throttle"]["blocks"] > 0
    assert stats["login"]["refreshes"] > 2
    assert stats["login"]["refreshes_refused"] == 0


def _rename_things(rclone, local):
    """The same moves on both sides."""
    folder = next(p for p in sorted(local.iterdir()) if p.is_dir())
    rclone.run("moveto", f"od:backup/{folder.name}", "od:backup/moved folder")
    folder.rename(local / "moved folder")
    file = next(p for p in sorted((local / "moved folder").rglob("*"))
                if p.is_file())
    rclone.run("moveto", f"od:backup/{file.relative_to(local)}",
               "od:backup/moved file")
    file.rename(local / "moved file")


def _change_things(local):
    files = sorted(p for p in local.rglob("size-*") if p.is_file())
    files[0].unlink()
    shutil.rmtree(max((p for p in local.iterdir() if p.is_dir()),
                      key=lambda p: p.name))
    rest = [p for p in sorted(local.rglob("file *")) if p.is_file()]
    rest[0].write_bytes(b"changed, longer and shorter " * 9)
    rest[1].write_bytes(b"")
    (local / "grown").write_text("0123456789" * 50_000)
    (local / "a new folder").mkdir()
    pathlib.Path(local / "a new folder" / "new").write_bytes(b"x")
