"""Goal: random calls do on the mount what they do on a plain directory, before
and after the machine has lost all its state.

A few seeds, always the same; `tests/soak/test_random.py` takes others, as many
as there is time for, and a cache that is too small."""

import pytest

from kit import randomops

# In a plain folder they stay on one machine.
LOCAL = ("symlink", "chmod", "utime")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.configs("personal-60", "work-vault")
def test_random_calls(signed_in, mnt, base, seed):
    vault = signed_in.env["NMBACKUPFS_PLAIN"] == "no"
    for folder in (mnt.path / "r", base / "shadow"):
        folder.mkdir()
    pair = randomops.Pair(mnt / "r", base / "shadow")
    for part in range(2):
        pair.run([op for op in randomops.make_ops(seed * 10 + part, 700)
                  if vault or op[0] not in LOCAL])
        pair.close()
        signed_in.flush()
        mnt.unmount()
        signed_in.wipe()
        mnt = signed_in.mount()
        pair.compare()
