"""Goal: random calls do what they do on a plain directory, while uploads run,
bytes are evicted and fetched again, and all local state is lost in between.

A failure tells its seed; NMB_SOAK_SEED=N runs that one."""

import itertools
import os
import time

import pytest
from kit import proc, randomops
from tools import SECS

SEED = int(os.environ.get("NMB_SOAK_SEED", "0"))


def seeds():
    """As many as there is time for."""
    if SEED:
        yield SEED
        return
    seed, end = int(time.time()), time.monotonic() + SECS
    while time.monotonic() < end:
        yield seed
        seed += 1


def new_pair(mount, base, name, **kw):
    (mount / name).mkdir()
    (base / f"shadow-{name}").mkdir()
    return randomops.Pair(mount / name, base / f"shadow-{name}", **kw)


def run_seed(mount, base, seed, ops, **kw):
    """What fails is told with the few calls that it takes, if it fails again
    by itself."""
    pair = new_pair(mount, base, f"s{seed}", **kw)
    try:
        pair.run(ops)
    except AssertionError as e:
        n = itertools.count()
        few = randomops.minimise(
            list(pair.done),
            lambda: new_pair(mount, base, f"again{next(n)}", **kw))
        lines = "\n".join(map(repr, few)) if few else "not again by itself"
        raise AssertionError(f"seed {seed}: {e}\nminimal:\n{lines}") from None
    finally:
        pair.close()
    return pair


def test_random(mnt, base):
    for seed in seeds():
        run_seed(mnt, base, seed, randomops.make_ops(seed, 1200))


@pytest.mark.mount_options("--cache-size", "24M")
def test_random_evicted(signed_in, mnt, base, graphd):
    """Files of some megabytes in a cache that does not hold them all."""
    pairs = [run_seed(mnt, base, seed, randomops.make_ops(seed, 500, 6_000_000),
                      tight=True) for seed in seeds()]
    signed_in.flush(timeout=600)  # what is unsent leaves no room for reading
    for pair in pairs:
        pair.compare()
    assert graphd.bytes_down() > 0


def test_random_and_lost(signed_in, mnt, base):
    """In between all is uploaded, the machine loses everything, and goes on
    with files that are not there."""
    vault = signed_in.env["NMBACKUPFS_PLAIN"] == "no"
    for seed in seeds():
        pair = new_pair(mnt, base, f"s{seed}")
        for part in range(4):
            ops = randomops.make_ops(seed + part * 10**6, 500)
            if not vault:  # these stay on one machine
                ops = [op for op in ops if op[0] not in ("symlink", "chmod",
                                                         "utime")]
            try:
                pair.run(ops)
            except AssertionError as e:
                raise AssertionError(f"seed {seed} part {part}: {e}") from None
            pair.close()
            signed_in.flush(timeout=300)
            mnt.unmount(timeout=proc.patience(60))
            signed_in.wipe()
            mnt = signed_in.mount(*mnt.options)
            pair.compare()
