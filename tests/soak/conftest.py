"""What tests/e2e has, for longer runs: the same fixtures, and `came_back`.

Each suite runs in a plain folder with 20 ms for every request and in a vault
without: NMB_TEST_CONFIGS says otherwise. What a suite left is read once more
from a machine that has nothing of it."""

import importlib.util
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
E2E = HERE.parent / "e2e"
sys.path[:0] = [str(HERE), str(E2E)]
os.environ.setdefault("NMB_TEST_WATCHDOG", "3000")
os.environ.setdefault("NMB_TEST_CONFIGS", "personal-20 work-vault")

_spec = importlib.util.spec_from_file_location("e2e_conftest",
                                               E2E / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
globals().update({k: v for k, v in vars(_e2e).items() if k[0] != "_"})

import pytest  # noqa: E402
from kit import trees  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    """One line for each suite."""
    _e2e.pytest_terminal_summary(terminalreporter)
    suites = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            name = report.nodeid.split("::")[-1].split("[")[0]
            counts = suites.setdefault(name.removeprefix("test_"), {})
            counts[outcome] = counts.get(outcome, 0) + 1
    for name, counts in suites.items():
        terminalreporter.write_line(f"suite {name}: " + ", ".join(
            f"{n} {outcome}" for outcome, n in counts.items()))

@pytest.fixture
def came_back(signed_in, mnt):
    """A call: all on the server, all local state lost, mounted anew; the same
    names and bytes are there. Returns that mount."""
    def lose_and_compare(timeout=600):
        before = trees.describe(mnt.path)
        signed_in.flush(timeout=timeout)
        mnt.unmount(timeout=timeout)
        signed_in.wipe()
        again = signed_in.mount(*mnt.options)
        after = trees.describe(again.path)
        # Local to one machine in a plain folder: links and special files.
        if not signed_in.env["NMBACKUPFS_PLAIN"] == "no":
            before = {p: row for p, row in before.items()
                      if row[0] in ("0o40000", "0o100000")}
        assert after == before
        return again
    return lose_and_compare
