"""Goal: repositories of backup programs: their own checks find nothing."""

import pytest
from kit import trees
from test_programs import change_tree
from tools import needs, run


def weeks(source, n):
    """The tree as it was in each of `n` weeks, by its description."""
    for week in range(n):
        if week:
            change_tree(source, week)
            trees.make_tree(source / f"week{week}", seed=week, files=30)
        yield week, trees.describe(source)


@needs("restic")
def test_restic(mnt, base, came_back):
    """Backed up four times, checked with all data, old ones forgotten and
    pruned; restored from the mount, and again from what came back."""
    source = trees.make_tree(base / "source", seed=6, files=200)
    env = dict(RESTIC_PASSWORD="secret", RESTIC_CACHE_DIR=str(base / "cache"))

    def restic(where, *args):
        return run("restic", "-r", where / "repo", *args, **env)
    restic(mnt, "init")
    for week, now in weeks(source, 4):
        restic(mnt, "backup", "--tag", f"week{week}", source)
    restic(mnt, "check", "--read-data")
    restic(mnt, "forget", "--keep-last", "2", "--group-by", "", "--prune")
    restic(mnt, "check", "--read-data")
    restic(mnt, "restore", "latest", "--target", base / "out")
    assert trees.describe(base / "out" / source.relative_to("/")) == now
    again = came_back()
    restic(again, "check", "--read-data")
    restic(again, "restore", "latest", "--target", base / "out2")
    assert trees.describe(base / "out2" / source.relative_to("/")) == now
    assert restic(again, "snapshots", "--compact").count("week") == 2


@needs("borg")
@pytest.mark.parametrize("encryption", ["repokey-blake2", "none"])
def test_borg(mnt, base, came_back, encryption):
    source = trees.make_tree(base / "source", seed=7, files=200)
    env = dict(BORG_PASSPHRASE="secret", BORG_BASE_DIR=str(base / "borg"),
               BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
               BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")

    def borg(where, command, *args, at="", cwd=None):
        return run("borg", *command.split(), f"{where / 'repo'}{at}", *args,
                   cwd=cwd, **env)
    borg(mnt, f"init -e {encryption}")
    for week, now in weeks(source, 4):
        borg(mnt, "create", source, at=f"::week{week}")
    borg(mnt, "check --verify-data")
    borg(mnt, "prune --keep-last 2")
    borg(mnt, "compact")
    borg(mnt, "check --verify-data")
    again = came_back()
    borg(again, "check --verify-data")
    (base / "out").mkdir()
    borg(again, "extract", at="::week3", cwd=base / "out")
    assert trees.describe(base / "out" / source.relative_to("/")) == now
    assert len(borg(again, "list --short").split()) == 2
