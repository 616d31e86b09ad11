"""`make bench` runs: every contender, every group, small sizes. What it
measures is no test; that it measures is. Of the groups one is left out: a
minute's budget takes a minute."""

import json
import pathlib
import subprocess
import sys

import pytest

import graphd as graphd_module
import world as world_module

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench/bench"
TINY = ["--runs", "1", "--latency", "0", "--small-files", "40", "--many-files",
        "20", "--big-mib", "5", "--random-reads", "3", "--walk-files", "40",
        "--walk-folders", "4", "--idle-s", "1", "--nodes", "1000",
        "--no-gigabit",
        "--only", "small,many,big,walk,idle,million"]


def test_bench_measures(tmp_path):
    reason = world_module.why_not() or graphd_module.why_not()
    if reason:
        pytest.skip(reason)
    out = tmp_path / "out.json"
    page = tmp_path / "page.md"
    done = subprocess.run(
        [sys.executable, BENCH, *TINY, "--contenders", "plain,plain directory",
         "--directory", tmp_path, "--json", out, "--markdown", page],
        capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    line = json.loads(out.read_text())["lines"]["0 ms"]
    assert line["plain"].keys() >= {"small_sent", "small_restore", "rename",
                                    "many_sent", "big_read", "random_read",
                                    "find", "million_ready"}
    assert line["plain directory"]["small_copy"]["median"] > 0
    assert "20 directories" in page.read_text()
